"""The normalisation kernels against closed forms and PyTorch: statistics, gradients, hard numbers."""
from __future__ import annotations

import doctest

import numpy as np
import pytest
from minitorch_kernels import explain, kernels, norm, parallel, table, use

k = kernels(np)
EPS = 1e-3
CASES = {  # kind: shapes and the kind's own argument
    "batch": [(shape, None) for shape in [
        (5, 3), (1, 4, 3), (4, 3, 5), (3, 2, 4, 5), (2, 3, 2, 4, 3), (6, 300), (3, 5, 13, 11), (2, 1, 40, 40),
        (1, 2, 2, 2), (5, 0, 3), (0, 3, 4, 4), (0, 3)]],
    "layer": [((4, 7), 1), ((3, 1), 1), ((2, 3, 4, 5), 2), ((2, 3, 40), 1), ((5,), 1), ((3, 4), 2),
              ((70, 9), 1), ((0, 6), 1)],
    "rms": [((4, 7), 1), ((3, 1), 1), ((2, 3, 4, 5), 2), ((5,), 1), ((40, 33), 1), ((0, 6), 1)],
    "group": [((3, 4), 2), ((2, 6, 5), 3), ((2, 4, 3, 5), 1), ((2, 4, 3, 5), 4), ((3, 6, 9, 9), 2),
              ((2, 3, 1, 1), 1), ((0, 4, 3, 3), 2)],
}
ALL = [(kind, shape, own) for kind, cases in CASES.items() for shape, own in cases]
FULL = [case for case in ALL if 0 not in case[1]]
LARGE = [("batch", (16, 5, 6, 7), None), ("batch", (8, 4, 20, 20), None), ("layer", (30, 100), 1),
         ("group", (4, 6, 20, 20), 2)]
DTYPES = [np.float32, np.float64]


@pytest.fixture(params=["numba", "reference"])
def version(request):
    with use(request.param):
        yield request.param


def problem(kind, shape, own, dtype=np.float64, affine=True, seed=0):
    """x, w, b, dy."""
    rng = np.random.default_rng(seed)
    w_shape = shape[len(shape) - own:] if kind in ("layer", "rms") else shape[1:2]
    arrays = [rng.standard_normal(s).astype(dtype) for s in (shape, w_shape, w_shape, shape)]
    x, w, b, dy = arrays
    return 2 * x + 1, w if affine else None, b if affine else None, dy


def forward(kind, x, w, b, own, eps=EPS):
    if kind == "batch":
        return k.batch_norm(x, w, b, eps)
    if kind == "rms":
        return k.rms_norm(x, w, own, eps)
    return getattr(k, kind + "_norm")(x, w, b, own, eps)


def backward(kind, dy, x, w, own, stats=None, eps=EPS):
    options = (w, eps) if kind == "batch" else (w, own, eps)
    return getattr(k, kind + "_norm_backward")(dy, x, *options, stats=stats)


def stats_of(kind, found):
    """What the forward kernel returns beside y, in the form that the backward kernel takes."""
    if kind == "batch":
        return found[1], (1 / np.sqrt(found[2] + EPS)).astype(found[1].dtype)
    return found[1] if kind == "rms" else tuple(found[1:])


def elements(kind, shape, own):
    """For each element of x: the number of its group, and the position of its weight."""
    at = np.indices(shape)
    if kind == "batch":
        return at[1], at[1]
    if kind == "group":
        return at[0] * own + at[1] // (shape[1] // own), at[1]
    outer, inner = shape[:len(shape) - own], shape[len(shape) - own:]
    weights = np.broadcast_to(np.arange(int(np.prod(inner))).reshape(inner), shape)
    return np.broadcast_to(np.arange(int(np.prod(outer))).reshape(*outer, *(1,) * own), shape), weights


