"""Attention in blocks: closed forms, PyTorch, layouts, masks, hard inputs, memory, threads."""
from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from minitorch_kernels import explain, kernels, parallel, use
from minitorch_kernels.cpu import attention as fast
from minitorch_kernels.cpu import vector
from minitorch_kernels.cpu.jit import jit

import minitorch
from minitorch.nn import functional as F

k = kernels(np)
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
SHAPES = [  # leading dimensions, L, S, E, Ev
    ((), 1, 1, 1, 1), ((3,), 1, 200, 8, 8), ((3,), 200, 1, 8, 8), ((2, 2), 31, 33, 5, 7), ((2,), 32, 128, 32, 32),
    ((2,), 70, 300, 33, 65), ((2,), 300, 70, 17, 3), ((1,), 257, 257, 64, 64), ((40,), 5, 6, 3, 4)]
INF, NAN = np.inf, np.nan


@pytest.fixture(params=["numba", "reference"])
def version(request):
    with use(request.param):
        yield request.param


def data(lead, length, sources, depth, width, dtype=np.float32, seed=0):
    """q, k, v and dy."""
    rng = np.random.default_rng(seed)
    shapes = (length, depth), (sources, depth), (sources, width), (length, width)
    return [rng.standard_normal((*lead, *shape)).astype(dtype) for shape in shapes]


def exact(q, key, v, dy, bias, causal, scale):
    """y, lse, dq, dk, dv and the scores' gradient, in float64."""
    q, key, v, dy = (x.astype(np.float64) for x in (q, key, v, dy))
    scores = scale * np.einsum("...ie,...je->...ij", q, key) + (0.0 if bias is None else bias)
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -INF)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(top == -INF, 0.0, top))
    total = weights.sum(-1, keepdims=True)
    lse = np.where(total == 0, INF, np.log(np.where(total == 0, 1, total)) + top)[..., 0]
    p = weights / np.where(total == 0, 1, total)
    dp = np.einsum("...ie,...je->...ij", dy, v)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True))
    dq, dk = scale * np.einsum("...ij,...je->...ie", ds, key), scale * np.einsum("...ij,...ie->...je", ds, q)
    return p @ v, lse, dq, dk, np.einsum("...ij,...ie->...je", p, dy), ds


def check(arrays, mask=None, causal=False, scale=0.3):
    """Both kernels against the closed form; gives y and the gradients."""
    q, key, v, dy = arrays
    limit = TOLERANCE[q.dtype.type]
    bias = mask if mask is None or mask.dtype != bool else np.where(mask, 0.0, -INF)
    y, lse = k.attention(q, key, v, mask, causal, scale)
    found = k.attention_backward(dy, q, key, v, mask, causal, scale, y=y, lse=lse)
    assert found[3] is None
    expected = exact(*arrays, bias, causal, scale)
    for x, e in zip((y, lse, *found[:3]), expected):
        assert x.dtype == q.dtype and x.shape == e.shape
        np.testing.assert_allclose(x, e, rtol=limit, atol=limit * max(1.0, np.abs(e[np.isfinite(e)]).max(initial=0)))
    return y, *found[:3]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_closed_form(version, shape, causal, dtype):
    check(data(*shape, dtype), causal=causal)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(50, 150), (150,), (1, 150), (50, 1), (3, 50, 150), (2, 1, 50, 150),
                                   (2, 1, 1, 150), ()])
@pytest.mark.parametrize("kind", ["bool", "float", "infinite"])
def test_masks(version, shape, kind, dtype):
    rng = np.random.default_rng(1)
    mask = rng.random(shape) < 0.7 if kind == "bool" else rng.standard_normal(shape).astype(dtype)
    if kind == "infinite":
        mask = np.where(mask > 0.5, dtype(-INF), mask)
    check(data((2, 3), 50, 150, 6, 9, dtype), np.asarray(mask), causal=kind == "float")


