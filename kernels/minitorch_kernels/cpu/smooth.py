"""Smooth activations in one pass over memory each, with an exponential that vectorises in float32.

A logistic function serves most: tanh(u) = 2 sigmoid(2 u) - 1. The error function in gelu is a quotient of polynomials,
wrong by 4e-7 at most; in its derivative Abramowitz and Stegun's 7.1.26, wrong by 1.5e-7 at most, whose exponential is
also the density. float64 calls the C library.
"""
from __future__ import annotations

import math

import numba
import numpy as np
from numba.extending import overload

from .activation import PART, in_parts
from .elementwise import expm1_32, log1p32, log32, tanh32
from .jit import exactly
from .tasks import task
from .widest import widest

WORK = 20  # operations an element costs, about


def sigmoid(x):
    return in_parts(_sigmoid, WORK, x)


def sigmoid_dx(dy, y):
    return in_parts(_sigmoid_dx, WORK, dy, y)


def tanh_dx(dy, y):
    return in_parts(_tanh_dx, WORK, dy, y)


def silu(x):
    return in_parts(_silu, WORK, x)


def silu_dx(dy, x):
    return in_parts(_silu_dx, WORK, dy, x)


def gelu(x, approximate):
    return in_parts(_gelu_tanh if approximate == "tanh" else _gelu, WORK, x)


def gelu_dx(dy, x, approximate):
    return in_parts(_gelu_tanh_dx if approximate == "tanh" else _gelu_dx, WORK, dy, x)


@task
def _sigmoid(part, x, out):
    widest()
    first, last = part * PART, (part + 1) * PART
    x, out = x[first:last], out[first:last]
    for i in range(out.size):
        out[i] = _logistic(x[i])


@task
def _sigmoid_dx(part, dy, y, out):
    first, last = part * PART, (part + 1) * PART
    dy, y, out = dy[first:last], y[first:last], out[first:last]
    for i in range(out.size):
        out[i] = dy[i] * (y[i] * (1 - y[i]))


@task
def _tanh_dx(part, dy, y, out):
    first, last = part * PART, (part + 1) * PART
    dy, y, out = dy[first:last], y[first:last], out[first:last]
    for i in range(out.size):
        out[i] = dy[i] * (1 - y[i] * y[i])


@task
def _silu(part, x, out):
    widest()
    first, last = part * PART, (part + 1) * PART
    x, out = x[first:last], out[first:last]
    for i in range(out.size):
        out[i] = x[i] * _logistic(x[i])


@task
def _silu_dx(part, dy, x, out):
    widest()
    first, last = part * PART, (part + 1) * PART
    dy, x, out = dy[first:last], x[first:last], out[first:last]
    for i in range(out.size):
        out[i] = dy[i] * _silu_slope(x[i])


@task
def _gelu(part, x, out):
    widest()
    first, last = part * PART, (part + 1) * PART
    x, out = x[first:last], out[first:last]
    for i in range(out.size):
        out[i] = x[i] * _below(x[i])


@task
def _gelu_dx(part, dy, x, out):
    widest()
    first, last = part * PART, (part + 1) * PART
    dy, x, out = dy[first:last], x[first:last], out[first:last]
    for i in range(out.size):
        below, density = _normal(x[i])
        out[i] = dy[i] * (below + x[i] * density)


@task
def _gelu_tanh(part, x, out):
    widest()
    first, last = part * PART, (part + 1) * PART
    x, out = x[first:last], out[first:last]
    for i in range(out.size):
        out[i] = x[i] * _logistic(_twice_inner(x[i])[0])


@task
def _gelu_tanh_dx(part, dy, x, out):
    widest()
    first, last = part * PART, (part + 1) * PART
    dy, x, out = dy[first:last], x[first:last], out[first:last]
    for i in range(out.size):
        u, slope = _twice_inner(x[i])
        s = _logistic(u)
        out[i] = dy[i] * (s + x[i] * (s - s * s) * slope)


# Functions of one number, for compiled code: in float32 every constant is one too, or all would be float64

def _by_type(double, single):
    """A function of compiled code that is `single` for a float32 and `double` for a float64."""
    def function(x):
        raise NotImplementedError(f"{double.__name__}: only compiled code can call it")

    overload(function, jit_options={"fastmath": {"contract"}, "error_model": "numpy", "forceinline": True})(
        lambda x: single if x == numba.float32 else double)
    return function


