"""Copies, whatever order the numbers lie in."""
from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from . import memory
from .table import kernel

LARGE = 1 << 16  # elements from which a compiled copy, or pooled memory, is worth it
AXES = 4  # of a copy by rows, at most
ROW = 64  # bytes side by side from which rows are copied faster than NumPy copies them
NARROW = 8  # elements that both axes have at least, for squares of registers to be worth turning


@kernel
def copy(xp, x):
    """x in memory of its own, its last dimension without gaps.

    >>> copy(np, np.arange(6).reshape(2, 3).T).strides
    (16, 8)
    """
    return x.copy()


@kernel
def copy_into(xp, out, x):
    """`x` written over `out`, with which it shares no memory.

    >>> copy_into(np, np.zeros((2, 2)), np.ones(2))
    array([[1., 1.],
           [1., 1.]])
    """
    out[...] = x
    return out


@lru_cache(512)
def rows(shape: tuple[int, ...], to: tuple[int, ...], source: tuple[int, ...], itemsize: int) -> tuple | None:
    """How a copy from strides `source` to strides `to` goes by rows; None where the numbers do not lie in rows.

    That is: the type of numbers, as whole numbers; the sizes and both distances of AXES axes; for each side, where its
    lowest number lies, in bytes from its first, and how many numbers it reaches over; and where x begins.

    >>> rows((2, 32), (128, 4), (256, -4), 4)[1].tolist()
    [[1, 1, 2, 32], [0, 0, 32, 1], [0, 0, 64, -1]]
    """
    axes: list[tuple[int, int, int]] = []
    if not all(to) or itemsize > 8 or any([s % itemsize for s in to + source]):
        return None
    for n, s, t in sorted(zip(shape, to, source), key=lambda axis: -abs(axis[1])):
        s, t = (s, t) if s > 0 else (-s, -t)  # to its lowest number first
        if n == 1:
            continue
        if axes and axes[-1][1:] == (s * n, t * n):
            axes[-1] = axes[-1][0] * n, s, t
        else:
            axes.append((n, s, t))
    if not axes or len(axes) > AXES or axes[-1][0] * itemsize < ROW or axes[-1][1] != itemsize:
        return None
    if axes[-1][2] not in (itemsize, 0, -itemsize):
        return None
    places = np.array([(1, 0, 0)] * (AXES - len(axes)) + axes).T // [[1], [itemsize], [itemsize]]
    back = sum([(n - 1) * t for n, _, t in axes if t < 0])
    low = [sum([(n - 1) * t for n, t in zip(shape, steps) if t < 0]) for steps in (to, source)]
    reach = [1 + sum([(n - 1) * abs(t) for n, t in zip(shape, steps)]) // itemsize for steps in (to, source)]
    return f"|u{itemsize}", np.ascontiguousarray(places), (low[0], reach[0]), (low[1], reach[1]), -back // itemsize


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


def _not_in_rows(out: Any, x: Any) -> str | None:
    if type(x) is not np.ndarray or out.size < LARGE or x.shape != out.shape or x.dtype != out.dtype:
        return f"fewer than {LARGE} elements, or not of one shape and dtype"
    if not (out.flags.aligned and out.flags.writeable and x.flags.aligned):
        return "memory that is not aligned, or not to be written"
    return None if rows(out.shape, out.strides, x.strides, x.itemsize) else f"no rows of at least {ROW} bytes"


def _not_rows(x: Any) -> str | None:
    if x.size < LARGE or x.flags.c_contiguous:
        return f"fewer than {LARGE} elements, or without gaps, which NumPy copies as fast"
    ends = tuple([prod(x.shape[i + 1:]) * x.itemsize for i in range(x.ndim)])
    if not x.flags.aligned or rows(x.shape, ends, x.strides, x.itemsize) is None:
        return f"no rows of at least {ROW} bytes"
    return None


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
copy.version("rows", "cpu", "minitorch_kernels.cpu.copies:copy_rows", _not_rows, backend="numba")
copy.version("pooled", "cpu", _pooled, backend="numpy")
copy_into.version("numba", "cpu", "minitorch_kernels.cpu.copies:copy_into", _not_in_rows)
