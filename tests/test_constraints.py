"""Constraints of distributions, and the transforms onto them."""
import math

import numpy as np
import pytest
from distribution_cases import CASES, made, same, tried

import minitorch as mt
from minitorch import distributions as D
from minitorch.distributions import constraints

IN_AND_OUT = [
    (constraints.boolean, [0.0, 1.0], [0.5, 2.0]), (constraints.real, [-3.0, 0.0], [math.nan]),
    (constraints.positive, [0.1], [0.0, -1.0]), (constraints.nonnegative, [0.0, 1.0], [-1.0]),
    (constraints.greater_than(2.0), [2.1], [2.0]), (constraints.greater_than_eq(2.0), [2.0], [1.9]),
    (constraints.less_than(2.0), [1.9], [2.0]), (constraints.unit_interval, [0.0, 1.0], [-0.1, 1.1]),
    (constraints.interval(1.0, 2.0), [1.0, 2.0], [0.9]), (constraints.half_open_interval(1.0, 2.0), [1.0], [2.0]),
    (constraints.integer_interval(1, 3), [1.0, 3.0], [0.0, 1.5, 4.0]),
    (constraints.nonnegative_integer, [0.0], [0.5, -1.0]),
    (constraints.positive_integer, [1.0], [0.0]),
    (constraints.simplex, [[0.5, 0.5], [1.0, 0.0]], [[0.5, 0.6], [1.5, -0.5]]),
    (constraints.one_hot, [[0.0, 1.0]], [[1.0, 1.0], [0.5, 0.5]]),
    (constraints.multinomial(3), [[1.0, 2.0]], [[2.0, 2.0]]),
    (constraints.real_vector, [[0.0, 1.0]], [[0.0, math.nan]]),
    (constraints.lower_triangular, [[[1.0, 0.0], [2.0, -1.0]]], [[[1.0, 1.0], [2.0, 1.0]]]),
    (constraints.lower_cholesky, [[[1.0, 0.0], [2.0, 1.0]]], [[[1.0, 0.0], [2.0, -1.0]], [[1.0, 1.0], [2.0, 1.0]]]),
    (constraints.corr_cholesky, [[[1.0, 0.0], [0.6, 0.8]]], [[[1.0, 0.0], [0.6, 0.9]]]),
    (constraints.square, [[[1.0, 0.0], [2.0, 1.0]]], [[[1.0, 0.0]]]),
    (constraints.symmetric, [[[1.0, 2.0], [2.0, 1.0]]], [[[1.0, 2.0], [1.0, 1.0]]]),
    (constraints.positive_definite, [[[2.0, 1.0], [1.0, 2.0]]], [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]]),
    (constraints.positive_semidefinite, [[[1.0, 0.0], [0.0, 0.0]]], [[[1.0, 0.0], [0.0, -1.0]]]),
    (constraints.independent(constraints.positive, 2), [[[1.0, 2.0]]], [[[1.0, -2.0]]]),
    (constraints.cat([constraints.positive, constraints.real], -1, [1, 2]), [[1.0, -1.0, -1.0]],
     [[-1.0, math.nan, math.nan]]),
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
        _ = constraints.dependent.event_dim
    with pytest.raises(ValueError, match="dependent"):
        constraints.dependent.check(mt.zeros(1))
    assert constraints.dependent(event_dim=2).event_dim == 2
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        constraints.independent(constraints.real, 2).check(mt.zeros(3))
    assert repr(constraints.interval(0.0, 1.0)) == "Interval(lower_bound=0.0, upper_bound=1.0)"


