"""The binomial distribution."""
from __future__ import annotations

from typing import Any, ClassVar

from ..engine import no_grad
from ..ops.rejection import binomial
from ..tensor import Tensor
from . import constraints
from .given import GivenByOdds
from .utils import broadcast_all

__all__ = ["Binomial"]


class Binomial(GivenByOdds):
    """The number of successes of probability `probs` in `total_count` trials.

    >>> from minitorch import tensor
    >>> Binomial(10, tensor([0.1, 0.5])).mean
    tensor([1., 5.])
    """

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.nonnegative_integer, "probs": constraints.unit_interval,
        "logits": constraints.real}
    has_enumerate_support = True

    def __init__(self, total_count: Any = 1, probs: Any = None, logits: Any = None,
                 validate_args: bool | None = None) -> None:
        count, given = broadcast_all(total_count, self._choose(probs, logits))
        setattr(self, self._given, given)
        self.total_count = count.type_as(given)
        super().__init__(given.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    mean = property(lambda self: self.total_count * self.probs)
    variance = property(lambda self: self.total_count * self.probs * (1 - self.probs))

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n, logits = self.total_count, self.logits
        # log(1 + exp(logits)) in parts; the clamps' average has the slope 1/2 at 0
        positive = (logits.clamp(min=0) + logits - logits.clamp(max=0)) / 2
        softplus = positive + (-logits.abs()).exp().log1p()
        choices = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        return value * logits - n * softplus + choices

    def entropy(self) -> Tensor:
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        most = int(self.total_count.max())
        if not self.total_count.min() == most:
            raise NotImplementedError("Binomial: enumerate_support expects one total_count for the whole batch")
        return self._counted(1 + most, expand, self._param.dtype)
