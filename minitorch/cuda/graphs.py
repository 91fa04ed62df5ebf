"""The names of PyTorch's CUDA graphs, for annotations and questions: `minitorch.compile` records graphs by itself."""
from __future__ import annotations

from typing import Any


class CUDAGraph:
    """Not to be made here. Raises RuntimeError, which names what records a step's work on the GPU."""

    def __init__(self, *_: Any, **__: Any):
        raise RuntimeError(f"cuda.{type(self).__name__} is not in minitorch, which records no graph by hand; the "
                           "nearest: minitorch.compile(model), which records a step's work on the GPU by itself")


class graph(CUDAGraph):
    """Not to be made here, like CUDAGraph."""


def is_current_stream_capturing() -> bool:
    """False: no graph is recorded by hand."""
    return False
