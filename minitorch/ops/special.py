"""Special functions that need more than a line: polygamma, the multivariate gamma function, entropy."""
from __future__ import annotations

import math

from ..inplace import write
from ..op import FUNCTIONS, composite, op
from ..tensor import Tensor
from .elementwise import floating


@op(method=False, function=False)
def polygamma_(k, x, /, n):
    """The n-th derivative of digamma."""
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
