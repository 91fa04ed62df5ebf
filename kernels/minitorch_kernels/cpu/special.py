"""Error and gamma functions by the C library, an element a call: the references pass over memory twenty times."""
from __future__ import annotations

import math

from .. import memory, parallel
from .jit import jit

PART = 1 << 13  # elements a thread takes at a time
WORK = 100  # operations an element costs, about


def erf(x):
    return _in_parts(_erf, x)


def erfc(x):
    return _in_parts(_erfc, x)


def lgamma(x):
    return _in_parts(_lgamma, x)


def _in_parts(kernel, x):
    out = memory.empty(x.shape, x.dtype)
    source, target, parts = x.reshape(-1), out.reshape(-1), parallel.chunks(out.size, PART)
    parallel.run(lambda i: kernel(source[parts[i]], target[parts[i]]), len(parts), WORK * out.size)
    return out


@jit
def _erf(x, out):
    for i in range(out.size):
        out[i] = math.erf(float(x[i]))


@jit
def _erfc(x, out):
    for i in range(out.size):
        out[i] = math.erfc(float(x[i]))


@jit
def _lgamma(x, out):
    for i in range(out.size):
        out[i] = math.lgamma(float(x[i]))
