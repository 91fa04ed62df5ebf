"""The graph and reverse-mode differentiation over it. No mathematics: that is in the nodes' functions.

Every recorded operation is a `Node`. Its `inputs` are edges towards the leaves: the Node that made the input, the
leaf tensor itself, or None where no gradient is needed. `backward` is a list with a function an input that maps the
gradient of the output to the gradient of that input.

Nodes are numbered as they are made, and a node is always made after its inputs. So `run` takes pending nodes by
descending number: when a node's turn comes, all that use it have contributed. Nothing here recurses, however deep
the graph is.
"""
from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count
from typing import Any

from numpy import asarray, generic, ndarray

from .device import ARRAYS
from .errors import GraphError
from .modes import enable_grad as enable_grad  # the modes, under the engine's name too
from .modes import inference_mode as inference_mode
from .modes import is_grad_enabled as is_grad_enabled
from .modes import is_inference_mode_enabled as is_inference_mode_enabled
from .modes import mode
from .modes import no_grad as no_grad
from .modes import set_grad_enabled as set_grad_enabled

profiling: Any = None  # a profiler's recording, while it runs: named blocks and compiled functions are told to it
gradients: tuple[around_gradients, ...] = ()
hooked = False  # whether any node has got a hook that sees its results
sparse = False  # whether there have been sparse gradients
placing: Any = None  # once there are several GPUs: makes the one that an array lies on the current one
next_number = count(1).__next__
_changing = threading.Lock()
LARGE = 1 << 18  # bytes of a gradient from which adding is a kernel's work


class Node:
    """One recorded operation: what it was, where its inputs came from, how its gradients are computed."""

    op: Any
    k: Any
    inputs: Any
    backward: Any
    shape: Any
    dtype: Any
    number: int
    versions: Any = ()  # (counter, its value when kept, name) of each value that the gradient functions keep
    frees = True  # whether the gradient functions keep arrays, which backward frees
    hooks: Any = None
    posthooks: Any = None
    retained: Any = None
    outputs: int | None = None  # how many there are, where not one
    source: str | None = None  # the line that made it, under detect_anomaly

    def __init__(self, op: Any, k: Any, inputs: tuple, backward: Any, shape: tuple, dtype: Any):
        self.op, self.k, self.inputs, self.backward = op, k, inputs, backward
        self.shape, self.dtype = shape, dtype
        self.number = next_number()
        for note in mode.notes:
            note(self)

    def name(self) -> str:
        """PyTorch's name for it: `MulBackward0`."""
        from .graph_names import node_name  # only what prints asks for it

        return node_name(self)

    @property
    def next_functions(self) -> tuple:
        """(node, output number) an input, as PyTorch gives them: a leaf is the `variable` of an AccumulateGrad."""
        from .nodes import shown

        return tuple([(shown(edge), edge.index if type(edge) is Output else 0) for edge in self.inputs])

    @property
    def _array(self) -> Any:
        """Itself: it knows the shape and type of what it computed."""
        return self

    def saved(self) -> dict[str, Any]:
        """The values kept for backward, by name."""
        return {name: value for function in self.functions() for name, value in captured(function)}

    def functions(self) -> list[Callable]:
        """The gradient functions that are there: one an input, or one for all."""
        if self.backward is None:
            return []
        return [f for f in self.backward if f is not None] if type(self.backward) is list else [self.backward]

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


def _saved_property(name: str) -> property:
    def saved(self: Node) -> Any:
        from .graph_names import saved_value

        return saved_value(self, name)

    return property(saved)


for _name in ("self", "other", "exponent", "result", "weight", "dim", "keepdim"):
    setattr(Node, f"_saved_{_name}", _saved_property(_name))  # what PyTorch's nodes show of what they keep


class Output:
    """One output of a node that has several. It stands between that node and whoever uses the output."""

    __slots__ = ("__weakref__", "dtype", "hooks", "index", "node", "number", "op", "retained", "shape", "source")

    def __init__(self, node: Node, index: int, shape: tuple, dtype: Any):
        self.node, self.index, self.shape, self.dtype = node, index, shape, dtype
        self.number = next_number()
        self.hooks = self.retained = self.source = None
        self.op = node.op

    name: Any = Node.name
    next_functions = property(lambda self: self.node.next_functions)
    inputs = property(lambda self: (self.node,))
    __repr__ = Node.__repr__


class AccumulateGrad:
    """Where the graph ends in a leaf; for who walks along `next_functions`."""

    next_functions = ()

    def __init__(self, variable: Any):
        self.variable = variable

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def register_hook(self, hook: Callable) -> Any:
        """Call `hook(grad_inputs, grad_outputs)` after a gradient was added to the leaf's."""
        return self.variable.register_post_accumulate_grad_hook(lambda leaf: hook((), (leaf.grad,)))

    def register_prehook(self, hook: Callable) -> Any:
        """Call `hook((gradient,))` before a gradient is added; what it returns, unless None, takes its place."""
        def call(grad):
            new = hook((grad,))
            return new[0] if isinstance(new, tuple) else new

        return self.variable.register_hook(call)

    def __call__(self, grad: Any) -> None:
        """Add to the leaf's gradient."""
        self.variable._accumulate(grad._array, False)

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"


