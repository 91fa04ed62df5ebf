"""Layer, RMS and group norm on the GPU: which kernels of norm.cu run on what grid. batch_norm.py has batch norm."""
from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import cupy
import numpy as np

from .build import FLOATS, Program, ctype

WIDTHS = (False, True)
LONGEST = 512  # threads of a block
USUAL = 256  # those that rows or channels share
BLOCKS = 264  # that go over the rows of a backward pass: two for each multiprocessor of an H100 or H200
NULL = np.uint64(0)
program = Program("norm.cu", {
    **dict.fromkeys(("rows", "rows_dx", "columns", "groups_dx"), (FLOATS, WIDTHS)), "add_parts": (FLOATS,)})


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
    plane = prod(x.shape[2:])
    n, count = x.size // (len(x) * groups), len(x) * groups
    wide = fits_vectors(plane, x)
    y = cupy.empty(x.shape, x.dtype)
    mean, rstd = cupy.empty((len(x), groups), computed(x)), cupy.empty((len(x), groups), computed(x))
    grid, block = _blocks(n, count, x.itemsize, wide)
    program.launch("rows", (ctype(x), wide), grid, block,
                   (x, or_null(w), or_null(b), full(x, w, b), y, mean, rstd, np.int64(count), np.int32(n), np.int32(plane),
                    np.int32(groups), mean.dtype.type(eps)))
    return y, mean, rstd


def group_norm_backward(dy: Any, x: Any, w: Any, groups: int, eps: float, stats: Any = None) -> tuple:
    dy, x, w = contiguous(dy, x, w)
    mean, rstd = contiguous(*stats) if stats else group_norm(x, None, None, groups, eps)[1:]
    items, channels, plane = len(x), x.shape[1], prod(x.shape[2:])
    wide = fits_vectors(plane, dy, x)
    dx, parts = cupy.empty(x.shape, x.dtype), cupy.empty((items, 2, channels), mean.dtype)
    program.launch("groups_dx", (ctype(x), wide), (items * groups,),
                   _shared_block(channels // groups, plane * x.itemsize // 16 if wide else plane),
                   (dy, x, or_null(w), full(x, w), mean, rstd, dx, parts, np.int32(groups), np.int32(channels // groups),
                    np.int32(plane)))
    return (dx, *_added(parts, items, (channels,), x if w is None else w, True))


def _rows(x: Any, w: Any, b: Any, ndim: int, eps: float, centred: bool) -> tuple:
    x, w, b = contiguous(x, w, b)
    shape = x.shape
    n = prod(shape[x.ndim - ndim:])
    count = x.size // n
    wide = fits_vectors(n, x, w, b)
    of_row = (*shape[:x.ndim - ndim], *(1,) * ndim)
    y, rstd = cupy.empty(shape, x.dtype), cupy.empty(of_row, computed(x))
    mean = cupy.empty(of_row, rstd.dtype) if centred else None
    grid, block = _blocks(n, count, x.itemsize, wide)
    program.launch("rows", (ctype(x), wide), grid, block,
                   (x, or_null(w), or_null(b), full(x, w, b), y, or_null(mean), rstd, np.int64(count), np.int32(n), np.int32(0),
                    np.int32(1), rstd.dtype.type(eps)))
    return y, mean, rstd


def _rows_dx(dy: Any, x: Any, w: Any, mean: Any, rstd: Any, ndim: int) -> tuple:
    dy, x, w, mean, rstd = contiguous(dy, x, w, mean, rstd)
    columns = x.shape[x.ndim - ndim:]
    n = prod(columns)
    count, like = x.size // n, x if w is None else w
    wide = fits_vectors(n, dy, x, w)
    (blocks,), (threads, rows) = _blocks(n, count, x.itemsize, wide)
    if blocks <= 4:  # one block instead, and no second launch
        blocks = 1
    else:
        blocks = min(-(-blocks // 2), BLOCKS)
    fits = n <= threads * _held(x.itemsize, wide)
    dx, sums = cupy.empty(x.shape, x.dtype), n if mean is None else 2 * n
    last = blocks == 1 and fits
    dw = cupy.empty(columns, like.dtype) if last else None
    db = cupy.empty(columns, like.dtype) if last and mean is not None else None
    parts = None if last else cupy.empty((blocks, sums), rstd.dtype)
    program.launch("rows_dx", (ctype(x), wide), (blocks,), (threads, rows),
                   (dy, x, or_null(w), full(x, w), or_null(mean), rstd, dx, or_null(dw), or_null(db), or_null(parts),
                    np.int64(count), np.int32(n)),
                   shared=rows * sums * rstd.itemsize if rows > 1 else 0)
    if last:
        return dx, dw, db
    if not fits:
        width = n * x.itemsize // 16 if wide else n
        program.launch("columns", (ctype(x), wide), (-(-width // 128), blocks), (128,),
                       (dy, x, or_null(mean), rstd, parts, np.int64(count), np.int32(n)))
    return (dx, *_added(parts, blocks, columns, like, mean is not None))


def _added(parts: Any, count: int, shape: tuple, like: Any, both: bool) -> tuple:
    """dw and, if `both`, db of the type of `like`, from the sums of `count` parts."""
    n = prod(shape)
    dw, db = cupy.empty(shape, like.dtype), cupy.empty(shape, like.dtype) if both else None
    program.launch("add_parts", (ctype(like),), (-(-n * (1 + both) // 32),), (32, 16),
                   (parts, dw, or_null(db), np.int32(count), np.int32(n)))
    return dw, db


@lru_cache(1024)
def _blocks(n: int, count: int, itemsize: int, wide: bool) -> tuple[tuple[int], tuple[int, int]]:
    """Grid and block for `count` rows of n elements: as few threads a row as hold it, short rows in one block."""
    wanted = -(-n // _held(itemsize, wide))
    threads = min(LONGEST, -(-wanted // 32) * 32) if wanted > 32 else 1 << (wanted - 1).bit_length()
    rows = max(1, USUAL // threads)
    return (-(-count // rows),), (threads, rows)


def _held(itemsize: int, wide: bool) -> int:
    """Elements that a thread holds: norm.cuh's K N."""
    return 4 if not wide else 8 if itemsize == 8 else 16


@lru_cache(1024)
def _shared_block(channels: int, width: int) -> tuple[int, int]:
    """(threads a channel of `width` vectors, channels at a time) for one group."""
    threads = min(LONGEST, 1 << (width - 1).bit_length())
    return threads, max(32 // threads, min(LONGEST // threads, 1 << (channels - 1).bit_length()))


def contiguous(*arrays: Any) -> list:
    """C-contiguous arrays; None stays None."""
    return [None if a is None else cupy.ascontiguousarray(a) for a in arrays]


def computed(x: Any) -> Any:
    """The type that x's statistics have."""
    return np.float64 if x.itemsize == 8 else np.float32


def full(x: Any, *weights: Any) -> Any:
    """Whether weights are float beside 16-bit x."""
    return np.bool_(any([w is not None and w.dtype != x.dtype for w in weights]))


def fits_vectors(n: int, *arrays: Any) -> bool:
    """Whether runs of n elements of the first array, and of those beside it, consist of 16-byte vectors."""
    return n * arrays[0].itemsize % 16 == 0 and aligned(*arrays)


def aligned(*arrays: Any) -> bool:
    """Whether arrays begin where 16 bytes can be loaded at once."""
    return not any([a.data.ptr % 16 for a in arrays if a is not None])


def or_null(array: Any) -> Any:
    """The array, or a null pointer in the place of None."""
    return NULL if array is None else array
