"""Measures what runs: each op's body, each node's gradient functions, each `record_function` block is an event."""
from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import numpy as np

from .. import engine
from ..observing import around_ops
from .arrays import made_by, owners
from .events import EventList, FunctionEvent

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Thread:
    """What one thread does now."""

    def __init__(self) -> None:
        self.number = threading.get_native_id()
        self.running: list[FunctionEvent] = []  # outermost first
        self.own = 0  # nanoseconds that the recording itself has taken


class Recording:
    """The events between `start` and `stop`, of all threads. Within it each op costs some microseconds more."""

    of_thread: Callable[[], Any] = Thread
    sees_replays = False  # whether calls of functions made by `compile` are handed to its `compiled`

    def __init__(self, shapes: bool = False, memory: bool = False, stack: bool = False, flops: bool = False):
        self.shapes, self.memory, self.stack, self.flops = shapes, memory, stack, flops
        self.events: list[FunctionEvent] = []
        self._threads = threading.local()
        self._around = around_ops(self._op, everywhere=True), \
            engine.around_gradients(self.gradient, everywhere=True)

    def start(self) -> None:
        """Begin to measure. Raises RuntimeError where another profiler runs."""
        if engine.profiling is not None:
            raise RuntimeError("profile: Profiler is already enabled on this thread")
        engine.profiling = self
        for around in self._around:
            around.__enter__()

    def stop(self) -> EventList:
        """End, and return the events in the order in which they began."""
        engine.profiling = None
        for around in self._around:
            around.__exit__()
        self.events.sort(key=lambda event: event.time_range.start)
        return EventList(self.events, profile_memory=self.memory, with_flops=self.flops)

    def enter(self, name: str, arrays: tuple = (), annotation: bool = False, key: str | None = None,
              op: str = "", node: Any = None) -> FunctionEvent:
        """Begin an event within the one that runs; events of one `key` are summed up.

        `op` is the name of the op that runs, or, with the `node` whose gradient functions run, that made this.
        """
        began = perf_counter_ns()
        thread = self.thread()
        event = FunctionEvent(name, thread.number, thread.running[-1] if thread.running else None, annotation)
        event.key, event.op = key or name, op
        if self.shapes:
            event.input_shapes = [list(getattr(a, "shape", ())) for a in arrays]
        if self.flops:
            event.flops = _flops(name, arrays)
        if self.stack:
            event.stack = _callers()
        self.entered(thread, event, node)
        thread.running.append(event)
        start = perf_counter_ns()
        thread.own += start - began
        event.time_range.start, event.own = start / 1000, thread.own
        return event

    def leave(self, event: FunctionEvent, taken: tuple = (), made: Any = None) -> None:
        """End an event that was given the arrays `taken`, and returned `made`."""
        end = perf_counter_ns()
        thread = self.thread()
        event.time_range.end, event.own = end / 1000, thread.own - event.own
        while thread.running and thread.running.pop() is not event:
            pass
        self.left(thread, event, taken, made)
        event.close()
        self.events.append(event)
        thread.own += perf_counter_ns() - end

    def entered(self, thread: Any, event: FunctionEvent, node: Any) -> None:
        """Called before an event begins."""

    def left(self, thread: Any, event: FunctionEvent, taken: tuple, made: Any) -> None:
        """Called after an event has ended."""
        if self.memory:
            event.self_cpu_memory_usage = sum([a.nbytes for a in made_by(made, owners(taken))])

    def gradient(self, node: Any, function: Callable, i: int, arguments: tuple) -> Any:
        """A node's gradient function, as an event with the node's name."""
        event = self.enter(node.name(), arguments, op=node.op.name, node=node)
        result = None
        try:
            result = function(*arguments)
            return result
        finally:
            self.leave(event, arguments, result)

    def _op(self, op: Any, body: Callable, k: Any, arguments: tuple, options: dict) -> Any:
        event = self.enter(f"aten::{op.name}", arguments, op=op.name)
        result = None
        try:
            result = body(k, *arguments, **options)
            return result
        finally:
            self.leave(event, arguments, result)

    def thread(self) -> Any:
        """What the calling thread does now."""
        try:
            return self._threads.present
        except AttributeError:
            self._threads.present = self.of_thread()
            return self._threads.present


def _flops(name: str, arrays: tuple) -> int:
    """Additions and multiplications of the ops for which PyTorch counts them."""
    shapes = [a.shape for a in arrays if hasattr(a, "shape")]
    if name in ("aten::matmul", "aten::bmm", "aten::linear") and len(shapes) >= 2 and min(map(len, shapes[:2])) >= 1:
        (*_, k), other = shapes[0], shapes[1]
        columns = 1 if len(other) == 1 else other[0] if name == "aten::linear" else other[-1]
        return 2 * int(np.prod(shapes[0][:-1], dtype=np.int64)) * k * columns
    if name in ("aten::mul", "aten::add") and shapes:
        return int(np.prod(np.broadcast_shapes(*shapes), dtype=np.int64))
    return 0


def _callers() -> list[str]:
    """The lines that led here, the innermost first, without those of this package."""
    lines = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith((PACKAGE, "<frozen")):
            lines.append(f"{code.co_filename}({frame.f_lineno}): {code.co_name}")
        frame = frame.f_back
    return lines
