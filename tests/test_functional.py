"""`nn.functional`: PyTorch's names, arguments and results."""
from __future__ import annotations

import inspect
import math
import warnings

import numpy as np
import pytest

import minitorch
from minitorch import nn
from minitorch.nn import functional as F

MISSING = {  # of PyTorch's: for other hardware, or internal
    "assert_int_or_pair", "boolean_dispatch", "conv_tbc", "grouped_mm", "handle_torch_function", "has_torch_function",
    "has_torch_function_unary", "has_torch_function_variadic", "native_channel_shuffle",
    "scaled_grouped_mm", "scaled_mm", "Optional", "multi_head_attention_forward",
}


def test_every_function_is_there(torch):
    theirs = {name for name, f in vars(torch.nn.functional).items()
              if callable(f) and not inspect.isclass(f) and not name.startswith("_")}
    internal = {name for name in theirs if name.endswith("_with_indices")}
    assert theirs - internal - MISSING <= set(dir(F)), sorted(theirs - internal - MISSING - set(dir(F)))


def test_argument_names(torch):
    """Where PyTorch's function says what its arguments are, ours have the same names, order and defaults."""
    wrong = []
    for name in F.__all__:
        theirs = getattr(torch.nn.functional, name, None)
        try:
            other = inspect.signature(theirs)
        except (TypeError, ValueError):
            continue
        if name == "batch_norm" or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in other.parameters.values()):
            continue
        mine = list(inspect.signature(getattr(F, name)).parameters.values())
        mine = mine[1:] if mine and mine[0].name == "k" else mine
        # a tensor may have another name: the decorator of ops takes `input=` as well
        if [(p.name, p.default) for p in mine if p.kind is not p.POSITIONAL_ONLY][:len(other.parameters)] != \
                [(p.name, p.default) for p in list(other.parameters.values())][sum(
                    p.kind is p.POSITIONAL_ONLY for p in mine):]:
            wrong.append((name, str(inspect.signature(getattr(F, name))), str(other)))
    assert not wrong, "\n".join(map(str, wrong))


def t(*shape, seed=0, requires_grad=False):
    return minitorch.tensor(np.random.default_rng(seed).standard_normal(shape), dtype=minitorch.float32,
                            requires_grad=requires_grad)


