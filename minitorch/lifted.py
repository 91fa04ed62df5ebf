"""Kernels over tensors: the references of the kernel table with minitorch's own ops for an array module.

Where the engine differentiates gradients again (`create_graph=True`) the gradient functions run with these kernels in
the place of NumPy's. So each kernel's reference, which is written for any array module, is also its derivative's
derivative.
"""
from __future__ import annotations

from functools import partial
from typing import Any

from minitorch_kernels import table
from minitorch_kernels.elementwise import BINARY, UNARY

from .op import FUNCTIONS, OPS

_OWN_NAMES = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh",
              "arctanh": "atanh", "arctan2": "atan2", "rint": "round", "equal": "eq", "not_equal": "ne", "less": "lt",
              "less_equal": "le", "greater": "gt", "greater_equal": "ge", "invert": "bitwise_not"}


class TensorModule:
    """NumPy's names over tensors: as much of them as the references use."""

    __name__ = "minitorch"

    def __init__(self) -> None:
        for ours, theirs in {**UNARY, **BINARY}.items():
            setattr(self, theirs, _late(_OWN_NAMES.get(ours, ours)))

    def sum(self, x, axis=None, keepdims=False, dtype=None):
        return OPS["sum"].call(x, axis, keepdims)

    def mean(self, x, axis=None, keepdims=False):
        return OPS["mean"].call(x, axis, keepdims)

    def prod(self, x, axis=None, keepdims=False):
        return OPS["prod"].call(x, axis, keepdims)

    def max(self, x, axis=None, keepdims=False):
        return OPS["amax"].call(x, axis if axis is not None else (), keepdims)

    def min(self, x, axis=None, keepdims=False):
        return OPS["amin"].call(x, axis if axis is not None else (), keepdims)

    def argmax(self, x, axis=None):
        return FUNCTIONS["argmax"](x, axis)

    def cumsum(self, x, axis):
        return FUNCTIONS["cumsum"](x, axis)

    def cumprod(self, x, axis):
        return FUNCTIONS["cumprod"](x, axis)

    def reshape(self, x, shape):
        return FUNCTIONS["reshape"](x, tuple(shape))

    def transpose(self, x, axes=None):
        return FUNCTIONS["permute"](x, tuple(axes) if axes is not None else tuple(reversed(range(x.ndim))))

    def swapaxes(self, x, a, b):
        return FUNCTIONS["transpose"](x, a, b)

    def moveaxis(self, x, source, destination):
        return FUNCTIONS["movedim"](x, source, destination)

    def expand_dims(self, x, axis):
        axes = sorted(a % (x.ndim + (len(axis) if isinstance(axis, tuple) else 1))
                      for a in (axis if isinstance(axis, tuple) else (axis,)))
        for a in axes:
            x = FUNCTIONS["unsqueeze"](x, a)
        return x

    def squeeze(self, x, axis=None):
        return FUNCTIONS["squeeze"](x) if axis is None else FUNCTIONS["squeeze"](x, axis)

    def broadcast_to(self, x, shape):
        return FUNCTIONS["broadcast_to"](x, tuple(shape))

    def concatenate(self, xs, axis=0):
        return FUNCTIONS["cat"](list(xs), axis)

    def stack(self, xs, axis=0):
        return FUNCTIONS["stack"](list(xs), axis)

    def flip(self, x, axis):
        return FUNCTIONS["flip"](x, axis)

    def pad(self, x, widths):
        flat = [n for pair in reversed(list(widths)) for n in pair]
        return OPS["constant_pad"].call(x, flat, 0.0)

    def erf(self, x):
        return FUNCTIONS["erf"](x)

    def where(self, condition, a, b):
        return FUNCTIONS["where"](condition, a, b)

    def clip(self, x, low, high):
        return FUNCTIONS["clamp"](x, low, high)

    def take_along_axis(self, x, index, axis):
        return FUNCTIONS["gather"](x, axis, index)

    def matmul(self, a, b):
        return FUNCTIONS["matmul"](a, b)

    def einsum(self, equation, *operands):
        return FUNCTIONS["einsum"](equation, *operands)

    def zeros(self, shape, dtype=None):
        return FUNCTIONS["zeros"](shape, dtype=dtype)

    def ones(self, shape, dtype=None):
        return FUNCTIONS["ones"](shape, dtype=dtype)

    def full(self, shape, value, dtype=None):
        return FUNCTIONS["full"](shape, value, dtype=dtype)

    def arange(self, *args, dtype=None):
        return FUNCTIONS["arange"](*args, dtype=dtype)

    def zeros_like(self, x):
        return FUNCTIONS["zeros_like"](x)

    def ones_like(self, x):
        return FUNCTIONS["ones_like"](x)

    def asarray(self, x, dtype=None):
        return FUNCTIONS["as_tensor"](x, dtype=dtype)

    def ascontiguousarray(self, x):
        return x

    def astype(self, x, dtype):
        return x.to(dtype)


class TensorKernels:
    """The kernels of the tensor module. An op of the kernel's name runs as that op, the reference otherwise."""

    def __init__(self) -> None:
        self.xp: Any = TensorModule()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        own = _OWN_NAMES.get(name, name)
        found = OPS[own].call if own in OPS else partial(table.get(name).reference, self.xp)
        setattr(self, name, found)
        return found


def _late(name: str) -> Any:
    def call(*operands):
        return (OPS[name].call if name in OPS else FUNCTIONS[name])(*operands)
    return call


tensor_kernels = TensorKernels()
