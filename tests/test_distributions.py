"""Distributions: against SciPy's closed forms, recorded samples, and PyTorch where it is installed."""
import copy
import math
import pickle
import warnings

import numpy as np
import pytest

import minitorch as mt
from minitorch import distributions as D
from minitorch.distributions import constraints, transforms

A, B, C = [0.3, 2.0, 7.5], [[0.4], [3.0]], [0.5, -1.0, 2.0]  # positive (3,), positive (2, 1), real (3,)
P = [0.1, 0.5, 0.8]
ROWS = [[0.2, 0.3, 0.5], [0.1, 0.6, 0.3]]
SCALE_TRIL = [[1.5, 0.0], [-0.4, 0.7]]

# name: arguments (lists become float64 tensors, others stay), values for log_prob, cdf and icdf
CASES = {
    "Normal": ((C, B), [[0.1], [-2.0]]),
    "Normal numbers": ((0.5, 2.0), [0.1, -2.0]),
    "LogNormal": ((C, B), [[0.1], [2.0]]),
    "HalfNormal": ((A,), [0.1, 2.0, 5.0]),
    "Uniform": (([-1.0, 0.0, 2.0], [[3.0], [5.0]]), [[2.5], [2.9]]),
    "Beta": ((A, B), [[0.1], [0.8]]),
    "Gamma": ((A, B), [[0.1], [2.0]]),
    "Chi2": ((A,), [0.1, 2.0, 5.0]),
    "InverseGamma": ((A, B), [[0.1], [2.0]]),
    "Exponential": ((A,), [0.1, 2.0, 5.0]),
    "Laplace": ((C, B), [[0.1], [-2.0]]),
    "Cauchy": ((C, B), [[0.1], [-2.0]]),
    "HalfCauchy": ((A,), [0.1, 2.0, 5.0]),
    "StudentT": ((A, C, B), [[0.1], [-2.0]]),
    "FisherSnedecor": ((A, [[5.0], [3.0]]), [[0.1], [2.0]]),
    "Gumbel": ((C, B), [[0.1], [-2.0]]),
    "Weibull": ((A, B), [[0.1], [2.0]]),
    "Pareto": ((A, B), [[8.0], [9.0]]),
    "GeneralizedPareto": ((C, B, [-0.3, 0.0, 0.2]), [[2.01], [2.3]]),
    "Kumaraswamy": ((A, B), [[0.3], [0.8]]),
    "VonMises": ((C, B), [[0.1], [-2.0]]),
    "Poisson": ((A,), [0.0, 3.0, 12.0]),
    "Bernoulli": ((P,), [0.0, 1.0, 1.0]),
    "Bernoulli logits": ((None, C), [0.0, 1.0, 1.0]),
    "ContinuousBernoulli": ((P,), [0.0, 0.3, 1.0]),
    "ContinuousBernoulli logits": ((None, C), [0.0, 0.3, 1.0]),
    "Binomial": ((5, P), [0.0, 2.0, 5.0]),
    "Binomial logits": (([3.0, 5.0, 40.0], None, C), [0.0, 2.0, 5.0]),
    "NegativeBinomial": ((B, P), [0.0, 2.0, 5.0]),
    "NegativeBinomial logits": ((4.0, None, C), [0.0, 2.0, 5.0]),
    "Geometric": ((P,), [0.0, 2.0, 5.0]),
    "Geometric logits": ((None, C), [0.0, 2.0, 5.0]),
    "Categorical": ((ROWS,), [2, 0]),
    "Categorical logits": ((None, ROWS), [2, 0]),
    "OneHotCategorical": ((ROWS,), [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]),
    "OneHotCategoricalStraightThrough": ((None, ROWS), [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]),
    "Multinomial": ((4, ROWS), [[1.0, 0.0, 3.0], [2.0, 1.0, 1.0]]),
    "RelaxedBernoulli": (("0.7", P), [0.1, 0.3, 0.9]),
    "RelaxedOneHotCategorical": (("0.7", ROWS), ROWS),
    "LogisticNormal": (([0.3, -1.0], [1.0, 2.0]), ROWS),
    "Dirichlet": (([A, [2.0, 1.0, 4.0]],), ROWS),
    "MultivariateNormal": (([[0.0, 1.0], [2.0, 3.0]], [[2.0, 0.5], [0.5, 1.0]]), [[0.3, 0.1], [1.0, -1.0]]),
    "MultivariateNormal precision": (([0.0, 1.0], None, [[2.0, 0.5], [0.5, 1.0]]), [[0.3, 0.1], [1.0, -1.0]]),
    "MultivariateNormal scale_tril": (([0.0, 1.0], None, None, [SCALE_TRIL, [[1.0, 0.0], [1.0, 1.0]]]), [0.3, 0.1]),
    "LowRankMultivariateNormal": (([[0.0, 1.0, 2.0]] * 2, [[1.0], [0.5], [-1.0]], A), [0.3, 0.1, -1.0]),
    "Wishart": (("3.5", [[2.0, 0.5], [0.5, 1.0]]), [[1.0, 0.2], [0.2, 3.0]]),
    "Wishart batch": (([3.5, 7.0], None, None, SCALE_TRIL), [[1.0, 0.2], [0.2, 3.0]]),
    "LKJCholesky": ((3, [0.5, 2.0]), [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.6, 0.8]]),
}


def made(module, tensors, name, dtype="float64", grad=False):
    """The case's distribution of `module` (minitorch's or PyTorch's), its tensors, and its value."""
    def convert(x):
        if not isinstance(x, (list, str)):
            return x
        t = tensors.tensor(float(x) if isinstance(x, str) else x, dtype=getattr(tensors, dtype))
        return t.requires_grad_() if grad else t

    given, value = CASES[name]
    arguments = [convert(x) for x in given]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        d = getattr(module, name.split()[0])(*arguments)
    integer = name.startswith("Categorical")
    value = tensors.tensor(value) if integer else tensors.tensor(value, dtype=getattr(tensors, dtype))
    return d, [x for x in arguments if hasattr(x, "grad_fn")], value


def tried(f):
    """f(), or the class of what it raised."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f()
    except (NotImplementedError, ValueError, AttributeError) as error:
        return type(error)


def same(ours, theirs, tol, what):
    if isinstance(theirs, type) or isinstance(ours, type):
        assert ours is theirs, (what, ours, theirs)
        return
    assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape), what
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), tol, tol, err_msg=str(what))


# Against PyTorch

MOMENTS = ("mean", "mode", "variance", "stddev")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(torch, name, dtype):
    """Moments, densities, quantiles, what is missing, and the samples of a seed."""
    ours, _, value = made(D, mt, name, dtype)
    theirs, _, their_value = made(torch.distributions, torch, name, dtype)
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape) and tuple(ours.event_shape) == tuple(theirs.event_shape)
    assert repr(ours) == repr(theirs) and ours.has_rsample == theirs.has_rsample
    assert ours.has_enumerate_support == theirs.has_enumerate_support
    # PyTorch has von Mises' Bessel functions and a Multinomial's lgamma in float32
    tol = {"VonMises": 1e-6, "Multinomial": 1e-6}.get(name, 1e-9) if dtype == "float64" else 1e-4
    level, their_level = (m.tensor([[0.3], [0.6]], dtype=getattr(m, dtype)) for m in (mt, torch))
    expanded, theirs_expanded = ours.expand((5, *ours.batch_shape)), theirs.expand((5, *theirs.batch_shape))
    for what in MOMENTS:
        same(tried(lambda: getattr(ours, what)), tried(lambda: getattr(theirs, what)), tol, what)
        same(tried(lambda: getattr(expanded, what)), tried(lambda: getattr(theirs_expanded, what)), tol, what)
    for d, t in ((ours, theirs), (expanded, theirs_expanded)):
        same(d.log_prob(value), t.log_prob(their_value), tol, "log_prob")
        same(tried(lambda: d.cdf(value)), tried(lambda: t.cdf(their_value)), tol, "cdf")
        same(tried(lambda: d.icdf(level)), tried(lambda: t.icdf(their_level)), tol, "icdf")
        same(tried(d.entropy), tried(t.entropy), tol, "entropy")
        for expand in (True, False):
            same(tried(lambda: d.enumerate_support(expand)), tried(lambda: t.enumerate_support(expand)), tol, "support")
        for shape in ((), (4,), (2, 3)):
            mt.manual_seed(1), torch.manual_seed(1)
            same(tried(lambda: d.sample(shape)), tried(lambda: t.sample(shape)), max(tol, 2e-5 * (tol > 1e-8)), shape)


@pytest.mark.parametrize("name", [n for n in CASES if "Categorical" not in n.split()[0] or "Relaxed" in n])
def test_gradients_as_in_pytorch(torch, name):
    """Of log_prob, entropy and rsample, by the parameters; PyTorch's of gamma and beta numbers are within 1 %."""
    ours, params, value = made(D, mt, name, grad=True)
    theirs, their_params, their_value = made(torch.distributions, torch, name, grad=True)
    mt.manual_seed(1), torch.manual_seed(1)
    for what, tol, d, t in (("log_prob", 1e-6, lambda: ours.log_prob(value), lambda: theirs.log_prob(their_value)),
                            ("entropy", 1e-6, ours.entropy, theirs.entropy),
                            ("rsample", 1e-2, ours.rsample, theirs.rsample)):
        y, z = tried(d), tried(t)
        if isinstance(z, type) or not z.requires_grad:
            continue
        weights = np.random.default_rng(0).uniform(0.5, 1.5, tuple(z.shape))
        found = mt.autograd.grad((y * mt.tensor(weights)).sum(), params, allow_unused=True, retain_graph=True)
        wanted = torch.autograd.grad((z * torch.tensor(weights)).sum(), their_params, allow_unused=True,
                                     retain_graph=True)
        for f, w in zip(found, wanted):
            assert (f is None) == (w is None), what
            if w is not None:
                np.testing.assert_allclose(f.numpy(), w.numpy(), tol, tol * float(w.abs().max()), err_msg=what)


