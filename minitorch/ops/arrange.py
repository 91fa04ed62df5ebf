"""Copies with the elements in other places: repeated, flipped, shifted, masked to a triangle, padded."""
from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from .. import shapes
from ..device import CPU, kernels_of, move
from ..errors import DimError, DTypeError, ShapeError
from ..op import composite, op
from ..tensor import Tensor
from .on_cpu import on_cpu
from .shape import diagonal, on_diagonal, reshape, transpose

# Repeated


@op(function=False)
def repeat(k, x, /, *repeats_, repeats=None):
    """`x` laid out so many times along each dimension; more numbers than dimensions add dimensions in front.

    >>> import minitorch as torch
    >>> torch.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    return _repeated("repeat", k, x, shapes.sizes(repeats_) if repeats is None else tuple(repeats))


@op
def tile(k, x, /, *dims_, dims=None):
    """`repeat`, with ones in front where fewer numbers than dimensions are given."""
    times = shapes.sizes(dims_) if dims is None else tuple(dims)
    return _repeated("tile", k, x, (1,) * (x.ndim - len(times)) + times)


@composite
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Each element, or slice along `dim`, repeated in its place: as often as `repeats`, a number or one for each.

    With one argument, the numbers themselves: position i as often as input[i] says.

    >>> import minitorch as torch
    >>> torch.repeat_interleave(torch.tensor([7, 8]), torch.tensor([1, 2]))
    tensor([7, 8, 8])
    """
    if repeats is None:
        return Tensor._wrap(on_cpu(lambda counts: np.repeat(np.arange(len(counts)), counts),
                                   _counts(input._array, len(input))))
    if dim is None:
        input, dim = reshape(input, -1), 0
    dim = shapes.axis("repeat_interleave", input, dim)
    if input.ndim == 0:
        raise DimError(f"repeat_interleave: dim {dim} given for a scalar, which has none")
    if (isinstance(repeats, Tensor) and repeats._array.size != 1) or isinstance(repeats, (list, tuple)):
        counts = move(repeats._array, CPU) if isinstance(repeats, Tensor) else np.array(repeats)
        n = input._array.shape[dim]
        places = np.repeat(np.arange(n), _counts(counts, n))
        return input.index_select(dim, Tensor._wrap(move(places, input.device)))
    times = index(repeats.item() if isinstance(repeats, Tensor) else repeats)
    if times < 0:
        raise RuntimeError(f"repeat_interleave: Repeats must be non-negative, got {times}")
    shape = input._array.shape
    wide = reshape(input, (*shape[:dim + 1], 1, *shape[dim + 1:])).expand((*shape[:dim + 1], times, *shape[dim + 1:]))
    y = reshape(wide, (*shape[:dim], shape[dim] * times, *shape[dim + 1:]))
    return y.clone() if kernels_of(y._array).shares_memory(y._array, input._array) else y


# Moved


@op
def flip(k, x, /, *dims_, dims=None):
    """The order along `dims` reversed, as a copy."""
    given = shapes.sizes(dims_) if dims is None else shapes.sizes((dims,))
    at = shapes.axes("flip", x, given)
    key = tuple([slice(None, None, -1) if i in at else slice(None) for i in range(x.ndim)])
    return k.copy(x[key]), lambda dy: k.xp.flip(dy, at)


@composite
def fliplr(input):
    """The columns in reverse order."""
    if input.ndim < 2:
        raise ShapeError(f"fliplr: Input must be >= 2-d, got shape {list(input.shape)}")
    return flip(input, 1)


@composite
def flipud(input):
    """The rows in reverse order."""
    if input.ndim < 1:
        raise ShapeError("flipud: Input must be >= 1-d, got a scalar")
    return flip(input, 0)


@op
def roll(k, x, /, shifts, dims=None):
    """The elements moved by `shifts` along `dims`, coming back in at the other end; without dims, as if flattened."""
    shape = x.shape
    many = tuple([index(s) for s in shifts]) if isinstance(shifts, (tuple, list)) else (index(shifts),)
    if not many:
        raise ShapeError("roll: `shifts` required, got none")
    if not shape and dims not in (None, (), []):
        raise DimError(f"roll: Dimension specified as {dims} but tensor has no dimensions")
    given = dims if isinstance(dims, (tuple, list)) else () if dims is None else (dims,)
    at = tuple([shapes.axis("roll", x, d) for d in given])
    flat = not at
    if len(many) != len(at) and not (flat and len(many) == 1):
        raise ShapeError(f"roll: shifts and dimensions must align. shifts: {len(many)}, dims: {len(at)}")
    back = tuple([-s for s in many])

    def moved(z, by):
        return k.roll(z.reshape(-1), by, (0,)).reshape(shape) if flat or not shape else k.roll(z, by, at)

    y = moved(x, many)
    return y.copy() if k.shares_memory(x, y) else y, lambda dy: moved(dy, back)


@composite
def rot90(input, k=1, dims=(0, 1)):
    """Rotated by `k` times 90 degrees in the plane of two dimensions, from the first towards the second."""
    if input.ndim < 2 or len(dims) != 2:
        raise ShapeError(f"rot90: expected total dims >= 2 and 2 rotation dims, but got input of shape "
                         f"{list(input.shape)} and dims {list(dims)}")
    a, b = [shapes.axis("rot90", input, d) for d in dims]
    if a == b:
        raise RuntimeError(f"rot90: expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = "
                           f"{dims[1]}")
    if k % 4 == 2:
        return flip(input, a, b)
    if k % 4 == 0:
        return input.clone()
    return flip(transpose(input, a, b), a) if k % 4 == 1 else flip(transpose(input, a, b), b)


# Masked


