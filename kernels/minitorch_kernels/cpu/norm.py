"""Normalisation on the CPU: sums over each group, then one affine pass while its data are still in the cache.

Sums are taken in float64, of distances d from one element of the group, so that a single pass gives both
moments without the cancellation of E[x²] - E[x]²: var = mean(d²) - mean(d)², where mean(d)² is at most m var
for m elements (shifted data; Chan, Golub and LeVeque 1983). The mean that is handed on is rounded to x's type,
which matters where it is large: affine passes measure from the rounded mean, an offset adds what it lost.
"""
from __future__ import annotations

import math

import numpy as np

from .. import memory
from .jit import jit
from .tasks import task

PART = 1 << 16  # elements in one part of the work
RUN = 16  # batch norm adds up planes shorter than this column by column
COLUMNS = 1024  # columns in one part of those at most: their sums stay in the first-level cache
BLOCK = 1024  # elements that are added up in x's own type, which is twice as fast, before float64 takes over
WORK = 4  # operations an element costs, about
U = np.uint64  # an index of this type is not tested for counting from the end: loops vectorise


def batch_norm(x, w, b, eps):
    """See `minitorch_kernels.norm.batch_norm`."""
    y, stats = memory.empty(x.shape, x.dtype), np.empty((4, x.shape[1]), x.dtype)
    w, b = _filled(w, x.shape[1:2], x, 1), _filled(b, x.shape[1:2], x, 0)
    kernel = _planes_norm if _size(x) >= RUN else _columns_norm
    kernel(*_over_channels(x), _matrix(x), w, b, float(eps), _matrix(y), stats, *_scratch(x))
    return y, stats[0], stats[1]


def batch_norm_backward(dy, x, w, eps, stats=None):
    """See `minitorch_kernels.norm.batch_norm_backward`."""
    if stats is None:
        _, mean, var = batch_norm(x, None, None, eps)
        stats = mean, 1 / np.sqrt(var + eps)
    return _batch_backward(dy, x, w, *_centred(*stats, x), True)


def batch_norm_apply(x, w, b, mean, var, eps):
    """See `minitorch_kernels.norm.batch_norm_apply`."""
    centre, shift, rstd = _centred(mean, _reciprocal_root(var, eps), x)
    scale = rstd if w is None else rstd * w
    offset = (-shift * scale if b is None else b - shift * scale).astype(x.dtype)
    return _affine(x, centre, scale.astype(x.dtype), offset, memory.empty(x.shape, x.dtype))


def batch_norm_apply_backward(dy, x, w, mean, var, eps):
    """See `minitorch_kernels.norm.batch_norm_apply_backward`."""
    return _batch_backward(dy, x, w, *_centred(mean, _reciprocal_root(var, eps), x), False)


def layer_norm(x, w, b, ndim, eps):
    """See `minitorch_kernels.norm.layer_norm`."""
    return _layer(x, w, b, ndim, eps, True)


def layer_norm_backward(dy, x, w, ndim, eps, stats=None):
    """See `minitorch_kernels.norm.layer_norm_backward`."""
    return _layer_backward(dy, x, w, ndim, *(stats or _layer(x, None, None, ndim, eps, True)[1:]), True)


def rms_norm(x, w, ndim, eps):
    """See `minitorch_kernels.norm.rms_norm`."""
    y, _, rstd = _layer(x, w, None, ndim, eps, False)
    return y, rstd


def rms_norm_backward(dy, x, w, ndim, eps, stats=None):
    """See `minitorch_kernels.norm.rms_norm_backward`."""
    rstd = rms_norm(x, None, ndim, eps)[1] if stats is None else stats
    return _layer_backward(dy, x, w, ndim, np.zeros_like(rstd), rstd, False)[:2]


