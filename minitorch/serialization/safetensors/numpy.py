"""`safetensors.numpy`: NumPy arrays in safetensors files."""
from __future__ import annotations

import io
from typing import Any

import numpy as np

from ..files import Source, opened, replace
from . import format as _format


def save_file(tensor_dict: dict[str, np.ndarray], filename: Any, metadata: dict[str, str] | None = None) -> None:
    """Write arrays to a path; it holds the old file or the new one whole, whenever the process dies."""
    arrays = _contiguous(tensor_dict)
    replace(filename, lambda file: _format.write(file.write, arrays, metadata))


def save(tensor_dict: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> bytes:
    """The content of a file of these arrays.

    >>> load(save({"a": np.arange(3)}))
    {'a': array([0, 1, 2])}
    """
    file = io.BytesIO()
    _format.write(file.write, _contiguous(tensor_dict), metadata)
    return file.getvalue()


def load_file(filename: Any) -> dict[str, np.ndarray]:
    """The arrays of a file. Raises FileNotFoundError, or SafetensorError where it is damaged or of another kind."""
    with opened(filename) as source:
        return _format.read(source)[0]


def load(data: bytes) -> dict[str, np.ndarray]:
    """The arrays in the content of a file."""
    return _format.read(Source(io.BytesIO(data), "<bytes>"))[0]


def _contiguous(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in arrays.items()}
