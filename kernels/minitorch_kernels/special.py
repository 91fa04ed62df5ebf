"""Special functions, and the elementwise ones that array modules lack. float64 within some 1e-15 of the value.

erf, erfc: W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969) 631.
erfinv: M. J. Wichura, Algorithm AS 241: the percentage points of the normal distribution, Appl. Statist. 37
(1988) 477. lgamma, digamma, polygamma: the recurrence, the reflection formula and the asymptotic series, NIST
Digital Library of Mathematical Functions 5.5, 5.11, 5.15; around 2, where lgamma is 0, its Taylor series (5.7.3).
"""
from __future__ import annotations

import functools
import math
from typing import Any

from .onepass import one_pass
from .table import kernel

# What array modules lack

@kernel
def sgn(xp, x):
    """x / |x|, and 0 for 0 and for nan."""
    return xp.where(x == x, xp.sign(x), 0)


@kernel
def rsqrt(xp, x):
    """1 / sqrt(x)."""
    return 1 / xp.sqrt(x)


@kernel
def trunc_div(xp, a, b):
    """a / b rounded towards zero."""
    if _kind(a, b) not in "iu":
        return xp.trunc(a / b)
    q = a // b
    return q + ((q < 0) & (q * b != a))


@kernel
def int_pow(xp, x, n):
    """x to the power of n for integers; 1 / x ** |n|, rounded towards zero, where n is negative."""
    y = xp.power(x, xp.maximum(n, 0))
    if _kind(x, n) == "u":
        return y
    return xp.where(n >= 0, y, xp.where(x == 1, 1, xp.where(x == -1, 1 - 2 * (n & 1), 0)).astype(y.dtype))


@kernel
def sinc(xp, x):
    """sin(pi x) / (pi x), and 1 at 0."""
    z = xp.where(x == 0, 1, math.pi * x)
    return xp.where(x == 0, 1, xp.sin(z) / z)


@kernel
def sinc_slope(xp, x):
    """The derivative of sinc: (cos(pi x) - sinc(x)) / x, and near 0 its Taylor series."""
    near = xp.abs(x) < 0.1
    far = xp.where(near, 1, x)
    terms = [(-1) ** k * 2 * k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(9, 0, -1)]
    series = _polynomial(terms, x * x) * x
    return xp.where(near, series, (xp.cos(math.pi * far) - xp.sin(math.pi * far) / (math.pi * far)) / far)


# Error functions

@kernel
def erf(xp, x):
    """2 / sqrt(pi) times the integral of exp(-t²) from 0 to x."""
    x, dtype = _wide(x)
    y = xp.abs(x)
    low = x * _ratio(*_ERF, xp.where(y < 0.46875, y * y, 0.0))
    return xp.where(y < 0.46875, low, xp.where(x < 0, -1.0, 1.0) * (1 - _upper_erfc(xp, y))).astype(dtype)


@kernel
def erfc(xp, x):
    """1 - erf(x), without the cancellation where x is large."""
    x, dtype = _wide(x)
    y = xp.abs(x)
    low = 1 - x * _ratio(*_ERF, xp.where(y < 0.46875, y * y, 0.0))
    upper = _upper_erfc(xp, y)
    return xp.where(y < 0.46875, low, xp.where(x < 0, 2 - upper, upper)).astype(dtype)


@kernel
def erfcx(xp, x):
    """exp(x²) erfc(x), without the underflow where x is large."""
    x, dtype = _wide(x)
    y = xp.abs(x)
    small = xp.where(y < 0.46875, x, 0.0)
    low = xp.exp(small * small) * (1 - small * _ratio(*_ERF, small * small))
    upper = _scaled_erfc(xp, xp.maximum(y, 0.46875))
    return xp.where(y < 0.46875, low, xp.where(x < 0, 2 * xp.exp(x * x) - upper, upper)).astype(dtype)


@kernel
def log_ndtr(xp, x):
    """The logarithm of the normal distribution function, where that itself underflows too."""
    x, dtype = _wide(x)
    low, high = xp.minimum(x, -1.0), xp.maximum(x, -1.0)
    return xp.where(x < -1, xp.log(erfcx(xp, -low / math.sqrt(2)) / 2) - low * low / 2,
                    xp.log1p(-erfc(xp, high / math.sqrt(2)) / 2)).astype(dtype)


