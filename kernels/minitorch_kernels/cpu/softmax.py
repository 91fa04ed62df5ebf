"""Softmax and cross entropy on the CPU: loops over contiguous rows, with an exponential that vectorises.

Numba has no vector library: `math.exp` in a loop is one call a number. `_exp` is a polynomial instead, and `_top`
finds the maximum by comparing integers, because LLVM does not vectorise a maximum of floats that may be NaN.
"""
from __future__ import annotations

import math

import numba
import numpy as np
from numba.extending import overload

from .. import memory
from ..softmax import logsumexp as reference_of_logsumexp
from .jit import exactly, jit
from .tasks import task
from .widest import widest

PART = 1 << 15  # numbers in a part: two such arrays fit the second-level cache
WORK = 16  # operations a number costs, about


def softmax(x, dim):
    return _apply(_softmax_rows, _softmax_columns, dim, x)


def softmax_dx(dy, y, dim):
    return _apply(_softmax_dx_rows, _softmax_dx_columns, dim, dy, y)


def log_softmax(x, dim):
    return _apply(_log_softmax_rows, _log_softmax_columns, dim, x)


def log_softmax_dx(dy, y, dim):
    return _apply(_log_softmax_dx_rows, _log_softmax_dx_columns, dim, dy, y)


def logsumexp(x, dim, keepdim):
    dim = dim if isinstance(dim, int) else dim[0]
    top, log = normalisers(wide(x), dim)
    if np.isinf(top).any():  # -inf - -inf: such rows need a case of their own, which the reference has
        return reference_of_logsumexp(np, x, dim, keepdim)
    shape = list(x.shape)
    shape[dim] = 1
    y = (top + log).reshape(shape).astype(x.dtype, copy=False)
    return y if keepdim else y.squeeze(dim)


def normalisers(x, dim):
    """`top` and `log`, flat, with log_softmax(x) = (x - top) - log, for each row of a contiguous `x` along `dim`."""
    shape, cut = _cut(x.shape, dim)
    x = x.reshape(shape)
    top, log = np.empty((2, *shape[:1], *shape[2:]), x.dtype)
    (_normalisers_rows if x.ndim == 2 else _normalisers_columns)(*cut, x, top, log)
    return top.ravel(), log.ravel()


def scaled_softmax(x, top, log, scale, dim):
    """softmax(x) along `dim` from its `normalisers`, each row times its number in `scale`."""
    shape, cut = _cut(x.shape, dim)
    y = memory.empty(x.shape, x.dtype)
    arrays = [x.reshape(shape), *[a.reshape(*shape[:1], *shape[2:]) for a in (top, log, scale)], y.reshape(shape)]
    (_scaled_softmax_rows if len(shape) == 2 else _scaled_softmax_columns)(*cut, *arrays)
    return y


def wide(x):
    """`x` contiguous, and in float32 where it is narrower."""
    return np.ascontiguousarray(x, np.float32 if x.dtype.itemsize == 2 else None)


def _apply(rows, columns, dim, *arrays):
    """Run `rows(..., *arrays, out)`, or `columns` where `dim` is not the last; gives `out` in the arrays' dtype."""
    dtype = arrays[0].dtype
    arrays = [wide(a) for a in arrays]
    out = memory.empty(arrays[0].shape, arrays[0].dtype)
    shape, cut = _cut(out.shape, dim)
    (rows if len(shape) == 2 else columns)(*cut, *[a.reshape(shape) for a in (*arrays, out)])
    return out if out.dtype == dtype else out.astype(dtype)


