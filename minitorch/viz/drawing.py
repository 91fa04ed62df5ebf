"""`graph`: the graph of a computation as a page to explore, as a picture, as text."""
from __future__ import annotations

import html
import inspect
from importlib import resources
from pathlib import Path
from typing import Any

from ..engine import Node, Output
from ..nn.module import Module
from ..tensor import Tensor, edge_of
from ..utils._pytree import tree_leaves
from .facts import Facts, kept_by
from .layout import Layout, group_text, hover_text, measure_labels, side_text
from .page import data, page
from .structure import Vertex, all_groups, arrange
from .svg import svg
from .tracing import memory_of, trace


def graph(what: Any, *inputs: Any, model: Module | None = None, grads: bool = True, **keywords: Any) -> Graph:
    """The graph behind `what`: a tensor that was computed; or a model or function, called now with `inputs`.

    A call is traced: each node knows its module, source line, forward time and kernels. Of a tensor that is known
    where it was computed within `with viz.trace():`. Backward is run once over the graph, node by node, for the norms
    and times of gradients, unless `grads=False`; it changes no `.grad`, calls no hook, and keeps the graph. Outputs
    that are no scalars count with ones, as the gradient of their sum. `model` gives parameters their names.

    Raises TypeError for what is neither a tensor nor callable, ValueError where nothing was recorded.

    >>> import minitorch as mt
    >>> x = mt.tensor(3.0, requires_grad=True)
    >>> print(graph(x * x + x))
    graph: 2 ops, keeps 4 bytes for backward
    leaf  scalar
    mul  scalar
    add  scalar
    """
    names: dict[int, str] = {}
    given: dict[int, str] = {}  # of the memory of what is given
    if isinstance(what, Tensor):
        if inputs or keywords:
            raise TypeError("graph: expects no further arguments beside a tensor; give a model or a function to call")
        results = [what]
    elif isinstance(what, Module) or callable(what):
        given = _names_of(what, inputs, keywords)
        model = model or (what if isinstance(what, Module) else None)
        with trace():
            output = what(*inputs, **keywords)
        results = [t for t in tree_leaves(output) if isinstance(t, Tensor)]
    else:
        raise TypeError(f"graph: expects a tensor, a model or a function, got {type(what).__name__}")
    if model is not None:
        names = {id(p): name for name, p in model.named_parameters()}
    edges = [edge_of(t) for t in results if t.requires_grad]
    if not any(isinstance(edge, (Node, Output)) for edge in edges):
        raise ValueError("graph: nothing was recorded: no result was computed from a tensor that requires a gradient")
    name = getattr(what, "__name__", "<>") if not isinstance(what, Tensor) else "<>"
    title = name if name.isidentifier() else "graph" if model is None else type(model).__name__
    return Graph(title, Facts(edges, names, given, grads))


def _names_of(what: Any, inputs: tuple, keywords: dict) -> dict[int, str]:
    """The names of the tensors that `what` is called with, by the identity of their memory."""
    try:
        arguments = inspect.signature(getattr(what, "forward", what)).bind(*inputs, **keywords).arguments
    except (TypeError, ValueError):  # it does not say what it takes, or will refuse this
        arguments = {"input": inputs, **keywords}
    found = {}
    for name, value in arguments.items():
        tensors = [t for t in tree_leaves(value) if isinstance(t, Tensor)]
        for i, t in enumerate(tensors):
            found[id(memory_of(t._array))] = name if len(tensors) == 1 else f"{name}[{i}]"
    return found


