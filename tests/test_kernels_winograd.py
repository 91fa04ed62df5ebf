"""Winograd's convolution and its gradients against the reference: shapes, blocks, threads, error bounds."""
import os
import subprocess
import sys

import numpy as np
import pytest
from minitorch_kernels import kernels, memory, parallel, use

pytest.importorskip("numba")
from minitorch_kernels.cpu import conv, winograd, winograd_dw

k = kernels(np)
GEOMETRIES = {  # x, outputs, padding
    "plain": ((2, 3, 9, 7), 4, (0, 0)),
    "padded": ((2, 3, 9, 7), 4, (1, 1)),
    "whole tiles": ((3, 16, 8, 12), 16, (1, 1)),
    "odd, cut at both edges": ((2, 5, 11, 13), 7, (1, 1)),
    "one output": ((2, 3, 3, 3), 4, (0, 0)),
    "one place": ((2, 3, 1, 1), 4, (1, 1)),
    "one row": ((2, 4, 1, 21), 5, (1, 0)),
    "one column": ((2, 4, 21, 1), 5, (0, 1)),
    "padding beyond the window": ((2, 3, 2, 5), 4, (3, 3)),
    "uneven padding": ((2, 3, 6, 5), 4, (3, 0)),
    "channels beyond a vector": ((2, 17, 6, 6), 33, (1, 1)),
    "strips of each width": ((1, 3, 5, 5), 150, (1, 1)),
    "many channels": ((1, 130, 5, 6), 20, (2, 1)),
    "many images": ((19, 2, 5, 5), 3, (1, 1)),
    "one large image": ((1, 8, 33, 40), 10, (1, 1)),
    "in parts": ((9, 16, 17, 18), 40, (1, 1)),
    "one image, one channel": ((1, 1, 4, 4), 1, (1, 1)),
    "no image": ((0, 3, 6, 6), 4, (1, 1)),
    "no channels": ((2, 0, 6, 6), 4, (1, 1)),
    "no outputs": ((2, 3, 6, 6), 0, (1, 1)),
    "nothing to see": ((2, 3, 2, 5), 4, (0, 0)),
}
OPTIONS = {"stride": (1, 1), "dilation": (1, 1), "groups": 1}


def problem(name, dtype=np.float64):
    """x, w, b, dy and the padding of a geometry."""
    x_shape, outputs, padding = GEOMETRIES[name]
    rng = np.random.default_rng(0)
    out = [n + 2 * p - 2 for n, p in zip(x_shape[2:], padding)]
    shapes = x_shape, (outputs, x_shape[1], 3, 3), (outputs,), (x_shape[0], outputs, *out)
    return *(rng.standard_normal(s).astype(dtype) for s in shapes), padding


def expected(x, w, b, dy, padding):
    """y, dx and dw of the reference in float64."""
    x, w, b, dy = (a.astype(np.float64) for a in (x, w, b, dy))
    with use("reference"):
        return (k.conv2d(x, w, b, padding=padding, **OPTIONS),
                k.conv2d_dx(dy, w, x.shape, padding=padding, **OPTIONS),
                k.conv2d_dw(dy, x, w.shape, padding=padding, **OPTIONS))


def compute(x, w, b, dy, padding, tile):
    return (winograd.conv2d(x, w, b, padding, tile), winograd.conv2d_dx(dy, w, x.shape, padding, tile),
            winograd_dw.conv2d_dw(dy, x, w.shape, padding, tile))


def check(got, want, dtype):
    for a, b in zip(got, want):
        assert a.shape == b.shape and a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=40 * np.finfo(dtype).eps * (1 + np.abs(b).max(initial=0)))


