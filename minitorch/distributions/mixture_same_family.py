"""Mixtures of distributions of one kind."""
from __future__ import annotations

from typing import Any, ClassVar

from ..engine import no_grad
from ..tensor import Size, Tensor
from . import constraints
from .categorical import Categorical
from .distribution import Distribution

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A `Categorical` chooses which component a draw comes from: the last batch axis of the components.

    >>> from minitorch import ones, tensor
    >>> from minitorch.distributions import Normal
    >>> MixtureSameFamily(Categorical(ones(2)), Normal(tensor([-1.0, 3.0]), ones(2))).mean
    tensor(1.)
    """

    arg_constraints: ClassVar[Any] = {}

    def __init__(self, mixture_distribution: Any, component_distribution: Any,
                 validate_args: bool | None = None) -> None:
        if not isinstance(mixture_distribution, Categorical) or not isinstance(component_distribution, Distribution):
            raise ValueError("MixtureSameFamily: expects a Categorical and a Distribution, got "
                             f"{type(mixture_distribution).__name__} and {type(component_distribution).__name__}")
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        mixture, components = mixture_distribution.batch_shape, component_distribution.batch_shape
        if any(i != j and 1 not in (i, j) for i, j in zip(reversed(mixture), reversed(components[:-1]))):
            raise ValueError(f"MixtureSameFamily: mixture_distribution.batch_shape {tuple(mixture)} does not fit "
                             f"component_distribution.batch_shape {tuple(components)}")
        if mixture_distribution._num_events != components[-1]:
            raise ValueError(f"MixtureSameFamily: the mixture has {mixture_distribution._num_events} categories, but "
                             f"the last axis of the components' batch_shape {tuple(components)} has {components[-1]}")
        self._num_component = components[-1]
        super().__init__(components[:-1], component_distribution.event_shape, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        new._component_distribution = self._component_distribution.expand((*batch_shape, self._num_component))
        return new

    mixture_distribution = property(lambda self: self._mixture_distribution)
    component_distribution = property(lambda self: self._component_distribution)

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def _axis(self) -> int:
        """The components' axis in what they draw."""
        return -1 - len(self._event_shape)

    def _weighted(self, values: Tensor) -> Tensor:
        """The mean over the components of values of shape batch + (components,) + event."""
        probs = self._mixture_distribution.probs
        return (probs.reshape(probs.shape + (1,) * len(self._event_shape)) * values).sum(self._axis)

    @property
    def mean(self) -> Tensor:
        return self._weighted(self._component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        """The mean of the variances plus the variance of the means."""
        components = self._component_distribution
        between = (components.mean - self.mean.unsqueeze(self._axis)).pow(2)
        return self._weighted(components.variance) + self._weighted(between)

    def cdf(self, value: Tensor) -> Tensor:
        cdf = self._component_distribution.cdf(value.unsqueeze(self._axis))
        return (cdf * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        log_prob = self._component_distribution.log_prob(value.unsqueeze(self._axis))
        return (log_prob + self._mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            chosen = self._mixture_distribution.expand(self._batch_shape).sample(sample_shape)
            samples = self._component_distribution.sample(sample_shape)
            axis = len(Size(sample_shape)) + len(self._batch_shape)
            index = chosen.reshape(chosen.shape + (1,) * (len(self._event_shape) + 1))
            index = index.expand((*samples.shape[:axis], 1, *self._event_shape))
            return samples.gather(axis, index).squeeze(axis)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture_distribution},\n  {self._component_distribution})"
