"""What a dtype holds, and how compiled code rounds into it: the arithmetic under random numbers."""
from __future__ import annotations

import functools
from typing import Any

import numpy as np


def affine(x: np.ndarray, scale: float, shift: float) -> np.ndarray:
    """x * scale + shift in x's dtype (float32 or float64), rounded once, as a fused multiply-add rounds.

    A product of two float32 is exact in float64. A product of two float64 is a sum of two (Dekker, Numer.
    Math. 18, 1971), and so is a sum of two with its error (Knuth, TAOCP 2, 4.2.2).

    >>> affine(np.array([1 + 2.0**-30]), 1 - 2.0**-30, -1.0).item() == -(2.0**-60)
    True
    """
    scale, shift = x.dtype.type(scale), x.dtype.type(shift)
    if scale == 1 or shift == 0:
        return x * scale + shift  # one of the two steps is exact
    if x.dtype == np.float32:
        return fma(x, scale, shift)
    with np.errstate(over="ignore", invalid="ignore"):
        product = x * scale
        (x_high, x_low), (s_high, s_low) = _halves(x), _halves(scale)
        lost = ((x_high * s_high - product) + x_high * s_low + x_low * s_high) + x_low * s_low
        total = product + shift
        taken = total - product
        lost += (product - (total - taken)) + (shift - taken)
        return np.where(np.isfinite(lost), total + lost, total)  # beyond 1e300 the halves overflow


def fma(a: Any, b: Any, c: Any) -> np.ndarray:
    """a * b + c in float32 by way of float64: exact product, sum rounded twice (it shows once in 2^29)."""
    y = np.multiply(a, b, dtype=np.float64)
    y += c
    return y.astype(np.float32)


def cast(x: Any, dtype: np.dtype) -> Any:
    """x in dtype; float16 and bfloat16 by way of float32, from which PyTorch makes them."""
    if dtype.itemsize == 2 and dtype.kind not in "iu":
        x = x.astype(np.float32, copy=False)
    return x.astype(dtype, copy=False)


@functools.cache
def digits(dtype: np.dtype) -> int:
    """Binary digits of a floating dtype, 0 for another.

    >>> digits(np.dtype("float32")), digits(np.dtype("int8"))
    (24, 0)
    """
    return {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}.get(dtype.name, 0)


def work_dtype(op: str, dtype: np.dtype) -> type:
    """float64 for itself, float32 for the narrower ones: what PyTorch computes a floating dtype in.

    Raises NotImplementedError for any other dtype.
    """
    if not digits(dtype):
        raise NotImplementedError(f"{op}: expects a floating dtype, got {dtype}")
    return np.float64 if dtype == np.float64 else np.float32


def limits(dtype: np.dtype) -> tuple[float, float]:
    """The least and the greatest finite number of dtype."""
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind in "iu":
        return np.iinfo(dtype).min, np.iinfo(dtype).max
    greatest = float(np.finfo(np.float16 if dtype == np.float16 else work_dtype("limits", dtype)).max)
    return -greatest, greatest


def last_integer(op: str, dtype: np.dtype) -> int:
    """The largest integer that dtype holds with all before it. Raises NotImplementedError for complex ones.

    >>> last_integer("random_", np.dtype("float16"))
    2048
    """
    if dtype.kind == "c":
        raise NotImplementedError(f"{op}: expects a real dtype, got {dtype}")
    return 2 ** digits(dtype) if digits(dtype) else int(limits(dtype)[1])


def narrowed(low: int, high: int, dtype: np.dtype) -> tuple[int, int]:
    """[low, high) without ends that round out of it: beyond 2^digits a float lacks some integers.

    As PyTorch's random_ does it (update_from, update_to), which looks at low + 1 and high - 1 alone.

    >>> narrowed(0, 65504, np.dtype("float16"))
    (0, 65472)
    """
    d = digits(dtype)
    if d:
        up, down = (int(float(cast(np.float64(k), dtype))) for k in (low + 1, high - 1))
        if up < low:
            low = up + (1 << (abs(low + 1).bit_length() - d))
        if down >= high:
            high = down - (1 << (abs(high - 1).bit_length() - d))
    return low, high


def _halves(x: Any) -> tuple[Any, Any]:
    """x as a sum of two numbers of 26 bits, whose products are exact."""
    t = x * (2.0**27 + 1)
    high = t - (t - x)
    return high, x - high
