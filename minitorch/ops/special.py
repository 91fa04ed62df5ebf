"""Special functions: polygamma and other gamma functions, Bessel functions, the normal distribution, entropy."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..dtypes import promote
from ..inplace import write
from ..op import FUNCTIONS, composite, op
from ..tensor import Tensor
from .elementwise import default, floating, floats, refuse


@op(method=False, function=False)
def polygamma_(k, x, /, n):
    return k.polygamma(floating(x), n), lambda dy: k.mul(dy, k.polygamma(x, n + 1))


@composite(method=False)
def polygamma(n, input, *, out=None):
    """The n-th derivative of digamma, n >= 0.

    >>> from minitorch import tensor
    >>> polygamma(1, tensor([1.0]))
    tensor([1.6449])
    """
    if n < 0:
        raise RuntimeError(f"polygamma: polygamma(n, x) does not support negative n, got {n}")
    y = FUNCTIONS["digamma"](input) if n == 0 else polygamma_(input, n)
    return y if out is None else write(out, y, resize=True)


def _polygamma_method(self, n):
    """The n-th derivative of digamma."""
    return polygamma(n, self)


def _polygamma_in_place(self, n):
    """The n-th derivative of digamma, in place."""
    self._check_inplace("polygamma_")
    return write(self, polygamma(n, self))


Tensor.polygamma, Tensor.polygamma_ = _polygamma_method, _polygamma_in_place


@composite(inplace=True)
def mvlgamma(input, p):
    """The logarithm of the multivariate gamma function of dimension p. Raises RuntimeError for p < 1."""
    if p < 1:
        raise RuntimeError(f"mvlgamma: p has to be greater than or equal to 1, got {p}")
    total = p * (p - 1) / 4 * math.log(math.pi)
    for j in range(p):
        total = total + FUNCTIONS["lgamma"](input - j / 2)
    return total


# Functions of one argument: the kernel of the same name, and the derivative

_ONE: dict[str, Callable] = {
    "i0": lambda k, x, y: k.i1(x),
    "i0e": lambda k, x, y: k.i1e(x) - k.sgn(x) * y,
    "i1": lambda k, x, y: k.i0(x) - k.where(x == 0, 0.5, y / k.where(x == 0, 1, x)),
    "i1e": lambda k, x, y: k.i0e(x) - k.where(x == 0, 0.5, y * (k.sgn(x) + 1 / k.where(x == 0, 1, x))),
    "erfcx": lambda k, x, y: 2 * x * y - 2 / math.sqrt(math.pi),
    "log_ndtr": lambda k, x, y: math.sqrt(2 / math.pi) / k.erfcx(x * -math.sqrt(0.5)),
    "ndtri": lambda k, x, y: math.sqrt(2 * math.pi) * k.exp(y * y / 2),
}
# PyTorch differentiates none of these
_CONSTANT = ("airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "k0e", "k1e")


def _one(name: str, derivative: Callable) -> None:
    def body(k, x, /):
        refuse(name, x, "c")
        x = floating(x)
        y = getattr(k, name)(x)
        return y, lambda dy: dy * derivative(k, x, y)

    _enter(name, body, inplace=name == "i0", public=name == "i0")


def _constant(name: str) -> None:
    def body(k, x, /):
        refuse(name, x, "c")
        return getattr(k, name)(floating(x))

    _enter(name, body)


def _enter(name: str, body: Callable, inplace: bool = False, public: bool = False) -> None:
    body.__name__ = body.__qualname__ = name
    body.__doc__ = f"{name}, elementwise."
    globals()[name] = op(body, method=public, function=public, inplace=inplace)


for _name, _derivative in _ONE.items():
    _one(_name, _derivative)
for _name in _CONSTANT:
    _constant(_name)


@op(method=False, function=False)
def entr(k, x, /):
    """-x log(x), 0 at 0 and -inf below."""
    x = floating(x)
    inside = k.where(x > 0, x, 1.0)
    y = k.where(x > 0, -x * k.log(inside), k.where(x == 0, 0.0, k.where(x < 0, -math.inf, x)))
    return y.astype(x.dtype), lambda dy: dy * k.where(x > 0, -1 - k.log(k.where(x > 0, x, 1.0)), math.inf)


@op(method=False, function=False)
def ndtr(k, x, /):
    """The distribution function of the normal distribution."""
    x = floating(x)
    return k.erfc(x * -math.sqrt(0.5)) * 0.5, lambda dy: dy * k.exp(x * x * -0.5) / math.sqrt(2 * math.pi)


@op(method=False, function=False)
def xlog1py(k, a, b, /):
    """a log(1 + b), which is 0 where a is 0 (unless b is nan)."""
    a, b = (as_array(k, x, y) for x, y in ((a, b), (b, a)))
    a, b = floats(a, b)
    y = k.where((a == 0) & (b == b), 0, a * k.log1p(b))
    return y, lambda dy: dy * k.where((a == 0) & (b <= -1), 0, k.log1p(b)), lambda dy: dy * (a / (b + 1))


@op(method=False, function=False)
def zeta(k, s, q, /):
    """The Hurwitz zeta function Σ (q + k)^-s; its gradient of q alone is there."""
    s, q = (as_array(k, x, y) for x, y in ((s, q), (q, s)))
    s, q = floats(s, q)
    return k.zeta(s, q), _unknown("zeta", "s"), lambda dy: -dy * s * k.zeta(s + 1, q)


def _unknown(name: str, argument: str) -> Callable:
    """The gradient function of an argument that has none."""
    def raises(dy):
        raise NotImplementedError(f"the derivative of {name} with respect to {argument} is not implemented")

    return raises


def _gamma(name: str, sign: float) -> None:
    def body(k, a, x, /):
        if not hasattr(a, "dtype") or not hasattr(x, "dtype"):
            raise TypeError(f"{name}(): arguments 'input' and 'other' must be Tensors, got a number")
        a, x = floats(a, x)
        refuse(name, a, "c")
        y = getattr(k, name)(a, x)
        return y, _unknown(name, "a"), lambda dy: sign * dy * k.exp((a - 1) * k.log(x) - x - k.lgamma(a))

    body.__name__ = body.__qualname__ = name
    body.__doc__ = f"The regularised {'lower' if sign > 0 else 'upper'} incomplete gamma function; gradient of x alone."
    globals()[name] = op(body, inplace=True)


_gamma("igamma", 1.0)
_gamma("igammac", -1.0)


@op(method=False, function=False)
def polynomial(k, x, n, /, name):
    """The orthogonal polynomial of that name of degree n, elementwise."""
    x, n = (as_array(k, v, w) for v, w in ((x, n), (n, x)))
    x = promote(x, n)[0] if x.dtype.kind in "fV" or n.dtype.kind in "fV" else floating(x)
    return k.orthogonal_polynomial(x, n.astype("int64"), name)


def as_array(k: Any, x: Any, other: Any) -> Any:
    """A number as an array that does not change the other operand's type."""
    if hasattr(x, "dtype"):
        return x
    kind = other.dtype.kind
    return k.xp.asarray(x, other.dtype if kind in "fcV" else None if type(x) is int else default())
