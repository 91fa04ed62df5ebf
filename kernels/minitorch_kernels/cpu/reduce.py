"""Numba versions of sums and cumulative sums: memory is read once, by all threads, and added up in float64."""
from __future__ import annotations

import numpy as np

from .. import memory, parallel
from ..reduce import merged
from .jit import jit

BLOCK = 1 << 16  # elements of a thread's part
STRIP = 256  # columns that a thread takes at a time


def sum(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """The sum of a contiguous array over the axes that `merged` makes one or two groups of."""
    kinds, sizes = merged(x.shape, axis)
    axes = range(x.ndim) if axis is None else [a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))]
    shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]
    if kinds == "r":
        out = _whole(x.reshape(-1))
    elif kinds in ("kr", "rkr"):
        x = x.reshape(sizes if kinds == "rkr" else (1, *sizes))
        out = np.empty(x.shape[1], x.dtype)
        parts = parallel.chunks(x.shape[1], max(1, BLOCK // (x.shape[0] * x.shape[2])))
        parallel.run(lambda i: _rows(x, out, parts[i].start, parts[i].stop), len(parts), x.size)
    else:
        x = x.reshape(sizes if kinds == "krk" else (1, *sizes))
        out = np.empty((x.shape[0], x.shape[2]), x.dtype)
        strips = parallel.chunks(x.shape[2], STRIP)

        def part(i):
            strip = strips[i % len(strips)]
            _columns(x, out, i // len(strips), strip.start, strip.stop)

        parallel.run(part, x.shape[0] * len(strips), x.size)
    return out.reshape(shape)


def cumsum(x: np.ndarray, axis: int) -> np.ndarray:
    """The cumulative sum of a contiguous array along one axis."""
    axis %= x.ndim
    n = x.shape[axis]
    inner = int(np.prod(x.shape[axis + 1:]))
    lines = x.reshape(-1, n, inner)
    out = memory.empty(lines.shape, x.dtype)
    strips = parallel.chunks(inner, STRIP)
    rows = parallel.chunks(len(lines), max(1, BLOCK // (n * min(inner, STRIP))))

    def part(i):
        strip, some = strips[i % len(strips)], rows[i // len(strips)]
        _accumulate(lines, out, some.start, some.stop, strip.start, strip.stop)

    parallel.run(part, len(strips) * len(rows), x.size)
    return out.reshape(x.shape)


def _whole(x: np.ndarray) -> np.ndarray:
    parts = parallel.chunks(x.size, BLOCK)
    partial = np.empty(len(parts))

    def part(i):
        partial[i] = _total(x, parts[i].start, parts[i].stop)

    parallel.run(part, len(parts), x.size)
    return partial.sum().astype(x.dtype)


@jit
def _total(x, start, stop):
    return _line(x[start:stop])


@jit
def _rows(x, out, start, stop):
    for row in range(start, stop):
        total = 0.0
        for outer in range(x.shape[0]):
            total += _line(x[outer, row])
        out[row] = total


@jit
def _line(x):
    """The sum of a line: blocks of a constant length, which vectorise, in its own type, and all blocks in float64."""
    total, at, n = 0.0, 0, len(x)
    while n - at >= 1024:
        block = x[at:at + 1024]
        part = x.dtype.type(0)
        for i in range(1024):
            part += block[i]
        total += part
        at += 1024
    while n - at >= 64:
        block = x[at:at + 64]
        part = x.dtype.type(0)
        for i in range(64):
            part += block[i]
        total += part
        at += 64
    for i in range(at, n):
        total += x[i]
    return total


@jit
def _columns(x, out, outer, start, stop):
    total = np.zeros(stop - start)
    for i in range(x.shape[1]):
        line = x[outer, i, start:stop]
        for j in range(len(total)):
            total[j] += line[j]
    for j in range(len(total)):
        out[outer, start + j] = total[j]


@jit
def _accumulate(x, out, first, last, start, stop):
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
