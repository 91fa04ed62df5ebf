"""The ladder of matrix products: from three plain loops to threads, each rung with one idea more than that below it.

GFLOP/s in float32 on one core of a Xeon with AVX-512 (197 at most), for square matrices:

                      64    256    512   1024
    python         0.008  0.006
    loops            3.2    1.7    1.7    0.4
    rows              13     27     27     15
    blocked           11     25     30     27
    tiled             18     89     85     92
    packed            14    112    132    135
    threads, of 2     14    109    176    216
    dense.py          50    164    164    164      on 2 threads 166, 297, 307, 306
    BLAS             134    144    161    165      (OpenBLAS)
"""
from __future__ import annotations

from functools import partial
from math import prod

import numpy as np

from .. import memory, parallel
from ..cpu import vector
from ..cpu.jit import jit
from ..cpu.vector import lanes_of
from .tile import HEIGHT, VECTORS, tile

NEAR = 256  # k that are summed before the next: a strip of 32 KiB, beside a tile's rows in the L1 cache
SPREAD = 1 << 22  # multiplications worth a part
PARTS = 16  # parts at most


def in_turn(part, parts, work):
    """`parallel.run` for one thread."""
    for i in range(parts):
        part(i)


def python(a, b):
    """Three plain loops: the definition of the product, each step by the interpreter.

    Bound: the interpreter. It looks up names and types, makes three objects and destroys them for each product.
    """
    return _each_matrix(_three_loops, a, b)


def _three_loops(a, b, y):
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            total = y[i, j]
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            y[i, j] = total


def loops(a, b):
    """The same three loops, compiled: types are known before, so a product is one instruction.

    Lifts the interpreter. Bound: b is read down its columns, so each number of it costs a cache line.
    """
    return _each_matrix(_loops, a, b)


_loops = jit(_three_loops)


def rows(a, b):
    """Two loops exchanged: the innermost runs along rows of b and y, so one instruction does a vector of numbers.

    Lifts a cache line for each number. Bound: all of b comes through the cache for every row of y.
    """
    return _each_matrix(_rows, a, b)


@jit
def _rows(a, b, y):
    for i in range(y.shape[0]):
        for k in range(a.shape[1]):
            left, right, sums = a[i, k], b[k], y[i]
            for j in range(len(sums)):
                sums[j] += left * right[j]


def blocked(a, b):
    """Blocks of b that stay in a near cache while all rows of y use them.

    Lifts the traffic of b. Bound: a product still takes two loads and a store, since sums live in memory.
    """
    return _each_matrix(_blocked, a, b)


@jit
def _blocked(a, b, y):
    height, width = 64, 256  # of a block: 64 KiB in float32
    for j in range(0, y.shape[1], width):
        for k in range(0, a.shape[1], height):
            for i in range(y.shape[0]):
                for n in range(k, min(k + height, a.shape[1])):
                    left, right, sums = a[i, n], b[n, j:j + width], y[i, j:j + width]
                    for c in range(len(sums)):
                        sums[c] += left * right[c]


def tiled(a, b):
    """Tiles of y in vector registers: a sum is loaded and stored once, not once for each product.

    Lifts loads and stores: 24 multiply-adds of vectors for 14 loads. What fills no tile is left to the rung below.
    Bound: b's rows lie far apart, so each vector of a tile comes from another page of memory.
    """
    return _each_matrix(_tiled, a, b)


@jit
def _tiled(a, b, y):
    (m, n), depth, wide = y.shape, a.shape[1], VECTORS * lanes_of(y)
    down, across = m // HEIGHT * HEIGHT, n // wide * wide
    places, steps = np.arange(m) * depth, np.arange(depth)
    for k in range(0, depth, NEAR):
        for j in range(0, across, wide):
            for i in range(0, down, HEIGHT):
                tile(a.reshape(-1), places, i, steps, k, min(NEAR, depth - k),
                     b.reshape(-1), k * n + j, n, y.reshape(-1), i * n + j, n)
    _blocked(a, b[:, across:], y[:, across:])
    _blocked(a[down:], b[:, :across], y[down:, :across])


def packed(a, b):
    """b copied into strips as wide as a tile, k after k: a tile reads memory from the front to the back.

    Lifts the pages, and the edges: strips end in zeros, so that all tiles are whole. Bound: the arithmetic of one core.
    """
    return _each_matrix(_packed, a, b)


