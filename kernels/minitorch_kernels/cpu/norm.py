"""Normalisation on the CPU: sums over each group, then one affine pass while its data are still in the cache.

Sums are taken in float64, of distances d from one element of the group, so that a single pass gives both moments
without the cancellation of E[x²] - E[x]²: var = mean(d²) - mean(d)², where mean(d)² is at most m var for m elements
(shifted data; Chan, Golub and LeVeque 1983). The mean that is handed on is rounded to x's type, which matters where
it is large: the affine passes measure from that rounded mean, and an offset adds what the rounding lost.
"""
from __future__ import annotations

import math

import numpy as np

from .. import memory, parallel
from .jit import jit

PART = 1 << 16  # elements in one part of the work
RUN = 32  # batch norm takes planes shorter than this as columns of the (N, C S) matrix
COLUMNS = 1024  # columns in one part: their sums stay in the first-level cache
U = np.uint64  # as an index it needs no test for counting from the end, which would keep loops from vectorising


def batch_norm(x, w, b, eps):
    """See `minitorch_kernels.norm.batch_norm`."""
    y, mean, var = memory.empty(x.shape, x.dtype), np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    w, b = _filled(w, mean.shape, x, 1), _filled(b, mean.shape, x, 0)
    _over_channels(_batch_planes, _batch_columns, [x, y], w, b, eps, mean, var)
    return y, mean, var


def batch_norm_backward(dy, x, w, eps, stats=None):
    """See `minitorch_kernels.norm.batch_norm_backward`."""
    if stats is None:
        _, mean, var = batch_norm(x, None, None, eps)
        stats = mean, 1 / np.sqrt(var + eps)
    return _batch_backward(dy, x, w, *stats, True)


def batch_norm_apply(x, w, b, mean, var, eps):
    """See `minitorch_kernels.norm.batch_norm_apply`."""
    y, mean = memory.empty(x.shape, x.dtype), np.asarray(mean, np.float64)
    centre, scale = mean.astype(x.dtype), 1 / np.sqrt(np.asarray(var, np.float64) + eps) * (1 if w is None else w)
    offset = (centre - mean) * scale + (0 if b is None else b)
    _over_channels(_apply_planes, _apply_columns, [x, y], centre, scale.astype(x.dtype), offset.astype(x.dtype))
    return y


