"""A pool of buffers for large arrays: a fresh 64 MiB array costs twice the arithmetic in page faults.

`empty` takes a buffer from the pool and wraps it in an array; when the last view of that array dies, the buffer
goes back by itself. Sizes are rounded up, so that the shapes of a training step find the buffers of the step before.

>>> a = empty((1024, 1024), "float32")
>>> del a
>>> empty_cache() >= 1024 * 1024 * 4
True
"""
from __future__ import annotations

import math
import os
import threading
from typing import Any

import numpy as np

LINE = 64  # bytes of a cache line, and of the widest vector register: where every buffer begins
LARGE = 1 << 18  # bytes; smaller arrays are left to malloc, which is good at them
LIMIT = int(os.environ.get("MINITORCH_POOL_LIMIT", 4 << 30))  # idle bytes kept at most


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of undefined content, from the pool where it is large."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return np.empty(shape, dtype)
    return np.asarray(_Buffer(size))[:size].view(dtype).reshape(shape)


def stats() -> dict[str, int]:
    """Bytes in use and idle, and how many requests the pool has served from idle buffers or by a fresh allocation."""
    with _lock:
        return dict(_stats)


def empty_cache() -> int:
    """Give the idle buffers back to the system; returns their bytes."""
    with _lock:
        freed, _stats["idle_bytes"] = _stats["idle_bytes"], 0
        _idle.clear()
    return freed


class _Buffer:
    """Memory on loan from the pool. NumPy's views keep it alive; its end gives the memory back."""

    __slots__ = ("__array_interface__", "asked", "memory", "size")

    def __init__(self, size: int):
        self.asked = size
        self.size = size = _rounded(size)
        with _lock:
            idle = _idle.get(size)
            self.memory = idle.pop() if idle else None
            _stats["in_use_bytes"] += size
            _stats["misses" if self.memory is None else "hits"] += 1
            if self.memory is not None:
                _stats["idle_bytes"] -= size
        if self.memory is None:
            fresh = np.empty(size + LINE, np.uint8)
            self.memory = (fresh.ctypes.data + LINE) // LINE * LINE, fresh
        self.__array_interface__ = {"data": (self.memory[0], False), "shape": (size,), "typestr": "|u1", "version": 3}

    def __del__(self):
        if _lock is None:  # the interpreter ends, and has emptied this module
            return
        size = self.size
        with _lock:
            _stats["in_use_bytes"] -= size
            if _stats["idle_bytes"] + size <= LIMIT:
                _stats["idle_bytes"] += size
                _idle.setdefault(size, []).append(self.memory)


def _rounded(size: int) -> int:
    """`size` rounded up to one of eight steps between two powers of two: at most an eighth is wasted."""
    step = 1 << max(size.bit_length() - 4, 12)
    return -(-size // step) * step


_lock = threading.RLock()  # reentrant: the collector can end a buffer while this thread holds the lock
_idle: dict[int, list[tuple[int, np.ndarray]]] = {}  # size: addresses, and the arrays that hold the memory
_stats = {"in_use_bytes": 0, "idle_bytes": 0, "hits": 0, "misses": 0}
