"""The arrays of a MATLAB file of version 5 to 7.2 (MathWorks, "MAT-File Format", chapter 1)."""
from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from minitorch.vision.datasets.utils import DatasetError

# The number types of a file, by their code: 1 to 7, 9, 12, 13; and of arrays, by their class: 6 to 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_MATRIX, _COMPRESSED = 14, 15


def read_mat(path) -> dict[str, np.ndarray]:
    """The arrays of numbers in a MAT-file by name, as Fortran-ordered arrays of MATLAB's shapes.

    Raises DatasetError for a damaged or another file, and for arrays that do not hold real numbers.
    """
    content = Path(path).read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise DatasetError(f"{path}: expected a MAT-file of version 5 to 7.2, got {len(content)} bytes of another kind")
    arrays = {}
    try:
        for kind, data in _elements(content[128:], order):
            if kind == _COMPRESSED:
                (kind, data), = _elements(zlib.decompress(data), order)
            if kind == _MATRIX:
                name, array = _array(data, order)
                arrays[name] = array
    except (KeyError, IndexError, ValueError, zlib.error) as error:
        raise DatasetError(f"{path}: damaged, or it holds more than arrays of real numbers: {error!r}") from error
    return arrays


def _elements(content: bytes, order: str):
    """(type, data) of each element; one of up to 4 bytes may share 8 bytes with its tag."""
    at = 0
    while at + 8 <= len(content):
        kind, size = (int(word) for word in np.frombuffer(content, order + "u4", 2, at))
        start = at + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
        if start + size > len(content):
            raise ValueError(f"an element of {size} bytes where {len(content) - start} are left")
        yield kind, content[start : start + size]
        at = start + size
        if kind != _COMPRESSED:
            at += -at % 8


def _array(data: bytes, order: str) -> tuple[str, np.ndarray]:
    """(name, array) of a matrix element: flags, dimensions, name, values."""
    (_, flags), (_, dimensions), (_, name), (kind, values), *more = _elements(data, order)
    code = int(np.frombuffer(flags, order + "u4", 1)[0])
    if more:
        raise ValueError("complex numbers")
    shape = np.frombuffer(dimensions, order + "i4").tolist()
    numbers = np.frombuffer(values, order + _TYPES[kind])
    return name.decode("latin1"), numbers.astype(_CLASSES[code & 0xFF]).reshape(shape, order="F")
