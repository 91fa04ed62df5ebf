"""Transposed copies: squares of numbers turned in registers, so that each cache line is read and written once."""
from __future__ import annotations

from math import prod

import numpy as np

from .. import memory
from ..copies import crossed
from .jit import jit
from .tasks import task
from .vector import lanes, lanes_of, turn

PART = 1 << 15  # elements a part holds, about


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
