"""nn.utils: parametrizations, norms, pruning, fusion, calls with other parameters; PyTorch beside them if installed."""
from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import minitorch as mt
from minitorch import nn
from minitorch.nn import utils
from minitorch.nn.utils import fusion, parametrizations, parametrize, prune, stateless


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).t()

    def right_inverse(self, x):
        return x.triu()


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(actual.detach().numpy(), np.asarray(expected), rtol=tolerance, atol=tolerance)


def names(module):
    return [name for name, _ in module.named_parameters()]


# parametrize


def test_a_parametrized_weight_follows_what_is_trained():
    layer = nn.Linear(3, 3)
    start = layer.weight.detach().clone()
    assert parametrize.register_parametrization(layer, "weight", Symmetric()) is layer
    assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, nn.Linear)
    assert names(layer) == ["bias", "parametrizations.weight.original"]
    close(layer.parametrizations.weight.original, start.triu())
    optimizer = mt.optim.SGD(layer.parameters(), lr=0.1)
    layer(mt.randn(4, 3)).square().sum().backward()
    optimizer.step()
    close(layer.weight, layer.weight.t().detach())
    assert not mt.equal(layer.weight.detach(), start)
    layer.weight = mt.ones(3, 3)
    close(layer.weight, np.ones((3, 3)))
    assert layer.double().weight.dtype is mt.float64


def test_chains_caching_and_copies():
    layer = nn.Linear(2, 2)
    start = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Doubled())
    parametrize.register_parametrization(layer, "weight", Symmetric())
    close(layer.weight, Symmetric()(2 * start))
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert layer.weight is not layer.weight
    other = copy.deepcopy(layer)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and names(layer) == ["bias", "weight"] and not hasattr(layer, "parametrizations")
    close(layer.weight, other.weight.detach())
    assert parametrize.is_parametrized(other, "weight") and not parametrize.is_parametrized(other, "bias")
    assert parametrize.type_before_parametrizations(other) is nn.Linear
    third = parametrize.transfer_parametrizations_and_params(other, nn.Linear(2, 2))
    close(third.weight, other.weight.detach())
    parametrize.remove_parametrizations(other, "weight", leave_parametrized=False)
    close(other.weight, start)
    with pytest.raises(RuntimeError, match="state_dict"):
        pickle.dumps(third)


def test_two_tensors_of_a_layer_and_buffers():
    layer = nn.BatchNorm1d(3)
    for name in ("weight", "running_mean"):
        parametrize.register_parametrization(layer, name, Doubled())
    close(layer.weight, [2, 2, 2])
    close(layer.running_mean, [0, 0, 0])
    assert "parametrizations.running_mean.original" in dict(layer.named_buffers())
    parametrize.remove_parametrizations(layer, "weight")
    assert parametrize.is_parametrized(layer) and "weight" in layer._parameters
    again = parametrize.register_parametrization(nn.BatchNorm1d(3), "running_mean", Doubled())
    again.load_state_dict({key: value + 1 for key, value in layer.state_dict().items()})
    close(again.running_mean, [2, 2, 2])


class Cut(nn.Module):
    def forward(self, x):
        return x[:1]


class Halves(nn.Module):
    def forward(self, a, b):
        return a + b

    def right_inverse(self, x):
        return x / 2, x / 2


