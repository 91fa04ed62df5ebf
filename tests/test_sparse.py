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


# Sparse gradients

def close(x, expected):
    np.testing.assert_allclose(x.detach().numpy(), expected, rtol=1e-6)


def _table(lib, **options):
    table = lib.nn.Embedding(4, 2, sparse=True, **options)
    table.weight.data = lib.arange(8.0).reshape(4, 2)
    return table


INDEX = [[1, 1], [2, 0]]


def test_the_gradient_of_a_table_is_sparse():
    table = _table(mt)
    (table(mt.tensor(INDEX)) * mt.tensor([1.0, 2.0])).sum().backward()
    g = table.weight.grad
    assert g.is_sparse and not g.is_coalesced() and g._indices().tolist() == [[1, 1, 2, 0]]
    assert g._values().tolist() == [[1.0, 2.0]] * 4 and g.coalesce().values().tolist() == [[1, 2], [2, 4], [1, 2]]
    table(mt.tensor([3])).sum().backward()  # adds an element
    assert table.weight.grad._indices().tolist() == [[1, 1, 2, 0, 3]]
    table.weight.sum().backward()  # a dense one makes it dense
    assert not table.weight.grad.is_sparse and table.weight.grad.tolist() == [[2, 3], [3, 5], [2, 3], [2, 2]]
    table = _table(mt, padding_idx=1)
    (table(mt.tensor(INDEX)).sum() + table(mt.tensor([3])).sum()).backward()
    assert table.weight.grad._indices().tolist() == [[2, 0, 3]]
    table.zero_grad(set_to_none=False)
    assert table.weight.grad._nnz() == 0
    with pytest.raises(RuntimeError, match="scale_grad_by_freq not supported"):
        _table(mt, scale_grad_by_freq=True)(mt.tensor(INDEX)).sum().backward()
    w = mt.ones(4, 2, requires_grad=True)  # of what is no leaf it is dense
    mt.nn.functional.embedding(mt.tensor([1]), w * 2, sparse=True).sum().backward()
    assert w.grad.tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]
    bag = mt.nn.EmbeddingBag(4, 2, sparse=True, mode="mean", padding_idx=1)
    bag(mt.tensor(INDEX)).sum().backward()
    assert bag.weight.grad._indices().tolist() == [[2, 0]] and bag.weight.grad._values().tolist() == [[0.5, 0.5]] * 2
    with pytest.raises(ValueError, match="max mode does not support sparse weights"):
        mt.nn.EmbeddingBag(4, 2, sparse=True, mode="max")(mt.tensor(INDEX))


def test_hooks_and_arithmetic_of_sparse_gradients():
    table = _table(mt)
    table.weight.register_hook(lambda g: g * 3)
    table(mt.tensor([1])).sum().backward()
    g = table.weight.grad
    g.mul_(2)
    g /= 4
    assert g._values().tolist() == [[1.5, 1.5]] and table.weight.grad is not None
    with mt.no_grad():
        table.weight -= 2 * g
    assert table.weight[1].tolist() == [-1.0, 0.0]
    (g,) = mt.autograd.grad((table(mt.tensor([1])) ** 2).sum(), table.weight, create_graph=True)
    second, = mt.autograd.grad(g.to_dense().sum(), table.weight)
    assert second.to_dense()[1].tolist() == [18.0, 18.0]  # 2, and twice the hook's 3
    with pytest.raises(NotImplementedError, match="sparse"):
        table(mt.tensor([1])).sum().backward()
        mt.nn.utils.clip_grad_norm_(table.parameters(), 1.0)


def test_optimizers_take_sparse_gradients():
    def step(make):
        table = _table(mt)
        optimizer = make(table.parameters())
        table(mt.tensor(INDEX)).sum().backward()
        optimizer.step()
        return table.weight.tolist()

    assert step(lambda p: mt.optim.SGD(p, lr=0.5)) == [[-0.5, 0.5], [1.0, 2.0], [3.5, 4.5], [6.0, 7.0]]
    close(mt.tensor(step(lambda p: mt.optim.Adagrad(p, lr=0.5))), [[-0.5, 0.5], [1.5, 2.5], [3.5, 4.5], [6.0, 7.0]])
    close(mt.tensor(step(lambda p: mt.optim.SparseAdam(p, lr=0.5))), [[-0.5, 0.5], [1.5, 2.5], [3.5, 4.5], [6.0, 7.0]])
    for name in ("Adadelta", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop", "Adafactor"):
        with pytest.raises(RuntimeError, match=f"{name} does not support sparse gradients"):
            step(getattr(mt.optim, name))
    for name in ("Adam", "AdamW"):
        with pytest.raises(RuntimeError, match="please consider SparseAdam instead"):
            step(getattr(mt.optim, name))
    with pytest.raises(RuntimeError, match=r"add\(sparse, dense\) is not supported"):
        step(lambda p: mt.optim.SGD(p, weight_decay=0.1))
    with pytest.raises(RuntimeError, match="not compatible with sparse gradients"):
        step(lambda p: mt.optim.Adagrad(p, weight_decay=0.1))
    with pytest.raises(RuntimeError, match="does not support dense gradients"):
        w = mt.ones(2, requires_grad=True)
        w.sum().backward()
        mt.optim.SparseAdam([w]).step()


@pytest.mark.parametrize(("name", "options"), [
    ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.9, "nesterov": True}), ("SGD", {"maximize": True}),
    ("Adagrad", {"lr_decay": 0.5}), ("SparseAdam", {"betas": (0.5, 0.9)})], ids=str)
