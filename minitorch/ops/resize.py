"""In place: a tensor itself gets another shape, or other memory, or another diagonal."""
from __future__ import annotations

import math
from typing import Any

from .. import shapes
from ..errors import DTypeError, ShapeError
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


def set_(x: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Tensor:
    """Show the memory of another tensor or storage, as much of it as `size` and `stride` say; without one none.

    >>> import minitorch as torch
    >>> torch.zeros(2).set_(torch.arange(6.0), 1, (2, 2), (3, 1))
    tensor([[1., 2.],
            [4., 5.]])
    """
    from ..storage import is_storage

    x._check_inplace("set_")
    if is_storage(source):
        memory = source._bytes if hasattr(source, "_bytes") else source.untyped()._bytes
        kind = x._array.dtype
        source = Tensor._wrap(memory[:memory.size // kind.itemsize * kind.itemsize].view(kind))
        size = tuple(source.shape) if size is None else size
    elif source is None:
        source = Tensor._wrap(x._array.__class__((0,), x._array.dtype))
    elif source.dtype is not x.dtype:
        raise DTypeError(f"set_: Could not set tensor of type {source.dtype} to a tensor of type {x.dtype}")
    if size is not None:
        size = shapes.sizes(size if isinstance(size, (tuple, list)) else (size,))
        steps = stride if stride is not None else [math.prod(size[i + 1:]) for i in range(len(size))]
        source = FUNCTIONS["as_strided"](source.detach(), size, tuple(steps), storage_offset)
    x._array, x._base, x._path, x._counter = source._array, None, (), source._version_list()
    return x


def fill_diagonal_(x: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """The value on the main diagonal; with `wrap`, in a matrix higher than wide, it begins anew below.

    Raises RuntimeError for fewer than two dimensions, and for more of different sizes.
    """
    if x.ndim < 2:
        raise RuntimeError(f"fill_diagonal_: dimensions must be larger than 1, got shape {tuple(x.shape)}")
    if x.ndim > 2 and len(set(x.shape)) > 1:
        raise RuntimeError(f"fill_diagonal_: all dimensions of input must be of equal length, got shape "
                           f"{tuple(x.shape)}")
    x._check_inplace("fill_diagonal_")
    rows, columns = x.shape[0], x.shape[1]
    if x.ndim > 2:
        n = FUNCTIONS["arange"](rows, device=x.device)
        x[(n,) * x.ndim] = fill_value
    elif wrap and rows > columns + 1:
        for start in range(0, rows, columns + 1):
            x[start:start + columns].diagonal().fill_(fill_value)
    else:
        x.diagonal().fill_(fill_value)
    return x


Tensor.set_ = set_  # type: ignore[attr-defined]
Tensor.fill_diagonal_ = fill_diagonal_  # type: ignore[attr-defined]
FUNCTIONS["fill_diagonal_"] = fill_diagonal_
Tensor.resize_ = resize_
Tensor.resize_as_ = resize_as_  # type: ignore[attr-defined]
FUNCTIONS["resize_as_"] = resize_as_
