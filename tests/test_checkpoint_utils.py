"""torch.utils.checkpoint and torch.utils._pytree."""
import gc
import weakref
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import minitorch as torch
from minitorch import nn
from minitorch.utils import _pytree as pytree
from minitorch.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def gradients(run, model, x):
    model.zero_grad()
    x.grad = None
    torch.manual_seed(1)
    run(x).pow(2).sum().backward()
    return [np.array(t.grad._array) for t in (x, *model.parameters())]


@pytest.mark.parametrize("reentrant", [True, False])
def test_the_same_gradients(reentrant):
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.LayerNorm(8), nn.Linear(8, 2))
    x = torch.randn(5, 3, requires_grad=True)
    expected = gradients(model, model, x)
    for run in (lambda x: checkpoint(model, x, use_reentrant=reentrant),
                lambda x: checkpoint_sequential(model, 2, x, use_reentrant=reentrant)):
        for a, b in zip(gradients(run, model, x), expected):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("reentrant", [True, False])
def test_runs_again_and_keeps_nothing(reentrant):
    runs, inner = [], []

    def part(x):
        runs.append(1)
        h = x.exp()
        inner.append(weakref.ref(h._array))
        return h * h.sin()

    x = torch.randn(1000, requires_grad=True)
    y = checkpoint(part, x, use_reentrant=reentrant)
    gc.collect()
    assert inner[0]() is None and len(runs) == 1
    y.sum().backward()
    assert len(runs) == 2


def test_without_reentry_all_of_autograd_works():
    w = torch.tensor(3.0, requires_grad=True)
    y = checkpoint(lambda x, *, scale: (w * x).exp() * scale, torch.tensor(0.5), scale=2.0, use_reentrant=False)
    dw, = torch.autograd.grad(y, w, create_graph=True)
    assert torch.autograd.grad(dw, w)[0].item() == pytest.approx(0.5 * np.exp(1.5), rel=1e-5)
    state = {"calls": 0}

    def changing(x):
        state["calls"] += 1
        return x.exp() if state["calls"] == 1 else x.exp().exp()

    y = checkpoint(changing, torch.ones(2, requires_grad=True), use_reentrant=False)
    with pytest.raises(CheckpointError, match="different number"):
        y.sum().backward()
    with pytest.raises(ValueError, match="Unexpected keyword"):
        checkpoint(torch.sin, w, use_reentrant=True, scale=1)


def test_trees():
    Point = namedtuple("Point", "x y")
    tree = {"a": [1, (2, None)], "b": OrderedDict(c=Point(3, 4))}
    leaves, spec = pytree.tree_flatten(tree)
    assert leaves == [1, 2, None, 3, 4] and spec.num_leaves == 5
    assert pytree.tree_unflatten(leaves, spec) == tree
    assert pytree.tree_map_only(int, lambda x: -x, tree)["b"]["c"] == Point(-3, -4)
    assert [pytree.keystr(p) for p, _ in pytree.tree_leaves_with_path(tree)][3] == "['b']['c'].x"
    with pytest.raises(ValueError, match="5 leaves"):
        pytree.tree_unflatten([1], spec)
    with pytest.raises(ValueError):
        pytree.tree_map(lambda a, b: a, [1, 2], [1])

    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

    pytree.register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda c, _: Pair(*c))
    assert pytree.tree_map(lambda x: x + 1, Pair(1, [2])).b == [3]


def test_a_mapping_that_a_library_registers():
    class Output(OrderedDict):
        pass

    pytree.register_pytree_node(Output, pytree._dict_flatten,
                                lambda values, keys: Output(pytree._dict_unflatten(values, keys)),
                                flatten_with_keys_fn=pytree._dict_flatten_with_keys)
    out = Output(a=1, b=[2])
    mapped = pytree.tree_map(lambda x: x + 1, out)
    assert type(mapped) is Output and mapped == {"a": 2, "b": [3]}
    paths, _ = pytree.tree_flatten_with_path(out)
    assert [pytree.keystr(path) for path, _ in paths] == ["['a']", "['b'][0]"]
