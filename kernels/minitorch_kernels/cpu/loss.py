"""Cross entropy and negative log-likelihood on the CPU: what is left to do once `softmax.py` has normalised."""
from __future__ import annotations

import math

import numpy as np

from .. import memory
from ..loss import out_of_bounds
from .jit import exactly, jit
from .softmax import _exp, _top, normalisers, scaled_softmax, wide  # change this file with them: see `jit`
from .tasks import task

SMALL = 1 << 14  # logits up to which one compiled call does all: it costs less than the preparation of several
REDUCTIONS = {"none": 0, "sum": 1, "mean": 2}


def cross_entropy(x, target, weight, ignore_index, smoothing, reduction):
    if _small(x, target, weight, smoothing):
        n = len(x)
        loss, saved = np.empty(n if reduction == "none" else 1, x.dtype), np.empty(2 * n + 1, x.dtype)
        bad = _rows(x, target, ignore_index, REDUCTIONS[reduction], loss, saved)
        if bad >= 0:
            _check("cross_entropy", bad, x, target, ignore_index)
        return (loss if reduction == "none" else loss.reshape(())), saved
    dtype, x = x.dtype, wide(x)
    top, log = normalisers(x, 1)
    blocks, target, weight = _flat(x, target, weight)
    even = np.empty(target.size if smoothing else 0, x.dtype)  # the loss if all classes were wanted alike
    if smoothing:
        _over_blocks(_evenly, blocks, top, log, _each(weight, blocks), even)
    loss = np.empty(target.size, x.dtype)
    total, weights, bad = _pick(blocks, top, log, target, weight, ignore_index, float(smoothing), even, loss)
    _check("cross_entropy", bad, x, target, ignore_index)
    return _reduced(x, loss, total, weights, reduction, dtype), (top, log, weights)


def cross_entropy_dx(dloss, x, target, weight, ignore_index, smoothing, reduction, saved=None):
    if saved is None:
        saved = cross_entropy(x, target, weight, ignore_index, smoothing, reduction)[1]
    if type(saved) is np.ndarray:  # as the compiled call of `cross_entropy` left it
        dloss, dx = _gradients("cross_entropy", dloss, x, target), np.empty(x.shape, x.dtype)
        bad = _rows_dx(dloss, x, target, ignore_index, REDUCTIONS[reduction], saved, dx)
        if bad >= 0:
            _check("cross_entropy", bad, x, target, ignore_index)
        return dx
    top, log, weights = saved
    dtype, x = x.dtype, wide(x)
    blocks, target, weight = _flat(x, target, weight)
    hit, each, scale = _spread("cross_entropy", dloss, x, target, weight, weights, ignore_index, smoothing, reduction)
    dx = scaled_softmax(x, top, log, scale, 1)
    if smoothing:
        _over_blocks(_subtract_evenly, dx.reshape(blocks.shape), each, _each(weight, blocks))
    _subtract(dx.reshape(blocks.shape), target, hit, ignore_index)
    return dx if dx.dtype == dtype else dx.astype(dtype)


def nll_loss(logp, target, weight, ignore_index, reduction):
    dtype, logp = logp.dtype, wide(logp)
    blocks, target, weight = _flat(logp, target, weight)
    loss, zeros = np.zeros((2, target.size), logp.dtype)
    total, weights, bad = _pick(blocks, zeros, zeros, target, weight, ignore_index, 0.0, zeros, loss)
    _check("nll_loss", bad, logp, target, ignore_index)
    return _reduced(logp, loss, total, weights, reduction, dtype)


def nll_loss_dx(dloss, shape, target, weight, ignore_index, reduction):
    dtype, dloss = dloss.dtype, wide(dloss)
    dlogp = memory.empty(shape, dloss.dtype)
    dlogp.fill(0)
    blocks, target, weight = _flat(dlogp, target, weight)
    weights = _weights(target, weight, ignore_index) if reduction == "mean" else 0.0
    hit, _, _ = _spread("nll_loss", dloss, dlogp, target, weight, weights, ignore_index, 0.0, reduction)
    _subtract(blocks, target, hit, ignore_index)
    return dlogp if dlogp.dtype == dtype else dlogp.astype(dtype)


