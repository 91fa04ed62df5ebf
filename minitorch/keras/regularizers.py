"""Keras's regularizers: what a weight adds to the loss."""
from __future__ import annotations

from ..errors import absent_from
from ..tensor import Tensor
from .serialization import Configured, constructor, getter
from .serialization import serialize as serialize


class Regularizer(Configured):
    """`regularizer(weight)` is a scalar tensor."""

    def __call__(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: a regularizer defines __call__(x)")


class L1L2(Regularizer):
    """l1 Σ|w| + l2 Σw².

    >>> from minitorch import tensor
    >>> L1L2(l1=0.5, l2=0.1)(tensor([1.0, -2.0]))
    tensor(2.)
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0):
        self.l1, self.l2 = l1 or 0.0, l2 or 0.0

    def __call__(self, x: Tensor) -> Tensor:
        terms = [self.l1 * x.abs().sum()] if self.l1 else []
        return sum(terms, self.l2 * x.square().sum())


class L1(L1L2):
    """l1 Σ|w|."""

    __init__ = constructor(lambda self, v: L1L2.__init__(self, v["l1"]), l1=0.01)


class L2(L1L2):
    """l2 Σw²."""

    __init__ = constructor(lambda self, v: L1L2.__init__(self, 0.0, v["l2"]), l2=0.01)


l1, l2, l1_l2 = L1, L2, L1L2
_TABLE = {"l1": L1, "l2": L2, "l1_l2": L1L2, "L1": L1, "L2": L2, "L1L2": L1L2}
get = getter("regularizer", _TABLE)
__getattr__ = absent_from("keras.regularizers", lambda: _TABLE)
