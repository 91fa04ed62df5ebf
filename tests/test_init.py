"""Initialisers: the distributions they promise, and PyTorch's very numbers."""
from __future__ import annotations

import math

import numpy as np
import pytest

import minitorch
from minitorch import nn
from minitorch.nn import init

CALLS = [
    ("uniform_", (7, 5), {}), ("uniform_", (7, 5), {"a": -2.0, "b": 3.0}), ("normal_", (7, 5), {}),
    ("normal_", (40, 5), {"mean": 2.0, "std": 0.5}), ("trunc_normal_", (40, 5), {}),
    ("trunc_normal_", (40, 5), {"mean": 1.0, "std": 0.5, "a": 0.5, "b": 2.0}),
    ("trunc_normal_", (40, 5), {"a": 1.0, "b": 4.0}), ("trunc_normal_", (9,), {"a": -0.1, "b": 0.2}),
    ("constant_", (2, 3), {"val": 1.5}),
    ("ones_", (2, 3), {}), ("zeros_", (2, 3), {}), ("eye_", (3, 5), {}), ("eye_", (5, 3), {}),
    ("dirac_", (4, 3, 3), {}), ("dirac_", (4, 2, 3, 4), {"groups": 2}), ("dirac_", (2, 3, 1, 2, 3), {}),
    ("xavier_uniform_", (7, 5), {}), ("xavier_uniform_", (7, 5, 3, 2), {"gain": 2.0}), ("xavier_normal_", (7, 5), {}),
    ("kaiming_uniform_", (7, 5), {}), ("kaiming_uniform_", (7, 5, 3), {"a": 0.2, "mode": "fan_out"}),
    ("kaiming_normal_", (7, 5), {"nonlinearity": "relu"}),
    ("kaiming_normal_", (40, 5), {"mode": "fan_out", "nonlinearity": "tanh"}),
    ("orthogonal_", (5, 3), {}), ("orthogonal_", (3, 5), {"gain": 2.0}), ("orthogonal_", (4, 2, 3), {}),
    ("orthogonal_", (4, 4), {}), ("sparse_", (10, 4), {"sparsity": 0.3}),
    ("sparse_", (10, 4), {"sparsity": 0.55, "std": 2.0}),
]


@pytest.mark.parametrize("name, shape, options", CALLS, ids=lambda v: str(v))
def test_as_in_torch(torch, name, shape, options):
    minitorch.manual_seed(11)
    torch.manual_seed(11)
    ours, theirs = minitorch.full(shape, 9.0), torch.full(shape, 9.0)
    assert getattr(init, name)(ours, **options) is ours
    getattr(torch.nn.init, name)(theirs, **options)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-5, atol=1e-6)
    assert minitorch.rand(1).item() == torch.rand(1).item()  # as many numbers were drawn


def test_generator(torch):
    for name in ("uniform_", "normal_", "xavier_uniform_", "kaiming_normal_", "trunc_normal_", "orthogonal_"):
        ours, theirs = minitorch.empty(20, 3), torch.empty(20, 3)
        getattr(init, name)(ours, generator=minitorch.Generator().manual_seed(3))
        getattr(torch.nn.init, name)(theirs, generator=torch.Generator().manual_seed(3))
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-5, atol=1e-6)


def test_recorded_numbers():
    """PyTorch 2.13's, where it is not there to ask: Linear(3, 2) after seed 0."""
    minitorch.manual_seed(0)
    layer = nn.Linear(3, 2)
    np.testing.assert_allclose(layer.weight.detach().numpy(), [[-0.0043, 0.3097, -0.4752], [-0.4249, -0.2224, 0.1548]],
                               atol=1e-4)
    np.testing.assert_allclose(layer.bias.detach().numpy(), [-0.0114, 0.4578], atol=1e-4)


