"""`minitorch.extract`: scripts of NumPy alone give minitorch's, and PyTorch's, losses and gradients."""
from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import samples

import minitorch as mt
from minitorch import nn
from minitorch.selfcheck import Trial, dtypes_of, function_of, outputs

# runs a script where neither minitorch nor torch can be imported, and hands its numbers back
ALONE = """
import sys, runpy
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("minitorch", "minitorch_kernels", "torch", "scipy", "numba"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocked())
space = runpy.run_path(sys.argv[1], run_name="__main__")
import numpy as np
p, inputs = space["load"]()
result, grads = space["loss_and_grads"](p, *inputs)
assert not {"minitorch", "minitorch_kernels", "torch", "numba"} & set(sys.modules)
np.savez(sys.argv[2], **{"=result": result}, **grads)
"""


def alone(made, tmp_path):
    """What the script prints, its result and its gradients, from a process of its own."""
    script = made.save(tmp_path / "model.py")
    run = subprocess.run([sys.executable, "-I", "-c", ALONE, str(script), str(tmp_path / "out.npz")],
                         capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "out.npz") as file:
        found = dict(file)
    return run.stdout, found.pop("=result"), found


def models(mt):
    """{name: a function that makes a model and its inputs}, with `mt` minitorch or torch: the same from one seed."""
    nn, F = mt.nn, mt.nn.functional

    class Perceptron(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x, target):
            h = F.relu(self.fc1(x))
            return F.cross_entropy(self.fc2(h), target)

    class Convolutions(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.conv2, self.drop, self.fc = nn.Conv2d(4, 6, 3, stride=2), nn.Dropout(0.25), nn.Linear(6, 5)

        def forward(self, x, target):
            x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
            x = self.drop(F.relu(self.conv2(x)).flatten(1))
            return F.cross_entropy(self.fc(x), target)

    class Language(nn.Module):
        def __init__(self, cell):
            super().__init__()
            self.embedding, self.rnn, self.head = nn.Embedding(11, 5), cell(5, 4, batch_first=True), nn.Linear(4, 11)

        def forward(self, ids, target):
            h, _ = self.rnn(self.embedding(ids))
            return F.cross_entropy(self.head(h).reshape(-1, 11), target.reshape(-1))

    class Attention(nn.Module):
        def __init__(self, n, heads):
            super().__init__()
            self.qkv, self.proj, self.heads = nn.Linear(n, 3 * n), nn.Linear(n, n), heads
            self.register_buffer("mask", mt.ones(6, 6).tril().bool())

        def forward(self, x):
            b, t, n = x.shape
            q, k, v = (part.reshape(b, t, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(n, dim=2))
            scores = q @ k.transpose(-2, -1) / math.sqrt(n // self.heads)
            weights = F.softmax(scores.masked_fill(~self.mask[:t, :t], float("-inf")), dim=-1)
            return self.proj((weights @ v).transpose(1, 2).reshape(b, t, n))

    class Block(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.ln1, self.attention, self.ln2 = nn.LayerNorm(n), Attention(n, 2), nn.LayerNorm(n)
            self.mlp = nn.Sequential(nn.Linear(n, 4 * n), nn.GELU(), nn.Linear(4 * n, n))

        def forward(self, x):
            x = x + self.attention(self.ln1(x))
            return x + self.mlp(self.ln2(x))

    class GPT(nn.Module):
        """With the weights of embedding and head shared."""

        def __init__(self, layers, n=8):
            super().__init__()
            self.tokens, self.positions = nn.Embedding(13, n), nn.Embedding(6, n)
            self.blocks = nn.ModuleList([Block(n) for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(n), nn.Linear(n, 13, bias=False)
            self.head.weight = self.tokens.weight

        def forward(self, ids, target):
            x = self.tokens(ids) + self.positions(mt.arange(ids.shape[1]))
            for block in self.blocks:
                x = block(x)
            logits = self.head(self.norm(x))
            return F.cross_entropy(logits.reshape(-1, 13), target.reshape(-1))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
            self.encoder, self.out = nn.TransformerEncoder(layer, 3), nn.Linear(8, 2)

        def forward(self, x):
            return (self.out(self.encoder(x)) ** 2).mean()

    def ids(*shape, n):
        return mt.randint(0, n, shape)

    return {
        "mlp": lambda: (Perceptron(), mt.randn(4, 6), ids(4, n=3)),
        "cnn": lambda: (Convolutions(), mt.randn(3, 1, 8, 8), ids(3, n=5)),
        "gru": lambda: (Language(nn.GRU), ids(2, 4, n=11), ids(2, 4, n=11)),
        "lstm": lambda: (Language(nn.LSTM), ids(2, 4, n=11), ids(2, 4, n=11)),
        "gpt": lambda: (GPT(3), ids(2, 5, n=13), ids(2, 5, n=13)),
        "encoder": lambda: (Encoder(), mt.randn(2, 4, 8)),
    }


MODELS = models(mt)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
def test_models_alone(name, dtype, tmp_path):
    mt.manual_seed(0)
    model, *inputs = MODELS[name]()
    model = model.to(getattr(mt, dtype))
    inputs = [x.to(getattr(mt, dtype)) if x.is_floating_point() else x for x in inputs]
    before = {key: t.clone() for key, t in model.state_dict().items()}
    made = mt.extract(model, *inputs)
    for key, t in model.state_dict().items():
        assert mt.equal(t, before[key]), key  # running statistics stay
    loss = model(*inputs)  # with the same random numbers: extract leaves the generator as it was
    loss.backward()
    printed, result, grads = alone(made, tmp_path)
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    assert "as minitorch computed them" in printed
    assert abs(result - loss.item()) <= tolerance * max(1, abs(loss.item()))
    wanted = {key: p.grad for key, p in model.named_parameters()}
    assert grads.keys() == wanted.keys()
    scale = max(float(g.abs().max()) for g in wanted.values())
    for key, grad in wanted.items():
        assert grads[key].dtype == grad._array.dtype
        np.testing.assert_allclose(grads[key], grad._array, rtol=0, atol=tolerance * 4 * max(scale, 1), err_msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_models_beside_torch(name):
    torch = pytest.importorskip("torch")
    mt.manual_seed(0)
    model, *inputs = MODELS[name]()
    loss, grads = mt.extract(model, *inputs).run()
    torch.manual_seed(0)
    model, *inputs = models(torch)[name]()
    expected = model(*inputs)
    expected.backward()
    np.testing.assert_allclose(loss, expected.item(), rtol=2e-6)
    assert grads.keys() == {key for key, _ in model.named_parameters()}
    for key, p in model.named_parameters():
        np.testing.assert_allclose(grads[key], p.grad.numpy(), rtol=1e-4, atol=3e-6, err_msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_no_name_is_unused(name, tmp_path):
    ruff = shutil.which("ruff") or shutil.which("ruff", path=sys.exec_prefix + "/bin")
    if ruff is None:
        pytest.skip("ruff is not installed")
    mt.manual_seed(0)
    script = mt.extract(*MODELS[name]()).save(tmp_path / "model.py")
    run = subprocess.run([ruff, "check", "--isolated", "--select", "F,E5,E7,E9,B007,ARG", "--line-length", "120",
                          str(script)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_equal_blocks_are_one_function():
    mt.manual_seed(0)
    source = mt.extract(*MODELS["gpt"]()).source
    assert "for i in range(3):\n        x, saved_blocks[i] = block(p, f\"blocks.{i}\", x)" in source
    assert "d_x = block_backward(p, f\"blocks.{i}\", saved_blocks[i], grads, d_x)" in source
    assert 'grads[f"{name}.attention.qkv.weight"]' in source and "blocks.1." not in source.partition("RECORDED")[0]
    source = mt.extract(*MODELS["encoder"]()).source  # nothing needs the gradient of the first one's input
    assert "for i in range(1, 3):" in source and "d_x " not in source.partition("def forward")[2]


def test_in_place_reads_as_an_assignment():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Conv2d(2, 1, 3))
    source = mt.extract(model, mt.randn(1, 1, 6, 6)).source
    assert "relu1 = relu(conv2d1)" in source and "[...] =" not in source


def used_twice(x):
    y = x * x + x
    return (y * y).sum()


def broadcast(x, b):
    return ((x + b) * b).sum()


def indexed(x):
    return (x[1] * x[:, 0].sum() + x[mt.tensor([0, 0, 2])]).sum()


def chosen(x):
    return mt.where(x > 0, x * x, -x).sum() + x.masked_fill(x < 0, 2.0).prod()


def in_place(x):
    y = x * 2
    y.relu_()
    z = y + x
    z.mul_(3)
    z[0] = x[1] * 3
    return (z * z).sum()


def gathered(x):
    i = mt.tensor([[0, 2], [1, 1], [0, 0]])
    return (x.gather(1, i) * mt.tensor([1.0, 2.0])).sum() + x.scatter_add(0, i, x[:, :2] ** 2).exp().sum()


FUNCTIONS = {
    "scalar": (lambda a, b: mt.tanh(a * b + a) * b, [()] * 2),
    "used twice": (used_twice, [(3,)]),
    "broadcast": (broadcast, [(2, 3), (3,)]),
    "indexed": (indexed, [(3, 3)]),
    "chosen": (chosen, [(2, 3)]),
    "in place": (in_place, [(3, 3)]),
    "gathered": (gathered, [(3, 3)]),
    "empty": (lambda x: x.sum() + (x * 2).sum(), [(0, 3)]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    function, shapes = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    inputs = [mt.tensor(rng.standard_normal(shape), dtype=mt.float32, requires_grad=True) for shape in shapes]
    made = mt.extract(function, *inputs)
    assert all(x.grad is None for x in inputs)
    loss, grads = made.run()
    eager = function(*inputs)
    eager.backward()
    np.testing.assert_allclose(loss, eager._array, rtol=1e-6)
    assert set(grads) == set(made.inputs)
    for name, x in zip(made.inputs, inputs):
        np.testing.assert_allclose(grads[name], x.grad._array, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["used twice", "broadcast", "indexed", "chosen", "in place", "gathered"])
def test_functions_beside_torch(name, monkeypatch):
    torch = pytest.importorskip("torch")
    function, shapes = FUNCTIONS[name]
    arrays = [np.random.default_rng(0).standard_normal(shape) for shape in shapes]
    loss, grads = mt.extract(function, *[mt.tensor(a, dtype=mt.float64, requires_grad=True) for a in arrays]).run()
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    monkeypatch.setitem(function.__globals__, "mt", torch)
    torch.set_default_dtype(torch.float64)
    try:
        expected = function(*theirs)
    finally:
        torch.set_default_dtype(torch.float32)
    expected.backward()
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-12)
    for name, x in zip("xb", theirs):
        np.testing.assert_allclose(grads[name], x.grad.numpy(), rtol=1e-12, atol=1e-12)


def test_the_gradients_of_a_closed_form():
    w = mt.tensor([1.0, 2.0], requires_grad=True)
    made = mt.extract(lambda x: ((w * x) ** 2).sum(), mt.tensor([3.0, 4.0]))
    loss, grads = made.run()
    assert loss == 73 and grads["w"].tolist() == [18, 64]  # 2 w x²
    assert str(made) == made.source and 'grads["w"]' in made.source


def test_a_model_starts_from_dy():
    model, x = nn.Linear(2, 3), mt.randn(4, 2)
    dy = mt.randn(4, 3)
    for given in (None, dy):
        _, grads = mt.extract(model, x, dy=given).run()
        model.zero_grad()
        model(x).backward(mt.ones(4, 3) if given is None else given)
        np.testing.assert_allclose(grads["weight"], model.weight.grad._array, rtol=1e-6)
    with pytest.raises(RuntimeError, match=r"dy expects the result's shape \(4, 3\), got \(3,\)"):
        mt.extract(model, x, dy=mt.ones(3))


@pytest.mark.parametrize(("kind", "options"), [
    ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.5, "maximize": True}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1}), ("AdamW", {"lr": 0.01}),
])
def test_a_step_of_the_optimizer(kind, options):
    mt.manual_seed(0)
    model, *inputs = MODELS["mlp"]()
    optimizer = getattr(mt.optim, kind)(model.parameters(), **options)
    made = mt.extract(model, *inputs, optimizer=optimizer)
    space = {"__name__": "extracted"}
    exec(made.source, space)
    p = {name: a.copy() for name, a in made.parameters.items()}
    space["train"](p, list(made.inputs.values()), steps=3)
    for _ in range(3):
        optimizer.zero_grad()
        model(*inputs).backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(p[name], parameter.detach()._array, rtol=1e-5, atol=1e-6)


def test_other_optimizers_say_so():
    model = nn.Linear(2, 1)
    with pytest.raises(NotImplementedError, match="expects SGD, Adam or AdamW, got RMSprop"):
        mt.extract(model, mt.ones(1, 2), optimizer=mt.optim.RMSprop(model.parameters()))
    groups = [{"params": [model.weight]}, {"params": [model.bias], "lr": 1.0}]
    with pytest.raises(NotImplementedError, match="different options"):
        mt.extract(model, mt.ones(1, 2), optimizer=mt.optim.SGD(groups, lr=0.1))


def test_what_cannot_be_extracted_says_so():
    class Twice(mt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    x = mt.ones(2, requires_grad=True)
    with pytest.raises(NotImplementedError, match="Twice is a custom Function"):
        mt.extract(lambda x: Twice.apply(x).sum(), x)
    with pytest.raises(NotImplementedError, match="embedding is sparse"):
        mt.extract(lambda i: nn.Embedding(3, 2, sparse=True)(i).sum(), mt.tensor([1, 2]))
    with pytest.raises(NotImplementedError, match="a result or gradient is complex64: expected real numbers"):
        mt.extract(lambda x: mt.fft.fft(x), x)
    with pytest.raises(ValueError, match="needs a gradient"):
        mt.extract(lambda x: x.sum(), mt.ones(2))
    with pytest.raises(TypeError, match="expects a function or a Module, got Tensor"):
        mt.extract(x, x)


def test_arrays_stand_inside_or_beside(tmp_path):
    w = mt.ones(2, requires_grad=True)
    mt.extract(lambda: (w * 3).sum(), path=tmp_path / "small.py")
    mt.extract(nn.Linear(20, 20), mt.ones(1, 20), path=tmp_path / "large.py")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["large.npz", "large.py", "small.py"]


def slopes(made):
    """The largest difference of a script's gradients to finite differences, which its own main prints."""
    space = {"__name__": "extracted"}
    exec(made.source, space)
    return space["check_gradients"]({k: a.copy() for k, a in made.parameters.items()}, list(made.inputs.values()))


@pytest.mark.parametrize("function", [
    lambda x: nn.functional.interpolate(x[None, None], scale_factor=2, mode="bilinear").square().sum(),
    lambda x: mt.fft.fft(x).abs().sum(), lambda x: x.unfold(1, 2, 1).square().sum(),
    lambda x: x.as_strided((2, 2), (1, 2)).square().sum(),
], ids=["bilinear", "complex on the way", "unfold", "as_strided"])
def test_scripts_follow_their_inputs(function):
    """Also where the numbers agree by themselves, the script must compute them from x."""
    x = mt.tensor(np.random.default_rng(0).standard_normal((3, 4)), requires_grad=True)
    assert slopes(mt.extract(function, x)) < 1e-7


def test_real_scripts_say_nothing_of_other_types():
    for name in ("cnn", "lstm", "gpt"):
        mt.manual_seed(0)
        source = mt.extract(*MODELS[name]()).source.partition("# Try it")[0]
        assert not any(word in source for word in ("conj", "complex", "itemsize", "dtype.kind")), name
        assert max(map(len, source.splitlines())) <= 104
    source = mt.extract(lambda x: x.tanh().sum(), mt.ones(3, requires_grad=True)).source
    assert "dy * (1 - y * y)" in source


def test_what_rounding_changed_is_said():
    x = mt.tensor(np.random.default_rng(0).standard_normal(100), dtype=mt.float32, requires_grad=True)
    made = mt.extract(lambda x: x.relu().sum(), x)
    made.gradients["x"] = made.gradients["x"] * np.float32(1.001)  # as if minitorch had found this
    with pytest.warns(UserWarning, match="x differ by rounding in float32"):
        made.check()
    assert "WIDENED = {\"x\": 0.01}" in made.source and "(compared to {limit} only)" in made.source
    made.gradients["x"] = made.gradients["x"] * 2
    with pytest.raises(RuntimeError, match="gradient of x differs"):
        made.check()


REFUSED = {"as_strided_scatter": "as_strided"}  # overlapping memory that is written to
CASES = [case for case in samples.load() if case.grad and any(
    s.grad and not s.big and "float64" in dtypes_of(case, s) for s in case.samples)]
if not os.environ.get("MINITORCH_EXTRACT_ALL"):  # with it all ops, which takes half a minute
    CASES = [case for i, case in enumerate(CASES) if i % 6 == 0 or case.id in REFUSED]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_ops(case):
    """Each op's first sample, with the sum of its results for a loss; extract itself compares the numbers."""
    sample = next(s for s in case.samples if s.grad and not s.big and "float64" in dtypes_of(case, s))
    function = function_of(case)

    def loss(args, options):
        ys = [y for y in outputs(function(*args, **options)) if isinstance(y, mt.Tensor) and y.requires_grad]
        if any(y.is_complex() for y in ys):
            pytest.skip("complex results")
        return sum([y.sum() for y in ys], mt.zeros((), dtype=mt.float64))

    trial = Trial(case, sample, "float64")
    if any(t._array.dtype.kind == "c" for t in trial.tensors):
        pytest.skip("complex numbers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mt.manual_seed(0)
        value = loss(trial.args, trial.options)
        if not value.requires_grad or not trial.leaves:
            pytest.skip("no gradient")
        value.backward()
        expected = sorted(float(t.grad.abs().sum()) for t in trial.leaves if t.grad is not None)
        again = Trial(case, sample, "float64")
        mt.manual_seed(0)
        if case.id in REFUSED:
            with pytest.raises((NotImplementedError, RuntimeError), match=REFUSED[case.id]):
                mt.extract(loss, again.args, again.options)
            return
        made = mt.extract(loss, again.args, again.options)
    result, grads = made.run()
    np.testing.assert_allclose(result, value.item(), rtol=1e-9, atol=1e-9)
    found = sorted(float(np.abs(g).sum()) for g in grads.values())
    np.testing.assert_allclose([g for g in found if g > 1e-12], [g for g in expected if g > 1e-12], rtol=1e-6)
