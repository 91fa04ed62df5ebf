"""Backward over a graph, node by node, to look at it: norms and times, and nothing is changed by it.

`engine.run` is not used, although this walks in its order: it would add to `.grad`, call hooks, and free. Here the
nodes' gradient functions are called directly, with their own inputs; sums go to new arrays; the hooks of tensors and
nodes are left out (so what they would change is not seen); the graph is kept; the random numbers' state is put back,
since a checkpoint draws again. A reentrant checkpoint is not run: its backward adds to `.grad` by itself.
"""
from __future__ import annotations

from heapq import heappop, heappush
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np
from minitorch_kernels import table

from .. import engine
from ..engine import Node, Output
from ..ops.random import default_generator
from .tracing import Kernels


class Step(NamedTuple):
    """One node's turn: what arrives, what it hands on to each input, how long that took."""

    node: Any
    norm: float | None  # of all that arrives
    shape: str
    seconds: float
    handed: list[tuple[int, float, tuple]]  # (number of the input, norm, shape)
    kernels: tuple


def reachable(edges: list[Any]) -> list[Any]:
    """All nodes behind `edges`, in the order in which backward comes to them."""
    found, pending = {}, [_node(e) for e in edges]
    while pending:
        node = pending.pop()
        if isinstance(node, Node) and node.number not in found:
            found[node.number] = node
            pending.extend([_node(edge) for edge in node.inputs if edge is not None])
    return [found[number] for number in sorted(found, reverse=True)]


def walk(edges: list[Any]) -> tuple[list[Step], dict[int, float], str]:
    """(steps, norm of the gradient of each leaf by its identity, why it ended early or "").

    It starts with ones for each of `edges`: with the gradient of the outputs' sum.
    """
    state = default_generator.get_state()
    kernels = Kernels()
    try:
        watched: Any = table.watch(kernels)
        with watched, engine.no_grad():
            return _walk(edges, kernels)
    finally:
        default_generator.set_state(state)


def _walk(edges: list[Any], kernels: Kernels) -> tuple[list[Step], dict[int, float], str]:
    grads: dict[int, Any] = {}
    leaves: dict[int, Any] = {}
    nodes: dict[int, Any] = {}
    heap: list[int] = []
    steps: list[Step] = []

    def deliver(edge: Any, grad: Any) -> None:
        node = _node(edge)
        if not isinstance(node, Node):
            leaves[id(edge)] = _sum(leaves.get(id(edge)), grad)
            return
        if node.number not in nodes:
            nodes[node.number] = node
            grads[node.number] = [None] * (node.outputs or 1)
            heappush(heap, -node.number)
        index = edge.index if type(edge) is Output else 0
        grads[node.number][index] = _sum(grads[node.number][index], grad)

    for edge in edges:
        like = edge if isinstance(edge, (Node, Output)) else edge._array
        xp = edge.k.xp if isinstance(edge, Node) else edge.node.k.xp if type(edge) is Output else np
        deliver(edge, xp.ones(like.shape, like.dtype))
    ended = ""
    while heap and not ended:
        number = -heappop(heap)
        node, dys = nodes.pop(number), grads.pop(number)
        ended = _refusal(node)
        if ended:
            break
        dy = dys if node.outputs is not None else dys[0]
        start = perf_counter_ns()
        dxs = _gradients(node, dy)
        seconds = (perf_counter_ns() - start) / 1e9
        handed = []
        for i, (edge, dx) in enumerate(zip(node.inputs, dxs)):
            if edge is not None and dx is not None:
                dx = engine._fit(node.k, edge, dx, dy, False)[0]
                deliver(edge, dx)
                handed.append((i, _norm(dx), tuple(dx.shape)))
        arrived = [d for d in dys if d is not None]
        steps.append(Step(node, _norm(*arrived), ", ".join(_shape(d.shape) for d in arrived), seconds, handed,
                          kernels.since(start / 1000)))
    return steps, {key: _norm(grad) for key, grad in leaves.items()}, ended


def _refusal(node: Any) -> str:
    """Why this node's gradient functions cannot run, or ""."""
    if node.backward is None:
        return f"the graph was freed at {node.op.name}; draw it before backward(), or after backward(retain_graph=True)"
    if node.op.name == "CheckpointFunction":
        return "a reentrant checkpoint adds to .grad when it runs; nothing below it was computed"
    changed = [name for version, value, name in node.versions if version[0] != value]
    return f"{changed[0]!r}, which {node.op.name} kept, was changed in place" if changed else ""


def _gradients(node: Any, dy: Any) -> list:
    if type(node.backward) is list:
        return [None if edge is None else f(dy) for edge, f in zip(node.inputs, node.backward)]
    return node.backward(dy, [edge is not None for edge in node.inputs])


def _node(edge: Any) -> Any:
    return edge.node if type(edge) is Output else edge


def _sum(a: Any, b: Any) -> Any:
    if a is None:
        return b
    if hasattr(a, "is_sparse") or hasattr(b, "is_sparse"):
        from ..sparse.rows import added

        return added(a, b)
    total = a + b
    return np.asarray(total) if isinstance(total, np.generic) else total  # what NumPy makes of 0-d sums


def _norm(*grads: Any) -> float:
    """The Euclidean norm of all elements, summed in float64."""
    total = 0.0
    for grad in grads:
        if hasattr(grad, "is_sparse"):
            grad = grad.to_dense()._array
        flat = abs(grad) if grad.dtype.kind == "c" else grad
        total += float((flat.astype("float64") ** 2).sum())
    return total ** 0.5


def _shape(shape: tuple) -> str:
    return "×".join(map(str, shape)) or "scalar"
