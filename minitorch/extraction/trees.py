"""Syntax trees: expressions put in the place of names, names for functions, copies."""
from __future__ import annotations

import ast
import copy
from typing import Any


class Put(ast.NodeTransformer):
    """An expression in the place of a name."""

    def __init__(self, name: str, item: Any):
        self.name, self.item = name, item

    def generic_visit(self, node: Any) -> Any:
        if hasattr(node, "bound"):  # a call whose arguments are chosen at the end
            node.bound = {p: self.visit(v) for p, v in node.bound.items()}
        return super().generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        return copied(self.item) if node.id == self.name and isinstance(node.ctx, ast.Load) else node


def pairs(target: Any, value: Any) -> list[tuple[str, Any]]:
    """(name, expression) for an assignment to names, where each has an expression of its own."""
    if isinstance(target, ast.Name):
        return [(target.id, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, (ast.Tuple, ast.List)) and \
            len(target.elts) == len(value.elts):
        names = [t.id for t in target.elts if isinstance(t, ast.Name)]
        return list(zip(names, value.elts)) if len(names) == len(value.elts) else []
    return []


def named(function: Any) -> ast.Name:
    """A name for a function, which is chosen at the end."""
    node: Any = ast.Name(function.__name__, ast.Load())
    node.function = function
    return node


def copied(node: Any) -> Any:
    return copy.deepcopy(node)
