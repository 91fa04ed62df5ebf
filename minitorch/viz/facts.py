"""What a graph's nodes have to say for themselves: vertices and edges with their details, as text and numbers."""
from __future__ import annotations

import inspect
import os
from functools import cache
from typing import Any

from ..engine import Node, captured, is_array
from ..graph_names import node_name
from ..nn.parameter import Parameter
from ..op import OPS
from ..tensor import Tensor
from .backward import Step, reachable, walk
from .structure import Vertex
from .tracing import Note, memory_of, notes

UNTRACED = Note((), "", None, (), ())


class Facts:
    """All that is known of the graph behind `edges`; what is not known is None or ""."""

    def __init__(self, edges: list[Any], names: dict[int, str], inputs: dict[int, str], grads: bool):
        self.names, self.inputs = names, inputs  # of tensors, and of the memory of what was given, by identity
        self.vertices: list[Vertex] = []
        self.edges: list[tuple[Vertex, Vertex]] = []
        self.texts: dict[str, str] = {}  # formulas and kernels: many nodes share one
        self.nodes = reachable(edges)
        self.ended = "the gradients were not asked for"
        self.steps: list[Step] = []
        leaf_norms: dict[int, float] = {}
        if grads:
            self.steps, leaf_norms, self.ended = walk(edges)
        self.traced = any(node in notes for node in self.nodes)
        arrived = {step.node.number: step for step in self.steps}
        of_node: dict[int, Vertex] = {}
        self._leaves: dict[int, Vertex] = {}
        for node in reversed(self.nodes):
            of_node[node.number] = vertex = self._op(node, arrived.get(node.number))
            for i, edge in enumerate(node.inputs):
                behind = getattr(edge, "node", edge)
                if isinstance(behind, Node):
                    self.edges.append((of_node[behind.number], vertex))
                elif edge is not None:
                    self._use(self._leaf(edge, node, i, leaf_norms.get(id(edge))), vertex)
            self._constants(node, vertex)
        whole = [v for v in self._leaves.values() if v.kind in ("input", "leaf")]
        for vertex in whole:
            users = [end.calls for start, end in self.edges if start is vertex]
            vertex.calls = () if vertex.kind == "input" else _common(users)
        self.vertices = whole + self.vertices
        for i, vertex in enumerate([*self.vertices, *[v for v in self._leaves.values() if v not in set(whole)]]):
            vertex.key = f"v{i}"
        for edge in edges:
            if isinstance(getattr(edge, "node", edge), Node):
                of_node[getattr(edge, "node", edge).number].details["result"] = True
        self.played = [self._played(step, of_node) for step in self.steps] or \
            [{"at": of_node[node.number].key} for node in self.nodes]

    def leaves(self) -> list[Vertex]:
        """The vertices drawn beside others: parameters, buffers, constants."""
        return [v for v in self._leaves.values() if v.kind not in ("input", "leaf")]

    def _op(self, node: Any, step: Step | None) -> Vertex:
        note = notes.get(node, UNTRACED)
        vertex = Vertex("op", node.op.name, note.calls, node.number)
        vertex.sub = shape_text(node.shape)
        kept = kept_by(node)
        hooks = len(node.hooks or ()) + len(node.posthooks or ())
        vertex.details = {
            "name": node_name(node), "module": note.calls[-1].path if note.calls else "", "source":
            _near(note.source or node.source or ""), "out": type_text(node), "outputs": node.outputs or 1,
            "in": [self._input(node, note, i) for i in range(max(len(node.inputs), len(note.taken)))],
            "forward": note.seconds, "backward": step.seconds if step else None,
            "kept": [(name, text, size) for name, text, size, _ in kept], "bytes": sum(size for _, _, size, _ in kept),
            "freed": node.backward is None, "norm": _finite(step.norm if step else None), "hooks": hooks,
            **{part: self._text(f"{part} of {node.op.name}", text) for part, text in _told(node).items()},
            "kernels": [self._text(name, why) for name, why in note.kernels],
            "gradient_kernels": [self._text(name, why) for name, why in (step.kernels if step else ())]}
        self.vertices.append(vertex)
        return vertex

    def _input(self, node: Any, note: Note, i: int) -> str:
        """One argument in words: `x: 8×3 float32`."""
        name = _argument(node, i)
        if i < len(note.taken):
            taken = note.taken[i]
            return f"{name}: {taken.text or f'{shape_text(taken.shape or ())} {taken.dtype}'}"
        edge = node.inputs[i] if i < len(node.inputs) else None
        if edge is None:
            value = node.saved().get(name) if node.backward is not None else None
            return f"{name}: " + (type_text(value) if hasattr(value, "shape") else "needs no gradient; not recorded")
        return f"{name}: {type_text(edge)}"

    def _leaf(self, t: Any, node: Any, i: int, norm: float | None) -> Vertex:
        vertex = self._leaves.get(id(t))
        if vertex is None:
            taken = notes.get(node, UNTRACED).taken
            name = self.names.get(id(t)) or (taken[i].name if i < len(taken) else "")
            given = "" if name else self.inputs.get(id(memory_of(t._array)), "")
            kind = "parameter" if name or isinstance(t, Parameter) else "input" if given else "leaf"
            label = name or given or (_argument(node, i) if kind == "parameter" else "leaf")
            vertex = self._leaves[id(t)] = Vertex(kind, label)
            vertex.sub = shape_text(t._array.shape)
            vertex.details = {"out": type_text(t), "size": t._array.nbytes, "norm": _finite(norm), "gradient": True}
        return vertex

    def _constants(self, node: Any, vertex: Vertex) -> None:
        """What the op took that needs no gradient: inputs, buffers, constants. Unknown where nothing was traced."""
        edges = node.inputs
        for i, taken in enumerate(notes.get(node, UNTRACED).taken):
            if taken.shape is None or (i < len(edges) and edges[i] is not None):
                continue
            owner = taken.where and taken.where()
            given = self.inputs.get(id(owner), "") if owner is not None else ""
            key = id(owner) if owner is not None else id(taken)
            leaf = self._leaves.get(key)
            if leaf is None:
                kind = "buffer" if taken.name else "input" if given else "constant"
                leaf = self._leaves[key] = Vertex(kind, taken.name or given or _argument(node, i))
                leaf.sub = shape_text(taken.shape)
                leaf.details = {"out": f"{shape_text(taken.shape)} {taken.dtype}", "gradient": False}
            self._use(leaf, vertex)

    def _use(self, leaf: Vertex, vertex: Vertex) -> None:
        if leaf.kind in ("input", "leaf"):
            self.edges.append((leaf, vertex))
        elif leaf not in vertex.beside:
            vertex.beside.append(leaf)
        leaf.uses += 1

    def _played(self, step: Step, of_node: dict[int, Vertex]) -> dict:
        """A step through backward, for the page."""
        node, handed = step.node, []
        for i, norm, shape in step.handed:
            behind = getattr(node.inputs[i], "node", node.inputs[i])
            target = of_node[behind.number] if isinstance(behind, Node) else self._leaves[id(behind)]
            handed.append([target.key, _argument(node, i), _finite(norm), shape_text(shape)])
        return {"at": of_node[node.number].key, "norm": _finite(step.norm), "shape": step.shape, "to": handed}

    def _text(self, name: str, text: str) -> str:
        """The key under which the page finds a text."""
        if not text:
            return ""
        key, number = name, 2
        while self.texts.setdefault(key, text) != text:
            key, number = f"{name} #{number}", number + 1
        return key


