"""Optimizers and schedules: step by step against PyTorch, saving and loading across both, hooks, errors."""
from __future__ import annotations

import copy
import inspect
import math
import pickle
import warnings

import numpy as np
import pytest

import minitorch.optim as optim
from minitorch import tensor
from minitorch.nn import functional
from minitorch.optim import LBFGS, SGD, Adam, AdamW, l1_penalty, l2_penalty, lr_scheduler
from minitorch.optim import Optimizer as Base
from minitorch.tensor import Tensor

SHAPES = [(3, 4), (5,), (), (2, 0)]
CASES = [
    ("SGD", {}), ("SGD", {"momentum": 0.9}), ("SGD", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "maximize": True}), ("SGD", {"weight_decay": 0.1, "foreach": True}),
    ("Adam", {}), ("Adam", {"amsgrad": True, "weight_decay": 0.1}), ("Adam", {"maximize": True, "betas": (0.5, 0.6)}),
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.1}), ("Adam", {"betas": (0.0, 0.9), "eps": 1e-2}),
    ("AdamW", {}), ("AdamW", {"amsgrad": True, "weight_decay": 0.3, "maximize": True}),
    ("NAdam", {}), ("NAdam", {"weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {}), ("RAdam", {"weight_decay": 0.1, "maximize": True}), ("RAdam", {"betas": (0.8, 0.9)}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adamax", {}), ("Adamax", {"weight_decay": 0.1, "maximize": True}),
    ("Adagrad", {}), ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("Adagrad", {"initial_accumulator_value": 0.5}),
    ("Adadelta", {}), ("Adadelta", {"rho": 0.5, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {}), ("RMSprop", {"centered": True}), ("RMSprop", {"momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5, "centered": True, "alpha": 0.4, "maximize": True}),
    ("ASGD", {}), ("ASGD", {"lambd": 0.1, "t0": 5, "weight_decay": 0.1, "alpha": 0.5, "maximize": True}),
    ("Rprop", {}), ("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.2), "maximize": True}),
]
IDS = [f"{name}-{'-'.join(options) or 'plain'}" for name, options in CASES]


def wrap(array):
    return Tensor._wrap(np.array(array))


def leaves(dtype, seed=0):
    """The same parameters twice: arrays to make tensors of."""
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]


def gradients(dtype, step):
    rng = np.random.default_rng(1000 + step)
    return [np.asarray(rng.standard_normal(shape) * 0.9**step, dtype) for shape in SHAPES]


def pair(torch, name, options, dtype, lr=0.1):
    ours = [wrap(a).requires_grad_() for a in leaves(dtype)]
    theirs = [torch.tensor(a).requires_grad_() for a in leaves(dtype)]
    a, b = (getattr(o, name)(ps, lr=lr, **options) for o, ps in ((optim, ours), (torch.optim, theirs)))
    return ours, theirs, a, b


def give_gradients(torch, ours, theirs, dtype, step):
    for p, q, g in zip(ours, theirs, gradients(dtype, step)):
        p.grad, q.grad = wrap(g), torch.tensor(g)


def same(ours, theirs, dtype, slack=1.0):
    tolerance = {"rtol": 3e-5 * slack, "atol": 3e-6 * slack} if dtype is np.float32 else \
        {"rtol": 1e-10, "atol": 1e-11}
    for p, q in zip(ours, theirs):
        np.testing.assert_allclose(p._array, q.detach().numpy(), **tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_25_steps_as_torch(torch, name, options, dtype):
    ours, theirs, a, b = pair(torch, name, options, dtype)
    slack = 100 if options.get("centered") else 10  # v - mean² cancels
    for step in range(25):
        give_gradients(torch, ours, theirs, dtype, step)
        if step % 7 == 3:
            ours[1].grad = theirs[1].grad = None
        if step == 12:
            a.param_groups[0]["lr"] = b.param_groups[0]["lr"] = 0.05
        a.step(), b.step()
        same(ours, theirs, dtype, slack)
    assert all(p._array.dtype == dtype for p in ours)
    mine, other = a.state_dict(), b.state_dict()
    assert mine["param_groups"][0] == other["param_groups"][0]
    assert mine["state"].keys() == other["state"].keys()
    for number, state in other["state"].items():
        assert mine["state"][number].keys() == state.keys()
        for key, value in state.items():
            x = mine["state"][number][key]
            assert x._array.dtype == value.numpy().dtype and tuple(x.shape) == tuple(value.shape)
            np.testing.assert_allclose(x._array, value.numpy(), rtol=1e-3 if dtype is np.float32 else 1e-6, atol=1e-6)
    assert repr(a) == repr(b)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adadelta", "Adagrad", "RMSprop",
                                  "ASGD", "Rprop", "LBFGS"])
def test_signatures_are_torchs(torch, name):
    ours = inspect.signature(getattr(optim, name).__init__).parameters
    theirs = inspect.signature(getattr(torch.optim, name).__init__).parameters
    assert [(p.name, p.kind, p.default) for p in ours.values()] == \
        [(p.name, p.kind, p.default) for p in theirs.values()]


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_state_dict_goes_on_where_it_was(torch, name, options):
    """A state saved by PyTorch continues here, and one saved here continues in PyTorch and in a fresh optimizer."""
    ours, theirs, a, b = pair(torch, name, options, np.float64)
    for step in range(4):
        give_gradients(torch, ours, theirs, np.float64, step)
        a.step(), b.step()
    mine, other = copy.deepcopy(a.state_dict()), copy.deepcopy(b.state_dict())
    fresh = getattr(optim, name)(ours, lr=0.7)
    fresh.load_state_dict({"state": {n: {k: wrap(v.numpy()) for k, v in s.items()}
                                     for n, s in other["state"].items()}, "param_groups": other["param_groups"]})
    back = getattr(torch.optim, name)(theirs, lr=0.7)
    back.load_state_dict({"state": {n: {k: torch.tensor(v._array) for k, v in s.items()}
                                    for n, s in mine["state"].items()}, "param_groups": mine["param_groups"]})
    assert fresh.param_groups[0]["lr"] == 0.1
    for step in range(4, 8):
        give_gradients(torch, ours, theirs, np.float64, step)
        fresh.step(), back.step()
        same(ours, theirs, np.float32 if name == "ASGD" else np.float64)  # PyTorch rounds ASGD's rate to float32


def test_loading_copies_and_casts():
    p = wrap(np.ones(3, np.float32)).requires_grad_()
    a = Adam([p])
    p.grad = wrap(np.ones(3, np.float32))
    a.step()
    saved = a.state_dict()
    q = wrap(np.ones(3)).requires_grad_()
    b = Adam([q])
    b.load_state_dict(saved)
    assert b.state[q]["exp_avg"]._array.dtype == np.float64 and b.state[q]["step"]._array.dtype == np.float32
    q.grad = wrap(np.ones(3))
    b.step()
    assert a.state[p]["step"].item() == 1 and b.state[q]["step"].item() == 2
    kept = a.state[p]["exp_avg"]._array.copy()
    c = Adam([p])
    c.load_state_dict(saved)
    c.step()
    np.testing.assert_array_equal(a.state[p]["exp_avg"]._array, kept)
    saved["state"][0]["step"] = 7  # as PyTorch before 1.12 has it
    b.load_state_dict(saved)
    b.step()
    assert b.state[q]["step"].item() == 8


def test_training_through_the_graph_as_torch(torch):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 1))
    w, b = rng.standard_normal((3, 1)), np.zeros(1)
    ours, theirs = [wrap(a).requires_grad_() for a in (w, b)], [torch.tensor(a, requires_grad=True) for a in (w, b)]
    a, c = AdamW(ours, lr=0.1), torch.optim.AdamW(theirs, lr=0.1)
    for _ in range(20):
        losses = []
        for (w, b), optimizer, make in ((ours, a, wrap), (theirs, c, torch.tensor)):
            optimizer.zero_grad()
            loss = ((make(x) @ w + b - make(y)) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[0] == pytest.approx(losses[1], rel=1e-10)


def test_groups_have_their_own_options(torch):
    ours, theirs = [wrap(a).requires_grad_() for a in leaves(np.float64)], \
        [torch.tensor(a).requires_grad_() for a in leaves(np.float64)]
    a, b = (o([{"params": ps[:1]}, {"params": ps[1], "lr": 0.5, "momentum": 0.0}], lr=0.1, momentum=0.9)
            for o, ps in ((SGD, ours), (torch.optim.SGD, theirs)))
    for o, ps in ((a, ours), (b, theirs)):
        o.add_param_group({"params": ps[2:], "weight_decay": 0.1})
    for step in range(5):
        give_gradients(torch, ours, theirs, np.float64, step)
        a.step(), b.step()
    same(ours, theirs, np.float64)
    assert [g["params"] for g in a.state_dict()["param_groups"]] == [[0], [1], [2, 3]]
    assert repr(a) == repr(b)


def test_rate_as_a_tensor(torch):
    for name in ("SGD", "Adam", "RMSprop"):
        p, q = wrap(np.ones(3)).requires_grad_(), torch.ones(3, dtype=torch.float64, requires_grad=True)
        a = getattr(optim, name)([p], lr=tensor(0.5))
        b = getattr(torch.optim, name)([q], lr=torch.tensor(0.5), foreach=False)
        s, t = lr_scheduler.ExponentialLR(a, 0.5), torch.optim.lr_scheduler.ExponentialLR(b, 0.5)
        rate = a.param_groups[0]["lr"]
        for step in range(3):
            g = np.full(3, 0.1 + step)
            p.grad, q.grad = wrap(g), torch.tensor(g)
            a.step(), b.step(), s.step(), t.step()
            np.testing.assert_allclose(p._array, q.detach().numpy())
            assert a.param_groups[0]["lr"] is rate and rate.item() == b.param_groups[0]["lr"].item()
            assert s.get_last_lr()[0].item() == t.get_last_lr()[0].item()


def test_named_parameters(torch):
    a = SGD([("w", wrap(np.ones(2)).requires_grad_()), ("b", wrap(np.ones(1)).requires_grad_())], lr=0.1)
    assert a.param_groups[0]["param_names"] == ["w", "b"] == a.state_dict()["param_groups"][0]["param_names"]
    with pytest.raises(ValueError, match="Some param names are missing"):
        SGD([("w", wrap(np.ones(2))), wrap(np.ones(1))], lr=0.1)
    with pytest.raises(ValueError, match="cannot add param group without names"):
        a.add_param_group({"params": [wrap(np.ones(1))]})


def test_zero_grad():
    p = wrap(np.ones(2)).requires_grad_()
    optimizer = SGD([p], lr=0.1)
    optimizer.zero_grad()
    p.grad = g = wrap(np.ones(2))
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is not None and (p.grad._array == 0).all() and g._array.sum() == 0
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()  # without gradients nothing moves
    np.testing.assert_array_equal(p._array, [1, 1])


def test_a_step_is_seen_by_backward():
    """A parameter that backward still needs has changed: that is an error, not a wrong gradient."""
    p = wrap(np.ones(2)).requires_grad_()
    loss = (p * p).sum()
    p.grad = wrap(np.ones(2))
    SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError):
        loss.backward()


