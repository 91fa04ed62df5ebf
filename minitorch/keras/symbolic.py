"""Models as graphs: `Input` gives a tensor without values, and layers called on it note what they made of it."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..engine import no_grad
from ..op import FUNCTIONS
from ..tensor import Tensor
from . import backend


class KerasTensor:
    """A tensor without values, whose batch size (None), and maybe other sizes, are not known yet."""

    def __init__(self, shape: Sequence[int | None], dtype: Any = None, name: str | None = None, node: Any = None):
        self.shape, self.dtype, self.node = tuple(shape), backend.dtype_of(dtype), node
        self.name = name or backend.unique_name("keras_tensor")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={str(self.dtype)[6:]}, name={self.name}>"

    def __bool__(self) -> bool:
        raise TypeError("A symbolic KerasTensor cannot be used as a boolean: it has no values")

    def __iter__(self) -> Any:
        raise TypeError("Iterating over a symbolic KerasTensor is not supported")

    def __add__(self, other: Any) -> Any:
        return apply(operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return apply(operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return apply(operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return apply(operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return apply(operator.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return apply(operator.mul, other, self)

    def __truediv__(self, other: Any) -> Any:
        return apply(operator.truediv, self, other)

    def __pow__(self, other: Any) -> Any:
        return apply(operator.pow, self, other)

    def __matmul__(self, other: Any) -> Any:
        return apply(operator.matmul, self, other)

    def __neg__(self) -> Any:
        return apply(operator.neg, self)

    def __getitem__(self, index: Any) -> Any:
        return apply(operator.getitem, self, index)


class Node:
    """One call of a layer: with what, and how many results."""

    def __init__(self, layer: Any, args: tuple, keywords: dict[str, Any]):
        self.layer, self.args, self.keywords = layer, args, keywords
        self.outputs: list[KerasTensor] = []

    def inputs(self) -> list[KerasTensor]:
        return [x for x in backend.flatten([self.args, self.keywords]) if isinstance(x, KerasTensor)]


def Input(shape: Any = None, batch_size: int | None = None, dtype: Any = None, name: str | None = None,
          batch_shape: Any = None) -> KerasTensor:
    """The input of a model: `shape` leaves the batch out, None in it stands for any size.

    >>> Input((28, 28), name="image").shape
    (None, 28, 28)
    """
    if shape is None and batch_shape is None:
        raise ValueError("Input: you must pass a `shape` argument")
    sizes = tuple(batch_shape) if batch_shape is not None else \
        (batch_size, *((shape,) if isinstance(shape, int) else shape))
    x = KerasTensor(sizes, dtype, name or backend.unique_name("input_layer"))
    x.node = Node(None, (), {})
    x.node.outputs = [x]
    return x


def record(layer: Any, args: tuple, keywords: dict[str, Any]) -> Any:
    """Call `layer` on tensors without values: their shapes follow from a run with zeros."""
    node = Node(layer, args, keywords)
    first = _run_with(node, 2)
    second = _run_with(node, 3)  # a size that differs between the two is not known

    def symbol(pair: tuple[Tensor, Tensor]) -> KerasTensor:
        a, b = pair
        shape = [n if n == m else None for n, m in zip(a.shape, b.shape)]
        node.outputs.append(KerasTensor(shape, a.dtype, node=node))
        return node.outputs[-1]

    pairs = list(zip(backend.flatten(first), backend.flatten(second)))
    return _refill(first, iter([symbol(pair) for pair in pairs]))


def apply(function: Any, *args: Any) -> Any:
    """A function of tensors as a step of a model."""
    from .layers import Lambda

    return record(Lambda(lambda *values: function(*values), name=backend.unique_name(function.__name__)), args, {})


def steps(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> list[Node]:
    """The calls that lead from `inputs` to `outputs`, each after those that it needs. Raises ValueError for a gap."""
    known, order, pending = {id(x) for x in inputs}, [], list(reversed(outputs))
    while pending:
        x = pending[-1]
        if id(x) in known:
            pending.pop()
            continue
        if x.node is None or x.node.layer is None:
            raise ValueError(f"`inputs` not connected to `outputs`: {x!r} is needed, and is none of the inputs")
        missing = [y for y in x.node.inputs() if id(y) not in known]
        if missing:
            pending += missing
            continue
        order.append(x.node)
        known.update(id(y) for y in x.node.outputs)
    return order


def replay(order: list[Node], inputs: list[KerasTensor], values: list[Any], outputs: Any) -> Any:
    """What `outputs` are when `inputs` have these values."""
    found = {id(x): value for x, value in zip(inputs, values)}

    def value_of(x: Any) -> Any:
        return found[id(x)] if isinstance(x, KerasTensor) else x

    for node in order:
        args, keywords = tuple(_filled(node.args, value_of)), _filled(node.keywords, value_of)
        y = node.layer(*args, **keywords)
        found.update((id(x), each) for x, each in zip(node.outputs, backend.flatten(y)))
    return backend.map_structure(value_of, outputs)


def _run_with(node: Node, unknown: int) -> Any:
    """What the layer gives for zeros, with `unknown` for the sizes that are not known."""
    def zeros(x: Any) -> Any:
        if not isinstance(x, KerasTensor):
            return x
        return FUNCTIONS["zeros"]([unknown if n is None else n for n in x.shape], dtype=x.dtype or dtypes.float32)

    with no_grad():
        return node.layer(*_filled(node.args, zeros), **_filled(node.keywords, zeros))


def _filled(x: Any, value_of: Any) -> Any:
    """`x` with `value_of` each tensor; other things, such as slices and tuples of an index, stay as they are."""
    if isinstance(x, dict):
        return {key: _filled(value, value_of) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)([_filled(value, value_of) for value in x])
    return value_of(x)


def _refill(x: Any, members: Any) -> Any:
    return [_refill(part, members) for part in x] if isinstance(x, (list, tuple)) else \
        {key: _refill(part, members) for key, part in x.items()} if isinstance(x, dict) else next(members)