def run(roots: Iterable[tuple[Any, Any]], keep: bool = False, lifted: bool = False,
        targets: dict[int, Any] | None = None) -> None:
    """Carry gradients from `roots`, pairs of an edge and its gradient, to the leaves.

    Leaves accumulate into their `grad` once all is done, so that an error leaves every `grad` as it was; with
    `targets` (identity of an edge -> where its gradient is put) none does. `keep` keeps the graph for another run.
    `lifted` runs the same functions on tensors, which records a graph of the gradients themselves.
    """
    if mode.recorder is not None:
        mode.recorder.on_backward(keep, lifted)
    if placing is None:
        _run(roots, keep, lifted, targets)
    else:
        with placing:
            _run(roots, keep, lifted, targets)


def _run(roots: Iterable[tuple[Any, Any]], keep: bool, lifted: bool, targets: dict[int, Any] | None) -> None:
    grads: dict[int, Any] = {}  # by node number; of a node with several outputs a list
    nodes: dict[int, Any] = {}
    owned: set[int] = set()  # keys whose gradient is a private array, to which can be added in place
    leaves: dict[int, Any] = {}
    heap: list[int] = []
    needed = None if targets is None else _leading_to(targets, [edge for edge, _ in roots])

    def deliver(edge, grad, fresh, k=None):
        kind = type(edge)
        if kind is Node or kind is Output or issubclass(kind, Node):
            key = edge.number
            if key not in nodes:
                nodes[key] = edge
                heappush(heap, -key)
        else:
            key = -id(edge)  # never a number
            leaves[key] = edge
        if key not in grads:
            grads[key] = grad
            if fresh:
                owned.add(key)
        elif sparse and (_is_sparse(grad) or _is_sparse(grads[key])):
            from .sparse.rows import added

            grads[key] = added(grad, grads[key])
        elif key in owned:
            grads[key] = _add(k, grads[key], grad)
        elif fresh:
            grads[key] = _add(k, grad, grads[key])
            owned.add(key)
        else:
            total = grads[key] + grad if k is None or lifted else k.add(grads[key], grad)
            if not lifted:
                owned.add(key)
            grads[key] = asarray(total) if isinstance(total, generic) else total  # NumPy makes scalars of 0-d sums

    for edge, grad in roots:
        deliver(edge, grad, False)
    plain = targets is None and not lifted and not gradients and not hooked
    waiting = None  # a node and its gradient, while nothing else is pending: in a chain no node goes through the heap
    while True:
        if waiting is not None:
            (node, dy), waiting = waiting, None
        elif heap:
            key = -heappop(heap)
            node, dy = nodes.pop(key), grads.pop(key)
        else:
            break
        if node.hooks is not None or node.retained is not None:
            dy = _call_hooks(node, dy)
        if targets is not None and id(node) in targets:
            targets[id(node)] = dy
        if type(node) is Output:
            parent: Any = node.node
            if parent.number not in nodes:
                nodes[parent.number] = parent
                grads[parent.number] = [None] * parent.outputs
                heappush(heap, -parent.number)
            before = grads[parent.number][node.index]  # second derivatives reach an output by several edges
            grads[parent.number][node.index] = dy if before is None else before + dy
            continue
        functions, edges, k = node.backward, node.inputs, node.k
        if needed is not None:
            edges = [edge if id(edge) in needed else None for edge in edges]
            if not any(edge is not None for edge in edges):
                continue
        if functions is None:
            raise GraphError(
                f"backward: the graph was freed at {node.op.name}. Trying to backward through the graph a second "
                "time, or to use values that the first time freed: give retain_graph=True to the first backward")
        for version, value, name in node.versions:
            if version[0] != value:
                raise GraphError(_overwritten(node, name, value, version[0]))
        if not plain:
            if lifted:
                functions, k = node.op.lift(node), lifted_kernels()
            for around in gradients:
                functions = around(node, functions)
            if node.posthooks:
                from .nodes import with_hooks

                functions = with_hooks(node, functions, k, lifted)
        if placing is not None:
            placing(dy)
        if type(functions) is list:
            dxs = [None if edge is None else function(dy) for edge, function in zip(edges, functions)]
        else:
            dxs = functions(dy, [edge is not None for edge in edges])
        for edge, dx in zip(edges, dxs):
            if edge is None or dx is None:
                continue
            kind, fits = type(edge), False
            if type(dx) in ARRAYS and kind is not Output:  # most need no conversion
                like = edge if kind is Node else edge._array
                fits = dx.shape == like.shape and dx.dtype is like.dtype
                if fits and kind is Node and waiting is None:
                    if not heap:
                        waiting = edge, dx
                        continue
                    key = edge.number
                    if key not in grads:  # one use so far
                        grads[key], nodes[key] = dx, edge
                        heappush(heap, -key)
                        continue
            if waiting is not None and (kind is Node or kind is Output or issubclass(kind, Node)):
                deliver(*waiting, False, k)
                waiting = None
            if fits and type(dx) is ndarray and dx.base is None and type(dy) in ARRAYS:
                deliver(edge, dx, dx is not dy, k)
            else:
                deliver(edge, *_fit(k, edge, dx, dy, lifted), k)
        if node.frees and not keep:
            node.backward = None
    for key, leaf in leaves.items():  # hooks may raise: all of them run before the first `grad` changes
        if leaf._hooks:
            grads[key] = leaf._call_hooks(grads[key])
            owned.discard(key)  # the hook may have kept it
    for key, leaf in leaves.items():
        if placing is not None:
            placing(grads[key])
        if targets is None:
            leaf._accumulate(grads[key], key in owned)
        elif id(leaf) in targets:
            targets[id(leaf)] = grads[key]


