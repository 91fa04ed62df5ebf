"""Gradients at poles and kinks, where a formula says nan and PyTorch's definition is finite."""
from __future__ import annotations

import numpy as np
import pytest

import minitorch
import minitorch.nn.functional as F
from minitorch import tensor


def gradient(function, x):
    x = tensor(x, requires_grad=True)
    function(x).sum().backward()
    return x.grad.tolist()


def test_binary_cross_entropy_of_certainty():
    target = tensor([0.0, 1.0, 1.0, 0.0])
    found = gradient(lambda p: F.binary_cross_entropy(p, target, reduction="sum"), [0.0, 1.0, 0.0, 1.0])
    assert found == pytest.approx([0, 0, -1e12, 1e12])
    assert gradient(lambda t: F.binary_cross_entropy(tensor([0.0, 1.0]), t, reduction="sum"), [0.5, 0.5]) == [100, -100]


def test_binary_cross_entropy_with_logits_of_zero():
    found = gradient(lambda x: F.binary_cross_entropy_with_logits(x, tensor([0.0, 1.0]), reduction="sum"), [0.0, 0.0])
    assert found == [0.5, -0.5]


def test_power_pooling_of_zeros():
    assert gradient(lambda x: F.lp_pool1d(x, 2.0, 2), [[0.0, 0.0, 3.0, 4.0]]) == [pytest.approx([0, 0, 0.6, 0.8])]


def test_similarity_with_nothing():
    x2 = tensor([[1.0, 2.0], [0.0, 0.0]])
    found = gradient(lambda x: F.cosine_similarity(x, x2), [[0.0, 0.0], [1.0, 2.0]])
    assert found == [pytest.approx([44721360, 89442720], rel=1e-6), [0, 0]]
    found = gradient(lambda x: F.cosine_embedding_loss(x, tensor([[1.0, 2.0]]), tensor([1])), [[0.0, 0.0]])
    assert found == [pytest.approx([-447213.6, -894427.2], rel=1e-6)]


def test_curvature_of_huber_loss_at_zero():
    x = tensor([0.0, 0.5, 3.0], requires_grad=True)
    for loss in (F.huber_loss, F.smooth_l1_loss):
        (first,) = minitorch.autograd.grad(loss(x, tensor([0.0, 0.0, 0.0]), reduction="sum"), x, create_graph=True)
        (second,) = minitorch.autograd.grad(first.sum(), x)
        assert first.tolist() == [0, 0.5, 1] and second.tolist() == [1, 1, 0]


def test_similarity_of_what_overflows():
    assert F.cosine_similarity(tensor([[1e30, 1e30]]), tensor([[1e30, 1e30]])).isfinite().all()


def test_statistics_that_move_before_backward():
    """Evaluation keeps the statistics that it used."""
    x = tensor([[1.0], [3.0]], requires_grad=True)
    mean, var = tensor([0.0]), tensor([4.0])
    y = F.batch_norm(x, mean, var, eps=0.0)
    F.batch_norm(tensor([[10.0], [30.0]]), mean, var, training=True)
    y.sum().backward()
    assert x.grad.tolist() == [[0.5], [0.5]] and mean.item() == pytest.approx(2)


def test_class_weights_have_no_gradient():
    weight = tensor([1.0, 2.0], requires_grad=True)
    for loss in (F.cross_entropy, F.nll_loss):
        with pytest.raises(RuntimeError, match=f"{loss.__name__}: is not differentiable .* 'weight'"):
            loss(tensor([[0.0, 0.0]]), tensor([1]), weight=weight)


def test_maximum_that_no_window_meets():
    """A dilated window that lies in the padding alone gives -inf and takes no gradient, of any order."""
    x = tensor(np.arange(1.0, 3.0).reshape(1, 1, 2), requires_grad=True)
    y, place = F.max_pool1d(x, 2, stride=1, padding=1, dilation=3, return_indices=True)
    assert y.tolist() == [[[-np.inf]]] and place.tolist() == [[[-1]]]
    (dx,) = minitorch.autograd.grad(y.sum(), x, create_graph=True)
    assert dx.tolist() == [[[0, 0]]]


def test_signed_integers_may_be_written_to_unsigned_ones():
    assert minitorch.can_cast(minitorch.int8, minitorch.uint8) and minitorch.can_cast(minitorch.int64, minitorch.uint8)
    assert not minitorch.can_cast(minitorch.float32, minitorch.int64)
    assert not minitorch.can_cast(minitorch.uint8, minitorch.bool)
