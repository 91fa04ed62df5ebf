"""What a thread records: its modes, and the context managers and decorators that switch gradients on and off."""
from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any


class _Mode(threading.local):
    """What this thread records: each thread starts with gradients on."""

    grad = True
    inference = False
    anomaly = False
    check_nan = False
    notes: tuple = ()  # called with every new node: who wants to know more of it writes it down
    autocast: Any = None  # within autocast, the NumPy dtype of products
    recorder: Any = None  # of `compile`, while it records what runs here
    saving: Any = None  # within `saved_tensors_hooks`, what takes over the values that a node keeps
    drawing: Any = None  # within `vmap`, what is asked before random numbers are drawn


mode = _Mode()


class _GradMode(ContextDecorator):
    """Recording on or off on this thread, within `with` or in a decorated function or generator."""

    def __init__(self, enabled: bool):
        self.enabled = enabled
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode.grad)
        mode.grad = self.enabled

    def __exit__(self, *exception: Any) -> None:
        mode.grad = self._before.pop()

    def __call__(self, function: Callable) -> Any:
        return _decorated(function, lambda: _GradMode(self.enabled))


class no_grad(_GradMode):
    """Record nothing: results need no gradient. `with no_grad():`, `@no_grad()` or `@no_grad`."""

    def __new__(cls, function: Callable | None = None):
        return super().__new__(cls) if function is None else no_grad()(function)

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_GradMode):
    """Record operations, within `no_grad`."""

    def __new__(cls, function: Callable | None = None):
        return super().__new__(cls) if function is None else enable_grad()(function)

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_GradMode):
    """Recording on or off: from this call on, or only within `with`."""

    def __init__(self, enabled: bool):
        super().__init__(bool(enabled))
        self._before.append(mode.grad)
        mode.grad = self.enabled

    def __enter__(self) -> None:
        mode.grad = self.enabled

    def __call__(self, function: Callable) -> Any:
        mode.grad = self._before.pop()
        return super().__call__(function)


class inference_mode(ContextDecorator):
    """`no_grad`, and its results can never become part of a graph."""

    def __new__(cls, mode: Any = True):
        return inference_mode()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True):
        self._wanted = mode
        self._before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self._before.append((mode.grad, mode.inference))
        mode.grad, mode.inference = not self._wanted, self._wanted

    def __exit__(self, *exception: Any) -> None:
        mode.grad, mode.inference = self._before.pop()

    def __call__(self, function: Callable) -> Any:
        return _decorated(function, lambda: inference_mode(self._wanted))


def is_grad_enabled() -> bool:
    """Whether this thread records operations."""
    return mode.grad


def is_inference_mode_enabled() -> bool:
    return mode.inference


def _decorated(function: Callable, fresh: Callable) -> Callable:
    """`function` under the mode that `fresh()` makes; of a generator each step, so that its caller's mode stays."""
    if not inspect.isgeneratorfunction(function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with fresh():
                return function(*args, **kwargs)
        return wrapped

    @functools.wraps(function)
    def stepped(*args, **kwargs):
        generator = function(*args, **kwargs)
        step, given = generator.send, None
        while True:
            try:
                with fresh():
                    result = step(given)
            except StopIteration as end:
                return end.value
            try:
                step, given = generator.send, (yield result)
            except GeneratorExit:
                with fresh():
                    generator.close()
                raise
            except BaseException as error:
                step, given = generator.throw, error
    return stepped
