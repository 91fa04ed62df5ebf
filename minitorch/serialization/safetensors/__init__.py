"""The package `safetensors` for programs that run here: `safe_open`, and the modules `torch` and `numpy`."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from ...tensor import Tensor
from ..files import opened
from . import format as _format
from .format import SafetensorError as SafetensorError

__version__ = "0.8.0"


class safe_open:
    """A file whose arrays are read one by one: `with safe_open(path, "pt") as f: f.get_tensor(name)`.

    `framework` is "pt" for tensors, on `device`, or "np" for NumPy arrays.
    """

    def __init__(self, filename: Any, framework: str, device: Any = "cpu"):
        if framework not in ("pt", "torch", "pytorch", "np", "numpy"):
            raise _format.SafetensorError(f"safe_open: framework expects 'pt' or 'np', got {framework!r}")
        self._tensors, self._device = framework[0] == "p" or framework == "torch", device
        self._stack = ExitStack()
        self._source = self._stack.enter_context(opened(filename))
        try:
            self._entries, self._metadata = _format.header(self._source)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.close()

    def keys(self) -> list[str]:
        """The names of the arrays."""
        return sorted(self._entries)

    def offset_keys(self) -> list[str]:
        """The names of the arrays, in the order in which they lie in the file."""
        return sorted(self._entries, key=lambda name: self._entries[name].place)

    def metadata(self) -> dict[str, str] | None:
        """The texts that were saved with the arrays."""
        return self._metadata or None

    def get_tensor(self, name: str) -> Any:
        """The array of that name. Raises SafetensorError where there is none."""
        if name not in self._entries:
            raise _format.SafetensorError(f"File does not contain tensor {name}")
        array = _format.array(self._source, self._entries[name])
        return Tensor._wrap(array).to(self._device) if self._tensors else array

    def get_slice(self, name: str) -> _Slice:
        """The array of that name, to be read by what is asked of it: `f.get_slice(name)[:, 2:]`."""
        return _Slice(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())


class _Slice:
    def __init__(self, file: safe_open, name: str):
        if name not in file._entries:
            raise _format.SafetensorError(f"File does not contain tensor {name}")
        self._file, self._name, self._entry = file, name, file._entries[name]

    def get_shape(self) -> list[int]:
        return list(self._entry.shape)

    def get_dtype(self) -> str:
        return next(name for name, dtype in _format.NAMES.items() if dtype is self._entry.dtype)

    def __getitem__(self, index: Any) -> Any:
        return self._file.get_tensor(self._name)[index]