class Graph:
    """A drawn graph. In a notebook it shows itself; `save` writes a page (`.html`) or a picture (`.svg`)."""

    def __init__(self, title: str, facts: Facts):
        self.title, self.facts = title, facts
        self.top = arrange(facts.vertices, facts.edges)
        self.top.title = title
        self.groups = all_groups(self.top)
        measure_labels(self.top, self.groups, [*facts.vertices, *facts.leaves()])

    def fold(self, name: str = "") -> Graph:
        """Fold the modules whose path ends in `name`; without it all of them."""
        return self._set(name, True)

    def unfold(self, name: str = "") -> Graph:
        """Unfold the modules whose path ends in `name`, and what they lie in; without it all of them."""
        return self._set(name, False)

    def html(self) -> str:
        """The page: one file, which loads nothing."""
        files = resources.files(__package__)
        body = files.joinpath("graph.html").read_text("utf-8") + data("graph-data", self._data())
        return page(self.title, body, files.joinpath("graph.css").read_text("utf-8"),
                    files.joinpath("graph.js").read_text("utf-8"))

    def svg(self) -> str:
        """A picture at the present folding, light and dark as the viewer is."""
        return svg(self.title, self.top, self.groups, Layout(self.top))

    def save(self, path: Any) -> None:
        """Write `html()` or `svg()`, by the ending of `path`. Raises ValueError for another ending."""
        path = Path(path)
        if path.suffix not in (".html", ".svg"):
            raise ValueError(f"save: expects a path that ends in .html or .svg, got {path.name!r}")
        path.write_text(self.html() if path.suffix == ".html" else self.svg(), "utf-8")

    def _repr_html_(self) -> str:
        """In a frame of its own, so that the page's styles and the notebook's do not meet."""
        return (f'<iframe srcdoc="{html.escape(self.html())}" title="{html.escape(self.title)}" '
                'style="width:100%;height:640px;border:0"></iframe>')

    def __str__(self) -> str:
        lines = [f"{self.title}: {sum(v.kind == 'op' for v in self.facts.vertices)} ops, keeps "
                 f"{_bytes(self._kept())} for backward"]
        pending: list[tuple[Any, int]] = [(m, 0) for m in reversed(self.top.members)]
        while pending and len(lines) < 80:
            item, depth = pending.pop()
            if isinstance(item, Vertex):
                kind = item.kind + " " if item.kind == "leaf" and item.label != "leaf" else ""
                beside = "".join(f"  [{side_text(v)}]" for v in item.beside)
                lines.append(f"{'  ' * depth}{kind}{item.label}  {item.sub}{beside}")
            else:
                lines.append(f"{'  ' * depth}{item.title}  ({group_text(item)})")
                if not item.folded:
                    pending.extend([(m, depth + 1) for m in reversed(item.members)])
        return "\n".join(lines + ["..."] * bool(pending))

    __repr__ = __str__

    def _set(self, name: str, folded: bool) -> Graph:
        found = [g for g in self.groups[1:] if not name or g.name == name or g.name.endswith("." + name)]
        if name and not found:
            raise ValueError(f"graph: no module is named {name!r}; there are " +
                             (", ".join(g.name for g in self.groups[1:6]) or "none") + ("..." * (len(self.groups) > 6)))
        for group in found:
            group.folded = folded
            while not folded and group.group is not None:
                group = group.group
                group.folded = False
        return self

    def _kept(self) -> int:
        """Bytes kept for backward, memory that several nodes keep once."""
        return sum({where: size for node in self.facts.nodes for _, _, size, where in kept_by(node)}.values())

    def _data(self) -> dict[str, Any]:
        """What graph.js draws from."""
        facts = self.facts
        vertices = {v.key: {"kind": v.kind, "label": v.label, "sub": v.sub, "w": v.width, "h": v.height,
                            "side": side_text(v), "hover": hover_text(v), "uses": v.uses,
                            "beside": [b.key for b in v.beside], "group": v.group.key if v.group else None,
                            **v.details}
                    for v in [*facts.vertices, *facts.leaves()]}
        groups = {g.key: {"kind": g.kind, "title": g.title, "name": g.name, "text": group_text(g), "w": g.width,
                          "h": g.height, "head": g.head, "folded": g.folded, "group": g.group.key if g.group else None,
                          "ranks": [[m.key for m in row] for row in g.ranks],
                          "pieces": [[_end(p.start), _end(p.end), p.first, p.last, p.lane, p.side] for p in g.pieces]}
                  for g in self.groups}
        return {"vertices": vertices, "groups": groups, "steps": facts.played, "texts": facts.texts,
                "ended": facts.ended, "traced": facts.traced, "kept": self._kept()}


def _end(item: Any) -> str:
    return item if isinstance(item, str) else item.key


def _bytes(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"