@pytest.mark.parametrize("call, error", [
    (lambda: parametrize.register_parametrization(nn.Linear(2, 2), "weight", Cut()), ValueError),
    (lambda: parametrize.register_parametrization(nn.Linear(2, 2), "wait", Doubled()), ValueError),
    (lambda: parametrize.remove_parametrizations(nn.Linear(2, 2), "weight"), ValueError),
    (lambda: parametrize.remove_parametrizations(parametrize.register_parametrization(
        nn.Linear(2, 2), "weight", Halves()), "weight", leave_parametrized=False), ValueError),
    (lambda: setattr(parametrize.register_parametrization(nn.Linear(2, 2), "weight", Doubled()), "weight",
                     mt.ones(2, 2)), RuntimeError),
    (lambda: parametrize.ParametrizationList([], mt.ones(1)), ValueError),
    (lambda: parametrizations.orthogonal(nn.Linear(2, 2), "bias"), ValueError),
    (lambda: parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr"), ValueError),
    (lambda: parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0), ValueError),
    (lambda: parametrizations.spectral_norm(nn.Linear(2, 2), dim=2), IndexError),
    (lambda: parametrizations.spectral_norm(nn.Linear(2, 2), "wait"), ValueError),
    (lambda: prune.l1_unstructured(nn.Linear(2, 2), "weight", 5), ValueError),
    (lambda: prune.l1_unstructured(nn.Linear(2, 2), "weight", 1.5), ValueError),
    (lambda: prune.l1_unstructured(nn.Linear(2, 2), "weight", "half"), TypeError),
    (lambda: prune.ln_structured(nn.Linear(2, 2), "bias", 1, 2, 0), ValueError),
    (lambda: prune.ln_structured(nn.Linear(2, 2), "weight", 1, 2, 2), IndexError),
    (lambda: prune.remove(nn.Linear(2, 2), "weight"), ValueError),
    (lambda: prune.global_unstructured([(nn.Linear(2, 2), "weight")], prune.LnStructured, amount=1, n=2), TypeError),
    (lambda: fusion.fuse_conv_bn_eval(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)), AssertionError),
    (lambda: fusion.fuse_linear_bn_eval(nn.Linear(1, 3).eval(), nn.BatchNorm1d(2).eval()), AssertionError),
    (lambda: utils.skip_init(nn.ReLU), RuntimeError),
    (lambda: utils.skip_init(int), RuntimeError),
    (lambda: utils.nothing, AttributeError),
])
def test_errors(call, error):
    with pytest.raises(error):
        call()


# parametrizations


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_splits_length_and_direction(dim):
    layer = nn.Linear(3, 4)
    start = layer.weight.detach().numpy().copy()
    parametrizations.weight_norm(layer, dim=dim)
    close(layer.weight, start)
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    close(g, np.linalg.norm(start) if dim is None else np.linalg.norm(start, axis=1 - dim, keepdims=True))
    v.data = 3 * v.data
    close(layer.weight, start)
    parametrize.remove_parametrizations(layer, "weight")
    close(layer.weight, start)


def test_weight_norm_reads_the_older_state():
    old, new = utils.weight_norm(nn.Linear(3, 2)), parametrizations.weight_norm(nn.Linear(3, 2))
    new.load_state_dict(old.state_dict())
    close(new.weight, old.weight.detach())


@pytest.mark.parametrize("layer, rows", [(nn.Linear(3, 4), 0), (nn.Conv2d(2, 3, 3), 0),
                                         (nn.ConvTranspose2d(2, 3, 3), 1)], ids=["linear", "conv", "transposed"])
