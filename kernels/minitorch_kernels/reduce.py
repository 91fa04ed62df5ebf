"""Reductions, and the kernels of their derivatives."""
from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .table import kernel

LARGE = 1 << 17  # elements from which a compiled loop on several threads is worth its first compilation


@kernel
def sum(xp, x, axis=None, keepdims=False):
    """The sum over one axis, several or all. float16 and bfloat16 are added up in float32."""
    return xp.sum(x, axis=axis, keepdims=keepdims)


@kernel
def prod(xp, x, axis=None, keepdims=False):
    """The product over one axis, several or all."""
    return xp.prod(x, axis=axis, keepdims=keepdims)


@kernel
def spread(xp, x, axes, shape):
    """The adjoint of `sum` over `axes` (None: all): `x` repeated along them, without a copy, to `shape`.

    >>> spread(np, np.array([1.0, 2.0]), (1,), (2, 3))
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    kept = tuple([1 if axes is None or i in axes else n for i, n in enumerate(shape)])
    return xp.broadcast_to(xp.reshape(x, kept), shape)


@kernel
def sum_squares(xp, x, keepdims=False):
    """The sum of the squares of real numbers over the last axis."""
    return xp.sum(x * x, axis=-1, keepdims=keepdims)


@kernel
def prod_others(xp, x, axis):
    """For each element the product of all others along `axis`: the derivative of the product, zeros or not.

    It is the product of what comes before times that of what comes after, each a cumulative product.
    """
    def before(x):
        lines = xp.moveaxis(x, axis, 0)
        return xp.moveaxis(xp.concatenate([xp.ones_like(lines[:1]), xp.cumprod(lines[:-1], 0)]), 0, axis)

    return before(x) * xp.flip(before(xp.flip(x, axis)), axis) if x.shape[axis] else x


@kernel
def cumsum(xp, x, axis):
    """The sums of all elements up to each one along `axis`. float16 and bfloat16 are added up in float32."""
    return xp.cumsum(x, axis)


@kernel
def cumprod_dx(xp, dy, x, axis):
    """The gradient of the cumulative product: before[i] g[i], where g[i] = dy[i] + x[i+1] g[i+1].

    `before` is the product of the elements before i. No division, so zeros do no harm.
    """
    lines = (slice(None),) * axis
    xs, dys = ([z[(*lines, i)] for i in range(x.shape[axis])] for z in (x, dy))
    if not xs:
        return dy
    g = [dys[-1]]
    for a, d in zip(xs[:0:-1], dys[-2::-1]):
        g.append(d + a * g[-1])
    g.reverse()
    before = None
    for i, a in enumerate(xs[:-1]):
        before = a if before is None else before * a
        g[i + 1] = g[i + 1] * before
    return xp.stack(g, axis=axis)


@kernel
def logcumsumexp(xp, x, axis):
    """log(cumsum(exp(x))) along `axis`, without overflow."""
    return running(xp, x, axis, "logaddexp")


@kernel
def running(xp, x, axis, name):
    """What the function `name` of two numbers makes of each element and all before it along `axis`.

    CuPy's functions lack `accumulate`: there log2(n) passes, after each of which an element knows twice as many before
    it. Hillis and Steele 1986, "Data parallel algorithms".
    """
    function = getattr(xp, name)
    if xp is np:
        return function.accumulate(x, axis)
    y, step = xp.moveaxis(x, axis, 0), 1
    while step < len(y):
        y, step = xp.concatenate([y[:step], function(y[step:], y[:-step])]), 2 * step
    return xp.moveaxis(y, 0, axis)


def merged(shape: tuple[int, ...], axis: int | tuple[int, ...] | None) -> tuple[str, list[int]]:
    """Neighbouring axes that are all kept (k) or all reduced (r) made one: their kinds and sizes.

    >>> merged((2, 3, 4, 5), (0, 2, 3))
    ('rkr', [2, 3, 20])
    """
    n = len(shape)
    axes = range(n) if axis is None else [a % n for a in (axis if isinstance(axis, tuple) else (axis,))]
    kinds = ""
    sizes: list[int] = []
    for i, size in enumerate(shape):
        kind = "r" if i in axes else "k"
        if size == 1:
            continue
        if kinds.endswith(kind):
            sizes[-1] *= size
        else:
            kinds += kind
            sizes.append(size)
    return kinds, sizes


_add_up: Any = np.add.reduce  # called by position, which is quicker, but unknown to NumPy's type stubs


def _sum(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    if x.dtype.char in "eE":
        return _add_up(x, axis, np.float32, None, keepdims).astype(x.dtype)
    if axis == (0,) and x.ndim == 2 and x.size < LARGE >> 3 and not keepdims and x.dtype.char in "fd":
        return _ones(len(x), x.dtype.char).dot(x)  # a bias's gradient: BLAS takes a third of the time
    return _add_up(x, axis, None, None, keepdims)


@lru_cache(64)
def _ones(n: int, letter: str) -> np.ndarray:
    return np.ones(n, letter)


def _spread(x: np.ndarray, axes: tuple[int, ...] | None, shape: tuple[int, ...]) -> np.ndarray:
    """The view built directly: np.broadcast_to takes ten times as long."""
    if not isinstance(x, np.ndarray):
        x = np.asarray(x)
    if x.dtype.kind not in "fiuc" or not x.flags.c_contiguous or 0 in shape:
        return spread.reference(np, x, axes, shape)
    strides, step = [0] * len(shape), x.itemsize
    if axes is not None:
        for i in range(len(shape) - 1, -1, -1):
            if i not in axes:
                strides[i] = step
                step *= shape[i]
    view = np.ndarray(shape, x.dtype, x, 0, strides)
    view.flags.writeable = False
    return view


def _cumsum(x: np.ndarray, axis: int) -> np.ndarray:
    if x.dtype.char in "eE":
        return np.add.accumulate(x, axis, np.float32).astype(x.dtype)
    return np.add.accumulate(x, axis)


def _cumprod_dx(dy: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    """Without zeros: the sum of dy y from each element on, divided by it."""
    if x.shape[axis] < 16 or x.dtype.kind == "c" or not x.all():
        return cumprod_dx.reference(np, dy, x, axis)
    double = np.result_type(x, np.float64)
    wide = dy.astype(double) * np.multiply.accumulate(x, axis, double)
    return (np.flip(np.add.accumulate(np.flip(wide, axis), axis), axis) / x).astype(dy.dtype)


def _no_numba_sum(x: np.ndarray, axis=None, keepdims: bool = False) -> str | None:
    if x.size < LARGE:
        return f"fewer than {LARGE} elements"
    if x.dtype.char not in "fd" or not x.flags.c_contiguous:
        return "contiguous float32 and float64 only"
    kinds, _ = merged(x.shape, axis)
    return None if kinds in ("r", "kr", "rk", "rkr", "krk") else f"axes in the order {kinds!r}"


def _no_numba_prod(x: np.ndarray, axis=None, keepdims: bool = False) -> str | None:
    if x.size < LARGE >> 3 or x.dtype.char not in "fd" or not x.flags.c_contiguous:
        return f"fewer than {LARGE >> 3} elements, or neither float32 nor float64, or not contiguous"
    count = x.ndim if axis is None else len(axis) if isinstance(axis, tuple) else 1
    last = merged(x.shape, axis)[0] == "kr" == merged(x.shape, tuple(range(x.ndim - count, x.ndim)))[0]
    return None if last else "products along the last axes only"


def _no_numba_cumsum(x: np.ndarray, axis: int) -> str | None:
    if x.size < LARGE >> 3:
        return f"fewer than {LARGE >> 3} elements"
    return None if x.dtype.char in "fd" and x.flags.c_contiguous else "contiguous float32 and float64 only"


def _sum_squares(x: np.ndarray, keepdims: bool = False) -> np.ndarray:
    """In one pass, without the squares in memory."""
    y = np.einsum("...i,...i->...", x, x)
    return y[..., None] if keepdims else y


def _no_cuda_sum(x: Any, axis: Any = None, keepdims: bool = False) -> str | None:
    if x.dtype.char not in "fdeE" or not x.flags.c_contiguous:
        return "contiguous floats only"
    if not isinstance(axis, (int, tuple, type(None))):
        return "dimensions as numbers only"
    return None if x.size and (axis is None or "r" in merged(x.shape, axis)[0]) else "nothing to add up"


def _no_cuda_cumsum(x: Any, axis: int) -> str | None:
    if x.dtype.char not in "fdeE" or not x.flags.c_contiguous or not x.size or not x.ndim:
        return "contiguous floats of one dimension or more, not empty, only"
    if not isinstance(axis, int):
        return "one dimension only"
    n = x.shape[axis]
    alone = n > 1024 > x.size // n and axis % x.ndim < x.ndim - 1
    return "too few columns: a thread has one" if alone else None


def _spread_on_gpu(x: Any, axes: tuple[int, ...] | None, shape: tuple[int, ...]) -> Any:
    """The view built directly: cupy.broadcast_to takes several times as long."""
    strides, step = [0] * len(shape), x.itemsize
    for i in reversed([i for i in range(len(shape)) if axes is not None and i not in axes]):
        strides[i] = step
        step *= shape[i]
    return type(x)(shape, x.dtype, x.data, strides)


sum.version("numba", "cpu", "minitorch_kernels.cpu.reduce:sum", _no_numba_sum)
prod.version("numba", "cpu", "minitorch_kernels.cpu.reduce:prod", _no_numba_prod)
sum.version("wide", "cpu", _sum, backend="numpy")
spread.version("strided", "cpu", _spread, backend="numpy")
cumsum.version("numba", "cpu", "minitorch_kernels.cpu.reduce:cumsum", _no_numba_cumsum)
cumsum.version("wide", "cpu", _cumsum, backend="numpy")
cumprod_dx.version("division", "cpu", _cumprod_dx, backend="numpy")
sum_squares.version("einsum", "cpu", _sum_squares, lambda x, keepdims=False: None if x.dtype.char in "fd" else
                    "float32 and float64 only", backend="numpy")
sum.version("cuda", "cuda", "minitorch_kernels.cuda.reduce:sum", _no_cuda_sum)
sum_squares.version("cuda", "cuda", "minitorch_kernels.cuda.reduce:sum_squares",
                    lambda x, keepdims=False: _no_cuda_sum(x, x.ndim - 1))
cumsum.version("cuda", "cuda", "minitorch_kernels.cuda.reduce:cumsum", _no_cuda_cumsum)
spread.version("cuda", "cuda", _spread_on_gpu, lambda x, axes, shape: None if x.flags.c_contiguous and 0 not in shape
               else "contiguous arrays only, not empty")
