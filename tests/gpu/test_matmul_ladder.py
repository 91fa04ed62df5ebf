"""The GPU's ladder of matrix products: every rung against float64, in every dtype, and a network that trains on it."""
from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import kernels, table, use
from minitorch_kernels.cuda import settings
from minitorch_kernels.ladder import ladder
from minitorch_kernels.table import explain

import minitorch as mt
from minitorch.nn import functional as F

RUNGS = ("loops", "rows", "blocked", "tiled", "pipelined", "tensor")
ERROR = {np.float32: 2e-6, ml_dtypes.bfloat16: 8e-3}  # of the largest possible sum
TF32 = 2e-3
SHAPES = [((1, 1), (1, 1)), ((33, 20), (20, 41)), ((130, 9), (9, 3)), ((2, 50), (50, 131)), ((4, 0), (0, 3)),
          ((0, 4), (4, 3)), ((5,), (5,)), ((5,), (5, 3)), ((4, 5), (5,)), ((2, 1, 3, 9), (3, 9, 7))]


@pytest.fixture(scope="module")
def k(device):
    import cupy
    from minitorch_kernels.cuda import ladder

    ladder.program.compile(ladder.program.all())
    return kernels(cupy)


@pytest.fixture(autouse=True)
def tf32(monkeypatch):
    monkeypatch.setattr(settings, "tf32_products", True)


@pytest.mark.parametrize("dtype", ERROR)
@pytest.mark.parametrize("rung", RUNGS)
def test_products(k, rung, dtype):
    rng = np.random.default_rng(0)
    for left, right in SHAPES if dtype is np.float32 else SHAPES[1:3]:
        a, b = rng.standard_normal(left).astype(dtype), rng.standard_normal(right).astype(dtype)
        with use(matmul=rung):
            assert f"{rung:11} runs" in explain("matmul", k.xp.asarray(a), k.xp.asarray(b), device="cuda")
            y = k.matmul(k.xp.asarray(a), k.xp.asarray(b)).get()
        wide, most = a.astype(np.float64) @ b.astype(np.float64), np.abs(a.astype(float)) @ np.abs(b.astype(float))
        assert y.shape == wide.shape and y.dtype == dtype
        error = TF32 if rung == "tensor" and dtype is np.float32 else ERROR[dtype]
        assert (np.abs(y.astype(np.float64) - wide) <= error * most).all(), (left, right)


@pytest.mark.parametrize("rung", RUNGS)
def test_operands_lie_as_they_like(k, rung):
    whole = np.random.default_rng(1).standard_normal((2, 24, 20)).astype(np.float32)
    there = k.xp.asarray(whole)
    with use(matmul=rung):
        for cut in (lambda x: (x[0].T, x[1]), lambda x: (x[:, ::3, 1::2], x[0, :10, ::-1])):
            (a, b), given = cut(whole), cut(there)
            np.testing.assert_allclose(k.matmul(*given).get(), a @ b, atol=0.02 if rung == "tensor" else 1e-5)


@pytest.mark.parametrize("rung", ("pipelined", "tensor"))
def test_operands_begin_anywhere(k, rung):
    a, b = (k.xp.arange(129, dtype=np.float32)[start:start + 128].reshape(shape) for start, shape in
            ((1, (16, 8)), (0, (8, 16))))
    with use(matmul=rung):
        np.testing.assert_allclose(k.matmul(a, b).get(), a.get() @ b.get(), rtol=1e-3)


def test_more_than_a_grid_has_room_for(k, monkeypatch):
    from minitorch_kernels.cuda import ladder

    monkeypatch.setattr(ladder, "MATRICES", 2)
    a, b = np.random.default_rng(0).standard_normal((2, 5, 1, 3, 3)).astype(np.float32)
    with use(matmul="rows"):
        np.testing.assert_allclose(k.matmul(k.xp.asarray(a), k.xp.asarray(b)).get(), a @ b, atol=1e-5)
        long = k.xp.broadcast_to(k.xp.ones((1, 1), np.float32), (1 << 20, 1))
        assert "at most 524280 rows" in explain("matmul", long, long[:1], device="cuda")


@pytest.mark.parametrize("rung", RUNGS)
def test_a_network_trains_on_each_rung(k, rung):
    """Its products, forward and backward, run on the rung; its gradients are those of the CPU."""
    ran, gradients = [], {}

    def note(name, version, run, arguments, options):
        if name in ("matmul", "linear", "linear_relu"):
            ran.append(version)
        return run(*arguments, **options)

    for where in ("cpu", "cuda"):
        mt.manual_seed(0)
        net = mt.nn.Sequential(mt.nn.Linear(7, 12), mt.nn.Tanh(), mt.nn.Linear(12, 3))
        x, target = mt.randn(10, 7).to(where), mt.tensor([0, 2, 1, 1, 0, 2, 2, 0, 1, 0]).to(where)
        net.to(where)
        with use(matmul=rung if where == "cuda" else "reference"), table.watch(note):
            F.cross_entropy(net(x), target).backward()
        gradients[where] = [p.grad.cpu().numpy() for p in net.parameters()]
    assert ran.count(rung) >= 4, ran
    for ours, theirs in zip(gradients["cuda"], gradients["cpu"]):
        np.testing.assert_allclose(ours, theirs, atol=2e-3 if rung == "tensor" else 1e-6)


def test_the_ladder_is_there_to_be_named(k, monkeypatch):
    assert tuple(rung.name for rung in ladder("matmul", "cuda"))[:6] == RUNGS
    assert len({rung.idea for rung in ladder("matmul", "cuda")}) == 7
    x = k.xp.ones((3, 3), np.float32)
    assert "tensor      refuses: a rung of the ladder runs where it is named" in explain("matmul", x, x, device="cuda")
    with use("ladder"):
        assert "tensor      runs" in explain("matmul", x, x, device="cuda")
        monkeypatch.setattr(settings, "tf32_products", False)
        assert "pipelined   runs" in explain("matmul", x, x, device="cuda")
    with use(matmul="rows"):
        wide = x.astype(float)
        assert "float32 and bfloat16 only" in explain("matmul", wide, wide, device="cuda")
        with pytest.raises(ValueError, match=r"b expects 3 rows.*got \(2, 3\)"):
            k.matmul(x, x[:2])
