"""Storages that were read from a file: memory, what place it is for, and arrays on it."""
from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..device import CPU, device
from ..errors import CheckpointError
from ..storage import TypedStorage, UntypedStorage


class Loaded(UntypedStorage):
    """Bytes in the CPU's memory, on their way to `device`: what `map_location(storage, location)` gets and returns."""

    device: Any = CPU

    def __init__(self, memory: np.ndarray):
        self._bytes = memory

    def to(self, device: Any = None, non_blocking: bool = False) -> Loaded:
        """The same bytes on their way to another device."""
        storage = Loaded(self._bytes)
        storage.device = _device(device)
        return storage

    def cpu(self) -> Loaded:
        return self.to("cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Loaded:
        return self.to("cuda" if device is None else device)


class Elements(TypedStorage):
    """A loaded storage as elements, from byte `start` on: what the pickles in PyTorch's files refer to."""

    def __init__(self, storage: Loaded, kind: Any, start: int = 0):
        super().__init__(wrap_storage=storage, dtype=dtype_of(kind))
        self.storage, self.start = storage, start

    def view(self, offset: Any, size: Any, stride: Any, dtype: dtypes.dtype | None = None) -> np.ndarray:
        """The array of that offset, shape and strides, in elements. Raises CheckpointError where that leaves it."""
        element = dtypes.to_numpy(dtype or self.dtype)
        if not isinstance(size, tuple) or not isinstance(stride, tuple):
            raise CheckpointError(f"a tensor has a {type(size).__name__} for its size")
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or not all([type(n) is int and n >= 0 for n in numbers]):
            raise CheckpointError(f"a tensor has offset {offset!r}, size {size!r} and stride {stride!r}")
        if 0 in size:
            return np.empty(size, element)
        memory = self.storage._bytes
        start = self.start + offset * element.itemsize
        end = start + (sum([(n - 1) * s for n, s in zip(size, stride)]) + 1) * element.itemsize
        if end > memory.nbytes:
            raise CheckpointError(f"a tensor of offset {offset}, size {size} and stride {stride} leaves its memory of "
                                  f"{memory.nbytes // element.itemsize} elements")
        return np.ndarray(size, element, memory, start, [s * element.itemsize for s in stride])


def dtype_of(kind: Any) -> dtypes.dtype:
    """The element type of a storage class; bytes where it has none."""
    return getattr(kind, "dtype", None) or dtypes.uint8


def parts_of(reference: Any) -> tuple[Any, str, str, int, Any]:
    """Class, key, location, number of elements, and part of another, of the storage that a pickle refers to.

    Raises CheckpointError where the reference is damaged.
    """
    if not isinstance(reference, tuple) or len(reference) not in (5, 6) or reference[0] != "storage":
        raise CheckpointError("a reference to a storage is damaged")
    _, kind, key, location, count, *rest = reference
    part = rest[0] if rest else None
    if not (isinstance(kind, type) and issubclass(kind, (TypedStorage, UntypedStorage)) and type(key) is str and
            type(location) is str and type(count) is int and count >= 0):
        raise CheckpointError(f"a storage is a {kind!r} of {count!r} elements")
    if part is not None and not (isinstance(part, tuple) and len(part) == 3 and type(part[1]) is int and part[1] >= 0):
        raise CheckpointError("a part of a storage is damaged")
    return kind, key, location, count, part


def swap(memory: np.ndarray, dtype: dtypes.dtype) -> None:
    """Turn round the bytes of each number, in place: the file was written on a machine of the other byte order."""
    width = dtype.itemsize // (2 if dtype.is_complex else 1)
    if width > 1:
        memory[:] = memory.view(f"u{width}").byteswap().view(np.uint8)


def _device(where: Any) -> device:
    return where if isinstance(where, device) else device(where)
