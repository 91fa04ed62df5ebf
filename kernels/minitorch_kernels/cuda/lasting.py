"""Memory of the GPU that outlives what is done with it, and copies to it: both also while a graph is captured."""
from __future__ import annotations

from typing import Any

import numpy as np

from .lazily import cupy


def lasting(shape: tuple, dtype: Any) -> Any:
    """An empty array, never of a captured graph's pool: other work of the graph may have that memory before."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return cupy.ndarray(shape, dtype, cupy.get_default_memory_pool().malloc(size))


def send(array: np.ndarray, to: Any) -> None:
    """Copy a contiguous array of the CPU to the beginning of `to`; it may be changed afterwards.

    While a graph is captured the copy is made at once, and is no work of the graph.
    """
    stream = cupy.cuda.get_current_stream()
    if stream.is_capturing():
        with cupy.cuda.Stream(non_blocking=True) as aside:
            to.data.copy_from_host_async(array.ctypes.data, array.nbytes, aside)
        aside.synchronize()
    else:  # the driver takes the bytes before the call returns, and does not wait for the stream
        to.data.copy_from_host_async(array.ctypes.data, array.nbytes, stream)


def constant(array: np.ndarray) -> Any:
    """A copy on the GPU."""
    copy = lasting(array.shape, array.dtype)
    send(np.ascontiguousarray(array), copy)
    return copy
