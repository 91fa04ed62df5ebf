"""Distributions that are given by `probs` or by `logits`; the other follows when it is asked for."""
from __future__ import annotations

from typing import Any

from ..ops.creation import arange
from ..tensor import Size, Tensor
from .distribution import Distribution
from .utils import lazy_property, logits_to_probs, probs_to_logits


class GivenByOdds(Distribution):
    """The part that is common to `Bernoulli`, `Categorical` and the like."""

    _given: str
    _is_binary = True  # logits are log odds; otherwise logarithms of probabilities along the last axis

    def _choose(self, probs: Any, logits: Any) -> Any:
        """Whichever of the two was given. Raises ValueError unless exactly one was."""
        if (probs is None) == (logits is None):
            raise ValueError(f"{type(self).__name__}: Either `probs` or `logits` must be specified, but not both")
        self._given = "probs" if logits is None else "logits"
        return probs if logits is None else logits

    @lazy_property
    def logits(self) -> Tensor:
        """Log odds, or logarithms of probabilities."""
        return probs_to_logits(self.probs, self._is_binary)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities."""
        return logits_to_probs(self.logits, self._is_binary)

    @property
    def _param(self) -> Tensor:
        return getattr(self, self._given)

    @property
    def param_shape(self) -> Size:
        """The shape of what was given."""
        return self._param.shape

    def _new(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._param.new(*args, **kwargs)

    def _counted(self, n: int, expand: bool, dtype: Any) -> Tensor:
        """0 to n - 1 along a new first axis."""
        values = arange(n, dtype=dtype, device=self._param.device).view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values
