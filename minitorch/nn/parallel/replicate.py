"""A module on several devices."""
from __future__ import annotations

import copy
from typing import Any

from ..module import Module


def replicate(network: Module, devices: Any, detach: bool = False) -> list[Module]:
    """A copy of `network` a device, whose gradients reach the parameters of `network`, unless `detach`.

    Raises NoCudaError where a device is a GPU that is not there.
    """
    return [_copy(network, where, detach, {}) for where in devices]


def _copy(module: Module, where: Any, detach: bool, memo: dict[int, Module]) -> Module:
    if id(module) in memo:
        return memo[id(module)]
    twin = memo[id(module)] = copy.copy(module)
    own = twin.__dict__
    own["_modules"] = {name: child and _copy(child, where, detach, memo) for name, child in module._modules.items()}
    own["_buffers"] = {name: b if b is None else b.to(where) for name, b in module._buffers.items()}
    own["_parameters"] = dict.fromkeys(module._parameters)
    for name, p in module._parameters.items():
        if p is not None:  # as a plain attribute: it is computed from the parameter, and no leaf
            own[name] = p.detach().to(where) if detach else p.view_as(p).to(where)
            own["_parameters"].pop(name)
    return twin
