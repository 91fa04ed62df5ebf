"""PyTorch's own operator table run against minitorch: every entry that minitorch has, all its samples.

The table (`op_db`) comes with PyTorch's wheel: 702 entries, each with sample inputs for every dtype and with inputs
that must raise. Outputs (values, dtype, shape, structure), gradients and methods are compared with PyTorch's.

    python tests/test_pytorch_ops.py                 every entry, all samples: a line each
    python tests/test_pytorch_ops.py add conv2d      those entries, with what fails
    python tests/test_pytorch_ops.py --table         writes tests/pytorch_ops.md

Under pytest a part of the samples of each entry runs, and what the table below does not name must pass.
"""
from __future__ import annotations

import collections
import sys
import time
import types
import warnings
from pathlib import Path

import pytest

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parent.parent
    sys.path[:0] = [str(ROOT), str(ROOT / "kernels"), str(ROOT / "tests")]

from beside_pytorch import PRECISION, Unsupported, difference, doubled, leaves, ours, slope_difference, tensors

import minitorch as mt

SLICES = 24
DIFFERENTIABLE, OTHERS = ("float32", "float64"), ("int64", "bool", "complex64")

# How an entry's name resolves where it is no plain name below minitorch and no method.
RESOLVED = {name: f"Tensor.{name}_" for name in ("cauchy", "exponential", "geometric", "log_normal", "uniform")}

# Entries whose values say nothing: memory that nobody has written.
UNINITIALISED = {"empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided", "resize_",
                 "resize_as_"}

# Entries compared after `output_process_fn_grad`: vectors are unique up to sign or phase.
UP_TO_SIGN = {"svd", "linalg.svd", "linalg.eigh", "linalg.eig", "svd_lowrank", "pca_lowrank"}

# What need not pass under pytest, and why.
KNOWN = {
    "__radd__": "2 + x goes straight to the op, and so does Tensor.__radd__(2, x), which nobody writes",
    "addbmm": "PyTorch's addbmm_ gives a broadcast input the result's shape; here that raises",
    "argsort": "without stable=True, which index equal elements get is PyTorch's affair",
    "as_strided_scatter": "PyTorch's gradient of the input is that of the replaced part, and zero elsewhere",
    "cdist": "one distance of many, by matrix products as asked for, loses more digits to cancellation",
    "gather": "an empty index may there have any dimensions, and an out that grows reach into the index",
    "histogramdd": "edges that do not ascend, which mean nothing",
    "kthvalue": "which of equal elements",
    "mode": "which of equal elements",
    "narrow_copy": "a dimension out of range is an IndexError, as everywhere",
    "nn.functional.batch_norm": "an empty input of one dimension, which has no channels",
    "nn.functional.ctc_loss": "PyTorch's gradient supposes normalised log-probabilities; behind log_softmax both agree",
    "sort": "without stable=True, which index equal elements get is PyTorch's affair",
    "sparse.mm reduce": "compressed sparse rows",
    "special.bessel_j0": "PyTorch's is good to 1e-6",
    "special.bessel_y1": "PyTorch's is good to 1e-6",
    "topk": "which of equal elements",
}


# The entries


def entries(torch) -> list:
    """All entries of the table, including those that minitorch does not have."""
    from torch.testing._internal.common_methods_invocations import op_db

    return op_db


def resolve(entry):
    """minitorch's function for the entry, or None. A lambda of the table is run with `torch` meaning minitorch."""
    name = RESOLVED.get(entry.name, entry.name)
    found = lookup(mt, name)
    if found is None or isinstance(found, mt.dtype):
        found = getattr(mt.Tensor, name, None)
    wrapper = entry.op
    if found is not None and isinstance(wrapper, types.FunctionType) and ".testing." in wrapper.__module__:
        scope = {**wrapper.__globals__, "torch": mt, "wrapper_set_seed": seeded}
        return types.FunctionType(wrapper.__code__, scope, "wrapper", wrapper.__defaults__, wrapper.__closure__)
    return found


