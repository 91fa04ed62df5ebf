"""Distributions: against SciPy's closed forms, recorded samples, and PyTorch where it is installed."""
import copy
import math
import pickle

import numpy as np
import pytest
from distribution_cases import CASES, ROWS, A, made, same, tried

import minitorch as mt
from minitorch import distributions as D
from minitorch.distributions import constraints

# Against PyTorch

MOMENTS = ("mean", "mode", "variance", "stddev")


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name in CASES for dtype in ("float64", "float32")
                                             if (name, dtype) != ("GeneralizedPareto", "float64")])  # theirs raises
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
    expanded, theirs_expanded = ours.expand((2, *ours.batch_shape)), theirs.expand((2, *theirs.batch_shape))
    for what in MOMENTS:
        same(tried(getattr, ours, what), tried(getattr, theirs, what), tol, what)
        same(tried(getattr, expanded, what), tried(getattr, theirs_expanded, what), tol, what)
    for d, t in ((ours, theirs), (expanded, theirs_expanded)):
        same(d.log_prob(value), t.log_prob(their_value), tol, "log_prob")
        same(tried(d.cdf, value), tried(t.cdf, their_value), tol, "cdf")
        same(tried(d.icdf, level), tried(t.icdf, their_level), tol, "icdf")
        if d is ours or name != "Multinomial":  # PyTorch's expand loses what entropy needs
            same(tried(d.entropy), tried(t.entropy), tol, "entropy")
        for expand in (True, False):
            same(tried(d.enumerate_support, expand), tried(t.enumerate_support, expand), tol, "support")
        for shape in ((), (4,), (2, 3)):
            mt.manual_seed(1), torch.manual_seed(1)
            same(tried(d.sample, shape), tried(t.sample, shape), max(tol, 2e-5 * (tol > 1e-8)), shape)


@pytest.mark.parametrize("name", [n for n in CASES if "Categorical" not in n.split()[0] or "Relaxed" in n
                                  if n != "GeneralizedPareto"])
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
    quantile = tried(d.icdf, level)
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
    "GeneralizedPareto": [1.028577, 0.6973896, 4.405699],
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
    found = mt.autograd.grad((x * weights).sum(), params, retain_graph=True)
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
    found = mt.autograd.grad((d.rsample((20000,)) * weights).mean(0).sum(), (a, b), retain_graph=True)
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
        arg_constraints = {"width": constraints.positive}  # noqa: RUF012
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
            d.MixtureSameFamily(d.Categorical(t([0.2, 0.8], [0.5, 0.5])), d.Poisson(t([1.0, 2.0], [3.0, 4.0])))]


def test_mixtures_as_in_pytorch(torch):
    for ours, theirs in zip(mixtures(D, mt), mixtures(torch.distributions, torch)):
        assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
        assert tuple(ours.event_shape) == tuple(theirs.event_shape)
        for d, t in ((ours, theirs), (ours.expand((4, *ours.batch_shape)), theirs.expand((4, *theirs.batch_shape)))):
            mt.manual_seed(1), torch.manual_seed(1)
            value, their_value = d.sample((5,)), t.sample((5,))
            same(value, their_value, 1e-9, "sample")
            same(d.log_prob(value), t.log_prob(their_value), 1e-9, "log_prob")
            same(d.mean, t.mean, 1e-9, "mean"), same(d.variance, t.variance, 1e-9, "variance")
            same(tried(d.cdf, value), tried(t.cdf, their_value), 1e-9, "cdf")
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


