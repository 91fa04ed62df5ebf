"""`make_tensor`: random values for tests."""
from __future__ import annotations

from typing import Any

from .. import dtypes
from ..op import FUNCTIONS
from ..tensor import Tensor


def make_tensor(*shape: Any, dtype: dtypes.dtype, device: Any = "cpu", low: float | None = None,
                high: float | None = None, requires_grad: bool = False, noncontiguous: bool = False,
                exclude_zero: bool = False, memory_format: Any = None) -> Tensor:
    """Uniform values of [low, high): of [-9, 9) for numbers, [0, 10) for uint8, [0, 2) for bool, unless said.

    `exclude_zero` puts the smallest positive number, or 1, in the place of zeros. Raises ValueError where low >= high.
    """
    size = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    kind = dtypes.as_dtype(dtype)
    lowest, highest = {dtypes.bool: (0, 2), dtypes.uint8: (0, 10)}.get(kind, (-9, 9))
    low, high = lowest if low is None else low, highest if high is None else high
    if low >= high:
        raise ValueError(f"make_tensor: `low` must be less than `high`, but got {low} >= {high}")
    if noncontiguous and size:
        size = (*size[:-1], 2 * size[-1])
    if kind.is_complex:
        real = FUNCTIONS["rand"](*size, 2, dtype=dtypes.float64) * (high - low) + low
        t = FUNCTIONS["view_as_complex"](real)
    elif kind.is_floating_point:
        t = FUNCTIONS["rand"](*size, dtype=dtypes.float64) * (high - low) + low
    else:
        t = FUNCTIONS["randint"](int(low), int(high), size)
    t = t.to(device=device, dtype=kind)
    if exclude_zero:
        t = t.masked_fill(t == 0, FUNCTIONS["finfo"](kind).tiny if kind.is_floating_point else 1)
    t = t[..., ::2] if noncontiguous and size else t
    return t.requires_grad_() if requires_grad else t
