"""Sparse tensors against the same computation on dense ones."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import minitorch as mt
from minitorch import sparse

PLACES, VALUES, SIZE = [[0, 1, 1, 0], [2, 0, 2, 2]], [3.0, 4.0, 5.0, -1.0], (2, 3)  # one place twice


def make(requires_grad=False):
    return mt.sparse_coo_tensor(PLACES, VALUES, SIZE, dtype=mt.float64, requires_grad=requires_grad)


DENSE = np.array([[0, 0, 2.0], [4, 0, 5]])


def dense(t):
    return (t.to_dense() if t.is_sparse else t).detach().numpy()


def test_what_it_is():
    s = make()
    assert s.is_sparse and s.shape == SIZE and s.dim() == 2 and s.numel() == 6 and s.layout is mt.sparse_coo
    assert s._nnz() == 4 and s.sparse_dim() == 2 and s.dense_dim() == 0 and not s.is_coalesced()
    assert isinstance(s, mt.Tensor) and len(s) == 2 and s.size(-1) == 3 and s.type() == "torch.sparse.DoubleTensor"
    np.testing.assert_array_equal(dense(s), DENSE)
    with pytest.raises(RuntimeError, match="uncoalesced"):
        s.values()
    c = s.coalesce()
    assert c.indices().tolist() == [[0, 1, 1], [2, 0, 2]] and c.values().tolist() == [2, 4, 5]
    assert "nnz=3, dtype=torch.float64, layout=torch.sparse_coo" in repr(c)


@pytest.mark.parametrize("call", [
    lambda s, o: s @ o(np.arange(6.0).reshape(3, 2)), lambda s, o: s @ o(np.arange(3.0)),
    lambda s, o: o(np.arange(4.0).reshape(2, 2)) @ s, lambda s, o: s.t() @ o(np.arange(4.0).reshape(2, 2)),
    lambda s, o: s @ s.t(), lambda s, o: s + s, lambda s, o: s - s * 3, lambda s, o: s * s, lambda s, o: -s / 2,
    lambda s, o: 2 * s, lambda s, o: o(DENSE) + s, lambda s, o: s * o(DENSE + 1), lambda s, o: s.t(),
    lambda s, o: s.sum(), lambda s, o: s[1], lambda s, o: s[1, 2], lambda s, o: s[-1],
    lambda s, o: s ** 2, lambda s, o: abs(s) if isinstance(s, np.ndarray) else s.abs(),
])
def test_arithmetic(call):
    found = call(make(), mt.tensor)
    expected = call(_Array(DENSE), lambda a: np.asarray(a))
    np.testing.assert_allclose(dense(found), np.asarray(expected))


class _Array(np.ndarray):
    """An array with the tensors' `t`."""

    def __new__(cls, a):
        return np.asarray(a).view(cls)

    def t(self):
        return self.T


@pytest.mark.parametrize(("call", "reference"), [
    (lambda s: sparse.sum(s, 0), DENSE.sum(0)), (lambda s: sparse.sum(s, dim=[1]), DENSE.sum(1)),
    (lambda s: mt.relu(-s), np.maximum(-DENSE, 0)), (lambda s: s.sqrt(), np.sqrt(DENSE)),
    (lambda s: mt.cat([s, s]), np.concatenate([DENSE, DENSE])), (lambda s: mt.stack([s, s]), np.stack([DENSE, DENSE])),
    (lambda s: mt.cat([s, s], dim=1), np.concatenate([DENSE, DENSE], 1)),
    (lambda s: s.index_select(1, mt.tensor([2, 2, 0])), DENSE[:, [2, 2, 0]]),
    (lambda s: s.unsqueeze(1), DENSE[:, None]),
    (lambda s: s.norm(), np.linalg.norm(DENSE)), (lambda s: s.float(), DENSE), (lambda s: s.clone().cpu(), DENSE),
    (lambda s: mt.mm(s, mt.eye(3, dtype=mt.float64)), DENSE), (lambda s: mt.mv(s, mt.ones(3).double()), DENSE.sum(1)),
    (lambda s: mt.spmm(s, mt.eye(3, dtype=mt.float64)), DENSE), (lambda s: s.matmul(mt.eye(3).double()), DENSE),
    (lambda s: mt.addmm(mt.ones(2, 3).double(), s, mt.eye(3).double(), alpha=2), 1 + 2 * DENSE),
    (lambda s: mt.tensor(DENSE).sparse_mask(s.coalesce()), DENSE), (lambda s: mt.tensor(DENSE).to_sparse(), DENSE),
    (lambda s: pickle.loads(pickle.dumps(s)), DENSE), (lambda s: copy.deepcopy(s), DENSE), (lambda s: s.T.T, DENSE),
])
def test_functions(call, reference):
    np.testing.assert_allclose(dense(call(make())), reference)