def test_spectral_norm_divides_by_the_largest_singular_value(layer, rows):
    layer = copy.deepcopy(layer)
    start = layer.weight.detach().numpy()
    sigma = np.linalg.svd(np.moveaxis(start, rows, 0).reshape(start.shape[rows], -1), compute_uv=False)[0]
    parametrizations.spectral_norm(layer, n_power_iterations=50)
    close(layer.weight, start / sigma, 1e-4)
    layer.eval()
    u = layer.parametrizations.weight[0]._u.clone()
    close(layer.weight, start / sigma, 1e-4)
    assert mt.equal(layer.parametrizations.weight[0]._u, u)
    close(parametrizations.spectral_norm(nn.LayerNorm(4)).weight, np.full(4, 0.5))


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 2)])
@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder", None])
@pytest.mark.parametrize("trivialized", [True, False])
def test_orthogonal_stays_orthogonal_in_training(shape, how, trivialized):
    layer = nn.Linear(*shape, dtype=mt.float64)
    mt.manual_seed(0)
    parametrizations.orthogonal(layer, orthogonal_map=how, use_trivialization=trivialized)
    x, y = mt.randn(8, shape[0], dtype=mt.float64), mt.randn(8, shape[1], dtype=mt.float64)
    optimizer, losses = mt.optim.SGD(layer.parameters(), lr=0.05), []
    for _ in range(5):
        q = layer.weight.detach().numpy()
        q = q if q.shape[0] >= q.shape[1] else q.T
        np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-10)
        loss = (layer(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_orthogonal_starts_from_an_orthogonal_weight():
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
    layer = nn.Linear(4, 4, dtype=mt.float64)
    for how, trivialized in (("matrix_exp", True), ("cayley", True), ("householder", True), ("householder", False)):
        layer.weight = nn.Parameter(mt.tensor(q))
        parametrizations.orthogonal(layer, orthogonal_map=how, use_trivialization=trivialized)
        close(layer.weight, q, 1e-10)
        layer.weight = mt.tensor(q[::-1].copy())
        close(layer.weight, q[::-1], 1e-10)
        parametrize.remove_parametrizations(layer, "weight")


# Pruning


def test_pruning_masks_the_smallest_and_adds_up():
    layer = nn.Linear(4, 2)
    weight = mt.tensor([[1.0, -8.0, 3.0, 0.5], [-2.0, 6.0, 0.25, 4.0]])
    layer.weight.data = weight
    prune.l1_unstructured(layer, "weight", 3)
    close(layer.weight, [[0, -8, 3, 0], [-2, 6, 0, 4]])
    assert names(layer) == ["bias", "weight_orig"] and prune.is_pruned(nn.Sequential(layer))
    layer(mt.ones(1, 4)).sum().backward()
    close(layer.weight_orig.grad, layer.weight_mask)
    prune.ln_structured(layer, "weight", 1, 2, dim=1)  # of the columns that are left, the first is the shortest
    close(layer.weight, [[0, -8, 3, 0], [0, 6, 0, 4]])
    prune.custom_from_mask(layer, "weight", mt.tensor([[1.0, 0, 1, 1]] * 2))
    prune.remove(layer, "weight")
    close(layer.weight, [[0, 0, 3, 0], [0, 0, 0, 4]])
    assert not prune.is_pruned(layer) and isinstance(layer.weight, nn.Parameter)


def test_pruning_at_random_and_globally():
    layer = nn.Linear(10, 10)
    prune.random_unstructured(layer, "weight", 0.3)
    assert int(layer.weight_mask.sum()) == 70
    prune.random_structured(layer, "weight", 2, dim=0)
    assert int((layer.weight_mask.sum(1) == 0).sum()) == 2
    prune.identity(layer, "bias")
    assert int(layer.bias_mask.sum()) == 10
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].weight.data, model[1].weight.data = mt.full((2, 2), 3.0), mt.tensor([[1.0, 2.0], [4.0, 5.0]])
    prune.global_unstructured([(part, "weight") for part in model], prune.L1Unstructured, amount=2)
    close(model[0].weight_mask, np.ones((2, 2)))
    close(model[1].weight_mask, [[0, 0], [1, 1]])
    close(prune.L1Unstructured(2).prune(mt.tensor([1.0, -3, 2, 0.5])), [0, -3, 2, 0])


# The rest


@pytest.mark.parametrize("layer, norm, x, transpose", [
    (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), (2, 3, 5, 5), False),
    (nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4, affine=False), (2, 3, 5), False),
    (nn.ConvTranspose2d(3, 4, 3), nn.BatchNorm2d(4), (2, 3, 5, 5), True),
    (nn.Linear(3, 4), nn.BatchNorm1d(4), (5, 3), None)], ids=["conv", "affine", "transposed", "linear"])
def test_batch_norm_folds_into_the_layer(layer, norm, x, transpose):
    layer, norm, x = copy.deepcopy(layer), copy.deepcopy(norm), mt.randn(x)
    norm(layer(x))
    layer.eval(), norm.eval()
    fused = utils.fuse_linear_bn_eval(layer, norm) if transpose is None else \
        utils.fuse_conv_bn_eval(layer, norm, transpose)
    close(fused(x), norm(layer(x)).detach())
    assert fused.weight.requires_grad and fused is not layer


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_functional_call_puts_everything_back():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    before = {key: value.clone() for key, value in model.state_dict().items() if "num" not in key}
    weight, tensors = mt.ones(2, 3, requires_grad=True), {}
    tensors = {"0.weight": weight, "1.running_mean": mt.zeros(2)}
    stateless.functional_call(model, tensors, mt.randn(4, 3)).square().sum().backward()
    assert weight.grad is not None and model[0].weight.grad is None
    assert not tensors["1.running_mean"].eq(0).any()
    for key, value in before.items():
        assert key == "1.running_var" or mt.equal(model.state_dict()[key], value)
    with pytest.raises(RuntimeError, match=r"(?s)Unexpected.*'zero'.*Missing.*'1.bias'"):
        stateless.functional_call(model, {"zero": mt.ones(1)}, mt.randn(4, 3), strict=True)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_functional_call_and_tied_weights():
    model = nn.Module()
    model.a = model.b = nn.Parameter(mt.ones(1))
    object.__setattr__(model, "forward", lambda x: model.a * x + model.b)
    call = stateless.functional_call
    assert call(model, {"a": mt.zeros(1)}, mt.ones(1)).item() == 0
    assert call(model, {"a": mt.zeros(1)}, (mt.ones(1),), tie_weights=False).item() == 1
    with pytest.raises(ValueError, match="tied"):
        call(model, {"a": mt.zeros(1), "b": mt.ones(1)}, mt.ones(1))


