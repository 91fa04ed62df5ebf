"""Gathering and adding back on the GPU: against NumPy in every dtype, with negative indices and ones out of range."""
from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import get, kernels

import minitorch as mt
from minitorch.nn import functional as F

FLOATS = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
COPIED = {**FLOATS, "int64": np.int64, "uint8": np.uint8, "bool": np.bool_, "complex64": np.complex64}
LINES = [((5,), 0, 9), ((4, 7), 1, 3), ((4, 7), 0, 6), ((3, 5, 2), 1, 4), ((2, 3, 1, 5), -1, 300)]


@pytest.fixture(scope="module")
def k(device):
    import cupy
    from minitorch_kernels.cuda import indexing

    indexing.program.compile(indexing.program.all())
    return kernels(cupy)


def there(a):
    import cupy

    return cupy.asarray(a)


def numbers(shape, dtype, seed=0):
    """Small whole numbers, whose sums are exact in every dtype."""
    return np.random.default_rng(seed).integers(-8, 8, shape).astype(dtype)


def indices(shape, axis, count, seed=1):
    """Indices into an axis, negative ones among them."""
    shape, n = list(shape), shape[axis]
    shape[axis] = count
    return np.random.default_rng(seed).integers(-n, n, shape)


def runs(name, *arguments):
    reason = next(v for v in get(name).versions if v.name == "cuda").refuses(*arguments)
    assert reason is None, reason


@pytest.mark.parametrize("dtype", COPIED)
def test_gather(k, dtype):
    for shape, axis, count in LINES:
        x, index = numbers(shape, COPIED[dtype]), indices(shape, axis, count)
        runs("gather", there(x), there(index), axis)
        found = k.gather(there(x), there(index), axis)
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(found.get(), np.take_along_axis(x, index, axis))
    x, index = numbers((3, 4), COPIED[dtype]), indices((4, 3), 1, 2).astype(np.int32)
    np.testing.assert_array_equal(k.gather(there(x).T, there(index), 1).get(), np.take_along_axis(x.T, index, 1))


@pytest.mark.parametrize("dtype", COPIED)
def test_gather_dx(k, dtype):
    for shape, axis, count in LINES:
        index = indices(shape, axis, count)
        dy = numbers(index.shape, COPIED[dtype])
        expected = np.zeros(shape, np.float64)
        grids = [*np.meshgrid(*map(np.arange, index.shape), indexing="ij")]
        grids[axis] = index
        if dtype in FLOATS:
            np.add.at(expected, tuple(grids), dy.astype(np.float64))
            runs("gather_dx", there(dy), there(index), axis, shape)
            found = k.gather_dx(there(dy), there(index), axis, shape)
            assert found.dtype == dy.dtype
            np.testing.assert_array_equal(found.get().astype(np.float64), expected)
        once = np.argsort(np.random.default_rng(2).random(shape), axis)
        dy = numbers(shape, COPIED[dtype])
        runs("gather_dx", there(dy), there(once), axis, shape, True)
        expected = np.zeros(shape, dy.dtype)
        np.put_along_axis(expected, once, dy, axis)
        np.testing.assert_array_equal(k.gather_dx(there(dy), there(once), axis, shape, True).get(), expected)


def test_a_smaller_index(k):
    index, dy = np.array([[2, 0]]), np.array([[3.0, 4.0]], np.float32)
    np.testing.assert_array_equal(k.gather_dx(there(dy), there(index), 0, (3, 5)).get(),
                                  [[0, 4, 0, 0, 0], [0] * 5, [3, 0, 0, 0, 0]])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("width", [1, 3, 64, 300])
def test_add_rows(k, dtype, width):
    rows, index = numbers((37, width), FLOATS[dtype]), np.random.default_rng(3).integers(-9, 9, 37)
    expected = np.zeros((9, width))
    np.add.at(expected, index, rows.astype(np.float64))
    runs("add_rows", there(rows), there(index), 9)
    found = k.add_rows(there(rows), there(index), 9)
    assert found.dtype == rows.dtype
    np.testing.assert_array_equal(found.get().astype(np.float64), expected)
    for kept in (index.reshape(37, 1), index.reshape(1, 37).astype(np.int32)):
        dy, shape = rows.reshape(*kept.shape, width), (9, width)
        expected[2] = 0
        runs("embedding_dw", there(dy), there(kept), shape, 2)
        np.testing.assert_array_equal(k.embedding_dw(there(dy), there(kept), shape, 2).get().astype(float), expected)
    runs("index_dx", there(dy.reshape(37, width, 1)), [there(index)], (9, width, 1))
    found = k.index_dx(there(dy.reshape(37, width, 1)), [there(index)], (9, width, 1)).get()
    np.testing.assert_array_equal(found.astype(float), get("index_dx").reference(
        np, dy.astype(float).reshape(37, width, 1), [index], (9, width, 1)))


