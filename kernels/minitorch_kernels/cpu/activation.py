"""Activations in one pass over memory each: NumPy would write a mask, or a product, and read it again."""
from __future__ import annotations

import numpy as np

from .. import memory
from .tasks import task

PART = 1 << 16  # elements a thread takes at a time: whole bytes of bits


def relu(x: np.ndarray) -> np.ndarray:
    """x where it is positive or NaN, 0 elsewhere."""
    return in_parts(_relu, 1, x)


def relu_dx(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy where y is positive or NaN, 0 elsewhere."""
    return in_parts(_relu_dx, 1, dy, y)


def dropout(x: np.ndarray, bits: np.ndarray, scale: float) -> np.ndarray:
    """x times `scale` where its bit is set, 0 elsewhere."""
    out = memory.empty(x.shape, x.dtype)
    size = x.size
    _dropout(-(-size // PART), 2 * size, x.reshape(-1), bits, x.dtype.type(scale), out.reshape(-1))
    return out


def masked_scale(x: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    """x times `scale` where `mask` is True, 0 elsewhere."""
    return in_parts(_masked_scale, 2, x, mask, float(scale))


def in_parts(kernel, work, *operands):
    """The task over arrays of one shape, and Python's numbers, which take the arrays' type; `work` operations each.

    Arrays that do not lie side by side are copied: the task costs more than that.
    """
    like = operands[0]
    out = memory.empty(like.shape, like.dtype)
    flat = [like.dtype.type(x) if type(x) is float else x.reshape(-1) for x in operands]
    kernel(-(-out.size // PART), work * out.size, *flat, out.reshape(-1))
    return out


@task
def _relu(part, x, out):
    first, last = part * PART, (part + 1) * PART
    x, out = x[first:last], out[first:last]
    for i in range(out.size):
        out[i] = x[i] if not x[i] <= 0 else 0  # "not <=" keeps NaN


@task
def _relu_dx(part, dy, y, out):
    first, last = part * PART, (part + 1) * PART
    dy, y, out = dy[first:last], y[first:last], out[first:last]
    for i in range(out.size):
        out[i] = dy[i] if not y[i] <= 0 else 0  # "not <=" keeps what NaN makes


@task
def _dropout(part, x, bits, factor, out):
    """NaN and infinity pass as they do in the reference: what is dropped is multiplied by 0."""
    first, last = part * PART, min((part + 1) * PART, out.size)
    x, out, bits = x[first:last], out[first:last], bits[first // 8:]
    whole = out.size // 8
    for i in range(whole):
        byte = bits[i]
        for j in range(8):
            out[8 * i + j] = x[8 * i + j] * (factor if byte >> j & 1 else x.dtype.type(0))
    for j in range(8 * whole, out.size):
        out[j] = x[j] * (factor if bits[whole] >> (j - 8 * whole) & 1 else x.dtype.type(0))


@task
def _masked_scale(part, x, mask, factor, out):
    first, last = part * PART, (part + 1) * PART
    x, mask, out = x[first:last], mask[first:last], out[first:last]
    for i in range(out.size):
        out[i] = x[i] * factor * mask[i]
