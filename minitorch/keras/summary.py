"""The table that `model.summary()` prints."""
from __future__ import annotations

from typing import Any

from .layers.base import Layer
from .symbolic import KerasTensor


def print_summary(model: Any, line_length: int | None, print_fn: Any) -> None:
    """Print name and class, result's shape and number of weights of each layer, and the sums."""
    shapes, total = _output_shapes(model), line_length or 76
    widths = [total * 33 // 76, total * 24 // 76, total * 15 // 76]

    def rule(left: str, line: str, between: str, right: str) -> None:
        print_fn(left + between.join(line * w for w in widths) + right)

    def row(edge: str, *texts: str) -> None:
        cut = [text if len(text) <= w else text[:w - 1] + "…" for text, w in zip(texts, widths)]
        print_fn(edge + edge.join([cut[0].ljust(widths[0]), cut[1].ljust(widths[1]), cut[2].rjust(widths[2])]) + edge)

    print_fn(f'Model: "{model.name}"')
    rule("┏", "━", "┳", "┓")
    row("┃", " Layer (type)", " Output Shape", "Param # ")
    rule("┡", "━", "╇", "┩")
    for i, layer in enumerate(model.layers):
        if i:
            rule("├", "─", "┼", "┤")
        name, kind = f" {layer.name}", f"({type(layer).__name__})"
        fits = len(name) + 1 + len(kind) <= widths[0]  # otherwise the class goes to a second line
        row("│", f"{name} {kind}" if fits else name, f" {shapes.get(layer.name, '?')}", f"{_count(layer)} ")
        if not fits:
            row("│", f" {kind}", "", "")
    rule("└", "─", "┴", "┘")
    trained, other = _sizes(model.trainable_weights), _sizes(model.non_trainable_weights)
    for title, (number, size) in (("Total", (trained[0] + other[0], trained[1] + other[1])), ("Trainable", trained),
                                  ("Non-trainable", other)):
        print_fn(f" {title} params: {number:,} ({_memory(size)})")


def _output_shapes(model: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    if model._graph is not None:
        found.update((x.name, str(x.shape)) for x in model.inputs)
        for node in model._graph[0]:
            shapes = [str(x.shape) for x in node.outputs if isinstance(x, KerasTensor)]
            found[node.layer.name] = ", ".join(shapes) if len(shapes) == 1 else f"[{', '.join(shapes)}]"
    return found


def _count(layer: Any) -> str:
    built = getattr(layer, "built", True) or type(layer).build is Layer.build  # or has nothing to build
    return f"{sum(v.numel() for v in layer.weights):,}" if built else "0 (unbuilt)"


def _sizes(weights: list[Any]) -> tuple[int, int]:
    return sum(v.numel() for v in weights), sum(v.numel() * v.element_size() for v in weights)


def _memory(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} GB"
