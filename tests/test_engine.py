"""Backward and grad: what they compute, what they refuse, and that gradients are nobody else's memory."""
from __future__ import annotations

import numpy as np
import pytest
from helpers import leaf, values

import minitorch as mt
from minitorch.autograd import backward, grad
from minitorch.errors import GraphError

# backward and grad


def test_backward_of_a_scalar():
    x = leaf(3.0)
    (x * x).backward()
    assert x.grad.item() == 6 and x.grad.dtype is mt.float64 and not x.grad.requires_grad


def test_backward_accumulates():
    x = leaf(1.0, 2.0)
    for times in (1, 2, 3):
        (x * x).sum().backward()
        assert values(x.grad) == [2 * times, 4 * times]
    x.grad = None
    (x * 3).sum().backward()
    assert values(x.grad) == [3, 3]


def test_backward_with_weights():
    x = leaf(1.0, 2.0)
    (x * x).backward(mt.tensor([1.0, 10.0], dtype=mt.float64))
    assert values(x.grad) == [2, 40]


def test_weights_of_another_type_are_cast():
    x = leaf(1.0, 2.0, dtype=mt.float32)
    (x * 2).backward(mt.ones(2))
    assert x.grad.dtype is mt.float32


@pytest.mark.parametrize("make, raises, message", [
    (lambda x: x * x, RuntimeError, "grad can be implicitly created only for scalar outputs"),
    (lambda x: (x * x).detach().sum(), RuntimeError, "does not require grad and does not have a grad_fn"),
    (lambda x: x.argmax(), RuntimeError, "does not require grad"),
])
def test_backward_errors(make, raises, message):
    x = leaf(1.0, 2.0)
    with pytest.raises(raises, match=message):
        make(x).backward()
    assert x.grad is None


def test_weights_of_a_wrong_shape():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * x).backward(mt.ones(3))
    with pytest.raises(RuntimeError, match="2 gradients"):
        backward([x * x], [mt.ones(2), mt.ones(2)])


def test_backward_of_a_leaf():
    x = leaf(5.0)
    x.backward()
    assert x.grad.item() == 1
    x.backward(mt.tensor(3.0, dtype=mt.float64))
    assert x.grad.item() == 4


def test_several_roots():
    x = leaf(2.0)
    backward([x * x, x * 3])
    assert x.grad.item() == 7


def test_the_same_root_twice():
    x = leaf(2.0)
    y = x * x
    backward([y, y])
    assert x.grad.item() == 8


def test_backward_for_some_inputs_only():
    x, w = leaf(2.0), leaf(3.0)
    y = x * w
    (y * y).backward(inputs=[x])
    assert x.grad.item() == 2 * 2 * 9 and w.grad is None


def test_grad_leaves_grad_alone():
    x = leaf(3.0)
    dx, = grad(x * x, x)
    assert dx.item() == 6 and x.grad is None


def test_grad_of_an_intermediate():
    x = leaf(3.0)
    y = x * x
    z = y * y
    dy, dx = grad(z, [y, x])
    assert dy.item() == 18 and dx.item() == 108


def test_grad_of_the_output_itself():
    x = leaf(3.0)
    y = x * x
    dy, = grad(y, y)
    assert dy.item() == 1


def test_grad_goes_no_further_than_its_inputs():
    """What lies below them stays: not freed, its hooks not called."""
    x, seen = leaf(3.0), []
    below = x * x
    below.register_hook(lambda g: seen.append("below"))
    mid = below * 2
    side = below.exp()
    z = mid * mid + side.detach()
    grad(z, mid, retain_graph=True)
    assert seen == []
    assert grad(z, [mid, x])[1].item() == 2 * 18 * 2 * 6
    assert seen == ["below"]
    y = (x * x).exp()
    h = y * 3
    grad(h, y)
    y.backward()
    assert x.grad.item() == pytest.approx(6 * np.exp(9))


def test_zero_dimensional_gradients_are_tensors_like_others():
    x = leaf(2.0)
    (x + x + x * 3).backward()
    x.grad.add_(1)
    x.grad[()] = x.grad * 2
    assert x.grad.item() == 12 and x.grad.numpy().shape == ()


