"""Indexing: `x[...]` and `x[...] = value` with integers, slices, None, Ellipsis, masks, lists and integer tensors.

Integers, slices, None and Ellipsis come first and make a view. What is left is a list with an index array or None a
dimension, whose adjoint adds to zeros at the same places. This differs from NumPy in one point, as PyTorch does: an
integer beside index arrays is no index array itself, it only selects.
"""
from __future__ import annotations

from operator import index as integer
from types import EllipsisType, NoneType
from typing import Any

import numpy as np

from .. import dtypes
from ..device import ARRAYS, kernels_of
from ..engine import mode
from ..errors import DimError, DTypeError, NotStrided, ShapeError
from ..inplace import write
from ..op import op
from ..tensor import Tensor

_BASIC = {int, slice, NoneType, EllipsisType}


def getitem(x: Tensor, key: Any) -> Tensor:
    """`x[key]`: a view for integers, slices, None and Ellipsis, otherwise a copy.

    >>> import minitorch as torch
    >>> x = torch.arange(6).reshape(2, 3)
    >>> x[1, ::2], x[:, torch.tensor([2, 0])], x[x > 3]
    (tensor([3, 5]), tensor([[2, 0],
            [5, 3]]), tensor([4, 5]))
    """
    kind = type(key)
    if kind in _BASIC or (kind is tuple and _BASIC.issuperset(map(type, key))):
        return slice_(x, key)
    basic, indices = _parsed(x._array, key)
    if basic is not None:
        x = slice_(x, basic)
    return index_(x, indices) if indices else x


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """`x[key] = value`, a number or a tensor that broadcasts to x[key].

    Raises ShapeError where it does not, and GraphError for a leaf that requires a gradient.
    """
    if isinstance(value, np.ndarray):
        value = Tensor._wrap(value)
    elif not isinstance(value, (Tensor, int, float, complex, np.generic)):
        raise TypeError(f"setitem: can't assign a {type(value).__name__} to a tensor of {x.dtype}")
    x._check_inplace("setitem")
    kind = type(key)
    try:
        basic, indices = (key, None) if kind in _BASIC or (kind is tuple and _BASIC.issuperset(map(type, key))) else \
            _parsed(x._array, key)
    except NotStrided:
        if x.is_meta:  # a mask without values, for a tensor that has none
            return
        raise
    if isinstance(value, Tensor) and type(value._array) is not type(x._array) and \
            ARRAYS.issuperset((type(value._array), type(x._array))):
        value = value.to(x.device)
    if indices and isinstance(value, Tensor) and value._array.ndim and value._array.dtype != x._array.dtype:
        raise DTypeError("setitem: Index put requires the source and destination dtypes match, got "
                         f"{x.dtype} for the destination and {value.dtype} for the source.")
    if mode.grad and (x._requires_grad or (isinstance(value, Tensor) and value._requires_grad)):
        _record(x if basic is None else slice_(x, basic), indices, value)
        return
    target = x._array if basic is None else slice_.op.body(None, x._array, basic)[0]
    array = _trimmed(value._array) if isinstance(value, Tensor) else value
    if not getattr(target.flags, "writeable", True):
        raise RuntimeError("setitem: unsupported operation: the tensor's memory is read-only (expanded, or from a "
                           "read-only NumPy array). Please clone() the tensor before performing the operation.")
    if type(array) is complex and target.dtype.kind != "c":
        raise RuntimeError(f"setitem: value {array} cannot be converted to {x.dtype} without overflow")
    try:
        if indices:
            target[_key(_beside(kernels_of(target), indices))] = array
        else:
            target[...] = array
    except (ValueError, TypeError):  # TypeError: too many dimensions for a mask
        region = target[_key(indices)] if indices else target
        raise _misfit("setitem", getattr(value, "_array", value), region.shape) from None
    except IndexError as error:
        raise _out_of_range("setitem", error, target, indices) from None
    x._bump()


Tensor.__getitem__ = getitem
Tensor.__setitem__ = setitem