def both(torch, call, *shapes, dtype="float32", requires_grad=True):
    """`call(functional, *inputs)` in both libraries, its value and gradients compared."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    found = []
    for lib in (minitorch, torch):
        lib.manual_seed(5)
        xs = [lib.tensor(a, requires_grad=requires_grad) for a in arrays]
        y = call(lib, *xs)
        if requires_grad:
            y.square().sum().backward()
        found.append([y.detach().numpy(), *(x.grad.numpy() for x in xs if requires_grad)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


INPLACE = ["relu", "relu6", "hardtanh", "elu", "celu", "selu", "leaky_relu", "silu", "mish", "hardswish", "hardsigmoid",
           "rrelu"]


@pytest.mark.parametrize("name", INPLACE)
def test_inplace_activations(name):
    x = t(4, 5)
    before = x.numpy().copy()
    y = getattr(F, name)(x)
    assert y is not x and np.array_equal(x.numpy(), before)
    z = getattr(F, name)(x, inplace=True)
    assert z is x and np.array_equal(x.numpy(), y.numpy())
    if hasattr(F, name + "_"):
        x = minitorch.tensor(before)
        assert getattr(F, name + "_")(x) is x and np.array_equal(x.numpy(), y.numpy())


@pytest.mark.parametrize("name, shape", [
    ("dropout", (20, 30)), ("dropout1d", (4, 5, 3)), ("dropout1d", (5, 3)), ("dropout2d", (4, 5, 3, 2)),
    ("dropout2d", (5, 3, 2)), ("dropout3d", (2, 5, 3, 2, 2)), ("dropout3d", (5, 3, 2, 2)), ("alpha_dropout", (20, 30)),
    ("feature_alpha_dropout", (4, 5, 3))])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropouts(torch, name, shape, p):
    both(torch, lambda lib, x: getattr(lib.nn.functional, name)(x, p, training=True), shape)
    x = t(*shape)
    np.testing.assert_array_equal(getattr(F, name)(x, p, training=False).numpy(), x.numpy())
    for bad in (-0.1, 1.5):
        with pytest.raises(ValueError, match="between 0 and 1"):
            getattr(F, name)(x, bad, training=True)


def test_dropout_in_place_and_by_channel():
    minitorch.manual_seed(0)
    x = minitorch.ones(20, 10, 3, 2)
    y = F.dropout2d(x, 0.5, inplace=True)
    assert y is x and set(np.unique(x.numpy())) == {0.0, 2.0}
    assert all(len(np.unique(plane)) == 1 for plane in x.numpy().reshape(200, 6))
    with pytest.raises(RuntimeError):
        F.dropout1d(minitorch.ones(3))


def test_softmax_family(torch):
    for name in ("softmax", "log_softmax", "softmin"):
        both(torch, lambda lib, x, name=name: getattr(lib.nn.functional, name)(x, dim=1), (3, 4))
        y = getattr(F, name)(minitorch.tensor([[1, 2]]), dim=1, dtype=minitorch.float64)
        assert y.dtype is minitorch.float64
        with pytest.warns(UserWarning, match="Implicit dimension choice"):
            implicit = getattr(F, name)(t(2, 3, 4))
        np.testing.assert_array_equal(implicit.numpy(), getattr(F, name)(t(2, 3, 4), 0).numpy())
        getattr(F, name)(t(2, 3), 1, 3)  # _stacklevel


def test_gumbel_softmax(torch):
    both(torch, lambda lib, x: lib.nn.functional.gumbel_softmax(x, tau=0.7), (30, 4))
    both(torch, lambda lib, x: lib.nn.functional.gumbel_softmax(x, hard=True, dim=0), (3, 40))
    hard = F.gumbel_softmax(t(50, 4, requires_grad=True), hard=True)
    assert ((hard == 0) | (hard == 1)).all() and (hard.sum(1) == 1).all() and hard.requires_grad


def test_normalize(torch):
    both(torch, lambda lib, x: lib.nn.functional.normalize(x), (3, 4))
    both(torch, lambda lib, x: lib.nn.functional.normalize(x, p=1, dim=(0, 2)), (3, 4, 2))
    out = minitorch.empty(1, 2)
    assert F.normalize(minitorch.tensor([[3.0, 4.0]]), out=out) is out
    np.testing.assert_allclose(out.numpy(), [[0.6, 0.8]], rtol=1e-6)
    assert (F.normalize(minitorch.zeros(2, 3)) == 0).all()


@pytest.mark.parametrize("options", [
    {}, {"is_causal": True}, {"scale": 0.3}, {"mask": "bool"}, {"mask": "float"}, {"dropout_p": 0.4},
    {"enable_gqa": True, "heads": 1}])
def test_attention(torch, options):
    options = dict(options)
    mask, heads = options.pop("mask", None), options.pop("heads", 2)

    def call(lib, q, k, v):
        rng = np.random.default_rng(1)
        if mask == "bool":
            options["attn_mask"] = lib.tensor(rng.random((2, 1, 3, 4)) < 0.7)
        if mask == "float":
            options["attn_mask"] = lib.tensor(rng.standard_normal((3, 4)).astype(np.float32))
        return lib.nn.functional.scaled_dot_product_attention(q, k, v, **options)

    if options.get("dropout_p"):  # PyTorch draws its mask in another way
        minitorch.manual_seed(0)
        qkv = t(2, 3, 5), t(2, 4, 5, seed=1), t(2, 4, 6, seed=2)
        mean = np.mean([call(minitorch, *qkv).numpy() for _ in range(2000)], 0)
        options.clear()
        expected = call(minitorch, *qkv).numpy()
        np.testing.assert_allclose(mean, expected, atol=0.1)
        return
    both(torch, call, (2, 2, 3, 5), (2, heads, 4, 5), (2, heads, 4, 6))


def test_attention_errors():
    q = t(2, 3, 5)
    with pytest.raises(RuntimeError, match="is_causal"):
        F.scaled_dot_product_attention(q, q, q, attn_mask=minitorch.ones(3, 3), is_causal=True)


def test_losses_old_flags(torch):
    x, target = t(3, 4), t(3, 4, seed=1)
    for flags, reduction in (({"size_average": False}, "sum"), ({"reduce": False}, "none"), ({"reduce": True}, "mean")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            old = F.mse_loss(x, target, **flags)
            layer = nn.MSELoss(**flags)
        np.testing.assert_array_equal(old.numpy(), F.mse_loss(x, target, reduction=reduction).numpy())
        assert layer.reduction == reduction
    with pytest.warns(UserWarning, match="elementwise_mean"):
        first_name = F.mse_loss(x, target, reduction="elementwise_mean")
    assert first_name.item() == F.mse_loss(x, target).item()
    with pytest.warns(UserWarning, match="Using a target size"):
        F.mse_loss(t(3, 1), t(3))
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(x, F.softmax(target, 1))


def test_triplet_margin_with_distance(torch):
    both(torch, lambda lib, a, b, c: lib.nn.functional.triplet_margin_with_distance_loss(
        a, b, c, distance_function=lambda x, y: (x - y).abs().sum(-1), margin=2.0, swap=True), (4, 3), (4, 3), (4, 3))
    with pytest.raises(ValueError):
        F.triplet_margin_with_distance_loss(t(2, 2), t(2, 2), t(2, 2), reduction="no")


def test_pdist(torch):
    for p in (2.0, 1.0, 3.0, math.inf):
        both(torch, lambda lib, x, p=p: lib.nn.functional.pdist(x, p), (5, 3))
    assert F.pdist(t(1, 3)).shape == (0,)


@pytest.mark.parametrize("nd, options", [
    (2, {"kernel_size": 2, "output_size": 3}), (2, {"kernel_size": (2, 3), "output_ratio": (0.5, 0.6)}),
    (3, {"kernel_size": 2, "output_size": (2, 3, 1)}), (2, {"kernel_size": 3, "output_size": 1})])
def test_fractional_max_pool(torch, nd, options):
    name = f"fractional_max_pool{nd}d"
    both(torch, lambda lib, x: getattr(lib.nn.functional, name)(x, **options), (2, 3, 7, 6, 5)[:nd + 2])
    samples = np.random.default_rng(1).random((2, 3, nd)).astype(np.float32)
    both(torch, lambda lib, x: getattr(lib.nn, f"FractionalMaxPool{nd}d")(
        **options, _random_samples=lib.tensor(samples))(x), (2, 3, 7, 6, 5)[:nd + 2])
    y, index = getattr(F, name)(t(3, *(7, 6, 5)[:nd]), **options, return_indices=True)
    np.testing.assert_array_equal(t(3, *(7, 6, 5)[:nd]).reshape(3, -1).gather(1, index.reshape(3, -1)).numpy(),
                                  y.reshape(3, -1).numpy())
    for bad, error in ((dict(kernel_size=2), ValueError), (dict(kernel_size=2, output_ratio=1.5), ValueError),
                       (dict(kernel_size=9, output_size=1), RuntimeError)):
        with pytest.raises(error):
            getattr(F, name)(t(3, *(7, 6, 5)[:nd]), **bad)


def test_bilinear(torch):
    both(torch, lambda lib, a, b, w, c: lib.nn.functional.bilinear(a, b, w, c), (5, 3), (5, 4), (2, 3, 4), (2,))


def test_embedding(torch):
    index = np.array([[1, 2], [4, 4]])
    both(torch, lambda lib, w: lib.nn.functional.embedding(lib.tensor(index), w, padding_idx=4), (6, 3))
    w = t(6, 3)
    F.embedding(minitorch.tensor(index), w, max_norm=0.5)
    norms = np.linalg.norm(w.numpy(), axis=1)
    assert (norms[[1, 2, 4]] <= 0.5 + 1e-6).all() and norms[[0, 3, 5]].max() > 0.5
    for bad in (6, -1):
        with pytest.raises(IndexError):
            F.embedding(minitorch.tensor([bad]), w)
    with pytest.raises((RuntimeError, TypeError)):
        F.embedding(minitorch.tensor([1.0]), w)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(torch, mode):
    index, offsets = np.array([1, 2, 4, 5, 4, 3, 2, 0]), np.array([0, 3, 3, 6])

    def flat(lib, w, **options):
        return lib.nn.functional.embedding_bag(lib.tensor(index), w, lib.tensor(offsets), mode=mode, **options)

    both(torch, flat, (6, 3))
    both(torch, lambda lib, w: flat(lib, w, padding_idx=4), (6, 3))
    offsets[-1] = 8
    both(torch, lambda lib, w: flat(lib, w, include_last_offset=True), (6, 3))
    both(torch, lambda lib, w: lib.nn.functional.embedding_bag(lib.tensor(index.reshape(4, 2)), w, mode=mode), (6, 3))


def test_embedding_bag_weights_and_errors(torch):
    index = np.array([[1, 2], [4, 4]])
    both(torch, lambda lib, w, s: lib.nn.functional.embedding_bag(
        lib.tensor(index), w, mode="sum", per_sample_weights=s), (6, 3), (2, 2))
    w = t(6, 3)
    flat = minitorch.tensor([1, 2])
    for error, call in (
            (ValueError, lambda: F.embedding_bag(flat, w)),
            (ValueError, lambda: F.embedding_bag(minitorch.tensor(index), w, minitorch.tensor([0]))),
            (ValueError, lambda: F.embedding_bag(flat, w, minitorch.tensor([1]))),
            (ValueError, lambda: F.embedding_bag(minitorch.tensor(index), w, mode="min")),
            (NotImplementedError, lambda: F.embedding_bag(minitorch.tensor(index), w, per_sample_weights=t(2, 2)))):
        with pytest.raises(error):
            call()


def test_running_statistics(torch):
    x = np.random.default_rng(0).standard_normal((6, 3, 4)).astype(np.float32)
    for name in ("batch_norm", "instance_norm"):
        found = []
        for lib in (minitorch, torch):
            mean, var = lib.zeros(3), lib.ones(3)
            f = getattr(lib.nn.functional, name)
            options = {"training" if name == "batch_norm" else "use_input_stats": True}
            f(lib.tensor(x), mean, var, momentum=0.3, **options)
            y = f(lib.tensor(x), mean, var, **dict.fromkeys(options, False))
            found.append((mean.numpy(), var.numpy(), y.numpy()))
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_batch_norm_keeps_statistics_when_it_fails():
    mean, var = minitorch.zeros(3), minitorch.ones(3)
    with pytest.raises(ValueError):
        F.batch_norm(minitorch.ones(1, 3), mean, var, training=True)
    assert (mean == 0).all() and (var == 1).all()


def test_max_pool_returns_indices_that_unpool():
    x = t(2, 3, 4, 6)
    y, index = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(y, index, 2)
    assert back.shape == x.shape and index.dtype is minitorch.int64
    np.testing.assert_array_equal(F.max_pool2d(back.clamp_min(-9) + (back == 0) * -9, 2).numpy(), y.numpy())


def test_one_hot_and_pad_constant():
    assert F.one_hot(minitorch.tensor([0, 2]), 3).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert F.pad(minitorch.tensor([[1, 2]]), (1, 0), value=7).tolist() == [[7, 1, 2]]
    assert F.pad(t(2, 3), (1, 1)).shape == (2, 5)


def test_recorded_figures():
    """Closed forms, where PyTorch is not there to ask."""
    x = minitorch.tensor([[1.0, 2.0, 3.0]])
    loss = F.cross_entropy(x, minitorch.tensor([0])).item()
    assert loss == pytest.approx(math.log(1 + math.e + math.e ** 2), rel=1e-6)
    assert F.gelu(minitorch.tensor(1.0)).item() == pytest.approx(0.8413447, rel=1e-6)
    assert F.softplus(minitorch.tensor(0.0)).item() == pytest.approx(math.log(2), rel=1e-6)
    assert F.layer_norm(x, (3,)).tolist()[0] == pytest.approx([-1.2247357, 0, 1.2247357], rel=1e-5)
    assert F.scaled_dot_product_attention(x, x, x).tolist() == x.tolist()


@pytest.mark.parametrize("initial", [None, 0.5])
@pytest.mark.parametrize(("reduce", "function", "start"), [
    ("sum", np.sum, 0), ("mean", np.mean, np.nan), ("prod", np.prod, 1), ("max", np.max, -np.inf),
    ("min", np.min, np.inf)])
def test_segment_reduce(reduce, function, start, initial):
    data, lengths = np.random.default_rng(0).standard_normal((6, 2)), [2, 0, 3, 1]
    expected, first = np.empty((4, 2)), 0
    for i, n in enumerate(lengths):
        rows, first = data[first:first + n], first + n
        if initial is None:
            expected[i] = function(rows, axis=0) if n else start
        elif reduce == "mean":
            expected[i] = (rows.sum(0) + initial) / max(n, 1)
        else:
            expected[i] = function(np.concatenate([rows, np.full((1, 2), initial)]), axis=0)
    x = minitorch.tensor(data, requires_grad=True)
    found = minitorch.segment_reduce(x, reduce, lengths=minitorch.tensor(lengths), initial=initial)
    np.testing.assert_allclose(found.detach().numpy(), expected)
    offsets = minitorch.tensor([0, *np.cumsum(lengths).tolist()])
    np.testing.assert_allclose(minitorch.segment_reduce(x, reduce, offsets=offsets, initial=initial).detach(), expected)
    stacked = minitorch.segment_reduce(x.detach().expand(3, 6, 2), reduce, axis=1, initial=initial,
                                       lengths=minitorch.tensor([lengths] * 3))
    np.testing.assert_allclose(stacked.numpy(), np.broadcast_to(expected, (3, 4, 2)))
    if reduce == "sum":
        (found * minitorch.arange(4.0, dtype=minitorch.float64)[:, None]).sum().backward()
        assert x.grad[:, 0].tolist() == [0, 0, 2, 2, 2, 3]


def test_segment_reduce_refuses():
    x = minitorch.ones(3)
    for arguments in ({"lengths": minitorch.tensor([1, 1])}, {"lengths": minitorch.tensor([4, -1])}, {},
                      {"lengths": minitorch.tensor([[3]])}, {"indices": minitorch.tensor([0, 0, 1])}):
        with pytest.raises(RuntimeError, match="segment_reduce"):
            minitorch.segment_reduce(x, "sum", **arguments)
    with pytest.raises(RuntimeError, match="unsupported reduction"):
        minitorch.segment_reduce(x, "norm", lengths=minitorch.tensor([3]))


def test_arguments_that_are_no_tensors():
    x = minitorch.ones(2)
    for call in (lambda: minitorch.nn.Linear(2, 2)(1), lambda: x @ 3, lambda: 3 @ x, lambda: minitorch.relu("a"),
                 lambda: minitorch.matmul(x, [1, 2])):
        with pytest.raises(TypeError, match=r"must be Tensor, not (int|list|str)"):
            call()


def test_complex_numbers_have_no_order():
    z = minitorch.tensor([1j, 2.0])
    for call in (z.max, z.min, z.argmax, z.sort, z.argsort, lambda: z.max(0), lambda: z.topk(1)):
        with pytest.raises(RuntimeError, match="complex"):
            call()
    assert [d.to_real() for d in (minitorch.complex64, minitorch.complex128, minitorch.float16)] == \
        [minitorch.float32, minitorch.float64, minitorch.float16]