def _upper_erfc(xp: Any, y: Any) -> Any:
    """erfc(y) for y >= 0.46875 (anything below, and nan for nan)."""
    y = xp.maximum(y, 0.46875)
    coarse = xp.minimum(xp.floor(y * 16) / 16, 1e3)  # y² = coarse² + (y - coarse)(y + coarse): the first is exact
    scale = xp.exp(-coarse * coarse) * xp.exp(-(y - coarse) * (y + coarse))
    return scale * _scaled_erfc(xp, y)


def _scaled_erfc(xp: Any, y: Any) -> Any:
    """exp(y²) erfc(y) for y >= 0.46875."""
    middle = _ratio(*_ERFC, xp.minimum(y, 4.0))
    z = 1 / (xp.maximum(y, 4.0) ** 2)
    far = (1 / math.sqrt(math.pi) - z * _ratio(*_FAR_ERFC, z)) / xp.maximum(y, 4.0)
    return xp.where(y <= 4, middle, far)


@kernel
def erfinv(xp, x):
    """The inverse of erf; ±inf at ±1, nan beyond."""
    x, dtype = _wide(x)
    return (_quantile(xp, x / 2, (1 - xp.abs(x)) / 2) / math.sqrt(2)).astype(dtype)


@kernel
def ndtri(xp, p):
    """The quantile of the normal distribution: -inf at 0, inf at 1, nan outside."""
    p, dtype = _wide(p)
    return _quantile(xp, p - 0.5, xp.minimum(p, 1 - p)).astype(dtype)


def _quantile(xp: Any, q: Any, tail: Any) -> Any:
    """The normal quantile of 0.5 + q, where `tail` is 0.5 - |q|."""
    inner = xp.abs(q) <= 0.425
    low = q * _ratio(*_QUANTILE, xp.where(inner, 0.180625 - q * q, 0.0))
    r = xp.sqrt(-xp.log(xp.where(inner, 0.1, tail)))
    near, far = _ratio(*_NEAR_TAIL, xp.minimum(r, 5.0) - 1.6), _ratio(*_FAR_TAIL, xp.minimum(r, 30.0) - 5)
    tail = xp.where(r == xp.inf, r, xp.where(r <= 5, near, far))
    return xp.where(inner, low, xp.where(q < 0, -tail, tail))


# Gamma functions

@kernel
def lgamma(xp, x):
    """log |gamma(x)|; inf at 0 and the negative integers."""
    x, dtype = _wide(x)
    y = xp.where(x < 0.5, 1 - x, x)
    upper = xp.where(y < 8, _reduced_lgamma(xp, xp.where(y < 8, y, 2.0)), _stirling(xp, xp.maximum(y, 8.0)))
    distance = xp.abs(x - xp.rint(x))  # |sin(pi x)| = sin(pi distance), exact at the integers
    reflected = xp.log(math.pi / xp.sin(math.pi * distance)) - upper
    return xp.where(xp.isinf(x), xp.inf, xp.where(x < 0.5, reflected, upper)).astype(dtype)


def _reduced_lgamma(xp: Any, y: Any) -> Any:
    """lgamma(y) for y in [0.5, 8], from its series around 2 by gamma(z + 1) = z gamma(z)."""
    product, z = 1.0, y
    for _ in range(6):
        above = z > 2.5
        z = xp.where(above, z - 1, z)
        product = xp.where(above, product * z, product)
    z = xp.where(y < 1.5, y - 1, z - 2)
    series = z * _polynomial(_lgamma_series(), z)
    return series + xp.where(y < 1.5, -xp.log1p(xp.where(y < 1.5, z, 0)), xp.log(product))


def _stirling(xp: Any, y: Any) -> Any:
    """lgamma(y) for y >= 8."""
    series = _polynomial([b / (2 * j * (2 * j - 1)) for j, b in enumerate(_BERNOULLI, 1)][::-1], 1 / (y * y)) / y
    return xp.where(xp.isinf(y), y, (y - 0.5) * (xp.log(y) - 1) + (0.5 * math.log(2 * math.pi) - 0.5) + series)


