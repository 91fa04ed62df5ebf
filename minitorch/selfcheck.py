"""Proof of every op on this machine: values, gradients and second derivatives against independent references.

    python -m minitorch.selfcheck

The cases are those of the test suite (package `minitorch_samples`), so that an installation can prove itself, on a GPU
too. The functions here are also what the tests are made of.
"""
from __future__ import annotations

import functools
import importlib
import os
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from . import autograd, dtypes
from .engine import enable_grad
from .op import FUNCTIONS, OPS
from .shipped import shipped
from .tensor import Tensor

# What rounding may do to a value of size 1: some hundred units in the last place, since ops are chains of roundings.
TOLERANCE = {"float64": 1e-10, "float32": 3e-5, "float16": 1e-2, "bfloat16": 8e-2}
GRADIENT_TOLERANCE = {"float64": 1e-7, "float32": 2e-4, "float16": 5e-2, "bfloat16": 3e-1}
STEP = 1e-4  # of the five-point differences: their error is about STEP ** 4 and 1e-16 / STEP


def run(device: str = "cpu", dtypes: tuple[str, ...] | None = None, verbose: bool = False, only: str = "") -> bool:
    """Check all ops, or those whose name contains `only`, on `device`; whether all are within their tolerances.

    Prints a line an op and dtype with the largest errors seen: of values, of gradients, of second derivatives, relative
    to 1 + |expected|; with `verbose` also a line a sample. `dtypes` narrows the dtypes to those names. Raises
    ImportError where the samples are not installed.
    """
    start, failed, unproved, checked = time.perf_counter(), 0, 0, 0
    print(f"{'op':32} {'device':8} {'dtype':9} {'forward':>9} {'gradient':>9} {'second':>9}")
    for case in samples().load():
        for dtype in case.dtypes if only in case.id else ():
            if (dtypes is not None and dtype not in dtypes) or not available(dtype):
                continue
            worst: list[float | None] = [None, None, None]
            problems = []
            for sample in case.samples:
                if sample.dtypes is not None and dtype not in sample.dtypes:
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # samples of bad habits warn, as they should
                    errors, problem = _check(case, sample, dtype, device)
                worst = [max((e for e in pair if e is not None), default=None) for pair in zip(worst, errors)]
                problems += [problem] if problem else []
                if verbose:
                    print(_line(f"  {sample.id}"[:32], device, dtype, errors, problem))
            checked += 1
            failed += any(p.startswith("FAILS") for p in problems)
            unproved += any(p.startswith("needs") for p in problems)
            print(_line(case.id, device, dtype, worst, "; ".join(dict.fromkeys(problems))))
    if not checked:
        print(f"FAILED: no op's name contains {only!r}" if only else "FAILED: no op has samples of these dtypes")
        return False
    seconds = time.perf_counter() - start
    print(f"{checked} checks in {seconds:.1f} s" + (f", {unproved} without a reference" * bool(unproved)) +
          (f": {failed} FAILED" if failed else ": no failure"))
    return not failed


def samples() -> ModuleType:
    """The package of samples: installed as `minitorch_samples`, in a checkout tests/samples."""
    return shipped("samples", "tests")


