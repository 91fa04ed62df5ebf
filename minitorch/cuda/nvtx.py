"""Marks for NVIDIA's profilers, through CuPy. Without a GPU all raise NoCudaError."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..device import cupy


def mark(msg: str) -> None:
    """A mark at this moment."""
    _profiler().Mark(msg)


def range_push(msg: str) -> None:
    """Begin a named range."""
    _profiler().RangePush(msg)


def range_pop() -> None:
    """End the innermost range."""
    _profiler().RangePop()


@contextmanager
def range(msg: str) -> Iterator[None]:
    """A named range around the block."""
    range_push(msg)
    try:
        yield
    finally:
        range_pop()


def _profiler() -> Any:
    return cupy().cuda.nvtx
