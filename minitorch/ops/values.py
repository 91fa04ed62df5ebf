"""Tensors from values: nested lists, NumPy arrays, buffers, other libraries' tensors."""
from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..device import chosen, move
from ..device import device as as_device
from ..engine import mode
from ..op import composite
from ..tensor import Tensor


def array_from(values: Any, dtype: np.dtype | None = None) -> np.ndarray:
    """A fresh array of nested sequences, numbers, arrays and tensors, of the type that PyTorch infers.

    Python's floats are of the default type, its integers int64; NumPy scalars, arrays and tensors keep their own.
    Raises ValueError for ragged sequences, TypeError or RuntimeError for what is no number.
    """
    if isinstance(values, Tensor):
        values = values._array if isinstance(values._array, np.ndarray) else values._array.get()
    elif not isinstance(values, (np.ndarray, np.generic, Sequence)) and hasattr(values, "__array__"):
        values = np.asarray(values)
    if isinstance(values, (np.ndarray, np.generic)):
        _check_numpy(values.dtype)
        return np.array(values, dtype or values.dtype)
    if isinstance(values, (str, bytes)):
        raise TypeError(f"tensor: invalid data type {type(values).__name__!r}")
    leaves, shape = _flatten(values)
    if isinstance(leaves, np.ndarray):
        return leaves.astype(dtype or leaves.dtype)
    inferred = _inferred(leaves)
    return _cast(leaves, dtype or inferred).reshape(shape)


@composite(method=False)
def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A tensor of values: nested lists, NumPy arrays, numbers. The values are copied.

    >>> tensor([[1, 2], [3, 4.5]])
    tensor([[1.0000, 2.0000],
            [3.0000, 4.5000]])
    """
    if isinstance(data, Tensor):
        warnings.warn("To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
                      "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
                      UserWarning, stacklevel=2)
        device = data.device if device is None and chosen() is None else device
        if data.is_meta:
            return _tensor(data.to(dtype=dtype)._array.copy(), device, requires_grad)
    return _tensor(array_from(data, _numpy(dtype)), chosen() if device is None else device, requires_grad)


@composite(method=False)
def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, without a copy where it is a tensor or a NumPy array of the wanted type and device."""
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)
    if isinstance(data, np.ndarray) and _wraps(data):
        return _tensor(data, None, False).to(device=chosen() if device is None else device, dtype=dtype)
    return _tensor(array_from(data, _numpy(dtype)), chosen() if device is None else device, False)


@composite(method=False)
def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """`obj` as a tensor; `copy` True asks for a copy, False forbids one (ValueError), None makes one where needed."""
    t = as_tensor(obj, dtype, device)
    shared = t._array is (obj._array if isinstance(obj, Tensor) else obj)
    if copy is False and not shared:
        raise ValueError("asarray: can't alias the memory of obj, which copy=False asks for")
    if requires_grad or isinstance(obj, Tensor):
        t = t.detach().requires_grad_(requires_grad)
    return t.clone() if copy and shared else t


@composite(method=False)
def from_numpy(ndarray):
    """A tensor on the array's own memory: what changes the one changes the other."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected np.ndarray (got {type(ndarray).__name__})")
    _check_numpy(ndarray.dtype)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError("from_numpy: At least one stride in the given numpy array is negative, and tensors with "
                         "negative strides are not currently supported. (copy() the array)")
    if not ndarray.flags.writeable:
        warnings.warn("The given NumPy array is not writable, and PyTorch does not support non-writable tensors. "
                      "Here its tensor refuses changes in place.", UserWarning, stacklevel=2)
    return _tensor(ndarray, None, False)


@composite(method=False)
def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A 1-d tensor on the memory of `buffer`: `count` elements (-1: all) from byte `offset` on."""
    d, n = _numpy(dtype), memoryview(buffer).nbytes
    if n == 0 or count == 0:
        raise ValueError(f"frombuffer: both buffer length ({n}) and count ({count}) must not be 0")
    if not 0 <= offset < n:
        raise ValueError(f"frombuffer: offset ({offset} bytes) must be non-negative and no greater than buffer length "
                         f"({n} bytes) minus 1")
    if count < 0 and (n - offset) % d.itemsize:
        raise ValueError(f"frombuffer: buffer length ({n - offset} bytes) after offset ({offset} bytes) must be a "
                         f"multiple of element size ({d.itemsize})")
    if count > 0 and offset + count * d.itemsize > n:
        raise ValueError(f"frombuffer: requested buffer length ({count} * {d.itemsize} bytes) after offset ({offset} "
                         f"bytes) must not be greater than actual buffer length ({n} bytes)")
    return _tensor(np.frombuffer(buffer, d, count, offset), None, requires_grad)


