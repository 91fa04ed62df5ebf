"""One run of a function, forward and backward, written down: the NumPy calls, and what each value is called."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np
from minitorch_kernels import table
from minitorch_kernels.elementwise import BINARY, UNARY

from ..capture.arrays import Slot, Step, Traced, plain, root_of
from ..capture.trace import Recorder, _numpy
from ..engine import Node, Output, _fit, noting
from ..errors import ShapeError
from ..nn.scopes import Scopes
from ..random import get_rng_state, set_rng_state
from ..tensor import Tensor, edge_of

# kernels that are written out as the NumPy calls they consist of; all others become functions of the script
WRITTEN_OUT = {*UNARY, *BINARY, "where", "unbroadcast", "add_into", "matmul", "linear", "sum", "spread", "cumsum",
               "slice_dx"}
VAGUE = {"x", "y", "z", "out", "output", "outputs", "input", "inputs", "result", "hidden", "self", "t", "tmp", "data",
         "value", "values", "res", "ret", "src", "args", "residual", "identity"}  # names of variables that say nothing
PACKAGE = Path(__file__).resolve().parent.parent
# what of the package is like a user's code, whose variables give names
TRACED = {"examples", "vision", ("nn", "transformer.py"), ("nn", "multihead.py")}


class Tape(Recorder):
    """Records `steps`; `paths` has the module in which each ran, and `labels` what may name each value."""

    def __init__(self, inputs: list[Tensor]):
        super().__init__(inputs)
        self.scopes = _Modules(self)
        self.paths: dict[int, str] = {}  # a step's position in `steps` is not stable, so by identity
        self.labels: dict[Slot, list[str]] = {}  # what a value may be called: [user's variable, module, op]
        self.values: dict[int, Slot] = {}  # node number: its result
        self.node_paths: dict[int, str] = {}
        self.ops: set[str] = set()
        self.drawn: dict[Slot, str] = {}  # random numbers: in which module they were drawn
        self.fixed: list[str] = []  # what was decided by values, and so is fixed in the script
        self.before: dict[int, np.ndarray] = {}  # values of tensors from outside, as they were
        self._path: str | None = None  # of the node whose gradients are computed
        self._bases: dict[int, Traced] = {}  # memory: the first array that shows all of it
        self._gathered: set[int] = set()  # the storages of what was shown through strides
        self._fresh: list[Traced] = []  # stored since the last node was made
        self._results: dict[int, list[Traced]] = {}

    def refuse(self, reason: str) -> None:
        if reason not in self.fixed:
            self.fixed.append(reason)

    # Steps

    def apply(self, kind: str, name: str, function: Any, args: tuple, kwargs: dict, writes: tuple = ()) -> Any:
        result = super().apply(kind, name, function, args, kwargs, writes)
        if any(slot.storage in self._gathered for slot in self.steps[-1].writes):
            raise NotImplementedError("extract: what as_strided (or unfold) shows is written to, as as_strided_scatter "
                                      "does: use scatter or slices")
        self.paths[id(self.steps[-1])] = self.scopes.path if self._path is None else self._path
        return result

    def kernel(self, name: str, function: Callable, args: tuple, kwargs: dict) -> Any:
        if name == "shares_memory":
            return function(*plain(args), **plain(kwargs))
        if name in WRITTEN_OUT:
            return table.get(name).reference(_numpy, *args, **kwargs)
        if name.endswith(("_step", "_steps")):
            raise NotImplementedError("extract: an optimizer's step is no part of fn: give extract(fn, optimizer=...)")
        return self.apply("kernel", name, partial(_in_order, partial(table.get(name).reference, np)), args, kwargs)

    def adopt(self, array: np.ndarray, kind: str, source: Any) -> Traced:
        traced = super().adopt(array, kind, source)
        if traced.slot.whole and traced.slot.contiguous:
            self._bases.setdefault(id(root_of(array)), traced)
        return traced

    def constant(self, array: np.ndarray) -> Traced:
        """A constant; or, where it shows the memory of a known array through strides of its own, elements of that."""
        base = self._bases.get(id(root_of(array)))
        if base is None or base.dtype != array.dtype or not array.size:
            return super().constant(array)
        first = (array.ctypes.data - base.plain.ctypes.data) // array.itemsize
        places = np.arange(first, base.size)
        strides = tuple(stride // array.itemsize * places.itemsize for stride in array.strides)
        places = np.lib.stride_tricks.as_strided(places, array.shape, strides).copy()
        found: Any = base.reshape(-1)[places]
        self._gathered.add(found.slot.storage)
        return found

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """What runs within is one step, whatever it does."""
        paused, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = paused

    def draw(self, generator: Any, name: str, args: tuple, kwargs: dict) -> Any:
        result = super().draw(generator, name, args, kwargs)
        self.steps.pop()
        if isinstance(result, Traced):
            result.slot.kind, result.slot.source = "constant", result.plain.copy()
            self.drawn[result.slot] = self.scopes.path
            return result
        return plain(result)

    def check(self, function: Callable, args: tuple, kwargs: dict) -> None:
        with self._aside():
            function(*plain(args), **plain(kwargs))

    def whole(self, function: Callable, args: tuple, kwargs: dict) -> Any:
        return function(*args, **kwargs)

    # Values and their names

    def store(self, t: Tensor, array: Any) -> Any:
        stored = super().store(t, array)
        if type(stored) is Traced:
            self._fresh.append(stored)
        return stored

    def _external(self, t: Tensor, array: np.ndarray, kind: str, source: Tensor) -> Traced:
        traced = super()._external(t, array, kind, source)
        self.before.setdefault(traced.slot.number, array.copy())
        return traced

    def note(self, node: Node) -> None:
        """A node was made: the arrays stored last are its results."""
        results = [array for array in self._fresh if array.shape == node.shape] or self._fresh
        if results:
            self.values[node.number] = results[-1].slot
            self.label(results[-1], 2, node.op.name)
        self._results[node.number] = list(self._fresh)
        self.node_paths[node.number] = self.scopes.path
        self.ops.add(node.op.name)
        self._fresh.clear()

    def label(self, array: Any, place: int, name: str) -> None:
        """`name` may be what `array` is called: its variable (0), its module (1), its op (2)."""
        if type(array) is Traced and "slot" in array.__dict__:
            names = self.labels.setdefault(array.slot, ["", "", ""])
            if not names[place] or (names[place] in VAGUE and name not in VAGUE):
                names[place] = name

    def value_of(self, edge: Any) -> Slot | None:
        """The slot of the value whose gradient arrives at an edge."""
        if isinstance(edge, Output):
            results = self._results.get(edge.node.number, [])[-(edge.node.outputs or 1):]
            return results[edge.index].slot if edge.index < len(results) else None
        if isinstance(edge, Node):
            return self.values.get(edge.number)
        return self.tensors[id(edge)][1].slot if id(edge) in self.tensors else None

    # The two passes

    def forward(self, function: Callable, args: tuple) -> Any:
        """Call `function(*args)` under recording."""
        with noting(self.note), self.scopes, _Variables(self):
            return function(*args)

    def backward(self, roots: list[tuple[Any, Any]]) -> dict[int, tuple[Any, Traced]]:
        """Carry gradients from `roots` to the leaves, as the engine does; {identity of a leaf: (leaf, its gradient)}.

        Each gradient that arrives at a value is a step "give", which names it.
        """
        grads: dict[Any, Any] = {}
        nodes: dict[int, Any] = {}
        leaves: dict[int, Any] = {}
        heap: list[int] = []

        def deliver(edge, dx):
            isleaf = not isinstance(edge, (Node, Output))
            key = -id(edge) if isleaf else edge.number
            if not isleaf and key not in nodes:
                nodes[key] = edge
                heappush(heap, -key)
            if isleaf:
                leaves[key] = edge
            grads[key] = self._given(edge, grads[key] + dx if key in grads else dx)

        for edge, dy in roots:
            deliver(edge, dy)
        parts: dict[int, list] = {}
        while heap:
            key = -heappop(heap)
            node, dy = nodes.pop(key), grads.pop(key)
            if node.hooks is not None:
                raise NotImplementedError(f"extract: a tensor hook changes the gradient of {node.op.name}: take it off")
            if isinstance(node, Output):
                parent = node.node
                if parent.number not in parts:
                    parts[parent.number] = [None] * int(parent.outputs or 1)
                    nodes[parent.number] = parent
                    heappush(heap, -parent.number)
                parts[parent.number][node.index] = dy
                grads[parent.number] = parts[parent.number]
                continue
            self._path = self.node_paths.get(node.number, "")
            if type(node.backward) is list:
                dxs = [None if edge is None else f(dy) for edge, f in zip(node.inputs, node.backward)]
            elif hasattr(node.op, "body"):
                dxs = node.backward(dy, [edge is not None for edge in node.inputs])
            else:
                raise NotImplementedError(f"extract: {node.op.name} is a custom Function, whose backward is not made "
                                          "of this library's ops")
            for edge, dx in zip(node.inputs, dxs):
                if edge is not None and dx is not None:
                    if getattr(dx, "is_sparse", False):
                        raise NotImplementedError(f"extract: the gradient of {node.op.name} is sparse: "
                                                  "use sparse=False")
                    deliver(edge, _fit(node.k, edge, dx, dy, False)[0])
        self._path = None
        return {id(leaf): (leaf, grads[key]) for key, leaf in leaves.items()}

    def _given(self, edge: Any, dx: Any) -> Any:
        """`dx` as the gradient of the value at `edge`, in a slot of its own."""
        dx = self.traced(dx)
        given = self.adopt(dx.plain, "step", None)
        step = Step("give", "give", self.value_of(edge), (dx.slot,), {}, given.slot)
        self.steps.append(step)
        self.paths[id(step)] = self._path or ""
        return given


def _in_order(reference: Callable, *args: Any, **kwargs: Any) -> Any:
    """The results lie in memory as those of fast kernels do, in the usual order: dropout draws in it."""
    found = reference(*args, **kwargs)
    arrays = [a for a in args if isinstance(a, np.ndarray)]

    def ordered(y):
        fresh = isinstance(y, np.ndarray) and not any(np.may_share_memory(y, a) for a in arrays)
        return np.ascontiguousarray(y) if fresh and y.ndim else y

    return type(found)(map(ordered, found)) if type(found) in (tuple, list) else ordered(found)


class _Modules(Scopes):
    """Names a module's result after it."""

    def __init__(self, tape: Tape):
        super().__init__()
        self.tape = tape
        self.roots: list[Any] = []  # the modules that were called from outside
        self.kinds: dict[str, Any] = {}  # path: module

    def entered(self, module: Any, inputs: tuple) -> None:
        if len(self.open) == 1 and module not in self.roots:
            self.roots.append(module)
        self.kinds[self.path] = module

    def left(self, module: Any, output: Any) -> None:
        name = self.path.rpartition(".")[2]
        for t in output if isinstance(output, (tuple, list)) else (output,):
            if isinstance(t, Tensor) and "." in self.path:
                self.tape.label(t.__dict__.get("_array"), 1, name)


