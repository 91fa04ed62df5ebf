"""Optimizer steps: every option against PyTorch's one-tensor optimizers, layouts, threads, what runs where."""
from __future__ import annotations

import numpy as np
import pytest
from minitorch_kernels import explain, kernels, parallel, use

k = kernels(np)


@pytest.fixture(params=["numba", "reference"])
def version(request):
    with use(request.param):
        yield request.param


def sgd(p, g, state, step, lr=0.1, momentum=0.0, dampening=0.0, weight_decay=0, nesterov=False, maximize=False):
    buf = state.setdefault("buf", np.full_like(p, np.nan)) if momentum else None  # `first` must not read it
    k.sgd_step(p, g, buf, lr, momentum, dampening, weight_decay, nesterov, maximize, step == 1)


def adam(p, g, state, step, lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, maximize=False,
         decoupled=False):
    m, v, vmax = (state.setdefault(name, np.zeros_like(p)) for name in ("m", "v", "vmax"))
    k.adam_step(p, g, m, v, vmax if amsgrad else None, step, lr, *betas, eps, weight_decay, decoupled, amsgrad,
                maximize)


def adamw(p, g, state, step, weight_decay=0.01, **options):
    adam(p, g, state, step, weight_decay=weight_decay, decoupled=True, **options)


def adagrad(p, g, state, step, lr=0.1, lr_decay=0.0, weight_decay=0, eps=1e-10, maximize=False):
    k.adagrad_step(p, g, state.setdefault("sum", np.zeros_like(p)), step, lr, lr_decay, eps, weight_decay, maximize)


def rmsprop(p, g, state, step, lr=0.1, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False,
            maximize=False):
    v, mean, buf = (state.setdefault(name, np.zeros_like(p)) for name in ("v", "mean", "buf"))
    k.rmsprop_step(p, g, v, mean if centered else None, buf if momentum > 0 else None, lr, alpha, eps, weight_decay,
                   momentum, centered, maximize)


def adamax(p, g, state, step, lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, maximize=False):
    m, top = (state.setdefault(name, np.zeros_like(p)) for name in ("m", "top"))
    k.adamax_step(p, g, m, top, step, lr, *betas, eps, weight_decay, maximize)


def adadelta(p, g, state, step, lr=0.1, rho=0.9, eps=1e-6, weight_decay=0, maximize=False):
    v, u = (state.setdefault(name, np.zeros_like(p)) for name in ("v", "u"))
    k.adadelta_step(p, g, v, u, lr, rho, eps, weight_decay, maximize)


