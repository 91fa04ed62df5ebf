"""Pooling kernels: the largest or the mean element of windows that slide over 1 to 3 spatial axes.

Arrays are (N, C, *spatial). Windows are given as PyTorch gives them: a kernel size, stride, padding and
dilation an axis, as tuples. The adaptive kinds get an output size instead and cut an axis of n elements into
the cells [floor(i n / out), ceil((i + 1) n / out)).
"""
from __future__ import annotations

import math
from itertools import product

import numpy as np

from .indexing import add_rows
from .norm import cast, widen
from .table import kernel

F32, F64, I16, I64 = map(np.dtype, ("float32", "float64", "int16", "int64"))


@kernel
def max_pool(xp, x, kernel, stride, padding, dilation, ceil_mode, narrow=False):
    """The largest element of each window, and its flat position within the spatial plane.

    y[p] = max over q of x[stride p + dilation q - padding], q running over the window

    Positions are int64, or, `narrow`, int16 where the plane has few enough elements: a quarter of the memory.

    Of equal elements the first one counts; a NaN wins, the last one of several. Padding never wins; a window
    that meets padding alone gives -inf and position -1.

    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> max_pool(np, x, (2, 2), (2, 2), (0, 0), (1, 1), False)[1].tolist()
    [[[[5, 7], [13, 15]]]]
    """
    size = x.shape[2:]
    out = pool_shape(size, kernel, stride, padding, dilation, ceil_mode)
    widths = [(p, max(0, (o - 1) * s + (k - 1) * d + 1 - p - n))
              for n, o, k, s, p, d in zip(size, out, kernel, stride, padding, dilation)]
    places = xp.pad(_places(xp, size), widths)
    y, places = _largest(xp, xp.pad(x, [(0, 0), (0, 0), *widths]), places, out, kernel, stride, dilation)
    if any(_misses(*axis) for axis in zip(size, out, kernel, stride, padding, dilation)):
        y = xp.where(places > 0, y, -math.inf)
    places = places - 1
    return y, places if position_dtype(size, narrow) == I64 else places.astype("int16")


@kernel
def max_pool_dx(xp, dy, index, x_shape, windows=None):
    """The gradient of max pooling: each `dy` is added to the element of x that `index` names; -1 names none.

    `windows` says where elements may have been picked from, by which a GPU finds those of an element of x: (kernel,
    stride, padding, dilation) of `max_pool`, or () for the cells of `adaptive_max_pool`.

    >>> max_pool_dx(np, np.ones((1, 1, 2)), np.array([[[2, 2]]]), (1, 1, 4))
    array([[[0., 0., 2., 0.]]])
    """
    planes, size, count = x_shape[0] * x_shape[1], math.prod(x_shape[2:]), math.prod(index.shape)
    starts = xp.reshape(xp.arange(planes) * (size + 1) + 1, (*x_shape[:2], *[1] * (index.ndim - 2)))
    rows = xp.reshape(starts + index, (count,))  # place 0 of each plane takes what belongs nowhere
    dx = add_rows(xp, xp.reshape(dy, (count, 1)), rows, planes * (size + 1))
    return xp.reshape(xp.reshape(dx, (planes, size + 1))[:, 1:], x_shape)


@kernel
def max_unpick(xp, x, index):
    """The adjoint of `max_pool_dx`: the elements of each plane of `x` at the places `index`; 0 where that is -1.

    >>> max_unpick(np, np.array([[[5.0, 6.0, 7.0]]]), np.array([[[2, 0]]]))
    array([[[7., 5.]]])
    """
    planes = x.shape[:2]
    flat = xp.reshape(x, (*planes, math.prod(x.shape[2:])))
    y = xp.take_along_axis(flat, xp.reshape(index, (*planes, math.prod(index.shape[2:]))), 2)
    return xp.where(index < 0, 0.0, xp.reshape(y, index.shape))


