"""Orders along an axis: equal elements stay in their order, and nan counts as the largest."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import parallel
from .table import kernel

SMALL = 1024  # elements below which keys cost more than they save
PART = 1 << 15  # elements of a thread's part, whose keys stay in the L2 cache
WORK = 20  # operations that ordering an element costs, about
FEW = 32  # the top ones that are found by insertion: where all numbers rise, each is inserted before so many


@kernel
def argsort(xp, x, axis, descending=False):
    """The indices that sort `x` along `axis`.

    >>> argsort(np, np.array([2, 1, 2, 3]), 0, descending=True)
    array([3, 0, 2, 1])
    """
    if not descending:
        return _stable(xp, x, axis)
    n = x.shape[axis]  # sorted backwards and read backwards, so that equal elements keep their order
    return xp.flip(n - 1 - _stable(xp, xp.flip(x, axis), axis), axis)


@kernel
def top(xp, x, count, axis, largest=True):
    """The indices of the `count` largest or smallest elements along `axis`, in order.

    >>> top(np, np.array([2, 1, 2, 3]), 2, 0)
    array([3, 0])
    """
    return argsort.reference(xp, x, axis, largest)[(slice(None),) * (axis % x.ndim) + (slice(0, count),)]


def _stable(xp: Any, x: Any, axis: int) -> Any:
    return xp.argsort(x, axis=axis, kind="stable") if xp is np else xp.argsort(x, axis)


def _argsort(x: np.ndarray, axis: int, descending: bool = False) -> np.ndarray:
    def sort(keys: np.ndarray) -> np.ndarray:
        keys.sort(-1)
        return keys

    return _by_keys(x, axis, descending, x.shape[axis], sort)


def _top(x: np.ndarray, count: int, axis: int, largest: bool = True) -> np.ndarray:
    def choose(keys: np.ndarray) -> np.ndarray:
        if 0 < count < keys.shape[1]:
            keys.partition(count - 1, -1)
        best = keys[:, :count]
        best.sort(-1)
        return best

    return _by_keys(x, axis, largest, count, choose)


def _by_keys(x: np.ndarray, axis: int, descending: bool, count: int,
             order: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The `count` indices that are left of each line after `order` has arranged its keys.

    A key is an element's value above its index, in one whole number: so no two are equal, and NumPy's sort of whole
    numbers, which is vectorised but not stable, gives the stable order.
    """
    lines = np.moveaxis(x, axis, -1)
    rows = lines.reshape(-1, lines.shape[-1])
    out = np.empty((len(rows), count), np.int64)
    places = np.arange(rows.shape[1], dtype=np.uint64)
    parts = parallel.chunks(len(rows), max(1, PART // rows.shape[1]))

    def part(i: int) -> None:
        keys = _unsigned(rows[parts[i]], descending).astype(np.uint64)
        keys <<= np.uint64(32)
        keys |= places
        np.bitwise_and(order(keys), np.uint64(0xFFFFFFFF), out=out[parts[i]].view(np.uint64))

    parallel.run(part, len(parts), WORK * x.size)
    return np.moveaxis(out.reshape(*lines.shape[:-1], count), -1, axis)


def _unsigned(x: np.ndarray, descending: bool) -> np.ndarray:
    """Whole numbers of 32 bits in the order of x, or in the opposite one."""
    if x.dtype.char in "feE":
        x = x.astype(np.float32) + np.float32(0)  # -0 is equal to 0
        bits = x.view(np.uint32)
        bits[np.isnan(x)] = 0x7FC00000
        bits ^= (bits.view(np.int32) >> 31).view(np.uint32) | np.uint32(1 << 31)  # negative ones backwards, and first
    elif x.dtype.kind == "i":
        bits = x.astype(np.int32).view(np.uint32) ^ np.uint32(1 << 31)
    else:
        bits = x.astype(np.uint32)
    return ~bits if descending else bits


def _checked(x: np.ndarray, axis: int, descending: bool = False) -> np.ndarray:
    """NumPy's unstable order takes a quarter of the time of the stable one; where no two are equal they agree."""
    if not descending:
        order = x.argsort(axis)
        lines = np.moveaxis(np.take_along_axis(x, order, axis), axis, -1)
        if (lines[..., 1:] > lines[..., :-1]).all():
            return order
    return argsort.reference(np, x, axis, descending)


def _partitioned(x: np.ndarray, count: int, axis: int, largest: bool = True) -> np.ndarray:
    """Those beyond the element at the edge, and the first ones equal to it; then only these are sorted."""
    lines = np.moveaxis(x, axis, -1)
    if lines.dtype.kind == "f" and np.isnan(lines).any():
        return top.reference(np, x, count, axis, largest)
    place = lines.shape[-1] - count if largest else count - 1
    edge = np.partition(lines, place, -1)[..., place:place + 1]
    beyond, equal = lines > edge if largest else lines < edge, lines == edge
    chosen = beyond | (equal & (equal.cumsum(-1) <= count - beyond.sum(-1, keepdims=True)))
    index = np.nonzero(chosen)[-1].reshape(*lines.shape[:-1], count)
    order = argsort.reference(np, np.take_along_axis(lines, index, -1), -1, largest)
    return np.moveaxis(np.take_along_axis(index, order, -1), -1, axis)


def _no_keys(x: np.ndarray, axis: int) -> str | None:
    if x.size < SMALL or x.shape[axis] >= 1 << 32:
        return f"fewer than {SMALL} elements"
    small = x.dtype.char in "feE" or (x.dtype.kind in "iub" and x.itemsize <= 4)
    return None if small else "numbers of at most 32 bits only"


def _no_unstable_order(x: np.ndarray, axis: int, descending: bool = False) -> str | None:
    return None if x.dtype.char == "d" and x.size >= SMALL else f"float64, and {SMALL} elements at least"


def _no_pass(x: np.ndarray, count: int, axis: int, largest: bool = True) -> str | None:
    few = x.size >= SMALL and 0 < count <= FEW and count * 8 <= x.shape[axis]
    return None if few and x.dtype.char in "fd" else f"few of {SMALL} or more floats only"


def _no_partition(x: np.ndarray, count: int, axis: int, largest: bool = True) -> str | None:
    few = x.size >= SMALL and 0 < count * 8 <= x.shape[axis]
    return None if few and x.dtype.kind in "fiu" else f"many of the elements are wanted, or there are less than {SMALL}"


argsort.version("keys", "cpu", _argsort, lambda x, axis, descending=False: _no_keys(x, axis), backend="numpy")
argsort.version("checked", "cpu", _checked, _no_unstable_order, backend="numpy")
top.version("numba", "cpu", "minitorch_kernels.cpu.sorting:top", _no_pass)
top.version("keys", "cpu", _top, lambda x, count, axis, largest=True: _no_keys(x, axis), backend="numpy")
top.version("partition", "cpu", _partitioned, _no_partition, backend="numpy")