CASES = [
    (sgd, "SGD", {}), (sgd, "SGD", {"weight_decay": 0.1, "maximize": True}), (sgd, "SGD", {"momentum": 0.9}),
    (sgd, "SGD", {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    (sgd, "SGD", {"momentum": 0.9, "nesterov": True, "maximize": True}),
    (adam, "Adam", {}), (adam, "Adam", {"weight_decay": 0.1, "maximize": True}), (adam, "Adam", {"amsgrad": True}),
    (adam, "Adam", {"betas": (0.0, 0.5), "eps": 1e-3}), (adam, "Adam", {"betas": (0.4, 0.99)}),
    (adamw, "AdamW", {}), (adamw, "AdamW", {"amsgrad": True, "maximize": True, "weight_decay": 0.5}),
    (adagrad, "Adagrad", {}), (adagrad, "Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "maximize": True}),
    (rmsprop, "RMSprop", {}), (rmsprop, "RMSprop", {"centered": True, "weight_decay": 0.1}),
    (rmsprop, "RMSprop", {"momentum": 0.9, "maximize": True}),
    (rmsprop, "RMSprop", {"momentum": 0.9, "centered": True, "alpha": 0.4}),
    (adamax, "Adamax", {}), (adamax, "Adamax", {"betas": (0.4, 0.9), "weight_decay": 0.1, "maximize": True}),
    (adadelta, "Adadelta", {}), (adadelta, "Adadelta", {"rho": 0.5, "weight_decay": 0.1, "maximize": True}),
]


def gradients(shape, dtype, steps=6):
    rng = np.random.default_rng(1)
    return [(rng.standard_normal(shape) * scale).astype(dtype) for scale in np.logspace(0, -3, steps)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (7, 19), (0, 3)])
@pytest.mark.parametrize("step, name, options", CASES)
def test_as_torch(torch, version, step, name, options, shape, dtype):
    p = np.asarray(np.random.default_rng(0).standard_normal(shape), dtype)
    leaf = torch.from_numpy(p.copy()).requires_grad_()
    optimizer, state = getattr(torch.optim, name)([leaf], lr=0.1, foreach=False, **options), {}
    for i, g in enumerate(gradients(shape, dtype), 1):
        leaf.grad = torch.tensor(g)
        optimizer.step()
        before = g.copy()
        step(p, g, state, i, **options)
        np.testing.assert_array_equal(g, before)
        assert p.dtype == dtype
        tolerance = {"rtol": 2e-5, "atol": 1e-6} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-13}
        np.testing.assert_allclose(p, leaf.detach().numpy(), **tolerance)


@pytest.mark.parametrize("step, name, options", CASES)
def test_layouts(version, step, name, options):
    """A gradient in another order is read rightly; a parameter in another order is left to the reference."""
    start = np.random.default_rng(0).standard_normal((6, 5))
    p, q, s, t = start.copy(), np.asfortranarray(start), {}, {}
    for i, g in enumerate(gradients((6, 5), np.float64), 1):
        step(p, np.asfortranarray(g), s, i, **options)
        step(q, g, t, i, **options)
        np.testing.assert_allclose(q, p, rtol=1e-12)


@pytest.mark.parametrize("step, name, options", CASES)
def test_same_bits_for_any_number_of_threads(step, name, options):
    start = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)
    before, results = parallel.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            p, state = start.copy(), {}
            for i, g in enumerate(gradients(start.shape, np.float32, steps=2), 1):
                step(p, g, state, i, **options)
            results.append(p)
    finally:
        parallel.set_num_threads(before)
    for p in results[1:]:
        np.testing.assert_array_equal(p, results[0])
    reference, state = start.copy(), {}
    with use("reference"):
        for i, g in enumerate(gradients(start.shape, np.float32, steps=2), 1):
            step(reference, g, state, i, **options)
    np.testing.assert_allclose(results[0], reference, rtol=1e-3, atol=1e-5)


def test_halves_run():
    for dtype in (np.float16, pytest.importorskip("ml_dtypes").bfloat16):
        p, g, buf = (np.ones(4, dtype) for _ in range(3))
        k.sgd_step(p, g, buf, 0.5, 0.5, 0.0, 0.5, False, False, False)
        assert p.dtype == dtype
        np.testing.assert_array_equal(p.astype(float), np.zeros(4))


def test_explain_says_what_runs():
    p, g, buf = (np.ones((3, 4), np.float32) for _ in range(3))
    rest = (0.1, 0.9, 0.0, 0.0, False, False, False)
    assert "numba       runs" in explain("sgd_step", p, g, buf, *rest)
    assert "numba       runs" in explain("sgd_step", p, np.asfortranarray(g), None, *rest)
    assert "numba       runs" in explain("adam_step", p, g, buf, buf, None, 1, 0.1, 0.9, 0.9, 0.0, 0.0, False, False,
                                         False)
    assert "refuses: float32" in explain("sgd_step", p.astype(np.float16), g, buf, *rest)
    assert "refuses: p and g" in explain("sgd_step", p, g[:2], buf, *rest)
    assert "refuses: a contiguous" in explain("sgd_step", np.asfortranarray(p), g, buf, *rest)
    assert "refuses: contiguous state" in explain("sgd_step", p, g, buf[:2], *rest)
    assert "refuses: contiguous state" in explain("sgd_step", p, g, np.asfortranarray(buf), *rest)


