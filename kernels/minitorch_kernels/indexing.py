"""Gathering and placing elements: by integer arrays, slices, diagonals and windows.

Most kernels come in pairs, each the adjoint of the other. Several write into a fresh array and so have no reference
that runs on tensors; the ops of the same names differentiate them.
"""
from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from . import memory
from .table import kernel


@kernel
def gather(xp, x, index, axis):
    """y[i][j] = x[index[i][j]][j] for axis 0, and so on: an element of `x` for each element of `index`."""
    return xp.take_along_axis(x, index, axis)


@kernel
def gather_dx(xp, dy, index, axis, shape, once=False):
    """The adjoint of `gather`: zeros of `shape` to which each element of `dy` is added where `index` says.

    `once` promises that no place is named twice.
    """
    return xp.reshape(add_rows(xp, xp.reshape(dy, (-1, 1)), _flat_places(xp, index, axis, shape), prod(shape)), shape)


@kernel
def add_rows(xp, rows, index, n):
    """An (n, width) array of zeros to which row i of `rows`, (count, width), is added at row index[i].

    >>> add_rows(np, np.array([[1.0], [2.0], [4.0]]), np.array([2, 0, 2]), 3)
    array([[2.],
           [0.],
           [5.]])
    """
    out = xp.zeros((n, rows.shape[1]), rows.dtype)
    _add_at(xp, out, index, rows)
    return out


@kernel
def index_dx(xp, dy, indices, shape):
    """The adjoint of x[indices]: zeros of `shape` to which `dy` is added at `indices`, a list of arrays and None."""
    places = [i for i, a in enumerate(indices) if a is not None]
    if len(places) == 1 and indices[places[0]].dtype.kind == "b":  # a mask meets no element twice
        out = zeros(xp, shape, dy.dtype)
        out[tuple(slice(None) if a is None else a for a in indices)] = dy
        return out
    arrays = xp.broadcast_arrays(*(indices[i] for i in places))
    rest = [i for i in range(len(shape)) if i not in places]
    flat = 0
    for i, a in zip(places, arrays):
        flat = flat * shape[i] + xp.where(a < 0, a + shape[i], a)
    adjacent = places[-1] - places[0] == len(places) - 1
    first, depth = (places[0] if adjacent else 0), arrays[0].ndim
    front = [*range(first, first + depth), *range(first), *range(first + depth, dy.ndim)]
    width, count = prod([shape[i] for i in rest]), prod([shape[i] for i in places])
    rows = xp.ascontiguousarray(dy.transpose(front)).reshape(flat.size, width)
    out = _bound(xp).add_rows(rows, flat.reshape(-1), count)
    order = places + rest
    return out.reshape([shape[i] for i in order]).transpose([order.index(i) for i in range(len(shape))])


@kernel
def embedding_dw(xp, dy, index, shape, padding_idx=None, by_frequency=False):
    """The gradient of a table of `shape` whose rows `index` were taken, without that of row `padding_idx`.

    `by_frequency` divides each row's gradient by the number of times the row was taken.
    """
    flat = index.reshape(-1)
    table = _bound(xp).add_rows(xp.ascontiguousarray(dy).reshape(flat.size, shape[1]), flat.astype("int64"), shape[0])
    if by_frequency:
        table /= xp.maximum(xp.bincount(flat, minlength=shape[0]), 1)[:, None].astype(dy.dtype)
    if padding_idx is not None:
        table[padding_idx] = 0
    return table


@kernel
def slice_dx(xp, dy, key, shape):
    """The adjoint of x[key] for integers and slices: zeros of `shape` with `dy` at `key`."""
    out = zeros(xp, shape, dy.dtype)
    out[key] = dy
    return out


@kernel
def diagonal(xp, x, offset, a, b):
    """The diagonal of two axes as the last axis: a view, writeable (NumPy's is not) where `x` is."""
    y = x.diagonal(offset, a, b)
    if xp is np and x.flags.writeable:
        y.flags.writeable = True
    return y


@kernel
def on_diagonal(xp, x, shape, offset, axis1, axis2):
    """The adjoint of `diagonal`: zeros of `shape` with `x` on a diagonal of the axes."""
    out = xp.zeros(shape, x.dtype)
    diagonal = out.diagonal(offset, axis1, axis2)
    if xp is np:
        diagonal.flags.writeable = True  # NumPy gives a read-only view
    diagonal[...] = x
    return out


