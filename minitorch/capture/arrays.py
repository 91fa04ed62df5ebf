"""The arrays that take part in a recording: `Traced` ones, the `Slot` that names each, the `Step`s between them."""
from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np

from ..engine import mode
from ..tensor import Tensor


class Slot:
    """One array of the recording: its type, its layout, the memory that it shares, where it comes from."""

    __slots__ = ("contiguous", "dtype", "kind", "number", "shape", "source", "storage", "whole")

    def __init__(self, number: int, array: np.ndarray, storage: int, kind: str, source: Any, whole: bool):
        self.number, self.shape, self.dtype, self.storage = number, array.shape, array.dtype, storage
        # "step": made by a step; "tensor", "grad": of a tensor from outside; "dy": what backward is given;
        # "constant"; "copied": a constant that is written to
        self.kind = kind
        self.source = source  # the tensor, or the constant's array
        self.contiguous = array.flags.c_contiguous
        self.whole = whole  # all of its memory, not a view of some

    def again(self) -> Slot:
        """A slot of the same kind of array, in memory of its own."""
        slot = object.__new__(Slot)
        for name in self.__slots__:
            setattr(slot, name, getattr(self, name))
        slot.number = next(_more_slots)
        slot.storage = -slot.number
        return slot

    def __repr__(self) -> str:
        return f"v{self.number}"


class Step:
    """One thing that the program did: `function(*args, **kwargs)`, with slots in the place of arrays."""

    __slots__ = ("args", "function", "kind", "kwargs", "name", "out", "over", "writes")

    def __init__(self, kind: str, name: str, function: Any, args: tuple, kwargs: dict, out: Any = None,
                 writes: tuple = ()):
        self.kind, self.name, self.function = kind, name, function
        self.args, self.kwargs, self.out, self.writes = args, kwargs, out, writes
        self.over: Slot | None = None  # whose memory may take the result, where nobody else needs it

    def __repr__(self) -> str:
        return f"{self.out} = {self.name}({self.args}, {self.kwargs})"


class Traced(np.ndarray):
    """An array under recording. After the recording it behaves as the array that it shows."""

    plain: np.ndarray
    slot: Slot

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        recorder = mode.recorder
        if recorder is None or recorder.paused:
            return function(*plain(inputs), **plain(kwargs))
        writes = kwargs.get("out", ())
        if method == "at":
            writes = inputs[:1]
        return recorder.apply("ufunc" if method == "__call__" else "call", name, function, inputs, kwargs, writes)

    def __array_function__(self, function, types, args, kwargs):
        recorder = mode.recorder
        if recorder is None or recorder.paused or function in _STRUCTURAL:
            return function(*plain(args), **plain(kwargs))
        if function is np.concatenate:
            args = args[:2]  # the third would be memory for the result
        if function.__name__ in _DATA_SHAPES:
            recorder.refuse(f"the shape of {function.__name__}'s result depends on values")
        if function is np.copyto:
            return recorder.apply("call", "copyto", function, args, kwargs, args[:1])
        out = kwargs.get("out")
        return recorder.apply("call", function.__name__, function, args, kwargs, () if out is None else (out,))

    @property
    def base(self):
        """The memory's owner, such that a view and what it was made from answer alike."""
        plain = self.__dict__.get("plain")
        return np.ndarray.base.__get__(self) if plain is None else root_of(plain)

    def __getitem__(self, key):
        recorder = mode.recorder
        if recorder is None or recorder.paused or "plain" not in self.__dict__:
            return plain(self)[plain(key)]
        if _has_mask(key):
            recorder.refuse("the shape of x[mask] depends on values")
        return recorder.apply("item", "getitem", operator.getitem, (self, key), {})

    def __setitem__(self, key, value):
        recorder = mode.recorder
        if recorder is not None and "plain" not in self.__dict__:
            recorder.refuse("an array was made in a way that is not recorded")
        if recorder is None or recorder.paused or "plain" not in self.__dict__:
            plain(self)[plain(key)] = plain(value)
            return
        recorder.apply("set", "setitem", operator.setitem, (self, key, value), {}, (self,))


class Number:
    """A Python number among a kernel's results: it can be handed to another kernel, and that is recorded."""

    def __init__(self, number: Any, slot: Slot):
        self.number, self.slot = number, slot


def _number_method(name: str) -> Callable:
    def method(self, *args):
        recorder = mode.recorder
        if recorder is not None:
            recorder.refuse("a number that a kernel returns is computed with")
        return getattr(self.number, name)(*plain(args))

    return method


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "mod", "pow", "neg",
              "abs", "eq", "ne", "lt", "le", "gt", "ge", "bool", "int", "float", "index", "format", "hash"):
    setattr(Number, f"__{_name}__", _number_method(f"__{_name}__"))


