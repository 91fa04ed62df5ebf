"""`torch.profiler` and `torch.autograd.profiler`: which events there are, their sums, files, and what stays behind."""
import gzip
import json

import pytest
from minitorch_kernels import table

import minitorch as mt
from minitorch import nn
from minitorch.op import OPS
from minitorch.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)


def step(prof=None):
    x = mt.ones(3, 2, requires_grad=True)
    with record_function("forward"):
        loss = (x @ mt.ones(2, 4)).exp().sum()
    loss.backward()
    return x


def test_events_are_nested_and_add_up():
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True, profile_memory=True, with_stack=True,
                 with_flops=True) as prof:
        step()
    sums = {event.key: event for event in prof.key_averages()}
    forward, product = sums["forward"], sums["aten::matmul"]
    assert {"aten::exp", "aten::sum", "SumBackward0", "ExpBackward0", "MmBackward0"} <= sums.keys()
    inside = [e for e in prof.events() if e.cpu_parent is not None and e.cpu_parent.name == "forward"]
    assert forward.cpu_time_total == pytest.approx(
        forward.self_cpu_time_total + sum(e.cpu_time_total for e in inside))
    assert product.flops == 2 * 3 * 2 * 4 and product.self_cpu_memory_usage == 3 * 4 * 4
    event, = [e for e in prof.events() if e.name == product.key]
    assert product.count == 1 and event.input_shapes == [[3, 2], [2, 4]]
    assert any("test_profiler.py" in line for line in inside[0].stack)
    total = prof.key_averages().self_cpu_time_total
    assert total == pytest.approx(sum(e.cpu_time_total for e in prof.events() if e.cpu_parent is None))


def test_nothing_stays_behind():
    before = {name: op.running_body for name, op in OPS.items()}
    with profile() as prof, pytest.raises(RuntimeError, match="already"), profile():
        pass
    n = len(prof.events())
    step()
    assert len(prof.events()) == n and all(OPS[name].running_body is body for name, body in before.items())


def test_autocast_that_begins_within_a_profile_still_casts_after_it():
    with profile() as prof, mt.autocast("cpu", mt.bfloat16):
        mt.ones(2, 2) @ mt.ones(2, 2)
    assert [e.key for e in prof.events() if "matmul" in e.key] == ["aten::matmul"]
    with mt.autocast("cpu", mt.bfloat16):
        with profile() as prof:
            y = mt.ones(2, 2) @ mt.ones(2, 2)
        z = mt.ones(2, 2) @ mt.ones(2, 2)
    assert y.dtype is z.dtype is mt.bfloat16 and any(e.key == "aten::matmul" for e in prof.events())


def test_the_optimizer_and_steps_are_events(tmp_path):
    p = nn.Parameter(mt.ones(2))
    p.grad = mt.ones(2)
    opt = mt.optim.SGD([p], lr=0.5)
    seen = []
    plan = schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    with profile(schedule=plan, on_trace_ready=lambda prof: seen.append(
            (prof.step_num, [(e.key, e.count) for e in prof.key_averages() if "tep" in e.key]))) as prof:
        for _ in range(12):
            opt.step()
            prof.step()
    assert seen == [(n, [("ProfilerStep*", 2), ("Optimizer.step#SGD.step", 2)]) for n in (5, 9)]


@pytest.mark.parametrize("plan", [dict(wait=1, warmup=1, active=2), dict(wait=0, warmup=1, active=1, repeat=2),
                                  dict(wait=2, warmup=0, active=3, repeat=1, skip_first=2),
                                  dict(wait=2, warmup=1, active=1, skip_first=1, skip_first_wait=1)])
def test_schedules_are_pytorchs(plan):
    theirs = pytest.importorskip("torch.profiler")
    ours, other = schedule(**plan), theirs.schedule(**plan)
    assert [ours(n).name for n in range(20)] == [other(n).name for n in range(20)]
    with pytest.raises(AssertionError):
        schedule(wait=1, warmup=1, active=0)


def test_a_schedule_in_closed_form():
    plan = schedule(wait=1, warmup=1, active=2, repeat=1, skip_first=1)
    expected = ["NONE", "NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE", "NONE"]
    assert [plan(n) for n in range(7)] == [ProfilerAction[name] for name in expected]


def test_tables_and_files(tmp_path):
    with profile(record_shapes=True, with_stack=True, profile_memory=True,
                 on_trace_ready=tensorboard_trace_handler(str(tmp_path / "log"), use_gzip=True)) as prof:
        step()
    table = prof.key_averages(group_by_input_shape=True).table(sort_by="self_cpu_time_total", row_limit=2)
    lines = table.splitlines()
    assert lines[1].split("  ")[0].strip() == "" and "Self CPU %" in lines[1] and "CPU Mem" in lines[1]
    assert len(lines) == 7 and lines[-1].startswith("Self CPU time total: ") and "Input Shapes" in lines[1]
    assert prof.key_averages().table(sort_by="cuda_time_total", header="H").splitlines()[1] == "H"
    file, = (tmp_path / "log").iterdir()
    assert file.name.endswith(".pt.trace.json.gz")
    trace = json.loads(gzip.decompress(file.read_bytes()))
    event = next(e for e in trace["traceEvents"] if e["name"] == "aten::exp")
    assert event["ph"] == "X" and event["dur"] > 0 and event["args"] == {"Input Dims": [[3, 4]]}
    prof.export_stacks(str(tmp_path / "stacks"), "self_cpu_time_total")
    assert "test_profiler.py" in (tmp_path / "stacks").read_text()
    with pytest.raises(ValueError, match="metric"):
        prof.export_stacks(str(tmp_path / "stacks"), "time")
    with pytest.raises(AssertionError, match="recorded"):
        profile().key_averages()


def test_the_older_interface():
    autograd = mt.autograd.profiler
    with autograd.profile(enabled=False) as off:
        step()
    assert off.function_events is None
    with autograd.profile(profile_memory=True) as prof:
        step()
    assert prof.total_average().count == len(prof.function_events) and "aten::exp" in str(prof)
    assert prof.key_averages().table(sort_by="self_cpu_memory_usage", row_limit=1).count("\n") == 6
    with autograd.emit_nvtx(enabled=False):
        pass
    with pytest.raises(RuntimeError, match=r"profiler\.profile"), autograd.emit_nvtx():
        pass
    assert autograd.FunctionEvent.__name__ == "FunctionEvent"


def test_record_function_decorates():
    @record_function("f")
    def f(n):
        return f(n - 1) + 1 if n else mt.zeros(1)

    with profile() as prof:
        f(2)
    assert {e.key: e.count for e in prof.key_averages()}["f"] == 3


def test_a_first_run_is_named(monkeypatch):
    """What is loaded or compiled within a profile counts as the kernel's time, and is said."""
    version = table.get("softmax").versions[0]
    monkeypatch.setattr(version, "run", version._first_run)
    x = mt.ones(64, 64)
    with mt.profiler.profile() as p:
        x.softmax(1)
    assert "loaded or compiled while it was timed" in str(p.report(roofline=False))