def transforms_of(module, tensors):
    """Name -> transform and the shape of its input."""
    t = module.transforms

    def c(x):
        return tensors.tensor(x, dtype=tensors.float64)

    return {
        "exp": (t.ExpTransform(), (2, 3)), "sigmoid": (t.SigmoidTransform(), (2, 3)),
        "tanh": (t.TanhTransform(), (2, 3)), "softplus": (t.SoftplusTransform(), (2, 3)),
        "abs": (t.AbsTransform(), (2, 3)),
        "power": (t.ComposeTransform([t.ExpTransform(), t.PowerTransform(c([2.0, 0.5, -1.0]))]), (2, 3)),
        "affine": (t.AffineTransform(c(0.5), c([2.0, -1.0, 0.3])), (2, 3)),
        "affine numbers": (t.AffineTransform(1, -2.0), (2, 3)),
        "affine vectors": (t.AffineTransform(c([0.5] * 3), c([2.0, -1.0, 0.3]), event_dim=1), (2, 3)),
        "affine vectors, numbers": (t.AffineTransform(1, -2.0, event_dim=1), (2, 3)),
        "softmax": (t.SoftmaxTransform(), (2, 3)), "stick": (t.StickBreakingTransform(), (2, 3)),
        "corr": (t.CorrCholeskyTransform(), (2, 3)), "lower": (t.LowerCholeskyTransform(), (2, 3, 3)),
        "positive definite": (t.PositiveDefiniteTransform(), (2, 3, 3)),
        "composed": (t.ComposeTransform([t.AffineTransform(1, 2.0), t.TanhTransform(),
                                         t.StickBreakingTransform()]), (2, 3)),
        "none": (t.identity_transform, (2, 3)), "independent": (t.IndependentTransform(t.ExpTransform(), 1), (2, 3)),
        "reshape": (t.ReshapeTransform((3,), (3, 1)), (2, 3)),
        "cdf": (t.CumulativeDistributionTransform(module.Normal(0.0, 1.0)), (2, 3)),
        "cat": (t.CatTransform([t.ExpTransform(), t.SigmoidTransform()], dim=-1, lengths=[1, 2]), (2, 3)),
        "cat events": (t.CatTransform([t.IndependentTransform(t.ExpTransform(), 1),
                                       t.IndependentTransform(t.SigmoidTransform(), 1)], dim=0), (2, 3)),
        "stack": (t.StackTransform([t.ExpTransform(), t.SigmoidTransform(), t.TanhTransform()], dim=1), (2, 3)),
        "to interval": (module.biject_to(module.constraints.interval(c([-1.0, 0.0, 1.0]), c(4.0))), (2, 3)),
        "to less": (module.transform_to(module.constraints.less_than(2.0)), (2, 3)),
        "to greater": (module.biject_to(module.constraints.greater_than(2.0)), (2, 3)),
    }


TRANSFORMS = list(transforms_of(D, mt))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_as_in_pytorch(torch, name):
    (ours, shape), (theirs, _) = transforms_of(D, mt)[name], transforms_of(torch.distributions, torch)[name]
    x = np.random.default_rng(0).standard_normal(shape)
    a, b = mt.tensor(x), torch.tensor(x)
    y, z = ours(a), theirs(b)
    same(y, z, 1e-9, "forward")
    same(tried(ours.inv, y), tried(theirs.inv, z), 1e-9, "inverse")
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
    assert (cached(x) is y and cached.inv(y) is x) or isinstance(cached, D.ComposeTransform)
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
    found = np.broadcast_to(found.numpy(), np.shape(wanted)) if np.ndim(wanted) else found.sum().item()
    np.testing.assert_allclose(found, wanted, 1e-6, 1e-6)


def test_errors_of_transforms():
    with pytest.raises(ValueError, match="cache_size"):
        D.ExpTransform(cache_size=2)
    with pytest.raises(ValueError, match="different numbers of elements"):
        D.ReshapeTransform((2,), (3,))
    with pytest.raises(ValueError, match="domain and codomain differ"):
        _ = D.ReshapeTransform((4,), (2, 2)).event_dim
    with pytest.raises(ValueError, match="size 3"):
        D.StackTransform([D.ExpTransform()] * 3, 0)(mt.zeros(2, 1))
    with pytest.raises(ValueError, match=r"n \(n - 1\) / 2"):
        D.CorrCholeskyTransform().forward_shape((4,))
    with pytest.raises(NotImplementedError, match="AbsTransform: log_abs_det_jacobian"):
        D.AbsTransform().log_abs_det_jacobian(mt.zeros(1), mt.zeros(1))
    with pytest.raises(NotImplementedError, match="Cannot transform _OneHot"):
        D.biject_to(constraints.one_hot)
    with pytest.raises(TypeError, match="register"):
        D.biject_to.register(3, lambda c: c)
    assert D.ExpTransform() == D.ExpTransform() != D.TanhTransform()
    assert D.AffineTransform(1, 2.0) == D.AffineTransform(1, 2.0) != D.AffineTransform(1, 3.0)
    assert D.ExpTransform().inv == D.ExpTransform().inv and D.ExpTransform().inv.inv == D.ExpTransform()


def test_an_affine_scale_counts_for_every_element_of_an_event():
    """PyTorch counts a scale that broadcasts over the event once, which is no density."""
    stretch = D.AffineTransform(0.0, mt.tensor(2.0), event_dim=1)
    d = D.TransformedDistribution(D.Normal(mt.zeros(3), mt.ones(3)), stretch)
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


def test_a_transform_that_is_a_module():
    """Its parameters can be set after one `super().__init__()`, as libraries of flows do it."""
    class Scale(D.Transform, mt.nn.Module):
        def __init__(self):
            super().__init__(cache_size=1)
            self.by = mt.nn.Parameter(mt.tensor(2.0))

        def _call(self, x):
            return x * self.by

    scale = Scale()
    assert [name for name, _ in scale.named_parameters()] == ["by"]
    assert D.Transform.__call__(scale, mt.tensor(3.0)).item() == 6.0
