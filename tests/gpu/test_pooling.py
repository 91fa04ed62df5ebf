"""Pooling on the GPU against its definition and PyTorch: geometries, ties, gradients, dtypes."""
from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import get
from minitorch_kernels.pooling import pool_shape
from test_kernels_pooling import (
    DIVISORS,
    GEOMETRIES,
    GRIDS,
    UNDILATED,
    grid,
    largest,
    mean_matrix,
    noise,
    through,
    ties,
    windows,
)
from test_norm import call

NAMES = [name for name, geometry in GEOMETRIES.items() if 0 not in geometry[0]]
CELLS = [g for g in GRIDS if 0 not in g[0] and 0 not in g[1]]
HALVES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@pytest.fixture(scope="module", autouse=True)
def program(device):
    from minitorch_kernels.cuda.pooling import program

    program.compile([key for key in program.all() if key[1][0] == "float" or "long long" not in key[1]])


def close(found, expected, tolerance=1e-5):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.astype(np.float64), expected.astype(np.float64), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_max_pool(name, narrow):
    shape, *options = GEOMETRIES[name]
    x, out = ties(shape, np.float32), pool_shape(shape[2:], *options)
    y, index = call("max_pool", x, *options, narrow)
    expected = largest(x, out, windows(shape[2:], out, *options[:-1]))
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(index, expected[1])
    assert y.dtype == np.float32 and index.dtype == (np.int16 if narrow else np.int64)
    dy, dx = noise(y.shape, np.float32), np.zeros((*shape[:2], int(np.prod(shape[2:]))))
    for (n, c, *at), value in np.ndenumerate(dy):
        dx[n, c, index[(n, c, *at)]] += value
    close(call("max_pool_dx", dy, index, shape, tuple(options[:4])), dx.reshape(shape))


@pytest.mark.parametrize("divisor", DIVISORS)
@pytest.mark.parametrize("name", [name for name in NAMES if name in UNDILATED])
def test_avg_pool(name, divisor):
    shape, kernel, stride, padding, dilation, ceil_mode = GEOMETRIES[name]
    size, out = shape[2:], pool_shape(shape[2:], kernel, stride, padding, dilation, ceil_mode)
    include_pad, override = DIVISORS[divisor]

    def count(at, places):
        if override:
            return override
        return len(places) if not include_pad else np.prod([
            min(i * s - p + w, n + p) - (i * s - p) for i, n, w, s, p in zip(at, size, kernel, stride, padding)])

    matrix = mean_matrix(size, out, windows(size, out, kernel, stride, padding, dilation), count)
    x, dy = noise(shape, np.float32), noise((*shape[:2], *out), np.float32, seed=1)
    options = kernel, stride, padding, ceil_mode, include_pad, override
    close(call("avg_pool", x, *options), through(matrix, x, dy.shape))
    close(call("avg_pool_dx", dy, shape, *options), through(matrix.T, dy, shape))


@pytest.mark.parametrize("shape, out", [
    *CELLS, ((2, 5, 9, 11), (1, 1)), ((1, 3, 70), (1,)), ((2, 2, 3, 4, 5), (1, 1, 1))])
def test_adaptive(shape, out):
    x, dy = noise(shape, np.float32), noise((*shape[:2], *out), np.float32, seed=1)
    matrix = mean_matrix(shape[2:], out, grid(shape[2:], out), lambda at, places: len(places))
    close(call("adaptive_avg_pool", x, out), through(matrix, x, dy.shape))
    close(call("adaptive_avg_pool_dx", dy, shape), through(matrix.T, dy, shape))
    x = ties(shape, np.float32)
    y, index = call("adaptive_max_pool", x, out)
    expected = largest(x, out, grid(shape[2:], out))
    assert index.dtype == np.int64
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(index, expected[1])
    close(call("max_pool_dx", dy, index, shape, ()), get("max_pool_dx").reference(np, dy, index, shape))


@pytest.mark.parametrize("planes", [1, 3, 4, 5, 13])
def test_a_thread_serves_several_planes(planes, monkeypatch):
    from minitorch_kernels.cuda import pooling

    monkeypatch.setattr(pooling, "BLOCKS", 1)
    monkeypatch.setattr(pooling, "THREADS", 16)
    pooling._grid.cache_clear()
    shape, options = (1, planes, 9, 8), ((3, 3), (2, 2), (1, 1), (1, 1), False)
    x, dy = ties(shape, np.float32), noise((1, planes, 5, 4), np.float32)
    y, index = call("max_pool", x, *options)
    expected = get("max_pool").reference(np, x, *options)
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(index, expected[1])
    close(call("max_pool_dx", dy, index, shape, options[:4]), get("max_pool_dx").reference(np, dy, index, shape))
    options = *options[:3], False, False, None
    close(call("avg_pool", x, *options), get("avg_pool").reference(np, x, *options))
    close(call("avg_pool_dx", dy, shape, *options), get("avg_pool_dx").reference(np, dy, shape, *options))
    pooling._grid.cache_clear()


@pytest.mark.parametrize("shape", [(1, 2, 1 << 30, 1), (1, 2, 1 << 10, 1 << 10, 1 << 10), (1 << 20, 1 << 10, 2)])
def test_grids_of_large_arrays(shape):
    from minitorch_kernels.cuda import pooling

    planes, grid, block = pooling._grid(shape)
    assert planes == shape[0] * shape[1] and np.prod(grid) * np.prod(block) >= np.prod(shape[2:])
    assert grid[0] < 1 << 31 and grid[1] < 1 << 16


