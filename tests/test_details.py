"""Small things that programs see: what prints, what a state dict names, in which order random numbers fill memory."""
from __future__ import annotations

import inspect

import pytest

import minitorch as mt
from minitorch import nn
from minitorch.optim import SGD, Adam, lr_scheduler
from minitorch.vision import transforms


def test_numbers_fill_memory_in_its_order(torch):
    fills = ["uniform_", "normal_", "exponential_", "bernoulli_", "random_", "log_normal_", "cauchy_"]

    def drawn(lib):
        lib.manual_seed(3)
        found = []
        for name in fills:
            for x in (lib.empty(3, 4).t(), lib.empty(8, 6)[:, ::2], lib.empty(2, 3, 4).permute(2, 0, 1)):
                found.append(getattr(x, name)().tolist())
        x = lib.empty(5, 4).t()
        found += [f(x).tolist() for f in (lib.randn_like, lib.rand_like)]
        found.append(lib.randint_like(x, 9).tolist())
        found.append(lib.rand_like(x).stride())
        found.append(x.bernoulli_(lib.linspace(0, 1, 5)).tolist())
        return found

    for ours, theirs in zip(drawn(mt), drawn(torch)):
        assert ours == pytest.approx(theirs, rel=1e-5) if not isinstance(ours[0], list) else \
            mt.allclose(mt.tensor(ours), mt.tensor(theirs), 1e-5)


def test_a_transposed_tensor_is_filled_as_its_memory():
    mt.manual_seed(0)
    plain = mt.empty(3, 4).uniform_()
    mt.manual_seed(0)
    assert mt.empty(3, 4).t().uniform_().t().tolist() == plain.tolist()


def test_text_is_no_index():
    for wrong in ("x", (0, "x")):
        with pytest.raises(TypeError, match="invalid data type 'str'"):
            mt.ones(2, 2)[wrong]


def test_results_with_backward_hooks_are_not_changed_in_place():
    layer = nn.Linear(2, 2)
    layer.register_full_backward_hook(lambda *_: None)
    x = mt.ones(1, 2, requires_grad=True)
    for change in (lambda y: y.add_(1), lambda y: y.relu_(), lambda y: y.__setitem__((0, 0), 1),
                   lambda y: y[0].zero_()):
        with pytest.raises(RuntimeError, match="BackwardHookFunction is a view and is being modified inplace"):
            change(layer(x))
    with mt.no_grad():
        layer(x).add_(1)
    layer(x).clone().add_(1).sum().backward()
    assert x.grad is not None


SCHEDULERS = {
    "StepLR": lambda lib, o: lib.StepLR(o, 2), "OneCycleLR": lambda lib, o: lib.OneCycleLR(o, 0.1, total_steps=10),
    "three": lambda lib, o: lib.OneCycleLR(o, 0.1, total_steps=10, three_phase=True),
    "CyclicLR": lambda lib, o: lib.CyclicLR(o, 0.1, 0.2), "plateau": lambda lib, o: lib.ReduceLROnPlateau(o),
    "cosine": lambda lib, o: lib.CosineAnnealingLR(o, 5)}
BASE = {"_get_lr_called_within_step", "_is_initial", "_last_lr", "_step_count", "base_lrs", "last_epoch"}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_state_dicts_of_schedules(name, torch):
    def state(lib, schedulers):
        optimizer = lib.optim.SGD([lib.nn.Parameter(lib.ones(2))], lr=0.1, momentum=0.9)
        return SCHEDULERS[name](schedulers, optimizer).state_dict()

    assert state(mt, lr_scheduler) == state(torch, torch.optim.lr_scheduler)


def test_keys_of_schedules():
    o = SGD([nn.Parameter(mt.ones(1))], lr=0.1, momentum=0.9)
    assert set(lr_scheduler.StepLR(o, 2).state_dict()) == BASE | {"gamma", "step_size"}
    assert set(lr_scheduler.OneCycleLR(o, 0.1, 10).state_dict()) == BASE | {
        "_anneal_func_type", "_schedule_phases", "cycle_momentum", "total_steps", "use_beta1"}
    again = lr_scheduler.OneCycleLR(Adam([nn.Parameter(mt.ones(1))]), 0.1, 10)
    again.load_state_dict(lr_scheduler.OneCycleLR(o, 0.1, 10).state_dict())
    assert again._schedule_phases[0]["end_step"] == 2.0


