"""Compiled functions on the GPU: a call is captured as a CUDA graph, and later calls launch that on their inputs.

The first call of a form runs eagerly, watched by an `Observer`. The second runs under stream capture: Python does all
that it ever does, once, and the GPU's work is written down instead of done; then the graph is launched, which does it.
Later calls copy their arguments into the memory that was captured, repeat what the run did on the CPU (`events`), and
launch. Results are copies, so that they outlive the next call. Gradients that `grad` shows lie in the graph's own
memory; a recording is not used again while somebody else holds one, since it would be overwritten.
"""
from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

from .. import engine
from ..cuda.graphs import CUDAGraph, capture_stream, prepare_step
from ..cuda.memory import Pool
from ..device import cupy, is_pinned, kernels_of
from ..engine import Node
from ..errors import GraphError
from ..tensor import Tensor, edge_of
from .guards import SIMPLE, Arguments, Watch, binder, trust
from .observe import Observer, Snapshot, on_gpu
from .plan import FINISHED, Known, Made, attach


class Run:
    """A call under observation; the second of a form, with the first as `before`, under capture."""

    def __init__(self, compiled: Any, arguments: Arguments, before: Run | None):
        self.function, self.arguments, self.strict = compiled.uncompiled, arguments, compiled.fullgraph
        self.before = before
        self.watch: Watch = Watch() if before is None else before.watch
        trust(cupy())
        self.conditions = self
        self.failed: str | None = None
        self.changed: str | None = None
        self.results: list[tuple[Made, Tensor]] = []
        self.backward: CUDAGraph | None = None
        self.grads: list[tuple[Tensor, Any]] = []
        self.dys: list[Any] = []
        self.fixed: list[bool] = []

    def __call__(self, args: tuple, kwargs: dict) -> Any:
        if self.before is not None:
            return self._captured(args, kwargs)
        self.observer = Observer(self.arguments.tensors, self.strict)
        with self.observer:
            with self.watch:
                result = self.function(*args, **kwargs)
            self.returned = self._template(result)
        self._look()
        self.results.clear()
        self.called = self._called()
        return result

    def hold(self) -> bool:
        """Whether Python and the tensors from outside are as they were."""
        return self.state.holds() and self.observer.holds()

    def reason(self) -> str | None:
        """Why this call cannot be replayed."""
        observer, state = self.observer, self.state
        if self.failed or observer.reason or self.watch.reason or state.reason:
            return self.failed or observer.reason or self.watch.reason or state.reason
        if self.changed or self.arguments.changed():
            return f"it changes Python objects: {self.changed or 'its arguments'}"
        given = {id(t) for t in self.arguments.tensors}
        for key in observer.tensors:
            if key not in state.tensors and key not in given:
                return "it uses a tensor that is found neither in its arguments nor by the names in its code"
            if observer.backward_ran and observer.first[key][2] is not None:
                return "backward goes on into a graph from outside"
        return observer.changes()

    def differs(self, before: Run) -> str | None:
        """How the two runs disagree."""
        return None if self.called == before.called else "two runs did different things"

    def recording(self) -> Recording:
        return self._recording

    def _called(self) -> list[Any]:
        return [event[1] for event in self.observer.events if event[0] in ("host", "prepare", "eager")]

    def _look(self) -> None:
        self.state = self.watch.state(self.function, self.arguments.objects)
        self.state.freeze()

    def _template(self, value: Any) -> Any:
        """What is returned, with `Made` and `Known` in the place of tensors."""
        observer = self.observer
        if isinstance(value, Tensor):
            for t in observer.tensors.values():
                if t.__dict__.get("_grad") is value:
                    return Known(t, True)
            if id(value) not in observer.made:
                return Known(value)
            array = value.__dict__["_array"]
            if not on_gpu(array):
                observer.refuse("a tensor on the CPU is returned")
            elif any(on_gpu(t.__dict__["_array"]) and t.__dict__["_array"].data.mem is array.data.mem
                     for t in observer.tensors.values()):
                observer.refuse("a view of a tensor from outside is returned")
            self.results.append((Made(array, value._requires_grad, value._inference), value))
            return self.results[-1][0]
        if type(value) in (tuple, list):
            return type(value)(map(self._template, value))
        if type(value) is dict:
            return {key: self._template(v) for key, v in value.items()}
        if not isinstance(value, SIMPLE):
            observer.refuse(f"a {type(value).__name__} is returned")
        return value

    # Capture

    def _captured(self, args: tuple, kwargs: dict) -> Any:
        """Capture the call and launch it. Where that fails, it runs again, eagerly, from where it began."""
        assert self.before is not None
        self._look()
        self.graph, self.pool, self.stream = CUDAGraph(), Pool(), capture_stream()
        tensors = self.arguments.tensors
        snapshot = Snapshot([*self.before.observer.tensors.values(), *tensors])
        self.observer = Observer(tensors, self.strict, self.graph, snapshot)
        self.observer.capturable = self.before.observer.capturable
        arrays = [t.__dict__["_array"] for t in tensors]
        try:
            self.statics = self._statics()
            with self.observer, ExitStack() as stack:
                stack.callback(_put, tensors, arrays)
                _put(tensors, self.statics)
                with self.observer.capturing(self.stream, self.graph, self.pool):
                    with self.watch:
                        result = self.function(*args, **kwargs)
                    self.returned = self._template(result)
                    self.observer.end_grads()
                if self.observer.reason is None and not self.observer.backward_ran:
                    self._differentiate()
        except Exception as error:
            if self.observer.tail:
                raise
            snapshot.restore()
            if self.strict and self.observer.reason:
                raise
            self.failed = f"it cannot be captured: {error}"
            return self.function(*args, **kwargs)
        self.changed, self.called = self.state.difference(), self._called()
        if not self.observer.tail:
            self.observer.launch_first()
        self._recording = Recording(self)
        result = self._recording.result(tensors)
        self.results.clear()
        self._recording.settle()
        return result

    def _statics(self) -> list[Any]:
        """The arrays that stand for the arguments' in the graph: others, unless the run changes an argument, gives it
        a gradient, or knows it from elsewhere too."""
        assert self.before is not None
        cp, observer, statics = cupy(), self.before.observer, []
        for t, then in zip(self.arguments.tensors, self.before.arguments.tensors):
            array = t._array
            fixed = on_gpu(array) and (id(t) in self.state.tensors or observer.bumped(then) != 0
                                       or (observer.backward_ran and t._requires_grad))
            self.fixed.append(fixed)
            if on_gpu(array) and not fixed:
                with cp.cuda.using_allocator(self.pool.allocate):
                    static = cp.empty(array.shape, array.dtype)
                _copy_into(static, array)
            else:
                static = array
            statics.append(static)
        return statics

    def _differentiate(self) -> None:
        """Capture the backward pass of what is returned in a graph of its own: forward alone was called."""
        tensors = [t for value, t in self.results if value.requires_grad]
        if not tensors:
            return
        from .record import cut

        cp, observer = cupy(), self.observer
        sources = [t for t in observer.tensors.values() if t._requires_grad]
        targets: dict[int, Any] = {id(edge_of(t)): None for t in sources}
        forward, self.backward = observer.graph, CUDAGraph()
        observer.differentiating = True
        with observer.capturing(self.stream, self.backward, self.pool), cut([edge_of(t) for t in sources]):
            self.dys = [cp.empty(t._array.shape, t._array.dtype) for t in tensors]
            engine.run(list(zip(map(edge_of, tensors), self.dys)), True, False, targets)
        observer.graph = forward
        self.grads = [(t, dx) for t in sources if (dx := targets[id(edge_of(t))]) is not None]
        self.kept = [edge_of(t) for t in tensors]  # the graph holds what the forward pass saved, in the pool