def closed_form(kind, x, w, b, dy, own, eps=EPS):
    """y, [(mean, var) a group], dx, dw, db, in extended precision; dx by the whole Jacobian of each group."""
    x, dy = x.astype(np.longdouble), dy.astype(np.longdouble)
    groups, weights = elements(kind, x.shape, own)
    count = int(weights.max()) + 1
    w = np.ones(count) if w is None else w.reshape(-1).astype(np.longdouble)
    b = np.zeros(count) if b is None else b.reshape(-1).astype(np.longdouble)
    dx, xhat, moments = np.empty_like(x), np.empty_like(x), []
    for g in range(int(groups.max()) + 1):
        own_elements = groups == g
        v, m = x[own_elements], own_elements.sum()
        mean = 0 if kind == "rms" else v.sum() / m
        var = ((v - mean) ** 2).sum() / m
        z = (v - mean) / np.sqrt(var + eps)
        jacobian = (np.eye(m) - (kind != "rms") / m - np.outer(z, z) / m) / np.sqrt(var + eps)
        xhat[own_elements], dx[own_elements] = z, jacobian @ (dy[own_elements] * w[weights[own_elements]])
        moments.append((mean, var))
    dw, db = [np.array([values[weights == j].sum() for j in range(count)]) for values in (dy * xhat, dy)]
    return xhat * w[weights] + b[weights] * (kind != "rms"), np.array(moments), dx, dw, db


def close(found, expected, dtype, slack=1.0):
    assert found.dtype == dtype
    expected = np.asarray(expected, np.float64).reshape(found.shape)
    size = max(1.0, float(np.abs(expected).max(initial=0)))
    ulps = 3e-6 if dtype == np.float32 else 3e-14
    np.testing.assert_allclose(found, expected, rtol=0, atol=slack * size * ulps)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind, shape, own", FULL)
def test_closed_form(version, kind, shape, own, dtype, affine):
    x, w, b, dy = problem(kind, shape, own, dtype, affine)
    y, moments, *gradients = closed_form(kind, x, w, b, dy, own)
    found = forward(kind, x, w, b, own)
    assert found[0].shape == shape
    close(found[0], y, dtype)
    if kind != "rms":
        close(found[1], moments[:, 0], dtype)
    close(found[-1], moments[:, 1] if kind == "batch" else 1 / np.sqrt(moments[:, 1] + EPS), dtype, 3)
    for stats in (None, stats_of(kind, found)):
        for gradient, expected in zip(backward(kind, dy, x, w, own, stats), gradients):
            close(gradient, expected, dtype, 5)


@pytest.mark.parametrize("kind, shape, own", FULL)
def test_as_torch(torch, version, kind, shape, own):
    if kind == "group" and np.prod(shape[2:]) * shape[1] == own:
        pytest.skip("torch refuses groups of one element")
    F, (x, w, b, dy) = torch.nn.functional, problem(kind, shape, own)
    tx, tw, tb = (torch.from_numpy(a).requires_grad_() for a in (x, w, b))
    if kind == "batch":
        expected = torch.native_batch_norm(tx, tw, tb, None, None, True, 0.1, EPS)[0]
    elif kind == "group":
        expected = F.group_norm(tx, own, tw, tb, EPS)
    elif kind == "layer":
        expected = F.layer_norm(tx, w.shape, tw, tb, EPS)
    else:
        expected = F.rms_norm(tx, w.shape, tw, EPS) + 0 * tb
    gradients = torch.autograd.grad(expected, (tx, tw, tb), torch.from_numpy(dy))
    close(forward(kind, x, w, b, own)[0], expected.detach().numpy(), np.float64)
    for gradient, e in zip(backward(kind, dy, x, w, own), gradients):
        close(gradient, e.numpy(), np.float64, 30)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 5), (3, 2, 9, 15), (2, 300), (1, 1, 1), (2, 0, 3)])
def test_given_statistics(version, shape, dtype, affine):
    x, w, b, dy = problem("batch", shape, None, dtype, affine)
    rng, c = np.random.default_rng(1), shape[1]
    mean, var = rng.standard_normal(c).astype(dtype), rng.random(c).astype(dtype)
    column = (slice(None), *[None] * (len(shape) - 2))
    rstd = 1 / np.sqrt(var.astype(np.longdouble) + EPS)
    scale = rstd if w is None else rstd * w
    xhat = (x - mean[column].astype(np.longdouble)) * rstd[column]
    y = xhat * (1 if w is None else w[column]) + (0 if b is None else b[column])
    close(k.batch_norm_apply(x, w, b, mean, var, EPS), y, dtype, 20)
    others = (0, *range(2, len(shape)))
    expected = dy * scale[column], (dy * xhat).sum(others), dy.sum(others)
    for gradient, e in zip(k.batch_norm_apply_backward(dy, x, w, mean, var, EPS), expected):
        close(gradient, e, dtype, 20)


