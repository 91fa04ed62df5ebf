"""Sums on the GPU: which kernel of reduce.cu runs on what grid, and in how many pieces."""
from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..reduce import merged
from .build import FLOATS, Program, ctype
from .launching import accumulator, fits_vectors, grid_of_threads
from .lazily import cupy

PAIRS = ("float, float", "double, double", "half, half", "half, float", "float, half", "bfloat16, bfloat16",
         "bfloat16, float", "float, bfloat16")  # types of what is added up, and of the sums
BUSY = 528  # blocks, four a multiprocessor of an H200: below, rows are cut into pieces
PIECE = 4096  # elements of a row that a block should have at least
program = Program("reduce.cu", {"sum_rows": (PAIRS,), "sum_columns": (PAIRS, (False, True)), "cumsum_rows": (FLOATS,),
                                "cumsum_columns": (FLOATS,)})


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum over axes: of each run of reduced axes in turn, from the last one on."""
    kinds, sizes = merged(x.shape, axis)
    axes = range(x.ndim) if axis is None else [a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))]
    shape = tuple([1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes])
    wide, dtype = accumulator(x.dtype), x.dtype
    while "r" in kinds:
        at = kinds.rindex("r")
        outer, n, inner = prod(sizes[:at]), sizes[at], prod(sizes[at + 1:])
        kinds, sizes = kinds[:at] + kinds[at + 1:], sizes[:at] + sizes[at + 1:]
        last = dtype if "r" not in kinds else wide
        x = _rows(x, outer, n, last, wide) if inner == 1 else _columns(x, outer, n, inner, last, wide)
    return x.reshape(shape)


def sum_squares(x: Any, keepdims: bool = False) -> Any:
    """The sum of the squares over the last axis."""
    return sum(x * x, x.ndim - 1, keepdims)


def cumsum(x: Any, axis: int) -> Any:
    axis %= x.ndim
    n, inner = x.shape[axis], prod(x.shape[axis + 1:])
    lines, out = x.size // n, cupy.empty(x.shape, x.dtype)
    if inner > 1:
        program.launch("cumsum_columns", (ctype(x),), *grid_of_threads(lines),
                       (x, out, np.int64(lines), np.int64(n), np.int64(inner)))
        return out
    pieces, piece = _cut(lines, n, PIECE)
    before = cumsum(_summed(x, lines, n, pieces, piece, accumulator(x.dtype)).reshape(lines, pieces), 1) \
        if pieces > 1 else x
    program.launch("cumsum_rows", (ctype(x),), (lines, pieces), (256,), (x, out, before, np.int64(n), np.int64(piece)))
    return out


def _rows(x: Any, rows: int, n: int, dtype: Any, wide: Any) -> Any:
    pieces, piece = _cut(-(-rows * min(n, 1024) // 1024), n, PIECE)
    if pieces > 1:
        return _rows(_summed(x, rows, n, pieces, piece, wide), rows, pieces, dtype, wide)
    return _summed(x, rows, n, 1, n, dtype)


def _summed(x: Any, rows: int, n: int, pieces: int, piece: int, dtype: Any) -> Any:
    """The sums of all pieces of all rows."""
    out = cupy.empty(rows * pieces, dtype)
    across = 512 if piece > 4096 else 256 if piece > 1024 else min(32, 1 << max((piece - 1).bit_length() - 2, 0))
    down = 256 // across if across <= 32 else 1
    program.launch("sum_rows", (f"{ctype(x)}, {ctype(out)}",), (-(-rows // down), pieces), (across, down),
                   (x, out, np.int64(rows), np.int64(n), np.int64(piece)))
    return out


def _columns(x: Any, outer: int, n: int, inner: int, dtype: Any, wide: Any, whole: bool = False) -> Any:
    vector = 16 // x.itemsize if fits_vectors(inner, x) else 1
    width = inner // vector
    across = min(32, 1 << (width - 1).bit_length())
    down, blocks = 256 // across, -(-width // across)
    pieces, piece = (1, n) if whole else _cut(blocks * outer, n, 8 * down)
    out = cupy.empty(outer * pieces * inner, dtype if pieces == 1 else wide)
    program.launch("sum_columns", (f"{ctype(x)}, {ctype(out)}", vector > 1), (blocks * outer, pieces), (across, down),
                   (x, out, np.int64(n), np.int64(inner), np.int64(piece), np.int32(blocks)))
    return out if pieces == 1 else _columns(out, outer, pieces, inner, dtype, wide, True)


def _cut(blocks: int, n: int, least: int) -> tuple[int, int]:
    """Into how many pieces of which length rows of n are cut, where there would be so many blocks without."""
    pieces = min(-(-BUSY // blocks), -(-n // least), 1024)
    piece = -(-n // pieces // 64) * 64 if pieces > 1 else n
    return -(-n // piece), piece
