"""Pooling on the CPU, plane by plane; one spatial axis is treated as a plane of one row.

A window is taken apart: a step along a row handles one tap of all windows of that row at once, which vectorises, and
the row being written stays in the cache.
"""
from __future__ import annotations

import math

import numpy as np

from .. import memory, parallel
from ..pooling import cells, pool_shape, window_counts
from .jit import jit

PART = 1 << 15  # elements of x in one part of the work


def max_pool(x, kernel, stride, padding, dilation, ceil_mode):
    """See `minitorch_kernels.pooling.max_pool`."""
    out = pool_shape(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    planes, y, index = _planes(x), memory.empty((*x.shape[:2], *out), x.dtype), \
        memory.empty((*x.shape[:2], *out), np.int64)
    ys, indices = _planes(y), _planes(index)
    if (kernel, stride, padding, dilation) == ((2, 2), (2, 2), (0, 0), (1, 1)) and not ceil_mode:
        _spread(lambda s: _largest_of_four(planes[s], ys[s], indices[s]), planes)
    else:
        windows = *_pair(kernel, 1), *_pair(stride, 1), *_pair(padding, 0), *_pair(dilation, 1)
        _spread(lambda s: _largest(planes[s], ys[s], indices[s], *windows), planes, math.prod(kernel))
    return y, index


def max_pool_dx(dy, index, x_shape):
    """See `minitorch_kernels.pooling.max_pool_dx`. Raises IndexError for a position outside the plane."""
    dx = memory.empty(x_shape, dy.dtype)
    dys, indices, planes = _flat(dy), _flat(index), _flat(dx)
    outside = []

    def part(s):
        if not _scatter(dys[s], indices[s], planes[s]):
            outside.append(s)

    _spread(part, planes)
    if outside:
        raise IndexError(f"max_pool_dx: index has positions outside the plane {tuple(x_shape[2:])} of x")
    return dx


def avg_pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """See `minitorch_kernels.pooling.avg_pool`."""
    out = pool_shape(x.shape[2:], kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    planes, y = _planes(x), memory.empty((*x.shape[:2], *out), x.dtype)
    ys, divisor = _planes(y), _divisor(x.shape[2:], out, kernel, stride, padding, count_include_pad,
                                       divisor_override, x.dtype)
    windows = *_pair(kernel, 1), *_pair(stride, 1), *_pair(padding, 0)
    _spread(lambda s: _means(planes[s], ys[s], divisor, *windows), planes)
    return y


def avg_pool_dx(dy, x_shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """See `minitorch_kernels.pooling.avg_pool_dx`."""
    dx = memory.empty(x_shape, dy.dtype)
    dys, planes = _planes(dy), _planes(dx)
    divisor = _divisor(x_shape[2:], dy.shape[2:], kernel, stride, padding, count_include_pad, divisor_override,
                       dy.dtype)
    windows = *_pair(kernel, 1), *_pair(stride, 1), *_pair(padding, 0)
    _spread(lambda s: _means_dx(dys[s], planes[s], divisor, *windows), planes)
    return dx


def adaptive_avg_pool(x, output_size):
    """See `minitorch_kernels.pooling.adaptive_avg_pool`."""
    windows = _regular(x.shape[2:], output_size)
    if windows:
        return avg_pool(x, windows, windows, (0,) * len(windows), False, False, None)
    planes, y = _planes(x), memory.empty((*x.shape[:2], *output_size), x.dtype)
    ys, (rows, columns) = _planes(y), _cells(x.shape[2:], output_size)
    _spread(lambda s: _cell_means(planes[s], ys[s], rows, columns), planes)
    return y


def adaptive_avg_pool_dx(dy, x_shape):
    """See `minitorch_kernels.pooling.adaptive_avg_pool_dx`."""
    windows = _regular(x_shape[2:], dy.shape[2:])
    if windows:
        return avg_pool_dx(dy, x_shape, windows, windows, (0,) * len(windows), False, False, None)
    dx = memory.empty(x_shape, dy.dtype)
    dys, planes, (rows, columns) = _planes(dy), _planes(dx), _cells(x_shape[2:], dy.shape[2:])
    _spread(lambda s: _cell_means_dx(dys[s], planes[s], rows, columns), planes)
    return dx


def adaptive_max_pool(x, output_size):
    """See `minitorch_kernels.pooling.adaptive_max_pool`."""
    windows = _regular(x.shape[2:], output_size)
    if windows:
        return max_pool(x, windows, windows, (0,) * len(windows), (1,) * len(windows), False)
    y, index = (memory.empty((*x.shape[:2], *output_size), dtype) for dtype in (x.dtype, np.int64))
    planes, ys, indices, (rows, columns) = _planes(x), _planes(y), _planes(index), _cells(x.shape[2:], output_size)
    _spread(lambda s: _cell_largest(planes[s], ys[s], indices[s], rows, columns), planes)
    return y, index


def _planes(x):
    """x as (N C, H, W)."""
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], *_pair(x.shape[2:], 1))


def _flat(x):
    """x as (N C, H W)."""
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], math.prod(x.shape[2:]))


