"""A recorded step runs again from its file: the same bits, the same error, on any backend, in another process."""
from __future__ import annotations

import json

import pytest

import minitorch as mt
from minitorch import engine, nn
from minitorch.errors import CheckpointError, ShapeError
from minitorch.op import OPS

F = nn.functional


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "step.mt")


@pytest.fixture(autouse=True)
def nothing_is_left():
    with mt.autocast("cpu"):  # the first one puts casts before some bodies, for good
        pass
    before, run = {name: op.running_body for name, op in OPS.items()}, engine.run
    yield
    assert {name: op.running_body for name, op in OPS.items()} == before and engine.run is run
    assert engine.mode.notes == engine.gradients == ()


def training():
    mt.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Dropout(0.3), nn.Linear(18, 5))
    optimizer = mt.optim.Adam(model.parameters(), lr=0.01)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step, mt.randn(3, 1, 8, 8), mt.tensor([0, 4, 2])


def test_a_training_step_gives_the_same_bits(path):
    model, _, step, x, y = training()
    step(x, y)
    start = {name: t.clone() for name, t in model.state_dict().items()}
    loss = mt.debug.save_step(path, step, x, y)
    found = mt.debug.replay(path)
    assert found and found.exact and found.compared > 15 and found.error is None
    assert "bit for bit" in repr(found)
    for name, p in model.named_parameters():
        assert (found.gradients[f"model.{name}"] == p.grad).all()
    last = found.content["steps"][-2]
    assert last["op"] == "cross_entropy_classes" and found.tensors[last["out"][0]].item() == loss.item()
    saved = mt.load(path)  # a file like others, with the state at the start
    assert all((saved["state"]["model"][name] == t).all() for name, t in start.items())
    assert len(saved["state"]["optimizer"]["state"]) == 6
    assert saved["versions"]["minitorch"] == mt.__version__ and saved["machine"]["threads"] > 0


def test_on_another_backend(path):
    _, _, step, x, y = training()
    mt.debug.save_step(path, step, x, y)
    for backend in ("reference", "numba", {"conv2d": "reference"}):
        assert mt.debug.replay(path, backend), backend
    assert "replayed on reference" in " ".join(repr(mt.debug.replay(path, "reference")).split())


def test_in_another_process(path, run_python):
    _, _, step, x, y = training()
    mt.debug.save_step(path, step, x, y)
    found = json.loads(run_python("import minitorch as mt, json\n"
                                  f"r = mt.debug.replay({path!r})\n"
                                  "print(json.dumps([bool(r), r.exact, r.compared]))"))
    assert found[:2] == [True, True] and found[2] > 15


def test_the_graph_can_be_read(path):
    _, _, step, x, y = training()
    mt.debug.save_step(path, step, x, y)
    lines = mt.debug.replay(path).graph().split("\n")
    assert "(3, 2, 6, 6) float32 = conv2d(%" in lines[0] and "in model.0:" in lines[0]
    assert "test_debug_replay.py:" in lines[0] and lines[-1].split()[1:3] == ["backward", "from"]


def test_a_broken_kernel_is_found_in_the_file(path):
    import numpy as np
    from minitorch_kernels import table

    _, _, step, x, y = training()
    mt.debug.save_step(path, step, x, y)
    for name, where in (("batch_norm", "batch_norm, step 2"), ("conv2d_dw", "conv2d, step 0")):
        kernel = table.get(name)

        def bad(*a, kernel=kernel, **o):
            y = kernel.reference(np, *a, **o)
            return (y[0] + 1, *y[1:]) if isinstance(y, tuple) else y + 1

        kernel.version("broken", "cpu", bad, backend="numpy")
        try:
            found = mt.debug.replay(path, {name: "broken"})
            assert not found and found.first.startswith(where)
            assert ("backward for weight" in found.first) == (name == "conv2d_dw")
        finally:
            kernel.versions.pop()


def test_an_error_of_an_op_comes_again(path):
    x, w = mt.randn(2, 3), mt.randn(2, 3, requires_grad=True)
    with pytest.raises(ShapeError):
        mt.debug.save_step(path, lambda: (w * 2) @ x)
    found = mt.debug.replay(path)
    assert found and isinstance(found.error, ShapeError) and "the same error came: ShapeError: matmul" in repr(found)
    assert found.expected["op"] == "matmul" and "in save_step" in found.expected["traceback"]


@pytest.mark.parametrize("watch", [mt.autograd.detect_anomaly, mt.debug.anomaly])
def test_a_nan_comes_again(path, watch):
    w = mt.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError), watch(), mt.debug.recorder(path):
        (w.sqrt() * 0).sum().backward()
    found = mt.debug.replay(path)
    assert found and found.same_error and "the same error came: NonFiniteError" in repr(found)
    with pytest.raises(RuntimeError), mt.debug.anomaly(), mt.debug.recorder(path):
        w.log()
    assert "in log, step 0" in repr(mt.debug.replay(path))


