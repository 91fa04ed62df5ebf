"""Resampling in one pass: along the last axis number by number, along any other by whole rows, which vectorise."""
from __future__ import annotations

from math import prod

from .. import memory
from .jit import jit
from .tasks import task

PART = 1 << 14  # results in a part, about


def banded(x, start, weights, axis):
    """See `minitorch_kernels.resample.banded`."""
    axis %= x.ndim
    made = len(start)
    out = memory.empty((*x.shape[:axis], made, *x.shape[axis + 1:]), x.dtype)
    inner = prod(x.shape[axis + 1:])
    lines, result = x.reshape(-1, x.shape[axis], inner), out.reshape(-1, made, inner)
    work = out.size * weights.shape[1]
    if inner == 1:
        step = max(1, PART // made)
        _along(-(-len(lines) // step), work, step, lines[:, :, 0], start, weights, result[:, :, 0])
    else:
        step = max(1, PART // inner)
        cuts = -(-made // step)
        _across(len(lines) * cuts, work, cuts, step, lines, start, weights, result)
    return out


@task
def _along(part, step, x, start, weights, out):
    for line in range(part * step, min((part + 1) * step, len(out))):
        if weights.shape[1] == 2:
            _pairs(x[line], start, weights, out[line])
        else:
            _sums(x[line], start, weights, out[line])


@jit
def _pairs(x, start, weights, out):
    for j in range(len(out)):
        at = start[j]
        out[j] = weights[j, 0] * x[at] + weights[j, 1] * x[at + 1]


@jit
def _sums(x, start, weights, out):
    for j in range(len(out)):
        total = weights[j, 0] * x[start[j]]
        for i in range(1, weights.shape[1]):
            total += weights[j, i] * x[start[j] + i]
        out[j] = total


@task
def _across(part, cuts, step, x, start, weights, out):
    block, first = part // cuts, part % cuts * step
    for j in range(first, min(first + step, out.shape[1])):
        row, source = out[block, j], x[block, start[j]]
        weight = weights[j, 0]
        for c in range(len(row)):
            row[c] = weight * source[c]
        for i in range(1, weights.shape[1]):
            weight, source = weights[j, i], x[block, start[j] + i]
            for c in range(len(row)):
                row[c] += weight * source[c]
