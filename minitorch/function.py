"""Custom differentiable functions: a forward and a backward on tensors, in a class."""
from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any

from .device import kernels_of
from .engine import Node, Output, enable_grad, mode, no_grad
from .errors import GraphError, ShapeError
from .tensor import Tensor, edge_of


class FunctionCtx:
    """What a Function's forward hands to its backward; any further attribute may be set on it."""

    def __init__(self, needs_input_grad: tuple[bool, ...]):
        self.needs_input_grad = needs_input_grad
        self._saved: list[Any] = []
        self._undifferentiable: tuple[Tensor, ...] = ()
        self._dirty: tuple[Tensor, ...] = ()
        self._materialize = True
        self._node: weakref.ref[Node] | None = None  # weak: the node keeps this context

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs and outputs for backward; a later in-place change of them is noticed."""
        self._saved = [None if t is None else (t, t._version_list(), t._version_list()[0]) for t in tensors]

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What was saved. Raises GraphError where it was overwritten since, or freed."""
        node: Any = self._node and self._node()
        saved = self._saved
        if self._node is not None:
            if node is None or node.backward is None:
                raise GraphError("saved_tensors: the graph was freed: trying to backward through the graph a second "
                                 "time")
            saved = node.backward.saved
        tensors = []
        for entry in saved:
            if entry is not None and entry[1][0] != entry[2]:
                raise GraphError("saved_tensors: one of the variables needed for gradient computation has been "
                                 f"modified by an inplace operation: it was saved at version {entry[2]} and is at "
                                 f"version {entry[1][0]}")
            t = None if entry is None else entry[0]
            tensors.append(t(node) if t is not None and not isinstance(t, Tensor) else t)
        return tuple(tensors)

    saved_variables = saved_tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """These outputs have no gradient."""
        self._undifferentiable = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """These inputs were changed in place, and are outputs."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros, rather than None, for outputs that were not used."""
        self._materialize = value


class Function:
    """A differentiable function of one's own: static `forward(ctx, ...)` and `backward(ctx, *gradients)`.

    >>> from minitorch import tensor
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x ** 3
    ...     @staticmethod
    ...     def backward(ctx, dy):
    ...         x, = ctx.saved_tensors
    ...         return dy * 3 * x ** 2
    >>> x = tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    forward: Callable
    backward: Callable
    setup_context: Callable | None = None

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` and record that `backward` differentiates it."""
        batched = next((a for a in args if hasattr(a, "_apply_function")), None)
        if batched is not None:
            return batched._apply_function(cls, args)
        if mode.recorder is not None:
            mode.recorder.refuse(f"the custom autograd.Function {cls.__name__}")
        needs = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        ctx = FunctionCtx(needs)
        with no_grad():
            if cls.setup_context is None:
                result = cls.forward(ctx, *args, **kwargs)
            else:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, result)
        if not (mode.grad and any(needs)):
            return result
        outputs = list(result) if isinstance(result, (tuple, list)) else [result]
        outputs = _record(cls, ctx, args, outputs)
        return outputs[0] if not isinstance(result, (tuple, list)) else type(result)(outputs)


class _Custom:
    """Stands for an Op in the nodes of a custom Function."""

    def _backward(self, given: list, needs: list[bool]) -> Any:
        """The class's `backward` (or `vjp`); where it has only a `jvp`, which is linear, the transpose of that."""
        for name in ("backward", "vjp"):
            if hasattr(self.function, name):
                return getattr(self.function, name)(self.ctx, *given)
        if not hasattr(self.function, "jvp"):
            raise NotImplementedError("You must implement either the backward or vjp method for your custom "
                                      f"autograd.Function to use it with backward mode AD: {self.name} has none")
        from .autograd import grad

        like: Any = next(g for g in given if g is not None)
        with enable_grad():
            tangents = [like.new_zeros(shape).requires_grad_() if needed and shape is not None else None
                        for needed, shape in zip(needs, self.inputs)]
            outputs = self.function.jvp(copy.copy(self.ctx), *tangents)  # a copy: it may delete what it has used
        pairs = [(y, g) for y, g in zip(outputs if isinstance(outputs, (tuple, list)) else [outputs], given)
                 if y is not None and g is not None]
        wanted = [t for t in tangents if t is not None]
        found: Any = iter(grad([y for y, _ in pairs], wanted, [g for _, g in pairs], create_graph=mode.grad,
                               allow_unused=True))
        return [None if t is None else next(found) for t in tangents]

    def __init__(self, function: type[Function], ctx: FunctionCtx, inputs: list, shapes: list):
        self.name, self.function, self.ctx = function.__name__, function, ctx
        self.inputs, self.shapes = inputs, shapes  # shapes of the arguments that are tensors; of the outputs

    def lift(self, node: Node) -> Callable:
        return self.run

    def run(self, dy: Any, needs: list[bool]) -> list[Any]:
        """The user's backward on tensors, its result checked, with one gradient an argument of forward."""
        grads = dy if isinstance(dy, list) else [dy]
        given = []
        for g, like in zip(grads, self.shapes):
            if g is None and self.ctx._materialize and like is not None:
                g = kernels_of(like[0]).xp.zeros(like[1], like[2])
            given.append(g if g is None or isinstance(g, Tensor) else Tensor._wrap(g))
        result = self._backward(given, needs)
        result = list(result) if isinstance(result, (tuple, list)) else [result]
        while len(result) > len(needs) and result[-1] is None:
            result.pop()
        if len(result) != len(needs):
            raise GraphError(f"{self.name}.backward: returned an incorrect number of gradients "
                             f"(expected {len(needs)}, got {len(result)})")
        for i, (g, shape) in enumerate(zip(result, self.inputs)):
            if isinstance(g, Tensor) and shape is not None and not _spreads(shape, g._array.shape):
                raise ShapeError(f"Function {self.name}Backward returned an invalid gradient at index {i} - got "
                                 f"{list(g.shape)} but expected shape compatible with {list(shape)}")
        return result