class noting:
    """Within `with noting(function):` each node made on this thread is handed to `function` at once.

    >>> import minitorch as mt
    >>> with noting(lambda node: print(node.op.name, node.shape)):
    ...     y = mt.ones(2, requires_grad=True) * 3
    mul (2,)
    """

    def __init__(self, function: Callable[[Node], Any]):
        self.function = function

    def __enter__(self) -> noting:
        mode.notes = (*mode.notes, self.function)
        return self

    def __exit__(self, *exception: Any) -> None:
        mode.notes = tuple([note for note in mode.notes if note is not self.function])


class around_gradients:
    """Within `with`, each gradient function runs as `observer(node, function, i, arguments)`, on this thread alone or
    `everywhere`.

    The observer returns `function(*arguments)`, the gradient of the i-th input, or (i = 0) a list with those of all.
    Of several the one that was entered last is outermost; they may end in any order.

    >>> import minitorch as mt
    >>> def show(node, function, i, arguments):
    ...     print(node.op.name, arguments)
    ...     return function(*arguments)
    >>> with around_gradients(show):
    ...     mt.ones(2, requires_grad=True).exp().backward(mt.tensor([1.0, 2.0]))
    exp (array([1., 2.], dtype=float32),)
    """

    def __init__(self, observer: Callable[[Node, Callable, int, tuple], Any], everywhere: bool = False):
        self.observer, self.everywhere = observer, everywhere

    def __enter__(self) -> around_gradients:
        self.thread = None if self.everywhere else threading.get_ident()
        self._change(lambda before: (*before, self))
        return self

    def __exit__(self, *exception: Any) -> None:
        self._change(lambda before: tuple([other for other in before if other is not self]))

    def __call__(self, node: Node, functions: Any) -> Any:
        """What runs in the place of a node's gradient functions: a list with one an input, or one for all."""
        if self.thread not in (None, threading.get_ident()):
            return functions
        if type(functions) is list:
            return [f and self._observed(node, f, i) for i, f in enumerate(functions)]
        return self._observed(node, functions, 0)

    def _observed(self, node: Node, function: Callable, i: int) -> Callable:
        def run(*arguments):
            return self.observer(node, function, i, arguments)

        run.__wrapped__ = function  # type: ignore[attr-defined]
        return run

    def _change(self, to: Callable[[tuple], tuple]) -> None:
        global gradients
        with _changing:
            gradients = to(gradients)


def detect_anomalies(enabled: bool, check_nan: bool) -> None:
    """Remember the source line of each node, and raise where a gradient becomes NaN."""
    mode.anomaly, mode.check_nan = enabled, enabled and check_nan
    mode.notes = tuple([note for note in mode.notes if note is not note_source]) + (note_source,) * bool(enabled)
    from .debug import nonfinite  # only what debugs loads it

    nonfinite.follow(mode.check_nan)


def note_source(node: Node) -> None:
    """Write down the line of the program that made a node."""
    node.source = caller()


def whole(function: Callable) -> Callable:
    """Marks a function that changes the state of real objects: a compiled step calls it as it is."""
    @functools.wraps(function)
    def call(*args, **kwargs):
        recorder = mode.recorder
        if recorder is None or recorder.paused:
            return function(*args, **kwargs)
        return recorder.whole(function, args, kwargs)
    return call


