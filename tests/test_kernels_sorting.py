"""Orders by keys, and by NumPy's unstable sorts: all must be the stable order, nan last."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from minitorch_kernels import explain, kernels, parallel

k = kernels(np)
DTYPES = ["float16", "float32", "float64", "int8", "uint8", "int16", "int32", "uint32", "int64", "bool"]


def ordered(x, descending):
    """The stable order of a vector by Python's own sort, which compares pairs."""
    sign = -1 if descending else 1
    numbers = [float("inf") if v != v else v for v in x.tolist()]
    return sorted(range(len(x)), key=lambda i: (sign * int(x[i] != x[i]), sign * numbers[i]))


def noise(shape, dtype, seed=0):
    """Numbers with equal ones among them, and the ends of their type."""
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        x = rng.standard_normal(shape).round(1).astype(dtype)
        x.reshape(-1)[rng.integers(0, x.size, 40)] = np.resize([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0], 40)
        return x
    info = np.iinfo(dtype) if dtype != "bool" else np.iinfo("uint8")
    x = rng.integers(-20 if info.min else 0, 20, shape).astype(dtype)
    x.reshape(-1)[:2] = info.min, info.max
    return x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("descending", [False, True])
def test_stable_order_along_an_axis(dtype, axis, descending):
    x = noise((7, 40, 9), dtype)
    for a in (x, x[::-1, :, 1:], x.transpose(2, 0, 1)):
        found = k.argsort(a, axis, descending)
        assert found.dtype == np.int64 and found.shape == a.shape
        for lines, orders in zip(np.moveaxis(a, axis, -1).reshape(-1, a.shape[axis]),
                                 np.moveaxis(found, axis, -1).reshape(-1, a.shape[axis])):
            assert orders.tolist() == ordered(lines, descending)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 3, 150, 300])
@pytest.mark.parametrize("largest", [False, True])
def test_the_top_are_the_first_of_the_order(dtype, count, largest):
    x = noise((5, 300), dtype, 1)
    for a, axis in ((x, 1), (x.T, 0)):
        found = k.top(a, count, axis, largest)
        for i, line in enumerate(x):
            assert (found[i] if axis else found[:, i]).tolist() == ordered(line, largest)[:count]


@given(st.lists(st.floats(width=32), min_size=1, max_size=60), st.booleans())
def test_any_floats(numbers, descending):
    x = np.resize(np.array(numbers, np.float32), (20, 60))
    assert k.argsort(x, 1, descending)[0].tolist() == ordered(x[0], descending)


def test_the_same_for_any_number_of_threads():
    x, before, found = noise((200, 900), "float32"), parallel.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            found.append(k.argsort(x, 1))
    finally:
        parallel.set_num_threads(before)
    assert all((y == found[0]).all() for y in found)


@pytest.mark.parametrize("x, runs", [(np.zeros((40, 40), np.float32), "keys"), (np.zeros((40, 40)), "checked"),
                                     (np.zeros((40, 40), np.int64), "reference"),
                                     (np.zeros(9, np.float32), "reference")])
def test_which_version_sorts(x, runs):
    line = next(s for s in explain("argsort", x, 0).splitlines() if s.startswith(runs))
    assert line.split()[1].startswith("runs")
