"""What a run on the GPU reads and changes of the world outside it: what a captured graph must be given, and repeat."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from ..cuda.graphs import CUDAGraph, capturable, kernels_that_run, recorded_step
from ..cuda.streams import StreamContext
from ..device import ARRAYS, cupy
from ..engine import mode
from ..tensor import Tensor
from . import trace

# what brings an array's values to the CPU: CuPy's own methods, which programs and ops call
_READS = ("get", "item", "tolist", "__bool__", "__int__", "__float__", "__index__", "__complex__")
_AT_FIRST = object()  # the gradient of a tensor whose `grad` was set before it was read: it does not matter


def on_gpu(array: Any) -> bool:
    """Whether an array holds values on a GPU."""
    return type(array) in ARRAYS and type(array) is not np.ndarray


class Observer:
    """Stands in `mode.recorder` while a function runs, eagerly or, with a `graph`, under capture.

    It learns which tensors from outside the function reads, what becomes of their gradients and versions, and which
    functions a replay has to repeat on the CPU: `events`, in the order of the program.
    """

    def __init__(self, args: list[Tensor], strict: bool, graph: CUDAGraph | None = None,
                 snapshot: Snapshot | None = None):
        self.given = {id(t) for t in args}
        self.strict, self.graph, self.snapshot = strict, graph, snapshot
        self.reason: str | None = None
        self.paused = False
        self.backward_ran = False
        self.differentiating = False
        self.tail = False  # whether the graph is done and has been launched, before the program ends
        self.tensors: dict[int, Tensor] = {}  # from outside
        self.first: dict[int, tuple[Any, bool, Any, int]] = {}  # array, requires_grad, node, version of each at first
        self.first_grads: dict[int, tuple[Tensor, Any]] = {}
        self.capturable: dict[int, bool] = {}  # whether the steps of optimizers can be part of a graph
        self.made: set[int] = set()
        self.events: list[tuple] = []
        self._grads: dict[int, tuple[Tensor, Any]] = {}  # set since the last event
        self._elsewhere: dict[int, int] = {}  # changes of version that `whole` functions made, and make again
        self._on_cpu = False  # whether a tensor on the CPU from outside is read
        self._sources: set[int] = set()
        self._left = ExitStack()

    def refuse(self, reason: str) -> None:
        """Remember why this run cannot be captured; with fullgraph=True raise it."""
        if self.reason is None and not self.paused:
            self.reason = reason
            if self.strict:
                from . import Unsupported

                raise Unsupported(reason)

    # Tensors

    def read(self, t: Tensor, array: Any) -> Any:
        """The array of `t`, for the program."""
        if value := trace.read_by(sys._getframe(2).f_code):
            self.refuse(value)
        if id(t) not in self.made:
            self._meet(t)
        return array

    def _meet(self, t: Tensor) -> None:
        if id(t) in self.tensors:
            return
        array = t.__dict__["_array"]
        self.tensors[id(t)] = t
        self.first[id(t)] = array, t._requires_grad, t._node, t._version
        if self.snapshot is not None:
            self.snapshot.add(t)
        if t._hooks or t._after_accumulate:
            self.refuse("a tensor has hooks")
        if t._base is not None and t._base._requires_grad:
            self.refuse("a view from outside needs a gradient")
        self._on_cpu = self._on_cpu or not on_gpu(array)

    def store(self, t: Tensor, array: Any) -> Any:
        """What becomes the array of `t`."""
        before = t.__dict__.get("_array")
        if before is None:
            self.made.add(id(t))
            if self.tail and on_gpu(array):
                self.refuse("it computes something after a step of an optimizer that cannot be captured")
            if self._on_cpu and not on_gpu(array):
                self.refuse("it computes with a tensor that lies on the CPU")
        elif id(t) not in self.made and before is not array:
            self.refuse("the memory of a tensor from outside is replaced")
        return array

    def read_grad(self, t: Tensor) -> Tensor | None:
        grad = t.__dict__.get("_grad")
        if id(t) not in self.made:
            self.first_grads.setdefault(id(t), (t, grad))
            if grad is not None:
                self.made.add(id(grad))  # found through its tensor
        return grad

    def store_grad(self, t: Tensor, grad: Tensor | None) -> None:
        if id(t) not in self.made:
            self._meet(t)
            self.first_grads.setdefault(id(t), (t, _AT_FIRST))
            self._grads[id(t)] = t, grad

    def changes(self) -> str | None:
        """What the run did to tensors from outside that a replay could not repeat."""
        for key, t in self.tensors.items():
            array, requires_grad, node, _ = self.first[key]
            if t._node is not node or t._requires_grad is not requires_grad:
                return "the history of a tensor from outside changes"
            if not on_gpu(array) and self.bumped(t):
                return "a tensor on the CPU is changed in place"
        return None

    def bumped(self, t: Tensor) -> int:
        """How often the program changed `t` in place, but for what the functions among `events` do."""
        return t._version - self.first[id(t)][3] - self._elsewhere.get(id(t), 0)

    def holds(self) -> bool:
        """Whether the tensors from outside, but for the arguments, are where they were, and as they were."""
        for key, t in self.tensors.items():
            array, requires_grad, _, _ = self.first[key]
            if key not in self.given and (t._array is not array or t._hooks is not None
                                          or t._after_accumulate is not None):
                return False
            if t._requires_grad is not requires_grad:
                return False
        for t, grad in self.first_grads.values():
            if grad is not _AT_FIRST and t._grad is not grad and (
                    grad is None or t._grad is None or t._grad._array is not grad._array):
                return False
        return True

    # What the framework tells a recorder

    def whole(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        """Run a function of real objects, which a replay will call again: an optimizer's step, a scheduler's."""
        owner = args[0] if args else None
        if isinstance(owner, (Tensor, list, tuple)) or hasattr(owner, "__next__"):
            return function(*args, **kwargs)  # of tensors, as clipping is: work like any other
        if any(callable(x) or (isinstance(x, Tensor) and id(x) in self.made) for x in (*args[1:], *kwargs.values())):
            self.refuse(f"{function.__qualname__} takes a function or a tensor that is computed in here")
        if hasattr(owner, "source"):
            self.refuse("it seeds a generator")
        steps = hasattr(owner, "param_groups")
        kind = "prepare" if steps and self.capturable.get(id(owner)) else \
            "eager" if steps or hasattr(owner, "unscale_") else "host"
        self.end_grads()
        if self.snapshot is not None:
            self.snapshot.add_object(owner)
            if kind == "eager":
                self.finish()
        before = {key: t._version for key, t in self.tensors.items()}
        with trace.aside(self):
            if self.graph is None and steps:
                with kernels_that_run() as kernels:
                    result = function(*args, **kwargs)
                self.capturable[id(owner)] = capturable(kernels)
            elif kind == "prepare":
                with recorded_step() as tables:
                    result = function(*args, **kwargs)
                kwargs = {"kwargs": kwargs, "tables": tables}
            else:
                result = function(*args, **kwargs)
        for key, t in self.tensors.items():
            self._elsewhere[key] = self._elsewhere.get(key, 0) + t._version - before.get(key, 0)
        self.events.append((kind, function, args, kwargs))
        self.tail = self.tail or kind == "eager"
        if result is not None:
            self.refuse(f"{function.__qualname__} returns a {type(result).__name__}")
        return result

    def end_grads(self) -> None:
        """What became of gradients so far is one event."""
        if self._grads:
            self.events.append(("grads", list(self._grads.values())))
            self._grads = {}

    def source(self, generator: Any) -> Any:
        """Where random numbers come from."""
        source = generator.source
        if self.paused:
            return source
        if not hasattr(source, "capturing"):
            self.refuse("random numbers are drawn on the CPU")
        elif self.graph is not None and not self.tail and id(source) not in self._sources:
            self._sources.add(id(source))
            with self.graph.capture.aside():
                replays = self._left.enter_context(source.capturing())
            self.events.append(("draw", replays.prepare))
        return source

    def uploaded(self, array: np.ndarray, copy: Any) -> None:
        """`copy`, on the GPU, shows an array of the CPU: a replay brings a tensor's present values."""
        for t in self.tensors.values():
            if t.__dict__["_array"] is array:
                self.events.append(("upload", t, copy))

    def check(self, function: Callable, args: tuple, kwargs: dict) -> None:
        """A function that looks at values to raise an error, which no graph can."""
        if self.graph is None:
            with trace.aside(self):
                function(*args, **kwargs)

    def on_backward(self, keep: bool, lifted: bool) -> None:
        """The engine says that it runs."""
        if not self.differentiating:
            self.backward_ran = True

    # Start and end

    def __enter__(self) -> Observer:
        trace.lock.acquire()
        kind = cupy().ndarray
        self._methods = {name: (name in vars(kind), getattr(kind, name)) for name in _READS if hasattr(kind, name)}
        for name, (_, method) in self._methods.items():
            setattr(kind, name, _noticed(name, method))
        mode.recorder = self
        Tensor._array = property(trace.get_array, trace.set_array)
        Tensor._grad = property(trace.get_grad, trace.set_grad)  # type: ignore[assignment]
        return self

    def __exit__(self, *exception: Any) -> None:
        del Tensor._array
        Tensor._grad = None
        mode.recorder = None
        kind = cupy().ndarray
        for name, (own, method) in self._methods.items():
            setattr(kind, name, method) if own else delattr(kind, name)
        trace.lock.release()

    @contextmanager
    def capturing(self, stream: Any, graph: CUDAGraph, pool: Any) -> Iterator[None]:
        """Within the block the GPU's work on `stream` goes into `graph`, up to `finish`."""
        self.graph = graph
        self._left.enter_context(StreamContext(stream))
        graph.capture_begin(pool)
        try:
            yield
        except BaseException:
            graph.abandon()
            self._left.close()
            raise
        if not self.tail:
            self._end()

    def _end(self) -> None:
        assert self.graph is not None
        try:
            self.graph.capture_end()
        finally:
            self._left.close()

    def finish(self) -> None:
        """End the graph and launch it: what follows runs eagerly."""
        if not self.tail:
            self.tail = True
            self._end()
            self.launch_first()

    def launch_first(self) -> None:
        """Do what the capture wrote down."""
        for event in self.events:
            if event[0] == "draw":
                event[1]()
        assert self.graph is not None
        self.graph.launch()