def pairs_of(module, tensors):
    """Distributions of three numbers each (or event shapes that go together), for divergences."""
    def t(*values):
        return [tensors.tensor(v, dtype=tensors.float64) if isinstance(v, list) else v for v in values]

    d = module
    return {
        "Bernoulli": [d.Bernoulli(*t([0.2, 0.0, 1.0])), d.Bernoulli(*t([0.5, 0.3, 0.3])), d.Bernoulli(*t([0.5, 0.0, 1.0]))],
        "Beta": [d.Beta(*t([0.5, 2.0, 3.0], [1.0, 0.7, 3.0])), d.Beta(*t([1.5, 1.0, 1.0], [0.7, 2.0, 3.0]))],
        "Binomial": [d.Binomial(5, *t([0.2, 0.7, 0.3])), d.Binomial(5, *t([0.5, 0.1, 0.3])),
                     d.Binomial(4, *t([0.5, 0.1, 0.3]))],
        "Categorical": [d.Categorical(*t(ROWS)), d.Categorical(*t(ROWS[::-1])),
                        d.Categorical(*t([[0.0, 0.5, 0.5], [0.5, 0.5, 0.0]]))],
        "OneHotCategorical": [d.OneHotCategorical(*t(ROWS)), d.OneHotCategorical(*t(ROWS[::-1]))],
        "ContinuousBernoulli": [d.ContinuousBernoulli(*t([0.2, 0.7, 0.5])), d.ContinuousBernoulli(*t([0.5, 0.1, 0.9]))],
        "Dirichlet": [d.Dirichlet(*t([0.2, 0.7, 3.0])), d.Dirichlet(*t([0.5, 1.0, 0.9]))],
        "Exponential": [d.Exponential(*t([0.2, 0.7, 3.0])), d.Exponential(*t([0.5, 0.1, 0.9]))],
        "Gamma": [d.Gamma(*t([0.2, 0.7, 3.0], [1.0, 2.0, 0.5])), d.Gamma(*t([0.5, 1.0, 0.9], [2.0, 1.0, 3.0]))],
        "Gumbel": [d.Gumbel(*t([0.2, -0.7, 3.0], [1.0, 2.0, 0.5])), d.Gumbel(*t([0.5, 1.0, 0.9], [2.0, 1.0, 3.0]))],
        "Geometric": [d.Geometric(*t([0.2, 0.7])), d.Geometric(*t([0.5, 0.1]))],
        "HalfNormal": [d.HalfNormal(*t([0.2, 0.7])), d.HalfNormal(*t([0.5, 0.1]))],
        "Laplace": [d.Laplace(*t([0.2, -0.7, 3.0], [1.0, 2.0, 0.5])), d.Laplace(*t([0.5, 1.0, 0.9], [2.0, 1.0, 3.0]))],
        "MultivariateNormal": [
            d.MultivariateNormal(*t([1.0, 2.0], [[2.0, 0.5], [0.5, 1.0]])),
            d.MultivariateNormal(*t([[1.0, 0.0], [1.0, 2.0], [0.0, 0.0]], [[[1.0, 0.5], [0.5, 1.0]]] * 3))],
        "LowRankMultivariateNormal": [
            d.LowRankMultivariateNormal(*t([1.0, 2.0], [[2.0], [0.5]], [0.3, 0.4])),
            d.LowRankMultivariateNormal(*t([[1.0, 0.0], [1.0, 2.0], [0.0, 0.0]], [[0.3, 1.0], [0.2, 2.0]], [0.5, 0.6]))],
        "Normal": [d.Normal(*t([0.2, -0.7, 3.0], [1.0, 2.0, 0.5])), d.Normal(*t([0.5, 1.0, 0.9], [2.0, 1.0, 3.0]))],
        "Pareto": [d.Pareto(*t([0.2, 0.7, 3.0], [1.0, 2.5, 3.5])), d.Pareto(*t([0.5, 0.1, 0.9], [2.0, 1.0, 3.0]))],
        "Poisson": [d.Poisson(*t([0.2, 0.7, 3.0])), d.Poisson(*t([0.5, 1.0, 0.9]))],
        "Uniform": [d.Uniform(*t([0.2, 0.7, -1.0], [0.9, 2.0, 2.5])), d.Uniform(*t([-0.1, 0.7, -2.0], [1.1, 2.5, 2.0])),
                    d.Uniform(*t([0.1, 0.3, 0.4], [0.8, 2.5, 0.9]))],
        "Cauchy": [d.Cauchy(*t([0.2, -0.7, 3.0], [1.0, 2.0, 0.5])), d.Cauchy(*t([0.5, 1.0, 0.9], [2.0, 1.0, 3.0]))],
        "LogNormal": [d.LogNormal(*t([0.2, -0.7, 3.0], [1.0, 2.0, 0.5])), d.LogNormal(*t([0.5, 1.0, 0.9], [2.0, 1.0, 3.0]))],
        "Independent": [d.Independent(d.Normal(*t([0.2, -0.7], [1.0, 2.0])), 1),
                        d.Independent(d.Normal(*t([0.5, 1.0], [2.0, 1.0])), 1)],
        "StudentT": [d.StudentT(*t([0.5, 1.0, 3.0]))],
    }


def test_divergences_as_in_pytorch(torch):
    """All pairs: the same ones exist, with the same values."""
    ours, theirs, found = pairs_of(D, mt), pairs_of(torch.distributions, torch), 0
    for a, b in ((a, b) for a in ours for b in ours):
        for p, their_p in zip(ours[a], theirs[a]):
            for q, their_q in zip(ours[b], theirs[b]):
                wanted = tried(lambda: torch.distributions.kl_divergence(their_p, their_q))
                same(tried(lambda: D.kl_divergence(p, q)), wanted, 1e-9, (a, b))
                found += not isinstance(wanted, type)
    assert found > 250


# Without PyTorch: SciPy's distributions, recorded samples, integrals

