"""Optimizers on the GPU: every step kernel in every dtype against the references, lists of awkward sizes, graphs."""
from __future__ import annotations

import copy

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import get, kernels

import minitorch as mt
from minitorch import nn

DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
OFF = {"float32": 3e-6, "float64": 1e-13, "float16": 4e-3, "bfloat16": 3e-2}
SIZES = [(3, 5), (), (0, 2), (8200,), (1, 17), (64,)]  # of which one is in two parts, and two have a remainder
STEPS = [3, 1, 1, 7, 7, 2]
CASES = [  # states, which of them are None, numbers
    ("sgd_steps", 0, (), (0.1, 0, 0, 0.3, False, False, None)),
    ("sgd_steps", 1, (), (0.1, 0.9, 0.5, 0.1, False, True, [False, False, True, False, True, True])),
    ("sgd_steps", 1, (), (0.1, 0.8, 0, 0, True, False, [False] * 6)),
    ("adam_steps", 3, (2,), (STEPS, 0.1, 0.9, 0.99, 1e-3, 0.2, False, False, True)),
    ("adam_steps", 3, (), (STEPS, 0.1, 0.4, 0.9, 1e-3, 0.1, True, True, False)),
    ("adagrad_steps", 1, (), (STEPS, 0.1, 0.3, 1e-3, 0.2, True)),
    ("rmsprop_steps", 3, (1, 2), (0.1, 0.9, 1e-3, 0.2, 0, False, True)),
    ("rmsprop_steps", 3, (1,), (0.1, 0.4, 1e-3, 0, 0.9, False, False)),
    ("rmsprop_steps", 3, (2,), (0.1, 0.9, 1e-3, 0.1, 0, True, False)),
    ("rmsprop_steps", 3, (), (0.1, 0.9, 1e-3, 0, 0.9, True, False)),
]


@pytest.fixture(scope="module")
def optim(device):
    from minitorch_kernels.cuda import optim

    optim.program.compile([key for key in optim.program.all() if key[1][-1] == "float" or key[1][0] == "Adam"])
    return optim


def lists(name, states, left_out, dtype, seed=0):
    """Parameters, gradients and states, as float64 that the dtype holds exactly."""
    rng = np.random.default_rng(seed)
    draw = [rng.standard_normal, rng.standard_normal, *[lambda s: rng.uniform(1, 2, s)] * states]
    found = [[np.asarray(d(s)).astype(dtype).astype(np.float64) for s in SIZES] for d in draw]
    if name == "rmsprop_steps":
        found[3] = [np.asarray(0.5 * a) for a in found[3]]
    return [None if i - 2 in left_out else some for i, some in enumerate(found)] + [None] * (name == "sgd_steps" and
                                                                                            not states)


def there(lists, dtype, at=0):
    """The lists on the GPU; each array begins `at` elements after what is aligned."""
    import cupy

    def moved(a):
        spaced = cupy.zeros(a.size + at, dtype)[at:]
        spaced[...] = cupy.asarray(a.astype(dtype).reshape(-1))
        return spaced.reshape(a.shape)

    return [some and [moved(a) for a in some] for some in lists]


@pytest.mark.parametrize("dtype, at", [("float32", 0), ("float32", 1), ("float64", 0), ("float16", 0), ("bfloat16", 0)])
def test_steps(optim, dtype, at):
    import cupy

    for name, states, left_out, numbers in CASES if dtype == "float32" else CASES[3:4]:
        exact = lists(name, states, left_out, DTYPES[dtype])
        found = there(exact, DTYPES[dtype], at)
        assert cuda(name).refuses(*found, *numbers) is None
        getattr(kernels(cupy), name)(*found, *numbers)
        before = copy.deepcopy(exact[1])
        get(name).reference(np, *exact, *numbers)
        for i, (some, expected) in enumerate(zip(found, exact)):
            for a, e in zip(some or [], expected or []):
                assert a.dtype == DTYPES[dtype]
                np.testing.assert_allclose(a.get().astype(np.float64), e, OFF[dtype], OFF[dtype], err_msg=f"{name} {i}")
        for a, e in zip(found[1], before):
            np.testing.assert_array_equal(a.get().astype(np.float64), e)


def test_one_parameter(optim):
    import cupy

    k, rng = kernels(cupy), np.random.default_rng(2)
    for name, states, numbers in [("sgd_step", 1, (0.1, 0.9, 0.5, 0.1, False, True, False)),
                                  ("adam_step", 3, (7, 0.1, 0.4, 0.9, 1e-3, 0.1, True, True, False)),
                                  ("adagrad_step", 1, (5, 0.1, 0.3, 1e-3, 0.2, True)),
                                  ("rmsprop_step", 3, (0.1, 0.9, 1e-3, 0, 0.9, True, False))]:
        arrays = [rng.uniform(1, 2, (4, 5)).astype(np.float32) for _ in range(2 + states)]
        found = [cupy.asarray(a) for a in arrays]
        found[1] = cupy.asarray(arrays[1].T.copy()).T  # a gradient that lies otherwise
        assert cuda(name).refuses(*found, *numbers) is None
        getattr(k, name)(*found, *numbers)
        get(name).reference(np, *arrays, *numbers)
        for a, e in zip(found, arrays):
            np.testing.assert_allclose(a.get(), e, 1e-5, 1e-5)


