"""Bessel functions, the incomplete gamma functions, the Hurwitz zeta function, orthogonal polynomials.

Bessel functions of small arguments are mean values over a circle (NIST Digital Library of Mathematical Functions
10.9.2, 10.32.3; the trapezoidal rule converges exponentially on periodic functions: Trefethen and Weideman 2014), those
of large ones are asymptotic series (10.17, 10.40). Incomplete gamma functions: 8.7.1 and 8.9.2; zeta: 2.10.1, 25.11.
"""
from __future__ import annotations

import math
from functools import cache
from typing import Any

from .special import _BERNOULLI, _wide
from .table import kernel

EULER = 0.57721566490153286061
NEAR = 25.0  # where the asymptotic series take over
POINTS = 160  # of a circle: enough for arguments up to NEAR


# Modified: I and K

@kernel
def i0e(xp, x):
    """exp(-|x|) I₀(x)."""
    x, dtype = _wide(x)
    return _scaled_i(xp, xp.abs(x), 0).astype(dtype)


@kernel
def i1e(xp, x):
    """exp(-|x|) I₁(x)."""
    x, dtype = _wide(x)
    return (xp.sign(x) * _scaled_i(xp, xp.abs(x), 1)).astype(dtype)


@kernel
def i0(xp, x):
    """I₀(x)."""
    x, dtype = _wide(x)
    return (xp.exp(xp.abs(x)) * _scaled_i(xp, xp.abs(x), 0)).astype(dtype)


@kernel
def i1(xp, x):
    """I₁(x)."""
    x, dtype = _wide(x)
    return (xp.exp(xp.abs(x)) * xp.sign(x) * _scaled_i(xp, xp.abs(x), 1)).astype(dtype)


@kernel
def k0e(xp, x):
    """exp(x) K₀(x): inf at 0, nan below."""
    return _scaled_k(xp, x, 0)


@kernel
def k1e(xp, x):
    """exp(x) K₁(x): inf at 0, nan below."""
    return _scaled_k(xp, x, 1)


def _scaled_i(xp: Any, x: Any, n: int) -> Any:
    """exp(-x) Iₙ(x) for x >= 0: the mean of exp(x (cos t - 1)) cos n t over a circle, symmetric in t."""
    near, total = xp.minimum(x, NEAR), 0.0
    small = xp.minimum(x, 0.5)
    for t, weight in _half_circle():
        total = total + xp.exp(near * (math.cos(t) - 1)) * (weight * math.cos(n * t))
    if n:  # the mean cancels near 0, the power series does not
        series = sum((small / 2) ** (2 * j + 1) / (math.factorial(j) * math.factorial(j + 1)) for j in range(8))
        total = xp.where(x < 0.5, xp.exp(-small) * series, total)
    far = xp.maximum(x, NEAR)
    return xp.where(x <= NEAR, total, _hankel(far, n, -1.0)[0] / xp.sqrt(2 * math.pi * far) + 0 * x)


def _scaled_k(xp: Any, x: Any, n: int) -> Any:
    """exp(x) Kₙ(x): the integral of exp(-x (cosh t - 1)) cosh n t, and up to 2 the logarithm with a power series."""
    x, dtype = _wide(x)
    large, small, step, middle = xp.maximum(x, 2.0), xp.minimum(xp.maximum(x, 0.0), 2.0), 0.05, 0.0
    for j in range(80):
        t = j * step
        middle = middle + xp.exp(-large * (math.cosh(t) - 1)) * (math.cosh(n * t) * step * (0.5 if j == 0 else 1))
    far = xp.maximum(x, NEAR)
    far = xp.sqrt(math.pi / (2 * far)) * _hankel(-far, n, -1.0)[0]
    half = small / 2
    log, near, harmonic = xp.log(half) + EULER, 0.0, 0.0
    for j in range(20):
        if n == 0:
            near = near + (harmonic - log) * half ** (2 * j) / math.factorial(j) ** 2
        else:
            near = near + (log - harmonic - 0.5 / (j + 1)) * half ** (2 * j + 1) / (
                math.factorial(j) * math.factorial(j + 1))
        harmonic += 1 / (j + 1)
    near = xp.exp(small) * (near if n == 0 else near + 1 / small)
    y = xp.where(x <= 2, near, xp.where(x <= NEAR, middle, far))
    return xp.where(x == 0, xp.inf, xp.where(x < 0, xp.nan, y)).astype(dtype)


# J and Y

@kernel
def bessel_j0(xp, x):
    """J₀(x)."""
    return _oscillating(xp, x, 0, "j")


@kernel
def bessel_j1(xp, x):
    """J₁(x)."""
    return _oscillating(xp, x, 1, "j")


