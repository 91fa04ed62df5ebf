"""The geometric distribution."""
from __future__ import annotations

from typing import Any, ClassVar

from ..engine import no_grad
from ..limits import finfo
from ..ops.choose import where
from ..ops.creation import empty
from ..ops.loss import binary_cross_entropy_with_logits
from ..tensor import Tensor
from . import constraints
from .given import GivenByOdds
from .utils import broadcast_all, zeros_like

__all__ = ["Geometric"]


class Geometric(GivenByOdds):
    """The number of failures before the first success of probability `probs`.

    >>> from minitorch import tensor
    >>> Geometric(tensor([0.5, 0.25])).mean
    tensor([1., 3.])
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        (given,) = broadcast_all(self._choose(probs, logits))
        setattr(self, self._given, given)
        super().__init__(given.shape, validate_args=validate_args)
        if self._validate_args and probs is not None and not (given > 0).all():
            raise ValueError(f"Geometric: Expected parameter probs to be positive, but found invalid values:\n{given}")

    mean = property(lambda self: 1.0 / self.probs - 1.0)
    mode = property(lambda self: zeros_like(self.probs))
    variance = property(lambda self: (1.0 / self.probs - 1.0) / self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            u = empty(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device)
            u.uniform_(finfo(u.dtype).tiny, 1)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        certain = where((probs == 1) & (value == 0), 0.0, probs)  # where 0 * log 0 is 0
        return value * (-certain).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs
