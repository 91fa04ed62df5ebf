"""Gamma, Dirichlet and binomial numbers from a seed: as functions of their parameters, quantiles of a fixed level."""
import numpy as np

from minitorch import Generator
from minitorch.ops import rejection as ops

from . import WIDE, BadInput, OpCase, Sample, register

ALPHA = np.array([0.3, 0.9, 1.0, 2.5])
GAMMAS = np.array([0.5600706879677687, 0.9917483221626421, 0.9819416461186368, 4.0217841309120415])  # PyTorch's
PAIRS = np.array([[0.5, 2.0], [3.0, 0.7], [50.0, 20.0]])
POINTS = np.array([0.13080568131260695, 0.8109489736735234, 0.6753923132329082])
COUNTS, PROBS = np.array([10.0, 10.0, 100.0, 0.0, 7.0]), np.array([0.3, 0.9, 0.4, 0.5, 1.0])


def seeded(op):
    return lambda *args: op(*args, Generator().manual_seed(3))


def torchs(name):
    def call(*args):
        import torch

        return getattr(torch, name)(*args, torch.Generator().manual_seed(3))
    return call


def gamma_quantile(alpha):
    """Where the level of the number drawn at ALPHA lies for `alpha`: that is what implicit differentiation keeps."""
    from scipy.special import gammainc, gammaincinv

    return gammaincinv(alpha, gammainc(ALPHA, GAMMAS)[:alpha.size].reshape(alpha.shape))


def beta_quantile(alpha):
    from scipy.special import betainc, betaincinv

    level = betainc(*PAIRS.T, POINTS)[:len(alpha)]
    x = betaincinv(alpha[:, 0], alpha[:, 1], level)
    return np.stack([x, 1 - x], 1)


def gamma_slope(alpha, z):
    """-(dF/dalpha) / F'(z) by adaptive quadrature, from the nearer end."""
    from scipy.integrate import quad
    from scipy.special import digamma

    def slope(a, x):
        def part(s):
            return (np.log(s) - digamma(a)) * np.exp((a - 1) * np.log(s / x) + x - s)
        ends = (0, x) if x < a else (x, np.inf)
        return quad(part, *ends, epsabs=0, epsrel=1e-11, limit=200)[0] * (-1 if x < a else 1)
    return np.vectorize(slope, otypes=[float])(alpha, z)


def beta_slope(x, alpha, total):
    from scipy.integrate import quad
    from scipy.special import digamma

    def slope(x, a, t):
        b = t - a

        def part(s):
            return (np.log(s) - digamma(a) + digamma(t)) * (s / x) ** (a - 1) * ((1 - s) / (1 - x)) ** (b - 1)
        low = x < a / t
        return quad(part, *((0, x) if low else (x, 1)), epsabs=0, epsrel=1e-11, limit=200)[0] / (
            (x - 1) if low else (1 - x))
    return np.vectorize(slope, otypes=[float])(x, alpha, total)


register(OpCase("_standard_gamma", gamma_quantile, [
    Sample((ALPHA.reshape(2, 2),)), Sample((ALPHA[:1].reshape(()),)), Sample((np.zeros((0, 3)),)),
], call=seeded(ops._standard_gamma), torch=None, dtypes=WIDE, second=False,  # redrawn, numbers move otherwise
    grad_tol={"float32": 1e-2},
    errors=[BadInput((np.array([1, 2]),), {}, NotImplementedError, "_standard_gamma")]))

register(OpCase("_standard_gamma_grad", gamma_slope, [
    Sample((np.array([0.2, 1.0, 1.0, 5.0, 5.0, 300.0]), np.array([0.05, 0.3, 3.0, 2.0, 9.0, 310.0]))),
    Sample((np.zeros((0, 3)), np.zeros((0, 3)))),
], torch=None, dtypes=WIDE, grad=False,
    tol={"float64": 1e-8}))  # the quadrature's error

register(OpCase("_sample_dirichlet", beta_quantile, [Sample((PAIRS,)), Sample((PAIRS[:0],))],
                call=seeded(ops._sample_dirichlet), torch=None, dtypes=WIDE, second=False,
                grad_tol={"float32": 1e-2}, errors=[BadInput((np.ones(()),), {}, IndexError, "_sample_dirichlet")]))

register(OpCase("_dirichlet_grad", beta_slope, [
    Sample((np.array([0.1, 0.9, 0.5, 0.3]), np.array([0.5, 0.7, 4.0, 60.0]), np.array([2.0, 1.5, 9.0, 200.0]))),
    Sample((np.zeros(0), np.zeros(0), np.zeros(0))),
], torch=None, dtypes=WIDE, grad=False,
    tol={"float64": 1e-8}))  # the quadrature's error

register(OpCase("binomial", lambda count, prob: np.array([1.0, 9.0, 44.0, 0.0, 7.0])[:count.size], [
    Sample((COUNTS, PROBS)), Sample((COUNTS[:0], PROBS[:0])),
], call=seeded(ops.binomial), torch=torchs("binomial"), dtypes=WIDE, grad=False,
    errors=[BadInput((np.array([1.0]), np.array([1])), {}, ValueError, "binomial: prob"),
            BadInput((np.array([1], np.int32), np.array([1.0])), {}, RuntimeError, "binomial: count")]))
