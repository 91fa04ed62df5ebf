"""Softmax, log-softmax and logsumexp along one dimension, with their derivatives."""
from __future__ import annotations

from typing import Any

from .table import kernel


@kernel
def softmax(xp, x, dim):
    """exp(x) over its sum along `dim`; the maximum is subtracted first, so that nothing overflows."""
    if 0 in x.shape:
        return x
    axis = dim if x.ndim else None
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


@kernel
def softmax_dx(xp, dy, y, dim):
    """The derivative of `y = softmax(x)`: y (dy - sum(dy y)), the Jacobian diag(y) - y yᵀ never being built."""
    return y * (dy - xp.sum(dy * y, axis=dim if y.ndim else None, keepdims=True))


@kernel
def log_softmax(xp, x, dim):
    """log(softmax(x)) along `dim`, exact even where softmax(x) rounds to zero."""
    if 0 in x.shape:
        return x
    axis = dim if x.ndim else None
    z = x - xp.max(x, axis=axis, keepdims=True)
    return z - xp.log(xp.sum(xp.exp(z), axis=axis, keepdims=True))


@kernel
def log_softmax_dx(xp, dy, y, dim):
    """The derivative of `y = log_softmax(x)`: dy - softmax(x) sum(dy)."""
    return dy - xp.exp(y) * xp.sum(dy, axis=dim if y.ndim else None, keepdims=True)


@kernel
def logsumexp(xp, x, dim, keepdim):
    """log(sum(exp(x))) along `dim`, or along several dimensions; -inf where there is nothing to sum."""
    axis = dim if x.ndim else None
    if 0 in x.shape:
        return xp.log(xp.sum(x, axis=axis, keepdims=keepdim))  # the logarithm of an empty sum
    top = xp.max(x, axis=axis, keepdims=True)
    top = xp.where(xp.abs(top) == float("inf"), xp.zeros((1,), x.dtype), top)  # inf - inf would be nan
    total = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return total if keepdim else xp.squeeze(total, axis)


def _refuses(x: Any, dim: Any, *options: Any) -> str | None:
    """Why the Numba kernels leave this array to the reference, or None."""
    if x.dtype.char not in "fdeE":
        return "float16, bfloat16, float32 and float64 only"
    if not isinstance(dim, int) and len(dim) != 1:
        return "a single dimension only"
    return None if x.size and x.ndim else "an array of one dimension or more, not empty, only"


def _refuses_dx(dy: Any, y: Any, dim: Any) -> str | None:
    if dy.dtype != y.dtype or dy.shape != y.shape:
        return "dy and y of one dtype and shape only"
    return _refuses(y, dim)


softmax.version("numba", "cpu", "minitorch_kernels.cpu.softmax:softmax", refuses=_refuses)
softmax_dx.version("numba", "cpu", "minitorch_kernels.cpu.softmax:softmax_dx", refuses=_refuses_dx)
log_softmax.version("numba", "cpu", "minitorch_kernels.cpu.softmax:log_softmax", refuses=_refuses)
log_softmax_dx.version("numba", "cpu", "minitorch_kernels.cpu.softmax:log_softmax_dx", refuses=_refuses_dx)
logsumexp.version("numba", "cpu", "minitorch_kernels.cpu.softmax:logsumexp", refuses=_refuses)
for _entry in (softmax, softmax_dx, log_softmax, log_softmax_dx):
    _entry.version("cuda", "cuda", f"minitorch_kernels.cuda.softmax:{_entry.name}",
                   refuses=_refuses_dx if _entry.name.endswith("_dx") else _refuses)