@pytest.fixture
def small_blocks(monkeypatch):
    """A block is a few rows of tiles: images are cut, and blocks reach over their ends; dw has several ranges."""
    for module in (winograd, winograd_dw):
        module._plan.cache_clear()
        monkeypatch.setattr(module, "NEAR", 1 << 15)
        monkeypatch.setattr(module, "FAR", 1 << 15)
    monkeypatch.setattr(winograd_dw, "LONG", 4)
    yield
    for module in (winograd, winograd_dw):
        module._plan.cache_clear()


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_geometry_follows_the_reference(tile, dtype, name):
    arrays = problem(name, dtype)
    check(compute(*arrays, tile), expected(*arrays), dtype)
    x, w, b, _, padding = arrays
    with_bias, without = (winograd.conv2d(x, w, bias, padding, tile) for bias in (b, None))
    np.testing.assert_allclose(with_bias, without + b[:, None, None], atol=1e-4)


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("name", ["in parts", "one large image", "many images", "channels beyond a vector",
                                  "uneven padding"])
def test_blocks_may_end_anywhere(tile, name, small_blocks):
    arrays = problem(name)
    check(compute(*arrays, tile), expected(*arrays), np.float64)


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("seed", range(15))
def test_random_shapes(tile, seed, small_blocks):
    rng = np.random.default_rng(seed)
    n, c, o, h, w, ph, pw = (int(i) for i in rng.integers((1, 1, 1, 1, 1, 1, 1), (6, 40, 70, 24, 24, 4, 4)))
    shapes = (n, c, h, w), (o, c, 3, 3), (o,), (n, o, h + 2 * ph - 2, w + 2 * pw - 2)
    arrays = [rng.standard_normal(s) for s in shapes]
    check(compute(*arrays, (ph, pw), tile), expected(*arrays, (ph, pw)), np.float64)


@pytest.mark.parametrize("tile", [2, 4])
def test_operands_need_be_neither_contiguous_nor_writeable(tile):
    x, w, b, dy, padding = problem("odd, cut at both edges")
    mixed = [np.ascontiguousarray(a.swapaxes(0, -1)).swapaxes(0, -1) for a in (x, w, b, dy)]
    check(compute(*mixed, padding, tile), expected(x, w, b, dy, padding), np.float64)
    ones = np.broadcast_to(np.ones(()), dy.shape)
    check(compute(x, w, b, ones, padding, tile), expected(x, w, b, ones, padding), np.float64)


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("name", ["in parts", "many images", "one large image"])
def test_bits_do_not_depend_on_the_number_of_threads(tile, name, small_blocks):
    arrays, before, results = problem(name, np.float32), parallel.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            results.append(compute(*arrays, tile))
    finally:
        parallel.set_num_threads(before)
    for one, *others in zip(*results):
        assert all(np.array_equal(one, other) for other in others)


