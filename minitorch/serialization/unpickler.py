"""A reader of pickles that executes nothing: it builds tensors and plain containers, and refuses all else by name."""
from __future__ import annotations

import pickle
import pickletools
import sys
from argparse import Namespace
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from itertools import islice
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..ops.random import Generator
from ..tensor import Tensor
from . import names
from .memory import Elements, Loaded


class RefusedError(CheckpointError, pickle.UnpicklingError):
    """A pickle that is damaged, or refers to what is neither a tensor nor a plain container."""


class Unpickler:
    """Builds what one pickle describes.

    `fetch(id)` gives the storage that a persistent id means. `declared` are the classes that the program has called
    safe, by name. With `modules` it also builds modules, and objects of the program's own file, of classes that are
    loaded already: as they lie in the file, without running a method of theirs. `strict`: of the containers only those
    that PyTorch reads with `weights_only=True`. `tensors` collects each tensor built
    with the storage that it lies in.
    """

    def __init__(self, fetch: Callable[[Any], Elements] | None = None, declared: dict[str, Any] | None = None,
                 encoding: str = "utf-8", modules: bool = False, strict: bool = False):
        self.fetch, self.encoding, self._declared, self._modules = fetch, encoding, declared or {}, modules
        self._strict = strict
        self._bare: set[type] = set()  # classes whose objects are only given their attributes
        self.tensors: list[tuple[Tensor, Loaded]] = []
        self._storages: dict[int, Loaded] = {}
        self._late: dict[int, list[Callable]] = {}
        self._safe = set(map(id, self._declared.values()))
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._theirs: Exception | None = None  # what the program's own code raised: no sign of damage

    def load(self, stream: Any) -> Any:
        """The value of the pickle that starts where `stream` stands. Raises RefusedError."""
        self._stack, self._marks, self._memo = [], [], {}
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                step = _STEPS.get(opcode.name)
                if step is None:
                    raise RefusedError(f"the pickle has the opcode {opcode.name}, which no file of PyTorch has")
                step(self, argument)
            return self._stack.pop()
        except Exception as error:
            if isinstance(error, CheckpointError) or error is self._theirs:
                raise
            raise RefusedError(f"the pickle is damaged ({type(error).__name__}: {str(error)[:200]})") from None

    # What builds values; names.py calls it

    def tensor(self, elements: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False,
               metadata: Any = None, dtype: Any = None) -> Tensor:
        """A tensor on a storage's memory."""
        if not isinstance(elements, Elements):
            raise RefusedError(f"a tensor has a {type(elements).__name__} for its storage")
        t = Tensor._wrap(elements.view(offset, size, stride, dtype))
        t.requires_grad = bool(requires_grad)
        self._late[id(t)] = [_LATE[name] for name in metadata or () if metadata[name]]
        return self._keep(t, elements.storage)

    def empty(self) -> Tensor:
        return self._keep(Tensor._wrap(np.empty(0, np.float32)), Loaded(np.empty(0, np.uint8)))

    def retyped(self, t: Tensor, kind: Any, requires_grad: bool) -> Tensor:
        """The values of `t` as a tensor of a class of its own."""
        result = object.__new__(kind)
        result._array = t._array
        result.requires_grad = requires_grad
        self._late[id(result)] = self._late.get(id(t), [])
        return self._keep(result, self._storages[id(t)])

    def finish(self) -> None:
        """Compute what PyTorch computes only when it is read; to be called when the storages have been read."""
        for t, _ in self.tensors:
            for function in self._late.get(id(t), []):
                t._array = function(t._array)

    def _keep(self, t: Tensor, storage: Loaded) -> Tensor:
        self.tensors.append((t, storage))
        self._storages[id(t)] = storage
        return t

    def declared(self, value: Any) -> Any:
        if id(value) not in self._safe:
            raise RefusedError(f"an object is to be made of {_name(value)}")
        return value

    def find(self, module: str, name: str) -> Any:
        if self._strict and names.is_refused_by_pytorch(module, name):
            if f"{module}.{name}" in self._declared:
                return self._declared[f"{module}.{name}"]
            raise RefusedError(f"it refers to {module}.{name}, which weights_only=True refuses; without that argument "
                               f"it is read, and torch.serialization.add_safe_globals([{name}]) declares it safe")
        try:
            return names.lookup(module, name)
        except KeyError:
            if f"{module}.{name}" in self._declared:
                return self._declared[f"{module}.{name}"]
        if self._modules and (found := self._loaded(module, name)) is not None:
            return found
        raise RefusedError(
            f"it refers to {module}.{name}. From a file minitorch builds tensors and plain containers, with "
            "weights_only=False also modules whose class the program has loaded, and executes nothing. Of a whole "
            "model better save the state_dict(), and load that into a model built in code. A class of your own, whose "
            f"code may run, is declared with torch.serialization.add_safe_globals([{name.rpartition('.')[2]}])")

    def _loaded(self, module: str, name: str) -> Any:
        """A class of modules, or of the program's own file, or a function of minitorch as a value; None otherwise."""
        from ..nn.module import Module

        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if isinstance(found, type):
            plain = found.__reduce_ex__ is object.__reduce_ex__ and not hasattr(found, "__setstate__")
            if issubclass(found, Module) or (module == "__main__" and plain):
                self._bare.add(found)
                return found
        is_ours = module.partition(".")[0] == "minitorch" and getattr(found, "__module__", None) == module
        return found if is_ours and isinstance(found, FunctionType) else None

    def call(self, function: Any, args: Any) -> Any:
        """`function(*args)`, where `names` has a builder for it, or the program has declared it."""
        if not isinstance(args, tuple):
            raise RefusedError(f"the arguments of {_name(function)} are a {type(args).__name__}")
        if id(function) in self._safe:
            return self._run(function, *args)
        builder = names.CALLS.get(function) if isinstance(function, _CALLABLE) else None
        if builder is None:
            raise RefusedError(f"it calls {_name(function)}")
        return builder(self, *args)

    def new(self, cls: Any, args: Any, keywords: Any = None) -> Any:
        """An object of `cls` that was not initialised."""
        if cls is Namespace and not args:
            return Namespace()
        if cls in (OrderedDict, names.old_parameter):
            return self.call(cls, args)
        if cls in self._bare and not args and not keywords:
            return object.__new__(cls)
        return self._run(self.declared(cls).__new__, cls, *args, **(keywords or {}))

    def build(self, value: Any, state: Any) -> Any:
        """Give `value` its state; what then stands in its place."""
        if isinstance(value, Tensor) and isinstance(state, tuple) and len(state) in (3, 5):  # PyTorch before 0.4
            if len(state) == 5:
                value._array = names._of(Tensor, state[0])._array
                self._keep(value, self._storages[id(state[0])])
            value.requires_grad = bool(state[3 if len(state) == 5 else 0])
        elif type(value) is np.ndarray:
            names.fill_array(value, state)
        elif isinstance(value, names.UnfinishedDtype):
            return value.finish(state)
        elif type(value) is Generator:
            value.set_state(state[2])
        elif type(value) in (OrderedDict, Counter, Namespace, SimpleNamespace):
            value.__dict__.update({names._of(str, name): part for name, part in names._of(dict, state).items()})
        elif id(type(value)) in self._safe:
            self._run(_set_state, value, state)
        elif type(value) in self._bare:
            value.__dict__.update({names._of(str, name): part for name, part in names._of(dict, state).items()})
        else:
            raise RefusedError(f"a {type(value).__name__} is to be given a state")
        return value

    def _run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            self._theirs = error
            raise

    # The stack

    def _marked(self) -> list[Any]:
        """What was pushed since the last mark."""
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _pair(self) -> tuple[Any, Any]:
        second = self._stack.pop()
        return self._stack.pop(), second

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _reduce(self, _: Any) -> None:
        self._push(self.call(*self._pair()))

    def _newobj(self, _: Any) -> None:
        self._push(self.new(*self._pair()))

    def _newobj_ex(self, _: Any) -> None:
        keywords = self._stack.pop()
        self._push(self.new(*self._pair(), keywords))

    def _build(self, _: Any) -> None:
        value, state = self._pair()
        built = self.build(value, state)
        if built is not value:  # an immutable value whose description ends only now: it was memoised just before
            self._memo.update({i: built for i in islice(reversed(self._memo), 8) if self._memo[i] is value})
        self._push(built)

    def _persistent(self, _: Any) -> None:
        if self.fetch is None:
            raise RefusedError("it refers to a storage, which this part of a file cannot")
        self._push(self._run(self.fetch, self._stack.pop()))

    def _global(self, name: str) -> None:
        self._push(self.find(*name.split(" ", 1)))

    def _stack_global(self, _: Any) -> None:
        module, name = self._pair()
        self._push(self.find(names._of(str, module), names._of(str, name)))

    def _text(self, text: str) -> None:
        raw = text.encode("latin1")  # a string of Python 2
        self._push(raw if self.encoding == "bytes" else raw.decode(self.encoding))

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._push(self._memo[index])

    def _memoise(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _tuple(self, count: int) -> None:
        items = tuple(self._stack[len(self._stack) - count:])
        if len(items) < count:
            raise IndexError("the stack is empty")
        del self._stack[len(self._stack) - count:]
        self._push(items)

    def _dict(self, _: Any) -> None:
        items = self._marked()
        self._push({})
        self._set(items)

    def _set(self, items: list[Any]) -> None:
        target = names._of(dict, self._stack[-1])
        if len(items) % 2:
            raise IndexError("a dict has a key without a value")
        for key, value in zip(items[::2], items[1::2]):
            target[names.hashable(key)] = value

    def _extend(self, items: list[Any]) -> None:
        names._of((list, deque), self._stack[-1]).extend(items)

    def _add(self, items: list[Any]) -> None:
        names._of(set, self._stack[-1]).update([names.hashable(x) for x in items])

    def _frozen(self, _: Any) -> None:
        self._push(frozenset([names.hashable(x) for x in self._marked()]))

    def _two(self) -> list[Any]:
        return list(self._pair())

    def _pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._marked()


def _set_state(value: Any, state: Any) -> None:
    """What pickle does with the state of an object whose class was declared safe."""
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    value.__dict__.update(state or {})
    for name, part in (slots or {}).items():
        setattr(value, name, part)


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else f"a {type(value).__name__}"


def _constant(value: Any) -> Callable:
    return lambda machine, _: machine._push(value)


def _fresh(kind: Any) -> Callable:
    return lambda machine, _: machine._push(kind())


def _group(count: int) -> Callable:
    return lambda machine, _: machine._tuple(count)


_LATE: dict[str, Callable] = {"conj": np.conj, "neg": np.negative}
_CALLABLE = (type, type(_name))

_STEPS: dict[str, Callable[[Unpickler, Any], Any]] = {
    **dict.fromkeys(["BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "FLOAT",
                     "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINBYTES", "SHORT_BINBYTES",
                     "BINBYTES8", "BYTEARRAY8"], Unpickler._push),
    **dict.fromkeys(["BINSTRING", "SHORT_BINSTRING", "STRING"], Unpickler._text),
    **dict.fromkeys(["BINPUT", "LONG_BINPUT", "PUT"], Unpickler._put),
    **dict.fromkeys(["BINGET", "LONG_BINGET", "GET"], Unpickler._get),
    **dict.fromkeys(["PROTO", "FRAME", "STOP"], lambda machine, _: None),
    "NONE": _constant(None), "NEWTRUE": _constant(True), "NEWFALSE": _constant(False), "EMPTY_TUPLE": _constant(()),
    "EMPTY_LIST": _fresh(list), "EMPTY_DICT": _fresh(dict), "EMPTY_SET": _fresh(set),
    "TUPLE1": _group(1), "TUPLE2": _group(2), "TUPLE3": _group(3), "MARK": Unpickler._mark,
    "TUPLE": lambda machine, _: machine._push(tuple(machine._marked())),
    "LIST": lambda machine, _: machine._push(machine._marked()),
    "DICT": Unpickler._dict, "FROZENSET": Unpickler._frozen,
    "APPEND": lambda machine, _: machine._extend([machine._stack.pop()]),
    "APPENDS": lambda machine, _: machine._extend(machine._marked()),
    "ADDITEMS": lambda machine, _: machine._add(machine._marked()),
    "SETITEM": lambda machine, _: machine._set(machine._two()),
    "SETITEMS": lambda machine, _: machine._set(machine._marked()),
    "GLOBAL": Unpickler._global, "STACK_GLOBAL": Unpickler._stack_global, "REDUCE": Unpickler._reduce,
    "NEWOBJ": Unpickler._newobj, "NEWOBJ_EX": Unpickler._newobj_ex, "BUILD": Unpickler._build,
    "BINPERSID": Unpickler._persistent, "MEMOIZE": Unpickler._memoise,
    "DUP": lambda machine, _: machine._push(machine._stack[-1]), "POP": Unpickler._pop,
    "POP_MARK": lambda machine, _: machine._marked(),
}
