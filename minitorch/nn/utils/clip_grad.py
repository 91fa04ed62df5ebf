"""Clipping gradients, by the norm of all of them or value by value. Pascanu, Mikolov and Bengio 2013."""
from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...device import alike, device_of, kernels_of, move
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
    order, total = float(norm_type), np.zeros((), np.float32)
    norms = [kernels_of(some[0]).total_norm(some, order) for some in alike(arrays)]
    if norms:
        total = norms[0] if len(norms) == 1 else \
            kernels_of(norms[0]).total_norm([_like(norm, norms[0]) for norm in norms], order)
    if error_if_nonfinite and not math.isfinite(float(total)):
        raise RuntimeError(f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it "
                           "cannot be clipped. To disable this error and scale the gradients by the non-finite norm "
                           "anyway, set `error_if_nonfinite=False`")
    return Tensor._wrap(total)


@whole
def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor,
                          foreach: bool | None = None) -> None:
    """Scale all gradients, in place, as `clip_grad_norm_` does for a norm that is known."""
    _scale(_grads(parameters), max_norm, total_norm)


@whole
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clip every gradient, in place, to [-clip_value, clip_value]."""
    bound = float(clip_value)
    grads = _grads(parameters)
    for some in alike([grad._array for grad in grads]):
        kernels_of(some[0]).clamp_grads(some, bound)
    for grad in grads:
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
    written = [kernels_of(some[0]).shorten_grads(some, _like(total._array, some[0]), float(max_norm))
               for some in alike([grad._array for grad in grads])]
    if any(written):
        for grad in grads:
            grad._bump()


def _like(total: Any, array: Any) -> Any:
    """A norm where `array` lies, and in its dtype."""
    if isinstance(array, np.ndarray):
        return total
    return move(total, device_of(array)).astype(array.dtype, copy=False)
