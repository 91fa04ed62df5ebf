"""Reductions: sums, means, products, moments and norms over all or some dimensions."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes, shapes
from ..errors import BoundsError, DTypeError
from ..op import composite, op
from .elementwise import conjugate

# NumPy's letters of the types whose sums are int64, as PyTorch has it
_NARROW = frozenset(np.dtype(name).char for name in (
    "bool", "int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64"))


@op
def sum(k, x, /, dim=None, keepdim=False, *, dtype=None):
    """Σ x over `dim`: all dimensions, one or several. Integers and bools are added as int64.

    >>> import minitorch as torch
    >>> torch.ones(2, 3).sum(dim=1)
    tensor([3., 3.])
    """
    dims, shape = None if dim is None else dims_of("sum", x, dim), x.shape
    return _typed(k.sum(_addable(x, dtype), dims, keepdim), dtype), lambda dy: k.spread(dy, dims, shape)


@op
def nansum(k, x, /, dim=None, keepdim=False, *, dtype=None):
    """The sum of the elements that are not NaN."""
    dims, shape = dims_of("nansum", x, dim), x.shape
    x = _addable(x, dtype)
    if x.dtype.kind not in "fV":
        return _typed(k.sum(x, dims, keepdim), dtype)
    number = x == x
    return (k.sum(k.where(number, x, x.dtype.type(0)), dims, keepdim),
            lambda dy: k.spread(dy, dims, shape) * number)


@op
def mean(k, x, /, dim=None, keepdim=False, *, dtype=None):
    """Σ x / n over `dim`: all dimensions, one or several. Raises DTypeError for integers, unless `dtype` is given."""
    dims, shape = dims_of("mean", x, dim), x.shape
    if dtype is not None:
        x = x.astype(dtypes.to_numpy(dtypes.as_dtype(dtype)))
    if x.dtype.kind not in "fcV":
        raise DTypeError("mean: could not infer output dtype. Input dtype must be either a floating point or complex "
                         f"dtype. Got: {dtypes.from_numpy(x.dtype)}")
    n, wide = count(shape, dims), _wide(x)
    y = k.sum(wide, dims, keepdim) / (n or math.nan)
    half = wide is not x  # sums and n may leave the range of float16
    return ((y.astype(x.dtype) if half else y),
            lambda dy: k.spread(dy * (1 / (n or 1)) if half else dy / (n or 1), dims, shape))


@composite
def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean of the elements that are not NaN."""
    if not (input.is_floating_point() or input.is_complex()):
        raise DTypeError(f"nanmean: expected input to have floating point or complex dtype but got {input.dtype}")
    found = input == input
    return nansum(input, dim, keepdim, dtype=dtype) / sum(found, dim, keepdim)


@op
def prod(k, x, /, dim=None, keepdim=False, *, dtype=None):
    """Π x over one dimension, or all. The gradient is right where elements are zero."""
    dims, shape = dims_of("prod", x, dim), x.shape
    if dim is not None and len(dims) > 1:
        raise TypeError(f"prod(): argument 'dim' must be int, got {dim}")
    x = _addable(x, dtype)

    def dx(dy):
        if len(dims) == 1:
            return k.spread(dy, dims, shape) * k.prod_others(conjugate(x), dims[0])
        return (dy * k.prod_others(conjugate(x).reshape(-1), 0)).reshape(shape)

    return _typed(k.prod(x, axis=dims if dim is not None else None, keepdims=keepdim), dtype), dx


@op
def count_nonzero(k, x, /, dim=None):
    """How many elements are not zero."""
    return (x != 0).sum(dims_of("count_nonzero", x, dim), dtype="int64")


# Moments