def test_grad_of_unused_inputs():
    x, w = leaf(3.0), leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="not have been used"):
        grad(x * x, [x, w])
    assert grad(x * x, [x, w], allow_unused=True)[1] is None
    assert values(grad(x * x, [x, w], materialize_grads=True)[1]) == [0, 0]
    with pytest.raises(RuntimeError, match="does not require grad"):
        grad(x * x, [mt.tensor(1.0)])


def test_create_graph():
    x = leaf(2.0)
    y = x * x * x
    d1, = grad(y, x, create_graph=True)
    d2, = grad(d1, x, create_graph=True)
    d3, = grad(d2, x)
    assert (d1.item(), d2.item(), d3.item()) == (12, 12, 6)
    assert d1.requires_grad and d2.requires_grad and not d3.requires_grad


def test_create_graph_through_backward():
    """A gradient penalty: the gradient of a gradient's norm, accumulated into leaves."""
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * x * w).sum()
    dx, = grad(y, x, create_graph=True)
    (dx * dx).sum().backward()  # dx = 2xw
    assert values(x.grad) == [8 * 9 * 1, 8 * 16 * 2]
    assert values(w.grad) == [8 * 1 * 3, 8 * 4 * 4]


def test_backward_with_create_graph_accumulates_differentiable_gradients():
    x = leaf(3.0)
    (x * x * x).backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    d2, = grad(first, x)
    assert d2.item() == 18


def test_derivative_with_respect_to_the_weights():
    x, w = leaf(2.0), leaf(5.0)
    dx, = grad(x * x, x, grad_outputs=w, create_graph=True)
    assert dx.item() == 20
    assert grad(dx, w)[0].item() == 4


def test_retain_graph():
    x = leaf(3.0)
    y = (x * x).exp()
    y.backward(retain_graph=True)
    once = x.grad.item()
    y.backward()
    assert x.grad.item() == 2 * once


def test_a_freed_graph_says_so():
    x = leaf(3.0)
    y = (x * x).exp()
    y.backward()
    before = x.grad.item()
    with pytest.raises(GraphError, match=r"(?s)(exp|mul).*second time"):
        y.backward()
    assert x.grad.item() == before


def test_a_shared_part_is_freed_by_the_first_backward():
    x = leaf(3.0)
    h = x * x
    a, b = h * 2, h * h
    a.backward()
    with pytest.raises(RuntimeError, match="second time"):
        b.backward()


def test_graphs_without_kept_values_run_again():
    x = leaf(3.0)
    y = x + x
    y.backward()
    y.backward()
    assert x.grad.item() == 4


def test_one_tensor_used_a_thousand_times():
    x = leaf(1.0, 2.0)
    total = x * 0
    for _ in range(1000):
        total = total + x
    total.sum().backward()
    assert values(x.grad) == [1000, 1000]


def test_diamonds():
    a = leaf(2.0, 3.0)
    b = a + a
    c = b + b
    (c * c).sum().backward()
    assert values(a.grad) == [64, 96]
    assert values(b) == [4, 6] and values(c) == [8, 12]


def test_long_and_short_ways_meet():
    x = leaf(0.5)
    y = x
    for _ in range(10):
        y = y * x
    (y + x + y * x).backward()
    assert x.grad.item() == pytest.approx(11 * 0.5 ** 10 + 1 + 12 * 0.5 ** 11)


