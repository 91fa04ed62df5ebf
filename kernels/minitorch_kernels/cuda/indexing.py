"""Gathering and placing elements on the GPU: which kernel of indexing.cu runs on what grid."""
from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from .build import FLOATS, Program, ctype
from .lasting import constant
from .launching import accumulator
from .lazily import cupy

WORDS = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long long"}  # by bytes
BLOCK = 256
_words = (tuple(WORDS.values()),)
_Places = np.dtype([("ndim", np.int32), ("axis", np.int32), ("sizes", np.uint32, 8), ("strides", np.int64, 8),
                    ("n", np.int64)], align=True)
program = Program("indexing.cu", {"gather": _words, "scatter": _words, "scatter_add": (FLOATS,), "add_rows": (FLOATS,),
                                  "pick": _words, "pick_dx": (FLOATS,)})


def gather(x, index, axis):
    """Where an index is outside of its axis: NaN, or 0 for integers."""
    x, index = cupy.ascontiguousarray(x), _whole(index)
    y = cupy.empty(index.shape, x.dtype)
    none = np.array([-1 if x.dtype.kind in "fV" else 0], np.int64).astype(f"u{x.itemsize}")[0]  # -1: all bits, a NaN
    program.launch("gather", (WORDS[x.itemsize],), (-(-index.size // BLOCK),), (BLOCK,),
                   (x, index, y, _places(x.shape, index.shape, axis), np.uint32(index.size), none))
    return y


def gather_dx(dy, index, axis, shape, once=False):
    dy, index = cupy.ascontiguousarray(dy), _whole(index)
    dx = cupy.zeros(shape, dy.dtype if once else accumulator(dy.dtype))
    name, types = ("scatter", (WORDS[dy.itemsize],)) if once else ("scatter_add", (ctype(dy),))
    program.launch(name, types, (-(-index.size // BLOCK),), (BLOCK,),
                   (dy, index, dx, _places(shape, index.shape, axis), np.uint32(index.size)))
    return dx.astype(dy.dtype, copy=False)


def add_rows(rows, index, n):
    return _added(rows, index, n, -1)


def embedding_dw(dy, index, shape, padding_idx=None, by_frequency=False):
    return _added(dy.reshape(-1, shape[1]), index.reshape(-1), shape[0], -1 if padding_idx is None else
                  padding_idx % shape[0])


def index_dx(dy, indices, shape):
    index = indices[0]
    return _added(dy.reshape(index.size, prod(shape[1:])), index.reshape(-1), shape[0], -1).reshape(shape)


def pick_axis(x, index, axis):
    x, n, inner = cupy.ascontiguousarray(x), x.shape[axis], prod(x.shape[axis + 1:])
    y = cupy.empty((*x.shape[:axis], len(index), *x.shape[axis + 1:]), x.dtype)
    places = _kept(index.tobytes(), cupy.cuda.runtime.getDevice())
    program.launch("pick", (WORDS[x.itemsize],), (-(-y.size // BLOCK),), (BLOCK,),
                   (x, places, y, np.int64(y.size), np.int64(n), np.int32(len(index)), np.int64(inner)))
    return y


def pick_axis_dx(dy, index, axis, n):
    dy, inner = cupy.ascontiguousarray(dy), prod(dy.shape[axis + 1:])
    dx = cupy.empty((*dy.shape[:axis], n, *dy.shape[axis + 1:]), dy.dtype)
    begins, sources = _grouped(index.tobytes(), n, cupy.cuda.runtime.getDevice())
    program.launch("pick_dx", (ctype(dy),), (-(-dx.size // BLOCK),), (BLOCK,),
                   (dy, begins, sources, dx, np.int64(dx.size), np.int64(n), np.int32(len(index)), np.int64(inner)))
    return dx


def _added(rows: Any, index: Any, n: int, skipped: int) -> Any:
    """Zeros of n rows to which each of `rows` is added; half precision is added up in float32."""
    rows, (count, width) = cupy.ascontiguousarray(rows), rows.shape
    out = cupy.zeros((n, width), accumulator(rows.dtype))
    across = min(BLOCK, 1 << (width - 1).bit_length())
    program.launch("add_rows", (ctype(rows),), (-(-count // (BLOCK // across)),), (across, BLOCK // across),
                   (rows, _whole(index), out, np.int64(count), np.int64(n), np.int32(width), np.int64(skipped)))
    return out.astype(rows.dtype, copy=False)


def _whole(index: Any) -> Any:
    return cupy.ascontiguousarray(index, np.int64)


@lru_cache(256)
def _places(shape: tuple, indices: tuple, axis: int) -> np.ndarray:
    """How indices of one shape lie over a contiguous array of another."""
    found = np.zeros(1, _Places)
    found["ndim"], found["axis"], found["n"] = len(shape), axis % len(shape), shape[axis]
    found["sizes"][0, :len(shape)] = indices
    found["strides"][0, :len(shape)] = [prod(shape[i + 1:]) for i in range(len(shape))]
    return found


@lru_cache(256)
def _kept(index: bytes, device: int) -> Any:
    """Places along an axis, on the GPU."""
    return constant(np.frombuffer(index, np.int64))


@lru_cache(256)
def _grouped(index: bytes, n: int, device: int) -> tuple[Any, Any]:
    """For each of the n places of an axis which elements of `index` name it: the bounds of its part of a list."""
    places = np.frombuffer(index, np.int64) % n
    return constant(np.searchsorted(np.sort(places), np.arange(n + 1))), constant(np.argsort(places, kind="stable"))
