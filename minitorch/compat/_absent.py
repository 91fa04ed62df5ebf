"""Stand-ins for what is not there: classes and functions to import, to annotate and to compare with, not to use.

Libraries import them whether they need them or not, and ask `isinstance(parameter, DTensor)`: no, here.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from minitorch.errors import DistributedError, MissingError


class _Absent(type):
    """The type of classes that nothing is an instance of."""

    _why: str
    _error: type[Exception]

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise cls._error(f"{cls.__name__}: {cls._why}")

    def __getattr__(cls, name: str) -> NoReturn:
        raise AttributeError(f"type object '{cls.__name__}' has no attribute '{name}': {cls._why}")


def stand_ins(module: str, why: str, classes: str, functions: str = "",
              error: type[Exception] = MissingError) -> dict[str, Any]:
    """Names of `module`, each a class that cannot be made or a function that cannot be called: `error` says `why`.

    >>> names = stand_ins("torch.fx", "there is no tracer", "Proxy", "symbolic_trace")
    >>> isinstance(1, names["Proxy"])
    False
    >>> names["symbolic_trace"](1)
    Traceback (most recent call last):
    ...
    minitorch.errors.MissingError: symbolic_trace: there is no tracer
    """
    own = {"__module__": module, "_why": why, "_error": error}
    kinds = {name: _Absent(name, (), dict(own)) for name in classes.split()}
    return kinds | {name: _refusing(f"{name}: {why}", name, error) for name in functions.split()}


def several(module: str, classes: str, functions: str = "") -> dict[str, Any]:
    """Stand-ins for what spreads a model over several processes."""
    why = "spreads over several processes; minitorch.distributed knows a world of one"
    return stand_ins(module, why, classes, functions, DistributedError)


def _refusing(message: str, name: str, error: type[Exception]) -> Callable:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise error(message)

    refuse.__name__ = refuse.__qualname__ = name
    return refuse
