"""The meta device: shapes and types without values; the same assertions of PyTorch where it is installed."""
from __future__ import annotations

import copy
import functools
import warnings

import numpy as np
import pytest
import samples

import minitorch
import minitorch.nn.functional as F
from minitorch import engine, op

# what looks at values, so that no shape can be said without them
BY_VALUES = frozenset("""
    Tensor.resize_ repeat_interleave histogram histogramdd nonzero_static div slice index index_dx
    index_put take_along_dim scatter tensor_split cholesky_inverse linalg.matrix_rank matrix_power
    matrix_exp linalg.lstsq linalg_ldl_solve linalg.lu linalg.lu_factor linalg.solve_ex masked_select nonzero argwhere
    where searchsorted bucketize bincount histc isin unique unique_consecutive embedding
    nn.functional.embedding_bag nn.functional.one_hot instance_norm max_unpool1d max_unpool2d
    max_unpool3d istft Tensor.__setitem__
""".split())  # noqa: SIM905


@pytest.fixture(params=["minitorch", "torch"])
def torch(request):
    return minitorch if request.param == "minitorch" else pytest.importorskip("torch")


def test_factories(torch):
    made = [torch.zeros(2, 3, device="meta"), torch.randn((2, 3), device="meta"),
            torch.full((2, 3), 1.0, device="meta"), torch.empty(2, 3).to("meta"),
            torch.tensor([[1.0] * 3] * 2, device="meta"),
            torch.rand_like(torch.empty(2, 3, device="meta")), torch.empty(2, 3, device="meta").new_ones((2, 3))]
    with torch.device("meta"):
        made += [torch.ones(2, 3), torch.tensor([[1.0] * 3] * 2), torch.nn.Linear(3, 2).weight]
    for x in made:
        assert (tuple(x.shape), x.dtype, x.device, x.is_meta) == ((2, 3), torch.float32, torch.device("meta"), True)
        assert not x.is_cpu and not x.is_cuda
    assert torch.arange(5, device="meta").dtype == torch.int64
    assert repr(made[0]) == "tensor(..., device='meta', size=(2, 3))"
    assert repr(made[0].double()) == "tensor(..., device='meta', size=(2, 3), dtype=torch.float64)"
    assert made[0].stride() == (3, 1)
    huge = torch.empty(100_000, 100_000, device="meta")
    assert (huge @ huge + huge).exp().shape == huge.shape


def test_no_random_numbers_are_drawn(torch):
    torch.manual_seed(1)
    expected = torch.rand(2).tolist()
    torch.manual_seed(1)
    with torch.device("meta"):
        torch.nn.Conv2d(3, 4, 3)
        torch.randn(3)
        torch.nn.init.trunc_normal_(torch.empty(3))
    assert torch.rand(2).tolist() == expected


def test_values_are_not_there(torch):
    x = torch.ones(2, 3, device="meta")
    for look, error in [(lambda: x.sum().item(), RuntimeError), (x.tolist, NotImplementedError), (x.numpy, TypeError),
                        (lambda: x.to("cpu"), NotImplementedError), (lambda: bool(x.sum()), RuntimeError),
                        (lambda: torch.ones(2, 3).copy_(x), NotImplementedError),
                        (lambda: x.nonzero(), NotImplementedError), (lambda: x[x > 0], NotImplementedError),
                        (lambda: torch.ones(2, 3) + x, RuntimeError)]:
        with pytest.raises(error):
            look()
    assert (x + torch.tensor(1.0)).is_meta
    assert x.copy_(torch.zeros(2, 3)) is x
    x[0] = 1
    x += 1
    assert x.is_meta


def test_models(torch):
    nn = torch.nn
    with torch.device("meta"):
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    assert {t.device.type for t in [*net.parameters(), *net.buffers()]} == {"meta"}
    y = net(torch.empty(2, 3, 8, 8, device="meta"))
    y.sum().backward()
    assert (tuple(y.shape), y.requires_grad) == ((2, 5), True)
    assert [(p.grad.is_meta, p.grad.shape) for p in net.parameters()] == [(True, p.shape) for p in net.parameters()]
    with pytest.raises(NotImplementedError, match="to_empty"):
        net.to("cpu")
    real = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        copy.deepcopy(net).load_state_dict(real.state_dict())
    assert len(caught) == 9
    assert "no-op" in str(caught[0].message)
    net.load_state_dict(real.state_dict(), assign=True)
    assert net[0].weight.tolist() == real[0].weight.tolist()
    assert net[0].weight.requires_grad
    empty = nn.Linear(3, 2, device="meta").to_empty(device="cpu")
    assert (empty.weight.device.type, empty.weight.shape) == ("cpu", (2, 3))
    assert nn.utils.skip_init(nn.Linear, 3, 2).weight.device.type == "cpu"
    layer = nn.TransformerEncoderLayer(8, 2, device="meta")
    assert layer(torch.empty(5, 2, 8, device="meta")).shape == (5, 2, 8)
    assert nn.LSTM(4, 5, device="meta")(torch.empty(3, 2, 4, device="meta"))[0].shape == (3, 2, 5)


