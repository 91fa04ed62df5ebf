"""Elements picked along one dimension, and slices picked and placed: gather, index_select, index_add and their kin."""
from __future__ import annotations

from typing import Any

from .. import dtypes, shapes
from ..device import kernels_of
from ..engine import check
from ..errors import BoundsError, DTypeError, ShapeError
from ..inplace import check_out, write
from ..op import composite, op
from ..tensor import Tensor
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
        y = reshape(gather(reshape(input, -1), 0, reshape(index, -1)), index.shape)
    else:
        y = gather_(input, index, dim)
    return into_apart("gather", out, y, input, index)


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
    index = indices._array
    indices = Tensor._wrap(kernels_of(index).xp.where(index < 0, index + input._array.shape[at], index))
    mine, theirs = list(input._array.shape), list(indices._array.shape)
    mine[at] = theirs[at] = 1
    common = list(shapes.broadcast("take_along_dim", mine, theirs))
    common[at] = input._array.shape[at]
    wide = input.broadcast_to(tuple(common))
    common[at] = indices._array.shape[at]
    return into(out, gather_(wide, indices.broadcast_to(tuple(common)), at))


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
    return into_apart("index_select", out, index_select_(input, index, dim), input, index)


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
    if isinstance(value, Tensor):  # a place that is named twice takes the value once
        places = kernels_of(index._array).xp.unique(index._array % input._array.shape[at])
        index = Tensor._wrap(places)
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


def into_apart(name: str, out: Tensor | None, y: Tensor, *inputs: Tensor) -> Tensor:
    """`into` for results that must have their own type and lie apart from the inputs."""
    if out is None:
        return y
    if out._array.dtype != y._array.dtype:
        raise DTypeError(f"{name}: Expected out tensor to have dtype {y.dtype}, but got {out.dtype} instead")
    check_out(name, out, inputs, whole=False)
    return write(out, y, resize=True)


@check
def check_range(op_name: str, k: Any, index: Any, n: int, dim: int) -> None:
    """Raise BoundsError where an index is negative, or n or more. Left out on a GPU, where looking would wait."""
    if index.size and k.xp.__name__ == "numpy":
        bad = (index.view("uint64").max() >= n if index.dtype.itemsize == 8  # a negative number reads as a huge one
               else index.max() >= n or index.min() < 0)
        if bad:
            first = index[(index < 0) | (index >= n)].reshape(-1)[0]
            raise BoundsError(f"{op_name}: index {first} is out of bounds for dimension {dim} with size {n}")


def _along(name: str, k: Any, x: Any, index: Any, dim: int) -> int:
    """The axis, after all checks of `index` against `x`."""
    at = shapes.axis(name, x, dim)
    if (index.dtype.kind != "i" or index.dtype.itemsize < 4) and (index.size or name != "gather"):
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


@check
def _vector(name: str, x: Any, index: Any, at: int, negative: bool = False) -> None:
    if index.dtype.kind != "i" or index.dtype.itemsize < 4:
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
