"""The ladder of matrix products: three loops, blocks that stay in cache, packed tiles in registers.

float32, GFLOP/s on 1 / 2 threads of a Xeon with AVX-512, beside BLAS (OpenBLAS; blas.py), which the table therefore
prefers at every size:

                        naive        blocked        packed           BLAS
@@
"""
from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from .. import memory, parallel
from . import gemm
from .jit import jit

CACHE = 1 << 20  # bytes of b's panels that are finished for all rows before the next ones: half of an L2 cache
SPREAD = 1 << 21  # multiplications in a part


def naive(a, b):
    """Three loops, one output after the other. b is read down its columns: a cache line for each number."""
    return _on_stacks(_naive, a, b)


def blocked(a, b):
    """The loops exchanged, so that the innermost runs along rows of b and y and vectorises, in blocks that stay in cache."""
    return _on_stacks(_blocked, a, b)


def packed(a, b):
    """Tiles of y in registers, over copies of a and b in the very order in which they are read (Goto, van de Geijn, 2008)."""
    a, b, out, shape = _stacks(a, b)
    if out.size:
        for i in range(len(out)):
            _packed(a[i], b[i], out[i])
    return out.reshape(shape)


def _stacks(a, b):
    """a (batch, m, k) and b (batch, k, n), an empty y (batch, m, n), and the shape that y has to the caller."""
    shape = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rows, columns = (() if a.ndim == 1 else a.shape[-2:-1]), (() if b.ndim == 1 else b.shape[-1:])
    a, b = (a[None] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)
    if a.shape[-1] != b.shape[-2]:
        np.matmul(a, b)  # raises NumPy's error
    a, b = (np.broadcast_to(x, (*shape, *x.shape[-2:])) for x in (a, b))
    out = memory.empty((*shape, a.shape[-2], b.shape[-1]), a.dtype)
    batch = prod(shape)
    return (a.reshape(batch, *a.shape[-2:]), b.reshape(batch, *b.shape[-2:]), out.reshape(batch, *out.shape[-2:]),
            (*shape, *rows, *columns))


def _on_stacks(kernel, a, b):
    a, b, out, shape = _stacks(a, b)
    batch, m, n = out.shape
    if out.size:
        a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
        step = max(1, SPREAD // max(1, n * b.shape[1]))
        cuts = list(product(range(batch), parallel.chunks(m, step)))

        def part(i):
            matrix, rows = cuts[i]
            kernel(a[matrix, rows], b[matrix], out[matrix, rows])

        parallel.run(part, len(cuts), 2 * out.size * b.shape[1])
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
    blocks, wide = -(-m // gemm.ROWS), gemm.VECTORS * gemm.lanes(y.dtype)
    panels, panel = -(-n // wide), wide * depth
    left = gemm.empty(blocks * gemm.ROWS * depth, y.dtype)
    right = gemm.empty(panels * panel, y.dtype)
    (a, row, step), (b, b_row, b_step) = _flat(a), _flat(b)
    work = m * n * depth
    parts = min(max(1, work // SPREAD), 8)
    lines, packs = parallel.chunks(blocks, -(-blocks // parts)), parallel.chunks(panels, -(-panels // parts))
    parallel.run(lambda i: gemm.pack_rows(a, 1, 0, row, _steps(depth, step), m, gemm.ROWS, lines[i].start, lines[i].stop, left),
                 len(lines), m * depth)
    parallel.run(lambda i: _pack_columns(b, b_row, b_step, n, packs[i].start, packs[i].stop, wide, depth, right), len(packs),
                 panels * panel)
    vectors, places, first, pieces = _tables(depth, n, y.dtype.char)
    offsets, bias = _steps(depth, wide), np.zeros(blocks * gemm.ROWS, y.dtype)
    together = gemm.VECTORS * max(1, CACHE // (panel * y.itemsize + 1))
    cuts = parallel.chunks(vectors, gemm.VECTORS * -(-panels // parts)) if panels > blocks else [slice(0, vectors)]
    cuts = list(product(cuts, parallel.chunks(blocks, -(-blocks // parts) if panels <= blocks else blocks)))

    def part(i):
        v, block = cuts[i]
        gemm.product(left, bias, 0, 1, m, depth, block.start, block.stop, right, 0, offsets, places[v], v.stop - v.start,
                     first, pieces[3 * v.start:], True, together, y.reshape(-1), 0, n, 1, False)

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
            out[to + count:to + wide] = 0


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
    lanes = gemm.lanes(letter)
    vectors = -(-n // lanes)
    v = np.arange(_up(vectors, gemm.VECTORS))
    places = (v // gemm.VECTORS * gemm.VECTORS * depth + v % gemm.VECTORS) * lanes
    pieces = np.stack([0 * v, np.minimum(lanes, n - v * lanes), v * lanes], 1)
    return vectors, places, np.arange(vectors + 1), pieces.reshape(-1)


def _up(n, step):
    return -(-n // step) * step
