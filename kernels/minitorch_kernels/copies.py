"""Copies, whatever order the numbers lie in."""
from __future__ import annotations

from typing import Any

import numpy as np

from . import memory
from .table import kernel

LARGE = 1 << 16  # elements from which a compiled copy, or pooled memory, is worth it
NARROW = 8  # elements that both axes have at least, for squares of registers to be worth turning


@kernel
def copy(xp, x):
    """x in memory of its own, its last dimension without gaps.

    >>> copy(np, np.arange(6).reshape(2, 3).T).strides
    (16, 8)
    """
    return x.copy()


def crossed(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[list[int], list[int], int] | None:
    """Shape and strides with neighbours made one where they lie so, and the axis whose numbers lie side by side.

    None where that is the last axis, or none is: then rows, or single numbers, are all that there is to copy.

    >>> crossed((2, 3, 4, 5), (480, 160, 8, 32), 8)
    ([6, 4, 5], [160, 8, 32], 1)
    """
    sizes: list[int] = []
    steps: list[int] = []
    for n, step in zip(shape, strides):
        if n == 1:
            continue
        if steps and steps[-1] == step * n:
            sizes[-1], steps[-1] = sizes[-1] * n, step
        else:
            sizes.append(n)
            steps.append(step)
    if itemsize not in steps[:-1] or min(steps) < itemsize:
        return None
    return sizes, steps, steps.index(itemsize)


def _not_crossed(x: Any) -> str | None:
    if x.size < LARGE or x.dtype.char not in "fd":
        return f"fewer than {LARGE} elements, or neither float32 nor float64"
    found = crossed(x.shape, x.strides, x.itemsize) if x.flags.writeable and not x.flags.c_contiguous else None
    if found is None or min(found[0][found[2]], found[0][-1]) < NARROW:
        return "NumPy copies rows as fast"
    return None


def _pooled(x: Any) -> Any:
    if type(x) is not np.ndarray or x.size < LARGE:
        return x.copy()
    out = memory.empty(x.shape, x.dtype)
    np.copyto(out, x)
    return out


copy.version("numba", "cpu", "minitorch_kernels.cpu.copies:copy", _not_crossed)
copy.version("pooled", "cpu", _pooled, backend="numpy")
