"""The engine: backward and grad, modes, hooks, the lifetime of graphs, threads, and how tensors are copied."""
from __future__ import annotations

import copy
import gc
import io
import pickle
import sys
import threading
import time
import weakref

import minitorch as mt
import numpy as np
import pytest
from minitorch import GraphError
from minitorch.autograd import backward, grad


def leaf(*values, dtype=None):
    return mt.tensor(values if len(values) != 1 else values[0], dtype=dtype or mt.float64, requires_grad=True)


def values(t):
    return None if t is None else t.tolist()


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


def test_retained_gradients_do_not_alias():
    a = leaf(1.0, 2.0)
    b = a * 1
    c = b + 0
    b.retain_grad(), c.retain_grad()
    c.sum().backward()
    b.grad.add_(5)
    assert values(c.grad) == [1, 1] and values(a.grad) == [1, 1]


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


# Hooks


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
    with pytest.raises(RuntimeError, match="dtype|type"):
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


# Modes


def recorded(x):
    return (x * 2).requires_grad


def test_no_grad():
    x = leaf(1.0)
    with mt.no_grad():
        assert not mt.is_grad_enabled() and not recorded(x)
        with mt.enable_grad():
            assert recorded(x)
            with mt.no_grad():
                assert not recorded(x)
            assert recorded(x)
        assert not recorded(x)
    assert mt.is_grad_enabled() and recorded(x)


def test_no_grad_is_undone_by_exceptions():
    with pytest.raises(KeyError), mt.no_grad():
        raise KeyError
    assert mt.is_grad_enabled()


@pytest.mark.parametrize("decorate", [mt.no_grad, mt.no_grad(), mt.inference_mode, mt.inference_mode(),
                                      mt.set_grad_enabled(False)],
                         ids=["no_grad", "no_grad()", "inference_mode", "inference_mode()", "set_grad_enabled"])
def test_modes_as_decorators(decorate):
    mt.set_grad_enabled(True)

    @decorate
    def f(x, n=1):
        """What f does."""
        return f(x, n - 1) if n else recorded(x)

    assert not f(leaf(1.0), n=3) and mt.is_grad_enabled()
    assert f.__name__ == "f" and f.__doc__ == "What f does."


def test_generators_under_no_grad():
    """Between its steps the caller's mode holds."""
    @mt.no_grad()
    def steps(x):
        sent = yield recorded(x)
        assert sent == "hello"
        yield recorded(x)

    x = leaf(1.0)
    generator = steps(x)
    assert next(generator) is False and mt.is_grad_enabled()
    assert generator.send("hello") is False and mt.is_grad_enabled()
    assert list(generator) == []


def test_generators_are_closed_and_thrown_into():
    log = []

    @mt.no_grad()
    def steps():
        try:
            yield 1
        except KeyError:
            log.append(("caught", mt.is_grad_enabled()))
            yield 2
        finally:
            log.append(("closed", mt.is_grad_enabled()))

    generator = steps()
    assert next(generator) == 1 and generator.throw(KeyError()) == 2
    generator.close()
    assert log == [("caught", False), ("closed", False)] and mt.is_grad_enabled()


def test_set_grad_enabled():
    x = leaf(1.0)
    try:
        mt.set_grad_enabled(False)
        assert not recorded(x)
    finally:
        mt.set_grad_enabled(True)
    assert recorded(x)
    with mt.set_grad_enabled(False):
        assert not recorded(x)
        with mt.set_grad_enabled(True):
            assert recorded(x)
        assert not recorded(x)
    assert recorded(x)


def test_a_mode_can_be_entered_twice():
    off = mt.no_grad()
    with off, off:
        assert not mt.is_grad_enabled()
    assert mt.is_grad_enabled()


def test_modes_belong_to_a_thread():
    seen = {}

    def work():
        seen["start"] = mt.is_grad_enabled()
        with mt.no_grad():
            inside.set()
            go.wait(10)

    inside, go = threading.Event(), threading.Event()
    with mt.no_grad():
        thread = threading.Thread(target=work)
        thread.start()
    inside.wait(10)
    seen["meanwhile"] = mt.is_grad_enabled()
    go.set()
    thread.join()
    assert seen == {"start": True, "meanwhile": True}


