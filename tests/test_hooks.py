"""Hooks on gradients, retain_grad, detach, and the attributes grad and requires_grad."""
from __future__ import annotations

import numpy as np
import pytest
from helpers import leaf, values

import minitorch as mt
from minitorch.autograd import grad


def test_hook_on_a_leaf_sees_the_sum_once():
    x, seen = leaf(2.0), []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 3 + x * 4).backward()
    assert seen == [7] and x.grad.item() == 7


def test_hook_replaces_a_gradient():
    x = leaf(2.0)
    x.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (x * 3).backward()
    assert x.grad.item() == 31


def test_hook_on_an_intermediate():
    x = leaf(2.0)
    y = x * 3
    order = []
    y.register_hook(lambda g: order.append(("a", g.item())) or g * 2)
    y.register_hook(lambda g: order.append(("b", g.item())))
    (y * 5).backward()
    assert order == [("a", 5), ("b", 10)] and x.grad.item() == 30


def test_removed_hooks_do_not_run():
    x, seen = leaf(2.0), []
    handle = x.register_hook(lambda g: seen.append(1))
    with x.register_hook(lambda g: seen.append(2)):
        (x * 1).backward()
    (x * 1).backward()
    handle.remove()
    handle.remove()
    (x * 1).backward()
    assert seen == [1, 2, 1]


def test_hooks_with_create_graph_are_differentiated():
    x = leaf(2.0)
    y = x * x
    y.register_hook(lambda g: g * x)
    dx, = grad(y, x, create_graph=True)  # x * 2x
    assert dx.item() == 8 and grad(dx, x)[0].item() == 8


def test_hooks_run_for_grad_too():
    x = leaf(2.0)
    x.register_hook(lambda g: g * 2)
    assert grad(x * 3, x)[0].item() == 6


def test_hook_errors():
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        mt.tensor(1.0).register_hook(lambda g: g)
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(RuntimeError, match="hook"):
        (x * 2).sum().backward()
    assert x.grad is None


def test_a_hook_that_raises_leaves_every_grad():
    def fail(g):
        raise KeyError("hook")

    for first in (0, 1):
        leaves = leaf(1.0), leaf(2.0)
        leaves[first].register_hook(fail)
        with pytest.raises(KeyError):
            (leaves[0] * 2 + leaves[1] * 3).backward()
        assert leaves[0].grad is None and leaves[1].grad is None


def test_what_a_hook_keeps_or_returns_stays_its_own():
    x, kept, constant = leaf(1.0), [], mt.tensor(5.0, dtype=mt.float64)
    x.register_hook(lambda g: kept.append(g))
    x.register_hook(lambda g: constant)
    for _ in range(3):
        (x * 2 + x * 3).backward()
    assert x.grad.item() == 15 and constant.item() == 5 and [g.item() for g in kept] == [5, 5, 5]


def test_a_hook_that_returns_no_tensor():
    x = leaf(1.0)
    x.register_hook(lambda g: 3)
    with pytest.raises(TypeError, match="hook"):
        (x * 2).backward()


def test_post_accumulate_hook():
    x, seen = leaf(2.0), []
    handle = x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.item()))
    (x * 3).backward()
    (x * 3).backward()
    handle.remove()
    (x * 3).backward()
    assert seen == [3, 6]
    with pytest.raises(RuntimeError, match="leaf"):
        (x * 2).register_post_accumulate_grad_hook(lambda t: None)


def test_post_accumulate_hook_may_step_and_free():
    x = leaf(2.0)

    def step(t):
        with mt.no_grad():
            t -= 0.5 * t.grad
        t.grad = None

    x.register_post_accumulate_grad_hook(step)
    (x * x).backward()
    assert x.item() == 0 and x.grad is None


def test_hooks_as_in_pytorch(torch):
    for lib in (mt, torch):
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        y.retain_grad()
        y.register_hook(lambda g: g * 3)
        z = y.sum()
        z.backward()
        assert y.grad.tolist() == [3, 3] and x.grad.tolist() == [6, 6]


# retain_grad, detach, requires_grad


