"""Numba versions of sums and cumulative sums: memory is read once, by all threads, and added up in float64."""
from __future__ import annotations

import numpy as np

from .. import memory
from ..reduce import merged
from .jit import in_order, jit
from .tasks import task

PART = 1 << 16  # elements of a thread's part
STRIP = 256  # columns that a thread takes at a time
BLOCK = 1024  # elements added up in their own type before float64 takes over
ROWS = 8  # the same for columns
TOGETHER = 8  # rows whose products are made at once
WAIT = 2  # operations that a multiplication counts for there
U = np.uint64  # an index of this type is not tested for counting from the end: loops vectorise


def sum(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """The sum of a contiguous array over the axes that `merged` makes one or two groups of."""
    kinds, sizes = merged(x.shape, axis)
    axes = range(x.ndim) if axis is None else [a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))]
    shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]
    if kinds == "r":
        partial = np.empty(-(-x.size // PART))
        _whole(len(partial), x.size, x.reshape(-1), partial)
        out = partial.sum().astype(x.dtype)
    elif kinds in ("kr", "rkr"):
        x = x.reshape(sizes if kinds == "rkr" else (1, *sizes))
        out = np.empty(x.shape[1], x.dtype)
        step = max(1, PART // (x.shape[0] * x.shape[2]))
        _rows(-(-x.shape[1] // step), x.size, step, x, out)
    else:
        x = x.reshape(sizes if kinds == "krk" else (1, *sizes))
        step = max(ROWS, PART // x.shape[2])
        partial = np.zeros((x.shape[0], -(-x.shape[1] // step), x.shape[2]))
        _columns(partial.shape[0] * partial.shape[1], x.size, step, x, partial)
        out = (partial.sum(axis=1) if partial.shape[1] > 1 else partial).astype(x.dtype)
    return out.reshape(shape)


def prod(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """The products over the last axes of a contiguous array, each in order: lanes of one could overflow apart."""
    rows, n = merged(x.shape, axis)[1]
    count = x.ndim if axis is None else len(axis) if isinstance(axis, tuple) else 1
    kept = x.shape[:x.ndim - count]
    out = np.empty(rows, x.dtype)
    step = -(-max(1, PART // n) // TOGETHER) * TOGETHER
    _products(-(-rows // step), WAIT * x.size, step, x.reshape(rows, n), out)
    return out.reshape(kept + (1,) * count if keepdims else kept)


def cumsum(x: np.ndarray, axis: int) -> np.ndarray:
    """The cumulative sum of a contiguous array along one axis."""
    axis %= x.ndim
    n = x.shape[axis]
    inner = int(np.prod(x.shape[axis + 1:]))
    lines = x.reshape(-1, n, inner)
    out = memory.empty(lines.shape, x.dtype)
    strips, step = -(-inner // STRIP), max(1, PART // max(1, n * min(inner, STRIP)))
    _accumulate(strips * -(-len(lines) // step), x.size, step, strips, lines, out)
    return out.reshape(x.shape)


@task
def _whole(part, x, partial):
    partial[part] = _line(x[part * PART:(part + 1) * PART])


@task
def _rows(part, step, x, out):
    for row in range(part * step, min((part + 1) * step, out.size)):
        total = 0.0
        for outer in range(x.shape[0]):
            for start in range(0, x.shape[2], BLOCK):
                t = x.dtype.type(0)
                for j in range(start, min(start + BLOCK, x.shape[2])):
                    t += x[U(outer), U(row), U(j)]
                total += t
        out[row] = total


@task
def _products(part, step, x, out):
    row, last = part * step, min((part + 1) * step, out.size)
    while last - row >= TOGETHER:
        _multiply_together(x[row:row + TOGETHER], out[row:])
        row += TOGETHER
    for i in range(row, last):
        out[i] = _multiply(x[i])


@in_order
def _multiply_together(x, out):
    """The products of TOGETHER rows: a multiplication takes four cycles, in which those of other rows begin."""
    a, b, c, d, e, f, g, h = x[0, 0], x[1, 0], x[2, 0], x[3, 0], x[4, 0], x[5, 0], x[6, 0], x[7, 0]
    for j in range(1, x.shape[1]):
        k = U(j)
        a, b, c, d = a * x[0, k], b * x[1, k], c * x[2, k], d * x[3, k]
        e, f, g, h = e * x[4, k], f * x[5, k], g * x[6, k], h * x[7, k]
    out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7] = a, b, c, d, e, f, g, h


@in_order
def _multiply(x):
    total = x[0]
    for j in range(1, x.size):
        total *= x[U(j)]
    return total


@jit
def _line(x):
    """The sum of a line."""
    total = 0.0
    for start in range(0, x.size, BLOCK):
        t = x.dtype.type(0)
        for j in range(start, min(start + BLOCK, x.size)):
            t += x[U(j)]
        total += t
    return total


@task
def _columns(part, step, x, partial):
    """Partial sums of `step` rows at a time: memory is read from the first to the last byte."""
    outer, block = part // partial.shape[1], part % partial.shape[1]
    row, last = block * step, min((block + 1) * step, x.shape[1])
    total = partial[outer, block]
    while last - row >= ROWS:
        for j in range(total.size):
            t = x.dtype.type(0)
            for i in range(ROWS):
                t += x[U(outer), U(row + i), U(j)]
            total[j] += t
        row += ROWS
    for i in range(row, last):
        for j in range(total.size):
            total[j] += x[U(outer), U(i), U(j)]


@task
def _accumulate(part, step, strips, x, out):
    first, start = part // strips * step, part % strips * STRIP
    last, stop = min(first + step, x.shape[0]), min(start + STRIP, x.shape[2])
    if x.shape[2] == 1:
        for outer in range(first, last):
            line, sums = x[outer, :, 0], out[outer, :, 0]
            running = 0.0
            for i in range(len(line)):
                running += line[i]
                sums[i] = running
        return
    total = np.empty(stop - start)
    for outer in range(first, last):
        total[:] = 0
        for i in range(x.shape[1]):
            line, sums = x[outer, i, start:stop], out[outer, i, start:stop]
            for j in range(len(total)):
                total[j] += line[j]
                sums[j] = total[j]
