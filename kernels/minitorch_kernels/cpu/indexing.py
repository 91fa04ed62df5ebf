"""Numba versions of the indexing kernels."""
from __future__ import annotations

import numpy as np

from .. import memory, parallel
from .jit import jit

STRIP = 64  # columns that a thread takes at a time: rows may repeat, columns never meet


def add_rows(rows: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """Zeros (n, width) to which row i of `rows` is added at row index[i]."""
    out = memory.empty((n, rows.shape[1]), rows.dtype)
    strips = parallel.chunks(rows.shape[1], STRIP)
    parallel.run(lambda i: _add_strip(rows, index, out, strips[i].start, strips[i].stop), len(strips),
                 rows.size + out.size)
    return out


@jit
def _add_strip(rows, index, out, start, stop):
    out[:, start:stop] = 0
    for i in range(len(index)):
        at = index[i]
        for j in range(start, stop):
            out[at, j] += rows[i, j]


def gather(x: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    """The elements of `x` that `index`, of the same shape but for the axis, names along it."""
    out = memory.empty(index.shape, x.dtype)
    _in_lines(_gather_lines, x, index, out, axis)
    return out


def gather_dx(dy: np.ndarray, index: np.ndarray, axis: int, shape: tuple, once: bool = False) -> np.ndarray:
    """Zeros of `shape` to which each element of `dy` is added where `index` says."""
    out = memory.empty(shape, dy.dtype)
    out.fill(0)
    _in_lines(_add_lines, out, index, dy, axis)
    return out


def _in_lines(kernel, long: np.ndarray, index: np.ndarray, short: np.ndarray, axis: int) -> None:
    """Call a kernel for lines along the axis, which never meet: parts of them at a time."""
    inner = int(np.prod(index.shape[axis + 1:]))
    long, index, short = (a.reshape(-1, a.shape[axis], inner) for a in (long, index, short))
    parts = parallel.chunks(len(index), max(1, (1 << 15) // max(index.shape[1] * inner, 1)))
    parallel.run(lambda i: kernel(long, index, short, parts[i].start, parts[i].stop), len(parts), 4 * index.size)


@jit
def _gather_lines(x, index, out, start, stop):
    for outer in range(start, stop):
        for i in range(index.shape[1]):
            for j in range(index.shape[2]):
                out[outer, i, j] = x[outer, index[outer, i, j], j]


@jit
def _add_lines(out, index, dy, start, stop):
    for outer in range(start, stop):
        for i in range(index.shape[1]):
            for j in range(index.shape[2]):
                out[outer, index[outer, i, j], j] += dy[outer, i, j]
