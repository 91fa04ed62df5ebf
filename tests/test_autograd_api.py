"""torch.autograd beyond backward: functional, forward_ad, hooks on saved values, and functions of one's own."""
import numpy as np
import pytest

import minitorch as torch
from minitorch.autograd import forward_ad, functional, graph

X = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)


def close(a, b):
    np.testing.assert_allclose(np.asarray(a.detach()._array), np.asarray(getattr(b, "_array", b)), 1e-9, 1e-9)


def test_functional():
    ones = torch.ones(3, dtype=torch.float64)

    def cube(x):
        return (x ** 3).sum()

    for strategy in ("reverse-mode", "forward-mode"):
        close(functional.jacobian(lambda x: x ** 2, X, strategy=strategy), torch.diag(2 * X))
        close(functional.hessian(cube, X, outer_jacobian_strategy=strategy), torch.diag(6 * X))
    (a, b), (c, d) = functional.hessian(lambda x, y: (x * x * y).sum(), (X, X))
    close(a, torch.diag(2 * X)), close(b, torch.diag(2 * X)), close(c, b), close(d, torch.zeros(3, 3))
    close(functional.vjp(torch.exp, X, ones)[1], X.exp()), close(functional.jvp(torch.exp, X, ones)[1], X.exp())
    close(functional.hvp(cube, X, ones)[1], 6 * X), close(functional.vhp(cube, X, ones)[1], 6 * X)
    assert functional.hvp(cube, X, ones)[0].item() == pytest.approx(cube(X).item())
    x = X.clone().requires_grad_()
    functional.jacobian(lambda x: x ** 2, x, create_graph=True).sum().backward()
    close(x.grad, 2 * ones)
    assert not functional.jacobian(lambda x: x ** 2, x).requires_grad
    with pytest.raises(RuntimeError, match="independent of input 1"):
        functional.jacobian(lambda x, y: x * 2, (X, X), strict=True)
    with pytest.raises(TypeError, match="jacobian"):
        functional.jacobian(lambda x: x, 3.0)


def test_forward_mode():
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(X, 2 * X)
        primal, tangent = forward_ad.unpack_dual(dual.sin() * 3)
        close(primal, 3 * X.sin()), close(tangent, 6 * X * X.cos())
        assert forward_ad.unpack_dual(X).tangent is None
        with pytest.raises(RuntimeError, match="different size"):
            forward_ad.make_dual(X, X[:2])
    with pytest.raises(RuntimeError, match="no level"):
        forward_ad.make_dual(X, X)


