"""Products by cublasLt: layouts, broadcasting, epilogues, errors, what a repeated product costs, and plans by hand."""
from __future__ import annotations

import random

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels.cuda import cublaslt, settings

import minitorch as mt

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
CLOSE = {"float32": 1e-5, "float64": 1e-12, "float16": 3e-3, "bfloat16": 2e-2}
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)


@pytest.fixture
def products(device):
    from minitorch_kernels.cuda import matmul

    if cublaslt.missing():
        pytest.skip(cublaslt.missing())
    return matmul


def close(found, wanted, dtype):
    assert found.shape == wanted.shape and found.dtype == dtype
    tolerance = CLOSE[np.dtype(dtype).name]
    np.testing.assert_allclose(found.get().astype(np.float64), wanted, rtol=tolerance, atol=3 * tolerance)


def wide(x):
    return None if x is None else x.get().astype(np.float64)


class Layouts:
    """Arrays of normal numbers that lie in memory in every way that views make."""

    def __init__(self, seed):
        self.rng, self.choice = np.random.default_rng(seed), random.Random(seed)

    def __call__(self, shape, dtype):
        import cupy

        x = self.rng.standard_normal(shape).astype(dtype)
        kind = self.choice.choice(["plain", "transposed", "spaced", "offset", "permuted", "repeated", "backwards"])
        if kind == "transposed" and x.ndim > 1:
            return cupy.asarray(np.ascontiguousarray(x.swapaxes(-1, -2))).swapaxes(-1, -2)
        if kind == "spaced":
            y = cupy.zeros((*shape[:-1], 2 * shape[-1]), dtype)[..., ::2]
            y[...] = cupy.asarray(x)
            return y
        if kind == "offset":
            y = cupy.zeros(x.size + 1, dtype)[1:].reshape(shape)
            y[...] = cupy.asarray(x)
            return y
        if kind == "permuted" and x.ndim > 2:
            order = self.choice.sample(range(x.ndim), x.ndim)
            return cupy.asarray(np.ascontiguousarray(x.transpose(order))).transpose([*map(int, np.argsort(order))])
        if kind == "repeated" and x.ndim > 2 and x.shape[0]:
            return cupy.broadcast_to(cupy.asarray(x[:1]), shape)
        return cupy.asarray(x)[..., ::-1] if kind == "backwards" else cupy.asarray(x)


@every_dtype
def test_any_shapes_and_layouts(products, dtype):
    """Against float64 NumPy: batches broadcast against each other, vectors, sizes of nothing, every order of memory."""
    make = Layouts(0)
    draw = make.choice.choice
    for _ in range(80):
        m, k, n = (draw([0, 1, 1, 2, 3, 8, 70] if draw([0, 0, 1]) else [2, 3, 8]) for _ in range(3))
        over = tuple(draw([1, 2, 3]) for _ in range(draw([0, 0, 1, 2, 3])))
        a_over, b_over = (tuple(draw([size, size, 1]) for size in over[draw(range(len(over) + 1)):]) for _ in "ab")
        a = make((*a_over, m, k) if draw(range(8)) else (k,), dtype)
        b = make((*b_over, k, n) if draw(range(8)) else (k,), dtype)
        close(products.matmul(a, b), np.matmul(wide(a), wide(b)), dtype)
        x, w, bias = make((*over, k), dtype), make((n, k), dtype), draw([None, make((n,), dtype)])
        wanted = wide(x) @ wide(w).T + (0 if bias is None else wide(bias))
        close(products.linear(x, w, bias), wanted, dtype)
        close(products.linear_relu(x, w, bias), np.maximum(wanted, 0), dtype)
        dy, x = make((m, n), dtype), make((m, k), dtype)
        dw, db = products.weight_gradients(dy, x)
        close(dw, wide(dy).T @ wide(x), dtype)
        close(db, wide(dy).sum(0), dtype)


def test_nothing_is_copied_without_need(products, monkeypatch):
    import cupy

    def refuse(*_):
        raise AssertionError("copied")

    monkeypatch.setattr(products, "_in_order", refuse)
    a, b = cupy.ones((2, 3, 8), np.float32), cupy.ones((8, 4), np.float32)
    c, d = cupy.ones((1, 3, 2), np.float32), cupy.ones((4, 8), np.float32)
    for left, right in [(a, b), (a[0], b), (a[0].T, c[0]), (a, d.T), (a.swapaxes(1, 2), c), (a[:, 1:], b),
                        (cupy.broadcast_to(a[:1], a.shape), b), (a[0, 0, ::2], b[:4]), (a[..., :4], b[:4])]:
        products.matmul(left, right)
    with pytest.raises(AssertionError, match="copied"):
        products.matmul(a[:, :, ::2], b[:4])


