"""What parameters, inputs and values are called in the script."""
from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable
from typing import Any

from ..nn import Module
from ..tensor import Tensor
from .tape import VAGUE


def argument_names(function: Callable, inputs: tuple) -> list[str]:
    """A name for each tensor among the arguments, from the function's signature."""
    try:
        target = function.forward if isinstance(function, Module) else function
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names: list[str] = []
    for i, value in enumerate(inputs):
        own = parameters[i].name if i < len(parameters) and parameters[i].kind < 2 else f"x{i + 1}"
        several = _tensors(value)
        plain = isinstance(value, Tensor)
        names += [identifier(own if plain else f"{own}_{j + 1}") for j in range(len(several))]
    return names


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in _tensors(v)]
    return [t for v in value.values() for t in _tensors(v)] if isinstance(value, dict) else []


def tensor_names(function: Callable, modules: list[Module]) -> dict[int, str]:
    """Identity of a tensor: its name in its module, or that of the variable that holds it."""
    found: dict[int, str] = {}
    variables = _variables(function)
    held = {id(m): name for name, m in variables.items() if isinstance(m, Module)}
    roots = [*modules, *(m for m in variables.values() if isinstance(m, Module))]
    several = len({id(m) for m in roots}) > 1
    for module in roots:
        prefix = f"{held.get(id(module), type(module).__name__.lower())}." if several else ""
        for name, t in [*module.named_parameters(), *module.named_buffers()]:
            found.setdefault(id(t), prefix + name)
    for name, value in variables.items():
        for i, t in enumerate(_tensors(value)):
            found.setdefault(id(t), name if isinstance(value, Tensor) else f"{name}.{i}")
    return found


def _variables(function: Callable) -> dict[str, Any]:
    """What the function can reach by name: its closure, and the globals that its code names."""
    inner: Any = getattr(function, "__func__", function)
    owner = getattr(function, "__self__", None)
    found: dict[str, Any] = {"self": owner} if owner is not None else {}
    code = getattr(inner, "__code__", None)
    if code is None:
        return {"model": function} if isinstance(function, Module) else found
    for name, cell in zip(code.co_freevars, inner.__closure__ or ()):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    names = {n for c in (code, *(c for c in code.co_consts if inspect.iscode(c))) for n in c.co_names}
    found.update({n: inner.__globals__[n] for n in names if n in inner.__globals__})
    return found


def chosen(labels: list[str]) -> tuple[str, bool]:
    """The best of [the user's variable, the module, the op], and whether it needs a number."""
    variable, module, op = (identifier(label) if label else "" for label in labels)
    if variable and variable not in VAGUE:
        return variable, False
    if module and not module.startswith("_"):
        return module, False
    return plain(op) or variable or "t", True


def plain(op: str) -> str:
    """An op's name without what tells its variants apart: `layer_norm` for `layer_norm_last`."""
    return re.sub(r"_(classes|last|channels|train|apply|indices)?$", "", op)


def identifier(name: str) -> str:
    """`name` as an identifier of Python."""
    name = re.sub(r"\W", "_", name)
    if not name.isidentifier() or keyword.iskeyword(name):
        name = f"_{name}" if name[:1].isdigit() else f"{name}_"
    return name


class Names:
    """Unique names; those that are given out once more get a number."""

    def __init__(self, taken: set[str]):
        self.taken = set(taken)

    def new(self, base: str, numbered: bool = False) -> str:
        if not numbered and base not in self.taken and f"d_{base}" not in self.taken:
            self.taken |= {base, f"d_{base}"}
            return base
        stem = base + "_" * base[-1:].isdigit()
        n = 1 if numbered else 2
        while f"{stem}{n}" in self.taken:
            n += 1
        self.taken |= {f"{stem}{n}", f"d_{stem}{n}"}
        return f"{stem}{n}"
