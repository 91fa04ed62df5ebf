"""Compiled elementwise kernels against NumPy and SciPy: accuracy over all exponents, layouts, dtypes, threads."""
from __future__ import annotations

import numpy as np
import pytest
from minitorch_kernels import kernels, parallel
from minitorch_kernels.elementwise import POOLED

pytest.importorskip("numba")
from minitorch_kernels.cpu import elementwise as fast

k = kernels(np)
ROWS, WIDTH = 300, 250  # POOLED elements and more
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, 88.72, 88.73,
           -87.33, -87.34, -103.9, -104.0, -19.99, -20.01, 17.0, 0.6, -0.6, 10.06, 9.2, 4.0]


def every_exponent():
    """Numbers of all exponents and both signs, and the special ones."""
    patterns = np.arange(0, 1 << 32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    return np.concatenate([patterns, np.asarray(SPECIAL, np.float32)])


def exact(name, x):
    special = pytest.importorskip("scipy.special") if name.startswith("erf") else np
    with np.errstate(all="ignore"):
        return getattr(special, name)(x.astype(np.float64))


@pytest.mark.parametrize("name", sorted(fast.ACCURACY))
def test_accuracy(name):
    """Within so many units in the last place; infinite and NaN where the function, rounded to float32, is."""
    x = every_exponent()
    y, expected = fast.unary(name, x), exact(name, x)
    with np.errstate(over="ignore"):
        rounded = expected.astype(np.float32)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(y[~finite], rounded[~finite])
    apart = np.abs(y[finite] - expected[finite]) / np.spacing(np.abs(rounded[finite])).astype(np.float64)
    worst = apart.argmax()
    assert apart[worst] <= fast.ACCURACY[name], f"{name}({x[finite][worst]!r}): {apart[worst]:.2f} ULP"


@pytest.mark.parametrize("name", ["tanh", "erf", "expm1", "log1p"])
def test_zeros_keep_their_sign(name):
    np.testing.assert_array_equal(np.signbit(fast.unary(name, np.float32([0.0, -0.0]))), [False, True])


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh", "erf", "erfc"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_large_arrays(name, dtype):
    x = np.abs(noise((ROWS, WIDTH), dtype)) + dtype(0.1)
    for a in (x, x.T, x[:, ::-1]):
        y = getattr(k, name)(a)
        assert y.dtype == dtype and y.shape == a.shape
        np.testing.assert_allclose(y, exact(name, a), rtol=1e-6 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("name, ufunc", [("add", np.add), ("sub", np.subtract), ("mul", np.multiply),
                                         ("div", np.divide), ("maximum", np.maximum), ("minimum", np.minimum)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_operands(name, ufunc, dtype):
    """Whatever shares the shape or repeats along it, contiguous or not: the bits that NumPy gives."""
    x, y, cube = noise((ROWS, WIDTH), dtype), noise((ROWS, WIDTH), dtype, 1), noise((50, 30, 50), dtype, 2)
    frozen = y.copy()
    frozen.flags.writeable = False
    pairs = [(x, y), (x, x), (x, y[0]), (y[0], x), (x, y[:1]), (x, y[:, :1]), (x, 1.5), (1.5, x), (3, x), (x, True),
             (x, y[0, 0]), (x, y[:1, :1]), (x.T, y.T), (x[:, ::-1], y), (x, frozen), (cube, cube[0]),
             (cube, cube[0, 0]), (cube, cube[:, 0, 0].reshape(50, 1, 1)), (cube[0, 0], cube),
             (y[:, :1].copy(), x), (x, y[:, :1].copy()), (cube, cube[0, :, :1].copy()), (cube[:1, :, :1].copy(), cube),
             (cube, cube[:, :, :1].copy()), (cube, frozen[:30, :1]), (cube, cube[:1].copy()),
             (y[0, :7], noise((POOLED, 7), dtype)),
             (x, np.float64(2)), (x, y.astype(np.float32)), (x, np.arange(WIDTH))]
    for a, b in pairs:
        with np.errstate(divide="ignore"):
            expected, found = ufunc(a, b), getattr(k, name)(a, b)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected, f"{np.shape(a)} {name} {np.shape(b)}")


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_the_larger_of_nan_and_a_number_is_nan(name):
    x, y = noise((ROWS, WIDTH), np.float32), noise((ROWS, WIDTH), np.float32, 1)
    x[0, :3], y[0, 1:5] = np.nan, [np.nan, 1, np.nan, np.inf]
    for a, b in ((x, y), (y, x), (x, 0.5), (0.5, x)):
        np.testing.assert_array_equal(getattr(k, name)(a, b), getattr(np, name)(a, b))


def test_results_are_no_ones_memory():
    x = noise((ROWS, WIDTH), np.float32)
    assert not np.may_share_memory(k.add(x, 0.0), x) and not np.may_share_memory(k.relu(x), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_activations(dtype):
    x, dy = noise((ROWS, WIDTH), dtype), noise((ROWS, WIDTH), dtype, 1)
    x[0, :3] = np.nan, np.inf, -np.inf
    np.testing.assert_array_equal(k.relu(x), np.maximum(x, 0))
    np.testing.assert_array_equal(k.relu(x.T), np.maximum(x.T, 0))
    for name, expected in (("sigmoid_dx", dy * (x * (1 - x))), ("tanh_dx", dy * (1 - x * x))):
        for a, b in ((dy, x), (dy.T, x.T)):
            found = getattr(k, name)(a, b)
            np.testing.assert_allclose(found, expected if a is dy else expected.T, rtol=1e-5)


@pytest.mark.parametrize("name", ["exp", "tanh", "erfc", "relu", "sigmoid"])
def test_same_bits_for_any_number_of_threads(name):
    x = noise((ROWS, 4 * WIDTH + 3), np.float32)
    before = parallel.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            results.append((getattr(k, name)(x), k.div(x, x[0]), k.add(x, 1.0)))
    finally:
        parallel.set_num_threads(before)
    for found in results[1:]:
        for a, b in zip(found, results[0]):
            np.testing.assert_array_equal(a, b)


def noise(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)
