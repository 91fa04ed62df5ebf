"""The categorical distribution."""
from __future__ import annotations

import math
from typing import Any, ClassVar

from ..limits import finfo
from ..ops.creation import full
from ..ops.random import multinomial
from ..ops.shape import broadcast_tensors
from ..tensor import Size, Tensor
from . import constraints
from .given import GivenByOdds

__all__ = ["Categorical"]


class Categorical(GivenByOdds):
    """Class numbers 0 to n - 1, with `probs` (..., n), weights that need not sum to 1, or `logits`.

    >>> from minitorch import tensor
    >>> Categorical(tensor([1.0, 3.0])).entropy()
    tensor(0.5623)
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _is_binary = False

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        given = self._choose(probs, logits)
        if given.ndim < 1:
            raise ValueError(f"Categorical: `{self._given}` parameter must be at least one-dimensional, got shape ()")
        if logits is None:
            self.probs = given / given.sum(-1, keepdim=True)
        else:
            self.logits = given - given.logsumexp(-1, keepdim=True)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Tensor:
        return full(self._extended_shape(), math.nan, dtype=self.probs.dtype, device=self.probs.device)

    variance = mean

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        rows = self.probs.detach().reshape(-1, self._num_events)
        drawn = multinomial(rows, Size(sample_shape).numel(), True)
        return drawn.t().reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        index, log_pmf = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return log_pmf.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = self.logits.clamp(min=finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._counted(self._num_events, expand, None)
