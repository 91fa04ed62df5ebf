"""Softmax, log-softmax and logsumexp along one dimension, with their derivatives."""
from __future__ import annotations

from typing import Any

from .table import kernel


@kernel
def softmax(xp, x, dim):
    """exp(x) over its sum along `dim`; the maximum is subtracted first, so that nothing overflows."""
    if x.shape[dim] == 0:
        return x
    e = xp.exp(x - xp.max(x, axis=dim, keepdims=True))
    return e / xp.sum(e, axis=dim, keepdims=True)


@kernel
def softmax_dx(xp, dy, y, dim):
    """The derivative of `y = softmax(x)`: y (dy - sum(dy y)), the Jacobian diag(y) - y yᵀ never being built."""
    return y * (dy - xp.sum(dy * y, axis=dim, keepdims=True))


@kernel
def log_softmax(xp, x, dim):
    """log(softmax(x)) along `dim`, exact even where softmax(x) rounds to zero."""
    if x.shape[dim] == 0:
        return x
    z = x - xp.max(x, axis=dim, keepdims=True)
    return z - xp.log(xp.sum(xp.exp(z), axis=dim, keepdims=True))


@kernel
def log_softmax_dx(xp, dy, y, dim):
    """The derivative of `y = log_softmax(x)`: dy - softmax(x) sum(dy)."""
    return dy - xp.exp(y) * xp.sum(dy, axis=dim, keepdims=True)


@kernel
def logsumexp(xp, x, dim, keepdim):
    """log(sum(exp(x))) along `dim`, or along several dimensions; -inf where there is nothing to sum."""
    dims = dim if isinstance(dim, tuple) else (dim,)
    if any(x.shape[d] == 0 for d in dims):
        return xp.log(xp.sum(x, axis=dim, keepdims=keepdim))  # the logarithm of an empty sum
    top = xp.max(x, axis=dim, keepdims=True)
    top = xp.where(xp.abs(top) == float("inf"), 0.0, top)  # inf - inf would be nan
    total = xp.log(xp.sum(xp.exp(x - top), axis=dim, keepdims=True)) + top
    return total if keepdim else xp.squeeze(total, dim)


def _refuses(x: Any, *others: Any, **options: Any) -> str | None:
    """Why the Numba kernels leave these arrays to the reference, or None."""
    if x.dtype.char not in "fdeE":
        return "float16, bfloat16, float32 and float64 only"
    return None if x.size else "nothing to compute"


def _refuses_pair(dy: Any, y: Any, dim: int) -> str | None:
    return _refuses(y) if dy.dtype == y.dtype else "dy and y of one dtype only"


def _refuses_dims(x: Any, dim: Any, keepdim: bool) -> str | None:
    return _refuses(x) if isinstance(dim, int) else "a single dimension only"


softmax.version("numba", "cpu", "minitorch_kernels.cpu.softmax:softmax", refuses=_refuses)
softmax_dx.version("numba", "cpu", "minitorch_kernels.cpu.softmax:softmax_dx", refuses=_refuses_pair)
log_softmax.version("numba", "cpu", "minitorch_kernels.cpu.softmax:log_softmax", refuses=_refuses)
log_softmax_dx.version("numba", "cpu", "minitorch_kernels.cpu.softmax:log_softmax_dx", refuses=_refuses_pair)
logsumexp.version("numba", "cpu", "minitorch_kernels.cpu.softmax:logsumexp", refuses=_refuses_dims)
