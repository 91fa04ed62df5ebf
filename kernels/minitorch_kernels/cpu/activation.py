"""Activations in one pass over memory each: NumPy would write a mask, or a product, and read it again."""
from __future__ import annotations

import numpy as np

from .. import memory, parallel
from .jit import jit

PART = 1 << 17  # elements a thread takes at a time


def relu_dx(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy where y is positive or NaN, 0 elsewhere."""
    return _in_parts(_relu_dx, y, dy, y)


def dropout(x: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    """x times `scale` where `mask` is True, 0 elsewhere."""
    factor = x.dtype.type(scale)

    def part(x, mask, out):
        _dropout(x, mask, factor, out)

    return _in_parts(part, x, x, mask)


def _in_parts(kernel, like: np.ndarray, *operands: np.ndarray) -> np.ndarray:
    out = memory.empty(like.shape, like.dtype)
    flat = [a.reshape(-1) for a in (*operands, out)]
    parts = parallel.chunks(out.size, PART)
    parallel.run(lambda i: kernel(*(a[parts[i]] for a in flat)), len(parts), out.size)
    return out


@jit
def _relu_dx(dy, y, out):
    for i in range(out.size):
        out[i] = dy[i] if not y[i] <= 0 else 0  # "not <=" keeps what NaN makes


@jit
def _dropout(x, mask, factor, out):
    for i in range(out.size):
        out[i] = x[i] * factor * mask[i]  # NaN and infinity pass as they do in the reference
