"""PyTorch's own tables of layers and optimizers run against minitorch: every entry that minitorch has, all samples.

The tables (`module_db`, `optim_db`) come with PyTorch's wheel. A layer is built with a sample's arguments under the
same seed: initial values, names, outputs and the gradients of inputs and parameters are compared, in training and in
evaluation. An optimizer takes some steps beside PyTorch's, then goes on from PyTorch's saved state. Bad inputs must
raise PyTorch's class of exception.

    python tests/test_pytorch_modules.py                the table of all entries, in Markdown
    python tests/test_pytorch_modules.py Linear SGD     those entries, with what fails

Under pytest a part of the samples of each entry runs.
"""
from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import inspect
import itertools
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parent.parent
    sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

import minitorch as mt

SLICES = 8
DTYPES = ("float32", "float64")
TOLERANCE = {"float32": (2e-5, 2e-5), "float64": (1e-7, 1e-9)}  # rtol, atol
COARSE = {"nn.CTCLoss": 10}  # times that in float32, in which PyTorch's own gradient is as far from the true one

# What is done to the inputs first. PyTorch's gradient of ctc_loss is right only behind log_softmax, as it says.
PREPARED = {"nn.CTCLoss": lambda args: (args[0].log_softmax(-1), *args[1:])}


class Different(Exception):
    """What tells minitorch's result from PyTorch's."""


# Arguments and results


class Converter:
    """PyTorch's arguments as minitorch's; what is one object there is one object here."""

    def __init__(self, torch):
        self.torch, self.seen = torch, {}

    def __call__(self, x):
        torch = self.torch
        if isinstance(x, torch.Tensor):
            if id(x) not in self.seen:
                self.seen[id(x)] = x, tensor_of(x)
            return self.seen[id(x)][1]
        if isinstance(x, torch.nn.TransformerEncoderLayer):
            return encoder_layer_of(x, self)
        if isinstance(x, torch.nn.Module):
            return getattr(mt.nn, type(x).__name__)()
        if isinstance(x, torch.dtype):
            return getattr(mt, str(x).removeprefix("torch."))
        if isinstance(x, torch.device):
            return mt.device(str(x))
        if isinstance(x, torch.nn.utils.rnn.PackedSequence):
            return mt.nn.utils.rnn.PackedSequence(*map(self, x))
        if isinstance(x, getattr(torch.nn, "LinearCrossEntropyOptions", ())):
            return mt.nn.LinearCrossEntropyOptions(**dataclasses.asdict(x))
        if isinstance(x, (list, tuple)):
            return type(x)(map(self, x)) if type(x) in (list, tuple) else tuple(map(self, x))
        if isinstance(x, dict):
            return {key: self(value) for key, value in x.items()}
        if callable(x) and hasattr(torch.nn.functional, getattr(x, "__name__", " ")):
            return getattr(mt.nn.functional, x.__name__)
        return x


def encoder_layer_of(x, convert):
    """A layer with the same options and values; TransformerEncoder's samples hand one over."""
    attention = x.self_attn
    made = mt.nn.TransformerEncoderLayer(
        attention.embed_dim, attention.num_heads, x.linear1.out_features, x.dropout.p, convert(x.activation),
        x.norm1.eps, attention.batch_first, x.norm_first, x.linear1.bias is not None,
        dtype=convert(x.linear1.weight.dtype))
    made.load_state_dict({name: tensor_of(value) for name, value in x.state_dict().items()})
    return made


def tensor_of(x):
    if x.is_sparse:
        x = x.coalesce()
        return mt.sparse_coo_tensor(tensor_of(x.indices()), tensor_of(x.values()), tuple(x.shape))
    made = mt.from_numpy(x.detach().numpy().copy())
    return made.requires_grad_() if x.requires_grad else made


def tensors(library, x) -> list:
    """All tensors in a structure, in order."""
    if isinstance(x, library.Tensor):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [t for part in x for t in tensors(library, part)] if isinstance(x, (list, tuple)) else []