def test_what_is_refused(optim):
    import cupy

    a = cupy.zeros((4, 6), np.float32)
    refuses = cuda("sgd_steps").refuses
    numbers = (0.1, 0, 0, 0, False, False, None)
    for p, g in (([], []), ([a.T], [a.T]), ([a], [a.astype(np.float64)]), ([a], [a[:2]]), ([a.astype(int)], [a]),
                 ([a, a.astype(np.float64)], [a, a])):
        assert isinstance(refuses(p, g, None, *numbers), str)
    assert isinstance(refuses([a], [a], [a[:, ::2]], *numbers), str)


def test_nothing_is_sent_twice_and_all_is_one_launch(optim, monkeypatch):
    import cupy

    launches, sent = count(monkeypatch, optim.program, "launch"), []
    send = cupy.cuda.MemoryPointer.copy_from_host_async
    monkeypatch.setattr(optim.cupy.cuda.MemoryPointer, "copy_from_host_async",
                        lambda to, source, size, stream=None: (sent.append(size), send(to, source, size, stream))[1])
    p, g = ([cupy.ones(n, np.float32) for n in (3, 4000, 1)] for _ in range(2))
    memo, k, numbers = {}, kernels(cupy), (0, 0, 0, False, False, None)
    for rate in (0.5, 0.5, 0.25):
        k.sgd_steps(p, g, None, rate, *numbers, memo=memo)
    assert len(launches) == 3 and len(sent) == 2 and sent[1] < sent[0]
    g = [a + 1 for a in g]  # elsewhere
    k.sgd_steps(p, g, None, 0.25, *numbers, memo=memo)
    assert len(sent) == 3
    for a in p:
        np.testing.assert_array_equal(a.get(), -0.75)
    k.sgd_steps([], [], None, 0.25, *numbers)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad", "RMSprop"])
def test_optimizers(optim, name, torch):
    options = {"SGD": {"momentum": 0.9, "nesterov": True}, "RMSprop": {"centered": True}}.get(name, {})
    results = []
    for lib, to in ((mt, "cuda"), (torch, "cpu")):
        model = (nn if lib is mt else torch.nn).Linear(5, 3)
        with lib.no_grad():
            for i, p in enumerate(model.parameters()):
                p.copy_(lib.tensor(np.cos(np.arange(p.numel(), dtype=np.float32) + i).reshape(p.shape)))
        model = model.to(to)
        optimizer = getattr(lib.optim, name)(model.parameters(), lr=0.05, weight_decay=0.1, **options)
        x = lib.tensor(np.sin(np.arange(20, dtype=np.float32)).reshape(4, 5)).to(to)
        for _ in range(4):
            optimizer.zero_grad()
            (model(x) ** 2).sum().backward()
            optimizer.step()
        results.append([p.detach().cpu().numpy() for p in model.parameters()])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, 2e-5, 2e-6)


def test_a_captured_step_reads_new_numbers(optim):
    import cupy

    def state():
        rng = np.random.default_rng(0)
        return [[cupy.asarray(rng.uniform(1, 2, n).astype(np.float32)) for n in (5, 9000)] for _ in range(4)]

    def step(p, g, m, v, t, memo):
        k.adam_steps(p, g, m, v, None, [t, t], 0.1 / t, 0.9, 0.99, 1e-8, 0.1, True, False, False, memo=memo)

    k, (eager, captured) = kernels(cupy), (state(), state())
    for t in range(1, 6):
        step(*eager[:2], *eager[2:], t, {})
    memo, stream = {}, cupy.cuda.Stream(non_blocking=True)
    step(*captured, 1, memo)
    with stream, optim.recording() as tables:
        stream.begin_capture(cupy.cuda.runtime.streamCaptureModeRelaxed)
        step(*captured, 2, memo)
        graph = stream.end_capture()
    graph.launch()
    step(*captured, 3, memo)  # an eager step in between changes nothing
    for t in (4, 5):
        with optim.replaying(tables):
            step(*captured, t, memo)
        graph.launch()
    for some, others in zip(eager, captured):
        for a, b in zip(some, others):
            np.testing.assert_array_equal(a.get(), b.get())
    for wrong in (lambda: None, lambda: step(*[some[:1] for some in captured], 6, None)):
        with pytest.raises(RuntimeError, match="replaying"), optim.replaying(tables):
            wrong()


def count(monkeypatch, owner, name):
    calls, function = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *a, **o: (calls.append(a), function(*a, **o))[1])
    return calls


def cuda(name):
    return next(v for v in get(name).versions if v.name == "cuda")
