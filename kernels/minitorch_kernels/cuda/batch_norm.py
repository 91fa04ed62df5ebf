"""Batch norm on the GPU: which kernels of batch_norm.cu run on what grid."""
from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import cupy
import numpy as np

from .build import FLOATS, Program, ctype
from .norm import NULL, aligned, computed, contiguous, full, or_null

PLANES, WIDE_PLANES, COLUMNS = LAYOUTS = (0, 1, 2)
SUM, APPLY = 1, 2
NO, YES = np.bool_(False), np.bool_(True)
BLOCKS = 1056  # eight for each multiprocessor of an H100 or H200
SMALL = 4096  # vectors of a channel that one block takes: a second launch would cost more than waiting for it
program = Program("batch_norm.cu", dict.fromkeys(("batch_norm", "batch_norm_dx"), (FLOATS, LAYOUTS)))


def batch_norm(x: Any, w: Any, b: Any, eps: float) -> tuple:
    x, w, b = contiguous(x, w, b)
    layout, (grid, parted), block = _plan(x.shape, x.itemsize, aligned(x))
    y = cupy.empty(x.shape, x.dtype)
    mean, var = [cupy.empty(x.shape[1:2], computed(x)) for _ in range(2)]
    parts = cupy.empty((parted, 2, x.shape[1]), mean.dtype) if parted > 1 else None
    for stages in (SUM, APPLY) if parted > 1 else (SUM | APPLY,):
        program.launch("batch_norm", (ctype(x), layout), (grid, parted), block,
                       (x, or_null(w), or_null(b), full(x, w, b), y, mean, var, or_null(parts), np.int32(stages),
                        np.int32(parted), NO, *_sizes(x), mean.dtype.type(eps)))
    return y, mean, var


def batch_norm_backward(dy: Any, x: Any, w: Any, eps: float, stats: Any = None) -> tuple:
    if stats is None:
        _, mean, var = batch_norm(x, None, None, eps)
        stats = mean, 1 / cupy.sqrt(var + eps)
    return _backward(dy, x, w, *stats, eps, False)


def batch_norm_apply(x: Any, w: Any, b: Any, mean: Any, var: Any, eps: float) -> Any:
    x, w, b = contiguous(x, w, b)
    mean, var = _wide(x, mean, var)
    layout, grid, block = _plan(x.shape, x.itemsize, aligned(x))
    y = cupy.empty(x.shape, x.dtype)
    program.launch("batch_norm", (ctype(x), layout), grid, block,
                   (x, or_null(w), or_null(b), full(x, w, b), y, mean, var, NULL, np.int32(APPLY), np.int32(1), YES,
                    *_sizes(x), mean.dtype.type(eps)))
    return y


def batch_norm_apply_backward(dy: Any, x: Any, w: Any, mean: Any, var: Any, eps: float) -> tuple:
    return _backward(dy, x, w, mean, var, eps, True)


def _backward(dy: Any, x: Any, w: Any, mean: Any, spread: Any, eps: float, constant: bool) -> tuple:
    dy, x, w = contiguous(dy, x, w)
    mean, spread = _wide(x, mean, spread)
    layout, (grid, parted), block = _plan(x.shape, x.itemsize, aligned(dy, x))
    dx, like = cupy.empty(x.shape, x.dtype), x if w is None else w
    dw, db = [cupy.empty(x.shape[1:2], like.dtype) for _ in range(2)]
    parts = cupy.empty((parted, 3, x.shape[1]), mean.dtype) if parted > 1 else None
    for stages in (SUM, APPLY) if parted > 1 else (SUM | APPLY,):
        again = 1 if constant and stages == APPLY else parted  # then sums alone are left to do
        program.launch("batch_norm_dx", (ctype(x), layout), (grid, again), block,
                       (dy, x, or_null(w), full(x, w), mean, spread, dx, dw, db, or_null(parts), np.int32(stages),
                        np.int32(parted), np.bool_(constant), *_sizes(x), mean.dtype.type(eps)))
    return dx, dw, db


@lru_cache(1024)
def _plan(shape: tuple, itemsize: int, aligned: bool) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """Layout, (blocks beside each other, parts of a channel), and the block."""
    items, channels, plane = *shape[:2], prod(shape[2:])
    if plane == 1:
        blocks, rows = -(-channels // 32), min(32, 1 << (items - 1).bit_length())
        parts = 1 if items <= 16 * rows else min(64, -(-BLOCKS // blocks), items // (4 * rows))
        return COLUMNS, (blocks, parts), (32, rows)
    layout = WIDE_PLANES if aligned and plane * itemsize % 16 == 0 else PLANES
    vectors = items * plane * itemsize // 16 if layout == WIDE_PLANES else items * plane
    if vectors <= SMALL:
        return layout, (channels, 1), (min(512, max(32, 1 << (vectors - 1).bit_length() >> 1)), 1)
    return layout, (channels, min(-(-BLOCKS // channels), vectors // 1024)), (256, 1)


def _sizes(x: Any) -> tuple:
    return np.int32(x.shape[0]), np.int32(x.shape[1]), np.int32(prod(x.shape[2:]))


def _wide(x: Any, *statistics: Any) -> list:
    """Statistics in the type that is computed in."""
    return [cupy.ascontiguousarray(s, computed(x)) for s in statistics]
