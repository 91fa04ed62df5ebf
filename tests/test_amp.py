"""Mixed precision: autocast on the CPU casts what PyTorch casts, the scaler's factor moves as PyTorch's does."""
from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

import minitorch as mt
from minitorch import nn
from minitorch.nn import functional as F

HALF = mt.float16


@pytest.fixture
def x():
    return mt.tensor([[1.0, 2.0], [3.0, -4.0]])


def test_products_run_in_16_bits_and_their_gradients_come_back_in_32(x):
    w = mt.ones(2, 2, requires_grad=True)
    with mt.autocast("cpu", dtype=HALF):
        y = x @ w
        assert y.dtype is HALF and (x + x).dtype is mt.float32
    y.sum().backward()
    assert w.grad.dtype is mt.float32
    np.testing.assert_allclose(w.grad.numpy(), [[4, 4], [-2, -2]])


def test_second_derivatives(x):
    w = mt.ones(2, 2, requires_grad=True)
    with mt.autocast("cpu", dtype=HALF):
        g, = mt.autograd.grad(((w @ w) ** 2).sum(), w, create_graph=True)
    mt.autograd.grad(g.sum(), w)


@pytest.mark.parametrize(("call", "dtype"), [
    (lambda x: F.linear(x, x), HALF), (lambda x: mt.mm(x, x), HALF), (lambda x: mt.addmm(x, x, x), HALF),
    (lambda x: mt.bmm(x[None], x[None]), HALF), (lambda x: mt.einsum("ij,jk->ik", x, x), HALF),
    (lambda x: F.conv1d(x[None], x[None]), HALF), (lambda x: F.scaled_dot_product_attention(x, x, x), HALF),
    (lambda x: F.mse_loss(x.half(), x.half()), mt.float32), (lambda x: x.half().prod(), mt.float32),
    (lambda x: F.cross_entropy(x.half(), mt.tensor([0, 1])), mt.float32), (lambda x: mt.cdist(x, x), mt.float32),
    (lambda x: mt.cat([x, x.half()]), mt.float32), (lambda x: mt.cat([x.half()]), HALF),
    (lambda x: x.double() @ x.double(), mt.float64), (lambda x: x.softmax(0), mt.float32),
    (lambda x: mt.mv(x, x[0]), mt.float32), (lambda x: mt.dot(x[0], x[0]), mt.float32),
])
def test_which_type_an_operation_has(call, dtype, x):
    with mt.autocast("cpu", dtype=HALF):
        assert call(x).dtype is dtype


def test_regions_nest_and_end_with_an_error(x):
    with mt.autocast("cpu", dtype=HALF):
        with mt.autocast("cpu", enabled=False):
            assert (x @ x).dtype is mt.float32 and not mt.is_autocast_enabled("cpu")
        assert mt.is_autocast_enabled("cpu") and mt.get_autocast_dtype("cpu") is HALF
        with pytest.raises(ZeroDivisionError), mt.autocast("cpu", dtype=HALF):
            1 / 0  # noqa: B018
    assert (x @ x).dtype is mt.float32 and not mt.is_autocast_enabled("cpu")


def test_as_a_decorator(x):
    assert mt.autocast("cpu", dtype=HALF)(lambda: x @ x)().dtype is HALF
    assert (x @ x).dtype is mt.float32


def test_without_a_gpu_cuda_warns_and_does_nothing(x):
    if mt.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.warns(UserWarning, match="CUDA is not available"):
        region = mt.autocast("cuda")
    with region:
        assert (x @ x).dtype is mt.float32 and not mt.is_autocast_enabled()
    with pytest.warns(FutureWarning, match="deprecated"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        mt.cuda.amp.autocast()
    with pytest.warns(UserWarning, match="target dtype is not supported"):
        mt.autocast("cpu", dtype=mt.float32)
    with pytest.raises(RuntimeError):
        mt.autocast("foo")


def test_a_compiled_function_under_autocast_is_recorded_apart(x):
    f = mt.compile(lambda a: a @ a)
    for _ in range(3):
        assert f(x).dtype is mt.float32
        with mt.autocast("cpu", dtype=HALF):
            assert f(x).dtype is HALF


def test_custom_functions(x):
    class Product(mt.autograd.Function):
        @staticmethod
        @mt.amp.custom_fwd(device_type="cpu", cast_inputs=mt.float32)
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a @ a

        @staticmethod
        @mt.amp.custom_bwd(device_type="cpu")
        def backward(ctx, dy):
            a, = ctx.saved_tensors
            return dy @ a.t() + a.t() @ dy

    a = x.clone().requires_grad_()
    with mt.autocast("cpu", dtype=HALF):
        y = Product.apply(a)
    y.sum().backward()
    assert y.dtype is mt.float32 and a.grad.dtype is mt.float32


def stepped(scaler, gradient):
    p = nn.Parameter(mt.ones(2))
    optimizer = mt.optim.SGD([p], lr=0.5)
    scaler.scale(p.sum()).backward()
    p.grad = mt.tensor(gradient) * scaler.get_scale()
    scaler.step(optimizer)
    scaler.update()
    return p.tolist()


def test_the_factor_grows_and_shrinks():
    scaler = mt.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    assert stepped(scaler, [1.0, 1.0]) == [0.5, 0.5] and scaler.get_scale() == 8
    assert stepped(scaler, [1.0, 1.0]) == [0.5, 0.5] and scaler.get_scale() == 16
    assert stepped(scaler, [1.0, float("inf")]) == [1, 1] and scaler.get_scale() == 8
    assert stepped(scaler, [float("nan"), 1.0]) == [1, 1] and scaler.get_scale() == 4
    state = scaler.state_dict()
    assert state == {"scale": 4.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2,
                     "_growth_tracker": 0}
    other = mt.GradScaler("cpu")
    other.load_state_dict(state)
    assert other.get_scale() == 4 and pickle.loads(pickle.dumps(other)).state_dict() == state


def test_the_scaler_refuses_what_is_out_of_order():
    scaler, p = mt.GradScaler("cpu"), nn.Parameter(mt.ones(1))
    optimizer = mt.optim.SGD([p], lr=0.1)
    with pytest.raises(AssertionError):
        scaler.update()
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [1]
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError):
        pickle.dumps(scaler)
    with pytest.raises(RuntimeError, match="empty"):
        mt.GradScaler("cpu").load_state_dict({})


def test_a_disabled_scaler_does_nothing():
    scaler, p = mt.GradScaler("cpu", enabled=False), nn.Parameter(mt.ones(1))
    optimizer = mt.optim.SGD([p], lr=1.0)
    assert scaler.scale(p) is p and scaler.get_scale() == 1 and scaler.state_dict() == {}
    p.sum().backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == [0]
