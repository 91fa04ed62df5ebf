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
