"""Softmax, log-softmax and logsumexp: closed forms, SciPy, PyTorch, hard inputs, and the exponential's error."""
from __future__ import annotations

import math

import numpy as np
import pytest
from minitorch_kernels import explain, kernels, parallel, use
from minitorch_kernels.cpu import softmax as fast
from minitorch_kernels.cpu.jit import jit
from minitorch_kernels.table import get

k = kernels(np)
NAMES = ("softmax", "log_softmax")
SHAPES = [((1,), 0), ((1, 1), 1), ((7,), -1), ((3, 10), 1), ((3, 10), 0), ((4, 5, 6), 1), ((2, 3, 4, 5), -3),
          ((2, 0, 3), 2), ((2, 0, 3), 1), ((0, 4), 1), ((5, 1, 7), 1), ((2, 33000), 1), ((300, 500), 1),
          ((2, 40, 1300), 1), ((400, 9, 5), 1)]
TOLERANCE = {np.float32: {"rtol": 2e-6, "atol": 1e-6}, np.float64: {"rtol": 1e-13, "atol": 1e-13}}


@pytest.fixture(params=["numba", "reference"])
def version(request):
    with use(request.param):
        yield request.param


def exact(name, x, dim):
    """The closed form, in float64 or better."""
    x = np.asarray(x, np.longdouble)
    if x.size == 0:
        return x
    z = x - x.max(axis=dim, keepdims=True)
    log = z - np.log(np.exp(z).sum(axis=dim, keepdims=True))
    return np.exp(log) if name == "softmax" else log


