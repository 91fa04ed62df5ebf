"""Views with strides of their own: sliding windows and `as_strided`."""
from __future__ import annotations

from typing import Any

import numpy as np

from .. import shapes
from ..errors import ShapeError
from ..op import composite, op
from ..tensor import Tensor


@op(view=True, function=False)
def unfold(k, x, /, dimension, size, step):
    """Windows of `size` along `dimension`, each `step` after the one before; a new last dimension runs through them.

    >>> import minitorch as torch
    >>> torch.arange(5).unfold(0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    at, shape = shapes.axis("unfold", x, dimension), x.shape
    if size < 0 or size > (shape[at] if shape else 1):
        raise ShapeError(f"unfold: size {size} must lie between 0 and the size of dimension {at}, x having shape "
                         f"{shape}: maximum size for tensor at dimension {at} is {shape[at] if shape else 1}")
    if step <= 0:
        raise ShapeError(f"unfold: step is {step} but must be > 0")
    if not shape:
        return x.reshape(1)[:size], lambda dy: k.windows_dx(dy, shape, at, size, step)
    count = (shape[at] - size) // step + 1
    strides = (*x.strides[:at], x.strides[at] * step, *x.strides[at + 1:], x.strides[at])
    y = _strided(k, x, (*shape[:at], count, *shape[at + 1:], size), strides, _offset(x))
    return y, lambda dy: k.windows_dx(dy, shape, at, size, step)


@op(method=False, function=False)
def windows_dx(k, x, /, shape, dim, size, step):
    """The adjoint of `unfold`."""
    return k.windows_dx(x, shape, dim, size, step), lambda dy: _windows(k, dy, dim, size, step)


@op(view=True)
def as_strided(k, x, /, size, stride, storage_offset=None):
    """The memory of `x` read with other sizes, strides and start, all counted in elements.

    Raises ShapeError where that would leave the memory.
    """
    if len(size) != len(stride):
        raise ShapeError(f"as_strided: mismatch in length of strides and shape, got {list(size)} and {list(stride)}")
    if min((*size, *stride), default=0) < 0:
        raise ShapeError(f"as_strided: negative sizes or strides are not supported, got {list(size)}, {list(stride)}")
    item, shape = x.itemsize, x.shape
    start = _offset(x) if storage_offset is None else storage_offset * item
    y = _strided(k, x, tuple(size), tuple([s * item for s in stride]), start)
    places = None
    if y.dtype.kind in "fcV":  # where each element of x and y lies in the memory
        total = _memory_size(x) // item
        numbers = k.xp.arange(total)
        places = [_strided(k, numbers, z.shape, tuple([s // item * 8 for s in z.strides]), offset // item * 8)
                  for z, offset in ((x, _offset(x)), (y, start))]

    def dx(dy):
        whole = k.index_dx(dy, [places[1]], (total,))
        return whole[places[0]].reshape(shape)

    return y, dx


@composite(function=False)
def as_strided_(self, size, stride, storage_offset=None):
    """This tensor made to read its memory as `as_strided` would."""
    view = as_strided(self, size, stride, storage_offset)
    self._array = view._array
    if view._requires_grad:
        self._node, self._requires_grad = view._node, True
    return self


def _windows(k: Any, x: Any, dim: int, size: int, step: int) -> Any:
    return x.unfold(dim, size, step) if isinstance(x, Tensor) else unfold.op.body(k, x, dim, size, step)[0]


def _strided(k: Any, x: Any, shape: tuple, strides: tuple, start: int) -> Any:
    """A view of the memory that `x` lies in; strides and start in bytes."""
    size = _memory_size(x)
    reach = [(n - 1) * s for n, s in zip(shape, strides)]
    first = start + sum([r for r in reach if r < 0])
    last = start + sum([r for r in reach if r > 0]) + x.itemsize
    if start < 0 or (0 not in shape and (first < 0 or last > size)):
        raise ShapeError(f"as_strided: sizes {list(shape)}, strides {[s // x.itemsize for s in strides]} and start "
                         f"{start // x.itemsize} leave memory of {size // x.itemsize} elements")
    if not isinstance(x, np.ndarray):
        return k.xp.ndarray(shape, x.dtype, x.data + (start - _offset(x) if 0 not in shape else 0), strides)
    y = np.ndarray(shape, x.dtype, _memory(x), start if 0 not in shape else 0, strides)
    y.flags.writeable = x.flags.writeable
    return y


def _memory(x: Any) -> Any:
    """The bytes of the array that owns the memory of `x`."""
    owner = x.base if isinstance(x.base, np.ndarray) else x
    return (owner if owner.flags.c_contiguous else owner.T).reshape(-1).view(np.uint8)


def _memory_size(x: Any) -> int:
    """Its bytes; on a GPU they are those that its pool gave, a multiple of 512."""
    return _memory(x).nbytes if isinstance(x, np.ndarray) else x.data.mem.size


def _offset(x: Any) -> int:
    """Where in its memory `x` begins, in bytes."""
    if not isinstance(x, np.ndarray):
        return x.data.ptr - x.data.mem.ptr if x.size else 0
    return x.__array_interface__["data"][0] - _memory(x).__array_interface__["data"][0] if x.size else 0