class Snapshot:
    """How tensors and other objects stand, so that a run which failed can be undone."""

    def __init__(self, tensors: Iterable[Tensor]):
        self._dicts: dict[int, tuple[dict, dict]] = {}
        self._arrays: list[tuple[Any, Any]] = []
        self._counters: list[tuple[list, int]] = []
        for t in tensors:
            self.add(t)

    def add(self, t: Tensor) -> None:
        if id(t.__dict__) not in self._dicts:
            self._add_dict(t.__dict__)
            if t._counter is not None:
                self._counters.append((t._counter, t._counter[0]))

    def add_object(self, owner: Any) -> None:
        """An optimizer with its state, or what holds one."""
        if id(owner.__dict__) in self._dicts:
            return
        self._add_dict(owner.__dict__)
        state = vars(owner).get("state") or {}
        for d in (state, *vars(owner).get("param_groups", ()), *state.values()):
            if isinstance(d, dict):
                self._add_dict(d)
        values = [v.__dict__["_array"] for d in state.values() for v in d.values() if isinstance(v, Tensor)]
        self._arrays += [(a, a.copy()) for a in values if isinstance(a, np.ndarray)]
        for value in list(vars(owner).values()):
            if hasattr(value, "param_groups"):
                self.add_object(value)

    def restore(self) -> None:
        for d, values in self._dicts.values():
            d.clear()
            d.update(values)
        for array, values in self._arrays:
            array[...] = values
        for counter, value in self._counters:
            counter[0] = value

    def _add_dict(self, d: dict) -> None:
        self._dicts.setdefault(id(d), (d, dict(d)))


def _noticed(name: str, method: Any) -> Callable:
    """A method of CuPy's arrays that brings values to the CPU: the recorder hears of it."""
    def read(self, *args, **kwargs):
        recorder = mode.recorder
        if isinstance(recorder, Observer):
            recorder.refuse(f"a tensor's value is read ({name.strip('_')})")
        return method(self, *args, **kwargs)

    return read
