"""The names that PyTorch's files may refer to, and what stands for each: values, and calls that build plain data.

This is the whole of what a file can have done. A call checks its arguments and builds a number, a container or a
tensor; anything else is refused by its name.
"""
from __future__ import annotations

import pathlib
from argparse import Namespace
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import dtypes
from ..device import device
from ..errors import CheckpointError
from ..ops.random import Generator
from ..storage import KINDS, UntypedStorage
from ..tensor import Size, Tensor

if TYPE_CHECKING:
    from .unpickler import Unpickler

MAX_KEY = 1000  # parts of a dict key or set element: hashing is recursive, and slow for tuples that share parts


# Tensors

def rebuild_tensor(build: Unpickler, typed: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    return build.tensor(typed, offset, size, stride)


def rebuild_tensor_v2(build: Unpickler, typed: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False,
                      hooks: Any = None, metadata: Any = None) -> Tensor:
    return build.tensor(typed, offset, size, stride, requires_grad, metadata)


def rebuild_tensor_v3(build: Unpickler, typed: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any,
                      dtype: Any, metadata: Any = None) -> Tensor:
    return build.tensor(typed, offset, size, stride, requires_grad, metadata, _of(dtypes.dtype, dtype))


def rebuild_parameter(build: Unpickler, data: Any, requires_grad: Any = True, hooks: Any = None) -> Tensor:
    from ..nn.parameter import Parameter

    return build.retyped(_of(Tensor, data), Parameter, bool(requires_grad))


def rebuild_parameter_with_state(build: Unpickler, data: Any, requires_grad: Any, hooks: Any, state: Any) -> Tensor:
    parameter = rebuild_parameter(build, data, requires_grad)
    set_attributes(parameter, state)
    return parameter


def rebuild_from_type(build: Unpickler, function: Any, kind: Any, args: Any, state: Any) -> Tensor:
    from ..nn.parameter import Buffer

    t = build.call(function, args)
    if isinstance(state, dict) and state.get("_is_buffer") and kind is Tensor:
        t = build.retyped(t, Buffer, t.requires_grad)
        state = {name: value for name, value in state.items() if name != "_is_buffer"}
    elif kind is not Tensor:
        t = build.retyped(_of(Tensor, t), build.declared(kind), t.requires_grad)
    set_attributes(t, state)
    return t


def set_attributes(t: Tensor, state: Any) -> None:
    """What programs have set on a tensor; nothing that a tensor has itself."""
    if isinstance(state, tuple) and len(state) == 2:  # of a class with __slots__
        state = {**(state[0] or {}), **(state[1] or {})}
    for name in _of(dict, state):
        if not isinstance(name, str) or name == "_array" or (hasattr(type(t), name) and name != "persistent"):
            raise CheckpointError(f"a tensor has an attribute {name!r}")
    t.__dict__.update(state)


def old_parameter(build: Unpickler, data: Any = None, requires_grad: Any = True) -> Tensor:
    """As PyTorch wrote them before 0.4: the class called, with the values or with a state to follow."""
    return rebuild_parameter(build, build.empty() if data is None else data, requires_grad)


# Plain data

def hashable(key: Any) -> Any:
    """`key`, unless hashing it could exhaust the stack or take forever."""
    pending, parts = [key], 0
    while pending:
        part = pending.pop()
        parts += 1
        if parts > MAX_KEY:
            raise CheckpointError(f"a key of a dict, or an element of a set, has more than {MAX_KEY} parts")
        if isinstance(part, (tuple, frozenset)):
            pending.extend(part)
    return key


def _pairs(build: Unpickler, kind: Any, pairs: Any = ()) -> Any:
    return kind([(hashable(key), value) for key, value in _of((list, tuple), pairs)])


def _elements(kind: Any) -> Callable:
    return lambda build, elements=(): kind([hashable(x) for x in _of(list, elements)])


def _defaultdict(build: Unpickler, factory: Any = None, pairs: Any = ()) -> Any:
    if factory is not None and factory not in _FACTORIES:
        raise CheckpointError(f"a defaultdict makes its values with {factory!r}")
    return defaultdict(factory, pairs if isinstance(pairs, dict) else _pairs(build, dict, pairs))


def _bytes_of_text(build: Unpickler, text: Any = "", encoding: Any = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise CheckpointError(f"bytes are encoded as {encoding!r}")
    return _of(str, text).encode("latin1")


def _bytes(build: Unpickler, *parts: Any) -> bytes:
    return bytes(_of(bytes, parts[0])) if parts else b""


def _bytearray(build: Unpickler, *parts: Any) -> bytearray:
    return bytearray(parts[0] if parts and isinstance(parts[0], bytes) else _bytes_of_text(build, *parts))


def _numbers(kind: Any, types: tuple[type, ...]) -> Callable:
    return lambda build, *args: kind(*[_of(types, x) for x in args])


def _size(build: Unpickler, sizes: Any = ()) -> Any:
    return Size([_of(int, n) for n in _of((list, tuple), sizes)])


def _device(build: Unpickler, kind: Any, index: Any = None) -> device:
    return device(_of(str, kind), index)


def _path(build: Unpickler, *parts: Any) -> pathlib.Path:
    return pathlib.Path(*[_of(str, part) for part in parts])


def _new(build: Unpickler, cls: Any, base: Any = object, state: Any = None) -> Any:
    """The `copyreg` of pickle's first protocols."""
    if base is not object or state is not None:
        raise CheckpointError(f"an object of {cls!r} is built from {base!r}")
    return build.new(cls, ())


# NumPy

class UnfinishedDtype:
    """A NumPy dtype whose byte order is still to come."""

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype

    def finish(self, state: Any) -> np.dtype:
        _, order, base, names, fields = state[:5]
        if base is not None or names is not None or fields is not None or order not in ("<", ">", "|", "="):
            raise CheckpointError(f"a NumPy array has the type {self.dtype} with {state!r}")
        return self.dtype.newbyteorder(order) if order in "<>" else self.dtype


def _numpy_dtype(build: Unpickler, name: Any, align: Any = False, copy: Any = True) -> UnfinishedDtype:
    dtype = np.dtype(_of(str, name))
    if dtype.kind not in "biufcSU" or dtype.itemsize == 0:
        raise CheckpointError(f"a NumPy array has the type {name!r}")
    return UnfinishedDtype(dtype)


def _numpy_array(build: Unpickler, kind: Any, shape: Any, code: Any) -> np.ndarray:
    if kind is not np.ndarray:
        raise CheckpointError(f"a NumPy array is of {kind!r}")
    return np.empty(0, np.uint8)  # filled by what follows


def fill_array(array: np.ndarray, state: Any) -> None:
    """Give an array that was just made its type, shape and content, in place: others may refer to it already."""
    _, shape, dtype, fortran, content = state
    if type(shape) is not tuple or not all([type(n) is int and n >= 0 for n in shape]):
        raise CheckpointError(f"a NumPy array has the shape {shape!r}")
    checked: Any = (1, shape, _of(np.dtype, dtype), bool(fortran), _of(bytes, content))
    array.__setstate__(checked)


def _numpy_scalar(build: Unpickler, dtype: Any, content: Any) -> Any:
    value = np.frombuffer(_of(bytes, content), _of(np.dtype, dtype))
    if value.shape != (1,):
        raise CheckpointError(f"a NumPy number of type {dtype} has {len(content)} bytes")
    return value[0]


def _of(kind: Any, value: Any) -> Any:
    """`value`, which must be of that class."""
    if not isinstance(value, kind):
        raise CheckpointError(f"a {type(value).__name__} stands where {getattr(kind, '__name__', 'a number')} belongs")
    return value


# The tables

def _table() -> dict[tuple[str, str], Any]:
    numbers = {("torch", d.name): d for d in dtypes.ALL}
    kinds = {(module, name): kind for name, kind in KINDS.items()
             for module in ("torch.cuda", "torch") if not name.startswith("UInt")}  # which PyTorch has no storages of
    tensors = {(module, name.replace("Storage", "Tensor")): Tensor for module, name in kinds}
    plain = {("builtins", kind.__name__): kind for kind in (list, dict, tuple, str, int, float, bool, object, set,
                                                            frozenset, bytes, bytearray, complex, slice, range)}
    return {
        **numbers, **kinds, **tensors, **plain,
        ("builtins", "xrange"): range, ("builtins", "unicode"): str, ("builtins", "long"): int,  # Python 2's names
        ("torch.storage", "UntypedStorage"): UntypedStorage,
        ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor_v2,
        ("torch._utils", "_rebuild_tensor_v3"): rebuild_tensor_v3,
        ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter_with_state,
        ("torch._tensor", "_rebuild_from_type_v2"): rebuild_from_type,
        ("torch.nn.parameter", "Parameter"): old_parameter,
        ("torch._C", "Generator"): Generator,
        ("torch", "Tensor"): Tensor, ("torch", "Size"): Size, ("torch", "device"): device,
        ("collections", "OrderedDict"): OrderedDict, ("collections", "defaultdict"): defaultdict,
        ("collections", "Counter"): Counter, ("collections", "deque"): deque,
        ("argparse", "Namespace"): Namespace, ("types", "SimpleNamespace"): SimpleNamespace,
        ("_codecs", "encode"): _bytes_of_text, ("copyreg", "_reconstructor"): _new,
        **{(module, f"{system}Path"): _path for module in ("pathlib._local", "pathlib")
           for system in ("Posix", "Windows", "PurePosix", "PureWindows")},
        ("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): _numpy_dtype,
        ("numpy._core.multiarray", "_reconstruct"): _numpy_array, ("numpy._core.multiarray", "scalar"): _numpy_scalar,
    }


TABLE = _table()
_MOVED = {"__builtin__": "builtins", "copy_reg": "copyreg", "numpy.core.multiarray": "numpy._core.multiarray"}
_REFUSED_BY_PYTORCH = {key for key in TABLE if key[0].partition(".")[0] in ("argparse", "types", "pathlib", "numpy")} \
    | {("collections", "defaultdict"), ("collections", "deque"), ("torch._C", "Generator")}
_FACTORIES = (list, dict, set, int, float, str, bool, tuple, OrderedDict, Counter)

CALLS: dict[Any, Callable] = {
    **{function: function for function in TABLE.values()
       if callable(function) and getattr(function, "__module__", "") == __name__},
    OrderedDict: lambda build, *pairs: _pairs(build, OrderedDict, *pairs),
    Counter: lambda build, counts=(): Counter(_of(dict, counts or {})),
    defaultdict: _defaultdict, set: _elements(set), frozenset: _elements(frozenset),
    deque: lambda build, values=(), length=None: deque(_of((list, tuple), values), length),
    complex: _numbers(complex, (int, float)), range: _numbers(range, (int,)),
    slice: _numbers(slice, (int, type(None))),
    bytes: _bytes, bytearray: _bytearray, SimpleNamespace: lambda build: SimpleNamespace(),
    Size: _size, device: _device, Generator: lambda build, where: Generator(_of(device, where)),
}


def lookup(module: str, name: str) -> Any:
    """What stands for that name. Raises KeyError for one that files may not refer to."""
    if module == "torch.return_types":
        return _return_type(name)
    return TABLE[_MOVED.get(module, module), name]


def is_refused_by_pytorch(module: str, name: str) -> bool:
    """Whether PyTorch's `weights_only=True` refuses this name, although no harm comes of it here."""
    module = _MOVED.get(module, module)
    if module == "builtins":
        return name not in ("set", "bytearray", "complex", "bytes", "object", "unicode", "long")
    return module == "torch.return_types" or (module, name) in _REFUSED_BY_PYTORCH


def _return_type(name: str) -> Any:
    """The named tuple of `x.max(0)` and the like; a call for it is made when it is first seen."""
    from .. import return_types

    if name.startswith("_") or not isinstance(kind := getattr(return_types, name, None), type):
        raise KeyError(name)
    CALLS[kind] = lambda build, values, extra=None: kind(*_of(tuple, values))
    return kind
