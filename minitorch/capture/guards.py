"""What a recording took for granted of the Python around it: found out while it runs, checked before each replay.

`Watch` runs the program under a profiler's eye, which tells the code that ran and what was called. From the function,
and by the names in that code, `Watch.state` walks to the values that it can have read: closure cells, globals,
attributes, modules, containers. They must be the same objects, or simple values that are equal, or the recording does
not apply. What cannot be guarded is a reason not to replay at all.
"""
from __future__ import annotations

import functools
import gc
import os
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import chain
from operator import is_
from typing import Any

import numpy as np
from minitorch_kernels import table

from .. import dtypes
from ..device import device
from ..engine import mode
from ..nn import Module, hooks
from ..tensor import Size, Tensor

SIMPLE = (int, float, complex, str, bytes, bool, type(None), type(...), np.generic, Enum, dtypes.dtype, device, Size,
          np.dtype, slice, range)
MOST = 20_000  # values watched at most

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_KERNELS = os.path.dirname(os.path.abspath(table.__file__)) + os.sep
_WATCHED = (os.path.join(_HOME, "examples", ""),  # programs of users, as far as compiling is concerned
            os.path.join(_HOME, "utils", "data", "randomness.py"))  # stands before `random`
_TRUSTED = (_HOME, os.path.dirname(os.path.abspath(np.__file__)) + os.sep)
_LEAVES: tuple[str, ...] = (_KERNELS, "<frozen importlib")
_STANDARD = os.path.dirname(os.path.abspath(functools.__file__)) + os.sep
_TRUSTED_STANDARD = {"contextlib.py", "functools.py", "typing.py", "dataclasses.py", "enum.py", "copy.py", "types.py",
                     "warnings.py", "operator.py", "weakref.py", "_collections_abc.py", "abc.py", "inspect.py"}
_PURE = {"len", "isinstance", "issubclass", "getattr", "hasattr", "callable", "min", "max", "sum", "abs", "round",
         "pow", "sorted", "any", "all", "iter", "repr", "format", "hash", "chr", "ord", "divmod", "bin", "hex", "oct",
         "__build_class__", "ascii"}
_PURE_MODULES = {"math", "_operator", "operator", "itertools", "_functools", "_abc", "cmath", "_bisect"}
_VALUES = (str, list, dict, tuple, set, frozenset, int, float, complex, bytes, deque, slice, range, type)


class Watch:
    """The user's code that runs within `with`, and a `reason` if some of it cannot be repeated by a replay."""

    def __init__(self) -> None:
        self.codes: dict[types.CodeType, dict] = {}  # the code objects that ran, and their globals
        self.reason: str | None = None

    def __enter__(self) -> Watch:
        self._before, self._leaf = sys.getprofile(), None
        self._collector = {getattr(callback, "__code__", None) for callback in gc.callbacks}  # can run at any moment
        sys.setprofile(self._event)
        return self

    def __exit__(self, *exception: Any) -> None:
        sys.setprofile(self._before)

    def _event(self, frame: Any, event: str, argument: Any) -> None:
        code = frame.f_code
        if self._leaf is not None:  # within a kernel, an import or the collector, which call no user code
            if frame is self._leaf and event == "return":
                self._leaf = None
        elif event == "call":
            if code.co_filename.startswith(_LEAVES) or code in self._collector:
                self._leaf = frame
            elif code not in self.codes and not _trusted(code.co_filename):
                self.codes[code] = frame.f_globals
        elif event == "c_call" and self.reason is None and not _trusted(code.co_filename) and not _pure(argument):
            owner = getattr(argument, "__self__", None)
            where = owner.__name__ + "." if isinstance(owner, types.ModuleType) and owner.__name__ != "builtins" else ""
            self.reason = f"it calls {where}{argument.__name__}, which a replay would not"

    @property
    def names(self) -> set[str]:
        return {name for code in self.codes for name in (*code.co_names, *code.co_freevars)}

    def state(self, function: Any, values: Iterable[Any] = ()) -> State:
        """Everything that the code can have read, starting from the function, globals and other `values`."""
        state = State(self)
        state.visit(function)
        for value in values:
            state.visit(value)
        for code, around in list(self.codes.items()):
            state.select(around.get, sorted(set(code.co_names) & around.keys()), "the global ")
            if "random" in code.co_names and any(around.get(n) is np for n in code.co_names):
                state.reason = state.reason or "it uses numpy.random"
        return state