def test_a_mask_that_is_broadcast_by_strides():
    mask = np.broadcast_to(np.random.default_rng(1).random((2, 1, 1, 150)) < 0.5, (2, 3, 50, 150))
    check(data((2, 3), 50, 150, 6, 9), mask)
    check(data((2, 3), 50, 150, 6, 9), mask.swapaxes(-1, -2).copy().swapaxes(-1, -2))


def test_a_query_that_sees_nothing(version):
    mask = np.ones((40, 50), bool)
    mask[3], mask[35:] = False, False
    arrays = data((2,), 40, 50, 8, 8)
    y, dq, _, _ = check(arrays, mask)
    assert (y[:, [3, 35, 39]] == 0).all() and (dq[:, [3, 35, 39]] == 0).all()
    _, lse = k.attention(*arrays[:3], mask, False, 1.0)
    assert np.isposinf(lse[:, 3]).all() and np.isfinite(lse[:, :3]).all()


def test_nothing_at_all():
    for lead, *sizes in (((0,), 3, 4, 2, 2), ((2,), 0, 4, 2, 2), ((2,), 3, 0, 2, 2), ((2,), 3, 4, 0, 2),
                         ((2,), 3, 4, 2, 0)):
        q, key, v, dy = data(lead, *sizes)
        y, lse = k.attention(q, key, v, None, False, 1.0)
        assert y.shape == dy.shape
        if sizes[1] == 0:
            assert (y == 0).all() and np.isposinf(lse).all()
        for found, x in zip(k.attention_backward(dy, q, key, v, None, False, 1.0, y=y, lse=lse), (q, key, v)):
            assert found.shape == x.shape


def heads_of(x):
    """(batch, heads, length, width) that was cut out of (batch, length, 3, heads, width)."""
    b, h, n, e = x.shape
    space = np.zeros((b, n, 3, h, e), x.dtype)
    space[:, :, 1] = x.transpose(0, 2, 1, 3)
    return space[:, :, 1].transpose(0, 2, 1, 3)


def frozen(x):
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("arrange", [
    heads_of, frozen, lambda x: x[::-1].copy()[::-1], lambda x: np.repeat(x, 2, -1)[..., ::2],
    lambda x: x.copy(order="F"), lambda x: np.repeat(x, 2, -2)[..., ::2, :]])
@pytest.mark.parametrize("causal", [False, True])
def test_layouts_give_the_same_bits(arrange, causal):
    arrays = data((2, 3), 45, 45, 8, 8)
    expected = check(arrays, causal=causal)
    for x, e in zip(check([arrange(a) for a in arrays], causal=causal), expected):
        np.testing.assert_array_equal(x, e)


def test_results_lie_in_memory_as_their_inputs_do():
    y, *gradients = check([heads_of(x) for x in data((2, 3), 45, 45, 8, 8)])
    for x in (y, *gradients):
        assert x.transpose(0, 2, 1, 3).flags.c_contiguous
    x = minitorch.Tensor._wrap(heads_of(data((2, 3), 45, 45, 8, 8)[0]))
    y = F.scaled_dot_product_attention(x, x, x)
    assert np.shares_memory(y.transpose(1, 2).reshape(2, 45, 24)._array, y._array)


def test_broadcast_leading_dimensions(version):
    q, key, v, dy = data((4, 3), 40, 50, 8, 8)
    key, v = key[:1, :1], v[0]
    y, lse = k.attention(q, key, v, None, True, 0.3)
    found = k.attention_backward(dy, q, key, v, None, True, 0.3, y=y, lse=lse)
    everywhere = [np.broadcast_to(x, (4, 3, 50, 8)) for x in (key, v)]
    for x, e in zip((y, lse, *found), exact(q, *everywhere, dy, None, True, 0.3)[:5]):
        np.testing.assert_allclose(x, e, rtol=2e-5, atol=5e-5)


