"""`torch.compiler`: what programs say to the compiler. `minitorch.compile` records by itself and needs little of it."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from minitorch.capture import compile
from minitorch.engine import mode


def is_compiling() -> bool:
    """Whether `compile` records what runs here."""
    return mode.recorder is not None


is_dynamo_compiling = is_exporting = lambda: False


def disable(fn: Callable | None = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Decorates a function that is to run eagerly: a compiled one that calls it does too."""
    if fn is None:
        return functools.partial(disable, recursive=recursive, reason=reason)

    @functools.wraps(fn)
    def call(*args, **kwargs):
        if mode.recorder is not None:
            mode.recorder.refuse(reason or f"{getattr(fn, '__name__', fn)} is marked with compiler.disable")
        return fn(*args, **kwargs)

    return call


def allow_in_graph(fn: Any) -> Any:
    """The function itself: what it does is recorded like anything else."""
    return fn


assume_constant_result = substitute_in_graph = allow_in_graph


def reset() -> None:
    """Nothing: recordings belong to the compiled functions, and go with them."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """The one backend that there is."""
    return ["minitorch"]


def cudagraph_mark_step_begin() -> None:
    """Nothing: a recording's results are never overwritten by the next replay."""


def set_stance(stance: str = "default", **options: Any) -> Any:
    """Accepted as a call or around a block, and ignored: functions are recorded when first called."""
    from contextlib import nullcontext

    return nullcontext()


__all__ = ["allow_in_graph", "compile", "disable", "is_compiling", "list_backends", "reset", "set_stance"]
