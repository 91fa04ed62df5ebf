"""Elements picked and placed along one dimension: gather, scatter, index_select, index_add and their kin."""
from __future__ import annotations

import math
from typing import Any

from .. import dtypes, shapes
from ..errors import BoundsError, DTypeError, ShapeError
from ..limits import iinfo
from ..op import composite, joint, op
from ..tensor import Tensor, write
from .index import index_dx, index_put_
from .shape import reshape

# One index an element


@op(method=False, function=False)
def gather_(k, x, index, /, dim):
    at, shape = _along("gather", k, x, index, dim), x.shape
    whole = x if _same_but(at, x, index) else x[tuple([slice(None) if i == at else slice(0, n)
                                                       for i, n in enumerate(index.shape)])]
    return k.gather(whole, index, at), lambda dy: k.gather_dx(dy, index, at, shape)


@op(method=False, function=False)
def gather_dx(k, x, index, /, dim, shape, once=False):
    """Zeros of `shape` to which `x` is added at `index` along `dim`; `once`: no place is named twice."""
    return k.gather_dx(x, index, dim, shape, once), lambda dy: _gathered(k, dy, index, dim)


@composite
def gather(input, dim, index, *, sparse_grad=False, out=None):
    """For each element of `index` the element of `input` at that position along `dim`, and at its own elsewhere.

    y[i][j] = x[index[i][j]][j] for dim 0. `index` may be smaller than `input` in the other dimensions. Raises
    BoundsError for an index out of range, ShapeError where the dimensions do not fit.

    >>> import minitorch as torch
    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[1], [0]]))
    tensor([[2],
            [3]])
    """
    if input.ndim == 0 or index.ndim == 0:
        shapes.axis("gather", input, dim)
        return into(out, reshape(gather(reshape(input, -1), 0, reshape(index, -1)), index.shape))
    return into(out, gather_(input, index, dim))


@composite
def take_along_dim(input, indices, dim=None, *, out=None):
    """`gather` with `indices` and `input` broadcast to each other; without `dim`, of the flattened input."""
    if indices._array.dtype.kind not in "iu":
        raise DTypeError(f"take_along_dim: indices expects int64, got {indices.dtype}")
    if dim is None:
        return into(out, gather_(reshape(input, -1), reshape(indices, -1), 0))
    if input.ndim != indices.ndim:
        raise ShapeError(f"take_along_dim: input and indices should have the same number of dimensions, but got "
                         f"{input.ndim} dimensions for input, and {indices.ndim} for indices")
    at = shapes.axis("take_along_dim", input, dim)
    mine, theirs = list(input._array.shape), list(indices._array.shape)
    mine[at] = theirs[at] = 1
    common = list(shapes.broadcast("take_along_dim", mine, theirs))
    common[at] = input._array.shape[at]
    wide = input.broadcast_to(tuple(common))
    common[at] = indices._array.shape[at]
    return into(out, gather_(wide, indices.broadcast_to(tuple(common)), at))


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
        raise RuntimeError(f"scatter_reduce: reduce argument must be either sum, prod, mean, amax or amin, got {reduce!r}")
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


@op(method=False, function=False)
def scatter_extreme(k, x, src, index, /, dim, reduce, include_self):
    """The product, maximum or minimum of `src` scattered into a copy of `x`."""
    at = _along("scatter_reduce", k, x, index, dim)
    _covers("scatter_reduce", src, index)
    if src.dtype != x.dtype:
        raise DTypeError(f"scatter_reduce: Expected self.dtype to be equal to src.dtype, got {x.dtype} and {src.dtype}")
    y, wide = x.copy(), src.shape
    combine = {"prod": k.xp.multiply, "amax": k.xp.maximum, "amin": k.xp.minimum}[reduce]
    if index.size:
        if not include_self:
            _place(k, y, index, at, _neutral(reduce, x.dtype))
        combine.at(y, _key(k, index, at, y.ndim), _part_of(src, index))

    def gradients(dy, needs):
        part = _part_of(src, index)
        own = _cleared(k, k.xp.ones(x.shape, dtype=x.dtype), index, at) if not include_self else None
        rule = _product_gradients if reduce == "prod" else _extreme_gradients
        dx, ds = rule(k, dy, x, part, index, at, y, own)
        return dx, _padded(k, ds, wide), None

    return y, joint(gradients)


# One index a slice


@op(method=False, function=False)
def index_select_(k, x, index, /, dim):
    at, shape = shapes.axis("index_select", x, dim), x.shape
    _vector("index_select", x, index, at)
    before = (None,) * at
    return k.xp.take(x, index, at), lambda dy: k.index_dx(dy, (*before, index), shape)


