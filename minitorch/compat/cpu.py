"""The CPU as a device, for programs that treat all devices alike."""
from __future__ import annotations

from typing import Any

from minitorch.amp import autocast_mode


def is_available() -> bool:
    """True."""
    return True


def device_count() -> int:
    """1."""
    return 1


def current_device() -> str:
    """"cpu"."""
    return "cpu"


def synchronize(device: Any = None) -> None:
    """Nothing: work on the CPU is done when a call returns."""


def set_device(device: Any) -> None:
    """Nothing: there is one CPU."""


class _Amp:
    """The former home of `autocast("cpu")`."""

    class autocast(autocast_mode.autocast):
        """`minitorch.amp.autocast("cpu", ...)`."""

        def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True):
            super().__init__("cpu", dtype, enabled, cache_enabled)


amp = _Amp
