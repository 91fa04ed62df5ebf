"""How a tracer takes containers apart: remembered, and asked by nobody, as there is no tracer."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minitorch.utils._pytree import TreeSpec

SUPPORTED_NODES: dict[type, Callable] = {}


def register_pytree_flatten_spec(cls: type, flatten_fn_spec: Callable,
                                 flatten_fn_exact_match_spec: Callable | None = None) -> None:
    """`flatten_fn_spec(container, spec)` gives the children of a `cls` that stand where `spec` has some."""
    SUPPORTED_NODES[cls] = flatten_fn_spec


def _dict_flatten_spec(d: dict[Any, Any], spec: TreeSpec) -> list[Any]:
    """The values of a dict in the order of the keys of `spec`."""
    return [d[key] for key in spec.context]


def _list_flatten_spec(d: list[Any], spec: TreeSpec) -> list[Any]:
    """As many items of a list as `spec` has."""
    return [d[i] for i in range(spec.num_children)]


_tuple_flatten_spec = _list_flatten_spec