def group(dtype, orders="CCC"):
    rng = np.random.default_rng(3)
    return [np.asarray(rng.standard_normal(shape), dtype, order=order)
            for shape, order in zip([(3, 5), (100_000,), (6, 2)], orders)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lists_give_the_bits_of_single_steps(dtype):
    """Whatever the memo knows of the last call: gradients that moved, other states, other options, other layouts."""
    ours, ms, vs, tops, memo = group(dtype), group(dtype), [*map(np.abs, group(dtype))], group(dtype), {}
    theirs = [[a.copy() for a in some] for some in (ours, ms, vs, tops)]
    for step, amsgrad in enumerate([False, False, True, True, False, True], 1):
        if step == 4:
            ms, theirs[1] = group(dtype), group(dtype)
        grads = group(dtype, "CCF" if step == 3 else "CCC")
        steps = [step, step + 5, step]
        k.adam_steps(ours, grads, ms, vs, tops if amsgrad else None, steps, 0.1, 0.9, 0.99, 1e-8, 0.1, False, amsgrad,
                     False, memo=memo)
        for t, (p, m, v, top) in enumerate(zip(*theirs)):
            k.adam_step(p, grads[t], m, v, top if amsgrad else None, steps[t], 0.1, 0.9, 0.99, 1e-8, 0.1, False,
                        amsgrad, False)
        for some, same in zip((ours, ms, vs, tops), theirs):
            for a, b in zip(some, same):
                np.testing.assert_array_equal(a, b)


def test_a_memo_is_no_reason_to_take_what_does_not_fit():
    ps, grads, memo = group(np.float32), group(np.float32), {}
    rest = (None, 0.1, 0.0, 0.0, 0.0, False, False, None)
    k.sgd_steps(ps, grads, *rest, memo=memo)
    assert "numba       runs" in explain("sgd_steps", ps, grads, *rest, memo=memo)
    wrong = [grads[0], grads[1].astype(np.float64), grads[2]]
    assert "refuses: p and g" in explain("sgd_steps", ps, wrong, *rest, memo=memo)
    assert "refuses: arrays" in explain("sgd_steps", ps, [grads[0], grads[1], np.float32(1)], *rest, memo=memo)
    assert "refuses: lists" in explain("sgd_steps", [], [], *rest)
    assert "refuses: float32" in explain(
        "sgd_steps", [a.astype(np.float64) if i == 0 else a for i, a in enumerate(ps)],
        [a.astype(np.float64) if i == 0 else a for i, a in enumerate(grads)], *rest)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_averages_settle_at_zero_and_not_at_subnormal_numbers(dtype):
    """Whose gradient is zero from now on, as behind a dead ReLU: processors are slow over such numbers."""
    tiny, last = np.finfo(dtype).tiny, np.array([1.1, -1.1, 0, np.nan, 1e9], dtype)
    p, g = np.ones(5, dtype), np.zeros(5, dtype)
    m, v, buf, square, mean, push = (last * tiny for _ in range(6))
    v, square = abs(v), abs(square)
    with use("numba"):
        k.adam_step(p, g, m, v, None, 9, 0.1, 0.5, 0.5, 1e-8, 0.0, False, False, False)
        k.sgd_step(p, g, buf, 0.1, 0.5, 0.0, 0.0, False, False, False)
        k.rmsprop_step(p, g, square, mean, push, 0.1, 0.5, 1e-8, 0.0, 0.5, True, False)
    for average in (m, v, buf, square, mean, push):
        np.testing.assert_array_equal(average[:3], 0)
        assert np.isnan(average[3])
        np.testing.assert_allclose(average[4], last[4] * tiny / 2)


def test_small_squares_stay_where_eps_does_not_hide_them():
    p, g, m, v = (np.array([x], np.float32) for x in (1, 0, 1e-21, 1e-39))
    with use("numba"):
        k.adam_step(p, g, m, v, None, 10**6, 0.5, 0.9, 0.999, 0.0, 0.0, False, False, False)
    assert 0 < v[0] < 1e-39
    np.testing.assert_allclose(1 - p, 0.5 * 0.9e-21 / np.sqrt(0.999e-39), rtol=1e-5)
