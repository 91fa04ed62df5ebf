"""Where the images of a convolution lie: planes of channels with their zeros, and tables of addresses there.

All of it follows from shapes alone. There are always three dimensions: an image without depth has depth 1.
"""
from __future__ import annotations

from itertools import pairwise, product
from math import prod
from typing import NamedTuple

import numpy as np

from .. import parallel
from . import gemm, tall, vector

ORIGIN = ((0, 0, 0, 0, 0),)  # the one tap of a plane that is read as it lies


class Layout(NamedTuple):
    """How an image lies in planes.

    Plane (rd, rh, rw), one for each triple of remainders, has in place (h, i, j)
    x[h * step + rd - pad, i * step + rh - pad, j * step + rw - pad].
    """

    step: tuple[int, int, int]
    remainders: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    pad: tuple[int, int, int]
    plane: tuple[int, int, int]
    reach: int  # how far beyond a place its taps read

    @property
    def phases(self) -> int:
        """Planes of a channel."""
        return prod(map(len, self.remainders))

    @property
    def area(self) -> int:
        """Places of an image in a plane."""
        return prod(self.plane)

    def plain(self) -> Layout:
        """The same places for an array that is neither padded nor split."""
        return Layout((1, 1, 1), ((0,),) * 3, (0, 0, 0), self.plane, 0)


