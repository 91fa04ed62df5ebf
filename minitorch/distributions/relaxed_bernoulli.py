"""The relaxed Bernoulli distribution."""
from __future__ import annotations

from typing import Any, ClassVar

from ..ops.random import rand
from ..tensor import Tensor
from . import constraints
from .given import GivenByOdds
from .transformed_distribution import TransformedDistribution
from .transforms import SigmoidTransform
from .utils import broadcast_all, clamp_probs

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(GivenByOdds):
    """The logit of `RelaxedBernoulli` numbers: logistic noise around the log odds, over the temperature."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real

    def __init__(self, temperature: Tensor, probs: Any = None, logits: Any = None,
                 validate_args: bool | None = None) -> None:
        self.temperature = temperature
        (given,) = broadcast_all(self._choose(probs, logits))
        setattr(self, self._given, given)
        super().__init__(given.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        probs = clamp_probs(self.probs.expand(shape))
        u = clamp_probs(rand(shape, dtype=probs.dtype, device=probs.device))
        return (u.log() - (-u).log1p() + probs.log() - (-probs).log1p()) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        away = logits - value * self.temperature
        return self.temperature.log() + away - 2 * away.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """Numbers in (0, 1) that approach Bernoulli's 0 and 1 as the temperature goes to 0, with gradients.

    C. J. Maddison, A. Mnih, Y. W. Teh, The concrete distribution, ICLR 2017; E. Jang, S. Gu, B. Poole, Categorical
    reparameterization with Gumbel-softmax, ICLR 2017.

    >>> from minitorch import tensor
    >>> RelaxedBernoulli(tensor(0.5), probs=tensor([0.1, 0.9])).batch_shape
    torch.Size([2])
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, temperature: Tensor, probs: Any = None, logits: Any = None,
                 validate_args: bool | None = None) -> None:
        super().__init__(LogitRelaxedBernoulli(temperature, probs, logits), SigmoidTransform(), validate_args)

    temperature = property(lambda self: self.base_dist.temperature)
    logits = property(lambda self: self.base_dist.logits)
    probs = property(lambda self: self.base_dist.probs)
