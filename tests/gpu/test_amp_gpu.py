"""GradScaler and clipping on the GPU: like PyTorch, step by step, and with no more waiting for the GPU."""
from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import kernels

import minitorch as mt
from minitorch import nn

SHAPES = [(4, 5), (9000,), (0,), (), (3,)]
FLOATS = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
OFF = {"float32": 1e-6, "float64": 1e-14, "float16": 2e-3, "bfloat16": 1e-2}


@pytest.fixture(scope="module", autouse=True)
def optim(device):
    from minitorch_kernels.cuda import optim

    optim.program.compile([key for key in optim.program.all() if key[0] != "step"])
    return optim


@pytest.fixture
def waits(monkeypatch):
    """How often a value was read from the GPU."""
    import cupy

    found, inside = [], []

    def counting(function):
        def call(*arguments, **options):
            found.extend([function] if not inside else [])  # one way of reading may use another
            inside.append(function)
            try:
                return function(*arguments, **options)
            finally:
                inside.pop()
        return call

    for name in ("get", "item", "__float__", "__bool__"):
        monkeypatch.setattr(cupy.ndarray, name, counting(getattr(cupy.ndarray, name)))
    return found


def gradients(dtype, seed=0, scale=1.0):
    import cupy

    rng = np.random.default_rng(seed)
    host = [np.asarray(scale * rng.standard_normal(s)).astype(dtype) for s in SHAPES]
    return host, [cupy.asarray(a) for a in host]


@pytest.mark.parametrize("dtype", FLOATS)
def test_unscaling(dtype, waits):
    import cupy

    k = kernels(cupy)
    for where, value in ((None, 0), (1, np.inf), (3, np.nan), (1, -np.inf)):
        host, there = gradients(FLOATS[dtype])
        if where is not None:
            host[where].reshape(-1)[-1] = value
            there[where] = cupy.asarray(host[where])
        found = k.unscale_grads(there, 0.25)
        assert not waits
        assert bool(found) == (where is not None)
        for a, b in zip(there, host):
            np.testing.assert_array_equal(a.get().astype(float), 0.25 * b.astype(float))
        waits.clear()


def test_a_gradient_that_overflows_when_unscaled():
    import cupy

    assert kernels(cupy).unscale_grads([cupy.full(3, 3e38, np.float32)], 4.0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_norms(dtype, waits):
    import cupy

    k = kernels(cupy)
    for order in (2.0, float("inf")):
        host, there = gradients(FLOATS[dtype])
        whole = np.concatenate([a.astype(float).reshape(-1) for a in host])
        found = k.total_norm(there, order)
        assert not waits and found.dtype == FLOATS[dtype] and found.shape == ()
        np.testing.assert_allclose(float(found), np.linalg.norm(whole, order), OFF[dtype])
        waits.clear()
        there[1][7] = np.nan
        assert np.isnan(float(k.total_norm(there, order)))
        waits.clear()
    tiny = [cupy.full(3, 1e-30, np.float32), cupy.full(1, 1e-30, np.float32)]  # whose squares float32 has not
    np.testing.assert_allclose(float(k.total_norm(tiny, 2)), 2e-30, 1e-6)
    assert float(k.total_norm([cupy.zeros((0, 2), np.float32)], 2)) == 0


@pytest.mark.parametrize("dtype", FLOATS)
def test_shortening_and_clamping(dtype):
    import cupy

    k = kernels(cupy)
    for longest, total in ((3.0, 12.0), (3.0, 2.0), (1.0, np.nan), (1.0, np.inf)):
        host, there = gradients(FLOATS[dtype])
        k.shorten_grads(there, cupy.asarray(total, FLOATS[dtype]), longest)
        factor = longest / (total + 1e-6)
        for a, b in zip(there, host):
            expected = b.astype(float) * (factor if not factor >= 1 else 1)
            np.testing.assert_allclose(a.get().astype(float), expected, OFF[dtype], 1e-7)
    host, there = gradients(FLOATS[dtype])
    host[0][0, 0] = there[0][0, 0] = np.nan
    k.clamp_grads(there, 0.5)
    for a, b in zip(there, host):
        np.testing.assert_array_equal(a.get().astype(float), np.clip(b.astype(float), -0.5, 0.5))


@pytest.mark.parametrize("norm", [2.0, float("inf"), 3.0])
def test_clipping_like_pytorch(norm, torch, waits):
    results = []
    for lib, to in ((mt, "cuda"), (torch, "cpu")):
        utils = nn.utils if lib is mt else lib.nn.utils
        params = []
        for i, shape in enumerate([(4, 5), (7,), (1,)]):
            p = lib.zeros(shape, device=to, requires_grad=True)
            p.grad = lib.tensor(np.sin(np.arange(np.prod(shape), dtype=np.float32) + i).reshape(shape)).to(to)
            params.append(p)
        found = []
        for longest in (1.5, 100.0):
            found.append(utils.clip_grad_norm_(params, longest, norm))
        utils.clip_grad_value_(params, 0.1)
        assert norm == 3.0 or not waits
        results.append([t.cpu().numpy() for t in (*found, *[p.grad for p in params])])
        waits.clear()
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, 1e-5, 1e-7)