class Target(NamedTuple):
    """Results that the same taps meet, and where in a channel of the output they lie."""

    taps: tuple[tuple[int, int, int, int, int], ...]  # phase; places further on; number in the window
    out: tuple[int, int, int]
    start: int
    apart: tuple[int, int, int]  # between slices, rows and numbers of a row


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
    for number, tap in enumerate(product(*reach)):
        phase = 0
        for i, s, phases in zip(tap, stride, remainders):
            phase = phase * len(phases) + phases.index(i % s)
        taps.append((phase, *(i // s for i, s in zip(tap, stride)), number))
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
    pad = tuple(max(0, -min(f)) for f in far)
    counts = [[max(0, -(-(n - r) // s)) for r in range(s)] for n, s in zip(size, stride)]
    out = outputs(window, size, stride, padding, dilation)
    plane = tuple(_shared(max(c), max(f) + p, n, 1, [-p]) for c, f, p, n in zip(counts, far, pad, out))
    targets = []
    area, row = size[1] * size[2], size[2]
    for d, h, w in product(*map(range, stride)):
        taps = tuple((0, *(far + p for (_, far), p in zip(tap, pad)),
                      (tap[0][0] * window[1] + tap[1][0]) * window[2] + tap[2][0])
                     for tap in product(meets[0][d], meets[1][h], meets[2][w]))
        out, apart = (counts[0][d], counts[1][h], counts[2][w]), (stride[0] * area, stride[1] * row, stride[2])
        targets.append(Target(taps, out, d * area + h * row + w, apart))
    reach = _reach(plane, [tap for target in targets for tap in target.taps])
    return Layout((1, 1, 1), ((0,),) * 3, pad, plane, reach), tuple(t for t in targets if min(t.out))


def _shared(places, reach, size, step, shifts):
    """Slices (or rows, or columns) of a plane for so many places of output, and taps that reach so much further.

    Zeros at the end are left out where the next plane (slice, row) begins with as many, for a tap to find.
    """
    count = places + reach
    zeros = [reach]
    for shift in shifts:
        zeros += [-(shift // step), count - (size - 1 - shift) // step - 1]
    return count - max(0, min(zeros))


def _reach(plane, taps):
    return max((d * plane[1] + h) * plane[2] + w for _, d, h, w, _ in taps)


def length(layout, images, letter):
    """Places of so many images in a plane: whole vectors."""
    return up(images * layout.area, vector.lanes(letter))


def columns(taps, channels, channel):
    """Where in w the weights of these taps lie, for channels so far apart: (channels * taps,)."""
    numbers = np.array([number for *_, number in taps], np.int64)
    return (np.arange(channels)[:, None] * channel + numbers).reshape(-1)


def offsets(layout, taps, channels, size):
    """What each channel's tap adds to a place's address: (channels * taps,), and zeros to fill a tile."""
    phase, d, h, w, _ = np.array(taps, np.int64).reshape(-1, 5).T
    planes = np.arange(channels)[:, None] * layout.phases + phase
    table = (planes * size + (d * layout.plane[1] + h) * layout.plane[2] + w).reshape(-1)
    return np.pad(table, (0, max(gemm.LEFT, gemm.RIGHT, tall.PLACES)))


def places(layout, out, images):
    """The address in a plane of each output of so many images, in order, and some to fill a tile."""
    n, h, i, j = np.ix_(*map(np.arange, (images, *out)))
    _, height, width = layout.plane
    return np.pad((n * layout.area + (h * height + i) * width + j).reshape(-1), (0, tall.PLACES))


def vectors(layout, target, images, image, letter):
    """The arguments places, vectors, first, pieces and simple of `gemm.product`.

    `image` lies between two images in the output. Vectors follow the rows of outputs, or run over the ends of
    rows where fewer are so needed.
    """
    lanes, (depth, height, width), (slab, row, step) = vector.lanes(letter), target.out, target.apart
    n, h, i = (a.reshape(-1, 1) for a in np.unravel_index(np.arange(images * depth * height), (images, depth, height)))
    place = n * layout.area + (h * layout.plane[1] + i) * layout.plane[2]
    to = n * image + h * slab + i * row + target.start
    j = np.arange(width // lanes + 2)
    cut = (place // lanes + j) * lanes  # rows in pieces, cut where a vector of the plane begins
    begin, end, of = np.maximum(cut - place, 0), np.minimum(cut + lanes - place, width), cut
    if len(np.unique(of[begin < end])) >= len(n) * -(-width // lanes):
        begin = np.broadcast_to(j * lanes, cut.shape)
        end, of = np.minimum(begin + lanes, width), place + begin
    real = begin < end
    places, which = np.unique(of[real], return_inverse=True)
    pieces = np.stack([(place + begin - of)[real], (end - begin)[real], (to + begin * step)[real]], 1)
    first = np.searchsorted(which, np.arange(len(places) + 1))
    simple = len(pieces) == len(places) and not pieces[:, 0].any()
    return _fill(places), len(places), first, _fill(pieces, 0).reshape(-1), simple


def _fill(table, *value):
    """The table with further rows to fill a tile that begins in it: the last one again, or this value."""
    more = gemm.VECTORS - 1
    return np.concatenate([table, np.broadcast_to(value or table[-1:], (more, *table.shape[1:]))])


class Tables:
    """Tables of addresses, one after the other in one array."""

    def __init__(self):
        self.all, self.length = [], 0

    def add(self, table):
        """Where the table begins."""
        self.all.append(table)
        self.length += len(table)
        return self.length - len(table)

    def array(self):
        return np.concatenate(self.all).astype(np.int64)


def spreading(layout, size, plain=()):
    """What `gemm.spread` wants to know of images of this size, and of others that lie as they are."""
    phases = [phase(layout, size, remainders) for remainders in product(*layout.remainders)]
    if plain:
        phases += [phase(layout.plain(), plain)]
    return layout.step, array(phases), layout.plane


def phase(layout, size, remainders=(0, 0, 0)):
    """What is added to (d, h, w) * step, and the first and last d, h and w inside the image."""
    shifts = [r - p for r, p in zip(remainders, layout.pad)]
    return [*shifts, *(i for axis in zip(size, layout.step, shifts, layout.plane) for i in _inside(*axis))]


def _inside(size, step, shift, count):
    """The range of i below `count` for which i * step + shift is a place in x."""
    first = min(max(0, -(shift // step)), count)
    return first, max(first, min(count, (size - 1 - shift) // step + 1))


def array(numbers):
    return np.array(numbers, np.int64).reshape(-1)


def rooms(size, dtype):
    """Room for the planes of a part, for each thread, and which of it is taken."""
    threads = parallel.get_num_threads()
    return vector.empty(threads * size, dtype), np.zeros(threads, np.int64)


def evenly(total, most):
    """Slices of so many at most, all about as long."""
    cuts = -(-total // max(1, most))
    ends = [total * i // cuts for i in range(cuts + 1)]
    return [slice(*pair) for pair in pairwise(ends)]


def up(n, step):
    return -(-n // step) * step
