"""Multi-head attention and the Transformer's layers: closed forms, recorded figures, and PyTorch where installed."""
from __future__ import annotations

import math

import numpy as np
import pytest

import minitorch as mt
from minitorch import nn
from minitorch.nn import functional as F
from minitorch.nn.attention import SDPBackend, sdpa_kernel

L, S, N, E = 4, 5, 3, 8


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(m, query, key, value, mask=0.0):
    """What MultiheadAttention computes, for (N, L, E) arrays, in NumPy: (output, weights of each head)."""
    if m.in_proj_weight is None:
        weights = [m.q_proj_weight, m.k_proj_weight, m.v_proj_weight]
    else:
        weights = m.in_proj_weight.chunk(3)
    biases = [0.0] * 3 if m.in_proj_bias is None else [b.detach().numpy() for b in m.in_proj_bias.chunk(3)]
    q, k, v = (x @ w.detach().numpy().T + b for x, w, b in zip((query, key, value), weights, biases))
    if m.bias_k is not None:
        k, v = (np.concatenate([x, np.broadcast_to(b.detach().numpy(), (len(x), 1, E))], 1)
                for x, b in ((k, m.bias_k), (v, m.bias_v)))
    q, k, v = (x.reshape(*x.shape[:2], m.num_heads, m.head_dim).swapaxes(1, 2) for x in (q, k, v))
    if m.add_zero_attn:
        k, v = (np.concatenate([x, np.zeros_like(x[:, :, :1])], 2) for x in (k, v))
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(m.head_dim)
    if np.ndim(mask):
        mask = np.pad(mask, [(0, 0)] * (np.ndim(mask) - 1) + [(0, scores.shape[-1] - mask.shape[-1])])
    weights = softmax(scores + mask)
    y = (weights @ v).swapaxes(1, 2).reshape(query.shape)
    y = y @ m.out_proj.weight.detach().numpy().T
    return y if m.out_proj.bias is None else y + m.out_proj.bias.detach().numpy(), weights


def close(actual, expected, tolerance=1e-6):
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


def inputs(rng, kdim=E, vdim=E):
    return [rng.standard_normal(shape) for shape in ((N, L, E), (N, S, kdim), (N, S, vdim))]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