def test_nan_and_inf_stay(products):
    import cupy

    x = cupy.asarray(np.array([[np.nan, 1], [np.inf, 1], [1, 1]], np.float32))
    w, b = cupy.asarray(np.array([[1, 0], [-1, 0]], np.float32)), cupy.zeros(2, np.float32)
    wanted = [[np.nan, np.nan], [np.inf, 0], [1, 0]]
    np.testing.assert_array_equal(products.linear_relu(x, w, b).get(), wanted)


@pytest.mark.parametrize("rows", [1, 3])
def test_unaligned_addresses(products, rows):
    """A bias and factors that begin anywhere: parts of one flat array of parameters."""
    import cupy

    flat = cupy.asarray(np.random.default_rng(0).standard_normal(200).astype(np.float16))
    x, w, b = flat[1:1 + rows * 5].reshape(rows, 5), flat[21:21 + 35].reshape(7, 5), flat[101:108]
    close(products.linear(x, w, b), wide(x) @ wide(w).T + wide(b), np.float16)


def test_tf32_only_where_it_is_allowed(products):
    import cupy

    a, b = (cupy.asarray(np.random.default_rng(i).standard_normal((32, 32)).astype(np.float32)) for i in (0, 1))
    wanted = wide(a) @ wide(b)

    def error():
        return np.abs(products.matmul(a, b).get() - wanted).max()

    assert not settings.tf32_products and error() < 1e-5
    try:
        mt.backends.cuda.matmul.allow_tf32 = True
        assert settings.tf32_products and 1e-5 < error() < 0.05
        mt.set_float32_matmul_precision("highest")
        assert not settings.tf32_products and error() < 1e-5
    finally:
        mt.set_float32_matmul_precision("highest")


def test_a_repeated_product_is_one_call(products, monkeypatch):
    """What a captured graph may contain: on a warm key nothing but cublasLtMatmul, and the bias's address."""
    import cupy

    a, w, b = cupy.ones((4, 8), np.float32), cupy.ones((3, 8), np.float32), cupy.ones(3, np.float32)
    products.matmul(a, w.T)
    products.linear(a, w, b)

    def refuse(*_, **__):
        raise AssertionError("prepared again")

    monkeypatch.setattr(products, "_made", refuse)
    monkeypatch.setattr(cupy, "get_default_memory_pool", refuse)
    products.matmul(a + 1, w.T)
    assert (products.linear(a, w, b + 1).get() == 10).all()
    with pytest.raises(AssertionError, match="prepared again"):
        products.matmul(a[1:], w.T)


def test_captured_in_a_graph(products):
    """A graph repeats products, with the bias's addresses of their own, on what their arguments hold by then."""
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    x = cupy.ones((4, 70), np.float32)
    w, c, d = cupy.ones((3, 70), np.float32), cupy.ones(3, np.float32), cupy.zeros(3, np.float32)

    def run():
        return products.linear(x, w, c), products.linear(x, w, d), products.weight_gradients(x, x)[1]

    cupy.cuda.get_current_stream().synchronize()
    with stream:
        run()  # its memory, and the stream's workspace, are there from now on
        stream.begin_capture()
        found = run()
        graph = stream.end_capture()
        x[...] = 2
        graph.launch()
        stream.synchronize()
        assert [y.get().flat[0] for y in found] == [141, 140, 8]


def test_what_is_prepared_is_bounded(products, monkeypatch):
    import cupy

    monkeypatch.setattr(products, "PLANS", 4)
    for n in range(1, 9):
        assert products.matmul(cupy.ones((n, 2)), cupy.ones((2, 2))).shape == (n, 2)
    assert len(products._prepared) <= 4


def test_the_table_chooses_it(products):
    import cupy
    from minitorch_kernels import kernels
    from minitorch_kernels.table import explain

    a, i = cupy.ones((2, 3), np.float32), cupy.ones((3, 2), np.int64)
    line = {s.split()[0]: s for s in explain("matmul", a, a.T, device="cuda").splitlines() if s.strip()}
    assert "runs" in line["cublaslt"]
    k = kernels(cupy)
    assert k.matmul(i.T, i).dtype == np.int64 and (k.matmul(i.T, i).get() == 3).all()  # the reference
    assert (k.linear(a, a, cupy.ones((), np.float32)).get() == 4).all()  # a bias that is broadcast


