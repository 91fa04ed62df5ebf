"""Layer, RMS and group norm on the GPU: which kernels of norm.cu run on what grid. batch_norm.py has batch norm."""
from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from .build import FLOATS, Program, ctype
from .launching import accumulator, contiguous, fits_vectors
from .lazily import cupy

WIDTHS = (False, True)
LONGEST = 512  # threads of a block
USUAL = 256  # those that short rows share
BLOCKS = 264  # that go over the rows of a backward pass: two for each multiprocessor of an H100 or H200
NO, YES, NONE, ONE = np.bool_(False), np.bool_(True), np.int32(0), np.int32(1)
program = Program("norm.cu", {**dict.fromkeys(("rows", "rows_dx", "columns", "groups_dx"), (FLOATS, WIDTHS)),
                              "add_parts": (FLOATS,)})


def layer_norm(x: Any, w: Any, b: Any, ndim: int, eps: float) -> tuple:
    return _rows(x, w, b, ndim, eps, True)


def layer_norm_backward(dy: Any, x: Any, w: Any, ndim: int, eps: float, stats: Any = None) -> tuple:
    mean, rstd = stats or _rows(x, None, None, ndim, eps, True)[1:]
    return _rows_dx(dy, x, w, mean, rstd, ndim)


def rms_norm(x: Any, w: Any, ndim: int, eps: float) -> tuple:
    y, _, rstd = _rows(x, w, None, ndim, eps, False)
    return y, rstd


def rms_norm_backward(dy: Any, x: Any, w: Any, ndim: int, eps: float, stats: Any = None) -> tuple:
    rstd = rms_norm(x, None, ndim, eps)[1] if stats is None else stats
    return _rows_dx(dy, x, w, None, rstd, ndim)[:2]