def _small(x, target, weight, smoothing):
    """Whether `_rows` takes these arguments."""
    return x.size <= SMALL and x.ndim == 2 and weight is None and not smoothing and x.dtype.char in "fd" and \
        target.dtype.char == "l" and x.flags.c_contiguous and target.flags.c_contiguous


def _flat(x, target, weight):
    """`x` as (N, C, d1 ...), `target` as one int64 a row of classes, and no weights as an empty array."""
    weight = np.empty(0, x.dtype) if weight is None else np.ascontiguousarray(weight, x.dtype)
    return x.reshape(*x.shape[:2], -1), np.ascontiguousarray(target, np.int64).ravel(), weight


def _each(weight, blocks):
    """A weight for each class, where there may be none."""
    return weight if weight.size else np.ones(blocks.shape[1], blocks.dtype)


def _check(op, bad, x, target, ignore_index):
    if bad >= 0:
        raise out_of_bounds(op, int(target[bad]), x.shape[1], ignore_index)


def _reduced(x, loss, total, weights, reduction, dtype):
    if reduction == "none":
        return loss.reshape(x.shape[:1] + x.shape[2:]).astype(dtype, copy=False)
    if reduction == "mean":
        total = total / weights if weights else total * math.inf  # 0 / 0 = nan, as IEEE has it
    return np.array(total, dtype)


def _spread(op, dloss, x, target, weight, weights, ignore_index, smoothing, reduction):
    """How the gradient of each target's loss spreads: on its class, on every class, and on their sum."""
    dloss = _gradients(op, dloss, x, target)
    factor = 1.0 if reduction != "mean" else 1 / weights if weights else math.inf
    shares = np.empty((3, target.size), x.dtype)
    bad = _shares(dloss, factor, target, weight, ignore_index, float(smoothing), x.shape[1], *shares)
    _check(op, bad, x, target, ignore_index)
    return shares


def _gradients(op, dloss, x, target):
    """The gradient of the loss, or of each target's loss, in a row."""
    dloss = np.ascontiguousarray(dloss, x.dtype).reshape(-1)
    if dloss.size != 1 and dloss.size != target.size:
        raise ValueError(f"{op}: expects one gradient, or {target.size}, one a target, got {dloss.size}")
    return dloss


