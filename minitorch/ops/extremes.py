"""The largest, the smallest, and what lies in the middle: max, min, argmax, median, mode, quantile."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes, return_types, shapes
from ..device import kernels_of
from ..errors import DimError, DTypeError, ShapeError
from ..inplace import check_out
from ..op import FUNCTIONS, composite, joint, op
from ..tensor import Tensor
from .elementwise import refuse
from .gather import gather_, into, into_apart
from .reduce import dims_of, same
from .shape import reshape, squeeze


@op
def amax(k, x, /, dim=(), keepdim=False):
    """The largest element over `dim`: all dimensions, one or several. Equal largest elements share the gradient."""
    dims = _some("amax", x, dim)
    y, shape = x.max(axis=dims, keepdims=keepdim), shapes.kept(x.shape, dims)
    return y, lambda dy: _shared(k, dy.reshape(shape), x, y.reshape(shape), dims)


@op
def amin(k, x, /, dim=(), keepdim=False):
    """The smallest element over `dim`: all dimensions, one or several. Equal smallest elements share the gradient."""
    dims = _some("amin", x, dim)
    y, shape = x.min(axis=dims, keepdims=keepdim), shapes.kept(x.shape, dims)
    return y, lambda dy: _shared(k, dy.reshape(shape), x, y.reshape(shape), dims)


@op(method=False, function=False)
def max_(k, x, /):
    """The largest of all elements."""
    refuse("max", x, "c")
    y = k.xp.asarray(x.max())
    return y, lambda dy: _shared(k, dy, x, y)


@op(method=False, function=False)
def min_(k, x, /):
    """The smallest of all elements."""
    refuse("min", x, "c")
    y = k.xp.asarray(x.min())
    return y, lambda dy: _shared(k, dy, x, y)


@composite
def aminmax(input, *, dim=None, keepdim=False, out=None):
    """The smallest and the largest element, along one dimension or of all: (min, max)."""
    dims = () if dim is None else dim
    found = amin(input, dims, keepdim), amax(input, dims, keepdim)
    return return_types.aminmax(*(found if out is None else [into_apart("aminmax", o, y, input)
                                                             for o, y in zip(out, found)]))


@composite
def max(input, dim=None, keepdim=False, *, other=None, out=None):
    """The largest element; with `dim` (values, indices) along it; with another tensor the elementwise maximum.

    >>> import minitorch as torch
    >>> x = torch.tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> x.max()
    tensor(7.)
    >>> x.max(dim=1).indices
    tensor([1, 0])
    """
    if dim is None and other is None and out is None and input._array.size:
        return max_(input)
    return _extreme("max", FUNCTIONS["maximum"], max_, largest_along, input, dim, keepdim, other, out)


@composite
def min(input, dim=None, keepdim=False, *, other=None, out=None):
    """The smallest element; with `dim` (values, indices) along it; with another tensor the elementwise minimum."""
    if dim is None and other is None and out is None and input._array.size:
        return min_(input)
    return _extreme("min", FUNCTIONS["minimum"], min_, smallest_along, input, dim, keepdim, other, out)


@op
def argmax(k, x, /, dim=None, keepdim=False):
    """The index of the largest element along `dim`, or in the flattened tensor; the first of equal ones, or of nan."""
    return _position("argmax", k, x, dim, keepdim)


@op
def argmin(k, x, /, dim=None, keepdim=False):
    """The index of the smallest element along `dim`, or in the flattened tensor; the first of equal ones, or of nan."""
    return _position("argmin", k, x, dim, keepdim)


@op(method=False, function=False)
def largest_along(k, x, /, dim, keepdim):
    """The largest element along `dim`, and its index, which gets the gradient."""
    return _along("max", k, x, dim, keepdim, lambda x, at: _place("argmax", k, x, at))


@op(method=False, function=False)
def smallest_along(k, x, /, dim, keepdim):
    """The smallest element along `dim`, and its index, which gets the gradient."""
    return _along("min", k, x, dim, keepdim, lambda x, at: _place("argmin", k, x, at))


# In the middle


@op(method=False, function=False)
def median_(k, x, /, skip):
    """The lower median of all elements; equal ones share the gradient."""
    flat = x.reshape(-1)
    y = flat[_middle(k, flat, 0, skip)].reshape(())
    return y, lambda dy: _shared(k, dy, x, y)


@op(method=False, function=False)
def median_along(k, x, /, dim, keepdim):
    """The lower median along `dim`, and its index."""
    return _along("median", k, x, dim, keepdim, lambda x, at: _middle(k, x, at, False))


@op(method=False, function=False)
def nanmedian_along(k, x, /, dim, keepdim):
    """The lower median along `dim` of what is not nan, and its index."""
    return _along("nanmedian", k, x, dim, keepdim, lambda x, at: _middle(k, x, at, True))


@op(method=False, function=False)
def mode_along(k, x, /, dim, keepdim):
    """The most frequent element along `dim`, and the index of its last occurrence."""
    return _along("mode", k, x, dim, keepdim, lambda x, at: _commonest(k, x, at))


@composite
def median(input, dim=None, keepdim=False, *, out=None):
    """The median, of an even number of elements the lower one; with `dim` (values, indices). nan where there is one."""
    return _median("median", median_along, input, dim, keepdim, out)


@composite
def nanmedian(input, dim=None, keepdim=False, *, out=None):
    """The median of the elements that are not nan; with `dim` (values, indices)."""
    return _median("nanmedian", nanmedian_along, input, dim, keepdim, out)


@composite
def mode(input, dim=-1, keepdim=False, *, out=None):
    """(values, indices): the most frequent element along `dim`, of equally frequent ones the smallest."""
    return _both(return_types.mode, mode_along(input, dim, keepdim), out)


@composite
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """The values below which the shares `q` of the elements lie; several q make a new first dimension.

    `interpolation` between two elements: "linear", "lower", "higher", "nearest" or "midpoint".

    >>> import minitorch as torch
    >>> torch.quantile(torch.tensor([1.0, 2.0, 4.0]), 0.75)
    tensor(3.)
    """
    return into(out, _quantile("quantile", input, q, dim, keepdim, interpolation, False))


@composite
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """`quantile` of the elements that are not nan."""
    return into(out, _quantile("nanquantile", input, q, dim, keepdim, interpolation, True))


def _some(name: str, x: Any, dim: Any) -> tuple[int, ...]:
    """The dimensions to reduce. Raises where there is nothing to choose from."""
    dims = dims_of(name, x, dim)
    if x.size == 0:
        if dim in ((), [], None):
            raise RuntimeError(f"{name}: Expected reduction dim to be specified for input.numel() == 0. Specify the "
                               "reduction dim with the 'dim' argument.")
        for d in dims:
            if x.shape[d] == 0:
                raise DimError(f"{name}: Expected reduction dim {d} to have non-zero size.")
    return dims


def _shared(k: Any, dy: Any, x: Any, y: Any, dims: tuple | None = None) -> Any:
    """The gradient shared evenly by all elements equal to the result."""
    winners = same(x, y)
    return winners * (dy / k.sum(winners, dims, True))


def _extreme(name, elementwise, full, along, x, dim, keepdim, other, out):
    if isinstance(dim, Tensor) or other is not None:
        y = elementwise(x, dim if other is None else other)
        return into(out, y)
    if dim is None:
        if x._array.size == 0:
            raise RuntimeError(f"{name}: Expected reduction dim to be specified for input.numel() == 0. Specify the "
                               "reduction dim with the 'dim' argument.")
        return into(out, full(x))
    return _both(getattr(return_types, name), along(x, dim, keepdim), out)


def _both(kind: Any, results: Any, out: Any) -> Any:
    """(values, indices), written to the two tensors of `out` where they are given."""
    if out is not None:
        for o in out:
            check_out(kind.__name__, o, ())
        results = [into(o, y) for o, y in zip(out, results)]
    return kind(*results)


def _position(name: str, k: Any, x: Any, dim: int | None, keepdim: bool) -> Any:
    refuse(name, x, "c")
    if x.dtype.kind == "b":
        raise DTypeError(f"{name}: does not support bool input")
    if dim is None:
        if x.size == 0:
            raise DimError(f"{name}: Expected reduction dim to be specified for input.numel() == 0.")
        y = k.xp.asarray(getattr(x.reshape(-1), name)())
        return y.reshape((1,) * x.ndim) if keepdim else y
    at = shapes.axis(name, x, dim)
    if x.ndim == 0:
        return k.xp.zeros((), "int64")
    if x.shape[at] == 0:
        raise DimError(f"{name}: Expected reduction dim {at} to have non-zero size.")
    y = _place(name, k, x, at)
    return y.reshape(shapes.kept(x.shape, (at,))) if keepdim else y


def _place(name: str, k: Any, x: Any, at: int) -> Any:
    """The index along an axis; for another than the last NumPy makes a copy, which takes longer than the kernel's."""
    if k.xp is np and at < x.ndim - 1:
        x, at = k.copy(np.moveaxis(x, at, -1)), -1
    return getattr(x, name)(at)


