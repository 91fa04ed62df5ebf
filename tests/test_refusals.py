"""What PyTorch refuses, and takes, at the edges: types of targets and indices, memory formats, channels, ellipses."""
from __future__ import annotations

import pytest

import minitorch as mt
import minitorch.nn.functional as F

X, P = mt.zeros(2, 3), mt.tensor([0.2, 0.7])
CLASSES = mt.tensor([0, 1])


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: F.cross_entropy(X, CLASSES.int()), RuntimeError, "expected target dtype to be Long or Byte, but got Int"),
    (lambda: F.nll_loss(X, CLASSES.bool()), RuntimeError, "expected target dtype to be Long or Byte, but got Bool"),
    (lambda: F.cross_entropy(mt.zeros(1, 3, 2), mt.zeros(1, 2).byte()), RuntimeError, "Long but found Byte"),
    (lambda: F.multi_margin_loss(X, CLASSES.int()), RuntimeError, "expected scalar type Long but found Int"),
    (lambda: F.multilabel_margin_loss(X, X.int()), RuntimeError, "expected scalar type Long but found Int"),
    (lambda: F.one_hot(CLASSES.int()), RuntimeError, "index tensor of type LongTensor"),
    (lambda: F.binary_cross_entropy(P, CLASSES), RuntimeError, "Found dtype Long but expected Float"),
    (lambda: F.binary_cross_entropy(P, P.double()), RuntimeError, "Found dtype Double but expected Float"),
    (lambda: F.binary_cross_entropy(CLASSES, CLASSES), NotImplementedError, "not implemented for 'Long'"),
    (lambda: F.binary_cross_entropy_with_logits(P, CLASSES), RuntimeError, "can't be cast to the desired output type"),
    (lambda: F.kl_div(P, CLASSES, reduction="sum"), RuntimeError, "Integral inputs not supported"),
    (lambda: X[CLASSES.short()], IndexError, "tensors used as indices must be long, int, byte or bool tensors"),
    (lambda: X[..., ..., 0], IndexError, "second ellipsis"),
    (lambda: X[..., ..., CLASSES], IndexError, "second ellipsis"),
    (lambda: F.conv2d(mt.ones(1, 3, 4, 4), mt.ones(2, 0, 3, 3)), RuntimeError, "expects 0 input channels"),
    (lambda: F.conv1d(mt.ones(1, 3, 4), mt.ones(0, 3, 3)), RuntimeError, "at least 1 at dimension 0"),
    (lambda: F.conv_transpose2d(mt.ones(1, 3, 4, 4), mt.ones(3, 0, 3, 3)), RuntimeError, "non-empty weight expected"),
    (lambda: F.conv_transpose2d(mt.ones(1, 0, 4, 4), mt.ones(0, 2, 3, 3)), RuntimeError, "non-empty weight expected"),
    *[(lambda call=call: call(X), RuntimeError, "required rank 4 tensor to use channels_last format") for call in (
        lambda x: x.to(memory_format=mt.channels_last), lambda x: x.contiguous(memory_format=mt.channels_last),
        lambda x: x.clone(memory_format=mt.channels_last), lambda x: mt.empty(2, 3, memory_format=mt.channels_last),
        lambda x: mt.zeros_like(x, memory_format=mt.channels_last))],
    (lambda: mt.ones(1, 2, 3, 4).to(memory_format=mt.channels_last_3d), RuntimeError, "required rank 5 tensor")])
def test_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_taken():
    assert mt.equal(X[..., ...], X) and X[..., 0, ...].shape == (2,) and X[..., None, ...].shape == (2, 3, 1)
    x = mt.arange(24).reshape(2, 3, 4)
    assert x[0, ..., 0, ..., 0].item() == 0 and x[..., 1:, ...].shape == (2, 3, 3)
    assert x[0, ..., 1:, ...].shape == (3, 3)
    assert x[..., mt.tensor([0]), ...].shape == (2, 3, 1)
    y = mt.zeros(2, 3)
    y[..., ...] = 1
    assert y.sum() == 6
    F.cross_entropy(X, CLASSES.byte())
    assert not X.is_contiguous(memory_format=mt.channels_last)
    assert mt.ones(1, 2, 3, 4).to(memory_format=mt.channels_last).shape == (1, 2, 3, 4)
    mt.nn.Linear(2, 3).to(memory_format=mt.channels_last)


def test_convolution_of_no_channels():
    weight = mt.ones(2, 0, 3, 3, requires_grad=True)
    y = F.conv2d(mt.ones(1, 0, 4, 4), weight)
    assert y.shape == (1, 0, 2, 2)
    y.sum().backward()
    assert weight.grad.shape == weight.shape
    assert F.conv1d(mt.ones(0, 4), mt.ones(2, 0, 3)).shape == (0, 2)
