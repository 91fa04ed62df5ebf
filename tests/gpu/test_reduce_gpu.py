"""Sums on the GPU: rows, columns and any axes, in one piece and in several, aligned and not, in every dtype."""
from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import get, kernels

DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
ROUNDED = {"float32": 2e-6, "float64": 1e-14, "float16": 6e-4, "bfloat16": 4e-3}  # of the sum of absolute values
SUMS = [((7,), None), ((5000,), None), ((3, 5), 1), ((3, 5), (0,)), ((100, 257), -1), ((2, 3001), (1,)), ((300, 33), 0),
        ((700, 12), 0), ((60, 300), 0), ((4, 6, 10), (0, 2)), ((4, 6, 10), 1), ((4, 6, 10), (0, 1)),
        ((2, 3, 4, 5), (0, 2)), ((2, 3, 4, 5), (1, 3)), ((70, 3, 2), 1), ((1, 7, 1), (0, 1)), ((5, 2), 1), ((5, 3), 1),
        ((1000, 1), 0), ((2, 500, 8), 1), ((3, 1, 4), (1, 2)), ((2, 3), (0, 1))]
CUMULATIVE = [((5,), 0), ((3, 1000), 1), ((1, 3000), -1), ((9, 4, 3), 1), ((50, 7), 0), ((1030,), 0), ((4, 1), 0)]


@pytest.fixture(scope="module")
def reduce(device):
    from minitorch_kernels.cuda import reduce

    reduce.program.compile(reduce.program.all())
    return reduce


@pytest.fixture(params=["whole", "pieces"])
def pieces(request, reduce, monkeypatch):
    """As for a GPU that small arrays fill, and for one that they do not: rows are cut then."""
    monkeypatch.setattr(reduce, "BUSY", 1 if request.param == "whole" else 40)
    monkeypatch.setattr(reduce, "PIECE", 256)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sum(pieces, dtype):
    import cupy

    rng, k = np.random.default_rng(0), kernels(cupy)
    for shape, axis in SUMS:
        x = rng.standard_normal(shape).astype(DTYPES[dtype])
        wide = x.astype(np.float64)
        for keepdims in (False, True):
            there = cupy.asarray(x)
            assert cuda("sum").refuses(there, axis, keepdims) is None
            found = k.sum(there, axis, keepdims).get()
            expected = wide.sum(axis, keepdims=keepdims)
            bound = abs(wide).sum(axis, keepdims=keepdims) * ROUNDED[dtype]
            assert found.dtype == x.dtype and found.shape == expected.shape
            assert (abs(found.astype(np.float64) - expected) <= bound).all(), (shape, axis)


@pytest.mark.parametrize("dtype", DTYPES)
def test_squares_of_rows(pieces, dtype):
    import cupy

    for shape in ((5000,), (100, 257), (4, 1, 10), (300, 3)):
        x = np.random.default_rng(2).standard_normal(shape).astype(DTYPES[dtype])
        for keepdims in (False, True):
            there = cupy.asarray(x)
            assert cuda("sum_squares").refuses(there, keepdims) is None
            found = kernels(cupy).sum_squares(there, keepdims).get()
            expected = np.square(x.astype(np.float64)).sum(-1, keepdims=keepdims)
            assert found.dtype == x.dtype and found.shape == expected.shape
            np.testing.assert_allclose(found.astype(np.float64), expected, rtol=2 * ROUNDED[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_cumsum(pieces, dtype):
    import cupy

    rng, k = np.random.default_rng(1), kernels(cupy)
    for shape, axis in CUMULATIVE:
        x = rng.random(shape).astype(DTYPES[dtype])
        there = cupy.asarray(x)
        assert cuda("cumsum").refuses(there, axis) is None
        found = k.cumsum(there, axis).get()
        assert found.dtype == x.dtype
        np.testing.assert_allclose(found.astype(np.float64), x.astype(np.float64).cumsum(axis), rtol=2 * ROUNDED[dtype])


def test_half_is_added_up_in_float32(reduce):
    import cupy

    x = np.full(6000, 0.5, np.float16)  # in float16, 1024 + 0.5 is 1024
    assert kernels(cupy).sum(cupy.asarray(x)).get() == 3000


@pytest.mark.parametrize("start", [1, 2, 3])
def test_not_at_the_beginning_of_what_is_aligned(reduce, start):
    import cupy

    x = np.arange(1003, dtype=np.float32)
    there = cupy.asarray(x)[start:]
    assert kernels(cupy).sum(there).get() == x[start:].sum()
    pairs = cupy.asarray(x)[start:start + 1000].reshape(250, 4)
    np.testing.assert_array_equal(kernels(cupy).sum(pairs, 0).get(), x[start:start + 1000].reshape(250, 4).sum(0))


def test_what_cupy_keeps(device):
    import cupy

    x = cupy.asarray(np.ones((4, 6), np.float32))
    for bad, axis in ((x.T, 0), (x.astype(np.int64), 0), (x[:0], 0), (x[:1], 0), (x[:, ::2], 1)):
        assert isinstance(cuda("sum").refuses(bad, axis), str)
    long = cupy.asarray(np.ones((2000, 2), np.float32))
    assert "columns" in cuda("cumsum").refuses(long, 0)


@pytest.mark.parametrize("shape, axes, onto", [((), None, (2, 3)), ((3,), (0,), (2, 3)), ((2,), (1,), (2, 3)),
                                               ((2, 4), (1,), (2, 3, 4)), ((2, 3), (), (2, 3))])
def test_spread(device, shape, axes, onto):
    import cupy

    x = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    found = kernels(cupy).spread(cupy.asarray(x), axes, onto)
    np.testing.assert_array_equal(found.get(), get("spread").reference(np, x, axes, onto))


def cuda(name):
    return next(v for v in get(name).versions if v.name == "cuda")
