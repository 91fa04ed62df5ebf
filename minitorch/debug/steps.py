"""A step of a program as one file: the ops that ran, what they were given, and what they gave, forward and backward."""
from __future__ import annotations

import copy
import os
import platform
import threading
import traceback
import weakref
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
from minitorch_kernels import keeping, table

from .. import engine
from ..engine import Node, Output, around_gradients, caller, mode, noting
from ..nn.scopes import Scopes
from ..observing import around_ops, arrays_in, outputs_of
from ..tensor import Tensor
from .nonfinite import strictness
from .packing import Unrecordable, checksum, mark, packed
from .state import State
from .wording import numpy

FORMAT = "minitorch-step/1"


def save_step(path: Any, fn: Callable[..., Any], *inputs: Any) -> Any:
    """Run `fn(*inputs)` once, write what ran to the file `path`, and return its result. An error is kept, and raised.

    The file holds the ops with their attributes and arrays, the gradients that backward computed (as marks), the
    parameters, buffers and optimizers' states that `fn` reaches, the random state, the choice of kernels,
    versions and machine, and the traceback. `replay` runs it again without the program. It is a file as
    `minitorch.load` reads it, which executes nothing.

    Not in it is what is no op: hooks, the code of custom Functions (their results are kept as they were, and no
    gradient goes through them), assignments to parts of tensors, and the optimizer's step.

    >>> import os, tempfile
    >>> import minitorch as mt
    >>> w = mt.randn(3, requires_grad=True)
    >>> path = os.path.join(tempfile.mkdtemp(), "step.mt")
    >>> loss = save_step(path, lambda x: (w * x).sum(), mt.ones(3))
    >>> bool(mt.debug.replay(path))
    True
    """
    with recorder(path, fn, *inputs, always=True):
        return fn(*inputs)


