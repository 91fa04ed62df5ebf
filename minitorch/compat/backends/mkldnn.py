"""Intel's oneDNN, which is not used: convolutions are this framework's own kernels."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .mkl import verbose as verbose

VERBOSE_OFF, VERBOSE_ON, VERBOSE_ON_CREATION = 0, 1, 2
enabled = True
deterministic = False
allow_tf32 = False


def is_available() -> bool:
    """False."""
    return False


@contextmanager
def flags(enabled: bool = False, deterministic: bool = False, allow_tf32: bool = True) -> Iterator[None]:
    """Switches for the block."""
    own = globals()
    before = {name: own[name] for name in ("enabled", "deterministic", "allow_tf32")}
    own.update(enabled=enabled, deterministic=deterministic, allow_tf32=allow_tf32)
    try:
        yield
    finally:
        own.update(before)