def group_norm(x: Any, w: Any, b: Any, groups: int, eps: float) -> tuple:
    x, w, b = contiguous(x, w, b)
    items, plane = x.shape[0], prod(x.shape[2:])
    wide = fits_vectors(plane, x)
    grid, block, sizes = _forward(x.size // (items * groups), items * groups, x.itemsize, wide)
    y = cupy.empty(x.shape, x.dtype)
    mean, rstd = [cupy.empty((items, groups), accumulator(x.dtype)) for _ in range(2)]
    program.launch("rows", (ctype(x), wide), grid, block,
                   (x, w, b, full(x, w, b), y, mean, rstd, *sizes, np.int32(plane), np.int32(groups),
                    mean.dtype.type(eps)))
    return y, mean, rstd


def group_norm_backward(dy: Any, x: Any, w: Any, groups: int, eps: float, stats: Any = None) -> tuple:
    dy, x, w = contiguous(dy, x, w)
    mean, rstd = contiguous(*stats) if stats else group_norm(x, None, None, groups, eps)[1:]
    items, channels, plane = x.shape[0], x.shape[1], prod(x.shape[2:])
    own, wide = channels // groups, fits_vectors(plane, dy, x)
    dx, parts = cupy.empty(x.shape, x.dtype), cupy.empty((items, 2, channels), mean.dtype)
    program.launch("groups_dx", (ctype(x), wide), (items * groups,),
                   _group(own, plane * x.itemsize // 16 if wide else plane),
                   (dy, x, w, full(x, w), mean, rstd, dx, parts, np.int32(groups), np.int32(own),
                    np.int32(plane)))
    return dx, *_added(parts, items, (channels,), x if w is None else w, True)


def _rows(x: Any, w: Any, b: Any, ndim: int, eps: float, centred: bool) -> tuple:
    x, w, b = contiguous(x, w, b)
    shape, lead = x.shape, x.ndim - ndim
    n = prod(shape[lead:])
    wide = fits_vectors(n, x, w, b)
    grid, block, sizes = _forward(n, x.size // n, x.itemsize, wide)
    of_row = shape[:lead] + (1,) * ndim
    y, rstd = cupy.empty(shape, x.dtype), cupy.empty(of_row, accumulator(x.dtype))
    mean = cupy.empty(of_row, rstd.dtype) if centred else None
    program.launch("rows", (ctype(x), wide), grid, block,
                   (x, w, b, full(x, w, b), y, mean, rstd, *sizes, NONE, ONE,
                    rstd.dtype.type(eps)))
    return y, mean, rstd


def _rows_dx(dy: Any, x: Any, w: Any, mean: Any, rstd: Any, ndim: int) -> tuple:
    dy, x, w, mean, rstd = contiguous(dy, x, w, mean, rstd)
    columns = x.shape[x.ndim - ndim:]
    n = prod(columns)
    like, both = x if w is None else w, mean is not None
    wide = fits_vectors(n, dy, x, w)
    blocks, block, fits, sizes = _backward(n, x.size // n, x.itemsize, wide)
    dx, sums, at_once = cupy.empty(x.shape, x.dtype), n * (1 + both), fits and blocks == 1
    dw = cupy.empty(columns, like.dtype) if at_once else None
    db = cupy.empty(columns, like.dtype) if at_once and both else None
    parts = None if at_once else cupy.empty((blocks, sums), rstd.dtype)
    program.launch("rows_dx", (ctype(x), wide), (blocks,), block,
                   (dy, x, w, full(x, w), mean, rstd, dx, dw, db, parts,
                    *sizes), shared=block[1] * sums * rstd.itemsize if block[1] > 1 else 0)
    if at_once:
        return dx, dw, db
    if not fits:
        width = n * x.itemsize // 16 if wide else n
        program.launch("columns", (ctype(x), wide), (-(-width // 128), blocks), (128,),
                       (dy, x, mean, rstd, parts, *sizes))
    return dx, *_added(parts, blocks, columns, like, both)


def _added(parts: Any, count: int, shape: tuple, like: Any, both: bool) -> tuple:
    """dw and, if `both`, db of the type of `like`, from the sums of `count` parts."""
    n = prod(shape)
    dw, db = cupy.empty(shape, like.dtype), cupy.empty(shape, like.dtype) if both else None
    program.launch("add_parts", (ctype(like),), (-(-n * (1 + both) // 32),), (32, 16),
                   (parts, dw, db, np.int32(count), np.int32(n)))
    return dw, db


@lru_cache(1024)
def _forward(n: int, count: int, itemsize: int, wide: bool) -> tuple[tuple[int], tuple[int, int], tuple]:
    """Grid, block, and the kernel's (count, n), for `count` rows of n elements."""
    threads, rows = _block(n, 64 // itemsize if wide else 4)
    return (-(-count // rows),), (threads, rows), (np.int64(count), np.int32(n))


@lru_cache(1024)
def _backward(n: int, count: int, itemsize: int, wide: bool) -> tuple[int, tuple[int, int], bool, tuple]:
    """Blocks, the block, whether it holds whole rows, and the kernel's (count, n).

    A few rows are left to one block, which saves the second launch that adds up what several blocks find.
    """
    at_once = 2 if itemsize == 2 else 1
    held = (64 // itemsize if wide else 4) // at_once
    threads, rows = _block(n, held)
    turns = -(-count // (rows * at_once))
    blocks = 1 if turns <= 4 else min(-(-turns // 2), BLOCKS)
    return blocks, (threads, rows), n <= threads * held, (np.int64(count), np.int32(n))


def _block(n: int, held: int) -> tuple[int, int]:
    """(threads a row, rows): as few threads as hold n elements; short rows share a block."""
    wanted = -(-n // held)
    threads = min(LONGEST, -(-wanted // 32) * 32) if wanted > 32 else 1 << (wanted - 1).bit_length()
    return threads, max(1, USUAL // threads)


@lru_cache(1024)
def _group(channels: int, width: int) -> tuple[int, int]:
    """(threads a channel of `width` vectors, channels at a time) for one group."""
    threads = min(LONGEST, 1 << (width - 1).bit_length())
    return threads, max(32 // threads, min(LONGEST // threads, 1 << (channels - 1).bit_length()))


def full(x: Any, *weights: Any) -> Any:
    """Whether weights are float beside 16-bit x."""
    return YES if any([w is not None and w.dtype != x.dtype for w in weights]) else NO
