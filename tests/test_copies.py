"""Copies through `copy` and `pickle`: tensors, parameters, modules, as PyTorch makes them."""
import copy
import pickle

import pytest

import minitorch as mt
from minitorch import nn, optim


def test_deepcopy():
    x = mt.arange(6.0).reshape(2, 3)
    a, row, t = copy.deepcopy([x, x[0], x.t()])
    row.zero_()
    assert a.tolist() == [[0, 0, 0], [3, 4, 5]] and t.tolist() == [[0, 3], [0, 4], [0, 5]] and x[0, 1] == 1
    assert t.stride() == (1, 3)
    w = mt.ones(2, requires_grad=True)
    w.grad, w.tag, w._mark = mt.ones(2), [1], 3
    twin = copy.deepcopy(w)
    assert twin.grad.tolist() == [1, 1] and twin.tag == [1] and twin.tag is not w.tag and twin._mark == 3
    p = nn.Parameter(mt.ones(2))
    p.grad, p.tag = mt.ones(2), 1
    twin = copy.deepcopy(p)
    assert type(twin) is nn.Parameter and twin.grad is None and not hasattr(twin, "tag") and twin.requires_grad
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(w * 2)


def test_deepcopy_and_pickle_agree_with_pytorch(torch):
    def outcome(T):
        p, w = T.nn.Parameter(T.ones(2)), T.ones(2, requires_grad=True)
        for t in (p, w):
            t.grad, t.tag = T.ones(2), 1
        x = T.arange(4.0)
        result = [(c.grad is None, hasattr(c, "tag"), c.requires_grad, c.is_leaf) for t in (p, w)
                  for c in (copy.deepcopy(t), pickle.loads(pickle.dumps(t)))]
        result.append(pickle.loads(pickle.dumps(w * 2)).is_leaf)
        for pair in (copy.deepcopy((x, x[1:])), pickle.loads(pickle.dumps((x, x[1:]))), copy.copy((x, x[1:]))):
            pair[1].zero_()
            result.append(pair[0].tolist())
        return result

    assert outcome(mt) == outcome(torch)


def test_modules_are_copied_and_pickled():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.ModuleList([nn.GRU(4, 4)]))
    model[0].register_forward_hook(_hook)
    model.tied = model[0].weight
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), pickle.loads(pickle.dumps(model, 2))):
        assert repr(twin) == repr(model) and twin.tied is twin[0].weight
        assert [(n, p.tolist(), p.requires_grad) for n, p in twin.named_parameters()] == \
            [(n, p.tolist(), p.requires_grad) for n, p in model.named_parameters()]
        assert all(p is not q for p, q in zip(twin.parameters(), model.parameters()))
        optim.SGD(twin.parameters(), 0.1)
        assert twin[:2](mt.ones(2, 3)).shape == (2, 4)
        twin[3][0](mt.ones(2, 1, 4))[0].sum().backward()


def _hook(module, args, output):
    return output
