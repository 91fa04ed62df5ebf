"""Calls of a module with other parameters than its own."""
from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...tensor import Tensor
from ..module import Module

__all__ = ["functional_call"]


def functional_call(module: Module, parameters_and_buffers: dict[str, Tensor], args: Any = None,
                    kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True, strict: bool = False) -> Any:
    """`torch.func.functional_call` under its old name."""
    warnings.warn("This API is deprecated as of PyTorch 2.0 and will be removed in a future version of PyTorch. Please "
                  "use torch.func.functional_call instead which is a drop-in replacement for this API.",
                  FutureWarning, stacklevel=2)
    return call_with(module, parameters_and_buffers, args, kwargs, tie_weights, strict)


def call_with(module: Module, tensors: dict[str, Tensor], args: Any = None, kwargs: dict[str, Any] | None = None,
              tie_weights: bool = True, strict: bool = False) -> Any:
    """`module(*args, **kwargs)` with the tensors given by name in the place of its parameters and buffers.

    Buffers that the call replaces are replaced in the dictionary. What is one tensor under two names in the module is
    one in the call, with `tie_weights`. Raises ValueError where both names are given different tensors, and, if
    `strict`, RuntimeError for names that are missing or unknown.

    >>> from minitorch import nn, ones, zeros
    >>> call_with(nn.Linear(2, 1), {"weight": ones(1, 2), "bias": zeros(1)}, ones(1, 2))
    tensor([[2.]])
    """
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with replaced(module, tensors, tie_weights, strict):
        return module(*args, **(kwargs or {}))


@contextmanager
def replaced(module: Module, tensors: dict[str, Tensor], tie_weights: bool = False,
             strict: bool = False) -> Iterator[None]:
    """Within the block the module has these tensors, by dotted name, as parameters and buffers."""
    places = {f"{path}.{name}" if path else name: (members, name)
              for path, part in module.named_modules(remove_duplicate=False)
              for members in (part._parameters, part._buffers) for name, value in members.items() if value is not None}
    if strict:
        _check_names(module, places, tensors)
    new = {name: tensors[name] for name in tensors if name in places}
    if tie_weights:
        new = _tied(places, new)
    before = {name: places[name][0][places[name][1]] for name in new}
    try:
        for name, tensor in new.items():
            members, key = places[name]
            members[key] = tensor
        yield
    finally:
        for name, tensor in before.items():
            members, key = places[name]
            if name in tensors:
                tensors[name] = members[key]
            members[key] = tensor


def _tied(places: dict[str, tuple], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, also under the other names that theirs have in the module."""
    names: dict[int, list[str]] = {}
    for name, (members, key) in places.items():
        names.setdefault(id(members[key]), []).append(name)
    found = dict(tensors)
    for same in names.values():
        given = [name for name in same if name in tensors]
        if any(tensors[name] is not tensors[given[0]] for name in given):
            raise ValueError(f"functional_call got multiple values for keys {sorted(same)}, which are tied. Consider "
                             "using tie_weights=False")
        if given:
            found.update(dict.fromkeys(same, tensors[given[0]]))
    return found


def _check_names(module: Module, places: dict, tensors: dict) -> None:
    unexpected, missing = [n for n in tensors if n not in places], [n for n in places if n not in tensors]
    errors = [f"{what} key(s): {', '.join(map(repr, names))}." for what, names in
              (("Unexpected", unexpected), ("Missing", missing)) if names]
    if errors:
        raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:\n\t" + "\n\t".join(errors))
