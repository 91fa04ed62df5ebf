"""The memory below a tensor as a flat sequence: `x.untyped_storage()`, `x.storage()`, `FloatStorage`."""
from __future__ import annotations

import functools
from typing import Any

import numpy as np

from . import dtypes
from .device import CPU, device_of
from .legacy import _WORDS
from .op import composite
from .tensor import Tensor

method = functools.partial(composite, function=False)


class UntypedStorage:
    """Bytes: those that a tensor and its views share, or new ones: `UntypedStorage(8)`, `UntypedStorage([1, 2])`."""

    _bytes: Any

    def __init__(self, *args: Any, device: Any = None):
        if args and not isinstance(args[0], (int, np.integer)):
            self._bytes = np.array(args[0], np.uint8)
        else:
            self._bytes = np.zeros(args[0] if args else 0, np.uint8)

    @classmethod
    def _of(cls, array: Any) -> UntypedStorage:
        storage = cls.__new__(cls)
        storage._bytes = _memory(array)
        return storage

    def nbytes(self) -> int:
        """How many bytes there are."""
        return self._bytes.size

    size = __len__ = nbytes

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._bytes.ctypes.data if isinstance(self._bytes, np.ndarray) else self._bytes.data.ptr

    def element_size(self) -> int:
        """Bytes an element: 1."""
        return 1

    @property
    def device(self) -> Any:
        return device_of(self._bytes)

    is_cuda = property(lambda self: self.device.type == "cuda")
    is_cpu = property(lambda self: self.device is CPU)

    def __getitem__(self, index: Any) -> Any:
        found = self._bytes[index]
        return int(found) if np.ndim(found) == 0 else type(self)._of(found)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._bytes[index] = value

    def tolist(self) -> list[int]:
        """The bytes as numbers."""
        return self._bytes.tolist()

    def clone(self) -> UntypedStorage:
        """A copy."""
        return type(self)._of(self._bytes.copy())

    def copy_(self, source: UntypedStorage, non_blocking: bool = False) -> UntypedStorage:
        """The bytes of another storage into this one."""
        self._bytes[...] = source._bytes
        return self

    def fill_(self, value: int) -> UntypedStorage:
        """One value everywhere."""
        self._bytes[...] = value
        return self

    def cpu(self) -> UntypedStorage:
        """These bytes in the CPU's memory."""
        return self if self.device.type == "cpu" else type(self)._of(self._bytes.get())

    def __repr__(self) -> str:
        return (" " + "\n ".join(map(str, self.tolist())) +
                f"\n[torch.storage.UntypedStorage(device={self.device}) of size {len(self)}]")


class TypedStorage:
    """Elements of one type: those that a tensor and its views share, or new ones: `FloatStorage([1.0, 2.0])`."""

    dtype: dtypes.dtype = dtypes.float32

    def __init__(self, *args: Any, wrap_storage: UntypedStorage | None = None, dtype: Any = None, device: Any = None):
        if dtype is not None:
            self.dtype = dtypes.as_dtype(dtype)
        if wrap_storage is not None:
            self._untyped_storage = wrap_storage
        else:
            given = args[0] if args else 0
            kind = dtypes.to_numpy(self.dtype)
            array = np.zeros(given, kind) if isinstance(given, (int, np.integer)) else np.array(given, kind)
            self._untyped_storage = UntypedStorage._of(array)

    @property
    def _elements(self) -> Any:
        kind = dtypes.to_numpy(self.dtype)
        memory = self._untyped_storage._bytes
        return memory[:memory.size // kind.itemsize * kind.itemsize].view(kind)

    def untyped(self) -> UntypedStorage:
        """The bytes below."""
        return self._untyped_storage

    def size(self) -> int:
        """The number of elements."""
        return self._elements.size

    __len__ = size

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._untyped_storage.nbytes()

    def element_size(self) -> int:
        """Bytes an element."""
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self._untyped_storage.data_ptr()

    device = property(lambda self: self._untyped_storage.device)
    is_cuda = property(lambda self: self._untyped_storage.is_cuda)

    def __getitem__(self, index: Any) -> Any:
        found = self._elements[index]
        return found.item() if np.ndim(found) == 0 else TypedStorage(wrap_storage=UntypedStorage._of(found),
                                                                      dtype=self.dtype)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._elements[index] = value

    def tolist(self) -> list:
        """The elements as numbers."""
        return self._elements.tolist()

    def clone(self) -> TypedStorage:
        """A copy."""
        return TypedStorage(wrap_storage=self._untyped_storage.clone(), dtype=self.dtype)

    def fill_(self, value: Any) -> TypedStorage:
        """One value everywhere."""
        self._elements[...] = value
        return self

    def cpu(self) -> TypedStorage:
        """These elements in the CPU's memory."""
        return TypedStorage(wrap_storage=self._untyped_storage.cpu(), dtype=self.dtype)

    def __repr__(self) -> str:
        return (" " + "\n ".join(map(str, self.tolist())) +
                f"\n[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {len(self)}]")


KINDS: dict[str, Any] = {f"{word}Storage": type(f"{word}Storage", (TypedStorage,), {"dtype": d, "__module__": "torch"})
         for word, d in _WORDS.items()}
globals().update(KINDS)


def is_storage(obj: Any) -> bool:
    """Whether `obj` is a storage."""
    return isinstance(obj, (UntypedStorage, TypedStorage))


@method
def untyped_storage(self):
    """The bytes that this tensor and its views share."""
    return UntypedStorage._of((self if self._base is None else self._base)._array)


@method
def storage(self):
    """The elements that this tensor and its views share."""
    return TypedStorage(wrap_storage=untyped_storage(self), dtype=self.dtype)


def storage_type(self: Tensor) -> type:
    """The class of its storage."""
    return next(kind for kind in KINDS.values() if kind.dtype is self.dtype)


Tensor.storage_type = storage_type  # type: ignore[attr-defined]


def _memory(array: Any) -> Any:
    """All memory of which `array` shows a part, as bytes."""
    if not array.flags.c_contiguous and array.flags.f_contiguous:
        array = array.T
    while not array.flags.c_contiguous:
        if type(array.base) is not type(array):
            raise RuntimeError("untyped_storage: this tensor's memory is not one piece; take its contiguous() copy")
        array = array.base
    return array.reshape(-1).view(np.uint8)