def lookup(root, path: str):
    for part in path.split("."):
        root = getattr(root, part, None)
        if root is None:
            return None
    return root


def seeded(function, *args, **kwargs):
    """What the table's `wrapper_set_seed` does."""
    mt.manual_seed(42)
    return function(*args, **kwargs)


def tolerance_of(torch, entry, dtype) -> tuple[float, float]:
    """(rtol, atol): PyTorch's for the dtype, or the widest that the entry's own tests allow on the CPU."""
    rtol, atol = PRECISION.get(str(dtype)[6:], (0.0, 0.0))
    for info in entry.decorators:
        if getattr(info, "device_type", None) in (None, "cpu"):
            for decorator in getattr(info, "decorators", [info]):
                allowed = getattr(decorator, "d", {}).get(dtype)
                if hasattr(allowed, "rtol"):
                    rtol, atol = max(rtol, allowed.rtol), max(atol, allowed.atol)
    return rtol, atol


# One sample


def compare(torch, entry, function, sample, dtype, gradients, theirs=None) -> str | None:
    """Run one sample both ways: what differs, or None. Raises what minitorch raises.

    In single precision a result may also lie as far from PyTorch's double precision as PyTorch's own.
    """
    call, process = ((sample.input, *sample.args), sample.kwargs), sample.output_process_fn_grad
    my_call, wide_call = ours(torch, call), doubled(torch, call)  # at once: some entries write to their input
    mt.manual_seed(7)
    actual = function(*my_call[0], **my_call[1])
    theirs = entry if theirs is None else theirs
    expected, weights, slopes = evaluate(torch, theirs, call, process, gradients)
    my_slopes = [None] * len(slopes)
    mine = [(y, w) for y, w in zip(tensors(mt, process(actual)) if weights else [], weights)
            if w is not None and y.requires_grad]  # a result that here is constant counts as of gradient zero
    if mine:
        my_slopes = mt.autograd.grad([y for y, _ in mine], leaves(mt, my_call), [ours(torch, w) for _, w in mine],
                                     allow_unused=True)
    if entry.name in UP_TO_SIGN:
        actual, expected = process(actual), process(expected)
    tolerance, values = tolerance_of(torch, entry, dtype), entry.name not in UNINITIALISED
    found = difference(torch, actual, expected, tolerance, values) or slope_difference(torch, my_slopes, slopes,
                                                                                       tolerance)
    if found is None or dtype not in (torch.float32, torch.complex64) or " values, " not in found:
        return found
    truth, _, true_slopes = evaluate(torch, theirs, wide_call, process, gradients, weights)
    if entry.name in UP_TO_SIGN:
        truth = process(truth)
    return difference(torch, actual, expected, tolerance, values, truth=truth) or slope_difference(
        torch, my_slopes, slopes, tolerance, true_slopes)


def evaluate(torch, function, call, process, gradients, weights=None) -> tuple:
    """PyTorch's result, the weights of its tensors (None for constant ones), the gradients of their weighted sum."""
    torch.manual_seed(7)
    result = function(*call[0], **call[1])
    inputs, ys = leaves(torch, call), tensors(torch, process(result)) if gradients else []
    if not inputs or not any(y.requires_grad for y in ys):
        return result, [], []
    if weights is None:
        weights = [torch.randn_like(y) if y.requires_grad else None for y in ys]
    ys, sums = zip(*[(y, w.to(y.dtype)) for y, w in zip(ys, weights) if w is not None])
    return result, weights, torch.autograd.grad(ys, inputs, sums, allow_unused=True)


