"""Attention on the GPU: closed forms in each precision, tiles that end anywhere, masks, layouts, PyTorch."""
from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import attention as reference
from minitorch_kernels import kernels
from minitorch_kernels.cuda import settings
from minitorch_kernels.table import explain

import minitorch

F32, F16, BF16 = np.float32, np.float16, ml_dtypes.bfloat16
ERROR = {F32: 3e-6, F16: 1e-3, BF16: 1e-2}  # of the largest element
CASES = [  # dtype, leading dimensions, L, S, E, Ev, causal, scale
    (F32, (), 1, 1, 1, 1, False, 1.0), (F32, (2, 3), 65, 33, 20, 12, False, 0.3),
    (F32, (1, 2), 70, 70, 32, 32, True, 0.2),
    (F32, (2,), 20, 90, 8, 8, True, -0.5), (F32, (2,), 90, 20, 8, 8, True, 0.5),
    (F32, (2, 1, 2), 3, 5, 4, 8, False, 0.0),
    (F32, (1,), 18, 35, 128, 97, True, 0.1), (BF16, (2, 2), 37, 70, 32, 32, False, 0.2),
    (BF16, (3,), 131, 131, 9, 16, True, 0.3),
    (F16, (2,), 40, 66, 64, 40, False, 0.1), (F16, (1,), 66, 66, 33, 64, True, -0.1)]


@pytest.fixture(scope="module")
def k(device):
    """The kernels for the GPU; all instantiations that the tests use are compiled at once."""
    import cupy
    from minitorch_kernels.cuda import attention

    types = [("Float32", 32), ("Float32", 128), ("Tf32", 32), ("Sixteen<bfloat16>", 32), ("Sixteen<half>", 64)]
    attention.forward.compile([("attention", t) for t in types])
    levels = [("attention_levels", (t,)) for t in ("float", "half", "bfloat16")]
    attention.backward.compile(levels + [(name, t) for name in ("attention_dq", "attention_dkdv") for t in types])
    return kernels(cupy)


def data(dtype, lead, length, sources, depth, width, seed=0):
    """q, k, v and dy."""
    rng = np.random.default_rng(seed)
    shapes = (length, depth), (sources, depth), (sources, width), (length, width)
    return [rng.standard_normal((*lead, *shape)).astype(dtype) for shape in shapes]


def on_gpu(k, arrays, mask=None, causal=False, scale=0.3):
    """y, lse, dq, dk, dv by the kernels, which run indeed."""
    *given, dy = [x if hasattr(x, "get") else k.xp.asarray(x) for x in arrays]
    given += [None if mask is None else k.xp.asarray(mask), causal, scale]
    assert "cuda        runs" in explain("attention", *given, device="cuda")
    y, lse = k.attention(*given)
    assert "cuda        runs" in explain("attention_backward", dy, *given, device="cuda", y=y, lse=lse)
    return [y, lse, *k.attention_backward(dy, *given, y=y, lse=lse)[:3]]


def check(k, arrays, mask=None, causal=False, scale=0.3, error=None):
    """Against the reference in float64; gives what the GPU gave."""
    found = [x.get() for x in on_gpu(k, arrays, mask, causal, scale)]
    q, key, v, dy = [x.astype(np.float64) for x in arrays]
    wide = mask if mask is None or mask.dtype == bool else mask.astype(np.float64)
    y, lse = reference.attention(np, q, key, v, wide, causal, scale)
    gradients = reference.attention_backward(np, dy, q, key, v, wide, causal, scale)
    for i, (x, e) in enumerate(zip(found, (y, lse, *gradients[:3]))):
        assert x.shape == e.shape and x.dtype == (F32 if i == 1 else arrays[0].dtype)
        bound = (error or ERROR[arrays[0].dtype.type]) * max(1.0, np.abs(e[np.isfinite(e)]).max(initial=0))
        np.testing.assert_allclose(x.astype(np.float64), e, rtol=0, atol=bound)
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_closed_form(k, case):
    *sizes, causal, scale = case
    check(k, data(*sizes), causal=causal, scale=scale)


