"""The tensor types of PyTorch's first years: FloatTensor(2, 3), x.type("torch.LongTensor"), x.new(...).

>>> FUNCTIONS["LongTensor"]([1, 2])
tensor([1, 2])
>>> isinstance(FUNCTIONS["zeros"](2), FUNCTIONS["FloatTensor"])
True
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import dtypes
from .device import device as as_device
from .dtypes import dtype as Dtype
from .op import FUNCTIONS, composite
from .ops.creation import sizes
from .ops.values import array_from
from .tensor import Size, Tensor

_WORDS = dtypes.WORDS
_NAMES = {d: word for word, d in _WORDS.items()}


class TensorType(type):
    """The type of the types: calling one makes a tensor, `isinstance` compares dtype and device."""

    dtype: Dtype
    is_cuda: bool

    def __call__(cls, *args: Any, device: Any = None, **more: Any) -> Tensor:
        where = as_device(device) if device is not None else as_device("cuda" if cls.is_cuda else "cpu")
        return _legacy(cls.__name__, _positional(cls.__name__, args, more), cls.dtype, where)

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, Tensor) and x.dtype is cls.dtype and x.is_cuda == cls.is_cuda

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__}.{cls.__name__}'>"


def tensor_type(word: str, cuda: bool = False) -> TensorType:
    """The type named `word` + "Tensor", such as FloatTensor."""
    module = "torch.cuda" if cuda else "torch"
    return TensorType(f"{word}Tensor", (), {"dtype": _WORDS[word], "is_cuda": cuda, "__module__": module})


CPU_TYPES = {f"{word}Tensor": tensor_type(word) for word in _WORDS}
CUDA_TYPES = {f"{word}Tensor": tensor_type(word, True) for word in _WORDS}
FUNCTIONS.update({name: kind for name, kind in CPU_TYPES.items() if not name.startswith(("Complex", "UInt"))})


@composite(function=False)
def type(self, dtype=None, non_blocking=False):
    """The type's name, such as "torch.FloatTensor"; or the tensor as `dtype`: a dtype, such a name, or such a type.

    `torch.Tensor` stands for the default type on the CPU.
    """
    if dtype is None:
        return f"torch.{'cuda.' if self.is_cuda else ''}{_NAMES[self.dtype]}Tensor"
    if dtype is Tensor or dtype == "torch.Tensor":
        return self.to("cpu", dtypes.get_default_dtype())
    if isinstance(dtype, str):
        prefix, _, word = dtype.rpartition(".")
        kinds = {"torch": CPU_TYPES, "torch.cuda": CUDA_TYPES}.get(prefix, {})
        if word not in kinds:
            raise ValueError(f"type: invalid type: {dtype!r}")
        dtype = kinds[word]
    if isinstance(dtype, TensorType):
        return self.to("cuda" if dtype.is_cuda else "cpu", dtype.dtype)
    if not isinstance(dtype, Dtype):
        raise ValueError(f"type: invalid type: {getattr(dtype, '__name__', dtype)!r}")
    return self.to(dtype)


@composite(function=False)
def new(self, *args, device=None):
    """A tensor of this one's type and device: of a size, or of values."""
    return _legacy("new", args, self.dtype, self.device if device is None else as_device(device))


@composite(method=False)
def set_default_tensor_type(t):
    """Make the floating type of a tensor type the default one."""
    if isinstance(t, str):
        t = {**CPU_TYPES, **{f"cuda.{k}": v for k, v in CUDA_TYPES.items()}}.get(t.removeprefix("torch."), t)
    if not isinstance(t, TensorType):
        raise TypeError(f"set_default_tensor_type: invalid type object {t!r}: expects a floating-point type, such as "
                        "torch.DoubleTensor")
    dtypes.set_default_dtype(t.dtype)


def legacy_array(args: tuple, device: Any = None, **more: Any) -> Any:
    """The array of `Tensor(*args)`: of the default type, or that of another tensor of any type."""
    args = _positional("Tensor", args, more)
    if len(args) == 1 and isinstance(args[0], Tensor):
        return args[0]._array if device is None else args[0].to(device)._array
    return _legacy("Tensor", args, dtypes.get_default_dtype(), as_device("cpu" if device is None else device))._array


def _positional(name: str, args: tuple, more: dict) -> tuple:
    """The arguments with the one that may be named: `data`, `other`, or `size`."""
    if not more:
        return args
    if args or len(more) > 1 or not more.keys() <= {"data", "other", "size"}:
        raise TypeError(f"{name}: expects sizes, values or one tensor, and device=, got the keywords {sorted(more)}")
    (key, value), = more.items()
    return tuple(value) if key == "size" else (value,)


def _legacy(name: str, args: tuple, dtype: Dtype, device: Any) -> Tensor:
    """What `FloatTensor(*args)` means: sizes, a sequence of values, a storage, or a tensor of the same type."""
    if not args:
        args = (0,)
    values = args[0]
    if len(args) == 1 and isinstance(values, Tensor):
        if values.dtype is not dtype:
            raise TypeError(f"{name}: expected a tensor of {dtype}, got {values.dtype}")
        return values.detach().to(device)
    if (len(args) == 1 and not isinstance(values, (int, np.integer, Size))) or isinstance(values, bool):
        if isinstance(values, np.ndarray) and values.ndim == 0 and values.dtype.kind in "iu":
            return FUNCTIONS["empty"]((int(values),), dtype=dtype, device=device)
        if not isinstance(values, (Sequence, np.ndarray)):
            from .storage import is_storage

            if is_storage(values):
                return FUNCTIONS["empty"](0, dtype=dtype, device=device).set_(values)
            raise TypeError(f"{name}(): data must be a sequence (got {values.__class__.__name__})")
        return Tensor._wrap(array_from(values, dtypes.to_numpy(dtype))).to(device)
    return FUNCTIONS["empty"](sizes(name, args), dtype=dtype, device=device)
