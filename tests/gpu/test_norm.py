"""Normalisation on the GPU against closed forms, PyTorch and float64: rows and channels of all lengths and dtypes."""
from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import get
from test_kernels_norm import CASES, EPS, closed_form, elements, problem

FULL = [(kind, shape, own) for kind, cases in CASES.items() for shape, own in cases if 0 < np.prod(shape) < 3000]
LONG = [("layer", (2, 2052), 1), ("layer", (2, 2051), 1), ("rms", (2, 8200), 1), ("layer", (2, 8208), 1),
        ("layer", (600, 32), 1), ("layer", (700, 3), 1), ("layer", (3, 600, 5), 1), ("group", (1, 2, 70, 70), 1),
        ("group", (2, 40, 3), 2), ("batch", (700, 33), None), ("batch", (1100, 40), None), ("batch", (40, 2, 11), None),
        ("batch", (3, 2, 30, 40), None), ("batch", (3, 2, 5000), None), ("batch", (2, 1, 40, 40), None)]
BRIEF = [("batch", (3, 2, 4, 6), None), ("batch", (40, 5), None), ("layer", (5, 40), 1), ("rms", (5, 8), 1),
         ("group", (2, 6, 4, 4), 2)]
NAMES = {"batch": "batch_norm", "layer": "layer_norm", "rms": "rms_norm", "group": "group_norm"}
ROUNDED = {"float32": 3e-6, "float64": 3e-14, "float16": 1e-3, "bfloat16": 8e-3}
DTYPES = {"float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@pytest.fixture(scope="module", autouse=True)
def programs(device):
    from minitorch_kernels.cuda import batch_norm, norm

    for program in norm.program, batch_norm.program:
        program.compile([(name, types) for name, types in program.all() if types[0] == "float" or
                         (name != "columns" and types[1:] not in ((False,), (batch_norm.PLANES,)))])
    return norm, batch_norm


@pytest.fixture
def launched(programs, monkeypatch):
    """The names of the kernels that were launched."""
    names = []
    for module in programs:
        def launch(name, *arguments, run=module.program.launch, **options):
            names.append(name)
            run(name, *arguments, **options)

        monkeypatch.setattr(module.program, "launch", launch)
    return names


def forward(kind, x, w, b, own, eps=EPS):
    return call(NAMES[kind], x, *((w,) if kind == "rms" else (w, b)), *options(kind, own), eps)


def backward(kind, dy, x, w, own, stats=None, eps=EPS):
    return call(NAMES[kind] + "_backward", dy, x, w, *options(kind, own), eps, stats=stats)


def options(kind, own):
    return () if kind == "batch" else (own,)


def call(name, *arguments, **keywords):
    """What the CUDA version of a kernel, which must take these arguments, gives on the GPU, as arrays of the CPU."""
    import cupy
    from minitorch_kernels import kernels

    def there(value):
        if isinstance(value, tuple):
            return tuple(map(there, value))
        return cupy.asarray(value) if isinstance(value, np.ndarray) else value

    arguments, keywords = list(map(there, arguments)), {k: there(v) for k, v in keywords.items()}
    assert next(v for v in get(name).versions if v.name == "cuda").refuses(*arguments, **keywords) is None
    found = getattr(kernels(cupy), name)(*arguments, **keywords)
    return tuple(a.get() for a in found) if isinstance(found, (tuple, list)) else found.get()


def stats_of(kind, found, eps=EPS):
    """What the forward kernel returns beside y, in the form that the backward kernel takes."""
    if kind == "batch":
        return found[1], (1 / np.sqrt(found[2] + eps)).astype(found[1].dtype)
    return found[1] if kind == "rms" else tuple(found[1:])


def close(found, expected, slack=1.0, rounded=None):
    assert found.shape == np.shape(expected)
    expected, found = np.asarray(expected, np.float64), found.astype(np.float64)
    bound = slack * (rounded or 3e-6) * max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind, shape, own", FULL)
def test_closed_form(kind, shape, own, affine):
    x, w, b, dy = problem(kind, shape, own, np.float32, affine)
    y, moments, *gradients = closed_form(kind, x, w, b, dy, own)
    found = forward(kind, x, w, b, own)
    close(found[0], y.reshape(shape))
    if kind != "rms":
        close(found[1].ravel(), moments[:, 0])
    close(found[-1].ravel(), moments[:, 1] if kind == "batch" else 1 / np.sqrt(moments[:, 1] + EPS), 3)
    for stats in (None, stats_of(kind, found)):
        for gradient, expected in zip(backward(kind, dy, x, w, own, stats), gradients):
            close(gradient.ravel(), expected.ravel(), 5)


@pytest.mark.parametrize("kind, shape, own", LONG)
def test_long_rows_and_many_of_them(kind, shape, own, programs, monkeypatch):
    """Rows beyond the registers, dw from several blocks, channels in parts."""
    monkeypatch.setattr(programs[1], "SMALL", 256)
    monkeypatch.setattr(programs[1], "LEAST", 128)
    programs[1]._plan.cache_clear()
    problems = problem(kind, shape, own, np.float32)
    x, w, b, dy = problems
    wide = [a.astype(np.float64) for a in problems]
    found, expected = forward(kind, x, w, b, own), reference(kind, *wide[:3], own)
    for f, e in zip(found, expected):
        close(f, e)
    expected = reference_dx(kind, wide[3], *wide[:2], own)
    for f, e in zip(backward(kind, dy, x, w, own, stats_of(kind, found)), expected):
        close(f, e, 10)
    if kind == "batch":
        y = call("batch_norm_apply", x, w, b, b, w * w, EPS)
        close(y, get("batch_norm_apply").reference(np, *wide[:3], wide[2], wide[1] ** 2, EPS), 10)
        expected = get("batch_norm_apply_backward").reference(np, wide[3], *wide[:2], wide[2], wide[1] ** 2, EPS)
        for f, e in zip(call("batch_norm_apply_backward", dy, x, w, b, w * w, EPS), expected):
            close(f, e, 10)
    programs[1]._plan.cache_clear()


def reference(kind, x, w, b, own, eps=EPS):
    arguments = (w,) if kind == "rms" else (w, b)
    return get(NAMES[kind]).reference(np, x, *arguments, *options(kind, own), eps)


def reference_dx(kind, dy, x, w, own, eps=EPS):
    return get(NAMES[kind] + "_backward").reference(np, dy, x, w, *options(kind, own), eps)


@pytest.mark.parametrize("dtype", [*DTYPES, "mixed"])
@pytest.mark.parametrize("kind, shape, own", BRIEF)
def test_dtypes(kind, shape, own, dtype):
    """16 bits are computed and their statistics returned in float32; "mixed" has float32 weights, as under autocast."""
    weights = np.float32 if dtype == "mixed" else DTYPES[dtype]
    if dtype == "mixed":
        dtype = "bfloat16"
    x, w, b, dy = problem(kind, shape, own)
    x, dy, w, b = x.astype(DTYPES[dtype]), dy.astype(DTYPES[dtype]), w.astype(weights), b.astype(weights)
    wide = [a.astype(np.float64) for a in (x, w, b, dy)]
    y, *statistics = forward(kind, x, w, b, own)
    exact, *expected = reference(kind, *wide[:3], own)
    assert y.dtype == x.dtype
    close(y, exact, 1, ROUNDED[dtype])
    for f, e in zip(statistics, expected):
        assert f.dtype == (np.float64 if dtype == "float64" else np.float32)
        close(f, e, 3, ROUNDED["float64"] if dtype == "float64" else None)
    dx, *gradients = backward(kind, dy, x, w, own, stats_of(kind, (y, *statistics)))
    exact, *expected = reference_dx(kind, wide[3], *wide[:2], own)
    assert dx.dtype == x.dtype
    close(dx, exact, 3, ROUNDED[dtype])
    for f, e in zip(gradients, expected):
        assert f.dtype == w.dtype
        close(f, e, 3, ROUNDED["float32" if f.dtype == np.float32 else dtype])


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 5), (3, 2, 8, 6), (1, 1, 1)])
@pytest.mark.parametrize("affine", [True, False])
def test_given_statistics(shape, affine):
    x, w, b, dy = problem("batch", shape, None, np.float32, affine)
    rng = np.random.default_rng(1)
    mean, var = rng.standard_normal(shape[1]).astype(np.float32), rng.random(shape[1]).astype(np.float32)
    column = (slice(None), *[None] * (len(shape) - 2))
    rstd = 1 / np.sqrt(var.astype(np.float64) + EPS)
    xhat = (x - mean[column].astype(np.float64)) * rstd[column]
    close(call("batch_norm_apply", x, w, b, mean, var, EPS),
          xhat * (1 if w is None else w[column]) + (0 if b is None else b[column]), 20)
    others = (0, *range(2, len(shape)))
    expected = dy * (rstd if w is None else rstd * w)[column], (dy * xhat).sum(others), dy.sum(others)
    for f, e in zip(call("batch_norm_apply_backward", dy, x, w, mean, var, EPS), expected):
        close(f, e, 20)


