"""Keras's regularizers: what a weight adds to the loss."""
from __future__ import annotations

from typing import Any

from ..errors import absent_from
from ..tensor import Tensor
from .backend import lookup
from .serialization import Configured, deserialize
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

    def __init__(self, l1: float = 0.01):
        super().__init__(l1=l1)


class L2(L1L2):
    """l2 Σw²."""

    def __init__(self, l2: float = 0.01):
        super().__init__(l2=l2)


l1, l2, l1_l2 = L1, L2, L1L2
_TABLE = {"l1": L1, "l2": L2, "l1_l2": L1L2, "L1": L1, "L2": L2, "L1L2": L1L2}


def get(identifier: Any) -> Any:
    """The regularizer of a name, or the object itself. Raises ValueError for an unknown name."""
    identifier = deserialize(identifier)
    return lookup("regularizer", identifier, _TABLE)


__getattr__ = absent_from("keras.regularizers", lambda: _TABLE)
