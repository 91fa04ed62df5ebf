"""Distributions that the tests try, and how they compare minitorch's with PyTorch's."""
import warnings

import numpy as np

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
    "GeneralizedPareto": ((C, B, [-0.1, 0.0, 0.2]), [[2.01], [2.3]]),
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


def tried(f, *args):
    """f(*args), or the class of what it raised."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(*args)
    except (NotImplementedError, ValueError, AttributeError) as error:
        return type(error)


def same(ours, theirs, tol, what):
    if isinstance(theirs, type) or isinstance(ours, type):
        assert ours is theirs, (what, ours, theirs)
        return
    assert str(ours.dtype) == str(theirs.dtype) and tuple(ours.shape) == tuple(theirs.shape), what
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), tol, tol, err_msg=str(what))