class Trial:
    """One sample of one case in one dtype on one device: its arguments as tensors, and as the reference's arrays."""

    def __init__(self, case: Any, sample: Any, dtype: str = "float64", device: str = "cpu", grad: bool = True,
                 arrange: Callable[[np.ndarray], np.ndarray] | None = None):
        self.case, self.sample, self.dtype, self.device = case, sample, dtype, device
        self.given = sample.make(seed_of(case, sample))
        self.leaves: list[Tensor] = []  # the tensors that get gradients
        self.places: list[tuple] = []  # and where they are among the arguments
        self.tensors: list[Tensor] = []
        self._arrange = arrange or (lambda array: array)
        self._grad = grad and case.grad
        self.args, self.options = self._map(self._tensor)

    def __call__(self) -> list[Any]:
        """The op's outputs."""
        return outputs(function_of(self.case)(*self.args, **self.options))

    def reference(self, changes: dict[tuple, np.ndarray] | None = None) -> list[Any]:
        """The reference's outputs, in float64; `changes` are added to the arguments at those places."""
        changes = changes or {}

        def value(array, place):
            if array.dtype not in _TESTED:
                return array.copy()
            array = self.rounded(array).astype(array.dtype)
            return np.asarray(array + changes[place]) if place in changes else array

        args, options = self._map(value)
        with np.errstate(all="ignore"):
            return [None if y is None else np.asarray(y) for y in outputs(self.case.reference(*args, **options))]

    def weights(self, like: list[Any], seed: int = 0) -> list[np.ndarray | None]:
        """Random weights in the shapes of `like`: the gradient that arrives at each output."""
        rng = np.random.default_rng(seed_of(self.case, self.sample) + 1 + seed)
        return [None if y is None else _normal(rng, y.shape, np.asarray(y).dtype.kind == "c") for y in like]

    def result_dtype(self, expected: np.ndarray) -> str | None:
        """The name of the dtype that an output should have; None where only PyTorch can tell."""
        if self.case.result is not None:
            return self.case.result
        if self.options.get("dtype") is not None:
            return dtypes.as_dtype(self.options["dtype"]).name
        if expected.dtype.kind not in "fc":
            return expected.dtype.name
        kinds = {t.dtype.name for t in self.tensors}
        if not self.places_tested:
            return "float32" if expected.dtype.kind == "f" and not kinds & {"float32", "float16", "bfloat16"} else None
        if len(kinds & {"float32", "float16", "bfloat16", "float64"}) > 1:
            return None
        return self.dtype if expected.dtype.kind == "f" else dtypes.as_dtype(self.dtype).to_complex().name

    @property
    def places_tested(self) -> list[tuple]:
        found: list[tuple] = []
        self._map(lambda array, place: found.append(place) if array.dtype in _TESTED else None)
        return found

    def _map(self, convert: Callable[[np.ndarray, tuple], Any]) -> tuple[list, dict]:
        """The arguments with each array converted; a place is the path to it: (0,), ("weight",), (1, 2)."""
        def walk(value, place):
            if isinstance(value, np.ndarray):
                return convert(value, place)
            if type(value) in (list, tuple):
                return type(value)(walk(v, (*place, i)) for i, v in enumerate(value))
            return value

        args, options = self.given
        return [walk(v, (i,)) for i, v in enumerate(args)], {name: walk(v, (name,)) for name, v in options.items()}

    def rounded(self, array: np.ndarray) -> np.ndarray:
        if array.dtype == np.complex128:
            return array.astype(dtypes.as_dtype(self.dtype).to_complex().numpy)
        with np.errstate(over="ignore"):
            return array.astype(dtypes.as_dtype(self.dtype).numpy)

    def _tensor(self, array: np.ndarray, place: tuple) -> Tensor:
        tested = array.dtype in _TESTED
        array = self._arrange(self.rounded(array) if tested else array.copy())
        t = Tensor._wrap(array)
        if self.device != "cpu":
            t = t.to(self.device)
        self.tensors.append(t)
        if tested and self._grad and place[0] not in self.case.constant:
            t.requires_grad = True
            self.leaves.append(t)
            self.places.append(place)
        return t