def scipy_of(name):
    """SciPy's distribution of the case's name, for the first of its parameters broadcast together."""
    from scipy import stats

    given = [np.asarray(x, float) if isinstance(x, list) else x for x in CASES[name][0]]
    a = [np.broadcast_to(x, np.broadcast_shapes(*(np.shape(g) for g in given))) for x in given if x is not None]
    odds = 1 / (1 + np.exp(-a[-1]))
    return {
        "Normal": lambda: stats.norm(*a), "Normal numbers": lambda: stats.norm(*a),
        "LogNormal": lambda: stats.lognorm(a[1], 0, np.exp(a[0])), "HalfNormal": lambda: stats.halfnorm(0, a[0]),
        "Uniform": lambda: stats.uniform(a[0], a[1] - a[0]), "Beta": lambda: stats.beta(*a),
        "Gamma": lambda: stats.gamma(a[0], 0, 1 / a[1]), "Chi2": lambda: stats.chi2(a[0]),
        "InverseGamma": lambda: stats.invgamma(a[0], 0, a[1]), "Exponential": lambda: stats.expon(0, 1 / a[0]),
        "Laplace": lambda: stats.laplace(*a), "Cauchy": lambda: stats.cauchy(*a),
        "HalfCauchy": lambda: stats.halfcauchy(0, a[0]), "StudentT": lambda: stats.t(*a),
        "FisherSnedecor": lambda: stats.f(*a), "Gumbel": lambda: stats.gumbel_r(*a),
        "Weibull": lambda: stats.weibull_min(a[1], 0, a[0]), "Pareto": lambda: stats.pareto(a[1], 0, a[0]),
        "GeneralizedPareto": lambda: stats.genpareto(a[2], a[0], a[1]), "VonMises": lambda: stats.vonmises(a[1], a[0]),
        "Poisson": lambda: stats.poisson(a[0]), "Bernoulli": lambda: stats.bernoulli(a[0]),
        "Bernoulli logits": lambda: stats.bernoulli(odds), "Binomial": lambda: stats.binom(*a),
        "Binomial logits": lambda: stats.binom(a[0], odds), "NegativeBinomial": lambda: stats.nbinom(a[0], 1 - a[1]),
        "NegativeBinomial logits": lambda: stats.nbinom(a[0], 1 - odds), "Geometric": lambda: stats.geom(a[0], -1),
        "Geometric logits": lambda: stats.geom(odds, -1),
    }[name]()


CONTINUOUS = ["Normal", "Normal numbers", "LogNormal", "HalfNormal", "Uniform", "Beta", "Gamma", "Chi2", "InverseGamma",
              "Exponential", "Laplace", "Cauchy", "HalfCauchy", "StudentT", "FisherSnedecor", "Gumbel", "Weibull",
              "Pareto", "GeneralizedPareto", "VonMises"]
DISCRETE = ["Poisson", "Bernoulli", "Bernoulli logits", "Binomial", "Binomial logits", "NegativeBinomial",
            "NegativeBinomial logits", "Geometric", "Geometric logits"]


@pytest.mark.parametrize("name", CONTINUOUS + DISCRETE)
def test_as_in_scipy(name):
    pytest.importorskip("scipy")
    d, _, value = made(D, mt, name)
    s, x = scipy_of(name), value.numpy()
    near = dict(rtol=1e-6 if name == "Normal numbers" else 1e-9, atol=1e-12)
    np.testing.assert_allclose(d.log_prob(value).numpy(), s.logpdf(x) if name in CONTINUOUS else s.logpmf(x), **near)
    for ours, theirs in ((lambda: d.cdf(value), lambda: s.cdf(x)), (d.entropy, s.entropy)):
        found = tried(ours)
        if found is not NotImplementedError:
            np.testing.assert_allclose(found.numpy(), theirs(), **near)
    if name not in ("VonMises", "Cauchy", "HalfCauchy"):  # a circular variance, and none at all
        mean, variance = (np.broadcast_to(v, d.batch_shape) for v in s.stats("mv"))
        finite = np.isfinite(mean)
        np.testing.assert_allclose(d.mean.numpy()[finite], mean[finite], **near)
        finite = np.isfinite(variance)
        np.testing.assert_allclose(d.variance.numpy()[finite], variance[finite], **near)
    level = mt.tensor(np.full((2, 1), 0.3), dtype=mt.float64)
    quantile = tried(lambda: d.icdf(level))
    if quantile is not NotImplementedError:
        np.testing.assert_allclose(quantile.numpy(), np.broadcast_to(s.ppf(0.3), quantile.shape), **near)


def test_multivariate_as_in_scipy():
    stats = pytest.importorskip("scipy.stats")
    cov, x = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([0.3, 0.1])
    for kind, matrix in (("covariance_matrix", cov), ("precision_matrix", np.linalg.inv(cov)),
                         ("scale_tril", np.linalg.cholesky(cov))):
        d = D.MultivariateNormal(mt.tensor([0.0, 1.0], dtype=mt.float64), **{kind: mt.tensor(matrix)})
        s = stats.multivariate_normal([0.0, 1.0], cov)
        np.testing.assert_allclose(d.log_prob(mt.tensor(x)).item(), s.logpdf(x))
        np.testing.assert_allclose(d.entropy().item(), s.entropy())
        for what, wanted in (("covariance_matrix", cov), ("precision_matrix", np.linalg.inv(cov)),
                             ("scale_tril", np.linalg.cholesky(cov)), ("variance", np.diag(cov))):
            np.testing.assert_allclose(getattr(d, what).numpy(), wanted, atol=1e-12)
    w, diagonal, x = np.array([[1.0], [0.5], [-1.0]]), np.array(A), np.array([0.3, 0.1, -1.0])
    d = D.LowRankMultivariateNormal(mt.zeros(3, dtype=mt.float64), mt.tensor(w), mt.tensor(diagonal))
    full = w @ w.T + np.diag(diagonal)
    np.testing.assert_allclose(d.log_prob(mt.tensor(x)).item(), stats.multivariate_normal(None, full).logpdf(x))
    np.testing.assert_allclose(d.entropy().item(), stats.multivariate_normal(None, full).entropy())
    np.testing.assert_allclose(d.precision_matrix.numpy(), np.linalg.inv(full))
    np.testing.assert_allclose(d.scale_tril.numpy(), np.linalg.cholesky(full))
    x = np.array([[1.0, 0.2], [0.2, 3.0]])
    d, s = D.Wishart(mt.tensor(3.5, dtype=mt.float64), mt.tensor(cov)), stats.wishart(3.5, cov)
    np.testing.assert_allclose([d.log_prob(mt.tensor(x)).item(), d.entropy().item()], [s.logpdf(x), s.entropy()])
    np.testing.assert_allclose(d.variance.numpy(), s.var())
    a, x = np.array(A), np.array([0.2, 0.3, 0.5])
    d, s = D.Dirichlet(mt.tensor(a)), stats.dirichlet(a)
    np.testing.assert_allclose([d.log_prob(mt.tensor(x)).item(), d.entropy().item()], [s.logpdf(x), s.entropy()])
    np.testing.assert_allclose([d.mean.numpy(), d.variance.numpy()], [s.mean(), s.var()])
    d, s, x = D.Multinomial(4, mt.tensor(ROWS[0], dtype=mt.float64)), stats.multinomial(4, ROWS[0]), [1.0, 0.0, 3.0]
    np.testing.assert_allclose([d.log_prob(mt.tensor(x)).item(), d.entropy().item()], [s.logpmf(x), s.entropy()], 1e-6)