def test_transforms_print_as_torchvisions():
    T = transforms
    shown = {
        T.RandomResizedCrop(224): "RandomResizedCrop(size=(224, 224), scale=(0.08, 1.0), ratio=(0.75, 1.3333), "
                                  "interpolation=bilinear, antialias=True)",
        T.RandomAffine(10, (0.1, 0.2)): "RandomAffine(degrees=[-10.0, 10.0], translate=(0.1, 0.2))",
        T.RandomChoice([T.ToTensor()]): "RandomChoice(\n    ToTensor()\n)(p=None)",
        T.ToPILImage(): "ToPILImage()", T.ToPILImage("L"): "ToPILImage(mode=L)",
        T.RandomPosterize(3): "RandomPosterize(bits=3,p=0.5)", T.ConvertImageDtype(mt.float32): "ConvertImageDtype()",
        T.TrivialAugmentWide(): "TrivialAugmentWide(num_magnitude_bins=31, interpolation=InterpolationMode.NEAREST, "
                                "fill=None)",
        T.LinearTransformation(mt.eye(1), mt.zeros(1)): "LinearTransformation(transformation_matrix=[[1.0]], "
                                                        "mean_vector=[0.0])",
    }
    assert {repr(t): text for t, text in shown.items()} == {text: text for text in shown.values()}


def test_classes_print_as_pytorchs_in_programs(tmp_path, run_python):
    program = tmp_path / "p.py"
    program.write_text("import torch\nprint(type(torch.ones(1)), type(torch.ones(1).shape), type(torch.float32))")
    assert run_python(f"from minitorch.run import run_file; run_file({str(program)!r}, [])\n"
                      "import minitorch; print(minitorch.Tensor)") == \
        "<class 'torch.Tensor'> <class 'torch.Size'> <class 'torch.dtype'>\n<class 'minitorch.tensor.Tensor'>"


def test_linear_cross_entropy():
    rng = mt.Generator().manual_seed(0)
    x, w = mt.randn(4, 3, generator=rng), mt.randn(5, 2, 3, generator=rng)
    target = mt.tensor([[0, 4], [1, -100], [2, 2], [3, 0]])
    expected = nn.functional.cross_entropy(mt.einsum("ni,cdi->ncd", x, w), target)
    assert mt.allclose(nn.functional.linear_cross_entropy(x, w, target), expected)
    for bad in (dict(linear_weight=w[..., :2]), dict(linear_bias=mt.ones(5)), dict(input=x[None])):
        with pytest.raises(RuntimeError, match="linear_cross_entropy: expected"):
            nn.functional.linear_cross_entropy(**{"input": x, "linear_weight": w, "target": target, **bad})


def test_linear_cross_entropy_in_pieces():
    rng, losses = mt.Generator().manual_seed(0), []
    x, w, scale = mt.randn(7, 3, generator=rng), mt.randn(5, 3, generator=rng), mt.rand(5, generator=rng)
    target = mt.tensor([0, 4, 1, -100, 2, 2, 3])
    for options in (None, nn.LinearCrossEntropyOptions(batch_chunk_size=3), nn.LinearCrossEntropyOptions()):
        for reduction in ("mean", "sum"):
            leaves = [t.clone().requires_grad_() for t in (x, w)]
            loss = nn.functional.linear_cross_entropy(*leaves, target, weight=scale, label_smoothing=0.1,
                                                      reduction=reduction, options=options)
            losses.append(mt.cat([loss[None], *(g.flatten() for g in mt.autograd.grad(loss, leaves))]))
    assert all(mt.allclose(a, b, atol=1e-6) for a, b in zip(losses, losses[:2] * 2 + losses[:2]))
    with pytest.raises(ValueError, match="aspect_ratio"):
        nn.LinearCrossEntropyOptions(chunking_method="by hand")


@pytest.mark.parametrize("name", ["gradcheck", "gradgradcheck"])
def test_gradcheck_has_pytorchs_arguments(name, torch):
    ours, theirs = (inspect.signature(getattr(lib.autograd, name)).parameters for lib in (mt, torch))
    assert list(ours) == list(theirs)


def test_gradcheck_looks_for_what_it_is_told_to():
    x = mt.ones(2, dtype=mt.float64, requires_grad=True)
    noise = iter(range(1000))

    class Restless(mt.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, dy):
            return dy * (2 + next(noise) * 1e-7)

    with pytest.raises(RuntimeError, match="not reentrant"):
        mt.autograd.gradcheck(Restless.apply, x, atol=1e-3)
    assert mt.autograd.gradcheck(Restless.apply, x, atol=1e-3, nondet_tol=1e-3)
    assert mt.autograd.gradcheck(lambda x: x * x, x, nondet_tol=0.0, check_grad_dtypes=True)
    assert mt.autograd.gradgradcheck(lambda x: x**3, x, gen_non_contig_grad_outputs=True)