def expect_same(what: str, a, b, tolerance) -> None:
    """Raises Different unless minitorch's tensor `a` is PyTorch's `b`."""
    if (a is None) != (b is None):
        raise Different(f"{what}: {a} instead of {b}")
    if b is None:
        return
    if tuple(a.shape) != tuple(b.shape) or str(a.dtype) != str(b.dtype):
        raise Different(f"{what}: {a.dtype} {tuple(a.shape)} instead of {b.dtype} {tuple(b.shape)}")
    x, y = a.detach().numpy(), b.detach().numpy()
    close = np.isclose(x, y, *tolerance, equal_nan=True) if x.dtype.kind in "fc" else x == y
    if not close.all():
        first = tuple(np.argwhere(~close)[0])
        raise Different(f"{what}: {int((~close).sum())} of {x.size} values, first {x[first]} instead of {y[first]}")


def expect_same_names(what: str, ours, theirs) -> None:
    if list(ours) != list(theirs):
        raise Different(f"{what}: {list(ours)} instead of {list(theirs)}")


# A layer


def check_module(torch, info, sample, dtype: str, training: bool) -> None:
    """Build, run and differentiate one sample both ways. Raises Different, or what minitorch raises."""
    constructor, forward = sample.constructor_input, sample.forward_input
    tolerance = tuple((COARSE.get(info.name, 1) if dtype == "float32" else 1) * t for t in TOLERANCE[dtype])
    args, kwargs = forward.args, forward.kwargs
    own_args, own_kwargs = Converter(torch)((args, kwargs))
    prepare = PREPARED.get(info.name, lambda args: args)
    theirs, ours = build(torch, info, constructor, dtype, training)
    if not info.is_lazy:
        compare_states(ours, theirs, tolerance)
        ours.load_state_dict({name: tensor_of(value) for name, value in theirs.state_dict().items()})
    torch.manual_seed(3)
    expected = theirs(*prepare(args), **kwargs)
    mt.manual_seed(3)
    actual = ours(*prepare(own_args), **own_kwargs)
    compare_states(ours, theirs, tolerance)

    results, own_results = tensors(torch, expected), tensors(mt, actual)
    if len(results) != len(own_results):
        raise Different(f"{len(own_results)} results instead of {len(results)}")
    for i, (a, b) in enumerate(zip(own_results, results)):
        expect_same(f"result {i}", a, b, tolerance)
        if a.requires_grad != b.requires_grad:
            raise Different(f"result {i}: requires_grad={a.requires_grad} instead of {b.requires_grad}")
    pairs = [(a, b) for a, b in zip(own_results, results) if b.requires_grad]
    if not pairs or any(not torch.isfinite(b).all() for _, b in pairs):
        return
    weights = [torch.randn_like(b) for _, b in pairs]
    leaves = [*tensors(torch, (args, kwargs)), *theirs.parameters()]
    own_leaves = [*tensors(mt, (own_args, own_kwargs)), *ours.parameters()]
    wanted = [i for i, leaf in enumerate(leaves) if leaf.requires_grad]
    slopes = torch.autograd.grad([b for _, b in pairs], [leaves[i] for i in wanted], weights, allow_unused=True)
    own_slopes = mt.autograd.grad([a for a, _ in pairs], [own_leaves[i] for i in wanted],
                                  [tensor_of(w) for w in weights], allow_unused=True)
    for i, a, b in zip(wanted, own_slopes, slopes):
        scale = max(1.0, float(b.abs().max())) if b is not None and b.numel() else 1.0
        expect_same(f"gradient {i} of {len(leaves)}", a, b, (tolerance[0], tolerance[1] * scale))


def build(torch, info, constructor, dtype, training) -> tuple:
    """PyTorch's layer and minitorch's, from the same arguments and seed."""
    args, kwargs = constructor.args, constructor.kwargs
    torch.manual_seed(5)
    theirs = info.module_cls(*args, **kwargs)
    mt.manual_seed(5)
    convert = Converter(torch)
    ours = getattr(mt.nn, info.module_cls.__name__)(*convert(args), **convert(kwargs))
    return theirs.to(getattr(torch, dtype)).train(training), ours.to(getattr(mt, dtype)).train(training)


def compare_states(ours, theirs, tolerance) -> None:
    expect_same_names("parameters", *[[name for name, _ in m.named_parameters()] for m in (ours, theirs)])
    own, state = ours.state_dict(), theirs.state_dict()
    expect_same_names("state", own, state)
    for name, value in state.items():
        expect_same(name, own[name], value, tolerance)


