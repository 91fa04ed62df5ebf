"""Captured steps: a compiled step on the GPU does what the same step does eagerly, call by call."""
import copy
import warnings

import numpy as np
import pytest

import minitorch as mt
from minitorch import nn
from minitorch.nn import functional as F


@pytest.fixture(autouse=True)
def seeded(device):
    mt.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def mlp():
    return nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Dropout(0.25), nn.Linear(6, 2))


def cnn():
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(12, 2))


OPTIMIZERS = {
    "sgd": lambda p: mt.optim.SGD(p, lr=0.1),
    "momentum": lambda p: mt.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: mt.optim.Adam(p, lr=0.02),
    "adamw": lambda p: mt.optim.AdamW(p, lr=0.02),
    "nadam": lambda p: mt.optim.NAdam(p, lr=0.02),
}


def trained(build, optimizer, x, compiled, steps=5, schedule=True):
    """Losses of some steps, and the state of all that takes part."""
    mt.manual_seed(3)
    model = build().to("cuda")
    opt = OPTIMIZERS[optimizer](model.parameters())
    scheduler = mt.optim.lr_scheduler.StepLR(opt, 2, 0.5) if schedule else None

    def step(x, t):
        opt.zero_grad()
        loss = F.mse_loss(model(x), t)
        loss.backward()
        opt.step()
        if scheduler is not None:
            scheduler.step()
        return loss

    run = mt.compile(step, fullgraph=True) if compiled else step
    losses = []
    for i in range(steps):
        xi, ti = x * (1 + 0.1 * i), (mt.zeros(len(x), 2) + 0.1 * i).to("cuda")
        losses.append(run(xi, ti))
    if compiled:
        assert run.explain() == f"step: 1 recording, {steps - 2} replays"
    return [float(loss) for loss in losses], model, opt


def same(a, b):
    for (name, p), q in zip(a.state_dict().items(), b.state_dict().values()):
        np.testing.assert_array_equal(p.cpu().numpy(), q.cpu().numpy(), name)
    for p, q in zip(a.parameters(), b.parameters()):
        np.testing.assert_array_equal(p.grad.cpu().numpy(), q.grad.cpu().numpy())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_an_mlp(optimizer):
    x = mt.randn(4, 3).to("cuda")
    eager, compiled = (trained(mlp, optimizer, x, kind) for kind in (False, True))
    assert eager[0] == compiled[0]
    same(eager[1], compiled[1])
    assert [p._version for p in eager[1].parameters()] == [p._version for p in compiled[1].parameters()]
    before, after = (run[2].state_dict() for run in (eager, compiled))
    assert before["param_groups"] == after["param_groups"]
    for number, state in before["state"].items():
        for name, value in state.items():
            np.testing.assert_array_equal(value.cpu().numpy(), after["state"][number][name].cpu().numpy(), name)


def test_training_a_cnn():
    x = mt.randn(2, 1, 4, 4).to("cuda")
    eager, compiled = (trained(cnn, "momentum", x, kind, steps=4) for kind in (False, True))
    assert eager[0] == compiled[0]
    same(eager[1], compiled[1])


def test_results_outlive_the_next_call():
    x = mt.randn(4, 3).to("cuda")
    f = mt.compile(lambda x: (x * 2, x.sum()))
    kept = [f(x + i) for i in range(4)]
    for i, (double, total) in enumerate(kept):
        np.testing.assert_allclose(double.cpu().numpy(), (x + i).cpu().numpy() * 2, rtol=1e-6)
        np.testing.assert_allclose(float(total), float((x + i).sum()), rtol=1e-5)


def test_other_shapes_are_captured_anew():
    w = mt.randn(3, device="cuda")
    f = mt.compile(lambda x: (x * w).sum())
    for n in (2, 2, 2, 5, 5, 5, 2):
        x = mt.randn(n, 3).to("cuda")
        np.testing.assert_allclose(float(f(x)), float((x * w).sum()), rtol=1e-5)
    assert f.explain() == "<lambda>: 2 recordings, 3 replays"


def test_a_replaced_parameter_is_captured_anew():
    model = nn.Linear(3, 2).to("cuda")
    f = mt.compile(lambda x: model(x))
    x = mt.randn(2, 3).to("cuda")
    with mt.no_grad():
        for _ in range(3):
            f(x)
        model.weight.data = model.weight.data * 2
        for _ in range(3):
            np.testing.assert_allclose(f(x).cpu().numpy(), model(x).cpu().numpy(), rtol=1e-6)
    assert f.explain() == "<lambda>: 2 recordings, 2 replays"


def test_a_module_in_training():
    """Forward is compiled, the loss and backward are not."""
    x, t = mt.randn(4, 3).to("cuda"), mt.randn(4, 2).to("cuda")
    plain = mlp().to("cuda")
    plain[2].p = 0.0
    twin = copy.deepcopy(plain)
    compiled = mt.compile(twin, fullgraph=True)
    for i in range(4):
        x.grad = None
        for model, forward in ((plain, plain), (twin, compiled)):
            model.zero_grad()
            F.mse_loss(forward(x * (i + 1)), t).backward()
            with mt.no_grad():
                for p in model.parameters():
                    p.sub_(p.grad, alpha=0.1)
    same(plain, twin)
    assert compiled.explain() == "Sequential: 1 recording, 2 replays"


def test_two_forwards_before_backward():
    """The second would overwrite what the first one's gradient needs: it runs eagerly."""
    model = nn.Linear(3, 2).to("cuda")
    compiled = mt.compile(model)
    x = mt.randn(4, 3).to("cuda")
    for _ in range(4):
        a, b = compiled(x), compiled(x * 2)
        model.zero_grad()
        (a * b).sum().backward()
    want = copy.deepcopy(model)
    want.zero_grad()
    (want(x) * want(x * 2)).sum().backward()
    np.testing.assert_allclose(model.weight.grad.cpu().numpy(), want.weight.grad.cpu().numpy(), rtol=1e-5)


