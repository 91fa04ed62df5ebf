"""Attention on the GPU: the layouts, tiles and precisions of attention.cu and attention_backward.cu."""
from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from . import settings
from .build import Program, ctype
from .lazily import cupy

PRECISIONS = ("Sixteen<half>", "Sixteen<bfloat16>", "Tf32", "Float32")
DEPTHS = (32, 64, 128)  # columns of a tile; smaller matrices are filled up with zeros
forward = Program("attention.cu", {"attention": (PRECISIONS, DEPTHS)})
backward = Program("attention_backward.cu", {"attention_levels": (("half", "bfloat16", "float"),),
                                             "attention_dq": (PRECISIONS, DEPTHS),
                                             "attention_dkdv": (PRECISIONS, DEPTHS)})

_OPERANDS = ("q", "k", "v", "y", "dy", "dq", "dk", "dv", "mask")
_PROBLEM = np.dtype([*((name, "3i8") for name in _OPERANDS), ("mask_column", "i8"), ("scale", "f4"),
                     *((name, "i4") for name in ("heads", "queries", "keys", "depth", "width", "causal", "masked"))])
PIECE = 16  # bytes that a copy into shared memory moves


def attention(q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float) -> Any:
    lead, width = _lead(q, k, v, mask), v.shape[-1]
    q, k, v = (_matrices(x, lead) for x in (q, k, v))
    y, lse = _like(q, v.shape[-1]), cupy.empty((*lead, q.shape[2]), np.float32)
    mask, problem = _problem(mask, lead, causal, scale, q=q, k=k, v=v, y=y)
    types = precision, depth = _types(q, v)
    rows = 64 if precision in ("Tf32", "Float32") else 128
    forward.launch("attention", types, _grid(q, rows), (128,), (q, k, v, mask, y, lse, problem),
                   shared=_shared(q, depth, rows))
    return _result(y, lead, width), lse


def attention_backward(dy: Any, q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float, y: Any = None,
                       lse: Any = None, masked: bool = False) -> Any:
    lead, depth, width = _lead(q, k, v, mask), q.shape[-1], v.shape[-1]
    dy, q, k, v, y = (_matrices(x, lead) for x in (dy, q, k, v, y))
    dq, dk, dv = (_like(x, x.shape[-1]) for x in (q, k, v))
    lse = cupy.ascontiguousarray(lse)
    levels = cupy.empty((lse.size, 2), np.float32)
    mask, problem = _problem(mask, lead, causal, scale, q=q, k=k, v=v, y=y, dy=dy, dq=dq, dk=dk, dv=dv)
    backward.launch("attention_levels", (ctype(q),), (-(-lse.size // 16),), (128,),
                    (dy, y, lse, levels, np.int64(lse.size), problem))
    types, size = _types(q, v), _types(q, v)[1] * q.itemsize  # bytes of a row of a tile
    rows = 128 if size <= 128 else 64
    shared = _shared(q, types[1], 2 * rows)
    backward.launch("attention_dq", types, _grid(q, rows), (2 * rows,),
                    (dy, q, k, v, mask, levels, dq, problem), shared=shared)
    backward.launch("attention_dkdv", types, (*_grid(k, rows), 2 if size > 256 else 1), (2 * rows,),
                    (dy, q, k, v, mask, levels, dk, dv, problem), shared=shared)
    return _result(dq, lead, depth), _result(dk, lead, depth), _result(dv, lead, width), None


def _types(q: Any, v: Any) -> tuple[str, int]:
    """The template's arguments: precision and columns of a tile."""
    kept = ctype(q)
    precision = f"Sixteen<{kept}>" if q.itemsize == 2 else "Tf32" if settings.tf32_products else "Float32"
    return precision, next(depth for depth in DEPTHS if depth >= max(q.shape[-1], v.shape[-1]))


def _shared(q: Any, depth: int, rows: int) -> int:
    """Bytes for so many rows of the block's own, and twice two tiles (`Tile` in attention.cuh)."""
    columns = (64 if depth > 64 else 128) // q.itemsize
    return (rows + 4 * columns) * (depth * q.itemsize + PIECE)


def _grid(x: Any, rows: int) -> tuple[int]:
    """A block for so many rows of each matrix."""
    return (x.shape[0] * x.shape[1] * -(-x.shape[2] // rows),)


def _lead(q: Any, k: Any, v: Any, mask: Any) -> tuple[int, ...]:
    """The leading dimensions that all broadcast to."""
    lead = q.shape[:-2]
    if mask is None and lead == k.shape[:-2] == v.shape[:-2]:
        return lead
    return np.broadcast_shapes(lead, k.shape[:-2], v.shape[:-2], () if mask is None else mask.shape[:-2])


def _matrices(x: Any, lead: tuple[int, ...]) -> Any:
    """`x` as (batch, heads, rows, columns), of which the copies into shared memory can take whole pieces."""
    x, size = _four(x, lead), x.itemsize
    *steps, step = x.strides
    if step == size and not (x.data.ptr | x.shape[3] * size | steps[0] | steps[1] | steps[2]) % PIECE:
        return x
    columns = x.shape[3]
    whole = cupy.zeros((*x.shape[:3], columns + -columns % (PIECE // size)), x.dtype)
    whole[..., :columns] = x
    return whole


def _four(x: Any, lead: tuple[int, ...]) -> Any:
    if x.shape[:-2] != lead:
        x = cupy.broadcast_to(x, (*lead, *x.shape[-2:]))
    return x if x.ndim == 4 else x.reshape(prod(lead[:-1]), prod(lead[-1:]), *x.shape[-2:])


def _like(x: Any, columns: int) -> Any:
    """An empty result for rows of `x`, whose heads lie inside of its rows where those of `x` do."""
    batch, heads, rows, _ = x.shape
    if x.strides[1] < x.strides[2]:
        return cupy.empty((batch, rows, heads, columns), x.dtype).swapaxes(1, 2)
    return cupy.empty((batch, heads, rows, columns), x.dtype)


def _result(x: Any, lead: tuple[int, ...], columns: int) -> Any:
    """The result in its own shape, without the columns that were filled up."""
    if columns != x.shape[3]:
        x = x[..., :columns]
    return x if len(lead) == 2 else x.reshape(*lead, *x.shape[2:])


def _problem(mask: Any, lead: tuple[int, ...], causal: bool, scale: float, **operands: Any) -> tuple[Any, np.ndarray]:
    """The mask as the kernels take it, and their struct Problem."""
    q, k, v = operands["q"], operands["k"], operands["v"]
    kind = 0 if mask is None else 1 if mask.itemsize == 1 else 2
    if kind:
        mask = mask.astype(np.float32) if mask.itemsize == 2 else mask
        mask = operands["mask"] = _four(cupy.broadcast_to(mask, (*lead, q.shape[2], k.shape[2])), lead)
    steps = [(0, 0, 0)] * len(_OPERANDS)
    for name, x in operands.items():
        size = x.itemsize
        steps[_OPERANDS.index(name)] = tuple([step // size for step in x.strides[:3]])
    column = mask.strides[3] // mask.itemsize if kind else 0
    sizes = (q.shape[1], q.shape[2], k.shape[2], q.shape[3], v.shape[3])
    return mask if kind else q, np.array((*steps, column, scale, *sizes, causal, kind), _PROBLEM)
