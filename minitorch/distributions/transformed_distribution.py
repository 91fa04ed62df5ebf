"""Distributions of transformed random numbers."""
from __future__ import annotations

from typing import Any, ClassVar

from ..engine import no_grad
from ..tensor import Size, Tensor
from . import constraints
from .distribution import Distribution
from .independent import Independent
from .transforms import ComposeTransform, Transform
from .utils import _sum_rightmost

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """The distribution of f(x), x from `base_distribution`, f the transforms one after the other.

    Densities change by the Jacobian: log p(y) = log p(x) - log |det dy/dx|.

    >>> from minitorch import tensor
    >>> from minitorch.distributions import Normal
    >>> from minitorch.distributions.transforms import ExpTransform
    >>> TransformedDistribution(Normal(0.0, 1.0), ExpTransform()).log_prob(tensor(1.0))
    tensor(-0.9189)
    """

    arg_constraints: ClassVar[Any] = {}

    def __init__(self, base_distribution: Distribution, transforms: Any, validate_args: bool | None = None) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else transforms
        if not isinstance(self.transforms, list) or not all(isinstance(t, Transform) for t in self.transforms):
            raise ValueError(f"{type(self).__name__}: transforms must be a Transform or a list of Transforms, got "
                             f"{transforms!r}")
        base, whole = base_distribution, ComposeTransform(self.transforms)
        shape = base.batch_shape + base.event_shape
        base_dims, domain_dims = len(base.event_shape), whole.domain.event_dim
        if len(shape) < domain_dims:
            raise ValueError(f"{type(self).__name__}: base_distribution expects a shape of at least {domain_dims} "
                             f"dimensions, got {tuple(shape)}")
        result = Size(whole.forward_shape(shape))
        needed = Size(whole.inverse_shape(result))
        if shape != needed:
            base = base.expand(needed[:len(needed) - base_dims])
        if domain_dims > base_dims:
            base = Independent(base, domain_dims - base_dims)
        self.base_dist = base
        event_dims = max(whole.codomain.event_dim, base_dims + whole.codomain.event_dim - domain_dims)
        cut = len(result) - event_dims
        super().__init__(result[:cut], result[cut:], validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        shape = Size(batch_shape) + self.event_shape
        for t in reversed(self.transforms):
            shape = Size(t.inverse_shape(shape))
        new.base_dist = self.base_dist.expand(shape[:len(shape) - len(self.base_dist.event_shape)])
        return new

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        extra = len(self.event_shape) - support.event_dim
        return constraints.independent(support, extra) if extra > 0 else support

    has_rsample = property(lambda self: self.base_dist.has_rsample)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self._forward(self.base_dist.rsample(sample_shape))

    def _forward(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        event_dim, y, total = len(self.event_shape), value, 0.0
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            event_dim += transform.domain.event_dim - transform.codomain.event_dim
            slope = transform.log_abs_det_jacobian(x, y)
            total, y = total - _sum_rightmost(slope, event_dim - transform.domain.event_dim), x
        return total + _sum_rightmost(self.base_dist.log_prob(y), event_dim - len(self.base_dist.event_shape))

    def cdf(self, value: Tensor) -> Tensor:
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        return self._forward(self.base_dist.icdf(self._turned(value)))

    def _turned(self, p: Tensor) -> Tensor:
        """1 - p where the transforms decrease."""
        sign = ComposeTransform(self.transforms).sign
        return p if isinstance(sign, int) and sign == 1 else sign * (p - 0.5) + 0.5