@op
def var(k, x, /, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """Σ (x - mean)² / (n - correction), the variance over `dim`; the correction is 1 by default.

    `unbiased=False` means correction 0. Where n - correction is not positive the result is nan or inf.

    >>> import minitorch as torch
    >>> torch.tensor([1.0, 3.0]).var(), torch.tensor([1.0, 3.0]).var(unbiased=False)
    (tensor(2.), tensor(1.))
    """
    dims, degrees, shape = _moment("var", x, dim, unbiased, correction)
    return (_variance(k, x, dims, degrees, keepdim),
            lambda dy: _variance_dx(k, k.spread(dy, dims, shape), x, dims, degrees))


@op
def std(k, x, /, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """√var(x), the standard deviation. The gradient is 0 where the deviation is."""
    dims, degrees, shape = _moment("std", x, dim, unbiased, correction)
    y = k.sqrt(_variance(k, x, dims, degrees, keepdim))

    def dx(dy):
        half = k.where(y == 0, 0.0, dy / (2 * k.where(y == 0, 1.0, y)))
        return _variance_dx(k, k.spread(half, dims, shape), x, dims, degrees)

    return y, dx


@composite
def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """`var` and `mean`."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


@composite
def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """`std` and `mean`."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


# Truth


@op
def all(k, x, /, dim=None, keepdim=False):
    """Whether all elements are true (not zero). Of none they are."""
    y = x.all(axis=shapes.axes("all", x, dim), keepdims=keepdim)
    return y.astype("uint8") if x.dtype.char == "B" else y


@op
def any(k, x, /, dim=None, keepdim=False):
    """Whether any element is true (not zero)."""
    y = x.any(axis=shapes.axes("any", x, dim), keepdims=keepdim)
    return y.astype("uint8") if x.dtype.char == "B" else y


# Norms


@op(method=False, function=False)
def vector_norm_(k, x, /, p, dim, keepdim):
    """(Σ |x|^p)^(1/p) over `dim`, with its limits for p = ±inf, and for p = 0 the number of elements not zero."""
    dims, shape = shapes.axes("norm", x, dim), x.shape
    if x.dtype.kind not in "fcV":
        raise DTypeError("norm: Expected a floating point or complex tensor as input. Got "
                         f"{dtypes.from_numpy(x.dtype)}")
    if (p < 0 and 0 in [shape[d] for d in dims]) or (abs(p) == math.inf and count(shape, dims) == 0):
        raise BoundsError(f"norm: cannot compute the {p} norm of no elements: x of shape {shape}, dim {dims}")
    y = _norm(k, _wide(x), p, dims, keepdim)
    kept = shapes.kept(shape, dims)
    return y if y.dtype == x.dtype or x.dtype.kind == "c" else y.astype(x.dtype), lambda dy: _norm_dx(
        k, dy.reshape(kept), x, y.reshape(kept), p, dims)


@composite
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The p-norm over `dim`, or of all elements: "fro" and 2 the Euclidean one, inf the largest magnitude.

    >>> import minitorch as torch
    >>> torch.tensor([3.0, -4.0]).norm()
    tensor(5.)
    """
    if dtype is not None:
        input = input.to(dtypes.as_dtype(dtype))
    if p == "nuc":
        from .matrices import matrix_norm

        y = matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim)
    else:
        if isinstance(p, str) and p != "fro":
            raise RuntimeError(f"norm: p expects a number, 'fro' or 'nuc', got {p!r}")
        y = vector_norm_(input, 2 if p in ("fro", None) else p, dim if dim != () else None, keepdim)
    return y if out is None else out.resize_(y.shape).copy_(y)


@composite
def dist(input, other, p=2):
    """The p-norm of the difference."""
    return norm(input - other, p)


@op
def logsumexp(k, x, /, dim, keepdim=False):
    """log Σ exp(x) over `dim`, without overflow.

    >>> import minitorch as torch
    >>> torch.logsumexp(torch.tensor([1000.0, 1000.0]), 0)
    tensor(1000.6932)
    """
    dims = dims_of("logsumexp", x, dim)
    kept = shapes.kept(x.shape, dims)
    if x.dtype.kind == "c":
        y = _complex_logsumexp(k, x, dims, keepdim)
        return y, lambda dy: dy.reshape(kept) * k.exp(x - y.reshape(kept)).conj()
    if x.dtype.kind not in "fV":
        x = x.astype(dtypes.to_numpy(dtypes.get_default_dtype()))
    y = k.logsumexp(x, dims, keepdim) if dims else x * 1
    return y, lambda dy: dy.reshape(kept) * k.exp(x - _finite(k, y.reshape(kept)))


def _complex_logsumexp(k: Any, x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    top = k.xp.max(x.real, axis=dims, keepdims=True) if x.size else k.xp.zeros((), x.real.dtype)
    top = k.where(abs(top) == math.inf, 0, top)
    y = k.xp.log(k.xp.sum(k.xp.exp(x - top), axis=dims, keepdims=True)) + top
    return y if keepdim else k.xp.squeeze(y, dims)


# What reductions share


def dims_of(name: str, x: Any, dim: Any) -> tuple[int, ...]:
    """The dimensions to reduce, of which () means all, as None does."""
    return shapes.axes(name, x, None if dim == () or dim == [] else dim)


def count(shape: tuple[int, ...], dims: tuple[int, ...]) -> int:
    """How many elements each result is made of."""
    return math.prod([shape[d] for d in dims])


def _addable(x: Any, dtype: Any) -> Any:
    """`x` in the type in which it is added or multiplied up."""
    if dtype is not None:
        return x.astype(dtypes.to_numpy(dtypes.as_dtype(dtype)))
    return x.astype("int64") if x.dtype.char in _NARROW else x


def _typed(y: Any, dtype: Any) -> Any:
    """A sum or product in the type that was asked for: NumPy has those of small integers in int64."""
    return y if dtype is None else y.astype(dtypes.to_numpy(dtypes.as_dtype(dtype)), copy=False)


def _wide(x: Any) -> Any:
    """float16 and bfloat16 arrays as float32."""
    return x.astype("float32") if getattr(x.dtype, "char", "") in {"e", "E"} else x


def _moment(name: str, x: Any, dim: Any, unbiased: Any, correction: Any) -> tuple:
    """The dimensions, the degrees of freedom n - correction (0 at least), and the shape."""
    if x.dtype.kind not in "fcV":
        raise DTypeError(f"{name}: std and var only support floating point and complex dtypes, got "
                         f"{dtypes.from_numpy(x.dtype)}")
    if isinstance(dim, bool):  # var(unbiased)
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(f"{name}() received an invalid combination of arguments: both unbiased and correction")
    dims = dims_of(name, x, dim)
    wanted = (unbiased is not False) if correction is None else correction
    degrees = count(x.shape, dims) - wanted
    return dims, degrees if degrees > 0 else 0, x.shape


def _variance(k: Any, x: Any, dims: tuple, degrees: float, keepdim: bool) -> Any:
    wide = _wide(x)
    n = count(x.shape, dims)
    d = wide - k.sum(wide, dims, True) / (n or 1)
    total = k.sum((d * d.conj()).real if x.dtype.kind == "c" else k.mul(d, d), dims, keepdim)
    total = total / degrees  # nan or inf for none
    return total.astype(x.dtype) if wide is not x else total


def _variance_dx(k: Any, dy: Any, x: Any, dims: tuple, degrees: float) -> Any:
    n = count(tuple(x.shape), dims)
    if not degrees:
        return dy * math.nan
    x = _wide(x)
    return dy * ((x - k.sum(x, dims, True) / n) * (2 / degrees))


def _norm(k: Any, x: Any, p: float, dims: tuple, keepdim: bool) -> Any:
    if p == 2 and x.dtype.kind == "f":
        if len(dims) == x.ndim and x.flags.c_contiguous and not keepdim:
            flat = x.reshape(-1)
            return k.sqrt(k.xp.dot(flat, flat))
        return k.sqrt(k.sum_squares(x, keepdim) if dims == (x.ndim - 1,) else k.sum(k.mul(x, x), dims, keepdim))
    size = k.abs(x)
    if p == 1:
        return k.sum(size, dims, keepdim)
    if p == 0:
        return k.sum((size != 0).astype(size.dtype), dims, keepdim)
    if p in (math.inf, -math.inf):
        return (k.xp.max if p > 0 else k.xp.min)(size, axis=dims, keepdims=keepdim)
    return k.sum(size ** p, dims, keepdim) ** (1 / p)


def _norm_dx(k: Any, dy: Any, x: Any, y: Any, p: float, dims: tuple) -> Any:
    """The derivative, 0 where the norm has none: at the origin, and for p < 2 at zero elements."""
    if p == 0:
        return k.sgn(x) * 0 * dy
    if p == 1:
        return dy * k.sgn(x)
    if p in (math.inf, -math.inf):
        largest = same(k.abs(x), y)
        return k.sgn(x) * (largest * (dy / k.sum(largest * 1.0, dims, True)))
    zero = y == 0
    safe = k.where(zero, 1.0, y)
    scale = k.where(zero, 0.0, dy / safe)
    if p == 2:
        return x * scale
    size = k.abs(x) / safe
    if p > 2:
        return k.sgn(x) * (size ** (p - 1)) * (scale * safe)
    missing = size == 0
    return k.sgn(x) * k.where(missing, 0.0, k.where(missing, 1.0, size) ** (p - 1)) * (scale * safe)


def same(x: Any, y: Any) -> Any:
    """Whether elements are equal, nan to nan."""
    return (x == y) | ((x != x) & (y != y))


def _finite(k: Any, y: Any) -> Any:
    """`y` with 0 for -inf: where all x are -inf, exp(-inf - 0) is the 0 that is meant, and inf - inf does not arise."""
    return k.where(y == -math.inf, 0.0, y)
