"""Matrix products: the references, compiled tiles and BLAS, and below them the ladder from three plain loops up."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import blas
from .cuda import cublaslt, settings
from .norm import cast, widen
from .table import kernel

PATIENCE = 1 << 24  # multiplications, some seconds, for which the interpreter is let to work
SMALL = 1 << 18  # multiplications up to which NumPy's call of BLAS is done before a compiled kernel has begun


@kernel
def matmul(xp, a, b):
    """The product of two matrices, of stacks of them (broadcast), or with a vector on either side.

    y[..., i, j] = Σₖ a[..., i, k] b[..., k, j]

    a: (..., m, k) or (k,), b: (..., k, n) or (k,). Products of float16 and bfloat16 are summed in float32.
    """
    return _product(xp, a, b)


@kernel
def linear(xp, x, w, b):
    """x wᵀ + b: a product with the last dimension of x. w: (out, in), b: (out,) or None."""
    y = _product(xp, x, xp.swapaxes(w, 0, 1))
    return y if b is None else y + b


@kernel
def linear_relu(xp, x, w, b):
    """The positive part of `linear`; NaN stays NaN."""
    return xp.maximum(linear(xp, x, w, b), 0)


def _product(xp, a, b):
    """a @ b; where both are floats of 16 bits it is rounded once."""
    if a.dtype == b.dtype and a.dtype.itemsize == 2 and "float" in str(a.dtype):
        return cast(xp.matmul(widen(a), widen(b)), a.dtype)
    return xp.matmul(a, b)


def _not_float(a: Any, b: Any) -> str | None:
    kind = a.dtype.char
    return None if kind == b.dtype.char and kind in "fd" else "float32 and float64 only"


def _for_blas(a: Any, b: Any) -> str | None:
    if a.ndim < 2 or b.ndim < 2 or a.size * b.shape[-1] <= SMALL:
        return _not_float(a, b) or "BLAS is as fast for vectors and small matrices"
    return _not_float(a, b) or (None if a.shape[-1] == b.shape[-2] else "the shapes do not fit")


matmul.version("numba", "cpu", "minitorch_kernels.cpu.dense:matmul", _for_blas)
matmul.version("blas", "cpu", blas.matmul, backend="numpy")


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


def _for_cublaslt(a: Any, b: Any) -> str | None:
    if a.dtype.char != b.dtype.char or a.dtype.char not in cublaslt.TYPES:
        return "not floats of one dtype"
    return cublaslt.missing()


def _linear_for_cublaslt(x: Any, w: Any, b: Any) -> str | None:
    if b is not None and (b.dtype != x.dtype or b.shape != w.shape[:1]):
        return "the bias is not one number for each output, of the same type"
    return _for_cublaslt(x, w)


matmul.version("cublaslt", "cuda", "minitorch_kernels.cuda.matmul:matmul", _for_cublaslt, backend="cuda")
linear.version("cublaslt", "cuda", "minitorch_kernels.cuda.matmul:linear", _linear_for_cublaslt, backend="cuda")
linear_relu.version("cublaslt", "cuda", "minitorch_kernels.cuda.matmul:linear_relu", _linear_for_cublaslt,
                    backend="cuda")


def _too_slow(a: Any, b: Any) -> str | None:
    return None if a.size * b.size <= PATIENCE * max([1, *a.shape[-1:]]) else "the interpreter would take long"


def _not_single(a: Any, b: Any) -> str | None:
    kind = a.dtype.char
    if kind != b.dtype.char or kind not in "fE":
        return "float32 and bfloat16 only"
    rows_and_columns = (*a.shape[-2:-1], *b.shape[-1:])
    return "at most 524280 rows and columns, for 65535 blocks" if max(rows_and_columns) > 524280 else None


def _not_for_tensor_cores(a: Any, b: Any) -> str | None:
    if a.dtype.char == "f" and not settings.tf32_products:
        return "float32 where backends.cuda.matmul.allow_tf32 is not set"
    return _not_single(a, b)


def _enter(rung: str, device: str, folder: str, refuses: Callable[[Any, Any], str | None]) -> None:
    """The rung of the ladder as a version of matmul, and of the kernels that are products."""
    matmul.version(rung, device, f"minitorch_kernels.{folder}:{rung}", refuses, backend="ladder")
    product = matmul.versions[-1]

    def on_rung(x: Any, w: Any, b: Any) -> Any:
        """x wᵀ + b, the product on a rung of the ladder of matmul."""
        y = product.run(x, w.T)
        return y if b is None else np.add(y, b, out=y)

    def on_rung_relu(x: Any, w: Any, b: Any) -> Any:
        """The positive part of x wᵀ + b, the product on a rung of the ladder of matmul."""
        return np.maximum(on_rung(x, w, b), 0)

    def refuses_linear(x: Any, w: Any, b: Any) -> str | None:
        return refuses(x, w) or (None if b is None or b.dtype == x.dtype else "the bias has another dtype")

    linear.version(rung, device, on_rung, refuses_linear, backend="ladder")
    linear_relu.version(rung, device, on_rung_relu, refuses_linear, backend="ladder")


for _rung in ("threads", "packed", "tiled", "blocked", "rows", "loops"):
    _enter(_rung, "cpu", "ladder.matmul", _not_float)
_enter("python", "cpu", "ladder.matmul", lambda a, b: _not_float(a, b) or _too_slow(a, b))
_enter("tensor", "cuda", "cuda.ladder", _not_for_tensor_cores)
for _rung in ("pipelined", "tiled", "blocked", "rows", "loops"):
    _enter(_rung, "cuda", "cuda.ladder", _not_single)
matmul.leads(linear, linear_relu)
