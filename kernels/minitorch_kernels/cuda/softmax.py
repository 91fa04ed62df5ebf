"""Softmax on the GPU: which kernel of softmax.cu runs on what grid."""
from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .build import FLOATS, Program, ctype
from .launching import contiguous, fits_vectors, grid_of_rows, grid_of_threads
from .lazily import cupy

KINDS = ("Softmax", "LogSoftmax")
program = Program("softmax.cu", {"rows": (KINDS, FLOATS, (False, True)), "rows_dx": (KINDS, FLOATS, (False, True)),
                                 "columns": (KINDS, FLOATS), "columns_dx": (KINDS, FLOATS)})


def softmax(x: Any, dim: Any) -> Any:
    return _along(x.ndim, dim, "", "Softmax", x)


def softmax_dx(dy: Any, y: Any, dim: Any) -> Any:
    return _along(y.ndim, dim, "_dx", "Softmax", dy, y)


def log_softmax(x: Any, dim: Any) -> Any:
    return _along(x.ndim, dim, "", "LogSoftmax", x)


def log_softmax_dx(dy: Any, y: Any, dim: Any) -> Any:
    return _along(y.ndim, dim, "_dx", "LogSoftmax", dy, y)


def _along(ndim: int, dim: Any, suffix: str, kind: str, *arrays: Any) -> Any:
    arrays = tuple(contiguous(*arrays))
    x = arrays[-1]
    shape, kept = x.shape, ctype(x)
    dim = (dim if isinstance(dim, int) else dim[0]) % ndim
    n, inner = shape[dim], prod(shape[dim + 1:])
    count = x.size // n
    out = cupy.empty(shape, x.dtype)
    if inner > 1:
        program.launch("columns" + suffix, (kind, kept), *grid_of_threads(count),
                       (*arrays, out, np.int64(count), np.int32(n), np.int64(inner)))
        return out
    program.launch("rows" + suffix, (kind, kept, fits_vectors(n, *arrays)), *grid_of_rows(count, n),
                   (*arrays, out, np.int64(count), np.int32(n)))
    return out
