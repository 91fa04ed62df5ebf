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

import numpy as np
import pytest

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parent.parent
    sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

import minitorch as mt

SLICES = 24
DIFFERENTIABLE, OTHERS = ("float32", "float64"), ("int64", "bool", "complex64")

# (rtol, atol) that PyTorch's tests allow unless an entry says otherwise.
PRECISION = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "complex64": (1.3e-6, 1e-5),
             "float64": (1e-7, 1e-7), "complex128": (1e-7, 1e-7)}

# How an entry's name resolves where it is no plain name below minitorch and no method.
RESOLVED = {name: f"Tensor.{name}_" for name in ("cauchy", "exponential", "geometric", "log_normal", "uniform")}

# Entries whose values say nothing: memory that nobody has written.
UNINITIALISED = {"empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided", "resize_",
                 "resize_as_"}

# Entries compared after `output_process_fn_grad`: vectors are unique up to sign or phase.
UP_TO_SIGN = {"svd", "linalg.svd", "linalg.eigh", "linalg.eig", "svd_lowrank", "pca_lowrank"}

# What need not pass under pytest, and why.
KNOWN: dict[str, str] = {}


class Unsupported(Exception):
    """An argument that minitorch has nothing for: a sparse tensor, a dtype."""


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


# Arguments and results


def ours(torch, x, known=None):
    """PyTorch's argument as minitorch's, recursively: tensors that share memory share it here too."""
    known = {} if known is None else known
    if isinstance(x, torch.Tensor):
        if x.layout != torch.strided:
            raise Unsupported(f"a tensor of layout {x.layout}")
        if x.dim() > 64:
            return mt.empty(x.shape)
        if ("tensor", id(x)) not in known:
            known["tensor", id(x)] = mt.from_numpy(array_of(torch, x, known)).requires_grad_(x.requires_grad)
        return known["tensor", id(x)]
    if isinstance(x, torch.dtype):
        return dtype_of(x)
    if isinstance(x, torch.device):
        return mt.device(str(x))
    if isinstance(x, torch.nn.Module):
        return getattr(mt.nn, type(x).__name__)()
    if isinstance(x, types.FunctionType) and x.__module__.startswith("torch.nn."):
        return getattr(mt.nn.functional, x.__name__)
    if isinstance(x, (torch.layout, torch.memory_format)):
        return getattr(mt, str(x).removeprefix("torch."))
    if isinstance(x, torch.Size):
        return mt.Size(x)
    if isinstance(x, (list, tuple)):
        return type(x)([ours(torch, part, known) for part in x])
    return {key: ours(torch, value, known) for key, value in x.items()} if isinstance(x, dict) else x


def array_of(torch, x, known=None) -> np.ndarray:
    """A NumPy array on a copy of the tensor's memory, with its strides; the copy is made once for each memory."""
    known, x = {} if known is None else known, x.detach().resolve_conj().resolve_neg()
    if x._is_zerotensor():
        x = x.clone()
    memory = x.untyped_storage()
    if memory.data_ptr() not in known:  # it is kept, lest another come to lie at its address
        known[memory.data_ptr()] = memory, torch.empty(0, dtype=torch.uint8).set_(memory).numpy().copy()
    if x.dtype == torch.bfloat16:
        import ml_dtypes

        dtype = np.dtype(ml_dtypes.bfloat16)
    else:
        dtype = np.dtype(str(x.dtype).removeprefix("torch."))
    if not x.numel():
        return np.empty(tuple(x.shape), dtype)
    return np.ndarray(tuple(x.shape), dtype, known[memory.data_ptr()][1], x.storage_offset() * dtype.itemsize,
                      [n * dtype.itemsize for n in x.stride()])


def dtype_of(d):
    found = getattr(mt, str(d).removeprefix("torch."), None)
    if found is None:
        raise Unsupported(f"dtype {d}")
    return found


