"""Gamma, Dirichlet, Poisson and binomial numbers: the loops that draw them."""
import math

import numpy as np
import pytest
from minitorch_kernels import random, rejection
from minitorch_kernels.mt19937 import Twister


def draws(g):
    rng = np.random.default_rng(0)
    alpha = 10 ** rng.uniform(-2, 3, (40, 10))
    return [g.standard_gamma(alpha), g.dirichlet(alpha), g.poisson(alpha), g.normal(1, np.float64),
            g.binomial(np.floor(alpha), rng.uniform(0, 1, (40, 10))), g.standard_gamma(alpha.astype(np.float32)),
            g.uniform(3), g.normal(3)]


@pytest.mark.parametrize("way", ["compiled", "small blocks", "state by NumPy"])
def test_rejection_loops_agree(monkeypatch, way):
    """Plain loops, compiled ones and any cut into blocks draw the same bits, and leave the generator where it was."""
    def compile_from(elements):
        monkeypatch.setattr(rejection, "_WORTH_COMPILING", elements)
        monkeypatch.setattr(rejection, "_WORTH_CALLING", elements)

    compile_from(math.inf)
    plain = draws(random.Generator(5))
    if way == "compiled":
        pytest.importorskip("numba")
        compile_from(0)
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
    n = 20000
    x = draw(random.Generator(1), n)
    assert x.mean() == pytest.approx(mean, abs=5 * (variance / n) ** 0.5)
    assert x.var() == pytest.approx(variance, rel=0.1)


def test_edges_of_rejection():
    g = random.Generator(0)
    assert g.standard_gamma(np.array([0.0])).item() == np.finfo(float).tiny
    assert g.poisson(np.array([0.0])) == 0 and g.poisson(np.zeros((0, 2))).shape == (0, 2)
    counts, probs = np.array([0.0, 5.0, 5.0, 5.0, np.nan]), np.array([0.5, 0.0, 1.0, np.nan, 0.5])
    assert np.array_equal(g.binomial(counts, probs), [0, 0, 5, np.nan, 0], equal_nan=True)
