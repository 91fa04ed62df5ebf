"""`torch.random`: the default generator's functions under their module's name."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .ops.random import (
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    put_back,
    seed,
    set_rng_state,
    states,
)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, device_type: str = "cuda") -> Iterator[None]:
    """After the block the generators, those of the GPUs too, stand where they stood before."""
    before = states() if enabled else []
    try:
        yield
    finally:
        put_back(before)


__all__ = ["default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]