def bound(x, w, b, padding, tile):
    """The a priori bound of the module's docstring for every output, in float64."""
    a, g, bt = (np.abs(np.array(m, np.float64)) for m in winograd.matrices(tile))
    x, w, b = (np.abs(v.astype(np.float64)) for v in (x, w, b))
    height, width = (n + 2 * p - 2 for n, p in zip(x.shape[2:], padding))
    down, across = -(-height // tile), -(-width // tile)
    room = [(p, tile * count + 2 - n - p) for n, p, count in zip(x.shape[2:], padding, (down, across))]
    x = np.pad(x, [(0, 0), (0, 0), *room])
    y = np.empty((len(x), len(w), down * tile, across * tile))
    u = np.einsum("as,ocst,bt->ocab", g, w, g)
    for i, j in np.ndindex(down, across):
        seen = x[:, :, tile * i:tile * i + tile + 2, tile * j:tile * j + tile + 2]
        sums = np.einsum("ncab,ocab->noab", np.einsum("as,ncst,bt->ncab", bt, seen, bt), u)
        y[:, :, tile * i:tile * (i + 1), tile * j:tile * (j + 1)] = np.einsum("as,nost,bt->noab", a, sums, a)
    y = y[:, :, :height, :width] + b[:, None, None]
    return (x.shape[1] + winograd.ROUNDINGS[tile]) * np.finfo(np.float32).eps / 2 * y


def exact_dw(dy, x):
    """dw with padding 1, in float64."""
    w_shape = dy.shape[1], x.shape[1], 3, 3
    with use("reference"):
        return k.conv2d_dw(dy.astype(np.float64), x.astype(np.float64), w_shape, padding=(1, 1), **OPTIONS)


def bound_dw(x, dy, padding, tile):
    """The bound of winograd_dw's docstring for every weight, in float64."""
    a, g, bt = (np.abs(np.array(m, np.float64)) for m in winograd.matrices(tile))
    x, dy = (np.abs(v.astype(np.float64)) for v in (x, dy))
    plan = winograd_dw._plan(x.shape, dy.shape, padding, tile, "f")
    counts = [-(-n // tile) for n in dy.shape[2:]]
    room = [(p, tile * count + 2 - n - p) for n, p, count in zip(x.shape[2:], padding, counts)]
    fill = [(0, tile * count - n) for n, count in zip(dy.shape[2:], counts)]
    x, dy = np.pad(x, [(0, 0), (0, 0), *room]), np.pad(dy, [(0, 0), (0, 0), *fill])
    sums = 0
    for i, j in np.ndindex(*counts):
        seen = x[:, :, tile * i:tile * i + tile + 2, tile * j:tile * j + tile + 2]
        met = dy[:, :, tile * i:tile * (i + 1), tile * j:tile * (j + 1)]
        sums = sums + np.einsum("ncab,noab->ocab", np.einsum("as,ncst,bt->ncab", bt, seen, bt),
                                np.einsum("sa,nost,tb->noab", a, met, a))
    terms = plan.numbers[10] * counts[1] + plan.blocks + plan.ranges
    rounding = (terms + winograd_dw.ROUNDINGS[tile]) * np.finfo(np.float32).eps / 2
    return rounding * np.einsum("as,ocab,bt->ocst", g, sums, g)


def normal(rng, shape):
    return rng.standard_normal(shape)


def many_sizes(rng, shape):
    """From 1e-8 to 1e8: what is small lies beside what is large."""
    return rng.standard_normal(shape) * 10.0**rng.integers(-8, 9, shape)


def cancelling(rng, shape):
    """Large numbers that differ little, with both signs: their exact sums are small."""
    return 1e6 * (-1.0)**np.indices(shape).sum(0) + rng.standard_normal(shape)


def worst_signs(rng, shape):
    """As large as they may be, with the signs of a row of B^T where the absolute values add up."""
    return np.where(np.indices(shape)[-1] % 4 < 2, 1.0, -1.0) * (1 + rng.random(shape) * 2.0**-12)


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("numbers", [normal, many_sizes, cancelling, worst_signs])
def test_the_error_stays_below_its_bound(tile, numbers):
    rng = np.random.default_rng(0)
    x, w, b = (numbers(rng, s).astype(np.float32) for s in ((2, 40, 14, 13), (24, 40, 3, 3), (24,)))
    with use("reference"):
        exact = k.conv2d(*(a.astype(np.float64) for a in (x, w, b)), padding=(1, 1), **OPTIONS)
    share = np.abs(winograd.conv2d(x, w, b, (1, 1), tile) - exact) / bound(x, w, b, (1, 1), tile)
    assert share.max() < 1
    assert numbers is not normal or share.max() > 0.001  # the bound is not hollow


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("numbers", [normal, many_sizes, cancelling, worst_signs])
def test_the_error_of_dw_stays_below_its_bound(tile, numbers, small_blocks):
    rng = np.random.default_rng(0)
    x, dy = (numbers(rng, s).astype(np.float32) for s in ((5, 20, 22, 17), (5, 24, 22, 17)))
    exact = exact_dw(dy, x)
    got = winograd_dw.conv2d_dw(dy, x, (24, 20, 3, 3), (1, 1), tile)
    share = np.abs(got - exact) / bound_dw(x, dy, (1, 1), tile)
    assert share.max() < 1
    assert numbers is not normal or share.max() > 0.0001


def test_the_error_of_dw_beside_the_direct_kernel():
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((32, n, 24, 24)).astype(np.float32) for n in (32, 16))
    exact = exact_dw(dy, x)
    direct = conv.conv2d_dw(dy, x, (16, 32, 3, 3), (1, 1), (1, 1), (1, 1), 1)
    unit = np.sqrt(np.mean((direct - exact)**2))
    for tile, most in ((2, 3), (4, 6)):
        error = winograd_dw.conv2d_dw(dy, x, (16, 32, 3, 3), (1, 1), tile) - exact
        assert np.sqrt(np.mean(error**2)) < most * unit


@pytest.mark.parametrize("tile, factor", [(2, 9.0), (4, 50.1)])
def test_the_bound_of_dw_for_numbers_of_one_size(tile, factor):
    a, g, b = (np.abs(np.array(m, np.float64)) for m in winograd.matrices(tile))
    places = np.outer(a.sum(0), a.sum(0)) * np.outer(b.sum(1), b.sum(1))
    assert (g.T @ places @ g).max() / tile**2 == pytest.approx(factor, rel=0.002)


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_spreads_over_its_channels_weights_and_no_further(tile, value):
    x, w, _, dy, padding = problem("whole tiles", np.float32)
    x[0, 1, 3, 3] = value
    bad = ~np.isfinite(winograd_dw.conv2d_dw(dy, x, w.shape, padding, tile))
    assert bad[:, 1].all() and not np.delete(bad, 1, 1).any()
    x, w, _, dy, padding = problem("whole tiles", np.float32)
    dy[2, 5, 0, 0] = value
    bad = ~np.isfinite(winograd_dw.conv2d_dw(dy, x, w.shape, padding, tile))
    assert bad[5].all() and not np.delete(bad, 5, 0).any()


def test_worth_dw_knows_when_the_products_are_many():
    assert winograd_dw.worth_dw((64, 64, 16, 16), (64, 64, 3, 3), (1, 1), "f") == 4
    assert winograd_dw.worth_dw((64, 64, 8, 8), (64, 64, 3, 3), (1, 1), "d") == 4
    assert winograd_dw.worth_dw((64, 3, 32, 32), (16, 3, 3, 3), (1, 1), "f") == 0  # the transforms cost more
    assert winograd_dw.worth_dw((1, 512, 4, 4), (512, 512, 3, 3), (1, 1), "d") == 0  # the sums would cost most
    for shape in ((0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4), (2, 3, 1, 1)):
        assert winograd_dw.worth_dw(shape, (4, shape[1], 3, 3), (0, 0), "f") == 0


def test_the_error_is_a_few_times_that_of_a_plain_sum():
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((2, 64, 32, 32), (16, 64, 3, 3)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3)).transpose(1, 4, 5, 0, 2, 3).reshape(576, -1)
    terms = w.reshape(16, 576)
    exact, plain = terms.astype(np.float64) @ windows.astype(np.float64), np.zeros((16, windows.shape[1]), np.float32)
    for i in range(576):
        plain += terms[:, i, None] * windows[i]
    exact, plain = (a.reshape(16, 2, 30, 30).swapaxes(0, 1) for a in (exact, plain))
    rms = {tile: np.sqrt(np.mean((winograd.conv2d(x, w, None, (0, 0), tile) - exact)**2)) for tile in (2, 4)}
    unit = np.sqrt(np.mean((plain - exact)**2))
    assert rms[2] < unit and unit < rms[4] < 2.5 * unit


@pytest.mark.parametrize("tile, factor", [(2, 7.2), (4, 62.7)])
def test_the_bound_for_numbers_of_one_size(tile, factor):
    a, g, b = (np.abs(np.array(m, np.float64)) for m in winograd.matrices(tile))
    places = np.outer(g.sum(1), g.sum(1)) * np.outer(b.sum(1), b.sum(1))
    assert (a @ places @ a.T).max() / 9 == pytest.approx(factor, rel=0.02)


@pytest.mark.parametrize("tile", [2, 4])
def test_the_matrices_multiply_polynomials(tile):
    a, g, b = (np.array(m, object) for m in winograd.matrices(tile))
    x, w = np.arange(1, tile + 3), np.array([2, -3, 5])
    assert (a @ ((g @ w) * (b @ x))).tolist() == [int(x[i:i + 3] @ w) for i in range(tile)]  # in fractions: exactly


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_spreads_over_its_tiles_and_no_further(tile, value):
    x, w, _, _, padding = problem("whole tiles", np.float32)
    x[0, 1, 0, 0] = value
    bad = ~np.isfinite(winograd.conv2d(x, w, None, padding, tile))
    assert bad[0, :, :2, :2].all() and not bad[1:].any()
    assert not bad[0, :, tile:].any() and not bad[0, :, :, tile:].any()


@pytest.mark.parametrize("tile", [2, 4])
def test_large_numbers_stay_finite(tile):
    x, w = np.full((1, 8, 9, 9), 1e17, np.float32), np.full((8, 8, 3, 3), -1e17, np.float32)
    x[:, :, ::2] *= -1
    assert np.isfinite(winograd.conv2d(x, w, None, (1, 1), tile)).all()
    assert np.isfinite(winograd_dw.conv2d_dw(x, -x, w.shape, (1, 1), tile)).all()


def test_the_memory_is_the_pools():
    x, w = np.ones((8, 16, 32, 32), np.float32), np.ones((16, 16, 3, 3), np.float32)
    before = memory.stats()["in_use_bytes"]
    y = winograd.conv2d(x, w, None, (1, 1), 4)
    assert memory.stats()["in_use_bytes"] - before >= y.nbytes


def test_worth_knows_when_the_products_are_many():
    assert winograd.worth((100, 64, 30, 30), (128, 64, 3, 3), (0, 0), "f") == 4
    assert winograd.worth((64, 64, 8, 8), (64, 64, 3, 3), (1, 1), "d") == 4
    assert winograd.worth((64, 3, 32, 32), (64, 3, 3, 3), (1, 1), "f") == 0  # the transforms cost more than they save
    assert winograd.worth((1, 512, 2, 2), (512, 512, 3, 3), (1, 1), "f") == 0  # the weights' transform would cost most
    for shape in ((0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4), (2, 3, 1, 1)):
        assert winograd.worth(shape, (4, shape[1], 3, 3), (0, 0), "f") == 0


GUARDED = """
import ctypes, mmap
import numpy as np
from minitorch_kernels import memory
from minitorch_kernels.cpu import vector, winograd, winograd_dw

protect = ctypes.CDLL(None).mprotect
protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

def guarded(shape, dtype):
    size, page = int(np.prod(shape)) * np.dtype(dtype).itemsize, mmap.PAGESIZE
    room = -(-size // page) * page
    memory = np.frombuffer(mmap.mmap(-1, room + page), np.uint8)
    assert protect(memory.ctypes.data + room, page, 0) == 0
    memory[:room] = 0xFF  # NaN
    return memory[room - size:room].view(dtype).reshape(shape)

memory.empty, vector.empty = guarded, lambda count, dtype: guarded((count,), dtype)
winograd.NEAR = winograd.FAR = winograd_dw.NEAR = winograd_dw.FAR = 1 << 16
winograd_dw.LONG = 4
for seed in range(30):
    rng = np.random.default_rng(seed)
    n, c, o, h, w, ph, pw = (int(i) for i in rng.integers(1, (6, 40, 90, 30, 30, 4, 4)))
    x, weight = guarded((n, c, h, w), np.float32), guarded((o, c, 3, 3), np.float32)
    x[...], weight[...] = 1, 1
    for tile in (2, 4):
        y = winograd.conv2d(x, weight, None, (ph, pw), tile)
        assert not np.isnan(y).any()
        assert not np.isnan(winograd.conv2d_dx(y, weight, x.shape, (ph, pw), tile)).any()
        assert not np.isnan(winograd_dw.conv2d_dw(y, x, weight.shape, (ph, pw), tile)).any()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="uses mprotect")
def test_nothing_is_read_or_written_beyond_an_array():
    """Each array ends where a page begins that nobody may touch."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    run = subprocess.run([sys.executable, "-c", GUARDED], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
