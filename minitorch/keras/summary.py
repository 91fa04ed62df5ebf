"""The table that `model.summary()` prints."""
from __future__ import annotations

from typing import Any

from .layers.base import Layer
from .symbolic import KerasTensor


def print_summary(model: Any, line_length: int | None, print_fn: Any) -> None:
    """Print name and class, result's shape and number of weights of each layer, and the sums."""
    shapes = _output_shapes(model)
    rows = [[f"{layer.name} ({type(layer).__name__})", shapes.get(layer.name, "?"), _count(layer)]
            for layer in model.layers]
    widths = [33, 24, 15] if line_length is None else [line_length * 33 // 76, line_length * 24 // 76,
                                                       line_length * 15 // 76]
    print_fn(f'Model: "{model.name}"')
    print_fn("┏" + "┳".join("━" * w for w in widths) + "┓")
    heads = [" Layer (type)", " Output Shape", "Param # "]
    print_fn("┃" + "┃".join(_cells(heads, widths)) + "┃")
    print_fn("┡" + "╇".join("━" * w for w in widths) + "┩")
    for i, row in enumerate(rows):
        if i:
            print_fn("├" + "┼".join("─" * w for w in widths) + "┤")
        for line in _wrapped(row, widths):
            print_fn("│" + "│".join(_cells(line, widths)) + "│")
    print_fn("└" + "┴".join("─" * w for w in widths) + "┘")
    trained, other = _sizes(model.trainable_weights), _sizes(model.non_trainable_weights)
    for title, (number, size) in (("Total", (trained[0] + other[0], trained[1] + other[1])), ("Trainable", trained),
                                  ("Non-trainable", other)):
        print_fn(f" {title} params: {number:,} ({_memory(size)})")


def _output_shapes(model: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    if model._graph is not None:
        for x in model.inputs:
            found.update((layer.name, str(x.shape)) for layer in model.layers if layer.name == x.name)
        for node in model._graph[0]:
            shapes = [str(x.shape) for x in node.outputs if isinstance(x, KerasTensor)]
            found[node.layer.name] = ", ".join(shapes) if len(shapes) == 1 else f"[{', '.join(shapes)}]"
    return found


def _count(layer: Any) -> str:
    built = getattr(layer, "built", True) or type(layer).build is Layer.build  # or has nothing to build
    return f"{sum(v.numel() for v in layer.weights):,}" if built else "0 (unbuilt)"


def _wrapped(row: list[str], widths: list[int]) -> list[list[str]]:
    """A row over two lines where the name leaves no room for the class."""
    name, shape, number = (f" {row[0]}", f" {row[1]}", f"{row[2]} ")
    if len(name) <= widths[0]:
        return [[name, shape, number]]
    first, _, kind = name.rpartition(" ")
    return [[first, shape, number], [f" {kind}", "", ""]]


def _cells(row: list[str], widths: list[int]) -> list[str]:
    texts = [text if len(text) <= w else text[:w - 1] + "…" for text, w in zip(row, widths)]
    return [texts[0].ljust(widths[0]), texts[1].ljust(widths[1]), texts[2].rjust(widths[2])]


def _sizes(weights: list[Any]) -> tuple[int, int]:
    return sum(v.numel() for v in weights), sum(v.numel() * v.element_size() for v in weights)


def _memory(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            return f"{size:.2f} {unit}"
        size /= 1024
    return ""


