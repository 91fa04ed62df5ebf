"""Elements by mask or by flat position, positions by value: masked_select, take, nonzero, searchsorted, unique, ..."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes, shapes
from ..device import kernels_of
from ..engine import mode
from ..errors import BoundsError, DTypeError, ShapeError
from ..op import composite, handing_over, op
from ..tensor import Tensor
from .gather import check_range, into, into_apart
from .index import index_, index_put_
from .shape import broadcast_to, reshape

# By mask


@composite
def masked_select(input, mask, *, out=None):
    """The elements where `mask` is True, as a vector; the two are broadcast to each other.

    >>> import minitorch as torch
    >>> torch.masked_select(torch.tensor([1, 2, 3]), torch.tensor([True, False, True]))
    tensor([1, 3])
    """
    x, mask = _masked("masked_select", input, mask)
    if x.ndim == 0:
        x, mask = reshape(x, 1), reshape(mask, 1)
    return into_apart("masked_select", out, index_(x, (mask,)), input, mask)


@composite(inplace=True)
def masked_scatter(input, mask, source):
    """A copy of `input` in which the elements where `mask` is True are those of `source`, in order."""
    x, mask = _masked("masked_scatter", input, mask)
    if source._array.dtype != input._array.dtype:
        raise DTypeError(f"masked_scatter: expected self and source to have same dtypes but got {input.dtype} and "
                         f"{source.dtype}")
    n = int(mask._array.sum())
    if n > source._array.size:
        raise ShapeError(f"masked_scatter: Number of elements of source ({source._array.size}) < number of ones in "
                         f"mask ({n})")
    shape = x._array.shape
    values = reshape(source, -1)[:n]
    return reshape(index_put_(reshape(x, shape or 1), values, (reshape(mask, shape or 1),)), shape)


# By position in the flattened tensor


@composite
def take(input, index, *, out=None):
    """The elements at the flat positions of `index`, in its shape."""
    _flat_range("take", input, index)
    y = reshape(index_(reshape(input, -1), (reshape(index, -1),)), index._array.shape)
    return into_apart("take", out, y, input, index)


@composite(inplace=True)
def put(input, index, source, accumulate=False):
    """A copy of `input` with the elements of `source` at the flat positions of `index`, or added there."""
    _flat_range("put", input, index)
    if source._array.size != index._array.size:
        raise BoundsError(f"put: Expected source and index to have the same number of elements, but got "
                          f"source.numel() = {source._array.size}, index.numel() = {index._array.size}")
    if source._array.dtype != input._array.dtype:
        raise DTypeError("put: self and source expected to have the same dtype, but got self.dtype = "
                         f"{input.dtype} and source.dtype = {source.dtype}")
    y = index_put_(reshape(input, -1), reshape(source, -1), (reshape(index, -1),), accumulate)
    return reshape(y, input._array.shape)


# Positions


@composite
def nonzero(input, *, out=None, as_tuple=False):
    """The indices of the elements that are not zero: a row for each, or with `as_tuple` a vector a dimension.

    >>> import minitorch as torch
    >>> torch.nonzero(torch.tensor([[0, 1], [2, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    x = input._array
    if as_tuple:
        return tuple([Tensor._wrap(i) for i in (x.nonzero() if x.ndim else x.reshape(1).nonzero())])
    xp = kernels_of(x).xp
    return into(out, Tensor._wrap(xp.ascontiguousarray(xp.argwhere(x)).astype("int64")))


@composite
def nonzero_static(input, *, size, fill_value=-1, out=None):
    """The first `size` rows of `nonzero`, filled up with `fill_value`."""
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    found = nonzero(input)
    missing = size - found._array.shape[0]
    return into(out, found.constant_pad((0, 0, 0, missing), fill_value) if missing > 0 else found[:size].clone())


@composite(method=False)
def unravel_index(indices, shape):
    """The coordinates, a tensor a dimension, of flat positions in a tensor of that shape.

    >>> import minitorch as torch
    >>> torch.unravel_index(torch.tensor(5), (2, 3))
    (tensor(1), tensor(2))
    """
    if not isinstance(indices, Tensor) or indices._array.dtype.kind not in "iu":
        raise ValueError(f"unravel_index: expects an integer tensor, got {getattr(indices, 'dtype', type(indices))}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(n, int) for n in sizes):
        raise TypeError(f"unravel_index: 'shape' must be a sequence of integers, got {shape}")
    if any(n < 0 for n in sizes):
        raise ValueError(f"unravel_index: 'shape' cannot have negative values, but got {sizes}")
    found, rest = [], indices
    for n in sizes[::-1]:
        found.append(rest.remainder(n) if n else rest)
        rest = rest.div(n, rounding_mode="floor") if n else rest
    return tuple(found[::-1])


@composite
def argwhere(input):
    """`nonzero`: a row of indices for each element that is not zero."""
    return nonzero(input)


@composite(method=False)
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None, out=None):
    """Where each value of `input` belongs in the sorted last dimension: the first position, with `right` the last.

    `sorted_sequence` is a vector, or has the other dimensions of `input`. Raises ShapeError where it has neither.
    """
    edges = sorted_sequence._array
    k = kernels_of(edges)
    values = input._array if isinstance(input, Tensor) else k.xp.asarray(input)
    if side == "left" and right:
        raise RuntimeError("searchsorted: side and right can't be set to opposites, got side of left while right was "
                           "True")
    if side not in (None, "left", "right"):
        raise RuntimeError(f"searchsorted: side can only be 'left' or 'right' but got {side}")
    if edges.ndim == 0:
        raise ShapeError("searchsorted: boundaries tensor should have positive dimension, but got 0 dimension")
    if edges.ndim != 1 and edges.shape[:-1] != values.shape[:-1]:
        raise ShapeError("searchsorted: boundaries tensor should be 1 dimension or the first N-1 dimensions of "
                         "boundaries tensor and input value tensor must match, but we got boundaries tensor "
                         f"{list(edges.shape)} and input value tensor {list(values.shape)}")
    if sorter is not None:
        edges = k.xp.take_along_axis(edges, sorter._array, -1)
    side = "right" if right or side == "right" else "left"
    kind = "int32" if out_int32 else "int64"
    if edges.ndim == 1:
        found = k.xp.searchsorted(edges, values, side)
    else:
        n = math.prod(edges.shape[:-1])
        rows = zip(edges.reshape(n, edges.shape[-1]), values.reshape(n, values.shape[-1]))
        found = [k.xp.searchsorted(row, v, side) for row, v in rows]
        found = k.xp.stack(found).reshape(values.shape) if found else k.xp.zeros(values.shape)
    return into(out, Tensor._wrap(k.xp.asarray(found).astype(kind)))


@composite(method=False)
def bucketize(input, boundaries, *, out_int32=False, right=False, out=None):
    """The number of the interval between sorted `boundaries` that holds each value; `right` closes intervals left."""
    if boundaries.ndim != 1:
        raise ShapeError(f"bucketize: boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


# Counting and sets


@composite
def bincount(input, weights=None, minlength=0):
    """How often each non-negative integer occurs, or the sum of the `weights` of its occurrences."""
    x = input._array
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x.size and x.min() < 0):
        raise RuntimeError("bincount: only supports 1-d non-negative integral inputs, got shape "
                           f"{list(x.shape)} of {input.dtype}" + (f" with {x.min()}" if x.size else ""))
    if minlength < 0:
        raise RuntimeError(f"bincount: minlength should be >= 0, got {minlength}")
    if weights is not None and weights._array.shape != x.shape:
        raise ShapeError(f"bincount: weights should be 1-d and have the same length as input, {x.size}, got shape "
                         f"{list(weights.shape)}")
    y = kernels_of(x).xp.bincount(x.astype("int64"), None if weights is None else weights._array, minlength)
    return Tensor._wrap(y.astype("float32") if weights is not None and weights.dtype is dtypes.float32 else y)


@composite
def histc(input, bins=100, min=0, max=0, *, out=None):
    """How many elements lie in each of `bins` equal intervals from `min` to `max`; by default those of the data."""
    x = input._array
    if x.dtype.kind not in "fV":
        raise NotImplementedError(f'"histc" not implemented for {input.dtype!r}')
    low, high = float(min), float(max)
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if low == high:
        low, high = low - 1, high + 1
    if bins <= 0 or not low < high or math.isinf(high - low):
        raise RuntimeError(f"histc: bins must be > 0 and max larger than min, both finite, got {bins}, {low}, {high}")
    counts, _ = kernels_of(x).xp.histogram(x.reshape(-1), bins, (low, high))
    return into(out, Tensor._wrap(counts.astype(x.dtype)))


@composite(method=False)
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Whether each element is among `test_elements`."""
    a, b = [x._array if isinstance(x, Tensor) else np.asarray(x) for x in (elements, test_elements)]
    xp = kernels_of(a if isinstance(elements, Tensor) else b).xp
    return Tensor._wrap(xp.asarray(xp.isin(xp.asarray(a), xp.asarray(b), invert=invert)))


@composite
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The different elements, sorted, or the different slices along `dim`.

    With `return_inverse` also where each element is among them, with `return_counts` how often each occurs.

    >>> import minitorch as torch
    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    x = input._array
    xp = kernels_of(x).xp
    at = None if dim is None else shapes.axis("unique", input, dim)
    if at is not None and 0 in x.shape[:at] + x.shape[at + 1:]:
        raise ShapeError(f"unique: There are 0 sized dimensions in {list(x.shape)}, and they aren't selected, so "
                         "unique cannot be applied")
    found = xp.unique(x, return_inverse=True, return_counts=True, axis=at, equal_nan=False)
    inverse = found[1].reshape(x.shape if at is None else -1)
    return _picked(found[0], inverse, found[2], return_inverse, return_counts)


@composite
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The elements, or slices along `dim`, that differ from the one before them."""
    x = input._array
    xp = kernels_of(x).xp
    at = 0 if dim is None else shapes.axis("unique_consecutive", input, dim)
    lines = x.reshape(-1) if dim is None else xp.moveaxis(x, at, 0)
    n = lines.shape[0]
    fresh = xp.ones(n, bool)
    fresh[1:] = (lines[1:] != lines[:-1]).any(axis=tuple(range(1, lines.ndim)))
    starts = xp.flatnonzero(fresh)
    counts = xp.diff(xp.concatenate([starts, xp.asarray([n])]))
    inverse = xp.cumsum(fresh) - 1
    values = lines[fresh] if dim is None else xp.ascontiguousarray(xp.moveaxis(lines[fresh], 0, at))
    return _picked(values, inverse.reshape(x.shape if dim is None else -1), counts, return_inverse, return_counts)


def _picked(values: Any, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool) -> Any:
    results = [values] + [inverse.astype("int64")] * return_inverse + [counts.astype("int64")] * return_counts
    return Tensor._wrap(values) if len(results) == 1 else tuple([Tensor._wrap(r) for r in results])


# Rows of a table


@op(method=False, function=False)
def embedding_(k, w, index, /, padding_idx, scale_grad_by_freq, sparse=False):
    shape = w.shape
    if index.dtype.kind != "i" or index.dtype.itemsize < 4:
        raise DTypeError(f"embedding: input expects int64 or int32 indices, got {dtypes.from_numpy(index.dtype)}")
    check_range("embedding", k, index, shape[0], 0)
    if sparse:
        from ..sparse.rows import rows_gradient

        return k.xp.take(w, index, 0), lambda dy: rows_gradient(dy, index, shape, padding_idx, scale_grad_by_freq)
    return k.xp.take(w, index, 0), lambda dy: k.embedding_dw(dy, index, shape, padding_idx, scale_grad_by_freq)


@op(method=False, function=False)
def embedding_dw(k, dy, index, /, shape, padding_idx, scale_grad_by_freq):
    """The gradient of the table: each row of `dy` added to its row."""
    return (k.embedding_dw(dy, index, shape, padding_idx, scale_grad_by_freq),
            lambda g: _rows(k, g, index, padding_idx, scale_grad_by_freq))


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """Row input[i] of the table `weight`, for each index; its gradient adds up rows.

    y[i] = weight[input[i]]

    The row `padding_idx` gets no gradient. With `max_norm`, rows in use whose norm is larger are first scaled down to
    it, in place. `scale_grad_by_freq` divides a row's gradient by how often it is used. Raises BoundsError for an
    index out of range. `sparse`: the gradient of a leaf is a sparse tensor with a row for each index.
    """
    if weight.ndim != 2:
        raise ShapeError(f"embedding: 'weight' must be 2-D, a matrix, got shape {list(weight.shape)}")
    rows = weight._array.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise BoundsError(f"embedding: padding_idx must be within the {rows} rows of weight, got {padding_idx}")
        padding_idx %= rows
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    if sparse and mode.recorder is not None:
        mode.recorder.refuse("the sparse gradient of embedding")
    return embedding_(weight, input, padding_idx, scale_grad_by_freq, sparse)


@handing_over
def one_hot(tensor, num_classes=-1):
    """A new last dimension of size `num_classes` (by default the largest number + 1) with 1 at each number, else 0."""
    x = tensor._array
    if tensor.dtype is not dtypes.int64:
        raise DTypeError(f"one_hot: is only applicable to index tensor of type LongTensor, got {tensor.dtype}")
    if x.size == 0 and num_classes <= 0:
        raise RuntimeError("one_hot: Can not infer total number of classes from empty tensor.")
    if x.size and x.min() < 0:
        raise RuntimeError(f"one_hot: Class values must be non-negative, got {x.min()}")
    n = int(x.max()) + 1 if num_classes == -1 else num_classes
    if n < 1 or (x.size and x.max() >= n):
        raise RuntimeError(f"one_hot: Class values must be smaller than num_classes, {n}")
    return Tensor._wrap((x[..., None] == kernels_of(x).xp.arange(n)).astype("int64"))


def _renormalise(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    w = weight._array
    xp = kernels_of(w).xp
    used = xp.unique(index._array)
    size = xp.linalg.norm(w[used], norm_type, axis=1)
    large = size > max_norm
    w[used[large]] *= (max_norm / (size[large] + 1e-7))[:, None]
    weight._bump()


def _rows(k: Any, g: Any, index: Any, padding_idx: int | None, scale: bool) -> Any:
    """The adjoint of `embedding_dw`: rows of `g`, zero for the padding, divided by their number."""
    raw = index._array if isinstance(index, Tensor) else index
    y = embedding_(g, index, None, False) if isinstance(g, Tensor) else k.xp.take(g, index, 0)
    weights = 1.0
    if padding_idx is not None:
        weights = (raw != padding_idx)[..., None].astype(g.dtype if not isinstance(g, Tensor) else g._array.dtype)
    if scale:
        xp = np if isinstance(raw, np.ndarray) else kernels_of(raw).xp
        counts = xp.bincount(raw.reshape(-1))
        weights = weights / counts[raw][..., None]
    if isinstance(weights, float):
        return y
    return y * (Tensor._wrap(weights) if isinstance(y, Tensor) else weights)


def _masked(name: str, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    if mask._array.dtype.kind != "b":
        raise DTypeError(f"{name}: expected BoolTensor for mask, got {mask.dtype}")
    if x._array.shape == mask._array.shape:
        return x, mask
    size = shapes.broadcast(name, x._array.shape, mask._array.shape)
    return broadcast_to(x, size), broadcast_to(mask, size)


def _flat_range(name: str, x: Tensor, index: Tensor) -> None:
    i, n = index._array, x._array.size
    if i.dtype.kind != "i" or i.dtype.itemsize < 8:
        raise DTypeError(f"{name}: Expected a long tensor for index, but got {index.dtype}")
    if i.size and (i.max() >= n or i.min() < -n):
        raise BoundsError(f"{name}: out of range: tried to access index {i.max() if i.max() >= n else i.min()} on a "
                          f"tensor of {n} elements.")