@op(method=False, function=False, view=True)
def slice_(k, x, /, key):
    """The view x[key] for integers, slices, None and Ellipsis."""
    shape, kind = x.shape, type(key)
    if kind is slice:
        if key.step is not None and key.step <= 0:
            raise ValueError(f"slice: step must be greater than zero, got {key.step}")
    elif kind is tuple:
        for item in key:
            if type(item) is slice and item.step is not None and item.step <= 0:
                raise ValueError(f"slice: step must be greater than zero, got {item.step}")
        key = key if Ellipsis in key else (*key, ...)  # with an Ellipsis the result is never a scalar, but a view
    elif key is not Ellipsis:
        key = (key, ...)
    try:
        y = x[key]
    except IndexError as error:
        if key.count(Ellipsis) < 2:
            raise _out_of_range("slice", error, x, key) from None
        key = _with_one_ellipsis(key, x.ndim - sum([type(i) in (int, slice) for i in key]))
        y = x[key]
    return y, lambda dy: k.slice_dx(dy, key, shape)


@op(method=False, function=False)
def slice_dx(k, x, /, key, shape):
    """Zeros of `shape` with `x` at key."""
    return k.slice_dx(x, key, shape), lambda dy: dy[key]


@op(method=False, function=False)
def index_(k, x, /, indices):
    """x[indices] for a list with an index array or None a dimension; a mask stands for as many as it has."""
    shape = x.shape
    arrays = _arrays(k, indices)
    try:
        y = x.take(arrays[0], 0) if len(arrays) == 1 and arrays[0].dtype.kind != "b" else x[_key(arrays)]
    except IndexError as error:
        raise _out_of_range("index", error, x, arrays) from None
    return y, lambda dy: k.index_dx(dy, arrays, shape)


@op(method=False, function=False)
def index_dx(k, x, /, indices, shape):
    """Zeros of `shape` to which `x` is added at `indices`."""
    arrays = _arrays(k, indices)
    return k.index_dx(x, arrays, shape), lambda dy: _read(dy, arrays)


@op(method=False, function=False)
def index_put_(k, x, values, /, indices, accumulate=False):
    """A copy of `x` with `values` at `indices`, or added there."""
    arrays = _arrays(k, indices)
    y = x.copy()
    key = _key(arrays)
    try:
        if getattr(values, "ndim", 0) > _region_ndim(x, arrays):
            raise _misfit("index_put", values, x[key].shape)
        if accumulate:
            place = k.xp.broadcast_to(k.xp.asarray(values, x.dtype), y[key].shape)
            y += k.index_dx(place, arrays, x.shape)
        else:
            y[key] = values
    except ValueError:
        raise _misfit("index_put", values, x[key].shape) from None
    except IndexError as error:
        raise _out_of_range("index_put", error, x, arrays) from None
    return y, lambda dy: dy if accumulate else _zeroed(dy, arrays), lambda dy: _read(dy, arrays)


def arrays_of(indices: Any) -> list:
    """Index arrays, lists or tensors as `index_` takes them."""
    return [i._array if isinstance(i, Tensor) else i if i is None or hasattr(i, "dtype") else np.array(i)
            for i in indices]


def _record(view: Tensor, indices: Any, value: Any) -> None:
    """The assignment with a graph: the view's, and through it its base's, new history."""
    if not isinstance(value, Tensor):
        value = Tensor._wrap(np.asarray(value)).to(view.dtype) if isinstance(view._array, np.ndarray) else \
            Tensor._wrap(view._array[:0].sum() + value).to(view.dtype)
    elif value._array.dtype != view._array.dtype:
        value = value.to(view.dtype)
    shape = view._array.shape if not indices else \
        index_.op.body(kernels_of(view._array), view._array, indices)[0].shape
    extra = value._array.ndim - len(shape)
    if extra > 0 and value._array.shape[:extra] == (1,) * extra:
        value = value.reshape(value._array.shape[extra:])
    if indices:
        write(view, index_put_(view, value, indices))
    else:
        try:
            value = value.broadcast_to(shape)
        except ShapeError:
            raise _misfit("setitem", value._array, shape) from None
        write(view, value)


