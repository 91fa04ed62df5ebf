"""Tensors print as PyTorch prints them: recorded strings, and PyTorch itself on drawn arrays."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import minitorch as mt


@pytest.fixture(autouse=True)
def default_options():
    yield
    mt.set_printoptions(profile="default")


RECORDED = [
    ([1.0, 2.5], "tensor([1.0000, 2.5000])"),
    ([1.0, 2.0], "tensor([1., 2.])"),
    (3.0, "tensor(3.)"),
    (0.1, "tensor(0.1000)"),
    ([], "tensor([])"),
    ([0.0, -0.0], "tensor([0., -0.])"),
    ([1e-5, 1.0], "tensor([1.0000e-05, 1.0000e+00])"),
    ([1e9, 1.0], "tensor([1.0000e+09, 1.0000e+00])"),
    ([float("nan"), 1.0, float("-inf")], "tensor([nan, 1., -inf])"),
    ([float("nan"), 1.5, float("-inf")], "tensor([   nan, 1.5000,   -inf])"),
    ([True, False], "tensor([ True, False])"),
    ([1, -20, 300], "tensor([  1, -20, 300])"),
    ([1 + 2j, -0.5j], "tensor([1.+2.0000j, -0.-0.5000j])"),
    ([[1.0, -2.0], [30.0, 4.0]], "tensor([[ 1., -2.],\n        [30.,  4.]])"),
    ([[[1]], [[2]]], "tensor([[[1]],\n\n        [[2]]])"),
    (np.zeros((2, 0)), "tensor([], size=(2, 0), dtype=torch.float64)"),
    (np.zeros(2, np.float16), "tensor([0., 0.], dtype=torch.float16)"),
    (np.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (np.arange(12000.0, dtype=np.float32).reshape(3, 4000),
     "tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 3.9970e+03, 3.9980e+03,\n         3.9990e+03],\n"
     "        [4.0000e+03, 4.0010e+03, 4.0020e+03,  ..., 7.9970e+03, 7.9980e+03,\n         7.9990e+03],\n"
     "        [8.0000e+03, 8.0010e+03, 8.0020e+03,  ..., 1.1997e+04, 1.1998e+04,\n         1.1999e+04]])"),
]


@pytest.mark.parametrize("values, text", RECORDED, ids=range(len(RECORDED)))
def test_recorded(values, text):
    assert repr(mt.tensor(values)) == text


def test_where_it_comes_from():
    x = mt.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 4.], grad_fn=<MulBackward0>)"
    assert repr(x.detach()) == "tensor([1., 2.])"
    assert repr(mt.nn.Parameter(mt.ones(1))) == "Parameter containing:\ntensor([1.], requires_grad=True)"
    long = repr(mt.zeros(9, dtype=mt.float64, requires_grad=True))
    assert long == "tensor([0., 0., 0., 0., 0., 0., 0., 0., 0.], dtype=torch.float64,\n       requires_grad=True)"


def test_operations_have_pytorchs_names():
    F, x, y = mt.nn.functional, mt.full((4, 3), 0.5, requires_grad=True), mt.ones(4, 3)
    classes, image = mt.tensor([0, 1, 2, 1]), mt.ones(1, 2, 4, 4)

    class STE(mt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

    named = {
        "NllLossBackward0": F.cross_entropy(x, classes), "MseLossBackward0": F.mse_loss(x, y),
        "HuberLossBackward0": F.huber_loss(x, y), "BinaryCrossEntropyBackward0": F.binary_cross_entropy(x, y),
        "BinaryCrossEntropyWithLogitsBackward0": F.binary_cross_entropy_with_logits(x, y, reduction="sum"),
        "AddmmBackward0": mt.nn.Linear(3, 2)(x), "MmBackward0": x.T @ y, "MvBackward0": x @ y[0],
        "DotBackward0": x[0] @ x[1], "ConvolutionBackward0": mt.nn.Conv2d(2, 1, 1)(image), "STEBackward": STE.apply(x),
        "NativeLayerNormBackward0": F.layer_norm(x, (3,)), "SumBackward1": x.sum(1), "MeanBackward0": x.mean(),
        "SelectBackward0": x[1:, 0], "SliceBackward0": x[0, 1:], "UnsqueezeBackward0": x[:, None],
        "ViewBackward0": x.reshape(12), "IndexBackward0": x[classes], "SplitBackward0": x.split(2)[0],
        "MaxBackward0": x.max(1).values, "RsubBackward1": 1 - x, "LogSoftmaxBackward0": x.log_softmax(1),
    }
    assert [y.grad_fn.name() for y in named.values()] == list(named)
    assert repr((x * 2).grad_fn).startswith("<MulBackward0 object at 0x")


def test_format():
    assert f"{mt.tensor(1.23456):.2f}" == "1.23"
    assert f"{mt.tensor([1])}" == "tensor([1])"
    assert str(mt.tensor(5)) == "tensor(5)"


def test_options():
    mt.set_printoptions(precision=2, edgeitems=1, threshold=3)
    assert repr(mt.tensor([1.5, 2.5, 3.0, 4.5])) == "tensor([1.50,  ..., 4.50])"
    mt.set_printoptions(sci_mode=True)
    assert repr(mt.tensor([2.5])) == "tensor([2.50e+00])"
    with pytest.raises(ValueError, match="profile"):
        mt.set_printoptions(profile="long")


def both(torch, array, **flags):
    theirs = torch.from_numpy(array.copy()).requires_grad_(flags.get("requires_grad", False))
    ours = mt.from_numpy(array.copy()).requires_grad_(flags.get("requires_grad", False))
    return repr(ours), repr(theirs)


DTYPES = ["float32", "float64", "float16", "int64", "int32", "uint8", "bool", "complex64", "complex128"]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_as_pytorch_prints(torch, data):
    dtype = data.draw(st.sampled_from(DTYPES))
    shape = data.draw(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    array = data.draw(arrays.arrays(dtype, shape))
    ours, theirs = both(torch, array, requires_grad=np.dtype(dtype).kind in "fc" and data.draw(st.booleans()))
    assert ours == theirs


@pytest.mark.parametrize("scale", [1, 3, 1e-6, 1e5, 1e9])
@pytest.mark.parametrize("shape", [(30,), (1000,), (1001,), (7, 200), (200, 7), (11, 2, 60), (3, 3, 3, 60)])
def test_many_elements(torch, shape, scale):
    x = np.random.default_rng(0).standard_normal(shape) * scale
    for array in (x, x.astype(np.float32), np.round(x), x.astype(np.int64), x * (1 + 1j)):
        ours, theirs = both(torch, array)
        assert ours == theirs


@pytest.mark.parametrize("options", [
    {"precision": 2}, {"threshold": 5}, {"edgeitems": 1, "threshold": 5}, {"edgeitems": 0, "threshold": 5},
    {"linewidth": 40}, {"profile": "short"}, {"profile": "full"}, {"sci_mode": True}, {"sci_mode": False}], ids=str)
def test_options_as_in_pytorch(torch, options):
    x = np.random.default_rng(0).standard_normal((3, 20))
    try:
        torch.set_printoptions(**options)
        mt.set_printoptions(**options)
        for array in (x, x[0] * 1e6, np.round(9 * x), np.arange(20), np.array([np.nan, 1.5]), x[0, :3] * 1j):
            ours, theirs = both(torch, array)
            assert ours == theirs
    finally:
        torch.set_printoptions(profile="default")