def data(shape, dtype, scale=4.0, seed=0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape, dim", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_closed_form(version, name, shape, dim, dtype):
    x = data(shape, dtype)
    y = getattr(k, name)(x, dim)
    assert y.dtype == dtype and y.shape == shape
    slack = shape[dim] * np.finfo(dtype).eps / 500  # the rounding of a long sum
    tolerance = {kind: bound + slack for kind, bound in TOLERANCE[dtype].items()}
    np.testing.assert_allclose(y, exact(name, x, dim).astype(np.float64), **tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape, dim", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_derivative_is_the_jacobian(version, name, shape, dim, dtype):
    x, dy = data(shape, dtype), data(shape, dtype, 1.0, seed=1)
    y = getattr(k, name)(x, dim)
    p, d = exact("softmax", x, dim), dy.astype(np.longdouble)
    sums = {"softmax": lambda: p * (d - (d * p).sum(axis=dim, keepdims=True)),
            "log_softmax": lambda: d - p * d.sum(axis=dim, keepdims=True)}
    dx = getattr(k, name + "_dx")(dy, y, dim)
    assert dx.dtype == dtype and dx.shape == shape
    tolerance = {"rtol": 1e-4, "atol": 5e-5} if dtype is np.float32 else {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(dx, sums[name]().astype(np.float64), **tolerance)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_as_torch(torch, version, name, dim):
    x, dy = data((5, 17, 40), np.float64), data((5, 17, 40), np.float64, seed=1)
    t = torch.from_numpy(x.copy()).requires_grad_()
    expected = getattr(torch, name)(t, dim)
    expected.backward(torch.from_numpy(dy))
    y = getattr(k, name)(x, dim)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(getattr(k, name + "_dx")(dy, y, dim), t.grad.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("shape, dim", [s for s in SHAPES if math.prod(s[0])])
def test_logsumexp_as_scipy(version, shape, dim, keepdim):
    special = pytest.importorskip("scipy.special")
    for dtype in (np.float32, np.float64):
        x = data(shape, dtype)
        y = k.logsumexp(x, dim if keepdim else (dim,), keepdim)
        expected = special.logsumexp(x.astype(np.float64), axis=dim, keepdims=keepdim)
        assert y.shape == np.shape(expected) and y.dtype == dtype
        np.testing.assert_allclose(y, expected, **TOLERANCE[dtype])


def test_logsumexp_of_several_dimensions_and_of_nothing(version):
    x = data((3, 4, 5), np.float64)
    np.testing.assert_allclose(k.logsumexp(x, (0, 2), False), np.log(np.exp(x).sum((0, 2))), rtol=1e-13)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(k.logsumexp(np.zeros((2, 0)), 1, False), [-np.inf, -np.inf])


INF, NAN = np.inf, np.nan


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*NAMES, "logsumexp"])
def test_hard_rows_as_torch(torch, version, name, dtype, dim):
    rows = [[1e4, -1e4, 0.0, 9999.0], [-1e4, -1e4, -1e4, -9999.5], [-INF, 0.0, 1.0, -INF], [-INF] * 4,
            [0.0, INF, 1.0, 2.0], [INF, INF, 0.0, -INF], [NAN, 0.0, 1.0, 2.0], [0.0, -NAN, INF, 2.0],
            [0.0, 1.0, 2.0, NAN], [3e38, -3e38, 0.0, 1.0], [0.0, -0.0, 0.0, -0.0], [88.0, 89.0, -104.0, -88.0]]
    x = np.array(rows, dtype)
    x = np.ascontiguousarray(x.T) if dim == 0 else x
    args = (dim, False) if name == "logsumexp" else (dim,)
    with np.errstate(all="ignore"):
        y = getattr(k, name)(x, *args)
    expected = getattr(torch, name)(torch.from_numpy(x), dim).numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-6 if dtype is np.float32 else 1e-13, atol=1e-37)


def test_masked_entries_have_no_weight_at_all():
    x = np.array([[-INF, 1.0, -INF, 2.0]], np.float32)
    assert (k.softmax(x, 1)[0, [0, 2]] == 0).all()
    assert (k.softmax_dx(np.ones_like(x), k.softmax(x, 1), 1)[0, [0, 2]] == 0).all()


@pytest.mark.parametrize("n", [1, 3, 8, 15, 16, 17, 33, 64, 100])
@pytest.mark.parametrize("where", [0, -1])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_maximum_is_found_anywhere(n, where, sign):
    for dtype in (np.float32, np.float64):
        x = sign * np.arange(1, n + 1, dtype=dtype)[None]
        x[0, where] = 500
        y = k.softmax(x, 1)
        assert y[0, where] == 1 and np.isfinite(y).all()


@pytest.mark.parametrize("dtype", [np.float16, "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_halves_are_computed_in_float32(name, dtype):
    dtype = getattr(pytest.importorskip("ml_dtypes"), dtype) if dtype == "bfloat16" else dtype
    x = data((4, 3000), np.float32, 0.1).astype(dtype)
    y = getattr(k, name)(x, 1)
    assert y.dtype == dtype
    expected = exact(name, x.astype(np.float64), 1).astype(dtype).astype(np.float64)
    np.testing.assert_allclose(y.astype(np.float64), expected, rtol=float(2 * np.finfo(np.float16).eps)
                               if dtype is np.float16 else 0.01, atol=1e-6)
    dx = getattr(k, name + "_dx")(x, y, 1)
    assert dx.dtype == dtype and np.isfinite(dx.astype(np.float64)).all()


def test_arrays_that_are_not_contiguous():
    x = data((6, 8, 10), np.float32)
    for view in (x.transpose(2, 0, 1), x[::2, :, ::3], x[::-1], np.broadcast_to(x[:1], (6, 8, 10))):
        np.testing.assert_array_equal(k.softmax(view, 1), k.softmax(view.copy(), 1))
        y = k.log_softmax(view, -1)
        np.testing.assert_array_equal(k.log_softmax_dx(view, y, -1), k.log_softmax_dx(view.copy(), y.copy(), -1))


def test_inputs_stay_as_they_are():
    x = data((5, 6), np.float32)
    before = x.copy()
    y = k.softmax(x, 1)
    k.softmax_dx(x, y, 1), k.log_softmax(x, 1), k.log_softmax_dx(x, y, 1), k.logsumexp(x, 1, True)
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(x, y)


def test_zero_dimensional():
    x = np.array(3.0)
    assert k.softmax(x, 0) == 1 and k.log_softmax(x, -1) == 0 and k.logsumexp(x, 0, False) == 3
    assert k.softmax_dx(x, np.array(1.0), 0) == 0 and k.log_softmax_dx(x, np.array(0.0), 0) == 0


@pytest.mark.parametrize("shape, dim", [((2, 70000), 1), ((700, 300), 1), ((3, 50, 3000), 1), ((5000, 8, 6), 1)])
def test_same_bits_for_any_number_of_threads(shape, dim):
    x, dy = data(shape, np.float32), data(shape, np.float32, seed=1)
    before = parallel.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            y, z = k.softmax(x, dim), k.log_softmax(x, dim)
            results.append((y, z, k.softmax_dx(dy, y, dim), k.log_softmax_dx(dy, z, dim), k.logsumexp(x, dim, True)))
    finally:
        parallel.set_num_threads(before)
    for others in results[1:]:
        for a, b in zip(results[0], others):
            np.testing.assert_array_equal(a, b)


def test_explain_says_what_runs():
    x = data((2, 3), np.float32)
    assert "numba       runs" in explain("softmax", x, 1)
    assert "numba       runs" in explain("log_softmax_dx", x, x, 1)
    assert "refuses: float16" in explain("softmax", np.zeros((2, 3), int), 1)
    assert "not empty" in explain("softmax", x[:0], 1)
    assert "one dtype" in explain("softmax_dx", x.astype(float), x, 1)
    assert "a single dimension" in explain("logsumexp", x, (0, 1), False)
    assert "numba       runs" in explain("logsumexp", x, (1,), False)


@jit
def _exp_of_all(x, y):
    for i in range(x.size):
        y[i] = fast._exp(x[i])


def ulps(y, expected):
    """The error of `y` in units of the last place of its dtype."""
    return np.abs(y.astype(np.longdouble) - expected) / np.spacing(np.abs(expected).astype(y.dtype))


@pytest.mark.parametrize("dtype, low, high", [(np.float32, -87.33, 88.3), (np.float64, -708.39, 709.4)])
def test_exponential_is_within_one_ulp(dtype, low, high):
    parts = [np.linspace(low, high, 1_000_003), np.linspace(-1, 1, 1_000_003), [0.0, -0.0]]
    x = np.concatenate(parts).astype(dtype)
    y = np.empty_like(x)
    _exp_of_all(x, y)
    assert ulps(y, np.exp(x.astype(np.longdouble))).max() <= 1
    assert y[-1] == y[-2] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponential_at_the_ends(dtype):
    big = float(np.finfo(dtype).max)
    x = np.array([-INF, -big, -1e5, 1e5, big, INF, NAN, -NAN] * 5, dtype)
    y = np.empty_like(x)
    _exp_of_all(x, y)
    np.testing.assert_array_equal(y.reshape(5, -1), [[0, 0, 0, INF, INF, INF, NAN, NAN]] * 5)


def test_references_are_kept_apart_from_their_versions():
    x = data((3, 7), np.float32)
    assert get("softmax").reference(np, x, 1).dtype == np.float32
    np.testing.assert_allclose(get("softmax").reference(np, x, 1), k.softmax(x, 1), rtol=1e-6)
