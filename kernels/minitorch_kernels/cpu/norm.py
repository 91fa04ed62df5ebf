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
RUN = 128  # batch norm takes planes shorter than this as columns of the (N, C S) matrix
COLUMNS = 1024  # columns in one part at most: their sums stay in the first-level cache
BLOCK = 1024  # elements summed in the type of x
WORK = 4  # operations an element costs, about
U = np.uint64  # an index of this type is not tested for counting from the end: loops vectorise


def batch_norm(x, w, b, eps):
    """See `minitorch_kernels.norm.batch_norm`."""
    y, stats = memory.empty(x.shape, x.dtype), np.empty((4, x.shape[1]), x.dtype)
    w, b = _filled(w, x.shape[1:2], x, 1), _filled(b, x.shape[1:2], x, 0)
    _batch_norm(*_over_channels(x), _planes(x), w, b, float(eps), _planes(y), stats)
    return y, stats[0], stats[1]


def batch_norm_backward(dy, x, w, eps, stats=None):
    """See `minitorch_kernels.norm.batch_norm_backward`."""
    if stats is None:
        _, mean, var = batch_norm(x, None, None, eps)
        stats = mean, 1 / np.sqrt(var + eps)
    return _batch_backward(dy, x, w, *_centred(*stats, x), True)


def batch_norm_apply(x, w, b, mean, var, eps):
    """See `minitorch_kernels.norm.batch_norm_apply`."""
    y, (centre, shift, rstd) = memory.empty(x.shape, x.dtype), _centred(mean, _reciprocal_root(var, eps), x)
    scale = rstd if w is None else rstd * w
    offset = (-shift * scale if b is None else b - shift * scale).astype(x.dtype)
    _batch_apply(*_over_channels(x), _planes(x), centre, scale.astype(x.dtype), offset, _planes(y))
    return y


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
    x3 = _grouped(x, groups)
    _group_norm(*_over_rows(x3), x3, w, b, float(eps), _grouped(y, groups), stats.reshape(2, len(x3)))
    return y, stats[0], stats[1]


