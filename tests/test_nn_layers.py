"""Every layer beside PyTorch's: the same repr, state, initial values, outputs and gradients."""
from __future__ import annotations

import warnings

import numpy as np
import pytest

import minitorch
from minitorch import nn

# layer, its arguments, keywords, shapes of its inputs
LAYERS = [
    ("Identity", (), {}, [(2, 3)]),
    ("Linear", (3, 4), {}, [(5, 3)]),
    ("Linear", (3, 4), {"bias": False}, [(2, 5, 3)]),
    ("Linear", (3, 1), {}, [(3,)]),
    ("Bilinear", (3, 4, 2), {}, [(5, 3), (5, 4)]),
    ("Bilinear", (3, 4, 2), {"bias": False}, [(2, 5, 3), (2, 5, 4)]),
    ("Conv1d", (4, 6, 3), {}, [(2, 4, 9)]),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, [(4, 9)]),
    ("Conv1d", (2, 3, 4), {"padding": "same", "dilation": 2}, [(2, 2, 9)]),
    ("Conv2d", (3, 4, 3), {}, [(2, 3, 6, 7)]),
    ("Conv2d", (3, 4, (2, 3)), {"stride": (1, 2), "padding": (1, 0), "dilation": (2, 1), "bias": False},
     [(2, 3, 6, 7)]),
    ("Conv2d", (4, 4, 3), {"groups": 4, "padding": "valid"}, [(2, 4, 6, 7)]),
    ("Conv2d", (3, 4, (2, 5)), {"padding": "same"}, [(2, 3, 6, 7)]),
    ("Conv2d", (3, 4, 3), {"padding": 1, "padding_mode": "reflect"}, [(2, 3, 6, 7)]),
    ("Conv2d", (3, 4, 3), {"padding": (1, 2), "padding_mode": "circular", "stride": 2}, [(2, 3, 6, 7)]),
    ("Conv2d", (3, 4, 4), {"padding": "same", "padding_mode": "replicate"}, [(3, 6, 7)]),
    ("Conv3d", (2, 3, 2), {"padding": 1, "stride": (1, 2, 2)}, [(2, 2, 3, 4, 5)]),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}, [(2, 4, 5)]),
    ("ConvTranspose2d", (3, 4, 3), {"stride": 2, "padding": 1, "output_padding": 1}, [(2, 3, 4, 5)]),
    ("ConvTranspose2d", (3, 4, (2, 3)), {"dilation": 2, "bias": False}, [(3, 4, 5)]),
    ("ConvTranspose3d", (2, 3, 2), {"stride": 2}, [(2, 2, 2, 3, 2)]),
    ("MaxPool1d", (2,), {}, [(2, 3, 7)]),
    ("MaxPool2d", (2,), {}, [(2, 3, 6, 7)]),
    ("MaxPool2d", ((3, 2),), {"stride": (2, 1), "padding": (1, 0), "ceil_mode": True}, [(2, 3, 6, 7)]),
    ("MaxPool2d", (2,), {"dilation": 2, "stride": 1}, [(3, 6, 7)]),
    ("MaxPool3d", (2,), {"stride": 1}, [(2, 3, 3, 4, 3)]),
    ("AvgPool1d", (2,), {"padding": 1}, [(2, 3, 7)]),
    ("AvgPool2d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, [(2, 3, 6, 7)]),
    ("AvgPool2d", (2,), {"divisor_override": 3, "ceil_mode": True}, [(2, 3, 6, 7)]),
    ("AvgPool3d", (2,), {}, [(2, 3, 4, 4, 5)]),
    ("AdaptiveAvgPool1d", (3,), {}, [(2, 3, 7)]),
    ("AdaptiveAvgPool2d", ((3, None),), {}, [(2, 3, 7, 5)]),
    ("AdaptiveAvgPool2d", (1,), {}, [(2, 3, 7, 5)]),
    ("AdaptiveAvgPool3d", ((2, 3, 1),), {}, [(2, 3, 4, 5, 3)]),
    ("AdaptiveMaxPool1d", (3,), {}, [(2, 3, 7)]),
    ("AdaptiveMaxPool2d", ((3, 2),), {}, [(2, 3, 7, 5)]),
    ("AdaptiveMaxPool3d", (2,), {}, [(2, 3, 4, 5, 3)]),
    ("LPPool1d", (2, 3), {"stride": 2}, [(2, 3, 7)]),
    ("LPPool2d", (3, (2, 3)), {"ceil_mode": True}, [(2, 3, 6, 7)]),
    ("LPPool3d", (2, 2), {}, [(2, 3, 4, 4, 4)]),
    ("BatchNorm1d", (4,), {}, [(6, 4)]),
    ("BatchNorm1d", (4,), {"affine": False}, [(6, 4, 3)]),
    ("BatchNorm2d", (4,), {"eps": 1e-3, "momentum": 0.3}, [(2, 4, 3, 5)]),
    ("BatchNorm2d", (4,), {"momentum": None}, [(2, 4, 3, 5)]),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, [(2, 4, 3, 5)]),
    ("BatchNorm3d", (4,), {}, [(2, 4, 3, 2, 2)]),
    ("InstanceNorm1d", (4,), {}, [(2, 4, 5)]),
    ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, [(2, 4, 3, 5)]),
    ("InstanceNorm2d", (4,), {}, [(4, 3, 5)]),
    ("InstanceNorm3d", (4,), {"affine": True}, [(2, 4, 3, 2, 2)]),
    ("LayerNorm", (4,), {}, [(2, 3, 4)]),
    ("LayerNorm", ((3, 4),), {"bias": False}, [(2, 3, 4)]),
    ("LayerNorm", ([4],), {"elementwise_affine": False, "eps": 0.1}, [(2, 3, 4)]),
    ("RMSNorm", (4,), {}, [(2, 3, 4)]),
    ("RMSNorm", ((3, 4),), {"eps": 0.1, "elementwise_affine": False}, [(2, 3, 4)]),
    ("GroupNorm", (2, 6), {}, [(2, 6, 3, 4)]),
    ("GroupNorm", (3, 6), {"affine": False, "eps": 0.1}, [(2, 6)]),
    ("LocalResponseNorm", (3,), {"alpha": 0.1, "k": 2.0}, [(2, 5, 3, 4)]),
    ("LocalResponseNorm", (2,), {"beta": 0.5}, [(2, 5, 3)]),
    ("Dropout", (0.0,), {}, [(4, 3)]),
    ("Dropout", (0.3,), {}, [(40, 3)]),
    ("Dropout1d", (0.5,), {}, [(4, 5, 3)]),
    ("Dropout2d", (0.5,), {}, [(4, 5, 3, 2)]),
    ("Dropout3d", (0.5,), {}, [(4, 5, 3, 2, 2)]),
    ("AlphaDropout", (0.4,), {}, [(40, 3)]),
    ("FeatureAlphaDropout", (0.4,), {}, [(4, 5, 3, 2)]),
    ("ReLU", (), {}, [(4, 5)]),
    ("ReLU", (True,), {}, [(4, 5)]),
    ("ReLU6", (), {}, [(4, 5)]),
    ("ReLU6", (True,), {}, [(4, 5)]),
    ("LeakyReLU", (), {}, [(4, 5)]),
    ("LeakyReLU", (0.2, True), {}, [(4, 5)]),
    ("RReLU", (), {}, [(4, 5)]),
    ("RReLU", (0.1, 0.2, True), {}, [(4, 5)]),
    ("PReLU", (), {}, [(4, 5)]),
    ("PReLU", (5, 0.1), {}, [(4, 5, 2)]),
    ("ELU", (), {}, [(4, 5)]),
    ("ELU", (0.7, True), {}, [(4, 5)]),
    ("CELU", (0.7,), {}, [(4, 5)]),
    ("SELU", (), {}, [(4, 5)]),
    ("SiLU", (), {}, [(4, 5)]),
    ("SiLU", (True,), {}, [(4, 5)]),
    ("Mish", (), {}, [(4, 5)]),
    ("GELU", (), {}, [(4, 5)]),
    ("GELU", ("tanh",), {}, [(4, 5)]),
    ("Hardtanh", (-0.5, 2), {}, [(4, 5)]),
    ("Hardsigmoid", (), {}, [(4, 5)]),
    ("Hardswish", (True,), {}, [(4, 5)]),
    ("Hardshrink", (), {}, [(4, 5)]),
    ("Softshrink", (0.3,), {}, [(4, 5)]),
    ("Tanhshrink", (), {}, [(4, 5)]),
    ("Softplus", (), {}, [(4, 5)]),
    ("Softplus", (2, 1), {}, [(4, 5)]),
    ("Softsign", (), {}, [(4, 5)]),
    ("Sigmoid", (), {}, [(4, 5)]),
    ("LogSigmoid", (), {}, [(4, 5)]),
    ("Tanh", (), {}, [(4, 5)]),
    ("Threshold", (0.1, 20), {}, [(4, 5)]),
    ("Threshold", (0.1, 20, True), {}, [(4, 5)]),
    ("GLU", (), {}, [(4, 6)]),
    ("GLU", (0,), {}, [(4, 5)]),
    ("Softmax", (1,), {}, [(4, 5)]),
    ("Softmax", (), {}, [(4, 5)]),
    ("LogSoftmax", (0,), {}, [(4, 5)]),
    ("Softmin", (-1,), {}, [(4, 5)]),
    ("Softmax2d", (), {}, [(2, 3, 4, 5)]),
    ("ConstantPad1d", (2, 3.5), {}, [(2, 3, 4)]),
    ("ConstantPad2d", ((1, 2, 0, -1), 3), {}, [(2, 3, 4, 5)]),
    ("ConstantPad3d", (1, 0.5), {}, [(2, 3, 2, 3, 2)]),
    ("ZeroPad1d", (2,), {}, [(2, 3, 4)]),
    ("ZeroPad2d", (1,), {}, [(2, 3, 4, 5)]),
    ("ZeroPad3d", (1,), {}, [(2, 3, 2, 3, 2)]),
    ("ReflectionPad1d", ((3, 1),), {}, [(2, 3, 4)]),
    ("ReflectionPad2d", ((1, 2, 3, 0),), {}, [(2, 3, 4, 5)]),
    ("ReflectionPad3d", (1,), {}, [(2, 3, 2, 3, 2)]),
    ("ReplicationPad1d", ((5, 1),), {}, [(3, 4)]),
    ("ReplicationPad2d", ((1, 2, 3, 0),), {}, [(2, 3, 4, 5)]),
    ("ReplicationPad3d", (1,), {}, [(2, 3, 2, 3, 2)]),
    ("CircularPad1d", ((4, 1),), {}, [(2, 3, 4)]),
    ("CircularPad2d", ((1, 2, 3, 0),), {}, [(2, 3, 4, 5)]),
    ("CircularPad3d", (1,), {}, [(2, 3, 2, 3, 2)]),
    ("Upsample", (), {"scale_factor": 2}, [(2, 3, 3, 4)]),
    ("Upsample", (), {"size": (5, 3), "mode": "bilinear", "align_corners": True}, [(2, 3, 3, 4)]),
    ("Upsample", (), {"scale_factor": (1.5, 2.5), "mode": "bicubic"}, [(2, 3, 3, 4)]),
    ("Upsample", (7,), {"mode": "linear"}, [(2, 3, 4)]),
    ("UpsamplingNearest2d", (), {"scale_factor": 3}, [(2, 3, 3, 4)]),
    ("UpsamplingBilinear2d", ((5, 7),), {}, [(2, 3, 3, 4)]),
    ("PixelShuffle", (2,), {}, [(2, 8, 3, 4)]),
    ("PixelUnshuffle", (2,), {}, [(2, 3, 4, 6)]),
    ("ChannelShuffle", (2,), {}, [(2, 6, 3, 4)]),
    ("Flatten", (), {}, [(2, 3, 4)]),
    ("Flatten", (0, 1), {}, [(2, 3, 4)]),
    ("Unflatten", (1, (2, 3)), {}, [(2, 6, 4)]),
    ("Unfold", (2,), {}, [(2, 3, 4, 5)]),
    ("Unfold", ((2, 3),), {"dilation": 2, "padding": 1, "stride": (1, 2)}, [(2, 3, 5, 6)]),
    ("Fold", ((4, 5), 2), {}, [(2, 12, 12)]),
    ("Fold", ((5, 6), (2, 3)), {"padding": 1, "stride": (1, 2)}, [(12, 18)]),
    ("CosineSimilarity", (), {}, [(4, 5), (4, 5)]),
    ("CosineSimilarity", (0, 1e-3), {}, [(4, 5), (4, 5)]),
    ("PairwiseDistance", (), {}, [(4, 5), (4, 5)]),
    ("PairwiseDistance", (1.0,), {"keepdim": True}, [(4, 5), (4, 5)]),
    ("L1Loss", (), {}, [(4, 5), (4, 5)]),
    ("MSELoss", (), {"reduction": "sum"}, [(4, 5), (4, 5)]),
    ("MSELoss", (), {}, [(4, 5), (4, 5)]),
    ("SmoothL1Loss", (), {"beta": 0.5}, [(4, 5), (4, 5)]),
    ("HuberLoss", (), {"delta": 0.5, "reduction": "none"}, [(4, 5), (4, 5)]),
    ("GaussianNLLLoss", (), {"full": True}, [(4, 5), (4, 5), ("positive", 4, 5)]),
    ("PoissonNLLLoss", (), {"full": True}, [(4, 5), ("counts", 4, 5)]),
    ("PoissonNLLLoss", (False,), {}, [("positive", 4, 5), ("counts", 4, 5)]),
    ("KLDivLoss", (), {"reduction": "batchmean"}, [(4, 5), ("positive", 4, 5)]),
    ("KLDivLoss", (), {"log_target": True, "reduction": "sum"}, [(4, 5), (4, 5)]),
    ("BCELoss", (), {}, [("unit", 4, 5), ("unit", 4, 5)]),
    ("BCEWithLogitsLoss", (), {}, [(4, 5), ("unit", 4, 5)]),
    ("SoftMarginLoss", (), {}, [(4, 5), ("sign", 4, 5)]),
    ("HingeEmbeddingLoss", (), {"margin": 0.5}, [(4, 5), ("sign", 4, 5)]),
    ("MarginRankingLoss", (0.1,), {}, [(4,), (4,), ("sign", 4)]),
    ("CosineEmbeddingLoss", (0.1,), {}, [(4, 5), (4, 5), ("sign", 4)]),
    ("TripletMarginLoss", (), {"swap": True}, [(4, 5), (4, 5), (4, 5)]),
    ("TripletMarginLoss", (), {"p": 1}, [(4, 5), (4, 5), (4, 5)]),
    ("TripletMarginWithDistanceLoss", (), {"reduction": "none"}, [(4, 5), (4, 5), (4, 5)]),
    ("MultiLabelSoftMarginLoss", (), {}, [(4, 5), ("unit", 4, 5)]),
    ("CrossEntropyLoss", (), {}, [(4, 5), ("class", 5, 4)]),
    ("CrossEntropyLoss", (), {"label_smoothing": 0.1, "ignore_index": 2}, [(4, 5, 3), ("class", 5, 4, 3)]),
    ("CrossEntropyLoss", (), {"reduction": "none"}, [(5,), ("class", 5)]),
    ("CrossEntropyLoss", (), {}, [(4, 5), ("unit", 4, 5)]),
    ("LinearCrossEntropyLoss", (3, 5), {"bias": True, "label_smoothing": 0.1}, [(4, 3), ("class", 5, 4)]),
    ("LinearCrossEntropyLoss", (3, 5), {"out_features": (2,), "reduction": "sum"}, [(4, 3), ("class", 5, 4, 2)]),
    ("NLLLoss", (), {}, [(4, 5), ("class", 5, 4)]),
    ("MultiMarginLoss", (), {"margin": 0.5}, [(4, 5), ("class", 5, 4)]),
    ("MultiMarginLoss", (2,), {}, [(4, 5), ("class", 5, 4)]),
    ("MultiLabelMarginLoss", (), {}, [(4, 5), ("labels", 4, 5)]),
    ("Embedding", (10, 3), {}, [("class", 10, 2, 4)]),
    ("Embedding", (10, 3), {"padding_idx": -1, "scale_grad_by_freq": True}, [("class", 10, 4, 6)]),
    ("Embedding", (10, 3), {"max_norm": 1.0, "norm_type": 1.0}, [("class", 10, 2, 4)]),
    ("EmbeddingBag", (10, 3), {}, [("class", 10, 3, 4)]),
    ("EmbeddingBag", (10, 3), {"mode": "sum", "padding_idx": 2}, [("class", 10, 3, 4)]),
    ("EmbeddingBag", (10, 3), {"mode": "max"}, [("class", 10, 3, 4)]),
    ("RNNCell", (3, 4), {}, [(5, 3)]),
    ("RNNCell", (3, 4), {"nonlinearity": "relu", "bias": False}, [(5, 3), (5, 4)]),
    ("GRUCell", (3, 4), {}, [(5, 3), (5, 4)]),
    ("GRUCell", (3, 4), {"bias": False}, [(3,)]),
]
KEEPS_BITS = {"Identity", "Flatten", "Unflatten", "ReLU"}