def group_norm(x, w, b, groups, eps):
    """See `minitorch_kernels.norm.group_norm`."""
    y, stats = memory.empty(x.shape, x.dtype), np.empty((2, len(x), groups), x.dtype)
    w, b = [_filled(a, (groups, x.shape[1] // groups), x, value) for a, value in ((w, 1), (b, 0))]
    x2 = _grouped(x, groups)
    _group_norm(*_over_rows(x2), x2, w, b, float(eps), _grouped(y, groups), stats.reshape(2, len(x2)))
    return y, stats[0], stats[1]


def group_norm_backward(dy, x, w, groups, eps, stats=None):
    """See `minitorch_kernels.norm.group_norm_backward`."""
    stats = stats or group_norm(x, None, None, groups, eps)[1:]
    mean, rstd = [np.ascontiguousarray(a).reshape(-1) for a in stats]
    dx, w = memory.empty(x.shape, x.dtype), _filled(w, (groups, x.shape[1] // groups), x, 1)
    x2, dy2, dx2 = [_grouped(a, groups) for a in (x, dy, dx)]
    sums = np.empty((2, len(x2), w.shape[1]))  # a row a sample and group
    _group_norm_dx(*_over_rows(x2), dy2, x2, w, mean, rstd, dx2, sums)
    dw, db = sums.reshape(2, *x.shape[:2]).sum(axis=1).astype(x.dtype)
    return dx, dw, db


def _batch_backward(dy, x, w, centre, shift, rstd, training):
    dx, sums = memory.empty(x.shape, x.dtype), np.empty((5, x.shape[1]), x.dtype)
    w = _filled(w, x.shape[1:2], x, 1)
    kernel = _planes_norm_dx if _size(x) >= RUN else _columns_norm_dx
    kernel(*_over_channels(x), _matrix(dy), _matrix(x), w, centre, shift, rstd, training, _matrix(dx), sums,
           *_scratch(x))
    if not training:  # the statistics are constants, and so x has no part in dx
        _affine(dy, np.zeros_like(centre), sums[2], np.zeros_like(centre), dx)
    return dx, sums[0], sums[1]


def _affine(x, centre, scale, offset, y):
    """y = (x - centre) scale + offset, with a number of each for every channel."""
    parts, work, step = _over_channels(x)
    size = _size(x)
    if size >= RUN:
        _planes_affine(parts, work, step, _matrix(x), centre, scale, offset, _matrix(y))
    else:
        numbers = [np.repeat(a, size) for a in (centre, scale, offset)]
        _columns_affine(parts, work, step * size, _matrix(x), *numbers, _matrix(y))
    return y


def _layer(x, w, b, ndim, eps, centred):
    y, outer = memory.empty(x.shape, x.dtype), x.shape[:x.ndim - ndim]
    stats, x2 = np.empty((2, *outer, *(1,) * ndim), x.dtype), _rows(x, ndim)
    w, b = _filled(w, (x2.shape[1],), x, 1), _filled(b, (x2.shape[1],), x, 0)
    _layer_norm(*_over_rows(x2), x2, w, b, float(eps), centred, _rows(y, ndim), stats.reshape(2, len(x2)))
    return y, stats[0], stats[1]


def _layer_backward(dy, x, w, ndim, mean, rstd, centred):
    dx, inner = memory.empty(x.shape, x.dtype), x.shape[x.ndim - ndim:]
    dy2, x2, dx2 = _rows(dy, ndim), _rows(x, ndim), _rows(dx, ndim)
    mean, rstd = np.ascontiguousarray(mean).reshape(-1), np.ascontiguousarray(rstd).reshape(-1)
    w = _filled(w, (x2.shape[1],), x, 1)
    cut = _over_rows(x2)
    sums = np.zeros((2, cut[0], x2.shape[1]))  # a row a part
    _layer_norm_dx(*cut, dy2, x2, w, mean, rstd, centred, dx2, sums)
    dw, db = sums.sum(axis=1).astype(x.dtype).reshape(2, *inner)
    return dx, dw, db


def _over_channels(x):
    """Parts, operations, and the channels of a part."""
    (n, c), size = x.shape[:2], _size(x)
    columns = min(COLUMNS, max(128, PART // 4 // n))
    step = max(1, columns // size if size < RUN else PART // (n * size))
    return -(-c // step), WORK * x.size, step


def _over_rows(rows):
    """Parts, operations, and the rows of a part."""
    step = max(1, PART // 2 // rows.shape[1])
    return -(-len(rows) // step), WORK * rows.size, step


def _matrix(x):
    """x as (N, C S): a plane of S elements for each channel."""
    return np.ascontiguousarray(x).reshape(len(x), x.size // len(x))


def _size(x):
    """The elements of a channel's plane."""
    return x.size // (x.shape[0] * x.shape[1])


def _scratch(x):
    """For each column of short planes, three sums and four numbers of x's type."""
    if _size(x) >= RUN:
        return ()
    columns = x.size // len(x)
    return np.zeros((3, columns)), np.empty((4, columns), x.dtype)


def _rows(x, ndim):
    size = math.prod(x.shape[x.ndim - ndim:])
    return np.ascontiguousarray(x).reshape(x.size // size, size)


def _grouped(x, groups):
    """x with a row for each sample and group, the group's channels one after the other."""
    return np.ascontiguousarray(x).reshape(len(x) * groups, x.size // (len(x) * groups))


def _filled(a, shape, x, value):
    """`a` in `shape`, or an array of `value` where it is None."""
    return np.full(shape, value, x.dtype) if a is None else np.ascontiguousarray(a).reshape(shape)


def _centred(mean, rstd, x):
    """The mean in x's type, what it lacks of the given one, and rstd, both in float64."""
    mean = np.asarray(mean, np.float64)
    centre = mean.astype(x.dtype)
    return centre, mean - centre, np.asarray(rstd, np.float64)


def _reciprocal_root(var, eps):
    return 1 / np.sqrt(np.asarray(var, np.float64) + eps)


@task
def _planes_norm(part, step, x, w, b, eps, y, stats):
    size, m = x.shape[1] // w.size, x.size // w.size
    low, high = part * step, min((part + 1) * step, w.size)
    for c in range(low, high):
        origin, total, square = np.float64(x[0, c * size]), 0.0, 0.0
        for i in range(x.shape[0]):
            t, q = 0.0, 0.0
            for j in range(c * size, (c + 1) * size):
                d = x[U(i), U(j)] - origin
                t += d
                q += d * d
            total += t
            square += q
        _set_affine(c, origin, total / m, square / m, w, b, eps, stats)
    for i in range(x.shape[0]):
        for c in range(low, high):
            mean, scale, offset = stats[0, c], stats[2, c], stats[3, c]
            for j in range(c * size, (c + 1) * size):
                y[U(i), U(j)] = (x[U(i), U(j)] - mean) * scale + offset


@task
def _columns_norm(part, step, x, w, b, eps, y, stats, sums, numbers):
    size, m = x.shape[1] // w.size, x.size // w.size
    first, last = part * step * size, min((part + 1) * step, w.size) * size
    for j in range(first, last):
        numbers[0, j] = x[0, j // size * size]
    for i in range(x.shape[0]):
        for j in range(first, last):
            d = np.float64(x[U(i), U(j)]) - numbers[0, U(j)]
            sums[0, U(j)] += d
            sums[1, U(j)] += d * d
    for start in range(first, last, size):
        c, total, square = start // size, 0.0, 0.0
        for j in range(start, start + size):
            total, square = total + sums[0, j], square + sums[1, j]
        _set_affine(c, np.float64(numbers[0, start]), total / m, square / m, w, b, eps, stats)
        for j in range(start, start + size):
            numbers[1, j], numbers[2, j], numbers[3, j] = stats[0, c], stats[2, c], stats[3, c]
    for i in range(x.shape[0]):
        for j in range(first, last):
            y[U(i), U(j)] = (x[U(i), U(j)] - numbers[1, U(j)]) * numbers[2, U(j)] + numbers[3, U(j)]


@task
def _planes_affine(part, step, x, centre, scale, offset, y):
    size = x.shape[1] // centre.size
    for i in range(x.shape[0]):
        for c in range(part * step, min((part + 1) * step, centre.size)):
            z, a, b = centre[c], scale[c], offset[c]
            for j in range(c * size, (c + 1) * size):
                y[U(i), U(j)] = (x[U(i), U(j)] - z) * a + b


@task
def _columns_affine(part, step, x, centre, scale, offset, y):
    for i in range(x.shape[0]):
        for j in range(part * step, min((part + 1) * step, centre.size)):
            y[U(i), U(j)] = (x[U(i), U(j)] - centre[U(j)]) * scale[U(j)] + offset[U(j)]


@task
def _planes_norm_dx(part, step, dy, x, w, centre, shift, rstd, training, dx, sums):
    size, low, high = x.shape[1] // w.size, part * step, min((part + 1) * step, w.size)
    for c in range(low, high):
        total, product, apart = 0.0, 0.0, 0.0
        for i in range(x.shape[0]):
            t, p, a = _plane_products(dy, x, centre[c], i, c * size, size)
            total, product, apart = total + t, product + p, apart + a
        _set_gradients(c, total, product, apart, x.size // w.size, w, shift, rstd, training, sums)
    if training:
        for i in range(x.shape[0]):
            for c in range(low, high):
                z, scale, slope, offset = centre[c], sums[2, c], sums[3, c], sums[4, c]
                for j in range(c * size, (c + 1) * size):
                    dx[U(i), U(j)] = dy[U(i), U(j)] * scale + (x[U(i), U(j)] - z) * slope + offset


@task
def _columns_norm_dx(part, step, dy, x, w, centre, shift, rstd, training, dx, sums, found, numbers):
    size = x.shape[1] // w.size
    first, last = part * step * size, min((part + 1) * step, w.size) * size
    for j in range(first, last):
        numbers[0, j] = centre[j // size]
    for i in range(x.shape[0]):
        for j in range(first, last):
            g, d = np.float64(dy[U(i), U(j)]), np.float64(x[U(i), U(j)] - numbers[0, U(j)])
            found[0, U(j)] += g
            found[1, U(j)] += g * d
            found[2, U(j)] += d
    for start in range(first, last, size):
        c, total, product, apart = start // size, 0.0, 0.0, 0.0
        for j in range(start, start + size):
            total, product, apart = total + found[0, j], product + found[1, j], apart + found[2, j]
        _set_gradients(c, total, product, apart, x.size // w.size, w, shift, rstd, training, sums)
        for j in range(start, start + size):
            numbers[1, j], numbers[2, j], numbers[3, j] = sums[2, c], sums[3, c], sums[4, c]
    if training:
        for i in range(x.shape[0]):
            for j in range(first, last):
                d = x[U(i), U(j)] - numbers[0, U(j)]
                dx[U(i), U(j)] = dy[U(i), U(j)] * numbers[1, U(j)] + d * numbers[2, U(j)] + numbers[3, U(j)]


@jit
def _set_affine(c, origin, off, square, w, b, eps, stats):
    """Mean, variance, scale and offset of channel c, from the means of d = x - origin and of d²."""
    exact, variance = origin + off, square - off * off
    stats[0, c], stats[1, c], stats[2, c] = exact, variance, w[c] / math.sqrt(variance + eps)
    stats[3, c] = b[c] - (exact - stats[0, c]) * stats[2, c]


@jit
def _set_gradients(c, total, product, apart, m, w, shift, rstd, training, sums):
    """dw, db, scale, slope and offset of channel c, from its sums of dy, of dy d and of d = x - centre."""
    off = apart / m if training else shift[c]
    product -= off * total
    sums[0, c], sums[1, c], sums[2, c] = product * rstd[c], total, w[c] * rstd[c]
    sums[3, c], sums[4, c] = _coefficients(w[c] * rstd[c], rstd[c], total / m, product / m, off)


@task
def _layer_norm(part, step, x, w, b, eps, centred, y, stats):
    mean, rstd = stats[0], stats[1]
    for r in range(part * step, min((part + 1) * step, x.shape[0])):
        exact, variance = _row_moments(x, r, centred)
        scale = 1 / math.sqrt(variance + eps)
        mean[r], rstd[r] = exact, scale
        centre, factor, offset = mean[r], rstd[r], x.dtype.type((mean[r] - exact) * scale)
        for j in range(x.shape[1]):
            y[U(r), U(j)] = ((x[U(r), U(j)] - centre) * factor + offset) * w[j] + b[j]


@task
def _layer_norm_dx(part, step, dy, x, w, mean, rstd, centred, dx, sums):
    dw, db, size = sums[0, part], sums[1, part], x.shape[1]
    dw_block, db_block = np.zeros(size, x.dtype), np.zeros(size, x.dtype)  # so few rows that x's type does
    last = min((part + 1) * step, x.shape[0])
    for r in range(part * step, last):
        centre, scale = mean[r], rstd[r]
        total, product, apart = _row_products(dy, x, w, r, centre, scale)
        if not centred:
            total = apart = 0.0
        mean_g, off = total / size, x.dtype.type(apart / size)
        slope = x.dtype.type(-scale * (product / size - mean_g * off))
        offset = x.dtype.type(-scale * mean_g - slope * off)
        for j in range(size):
            g, xhat = dy[U(r), U(j)], (x[U(r), U(j)] - centre) * scale
            dx[U(r), U(j)] = g * w[j] * scale + xhat * slope + offset
            dw_block[j] += g * (xhat - off)
            db_block[j] += g
        if r % 16 == 15 or r == last - 1:
            for j in range(size):
                dw[j] += dw_block[j]
                db[j] += db_block[j]
            dw_block[:] = 0
            db_block[:] = 0


@jit
def _row_moments(x, r, centred):
    """Mean and variance of row r, or (0, mean square).

    The sums of distances from the first element are taken again, from near the mean, where that lies so far off that
    a variance from sums of x's own type would lose digits.
    """
    if not centred:
        return 0.0, _row_sums(x, r, x.dtype.type(0))[1] / x.shape[1]
    mean, variance = _moments(x[r, 0], *_row_sums(x, r, x[r, 0]), x.shape[1])
    if (mean - x[r, 0]) ** 2 > 8 * variance:
        origin = x.dtype.type(mean)
        mean, variance = _moments(origin, *_row_sums(x, r, origin), x.shape[1])
    return mean, variance


@jit
def _row_sums(x, r, origin):
    """The sums of d = x - origin and of d² over row r."""
    total, square, size = 0.0, 0.0, x.shape[1]
    for start in range(0, size, BLOCK):
        t, q = x.dtype.type(0), x.dtype.type(0)
        for j in range(start, min(start + BLOCK, size)):
            d = x[U(r), U(j)] - origin
            t += d
            q += d * d
        total, square = total + t, square + q
    return total, square


@jit
def _row_products(dy, x, w, r, centre, scale):
    """The sums of g = dy w, of g xhat and of xhat over row r."""
    total, product, apart = 0.0, 0.0, 0.0
    for start in range(0, w.size, BLOCK):
        t, p, a = x.dtype.type(0), x.dtype.type(0), x.dtype.type(0)
        for j in range(start, min(start + BLOCK, w.size)):
            g, xhat = dy[U(r), U(j)] * w[U(j)], (x[U(r), U(j)] - centre) * scale
            t += g
            p += g * xhat
            a += xhat
        total, product, apart = total + t, product + p, apart + a
    return total, product, apart


@task
def _group_norm(part, step, x, w, b, eps, y, stats):
    mean, rstd = stats[0], stats[1]
    groups, channels = w.shape
    size = x.shape[1] // channels
    for r in range(part * step, min((part + 1) * step, x.shape[0])):
        exact, variance = _row_moments(x, r, True)
        mean[r], rstd[r] = exact, 1 / math.sqrt(variance + eps)
        centre, g = mean[r], r % groups
        for c in range(channels):
            scale = w[g, c] * rstd[r]
            offset = x.dtype.type(b[g, c] - (exact - centre) * scale)
            for j in range(c * size, (c + 1) * size):
                y[U(r), U(j)] = (x[U(r), U(j)] - centre) * scale + offset


@task
def _group_norm_dx(part, step, dy, x, w, mean, rstd, dx, sums):
    groups, channels = w.shape
    dw, db, size, m = sums[0], sums[1], x.shape[1] // channels, x.shape[1]
    for r in range(part * step, min((part + 1) * step, x.shape[0])):
        g, centre = r % groups, mean[r]
        total, product, apart = 0.0, 0.0, 0.0
        for c in range(channels):
            db[r, c], dw[r, c], a = _plane_products(dy, x, centre, r, c * size, size)
            total, product, apart = total + w[g, c] * db[r, c], product + w[g, c] * dw[r, c], apart + a
        off = apart / m
        slope, offset = _coefficients(rstd[r], rstd[r], total / m, product / m - off * total / m, off)
        slope, offset = x.dtype.type(slope), x.dtype.type(offset)
        for c in range(channels):
            dw[r, c] = (dw[r, c] - off * db[r, c]) * rstd[r]
            scale = w[g, c] * rstd[r]
            for j in range(c * size, (c + 1) * size):
                dx[U(r), U(j)] = dy[U(r), U(j)] * scale + (x[U(r), U(j)] - centre) * slope + offset


@jit
def _plane_products(dy, x, centre, i, first, size):
    """The sums of dy, of dy d and of d = x - centre, which tells how far that is off the mean, over a plane."""
    total, product, apart = 0.0, 0.0, 0.0
    for start in range(first, first + size, BLOCK):
        t, p, a = x.dtype.type(0), x.dtype.type(0), x.dtype.type(0)
        for j in range(start, min(start + BLOCK, first + size)):
            g, d = dy[U(i), U(j)], x[U(i), U(j)] - centre
            t += g
            p += g * d
            a += d
        total, product, apart = total + t, product + p, apart + a
    return total, product, apart


@jit
def _moments(origin, total, square, m):
    """Mean and variance from the sums of m distances from `origin` and of their squares."""
    off = total / m
    return origin + off, square / m - off * off


@jit
def _coefficients(scale, rstd, mean_g, mean_gd, off):
    """slope and offset of dx = g scale + d slope + offset, the projection of g; `off` is the mean of d."""
    slope = -scale * rstd * rstd * mean_gd
    return slope, -scale * mean_g - slope * off
