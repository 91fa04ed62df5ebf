"""Views: ops whose result shows the memory of their input in another shape, so that writing to one writes to both."""
from __future__ import annotations

from operator import index
from typing import Any

from .. import dtypes, shapes
from ..errors import DimError, DTypeError, ShapeError
from ..op import composite, op
from ..tensor import Tensor

# The same elements in the same order


@op(view=True)
def reshape(k, x, /, *size, shape=None):
    """The elements in another shape, in which one -1 stands for what is left: a view where strides allow it.

    Raises ShapeError where the number of elements differs.

    >>> import minitorch as torch
    >>> torch.arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    old = x.shape
    return _reshaped("reshape", x, size if shape is None else shape), lambda dy: dy.reshape(old)


@op(view=True, function=False)
def view(k, x, /, *size, dtype=None):
    """As `reshape`, never a copy; `view(dtype)` reads the same bytes as another type.

    Raises ShapeError where the strides of `x` allow no view of that shape.
    """
    old = x.shape
    if dtype is not None or (size and isinstance(size[0], dtypes.dtype)):
        return _reinterpreted(x, dtype or size[0]), None
    y = _reshaped("view", x, size)
    if y is not x and x.size > 1 and not (y.base is x or (y.base is not None and y.base is x.base)):
        raise ShapeError(f"view: view size is not compatible with input tensor's size and stride (shape {old}, "
                         f"strides {tuple(s // x.itemsize for s in x.strides)}, to {list(y.shape)}). "
                         "Use .reshape(...) instead.")
    return y, lambda dy: dy.reshape(old)


@op(view=True)
def flatten(k, x, /, start_dim=0, end_dim=-1):
    """The dimensions from `start_dim` to `end_dim` made one; a scalar becomes one of size 1."""
    old = x.shape
    first, last = shapes.axis("flatten", x, start_dim), shapes.axis("flatten", x, end_dim)
    if first > last:
        raise ShapeError(f"flatten: start_dim {start_dim} cannot come after end_dim {end_dim}")
    middle = 1
    for n in old[first:last + 1]:
        middle *= n
    return x.reshape((*old[:first], middle, *old[last + 1:])), lambda dy: dy.reshape(old)


@op(view=True)
def unflatten(k, x, /, dim, sizes):
    """Dimension `dim` split into several, whose `sizes` multiply to its size; one may be -1."""
    old, at = x.shape, shapes.axis("unflatten", x, dim)
    if not old:
        raise ShapeError("unflatten: expects at least a 1-dimensional tensor")
    try:
        new = shapes.resolve("unflatten", tuple(sizes), old[at:at + 1])
    except ShapeError:
        raise ShapeError(f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {at} "
                         f"({old[at]}) in the input tensor") from None
    return x.reshape((*old[:at], *new, *old[at + 1:])), lambda dy: dy.reshape(old)


@op(view=True)
def squeeze(k, x, /, dim=None):
    """Dimensions of size 1 dropped: all, or those of `dim` that have size 1."""
    old = x.shape
    dims = range(len(old)) if dim is None else shapes.axes("squeeze", x, dim)
    return x.reshape([n for i, n in enumerate(old) if n != 1 or i not in dims]), lambda dy: dy.reshape(old)


@op(view=True)
def unsqueeze(k, x, /, dim):
    """A dimension of size 1 put in at `dim`."""
    old = x.shape
    n = len(old)
    at = dim + n + 1 if dim < 0 else dim
    if not 0 <= at <= n:
        raise DimError(f"unsqueeze: Dimension out of range (expected to be in range of [{-n - 1}, {n}], but got {dim})")
    return x.reshape((*old[:at], 1, *old[at:])), lambda dy: dy.reshape(old)


@composite
def ravel(input):
    """One dimension: `reshape(-1)`."""
    return reshape(input, -1)


@composite(function=False)
def view_as(input, other):
    """`view` with the shape of `other`."""
    return view(input, other._array.shape)


@composite(function=False)
def reshape_as(input, other):
    """`reshape` with the shape of `other`."""
    return reshape(input, other._array.shape)


# The same elements with the dimensions in another order


@op(view=True)
def transpose(k, x, /, dim0, dim1):
    """Two dimensions exchanged."""
    try:
        y = x.swapaxes(dim0, dim1)
    except IndexError:  # a scalar, or a dimension out of range
        shapes.axis("transpose", x, dim0), shapes.axis("transpose", x, dim1)
        y = x
    return y, lambda dy: dy.swapaxes(dim0, dim1) if dy.ndim else dy


@op(view=True)
def permute(k, x, /, *dims_, dims=None):
    """All dimensions in a new order: the result's dimension i is dims[i] of `x`."""
    order = shapes.sizes(dims_) if dims is None else tuple(dims)
    try:
        y = x.transpose(order)
    except ValueError:
        raise _bad_order(x, order) from None
    return y, lambda dy: k.xp.transpose(dy, _inverse(order))