# PyTorch's numbers: the first, the middle and the last one of sample((2,)) in float32 from seed 1
RECORDED = {
    "Normal": [0.7645409, -0.1091074, 1.825249],
    "Normal numbers": [1.822704, 1.033848, 1.033848],
    "LogNormal": [2.148008, 0.8966341, 6.204342],
    "HalfNormal": [0.1984057, 0.1863952, 1.245977],
    "Uniform": [2.030526, 0.5885494, 3.573998],
    "Beta": [0.7702898, 0.9426636, 0.820949],
    "Gamma": [2.199939, 4.429304, 1.986323],
    "Chi2": [1.217342, 0.01010014, 6.620246],
    "InverseGamma": [0.454558, 0.2257691, 0.5034427],
    "Exponential": [0.2099884, 0.6497322, 0.01545455],
    "Laplace": [0.7896597, 0.4078697, 2.151771],
    "Cauchy": [-1.55982, 0.4506333, 0.2199183],
    "HalfCauchy": [1.544865, 0.4823855, 20.94681],
    "StudentT": [9.856839, 0.2747765, 1.803934],
    "FisherSnedecor": [3.585596, 5.831909, 7.453162],
    "Gumbel": [1.01269, 0.5318454, 3.315544],
    "Weibull": [0.0002988223, 0.09002814, 5.525069],
    "Pareto": [0.3511712, 1.405963, 8.569125],
    "GeneralizedPareto": [0.9618049, 0.6878092, 4.405699],
    "Kumaraswamy": [0.09946005, 0.7054278, 0.8033002],
    "VonMises": [0.6331845, -0.5998031, 1.675253],
    "Poisson": [0.0, 0.0, 10.0],
    "Bernoulli": [0.0, 0.0, 1.0],
    "Bernoulli logits": [0.0, 0.0, 1.0],
    "ContinuousBernoulli": [0.5093576, 0.4817818, 0.8826774],
    "ContinuousBernoulli logits": [0.7995536, 0.7794916, 0.9049914],
    "Binomial": [0.0, 0.0, 3.0],
    "Binomial logits": [3.0, 1.0, 37.0],
    "NegativeBinomial": [0.0, 0.0, 44.0],
    "NegativeBinomial logits": [6.0, 8.0, 15.0],
    "Geometric": [2.0, 2.0, 0.0],
    "Geometric logits": [0.0, 0.0, 0.0],
    "Categorical": [0, 1, 1],
    "Categorical logits": [0, 0, 0],
    "OneHotCategorical": [1.0, 0.0, 0.0],
    "OneHotCategoricalStraightThrough": [1.0, 1.0, 0.0],
    "Multinomial": [1.0, 2.0, 0.0],
    "RelaxedBernoulli": [0.1808359, 0.1565848, 0.9812858],
    "RelaxedOneHotCategorical": [0.5312517, 0.05485073, 0.1762962],
    "LogisticNormal": [0.5666522, 0.417883, 0.2559203],
    "Dirichlet": [0.06575299, 0.04735007, 0.2761026],
    "MultivariateNormal": [0.9352932, -0.6390916, 2.818653],
    "MultivariateNormal precision": [0.4999353, 0.04662363, 1.598006],
    "MultivariateNormal scale_tril": [0.9920282, -0.6778589, -0.1410846],
    "LowRankMultivariateNormal": [0.4138331, -0.4270504, 2.11076],
    "Wishart": [2.391664, 7.92506, 2.441364],
    "Wishart batch": [51.34947, 8.837729, 1.170015],
    "LKJCholesky": [1.0, 1.0, 0.6489085],
}