class State:
    """The values that were found, each with the place where it was found."""

    def __init__(self, watch: Watch):
        self.names, self.codes = watch.names, watch.codes
        self.tensors: set[int] = set()  # the identities of those that were found
        self.reason: str | None = None
        self._seen: dict[int, Any] = {}
        self._parts: list[Any] = []  # live views of containers
        self._checks: list[tuple[Callable, Any, str]] = []  # (question, answer, what it asks for)
        self._singles: list[tuple[Callable, Any, Any, str]] = []  # (look-up, key, value, what it is)

    # Checking

    def freeze(self) -> None:
        """Remember the present values of the containers."""
        self._lengths = list(map(len, self._parts))
        self._values = list(chain.from_iterable(self._parts))

    def holds(self) -> bool:
        """Whether everything is as it was found."""
        for ask, answer, _ in self._checks:
            if ask() != answer:
                return False
        for get, key, value, _ in self._singles:
            if get(key, _MISSING) is not value:
                return self.difference() is None
        return (list(map(len, self._parts)) == self._lengths
                and all(map(is_, chain.from_iterable(self._parts), self._values))) or self.difference() is None

    def difference(self) -> str | None:
        """What is not as it was, in words; values that are equal though not identical are taken over."""
        for ask, answer, what in self._checks:
            if ask() != answer:
                return f"{what} changed"
        for i, (get, key, value, what) in enumerate(self._singles):
            now = get(key, _MISSING)
            if now is not value:
                if not same(now, value):
                    return f"{what}{key!r} changed"
                self._singles[i] = get, key, now, what
        if list(map(len, self._parts)) != self._lengths:
            return "a list, dict or module has more or fewer members"
        now = list(chain.from_iterable(self._parts))
        for a, b in zip(now, self._values):
            if a is not b and not same(a, b):
                return f"a member of a list, dict or module changed from {_short(b)} to {_short(a)}"
        self._values = now
        return None

    # Walking

    def select(self, get: Callable, keys: Iterable[Any], what: str) -> None:
        """Watch the values that `get` finds under some keys."""
        for key in keys:
            value = get(key, _MISSING)
            if isinstance(value, types.ModuleType) and not _is_user_module(value):
                continue
            self._singles.append((get, key, value, what))
            self.visit(value)

    def visit(self, value: Any) -> None:
        """Watch what can be reached from `value`."""
        if isinstance(value, SIMPLE) or id(value) in self._seen or self.reason:
            return
        self._seen[id(value)] = value
        if len(self._seen) > MOST or len(self._singles) > MOST:
            self.reason = "there is too much state to guard"
        elif isinstance(value, Tensor):
            self.tensors.add(id(value))
        elif isinstance(value, Module):
            self._module(value)
        elif isinstance(value, dict):
            self._parts += [value.keys(), value.values()]
            self._each(value.values())
        elif isinstance(value, (list, tuple, set, frozenset, deque)):
            self._parts.append(value)
            self._each(value)
        elif isinstance(value, np.ndarray):
            self.reason = "it reads a NumPy array, whose values cannot be guarded: make it a tensor argument"
        elif isinstance(value, types.MethodType):
            self.visit(value.__self__)
            self.visit(value.__func__)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, functools.partial):
            self._each((value.func, value.args, value.keywords))
        elif isinstance(value, types.ModuleType):
            self.select(vars(value).get, sorted(self.names & vars(value).keys()), f"{value.__name__}'s ")
        elif isinstance(value, type):
            self._class(value)
        else:
            self._object(value)

    def _each(self, values: Iterable[Any]) -> None:
        for value in values:
            self.visit(value)

    def _function(self, function: types.FunctionType) -> None:
        if hasattr(function, "__wrapped__"):
            self.visit(function.__wrapped__)
        wrapper = function.__closure__ and hasattr(function, "__wrapped__")
        if _trusted(function.__code__.co_filename) and function.__code__ not in self.codes and not wrapper:
            return
        if function.__closure__:
            cells = dict(zip(function.__code__.co_freevars, function.__closure__))
            self.select(functools.partial(_cell, cells), cells, "the closure's ")
        self._each(function.__defaults__ or ())
        self._each((function.__kwdefaults__ or {}).values())

    def _module(self, module: Module) -> None:
        own = module.__dict__
        hooks = (own.get("_hooks") or {}).values()
        if any(hooks):
            self.reason = f"{type(module).__name__} has hooks"
            return
        self._parts += [d.values() for d in hooks]
        kinds = [own[kind] for kind in ("_parameters", "_buffers", "_modules")]
        if _trusted(getattr(sys.modules.get(type(module).__module__), "__file__", None) or ""):
            self._parts += [own.values(), *(d.values() for d in kinds)]
            self._each([v for v in own.values() if isinstance(v, (list, tuple, types.FunctionType, Module, Tensor))])
        else:
            self._parts += [d.values() for d in kinds]
            names = {"training", "_hooks", *self._named(own)}
            if any(kind is not Module and _package(kind) == "minitorch" for kind in type(module).__mro__):
                names |= {name for name, value in own.items() if isinstance(value, SIMPLE)}  # inherited code reads them
            self.select(own.get, sorted(names), f"{type(module).__name__}'s ")
            self._class(type(module))
        for d in kinds:
            self._each(d.values())

    def _object(self, value: Any) -> None:
        kind = type(value)
        if _package(kind) in ("minitorch", "minitorch_kernels", "numpy", "builtins"):
            if isinstance(getattr(value, "param_groups", None), list):
                ask = functools.partial(_parameters, value)
                self._checks.append((ask, ask(), "the list of an optimizer's parameters"))
                if "param_groups" in self.names:
                    self.visit(value.param_groups)
            elif hasattr(value, "unscale_"):  # a GradScaler: its factor is read anew
                self.tensors.add(id(value._live))
                self.select(value.__dict__.get, ["_enabled"], "GradScaler's ")
            elif hasattr(value, "uncompiled"):
                self.visit(value.uncompiled)
            return
        own = getattr(value, "__dict__", None)
        own = own if isinstance(own, dict) else {}
        self.select(own.get, self._named(own), f"{kind.__name__}'s ")
        slots = [n for c in kind.__mro__ for n in vars(c).get("__slots__", ()) if n in self.names]
        self.select(lambda name, default: getattr(value, name, default), slots, f"{kind.__name__}'s ")
        self._class(kind)

    def _class(self, kind: type) -> None:
        for each in kind.__mro__:
            if _package(each) in ("minitorch", "builtins", "abc", "typing", "enum"):
                continue
            own = vars(each)
            for name in sorted(own.keys() & self.names):
                value = own[name]
                if not isinstance(value, (property, classmethod, staticmethod)) and not hasattr(value, "__set__"):
                    self.select(own.get, [name], f"{each.__name__}'s ")
                elif isinstance(value, (classmethod, staticmethod)):
                    self.visit(value.__func__)

    def _named(self, own: dict) -> list[str]:
        if "getattr" in self.names or "__dict__" in self.names or "vars" in self.names:
            return [name for name in own if isinstance(name, str) and not name.startswith("_")]
        return [name for name in own if name in self.names and name != "training"]


