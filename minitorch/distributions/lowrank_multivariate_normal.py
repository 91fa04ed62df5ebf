"""The multivariate normal distribution with a covariance of low rank plus a diagonal."""
from __future__ import annotations

import math
from typing import Any, ClassVar

from ..linalg import cholesky, solve_triangular
from ..ops.creation import eye
from ..ops.shape import broadcast_tensors
from ..tensor import Size, Tensor
from . import constraints
from .distribution import Distribution
from .multivariate_normal import _batch_mahalanobis, _batch_mv
from .utils import _standard_normal, lazy_property

__all__ = ["LowRankMultivariateNormal"]


class LowRankMultivariateNormal(Distribution):
    """Normal vectors with mean `loc` (..., n) and covariance W Wᵀ + diag(D): `cov_factor` W (..., n, m),
    `cov_diag` D (..., n).

    By Woodbury's identity and the matrix determinant lemma only the m x m matrix I + Wᵀ D⁻¹ W, the capacitance, is
    factorised.

    >>> from minitorch import ones, zeros
    >>> LowRankMultivariateNormal(zeros(2), ones(2, 1), ones(2)).variance
    tensor([2., 2.])
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector, "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1)}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None) -> None:
        name = type(self).__name__
        if loc.ndim < 1:
            raise ValueError(f"{name}: loc must be at least one-dimensional, got shape ()")
        event_shape = loc.shape[-1:]
        if cov_factor.ndim < 2:
            raise ValueError(f"{name}: cov_factor must be at least two-dimensional, with optional leading batch "
                             f"dimensions, got shape {tuple(cov_factor.shape)}")
        if cov_factor.shape[-2:-1] != event_shape or cov_diag.shape[-1:] != event_shape:
            raise ValueError(f"{name}: for loc of shape {tuple(loc.shape)} cov_factor expects shape (..., "
                             f"{event_shape[0]}, m) and cov_diag (..., {event_shape[0]}), got "
                             f"{tuple(cov_factor.shape)} and {tuple(cov_diag.shape)}")
        try:
            means, self.cov_factor, diagonal = broadcast_tensors(loc.unsqueeze(-1), cov_factor, cov_diag.unsqueeze(-1))
        except RuntimeError as error:
            raise ValueError(f"{name}: Incompatible batch shapes: loc {tuple(loc.shape)}, cov_factor "
                             f"{tuple(cov_factor.shape)}, cov_diag {tuple(cov_diag.shape)}") from error
        self.loc, self.cov_diag = means[..., 0], diagonal[..., 0]
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        super().__init__(self.loc.shape[:-1], event_shape, validate_args)
        self._capacitance_tril = cholesky(_plus_one((cov_factor.mT / cov_diag.unsqueeze(-2)) @ cov_factor))

    mean = property(lambda self: self.loc)
    mode = property(lambda self: self.loc)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        for name in ("variance", "scale_tril", "covariance_matrix", "precision_matrix"):
            vars(new).pop(name, None)
        return new

    @property
    def _matrix_shape(self) -> Size:
        return self._batch_shape + self._event_shape * 2

    @lazy_property
    def variance(self) -> Tensor:  # type: ignore[override]
        variance = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return variance.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower triangular L of L Lᵀ, the covariance."""
        root = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        scaled = self._unbroadcasted_cov_factor / root
        return (root * cholesky(_plus_one(scaled @ scaled.mT))).expand(self._matrix_shape)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        w = self._unbroadcasted_cov_factor
        return (w @ w.mT + self._unbroadcasted_cov_diag.diag_embed()).expand(self._matrix_shape)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance: D⁻¹ - AᵀA."""
        a = self._whitened()
        return (self._unbroadcasted_cov_diag.reciprocal().diag_embed() - a.mT @ a).expand(self._matrix_shape)

    def _whitened(self) -> Tensor:
        """A = C⁻¹ Wᵀ D⁻¹, C the capacitance's factor."""
        w, d = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        return solve_triangular(self._capacitance_tril, w.mT / d.unsqueeze(-2), upper=False)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape, like = self._extended_shape(sample_shape), (self.loc.dtype, self.loc.device)
        shared = _standard_normal(shape[:-1] + self.cov_factor.shape[-1:], *like)
        own = _standard_normal(shape, *like)
        return self.loc + _batch_mv(self._unbroadcasted_cov_factor, shared) + self._unbroadcasted_cov_diag.sqrt() * own

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        distance = self._mahalanobis(value - self.loc)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + self._log_det() + distance)

    def entropy(self) -> Tensor:
        entropy = 0.5 * (self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._log_det())
        return entropy.expand(self._batch_shape)

    def _log_det(self) -> Tensor:
        of_capacitance = self._capacitance_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return 2 * of_capacitance + self._unbroadcasted_cov_diag.log().sum(-1)

    def _mahalanobis(self, x: Tensor) -> Tensor:
        w, d = self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag
        shared = _batch_mv(w.mT / d.unsqueeze(-2), x)
        return (x.pow(2) / d).sum(-1) - _batch_mahalanobis(self._capacitance_tril, shared)


def _plus_one(matrix: Tensor) -> Tensor:
    return matrix + eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