@composite
def index_select(input, dim, index, *, out=None):
    """The slices along `dim` that the vector `index` names, in its order. Raises BoundsError for one out of range."""
    if input.ndim == 0:
        if index._array.size != 1:
            raise ShapeError("index_select: Index to scalar can have only 1 value, got "
                             f"{index._array.size} value(s)")
        return into(out, reshape(index_select_(reshape(input, 1), reshape(index, -1), dim), ()))
    index = index if index.ndim else reshape(index, 1)
    return into(out, index_select_(input, index, dim))


@composite(inplace=True)
def index_add(input, dim, index, source, *, alpha=1):
    """A copy of `input` to which `alpha` times each slice of `source` is added where `index` says along `dim`."""
    if input.ndim == 0:
        return _flat(index_add, input, dim, index, source, alpha=alpha)
    index = index if index.ndim else reshape(index, 1)
    at = _slices("index_add", input, dim, index, source)
    added = index_dx(source, (None,) * at + (index,), input._array.shape)
    return input + (added if alpha == 1 else added * alpha)


@composite(inplace=True)
def index_copy(input, dim, index, source):
    """A copy of `input` with the slices of `source` where `index` says along `dim`."""
    if input.ndim == 0:
        return _flat(index_copy, input, dim, index, source)
    index = index if index.ndim else reshape(index, 1)
    at = _slices("index_copy", input, dim, index, source)
    return index_put_(input, source, (None,) * at + (index,))


@composite(inplace=True)
def index_fill(input, dim, index, value):
    """A copy of `input` with `value`, a number or scalar tensor, in the slices that `index` names along `dim`."""
    at = shapes.axis("index_fill", input, dim)
    if isinstance(value, Tensor) and value.ndim:
        raise ShapeError(f"index_fill: only supports a 0-dimensional value tensor, but got {value.ndim} dimension(s)")
    _vector("index_fill", input._array, index._array, at, negative=True)
    if input.ndim == 0:
        return reshape(index_fill(reshape(input, 1), 0, index, value), ())
    return index_put_(input, value, (None,) * at + (index,))


@composite(inplace=True)
def index_put(input, indices, values, accumulate=False, *, out=None):
    """A copy of `input` with `values` at input[indices], or with `accumulate` added there.

    >>> import minitorch as torch
    >>> torch.zeros(3).index_put((torch.tensor([0, 0]),), torch.tensor(1.0), accumulate=True)
    tensor([2., 0., 0.])
    """
    if isinstance(values, Tensor) and values._array.dtype != input._array.dtype:
        raise DTypeError("index_put: Index put requires the source and destination dtypes match, got "
                         f"{input.dtype} for the destination and {values.dtype} for the source.")
    return into(out, index_put_(input, values, tuple(indices), accumulate))


# What gathering and scattering share


def into(out: Tensor | None, y: Tensor) -> Tensor:
    """`y`, written to `out` where that is given."""
    return y if out is None else write(out, y, resize=True)


def check_range(op_name: str, k: Any, index: Any, n: int, dim: int) -> None:
    """Raise BoundsError where an index is negative, or n or more. On a GPU, where looking would wait, it is left out."""
    if index.size and k.xp.__name__ == "numpy":
        if index.dtype.itemsize == 8:
            bad = index.view("uint64").max() >= n  # a negative number reads as a huge one
        else:
            bad = index.max() >= n or index.min() < 0
        if bad:
            first = index[(index < 0) | (index >= n)].reshape(-1)[0]
            raise BoundsError(f"{op_name}: index {first} is out of bounds for dimension {dim} with size {n}")


def _along(name: str, k: Any, x: Any, index: Any, dim: int) -> int:
    """The axis, after all checks of `index` against `x`."""
    at = shapes.axis(name, x, dim)
    if index.dtype.char not in "lqi":
        raise DTypeError(f"{name}: Expected dtype int32/int64 for index, got {dtypes.from_numpy(index.dtype)}")
    if (index.ndim or 1) != (x.ndim or 1):
        raise ShapeError(f"{name}: Index tensor must have the same number of dimensions as input tensor, got shapes "
                         f"{list(index.shape)} and {list(x.shape)}")
    if index.size and index.ndim:
        for i, (n, m) in enumerate(zip(index.shape, x.shape or (1,))):
            if i != at and n > m:
                raise ShapeError(f"{name}: Size does not match at dimension {i} expected index {list(index.shape)} to "
                                 f"be no larger than self {list(x.shape)} apart from dimension {at}")
    check_range(name, k, index, x.shape[at] if x.ndim else 1, at)
    return at


def _flat(function: Any, x: Tensor, dim: int, index: Tensor, src: Any, *args: Any, **options: Any) -> Tensor:
    """`function` for scalars among its arguments, which count as vectors of one element."""
    shapes.axis(function.__name__, x, dim)
    src = reshape(src, -1) if isinstance(src, Tensor) else src
    return reshape(function(reshape(x, -1), 0, reshape(index, -1), src, *args, **options), x.shape)


def _same_but(at: int, x: Any, index: Any) -> bool:
    return x.shape[:at] == index.shape[:at] and x.shape[at + 1:] == index.shape[at + 1:]


