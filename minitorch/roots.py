"""Where memory begins: what the views of one memory have in common when they are copied or saved.

>>> x = np.arange(6.0)
>>> root_of(x[2:]) is x, offset_of(x[2:], x)
(True, 16)
"""
from __future__ import annotations

from typing import Any

import numpy as np


def root_of(array: Any) -> Any:
    """The array that holds the memory of `array`: itself, unless it is a view of another."""
    root, kind = array, np.ndarray if isinstance(array, np.ndarray) else type(array)
    while (array := getattr(array, "base", None)) is not None:  # NumPy's as_strided has a stand-in in between
        if isinstance(array, kind):
            root = array
    return root


def offset_of(array: Any, root: Any) -> int | None:
    """The bytes from the start of `root` to the first element of `array`; None where `array` leaves that memory, or
    the memory has gaps."""
    if not (root.flags.c_contiguous or root.flags.f_contiguous):
        return None
    if array.size == 0:
        return 0
    start = _address(array) - _address(root)
    reach = [(n - 1) * stride for n, stride in zip(array.shape, array.strides)]
    first = start + sum(r for r in reach if r < 0)
    last = start + sum(r for r in reach if r > 0) + array.itemsize
    return start if first >= 0 and last <= root.nbytes else None


def bytes_of(root: Any) -> Any:
    """The memory of a `root` as a vector of bytes, without what a pooled buffer is longer than was asked for."""
    flat = (root if root.flags.c_contiguous else root.T).reshape(-1)
    return flat.view(np.uint8)[:getattr(root.base, "asked", root.nbytes)]


def view_of(memory: Any, like: Any, start: int) -> Any:
    """An array of the type, shape and strides of `like`, `start` bytes into the vector of bytes `memory`."""
    start = start if like.size else 0
    if isinstance(memory, np.ndarray):
        return np.ndarray(like.shape, like.dtype, memory, start, like.strides)
    return type(memory)(like.shape, like.dtype, memory.data + start, like.strides)


def copy_of(array: Any, memo: dict) -> Any:
    """A copy for `copy.deepcopy`: arrays on one memory become arrays on one copy of it."""
    root = root_of(array)
    start = offset_of(array, root)
    if start is None:
        return array.copy()
    if id(root) not in memo:
        memo[id(root)] = root.copy(order="K")
        memo.setdefault(id(memo), []).append(root)  # as deepcopy does: its address must not be reused meanwhile
    twin = memo[id(root)]
    return twin if array is root else view_of(bytes_of(twin), array, start)


def _address(array: Any) -> int:
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr
