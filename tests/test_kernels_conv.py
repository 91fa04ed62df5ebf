"""The convolution kernels against the definition in loops, SciPy and PyTorch: versions, shapes, gradients."""
import os
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from minitorch_kernels import explain, kernels, parallel, use

k = kernels(np)
GEOMETRIES = {  # x, w, stride, padding, dilation, groups
    "plain": ((2, 3, 9, 7), (4, 3, 3, 3), (1, 1), (0, 0), (1, 1), 1),
    "padded": ((2, 3, 9, 7), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "rows longer than a vector": ((2, 2, 3, 70), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "oblong": ((3, 2, 11, 8), (9, 2, 2, 5), (1, 1), (1, 2), (1, 1), 1),
    "strided": ((2, 3, 12, 13), (5, 3, 3, 3), (2, 3), (1, 0), (1, 1), 1),
    "stride beyond window": ((2, 2, 11, 13), (3, 2, 2, 2), (5, 4), (0, 1), (1, 1), 1),
    "remainder": ((1, 2, 8, 9), (3, 2, 3, 3), (4, 3), (0, 0), (1, 1), 1),
    "dilated": ((2, 2, 12, 11), (3, 2, 3, 2), (1, 1), (2, 3), (2, 3), 1),
    "strided and dilated": ((2, 2, 14, 15), (3, 2, 3, 3), (2, 3), (3, 2), (3, 2), 1),
    "padding beyond window": ((2, 2, 4, 5), (3, 2, 2, 1), (1, 1), (3, 2), (1, 1), 1),
    "pointwise": ((3, 5, 6, 7), (4, 5, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "pointwise strided": ((3, 5, 7, 6), (4, 5, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    "pointwise large": ((2, 8, 24, 24), (16, 8, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "groups": ((2, 6, 7, 8), (4, 3, 3, 3), (1, 2), (1, 1), (1, 1), 2),
    "depthwise": ((2, 5, 9, 20), (5, 1, 3, 3), (1, 1), (1, 1), (1, 1), 5),
    "depthwise strided": ((2, 5, 9, 20), (5, 1, 3, 3), (2, 2), (1, 1), (1, 2), 5),
    "depthwise multiplied": ((2, 3, 9, 8), (6, 1, 3, 2), (1, 1), (1, 0), (1, 1), 3),
    "depthwise, two of dy's columns": ((2, 5, 9, 21), (10, 1, 2, 3), (1, 2), (2, 3), (2, 1), 5),
    "depthwise, stride beyond window": ((3, 4, 11, 40), (4, 1, 2, 2), (3, 4), (0, 1), (1, 1), 4),
    "depthwise, rows of whole vectors": ((2, 40, 15, 15), (40, 1, 3, 3), (1, 1), (1, 1), (1, 1), 40),
    "depthwise, many": ((5, 70, 7, 7), (70, 1, 3, 3), (1, 1), (1, 1), (1, 1), 70),
    "one output": ((3, 20, 8, 19), (1, 20, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    "few outputs": ((5, 7, 9, 9), (16, 7, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    "two vectors of outputs": ((5, 9, 9, 9), (30, 9, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "three vectors of outputs": ((5, 30, 9, 9), (48, 30, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "tall, strided in one dimension": ((2, 33, 5, 5), (64, 33, 3, 3), (2, 1), (1, 1), (1, 1), 1),
    "3-D": ((2, 3, 5, 6, 7), (4, 3, 2, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    "3-D strided": ((2, 4, 6, 9, 8), (6, 2, 2, 3, 2), (2, 1, 3), (1, 2, 0), (1, 2, 1), 2),
    "3-D depthwise": ((2, 3, 6, 9, 18), (3, 1, 3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1), 3),
    "3-D tall": ((2, 32, 4, 5, 3), (64, 32, 2, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    "3-D pointwise": ((2, 3, 4, 5, 3), (4, 3, 1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "many channels": ((1, 20, 4, 5), (33, 20, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "one place": ((2, 3, 3, 3), (4, 3, 3, 3), (1, 1), (0, 0), (1, 1), 1),
    "tall": ((9, 32, 7, 6), (64, 32, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "tall, last block not full": ((2, 30, 5, 4), (130, 30, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "in parts": ((9, 16, 17, 17), (40, 16, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "one large image": ((1, 8, 33, 40), (70, 8, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "conv1d": ((3, 2, 1, 40), (3, 2, 1, 5), (1, 2), (0, 2), (1, 1), 1),
    "many images": ((19, 2, 5, 5), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "empty batch": ((0, 3, 6, 6), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
}


def problem(name, dtype=np.float64):
    """x, w, b, dy and the keywords of a geometry."""
    x_shape, w_shape, stride, padding, dilation, groups = GEOMETRIES[name]
    rng = np.random.default_rng(0)
    out = [(n + 2 * p - d * (m - 1) - 1) // s + 1
           for n, m, s, p, d in zip(x_shape[2:], w_shape[2:], stride, padding, dilation)]
    shapes = (x_shape, w_shape, w_shape[:1], (x_shape[0], w_shape[0], *out))
    arrays = [rng.standard_normal(s).astype(dtype) for s in shapes]
    return *arrays, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def by_definition(x, w, b, dy, stride, padding, dilation, groups):
    """y, dx, dw in float64, place by place: each is a window times w, and sends its dy back to both."""
    x, w, dy = (a.astype(np.float64) for a in (x, w, dy))
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    y, dpadded, dw = np.empty(dy.shape), np.zeros(padded.shape), np.zeros(w.shape)
    inputs, outputs = w.shape[1], w.shape[0] // groups
    for g, *place in product(range(groups), *map(range, dy.shape[2:])):
        o = slice(g * outputs, (g + 1) * outputs)
        window = (slice(i * s, i * s + d * (m - 1) + 1, d)
                  for i, s, d, m in zip(place, stride, dilation, w.shape[2:]))
        seen, there = (slice(None), slice(g * inputs, (g + 1) * inputs), *window), (slice(None), o, *place)
        y[there] = np.tensordot(padded[seen], w[o], (range(1, w.ndim),) * 2) + b[o]
        dw[o] += np.tensordot(dy[there], padded[seen], (0, 0))
        dpadded[seen] += np.tensordot(dy[there], w[o], (1, 0))
    inner = (slice(None), slice(None), *(slice(p, p + n) for p, n in zip(padding, x.shape[2:])))
    return y, dpadded[inner], dw


def only(version):
    """This version of each convolution, and not Winograd's."""
    return use(**{f"conv{d}d{end}": version for d in (2, 3) for end in ("", "_dx", "_dw")})


def compute(x, w, b, dy, options):
    d = f"{x.ndim - 2}d"
    forward, dx, dw = (getattr(k, f"conv{d}{end}") for end in ("", "_dx", "_dw"))
    return forward(x, w, b, **options), dx(dy, w, x.shape, **options), dw(dy, x, w.shape, **options)


def check(got, want, dtype=np.float64, factor=30):
    for a, b in zip(got, want):
        assert a.shape == b.shape and a.dtype == dtype
        scale = 1 + np.abs(b).max(initial=0)
        np.testing.assert_allclose(a, b, rtol=0, atol=factor * np.finfo(dtype).eps * scale)


@pytest.mark.parametrize("version", ["reference", "numba"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_version_follows_the_definition(version, dtype, name):
    *arrays, options = problem(name, dtype)
    with only(version):
        check(compute(*arrays, options), by_definition(*arrays, **options), dtype)
        x, w, b, _ = arrays
        conv = k.conv2d if x.ndim == 4 else k.conv3d
        without = conv(x, w, None, **options)
        np.testing.assert_allclose(without + b.reshape(-1, *[1] * (x.ndim - 2)), conv(x, w, b, **options), atol=1e-4)


@pytest.mark.parametrize("version", ["reference", "numba"])
def test_operands_need_not_be_contiguous(version):
    *arrays, options = problem("strided")
    mixed = [np.ascontiguousarray(a.swapaxes(0, -1)).swapaxes(0, -1) for a in arrays]
    with only(version):
        check(compute(*mixed, options), by_definition(*arrays, **options))


def test_scipy_agrees():
    signal = pytest.importorskip("scipy.signal")
    x, w, _, _, options = problem("plain")
    y = k.conv2d(x, w, None, **options)
    np.testing.assert_allclose(y[1, 2], signal.correlate(x[1], w[2], "valid")[0], atol=1e-12)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 2, 5, 6, 7)), rng.standard_normal((3, 2, 2, 3, 4))
    y = k.conv3d(x, w, None, (1, 1, 1), (0, 0, 0), (1, 1, 1), 1)
    np.testing.assert_allclose(y[0, 1], signal.correlate(x[0], w[1], "valid")[0], atol=1e-12)


def results(y, tensors):
    """Torch's y, dx and dw."""
    return [y.detach().numpy(), tensors[0].grad.numpy(), tensors[1].grad.numpy()]


@pytest.mark.parametrize("version", ["reference", "numba"])
@pytest.mark.parametrize("seed", range(40))
def test_torch_agrees(version, seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    stride, dilation = (tuple(rng.integers(1, 4, 2).tolist()) for _ in range(2))
    padding, window = tuple(rng.integers(0, 4, 2).tolist()), rng.integers(1, 5, 2)
    groups, n, c, o = (int(rng.integers(1, top)) for top in (4, 12, 5, 10))
    size = [int(d * (m - 1) + 1 + rng.integers(0, 30)) for d, m in zip(dilation, window)]
    shapes = (n, c * groups, *size), (o * groups, c, *window), (o * groups,)
    arrays = [rng.standard_normal(s) for s in shapes]
    tensors = [torch.from_numpy(a).requires_grad_() for a in arrays]
    y = torch.conv2d(*tensors, stride, padding, dilation, groups)
    dy = rng.standard_normal(tuple(y.shape))
    y.backward(torch.from_numpy(dy))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    with only(version):
        check(compute(*arrays, dy, options), results(y, tensors), factor=200)


@pytest.mark.parametrize("options", [
    {"stride": (1, 1, 1), "padding": (0, 0, 0), "dilation": (1, 1, 1), "groups": 1},
    {"stride": (2, 1, 3), "padding": (1, 2, 0), "dilation": (1, 2, 1), "groups": 2},
    {"stride": (3, 3, 2), "padding": (2, 0, 3), "dilation": (2, 1, 2), "groups": 1}], ids=str)
@pytest.mark.parametrize("batch", [0, 2])
def test_three_dimensions(options, batch):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    shapes = (batch, 4, 6, 9, 8), (6, 4 // options["groups"], 2, 3, 2), (6,)
    arrays = [rng.standard_normal(s) for s in shapes]
    tensors = [torch.from_numpy(a).requires_grad_() for a in arrays]
    y = torch.conv3d(*tensors, *options.values())
    dy = rng.standard_normal(tuple(y.shape))
    y.backward(torch.from_numpy(dy))
    check(compute(*arrays, dy, options), results(y, tensors), factor=100)


@pytest.mark.parametrize("name", ["padded", "many images", "strided", "pointwise", "tall", "in parts",
                                  "depthwise, many", "depthwise strided", "two vectors of outputs", "3-D tall"])
def test_bits_do_not_depend_on_the_number_of_threads(name, monkeypatch):
    monkeypatch.setattr(parallel, "SMALL", 0)  # also so small a problem is spread
    *arrays, options = problem(name, np.float32)
    before, results = parallel.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            results.append(compute(*arrays, options))
    finally:
        parallel.set_num_threads(before)
    for one, *others in zip(*results):
        assert all(np.array_equal(one, other) for other in others)


def test_explain_says_which_version_runs():
    x, w, b, dy, options = problem("plain", np.float32)
    calls = {"conv2d": (x, w, b), "conv2d_dx": (dy, w, x.shape), "conv2d_dw": (dy, x, w.shape)}
    for name, arguments in calls.items():
        assert "numba       runs" in explain(name, *arguments, **options)
        halves = [a.astype(np.float16) if isinstance(a, np.ndarray) else a for a in arguments]
        assert "numba       refuses: float32" in explain(name, *halves, **options)
    assert "refuses: the bias" in explain("conv2d", x, w, b.astype(np.float64), **options)


def test_integers_and_float16_take_the_reference():
    x, w = np.ones((1, 300, 3, 3), np.float16), np.ones((1, 300, 3, 3), np.float16)
    options = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    y = k.conv2d(x, w, None, **options)
    assert y.dtype == np.float16 and y.item() == 2700  # a float16 sum of ones stops at 2048
    y = k.conv2d(np.arange(9).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2), np.int64), None, **options)
    assert y.tolist() == [[[[8, 12], [20, 24]]]]


def test_not_a_number_stays_where_it_is():
    x, w, _, _, options = problem("padded", np.float32)
    x[0, 1, 0, 0] = np.nan
    y = k.conv2d(x, w, None, **options)
    assert np.isnan(y[0, :, :2, :2]).all() and np.isnan(y).sum() == 4 * w.shape[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["padded", "depthwise", "depthwise strided", "groups", "tall"])
def test_the_weight_gradient_keeps_taps_clean_that_only_padding_meets(name, bad):
    x, w, _, dy, options = problem(name)
    x[0, 1, -1, 1] = bad  # the first row of the window never gets there
    with only("reference"):
        expected = k.conv2d_dw(dy, x, w.shape, **options)
    with only("numba"):
        got = k.conv2d_dw(dy, x, w.shape, **options)
    assert 0 < np.isfinite(expected).sum() < w.size
    np.testing.assert_allclose(got, expected, atol=1e-10)


GUARDED = """
import ctypes, mmap
import numpy as np
from minitorch_kernels import kernels, memory
from minitorch_kernels.cpu import vector

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
k = kernels(np)
for seed in range(30):
    rng = np.random.default_rng(seed)
    sh, sw, dh, dw = (int(i) for i in rng.integers(1, 4, 4))
    n, c, o, kh, kw = (int(i) for i in rng.integers(1, (9, 20, 40, 6, 6)))
    ph, pw, more_h, more_w = (int(i) for i in rng.integers(0, (5, 5, 30, 30)))
    h, w = max(1, dh * (kh - 1) + 1 - 2 * ph + more_h), max(1, dw * (kw - 1) + 1 - 2 * pw + more_w)
    x, weight = guarded((n, c, h, w), np.float32), guarded((o, c, kh, kw), np.float32)
    x[...], weight[...] = 1, 1
    groups = 1 if seed % 3 else c
    weight = weight if groups == 1 else guarded((c * (1 + seed % 2), 1, kh, kw), np.float32)
    weight[...] = 1
    options = (sh, sw), (ph, pw), (dh, dw), groups
    y = k.conv2d(x, weight, None, *options)
    y[...] = 1
    assert not np.isnan(k.conv2d(x, weight, None, *options)).any()
    assert not np.isnan(k.conv2d_dx(y, weight, x.shape, *options)).any()
    assert not np.isnan(k.conv2d_dw(y, x, weight.shape, *options)).any()
    assert not np.isnan(k.matmul(x[0, 0], x[0, 0].T)).any()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="uses mprotect")
def test_nothing_is_read_or_written_beyond_an_array():
    """Each array ends where a page begins that nobody may touch."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    run = subprocess.run([sys.executable, "-c", GUARDED], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
