"""The pooling kernels against the definition in loops and PyTorch: versions, geometries, gradients, dtypes."""
from __future__ import annotations

import doctest
from itertools import product

import numpy as np
import pytest
from minitorch_kernels import explain, kernels, parallel, pooling, table, use
from minitorch_kernels.pooling import cells, pool_shape, window_counts

k = kernels(np)
GEOMETRIES = {  # x, kernel, stride, padding, dilation, ceil_mode
    "two by two": ((2, 3, 8, 6), (2, 2), (2, 2), (0, 0), (1, 1), False),
    "two by two, odd": ((2, 3, 7, 9), (2, 2), (2, 2), (0, 0), (1, 1), False),
    "two by two, odd, ceil": ((2, 3, 7, 9), (2, 2), (2, 2), (0, 0), (1, 1), True),
    "overlapping": ((2, 2, 9, 8), (3, 3), (2, 2), (1, 1), (1, 1), False),
    "dense": ((3, 2, 7, 7), (3, 3), (1, 1), (1, 1), (1, 1), False),
    "oblong": ((1, 3, 11, 8), (4, 3), (3, 2), (2, 1), (1, 1), True),
    "dilated": ((2, 2, 11, 12), (3, 2), (2, 3), (1, 0), (2, 3), False),
    "dilated, ceil": ((2, 1, 10, 12), (2, 3), (3, 2), (1, 1), (3, 2), True),
    "stride beyond window": ((2, 2, 11, 13), (2, 2), (5, 4), (0, 1), (1, 1), False),
    "leftover": ((2, 2, 9, 11), (2, 3), (4, 5), (0, 0), (1, 1), False),
    "window is the plane": ((2, 3, 5, 7), (5, 7), (5, 7), (0, 0), (1, 1), False),
    "one element": ((2, 3, 1, 1), (1, 1), (1, 1), (0, 0), (1, 1), False),
    "one element, padded": ((1, 1, 1, 1), (3, 2), (1, 1), (1, 1), (1, 1), False),
    "thinning": ((1, 2, 6, 7), (1, 1), (2, 3), (0, 0), (1, 1), False),
    "many planes": ((30, 7, 6, 5), (3, 3), (2, 2), (1, 1), (1, 1), False),
    "plane beyond a block": ((1, 2, 60, 50), (3, 3), (2, 2), (1, 1), (1, 1), False),
    "empty batch": ((0, 3, 6, 6), (3, 3), (2, 2), (1, 1), (1, 1), False),
    "no channels": ((2, 0, 6, 6), (2, 2), (2, 2), (0, 0), (1, 1), False),
    "line": ((2, 3, 17), (4,), (3,), (2,), (2,), True),
    "line, window is the line": ((2, 3, 9), (9,), (9,), (0,), (1,), False),
    "cube": ((2, 1, 5, 4, 6), (2, 3, 2), (2, 1, 2), (1, 1, 0), (1, 1, 2), True),
}
UNDILATED = [name for name, g in GEOMETRIES.items() if set(g[4]) == {1}]
DIVISORS = {"valid": (False, None), "padded": (True, None), "override": (True, 3)}
GRIDS = [((2, 3, 7, 9), (3, 4)), ((2, 3, 7, 9), (1, 1)), ((1, 2, 6, 8), (3, 4)), ((2, 2, 5, 4), (7, 4)),
         ((2, 2, 1, 5), (3, 2)), ((0, 2, 5, 4), (2, 3)), ((2, 2, 5, 4), (0, 2)), ((2, 3, 10), (4,)),
         ((2, 3, 10), (5,)), ((1, 2, 5, 4, 3), (2, 3, 2))]
DTYPES = [np.float32, np.float64]


@pytest.fixture(params=["numba", "reference"])
def version(request):
    with use(request.param):
        yield request.param


def ties(shape, dtype=np.float64, seed=0):
    """Few different values, so that most windows have several largest elements."""
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(dtype)


