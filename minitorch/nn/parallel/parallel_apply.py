"""Copies of a module, each on its part of a batch."""
from __future__ import annotations

from typing import Any

from ..module import Module


def parallel_apply(modules: list[Module], inputs: Any, kwargs_tup: Any = None, devices: Any = None) -> list[Any]:
    """`module(*input, **kwargs)` of each, one after the other; GPUs work meanwhile."""
    if len(modules) != len(inputs):
        raise AssertionError(f"The number of modules {len(modules)} is not equal to the number of inputs "
                             f"{len(inputs)}")
    named = kwargs_tup or [{}] * len(modules)
    return [module(*(x if isinstance(x, (list, tuple)) else (x,)), **kwargs)
            for module, x, kwargs in zip(modules, inputs, named)]