@pytest.mark.parametrize("name", CASES)
def test_recorded_samples(name):
    d, _, _ = made(D, mt, name, "float32")
    mt.manual_seed(1)
    drawn = d.sample((2,))
    assert drawn.shape == (2, *d.batch_shape, *d.event_shape) and not drawn.requires_grad
    drawn = drawn.numpy().reshape(-1)
    np.testing.assert_allclose(drawn[[0, drawn.size // 2, -1]], RECORDED[name], 5e-5, 1e-7)
    assert d.support.check(mt.tensor(drawn).reshape((2, *d.batch_shape, *d.event_shape))).all()


@pytest.mark.parametrize("name", ["Normal", "LogNormal", "HalfNormal", "Exponential", "Laplace", "Gumbel", "Weibull",
                                  "Kumaraswamy", "GeneralizedPareto", "ContinuousBernoulli", "Uniform", "Cauchy"])
def test_gradients_of_samples(name):
    """A reparameterised draw x keeps its level: dx/da = -(dF/da) / p(x)."""
    d, params, _ = made(D, mt, name, grad=True)
    mt.manual_seed(2)
    x = d.rsample()
    weights = mt.tensor(np.random.default_rng(0).uniform(0.5, 1.5, tuple(x.shape)))
    found = mt.autograd.grad((x * weights).sum(), params)
    at = x.detach()
    wanted = mt.autograd.grad((d.cdf(at) * (-weights / d.log_prob(at).exp()).detach()).sum(), params)
    for f, w in zip(found, wanted):
        np.testing.assert_allclose(f.numpy(), w.numpy(), 1e-6, 1e-9)


@pytest.mark.parametrize("make", [
    lambda a, b: D.Gamma(a, b), lambda a, b: D.Beta(a, b), lambda a, b: D.FisherSnedecor(a, b + 8),
    lambda a, b: D.StudentT(a + 9, b), lambda a, b: D.Dirichlet(mt.stack([a, b, a + b, a * b], -1))])
def test_mean_gradients_of_gamma_numbers(make):
    """The mean of the draws' gradients is the gradient of the mean."""
    a, b = (mt.tensor(v, dtype=mt.float64, requires_grad=True) for v in ([0.7, 3.0, 12.0], [2.0, 0.9, 30.0]))
    d = make(a, b)
    weights = mt.tensor(np.random.default_rng(0).uniform(0.5, 1.5, tuple(d.mean.shape)))
    mt.manual_seed(2)
    found = mt.autograd.grad((d.rsample((20000,)) * weights).mean(0).sum(), (a, b))
    wanted = mt.autograd.grad((d.mean * weights).sum(), (a, b), allow_unused=True)
    for f, w in zip(found, wanted):
        np.testing.assert_allclose(f.numpy(), 0.0 if w is None else w.numpy(), 0.1, 0.02)


def test_second_derivative_of_gamma_numbers():
    """d2z/dalpha2 at a fixed level, against differences of SciPy's quantile."""
    special = pytest.importorskip("scipy.special")
    for alpha in (0.4, 2.5, 40.0):
        a = mt.tensor(alpha, dtype=mt.float64, requires_grad=True)
        mt.manual_seed(1)
        z = mt._standard_gamma(a)
        (first,) = mt.autograd.grad(z, a, create_graph=True)
        level, h = special.gammainc(alpha, z.item()), 1e-3 * alpha
        low, mid, high = (special.gammaincinv(alpha + s, level) for s in (-h, 0.0, h))
        np.testing.assert_allclose(first.item(), (high - low) / (2 * h), 1e-5)
        np.testing.assert_allclose(mt.autograd.grad(first, a)[0].item(), (high - 2 * mid + low) / h**2, 1e-4)


def test_divergences_are_integrals():
    """KL(p || q) of single numbers is the integral of p log(p / q), infinite where q has no density."""
    integrate = pytest.importorskip("scipy.integrate")
    ours = pairs_of(D, mt)
    names = ("Beta", "ContinuousBernoulli", "Exponential", "Gamma", "Gumbel", "Laplace", "Normal", "Pareto", "Uniform",
             "Cauchy", "LogNormal")
    count = 0
    for a, b in ((a, b) for a in names for b in names):
        for p, q in ((p, q) for p in ours[a] for q in ours[b]):
            kl = tried(lambda: D.kl_divergence(p, q))
            if isinstance(kl, type):
                continue
            for i in range(3):
                if not math.isfinite(kl[i]):
                    continue
                points = p.icdf(mt.tensor([[0.0], [0.3], [1.0]], dtype=mt.float64))[:, i].tolist() if a not in (
                    "Beta", "Gamma") else [0.0, 0.3, 1.0 if a == "Beta" else math.inf]

                def part(x):
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        v = mt.full((3,), x, dtype=mt.float64)
                        lp, lq = p.log_prob(v)[i].item(), q.log_prob(v)[i].item()
                    return math.exp(lp) * (lp - lq) if lp > -700 else 0.0

                p._validate_args = q._validate_args = False
                total = sum(integrate.quad(part, low, high, limit=100, epsrel=1e-5)[0]
                            for low, high in zip(points, points[1:]))
                assert total == pytest.approx(kl[i].item(), rel=1e-3, abs=1e-5), (a, b, i)
                count += 1
    assert count > 60


def test_divergences_of_families_in_sums():
    """Over all values of discrete distributions, and through Gaussian formulas for normal vectors."""
    ours = pairs_of(D, mt)
    for name in ("Bernoulli", "Binomial", "Categorical", "OneHotCategorical"):
        p, q = ours[name][:2]
        values = p.enumerate_support()
        lp, lq = p.log_prob(values), q.log_prob(values)
        np.testing.assert_allclose(D.kl_divergence(p, q).numpy(), (lp.exp() * (lp - lq)).sum(0).numpy(), 1e-6, 1e-6)
    for p in ours["MultivariateNormal"] + ours["LowRankMultivariateNormal"]:
        for q in ours["MultivariateNormal"] + ours["LowRankMultivariateNormal"]:
            s, t = (np.broadcast_to(d.covariance_matrix.numpy(), (3, 2, 2)) for d in (p, q))
            m = np.broadcast_to((q.loc - p.loc).numpy(), (3, 2))
            inverse = np.linalg.inv(t)
            wanted = 0.5 * (np.trace(inverse @ s, axis1=1, axis2=2) + np.einsum("bi,bij,bj->b", m, inverse, m) - 2
                            + np.linalg.slogdet(t)[1] - np.linalg.slogdet(s)[1])
            np.testing.assert_allclose(np.broadcast_to(D.kl_divergence(p, q).numpy(), (3,)), wanted)
    assert D.kl_divergence(D.Poisson(2.0), D.Bernoulli(0.5)) == math.inf
    p, q = D.Categorical(mt.tensor([0.5, 0.5])), D.Categorical(mt.tensor([1.0, 0.0]))
    assert D.kl_divergence(p, q) == math.inf and D.kl_divergence(q, p).item() == pytest.approx(math.log(2))


def test_register_kl():
    class Point(D.Distribution):
        arg_constraints = {}

    class Narrow(D.Normal):
        pass

    with pytest.raises(NotImplementedError, match="p type Point and q type Normal"):
        D.kl_divergence(Point(), D.Normal(0.0, 1.0))
    assert D.kl_divergence(Narrow(0.0, 1.0), D.Normal(0.0, 1.0)) == 0

    @D.register_kl(Point, D.Normal)
    def _(p, q):
        return q.loc

    try:
        assert D.kl_divergence(Point(), Narrow(3.0, 1.0)) == 3.0
        D.register_kl(D.Distribution, Narrow)(lambda p, q: q.scale)
        with pytest.warns(RuntimeWarning, match="Ambiguous"):
            assert D.kl_divergence(Point(), Narrow(3.0, 1.0)) == 3.0
    finally:
        del D.kl._KL_REGISTRY[Point, D.Normal], D.kl._KL_REGISTRY[D.Distribution, Narrow]
        D.kl._KL_MEMOIZE.clear()
    with pytest.raises(TypeError, match="type_q"):
        D.register_kl(D.Normal, int)


def test_entropy_of_exponential_families():
    """The Bregman formula gives what the closed forms give."""
    for name in ("Normal", "Gamma", "Beta", "Dirichlet", "Exponential", "Bernoulli", "ContinuousBernoulli", "Wishart"):
        d, _, _ = made(D, mt, name)
        if name in ("Beta", "Dirichlet", "Wishart"):  # theirs is a measure that PyTorch leaves out or fixes at 0
            continue
        np.testing.assert_allclose(D.ExponentialFamily.entropy(d).numpy() + (0.5 * math.log(2 * math.pi) if name == "Normal"
                                   and False else 0.0), d.entropy().numpy(), 1e-6, 1e-6, err_msg=name)


# Constraints and transforms

IN_AND_OUT = [
    (constraints.boolean, [0.0, 1.0], [0.5, 2.0]), (constraints.real, [-3.0, 0.0], [math.nan]),
    (constraints.positive, [0.1], [0.0, -1.0]), (constraints.nonnegative, [0.0, 1.0], [-1.0]),
    (constraints.greater_than(2.0), [2.1], [2.0]), (constraints.greater_than_eq(2.0), [2.0], [1.9]),
    (constraints.less_than(2.0), [1.9], [2.0]), (constraints.unit_interval, [0.0, 1.0], [-0.1, 1.1]),
    (constraints.interval(1.0, 2.0), [1.0, 2.0], [0.9]), (constraints.half_open_interval(1.0, 2.0), [1.0], [2.0]),
    (constraints.integer_interval(1, 3), [1.0, 3.0], [0.0, 1.5, 4.0]), (constraints.nonnegative_integer, [0.0], [0.5, -1.0]),
    (constraints.positive_integer, [1.0], [0.0]),
    (constraints.simplex, [[0.5, 0.5], [1.0, 0.0]], [[0.5, 0.6], [1.5, -0.5]]),
    (constraints.one_hot, [[0.0, 1.0]], [[1.0, 1.0], [0.5, 0.5]]), (constraints.multinomial(3), [[1.0, 2.0]], [[2.0, 2.0]]),
    (constraints.real_vector, [[0.0, 1.0]], [[0.0, math.nan]]),
    (constraints.lower_triangular, [[[1.0, 0.0], [2.0, -1.0]]], [[[1.0, 1.0], [2.0, 1.0]]]),
    (constraints.lower_cholesky, [[[1.0, 0.0], [2.0, 1.0]]], [[[1.0, 0.0], [2.0, -1.0]], [[1.0, 1.0], [2.0, 1.0]]]),
    (constraints.corr_cholesky, [[[1.0, 0.0], [0.6, 0.8]]], [[[1.0, 0.0], [0.6, 0.9]]]),
    (constraints.square, [[[1.0, 0.0], [2.0, 1.0]]], [[[1.0, 0.0]]]),
    (constraints.symmetric, [[[1.0, 2.0], [2.0, 1.0]]], [[[1.0, 2.0], [1.0, 1.0]]]),
    (constraints.positive_definite, [[[2.0, 1.0], [1.0, 2.0]]], [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]]),
    (constraints.positive_semidefinite, [[[1.0, 0.0], [0.0, 0.0]]], [[[1.0, 0.0], [0.0, -1.0]]]),
    (constraints.independent(constraints.positive, 2), [[[1.0, 2.0]]], [[[1.0, -2.0]]]),
    (constraints.cat([constraints.positive, constraints.real], -1, [1, 2]), [[1.0, -1.0, -1.0]], [[-1.0, math.nan, math.nan]]),
    (constraints.stack([constraints.positive, constraints.real], -1), [[1.0, -1.0]], [[-1.0, math.nan]]),
    (constraints.MixtureSameFamilyConstraint(constraints.positive), [1.0], [-1.0]),
]


@pytest.mark.parametrize(("constraint", "inside", "outside"), IN_AND_OUT, ids=lambda c: repr(c) if isinstance(
    c, constraints.Constraint) else "")
def test_constraints(constraint, inside, outside):
    for value in inside:
        assert constraint.check(mt.tensor(value, dtype=mt.float64)).all()
    for value in outside:
        assert not constraint.check(mt.tensor(value, dtype=mt.float64)).any()


def test_dependent_constraints():
    support = D.Uniform.support
    assert constraints.is_dependent(support) and support.event_dim == 0 and not support.is_discrete
    assert constraints.is_dependent(constraints.dependent) and not constraints.is_dependent(constraints.real)
    with pytest.raises(NotImplementedError, match="event_dim"):
        constraints.dependent.event_dim
    with pytest.raises(ValueError, match="dependent"):
        constraints.dependent.check(mt.zeros(1))
    assert constraints.dependent(event_dim=2).event_dim == 2
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        constraints.independent(constraints.real, 2).check(mt.zeros(3))
    assert repr(constraints.interval(0.0, 1.0)) == "Interval(lower_bound=0.0, upper_bound=1.0)"


def transforms_of(module, tensors):
    """Name -> transform and the shape of its input."""
    t, distributions = module.transforms, module
    def c(x):
        return tensors.tensor(x, dtype=tensors.float64)

    return {
        "exp": (t.ExpTransform(), (2, 3)), "sigmoid": (t.SigmoidTransform(), (2, 3)), "tanh": (t.TanhTransform(), (2, 3)),
        "softplus": (t.SoftplusTransform(), (2, 3)), "abs": (t.AbsTransform(), (2, 3)),
        "power": (t.ComposeTransform([t.ExpTransform(), t.PowerTransform(c([2.0, 0.5, -1.0]))]), (2, 3)),
        "affine": (t.AffineTransform(c(0.5), c([2.0, -1.0, 0.3])), (2, 3)),
        "affine numbers": (t.AffineTransform(1, -2.0), (2, 3)),
        "affine vectors": (t.AffineTransform(c([0.5] * 3), c([2.0, -1.0, 0.3]), event_dim=1), (2, 3)),
        "affine vectors, numbers": (t.AffineTransform(1, -2.0, event_dim=1), (2, 3)),
        "softmax": (t.SoftmaxTransform(), (2, 3)), "stick": (t.StickBreakingTransform(), (2, 3)),
        "corr": (t.CorrCholeskyTransform(), (2, 3)), "lower": (t.LowerCholeskyTransform(), (2, 3, 3)),
        "positive definite": (t.PositiveDefiniteTransform(), (2, 3, 3)),
        "composed": (t.ComposeTransform([t.AffineTransform(1, 2.0), t.TanhTransform(), t.StickBreakingTransform()]), (2, 3)),
        "none": (t.identity_transform, (2, 3)), "independent": (t.IndependentTransform(t.ExpTransform(), 1), (2, 3)),
        "reshape": (t.ReshapeTransform((3,), (3, 1)), (2, 3)),
        "cdf": (t.CumulativeDistributionTransform(distributions.Normal(0.0, 1.0)), (2, 3)),
        "cat": (t.CatTransform([t.ExpTransform(), t.SigmoidTransform()], dim=-1, lengths=[1, 2]), (2, 3)),
        "cat events": (t.CatTransform([t.IndependentTransform(t.ExpTransform(), 1),
                                       t.IndependentTransform(t.SigmoidTransform(), 1)], dim=0), (2, 3)),
        "stack": (t.StackTransform([t.ExpTransform(), t.SigmoidTransform(), t.TanhTransform()], dim=1), (2, 3)),
        "to interval": (distributions.biject_to(distributions.constraints.interval(c([-1.0, 0.0, 1.0]), c(4.0))), (2, 3)),
        "to less": (distributions.transform_to(distributions.constraints.less_than(2.0)), (2, 3)),
        "to greater": (distributions.biject_to(distributions.constraints.greater_than(2.0)), (2, 3)),
    }


TRANSFORMS = list(transforms_of(D, mt))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_as_in_pytorch(torch, name):
    (ours, shape), (theirs, _) = transforms_of(D, mt)[name], transforms_of(torch.distributions, torch)[name]
    x = np.random.default_rng(0).standard_normal(shape)
    a, b = mt.tensor(x), torch.tensor(x)
    y, z = ours(a), theirs(b)
    same(y, z, 1e-9, "forward")
    same(tried(lambda: ours.inv(y)), tried(lambda: theirs.inv(z)), 1e-9, "inverse")
    for f, g in ((lambda: ours.log_abs_det_jacobian(a, y), lambda: theirs.log_abs_det_jacobian(b, z)),
                 (lambda: ours.inv.log_abs_det_jacobian(y, a), lambda: theirs.inv.log_abs_det_jacobian(z, b))):
        same(tried(f), tried(g), 1e-9, "Jacobian")
    assert repr(ours) == repr(theirs) and ours.bijective == theirs.bijective
    for d, t in ((ours.domain, theirs.domain), (ours.codomain, theirs.codomain)):
        assert d.event_dim == t.event_dim
    assert tuple(ours.forward_shape((5, *shape))) == tuple(theirs.forward_shape(torch.Size((5, *shape))))
    assert tuple(ours.inverse_shape(y.shape)) == tuple(theirs.inverse_shape(z.shape))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name):
    """The inverse inverts, results lie in the codomain, and the log determinant is that of the Jacobian."""
    t, shape = transforms_of(D, mt)[name]
    x = mt.tensor(np.random.default_rng(0).standard_normal(shape)[:1 if "cat e" not in name else 2])
    y = t(x)
    assert t.codomain.check(y).all()
    back = t(t.inv(y))
    np.testing.assert_allclose(back.numpy(), y.numpy(), 1e-7)
    assert tuple(t.forward_shape(x.shape)) == tuple(y.shape) and tuple(t.inverse_shape(y.shape)) == tuple(x.shape)
    cached = t.with_cache(1)
    y = cached(x)
    assert (cached.inv(y) is x) == (name != "none" or y is x) or isinstance(cached, D.ComposeTransform)
    if not t.bijective:
        return
    if t.domain.event_dim == 0:
        columns = [mt.autograd.grad(t(v := x.clone().requires_grad_()).sum(), v)[0]]
        wanted = columns[0].abs().log().numpy()
    else:
        def flat(v):
            y = t(v)
            if name == "stick" or name == "composed":
                y = y[..., :-1]  # the last one follows from the others
            if name == "corr":
                y = D.utils.tril_matrix_to_vec(y, -1)
            return y.reshape(-1)

        v = x.clone().requires_grad_()
        y1 = flat(v)
        rows = [mt.autograd.grad(y1[i], v, retain_graph=True)[0].reshape(-1).numpy() for i in range(y1.numel())]
        wanted = np.linalg.slogdet(np.array(rows))[1]
    found = t.log_abs_det_jacobian(x, t(x))
    if name == "cat events":
        found = found.sum()
    np.testing.assert_allclose(np.broadcast_to(found.numpy(), np.shape(wanted)) if np.ndim(wanted) else found.sum().item(),
                               wanted, 1e-6, 1e-6)


def test_errors_of_transforms():
    with pytest.raises(ValueError, match="cache_size"):
        D.ExpTransform(cache_size=2)
    with pytest.raises(ValueError, match="different numbers of elements"):
        D.ReshapeTransform((2,), (3,))
    with pytest.raises(ValueError, match="domain and codomain differ"):
        D.ReshapeTransform((4,), (2, 2)).event_dim
    with pytest.raises(ValueError, match="size 3"):
        D.StackTransform([D.ExpTransform()] * 3, 0)(mt.zeros(2, 1))
    with pytest.raises(ValueError, match=r"n \(n - 1\) / 2"):
        D.CorrCholeskyTransform().forward_shape((4,))
    with pytest.raises(NotImplementedError, match="AbsTransform: log_abs_det_jacobian"):
        D.AbsTransform().log_abs_det_jacobian(mt.zeros(1), mt.zeros(1))
    with pytest.raises(NotImplementedError, match="Cannot transform OneHot"):
        D.biject_to(constraints.one_hot)
    with pytest.raises(TypeError, match="register"):
        D.biject_to.register(3, lambda c: c)
    assert D.ExpTransform() == D.ExpTransform() != D.TanhTransform()
    assert D.AffineTransform(1, 2.0) == D.AffineTransform(1, 2.0) != D.AffineTransform(1, 3.0)
    assert D.ExpTransform().inv == D.ExpTransform().inv and D.ExpTransform().inv.inv == D.ExpTransform()


def test_an_affine_scale_counts_for_every_element_of_an_event():
    """PyTorch counts a scale that broadcasts over the event once, which is no density."""
    d = D.TransformedDistribution(D.Normal(mt.zeros(3), mt.ones(3)), D.AffineTransform(0.0, mt.tensor(2.0), event_dim=1))
    wanted = D.Normal(mt.zeros(3), mt.full((3,), 2.0)).log_prob(mt.ones(3)).sum()
    assert d.log_prob(mt.ones(3)).item() == pytest.approx(wanted.item())


@pytest.mark.parametrize("name", [n for n in CASES if n != "LKJCholesky"])
def test_registry_reaches_every_parameter(name):
    """transform_to maps real numbers to each parameter's constraint; biject_to inverts."""
    d, _, _ = made(D, mt, name)
    for parameter, constraint in d.arg_constraints.items():
        if isinstance(constraint, type(constraints.nonnegative_integer)):
            continue
        shape = getattr(d, parameter).shape
        for to in (D.transform_to, D.biject_to):
            try:
                t = to(constraint)
            except NotImplementedError:
                assert to is D.biject_to  # positive definite matrices have no bijection
                continue
            x = mt.tensor(np.random.default_rng(0).standard_normal(tuple(t.inverse_shape(shape))))
            assert constraint.check(t(x)).all(), (parameter, to)


# Arguments

BAD = [
    (lambda: D.Normal(0.0, -1.0), "Normal: Expected parameter scale"),
    (lambda: D.Normal(mt.tensor([math.nan]), 1.0), "parameter loc"),
    (lambda: D.Normal("0", 1.0), "broadcast_all"),
    (lambda: D.Uniform(1.0, 0.0), "Uniform: Expected parameter"),
    (lambda: D.Beta(0.0, 1.0), "parameter concentration"),
    (lambda: D.Gamma(1.0, 0.0), "parameter rate"),
    (lambda: D.Bernoulli(1.5), "parameter probs"),
    (lambda: D.Bernoulli(), "Either `probs` or `logits`"),
    (lambda: D.Bernoulli(0.5, 0.5), "Either `probs` or `logits`"),
    (lambda: D.Categorical(mt.tensor(0.5)), "at least one-dimensional"),
    (lambda: D.Categorical(mt.tensor([-1.0, 2.0])), "parameter probs"),
    (lambda: D.Categorical(logits=mt.tensor([math.nan, 2.0])), "parameter logits"),
    (lambda: D.Geometric(0.0), "positive"),
    (lambda: D.Poisson(-1.0), "parameter rate"),
    (lambda: D.Binomial(-1, mt.tensor(0.5)), "parameter total_count"),
    (lambda: D.NegativeBinomial(1, mt.tensor(1.0)), "parameter probs"),
    (lambda: D.Dirichlet(mt.tensor(1.0)), "at least one-dimensional"),
    (lambda: D.MultivariateNormal(mt.zeros(2)), "Exactly one of"),
    (lambda: D.MultivariateNormal(mt.zeros(2), mt.eye(2), scale_tril=mt.eye(2)), "Exactly one of"),
    (lambda: D.MultivariateNormal(mt.tensor(0.0), mt.eye(2)), "loc must be at least one-dimensional"),
    (lambda: D.MultivariateNormal(mt.zeros(2), mt.ones(2)), "covariance_matrix must be at least two-dimensional"),
    (lambda: D.MultivariateNormal(mt.zeros(2), -mt.eye(2)), "parameter covariance_matrix"),
    (lambda: D.LowRankMultivariateNormal(mt.zeros(2), mt.ones(3, 1), mt.ones(2)), "cov_factor expects"),
    (lambda: D.Wishart(1.0, mt.eye(3)), "greater than ndim - 1"),
    (lambda: D.LKJCholesky(1), "dim expects"),
    (lambda: D.Independent(D.Normal(0.0, 1.0), 1), "reinterpreted_batch_ndims"),
    (lambda: D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0)), "expects a Categorical"),
    (lambda: D.MixtureSameFamily(D.Categorical(mt.ones(3)), D.Normal(mt.zeros(2), mt.ones(2))), "3 categories"),
    (lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), "exp"), "transforms must be a Transform"),
    (lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), D.StickBreakingTransform()), "at least 1"),
    (lambda: D.Distribution.set_default_validate_args(3), "True or False"),
    (lambda: D.Normal(0.0, 1.0).log_prob(0.0), "must be a Tensor"),
    (lambda: D.Normal(mt.zeros(3), 1.0).log_prob(mt.zeros(2)), "not broadcastable"),
    (lambda: D.Dirichlet(mt.ones(3)).log_prob(mt.tensor([0.5, 0.5])), "event_shape"),
    (lambda: D.Bernoulli(0.5).log_prob(mt.tensor(0.5)), "within the support"),
    (lambda: D.Uniform(0.0, 1.0).log_prob(mt.tensor(2.0)), "within the support"),
    (lambda: D.Exponential(1.0).cdf(mt.tensor(-2.0)), "within the support"),
    (lambda: D.Categorical(mt.ones(3)).log_prob(mt.tensor(3)), "within the support"),
    (lambda: D.utils.vec_to_tril_matrix(mt.zeros(4)), "4 elements"),
    (lambda: D.utils.tril_matrix_to_vec(mt.zeros(2, 2), 2), "diag expects"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[m for _, m in BAD])
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_validation_can_be_left_out():
    assert math.isnan(D.Normal(0.0, -1.0, validate_args=False).log_prob(mt.tensor(0.0)).item())
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(NotImplementedError, match="Normal: enumerate_support"):
        D.Normal(0.0, 1.0).enumerate_support()
    with pytest.raises(NotImplementedError, match="Bernoulli: rsample"):
        D.Bernoulli(0.5).rsample()
    with pytest.warns(FutureWarning, match="sample_n"):
        assert D.Normal(0.0, 1.0).sample_n(3).shape == (3,)