@composite
def swapaxes(input, axis0, axis1):
    """`transpose` under NumPy's name."""
    return transpose(input, axis0, axis1)


@composite
def swapdims(input, dim0, dim1):
    """`transpose`."""
    return transpose(input, dim0, dim1)


@composite
def movedim(input, source, destination):
    """Dimension(s) `source` moved to `destination`; the others keep their order."""
    several = (given if isinstance(given, tuple | list) else [given] for given in (source, destination))
    origin, target = ([shapes.axis("movedim", input, d) for d in dims] for dims in several)
    if len(origin) != len(target) or len(set(origin)) != len(origin) or len(set(target)) != len(target):
        raise ShapeError(f"movedim: source {source} and destination {destination} expect as many, distinct dimensions")
    if input.ndim == 0:
        return view(input, ())
    order = [d for d in range(input.ndim) if d not in origin]
    for t, o in sorted(zip(target, origin)):
        order.insert(t, o)
    return permute(input, order)


@composite
def moveaxis(input, source, destination):
    """`movedim` under NumPy's name."""
    return movedim(input, source, destination)


@composite
def t(input):
    """The transpose of a matrix; a vector or scalar as it is."""
    if input.ndim > 2:
        raise ShapeError(f"t: expects a tensor with <= 2 dimensions, but input of shape {tuple(input.shape)} has "
                         f"{input.ndim}")
    return transpose(input, 0, -1)


@composite
def adjoint(input):
    """The matrices transposed and conjugated."""
    if input.ndim == 1:
        raise ShapeError("adjoint: is only supported on matrices or batches of matrices. Got 1-D tensor.")
    y = transpose(input, -2, -1) if input.ndim else input
    return y.conj() if input._array.dtype.kind == "c" else y


def _reversed(x: Tensor) -> Tensor:
    """`x.T`: the dimensions in reverse order."""
    return transpose(x, 0, 1) if x._array.ndim == 2 else permute(x, tuple(range(x.ndim - 1, -1, -1)))


def _matrix_transpose(x: Tensor) -> Tensor:
    """`x.mT`: the last two dimensions exchanged."""
    if x.ndim == 1:
        raise ShapeError(f"mT: tensor.mT is only supported on matrices or batches of matrices. Got {x.ndim}-D tensor.")
    return transpose(x, -2, -1) if x.ndim else x


def _conjugate_transpose(x: Tensor) -> Tensor:
    """`x.H`: a matrix transposed and conjugated."""
    if x.ndim not in (0, 2):
        raise ShapeError(f"H: tensor.H is only supported on matrices (2-D tensors). Got {x.ndim}-D tensor. "
                         "For batches of matrices, consider using tensor.mH")
    return adjoint(x)


Tensor.T = property(_reversed)
Tensor.mT = property(_matrix_transpose)
Tensor.H = property(_conjugate_transpose)
Tensor.mH = property(adjoint)


# Elements repeated without a copy


@op(view=True, function=False)
def expand(k, x, /, *size_, size=None, implicit=False):
    """Dimensions of size 1, and new ones in front, repeated to `size` without a copy; -1 keeps a size.

    The result is read-only, since several of its elements are one in memory. Raises ShapeError where another size
    would have to change.
    """
    wanted = shapes.sizes(size_) if size is None else tuple(size)
    return _expanded("expand", k, x, wanted), lambda dy: dy


@op(view=True)
def broadcast_to(k, x, /, size):
    """`x` repeated without a copy to shape `size`."""
    return _expanded("broadcast_to", k, x, tuple(size)), lambda dy: dy


@composite(function=False)
def expand_as(input, other):
    """`expand` to the shape of `other`."""
    return expand(input, other._array.shape)


@composite(method=False)
def broadcast_tensors(*tensors):
    """All tensors expanded to the shape that they broadcast to. Raises ShapeError where there is none."""
    tensors = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    if not tensors:
        return ()
    size = shapes.broadcast("broadcast_tensors", *(x._array.shape for x in tensors))
    return tuple([broadcast_to(x, size) for x in tensors])


@composite(method=False)
def broadcast_shapes(*shapes_):
    """The shape that shapes broadcast to, as a Size. Raises ShapeError where there is none."""
    from ..tensor import Size

    return Size(shapes.broadcast("broadcast_shapes", *((s,) if isinstance(s, int) else s for s in shapes_ or ((),))))


# A part of the elements


@op(view=True)
def select(k, x, /, dim, index):
    """Position `index` along `dim`, which disappears. Raises DimError where it is out of range."""
    if x.ndim == 0:
        raise DimError("select: cannot be applied to a 0-dim tensor")
    at, shape = shapes.axis("select", x, dim), x.shape
    if not -shape[at] <= index < shape[at]:
        raise DimError(f"select: index {index} out of range for tensor of size {list(shape)} at dimension {at}")
    key = (*(slice(None),) * at, index, ...)
    return x[key], lambda dy: k.slice_dx(dy, key, shape)