def forward_error(case: Any, sample: Any, dtype: str, device: str = "cpu") -> float:
    """The largest error of the outputs against the reference. Raises AssertionError where shape or dtype differ."""
    trial = Trial(case, sample, dtype, device)
    found, expected = trial(), trial.reference()
    if len(found) != len(expected):
        raise AssertionError(f"{case.id}: gives {len(found)} outputs, expected {len(expected)}")
    worst = 0.0
    for i, (y, e) in enumerate(zip(found, expected)):
        if e is None:
            continue
        wanted = trial.result_dtype(e)
        if isinstance(y, Tensor) and wanted is not None and y.dtype.name != wanted:
            raise AssertionError(f"{case.id}: output {i} is {y.dtype.name}, expected {wanted}")
        off = error(host(y), e, f"{case.id}: output {i}")
        if isinstance(y, Tensor) and y.dtype.name in TOLERANCE:  # integers through exp are float32, whatever `dtype` is
            off *= min(1.0, TOLERANCE[dtype] / TOLERANCE[y.dtype.name])
        worst = max(worst, off)
    return worst


def gradient_error(case: Any, sample: Any, dtype: str = "float64", device: str = "cpu") -> float:
    """The largest error of the gradients: in float64 against differences of the reference, else against float64's."""
    trial = Trial(case, sample, dtype, device)
    weights = trial.weights(trial.reference())
    if dtype != "float64":
        return _narrow_gradient_error(trial, weights)
    found = gradients(trial, weights)
    worst = 0.0
    rng = np.random.default_rng(seed_of(case, sample) + 2)
    for x, place, dx in zip(trial.leaves, trial.places, found):
        if dx.shape != tuple(x.shape):
            raise AssertionError(f"{case.id}: the gradient of argument {place} has shape {dx.shape}, not {x.shape}")
        v = _normal(rng, dx.shape, dx.dtype.kind == "c")
        if sample.big:  # some elements only: among very many a few are always near a kink
            v *= rng.permutation(v.size).reshape(v.shape) < 64

        def value(t, place=place, v=v):
            return inner(weights, trial.reference({place: t * v}))

        scale = 1 + float(np.sum(np.abs(dx * v)))
        worst = max(worst, abs(inner([dx], [v]) - difference(value)) / scale)
        if not np.all(np.isfinite(dx)):
            raise AssertionError(f"{case.id}: the gradient of argument {place} is not finite")
    return worst


def second_error(case: Any, sample: Any, device: str = "cpu") -> float:
    """The largest error of the second derivatives against differences of the gradients, in float64.

    With random w and u, h(x, w) = <u, d<w, y(x)>/dx> is differentiated with respect to x and w.
    """
    trial = Trial(case, sample, "float64", device)
    weights = trial.weights(trial.reference())
    rng = np.random.default_rng(seed_of(case, sample) + 3)
    us = [_normal(rng, x.shape, host(x).dtype.kind == "c") for x in trial.leaves]
    vs = [_normal(rng, x.shape, host(x).dtype.kind == "c") for x in trial.leaves]
    zs = [None if w is None else _normal(rng, w.shape, w.dtype.kind == "c") for w in weights]

    with enable_grad():
        ys, pairs = trial(), []
        for y, w in zip(ys, weights):
            if w is not None and isinstance(y, Tensor) and y.requires_grad:
                weight = _like(w, y)
                weight.requires_grad = True
                pairs.append((y, weight))
        if not pairs:
            raise AssertionError(f"{case.id}: no output requires a gradient")
        first = autograd.grad([y for y, _ in pairs], trial.leaves, [w for _, w in pairs], create_graph=True,
                              allow_unused=True)
        for x, dx in zip(trial.leaves, first):
            if dx is not None and dx.dtype is not x.dtype:
                raise AssertionError(f"{case.id}: a gradient with create_graph is {dx.dtype}, expected {x.dtype}")
        parts = [(g, _like(u, g)) for g, u in zip(first, us) if g is not None and g.requires_grad]
        second: tuple = (None,) * (len(trial.leaves) + len(pairs))
        if parts:
            second = autograd.grad([g for g, _ in parts], [*trial.leaves, *(w for _, w in pairs)],
                                   [u for _, u in parts], allow_unused=True)
    directions = [*vs, *(z for y, w, z in zip(ys, weights, zs) if w is not None and isinstance(y, Tensor)
                         and y.requires_grad)]
    found = sum(inner([host(g)], [v]) for g, v in zip(second, directions) if g is not None)
    scale = 1 + sum(float(np.sum(np.abs(host(g) * v))) for g, v in zip(second, directions) if g is not None)

    def value(t):
        moved = Trial(case, sample, "float64", device)
        for x, v in zip(moved.leaves, vs):
            x._array += _like(t * v, x)._array
        return inner(us, gradients(moved, [None if w is None else w + t * z for w, z in zip(weights, zs)]))

    return abs(found - difference(value)) / scale


