"""Compiled sums and indexing: shapes that fall into parts of their own, places outside, threads."""
from __future__ import annotations

import numpy as np
import pytest
from minitorch_kernels import kernels, parallel, use

pytest.importorskip("numba")
k = kernels(np)
SUMS = [((70_000, 3), 0), ((70_000, 3), 1), ((3, 70_000), 0), ((3, 70_000), 1), ((300_001,), None), ((9, 130, 131), 1),
        ((9, 130, 131), (0, 2)), ((9, 130, 131), 2), ((2, 66_000, 2), 1), ((131_072, 1), 0), ((5, 4, 90, 91), (2, 3))]


def noise(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("shape, axis", SUMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sum(shape, axis, dtype):
    x = noise(shape, dtype) + dtype(3)
    for keepdims in (False, True):
        y, expected = k.sum(x, axis, keepdims), x.sum(axis, np.float64, keepdims=keepdims)
        assert y.dtype == dtype and y.shape == expected.shape
        np.testing.assert_allclose(y, expected, rtol=2e-6 if dtype == np.float32 else 1e-13)


def test_sum_of_nan_and_infinity():
    x = np.ones((600, 300), np.float32)
    x[5, 7], x[6, 8], x[7, 9], x[8, 9] = np.nan, np.inf, np.inf, -np.inf
    for axis in (0, 1, None):
        np.testing.assert_array_equal(k.sum(x, axis), x.astype(np.float64).sum(axis))


@pytest.mark.parametrize("bad", [-1, 300, 1 << 40])
def test_places_outside(bad):
    """An index that names no place raises; it never reads or writes elsewhere."""
    x, index = noise((100, 300)), np.zeros((100, 300), np.int64)
    index[7, 11] = bad
    with use("numba"):
        with pytest.raises(IndexError, match="gather: index"):
            k.gather(x, index, 1)
        with pytest.raises(IndexError, match="gather_dx: index"):
            k.gather_dx(x, index, 1, (100, 300))
        with pytest.raises(IndexError, match="add_rows: index"):
            k.add_rows(x, index[:, 11].copy(), 300)


@pytest.mark.parametrize("n", [1, 31, 65, 1000])
def test_add_rows(n):
    rows, index = noise((400, 70)), np.random.default_rng(1).integers(0, n, 400)
    expected = np.zeros((n, 70))
    np.add.at(expected, index, rows.astype(np.float64))
    np.testing.assert_allclose(k.add_rows(rows, index, n), expected, rtol=1e-4, atol=1e-4)


def test_same_bits_for_any_number_of_threads():
    x, before = noise((700, 400)), parallel.get_num_threads()
    index = np.random.default_rng(1).integers(0, 400, x.shape)
    lines = np.random.default_rng(2).integers(0, 65, len(x))
    try:
        results = []
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            results.append([k.sum(x), k.sum(x, 0), k.sum(x, 1), k.cumsum(x, 0), k.cumsum(x, 1), k.gather(x, index, 1),
                            k.gather_dx(x, index, 1, x.shape), k.add_rows(x, lines, 65)])
    finally:
        parallel.set_num_threads(before)
    for found in results[1:]:
        for a, b in zip(found, results[0]):
            np.testing.assert_array_equal(a, b)