@kernel
def avg_pool(xp, x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """The sum of each window over its number of elements, or over `divisor_override` where that is not None.

    y[p] = Σ over q of x[stride p + q - padding] / n, q running over the n elements of the window

    `count_include_pad` counts the padding too, yet never what `ceil_mode` lets a window reach beyond it.

    >>> avg_pool(np, np.arange(6.0).reshape(1, 1, 6), (3,), (2,), (1,), False, False, None)
    array([[[0.5, 2. , 4. ]]])
    """
    y, size = widen(x), x.shape[2:]
    out = pool_shape(size, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    for axis, (o, k, s, p) in enumerate(zip(out, kernel, stride, padding), 2):
        y = _window_sums(xp, y, axis, o, k, s, p)
    y = y / (divisor_override
             or _counts(xp, size, out, kernel, stride, padding, count_include_pad, y.dtype))
    return cast(y, x.dtype)


@kernel
def avg_pool_dx(xp, dy, x_shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """The gradient of `avg_pool`: every element gets its share of each window that it lies in.

    >>> avg_pool_dx(np, np.ones((1, 1, 2)), (1, 1, 3), (2,), (1,), (0,), False, True, None)
    array([[[0.5, 1. , 0.5]]])
    """
    dx, size, out = widen(dy), x_shape[2:], dy.shape[2:]
    dx = dx / (divisor_override
               or _counts(xp, size, out, kernel, stride, padding, count_include_pad, dx.dtype))
    for axis, (n, k, s, p) in enumerate(zip(size, kernel, stride, padding), 2):
        dx = _window_spread(xp, dx, axis, n, k, s, p)
    return cast(dx, dy.dtype)


@kernel
def adaptive_avg_pool(xp, x, output_size):
    """The mean of each of `output_size` cells, which overlap where that does not divide x's size.

    >>> adaptive_avg_pool(np, np.arange(5.0).reshape(1, 1, 5), (2,))
    array([[[1., 3.]]])
    """
    y = widen(x)
    for axis, out in enumerate(output_size, 2):
        means = [xp.mean(_cut(y, axis, a, b), axis=axis, keepdims=True) for a, b in cells(x.shape[axis], out)]
        y = xp.concatenate([_cut(y, axis, 0, 0), *means], axis=axis)
    return cast(y, x.dtype)


@kernel
def adaptive_avg_pool_dx(xp, dy, x_shape):
    """The gradient of `adaptive_avg_pool`.

    >>> adaptive_avg_pool_dx(np, np.ones((1, 1, 2)), (1, 1, 3))
    array([[[0.5, 1. , 0.5]]])
    """
    dx = widen(dy)
    for axis, out in enumerate(dy.shape[2:], 2):
        size, shape = x_shape[axis], list(dx.shape)
        total = xp.zeros((*shape[:axis], size, *shape[axis + 1:]), dx.dtype)
        for i, (a, b) in enumerate(cells(size, out)):
            shape[axis] = b - a
            share = xp.broadcast_to(_cut(dx, axis, i, i + 1) / (b - a), tuple(shape))
            total = total + _padded(xp, share, axis, a, size - b)
        dx = total
    return cast(dx, dy.dtype)


@kernel
def adaptive_max_pool(xp, x, output_size):
    """The largest element of each of `output_size` cells, and its position as in `max_pool`.

    >>> adaptive_max_pool(np, np.arange(5.0).reshape(1, 1, 5), (2,))[1].tolist()
    [[[2, 4]]]
    """
    size = x.shape[2:]
    longest = [max((b - a for a, b in cells(n, out)), default=1) for n, out in zip(size, output_size)]
    places = _places(xp, size)
    for axis, (n, out, long) in enumerate(zip(size, output_size, longest)):
        x = _unrolled(xp, x, axis + 2, n, out, long)
        places = _unrolled(xp, places, axis, n, out, long)
    y, places = _largest(xp, x, places, tuple(output_size), longest, longest, (1,) * len(size))
    return y, places - 1


def pool_shape(size: tuple, kernel: tuple, stride: tuple, padding: tuple, dilation: tuple,
               ceil_mode: bool) -> tuple[int, ...]:
    """The spatial shape that pooling gives.

    With `ceil_mode` a last window may reach beyond the padding, but must start inside the input or its left
    padding.

    >>> pool_shape((5, 6), (2, 2), (2, 2), (0, 0), (1, 1), True)
    (3, 3)
    """
    return tuple([_steps(*axis, ceil_mode) for axis in zip(size, kernel, stride, padding, dilation)])


def position_dtype(size: tuple, narrow: bool) -> np.dtype:
    """The dtype of positions in a plane of this size: int64, or int16 where that is wanted and enough."""
    return I16 if narrow and math.prod(size) <= 1 << 15 else I64


def cells(size: int, out: int) -> list[tuple[int, int]]:
    """The [start, end) of each of the `out` cells of adaptive pooling.

    >>> cells(5, 3)
    [(0, 2), (1, 4), (3, 5)]
    """
    return [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def window_counts(n: int, out: int, kernel: int, stride: int, padding: int, include_pad: bool) -> list[int]:
    """How many elements each window along one axis holds.

    >>> window_counts(5, 3, 3, 2, 1, False), window_counts(5, 3, 3, 2, 1, True)
    ([2, 3, 2], [3, 3, 3])
    """
    low, high = (-padding, n + padding) if include_pad else (0, n)
    starts = range(-padding, out * stride - padding, stride)
    return [max(0, min(a + kernel, high) - max(a, low)) for a in starts]


def _steps(n, kernel, stride, padding, dilation, ceil_mode):
    room = n + 2 * padding - dilation * (kernel - 1) - 1
    steps = (-(-room // stride) if ceil_mode else room // stride) + 1
    return steps - (ceil_mode and (steps - 1) * stride >= n + padding)


def _misses(n, out, kernel, stride, padding, dilation):
    """Whether some window along an axis meets padding alone, which takes dilation."""
    return dilation > 1 and any(not any(0 <= i * stride - padding + t * dilation < n for t in range(kernel))
                                for i in range(out))


def _places(xp, size):
    """The flat positions of a plane, counted from 1: 0 stays free to mark padding."""
    return xp.reshape(xp.arange(1, math.prod(size) + 1), size)


def _largest(xp, x, places, out, kernel, stride, dilation):
    """The largest of each window's elements and its place, by one comparison of all windows a tap."""
    y = best = None
    for tap in product(*map(range, kernel)):
        window = tuple([slice(t * d, t * d + (o - 1) * s + 1 if o else 0, s)
                        for t, o, s, d in zip(tap, out, stride, dilation)])
        v, place = x[(slice(None), slice(None), *window)], places[window]
        if y is None:
            y, best = v, xp.zeros(v.shape, place.dtype) + place
        better = (place > 0) & ((v > y) | (v != v) | (best == 0))
        y, best = xp.where(better, v, y), xp.where(better, place, best)
    return y, best


def _counts(xp, size, out, kernel, stride, padding, include_pad, dtype):
    """The number of elements in each window, of the shape `out`."""
    total = None
    for n, o, k, s, p in zip(size, out, kernel, stride, padding):
        ones, p = (xp.ones((n + 2 * p,), dtype), 0) if include_pad else (xp.ones((n,), dtype), p)
        count = _window_sums(xp, ones, 0, o, k, s, p)
        total = count if total is None else xp.expand_dims(total, -1) * count
    return total


def _window_sums(xp, x, axis, out, kernel, stride, padding):
    """The sum of each window along one axis."""
    reach = (out - 1) * stride + kernel
    x = _padded(xp, x, axis, padding, max(0, reach - padding - x.shape[axis]))
    taps = (_cut(x, axis, t, t + (out - 1) * stride + 1, stride) for t in range(kernel))
    total = next(taps)
    for tap in taps:
        total = total + tap
    return total


def _window_spread(xp, dy, axis, size, kernel, stride, padding):
    """The transpose of `_window_sums`: each window's value is added to all that it holds along an axis."""
    before, out, after = dy.shape[:axis], dy.shape[axis], dy.shape[axis + 1:]
    apart = _padded(xp, xp.expand_dims(dy, axis + 1), axis + 1, 0, stride - 1)
    apart = xp.reshape(apart, (*before, out * stride, *after))  # zeros between the windows' starts
    total = _padded(xp, apart, axis, 0, kernel - 1)
    for t in range(1, kernel):
        total = total + _padded(xp, apart, axis, t, kernel - 1 - t)
    total = _padded(xp, total, axis, 0, max(0, padding + size - total.shape[axis]))
    return _cut(total, axis, padding, padding + size)


def _unrolled(xp, x, axis, size, out, long):
    """The cells of an axis one after the other, each filled up with zeros to the length of the longest."""
    runs = [_padded(xp, _cut(x, axis, a, b), axis, 0, long - (b - a)) for a, b in cells(size, out)]
    return xp.concatenate([_cut(x, axis, 0, 0), *runs], axis=axis)


def _cut(x, axis, start, stop, step=1):
    return x[(slice(None),) * axis + (slice(start, stop, step),)]


def _padded(xp, x, axis, before, after):
    if not before and not after:
        return x
    return xp.pad(x, [(0, 0)] * axis + [(before, after)] + [(0, 0)] * (x.ndim - axis - 1))


def _not_planes(x, *arguments, **options):
    if x.dtype != F32 and x.dtype != F64:
        return "float32 and float64 only"
    if not 3 <= x.ndim <= 4:
        return "1 or 2 spatial axes only"
    return None if x.size < 1 << 31 else "fewer than 2**31 elements only"  # positions are int32 on the way


def _not_positions(dy, index, x_shape, windows=None):
    if (index.dtype != I64 and index.dtype != I16) or index.shape != dy.shape:
        return "int64 or int16 positions of dy's shape only"
    return _not_planes(dy)


def _not_gpu_planes(x, *arguments, **options):
    if x.dtype.char not in "fdeE":
        return "float16, bfloat16, float32 and float64 only"
    if not 3 <= x.ndim <= 5:
        return "1 to 3 spatial axes only"
    if x.size >= 1 << 31 and math.prod(x.shape[2:]) >= 1 << 31:
        return "planes of fewer than 2**31 elements only"
    return None if x.size else "no elements"


def _not_gpu_cells(x, output_size):
    return "no elements" if 0 in output_size else _not_gpu_planes(x)


def _not_gpu_positions(dy, index, x_shape, windows=None):
    if windows is None:
        return "positions of known windows only"
    if (index.dtype != I64 and index.dtype != I16) or index.shape != dy.shape:
        return "int64 or int16 positions of dy's shape only"
    return _not_gpu_planes(dy)


for _entry in (max_pool, avg_pool, avg_pool_dx, adaptive_avg_pool, adaptive_avg_pool_dx, adaptive_max_pool):
    _entry.version("numba", "cpu", f"minitorch_kernels.cpu.pooling:{_entry.name}", refuses=_not_planes)
    _entry.version("cuda", "cuda", f"minitorch_kernels.cuda.pooling:{_entry.name}",
                   refuses=_not_gpu_cells if _entry in (adaptive_avg_pool, adaptive_max_pool) else _not_gpu_planes)
max_pool_dx.version("cuda", "cuda", "minitorch_kernels.cuda.pooling:max_pool_dx", refuses=_not_gpu_positions)
max_pool_dx.version("numba", "cpu", "minitorch_kernels.cpu.pooling:max_pool_dx", refuses=_not_positions)
