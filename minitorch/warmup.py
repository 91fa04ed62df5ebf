"""`minitorch warmup`: the CPU's kernels compiled into Numba's cache on disk, so that no training has to wait for it."""
from __future__ import annotations

import time
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np
from minitorch_kernels import kernels
from minitorch_kernels.random import Generator

from .selfcheck import Trial, dtypes_of, gradients, host, samples
from .tensor import Tensor

LARGE = 1 << 17  # random numbers that are drawn by compiled code for certain


def warm_up(families: tuple[str, ...] = (), dtype: str = "float32") -> float:
    """Run every kernel that a sample of `families` (all, if none is named) reaches, forward and backward, in `dtype`.

    Prints a line a family, and returns the seconds it took: about a minute at the first time, and a few seconds
    once everything is in the cache. Raises ValueError for a family that is not there, ImportError where the samples or
    Numba are not installed.
    """
    if find_spec("numba") is None:
        raise ImportError("Numba is not installed, so there is nothing to compile: pip install numba")
    start, table = time.perf_counter(), samples()
    cases: dict[str, list[Any]] = {"random": []}
    for case in [*table.load(), *table.KERNEL_CASES]:
        cases.setdefault(case.family, []).append(case)
    for family in families:
        if family not in cases:
            raise ValueError(f"there is no family {family!r}; there are {', '.join(sorted(cases))}")
    chosen = sorted(families or cases)
    for i, family in enumerate(chosen, 1):
        print(f"[{i:2}/{len(chosen)}] {family:12} ", end="", flush=True)
        before = time.perf_counter()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # samples of bad habits warn
            if family == "random":
                _draw()
            for case in cases[family]:
                _run_kernel(case, dtype) if case in table.KERNEL_CASES else _run_op(case, dtype)
        print(f"{time.perf_counter() - before:6.1f} s", flush=True)
    seconds = time.perf_counter() - start
    print(f"kernels of {len(chosen)} families compiled for {dtype} in {seconds:.1f} s")
    return seconds


def _run_op(case: Any, dtype: str) -> None:
    for sample in case.samples:
        if dtype in dtypes_of(case, sample):
            try:
                trial = Trial(case, sample, dtype)
                ys = trial()
                if trial.leaves and sample.grad:
                    gradients(trial, trial.weights([host(y) if isinstance(y, Tensor) else None for y in ys]))
            except Exception:
                pass  # what is wrong with an op is selfcheck's to say


def _run_kernel(case: Any, dtype: str) -> None:
    for i, make in enumerate(case.samples):
        arguments, options = make(np.random.default_rng(i))
        getattr(kernels(np), case.name)(*_cast(arguments, dtype), **_cast(options, dtype))


def _cast(value: Any, dtype: str) -> Any:
    """`value` with its arrays of floats in `dtype`."""
    if isinstance(value, (list, tuple)):
        return type(value)([_cast(v, dtype) for v in value])
    if isinstance(value, dict):
        return {name: _cast(v, dtype) for name, v in value.items()}
    return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.char in "fd" else value


def _draw() -> None:
    source = Generator()
    source.bernoulli(0.5, LARGE, np.dtype(bool))
    source.bernoulli_bits(0.5, LARGE)
    source.randperm(LARGE)