def test_saved_values_are_packed():
    def loss(x, w):
        return torch.log_softmax((x @ w).tanh().exp(), 1)[:, 0].sum()

    x, w = torch.randn(4, 3, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    expected, = torch.autograd.grad(loss(x, w), w)
    packed = []

    def pack(t):
        packed.append(t.numpy().copy())
        return len(packed) - 1

    with graph.saved_tensors_hooks(pack, lambda i: torch.from_numpy(packed[i])):
        y = loss(x, w)
    count = len(packed)
    assert count >= 4
    found, = torch.autograd.grad(y, w, create_graph=True)
    close(found, expected)
    second, = torch.autograd.grad(found.sum(), w)
    direct, = torch.autograd.grad(torch.autograd.grad(loss(x, w), w, create_graph=True)[0].sum(), w)
    close(second, direct)
    assert len(packed) == count
    with graph.save_on_cpu():
        close(torch.autograd.grad(loss(x, w), w)[0], expected)


def test_hooks_on_several_tensors():
    a, b = X.clone().requires_grad_(), X.clone().requires_grad_()
    seen = []
    handle = graph.register_multi_grad_hook((a, b), seen.append)
    (a * b).sum().backward()
    assert len(seen) == 1
    close(seen[0][0], X)
    handle.remove()
    (a * b).sum().backward()
    assert len(seen) == 1
    edge = graph.get_gradient_edge(a * 2)
    assert edge.node.name() == "MulBackward0" and edge.output_nr == 0


def test_custom_functions_of_saved_values():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x ** 3

        @staticmethod
        def backward(ctx, dy):
            x, = ctx.saved_tensors
            return dy * 3 * x ** 2

    x, kept = X.clone().requires_grad_(), []
    with graph.saved_tensors_hooks(lambda t: kept.append(t * 2), lambda _: kept[0] / 2):
        y = Cube.apply(x)
    close(torch.autograd.grad(y.sum(), x)[0], 3 * X ** 2)
    assert len(kept) == 1


def test_names_of_modules():
    from minitorch.autograd.function import Function, once_differentiable
    from minitorch.autograd.variable import Variable

    assert torch.autograd.Function is Function and torch.autograd.Variable is Variable and once_differentiable
    with torch.autograd.profiler.record_function("part"):
        pass
    with pytest.raises(AttributeError, match=r"torch\.autograd"):
        torch.autograd.nothing  # noqa: B018


def test_nodes_show_what_they_save():
    a, b = torch.ones(3, requires_grad=True), torch.randn(3, requires_grad=True)
    product = (a * b).grad_fn
    assert product._saved_self is a and product._saved_other is b
    y = b.exp()
    close(y.grad_fn._saved_result, y)
    assert (b ** 2).grad_fn._saved_exponent == 2
    with pytest.raises(AttributeError, match="_saved_self"):
        _ = (a + 1).grad_fn._saved_self
    events = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (events.append("pack"), t)[1],
                                                  lambda t: (events.append("unpack"), t)[1]):
        z = a * b
    close(z.grad_fn._saved_other, b)
    assert events == ["pack", "pack", "unpack"]
    y.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        _ = y.grad_fn._saved_result


def test_a_number_comes_second_in_a_product():
    a = torch.ones(3, requires_grad=True)
    (leaf, _), nothing = (2 * a).grad_fn.next_functions
    assert leaf.variable is a and nothing == (None, 0)


def test_a_duals_own_tangent():
    t = torch.randn(2, 2)
    with forward_ad.dual_level():
        primal = torch.zeros(2, 2)
        assert forward_ad.unpack_dual(forward_ad.make_dual(primal, t)).tangent is t
        turned = forward_ad.unpack_dual(forward_ad.make_dual(primal, t.T)).tangent
        assert turned is not t and turned.stride() == primal.stride()
        close(turned, t.T)
        wide = forward_ad.make_dual(primal.double(), t)  # the tangent takes the primal's type
        close(forward_ad.unpack_dual(wide * 3).tangent, 3 * t.double())


def test_functions_with_a_jvp_or_vjp_alone():
    class Exp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale):
            ctx.result = x.exp() * scale
            return ctx.result

        @staticmethod
        def jvp(ctx, dx, _):
            out = dx * ctx.result
            del ctx.result
            return out

    x, t = torch.randn(3, dtype=torch.float64, requires_grad=True), torch.randn(3, dtype=torch.float64)
    with forward_ad.dual_level():
        close(forward_ad.unpack_dual(Exp.apply(forward_ad.make_dual(x, t), 2)).tangent, 2 * x.exp() * t)
    close(torch.autograd.grad(Exp.apply(x, 2).sum(), x)[0], 2 * x.exp())
    assert torch.autograd.gradcheck(lambda x: Exp.apply(x, 2), (x,), check_forward_ad=True, check_backward_ad=False,
                                    check_undefined_grad=False, check_batched_grad=False)

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def vjp(ctx, dy):
            return dy * 2

    close(torch.autograd.grad(Double.apply(x).sum(), x)[0], 2 * torch.ones(3, dtype=torch.float64))
    del Double.vjp
    with pytest.raises(NotImplementedError, match="backward or vjp"):
        Double.apply(x).sum().backward()
