"""CuPy as the references see it: with what it lacks for bfloat16, where NumPy computes as for every other float type.

CuPy's `where` and `clip` have no bfloat16 of their own and give float32; Thrust, which sorts for it, knows none.
Values pass through float32, which holds each of them and orders them alike.
"""
from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np


class CuPy(ModuleType):
    """The module with those functions replaced."""

    def __init__(self, cupy: ModuleType):
        super().__init__("cupy", __doc__)
        self._cupy: Any = cupy

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cupy, name)
        setattr(self, name, found)  # from now on found at once
        return found

    def where(self, condition: Any, *values: Any) -> Any:
        y = self._cupy.where(condition, *values)
        if values and y.dtype.char == "f":
            dtypes = [v.dtype for v in values if hasattr(v, "dtype")]
            if dtypes and all([d.char == "E" for d in dtypes]):
                return y.astype(dtypes[0])
        return y

    def clip(self, x: Any, low: Any = None, high: Any = None, out: Any = None) -> Any:
        if x.dtype.char != "E":
            return self._cupy.clip(x, low, high, out)
        y = x if low is None else self._cupy.maximum(x, low)
        y = y if high is None else self._cupy.minimum(y, high)
        if out is None:
            return y.copy() if y is x else y
        out[...] = y
        return out

    def sort(self, x: Any, axis: int = -1) -> Any:
        return self._cupy.sort(_wide(x), axis).astype(x.dtype, copy=False)

    def argsort(self, x: Any, axis: int = -1) -> Any:
        """Stable, as all of CuPy's."""
        return self._cupy.argsort(_wide(x), axis)

    def argpartition(self, x: Any, kth: Any, axis: int = -1) -> Any:
        return self._cupy.argpartition(_wide(x), kth, axis)

    def unique(self, x: Any, **options: Any) -> Any:
        found = self._cupy.unique(_wide(x), **options)
        if isinstance(found, tuple):
            return (found[0].astype(x.dtype, copy=False), *found[1:])
        return found.astype(x.dtype, copy=False)


def _wide(x: Any) -> Any:
    return x.astype(np.float32) if x.dtype.char == "E" else x
