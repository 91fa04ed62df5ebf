"""Softmax and cross entropy on the CPU: loops over contiguous rows, with an exponential that vectorises.

Numba has no vector library: `math.exp` in a loop is one call a number. `_exp` is a polynomial instead, and `_top`
finds the maximum by comparing integers, because LLVM does not vectorise a maximum of floats that may be NaN.
"""
from __future__ import annotations

import math

import numba
import numpy as np
from numba.extending import overload

from .. import memory, parallel
from .jit import jit

PART = 1 << 15  # numbers in a part: two such arrays fit the second-level cache
WORK = 16  # operations a number costs, about


def softmax(x, dim):
    return _rowwise(_softmax, dim, x)


def softmax_dx(dy, y, dim):
    return _rowwise(_softmax_dx, dim, dy, y)


def log_softmax(x, dim):
    return _rowwise(_log_softmax, dim, x)


def log_softmax_dx(dy, y, dim):
    return _rowwise(_log_softmax_dx, dim, dy, y)


def logsumexp(x, dim, keepdim):
    rows, dtype = Rows(x.shape, dim), x.dtype
    x = wide(x)
    y = np.empty(rows.total, x.dtype)
    parallel.run(lambda i: _logsumexp(rows.take(x, i), y[rows.lines[i]]), rows.parts, WORK * x.size)
    shape = list(x.shape)
    shape[dim] = 1
    y = y.reshape(shape).astype(dtype, copy=False)
    return y if keepdim else y.squeeze(dim)


