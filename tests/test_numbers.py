"""Tensors without dimensions in the place of numbers: PyTorch takes them wherever an argument is a number."""
from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

import minitorch

X, M = [1.0, -2.0, 3.0], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
# name: what to compute of (torch, number), the number itself, and the result by hand
CASES = {
    "add": (lambda t, h: t.add(t.tensor(X), t.tensor(X), alpha=h), 0.5, [1.5, -3.0, 4.5]),
    "add_": (lambda t, h: t.tensor(X).add_(t.tensor(X), alpha=h), 0.5, [1.5, -3.0, 4.5]),
    "sub": (lambda t, h: t.tensor(X).sub(t.tensor(X), alpha=h), 2, [-1.0, 2.0, -3.0]),
    "addcmul": (lambda t, h: t.addcmul(*[t.tensor(X)] * 3, value=h), 0.5, [1.5, 0.0, 7.5]),
    "addcdiv_": (lambda t, h: t.tensor(X).addcdiv_(t.tensor(X), t.tensor(X), value=h), 0.5, [1.5, -1.5, 3.5]),
    "softplus": (lambda t, h: t.nn.functional.softplus(t.tensor([0.0]), h, t.tensor(20)), 0.5, [2 * math.log(2)]),
    "hardtanh": (lambda t, h: t.nn.functional.hardtanh(t.tensor(X), -h, h), 0.5, [0.5, -0.5, 0.5]),
    "sum": (lambda t, d: t.tensor(M).sum(dim=d, keepdim=True), 1, [[3.0], [12.0]]),
    "movedim": (lambda t, d: t.tensor(M).movedim(t.tensor(0), d), 1, [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]),
    "batch_norm": (lambda t, h: t.nn.functional.batch_norm(t.tensor([[-1.0], [1.0]]), None, None, training=True,
                                                           momentum=h, eps=t.tensor(3.0)), 0.5, [[-0.5], [0.5]]),
    "nll_loss": (lambda t, i: t.nn.functional.nll_loss(t.tensor(M), t.tensor([0, 1]), ignore_index=i), 0, -4.0),
    "adaptive_avg_pool": (lambda t, n: t.nn.functional.adaptive_avg_pool1d(t.tensor([M]), n), 1, [[[1.0], [4.0]]]),
    "vector_norm": (lambda t, p: t.linalg.vector_norm(t.tensor([3.0, -4.0]), p), 1, 7.0),
    "polygamma": (lambda t, n: t.polygamma(n, t.tensor([1.0])), 1, [math.pi**2 / 6]),
    "normal": (lambda t, z: t.normal(z, z, (2,)), 0.0, [0.0, 0.0]),
}


@pytest.mark.parametrize("framework", ["minitorch", "torch"])
@pytest.mark.parametrize("name", CASES)
def test_tensor_as_number(name, framework):
    torch = minitorch if framework == "minitorch" else pytest.importorskip("torch")
    importlib.import_module(f"{framework}.nn.functional")
    compute, number, expected = CASES[name]
    found = compute(torch, torch.tensor(number))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, 1e-6)


def test_gradient_through_a_sum_scaled_by_a_tensor():
    x = minitorch.tensor(X, requires_grad=True)
    minitorch.add(x, x * x, alpha=minitorch.tensor(0.5)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [1 + v for v in X])
