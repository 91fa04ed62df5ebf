"""Recurrent layers beside PyTorch's and beside each sequence on its own; packed sequences; the fast kernels."""
from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
from minitorch_kernels import kernels, parallel
from minitorch_kernels.table import explain, use
from samples.recurrent import network, weights

import minitorch as mt
from minitorch import nn
from minitorch.nn.utils import rnn

# layer, arguments, keywords
LAYERS = [
    ("RNN", (3, 4), {}),
    ("RNN", (3, 4, 2, "relu"), {"bidirectional": True}),
    ("RNN", (3, 4), {"nonlinearity": "relu", "bias": False, "batch_first": True}),
    ("RNN", (3, 4), {"num_layers": 3, "dropout": 0.4}),
    ("LSTM", (3, 4), {}),
    ("LSTM", (3, 4, 2), {"bidirectional": True, "batch_first": True}),
    ("LSTM", (3, 5), {"proj_size": 2, "num_layers": 2, "bidirectional": True}),
    ("LSTM", (3, 5), {"proj_size": 4, "bias": False}),
    ("LSTM", (3, 4), {"num_layers": 2, "dropout": 0.5, "bias": False}),
    ("GRU", (3, 4), {}),
    ("GRU", (3, 4), {"bias": False, "num_layers": 2}),
    ("GRU", (3, 4, 2), {"bidirectional": True, "batch_first": True, "dropout": 0.3}),
    ("GRU", (1, 1), {}),
]
NAMES = ["RNN", "LSTM", "GRU"]
layers = pytest.mark.parametrize("name, args, kwargs", [
    pytest.param(*layer, id=f"{i}-{layer[0]}") for i, layer in enumerate(LAYERS)])
RNG = np.random.default_rng(0)


def pair(torch, name, args, kwargs):
    mt.manual_seed(7)
    torch.manual_seed(7)
    return getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)


def flat(result):
    """The tensors in what a layer returns."""
    if isinstance(result, (tuple, list)):
        return [t for part in result for t in flat(part)]
    return [] if result is None else [result]


def compare(ours, theirs, leaves, others, tolerance=2e-5):
    """The same results, and the same gradients from them."""
    ours, theirs = flat(ours), flat(theirs)
    assert len(ours) == len(theirs)
    for y, z in zip(ours, theirs):
        assert tuple(y.shape) == tuple(z.shape) and str(y.dtype) == str(z.dtype)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=tolerance, atol=tolerance)
    weights = [RNG.standard_normal(y.shape).astype(y.detach().numpy().dtype) if y.requires_grad else None for y in ours]
    sum((y * mt.tensor(w)).sum() for y, w in zip(ours, weights) if w is not None).backward()
    sum((z * z.new_tensor(w)).sum() for z, w in zip(theirs, weights) if w is not None).backward()
    for x, t in zip(leaves, others):
        assert (x.grad is None) == (t.grad is None)
        if x.grad is not None:
            np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-4, atol=1e-4)
            x.grad = t.grad = None


def states_for(layer, n):
    """Arrays for hx; n None: one sequence without a dimension for the batch."""
    count = layer.num_layers * (1 + layer.bidirectional)
    sizes = [layer.proj_size or layer.hidden_size, *[layer.hidden_size] * (layer.mode == "LSTM")]
    batch = () if n is None else (n,)
    return [RNG.standard_normal((count, *batch, s)).astype(np.float32) for s in sizes]


def joined(layer, states):
    return tuple(states) if layer.mode == "LSTM" else states[0]


@layers
def test_state_and_repr(torch, name, args, kwargs):
    ours, theirs = pair(torch, name, args, kwargs)
    assert repr(ours) == repr(theirs)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    for key in mine:
        np.testing.assert_allclose(mine[key].numpy(), other[key].numpy(), rtol=1e-6, atol=1e-7, err_msg=key)
    assert [[tuple(w.shape) for w in ws] for ws in ours.all_weights] == \
        [[tuple(w.shape) for w in ws] for ws in theirs.all_weights]