def compare_method(torch, entry, name, sample, dtype) -> str | None:
    """The method `name`, in place or not, beside PyTorch's."""
    theirs = getattr(torch.Tensor, name)
    call = (sample.input.detach().clone(), *sample.args), sample.kwargs
    try:
        theirs(*copied(torch, call[0]), **call[1])
    except Exception:
        return None  # PyTorch's method does not take this sample
    plain = types.SimpleNamespace(input=call[0][0], args=sample.args, kwargs=sample.kwargs,
                                  output_process_fn_grad=sample.output_process_fn_grad)
    found = compare(torch, entry, getattr(mt.Tensor, name), plain, dtype, False, theirs)
    return found and f"Tensor.{name}: {found}"


def copied(torch, x):
    """PyTorch's arguments with tensors copied."""
    return (x[0].clone(), *x[1:])


class Report:
    """What came of one entry: by dtype passed and run, methods, error inputs, the first failure of each kind."""

    def __init__(self, name: str):
        self.name, self.had, self.seconds = name, True, 0.0
        self.passed: collections.Counter = collections.Counter()
        self.run: collections.Counter = collections.Counter()
        self.failures: dict[str, list[str]] = {}

    def count(self, kind: str, failure: str | None) -> None:
        self.run[kind] += 1
        if failure is None:
            self.passed[kind] += 1
        else:
            self.failures.setdefault(kind, []).append(failure)

    def figures(self, *kinds: str) -> tuple[int, int]:
        return sum(self.passed[k] for k in kinds), sum(self.run[k] for k in kinds)


def examine(torch, entry, at_most: int | None = None) -> Report:
    """Run the entry's samples, `at_most` of each dtype, its methods and its error inputs."""
    report = Report(f"{entry.name} {entry.variant_test_name}".strip())
    function = resolve(entry)
    if function is None:
        report.had = False
        return report
    start = time.perf_counter()
    for name in (*DIFFERENTIABLE, *OTHERS):
        dtype = getattr(torch, name)
        if not entry.supports_dtype(dtype, "cpu"):
            continue
        gradients = name in DIFFERENTIABLE and entry.supports_autograd
        torch.manual_seed(0)
        samples = list(entry.sample_inputs("cpu", dtype, requires_grad=gradients))
        for sample in thinned(samples, at_most):
            report.count(name, attempt(compare, torch, entry, function, sample, dtype, gradients))
        if name == "float32" or (name == "int64" and not report.run["float32"]):
            for variant in filter(None, (entry.method_variant, entry.inplace_variant)):
                method = getattr(variant, "__name__", "__")
                if hasattr(torch.Tensor, method) and not method.startswith("__"):
                    for sample in thinned(samples, at_most):
                        if isinstance(sample.input, torch.Tensor):
                            report.count("method", attempt(compare_method, torch, entry, method, sample, dtype))
    if entry.error_inputs_func is not None:
        torch.manual_seed(0)
        for bad in entry.error_inputs("cpu"):
            failure = attempt(must_raise, torch, entry, function, bad)
            if failure is None or raises(entry, bad):
                report.count("error", failure)
    report.seconds = time.perf_counter() - start
    return report


