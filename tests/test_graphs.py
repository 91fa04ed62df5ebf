"""Graphs: inspection, lifetime, depth, threads; and how tensors are pickled and copied."""
from __future__ import annotations

import copy
import gc
import io
import pickle
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from helpers import leaf, values

import minitorch as mt
from minitorch.autograd import grad

# Graphs can be looked at, and die when they should


def test_nodes_can_be_inspected():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * w).sum()
    assert y.grad_fn.name() == "SumBackward0"
    assert repr(y.grad_fn).startswith("<SumBackward0")
    mul = y.grad_fn.next_functions[0][0]
    assert mul.name() == "MulBackward0" and mul.shape == (2,) and mul.dtype == np.float64
    assert set(mul.saved()) == {"a", "b"}
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


def test_a_deep_graph_of_several_outputs():
    x = leaf(1.0, 2.0)
    y = x * 1
    for _ in range(10_000):
        a, b = y.unbind()
        y = mt.stack([b, a])
    (y * leaf(1.0, 10.0)).sum().backward()
    assert values(x.grad) == [1, 10]
    del a, b, y


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
    made = pickle.loads(pickle.dumps(x * 2))  # without its graph, as in PyTorch
    assert values(made) == [2, 4] and made.requires_grad and made.is_leaf


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


def test_leaves_stand_in_the_graph_as_accumulators():
    x, w = leaf([1.0, 5.0]), leaf([2.0, 3.0])
    edge = (x * w).grad_fn.next_functions[0][0]
    assert type(edge).__name__ == "AccumulateGrad" and edge.variable is x and edge.next_functions == ()
    assert (x + 1).grad_fn.next_functions[0][0] is edge
    halves = (x * 2).split(1)
    node, index = halves[1].exp().grad_fn.next_functions[0]
    assert index == 1 and node is halves[0].exp().grad_fn.next_functions[0][0]
    seen = []
    edge.register_hook(lambda inputs, outputs: seen.append(outputs[0].tolist()))
    (x * w).sum().backward()
    assert seen == [[2, 3]]


# Nodes as programs use them: named classes, hooks, calls

def _lists(*tensors):
    return [t.tolist() for t in tensors]


def test_nodes_are_called_after_their_operations():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * w + 1).sum()
    names, pending = [], [y.grad_fn]
    while pending:
        node = pending.pop()
        names.append(type(node).__name__)
        pending.extend(n for n, _ in node.next_functions if n is not None)
    assert names == ["SumBackward0", "AddBackward0", "MulBackward0", "AccumulateGrad", "AccumulateGrad"]
    assert str(type(y.grad_fn)) == "<class 'SumBackward0'>" and isinstance(y.grad_fn, mt.autograd.graph.Node)
    assert y.grad_fn is y.grad_fn and y.grad_fn.name() == "SumBackward0" and y.grad_fn.metadata == {}
    assert _lists(*grad(y, [x, w])) == [[3.0, 4.0], [1.0, 2.0]]  # which goes on as before
    first, second = leaf(1.0, 2.0).unbind(0)
    assert first.grad_fn is second.grad_fn and (first.output_nr, second.output_nr) == (0, 1)


def test_hooks_of_nodes():
    x, w, seen = leaf(1.0, 2.0), leaf(3.0, 4.0), []
    product = x * w
    handle = product.grad_fn.register_hook(lambda dxs, dys: seen.append((_lists(*dxs), _lists(*dys))))
    product.sum().backward(retain_graph=True)
    assert seen == [([[3.0, 4.0], [1.0, 2.0]], [[1.0, 1.0]])] and x.grad.tolist() == [3.0, 4.0]
    handle.remove()
    x.grad = w.grad = None
    product.grad_fn.register_hook(lambda dxs, dys: (dxs[0] * 10, dxs[1]))
    product.grad_fn.register_prehook(lambda dys: (dys[0] * 100,))
    product.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [3000.0, 4000.0] and w.grad.tolist() == [100.0, 200.0] and len(seen) == 1
    product.grad_fn.register_hook(lambda dxs, dys: dxs[:1])
    with pytest.raises(RuntimeError, match=r"incorrect number of values \(got 1, but expected 2\)"):
        product.sum().backward(retain_graph=True)
    first, _ = (x * 1).unbind(0)
    first.grad_fn.register_hook(lambda dxs, dys: seen.append((_lists(*dxs), dys[0].item(), dys[1])))
    (first * 2).backward()
    assert seen[1:] == [([[2.0, 0.0]], 2.0, None)]


def test_nodes_can_be_called():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    dx, dw = (x * w).grad_fn(mt.ones(2, dtype=x.dtype))
    assert _lists(dx, dw) == [[3.0, 4.0], [1.0, 2.0]] and dx.requires_grad
    assert _lists(*grad(dx.sum(), w)) == [[1.0, 1.0]]
    assert x.sum().grad_fn(mt.tensor(2.0, dtype=x.dtype)).tolist() == [2.0, 2.0]
    with pytest.raises(TypeError, match="expected 1 arguments, got 0"):
        x.sum().grad_fn()


def test_the_node_of_a_custom_function_shows_its_context():
    class Twice(mt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.factor = 2
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy * ctx.factor

    y = Twice.apply(leaf(1.0))
    assert type(y.grad_fn).__name__ == "TwiceBackward" and y.grad_fn.factor == 2
    with pytest.raises(AttributeError, match="'TwiceBackward' object has no attribute 'other'"):
        _ = y.grad_fn.other
