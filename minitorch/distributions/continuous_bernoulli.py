"""The continuous Bernoulli distribution."""
from __future__ import annotations

import math
from typing import Any, ClassVar

from ..engine import no_grad
from ..ops.choose import where
from ..ops.creation import full_like
from ..ops.loss import binary_cross_entropy_with_logits
from ..ops.random import rand
from ..tensor import Tensor
from . import constraints
from .exp_family import ExponentialFamily
from .given import GivenByOdds
from .utils import broadcast_all, clamp_probs, lazy_property, logits_to_probs

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(GivenByOdds, ExponentialFamily):
    """Numbers in [0, 1] with density C probs^x (1 - probs)^(1 - x).

    G. Loaiza-Ganem and J. P. Cunningham, The continuous Bernoulli: fixing a pervasive error in variational
    autoencoders, NeurIPS 2019. Within `lims` around 1/2, where the closed forms are 0 / 0, Taylor series serve.

    >>> from minitorch import tensor
    >>> ContinuousBernoulli(tensor([0.5, 0.9])).mean
    tensor([0.5000, 0.6699])
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501),
                 validate_args: bool | None = None) -> None:
        (given,) = broadcast_all(self._choose(probs, logits))
        setattr(self, self._given, given)
        self._lims = lims
        super().__init__(given.shape, validate_args=validate_args)
        if logits is None:
            self.probs = clamp_probs(given)

    @lazy_property
    def probs(self) -> Tensor:
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _outside(self) -> Tensor:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut_probs(self) -> Tensor:
        """The probabilities outside the limits, and the lower limit for those within."""
        return where(self._outside(), self.probs, self._lims[0])

    def _cont_bern_log_norm(self) -> Tensor:
        p, x = self._cut_probs(), (self.probs - 0.5).pow(2)
        log_norm = ((-p).log1p() - p.log()).abs().log() - (1.0 - 2.0 * p).abs().log()
        return where(self._outside(), log_norm, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self) -> Tensor:
        p, x = self._cut_probs(), self.probs - 0.5
        mean = p / (2.0 * p - 1.0) + 1.0 / ((-p).log1p() - p.log())
        return where(self._outside(), mean, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def variance(self) -> Tensor:
        p, x = self._cut_probs(), (self.probs - 0.5).pow(2)
        variance = p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / ((-p).log1p() - p.log()).pow(2)
        return where(self._outside(), variance, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(rand(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none") + self._cont_bern_log_norm()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        p = self._cut_probs()
        cdf = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        cdf = where(self._outside(), cdf, value)
        return where(value <= 0.0, 0.0, where(value >= 1.0, 1.0, cdf))

    def icdf(self, value: Tensor) -> Tensor:
        p = self._cut_probs()
        below = (-p).log1p()
        icdf = ((-p + value * (2.0 * p - 1.0)).log1p() - below) / (p.log() - below)
        return where(self._outside(), icdf, value)

    def entropy(self) -> Tensor:
        log_miss = (-self.probs).log1p()
        return self.mean * (log_miss - self.probs.log()) - self._cont_bern_log_norm() - log_miss

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return (self.logits,)

    def _log_normalizer(self, x: Tensor) -> Tensor:  # type: ignore[override]
        low, high = (limit - 0.5 for limit in self._lims)
        outside = (x <= low) | (x > high)
        cut = where(outside, x, full_like(x, low))
        log_norm = cut.expm1().abs().log() - cut.abs().log()
        return where(outside, log_norm, 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0)