def group_norm_backward(dy, x, w, groups, eps, stats=None):
    """See `minitorch_kernels.norm.group_norm_backward`."""
    stats = stats or group_norm(x, None, None, groups, eps)[1:]
    mean, rstd = [np.ascontiguousarray(a).reshape(-1) for a in stats]
    dx, w = memory.empty(x.shape, x.dtype), _filled(w, (groups, x.shape[1] // groups), x, 1)
    x3, dy3, dx3 = [_grouped(a, groups) for a in (x, dy, dx)]
    sums = np.empty((2, *x3.shape[:2]))  # a row a sample and group
    _group_norm_dx(*_over_rows(x3), dy3, x3, w, mean, rstd, dx3, sums)
    dw, db = sums.reshape(2, *x.shape[:2]).sum(axis=1).astype(x.dtype)
    return dx, dw, db


def _batch_backward(dy, x, w, centre, shift, rstd, training):
    dx, sums = memory.empty(x.shape, x.dtype), np.empty((5, x.shape[1]), x.dtype)
    w = _filled(w, x.shape[1:2], x, 1)
    _batch_norm_dx(*_over_channels(x), _planes(dy), _planes(x), w, centre, shift, rstd, training, _planes(dx), sums)
    return dx, sums[0], sums[1]


def _layer(x, w, b, ndim, eps, centred):
    y, outer, inner = memory.empty(x.shape, x.dtype), x.shape[:x.ndim - ndim], x.shape[x.ndim - ndim:]
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
    n, c = x.shape[:2]
    size = x.size // (n * c)
    columns = min(COLUMNS, max(RUN, PART // 4 // n))
    step = max(1, columns // size if size < RUN else PART // (n * size))
    return -(-c // step), WORK * x.size, step


def _over_rows(rows):
    """Parts, operations, and the rows of a part."""
    step = max(1, PART // 2 // math.prod(rows.shape[1:]))
    return -(-len(rows) // step), WORK * rows.size, step


def _planes(x):
    """x as (N, C, S)."""
    n, c = x.shape[:2]
    return np.ascontiguousarray(x).reshape(n, c, x.size // (n * c))


def _rows(x, ndim):
    size = math.prod(x.shape[x.ndim - ndim:])
    return np.ascontiguousarray(x).reshape(x.size // size, size)


def _grouped(x, groups):
    """x as (N groups, channels of a group, elements of a channel)."""
    n, c = x.shape[:2]
    return np.ascontiguousarray(x).reshape(n * groups, c // groups, x.size // (n * c))


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
def _batch_norm(part, step, x, w, b, eps, y, stats):
    low, high = part * step, min((part + 1) * step, x.shape[1])
    mean, var, scale, offset = stats[0], stats[1], stats[2], stats[3]
    if x.shape[2] < RUN:
        _column_moments(_matrix(x), w, b, eps, mean, var, scale, offset, low, high)
        _column_affine(_matrix(x), _matrix(y), mean, scale, offset, low, high)
    else:
        _plane_moments(x, w, b, eps, mean, var, scale, offset, low, high)
        _plane_affine(x, y, mean, scale, offset, low, high)


@task
def _batch_apply(part, step, x, centre, scale, offset, y):
    low, high = part * step, min((part + 1) * step, x.shape[1])
    if x.shape[2] < RUN:
        _column_affine(_matrix(x), _matrix(y), centre, scale, offset, low, high)
    else:
        _plane_affine(x, y, centre, scale, offset, low, high)


@task
def _batch_norm_dx(part, step, dy, x, w, centre, shift, rstd, training, dx, sums):
    low, high = part * step, min((part + 1) * step, x.shape[1])
    dw, db, scale, slope, offset = sums[0], sums[1], sums[2], sums[3], sums[4]
    if x.shape[2] < RUN:
        dy2, x2, dx2 = _matrix(dy), _matrix(x), _matrix(dx)
        _column_products(dy2, x2, w, centre, shift, rstd, training, dw, db, scale, slope, offset, low, high)
        if training:
            _column_combine(dy2, x2, dx2, centre, scale, slope, offset, low, high)
        else:
            _column_affine(dy2, dx2, np.zeros_like(scale), scale, np.zeros_like(scale), low, high)
    else:
        _plane_products(dy, x, w, centre, shift, rstd, training, dw, db, scale, slope, offset, low, high)
        if training:
            _plane_combine(dy, x, dx, centre, scale, slope, offset, low, high)
        else:
            _plane_affine(dy, dx, np.zeros_like(scale), scale, np.zeros_like(scale), low, high)


@jit
def _matrix(x):
    return x.reshape(x.shape[0], x.shape[1] * x.shape[2])


@jit
def _plane_moments(x, w, b, eps, mean, var, scale, offset, low, high):
    n, size = x.shape[0], x.shape[2]
    for c in range(low, high):
        origin, total, square = np.float64(x[0, c, 0]), 0.0, 0.0
        for i in range(n):
            t, q = _sums(x[i, c], origin)
            total, square = total + t, square + q
        exact, variance = _moments(origin, total, square, n * size)
        mean[c], var[c], scale[c] = exact, variance, w[c] / math.sqrt(variance + eps)
        offset[c] = b[c] - (exact - mean[c]) * scale[c]


@jit
def _column_moments(x, w, b, eps, mean, var, scale, offset, low, high):
    n, size = x.shape[0], x.shape[1] // mean.size
    first, width = low * size, (high - low) * size
    origins, totals, squares = np.empty(width), np.zeros(width), np.zeros(width)
    for j in range(width):
        origins[j] = x[0, first + j // size * size]
    for i in range(n):
        for j in range(width):
            d = x[U(i), U(first + j)] - origins[j]
            totals[j] += d
            squares[j] += d * d
    for c in range(low, high):
        total, square, j = 0.0, 0.0, (c - low) * size
        for k in range(j, j + size):
            total, square = total + totals[k], square + squares[k]
        exact, variance = _moments(origins[j], total, square, n * size)
        mean[c], var[c], scale[c] = exact, variance, w[c] / math.sqrt(variance + eps)
        offset[c] = b[c] - (exact - mean[c]) * scale[c]


@jit
def _plane_affine(x, y, centre, scale, offset, low, high):
    for i in range(x.shape[0]):
        for c in range(low, high):
            _affine(x[i, c], centre[c], scale[c], offset[c], y[i, c])


@jit
def _column_affine(x, y, centre, scale, offset, low, high):
    size = x.shape[1] // centre.size
    first = low * size
    centres, scales, offsets = [_repeated(v[low:high], size) for v in (centre, scale, offset)]
    for i in range(x.shape[0]):
        for j in range(centres.size):
            y[U(i), U(first + j)] = (x[U(i), U(first + j)] - centres[j]) * scales[j] + offsets[j]


@jit
def _plane_products(dy, x, w, centre, shift, rstd, training, dw, db, scale, slope, offset, low, high):
    m = x.shape[0] * x.shape[2]
    for c in range(low, high):
        total, product, apart = 0.0, 0.0, 0.0
        for i in range(x.shape[0]):
            t, p, a = _products(dy[i, c], x[i, c], centre[c])
            total, product, apart = total + t, product + p, apart + a
        off = apart / m if training else shift[c]
        product -= off * total
        dw[c], db[c], scale[c] = product * rstd[c], total, w[c] * rstd[c]
        slope[c], offset[c] = _coefficients(w[c] * rstd[c], rstd[c], total / m, product / m, off)


@jit
def _column_products(dy, x, w, centre, shift, rstd, training, dw, db, scale, slope, offset, low, high):
    size = x.shape[1] // w.size
    first, m = low * size, x.shape[0] * size
    centres = _repeated(centre[low:high], size)
    totals, products, aparts = np.zeros(centres.size), np.zeros(centres.size), np.zeros(centres.size)
    for i in range(x.shape[0]):
        for j in range(centres.size):
            g, d = np.float64(dy[U(i), U(first + j)]), np.float64(x[U(i), U(first + j)] - centres[j])
            totals[j] += g
            products[j] += g * d
            aparts[j] += d
    for c in range(low, high):
        total, product, apart = 0.0, 0.0, 0.0
        for j in range((c - low) * size, (c - low + 1) * size):
            total, product, apart = total + totals[j], product + products[j], apart + aparts[j]
        off = apart / m if training else shift[c]
        product -= off * total
        dw[c], db[c], scale[c] = product * rstd[c], total, w[c] * rstd[c]
        slope[c], offset[c] = _coefficients(w[c] * rstd[c], rstd[c], total / m, product / m, off)


@jit
def _plane_combine(dy, x, dx, centre, scale, slope, offset, low, high):
    for i in range(x.shape[0]):
        for c in range(low, high):
            _combine(dy[i, c], x[i, c], centre[c], scale[c], slope[c], offset[c], dx[i, c])


@jit
def _column_combine(dy, x, dx, centre, scale, slope, offset, low, high):
    size = x.shape[1] // centre.size
    first = low * size
    centres, scales, slopes, offsets = [_repeated(v[low:high], size) for v in (centre, scale, slope, offset)]
    for i in range(x.shape[0]):
        for j in range(centres.size):
            d = x[U(i), U(first + j)] - centres[j]
            dx[U(i), U(first + j)] = dy[U(i), U(first + j)] * scales[j] + d * slopes[j] + offsets[j]


@jit
def _repeated(values, times):
    out = np.empty(values.size * times, values.dtype)
    for j in range(out.size):
        out[j] = values[j // times]
    return out


@task
def _layer_norm(part, step, x, w, b, eps, centred, y, stats):
    mean, rstd = stats[0], stats[1]
    for r in range(part * step, min((part + 1) * step, x.shape[0])):
        exact, variance = _row_moments(x[r], centred)
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
        total, product, apart = _row_products(dy[r], x[r], w, centre, scale)
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
def _row_moments(x, centred):
    """Mean and variance of a row, or (0, mean square); a row is read again from the first-level cache.

    Blocks are summed in x's own type, which is twice as fast, from an origin near the mean, and all blocks in float64.
    """
    origin, total, square = x.dtype.type(0), 0.0, 0.0
    if centred:
        for start in range(0, x.size, BLOCK):
            block, t = x[start:start + BLOCK], x.dtype.type(0)
            for j in range(block.size):
                t += block[j]
            total += t
        origin = x.dtype.type(total / x.size)
    total = 0.0
    for start in range(0, x.size, BLOCK):
        block, t, q = x[start:start + BLOCK], x.dtype.type(0), x.dtype.type(0)
        for j in range(block.size):
            d = block[j] - origin
            t += d
            q += d * d
        total, square = total + t, square + q
    return _moments(np.float64(origin), total, square, x.size) if centred else (0.0, square / x.size)


@jit
def _row_products(dy, x, w, centre, scale):
    """The sums of g = dy w, of g xhat and of xhat, in blocks as above."""
    total, product, apart = 0.0, 0.0, 0.0
    for start in range(0, x.size, BLOCK):
        dys, xs, ws = dy[start:start + BLOCK], x[start:start + BLOCK], w[start:start + BLOCK]
        t, p, a = x.dtype.type(0), x.dtype.type(0), x.dtype.type(0)
        for j in range(xs.size):
            g, xhat = dys[j] * ws[j], (xs[j] - centre) * scale
            t += g
            p += g * xhat
            a += xhat
        total, product, apart = total + t, product + p, apart + a
    return total, product, apart


@task
def _group_norm(part, step, x, w, b, eps, y, stats):
    mean, rstd = stats[0], stats[1]
    groups, channels = w.shape
    runs = x.reshape(x.shape[0], channels * x.shape[2])
    for r in range(part * step, min((part + 1) * step, x.shape[0])):
        g, origin = r % groups, np.float64(x[r, 0, 0])
        total, square = _sums(runs[r], origin)
        exact, variance = _moments(origin, total, square, runs.shape[1])
        mean[r], rstd[r] = exact, 1 / math.sqrt(variance + eps)
        for c in range(channels):
            scale = w[g, c] * rstd[r]
            _affine(x[r, c], mean[r], scale, x.dtype.type(b[g, c] - (exact - mean[r]) * scale), y[r, c])


@task
def _group_norm_dx(part, step, dy, x, w, mean, rstd, dx, sums):
    groups, channels = w.shape
    dw, db, m = sums[0], sums[1], channels * x.shape[2]
    for r in range(part * step, min((part + 1) * step, x.shape[0])):
        g = r % groups
        total, product, apart = 0.0, 0.0, 0.0
        for c in range(channels):
            db[r, c], dw[r, c], a = _products(dy[r, c], x[r, c], mean[r])
            total, product, apart = total + w[g, c] * db[r, c], product + w[g, c] * dw[r, c], apart + a
        off = apart / m
        slope, offset = _coefficients(rstd[r], rstd[r], total / m, product / m - off * total / m, off)
        slope, offset = x.dtype.type(slope), x.dtype.type(offset)
        for c in range(channels):
            dw[r, c] = (dw[r, c] - off * db[r, c]) * rstd[r]
            _combine(dy[r, c], x[r, c], mean[r], w[g, c] * rstd[r], slope, offset, dx[r, c])


@jit
def _sums(x, origin):
    """The sums of d = x - origin and of d²."""
    total, square = 0.0, 0.0
    for j in range(x.size):
        d = x[j] - origin
        total += d
        square += d * d
    return total, square


@jit
def _moments(origin, total, square, m):
    """Mean and variance from the sums of m distances from `origin` and of their squares."""
    off = total / m
    return origin + off, square / m - off * off


@jit
def _affine(x, centre, scale, offset, y):
    for j in range(y.size):
        y[j] = (x[j] - centre) * scale + offset


@jit
def _products(dy, x, centre):
    """The sums of dy, of dy d and of d = x - centre, which tells how far the centre is off the mean."""
    total, product, apart = 0.0, 0.0, 0.0
    for j in range(x.size):
        g, d = np.float64(dy[j]), np.float64(x[j] - centre)
        total += g
        product += g * d
        apart += d
    return total, product, apart


@jit
def _coefficients(scale, rstd, mean_g, mean_gd, off):
    """slope and offset of dx = g scale + d slope + offset, the projection of g; `off` is the mean of d."""
    slope = -scale * rstd * rstd * mean_gd
    return slope, -scale * mean_g - slope * off


@jit
def _combine(dy, x, centre, scale, slope, offset, dx):
    for j in range(dx.size):
        dx[j] = dy[j] * scale + (x[j] - centre) * slope + offset
