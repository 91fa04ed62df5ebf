"""Losses of class indices on the GPU: against PyTorch and the references, in every layout, and targets out of range."""
from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import get, kernels

import minitorch as mt
from minitorch.nn import functional as F

DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
OFF = {"float32": 2e-6, "float64": 1e-13, "float16": 2e-3, "bfloat16": 2e-2}
SHAPES = [(6, 4), (5, 37), (1, 1), (3, 1028), (2, 5, 3), (2, 3, 2, 35)]
OPTIONS = [("mean", False, 0.0), ("sum", True, 0.2), ("none", True, 0.0), ("mean", True, 0.3), ("none", False, 0.1)]


@pytest.fixture(scope="module")
def loss(device):
    from minitorch_kernels.cuda import loss

    loss.program.compile([key for key in loss.program.all() if key[1][0] != "double"])
    return loss


def arrays(shape, dtype, weighted, seed=0):
    """Logits, targets of which some are ignored and others have no weight, weights."""
    rng = np.random.default_rng(seed)
    x = (3 * rng.standard_normal(shape)).astype(dtype)
    target = rng.integers(0, shape[1], shape[:1] + shape[2:])
    target.reshape(-1)[1::4] = -100
    weight = rng.uniform(0.5, 2, shape[1]).astype(dtype) if weighted else None
    if weighted and shape[1] > 2:
        weight[1] = 0
    return x, target, weight


def wide(a):
    return None if a is None else a.astype(np.float64)


def there(a):
    import cupy

    return None if a is None else cupy.asarray(a)


def near(found, expected, dtype):
    assert found.dtype == DTYPES[dtype] and found.shape == expected.shape
    scale = max(1, np.max(np.abs(expected[np.isfinite(expected)]), initial=0))
    np.testing.assert_allclose(found.get().astype(np.float64), expected, OFF[dtype], OFF[dtype] * scale)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cross_entropy(loss, shape, dtype):
    import cupy

    k = kernels(cupy)
    for reduction, weighted, smoothing in OPTIONS if dtype == "float32" else OPTIONS[2:4]:
        x, target, weight = arrays(shape, DTYPES[dtype], weighted)
        options = (-100, smoothing, reduction)
        found, saved = k.cross_entropy(there(x), there(target), there(weight), *options)
        expected, _ = get("cross_entropy").reference(np, wide(x), target, wide(weight), *options)
        near(found, expected, dtype)
        dloss = np.asarray(np.random.default_rng(1).standard_normal(expected.shape)).astype(DTYPES[dtype])
        expected = get("cross_entropy_dx").reference(np, wide(dloss), wide(x), target, wide(weight), *options)
        for kept in (saved, None):
            near(k.cross_entropy_dx(there(dloss), there(x), there(target), there(weight), *options, kept), expected,
                 dtype)
        options = (-100, reduction)
        expected = get("nll_loss").reference(np, wide(x), target, wide(weight), *options)
        near(k.nll_loss(there(x), there(target), there(weight), *options), expected, dtype)
        expected = get("nll_loss_dx").reference(np, wide(dloss), shape, target, wide(weight), *options)
        near(k.nll_loss_dx(there(dloss), shape, there(target), there(weight), *options), expected, dtype)


def test_weights_whose_sum_is_beyond_float16(loss):
    import cupy

    k = kernels(cupy)
    x, target, weight = np.zeros((2, 700), np.float16), np.array([0, 3]), np.full(700, 100, np.float16)
    found = k.cross_entropy_dx(there(np.float16(1)), there(x), there(target), there(weight), -100, 0.5, "mean")
    expected = get("cross_entropy_dx").reference(np, np.float64(1), wide(x), target, wide(weight), -100, 0.5, "mean")
    near(found, expected, "float16")


