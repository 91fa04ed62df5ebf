"""The multivariate normal distribution."""
from __future__ import annotations

import math
from typing import Any, ClassVar

from ..linalg import cholesky, solve_triangular
from ..ops.creation import eye
from ..ops.shape import broadcast_shapes
from ..tensor import Size, Tensor
from . import constraints
from .distribution import Distribution
from .utils import _standard_normal, lazy_property

__all__ = ["MultivariateNormal"]


class Gaussian(Distribution):
    """What distributions share that are given by a covariance (..., n, n), its inverse or its Cholesky factor."""

    _unbroadcasted_scale_tril: Tensor
    _matrix_shape = property(lambda self: self._batch_shape + self._event_shape[-1:] * 2)

    def _choose_matrix(self, **given: Tensor | None) -> Tensor:
        """Expects exactly one; sets it as attribute, expanded, and the factor from it."""
        matrices = {name: m for name, m in given.items() if m is not None}
        if len(matrices) != 1:
            raise ValueError(f"{type(self).__name__}: Exactly one of {', '.join(given)} may be specified, got "
                             f"{', '.join(matrices) or 'none'}")
        ((self._given, matrix),) = matrices.items()
        if matrix.ndim < 2:
            raise ValueError(f"{type(self).__name__}: {self._given} must be at least two-dimensional, with optional "
                             f"leading batch dimensions, got shape {tuple(matrix.shape)}")
        return matrix

    def _factorize(self, matrix: Tensor) -> None:
        factorize = {"covariance_matrix": cholesky, "precision_matrix": _precision_to_scale_tril}.get(self._given)
        self._unbroadcasted_scale_tril = factorize(matrix) if factorize else matrix

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower triangular L of L Lᵀ, the covariance."""
        return self._unbroadcasted_scale_tril.expand(self._matrix_shape)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        factor = self._unbroadcasted_scale_tril
        return (factor @ factor.mT).expand(self._matrix_shape)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        factor = self._unbroadcasted_scale_tril
        inverse = solve_triangular(factor, eye(factor.shape[-1], dtype=factor.dtype, device=factor.device), upper=False)
        return (inverse.mT @ inverse).expand(self._matrix_shape)

    def _half_log_det(self) -> Tensor:
        return self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class MultivariateNormal(Gaussian):
    """Normal vectors with mean `loc` (..., n) and a covariance (..., n, n), its inverse or its Cholesky factor.

    >>> from minitorch import eye, zeros
    >>> MultivariateNormal(zeros(2), eye(2)).log_prob(zeros(2))
    tensor(-1.8379)
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector, "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite, "scale_tril": constraints.lower_cholesky}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, covariance_matrix: Tensor | None = None, precision_matrix: Tensor | None = None,
                 scale_tril: Tensor | None = None, validate_args: bool | None = None) -> None:
        if loc.ndim < 1:
            raise ValueError("MultivariateNormal: loc must be at least one-dimensional, got shape ()")
        matrix = self._choose_matrix(covariance_matrix=covariance_matrix, precision_matrix=precision_matrix,
                                     scale_tril=scale_tril)
        batch_shape = Size(broadcast_shapes(matrix.shape[:-2], loc.shape[:-1]))
        setattr(self, self._given, matrix.expand((*batch_shape, -1, -1)))
        self.loc = loc.expand((*batch_shape, -1))
        super().__init__(batch_shape, loc.shape[-1:], validate_args)
        self._factorize(matrix)

    mean = property(lambda self: self.loc)
    mode = property(lambda self: self.loc)

    @property
    def variance(self) -> Tensor:
        return self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        eps = _standard_normal(self._extended_shape(sample_shape), self.loc.dtype, self.loc.device)
        return self.loc + _batch_mv(self._unbroadcasted_scale_tril, eps)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        distance = _batch_mahalanobis(self._unbroadcasted_scale_tril, value - self.loc)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - self._half_log_det()

    def entropy(self) -> Tensor:
        entropy = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._half_log_det()
        return entropy.expand(self._batch_shape)


def _batch_mv(matrices: Tensor, vectors: Tensor) -> Tensor:
    return (matrices @ vectors.unsqueeze(-1)).squeeze(-1)


def _batch_mahalanobis(factor: Tensor, x: Tensor) -> Tensor:
    """xᵀ (L Lᵀ)⁻¹ x: factors (..., n, n) and vectors (..., n) broadcast, a factor solves all its vectors at once."""
    extra = x.ndim - 1 - (factor.ndim - 2)
    batch = factor.shape[:-2]
    if extra < 0 or x.shape[extra:-1] != batch:
        shape = broadcast_shapes(batch, x.shape[:-1])
        return solve_triangular(factor.expand((*shape, -1, -1)), x.expand((*shape, -1)).unsqueeze(-1),
                                upper=False).pow(2).sum((-2, -1))
    many = x.reshape((-1, *x.shape[extra:])).movedim(0, -1)
    return solve_triangular(factor, many, upper=False).pow(2).sum(-2).movedim(-1, 0).reshape(x.shape[:-1])


def _precision_to_scale_tril(precision: Tensor) -> Tensor:
    """L of the inverse L Lᵀ: with the axes reversed, the Cholesky factor of the precision is L⁻ᵀ."""
    inverse = cholesky(precision.flip((-2, -1))).flip((-2, -1)).mT
    return solve_triangular(inverse, eye(inverse.shape[-1], dtype=inverse.dtype, device=inverse.device), upper=False)