def test_closure_and_hooks():
    p = wrap(np.ones(2)).requires_grad_()
    optimizer, calls = SGD([p], lr=0.1), []

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append(("pre", o, args, kwargs)))
    after = optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append(("post", o, args, kwargs)))
    assert optimizer.step(closure).item() == 2
    given = (optimizer, closure)  # the optimizer itself comes first, as in PyTorch
    assert calls == [("pre", optimizer, given, {}), ("post", optimizer, given, {})]
    before.remove(), after.remove()
    optimizer.step(closure=closure)
    assert len(calls) == 2
    changed = optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, closure), {}))
    assert optimizer.step() is not None
    changed.remove()
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="new_args, new_kwargs"):
        optimizer.step()


def test_hooks_of_saving_and_loading():
    optimizer, calls = SGD([wrap(np.ones(2)).requires_grad_()], lr=0.1), []
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("b"))
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("a"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, s: {**s, "extra": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, s: {k: v for k, v in s.items() if k != "extra"})
    optimizer.register_load_state_dict_post_hook(lambda o: calls.append("loaded"))
    saved = optimizer.state_dict()
    assert saved["extra"] == 1 and calls == ["a", "b"]
    optimizer.load_state_dict(saved)
    assert calls[-1] == "loaded"


class Plain(Base):
    """A user's optimizer, which overrides `step` as in PyTorch."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data -= group["lr"] * p.grad


def test_a_users_optimizer():
    p = wrap(np.ones(2)).requires_grad_()
    optimizer, calls = Plain([p], 0.5), []
    optimizer.register_step_post_hook(lambda *a: calls.append(1))
    p.grad = wrap(np.ones(2))
    optimizer.step()
    np.testing.assert_array_equal(p._array, [0.5, 0.5])
    assert calls == [1] and optimizer._opt_called
    with pytest.raises(NotImplementedError, match="needs a step"):
        Base([p], {}).step()


def test_copies():
    p = wrap(np.ones(2)).requires_grad_()
    optimizer = Adam([p], lr=0.1)
    p.grad = wrap(np.ones(2))
    optimizer.step()
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        q = other.param_groups[0]["params"][0]
        q.grad = wrap(np.ones(2))
        other.step()
        assert other.state[q]["step"].item() == 2 and optimizer.state[p]["step"].item() == 1


@pytest.mark.parametrize("make, error, message", [
    (lambda p: SGD([], lr=0.1), ValueError, "empty parameter list"),
    (lambda p: SGD(p, lr=0.1), TypeError, "iterable of Tensors or dicts, but got Tensor"),
    (lambda p: SGD([1.0], lr=0.1), TypeError, "only optimize Tensors, but one of the params is float"),
    (lambda p: SGD([{"params": {p}}], lr=0.1), TypeError, "ordered collections"),
    (lambda p: SGD([p * 2], lr=0.1), ValueError, "non-leaf"),
    (lambda p: SGD([p], lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda p: SGD([p], lr=math.nan), ValueError, "Invalid learning rate: nan"),
    (lambda p: SGD([p], lr=tensor([0.1, 0.2])), ValueError, "Tensor lr must be 1-element"),
    (lambda p: SGD([p], momentum=-1), ValueError, "Invalid momentum value: -1"),
    (lambda p: SGD([p], nesterov=True), ValueError, "Nesterov momentum requires a momentum and zero dampening"),
    (lambda p: SGD([p], foreach=True, fused=True), RuntimeError, "cannot be `True` together"),
    (lambda p: SGD([p], differentiable=True), NotImplementedError, "differentiable"),
    (lambda p: Adam([p], betas=(0.9, 1.0)), ValueError, "Invalid beta parameter at index 1: 1.0"),
    (lambda p: Adam([p], eps=-1), ValueError, "Invalid epsilon value: -1"),
    (lambda p: AdamW([p], weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
    (lambda p: optim.Adagrad([p], lr_decay=-1), ValueError, "Invalid lr_decay value: -1"),
    (lambda p: optim.Adadelta([p], rho=1.5), ValueError, "Invalid rho value: 1.5"),
    (lambda p: optim.Rprop([p], etas=(1.5, 2)), ValueError, "Invalid eta values: 1.5, 2"),
    (lambda p: LBFGS([{"params": p}, {"params": wrap(np.ones(1))}]), ValueError, "per-parameter options"),
    (lambda p: LBFGS([p], line_search_fn="golden"), RuntimeError, "only 'strong_wolfe' is supported"),
    (lambda p: SGD([{"params": p}, {"params": [p]}]), ValueError, "more than one parameter group"),
    (lambda p: SGD([p]).add_param_group([p]), TypeError, "param_group must be a dict"),
    (lambda p: Adam([wrap(np.ones(2, np.complex64))]), NotImplementedError, "complex"),
    (lambda p: SGD([p]).load_state_dict({"state": {}, "param_groups": []}), ValueError,
     "different number of parameter groups: expected 1, got 0"),
    (lambda p: SGD([p]).load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]}), ValueError,
     "group 0: expected 1 parameters, got 2"),
    (lambda p: lr_scheduler.StepLR(p, 1), TypeError, "Tensor is not an Optimizer"),
    (lambda p: lr_scheduler.StepLR(SGD([p]), 1, last_epoch=3), KeyError, "initial_lr"),
    (lambda p: lr_scheduler.LambdaLR(SGD([p]), [abs, abs]), ValueError, "expected 1 values, got 2"),
    (lambda p: lr_scheduler.LinearLR(SGD([p]), start_factor=0), ValueError, "Starting multiplicative factor"),
    (lambda p: lr_scheduler.OneCycleLR(SGD([p]), 0.1), ValueError, "must define either total_steps"),
    (lambda p: lr_scheduler.OneCycleLR(optim.Adagrad([p]), 0.1, 10), ValueError, "must support momentum or beta1"),
    (lambda p: lr_scheduler.CyclicLR(SGD([p]), 0.1, 0.2, mode="saw"), ValueError, "mode is invalid"),
    (lambda p: lr_scheduler.ReduceLROnPlateau(SGD([p]), factor=1.0), ValueError, "Factor should be < 1.0"),
    (lambda p: lr_scheduler.SequentialLR(SGD([p]), [], []), ValueError, "at least one scheduler"),
    (lambda p: lr_scheduler.ChainedScheduler([]), ValueError, "at least one scheduler"),
])
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make(wrap(np.ones(2)).requires_grad_())


def test_duplicate_parameters_warn():
    p = wrap(np.ones(2))
    with pytest.warns(UserWarning, match="duplicate parameters"):
        SGD([p, p], lr=0.1)


@pytest.mark.parametrize("options", [{}, {"lr": 0.3}, {"line_search_fn": "strong_wolfe"},
                                     {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 7}])
def test_lbfgs_as_torch(torch, options):
    start = np.array([-1.2, 1.0, 0.5, -0.3])
    results = []
    for make, kind in ((lambda a: wrap(a).requires_grad_(), LBFGS),
                       (lambda a: torch.tensor(a, requires_grad=True), torch.optim.LBFGS)):
        u, v = make(start[:2]), make(start[2:])
        optimizer, losses = kind([u, v], **options), []

        def closure(u=u, v=v, optimizer=optimizer):
            optimizer.zero_grad()
            loss = ((1 - u) ** 2).sum() + 3 * ((v - u * u) ** 2).sum() + 0.1 * (u * v).sum()
            loss.backward()
            return loss

        for _ in range(4):
            losses.append(float(optimizer.step(closure).detach()))
        state = next(iter(optimizer.state.values()))
        results.append((losses, state["func_evals"], state["n_iter"], u.detach().numpy(), v.detach().numpy()))
    (losses, calls, steps, *ours), (expected, their_calls, their_steps, *theirs) = results
    if options:  # plain steps of length 1 diverge here, and rounding with them
        np.testing.assert_allclose(losses, expected, rtol=1e-6)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
        assert (calls, steps) == (their_calls, their_steps)


def test_lbfgs_finds_rosenbrocks_minimum():
    p = wrap([-1.2, 1.0]).requires_grad_()
    optimizer = LBFGS([p], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(p._array, [1, 1], atol=1e-4)
    saved = optimizer.state_dict()
    other = LBFGS([p], max_iter=100)
    other.load_state_dict(saved)
    other.step(closure)


SCHEDULES = [
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.9**epoch}),
    ("LambdaLR", {"lr_lambda": [lambda epoch: 0.9**epoch, lambda epoch: 1 / (1 + epoch)]}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 0.95}),
    ("StepLR", {"step_size": 3}), ("StepLR", {"step_size": 4, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 3, 8], "gamma": 0.3}), ("MultiStepLR", {"milestones": []}),
    ("ConstantLR", {}), ("ConstantLR", {"factor": 0.5, "total_iters": 7}),
    ("LinearLR", {}), ("LinearLR", {"start_factor": 0.9, "end_factor": 0.1, "total_iters": 9}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 7}), ("CosineAnnealingLR", {"T_max": 5, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("PolynomialLR", {}), ("PolynomialLR", {"total_iters": 12, "power": 2.0}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 30}),
    ("OneCycleLR", {"max_lr": [1.0, 0.5], "epochs": 6, "steps_per_epoch": 5, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 30, "three_phase": True, "pct_start": 0.25}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 30, "cycle_momentum": False, "div_factor": 5.0}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4}),
    ("CyclicLR", {"base_lr": [0.01, 0.02], "max_lr": 0.1, "step_size_up": 4, "step_size_down": 2,
                  "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "mode": "exp_range", "gamma": 0.9,
                  "cycle_momentum": False}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "scale_fn": lambda x: 0.5**x,
                  "scale_mode": "iterations"}),
]
SCHEDULE_IDS = [f"{name}{i}" for i, (name, _) in enumerate(SCHEDULES)]


def two_groups(torch, kind="SGD"):
    make = {"SGD": {"momentum": 0.9}, "Adam": {}}[kind]
    ours = [wrap(np.ones(1)).requires_grad_() for _ in range(2)]
    theirs = [torch.ones(1, requires_grad=True) for _ in range(2)]
    return [getattr(o, kind)([{"params": ps[0], "lr": 0.3}, {"params": ps[1]}], lr=0.2, **make)
            for o, ps in ((optim, ours), (torch.optim, theirs))]


def rates(optimizer):
    return [[group[key] for key in ("lr", "momentum", "betas") if key in group] for group in optimizer.param_groups]


def agree(a, b):
    for mine, other in zip(rates(a), rates(b)):
        for x, y in zip(mine, other):
            np.testing.assert_allclose(x, y, rtol=1e-11)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name, options", SCHEDULES, ids=SCHEDULE_IDS)
def test_schedule_as_torch(torch, name, options, kind):
    a, b = two_groups(torch, kind)
    s, t = getattr(lr_scheduler, name)(a, **options), getattr(torch.optim.lr_scheduler, name)(b, **options)
    agree(a, b)
    for _ in range(29):
        a.step(), b.step(), s.step(), t.step()
        agree(a, b)
        assert s.last_epoch == t.last_epoch
        np.testing.assert_allclose(s.get_last_lr(), t.get_last_lr(), rtol=1e-11)


@pytest.mark.parametrize("name, options", SCHEDULES, ids=SCHEDULE_IDS)
def test_schedule_goes_on_where_it_was(torch, name, options):
    a, _ = two_groups(torch)
    s = getattr(lr_scheduler, name)(a, **options)
    for _ in range(5):
        a.step(), s.step()
    saved = copy.deepcopy(s.state_dict()), copy.deepcopy(a.state_dict())
    expected = []
    for _ in range(10):
        a.step(), s.step()
        expected.append(rates(a))
    c, _ = two_groups(torch)
    u = getattr(lr_scheduler, name)(c, **options)
    u.load_state_dict(saved[0])
    c.load_state_dict(saved[1])
    for step in range(10):
        c.step(), u.step()
        assert rates(c) == expected[step]


@pytest.mark.parametrize("name, options", SCHEDULES, ids=SCHEDULE_IDS)
def test_resuming_by_last_epoch_as_torch(torch, name, options):
    a, b = two_groups(torch)
    s, t = getattr(lr_scheduler, name)(a, **options), getattr(torch.optim.lr_scheduler, name)(b, **options)
    for _ in range(3):
        a.step(), b.step(), s.step(), t.step()
    s = getattr(lr_scheduler, name)(a, **options, last_epoch=2)
    t = getattr(torch.optim.lr_scheduler, name)(b, **options, last_epoch=2)
    for _ in range(6):
        agree(a, b)
        a.step(), b.step(), s.step(), t.step()


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("name, options", [c for c in SCHEDULES if c[0] not in ("OneCycleLR", "CyclicLR")])
def test_closed_forms_as_torch(torch, name, options):
    a, b = two_groups(torch)
    s, t = getattr(lr_scheduler, name)(a, **options), getattr(torch.optim.lr_scheduler, name)(b, **options)
    for epoch in (0, 1, 4, 11, 2):
        a.step(), b.step(), s.step(epoch), t.step(epoch)
        agree(a, b)


def test_warm_restarts_take_fractions(torch):
    a, b = two_groups(torch)
    s, t = (o.CosineAnnealingWarmRestarts(x, 3, 2) for o, x in ((lr_scheduler, a), (torch.optim.lr_scheduler, b)))
    a.step(), b.step()
    for epoch in (0.0, 0.3, 2.9, 3.1, 8.99, 9.5, 1.0):
        s.step(epoch), t.step(epoch)
        agree(a, b)
    with pytest.raises(ValueError, match="non-negative"):
        s.step(-1)


@pytest.mark.parametrize("options", [
    {}, {"mode": "max", "patience": 1}, {"threshold": 0.1, "patience": 1},
    {"mode": "max", "threshold": 0.2, "patience": 3},
    {"threshold_mode": "abs", "threshold": 0.5, "patience": 0},
    {"mode": "max", "threshold_mode": "abs", "threshold": 0.1, "patience": 1, "cooldown": 2},
    {"patience": 0, "min_lr": [0.1, 0.01], "factor": 0.5}, {"patience": 0, "eps": 0.05, "factor": 0.5}])
def test_plateau_as_torch(torch, options):
    a, b = two_groups(torch)
    s, t = lr_scheduler.ReduceLROnPlateau(a, **options), torch.optim.lr_scheduler.ReduceLROnPlateau(b, **options)
    metrics = 3 + np.random.default_rng(0).standard_normal(60).round(1) * np.linspace(0.2, 1, 60).round(1)
    for i, metric in enumerate(metrics):
        s.step(tensor(metric) if i % 2 else metric), t.step(torch.tensor(metric) if i % 2 else metric)
        agree(a, b)
        assert (s.best, s.num_bad_epochs, s.cooldown_counter) == (t.best, t.num_bad_epochs, t.cooldown_counter)
        if i == 20:
            other = lr_scheduler.ReduceLROnPlateau(a)
            other.load_state_dict(s.state_dict())
            s = other
    if "min_lr" not in options:
        for o, x in ((a, wrap(np.ones(1))), (b, torch.ones(1))):
            o.add_param_group({"params": x})
        for _ in range(30):
            s.step(100), t.step(100)
        agree(a, b)


def sequence(module, optimizer):
    warmup = module.LinearLR(optimizer, 0.1, total_iters=4)
    first = module.SequentialLR(optimizer, [warmup, module.StepLR(optimizer, 2)], [4])
    return module.SequentialLR(optimizer, [first, module.CosineAnnealingLR(optimizer, 6)], [10])


def chain(module, optimizer):
    return module.ChainedScheduler([module.ConstantLR(optimizer, 0.1, 3), module.ExponentialLR(optimizer, 0.9),
                                    module.MultiStepLR(optimizer, [5])])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("make", [sequence, chain])
def test_schedules_of_schedules_as_torch(torch, make):
    a, b = two_groups(torch)
    s, t = make(lr_scheduler, a), make(torch.optim.lr_scheduler, b)
    for step in range(18):
        agree(a, b)
        np.testing.assert_allclose(s.get_last_lr(), t.get_last_lr(), rtol=1e-11)
        a.step(), b.step(), s.step(), t.step()
        if step == 6:
            fresh = make(lr_scheduler, two_groups(torch)[0])
            fresh.load_state_dict(copy.deepcopy(s.state_dict()))
            assert fresh.state_dict() == s.state_dict()


def test_two_schedules_on_one_optimizer(torch):
    a, b = two_groups(torch)
    s = [lr_scheduler.ExponentialLR(a, 0.9), lr_scheduler.StepLR(a, 3)]
    t = [torch.optim.lr_scheduler.ExponentialLR(b, 0.9), torch.optim.lr_scheduler.StepLR(b, 3)]
    for _ in range(10):
        a.step(), b.step()
        for x in (*s, *t):
            x.step()
        agree(a, b)


class Scaled:
    """A callable whose attributes are saved with the schedule."""

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, epoch):
        return self.scale**epoch


def test_callables_are_saved_by_their_attributes(torch):
    a, _ = two_groups(torch)
    saved = lr_scheduler.LambdaLR(a, Scaled(0.5)).state_dict()
    assert saved["lr_lambdas"] == [{"scale": 0.5}] * 2 and "optimizer" not in saved
    other = lr_scheduler.LambdaLR(a, Scaled(0.1))
    other.load_state_dict(saved)
    assert other.lr_lambdas[0].scale == 0.5 and saved["lr_lambdas"] == [{"scale": 0.5}] * 2
    cyclic = lr_scheduler.CyclicLR(a, 0.1, 0.2, scale_fn=Scaled(0.5)).state_dict()
    other = lr_scheduler.CyclicLR(a, 0.1, 0.2, scale_fn=Scaled(0.1))
    other.load_state_dict(cyclic)
    assert other.scale_fn(2) == 0.25


def test_a_users_schedule(torch):
    class Halving(lr_scheduler._LRScheduler):
        def get_lr(self):
            return [group["lr"] * (0.5 if self.last_epoch else 1.0) for group in self.optimizer.param_groups]

    a, _ = two_groups(torch)
    s = Halving(a)
    a.step(), s.step()
    assert s.get_last_lr() == [0.15, 0.1]


def test_order_of_the_steps_is_warned_about(torch):
    a, _ = two_groups(torch)
    s = lr_scheduler.StepLR(a, 3)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        s.step()
    a, _ = two_groups(torch)
    s = lr_scheduler.StepLR(a, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        a.step(), s.step(), s.step()
    with pytest.warns(UserWarning, match="epoch parameter"):
        s.step(1)


def test_too_many_steps_of_one_cycle(torch):
    a, _ = two_groups(torch)
    s = lr_scheduler.OneCycleLR(a, 1.0, total_steps=3)
    a.step(), s.step(), s.step(), s.step()
    with pytest.raises(ValueError, match="Tried to step 4 times"):
        s.step()


def test_penalties(torch):
    values = [np.array([[1.0, -2.0]]), np.array([0.5])]
    ps = [wrap(v).requires_grad_() for v in values]
    loss = l1_penalty(ps, 0.1)
    assert loss.item() == pytest.approx(0.35)
    loss.backward()
    np.testing.assert_allclose(ps[0].grad._array, [[0.1, -0.1]])
    ps = [wrap(v).requires_grad_() for v in values]
    loss = l2_penalty(iter(ps), 0.1)
    assert loss.item() == pytest.approx(0.05 * 5.25)
    loss.backward()
    np.testing.assert_allclose(ps[0].grad._array, [[0.1, -0.2]])


@pytest.mark.parametrize("name, options", [("SGD", {}), ("SGD", {"momentum": 0.9}), ("Adam", {}),
                                           ("AdamW", {"amsgrad": True})])
def test_groups_that_change_from_step_to_step(torch, name, options):
    """Parameters of several dtypes and layouts in one group, without gradients now and then, moved, loaded anew."""
    def starts():
        rng = np.random.default_rng(5)
        kinds = [("f4", "C"), ("f8", "C"), ("f4", "F"), ("f4", "C"), ("f8", "F")]
        return [np.array(rng.standard_normal((4, 6)), dtype, order=order) for dtype, order in kinds]

    ours = [Tensor._wrap(a).requires_grad_() for a in starts()]
    theirs = [torch.from_numpy(a).requires_grad_() for a in starts()]
    a, b = (getattr(o, name)(ps, lr=0.1, **options) for o, ps in ((optim, ours), (torch.optim, theirs)))
    rng = np.random.default_rng(6)
    for step in range(8):
        for i, (p, q) in enumerate(zip(ours, theirs)):
            g = rng.standard_normal((4, 6)).astype(p._array.dtype)
            without = step in (2, 3) and i % 2 == 0
            p.grad = None if without else Tensor._wrap(np.asfortranarray(g) if step == 5 else g)
            q.grad = None if without else torch.from_numpy(g)
        if step == 4:
            ours[0].data, theirs[0].data = ours[0].data * 2, theirs[0].data * 2
        if step == 6:
            a.load_state_dict(copy.deepcopy(a.state_dict()))
        a.step(), b.step()
        for p, q in zip(ours, theirs):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_zero_grad_keeps_the_gradient_where_it_is():
    p = wrap([1.0, 2.0]).requires_grad_()
    p.grad = wrap([3.0, 4.0])
    before = p.grad
    SGD([p], lr=0.1).zero_grad(set_to_none=False)
    assert p.grad is before and p.grad.tolist() == [0, 0]


def test_sparse_adam_moves_the_rows_in_use():
    rows = [[1, 3, 0], [1, 3, 1], [2, 3, 3]]
    start = np.arange(10.0).reshape(5, 2) / 10
    p = wrap(start).requires_grad_()
    optimizer = optim.SparseAdam([p], lr=0.1, betas=(0.8, 0.9))
    embedding = functional.embedding
    w, mean, square = start.copy(), np.zeros((5, 2)), np.zeros((5, 2))
    for t, used in enumerate(rows, 1):
        optimizer.zero_grad()
        (embedding(tensor(used), p, sparse=True) + 1).pow(2).sum().backward()
        optimizer.step()
        some = np.unique(used)
        g = 2 * (w[some] + 1) * np.bincount(used, minlength=5)[some, None]
        mean[some] = 0.8 * mean[some] + 0.2 * g
        square[some] = 0.9 * square[some] + 0.1 * g * g
        w[some] -= 0.1 * np.sqrt(1 - 0.9 ** t) / (1 - 0.8 ** t) * mean[some] / (np.sqrt(square[some]) + 1e-8)
    np.testing.assert_allclose(p.detach().numpy(), w, rtol=1e-12)
    assert (p[4] == wrap(start)[4]).all() and optimizer.state[p]["step"] == 3
    again = optim.SparseAdam([p])
    again.load_state_dict(optimizer.state_dict())
    assert type(again.state[p]["step"]) is int and again.state[p]["step"] == 3
    with pytest.raises(ValueError, match="learning rate"):
        optim.SparseAdam([p], lr=0.0)
    for group in ([p, p * 1j], [{"params": iter([p, p * 1j])}]):
        with pytest.raises(ValueError, match=r"Complex params at indices \[\[0, 1\]\]: SparseAdam does not support"):
            optim.SparseAdam(group)
    with pytest.raises(ValueError, match=r"Sparse params at indices \[\[1, 0\]\]: SparseAdam requires dense"):
        optim.SparseAdam([{"params": p}, {"params": iter([wrap(start).to_sparse()])}])
    assert len(optim.SparseAdam([{"params": iter([p])}]).param_groups[0]["params"]) == 1


def test_sparse_adam_as_pytorch():
    torch = pytest.importorskip("torch")
    import minitorch

    def run(lib):
        lib.manual_seed(0)
        table = lib.nn.Embedding(5, 2, sparse=True)
        optimizer = lib.optim.SparseAdam(table.parameters(), lr=0.1)
        for used in ([1, 3, 0], [1, 3, 1], [2, 3, 3]):
            optimizer.zero_grad()
            table(lib.tensor(used)).pow(2).sum().backward()
            optimizer.step()
        return table.weight.detach().numpy(), repr(optimizer)

    ours, theirs = run(minitorch), run(torch)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    assert ours[1] == theirs[1]
