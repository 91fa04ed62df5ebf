"""Softmax and its logarithm."""
from __future__ import annotations

from typing import Any

from .. import dtypes
from ..op import composite, op
from ..shapes import axis


@op
def softmax(k, x, /, dim=None, dtype=None):
    """exp(x) / sum(exp(x)) along `dim`."""
    x, dim = _prepare("softmax", x, dim, dtype)
    y = k.softmax(x, dim)
    return y, lambda dy: k.softmax_dx(dy, y, dim)


@op
def log_softmax(k, x, /, dim=None, dtype=None):
    """log(softmax(x)) along `dim`, without underflow."""
    x, dim = _prepare("log_softmax", x, dim, dtype)
    y = k.log_softmax(x, dim)
    return y, lambda dy: k.log_softmax_dx(dy, y, dim)


@composite(method=False)
def softmin(input, dim=None, dtype=None):
    """softmax(-x)."""
    return softmax(-input, dim, dtype)


def _prepare(name: str, x: Any, dim: int | None, dtype: Any) -> tuple[Any, int]:
    if dtype is not None:
        x = x.astype(dtypes.as_dtype(dtype).numpy)
    if x.dtype.kind not in "fV":
        raise NotImplementedError(f'{name}: "{name}_lastdim_kernel_impl" not implemented for {x.dtype}; '
                                  "expected a floating type, of the input or as dtype=")
    if dim is None:  # PyTorch's old implicit choice
        dim = 0 if x.ndim in (0, 1, 3) else 1
    return x, axis(name, x, dim)
