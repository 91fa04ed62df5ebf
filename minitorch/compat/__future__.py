"""Switches for how `Module.to` replaces parameters: always in place here."""
from __future__ import annotations

_switches = {"overwrite": False, "swap": False}


def set_overwrite_module_params_on_conversion(value: bool) -> None:
    """Remember it: parameters stay the same objects."""
    _switches["overwrite"] = value


def get_overwrite_module_params_on_conversion() -> bool:
    """What was set."""
    return _switches["overwrite"]


def set_swap_module_params_on_conversion(value: bool) -> None:
    """Remember it: parameters stay the same objects."""
    _switches["swap"] = value


def get_swap_module_params_on_conversion() -> bool:
    """What was set."""
    return _switches["swap"]
