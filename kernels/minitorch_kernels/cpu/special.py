"""Error and gamma functions in one pass over memory, where the references take twenty.

In float32 the error functions are the polynomials of `elementwise.py`; the others are the C library's, an element a
call.
"""
from __future__ import annotations

import math

from .. import memory
from .elementwise import unary
from .tasks import task

PART = 1 << 13  # elements a thread takes at a time
WORK = 100  # operations an element costs, about


def erf(x):
    return unary("erf", x) if x.dtype.char == "f" else _in_parts(_erf, x)


def erfc(x):
    return unary("erfc", x) if x.dtype.char == "f" else _in_parts(_erfc, x)


def lgamma(x):
    return _in_parts(_lgamma, x)


def _in_parts(kernel, x):
    out = memory.empty(x.shape, x.dtype)
    kernel(-(-out.size // PART), WORK * out.size, x.reshape(-1), out.reshape(-1))
    return out


@task
def _erf(part, x, out):
    for i in range(part * PART, min((part + 1) * PART, out.size)):
        out[i] = math.erf(float(x[i]))


@task
def _erfc(part, x, out):
    for i in range(part * PART, min((part + 1) * PART, out.size)):
        out[i] = math.erfc(float(x[i]))


@task
def _lgamma(part, x, out):
    for i in range(part * PART, min((part + 1) * PART, out.size)):
        out[i] = math.lgamma(float(x[i]))
