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
from .events import EventList, FunctionEvent

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Recording:
    """The events between `start` and `stop`, of all threads. Within it each op costs some microseconds more."""

    def __init__(self, shapes: bool = False, memory: bool = False, stack: bool = False, flops: bool = False):
        self.shapes, self.memory, self.stack, self.flops = shapes, memory, stack, flops
        self.events: list[FunctionEvent] = []
        self._open = threading.local()
        self._bodies: dict[str, tuple[Callable, Callable]] = {}  # what an op ran before, and runs now

    def start(self) -> None:
        """Begin to measure. Raises RuntimeError where another profiler runs."""
        if engine.profiling is not None:
            raise RuntimeError("profile: Profiler is already enabled on this thread")
        engine.profiling = self
        for name, op in OPS.items():
            timed = self._timed(f"aten::{name.rstrip('_')}", op.running_body)
            self._bodies[name] = op.running_body, timed
            op.replace_body(timed)

    def stop(self) -> EventList:
        """End, and return the events in the order in which they began."""
        engine.profiling = None
        for name, (before, timed) in self._bodies.items():
            if OPS[name].running_body is timed:  # else autocast has put its casts there
                OPS[name].replace_body(before)
        self._bodies.clear()
        self.events.sort(key=lambda event: event.time_range.start)
        return EventList(self.events, profile_memory=self.memory, with_flops=self.flops)

    def enter(self, name: str, arrays: tuple = (), annotation: bool = False, key: str | None = None) -> FunctionEvent:
        """Begin an event within the one that runs; events of one `key` are summed up."""
        running = self._running()
        event = FunctionEvent(name, threading.get_ident(), running[-1] if running else None, annotation)
        event.key = key or name
        if self.shapes:
            event.input_shapes = [list(getattr(a, "shape", ())) for a in arrays]
        if self.flops:
            event.flops = _flops(name, arrays)
        if self.stack:
            event.stack = _callers()
        running.append(event)
        event.time_range.start = perf_counter_ns() / 1000
        return event

    def leave(self, event: FunctionEvent, made: Any = None) -> None:
        """End an event; the arrays `made` are its memory."""
        event.time_range.end = perf_counter_ns() / 1000
        running = self._running()
        while running and running.pop() is not event:
            pass
        if self.memory:
            event.self_cpu_memory_usage = _bytes_made(made)
        event.close()
        self.events.append(event)

    def timed_gradients(self, node: Any, functions: Any) -> Any:
        """A node's gradient functions, each (or the one for all) an event with the node's name."""
        name = node.name()
        if type(functions) is list:
            return [f and self._timed(name, f, skip=0) for f in functions]
        return self._timed(name, functions, skip=0)

    def _timed(self, name: str, function: Callable, skip: int = 1) -> Callable:
        def timed(*args, **kwargs):
            event = self.enter(name, args[skip:])
            result = None
            try:
                result = function(*args, **kwargs)
                return result
            finally:
                self.leave(event, result)

        return timed

    def _running(self) -> list[FunctionEvent]:
        if not hasattr(self._open, "events"):
            self._open.events = []
        return self._open.events


def _bytes_made(made: Any) -> int:
    """The bytes of the arrays that an op returned, views and gradient functions left out."""
    if type(made) is tuple:
        made = made[0] if made and callable(made[-1]) else made
    if type(made) in (tuple, list):
        return sum(map(_bytes_made, made))
    return made.nbytes if isinstance(made, np.ndarray) and made.base is None else 0


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