def test_training_step(products):
    """Ops, engine and kernels together: a linear layer's outputs and gradients beside the CPU's."""
    mt.manual_seed(0)
    net = mt.nn.Sequential(mt.nn.Linear(5, 4), mt.nn.ReLU(), mt.nn.Linear(4, 3))
    x = mt.randn(2, 6, 5)
    results = []
    for where in ("cpu", "cuda"):
        net.to(where)
        net.zero_grad()
        y = net(x.to(where))
        (y * y).sum().backward()
        results.append([y.detach().cpu().numpy(), *(p.grad.cpu().numpy() for p in net.parameters())])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


# The library's own epilogues, by plans made by hand


def plan_of(a, b, epilogue, aux=0):
    """A plan for row-major a (m, k) and b (k, n), which the library sees as their transposes."""
    (m, k), n = a.shape, b.shape[1]
    matrices = cublaslt.Matrix(n, k, n), cublaslt.Matrix(k, m, k), cublaslt.Matrix(n, m, n)
    return cublaslt.Plan(0, cublaslt.Problem(a.dtype.char, *matrices, epilogue=epilogue, alignment=16, aux=aux))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def test_activations_and_their_gradients(products):
    """ReLU and GELU keep what their gradients need, and those apply it to the next product and sum up its columns."""
    import cupy

    rng = np.random.default_rng(0)
    a, b, bias, dy = (rng.standard_normal(s) for s in ((6, 5), (5, 16), (16,), (6, 16)))
    w = np.eye(16)
    z, h = a @ b + bias, 1e-6
    for forward, backward, f, unit in ((cublaslt.RELU, cublaslt.DRELU, lambda x: np.maximum(x, 0), 128),
                                       (cublaslt.GELU, cublaslt.DGELU, gelu, 16)):
        arrays = [cupy.asarray(x) for x in (a, b, bias, dy, w)]
        y, dx, db = cupy.empty((6, 16)), cupy.empty((6, 16)), cupy.empty(16)
        kept = cupy.zeros((6, unit), np.float64)
        a_, b_, bias_, dy_, w_ = (x.data.ptr for x in arrays)
        space = cublaslt.workspace(0, 0)
        plan_of(*arrays[:2], forward | cublaslt.AUX | cublaslt.BIAS, unit).run_with(
            bias_, kept.data.ptr, b_, a_, y.data.ptr, space, 0)
        np.testing.assert_allclose(y.get(), f(z), atol=1e-6)
        plan_of(arrays[3], arrays[4], backward | cublaslt.BGRAD, unit).run_with(
            db.data.ptr, kept.data.ptr, w_, dy_, dx.data.ptr, space, 0)
        slope = dy * (f(z + h) - f(z - h)) / (2 * h)
        np.testing.assert_allclose(dx.get(), slope, atol=1e-6)
        np.testing.assert_allclose(db.get(), slope.sum(0), atol=1e-5)


def test_what_the_library_refuses(products):
    matrix = cublaslt.Matrix(4, 4, 4)
    with pytest.raises(cublaslt.CublasError, match="INVALID_VALUE"):
        cublaslt.Plan(0, cublaslt.Problem("f", matrix, cublaslt.Matrix(3, 4, 3), matrix))  # 4 columns and 3 rows
    with pytest.raises(cublaslt.CublasError):
        cublaslt.Plan(0, cublaslt.Problem("f", cublaslt.Matrix(4, 4, 3), matrix, matrix))  # columns that overlap


def test_an_epilogue_that_is_missing_is_done_afterwards(products, monkeypatch):
    import cupy

    made = products.Plan

    def without(device, problem):
        if problem.epilogue != cublaslt.DEFAULT:
            raise cublaslt.CublasError("no", 15)
        return made(device, problem)

    monkeypatch.setattr(products, "Plan", without)
    monkeypatch.setattr(products, "_prepared", {})
    rng = np.random.default_rng(0)
    x, w, b = (cupy.asarray(rng.standard_normal(s).astype(np.float32)) for s in ((3, 4), (5, 4), (5,)))
    wanted = wide(x) @ wide(w).T + wide(b)
    close(products.linear(x, w, b), wanted, np.float32)
    close(products.linear_relu(x, w, b), np.maximum(wanted, 0), np.float32)
    dw, db = products.weight_gradients(x, x)
    close(db, wide(x).sum(0), np.float32)
    close(dw, wide(x).T @ wide(x), np.float32)


def test_where_there_is_no_library(monkeypatch):
    monkeypatch.setenv("MINITORCH_CUBLASLT", "/nowhere/libcublasLt.so")
    library, reason = cublaslt._found.__wrapped__()  # not what is kept of the first call
    assert library is None and "pip install nvidia-cublas" in reason
