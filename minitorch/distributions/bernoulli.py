"""The Bernoulli distribution."""
from __future__ import annotations

import math
from typing import Any, ClassVar

from ..engine import no_grad
from ..ops.choose import where
from ..ops.loss import binary_cross_entropy_with_logits
from ..ops.random import bernoulli
from ..tensor import Tensor
from . import constraints
from .exp_family import ExponentialFamily
from .given import GivenByOdds
from .utils import broadcast_all

__all__ = ["Bernoulli"]


class Bernoulli(GivenByOdds, ExponentialFamily):
    """1 with probability `probs`, or with log odds `logits`, else 0.

    >>> from minitorch import tensor
    >>> Bernoulli(logits=tensor([0.0, 2.0])).probs
    tensor([0.5000, 0.8808])
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True
    _mean_carrier_measure = 0

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        (given,) = broadcast_all(self._choose(probs, logits))
        setattr(self, self._given, given)
        super().__init__(given.shape, validate_args=validate_args)

    mean = property(lambda self: self.probs)
    variance = property(lambda self: self.probs * (1 - self.probs))

    @property
    def mode(self) -> Tensor:
        return where(self.probs == 0.5, math.nan, (self.probs >= 0.5).to(self.probs))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._counted(2, expand, self._param.dtype)

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.probs.logit(),)

    def _log_normalizer(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return x.exp().log1p()