def must_raise(torch, info, bad) -> None:
    """Raises Different unless minitorch raises an exception of the expected class."""
    sample, convert = bad.module_error_input, Converter(torch)
    constructor, forward = sample.constructor_input, sample.forward_input
    cls = getattr(mt.nn, info.module_cls.__name__)
    with expected_error(bad):
        module = cls(*convert(constructor.args), **convert(constructor.kwargs))
        if bad.error_on.name == "FORWARD_ERROR":
            module(*convert(forward.args), **convert(forward.kwargs))


@contextlib.contextmanager
def expected_error(bad):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            yield
    except bad.error_type:
        return
    except Exception as error:
        raise Different(f"{type(error).__name__} ({error}) instead of {bad.error_type}: "
                        f"{bad.error_regex[:100]}") from error
    raise Different(f"nothing raised instead of {bad.error_type}: {bad.error_regex[:150]}")


def examine_module(torch, info, report: Report, at_most: int | None) -> None:
    for name, training in itertools.product(DTYPES, (True, False)):
        dtype = getattr(torch, name)
        if dtype not in info.dtypes or (not training and not info.train_and_eval_differ):
            continue
        torch.manual_seed(1)
        samples = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)
        for sample in thinned([s for s in samples if s.forward_input is not None], at_most):
            report.count("samples", check_module, torch, info, sample, name, training)
    if info.module_error_inputs_func is not None:
        torch.manual_seed(1)
        for bad in info.module_error_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=True,
                                                 training=True):
            report.count("errors", must_raise, torch, info, bad)


# An optimizer


def check_optimizer(torch, info, options: dict, dtype: str) -> None:
    """Some steps on a least-squares problem both ways; then from PyTorch's saved state. Raises Different."""
    generator, flat = np.random.default_rng(0), info.name == "Muon"
    starts = [generator.standard_normal(shape) for shape in ([(5, 4), (3, 5)] if flat else [(5, 4), (5,)])]
    x = generator.standard_normal((6, 4))
    own_class, convert = getattr(mt.optim, info.name), Converter(torch)

    def run(library, params, optimizer, steps):
        data = library.tensor(x, dtype=getattr(library, dtype))

        def closure():
            optimizer.zero_grad()
            y = data @ params[0].t()
            loss = (y @ params[1].t() if flat else y + params[1]).square().mean()
            loss.backward()
            for p in params if info.only_supports_sparse_grads else []:
                p.grad = p.grad.to_sparse()
            return loss

        return [optimizer.step(closure) for _ in range(steps)]

    def leaves(library, arrays):
        return [library.tensor(a, dtype=getattr(library, dtype), requires_grad=True) for a in arrays]

    def compare(tolerance):
        for i, (a, b) in enumerate(zip(losses, expected)):
            expect_same(f"loss {i}", a, b, tolerance)
        for i, (a, b) in enumerate(zip(ours, theirs)):
            expect_same(f"parameter {i}", a, b, tolerance)

    theirs, ours = leaves(torch, starts), leaves(mt, starts)
    reference = info.optim_cls(theirs, **copy.deepcopy(options))
    optimizer = own_class(ours, **convert(options))
    expected, losses = run(torch, theirs, reference, 6), run(mt, ours, optimizer, 6)
    rtol, atol = (0.02, 0.02) if info.name == "Muon" else 20 * np.array(TOLERANCE[dtype])  # Muon rounds to bfloat16
    compare((rtol, atol))
    saved, own_saved = reference.state_dict(), optimizer.state_dict()
    expect_same_names("options", sorted(own_saved["param_groups"][0]), sorted(saved["param_groups"][0]))
    for i, state in saved["state"].items():
        expect_same_names("state", sorted(own_saved["state"][i]), sorted(state))

    ours = leaves(mt, [t.detach().numpy() for t in theirs])
    optimizer = own_class(ours, **convert(options))
    optimizer.load_state_dict(convert(saved))
    expected, losses = run(torch, theirs, reference, 2), run(mt, ours, optimizer, 2)
    compare((rtol, atol))


