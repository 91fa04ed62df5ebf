"""Models as graphs: `Input` gives a tensor without values, and layers called on it note what they made of it."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..engine import no_grad
from ..errors import CheckpointError
from ..op import FUNCTIONS
from ..tensor import Tensor
from . import backend
from .serialization import deserialize, serialize


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



def _operator(function: str, swapped: bool = False) -> Any:
    def operator(self: KerasTensor, *other: Any) -> Any:
        from . import ops

        return getattr(ops, function)(*[*other, self] if swapped else [self, *other])

    return operator


for _name, _function in {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power",
                         "matmul": "matmul", "floordiv": "floor_divide", "mod": "mod"}.items():
    setattr(KerasTensor, f"__{_name}__", _operator(_function))
    setattr(KerasTensor, f"__r{_name}__", _operator(_function, swapped=True))
for _name, _function in {"neg": "negative", "abs": "abs", "getitem": "get_item", "gt": "greater", "lt": "less",
                         "ge": "greater_equal", "le": "less_equal"}.items():
    setattr(KerasTensor, f"__{_name}__", _operator(_function))


def is_symbolic(*values: Any) -> bool:
    """Whether a tensor without values is among these, or in nested lists and dicts of them."""
    return any([isinstance(x, KerasTensor) for x in backend.flatten(values)])


class Node:
    """One call of a layer: with what, and how many results."""

    def __init__(self, layer: Any, args: tuple, keywords: dict[str, Any]):
        self.layer, self.args, self.keywords = layer, args, keywords
        self.outputs: list[KerasTensor] = []
        self.result: Any = None

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
    node.result = _refill(first, iter([symbol(pair) for pair in pairs]))
    layer.__dict__.setdefault("_node", node)
    return node.result


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


def graph_config(order: list[Node], inputs: Any, outputs: Any) -> dict[str, Any]:
    """A graph as data: each layer with its calls, which name where their inputs come from."""
    from .layers.core import InputLayer

    layers: dict[str, dict[str, Any]] = {}
    places: dict[int, list[Any]] = {}
    for x in backend.flatten(inputs):
        layers[x.name] = {**serialize(InputLayer(batch_shape=x.shape, dtype=x.dtype, name=x.name)), "name": x.name,
                          "inbound_nodes": []}
        places[id(x)] = [x.name, 0, 0]

    def data(x: Any) -> Any:
        if isinstance(x, KerasTensor):
            return {"class_name": "__keras_tensor__", "config": {"shape": list(x.shape), "dtype": str(x.dtype)[6:],
                                                                 "keras_history": places[id(x)]}}
        if isinstance(x, dict):
            return {key: data(value) for key, value in x.items()}
        return [data(part) for part in x] if isinstance(x, (list, tuple)) else serialize(x)

    for node in order:
        name = node.layer.name
        entry = layers.setdefault(name, {**serialize(node.layer), "name": name, "inbound_nodes": []})
        for i, x in enumerate(node.outputs):
            places[id(x)] = [name, len(entry["inbound_nodes"]), i]
        entry["inbound_nodes"].append({"args": data(node.args), "kwargs": data(node.keywords)})
    return {"layers": list(layers.values()), "input_layers": backend.map_structure(lambda x: places[id(x)], inputs),
            "output_layers": backend.map_structure(lambda x: places[id(x)], outputs)}


def graph_from_config(config: dict[str, Any], custom_objects: Any = None) -> tuple[Any, Any]:
    """The inputs and outputs of the graph that the data tell of. Raises CheckpointError where a call lacks an input."""
    found: dict[tuple[str, int], list[Any]] = {}
    pending: list[tuple[str, Any, int, dict[str, Any]]] = []
    for entry in config["layers"]:
        name, made = entry["name"], deserialize(entry, custom_objects)
        if entry["class_name"] == "InputLayer":
            found[name, 0] = [Input(batch_shape=made._given_shape, dtype=made.dtype, name=name)]
        pending += [(name, made, i, call) for i, call in enumerate(entry["inbound_nodes"])]

    def value(x: Any) -> Any:
        if isinstance(x, dict) and x.get("class_name") == "__keras_tensor__":
            name, i, j = x["config"]["keras_history"]
            return found[name, i][j]
        if isinstance(x, dict) and "class_name" not in x:
            return {key: value(each) for key, each in x.items()}
        return [value(each) for each in x] if isinstance(x, list) else deserialize(x, custom_objects)

    while pending:
        waiting = []
        for name, layer, i, call in pending:
            try:
                args, keywords = value(call["args"]), value(call["kwargs"])
            except KeyError:  # what it needs comes later
                waiting.append((name, layer, i, call))
                continue
            found[name, i] = backend.flatten(layer(*args, **keywords))
        if len(waiting) == len(pending):
            raise CheckpointError(f"the layers {[name for name, *_ in waiting]} need inputs that the data do not have")
        pending = waiting

    def end(x: Any) -> Any:
        if isinstance(x, list) and len(x) == 3 and isinstance(x[0], str) and isinstance(x[1], int):
            return found[x[0], x[1]][x[2]]
        return {key: end(part) for key, part in x.items()} if isinstance(x, dict) else [end(part) for part in x]

    return end(config["input_layers"]), end(config["output_layers"])


def _run_with(node: Node, unknown: int) -> Any:
    """What the layer gives for zeros, with `unknown` for the sizes that are not known."""
    def zeros(x: Any) -> Any:
        if not isinstance(x, KerasTensor):
            return x
        return FUNCTIONS["zeros"]([unknown if n is None else n for n in x.shape], dtype=x.dtype or dtypes.float32)

    with no_grad(), backend.phase(False):
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
