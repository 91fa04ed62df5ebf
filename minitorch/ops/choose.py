"""Ops that choose between values: where, maximum, clamp and their kin."""
from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..dtypes import promote
from ..limits import finfo
from ..op import FUNCTIONS, composite, op
from ..tensor import Tensor
from .elementwise import refuse


@op(method=False, function=False)
def where_(k, condition, input, other, /):
    """y = input where `condition`, else `other`; bool or uint8 conditions."""
    condition = _mask("where", condition)
    if hasattr(input, "dtype") or hasattr(other, "dtype"):
        input, other = promote(input, other)
    else:
        d = dtypes.to_numpy(dtypes.result_type(input, other))
        input, other = k.xp.asarray(input, d), k.xp.asarray(other, d)
    return (k.where(condition, input, other), lambda dy: None,
            lambda dy: k.where(condition, dy, 0), lambda dy: k.where(condition, 0, dy))


@composite(method=False)
def where(condition, input=None, other=None, *, out=None):
    """y = input where `condition`, else `other`; of a condition alone the indices where it holds, a tensor a dimension.

    >>> from minitorch import tensor
    >>> where(tensor([True, False]), tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.])
    """
    if input is None and other is None:
        return FUNCTIONS["nonzero"](condition, as_tuple=True)
    return where_(condition, input, other) if out is None else where_(condition, input, other, out=out)


def _where_method(self, condition, other):
    """This tensor where `condition`, else `other`."""
    return where_(condition, self, other)


Tensor.where = _where_method


@op(inplace=True)
def masked_fill(k, x, mask, value, /):
    """x with `value`, a number or a 0-d tensor, where `mask` is True."""
    if mask.dtype.kind != "b":
        raise RuntimeError("masked_fill: only supports boolean masks, but got mask with dtype "
                           f"{dtypes.from_numpy(mask.dtype)!r}")
    if getattr(value, "ndim", 0):
        raise RuntimeError("masked_fill: only supports a 0-dimensional value tensor, but got tensor with "
                           f"{value.ndim} dimension(s).")
    if (value.dtype.kind == "c" if hasattr(value, "dtype") else type(value) is complex) and x.dtype.kind != "c":
        raise RuntimeError(f"masked_fill: value cannot be converted to type {dtypes.from_numpy(x.dtype).name} without "
                           f"overflow, got {value}")
    y = k.where(mask, value.astype(x.dtype) if hasattr(value, "dtype") else x.dtype.type(value), x)
    return y, lambda dy: k.where(mask, 0, dy), lambda dy: None, lambda dy: k.xp.sum(k.where(mask, dy, 0))


# The larger, the smaller

def _extremum(name: str, kernel: str, wins: Callable) -> None:
    """maximum or minimum: nan wins; equal values share the gradient."""
    def body(k, a, b, /):
        a, b = promote(a, b)
        refuse(name, a if hasattr(a, "dtype") else b, "c")
        return (getattr(k, kernel)(a, b), lambda dy: k.where(a == b, dy / 2, k.where(wins(b, a), 0, dy)),
                lambda dy: k.where(a == b, dy / 2, k.where(wins(a, b), 0, dy)))

    _enter(name, body, f"The elementwise {name}; nan where either is nan.")


def _number_extremum(name: str, kernel: str, wins: Callable) -> None:
    """fmax or fmin: a number wins over nan; the first of equal values has the gradient."""
    def body(k, a, b, /):
        a, b = promote(a, b)
        refuse(name, a if hasattr(a, "dtype") else b, "c")
        return (getattr(k, kernel)(a, b), lambda dy: k.where((a == b) | wins(a, b) | (b != b), dy, 0),
                lambda dy: k.where((a == b) | wins(a, b) | (b != b), 0, dy))

    _enter(name, body, f"The elementwise {name[1:]}imum; where one is nan, the other.")


def _enter(name: str, body: Callable, doc: str) -> None:
    body.__name__ = body.__qualname__ = name
    body.__doc__ = doc
    globals()[name] = op(body)


_extremum("maximum", "maximum", lambda a, b: a > b)
_extremum("minimum", "minimum", lambda a, b: a < b)
_number_extremum("fmax", "fmax", lambda a, b: a > b)
_number_extremum("fmin", "fmin", lambda a, b: a < b)


# Within bounds

@op(inplace=True)
def clamp(k, x, min=None, max=None, /):
    """min(max(x, min), max), of numbers or tensors; `max` where min > max. nan stays nan."""
    if x.dtype.kind != "f" or type(min) not in _BOUNDS or type(max) not in _BOUNDS or min is max is None:
        x, min, max = _clamped(k, x, min, max)
    y = k.minimum(x, max) if min is None else k.maximum(x, min) if max is None else k.hardtanh(x, min, max)
    return (y, lambda dy: k.where(_inside(x, min, max), dy, 0),
            lambda dy: k.where(_at_min(x, min, max), dy, 0), lambda dy: k.where(_at_max(x, min, max), dy, 0))


_BOUNDS = (float, int, type(None))


def _clamped(k: Any, x: Any, low: Any, high: Any) -> tuple[Any, Any, Any]:
    """The operands of clamp in their common type."""
    refuse("clamp", x, "c")
    given = [bound for bound in (low, high) if bound is not None]
    if not given:
        raise RuntimeError("clamp: At least one of 'min' or 'max' must not be None")
    d = dtypes.to_numpy(dtypes.result_type(x, *given))
    x, low, high = (v if v is None else _as("clamp", k, v, d) for v in (x, low, high))
    return x, low, high


def _inside(x: Any, low: Any, high: Any) -> Any:
    if low is None or high is None:
        return x <= high if low is None else x >= low
    return (x >= low) & (x <= high)


def _at_min(x: Any, low: Any, high: Any) -> Any:
    return x < low if high is None else (x < low) & (low < high)


def _at_max(x: Any, low: Any, high: Any) -> Any:
    return x > high if low is None else (x > high) | (high < low)


@composite(inplace=True)
def clamp_min(input, min):
    """x, or `min` where it is smaller."""
    return clamp(input, min)


@composite(inplace=True)
def clamp_max(input, max):
    """x, or `max` where it is larger."""
    return clamp(input, None, max)


@op(inplace=True)
def nan_to_num(k, x, /, nan=0.0, posinf=None, neginf=None):
    """x with `nan` for nan, and the largest and smallest finite number (unless given) for the infinities."""
    if x.dtype.kind not in "fcV":
        return x.copy(), lambda dy: dy
    info = finfo(dtypes.from_numpy(x.dtype))
    y = k.where(x != x, nan or 0.0, x)
    y = k.where(x == float("inf"), info.max if posinf is None else posinf, y)
    y = k.where(x == -float("inf"), info.min if neginf is None else neginf, y)
    return y, lambda dy: k.where(k.isfinite(x), dy, 0)


def _as(name: str, k: Any, value: Any, dtype: Any) -> Any:
    try:
        return k.xp.asarray(value, dtype)
    except OverflowError:
        raise RuntimeError(f"{name}: value {value} cannot be converted to type {dtype} without overflow") from None


def _mask(name: str, mask: Any) -> Any:
    if mask.dtype.kind == "b":
        return mask
    if mask.dtype != "uint8":
        raise RuntimeError(f"{name}: expected condition to be a boolean tensor, but got a tensor with dtype "
                           f"{dtypes.from_numpy(mask.dtype)!r}")
    warnings.warn(f"{name} received a uint8 condition tensor. This behavior is deprecated; use bool instead.",
                  UserWarning, stacklevel=4)
    return mask != 0
