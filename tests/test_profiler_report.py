"""`profile().report()`, `.kernels()` and the trace: times, memory and FLOPs by op and module, and what stays behind."""
import gzip
import json
import threading
import time

import numpy as np
import pytest
from minitorch_kernels import table
from minitorch_kernels.limits import PATTERNS, SIZES, Limits

import minitorch as mt
from minitorch import engine, nn
from minitorch.device import cpu_kernels
from minitorch.nn import hooks
from minitorch.op import OPS
from minitorch.profiler import profile, record_function, report


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """One that does 1 operation a nanosecond, and moves 10 bytes in it; so that none need be measured."""
    found = Limits({"float32": 1e9, "float64": 1e9}, {pattern: [1e10] * len(SIZES) for pattern in PATTERNS})
    monkeypatch.setattr(report, "limits_of", lambda study: found)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 5, bias=False)
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(5, 5, bias=False), nn.Tanh()) for _ in range(2)])

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return x


def profiled(n=7, steps=1, **options):
    model, x = Net(), mt.randn(n, 6)
    with profile(**options) as prof:
        for _ in range(steps):
            model(x).sum().backward()
    return prof


def rows(table):
    return {row.name: row for row in table}


def state():
    """Everything that a profile changes while it runs."""
    mt.ones(2) @ mt.ones(2)
    return (engine.profiling, table._observer, engine.mode.notes, dict(hooks.everywhere["before"]),
            dict(hooks.everywhere["after"]), {name: op.running_body for name, op in OPS.items()},
            cpu_kernels.matmul.__code__, nn.Module.__call__, mt.Tensor.backward, engine.run)


def test_off_it_is_not_there():
    before = state()
    with profile():
        assert state()[5]["matmul"] is not before[5]["matmul"] and state()[6] is not before[6]
    assert state() == before
    with pytest.raises(ZeroDivisionError), profile():
        raise ZeroDivisionError
    assert state() == before


def test_the_rows_add_up_to_the_whole():
    prof = profiled(steps=3)
    found = prof.report()
    assert sum(row.time for row in found.ops) == pytest.approx(prof._study.length, rel=1e-6)
    linear = rows(found.ops)["linear"]
    assert linear.calls == 9 and linear.forward > 0 < linear.backward
    assert linear.time == linear.forward + linear.backward
    assert linear.kernels and sum(linear.kernels.values()) == pytest.approx(linear.in_kernels)
    assert 0 < linear.in_kernels <= linear.time
    assert sum(row.share for row in found.ops) == pytest.approx(1)
    top, *_, outside = found.modules
    assert top.name == "Net" and top.time + outside.time == pytest.approx(found.time)
    assert outside.forward == pytest.approx(rows(found.ops)["sum"].forward)
    for row in found.modules[:-1]:
        parts = [r for r in found.modules if r.name.rpartition(".")[0] == row.name]
        assert row.time == pytest.approx(row.self_time + sum(r.time for r in parts))


def test_gradients_count_with_the_module_that_made_them_necessary():
    prof = profiled(n=7)
    found = rows(prof.report().modules)
    assert list(found) == ["Net", "Net.first", "Net.blocks", "Net.blocks.0", "Net.blocks.0.0", "Net.blocks.0.1",
                           "Net.blocks.1", "Net.blocks.1.0", "Net.blocks.1.1", "outside of modules"]
    assert found["Net.first"].flops == 2 * (2 * 7 * 6 * 5)  # itself, and its weight's gradient; x needs none
    assert found["Net.blocks.0.0"].flops == 3 * (2 * 7 * 5 * 5)
    assert found["Net.blocks"].flops == sum(found[f"Net.blocks.{i}"].flops for i in (0, 1))
    assert found["Net.blocks.1.1"].backward > 0 and found["Net.blocks.0.1"].kind == "Tanh"
    assert [found[name].calls for name in ("Net", "Net.blocks", "Net.blocks.1")] == [1, 0, 1]