def gradients(trial: Trial, weights: list[np.ndarray | None]) -> list[np.ndarray]:
    """The gradient of sum(weights * outputs) for each leaf of the trial, zeros where it does not matter."""
    with enable_grad():
        pairs = [(y, _like(w, y)) for y, w in zip(trial(), weights)
                 if w is not None and isinstance(y, Tensor) and y.requires_grad]
    if not pairs:
        raise AssertionError(f"{trial.case.id}: no output requires a gradient")
    found = autograd.grad([y for y, _ in pairs], trial.leaves, [w for _, w in pairs], allow_unused=True)
    for x, g in zip(trial.leaves, found):
        if g is not None and g.dtype is not x.dtype:
            raise AssertionError(f"{trial.case.id}: the gradient of a {x.dtype} argument is {g.dtype}")
    return [np.zeros(x.shape, np.float64) if g is None else host(g) for x, g in zip(trial.leaves, found)]


def difference(value: Callable[[float], float]) -> float:
    """The derivative of `value` at 0 by the five-point rule (Abramowitz and Stegun 25.3.6)."""
    h = STEP
    return (value(-2 * h) - 8 * value(-h) + 8 * value(h) - value(2 * h)) / (12 * h)


def inner(a: list[Any], b: list[Any]) -> float:
    """The real inner product of two lists of arrays, over what is there in both."""
    return sum(float(np.sum(np.conj(x) * y).real) for x, y in zip(a, b) if x is not None and y is not None)


def error(found: Any, expected: np.ndarray, what: str) -> float:
    """The largest |found - expected| / (1 + |expected|); infinite where only one is NaN or infinite."""
    found = np.asarray(found)
    if found.shape != expected.shape:
        raise AssertionError(f"{what} has shape {found.shape}, expected {expected.shape}")
    if expected.dtype.kind not in "fc":
        return float(np.any(found != expected)) * np.inf if np.any(found != expected) else 0.0
    found = found.astype(np.complex128 if expected.dtype.kind == "c" else np.float64)
    with np.errstate(all="ignore"):
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        off = np.where(same, 0.0, np.abs(found - expected) / (1 + np.abs(expected)))
    return float(np.max(np.where(np.isfinite(off), off, np.inf), initial=0.0))


def tolerance(case: Any, dtype: str, order: int = 0) -> float:
    """The error allowed to `case` in `dtype`: to its values (order 0), gradients (1), second derivatives (2)."""
    if order == 0:
        return case.tol.get(dtype, TOLERANCE[dtype])
    return case.grad_tol.get(dtype, GRADIENT_TOLERANCE[dtype]) * (1 if order == 1 else 10)


def function_of(case: Any) -> Callable:
    """What the case calls: its own `call`, an op, or the public function of that dotted name."""
    if case.call is not None:
        return case.call
    if case.name in FUNCTIONS:
        return FUNCTIONS[case.name]
    if case.name in OPS:
        return OPS[case.name].call
    package: Any = importlib.import_module(__package__)
    return functools.reduce(_attribute, case.name.split("."), package)


def seed_of(case: Any, sample: Any) -> int:
    """A seed of the sample's own; MINITORCH_TEST_SEED in the environment gives other numbers."""
    where = next(i for i, s in enumerate(case.samples) if s is sample)
    return zlib.crc32(f"{case.id} {where}".encode()) + int(os.environ.get("MINITORCH_TEST_SEED", 0))


