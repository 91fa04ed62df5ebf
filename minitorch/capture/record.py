"""From a call to a recording: run it eagerly twice under observation, and write the replay if both runs agree."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import CellType
from typing import Any

import numpy as np

from .. import capture, engine
from ..device import ARRAYS
from ..engine import Node, Output
from ..nn import Module
from ..tensor import Tensor, edge_of
from . import ATTEMPTS, RECORDINGS
from .arrays import Slot, Traced
from .guards import SIMPLE, Arguments, State, Watch, binder, same, special, tensor_key
from .plan import Known, Made, Program, write
from .trace import Recorder, busy


def record(compiled: Any, args: tuple, kwargs: dict) -> Any:
    """Run the call eagerly, and learn from it: the second run of one form makes a recording."""
    arguments = Arguments(args, kwargs)
    if arguments.key in compiled._eager or special() or busy():
        return compiled.uncompiled(*args, **kwargs)
    if capture.stance == "fail_on_recompile" and arguments.key not in compiled._pending:
        raise RuntimeError("Detected recompile when torch.compile stance is 'fail_on_recompile': no recording of "
                           f"{getattr(compiled.uncompiled, '__name__', compiled.uncompiled)} fits these arguments")
    compiled._attempts += 1
    pending = compiled._pending.setdefault(arguments.key, [])
    before = next((run for run in pending if run.conditions.hold()), None)
    run = _kind_of_run(compiled, arguments)(compiled, arguments, before)
    result = run(args, kwargs)
    if compiled.on_gpu and type(run) is Run:
        return result  # the next call is looked at as what it is
    reason = run.reason()
    if reason is None and before is not None:
        reason = run.differs(before)
    if reason is not None:
        compiled._eager.add(arguments.key)
        compiled._pending.pop(arguments.key, None)
        compiled.refused(reason)
    elif before is None:
        pending.append(run)
    else:
        pending.remove(before)
        compiled.recordings.insert(0, run.recording())

    if len(compiled.recordings) == RECORDINGS or compiled._attempts == ATTEMPTS:
        compiled.refused(f"{compiled._attempts} recordings were made, for as many forms of arguments and state")
    return result


class Run:
    """One eager call under observation."""

    def __init__(self, compiled: Any, arguments: Arguments, before: Run | None):
        self.compiled = compiled
        self.function, self.arguments, self.strict = compiled.uncompiled, arguments, compiled.fullgraph
        self.watch: Watch = before.watch if before else Watch()
        self.known = before is not None  # the code that will run, so that its state can be looked at before
        self.state: State
        self.results: list[tuple[Made, Tensor]] = []
        self.grads: list[tuple[Tensor, Slot]] = []
        self.dys: list[Slot] = []
        self.backward: list[Any] = []

    def __call__(self, args: tuple, kwargs: dict) -> Any:
        if self.known:
            self._look()
        self.recorder = recorder = Recorder(self.arguments.tensors, self.strict)
        with recorder:
            with self.watch:
                result = self.function(*args, **kwargs)
            if recorder.reason is None and self.watch.reason is None:
                self.template = self._template(result)
            self.forward = recorder.steps
            if recorder.reason is None and self.watch.reason is None and not (recorder.backward_ran or recorder.on_gpu):
                self._differentiate()
        self.changed = self.state.difference() if self.known else None
        if not self.known:
            self._look()
        self.conditions = Conditions(self)
        self.results.clear()
        self.compiled.on_gpu = self.compiled.on_gpu or recorder.on_gpu
        return result

    def recording(self) -> Recording:
        return Recording(self)

    def _look(self) -> None:
        self.state = self.watch.state(self.function, self.arguments.objects)
        self.state.freeze()

    def _template(self, value: Any) -> Any:
        """What is returned, with `Made` and `Known` in the place of tensors."""
        recorder = self.recorder
        if isinstance(value, Tensor):
            array = value.__dict__["_array"]
            for t, *_ in recorder.first_grads.values():
                if t.__dict__.get("_grad") is value:
                    return Known(t, True)
            if type(array) is not Traced:
                self.recorder.read(value, array)
                return Known(value)
            if array.slot.kind in ("tensor", "grad"):
                recorder.refuse("a view of a tensor from outside is returned")
            slots = [s for s, _ in self._outside()]
            if any(s.storage == array.slot.storage for s in slots):
                recorder.refuse("a view of a tensor from outside is returned")
            self.results.append((Made(array.slot, value.requires_grad, value._inference), value))
            return self.results[-1][0]
        if type(value) in (tuple, list):
            return type(value)(map(self._template, value))
        if type(value) is dict:
            return {key: self._template(v) for key, v in value.items()}
        if not isinstance(value, SIMPLE):
            recorder.refuse(f"a {type(value).__name__} is returned")
        return value

    def _outside(self) -> list[tuple[Slot, Tensor]]:
        return [(traced.slot, t) for t, traced in self.recorder.tensors.values()]

    def _differentiate(self) -> None:
        """Record the backward pass of what is returned: forward alone was called, backward will be."""
        recorder = self.recorder
        tensors = [t for value, t in self.results if value.requires_grad]
        if not tensors:
            return
        sources = [t for _, t in self._outside() if t._requires_grad]
        targets: dict[int, Any] = {id(edge_of(t)): None for t in sources}
        recorder.steps, roots = [], []
        for t in tensors:
            dy = recorder.adopt(np.ones(t._array.shape, t._array.dtype), "dy", None)
            self.dys.append(dy.slot)
            roots.append((edge_of(t), dy))
        recorder.differentiating = True
        with self.watch, cut([edge_of(t) for t in sources]):
            try:
                engine.run(roots, True, False, targets)
            except Exception as error:
                recorder.refuse(f"its gradient cannot be computed: {error}")
                return
        self.backward = recorder.steps
        for t in sources:
            dx = targets[id(edge_of(t))]
            if dx is not None:
                self.grads.append((t, recorder.traced(dx).slot))

    def reason(self) -> str | None:
        """Why this call cannot be replayed."""
        recorder, state = self.recorder, self.state
        if recorder.reason or self.watch.reason or state.reason:
            return recorder.reason or self.watch.reason or state.reason
        if self.changed or self.arguments.changed():
            return f"it changes Python objects: {self.changed or 'its arguments'}"
        given = {id(t) for t in self.arguments.tensors}
        for t, traced in recorder.tensors.values():
            owner = traced.slot.source
            if id(owner) not in state.tensors and id(owner) not in given:
                return "it uses a tensor that is found neither in its arguments nor by the names in its code"
            if recorder.backward_ran and t._node is not None:
                return "backward goes on into a graph from outside"
        return None

    def differs(self, before: Run) -> str | None:
        """How the two runs disagree."""
        a, b = ([*run.forward, *run.backward] for run in (self, before))
        if len(a) != len(b) or any(x.kind != y.kind or x.name != y.name for x, y in zip(a, b)):
            return "two runs did different things"
        for x, y in zip(a, b):
            if x.kind != "whole" and not alike((x.args, x.kwargs), (y.args, y.kwargs)):
                return f"two runs gave {x.name} different arguments"
        return None


def _kind_of_run(compiled: Any, arguments: Arguments) -> Any:
    """How the call is to be recorded: as steps for the CPU, or as a graph of the GPU's."""
    if len(ARRAYS) > 1 and not compiled.on_gpu:  # CuPy is there
        compiled.on_gpu = any(map(_on_gpu, [*arguments.tensors, *arguments.objects, *_known(compiled.uncompiled)]))
    if not compiled.on_gpu:
        return Run
    from .graphed import Run as Captured

    return Captured


