"""Switches of cuDNN, which is not used: convolutions on the GPU are this framework's own kernels.

`allow_tf32`, True at first, is theirs: whether those of float32 may round their factors to 10 bits of mantissa.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from minitorch_kernels.cuda import settings

enabled = True
benchmark = False
benchmark_limit = 10
deterministic = False
fp32_precision = "none"


def is_available() -> bool:
    """False: cuDNN is not used."""
    return False


def version() -> int | None:
    """None: cuDNN is not used."""
    return None


def is_acceptable(tensor: Any) -> bool:
    """False: cuDNN is not used."""
    return False


def set_flags(_enabled: bool | None = None, _benchmark: bool | None = None, _benchmark_limit: int | None = None,
              _deterministic: bool | None = None, _allow_tf32: bool | None = None) -> tuple:
    """Set switches; returns what they were."""
    own = sys.modules[__name__]
    given = {"enabled": _enabled, "benchmark": _benchmark, "benchmark_limit": _benchmark_limit,
             "deterministic": _deterministic, "allow_tf32": _allow_tf32}
    before = tuple(getattr(own, name) for name in given)
    for name, value in given.items():
        if value is not None:
            setattr(own, name, value)
    return before


@contextmanager
def flags(enabled: bool = False, benchmark: bool = False, benchmark_limit: int = 10, deterministic: bool = False,
          allow_tf32: bool = True) -> Iterator[None]:
    """Switches for the block."""
    before = set_flags(enabled, benchmark, benchmark_limit, deterministic, allow_tf32)
    try:
        yield
    finally:
        set_flags(*before)


class _Switches(ModuleType):
    """This module, so that its switch is the kernels'."""

    @property
    def allow_tf32(self) -> bool:
        return settings.tf32_convolutions

    @allow_tf32.setter
    def allow_tf32(self, allowed: bool) -> None:
        settings.tf32_convolutions = bool(allowed)


sys.modules[__name__].__class__ = _Switches