def _pair(values, first):
    return tuple(values) if len(values) == 2 else (first, *values)


def _spread(part, planes, work=1):
    """Run `part(slice of planes)` over all planes."""
    size = math.prod(planes.shape[1:])
    parts = parallel.chunks(len(planes), max(1, PART // max(1, size)))
    parallel.run(lambda i: part(parts[i]), len(parts), planes.size * work)


def _regular(size, out):
    """The window size where all cells have the same, and do not overlap; else None."""
    if all(o and n % o == 0 for n, o in zip(size, out)):
        return tuple([n // o for n, o in zip(size, out)])
    return None


def _cells(size, out):
    return [np.array(cells(n, o), np.int64).reshape(-1, 2) for n, o in zip(_pair(size, 1), _pair(out, 1))]


def _divisor(size, out, kernel, stride, padding, include_pad, override, dtype):
    """What each window's sum is divided by, of the planes' output shape."""
    if override is not None:
        return np.full(_pair(out, 1), override, dtype)
    counts = [window_counts(*axis, include_pad) for axis in zip(size, out, kernel, stride, padding)]
    return np.multiply.outer(*_pair([np.array(c) for c in counts], np.ones(1, np.int64))).astype(dtype)


@jit
def _largest_of_four(x, y, index):
    """2 x 2 windows, 2 apart: one pass, no tap loop."""
    width = x.shape[2]
    for p in range(y.shape[0]):
        for i in range(y.shape[1]):
            top, bottom = x[p, 2 * i], x[p, 2 * i + 1]
            best, at = y[p, i], index[p, i]
            for j in range(y.shape[2]):
                a, b, c, d = top[2 * j], top[2 * j + 1], bottom[2 * j], bottom[2 * j + 1]
                place = 2 * i * width + 2 * j
                right = (b > a) | (b != b)
                v = b if right else a
                place = place + 1 if right else place
                below = (c > v) | (c != c)
                v = c if below else v
                place = (2 * i + 1) * width + 2 * j if below else place
                last = (d > v) | (d != d)
                best[j] = d if last else v
                at[j] = (2 * i + 1) * width + 2 * j + 1 if last else place


@jit
def _largest(x, y, index, kh, kw, sh, sw, ph, pw, dh, dw):
    height, width, out = x.shape[1], x.shape[2], y.shape[2]
    at = np.empty(out, np.int32)  # half of int64's width: positions keep step with the values in vectors
    for p in range(y.shape[0]):
        for i in range(y.shape[1]):
            best = y[p, i]
            best[:] = -np.inf
            at[:] = -1
            for a in range(kh):
                r = i * sh - ph + a * dh
                if 0 <= r < height:
                    for b in range(kw):
                        first = b * dw - pw
                        low = (-first + sw - 1) // sw if first < 0 else 0
                        high = min(out, (width - 1 - first) // sw + 1) if first < width else 0
                        if low < high:
                            _compare(x[p, r], first + low * sw, sw, best[low:high], at[low:high], r * width)
            for j in range(out):
                index[p, i, j] = at[j]


@jit
def _compare(row, first, step, best, at, base):
    """Put row[first + j step] into best[j] where it is larger; constant steps vectorise."""
    if step == 1:
        _compare_stepped(row, first, 1, best, at, base)
    elif step == 2:
        _compare_stepped(row, first, 2, best, at, base)
    else:
        _compare_stepped(row, first, step, best, at, base)


@jit
def _compare_stepped(row, first, step, best, at, base):
    for j in range(best.size):
        v = row[first + j * step]
        better = (v > best[j]) | (v != v) | (at[j] < 0)
        best[j] = v if better else best[j]
        at[j] = np.int32(base + first + j * step) if better else at[j]


@jit
def _cell_largest(x, y, index, rows, columns):
    width = x.shape[2]
    for p in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                best, at = -np.inf, np.int64(-1)
                for r in range(rows[i, 0], rows[i, 1]):
                    for c in range(columns[j, 0], columns[j, 1]):
                        v = x[p, r, c]
                        if v > best or v != v or at < 0:
                            best, at = v, r * width + c
                y[p, i, j], index[p, i, j] = best, at


@jit
def _scatter(dy, index, dx):
    """dx[p, index[p, j]] += dy[p, j]; False where a position lies outside."""
    inside = True
    for p in range(dx.shape[0]):
        dx[p] = 0
        for j in range(dy.shape[1]):
            at = index[p, j]
            if 0 <= at < dx.shape[1]:
                dx[p, at] += dy[p, j]
            elif at != -1:
                inside = False
    return inside


@jit
def _means(x, y, divisor, kh, kw, sh, sw, ph, pw):
    height, width, out = x.shape[1], x.shape[2], y.shape[2]
    line = np.zeros(max((out - 1) * sw + kw, pw + width), x.dtype)  # the sums of columns, between their padding
    for p in range(y.shape[0]):
        for i in range(y.shape[1]):
            _sum_rows(x[p], max(0, i * sh - ph), min(height, i * sh - ph + kh), line[pw:pw + width])
            if kw > out:  # few long windows
                for j in range(out):
                    y[p, i, j] = _sum(line[j * sw:j * sw + kw]) / divisor[i, j]
            else:
                y[p, i] = 0
                for b in range(kw):
                    _gather(line[b:], sw, y[p, i])
                for j in range(out):
                    y[p, i, j] /= divisor[i, j]


@jit
def _means_dx(dy, dx, divisor, kh, kw, sh, sw, ph, pw):
    height, width, out = dx.shape[1], dx.shape[2], dy.shape[2]
    line = np.zeros(max((out - 1) * sw + kw, pw + width), dx.dtype)
    share = np.empty(out, dx.dtype)
    for p in range(dy.shape[0]):
        dx[p] = 0
        for i in range(dy.shape[1]):
            for j in range(out):
                share[j] = dy[p, i, j] / divisor[i, j]
            line[:] = 0
            for b in range(kw):
                _give(share, sw, line[b:])
            for r in range(max(0, i * sh - ph), min(height, i * sh - ph + kh)):
                _add(line[pw:pw + width], dx[p, r])


@jit
def _cell_means(x, y, rows, columns):
    line = np.empty(x.shape[2], x.dtype)
    for p in range(y.shape[0]):
        for i in range(y.shape[1]):
            _sum_rows(x[p], rows[i, 0], rows[i, 1], line)
            for j in range(y.shape[2]):
                area = (rows[i, 1] - rows[i, 0]) * (columns[j, 1] - columns[j, 0])
                y[p, i, j] = _sum(line[columns[j, 0]:columns[j, 1]]) / area


@jit
def _cell_means_dx(dy, dx, rows, columns):
    line = np.empty(dx.shape[2], dx.dtype)
    for p in range(dy.shape[0]):
        dx[p] = 0
        for i in range(dy.shape[1]):
            line[:] = 0
            for j in range(dy.shape[2]):
                area = (rows[i, 1] - rows[i, 0]) * (columns[j, 1] - columns[j, 0])
                for c in range(columns[j, 0], columns[j, 1]):
                    line[c] += dy[p, i, j] / area
            for r in range(rows[i, 0], rows[i, 1]):
                _add(line, dx[p, r])


@jit
def _sum_rows(plane, low, high, line):
    """line = the sum of rows low to high."""
    line[:] = 0
    for r in range(low, high):
        _add(plane[r], line)


@jit
def _add(row, line):
    for j in range(line.size):
        line[j] += row[j]


@jit
def _sum(line):
    total = 0.0
    for j in range(line.size):
        total += line[j]
    return total


@jit
def _gather(line, step, y):
    """y[j] += line[j step]; constant steps vectorise."""
    if step == 1:
        for j in range(y.size):
            y[j] += line[j]
    elif step == 2:
        for j in range(y.size):
            y[j] += line[2 * j]
    else:
        for j in range(y.size):
            y[j] += line[j * step]


@jit
def _give(dy, step, line):
    """line[j step] += dy[j]; constant steps vectorise."""
    if step == 1:
        for j in range(dy.size):
            line[j] += dy[j]
    elif step == 2:
        for j in range(dy.size):
            line[2 * j] += dy[j]
    else:
        for j in range(dy.size):
            line[j * step] += dy[j]
