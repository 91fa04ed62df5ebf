"""The negative binomial distribution."""
from __future__ import annotations

from typing import Any, ClassVar

from ..engine import no_grad
from ..ops.random import poisson
from ..tensor import Tensor
from . import constraints
from .gamma import Gamma
from .given import GivenByOdds
from .utils import broadcast_all, lazy_property

__all__ = ["NegativeBinomial"]


class NegativeBinomial(GivenByOdds):
    """The number of successes of probability `probs` before `total_count` failures.

    >>> from minitorch import tensor
    >>> NegativeBinomial(3.0, tensor(0.5)).mean
    tensor(3.)
    """

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.greater_than_eq(0), "logits": constraints.real,
        "probs": constraints.half_open_interval(0.0, 1.0)}
    support = constraints.nonnegative_integer

    def __init__(self, total_count: Any, probs: Any = None, logits: Any = None,
                 validate_args: bool | None = None) -> None:
        count, given = broadcast_all(total_count, self._choose(probs, logits))
        setattr(self, self._given, given)
        self.total_count = count.type_as(given)
        super().__init__(given.shape, validate_args=validate_args)

    mean = property(lambda self: self.total_count * self.logits.exp())
    mode = property(lambda self: ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0))
    variance = property(lambda self: self.mean / (-self.logits).sigmoid())

    @lazy_property
    def _gamma(self) -> Gamma:
        return Gamma(self.total_count, (-self.logits).exp(), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        vars(new).pop("_gamma", None)
        return new

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        unnormalized = n * (-self.logits).logsigmoid() + value * self.logits.logsigmoid()
        normalization = (1.0 + value).lgamma() + n.lgamma() - (n + value).lgamma()
        return unnormalized - normalization.masked_fill(n + value == 0.0, 0.0)