@pytest.mark.parametrize("kind, shape, own", [c for c in FULL if c[0] != "group" or c[2] == 2])
def test_as_torch(torch, kind, shape, own):
    F, (x, w, b, dy) = torch.nn.functional, problem(kind, shape, own, np.float32)
    tx, tw, tb = (torch.from_numpy(a).double().requires_grad_() for a in (x, w, b))
    if kind == "batch":
        expected = torch.native_batch_norm(tx, tw, tb, None, None, True, 0.1, EPS)[0]
    elif kind == "group":
        expected = F.group_norm(tx, own, tw, tb, EPS)
    elif kind == "layer":
        expected = F.layer_norm(tx, w.shape, tw, tb, EPS)
    else:
        expected = F.rms_norm(tx, w.shape, tw, EPS) + 0 * tb
    gradients = torch.autograd.grad(expected, (tx, tw, tb), torch.from_numpy(dy).double())
    close(forward(kind, x, w, b, own)[0], expected.detach().numpy())
    for f, e in zip(backward(kind, dy, x, w, own), gradients):
        close(f, e.numpy(), 10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2, 5), (1, 2, 1), (1100, 3)])
def test_running_statistics_move(shape, dtype):
    """In place, the variance's unbiased estimate; of another dtype than the batch's, too."""
    import cupy
    from minitorch_kernels import kernels

    x, w, b, _ = problem("batch", shape, None, np.float32)
    mean, var = np.linspace(-1, 1, shape[1], dtype=dtype), np.linspace(1, 2, shape[1], dtype=dtype)
    running = cupy.asarray(mean), cupy.asarray(var), 0.3
    kernels(cupy).batch_norm(*map(cupy.asarray, (x, w, b)), EPS, running)
    wide, axes, count = x.astype(np.float64), (0, *range(2, x.ndim)), x.size // shape[1]
    unbiased = wide.var(axes, ddof=1) if count > 1 else 0
    close(running[0].get(), 0.7 * mean + 0.3 * wide.mean(axes))
    close(running[1].get(), 0.7 * var + 0.3 * unbiased)
    assert running[0].dtype == dtype


