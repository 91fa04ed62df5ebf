"""Cross entropy and negative log-likelihood: closed forms, PyTorch on every option, hard inputs, bad targets."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from minitorch_kernels import explain, kernels, parallel, use

k = kernels(np)
SHAPES = [(1, 1), (3, 10), (5, 1), (4, 5, 6), (2, 3, 4, 5), (40, 300), (3, 7, 1), (2, 300, 200)]
OPTIONS = list(itertools.product([False, True], [0.0, 0.1], ["mean", "sum", "none"], [-100, 0]))
TOLERANCE = {np.float32: {"rtol": 2e-5, "atol": 3e-6}, np.float64: {"rtol": 1e-11, "atol": 1e-12}}


@pytest.fixture(params=["numba", "reference"])
def version(request):
    with use(request.param), np.errstate(all="ignore"):
        yield request.param


def data(shape, dtype, weighted=False, seed=0):
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(shape) * 3).astype(dtype)
    target = rng.integers(0, shape[1], shape[:1] + shape[2:])
    return x, target, rng.random(shape[1]).astype(dtype) if weighted else None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_option_as_torch(torch, version, shape, dtype):
    cross_entropy, nll_loss = torch.nn.functional.cross_entropy, torch.nn.functional.nll_loss
    for weighted, smoothing, reduction, ignore_index in OPTIONS:
        x, target, weight = data(shape, dtype, weighted)
        t, tw = torch.from_numpy(target), None if weight is None else torch.from_numpy(weight).double()
        options = {"weight": tw, "ignore_index": ignore_index, "reduction": reduction}

        leaf = torch.from_numpy(x.astype(np.float64)).requires_grad_()
        expected = cross_entropy(leaf, t, label_smoothing=smoothing, **options)
        dloss = np.random.default_rng(1).standard_normal(expected.shape)
        expected.backward(torch.tensor(dloss))
        dloss = np.asarray(dloss, dtype)
        y, saved = k.cross_entropy(x, target, weight, ignore_index, smoothing, reduction)
        assert y.dtype == dtype and y.shape == tuple(expected.shape)
        np.testing.assert_allclose(y, expected.detach(), **TOLERANCE[dtype])
        for kept in (saved, None):
            dx = k.cross_entropy_dx(dloss, x, target, weight, ignore_index, smoothing, reduction, saved=kept)
            assert dx.dtype == dtype and dx.shape == shape
            np.testing.assert_allclose(dx, leaf.grad, **TOLERANCE[dtype])

        leaf = torch.from_numpy(x.astype(np.float64)).requires_grad_()
        expected = nll_loss(leaf, t, **options)
        expected.backward(torch.tensor(dloss).double())
        np.testing.assert_allclose(k.nll_loss(x, target, weight, ignore_index, reduction), expected.detach(),
                                   **TOLERANCE[dtype])
        dx = k.nll_loss_dx(dloss, shape, target, weight, ignore_index, reduction)
        assert dx.dtype == dtype and dx.shape == shape
        np.testing.assert_allclose(dx, leaf.grad, **TOLERANCE[dtype])


def test_closed_form(version):
    x = np.log(np.array([[1.0, 2.0, 5.0], [4.0, 4.0, 2.0]]))
    y, _ = k.cross_entropy(x, np.array([2, 0]), None, -100, 0.0, "none")
    np.testing.assert_allclose(y, -np.log([5 / 8, 4 / 10]))
    dx = k.cross_entropy_dx(np.ones(2), x, np.array([2, 0]), None, -100, 0.0, "none")
    np.testing.assert_allclose(dx, [[1 / 8, 2 / 8, 5 / 8 - 1], [0.4 - 1, 0.4, 0.2]])
    y, _ = k.cross_entropy(x, np.array([2, 0]), np.array([1.0, 2.0, 3.0]), -100, 0.0, "mean")
    np.testing.assert_allclose(y, -(3 * np.log(5 / 8) + np.log(0.4)) / 4)


@pytest.mark.parametrize("reduction, expected", [("mean", np.nan), ("sum", 0.0), ("none", [0.0, 0.0, 0.0])])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_all_ignored(version, reduction, expected, smoothing):
    x, target = data((3, 4), np.float32)[0], np.full(3, -100)
    y, saved = k.cross_entropy(x, target, None, -100, smoothing, reduction)
    np.testing.assert_array_equal(y, expected)
    dloss = np.ones(np.shape(expected), np.float32)
    dx = k.cross_entropy_dx(dloss, x, target, None, -100, smoothing, reduction, saved=saved)
    np.testing.assert_array_equal(dx, np.zeros((3, 4)))
    np.testing.assert_array_equal(k.nll_loss(x, target, None, -100, reduction), expected)
    np.testing.assert_array_equal(k.nll_loss_dx(dloss, (3, 4), target, None, -100, reduction), np.zeros((3, 4)))


@pytest.mark.parametrize("reduction, expected", [("mean", np.nan), ("sum", 0.0), ("none", np.zeros(0))])
@pytest.mark.parametrize("shape", [(0, 4), (0, 4, 3), (2, 4, 0)])
def test_empty_batch(version, shape, reduction, expected):
    if reduction == "none":
        expected = np.zeros(shape[:1] + shape[2:])
    x, target, _ = data(shape, np.float32)
    y, saved = k.cross_entropy(x, target, None, -100, 0.0, reduction)
    np.testing.assert_array_equal(y, expected)
    dloss = np.ones(np.shape(expected), np.float32)
    assert k.cross_entropy_dx(dloss, x, target, None, -100, 0.0, reduction, saved=saved).shape == shape
    assert k.nll_loss_dx(dloss, shape, target, None, -100, reduction).shape == shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hard_logits_as_torch(torch, version, dtype):
    inf = np.inf
    x = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [-inf, 0, 1], [-inf, 0, 1], [-inf, -inf, -inf], [inf, 0, 1],
                  [inf, 0, 1], [np.nan, 0, 1], [1e4, 1e4 + 1, 1e4 + 2]], dtype)
    target = np.array([1, 0, 0, 2, 1, 0, 1, 2, 2])
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    expected = torch.nn.functional.cross_entropy(leaf, torch.from_numpy(target), reduction="none")
    expected.backward(torch.ones_like(expected))
    y, saved = k.cross_entropy(x, target, None, -100, 0.0, "none")
    tolerance = {"rtol": 1e-6, "atol": 1e-7} if dtype is np.float32 else {"rtol": 1e-13, "atol": 1e-13}
    np.testing.assert_allclose(y, expected.detach(), **tolerance)
    dx = k.cross_entropy_dx(np.ones(9, dtype), x, target, None, -100, 0.0, "none", saved=saved)
    np.testing.assert_allclose(dx, leaf.grad, **tolerance)


@pytest.mark.parametrize("bad", [12, -1, 10, -101, 2**40, -2**62])
@pytest.mark.parametrize("shape", [(3, 10), (2, 10, 4)])
def test_targets_out_of_bounds(version, bad, shape):
    x, target, weight = data(shape, np.float32, weighted=True)
    target.flat[-2], dloss = bad, np.ones((), np.float32)
    message = f"Target {bad} is out of bounds: expected a class from 0 to 9"
    for call in (lambda: k.cross_entropy(x, target, weight, -100, 0.0, "mean"),
                 lambda: k.cross_entropy(x, target, None, -100, 0.1, "none"),
                 lambda: k.cross_entropy_dx(dloss, x, target, weight, -100, 0.0, "mean"),
                 lambda: k.nll_loss(x, target, weight, -100, "sum"),
                 lambda: k.nll_loss_dx(dloss, shape, target, weight, -100, "mean")):
        with pytest.raises(IndexError, match=message):
            call()
    good = data(shape, np.float32)[1]
    for weights in (weight, None):
        _, saved = k.cross_entropy(x, good, weights, -100, 0.0, "mean")
        with pytest.raises(IndexError, match=message):  # a target that was changed since the forward pass
            k.cross_entropy_dx(dloss, x, target, weights, -100, 0.0, "mean", saved=saved)


def test_gradients_that_do_not_fit():
    x, target, _ = data((4, 5), np.float32)
    with pytest.raises(ValueError, match="expects one gradient, or 4"):
        k.cross_entropy_dx(np.ones(3, np.float32), x, target, None, -100, 0.0, "none")


def test_halves_and_other_layouts():
    x, target, weight = data((6, 50, 8), np.float32, weighted=True)
    y, _ = k.cross_entropy(x, target, weight, -100, 0.1, "mean")
    strided = np.ascontiguousarray(x.transpose(2, 1, 0)).transpose(2, 1, 0)
    assert k.cross_entropy(strided, target.T.copy().T, weight, -100, 0.1, "mean")[0] == y
    np.testing.assert_array_equal(k.cross_entropy(x, target.astype(np.int32), weight, -100, 0.1, "mean")[0], y)
    half, saved = k.cross_entropy(x.astype(np.float16), target, weight.astype(np.float16), -100, 0.1, "mean")
    assert half.dtype == np.float16 and abs(float(half) - y) < 5e-3
    dx = k.cross_entropy_dx(np.ones((), np.float16), x.astype(np.float16), target, weight.astype(np.float16), -100,
                            0.1, "mean", saved=saved)
    assert dx.dtype == np.float16
    expected = k.cross_entropy_dx(np.ones((), np.float32), x, target, weight, -100, 0.1, "mean")
    np.testing.assert_allclose(dx, expected, atol=2e-4)
    assert k.nll_loss(x.astype(np.float16), target, None, -100, "none").dtype == np.float16
    assert k.nll_loss_dx(np.ones((), np.float16), x.shape, target, None, -100, "mean").dtype == np.float16


def test_inputs_stay_as_they_are():
    x, target, weight = data((6, 5), np.float64, weighted=True)
    before = [a.copy() for a in (x, target, weight)]
    _, saved = k.cross_entropy(x, target, weight, -100, 0.1, "mean")
    kept = [np.copy(a) for a in saved]
    k.cross_entropy_dx(np.ones(()), x, target, weight, -100, 0.1, "mean", saved=saved)
    for a, b in zip([x, target, weight, *saved], before + kept):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("shape", [(300, 1000), (4, 40, 2000), (3000, 6, 5)])
def test_same_bits_for_any_number_of_threads(shape):
    x, target, weight = data(shape, np.float32, weighted=True)
    dloss, before, results = np.ones((), np.float32), parallel.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            y, saved = k.cross_entropy(x, target, weight, -100, 0.1, "mean")
            results.append((y, k.cross_entropy_dx(dloss, x, target, weight, -100, 0.1, "mean", saved=saved)))
    finally:
        parallel.set_num_threads(before)
    for y, dx in results[1:]:
        assert y == results[0][0]
        np.testing.assert_array_equal(dx, results[0][1])


def test_explain_says_what_runs():
    x, target, _ = data((3, 4), np.float32)
    rest = (None, -100, 0.0, "mean")
    assert "numba       runs" in explain("cross_entropy", x, target, *rest)
    assert "numba       runs" in explain("nll_loss_dx", np.ones((), np.float32), x.shape, target, None, -100, "mean")
    assert "refuses: float16" in explain("cross_entropy", x.astype(int), target, *rest)
    assert "a target for each row" in explain("cross_entropy", x, target[:2], *rest)
    assert "integer targets" in explain("cross_entropy", x, target.astype(float), *rest)
    assert "nothing to compute" in explain("cross_entropy", x[:0], target[:0], *rest)
