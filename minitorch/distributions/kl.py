"""The Kullback-Leibler divergence of two distributions: a table of closed forms.

KL(p || q) = E_p[log p(x) - log q(x)]. Within a family each has a formula of its own. Between families of single
numbers it is -entropy(p) - E_p[log q(x)], and E_p[log q(x)] needs only a few expectations of p, which `_Expected`
lists; it is infinite where p has samples outside of q's support.
"""
from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from ..linalg import solve_triangular
from ..ops.activation import softplus
from ..ops.choose import where
from ..ops.creation import full_like
from ..ops.shape import broadcast_shapes
from ..tensor import Tensor
from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .continuous_bernoulli import ContinuousBernoulli
from .dirichlet import Dirichlet
from .distribution import Distribution
from .exp_family import ExponentialFamily
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .lowrank_multivariate_normal import LowRankMultivariateNormal
from .multivariate_normal import MultivariateNormal, _batch_mahalanobis
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .pareto import Pareto
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import _sum_rightmost, euler_constant

__all__ = ["kl_divergence", "register_kl"]

_KL_REGISTRY: dict[tuple[type, type], Callable] = {}
_KL_MEMOIZE: dict[tuple[type, type], Callable] = {}


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q), of shape batch_shape. Raises NotImplementedError where no formula is registered.

    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5000)
    """
    types = type(p), type(q)
    if types not in _KL_MEMOIZE:
        _KL_MEMOIZE[types] = _closest(*types)
    return _KL_MEMOIZE[types](p, q)


def register_kl(type_p: type, type_q: type) -> Callable:
    """A decorator that enters f(p, q) for two types of distributions and their subclasses.

    The formula of the closest types is used; where none is closest in both, register one for the pair itself.
    As in PyTorch, the types may be other classes than those of Distribution.
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(kind, type):
            raise TypeError(f"register_kl: {name} expects a subclass of Distribution, got {kind!r}")

    def decorator(function: Callable) -> Callable:
        _KL_REGISTRY[type_p, type_q] = function
        _KL_MEMOIZE.clear()
        return function

    return decorator


def _closest(type_p: type, type_q: type) -> Callable:
    fits = [pair for pair in _KL_REGISTRY if issubclass(type_p, pair[0]) and issubclass(type_q, pair[1])]
    if not fits:
        raise NotImplementedError(f"kl_divergence: no KL(p || q) is implemented for p type {type_p.__name__} and q "
                                  f"type {type_q.__name__}")
    distances = {pair: (_distance(type_p, pair[0]), _distance(type_q, pair[1])) for pair in fits}
    by_p, by_q = min(fits, key=lambda pair: distances[pair]), min(fits, key=lambda pair: distances[pair][::-1])
    if _KL_REGISTRY[by_p] is not _KL_REGISTRY[by_q]:
        warnings.warn(f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}): register_kl("
                      f"{by_p[0].__name__}, {by_q[1].__name__}) decides", RuntimeWarning, stacklevel=3)
    return _KL_REGISTRY[by_p]


def _distance(kind: type, ancestor: type) -> int:
    """How far up `ancestor` stands; one that only says that `kind` is its subclass stands above all."""
    ancestors = kind.__mro__
    return ancestors.index(ancestor) if ancestor in ancestors else len(ancestors)


# Within a family