@op(inplace=True)
def tril(k, x, /, diagonal=0):
    """The lower triangles of matrices, up to a diagonal above (positive) or below the main one; zeros elsewhere."""
    mask = _triangle("tril", k, x, diagonal)
    return k.where(mask, x, x.dtype.type(0)), lambda dy: k.where(mask, dy, 0)


@op(inplace=True)
def triu(k, x, /, diagonal=0):
    """The upper triangles of matrices, from a diagonal above (positive) or below the main one; zeros elsewhere."""
    mask = ~_triangle("triu", k, x, diagonal - 1)
    return k.where(mask, x, x.dtype.type(0)), lambda dy: k.where(mask, dy, 0)


# Diagonals


@composite
def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Matrices with the last dimension of `input` along a diagonal, in the new dimensions dim1 and dim2."""
    if input.ndim == 0:
        raise DimError("diag_embed: expects at least a 1-dimensional tensor")
    n, size = input.ndim + 1, input._array.shape[-1] + abs(offset)
    full = np.empty((1,) * n)
    a, b = shapes.axis("diag_embed", full, dim1), shapes.axis("diag_embed", full, dim2)
    if a == b:
        raise RuntimeError(f"diag_embed: diagonal dimensions cannot be identical {dim1}, {dim2}")
    rest = iter(input._array.shape[:-1])
    return on_diagonal(input, tuple([size if i in (a, b) else next(rest) for i in range(n)]), offset, a, b)


@composite
def diag(input, diagonal=0, *, out=None):
    """A vector as the diagonal of a matrix; of a matrix its diagonal, as a copy."""
    if input.ndim not in (1, 2):
        raise ShapeError(f"diag: Supports 1D or 2D tensors. Got {input.ndim}D")
    y = diag_embed(input, diagonal) if input.ndim == 1 else _diagonal(input, diagonal).clone()
    return y if out is None else out.resize_(y.shape).copy_(y)


@composite
def diagflat(input, offset=0):
    """All elements along the diagonal of a matrix."""
    return diag_embed(reshape(input, -1), offset)


@composite
def trace(input):
    """The sum of a matrix's diagonal."""
    if input.ndim != 2:
        raise ShapeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return _diagonal(input).sum()


# Padded


@op
def constant_pad(k, x, /, pad, value=0):
    """`value` put around `x`: `pad` holds (before, after) of the last dimension, then of the one before it, ...

    Negative numbers take elements away. Raises ShapeError where nothing, or less, would be left.
    """
    if len(pad) % 2 or len(pad) // 2 > x.ndim:
        raise ShapeError(f"constant_pad: pad expects pairs for at most {x.ndim} dimensions, got {list(pad)}")
    widths = [(0, 0)] * (x.ndim - len(pad) // 2)
    widths += [(index(pad[i]), index(pad[i + 1])) for i in range(len(pad) - 2, -1, -2)]
    for i, (n, (a, b)) in enumerate(zip(x.shape, widths)):
        if n + a + b < 0:
            raise ShapeError(f"constant_pad: The input size {n}, plus negative padding {a} and {b}, resulted in a "
                             f"negative output size, which is invalid. Check dimension {i} of your input.")
    back = [-n for n in pad]
    return k.constant_pad(x, widths, value), lambda dy: _padded(k, dy, back)


_diagonal = diagonal  # `diag` and others have an argument of that name


@composite
def constant_pad_nd(input, pad, value=0):
    """`constant_pad`, as PyTorch names it."""
    return constant_pad(input, pad, value)


def _padded(k: Any, x: Any, pad: list[int]) -> Any:
    return constant_pad(x, pad) if isinstance(x, Tensor) else constant_pad.op.body(k, x, pad)[0]


def _repeated(name: str, k: Any, x: Any, times: tuple[int, ...]) -> tuple:
    new = len(times) - x.ndim
    if new < 0:
        raise ShapeError(f"{name}: Number of dimensions of repeat dims can not be smaller than number of dimensions of "
                         f"tensor: got {list(times)} for x of shape {x.shape}")
    if min(times, default=0) < 0:
        raise ShapeError(f"{name}: Trying to create tensor with negative dimension, repeats {list(times)}")
    shape = (1,) * new + x.shape
    split, spread = [], []
    for r, n in zip(times, shape):
        split += [r, n]
        spread += [1, n]
    full = tuple([r * n for r, n in zip(times, shape)])
    copies = tuple(range(0, 2 * len(full), 2))
    old = x.shape
    y = k.spread(x, copies, tuple(split)).reshape(full)
    return (y.copy() if k.shares_memory(x, y) else y,
            lambda dy: k.sum(dy.reshape(tuple(split)), copies, False).reshape(old))


def _counts(repeats: Any, n: int) -> Any:
    if repeats.dtype.kind not in "iu" or repeats.ndim > 1:
        raise DTypeError("repeat_interleave: repeats must be a vector of integers, got "
                         f"{repeats.dtype} of shape {repeats.shape}")
    if repeats.size != n:
        raise ShapeError(f"repeat_interleave: repeats must have the same size as input along dim, {n}, but got "
                         f"{repeats.size}")
    if repeats.size and repeats.min() < 0:
        raise RuntimeError("repeat_interleave: repeats can not be negative")
    return repeats


def _triangle(name: str, k: Any, x: Any, diagonal: int) -> Any:
    """Whether each place of a matrix lies on a diagonal or below it."""
    if x.ndim < 2:
        raise ShapeError(f"{name}: input tensor must have at least 2 dimensions, got shape {list(x.shape)}")
    rows, columns = x.shape[-2:]
    return k.xp.arange(rows)[:, None] + diagonal >= k.xp.arange(columns)
