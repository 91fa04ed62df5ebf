"""Keras's constraints: what a weight is changed to after each step."""
from __future__ import annotations

from typing import Any

from ..errors import absent_from
from ..tensor import Tensor
from .backend import as_tensor, epsilon, lookup
from .serialization import Configured, deserialize
from .serialization import serialize as serialize


class Constraint(Configured):
    """`constraint(weight)` is the weight as it shall be."""

    def __call__(self, w: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: a constraint defines __call__(w)")


class MinMaxNorm(Constraint):
    """Norms along `axis` between `min_value` and `max_value`, moved there by the share `rate`.

    >>> MinMaxNorm(0.0, 1.0)([[3.0], [4.0]])
    tensor([[0.6000],
            [0.8000]])
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0):
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w):
        norms = as_tensor(w).square().sum(self.axis, keepdim=True).sqrt()
        wanted = self.rate * norms.clamp(self.min_value, self.max_value) + (1 - self.rate) * norms
        return as_tensor(w) * (wanted / (norms + epsilon()))


class MaxNorm(MinMaxNorm):
    """Norms along `axis` of at most `max_value`."""

    def __init__(self, max_value: float = 2, axis: Any = 0):
        super().__init__(0.0, max_value, 1.0, axis)


class UnitNorm(MinMaxNorm):
    """Norms along `axis` of 1."""

    def __init__(self, axis: Any = 0):
        super().__init__(1.0, 1.0, 1.0, axis)


class NonNeg(Constraint):
    """No value below 0."""

    def __call__(self, w):
        return as_tensor(w).clamp(min=0)


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
_TABLE = {name: c for name, c in globals().items() if isinstance(c, type) and issubclass(c, Constraint)}


def get(identifier: Any) -> Any:
    """The constraint of a name, or the object itself. Raises ValueError for an unknown name."""
    return lookup("constraint", deserialize(identifier), _TABLE)


__getattr__ = absent_from("keras.constraints", lambda: _TABLE)