def noise(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def windows(size, out, kernel, stride, padding, dilation):
    """(output position, the flat positions in the plane that its window covers), by the definition."""
    for at in np.ndindex(*out):
        lines = [[p for t in range(w) if 0 <= (p := i * s - pad + t * d) < n]
                 for i, n, w, s, pad, d in zip(at, size, kernel, stride, padding, dilation)]
        yield at, [int(np.ravel_multi_index(p, size)) for p in product(*lines)]


def grid(size, out):
    for at in np.ndindex(*out):
        lines = [range(int(np.floor(i * n / o)), int(np.ceil((i + 1) * n / o)))
                 for i, n, o in zip(at, size, out)]
        yield at, [int(np.ravel_multi_index(p, size)) for p in product(*lines)]


def largest(x, out, covered):
    """Values and positions of the first largest element of each window."""
    flat = x.reshape(*x.shape[:2], int(np.prod(x.shape[2:])))
    y, index = np.empty((*x.shape[:2], *out), x.dtype), np.empty((*x.shape[:2], *out), np.int64)
    for at, places in covered:
        y[(..., *at)] = flat[..., places].max(axis=-1)
        index[(..., *at)] = np.array(places)[flat[..., places].argmax(axis=-1)]
    return y, index


def mean_matrix(size, out, covered, divisor):
    """The matrix, windows by elements of a plane, that takes the means."""
    a = np.zeros((*out, int(np.prod(size))))
    for at, places in covered:
        a[(*at, places)] = 1 / divisor(at, places)
    return a.reshape(int(np.prod(out)), a.shape[-1])


def through(matrix, x, shape):
    return (x.reshape(*x.shape[:2], matrix.shape[1]) @ matrix.T).reshape(shape)


def close(found, expected, dtype):
    assert found.dtype == dtype and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, **({"rtol": 1e-5, "atol": 2e-6} if dtype == np.float32
                                                   else {"rtol": 1e-12, "atol": 1e-13}))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_max_pool_is_its_definition(version, name, dtype):
    shape, *options = GEOMETRIES[name]
    x = ties(shape, dtype)
    y, index = k.max_pool(x, *options)
    out = pool_shape(shape[2:], *options)
    expected = largest(x, out, windows(shape[2:], out, *options[:-1]))
    assert y.dtype == dtype and index.dtype == np.int64
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(index, expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_max_pool_gradient_adds_up(version, name, dtype):
    shape, *options = GEOMETRIES[name]
    index = k.max_pool(ties(shape, dtype), *options)[1]
    dy, expected = noise(index.shape, dtype), np.zeros((*shape[:2], int(np.prod(shape[2:]))))
    for (n, c, *at), value in np.ndenumerate(dy):
        expected[n, c, index[(n, c, *at)]] += value
    close(k.max_pool_dx(dy, index, shape), expected.reshape(shape), dtype)


def test_unpick_is_the_adjoint():
    x = noise((2, 3, 7, 8))
    index = k.max_pool(noise(x.shape, seed=1), (3, 3), (2, 2), (1, 1), (1, 1), False)[1]
    dy = noise(index.shape, seed=2)
    assert np.vdot(k.max_unpick(x, index), dy) == pytest.approx(np.vdot(x, k.max_pool_dx(dy, index, x.shape)))


@pytest.mark.parametrize("divisor", DIVISORS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNDILATED)
def test_avg_pool_and_gradient_are_their_definition(version, name, dtype, divisor):
    shape, kernel, stride, padding, dilation, ceil_mode = GEOMETRIES[name]
    size, out = shape[2:], pool_shape(shape[2:], kernel, stride, padding, dilation, ceil_mode)
    include_pad, override = DIVISORS[divisor]

    def count(at, places):
        if override:
            return override
        if not include_pad:
            return len(places)
        return np.prod([min(i * s - p + w, n + p) - (i * s - p)
                        for i, n, w, s, p in zip(at, size, kernel, stride, padding)])

    matrix = mean_matrix(size, out, windows(size, out, kernel, stride, padding, dilation), count)
    x, dy = noise(shape, dtype), noise((*shape[:2], *out), dtype, seed=1)
    options = kernel, stride, padding, ceil_mode, include_pad, override
    close(k.avg_pool(x, *options), through(matrix, x, dy.shape), dtype)
    close(k.avg_pool_dx(dy, shape, *options), through(matrix.T, dy, shape), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, out", GRIDS)
def test_adaptive_pools_are_their_definition(version, shape, out, dtype):
    x, dy = noise(shape, dtype), noise((*shape[:2], *out), dtype, seed=1)
    matrix = mean_matrix(shape[2:], out, grid(shape[2:], out), lambda at, places: len(places))
    close(k.adaptive_avg_pool(x, out), through(matrix, x, dy.shape), dtype)
    close(k.adaptive_avg_pool_dx(dy, shape), through(matrix.T, dy, shape), dtype)
    x = ties(shape, dtype)
    for found, expected in zip(k.adaptive_max_pool(x, out), largest(x, out, grid(shape[2:], out))):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7])