def test_a_distribution_of_ones_own():
    """What subclasses rely on: extended shapes, validation, expand through an instance."""
    class Triangular(D.Distribution):
        arg_constraints = {"width": constraints.positive}
        has_rsample = True

        def __init__(self, width, validate_args=None):
            (self.width,) = D.utils.broadcast_all(width)
            super().__init__(self.width.size(), validate_args=validate_args)

        @constraints.dependent_property(is_discrete=False, event_dim=0)
        def support(self):
            return constraints.interval(-self.width, self.width)

        def expand(self, batch_shape, _instance=None):
            new = self._get_checked_instance(Triangular, _instance)
            new.width = self.width.expand(batch_shape)
            super(Triangular, new).__init__(batch_shape, validate_args=False)
            new._validate_args = self._validate_args
            return new

        def rsample(self, sample_shape=()):
            u = mt.rand(2, *self._extended_shape(sample_shape))
            return self.width * (u[0] - u[1])

    d = Triangular(mt.tensor([1.0, 2.0])).expand((3, 2))
    assert d.sample((4,)).shape == (4, 3, 2) and repr(d) == "Triangular(width: torch.Size([3, 2]))"
    with pytest.raises(ValueError, match="Triangular: Expected parameter width"):
        Triangular(-1.0)
    with pytest.raises(ValueError, match="support"):
        d._validate_sample(mt.full((2,), 5.0))

    class Unbounded(D.Distribution):
        pass

    with pytest.warns(UserWarning, match="arg_constraints"):
        d = Unbounded()
    with pytest.warns(UserWarning, match="support"):
        d._validate_sample(mt.zeros(1))


