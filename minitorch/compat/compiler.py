"""`torch.compiler`: what programs say to the compiler. `minitorch.compile` records by itself and needs little of it."""
from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any

from minitorch import capture
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


class set_stance(ContextDecorator):
    """What compiled functions do from now on; within a block or a decorated function, until its end.

    "default": record and replay. "force_eager": run as they are. "eager_on_recompile": replay what is recorded, and
    run as they are where nothing fits. "fail_on_recompile": raise RuntimeError there. `force_backend` and
    `skip_guard_eval_unsafe` are accepted for PyTorch's sake.

    >>> import minitorch as torch
    >>> @torch.compile
    ... def f(x):
    ...     return x * 2
    >>> with set_stance("force_eager"):
    ...     y = f(torch.ones(2))
    >>> print(f.explain())
    f: 0 recordings, 0 replays
    """

    def __init__(self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False, force_backend: Any = None):
        if stance in ("eager_then_compile", "aot_eager_then_compile"):
            stance = "default"  # a first call runs eagerly anyhow: it is being recorded
        if stance not in STANCES:
            raise RuntimeError(f"invalid torch.compile stance '{stance}'; there are {', '.join(STANCES)}")
        self.stance, self._before = stance, [capture.stance]
        capture.stance = stance

    def __enter__(self) -> set_stance:
        capture.stance = self.stance
        return self

    def __exit__(self, *exception: object) -> None:
        capture.stance = self._before[-1]

    def __call__(self, function: Any) -> Any:
        capture.stance = self._before[-1]  # for the calls of this function only
        stance = self.stance

        @functools.wraps(function)
        def call(*args, **kwargs):
            with set_stance(stance):
                return function(*args, **kwargs)

        return call


STANCES = ("default", "eager_then_compile", "aot_eager_then_compile", "force_eager", "eager_on_recompile",
           "fail_on_recompile")


__all__ = ["allow_in_graph", "compile", "disable", "is_compiling", "list_backends", "reset", "set_stance"]
