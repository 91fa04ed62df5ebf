"""The other libraries: how each is called, awaited, and kept to a number of threads.

To add a library, write an adapter (a `Peer`) and enter it into PEERS; to add a task, write its expression
(expressions.py). PyTorch's expressions stand in the entries themselves.
"""
from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from .cases import Case
from .expressions import ARRAYS, JAX, STEPS, TASKS, TINYGRAD


class Peer:
    """A library; this one is NumPy."""

    name = "numpy"
    settable = True  # its number of threads can be set at any time; else its threads are confined to as many cores

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        if importlib.util.find_spec(self.name) is None:
            return "not installed"
        try:
            self.prepare()
        except Exception as error:  # whatever a foreign library raises where it finds no device or compiler
            return (str(error).strip() or type(error).__name__).splitlines()[0]
        return None

    def prepare(self) -> None:
        """Import it; raises where it does not work."""
        self.module = importlib.import_module(self.name)

    def version(self) -> str:
        return self.module.__version__

    def start(self, case: Case, task: str, arguments: tuple) -> Callable[[], Any] | None:
        """A function without arguments that does the task on its own copies of the arrays; None where none is known."""
        expression = self.expressions().get(task)
        if expression is None or (case.program and task not in TASKS):
            return None
        module, given = self.namespace(), self.put(arguments)
        if task in STEPS:
            return self.stepping(expression, given)
        return lambda: expression(module, *given)

    def stepping(self, expression: Callable, arguments: tuple) -> Callable[[], Any]:
        """A step of an optimizer: `expression(module, count, p, g, *state)` gives the next p and state."""
        module, half = self.namespace(), len(arguments) // 2
        gradients = arguments[half:]
        state = [(p, module.zeros_like(p), module.zeros_like(p)) for p in arguments[:half]]
        count = 0

        def run() -> list:
            nonlocal count
            count += 1
            for i, (g, before) in enumerate(zip(gradients, state)):
                state[i] = expression(module, float(count), g, *before)
            return [p for p, _, _ in state]

        return run

    def expressions(self) -> dict[str, Callable]:
        return ARRAYS

    def namespace(self) -> Any:
        """The module that expressions are written with."""
        return self.module

    def put(self, value: Any) -> Any:
        """`value` with a copy of the library's own for each array, its layout kept."""
        if isinstance(value, tuple):
            return tuple(self.put(item) for item in value)
        return self.array(value) if isinstance(value, np.ndarray) else value

    def array(self, value: np.ndarray) -> Any:
        return value.copy(order="K")


class Torch(Peer):
    """PyTorch: the entry's own expression, or program."""

    name = "torch"

    def start(self, case: Case, task: str, arguments: tuple) -> Callable[[], Any] | None:
        given, theirs = self.put(arguments), case.theirs
        if case.program:
            self.module.manual_seed(0)
            return case.program(self.module, *given)
        return None if theirs is None else lambda: theirs(self.module, *given)

    def array(self, value: np.ndarray) -> Any:
        return self.module.from_numpy(value.copy(order="K"))


class CuPy(Peer):
    name = "cupy"

    def prepare(self) -> None:
        super().prepare()
        if not self.module.is_available():
            raise RuntimeError("no GPU")

    def start(self, case: Case, task: str, arguments: tuple) -> Callable[[], Any] | None:
        run = super().start(case, task, arguments)
        return run and _awaited(run, lambda _: self.module.cuda.get_current_stream().synchronize())

    def array(self, value: np.ndarray) -> Any:
        return self.module.asarray(value)


class Jax(Peer):
    """JAX: each task compiled by `jax.jit`, what is not an array being constant."""

    name = "jax"
    settable = False

    def prepare(self) -> None:
        super().prepare()
        self.module.config.update("jax_enable_x64", True)  # or float64 is float32 ...
        self.module.config.update("jax_default_matmul_precision", "highest")  # ... and float32 less, on some devices
        self.module.numpy.zeros(1).block_until_ready()

    def expressions(self) -> dict[str, Callable]:
        return {**ARRAYS, **JAX}

    def namespace(self) -> Any:
        return self.module.numpy

    def array(self, value: np.ndarray) -> Any:
        return self.module.numpy.array(value)

    def start(self, case: Case, task: str, arguments: tuple) -> Callable[[], Any] | None:
        expression, jax = self.expressions().get(task), self.module
        if expression is None or (case.program and task not in TASKS):
            return None
        given = self.put(arguments)
        if task in STEPS:
            run = self.stepping(jax.jit(expression, static_argnums=0), given)
        else:
            places = [i for i, a in enumerate(given) if hasattr(a, "dtype")]

            @jax.jit
            def compiled(*arrays: Any) -> Any:
                whole = list(given)
                for i, array in zip(places, arrays):
                    whole[i] = array
                return expression(jax.numpy, *whole)

            inputs = [given[i] for i in places]
            run = lambda: compiled(*inputs)  # noqa: E731
        return _awaited(run, jax.block_until_ready)


class Tinygrad(Peer):
    """tinygrad: each task recorded by `TinyJit`."""

    name = "tinygrad"
    settable = False

    def prepare(self) -> None:
        super().prepare()
        try:
            self.device = self.module.Device[self.module.Device.DEFAULT]
        except RuntimeError:
            raise RuntimeError("finds no device: on the CPU it needs clang") from None

    def version(self) -> str:
        return importlib.import_module("importlib.metadata").version(self.name)

    def expressions(self) -> dict[str, Callable]:
        return TINYGRAD

    def namespace(self) -> Any:
        return self.module

    def array(self, value: np.ndarray) -> Any:
        return self.module.Tensor(np.ascontiguousarray(value)).realize()

    def start(self, case: Case, task: str, arguments: tuple) -> Callable[[], Any] | None:
        expression = TINYGRAD.get(task)
        if expression is None or (case.program and task not in TASKS):
            return None
        given, tensor = self.put(arguments), self.module.Tensor
        if task in STEPS:
            half = len(given) // 2
            states = [(p, tensor.zeros_like(p).contiguous().realize(), tensor.zeros_like(p).contiguous().realize())
                      for p in given[:half]]
            count = tensor([0.0], dtype=given[0].dtype).realize()

            def once() -> Any:
                expression(count, given[half:], states)
                return [p for p, _, _ in states]
        else:
            def once() -> Any:
                return expression(*given).contiguous().realize()

        return _awaited(self.module.TinyJit(once), lambda _: self.device.synchronize())


def _awaited(run: Callable[[], Any], wait: Callable[[Any], Any]) -> Callable[[], Any]:
    """A function that returns when the work is done, where `run` returns when it has been ordered."""
    def call() -> Any:
        result = run()
        wait(result)
        return result

    return call


PEERS: dict[str, Peer] = {peer.name: peer for peer in (Peer(), Torch(), Tinygrad(), CuPy(), Jax())}


@cache
def missing(name: str) -> str | None:
    """Why the library of that name cannot run here, or None; asked once."""
    return PEERS[name].missing()


@contextlib.contextmanager
def confined(threads: int) -> Iterator[None]:
    """All threads of this process on so many cores (Linux; elsewhere they stay where they are)."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(cores) <= threads:
        yield
        return
    _move(set(cores[:threads]))
    try:
        yield
    finally:
        _move(set(cores))


def _move(cores: set[int]) -> None:
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):  # it has ended
            os.sched_setaffinity(int(thread), cores)