def optimizer_must_raise(torch, info, bad) -> None:
    sample, convert = bad.optimizer_error_input, Converter(torch)
    params = [torch.zeros(2, 2, requires_grad=True)] if sample.params is None else sample.params
    if not isinstance(params, torch.Tensor):
        params = list(params)
    own = convert(params)
    for ours, theirs in zip(tensors(mt, own), tensors(torch, params)):
        ours.grad = None if theirs.grad is None else tensor_of(theirs.grad)
    with expected_error(bad):
        optimizer = getattr(mt.optim, info.name)(own, **convert(sample.kwargs))
        if bad.error_on.name == "STEP_ERROR":
            optimizer.step()


def examine_optimizer(torch, info, report: Report, at_most: int | None) -> None:
    for dtype in DTYPES:
        options = [sample.kwargs for sample in info.optim_inputs_func(device="cpu")]
        flags = [{"foreach": True}] if "foreach" in info.supported_impls else []
        flags += [{"fused": True}] if "cpu" in info.supports_fused_on else []
        for chosen in [*options, *flags]:
            if not chosen.get("capturable"):  # PyTorch has it on the GPU alone
                report.count("samples", check_optimizer, torch, info, chosen, dtype)
    if info.optim_error_inputs_func is not None:
        for bad in info.optim_error_inputs_func(device="cpu", dtype=torch.float32):
            report.count("errors", optimizer_must_raise, torch, info, bad)


# Reports


class Report:
    """What came of one entry: how many passed of each kind, and how the others failed."""

    def __init__(self, name: str):
        self.name, self.passed, self.run = name, collections.Counter(), collections.Counter()
        self.failures: list[str] = []

    def count(self, kind: str, check, *args) -> None:
        self.run[kind] += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(*args)
            self.passed[kind] += 1
        except Exception as error:
            self.failures.append(f"{kind}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")

    def figures(self, kind: str) -> str:
        return f"{self.passed[kind]} of {self.run[kind]}" if self.run[kind] else ""


def thinned(samples: list, at_most: int | None) -> list:
    if at_most is None or len(samples) <= at_most:
        return samples
    return [samples[i * len(samples) // at_most] for i in range(at_most)]


def entries(torch) -> list[tuple]:
    """(entry, the function that examines it) for all layers and optimizers; those that minitorch lacks too."""
    from torch.testing._internal.common_modules import module_db
    from torch.testing._internal.common_optimizers import optim_db

    return [*((info, examine_module) for info in module_db), *((info, examine_optimizer) for info in optim_db)]


def had(info, examine) -> bool:
    if examine is examine_optimizer:
        return hasattr(mt.optim, info.name)
    return inspect.isclass(getattr(mt.nn, info.module_cls.__name__, None))


# Under pytest


@pytest.mark.parametrize("part", range(SLICES))
def test_entries(torch, part):
    """A slice of the entries that minitorch has: some samples of each pass, and bad inputs raise."""
    pytest.importorskip("torch.testing._internal.common_modules")
    failed = []
    for info, examine in entries(torch)[part::SLICES]:
        if had(info, examine):
            report = Report(info.name)
            examine(torch, info, report, 2)
            failed += [f"{info.name}, {message}" for message in report.failures]
    assert not failed, "\n".join(failed)


# By hand


def main(names: list[str]) -> None:
    import torch

    torch.set_num_threads(1)
    print("| entry | samples passed | error inputs that raise |\n|---|---|---|")
    reports, lacking = [], []
    for info, examine in entries(torch):
        short = info.name.rpartition(".")[2]
        if names and short not in names:
            continue
        if not had(info, examine):
            lacking.append(short)
            continue
        reports.append(report := Report(short))
        examine(torch, info, report, None)
        print(f"| {short} | {report.figures('samples')} | {report.figures('errors')} |", flush=True)
        for message in dict.fromkeys(report.failures) if names else ():
            print("    " + message)
    total = Report("")
    for report in reports:
        total.passed.update(report.passed)
        total.run.update(report.run)
    print(f"\nEntries had: {len(reports)} of {len(reports) + len(lacking)}" +
          (f" (not: {', '.join(lacking)})" if lacking else "") +
          f". Samples passed: {total.figures('samples')}. Error inputs that raise: {total.figures('errors')}.")
    failing = [report.name for report in reports if report.failures]
    if failing:
        print(f"With failures: {', '.join(failing)}.")


if __name__ == "__main__":
    main(sys.argv[1:])
