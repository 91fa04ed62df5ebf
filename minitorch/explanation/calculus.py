"""An op's gradient functions as they are written, and the kernels that its body calls."""
from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from types import FunctionType
from typing import Any

from minitorch_kernels import table

from .source import Source, has_source, own_nodes


@cache
def gradient_of(body: Callable, params: tuple[str, ...] = ()) -> str:
    """The source of what `body` returns after its value: a function an input, or one for all; "" where none is.

    The helpers with which those functions compute come after them, and words from outside of the body first: which
    kernel a `getattr(k, kernel)` means.
    """
    pieces = _pieces(body, params)
    words = {n.id: piece.source.value(n.id) for piece in pieces for n in ast.walk(piece.node) if isinstance(n, ast.Name)
             and n.id in piece.source.code.co_freevars}
    given = [f"{name} = {value!r}" for name, value in words.items() if isinstance(value, str)]
    return "\n\n".join(["\n".join(given)] * bool(given) + [piece.text for piece in pieces])


@cache
def kernels_of(body: Callable, params: tuple[str, ...] = ()) -> tuple[list[str], list[str]]:
    """The names of the kernels that the body itself calls, and of those that its gradient functions call."""
    pieces = _pieces(body, params)
    skipped = {id(node) for piece in pieces for node in ast.walk(piece.node)}
    return list(dict.fromkeys(_called(Source(body), skipped))), \
        list(dict.fromkeys(name for piece in pieces for name in _names(piece.source, piece.node)))


class _Piece:
    """A part of the gradient: a node, the function that it stands in, and the name that it is given."""

    def __init__(self, source: Source, node: Any, name: str = ""):
        self.source, self.node, self.name = source, node, name

    @property
    def text(self) -> str:
        text = self.source.text_of(self.node)
        return f"{self.name} = {text}" if self.name and isinstance(self.node, ast.expr) else text


@cache
def _pieces(body: Callable, params: tuple[str, ...]) -> list[_Piece]:
    source = Source(body)
    if source.node is None:
        return []
    returned = _returns(source)
    found = [piece for node in returned if isinstance(node, ast.Tuple) for piece in _functions(source, node, params)]
    found = found or [piece for node in returned for piece in _elsewhere(source, node, params)]
    found += _helpers(found)
    return list({piece.text: piece for piece in found}.values())


def _returns(source: Source) -> list[ast.expr]:
    if isinstance(source.node, ast.Lambda):
        return [source.node.body]
    return [n.value for n in own_nodes(source.node) if isinstance(n, ast.Return) and n.value is not None]


def _elsewhere(source: Source, node: ast.expr, params: tuple[str, ...]) -> list[_Piece]:
    """`return _between(k, x, ...)`: a helper that has the value and the gradients."""
    helper: Any = source.value(node.func.id) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
    if has_source(helper) and "k" in _arguments(helper):
        return _pieces(helper, params)
    return []


def _functions(source: Source, node: ast.Tuple, params: tuple[str, ...]) -> list[_Piece]:
    """The gradient functions of `return y, dx, dw`: lambdas, definitions of the body, functions from outside."""
    names = [f"d{name}" for name in params]
    found = []
    for i, each in enumerate(node.elts[1:]):
        if isinstance(each, ast.Call) and getattr(each.func, "id", "") == "joint":
            each = each.args[0]
        name = names[i] if i < len(names) else "d" + "s" * bool(names)
        if isinstance(each, ast.Name):
            found += _named(source, each.id, name)
        elif not (isinstance(each, ast.Constant) and each.value is None):
            found.append(_Piece(source, each, ", ".join(names) if isinstance(each, ast.Starred) else name))
    return found


def _named(source: Source, name: str, given: str = "") -> list[_Piece]:
    """What `name` is bound to: a definition or a lambda of the body, or a function from outside of it."""
    if name in (bound := _bound(source.node)):
        node = bound[name]
        return [_Piece(source, node) if isinstance(node, ast.FunctionDef) else _Piece(source, node, name)]
    value = source.value(name)
    if isinstance(value, FunctionType) and has_source(value) and Source(value).node is not None:
        return [_Piece(Source(value), Source(value).node, name)]
    return []


@cache
def _bound(body: ast.AST) -> dict[str, ast.FunctionDef | ast.Lambda]:
    """The functions that a body defines, and the lambdas that it gives names."""
    found: dict[str, ast.FunctionDef | ast.Lambda] = {}
    for node in ast.walk(body):
        if isinstance(node, ast.FunctionDef) and node is not body:
            found.setdefault(node.name, node)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, node.value)
    return found


def _helpers(pieces: list[_Piece]) -> list[_Piece]:
    """The functions of kernels that the pieces call, and those that these call."""
    found: list[_Piece] = []
    known = {id(piece.node) for piece in pieces}
    pending = list(pieces)
    while pending:
        piece = pending.pop(0)
        for node in ast.walk(piece.node):
            if not (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)):
                continue
            for helper in _named(piece.source, node.id):
                if id(helper.node) not in known and _counts(piece.source, helper.source):
                    known.add(id(helper.node))
                    found.append(helper)
                    pending.append(helper)
    return found


def _counts(source: Source, helper: Source) -> bool:
    """Whether a function is a part of the gradient: one in the body, one with `k` or `dy`, one private to the file."""
    private = helper.code.co_name.startswith(("_", "<")) and helper.code.co_filename == source.code.co_filename
    return helper.node is source.node or private or bool({"k", "dy"} & {*_arguments(helper.function)})


def _called(source: Source, skipped: set[int], seen: set[int] | None = None) -> Iterator[str]:
    """The kernels of a function and of the helpers that it hands `k` to, in order."""
    seen = set() if seen is None else seen
    if source.node is None or id(source.node) in seen:
        return
    seen.add(id(source.node))
    kept = [n for n in ast.walk(source.node) if id(n) not in skipped]
    for node in kept:
        yield from _name(source, node)
    for helper in source.functions():
        named = any(isinstance(n, ast.Name) and source.value(n.id) is helper for n in kept)
        if (named or helper.__name__ == "<lambda>") and "k" in _arguments(helper):
            yield from _called(Source(helper), skipped, seen)


def _names(source: Source, node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        yield from _name(source, each)


def _name(source: Source, node: ast.AST) -> Iterator[str]:
    """The kernel that a node reads: k.softmax, or getattr(k, kernel + "_dx")."""
    name = None
    if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "k":
        name = node.attr
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr" and \
            getattr(node.args[0], "id", "") == "k":
        name = source.evaluate(node.args[1])
    if name in known():
        yield name


def known() -> frozenset[str]:
    """The names of all kernels."""
    global _known
    if not _known:
        _known = frozenset(table.names())
    return _known


_known: frozenset[str] = frozenset()


def _arguments(function: Callable) -> tuple[str, ...]:
    code = Source(function).code
    return code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
