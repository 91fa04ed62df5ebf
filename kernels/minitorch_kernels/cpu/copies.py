"""Copies on several threads: rows as they lie, and squares of numbers turned in registers where axes are exchanged.

A turned square reads and writes each cache line once. What a number means does not matter to a copy of rows: they are
copied as whole numbers of the same size, so that four compiled versions serve every dtype.
"""
from __future__ import annotations

from math import prod

import numpy as np

from .. import memory
from ..copies import crossed, rows
from .jit import jit
from .tasks import task
from .vector import lanes, lanes_of, turn

PART = 1 << 16  # elements a part holds, about


def copy(x):
    """A copy of x, where an axis other than the last is the one whose numbers lie side by side."""
    sizes, steps, side = crossed(x.shape, x.strides, x.itemsize)
    out = memory.empty(x.shape, x.dtype)
    ends = [prod(sizes[i + 1:]) for i in range(len(sizes))]
    source, target = np.zeros(1, np.int64), np.zeros(1, np.int64)  # where each plane of two axes begins
    for i, n in enumerate(sizes[:-1]):
        if i != side:
            source = (source[:, None] + np.arange(n) * (steps[i] // x.itemsize)).reshape(-1)
            target = (target[:, None] + np.arange(n) * ends[i]).reshape(-1)
    rows, columns, lane = sizes[-1], sizes[side], lanes(x.dtype)
    width = -(-min(columns, max(lane, PART // rows)) // lane) * lane
    cuts = -(-columns // width)
    reach = sum((n - 1) * step for n, step in zip(sizes, steps)) // x.itemsize
    flat = np.lib.stride_tricks.as_strided(x, (reach + 1,), (x.itemsize,))
    _turn_planes(len(source) * cuts, x.size, cuts, width, rows, columns, flat, steps[-1] // x.itemsize, source,
                 out.reshape(-1), ends[side], target)
    return out


def copy_rows(x):
    """A copy of x, which lies in rows."""
    return copy_into(memory.empty(x.shape, x.dtype), x)


def copy_into(out, x):
    """out[...] = x, for arrays of one shape and dtype that do not overlap, and for which there are `rows`."""
    kind, places, (low, reach), (x_low, x_reach), start = rows(out.shape, out.strides, x.strides, x.itemsize)
    _copy_rows(-(-out.size // PART), out.size, places, start, span(out, kind, low, reach),
               span(x, kind, x_low, x_reach))
    return out


def span(x, kind, low, reach):
    """So many numbers from the lowest of x, writable for the kernel's type whether x is or not."""
    return np.asarray(_Span(x, kind, x.__array_interface__["data"][0] + low, reach))


class _Span:
    """Memory that an array owns, told to NumPy by address."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, owner, kind, address, count):
        self.owner = owner
        self.__array_interface__ = {"data": (address, False), "shape": (count,), "typestr": kind, "version": 3}


@task
def _copy_rows(part, places, start, out, x):
    """PART elements, in the order of `out`: sizes, and distances in `out` and x, are the rows of `places`."""
    run, step = places[0, 3], places[2, 3]
    i, end = part * PART, min((part + 1) * PART, places[0, 0] * places[0, 1] * places[0, 2] * run)
    while i < end:
        row, first = i // run, i % run
        count = min(run - first, end - i)
        at, c, row = (row // (places[0, 1] * places[0, 2]), row % places[0, 2], row // places[0, 2])
        b = row % places[0, 1]
        to = at * places[1, 0] + b * places[1, 1] + c * places[1, 2] + first
        source = start + at * places[2, 0] + b * places[2, 1] + c * places[2, 2] + first * step
        line = out[to:to + count]
        if step == 1:
            same = x[source:source + count]
            for j in range(count):
                line[j] = same[j]
        elif step == -1:
            back = x[source - count + 1:source + 1]
            for j in range(count):
                line[j] = back[np.uint64(count - 1 - j)]
        else:
            value = x[source]
            for j in range(count):
                line[j] = value
        i += count


@task
def _turn_planes(part, cuts, width, rows, columns, x, row, source, out, out_row, target):
    plane, first = part // cuts, part % cuts * width
    transposed(x[source[plane] + first:], row, rows, min(width, columns - first), out[target[plane] + first * out_row:],
               out_row)


@jit
def transposed(x, row, rows, columns, out, out_row):
    """out[column, r] = x[r, column], for matrices whose rows begin `row` and `out_row` numbers apart."""
    lane = lanes_of(out)
    for c in range(0, columns, lane):
        for r in range(0, rows, lane):
            turn(x, r * row + c, row, rows - r, columns - c, out, c * out_row + r, out_row)
