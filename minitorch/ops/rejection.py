"""Gamma, Dirichlet and binomial numbers; the first two with gradients by implicit reparameterisation."""
from __future__ import annotations

import numpy as np

from .. import shapes
from ..device import device as as_device
from ..device import move
from ..errors import DTypeError
from ..op import op
from .random import source_of


@op
def _standard_gamma(k, x, /, generator=None):
    """Gamma numbers of rate 1, an element of concentration `x` each, with the gradient of number by concentration.

    >>> from minitorch import manual_seed, tensor
    >>> manual_seed(0) and None
    >>> _standard_gamma(tensor([0.5, 2.0]))
    tensor([0.0008, 0.6315])
    """
    _floating("_standard_gamma", x)
    y = source_of(generator, x).standard_gamma(x)
    return y, lambda dy: k.mul(dy, k.standard_gamma_grad(x, y, k.digamma(x)))


@op
def _standard_gamma_grad(k, x, output, /):
    """The derivative of gamma numbers, of rate 1, by their concentrations `x`."""
    _floating("_standard_gamma_grad", x)
    return k.standard_gamma_grad(x, output, k.digamma(x)).astype(x.dtype)


@op
def _sample_dirichlet(k, x, /, generator=None):
    """Points of the simplex, one for each row of concentrations `x`, with gradients."""
    _floating("_sample_dirichlet", x)
    if x.ndim == 0:
        raise IndexError("_sample_dirichlet: expects at least one dimension, got a tensor of shape ()")
    y = source_of(generator, x).dirichlet(x)

    def dx(dy):
        total = k.xp.broadcast_to(k.xp.sum(x, axis=-1, keepdims=True), x.shape)
        slope = k.dirichlet_grad(y, x, total, k.digamma(x) - k.digamma(total))
        return slope * (dy - k.xp.sum(y * dy, axis=-1, keepdims=True))

    return y, dx


@op
def _dirichlet_grad(k, x, alpha, total, /):
    """The derivative of Beta(alpha, total - alpha) numbers `x` by alpha, over 1 - x."""
    _floating("_dirichlet_grad", x)
    return k.dirichlet_grad(x, alpha, total, k.digamma(alpha) - k.digamma(total)).astype(x.dtype)


@op(method=False)
def binomial(k, count, prob, /, generator=None):
    """Successes in `count` trials of probability `prob`, an element each; tensors of one floating type.

    >>> from minitorch import manual_seed, tensor
    >>> manual_seed(0) and None
    >>> binomial(tensor([10., 100.]), tensor([0.5, 0.5]))
    tensor([ 7., 51.])
    """
    if prob.dtype not in (np.float32, np.float64):
        raise ValueError(f"binomial: prob expects float32 or float64, got {prob.dtype}")
    if count.dtype != prob.dtype:
        raise DTypeError(f"binomial: count expects the dtype of prob, {prob.dtype}, got {count.dtype}")
    shape = shapes.broadcast("binomial", count.shape, prob.shape)
    n, p = (np.broadcast_to(move(x, as_device("cpu")), shape) for x in (count, prob))
    return source_of(generator, prob).binomial(n, p)


def _floating(op_name, x):
    if x.dtype not in (np.float32, np.float64):
        raise NotImplementedError(f"{op_name}: expects float32 or float64, got {x.dtype}")
