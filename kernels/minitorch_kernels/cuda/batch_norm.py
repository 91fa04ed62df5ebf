"""Batch norm on the GPU: which kernels of batch_norm.cu run on what grid."""
from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..norm import move
from .build import FLOATS, Program, ctype
from .launching import accumulator, aligned, contiguous
from .lazily import cupy
from .norm import NO, ONE, YES, full

PLANES, WIDE_PLANES, COLUMNS = LAYOUTS = (0, 1, 2)
SUM, APPLY = np.int32(1), np.int32(2)
BLOCKS = 1056  # eight for each multiprocessor of an H100 or H200
SMALL = 4096  # vectors of a channel that one block takes: a second launch would cost more than waiting for it
LEAST = 1024  # vectors of a part
program = Program("batch_norm.cu", dict.fromkeys(("batch_norm", "batch_norm_dx"), (FLOATS, LAYOUTS)))


def batch_norm(x: Any, w: Any, b: Any, eps: float, running: tuple | None = None) -> tuple:
    x, w, b = contiguous(x, w, b)
    layout, grid, block, sizes = _plan(x.shape, x.itemsize, aligned(x))
    channels, parted = x.shape[1], grid[1]
    y = cupy.empty(x.shape, x.dtype)
    mean, var = (cupy.empty(channels, accumulator(x.dtype)) for _ in range(2))
    parts = cupy.empty((2 * parted + 1, channels), mean.dtype) if parted > 1 else None
    moved: tuple = None, None, mean.dtype.type(0)
    if running is not None and all([r.dtype == mean.dtype and r.flags.c_contiguous for r in running[:2]]):
        moved, running = (running[0], running[1], mean.dtype.type(running[2])), None
    for stages in _stages(parted):
        program.launch("batch_norm", (ctype(x), layout), grid, block,
                       (x, w, b, full(x, w, b), y, mean, var, *moved, parts, stages,
                        np.int32(parted), NO, *sizes, mean.dtype.type(eps)))
    if running is not None:
        move(running, mean, var, x.size // channels)
    return y, mean, var


def batch_norm_backward(dy: Any, x: Any, w: Any, eps: float, stats: Any = None) -> tuple:
    if stats is None:
        _, mean, var = batch_norm(x, None, None, eps)
        stats = mean, 1 / cupy.sqrt(var + eps)
    return _backward(dy, x, w, stats, eps, NO)


def batch_norm_apply(x: Any, w: Any, b: Any, mean: Any, var: Any, eps: float) -> Any:
    x, w, b = contiguous(x, w, b)
    mean, var = [cupy.ascontiguousarray(s, accumulator(x.dtype)) for s in (mean, var)]
    layout, grid, block, sizes = _plan(x.shape, x.itemsize, aligned(x))
    y = cupy.empty(x.shape, x.dtype)
    program.launch("batch_norm", (ctype(x), layout), grid, block,
                   (x, w, b, full(x, w, b), y, mean, var, None, None, mean.dtype.type(0), None,
                    APPLY, ONE, YES, *sizes, mean.dtype.type(eps)))
    return y


def batch_norm_apply_backward(dy: Any, x: Any, w: Any, mean: Any, var: Any, eps: float) -> tuple:
    return _backward(dy, x, w, (mean, var), eps, YES)


def _backward(dy: Any, x: Any, w: Any, stats: tuple, eps: float, constant: Any) -> tuple:
    dy, x, w = contiguous(dy, x, w)
    mean, spread = [cupy.ascontiguousarray(s, accumulator(x.dtype)) for s in stats]
    layout, grid, block, sizes = _plan(x.shape, x.itemsize, aligned(dy, x))
    channels, parted, like = x.shape[1], grid[1], x if w is None else w
    dx, dw, db = cupy.empty(x.shape, x.dtype), cupy.empty(channels, like.dtype), cupy.empty(channels, like.dtype)
    parts = cupy.empty((3 * parted, channels), mean.dtype) if parted > 1 else None
    for stages in _stages(parted):
        if constant and stages is APPLY:
            grid = grid[0], 1  # sums alone are left to do
        program.launch("batch_norm_dx", (ctype(x), layout), grid, block,
                       (dy, x, w, full(x, w), mean, spread, dx, dw, db, parts, stages,
                        np.int32(parted), constant, *sizes, mean.dtype.type(eps)))
    return dx, dw, db


def _stages(parted: int) -> tuple:
    return (SUM, APPLY) if parted > 1 else (SUM | APPLY,)


@lru_cache(1024)
def _plan(shape: tuple, itemsize: int, aligned: bool) -> tuple[int, tuple[int, int], tuple[int, int], tuple]:
    """Layout, (blocks beside each other, parts of a channel), the block, and the kernel's (items, channels, plane)."""
    items, channels, plane = *shape[:2], prod(shape[2:])
    sizes = np.int32(items), np.int32(channels), np.int32(plane)
    if plane == 1:
        blocks, rows = -(-channels // 32), min(16, 1 << (items - 1).bit_length())
        parts = 1 if items <= 32 * rows else min(64, -(-BLOCKS // blocks), items // (4 * rows))
        return COLUMNS, (blocks, parts), (32, rows), sizes
    vector = 2 if itemsize == 8 else 4  # elements: 16 bytes, or 8 of 16-bit elements
    layout = WIDE_PLANES if aligned and plane % vector == 0 else PLANES
    vectors = items * plane // (vector if layout == WIDE_PLANES else 1)
    if vectors <= SMALL:
        return layout, (channels, 1), (min(512, max(32, 1 << (vectors - 1).bit_length() >> 1)), 1), sizes
    return layout, (channels, min(-(-BLOCKS // channels), max(1, vectors // LEAST))), (256, 1), sizes
