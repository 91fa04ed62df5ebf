"""Convolution in two dimensions without im2col: padded images in cache, and `gemm.product` over addresses in them.

Some images at a time are copied, with their zeros, into one plane for each channel (`spread`). With stride s, a plane is
split by the remainder of the place modulo s, which makes every convolution one of stride 1: a tap (kh, kw) of the
window only adds a constant to the address of an output's first input. The input gradient is the same product over the planes
of dy, once for each remainder of the input's place, with the taps that meet it. The weight gradient is `gemm.dots` of
the planes of dy and x.
"""
from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from .. import memory, parallel
from . import gemm
from .jit import jit

CACHE = 1 << 20  # bytes that the planes of one part may fill: half of an L2 cache
PARTS = 8  # parts wanted at least, so that several threads find work
NEAR = 2048  # places that `gemm.dots` finishes for all pairs of channels before it goes on


def conv2d(x, w, b, stride, padding, dilation, groups):
    """y, as the reference `conv2d` says."""
    (batch, channels, *size), (outputs, per_group, *window) = x.shape, w.shape
    out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(size, window, stride, padding, dilation))
    y = memory.empty((batch, outputs, *out), x.dtype)
    layout, taps = _forward(tuple(window), tuple(stride), tuple(padding), tuple(dilation), out)
    weights = _Weights(w, groups, outputs // groups, per_group * len(taps), per_group, len(taps))
    _correlate(x, layout, weights, (_Target(taps, out, 0, out[1], 1),), b, y)
    return y


def conv2d_dx(dy, w, x_shape, stride, padding, dilation, groups):
    """dx, as the reference `conv2d_dx` says."""
    outputs, per_group, *window = w.shape
    dx = memory.empty(x_shape, dy.dtype)
    layout, targets = _backward(tuple(window), tuple(x_shape[2:]), tuple(stride), tuple(padding), tuple(dilation),
                                tuple(dy.shape[2:]))
    area = window[0] * window[1]
    weights = _Weights(w, groups, per_group, area, outputs // groups, per_group * area)
    _correlate(dy, layout, weights, targets, None, dx)
    return dx


def conv2d_dw(dy, x, w_shape, stride, padding, dilation, groups):
    """dw, as the reference `conv2d_dw` says: each part sums its images, and the parts are added in order."""
    (batch, channels), (outputs, per_group, *window) = x.shape[:2], w_shape
    if not dy.size or not x.size:
        return np.zeros(w_shape, dy.dtype)
    layout, taps = _forward(tuple(window), tuple(stride), tuple(padding), tuple(dilation), tuple(dy.shape[2:]))
    plain = _Layout((1, 1), ((0,), (0,)), (0, 0), layout.plane)
    rows, depth = outputs // groups, per_group * len(taps)
    images = _images(batch, (channels * layout.phases + outputs) * layout.area * x.itemsize)
    cuts = parallel.chunks(batch, -(-batch // PARTS))
    sums = np.zeros((len(cuts), groups, rows * depth), x.dtype)

    def part(i):
        for begin in range(cuts[i].start, cuts[i].stop, images):
            end = min(begin + images, cuts[i].stop)
            length = _length(layout, end - begin, x.dtype.char)
            places, columns = _planes(x, layout, begin, end), _offsets(layout, taps, per_group, length)
            dys, lines = _planes(dy, plain, begin, end), _offsets(plain, _ORIGIN, rows, length)
            for g in range(groups):
                gemm.dots(dys[g * rows * length:], lines, rows, places[g * per_group * layout.phases * length:], columns, depth,
                          length, NEAR, sums[i, g])

    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    parallel.run(part, len(cuts), 2 * dy.size * depth)
    return sums.sum(0).reshape(w_shape)


class _Layout(NamedTuple):
    """How an image lies in planes: plane (rh, rw) has, in place (i, j), x[i * step + rh - pad, j * step + rw - pad]."""

    step: tuple[int, int]
    remainders: tuple[tuple[int, ...], tuple[int, ...]]
    pad: tuple[int, int]
    plane: tuple[int, int]

    @property
    def phases(self) -> int:
        return len(self.remainders[0]) * len(self.remainders[1])

    @property
    def area(self) -> int:
        return self.plane[0] * self.plane[1]


class _Target(NamedTuple):
    """Outputs that the same taps meet, and where in a channel of y they lie."""

    taps: tuple[tuple[int, int, int, int], ...]  # phase of the plane; rows and columns further on; number in the window
    out: tuple[int, int]
    start: int
    row: int
    step: int


class _Weights(NamedTuple):
    """w as matrices: `rows` times (channels, taps) in each group, and the distances between rows and channels."""

    w: np.ndarray
    groups: int
    rows: int
    row: int
    channels: int
    channel: int


_ORIGIN = ((0, 0, 0, 0),)


@lru_cache(256)
def _forward(window, stride, padding, dilation, out):
    """The layout of x, and all taps."""
    reach = [[i * d for i in range(k)] for k, d in zip(window, dilation)]
    remainders = tuple(tuple(sorted({r % s for r in rs})) for rs, s in zip(reach, stride))
    plane = tuple(n + rs[-1] // s for n, rs, s in zip(out, reach, stride))
    taps = []
    for number, (h, w) in enumerate(product(*reach)):
        phase = remainders[0].index(h % stride[0]) * len(remainders[1]) + remainders[1].index(w % stride[1])
        taps.append((phase, h // stride[0], w // stride[1], number))
    return _Layout(stride, remainders, padding, plane), tuple(taps)


@lru_cache(256)
def _backward(window, size, stride, padding, dilation, out):
    """The layout of dy, and for each remainder of the input's place modulo the stride a target with its taps.

    Input i meets tap k in output (i + padding - k * dilation) / stride, where that is whole.
    """
    meets = []  # for each dimension and remainder: [(tap, output further on)]
    for k, s, p, d in zip(window, stride, padding, dilation):
        meets.append([[(i, (r + p - i * d) // s) for i in range(k) if (r + p - i * d) % s == 0] for r in range(s)])
    far = [[further for taps in dimension for _, further in taps] for dimension in meets]
    pad = tuple(-min(f) for f in far)
    counts = [[max(0, -(-(n - r) // s)) for r in range(s)] for n, s in zip(size, stride)]
    plane = tuple(max(c) + max(f) + p for c, f, p in zip(counts, far, pad))
    targets = []
    for rh, rw in product(range(stride[0]), range(stride[1])):
        taps = tuple((0, h + pad[0], w + pad[1], i * window[1] + j) for i, h in meets[0][rh] for j, w in meets[1][rw])
        targets.append(_Target(taps, (counts[0][rh], counts[1][rw]), rh * size[1] + rw, stride[0] * size[1], stride[1]))
    return _Layout((1, 1), ((0,), (0,)), pad, plane), tuple(t for t in targets if min(t.out))


def _correlate(x, layout, weights, targets, b, y):
    """Fill y (N, groups * rows, H, W): parts are some images and some blocks of rows."""
    if not y.size:
        return
    batch, channels = x.shape[:2]
    _, groups, rows, _, per_group, _ = weights
    blocks, area = -(-rows // gemm.ROWS), y.shape[2] * y.shape[3]
    x, out, letter = np.ascontiguousarray(x), y.reshape(-1), x.dtype.char
    bias = np.zeros((groups, blocks * gemm.ROWS), x.dtype)
    if b is not None:
        bias[:, :rows] = b.reshape(groups, rows)
    packed = [_pack(weights, target.taps) for target in targets]
    images = _images(batch, channels * layout.phases * layout.area * x.itemsize)
    together = _round(CACHE // (per_group * layout.phases * gemm.REGISTER + 1) + 1, gemm.VECTORS)
    chunks = parallel.chunks(batch, images)
    share = max(4, -(-blocks * len(chunks) // PARTS))  # blocks in a part; each part copies the images anew
    cuts = list(product(chunks, parallel.chunks(blocks, share)))

    def part(i):
        chunk, block = cuts[i]
        count = chunk.stop - chunk.start
        length = _length(layout, count, letter)
        planes = _planes(x, layout, chunk.start, chunk.stop)
        for target, matrices in zip(targets, packed):
            offsets = _offsets(layout, target.taps, per_group, length)
            vectors = _vectors(layout, target, count, y.shape[1] * area, letter)
            for g in range(groups):
                gemm.product(matrices[g], rows, per_group * len(target.taps), block.start, block.stop, bias[g],
                             planes[g * per_group * layout.phases * length:], offsets, *vectors, together,
                             out, (chunk.start * groups + g) * rows * area, area, target.step)

    parallel.run(part, len(cuts), 2 * y.size * max(m.shape[1] for m in packed))


def _pack(weights, taps):
    """For each group, the weights of these taps in the order in which `gemm.product` reads them."""
    w, groups, rows, row, channels, channel = weights
    column = (np.arange(channels)[:, None] * channel + np.array([t[3] for t in taps], np.int64)).reshape(-1)
    packed = np.empty((groups, _round(rows, gemm.ROWS) * len(column)), w.dtype)
    w = np.ascontiguousarray(w).reshape(-1)
    for g in range(groups):
        gemm.pack_rows(w, g * (len(w) // groups), row, column, rows, packed[g], 0)
    return packed


def _images(batch, size):
    """How many images of `size` bytes a part takes: what the cache holds, and few enough for PARTS parts."""
    most = min(max(1, CACHE // size), -(-batch // PARTS))
    return -(-batch // -(-batch // most))


def _round(n, step):
    return -(-n // step) * step


def _length(layout, images, letter):
    """Places in a plane of so many images: whole vectors."""
    return _round(images * layout.area, gemm.lanes(letter))


@lru_cache(256)
def _offsets(layout, taps, channels, length):
    """The address of each channel's tap before the place is added: (channels * taps,), and zeros to fill a tile."""
    phase, h, w, _ = np.array(taps, np.int64).reshape(-1, 4).T
    planes = np.arange(channels)[:, None] * layout.phases + phase
    return np.pad((planes * length + h * layout.plane[1] + w).reshape(-1), (0, gemm.RIGHT))


@lru_cache(256)
def _vectors(layout, target, images, image, letter):
    """The tables places, vectors, first and pieces of `gemm.product`, for results `image` apart in y from one image to the next.

    Vectors follow the rows of outputs, or run over the ends of the rows where fewer vectors are so needed.
    """
    lanes, (height, width) = gemm.lanes(letter), target.out
    n, i = (a.reshape(-1, 1) for a in np.divmod(np.arange(images * height), height))
    place, to = n * layout.area + i * layout.plane[1], n * image + i * target.row + target.start
    j = np.arange(width // lanes + 2)
    begin = np.maximum((place // lanes + j) * lanes - place, 0)  # pieces of a row, cut where a vector of the plane begins
    end = np.minimum((place // lanes + j + 1) * lanes - place, width)
    if len(np.unique((place + begin)[begin < end] // lanes)) >= images * height * -(-width // lanes):
        begin = np.broadcast_to(j * lanes, begin.shape)
        end = np.minimum(begin + lanes, width)
        place_of = place + begin
    else:
        place_of = (place + begin) // lanes * lanes
    real = begin < end
    places, vector = np.unique(place_of[real], return_inverse=True)
    pieces = np.stack([vector % gemm.VECTORS * lanes + (place + begin - place_of)[real], (end - begin)[real],
                       (to + begin * target.step)[real]], 1)
    first = np.searchsorted(vector, np.arange(len(places) + 1))
    fill = -len(places) % gemm.VECTORS
    return np.pad(places, (0, fill), "edge"), len(places), first, pieces.reshape(-1)


def _planes(x, layout, begin, end):
    """The images from `begin` to `end` as planes: (channels * phases * length + what vectors may read beyond,)."""
    channels, height, width = x.shape[1:]
    length = _length(layout, end - begin, x.dtype.char)
    out = memory.empty((channels * layout.phases * length + layout.area + gemm.lanes(x.dtype),), x.dtype)
    spread(x.reshape(-1), channels, height, width, begin, end, layout.step, *(_array(r) for r in layout.remainders), layout.pad,
           layout.plane, length, out)
    return out


@lru_cache(256)
def _array(numbers):
    return np.array(numbers, np.int64)


@jit
def spread(x, channels, height, width, begin, end, step, remainders_h, remainders_w, pad, plane, length, out):
    """out[channel, phase, image, i, j] = x[image, channel, i * step + remainder - pad, ...], zero outside x."""
    to = 0
    for channel in range(channels):
        for rh in remainders_h:
            for rw in remainders_w:
                first = max(0, -((rw - pad[1]) // step[1]))  # the columns inside x: first <= j < last
                last = min(plane[1], (width - 1 - rw + pad[1]) // step[1] + 1)
                first = min(first, plane[1])
                last = max(first, last)
                start = to
                for image in range(begin, end):
                    for i in range(plane[0]):
                        row = i * step[0] + rh - pad[0]
                        if row < 0 or row >= height:
                            out[to:to + plane[1]] = 0
                        else:
                            source = ((image * channels + channel) * height + row) * width + rw - pad[1]
                            out[to:to + first] = 0
                            if step[1] == 1:
                                for j in range(first, last):
                                    out[to + j] = x[source + j]
                            else:
                                for j in range(first, last):
                                    out[to + j] = x[source + j * step[1]]
                            out[to + last:to + plane[1]] = 0
                        to += plane[1]
                out[to:start + length] = 0
                to = start + length
    out[to:] = 0
