"""The numerical limits of types: finfo and iinfo."""
from __future__ import annotations

from typing import Any

import numpy as np

from . import dtypes
from .dtypes import as_dtype, get_default_dtype, to_numpy

# bits, eps, max, the smallest normal number, resolution of the types that NumPy does not have itself
_FORMATS = {
    dtypes.bfloat16: (16, 2.0**-7, 2.0**127 * (2 - 2.0**-7), 2.0**-126, 0.01),
    dtypes.float8_e4m3fn: (8, 2.0**-3, 448.0, 2.0**-6, 1.0),
    dtypes.float8_e5m2: (8, 2.0**-2, 57344.0, 2.0**-14, 1.0),
    dtypes.float8_e4m3fnuz: (8, 2.0**-3, 240.0, 2.0**-7, 1.0),
    dtypes.float8_e5m2fnuz: (8, 2.0**-3, 57344.0, 2.0**-15, 1.0),
    dtypes.float8_e8m0fnu: (8, 1.0, 2.0**127, 2.0**-127, 1.0),
}


class finfo:
    """The numerical properties of a floating type: bits, eps, max, min, tiny, smallest_normal, resolution.

    >>> finfo(dtypes.float16).max
    65504.0
    """

    def __init__(self, type: Any = None):
        d = get_default_dtype() if type is None else as_dtype(type)
        if d.kind < dtypes.FLOAT:
            raise TypeError(f"finfo: requires a floating point input type, got {d}; use iinfo")
        if d in _FORMATS:
            self.bits, self.eps, self.max, self.tiny, self.resolution = _FORMATS[d]
        else:
            found = np.finfo(to_numpy(d))
            self.bits, numbers = found.bits, (found.eps, found.max, found.tiny)
            self.eps, self.max, self.tiny = map(float, numbers)
            self.resolution = 10.0**-found.precision
        self.min, self.smallest_normal, self.dtype = -self.max, self.tiny, d.name
        if d is dtypes.float8_e8m0fnu:  # powers of two, no sign
            self.min = self.tiny

    def __repr__(self) -> str:
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
                f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})")


class iinfo:
    """The numerical properties of an integer type: bits, min, max.

    >>> iinfo(dtypes.uint8).max
    255
    """

    def __init__(self, type: Any):
        d = as_dtype(type)
        if d.kind != dtypes.INT:
            raise TypeError(f"iinfo: requires an integer input type, got {d}; use finfo")
        found = np.iinfo(to_numpy(d))
        self.bits, self.min, self.max, self.dtype = found.bits, int(found.min), int(found.max), d.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
