"""`__torch_function__`: classes and modes that take over what torch's functions do with their objects.

Nothing here runs, nor costs anything, until the first such class or mode is there: `activate` then sends every op
through its long way in, which asks `dispatch`, and puts `dispatch` before the functions that are no ops.

>>> import minitorch as torch
>>> class Named(torch.Tensor):
...     __module__ = "program"
>>> type(torch.ones(2).as_subclass(Named) + 1).__name__
'Named'
"""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from . import op as _op
from .op import FUNCTIONS, OPS, takes_over
from .tensor import Tensor

__all__ = ["BaseTorchFunctionMode", "TorchFunctionMode", "enable_reentrant_dispatch", "get_default_nowrap_functions",
           "get_overridable_functions", "handle_torch_function", "has_torch_function", "has_torch_function_unary",
           "has_torch_function_variadic", "is_tensor_like", "is_tensor_method_or_property", "resolve_name",
           "wrap_torch_function"]


class TorchFunctionMode:
    """Within its `with` block, its `__torch_function__(func, types, args, kwargs)` is called in the place of each of
    torch's functions and methods; while that runs, the mode is off.

    >>> import minitorch as torch
    >>> class Log(TorchFunctionMode):
    ...     def __torch_function__(self, func, types, args=(), kwargs=None):
    ...         print(func.__name__)
    ...         return func(*args, **(kwargs or {}))
    >>> with Log():
    ...     y = torch.zeros(2).exp()
    zeros
    exp
    """

    def __torch_function__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError

    def __enter__(self) -> Any:
        activate()
        _state.modes = (*_state.modes, self)
        return self

    def __exit__(self, *exception: Any) -> None:
        _state.modes = _state.modes[:-1]

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> Any:
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that does what is done without it."""

    def __torch_function__(self, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of these has a `__torch_function__` that would be called, or a mode is on."""
    return bool(_state.modes) or bool(not _state.disabled and _overloaded(relevant_args))


def has_torch_function_unary(a: Any) -> bool:
    """`has_torch_function` of one argument."""
    return has_torch_function((a,))


def has_torch_function_variadic(*args: Any) -> bool:
    """`has_torch_function` of its arguments."""
    return has_torch_function(args)