def _spreads(shape: tuple[int, ...], wide: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts to the other: then a gradient of that shape is summed."""
    return shape == wide or (len(shape) <= len(wide) and
                             all(a in (1, b) for a, b in zip(shape[::-1], wide[::-1])))


def _record(cls: type[Function], ctx: FunctionCtx, args: tuple, outputs: list[Any]) -> list[Any]:
    """Give the outputs of a custom function one node."""
    outputs = [_as_output(y, args, ctx) for y in outputs]
    shapes = [(y._array[:0] if y._array.ndim else y._array, y._array.shape, y._array.dtype)
              if isinstance(y, Tensor) else None for y in outputs]
    custom = _Custom(cls, ctx, [a._array.shape if isinstance(a, Tensor) else None for a in args], shapes)

    def gradients(dy, needs):
        with no_grad():
            result = custom.run(dy, needs)
        return [None if g is None else g._array.copy() for g in result]

    backward: Any = gradients
    backward.saved = ctx._saved  # freed with the gradient function
    edges = tuple(edge_of(a) if isinstance(a, Tensor) and a._requires_grad else None for a in args)
    first = next(y for y in outputs if isinstance(y, Tensor))
    node = Node(custom, kernels_of(first._array), edges, backward, first._array.shape, first._array.dtype)
    ctx._node = weakref.ref(node)
    for i, y in enumerate(outputs):
        if not isinstance(y, Tensor) or y._array.dtype.kind not in "fcV" or \
                any(y._array is u._array for u in ctx._undifferentiable):
            continue
        if len(outputs) > 1:
            node.outputs = len(outputs)
            y._node = Output(node, i, y._array.shape, y._array.dtype)
        else:
            y._node = node
        y._requires_grad = True
    _weaken(ctx._saved, outputs)
    if mode.saving is not None:
        mode.saving.of_function(ctx._saved, node)
    ctx._saved = []
    return outputs


def _as_output(y: Any, args: tuple, ctx: FunctionCtx) -> Any:
    """An output that is an input itself becomes a tensor of its own, unless it was marked as changed in place."""
    if isinstance(y, Tensor):
        if any(y is d for d in ctx._dirty):
            y._bump()
            return y
        if any(y is a for a in args) or y._requires_grad:
            return Tensor._wrap(y._array)
    return y


def _weaken(saved: list[Any], outputs: list[Any]) -> None:
    """Keep saved outputs by their array: the tensor would keep its node, and the node the tensor, alive for ever."""
    for i, entry in enumerate(saved):
        if entry is None or entry[0].is_sparse:
            continue
        for j, y in enumerate(outputs):
            if isinstance(y, Tensor) and entry[0]._array is y._array and y._node is not None:
                saved[i] = (_output_again(y._array, j, len(outputs)), entry[1], entry[2])


def _output_again(array: Any, index: int, count: int) -> Callable:
    return lambda node: Tensor._wrap(array, node if count == 1 else Output(node, index, array.shape, array.dtype))


class once_differentiable:
    """Decorates a backward whose result cannot be differentiated again."""

    def __new__(cls, function: Callable) -> Any:
        def wrapped(ctx, *grads):
            with no_grad():
                return function(ctx, *grads)
        return wrapped
