"""PyTorch's compiler front end by name: what programs set and call there, which `minitorch.compile` does not need."""
from __future__ import annotations

from typing import Any

from minitorch.capture import compile
from minitorch.compiler import allow_in_graph, disable, is_compiling, list_backends, reset

from . import config, eval_frame
from .eval_frame import OptimizedModule


def mark_dynamic(t: Any, index: Any = None, **bounds: Any) -> None:
    """Nothing: another shape makes another recording, and arrays are looked up where they lie."""


mark_static = maybe_mark_dynamic = mark_static_address = mark_dynamic


def optimize(backend: Any = None, **options: Any) -> Any:
    """`compile` under its former name."""
    return compile


def graph_break(msg: str = "") -> None:
    """Let the compiled function that runs here run eagerly."""
    from minitorch.engine import mode

    if mode.recorder is not None:
        mode.recorder.refuse(msg or "graph_break() is called")


__all__ = ["OptimizedModule", "allow_in_graph", "config", "disable", "eval_frame", "graph_break", "is_compiling",
           "list_backends", "mark_dynamic", "optimize", "reset"]
