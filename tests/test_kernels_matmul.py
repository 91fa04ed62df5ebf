"""The matmul kernel: every rung of the ladder against einsum in float64, and BLAS's threads as they were."""
import threading

import numpy as np
import pytest
from minitorch_kernels import blas, explain, kernels, matmul, parallel, use
from minitorch_kernels.cpu import dense, planning, slim
from numba import types

k = kernels(np)
RUNGS = ("reference", "blas", "numba", "threads", "packed", "tiled", "blocked", "rows", "loops")
SHAPES = [
    ((5,), (5,)), ((5,), (5, 3)), ((4, 5), (5,)), ((1, 1), (1, 1)), ((4, 5), (5, 3)), ((0, 5), (5, 3)),
    ((4, 0), (0, 3)), ((4, 5), (5, 0)), ((0, 4, 5), (5, 3)), ((7,), (3, 7, 2)), ((2, 3, 4, 5), (3, 5, 6)),
    ((2, 1, 4, 5), (3, 5, 6)), ((33, 17), (17, 49)), ((100, 130), (130, 170)), ((3, 40, 64), (64, 48)),
    ((40, 30, 33), (40, 33, 31)), ((1, 301), (301, 303)), ((300, 301), (301, 1)), ((2000,), (2000, 30)),
]
WRONG = [((3, 4), (5, 6)), ((200, 200), (300, 200)), ((), (3,)), ((3,), ()), ((2, 3, 4), (3, 4, 5))]
LARGE = [((311, 257), (257, 301)), ((64, 500), (500, 700)), ((60, 1000), (1000, 64)), ((9, 130, 120), (9, 120, 90)),
         ((500, 500),) * 2]


@pytest.fixture(autouse=True)
def small_products_too(monkeypatch):
    """No product is left to BLAS for being small."""
    monkeypatch.setattr(matmul, "SMALL", -1)