class recorder:
    """Within `with`, what runs on this thread is recorded, and written to `path` where it raises (or `always`).

    `reached` are models, optimizers and inputs whose tensors are to be named, and which are saved as they are at the
    start. The file is what `save_step` writes. Recording takes memory for every input that changes, and time: wrap one
    step, not a training.

        for x, y in batches:
            with minitorch.debug.recorder("failed.mt", model, optimizer):
                step(x, y)
    """

    def __init__(self, path: Any, *reached: Any, always: bool = False):
        self.path, self.always = os.fspath(path), always
        self._state = State(*reached)
        self.steps: list[dict[str, Any]] = []
        self.missing: list[str] = []  # what a replay cannot repeat
        self.arrays: dict[int, np.ndarray] = {}  # by slot, of what came from outside
        self.leaves: dict[int, str] = {}  # slots that need a gradient, and their names
        self._slots = 0
        self._known: dict[int, tuple[weakref.ref, int, int]] = {}  # identity of an array: itself, slot, checksum
        self._nodes: dict[int, tuple[int, list[int]]] = {}  # number of a node: step, slots of its outputs
        self._opaque: dict[tuple[int, int], int] = {}  # number and output of any other node: the slot of its value
        self._pending: tuple[Any, int, tuple] | None = None  # an op, its step and arguments, until its node is made
        self._backward: dict[str, Any] | None = None  # the step of the backward that runs
        self._failed: BaseException | None = None

    # Start and end

    def __enter__(self) -> recorder:
        from ..ops.random import default_generator

        self._thread = threading.get_ident()
        self._before = {id(t._array): (t._array, copy.copy(numpy(t._array)), name) for name, t in self._state._all()}
        self._about = _surroundings(default_generator.source.get_state())
        self._about["state"] = self._saved_state()
        self._scopes = Scopes(self._state.module_names())
        self._running = ExitStack()
        for context in (self._scopes, noting(self._note), around_ops(self._forward),
                        around_gradients(self._gradient)):
            self._running.enter_context(context)
        self._run, engine.run = engine.run, self._backwards  # type: ignore[assignment]
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        engine.run = self._run
        self._running.close()
        if isinstance(error, Exception):
            where = self.steps[-1].get("op", "backward") if self.steps and error is self._failed else None
            self._about["error"] = {"type": kind.__name__, "message": str(error), "op": where,
                                    "traceback": "".join(traceback.format_exception(kind, error, trace))}
        if self.always or isinstance(error, Exception):
            self._write()

    def _saved_state(self) -> dict[str, Any]:
        """The state dicts of models and optimizers, as they are at the start, on the copies taken then."""
        def kept(value):
            if isinstance(value, dict):
                return {key: kept(v) for key, v in value.items()}
            if isinstance(value, (list, tuple)):
                return [kept(v) for v in value]
            if isinstance(value, Tensor):
                before = self._before.get(id(value._array))
                return Tensor._wrap(numpy(value._array).copy() if before is None else before[1])
            return value if isinstance(value, (bool, int, float, complex, str, type(None))) else repr(value)

        found: dict[str, Any] = {**self._state.modules, **self._state.optimizers}
        return {name: kept(dict(each.state_dict())) for name, each in found.items()}

    def _write(self) -> None:
        from ..serialization import save

        used = {slot for step in self.steps for slot in _slots_in(step)}
        save({"format": FORMAT, **self._about, "steps": self.steps, "missing": list(dict.fromkeys(self.missing)),
              "leaves": {slot: name for slot, name in self.leaves.items() if slot in used},
              "arrays": {slot: Tensor._wrap(a) for slot, a in self.arrays.items() if slot in used}}, self.path)

    # Forward

    def _forward(self, op: Any, body: Callable, k: Any, arguments: tuple, options: dict) -> Any:
        if self._backward is not None:
            return body(k, *arguments, **options)
        count = len(arguments) if op.variadic else len(op.params)
        inputs, attributes = arguments[:count], arguments[count:]
        try:
            step = {"op": op.name, "inputs": [packed(a, self._slot) for a in inputs],
                    "attributes": packed(attributes, self._slot), "options": packed(options, self._slot)}
        except Unrecordable as error:
            self.missing.append(f"{op.name}: it was given {error}; its result is kept as it was")
            return body(k, *arguments, **options)
        cast = mode.autocast and mode.autocast.cpu
        step |= {"recorded": False, "autocast": None if cast is None else np.dtype(cast).name,
                 "source": caller(), "module": self._scopes.path, "out": [], "marks": []}
        self.steps.append(step)
        try:
            result = body(k, *arguments, **options)
        except Exception as error:
            self._failed = error
            raise
        outputs = outputs_of(result)
        step["marks"] = [mark(y, inputs) for y in outputs]
        step["out"] = [self._enter(y, m["bits"]) for y, m in zip(outputs, step["marks"])]
        self._pending = op, len(self.steps) - 1, inputs
        return result

    def _note(self, node: Node) -> None:
        if self._backward is not None:  # as `checkpoint` makes some: what backward computes is compared, not repeated
            return
        if self._pending is None or self._pending[0] is not node.op:
            self.missing.append(f"{node.op.name}: no op that can be run again; no gradient goes through it")
            return
        (_, number, inputs), self._pending = self._pending, None
        step = self.steps[number]
        step["recorded"] = True
        for i, (edge, array) in enumerate(zip(node.inputs, inputs)):
            if edge is not None and array is not None:
                step["inputs"][i] = {"array": self._slot_of_edge(edge, array)}
        self._nodes[node.number] = number, step["out"]

    def _slot_of_edge(self, edge: Any, array: Any = None) -> int:
        """The slot of a value that has a history: exact, whatever was done to its memory."""
        node, index = (edge.node, edge.index) if type(edge) is Output else (edge, 0)
        if isinstance(node, Tensor):
            slot = self._slot(node._array)
            self.leaves[slot] = self._state.names.get(id(node), "")
            return slot
        if node.number in self._nodes:
            return self._nodes[node.number][1][index]
        if (node.number, index) not in self._opaque:  # made by what cannot be run again, or before
            slot = self._external(np.zeros(tuple(edge.shape), edge.dtype) if array is None else array)
            self._opaque[node.number, index] = slot
            self.leaves[slot] = f"result of {node.op.name}"
        return self._opaque[node.number, index]

    def _slot(self, array: Any) -> int:
        """The slot of an array by its identity and content; one that is unknown, or was changed, comes from outside."""
        known = self._known.get(id(array))
        if known is not None and known[0]() is array and known[2] == checksum(array):
            return known[1]
        return self._external(array)

    def _external(self, array: Any) -> int:
        bits = checksum(array)
        slot = self._enter(array, bits)
        before = self._before.get(id(array))
        same = before is not None and checksum(before[1]) == bits
        self.arrays[slot] = before[1] if same else numpy(array).copy()  # type: ignore[index]
        return slot

    def _enter(self, array: Any, bits: int) -> int:
        self._slots += 1
        with suppress(TypeError):  # a scalar of NumPy
            self._known[id(array)] = weakref.ref(array), self._slots, bits
        return self._slots

    # Backward

    def _backwards(self, roots: Any, keep: bool = False, lifted: bool = False, targets: Any = None) -> None:
        if threading.get_ident() != self._thread or self._backward is not None:
            return self._run(roots, keep, lifted, targets)
        roots = list(roots)
        step: dict[str, Any] = {"backward": [], "gradients": []}
        for edge, gradient in roots:
            step["backward"].append([self._slot_of_edge(edge), self._slot(getattr(gradient, "_array", gradient))])
        if lifted:
            self.missing.append("backward with create_graph: what is computed from gradients takes them as they were")
        self.steps.append(step)
        self._backward, self._pending = step, None
        try:
            self._run(roots, keep, lifted, targets)
        except Exception as error:
            self._failed = error
            raise
        finally:
            self._backward = None

    def _gradient(self, node: Node, function: Callable, i: int, arguments: tuple) -> Any:
        if node.hooks is not None or node.posthooks is not None:
            self.missing.append(f"a hook on {node.op.name}")
        found = function(*arguments)
        if self._backward is not None and node.number in self._nodes:
            number = self._nodes[node.number][0]
            for position, dx in enumerate(found if isinstance(found, (list, tuple)) else [found], i):
                for array in arrays_in(dx)[:1]:
                    self._backward["gradients"].append([number, position, mark(array, arrays_in(arguments[0]))])
        return found


def _surroundings(random: np.ndarray) -> dict[str, Any]:
    """What else a result can depend on: choices, modes, versions, machine."""
    from .. import __version__, get_default_dtype, get_num_threads

    strict = strictness()
    return {
        "use": dict(table._choice), "random": Tensor._wrap(random),
        "modes": {"default_dtype": get_default_dtype().name, "anomaly": None if strict is None else sorted(strict)},
        "versions": {"minitorch": __version__, "numpy": np.__version__, "python": platform.python_version()},
        "machine": {"processor": keeping.processor(), "system": platform.platform(),
                    "threads": get_num_threads()}, "error": None,
    }


def _slots_in(value: Any) -> list[int]:
    """The slots that a step refers to."""
    if isinstance(value, dict):
        if "backward" in value:
            return [slot for pair in value["backward"] for slot in pair]
        if len(value) == 1 and next(iter(value)) in ("array", "tensor"):
            return list(value.values())
        return [slot for key, v in value.items() if key not in ("marks", "out") for slot in _slots_in(v)]
    return [slot for v in value for slot in _slots_in(v)] if isinstance(value, (list, tuple)) else []
