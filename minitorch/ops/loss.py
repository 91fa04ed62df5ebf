"""Losses of likelihoods and distances. Each is the mean over its elements unless `reduction` says "sum" or "none"."""
from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from .. import dtypes
from ..engine import check
from ..errors import DTypeError, ShapeError
from ..op import FUNCTIONS, composite, op
from ..shapes import broadcast
from ..tensor import Tensor

_CLASS_TYPES = frozenset([np.dtype("int64"), np.dtype("uint8")])


@op(method=False, function=False)
def cross_entropy_classes(k, x, /, target, weight, ignore_index, smoothing, reduction):
    """Cross-entropy of logits x (N, C, *size) with class indices (N, *size).

    loss = -weight[t] log softmax(x)[t]
    """
    y, saved = k.cross_entropy(x, target, weight, ignore_index, smoothing, reduction)
    return y, lambda dy: k.cross_entropy_dx(dy, x, target, weight, ignore_index, smoothing, reduction, saved)


@op(method=False, function=False)
def nll_loss_classes(k, x, /, target, weight, ignore_index, reduction):
    """Minus the log-probability x (N, C, *size) of each class index in target (N, *size).

    loss = -weight[target] x[target]
    """
    shape = x.shape
    y = k.nll_loss(x, target, weight, ignore_index, reduction)
    return y, lambda dy: k.nll_loss_dx(dy, shape, target, weight, ignore_index, reduction)


@op(method=False, function=False)
def squared_error(k, x, t, /, reduction):
    """(x - t)^2, reduced."""
    x, t = dtypes.promote(x, t)
    d = k.sub(x, t)
    scale = 2.0 / max(d.size, 1) if reduction == "mean" else 2.0
    return _reduced(k, k.mul(d, d), reduction), lambda dy: k.mul(k.sub(x, t), dy * scale), \
        lambda dy: k.mul(k.sub(t, x), dy * scale)


@op(method=False, function=False)
def huber(k, x, t, /, delta):
    """d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), for d = x - t."""
    x, t = dtypes.promote(x, t)
    return k.huber(x, t, delta), lambda dy: k.huber_dx(dy, x, t, delta), lambda dy: k.huber_dx(dy, t, x, delta)


@op(method=False, function=False)
def bernoulli_entropy(k, p, t, /):
    """-(t log p + (1 - t) log(1 - p)), the logarithms cut at -100, and the gradient's denominator at 1e-12."""
    p, t = dtypes.promote(p, t)
    return (-(t * _cut(k, k.log(p)) + (1 - t) * _cut(k, k.log1p(-p))),
            lambda dy: k.mul(dy, (p - t) / k.xp.clip(p * (1 - p), 1e-12, None)),
            lambda dy: k.mul(dy, _cut(k, k.log1p(-p)) - _cut(k, k.log(p))))


@op(method=False, function=False)
def bernoulli_entropy_of_logits(k, x, t, weight, /):
    """-(weight t log p + (1 - t) log(1 - p)) of p = sigmoid(x); `weight` may be None."""
    x, t = dtypes.promote(x, t)
    positive = t if weight is None else k.mul(weight, t)
    y = (1 - t) * x - (1 - t + positive) * k.logsigmoid(x)
    return (y, lambda dy: k.mul(dy, k.sigmoid(x) - t if weight is None else
                                1 - t - (1 + (weight - 1) * t) * k.sigmoid(-x)),
            lambda dy: k.mul(dy, -x if weight is None else -x - (weight - 1) * k.logsigmoid(x)),
            lambda dy: k.mul(dy, -t * k.logsigmoid(x)))


