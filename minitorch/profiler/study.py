"""A recording that also sees modules, kernels and memory, and knows of each gradient which forward op it belongs to."""
from __future__ import annotations

import contextlib
import threading
from time import perf_counter_ns
from typing import Any

import numpy as np
from minitorch_kernels import table
from minitorch_kernels.costs import Cost, cost
from minitorch_kernels.parallel import get_num_threads

from .. import engine
from ..device import cpu_kernels
from ..nn.scopes import Scopes
from .arrays import Memory, made_by, owners
from .compiled import observed, watched
from .events import EventList, FunctionEvent
from .recording import Recording, Thread


class Span:
    """A time in which a kernel or a module ran: its length without what the recording itself took, in seconds."""

    __slots__ = ("cost", "end", "event", "inner", "key", "name", "own", "path", "phase", "start", "thread", "version")

    key: tuple  # the shapes and types of a kernel's arguments

    def __init__(self, name: str, thread: Busy, version: str = ""):
        self.name, self.version, self.thread = name, version, thread.number
        self.phase, self.inner, self.own = thread.phase, 0.0, thread.own
        self.start = self.end = 0.0
        self.path, self.key = "", ()
        self.event: FunctionEvent | None = None
        self.cost: Cost | None = None

    @property
    def time(self) -> float:
        return max((self.end - self.start) * 1e-6 - self.own * 1e-9, 0.0)

    @property
    def self_time(self) -> float:
        """Without the spans within it."""
        return max(self.time - self.inner, 0.0)