@pytest.mark.parametrize("spread", [1.0, 0.02])
@pytest.mark.parametrize("kind, shape, own", [
    ("batch", (16, 5, 6, 7), None), ("batch", (60, 3), None), ("batch", (8, 2, 20, 20), None), ("layer", (5, 100), 1),
    ("layer", (2, 2304), 1), ("group", (4, 6, 10, 10), 2)])
def test_large_mean(kind, shape, own, spread):
    """Around 1e4 a float32 E[x²] - E[x]² has nothing left, and a float32 mean is off by up to 0.0005."""
    x, w, b, dy = problem(kind, shape, own, np.float32)
    x = np.float32(1e4) + np.float32(spread) * x
    wide = [a.astype(np.float64) for a in (x, w, b, dy)]
    found = forward(kind, x, w, b, own, 1e-5)
    for f, e in zip(found, reference(kind, *wide[:3], own, 1e-5)):
        close(f, e, 10)
    if kind == "group":
        return  # whose gradients measure from the rounded mean
    for stats in (None, stats_of(kind, found, np.float32(1e-5))):
        for f, e in zip(backward(kind, dy, x, w, own, stats, 1e-5), reference_dx(kind, wide[3], *wide[:2], own, 1e-5)):
            close(f, e, 60)


@pytest.mark.parametrize("kind, shape, own", [("batch", (4, 3, 10, 10), None), ("layer", (3, 2304), 1)])
def test_an_outlier_first(kind, shape, own):
    """The elements that distances are taken from have the worst one among them."""
    x, w, b, _ = problem(kind, shape, own, np.float32)
    x[(0,) * len(shape)] = 1e6
    wide = [a.astype(np.float64) for a in (x, w, b)]
    for f, e in zip(forward(kind, x, w, b, own), reference(kind, *wide, own)):
        close(f, e, 10)


