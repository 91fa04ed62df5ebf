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


Tensor.polygamma = _polygamma_method


@composite
def mvlgamma(input, p):
    """The logarithm of the multivariate gamma function of dimension p."""
    total = p * (p - 1) / 4 * math.log(math.pi)
    for j in range(p):
        total = total + FUNCTIONS["lgamma"](input - j / 2)
    return total
