"""Elements placed along one dimension: scatter, and its forms that add, multiply, average or compare."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..device import cpu_kernels
from ..errors import DTypeError, ShapeError
from ..limits import iinfo
from ..op import composite, joint, op
from ..tensor import Tensor
from .gather import _along, _flat, _gathered, _slices, gather_, into
from .on_cpu import on_cpu
from .shape import reshape


@op(method=False, function=False)
def scatter_(k, x, src, index, /, dim):
    at = _along("scatter", k, x, index, dim)
    if hasattr(src, "dtype"):
        if src.dtype != x.dtype:
            raise DTypeError(f"scatter: Expected self.dtype to be equal to src.dtype, got {x.dtype} and {src.dtype}")
        _covers("scatter", src, index)
    y = x.copy()
    if index.size:
        _place(k, y, index, at, _part_of(src, index))
    wide = getattr(src, "shape", ())
    return (y, lambda dy: _cleared(k, dy, index, at),
            lambda dy: _padded(k, _gathered(k, dy, index, at), wide))


@op(method=False, function=False)
def scatter_add_(k, x, src, index, /, dim):
    at, shape = _along("scatter_add", k, x, index, dim), x.shape
    _covers("scatter_add", src, index)
    if src.dtype != x.dtype:
        raise DTypeError(f"scatter_add: Expected self.dtype to be equal to src.dtype, got {x.dtype} and {src.dtype}")
    wide = src.shape
    y = x + k.gather_dx(_part_of(src, index), index, at, shape)
    return y, lambda dy: dy, lambda dy: _padded(k, _gathered(k, dy, index, at), wide)


@composite(inplace=True)
def scatter(input, dim, index, src=None, *, value=None, reduce=None, out=None):
    """A copy of `input` with the elements of `src`, or one `value`, at the positions that `index` names along `dim`.

    y[index[i][j]][j] = src[i][j] for dim 0: the adjoint of `gather`. Where several elements go to one place, any of
    them may win. `reduce` "add" or "multiply" combines them with what is there.
    """
    given = src if value is None else value
    if given is None:
        raise TypeError("scatter(): missing required argument: 'src' or 'value'")
    if input.ndim == 0 or index.ndim == 0:
        return into(out, _flat(scatter, input, dim, index, given, reduce=reduce))
    if reduce is None:
        return into(out, scatter_(input, given, index, dim))
    if reduce not in ("add", "multiply"):
        raise RuntimeError(f"scatter: reduce argument must be either add or multiply, got {reduce!r}")
    if not isinstance(given, Tensor):
        given = Tensor._wrap(input._array[(slice(0, 1),) * input.ndim] * 0 + given).to(input.dtype)
        given = given.broadcast_to(index._array.shape)
    combine, how = (scatter_add, ()) if reduce == "add" else (scatter_reduce, ("prod",))
    return into(out, combine(input, dim, index, given, *how))


@composite(inplace=True)
def scatter_add(input, dim, index, src, *, out=None):
    """A copy of `input` to which each element of `src` is added where `index` says along `dim`."""
    if input.ndim == 0 or index.ndim == 0:
        return into(out, _flat(scatter_add, input, dim, index, src))
    return into(out, scatter_add_(input, src, index, dim))


@composite(inplace=True)
def scatter_reduce(input, dim, index, src, reduce, *, include_self=True):
    """A copy of `input` in which each element of `src` is combined with what is where `index` says along `dim`.

    `reduce` is "sum", "prod", "mean", "amax" or "amin"; without `include_self` what was there does not count.
    """
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError("scatter_reduce: reduce argument must be either sum, prod, mean, amax or amin, got "
                           f"{reduce!r}")
    if input.ndim == 0 or index.ndim == 0:
        return _flat(scatter_reduce, input, dim, index, src, reduce, include_self=include_self)
    if reduce in ("prod", "amax", "amin"):
        return scatter_extreme(input, src, index, dim, reduce, include_self)
    base = input if include_self else scatter_(input, 0, index, dim)
    total = scatter_add_(base, src, index, dim)
    if reduce == "sum":
        return total
    ones = Tensor._wrap(src._array * 0 + 1)
    added = scatter_add_(Tensor._wrap(input._array * 0), ones, index, dim)
    counts = (added + 1 if include_self else added).clamp(min=1)
    return total / counts if input.is_floating_point() else total.div(counts, rounding_mode="floor")


@composite(inplace=True)
def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    """A copy of `input` in which the slices of `source` are combined with those that `index` names along `dim`.

    `reduce` is "prod", "mean", "amax" or "amin"; without `include_self` what was there does not count.
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce: reduce argument must be either prod, mean, amax or amin, got {reduce!r}")
    if input.ndim == 0:
        return reshape(index_reduce(reshape(input, 1), 0, reshape(index, -1), reshape(source, -1), reduce,
                                    include_self=include_self), ())
    at = _slices("index_reduce", input, dim, index if index.ndim else reshape(index, 1), source)
    wide = reshape(index, [-1 if i == at else 1 for i in range(input.ndim)]).expand(source._array.shape)
    return scatter_reduce(input, at, wide, source, reduce, include_self=include_self)


