"""`bisect` finds a broken kernel version by op, direction and element, and lets rounding pass; nothing is touched."""
from __future__ import annotations

import random

import numpy as np
import pytest
from minitorch_kernels import table

import minitorch as mt
from minitorch import engine, nn
from minitorch.engine import mode
from minitorch.op import OPS

F = nn.functional


@pytest.fixture
def broken():
    """A function that enters a version "broken" of a kernel, made from its reference by a change of the result."""
    entered = []

    def enter(name, spoil):
        kernel = table.get(name)
        kernel.version("broken", "cpu", lambda *a, **o: spoil(kernel.reference(np, *a, **o)), backend="numpy")
        entered.append(kernel)

    yield enter
    for kernel in entered:
        kernel.versions.pop()


def one_off(result):
    y = np.array(result[0] if isinstance(result, tuple) else result)
    y.flat[y.size // 2] += 0.5
    return (y, *result[1:]) if isinstance(result, tuple) else y


def training():
    mt.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Dropout(0.3), nn.Linear(18, 5))
    optimizer = mt.optim.Adam(model.parameters(), lr=0.01)
    x, y = mt.randn(3, 1, 8, 8), mt.tensor([0, 4, 2])

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


@pytest.mark.parametrize("pair", [("auto", "reference"), ("reference", "auto"), ("numpy", "reference"),
                                  ({"matmul": "reference"}, "auto")], ids=str)
def test_good_kernels_agree(pair):
    found = mt.debug.bisect(training()[2], *pair)
    assert not found and "agree" in repr(found) and not found.parted
    assert found.calls > 10 and sum(found.compared.values()) > 0


