"""In place: a tensor itself gets another shape."""
from __future__ import annotations

from typing import Any

from .. import shapes
from ..errors import ShapeError
from ..op import FUNCTIONS
from ..tensor import Tensor
from .shape import squeeze, swapaxes, swapdims, t, transpose, unsqueeze


def _changes_shape(function: Any) -> None:
    """The method `name_` that makes `x` what `function` returns for it."""
    def method(x, *args, **kwargs):
        x._check_inplace(method.__name__)
        y = function(x, *args, **kwargs)
        x._array, x._requires_grad = y._array, y._requires_grad
        x._node = y._node
        if x._base is not None:
            x._path = y._path
        return x

    method.__name__ = method.__qualname__ = function.__name__ + "_"
    method.__doc__ = f"`{function.__name__}`, in place: the tensor itself changes its shape."
    setattr(Tensor, method.__name__, method)


for _function in (squeeze, unsqueeze, transpose, swapaxes, swapdims, t):
    _changes_shape(_function)


def resize_(x: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Another size, in place: the first elements stay, new ones are undefined. For tensors without gradient."""
    new = shapes.sizes(sizes)
    if x._requires_grad:
        raise RuntimeError("resize_: cannot resize variables that require grad")
    if new and min(new) < 0:
        raise ShapeError(f"resize_: sizes must be non-negative, got {list(new)}")
    total = 1
    for n in new:
        total *= n
    if total != x._array.size:
        fresh = x._array.__class__((total,), x._array.dtype)
        kept = min(total, x._array.size)
        fresh[:kept] = x._array.reshape(-1)[:kept]
        x._array = fresh
    x._array = x._array.reshape(new)
    return x


def resize_as_(x: Tensor, other: Tensor, *, memory_format: Any = None) -> Tensor:
    """`x` with the shape of `other`, in place: the elements follow each other as they lie."""
    return resize_(x, other.shape)


Tensor.resize_ = resize_
Tensor.resize_as_ = resize_as_  # type: ignore[attr-defined]
FUNCTIONS["resize_as_"] = resize_as_