@composite(method=False)
def scalar_tensor(s, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """A 0-d tensor, of the default type unless `dtype` says otherwise."""
    array = array_from(s, _numpy(dtype or dtypes.get_default_dtype()))
    return _tensor(array, chosen() if device is None else device, requires_grad)


@composite(function=False)
def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    """The tensor's memory for another library, by the DLPack protocol. Raises BufferError for requires_grad."""
    if self._requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return self._array.__dlpack__(stream=stream)


@composite(function=False)
def __dlpack_device__(self):
    """The kind of device and its number, as DLPack counts them."""
    return self._array.__dlpack_device__()


@composite(method=False)
def to_dlpack(tensor):
    """A DLPack capsule on the tensor's memory."""
    return __dlpack__(tensor)


@composite(method=False)
def from_dlpack(ext_tensor, *, device=None, copy=None):
    """A tensor on the memory of another library's tensor, by the DLPack protocol."""
    if not hasattr(ext_tensor, "__dlpack_device__"):
        raise TypeError(f"from_dlpack: expects an object with __dlpack__, got {type(ext_tensor).__name__}")
    if ext_tensor.__dlpack_device__()[0] == 2:
        from ..device import cupy

        t = _tensor(cupy().from_dlpack(ext_tensor), None, False)
    else:
        t = _tensor(np.from_dlpack(ext_tensor, copy=copy), None, False)
    return t if device is None else t.to(device)


@composite(function=False)
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
    """`tensor(data)` of the type and device of this one."""
    return _tensor(array_from(data, _numpy(dtype or self.dtype)), self.device if device is None else device,
                   requires_grad)


def _tensor(array: Any, device: Any, requires_grad: bool) -> Tensor:
    t = Tensor._wrap(array if device is None else move(array, as_device(device)))
    if requires_grad:
        t.requires_grad = True
    if mode.inference:
        t._inference = True
    return t


def _numpy(dtype: Any) -> np.dtype | None:
    return None if dtype is None else dtypes.to_numpy(dtypes.as_dtype(dtype))


def _check_numpy(dtype: np.dtype) -> None:
    """Raise TypeError for a type that tensors do not have, ValueError for bytes in the other order."""
    dtypes.from_numpy(dtype)
    if not dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order. Conversion between "
                         "byte orders is currently not supported.")


def _wraps(array: np.ndarray) -> bool:
    _check_numpy(array.dtype)
    return all(s >= 0 for s in array.strides)


def _flatten(values: Any) -> tuple[Any, tuple[int, ...]]:
    """The numbers of nested sequences in order (of arrays: the whole as one array), and their shape."""
    level: list = [values]
    shape: tuple[int, ...] = ()
    while level and _is_sequence(level[0]):
        if shape and all(isinstance(part, np.ndarray) for part in level):
            array = np.stack(level)
            return array.reshape(*shape, *array.shape[1:]), ()
        n = len(level[0])
        deeper: list = []
        for part in level:
            if not _is_sequence(part):
                raise TypeError(f"tensor: not a sequence at dim {len(shape)}: {part!r}")
            if len(part) != n:
                raise ValueError(f"tensor: expected sequence of length {n} at dim {len(shape)} (got {len(part)})")
            deeper.extend(part)
        level, shape = deeper, (*shape, n)
    return level, shape


def _is_sequence(value: Any) -> bool:
    if isinstance(value, str):
        raise ValueError(f"tensor: too many dimensions {type(value).__name__!r}")
    return value.ndim > 0 if isinstance(value, np.ndarray) else isinstance(value, Sequence)


def _inferred(leaves: list) -> np.dtype:
    """The smallest type that holds all. Raises RuntimeError for what is no number."""
    found = set()
    for kind in set(map(type, leaves)):
        if kind in _OF_PYTHON:
            found.add(_OF_PYTHON[kind]())
        elif issubclass(kind, Tensor):
            found.update(x.dtype for x in leaves if type(x) is kind)
        elif issubclass(kind, np.generic):
            found.add(dtypes.from_numpy(np.dtype(kind)))
        elif issubclass(kind, np.ndarray):
            found.update(dtypes.from_numpy(x.dtype) for x in leaves if type(x) is kind)
        elif issubclass(kind, Sequence):
            raise TypeError(f"tensor: {kind.__name__!r} object cannot be interpreted as a number: ragged sequences")
        else:
            raise RuntimeError(f"tensor: Could not infer dtype of {kind.__name__}")
    return dtypes.to_numpy(functools.reduce(dtypes.promote_types, found) if found else dtypes.get_default_dtype())


_OF_PYTHON = {bool: lambda: dtypes.bool, int: lambda: dtypes.int64, float: dtypes.get_default_dtype,
              complex: lambda: dtypes.get_default_dtype().to_complex()}


def _cast(leaves: list, dtype: np.dtype) -> np.ndarray:
    if any(isinstance(x, Tensor) for x in leaves):
        leaves = [_single(x) if isinstance(x, Tensor) else x for x in leaves]
    try:
        return np.array(leaves, dtype)
    except OverflowError:
        if dtype.kind == "i" and dtype.itemsize == 8:
            raise ValueError("tensor: Overflow when unpacking long long") from None
        if dtype.kind == "u" and all(x <= np.iinfo(dtype).max for x in leaves):
            return np.array(leaves, np.int64).astype(dtype)  # negative ones count from the top, as in C
        raise RuntimeError(f"tensor: value cannot be converted to type {dtype} without overflow") from None


def _single(x: Tensor) -> Any:
    if x._array.size != 1:
        raise ValueError("tensor: only one element tensors can be converted to Python scalars, got shape "
                         f"{tuple(x.shape)}")
    return x.item()