@pytest.mark.parametrize("dtype", [np.float16, "bfloat16"])
def test_halves_are_computed_in_float32(version, dtype):
    dtype = getattr(pytest.importorskip("ml_dtypes"), dtype) if dtype == "bfloat16" else dtype
    arrays = [x.astype(dtype) for x in data((2,), 20, 70, 8, 8)]
    y, lse = k.attention(*arrays[:3], None, False, 0.3)
    found = k.attention_backward(arrays[3], *arrays[:3], None, False, 0.3, y=y, lse=lse)
    assert lse.dtype == np.float32
    expected = exact(*arrays, None, False, 0.3)
    for x, e in zip((y, *found), (expected[0], *expected[2:5])):
        assert x.dtype == dtype
        np.testing.assert_allclose(x.astype(float), e, rtol=0.05, atol=0.03)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("causal", [False, True])
def test_large_scores_do_not_overflow(version, causal, dtype):
    q, key, v, dy = data((2,), 70, 150, 8, 8, dtype)
    q, key = np.rint(q * 100), np.rint(key * 100)  # so that scores are the same numbers in every order
    y, lse = k.attention(q, key, v, None, causal, 1.0)
    found = k.attention_backward(dy, q, key, v, None, causal, 1.0, y=y, lse=lse)
    expected = exact(q, key, v, dy, None, causal, 1.0)
    np.testing.assert_allclose(y, expected[0], rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    limit = 4 * np.spacing(np.abs(lse).max())  # in backward the weights are exp(score - lse)
    for x, e in zip(found, expected[2:5]):
        np.testing.assert_allclose(x, e, rtol=limit, atol=limit * np.abs(e).max())


def test_nan_reaches_whom_it_concerns(version):
    q, key, v, dy = data((1,), 80, 80, 4, 4)
    q[0, 40, 1] = NAN
    y, _ = k.attention(q, key, v, None, False, 1.0)
    assert np.isnan(y[0, 40]).all() and np.isfinite(np.delete(y[0], 40, 0)).all()
    q, key, v, dy = data((1,), 80, 80, 4, 4)
    key[0, 50, 1] = NAN
    y, lse = k.attention(q, key, v, None, True, 1.0)
    assert np.isfinite(y[0, :50]).all() and np.isnan(y[0, 50:]).all()
    assert np.isnan(k.attention_backward(dy, q, key, v, None, True, 1.0, y=y, lse=lse)[0][0, 50:]).all()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [None, "bool", "float"])
def test_as_torch(torch, causal, masked):
    if causal and masked:
        pytest.skip("PyTorch takes one or the other")
    arrays = [heads_of(x) for x in data((2, 3), 70, 70, 16, 16)]
    rng = np.random.default_rng(3)
    mask = {None: None, "bool": rng.random((2, 1, 70, 70)) < 0.5,
            "float": rng.standard_normal((70, 70)).astype(np.float32)}[masked]
    results = []
    for lib, convert in ((torch, torch.from_numpy), (minitorch, minitorch.from_numpy)):
        q, key, v, dy = (convert(x.copy()) for x in arrays)
        inputs = [x.requires_grad_() for x in (q, key, v)]
        bias = None if mask is None else convert(mask.copy())
        if masked == "float":
            inputs.append(bias.requires_grad_())
        y = lib.nn.functional.scaled_dot_product_attention(q, key, v, bias, is_causal=causal)
        y.backward(dy)
        results.append([y.detach().numpy(), *(x.grad.numpy() for x in inputs)])
    for ours, theirs in zip(results[1], results[0]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)


def test_dropout_of_a_blind_query():
    x = minitorch.ones(3, 4, requires_grad=True)
    mask = minitorch.tensor([[True] * 3, [False] * 3, [True, False, True]])
    y = F.scaled_dot_product_attention(x, x, x, mask, dropout_p=0.5)
    y.sum().backward()
    assert (y[1] == 0).all() and bool(x.grad.isfinite().all())


MEMORY = """
import resource
import numpy as np
from minitorch_kernels import kernels
k = kernels(np)
def run(n):
    x = np.ones((1, n, 8), np.float32)
    y, lse = k.attention(x, x, x, None, True, 1.0)
    k.attention_backward(x, x, x, x, None, True, 1.0, y=y, lse=lse)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(run(5000) - run(100))
"""


