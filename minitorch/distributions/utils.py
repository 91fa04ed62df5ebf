"""What distributions share: broadcasting parameters, probabilities and logits, properties computed once."""
from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from ..dtypes import get_default_dtype
from ..engine import enable_grad
from ..limits import finfo
from ..op import FUNCTIONS
from ..ops.creation import arange
from ..ops.random import randn
from ..ops.shape import broadcast_tensors
from ..ops.values import tensor
from ..tensor import Size, Tensor

__all__ = ["broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "probs_to_logits", "tril_matrix_to_vec",
           "vec_to_tril_matrix"]

zeros_like: Any = FUNCTIONS["zeros_like"]
ones_like: Any = FUNCTIONS["ones_like"]
euler_constant = 0.5772156649015329


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """The values as tensors of one shape; numbers take dtype and device of the first tensor among them.

    Raises ValueError for anything that is neither a tensor nor a number.

    >>> broadcast_all(tensor([1.0, 2.0]), 3)[1]
    tensor([3., 3.])
    """
    like: dict[str, Any] = {"dtype": get_default_dtype()}
    first = next((v for v in values if isinstance(v, Tensor)), None)
    if first is not None:
        like = {"dtype": first.dtype, "device": first.device}
    for v in values:
        if not isinstance(v, (Tensor, int, float)):
            raise ValueError(f"broadcast_all: expects tensors and numbers, got {type(v).__name__}")
    tensors = [v if isinstance(v, Tensor) else tensor(v, **like) for v in values]
    same = all([t.shape == tensors[0].shape for t in tensors])
    return tuple(tensors if same else broadcast_tensors(*tensors))


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Sigmoid of log odds where `is_binary`, else softmax along the last axis."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """The log odds where `is_binary`, else the logarithms, of probabilities clamped away from 0 and 1."""
    probs = clamp_probs(probs)
    return probs.log() - (-probs).log1p() if is_binary else probs.log()


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities in [eps, 1 - eps], eps that of their dtype.

    >>> clamp_probs(tensor([0.0, 0.5, 1.0]))
    tensor([1.1921e-07, 5.0000e-01, 1.0000e+00])
    """
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


class lazy_property:
    """A property computed when first asked for, with gradients, and kept as the instance's attribute."""

    def __init__(self, wrapped: Callable) -> None:
        self.wrapped = wrapped
        update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The elements on and below diagonal `diag` of matrices (..., n, n), row after row, as vectors.

    >>> tril_matrix_to_vec(tensor([[1.0, 0.0], [2.0, 3.0]]))
    tensor([1., 2., 3.])
    """
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"tril_matrix_to_vec: diag expects {-n} to {n - 1}, got {diag}")
    return mat[..., _lower(n, diag, mat)]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """The lower triangular matrices whose elements on and below diagonal `diag` are those of `vec`, row after row.

    Raises ValueError where no matrix has that many.
    """
    size = vec.shape[-1]
    n = next(n for n in range(size + abs(diag) + 2) if _elements(n, diag) >= size)
    if _elements(n, diag) != size:
        raise ValueError(f"vec_to_tril_matrix: {size} elements are not the lower triangle of a square matrix")
    mat = vec.new_zeros((*vec.shape[:-1], n, n))
    mat[..., _lower(n, diag, vec)] = vec
    return mat


def _lower(n: int, diag: int, like: Tensor) -> Tensor:
    columns = arange(n, device=like.device)
    return columns < columns.view(-1, 1) + (diag + 1)


def _elements(n: int, diag: int) -> int:
    return sum(min(max(row + diag + 1, 0), n) for row in range(n))


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Tensor:
    return randn(tuple(shape), dtype=dtype, device=device)


def _sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last `dim` axes."""
    return value if dim == 0 else value.reshape(Size((*value.shape[:-dim], -1))).sum(-1)
