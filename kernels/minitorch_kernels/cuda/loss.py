"""Losses of class indices on the GPU: which kernels of loss.cu run on what grids.

A target that is no class makes the loss, and its part of the derivative, NaN: an error as on the CPU would have the CPU
wait for the GPU at every call.
"""
from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import reduce
from .build import FLOATS, Program, ctype
from .launching import accumulator, fits_vectors, grid_of_rows, grid_of_threads
from .lazily import cupy

SPAN = 8192  # pairs of loss and weight that a block adds up, and more than which one block is not left alone with
WIDE = (False, True)
program = Program("loss.cu", {
    "entropy_rows": (FLOATS, WIDE), "entropy_columns": (FLOATS,), "entropy_rows_dx": (FLOATS, WIDE),
    "entropy_columns_dx": (FLOATS,), "likelihood": (FLOATS,), "likelihood_dx": (FLOATS,),
    "sum_pairs": (("float", "double"),), "finish": (FLOATS,)})


class Saved(NamedTuple):
    """What the derivative needs of the forward pass: log(sum(exp)) of each row, and the sum of the targets' weights."""

    lse: Any
    weights: Any


def cross_entropy(x, target, weight, ignore_index, smoothing, reduction):
    x, target, weight = _plain(x, target, weight)
    lse = cupy.empty(target.size, accumulator(x.dtype))
    each, pairs = _room(x, target, reduction)
    _along("entropy", x, (x, target, weight, np.int64(ignore_index), np.float64(smoothing), each, pairs, lse))
    loss, weights = _reduced(each, pairs, reduction, x.dtype)
    return loss, Saved(lse, weights)


def cross_entropy_dx(dloss, x, target, weight, ignore_index, smoothing, reduction, saved=None):
    if not isinstance(saved, Saved):
        saved = cross_entropy(x, target, weight, ignore_index, smoothing, reduction)[1]
    x, target, weight = _plain(x, target, weight)
    dloss, dx = cupy.ascontiguousarray(dloss, x.dtype), cupy.empty(x.shape, x.dtype)
    lse, weights = saved
    total = reduce.sum(weight.astype(lse.dtype, copy=False)) if smoothing and weight is not None else None
    _along("entropy", x, (dloss, x, target, weight, total, np.int64(ignore_index), np.float64(smoothing), lse,
                          weights if reduction == "mean" else None, np.bool_(reduction == "none"), dx), "_dx")
    return dx


def nll_loss(logp, target, weight, ignore_index, reduction):
    logp, target, weight = _plain(logp, target, weight)
    each, pairs = _room(logp, target, reduction)
    _likelihood(ctype(logp), logp, logp.shape, target, weight, ignore_index, each, pairs)
    return _reduced(each, pairs, reduction, logp.dtype)[0]


def nll_loss_dx(dloss, shape, target, weight, ignore_index, reduction):
    dx, weights = cupy.zeros(shape, dloss.dtype), None
    dloss, target, weight = _plain(dloss, target, weight)
    if reduction == "mean":
        _, pairs = _room(dx, target, reduction)
        _likelihood(ctype(dx), None, shape, target, weight, ignore_index, None, pairs)
        weights = _reduced(None, pairs, reduction, dx.dtype)[1]
    count, n, inner = target.size, shape[1], prod(shape[2:])
    program.launch("likelihood_dx", (ctype(dx),), *grid_of_threads(count),
                   (dloss, target, weight, np.int64(ignore_index), weights, np.bool_(reduction == "none"), dx,
                    np.int64(count), np.int32(n), np.int64(inner)))
    return dx


def _plain(x: Any, target: Any, weight: Any) -> tuple[Any, Any, Any]:
    """The arrays as the kernels take them."""
    return (cupy.ascontiguousarray(x), cupy.ascontiguousarray(target, np.int64),
            None if weight is None else cupy.ascontiguousarray(weight, x.dtype))


def _room(x: Any, target: Any, reduction: str) -> tuple[Any, Any]:
    """Memory for the loss of each target, where that is the result, and for pairs of loss and weight."""
    return (cupy.empty(target.shape, x.dtype) if reduction == "none" else None,
            cupy.empty((2, target.size), accumulator(x.dtype)))


def _along(name: str, x: Any, arguments: tuple, suffix: str = "") -> None:
    """Launch a kernel for rows of classes, or for columns where they do not follow each other in memory."""
    n, inner = x.shape[1], prod(x.shape[2:])
    count, kept = x.size // n, ctype(x)
    arguments += np.int64(count), np.int32(n)
    if inner > 1:
        program.launch(f"{name}_columns{suffix}", (kept,), *grid_of_threads(count), (*arguments, np.int64(inner)))
        return
    program.launch(f"{name}_rows{suffix}", (kept, fits_vectors(n, x)), *grid_of_rows(count, n), arguments)


def _likelihood(kept: str, logp: Any, shape: tuple, target: Any, weight: Any, ignore_index: int, each: Any,
                pairs: Any) -> None:
    count = target.size
    program.launch("likelihood", (kept,), *grid_of_threads(count),
                   (logp, target, weight, np.int64(ignore_index), each, pairs, np.int64(count), np.int32(shape[1]),
                    np.int64(prod(shape[2:]))))


def _reduced(each: Any, pairs: Any, reduction: str, dtype: np.dtype) -> tuple[Any, Any]:
    """The loss and the sum of the targets' weights."""
    if reduction == "none":
        return each, None
    count = pairs.shape[1]
    while count > 4 * SPAN:
        blocks = -(-count // SPAN)
        sums = cupy.empty((2, blocks), pairs.dtype)
        program.launch("sum_pairs", (ctype(pairs),), (blocks,), (256,), (pairs, sums, np.int64(count), np.int64(SPAN)))
        pairs, count = sums, blocks
    loss, weights = cupy.empty((), dtype), cupy.empty((), pairs.dtype)
    threads = 1024 if count > 256 else 256
    program.launch("finish", (ctype(loss),), (1,), (threads,),
                   (pairs, np.int64(count), np.bool_(reduction == "mean"), loss, weights))
    return loss, weights