def test_no_array_of_all_weights():
    """5000 x 5000 numbers would be 98 MiB."""
    pytest.importorskip("resource")
    grown = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout
    assert 0 <= abs(int(grown)) < 20 << 10


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", [((3,), 300, 300, 16, 16), ((1,), 600, 40, 16, 16), ((100,), 9, 9, 16, 16)])
def test_same_bits_for_any_number_of_threads(shape, causal):
    q, key, v, dy = data(*shape)
    before, results = parallel.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            y, lse = k.attention(q, key, v, None, causal, 0.3)
            results.append((y, lse, *k.attention_backward(dy, q, key, v, None, causal, 0.3, y=y, lse=lse)[:3]))
    finally:
        parallel.set_num_threads(before)
    for others in results[1:]:
        for a, b in zip(results[0], others):
            np.testing.assert_array_equal(a, b)


def test_inputs_stay_as_they_are():
    arrays = data((2,), 40, 50, 8, 8)
    before = [x.copy() for x in arrays]
    check(arrays, np.ones((40, 50), bool))
    for x, b in zip(arrays, before):
        np.testing.assert_array_equal(x, b)


def test_shapes_that_do_not_fit(version):
    q, key, v, _ = data((2,), 4, 5, 3, 3)
    for bad in ((q[..., :2], key, v, None), (q, key[:, :4], v, None), (q[[0, 0, 0]], key, v, None),
                (q, key, v, np.ones((4, 6), bool)), (q, key, v, np.ones((3, 4, 5), bool))):
        with pytest.raises(ValueError):
            k.attention(*bad, False, 1.0)


def test_explain_says_what_runs():
    q, key, v, dy = data((2,), 4, 5, 3, 3)
    lse = np.zeros((2, 4), np.float32)
    assert "numba       runs" in explain("attention", q, key, v, None, True, 1.0)
    assert "numba       runs" in explain("attention_backward", dy, q, key, v, None, True, 1.0, y=dy, lse=lse)
    assert "refuses: float16" in explain("attention", q, key.astype(float), v, None, True, 1.0)
    assert "not empty" in explain("attention", q[:0], key[:0], v[:0], None, True, 1.0)
    assert "shapes that fit" in explain("attention", q[..., :1], key, v, None, True, 1.0)
    assert "a mask that" in explain("attention", q, key, v, np.zeros((4, 6)), True, 1.0)
    assert "y and lse" in explain("attention_backward", dy, q, key, v, None, True, 1.0)
    assert "gradient of the mask" in explain("attention_backward", dy, q, key, v, lse[0, :1], False, 1.0, y=dy, lse=lse,
                                             masked=True)


@jit
def _soften(scores, count, top, total, factor):
    fast._soften(scores, count, top, total, factor)


@pytest.mark.parametrize("dtype, low, error", [(np.float32, -85.0, 5e-7), (np.float64, -700.0, 3e-14)])
def test_exponential(dtype, low, error):
    """exp(x) for x <= 0: the stated error, and exact zeros for -inf."""
    wide, count = fast.VECTORS * vector.lanes(dtype), 20_000
    scores = np.linspace(low, 0, count * wide).astype(dtype).reshape(count, wide)
    scores[0], scores[-1], scores[-2] = -INF, 0, -1e4
    x, top, total, factor = scores.copy(), *(np.full(wide, value, dtype) for value in (-INF, 0, NAN))
    _soften(scores.reshape(-1), count, top, total, factor)
    assert (top == 0).all() and (factor == 0).all() and (scores[[0, -2]] == 0).all() and (scores[-1] == 1).all()
    inner = slice(1, -2)
    off = np.abs(scores[inner] / np.exp(x[inner].astype(np.longdouble)) - 1)
    powers = np.abs(x[inner]) / math.log(2)
    limit = 2.5e-7 + 2e-9 * powers if dtype is np.float32 else 5e-16 + 3e-17 * powers
    assert (off <= limit).all() and off.max() < error
    np.testing.assert_allclose(total, scores.astype(np.float64).sum(0), rtol=1e-4 if dtype is np.float32 else 1e-11)