@kernel
def windows_dx(xp, dy, shape, axis, size, step):
    """The adjoint of sliding windows (`Tensor.unfold`): overlapping parts are summed."""
    if not shape:
        return dy.reshape(shape)
    out = xp.zeros(shape, dy.dtype)
    before, count, parts = (slice(None),) * axis, dy.shape[axis], -(-size // step)
    dims = range(dy.ndim - 1)
    dy = dy.transpose(*dims[:axis + 1], dy.ndim - 1, *dims[axis + 1:])  # a window's elements after its number
    blocks = xp.zeros((*shape[:axis], count - 1 + parts, step, *shape[axis + 1:]), dy.dtype)  # `step` elements each
    for i in range(parts):
        width = min(step, size - i * step)
        part = dy[(*before, slice(None), slice(i * step, i * step + width))]
        blocks[(*before, slice(i, i + count), slice(width))] += part
    joined = blocks.reshape(*shape[:axis], (count - 1 + parts) * step, *shape[axis + 1:])
    end = min(joined.shape[axis], shape[axis])
    out[(*before, slice(end))] = joined[(*before, slice(end))]
    return out


@kernel
def constant_pad(xp, x, widths, value):
    """`x` with `value` around it: widths[i] = (before, after) of axis i; a negative width takes away.

    >>> constant_pad(np, np.ones((1, 2)), [(0, 1), (-1, 1)], 0.0)
    array([[1., 0.],
           [0., 0.]])
    """
    shape = tuple([n + a + b for n, (a, b) in zip(x.shape, widths)])
    inner = tuple([slice(max(a, 0), n + a + min(b, 0)) for n, (a, b) in zip(x.shape, widths)])
    outer = tuple([slice(max(-a, 0), n + min(b, 0)) for n, (a, b) in zip(x.shape, widths)])
    out = memory.empty(shape, x.dtype) if xp is np else xp.empty(shape, x.dtype)
    out[...] = value
    out[inner] = x[outer]
    return out


@kernel
def roll(xp, x, shifts, axes):
    """`x` moved along each of `axes` by the shift of the same position; what leaves at one end enters at the other."""
    for shift, axis in zip(shifts, axes):
        n = x.shape[axis]
        if n and shift % n:
            before, cut = (slice(None),) * axis, n - shift % n
            x = xp.concatenate([x[(*before, slice(cut, n))], x[(*before, slice(0, cut))]], axis=axis)
    return x


def zeros(xp: Any, shape: tuple, dtype: Any) -> Any:
    """Zeros, in pooled memory where there are many."""
    if xp is not np or prod(shape) * dtype.itemsize < memory.LARGE:
        return xp.zeros(shape, dtype)
    out = memory.empty(shape, dtype)
    out.fill(0)
    return out


def grid(shape: tuple[int, ...], axis: int) -> list:
    """Index arrays of the axes other than `axis`, which stands as None, that broadcast to `shape`."""
    return list(_grid(shape, axis))


@lru_cache(256)
def _grid(shape: tuple[int, ...], axis: int) -> tuple:
    n = len(shape)
    return tuple(None if i == axis else np.arange(size).reshape([-1 if j == i else 1 for j in range(n)])
                 for i, size in enumerate(shape))


def _gather(x: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    key = grid(index.shape, axis)
    key[axis] = index
    return x[tuple(key)]


def _gather_dx(dy: np.ndarray, index: np.ndarray, axis: int, shape: tuple, once: bool = False) -> np.ndarray:
    if once:
        out = zeros(np, shape, dy.dtype)
        key = grid(index.shape, axis)
        key[axis] = index
        out[tuple(key)] = dy
        return out
    places = _flat_places(np, index, axis, shape)
    if dy.dtype.kind == "f":
        return np.bincount(places, dy.reshape(-1), prod(shape)).astype(dy.dtype).reshape(shape)
    out = np.zeros(prod(shape), dy.dtype)
    np.add.at(out, places, dy.reshape(-1))
    return out.reshape(shape)


def _flat_places(xp: Any, index: Any, axis: int, shape: tuple) -> Any:
    """The position in an array of `shape`, laid out in C order, of each element that `index` names along `axis`."""
    flat: Any = 0
    stride = 1
    for i in range(len(shape) - 1, -1, -1):
        line = [-1 if j == i else 1 for j in range(len(shape))]
        part = index if i == axis else xp.arange(index.shape[i]).reshape(line)
        flat = flat + part * stride
        stride *= shape[i]
    return flat.reshape(-1)


def _add_rows(rows: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """Rows that go to the same place become neighbours by sorting, and are summed together."""
    out = zeros(np, (n, rows.shape[1]), rows.dtype)
    if rows.size == 0:
        return out
    if rows.shape[1] == 1 and rows.dtype.kind == "f":
        return np.bincount(index, rows[:, 0], n).astype(rows.dtype)[:, None]
    order = np.argsort(index, kind="stable")
    index = index[order]
    starts = np.flatnonzero(np.concatenate(([True], index[1:] != index[:-1])))
    wide = np.float32 if rows.dtype.char in "eE" else None
    out[index[starts]] = np.add.reduceat(rows[order], starts, axis=0, dtype=wide)
    return out


def _add_at(xp: Any, out: Any, index: Any, x: Any) -> None:
    """xp.add.at, also for dtypes that a GPU cannot add to in one step."""
    if xp is np or out.dtype.char in "efdiI":
        xp.add.at(out, index, x)
    elif out.dtype.kind == "c":
        _add_at(xp, out.real, index, x.real)
        _add_at(xp, out.imag, index, x.imag)
    elif out.dtype.itemsize == 8:
        xp.add.at(out.view(np.uint64), index, x.view(np.uint64))  # the same bits, modulo 2^64
    else:
        wide = np.float32 if out.dtype.kind == "V" else np.int32
        total = xp.zeros(out.shape, wide)
        xp.add.at(total, index, x.astype(wide))
        out[...] = total.astype(out.dtype)


def _bound(xp: Any) -> Any:
    from .table import kernels

    return kernels(xp)


def _no_numba(rows: np.ndarray, index: np.ndarray, n: int) -> str | None:
    if rows.dtype.char not in "fd" or index.dtype != np.int64:
        return "float32 and float64 rows, int64 index only"
    if rows.size < 1 << 14:
        return "too small to be worth compiling"
    return None if rows.flags.c_contiguous and index.flags.c_contiguous else "contiguous arrays only"


def _no_numba_lines(x: np.ndarray, index: np.ndarray, axis: int) -> str | None:
    if index.size < 1 << 14:
        return "too small to be worth compiling"
    if x.dtype.char not in "fd" or index.dtype != np.int64:
        return "float32 and float64, int64 index only"
    if x.shape[:axis] != index.shape[:axis] or x.shape[axis + 1:] != index.shape[axis + 1:]:
        return "an index of the shape of x but for the axis only"
    return None if x.flags.c_contiguous and index.flags.c_contiguous else "contiguous arrays only"


def _no_numba_lines_dx(dy: np.ndarray, index: np.ndarray, axis: int, shape: tuple, once: bool = False) -> str | None:
    if index.size < 1 << 14:
        return "too small to be worth compiling"
    if shape[:axis] != index.shape[:axis] or shape[axis + 1:] != index.shape[axis + 1:]:
        return "an index of the shape of the result but for the axis only"
    return _no_numba_lines(dy, index, axis) if dy.shape == index.shape else "dy of the shape of the index only"


_COPIED, _MOST = (1, 2, 4, 8), 1 << 31  # bytes of elements that the GPU's kernels copy; how many they count


def _no_gpu(x: Any, index: Any, axis: int) -> str | None:
    """What the GPU's kernels leave to CuPy."""
    if x.itemsize not in _COPIED or x.ndim > 8 or not 0 < index.size < _MOST or not 0 < x.size < _MOST:
        return "1 to 2^31 elements of at most 8 bytes, in at most 8 dimensions, only"
    if index.dtype.kind not in "iu" or not isinstance(axis, int):
        return "an integer index along one dimension only"
    axis %= x.ndim or 1
    if x.shape[:axis] != index.shape[:axis] or x.shape[axis + 1:] != index.shape[axis + 1:]:
        return "an index of the shape of x but for the axis only"
    return None


def _no_gpu_dx(dy: Any, index: Any, axis: int, shape: tuple, once: bool = False) -> str | None:
    if dy.dtype.char not in "fdeE" and not (once and dy.itemsize in _COPIED):
        return "floats, or elements of at most 8 bytes to places of their own, only"
    if not shape or dy.shape != index.shape or len(shape) > 8 or not 0 < dy.size < _MOST:
        return "dy of the shape of the index, in 1 to 8 dimensions, not empty, only"
    axis %= len(shape)
    fits = all([n <= m or i == axis for i, (n, m) in enumerate(zip(index.shape, shape))])
    return None if fits and index.ndim == len(shape) and index.dtype.kind in "iu" else "an integer index that fits only"


def _no_gpu_rows(rows: Any, index: Any, n: int) -> str | None:
    if rows.dtype.char not in "fdeE":
        return "float16, bfloat16, float32 and float64 only"
    return None if rows.size and index.size and index.dtype.kind in "iu" else "integer indices, and some rows, only"


def _no_gpu_embedding(dy: Any, index: Any, shape: tuple, padding_idx: Any = None, by_frequency: bool = False) -> Any:
    return "every row alike only" if by_frequency else _no_gpu_rows(dy, index, shape[0])


def _no_gpu_index(dy: Any, indices: list, shape: tuple) -> str | None:
    if len(indices) != 1 or indices[0] is None:
        return "an index of the first dimension only"
    return _no_gpu_rows(dy, indices[0], shape[0])


gather.version("numba", "cpu", "minitorch_kernels.cpu.indexing:gather", _no_numba_lines)
gather.version("grid", "cpu", _gather, backend="numpy")
gather_dx.version("numba", "cpu", "minitorch_kernels.cpu.indexing:gather_dx", _no_numba_lines_dx)
gather_dx.version("bincount", "cpu", _gather_dx,
                  lambda dy, index, axis, shape, once=False: None if index.ndim else "a scalar",
                  backend="numpy")
add_rows.version("numba", "cpu", "minitorch_kernels.cpu.indexing:add_rows", _no_numba)
add_rows.version("sorted", "cpu", _add_rows, backend="numpy")
for _entry, _predicate in ((gather, _no_gpu), (gather_dx, _no_gpu_dx), (add_rows, _no_gpu_rows),
                           (embedding_dw, _no_gpu_embedding), (index_dx, _no_gpu_index)):
    _entry.version("cuda", "cuda", f"minitorch_kernels.cuda.indexing:{_entry.name}", refuses=_predicate)
