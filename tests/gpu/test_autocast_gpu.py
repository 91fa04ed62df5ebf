"""Autocast on the GPU: the types that PyTorch's lists give, gradients in the types of the parameters, both devices."""
import numpy as np
import pytest

import minitorch as mt
from minitorch import nn
from minitorch.nn import functional as F

LOW = {
    "linear": lambda x: F.linear(x, x), "matmul": lambda x: x @ x, "mv": lambda x: mt.mv(x, x[0]),
    "bmm": lambda x: mt.bmm(x[None], x[None]), "addmm": lambda x: mt.addmm(x, x, x),
    "einsum": lambda x: mt.einsum("ij,jk", x, x),
    "conv2d": lambda x: F.conv2d(x[None, None], x[None, None, :2, :2]),
    "attention": lambda x: F.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None]),
}
FULL = {
    "softmax": lambda x: x.softmax(0), "log_softmax": lambda x: x.log_softmax(0), "exp": lambda x: x.exp(),
    "pow": lambda x: x ** 2, "sum": lambda x: x.sum(), "cumsum": lambda x: x.cumsum(0), "norm": lambda x: x.norm(),
    "layer_norm": lambda x: F.layer_norm(x, (3,)), "group_norm": lambda x: F.group_norm(x[None], 3),
    "mse_loss": lambda x: F.mse_loss(x, x), "cross_entropy": lambda x: F.cross_entropy(x, x.softmax(1)),
    "bce": lambda x: F.binary_cross_entropy_with_logits(x, x), "softplus": lambda x: F.softplus(x),
}
SAME = {"add": lambda x: x + x, "relu": lambda x: x.relu(), "mul": lambda x: x * 2.0, "mean": lambda x: x.mean(),
        "max": lambda x: x.max(), "reshape": lambda x: x.reshape(-1)}


@pytest.mark.parametrize("dtype, start", [(mt.float16, mt.float32), (mt.bfloat16, mt.bfloat16)], ids=str)
def test_types(device, dtype, start):
    x = mt.ones(3, 3, device="cuda").to(start)
    with mt.autocast("cuda", dtype):
        found = {name: call(x).dtype for name, call in {**LOW, **FULL, **SAME}.items()}
    assert found == {**dict.fromkeys(LOW, dtype), **dict.fromkeys(FULL, mt.float32), **dict.fromkeys(SAME, start)}
    x = mt.ones(3, 3, device="cuda", dtype=mt.float64)
    with mt.autocast("cuda", dtype):
        assert (x @ x).dtype is mt.float64 and x.exp().dtype is mt.float64
    assert (x.float() @ x.float()).dtype is mt.float32


def test_widest(device):
    x, y = mt.ones(3, device="cuda"), mt.ones(3, device="cuda").half()
    with mt.autocast("cuda"):
        assert mt.atan2(x, y).dtype is mt.dot(x, y).dtype is mt.cat([x, y]).dtype is mt.float32
        assert mt.dot(y, y).dtype is mt.float16


def test_each_device_for_itself(device):
    x = mt.ones(2, 2)
    y = x.to("cuda")
    with mt.autocast("cuda", mt.float16):
        assert (x @ x).dtype is mt.float32 and (y @ y).dtype is mt.float16
        assert mt.is_autocast_enabled("cuda") and not mt.is_autocast_enabled("cpu")
        with mt.autocast("cpu", mt.bfloat16):
            assert (x @ x).dtype is mt.bfloat16 and (y @ y).dtype is mt.float16
            assert mt.get_autocast_dtype("cpu") is mt.bfloat16 and mt.get_autocast_dtype("cuda") is mt.float16
            with mt.autocast("cuda", enabled=False):
                assert (y @ y).dtype is mt.float32 and (x @ x).dtype is mt.bfloat16
        assert (x @ x).dtype is mt.float32
    assert (y @ y).dtype is mt.float32 and not mt.is_autocast_enabled("cuda")


def test_a_loss_that_is_unsafe(device):
    p = mt.full((2,), 0.5).to("cuda")
    with mt.autocast("cuda"), pytest.raises(RuntimeError, match="unsafe to autocast"):
        F.binary_cross_entropy(p, p)


def test_training(device, dtype=mt.bfloat16):
    """Close to training in float32, with gradients and parameters in float32."""
    losses = []
    for enabled in (False, True):
        mt.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2)).to("cuda")
        optimizer = mt.optim.SGD(model.parameters(), lr=0.2)
        x, t = mt.randn(6, 4).to("cuda"), mt.randn(6, 2).to("cuda")
        for _ in range(4):
            optimizer.zero_grad()
            with mt.autocast("cuda", dtype, enabled=enabled):
                y = model(x)
                loss = F.mse_loss(y, t)
            assert y.dtype is (dtype if enabled else mt.float32) and loss.dtype is mt.float32
            loss.backward()
            optimizer.step()
            assert all(p.grad.dtype is p.dtype is mt.float32 for p in model.parameters())
        losses.append(loss.item())
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)


def test_a_captured_step(device):
    """The region's type is a guard."""
    w = mt.randn(3, 3).to("cuda")
    f = mt.compile(lambda x: x @ w)
    x = mt.randn(2, 3).to("cuda")
    for dtype in (mt.float16, mt.bfloat16):
        with mt.autocast("cuda", dtype):
            want = x @ w
            for _ in range(3):
                y = f(x)
                assert y.dtype is dtype and mt.equal(y.cpu(), want.cpu())
    assert f.explain() == "<lambda>: 2 recordings, 2 replays"