@op(method=False, function=False)
def scatter_extreme(k, x, src, index, /, dim, reduce, include_self):
    """The product, maximum or minimum of `src` scattered into a copy of `x`."""
    at = _along("scatter_reduce", k, x, index, dim)
    _covers("scatter_reduce", src, index)
    if src.dtype != x.dtype:
        raise DTypeError(f"scatter_reduce: Expected self.dtype to be equal to src.dtype, got {x.dtype} and {src.dtype}")
    y, wide = x.copy(), src.shape
    if index.size:
        if not include_self:
            _place(k, y, index, at, _neutral(reduce, x.dtype))
        y = _combined(k, y, _part_of(src, index), index, at, reduce)

    def gradients(dy, needs):
        part = _part_of(src, index)
        own = _cleared(k, k.xp.ones(x.shape, dtype=x.dtype), index, at) if not include_self else None
        rule = _product_gradients if reduce == "prod" else _extreme_gradients
        dx, ds = rule(k, dy, x, part, index, at, y, own)
        return dx, _padded(k, ds, wide), None

    return y, joint(gradients)


def _combined(k: Any, y: Any, src: Any, index: Any, at: int, reduce: str) -> Any:
    """`y` with `src` multiplied into it, or the extremes of both; in place on the CPU."""
    name = {"prod": "multiply", "amax": "maximum", "amin": "minimum"}[reduce]

    def at_once(y, src, index):
        getattr(np, name).at(y, _key(cpu_kernels, index, at, y.ndim), src)
        return y

    if k.xp is np or reduce == "prod" or y.dtype.char not in "fdiI":  # what a GPU cannot do in one step
        return on_cpu(at_once, y, src, index)
    getattr(k.xp, name).at(y, _key(k, index, at, y.ndim), src)
    return y


def _extreme_gradients(k: Any, dy: Any, x: Any, src: Any, index: Any, at: int, y: Any, own: Any) -> tuple:
    """Shared evenly among all that are equal to the result."""
    mine = (x == y) * (1.0 if own is None else own)
    theirs = (src == _gathered(k, y, index, at)) * 1.0
    winners = mine + k.gather_dx(theirs, index, at, tuple(x.shape))
    shared = dy / k.where(winners == 0, 1.0, winners)
    return mine * shared, theirs * _gathered(k, shared, index, at)