def batch_norm_apply_backward(dy, x, w, mean, var, eps):
    """See `minitorch_kernels.norm.batch_norm_apply_backward`."""
    return _batch_backward(dy, x, w, mean, 1 / np.sqrt(np.asarray(var, np.float64) + eps), False)


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
    y, shape = memory.empty(x.shape, x.dtype), (groups, x.shape[1] // groups)
    mean, rstd = np.empty((2, len(x), groups), x.dtype)
    w, b, x3, y3 = _filled(w, shape, x, 1), _filled(b, shape, x, 0), _grouped(x, groups), _grouped(y, groups)
    means, rstds = mean.reshape(-1), rstd.reshape(-1)
    _over_rows(lambda i, s: _group_rows(x3[s], w, b, eps, s.start, y3[s], means[s], rstds[s]), x3)
    return y, mean, rstd


def group_norm_backward(dy, x, w, groups, eps, stats=None):
    """See `minitorch_kernels.norm.group_norm_backward`."""
    mean, rstd = [np.ascontiguousarray(a).reshape(-1) for a in stats or group_norm(x, None, None, groups, eps)[1:]]
    dx, w = memory.empty(x.shape, x.dtype), _filled(w, (groups, x.shape[1] // groups), x, 1)
    x3, dy3, dx3 = [_grouped(a, groups) for a in (x, dy, dx)]
    dws, dbs = np.empty((2, *x3.shape[:2]))  # a row a sample and group
    _over_rows(lambda i, s: _group_rows_dx(dy3[s], x3[s], w, mean[s], rstd[s], s.start, dx3[s], dws[s], dbs[s]), x3)
    dw, db = [a.reshape(x.shape[:2]).sum(axis=0).astype(x.dtype) for a in (dws, dbs)]
    return dx, dw, db


def _batch_backward(dy, x, w, mean, rstd, training):
    dx, shape = memory.empty(x.shape, x.dtype), x.shape[1:2]
    dw, db, w = np.empty(shape, x.dtype), np.empty(shape, x.dtype), _filled(w, shape, x, 1)
    mean, rstd = np.asarray(mean, np.float64), np.asarray(rstd, np.float64)
    centre = mean.astype(x.dtype)
    _over_channels(_batch_planes_dx, _batch_columns_dx, [dy, x, dx], w, centre, mean - centre, rstd, training, dw, db)
    return dx, dw, db


def _layer(x, w, b, ndim, eps, centred):
    y, outer, inner = memory.empty(x.shape, x.dtype), x.shape[:x.ndim - ndim], x.shape[x.ndim - ndim:]
    mean, rstd = np.empty((2, *outer, *(1,) * ndim), x.dtype)
    x2, y2, means, rstds = _rows(x, ndim), _rows(y, ndim), mean.reshape(-1), rstd.reshape(-1)
    w, b = _filled(w, inner, x, 1).reshape(-1), _filled(b, inner, x, 0).reshape(-1)
    _over_rows(lambda i, s: _layer_rows(x2[s], w, b, eps, centred, y2[s], means[s], rstds[s]), x2)
    return y, mean, rstd


def _layer_backward(dy, x, w, ndim, mean, rstd, centred):
    dx, inner = memory.empty(x.shape, x.dtype), x.shape[x.ndim - ndim:]
    dy2, x2, dx2 = _rows(dy, ndim), _rows(x, ndim), _rows(dx, ndim)
    means, rstds = np.ascontiguousarray(mean).reshape(-1), np.ascontiguousarray(rstd).reshape(-1)
    w = _filled(w, inner, x, 1).reshape(-1)
    dws, dbs = np.zeros((2, _parts(x2), x2.shape[1]))  # each part sums into a row of its own
    _over_rows(lambda i, s: _layer_rows_dx(dy2[s], x2[s], w, means[s], rstds[s], centred, dx2[s], dws[i], dbs[i]), x2)
    dw, db = [a.sum(axis=0).astype(x.dtype).reshape(inner) for a in (dws, dbs)]
    return dx, dw, db


def _over_channels(planes, columns, arrays, *vectors):
    """Run the kernel of (N, C, S) planes, or that of (N, C S) columns where planes are short, on blocks of channels."""
    n, c = arrays[0].shape[:2]
    size = math.prod(arrays[0].shape[2:])
    arrays = [np.ascontiguousarray(a).reshape(n, c, size) for a in arrays]
    if size < RUN:
        arrays = [a.reshape(n, c * size) for a in arrays]
        kernel, parts = columns, parallel.chunks(c, max(1, COLUMNS // size))
    else:
        kernel, parts = planes, parallel.chunks(c, max(1, PART // (n * size)))
    parallel.run(lambda i: kernel(*arrays, *vectors, parts[i].start, parts[i].stop), len(parts), n * c * size)


def _over_rows(part, rows):
    """Run `part(number, slice of rows)` over all rows."""
    parts = parallel.chunks(len(rows), _rows_in_part(rows))
    parallel.run(lambda i: part(i, parts[i]), len(parts), rows.size)


def _parts(rows):
    return -(-len(rows) // _rows_in_part(rows))


def _rows_in_part(rows):
    return max(1, PART // math.prod(rows.shape[1:]))


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


@jit
def _batch_planes(x, y, w, b, eps, mean, var, low, high):
    n, size = x.shape[0], x.shape[2]
    for c in range(low, high):
        origin, total, square = np.float64(x[0, c, 0]), 0.0, 0.0
        for i in range(n):
            t, q = _sums(x[i, c], origin)
            total, square = total + t, square + q
        exact, variance = _moments(origin, total, square, n * size)
        mean[c], var[c] = exact, variance
        scale = w[c] / math.sqrt(variance + eps)
        offset = b[c] - (exact - mean[c]) * scale
        for i in range(n):
            _affine(x[i, c], np.float64(mean[c]), scale, offset, y[i, c])


@jit
def _batch_columns(x, y, w, b, eps, mean, var, low, high):
    n, size = x.shape[0], x.shape[1] // mean.size
    first, width = low * size, (high - low) * size
    origin, totals, squares = np.empty(width), np.zeros(width), np.zeros(width)
    for j in range(width):
        origin[j] = x[0, first + j // size * size]
    for i in range(n):
        for j in range(width):
            d = x[U(i), U(first + j)] - origin[j]
            totals[j] += d
            squares[j] += d * d
    centre, scale, offset = np.empty(width, x.dtype), np.empty(width, x.dtype), np.empty(width, x.dtype)
    for c in range(low, high):
        own = slice((c - low) * size, (c - low + 1) * size)
        exact, variance = _moments(origin[own.start], totals[own].sum(), squares[own].sum(), n * size)
        mean[c], var[c] = exact, variance
        a = w[c] / math.sqrt(variance + eps)
        centre[own], scale[own], offset[own] = mean[c], a, b[c] - (exact - mean[c]) * a
    for i in range(n):
        for j in range(width):
            y[U(i), U(first + j)] = (x[U(i), U(first + j)] - centre[j]) * scale[j] + offset[j]


@jit
def _apply_planes(x, y, centre, scale, offset, low, high):
    for i in range(x.shape[0]):
        for c in range(low, high):
            _affine(x[i, c], np.float64(centre[c]), np.float64(scale[c]), np.float64(offset[c]), y[i, c])


@jit
def _apply_columns(x, y, centre, scale, offset, low, high):
    size = x.shape[1] // centre.size
    for i in range(x.shape[0]):
        for c in range(low, high):
            for j in range(c * size, (c + 1) * size):
                y[U(i), U(j)] = (x[U(i), U(j)] - centre[c]) * scale[c] + offset[c]


@jit
def _batch_planes_dx(dy, x, dx, w, centre, shift, rstd, training, dw, db, low, high):
    n, m = x.shape[0], x.shape[0] * x.shape[2]
    for c in range(low, high):
        total, product, apart = 0.0, 0.0, 0.0
        for i in range(n):
            t, p, a = _products(dy[i, c], x[i, c], centre[c])
            total, product, apart = total + t, product + p, apart + a
        off = apart / m if training else shift[c]
        product -= off * total
        dw[c], db[c], scale = product * rstd[c], total, w[c] * rstd[c]
        slope = -scale * rstd[c] * rstd[c] * product / m
        offset = -scale * total / m - slope * off
        for i in range(n):
            if training:
                _combine(dy[i, c], x[i, c], centre[c], scale, slope, offset, dx[i, c])
            else:
                _affine(dy[i, c], 0.0, scale, 0.0, dx[i, c])


@jit
def _batch_columns_dx(dy, x, dx, w, centre, shift, rstd, training, dw, db, low, high):
    n, size = x.shape[0], x.shape[1] // w.size
    first, width, m = low * size, (high - low) * size, x.shape[0] * size
    totals, products, aparts = np.zeros(width), np.zeros(width), np.zeros(width)
    centres, scales, slopes, offsets = np.empty(width, x.dtype), np.empty(width, x.dtype), \
        np.zeros(width, x.dtype), np.zeros(width, x.dtype)
    for c in range(low, high):
        centres[(c - low) * size:(c - low + 1) * size] = centre[c]
    for i in range(n):
        for j in range(width):
            d = x[U(i), U(first + j)] - centres[j]
            totals[j] += dy[U(i), U(first + j)]
            products[j] += dy[U(i), U(first + j)] * d
            aparts[j] += d
    for c in range(low, high):
        own = slice((c - low) * size, (c - low + 1) * size)
        total = totals[own].sum()
        off = aparts[own].sum() / m if training else shift[c]
        product = products[own].sum() - off * total
        dw[c], db[c], scales[own] = product * rstd[c], total, w[c] * rstd[c]
        slope = -w[c] * rstd[c] * rstd[c] * rstd[c] * product / m
        slopes[own], offsets[own] = slope, -w[c] * rstd[c] * total / m - slope * off
    for i in range(n):
        if training:
            for j in range(width):
                d = x[U(i), U(first + j)] - centres[j]
                dx[U(i), U(first + j)] = dy[U(i), U(first + j)] * scales[j] + d * slopes[j] + offsets[j]
        else:
            for j in range(width):
                dx[U(i), U(first + j)] = dy[U(i), U(first + j)] * scales[j]


@jit
def _layer_rows(x, w, b, eps, centred, y, mean, rstd):
    size = x.shape[1]
    for r in range(x.shape[0]):
        origin = np.float64(x[r, 0]) if centred else 0.0
        total, square = _sums(x[r], origin)
        exact, variance = _moments(origin, total, square, size) if centred else (0.0, square / size)
        scale = 1 / math.sqrt(variance + eps)
        mean[r], rstd[r] = exact, scale
        centre, offset = mean[r], x.dtype.type((mean[r] - exact) * scale)
        for j in range(size):
            y[U(r), U(j)] = ((x[U(r), U(j)] - centre) * rstd[r] + offset) * w[j] + b[j]


@jit
def _layer_rows_dx(dy, x, w, mean, rstd, centred, dx, dw, db):
    size = x.shape[1]
    for r in range(x.shape[0]):
        centre, scale = mean[r], rstd[r]
        total, product, apart = 0.0, 0.0, 0.0
        for j in range(size):
            g, xhat = dy[U(r), U(j)] * w[j], (x[U(r), U(j)] - centre) * scale
            total += g
            product += g * xhat
            apart += xhat
        if not centred:
            total = apart = 0.0
        off = apart / size
        slope = -scale * (product - off * total) / size
        off, slope, offset = dx.dtype.type(off), dx.dtype.type(slope), dx.dtype.type(-scale * total / size - slope * off)
        for j in range(size):
            xhat = (x[U(r), U(j)] - centre) * scale
            dx[U(r), U(j)] = dy[U(r), U(j)] * w[j] * scale + xhat * slope + offset
            dw[j] += dy[U(r), U(j)] * (xhat - off)
            db[j] += dy[U(r), U(j)]


@jit
def _group_rows(x, w, b, eps, first, y, mean, rstd):
    groups, channels = w.shape
    runs = x.reshape(x.shape[0], channels * x.shape[2])
    for r in range(x.shape[0]):
        g, origin = (first + r) % groups, np.float64(x[r, 0, 0])
        total, square = _sums(runs[r], origin)
        exact, variance = _moments(origin, total, square, runs.shape[1])
        mean[r], rstd[r] = exact, 1 / math.sqrt(variance + eps)
        for c in range(channels):
            scale = w[g, c] / math.sqrt(variance + eps)
            _affine(x[r, c], np.float64(mean[r]), scale, b[g, c] - (exact - mean[r]) * scale, y[r, c])


@jit
def _group_rows_dx(dy, x, w, mean, rstd, first, dx, dw, db):
    groups, channels = w.shape
    m = channels * x.shape[2]
    for r in range(x.shape[0]):
        g, s = (first + r) % groups, np.float64(rstd[r])
        total, product, apart = 0.0, 0.0, 0.0
        for c in range(channels):
            db[r, c], dw[r, c], a = _products(dy[r, c], x[r, c], mean[r])
            total, product, apart = total + w[g, c] * db[r, c], product + w[g, c] * dw[r, c], apart + a
        off = apart / m
        slope = -s * s * s * (product - off * total) / m
        offset = -s * total / m - slope * off
        for c in range(channels):
            dw[r, c] = (dw[r, c] - off * db[r, c]) * s
            _combine(dy[r, c], x[r, c], mean[r], w[g, c] * s, slope, offset, dx[r, c])


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
    variance = square / m - off * off
    return origin + off, 0.0 if variance < 0 else variance


@jit
def _affine(x, centre, scale, offset, y):
    centre, scale, offset = y.dtype.type(centre), y.dtype.type(scale), y.dtype.type(offset)
    for j in range(y.size):
        y[j] = (x[j] - centre) * scale + offset


@jit
def _products(dy, x, centre):
    """The sums of dy, of dy d and of d = x - centre. The last is what rounding took from the mean, m times."""
    total, product, apart = 0.0, 0.0, 0.0
    for j in range(x.size):
        d = x[j] - centre
        total += dy[j]
        product += dy[j] * d
        apart += d
    return total, product, apart


@jit
def _combine(dy, x, centre, scale, slope, offset, dx):
    scale, slope, offset = dx.dtype.type(scale), dx.dtype.type(slope), dx.dtype.type(offset)
    for j in range(dx.size):
        dx[j] = dy[j] * scale + (x[j] - centre) * slope + offset
