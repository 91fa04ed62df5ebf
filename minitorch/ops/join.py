"""Tensors joined along a dimension, and cut along one."""
from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from minitorch_kernels import memory

from .. import dtypes, shapes
from ..errors import DimError, ShapeError
from ..op import _mark_view, composite, joint, op
from ..tensor import Tensor
from .shape import narrow, reshape, select

MANY = 16  # tensors from which NumPy joins them in one call


@op(method=False)
def cat(k, *tensors, dim=0):
    """The tensors one after another along `dim`; all other sizes must agree. Empty vectors are left out.

    >>> import minitorch as torch
    >>> torch.cat([torch.ones(1, 2), torch.zeros(2, 2)])
    tensor([[1., 1.],
            [0., 0.],
            [0., 0.]])
    """
    try:
        y = _joined(k, tensors, tensors, dim)
    except (ValueError, IndexError, TypeError, AttributeError):
        y = _joined(k, _catable(tensors, dim), tensors, dim)
    at, n = dim if dim >= 0 else dim + y.ndim, y.ndim
    sizes = [x.shape[at] if x.ndim == n else None for x in tensors]
    return y, joint(lambda dy, needs: _pieces(dy, at, sizes, needs))


@op(method=False)
def stack(k, *tensors, dim=0):
    """Tensors of one shape along a new dimension `dim`."""
    at = dim + tensors[0].ndim + 1 if dim < 0 and tensors else dim
    key = (*(slice(None),) * at, None)
    if at < 0:
        raise _unstackable(tensors, dim)
    try:
        y = _joined(k, [x[key] for x in tensors], tensors, at)
    except (ValueError, IndexError):
        raise _unstackable(tensors, dim) from None
    return y, joint(lambda dy, needs: [dy[(*key[:-1], i)] if need else None for i, need in enumerate(needs)])


@composite(method=False)
def concat(tensors, dim=0, *, axis=None, out=None):
    """`cat`."""
    return cat(tensors, dim=dim if axis is None else axis, out=out)


@composite(method=False)
def concatenate(tensors, dim=0, *, axis=None, out=None):
    """`cat` under NumPy's name."""
    return cat(tensors, dim=dim if axis is None else axis, out=out)


@composite(method=False)
def hstack(tensors, *, out=None):
    """Joined along the second dimension, vectors along the first."""
    tensors = atleast_1d(*_some("hstack", tensors))
    return cat(tensors, dim=0 if tensors[0].ndim == 1 else 1, out=out)


@composite(method=False)
def vstack(tensors, *, out=None):
    """Joined along the first dimension, vectors as rows."""
    return cat(atleast_2d(*_some("vstack", tensors)), dim=0, out=out)


@composite(method=False)
def row_stack(tensors, *, out=None):
    """`vstack`."""
    return vstack(tensors, out=out)


@composite(method=False)
def dstack(tensors, *, out=None):
    """Joined along the third dimension."""
    return cat(atleast_3d(*_some("dstack", tensors)), dim=2, out=out)


@composite(method=False)
def column_stack(tensors, *, out=None):
    """Vectors as the columns of a matrix; matrices side by side."""
    return cat([x if x.ndim > 1 else reshape(x, -1, 1) for x in tensors], dim=1, out=out)


def _some(name: str, tensors: Any) -> list:
    """The tensors as a list, a single one counting as a list of its rows."""
    if not len(tensors):
        raise ShapeError(f"{name}: expects a non-empty TensorList")
    return list(tensors)


@composite(method=False)
def atleast_1d(*tensors):
    """Scalars as vectors of one element."""
    return _each(lambda x: x if x.ndim else reshape(x, 1), tensors)


@composite(method=False)
def atleast_2d(*tensors):
    """Vectors as matrices of one row."""
    return _each(lambda x: x if x.ndim > 1 else reshape(x, 1, -1), tensors)


@composite(method=False)
def atleast_3d(*tensors):
    """Vectors and matrices with dimensions added, (n,) as (1, n, 1) and (m, n) as (m, n, 1)."""
    return _each(lambda x: x if x.ndim > 2 else reshape(x, (*x.shape, 1) if x.ndim == 2 else (1, -1, 1)), tensors)