def _parsed(x: Any, key: Any) -> tuple[Any, list]:
    """The basic part of a key (None where it changes nothing), and an index array or None for each dimension left."""
    items = key if type(key) is tuple else _items(key)
    consumed = 0
    parts = []
    for item in items:
        item = _part(item)
        parts.append(item)
        if item is None or item is Ellipsis or type(item) is bool:
            continue
        consumed += item.ndim if hasattr(item, "dtype") and item.dtype.kind == "b" else 1
    if consumed > x.ndim:
        raise DimError(f"index: too many indices for tensor of dimension {x.ndim}")
    if not any([part is Ellipsis for part in parts]):
        parts.append(Ellipsis)
    elif sum([part is Ellipsis for part in parts]) > 1:
        parts = _with_one_ellipsis(parts, x.ndim - consumed)
    basic: list = []
    indices: list = []
    trivial = True
    for part in parts:
        kind = type(part)
        if kind is int or part is None or kind is bool:
            trivial = False
            basic.append(None if kind is bool else part)
            if kind is not int:
                indices.append(None if part is None else np.zeros(int(part), np.int64))
        elif kind is slice:
            trivial = trivial and part == slice(None)
            basic.append(part)
            indices.append(None)
        elif part is Ellipsis:
            missing = x.ndim - consumed
            basic += [slice(None)] * missing
            indices += [None] * missing
        else:
            basic += [slice(None)] * (part.ndim if part.dtype.kind == "b" else 1)
            indices.append(part)
    while indices and indices[-1] is None:
        indices.pop()
    return (None if trivial else tuple(basic)), _expanded(indices)


def _with_one_ellipsis(parts: Any, missing: int) -> Any:
    """The parts of a key with several Ellipses, of which the first stands for all `missing` dimensions.

    Raises DimError where a part follows for which none is left.
    """
    first = next(i for i, part in enumerate(parts) if part is Ellipsis)
    rest = [part for part in parts[first + 1:] if part is not Ellipsis]
    second = next(i for i, part in enumerate(parts) if part is Ellipsis and i > first)
    if missing > 0 and any([part is not Ellipsis for part in parts[second:]]):
        raise DimError("index: too many indices for tensor: nothing may follow a second ellipsis ('...')")
    return type(parts)([*parts[:first], Ellipsis, *rest])


def _items(key: Any) -> tuple:
    """A key that is no tuple: a list with a sequence, slice, tensor, None or Ellipsis in it stands for one."""
    if isinstance(key, list) and len(key) < 32 and any([
            isinstance(i, (Tensor, list, tuple, slice)) or i is None or i is Ellipsis for i in key]):
        return tuple(key)
    return (key,)


def _part(item: Any) -> Any:
    """One part of a key as int, bool, slice, None, Ellipsis, or an array of int64 or bool."""
    kind = type(item)
    if kind in _BASIC or kind is bool:
        return item
    if isinstance(item, Tensor):
        item = item._array
        if item.dtype.char in "bhHILQ" and item.ndim:
            raise DimError("index: tensors used as indices must be long, int, byte or bool tensors, got "
                           f"{dtypes.from_numpy(item.dtype)}")
        if item.dtype.kind in "iu" and item.ndim and item.dtype.char != "B":
            return item.astype(np.int64)  # a copy: the tensor may be changed before backward
    elif isinstance(item, (list, tuple, range)):
        item = np.array([i._array if isinstance(i, Tensor) else i for i in item]) if len(item) else np.empty(0, int)
    elif not hasattr(item, "dtype"):
        if kind is str:
            raise TypeError("index: invalid data type 'str'")
        try:
            return integer(item)
        except TypeError:
            raise DimError("index: only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are "
                           f"valid indices (got {kind.__name__})") from None
    if item.dtype.kind not in "iub":
        raise DimError("index: tensors used as indices must be long, int, byte or bool tensors, got "
                       f"{dtypes.from_numpy(item.dtype)}")
    if item.dtype.char == "B":
        item = item != 0
    if item.ndim == 0:
        return bool(item) if item.dtype.kind == "b" else int(item)
    return item.copy() if item.dtype.kind == "b" else item.astype(np.int64)