def values(rng, shape):
    """An input: normal, or of the kind that the shape's first entry names."""
    if not shape or not isinstance(shape[0], str):
        return rng.standard_normal(shape).astype(np.float32)
    kind, *shape = shape
    if kind == "class":
        return rng.integers(0, shape[0], shape[1:])
    if kind == "labels":
        return np.stack([np.where(np.arange(shape[1]) < rng.integers(0, shape[1]), rng.permutation(shape[1]), -1)
                         for _ in range(shape[0])])
    if kind == "sign":
        return np.sign(rng.standard_normal(shape)).astype(np.float32)
    if kind == "counts":
        return rng.integers(0, 5, shape).astype(np.float32)
    found = rng.uniform(0.05, 0.95, shape).astype(np.float32)
    return found if kind == "unit" else 3 * found


each = pytest.mark.parametrize("name, args, kwargs, shapes", [
    pytest.param(*layer, id=f"{i}-{layer[0]}") for i, layer in enumerate(LAYERS)])


def pair(torch, name, args, kwargs):
    minitorch.manual_seed(7)
    torch.manual_seed(7)
    return getattr(nn, name)(*args, **kwargs), getattr(torch.nn, name)(*args, **kwargs)


@each
def test_state_and_repr(torch, name, args, kwargs, shapes):
    ours, theirs = pair(torch, name, args, kwargs)
    assert repr(ours) == repr(theirs)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    for key in mine:
        assert tuple(mine[key].shape) == tuple(other[key].shape)
        assert str(mine[key].dtype) == str(other[key].dtype)
        np.testing.assert_allclose(mine[key].numpy(), other[key].numpy(), rtol=1e-6, atol=1e-7, err_msg=key)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]