def _known(function: Any) -> list[Any]:
    """What a function's code can name, as far as that is seen without running it."""
    function = getattr(function, "__wrapped__", function)
    known = [function, getattr(function, "__self__", None)]
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    if code is not None:
        known += [function.__globals__.get(name) for name in code.co_names]
        known += [cell.cell_contents for cell in function.__closure__ or () if cell != _EMPTY]
    return known


def _on_gpu(value: Any) -> bool:
    """Whether a tensor, or the first parameter of a module or an optimizer, is on a GPU."""
    groups, parameters = getattr(value, "param_groups", None), getattr(value, "parameters", None)
    if isinstance(groups, list) and groups:
        value = next(iter(groups[0]["params"]), None)
    elif isinstance(value, Module) and callable(parameters):
        value = next(parameters(), None)
    return isinstance(value, Tensor) and not isinstance(value._array, np.ndarray) and type(value._array) in ARRAYS


_EMPTY = CellType()


class Conditions:
    """Under which a run is as it was: the state of Python, and of the tensors from outside."""

    def __init__(self, run: Run):
        given = {id(t) for t in run.arguments.tensors}
        outside = run.recorder.tensors.values()
        self.state = run.state
        self.tensors = [(t, t._array, t._requires_grad, tensor_key(t)) for t, traced in outside
                        if id(t) not in given and traced.slot.kind == "tensor"]
        self.grads = [(t, none) for t, none in run.recorder.first_grads.values() if none is not None]

    def hold(self) -> bool:
        if not self.state.holds():
            return False
        for i, (t, array, requires_grad, key) in enumerate(self.tensors):
            if t._array is not array or t._requires_grad is not requires_grad or t._hooks is not None \
                    or t._after_accumulate is not None:
                if tensor_key(t) != key:
                    return False
                self.tensors[i] = t, t._array, requires_grad, key
        return all((t._grad is None) is none for t, none in self.grads)


class Recording:
    """A replay, `run`, and the conditions under which it is right."""

    def __init__(self, run: Run):
        self.conditions, self.bind = run.conditions, binder(run.arguments)
        self.program = Program(run.template, run.forward, run.backward, run.grads, run.dys,
                               run.arguments.tensors, [(t, traced.slot) for t, traced in run.recorder.tensors.values()])
        self.run = write(self.program)

    def match(self, args: tuple, kwargs: dict) -> list[Tensor] | None:
        """The argument tensors, if this recording is right for the call."""
        tensors = self.bind(args, kwargs)
        return tensors if tensors is not None and self.conditions.hold() else None


@contextmanager
def cut(edges: list[Any]) -> Iterator[None]:
    """Let backward end at these edges: what lies behind them was not made by the program."""
    nodes = [edge.node if isinstance(edge, Output) else edge for edge in edges if isinstance(edge, (Node, Output))]
    before = [(node, node.inputs, node.backward) for node in nodes]
    for node in nodes:
        node.inputs, node.backward = (), []
    try:
        yield
    finally:
        for node, inputs, backward in before:
            node.inputs, node.backward = inputs, backward


def alike(a: Any, b: Any) -> bool:
    """Whether two steps' arguments agree: slots by number, constants by value, the rest by equality."""
    if isinstance(a, Slot):
        return isinstance(b, Slot) and a.number == b.number and a.kind == b.kind and a.shape == b.shape and \
            a.dtype == b.dtype and (a.kind != "constant" or np.array_equal(a.source, b.source, a.dtype.kind in "fc"))
    if type(a) is not type(b):
        return False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, slice):
        return alike((a.start, a.stop, a.step), (b.start, b.stop, b.step))
    if isinstance(a, Tensor):
        return a is b
    return a is b or same(a, b) or bool(a == b)
