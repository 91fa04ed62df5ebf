"""Transforms to the simplex, and to triangular and positive definite matrices."""
from __future__ import annotations

import math
from typing import Any

from ...limits import finfo
from ...linalg import cholesky
from ...ops.activation import softplus
from ...ops.creation import eye
from ...ops.padding import pad
from ...tensor import Size, Tensor
from .. import constraints
from ..utils import tril_matrix_to_vec, vec_to_tril_matrix
from .base import Transform
from .elementwise import SigmoidTransform


class _Equal(Transform):
    """A transform without parameters: all of a type are equal."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    __hash__ = object.__hash__


class SoftmaxTransform(_Equal):
    """y = softmax(x) along the last axis; not one to one, since a constant added to x changes nothing."""

    domain: Any = constraints.real_vector
    codomain: Any = constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return x.softmax(-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        return _at_least(self, shape, 1)

    inverse_shape = forward_shape


class StickBreakingTransform(_Equal):
    """n numbers to n + 1 probabilities: each number breaks off its share of what is left of a stick.

    B. Carpenter et al., Stan: a probabilistic programming language, J. Stat. Softw. 76 (2017): the unit simplex.
    """

    domain: Any = constraints.real_vector
    codomain: Any = constraints.simplex
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        share = SigmoidTransform()(x - _left(x).log())
        return pad(share, [0, 1], value=1.0) * pad((1 - share).cumprod(-1), [1, 0], value=1.0)

    def _inverse(self, y: Tensor) -> Tensor:
        y = y[..., :-1]
        rest = (1 - y.cumsum(-1)).clamp(min=finfo(y.dtype).tiny)
        return y.log() - rest.log() + _left(y).log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        x = x - _left(x).log()
        return (y[..., :-1].log() - softplus(x)).sum(-1)  # log sigmoid(x) - x is -softplus(x)

    def forward_shape(self, shape: Any) -> Any:
        return Size((*_at_least(self, shape, 1)[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Any) -> Any:
        return Size((*_at_least(self, shape, 1)[:-1], shape[-1] - 1))


def _left(x: Tensor) -> Tensor:
    """How many pieces are still to come at each place: n, ..., 1."""
    n = x.shape[-1]
    return n + 1 - x.new_ones(n).cumsum(-1)


class CorrCholeskyTransform(_Equal):
    """n (n - 1) / 2 numbers to the Cholesky factor of an n x n correlation matrix: each row of unit length.

    tanh of a row's numbers gives its canonical partial correlations, which break the squared length as a stick
    (D. Lewandowski, D. Kurowicka, H. Joe, J. Multivar. Anal. 100 (2009) 1989).
    """

    domain: Any = constraints.real_vector
    codomain: Any = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        eps = finfo(x.dtype).eps
        partial = vec_to_tril_matrix(x.tanh().clamp(min=-1 + eps, max=1 - eps), diag=-1)
        rest = (1 - partial.square()).sqrt().cumprod(-1)
        n = partial.shape[-1]
        return (partial + eye(n, dtype=x.dtype, device=x.device)) * pad(rest[..., :-1], [1, 0], value=1.0)

    def _inverse(self, y: Tensor) -> Tensor:
        rest = pad((1 - (y * y).cumsum(-1))[..., :-1], [1, 0], value=1.0)
        t = tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(rest, diag=-1).sqrt()
        return (t.log1p() - t.neg().log1p()) / 2

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        # what is left of each row's squared length after each element below the diagonal, but the row's last
        rest = tril_matrix_to_vec(1 - (y * y).cumsum(-1), diag=-2)
        of_tanh = -2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)
        return 0.5 * rest.log().sum(-1) + of_tanh

    def forward_shape(self, shape: Any) -> Any:
        size = _at_least(self, shape, 1)[-1]
        n = round((0.25 + 2 * size) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != size:
            raise ValueError(f"CorrCholeskyTransform: {size} numbers are not n (n - 1) / 2 for any n")
        return Size((*shape[:-1], n, n))

    def inverse_shape(self, shape: Any) -> Any:
        n = _square_matrices(self, shape)
        return Size((*shape[:-2], n * (n - 1) // 2))


class LowerCholeskyTransform(_Equal):
    """Square matrices to lower triangular ones with a positive diagonal: exp of the diagonal."""

    domain: Any = constraints.independent(constraints.real, 2)
    codomain: Any = constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(_Equal):
    """Square matrices to positive definite ones: L Lᵀ of the lower triangular L."""

    domain: Any = constraints.independent(constraints.real, 2)
    codomain: Any = constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        x = LowerCholeskyTransform()(x)
        return x @ x.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(cholesky(y))


def _at_least(transform: Transform, shape: Any, dims: int) -> Any:
    if len(shape) < dims:
        raise ValueError(f"{type(transform).__name__}: expects at least {dims} dimensions, got shape {tuple(shape)}")
    return shape


def _square_matrices(transform: Transform, shape: Any) -> int:
    if _at_least(transform, shape, 2)[-2] != shape[-1]:
        raise ValueError(f"{type(transform).__name__}: expects square matrices, got shape {tuple(shape)}")
    return shape[-1]