def test_a_gradient_that_is_held():
    w = mt.randn(3, device="cuda").requires_grad_()

    def step(x):
        w.grad = None
        (w * x).sum().backward()

    step = mt.compile(step)
    held = []
    for i in range(5):
        x = mt.tensor([float(i)] * 3).to("cuda")
        step(x)
        held.append(w.grad)
    assert [g.tolist() for g in held] == [[float(i)] * 3 for i in range(5)]


def test_gradients_that_are_accumulated():
    w = mt.ones(3, device="cuda").requires_grad_()
    w.grad = mt.zeros(3, device="cuda")
    step = mt.compile(lambda x: (w * x).sum().backward(), fullgraph=True)
    for _ in range(4):
        step(mt.ones(3, device="cuda"))
    assert w.grad.tolist() == [4.0] * 3 and step.replays == 2


def scaled(scale, compiled):
    mt.manual_seed(1)
    model = nn.Linear(3, 2).to("cuda")
    optimizer = mt.optim.SGD(model.parameters(), lr=0.1)
    scaler = mt.amp.GradScaler("cuda", init_scale=scale, growth_interval=2, backoff_factor=2.0 ** -70)

    def step(x):
        optimizer.zero_grad()
        with mt.autocast("cuda", mt.float16):
            loss = (model(x) ** 2).mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    run = mt.compile(step, fullgraph=True) if compiled else step
    losses = [run(mt.ones(4, 3).to("cuda") + i).item() for i in range(6)]
    assert not compiled or run.replays == 4
    return losses, scaler.get_scale(), model.weight.tolist(), model.weight._version


@pytest.mark.parametrize("scale", [4.0, 2.0 ** 130], ids=["finite", "too large"])
def test_a_scaler(scale):
    """Its factor is read anew at each replay, and values decide: the graph ends where the scaler begins."""
    eager, compiled = scaled(scale, False), scaled(scale, True)
    assert eager == compiled and eager[1] != scale


def test_a_scalar_on_the_cpu_is_read_anew():
    factor = mt.tensor(1.0)
    f = mt.compile(lambda x: x * factor, fullgraph=True)
    x, found = mt.ones(2, device="cuda"), []
    for i in range(4):
        factor.fill_(i)
        found.append(f(x).tolist())
    assert found == [[float(i)] * 2 for i in range(4)] and f.replays == 2


def test_clipping_and_moving_within():
    """Batches of the CPU that the step itself moves, and gradients that it clips."""
    found = []
    for compiled in (False, True):
        mt.manual_seed(2)
        model = nn.Linear(3, 2).to("cuda")
        run = clipped(model, mt.optim.AdamW(model.parameters(), lr=0.1))
        run = mt.compile(run, fullgraph=True) if compiled else run
        found.append([tuple(map(float, run(mt.randn(4, 3), mt.tensor([0, 1, 1, 0])))) for _ in range(5)])
    assert found[0] == found[1] and run.replays == 3


def clipped(model, optimizer):
    def step(x, t):
        x, t = x.to("cuda"), t.to("cuda", non_blocking=True)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), t)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        return loss, norm

    return step


def test_changes_in_place_are_counted():
    total = mt.zeros(2, device="cuda")
    view = total[:1]
    f = mt.compile(lambda x: total.add_(x).sum(), fullgraph=True)
    found = [f(mt.ones(2, device="cuda")).item() for _ in range(4)]
    assert found == [2.0, 4.0, 6.0, 8.0] and f.replays == 2 and total._version == view._version == 4


REFUSED = {
    "item": (lambda x: x * x.sum().item(), "a tensor's value is read"),
    "bool": (lambda x: x if x.sum() > 0 else -x, "a tensor's value is read"),
    "cpu": (lambda x: x * (CPU * 2).sum().to("cuda"), "computes with a tensor that lies on the CPU"),
    "random": (lambda x: x * mt.rand(3).to("cuda"), "random numbers are drawn on the CPU"),
}
CPU = mt.ones(3)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_captured(name):
    function, reason = REFUSED[name]
    x = mt.arange(1.0, 4.0).to("cuda")
    with pytest.raises(mt.capture.Unsupported, match=reason):
        mt.compile(function, fullgraph=True)(x)
    f = mt.compile(function)
    with pytest.warns(UserWarning, match=reason):
        first = f(x)
    if name != "random":
        assert mt.equal(f(x).cpu(), first.cpu())
    assert reason in f.explain() and f.explain().startswith("<lambda>: 0 recordings, 0 replays")


def test_a_value_of_the_cpu_is_brought_anew():
    f = mt.compile(lambda x, s: x * s.to("cuda"), fullgraph=True)
    x = mt.ones(2, device="cuda")
    assert [f(x, mt.tensor([float(i), 1.0])).tolist() for i in range(4)] == [[float(i), 1.0] for i in range(4)]


def test_what_fails_under_capture_runs_eagerly():
    """A kernel that cannot be captured, which nothing told of before: all is put back, and the call runs again."""
    import cupy

    w = mt.ones(2, device="cuda")

    def step(x):
        w.add_(x)
        cupy.cuda.get_current_stream().synchronize()
        return w * 1

    step = mt.compile(step)
    with pytest.warns(UserWarning, match="cannot be captured|calls"):
        results = [step(mt.ones(2, device="cuda")).tolist() for _ in range(4)]
    assert results == [[float(i)] * 2 for i in (2, 3, 4, 5)] and w._version == 4
