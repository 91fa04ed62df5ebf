"""Stacks of matrices with any strides between them, for kernels that take flat memory: so no copy is needed."""
from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .. import memory


def like(shape, x):
    """An empty array whose dimensions lie in memory in the order of those of `x`.

    Where heads were cut out of (batch, length, width), what comes out can be put together without a copy.
    """
    if x.ndim != len(shape) or x.flags.c_contiguous or min(x.strides) <= 0:
        return memory.empty(shape, x.dtype)
    last = x.ndim - 1
    order = [*sorted(range(last), key=lambda i: -x.strides[i]), last]
    return memory.empty(tuple([shape[i] for i in order]), x.dtype).transpose(np.argsort(order))


def operand(x, lead):
    """x as flat memory, where the matrix of each index of `lead` begins in it, and the distance of rows."""
    flags, size = x.flags, x.itemsize
    if x.strides[-1] != size or min(x.strides) < 0 or not (flags.aligned and flags.writeable) \
            or any([s % size for s in x.strides]):
        x = x.copy()
    steps = [s // size if n > 1 else 0 for n, s in zip(x.shape, x.strides)]
    if flags.c_contiguous:
        flat = x.reshape(-1)
    else:
        flat = as_strided(x, (1 + sum([(n - 1) * s for n, s in zip(x.shape, steps)]),), (size,))
    return flat, starts(lead, tuple(steps[:-2])), steps[-2]


@lru_cache(256)
def starts(lead, steps):
    """The places of all indices of `lead` in an array whose last of these dimensions have these strides."""
    places = np.zeros(1, np.int64)
    for n, step in zip(lead, (*(0,) * (len(lead) - len(steps)), *steps)):
        places = np.add.outer(places, np.arange(n) * step).reshape(-1)
    return places