def check(function: Callable) -> Callable:
    """Marks a function that looks at values only to raise an error: a compiled step calls it too. Values on a GPU are
    not looked at, which would wait for it."""
    @functools.wraps(function)
    def call(*args, **kwargs):
        recorder = mode.recorder
        if any([type(a) in ARRAYS and type(a) is not ndarray for a in args]):
            return
        if recorder is None or recorder.paused:
            function(*args, **kwargs)
        else:
            recorder.check(function, args, kwargs)
    return call


def is_array(value: Any) -> bool:
    """Whether `value` is an array of any module, or a list or tuple with one."""
    return any(map(is_array, value)) if isinstance(value, (tuple, list)) else hasattr(type(value), "nbytes")


def captured(function: Callable) -> list[tuple[str, Any]]:
    """The names and values that a gradient function closes over: what it keeps alive."""
    cells = getattr(function, "__closure__", None)
    if not cells:
        return []
    return [(name, cell.cell_contents) for name, cell in zip(function.__code__.co_freevars, cells)
            if name not in ("k", "xp")]


def _fit(k: Any, edge: Any, dx: Any, dy: Any, lifted: bool) -> tuple[Any, bool]:
    """`dx` in the shape and type of the input it belongs to, and whether it is a private array.

    Broadcasting is undone here, for all operations: each axis that was spread is summed.
    """
    if sparse and _is_sparse(dx):  # only a leaf has a sparse gradient, as far as nothing else is added to it
        if not isinstance(edge, (Node, Output)):
            return dx, False
        dx = dx.to_dense() if lifted else dx.to_dense()._array
    shape, dtype = (edge.shape, edge.dtype) if not hasattr(edge, "_array") else (edge._array.shape, edge._array.dtype)
    if lifted:
        if tuple(dx.shape) != shape:
            dx = k.unbroadcast(dx, shape)
        return (dx if dx._array.dtype == dtype else _real(dx, dtype).to(dtype)), False
    if type(dx) not in ARRAYS:
        dx = k.xp.asarray(dx)  # NumPy turns 0-d results into scalars
    if dx.shape != shape:
        dx = k.unbroadcast(dx, shape)
    if dx.dtype != dtype:
        dx = _real(dx, dtype).astype(dtype)
    given = dy if type(dy) is list else (dy,)  # a list: of a node with several outputs
    if any([dx is d for d in given]):
        return dx, False
    if not isinstance(dx, ndarray) and not hasattr(dx, "is_meta"):  # CuPy's views need not have a base
        place = dx.data.mem
        return dx, dx.flags.c_contiguous and not any([d is not None and getattr(d.data, "mem", None) is place
                                                      for d in given])
    if dx.base is None:
        return dx, True
    spread = not (dx.flags.c_contiguous and getattr(dx.flags, "writeable", True))  # broadcast: one place, many elements
    return dx, not (spread or any([d is not None and k.shares_memory(dx, d) for d in given]))


def _is_sparse(grad: Any) -> bool:
    return getattr(grad, "is_sparse", False)


def _add(k: Any, total: Any, x: Any) -> Any:
    """total + x in the memory of `total`."""
    if type(total) is not ndarray or total.nbytes < LARGE:
        total += x
        return total
    return k.add_into(total, x)


def _real(dx: Any, dtype: Any) -> Any:
    """`dx`, or its real part where the input is real: what is imaginary has no effect on it."""
    return dx.real if getattr(dx, "_array", dx).dtype.kind == "c" and dtype.kind != "c" else dx


def _leading_to(targets: dict[int, Any], edges: list[Any]) -> set[int]:
    """Identities of the edges from which a target can be reached: no other needs to run."""
    found: dict[int, Any] = {}
    while edges:
        edge = edges.pop()
        if isinstance(edge, (Node, Output)) and edge.number not in found:
            found[edge.number] = edge
            edges.extend(edge.inputs)
    needed = set(targets)
    for _, edge in sorted(found.items()):  # a node is numbered after its inputs
        if any(id(e) in needed for e in edge.inputs):
            needed.add(id(edge))
    return needed


def _call_hooks(node: Any, dy: Any) -> Any:
    if node.hooks is not None:
        for hook in list(node.hooks.values()):
            dy = hook(dy)
    if node.retained is not None:
        node.retained(dy)
    return dy


def _overwritten(node: Node, name: str, kept: int, now: int) -> str:
    where = f" (recorded at {node.source})" if node.source else ""
    return (f"backward: one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: {node.op.name}{where} kept {name!r} at version {kept}, it is at version {now} now. "
            "Use a copy (clone), or the operation that is not in place")


def lifted_kernels() -> Any:
    """The kernel table over tensors, with which gradients are differentiated."""
    from .lifted import tensor_kernels

    return tensor_kernels


def caller() -> str:
    """The line outside the framework that is running, as `file:line`; the examples count as outside."""
    import sys

    frame: Any = sys._getframe(2)
    here = __name__.partition(".")[0]
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] not in (here, "minitorch_kernels") or name.startswith(f"{here}.examples."):
            break
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