BROKEN = {  # kernel: the op and the direction in which it is found, the module
    "conv2d": ("conv2d", "forward", "model.0"),
    "conv2d_dw": ("conv2d", "backward", "model.0"),
    "batch_norm": ("batch_norm_train", "forward", "model.1"),
    "batch_norm_backward": ("batch_norm_train", "backward", "model.1"),
    "linear": ("linear", "forward", "model.6"),
    "matmul": ("linear", "backward", "model.6"),
    "cross_entropy_dx": ("cross_entropy_classes", "backward", ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_kernel_is_found(name, broken):
    broken(name, one_off)
    found = mt.debug.bisect(training()[2], {name: "broken"}, "reference")
    assert found and found.kernel == name and found.versions == ("broken", "reference")
    assert (found.op, found.direction, found.module) == BROKEN[name]
    assert "test_debug_bisect.py:" in found.source
    assert found.difference == pytest.approx(0.5, rel=1e-3) and abs(found.pair[0] - found.pair[1]) > 0.4
    text = " ".join(repr(found).split())
    assert "broken is wrong" in text and f"kernel {name}, broken against reference" in text and "float32, " in text


def test_the_first_of_two_is_named(broken):
    broken("linear", one_off)
    broken("batch_norm", one_off)
    found = mt.debug.bisect(training()[2], {"linear": "broken", "batch_norm": "broken"}, "reference")
    assert found.kernel == "batch_norm" and list(found.compared) == []


def test_the_index_and_the_side_that_is_wrong(broken):
    broken("linear", one_off)
    x, w = mt.randn(4, 3), mt.randn(5, 3)
    for pair, wrong in (({"linear": "broken"}, "reference"), 0), (("reference", {"linear": "broken"}), 1):
        found = mt.debug.bisect(lambda: F.linear(x, w), *pair)
        assert found.index == (2, 0) and found.versions[wrong] == "broken" and "broken is wrong" in found.blame
        assert [a.shape for a in found.arguments[:2]] == [(4, 3), (5, 3)]
        assert (found.arguments[0] == x.numpy()).all() and "    w: (5, 3) float32" in repr(found)


def test_an_optimizer_step(broken):
    kernel = "adam_steps"

    def bad(*arguments, **options):
        table.get(kernel).reference(np, *arguments, **options)
        arguments[0][0].flat[0] += 1

    table.get(kernel).version("broken", "cpu", bad, backend="numpy")
    try:
        model, _, step = training()
        before = model[0].weight.clone()
        found = mt.debug.bisect(step, {kernel: "broken"}, "reference")
        assert found.kernel == kernel and found.direction == "outside of ops"
        assert (model[0].weight == before).all()
    finally:
        table.get(kernel).versions.pop()


def test_shapes_nans_and_errors_part(broken):
    x = mt.ones(2, 3)
    broken("exp", lambda y: y[:1])
    assert "broken gives (1, 3) float32, reference (2, 3) float32" in repr(
        mt.debug.bisect(lambda: x.exp(), {"exp": "broken"}, "reference"))
    broken("sin", lambda y: y.astype(np.float64))
    assert "broken gives (2, 3) float64, reference (2, 3) float32" in repr(
        mt.debug.bisect(lambda: x.sin(), {"sin": "broken"}, "reference"))
    broken("log", lambda y: np.full_like(y, np.nan))
    assert mt.debug.bisect(lambda: x.log(), {"log": "broken"}, "reference").parted
    broken("tanh", lambda y: 1 / 0)
    found = mt.debug.bisect(lambda: x.tanh(), {"tanh": "broken"}, "reference")
    assert found.reason == "broken raises ZeroDivisionError: division by zero"


def test_rounding_is_no_fault():
    """Sums in another order differ by more than the tolerance asked for, but both are as near to float64."""
    x, w = mt.randn(4, 2001), mt.randn(2001, 5)
    kernel = table.get("matmul")
    kernel.version("reversed", "cpu", lambda u, v: u[:, ::-1].copy() @ v[::-1].copy(), backend="numpy")
    try:
        found = mt.debug.bisect(lambda: x @ w, {"matmul": "reversed"}, "reference", rtol=1e-12)
        assert not found and "matmul differs by" in found.rounding[0] and "no fault" in repr(found)
    finally:
        kernel.versions.pop()


def test_rtol(broken):
    broken("exp", lambda y: y * np.float32(1 + 1e-3))
    x = mt.ones(3)
    assert mt.debug.bisect(lambda: x.exp(), {"exp": "broken"}, "reference")
    assert not mt.debug.bisect(lambda: x.exp(), {"exp": "broken"}, "reference", rtol=1e-2)


def test_nothing_is_touched(broken):
    broken("cross_entropy_dx", one_off)
    model, optimizer, step = training()
    step()
    kept = {name: t.clone() for name, t in model.state_dict().items()}
    grads = {name: (p.grad, p.grad.clone()) for name, p in model.named_parameters()}
    moments = {p: {k: v.clone() for k, v in s.items() if isinstance(v, mt.Tensor)} for p, s in optimizer.state.items()}
    state, python = mt.get_rng_state(), random.getstate()
    bodies, choice = {name: op.running_body for name, op in OPS.items()}, dict(table._choice)
    for first in ("auto", {"cross_entropy_dx": "broken"}):
        mt.debug.bisect(step, first, "reference")
        assert all((kept[name] == t).all() for name, t in model.state_dict().items())
        assert all(p.grad is grads[n][0] and (p.grad == grads[n][1]).all() for n, p in model.named_parameters())
        assert all((optimizer.state[p][k] == v).all() for p, s in moments.items() for k, v in s.items())
        assert (mt.get_rng_state() == state).all() and random.getstate() == python
        assert {name: op.running_body for name, op in OPS.items()} == bodies and table._choice == choice
        assert table._observer is None and mode.notes == engine.gradients == ()
    for _ in range(2):
        step()  # and it trains on


def test_gradients_that_were_added_to_come_back():
    w = mt.ones(3, requires_grad=True)
    w.grad = before = mt.full((3,), 2.0)
    mt.debug.bisect(lambda: (w * w.exp()).sum().backward(), "auto", "reference")
    assert w.grad is before and before.tolist() == [2.0] * 3 and w.tolist() == [1.0] * 3


def test_a_compiled_step_runs_op_by_op(broken):
    step = mt.compile(training()[2])
    for _ in range(4):
        step()
    broken("conv2d", one_off)
    assert mt.debug.bisect(step, {"conv2d": "broken"}, "reference").op == "conv2d"


def test_errors_of_the_program_come_through():
    with pytest.raises(KeyError):
        mt.debug.bisect(lambda: {}["x"])
    with pytest.raises(ValueError, match="use: backend expects"):
        mt.debug.bisect(lambda: None, "fast", "reference")
    with table.watch(lambda name, version, run, a, o: run(*a, **o)), pytest.raises(RuntimeError, match="watched"):
        mt.debug.bisect(lambda: None)


def test_what_is_no_function_or_no_choice_is_refused():
    with pytest.raises(TypeError, match="bisect: fn expects a function without arguments, got int"):
        mt.debug.bisect(3)
    with pytest.raises(TypeError, match="bisect: expects a backend's name or a dict of versions by kernel, got 3"):
        mt.debug.bisect(lambda: None, 3)


def test_modes_of_modules_are_put_back():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    model[1].eval()
    assert not mt.debug.bisect(lambda: model.eval().train()(mt.ones(1, 2)))
    assert [m.training for m in model.modules()] == [True, True, False]
