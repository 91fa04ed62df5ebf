"""Comparisons for tests under PyTorch's names: `assert_close`, `make_tensor`."""
from __future__ import annotations

from .close import assert_allclose, assert_close
from .make import make_tensor

__all__ = ["assert_allclose", "assert_close", "make_tensor"]