def test_given_statistics_as_torch(torch, version):
    x, w, b, dy = problem("batch", (3, 4, 6, 7), None)
    mean, var = np.linspace(-1, 1, 4), np.linspace(0.5, 2, 4)
    tx, tw, tb = (torch.from_numpy(a).requires_grad_() for a in (x, w, b))
    given = torch.from_numpy(mean), torch.from_numpy(var)
    expected = torch.nn.functional.batch_norm(tx, *given, tw, tb, eps=EPS)
    gradients = torch.autograd.grad(expected, (tx, tw, tb), torch.from_numpy(dy))
    close(k.batch_norm_apply(x, w, b, mean, var, EPS), expected.detach().numpy(), np.float64)
    for gradient, e in zip(k.batch_norm_apply_backward(dy, x, w, mean, var, EPS), gradients):
        close(gradient, e.numpy(), np.float64)


@pytest.mark.parametrize("spread", [1.0, 0.02])
@pytest.mark.parametrize("kind, shape, own", LARGE)
def test_large_mean(kind, shape, own, spread):
    """Around 1e4 a float32 E[x²] - E[x]² has nothing left, and a float32 mean is off by up to 0.0005."""
    x, w, b, dy = problem(kind, shape, own, np.float32)
    x = np.float32(1e4) + np.float32(spread) * x
    y, moments, *gradients = closed_form(kind, x, w, b, dy, own, 1e-5)
    with use("numba"):
        found = forward(kind, x, w, b, own, 1e-5)
        for stats in (None, tuple(found[1:])):
            if stats and kind == "batch":
                stats = found[1], 1 / np.sqrt(found[2] + np.float32(1e-5))
            for gradient, expected in zip(backward(kind, dy, x, w, own, stats, 1e-5), gradients):
                close(gradient, expected, np.float32, 30)
    close(found[0], y, np.float32, 10)
    close(found[2], moments[:, 1] if kind == "batch" else 1 / np.sqrt(moments[:, 1] + 1e-5), np.float32)


@pytest.mark.parametrize("kind, shape, own", LARGE)
def test_large_mean_in_double(kind, shape, own):
    x, w, b, dy = problem(kind, shape, own)
    x += 1e8
    y, moments, *_ = closed_form(kind, x, w, b, dy, own)
    with use("numba"):
        found = forward(kind, x, w, b, own)
    np.testing.assert_allclose(found[0], y.astype(np.float64), atol=1e-6)
    expected = moments[:, 1] if kind == "batch" else 1 / np.sqrt(moments[:, 1] + EPS)
    np.testing.assert_allclose(found[2].reshape(-1), expected.astype(np.float64), rtol=1e-12)


@pytest.mark.parametrize("kind, shape, own", LARGE)
def test_an_outlier_first(kind, shape, own):
    """The element that distances are taken from is the worst one."""
    x, w, b, dy = problem(kind, shape, own, np.float64)
    x[(0,) * len(shape)] = 1e6
    with use("numba"):
        found = forward(kind, x, w, b, own)
    close(found[0], closed_form(kind, x, w, b, dy, own)[0], np.float64, 100)


@pytest.mark.parametrize("kind, shape, own", LARGE)
def test_constant_groups(version, kind, shape, own):
    """Variance 0, never below: y = b, and the gradient stays finite."""
    x, w, b, dy = problem(kind, shape, own, np.float32)
    x = np.full(shape, np.float32(0.1))
    found = forward(kind, x, w, b, own, 1e-5)
    b = b if kind == "layer" else b.reshape(-1, *[1] * (len(shape) - 2))
    np.testing.assert_allclose(found[0], np.broadcast_to(b, shape), atol=5e-5)
    if kind == "batch":
        np.testing.assert_allclose(found[2], 0, atol=1e-12)
        assert (found[2] >= 0).all()
    assert all(np.isfinite(g).all() for g in backward(kind, dy, x, w, own))


@pytest.mark.parametrize("kind, shape, own", [*LARGE, ("rms", (5, 40), 1)])
def test_nan_stays_in_its_group(version, kind, shape, own):
    x, w, b, dy = problem(kind, shape, own, np.float32)
    x[(0,) * len(shape)] = np.nan
    groups = elements(kind, shape, own)[0]
    expected = groups == groups[(0,) * len(shape)]
    np.testing.assert_array_equal(np.isnan(forward(kind, x, w, b, own)[0]), expected)
    np.testing.assert_array_equal(np.isnan(backward(kind, dy, x, w, own)[0]), expected)