@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Tensor:
    hit = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    miss = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    hit = where(p.probs == 0, 0.0, where(q.probs == 0, math.inf, hit))
    return hit + where(p.probs == 1, 0.0, where(q.probs == 1, math.inf, miss))


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Tensor:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Tensor:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("kl_divergence: KL between Binomials where q.total_count > p.total_count is not "
                                  "implemented")
    kl = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return where(p.total_count > q.total_count, math.inf, kl)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Tensor:
    t = p.probs * (p.logits - q.logits)
    return where(p.probs == 0, 0.0, where(q.probs == 0, math.inf, t)).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: Any, q: Any) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Tensor:
    """F. Chyzak and F. Nielsen, A closed-form formula for the Kullback-Leibler divergence between Cauchy distributions,
    2019."""
    return ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log() - (4 * p.scale * q.scale).log()


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Tensor:
    normalizers = p._cont_bern_log_norm() - q._cont_bern_log_norm()
    return p.mean * (p.logits - q.logits) + normalizers + (-p.probs).log1p() - (-q.probs).log1p()


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    normalizers = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return normalizers + ((a - b) * (a.digamma() - total.digamma().unsqueeze(-1))).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: Any, q: Any) -> Tensor:
    """The Bregman divergence of the log normalisers."""
    if type(p) is not type(q):
        raise NotImplementedError("kl_divergence: different exponential families, here "
                                  f"{type(p).__name__} and {type(q).__name__}, have no Bregman divergence")
    params, normalizer, slopes = p._log_normalizer_slopes()
    result = q._log_normalizer(*q._natural_params) - normalizer
    for ours, theirs, slope in zip(params, q._natural_params, slopes):
        result = result - _sum_rightmost((theirs - ours) * slope, len(q.event_shape))
    return result


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Tensor:
    a, b = p.concentration, q.concentration
    return (b * (p.rate / q.rate).log() + b.lgamma() - a.lgamma() + (a - b) * a.digamma()
            + (q.rate - p.rate) * (a / p.rate))


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Tensor:
    ratio, away = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return away - ratio.log() + ((1 + ratio).lgamma() - away).exp() + (ratio - 1) * euler_constant - 1


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("kl_divergence: Independents of different reinterpreted_batch_ndims")
    return _sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Tensor:
    ratio, away = p.scale / q.scale, (p.loc - q.loc).abs()
    return away / q.scale - ratio.log() + ratio * (-away / p.scale).exp() - 1


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Tensor:
    ratio = q.alpha / p.alpha
    kl = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return where(p.scale < q.scale, math.inf, kl)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("kl_divergence: transformed distributions need the same transforms and event_shape")
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Tensor:
    kl = ((q.high - q.low) / (p.high - p.low)).log()
    return where((q.low > p.low) | (q.high < p.high), math.inf, kl)


# Normal vectors: tr(Q⁻¹ P), the distance of the means under Q, and the determinants

