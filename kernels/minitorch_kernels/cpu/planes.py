"""Where the images of a convolution lie: planes of channels with their zeros, and tables of addresses there.

All of it follows from shapes alone.
"""
from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from . import gemm, tall, vector

ORIGIN = ((0, 0, 0, 0),)  # the one tap of a plane that is read as it lies


class Layout(NamedTuple):
    """How an image lies in planes.

    Plane (rh, rw), one for each pair of remainders, has in place (i, j)
    x[i * step + rh - pad, j * step + rw - pad].
    """

    step: tuple[int, int]
    remainders: tuple[tuple[int, ...], tuple[int, ...]]
    pad: tuple[int, int]
    plane: tuple[int, int]
    reach: int  # how far beyond a place its taps read

    @property
    def phases(self) -> int:
        """Planes of a channel."""
        return len(self.remainders[0]) * len(self.remainders[1])

    @property
    def area(self) -> int:
        """Places of an image in a plane."""
        return self.plane[0] * self.plane[1]

    def plain(self) -> Layout:
        """The same places for an array that is neither padded nor split."""
        return Layout((1, 1), ((0,), (0,)), (0, 0), self.plane, 0)


class Target(NamedTuple):
    """Results that the same taps meet, and where in a channel of the output they lie."""

    taps: tuple[tuple[int, int, int, int], ...]  # phase; rows and columns further on; number in the window
    out: tuple[int, int]
    start: int
    row: int
    step: int


def outputs(window, size, stride, padding, dilation):
    """The spatial shape of a convolution's output."""
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1
                 for n, k, s, p, d in zip(size, window, stride, padding, dilation))


def forward(window, size, stride, padding, dilation):
    """The layout of x, and all taps."""
    reach = [[i * d for i in range(k)] for k, d in zip(window, dilation)]
    remainders = tuple(tuple(sorted({r % s for r in rs})) for rs, s in zip(reach, stride))
    out = outputs(window, size, stride, padding, dilation)
    plane = tuple(_shared(n, rs[-1] // s, m, s, [r - p for r in phases])
                  for n, rs, s, m, p, phases in zip(out, reach, stride, size, padding, remainders))
    taps = []
    for number, (h, w) in enumerate(product(*reach)):
        phase = remainders[0].index(h % stride[0]) * len(remainders[1]) + remainders[1].index(w % stride[1])
        taps.append((phase, h // stride[0], w // stride[1], number))
    return Layout(stride, remainders, padding, plane, _reach(plane, taps)), tuple(taps)


def backward(window, size, stride, padding, dilation):
    """The layout of dy, and for each remainder of the input's place modulo the stride a target with its taps.

    Input i meets tap k in output (i + padding - k * dilation) / stride, where that is whole.
    """
    meets = []  # for each dimension and remainder: [(tap, outputs further on)]
    for k, s, p, d in zip(window, stride, padding, dilation):
        meets.append([[(i, (r + p - i * d) // s) for i in range(k) if (r + p - i * d) % s == 0]
                      for r in range(s)])
    far = [[further for taps in dimension for _, further in taps] for dimension in meets]
    pad = tuple(-min(f) for f in far)
    counts = [[max(0, -(-(n - r) // s)) for r in range(s)] for n, s in zip(size, stride)]
    out = outputs(window, size, stride, padding, dilation)
    plane = tuple(_shared(max(c), max(f) + p, n, 1, [-p]) for c, f, p, n in zip(counts, far, pad, out))
    targets = []
    for rh, rw in product(range(stride[0]), range(stride[1])):
        taps = tuple((0, h + pad[0], w + pad[1], i * window[1] + j)
                     for (i, h), (j, w) in product(meets[0][rh], meets[1][rw]))
        out = counts[0][rh], counts[1][rw]
        targets.append(Target(taps, out, rh * size[1] + rw, stride[0] * size[1], stride[1]))
    reach = _reach(plane, [tap for target in targets for tap in target.taps])
    return Layout((1, 1), ((0,), (0,)), pad, plane, reach), tuple(t for t in targets if min(t.out))


def _shared(places, reach, size, step, shifts):
    """Rows (or columns) of a plane for so many places of output, and taps that reach so much further.

    Zeros at the end are left out where the next plane (or row) begins with as many, for a tap to find.
    """
    count = places + reach
    zeros = [reach]
    for shift in shifts:
        zeros += [-(shift // step), count - (size - 1 - shift) // step - 1]
    return count - max(0, min(zeros))


def _reach(plane, taps):
    return max(h * plane[1] + w for _, h, w, _ in taps)


def length(layout, images, letter):
    """Places of so many images in a plane: whole vectors."""
    return _up(images * layout.area, vector.lanes(letter))


def columns(taps, channels, channel):
    """Where in w the weights of these taps lie, for channels so far apart: (channels * taps,)."""
    numbers = np.array([number for *_, number in taps], np.int64)
    return (np.arange(channels)[:, None] * channel + numbers).reshape(-1)


def offsets(layout, taps, channels, size):
    """What each channel's tap adds to a place's address: (channels * taps,), and zeros to fill a tile."""
    phase, h, w, _ = np.array(taps, np.int64).reshape(-1, 4).T
    planes = np.arange(channels)[:, None] * layout.phases + phase
    table = (planes * size + h * layout.plane[1] + w).reshape(-1)
    return np.pad(table, (0, max(gemm.LEFT, gemm.RIGHT, tall.PLACES)))


def places(layout, out, images):
    """The address in a plane of each output of so many images, in order, and some to fill a tile."""
    n, i, j = np.ix_(np.arange(images), np.arange(out[0]), np.arange(out[1]))
    return np.pad((n * layout.area + i * layout.plane[1] + j).reshape(-1), (0, tall.PLACES))


def vectors(layout, target, images, image, letter):
    """The arguments places, vectors, first, pieces and simple of `gemm.product`.

    `image` lies between two images in the output. Vectors follow the rows of outputs, or run over the ends of
    rows where fewer are so needed.
    """
    lanes, (height, width) = vector.lanes(letter), target.out
    n, i = (a.reshape(-1, 1) for a in np.divmod(np.arange(images * height), height))
    place, to = n * layout.area + i * layout.plane[1], n * image + i * target.row + target.start
    j = np.arange(width // lanes + 2)
    cut = (place // lanes + j) * lanes  # rows in pieces, cut where a vector of the plane begins
    begin, end, of = np.maximum(cut - place, 0), np.minimum(cut + lanes - place, width), cut
    if len(np.unique(of[begin < end])) >= images * height * -(-width // lanes):
        begin = np.broadcast_to(j * lanes, cut.shape)
        end, of = np.minimum(begin + lanes, width), place + begin
    real = begin < end
    places, which = np.unique(of[real], return_inverse=True)
    pieces = np.stack([(place + begin - of)[real], (end - begin)[real], (to + begin * target.step)[real]], 1)
    first = np.searchsorted(which, np.arange(len(places) + 1))
    simple = len(pieces) == len(places) and not pieces[:, 0].any()
    return _fill(places), len(places), first, _fill(pieces, 0).reshape(-1), simple


def _fill(table, *value):
    """The table with further rows to fill a tile that begins in it: the last one again, or this value."""
    more = max(gemm.VECTORS, gemm.THIN) - 1
    return np.concatenate([table, np.broadcast_to(value or table[-1:], (more, *table.shape[1:]))])


def _up(n, step):
    return -(-n // step) * step