@layers
@pytest.mark.parametrize("given", [False, True], ids=["from zeros", "from hx"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("kind", ["batch", "single", "one step", "packed", "packed in any order"])
def test_as_in_torch(torch, name, args, kwargs, given, training, kind):
    ours, theirs = pair(torch, name, args, kwargs)
    ours.train(training)
    theirs.train(training)
    ours.flatten_parameters()
    steps, n = (1, 2) if kind == "one step" else (5, None if kind == "single" else 3)
    shape = (steps,) if n is None else (n, steps) if ours.batch_first or "packed" in kind else (steps, n)
    x = RNG.standard_normal((*shape, args[0])).astype(np.float32)
    states = states_for(ours, n) if given else []
    for _ in range(2):  # twice: random numbers go on alike
        leaves = [mt.tensor(a, requires_grad=True) for a in (x, *states)]
        others = [torch.tensor(a, requires_grad=True) for a in (x, *states)]
        y, z = leaves[0], others[0]
        if "packed" in kind:
            lengths = [5, 3, 3] if kind == "packed" else [2, 5, 4]
            y = rnn.pack_padded_sequence(y, lengths, True, enforce_sorted=kind == "packed")
            z = torch.nn.utils.rnn.pack_padded_sequence(z, lengths, True, enforce_sorted=kind == "packed")
        y = ours(y, joined(ours, leaves[1:]) if given else None)
        z = theirs(z, joined(ours, others[1:]) if given else None)
        assert isinstance(y[0], rnn.PackedSequence) == ("packed" in kind) and isinstance(y, tuple)
        compare(y, z, [*leaves, *ours.parameters()], [*others, *theirs.parameters()])


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("n", [None, 1, 3])
def test_cells_as_in_torch(torch, name, given, n):
    ours, theirs = pair(torch, name, (3, 4), {})
    assert repr(ours) == repr(theirs)
    batch = () if n is None else (n,)
    arrays = [RNG.standard_normal((*batch, size)).astype(np.float32)
              for size in (3, *[4] * given, *[4] * (given and name == "LSTMCell"))]
    leaves = [mt.tensor(a, requires_grad=True) for a in arrays]
    others = [torch.tensor(a, requires_grad=True) for a in arrays]
    hx, other = [None if not given else tuple(v[1:]) if name == "LSTMCell" else v[1] for v in (leaves, others)]
    compare(ours(leaves[0], hx), theirs(others[0], other), [*leaves, *ours.parameters()],
            [*others, *theirs.parameters()])


# Without PyTorch


def layer_of(name, *args, dtype=mt.float64, **kwargs):
    mt.manual_seed(3)
    return getattr(nn, name)(*args, dtype=dtype, **kwargs)


@pytest.mark.parametrize("name, cell", [("RNN", "tanh"), ("LSTM", "lstm"), ("GRU", "gru")])
@pytest.mark.parametrize("directions", [1, 2])
def test_against_the_definition(name, cell, directions):
    layer = layer_of(name, 3, 4, num_layers=2, bidirectional=directions == 2)
    x = RNG.standard_normal((5, 2, 3))
    zeros = np.zeros((2 * directions, 2, 4))
    params = [w.detach().numpy() for w in layer.parameters()]
    expected = network(cell, x, (zeros, zeros) if cell == "lstm" else zeros, params, True, 2,
                       bidirectional=directions == 2)
    for y, e in zip(flat(layer(mt.tensor(x))), expected):
        np.testing.assert_allclose(y.detach().numpy(), e, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_a_packed_sequence_is_what_it_is_alone(name, backend):
    layer = layer_of(name, 3, 5, num_layers=2, bidirectional=True)
    sequences = [mt.tensor(RNG.standard_normal((length, 3))) for length in (2, 6, 1, 4)]
    with use(backend):
        packed, last = layer(rnn.pack_sequence(sequences, enforce_sorted=False))
        for i, (s, y) in enumerate(zip(sequences, rnn.unpack_sequence(packed))):
            alone, ends = layer(s)
            np.testing.assert_allclose(y.detach().numpy(), alone.detach().numpy(), atol=1e-12)
            for a, b in zip(flat(last), flat(ends)):
                np.testing.assert_allclose(a[:, i].detach().numpy(), b.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_step_by_step_is_the_layer(name):
    layer, cell = layer_of(name, 3, 4), getattr(nn, name + "Cell")(3, 4, dtype=mt.float64)
    cell.load_state_dict({key[:-3]: value for key, value in layer.state_dict().items()})
    x, state, outputs = mt.tensor(RNG.standard_normal((6, 2, 3)), requires_grad=True), None, []
    for step in x:
        state = cell(step, state)
        outputs.append(state[0] if name == "LSTM" else state)
    y, z = mt.stack(outputs), layer(x)[0]
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), atol=1e-12)
    g, h = (mt.autograd.grad((t * t).sum(), x)[0].numpy() for t in (y, z))
    np.testing.assert_allclose(g, h, atol=1e-12)


@pytest.mark.parametrize("function, cell", [(mt.rnn_tanh, "tanh"), (mt.lstm, "lstm"), (mt.gru, "gru")])
def test_gradcheck_packed(function, cell):
    """Both directions of packed sequences, called as `torch.lstm` is; the samples' test has second derivatives."""
    sizes, states = mt.tensor([2, 1]), 2 if cell == "lstm" else 1
    arrays = [RNG.standard_normal((3, 1)), *RNG.standard_normal((states, 2, 2, 1)), *weights(RNG, cell, 1, 1, 1, 2)]

    def run(x, *rest):
        hx = rest[:2] if states == 2 else rest[0]
        return function(x, sizes, hx, rest[states:], True, 1, 0.0, True, True)

    inputs = [mt.tensor(a, requires_grad=True) for a in arrays]
    assert mt.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_gradients_that_are_needed(name):
    layer = layer_of(name, 3, 4)
    for w in layer.parameters():
        w.requires_grad = False
    x = mt.tensor(RNG.standard_normal((5, 2, 3)), requires_grad=True)
    layer(x)[0].sum().backward()
    assert x.grad is not None and all(w.grad is None for w in layer.parameters())
    layer.weight_hh_l0.requires_grad = True
    layer(x.detach())[1][0].sum().backward()  # from the last state alone
    assert layer.weight_hh_l0.grad is not None


@pytest.mark.parametrize("name", NAMES)
def test_results_may_be_changed(name):
    """As in PyTorch, backward needs nothing that the caller holds: an activation can write over the output."""
    layer, x = layer_of(name, 3, 4), mt.tensor(RNG.standard_normal((5, 2, 3)), requires_grad=True)
    y, last = layer(x)
    expected = mt.autograd.grad((y.relu() * 2).sum(), x, retain_graph=True)[0].numpy()
    y.relu_()
    for s in flat(last):
        s.zero_()
    np.testing.assert_allclose(mt.autograd.grad((y * 2).sum(), x)[0].numpy(), expected)


@pytest.mark.parametrize("name", NAMES)
def test_modes_copies_and_types(name):
    layer, x = layer_of(name, 3, 4, num_layers=2, dtype=None), mt.randn(5, 2, 3)
    y = layer(x)[0]
    with mt.no_grad():
        assert not layer(x)[0].requires_grad
        np.testing.assert_array_equal(layer(x)[0].numpy(), y.detach().numpy())
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(other(x)[0].detach().numpy(), y.detach().numpy())
        other.weight_hh_l1 = nn.Parameter(mt.zeros_like(layer.weight_hh_l1))  # a weight that is set is used
        assert not mt.allclose(other(x)[0], y)
    wide = copy.deepcopy(layer).double()(x.double())[0]
    assert wide.dtype is mt.float64
    np.testing.assert_allclose(wide.detach().numpy(), y.detach().numpy(), atol=1e-6)
    narrow = copy.deepcopy(layer).half()(x.half())[0]
    assert narrow.dtype is mt.float16
    np.testing.assert_allclose(narrow.detach().numpy(), y.detach().numpy(), atol=5e-3)


@pytest.mark.parametrize("name", NAMES)
def test_empty_batches_and_strides(name):
    layer = layer_of(name, 3, 4, dtype=None)
    x = mt.zeros(5, 0, 3, requires_grad=True)
    y, last = layer(x)
    assert tuple(y.shape) == (5, 0, 4) and all(tuple(s.shape) == (1, 0, 4) for s in flat(last))
    y.sum().backward()
    assert tuple(x.grad.shape) == (5, 0, 3) and not layer.weight_hh_l0.grad.any()
    x = mt.randn(3, 2, 10).permute(2, 1, 0)[::2]
    np.testing.assert_array_equal(layer(x)[0].detach().numpy(), layer(x.contiguous())[0].detach().numpy())


BAD = [
    (ValueError, lambda n: n.GRU(3, 4, dropout=1.5)), (ValueError, lambda n: n.GRU(3, 4, dropout=True)),
    (TypeError, lambda n: n.LSTM(3, 4, bias=1)), (TypeError, lambda n: n.LSTM(3.0, 4)),
    (ValueError, lambda n: n.LSTM(3, 0)), (ValueError, lambda n: n.LSTM(0, 3)),
    (TypeError, lambda n: n.RNN(3, 4.0)), (ValueError, lambda n: n.RNN(3, 4, num_layers=0)),
    (ValueError, lambda n: n.LSTM(3, 4, proj_size=4)), (ValueError, lambda n: n.LSTM(3, 4, proj_size=-1)),
    (ValueError, lambda n: n.GRU(3, 4, proj_size=2)), (ValueError, lambda n: n.RNN(3, 4, proj_size=2)),
    (ValueError, lambda n: n.RNN(3, 4, nonlinearity="sin")), (TypeError, lambda n: n.GRU(3, 4, batch_first=1)),
]
BAD_CALLS = [
    ("GRU", ValueError, lambda m, layer: layer(m.zeros(3))),
    ("LSTM", ValueError, lambda m, layer: layer(m.zeros(2, 2, 2, 3))),
    ("GRU", RuntimeError, lambda m, layer: layer(m.zeros(5, 2, 4))),
    ("RNN", RuntimeError, lambda m, layer: layer(m.zeros(5, 2, 3), m.zeros(1, 3, 4))),
    ("RNN", RuntimeError, lambda m, layer: layer(m.zeros(5, 2, 3), m.zeros(2, 4))),
    ("GRU", RuntimeError, lambda m, layer: layer(m.zeros(5, 3), m.zeros(1, 1, 4))),
    ("LSTM", RuntimeError, lambda m, layer: layer(m.zeros(5, 2, 3), (m.zeros(1, 2, 4), m.zeros(1, 2, 5)))),
    ("LSTM", RuntimeError, lambda m, layer: layer(m.zeros(5, 2, 3), (m.zeros(1, 2, 5), m.zeros(1, 2, 4)))),
    ("LSTM", RuntimeError, lambda m, layer: layer(m.zeros(5, 3), (m.zeros(1, 1, 4), m.zeros(1, 1, 4)))),
    ("GRU", ValueError, lambda m, layer: layer(m.zeros(5, 2, 3, dtype=m.float64))),
    ("GRU", RuntimeError, lambda m, layer: layer(m.zeros(0, 2, 3))),
    ("GRUCell", ValueError, lambda m, layer: layer(m.zeros(5, 2, 3))),
    ("RNNCell", ValueError, lambda m, layer: layer(m.zeros(5, 3), m.zeros(1, 5, 4))),
    ("LSTMCell", ValueError, lambda m, layer: layer(m.zeros(5, 3), (m.zeros(5, 4), m.zeros(1, 5, 4)))),
    ("GRUCell", RuntimeError, lambda m, layer: layer(m.zeros(5, 2))),
    ("GRUCell", RuntimeError, lambda m, layer: layer(m.zeros(5, 3), m.zeros(4, 4))),
]
BAD_PACKING = [
    (RuntimeError, lambda m, r: r.pack_padded_sequence(m.zeros(5, 2, 3), [1, 2])),
    (RuntimeError, lambda m, r: r.pack_padded_sequence(m.zeros(5, 2, 3), [2, 0])),
    (RuntimeError, lambda m, r: r.pack_padded_sequence(m.zeros(5, 2, 3), [2])),
    (RuntimeError, lambda m, r: r.pack_padded_sequence(m.zeros(5, 0, 3), [])),
    (ValueError, lambda m, r: r.pad_packed_sequence(r.pack_sequence([m.zeros(3, 1)]), total_length=2)),
    (RuntimeError, lambda m, r: r.pad_sequence([])),
    (RuntimeError, lambda m, r: r.pad_sequence(3)),
    (RuntimeError, lambda m, r: r.pad_sequence([m.zeros(3, 1), m.zeros(2, 2)])),
    (RuntimeError, lambda m, r: r.pad_sequence([m.zeros(3)], padding_side="top")),
    (AssertionError, lambda m, r: r.PackedSequence(m.zeros(3))),
]


@pytest.mark.parametrize("error, make", BAD)
def test_bad_options(torch, error, make):
    for modules in (nn, torch.nn):
        with pytest.raises(error):
            make(modules)


@pytest.mark.parametrize("name, error, call", BAD_CALLS)
def test_bad_inputs(torch, name, error, call):
    for module in (mt, torch):
        with pytest.raises(error):
            call(module, getattr(module.nn, name)(3, 4))


@pytest.mark.parametrize("error, call", BAD_PACKING)
def test_bad_packing(torch, error, call):
    for module in (mt, torch):
        with pytest.raises(error):
            call(module, module.nn.utils.rnn)


def test_lengths_beyond_the_end():
    """PyTorch reads beyond the tensor there."""
    with pytest.raises(RuntimeError, match="lengths expects 5 at most"):
        rnn.pack_padded_sequence(mt.zeros(5, 2, 3), [6, 2])


def test_dropout_on_one_layer_warns():
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.LSTM(3, 4, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.LSTM(3, 4, 2, dropout=0.5)


# Packing


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("shape, dtype", [((), "int64"), ((2,), "float32"), ((2, 1), "float64")])
def test_packing_as_in_torch(torch, batch_first, shape, dtype):
    arrays = [(RNG.standard_normal((length, *shape)) * 9).astype(dtype) for length in (2, 5, 1, 5)]
    ours, theirs = [mt.tensor(a) for a in arrays], [torch.tensor(a) for a in arrays]
    same = lambda a, b: np.testing.assert_array_equal(a.numpy(), b.numpy(), strict=True)  # noqa: E731
    others = torch.nn.utils.rnn
    for side in ("left", "right"):
        same(rnn.pad_sequence(ours, batch_first, 7, side), others.pad_sequence(theirs, batch_first, 7, side))
    p, q = rnn.pack_sequence(ours, False), others.pack_sequence(theirs, False)
    for a, b in zip(p, q):
        same(a, b)
    for total in (None, 8):
        for a, b in zip(rnn.pad_packed_sequence(p, batch_first, 3, total),
                        others.pad_packed_sequence(q, batch_first, 3, total)):
            same(a, b)
    for a, b in zip(rnn.unpack_sequence(p), arrays):
        np.testing.assert_array_equal(a.numpy(), b)
    padded = rnn.pad_sequence(ours, batch_first)
    for a, b in zip(rnn.unpad_sequence(padded, mt.tensor([2, 5, 1, 5]), batch_first), arrays):
        np.testing.assert_array_equal(a.numpy(), b)


def test_packed_sequences_move_and_convert():
    packed = rnn.pack_sequence([mt.ones(2, 3), mt.zeros(4, 3)], enforce_sorted=False)
    assert packed.double().data.dtype is mt.float64 and packed.to(mt.float32) is packed
    assert packed.cpu() is packed and not packed.is_cuda and packed.long().data.dtype is mt.int64
    assert packed.sorted_indices.tolist() == [1, 0] and packed.double().unsorted_indices.tolist() == [1, 0]
    data, sizes = rnn.PackedSequence((packed.data, packed.batch_sizes))[:2]
    assert data is packed.data and sizes.tolist() == [2, 2, 1, 1]
    again = pickle.loads(pickle.dumps(packed))
    assert isinstance(again, rnn.PackedSequence) and again.batch_sizes.tolist() == [2, 2, 1, 1]


def test_gradients_go_through_packing():
    x = mt.tensor(RNG.standard_normal((4, 3, 2)), requires_grad=True)
    padded, lengths = rnn.pad_packed_sequence(rnn.pack_padded_sequence(x, [2, 4, 1], enforce_sorted=False))
    (padded * 3).sum().backward()
    assert lengths.tolist() == [2, 4, 1]
    expected = 3.0 * (np.arange(4)[:, None] < np.array([2, 4, 1]))
    np.testing.assert_array_equal(x.grad.numpy(), np.repeat(expected[:, :, None], 2, 2))


# The fast kernels


def call(cell, n, size, steps, dtype=np.float32):
    gates = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}[cell]
    draw = np.random.default_rng(5).standard_normal
    x, h, w = draw((steps * n, gates * size)), draw((n, size)), draw((gates * size, size)) / np.sqrt(size)
    c, b = draw((n, size)) if cell == "lstm" else None, draw(gates * size)
    arrays = [a if a is None else a.astype(dtype) for a in (x, h, c, w, b)]
    return *arrays, None, cell, (n,) * steps, False


@pytest.mark.parametrize("cell", ["tanh", "relu", "lstm", "gru"])
def test_the_same_bits_for_any_number_of_threads(cell):
    k, arguments, found = kernels(np), call(cell, 20, 200, 5), []
    assert "numba       runs" in explain("recurrent", *arguments)
    before = parallel.get_num_threads()
    try:
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            y, h, c, saved = k.recurrent(*arguments)
            grads = k.recurrent_backward(y, h, c, *arguments, saved=saved)
            found.append([a.tobytes() for a in (y, h, *grads) if a is not None])
    finally:
        parallel.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("cell", ["tanh", "relu", "lstm", "gru"])
@pytest.mark.parametrize("steps", [1, 3, 4, 9])
@pytest.mark.parametrize("n, size", [(1, 1), (7, 33), (8, 32), (17, 130)])
def test_fast_against_reference(cell, steps, n, size):
    k, arguments = kernels(np), call(cell, n, size, steps, np.float64)
    fast = k.recurrent(*arguments)
    kept = [None if a is None else a.copy() for a in arguments[:5]]
    fast_grads = [k.recurrent_backward(fast[0], fast[1], fast[2], *arguments, saved=s) for s in (fast[3], None)]
    for a, b in zip(arguments, kept):
        assert a is None or np.array_equal(a, b), "an argument was changed"
    assert k.recurrent(*arguments, keep=False)[3] is None
    np.testing.assert_array_equal(k.recurrent(*arguments, False)[0], fast[0])
    with use("reference"):
        k = kernels(np)
        slow = k.recurrent(*arguments)
        slow_grads = k.recurrent_backward(slow[0], slow[1], slow[2], *arguments)
    for found, expected in ((fast[:3], slow[:3]), *((g, slow_grads) for g in fast_grads)):
        for f, e in zip(found, expected):
            assert (f is None) == (e is None)
            if e is not None:
                np.testing.assert_allclose(f, e, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(e).max()))


def test_exact_functions_far_and_near():
    """tanh and sigmoid of the float32 passes, from where they are x to where they are 1, and for what is no number."""
    x = np.concatenate([np.logspace(-30, 3, 4000), [0.625, 0.0, np.inf]]).astype(np.float32)
    x = np.concatenate([x, -x, [np.float32(np.nan)]])[:, None]
    k, zero, w = kernels(np), np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32)
    sizes = (1,) * len(x)
    y = k.recurrent(x, zero, None, w, None, None, "tanh", sizes, False)[0]
    wide = np.tanh(x.astype(np.float64))
    np.testing.assert_allclose(y, wide, rtol=3e-7)
    assert np.array_equal(np.sign(y[:-1]), np.sign(x[:-1]))
    gates = np.concatenate([np.zeros_like(x), x, np.full_like(x, np.inf)], axis=1)  # n = 1: h' = 1 - z + z h
    y = k.recurrent(gates, zero, None, np.zeros((3, 1), np.float32), None, None, "gru", sizes, False)
    z = y[3][0][:, y[3][0].shape[1] // 4] if y[3] else None
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(z[:-1], 1 / (1 + np.exp(-x[:-1, 0].astype(np.float64))), rtol=4e-7, atol=1e-37)


def test_saturated_gates_stay_finite():
    layer = layer_of("LSTM", 3, 40, dtype=None)
    x = mt.tensor((RNG.standard_normal((6, 9, 3)) * 1e5).astype(np.float32), requires_grad=True)
    y, _ = layer(x)
    y.sum().backward()
    assert np.isfinite(y.detach().numpy()).all() and np.isfinite(x.grad.numpy()).all()


def test_training_learns_to_remember():
    """The first element of a sequence, said after seven others: what no network without memory can do."""
    mt.manual_seed(0)
    layer, head = nn.GRU(1, 16, batch_first=True), nn.Linear(16, 1)
    optimizer = mt.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.02)
    for _ in range(150):
        x = mt.randn(32, 8, 1)
        loss = ((head(layer(x)[0][:, -1]) - x[:, 0]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
