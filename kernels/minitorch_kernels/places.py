"""Fixed places of images: picking along an axis (padding, nearest neighbours) and windows as columns; with adjoints.

The adjoints write into a fresh array, and so have no reference that runs on tensors: the ops of the same names
differentiate them.
"""
from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from .indexing import zeros
from .table import kernel


@kernel
def pick_axis(xp, x, index, axis):
    """x at the places `index`, an int64 array of NumPy's, along `axis`; a place may be picked any number of times.

    >>> pick_axis(np, np.array([1.0, 2.0]), np.array([0, 1, 1]), 0)
    array([1., 2., 2.])
    """
    return xp.take(x, xp.asarray(index), axis)


@kernel
def pick_axis_dx(xp, dy, index, axis, n):
    """The adjoint of `pick_axis` from an axis of `n`: what was picked is added to where it came from.

    >>> pick_axis_dx(np, np.array([1.0, 2.0, 3.0]), np.array([0, 1, 1]), 0, 2)
    array([1., 5.])
    """
    before = (slice(None),) * axis
    out = zeros(xp, (*dy.shape[:axis], n, *dy.shape[axis + 1:]), dy.dtype)
    for target, source in _rounds(index.tobytes()):
        out[(*before, target)] += dy[(*before, source)]
    return out


@kernel
def im2col(xp, x, window, dilation, padding, stride):
    """x (N, C, H, W) to (N, C * window, places): the windows as columns.

    >>> im2col(np, np.arange(4.0).reshape(1, 1, 1, 4), (1, 2), (1, 1), (0, 0), (1, 1))
    array([[[0., 1., 2.],
            [1., 2., 3.]]])
    """
    n, c, h, w = x.shape
    (p, q), out = padding, column_places((h, w), window, dilation, padding, stride)
    padded = xp.pad(x, [(0, 0), (0, 0), (p, p), (q, q)]) if p or q else x
    y = xp.empty((n, c, prod(window), *out), x.dtype)
    for i, place in enumerate(_windows(window, dilation, stride, out)):
        y[:, :, i] = padded[place]
    return y.reshape(n, c * prod(window), prod(out))


@kernel
def col2im(xp, columns, size, window, dilation, padding, stride):
    """The adjoint of `im2col`: columns (N, C * window, places) to (N, C, *size), summed where windows overlap.

    >>> col2im(np, np.ones((1, 2, 3)), (1, 4), (1, 2), (1, 1), (0, 0), (1, 1))
    array([[[[1., 2., 2., 1.]]]])
    """
    (n, rows, _), (h, w), (p, q) = columns.shape, size, padding
    out = column_places(size, window, dilation, padding, stride)
    columns = columns.reshape(n, rows // prod(window), prod(window), *out)
    y = xp.zeros((n, rows // prod(window), h + 2 * p, w + 2 * q), columns.dtype)
    for i, place in enumerate(_windows(window, dilation, stride, out)):
        y[place] += columns[:, :, i]
    return y[:, :, p:p + h, q:q + w].copy() if p or q else y


def column_places(size: tuple, window: tuple, dilation: tuple, padding: tuple, stride: tuple) -> tuple[int, ...]:
    """How many windows there are along each axis.

    >>> column_places((5, 6), (2, 3), (1, 1), (0, 0), (1, 1))
    (4, 4)
    """
    return tuple([(n + 2 * p - d * (w - 1) - 1) // s + 1
                  for n, w, d, p, s in zip(size, window, dilation, padding, stride)])


def _windows(window: tuple, dilation: tuple, stride: tuple, out: tuple) -> list[tuple]:
    """For each element of the window, the slices that hold it at all places."""
    return [(slice(None), slice(None), *(slice(i * d, i * d + s * (m - 1) + 1, s)
                                         for i, d, s, m in zip(at, dilation, stride, out)))
            for at in product(*map(range, window))]


@lru_cache(256)
def _rounds(index: bytes) -> list[tuple[Any, Any]]:
    """The additions (target, source) that carry each element back; no target occurs twice in one of them."""
    places = np.frombuffer(index, np.int64)
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    nth = np.arange(len(places)) - np.searchsorted(ordered, ordered)  # the how-manieth of its place each one is
    return [(_regular(ordered[nth == t]), _regular(order[nth == t])) for t in range(nth.max(initial=-1) + 1)]


def _regular(places: np.ndarray) -> Any:
    """`places` as a slice where they are evenly spaced, which copies several times faster."""
    if len(places) > 1:
        step = int(places[1] - places[0])
        if step > 0 and (np.diff(places) == step).all():
            return slice(int(places[0]), int(places[-1]) + 1, step)
    return places


def _refuses(x: Any, index: Any, axis: int) -> str | None:
    """What the GPU's kernel leaves to CuPy."""
    return None if x.size and len(index) and x.itemsize in (1, 2, 4, 8) else "some elements of at most 8 bytes only"


def _refuses_dx(dy: Any, index: Any, axis: int, n: int) -> str | None:
    return None if dy.size and n and dy.dtype.char in "fdeE" else "some float16, bfloat16, float32 or float64 only"


pick_axis.version("cuda", "cuda", "minitorch_kernels.cuda.indexing:pick_axis", refuses=_refuses)
pick_axis_dx.version("cuda", "cuda", "minitorch_kernels.cuda.indexing:pick_axis_dx", refuses=_refuses_dx)
