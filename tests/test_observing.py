"""`around_ops` and `around_gradients`: what tools put around a program, together, in any order and in any thread."""
from __future__ import annotations

import textwrap
import threading

import pytest

import minitorch as mt
from minitorch import engine, nn
from minitorch.engine import around_gradients, mode
from minitorch.observing import around_ops
from minitorch.op import OPS
from minitorch.utils.flop_counter import FlopCounterMode


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert all(op.running_body is op.own_body for op in OPS.values())
    assert engine.gradients == mode.notes == () and engine.profiling is None
    assert not mode.anomaly and not mode.check_nan


def written(to, label):
    """An observer of ops, and one of gradients, that write down what they see."""
    def op(op, body, k, arguments, options):
        to.append(f"{label} {op.name}")
        return body(k, *arguments, **options)

    def gradient(node, function, i, arguments):
        to.append(f"{label} d{node.op.name}{i}")
        return function(*arguments)

    return around_ops(op), around_gradients(gradient)


def test_the_last_is_outermost_and_they_end_in_any_order():
    seen = []
    x = mt.ones(2, requires_grad=True)
    (a, da), (b, db) = written(seen, "a"), written(seen, "b")
    for tool in (a, da, b, db):
        tool.__enter__()
    y = (2 * x).sum()
    for tool in (a, da):
        tool.__exit__()
    y.backward()
    for tool in (b, db):
        tool.__exit__()
    (2 * x).sum().backward()
    assert seen == ["b mul", "a mul", "b sum", "a sum", "b dsum0", "b dmul0"]


def test_an_error_in_an_observer_leaves_ops_as_they_were():
    def fail(op, body, k, arguments, options):
        raise KeyError(op.name)

    with pytest.raises(KeyError, match="exp"), around_ops(fail):
        mt.ones(1).exp()
    assert mt.zeros(1).exp().item() == 1


@pytest.mark.parametrize("everywhere", [False, True])
def test_other_threads(everywhere):
    ops, gradients = [], []
    x = mt.ones(2, requires_grad=True)

    def see_op(op, body, k, arguments, options):
        ops.append(op.name)
        return body(k, *arguments, **options)

    def see_gradient(node, function, i, arguments):
        gradients.append(node.op.name)
        return function(*arguments)

    with around_ops(see_op, everywhere), around_gradients(see_gradient, everywhere):
        thread = threading.Thread(target=lambda: x.exp().sum().backward())
        thread.start()
        thread.join()
    assert (ops, gradients) == ((["exp", "sum"], ["sum", "exp"]) if everywhere else ([], []))


def test_threads_that_begin_and_end_tools_at_once():
    def work():
        for _ in range(10):
            with mt.debug.anomaly():
                mt.ones(2, requires_grad=True).exp().sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_anomaly_modes_end_in_any_order():
    first, second = mt.debug.anomaly(), mt.debug.anomaly("nan")
    first.__enter__()
    second.__enter__()
    first.__exit__()
    with pytest.raises(FloatingPointError, match="exp made inf"):
        mt.full((1,), 100.0).exp()
    second.__exit__()
    assert mt.full((1,), 100.0).exp().item() == float("inf")


def test_counters_within_a_profile_count_all():
    weight, x = mt.ones(4, 4, requires_grad=True), mt.ones(3, 4)
    with mt.profiler.profile() as p, FlopCounterMode(display=False) as inner:
        (x @ weight).sum().backward()
    with FlopCounterMode(display=False) as outer, mt.profiler.profile():
        (x @ weight).sum().backward()
        found = mt.summary(nn.Linear(3, 4), input_size=(2, 3))
    assert inner.get_total_flops() == 2 * 2 * 3 * 4 * 4 and found.multiply_adds == 24
    assert outer.get_flop_counts()["Global"]["aten.mm"] == 2 * 2 * 3 * 4 * 4
    assert [event.name for event in p.events()] == ["aten::matmul", "aten::sum", "SumBackward0", "MmBackward0"]


def test_counters_see_what_a_compiled_function_does():
    weight, x = mt.ones(4, 4, requires_grad=True), mt.ones(3, 4)
    step = mt.compile(lambda x: (x @ weight).sum())
    for _ in range(3):
        step(x).backward()
    with FlopCounterMode(display=False) as counter:
        step(x).backward()
    assert counter.get_total_flops() == 2 * 2 * 3 * 4 * 4


def test_the_first_autocast_within_a_profile(run_python):
    """It puts casts before the bodies: below all tools, which see them before and after."""
    assert run_python(textwrap.dedent("""
        import minitorch as mt
        from minitorch.op import OPS
        with mt.profiler.profile() as p, mt.autograd.profiler.record_function("block"):
            with mt.autocast("cpu", dtype=mt.bfloat16):
                y = mt.ones(2, 2) @ mt.ones(2, 2)
            z = mt.ones(2, 2) @ mt.ones(2, 2)
        print(y.dtype, z.dtype, [event.name for event in p.events()])
        print(OPS["matmul"].running_body is OPS["matmul"].own_body is not OPS["matmul"].body)
    """)).split("\n")[:2] == ["torch.bfloat16 torch.float32 ['block', 'aten::matmul', 'aten::matmul']", "True"]
