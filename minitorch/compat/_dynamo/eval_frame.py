"""Compiled modules, by the name of the file that PyTorch has them in."""
from __future__ import annotations

from typing import Any

from minitorch.capture import compile as compile


class _CompiledModules(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(getattr(type(value), "_orig_mod", None), property)


class OptimizedModule(metaclass=_CompiledModules):
    """Of this, as `isinstance` sees it, are the modules that `compile` returns.

    >>> from minitorch import nn
    >>> isinstance(compile(nn.Linear(1, 1)), OptimizedModule), isinstance(nn.Linear(1, 1), OptimizedModule)
    (True, False)
    """

    def __init__(self) -> None:
        raise TypeError("OptimizedModule: compile(module) makes them")


def is_dynamo_supported() -> bool:
    """True: `compile` works wherever minitorch does."""
    return True
