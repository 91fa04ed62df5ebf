"""A loss's graph, walked once: its nodes in order, who uses them, the parameters, and what to call a place in it."""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from ..engine import Node, Output
from ..nn import Module
from ..tensor import Tensor, edge_of
from .wording import place

# ops that hand values on in another form
PASSING = frozenset("""
    view reshape flatten unflatten squeeze unsqueeze permute transpose swapaxes movedim t slice select narrow index
    contiguous clone to expand expand_as view_as detach cast float double cat stack
""".split())  # noqa: SIM905


class Graph:
    """The graph behind `loss`. `module_of` gives the module that made a node, where that is known."""

    def __init__(self, loss: Tensor, model: Module, module_of: Callable[[Node], str] = lambda node: ""):
        self.module_of = module_of
        self.names = {id(p): name for name, p in model.named_parameters(remove_duplicate=False)}
        self.nodes: dict[int, Node] = {}  # by number, so made earlier first once sorted
        self.users: dict[int, list[Node]] = {}
        self.leaves: dict[int, Tensor] = {}
        self.leaf_users: dict[int, list[Node]] = {}
        self._walk(edge_of(loss))
        self.nodes = dict(sorted(self.nodes.items()))
        self.root = _node(edge_of(loss))
        self.complete = not any(self.named("CheckpointFunction"))  # which hides its ops and parameters until backward
        self.tail = self._tail()

    def _walk(self, edge: Any) -> None:
        pending = [edge]
        while pending:
            node = _node(pending.pop())
            if isinstance(node, Tensor):
                self.leaves[id(node)] = node
            elif node is not None and node.number not in self.nodes:
                self.nodes[node.number] = node
                for given in node.inputs:
                    child = _node(given)
                    if isinstance(child, Tensor):
                        self.leaf_users.setdefault(id(child), []).append(node)
                    elif child is not None:
                        self.users.setdefault(child.number, []).append(node)
                    pending.append(given)

    def _tail(self) -> set[int]:
        """The numbers of the nodes that belong to the loss: between it and the last that has a parameter."""
        tail: set[int] = set()
        for number, node in reversed(self.nodes.items()):
            users = self.users.get(number, [])
            if (not users or all(u.number in tail and not self.parameters(u) for u in users)) \
                    and not self.parameters(node):
                tail.add(number)
        return tail

    def named(self, *names: str) -> Iterator[Node]:
        """The nodes of these ops."""
        return (node for node in self.nodes.values() if node.op.name in names)

    def source(self, edge: Any) -> Node | None:
        """The node where an edge's values were computed, behind all that only give them another form."""
        node = _node(edge)
        while isinstance(node, Node) and node.op.name in PASSING and node.inputs:
            node = _node(next((given for given in node.inputs if given is not None), None))
        return node if isinstance(node, Node) else None

    def parameters(self, node: Node) -> list[Tensor]:
        """The leaves that go into a node directly."""
        return [edge for edge in node.inputs if isinstance(edge, Tensor)]

    def where(self, node: Node) -> str:
        """Module and source line of a node, or the nearest parameters before it."""
        known = place(node.source, self.module_of(node))
        if known:
            return known
        layer = self.layer(node)
        return f"after {layer}" if layer else ""

    def layer(self, node: Node | None) -> str:
        """The module whose parameters went in last before a node, by name."""
        pending, seen = deque([node]), set()
        while pending:
            at = pending.popleft()
            if not isinstance(at, Node) or at.number in seen:
                continue
            seen.add(at.number)
            for leaf in self.parameters(at):
                if id(leaf) in self.names:
                    return self.names[id(leaf)].rpartition(".")[0] or self.names[id(leaf)]
            pending.extend(_node(edge) for edge in at.inputs)
        return ""


def saved(node: Node) -> dict[str, Any]:
    """What a node keeps, by name; its arrays as they are."""
    try:
        return node.saved()
    except ValueError:  # a cell that is empty yet
        return {}


def _node(edge: Any) -> Any:
    return edge.node if type(edge) is Output else edge