class Rows:
    """A shape cut into parts of whole rows along `dim`, so that every kernel below sees contiguous rows alone.

    Along the last dimension the rows of a part are a view; along another they are copied, a part at a time.
    """

    def __init__(self, shape, dim):
        dim %= len(shape)
        self.n = n = shape[dim]
        self.inner = inner = math.prod(shape[dim + 1:])
        self.outer = outer = math.prod(shape[:dim])
        self.total = outer * inner
        if inner == 1 or n * inner <= PART:  # a part is some whole outer blocks, or else a strip of one of them
            cuts = [(block, slice(0, inner)) for block in parallel.chunks(outer, max(1, PART // (n * inner)))]
        else:
            strips = parallel.chunks(inner, max(16, PART // n))
            cuts = [(slice(o, o + 1), strip) for o in range(outer) for strip in strips]
        self.cuts = cuts
        self.parts = len(cuts)
        self.lines = [slice(b.start * inner + s.start, (b.stop - 1) * inner + s.stop) for b, s in cuts]

    def take(self, a, i):
        """The rows of part `i` of array `a`, shape (rows, n)."""
        return np.ascontiguousarray(self._block(a, i)).reshape(-1, self.n)

    def room(self, a, i):
        """Where to write the rows of part `i` of array `a`: into `a` itself where its rows are contiguous."""
        if self.inner == 1:
            return self.take(a, i)
        line = self.lines[i]
        return np.empty((line.stop - line.start, self.n), a.dtype)

    def put(self, a, i, rows):
        """Bring `rows`, that `room` gave, into array `a`."""
        if self.inner != 1:
            block = self._block(a, i)
            block[...] = rows.reshape(block.shape)

    def _block(self, a, i):
        block, strip = self.cuts[i]
        return a.reshape(self.outer, self.n, self.inner)[block, :, strip].swapaxes(1, 2)


def wide(x):
    """`x` contiguous, and in float32 where it is narrower."""
    return np.ascontiguousarray(x, np.float32 if x.dtype.itemsize == 2 else None)


def _rowwise(function, dim, *arrays):
    """`function(*rows, out)` on all rows along `dim`; gives `out` in the first array's dtype."""
    dtype = arrays[0].dtype
    arrays = [wide(a) for a in arrays]
    out = memory.empty(arrays[0].shape, arrays[0].dtype)
    rows = Rows(out.shape, dim)

    def part(i):
        room = rows.room(out, i)
        function(*[rows.take(a, i) for a in arrays], room)
        rows.put(out, i, room)

    parallel.run(part, rows.parts, WORK * out.size)
    return out.astype(dtype, copy=False)


def _exp(x):
    """exp(x) for one float32 or float64 in compiled code, within 1 ULP (tested).

    Results below the smallest normal number are 0, those above 2^127 √2 (2^1023 √2) are infinite. With k the
    nearest integer to x / ln 2 and r = x - k ln 2, exp(x) = 2^k exp(r); |r| <= 0.35 lets Taylor's series end early.
    """
    raise NotImplementedError("_exp: only compiled code can call it")


# No "reassoc" here: it would fold the exact two-step product k * ln 2 into one rounded step.
@overload(_exp, jit_options={"fastmath": {"contract"}, "error_model": "numpy", "forceinline": True})
def _exp_of(x):
    return _exp32 if x == numba.float32 else _exp64


def _exp32(x):
    t = x * LOG2E_32 + SHIFT_32  # SHIFT's last digit is 1 and its low bits are the bias: t rounds to the integer k,
    k = t - SHIFT_32             # and its bits, moved to the exponent's place, are the number 2^k
    power = np.int32(np.float32(t).view(np.int32) << np.int32(23)).view(np.float32)
    r = (x - k * LN2_HIGH_32) - k * LN2_LOW_32
    p = T7_32 * r + T6_32
    p = p * r + T5_32
    p = p * r + T4_32
    p = p * r + T3_32
    p = p * r + T2_32
    p = p * r + ONE_32
    y = (p * r + ONE_32) * power
    y = ZERO_32 if x < BOTTOM_32 else y
    return INF_32 if x > TOP_32 else y


def _exp64(x):
    t = x * LOG2E + SHIFT
    k = t - SHIFT
    power = np.int64(np.float64(t).view(np.int64) << np.int64(52)).view(np.float64)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    p = T13 * r + T12
    p = p * r + T11
    p = p * r + T10
    p = p * r + T9
    p = p * r + T8
    p = p * r + T7
    p = p * r + T6
    p = p * r + T5
    p = p * r + T4
    p = p * r + T3
    p = p * r + 0.5
    p = p * r + 1.0
    y = (p * r + 1.0) * power
    y = 0.0 if x < BOTTOM else y
    return math.inf if x > TOP else y


LOG2E = 1 / math.log(2)
SHIFT = 1.5 * 2**52 + 1023
LN2_HIGH = 0.693147180559890330187045037746429443359375  # the first 42 bits of ln 2: times k it is exact
LN2_LOW = 5.497923018708371e-14  # ln 2 - LN2_HIGH
TOP, BOTTOM = 1023.49 * math.log(2), -1022 * math.log(2)
T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13 = [1 / math.factorial(k) for k in range(3, 14)]

LOG2E_32 = np.float32(LOG2E)
SHIFT_32 = np.float32(1.5 * 2**23 + 127)
LN2_HIGH_32 = np.float32(0.693359375)  # nine bits
LN2_LOW_32 = np.float32(math.log(2) - 0.693359375)
TOP_32, BOTTOM_32 = np.float32(127.49 * math.log(2)), np.float32(-125.9999 * math.log(2))
T2_32, T3_32, T4_32, T5_32, T6_32, T7_32 = [np.float32(1 / math.factorial(k)) for k in range(2, 8)]
ZERO_32, ONE_32, INF_32 = np.float32(0), np.float32(1), np.float32(math.inf)


def _key(v):
    """An integer that sorts as the float `v` does: of a negative float, all bits but the sign are inverted."""
    raise NotImplementedError("_key: only compiled code can call it")


def _unkey(k):
    """The float whose `_key` is `k`."""
    raise NotImplementedError("_unkey: only compiled code can call it")


@overload(_key, jit_options={"forceinline": True})
def _key_of(v):
    return _key32 if v == numba.float32 else _key64


@overload(_unkey, jit_options={"forceinline": True})
def _unkey_of(k):
    return _unkey32 if k == numba.int32 else _unkey64


def _key32(v):
    k = np.float32(v).view(np.int32)
    return np.int32(k ^ ((k >> np.int32(31)) & REST_32))


def _key64(v):
    k = np.float64(v).view(np.int64)
    return k ^ ((k >> np.int64(63)) & REST)


def _unkey32(k):
    return np.int32(k ^ ((k >> np.int32(31)) & REST_32)).view(np.float32)


def _unkey64(k):
    return np.int64(k ^ ((k >> np.int64(63)) & REST)).view(np.float64)


REST, REST_32 = np.int64(2**63 - 1), np.int32(2**31 - 1)  # all bits but the sign


@jit
def _top(x):
    """The maximum of one row. A NaN may be missed: it makes every sum over the row NaN anyway."""
    best = _key(x[0])
    for j in range(x.size):
        k = _key(x[j])
        best = k if k > best else best
    return _unkey(best)


@jit
def _softmax(x, y):
    for i in range(x.shape[0]):
        top = _top(x[i])
        total = x.dtype.type(0)
        for j in range(x.shape[1]):
            e = _exp(x[i, j] - top)
            y[i, j] = e
            total += e
        scale = 1 / total
        for j in range(x.shape[1]):
            y[i, j] *= scale


@jit
def _softmax_dx(dy, y, dx):
    for i in range(y.shape[0]):
        dot = y.dtype.type(0)
        for j in range(y.shape[1]):
            dot += dy[i, j] * y[i, j]
        for j in range(y.shape[1]):
            dx[i, j] = y[i, j] * (dy[i, j] - dot)


@jit
def _total(x, top):
    """The sum of exp(x - top) over one row."""
    total = x.dtype.type(0)
    for j in range(x.size):
        total += _exp(x[j] - top)
    return total


@jit
def _log_softmax(x, y):
    for i in range(x.shape[0]):
        top = _top(x[i])
        log = x.dtype.type(math.log(_total(x[i], top)))
        for j in range(x.shape[1]):
            y[i, j] = (x[i, j] - top) - log


@jit
def _log_softmax_dx(dy, y, dx):
    for i in range(y.shape[0]):
        total = y.dtype.type(0)
        for j in range(y.shape[1]):
            total += dy[i, j]
        for j in range(y.shape[1]):
            dx[i, j] = dy[i, j] - _exp(y[i, j]) * total


@jit
def _logsumexp(x, y):
    for i in range(x.shape[0]):
        top = _top(x[i])
        shift = top if abs(top) < math.inf else x.dtype.type(0)  # inf - inf would be nan
        y[i] = math.log(_total(x[i], shift)) + shift


@jit
def cross_entropy_rows(x, target, weight, ignore_index, smoothing, tops, logs, loss):
    """Cross entropy of each row of logits into `loss`; what its derivative needs into `tops` and `logs`.

    log_softmax(x) = (x - top) - log. Gives the sum of the losses and of the targets' weights (an empty `weight`
    stands for ones), and the row whose target does not exist, or -1.
    """
    classes = x.shape[1]
    total, total_weight = 0.0, 0.0
    for i in range(x.shape[0]):
        t = target[i]
        if t == ignore_index:
            tops[i] = logs[i] = loss[i] = 0
            continue
        if t < 0 or t >= classes:
            return total, total_weight, i
        top = _top(x[i])
        log = x.dtype.type(math.log(_total(x[i], top)))
        w = weight[t] if weight.size else x.dtype.type(1)
        value = w * (log - (x[i, t] - top)) if w != 0 else x.dtype.type(0)
        if smoothing != 0:
            value = (1 - smoothing) * value + smoothing / classes * _smooth(x[i], weight, top, log)
        tops[i], logs[i], loss[i] = top, log, value
        total += loss[i]
        total_weight += w
    return total, total_weight, -1


@jit
def _smooth(x, weight, top, log):
    """The weighted sum of -log_softmax(x) over all classes of one row."""
    total = x.dtype.type(0)
    if weight.size:
        for j in range(x.size):
            total += weight[j] * (log - (x[j] - top))
    else:
        for j in range(x.size):
            total += log - (x[j] - top)
    return total


@jit
def cross_entropy_dx_rows(dloss, x, target, weight, ignore_index, smoothing, tops, logs, dx):
    """The derivative of `cross_entropy_rows`: softmax(x) sum(q) - q with the smoothed, weighted one-hot targets q.

    `dloss` has one number a row. Gives the row whose target does not exist, or -1.
    """
    classes = x.shape[1]
    all_weights = weight.sum() if weight.size else x.dtype.type(classes)
    for i in range(x.shape[0]):
        t = target[i]
        if t == ignore_index:
            dx[i] = 0
            continue
        if t < 0 or t >= classes:
            return i
        w = weight[t] if weight.size else x.dtype.type(1)
        hit = x.dtype.type(dloss[i] * (1 - smoothing) * w)
        each = x.dtype.type(dloss[i] * smoothing / classes)
        scale, top, log = hit + each * all_weights, tops[i], logs[i]
        for j in range(classes):
            dx[i, j] = scale * _exp((x[i, j] - top) - log)
        if smoothing != 0:
            for j in range(classes):
                dx[i, j] -= each * weight[j] if weight.size else each
        dx[i, t] -= hit
    return -1