def difference(torch, a, b, tolerance, values=True, where="result", truth=None) -> str | None:
    """What tells minitorch's `a` from PyTorch's `b`, or None. `truth` is what `b` is in double precision."""
    if isinstance(b, torch.Tensor):
        if not isinstance(a, mt.Tensor):
            return f"{where}: {type(a).__name__} instead of a tensor"
        if tuple(a.shape) != tuple(b.shape):
            return f"{where}: shape {tuple(a.shape)} instead of {tuple(b.shape)}"
        if str(a.dtype) != str(b.dtype):
            return f"{where}: {a.dtype} instead of {b.dtype}"
        return difference_of_values(torch, a, b, tolerance, where, truth) if values else None
    if isinstance(b, (list, tuple)):
        if not isinstance(a, (list, tuple)) or len(a) != len(b) or isinstance(a, list) != isinstance(b, list):
            return f"{where}: {type(a).__name__} instead of {type(b).__name__} of {len(b)}"
        return next(filter(None, (difference(torch, x, y, tolerance, values, f"{where}[{i}]", truth and truth[i])
                                  for i, (x, y) in enumerate(zip(a, b)))), None)
    if isinstance(b, (torch.dtype, torch.device)):
        return None if str(a) == str(b) else f"{where}: {a} instead of {b}"
    if isinstance(b, (float, complex)) and type(a) is type(b):
        return None if np.allclose(a, b, *tolerance, equal_nan=True) else f"{where}: {a} instead of {b}"
    return None if type(a) is type(b) and a == b else f"{where}: {a!r} instead of {b!r}"


def difference_of_values(torch, a, b, tolerance, where, truth) -> str | None:
    x, y = a.detach(), array_of(torch, b)
    x = x.numpy() if x.dtype != mt.bfloat16 else x.float().numpy()
    y = y.astype(x.dtype)
    rtol, atol = map(max, tolerance, PRECISION.get(str(b.dtype)[6:], (0.0, 0.0)))
    with np.errstate(all="ignore"):
        close = np.isclose(x, y, rtol, atol, equal_nan=True) if x.dtype.kind in "fc" else x == y
        if isinstance(truth, torch.Tensor) and x.dtype.kind in "fc" and truth.shape == b.shape:
            true = array_of(torch, truth)
            error = np.abs(y - true)
            worst = error[np.isfinite(error)].max(initial=0.0)
            close |= np.abs(x - true) <= atol + rtol * np.abs(true) + worst
        if close.all():
            return None
        first = tuple(int(i[0]) for i in np.nonzero(~close)) if x.ndim else ()
        return (f"{where}: {int((~close).sum())} of {x.size} values, first {x[first]} instead of {y[first]} "
                f"at {list(first)}")


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


def leaves(module, x) -> list:
    """The tensors in arguments or results that want a gradient, in order."""
    return [t for t in tensors(module, x) if t.requires_grad]


def tensors(module, x) -> list:
    if isinstance(x, module.Tensor):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [t for part in x for t in tensors(module, part)] if isinstance(x, (list, tuple)) else []


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


def doubled(torch, x):
    """PyTorch's arguments in double precision, with leaves of their own."""
    if isinstance(x, torch.Tensor):
        wide = {torch.float32: torch.float64, torch.complex64: torch.complex128}.get(x.dtype, x.dtype)
        return x.detach().to(wide, copy=True).requires_grad_(x.requires_grad)
    if isinstance(x, torch.dtype):
        return {torch.float32: torch.float64, torch.complex64: torch.complex128}.get(x, x)
    if isinstance(x, (list, tuple)) and not isinstance(x, torch.Size):
        return type(x)([doubled(torch, part) for part in x])
    return {key: doubled(torch, value) for key, value in x.items()} if isinstance(x, dict) else x


def slope_difference(torch, actual, expected, tolerance, truth=None) -> str | None:
    """What tells gradients apart. No path is a gradient of zero."""
    for i, (a, b) in enumerate(zip(actual, expected)):
        if a is None or b is None:
            given = a if b is None else b
            found = None if given is None or not bool((given != 0).any()) else f"gradient {i}: {a} instead of {b}"
        else:
            found = difference(torch, a, b, tolerance, where=f"gradient {i}", truth=truth and truth[i])
        if found:
            return found
    return None


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


def table(reports: list[Report]) -> str:
    return summary(reports)


if __name__ == "__main__":
    main(sys.argv[1:])