def test_distributions():
    minitorch.manual_seed(0)
    t = minitorch.empty(200, 500)
    fan_in, fan_out = 500, 200
    assert abs(init.xavier_normal_(t).std().item() / math.sqrt(2 / (fan_in + fan_out)) - 1) < 0.02
    assert abs(init.kaiming_uniform_(t, a=1.0).std().item() / math.sqrt(1 / fan_in) - 1) < 0.02
    wide = init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu")
    assert abs(wide.std().item() / math.sqrt(2 / fan_out) - 1) < 0.02
    cut = init.trunc_normal_(t, std=2.0, a=-1.0, b=1.5)
    assert -1.0 <= cut.min().item() < -0.99 and 1.49 < cut.max().item() <= 1.5
    q = init.orthogonal_(t, gain=3.0).double().numpy()
    np.testing.assert_allclose(q @ q.T, 9 * np.eye(200), atol=1e-4)
    assert ((init.sparse_(minitorch.empty(10, 40), 0.25) == 0).sum(0) == 3).all()


def test_dirac_hands_channels_on():
    x = minitorch.randn(2, 3, 5, 5)
    layer = nn.Conv2d(3, 3, 3, padding=1, bias=False)
    init.dirac_(layer.weight)
    np.testing.assert_allclose(layer(x).detach().numpy(), x.numpy())


@pytest.mark.parametrize("nonlinearity, param, gain", [
    ("linear", None, 1), ("conv2d", None, 1), ("conv_transpose3d", None, 1), ("sigmoid", None, 1),
    ("tanh", None, 5 / 3),
    ("relu", None, math.sqrt(2)), ("leaky_relu", None, math.sqrt(2 / 1.0001)), ("leaky_relu", 0.5, math.sqrt(2 / 1.25)),
    ("leaky_relu", 3, math.sqrt(0.2)), ("selu", None, 0.75)])
def test_gain(nonlinearity, param, gain):
    assert init.calculate_gain(nonlinearity, param) == pytest.approx(gain)


def test_fans():
    assert init._calculate_fan_in_and_fan_out(minitorch.empty(4, 3)) == (3, 4)
    assert init._calculate_fan_in_and_fan_out(minitorch.empty(4, 3, 2, 5)) == (30, 40)


def test_parameters_stay_leaves():
    p = nn.Parameter(minitorch.empty(3, 4))
    for name, _, options in CALLS[:9]:
        getattr(init, name)(p, **options)
    assert p.is_leaf and p.requires_grad and p.grad_fn is None


def test_old_names_warn():
    t = minitorch.empty(3, 4)
    for name in ("uniform", "normal", "constant", "eye", "xavier_uniform", "xavier_normal", "kaiming_uniform",
                 "kaiming_normal", "orthogonal"):
        with pytest.warns(FutureWarning, match=f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`"):
            assert getattr(init, name)(t, *([2.0] if name == "constant" else [])) is t


@pytest.mark.parametrize("call, error, match", [
    (lambda: init.eye_(minitorch.empty(3)), ValueError, "2 dimensions"),
    (lambda: init.sparse_(minitorch.empty(3), 0.1), ValueError, "2 dimensions"),
    (lambda: init.dirac_(minitorch.empty(3, 3)), ValueError, "3, 4, or 5"),
    (lambda: init.dirac_(minitorch.empty(3, 3, 3), groups=2), ValueError, "divisible by groups"),
    (lambda: init.orthogonal_(minitorch.empty(3)), ValueError, "2 or more"),
    (lambda: init.xavier_normal_(minitorch.empty(3)), ValueError, "fewer than 2 dimensions"),
    (lambda: init.kaiming_normal_(minitorch.empty(3)), ValueError, "fewer than 2 dimensions"),
    (lambda: init.kaiming_uniform_(minitorch.empty(3, 3), mode="fan"), ValueError, "Mode fan not supported"),
    (lambda: init.kaiming_uniform_(minitorch.empty(3, 3), nonlinearity="cos"), ValueError, "Unsupported nonlinearity"),
    (lambda: init.calculate_gain("leaky_relu", True), ValueError, "not a valid number"),
])
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_empty_tensors():
    with pytest.warns(UserWarning, match="zero-element"):
        init.kaiming_uniform_(minitorch.empty(0, 3))
    assert init.orthogonal_(minitorch.empty(0, 3)).shape == (0, 3)