def _expanded(indices: list) -> list:
    """A mask beside other index arrays becomes the positions of its elements, an array a dimension."""
    arrays = [i for i in indices if i is not None]
    if len(arrays) < 2 or all([i.dtype.kind != "b" for i in arrays]):
        return indices
    result: list = []
    for i in indices:
        result += i.nonzero() if i is not None and i.dtype.kind == "b" else (i,)
    return result


def _arrays(k: Any, indices: Any) -> list:
    return _expanded(_beside(k, arrays_of(indices)))


def _beside(k: Any, indices: list) -> list:
    """The index arrays on the device of `k`."""
    return indices if k.xp is np else [i if i is None else k.xp.asarray(i) for i in indices]


def _key(indices: Any) -> tuple:
    return tuple([slice(None) if i is None else i for i in indices])


def _region_ndim(x: Any, indices: list) -> int:
    """The number of dimensions of x[indices]."""
    arrays = [i for i in indices if i is not None]
    consumed = sum([i.ndim if i.dtype.kind == "b" else 1 for i in arrays])
    return x.ndim - consumed + max([1 if i.dtype.kind == "b" else i.ndim for i in arrays], default=0)


def _read(dy: Any, indices: list) -> Any:
    return index_(dy, indices) if isinstance(dy, Tensor) else dy[_key(indices)]


def _zeroed(dy: Any, indices: list) -> Any:
    if isinstance(dy, Tensor):
        return index_put_(dy, 0.0, indices)
    dx = dy.copy()
    dx[_key(indices)] = 0
    return dx


def _trimmed(value: Any) -> Any:
    """`value` without dimensions of size 1 in front: they count for nothing, and NumPy's masks do not take them."""
    while value.ndim and value.shape[0] == 1:
        value = value[0]
    return value


def _misfit(name: str, value: Any, shape: tuple) -> ShapeError:
    return ShapeError(f"{name}: shape mismatch: value tensor of shape {list(getattr(value, 'shape', ()))} cannot be "
                      f"broadcast to indexing result of shape {list(shape)}")


def _out_of_range(name: str, error: IndexError, x: Any, indices: Any) -> DimError:
    """What NumPy found wrong, in PyTorch's words where it is a number out of range."""
    at = 0
    for i in indices:
        if i is None and name == "slice":
            continue
        if i is Ellipsis:
            at = x.ndim - sum([1 for j in indices[indices.index(i) + 1:] if j is not None])
            continue
        size = x.shape[at] if at < x.ndim else None
        if size is None:
            return DimError(f"{name}: too many indices for tensor of dimension {x.ndim}")
        if hasattr(i, "dtype") and i.dtype.kind == "b":
            if i.shape != x.shape[at:at + i.ndim]:
                return DimError(f"{name}: The shape of the mask {list(i.shape)} at index {at} does not match the shape "
                                f"of the indexed tensor {list(x.shape)} at index {at}")
            at += i.ndim
            continue
        bad = _bad(i, size)
        if bad is not None:
            return DimError(f"{name}: index {bad} is out of bounds for dimension {at} with size {size}")
        at += 1
    shapes = [list(i.shape) for i in indices if hasattr(i, "dtype")]
    if len(shapes) > 1:
        return DimError(f"{name}: shape mismatch: indexing tensors could not be broadcast together with shapes "
                        + ", ".join(map(str, shapes)))
    return DimError(f"{name}: {error}")


def _bad(i: Any, size: int) -> int | None:
    if isinstance(i, int):
        return None if -size <= i < size else i
    if hasattr(i, "dtype"):
        found = i[(i < -size) | (i >= size)]
        return int(found[0]) if found.size else None
    return None