@composite(method=False)
def block_diag(*tensors):
    """A matrix of zeros with the given matrices, or rows, along its diagonal."""
    if not tensors:
        raise ShapeError("block_diag: expects at least one tensor")
    blocks = []
    for i, x in enumerate(tensors):
        if x.ndim > 2:
            raise ShapeError(f"block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {x.ndim} "
                             "dimensions")
        blocks.append(x if x.ndim == 2 else reshape(x, 1, -1))
    width, rows, left = sum([b._array.shape[1] for b in blocks]), [], 0
    for block in blocks:
        n = block._array.shape[1]
        rows.append(block.constant_pad((left, width - left - n)))
        left += n
    return cat(rows)


@composite(method=False)
def cartesian_prod(*tensors):
    """All combinations of one element of each vector, a row each, the last vector running fastest."""
    for x in tensors:
        if x.ndim != 1:
            raise ShapeError(f"cartesian_prod: Expect a 1D vector, but got shape {list(x.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    size = [x._array.shape[0] for x in tensors]
    columns = [reshape(x, [-1 if j == i else 1 for j in range(len(size))]).broadcast_to(size)
               for i, x in enumerate(tensors)]
    return reshape(stack(columns, dim=-1), prod(size), len(size))


@composite(method=False)
def vander(x, N=None, increasing=False):
    """The powers 0 ... N - 1 of each element of a vector, a row each, the highest first unless `increasing`.

    `N` is the length of the vector where not given. Raises RuntimeError for a negative `N` and for what is no vector.

    >>> import minitorch as mt
    >>> mt.vander(mt.tensor([2, 3]), 3)
    tensor([[4, 2, 1],
            [9, 3, 1]])
    """
    from ..linalg import vander as powers  # which rises, and takes batches

    if x.ndim != 1:
        raise ShapeError(f"vander: x must be a one-dimensional tensor, got shape {list(x.shape)}")
    if N is not None and N < 0:
        raise ShapeError(f"vander: N must be non-negative, got {N}")
    if x.dtype is dtypes.bool:
        x = x.long()
    y = powers(x, N=len(x) if N is None else N)
    return y if increasing else y.flip(-1)


@composite
def combinations(input, r=2, with_replacement=False):
    """All choices of `r` elements of a vector, in order, a row each."""
    import itertools

    if input.ndim != 1:
        raise ShapeError(f"combinations: Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"combinations: Expect a non-negative number, but got {r}")
    if r == 0:
        return input[:0]
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(len(input)), r)), np.int64).reshape(-1, r)
    return input[Tensor._wrap(rows)]


# Cut


@op(method=False, function=False)
def unbind_(k, x, /, dim):
    shape = x.shape
    one, before = (*shape[:dim], 1, *shape[dim + 1:]), (slice(None),) * dim
    dtype = x.dtype

    def dx(dy, needs):
        parts = [k.xp.zeros(one, dtype=dtype) if d is None else d.reshape(one) for d in dy]
        return [k.xp.concatenate(parts, axis=dim) if parts else k.xp.zeros(shape, dtype=dtype)]

    return [x[(*before, i, ...)] for i in range(shape[dim])], joint(dx)


@op(method=False, function=False)
def split_(k, x, /, sizes, dim):
    shape, dtype = x.shape, x.dtype
    before, parts, start = (slice(None),) * dim, [], 0
    for n in sizes:
        parts.append(x[(*before, slice(start, start + n))])
        start += n

    def dx(dy, needs):
        parts = [k.xp.zeros((*shape[:dim], n, *shape[dim + 1:]), dtype=dtype) if d is None else d
                 for d, n in zip(dy, sizes)]
        return [k.xp.concatenate(parts, axis=dim)]

    return parts, joint(dx)


