"""The Airy function Ai, the solution of y'' = x y that decays for positive x.

Formulas: NIST Digital Library of Mathematical Functions, chapter 9.
"""
from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from .special import _wide
from .table import kernel

FIRST, LAST = -9, 2  # between them Taylor series, below an asymptotic one, above an integral
TERMS = 28


@kernel
def airy_ai(xp, x):
    """Ai(x), to a relative error of 1e-13 for positive x, an absolute one of 3e-14 from -100 on; nan at infinities.

    >>> round(float(airy_ai(np, np.array(0.0))), 6)
    0.355028
    """
    x, dtype = _wide(x)
    y = xp.where(x < FIRST, _below(xp, -xp.minimum(x, FIRST)),
                 xp.where(x > LAST, _above(xp, xp.maximum(x, LAST)), _between(xp, x)))
    return xp.where(xp.abs(x) < math.inf, y, xp.nan).astype(dtype)


def _below(xp: Any, z: Any) -> Any:
    """Ai(-z) by 9.7.9."""
    zeta, root = _zeta(xp, z)
    sums, term = [0.0, 0.0], 1.0
    for k in range(TERMS):
        sums[k % 2] = sums[k % 2] + (-1) ** (k // 2) * term
        term = term * ((6 * k + 1) * (6 * k + 3) * (6 * k + 5) / ((2 * k + 1) * 216 * (k + 1))) / zeta
    phase = zeta - math.pi / 4
    return (xp.cos(phase) * sums[0] + xp.sin(phase) * sums[1]) / (math.sqrt(math.pi) * xp.sqrt(root))


def _above(xp: Any, x: Any) -> Any:
    """Ai(x) by the path of steepest descent (9.5.8, t = s x^(-1/4)): the trapezoidal rule for
    exp(-2/3 x^(3/2)) / (pi x^(1/4)) ∫ exp(-s²) cos(s³ / (3 x^(3/4))) ds from 0 to infinity."""
    zeta, root = _zeta(xp, x)
    step, total = 0.18, 0.5
    for j in range(1, 35):
        s = j * step
        total = total + math.exp(-s * s) * xp.cos(s ** 3 / (3 * root * xp.sqrt(root)))
    return xp.exp(-zeta) * total * step / (math.pi * xp.sqrt(root))


def _between(xp: Any, x: Any) -> Any:
    """Ai(x) by the Taylor series about the nearest integer."""
    near = xp.minimum(xp.maximum(xp.where(x == x, x, 0.0), FIRST), LAST)
    place = xp.rint(near)
    row, step, y = (place - FIRST).astype("int64"), near - place, 0.0
    table = xp.asarray(_taylor_series())
    for k in reversed(range(TERMS)):
        y = y * step + table[row, k]
    return y


def _zeta(xp: Any, z: Any) -> tuple[Any, Any]:
    """2/3 z^(3/2) and √z."""
    root = xp.sqrt(z)
    return 2 / 3 * z * root, root


@cache
def _taylor_series() -> Any:
    """The coefficients about each integer from FIRST to LAST: the series about one gives value and slope at the next,
    beginning with 9.2.3 and 9.2.4 at 0."""
    start = (3 ** (-2 / 3) / math.gamma(2 / 3), -(3 ** (-1 / 3)) / math.gamma(1 / 3))
    rows = {}
    for direction, end in ((-1, FIRST), (1, LAST)):
        value, slope = start
        for at in range(0, end + direction, direction):
            c = [value, slope, at * value / 2]
            for n in range(1, 2 * TERMS):  # y'' = x y, by the powers of x - at
                c.append((at * c[n] + c[n - 1]) / ((n + 1) * (n + 2)))
            rows[at] = c[:TERMS]
            value = sum(a * direction ** n for n, a in enumerate(c))
            slope = sum(n * a * direction ** (n - 1) for n, a in enumerate(c) if n)
    return np.array([rows[at] for at in range(FIRST, LAST + 1)])
