"""Numba versions of the indexing kernels."""
from __future__ import annotations

import math

import numpy as np

from .. import memory
from .tasks import task

PART = 1 << 14  # elements of a part
LINES = 32  # rows added up by a part at least: a part looks through the whole index
U = np.uint64  # an index of this type is not tested for counting from the end


def add_rows(rows: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """Zeros (n, width) to which row i of `rows` is added at row index[i]. Raises IndexError for an index outside."""
    out, outside = memory.empty((n, rows.shape[1]), rows.dtype), np.zeros(1, np.bool_)
    step = max(LINES, n // 8)  # of the results: no two parts write to the same row
    _add_rows(-(-n // step), rows.size + out.size, step, rows, index, out, outside)
    if outside[0]:
        raise IndexError(f"add_rows: index has places outside the {n} rows")
    return out


def gather(x: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    """The elements of `x` that `index`, of the same shape but for the axis, names along it."""
    out = memory.empty(index.shape, x.dtype)
    _in_lines(_gather_lines, "gather", x, index, out, axis)
    return out


def gather_dx(dy: np.ndarray, index: np.ndarray, axis: int, shape: tuple, once: bool = False) -> np.ndarray:
    """Zeros of `shape` to which each element of `dy` is added where `index` says."""
    out = memory.empty(shape, dy.dtype)
    _in_lines(_add_lines, "gather_dx", out, index, dy, axis)
    return out


def _in_lines(kernel, name: str, long: np.ndarray, index: np.ndarray, short: np.ndarray, axis: int) -> None:
    """Call a kernel for lines along the axis, which never meet: parts of them at a time."""
    inner, n = math.prod(index.shape[axis + 1:]), long.shape[axis]
    long, index, short = (a.reshape(-1, a.shape[axis], inner) for a in (long, index, short))
    step, outside = max(1, PART // max(index.shape[1] * inner, 1)), np.zeros(1, np.bool_)
    kernel(-(-len(index) // step), 4 * index.size, step, long, index, short, outside)
    if outside[0]:
        raise IndexError(f"{name}: index has places outside the axis of {n}")


@task
def _add_rows(part, step, rows, index, out, outside):
    low, high = part * step, min((part + 1) * step, out.shape[0])
    for at in range(low, high):
        for j in range(out.shape[1]):
            out[U(at), U(j)] = 0
    for i in range(index.size):
        at = index[i]
        if low <= at < high:
            for j in range(out.shape[1]):
                out[U(at), U(j)] += rows[U(i), U(j)]
        elif at < 0 or at >= out.shape[0]:
            outside[0] = True


@task
def _gather_lines(part, step, x, index, out, outside):
    n, wrong = U(x.shape[1]), False
    for outer in range(part * step, min((part + 1) * step, out.shape[0])):
        if index.shape[2] == 1:
            for i in range(index.shape[1]):
                at = U(index[U(outer), U(i), U(0)])
                wrong |= at >= n
                out[U(outer), U(i), U(0)] = x[U(outer), at if at < n else U(0), U(0)]
            continue
        for i in range(index.shape[1]):
            for j in range(index.shape[2]):
                at = U(index[U(outer), U(i), U(j)])
                wrong |= at >= n
                out[U(outer), U(i), U(j)] = x[U(outer), at if at < n else U(0), U(j)]
    if wrong:
        outside[0] = True


@task
def _add_lines(part, step, out, index, dy, outside):
    n, wrong = U(out.shape[1]), False
    for outer in range(part * step, min((part + 1) * step, out.shape[0])):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                out[U(outer), U(i), U(j)] = 0
        if index.shape[2] == 1:
            for i in range(index.shape[1]):
                at = U(index[U(outer), U(i), U(0)])
                wrong |= at >= n
                if at < n:
                    out[U(outer), at, U(0)] += dy[U(outer), U(i), U(0)]
            continue
        for i in range(index.shape[1]):
            for j in range(index.shape[2]):
                at = U(index[U(outer), U(i), U(j)])
                if at < n:
                    out[U(outer), at, U(j)] += dy[U(outer), U(i), U(j)]
                else:
                    wrong = True
    if wrong:
        outside[0] = True
