"""What is known of a function's arguments while it is folded: constants, and the types and shapes of arrays."""
from __future__ import annotations

from typing import Any

import numpy as np

SIMPLE = (bool, int, float, str, type(None))


class Unknown:
    """What nothing is known of; also where several calls differ."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = Unknown()


class Array:
    """What is known of an array: enough to answer questions about its shape and type, which raise where it is not."""

    def __init__(self, shape: tuple[int, ...] | None, dtype: np.dtype | None, ndim: int | None, filled: bool):
        self._shape, self._dtype, self._ndim, self._filled = shape, dtype, ndim, filled

    @property
    def key(self) -> tuple:
        return self._shape, self._dtype, self._ndim, self._filled

    @property
    def shape(self) -> Any:
        return self._shape if self._shape is not None else Sizes(self._ndim, self._filled)

    @property
    def ndim(self) -> int:
        if self._ndim is None:
            raise LookupError
        return self._ndim

    @property
    def dtype(self) -> np.dtype:
        if self._dtype is None:
            raise LookupError
        return self._dtype

    def joined(self, other: Array) -> Array:
        return Array(self._shape if self._shape == other._shape else None,
                     self._dtype if self._dtype == other._dtype else None,
                     self._ndim if self._ndim == other._ndim else None, self._filled and other._filled)


def _asked(self: Any, *operands: Any) -> Any:
    raise LookupError("an array's values are not known")


for _name in ("eq", "ne", "lt", "le", "gt", "ge", "bool", "add", "radd", "sub", "rsub", "mul", "rmul", "truediv",
              "rtruediv", "pow", "neg", "and", "or", "getitem", "len", "iter", "contains", "invert", "float", "int"):
    setattr(Array, f"__{_name}__", _asked)


class Sizes:
    """The shape of arrays that differ in it."""

    def __init__(self, ndim: int | None, filled: bool):
        self._ndim, self._filled = ndim, filled

    def __len__(self) -> int:
        if self._ndim is None:
            raise LookupError
        return self._ndim

    def __contains__(self, size: Any) -> bool:
        if size == 0 and self._filled:
            return False
        raise LookupError

    def __getitem__(self, i: Any) -> Any:
        raise LookupError

    __iter__: Any = None


def joined(a: Any, b: Any) -> Any:
    """What is known where either of two values may be meant."""
    if isinstance(a, Array) and isinstance(b, Array):
        return a.joined(b)
    same = type(a) is type(b) and (a is b or (is_simple(a) and (a == b or a != a)))
    return a if same else UNKNOWN


def alike(a: Any, b: Any) -> bool:
    return a.key == b.key if isinstance(a, Array) and isinstance(b, Array) else joined(a, b) is not UNKNOWN or a is b


def is_simple(value: Any) -> bool:
    return isinstance(value, SIMPLE) or (isinstance(value, tuple) and all(map(is_simple, value)))