@composite(method=False)
def cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean",
                  label_smoothing=0.0):
    """Softmax and negative log-likelihood in one: logits (N, C, *size) or (C,), target class indices or probabilities.

    loss = -weight[t] log softmax(x)[t] for a class t, -Σ weight t log softmax(x) for probabilities t

    >>> from minitorch import tensor
    >>> cross_entropy(tensor([[0.0, 0.0]]), tensor([1]))
    tensor(0.6931)
    """
    reduction = reduction_of("cross_entropy", reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"cross_entropy: label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input._array.dtype.kind not in "fV":
        raise NotImplementedError('cross_entropy: "log_softmax_lastdim_kernel_impl" not implemented for '
                                  f"{input.dtype}; expected logits of a floating type")
    if target._array.dtype.kind in "fV" and target._array.shape == input._array.shape:
        if ignore_index >= 0:
            raise RuntimeError("cross_entropy: ignore_index is not supported for floating point target, "
                               f"got {ignore_index}")
        return _cross_entropy_probabilities(input, target, weight, reduction, label_smoothing)
    x, t = _classes("cross_entropy", input, target, weight)
    loss = cross_entropy_classes(x, t._array, None if weight is None else weight._array, ignore_index,
                                 label_smoothing, reduction)
    return loss.reshape(()) if reduction == "none" and input.ndim == 1 else loss


@composite(method=False)
def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Negative log-likelihood of log-probabilities (N, C, *size) or (C,) under class indices.

    loss = -weight[target] input[target]
    """
    reduction = reduction_of("nll_loss", reduction, size_average, reduce)
    if weight is not None and weight.dtype != input.dtype:
        raise DTypeError(f"nll_loss: expected scalar type {input.dtype} but found {weight.dtype} for weight")
    x, t = _classes("nll_loss", input, target, weight)
    loss = nll_loss_classes(x, t._array, None if weight is None else weight._array, ignore_index, reduction)
    return loss.reshape(()) if reduction == "none" and input.ndim == 1 else loss


@composite(method=False)
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """(input - target)^2; the mean with `weight` is over the weights."""
    reduction = reduction_of("mse_loss", reduction, size_average, reduce)
    _same_size("mse_loss", input, target)
    if not (input.is_floating_point() or target.is_floating_point()):
        raise NotImplementedError(f'mse_loss: "mse_cpu" not implemented for {input.dtype}; expected a floating type')
    if weight is None:
        return squared_error(input, target, reduction)
    return _weighted_mean("mse_loss", squared_error(input, target, "none"), input, weight, reduction)


@composite(method=False)
def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """|input - target|; the mean with `weight` is over the weights."""
    reduction = reduction_of("l1_loss", reduction, size_average, reduce)
    _same_size("l1_loss", input, target)
    return _weighted_mean("l1_loss", (input - target).abs(), input, weight, reduction)


@composite(method=False)
def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """Quadratic within `beta`, linear beyond (Girshick 2015): d^2 / (2 beta), or |d| - beta / 2."""
    reduction = reduction_of("smooth_l1_loss", reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss: does not support negative values for beta, got {beta}")
    _same_size("smooth_l1_loss", input, target)
    loss = (input - target).abs() if beta == 0 else huber(input, target, beta)
    return reduced(loss if beta in (0, 1) else loss / beta, reduction)


@composite(method=False)
def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """Quadratic within `delta`, linear beyond (Huber 1964): d^2 / 2, or delta (|d| - delta / 2)."""
    reduction = reduction_of("huber_loss", reduction)
    if delta <= 0:
        raise RuntimeError(f"huber_loss: does not support non-positive values for delta, got {delta}")
    _same_size("huber_loss", input, target)
    return reduced(_weighted("huber_loss", huber(input, target, delta), input, weight), reduction)


@composite(method=False)
def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """-(t log p + (1 - t) log(1 - p)) of probabilities; the logarithms are cut at -100, as PyTorch does.

    Raises RuntimeError for values outside [0, 1], and ValueError where the shapes differ.
    """
    reduction = reduction_of("binary_cross_entropy", reduction, size_average, reduce)
    if input.shape != target.shape:
        raise ValueError(f"binary_cross_entropy: Using a target size ({target.shape}) that is different to the input "
                         f"size ({input.shape}) is deprecated. Please ensure they have the same size.")
    if not input.is_floating_point():
        raise NotImplementedError(f'"binary_cross_entropy" not implemented for {dtypes.word(input.dtype)!r}')
    if target.dtype is not input.dtype:
        raise DTypeError(f"binary_cross_entropy: Found dtype {dtypes.word(target.dtype)} but expected "
                         f"{dtypes.word(input.dtype)}: target needs the type of input")
    for name, values in (("input", input._array), ("target", target._array)):
        _check_probabilities("binary_cross_entropy", name, values)
    loss = bernoulli_entropy(input, target)
    return reduced(loss if weight is None else loss * weight, reduction)


@check
def _check_probabilities(op_name: str, name: str, values: Any) -> None:
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise RuntimeError(f"{op_name}: all elements of {name} should be between 0 and 1, "
                           f"got values from {values.min():.4g} to {values.max():.4g}")


@composite(method=False)
def binary_cross_entropy_with_logits(input, target, weight=None, size_average=None, reduce=None, reduction="mean",
                                     pos_weight=None):
    """Binary cross-entropy of sigmoid(input), without overflow; `pos_weight` multiplies what positive targets cost.

    loss = -(pos_weight t log σ(x) + (1 - t) log σ(-x)), σ(x) = 1 / (1 + exp(-x))
    """
    reduction = reduction_of("binary_cross_entropy_with_logits", reduction, size_average, reduce)
    if input.shape != target.shape:
        raise ValueError(f"binary_cross_entropy_with_logits: Target size ({target.shape}) must be the same as input "
                         f"size ({input.shape})")
    if not target.is_floating_point():
        raise DTypeError(f"binary_cross_entropy_with_logits: result type {dtypes.word(input.dtype)} can't be cast to "
                         f"the desired output type {dtypes.word(target.dtype)}: target needs a floating type")
    if pos_weight is not None:
        broadcast("binary_cross_entropy_with_logits: pos_weight and input", pos_weight._array.shape, input._array.shape)
    loss = bernoulli_entropy_of_logits(input, target, pos_weight)
    return reduced(loss if weight is None else loss * weight, reduction)


@composite(method=False)
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """t (log t - input), with input a log-probability; "batchmean" divides the sum by the batch size."""
    reduction = reduction_of("kl_div", reduction, size_average, reduce)
    if not (input.is_floating_point() and target.is_floating_point()):
        raise DTypeError(f"kl_div: Integral inputs not supported, got {input.dtype} and {target.dtype}")
    if reduction == "mean":
        warnings.warn("reduction: 'mean' divides the total loss by both the batch size and the support size."
                      "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
                      "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
                      stacklevel=3)
    loss = target.exp() * (target - input) if log_target else FUNCTIONS["xlogy"](target, target) - target * input
    if reduction == "batchmean":
        return loss.sum() / (input.shape[0] if input.ndim else 1)
    return reduced(loss, reduction)


@composite(method=False)
def poisson_nll_loss(input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None,
                     reduction="mean"):
    """Negative log-likelihood of counts under a Poisson rate, or under its logarithm.

    loss = exp(x) - t x for log-rates x, x - t log(x + eps) for rates
    """
    reduction = reduction_of("poisson_nll_loss", reduction, size_average, reduce)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:  # Stirling's approximation of log(target!)
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + FUNCTIONS["where"](target > 1, stirling, FUNCTIONS["zeros_like"](target))
    return reduced(loss, reduction)


@composite(method=False)
def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """Negative log-likelihood under a normal distribution of the given mean and variance.

    loss = (log(var) + (input - target)² / var) / 2
    """
    reduction_of("gaussian_nll_loss", reduction)
    reduction = reduction_of("gaussian_nll_loss", reduction)
    broadcast("gaussian_nll_loss", input._array.shape, target._array.shape)
    if isinstance(var, (int, float)):
        var = FUNCTIONS["full_like"](input, var)
    if var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = var.unsqueeze(-1)
        elif var.ndim != input.ndim or [m for n, m in zip(input.shape, var.shape) if n != m] != [1]:
            raise ValueError(f"gaussian_nll_loss: var is of incorrect size {tuple(var.shape)} for input of shape "
                             f"{tuple(input.shape)}: expected the same, or 1 along one dimension")
    if (var._array < 0).any():
        raise ValueError("gaussian_nll_loss: var has negative entry/entries")
    with_floor = var.detach().clamp(min=eps)
    var = var + (with_floor - var.detach())
    loss = 0.5 * (var.log() + (input - target).square() / var)
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def _cross_entropy_probabilities(x: Tensor, target: Tensor, weight: Tensor | None, reduction: str,
                                 smoothing: float) -> Tensor:
    """Cross-entropy with a probability for each class; weighted by class, averaged over the batch."""
    dim = 0 if x.ndim == 1 else 1
    if smoothing:
        target = target * (1 - smoothing) + smoothing / x.shape[dim]
    logp = FUNCTIONS["log_softmax"](x, dim)
    if weight is not None:
        logp = logp * weight.reshape((-1,) + (1,) * (x.ndim - dim - 1))
    loss = -(logp * target).sum(dim)
    return loss.sum() / loss._array.size if reduction == "mean" else reduced(loss, reduction)


def _classes(name: str, x: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logits with a batch axis, and class indices that fit them."""
    shape, t = x._array.shape, target._array
    if not shape:
        raise ShapeError(f"{name}: input expects at least one dimension, got a scalar")
    single = len(shape) == 1
    expected = () if single else shape[:1] + shape[2:]
    if t.shape != expected and not (single and t.shape == (1,)):
        what = "Expected input batch_size to match target batch_size" if len(shape) == 2 else "size mismatch"
        error = ValueError if len(shape) == 2 and t.ndim == 1 else ShapeError
        raise error(f"{name}: {what}: input of shape {shape} expects target of shape {expected}, got {t.shape}")
    if t.dtype not in _CLASS_TYPES:
        raise DTypeError(f"{name}: expected target dtype to be Long or Byte, but got {dtypes.word(target.dtype)}: it "
                         "holds class indices (int64), or probabilities of the input's shape")
    if t.dtype.itemsize == 1 and len(shape) > 2:
        raise DTypeError(f"{name}: expected scalar type Long but found Byte")
    classes = shape[0 if single else 1]
    if weight is not None and weight._array.shape != (classes,):
        raise ShapeError(f"{name}: weight tensor should be defined either for all {classes} classes or no classes, "
                         f"got shape {weight._array.shape}")
    if weight is not None and weight._requires_grad:
        raise RuntimeError(f"{name}: is not differentiable with respect to argument 'weight'. This input cannot have "
                           "requires_grad True.")
    return (x.reshape(1, classes), target.reshape(1)) if single else (x, target)


def _same_size(name: str, x: Tensor, target: Tensor) -> None:
    if x._array.shape != target._array.shape:
        broadcast(name, x._array.shape, target._array.shape)
        warnings.warn(f"{name}: Using a target size ({target.shape}) that is different to the input size ({x.shape}). "
                      "This will likely lead to incorrect results due to broadcasting. "
                      "Please ensure they have the same size.", stacklevel=3)


def reduction_of(name: str, reduction: str, size_average: bool | None = None, reduce: bool | None = None,
                 check: bool = True) -> str:
    """The reduction, also from PyTorch's older pair of flags. Raises ValueError, where `check`ed."""
    if size_average is None and reduce is None:
        if reduction in ("mean", "sum", "none"):
            return reduction
        if reduction == "elementwise_mean" and check:  # its name in the first versions of PyTorch
            warnings.warn(f"reduction={reduction!r} is deprecated. Please use reduction='mean' instead.", stacklevel=3)
            return "mean"
    else:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn("size_average and reduce args will be deprecated, please use "
                      f"reduction='{reduction}' instead.", stacklevel=3)
    if check and reduction not in ("none", "mean", "sum") and not (name == "kl_div" and reduction == "batchmean"):
        raise ValueError(f"{name}: {reduction} is not a valid value for reduction: expected none, mean or sum")
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The loss of each element, their mean, or their sum."""
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def _weighted(name: str, loss: Tensor, x: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return loss
    if weight.shape != x.shape:
        raise ValueError(f"{name}: Weights and input must have the same size, got {tuple(weight.shape)} and "
                         f"{tuple(x.shape)}")
    return loss * weight


def _weighted_mean(name: str, loss: Tensor, x: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """`reduced`, but the mean is over the weights."""
    loss = _weighted(name, loss, x, weight)
    if weight is None or reduction != "mean":
        return reduced(loss, reduction)
    return loss.sum() / weight.sum()


def _cut(k: Any, log: Any) -> Any:
    return k.xp.clip(log, -100, None)


def _reduced(k: Any, x: Any, reduction: str) -> Any:
    if reduction == "none":
        return x
    total = k.xp.sum(x)
    return total / x.size if reduction == "mean" else total