def test_depth_rows_and_sort():
    prof = profiled()
    assert [row.name for row in prof.report(depth=2).modules] == ["Net", "Net.first", "Net.blocks",
                                                                  "outside of modules"]
    text = str(prof.report(rows=1))
    assert "... 2 more rows" in text and "outside of ops" in text and max(map(len, text.splitlines())) <= 100
    assert [row.name for row in prof.report(sort="name").ops][:3] == ["linear", "sum", "tanh"]
    by_memory = [row.made for row in prof.report(sort="memory").ops[:3]]
    assert by_memory == sorted(by_memory, reverse=True) != [0, 0, 0]
    assert str(prof) == str(prof.report())
    with pytest.raises(ValueError, match="sort expects one of time, forward"):
        prof.report(sort="cuda")
    with pytest.raises(AssertionError, match="recorded"):
        profile().report()
    assert "nothing" in str(profile())


@pytest.mark.parametrize("n", [256, 1 << 18])  # small, and from the pool of large buffers
def test_memory_made_and_at_the_peak(n):
    x = mt.ones(n)
    with profile() as prof:
        y = x * 2
        z = y + 1
        del y
        w, v = z.view(2, -1), x.view(2, -1)
        z = w.exp()
        del w, v, z
    found, size = prof.report(), 4 * n
    ops = rows(found.ops)
    assert (ops["mul"].made, ops["add"].made, ops["view"].made, ops["exp"].made) == (size, size, 0, size)
    assert found.peak == 2 * size
    assert ops["mul"].at_peak + ops["add"].at_peak + ops["exp"].at_peak == 2 * size
    series = prof._study.memory_made.series()
    assert max(total for _, total in series) == 2 * size and series[-1][1] == 0


def test_what_is_kept_for_backward_is_memory():
    x = mt.ones(64, 64, requires_grad=True)
    with profile() as prof:
        y = nn.functional.max_pool2d(x.reshape(1, 1, 64, 64), 2)
    made = next(row for row in prof.report().ops if "pool" in row.name).made
    assert made > y._array.nbytes  # the places of the maxima


def test_kernels_by_version_and_shape():
    a, b = mt.ones(3, 4), mt.ones(4, 5)
    with profile() as prof:
        for _ in range(2):
            a @ b
        with mt.use("reference"):
            a @ b
        b @ mt.ones(5, 2).double().float()
    found = {(row.name, row.version, row.shapes): row for row in prof.kernels() if row.name == "matmul"}
    fast, = [row for (_, version, shapes), row in found.items() if version != "reference" and shapes == "3x4 4x5"]
    slow = found["matmul", "reference", "3x4 4x5"]
    assert (fast.calls, slow.calls, len(found)) == (2, 1, 3)
    assert fast.flops == 2 * 2 * 3 * 4 * 5 and fast.moved == 2 * 4 * (12 + 20 + 15)
    assert fast.limit == pytest.approx(2 * 120e-9 / fast.time) and fast.bound == "arithmetic"
    text = str(prof.kernels(rows=1))
    assert "... 4 more rows" in text or "more row" in text
    assert max(map(len, text.splitlines())) <= 100
    with pytest.raises(ValueError, match="kernels: sort expects"):
        prof.kernels(sort="flops")


def test_a_kernel_within_another_counts_once():
    with profile() as prof:
        run = prof._recording.kernel
        run("outer", "numpy", lambda: run("inner", "numpy", time.sleep, (0.02,), {}), (), {})
    inner, outer = (next(row for row in prof.kernels() if row.name == name) for name in ("inner", "outer"))
    assert inner.time > 0.019 > outer.time and rows(prof.report().ops)["kernels between ops"].calls == 2


def test_without_limits_nothing_is_said_of_them(monkeypatch):
    monkeypatch.setattr(report, "limits_of", lambda study: None)
    prof = profiled()
    assert all(row.limit is None for row in [*prof.report().ops, *prof.kernels()]) and "GFLOP/s (" not in str(prof)


def test_optimizer_and_data_loading_have_rows():
    model = nn.Linear(4, 1)
    opt = mt.optim.Adam(model.parameters())
    data = mt.utils.data.TensorDataset(mt.randn(8, 4), mt.randn(8, 1))
    with profile() as prof:
        for x, y in mt.utils.data.DataLoader(data, batch_size=4):
            nn.functional.mse_loss(model(x), y).backward()
            opt.step()
    found = rows(prof.report().ops)
    assert found["Adam.step"].calls == 2 and found["Adam.step"].kernels and found["data loading"].time > 0