def kept_by(node: Any) -> list[tuple[str, str, int, int]]:
    """(name, shape and type, bytes, identity of the memory) of each array that the node keeps for backward."""
    found: dict[int, tuple] = {}

    def look(name: str, value: Any, depth: int = 0) -> None:
        if isinstance(value, Tensor):
            value = value._array
        if isinstance(value, (list, tuple)) and depth < 3:
            for v in value:
                look(name, v, depth + 1)
        elif is_array(value):
            found.setdefault(id(value), (name, type_text(value), int(value.nbytes), id(memory_of(value))))
        elif callable(value) and depth < 3:
            for inner, v in captured(value):
                look(inner, v, depth + 1)

    for name, value in node.saved().items():
        look(name, value)
    for function in node.functions():
        entries: Any = getattr(function, "saved", ())
        for entry in entries:  # of a custom Function: (tensor, counter, version) or None
            look("saved", entry[0] if entry else None)
    return list(found.values())


def shape_text(shape: Any) -> str:
    """`8×3×32`; `scalar` without dimensions."""
    return "×".join(map(str, shape)) or "scalar"


def type_text(value: Any) -> str:
    """Shape and type of an array, a tensor or a node."""
    array = getattr(value, "_array", value)
    return f"{shape_text(array.shape)} {array.dtype}"


def _argument(node: Any, i: int) -> str:
    params: tuple[str, ...] = getattr(node.op, "params", ())
    if getattr(node.op, "variadic", False):
        return f"{params[0]}[{i}]"
    names = (*params, *getattr(node.op, "attributes", ()))
    return names[i] if i < len(names) else f"argument {i}"


def _told(node: Any) -> dict[str, str]:
    """The op's formula, the source of its gradient functions, and that of its whole body, or of a custom Function."""
    body = _source(getattr(node.op, "body", None) or getattr(node.op, "function", None))
    if node.op not in OPS.values():
        return {"formula": "", "gradient": "", "body": body}
    from ..explanation import describe

    known = describe(node.op.name)
    return {"formula": known.formula or known.summary, "gradient": known.gradient, "body": body}


@cache
def _source(body: Any) -> str:
    try:
        return inspect.cleandoc(inspect.getsource(body)) if body is not None else ""
    except (OSError, TypeError):  # defined where Python keeps no source
        return ""


def _common(calls: list[tuple]) -> tuple:
    """The calls that all have in common, from the outermost on."""
    found = []
    for level in zip(*calls):
        if len(set(level)) > 1:
            break
        found.append(level[0])
    return tuple(found)


def _near(source: str) -> str:
    """`file:line`, from the present folder on where the file lies below it."""
    below = os.path.join(os.getcwd(), "")
    return source.removeprefix(below)


def _finite(norm: float | None) -> Any:
    """JSON has no infinity."""
    return norm if norm is None or abs(norm) < float("inf") else str(norm)
