"""Student's t distribution."""
from __future__ import annotations

import math
from typing import Any, ClassVar

from ..ops.choose import where
from ..tensor import Tensor
from . import constraints
from .chi2 import Chi2
from .distribution import Distribution
from .utils import _standard_normal, broadcast_all

__all__ = ["StudentT"]


class StudentT(Distribution):
    """Student's t with `df` degrees of freedom, moved by `loc` and stretched by `scale`.

    >>> StudentT(4.0).variance
    tensor(2.)
    """

    arg_constraints: ClassVar[Any] = {
        "df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _parts = ("_chi2",)

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.shape, validate_args=validate_args)

    mode = property(lambda self: self.loc)

    @property
    def mean(self) -> Tensor:
        return where(self.df > 1, self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        finite = self.df > 2
        df = where(finite, self.df, 3.0)
        variance = where(finite, self.scale.pow(2) * df / (df - 2), math.inf)
        return where(self.df > 1, variance, math.nan)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        x = _standard_normal(self._extended_shape(sample_shape), self.df.dtype, self.df.device)
        return self.loc + self.scale * x * (self._chi2.rsample(sample_shape) / self.df).rsqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        y, half = (value - self.loc) / self.scale, 0.5 * (self.df + 1)
        normalizer = self.scale.log() + 0.5 * (self.df * math.pi).log() + (0.5 * self.df).lgamma() - half.lgamma()
        return -half * (y.pow(2) / self.df).log1p() - normalizer

    def entropy(self) -> Tensor:
        half, low = 0.5 * (self.df + 1), 0.5 * self.df
        log_beta = low.lgamma() + math.lgamma(0.5) - half.lgamma()
        return self.scale.log() + half * (half.digamma() - low.digamma()) + 0.5 * self.df.log() + log_beta