def test_sparse_steps_as_pytorch(name, options):
    torch = pytest.importorskip("torch")

    def run(lib):
        table = _table(lib)
        optimizer = getattr(lib.optim, name)(table.parameters(), lr=0.1, **options)
        for i in range(3):
            optimizer.zero_grad()
            (table(lib.tensor(INDEX) + i % 2) ** 2).sum().backward()
            optimizer.step()
        return table.weight.detach().numpy()

    np.testing.assert_allclose(run(mt), run(torch), rtol=1e-5)


# Compressed rows

def test_compressed_rows():
    x = mt.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    c = x.to_sparse_csr()
    assert c.layout is mt.sparse_csr and c.is_sparse_csr and not c.is_sparse and c._nnz() == 3
    assert (c.crow_indices().tolist(), c.col_indices().tolist(), c.values().tolist()) == \
        ([0, 2, 3], [1, 2, 0], [1.0, 2.0, 3.0])
    assert repr(c) == ("tensor(crow_indices=tensor([0, 2, 3]),\n       col_indices=tensor([1, 2, 0]),\n"
                       "       values=tensor([1., 2., 3.]), size=(2, 3), nnz=3,\n       layout=torch.sparse_csr)")
    assert mt.equal(c.to_dense(), x) and mt.equal(c.to_sparse_coo().to_sparse_csr().to_dense(), x)
    assert c.to_sparse().layout is mt.sparse_coo and x.to_sparse(layout=mt.sparse_csr).is_sparse_csr
    for y, expected in ((c * 2, x * 2), (2 * c, x * 2), (c + c, x * 2), (c.sin(), x.sin()), (mt.sin(c), x.sin()),
                        (-c, -x), (c @ x.t().to_sparse_csr(), x @ x.t())):
        assert y.is_sparse_csr and mt.allclose(y.to_dense(), expected)
    v = mt.tensor([1.0, 2.0])
    assert (c @ mt.ones(3)).tolist() == [3, 3] and (v @ c).tolist() == (v @ x).tolist() and c.sum().item() == 6
    assert mt.nn.functional.linear(mt.ones(1, 3), c).tolist() == [[3.0, 3.0]]
    assert mt.zeros(2, 3).to_sparse_csr().crow_indices().tolist() == [0, 0, 0]


def test_gradients_through_compressed_rows():
    v = mt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    c = mt.sparse_csr_tensor(mt.tensor([0, 2, 3]), mt.tensor([1, 2, 0]), v, (2, 3))
    w = mt.arange(6.0).reshape(3, 2).requires_grad_()
    (c @ w).square().sum().backward()
    d = mt.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]], requires_grad=True)
    u = w.detach().requires_grad_()
    (d @ u).square().sum().backward()
    close(w.grad, u.grad.tolist())
    close(v.grad, [d.grad[0, 1].item(), d.grad[0, 2].item(), d.grad[1, 0].item()])


@pytest.mark.parametrize(("make", "error"), [
    (lambda: mt.sparse_csr_tensor([0, 2], [1, 2, 0], [1.0, 2.0, 3.0], (2, 3)), "rise from 0 to 3"),
    (lambda: mt.sparse_csr_tensor([0, 2, 1, 3], [1, 2, 0], [1.0, 2.0, 3.0], (3, 3)), "rise from 0 to 3"),
    (lambda: mt.sparse_csr_tensor([0, 2, 3], [1, 5, 0], [1.0, 2.0, 3.0], (2, 3)), "from 0 to 2"),
    (lambda: mt.ones(2).crow_indices(), "expected sparse row compressed tensor layout but got Strided"),
    (lambda: mt.ones(2, 2).to_sparse_csr().coalesce(), "got SparseCsr"),
    (lambda: mt.ones(2, 2).to_sparse_csc(), "nearest is to_sparse_csr"),
    (lambda: mt.nested.nested_tensor([mt.ones(2), mt.ones(3)]), "nearest that exists is torch.nn.utils.rnn")])
def test_what_compressed_rows_are_not(make, error):
    with pytest.raises(RuntimeError, match=error):
        make()


def test_factories_make_strided_tensors():
    for make in (lambda: mt.zeros(3, layout=mt.sparse_coo), lambda: mt.ones(3).new_zeros(3, layout=mt.sparse_coo),
                 lambda: mt.zeros_like(mt.ones(3), layout=mt.sparse_csr)):
        with pytest.raises(NotImplementedError, match="layout"):
            make()
    assert mt.zeros(3, layout=mt.strided).layout is mt.strided
