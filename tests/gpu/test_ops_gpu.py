"""Every op on the GPU: values and gradients of its samples, half precision, second derivatives, the CUDA kernels' part.

Where the stand-in takes the GPU's place, the kernels' references run here: their CUDA versions, which would all have to
be compiled, have tests of their own (test_kernels_gpu.py), and `test_by_kernels` goes the whole way through some.
"""
from __future__ import annotations

import pytest
import samples
from minitorch_kernels.table import use, watch

from minitorch.selfcheck import (
    Trial,
    dtypes_of,
    forward_error,
    gradient_error,
    gradients,
    host,
    second_error,
    tolerance,
)
from minitorch.tensor import Tensor

CPU_NUMBERS = {"_standard_gamma", "_sample_dirichlet", "binomial", "drawn_dropout"}  # drawn on the CPU
CASES = [case for case in samples.load() if case.name not in CPU_NUMBERS]
SECOND = ("mul", "div", "exp", "tanh", "matmul", "softmax", "layer_norm", "conv2d", "cumprod", "sum", "index_",
          "max_pool2d", "linalg_inv", "gather", "logsumexp", "batch_norm", "linalg_eigh", "interpolate", "fft")
BFLOAT16 = ("add", "mul", "where", "masked_fill", "sort", "topk", "unique", "clamp", "gather", "scatter_add",
            "index_add", "matmul", "softmax", "nll_loss", "max_pool2d", "median", "mode", "tril", "nansum", "logsumexp",
            "cumsum")
BY_KERNELS = ("relu", "gelu", "softmax", "matmul", "layer_norm", "nn.functional.cross_entropy", "cross_entropy", "sum",
              "conv2d", "max_pool2d")


def cases(kept=lambda case: True):
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES if kept(case)])


@pytest.fixture
def versions(device):
    """What runs: all versions on a GPU, the references on the stand-in."""
    import cupy

    with use("reference" if "standin" in cupy.__file__ else "auto"):
        yield


def small(case):
    """The samples, and a name for each in messages."""
    return [(f"[{i}:{sample.id}]", sample) for i, sample in enumerate(case.samples) if not sample.big]


def differentiable(case, sample):
    return case.grad and sample.grad and bool(Trial(case, sample).leaves)


def check(case, sample, dtype, device, name):
    found = forward_error(case, sample, dtype, device)
    assert found <= tolerance(case, dtype), f"{name} {dtype}: error {found:.2e}"
    if differentiable(case, sample):
        found = gradient_error(case, sample, dtype, device)
        assert found <= tolerance(case, dtype, 1), f"{name} {dtype}: error of a gradient {found:.2e}"


@cases()
def test_values_and_gradients(device, versions, case):
    """In float32 where the sample runs in it."""
    for name, sample in small(case):
        dtypes = dtypes_of(case, sample)
        check(case, sample, "float32" if "float32" in dtypes else dtypes[0], device, name)


@cases(lambda case: "float16" in case.dtypes)
def test_float16(device, versions, case):
    name, sample = next((s for s in small(case) if "float16" in dtypes_of(case, s[1])), ("", None))
    if sample is not None:
        check(case, sample, "float16", device, name)


@cases(lambda case: case.id in BFLOAT16)
def test_bfloat16(device, versions, case):
    """Values, dtypes and gradients are those of the CPU: CuPy lacks bfloat16 in places."""
    name, sample = small(case)[0]
    found, expected = [], []
    for place, results in ((device, found), ("cpu", expected)):
        trial = Trial(case, sample, "bfloat16", place)
        ys = trial()
        results += ys
        if trial.leaves and sample.grad:
            results += gradients(trial, trial.weights([host(y) if isinstance(y, Tensor) else None for y in ys]))
    for there, here in zip(found, expected):
        assert host(there).dtype == host(here).dtype, name
        off = abs(host(there).astype(float) - host(here).astype(float)) / (1 + abs(host(here).astype(float)))
        assert off.max(initial=0) <= 2e-2, name


@cases(lambda case: case.id in SECOND)
def test_second_derivatives(device, versions, case):
    name, sample = next(s for s in small(case) if differentiable(case, s[1]) and "float64" in dtypes_of(case, s[1]))
    found = second_error(case, sample, device)
    assert found <= tolerance(case, "float64", 2), f"{name}: error {found:.2e}"


@cases(lambda case: case.id in BY_KERNELS)
def test_by_kernels(device, case):
    """Some sample of the op, or of its gradient, runs on a CUDA version."""
    ran = []

    def note(name, version, run, arguments, options):
        ran.append(version)
        return run(*arguments, **options)

    for name, sample in small(case)[:3]:
        with watch(note):
            check(case, sample, "float32", device, name)
    assert {"cuda", "cublaslt"} & set(ran), f"ran {sorted(set(ran))}"