OPTIONS = [{}, {"kdim": 3, "vdim": 5}, {"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True},
           {"add_bias_kv": True, "add_zero_attn": True, "kdim": 2}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_attention_is_its_closed_form(rng, options, batch_first, training):
    m = nn.MultiheadAttention(E, 2, batch_first=batch_first, dtype=mt.float64, **options).train(training)
    for p in m.parameters():
        p.data = mt.tensor(rng.standard_normal(p.shape))
    arrays = inputs(rng, m.kdim, m.vdim)
    blind, hidden = np.triu(np.ones((L, S), bool), 2), np.zeros((N, S), bool)
    hidden[1, 3:] = True
    additive = np.where(blind, -np.inf, 0.0) + np.where(hidden, -np.inf, 0.0)[:, None, None]
    y, weights = attention(m, *arrays, mask=additive)
    masks = {"attn_mask": mt.tensor(blind), "key_padding_mask": mt.tensor(hidden)}
    xs = [mt.tensor(a if batch_first else a.swapaxes(0, 1)) for a in arrays]
    for actual, actual_weights in (m(*xs, **masks), m(*xs, **masks, need_weights=False)):
        close(actual, y if batch_first else y.swapaxes(0, 1))
        if actual_weights is not None:
            close(actual_weights, weights.mean(1))
    close(m(*xs, **masks, average_attn_weights=False)[1], weights)


def test_one_sequence_and_3d_masks(rng):
    m = nn.MultiheadAttention(E, 2, dtype=mt.float64)
    query, key, value = inputs(rng)
    mask = rng.standard_normal((N, 2, L, S))
    y, weights = attention(m, query, key, value, mask)
    xs = [mt.tensor(x.swapaxes(0, 1)) for x in (query, key, value)]
    close(m(*xs, attn_mask=mt.tensor(mask.reshape(-1, L, S)))[0], y.swapaxes(0, 1))
    alone, alone_weights = m(*[mt.tensor(x[1]) for x in (query, key, value)], attn_mask=mt.tensor(mask[1]))
    close(alone, y[1])
    close(alone_weights, weights[1].mean(0))


def test_shared_inputs_give_the_same_as_copies(rng):
    m = nn.MultiheadAttention(E, 4, batch_first=True, dtype=mt.float64)
    x, memory = mt.tensor(rng.standard_normal((N, L, E))), mt.tensor(rng.standard_normal((N, S, E)))
    close(m(x, x, x)[0], m(x, x.clone(), x.clone())[0].detach().numpy())
    close(m(x, memory, memory)[0], m(x, memory, memory.clone())[0].detach().numpy())


def test_causal_hint_needs_no_reading_of_the_mask(rng):
    m = nn.MultiheadAttention(E, 2, batch_first=True, dtype=mt.float64)
    x = mt.tensor(rng.standard_normal((N, L, E)))
    mask = nn.Transformer.generate_square_subsequent_mask(L)
    assert mask.tolist()[0] == [0.0, *[-math.inf] * (L - 1)]
    y = m(x, x, x, attn_mask=mask.bool(), need_weights=False)[0]
    close(m(x, x, x, attn_mask=mt.zeros(L, L).bool(), is_causal=True, need_weights=False)[0], y.detach().numpy())
    with pytest.raises(RuntimeError, match="attn_mask"):
        m(x, x, x, is_causal=True)


def test_static_keys_and_values(rng):
    m = nn.MultiheadAttention(E, 2, dtype=mt.float64)
    q, k, v = [mt.tensor(x.swapaxes(0, 1)) for x in inputs(rng)]
    _, keys, values = (w @ x.permute(1, 2, 0) for w, x in zip(m.in_proj_weight.chunk(3), (q, k, v)))
    keys, values = (x.reshape(N * 2, 4, S).transpose(1, 2) for x in (keys, values))
    arguments = (E, 2, m.in_proj_weight, m.in_proj_bias, None, None, False, 0.0, m.out_proj.weight, m.out_proj.bias)
    y, _ = F.multi_head_attention_forward(q, k * 0, v * 0, *arguments, static_k=keys, static_v=values)
    close(y, F.multi_head_attention_forward(q, k, v, *arguments)[0].detach().numpy())


@pytest.mark.parametrize("call, error, message", [
    (lambda: nn.MultiheadAttention(7, 2), AssertionError, "divisible"),
    (lambda: nn.MultiheadAttention(0, 2), ValueError, "greater than 0"),
    (lambda: run(mt.ones(L, N, 6)), AssertionError, "embedding dimension of 8"),
    (lambda: run(mt.ones(L, N, E, 1)), AssertionError, "4-D"),
    (lambda: run(mt.ones(L, N, E), mt.ones(S, E)), AssertionError, "batched"),
    (lambda: run(mt.ones(L, N, E), value=mt.ones(S + 1, N, E)), AssertionError, "does not match value"),
    (lambda: run(attn_mask=mt.zeros(L, S + 1)), RuntimeError, r"should be \(4, 5\)"),
    (lambda: run(attn_mask=mt.zeros(N, L, S)), RuntimeError, r"should be \(6, 4, 5\)"),
    (lambda: run(key_padding_mask=mt.zeros(N, S + 1)), AssertionError, r"\(3, 5\)"),
    (lambda: run(key_padding_mask=mt.zeros(S)), AssertionError, "key_padding_mask"),
    (lambda: run(attn_mask=mt.zeros(L, S, dtype=mt.int64)), AssertionError, "bool and floating"),
    (lambda: nn.TransformerEncoderLayer(E, 2, activation="tanh"), RuntimeError, "relu/gelu"),
    (lambda: nn.Transformer(E, 2, 1, 1, 4)(mt.ones(L, N, E), mt.ones(L, 2, E)), RuntimeError, "batch number"),
    (lambda: nn.Transformer(E, 2, 1, 1, 4)(mt.ones(L, N, 6), mt.ones(L, N, E)), RuntimeError, "d_model=8"),
])
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def run(query=None, key=None, value=None, **masks):
    query = mt.ones(L, N, E) if query is None else query
    key = mt.ones(S, N, E) if key is None else key
    return nn.MultiheadAttention(E, 2)(query, key, key if value is None else value, **masks)


def normalised(norm, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + norm.eps)
    return x * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def feed_forward(layer, x):
    for linear, activation in ((layer.linear1, lambda x: np.maximum(x, 0)), (layer.linear2, lambda x: x)):
        x = activation(x @ linear.weight.detach().numpy().T + linear.bias.detach().numpy())
    return x


@pytest.mark.parametrize("norm_first", [False, True])
def test_layers_are_their_closed_form(rng, norm_first):
    options = {"dropout": 0.0, "batch_first": True, "norm_first": norm_first, "dtype": mt.float64}
    encoder, decoder = nn.TransformerEncoderLayer(E, 2, 16, **options), nn.TransformerDecoderLayer(E, 2, 16, **options)
    for p in [*encoder.parameters(), *decoder.parameters()]:
        p.data = mt.tensor(rng.standard_normal(p.shape))
    x, memory, _ = inputs(rng)

    def apply(layer, x, parts):
        for i, part in enumerate(parts, 1):
            norm = getattr(layer, f"norm{i}")
            x = x + part(normalised(norm, x)) if norm_first else normalised(norm, x + part(x))
        return x

    expected = apply(encoder, x, [lambda z: attention(encoder.self_attn, z, z, z)[0],
                                  lambda z: feed_forward(encoder, z)])
    close(encoder(mt.tensor(x)), expected)
    expected = apply(decoder, x, [lambda z: attention(decoder.self_attn, z, z, z)[0],
                                  lambda z: attention(decoder.multihead_attn, z, memory, memory)[0],
                                  lambda z: feed_forward(decoder, z)])
    close(decoder(mt.tensor(x), mt.tensor(memory)), expected)


def test_stacks_start_alike_and_are_trained_apart():
    layer = nn.TransformerEncoderLayer(E, 2, 16, activation=nn.SiLU())
    stack = nn.TransformerEncoder(layer, 3, nn.LayerNorm(E))
    first, last = stack.layers[0].linear1.weight, stack.layers[2].linear1.weight
    assert first is not last and mt.equal(first, last)
    assert [name for name, _ in layer.named_children()][-1] == "activation"
    stack(mt.ones(L, N, E)).sum().backward()
    assert all(p.grad is not None for p in stack.parameters())


def test_padding_is_zero_in_evaluation():
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(E, 2, 16, batch_first=True), 1).eval()
    x, ends, holes = mt.randn(2, 3, E), *(mt.tensor([row, [0, 0, 0]]).bool() for row in ([0, 0, 1], [0, 1, 0]))
    full = stack(x, src_key_padding_mask=ends)
    with mt.no_grad():
        y = stack(x, src_key_padding_mask=ends)
        assert stack(x, src_key_padding_mask=holes)[0, 1].ne(0).all()
        assert nn.TransformerEncoder(stack.layers[0], 1, enable_nested_tensor=False)(
            x, src_key_padding_mask=ends)[0, 2].ne(0).all()
    assert y[0, 2].eq(0).all() and full[0, 2].ne(0).all()
    close(y[1], full[1].detach().numpy())


RECORDED = [0.924239, 0.7775514, 0.7295322, 0.5003847, 0.505102]


def test_recorded_figures_of_a_training_run():
    """Losses that PyTorch 2.13 prints for the same program: initial values, dropout, gradients, all of it."""
    mt.manual_seed(0)
    model = nn.Transformer(16, 4, 2, 2, 32, dropout=0.1, activation="gelu", batch_first=True)
    optimizer = mt.optim.AdamW(model.parameters(), lr=1e-2)
    src, tgt = mt.randn(3, 6, 16), mt.randn(3, 5, 16)
    mask, padding = model.generate_square_subsequent_mask(5), mt.zeros(3, 6).bool()
    padding[0, 4:] = True
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = (model(src, tgt, tgt_mask=mask, src_key_padding_mask=padding) - tgt).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses, RECORDED, rtol=1e-4)


