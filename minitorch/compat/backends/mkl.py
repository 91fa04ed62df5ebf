"""Intel's MKL, which is not used: products are NumPy's BLAS's and this framework's own."""
from __future__ import annotations

from typing import Any

VERBOSE_OFF, VERBOSE_ON = 0, 1


def is_available() -> bool:
    """False."""
    return False


class verbose:
    """Accepted around a block; there is nothing to report."""

    def __init__(self, enable: int):
        self.enable = enable

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass
