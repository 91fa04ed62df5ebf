"""Containers, names that programs import, clipping, flattening, weight and spectral norm, figures of whole models."""
from __future__ import annotations

import copy
import importlib
import math
from collections import OrderedDict

import numpy as np
import pytest

import minitorch
from minitorch import nn
from minitorch.nn import utils

# Containers: the same programs in both libraries


def model(lib):
    n = lib.nn
    return n.Sequential(OrderedDict([("first", n.Linear(3, 4)), ("act", n.ReLU()), ("last", n.Linear(4, 2))]))


def grown(lib):
    n = lib.nn
    s = n.Sequential(n.ReLU(), n.Tanh())
    s.append(n.Linear(2, 2)).insert(0, n.Identity()).extend([n.Sigmoid(), n.ELU()])
    del s[1]
    s += n.Sequential(n.GELU())
    s[-2] = n.Mish()
    s.insert(-1, n.SiLU())
    return s + n.Sequential(n.SELU()) * 2


PROGRAMS = {
    "named": model,
    "slice": lambda lib: model(lib)[1:],
    "last": lambda lib: model(lib)[-1],
    "grown": grown,
    "times": lambda lib: 2 * lib.nn.Sequential(lib.nn.ReLU(), lib.nn.Linear(2, 2)),
    "popped": lambda lib: lib.nn.Sequential(lib.nn.ReLU(), lib.nn.Linear(2, 3)).pop(1),
    "empty": lambda lib: lib.nn.Sequential(),
    "nested": lambda lib: lib.nn.Sequential(model(lib), lib.nn.ModuleList([lib.nn.ReLU(), model(lib), model(lib)])),
    "list": lambda lib: lib.nn.ModuleList([lib.nn.Linear(2, 2) for _ in range(3)] + [lib.nn.Linear(2, 3)]),
    "list slice": lambda lib: lib.nn.ModuleList([lib.nn.Linear(2, i + 1) for i in range(5)])[1::2],
    "list sum": lambda lib: lib.nn.ModuleList([lib.nn.ReLU()]) + lib.nn.ModuleList([lib.nn.Tanh()]),
    "list empty": lambda lib: lib.nn.ModuleList(),
    "dict": lambda lib: lib.nn.ModuleDict({"conv": lib.nn.Conv2d(1, 2, 3), "pool": lib.nn.MaxPool2d(3)}),
    "dict pairs": lambda lib: lib.nn.ModuleDict([["lrelu", lib.nn.LeakyReLU()], ["prelu", lib.nn.PReLU()]]),
    "parameters": lambda lib: lib.nn.ParameterList([lib.nn.Parameter(lib.ones(2, 3)), lib.zeros(3), "text"]),
    "parameter dict": lambda lib: lib.nn.ParameterDict({"a": lib.nn.Parameter(lib.ones(2, 3)), "b": lib.zeros(1)}),
    "data parallel": lambda lib: lib.nn.DataParallel(lib.nn.Linear(2, 2)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_containers_as_in_torch(torch, name):
    found = []
    for lib in (minitorch, torch):
        lib.manual_seed(0)
        found.append(PROGRAMS[name](lib))
    ours, theirs = found
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6)


def test_sequential():
    s = model(minitorch)
    x = minitorch.randn(5, 3)
    np.testing.assert_array_equal(s(x).detach().numpy(), s[2](s[1](s.first(x))).detach().numpy())
    assert len(s) == 3 and [type(m).__name__ for m in s] == ["Linear", "ReLU", "Linear"]
    assert s[:2].first is s.first
    assert nn.Sequential()(3) == 3
    for bad, error in ((lambda: s[3], IndexError), (lambda: s[-4], IndexError), (lambda: s + nn.ReLU(), ValueError),
                       (lambda: s * 0, ValueError), (lambda: s * "a", TypeError), (lambda: nn.Sequential(3), TypeError),
                       (lambda: s.insert(0, 3), AssertionError), (lambda: s.insert(9, nn.ReLU()), IndexError)):
        with pytest.raises(error):
            bad()
    assert len(s) == 3


def test_module_list():
    layers = nn.ModuleList([nn.ReLU()])
    layers.append(nn.Tanh()).extend([nn.ELU(), nn.GELU()])
    layers.insert(1, nn.SiLU())
    assert [type(m).__name__ for m in layers] == ["ReLU", "SiLU", "Tanh", "ELU", "GELU"]
    assert type(layers.pop(1)).__name__ == "SiLU"
    del layers[0:2]
    layers[0] = nn.Mish()
    assert [type(m).__name__ for m in layers] == ["Mish", "GELU"] and list(layers._modules) == ["0", "1"]
    for bad, error in ((lambda: layers[2], IndexError), (lambda: layers.extend(3), TypeError),
                       (lambda: layers.append(3), TypeError), (lambda: layers(1), NotImplementedError)):
        with pytest.raises(error):
            bad()


def test_module_dict():
    layers = nn.ModuleDict({"a": nn.ReLU()})
    layers["b"] = nn.Tanh()
    layers.update({"c": nn.ELU()})
    assert list(layers) == list(layers.keys()) == ["a", "b", "c"] and "b" in layers and len(layers) == 3
    assert layers.pop("a") is not None and [k for k, _ in layers.items()] == ["b", "c"]
    del layers["b"]
    assert [type(m).__name__ for m in layers.values()] == ["ELU"]
    layers.clear()
    assert len(layers) == 0
    for bad, error in ((lambda: layers["x"], KeyError), (lambda: layers.update(3), TypeError),
                       (lambda: layers.update([(1, 2, 3)]), ValueError),
                       (lambda: layers.update({"a.b": nn.ReLU()}), KeyError)):
        with pytest.raises(error):
            bad()


def test_parameter_list_and_dict():
    values = nn.ParameterList([minitorch.ones(2)])
    values.append(minitorch.zeros(1)).extend([minitorch.ones(3)])
    values += [minitorch.ones(4)]
    assert len(list(values.parameters())) == len(values) == 4 and isinstance(values[-1], nn.Parameter)
    values[0] = minitorch.zeros(5)
    assert [p.numel() for p in values] == [5, 1, 3, 4] and [p.numel() for p in values[1:3]] == [1, 3]
    assert list(values.state_dict()) == ["0", "1", "2", "3"]
    with pytest.raises(TypeError):
        values.extend(minitorch.ones(2))
    with pytest.raises(IndexError):
        values[4]
    table = nn.ParameterDict({"a": minitorch.ones(2)})
    table["b"] = minitorch.ones(1)
    assert table.setdefault("c", minitorch.ones(3)) is table["c"] and table.get("x") is None and "b" in table
    assert list(table.state_dict()) == list(table) == ["a", "b", "c"]
    assert table.pop("a").numel() == 2 and len(table | {"z": minitorch.ones(1)}) == 3
    assert len(copy.deepcopy(table)) == 2
    with pytest.raises(KeyError):
        table["a"]


# Names

@pytest.mark.parametrize("path", [
    "modules.utils._pair", "modules.utils._single", "modules.utils._triple", "modules.batchnorm._BatchNorm",
    "modules.conv._ConvNd", "modules.module.Module", "modules.container.Sequential", "modules.linear.Linear",
    "modules.loss._Loss", "modules.activation.ReLU", "modules.sparse.Embedding", "modules.upsampling.Upsample",
    "modules.instancenorm._InstanceNorm", "modules.normalization.LayerNorm", "modules.pooling._MaxPoolNd",
    "modules.Linear", "parameter.Parameter", "parallel.DataParallel", "utils.clip_grad_norm_",
    "utils.clip_grad.clip_grad_norm_",
    "utils.convert_parameters.parameters_to_vector", "functional.relu",
    "init.xavier_uniform_", "Buffer",
])
def test_names_that_programs_import(path):
    owner, _, name = f"minitorch.nn.{path}".rpartition(".")
    assert hasattr(importlib.import_module(owner), name)


def test_pair():
    from minitorch.nn.modules.utils import _pair, _triple

    assert _pair(3) == (3, 3) and _pair([1, 2]) == (1, 2) and _triple(1) == (1, 1, 1)


def test_every_layer_has_pytorchs_signature(torch):
    """Names, order and defaults of the arguments."""
    import inspect

    for name in nn.modules.__all__:
        ours, theirs = getattr(nn, name), getattr(torch.nn, name, None)
        if theirs is None or name in ("Module", "Container"):
            continue
        mine, other = ([(p.name, getattr(p.default, "__name__", p.default), p.kind)
                        for p in inspect.signature(layer.__init__).parameters.values()] for layer in (ours, theirs))
        if name in ("Sigmoid", "Tanh", "LogSigmoid", "Softsign", "Tanhshrink", "Softmax2d"):
            continue  # nothing to set
        if name in ("RNN", "LSTM", "GRU"):
            continue  # PyTorch's own takes *args and **kwargs; test_recurrent.py has the arguments
        assert mine == other, name


def test_adaptive_softmax(torch):
    found = []
    for lib in (minitorch, torch):
        lib.manual_seed(0)
        layer = lib.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [4, 9], div_value=2.0, head_bias=True)
        x = lib.tensor(np.random.default_rng(0).standard_normal((7, 16)).astype(np.float32))
        output, loss = layer(x, lib.tensor([0, 3, 4, 8, 9, 19, 2]))
        loss.backward()
        single = layer(x[0], lib.tensor(5)).output
        found.append([repr(layer), list(layer.state_dict()), [
            v.detach().numpy() for v in (output, loss, single, layer.log_prob(x), layer.predict(x),
                                         *(p.grad for p in layer.parameters()))]])
        np.testing.assert_allclose(layer.log_prob(x).exp().sum(1).detach().numpy(), np.ones(7), rtol=1e-5)
        for bad in (lambda lib=lib, layer=layer, x=x: layer(x, lib.tensor([20] * 7)),
                    lambda lib=lib, layer=layer, x=x: layer(x, lib.tensor([1]))):
            with pytest.raises(RuntimeError):
                bad()
        for cutoffs in ([], [4, 4], [0], [20], [5, 4]):
            with pytest.raises(ValueError):
                lib.nn.AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs)
    ours, theirs = found
    assert ours[:2] == theirs[:2]
    for a, b in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name, args, shape", [
    ("LazyLinear", (4,), (2, 5, 3)), ("LazyConv1d", (4, 2), (2, 3, 5)), ("LazyConv2d", (4, 2), (2, 3, 5, 4)),
    ("LazyConv3d", (4, 2), (3, 3, 5, 4)), ("LazyConvTranspose2d", (4, 2), (2, 3, 5, 4)),
    ("LazyBatchNorm1d", (), (6, 3)),
    ("LazyBatchNorm2d", (), (6, 3, 2, 2)), ("LazyInstanceNorm1d", (), (2, 3, 5))])