class Recording:
    """A captured call: when it is right, and how it is replayed."""

    def __init__(self, run: Run):
        observer = run.observer
        self.bind, self.conditions, self.returned = binder(run.arguments), run, run.returned
        self.events, self.graph, self.pool = observer.events, run.graph, run.pool
        self.places = {id(t): i for i, t in enumerate(run.arguments.tensors)}
        self.statics = [(i, static) for i, (static, fixed) in enumerate(zip(run.statics, run.fixed))
                        if on_gpu(static) and not fixed]
        self.fixed = [(i, t, t._array) for i, (t, fixed) in enumerate(zip(run.arguments.tensors, run.fixed)) if fixed]
        self.bumps = [(t, n) for t in observer.tensors.values() if (n := observer.bumped(t))]
        self.tail = next((i for i, event in enumerate(self.events) if event[0] == "eager"), len(self.events))
        self.backward = None if run.backward is None else Backward(run, self)
        self.finished = observer.backward_ran
        lent = {id(t): (t, g._array) for event in self.events if event[0] == "grads"
                for t, g in event[1] if g is not None}
        self.lent = [(t, array, 0) for t, array in lent.values()]
        self.events = [("grads", [(t, None if g is None else g._array) for t, g in event[1]])
                       if event[0] == "grads" else event for event in self.events]

    def settle(self) -> None:
        """Let go of what only the capture needed, and count who knows the gradients now."""
        run = self.conditions
        run.before, run.observer.events, run.observer.snapshot = None, [], None
        for key in run.observer.given - {id(t) for _, t, _ in self.fixed}:
            run.observer.tensors.pop(key, None)
        run.arguments.tensors = []
        self._held()

    def match(self, args: tuple, kwargs: dict) -> list[Tensor] | None:
        """The argument tensors, if this recording is right for the call."""
        tensors = self.bind(args, kwargs)
        if tensors is None or not self.conditions.hold():
            return None
        if any(tensors[i] is not t or t._array is not array for i, t, array in self.fixed):
            return None
        return None if self._held() or (self.backward is not None and self.backward.pending()) else tensors

    def run(self, *tensors: Tensor) -> Any:
        """Replay the call."""
        for i, static in self.statics:
            _copy_into(static, tensors[i]._array)
        for event in self.events[:self.tail]:
            self._repeat(event, tensors)
        self.graph.launch()
        for event in self.events[self.tail:]:
            self._repeat(event, tensors)
        for t, n in self.bumps:
            self._given(t, tensors)._version_list()[0] += n
        return self.result(tensors)

    def _repeat(self, event: tuple, tensors: Any) -> None:
        kind = event[0]
        if kind == "draw":
            event[1]()
        elif kind == "grads":
            for t, array in event[1]:
                self._given(t, tensors)._grad = None if array is None else Tensor._wrap(array)
        elif kind == "prepare":
            prepare_step(event[3]["tables"], event[1], event[2], event[3]["kwargs"])
        elif kind == "upload":
            array = self._given(event[1], tensors)._array
            stream = cupy().cuda.get_current_stream()
            event[2].set(array, stream=stream)
            if is_pinned(array):  # other memory has been read by now
                stream.synchronize()
        else:
            event[1](*event[2], **event[3])

    def _given(self, t: Tensor, tensors: Any) -> Tensor:
        """A tensor of the recording, or the argument that is now in its place."""
        place = self.places.get(id(t))
        return t if place is None else tensors[place]

    def _held(self) -> bool:
        """Whether somebody but `grad` holds a gradient that the next launch would overwrite."""
        for i, (t, array, base) in enumerate(self.lent):
            grad = t._grad
            shown = grad is not None and grad._array is array
            others = sys.getrefcount(array) - shown
            if base == 0:
                self.lent[i] = t, array, others
            elif others > base or (shown and sys.getrefcount(grad) > 3):
                return True
            del grad
        return False

    # Results

    def result(self, tensors: Any) -> Any:
        """What the call returns."""
        node = None if self.backward is None else self.backward.leave([self._given(t, tensors)
                                                                        for t in self.backward.sources])
        return self._filled(self.returned, tensors, node, count())

    def _filled(self, value: Any, tensors: Any, node: Node | None, indices: Iterator[int]) -> Any:
        """What is returned, with tensors in the place of `Made` and `Known`."""
        if isinstance(value, Made):
            array: Any = value.slot  # here the array itself
            t = Tensor._wrap(array.copy())
            if value.inference:
                t._inference = True
            if value.requires_grad and node is not None:
                attach(t, node, next(indices), False)
            elif value.requires_grad:
                t._requires_grad, t._node = True, FINISHED
            return t
        if isinstance(value, Known):
            known = self._given(value.tensor, tensors)
            return known._grad if value.grad else known
        if type(value) in (tuple, list):
            return type(value)([self._filled(v, tensors, node, indices) for v in value])
        if type(value) is dict:
            return {key: self._filled(v, tensors, node, indices) for key, v in value.items()}
        return value