def thinned(samples: list, at_most: int | None) -> list:
    if at_most is None or len(samples) <= at_most:
        return samples
    return [samples[i * len(samples) // at_most] for i in range(at_most)]


def attempt(check, torch, *args) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return check(torch, *args)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def must_raise(torch, entry, function, bad) -> str | None:
    """None where minitorch raises an exception of the expected class."""
    sample = bad.sample_input
    call = (sample.input, *sample.args), sample.kwargs
    try:
        args, kwargs = ours(torch, call)
        function(*args, **kwargs)
    except bad.error_type:
        return None
    except Unsupported as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__} instead of {bad.error_type}: {str(error)[:100]} / {bad.error_regex[:100]}"
    return f"nothing raised instead of {bad.error_type}: {bad.error_regex[:150]}"


def raises(entry, bad) -> bool:
    """Whether PyTorch itself raises: of some entries not all error inputs do."""
    try:
        entry(bad.sample_input.input, *bad.sample_input.args, **bad.sample_input.kwargs)
    except bad.error_type:
        return True
    return False


# Under pytest


@pytest.mark.parametrize("part", range(SLICES))
def test_entries(torch, part):
    """A slice of the entries that minitorch has: some samples of each pass, apart from the known ones."""
    pytest.importorskip("torch.testing._internal.common_methods_invocations")
    failed = []
    for entry in entries(torch)[part::SLICES]:
        report = examine(torch, entry, at_most=4)
        if report.failures and report.name not in KNOWN:
            failed += [f"{report.name}, {kind}: {messages[0]}" for kind, messages in report.failures.items()]
    assert not failed, "\n".join(failed)


# By hand


def line(report: Report) -> str:
    parts = [f"{title} {passed}/{run}" for title, kinds in
             (("samples", DIFFERENTIABLE), ("others", OTHERS), ("methods", ("method",)), ("errors", ("error",)))
             for passed, run in [report.figures(*kinds)] if run]
    return f"{report.name}: {', '.join(parts)} ({report.seconds:.1f} s)"


def main(arguments: list[str]) -> None:
    import torch

    torch.set_num_threads(1)
    names = [a for a in arguments if not a.startswith("--")]
    reports = []
    for entry in entries(torch):
        if names and entry.name not in names:
            continue
        report = examine(torch, entry)
        reports.append(report)
        if report.had:
            print(line(report), flush=True)
            for kind, messages in report.failures.items():
                for message in dict.fromkeys(messages) if names else messages[:1]:
                    print(f"    {kind}: {message}", flush=True)
        elif names:
            print(f"{report.name}: not there")
    print(summary(reports))
    if "--table" in arguments:
        (Path(__file__).parent / "pytorch_ops.md").write_text(table(reports))


def summary(reports: list[Report]) -> str:
    def total(*kinds):
        passed, run = map(sum, zip(*(r.figures(*kinds) for r in reports)))
        return f"{passed} of {run}" + (f" ({100 * passed / run:.2f} %)" if run else "")

    had = [r for r in reports if r.had]
    return "\n".join([
        f"- entries had: {len(had)} of {len(reports)}",
        f"- samples passed, float32 and float64, values and gradients: {total(*DIFFERENTIABLE)}",
        f"- samples passed, int64, bool and complex64, values: {total(*OTHERS)}",
        f"- method and in-place calls: {total('method')}",
        f"- error inputs that raise: {total('error')}"])


PAGE = """# PyTorch's operator table run against minitorch

Written by `python tests/test_pytorch_ops.py --table` with PyTorch {version}. Each entry of
`torch.testing._internal.common_methods_invocations.op_db` that minitorch has runs with all its samples: values, dtypes,
shapes and gradients at the tolerances of PyTorch's own tests. A float32 result also passes where it lies no further
from PyTorch's float64 result than PyTorch's float32 result does.

{summary}

## Entries of which not everything passes

| entry | float32, float64 | int64, bool, complex64 | methods | errors | why |
|---|---|---|---|---|---|
{rows}

## Entries that are not there

{absent}.
"""


def table(reports: list[Report]) -> str:
    """The page that `--table` writes."""
    import torch

    def share(report, *kinds):
        passed, run = report.figures(*kinds)
        return f"{passed}/{run}" if run else ""

    def row(report):
        first = next(iter(report.failures.values()))[0].replace("|", "\\|")
        shares = [share(report, *kinds) for kinds in (DIFFERENTIABLE, OTHERS, ("method",), ("error",))]
        return f"| {' | '.join([report.name, *shares, KNOWN.get(report.name, first)])} |"

    return PAGE.format(version=torch.__version__, summary=summary(reports),
                       rows="\n".join(row(r) for r in reports if r.failures),
                       absent=", ".join(sorted({r.name for r in reports if not r.had})))


if __name__ == "__main__":
    main(sys.argv[1:])
