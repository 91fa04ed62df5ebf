"""Normalisation kernels: batch, layer, group and RMS norm, their statistics and their gradients.

All of them standardise groups of elements, xhat = (x - mean) / sqrt(var + eps) with the biased variance, and
then scale and shift, y = xhat w + b; they differ in which elements share a mean. float16 and bfloat16 are
computed, and their statistics returned, in float32.

Ioffe and Szegedy 2015 (batch norm); Ba, Kiros and Hinton 2016 (layer norm); Wu and He 2018 (group norm);
Zhang and Sennrich 2019 (RMS norm).
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .table import kernel

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


@kernel
def batch_norm(xp, x, w, b, eps, running=None):
    """Training-time batch norm over all axes but 1: (y, mean, var), the statistics of shape (C,), var biased.

    y = (x - mean) / √(var + eps) w + b

    x is (N, C) or (N, C, *spatial); w and b are (C,) or None. An empty batch has mean and var 0. `running`, (mean,
    var, momentum), are statistics that `move` changes in place.

    >>> y, mean, var = batch_norm(np, np.array([[1.0, 2.0], [3.0, 6.0]]), None, None, 0.0)
    >>> mean, var
    (array([2., 4.]), array([1., 4.]))
    """
    axes = _all_but_channel(x)
    wide = widen(x)
    mean, var = _moments(xp, wide, axes)
    y = _scaled(_standard(xp, wide, mean, var, eps), _channels(xp, w, x.ndim), _channels(xp, b, x.ndim))
    mean, var = xp.reshape(mean, x.shape[1:2]), xp.reshape(var, x.shape[1:2])
    if running is not None:
        move(running, mean, var, x.size // x.shape[1])
    return cast(y, x.dtype), mean, var


@kernel
def batch_norm_backward(xp, dy, x, w, eps, stats=None):
    """The gradients (dx, dw, db) of `batch_norm`'s y. `stats`, its (mean, 1 / sqrt(var + eps)), saves a pass.

    >>> batch_norm_backward(np, np.array([[1.0], [3.0]]), np.array([[1.0], [-1.0]]), None, 0.0)[1:]
    (array([-2.]), array([4.]))
    """
    axes = _all_but_channel(x)
    xhat, g, rstd = _standard_and_scaled(xp, dy, x, _channels(xp, w, x.ndim), axes, eps)
    return _gradients(xp, dy, x, w, xhat, g, rstd, axes, axes)


@kernel
def batch_norm_apply(xp, x, w, b, mean, var, eps):
    """Evaluation-time batch norm: y with the given statistics, each of shape (C,).

    y = (x - mean) / √(var + eps) w + b

    >>> batch_norm_apply(np, np.array([[3.0]]), None, None, np.array([1.0]), np.array([4.0]), 0.0)
    array([[1.]])
    """
    mean, var, w, b = [_channels(xp, a, x.ndim) for a in (mean, var, w, b)]
    return cast(_scaled(_standard(xp, widen(x), widen(mean), widen(var), eps), w, b), x.dtype)


@kernel
def batch_norm_apply_backward(xp, dy, x, w, mean, var, eps):
    """The gradients (dx, dw, db) of `batch_norm_apply` with constant statistics.

    >>> one = np.array([1.0])
    >>> batch_norm_apply_backward(np, np.array([[6.0]]), np.array([[3.0]]), one, one, 4 * one, 0.0)
    (array([[3.]]), array([6.]), array([6.]))
    """
    axes = _all_but_channel(x)
    mean, var, scale = [_channels(xp, a, x.ndim) for a in (mean, var, w)]
    rstd = 1 / xp.sqrt(widen(var) + eps)
    g = widen(dy)
    dw, db = _summed(xp, g * (widen(x) - mean) * rstd, axes), _summed(xp, g, axes)
    return cast(_scaled(g * rstd, scale, None), x.dtype), _as_weights(x, w, dw), _as_weights(x, w, db)


@kernel
def layer_norm(xp, x, w, b, ndim, eps):
    """Layer norm over the last `ndim` axes: (y, mean, rstd), with rstd = 1 / sqrt(var + eps).

    y = (x - mean) rstd w + b

    w and b have the shape of those axes, or are None; mean and rstd have 1 in their place.

    >>> layer_norm(np, np.array([[1.0, 3.0]]), None, None, 1, 0.0)[0]
    array([[-1.,  1.]])
    """
    wide = widen(x)
    mean, var = _moments(xp, wide, _last(x, ndim))
    y = _scaled(_standard(xp, wide, mean, var, eps), w, b)
    return cast(y, x.dtype), mean, 1 / xp.sqrt(var + eps)


@kernel
def layer_norm_backward(xp, dy, x, w, ndim, eps, stats=None):
    """The gradients (dx, dw, db) of `layer_norm`'s y. `stats`, its (mean, rstd), saves two passes.

    >>> layer_norm_backward(np, np.array([[1.0, 3.0]]), np.array([[1.0, -1.0]]), None, 1, 0.0)[1]
    array([ 1., -3.])
    """
    axes = _last(x, ndim)
    xhat, g, rstd = _standard_and_scaled(xp, dy, x, w, axes, eps)
    return _gradients(xp, dy, x, w, xhat, g, rstd, axes, range(x.ndim - ndim))


@kernel
def group_norm(xp, x, w, b, groups, eps):
    """Group norm over each of `groups` equal groups of channels of a sample: (y, mean, rstd).

    y = (x - mean) / √(var + eps) w + b

    x is (N, C, *spatial), w and b are (C,) or None, mean and rstd (N, groups). groups = C is instance norm.

    >>> group_norm(np, np.array([[1.0, 3.0, 5.0, 5.0]]), None, None, 2, 1.0)[1]
    array([[2., 5.]])
    """
    rows = _grouped(xp, widen(x), groups)
    mean, var = _moments(xp, rows, (2,))
    xhat = xp.reshape(_standard(xp, rows, mean, var, eps), x.shape)
    y = _scaled(xhat, _channels(xp, w, x.ndim), _channels(xp, b, x.ndim))
    return cast(y, x.dtype), mean[:, :, 0], (1 / xp.sqrt(var + eps))[:, :, 0]


@kernel
def group_norm_backward(xp, dy, x, w, groups, eps, stats=None):
    """The gradients (dx, dw, db) of `group_norm`'s y. `stats`, its (mean, rstd), saves a pass.

    >>> group_norm_backward(np, np.array([[1.0, 3.0]]), np.array([[1.0, -1.0]]), None, 1, 0.0)[1]
    array([ 1., -3.])
    """
    axes = _all_but_channel(x)
    rows = _grouped(xp, widen(x), groups)
    mean, var = _moments(xp, rows, (2,))
    rstd = 1 / xp.sqrt(var + eps)
    g = _grouped(xp, _scaled(widen(dy), _channels(xp, w, x.ndim), None), groups)
    xhat = (rows - mean) * rstd
    dx = xp.reshape(_projected(xp, g, xhat, rstd, (2,)), x.shape)
    dw, db = _summed(xp, widen(dy) * xp.reshape(xhat, x.shape), axes), _summed(xp, widen(dy), axes)
    return cast(dx, x.dtype), _as_weights(x, w, dw), _as_weights(x, w, db)


@kernel
def rms_norm(xp, x, w, ndim, eps):
    """RMS norm over the last `ndim` axes: (y, rstd), with y = x rstd w and rstd = 1 / sqrt(mean(x²) + eps).

    >>> rms_norm(np, np.array([[3.0, 4.0, 0.0, 0.0]]), None, 1, 0.0)[0]
    array([[1.2, 1.6, 0. , 0. ]])
    """
    wide = widen(x)
    rstd = _reciprocal_rms(xp, wide, _last(x, ndim), eps)
    return cast(_scaled(wide * rstd, w, None), x.dtype), rstd


@kernel
def rms_norm_backward(xp, dy, x, w, ndim, eps, stats=None):
    """The gradients (dx, dw) of `rms_norm`'s y. `stats`, its rstd, saves a pass.

    >>> rms_norm_backward(np, np.array([[1.0, 3.0]]), np.array([[1.0, -1.0]]), None, 1, 0.0)[1]
    array([ 1., -3.])
    """
    axes, wide, dy = _last(x, ndim), widen(x), widen(dy)
    rstd = _reciprocal_rms(xp, wide, axes, eps)
    xhat, g = wide * rstd, _scaled(dy, w, None)
    dx = rstd * (g - xhat * _mean(xp, g * xhat, axes))
    return cast(dx, x.dtype), _as_weights(x, w, _summed(xp, dy * xhat, range(x.ndim - ndim)))


def move(running: tuple, mean: Any, var: Any, count: int) -> None:
    """Move statistics, (mean, var, momentum), in place towards those of `count` elements, var unbiased as PyTorch's is.

    running = (1 - momentum) running + momentum (mean, var count / (count - 1))
    """
    momentum = running[2]
    for array, value in zip(running, (mean, var * (count / max(count - 1, 1)))):
        array *= 1 - momentum
        array += cast(momentum * value, array.dtype)


def widen(x: Any) -> Any:
    """float16 and bfloat16 as float32, in which sums of them are taken; everything else as it is."""
    return cast(x, F32) if x.dtype.itemsize == 2 else x


def cast(x: Any, dtype: Any) -> Any:
    """`x` as `dtype`: an array of NumPy or CuPy, or a tensor, which has `to` instead of `astype`."""
    if x.dtype == dtype:
        return x
    return x.astype(dtype) if hasattr(x, "astype") else x.to(dtype)


def _standard_and_scaled(xp, dy, x, w, axes, eps):
    """What a gradient starts from: xhat, the gradient g that reaches it, and 1 / sqrt(var + eps)."""
    wide = widen(x)
    mean, var = _moments(xp, wide, axes)
    rstd = 1 / xp.sqrt(var + eps)
    return (wide - mean) * rstd, _scaled(widen(dy), w, None), rstd


def _gradients(xp, dy, x, w, xhat, g, rstd, axes, others):
    """(dx, dw, db) of a norm over `axes` whose w and b are broadcast over the axes `others`."""
    dx, dy = _projected(xp, g, xhat, rstd, axes), widen(dy)
    dw, db = _summed(xp, dy * xhat, others), _summed(xp, dy, others)
    return cast(dx, x.dtype), _as_weights(x, w, dw), _as_weights(x, w, db)


def _as_weights(x, w, g):
    """A gradient in the type of the weights: under autocast x has 16 bits, and they do not."""
    return cast(g, (x if w is None else w).dtype)


def _projected(xp, g, xhat, rstd, axes):
    """dx: g without its components along the constant and along xhat, neither of which can change y."""
    return rstd * (g - _mean(xp, g, axes) - xhat * _mean(xp, g * xhat, axes))


def _moments(xp, x, axes):
    """Mean and biased variance over `axes`, which are kept; the second pass over x avoids E[x²] - E[x]²."""
    mean = _mean(xp, x, axes)
    apart = x - mean
    return mean, _mean(xp, apart * apart, axes)


def _mean(xp, x, axes):
    """The mean over `axes`, 0 where there is nothing to average."""
    return xp.sum(x, axis=axes, keepdims=True) / max(1, math.prod([x.shape[a] for a in axes]))


def _summed(xp, x, axes):
    """The sum over `axes`, x itself where there are none."""
    return xp.sum(x, axis=tuple(axes)) if axes else x


def _reciprocal_rms(xp, x, axes, eps):
    return 1 / xp.sqrt(_mean(xp, x * x, axes) + eps)


def _standard(xp, x, mean, var, eps):
    return (x - mean) * (1 / xp.sqrt(var + eps))


def _scaled(x, w, b):
    y = x if w is None else x * widen(w)
    return y if b is None else y + widen(b)


def _channels(xp, a, ndim):
    """A vector over channels in the shape that broadcasts against x."""
    return None if a is None else xp.reshape(a, (1, a.shape[0]) + (1,) * (ndim - 2))


def _grouped(xp, x, groups):
    n, c = x.shape[:2]
    return xp.reshape(x, (n, groups, c // groups * math.prod(x.shape[2:])))


def _all_but_channel(x):
    return (0, *range(2, x.ndim))


def _last(x, ndim):
    return tuple(range(x.ndim - ndim, x.ndim))


def _refuses(x, *arguments, **options):
    """The first array decides: dy in a gradient, which has the type of x."""
    if x.dtype != F32 and x.dtype != F64:
        return "float32 and float64 only"
    if x.size == 0:
        return "no elements"
    for other in arguments[:3]:
        if getattr(other, "dtype", x.dtype) != x.dtype:
            return "arrays of one dtype only"
    if len(arguments) == 4 and type(arguments[3]) is tuple:
        return "no running statistics"  # of `batch_norm`
    return None


def _refuses_cuda(x, w=None, b=None, *arguments, **options):
    char = x.dtype.char
    if char not in "fdeE":
        return "float16, bfloat16, float32 and float64 only"
    if x.size == 0:
        return "no elements"
    own = [a.dtype for a in (w, b) if hasattr(a, "dtype")]
    if own and (own[0] != own[-1] or (own[0] != x.dtype and (own[0] != F32 or char not in "eE"))):
        return "weights of x's dtype, or of float32 beside 16 bits, only"
    return None


def _refuses_cuda_dx(dy, x, w=None, *arguments, **options):
    return "dy and x of one dtype only" if dy.dtype != x.dtype else _refuses_cuda(x, w)


for _entry in (batch_norm, batch_norm_backward, batch_norm_apply, batch_norm_apply_backward, layer_norm,
               layer_norm_backward, group_norm, group_norm_backward, rms_norm, rms_norm_backward):
    _entry.version("numba", "cpu", f"minitorch_kernels.cpu.norm:{_entry.name}", refuses=_refuses)
    _module = "batch_norm" if _entry.name.startswith("batch_norm") else "norm"
    _entry.version("cuda", "cuda", f"minitorch_kernels.cuda.{_module}:{_entry.name}",
                   refuses=_refuses_cuda_dx if _entry.name.endswith("_backward") else _refuses_cuda)
