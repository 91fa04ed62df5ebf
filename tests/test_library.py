"""`torch.library`: custom operators, their gradients, what they change, and where they run."""
import numpy as np
import pytest

import minitorch as mt
from minitorch import library


@pytest.fixture
def sine():
    @library.custom_op("testlib::sine", mutates_args=())
    def sine(x: mt.Tensor, scale: float = 2.0) -> mt.Tensor:
        return mt.from_numpy(scale * np.sin(x.numpy(force=True)))

    return sine


def test_values_and_gradients(sine):
    x = mt.tensor([0.5, -1.0], dtype=mt.float64, requires_grad=True)
    np.testing.assert_allclose(sine(x.detach(), scale=3.0).numpy(), 3 * np.sin([0.5, -1.0]))
    with pytest.raises(RuntimeError, match="no autograd formula"):
        sine(x).sum().backward()

    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.scale = inputs[1]

    library.register_autograd("testlib::sine", lambda ctx, dy: (dy * ctx.scale * ctx.saved_tensors[0].cos(), None),
                              setup_context=setup_context)
    mt.ops.testlib.sine(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.cos([0.5, -1.0]))
    assert mt.autograd.gradcheck(lambda x: sine.default(x, 0.5), (x,))


def test_what_is_changed_is_noticed():
    @library.custom_op("testlib::fill", mutates_args={"out"}, device_types="cpu")
    def fill(x: mt.Tensor, out: mt.Tensor) -> None:
        out.copy_(x + 1)

    out = mt.zeros(2)
    version = out._version
    assert fill(mt.ones(2), out) is None and out.tolist() == [2.0, 2.0] and out._version > version
    with pytest.raises(RuntimeError, match="out"):
        fill.register_autograd(lambda ctx, dy: dy)


def test_kernels_of_devices(sine):
    @library.custom_op("testlib::where", mutates_args=(), device_types="cuda")
    def where(x: mt.Tensor) -> mt.Tensor:
        return x

    with pytest.raises(NotImplementedError, match="cuda"):
        where(mt.ones(1))
    library.register_kernel(where, "cpu")(lambda x: x + 1)
    assert where(mt.ones(1)).item() == 2

    @library.register_fake("testlib::where")
    def _(x):
        return mt.empty_like(x)

    assert mt.compile(where)(mt.ones(1)).item() == 2


@pytest.mark.parametrize(("wrong", "kind", "message"), [
    (lambda: library.custom_op("plain", lambda x: x, mutates_args=()), ValueError, "namespace"),
    (lambda: library.custom_op("a::b", lambda x: x, mutates_args=()), ValueError, "Parameter x"),
    (lambda: library.custom_op("a::b", lambda x: x, mutates_args="y", schema="(Tensor x) -> Tensor"), ValueError,
     "'y'"),
    (lambda: library.register_fake("a::none"), RuntimeError, "a::none"),
    (lambda: library.custom_ops, AttributeError, "'custom_op'"),
])
def test_wrong_arguments(wrong, kind, message):
    with pytest.raises(kind, match=message):
        wrong()
