"""Connectionist temporal classification. Graves, Fernández, Gomez and Schmidhuber 2006.

A label sequence is stretched to blank, l1, blank, l2, ..., blank; an alignment walks through it, a step a frame,
staying, going on by one, or jumping over a blank between two different labels. The forward variable alpha[t][s] is
the log-probability of all walks that are at s at time t, emissions up to t included; the backward variable beta[t][s]
that of all ways to go on from there. Where they meet they give the probability of passing (t, s), which is the
gradient.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import CPU, move
from ..errors import DTypeError, GraphError, ShapeError
from ..op import FUNCTIONS, composite, op
from ..tensor import Tensor
from .loss import reduction_of

IMPOSSIBLE = -1e30  # the logarithm of 0: finite, so that differences of two of them are no NaN


@composite(method=False)
def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """-log of the probability of each label sequence, summed over its alignments to log_probs (T, N, C) or (T, C).

    `targets` holds the labels, (N, S) or one after the other, `blank` not among them. "mean" divides each loss by its
    target's length first. A target too long for its input has the loss inf, or 0 with `zero_infinity`.
    """
    reduction = reduction_of("ctc_loss", reduction)
    single = log_probs.ndim == 2
    x = log_probs.unsqueeze(1) if single else log_probs
    if x.ndim != 3:
        raise ShapeError(f"ctc_loss: log_probs expects (T, N, C) or (T, C), got shape {tuple(log_probs.shape)}")
    frames, batch, classes = x._array.shape
    inputs, lengths = _lengths("input", input_lengths, batch, frames), _lengths("target", target_lengths, batch, None)
    if not 0 <= blank < classes:
        raise ShapeError(f"ctc_loss: blank must be in label range, got {blank} for {classes} classes")
    labels = _stretched(targets, lengths, batch, classes, blank)
    losses = ctc_losses(x, labels, inputs, lengths, blank)
    if zero_infinity:
        losses = FUNCTIONS["where"](losses == math.inf, FUNCTIONS["zeros_like"](losses), losses)
    if reduction == "mean":
        divisors = np.maximum(lengths, 1).astype(losses._array.dtype)
        return (losses / Tensor._wrap(move(divisors, losses.device))).mean()
    return losses.sum() if reduction == "sum" else losses.squeeze(0) if single else losses


@op(method=False, function=False)
def ctc_losses(k, x, /, labels, inputs, lengths, blank):
    """The loss of each item of x (T, N, C), whose stretched labels are (N, 2 S + 1)."""
    labels, inputs, lengths = (move(a, CPU) for a in (labels, inputs, lengths))
    emitted = _emitted(k.xp, x, labels)
    jumps, last = k.xp.asarray(_jumps(labels, blank)), k.xp.asarray(_ends(labels, lengths))
    alpha = _walk(k.xp, emitted, jumps)
    log_p = _log_sum(k.xp, k.where(last, alpha[inputs - 1, np.arange(len(inputs))], IMPOSSIBLE), 1)
    y = k.where(log_p < IMPOSSIBLE / 2, math.inf, -log_p).astype(x.dtype)
    shape, dtype = x.shape, x.dtype

    def dx(dy):
        if isinstance(dy, Tensor):
            raise GraphError("ctc_loss: has no second derivative")
        return _gradient(k.xp, dy, emitted, alpha, log_p, labels, inputs, jumps, last, shape, dtype)

    return y, dx


def _gradient(xp: Any, dy: Any, emitted: Any, alpha: Any, log_p: Any, labels: Any, inputs: Any, jumps: Any, last: Any,
              shape: tuple, dtype: Any) -> Any:
    """Minus the probability of each label at each time, given the target."""
    beta = _walk_back(xp, emitted, jumps, inputs, last)
    passing = xp.exp(xp.minimum(alpha + beta - xp.maximum(log_p, IMPOSSIBLE)[:, None], 0.0))
    passing = passing * ((log_p > IMPOSSIBLE / 2) * dy)[:, None]
    out, rows = xp.zeros(shape, emitted.dtype), np.arange(shape[1])
    for s in range(labels.shape[1]):
        out[:, rows, labels[:, s]] -= passing[:, :, s]
    return out.astype(dtype)


def _emitted(xp: Any, x: Any, labels: Any) -> Any:
    """log_probs (T, N, 2 S + 1) of the stretched labels."""
    wide = x.astype(np.float32) if x.dtype.itemsize < 4 else x
    return xp.maximum(xp.take_along_axis(wide, xp.broadcast_to(xp.asarray(labels)[None], (len(x), *labels.shape)), 2),
                      IMPOSSIBLE)


def _walk(xp: Any, emitted: Any, jumps: Any) -> Any:
    """alpha (T, N, 2 S + 1)."""
    alpha = xp.full(emitted.shape, IMPOSSIBLE, emitted.dtype)
    alpha[0, :, :2] = emitted[0, :, :2]
    for t in range(1, len(emitted)):
        before = alpha[t - 1]
        alpha[t] = emitted[t] + _log_sum(xp, xp.stack([
            before, _moved(xp, before, 1), xp.where(jumps, _moved(xp, before, 2), IMPOSSIBLE)]), 0)
    return alpha


def _walk_back(xp: Any, emitted: Any, jumps: Any, inputs: Any, last: Any) -> Any:
    """beta (T, N, 2 S + 1); each item starts at its own last frame."""
    beta = xp.full(emitted.shape, IMPOSSIBLE, emitted.dtype)
    start = xp.where(last, 0.0, IMPOSSIBLE)
    for t in range(len(emitted) - 1, -1, -1):
        if t + 1 < len(emitted):
            after = beta[t + 1] + emitted[t + 1]
            beta[t] = _log_sum(xp, xp.stack([
                after, _moved(xp, after, -1), _moved(xp, xp.where(jumps, after, IMPOSSIBLE), -2)]), 0)
        ends = xp.asarray(inputs - 1 == t)[:, None]
        beta[t] = xp.where(ends, start, beta[t])
    return beta


def _moved(xp: Any, x: Any, by: int) -> Any:
    """x (N, L) with its columns moved to the right; nothing comes in from the left."""
    gap = xp.full((x.shape[0], min(abs(by), x.shape[1])), IMPOSSIBLE, x.dtype)
    return xp.concatenate([gap, x[:, :-by]] if by > 0 else [x[:, -by:], gap], 1)


def _log_sum(xp: Any, x: Any, axis: int) -> Any:
    top = x.max(axis)
    return xp.maximum(top + xp.log(xp.exp(x - xp.expand_dims(top, axis)).sum(axis)), IMPOSSIBLE)


def _jumps(labels: Any, blank: int) -> Any:
    """Where a walk may come from two positions before: at a label that differs from the one before."""
    allowed = np.zeros(labels.shape, bool)
    allowed[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return allowed


def _ends(labels: Any, lengths: np.ndarray) -> np.ndarray:
    """The positions where an alignment may end: the last label and the blank behind it."""
    s = np.arange(labels.shape[1])
    return (s == 2 * lengths[:, None]) | (s == 2 * lengths[:, None] - 1)


def _stretched(targets: Tensor, lengths: np.ndarray, batch: int, classes: int, blank: int) -> np.ndarray:
    """The labels with blanks around each, (N, 2 S + 1)."""
    array = targets._array if isinstance(targets._array, np.ndarray) else targets._array.get()
    if array.dtype.kind not in "iu":
        raise DTypeError(f"ctc_loss: targets must be integral, got {targets.dtype}")
    most = int(lengths.max(initial=0))
    labels = np.full((batch, 2 * most + 1), blank)
    fits = array.shape == (lengths.sum(),) if array.ndim == 1 else \
        array.ndim == 2 and array.shape[0] == batch and array.shape[1] >= most
    if not fits:
        raise ShapeError(f"ctc_loss: targets expects ({batch}, at least {most}) or ({lengths.sum()},), "
                         f"got shape {array.shape}")
    starts = np.concatenate(([0], np.cumsum(lengths)))
    for n, length in enumerate(lengths):
        row = array[n, :length] if array.ndim == 2 else array[starts[n]:starts[n + 1]]
        if length and not 0 <= row.min() <= row.max() < classes:
            raise IndexError(f"ctc_loss: targets expects labels from 0 to {classes - 1}, got {row.tolist()}")
        labels[n, 1:2 * length:2] = row
    return labels


def _lengths(name: str, given: Any, batch: int, most: int | None) -> np.ndarray:
    lengths = np.atleast_1d(np.asarray(given.tolist() if isinstance(given, Tensor) else given))
    if lengths.shape != (batch,) or lengths.dtype.kind not in "iu":
        raise ShapeError(f"ctc_loss: {name}_lengths must be of size batch_size, {batch} integers, "
                         f"got {lengths.tolist()}")
    low = 0 if most is None else 1
    if batch and not low <= lengths.min() <= lengths.max() <= (math.inf if most is None else most):
        raise ShapeError(f"ctc_loss: Expected {name}_lengths to have value at least {low} and at most {most}, "
                         f"but got {lengths.tolist()}")
    return lengths
