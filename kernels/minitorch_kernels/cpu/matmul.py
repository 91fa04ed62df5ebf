"""The ladder of matrix products: three loops, and blocks that stay in cache; dense.py has the last rung.

GFLOP/s in float32 on one thread of a Xeon with AVX-512, which can do 197:

    m x k x n             naive    blocked    tiles in registers    BLAS (OpenBLAS)
    64 x 64 x 64              3         12                    58                137
    64 x 1000 x 500           2         24                   135                140
    512 x 512 x 512           2         21                   158                167
"""
from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from .. import memory, parallel
from .jit import jit

SPREAD = 1 << 21  # multiplications in a part


def naive(a, b):
    """Three loops, one output after the other. b is read down its columns: a cache line for each number."""
    return _on_stacks(_naive, a, b)


def blocked(a, b):
    """The loops exchanged: the innermost runs along rows and vectorises, in blocks that stay in cache."""
    return _on_stacks(_blocked, a, b)


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