def _packed(a, b, y, run=in_turn):
    places = np.minimum(np.arange(len(a) + HEIGHT), len(a) - 1) * a.shape[1]
    over_addresses(a.reshape(-1), places, np.arange(a.shape[1]), b, y, run)


def over_addresses(x, places, steps, b, y, run):
    """y[i, j] += the sum over k of x[places[i] + steps[k]] * b[k, j]; `run` runs the parts into which y is cut.

    `places` goes on for a tile beyond the last row of y: what they sum is thrown away.
    """
    (m, n), depth, wide = y.shape, len(b), VECTORS * vector.lanes(b.dtype)
    strips = vector.empty(-(-n // wide) * depth * wide, b.dtype).reshape(-(-n // wide), depth, wide)
    _pack(b, strips)
    steps, parts = np.ascontiguousarray(steps), _cuts(m, len(strips), m * n * depth)
    run(lambda i: _over_strips(x, places, steps, strips, y, *parts[i]), len(parts), 2 * m * n * depth)


@jit
def _pack(b, strips):
    """strips[s, k, j] = b[k, s * wide + j], and zeros beyond the last column."""
    wide = strips.shape[2]
    for k in range(len(b)):
        for s in range(len(strips)):
            strip, line = strips[s, k], b[k, s * wide:(s + 1) * wide]
            for j in range(len(line)):
                strip[j] = line[j]
            for j in range(len(line), wide):
                strip[j] = 0


@jit
def _over_strips(x, places, steps, strips, y, first, last, left, right):
    """Rows `first` to `last` of y, and its strips `left` to `right`."""
    (m, n), (_, depth, wide) = y.shape, strips.shape
    edge = np.empty((HEIGHT, wide), y.dtype)
    for k in range(0, depth, NEAR):
        for s in range(left, right):
            for i in range(first, last, HEIGHT):
                height, width = min(HEIGHT, m - i), min(wide, n - s * wide)
                whole = height == HEIGHT and width == wide
                if not whole:
                    edge[:] = 0
                out, place, row = (y, i * n + s * wide, n) if whole else (edge, 0, wide)
                tile(x, places, i, steps, k, min(NEAR, depth - k), strips.reshape(-1), (s * depth + k) * wide, wide,
                     out.reshape(-1), place, row)
                if not whole:
                    y[i:i + height, s * wide:s * wide + width] += edge[:height, :width]


def threads(a, b):
    """y cut into parts, which all cores compute at the same time.

    Lifts one core's arithmetic. The parts follow from the shapes alone: the same bits for any number of threads.
    """
    return _each_matrix(partial(_packed, run=parallel.run), a, b, parallel.run)


def _cuts(m, strips, work):
    """First and last row, first and last strip of each part."""
    parts = min(PARTS, max(1, work // SPREAD))
    down = max(1, min(parts, m // HEIGHT))
    across = max(1, min(parts // down, strips))
    return [(some.start, some.stop, few.start, few.stop)
            for some in parallel.chunks(m, max(HEIGHT, -(-m // (HEIGHT * down)) * HEIGHT))
            for few in parallel.chunks(strips, -(-strips // across))]


def _each_matrix(kernel, a, b, run=in_turn):
    """a @ b by `kernel(a, b, y)`, which adds to y: for matrices, stacks of them (broadcast), and vectors."""
    down, across = (() if a.ndim == 1 else a.shape[-2:-1]), (() if b.ndim == 1 else b.shape[-1:])
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (a[None] if a.ndim < 2 else a), (b[:, None] if b.ndim == 1 else b)
    if a.shape[-1:] != b.shape[-2:-1]:
        np.matmul(a, b)  # raises NumPy's error
    a, b = (np.broadcast_to(x, (*batch, *x.shape[-2:])).reshape(prod(batch), *x.shape[-2:]) for x in (a, b))
    a, b = (np.require(x, requirements="CW") for x in (a, b))  # read-only arrays would be compiled for once more
    y = zeros((len(a), a.shape[1], b.shape[2]), a.dtype)
    if y.size and b.size:
        run(lambda i: kernel(a[i], b[i], y[i]), len(y), 2 * y.size * a.shape[2])
    return y.reshape((*batch, *down, *across))


def zeros(shape, dtype):
    """Zeros in recycled memory."""
    y = memory.empty(shape, dtype)
    y[:] = 0
    return y
