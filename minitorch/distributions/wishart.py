"""The Wishart distribution."""
from __future__ import annotations

import math
import warnings
from typing import Any

from ..limits import finfo
from ..linalg import slogdet
from ..op import FUNCTIONS
from ..ops.choose import where
from ..ops.creation import arange, tril_indices
from ..ops.random import randn
from ..ops.shape import broadcast_shapes
from ..ops.special import mvlgamma
from ..ops.values import tensor
from ..tensor import Size, Tensor
from . import constraints
from .chi2 import Chi2
from .exp_family import ExponentialFamily
from .multivariate_normal import Gaussian

__all__ = ["Wishart"]


class Wishart(Gaussian, ExponentialFamily):
    """Positive definite matrices (..., p, p): X Xᵀ of `df` normal vectors X with that covariance.

    >>> from minitorch import eye, tensor
    >>> Wishart(tensor(3.0), eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]])
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(self, df: Any, covariance_matrix: Tensor | None = None, precision_matrix: Tensor | None = None,
                 scale_tril: Tensor | None = None, validate_args: bool | None = None) -> None:
        matrix = self._choose_matrix(covariance_matrix=covariance_matrix, precision_matrix=precision_matrix,
                                     scale_tril=scale_tril)
        df = df if isinstance(df, Tensor) else tensor(df, dtype=matrix.dtype, device=matrix.device)
        batch_shape, p = Size(broadcast_shapes(matrix.shape[:-2], df.shape)), matrix.shape[-1]
        self.df = df.expand(batch_shape)
        if (self.df <= p - 1).any():
            raise ValueError(f"Wishart: Value of df={df} expected to be greater than ndim - 1 = {p - 1}")
        if (self.df < p).any():
            warnings.warn("Wishart: df < ndim: singular samples are highly likely", stacklevel=2)
        setattr(self, self._given, matrix.expand((*batch_shape, -1, -1)))
        super().__init__(batch_shape, matrix.shape[-2:], validate_args)
        self._factorize(matrix)

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        matrix = constraints.positive_definite
        return {"covariance_matrix": matrix, "precision_matrix": matrix, "scale_tril": constraints.lower_cholesky,
                "df": constraints.greater_than(self.event_shape[-1] - 1)}

    @property
    def mean(self) -> Tensor:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self.event_shape[-1] - 1
        return where(factor > 0, factor, math.nan)[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self.df[..., None, None] * (v.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Tensor:
        """Draws by Bartlett's decomposition; a singular one is drawn anew, `max_try_correction` times (10).

        Draws that are not singular are drawn anew once, too, since that is what PyTorch does.
        """
        sample = self._bartlett(Size(sample_shape))
        again = self._any_of_batch(self.support.check(sample))
        for _ in range(10 if max_try_correction is None else max_try_correction):
            if not again.any():
                break
            new = self._bartlett(again[again].shape)
            sample = sample.index_put((again,), new)
            singular = self._any_of_batch(~self.support.check(new))
            again = again.index_put((again,), singular)
        return sample

    def _any_of_batch(self, flags: Tensor) -> Tensor:
        for _ in self._batch_shape:
            flags = flags.any(-1)
        return flags

    def _bartlett(self, sample_shape: Size) -> Tensor:
        """L A Aᵀ Lᵀ: A has normal numbers below the diagonal and roots of chi-squared ones on it.

        M. S. Bartlett, On the theory of statistical regression, Proc. R. Soc. Edinburgh 53 (1933) 260.
        """
        factor, p = self._unbroadcasted_scale_tril, self._event_shape[-1]
        df = self.df.unsqueeze(-1) - arange(p, dtype=factor.dtype, device=factor.device)
        root = Chi2(df).rsample(sample_shape).sqrt()
        noise = root.clamp(min=finfo(root.dtype).eps).diag_embed()
        i, j = tril_indices(p, p, offset=-1, device=factor.device)
        below = randn((*sample_shape, *self._batch_shape, p * (p - 1) // 2), dtype=noise.dtype, device=noise.device)
        lower = noise.new_zeros(noise.shape)
        lower[..., i, j] = below
        half = factor @ (noise + lower)
        return half @ half.mT

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        df, p = self.df, self._event_shape[-1]
        trace = FUNCTIONS["cholesky_solve"](value, self._unbroadcasted_scale_tril).diagonal(dim1=-2, dim2=-1).sum(-1)
        return (-df * (p * math.log(2) / 2 + self._half_log_det()) - mvlgamma(df / 2, p)
                + (df - p - 1) / 2 * slogdet(value).logabsdet - trace / 2)

    def entropy(self) -> Tensor:
        df, p = self.df, self._event_shape[-1]
        digammas = (df.unsqueeze(-1) / 2 - arange(p, dtype=df.dtype, device=df.device) / 2).digamma().sum(-1)
        return ((p + 1) * (p * math.log(2) / 2 + self._half_log_det()) + mvlgamma(df / 2, p)
                - (df - p - 1) / 2 * digammas + df * p / 2)

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        p = self._event_shape[-1]
        half = y + (p + 1) / 2
        return half * (p * math.log(2) - slogdet(-2 * x).logabsdet) + mvlgamma(half, p)
