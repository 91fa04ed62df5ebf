"""The ladder of matrix products on the GPU: ladder.cu has a kernel for each rung, and what limits it."""
from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .build import Program, ctype
from .lazily import cupy

RUNGS = ("loops", "rows", "blocked", "tiled", "pipelined", "tensor")
program = Program("ladder.cu", dict.fromkeys(RUNGS, (("float", "bfloat16"),)))
MATRICES = 65535  # of a stack that a grid has room for
PIECE = 8  # numbers of which the rows of what is copied by pieces of 16 bytes are multiples


def loops(a: Any, b: Any) -> Any:
    """Three loops of which the two outer ones are threads: each computes one element of y."""
    return _product("loops", a, b, (32, 8), (32, 8))


def rows(a: Any, b: Any) -> Any:
    """Neighbours are threads of one row: a warp reads 32 neighbours of b and one number of a, whole sectors."""
    return _product("rows", a, b, (8, 32), (32, 8))


def blocked(a: Any, b: Any) -> Any:
    """A block brings tiles of a and b into shared memory, where 32 threads use each number."""
    return _product("blocked", a, b, (32, 32), (32, 32))


def tiled(a: Any, b: Any) -> Any:
    """A thread sums 8 x 8 elements of y in registers: 16 numbers from shared memory are worth 64 products."""
    return _product("tiled", a, b, (128, 128), (256,))


def pipelined(a: Any, b: Any) -> Any:
    """Two tiles of each: while one is multiplied the next comes, 16 bytes an instruction and past the registers."""
    return _product("pipelined", a, b, (128, 128), (256,), PIECE)


def tensor(a: Any, b: Any) -> Any:
    """Tensor cores: a warp multiplies 16 x 16 by 16 x 8 numbers by one instruction; float32 is rounded to TF32."""
    return _product("tensor", a, b, (128, 128), (256,), PIECE)


def _product(rung: str, a: Any, b: Any, tile: tuple[int, int], block: tuple[int, ...], multiple: int = 1) -> Any:
    """a b, by blocks of threads that compute `tile` (rows, columns) of y each; k and n filled up to a multiple."""
    vectors = a.ndim == 1, b.ndim == 1
    a, b = a[None] if vectors[0] else a, b[:, None] if vectors[1] else b
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"matmul: b expects {a.shape[-1]} rows, as a of shape {a.shape} has columns, got {b.shape}")
    lead, (m, k), n = np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2:], b.shape[-1]
    a, b = _filled(a, lead, m, k + -k % multiple), _filled(b, lead, k + -k % multiple, n + -n % multiple)
    y = cupy.empty((*lead, m, b.shape[-1]), a.dtype)
    if y.size:
        across = (-(-m // tile[0]), -(-b.shape[-1] // tile[1]))
        across = across if rung == "loops" else across[::-1]
        sizes = np.int32(m), np.int32(b.shape[-1]), np.int32(a.shape[-1])
        stacks = [x.reshape(prod(lead), *x.shape[-2:]) for x in (a, b, y)]
        for first in range(0, prod(lead), MATRICES):
            some = [x[first:first + MATRICES] for x in stacks]
            program.launch(rung, (ctype(a),), (*across, len(some[2])), block, (*some, *sizes))
    y = y[..., :n]
    return y.reshape(*lead, *(() if vectors[0] else (m,)), *(() if vectors[1] else (n,))) if any(vectors) else y


def _filled(x: Any, lead: tuple[int, ...], height: int, width: int) -> Any:
    """`x` repeated to the stack's leading dimensions, row after row in memory, with zeros up to height and width.

    It begins at a multiple of 16 bytes, as new memory does and a part of an array need not.
    """
    if x.shape[-2:] == (height, width):
        x = cupy.ascontiguousarray(cupy.broadcast_to(x, (*lead, height, width)))
        return x.copy() if x.data.ptr % 16 else x
    whole = cupy.zeros((*lead, height, width), x.dtype)
    whole[..., :x.shape[-2], :x.shape[-1]] = x
    return whole
