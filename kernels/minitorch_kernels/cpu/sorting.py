"""Numba version of the few largest or smallest of each line: one pass, and an insertion where one is found."""
from __future__ import annotations

import numpy as np

from .jit import jit
from .tasks import task

PART = 1 << 15  # numbers of a part
BLOCK = 32  # numbers that are compared with the least of the best before any of them is looked at
WORK = 2  # operations that a number costs, about
U = np.uint64  # an index of this type is not tested for counting from the end: loops vectorise


def top(x: np.ndarray, count: int, axis: int, largest: bool = True) -> np.ndarray:
    """See `minitorch_kernels.sorting.top`; for float32 and float64."""
    lines = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    whole = np.dtype(f"i{x.itemsize}")
    bits = lines.reshape(-1, lines.shape[-1]).view(whole)
    most, infinity = np.iinfo(whole).max, int(np.array(np.inf, x.dtype).view(whole))
    out = np.empty((len(bits), count), np.int64)
    step = max(1, PART // bits.shape[1])
    _top_of_lines(-(-len(bits) // step), WORK * bits.size, step, bits, most, infinity, -int(not largest), out)
    return np.moveaxis(out.reshape(*lines.shape[:-1], count), -1, axis)


@task
def _top_of_lines(part, step, bits, most, infinity, flip, out):
    best, keys = np.empty(out.shape[1], bits.dtype), np.empty(bits.shape[1], bits.dtype)
    for line in range(part * step, min((part + 1) * step, len(bits))):
        _order(bits[line], most, infinity, flip, keys)
        _top_of(keys, best, out[line])


@jit
def _order(bits, most, infinity, flip, keys):
    """Whole numbers in the order of the floats of these bits, nan last and -0 equal to 0; backwards if flip is -1."""
    for j in range(len(keys)):
        i = U(j)
        magnitude = bits[i] & most
        key = -magnitude if bits[i] < 0 else magnitude
        keys[i] = (most if magnitude > infinity else key) ^ flip


@jit
def _top_of(keys, best, out):
    """out: where the largest keys stand; `best` has them, in order."""
    for j in range(len(best)):
        _insert(keys[j], j, j, best, out)
    last = len(best) - 1
    for start in range(len(best), len(keys), BLOCK):
        end, above = min(start + BLOCK, len(keys)), 0
        for j in range(start, end):
            above += keys[U(j)] > best[last]
        if above:
            for j in range(start, end):
                if keys[U(j)] > best[last]:
                    _insert(keys[j], j, last, best, out)


@jit
def _insert(key, index, place, best, out):
    """Put the key before those that are less, and drop the one at `place`; equal ones stay in their order."""
    while place > 0 and best[place - 1] < key:
        best[place], out[place] = best[place - 1], out[place - 1]
        place -= 1
    best[place], out[place] = key, index
