"""Losses: cross entropy of logits, the negative log-likelihood of log-probabilities, Huber's of differences.

Classes lie along dimension 1: x is (N, C) or (N, C, d1, ...), `target` holds class indices (N) or (N, d1, ...),
`weight` one number a class or None, `reduction` is "mean" (over the targets' weights), "sum" or "none". Targets equal
to `ignore_index` count for nothing; any other one outside 0 ... C - 1 raises IndexError (on a GPU, which nobody waits
for, its loss is NaN).
"""
from __future__ import annotations

from typing import Any

from .onepass import one_pass
from .softmax import log_softmax, softmax
from .table import kernel


@kernel
def cross_entropy(xp, x, target, weight, ignore_index, smoothing, reduction):
    """-sum(q log_softmax(x)) with q the weighted, smoothed one-hot targets; gives (loss, what the derivative saves).

    Label smoothing: Szegedy et al., "Rethinking the Inception Architecture", 2016. The mean is over the targets'
    weights, so that where all are ignored it is 0 / 0 = nan.
    """
    q, w, _ = _wanted(xp, "cross_entropy", x.shape, x.dtype, target, weight, ignore_index, smoothing)
    return _reduced(xp, q, log_softmax(xp, x, 1), w, reduction), None


@kernel
def cross_entropy_dx(xp, dloss, x, target, weight, ignore_index, smoothing, reduction, saved=None):
    """The derivative of `cross_entropy` in x: dloss (softmax(x) sum(q) - q)."""
    q, w, counted = _wanted(xp, "cross_entropy", x.shape, x.dtype, target, weight, ignore_index, smoothing)
    p = softmax(xp, x, 1)
    return _per_target(xp, dloss, w, counted, reduction) * (p * xp.sum(q, axis=1, keepdims=True) - q)


@kernel
def huber(xp, x, t, delta):
    """d² / 2 where |d| < delta, else delta (|d| - delta / 2), for d = x - t. Huber 1964."""
    size = xp.abs(x - t)
    return xp.where(size < delta, 0.5 * size * size, delta * (size - 0.5 * delta))


@kernel
def huber_dx(xp, dy, x, t, delta):
    """The derivative of huber in x: d within [-delta, delta]."""
    return dy * xp.minimum(xp.maximum(x - t, -delta), delta)


@kernel
def nll_loss(xp, logp, target, weight, ignore_index, reduction):
    """-logp at each target, times the target's weight."""
    q, w, _ = _wanted(xp, "nll_loss", logp.shape, logp.dtype, target, weight, ignore_index)
    return _reduced(xp, q, logp, w, reduction)


@kernel
def nll_loss_dx(xp, dloss, shape, target, weight, ignore_index, reduction):
    """The derivative of `nll_loss` in log-probabilities of `shape`: -dloss q, of which one a target is not zero."""
    q, w, counted = _wanted(xp, "nll_loss", shape, dloss.dtype, target, weight, ignore_index)
    return -_per_target(xp, dloss, w, counted, reduction) * q


def out_of_bounds(op: str, target: int, classes: int, ignore_index: int) -> IndexError:
    """What every version raises for a target that is no class."""
    return IndexError(f"{op}: Target {target} is out of bounds: expected a class from 0 to {classes - 1}, "
                      f"or ignore_index {ignore_index}")


def _wanted(xp, op, shape, dtype, target, weight, ignore_index, smoothing=0.0):
    """The weight q of each log-probability in the loss, that of each target in the mean, and which are counted."""
    classes = shape[1]
    along = (1, classes) + (1,) * (len(shape) - 2)
    counted = target != ignore_index
    outside = counted & ((target < 0) | (target >= classes))
    if bool(xp.sum(outside) > 0):
        raise out_of_bounds(op, int(xp.max(xp.where(outside, target, xp.min(target)))), classes, ignore_index)
    counted = xp.expand_dims(counted, 1)
    each = xp.ones(along, dtype) if weight is None else xp.reshape(weight, along)
    hit = counted & (xp.reshape(xp.arange(classes), along) == xp.expand_dims(target, 1))
    q = xp.where(hit, each, xp.zeros(along, dtype))
    w = xp.sum(q, axis=1)
    if smoothing:
        q = (1 - smoothing) * q + smoothing / classes * xp.where(counted, each, xp.zeros(along, dtype))
    return q, w, counted


def _reduced(xp, q, logp, w, reduction):
    loss = -xp.sum(q * xp.where(q != 0, logp, xp.zeros((1,), logp.dtype)), axis=1)  # 0 times -inf would be nan
    if reduction == "none":
        return loss
    return xp.sum(loss) / xp.sum(w) if reduction == "mean" else xp.sum(loss)


def _per_target(xp, dloss, w, counted, reduction):
    """What the derivative of one target's loss is multiplied by, 0 where ignored, with a dimension for the classes."""
    share = xp.expand_dims(dloss, 1) if reduction == "none" else dloss
    if reduction == "mean":
        share = share / xp.sum(w)
    return xp.where(counted, share, xp.zeros((1,), w.dtype))


def _refuses(x: Any, target: Any, weight: Any, *others: Any, **options: Any) -> str | None:
    """Why the Numba kernels leave these arrays to the reference, or None."""
    return _refuses_nll_dx(x, x.shape, target, weight)


def _refuses_dx(dloss: Any, x: Any, target: Any, weight: Any, *others: Any, **options: Any) -> str | None:
    return _refuses_nll_dx(x, x.shape, target, weight)


def _refuses_nll_dx(x: Any, shape: Any, target: Any, weight: Any, *others: Any, **options: Any) -> str | None:
    if x.dtype.char not in "fdeE":
        return "float16, bfloat16, float32 and float64 only"
    if len(shape) < 2 or shape[:1] + shape[2:] != target.shape:
        return "classes along dimension 1, and a target for each row of them only"
    if target.dtype.char not in "lqiB" or (weight is not None and weight.shape != shape[1:2]):
        return "integer targets and one weight a class only"
    return None if target.size and shape[1] else "nothing to compute"


for _entry, _reason in ((cross_entropy, _refuses), (cross_entropy_dx, _refuses_dx), (nll_loss, _refuses),
                        (nll_loss_dx, _refuses_nll_dx)):
    _entry.version("numba", "cpu", f"minitorch_kernels.cpu.loss:{_entry.name}", refuses=_reason)
    _entry.version("cuda", "cuda", f"minitorch_kernels.cuda.loss:{_entry.name}", refuses=_reason)
one_pass(huber)
one_pass(huber_dx)
