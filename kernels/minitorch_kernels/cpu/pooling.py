"""Pooling on the CPU, plane by plane; one spatial axis is treated as a plane of one row.

Rows are short and strides break vectors up, so a block of planes is first split into phases: phase (f, g)
holds every sh-th row from f and every sw-th column from g of the padded planes, as one flat run. A tap of all
windows of the block is then one contiguous run of one phase, however short the rows are:

    padded x[i sh + a, j sw + b]  =  phase (a mod sh, b mod sw)[i + a // sh, j + b // sw]
"""
from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import memory
from ..pooling import cells, pool_shape, position_dtype, window_counts
from .jit import jit
from .tasks import task
from .vector import (
    add,
    below,
    data,
    keep,
    keep_below,
    lanes_of,
    load,
    masked_load,
    shuffle,
    splat,
    vector_of,
)

PART = 1 << 15  # elements of x in one part of the work
BLOCK = 2048  # elements of a phase in one block of planes: a block stays in the first-level cache
U = np.uint64  # an index of this type is not tested for counting from the end: loops vectorise


def max_pool(x, kernel, stride, padding, dilation, ceil_mode, narrow=False):
    """See `minitorch_kernels.pooling.max_pool`."""
    out = pool_shape(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    y, index = (memory.empty((*x.shape[:2], *out), t) for t in (x.dtype, position_dtype(x.shape[2:], narrow)))
    planes, ys, indices = _planes(x), _planes(y), _planes(index)
    windows = *_pair(kernel, 1), *_pair(stride, 1), *_pair(padding, 0), *_pair(dilation, 1)
    if windows == (2, 2, 2, 2, 0, 0, 1, 1) and not ceil_mode:
        _spread(_largest_of_four, 4, planes, ys, indices)
    else:
        _spread(_largest, 4 * math.prod(kernel), planes, ys, indices, *windows)
    return y, index


def max_pool_dx(dy, index, x_shape, windows=None):
    """See `minitorch_kernels.pooling.max_pool_dx`. Raises IndexError for a position outside the plane."""
    dx = memory.empty(x_shape, dy.dtype)
    outside = np.zeros(1, np.bool_)
    _spread(_scatter, 2, _flat(dx), _flat(dy), _flat(index), outside)
    if outside[0]:
        raise IndexError(f"max_pool_dx: index has positions outside the plane {tuple(x_shape[2:])} of x")
    return dx


def avg_pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """See `minitorch_kernels.pooling.avg_pool`."""
    out = pool_shape(x.shape[2:], kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    planes, y = _planes(x), memory.empty((*x.shape[:2], *out), x.dtype)
    ys, size = _planes(y), x.shape[2:]
    divisor = _divisor(size, out, kernel, stride, padding, count_include_pad, divisor_override, x.dtype)
    windows = *_pair(kernel, 1), *_pair(stride, 1), *_pair(padding, 0)
    if planes.shape[1:] == windows[:2] and windows[4:] == (0, 0):  # a window is a plane
        _spread(_plane_means, 1, _flat(x), ys, divisor)
    else:
        _spread(_means, 8, planes, ys, divisor, *windows)
    return y


def avg_pool_dx(dy, x_shape, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """See `minitorch_kernels.pooling.avg_pool_dx`."""
    dx = memory.empty(x_shape, dy.dtype)
    dys, planes = _planes(dy), _planes(dx)
    size, out = x_shape[2:], dy.shape[2:]
    divisor = _divisor(size, out, kernel, stride, padding, count_include_pad, divisor_override, dy.dtype)
    windows = *_pair(kernel, 1), *_pair(stride, 1), *_pair(padding, 0)
    if planes.shape[1:] == windows[:2] and windows[4:] == (0, 0):
        _spread(_plane_means_dx, 1, planes, dys, divisor)
    else:
        _spread(_means_dx, 8, planes, dys, divisor, *windows)
    return dx


def adaptive_avg_pool(x, output_size):
    """See `minitorch_kernels.pooling.adaptive_avg_pool`."""
    windows = _regular(x.shape[2:], output_size)
    if windows:
        return avg_pool(x, windows, windows, (0,) * len(windows), False, False, None)
    planes, y = _planes(x), memory.empty((*x.shape[:2], *output_size), x.dtype)
    ys, (rows, columns) = _planes(y), _cells(x.shape[2:], output_size)
    _spread(_cell_means, 4, planes, ys, rows, columns)
    return y


def adaptive_avg_pool_dx(dy, x_shape):
    """See `minitorch_kernels.pooling.adaptive_avg_pool_dx`."""
    windows = _regular(x_shape[2:], dy.shape[2:])
    if windows:
        return avg_pool_dx(dy, x_shape, windows, windows, (0,) * len(windows), False, False, None)
    dx = memory.empty(x_shape, dy.dtype)
    dys, planes, (rows, columns) = _planes(dy), _planes(dx), _cells(x_shape[2:], dy.shape[2:])
    _spread(_cell_means_dx, 4, planes, dys, rows, columns)
    return dx


def adaptive_max_pool(x, output_size):
    """See `minitorch_kernels.pooling.adaptive_max_pool`."""
    windows = _regular(x.shape[2:], output_size)
    if windows:
        return max_pool(x, windows, windows, (0,) * len(windows), (1,) * len(windows), False)
    y, index = (memory.empty((*x.shape[:2], *output_size), dtype) for dtype in (x.dtype, np.int64))
    planes, ys, indices = _planes(x), _planes(y), _planes(index)
    rows, columns = _cells(x.shape[2:], output_size)
    _spread(_cell_largest, 4, planes, ys, indices, rows, columns)
    return y, index


def _planes(x):
    """x as (N C, H, W)."""
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], *_pair(x.shape[2:], 1))


def _flat(x):
    """x as (N C, H W)."""
    planes = _planes(x)
    return planes.reshape(len(planes), math.prod(planes.shape[1:]))


def _pair(values, first):
    return tuple(values) if len(values) == 2 else (first, *values)


def _spread(kernel, cost, planes, *arguments):
    """Run `kernel(part, planes of a part, planes, *arguments)` over all planes; `cost` operations an element."""
    step = max(1, PART // max(1, math.prod(planes.shape[1:])))
    kernel(-(-len(planes) // step), cost * planes.size, step, planes, *arguments)


def _regular(size, out):
    """The window size where all cells have the same, and do not overlap; else None."""
    if all(o and n % o == 0 for n, o in zip(size, out)):
        return tuple([n // o for n, o in zip(size, out)])
    return None


def _cells(size, out):
    return [np.array(cells(n, o), np.int64).reshape(-1, 2) for n, o in zip(_pair(size, 1), _pair(out, 1))]


@lru_cache(256)
def _divisor(size, out, kernel, stride, padding, include_pad, override, dtype):
    """What each window's sum is divided by, of the planes' output shape."""
    if override is not None:
        return np.full(_pair(out, 1), override, dtype)
    counts = [window_counts(*axis, include_pad) for axis in zip(size, out, kernel, stride, padding)]
    return np.multiply.outer(*_pair([np.array(c) for c in counts], np.ones(1, np.int64))).astype(dtype)


@task
def _largest_of_four(part, step, x, y, index):
    """2 x 2 windows, 2 apart: one pass that compares without branches, however short the rows are."""
    first, last = part * step, min((part + 1) * step, x.shape[0])
    height, width, rows, columns = x.shape[1], x.shape[2], y.shape[1], y.shape[2]
    lane = lanes_of(y)
    offsets, xs, ys = np.empty(lane, np.int32), x.reshape(x.size), y.reshape(y.size)
    for p in range(first, last):
        for i in range(rows):
            for j in range(0, columns, lane):
                count = min(lane, columns - j)
                corner, to = 2 * i * width + 2 * j, (p * rows + i) * columns + j
                if count == lane:
                    _four(xs, p * height * width + corner, width, count, ys, to, offsets)
                else:
                    _last_fours(xs, p * height * width + corner, width, count, ys, to, offsets)
                for k in range(count):
                    index[U(p), U(i), U(j + k)] = corner + 2 * k + offsets[U(k)]


def _four_of(whole):
    """The intrinsic for a vector of windows, or for the first `count` of one."""

    @intrinsic
    def four(typingctx, x, i, width, count, y, j, offsets):
        """y[j + k] = the largest of the four numbers that begin at x[i + 2 k], offsets[k] = where it lies from there.

        For k below `count`, at most a vector. The first of equal ones counts, and nan as the largest.
        """

        def codegen(context, builder, signature, arguments):
            x, i, width, count, y, j, offsets = data(context, builder, signature, arguments)
            vector = vector_of(signature.args[0])
            places = ir.VectorType(ir.IntType(32), vector.count)
            twice = builder.add(count, count)
            masks = below(builder, twice, vector), below(builder, add(builder, twice, -vector.count), vector)
            even, odd = [list(range(first, 2 * vector.count, 2)) for first in (0, 1)]

            def pairs(start):
                ends = [builder.gep(x, [add(builder, start, n)]) for n in (0, vector.count)]
                line = [load(builder, end, vector) if whole else masked_load(builder, end, mask, vector)
                        for end, mask in zip(ends, masks)]
                return shuffle(builder, *line, even), shuffle(builder, *line, odd)

            def larger(a, at_a, b, at_b):
                wins = builder.or_(builder.fcmp_ordered(">", b, a), builder.fcmp_unordered("uno", b, b))
                return builder.select(wins, b, a), builder.select(wins, at_b, at_a)

            down = splat(builder, builder.trunc(width, ir.IntType(32)), places)
            zero, one = (ir.Constant(places, [n] * vector.count) for n in (0, 1))
            (a, b), (c, d) = pairs(i), pairs(builder.add(i, width))
            top = larger(a, zero, b, one)
            best, at = larger(*top, *larger(c, down, d, builder.add(down, one)))
            if whole:
                keep(builder, [best], builder.gep(y, [j]))
            else:
                keep_below(builder, best, builder.gep(y, [j]), count)
            builder.store(at, builder.bitcast(offsets, places.as_pointer()), align=4)
            return context.get_dummy_value()

        n = types.int64
        return types.void(x, n, n, n, y, n, offsets), codegen

    return four


_four, _last_fours = _four_of(True), _four_of(False)


@task
def _largest(part, step, x, y, index, kh, kw, sh, sw, ph, pw, dh, dw):
    first, last = part * step, (part + 1) * step
    x, y, index = x[first:last], y[first:last], index[first:last]
    planes, height, width = x.shape
    rows = max(y.shape[1] + (kh - 1) * dh // sh, (height + ph - 1) // sh + 1)
    columns = max(y.shape[2] + (kw - 1) * dw // sw, (width + pw - 1) // sw + 1)
    block = min(planes, max(1, BLOCK // (rows * columns)))
    n = block * rows * columns
    phases = np.full((sh * sw, n + (kh - 1) * dh // sh * columns + (kw - 1) * dw // sw), -np.inf, x.dtype)
    best, at = np.empty(n, x.dtype), np.empty(n, np.int32)
    for start in range(0, planes, block):
        some = min(block, planes - start)
        _split(x[start:start + some], phases, rows, columns, sh, sw, ph, pw)
        best[:] = -np.inf
        at[:] = -1
        for a in range(kh):
            for b in range(kw):
                phase, first = a * dh % sh * sw + b * dw % sw, a * dh // sh * columns + b * dw // sw
                _compare(phases[phase, first:first + n], best, at, a * dh * width + b * dw)
        for p in range(some):
            for i in range(y.shape[1]):
                run, corner, least = (p * rows + i) * columns, (i * sh - ph) * width - pw, np.int32(0)
                for j in range(y.shape[2]):
                    y[U(start + p), U(i), U(j)] = best[U(run + j)]
                    index[U(start + p), U(i), U(j)] = corner + j * sw + at[U(run + j)]
                    least = at[U(run + j)] if at[U(run + j)] < least else least
                if least < 0:  # nothing was larger than -inf
                    for j in range(y.shape[2]):
                        if at[run + j] < 0:
                            r, c = _first(i * sh - ph, dh, kh, height), _first(j * sw - pw, dw, kw, width)
                            index[start + p, i, j] = r * width + c if r >= 0 and c >= 0 else -1


@jit
def _first(start, dilation, kernel, size):
    """The first place of a window that lies on the axis, or -1."""
    for place in range(start, start + kernel * dilation, dilation):
        if 0 <= place < size:
            return place
    return -1


@jit
def _compare(tap, best, at, offset):
    """Where the tap's element is larger than the best, take it and the tap's offset in the window."""
    offset = np.int32(offset)
    for j in range(best.size):
        better = (tap[j] > best[j]) | (tap[j] != tap[j])
        best[j] = tap[j] if better else best[j]
        at[j] = offset if better else at[j]


@jit
def _split(x, phases, rows, columns, sh, sw, ph, pw):
    """Write planes into their phases; the padding stays as it is."""
    for p in range(x.shape[0]):
        i, f = ph // sh, ph % sh
        for r in range(x.shape[1]):
            run = (p * rows + i) * columns
            if sw == 1:
                for c in range(x.shape[2]):
                    phases[U(f), U(run + pw + c)] = x[U(p), U(r), U(c)]
            else:
                j, g = pw // sw, pw % sw
                for c in range(x.shape[2]):
                    phases[U(f * sw + g), U(run + j)] = x[U(p), U(r), U(c)]
                    g += 1
                    if g == sw:
                        j, g = j + 1, 0
            f += 1
            if f == sh:
                i, f = i + 1, 0


@jit
def _merge(phases, x, rows, columns, sh, sw, ph, pw):
    """The inverse of `_split`."""
    for p in range(x.shape[0]):
        i, f = ph // sh, ph % sh
        for r in range(x.shape[1]):
            run = (p * rows + i) * columns
            if sw == 1:
                for c in range(x.shape[2]):
                    x[U(p), U(r), U(c)] = phases[U(f), U(run + pw + c)]
            else:
                j, g = pw // sw, pw % sw
                for c in range(x.shape[2]):
                    x[U(p), U(r), U(c)] = phases[U(f * sw + g), U(run + j)]
                    g += 1
                    if g == sw:
                        j, g = j + 1, 0
            f += 1
            if f == sh:
                i, f = i + 1, 0


@task
def _means(part, step, x, y, divisor, kh, kw, sh, sw, ph, pw):
    first, last = part * step, (part + 1) * step
    x, y = x[first:last], y[first:last]
    planes, height, width = x.shape
    rows = max(y.shape[1] + (kh - 1) // sh, (height + ph - 1) // sh + 1)
    columns = max(y.shape[2] + (kw - 1) // sw, (width + pw - 1) // sw + 1)
    block = min(planes, max(1, BLOCK // (rows * columns)))
    n = block * rows * columns
    down, right = (kh - 1) // sh * columns, (kw - 1) // sw
    phases = np.zeros((sh * sw, n + down + right), x.dtype)
    sums, total = np.empty((sw, n + right), x.dtype), np.empty(n, x.dtype)
    for start in range(0, planes, block):
        some = min(block, planes - start)
        _split(x[start:start + some], phases, rows, columns, sh, sw, ph, pw)
        sums[:] = 0
        for a in range(kh):
            for g in range(sw):
                first = a // sh * columns
                _add(phases[a % sh * sw + g, first:first + n + right], sums[g])
        total[:] = 0
        for b in range(kw):
            _add(sums[b % sw, b // sw:b // sw + n], total)
        for p in range(some):
            for i in range(y.shape[1]):
                run = (p * rows + i) * columns
                for j in range(y.shape[2]):
                    y[U(start + p), U(i), U(j)] = total[U(run + j)] / divisor[U(i), U(j)]


@task
def _means_dx(part, step, dx, dy, divisor, kh, kw, sh, sw, ph, pw):
    first, last = part * step, (part + 1) * step
    dx, dy = dx[first:last], dy[first:last]
    planes, height, width = dx.shape
    rows = max(dy.shape[1] + (kh - 1) // sh, (height + ph - 1) // sh + 1)
    columns = max(dy.shape[2] + (kw - 1) // sw, (width + pw - 1) // sw + 1)
    block = min(planes, max(1, BLOCK // (rows * columns)))
    n = block * rows * columns
    down, right = (kh - 1) // sh * columns, (kw - 1) // sw
    phases = np.empty((sh * sw, n + down + right), dx.dtype)
    sums, total = np.empty((sw, n + right), dx.dtype), np.zeros(n, dx.dtype)
    for start in range(0, planes, block):
        some = min(block, planes - start)
        for p in range(some):
            for i in range(dy.shape[1]):
                run = (p * rows + i) * columns
                for j in range(dy.shape[2]):
                    total[U(run + j)] = dy[U(start + p), U(i), U(j)] / divisor[U(i), U(j)]
        sums[:] = 0
        for b in range(kw):
            _add(total, sums[b % sw, b // sw:b // sw + n])
        phases[:] = 0
        for a in range(kh):
            for g in range(sw):
                first = a // sh * columns
                _add(sums[g], phases[a % sh * sw + g, first:first + n + right])
        _merge(phases, dx[start:start + some], rows, columns, sh, sw, ph, pw)


@jit
def _add(x, total):
    for j in range(total.size):
        total[j] += x[j]


@task
def _cell_largest(part, step, x, y, index, rows, columns):
    first, last = part * step, (part + 1) * step
    x, y, index = x[first:last], y[first:last], index[first:last]
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


@task
def _scatter(part, step, dx, dy, index, outside):
    """dx[p, index[p, j]] += dy[p, j]; tells of a position that lies outside."""
    for p in range(part * step, min((part + 1) * step, dx.shape[0])):
        dx[p] = 0
        for j in range(dy.shape[1]):
            at = np.int64(index[p, j])
            if 0 <= at < dx.shape[1]:
                dx[p, at] += dy[p, j]
            elif at != -1:
                outside[0] = True


@task
def _plane_means(part, step, x, y, divisor):
    first, last = part * step, (part + 1) * step
    x, y = x[first:last], y[first:last]
    for p in range(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            total += x[p, j]
        y[p, 0, 0] = total / divisor[0, 0]


@task
def _plane_means_dx(part, step, dx, dy, divisor):
    first, last = part * step, (part + 1) * step
    dx, dy = dx[first:last], dy[first:last]
    for p in range(dx.shape[0]):
        dx[p] = dy[p, 0, 0] / divisor[0, 0]


@task
def _cell_means(part, step, x, y, rows, columns):
    first, last = part * step, (part + 1) * step
    x, y = x[first:last], y[first:last]
    line = np.empty(x.shape[2], x.dtype)
    for p in range(y.shape[0]):
        for i in range(y.shape[1]):
            _sum_rows(x[p], rows[i, 0], rows[i, 1], line)
            for j in range(y.shape[2]):
                area = (rows[i, 1] - rows[i, 0]) * (columns[j, 1] - columns[j, 0])
                y[p, i, j] = _sum(line[columns[j, 0]:columns[j, 1]]) / area


@task
def _cell_means_dx(part, step, dx, dy, rows, columns):
    first, last = part * step, (part + 1) * step
    dx, dy = dx[first:last], dy[first:last]
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
def _sum(line):
    total = 0.0
    for j in range(line.size):
        total += line[j]
    return total
