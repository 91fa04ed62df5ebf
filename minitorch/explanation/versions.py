"""The versions of a kernel on each device: where their code is, what they refuse, and whether they can run here."""
from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from minitorch_kernels import table

from .source import Source, has_source, idea_at, place_of, text_at

ARRAYS = {"cpu": ("NumPy", "numpy"), "cuda": ("CuPy", "cupy")}  # what runs the reference, and its package


@dataclass(frozen=True)
class VersionOf:
    """A version of a kernel: `refuses` are the reasons its predicate can give, `missing` why it cannot run here."""

    name: str
    device: str
    backend: str
    location: str
    refuses: tuple[str, ...]
    missing: str | None
    idea: str  # the first line of its function's docstring
    source: str  # of its function
    predicate: str  # the source of what refuses


@dataclass(frozen=True)
class KernelOf:
    """A kernel: its reference and its versions, the one that is asked first in front."""

    name: str
    signature: str
    summary: str
    doc: str
    location: str
    source: str  # of the reference, and of the helpers that it calls
    versions: tuple[VersionOf, ...]


def kernel_of(name: str) -> KernelOf:
    """What the table knows of kernel `name`."""
    entry = table.get(name)
    source = Source(entry.reference)
    parameters = list(inspect.signature(entry.reference).parameters.values())[1:]
    doc = inspect.cleandoc(entry.reference.__doc__ or "")
    return KernelOf(name, f"k.{name}({', '.join(map(str, parameters))})", doc.partition("\n")[0], doc, source.location,
                    "\n\n\n".join(each.text for each in [source, *_helpers(source, set())]),
                    tuple(map(_version, entry.versions)))


def missing(package: str) -> str | None:
    """That `package` is not installed, or None."""
    return None if importlib.util.find_spec(package) else f"{package} is not installed"


def reasons(refuses: Callable) -> list[str]:
    """The texts that a predicate may return, with the numbers in them that are known: () for one that never refuses."""
    return list(dict.fromkeys(_reasons(refuses, set())))


def _version(version: Any) -> VersionOf:
    predicate = Source(version.refuses).text if version.refuses.__name__ != "_never" else ""
    return VersionOf(version.name, version.device, version.backend, place_of(version.where),
                     tuple(reasons(version.refuses)), version.missing(), idea_at(version.where),
                     text_at(version.where), predicate)


def _helpers(source: Source, seen: set[int]) -> Iterator[Source]:
    """The functions of the same file that a reference calls, and those that these call."""
    for function in source.functions():
        if id(function) not in seen and function.__code__.co_filename == source.code.co_filename:
            seen.add(id(function))
            yield Source(function)
            yield from _helpers(Source(function), seen)


def _reasons(refuses: Any, seen: set[int]) -> Iterator[str]:
    if id(refuses) in seen or not has_source(refuses):
        return
    seen.add(id(refuses))
    source = Source(refuses)
    if isinstance(source.node, ast.Lambda):
        yield from _texts(source, source.node.body, seen)
        return
    returns = [n for n in ast.walk(source.node or ast.Module([], [])) if isinstance(n, ast.Return)]
    for node in sorted(returns, key=lambda n: n.lineno):
        if node.value is not None:
            yield from _texts(source, node.value, seen)


def _texts(source: Source, node: ast.expr, seen: set[int]) -> Iterator[str]:
    """The texts that an expression may be: those of its branches, and those of the predicates that it asks."""
    if isinstance(node, ast.Constant):
        yield from [node.value] if isinstance(node.value, str) else []
    elif isinstance(node, ast.JoinedStr):
        yield "".join(_part(source, value) for value in node.values)
    elif isinstance(node, ast.IfExp):
        yield from _texts(source, node.body, seen)
        yield from _texts(source, node.orelse, seen)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _texts(source, value, seen)
    elif isinstance(node, ast.Name) and isinstance(source.value(node.id), str):
        yield source.value(node.id)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        helper = source.value(node.func.id)
        if isinstance(helper, FunctionType):
            yield from _reasons(helper, seen)


def _part(source: Source, node: ast.expr) -> str:
    """A piece of an f-string: its value where that is known beforehand, its code in braces elsewhere."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    value = source.evaluate(node.value) if isinstance(node, ast.FormattedValue) else None
    return "…" if value is None else str(value)