@pytest.mark.parametrize("kind, shape, own", BRIEF)
def test_constant_groups(kind, shape, own):
    """Variance 0, never below: y = b, and the gradient stays finite."""
    x, w, b, dy = problem(kind, shape, own, np.float32)
    x = np.full(shape, np.float32(0.1))
    found = forward(kind, x, w, b, own, 1e-5)
    if kind != "rms":
        b = b if kind == "layer" else b.reshape(-1, *[1] * (len(shape) - 2))
        np.testing.assert_allclose(found[0], np.broadcast_to(b, shape), atol=5e-5)
    assert (found[-1] >= 0).all()
    assert all(np.isfinite(g).all() for g in backward(kind, dy, x, w, own))


@pytest.mark.parametrize("kind, shape, own", BRIEF)
def test_nan_stays_in_its_group(kind, shape, own):
    x, w, b, dy = problem(kind, shape, own, np.float32)
    x[(0,) * len(shape)] = np.nan
    groups = elements(kind, shape, own)[0]
    expected = groups == groups[(0,) * len(shape)]
    np.testing.assert_array_equal(np.isnan(forward(kind, x, w, b, own)[0]), expected)
    np.testing.assert_array_equal(np.isnan(backward(kind, dy, x, w, own)[0]), expected)


@pytest.mark.parametrize("kind, shape, own", BRIEF)
def test_any_memory_layout(kind, shape, own):
    """Arrays with gaps, in another order, and where 16 bytes cannot be loaded at once."""
    import cupy

    x, w, b, dy = problem(kind, shape, own, np.float32)
    found = forward(kind, x, w, b, own)
    expected = *found, *backward(kind, dy, x, w, own)

    def odd(a):
        return cupy.asarray(np.append(np.float32(7), a.ravel()))[1:].reshape(a.shape)

    def apart(a):
        return cupy.asarray(np.repeat(a, 2, axis=-1))[..., ::2]

    for lay in (odd, apart):
        x2, w2, b2, dy2 = map(lay, (x, w, b, dy))
        again = *forward(kind, x2, w2, b2, own), *backward(kind, dy2, x2, w2, own)
        for f, e in zip(again, expected):
            np.testing.assert_allclose(f, e, rtol=1e-5, atol=1e-5)


def test_small_ones_are_one_launch(launched):
    for kind, shape, own in [("batch", (32, 16, 8, 8), None), ("batch", (64, 20), None), ("layer", (32, 64), 1)]:
        x, w, b, dy = problem(kind, shape, own, np.float32)
        found = forward(kind, x, w, b, own)
        backward(kind, dy, x, w, own, stats_of(kind, found))
        assert len(launched) == 2, launched
        launched.clear()


def test_what_is_left_to_the_reference():
    def why(name, *arguments):
        return next(v for v in get(name).versions if v.name == "cuda").refuses(*arguments)

    x, w = np.ones((2, 3, 4), np.float32), np.ones(3, np.float32)
    assert why("batch_norm", x, w, w, EPS) is None
    assert "no elements" in why("layer_norm", x[:0], None, None, 1, EPS)
    assert "weights" in why("batch_norm", x, w.astype(np.float64), w.astype(np.float64), EPS)
    assert "weights" in why("batch_norm", x.astype(np.float16), w.astype(np.float16), w, EPS)
    assert "dy and x" in why("rms_norm_backward", x.astype(np.float16), x, None, 1, EPS)
    assert "only" in why("layer_norm", x.astype(np.int32), None, None, 1, EPS)