@composite
def unbind(input, dim=0):
    """The slices along `dim` as a tuple of views without that dimension."""
    if input.ndim == 0:
        raise DimError("unbind: Dimension specified as 0 but tensor has no dimensions")
    dim = shapes.axis("unbind", input, dim)
    if input._array.shape[dim] == 0:
        return ()
    parts = unbind_(input, dim)
    for i, part in enumerate(parts):
        _mark_view(part, input, select.op, (dim, i), {})
    return tuple(parts)


@composite
def split(tensor, split_size_or_sections=None, dim=0, *, split_size=None):
    """Cut along `dim` into views: of one size, the last one shorter; or of the sizes in a list.

    Raises ShapeError where a list does not sum to the dimension's size.
    """
    wanted = split_size_or_sections if split_size is None else split_size
    dim = _axis("split", tensor, dim)
    n = tensor._array.shape[dim]
    if isinstance(wanted, (tuple, list)):
        if sum(wanted) != n or min(wanted, default=0) < 0:
            raise ShapeError(f"split: split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size "
                             f"at dimension {dim}), but got split_sizes={list(wanted)}")
        return _split(tensor, list(wanted), dim)
    if wanted < 0 or (wanted == 0 and n):
        raise ShapeError(f"split: split_size can only be 0 if dimension size is 0, but got split_size={wanted} and "
                         f"dimension size of {n}")
    return _split(tensor, [min(wanted, n - i) for i in range(0, n, wanted)] if n else [0], dim)


@composite
def split_with_sizes(input, split_sizes, dim=0):
    """`split` by a list of sizes."""
    return split(input, list(split_sizes), dim)