def test_infinite_logits_and_classes_without_weight(loss):
    import cupy

    k, inf = kernels(cupy), np.inf
    x = there(np.array([[-inf, 1, 2], [-inf, 1, 2], [1e30, -1e30, 0], [-inf, -inf, 0]], np.float32))
    weight = there(np.array([0, 1, 2], np.float32))
    found, _ = k.cross_entropy(x, there(np.array([0, 1, 0, 1])), weight, -100, 0.0, "none")
    np.testing.assert_allclose(found.get(), [0, np.log(1 + np.e), 0, inf], 1e-6)
    found, _ = k.cross_entropy(x[:2], there(np.array([2, 1])), weight, -100, 0.5, "none")
    high, low = np.log(1 + np.e) - 1, np.log(1 + np.e)
    np.testing.assert_allclose(found.get(), [high + (low + 2 * high) / 6, low / 2 + (low + 2 * high) / 6], 1e-6)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2)])
def test_a_target_that_is_no_class_gives_nan_and_touches_nothing(loss, shape):
    import cupy

    k = kernels(cupy)
    x, target, _ = arrays(shape, np.float32, False)
    target[...] = 1
    target.reshape(-1)[:2] = 3, -1
    bad = np.moveaxis(np.broadcast_to(((target < 0) | (target > 2))[..., None], (*target.shape, 3)), -1, 1)
    for reduction in ("none", "mean"):
        found, saved = k.cross_entropy(there(x), there(target), None, -100, 0.0, reduction)
        likely = k.nll_loss(there(x), there(target), None, -100, reduction)
        dloss = there(np.ones(found.shape, np.float32))
        dx = k.cross_entropy_dx(dloss, there(x), there(target), None, -100, 0.0, reduction, saved)
        other = k.nll_loss_dx(dloss, shape, there(target), None, -100, reduction)
        if reduction == "none":
            np.testing.assert_array_equal(np.isnan(found.get()), (target < 0) | (target > 2))
            np.testing.assert_array_equal(np.isnan(likely.get()), (target < 0) | (target > 2))
        else:
            assert np.isnan(found.get()) and np.isnan(likely.get())
        np.testing.assert_array_equal(np.isnan(dx.get()), bad)
        np.testing.assert_array_equal(np.isnan(other.get()), bad)


def test_many_targets_are_added_up_in_pieces(loss, monkeypatch):
    import cupy

    monkeypatch.setattr(loss, "SPAN", 8)
    x, target, _ = arrays((150, 2), np.float64, False)
    found, _ = kernels(cupy).cross_entropy(there(x), there(target), None, -100, 0.0, "mean")
    expected, _ = get("cross_entropy").reference(np, x, target, None, -100, 0.0, "mean")
    np.testing.assert_allclose(found.get(), expected, 1e-13)


def test_other_integers_layouts_and_what_is_refused(loss):
    import cupy

    k = kernels(cupy)
    x, target, weight = arrays((6, 4), np.float32, True)
    target = np.abs(target) % 4
    expected, _ = get("cross_entropy").reference(np, x, target, weight, -100, 0.0, "mean")
    for kind in (np.int32, np.uint8):
        found, _ = k.cross_entropy(there(np.ascontiguousarray(x.T)).T, there(target.astype(kind)), there(weight), -100,
                                   0.0, "mean")
        np.testing.assert_allclose(found.get(), expected, 1e-5)
    refuses = next(v for v in get("cross_entropy").versions if v.name == "cuda").refuses
    for bad in ((x.astype(int), target, None), (x, target[:3], None), (x, target.astype(np.float32), None),
                (x[:0], target[:0], None)):
        assert isinstance(refuses(*[there(a) for a in bad], -100, 0.0, "mean"), str)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_against_pytorch(loss, torch, reduction):
    x, target, weight = arrays((5, 7), np.float32, True, 3)
    results = []
    for lib, to in ((mt, "cuda"), (torch, "cpu")):
        functional = F if lib is mt else lib.nn.functional
        logits = lib.tensor(x).to(to).requires_grad_()
        y = functional.cross_entropy(logits, lib.tensor(target).to(to), lib.tensor(weight).to(to), reduction=reduction,
                                     label_smoothing=0.1)
        z = functional.nll_loss(functional.log_softmax(logits, 1), lib.tensor(target).to(to), reduction=reduction)
        (y.sum() + 2 * z.sum()).backward()
        results.append((y.detach().cpu().numpy(), z.detach().cpu().numpy(), logits.grad.cpu().numpy()))
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, 1e-5, 1e-6)