def _cut(shape, dim):
    """The shape (outer, n) or (outer, n, inner) that puts `dim` second; parts, operations, and what a part takes.

    A part takes `step` of outer, and `width` of inner where that exists: vectors then run along inner, several rows
    at a time.
    """
    n, size = shape[dim], math.prod(shape)
    inner = 1 if dim in (-1, len(shape) - 1) else math.prod(shape[dim + 1:])
    outer = size // (n * inner)
    step = max(1, PART // (n * inner))
    if inner == 1:
        return (outer, n), (-(-outer // step), WORK * size, step)
    width = max(128, PART // n)
    return (outer, n, inner), (-(-outer // step) * -(-inner // width), WORK * size, step, width)


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
    t = x * LOG2E_32 + SHIFT_32  # so large a sum is rounded to a whole number: k, besides SHIFT;
    k = t - SHIFT_32
    power = np.int32(np.float32(t).view(np.int32) << np.int32(23)).view(np.float32)  # its low bits as exponent: 2^k
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
SHIFT = 1.5 * 2**52 + 1023  # the last digit before the point is the last bit; 1023 is the exponent's bias
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


@exactly
def _log_p(x, top, log):
    return (x - top) - log


@jit
def _top(x):
    """The maximum of one row. A NaN may be missed: it makes every sum over the row NaN anyway."""
    widest()
    best = _key(x[0])
    for j in range(x.size):
        k = _key(x[j])
        best = k if k > best else best
    return _unkey(best)


@jit
def _sum(x):
    widest()
    total = x.dtype.type(0)
    for j in range(x.size):
        total += x[j]
    return total


@jit
def _total(x, top):
    """The sum of exp(x - top) over one row."""
    widest()
    total = x.dtype.type(0)
    for j in range(x.size):
        total += _exp(x[j] - top)
    return total


@task
def _softmax_rows(part, step, x, y):
    widest()
    for i in range(part * step, min((part + 1) * step, x.shape[0])):
        top = _top(x[i])
        for j in range(x.shape[1]):
            y[i, j] = _exp(x[i, j] - top)
        scale = 1 / _sum(y[i])  # a loop that writes as well would sum in another order where x and y lie close
        for j in range(x.shape[1]):
            y[i, j] *= scale


@task
def _softmax_dx_rows(part, step, dy, y, dx):
    widest()
    for i in range(part * step, min((part + 1) * step, dy.shape[0])):
        dot = y.dtype.type(0)
        for j in range(y.shape[1]):
            dot += dy[i, j] * y[i, j]
        for j in range(y.shape[1]):
            dx[i, j] = y[i, j] * (dy[i, j] - dot)


@task
def _log_softmax_rows(part, step, x, y):
    widest()
    for i in range(part * step, min((part + 1) * step, x.shape[0])):
        top = _top(x[i])
        log = x.dtype.type(math.log(_total(x[i], top)))
        for j in range(x.shape[1]):
            y[i, j] = _log_p(x[i, j], top, log)


@task
def _log_softmax_dx_rows(part, step, dy, y, dx):
    widest()
    for i in range(part * step, min((part + 1) * step, dy.shape[0])):
        total = y.dtype.type(0)
        for j in range(y.shape[1]):
            total += dy[i, j]
        for j in range(y.shape[1]):
            dx[i, j] = dy[i, j] - _exp(y[i, j]) * total


@task
def _normalisers_rows(part, step, x, top, log):
    widest()
    for i in range(part * step, min((part + 1) * step, x.shape[0])):
        top[i] = _top(x[i])
        log[i] = math.log(_total(x[i], top[i]))


@task
def _scaled_softmax_rows(part, step, x, top, log, scale, y):
    widest()
    for i in range(part * step, min((part + 1) * step, x.shape[0])):
        for j in range(x.shape[1]):
            y[i, j] = scale[i] * _exp(_log_p(x[i, j], top[i], log[i]))


@jit
def _block(part, step, width, x):
    """What a part takes of outer and of inner."""
    across = (x.shape[2] + width - 1) // width
    first, start = part // across * step, part % across * width
    return first, min(first + step, x.shape[0]), start, min(start + width, x.shape[2])


@jit
def _tops(x, i, start, stop):
    """The maxima of the columns `start` to `stop` of block `i`. A NaN may be missed, as by `_top`."""
    widest()
    top = x[i, 0, start:stop].copy()
    for c in range(1, x.shape[1]):
        row = x[i, c, start:stop]
        for j in range(top.size):
            top[j] = row[j] if row[j] > top[j] else top[j]
    return top


@jit
def _totals(x, i, start, stop, top):
    """The sums of exp(x - top) over the same columns."""
    widest()
    total = np.zeros_like(top)
    for c in range(x.shape[1]):
        row = x[i, c, start:stop]
        for j in range(top.size):
            total[j] += _exp(row[j] - top[j])
    return total


@task
def _softmax_columns(part, step, width, x, y):
    widest()
    first, last, start, stop = _block(part, step, width, x)
    for i in range(first, last):
        top = _tops(x, i, start, stop)
        total = np.zeros_like(top)
        for c in range(x.shape[1]):
            row, out = x[i, c, start:stop], y[i, c, start:stop]
            for j in range(top.size):
                out[j] = _exp(row[j] - top[j])
                total[j] += out[j]
        for c in range(x.shape[1]):
            out = y[i, c, start:stop]
            for j in range(top.size):
                out[j] /= total[j]


@task
def _softmax_dx_columns(part, step, width, dy, y, dx):
    widest()
    first, last, start, stop = _block(part, step, width, dy)
    for i in range(first, last):
        dot = np.zeros(stop - start, y.dtype)
        for c in range(y.shape[1]):
            d, row = dy[i, c, start:stop], y[i, c, start:stop]
            for j in range(dot.size):
                dot[j] += d[j] * row[j]
        for c in range(y.shape[1]):
            d, row, out = dy[i, c, start:stop], y[i, c, start:stop], dx[i, c, start:stop]
            for j in range(dot.size):
                out[j] = row[j] * (d[j] - dot[j])


@task
def _log_softmax_columns(part, step, width, x, y):
    widest()
    first, last, start, stop = _block(part, step, width, x)
    for i in range(first, last):
        top = _tops(x, i, start, stop)
        log = np.log(_totals(x, i, start, stop, top))
        for c in range(x.shape[1]):
            row, out = x[i, c, start:stop], y[i, c, start:stop]
            for j in range(top.size):
                out[j] = _log_p(row[j], top[j], log[j])


@task
def _log_softmax_dx_columns(part, step, width, dy, y, dx):
    widest()
    first, last, start, stop = _block(part, step, width, dy)
    for i in range(first, last):
        total = np.zeros(stop - start, y.dtype)
        for c in range(y.shape[1]):
            d = dy[i, c, start:stop]
            for j in range(total.size):
                total[j] += d[j]
        for c in range(y.shape[1]):
            d, row, out = dy[i, c, start:stop], y[i, c, start:stop], dx[i, c, start:stop]
            for j in range(total.size):
                out[j] = d[j] - _exp(row[j]) * total[j]


@task
def _normalisers_columns(part, step, width, x, top, log):
    widest()
    first, last, start, stop = _block(part, step, width, x)
    for i in range(first, last):
        tops = _tops(x, i, start, stop)
        top[i, start:stop] = tops
        log[i, start:stop] = np.log(_totals(x, i, start, stop, tops))


@task
def _scaled_softmax_columns(part, step, width, x, top, log, scale, y):
    widest()
    first, last, start, stop = _block(part, step, width, x)
    for i in range(first, last):
        tops, logs, scales = top[i, start:stop], log[i, start:stop], scale[i, start:stop]
        for c in range(x.shape[1]):
            row, out = x[i, c, start:stop], y[i, c, start:stop]
            for j in range(row.size):
                out[j] = scales[j] * _exp(_log_p(row[j], tops[j], logs[j]))