@composite
def chunk(input, chunks, dim=0):
    """Cut along `dim` into at most `chunks` views of one size, the last one shorter."""
    if chunks <= 0:
        raise RuntimeError(f"chunk: expects `chunks` to be greater than 0, got: {chunks}")
    dim = _axis("chunk", input, dim)
    n = input._array.shape[dim]
    return split(input, -(-n // chunks), dim) if n else _split(input, [0] * chunks, dim)


@composite
def tensor_split(input, indices_or_sections, dim=0):
    """Cut along `dim` into so many nearly equal views, or before each of the given positions."""
    dim = _axis("tensor_split", input, dim)
    n, wanted = input._array.shape[dim], indices_or_sections
    if isinstance(wanted, Tensor):
        wanted = wanted.tolist()
    if isinstance(wanted, (tuple, list)):
        cuts = [0, *wanted, n]
        bounds = [slice(a, b).indices(n) for a, b in pairwise(cuts)]
        return tuple([narrow(input, dim, a, max(b - a, 0)) for a, b, _ in bounds])
    if wanted <= 0:
        raise RuntimeError(f"tensor_split: number of sections must be larger than 0, got {wanted}")
    return _split(input, [n // wanted + (i < n % wanted) for i in range(wanted)], dim)


@composite
def hsplit(input, indices_or_sections):
    """`tensor_split` along the second dimension, of a vector along the first."""
    return _even(input, "hsplit", indices_or_sections, 0 if input.ndim == 1 else 1, 1)


@composite
def vsplit(input, indices_or_sections):
    """`tensor_split` along the first dimension of a matrix or more."""
    return _even(input, "vsplit", indices_or_sections, 0, 2)


@composite
def dsplit(input, indices_or_sections):
    """`tensor_split` along the third dimension."""
    return _even(input, "dsplit", indices_or_sections, 2, 3)


def _axis(name: str, x: Tensor, dim: int) -> int:
    if x.ndim == 0:
        raise ShapeError(f"{name}: expects at least a 1-dimensional tensor")
    return shapes.axis(name, x, dim)


def _split(x: Tensor, sizes: list[int], dim: int) -> tuple[Tensor, ...]:
    parts, start = split_(x, sizes, dim), 0
    for part, n in zip(parts, sizes):
        _mark_view(part, x, narrow.op, (dim, start, n), {})
        start += n
    return tuple(parts)


def _even(x: Tensor, name: str, wanted: Any, dim: int, at_least: int) -> tuple[Tensor, ...]:
    if x.ndim < at_least:
        raise ShapeError(f"{name}: requires a tensor with at least {at_least} dimension, but got a tensor with "
                         f"{x.ndim} dimensions")
    if isinstance(wanted, int) and (wanted <= 0 or x._array.shape[dim] % wanted):
        raise ShapeError(f"{name}: attempting to split along dimension {dim}, but the size of the dimension "
                         f"{x._array.shape[dim]} is not divisible by the split_size {wanted}!")
    return tensor_split(x, wanted, dim)


def _each(function: Any, tensors: tuple) -> Any:
    """One tensor for one, a tuple for several or a list."""
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return function(tensors[0])
    return tuple([function(x) for x in (tensors[0] if len(tensors) == 1 else tensors)])


def _catable(tensors: Any, dim: int) -> list:
    """The tensors without empty vectors, after all checks."""
    if not tensors:
        raise ValueError("cat: expected a non-empty list of Tensors")
    for i, x in enumerate(tensors):
        if not hasattr(x, "shape"):
            raise TypeError(f"cat: expected Tensor as element {i} in argument 0, but got {type(x).__name__}")
    real = [x for x in tensors if x.shape != (0,)] or tensors[:1]
    first = real[0]
    at = shapes.axis("cat", first, dim)
    for i, x in enumerate(tensors):
        if x.ndim == 0:
            raise ShapeError(f"cat: zero-dimensional tensor (at position {i}) cannot be concatenated")
        if x.shape == (0,):
            continue
        if x.ndim != first.ndim:
            raise ShapeError(f"cat: Tensors must have same number of dimensions: got {first.ndim} and {x.ndim}")
        if x.shape[:at] != first.shape[:at] or x.shape[at + 1:] != first.shape[at + 1:]:
            raise ShapeError(f"cat: Sizes of tensors must match except in dimension {at}. Expected shape like "
                             f"{first.shape} but got {x.shape} for tensor number {i} in the list.")
    return real


def _pieces(dy: Any, at: int, sizes: list, needs: list) -> list:
    """The part of `dy` that belongs to each of the joined tensors; None for those left out."""
    before, parts, end = (slice(None),) * at, [], 0
    for n, need in zip(sizes, needs):
        start, end = end, end + (n or 0)
        parts.append(dy[(*before, slice(start, end))] if need and n is not None else None)
    return parts


def _unstackable(tensors: Any, dim: int) -> Exception:
    if not tensors:
        return ShapeError("stack: expects a non-empty TensorList")
    shape = tensors[0].shape
    for i, x in enumerate(tensors):
        if x.shape != shape:
            return ShapeError(f"stack: expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                              f"{list(x.shape)} at entry {i}")
    n = len(shape)
    return DimError(f"stack: Dimension out of range (expected to be in range of [{-n - 1}, {n}], but got {dim})")


def _joined(k: Any, arrays: Any, given: Any, axis: int) -> Any:
    """The arrays in one, of the type that all `given` promote to; a large one in pooled memory."""
    dtype = given[0].dtype if given else None
    for x in given:
        if x.dtype is not dtype and x.dtype != dtype:
            dtype = dtypes.to_numpy(dtypes.result_type(*given))
            arrays = [x.astype(dtype) for x in arrays]
            break
    if k.xp is np and len(arrays) <= MANY and sum([x.nbytes for x in arrays]) >= memory.LARGE:
        return _placed(k, arrays, axis, dtype)
    return k.xp.concatenate(arrays, axis)


def _placed(k: Any, arrays: Any, axis: int, dtype: Any) -> Any:
    """The arrays in one, in pooled memory, each copied by a kernel."""
    shape = list(arrays[0].shape)
    if not -len(shape) <= axis < len(shape):
        raise IndexError("axis out of range")
    before, at = (slice(None),) * (axis % len(shape)), 0
    shape[axis] = sum([x.shape[axis] for x in arrays])
    y = memory.empty(tuple(shape), dtype)
    for x in arrays:
        part = y[(*before, slice(at, at + x.shape[axis]))]
        if part.shape != x.shape:
            raise ValueError("sizes differ along another axis")
        k.copy_into(part, x)
        at += x.shape[axis]
    return y