class Arguments:
    """The form of a call's arguments, and the tensors in them."""

    def __init__(self, args: tuple, kwargs: dict):
        self.tensors: list[Tensor] = []
        self.objects: list[Any] = []  # models, optimizers and others, which must be the same ones again
        self.containers: list[Any] = []
        self.given = args if not kwargs else None
        self.key = self._key(args), self._key(kwargs), repr(modes())

    def _key(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if any(t is value for t in self.tensors):
                return "again", next(i for i, t in enumerate(self.tensors) if t is value)
            self.tensors.append(value)
            return tensor_key(value)
        if isinstance(value, (tuple, list)):
            if isinstance(value, list):
                self.containers.append((value, list(value)))
            return type(value), tuple(map(self._key, value))
        if isinstance(value, dict):
            self.containers.append((value, dict(value)))
            return type(value), tuple((k, self._key(v)) for k, v in value.items())
        if isinstance(value, SIMPLE):
            return type(value), repr(value) if isinstance(value, (float, complex, slice)) else value
        self.objects.append(value)
        return type(value), id(value)

    def changed(self) -> bool:
        """Whether the call changed a list or dict among its arguments."""
        return any(len(now) != len(before) or not all(map(is_, _flat(now), _flat(before)))
                   for now, before in self.containers)


def tensor_key(t: Tensor) -> tuple:
    """What of a tensor a recording depends on."""
    a = t._array
    return (type(t), type(a), a.shape, getattr(a.dtype, "str", a.dtype), getattr(a, "strides", None), t._requires_grad,
            t._node is None, t._base is None, not t._hooks, not t._after_accumulate, t._inference)


def modes() -> tuple:
    """The switches of this thread and of the framework that ops look at."""
    return (mode.grad, mode.inference, mode.anomaly, mode.check_nan, mode.autocast, dtypes.get_default_dtype(),
            dict(table._choice), bool(hooks.everywhere["before"] or hooks.everywhere["after"]))


def special() -> bool:
    """Whether this thread runs in a mode that is not recorded: under a tool that looks at nodes, or hooks on all
    modules."""
    return bool(mode.notes) or bool(hooks.everywhere["before"] or hooks.everywhere["after"])


def binder(arguments: Arguments) -> Callable[[tuple, dict], list[Tensor] | None]:
    """A function of a call's arguments: its tensors, if it has the form of `arguments`, else None."""
    def bind(args: tuple, kwargs: dict) -> list[Tensor] | None:
        found = Arguments(args, kwargs)
        return found.tensors if found.key == arguments.key else None

    given = arguments.given
    if given is None or any(isinstance(v, (tuple, list, dict)) for v in given):
        return bind
    names: dict[str, Any] = {"now": modes, "modes": modes(), "same": same}
    tests, tensors = [f"len(args) == {len(given)} and not kwargs"], []
    for i, v in enumerate(given):
        names |= {f"k{i}": type(v), f"v{i}": v}
        if isinstance(v, Tensor):
            a = v._array
            names |= {f"y{i}": type(a), f"s{i}": a.shape, f"d{i}": a.dtype, f"t{i}": a.strides, f"v{i}": None}
            tests.append(f"type(a{i}) is k{i} and type(x{i} := a{i}._array) is y{i} and x{i}.shape == s{i} and "
                         f"x{i}.dtype == d{i} and x{i}.strides == t{i} and "
                         f"a{i}._requires_grad is {v._requires_grad} and (a{i}._node is None) is {v._node is None} "
                         f"and (a{i}._base is None) is {v._base is None} and not a{i}._hooks and "
                         f"a{i}._inference is {v._inference}")
            tests += [f"a{i} is {'' if given[j] is v else 'not '}a{j}"
                      for j in range(i) if isinstance(given[j], Tensor)]
            if not any(given[j] is v for j in range(i)):
                tensors.append(f"a{i}")
        else:
            tests.append(f"(a{i} is v{i} or same(a{i}, v{i}))")
    unpack = "".join(f"a{i}, " for i in range(len(given)))
    source = (f"def make({', '.join(names)}):\n    def bind(args, kwargs):\n        if {tests[0]}:\n"
              + (f"            {unpack} = args\n" if given else "") +
              f"            if {' and '.join([*tests[1:], 'now() == modes'])}:\n"
              f"                return [{', '.join(tensors)}]\n    return bind\n")
    space: dict[str, Any] = {}
    exec(source, space)
    return space["make"](**names)


def trust(package: types.ModuleType) -> None:
    """Let `Watch` pass over the code of a package that calls none of a user's: CuPy's, once it is there."""
    global _LEAVES
    folder = os.path.dirname(os.path.abspath(str(package.__file__)))
    if folder + os.sep not in _LEAVES:
        _LEAVES = (*_LEAVES, folder + os.sep, folder + "x" + os.sep, folder + "_backends" + os.sep)


def same(a: Any, b: Any) -> bool:
    """Whether two values are interchangeable: simple, of one type, and equal."""
    return type(a) is type(b) and isinstance(a, SIMPLE) and (a == b or (a != a and b != b))


_MISSING = object()


def _parameters(optimizer: Any) -> list[int]:
    return [id(p) for group in optimizer.param_groups for p in group["params"]]


def _cell(cells: dict, name: str, default: Any) -> Any:
    try:
        return cells[name].cell_contents
    except ValueError:
        return default


def _flat(container: Any) -> Iterable[Any]:
    return chain.from_iterable(container.items()) if isinstance(container, dict) else container


def _short(value: Any) -> str:
    return repr(value) if isinstance(value, SIMPLE) else f"a {type(value).__name__}"


@functools.lru_cache(4096)
def _trusted(filename: str) -> bool:
    """Whether a file is part of the framework, or of what does not need to be watched."""
    if filename.startswith(_TRUSTED) or filename.startswith("<frozen"):
        return not filename.startswith(_WATCHED)
    if not filename.startswith(_STANDARD):
        return False
    folder, _, name = filename[len(_STANDARD):].rpartition(os.sep)
    return name in _TRUSTED_STANDARD or folder.startswith("collections") or folder.startswith("importlib")


def _is_user_module(module: types.ModuleType) -> bool:
    return _package(module.__name__) not in {*sys.stdlib_module_names, "numpy", "minitorch",
                                             "minitorch_kernels"} or module.__name__ == "__main__"


def _package(module: str | type) -> str:
    """The package that a class or a module, given by name, belongs to; the examples are one of their own."""
    name = module.__module__ if isinstance(module, type) else module
    return "minitorch.examples" if name.startswith("minitorch.examples") else name.partition(".")[0]


def _pure(function: Any) -> bool:
    """Whether a built-in function neither has effects that a replay would lack, nor results that could differ."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, types.ModuleType):
        name = owner.__name__
        return function.__name__ in _PURE if name == "builtins" else name in _PURE_MODULES or (
            name == "sys" and function.__name__ == "setprofile")
    if owner is None:
        return getattr(function, "__objclass__", None) in _VALUES or isinstance(
            function, (types.WrapperDescriptorType, types.MethodWrapperType))
    return isinstance(owner, (*_VALUES, Tensor, Module)) or function.__name__ in ("__exit__", "__enter__")
