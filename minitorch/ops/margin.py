"""Losses of margins between classes or distances, and the similarities and distances that they compare."""
from __future__ import annotations

from typing import Any

from .. import dtypes
from ..errors import BoundsError, DTypeError, ShapeError
from ..op import FUNCTIONS, composite
from ..shapes import axis, broadcast
from ..tensor import Tensor
from .lookup import one_hot
from .loss import reduced, reduction_of


@composite(method=False)
def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """x1 . x2 / (|x1| |x2|) along `dim`, with norms of at least `eps`.

    >>> from minitorch import tensor
    >>> cosine_similarity(tensor([3.0, 4.0]), tensor([4.0, 3.0]), dim=0)
    tensor(0.9600)
    """
    if not (x1.is_floating_point() or x2.is_floating_point()):
        raise DTypeError("cosine_similarity: expected common dtype to be floating point, "
                         f"got {x1.dtype} and {x2.dtype}")
    shape = broadcast("cosine_similarity", x1._array.shape, x2._array.shape)
    x1, x2 = x1.expand(shape), x2.expand(shape)
    dim = axis("cosine_similarity", x1._array, dim)
    n1, n2 = (FUNCTIONS["norm"](x, 2, dim, True) for x in (x1, x2))
    n1, n2 = (FUNCTIONS["where"](n < eps, n + (eps - n).detach(), n) for n in (n1, n2))  # both ways n's gradient
    return (x1 / n1 * (x2 / n2)).sum(dim)


@composite(method=False)
def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """|x1 - x2 + eps|_p along the last axis."""
    broadcast("pairwise_distance", x1._array.shape, x2._array.shape)
    return FUNCTIONS["norm"](x1 - x2 + eps, p, -1, keepdim)


@composite(method=False)
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + exp(-t x)) for targets of +1 and -1."""
    reduction = reduction_of("soft_margin_loss", reduction, size_average, reduce)
    return reduced(FUNCTIONS["log1p"]((-target * input).exp()), reduction)


@composite(method=False)
def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """x where the target is 1, max(0, margin - x) where it is -1."""
    reduction = reduction_of("hinge_embedding_loss", reduction, size_average, reduce)
    where, zero = FUNCTIONS["where"], FUNCTIONS["zeros_like"](input)
    loss = where(target != 1, (margin - input).clamp(min=0), zero) + where(target != -1, input, zero)
    return reduced(loss, reduction)


@composite(method=False)
def margin_ranking_loss(input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"):
    """max(0, -t (x1 - x2) + margin)."""
    reduction = reduction_of("margin_ranking_loss", reduction, size_average, reduce)
    _same_dimensions("margin_ranking_loss", input1=input1, input2=input2, target=target)
    return reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


@composite(method=False)
def cosine_embedding_loss(input1, input2, target, margin=0.0, size_average=None, reduce=None, reduction="mean"):
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1, of (N, D) and (N,) or (D,) and ()."""
    reduction = reduction_of("cosine_embedding_loss", reduction, size_average, reduce)
    shape = broadcast("cosine_embedding_loss", input1._array.shape, input2._array.shape)
    if len(shape) not in (1, 2) or target.ndim != len(shape) - 1:
        raise ShapeError("cosine_embedding_loss: 0D or 1D target tensor expected, for inputs of one dimension more; "
                         f"got inputs of shape {shape} and target of shape {tuple(target.shape)}")
    broadcast("cosine_embedding_loss", shape[:-1], target._array.shape)
    square1, square2 = ((x * x).sum(-1) + 1e-12 for x in (input1, input2))
    cos = (input1 * input2).sum(-1) / (square1 * square2).sqrt()
    where, zero = FUNCTIONS["where"], FUNCTIONS["zeros_like"](cos)
    loss = where(target == 1, 1 - cos, zero) + where(target == -1, (cos - margin).clamp(min=0), zero)
    return reduced(loss, reduction)


