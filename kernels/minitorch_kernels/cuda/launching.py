"""What launchers share: the type that is computed in, contiguous arrays, whether they can be read 16 bytes at a time,
the grid for rows."""
from __future__ import annotations

from typing import Any

import numpy as np

from .lazily import cupy

SHORT = 1024  # elements of a row that one warp takes
THREADS = 128  # of a block whose threads work alone


def accumulator(dtype: np.dtype) -> np.dtype:
    """The type that sums and functions of a type are computed in, as types.cuh has it: float32 for 16 bits."""
    return dtype if dtype.itemsize > 2 else np.dtype(np.float32)


def contiguous(*arrays: Any) -> list:
    """C-contiguous arrays; None stays None."""
    return [None if a is None else cupy.ascontiguousarray(a) for a in arrays]


def aligned(*arrays: Any) -> bool:
    """Whether arrays begin where 16 bytes can be loaded at once, which a part of an array need not."""
    return not any([a.data.ptr % 16 for a in arrays if a is not None])


def fits_vectors(n: int, *arrays: Any) -> bool:
    """Whether runs of n elements of the first array, and of those beside it, consist of 16-byte vectors."""
    return n * arrays[0].itemsize % 16 == 0 and aligned(*arrays)


def grid_of_rows(count: int, n: int) -> tuple[tuple[int], tuple[int, int]]:
    """Grid and block, (threads a row, rows): a warp for each of `count` rows of n elements, a block for long ones."""
    return ((-(-count // 4),), (32, 4)) if n <= SHORT else ((count,), (256 if n <= 8 * SHORT else 1024, 1))


def grid_of_threads(count: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block for `count` threads."""
    return (-(-count // THREADS),), (THREADS,)