def test_gradients(torch):
    x = torch.empty(3, 1, device="meta", requires_grad=True)
    y = (x * torch.empty(4, device="meta")).relu()
    dx, = torch.autograd.grad(y.sum(), x)
    assert (dx.is_meta, tuple(dx.shape)) == (True, (3, 1))


def converted(value, where):
    if isinstance(value, np.ndarray):
        t = minitorch.tensor(np.array(value), dtype=minitorch.float32 if value.dtype == np.float64 else None)
        return t.to(where)
    return type(value)([converted(v, where) for v in value]) if type(value) in (list, tuple) else value


def described(y):
    if isinstance(y, minitorch.Tensor):
        return tuple(y.shape), y.dtype
    return [described(v) for v in y] if isinstance(y, (list, tuple)) else y


@pytest.mark.filterwarnings("ignore")
def test_every_op_says_the_shapes_and_types_that_it_has():
    run = 0
    for case in samples.load():
        if case.name in BY_VALUES:
            continue
        call = case.call
        if call is None:
            try:
                call = functools.reduce(getattr, case.name.split("."), minitorch)
            except AttributeError:  # an op that others are made of
                call = op.OPS[case.name].call
        for sample in [s for s in case.samples if not s.big][:2]:
            arguments, options = sample.make(0)
            try:
                expected = described(call(*converted(arguments, "cpu"),
                                          **{k: converted(v, "cpu") for k, v in options.items()}))
            except (RuntimeError, ValueError):  # float64 alone
                continue
            found = call(*converted(arguments, "meta"), **{k: converted(v, "meta") for k, v in options.items()})
            assert described(found) == expected, case.id
            run += 1
    assert run > 800


@pytest.mark.parametrize(("call", "shape"), [
    (lambda m: minitorch.searchsorted(m(5), m(3, 2)), (3, 2)), (lambda m: minitorch.bucketize(m(5), m(3)), (5,)),
    (lambda m: minitorch.isin(m(5), m(2)), (5,)), (lambda m: minitorch.histc(m(5), 7), (7,)),
    (lambda m: minitorch.multinomial(m(2, 5), 3), (2, 3)), (lambda m: minitorch.bernoulli(m(4, 3)), (4, 3)),
    (lambda m: minitorch.poisson(m(4)), (4,)), (lambda m: F.one_hot(m(3).long(), 4), (3, 4)),
    (lambda m: F.embedding_bag(m(3, 2).long(), m(5, 4)), (3, 4)),
    (lambda m: F.embedding_bag(m(6).long(), m(5, 4), m(2).long()), (2, 4)),
    (lambda m: F.embedding_bag(m(6).long(), m(5, 4), m(3).long(), mode="max", include_last_offset=True), (2, 4)),
    (lambda m: F.max_unpool2d(m(1, 1, 2, 2), m(1, 1, 2, 2).long(), 2), (1, 1, 4, 4)),
    (lambda m: F.fractional_max_pool2d(m(1, 1, 5, 5), 2, output_size=2), (1, 1, 2, 2))])
def test_shapes_follow_from_shapes(call, shape):
    y = call(lambda *sizes: minitorch.empty(sizes, device="meta"))
    assert y.is_meta and tuple(y.shape) == shape


def test_gradients_after_sparse_ones(monkeypatch):
    monkeypatch.setattr(engine, "sparse", True)  # some embedding has had a sparse gradient
    x = minitorch.ones(2, 3, device="meta", requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.is_meta and x.grad.shape == (2, 3)


def test_composites_of_meta_tensors_are_recorded():
    bag = minitorch.nn.EmbeddingBag(5, 4, device="meta")
    y = bag(minitorch.zeros(3, 2, dtype=minitorch.long, device="meta"))
    assert y.requires_grad and y.grad_fn.name() == "EmbeddingBagBackward0"
    y.sum().backward()
    assert bag.weight.grad.is_meta and bag.weight.grad.shape == bag.weight.shape