def _gathered(k: Any, dy: Any, index: Any, at: int) -> Any:
    """`gather` of arrays or tensors, of which `index` may be the smaller."""
    return gather_(dy, index, at) if isinstance(dy, Tensor) else gather_.op.body(k, dy, index, at)[0]


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


def _neutral(reduce: str, dtype: Any) -> Any:
    """What changes nothing when combined: 1 for products, the least or largest value for maximum and minimum."""
    if reduce == "prod":
        return 1
    info = dtypes.from_numpy(dtype)
    if info.is_floating_point:
        return -math.inf if reduce == "amax" else math.inf
    limits = iinfo(info)
    return limits.min if reduce == "amax" else limits.max


def _extreme_gradients(k: Any, dy: Any, x: Any, src: Any, index: Any, at: int, y: Any, own: Any) -> tuple:
    """Shared evenly among all that are equal to the result."""
    mine = (x == y) * (1.0 if own is None else own)
    theirs = (src == _gathered(k, y, index, at)) * 1.0
    winners = mine + k.gather_dx(theirs, index, at, tuple(x.shape))
    shared = dy / k.xp.where(winners == 0, 1.0, winners)
    return mine * shared, theirs * _gathered(k, shared, index, at)


def _product_gradients(k: Any, dy: Any, x: Any, src: Any, index: Any, at: int, y: Any, own: Any) -> tuple:
    """dy y / factor; where a factor is zero, it alone may get the product of the others.

    Logarithms turn the products of the factors that are not zero into sums, which scattering can form. What makes out
    a zero has no derivative, so second derivatives come from the products written out.
    """
    if isinstance(dy, Tensor):
        return _written_out(k, dy, x, src, index, at, own)
    shape = tuple(x.shape)
    factor = x if own is None else k.xp.where(own == 0, 1.0, x)
    zeros = (factor == 0) * 1.0 + k.gather_dx((src == 0) * 1.0, index, at, shape)
    odd = (factor < 0) * 1.0 + k.gather_dx((src < 0) * 1.0, index, at, shape)
    size = _log_size(k, factor) + k.gather_dx(_log_size(k, src), index, at, shape)
    rest = k.exp(size) * (1 - 2 * (odd % 2)) * dy  # the product of all factors that are not zero

    def part(factor, rest, zeros):
        is_zero = factor == 0
        return k.xp.where(zeros - is_zero * 1.0 == 0, rest / k.xp.where(is_zero, 1.0, factor), 0.0)

    dx = part(factor, rest, zeros)
    ds = part(src, _gathered(k, rest, index, at), _gathered(k, zeros, index, at))
    return dx if own is None else dx * own, ds


def _written_out(k: Any, dy: Tensor, x: Tensor, src: Tensor, index: Tensor, at: int, own: Any) -> tuple:
    """The gradients of a product with one factor of the result's shape for each position of `index` along the axis."""
    places = [index.narrow(at, j, 1) for j in range(index.shape[at])]
    ones = x.detach() * 0 + 1
    factors = [x if own is None else k.xp.where(own == 0, 1.0, x)]
    factors += [scatter_(ones, src.narrow(at, j, 1), place, at) for j, place in enumerate(places)]
    others = k.prod_others(k.xp.stack(factors), 0) * dy
    ds = k.xp.concatenate([gather_(others[j + 1], place, at) for j, place in enumerate(places)], axis=at)
    return others[0] if own is None else others[0] * own, ds


def _log_size(k: Any, x: Any) -> Any:
    return k.log(k.xp.where(x == 0, 1.0, k.abs(x)))


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


def _vector(name: str, x: Any, index: Any, at: int, negative: bool = False) -> None:
    if index.dtype.char not in "lqi":
        raise DTypeError(f"{name}: Expected dtype int32 or int64 for index, got {dtypes.from_numpy(index.dtype)}")
    if index.ndim > 1:
        raise BoundsError(f"{name}: Index is supposed to be a vector, got shape {list(index.shape)}")
    n = x.shape[at] if x.ndim else 1
    if index.size and (index.max() >= n or index.min() < (-n if negative else 0)):
        raise BoundsError(f"{name}: index {index.max() if index.max() >= n else index.min()} is out of bounds for "
                          f"dimension {at} with size {n}")


def _slices(name: str, x: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    """The axis, after the checks that `source` has a slice an index."""
    at = shapes.axis(name, x, dim)
    if source._array.dtype != x._array.dtype:
        raise DTypeError(f"{name}: self and source expected to have the same dtype, but got (self) {x.dtype} and "
                         f"(source) {source.dtype}")
    _vector(name, x._array, index._array, at)
    expected = list(x._array.shape)
    expected[at:at + 1] = [index._array.size]
    if list(source._array.shape) != expected:
        raise ShapeError(f"{name}: source expects shape {expected} (a slice for each index), got "
                         f"{list(source._array.shape)}")
    return at