@composite(method=False)
def triplet_margin_loss(anchor, positive, negative, margin=1.0, p=2.0, eps=1e-6, swap=False, size_average=None,
                        reduce=None, reduction="mean"):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin); `swap` takes d(positive, negative) where smaller.

    Balntas et al. 2016. Raises ValueError where `margin` is not positive.
    """
    reduction = reduction_of("triplet_margin_loss", reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be greater than 0, got {margin}")
    _same_dimensions("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = FUNCTIONS["minimum"](far, pairwise_distance(positive, negative, p, eps))
    return reduced((near - far + margin).clamp(min=0), reduction)


@composite(method=False)
def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Binary cross-entropy with logits, averaged over the classes, the last axis.

    loss = -mean(t log σ(x) + (1 - t) log σ(-x)) over the classes, σ(x) = 1 / (1 + exp(-x))
    """
    reduction = reduction_of("multilabel_soft_margin_loss", reduction, size_average, reduce)
    target = target.to(input.dtype)
    logsigmoid = FUNCTIONS["logsigmoid"]
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    return reduced((loss if weight is None else loss * weight).mean(-1), reduction)


@composite(method=False)
def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None,
                      reduction="mean"):
    """The sum over the wrong classes of max(0, margin - x[target] + x)^p, times weight[target], over C.

    Raises ValueError where `p` is neither 1 nor 2.
    """
    reduction = reduction_of("multi_margin_loss", reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: only p == 1 and p == 2 supported, got {p}")
    x, t = (input, target) if input.ndim == 2 else (input.reshape(1, -1), target.reshape(-1))
    classes = x.shape[1]
    if input.ndim > 2 or t.shape != x.shape[:1]:
        raise ShapeError("multi_margin_loss: expects input (N, C) or (C,) and a target class for each row, got "
                         f"{tuple(input.shape)} and {tuple(target.shape)}")
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ShapeError(f"multi_margin_loss: inconsistent weight size, expected {classes} but got "
                         f"{tuple(weight.shape)}")
    _check_classes("multi_margin_loss", t, 0, classes)
    wrong = (margin - x.gather(1, t.unsqueeze(1)) + x).clamp(min=0)
    wrong = wrong if p == 1 else wrong * wrong
    if weight is not None:
        wrong = wrong * weight[t].unsqueeze(1)
    loss = (wrong * (one_hot(t, classes) == 0)).sum(1) / classes
    return reduced(loss.reshape(target.shape), reduction)


@composite(method=False)
def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """The sum of max(0, 1 - (x[right] - x[wrong])) over right and wrong classes, over C.

    `target` (N, C) or (C,) holds the right classes' indices, up to the first -1.
    """
    reduction = reduction_of("multilabel_margin_loss", reduction, size_average, reduce)
    if target.shape != input.shape or input.ndim > 2:
        raise ShapeError(f"multilabel_margin_loss: expects input and target of one shape, (N, C) or (C,), got "
                         f"{tuple(input.shape)} and {tuple(target.shape)}")
    x, t = (input, target) if input.ndim == 2 else (input.reshape(1, -1), target.reshape(1, -1))
    classes = x.shape[1]
    _check_classes("multilabel_margin_loss", t, -1, classes)
    listed = (t < 0).cumsum(1) == 0
    right = x.gather(1, t.clamp(min=0))
    is_right = (one_hot(t.clamp(min=0), classes) * listed.unsqueeze(2)).sum(1) > 0
    hinge = (1 - (right.unsqueeze(2) - x.unsqueeze(1))).clamp(min=0)
    loss = (hinge * listed.unsqueeze(2) * is_right.logical_not().unsqueeze(1)).sum((1, 2)) / classes
    return reduced(loss.reshape(input.shape[:-1]), reduction)


def _same_dimensions(name: str, **tensors: Tensor) -> None:
    if len({t.ndim for t in tensors.values()}) > 1:
        raise ShapeError(f"{name}: All input tensors should have same dimension but got sizes: "
                         + ", ".join(f"{key}: {tuple(t.shape)}" for key, t in tensors.items()))
    broadcast(name, *(t._array.shape for t in tensors.values()))


def _check_classes(name: str, target: Tensor, least: int, classes: int) -> None:
    t: Any = target._array
    if target.dtype is not dtypes.int64:
        raise DTypeError(f"{name}: expected scalar type Long but found {dtypes.word(target.dtype)}")
    if t.size and not (t.min() >= least and t.max() < classes):
        raise BoundsError(f"{name}: target out of range: expected classes from {least} to {classes - 1}, got "
                          f"{t.min()} to {t.max()}")