def test_backends():
    q = mt.randn(1, 2, 3, 4)
    y = F.scaled_dot_product_attention(q, q, q)
    for backends in (SDPBackend.MATH, SDPBackend.FLASH_ATTENTION, [SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION]):
        with sdpa_kernel(backends):
            close(F.scaled_dot_product_attention(q, q, q), y.numpy())
    with sdpa_kernel(SDPBackend.MATH):
        assert "reference   runs" in mt.explain("attention")
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION), pytest.raises(RuntimeError, match="No viable backend"):
        F.scaled_dot_product_attention(q, q, q)
    with pytest.raises(AssertionError), sdpa_kernel("math"):
        pass
    assert int(SDPBackend.FLASH_ATTENTION) == 1 and str(SDPBackend.MATH) == "SDPBackend.MATH"


# Beside PyTorch


def pair(torch, name, *args, **kwargs):
    """The layer here and there, from the same seed; all initial values agree."""
    mt.manual_seed(3)
    torch.manual_seed(3)
    ours, theirs = getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)
    assert repr(ours) == repr(theirs)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for key, value in ours.state_dict().items():
        close(value, state[key].numpy())
    return ours, theirs


def train_both(torch, ours, theirs, arrays, masks, steps=2):
    """Outputs and gradients agree, with the same random numbers in dropout."""
    mt.manual_seed(1)
    torch.manual_seed(1)
    for _ in range(steps):
        xs, ts = ([library.tensor(a, requires_grad=True) for a in arrays] for library in (mt, torch))
        y = ours(*xs, **{key: mt.tensor(value) for key, value in masks.items()})
        z = theirs(*ts, **{key: torch.tensor(value) for key, value in masks.items()})
        close(y, z.detach().numpy(), 1e-4)
        y.square().sum().backward()
        z.square().sum().backward()
        for x, t in [*zip(xs, ts), *zip(ours.parameters(), theirs.parameters())]:
            scale = max(1.0, float(t.grad.abs().max()))
            np.testing.assert_allclose(x.grad.numpy() / scale, t.grad.numpy() / scale, atol=1e-4)
            x.grad = t.grad = None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["TransformerEncoderLayer", "TransformerDecoderLayer", "Transformer"])
@pytest.mark.parametrize("options", [
    {}, {"norm_first": True, "activation": "gelu", "batch_first": True},
    {"bias": False, "dropout": 0.4, "layer_norm_eps": 1e-3, "batch_first": True}], ids=str)
def test_layers_beside_pytorch(torch, rng, name, options):
    sizes = (E, 2, 2, 2, 16) if name == "Transformer" else (E, 2, 16)
    ours, theirs = pair(torch, name, *sizes, **options)
    arrays = [rng.standard_normal((L, L, E)).astype("f") for _ in range(1 if "Encoder" in name else 2)]
    causal, padding = np.triu(np.full((L, L), -np.inf, "f"), 1), np.zeros((L, L), "f")
    padding[0, 2:] = -np.inf
    prefix = "src" if "Encoder" in name else "tgt"
    for masks in ({}, {f"{prefix}_mask": causal}, {f"{prefix}_mask": causal, f"{prefix}_key_padding_mask": padding}):
        train_both(torch, ours, theirs, arrays, masks, steps=1)