@pytest.mark.parametrize("shape", [(40, 50), (50,), (1, 50), (40, 1), (2, 1, 1, 50), (2, 40, 50), ()])
def test_masks(k, shape):
    rng = np.random.default_rng(1)
    arrays, numbers = data(F32, (2, 2), 40, 50, 6, 9), rng.standard_normal(shape).astype(F32)
    check(k, arrays, np.asarray(numbers > -0.3), scale=-0.2)
    check(k, arrays, np.where(numbers > 0.5, F32(-np.inf), numbers), causal=True)
    if len(shape) == 2:
        check(k, data(BF16, (2, 2), 40, 50, 6, 9), numbers.astype(BF16))


def test_a_mask_that_is_broadcast_by_strides(k):
    arrays, mask = data(F32, (2, 2), 40, 50, 8, 8), np.random.default_rng(1).random((2, 1, 50, 1)) < 0.5
    expected = check(k, arrays, np.ascontiguousarray(np.broadcast_to(mask, (2, 2, 50, 40)).swapaxes(-1, -2)))
    there = k.xp.broadcast_to(k.xp.asarray(mask), (2, 2, 50, 40)).swapaxes(-1, -2)
    for x, e in zip(on_gpu(k, arrays, there), expected):
        np.testing.assert_array_equal(x.get(), e)


@pytest.mark.parametrize("dtype", [F32, BF16])
def test_a_query_that_sees_nothing(k, dtype):
    mask = np.ones((40, 70), bool)
    mask[3], mask[35:], mask[7, :64] = False, False, False
    y, lse, dq, _, _ = check(k, data(dtype, (2,), 40, 70, 8, 8), mask)
    assert (y[:, [3, 35, 39]] == 0).all() and (dq[:, [3, 35, 39]] == 0).all()
    assert np.isposinf(lse[:, 3]).all() and np.isfinite(lse[:, :3]).all()


def test_layouts_give_the_same_bits(k):
    """Heads that were cut out of wider rows, rows that begin off 16 bytes, rows backwards. Gradients lie as inputs."""
    arrays, xp = data(F32, (2, 3), 45, 45, 8, 8), k.xp
    expected = check(k, arrays, causal=True)

    def heads(x):
        space = xp.zeros((2, 45, 2, 3, 8), x.dtype)[:, :, 1].transpose(0, 2, 1, 3)
        space[...] = x
        return space

    def shifted(x):
        space = xp.zeros(x.size + 1, x.dtype)[1:].reshape(x.shape)
        space[...] = x
        return space

    for arrange in (heads, shifted, lambda x: xp.ascontiguousarray(x[..., ::-1, :])[..., ::-1, :],
                    lambda x: xp.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)):
        found = on_gpu(k, [arrange(xp.asarray(x)) for x in arrays], causal=True)
        for x, e in zip(found, expected):
            np.testing.assert_array_equal(x.get(), e)
        if arrange is heads:
            assert all(x.transpose(0, 2, 1, 3).flags.c_contiguous for x in (found[0], *found[2:]))


def test_leading_dimensions_broadcast(k):
    q, key, v, dy = data(F32, (2, 3), 5, 7, 4, 4)
    for keys, values in ((key[:, :1], v[:1]), (key[0, 0], v[0, 0]), (key[:, :1], v)):
        check(k, [q, keys, values, dy])
    check(k, [q[0, 0], key, v, dy])


def test_large_scores_do_not_overflow(k):
    q, key, v, dy = data(F32, (1,), 20, 70, 8, 8)
    q, key = np.rint(q * 100), np.rint(key * 100)
    for causal in (False, True):
        found = on_gpu(k, [q, key, v, dy], causal=causal, scale=1.0)
        exact = reference.attention(np, *[x.astype(np.float64) for x in (q, key, v)], None, causal, 1.0)
        np.testing.assert_allclose(found[0].get(), exact[0], atol=1e-5)
        assert all(np.isfinite(x.get()).all() for x in found)