@exactly
def _exponent(x):
    """2^k, r and p such that exp(x) = 2^k exp(r), |r| <= 0.35, exp(r) = 1 + r + p r²: Taylor's series in float32."""
    t = x * LOG2E + SHIFT  # so large a sum is rounded to a whole number, which its low bits hold
    k = t - SHIFT
    power = np.int32(np.float32(t).view(np.int32) << np.int32(23)).view(np.float32)  # k in the bits of the exponent
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    p = T7 * r + T6
    p = p * r + T5
    p = p * r + T4
    p = p * r + T3
    return power, r, p * r + HALF


def _exp32(x):
    power, r, p = _exponent(x)
    y = ((p * r + ONE) * r + ONE) * power
    y = ZERO if x < BOTTOM else y
    return INF if x > TOP else y


_exp = _by_type(lambda x: math.exp(x), _exp32)
_log = _by_type(lambda x: math.log(x), lambda x: log32(x))
_log1p = _by_type(lambda x: math.log1p(x), lambda x: log1p32(x))
_tanh = _by_type(lambda x: math.tanh(x), lambda x: tanh32(x))
_expm1 = _by_type(lambda x: math.expm1(x), lambda x: expm1_32(x))


def _logistic32(x):
    return ONE / (ONE + _exp(-x))


def _below32(x):
    """The normal distribution function: (1 + erf(z)) / 2, erf(z) = z p(z²) / q(z²) up to |z| = 3.9, where it is 1.

    p and q were fitted to erf by least squares, reweighted until the largest error was smallest.
    """
    z = x * SQRT_HALF
    z = END if z > END else z
    z = -END if z < -END else z
    s = z * z
    p = ((((P5 * s + P4) * s + P3) * s + P2) * s + P1) * s + P0
    q = ((((Q5 * s + Q4) * s + Q3) * s + Q2) * s + Q1) * s + ONE
    y = HALF + HALF * z * p / q
    return ZERO if z == -END else y  # not 1e-8: that times a large x would show


def _normal32(x):
    """The normal distribution function at x, and its density."""
    a = abs(x) * SQRT_HALF
    t = ONE / (ONE + A0 * a)
    e = _exp(-a * a)
    tail = ((((A5 * t + A4) * t + A3) * t + A2) * t + A1) * t * e * HALF
    return (tail if x < ZERO else ONE - tail), e * DENSITY


def _silu_slope32(x):
    s = _logistic(x)
    return s * (ONE + x * (ONE - s))


def _twice_inner32(x):
    square = x * x
    return x * (C + D * square), C + D3 * square


_logistic = _by_type(lambda x: 1 / (1 + math.exp(-x)), _logistic32)
_silu_slope = _by_type(lambda x: (1 + x * (1 - 1 / (1 + math.exp(-x)))) / (1 + math.exp(-x)), _silu_slope32)
_below = _by_type(lambda x: 0.5 * math.erfc(-x * 0.7071067811865476), _below32)
_normal = _by_type(lambda x: (0.5 * math.erfc(-x * 0.7071067811865476), math.exp(-0.5 * x * x) * 0.3989422804014327),
                   _normal32)
_twice_inner = _by_type(lambda x: (x * (1.5957691216057308 + 0.07135481627260025 * x * x),
                                   1.5957691216057308 + 0.21406444881780076 * x * x), _twice_inner32)

ZERO, HALF, ONE, INF = map(np.float32, (0, 0.5, 1, math.inf))
LOG2E, SHIFT = np.float32(1 / math.log(2)), np.float32(1.5 * 2**23 + 127)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(math.log(2) - 0.693359375)
TOP, BOTTOM = np.float32(127.49 * math.log(2)), np.float32(-125.9999 * math.log(2))
T3, T4, T5, T6, T7 = [np.float32(1 / math.factorial(k)) for k in range(3, 8)]
SQRT_HALF, DENSITY = np.float32(math.sqrt(0.5)), np.float32(1 / math.sqrt(2 * math.pi))
A0, A1, A2, A3, A4, A5 = map(np.float32, (0.3275911, 0.254829592, -0.284496736, 1.421413741, -1.453152027,
                                          1.061405429))
END = np.float32(3.9)
P0, P1, P2, P3, P4, P5 = map(np.float32, (1.1283791, 0.18967192, 0.052668758, 0.0037385672, 0.00028506757,
                                          2.0664377e-06))
Q1, Q2, Q3, Q4, Q5 = map(np.float32, (0.50142515, 0.11382107, 0.014914716, 0.0011574307, 3.8269936e-05))
C = np.float32(2 * math.sqrt(2 / math.pi))  # 2 u = C x + D x³ of gelu's approximation by tanh(u)
D = np.float32(2 * math.sqrt(2 / math.pi) * 0.044715)
D3 = np.float32(3 * 2 * math.sqrt(2 / math.pi) * 0.044715)
