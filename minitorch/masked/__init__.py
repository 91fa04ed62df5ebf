"""Reductions, scans and normalisations that leave out elements: `torch.masked`.

Each is the function of that name without "masked", with a `mask` that broadcasts to the input: True where an element
counts. A result of no elements is what the function gives for none: 0 for a sum, -inf for a maximum, nan for a mean.
`dtype` is what the input is converted to first. IndexError is raised for a mask of more dimensions than the input,
RuntimeError for one that does not broadcast.

>>> from minitorch import tensor
>>> mean(tensor([[1.0, 5.0, 3.0]]), 1, mask=tensor([True, False, True]))
tensor([2.])
"""
from __future__ import annotations

import math
from typing import Any

from .. import dtypes, shapes
from ..errors import DTypeError, ShapeError
from ..errors import absent_from as _absent_from
from ..limits import iinfo
from ..op import FUNCTIONS, OPS
from ..ops.matrices import vector_norm
from ..tensor import Tensor

__all__ = ["amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean",
           "median", "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var"]
__getattr__ = _absent_from(__name__, lambda: __all__)


# Reductions

def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The sum; 0 of no elements. Integers are added as int64."""
    dims = _dims("sum", input, dim)
    return OPS["sum"].call(_filled("sum", _as(input, dtype), mask, 0), dims, keepdim)


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The product; 1 of no elements."""
    dims = _dims("prod", input, dim)
    y = _filled("prod", _as(input, dtype), mask, 1)
    for d in sorted(dims, reverse=True):
        y = y.prod(d, keepdim)
    return y if dims else y.prod()


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The largest element; of none the least value that the type has."""
    dims = _dims("amax", input, dim)
    return _filled("amax", _as(input, dtype), mask, "least").amax(dims, keepdim)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The smallest element; of none the greatest value that the type has."""
    dims = _dims("amin", input, dim)
    return _filled("amin", _as(input, dtype), mask, "greatest").amin(dims, keepdim)


def argmax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The index of the largest element, as a number of the input's type."""
    x = _as(input, dtype)
    return _filled("argmax", x, mask, "least").argmax(dim, keepdim).to(x.dtype)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The index of the smallest element, as a number of the input's type."""
    x = _as(input, dtype)
    return _filled("argmin", x, mask, "greatest").argmin(dim, keepdim).to(x.dtype)


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The mean; nan of no elements. Raises ValueError for integers, unless `dtype` is given."""
    x = _as(input, dtype)
    if not (x.is_floating_point() or x.is_complex()):
        raise _NotFloating("mean(): Could not infer output dtype. Input dtype must be either a floating point or "
                           f"complex dtype. Got: {x.dtype}")
    dims = _dims("mean", x, dim)
    if mask is None:
        return x.mean(dims, keepdim)
    return _mean("mean", x, dims, keepdim, mask)


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None):
    """The median along one dimension, of two in the middle the lower; nan of no elements.

    Raises ValueError where there are none and the type, not a floating one, has no nan.
    """
    x = _as(input, dtype)
    at = (_dims("median", x, dim) or (0,))[0]
    if x.is_complex():
        raise DTypeError("median: not implemented for complex tensors")
    if mask is None:
        return x.nanmedian(at, keepdim).values if x.is_floating_point() else x.median(at, keepdim).values
    if not x.is_floating_point() and not bool(_spread("median", x, mask).any(at).all()):
        raise ValueError("median: masked median expects no fully masked out rows if dtype is not floating point")
    wide = x if x.is_floating_point() else x.to(dtypes.float64)
    return _filled("median", wide, mask, math.nan).nanmedian(at, keepdim).values.to(x.dtype)


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """log Σ exp; -inf of no elements."""
    x = _as(input, dtype)
    x = _filled("logsumexp", x, mask, -math.inf if x.is_complex() else "least")
    return x.logsumexp(_dims("logsumexp", x, dim), keepdim).to(x.dtype)


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The norm of order `ord` of the elements as a vector; of none 0, for negative orders inf."""
    if isinstance(ord, str):
        raise NotImplementedError(f"norm: ord expects a number, got {ord!r}")
    x = _as(input, dtype)
    none = math.inf if ord is not None and ord < 0 else 0
    return vector_norm(_filled("norm", x, mask, none), ord, _dims("norm", x, dim), keepdim)


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The variance: the squared distances from the mean, summed and divided by their number less `correction` (1).

    `unbiased=False` means correction 0. nan where the number is 0, or no more than `correction`.
    """
    return _variance("var", input, dim, unbiased, correction, keepdim, dtype, mask)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The square root of `var`."""
    return _variance("std", input, dim, unbiased, correction, keepdim, dtype, mask).sqrt()


# Along a dimension

def cumsum(input, dim, *, dtype=None, mask=None):
    """The sums up to each element."""
    return _filled("cumsum", _as(input, dtype), mask, 0).cumsum((_dims("cumsum", input, dim) or (0,))[0])


