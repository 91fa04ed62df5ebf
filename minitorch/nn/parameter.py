"""Parameters and buffers: tensors that a module owns."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import absent_from
from ..op import PLAIN
from ..roots import copy_of
from ..tensor import INTERNAL, Tensor, disabled_torch_function


class Parameter(Tensor):
    """A leaf tensor that a module registers when it is set as an attribute, and that optimizers train.

    >>> from minitorch import ones
    >>> Parameter(ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    __torch_function__ = staticmethod(disabled_torch_function)

    def __new__(cls, data: Any = None, requires_grad: bool = True, **own: Any) -> Parameter:
        # programs make a parameter anew of `vars(parameter)`, which in PyTorch has nothing of its own
        for name in own.keys() - INTERNAL:
            raise TypeError(f"{cls.__name__}.__new__() got an unexpected keyword argument '{name}'")
        t = object.__new__(cls)
        t._array = _array_of("Parameter", data)
        if requires_grad:
            t.requires_grad = True
        return t

    def __init__(self, data: Any = None, requires_grad: bool = True, **own: Any):
        pass

    def __deepcopy__(self, memo: dict) -> Parameter:
        """A copy of the values alone: PyTorch's leave the gradient and what programs have set behind, too."""
        if id(self) not in memo:
            twin = memo[id(self)] = object.__new__(type(self))
            twin._array, twin._requires_grad = copy_of(self._array, memo), self._requires_grad
        return memo[id(self)]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that a module registers as a buffer: saved and moved with it, not trained."""

    persistent: bool
    __torch_function__ = staticmethod(disabled_torch_function)

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Buffer:
        t = object.__new__(cls)
        t._array = _array_of("Buffer", data)
        t.persistent = persistent
        return t

    def __init__(self, data: Any = None, *, persistent: bool = True):
        pass


PLAIN.update((Parameter, Buffer))


def _array_of(name: str, data: Any) -> Any:
    if data is None:
        return np.empty(0, np.float32)
    if not isinstance(data, Tensor):
        raise TypeError(f"{name}: data expects a Tensor, got {type(data).__name__}")
    return data._array


def __getattr__(name: str) -> Any:
    if name in ("UninitializedParameter", "UninitializedBuffer"):
        from . import lazy

        return getattr(lazy, name)
    return _absent(name)


_absent = absent_from("torch.nn.parameter", lambda: globals())
