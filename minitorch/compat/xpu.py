"""Intel's GPUs, which are not used."""
from __future__ import annotations

from minitorch.errors import NoCudaError


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def empty_cache() -> None:
    """Nothing: there is no such device."""


def manual_seed(seed: int) -> None:
    """Nothing: there is no such device."""


manual_seed_all = manual_seed


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False."""
    return False


def _refuse(*args: object) -> None:
    """Raises NoCudaError (AssertionError): there is no such device."""
    raise NoCudaError("xpu: there is no XPU backend here; is_available() says so")


synchronize = set_device = current_device = get_device_name = get_device_properties = memory_allocated = _refuse