@register_kl(MultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(f"kl_divergence: multivariate normals of different event shapes, {tuple(p.event_shape)} and "
                         f"{tuple(q.event_shape)}")
    if isinstance(q, LowRankMultivariateNormal):
        distance, weights = q._mahalanobis(q.loc - p.loc), q._unbroadcasted_cov_diag
        whitened = q._whitened()
        trace = sum(_squares(part / weights.sqrt().unsqueeze(-1)) - _squares(whitened @ part) for part in _roots(p))
    else:
        factor = q._unbroadcasted_scale_tril
        distance = _batch_mahalanobis(factor, q.loc - p.loc)
        trace = sum(_squares(_solved(factor, part)) for part in _roots(p))
    return 0.5 * (_log_det(q) - _log_det(p) + trace + distance - p.event_shape[0])


def _roots(p: Any) -> list[Tensor]:
    """Matrices R whose R Rᵀ add up to the covariance."""
    if isinstance(p, LowRankMultivariateNormal):
        return [p._unbroadcasted_cov_factor, p._unbroadcasted_cov_diag.sqrt().diag_embed()]
    return [p._unbroadcasted_scale_tril]


def _log_det(p: Any) -> Tensor:
    return p._log_det() if isinstance(p, LowRankMultivariateNormal) else 2 * p._half_log_det()


def _squares(matrix: Tensor) -> Tensor:
    return matrix.pow(2).sum((-2, -1))


def _solved(factor: Tensor, matrix: Tensor) -> Tensor:
    batch = broadcast_shapes(factor.shape[:-2], matrix.shape[:-2])
    return solve_triangular(factor.expand((*batch, -1, -1)), matrix.expand((*batch, -1, -1)), upper=False)


# Across families

class _Expected:
    """Expectations of single numbers from p, each None where p has no closed form for it."""

    def __init__(self, p: Any) -> None:
        self.mean: Any = p.mean
        self.square: Any = p.variance + p.mean.pow(2)
        self.log: Any = None
        self.exp_minus: Callable | None = None  # from t > 0 to E[exp(-t x)]
        if isinstance(p, Beta):
            self.log = p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
        elif isinstance(p, Exponential):
            self.log = -euler_constant - p.rate.log()
            self.exp_minus = lambda t: p.rate / (p.rate + t)
        elif isinstance(p, Gamma):
            self.log = p.concentration.digamma() - p.rate.log()
            self.exp_minus = lambda t: (1 + t / p.rate).pow(-p.concentration)
        elif isinstance(p, Gumbel):
            self.exp_minus = lambda t: (-t * p.loc + (1 + t * p.scale).lgamma()).exp()
        elif isinstance(p, Normal):
            self.exp_minus = lambda t: (-t * p.loc + 0.5 * (t * p.scale).pow(2)).exp()
        elif isinstance(p, Pareto):
            self.mean = where(p.alpha > 1, p.mean, math.inf)
            self.square = where(p.alpha > 2, self.square, math.inf)
            self.log = p.alpha.reciprocal() + p.scale.log()
        elif isinstance(p, Uniform):
            self.log = (p.high.xlogy(p.high) - p.low.xlogy(p.low)) / (p.high - p.low) - 1
            self.exp_minus = lambda t: ((-t * p.low).exp() - (-t * p.high).exp()) / (t * (p.high - p.low))


def _expected_log(q: Any, e: _Expected, p: Any) -> Any:
    """E_p[log q(x)]."""
    if isinstance(q, Beta):
        a, b = q.concentration1, q.concentration0
        rest = ((1 - p.high).xlogy(1 - p.high) - (1 - p.low).xlogy(1 - p.low)) / (p.low - p.high) - 1  # p is Uniform
        return (a - 1) * e.log + (b - 1) * rest - a.lgamma() - b.lgamma() + (a + b).lgamma()
    if isinstance(q, ContinuousBernoulli):
        return e.mean * q.logits + (-q.probs).log1p() + q._cont_bern_log_norm()
    if isinstance(q, Exponential):
        return q.rate.log() - q.rate * e.mean
    if isinstance(q, Gamma):
        a = q.concentration
        return a * q.rate.log() - a.lgamma() + (a - 1) * e.log - q.rate * e.mean
    if isinstance(q, Gumbel):
        t = q.scale.reciprocal()
        return q.loc * t - e.mean * t - (q.loc * t).exp() * e.exp_minus(t) - q.scale.log()  # type: ignore[misc]
    if isinstance(q, Normal):
        distance = where(e.square == math.inf, math.inf, e.square - 2 * q.loc * e.mean + q.loc.pow(2))
        return -0.5 * (distance / q.scale.pow(2) + math.log(2 * math.pi)) - q.scale.log()
    if isinstance(q, Pareto):
        return q.alpha.log() + q.alpha * q.scale.log() - (q.alpha + 1) * e.log
    return -(q.high - q.low).log()  # Uniform


_SUPPORT: dict[type, Callable] = {
    Beta: lambda d: (0.0, 1.0), ContinuousBernoulli: lambda d: (0.0, 1.0), Exponential: lambda d: (0.0, math.inf),
    Gamma: lambda d: (0.0, math.inf), Gumbel: lambda d: (-math.inf, math.inf), Laplace: lambda d: (-math.inf, math.inf),
    Normal: lambda d: (-math.inf, math.inf), Pareto: lambda d: (d.scale, math.inf), Uniform: lambda d: (d.low, d.high)}


def _across(p: Any, q: Any) -> Tensor:
    (low, high), (q_low, q_high) = (next(ends for kind, ends in _SUPPORT.items() if isinstance(d, kind))(d)
                                    for d in (p, q))
    outside = (low < q_low) | (high > q_high)
    everywhere = outside.all() if isinstance(outside, Tensor) else outside
    if everywhere:
        return full_like(p.mean, math.inf).expand(broadcast_shapes(p.batch_shape, q.batch_shape))
    kl = -p.entropy() - _expected_log(q, _Expected(p), p)
    return where(outside, math.inf, kl) if isinstance(outside, Tensor) else kl


for _p, _qs in {
    Beta: (ContinuousBernoulli, Exponential, Gamma, Normal, Pareto, Uniform),
    ContinuousBernoulli: (Exponential, Normal, Pareto, Uniform),
    Exponential: (Beta, ContinuousBernoulli, Gamma, Gumbel, Normal, Pareto, Uniform),
    Gamma: (Beta, ContinuousBernoulli, Exponential, Gumbel, Normal, Pareto, Uniform),
    Gumbel: (Beta, ContinuousBernoulli, Exponential, Gamma, Normal, Pareto, Uniform),
    Laplace: (Beta, ContinuousBernoulli, Exponential, Gamma, Normal, Pareto, Uniform),
    Normal: (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform),
    Pareto: (Beta, ContinuousBernoulli, Exponential, Gamma, Normal, Uniform),
    Uniform: (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Normal, Pareto),
}.items():
    for _q in _qs:
        register_kl(_p, _q)(_across)


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Tensor:
    """E|x - m| of a normal distribution is that of a folded one."""
    z = (p.loc - q.loc) / p.scale
    distance = p.scale * math.sqrt(2 / math.pi) * (-0.5 * z.pow(2)).exp() + (p.loc - q.loc) * (z / math.sqrt(2)).erf()
    return -p.entropy() + (2 * q.scale).log() + distance / q.scale


# Counts

@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Tensor:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Poisson, Bernoulli)
@register_kl(Poisson, Binomial)
def _unbounded(p: Any, q: Any) -> Tensor:
    return full_like(p.rate, math.inf)
