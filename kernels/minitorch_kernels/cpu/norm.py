"""Normalisation on the CPU: statistics, then one affine pass while the data are still in the cache.

Sums are taken in float64 and of distances d from an element of the group itself, so that one pass over the data gives
both moments without the cancellation of E[x²] - E[x]²: var = mean(d²) - mean(d)², where mean(d)² is at most m var for
m elements (Chan, Golub and LeVeque 1983). Float32 rounds a large mean, and what it loses is added again in the offset:
y = (x - c) s + (b - (mean - c) s) with c = float32(mean).
"""
from __future__ import annotations

import math

import numpy as np

from .. import memory, parallel
from .jit import jit

PART = 1 << 16  # elements in one part of the work
RUN = 32  # batch norm: planes shorter than this are handled as columns of the (N, C S) matrix
COLUMNS = 1024  # columns in one part: their sums stay in the first-level cache
U = np.uint64  # as an index it needs no test for counting from the end, which would keep loops from vectorising


def batch_norm(x, w, b, eps):
    """See `minitorch_kernels.norm.batch_norm`."""
    x3, y, mean, var = _planes(x), memory.empty(x.shape, x.dtype), *np.empty((2, x.shape[1]), x.dtype)
    w, b, y3 = _filled(w, mean, 1), _filled(b, mean, 0), _planes(y)
    work = _batch_planes if x3.shape[2] >= RUN else _batch_columns
    _channels(x3, lambda low, high: work(x3, w, b, eps, mean, var, y3, low, high))
    return y, mean, var


def batch_norm_backward(dy, x, w, eps, stats=None):
    """See `minitorch_kernels.norm.batch_norm_backward`."""
    x3, dy3, dx = _planes(x), _planes(dy), memory.empty(x.shape, x.dtype)
    mean, rstd = stats or _batch_stats(x3, eps)
    return _batch_backward(dy3, x3, w, mean, rstd, dx, True)


def batch_norm_apply(x, w, b, mean, var, eps):
    """See `minitorch_kernels.norm.batch_norm_apply`."""
    x3, y = _planes(x), memory.empty(x.shape, x.dtype)
    scale = 1 / np.sqrt(np.asarray(var, np.float64) + eps) * (1 if w is None else w)
    centre = np.asarray(mean, x.dtype)
    offset = (centre - np.asarray(mean, np.float64)) * scale + (0 if b is None else b)
    _affine_planes(x3, centre, scale.astype(x.dtype), offset.astype(x.dtype), _planes(y))
    return y


def batch_norm_apply_backward(dy, x, w, mean, var, eps):
    """See `minitorch_kernels.norm.batch_norm_apply_backward`."""
    x3, dy3, dx = _planes(x), _planes(dy), memory.empty(x.shape, x.dtype)
    rstd = 1 / np.sqrt(np.asarray(var, np.float64) + eps)
    return _batch_backward(dy3, x3, w, mean, rstd, dx, False)