def test_inference_mode():
    x = leaf(1.0, 2.0)
    with mt.inference_mode():
        assert mt.is_inference_mode_enabled() and not mt.is_grad_enabled()
        y = x * 2
        y.add_(1)
    assert not mt.is_inference_mode_enabled()
    assert y.is_inference() and not y.requires_grad
    with pytest.raises(RuntimeError, match="[Ii]nference tensor"):
        y.add_(1)
    with pytest.raises(RuntimeError, match="[Ii]nference tensor"):
        y.requires_grad_()
    with pytest.raises(RuntimeError, match="[Ii]nference tensors cannot be saved"):
        x * y
    (x * y.clone()).sum().backward()
    assert values(x.grad) == [3, 5]
    with mt.inference_mode(False):
        assert recorded(x)


def test_inference_mode_leaves_normal_tensors_alone():
    x = leaf(1.0)
    with mt.inference_mode():
        assert x.requires_grad and not x.is_inference()
        with mt.inference_mode(False):
            assert mt.is_grad_enabled()


def test_backward_under_no_grad():
    x = leaf(3.0)
    y = x * x
    with mt.no_grad():
        y.backward()
    assert x.grad.item() == 6


def test_anomaly_mode_names_the_line():
    x = leaf(2.0)
    with mt.autograd.detect_anomaly():
        y = x * x
    assert "test_engine.py" in y.grad_fn.source
    assert (x * x).grad_fn.source is None


def test_anomaly_mode_finds_nan():
    x = leaf(0.0)
    with pytest.raises(RuntimeError, match="(?i)nan"), mt.autograd.detect_anomaly():
        (x.sqrt() * 0).backward()


# Graphs can be looked at, and die when they should


def test_nodes_can_be_inspected():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * w).sum()
    assert y.grad_fn.name() == "SumBackward0"
    assert repr(y.grad_fn).startswith("<SumBackward0")
    mul = y.grad_fn.next_functions[0][0]
    assert mul.name() == "MulBackward0" and mul.shape == (2,) and mul.dtype == np.float64
    assert {n for n in mul.saved()} == {"a", "b"}
    assert x.grad_fn is None


def test_next_functions_end_in_leaves():
    x = leaf(1.0)
    y = x * mt.tensor(2.0, dtype=mt.float64)
    edges = y.grad_fn.next_functions
    assert len(edges) == 2 and edges[1][0] is None
    assert edges[0][0].variable is x if hasattr(edges[0][0], "variable") else edges[0][0] is x