def test_an_error_of_the_program_is_told_apart(path):
    x = mt.ones(2)
    with pytest.raises(KeyError):
        mt.debug.save_step(path, lambda: {}[str((x + 1).sum())])
    found = mt.debug.replay(path)
    assert not found and found.exact and found.steps >= 2
    assert "raised by the program, between the ops" in repr(found) and "Traceback" in repr(found)


def test_the_recorder_writes_only_failures(path, tmp_path):
    with mt.debug.recorder(path):
        mt.ones(2).exp()
    assert not (tmp_path / "step.mt").exists()
    with mt.debug.recorder(path, always=True):
        mt.ones(2).exp()
    assert mt.debug.replay(path)
    with pytest.raises(KeyboardInterrupt), mt.debug.recorder(str(tmp_path / "other")):
        raise KeyboardInterrupt
    assert not (tmp_path / "other").exists()


def test_many_kinds_of_ops(path):
    mt.manual_seed(0)
    w = mt.randn(4, 2, requires_grad=True)
    layer, gru = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.GRU(3, 4)

    def fn():
        a, b = w.split(2)
        c = mt.cat([a, b.flip(0)])[mt.tensor([0, 3, 1]), :]
        values, _ = c.sort(1, descending=True)
        d = values.relu_().t().contiguous()
        d.mul_(2)
        e = layer(mt.randn(2, 3, 4)).pow(2).mean() + gru(mt.randn(5, 1, 3))[0].mean()
        loss = (d @ w[:3]).sum() + e + mt.einsum("ij,ij->", w, w) + mt.where(w > 0, w, w.exp()).to(mt.float64).sum()
        loss.backward()
        w.grad.add_(1)
        (w ** 2).sum().backward()  # a second one
        return mt.autograd.grad((w ** 3).sum(), [w])

    mt.debug.save_step(path, fn)
    found = mt.debug.replay(path)
    assert found and found.exact and found.compared > 80 and found.content["missing"] == []


def test_modes_are_part_of_it(path):
    pytest.importorskip("ml_dtypes", reason="bfloat16 needs it")
    model, _, _, x, y = training()

    def fn():
        with mt.autocast("cpu", dtype=mt.bfloat16):
            loss = F.cross_entropy(model(x), y)
        loss.backward()
        with mt.no_grad():
            return model(x)

    with mt.use("reference"):
        mt.debug.save_step(path, fn)
    assert mt.debug.replay(path).exact
    mt.set_default_dtype(mt.float64)
    try:
        mt.debug.save_step(path, lambda: mt.ones(3, dtype=mt.int64) / 2)
    finally:
        mt.set_default_dtype(mt.float32)
    assert mt.debug.replay(path) and mt.get_default_dtype() is mt.float32


def test_what_is_not_repeated_is_said(path):
    class Cube(mt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x ** 3

        @staticmethod
        def backward(ctx, dy):
            return dy * 3 * ctx.saved_tensors[0] ** 2

    w = mt.randn(4, requires_grad=True)

    def fn():
        h = Cube.apply(w * 2)
        g = h * 2
        g[0] = 0
        (g * w).sum().backward()

    mt.debug.save_step(path, fn)
    found = mt.debug.replay(path)
    assert found and "not repeated: Cube" in repr(found) and "not repeated: overwrite" in repr(found)


def test_random_state_and_values_stay(path):
    model, _, step, x, y = training()
    mt.debug.save_step(path, step, x, y)
    state, values = mt.get_rng_state(), [p.clone() for p in model.parameters()]
    mt.debug.replay(path)
    assert (mt.get_rng_state() == state).all()
    assert all((p == v).all() for p, v in zip(model.parameters(), values))


def test_other_files_are_refused(path):
    mt.save({"a": 1}, path)
    with pytest.raises(CheckpointError, match="is no recorded step"):
        mt.debug.replay(path)
    mt.debug.save_step(path, lambda: mt.ones(2).exp())
    content = mt.load(path)
    content["steps"][-1]["op"] = "from_the_future"
    mt.save(content, path)
    with pytest.raises(CheckpointError, match="has the op 'from_the_future'"):
        mt.debug.replay(path)


def test_what_checkpoint_computes_again_is_part_of_backward(tmp_path):
    body, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh()), mt.randn(2, 3)
    mt.debug.save_step(tmp_path / "step.mt", lambda: mt.utils.checkpoint.checkpoint(
        body, x, use_reentrant=False).sum().backward())
    found = mt.debug.replay(tmp_path / "step.mt")
    assert found and found.content["missing"] == [] and "bit for bit" in str(found)
