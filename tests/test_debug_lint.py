"""`lint` finds each planted mistake, says nothing about good models, and changes nothing."""
from __future__ import annotations

import pytest

import minitorch as mt
from minitorch import nn
from minitorch.engine import mode

F = nn.functional
LABELS = mt.tensor([0, 2, 1, 1, 0, 2])


def net(*end, width=6):
    mt.manual_seed(0)
    return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3), *end)


def whats(findings, level=None):
    return " | ".join(f.what for f in findings if level in (None, f.level))


X = mt.randn(6, 4)


def test_a_good_step_is_good():
    model = net()
    optimizer = mt.optim.SGD(model.parameters(), lr=0.1)
    found = mt.debug.lint(model, lambda: F.cross_entropy(model(X), LABELS), optimizer)
    assert found == [] and not found and repr(found) == "lint: nothing found"
    assert mt.debug.lint(model, F.cross_entropy(model(X), LABELS), optimizer) == []


LOSSES = {
    "softmax before cross_entropy": lambda y: F.cross_entropy(y.softmax(1), LABELS),
    "log_softmax before cross_entropy": lambda y: F.cross_entropy(y.log_softmax(1), LABELS),
    "sigmoid before cross_entropy": lambda y: F.cross_entropy(y.sigmoid(), LABELS),
    "relu before cross_entropy": lambda y: F.cross_entropy(y.relu(), LABELS),
    "sigmoid before binary_cross_entropy_with_logits":
        lambda y: F.binary_cross_entropy_with_logits(y.sigmoid(), mt.ones(6, 3)),
    "nll_loss of logits": lambda y: F.nll_loss(y, LABELS),
    "nll_loss of probabilities": lambda y: F.nll_loss(y.softmax(1), LABELS),
    "log of softmax": lambda y: F.nll_loss(y.softmax(1).log(), LABELS),
    "softmax before log_softmax": lambda y: F.cross_entropy(y.softmax(1), mt.full((6, 3), 1 / 3)),
    "cross_entropy over a single class": lambda y: F.cross_entropy(y[:, :1], LABELS * 0),
    "targets of 0 to 2": lambda y: F.binary_cross_entropy_with_logits(y[:, 0], LABELS.float()),
    "(6, 1) and (6,) broadcast to (6, 6) in mse_loss": lambda y: F.mse_loss(y[:, :1], mt.arange(6.0)),
    "(6, 1) and (6,) broadcast to (6, 6) in smooth_l1": lambda y: F.smooth_l1_loss(y[:, :1], mt.arange(6.0)),
    "(6, 1) broadcast to (6, 6) in a difference": lambda y: ((y[:, :1] - mt.arange(6.0)) ** 2).mean(),
    "(6,) broadcast to (6, 6) in a difference": lambda y: (y[:, 0] - mt.arange(6.0)[:, None]).abs().mean(),
    "the loss is a sum": lambda y: (y ** 2).sum(),
    "the loss is a sum, ": lambda y: F.cross_entropy(y, LABELS, reduction="sum"),
    "the loss is no scalar: its shape is (6, 3)": lambda y: y,
    "the loss is NaN": lambda y: (y * float("nan")).mean(),
    "the loss has no graph": lambda y: F.cross_entropy(y.detach(), LABELS),
    "all gradients are 0": lambda y: (y * 0).mean(),
}


@pytest.mark.filterwarnings("ignore:.*target size")
@pytest.mark.parametrize("what", LOSSES)
@pytest.mark.parametrize("later", [False, True], ids=["tensor", "function"])
def test_losses(what, later):
    model = net()
    found = mt.debug.lint(model, (lambda: LOSSES[what](model(X))) if later else LOSSES[what](model(X)))
    assert what.rstrip(", ") in whats(found)
    assert later or not any(f.where.startswith("at ") for f in found)


GOOD = {
    "mse": lambda y: F.mse_loss(y[:, 0], mt.arange(6.0)),
    "pairwise distances": lambda y: (y[:, :1] - y[:, :1].T).square().mean(),
    "a mean over rows": lambda y: (y - y.mean(1, keepdim=True)).square().mean(),
    "nll": lambda y: F.nll_loss(y.log_softmax(1), LABELS),
    "bce": lambda y: F.binary_cross_entropy(y.sigmoid(), mt.ones(6, 3)),
    "bce with logits": lambda y: F.binary_cross_entropy_with_logits(y, mt.ones(6, 3)),
    "probabilities as targets": lambda y: F.cross_entropy(y, mt.full((6, 3), 1 / 3)),
    "divergence": lambda y: F.kl_div(y.log_softmax(1), mt.full((6, 3), 1 / 3), reduction="batchmean"),
    "attention-like": lambda y: F.cross_entropy((y.softmax(1) @ y.T) @ y, LABELS),
}