@pytest.mark.parametrize("create_graph", [False, True])
def test_deep_graphs(create_graph):
    """100,000 operations one after the other: no recursion anywhere, nor a slow teardown."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(300, _depth() + 150))
    try:
        x = leaf(1.0)
        y = x
        for _ in range(100_000):
            y = y * 1.0
        dx, = grad(y, x, create_graph=create_graph)
        assert dx.item() == 1
        node = weakref.ref(y.grad_fn)
        del y, dx
        gc.collect()
        assert node() is None
    finally:
        sys.setrecursionlimit(limit)


def test_a_deep_graph_of_views_and_in_place_changes():
    x = leaf(1.0, 2.0)
    y = x * 1
    for _ in range(20_000):
        y.mul_(1.0)
    y.sum().backward()
    assert values(x.grad) == [1, 1]
    del y


def test_a_deep_graph_that_is_never_run():
    y = leaf(1.0)
    for _ in range(100_000):
        y = y.sin()
    del y
    gc.collect()


def _depth():
    depth, frame = 0, sys._getframe()
    while frame:
        depth, frame = depth + 1, frame.f_back
    return depth


def test_graphs_are_freed_without_the_collector():
    """No cycles: memory goes when the last reference goes."""
    gc.collect()
    gc.disable()
    try:
        x = leaf(*[1.0] * 10)
        kept = []
        for make in (lambda: (x * x).exp(), lambda: x.tanh() * x, lambda: x[2:5] * 2, lambda: x.reshape(2, 5).sum(0)):
            y = make()
            kept.append(weakref.ref(y.grad_fn))
            y.sum().backward()
            del y
            y = make()
            kept.append(weakref.ref(y.grad_fn))
            del y  # never run
        assert [ref() for ref in kept] == [None] * len(kept)
    finally:
        gc.enable()


def test_backward_frees_what_it_kept():
    x = leaf(*[1.0] * 10)
    h = x * 2
    array = weakref.ref(h)
    y = h.exp().sum()
    del h
    node = y.grad_fn.next_functions[0][0]
    assert node.saved()
    y.backward()
    assert not node.saved() and array() is None


def test_intermediate_gradients_are_freed_as_backward_goes():
    """A chain of 50 large products never holds more than a few gradients at once."""
    from minitorch_kernels import memory

    x = mt.ones(200_000).requires_grad_()
    y = x
    for _ in range(50):
        y = y * 1.5
    before = memory.stats()["in_use_bytes"]
    peak = [0]
    y.register_hook(lambda g: None)
    loss = y.sum()
    x.register_hook(lambda g: peak.__setitem__(0, memory.stats()["in_use_bytes"]))
    loss.backward()
    assert peak[0] - before < 10 * 200_000 * 4


# Threads


def test_threads_with_graphs_of_their_own():
    results = {}

    def work(n):
        for _ in range(30):
            x = leaf(*np.linspace(0, n, 20).tolist())
            y = x
            for _ in range(20):
                y = (y * 0.5).sin() + x
            y.sum().backward()
            results.setdefault(n, set()).add(tuple(x.grad.tolist()))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert sorted(results) == [0, 1, 2, 3] and all(len(found) == 1 for found in results.values())


def test_threads_that_share_leaves():
    """Different graphs on the same weights: with `grad` nothing is shared but the values."""
    w = leaf(*np.linspace(0, 1, 50).tolist())
    found = []

    def work(n):
        for _ in range(20):
            found.append((n, grad((w * n).sum(), w)[0].tolist()))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert len(found) == 80 and all(g == [n] * 50 for n, g in found)


# Copies


def test_pickle():
    x = leaf(1.0, 2.0)
    x.name = "weights"
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        y = pickle.loads(pickle.dumps(x, protocol))
        assert values(y) == [1, 2] and y.dtype is mt.float64 and y.requires_grad and y.is_leaf and y.name == "weights"
    for made in (mt.tensor(3), mt.zeros(0, 3), mt.tensor([True]), mt.tensor(1.5, dtype=mt.float16), mt.ones(3, 4).t()):
        again = pickle.loads(pickle.dumps(made))
        assert again.shape == made.shape and again.dtype is made.dtype and values(again) == values(made)
    with pytest.raises(RuntimeError, match="pickle|detach"):
        pickle.dumps(x * 2)


def test_deepcopy():
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad and values(y.grad) == [3, 3]
    with mt.no_grad():
        y.zero_()
    y.grad.zero_()
    assert values(x) == [1, 2] and values(x.grad) == [3, 3]
    a, b = copy.deepcopy([x, x])
    assert a is b
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(x * 2)


def test_dtypes_survive_pickling():
    buffer = io.BytesIO()
    pickle.dump([mt.float32, mt.int64, mt.device("cpu")], buffer)
    buffer.seek(0)
    a, b, c = pickle.load(buffer)
    assert a is mt.float32 and b is mt.int64 and c == mt.device("cpu")


def test_speed_of_a_small_operation():
    """A guard against accidents in the eager path: far above the usual 1-3 microseconds, below what would be felt."""
    x, y = leaf(1.0), leaf(2.0)
    best = 1.0
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(2000):
            x * y
        best = min(best, (time.perf_counter() - start) / 2000)
    assert best < 30e-6
