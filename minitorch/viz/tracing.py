"""What is written down about each node while it is made: its module, source line, time, kernels and inputs."""
from __future__ import annotations

import threading
import weakref
from collections import deque
from contextlib import ExitStack
from time import perf_counter_ns
from typing import Any, NamedTuple

from minitorch_kernels import table

from .. import engine
from ..engine import Node, noting
from ..nn.scopes import Scopes
from ..profiler.recording import Recording


class Call(NamedTuple):
    """One call of a module: `number` tells the calls of the same module apart."""

    path: str
    kind: str
    number: int


class Taken(NamedTuple):
    """An argument of an op: an array (`where` refers to the memory that it lies in) or another value, as text."""

    shape: tuple | None
    dtype: str
    where: Any
    name: str  # of the module's parameter or buffer, where it is one
    text: str


class Note(NamedTuple):
    """What is known of a node beyond the node itself."""

    calls: tuple[Call, ...]  # of the modules that ran, outermost first
    source: str
    seconds: float | None
    taken: tuple[Taken, ...]
    kernels: tuple[tuple[str, str], ...]  # (name and version, why that version)


notes: weakref.WeakKeyDictionary[Node, Note] = weakref.WeakKeyDictionary()  # of the nodes that are alive


class trace:
    """Within the block each node's module, source line, time and kernels are remembered for `graph`.

    Ops take some ten microseconds longer meanwhile. Raises RuntimeError where a profiler runs.

    >>> import minitorch as mt
    >>> x = mt.ones(3, requires_grad=True)
    >>> with trace():
    ...     loss = (x * x).sum()
    >>> [name for name, why in notes[loss.grad_fn.inputs[0]].kernels]
    ['mul (pooled)']
    """

    def __init__(self) -> None:
        self._modules = _Modules()
        self._bodies = _Bodies()
        self.kernels = Kernels()

    def __enter__(self) -> trace:
        with ExitStack() as stack:
            stack.enter_context(self._modules)
            self._bodies.start()
            stack.callback(self._bodies.stop)
            stack.enter_context(table.watch(self.kernels))
            stack.enter_context(noting(self._note))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.close()

    def _note(self, node: Node) -> None:
        source = engine.caller()  # from here, so that it skips as many frames as it expects
        event, arguments = self._bodies.last()
        if event is None or event.op != node.op.name:  # a custom Function's node, or one that no body has made
            notes[node] = Note(tuple(self._modules.calls), source, None, (), ())
            return
        microseconds = event.time_range.elapsed_us()
        notes[node] = Note(tuple(self._modules.calls), source, microseconds / 1e6,
                           tuple([self._taken(node.op, i, a) for i, a in enumerate(arguments)]),
                           self.kernels.since(event.time_range.start))

    def _taken(self, op: Any, i: int, value: Any) -> Taken:
        if not hasattr(value, "nbytes"):  # a dtype has a shape, too
            return Taken(None, "", None, "", repr(value)[:60])
        owner = memory_of(value)
        try:
            where = weakref.ref(owner)
        except TypeError:
            where = None
        names = (*op.params, *op.attributes)
        name = self._modules.arrays.get(id(owner)) or self._modules.buffer(names[i] if i < len(names) else "")
        return Taken(tuple(value.shape), str(value.dtype), where, name, "")


def memory_of(array: Any) -> Any:
    """The array whose memory `array` shows: itself, unless it is a view."""
    while getattr(array, "base", None) is not None and hasattr(array.base, "nbytes"):
        array = array.base
    return array


class Kernels:
    """Observes the kernels' calls: which version ran, and what the table says to that, for the latest ones."""

    def __init__(self) -> None:
        self._latest: deque = deque(maxlen=64)
        self._known: dict = {}

    def __call__(self, name: str, version: str, run: Any, arguments: tuple, options: dict) -> Any:
        result = run(*arguments, **options)
        form = name, version, tuple([_form(a) for a in (*arguments, *options.values())]), tuple(options)
        if form not in self._known:
            device = "cpu" if not any(type(a).__module__.startswith("cupy") for a in arguments) else "cuda"
            self._known[form] = f"{name} ({version})", table.explain(name, *arguments, device=device, **options)
        self._latest.append((perf_counter_ns() / 1000, self._known[form]))
        return result

    def since(self, start: float) -> tuple[tuple[str, str], ...]:
        """The calls from `start` (in microseconds of the clock) on, each kind once; then they are forgotten."""
        found = dict.fromkeys(entry for when, entry in self._latest if when >= start)
        self._latest.clear()
        return tuple(found)


def _form(value: Any) -> Any:
    """What of an argument can matter to the choice of a version."""
    if hasattr(value, "nbytes"):
        return value.shape, str(value.dtype), getattr(value, "strides", None)
    return tuple(map(_form, value)) if isinstance(value, (list, tuple)) else repr(value)[:60]


class _Modules(Scopes):
    """The calls of modules that are open, and the names of what those modules hold."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.modules: list[Any] = []
        self.arrays: dict[int, str] = {}  # by the identity of the memory
        self._count: dict[str, int] = {}
        self._seen: list = []  # keeps the modules, so that no identity is used twice
        self._thread = threading.get_ident()

    def entered(self, module: Any, inputs: tuple) -> None:
        if threading.get_ident() != self._thread:
            return
        if not self.calls:
            self._seen.append(module)
            for name, t in (*module.named_parameters(), *module.named_buffers()):
                if hasattr(t, "_array"):
                    self.arrays[id(memory_of(t._array))] = name
        self._count[self.path] = self._count.get(self.path, 0) + 1
        self.calls.append(Call(self.path, type(module).__name__, self._count[self.path]))
        self.modules.append(module)

    def left(self, module: Any, output: Any) -> None:
        if self.calls and threading.get_ident() == self._thread:
            self.calls.pop()
            self.modules.pop()

    def buffer(self, name: str) -> str:
        """The path of the innermost module's buffer of that name, of which an op may get a copy; "" without one."""
        if not self.modules or self.modules[-1]._buffers.get(name) is None:
            return ""
        return f"{self.path}.{name}".partition(".")[2]


class _Bodies(Recording):
    """Times the ops' bodies, and keeps the last one's arguments until its node is made."""

    def __init__(self) -> None:
        super().__init__()
        self._last: Any = None, ()

    def left(self, thread: Any, event: Any, taken: tuple, made: Any) -> None:
        if event.op:
            self._last = event, tuple(taken[0]) if len(taken) and isinstance(taken[0], list) else taken

    def last(self) -> tuple[Any, tuple]:
        """The event and the arguments of the body that ran last, each of them once."""
        found, self._last = self._last, (None, ())
        self.events.clear()
        return found