@op(view=True)
def narrow(k, x, /, dim, start, length):
    """The positions start ... start + length - 1 along `dim`. Raises ShapeError where they are not there."""
    if x.ndim == 0:
        raise ShapeError("narrow: cannot be applied to a 0-dim tensor.")
    at, shape = shapes.axis("narrow", x, dim), x.shape
    if isinstance(start, bool) or (isinstance(start, Tensor) and (start.ndim or start._array.dtype.kind not in "iu")):
        raise RuntimeError(f"narrow: start must be an 0-dim integral Tensor, got {start}")
    start = index(start)
    n = shape[at]
    if not -n <= start <= n:
        raise DimError(f"narrow: start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start = start + n if start < 0 else start
    if length < 0 or start + length > n:
        raise ShapeError(f"narrow: start ({start}) + length ({length}) exceeds dimension size ({n}).")
    key = (*(slice(None),) * at, slice(start, start + length))
    return x[key], lambda dy: k.slice_dx(dy, key, shape)


@op(view=True)
def diagonal(k, x, /, offset=0, dim1=0, dim2=1):
    """The diagonal of two dimensions as the last dimension; `offset` above (positive) or below the main one."""
    a, b, shape = shapes.axis("diagonal", x, dim1), shapes.axis("diagonal", x, dim2), x.shape
    if a == b:
        raise RuntimeError(f"diagonal: diagonal dimensions cannot be identical {dim1}, {dim2}")
    return k.diagonal(x, offset, a, b), lambda dy: k.on_diagonal(dy, shape, offset, a, b)


@op(method=False, function=False)
def on_diagonal(k, x, /, shape, offset, dim1, dim2):
    """Zeros of `shape` with `x` on a diagonal."""
    return k.on_diagonal(x, shape, offset, dim1, dim2), lambda dy: dy.diagonal(offset, dim1, dim2)


def _reshaped(name: str, x: Any, size: Any) -> Any:
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    try:
        y = x.reshape(size)
    except (ValueError, TypeError):
        y = None
    if y is None or (size and min(size) < -1):  # NumPy takes any negative number for -1
        y = x.reshape(shapes.resolve(name, shapes.sizes(tuple(size)), x.shape))
    return y


def _inverse(order: tuple[int, ...]) -> list[int]:
    back = [0] * len(order)
    for i, d in enumerate(order):
        back[d] = i
    return back


def _bad_order(x: Any, order: tuple[int, ...]) -> Exception:
    if len(order) != x.ndim:
        return ShapeError(f"permute: dims expects {x.ndim} dimensions for x of shape {x.shape}, got {list(order)}")
    for d in order:
        shapes.axis("permute", x, d)
    return RuntimeError(f"permute: duplicate dims are not allowed, got {list(order)}")


def _expanded(name: str, k: Any, x: Any, wanted: tuple[int, ...]) -> Any:
    shape = x.shape
    if wanted == shape:
        return x
    new = len(wanted) - len(shape)
    if new < 0:
        raise ShapeError(f"{name}: the number of sizes provided ({len(wanted)}) must be greater or equal to the number "
                         f"of dimensions in the tensor ({len(shape)})")
    target = list(wanted)
    for i, n in enumerate(target):
        old = shape[i - new] if i >= new else None
        if n == -1 and old is not None:
            target[i] = old
        elif n < 0:
            raise ShapeError(f"{name}: The expanded size of the tensor ({n}) isn't allowed in a leading, non-existing "
                             f"dimension {i}")
        elif old not in (None, 1, n):
            raise ShapeError(f"{name}: The expanded size of the tensor ({n}) must match the existing size ({old}) at "
                             f"non-singleton dimension {i}.  Target sizes: {list(wanted)}.  "
                             f"Tensor sizes: {list(shape)}")
    if tuple(target) == shape:
        return x
    spread = tuple([i for i, n in enumerate(target) if i < new or shape[i - new] != n])
    return k.spread(x, spread, tuple(target))


def _reinterpreted(x: Any, dtype: dtypes.dtype) -> Any:
    """The bytes of `x` as another type; where the element size changes, the last dimension does."""
    new = dtypes.to_numpy(dtype)
    if new.itemsize != x.itemsize:
        if x.ndim == 0:
            raise DTypeError(f"view: self.dim() cannot be 0 to view {dtypes.from_numpy(x.dtype)} as {dtype} (different "
                             "element sizes)")
        if x.shape[-1] * x.itemsize % new.itemsize or (x.shape[-1] > 1 and x.strides[-1] != x.itemsize):
            raise ShapeError(f"view: last dimension of x, shape {x.shape} and {x.itemsize} bytes an element, cannot be "
                             f"read as {dtype} of {new.itemsize} bytes")
    return x.view(new)
