"""Padding with a constant, or with what an image shows near its edges, which is picking places along an axis."""
from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..errors import ShapeError
from ..op import FUNCTIONS, composite, op

_WRAPS = {"reflect", "replicate", "circular"}


@composite(method=False)
def pad(input, pad, mode="constant", value=None):
    """`pad` holds (before, after) of the last axis, then of the one before, ...; negative sizes cut off.

    mode "constant" puts `value` there; "reflect", "replicate" and "circular" pad the last one to three axes of
    (N, C, *size) or (C, *size) with the mirrored image, its edge, or its other side. Raises ShapeError for sizes that
    the image does not have.

    >>> import minitorch as torch
    >>> pad(torch.tensor([[1.0, 2.0, 3.0]]), (2, 1), "reflect")
    tensor([[3., 2., 1., 2., 3., 2.]])
    """
    pad = [int(n) for n in pad]
    if len(pad) % 2:
        raise ShapeError(f"pad: Padding length must be divisible by 2, got {pad}")
    if len(pad) > 2 * input.ndim:
        raise ShapeError(f"pad: Padding length should be less than or equal to two times the input dimension, got "
                         f"{len(pad)} sizes for input of shape {tuple(input.shape)}")
    if mode == "constant":
        return FUNCTIONS["constant_pad"](input, pad, 0.0 if value is None else value)
    if mode not in _WRAPS:
        raise NotImplementedError(f"pad: Unrecognised padding mode {mode}; expected constant, reflect, replicate or "
                                  "circular")
    if value:
        raise RuntimeError(f'pad: Padding mode "{mode}" doesn\'t take in value argument, got {value}')
    if len(pad) not in (2, 4, 6) or input.ndim - len(pad) // 2 not in (1, 2):
        raise NotImplementedError("pad: Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now, "
                                  f"got {pad} for input of shape {tuple(input.shape)}")
    x, shape = input, input._array.shape
    for i, (before, after) in enumerate(zip(pad[::2], pad[1::2])):
        axis = input.ndim - 1 - i
        n = shape[axis]
        _check(mode, n, before, after, shape, axis)
        if before or after:
            x = pick_axis(x, _places(mode, n, before, after), axis)
    return x.clone() if x is input else x


@op(method=False, function=False)
def pick_axis(k, x, /, index, axis):
    """x at the places `index`, a NumPy array, along `axis`; a place may be picked any number of times."""
    n = x.shape[axis]
    return k.pick_axis(x, index, axis), lambda dy: k.pick_axis_dx(dy, index, axis, n)


@op(method=False, function=False)
def pick_axis_dx(k, dy, /, index, axis, n):
    """The adjoint of `pick_axis`."""
    return k.pick_axis_dx(dy, index, axis, n), lambda g: k.pick_axis(g, index, axis)


@lru_cache(256)
def _places(mode: str, n: int, before: int, after: int) -> np.ndarray:
    """Where each element of the padded axis comes from."""
    i = np.arange(-before, n + after)
    if mode == "reflect":
        return n - 1 - np.abs(n - 1 - np.abs(i))
    if mode == "replicate":
        return np.clip(i, 0, n - 1)
    first, last = max(0, -before), n - max(0, -after)  # what is cut off does not come round again
    return first + (i - first) % (last - first)


def _check(mode: str, n: int, before: int, after: int, shape: tuple, axis: int) -> None:
    most = max(before, after)
    if mode == "reflect" and most >= max(n, 1):
        raise ShapeError(f"pad: Padding size should be less than the corresponding input dimension, but got: padding "
                         f"({before}, {after}) at dimension {axis} of input {shape}")
    if mode == "circular" and most > n:
        raise ShapeError(f"pad: Padding value causes wrapping around more than once: ({before}, {after}) at dimension "
                         f"{axis} of input {shape}")
    left = n + (min(before, 0) + min(after, 0) if mode == "circular" else before + after)
    if left < 1 or n < 1:
        raise ShapeError(f"pad: padding ({before}, {after}) of dimension {axis} of input {shape} leaves nothing, or "
                         "has nothing to repeat")
