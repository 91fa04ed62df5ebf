"""Products with few rows or columns: any edges, layouts, epilogues and batches, against float64."""
import numpy as np
import pytest
from minitorch_kernels import parallel

pytest.importorskip("numba")
from minitorch_kernels.cpu import dense, planning, slim


def laid_out(x, turned):
    """The same matrices with rows or columns side by side, and memory between them that is not theirs."""
    room = np.full((*x.shape[:-2], *(x.shape[:-3:-1] if turned else x.shape[-2:])), np.nan, x.dtype)
    room = np.concatenate([room, room], -1)[..., :(x.shape[-2] if turned else x.shape[-1]) + 3]
    view = np.swapaxes(room, -1, -2)[..., :x.shape[-1]] if turned else room[..., :x.shape[-1]]
    view = view[..., :x.shape[-2], :]
    view[...] = x
    return view


def check(a, b, bias=None, relu=False):
    y = np.full((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), np.nan, a.dtype)
    dense.multiply(a, b, y, bias, relu)
    want = a.astype(np.float64) @ b.astype(np.float64) + (0 if bias is None else bias)
    scale = np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64)) + 1
    assert (np.abs(y - (np.maximum(want, 0) if relu else want)) <= scale * a.shape[-1] ** 0.5 * np.finfo(a.dtype).eps
            ).all()
    plan = planning.plan_for(a.shape, a.strides, b.shape, b.strides, y.shape, y.dtype.char, parallel.get_num_threads())
    return plan.slim and plan.slim[0].__name__


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 7, 16])
@pytest.mark.parametrize("columns, depth", [(1, 70), (17, 1), (48, 16), (49, 33), (200, 257), (1030, 40)])
@pytest.mark.parametrize("turned", [False, True])
def test_dots(dtype, rows, columns, depth, turned):
    """Both operands along k; the few are rows of the product, or its columns."""
    rng = np.random.default_rng(rows)
    few, many = (laid_out(rng.standard_normal((n, depth)).astype(dtype), False) for n in (rows, columns))
    a, b = (many, few.T) if turned else (few, many.T)
    bias = rng.standard_normal(b.shape[-1]).astype(dtype)
    assert [check(a, b), check(a, b, bias), check(a, b, bias, relu=True)] == ["dots"] * 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("columns, depth", [(3, 5), (17, 70), (600, 33), (2061, 9)])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("along", [False, True])
def test_lines(dtype, rows, columns, depth, turned, along):
    """The many operand's rows lie side by side; the few may lie either way."""
    rng = np.random.default_rng(columns)
    few = laid_out(rng.standard_normal((rows, depth)).astype(dtype), along)
    many = laid_out(rng.standard_normal((depth, columns)).astype(dtype), False)
    a, b = (many.T, few.T) if turned else (few, many)
    bias = rng.standard_normal(b.shape[-1]).astype(dtype)
    assert [check(a, b), check(a, b, bias), check(a, b, bias, relu=True)] == ["lines"] * 3


@pytest.mark.parametrize("lead_a, lead_b", [((3, 2), (3, 2)), ((1, 2), (3, 1)), ((), (4,)), ((4,), (1,))])
@pytest.mark.parametrize("turned", [False, True])
def test_batches(lead_a, lead_b, turned):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((*lead_a, 1, 70)).astype(np.float32)
    b = laid_out(rng.standard_normal((*lead_b, 70, 90)).astype(np.float32), turned)
    assert check(a, b) == ("dots" if turned else "lines")


@pytest.mark.parametrize("turned", [False, True])
def test_nothing_to_add_up(turned):
    for shape in ((1, 30), (30, 1)):
        a, b = np.empty((shape[0], 0), np.float32), laid_out(np.empty((0, shape[1]), np.float32), turned)
        check(a, b, np.arange(shape[1], dtype=np.float32))


def test_nan_and_infinity_reach_only_their_row():
    a, b = np.ones((3, 500), np.float32), np.ones((100, 500), np.float32)
    a[1, 3], b[7, 499] = np.inf, np.nan
    y = np.empty((3, 100), np.float32)
    dense.multiply(a, b.T, y, relu=True)
    want = np.full((3, 100), 500, np.float32)
    want[1], want[:, 7] = np.inf, np.nan
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("a, b", [((5, 900), (900, 700)), ((1, 900), (900, 700))])
@pytest.mark.parametrize("turned", [False, True])
def test_the_same_bits_for_any_number_of_threads(a, b, turned):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal(a).astype(np.float32), laid_out(rng.standard_normal(b).astype(np.float32), turned)
    found, before = [], parallel.get_num_threads()
    try:
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            found.append(dense.matmul(a, b))
    finally:
        parallel.set_num_threads(before)
    assert all((y == found[0]).all() for y in found)


def test_columns_that_would_meet_in_a_cache_set():
    """Those that begin whole pages apart are left to dots for more rows."""
    rng = np.random.default_rng(2)
    for depth, runs in ((1024, "dots"), (1000, None)):
        a, b = (rng.standard_normal((n, depth)).astype(np.float32) for n in (40, 90))
        assert check(a, b.T) == runs
    assert slim.MOST < 40 <= slim.MEET
