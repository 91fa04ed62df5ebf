"""Recurrent kernels on the GPU beside their reference in float64, and layers beside the CPU's."""
from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from minitorch_kernels import recurrent as references
from minitorch_kernels.cuda import cublaslt

import minitorch as mt
from minitorch.nn.utils import rnn

GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
CASES = [(np.float32, cell, 0) for cell in GATES] + [(np.float32, "lstm", 2), (np.float64, "gru", 0),
                                                     (ml_dtypes.bfloat16, "lstm", 2), (np.float16, "gru", 0)]
CLOSE = {"float32": 2e-5, "float64": 1e-12, "float16": 2e-2, "bfloat16": 1e-1}
UNITS = 5


@pytest.fixture
def layers(device):
    from minitorch_kernels.cuda import recurrent

    if cublaslt.missing():
        pytest.skip(cublaslt.missing())
    return recurrent


class Numbers:
    """Arguments rounded to a dtype: on the GPU in that dtype, for the reference in float64."""

    def __init__(self, dtype):
        self.rng, self.dtype = np.random.default_rng(0), dtype

    def __call__(self, *shape):
        return self.rng.standard_normal(shape).astype(self.dtype)

    def layer(self, cell, sizes, bias, projection):
        n, gates, width = sizes[0], GATES[cell] * UNITS, projection or UNITS
        x, h, c = self(sum(sizes), gates), self(n, width), self(n, UNITS) if cell == "lstm" else None
        w, b, p = self(gates, width), self(gates) if bias else None, self(projection, UNITS) if projection else None
        if cell == "relu":  # away from its kink
            x, w, b = (np.sign(x) * (2 + abs(x))).astype(x.dtype), w * np.float32(0.1), None
        return x, h, c, w, b, p


def there(arrays):
    import cupy

    return [None if a is None else cupy.asarray(a) for a in arrays]


def wide(arrays):
    return [None if a is None else a.astype(np.float64) for a in arrays]


def close(found, wanted, dtype):
    for i, (a, b) in enumerate(zip(found, wanted)):
        assert (a is None) == (b is None), i
        if a is not None:
            assert a.dtype == dtype and a.shape == b.shape, i
            apart = np.abs(a.get().astype(np.float64) - b).max() / max(1, np.abs(b).max())
            assert apart < CLOSE[np.dtype(dtype).name], (i, apart)


@pytest.mark.parametrize("dtype, cell, projection", CASES, ids=lambda v: getattr(v, "__name__", str(v)))
def test_against_the_reference(layers, dtype, cell, projection):
    """Packed and padded sequences, both directions, with and without bias, gradients that are not given."""
    make = Numbers(dtype)
    for sizes, reverse, bias in [((3, 3, 3), False, True), ((4, 2, 1), True, True), ((4, 2, 1), False, False),
                                 ((1,), True, False)]:
        layer = make.layer(cell, sizes, bias, projection)
        how = cell, sizes, reverse
        wanted = references.recurrent.reference(np, *wide(layer), *how)
        found = layers.recurrent(*there(layer), *how)
        close(found[:3], wanted[:3], dtype)
        unkept = layers.recurrent(*there(layer), *how, keep=False)
        assert unkept[3] is None
        close(unkept[:3], wanted[:3], dtype)
        dy, dh, dc = (None if y is None else make(*y.shape) for y in wanted[:3])
        for given, weights, saved in [((dy, dh, dc), True, found[3]), ((None, dh, None), True, None),
                                      ((dy, None, None), False, found[3])]:
            gradients = references.recurrent_backward.reference(np, *wide(given), *wide(layer), *how, weights)
            close(layers.recurrent_backward(*there(given), *there(layer), *how, weights, saved), gradients, dtype)


def test_arguments_stay_as_they_are(layers):
    layer = Numbers(np.float32).layer("lstm", (2, 2), True, 0)
    given = there(layer)
    layers.recurrent(*given, "lstm", (2, 2), False)
    for a, b in zip(given, layer):
        assert b is None or (a.get() == b).all()


def test_changed_outputs_do_not_reach_backward(layers):
    """What backward needs is kept apart from y, which programs may change in place."""
    make = Numbers(np.float32)
    layer, how = make.layer("gru", (2, 2), True, 0), ("gru", (2, 2), False)
    given, dy = there(layer), there([make(4, UNITS)])[0]
    y, h, _, saved = layers.recurrent(*given, *how)
    wanted = layers.recurrent_backward(dy, None, None, *given, *how)
    y[...] = 0
    h[...] = 0
    found = layers.recurrent_backward(dy, None, None, *given, *how, saved=saved)
    assert all(a is None or (a.get() == b.get()).all() for a, b in zip(found, wanted))


def test_captured_in_a_graph(layers):
    import cupy

    make, how = Numbers(np.float32), ("gru", (2, 2, 2), False)
    first, second, dy = (there(make.layer("gru", (2, 2, 2), True, 0)) for _ in range(3))
    dy = dy[0][:, :UNITS].copy()

    def run(layer):
        y, h, _, saved = layers.recurrent(*layer, *how)
        return y, h, *layers.recurrent_backward(dy, None, None, *layer, *how, saved=saved)

    wanted = [None if a is None else a.get() for a in run(second)]
    cupy.cuda.get_current_stream().synchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        run(first)  # its memory, and the stream's workspace, are there from now on
        stream.begin_capture()
        found = run(first)
        graph = stream.end_capture()
        for a, b in zip(first, second):
            if a is not None:
                a[...] = b
        graph.launch()
        stream.synchronize()
        for a, b in zip(found, wanted):
            np.testing.assert_array_equal(None if a is None else a.get(), b)


@pytest.mark.parametrize("name, options", [("LSTM", {"proj_size": 2, "bidirectional": True}),
                                           ("GRU", {"num_layers": 2, "batch_first": True})])
def test_layers_beside_the_cpu(layers, name, options):
    """Whole layers, forward and backward, on packed sequences."""
    mt.manual_seed(0)
    net, x = getattr(mt.nn, name)(3, 4, **options), mt.randn(5, 5, 3)
    found = []
    for where in ("cpu", "cuda"):
        net.to(where)
        net.zero_grad()
        packed = rnn.pack_padded_sequence(x.to(where), [5, 4, 4, 2, 1], batch_first=options.get("batch_first", False))
        y, ends = net(packed)
        total = y.data.sum() + sum(e.sum() for e in (ends if isinstance(ends, tuple) else [ends]))
        total.backward()
        found.append([y.data.detach().cpu().numpy(), *(p.grad.cpu().numpy() for p in net.parameters())])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