def _method(name: str) -> Callable:
    def method(self, *args, **kwargs):
        recorder = mode.recorder
        if recorder is None or recorder.paused or "plain" not in self.__dict__:
            return getattr(plain(self), name)(*plain(args), **plain(kwargs))
        if name in _DATA_SHAPES:
            recorder.refuse(f"the shape of {name}'s result depends on values")
        return recorder.apply("method", name, name, (self, *args), kwargs, (self,) if name in _IN_PLACE else ())

    return method


def _attribute(name: str) -> property:
    def get(self):
        recorder = mode.recorder
        if recorder is None or recorder.paused or "plain" not in self.__dict__:
            return getattr(plain(self), name)
        return recorder.apply("attribute", name, name, (self,), {})

    def put(self, value):
        if mode.recorder is not None:
            mode.recorder.refuse(f"the {name} part of an array is written to")
        setattr(plain(self), name, plain(value))

    return property(get, put)


def _reading(name: str, attribute: bool = False) -> Any:
    """A method or attribute that turns values into something that is not recorded."""
    def read(self, *args, **kwargs):
        recorder = mode.recorder
        if recorder is not None and not recorder.paused and "plain" in self.__dict__:
            recorder.refuse(f"a tensor's value is read ({name.strip('_')})")
        return getattr(plain(self), name) if attribute else getattr(plain(self), name)(*plain(args), **kwargs)

    return property(read) if attribute else read


_IN_PLACE = ("fill", "sort", "partition", "put", "resize", "byteswap")
_DATA_SHAPES = {"nonzero", "flatnonzero", "argwhere", "unique", "compress", "extract", "trim_zeros", "union1d",
                "intersect1d", "setdiff1d", "unique_values", "unique_counts", "unique_inverse", "unique_all"}
for _name in ("astype", "copy", "reshape", "transpose", "swapaxes", "ravel", "flatten", "squeeze", "sum", "mean", "max",
              "min", "prod", "any", "all", "argmax", "argmin", "cumsum", "cumprod", "clip", "round", "repeat", "take",
              "diagonal", "trace", "dot", "var", "std", "conj", "conjugate", "view", "nonzero", "argsort",
              "argpartition", "searchsorted", "compress", "choose", *_IN_PLACE):
    setattr(Traced, _name, _method(_name))
for _name in ("T", "mT", "real", "imag"):
    setattr(Traced, _name, _attribute(_name))
for _name in ("item", "tolist", "tobytes", "dump", "dumps", "tofile", "__bool__", "__float__", "__int__", "__index__",
              "__complex__", "__contains__", "__format__", "__str__", "__repr__", "__array__"):
    setattr(Traced, _name, _reading(_name))
for _name in ("flat", "data", "ctypes"):
    setattr(Traced, _name, _reading(_name, True))

# answers that follow from shapes, types and memory alone
_STRUCTURAL = {np.may_share_memory, np.shares_memory, np.shape, np.ndim, np.size, np.result_type, np.can_cast,
               np.iscomplexobj, np.isrealobj, np.min_scalar_type, np.common_type}


def uses(step: Step) -> Iterator[Slot]:
    """The slots that a step reads or writes."""
    return iter(()) if step.kind == "whole" else slots_in((step.args, step.kwargs))


def slots_in(value: Any) -> Iterator[Slot]:
    """All slots in nested lists, tuples, dicts and slices."""
    if isinstance(value, Slot):
        yield value
    elif isinstance(value, (tuple, list)):
        for v in value:
            yield from slots_in(v)
    elif isinstance(value, dict):
        yield from slots_in(list(value.values()))
    elif isinstance(value, slice):
        yield from slots_in((value.start, value.stop, value.step))


def root_of(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory of `array`."""
    while isinstance(base := np.ndarray.base.__get__(array), np.ndarray):
        array = base
    return array


def plain(value: Any) -> Any:
    """`value` with the arrays themselves in the place of traced ones."""
    kind = type(value)
    if kind is Number:
        return value.number
    if isinstance(value, Tensor):
        return plain(value.__dict__["_array"])
    if kind is Traced:
        return value.plain if "plain" in value.__dict__ else np.ndarray.view(value, np.ndarray)
    if kind in (tuple, list):
        return kind(map(plain, value))
    if kind is dict:
        return {key: plain(v) for key, v in value.items()}
    return slice(*map(plain, (value.start, value.stop, value.step))) if kind is slice else value


def _has_mask(key: Any) -> bool:
    if isinstance(key, tuple):
        return any(map(_has_mask, key))
    return isinstance(key, (np.ndarray, list)) and np.asarray(plain(key)).dtype.kind == "b"


_more_slots = count(1_000_000)
