"""Layers that draw no random numbers when they are made."""
from __future__ import annotations

import inspect
from typing import Any

from ...op import FUNCTIONS
from ..module import Module


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Any:
    """`module_cls(*args, **kwargs)`, to be filled: nothing may be expected of its values.

    The random numbers after it are those that would come without it. Raises RuntimeError for what is no Module class,
    or takes no `device`.
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    state = FUNCTIONS["get_rng_state"]()
    try:
        return module_cls(*args, **kwargs)
    finally:
        FUNCTIONS["set_rng_state"](state)