def _product_gradients(k: Any, dy: Any, x: Any, src: Any, index: Any, at: int, y: Any, own: Any) -> tuple:
    """dy y / factor; where a factor is zero, it alone may get the product of the others.

    Logarithms turn the products of the factors that are not zero into sums, which scattering can form. What makes out
    a zero has no derivative, so second derivatives come from the products written out.
    """
    if isinstance(dy, Tensor):
        return _written_out(k, dy, x, src, index, at, own)
    shape = tuple(x.shape)
    factor = x if own is None else k.where(own == 0, 1.0, x)
    zeros = (factor == 0) * 1.0 + k.gather_dx((src == 0) * 1.0, index, at, shape)
    odd = (factor < 0) * 1.0 + k.gather_dx((src < 0) * 1.0, index, at, shape)
    size = _log_size(k, factor) + k.gather_dx(_log_size(k, src), index, at, shape)
    rest = k.exp(size) * (1 - 2 * (odd % 2)) * dy  # the product of all factors that are not zero

    def part(factor, rest, zeros):
        is_zero = factor == 0
        return k.where(zeros - is_zero * 1.0 == 0, rest / k.where(is_zero, 1.0, factor), 0.0)

    dx = part(factor, rest, zeros)
    ds = part(src, _gathered(k, rest, index, at), _gathered(k, zeros, index, at))
    return dx if own is None else dx * own, ds


def _written_out(k: Any, dy: Tensor, x: Tensor, src: Tensor, index: Tensor, at: int, own: Any) -> tuple:
    """The gradients of a product with one factor of the result's shape for each position of `index` along the axis."""
    places = [index.narrow(at, j, 1) for j in range(index.shape[at])]
    ones = x.detach() * 0 + 1
    factors = [x if own is None else k.where(own == 0, 1.0, x)]
    factors += [scatter_(ones, src.narrow(at, j, 1), place, at) for j, place in enumerate(places)]
    others = k.prod_others(k.xp.stack(factors), 0) * dy
    ds = k.xp.concatenate([gather_(others[j + 1], place, at) for j, place in enumerate(places)], axis=at)
    return others[0] if own is None else others[0] * own, ds


def _log_size(k: Any, x: Any) -> Any:
    return k.log(k.where(x == 0, 1.0, k.abs(x)))


def _neutral(reduce: str, dtype: Any) -> Any:
    """What changes nothing when combined: 1 for products, the least or largest value for maximum and minimum."""
    if reduce == "prod":
        return 1
    if dtype.kind == "b":
        return reduce == "amin"
    info = dtypes.from_numpy(dtype)
    if info.is_floating_point:
        return -math.inf if reduce == "amax" else math.inf
    limits = iinfo(info)
    return limits.min if reduce == "amax" else limits.max


def _cleared(k: Any, dy: Any, index: Any, at: int) -> Any:
    if isinstance(dy, Tensor):
        return scatter_(dy, 0.0, index, at)
    dx = dy.copy()
    if index.size:
        _place(k, dx, index, at, 0)
    return dx


def _place(k: Any, y: Any, index: Any, at: int, values: Any) -> None:
    """y[index[i][j]][j] = values[i][j], in place, for axis 0; and so on."""
    y[_key(k, index, at, y.ndim)] = values


def _key(k: Any, index: Any, at: int, n: int) -> tuple:
    key = [k.xp.arange(m).reshape([-1 if j == i else 1 for j in range(n)]) for i, m in enumerate(index.shape)]
    key[at] = index
    return tuple(key)


def _covers(name: str, src: Any, index: Any) -> None:
    if not hasattr(src, "dtype"):
        raise TypeError(f"{name}(): argument 'src' must be Tensor, not {type(src).__name__}")
    if index.size and ((src.ndim or 1) != (index.ndim or 1) or any(n > m for n, m in zip(index.shape, src.shape))):
        raise ShapeError(f"{name}: Expected index {list(index.shape)} to be no larger than src {list(src.shape)}")


def _part_of(src: Any, index: Any) -> Any:
    """The elements of `src` that have an index."""
    if not hasattr(src, "dtype") or src.shape == index.shape or not src.ndim:
        return src
    return src[tuple([slice(0, n) for n in index.shape])]


def _padded(k: Any, x: Any, shape: tuple) -> Any:
    """`x` with zeros behind it up to `shape`."""
    if tuple(x.shape) == shape or not shape:
        return x
    return k.xp.pad(x, [(0, n - m) for n, m in zip(shape, x.shape)])