def test_an_error_in_an_op_leaves_the_profile_usable():
    with profile() as prof:
        with pytest.raises(RuntimeError):
            mt.ones(2, 3) @ mt.ones(2, 3)
        with pytest.raises(RuntimeError, match="already"), profile():
            pass
        with pytest.raises(RuntimeError, match="watched"), table.watch(print):
            pass
        with pytest.raises(KeyError), record_function("part"):
            nn.Sequential(nn.Identity(), Raising())(mt.ones(1))
        mt.ones(2, 3) @ mt.ones(3, 2)
    assert rows(prof.report().ops)["matmul"].calls == 2
    assert all(event.cpu_parent is None or event.cpu_parent.name == "part" for event in prof.events())
    with table.watch(lambda name, version, run, args, options: run(*args, **options)), \
            pytest.raises(RuntimeError, match="watched"), profile():
        pass
    assert engine.profiling is None


class Raising(nn.Module):
    def forward(self, x):
        raise KeyError("x")


def test_ops_of_several_threads():
    models = [nn.Sequential(nn.Linear(4, 4, bias=False)), nn.Linear(4, 3), nn.Bilinear(4, 4, 2)]
    inputs = [(mt.ones(2, 4),), (mt.ones(2, 4),), (mt.ones(2, 4), mt.ones(2, 4))]
    turn = threading.Barrier(3)

    def work(model, given):
        for _ in range(20):
            turn.wait()
            model(*given).sum().backward()

    threads = [threading.Thread(target=work, args=pair) for pair in zip(models, inputs)]
    with profile() as prof:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = prof.report()
    calls = {row.name: row.calls for row in found.modules}
    assert calls == {"Sequential": 20, "Sequential.0": 20, "Linear": 20, "Bilinear": 20, "outside of modules": 0}
    assert rows(found.ops)["sum"].calls == 60 and "3 Python threads" in str(found)
    assert rows(found.modules)["Sequential.0"].flops == 20 * 2 * (2 * 2 * 4 * 4)
    mt.ones(1, requires_grad=True) * 2
    assert engine.mode.notes == ()


def test_compiled_steps_show_the_kernels_that_they_replay():
    model, x = nn.Sequential(nn.Linear(300, 40), nn.ReLU(), nn.Linear(40, 2)), mt.randn(8, 300)
    opt = mt.optim.SGD(model.parameters(), lr=0.1)

    @mt.compile
    def step(x):
        opt.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        opt.step()
        return loss

    with profile() as before:
        step(x)
    assert "ran eagerly" in str(before) and rows(before.report().ops)["linear"].calls == 2
    losses = [step(x).item() for _ in range(3)]
    with profile() as prof, record_function("part"):
        losses.append(step(x).item())
    losses.append(step(x).item())
    assert losses == sorted(losses, reverse=True) and len(set(losses)) == 5 and step.replays == 3
    found = rows(prof.report().ops)
    assert found["compiled step"].calls == 1 and found["SGD.step"].calls == 1 and "linear" not in found
    assert {"linear_relu", "matmul"} <= {row.name for row in prof.kernels()}
    assert all(row.version in ("blas", "numba", "numpy", "reference", "pooled", "wide", "compiled")
               for row in prof.kernels() if row.name in ("linear_relu", "matmul"))
    assert "compiled step: replayed" in str(prof)


def test_compiled_models_show_their_backward():
    model, x = nn.Sequential(nn.Linear(30, 20), nn.Tanh()), mt.randn(8, 30)
    compiled = mt.compile(model)
    for _ in range(3):
        compiled(x).sum().backward()
    expected = model[0].weight.grad / 3
    model.zero_grad()
    with profile() as prof:
        compiled(x).sum().backward()
    np.testing.assert_allclose(model[0].weight.grad.numpy(), expected.numpy(), rtol=1e-5)
    assert any(row.name == "matmul" and row.backward > 0 for row in prof.kernels())