class _Variables:
    """While a user's code runs, labels values with the local variables that hold them."""

    def __init__(self, tape: Tape):
        self.tape = tape
        self.before: Any = None

    def __enter__(self) -> None:
        self.before = sys.gettrace()
        sys.settrace(self.enter)

    def __exit__(self, *exception: Any) -> None:
        sys.settrace(self.before)

    def enter(self, frame: Any, event: str, arg: Any) -> Any:
        file = Path(frame.f_code.co_filename)
        if PACKAGE in file.parents:
            folder, *rest = file.relative_to(PACKAGE).parts
            if folder not in TRACED and (folder, *rest) not in TRACED:
                return None
        return self.look if frame.f_code.co_name != "<module>" else None

    def look(self, frame: Any, event: str, arg: Any) -> Any:
        if event in ("line", "return"):
            for name, value in list(frame.f_locals.items()):
                if isinstance(value, Tensor):
                    self.tape.label(value.__dict__.get("_array"), 0, name)
        return self.look


class Run:
    """A function's run on `inputs`: `forward` and `backward` steps, `outputs`, `dys` and `grads`, all as traced arrays.

    Raises ValueError where the result needs no gradient.
    """

    def __init__(self, function: Callable, inputs: tuple, dy: Any = None):
        self.inputs = [x for x in _leaves(inputs) if isinstance(x, Tensor)]
        self.tape = tape = Tape(self.inputs)
        state = get_rng_state()
        with table.use("reference"), tape:
            for x in self.inputs:
                tape.traced(x._array)  # so that all are known, even one that nothing reads
            results = _leaves(tape.forward(function, inputs))
            wanted = _differentiable([t for t in results if isinstance(t, Tensor)])
            self.outputs = [tape.traced(t._array) for t in wanted]
            self.forward, tape.steps = tape.steps, []
            given = [None] * len(wanted) if dy is None else list(dy) if isinstance(dy, (tuple, list)) else [dy]
            self.dys = [tape.adopt(_gradient(t, g), "dy", None) for t, g in zip(wanted, given, strict=True)]
            self.grads = tape.backward([(edge_of(t), g) for t, g in zip(wanted, self.dys)])
            self.backward = tape.steps
        for array in (*self.outputs, *(grad for _, grad in self.grads.values())):
            if array.dtype.kind == "c":
                raise NotImplementedError(f"extract: a result or gradient is {array.dtype}: expected real numbers")
        set_rng_state(state)
        self._restore()

    def _restore(self) -> None:
        """Give tensors from outside, running statistics for one, the values that they had before."""
        written = {slot.storage for step in self.forward for slot in step.writes}
        for _, traced in self.tape.tensors.values():
            if traced.slot.storage in written:
                traced.plain[...] = self.tape.before[traced.slot.number]


def _gradient(t: Tensor, given: Any) -> np.ndarray:
    """What backward begins with for one result: ones, or what the caller gave."""
    shape, dtype = t._array.shape, t._array.dtype
    if given is None:
        return np.ones(shape, dtype)
    array = np.array(plain(getattr(given, "_array", given)), dtype)
    if array.shape != shape:
        raise ShapeError(f"extract: dy expects the result's shape {shape}, got {array.shape}")
    return array


def _differentiable(results: list[Tensor]) -> list[Tensor]:
    """Those of the results to differentiate: a loss alone, where there is one, otherwise all that need a gradient."""
    wanted = [t for t in results if t.requires_grad]
    if not wanted:
        raise ValueError("extract: the function expects to return a tensor that needs a gradient, got "
                         f"{'none' if not results else 'tensors that need none'}: set requires_grad of an input, or "
                         "use a module with parameters")
    scalars = [t for t in wanted if t.ndim == 0]
    return scalars[-1:] if len(wanted) > 1 and scalars else wanted


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [leaf for v in value for leaf in _leaves(v)]
    if isinstance(value, dict):
        return [leaf for v in value.values() for leaf in _leaves(v)]
    return [value]