def test_softmax():
    y = np.exp(np.where(DENSE == 0, -np.inf, DENSE))
    np.testing.assert_allclose(dense(sparse.softmax(make(), 1)), y / y.sum(1, keepdims=True))
    found = sparse.log_softmax(make(), 1).values()
    np.testing.assert_allclose(found.numpy(), np.log((y / y.sum(1, keepdims=True))[DENSE != 0]))


def test_gradients():
    s, x = make(requires_grad=True), mt.arange(6.0).double().view(3, 2).requires_grad_()
    (sparse.mm(s, x) ** 2).sum().backward()
    y = 2 * DENSE @ np.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(x.grad.numpy(), DENSE.T @ y)
    assert s.is_leaf and s.grad.is_sparse
    full = y @ np.arange(6.0).reshape(3, 2).T
    np.testing.assert_allclose(s.grad._values().numpy(), full[PLACES[0], PLACES[1]])
    v = mt.tensor(VALUES, requires_grad=True)
    t = mt.sparse_coo_tensor(PLACES, v, SIZE)
    assert not t.is_leaf and t.grad_fn is not None
    t.coalesce().to_dense().sum().backward()
    assert v.grad.tolist() == [1, 1, 1, 1]
    assert mt.autograd.gradcheck(lambda v, x: sparse.mm(mt.sparse_coo_tensor(PLACES, v, SIZE), x),
                                 (v.detach().double().requires_grad_(), x))


def test_a_graph_convolution_learns():
    mt.manual_seed(0)
    adjacency = mt.sparse.FloatTensor(mt.LongTensor([[0, 1, 2, 0], [1, 0, 2, 0]]), mt.ones(4), mt.Size([3, 3]))
    weight, x = mt.nn.Parameter(mt.randn(2, 2)), mt.randn(3, 2)
    optimizer, losses = mt.optim.SGD([weight], lr=0.1), []
    for _ in range(20):
        loss = mt.nn.functional.cross_entropy(mt.spmm(adjacency, x @ weight), mt.tensor([0, 1, 0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 1.1


def test_empty_and_dense_dimensions():
    e = mt.sparse_coo_tensor((2, 3))
    assert e._nnz() == 0 and e.to_dense().tolist() == [[0, 0, 0], [0, 0, 0]]
    assert (e @ mt.ones(3, 1)).tolist() == [[0], [0]]
    assert mt.zeros(2, 2).to_sparse().coalesce()._nnz() == 0
    h = mt.arange(8.0).view(2, 2, 2).to_sparse(1)
    assert h.sparse_dim() == 1 and h.dense_dim() == 2
    np.testing.assert_array_equal(dense(h), np.arange(8.0).reshape(2, 2, 2))
    assert mt.sparse_coo_tensor(PLACES, VALUES).shape == (2, 3)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: mt.sparse_coo_tensor([[0, 5]], [1.0, 2.0], (2,)), IndexError, "size is 2 but found index 5"),
    (lambda: mt.sparse_coo_tensor([[0, -1]], [1.0, 2.0], (2,)), IndexError, "negative index -1"),
    (lambda: mt.sparse_coo_tensor([[0, 1]], [1.0], (2,)), RuntimeError, "same nnz"),
    (lambda: mt.sparse_coo_tensor([[0]], [1.0], (2, 2)), RuntimeError, "number of dimensions"),
    (lambda: make() @ mt.ones(2, 2).double(), RuntimeError, r"\(2, 3\) and \(2, 2\)"),
    (lambda: make() + mt.ones(2, 3), RuntimeError, "add\\(dense, sparse\\)"),
    (lambda: mt.exp(make()), NotImplementedError, "exp: is not there for sparse tensors"),
    (lambda: make().numpy(), TypeError, "to_dense"),
    (lambda: make().item(), RuntimeError, "sparse"),
    (lambda: mt.ones(2).values(), RuntimeError, "got Strided"),
    (lambda: mt.ones(2).coalesce(), RuntimeError, "got Strided"),
    (lambda: make()[2], IndexError, "out of bounds"),
    (lambda: mt.sparse.foo, AttributeError, "torch.sparse"),
])
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