class Backward:
    """The captured backward pass: what stands for an Op in the node that a captured forward pass leaves."""

    name = "compiled"

    def __init__(self, run: Run, recording: Recording):
        assert run.backward is not None
        self.graph, self.dys, self.arrays = run.backward, run.dys, [array for _, array in run.grads]
        self.sources = [t for t, _ in run.grads]
        self.roots = run.kept
        saved = {id(counter) for node in _nodes(run.kept) for counter, _, _ in node.versions}
        self.kept = [t for t in run.observer.tensors.values() if id(t._counter) in saved]
        self._last: Callable[[], Any] = lambda: None
        self._calls = 0

    def pending(self) -> bool:
        """Whether the last call's gradient can still be asked for: a replay would overwrite what it needs."""
        node = self._last()
        return node is not None and node.backward is not None

    def leave(self, tensors: list[Tensor]) -> Node:
        """A node whose gradients are those of `tensors`."""
        self._calls += 1
        call, first = self._calls, self.dys[0]

        def gradients(dy, needs):
            if call != self._calls:
                raise GraphError("compiled: this forward pass was overwritten by a later one of the same function")
            return self.run(dy if isinstance(dy, list) else [dy], tensors)

        node = Node(self, kernels_of(first), tuple(map(edge_of, tensors)), gradients, first.shape, first.dtype)
        node.outputs = len(self.dys) if len(self.dys) > 1 else None
        node.versions = [(t._version_list(), t._version_list()[0], "an input") for t in self.kept]
        self._last = weakref.ref(node)
        return node

    def run(self, given: list[Any], tensors: list[Tensor]) -> list[Any]:
        """The gradients for those of the outputs: new arrays, since what becomes of them is not known."""
        for dy, static in zip(given, self.dys):
            if dy is None:
                static.fill(0)
            else:
                _copy_into(static, dy)
        self.graph.launch()
        return [array.copy() for array in self.arrays]

    def lift(self, node: Node) -> Any:
        raise GraphError("compiled: the gradient of a compiled function cannot be differentiated again "
                         "(create_graph=True): call the function that was compiled")


def _nodes(edges: list[Any]) -> list[Node]:
    """All nodes before these edges."""
    found: dict[int, Any] = {}
    pending = list(edges)
    while pending:
        edge = pending.pop()
        node = getattr(edge, "node", edge)
        if isinstance(node, Node) and node.number not in found:
            found[node.number] = node
            pending += [e for e in node.inputs if e is not None]
    return list(found.values())


def _put(tensors: list[Tensor], arrays: list[Any]) -> None:
    for t, array in zip(tensors, arrays):
        t.__dict__["_array"] = array


def _copy_into(static: Any, array: Any) -> None:
    """Copy an array into one of the graph's, on the current stream."""
    if array.flags.c_contiguous and array.dtype == static.dtype:
        static.data.copy_from_device_async(array.data, array.nbytes)
    else:
        static[...] = array
