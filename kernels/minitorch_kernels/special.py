"""Special functions."""
from __future__ import annotations

from .table import kernel


@kernel
def sgn(xp, x):
    """x / |x|, and 0 for 0."""
    return xp.sign(x)


@kernel
def rsqrt(xp, x):
    """1 / sqrt(x)."""
    return 1 / xp.sqrt(x)


@kernel
def trunc_div(xp, a, b):
    """a / b rounded towards zero."""
    if "int" not in str(getattr(a, "dtype", getattr(b, "dtype", ""))):
        return xp.trunc(a / b)
    q = a // b
    return q + ((q < 0) & (q * b != a))