def handle_torch_function(public_api: Callable, relevant_args: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
    """What the modes and the classes of `relevant_args` make of `public_api(*args, **kwargs)`.

    Raises TypeError where all of them return NotImplemented.
    """
    found = [] if _state.disabled else _overloaded(relevant_args)
    types = tuple([type(x) for x in found])
    if _state.modes:
        modes = _state.modes
        _state.modes = modes[:-1]
        try:
            result = modes[-1].__torch_function__(public_api, types, args, kwargs)
        finally:
            _state.modes = modes
        if result is not NotImplemented:
            return result
    for x in found:
        result = x.__torch_function__(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
    asked = [*[f"mode object {mode}" for mode in _state.modes[-1:]], *[f"tensor subclass {kind}" for kind in types]]
    raise TypeError(f"Multiple dispatch failed for {resolve_name(public_api)!r}; all __torch_function__ handlers "
                    "returned NotImplemented:\n\n" + "\n".join(f"  - {who}" for who in asked))


def wrap_torch_function(dispatcher: Callable) -> Callable:
    """A decorator that lets `__torch_function__` take over a function; `dispatcher(*args)` gives what is looked at."""
    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*args, **kwargs):
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(call, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return call

    return decorate


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a tensor, or its class has a `__torch_function__`."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def get_default_nowrap_functions() -> set:
    """The functions whose results keep their class: none that is called here, `grad` and `_base` are attributes."""
    return set()


def get_overridable_functions() -> dict[Any, list[Callable]]:
    """The functions that `__torch_function__` can take over, by the module or class that has them."""
    import minitorch
    from minitorch.nn import functional

    return {minitorch: list(FUNCTIONS.values()), functional: list(_functions_of(functional).values()),
            Tensor: [f for name, f in vars(Tensor).items() if callable(f) and not name.startswith("_")]}


def is_tensor_method_or_property(func: Callable) -> bool:
    """Whether it is a method of Tensor."""
    return func in vars(Tensor).values() or getattr(func, "__name__", "") == "__get__"


def resolve_name(f: Callable) -> str:
    """Its name as programs write it, such as "torch.add"."""
    name = getattr(f, "__name__", repr(f))
    return f"torch.{name}" if name in FUNCTIONS else f"torch.Tensor.{name}" if name in vars(Tensor) else name


@contextmanager
def enable_reentrant_dispatch() -> Iterator[None]:
    """Accepted around a block: functions that a `__torch_function__` calls are looked at as any other."""
    yield


class _State(threading.local):
    modes: tuple = ()
    disabled = False


_state = _State()


class DisableTorchFunctionSubclass:
    """Within the block `__torch_function__` of classes is not called."""

    _modes_too = False

    def __init__(self) -> None:
        self._before: list[tuple[bool, tuple]] = []

    def __enter__(self) -> None:
        self._before.append((_state.disabled, _state.modes))
        _state.disabled = True
        if self._modes_too:
            _state.modes = ()

    def __exit__(self, *exception: Any) -> None:
        _state.disabled, _state.modes = self._before.pop()


class DisableTorchFunction(DisableTorchFunctionSubclass):
    """Within the block `__torch_function__` of classes and of modes is not called."""

    _modes_too = True


def default(cls: type, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """`Tensor.__torch_function__`: the function as it is, its results of the class `cls`."""
    if not all([issubclass(cls, t) for t in types]):
        return NotImplemented
    before, _state.disabled = _state.disabled, True
    try:
        result = func(*args, **(kwargs or {}))
    finally:
        _state.disabled = before
    return _convert(result, cls)


def as_subclass(x: Tensor, cls: type) -> Any:
    """`x` as an object of the class `cls`, on the same memory and with the same history."""
    if x._requires_grad and x._node is None:
        x = OPS["view"].call(x, x._array.shape)
    x._version_list()
    t: Any = object.__new__(cls)
    t.__dict__.update(x.__dict__)
    return t


def activate() -> None:
    """Let `dispatch` be asked from now on."""
    if _op.overriding is not None:
        return
    _op.overriding = dispatch
    _op.look_closely()
    import minitorch
    from minitorch.nn import functional

    taking = {}
    for place in (FUNCTIONS, _functions_of(functional), vars(Tensor)):
        for name, function in place.items():
            own = type(function) is FunctionType and not name.startswith("_") and name not in _NEVER
            if own and (name.endswith("_") or not hasattr(function, "op")):  # ops ask by themselves
                taking[function] = _overridable(function)
    for namespace in (FUNCTIONS, vars(minitorch), vars(functional)):
        for name, function in list(namespace.items()):
            if type(function) is FunctionType and function in taking:
                namespace[name] = taking[function]
    for name, function in list(vars(Tensor).items()):
        if type(function) is FunctionType and function in taking:
            setattr(Tensor, name, taking[function])
    Tensor.data = property(_overridable(_data), Tensor.data.fset)  # type: ignore[assignment, attr-defined]


def dispatch(function: Callable, args: tuple, kwargs: dict) -> Any:
    """What a mode or a class makes of `function(*args, **kwargs)`; NOTHING where none takes it over."""
    if not _state.modes:
        if _state.disabled or (_PLAIN.issuperset(map(type, args)) and not kwargs):
            return _op.NOTHING
        if not _overloaded(_one_by_one(args, kwargs)):
            return _op.NOTHING
    return handle_torch_function(function, _one_by_one(args, kwargs), *args, **kwargs)


_PLAIN = _op.PLAIN
# about the names, or asked by the machinery itself
_NEVER = frozenset(["is_tensor", "as_subclass", "typename", "is_storage", "result_type", "manual_seed", "seed",
                    "initial_seed", "get_rng_state", "set_rng_state", "requires_grad_"])
_has: dict[type, bool] = {}


def _one_by_one(args: Iterable[Any], kwargs: dict) -> Iterator[Any]:
    """The arguments, and the elements of those that are lists."""
    for x in (*args, *kwargs.values()):
        if type(x) in (list, tuple):
            yield from x
        else:
            yield x


def _overloaded(args: Iterable[Any]) -> list[Any]:
    """The first argument of each class that takes over: subclasses before their bases, else from left to right."""
    found: list[Any] = []
    for x in args:
        kind = type(x)
        if kind in _PLAIN:
            continue
        has = _has.get(kind)
        if has is None:
            has = _has[kind] = takes_over(kind)
        if has and all([type(y) is not kind for y in found]):
            place = next((i for i, y in enumerate(found) if issubclass(kind, type(y))), len(found))
            found.insert(place, x)
    return found


def _overridable(function: Callable) -> Callable:
    @functools.wraps(function)
    def call(*args, **kwargs):
        result = dispatch(call, args, kwargs)
        return function(*args, **kwargs) if result is _op.NOTHING else result

    return call


def _data(self: Tensor) -> Tensor:
    return Tensor._wrap(self._array)


def _functions_of(module: Any) -> dict[str, Callable]:
    return {name: f for name, f in vars(module).items() if type(f) is FunctionType and not name.startswith("_")
            and (f.__module__ == module.__name__ or name in FUNCTIONS)}


def _convert(result: Any, cls: type) -> Any:
    if cls is Tensor:
        return result
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) else as_subclass(result, cls)
    if isinstance(result, (tuple, list)):
        parts = [_convert(x, cls) for x in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    return result


