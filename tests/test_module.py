"""Module: members, modes, hooks, state dicts, copies."""
from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import minitorch
from minitorch import nn
from minitorch.nn import Buffer, Parameter


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Sequential(nn.ReLU(), nn.Linear(4, 2, bias=False))
        self.scale = Parameter(minitorch.ones(1))
        self.register_buffer("seen", minitorch.zeros(2))
        self.register_buffer("cache", minitorch.zeros(1), persistent=False)

    def forward(self, x, factor=1.0):
        return self.last(self.norm(self.first(x))) * self.scale * factor


@pytest.fixture
def net():
    minitorch.manual_seed(0)
    return Net()


# Members

def test_names(net):
    assert [name for name, _ in net.named_parameters()] == [
        "scale", "first.weight", "first.bias", "norm.weight", "norm.bias", "last.1.weight"]
    assert [name for name, _ in net.named_buffers()] == [
        "seen", "cache", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
    assert [name for name, _ in net.named_modules()] == ["", "first", "norm", "last", "last.0", "last.1"]
    assert [name for name, _ in net.named_children()] == ["first", "norm", "last"]
    assert [name for name, _ in net.named_parameters(prefix="x", recurse=False)] == ["x.scale"]
    assert net.get_submodule("last.1") is net.last[1]
    assert net.get_parameter("last.1.weight") is net.last[1].weight
    assert net.get_buffer("norm.running_mean") is net.norm.running_mean
    for get in (net.get_submodule, net.get_parameter, net.get_buffer):
        with pytest.raises(AttributeError):
            get("last.7.weight")


def test_shared_members_count_once(net):
    net.again = net.first
    net.first.bias2 = net.first.bias
    assert len(list(net.parameters())) == 6
    assert len(list(net.modules())) == 6
    assert "again.weight" in net.state_dict()
    assert "again.weight" in dict(net.named_parameters(remove_duplicate=False))


def test_replacing_a_member_keeps_its_place(net):
    net.first = nn.Linear(3, 4, bias=False)
    assert [name for name, _ in net.named_children()] == ["first", "norm", "last"]
    net.first.weight = Parameter(minitorch.zeros(4, 3))
    net.last[0] = nn.Tanh()
    assert repr(net.last).startswith("Sequential(\n  (0): Tanh()")
    net.norm = None
    assert [name for name, _ in net.named_modules()] == ["", "first", "last", "last.0", "last.1"]
    assert net.norm is None


def test_a_name_changes_its_kind():
    m = nn.Module()
    m.x = 3
    m.x = Parameter(minitorch.ones(1))
    assert "x" in m._parameters and "x" not in m.__dict__
    m.x = Buffer(minitorch.ones(1))
    assert "x" in m._buffers and "x" not in m._parameters
    m.x = minitorch.zeros(2)
    assert m._buffers["x"].shape == (2,)
    m.x = nn.ReLU()
    assert "x" in m._modules and "x" not in m._buffers
    del m.x
    assert not hasattr(m, "x")
    m.plain = minitorch.ones(2)
    assert list(m.state_dict()) == []


@pytest.mark.parametrize("action, error", [
    (lambda m: setattr(m, "scale", minitorch.ones(1)), TypeError),
    (lambda m: setattr(m, "first", 3), TypeError),
    (lambda m: setattr(m, "seen", 3), TypeError),
    (lambda m: m.register_parameter("a.b", None), KeyError),
    (lambda m: m.register_parameter("", None), KeyError),
    (lambda m: m.register_parameter("forward", None), KeyError),
    (lambda m: m.register_parameter(3, None), TypeError),
    (lambda m: m.register_parameter("new", minitorch.ones(1)), TypeError),
    (lambda m: m.register_parameter("new", Parameter(minitorch.ones(1)) * 2), TypeError),
    (lambda m: m.register_buffer("scale", minitorch.ones(1)), KeyError),
    (lambda m: m.register_buffer("new", 3), TypeError),
    (lambda m: m.add_module("a.b", nn.ReLU()), KeyError),
    (lambda m: m.add_module("new", 3), TypeError),
    (lambda m: m.nothing, AttributeError),
    (lambda m: m.train("yes"), ValueError),
    (lambda m: Parameter([1.0]), TypeError),
    (lambda m: Parameter(minitorch.tensor([1])), RuntimeError),
])
def test_bad_members(net, action, error):
    before = list(net.state_dict())
    with pytest.raises(error):
        action(net)
    assert list(net.state_dict()) == before


def test_without_init():
    class Forgetful(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)

    class ForgetfulToo(nn.Module):
        def __init__(self):
            self.p = Parameter(minitorch.ones(1))

    for kind in (Forgetful, ForgetfulToo):
        with pytest.raises(AttributeError, match="before Module"):
            kind()


def test_no_forward():
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)