def test_second_derivatives_and_checkpoints():
    x, model = mt.ones(3, 4, requires_grad=True), nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    with profile() as prof:
        y = mt.utils.checkpoint.checkpoint(model, x, use_reentrant=False)
        y.sum().backward()
        dx, = mt.autograd.grad(model(x).pow(2).sum(), x, create_graph=True)
        dx.sum().backward()
    found = prof.report()
    assert rows(found.modules)["Sequential.0"].backward > 0 and rows(found.modules)["Sequential"].calls >= 2
    assert sum(row.time for row in found.ops) == pytest.approx(prof._study.length, rel=1e-6)


# The trace, after Google's document "Trace Event Format"

def test_the_trace_keeps_to_the_format(tmp_path):
    prof = profiled(steps=2)
    for name in ("trace.json", "trace.json.gz"):
        prof.export_chrome_trace(str(tmp_path / name))
    found = json.loads((tmp_path / "trace.json").read_text())
    assert found == json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))
    assert found["displayTimeUnit"] in ("ms", "ns")
    last = 0.0
    for event in found["traceEvents"]:
        assert event["ph"] in "XsfCM" and isinstance(event["name"], str)
        assert type(event["pid"]) is int and type(event["tid"]) is int and event["tid"] < 2 ** 53
        assert type(event["ts"]) in (int, float) and event["ts"] >= last  # sorted
        last = event["ts"]
        if event["ph"] == "X":
            assert event["dur"] >= 0 and isinstance(event["args"], dict)
        if event["ph"] in "sf":
            assert event["cat"] and type(event["id"]) is int
        if event["ph"] == "C":
            assert all(type(value) is int for value in event["args"].values())
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name") and isinstance(event["args"]["name"], str)


def test_modules_hold_ops_and_ops_hold_kernels():
    model, x = Net(), mt.randn(7, 6)
    with profile() as prof:
        outputs = [model(x) for _ in range(2)]
        with record_function("part"):
            outputs[0].backward(mt.ones(7, 5))
        outputs[1].backward(mt.ones(7, 5))  # directly after it, of the same module, yet not within the block
        model(x).sum().backward()
    events = [e for e in trace_of(prof) if e["ph"] == "X"]
    assert sum(e["name"] == "nn.Module: Net (backward)" for e in events) == 3
    running, held = [], set()
    for event in events:
        while running and event["ts"] >= running[-1]["ts"] + running[-1]["dur"]:
            running.pop()
        if running:
            assert event["ts"] + event["dur"] <= running[-1]["ts"] + running[-1]["dur"]  # never half in another
            held.add((running[-1]["name"], event["name"]))
        running.append(event)
    assert {("nn.Module: Net", "nn.Module: Net.first"), ("nn.Module: Net.first", "aten::linear"),
            ("aten::linear", "linear"), ("TanhBackward0", "tanh_dx"),
            ("nn.Module: Net.blocks (backward)", "nn.Module: Net.blocks.1 (backward)"),
            ("nn.Module: Net.blocks.1.1 (backward)", "TanhBackward0")} <= held
    backward = [e for e in events if e["name"] == "TanhBackward0"]
    assert {e["args"]["module"] for e in backward} == {"Net.blocks.0.1", "Net.blocks.1.1"}


def test_arrows_lead_from_each_op_to_its_gradients():
    events = trace_of(profiled())
    slices = [e for e in events if e["ph"] == "X"]
    starts, ends = ({e["id"]: e for e in events if e["ph"] == kind} for kind in "sf")
    assert starts.keys() == ends.keys() and len(starts) > 5
    pairs = set()
    for number, start in starts.items():
        end = ends[number]
        assert start["ts"] < end["ts"] and end["bp"] == "e"
        assert (start["name"], start["cat"]) == (end["name"], end["cat"])
        pairs.add(tuple(next(e["name"] for e in slices if e["ts"] == moment["ts"] and e["cat"] == "cpu_op")
                        for moment in (start, end)))
    assert pairs == {("aten::linear", "MmBackward0"), ("aten::tanh", "TanhBackward0"), ("aten::sum", "SumBackward0")}


def trace_of(prof):
    return report_trace(prof)["traceEvents"]


def report_trace(prof):
    from minitorch.profiler.trace import trace

    return json.loads(json.dumps(trace(prof._study)))