@kernel
def digamma(xp, x):
    """The derivative of lgamma; -inf at 0 (inf at -0), nan at the negative integers."""
    x, dtype = _wide(x)
    y = xp.where(x < 0, 1 - x, x)
    total = 0.0
    for _ in range(10):
        small = y < 10
        total = total - xp.where(small, 1 / xp.where(small, y, 1.0), 0.0)
        y = xp.where(small, y + 1, y)
    w = 1 / (y * y)
    series = _polynomial([b / (2 * j) for j, b in enumerate(_BERNOULLI, 1)][::-1], w)
    upper = total + xp.log(y) - 0.5 / y - w * series
    fraction = x - xp.rint(x)
    cotangent = 1 / xp.tan(math.pi * xp.where(fraction == 0, 0.5, fraction))
    reflected = xp.where(fraction == 0, xp.nan, upper - math.pi * cotangent)
    return xp.where(x == 0, -xp.copysign(xp.inf, x), xp.where(x < 0, reflected, upper)).astype(dtype)


@kernel
def polygamma(xp, x, n):
    """The n-th derivative of digamma, n >= 1."""
    x, dtype = _wide(x)
    total, y = 0.0, x
    while True:  # psi(n, y) = psi(n, y + 1) + (-1)^(n+1) n! / y^(n+1)
        small = y < 12
        if not small.any():
            break
        total = total + xp.where(small, xp.where(small, y, 1.0) ** -(n + 1.0), 0.0)
        y = xp.where(small, xp.where(y < -1e4, xp.nan, y) + 1, y)
    w = 1 / y
    bernoulli = [b * math.factorial(2 * j + n - 1) / (math.factorial(2 * j) * math.factorial(n))
                 for j, b in enumerate(_BERNOULLI, 1)]
    series = w * w * _polynomial(bernoulli[::-1], w * w)
    tail = w**n * (1 / n + 0.5 * w + series)
    return ((-1) ** (n + 1) * math.factorial(n) * (total + tail)).astype(dtype)


@functools.cache
def _lgamma_series() -> list[float]:
    """lgamma(2 + z) / z = 1 - gamma + sum of (-1)^k (zeta(k) - 1) z^(k-1) / k, highest power first."""
    return [(-1) ** k * _zeta_minus_1(k) / k for k in range(40, 1, -1)] + [1 - 0.57721566490153286061]


def _zeta_minus_1(k: int, n: int = 100) -> float:
    """2^-k + 3^-k + ..., by Euler and Maclaurin's formula from n on."""
    tail = n ** (1.0 - k) * (1 / (k - 1) + 0.5 / n + k / (12 * n**2) - k * (k + 1) * (k + 2) / (720 * n**4))
    return math.fsum(float(j) ** -k for j in range(2, n)) + tail


_BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330]


# What they share

def _polynomial(coefficients: list[float], x: Any) -> Any:
    """The highest power first, by Horner's rule."""
    y = coefficients[0] * x + coefficients[1]
    for c in coefficients[2:]:
        y = y * x + c
    return y


def _ratio(above: list[float], below: list[float], x: Any) -> Any:
    return _polynomial(above, x) / _polynomial(below, x)


def _wide(x: Any) -> tuple[Any, Any]:
    """`x` in float64, and the dtype to return to."""
    return (x if x.dtype == "float64" else x.astype("float64")), x.dtype


def _kind(a: Any, b: Any) -> str:
    return (a if hasattr(a, "dtype") else b).dtype.kind


# numerators and denominators, the highest power first

_ERF = ([1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
         3.20937758913846947e3],
        [1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3])
_ERFC = ([2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
          2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
          1.23033935479799725e3],
         [1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
          3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3])
_FAR_ERFC = ([1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
              1.60837851487422766e-2, 6.58749161529837803e-4],
             [1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
              2.33520497626869185e-3])
_QUANTILE = ([2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
              1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0],
             [5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
              5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0])
_NEAR_TAIL = ([7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
               1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
               4.63033784615654529590e0, 1.42343711074968357734e0],
              [1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
               1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
               2.05319162663775882187e0, 1.0])
_FAR_TAIL = ([2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
              2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
              5.46378491116411436990e0, 6.65790464350110377720e0],
             [2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
              7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
              5.99832206555887937690e-1, 1.0])


def _not_for_libm(x: Any) -> str | None:
    if x.size < 64:
        return "fewer than 64 elements"
    if x.dtype.char not in "fd":
        return "float32 and float64 only"
    return None if x.flags.c_contiguous else "C-contiguous arrays only"


for _entry in (erf, erfc, lgamma):
    _entry.version("numba", "cpu", f"minitorch_kernels.cpu.special:{_entry.name}", refuses=_not_for_libm)

one_pass(sgn)
one_pass(rsqrt)
