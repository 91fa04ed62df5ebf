"""Uniform numbers into normal ones, rounding for rounding as PyTorch's compiled code does it.

In float32 that code takes log, sin and cos from Cephes' polynomials (Moshier, netlib.org/cephes/single),
eight at a time with AVX2, and the compiler made a fused multiply-add wherever it could. Both are spelled out
here in operations that IEEE 754 fixes, so that the numbers are the same on every machine.
"""
from __future__ import annotations

import numpy as np

from .rounding import affine, fma


def box_muller(u: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Normal numbers from uniform ones in [0, 1), whole blocks of 16, in u's dtype (float32 or float64).

    u[j] and u[j + 8] of a block make the two normal numbers at their places: radius sqrt(-2 log(1 - u[j])),
    angle 2 pi u[j + 8], the cosine first (Box and Muller, Ann. Math. Statist. 29, 1958; PyTorch's
    normal_fill). float32 is bit for bit PyTorch's on x86 with AVX2. In float64 PyTorch calls the C library,
    from which NumPy's log, sin and cos differ in the last bit now and then.

    >>> box_muller(np.full(16, 0.5, np.float32), 0.0, 1.0)[[0, 8]]
    array([-1.17741001e+00, -1.02932454e-07], dtype=float32)
    """
    u = u.reshape(-1, 2, 8)
    rest, angle = 1 - u[:, 0], u[:, 1] * u.dtype.type(2 * np.pi)
    if u.dtype == np.float32:
        log, (sine, cosine) = _log(rest), _sincos(angle)
    else:
        log, sine, cosine = np.log(rest), np.sin(angle), np.cos(angle)
    log *= -2
    radius = np.sqrt(log, out=log)
    return affine(np.stack([radius * cosine, radius * sine], 1).reshape(-1), std, mean)


def _f32(*coefficients: float) -> tuple[float, ...]:
    return tuple(float(np.float32(c)) for c in coefficients)


# Cephes' logf, sinf and cosf: minimax polynomials, highest power first
LOG = _f32(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
            -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
LN2_HIGH, LN2_LOW = _f32(0.693359375, -2.12194440e-4)
COS = _f32(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
SIN = _f32(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
HALF_PI = tuple(2 * part for part in _f32(0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8))
SQRT_HALF = 0x3F3504F3  # its bits
QUADRANTS = 4 / np.pi  # in a unit of angle, twice


def _log(x: np.ndarray) -> np.ndarray:
    """log(x) of float32 x in (0, 1]: with x = m 2^e and m near 1, log x = log m + e log 2."""
    bits = x.view(np.int32)
    e = (bits - SQRT_HALF) >> 23  # m is in [sqrt(1/2), sqrt(2))
    m = (bits - (e << 23)).view(np.float32)
    m -= 1
    e = e.astype(np.float32)
    square = m * m
    y = _horner(LOG, m)
    y *= m
    y = fma(y, square, e * np.float32(LN2_LOW))
    y -= square * np.float32(0.5)
    m += y
    return fma(e, LN2_HIGH, m)


def _sincos(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of float32 angles >= 0: polynomials on [-pi/4, pi/4], then the quadrant."""
    quadrant = (angle * np.float32(QUADRANTS)).astype(np.int32)
    quadrant += 1
    quadrant >>= 1
    turns, x = quadrant.astype(np.float64), angle
    for part in HALF_PI:  # pi/2 in three parts, so that no bit of x is lost
        x = fma(turns, -part, x)
    square = x * x
    cosine = _horner(COS, square)
    cosine *= square
    cosine = fma(cosine, square, square * np.float32(-0.5))
    cosine += 1
    sine = _horner(SIN, square)
    sine *= square
    sine = fma(sine, x, x)
    s, c = sine.view(np.int32), cosine.view(np.int32)
    swap = (s ^ c) & -(quadrant & 1)
    s ^= swap
    c ^= swap
    s ^= (quadrant & 2) << 30  # the sign bit
    c ^= (quadrant + 1 & 2) << 30
    return sine, cosine


def _horner(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """The polynomial at float32 x, one `fma` a step."""
    x = x.astype(np.float64)
    y = x * coefficients[0]
    y += coefficients[1]
    for c in coefficients[2:]:
        y[...] = y.astype(np.float32)
        y *= x
        y += c
    return y.astype(np.float32)
