"""Python functions on each element, in place: `apply_`, `map_`, `map2_`. Slow, and for arrays on the CPU only."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DeviceError
from ..tensor import Tensor


def apply_(self: Tensor, callable: Callable) -> Tensor:
    """Replace each element by what `callable` makes of it. Raises TypeError where the tensor needs a gradient.

    >>> import minitorch as torch
    >>> torch.arange(3).apply_(lambda n: n * n)
    tensor([0, 1, 4])
    """
    return _each("apply_", self, callable)


def map_(self: Tensor, tensor: Tensor, callable: Callable) -> Tensor:
    """Replace each element a by callable(a, b), b from `tensor`, which is broadcast to this shape."""
    return _each("map_", self, callable, tensor)


def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable) -> Tensor:
    """Replace each element a by callable(a, b, c), b and c from `x` and `y`, which are broadcast to this shape."""
    return _each("map2_", self, callable, x, y)


def _each(name: str, x: Tensor, function: Callable, *others: Tensor) -> Tensor:
    if any(t._requires_grad for t in (x, *others)):
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    if not all(isinstance(t._array, np.ndarray) for t in (x, *others)):
        raise DeviceError(f"{name} is only implemented on CPU tensors")
    x._check_inplace(name)
    arrays: Any = [x._array, *(np.broadcast_to(t._array, x._array.shape) for t in others)]
    values = zip(*(a.ravel().tolist() for a in arrays), strict=True)
    for place, given in zip(np.ndindex(x._array.shape), values, strict=True):
        x._array[place] = function(*given)
    x._bump()
    return x


for _method in (apply_, map_, map2_):
    setattr(Tensor, _method.__name__, _method)
