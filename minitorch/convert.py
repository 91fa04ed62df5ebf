"""Tensors into other types, onto other devices, into Python's and NumPy's values; copies."""
from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from . import dtypes
from .device import device as as_device
from .device import device_of, gpu_number, gpus, move
from .dtypes import dtype as Dtype
from .errors import DeviceError
from .inplace import write
from .op import composite, op
from .tensor import Tensor

method = functools.partial(composite, function=False)


# To other types and devices

@op(method=False, function=False)
def to_copy(k, x, /, dtype=None, where=None, non_blocking=False):
    """A copy as `dtype` (NumPy's) on the device `where`. The gradient travels back the same way."""
    origin = device_of(x) if where is not None else None
    if dtype is not None and dtype.itemsize == 1 and dtype.name == "float8_e4m3fn":  # has no infinity: it saturates
        x = k.xp.clip(x, -448, 448)
    y = x if where is None else move(x, where, non_blocking and dtype is None)
    if y is x or dtype is not None:
        y = y.astype(dtype or x.dtype, order="C")
    return y, lambda dy: dy if origin is None else dy.to(origin) if isinstance(dy, Tensor) else move(dy, origin)


@method
def to(self, *args, device=None, dtype=None, non_blocking=False, copy=False, memory_format=None, other=None):
    """This tensor on another device, as another type, or both: `to("cuda")`, `to(float64)`, `to("cpu", int32)`,
    `to(other)`. Itself where nothing changes, unless `copy`. With `non_blocking` a copy from pinned memory to a GPU is
    only begun, and one to the CPU goes into pinned memory, where it is to be had after `cuda.synchronize()`.

    >>> from minitorch import tensor, int32
    >>> tensor([1.7]).to(int32)
    tensor([1], dtype=torch.int32)
    """
    for i, arg in enumerate(args):
        if isinstance(arg, Tensor):
            other = arg
        elif isinstance(arg, (Dtype, type, np.dtype)):
            dtype = arg
        elif isinstance(arg, bool):  # the positional form of the flags
            second = i == len(args) - 1 and isinstance(args[i - 1], bool)
            copy, non_blocking = copy or (arg and second), non_blocking or (arg and not second)
        elif arg is not None:
            device = as_device(arg)
    if other is not None:
        device, dtype = other.device, other.dtype
    wanted = None if dtype is None else dtypes.to_numpy(dtypes.as_dtype(dtype))
    if wanted is not None and wanted == self._array.dtype:
        wanted = None
    if memory_format is not None:
        memory_format.check(self._array.ndim)
    where = None if device is None else as_device(device)
    if gpus.several and where is not None and where.type == "cuda":
        where = as_device("cuda", gpu_number(where))
    if where is not None and _is_there(where, self._array):
        where = None
    return self if wanted is None and where is None and not copy else to_copy(self, wanted, where, non_blocking)


def _is_there(where: Any, array: Any) -> bool:
    here = device_of(array)
    if here.type != where.type or here.type != "cuda":
        return here.type == where.type
    return where.index is None or here.index == where.index


def _as(name: str, d: Dtype) -> None:
    def cast(self, memory_format=None):
        return to(self, dtype=d)

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"This tensor as {d}."
    method(cast)


for _name in ("bool", "short", "int", "long", "half", "bfloat16", "float", "double", "cfloat", "cdouble"):
    _as(_name, getattr(dtypes, _name))
_as("byte", dtypes.uint8)
_as("char", dtypes.int8)


@method
def cpu(self, memory_format=None):
    """This tensor in the CPU's memory."""
    return to(self, device="cpu")


@method
def cuda(self, device=None, non_blocking=False, memory_format=None):
    """This tensor on a GPU. Raises MissingError or DeviceError where there is none, or `device` is no GPU."""
    if getattr(device, "type", device) == "cpu":
        raise DeviceError("cuda: Invalid device, must be cuda device, got cpu")
    return to(self, device="cuda" if device is None else device, non_blocking=non_blocking)


