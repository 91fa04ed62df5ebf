"""Tensors in memory that several processes see: a file in the system's shared memory, mapped by each of them."""
from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from contextlib import suppress
from typing import Any

import numpy as np

from ..tensor import Tensor, _rebuild

_FOLDER = "/dev/shm" if os.path.isdir("/dev/shm") else None  # memory where the system has such a folder, else disk
_mapped: weakref.WeakValueDictionary[str, _Shared] = weakref.WeakValueDictionary()


class _Shared(mmap.mmap):
    """The memory, and the path of its file."""

    path: str


def share(x: Tensor) -> Tensor:
    """Move the values of `x` into shared memory, in place; nothing where they are there already."""
    array = x._array
    if not isinstance(array, np.ndarray) or shared_memory(array) is not None:
        return x
    number, path = tempfile.mkstemp(prefix="minitorch-", dir=_FOLDER)
    try:
        os.truncate(number, max(array.nbytes, 1))
        memory = _map(number, path, array.nbytes)
    finally:
        os.close(number)
    weakref.finalize(memory, _remove, path, os.getpid())
    x._array = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
    x._array[...] = array
    return x


def shared_memory(array: Any) -> _Shared | None:
    """The shared memory that `array` shows, None where it is a process's own."""
    while isinstance(array, np.ndarray):
        array = array.base
    if isinstance(array, memoryview):
        array = array.obj
    return array if isinstance(array, _Shared) else None


def reduce_tensor(x: Tensor) -> tuple:
    """How `x` is sent to another process: shared memory by its name, the rest by value."""
    array = x._array
    memory = shared_memory(array)
    if memory is None or x._node is not None:
        return x.__reduce_ex__(2)
    start = array.ctypes.data - np.frombuffer(memory, np.uint8).ctypes.data
    place = memory.path, len(memory), start, array.shape, array.strides, array.dtype
    return _attach, (type(x), place, x._requires_grad, x._attributes())


def _attach(kind: type[Tensor], place: tuple, requires_grad: bool, extra: dict) -> Tensor:
    path, size, start, shape, strides, dtype = place
    memory = _mapped.get(path)
    if memory is None:
        number = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            memory = _map(number, path, size)
        finally:
            os.close(number)
    array: Any = np.ndarray(shape, dtype, memory, start, strides)
    return _rebuild(kind, array, requires_grad, "cpu", extra)


def _map(number: int, path: str, size: int) -> _Shared:
    memory = _Shared(number, max(size, 1))
    memory.path = path
    _mapped[path] = memory
    return memory


def _remove(path: str, owner: int) -> None:
    """Take the file's name away: those who have mapped it keep the memory. A forked child owns nothing."""
    if os.getpid() == owner:
        with suppress(OSError):
            os.unlink(path)
