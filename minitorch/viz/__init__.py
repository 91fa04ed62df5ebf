"""Pictures of what runs: `graph` draws the graph of a computation as a page that can be explored.

Everything here is imported when it is first used.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..errors import absent_from

if TYPE_CHECKING:
    from .drawing import Graph as Graph
    from .drawing import graph as graph
    from .tracing import trace as trace

__all__ = ["Graph", "graph", "trace"]

_WHERE = {"Graph": "drawing", "graph": "drawing", "trace": "tracing"}
_absent = absent_from(__name__, lambda: __all__)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    return _absent(name)