@kernel
def bessel_y0(xp, x):
    """Y₀(x): -inf at 0, nan below."""
    return _oscillating(xp, x, 0, "y")


@kernel
def bessel_y1(xp, x):
    """Y₁(x): -inf at 0, nan below."""
    return _oscillating(xp, x, 1, "y")


def _oscillating(xp: Any, x: Any, n: int, kind: str) -> Any:
    """Jₙ or Yₙ. Y₀ is (2 / pi) (log(x / 2) + gamma) J₀ - (4 / pi) Σ (-1)^k J₂ₖ / k; Y₁ is -Y₀'."""
    x, dtype = _wide(x)
    y = xp.abs(x)
    near, far = xp.minimum(y, NEAR), xp.maximum(y, NEAR)
    j0, j1, even, odd = 0.0, 0.0, 0.0, 0.0
    for t, weight in _half_circle():
        sine = math.sin(t)
        cosine, slope = xp.cos(near * sine) * weight, xp.sin(near * sine) * (sine * weight)
        log = _neumann(t)
        j0, j1, even, odd = j0 + cosine, j1 + slope, even + cosine * log, odd + slope * log
    p, q = _hankel(far, n, 1.0)
    phase, scale = far - (2 * n + 1) * math.pi / 4, xp.sqrt(2 / (math.pi * far))
    if kind == "j":
        y = xp.where(y <= NEAR, j1 if n else j0, scale * (p * xp.cos(phase) - q * xp.sin(phase)))
        return (y * xp.sign(x) if n else y).astype(dtype)
    positive = xp.where(near > 0, near, 1.0)
    log = xp.log(positive / 2) + EULER
    low = 2 / math.pi * (log * j1 - j0 / positive - 2 * odd) if n else 2 / math.pi * (log * j0 - 2 * even)
    found = xp.where(y <= NEAR, low, scale * (p * xp.sin(phase) + q * xp.cos(phase)))
    return xp.where(x == 0, -xp.inf, xp.where(x < 0, xp.nan, found)).astype(dtype)


def _half_circle() -> list[tuple[float, float]]:
    """Points of half a circle and their weights: the other half is its mirror image."""
    half = POINTS // 2
    return [(math.pi * j / half, (0.5 if j in (0, half) else 1.0) / half) for j in range(half + 1)]