class Busy(Thread):
    """What one thread does now, and did last."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[Span] = []
        self.modules: list[Span] = []
        self.last: FunctionEvent | None = None  # the op that has just ended, whose node comes next
        self.taken: set[int] = set()  # whose memory its inputs are
        self.noting: Any = None

    @property
    def phase(self) -> str:
        return self.running[-1].phase if self.running else "forward"


class Study(Recording):
    """A recording for `profile`: `modules` and `kernels` are the spans, `memory_made` the arrays."""

    of_thread = Busy
    sees_replays = True

    def __init__(self, **options: bool):
        super().__init__(**options)
        self.kernels: list[Span] = []
        self.modules: list[Span] = []
        self.memory_made = Memory()
        self.scopes = _Modules(self)
        self.links: dict[int, tuple[FunctionEvent | None, str]] = {}  # node: its forward op, and module
        self.notes: dict[str, int] = {}  # what is to be said of the profile, and how often it happened
        self.length = self.own = 0.0  # seconds in all, and those taken by the recording
        self._costs: dict[Any, Cost | None] = {}
        self._replays: dict[int, tuple] = {}  # of a recording of `compile`: itself, and its function observed

    def start(self) -> None:
        """Begin. Raises RuntimeError where another profiler runs, or the kernels are watched by somebody else."""
        super().start()
        self._watch, bound = table.watch(self.kernel), list(vars(cpu_kernels))
        try:
            self._watch.__enter__()
        except RuntimeError:
            super().stop()
            raise
        for name in bound:
            getattr(cpu_kernels, name)  # looked up in the table now, and not within the first op
        self.scopes.__enter__()
        self.main, self.cores = threading.get_native_id(), get_num_threads()
        self.began = perf_counter_ns() / 1000
        self.thread()

    def stop(self) -> EventList:
        """End, and return the events of ops in the order in which they began."""
        self.length += (perf_counter_ns() / 1000 - self.began) * 1e-6
        thread = self.thread()
        self.own += thread.own * 1e-9
        thread.noting.__exit__()
        self.scopes.__exit__()
        self._watch.__exit__()
        self.memory_made.stop()
        self.links.clear()
        self._replays.clear()
        for thing in (self.kernels, self.modules):
            thing.sort(key=lambda span: span.start)
        return super().stop()

    def thread(self) -> Busy:
        """What the calling thread does now; from its first event on its nodes are noted."""
        thread = super().thread()
        if thread.noting is None:
            thread.noting = engine.noting(self.note)
            thread.noting.__enter__()
        return thread

    def entered(self, thread: Busy, event: FunctionEvent, node: Any) -> None:
        """Say of an event which phase it belongs to, and under which module its time counts."""
        event.module, event.phase = self.scopes.path, thread.phase
        if node is not None:
            event.phase = "backward"
            event.forward, event.module = self.links.get(node.number, (None, ""))
        elif not event.module and event.cpu_parent is not None:
            event.module = event.cpu_parent.module
        thread.last = None

    def left(self, thread: Busy, event: FunctionEvent, taken: tuple, made: Any) -> None:
        """Follow the memory of what was returned."""
        given = owners(taken)
        event.made = sum([self.memory_made.hold(owner, event) for owner in made_by(made, given)])
        if self.memory:
            event.self_cpu_memory_usage = event.made
        if event.op and event.phase == "forward":
            thread.last, thread.taken = event, given

    def note(self, node: Any) -> None:
        """Link a new node to the op that made it, and follow the memory that it keeps for backward."""
        began = perf_counter_ns()
        thread = self.thread()
        if engine.profiling is not self:  # this thread's nodes are still noted when another has ended the profile
            thread.noting.__exit__()
            return
        event, thread.last = thread.last, None
        if event is not None and event.op != node.op.name:
            event = None
        self.links[node.number] = event, event.module if event else self.scopes.path
        if event is not None:
            kept = [value for function in node.functions() for _, value in engine.captured(function)]
            event.made += sum([self.memory_made.hold(owner, event) for owner in made_by(kept, thread.taken)])
        thread.own += perf_counter_ns() - began

    def gradient(self, node: Any, function: Any, i: int, arguments: tuple) -> Any:
        """A node's gradient function, as an event; a compiled function's with its kernels."""
        return super().gradient(node, watched(function, self.kernel), i, arguments)

    def compiled(self, compiled: Any, args: tuple, kwargs: dict) -> Any:
        """A call of a function made by `compile`: replayed, with its kernels, if it is recorded already."""
        name = f"compiled {getattr(compiled.uncompiled, '__name__', type(compiled.uncompiled).__name__)}"
        with self.scopes.aside():  # which would be a reason to run eagerly
            found = compiled.recorded(args, kwargs)
        if found is None:
            self.note_once(f"{name}: ran eagerly, since no recording fits: nothing is recorded within a profile")
            return compiled.uncompiled(*args, **kwargs)
        self.note_once(f"{name}: replayed, which shows kernels, and neither ops nor modules")
        recording, tensors = found
        if id(recording) not in self._replays:
            self._replays[id(recording)] = recording, observed(recording.run, self.kernel)
        event, made = self.enter(name, op=name), []
        try:
            result = self._replays[id(recording)][1](*tensors)
            made = [getattr(t, "_array", None) for t in (result if type(result) in (list, tuple) else [result])]
            return result
        finally:
            self.leave(event, (), made)

    def note_once(self, text: str) -> None:
        """Say something of the profile."""
        self.notes[text] = self.notes.get(text, 0) + 1

    def kernel(self, name: str, version: str, run: Any, arguments: tuple, options: dict) -> Any:
        """Run a kernel as a span, with what it must do at least."""
        if engine.profiling is not self:  # a function that was bound in the profile, and kept
            return run(*arguments, **options)
        began = perf_counter_ns()
        thread = self.thread()
        span = Span(name, thread, version)
        if getattr(run, "__name__", "") == "_first_run":
            self.note_once("loaded or compiled while it was timed; a step before the profile keeps that out")
        outer = thread.kernels[-1] if thread.kernels else None
        span.event = thread.running[-1] if thread.running else None
        span.path = span.event.module if span.event is not None else self.scopes.path
        thread.kernels.append(span)
        start = perf_counter_ns()
        thread.own += start - began
        span.start, span.own = start / 1000, thread.own
        result = None
        try:
            result = run(*arguments, **options)
            return result
        finally:
            end = perf_counter_ns()
            span.end, span.own = end / 1000, thread.own - span.own
            thread.kernels.pop()
            if outer is not None:
                outer.inner += span.time
            span.key = signature(arguments)
            span.cost = self._cost(name, span.key, arguments, result)
            self.kernels.append(span)
            thread.own += perf_counter_ns() - end

    def _cost(self, name: str, key: Any, arguments: tuple, result: Any) -> Cost | None:
        if (name, key) in self._costs:
            return self._costs[name, key]
        found = None
        if name not in _FREE:
            with contextlib.suppress(AttributeError, IndexError, TypeError, ValueError):  # called in its own way
                found = cost(name, arguments, result)
                if name.startswith("fused "):  # its results are among its arguments
                    found = found._replace(pattern="write")
        self._costs[name, key] = found
        return found


_FREE = ("shares_memory",)  # kernels without work


def signature(value: Any) -> Any:
    """The shapes and types of arrays, and the other values as they are, for a dictionary's key."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.shape, value.dtype.str
    if isinstance(value, (tuple, list)):
        return tuple([signature(v) for v in value])
    return value if isinstance(value, (int, str)) or value is None else type(value).__name__


class _Modules(Scopes):
    """The spans of modules' forward passes."""

    def __init__(self, study: Study):
        super().__init__()
        self.study = study

    def entered(self, module: Any, inputs: tuple) -> None:
        thread = self.study.thread()
        span = Span(type(module).__name__, thread)
        span.path = self.path
        thread.modules.append(span)
        span.start = perf_counter_ns() / 1000

    def left(self, module: Any, output: Any) -> None:
        thread = self.study.thread()
        if not thread.modules:
            return
        span = thread.modules.pop()
        span.end, span.own = perf_counter_ns() / 1000, thread.own - span.own
        if thread.modules:
            thread.modules[-1].inner += span.time
        self.study.modules.append(span)

    @contextlib.contextmanager
    def aside(self) -> Any:
        """No hooks on modules for a while."""
        opened = list(self.open)
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()
            self.open[:] = opened
