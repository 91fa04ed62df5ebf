"""Kullback-Leibler divergences: against integrals, sums, Gaussian formulas, and PyTorch where it is installed."""
import math

import numpy as np
import pytest
from distribution_cases import ROWS, made, same, tried

import minitorch as mt
from minitorch import distributions as D


def pairs_of(module, tensors):
    """Distributions of three numbers each (or event shapes that go together), for divergences."""
    def t(*values):
        return [tensors.tensor(v, dtype=tensors.float64) if isinstance(v, list) else v for v in values]

    d = module
    return {
        "Bernoulli": [d.Bernoulli(*t([0.2, 0.0, 1.0])), d.Bernoulli(*t([0.5, 0.3, 0.3])),
                      d.Bernoulli(*t([0.5, 0.0, 1.0]))],
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
            d.LowRankMultivariateNormal(*t([[1.0, 0.0], [1.0, 2.0], [0.0, 0.0]], [[0.3, 1.0], [0.2, 2.0]],
                                           [0.5, 0.6]))],
        "Normal": [d.Normal(*t([0.2, -0.7, 3.0], [1.0, 2.0, 0.5])), d.Normal(*t([0.5, 1.0, 0.9], [2.0, 1.0, 3.0]))],
        "Pareto": [d.Pareto(*t([0.2, 0.7, 3.0], [1.0, 4.5, 6.5])), d.Pareto(*t([0.5, 0.1, 0.9], [2.0, 1.0, 3.0]))],
        "Poisson": [d.Poisson(*t([0.2, 0.7, 3.0])), d.Poisson(*t([0.5, 1.0, 0.9]))],
        "Uniform": [d.Uniform(*t([0.2, 0.7, -1.0], [0.9, 2.0, 2.5])), d.Uniform(*t([-0.1, 0.7, -2.0], [1.1, 2.5, 2.0])),
                    d.Uniform(*t([0.1, 0.3, 0.4], [0.8, 2.5, 0.9]))],
        "Cauchy": [d.Cauchy(*t([0.2, -0.7, 3.0], [1.0, 2.0, 0.5])), d.Cauchy(*t([0.5, 1.0, 0.9], [2.0, 1.0, 3.0]))],
        "LogNormal": [d.LogNormal(*t([0.2, -0.7, 3.0], [1.0, 2.0, 0.5])),
                      d.LogNormal(*t([0.5, 1.0, 0.9], [2.0, 1.0, 3.0]))],
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
                wanted = tried(torch.distributions.kl_divergence, their_p, their_q)
                same(tried(D.kl_divergence, p, q), wanted, 1e-9, (a, b))
                found += not isinstance(wanted, type)
    assert found > 250


def test_divergences_are_integrals(monkeypatch):
    """KL(p || q) of single numbers is the mean of log(p / q) over the quantiles of p, by a double exponential rule."""
    stats = pytest.importorskip("scipy.stats")
    monkeypatch.setattr(D.Distribution, "_validate_args", False)  # q has no density at some of p's quantiles
    w = np.linspace(-2.5, 2.5, 401)
    level = 1 / (1 + np.exp(-np.pi * np.sinh(w)))
    weights = mt.tensor(np.pi * np.cosh(w) * level * (1 - level) * (w[1] - w[0]))[:, None]
    ours, count = pairs_of(D, mt), 0
    names = ("Beta", "ContinuousBernoulli", "Exponential", "Gamma", "Gumbel", "Laplace", "Normal", "Pareto", "Uniform",
             "Cauchy", "LogNormal")
    for a, b in ((a, b) for a in names for b in names):
        for p, q in ((p, q) for p in ours[a] for q in ours[b]):
            kl = tried(D.kl_divergence, p, q)
            if isinstance(kl, type) or not (kl < 1e6).any():
                continue
            if a == "Beta":
                x = mt.tensor(stats.beta(p.concentration1, p.concentration0).ppf(level[:, None]))
            elif a == "Gamma":
                x = mt.tensor(stats.gamma(p.concentration, 0, 1 / p.rate).ppf(level[:, None]))
            else:
                x = p.icdf(mt.tensor(level[:, None]))
            finite = kl < 1e6
            part = mt.where(finite, (p.log_prob(x) - q.log_prob(x)) * weights, 0.0)
            np.testing.assert_allclose(part.sum(0)[finite].numpy(), kl[finite].numpy(), 1e-2, 1e-5, err_msg=f"{a}, {b}")
            count += int(finite.sum())
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
            np.testing.assert_allclose(np.broadcast_to(D.kl_divergence(p, q).numpy(), (3,)), wanted, 1e-9, 1e-12)
    assert D.kl_divergence(D.Poisson(2.0), D.Bernoulli(0.5)) == math.inf
    p, q = D.Categorical(mt.tensor([0.5, 0.5])), D.Categorical(mt.tensor([1.0, 0.0]))
    assert D.kl_divergence(p, q) == math.inf and D.kl_divergence(q, p).item() == pytest.approx(math.log(2))


def test_register_kl():
    class Point(D.Distribution):
        arg_constraints = {}  # noqa: RUF012

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
        D.register_kl(D.Normal, 3)


def test_register_kl_of_a_class_that_is_no_distribution():
    """A library's own base class, which may only say that the distributions here belong to it."""
    class Says(type):
        def __subclasscheck__(cls, other):
            return issubclass(other, D.Laplace)

    class Own(metaclass=Says):
        pass

    D.register_kl(D.Uniform, Own)(lambda p, q: q.scale)
    try:
        assert D.kl_divergence(D.Uniform(0.0, 1.0), D.Laplace(0.0, 2.0)) == 2.0
    finally:
        del D.kl._KL_REGISTRY[D.Uniform, Own]
        D.kl._KL_MEMOIZE.clear()


@pytest.mark.parametrize("name", ["Normal", "Gamma", "Exponential", "Bernoulli", "ContinuousBernoulli"])
def test_entropy_of_exponential_families(name):
    """The Bregman formula gives what the closed form gives; so does its divergence."""
    d, _, _ = made(D, mt, name)
    np.testing.assert_allclose(D.ExponentialFamily.entropy(d).detach().numpy(), d.entropy().numpy(), 1e-6, 1e-6)
    p, q = pairs_of(D, mt)[name][:2]
    if name != "Bernoulli":  # its parameters are infinite for 0 and 1
        np.testing.assert_allclose(D.kl._exponential_family(p, q).detach().numpy(), D.kl_divergence(p, q).numpy(), 1e-6)
