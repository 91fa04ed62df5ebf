"""Clipping gradients, by the norm of all of them or value by value. Pascanu, Mikolov and Bengio 2013."""
from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

from ...device import cpu_kernels, kernels_of
from ...engine import whole
from ...tensor import Tensor


@whole
def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                    error_if_nonfinite: bool = False, foreach: bool | None = None) -> Tensor:
    """Scale all gradients, in place, so that the norm of all together is at most `max_norm`; returns the norm before.

    >>> from minitorch import tensor
    >>> p = tensor([0.0, 0.0], requires_grad=True)
    >>> p.grad = tensor([3.0, 4.0])
    >>> clip_grad_norm_(p, 1.0), p.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    grads = _grads(parameters)
    total = get_total_norm(grads, norm_type, error_if_nonfinite)
    _scale(grads, max_norm, total)
    return total


@whole
def get_total_norm(tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False,
                   foreach: bool | None = None) -> Tensor:
    """The norm of all tensors as if they were one vector.

    Raises RuntimeError, if asked to, where it is not finite.
    """
    arrays = [t._array for t in ([tensors] if isinstance(tensors, Tensor) else tensors)]
    p = float(norm_type)
    norms = [_norm(a, p) for a in arrays]
    if not norms:
        total: Any = 0.0
    elif p == math.inf:
        total = max(norms, key=lambda v: (v != v, v))  # a NaN wins
    else:
        total = sum(v ** p for v in norms) ** (1 / p)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it "
                           "cannot be clipped. To disable this error and scale the gradients by the non-finite norm "
                           "anyway, set `error_if_nonfinite=False`")
    xp = kernels_of(arrays[0]).xp if arrays else cpu_kernels.xp
    return Tensor._wrap(xp.asarray(total, arrays[0].dtype if arrays else "float32"))


@whole
def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor,
                          foreach: bool | None = None) -> None:
    """Scale all gradients, in place, as `clip_grad_norm_` does for a norm that is known."""
    _scale(_grads(parameters), max_norm, total_norm)


@whole
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clip every gradient, in place, to [-clip_value, clip_value]."""
    bound = float(clip_value)
    for grad in _grads(parameters):
        a = grad._array
        kernels_of(a).xp.clip(a, -bound, bound, out=a)
        grad._bump()


def clip_grad_norm(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0,
                   error_if_nonfinite: bool = False, foreach: bool | None = None) -> Tensor:
    """`clip_grad_norm_` under its old name."""
    warnings.warn("torch.nn.utils.clip_grad_norm is now deprecated in favor of torch.nn.utils.clip_grad_norm_.",
                  FutureWarning, stacklevel=2)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [p._grad for p in ([parameters] if isinstance(parameters, Tensor) else parameters) if p._grad is not None]


def _scale(grads: list[Tensor], max_norm: float, total: Tensor) -> None:
    """One pass over the memory, and none where nothing is too long."""
    factor = float(max_norm) / (float(total._array) + 1e-6)
    if factor >= 1:
        return
    for grad in grads:
        grad._array *= grad._array.dtype.type(factor)
        grad._bump()


def _norm(a: Any, p: float) -> float:
    """The p-norm of all elements: for p = 2 one pass, a product of the vector with itself."""
    flat = a.reshape(-1)
    if p == 2 and a.dtype.char in "fd":
        square = float(flat.dot(flat))
        if 1e-30 < square < math.inf:  # otherwise squares have left float32's range
            return math.sqrt(square)
    xp = kernels_of(a).xp
    flat = xp.abs(flat.astype("float64"))
    if not flat.size:
        return 0.0
    if p == math.inf:
        return float(flat.max())
    return float(xp.sum(flat ** p)) ** (1 / p) if p else float(xp.count_nonzero(flat))