@pytest.mark.parametrize("kind, shape, own", [case for case in ALL if 0 in case[1]])
def test_no_elements(version, kind, shape, own):
    x, w, b, dy = problem(kind, shape, own, np.float32)
    y, *stats = forward(kind, x, w, b, own)
    assert y.shape == shape and y.dtype == np.float32
    dx, *others = backward(kind, dy, x, w, own)
    assert dx.shape == shape
    for gradient in others:
        np.testing.assert_array_equal(gradient, np.zeros_like(w))
    if kind == "batch":
        np.testing.assert_array_equal(stats, np.zeros((2, shape[1])))
        assert k.batch_norm_apply(x, w, b, w, w * w, EPS).shape == shape


@pytest.mark.parametrize("kind, shape, own", [*LARGE, ("rms", (5, 40), 1)])
def test_any_memory_layout(version, kind, shape, own):
    x, w, b, dy = problem(kind, shape, own, np.float32)
    wide = np.repeat(x, 2, axis=-1)
    found = forward(kind, wide[..., ::2], w[::-1], b[::-1], own)
    for f, e in zip(found, forward(kind, x, w[::-1].copy(), b[::-1].copy(), own)):
        np.testing.assert_allclose(f, e, rtol=1e-6, atol=1e-6)
    stats = stats_of(kind, found)
    found = backward(kind, np.asfortranarray(dy), wide[..., ::2], w[::-1], own, stats)
    for f, e in zip(found, backward(kind, dy, x, w[::-1].copy(), own, stats)):
        np.testing.assert_allclose(f, e, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind, shape, own", [
    ("batch", (64, 30, 12, 12), None), ("batch", (90, 3000), None), ("layer", (700, 400), 1),
    ("rms", (700, 400), 1), ("group", (8, 12, 50, 50), 3)])
def test_same_bits_for_any_number_of_threads(kind, shape, own):
    (x, w, b, dy), before, found = problem(kind, shape, own, np.float32), parallel.get_num_threads(), []
    try:
        for threads in (1, 2):
            parallel.set_num_threads(threads)
            found.append([*forward(kind, x, w, b, own), *backward(kind, dy, x, w, own)])
            if kind == "batch":
                found[-1] += [k.batch_norm_apply(x, w, b, b, w * w, EPS),
                              *k.batch_norm_apply_backward(dy, x, w, b, w * w, EPS)]
    finally:
        parallel.set_num_threads(before)
    for one, two in zip(*found):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind, shape, own", [*LARGE, ("rms", (5, 40), 1)])
def test_half_precision_is_computed_in_single(kind, shape, own):
    x, w, b, dy = (a.astype(np.float16) for a in problem(kind, shape, own, np.float32))
    single = [a.astype(np.float32) for a in (x, w, b, dy)]
    with use("reference"):
        found, expected = forward(kind, x, w, b, own), forward(kind, *single[:3], own)
        gradients, right = backward(kind, dy, x, w, own), backward(kind, single[3], *single[:2], own)
    assert found[0].dtype == np.float16 and all(s.dtype == np.float32 for s in found[1:])
    np.testing.assert_array_equal(found[0], expected[0].astype(np.float16))
    for f, e in zip(gradients, right):
        np.testing.assert_array_equal(f, e.astype(np.float16))


def test_which_version_runs():
    x, w, b, dy = problem("batch", (2, 3, 4, 4), None, np.float32)
    calls = {"batch_norm": (x, w, b, EPS), "batch_norm_backward": (dy, x, w, EPS),
             "batch_norm_apply": (x, None, None, w, w, EPS), "layer_norm": (x, None, None, 2, EPS),
             "group_norm": (x, w, b, 3, EPS), "rms_norm": (x, None, 1, EPS)}
    for name, arguments in calls.items():
        assert "numba       runs" in explain(name, *arguments)
    assert "refuses: float32 and float64 only" in explain("batch_norm", x.astype(np.float16), w, b, EPS)
    assert "refuses: arrays of one dtype only" in explain("batch_norm", x, w.astype(np.float64), b, EPS)
    assert "refuses: no elements" in explain("layer_norm", x[:0], None, None, 2, EPS)


@pytest.mark.parametrize("name", [name for name in table.names()
                                  if table.get(name).reference.__module__ == norm.__name__])
def test_examples(name):
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(table.get(name).reference, name, globs=dict(vars(norm))):
        assert example.examples and runner.run(example).failed == 0
