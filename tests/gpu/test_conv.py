"""Convolution on the GPU against sums window by window: every tile, odd shapes, TF32, infinities, what is refused."""
from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import explain, kernels
from minitorch_kernels.cuda import settings
from samples.conv import conv as sums
from samples.conv import conv_dw as sums_dw
from samples.conv import conv_dx as sums_dx

DTYPES = {"float32": np.float32, "tf32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
CLOSE = {"float32": 2e-6, "tf32": 2e-3, "float16": 2e-3, "bfloat16": 1.5e-2}  # of the largest result
SHAPES = {  # x, w, stride, padding, dilation, groups
    "1x1": ((3, 17, 5, 3), (5, 17, 1, 1), 1, 0, 1, 1),
    "1x1 strided": ((1, 5, 7, 6), (3, 5, 1, 1), (3, 2), 1, 1, 1),
    "3x3": ((2, 64, 6, 7), (70, 64, 3, 3), 1, 1, 1, 1),
    "3x3 strided": ((2, 10, 7, 8), (4, 10, 3, 3), 2, 1, 1, 1),
    "5x3": ((1, 1, 9, 6), (3, 1, 5, 3), (1, 2), (2, 0), 1, 1),
    "7x7, two pixels a chunk": ((2, 3, 16, 17), (8, 3, 7, 7), 2, 3, 1, 1),
    "even window, two pixels a chunk": ((1, 1, 5, 9), (2, 1, 2, 4), (1, 4), (0, 1), 1, 1),
    "dilated and strided": ((2, 4, 12, 9), (6, 4, 2, 2), (4, 6), (3, 0), (3, 4), 1),
    "dilated as strided": ((1, 3, 9, 12), (4, 3, 3, 4), (2, 4), (1, 3), (2, 2), 1),
    "stride beyond the window": ((1, 2, 13, 11), (3, 2, 2, 1), (5, 3), (1, 2), 1, 1),
    "padding beyond the window": ((1, 3, 2, 3), (2, 3, 2, 2), 1, 4, 1, 1),
    "one number": ((1, 1, 1, 1), (1, 1, 1, 1), 1, 0, 1, 1),
    "groups": ((2, 34, 5, 6), (26, 17, 3, 3), (1, 2), 1, 1, 2),
    "small groups": ((2, 8, 6, 5), (20, 2, 3, 2), (1, 2), 1, (2, 1), 4),
    "depthwise": ((3, 5, 8, 6), (5, 1, 3, 5), (1, 2), (1, 2), 1, 5),
    "depthwise to several": ((1, 3, 7, 6), (6, 1, 4, 3), 2, 1, 1, 3),
    "3d": ((2, 3, 4, 5, 6), (4, 3, 2, 3, 3), (1, 2, 1), (1, 0, 1), (2, 1, 1), 1),
    "3d depthwise": ((1, 4, 4, 3, 5), (4, 1, 2, 3, 2), (1, 2, 1), (1, 1, 0), 1, 4),
}
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture(scope="module", autouse=True)
def convolution(device):
    """The launchers; what these tests need is compiled at once."""
    from minitorch_kernels.cuda import conv

    for program in conv.forward, conv.weights, conv.packing, conv.small:
        program.compile([(name, types) for name, types in program.all()
                         if "half" not in str(types) or "64, 64, 32" in str(types) or len(types) == 3 or
                         types == ("half",)])
    return conv


def options(shape):
    x, w, *each, groups = shape
    return x, w, *[(n,) * (len(x) - 2) if isinstance(n, int) else n for n in each], groups


def numbers(seed, shape, dtype):
    return np.random.default_rng(seed).standard_normal(shape).astype(DTYPES[dtype])


def there(*arrays):
    import cupy

    return [cupy.asarray(a) for a in arrays]


def wide(x):
    return x.astype(np.float64)


def close(found, wanted, dtype):
    assert found.shape == wanted.shape and found.dtype == DTYPES[dtype]
    np.testing.assert_allclose(wide(found.get()), wanted, rtol=0, atol=CLOSE[dtype] * max(abs(wanted).max(), 1))


def check(convolution, shape, dtype, seed=0):
    """Forward with bias and ReLU, dx and dw."""
    x_shape, w_shape, *how = options(shape)
    x, w, b = [numbers(seed + i, s, dtype) for i, s in enumerate((x_shape, w_shape, w_shape[:1]))]
    y = sums(wide(x), wide(w), wide(b), *how)
    dy = numbers(seed + 3, y.shape, dtype)
    on_gpu = there(x, w, b, dy)
    close(convolution.conv_relu(*on_gpu[:3], *how), np.maximum(y, 0), dtype)
    close(convolution.conv(*on_gpu[:2], None, *how), y - wide(b).reshape(-1, *[1] * (x.ndim - 2)), dtype)
    close(convolution.conv_dx(on_gpu[3], on_gpu[1], x_shape, *how), sums_dx(wide(dy), wide(w), x_shape, *how), dtype)
    close(convolution.conv_dw(on_gpu[3], on_gpu[0], w_shape, *how), sums_dw(wide(dy), wide(x), w_shape, *how), dtype)


@pytest.fixture
def tf32(monkeypatch):
    def allow(dtype):
        monkeypatch.setattr(settings, "tf32_convolutions", dtype == "tf32")

    return allow


@every_dtype
@pytest.mark.parametrize("name", SHAPES)
def test_shapes(convolution, tf32, name, dtype):
    tf32(dtype)
    check(convolution, SHAPES[name], dtype)


@pytest.mark.parametrize("tile", [(128, 128), (64, 256), (64, 64)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "tf32", "bfloat16"])
def test_tiles(convolution, tf32, monkeypatch, tile, dtype):
    """Tiles that the result fills and tiles that it does not, each of them taken although another would be quicker."""
    if dtype == "float32" and tile not in convolution.EXACT:
        pytest.skip("float's own products have no such tile")
    tf32(dtype)
    monkeypatch.setattr(convolution, "TILES", {one: 1.0 if one == tile else 1e-9 for one in convolution.TILES})
    convolution._plan.cache_clear()
    try:
        check(convolution, ((3, 20, 9, 10), (130, 20, 3, 3), 1, 1, 1, 1), dtype)
        check(convolution, ((2, 7, 12, 9), (66, 7, 2, 3), (2, 1), 1, 1, 1), dtype)
    finally:  # what is prepared for these tiles must not be found by other tests
        convolution._plan.cache_clear()


def test_tf32_is_asked_for(convolution, tf32):
    """Factors are rounded where the user allows it, and only there; to the nearest, so that errors cancel out."""
    x, w = there(np.full((1, 4, 1, 1), 1 + 2**-11 + 2**-20, np.float32), np.ones((1, 4, 1, 1), np.float32))
    how = (1, 1), (0, 0), (1, 1), 1
    tf32("tf32")
    assert convolution.conv(x, w, None, *how).get().item() == 4 * (1 + 2**-10)
    tf32("float32")
    assert convolution.conv(x, w, None, *how).get().item() == 4 * (1 + 2**-11 + 2**-20)


@pytest.mark.parametrize("dtype", ["float32", "tf32", "bfloat16"])
def test_infinities_stay_where_they_are(convolution, tf32, dtype):
    """No sum meets a number that its window does not see, be it multiplied by 0; ReLU keeps NaN."""
    tf32(dtype)
    x, w = numbers(0, (2, 5, 6, 7), dtype), numbers(1, (3, 5, 3, 3), dtype)
    x[0, 0, 0, 0], x[1, 3, 0, 1], x[0, 2, 3, 3], x[1, 4, 5, 6] = np.inf, np.nan, -np.inf, np.inf
    how = (1, 1), (1, 1), (1, 1), 1
    dy = numbers(2, (2, 3, 6, 7), dtype)
    dy_too = dy.copy()
    dy_too[0, 1, 2, 3], dy_too[1, 2, 5, 6] = np.nan, np.inf
    on_gpu = there(x, w, dy, dy_too, np.ones_like(x))
    with np.errstate(invalid="ignore"):
        like(convolution.conv_relu(*on_gpu[:2], None, *how), np.maximum(sums(wide(x), wide(w), None, *how), 0))
        like(convolution.conv_dx(*on_gpu[3:0:-2], x.shape, *how), sums_dx(wide(dy_too), wide(w), x.shape, *how))
        like(convolution.conv_dw(on_gpu[2], on_gpu[0], w.shape, *how), sums_dw(wide(dy), wide(x), w.shape, *how))
        like(convolution.conv_dw(*on_gpu[3:], w.shape, *how), sums_dw(wide(dy_too), np.ones(x.shape), w.shape, *how))


def like(found, wanted):
    """NaN and both infinities stand at the same places."""
    for where in np.isnan, np.isposinf, np.isneginf:
        assert np.array_equal(where(found.get().astype(np.float32)), where(wanted))


@pytest.mark.parametrize("groups", [1, 4])
def test_memory_in_any_order(convolution, groups):
    import cupy

    x, w = numbers(0, (2, 8, 5, 6), "float32"), numbers(1, (8, 8 // groups, 3, 2), "float32")
    how = (1, 1), (1, 0), (1, 1), groups
    y = sums(x, w, None, *how)
    x_turned = cupy.asarray(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
    w_spaced = cupy.zeros((16, *w.shape[1:]), np.float32)[::2]
    w_spaced[...] = cupy.asarray(w)
    close(convolution.conv(x_turned, w_spaced, None, *how), y, "float32")
    close(convolution.conv_dw(x_turned[..., :-1], x_turned, w.shape, *how),
          sums_dw(x[..., :-1], x, w.shape, *how), "float32")


def test_parts_are_added_in_one_order(convolution):
    """dw of many places is a sum of parts, and the same bits each time."""
    x_shape, w_shape, *how = options(((4, 3, 24, 25), (5, 3, 3, 3), 1, 1, 1, 1))
    x, dy = numbers(0, x_shape, "float32"), numbers(1, (4, 5, 24, 25), "float32")
    assert convolution._plan((x_shape, w_shape, *how, "f"), "dw", False, 0).grid[1] > 1
    found = [convolution.conv_dw(*there(dy, x), w_shape, *how) for _ in range(2)]
    close(found[0], sums_dw(wide(dy), wide(x), w_shape, *how), "float32")
    assert np.array_equal(found[0].get(), found[1].get())


def test_refusals(device):
    import cupy

    x, w = cupy.zeros((1, 2, 4, 4), np.float32), cupy.zeros((3, 2, 3, 3), np.float32)
    how = (1, 1), (1, 1), (1, 1), 1

    def line(name, *arguments):
        return next(s for s in explain(name, *arguments, device="cuda").splitlines() if s.startswith("cuda"))

    assert line("conv2d", x, w, None, *how).endswith("runs")
    assert "float32, float16 and bfloat16 only" in line("conv2d", x.astype("d"), w.astype("d"), None, *how)
    assert "the bias has another dtype" in line("conv2d_relu", x, w, cupy.zeros(3, "e"), *how)
    assert "nothing to sum" in line("conv2d_dw", x[:0], x[:0], w.shape, *how)
    assert "2048" in line("conv2d_dx", x, cupy.zeros((2, 1, 50, 50), "f"), (1, 1, 53, 53), *how)
    assert "65535" in line("conv2d_dx", x, w[:2], (1, 2, 990, 990), (300, 300), *how[1:])
    long = cupy.broadcast_to(cupy.zeros((1, 1, 1, 1), "f"), (1 << 10, 4, 1 << 10, 1 << 9))
    assert "32 bits" in line("conv2d", long, cupy.zeros((4, 2, 5, 7), "f"), None, *how[:3], 2)
    longer = cupy.broadcast_to(long[:1, :2], (1 << 11, 2, 1 << 10, 1 << 9))
    assert "32 bits" in line("conv2d_dw", x, longer, w.shape, *how)
    y = kernels(cupy).conv2d(x[:0], w, None, *how)
    assert y.shape == (0, 3, 4, 4) and y.dtype == np.float32


def test_divisors_are_exact(convolution):
    rng = np.random.default_rng(0)
    for d in [1, 2, 3, 7, 49, 641, 12544, 2**16 - 1, 2**30 + 1, 2**31 - 1, *rng.integers(1, 2**31, 50).tolist()]:
        magic, shift = convolution._divisor(d)
        assert magic < 2**32
        near = np.arange(d, 2**31, max(d, 2**31 // 100), dtype=object)
        for n in [0, 1, d - 1, 2**31 - 1, *near, *(near - 1), *rng.integers(0, 2**31, 50).tolist()]:
            assert n * magic >> shift == n // d
