"""What only several processes can use: classes and functions to import, to annotate and to compare with, not to use.

Libraries import these whether they spread a model or not, and ask `isinstance(parameter, DTensor)`: no, here.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from minitorch.errors import DistributedError

_WHY = "spreads over several processes; minitorch.distributed knows a world of one"


class _Several(type):
    """The type of classes that nothing is an instance of."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise DistributedError(f"{cls.__name__}: {_WHY}")

    def __getattr__(cls, name: str) -> NoReturn:
        raise AttributeError(f"type object '{cls.__name__}' has no attribute '{name}': what it is for {_WHY}")


def several(module: str, classes: str, functions: str = "") -> dict[str, Any]:
    """Names of `module` with stand-ins: a class whose call raises DistributedError for each, a function likewise.

    >>> names = several("torch.distributed.tensor", "DTensor", "distribute_tensor")
    >>> isinstance(1, names["DTensor"])
    False
    >>> names["distribute_tensor"](1)
    Traceback (most recent call last):
    ...
    minitorch.errors.DistributedError: distribute_tensor: spreads over several processes; minitorch.distributed knows a
    world of one
    """
    kinds = {name: _Several(name, (), {"__module__": module}) for name in classes.split()}
    return kinds | {name: _refusing(name) for name in functions.split()}


def _refusing(name: str) -> Callable:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise DistributedError(f"{name}: {_WHY}")

    refuse.__name__ = refuse.__qualname__ = name
    return refuse
