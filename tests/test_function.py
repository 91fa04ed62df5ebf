"""Custom differentiable functions, and gradcheck: PyTorch's protocol."""
from __future__ import annotations

import gc
import importlib
import weakref

import numpy as np
import pytest
from helpers import leaf

import minitorch as mt
from minitorch.autograd import Function, grad, gradcheck, gradgradcheck


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x ** 3

    @staticmethod
    def backward(ctx, dy):
        x, = ctx.saved_tensors
        return 3 * x ** 2 * dy


class Exp(Function):
    """Keeps its output."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        y, = ctx.saved_tensors
        return dy * y


class Polar(Function):
    """Several outputs, setup_context style, an attribute of its own."""

    @staticmethod
    def forward(r, angle, scale):
        return scale * r * angle.cos(), scale * r * angle.sin()

    @staticmethod
    def setup_context(ctx, inputs, output):
        r, angle, scale = inputs
        ctx.save_for_backward(r, angle)
        ctx.scale = scale

    @staticmethod
    def backward(ctx, dx, dy):
        r, a = ctx.saved_tensors
        return (ctx.scale * (dx * a.cos() + dy * a.sin()), ctx.scale * r * (dy * a.cos() - dx * a.sin()), None)


def test_first_and_second_order():
    x = leaf(2.0)
    y = Cube.apply(x)
    assert y.item() == 8 and y.grad_fn.name().startswith("Cube")
    dx, = grad(y, x, create_graph=True)
    assert dx.item() == 12 and grad(dx, x)[0].item() == 12


@pytest.mark.parametrize("function, inputs", [
    (Cube.apply, [(2.0, -1.0)]), (Exp.apply, [(0.5, 1.0)]),
    (lambda r, a: Polar.apply(r, a, 2.0), [(1.0, 2.0), (0.3, 0.4)]),
    (lambda x: Exp.apply(Cube.apply(x) * x), [(0.3, 0.9)]),
], ids=["cube", "exp", "polar", "nested"])
def test_gradcheck(function, inputs):
    inputs = [leaf(*values) for values in inputs]
    assert gradcheck(function, inputs) and gradgradcheck(function, inputs)
    assert gradcheck(function, inputs, fast_mode=True)


def test_unused_outputs_are_zeros():
    r, angle = leaf(2.0), leaf(0.5)
    x, _ = Polar.apply(r, angle, 1.0)
    x.backward()
    assert r.grad.item() == pytest.approx(np.cos(0.5)) and angle.grad.item() == pytest.approx(-2 * np.sin(0.5))


def test_unused_outputs_may_be_none():
    seen = []

    class Two(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, a, b):
            seen.append((a, b))
            return 2 * b

    x = leaf(3.0)
    Two.apply(x)[1].backward()
    assert seen[0][0] is None and x.grad.item() == 2


def test_needs_input_grad():
    seen = []

    class Product(Function):
        @staticmethod
        def forward(ctx, a, b, c):
            ctx.save_for_backward(a, b)
            return a * b * c

        @staticmethod
        def backward(ctx, dy):
            seen.append(ctx.needs_input_grad)
            a, b = ctx.saved_tensors
            return dy * b if ctx.needs_input_grad[0] else None, dy * a if ctx.needs_input_grad[1] else None, None

    a, b = leaf(2.0), mt.tensor(3.0, dtype=mt.float64)
    Product.apply(a, b, 1).backward()
    assert seen == [(True, False, False)] and a.grad.item() == 3


def test_non_differentiable_outputs():
    class Sort(Function):
        @staticmethod
        def forward(ctx, x):
            order = x.argsort()
            y, top = x[order], x.max()
            ctx.mark_non_differentiable(top)
            ctx.save_for_backward(order)
            return y, order, top

        @staticmethod
        def backward(ctx, dy, *unused):
            order, = ctx.saved_tensors
            dx = mt.zeros_like(dy)
            dx[order] = dy
            return dx

    x = leaf(3.0, 1.0, 2.0)
    y, order, top = Sort.apply(x)
    assert y.requires_grad and not order.requires_grad and not top.requires_grad
    (y * mt.tensor([1.0, 10.0, 100.0], dtype=mt.float64)).sum().backward()
    assert x.grad.tolist() == [100, 1, 10]


def test_mark_dirty():
    class Doubled(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, dy):
            return 2 * dy

    x = leaf(1.0, 2.0)
    y = x * 1
    z = Doubled.apply(y)
    assert z is y and y.tolist() == [2, 4]
    z.sum().backward()
    assert x.grad.tolist() == [2, 2]
    a = x * x
    b = a * a
    Doubled.apply(a)
    with pytest.raises(RuntimeError, match="inplace"):
        b.sum().backward()


def test_mark_dirty_says_what_no_operation_said():
    class Zeroed(Function):
        @staticmethod
        def forward(ctx, x):
            x.detach().numpy()[...] = 0
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, dy):
            return 0 * dy

    a = leaf(1.0, 2.0) * 1
    b = a * a
    Zeroed.apply(a)
    with pytest.raises(RuntimeError, match="inplace"):
        b.sum().backward()


def test_an_input_returned_as_it_is():
    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, dy):
            return dy * 3

    x = leaf(1.0)
    y = Same.apply(x)
    assert y is not x and not y.is_leaf and x.is_leaf
    y.backward()
    assert x.grad.item() == 3


@pytest.mark.parametrize("keep", ["input", "output"])
def test_overwriting_what_was_saved_is_caught(keep):
    x = leaf(1.0, 2.0)
    h = x * 1
    y = (Cube if keep == "input" else Exp).apply(h)
    (h if keep == "input" else y).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_freed_graphs():
    x = leaf(2.0)
    y = Cube.apply(x)
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    y = Cube.apply(x)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 36


def test_saved_memory_goes():
    gc.collect()
    x = leaf(2.0)
    h = x * 1
    kept = weakref.ref(h)
    y = Cube.apply(h)
    del h
    assert kept() is not None
    y.backward()
    assert kept() is None
    gc.disable()
    try:
        y = Exp.apply(x)
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("result, message", [((1.0, 2.0), "expected 1, got 2")])
def test_wrong_number_of_gradients(result, message):
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            return tuple(dy * r for r in result)

    with pytest.raises(RuntimeError, match=f"Wrong.*{message}"):
        Wrong.apply(leaf(1.0)).backward()


def test_gradients_of_a_wrong_shape():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x.sum()

        @staticmethod
        def backward(ctx, dy):
            return mt.ones(5, dtype=mt.float64)

    x = leaf(1.0, 2.0)
    with pytest.raises((RuntimeError, ValueError)):
        Wrong.apply(x).backward()
    assert x.grad is None


def test_nothing_is_recorded_where_nothing_is_needed():
    assert not Cube.apply(mt.tensor(2.0)).requires_grad
    with mt.no_grad():
        assert not Cube.apply(leaf(2.0)).requires_grad


def test_grad_mode_within():
    modes = []

    class Modes(Function):
        @staticmethod
        def forward(ctx, x):
            modes.append(mt.is_grad_enabled())
            return x * 1

        @staticmethod
        def backward(ctx, dy):
            modes.append(mt.is_grad_enabled())
            return dy

    x = leaf(1.0)
    Modes.apply(x).backward()
    grad(Modes.apply(x), x, create_graph=True)
    assert modes == [False, False, False, True]


def test_gradients_of_another_dtype_are_cast():
    class Wide(Function):
        @staticmethod
        def forward(ctx, x):
            return x.to(mt.float64)

        @staticmethod
        def backward(ctx, dy):
            return dy

    x = leaf(1.0, dtype=mt.float32)
    Wide.apply(x).backward()
    assert x.grad.dtype is mt.float32


@pytest.mark.parametrize("factor", [None, 1])
def test_backward_that_returns_one_tensor_twice_shares_nothing(factor):
    class Sum(Function):
        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, dy):
            g = dy if factor is None else dy * factor
            return g, g

    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mt.ones(2, dtype=mt.float64)
    Sum.apply(a, b).backward(seed)
    a.grad.add_(1)
    assert b.grad.tolist() == [1, 1] and seed.tolist() == [1, 1]


def test_once_differentiable():
    class Once(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @mt.autograd.function.once_differentiable
        def backward(ctx, dy):
            x, = ctx.saved_tensors
            return 2 * x * dy

    x = leaf(3.0)
    assert grad(Once.apply(x), x)[0].item() == 6
    dx, = grad(Once.apply(x), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        grad(dx, x)


def test_as_in_pytorch(torch):
    """The same class on both libraries: values, gradients, second derivatives, what backward is given."""
    results = []
    for lib in (mt, torch):
        log = []

        class Norm(lib.autograd.Function):
            @staticmethod
            def forward(ctx, x, w, power=2):
                ctx.power = power
                y = (x ** power).sum()
                ctx.save_for_backward(x, w, y)
                return y * w, y

            @staticmethod
            def backward(ctx, dz, dy, log=log):
                x, w, y = ctx.saved_tensors
                log.append((ctx.needs_input_grad, float(dz), float(dy)))
                total = dz * w + dy
                return total * ctx.power * x ** (ctx.power - 1), dz * y, None

        x = lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
        w = lib.tensor(3.0, dtype=lib.float64, requires_grad=True)
        z, _ = Norm.apply(x, w, 3)
        d = lib.autograd.grad(z, [x, w], create_graph=True)
        d2 = lib.autograd.grad((d[0] * d[0]).sum() + d[1] * d[1], [x, w])
        results.append((log, [t.tolist() for t in (*d, *d2)]))
    assert results[0] == results[1]


# gradcheck itself


def test_gradcheck_finds_a_wrong_gradient():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x * x

        @staticmethod
        def backward(ctx, dy):
            return dy * 3

    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        gradcheck(Wrong.apply, [x])
    assert gradcheck(Wrong.apply, [x], raise_exception=False) is False
    assert gradcheck(Wrong.apply, [x], raise_exception=False, fast_mode=True) is False
    assert x.tolist() == [1, 2]


def test_gradgradcheck_finds_a_wrong_second_derivative():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x ** 3

        @staticmethod
        def backward(ctx, dy):
            x, = ctx.saved_tensors
            return dy * 3 * (x * x).detach()

    x = leaf(1.0, 2.0)
    assert gradcheck(Wrong.apply, [x])
    assert gradgradcheck(Wrong.apply, [x], raise_exception=False) is False


def test_gradcheck_wants_float64():
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double precision"):
        assert gradcheck(lambda x: x, [leaf(1.0, dtype=mt.float32)], eps=1e-2, atol=1e-2)
    with pytest.raises(ValueError, match="none of them"):
        gradcheck(lambda x: x, [mt.tensor(1.0)])


def test_a_sparse_tensor_can_be_saved():
    class Product(Function):
        @staticmethod
        def forward(ctx, values, b):
            a = mt.sparse_coo_tensor(mt.tensor([[0, 1, 1], [1, 0, 1]]), values, (2, 2))
            ctx.save_for_backward(a, b)
            return mt.matmul(a, b)

        @staticmethod
        def backward(ctx, dy):
            a, b = ctx.saved_tensors
            dense = dy.matmul(b.t())
            return dense[tuple(a._indices())], a.t().matmul(dy)

    values = mt.tensor([2.0, 3.0, 5.0], requires_grad=True)
    b = mt.tensor([[1.0], [10.0]], requires_grad=True)
    (Product.apply(values, b) * mt.tensor([[1.0], [2.0]])).sum().backward()
    assert values.grad.tolist() == [10, 2, 20] and b.grad.tolist() == [[6], [12]]


def test_gradients_of_another_shape():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x, keep):
            ctx.keep = keep
            return x + 1

        @staticmethod
        def backward(ctx, dy):
            return ctx.keep(dy), None

    x = leaf([1.0, 2.0, 3.0])
    Wrong.apply(x, lambda dy: dy.expand(2, 3)).sum().backward()  # broadcast: it is summed
    assert x.grad.tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError, match=r"index 0 - got \[2\] but expected shape compatible with \[3\]"):
        Wrong.apply(x, lambda dy: dy[:2]).sum().backward()


class _Unmaterialized(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2


class _Strict(_Unmaterialized):
    @staticmethod
    def backward(ctx, dy):
        if dy is None:
            raise RuntimeError("no gradient")
        return dy * 2


class _Careful(_Unmaterialized):
    @staticmethod
    def backward(ctx, dy):
        return None if dy is None else dy * 2


class _Wrong(_Unmaterialized):
    @staticmethod
    def backward(ctx, dy):
        return mt.ones(2, dtype=mt.float64) if dy is None else dy * 2


def test_gradcheck_of_undefined_gradients():
    x = leaf(1.0, 2.0)
    assert gradcheck(_Careful.apply, x) and gradcheck(lambda x: (x * 2, x * 3), x, check_grad_dtypes=True)
    with pytest.raises(RuntimeError, match="to handle undefined output grads"):
        gradcheck(_Strict.apply, x)
    with pytest.raises(RuntimeError, match="undefined or zero when all output grads are"):
        gradcheck(_Wrong.apply, x)
    assert not gradcheck(_Wrong.apply, x, raise_exception=False)
    assert gradcheck(_Strict.apply, x, check_undefined_grad=False)
    with pytest.raises(NotImplementedError, match="sparse inputs"):
        gradcheck(mt.sparse.sum, mt.eye(2, dtype=mt.float64).to_sparse().requires_grad_(), masked=True)


def test_gradcheck_of_gradient_types():
    check = importlib.import_module("minitorch.gradcheck")._check_repeats
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="Gradient has dtype mismatch"):
        check("output 0", x * 1, x, 0.0, True, lambda y, x, v, **_: (mt.ones(2),))