@pytest.mark.parametrize("out", [(4, 4), (1, 1)])
def test_nan_and_infinity(out):
    """NaN wins, the last of several; a window of -inf alone has its first element."""
    x = ties((2, 3, 9, 11), np.float32)
    x[0, 0, 2, 3] = x[0, 0, 3, 2] = x[0, 1, 8, 10] = np.nan
    x[1] = -np.inf
    for found, expected in zip(call("adaptive_max_pool", x, out), get("adaptive_max_pool").reference(np, x, out)):
        np.testing.assert_array_equal(found, expected)
    options = (3, 3), (2, 2), (1, 1), (1, 1), False
    for found, expected in zip(call("max_pool", x, *options), get("max_pool").reference(np, x, *options)):
        np.testing.assert_array_equal(found, expected)


def test_a_window_of_padding_alone():
    """Dilation steps over a short line: -inf, and a position that takes no gradient."""
    x, options = np.ones((1, 1, 2), np.float32), ((2,), (1,), (1,), (3,), False)
    y, index = call("max_pool", x, *options)
    expected = get("max_pool").reference(np, x, *options)
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(index, expected[1])
    dx = get("max_pool_dx").reference(np, np.ones_like(y), index, x.shape)
    np.testing.assert_array_equal(call("max_pool_dx", np.ones_like(y), index, x.shape, options[:4]), dx)


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision(dtype):
    """Sums are taken in float32: 300 ones after 2048 would be lost in float16."""
    x = np.ones((1, 1, 47, 50), HALVES[dtype])
    for kernel, out in [((47, 50), 1), ((47, 25), 2)]:
        y = call("avg_pool", x, kernel, kernel, (0, 0), False, False, None)
        assert y.dtype == x.dtype and y.shape == (1, 1, 1, out) and (y.astype(np.float32) == 1).all()
    x = noise((2, 3, 6, 6)).astype(HALVES[dtype])
    wide = x.astype(np.float64)
    options = (2, 2), (2, 2), (0, 0), (1, 1), False
    y, index = call("max_pool", x, *options, True)
    np.testing.assert_array_equal(y.astype(np.float64), get("max_pool").reference(np, wide, *options)[0])
    dx = call("max_pool_dx", y, index, x.shape, options[:4])
    assert dx.dtype == x.dtype
    np.testing.assert_array_equal(dx.astype(np.float64), get("max_pool_dx").reference(
        np, y.astype(np.float64), index.astype(np.int64), x.shape))
    options = (3, 3), (2, 2), (1, 1), False, True, None
    y = call("avg_pool", x, *options)
    close(y, get("avg_pool").reference(np, wide, *options), 1e-2)
    close(call("avg_pool_dx", y, x.shape, *options), get("avg_pool_dx").reference(
        np, y.astype(np.float64), x.shape, *options), 1e-2)


def test_float64():
    x, options = noise((2, 2, 7, 6)), ((3, 2), (2, 2), (1, 1), (1, 1), True)
    y, index = call("max_pool", x, *options, True)
    np.testing.assert_array_equal(y, get("max_pool").reference(np, x, *options)[0])
    dx = call("max_pool_dx", y, index, x.shape, options[:4])
    close(dx, get("max_pool_dx").reference(np, y, index, x.shape), 1e-13)
    close(call("adaptive_avg_pool", x, (3, 4)), get("adaptive_avg_pool").reference(np, x, (3, 4)), 1e-13)


def test_any_memory_layout():
    import cupy

    x, options = noise((2, 3, 8, 8), np.float32), ((2, 2), (2, 2), (0, 0), (1, 1), False)
    y, index = call("max_pool", x, *options)
    apart = cupy.asarray(np.repeat(x, 2, axis=-1))[..., ::2]
    for found, expected in zip(call("max_pool", apart, *options), (y, index)):
        np.testing.assert_array_equal(found, expected)
    dx = call("max_pool_dx", y, index, x.shape, options[:4])
    turned = [cupy.asarray(a.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2) for a in (y, index)]
    np.testing.assert_array_equal(call("max_pool_dx", *turned, x.shape, options[:4]), dx)


@pytest.mark.parametrize("name", NAMES)
def test_as_torch(torch, name):
    shape, kernel, stride, padding, dilation, ceil_mode = GEOMETRIES[name]
    F, nd, x = torch.nn.functional, len(shape) - 2, noise(shape, np.float32)
    t = torch.from_numpy(x).requires_grad_()
    y, index = call("max_pool", x, kernel, stride, padding, dilation, ceil_mode)
    expected = getattr(F, f"max_pool{nd}d")(t, kernel, stride, padding, dilation, ceil_mode)
    dy = noise(y.shape, np.float32, seed=1)
    dx, = torch.autograd.grad(expected, t, torch.from_numpy(dy))
    np.testing.assert_array_equal(y, expected.detach().numpy())
    close(call("max_pool_dx", dy, index, shape, (kernel, stride, padding, dilation)), dx.numpy())


def test_what_is_left_to_the_reference():
    def why(name, *arguments):
        return next(v for v in get(name).versions if v.name == "cuda").refuses(*arguments)

    dy, index = np.ones((1, 1, 2), np.float32), np.zeros((1, 1, 2), np.int64)
    assert "known windows" in why("max_pool_dx", dy, index, (1, 1, 4))
    assert why("max_pool_dx", dy, index, (1, 1, 4), ()) is None
    assert "positions" in why("max_pool_dx", dy, index[..., :1], (1, 1, 4), ())
    assert "float" in why("adaptive_avg_pool", index, (1,))
    assert "spatial axes" in why("adaptive_avg_pool", dy[0], (1,))
    assert "no elements" in why("adaptive_avg_pool", dy[:0], (1,))
    assert "no elements" in why("adaptive_max_pool", dy, (0,))