# Compositions

def test_independent():
    base = D.Normal(mt.zeros(4, 3, 2), mt.ones(2))
    for dims in range(4):
        d = D.Independent(base, dims)
        assert (d.batch_shape, d.event_shape) == ((4, 3, 2)[:3 - dims], (4, 3, 2)[3 - dims:])
        value = d.sample()
        axes = tuple(range(3 - dims, 3))
        np.testing.assert_allclose(d.log_prob(value).numpy(), base.log_prob(value).numpy().sum(axes), 1e-5)
        np.testing.assert_allclose(d.entropy().numpy(), base.entropy().numpy().sum(axes), 1e-5)
        assert d.expand((5, *d.batch_shape)).sample().shape == (5, 4, 3, 2)
    kl = D.kl_divergence(D.Independent(base, 1), D.Independent(D.Normal(mt.ones(4, 3, 2), 1.0), 1))
    np.testing.assert_allclose(kl.numpy(), np.ones((4, 3)))
    with pytest.raises(NotImplementedError, match="reinterpreted_batch_ndims"):
        D.kl_divergence(D.Independent(base, 1), D.Independent(base, 2))


def mixtures(module, tensors):
    t, d = lambda *x: tensors.tensor(x, dtype=tensors.float64), module
    return [d.MixtureSameFamily(d.Categorical(t(0.2, 0.3, 0.5)), d.Normal(t(-1.0, 0.0, 2.0), t(1.0, 0.5, 2.0))),
            d.MixtureSameFamily(d.Categorical(t([0.2, 0.8], [0.6, 0.4], [0.1, 0.9])),
                                d.Independent(d.Normal(t([0.0, 1.0], [2.0, 3.0]).expand(3, 2, 2), t(1.0, 2.0)), 1)),
            d.MixtureSameFamily(d.Categorical(t(0.2, 0.8)), d.Poisson(t([1.0, 2.0], [3.0, 4.0])))]


def test_mixtures_as_in_pytorch(torch):
    for ours, theirs in zip(mixtures(D, mt), mixtures(torch.distributions, torch)):
        assert tuple(ours.batch_shape) == tuple(theirs.batch_shape) and tuple(ours.event_shape) == tuple(theirs.event_shape)
        for d, t in ((ours, theirs), (ours.expand((4, *ours.batch_shape)), theirs.expand((4, *theirs.batch_shape)))):
            mt.manual_seed(1), torch.manual_seed(1)
            value, their_value = d.sample((5,)), t.sample((5,))
            same(value, their_value, 1e-9, "sample")
            same(d.log_prob(value), t.log_prob(their_value), 1e-9, "log_prob")
            same(d.mean, t.mean, 1e-9, "mean"), same(d.variance, t.variance, 1e-9, "variance")
            same(tried(lambda: d.cdf(value)), tried(lambda: t.cdf(their_value)), 1e-9, "cdf")
            assert repr(d) == repr(t)