def test_lazy_layers(torch, name, args, shape):
    found = []
    for lib in (minitorch, torch):
        lib.manual_seed(0)
        layer = getattr(lib.nn, name)(*args)
        before = repr(layer), list(layer.state_dict()), layer.has_uninitialized_params()
        layer.double()
        lib.manual_seed(0)
        x = lib.tensor(np.random.default_rng(0).standard_normal(shape))
        y = layer(x)
        found.append((*before, repr(layer), y.detach().numpy(), layer))
    ours, theirs = found
    assert ours[:4] == theirs[:4]
    np.testing.assert_allclose(ours[4], theirs[4], atol=1e-9)
    again = getattr(nn, name)(*args).double()
    again.load_state_dict(ours[-1].state_dict())
    x = minitorch.tensor(np.random.default_rng(0).standard_normal(shape))
    np.testing.assert_allclose(again(x).detach().numpy(), ours[4], atol=1e-9)
    with pytest.raises(RuntimeError, match="uninitialized"):
        tuple(nn.lazy.UninitializedParameter().shape)


# Clipping

def gradients(lib, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for shape in ((3, 4), (5,), (), (0, 2)):
        p = lib.zeros(shape, requires_grad=True)
        p.grad = lib.tensor(np.asarray(3 * rng.standard_normal(shape), np.float32))
        found.append(p)
    return [*found, lib.zeros(2, requires_grad=True)]


@pytest.mark.parametrize("norm_type", [2.0, 1, 0.5, 3, math.inf, "inf"])
@pytest.mark.parametrize("max_norm", [0.1, 1000.0])
def test_clip_grad_norm(torch, norm_type, max_norm):
    ours, theirs = gradients(minitorch), gradients(torch)
    if norm_type in (math.inf, "inf"):
        del ours[3], theirs[3]  # PyTorch has no infinity norm of nothing
    total = utils.clip_grad_norm_(ours, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert total.shape == () and total.item() == pytest.approx(expected.item(), rel=1e-5)
    for p, q in zip(ours[:-1], theirs[:-1], strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-5)


def test_clip_grad_norm_closed_form():
    p = minitorch.zeros(2, requires_grad=True)
    p.grad = minitorch.tensor([3.0, 4.0])
    assert utils.clip_grad_norm_([p], 1.0).item() == 5.0
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-5)
    assert utils.clip_grad_norm_(p, 10.0).item() == pytest.approx(1.0)
    assert utils.clip_grad_norm_([], 1.0).item() == 0.0
    assert utils.clip_grad_norm_(iter([p]), 0.5).item() == pytest.approx(1.0)
    np.testing.assert_allclose(p.grad.numpy(), [0.3, 0.4], rtol=1e-5)
    p.grad = minitorch.tensor([1e30, 1e30])  # squares overflow float32, not the norm
    assert utils.clip_grad_norm_(p, 1.0).item() == pytest.approx(math.sqrt(2) * 1e30, rel=1e-5)
    p.grad = minitorch.tensor([1.0, math.nan])
    with pytest.raises(RuntimeError, match="non-finite"):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    assert math.isnan(utils.clip_grad_norm_(p, 1.0).item()) and np.isnan(p.grad.numpy()).all()
    with pytest.warns(FutureWarning):
        utils.clip_grad_norm(p, 1.0)


def test_clip_grad_value():
    ps = gradients(minitorch)
    expected = [np.clip(p.grad.numpy(), -0.5, 0.5) for p in ps[:-1]]
    utils.clip_grad_value_(ps, 0.5)
    for p, e in zip(ps[:-1], expected, strict=True):
        np.testing.assert_array_equal(p.grad.numpy(), e)


# Vectors, reparametrisations

def test_parameters_to_vector_and_back():
    layer = nn.Linear(3, 2)
    vector = utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (8,) and vector.requires_grad
    weight = layer.weight
    utils.vector_to_parameters(vector.detach() * 2, layer.parameters())
    assert layer.weight is weight and layer.weight.is_leaf
    np.testing.assert_allclose(utils.parameters_to_vector(layer.parameters()).detach().numpy(),
                               2 * vector.detach().numpy())
    with pytest.raises(TypeError):
        utils.vector_to_parameters([1.0], layer.parameters())


@pytest.mark.parametrize("make", [
    lambda lib: lib.nn.utils.weight_norm(lib.nn.Linear(3, 4)),
    lambda lib: lib.nn.utils.weight_norm(lib.nn.Linear(3, 4), dim=None),
    lambda lib: lib.nn.utils.weight_norm(lib.nn.Conv1d(3, 4, 2), dim=1),
    lambda lib: lib.nn.utils.spectral_norm(lib.nn.Linear(3, 4)),
    lambda lib: lib.nn.utils.spectral_norm(lib.nn.ConvTranspose1d(3, 4, 2), n_power_iterations=3),
], ids=["weight", "weight of all", "weight by input", "spectral", "spectral transposed"])
def test_reparametrised_weights(torch, make):
    found = []
    for lib in (minitorch, torch):
        lib.manual_seed(0)
        layer = make(lib)
        state = {k: tuple(v.shape) for k, v in layer.state_dict().items()}
        x = lib.tensor(np.random.default_rng(0).standard_normal((2, 3) if "Linear" in repr(layer) else (2, 3, 5)),
                       dtype=lib.float32)
        ys = []
        for training in (True, True, False):
            layer.train(training)
            layer.zero_grad()
            y = layer(x)
            y.square().sum().backward()
            ys.append([y.detach().numpy(), *(p.grad.numpy() for p in layer.parameters())])
        found.append((layer, state, ys))
    (ours, state, ys), (_, other, zs) = found
    assert state == other
    for y, z in zip(ys, zs, strict=True):
        for a, b in zip(y, z, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    before = ours.weight.detach().numpy().copy()
    remove = utils.remove_weight_norm if "weight_g" in state else utils.remove_spectral_norm
    assert remove(ours) is ours and isinstance(ours.weight, nn.Parameter)
    np.testing.assert_allclose(ours.weight.detach().numpy(), before, rtol=1e-5)
    assert set(ours.state_dict()) == {"weight", "bias"} and not ours._hooks["before"]
    with pytest.raises(ValueError, match="not found"):
        remove(ours)


def test_weight_norm_closed_form():
    layer = utils.weight_norm(nn.Linear(2, 1, bias=False))
    with minitorch.no_grad():
        layer.weight_v.copy_(minitorch.tensor([[3.0, 4.0]]))
        layer.weight_g.fill_(10.0)
    assert layer(minitorch.tensor([[1.0, 1.0]])).item() == pytest.approx(14.0)
    with pytest.raises(RuntimeError, match="two weight_norm"):
        utils.weight_norm(layer)


# Whole models

def test_sync_batch_norm_conversion():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU())).eval()
    state = copy.deepcopy(model.state_dict())
    other = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert type(other[1][0]) is nn.SyncBatchNorm and not other[1][0].training
    assert other.load_state_dict(state) is not None


def test_recorded_training():
    """Losses of three steps as PyTorch 2.13 prints them."""
    minitorch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
                        nn.Flatten(), nn.Linear(4 * 16, 5))
    x, target = minitorch.randn(6, 1, 8, 8), minitorch.tensor([0, 1, 2, 3, 4, 0])
    criterion = nn.CrossEntropyLoss()
    losses = []
    for _ in range(3):
        net.zero_grad()
        loss = criterion(net(x), target)
        loss.backward()
        losses.append(loss.item())
        with minitorch.no_grad():
            for p in net.parameters():
                p -= 0.1 * p.grad
    np.testing.assert_allclose(losses, RECORDED, rtol=2e-5)


RECORDED = [1.761661, 1.223227, 0.915153]
