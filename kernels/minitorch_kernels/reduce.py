"""Reductions, and the kernels of their derivatives."""
from __future__ import annotations

import numpy as np

from .table import kernel


@kernel
def sum(xp, x, axis=None, keepdims=False):
    """The sum over one axis, several or all. float16 and bfloat16 are added up in float32."""
    return xp.sum(x, axis=axis, keepdims=keepdims)


@kernel
def spread(xp, x, axes, shape):
    """The adjoint of `sum` over `axes`: `x` repeated along them, without a copy, to `shape`.

    >>> spread(np, np.array([1.0, 2.0]), (1,), (2, 3))
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    return xp.broadcast_to(xp.reshape(x, tuple([1 if i in axes else n for i, n in enumerate(shape)])), shape)


@kernel
def prod_others(xp, x, axis):
    """For each element the product of all others along `axis`: the derivative of the product, zeros or not."""
    n = x.shape[axis]
    shape = [1] * (x.ndim + 1)
    shape[axis] = shape[-1] = n
    others = np.eye(n).reshape(shape) == 0  # the element itself is left out
    last = list(range(x.ndim))
    last.append(last.pop(axis))
    rows = xp.expand_dims(xp.transpose(x, last), axis)  # every element sees the whole line, along the last axis
    return xp.prod(xp.where(xp.asarray(others), rows, 1.0), axis=-1)


def _sum(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    if x.dtype.char in "eE":
        return np.add.reduce(x, axis, np.float32, None, keepdims).astype(x.dtype)
    return np.add.reduce(x, axis, None, None, keepdims)


def _spread(x: np.ndarray, axes: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """The view built directly: np.broadcast_to takes ten times as long."""
    if not isinstance(x, np.ndarray):
        x = np.asarray(x)
    if x.dtype.kind not in "fiuc" or not x.flags.c_contiguous or 0 in shape:
        return spread.reference(np, x, axes, shape)
    strides, step = [], x.itemsize
    for i in range(len(shape) - 1, -1, -1):
        if i in axes:
            strides.append(0)
        else:
            strides.append(step)
            step *= shape[i]
    view = np.ndarray(shape, x.dtype, x, 0, strides[::-1])
    view.flags.writeable = False
    return view


def _prod_others(x: np.ndarray, axis: int) -> np.ndarray:
    """The product of what comes before times that of what comes after, each a cumulative product."""
    ones = np.ones_like(x[(slice(None),) * axis + (slice(0, 1),)])

    def before(x):
        return np.concatenate([ones, np.multiply.accumulate(x, axis)[(slice(None),) * axis + (slice(0, -1),)]], axis)

    return before(x) * np.flip(before(np.flip(x, axis)), axis) if x.shape[axis] else x


sum.version("wide", "cpu", _sum, backend="numpy")
spread.version("strided", "cpu", _spread, backend="numpy")
prod_others.version("cumulative", "cpu", _prod_others, backend="numpy")