def _along(name: str, k: Any, x: Any, dim: int, keepdim: bool, choose: Any) -> tuple:
    """[values, indices] of the elements along `dim` whose indices `choose` gives, and the gradient."""
    refuse(name, x, "c")
    at, shape = shapes.axis(name, x, dim), x.shape
    lines = x if shape else x.reshape(1)
    if lines.shape[at] == 0:
        raise DimError(f"{name}: Expected reduction dim {at} to have non-zero size.")
    small = shapes.kept(lines.shape, (at,))
    index = choose(lines, at).reshape(small)
    values = k.gather(lines, index, at)
    made = (small if keepdim else small[:at] + small[at + 1:]) if shape else ()

    def dx(dy, needs):
        return [k.gather_dx(dy[0].reshape(small), index, at, small[:at] + shape[at:at + 1] + small[at + 1:], True)
                if shape else dy[0]]

    return [values.reshape(made), index.reshape(made).copy()], joint(dx)


def _middle(k: Any, x: Any, at: int, skip: bool) -> Any:
    """The index of the lower median along an axis; of nan, unless they are skipped, where there is one."""
    n = x.shape[at]
    odd = (x != x).sum(axis=at, keepdims=True) if x.dtype.kind in "fV" else None
    if odd is None or not odd.any():
        middle = (n - 1) // 2
        return k.xp.argpartition(x, middle, at)[(slice(None),) * at + (slice(middle, middle + 1),)]
    rank = k.xp.maximum((n - odd - 1) // 2, 0) if skip else k.where(odd > 0, n - odd, (n - 1) // 2)
    return k.xp.take_along_axis(k.xp.argsort(x, at), rank, at)


def _commonest(k: Any, x: Any, at: int) -> Any:
    """The index of the end of the longest run of equal elements in the sorted line."""
    order = k.xp.argsort(x, at, **({"kind": "stable"} if k.xp is np else {}))  # CuPy's is
    order = k.xp.moveaxis(order, at, -1)
    lines = k.xp.take_along_axis(k.xp.moveaxis(x, at, -1), order, -1)
    n = lines.shape[-1]
    place = k.xp.arange(n)
    fresh = k.xp.ones(lines.shape, bool)
    fresh[..., 1:] = lines[..., 1:] != lines[..., :-1]
    length = place - k.running(k.where(fresh, place, 0), -1, "maximum")
    return k.xp.take_along_axis(order, length.argmax(-1)[..., None], -1)


def _median(name: str, along: Any, x: Tensor, dim: int | None, keepdim: bool, out: Any) -> Any:
    if dim is not None:
        return _both(getattr(return_types, name), along(x, dim, keepdim), out)
    if x._array.size == 0:
        if x._array.dtype.kind not in "fV":
            raise RuntimeError(f"{name}: input of dtype {x.dtype} has no elements")
        return into(out, FUNCTIONS["full"]((), math.nan, dtype=x.dtype, device=x.device))
    return into(out, median_(x, name == "nanmedian"))


def _quantile(name: str, x: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip: bool) -> Tensor:
    if x.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}: input tensor must be either float or double dtype, got {x.dtype}")
    if interpolation not in ("linear", "lower", "higher", "nearest", "midpoint"):
        raise RuntimeError(f"{name}: interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
                           f"{interpolation}")
    if not isinstance(q, Tensor):
        q = Tensor._wrap(np.asarray(q, x._array.dtype))
        q = q.to(x.device) if x.is_cuda else q
    xp = kernels_of(q._array).xp
    shares = q._array
    if shares.ndim > 1:
        raise ShapeError(f"{name}: q must be a scalar or 1D tensor, got shape {list(shares.shape)}")
    if shares.dtype != x._array.dtype:
        raise RuntimeError(f"{name}: q tensor must be same dtype as the input tensor, got {q.dtype} and {x.dtype}")
    if shares.size and not ((shares >= 0) & (shares <= 1)).all():
        raise RuntimeError(f"{name}: q values must be in the range [0, 1], got {shares}")
    if x._array.size == 0:
        raise RuntimeError(f"{name}: input tensor must be non-empty")
    shape = (1,) * x.ndim if dim is None else shapes.kept(x._array.shape, shapes.axes(name, x, dim))
    lines = reshape(x, -1) if dim is None else x.movedim(dim, -1) if x.ndim else reshape(x, 1)
    ordered = lines.sort(-1)[0]
    array = lines._array
    n = array.shape[-1]
    odd = (array != array).sum(axis=-1, keepdims=True)
    last = xp.maximum(n - odd - 1, 0) if skip else xp.full(odd.shape, n - 1)
    place = reshape(q, -1).double() * Tensor._wrap(last)
    if not skip:
        place = place.masked_fill(Tensor._wrap(odd > 0), n - 1)  # nan, sorted to the end, wins
    ranks = place._array
    whole = {"nearest": xp.rint, "higher": xp.ceil}.get(interpolation, xp.floor)(ranks)
    y = gather_(ordered, Tensor._wrap(whole.astype(np.int64)), -1)
    if interpolation in ("linear", "midpoint"):
        weight = place - Tensor._wrap(whole) if interpolation == "linear" else \
            Tensor._wrap(xp.where(ranks == whole, 0.0, 0.5))
        above = gather_(ordered, Tensor._wrap(xp.ceil(ranks).astype(np.int64)), -1)
        y = y.lerp(above, weight.to(x.dtype))
    if shares.ndim == 0:
        return reshape(y, shape) if keepdim else squeeze(y, -1)
    y = y.movedim(-1, 0)
    return reshape(y, (shares.size, *shape)) if keepdim else y