def test_half_precision_is_added_up_in_float32(k):
    rows = np.full((4000, 1), 0.5, np.float16)
    assert k.add_rows(there(rows), there(np.zeros(4000, np.int64)), 1).get() == 2000
    assert k.gather_dx(there(rows), there(np.zeros((4000, 1), np.int64)), 0, (1, 1)).get() == 2000


def test_indices_out_of_range_read_and_write_nothing(k):
    index, x = np.array([2, 4, -5, -4, 1 << 40]), np.arange(4, dtype=np.float32)
    np.testing.assert_array_equal(k.gather(there(x), there(index), 0).get(), [2, np.nan, np.nan, 0, np.nan])
    np.testing.assert_array_equal(k.gather(there(x.astype(int)), there(index), 0).get(), [2, 0, 0, 0, 0])
    dy = there(np.ones(5, np.float32))
    for found in (k.gather_dx(dy, there(index), 0, (4,)), k.gather_dx(dy, there(index), 0, (4,), True),
                  k.add_rows(dy.reshape(5, 1), there(index), 4)[:, 0]):
        np.testing.assert_array_equal(found.get(), [1, 0, 1, 0])


@pytest.mark.parametrize("dtype", COPIED)
def test_picking_along_an_axis(k, dtype):
    for shape, axis in [((5,), 0), ((3, 4), 1), ((2, 3, 4), 1), ((70, 5), 0)]:
        x, n = numbers(shape, COPIED[dtype]), shape[axis]
        index = np.random.default_rng(4).integers(0, n, 2 * n - 1)
        runs("pick_axis", there(x), index, axis)
        found = k.pick_axis(there(x), index, axis).get()
        np.testing.assert_array_equal(found, x.take(index, axis))
        if dtype in FLOATS:
            runs("pick_axis_dx", there(found), index, axis, n)
            expected = get("pick_axis_dx").reference(np, found.astype(np.float64), index, axis, n)
            np.testing.assert_array_equal(k.pick_axis_dx(there(found), index, axis, n).get().astype(float), expected)


def test_places_are_sent_once_and_outside_of_a_captured_graph(k):
    import cupy

    x, index = there(np.arange(6, dtype=np.float32)), np.array([5, 0, 0, 3])
    stream = cupy.cuda.Stream(non_blocking=True)
    y = cupy.zeros(4, np.float32)
    with stream:
        stream.begin_capture(cupy.cuda.runtime.streamCaptureModeRelaxed)
        y[...] = k.pick_axis(x, index, 0)
        graph = stream.end_capture()
    graph.launch()
    np.testing.assert_array_equal(y.get(), [5, 0, 0, 3])


def test_what_is_refused(k):
    import cupy

    x, index = cupy.zeros((3, 4), np.float32), cupy.zeros((3, 2), np.int64)
    for name, *bad in (
            ("gather", x, index, 0), ("gather", x.astype(np.complex128), index, 1), ("gather", x, index[:, :0], 1),
            ("gather", x, index.astype(np.float32), 1), ("gather_dx", x.astype(int), x.astype(int), 1, (3, 4)),
            ("gather_dx", x, index, 1, (3, 4)), ("add_rows", x.astype(int), index[:, 0], 3),
            ("embedding_dw", x, index[:, 0], (3, 4), None, True), ("index_dx", x, [index[:, 0], index[:, 0]], (3, 4)),
            ("pick_axis", x[:0], np.zeros(1, int), 0), ("pick_axis_dx", x.astype(int), np.zeros(1, int), 0, 2)):
        assert isinstance(next(v for v in get(name).versions if v.name == "cuda").refuses(*bad), str), name


def test_against_pytorch(k, torch):
    results = []
    for lib, to in ((mt, "cuda"), (torch, "cpu")):
        functional = F if lib is mt else lib.nn.functional
        w = lib.tensor(np.sin(np.arange(24, dtype=np.float32)).reshape(6, 4)).to(to).requires_grad_()
        index = lib.tensor([[1, 5, 1], [0, 0, 2]]).to(to)
        y = functional.embedding(index, w, padding_idx=2)
        z = w.gather(1, lib.tensor([[3, 3, 0], [1, 2, 1]]).to(to)) + w[lib.tensor([4, -1]).to(to)][:, :3]
        p = functional.pad(w.reshape(1, 6, 4), (2, 1), mode="reflect")
        ((y * y).sum() + (z ** 3).sum() + (p ** 2).sum()).backward()
        results.append([t.detach().cpu().numpy() for t in (y, z, p, w.grad)])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, 1e-5, 1e-6)
