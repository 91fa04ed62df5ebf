"""Losses. Each is the mean over its elements unless `reduction` says "sum" or "none"."""
from __future__ import annotations

import math
import warnings
from typing import Any

from .. import dtypes
from ..errors import DTypeError, ShapeError
from ..op import FUNCTIONS, composite, op
from ..tensor import Tensor
from .lookup import one_hot


@op(method=False, function=False)
def cross_entropy_classes(k, x, /, target, weight, ignore_index, smoothing, reduction):
    """Cross-entropy of logits x (N, C, *size) with class indices (N, *size)."""
    y, saved = k.cross_entropy(x, target, weight, ignore_index, smoothing, reduction)
    return y, lambda dy: k.cross_entropy_dx(dy, x, target, weight, ignore_index, smoothing, reduction, saved)


@op(method=False, function=False)
def nll_loss_classes(k, x, /, target, weight, ignore_index, reduction):
    """Minus the log-probability x (N, C, *size) of each class index in target (N, *size)."""
    shape = x.shape
    y = k.nll_loss(x, target, weight, ignore_index, reduction)
    return y, lambda dy: k.nll_loss_dx(dy, shape, target, weight, ignore_index, reduction)


@op(method=False, function=False)
def squared_error(k, x, t, /, reduction):
    """(x - t)^2, reduced."""
    x, t = dtypes.promote(x, t)
    d = k.sub(x, t)
    scale = 2.0 / max(d.size, 1) if reduction == "mean" else 2.0
    return _reduced(k, d * d, reduction), lambda dy: k.mul(k.sub(x, t), dy * scale), \
        lambda dy: k.mul(k.sub(t, x), dy * scale)