def test_every_line_as_torch(torch, version, n):
    """All small settings, ceil_mode's last window among them."""
    F = torch.nn.functional
    x = ties((1, 2, n))
    settings = product((1, 2, 3), (1, 2, 3), (0, 1), (1, 2), (False, True))
    for kernel, stride, padding, dilation, ceil_mode in settings:
        reach = (kernel - 1) * dilation + 1
        if padding > kernel // 2 or reach > n + 2 * padding or (n == 1 and dilation > 1):
            continue
        y, index = F.max_pool1d(torch.from_numpy(x), kernel, stride, padding, dilation, ceil_mode, True)
        found = k.max_pool(x, (kernel,), (stride,), (padding,), (dilation,), ceil_mode)
        np.testing.assert_array_equal(found[0], y.numpy())
        np.testing.assert_array_equal(found[1], index.numpy())
        for include_pad in (False, True) if dilation == 1 else ():
            y = F.avg_pool1d(torch.from_numpy(x), kernel, stride, padding, ceil_mode, include_pad)
            found = k.avg_pool(x, (kernel,), (stride,), (padding,), ceil_mode, include_pad, None)
            np.testing.assert_allclose(found, y.numpy(), rtol=1e-14)


@pytest.mark.parametrize("name", [n for n in GEOMETRIES if n != "no channels"])
def test_gradients_as_torch(torch, version, name):
    shape, kernel, stride, padding, dilation, ceil_mode = GEOMETRIES[name]
    F, nd, x = torch.nn.functional, len(shape) - 2, noise(shape)
    t = torch.from_numpy(x).requires_grad_()
    y, index = k.max_pool(x, kernel, stride, padding, dilation, ceil_mode)
    if 0 not in shape:  # torch has no empty max_pool1d
        expected = getattr(F, f"max_pool{nd}d")(t, kernel, stride, padding, dilation, ceil_mode)
        dy = noise(y.shape, seed=1)
        dx, = torch.autograd.grad(expected, t, torch.from_numpy(dy))
        np.testing.assert_array_equal(y, expected.detach().numpy())
        np.testing.assert_allclose(k.max_pool_dx(dy, index, shape), dx.numpy(), rtol=1e-12, atol=1e-13)
    if name not in UNDILATED:
        return
    options = (ceil_mode, True) if nd == 1 else (ceil_mode, True, 5)
    expected = getattr(F, f"avg_pool{nd}d")(t, kernel, stride, padding, *options)
    dy = noise(expected.shape, seed=1)
    options = kernel, stride, padding, ceil_mode, True, None if nd == 1 else 5
    dx, = torch.autograd.grad(expected, t, torch.from_numpy(dy))
    np.testing.assert_allclose(k.avg_pool(x, *options), expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(k.avg_pool_dx(dy, shape, *options), dx.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape, out", [g for g in GRIDS if 0 not in g[0] and 0 not in g[1]])
def test_adaptive_as_torch(torch, version, shape, out):
    F, nd, x, dy = torch.nn.functional, len(out), noise(shape), noise((*shape[:2], *out), seed=1)
    t = torch.from_numpy(x).requires_grad_()
    expected = getattr(F, f"adaptive_avg_pool{nd}d")(t, out)
    dx, = torch.autograd.grad(expected, t, torch.from_numpy(dy))
    np.testing.assert_allclose(k.adaptive_avg_pool(x, out), expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(k.adaptive_avg_pool_dx(dy, shape), dx.numpy(), rtol=1e-12, atol=1e-13)
    expected = getattr(F, f"adaptive_max_pool{nd}d")(t, out, True)
    for found, e in zip(k.adaptive_max_pool(x, out), expected):
        np.testing.assert_array_equal(found, e.detach().numpy())


@pytest.mark.parametrize("kernel, stride, padding", [(2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 3, 2)])
def test_nan_and_infinity_as_torch(torch, version, kernel, stride, padding):
    """The last NaN of a window wins, the first -inf does, and padding never does."""
    rng, nan, inf = np.random.default_rng(0), np.nan, np.inf
    x = rng.choice([nan, inf, -inf, -inf, -inf, -inf, 1.0], (4, 5, 8, 12))
    two = tuple((a, a) for a in (kernel, stride, padding, 1))
    expected = torch.nn.functional.max_pool2d(torch.from_numpy(x), *[a[0] for a in two], return_indices=True)
    adaptive = torch.nn.functional.adaptive_max_pool2d(torch.from_numpy(x), (3, 5), return_indices=True)
    with np.errstate(invalid="ignore"):
        found = *k.max_pool(x, *two, False), *k.adaptive_max_pool(x, (3, 5))
    for f, e in zip(found, (*expected, *adaptive)):
        np.testing.assert_array_equal(f, e.numpy())


def test_avg_pool_keeps_nan_and_infinity_in_their_windows(version):
    x = np.zeros((1, 1, 4, 6))
    x[0, 0, 0, 1], x[0, 0, 3, 4] = np.nan, np.inf
    y = k.avg_pool(x, (2, 2), (2, 2), (0, 0), False, True, None)
    np.testing.assert_array_equal(y, [[[[np.nan, 0, 0], [0, 0, np.inf]]]])
    dx = k.avg_pool_dx(y, x.shape, (2, 2), (2, 2), (0, 0), False, True, None)
    np.testing.assert_array_equal(dx, np.kron(y, np.ones((1, 1, 2, 2))))
    np.testing.assert_array_equal(k.adaptive_avg_pool(x, (2, 3)), y)
    np.testing.assert_array_equal(k.adaptive_avg_pool(x, (1, 4))[..., 1:3], [[[[np.nan, np.inf]]]])


def test_window_of_padding_alone(version):
    """Dilation can step over the whole input: nothing is found there, and no gradient goes anywhere."""
    x = np.full((1, 1, 1, 4), 5.0, np.float32)
    y, index = k.max_pool(x, (2, 2), (1, 1), (1, 0), (2, 1), False)
    np.testing.assert_array_equal(y, np.full((1, 1, 1, 3), -np.inf))
    np.testing.assert_array_equal(index < 0, True)
    np.testing.assert_array_equal(k.max_pool_dx(np.ones_like(y), index, x.shape), 0 * x)


@pytest.mark.parametrize("name", ["two by two", "overlapping", "window is the plane", "line"])
def test_any_memory_layout(version, name):
    shape, kernel, stride, padding, dilation, ceil_mode = GEOMETRIES[name]
    wide = noise((*shape[:-1], 2 * shape[-1]), np.float32)
    x = wide[..., ::2]
    y, index = k.max_pool(x, kernel, stride, padding, dilation, ceil_mode)
    copied = k.max_pool(x.copy(), kernel, stride, padding, dilation, ceil_mode)
    np.testing.assert_array_equal(y, copied[0])
    np.testing.assert_array_equal(index, copied[1])
    dy = noise(y.shape[::-1], np.float32).T
    dx = k.max_pool_dx(dy.copy(), index, shape)
    np.testing.assert_array_equal(k.max_pool_dx(dy, np.asfortranarray(index), shape), dx)
    if set(dilation) == {1}:
        options = kernel, stride, padding, ceil_mode, True, None
        np.testing.assert_array_equal(k.avg_pool(x, *options), k.avg_pool(x.copy(), *options))
        dx = k.avg_pool_dx(dy.copy(), shape, *options)
        np.testing.assert_array_equal(k.avg_pool_dx(dy, shape, *options), dx)


def test_same_bits_for_any_number_of_threads():
    x, before, found = noise((16, 9, 48, 48), np.float32), parallel.get_num_threads(), []
    try:
        for threads in (1, 2):
            parallel.set_num_threads(threads)
            y, index = k.max_pool(x, (3, 3), (2, 2), (1, 1), (1, 1), False)
            window = (3, 3), (1, 1), (1, 1), False, True, None
            found.append((y, index, k.max_pool(x, (2, 2), (2, 2), (0, 0), (1, 1), False)[0],
                          k.max_pool_dx(y, index, x.shape), k.adaptive_max_pool(x, (7, 7))[1],
                          k.avg_pool(x, *window), k.avg_pool_dx(x, x.shape, *window),
                          k.adaptive_avg_pool(x, (7, 7)), k.adaptive_avg_pool(x, (1, 1)),
                          k.adaptive_avg_pool_dx(y[..., :7, :7], x.shape)))
    finally:
        parallel.set_num_threads(before)
    for one, two in zip(*found):
        np.testing.assert_array_equal(one, two)


def test_half_precision_adds_in_single():
    x = np.full((1, 1, 64, 64), 0.1, np.float16)
    assert k.avg_pool(x, (64, 64), (1, 1), (0, 0), False, True, None) == x[0, 0, 0, 0]
    assert k.adaptive_avg_pool(x, (1, 1)) == x[0, 0, 0, 0]
    dx = k.avg_pool_dx(x[..., :1, :1], x.shape, (64, 64), (1, 1), (0, 0), False, True, None)
    assert dx.dtype == np.float16


def test_integers_as_torch(torch):
    x = np.random.default_rng(0).integers(-9, -1, (2, 3, 7, 8))
    y, index = torch.nn.functional.max_pool2d(torch.from_numpy(x), 3, 2, 1, return_indices=True)
    found = k.max_pool(x, (3, 3), (2, 2), (1, 1), (1, 1), False)
    np.testing.assert_array_equal(found[0], y.numpy())
    np.testing.assert_array_equal(found[1], index.numpy())


def test_position_outside_the_plane():
    with use("numba"), pytest.raises(IndexError, match=r"max_pool_dx: index .* \(2, 2\) of x"):
        k.max_pool_dx(np.ones((1, 1, 1, 1)), np.full((1, 1, 1, 1), 4), (1, 1, 2, 2))


@pytest.mark.parametrize("size", range(1, 9))
def test_pool_shape_counts_the_windows(size):
    for kernel, stride, padding, dilation in product((1, 2, 3), (1, 2, 3), (0, 1), (1, 2)):
        reach, padded = (kernel - 1) * dilation + 1, size + 2 * padding
        fit = [i for i in range(padded) if i * stride + reach <= padded]
        if fit and padding <= reach // 2:
            beyond = fit[-1] * stride + reach < padded and (fit[-1] + 1) * stride < size + padding
            window = (kernel,), (stride,), (padding,), (dilation,)
            assert pool_shape((size,), *window, False) == (len(fit),)
            assert pool_shape((size,), *window, True) == (len(fit) + beyond,)


def test_cells_and_counts():
    assert cells(7, 3) == [(0, 3), (2, 5), (4, 7)]
    assert cells(2, 3) == [(0, 1), (0, 2), (1, 2)]
    assert window_counts(3, 3, 2, 2, 1, True) == [2, 2, 1]


@pytest.mark.parametrize("name", ["two by two", "overlapping", "dilated, ceil", "line", "cube", "plane beyond a block"])
def test_narrow_positions(version, name):
    """Positions in int16 are the same ones, and lead the gradient to the same places."""
    shape, *window = GEOMETRIES[name]
    x = ties(shape)
    y, index = k.max_pool(x, *window)
    same, narrow = k.max_pool(x, *window, True)
    assert index.dtype == np.int64 and narrow.dtype == np.int16
    np.testing.assert_array_equal(narrow, index)
    np.testing.assert_array_equal(same, y)
    dy = noise(y.shape)
    np.testing.assert_array_equal(k.max_pool_dx(dy, narrow, shape), k.max_pool_dx(dy, index, shape))


def test_positions_too_large_to_be_narrow(version):
    x = noise((1, 1, 2, 1 << 14))
    assert k.max_pool(x, (2, 2), (2, 2), (0, 0), (1, 1), False, True)[1].dtype == np.int16
    x = noise((1, 1, 2, (1 << 14) + 2))
    index = k.max_pool(x, (2, 2), (2, 2), (0, 0), (1, 1), False, True)[1]
    assert index.dtype == np.int64 and index.max() > 1 << 15


def test_which_version_runs():
    window, x = ((2, 2), (2, 2), (0, 0), (1, 1), False), noise((1, 1, 4, 4), np.float32)
    index = np.zeros((1, 1, 2, 2), np.int64)
    assert "numba       runs" in explain("max_pool", x, *window)
    assert "numba       runs" in explain("max_pool_dx", x[..., :2, :2], index, x.shape)
    assert "numba       runs" in explain("adaptive_avg_pool", x[0], (2,))
    assert "refuses: float32 and float64 only" in explain("max_pool", x.astype(np.float16), *window)
    assert "refuses: 1 or 2 spatial axes only" in explain("adaptive_max_pool", x[None], (2, 2, 2))
    narrow = index.astype(np.int32)
    assert "refuses: int64 or int16 positions" in explain("max_pool_dx", x[..., :2, :2], narrow, x.shape)


@pytest.mark.parametrize("name", [name for name in table.names()
                                  if table.get(name).reference.__module__ == pooling.__name__])
def test_examples(name):
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(table.get(name).reference, name, globs=dict(vars(pooling))):
        assert example.examples and runner.run(example).failed == 0
