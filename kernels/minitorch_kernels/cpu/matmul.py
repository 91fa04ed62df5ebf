"""The ladder of matrix products: three loops, blocks that stay in cache, packed tiles in registers.

GFLOP/s in float32 on one thread of a Xeon with AVX-512. BLAS wins at every size, so the table prefers it:

    m x k x n             naive    blocked    packed    BLAS (OpenBLAS)
    64 x 64 x 64              3         12        15                137
    200 x 200 x 200           3         29        85                149
    64 x 1000 x 500           2         24        70                130
    512 x 512 x 512           2         21       113                171
    2048 x 2048 x 2048                           144                171
"""
from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from .. import memory, parallel
from . import gemm, vector
from .jit import jit

CACHE = 1 << 20  # bytes of b that are finished for all rows before the next ones: half of an L2 cache
SPREAD = 1 << 21  # multiplications in a part


def naive(a, b):
    """Three loops, one output after the other. b is read down its columns: a cache line for each number."""
    return _on_stacks(_naive, a, b)


def blocked(a, b):
    """The loops exchanged: the innermost runs along rows and vectorises, in blocks that stay in cache."""
    return _on_stacks(_blocked, a, b)


def packed(a, b):
    """Tiles of y in registers, over copies of a and b in the order in which they are read.

    Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008).
    """
    a, b, out, shape = _stacks(a, b)
    if out.size:
        for i in range(len(out)):
            _packed(a[i], b[i], out[i])
    return out.reshape(shape)


def _stacks(a, b):
    """a (batch, m, k), b (batch, k, n), an empty y (batch, m, n), and the shape that y has to the caller."""
    rows, columns = (() if a.ndim == 1 else a.shape[-2:-1]), (() if b.ndim == 1 else b.shape[-1:])
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (a[None] if a.ndim < 2 else a), (b[:, None] if b.ndim == 1 else b)
    if a.shape[-1:] != b.shape[-2:-1]:
        np.matmul(a, b)  # raises NumPy's error
    a, b = (x if x.shape[:-2] == batch else np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b))
    a, b = (x.reshape(prod(batch), *x.shape[-2:]) for x in (a, b))
    return a, b, memory.empty((len(a), a.shape[1], b.shape[2]), a.dtype), (*batch, *rows, *columns)


def _on_stacks(kernel, a, b):
    a, b, out, shape = _stacks(a, b)
    if out.size:
        (batch, m, n), depth = out.shape, b.shape[1]
        a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
        cuts = list(product(range(batch), parallel.chunks(m, max(1, SPREAD // max(1, n * depth)))))

        def part(i):
            matrix, rows = cuts[i]
            kernel(a[matrix, rows], b[matrix], out[matrix, rows])

        parallel.run(part, len(cuts), 2 * out.size * depth)
    return out.reshape(shape)


@jit
def _naive(a, b, y):
    m, n = y.shape
    for i in range(m):
        for j in range(n):
            total = y.dtype.type(0)
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            y[i, j] = total


@jit
def _blocked(a, b, y):
    m, n = y.shape
    depth, height, width = a.shape[1], 128, 512  # 128 rows of 512 numbers of b: 256 KiB in float32
    y[:] = 0
    for j0 in range(0, n, width):
        for k0 in range(0, depth, height):
            for i in range(m):
                for k in range(k0, min(k0 + height, depth)):
                    left, right, sums = a[i, k], b[k, j0:j0 + width], y[i, j0:j0 + width]
                    for j in range(len(sums)):
                        sums[j] += left * right[j]


def _packed(a, b, y):
    (m, n), depth = y.shape, a.shape[1]
    wide, work = gemm.VECTORS * vector.lanes(y.dtype), m * n * depth
    blocks, panels, parts = -(-m // gemm.ROWS), -(-n // wide), min(max(1, work // SPREAD), 8)
    left = vector.empty(blocks * gemm.ROWS * depth, y.dtype)
    right = vector.empty(panels * wide * depth, y.dtype)
    (a, row, step), (b, b_row, b_step) = _flat(a), _flat(b)
    block_cuts, panel_cuts = (parallel.chunks(count, -(-count // parts)) for count in (blocks, panels))

    def pack_a(i):
        first, last = block_cuts[i].start, block_cuts[i].stop
        gemm.pack_rows(a, 1, 0, row, _steps(depth, step), m, gemm.ROWS, first, last, left)

    def pack_b(i):
        _pack_columns(b, b_row, b_step, n, panel_cuts[i].start, panel_cuts[i].stop, wide, depth, right)

    parallel.run(pack_a, len(block_cuts), m * depth)
    parallel.run(pack_b, len(panel_cuts), n * depth)
    vectors, places, first, pieces = _tables(depth, n, y.dtype.char)
    offsets, bias, y = _steps(depth, wide), np.zeros(blocks * gemm.ROWS, y.dtype), y.reshape(-1)
    together = gemm.VECTORS * max(1, CACHE // (wide * max(1, depth) * y.itemsize))
    if panels > blocks:  # cut the longer side: each part reads all of the other operand
        cuts = list(product([slice(0, blocks)], panel_cuts))
    else:
        cuts = list(product(block_cuts, [slice(0, panels)]))

    def part(i):
        block, panel = cuts[i]
        v0, v1 = panel.start * gemm.VECTORS, min(panel.stop * gemm.VECTORS, vectors)
        gemm.product(left, bias, 0, 1, m, depth, block.start, block.stop, right, 0, offsets, places[v0:],
                     v1 - v0, first, pieces[3 * v0:], True, together, y, 0, n, 1, False)

    parallel.run(part, len(cuts), 2 * work)


@jit
def _pack_columns(b, row, step, n, panel0, panel1, wide, depth, out):
    """out[panel, k, j] = b[k, panel * wide + j], zero beyond the last column."""
    for panel in range(panel0, panel1):
        start = panel * wide
        count = min(wide, n - start)
        for k in range(depth):
            to, source = (panel * depth + k) * wide, k * row + start * step
            if step == 1:
                for j in range(count):
                    out[to + j] = b[source + j]
            else:
                for j in range(count):
                    out[to + j] = b[source + j * step]
            for j in range(count, wide):
                out[to + j] = 0


def _flat(x):
    """The numbers of a matrix in a row, and the distances there between its rows and between its columns."""
    if x.flags.f_contiguous:
        return x.T.reshape(-1), 1, x.shape[0]
    return np.ascontiguousarray(x).reshape(-1), x.shape[1], 1


@lru_cache(256)
def _steps(count, step):
    return np.arange(count) * step


@lru_cache(256)
def _tables(depth, n, letter):
    """For `gemm.product`: how many vectors, their places in the panels, and one piece of y for each."""
    lanes, vectors = vector.lanes(letter), -(-n // vector.lanes(letter))
    panel, inside = np.divmod(np.arange(vectors + -vectors % gemm.VECTORS), gemm.VECTORS)
    start = (panel * gemm.VECTORS + inside) * lanes
    pieces = np.stack([0 * start, np.minimum(lanes, n - start), start], 1)
    places = (panel * gemm.VECTORS * depth + inside) * lanes
    return vectors, places, np.arange(vectors + 1), pieces.reshape(-1)
