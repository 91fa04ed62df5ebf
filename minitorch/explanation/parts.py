"""What a function of tensors, a layer or an optimizer is made of: the ops, functions, layers and kernels it calls."""
from __future__ import annotations

import ast
import contextlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

from ..op import FUNCTIONS, OPS
from ..tensor import Tensor
from .calculus import known
from .lookup import public
from .source import Source, has_source, ours, plain

# methods that say something about a tensor, or that arrays have as often as tensors
_ASIDE = frozenset("size dim item shape numel copy all any max min sum dtype type is_floating_point stride".split())  # noqa: SIM905


@cache
def parts_of(function: Callable, owner: type | None = None) -> list[str]:
    """The ops and public functions that `function` calls, itself or through helpers of its own, in order."""
    return list(dict.fromkeys(_calls(function, owner, set())))


def parts_of_layer(layer: type) -> tuple[list[str], list[str]]:
    """What a layer's `forward` calls, and the layers that it makes for itself."""
    forward = inspect.getattr_static(layer, "forward", None)
    inner = []
    made = inspect.getattr_static(layer, "__init__")
    if has_source(made):
        source = Source(made)
        for node in ast.walk(source.node or ast.Module([], [])):
            called = node.func if isinstance(node, ast.Call) else None
            value = source.value(called.id) if isinstance(called, ast.Name) else None
            if inspect.isclass(value) and hasattr(value, "forward"):
                inner.append(f"nn.{value.__name__}")
    return (parts_of(forward, layer) if has_source(forward) else []), list(dict.fromkeys(inner))


def kernels_of_optimizer(optimizer: type) -> tuple[list[str], Any]:
    """The kernels that an optimizer's steps call, and the method that calls them first."""
    names, method = [], None
    for name in ("_step_group", "_step", "step"):
        function = inspect.getattr_static(optimizer, name, None)
        if not has_source(function):
            continue
        source = Source(function)
        found = [n.attr for n in ast.walk(source.node) if isinstance(n, ast.Attribute)
                 and getattr(n.value, "id", "") == "k" and n.attr in known()]
        method = method or function
        if found:
            method = function
            names = found
            break
    single = [name[:-1] for name in names if name.endswith("_steps") and name[:-1] in known()]
    return list(dict.fromkeys([*names, *single])), method


def _calls(function: Any, owner: type | None, seen: set[int]) -> Iterator[str]:
    function = plain(function)
    if id(function) in seen or not isinstance(function, FunctionType):
        return
    seen.add(id(function))
    source = Source(function)
    nodes: list[Any] = [n for n in ast.walk(source.node or ast.Module([], [])) if hasattr(n, "lineno")]
    nodes.sort(key=lambda n: (n.lineno, n.col_offset))
    for node in nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):  # other operators join numbers as often
            yield "matmul"
        elif isinstance(node, ast.Subscript) and getattr(node.value, "id", "") in ("FUNCTIONS", "OPS"):
            yield from _keyed(source, node.slice, owner)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr" and len(node.args) == 2:
            yield from _keyed(source, node.args[1], owner)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from _handed(source.value(node.func.id), node)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield from _attribute(source, node, owner, seen)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield from _value(source.value(node.id), source, seen)


def _handed(helper: Any, call: ast.Call) -> Iterator[str]:
    """The name that is handed to a helper which looks it up in FUNCTIONS: `_activation("elu", x)`."""
    if isinstance(helper, FunctionType) and ours(helper):
        keys = [n.slice.id for n in ast.walk(Source(helper).node or ast.Module([], [])) if isinstance(n, ast.Subscript)
                and getattr(n.value, "id", "") == "FUNCTIONS" and isinstance(n.slice, ast.Name)]
        arguments = dict(zip(helper.__code__.co_varnames, call.args))
        found = [getattr(arguments.get(key), "value", None) for key in keys]
        yield from (name for name in found if name in FUNCTIONS)


def _attribute(source: Source, node: ast.Attribute, owner: type | None, seen: set[int]) -> Iterator[str]:
    """`F.relu`, `self._attend`, `x.softmax`; what is said of an array is no part."""
    base = source.value(node.value.id) if isinstance(node.value, ast.Name) else None
    if isinstance(base, ModuleType):
        if base.__name__.startswith("minitorch"):
            yield from _value(vars(base).get(node.attr), source, seen)
    elif getattr(node.value, "id", "") == "self" and owner is not None:
        value = inspect.getattr_static(owner, node.attr, None)
        if isinstance(value, (FunctionType, staticmethod)):
            yield from (n.value for n in ast.walk(source.node) if isinstance(n, ast.Constant) and type(n.value) is str
                        and n.value in FUNCTIONS and _is_argument(source, n, node))
            yield from _calls(getattr(value, "__func__", value), owner, seen)
    elif node.attr not in _ASIDE and "_array" not in ast.dump(node.value) and _is_op(node.attr):
        yield node.attr


def _value(value: Any, source: Source, seen: set[int]) -> Iterator[str]:
    """An op's or public function's name; a private helper's own calls."""
    name = value.op.name if hasattr(value, "op") else getattr(value, "__name__", "")
    known_outside = isinstance(value, FunctionType) and value is public(name) and not name.startswith("_")
    if hasattr(value, "op") or known_outside:
        yield name
    elif isinstance(value, FunctionType) and ours(value) and _is_of_tensors(value):
        yield from _calls(value, None, seen)


def _is_op(name: str) -> bool:
    return hasattr(Tensor, name) and (name in OPS or name in FUNCTIONS)


def _is_of_tensors(function: FunctionType) -> bool:
    """Whether a helper may compute: those of the engine and of shapes do not."""
    return function.__module__.startswith(("minitorch.ops.", "minitorch.nn.")) and "k" not in \
        function.__code__.co_varnames[:function.__code__.co_argcount]


def _keyed(source: Source, key: ast.AST, owner: type | None) -> Iterator[str]:
    """The functions that `FUNCTIONS[key]` may be; a key that just an instance knows is a form of its class's name."""
    name = source.evaluate(key)
    if name is None and owner is not None:
        with contextlib.suppress(Exception):  # an attribute of the instance alone
            name = eval(compile(ast.Expression(key), "<source>", "eval"), {"self": owner})  # type: ignore[arg-type]
    if isinstance(name, str):
        yield from [name] if name in FUNCTIONS or name in OPS else []
    elif owner is not None:
        stem = owner.__name__.lower()
        near = [each for each in FUNCTIONS if each.replace("_", "").startswith(stem) and not each.endswith("_cell")]
        yield from [each for each in near if each.replace("_", "") == stem] or near


def _is_argument(source: Source, constant: ast.Constant, method: ast.Attribute) -> bool:
    """Whether a constant is handed to `self.method(...)`, as in `self._step("lstm_cell", input)`."""
    return any(isinstance(n, ast.Call) and n.func is method and constant in n.args for n in ast.walk(source.node))