def _over_blocks(function, x, *arrays):
    """`function(..., x, *arrays)` in parts of the blocks of `x`."""
    step = max(1, (1 << 15) // x[0].size)
    function(-(-len(x) // step), 2 * x.size, step, x, *arrays)


@exactly
def _minus_log_p(x, top, log):
    return log - (x - top)


@jit
def _rows(x, target, ignore_index, reduction, loss, saved):
    """The loss of logits (N, C); `saved` is each row's maximum, the logarithm of its sum, and how many rows count.

    Gives the row of an impossible target, or -1.
    """
    n, total, counted = len(x), 0.0, 0
    for i in range(n):
        row, t = x[i], target[i]
        top = _top(row)
        log = x.dtype.type(0)
        for c in range(row.size):
            log += _exp(row[c] - top)
        log = x.dtype.type(math.log(log))
        saved[i], saved[n + i] = top, log
        part = x.dtype.type(0)
        if t != ignore_index:
            if t < 0 or t >= row.size:
                return i
            part = _minus_log_p(row[t], top, log)
            counted += 1
        if reduction == 0:
            loss[i] = part
        total += part
    saved[2 * n] = counted
    if reduction != 0:
        loss[0] = total / counted if reduction == 2 else total
    return -1


@jit
def _rows_dx(dloss, x, target, ignore_index, reduction, saved, dx):
    """The gradient of `_rows`; gives the row of an impossible target, or -1."""
    n = len(x)
    share = dloss[0] / saved[2 * n] if reduction == 2 else dloss[0]
    for i in range(n):
        row, out, t = x[i], dx[i], target[i]
        if t == ignore_index:
            out[:] = 0
            continue
        if t < 0 or t >= row.size:
            return i
        g, top, log = dloss[i] if reduction == 0 and dloss.size > 1 else share, saved[i], saved[n + i]
        for c in range(row.size):
            out[c] = g * _exp(-_minus_log_p(row[c], top, log))
        out[t] -= g
    return -1


@jit
def _pick(x, top, log, target, weight, ignore_index, smoothing, even, loss):
    """The loss of each target; gives their sum, the sum of their weights, and the row of an impossible one, or -1."""
    total, weights, r = 0.0, 0.0, -1
    for i in range(x.shape[0]):
        for j in range(x.shape[2]):
            r += 1
            t = target[r]
            if t == ignore_index:
                loss[r] = 0
                continue
            if t < 0 or t >= x.shape[1]:
                return total, weights, r
            w = weight[t] if weight.size else x.dtype.type(1)
            loss[r] = w * _minus_log_p(x[i, t, j], top[r], log[r]) if w != 0 else 0
            if smoothing:
                loss[r] = (1 - smoothing) * loss[r] + smoothing / x.shape[1] * even[r]
            total += loss[r]
            weights += w
    return total, weights, -1


@task
def _evenly(part, step, x, top, log, weight, even):
    """The sum over all classes of -log_softmax(x) times the class's weight."""
    inner = x.shape[2]
    for i in range(part * step, min((part + 1) * step, x.shape[0])):
        if inner == 1:
            row, total = x[i].ravel(), x.dtype.type(0)
            for c in range(row.size):
                v = weight[c] * _minus_log_p(row[c], top[i], log[i])
                total += v if weight[c] != 0 else 0
            even[i] = total
        else:
            tops, logs = top[i * inner:(i + 1) * inner], log[i * inner:(i + 1) * inner]
            total = np.zeros_like(tops)
            for c in range(x.shape[1]):
                if weight[c] != 0:
                    row = x[i, c]
                    for j in range(inner):
                        total[j] += weight[c] * _minus_log_p(row[j], tops[j], logs[j])
            even[i * inner:(i + 1) * inner] = total


@jit
def _weights(target, weight, ignore_index):
    """The sum of the targets' weights; impossible targets are found by `_shares`."""
    total = 0.0
    for t in target:
        if t != ignore_index and t >= 0 and (t < weight.size or not weight.size):
            total += weight[t] if weight.size else 1.0
    return total


@jit
def _shares(dloss, factor, target, weight, ignore_index, smoothing, classes, hit, each, scale):
    """The `_spread` of each target; gives the row of an impossible one, or -1."""
    all_weights = weight.sum() if weight.size else dloss.dtype.type(classes)
    for r in range(target.size):
        t = target[r]
        if t == ignore_index:
            hit[r] = each[r] = scale[r] = 0
            continue
        if t < 0 or t >= classes:
            return r
        g = dloss[r if dloss.size > 1 else 0] * factor
        hit[r] = g * (1 - smoothing) * (weight[t] if weight.size else 1)
        each[r] = g * smoothing / classes
        scale[r] = hit[r] + each[r] * all_weights
    return -1


@task
def _subtract_evenly(part, step, dx, each, weight):
    inner = dx.shape[2]
    for i in range(part * step, min((part + 1) * step, dx.shape[0])):
        if inner == 1:
            row = dx[i].ravel()
            for c in range(row.size):
                row[c] -= weight[c] * each[i]
        else:
            share = each[i * inner:(i + 1) * inner]
            for c in range(dx.shape[1]):
                row = dx[i, c]
                for j in range(inner):
                    row[j] -= weight[c] * share[j]


@jit
def _subtract(dx, target, hit, ignore_index):
    r = -1
    for i in range(dx.shape[0]):
        for j in range(dx.shape[2]):
            r += 1
            if target[r] != ignore_index:
                dx[i, target[r], j] -= hit[r]
