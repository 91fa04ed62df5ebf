"""From a name to what it means: an op, a function made of ops, a method, a layer, an optimizer or a kernel."""
from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from minitorch_kernels import table

from ..errors import nearest
from ..op import FUNCTIONS, OPS
from ..tensor import Tensor
from .source import has_source, plain

KINDS = ("op", "function", "method", "layer", "optimizer", "kernel")


class Target(NamedTuple):
    """What a name was found to be: `thing` is an Op, a function, a class, or a kernel of the table."""

    kind: str
    name: str
    thing: Any


def find(name: str) -> Target:
    """The meaning of `name`, of several the first in the order of `KINDS`; `k.NAME` is the kernel.

    Raises ValueError, with the nearest names, where there is none.
    """
    short = name.strip()
    for prefix in ("minitorch.", "torch.", "mt."):
        short = short.removeprefix(prefix)
    for prefix in ("nn.functional.", "functional.", "F."):
        if short.startswith(prefix):
            return _functional(short.removeprefix(prefix)) or _fail(name)
    if short.startswith(("k.", "minitorch_kernels.")):
        return _kernel(short.rpartition(".")[2]) or _fail(name)
    if short.startswith("optim."):
        return _optimizer(short.removeprefix("optim.")) or _fail(name)
    if short.startswith("nn."):
        return _layer(short.removeprefix("nn.")) or _fail(name)
    if short.startswith("Tensor."):
        return _method(short.removeprefix("Tensor.")) or _fail(name)
    return _op(short) or _functional(short) or _method(short) or _layer(short) or _optimizer(short) or \
        _kernel(short) or _fail(name)


@cache
def every() -> dict[str, list[str]]:
    """All names by kind: what `find` knows."""
    from ..nn import functional

    ops = {name for name in OPS if not name.startswith("_")}
    functions = {name for name, value in {**FUNCTIONS, **vars(functional)}.items()
                 if name.rstrip("_") not in ops and not name.startswith("_") and _is_function(value)
                 and not hasattr(value, "op")}
    functions = {name for name in functions if name.rstrip("_") not in functions - {name}}  # without those in place
    methods = {name for name, value in vars(Tensor).items() if not name.startswith("_") and inspect.isroutine(value)
               and has_source(value) and not {name, name.rstrip("_")} & (ops | functions | FUNCTIONS.keys())}
    return {"op": sorted(ops), "function": sorted(functions), "method": sorted(methods),
            "layer": sorted(name for name, _ in layers()), "optimizer": sorted(name for name, _ in optimizers()),
            "kernel": table.names()}


def public(name: str) -> Any:
    """The function of that name that `minitorch` or `nn.functional` offers, or None."""
    from ..nn import functional

    found = FUNCTIONS.get(name) or vars(functional).get(name)
    return found if _is_function(found) else None


def layers() -> Iterator[tuple[str, type]]:
    """The classes of `minitorch.nn` that are modules."""
    from .. import nn

    return ((name, value) for name, value in vars(nn).items()
            if inspect.isclass(value) and issubclass(value, nn.Module) and value is not nn.Module)


def optimizers() -> Iterator[tuple[str, type]]:
    """The classes of `minitorch.optim` that are optimizers."""
    from .. import optim

    return ((name, value) for name, value in vars(optim).items()
            if inspect.isclass(value) and issubclass(value, optim.Optimizer) and value is not optim.Optimizer)


def _op(name: str) -> Target | None:
    if name in OPS:
        return Target("op", name, OPS[name])
    made = getattr(FUNCTIONS.get(name), "op", None)  # a second name of an op
    if made is not None:
        return Target("op", made.name, made)
    return Target("function", name, FUNCTIONS[name]) if name in FUNCTIONS and has_source(FUNCTIONS[name]) else None


def _functional(name: str) -> Target | None:
    from ..nn import functional

    value = vars(functional).get(name)
    if value is None or not _is_function(value):
        return None
    made = getattr(value, "op", None)
    return Target("op", made.name, made) if made is not None else Target("function", f"nn.functional.{name}", value)


def _method(name: str) -> Target | None:
    """A method of Tensor; one in place is that of its op, or of its function."""
    base = name.rstrip("_")
    if hasattr(Tensor, name) and name.endswith("_") and not name.startswith("_") and (found := _op(base)):
        return found
    value = inspect.getattr_static(Tensor, name, None)
    value = value.fget if isinstance(value, property) else value
    return _op(name) or (Target("method", f"Tensor.{name}", value) if has_source(value) else None)


def _layer(name: str) -> Target | None:
    found = dict(layers()).get(name)
    return Target("layer", f"nn.{name}", found) if found else None


def _optimizer(name: str) -> Target | None:
    found = {key.lower(): (key, value) for key, value in optimizers()}.get(name.lower())
    return Target("optimizer", f"optim.{found[0]}", found[1]) if found else None


def _kernel(name: str) -> Target | None:
    return Target("kernel", name, table.get(name)) if name in table.names() else None


def _fail(name: str) -> Any:
    known = list(dict.fromkeys(each for kind in KINDS for each in every()[kind]))
    raise ValueError(f"no op, function, method, layer, optimizer or kernel is named {name!r}"
                     f"{nearest(name.rpartition('.')[2], known)}")


def _is_function(value: Any) -> bool:
    """Whether a value is a function for users; those that check arguments take the name of an op first."""
    return not inspect.isclass(value) and has_source(value) and plain(value).__code__.co_varnames[:1] != ("name",)