def numbers(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def expected(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    left, right = "k" if a.ndim == 1 else "...mk", "k" if b.ndim == 1 else "...kn"
    out = ("..." if max(a.ndim, b.ndim) > 2 else "") + "m" * (a.ndim > 1) + "n" * (b.ndim > 1)
    return np.einsum(f"{left},{right}->{out}", a, b)


def check(a, b, y):
    want = expected(a, b)
    assert y.shape == want.shape and y.dtype == a.dtype
    np.testing.assert_allclose(y, want, rtol=0, atol=40 * np.finfo(a.dtype).eps * max(1, a.shape[-1]) ** 0.5)


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_every_rung_computes_the_product(rung, dtype, shapes):
    a, b = numbers(shapes[0], dtype), numbers(shapes[1], dtype, 1)
    with use(matmul=rung):
        check(a, b, k.matmul(a, b))


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("a, b", [
    (numbers((130, 100)).T, numbers((170, 130)).T),
    (numbers((100, 130)), numbers((170, 150)).T[:130]),
    (numbers((400, 400))[::2, ::2], numbers((200, 300))),
    (numbers((3, 90, 80)).swapaxes(1, 2), numbers((90, 70))),
    (numbers((3, 280, 310)).swapaxes(1, 2), numbers((3, 280, 200))),
    (numbers((6, 5, 100))[::2, :, ::2], numbers((50, 33))),
    (numbers((20, 30))[::-1], numbers((30, 300))[:, ::-1]),
    (np.broadcast_to(numbers((1, 70)), (90, 70)), numbers((70, 80))),
    (numbers((70, 100))[:, 3:73], numbers((70, 80))),
], ids=range(9))
def test_operands_need_not_be_contiguous(rung, a, b):
    with use(matmul=rung):
        check(a, b, k.matmul(a, b))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("turn_a", [False, True])
@pytest.mark.parametrize("turn_b", [False, True])
@pytest.mark.parametrize("chunk", [planning.CHUNK, 1 << 15, 1 << 12])
@pytest.mark.parametrize("m, depth, n", [(193, 520, 64), (200, 700, 65), (400, 300, 130), (25, 1000, 32), (7, 513, 200),
                                         (600, 1, 17), (193, 257, 300), (24, 5, 16), (385, 600, 8)])
def test_tiles_at_all_edges(monkeypatch, dtype, turn_a, turn_b, chunk, m, depth, n):
    """Strips, blocks of rows, and k in every cut; a bias; and a floor. Small chunks make many rounds."""
    monkeypatch.setattr(planning, "CHUNK", chunk)
    planning.plan_for.cache_clear()
    a = numbers((depth, m), dtype).T if turn_a else numbers((m, depth), dtype)
    b = numbers((n, depth), dtype, 1).T if turn_b else numbers((depth, n), dtype, 1)
    bias, y = numbers((n,), dtype, 2), np.full((m, n), np.nan, dtype)
    try:
        dense.multiply(a, b, y)
        check(a, b, y)
        dense.multiply(a, b, y, bias, relu=True)
    finally:
        planning.plan_for.cache_clear()
    want = np.maximum(expected(a, b) + bias, 0)
    np.testing.assert_allclose(y, want, rtol=0, atol=40 * np.finfo(dtype).eps * depth**0.5)


@pytest.mark.parametrize("shape", [(70, 80, 90), (3, 80, 90)], ids=["tiles", "slim"])
def test_read_only_operands_are_read_as_they_lie(shape):
    """Memory that must not be written is another type for Numba: for it, the kernels would be compiled once more."""
    m, depth, n = shape
    a, w, bias = (numbers(s, np.float32, i) for i, s in enumerate(((m, 2 * depth), (n, depth), (2 * n,))))
    for x in (a, w, bias):
        x.flags.writeable = False
    for x, v in [(a[:, :depth], w), (a[:, ::2], w), (a[::-1, depth:], w), (a[:, :depth], w[:, ::-1])]:
        for b in (bias[:n], bias[::2]):
            want = expected(x, v.T) + b
            np.testing.assert_allclose(dense.linear(x, v, b), want, rtol=0, atol=2e-4)
    signatures = [*dense._product.launch.signatures, *slim.dots.launch.signatures]
    assert signatures
    assert all(kind.mutable for signature in signatures for kind in signature if isinstance(kind, types.Array))


def test_a_product_within_a_product_has_strips_of_its_own(monkeypatch):
    """As when the garbage collector calls somebody's finaliser between the packing and the product."""
    a, b, inner = numbers((300, 200), np.float32), numbers((200, 100), np.float32, 1), []
    y, product = np.empty((300, 100), np.float32), dense._product

    def interrupted(*arguments):
        monkeypatch.setattr(dense, "_product", product)
        inner.append(dense.matmul(a, -b))
        product(*arguments)

    monkeypatch.setattr(planning, "LITTLE", 0)  # packed before, by all threads
    planning.plan_for.cache_clear()
    try:
        dense.matmul(a, b)  # whose strips are kept
        monkeypatch.setattr(dense, "_product", interrupted)
        dense.multiply(a, b, y)
    finally:
        planning.plan_for.cache_clear()
    check(a, b, y)
    check(a, -b, inner[0])


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("shapes", WRONG, ids=str)
def test_wrong_shapes_raise(rung, shapes):
    with use(matmul=rung), pytest.raises(ValueError):
        k.matmul(np.ones(shapes[0]), np.ones(shapes[1]))


def test_the_table_prefers_compiled_tiles_save_for_small_products(monkeypatch):
    a = np.ones((30, 30), np.float32)
    for choice, runs in [({}, "numba"), ({"matmul": "loops"}, "loops"), ({"matmul": "blocked"}, "blocked")]:
        with use("auto", **choice):
            assert f"{runs:11} runs" in explain("matmul", a, a)
    monkeypatch.setattr(matmul, "SMALL", 1 << 18)
    assert "blas        runs" in explain("matmul", a, a)
    assert "numba       refuses: BLAS is as fast" in explain("matmul", a, a)


@pytest.mark.parametrize("rung", RUNGS)
def test_other_types(rung):
    with use(matmul=rung):
        for shape in ((1, 4096), (70, 4096)):  # a float16 sum of ones would stop at 2048
            half = np.full(shape, 1, np.float16)
            y = k.matmul(half, half.T)
            assert y.dtype == np.float16 and (y == 4096).all()
        whole = np.arange(6).reshape(2, 3)
        assert (k.matmul(whole, whole.T) == [[5, 14], [14, 50]]).all()
        assert (k.matmul(np.ones((80, 80), int), np.ones((80, 80), int)) == 80).all()
        assert k.matmul(np.ones((2, 3), np.float32), np.ones((3, 2))).dtype == np.float64
        assert k.matmul(np.ones((90, 80), np.float32), np.ones((80, 90))).dtype == np.float64
        turned = numbers((90, 80)) + 1j * numbers((90, 80), seed=1)
        np.testing.assert_allclose(k.matmul(turned, turned.T), np.einsum("ik,jk->ij", turned, turned))
    with use("numba"):
        assert "numba       refuses: float32 and float64" in explain("matmul", whole, whole)


@pytest.mark.parametrize("rung", ["blas", "numba", "threads"])
@pytest.mark.parametrize("shapes", LARGE, ids=str)
def test_bits_do_not_depend_on_the_number_of_threads(rung, shapes):
    a, b = numbers(shapes[0], np.float32), numbers(shapes[1], np.float32, 1)
    before, results = parallel.get_num_threads(), []
    try:
        with use(matmul=rung):
            for threads in (1, 2, 3):
                parallel.set_num_threads(threads)
                results.append(k.matmul(a, b))
    finally:
        parallel.set_num_threads(before)
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


def test_blas_threads_are_off_inside_and_as_before_afterwards():
    if blas._control is None:
        pytest.skip("NumPy's BLAS offers no control of its threads")
    before = blas._control.get()
    blas._control.set(3)
    try:
        seen = []
        blas.run(lambda i: seen.append(blas._control.get()), 4)
        with blas.one_thread:
            other = threading.Thread(target=lambda: blas.run(lambda i: seen.append(blas._control.get()), 2))
            other.start()
            other.join()
            seen.append(blas._control.get())
        with pytest.raises(KeyError), blas.one_thread:
            raise KeyError
        assert seen == [1] * 7 and blas._control.get() == 3
    finally:
        blas._control.set(before)


def test_without_control_of_blas_products_stay_whole(monkeypatch):
    monkeypatch.setattr(blas, "_control", None)
    a, b, order = numbers((300, 301)), numbers((301, 302), seed=1), []
    check(a, b, blas.matmul(a, b))
    blas.run(order.append, 3)
    assert order == [0, 1, 2]