@method
def type_as(self, other):
    """This tensor as the type, and on the device, of `other`."""
    return to(self, other)


@op
def clone(k, x, /, *, memory_format=None):
    """A copy in memory of its own."""
    if memory_format is not None:
        memory_format.check(x.ndim)
    return k.copy(x), lambda dy: dy


@method
def contiguous(self, memory_format=None):
    """This tensor with its elements one after the other in memory: itself where they are, else a copy."""
    if memory_format is not None:
        memory_format.check(self._array.ndim)
    return self if self._array.flags.c_contiguous else clone(self)


# In place

@method
def copy_(self, src, non_blocking=False):
    """The values of `src`, broadcast and cast, into this tensor."""
    self._check_inplace("copy_")
    if not isinstance(src, Tensor):
        src = Tensor._wrap(np.asarray(src))
    src = to(src, self, non_blocking=non_blocking)
    return write(self, src if src._array.shape == self._array.shape else src.expand(self._array.shape))


@op(inplace=True)
def fill(k, x, value, /):
    """`value`, a number or a 0-d tensor, everywhere."""
    if getattr(value, "ndim", 0):
        raise RuntimeError(f"fill: only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions")
    if type(value) is complex and x.dtype.kind != "c":
        raise RuntimeError(f"fill: value {value} cannot be converted to type {x.dtype} without overflow")
    try:
        y = k.xp.full(x.shape, value, x.dtype)
    except OverflowError:
        raise RuntimeError(f"fill: value {value} cannot be converted to type {x.dtype} without overflow") from None
    return y, lambda dy: k.xp.zeros(dy.shape, dy.dtype), lambda dy: k.xp.sum(dy)


@method
def zero_(self):
    """Zeros everywhere."""
    return self.fill_(0)


# To Python and NumPy

@method
def item(self):
    """The one element as a Python number. Raises RuntimeError where there are more, or none."""
    array = self._array
    if array.size != 1:
        raise RuntimeError(f"a Tensor with {array.size} elements cannot be converted to Scalar")
    return array.item() if array.dtype.kind != "V" else float(array.reshape(())[()])


@method
def tolist(self):
    """The elements as nested lists of Python numbers; a number for a 0-d tensor."""
    return (self._array if self._array.dtype.kind != "V" else self._array.astype(np.float32)).tolist()


refuses_graphs = True  # as in PyTorch; a program that is written for TensorFlow has it otherwise


@method
def numpy(self, *, force=False):
    """The tensor's memory as a NumPy array: what changes the one changes the other.

    `force` stands for detach().cpu(). Raises RuntimeError where a gradient is recorded, TypeError for a GPU's memory
    and for bfloat16.
    """
    if not force:
        if self._requires_grad and refuses_graphs:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if not isinstance(self._array, np.ndarray):
            raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the "
                            "tensor to host memory first.")
    if self._array.dtype.kind == "V":
        raise TypeError("Got unsupported ScalarType BFloat16")
    return move(self._array, as_device("cpu"))


@method
def __array__(self, dtype=None, copy=None):
    array = numpy(self)
    return array if dtype is None and not copy else np.array(array, dtype, copy=copy)


@method
def __array_wrap__(self, array, context=None, return_scalar=False):
    """NumPy's functions of tensors return tensors."""
    return Tensor._wrap(array)


@method
def __float__(self):
    return float(_scalar(self))


@method
def __int__(self):
    return int(_scalar(self))


@method
def __complex__(self):
    return complex(item(self))


@method
def __index__(self):
    if self._array.size != 1 or self._array.dtype.kind not in "biu":
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return operator.index(self._array.item())


def _scalar(x: Tensor) -> Any:
    if x._array.size != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    value = x.item()
    if isinstance(value, complex):
        if value.imag:
            raise RuntimeError("value cannot be converted to type double without overflow")
        return value.real
    return value