@pytest.mark.parametrize("name", GOOD)
def test_no_false_alarm_on_losses(name):
    model = net()
    assert mt.debug.lint(model, lambda: GOOD[name](model(X))) == []


def test_parameters_and_optimizers():
    model = net()
    model.spare = nn.Linear(2, 2)
    inner, outer = model[0], model[2]
    loss = lambda: F.cross_entropy(nn.Sequential(inner, nn.Tanh(), outer)(X), LABELS)  # noqa: E731
    assert whats(mt.debug.lint(model, loss), "warning") == "no gradient reaches spare.weight, spare.bias"
    model.spare.requires_grad_(False)
    found = mt.debug.lint(model, loss, mt.optim.SGD(inner.parameters(), lr=0.1))
    assert whats(found) == "no optimizer holds 2.weight, 2.bias"
    found = mt.debug.lint(model, loss, [mt.optim.SGD(inner.parameters()), mt.optim.SGD(outer.parameters())])
    assert found == []
    assert "frozen parameters: spare.weight" in whats(mt.debug.lint(model, loss, mt.optim.SGD(model.parameters())))
    found = mt.debug.lint(model, loss, mt.optim.SGD(net().parameters()))
    assert whats(found.errors) == "the optimizer holds none of the model's parameters"
    assert "a learning rate of 0" in whats(mt.debug.lint(model, loss, mt.optim.Adam(model.parameters(), lr=0)))
    with pytest.warns(UserWarning, match="duplicate"):
        twice = mt.optim.SGD([*model.parameters(), inner.weight])
    assert "holds 1 parameter twice" in whats(mt.debug.lint(model, loss, twice))
    loss().backward()
    found = mt.debug.lint(model, loss, mt.optim.SGD(model.parameters()))
    assert "gradients are there before backward: 0.weight, 0.bias, 2.weight, 2.bias" in whats(found.notes)


def test_layers_in_a_list_are_not_the_models():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.layers = nn.Linear(4, 3), [nn.Linear(3, 3)]

        def forward(self, x):
            return self.layers[0](self.first(x))

    model = Hidden()
    found = mt.debug.lint(model, lambda: F.cross_entropy(model(X), LABELS))
    assert whats(found) == "2 parameters of the loss not in the model: (3, 3) in linear, (3,) in linear" or \
        whats(found) == "2 parameters of the loss not in the model: (3,) in linear, (3, 3) in linear"
    assert "ModuleList" in found[0].fix


def test_dead_and_saturated_layers():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    with mt.no_grad():
        model[0].bias.fill_(-1000)
    found = mt.debug.lint(model, lambda: F.cross_entropy(model(X), LABELS))
    assert "a dead ReLU layer: all 30 outputs are 0" in whats(found) and ", in 1" in found.warnings[0].where
    model = nn.Sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 3))
    with mt.no_grad():
        model[0].bias.fill_(50)
    assert "a saturated sigmoid layer" in whats(mt.debug.lint(model, F.cross_entropy(model(X), LABELS)))


def test_vanishing_exploding_and_constant_weights():
    deep = nn.Sequential(*[layer for _ in range(12) for layer in (nn.Linear(4, 4), nn.Sigmoid())], nn.Linear(4, 3))
    assert "gradients vanish" in whats(mt.debug.lint(deep, lambda: F.cross_entropy(deep(X), LABELS)))
    deep = nn.Sequential(*[nn.Linear(4, 4) for _ in range(9)], nn.Linear(4, 3))
    with mt.no_grad():
        for layer in deep[1:9]:
            layer.weight.mul_(40)
    assert "gradients explode" in whats(mt.debug.lint(deep, lambda: F.cross_entropy(deep(X), LABELS)))
    for layer in (model := net())[::2]:
        nn.init.constant_(layer.weight, 0.1)
    assert "all elements are the same in 0.weight, 2.weight" in whats(
        mt.debug.lint(model, lambda: F.cross_entropy(model(X), LABELS)))


def test_batch_norm_and_modes():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(8, 3))
    loss = lambda: F.cross_entropy(model(mt.randn(1, 1, 4, 4)), LABELS[:1])  # noqa: E731
    found = mt.debug.lint(model, loss)
    assert whats(found, "warning") == "batch norm over a batch of one, (1, 2, 2, 2)"
    assert whats(found, "note") == "a bias before batch norm does nothing" and found.notes[0].where == "0.bias"
    optimizer = mt.optim.SGD(model.parameters())
    model.eval()
    assert "in evaluation mode: batch norm and dropout are off" in whats(mt.debug.lint(model, loss, optimizer).warnings)
    model.train()
    model[4].eval()
    assert "some layers are in evaluation mode" in whats(mt.debug.lint(model, loss, optimizer).notes)