def test_mixtures():
    d = mixtures(D, mt)[0]
    x = mt.tensor([0.3, 5.0], dtype=mt.float64)
    parts = d.component_distribution.log_prob(x[:, None]).exp().numpy() @ [0.2, 0.3, 0.5]
    np.testing.assert_allclose(d.log_prob(x).exp().numpy(), parts)
    mt.manual_seed(0)
    drawn = d.sample((20000,))
    assert drawn.mean().item() == pytest.approx(d.mean.item(), abs=0.05)
    assert drawn.var().item() == pytest.approx(d.variance.item(), rel=0.05)


def test_transformed_distributions():
    """A log-normal made by hand, and shapes that grow under a transform."""
    d = D.TransformedDistribution(D.Normal(mt.tensor([0.0, 1.0]), 1.0), [D.ExpTransform()])
    e, x = D.LogNormal(mt.tensor([0.0, 1.0]), 1.0), mt.tensor([0.5, 2.0])
    for f in ("log_prob", "cdf"):
        np.testing.assert_allclose(getattr(d, f)(x).numpy(), getattr(e, f)(x).numpy(), 1e-6)
    np.testing.assert_allclose(d.icdf(d.cdf(x)).numpy(), x.numpy(), 1e-5)
    falling = D.TransformedDistribution(D.Normal(0.0, 1.0), D.AffineTransform(mt.tensor(1.0), mt.tensor(-2.0)))
    assert falling.cdf(mt.tensor(3.0)).item() == pytest.approx(D.Normal(1.0, 2.0).cdf(mt.tensor(3.0)).item())
    wide = D.TransformedDistribution(D.Normal(0.0, 1.0), D.AffineTransform(mt.zeros(3), mt.ones(3)))
    assert wide.batch_shape == (3,) and wide.sample((2,)).shape == (2, 3)
    correlated = D.TransformedDistribution(D.Normal(mt.zeros(3), 1.0), D.CorrCholeskyTransform())
    assert correlated.event_shape == (3, 3) and correlated.expand((2,)).sample().shape == (2, 3, 3)


@pytest.mark.parametrize("name", CASES)
def test_copies(name):
    """Distributions can be copied and pickled; copies draw the same."""
    d, _, _ = made(D, mt, name)
    twins = [copy.copy(d), copy.deepcopy(d)]
    if name.split()[0] not in ("Wishart",):
        twins.append(pickle.loads(pickle.dumps(d)))
    mt.manual_seed(0)
    first = d.sample()
    for twin in twins:
        mt.manual_seed(0)
        assert (twin.sample() == first).all()


def test_utilities():
    x = mt.arange(9.0).reshape(3, 3)
    for diag in (-2, -1, 0):
        vec = D.utils.tril_matrix_to_vec(x, diag)
        assert vec.tolist() == x.numpy()[np.tril_indices(3, diag)].tolist()
        assert (D.utils.vec_to_tril_matrix(vec, diag) == x.tril(diag)).all()
    logits = mt.tensor([-1.0, 0.5])
    for binary in (True, False):
        probs = D.utils.logits_to_probs(logits, binary)
        back = D.utils.logits_to_probs(D.utils.probs_to_logits(probs, binary), binary)
        np.testing.assert_allclose(back.numpy(), probs.numpy(), 1e-6)


def test_programs():
    """REINFORCE's gradient, a straight-through one, and a normal distribution fitted by maximum likelihood."""
    logits = mt.zeros(3, requires_grad=True)
    mt.manual_seed(0)
    d = D.Categorical(logits=logits)
    actions = d.sample((2000,))
    (-(d.log_prob(actions) * (actions == 1)).mean()).backward()
    np.testing.assert_allclose(logits.grad.numpy(), [1 / 9, -2 / 9, 1 / 9], atol=0.02)

    probs = mt.tensor([0.2, 0.8], requires_grad=True)
    (D.OneHotCategoricalStraightThrough(probs).rsample() * mt.tensor([1.0, 3.0])).sum().backward()
    np.testing.assert_allclose(probs.grad.numpy(), [-1.6, 0.4], atol=1e-6)

    data = mt.tensor(np.random.default_rng(0).normal(3.0, 0.5, 500), dtype=mt.float32)
    loc, log_scale = mt.zeros((), requires_grad=True), mt.zeros((), requires_grad=True)
    optimizer = mt.optim.Adam([loc, log_scale], lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        loss = -D.Normal(loc, log_scale.exp()).log_prob(data).mean()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose([loc.item(), log_scale.exp().item()], [data.mean().item(), data.std().item()], rtol=0.01)


# How rejection draws

def draws(g):
    rng = np.random.default_rng(0)
    alpha = 10 ** rng.uniform(-2, 3, (40, 10))
    return [g.standard_gamma(alpha), g.dirichlet(alpha), g.poisson(alpha), g.normal(1, np.float64),
            g.binomial(np.floor(alpha), rng.uniform(0, 1, (40, 10))), g.standard_gamma(alpha.astype(np.float32)),
            g.uniform(3), g.normal(3)]


@pytest.mark.parametrize("way", ["compiled", "small blocks", "state by NumPy"])
def test_rejection_loops_agree(monkeypatch, way):
    """Plain loops, compiled ones and any cut into blocks draw the same bits, and leave the generator where it was."""
    from minitorch_kernels import random, rejection
    from minitorch_kernels.mt19937 import Twister

    monkeypatch.setattr(rejection, "_WORTH_COMPILING", math.inf), monkeypatch.setattr(rejection, "_WORTH_CALLING", math.inf)
    plain = draws(random.Generator(5))
    if way == "compiled":
        pytest.importorskip("numba")
        monkeypatch.setattr(rejection, "_WORTH_COMPILING", 0), monkeypatch.setattr(rejection, "_WORTH_CALLING", 0)
    elif way == "small blocks":
        monkeypatch.setattr(rejection, "_BLOCK", 3)
    else:
        monkeypatch.setattr(Twister, "_memory", lambda self: None)
    for a, b in zip(plain, draws(random.Generator(5))):
        assert a.dtype == b.dtype and np.array_equal(a, b)


@pytest.mark.parametrize(("draw", "mean", "variance"), [
    (lambda g, n: g.standard_gamma(np.full(n, 0.3)), 0.3, 0.3), (lambda g, n: g.standard_gamma(np.full(n, 4.0)), 4, 4),
    (lambda g, n: g.poisson(np.full(n, 2.5)), 2.5, 2.5), (lambda g, n: g.poisson(np.full(n, 25.0)), 25, 25),
    (lambda g, n: g.binomial(np.full(n, 8.0), np.full(n, 0.3)), 2.4, 1.68),
    (lambda g, n: g.binomial(np.full(n, 8.0), np.full(n, 0.9)), 7.2, 0.72),
    (lambda g, n: g.binomial(np.full(n, 90.0), np.full(n, 0.4)), 36, 21.6),
    (lambda g, n: g.dirichlet(np.full((n, 3), 2.0))[:, 0], 1 / 3, 2 / 63)])
def test_moments_of_rejection(draw, mean, variance):
    from minitorch_kernels import random

    n = 20000
    x = draw(random.Generator(1), n)
    assert x.mean() == pytest.approx(mean, abs=5 * (variance / n) ** 0.5)
    assert x.var() == pytest.approx(variance, rel=0.1)


def test_edges_of_rejection():
    from minitorch_kernels import random

    g = random.Generator(0)
    assert g.standard_gamma(np.array([0.0])).item() == np.finfo(float).tiny
    assert g.poisson(np.array([0.0])) == 0 and g.poisson(np.zeros((0, 2))).shape == (0, 2)
    counts, probs = np.array([0.0, 5.0, 5.0, 5.0, np.nan]), np.array([0.5, 0.0, 1.0, np.nan, 0.5])
    assert np.array_equal(g.binomial(counts, probs), [0, 0, 5, np.nan, 0], equal_nan=True)