def test_nan_reaches_whom_it_concerns(k):
    q, key, v, dy = data(F32, (1,), 80, 80, 4, 4)
    q[0, 40, 1] = np.nan
    y = on_gpu(k, [q, key, v, dy])[0].get()
    assert np.isnan(y[0, 40]).all() and np.isfinite(np.delete(y[0], 40, 0)).all()
    q, key, v, dy = data(F32, (1,), 80, 80, 4, 4)
    key[0, 50, 1] = np.nan
    y, _, dq, _, _ = [x.get() for x in on_gpu(k, [q, key, v, dy], causal=True)]
    assert np.isfinite(y[0, :50]).all() and np.isnan(y[0, 50:]).all() and np.isnan(dq[0, 50:]).all()


def test_tf32_is_for_those_who_allow_it(k, monkeypatch):
    arrays = data(F32, (2,), 70, 40, 30, 20)
    exact = check(k, arrays)
    monkeypatch.setattr(settings, "tf32_products", True)
    rounded = check(k, arrays, error=2e-3)
    assert np.abs(rounded[0] - exact[0]).max() > 1e-5
    assert np.array_equal(on_gpu(k, arrays)[3].get(), rounded[3]), "other bits the second time"


@pytest.mark.parametrize("masked", [None, "causal", "bool", "float"])
def test_as_torch(k, torch, masked):
    rng = np.random.default_rng(3)
    arrays = data(F32, (2, 2), 37, 37, 16, 16)
    mask = {"bool": rng.random((2, 1, 37, 37)) < 0.5, "float": rng.standard_normal((37, 37)).astype(F32)}.get(masked)
    results = []
    for lib, where in ((torch, "cpu"), (minitorch, "cuda")):
        q, key, v, dy = (lib.from_numpy(x.copy()).to(where) for x in arrays)
        for x in (q, key, v):
            x.requires_grad_()
        bias = None if mask is None else lib.from_numpy(mask.copy()).to(where)
        y = lib.nn.functional.scaled_dot_product_attention(q, key, v, bias, is_causal=masked == "causal")
        y.backward(dy)
        results.append([x.detach().cpu().numpy() for x in (y, q.grad, key.grad, v.grad)])
    for ours, theirs in zip(results[1], results[0]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_what_is_left_to_the_reference(k):
    def reason(*arguments, name="attention", **options):
        text = explain(name, *arguments, device="cuda", **options)
        return next(line for line in text.splitlines() if line.startswith("cuda "))

    q, key, v, dy = [k.xp.asarray(x) for x in data(F32, (2,), 4, 5, 3, 3)]
    lse = k.xp.zeros((2, 4), F32)
    assert "float16, bfloat16 and float32" in reason(*[x.astype(float) for x in (q, key, v)], None, True, 1.0)
    assert "bool, float32 or the dtype" in reason(q, key, v, k.xp.zeros((4, 5)), False, 1.0)
    assert "at most 128 columns" in reason(*[k.xp.zeros((2, 130), F32)] * 3, None, True, 1.0)
    assert "not empty" in reason(q[:0], key[:0], v[:0], None, True, 1.0)
    assert "shapes that fit" in reason(q[..., :1], key, v, None, True, 1.0)
    assert "y and lse" in reason(dy, q, key, v, None, True, 1.0, name="attention_backward")
    assert "gradient of the mask" in reason(dy, q, key, v, lse[0, :1], False, 1.0, name="attention_backward", y=dy,
                                            lse=lse, masked=True)
    wide = [k.xp.asarray(x) for x in data(F32, (), 3, 4, 130, 2)]
    y = k.attention(*wide[:3], None, False, 0.1)[0]
    assert y.shape == (3, 2) and math.isfinite(float(y.sum()))