def test_against_pytorch_on_random_graphs(torch):
    """Random programs of adds, products and sines over a growing list of values give PyTorch's gradients."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        start = rng.standard_normal((3, 4))
        plan = [(rng.integers(3), *rng.integers(0, 2 + i, 2)) for i in range(25)]
        found = []
        for lib in (mt, torch):
            xs = [lib.tensor(start.tolist(), dtype=lib.float64, requires_grad=True),
                  lib.tensor(start[:1].tolist(), dtype=lib.float64, requires_grad=True)]
            for kind, i, j in plan:
                a, b = xs[i], xs[j]
                xs.append(a + b if kind == 0 else lib.sin(a) * b if kind == 1 else (a * b).sum(0, keepdim=True).tanh())
            loss = sum((lib.tanh(x).sum() for x in xs), start=lib.zeros((), dtype=lib.float64))
            d1 = lib.autograd.grad(loss, xs[:2], create_graph=True)
            d2 = lib.autograd.grad((d1[0] * d1[1]).sum(), xs[:2])
            found.append([np.asarray(g.detach().tolist()) for g in (*d1, *d2)])
        for ours, theirs in zip(*found):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


# Gradients are nobody else's memory


def test_leaf_gradients_never_alias():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mt.ones(2, dtype=mt.float64)
    (a + b).backward(seed)
    a.grad.add_(1)
    assert values(b.grad) == [1, 1] and values(seed) == [1, 1]
    (a + b).backward(seed)
    assert values(a.grad) == [3, 3] and values(b.grad) == [2, 2] and values(seed) == [1, 1]


def test_gradients_do_not_alias_through_views():
    a, b = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([[1.0, 2.0], [3.0, 4.0]])
    seed = mt.ones(4, dtype=mt.float64)
    (a + b).reshape(4).backward(seed)
    a.grad.zero_()
    assert values(b.grad) == [[1, 1], [1, 1]] and values(seed) == [1] * 4


def test_grads_from_grad_do_not_alias_each_other_when_changed():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).sum().backward()
    assert not np.shares_memory(a.grad.numpy(), b.grad.numpy())


def test_differentiable_gradients_do_not_alias():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mt.ones(2, dtype=mt.float64)
    (a + b).backward(seed, create_graph=True)
    with mt.no_grad():
        a.grad.add_(1)
    assert values(b.grad) == [1, 1] and values(seed) == [1, 1]


def test_the_same_input_asked_for_twice():
    x = leaf(3.0)
    assert [g.item() for g in grad(x * x, [x, x])] == [6, 6]


def test_retained_gradients_do_not_alias():
    a = leaf(1.0, 2.0)
    b = a * 1
    c = b + 0
    b.retain_grad(), c.retain_grad()
    c.sum().backward()
    b.grad.add_(5)
    assert values(c.grad) == [1, 1] and values(a.grad) == [1, 1]


@pytest.mark.parametrize("shape", [(2, 3), (1,), (1, 1), (0, 3), (3, 0, 1)])
def test_spread_gradients_are_added_up(shape):
    """Gradients that are one number seen many times, of which several arrive at one place."""
    x = mt.ones(shape, dtype=mt.float64).requires_grad_()
    (x.sum() * 2 + x.sum() * 3 + x.sum(0).sum() * 4 + x.expand(2, *shape).sum()).backward()
    assert np.array_equal(x.grad.numpy(), np.full(shape, 11.0))
    x.grad.add_(1)
    y = x * 1
    (y.sum() * 2 + y.sum() * 3 + y.sum()).backward()
    assert np.array_equal(x.grad.numpy(), np.full(shape, 18.0))


def test_accumulation_is_in_place_where_it_may():
    x = leaf(1.0, 2.0)
    (x * 2).sum().backward()
    g = x.grad
    (x * 2).sum().backward()
    assert x.grad is g and values(g) == [4, 4]


# An error on the way


def test_an_error_midway_leaves_every_grad():
    class Fails(mt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            raise ZeroDivisionError("on the way")

    a, b = leaf(1.0), leaf(2.0)
    (a * 3).backward()
    y = Fails.apply(a * 1) + b * 2
    with pytest.raises(ZeroDivisionError):
        y.backward()
    assert a.grad.item() == 3 and b.grad is None


@pytest.mark.parametrize("n", [3, 300])  # 300: large enough that adding is a kernel's work
@pytest.mark.parametrize("dtype", [mt.float32, mt.float64])
def test_gradients_from_several_sources(n, dtype):
    """They are added in whatever memory is free for it: never in a gradient that someone else holds."""
    rng = np.random.default_rng(0)
    x, g = mt.tensor(rng.standard_normal((n, n)), dtype=dtype, requires_grad=True), mt.ones(n, n, dtype=dtype)
    for _ in range(2):
        h = x * 1
        h.retain_grad()
        parts = [h + 0, h.tanh(), h * h, h.reshape(n * n).reshape(n, n), h.T.T]
        for part in parts:
            part.retain_grad()
        y = parts[0] + parts[1] + parts[2] + parts[3] + parts[4] + h
        y.backward(g)
    values = x.detach().numpy()
    expected = 4 + (1 - np.tanh(values) ** 2) + 2 * values
    np.testing.assert_allclose(h.grad.numpy(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(x.grad.numpy(), 2 * expected, rtol=1e-5, atol=1e-5)
    for one in (g, *[part.grad for part in parts]):
        np.testing.assert_array_equal(one.numpy(), np.ones((n, n)))
