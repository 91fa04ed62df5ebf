"""Matrix products: the reference, and the ladder from three plain loops up to BLAS."""
from __future__ import annotations

from typing import Any

from . import blas
from .table import kernel

SMALL = 1 << 18  # multiplications up to which NumPy's call of BLAS is done before a compiled kernel has begun


@kernel
def matmul(xp, a, b):
    """The product of two matrices, of stacks of them (broadcast), or with a vector on either side.

    a: (..., m, k) or (k,), b: (..., k, n) or (k,). Products of float16 are summed in float32.
    """
    return xp.matmul(a, b)


@kernel
def linear(xp, x, w, b):
    """x wᵀ + b: a product with the last dimension of x. w: (out, in), b: (out,) or None."""
    y = xp.matmul(x, xp.swapaxes(w, 0, 1))
    return y if b is None else y + b


@kernel
def linear_relu(xp, x, w, b):
    """The positive part of `linear`; NaN stays NaN."""
    return xp.maximum(linear(xp, x, w, b), 0)


def _not_float(a: Any, b: Any) -> str | None:
    kind = a.dtype.char
    return None if kind == b.dtype.char and kind in "fd" else "float32 and float64 only"


def _for_blas(a: Any, b: Any) -> str | None:
    if a.ndim < 2 or b.ndim < 2 or a.size * b.shape[-1] <= SMALL:
        return _not_float(a, b) or "BLAS is as fast for vectors and small matrices"
    return _not_float(a, b) or (None if a.shape[-1] == b.shape[-2] else "the shapes do not fit")


matmul.version("numba", "cpu", "minitorch_kernels.cpu.dense:matmul", _for_blas)
matmul.version("blas", "cpu", blas.matmul, backend="numpy")
matmul.version("blocked", "cpu", "minitorch_kernels.cpu.matmul:blocked", _not_float, backend="numba")
matmul.version("naive", "cpu", "minitorch_kernels.cpu.matmul:naive", _not_float, backend="numba")


def _linear_for_blas(x: Any, w: Any, b: Any) -> str | None:
    if b is not None and (b.dtype != x.dtype or b.shape != w.shape[:1]):
        return "the bias is not one number for each output, of the same type"
    if x.size * w.shape[0] <= SMALL:
        return "BLAS is as fast for vectors and small matrices"
    return _not_float(x, w) or ("x is a vector" if x.ndim < 2 else None)


linear.version("numba", "cpu", "minitorch_kernels.cpu.dense:linear", _linear_for_blas)
linear.version("blas", "cpu", blas.linear, backend="numpy")
linear_relu.version("numba", "cpu", "minitorch_kernels.cpu.dense:linear_relu", _linear_for_blas)
linear_relu.version("blas", "cpu", blas.linear_relu, backend="numpy")