def dtypes_of(case: Any, sample: Any, *narrowed: str) -> list[str]:
    """The dtypes to try a sample in, `narrowed` to those."""
    return [d for d in sample.dtypes or case.dtypes if available(d) and (not narrowed or d in narrowed)]


def available(dtype: str) -> bool:
    """Whether arrays of that dtype exist here: bfloat16 needs a package on the CPU."""
    try:
        return dtypes.as_dtype(getattr(dtypes, dtype)).numpy is not None
    except ImportError:
        return False


def outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def host(x: Any) -> np.ndarray:
    """The values of a tensor, on the CPU; of anything else as an array."""
    array = x._array if isinstance(x, Tensor) else x
    return array if isinstance(array, np.ndarray) else array.get() if hasattr(array, "get") else np.asarray(array)


_TESTED = (np.float64, np.complex128)


def _check(case: Any, sample: Any, dtype: str, device: str) -> tuple[list[float | None], str]:
    """The errors of order 0, 1 and 2 of one sample, None where there is nothing to check, and what is wrong, if any."""
    errors: list[float | None] = [None, None, None]
    try:
        errors[0] = forward_error(case, sample, dtype, device)
        if case.grad and sample.grad and Trial(case, sample, dtype, device).leaves:
            errors[1] = gradient_error(case, sample, dtype, device)
            if case.second and dtype == "float64" and not sample.big:
                errors[2] = second_error(case, sample, device)
    except ModuleNotFoundError as missing:
        return errors, f"needs {missing.name} for its reference"
    except Exception as problem:  # any failure of an op is a finding, and the next op's turn
        return errors, f"FAILS at {sample.id}: {type(problem).__name__}: {problem}"
    for order, e in enumerate(errors):
        if e is not None and e > tolerance(case, dtype, order):
            return errors, f"FAILS at {sample.id}: {('forward', 'gradient', 'second derivative')[order]}"
    return errors, ""


def _line(name: str, device: str, dtype: str, errors: list[float | None], problem: str) -> str:
    shown = " ".join(f"{'-' if e is None else format(e, '.1e'):>9}" for e in errors)
    return f"{name:32} {device:8} {dtype:9} {shown}" + (f"  {problem}" if problem else "")


def _narrow_gradient_error(trial: Trial, weights: list[Any]) -> float:
    """The error of float32 or shorter gradients against the CPU's of float64 at the same, rounded, values."""
    weights = [None if w is None else trial.rounded(w) for w in weights]
    found = gradients(trial, weights)
    wide = Trial(trial.case, trial.sample, "float64")
    for x, narrow in zip(wide.leaves, trial.leaves):
        x._array = host(narrow).astype(x._array.dtype)
    expected = gradients(wide, weights)
    scale = max((float(np.max(np.abs(e), initial=0.0)) for e in expected), default=0.0)
    return max(error(g, e, f"{trial.case.id}: gradient") for g, e in zip(found, expected)) / max(1.0, scale)


def _like(array: np.ndarray, t: Tensor) -> Tensor:
    """`array` as a tensor of `t`'s dtype and device."""
    found = Tensor._wrap(np.asarray(array).astype(t._array.dtype, copy=False))
    return found if t.device.type == "cpu" else found.to(t.device)


def _normal(rng: np.random.Generator, shape: tuple, is_complex: bool) -> np.ndarray:
    real = np.asarray(rng.standard_normal(shape))
    return real + 1j * rng.standard_normal(shape) if is_complex else real


def _attribute(owner: Any, name: str) -> Any:
    """`owner.name`, imported where it is a module that nobody has imported yet."""
    if not hasattr(owner, name) and isinstance(owner, ModuleType):
        importlib.import_module(f"{owner.__name__}.{name}")
    return getattr(owner, name)


if __name__ == "__main__":
    sys.exit(not run(only=sys.argv[1] if len(sys.argv) > 1 else ""))