def test_gradients_of_several_dtypes(torch):
    results = []
    for lib, to in ((mt, "cuda"), (torch, "cpu")):
        params = []
        for kind in (lib.float32, lib.bfloat16, lib.float64):
            p = lib.zeros(3, dtype=kind, device=to, requires_grad=True)
            p.grad = lib.tensor([1.0, -2.0, 4.0], dtype=kind).to(to)
            params.append(p)
        total = (nn.utils if lib is mt else lib.nn.utils).clip_grad_norm_(params, 2.0)
        results.append([t.float().cpu().numpy() for t in (total, *[p.grad for p in params])])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, 1e-2)


def test_nonfinite_norms_are_errors_if_asked_for():
    p = mt.zeros(3, device="cuda", requires_grad=True)
    p.grad = mt.tensor([1.0, float("inf"), 0.0]).to("cuda")
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)


def scaled_training(lib, to, optimizer_of):
    """Weights and factors of steps of which the third has an infinite gradient."""
    w = lib.tensor([[0.5, -1.0, 2.0]], device=to, requires_grad=True)
    optimizer = optimizer_of(lib.optim, [w])
    scaler = lib.amp.GradScaler(to, init_scale=8.0, growth_interval=2)
    history = []
    for step in range(7):
        x = lib.tensor([[1.0, 2.0, 3.0e38 if step == 2 else 0.5]], device=to)
        optimizer.zero_grad()
        scaler.scale((w * x).sum() * 4).backward()
        if step % 2:
            scaler.unscale_(optimizer)
            lib.nn.utils.clip_grad_norm_([w], 2.0)
        scaler.step(optimizer)
        scaler.update()
        history.append((w.detach().cpu().numpy().copy(), scaler.get_scale()))
    return history


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_steps_are_scaled_skipped_and_resumed_like_pytorch(name, torch):
    def optimizer_of(optim, params):
        return getattr(optim, name)(params, lr=0.125)

    ours, theirs = scaled_training(mt, "cuda", optimizer_of), scaled_training(torch, "cpu", optimizer_of)
    for step, ((w, scale), (v, factor)) in enumerate(zip(ours, theirs)):
        np.testing.assert_allclose(w, v, 1e-6, err_msg=f"step {step}")
        assert scale == factor, f"step {step}"
    assert (ours[2][0] == ours[1][0]).all() and ours[2][1] < ours[1][1]  # left out, and less from then on


def test_a_step_waits_once(waits):
    layers = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).to("cuda")
    optimizer, scaler = mt.optim.AdamW(layers.parameters()), mt.amp.GradScaler("cuda", init_scale=4.0)
    x = mt.ones(2, 3, device="cuda")
    waits.clear()
    for _ in range(3):
        optimizer.zero_grad()
        scaler.scale(layers(x).sum()).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(layers.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
    assert len(waits) == 3


def test_float16_gradients_are_refused():
    p = mt.zeros(3, dtype=mt.float16, device="cuda", requires_grad=True)
    p.grad = mt.ones(3, dtype=mt.float16, device="cuda")
    optimizer, scaler = mt.optim.SGD([p], lr=1.0), mt.amp.GradScaler("cuda")
    scaler.scale(mt.ones(1, device="cuda"))
    with pytest.raises(ValueError, match="FP16"):
        scaler.unscale_(optimizer)


def test_clipping_in_a_captured_graph():
    params = [mt.zeros(n, device="cuda", requires_grad=True) for n in (3, 9000)]
    for p in params:
        p.grad = mt.ones(p.shape[0], device="cuda")
    graphs = [mt.cuda.CUDAGraph() for _ in range(2)]
    totals = []
    for graph, longest in zip(graphs, (2.0, 1.0)):
        with mt.cuda.graph(graph):
            totals.append(nn.utils.clip_grad_norm_(params, longest))
    nn.utils.clip_grad_norm_([p.clone().detach().requires_grad_() for p in params], 5.0)  # none has a gradient
    for graph, total, longest in zip(graphs, totals, (2.0, 1.0)):
        for p in params:
            p.grad.fill_(2.0)
        graph.replay()
        np.testing.assert_allclose(float(total), 2 * 9003 ** 0.5, 1e-6)
        np.testing.assert_allclose(params[1].grad.cpu().numpy(), longest / 9003 ** 0.5, 1e-5)
