"""Several GPUs in one process: ops, gradients and kernels run where their arrays lie, whichever GPU is current."""
from __future__ import annotations

import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from minitorch_kernels import table

from .. import engine
from ..device import cupy, gpus


def install(cp: Any) -> None:
    """Begin, once a second GPU comes into use: with one nobody pays for looking."""
    engine.placing = _Placing(cp)
    k = table.kernels(cp)
    vars(k).clear()
    k.__class__, k.xp = _PlacedKernels, _Placed(table.Kernels(cp).xp)


def uninstall(cp: Any) -> None:
    """Back to one GPU."""
    engine.placing, gpus.several = None, False
    k = table.kernels(cp)
    vars(k).clear()
    k.__class__, k.xp = table.Kernels, table.Kernels(cp).xp


def beside(arrays: Any, function: Callable, *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)` while the GPU that `arrays` lie on is the current one."""
    number = _number_of(arrays)
    if number is None:
        return function(*args, **kwargs)
    with cupy().cuda.Device(number):
        return function(*args, **kwargs)


class _PlacedKernels(table.Kernels):
    """The GPU's kernels, each of which runs where its arrays lie."""

    def __getattr__(self, name: str) -> Callable:
        bound = super().__getattr__(name)

        def run(*args, **kwargs):
            return beside(args, bound, *args, **kwargs)

        setattr(self, name, run)
        return run


class _Placed:
    """CuPy, or a module or ufunc of it, each of whose functions runs where its arrays lie."""

    def __init__(self, found: Any):
        self._found = found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return beside(args, self._found, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._found, name)
        if isinstance(found, type) or not (callable(found) or isinstance(found, ModuleType)):
            return found
        placed = _Placed(found)
        setattr(self, name, placed)
        return placed


class _Placing:
    """For the engine: within `with` each call makes the GPU of a gradient the current one; the end puts it back."""

    def __init__(self, cp: Any):
        self._cp, self._own = cp, threading.local()

    def __enter__(self) -> None:
        self._own.before = [*getattr(self._own, "before", ()), self._cp.cuda.Device()]

    def __exit__(self, *exception: Any) -> None:
        self._own.before.pop().use()

    def __call__(self, arrays: Any) -> None:
        number = _number_of(arrays)
        if number is not None:
            self._cp.cuda.Device(number).use()


def _number_of(value: Any) -> int | None:
    """The number of the GPU of the first CuPy array in nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        return next((found for found in map(_number_of, value) if found is not None), None)
    array = getattr(value, "_array", value)
    return getattr(getattr(array, "data", None), "device_id", None)