def cumprod(input, dim, *, dtype=None, mask=None):
    """The products up to each element."""
    return _filled("cumprod", _as(input, dtype), mask, 1).cumprod((_dims("cumprod", input, dim) or (0,))[0])


def softmax(input, dim, *, dtype=None, mask=None):
    """exp(x) / Σ exp(x), 0 where the mask is; nan along a line of no elements."""
    return _filled("softmax", _as(input, dtype), mask, "least").softmax(dim)


def log_softmax(input, dim, *, dtype=None, mask=None):
    """The logarithm of `softmax`."""
    return _filled("log_softmax", _as(input, dtype), mask, "least").log_softmax(dim)


def softmin(input, dim, *, dtype=None, mask=None):
    """The `softmax` of -input."""
    at = (_dims("softmin", input, dim) or (0,))[0]
    return (-_filled("softmin", _as(input, dtype), mask, "greatest")).softmax(at)


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None):
    """Divided by the norm of order `ord` along `dim`, `eps` at least; 0 where the mask is."""
    x = _as(input, dtype)
    length = norm(x, ord, dim, keepdim=True, mask=mask)
    return _filled("normalize", x, mask, 0) / length.clamp(min=eps)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None):
    """log(exp(a) + exp(b)) of two tensors with a mask each."""
    a = _filled("logaddexp", _as(input, dtype), input_mask, "least")
    return a.logaddexp(_filled("logaddexp", _as(other, dtype), other_mask, "least"))


class _NotFloating(DTypeError, ValueError):
    """Of the classes that PyTorch raises with and without a mask."""


def _variance(name: str, x: Tensor, dim: Any, unbiased: bool | None, correction: float | None, keepdim: bool,
              dtype: Any, mask: Tensor | None) -> Tensor:
    if unbiased is not None and correction is not None:
        raise ValueError(f"{name}: Only one of unbiased and correction may be given, got {unbiased} and {correction}")
    correction = (0 if unbiased is False else 1) if correction is None else correction
    x = _as(x, dtype)
    x = x if x.is_floating_point() or x.is_complex() else x.to(dtypes.float32)
    dims = _dims(name, x, dim)
    if mask is None:
        return x.var(dims, correction=correction, keepdim=keepdim).to(x.dtype)
    centred = _filled(name, x - _mean(name, x, dims, True, mask), mask, 0)
    squared = centred * centred.conj()
    return squared.sum(dims, keepdim) / (_count(name, x, dims, keepdim, mask) - correction).clamp(min=0)


def _as(x: Tensor, dtype: Any) -> Tensor:
    return x if dtype is None else x.to(dtype)


def _dims(name: str, x: Tensor, dim: Any) -> tuple[int, ...]:
    """The dimensions that `dim` means, where none means all; those of a scalar are ()."""
    return shapes.axes(name, x, None if isinstance(dim, (tuple, list)) and not dim else dim)


def _spread(name: str, x: Tensor, mask: Tensor) -> Tensor:
    """The mask as bool, of the shape of `x`."""
    if mask.ndim > x.ndim:
        raise IndexError(f"{name}: expected broadcastable mask (got mask dimensionality higher than of the input): "
                         f"mask of shape {tuple(mask.shape)} for input of shape {tuple(x.shape)}")
    ends = tuple(x.shape)[x.ndim - mask.ndim:]
    if any(n not in (1, m) for n, m in zip(mask.shape, ends)):
        raise ShapeError(f"{name}: mask of shape {tuple(mask.shape)} does not broadcast to input of shape "
                         f"{tuple(x.shape)}")
    return mask.bool().expand(x.shape)


def _mean(name: str, x: Tensor, dims: tuple[int, ...], keepdim: bool, mask: Tensor) -> Tensor:
    return _filled(name, x, mask, 0).sum(dims, keepdim) / _count(name, x, dims, keepdim, mask)


def _count(name: str, x: Tensor, dims: tuple[int, ...], keepdim: bool, mask: Tensor) -> Tensor:
    return OPS["sum"].call(_spread(name, x, mask), dims, keepdim)


def _filled(name: str, x: Tensor, mask: Tensor | None, value: Any) -> Tensor:
    """`x` with `value` where the mask is False: a number, or the "least" or "greatest" that the type has."""
    if value in ("least", "greatest"):
        value = _extreme(name, x.dtype, value == "least")
    return x if mask is None else FUNCTIONS["where"](_spread(name, x, mask), x, value)


def _extreme(name: str, d: dtypes.dtype, least: bool) -> float:
    if d.is_complex:
        raise TypeError(f"{name}: complex numbers have no order, got {d}")
    if d is dtypes.bool:
        raise NotImplementedError(f"{name}: identity of {name} on {d} input")
    if d.is_floating_point:
        return -math.inf if least else math.inf
    limits = iinfo(d)
    return limits.min if least else limits.max
