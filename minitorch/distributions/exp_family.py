"""Exponential families: p(x; t) = exp(<T(x), t> - F(t) + k(x)), with natural parameters t and log normaliser F."""
from __future__ import annotations

from typing import Any

from ..autograd import grad
from ..tensor import Tensor
from .distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A distribution that names its natural parameters and its log normaliser; entropy and KL follow from them.

    F. Nielsen and R. Nock, Entropies and cross-entropies of exponential families, ICIP 2010.
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError(f"{type(self).__name__}: _natural_params is not defined")

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: _log_normalizer is not defined")

    @property
    def _mean_carrier_measure(self) -> Any:
        """The mean of k(x)."""
        raise NotImplementedError(f"{type(self).__name__}: _mean_carrier_measure is not defined")

    def _log_normalizer_slopes(self) -> tuple[list[Tensor], Tensor, tuple]:
        """The natural parameters, F and dF / dt, which is the mean of T(x)."""
        params = [p.detach().requires_grad_() for p in self._natural_params]
        normalizer = self._log_normalizer(*params)
        return params, normalizer, grad(normalizer.sum(), params, create_graph=True)

    def entropy(self) -> Tensor:
        """F(t) - <t, dF/dt> - E[k(x)]."""
        carrier = self._mean_carrier_measure
        params, result, slopes = self._log_normalizer_slopes()
        for p, slope in zip(params, slopes):
            result = result - (p * slope).reshape((*self._batch_shape, -1)).sum(-1)
        return result - carrier