@each
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_forward_and_gradients(torch, name, args, kwargs, shapes, training):
    if kwargs == {"padding_idx": -1, "scale_grad_by_freq": True} and name == "EmbeddingBag":
        pytest.skip("PyTorch has no such gradient")
    ours, theirs = pair(torch, name, args, kwargs)
    ours.train(training)
    theirs.train(training)
    rng = np.random.default_rng(3)
    arrays = [values(rng, shape) for shape in shapes]
    for _ in range(2):  # twice: running statistics and random numbers go on alike
        xs = [minitorch.tensor(a, requires_grad=a.dtype.kind == "f" and i == 0) for i, a in enumerate(arrays)]
        ts = [torch.tensor(a, requires_grad=a.dtype.kind == "f" and i == 0) for i, a in enumerate(arrays)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            inplace = getattr(ours, "inplace", False)
            y = ours(*([xs[0].clone(), *xs[1:]] if inplace else xs))
            z = theirs(*([ts[0].clone(), *ts[1:]] if inplace else ts))
        assert tuple(y.shape) == tuple(z.shape)
        assert y.requires_grad == z.requires_grad
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=2e-5, atol=2e-5)
        if not y.requires_grad:
            continue
        dy = rng.standard_normal(y.shape).astype(np.float32)
        y.backward(minitorch.tensor(dy))
        z.backward(torch.tensor(dy))
        for x, t in [*zip(xs, ts), *zip(ours.parameters(), theirs.parameters())]:
            assert (x.grad is None) == (t.grad is None)
            if t.grad is not None:
                np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-4, atol=1e-4)
    for (key, b), (_, c) in zip(ours.named_buffers(), theirs.named_buffers()):
        np.testing.assert_allclose(b.numpy(), c.numpy(), rtol=1e-5, atol=1e-6, err_msg=key)