# Modes and moves

def test_train_and_eval(net):
    assert all(m.training for m in net.modules())
    assert net.eval() is net and not any(m.training for m in net.modules())
    net.last.train()
    assert net.last[0].training and not net.norm.training


def test_requires_grad_and_zero_grad(net):
    net(minitorch.randn(5, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all((p.grad == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert net.requires_grad_(False) is net and not any(p.requires_grad for p in net.parameters())
    assert not net(minitorch.randn(5, 3)).requires_grad


def test_apply_reaches_children_first(net):
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "BatchNorm1d", "ReLU", "Linear", "Sequential", "Net"]


def test_casts(net):
    parameters = list(net.parameters())
    net.double()
    assert all(a is b for a, b in zip(parameters, net.parameters(), strict=True))
    assert {p.dtype for p in net.parameters()} == {minitorch.float64}
    assert net.norm.num_batches_tracked.dtype is minitorch.int64
    assert net(minitorch.randn(5, 3, dtype=minitorch.float64)).dtype is minitorch.float64
    assert net.to(minitorch.float32).first.weight.dtype is minitorch.float32
    assert net.to("cpu", minitorch.float64).first.weight.dtype is minitorch.float64
    assert net.half().first.weight.dtype is minitorch.float16
    assert net.float().first.weight.dtype is minitorch.float32
    with pytest.raises(TypeError):
        net.to(minitorch.int64)


# Copies

def same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    return list(a) == list(b) and all(np.array_equal(a[k].numpy(), b[k].numpy()) for k in a)


def test_deepcopy_and_pickle(net):
    net.first.weight.requires_grad_(False)
    net(minitorch.randn(5, 3)).sum().backward()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert same_state(net, other)
        assert not other.first.weight.requires_grad and other.last[1].weight.requires_grad
        assert isinstance(other.first.weight, Parameter)
        with minitorch.no_grad():
            other.last[1].weight.fill_(0)
        assert not same_state(net, other)
        x = minitorch.randn(2, 3)
        net.eval(), other.eval()
        assert not np.array_equal(net(x).detach().numpy(), other(x).detach().numpy())
        net.train()


def test_deepcopy_keeps_sharing(net):
    net.tied = nn.Linear(4, 2, bias=False)
    net.tied.weight = net.last[1].weight
    other = copy.deepcopy(net)
    assert other.tied.weight is other.last[1].weight is not net.tied.weight


# State dicts

def test_state_dict_is_a_view(net):
    state = net.state_dict()
    assert isinstance(state, OrderedDict) and list(state) == [
        "scale", "seen", "first.weight", "first.bias", "norm.weight", "norm.bias", "norm.running_mean",
        "norm.running_var", "norm.num_batches_tracked", "last.1.weight"]
    assert not any(v.requires_grad for v in state.values())
    assert np.shares_memory(state["scale"].numpy(), net.scale.detach().numpy())
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert "net.first.weight" in net.state_dict(prefix="net.")
    assert net.first.state_dict(destination={"other": 1})["other"] == 1


def test_load_round_trip(net):
    state = copy.deepcopy(net.state_dict())
    other = Net()
    assert str(other.load_state_dict(state)) == "<All keys matched successfully>"
    assert same_state(net, other) and not np.shares_memory(other.scale.detach().numpy(), state["scale"].numpy())
    weight = other.first.weight
    other.load_state_dict(state, assign=True)
    assert other.first.weight is not weight and isinstance(other.first.weight, Parameter)
    assert np.shares_memory(other.first.weight.detach().numpy(), state["first.weight"].numpy())


def test_load_reports_everything_and_writes_nothing(net):
    other, before = Net(), copy.deepcopy(Net().state_dict())
    other.load_state_dict(before)
    state = net.state_dict()
    del state["scale"]
    state["last.1.weight"] = minitorch.zeros(5, 4)
    state["first.other"] = minitorch.zeros(1)
    state["first.bias"] = "text"
    with pytest.raises(RuntimeError) as raised:
        other.load_state_dict(state)
    message = str(raised.value)
    assert message.startswith("Error(s) in loading state_dict for Net:\n\t")
    assert 'Missing key(s) in state_dict: "scale". ' in message
    assert 'Unexpected key(s) in state_dict: "first.other". ' in message
    assert "size mismatch for last.1.weight: copying a param with shape torch.Size([5, 4])" in message
    assert 'named "first.bias"' in message
    assert all(np.array_equal(v.numpy(), before[k].numpy()) for k, v in other.state_dict().items())
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict(state, strict=False)
    assert all(np.array_equal(v.numpy(), before[k].numpy()) for k, v in other.state_dict().items())
    with pytest.raises(TypeError, match="dict-like"):
        other.load_state_dict([1])


def test_load_not_strict(net):
    other, state = Net(), net.state_dict()
    del state["scale"]
    state["more"] = minitorch.zeros(1)
    keys = other.load_state_dict(state, strict=False)
    assert keys.missing_keys == ["scale"] and keys.unexpected_keys == ["more"]
    assert np.array_equal(other.first.weight.detach().numpy(), net.first.weight.detach().numpy())


def test_old_checkpoints_lack_num_batches_tracked(net):
    state = {k: v for k, v in net.state_dict().items() if k != "norm.num_batches_tracked"}
    Net().load_state_dict(state)
    whole = net.state_dict()
    del whole["norm.num_batches_tracked"]
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        Net().load_state_dict(whole)


def test_own_loading_and_extra_state():
    class Renamed(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *rest):
            if prefix + "kernel" in state_dict:
                state_dict[prefix + "weight"] = state_dict.pop(prefix + "kernel")
            super()._load_from_state_dict(state_dict, prefix, *rest)

        def get_extra_state(self):
            return {"calls": 3}

        def set_extra_state(self, state):
            self.calls = state["calls"]

    model = nn.Sequential(Renamed(2, 2, bias=False))
    state = model.state_dict()
    assert state["0._extra_state"] == {"calls": 3}
    state["0.kernel"] = state.pop("0.weight") + 1
    model.load_state_dict(state)
    assert model[0].calls == 3


def test_state_hooks(net):
    handle = net.register_state_dict_post_hook(lambda m, state, prefix, metadata: state.update(extra=1))
    net.register_load_state_dict_pre_hook(lambda m, state, *rest: state.pop("extra"))
    seen = []
    net.register_load_state_dict_post_hook(lambda m, keys: seen.append(keys))
    state = net.state_dict()
    assert state["extra"] == 1
    net.load_state_dict(state)
    assert seen == [([], [])]
    handle.remove()
    assert "extra" not in net.state_dict()


# Hooks

def test_forward_hooks(net):
    calls = []
    handles = [
        net.register_forward_pre_hook(lambda m, args: calls.append(("before", len(args)))),
        net.register_forward_hook(lambda m, args, y: calls.append(("after", tuple(y.shape)))),
        net.register_forward_pre_hook(lambda m, args: (args[0] * 0,), prepend=True),
        net.register_forward_hook(lambda m, args, kwargs, y: y * kwargs["factor"], with_kwargs=True),
        net.register_forward_pre_hook(lambda m, args, kwargs: (args, {"factor": 3.0}), with_kwargs=True),
    ]
    net.eval()
    x = minitorch.randn(5, 3)
    y = net(x)
    assert calls == [("before", 1), ("after", (5, 2))]
    for handle in handles:
        handle.remove()
    np.testing.assert_allclose(y.detach().numpy(), 9 * net(x * 0).detach().numpy(), rtol=1e-6)
    assert len(calls) == 2


def test_hook_on_all_modules_and_after_errors(net):
    seen = []
    with nn.modules.module.register_module_forward_hook(lambda m, args, y: seen.append(type(m).__name__)):
        net(minitorch.randn(5, 3))
    net(minitorch.randn(5, 3))
    assert seen == ["Linear", "BatchNorm1d", "ReLU", "Linear", "Sequential", "Net"]
    failed = []
    net.register_forward_hook(lambda m, args, y: failed.append(y), always_call=True)
    with pytest.raises(RuntimeError):
        net(minitorch.randn(5, 4))
    assert failed == [None]


def test_backward_hooks():
    layer = nn.Linear(3, 2)
    seen = {}
    layer.register_full_backward_pre_hook(lambda m, dy: seen.update(pre=dy) or (dy[0] * 2,))
    layer.register_full_backward_hook(lambda m, dx, dy: seen.update(dx=dx, dy=dy) or (dx[0] * 10,))
    x = minitorch.randn(4, 3, requires_grad=True)
    layer(x).sum().backward()
    one = np.ones((4, 2), np.float32)
    np.testing.assert_array_equal(seen["pre"][0].numpy(), one)
    np.testing.assert_array_equal(seen["dy"][0].numpy(), 2 * one)
    np.testing.assert_allclose(seen["dx"][0].numpy(), 2 * one @ layer.weight.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), 20 * one @ layer.weight.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(layer.weight.grad.numpy(), 2 * one.T @ x.detach().numpy(), rtol=1e-5)


def test_backward_hooks_see_none_for_what_has_no_gradient():
    class Two(nn.Module):
        def forward(self, a, b, flag):
            return a * b, a.detach()

    seen = []
    m = Two()
    m.register_full_backward_hook(lambda m, dx, dy: seen.append((dx, dy)))
    a, b = minitorch.ones(2), minitorch.ones(2, requires_grad=True)
    m(a, b, True)[0].sum().backward()
    (dx, dy), = seen
    assert len(dx) == 3 and dx[0] is None and dx[2] is None and (dx[1] == 1).all()
    assert len(dy) == 2 and dy[1] is None
    first = nn.Linear(2, 2)
    first.register_full_backward_hook(lambda m, dx, dy: seen.append(dx))
    first(minitorch.ones(1, 2)).sum().backward()
    assert seen[-1] == (None,)


def test_backward_hook_returning_too_many():
    layer = nn.Linear(3, 2)
    layer.register_full_backward_hook(lambda m, dx, dy: (dx[0], dx[0]))
    with pytest.raises(RuntimeError, match="invalid number"):
        layer(minitorch.ones(1, 3, requires_grad=True)).sum().backward()


def test_hooks_as_in_torch(torch):
    """The same gradients reach the same hooks."""
    found = []
    for lib in (minitorch, torch):
        lib.manual_seed(1)
        model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Tanh(), lib.nn.Linear(4, 2))
        seen = []
        for layer in model:
            layer.register_full_backward_hook(lambda m, dx, dy, seen=seen: seen.append((type(m).__name__, dx, dy)))
        x = lib.tensor(np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3), requires_grad=True)
        model(x).square().sum().backward()
        found.append(seen)
    for (name, dx, dy), (other, ex, ey) in zip(*found, strict=True):
        assert name == other
        for g, h in zip((*dx, *dy), (*ex, *ey), strict=True):
            np.testing.assert_allclose(g.numpy(), h.numpy(), rtol=1e-5, atol=1e-6)


def test_call_super_init():
    class Named:
        def __init__(self, name):
            self.name = name

    class Both(nn.Module, Named):
        call_super_init = True

        def __init__(self, name):
            super().__init__(name=name)
            self.fc = nn.Linear(1, 1)

    assert Both("a").name == "a" and len(list(Both("a").parameters())) == 2

    class Plain(nn.Module):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    with pytest.raises(TypeError, match=r"Plain.__init__\(\) takes 1 positional argument but 2 were given"):
        Plain(3)
    with pytest.raises(TypeError, match=r"Plain.__init__\(\) got an unexpected keyword argument 'name'"):
        Plain(name=3)


def test_to_takes_a_memory_format_and_a_tensor_by_name():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    kept = model[0].weight
    moved = model.to("cpu", minitorch.float64, True, memory_format=minitorch.channels_last)
    assert moved is model and model[0].weight is kept and kept.dtype == minitorch.float64
    assert kept.is_contiguous(memory_format=minitorch.channels_last)
    assert model[1].num_batches_tracked.dtype == minitorch.int64
    assert model.to(tensor=minitorch.zeros(1))[0].bias.dtype == minitorch.float32