def test_values_that_are_not_finite():
    model = net()
    with mt.no_grad():
        model[0].weight[0, 0] = float("nan")
    assert "1 NaN of 24 elements in 0.weight" in whats(mt.debug.lint(model, lambda: F.cross_entropy(model(X), LABELS)))
    x = mt.nn.Parameter(mt.zeros(3))
    model = nn.ParameterList([x])
    assert "the gradient of 0 has 3 inf" in whats(mt.debug.lint(model, lambda: x.sqrt().mean()))


def test_nothing_is_changed():
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3))
    optimizer = mt.optim.Adam(model.parameters())
    F.cross_entropy(model(X), LABELS).backward()
    kept = {name: t.clone() for name, t in model.state_dict().items()}
    grads = {name: p.grad for name, p in model.named_parameters()}
    values = {name: g.clone() for name, g in grads.items()}
    random, notes = mt.get_rng_state(), mode.notes
    mt.debug.lint(model, lambda: F.cross_entropy(model(X), LABELS), optimizer)
    assert all((kept[name] == t).all() for name, t in model.state_dict().items())
    assert all(p.grad is grads[name] and (p.grad == values[name]).all() for name, p in model.named_parameters())
    assert (mt.get_rng_state() == random).all() and mode.notes == notes and not optimizer.state
    loss = F.cross_entropy(model(X), LABELS)
    mt.debug.lint(model, loss)
    loss.backward()  # its graph is still there


def test_after_backward_it_says_so():
    model = net()
    loss = F.cross_entropy(model(X), LABELS)
    loss.backward()
    assert "the loss's graph was freed" in whats(mt.debug.lint(model, loss).errors)


def test_what_is_no_model_loss_or_optimizer():
    model = net()
    with pytest.raises(TypeError, match="lint: model expects a Module, got function"):
        mt.debug.lint(lambda x: x, mt.ones(1))
    with pytest.raises(TypeError, match="lint: loss expects a tensor, or a function that returns one, got float"):
        mt.debug.lint(model, 1.5)
    with pytest.raises(TypeError, match="lint: optimizer expects an Optimizer or a list of them, got Linear"):
        mt.debug.lint(model, mt.ones(1), nn.Linear(1, 1))


def classifier(build, *shape):
    model = build()
    return model, lambda: F.cross_entropy(model(mt.randn(*shape)), LABELS[:shape[0]])


def language(build):
    model, tokens = build(), mt.randint(0, 11, (2, 8))

    def loss():
        logits = model(tokens)
        return F.cross_entropy((logits if isinstance(logits, mt.Tensor) else logits[0]).flatten(0, 1), tokens.flatten())

    return model, loss


def autoencoder():
    from minitorch.examples.vae import VAE

    model = VAE(size=2, hidden=16)
    return model, lambda: model.loss(mt.rand(3, 1, 28, 28))


def transformer():
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
    return model, lambda: F.mse_loss(model(mt.randn(2, 3, 8)), mt.zeros(2, 3, 8))


def example(module, name):
    import importlib

    return getattr(importlib.import_module(f"minitorch.{module}"), name)


GOOD_MODELS = {
    "resnet_cifar": lambda: classifier(example("examples.resnet_cifar", "ResNet"), 4, 3, 32, 32),
    "darts": lambda: classifier(example("examples.darts", "Network"), 3, 3, 32, 32),
    "digits": lambda: classifier(example("train", "DigitsNet"), 3, 1, 8, 8),
    **{name: lambda name=name: classifier(lambda: example("vision.models", name)(num_classes=3), 2, 3, 64, 64)
       for name in ("resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "mobilenet_v3_small")},
    "gpt": lambda: language(lambda: example("examples.gpt", "GPT")(11, width=16, depth=2, heads=2, context=8)),
    "char_gru": lambda: language(lambda: example("examples.char_gru", "CharGRU")(11)),
    "vae": autoencoder, "transformer": transformer,
}


@pytest.mark.parametrize("name", GOOD_MODELS)
def test_no_false_alarm_on_models(name):
    mt.manual_seed(0)
    model, loss = GOOD_MODELS[name]()
    assert mt.debug.lint(model, loss, mt.optim.AdamW(model.parameters())) == []


@pytest.mark.parametrize("called", [False, True])
def test_what_a_reentrant_checkpoint_hides_is_not_missed(called):
    """Its ops are in no graph until backward, which adds to `grad`: lint neither complains nor runs it."""
    body, head, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU()), nn.Linear(8, 3), mt.randn(5, 4, requires_grad=True)
    model = nn.ModuleList([body, head])

    def loss():
        hidden = mt.utils.checkpoint.checkpoint(body, x, use_reentrant=True)
        return nn.functional.cross_entropy(head(hidden), mt.tensor([0, 1, 2, 0, 1]))

    assert not mt.debug.lint(model, loss if called else loss())
    assert all(p.grad is None for p in model.parameters())