def test_retain_grad():
    x = leaf(2.0)
    y = x * x
    y.retain_grad()
    assert y.retains_grad and not x.retains_grad
    (y * y).backward()
    assert y.grad.item() == 8 and x.grad.item() == 32
    x.retain_grad()
    with pytest.raises(RuntimeError, match="requires_grad=False"):
        mt.tensor(1.0).retain_grad()


def test_grad_of_a_non_leaf_warns():
    y = leaf(2.0) * 2
    with pytest.warns(UserWarning, match="not a leaf"):
        assert y.grad is None


def test_detach_shares_memory_and_cuts_the_graph():
    x = leaf(1.0, 2.0)
    y = x * 2
    d = y.detach()
    assert not d.requires_grad and d.is_leaf and np.shares_memory(d.numpy(), y.detach().numpy())
    (y + d * 100).sum().backward()
    assert values(x.grad) == [2, 2]


def test_detach_in_place():
    y = leaf(2.0) * 2
    y.detach_()
    assert y.is_leaf and not y.requires_grad


def test_requires_grad_of_results():
    x, c = leaf(1.0), mt.tensor(2.0, dtype=mt.float64)
    assert (x * c).requires_grad and not (c * c).requires_grad and not (x > c).requires_grad
    assert x.is_leaf and c.is_leaf and not (x * c).is_leaf


def test_requires_grad_setter():
    x = mt.tensor([1.0])
    assert x.requires_grad_() is x and x.requires_grad
    x.requires_grad = False
    assert not x.requires_grad
    with pytest.raises(RuntimeError, match="floating point"):
        mt.tensor([1]).requires_grad_()
    with pytest.raises(RuntimeError, match="floating point"):
        mt.tensor([1], requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        (leaf(1.0) * 2).requires_grad = False


def test_grad_setter():
    x = leaf(1.0, 2.0)
    x.grad = mt.ones(2, dtype=mt.float64)
    assert values(x.grad) == [1, 1]
    x.grad = None
    del x.grad
    assert x.grad is None
    with pytest.raises(TypeError, match="Tensor or None"):
        x.grad = [1, 2]
    with pytest.raises(RuntimeError, match="different size"):
        x.grad = mt.ones(3, dtype=mt.float64)
    with pytest.raises(RuntimeError, match=r"dtype|type"):
        x.grad = mt.ones(2, dtype=mt.float32)


def test_constants_get_no_gradient():
    x, c = leaf(2.0), mt.tensor(3.0, dtype=mt.float64)
    y = x * c
    y.backward()
    assert c.grad is None


def test_unneeded_gradients_are_not_computed():
    x, c = leaf(2.0), mt.tensor(3.0, dtype=mt.float64)
    node = (x * c).grad_fn
    assert node.backward[1] is None and len(node.functions()) == 1


def test_a_retained_gradient_adds_up_as_a_leafs_does():
    x = mt.ones(2, requires_grad=True)
    y = x * 2
    y.retain_grad()
    z = (y * 3).sum()
    z.backward(retain_graph=True)
    first = y.grad.tolist()
    z.backward()
    assert first == [3.0, 3.0] and y.grad.tolist() == [6.0, 6.0] and x.grad.tolist() == [12.0, 12.0]


def test_module_hooks_can_be_looked_through():
    class Twice:
        def __call__(self, module, args):
            return (args[0] * 2,)

    m = mt.nn.Identity()
    m.register_forward_pre_hook(Twice())
    assert m(mt.ones(1)).item() == 2
    for key, hook in list(m._forward_pre_hooks.items()):
        if isinstance(hook, Twice):
            del m._forward_pre_hooks[key]
    m.register_forward_hook(lambda module, args, kwargs, output: output + 1, with_kwargs=True)
    assert m(mt.ones(1)).item() == 2 and len(m._forward_hooks) == 1
    m._forward_hooks.clear()
    assert m(mt.ones(1)).item() == 1 and not m._backward_hooks and not m._backward_pre_hooks
    bn = mt.nn.BatchNorm1d(2)
    bn.register_buffer("scratch", mt.ones(1), persistent=False)
    assert bn._non_persistent_buffers_set == {"scratch"}
