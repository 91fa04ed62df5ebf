"""Apple's GPUs, which are not used."""
from __future__ import annotations

from minitorch.backends.mps import is_available
from minitorch.errors import DeviceError


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no such device."""


seed = manual_seed


def _refuse(*args: object) -> None:
    """Raises DeviceError: there is no such device."""
    raise DeviceError("mps: there is no MPS backend here; is_available() says so")


synchronize = empty_cache = get_rng_state = set_rng_state = current_allocated_memory = driver_allocated_memory = _refuse

__all__ = ["device_count", "empty_cache", "is_available", "manual_seed", "synchronize"]