@cache
def _neumann(t: float) -> float:
    """Σ (-1)^k cos(2 k t) / k."""
    return sum((-1) ** k * math.cos(2 * k * t) / k for k in range(1, POINTS // 4))


def _hankel(x: Any, n: int, sign: float) -> tuple[Any, Any]:
    """The series of Hankel's expansion: with `sign` 1 its even and odd terms apart, both alternating; with -1 all
    terms, alternating, in the first."""
    term, sums = 1.0, [1.0 + 0 * x, 0.0 * x]
    for j in range(1, 24):
        term = term * (4 * n * n - (2 * j - 1) ** 2) / (8 * j * x)
        if sign < 0:
            sums[0] = sums[0] + (-1) ** j * term
        else:
            sums[j % 2] = sums[j % 2] + (-1) ** (j // 2) * term
    return sums[0], sums[1]


# Incomplete gamma functions

@kernel
def igamma(xp, a, x):
    """P(a, x), the regularised lower incomplete gamma function: nan for negative arguments."""
    return _incomplete(xp, a, x, False)


@kernel
def igammac(xp, a, x):
    """Q(a, x) = 1 - P(a, x), without cancellation."""
    return _incomplete(xp, a, x, True)


def _incomplete(xp: Any, a: Any, x: Any, upper: bool) -> Any:
    from .special import lgamma

    (a, dtype), (x, _) = _wide(a), _wide(x)
    a, x = a + xp.zeros(x.shape), x + xp.zeros(a.shape)
    usual = (a > 0) & (x > 0) & (a < xp.inf) & (x < xp.inf)
    b, z = xp.where(usual, a, 1.0), xp.where(usual, x, 1.0)
    front = xp.exp(b * xp.log(z) - z - lgamma(xp, b))
    below = z < b + 1
    lower, top = _lower_series(xp, xp.where(below, z, 1.0), xp.where(below, b, 1.0)), \
        _upper_fraction(xp, xp.where(below, 3.0, z), xp.where(below, 1.0, b))
    lower, top = front * lower, front * top
    y = xp.where(below, 1 - lower if upper else lower, top if upper else 1 - top)
    edge = xp.where((x == 0) | (a == xp.inf), 0.0, 1.0)  # of P: at x = 0, at infinite arguments, at a = 0
    edge = xp.where((a < 0) | (x < 0) | (a != a) | (x != x) | ((a == 0) & (x == 0)) | ((a == xp.inf) & (x == xp.inf)),
                    xp.nan, edge)
    return xp.where(usual, y, 1 - edge if upper else edge).astype(dtype)


def _lower_series(xp: Any, x: Any, a: Any) -> Any:
    """Σ xᵏ / (a (a + 1) ... (a + k))."""
    term = total = 1 / a
    k = 0
    while k < 10000 and bool((term > total * 1e-17).any()):
        k += 1
        term = term * x / (a + k)
        total = total + term
    return total


def _upper_fraction(xp: Any, x: Any, a: Any) -> Any:
    """The continued fraction 1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - ...)), from the front (Lentz's method)."""
    b = x + 1 - a
    c, d = 1e300 + 0 * x, 1 / b
    y, k, change = d, 0, d
    while k < 10000 and (k == 0 or bool((xp.abs(change - 1) > 5e-16).any())):
        k += 1
        n = -k * (k - a)
        b = b + 2
        d, c = 1 / _nonzero(xp, n * d + b), _nonzero(xp, b + n / c)
        change = c * d
        y = y * change
    return y


def _nonzero(xp: Any, x: Any) -> Any:
    return xp.where(xp.abs(x) < 1e-300, 1e-300, x)


# Zeta

@kernel
def zeta(xp, s, q):
    """Σ (q + k)^-s over k = 0, 1, ...: inf for s = 1, nan for s < 1; by Euler and Maclaurin's formula."""
    (s, dtype), (q, _) = _wide(s), _wide(q)
    s, q = s + xp.zeros(q.shape), q + xp.zeros(s.shape)
    whole = q == xp.floor(q)
    wrong = (s < 1) | ((q < 0) & (s != xp.floor(s)))
    a = xp.where((q <= 0) & whole, 1.0, q)
    total = 0.0
    while True:
        small = a < 12 + xp.minimum(s, 1e4)  # the series goes by s / (2 pi a)
        if not small.any():
            break
        total = total + xp.where(small, xp.where(small, a, 1.0) ** -s, 0.0)
        a = xp.where(small, a + 1, a)
    power = a ** -s
    tail, factor = 0.0, s / (2 * a)
    for j, b in enumerate(_BERNOULLI, 1):
        tail = tail + b * factor
        factor = factor * (s + 2 * j - 1) * (s + 2 * j) / ((2 * j + 1) * (2 * j + 2) * a * a)
    y = total + power * (a / xp.where(s == 1, 1.0, s - 1) + 0.5 + tail)
    y = xp.where((s == 1) | ((q <= 0) & whole), xp.inf, y)
    return xp.where(wrong | (s != s) | (q != q), xp.nan, y).astype(dtype)


# Orthogonal polynomials: p₀ = 1, p₁ = (a + b x), pₙ₊₁ = (...) pₙ - ... pₙ₋₁

_STEPS = {  # first polynomial, next one from the last two
    "chebyshev_polynomial_t": (lambda x: x, lambda n, x, p, o: 2 * x * p - o),
    "chebyshev_polynomial_u": (lambda x: 2 * x, lambda n, x, p, o: 2 * x * p - o),
    "chebyshev_polynomial_v": (lambda x: 2 * x - 1, lambda n, x, p, o: 2 * x * p - o),
    "chebyshev_polynomial_w": (lambda x: 2 * x + 1, lambda n, x, p, o: 2 * x * p - o),
    "hermite_polynomial_h": (lambda x: 2 * x, lambda n, x, p, o: 2 * x * p - 2 * n * o),
    "hermite_polynomial_he": (lambda x: x, lambda n, x, p, o: x * p - n * o),
    "laguerre_polynomial_l": (lambda x: 1 - x, lambda n, x, p, o: ((2 * n + 1 - x) * p - n * o) / (n + 1)),
    "legendre_polynomial_p": (lambda x: x, lambda n, x, p, o: ((2 * n + 1) * x * p - n * o) / (n + 1)),
}
POLYNOMIALS = (*_STEPS, *[f"shifted_{name}" for name in _STEPS if name.startswith("chebyshev")])


@kernel
def orthogonal_polynomial(xp, x, n, name):
    """The polynomial of that name and degree n, an integer for each element; 0 for a negative degree."""
    x, dtype = _wide(x)
    n = xp.asarray(n).astype("int64") + xp.zeros(x.shape, "int64")
    if name.startswith("shifted_"):
        name, x = name[8:], 2 * x - 1
    first, following = _STEPS[name]
    x = x + xp.zeros(n.shape)
    older, last = 1.0 + 0 * x, first(x)
    y = xp.where(n == 0, older, xp.where(n == 1, last, 0.0))
    for degree in range(1, int(n.max()) if n.size else 0):
        older, last = last, following(degree, x, last, older)
        y = xp.where(n == degree + 1, last, y)
    return y.astype(dtype)