@composite(method=False)
def cross_entropy(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean",
                  label_smoothing=0.0):
    """Softmax and negative log-likelihood in one: logits (N, C, *size) or (C,), target class indices or probabilities.

    >>> from minitorch import tensor
    >>> cross_entropy(tensor([[0.0, 0.0]]), tensor([1]))
    tensor(0.6931)
    """
    reduction = reduction_of("cross_entropy", reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"cross_entropy: label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target._array.dtype.kind in "fV" and target._array.shape == input._array.shape:
        return _cross_entropy_probabilities(input, target, weight, reduction, label_smoothing)
    x, t = _classes("cross_entropy", input, target, weight)
    loss = cross_entropy_classes(x, t._array, None if weight is None else weight._array, ignore_index,
                                 label_smoothing, reduction)
    return loss.reshape(target.shape) if reduction == "none" and input.ndim == 1 else loss


@composite(method=False)
def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Negative log-likelihood of log-probabilities (N, C, *size) or (C,) under class indices."""
    reduction = reduction_of("nll_loss", reduction, size_average, reduce)
    x, t = _classes("nll_loss", input, target, weight)
    loss = nll_loss_classes(x, t._array, None if weight is None else weight._array, ignore_index, reduction)
    return loss.reshape(target.shape) if reduction == "none" and input.ndim == 1 else loss


@composite(method=False)
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """(input - target)^2."""
    reduction = reduction_of("mse_loss", reduction, size_average, reduce)
    _same_size("mse_loss", input, target)
    if weight is not None:
        return _weighted((input - target).square(), weight, reduction)
    return squared_error(input, target, reduction)


@composite(method=False)
def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """|input - target|."""
    reduction = reduction_of("l1_loss", reduction, size_average, reduce)
    _same_size("l1_loss", input, target)
    return _weighted((input - target).abs(), weight, reduction)


@composite(method=False)
def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """Quadratic within `beta`, linear beyond (Girshick 2015): d^2 / (2 beta), or |d| - beta / 2."""
    reduction = reduction_of("smooth_l1_loss", reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss: does not support negative values for beta, got {beta}")
    _same_size("smooth_l1_loss", input, target)
    d = (input - target).abs()
    if beta == 0:
        return _reduce(d, reduction)
    return _reduce(FUNCTIONS["where"](d < beta, 0.5 / beta * d * d, d - 0.5 * beta), reduction)


@composite(method=False)
def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """Quadratic within `delta`, linear beyond (Huber 1964): d^2 / 2, or delta (|d| - delta / 2)."""
    reduction_of("huber_loss", reduction)
    if delta <= 0:
        raise RuntimeError(f"huber_loss: does not support non-positive values for delta, got {delta}")
    _same_size("huber_loss", input, target)
    d = (input - target).abs()
    return _weighted(FUNCTIONS["where"](d < delta, 0.5 * d * d, delta * (d - 0.5 * delta)), weight, reduction)


@composite(method=False)
def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """-(t log p + (1 - t) log(1 - p)) of probabilities; the logarithms are cut at -100, as PyTorch does.

    Raises RuntimeError for values outside [0, 1], and ValueError where the shapes differ.
    """
    reduction = reduction_of("binary_cross_entropy", reduction, size_average, reduce)
    if input.shape != target.shape:
        raise ValueError(f"binary_cross_entropy: Using a target size ({target.shape}) that is different to the input "
                         f"size ({input.shape}) is deprecated. Please ensure they have the same size.")
    p = input._array
    if p.size and not ((p >= 0) & (p <= 1)).all():
        raise RuntimeError("binary_cross_entropy: all elements of input should be between 0 and 1, "
                           f"got values from {p.min():.4g} to {p.max():.4g}")
    loss = -(target * input.log().clamp(min=-100) + (1 - target) * (1 - input).log().clamp(min=-100))
    return _weighted(loss, weight, reduction)


@composite(method=False)
def binary_cross_entropy_with_logits(input, target, weight=None, size_average=None, reduce=None, reduction="mean",
                                     pos_weight=None):
    """Binary cross-entropy of sigmoid(input), without overflow: (1 - t) x + log(1 + exp(-x))."""
    reduction = reduction_of("binary_cross_entropy_with_logits", reduction, size_average, reduce)
    if input.shape != target.shape:
        raise ValueError(f"binary_cross_entropy_with_logits: Target size ({target.shape}) must be the same as input "
                         f"size ({input.shape})")
    softplus = FUNCTIONS["log1p"](FUNCTIONS["exp"](-input.abs())) + (-input).clamp(min=0)
    if pos_weight is None:
        loss = (1 - target) * input + softplus
    else:
        loss = (1 - target) * input + ((pos_weight - 1) * target + 1) * softplus
    return _weighted(loss, weight, reduction)


@composite(method=False)
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """t (log t - input), with input a log-probability; "batchmean" divides the sum by the batch size."""
    reduction = reduction_of("kl_div", reduction, size_average, reduce)
    if reduction == "mean":
        warnings.warn("reduction: 'mean' divides the total loss by both the batch size and the support size."
                      "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
                      "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
                      stacklevel=2)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = FUNCTIONS["xlogy"](target, target) - target * input
    if reduction == "batchmean":
        return loss.sum() / (input.shape[0] if input.ndim else 1)
    return _reduce(loss, reduction)


@composite(method=False)
def poisson_nll_loss(input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None,
                     reduction="mean"):
    """Negative log-likelihood of counts under a Poisson rate, or under its logarithm."""
    reduction = reduction_of("poisson_nll_loss", reduction, size_average, reduce)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:  # Stirling's approximation of log(target!)
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + FUNCTIONS["where"](target > 1, stirling, FUNCTIONS["zeros_like"](target))
    return _reduce(loss, reduction)


@composite(method=False)
def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """Negative log-likelihood under a normal distribution of the given mean and variance."""
    reduction_of("gaussian_nll_loss", reduction)
    if isinstance(var, (int, float)):
        var = FUNCTIONS["full_like"](input, var)
    if var.shape != input.shape and var.ndim == input.ndim - 1:
        var = var.unsqueeze(-1)
    if (var._array < 0).any():
        raise ValueError("gaussian_nll_loss: var has negative entry/entries")
    with_floor = var.detach().clamp(min=eps)
    var = var + (with_floor - var.detach())
    loss = 0.5 * (var.log() + (input - target).square() / var)
    return _reduce(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


@composite(method=False)
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + exp(-t x)) for targets of +1 and -1."""
    reduction = reduction_of("soft_margin_loss", reduction, size_average, reduce)
    return _reduce(FUNCTIONS["log1p"]((-target * input).exp()), reduction)


@composite(method=False)
def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """x where the target is 1, max(0, margin - x) where it is -1."""
    reduction = reduction_of("hinge_embedding_loss", reduction, size_average, reduce)
    zero = FUNCTIONS["zeros_like"](input)
    loss = FUNCTIONS["where"](target != 1, (margin - input).clamp(min=0), zero) + \
        FUNCTIONS["where"](target != -1, input, zero)
    return _reduce(loss, reduction)


@composite(method=False)
def margin_ranking_loss(input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"):
    """max(0, -t (x1 - x2) + margin)."""
    reduction = reduction_of("margin_ranking_loss", reduction, size_average, reduce)
    return _reduce((-target * (input1 - input2) + margin).clamp(min=0), reduction)


@composite(method=False)
def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """x1 . x2 / (|x1| |x2|) along `dim`."""
    x1, x2 = FUNCTIONS["broadcast_tensors"](x1, x2)
    norm1, norm2 = (x.square().sum(dim).sqrt().clamp(min=eps) for x in (x1, x2))
    return (x1 * x2).sum(dim) / (norm1 * norm2)


@composite(method=False)
def cosine_embedding_loss(input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"):
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1."""
    reduction = reduction_of("cosine_embedding_loss", reduction, size_average, reduce)
    cos = cosine_similarity(input1, input2, input1.ndim - 1)
    zero = FUNCTIONS["zeros_like"](cos)
    loss = FUNCTIONS["where"](target == 1, 1 - cos, zero) + \
        FUNCTIONS["where"](target == -1, (cos - margin).clamp(min=0), zero)
    return _reduce(loss, reduction)


@composite(method=False)
def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """|x1 - x2 + eps|_p along the last axis."""
    return FUNCTIONS["norm"](x1 - x2 + eps, p, -1, keepdim)


@composite(method=False)
def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, size_average=None,
                        reduce=None, reduction="mean"):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin)."""
    reduction = reduction_of("triplet_margin_loss", reduction, size_average, reduce)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = FUNCTIONS["minimum"](far, pairwise_distance(positive, negative, p, eps))
    return _reduce((near - far + margin).clamp(min=0), reduction)


@composite(method=False)
def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Binary cross-entropy with logits, averaged over the classes."""
    reduction = reduction_of("multilabel_soft_margin_loss", reduction, size_average, reduce)
    loss = binary_cross_entropy_with_logits(input, target.to(input.dtype), reduction="none")
    return _reduce((loss if weight is None else loss * weight).mean(-1), reduction)


@composite(method=False)
def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None,
                      reduction="mean"):
    """sum over the wrong classes of max(0, margin - x[target] + x)^p, over C."""
    reduction = reduction_of("multi_margin_loss", reduction, size_average, reduce)
    x, t = (input, target) if input.ndim == 2 else (input.unsqueeze(0), target.reshape(1))
    right = x.gather(1, t.unsqueeze(1))
    wrong = (margin - right + x).clamp(min=0)
    wrong = wrong if p == 1 else wrong ** p
    if weight is not None:
        wrong = wrong * weight[t].unsqueeze(1)
    others = one_hot(t, x.shape[1]) == 0
    loss = (wrong * others).sum(1) / x.shape[1]
    return _reduce(loss if input.ndim == 2 else loss.squeeze(0), reduction)


@composite(method=False)
def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """sum of max(0, 1 - (x[right] - x[wrong])) over right and wrong classes, over C.

    `target` (N, C) or (C,) holds the right classes' indices, up to the first -1.
    """
    reduction = reduction_of("multilabel_margin_loss", reduction, size_average, reduce)
    if target.shape != input.shape or input.ndim not in (1, 2):
        raise ShapeError(f"multilabel_margin_loss: expects input and target of one shape, (N, C) or (C,), got "
                         f"{tuple(input.shape)} and {tuple(target.shape)}")
    x, t = (input, target) if input.ndim == 2 else (input.unsqueeze(0), target.unsqueeze(0))
    classes = x.shape[1]
    listed = (t < 0).cumsum(1) == 0
    right = x.gather(1, t.clamp(min=0))
    is_right = (one_hot(t.clamp(min=0), classes) * listed.unsqueeze(2)).sum(1) > 0
    hinge = (1 - (right.unsqueeze(2) - x.unsqueeze(1))).clamp(min=0)
    loss = (hinge * listed.unsqueeze(2) * is_right.logical_not().unsqueeze(1)).sum((1, 2)) / classes
    return _reduce(loss if input.ndim == 2 else loss.squeeze(0), reduction)


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
    return loss.sum() / max(loss._array.size, 1) if reduction == "mean" else _reduce(loss, reduction)


def _classes(name: str, x: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logits with a batch axis, and class indices that fit them."""
    shape, t = x._array.shape, target._array
    if t.dtype.kind not in "iu":
        raise DTypeError(f"{name}: expected scalar type Long but found {target.dtype.name}: target expects class "
                         "indices (int64), or probabilities of the input's shape")
    if not shape:
        raise ShapeError(f"{name}: input expects at least one dimension, got a scalar")
    single = len(shape) == 1
    expected = () if single else shape[:1] + shape[2:]
    if t.shape != expected:
        what = "Expected input batch_size to match target batch_size" if len(shape) == 2 else "size mismatch"
        error = ValueError if len(shape) == 2 and t.ndim == 1 else ShapeError
        raise error(f"{name}: {what}: input of shape {shape} expects target of shape {expected}, got {t.shape}")
    classes = shape[0 if single else 1]
    if weight is not None and weight._array.shape != (classes,):
        raise ShapeError(f"{name}: weight tensor should be defined either for all {classes} classes or no classes, "
                         f"got shape {weight._array.shape}")
    return (x.reshape(1, classes), target.reshape(1)) if single else (x, target)


def _same_size(name: str, x: Tensor, target: Tensor) -> None:
    if x._array.shape != target._array.shape:
        warnings.warn(f"{name}: Using a target size ({target.shape}) that is different to the input size ({x.shape}). "
                      "This will likely lead to incorrect results due to broadcasting. "
                      "Please ensure they have the same size.", stacklevel=3)


def reduction_of(name: str, reduction: str, size_average: bool | None = None, reduce: bool | None = None,
                 check: bool = True) -> str:
    """The reduction, also from PyTorch's older pair of flags. Raises ValueError, where `check`ed."""
    if size_average is None and reduce is None:
        if reduction in ("mean", "sum", "none"):
            return reduction
    else:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn("size_average and reduce args will be deprecated, please use "
                      f"reduction='{reduction}' instead.", stacklevel=3)
    if check and reduction not in ("none", "mean", "sum") and not (name == "kl_div" and reduction == "batchmean"):
        raise ValueError(f"{name}: {reduction} is not a valid value for reduction: expected none, mean or sum")
    return reduction


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def _weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    return _reduce(loss if weight is None else loss * weight, reduction)


def _reduced(k: Any, x: Any, reduction: str) -> Any:
    if reduction == "none":
        return x
    total = k.xp.sum(x)
    return total / x.size if reduction == "mean" else total