def test_skip_init_draws_nothing():
    mt.manual_seed(0)
    expected = mt.rand(3)
    mt.manual_seed(0)
    assert utils.skip_init(nn.Linear, 5, 1).weight.shape == (1, 5)
    assert mt.equal(mt.rand(3), expected)


def test_modules_change_places_and_memory():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    model.set_submodule("1.0", nn.Tanh(), strict=True)
    assert repr(model[1][0]) == "Tanh()" and model.to_empty(device="cpu")[0].weight.shape == (2, 2)
    for target, module, error in (("", nn.ReLU(), ValueError), ("0", None, ValueError), ("0.weight", nn.ReLU(),
                                  AttributeError), ("2.0", nn.ReLU(), AttributeError)):
        with pytest.raises(error):
            model.set_submodule(target, module)
    with pytest.raises(AttributeError):
        model.set_submodule("1.7", nn.ReLU(), strict=True)


# Beside PyTorch


def describe(library, module):
    return [repr(module), list(module.state_dict()), names(module), *module.state_dict().values()]


def train(library, module, x):
    optimizer, losses = library.optim.SGD(module.parameters(), lr=0.1), []
    for _ in range(3):
        optimizer.zero_grad()
        losses.append(module(x).square().mean())
        losses[-1].backward()
        optimizer.step()
    return losses


def norms(library, u):
    for kind, kwargs in [("weight_norm", {}), ("weight_norm", {"dim": None}), ("spectral_norm", {}),
                         *(("orthogonal", {"orthogonal_map": how, "use_trivialization": trivialized})
                           for how in ("matrix_exp", "cayley", "householder") for trivialized in (True, False))]:
        for shape in ((4, 4), (3, 5), (6, 2)):
            layer = getattr(u.parametrizations, kind)(library.nn.Linear(*shape), **kwargs)
            yield from describe(library, layer)
            yield from train(library, layer, library.randn(5, shape[0]))
            yield from describe(library, layer.eval())
            yield from describe(library, u.parametrize.remove_parametrizations(layer, "weight"))
    for function in (u.parametrizations.spectral_norm, u.parametrizations.weight_norm, u.spectral_norm, u.weight_norm):
        for layer in (library.nn.Conv2d(3, 4, 3), library.nn.ConvTranspose2d(3, 4, 3)):
            layer = function(layer)
            yield from train(library, layer, library.randn(2, 3, 5, 5))
            yield from layer.state_dict().values()


def prunings(library, u):
    p = u.prune
    for go in (lambda m: p.random_unstructured(m, "weight", 0.4), lambda m: p.l1_unstructured(m, "weight", 3),
               lambda m: p.random_structured(m, "weight", 0.5, 0), lambda m: p.ln_structured(m, "weight", 1, 2, 1),
               lambda m: p.ln_structured(m, "weight", 0.3, float("inf"), -1)):
        layer = library.nn.Linear(5, 4)
        go(layer)
        yield from describe(library, layer)
        yield from train(library, layer, library.randn(3, 5))
        p.l1_unstructured(layer, "weight", 0.5)
        p.random_structured(layer, "weight", 1, 1)
        yield from describe(library, layer)
        yield from describe(library, p.remove(layer, "weight"))
    model = library.nn.Sequential(library.nn.Linear(5, 4), library.nn.Linear(4, 3))
    for method, amount in ((p.L1Unstructured, 0.4), (p.RandomUnstructured, 5)):
        p.global_unstructured([(part, "weight") for part in model], method, amount=amount)
        yield from describe(library, model)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", [norms, prunings])
def test_beside_pytorch(torch, program):
    pytest.importorskip("torch.nn.utils.prune")
    results = []
    for library in (mt, torch):
        library.manual_seed(3)
        results.append(list(program(library, library.nn.utils)))
    assert len(results[0]) == len(results[1])
    for a, b in zip(*results):
        if isinstance(b, torch.Tensor):
            close(a, b.detach(), 2e-5)
        else:
            assert a == b
