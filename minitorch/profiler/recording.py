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
from ..op import OPS
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
        self._bodies: dict[str, tuple[Callable, Callable]] = {}  # what an op ran before, and runs now

    def start(self) -> None:
        """Begin to measure. Raises RuntimeError where another profiler runs."""
        if engine.profiling is not None:
            raise RuntimeError("profile: Profiler is already enabled on this thread")
        engine.profiling = self
        for name, op in OPS.items():
            timed = self._timed(f"aten::{name.rstrip('_')}", op.running_body, op=op.name)
            self._bodies[name] = op.running_body, timed
            op.replace_body(timed)

    def stop(self) -> EventList:
        """End, and return the events in the order in which they began."""
        engine.profiling = None
        for name, (before, timed) in self._bodies.items():
            if OPS[name].running_body is timed:
                OPS[name].replace_body(before)
        self._bodies.clear()
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

    def timed_gradients(self, node: Any, functions: Any) -> Any:
        """A node's gradient functions, each (or the one for all) an event with the node's name."""
        name = node.name()
        if type(functions) is list:
            return [f and self._timed(name, f, 0, node.op.name, node) for f in functions]
        return self._timed(name, functions, 0, node.op.name, node)

    def _timed(self, name: str, function: Callable, skip: int = 1, op: str = "", node: Any = None) -> Callable:
        def timed(*args, **kwargs):
            event = self.enter(name, args[skip:], op=op, node=node)
            result = None
            try:
                result = function(*args, **kwargs)
                return result
            finally:
                self.leave(event, args[skip:], result)

        def put_beneath(other: Callable) -> None:
            """Let `other` be the op's body from now on: what the first autocast region does."""
            nonlocal function
            if hasattr(function, "put_beneath"):
                function.put_beneath(other)
            else:
                function = other
                self._bodies[op] = other, timed

        timed.put_beneath = put_beneath  # type: ignore[attr-defined]
        return timed

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
