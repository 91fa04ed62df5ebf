"""The kernel calls that the samples of ops make, and how a fast version's results compare with the reference's."""
from __future__ import annotations

import copy
from contextlib import contextmanager

import numpy as np
import samples
from minitorch_kernels import table

from minitorch.selfcheck import Trial, dtypes_of, error, gradients, host
from minitorch.tensor import Tensor

KEPT = 60  # different calls of a kernel that are kept for replay

# A fast version and its reference round differently, and sums go in another order.
TOLERANCE = {"float64": 1e-10, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1, "complex64": 1e-4,
             "complex128": 1e-10}


def recorded_calls():
    """The kernel calls that all samples make, forward and backward: kernel -> [(arguments, options)]."""
    found = {}
    with recording(found):
        for case in samples.load():
            for sample in case.samples:
                for dtype in dtypes_of(case, sample):
                    run_sample(case, sample, dtype)
    for case in samples.KERNEL_CASES:
        for i, make in enumerate(case.samples):
            arguments, options = make(np.random.default_rng(i))
            kept = found.setdefault(case.name, {})
            kept["kernel case", len(kept)] = (arguments, options)
    return {name: list(kept.values()) for name, kept in found.items()}


def run_sample(case, sample, dtype):
    """What goes wrong here is test_ops' to report."""
    try:
        trial = Trial(case, sample, dtype)
        ys = trial()
        if trial.leaves and sample.grad:
            gradients(trial, trial.weights([host(y) if isinstance(y, Tensor) else None for y in ys]))
    except Exception:
        pass


@contextmanager
def recording(found):
    """Keeps copies of the arguments of every kernel call on the CPU, one call of a kind."""
    bind = table.Kernel.bind

    def recorded(entry, xp):
        bound = bind(entry, xp)
        if xp is not np:
            return bound

        def run(*arguments, **options):
            kept = found.setdefault(entry.name, {})
            kind = kind_of((arguments, sorted(options.items())))
            if kind not in kept and len(kept) < KEPT:
                kept[kind] = copied((arguments, options))
            return bound(*arguments, **options)

        return run

    table.Kernel.bind = recorded
    table._rebind()
    try:
        yield
    finally:
        table.Kernel.bind = bind
        table._rebind()


def kind_of(value):
    """What tells calls apart: shapes, dtypes and layouts of arrays, and the other arguments."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.flags.c_contiguous, value.dtype.kind
    if isinstance(value, (list, tuple)):
        return tuple(map(kind_of, value))
    return type(value).__name__, repr(value)


def copied(value):
    """A copy that keeps the layout in memory: contiguous arrays stay so, others stay what they are."""
    if isinstance(value, np.ndarray):
        if value.flags.c_contiguous:
            return value.copy()
        spaced = np.zeros((*value.shape[:-1], 2 * value.shape[-1]), value.dtype)[..., ::2] if value.ndim else value
        spaced[...] = value
        return spaced
    if isinstance(value, (list, tuple)):
        return type(value)(map(copied, value))
    if isinstance(value, dict):
        return {k: copied(v) for k, v in value.items()}
    return value


def compare(version, entry, arguments, options, moved=copy.deepcopy):
    """Run the version and the reference on copies: same results, same effects on the arguments.

    The version gets the copies that `moved` makes, which may lie on another device; the reference runs on the CPU.
    """
    slow, fast = copy.deepcopy((arguments, options)), moved((arguments, options))
    with np.errstate(all="ignore"):
        wide = widened(slow) if narrow(slow) else None  # before the call: it may write
        expected = entry.reference(np, *slow[0], **slow[1])
        exact = entry.reference(np, *wide[0], **wide[1]) if wide else expected
        found = version.load()(*fast[0], **fast[1])
    same(entry.name, found, expected, exact)
    same(f"{entry.name}: arguments after it", fast[0], slow[0], wide[0] if wide else slow[0])


def narrow(value):
    """Whether there are half-precision arrays: fast versions sum them in float32, NumPy does not."""
    if isinstance(value, (list, tuple)):
        return any(map(narrow, value))
    if isinstance(value, dict):
        return any(map(narrow, value.values()))
    return getattr(getattr(value, "dtype", None), "name", "") in ("float16", "bfloat16")


def widened(value):
    """A copy with float64 in the place of half precision."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(widened, value))
    if isinstance(value, dict):
        return {k: widened(v) for k, v in value.items()}
    return value.astype(np.float64) if narrow(value) else copy.deepcopy(value)


def same(what, found, expected, exact):
    """`found` has the dtype and shape of `expected`, the values of `exact`; what the reference leaves out is free."""
    if expected is None:
        return
    if isinstance(expected, (list, tuple)):
        assert isinstance(found, (list, tuple)) and len(found) == len(expected), what
        for i, (f, e, x) in enumerate(zip(found, expected, exact)):
            same(f"{what}[{i}]", f, e, x)
    elif hasattr(expected, "dtype"):
        found, expected, exact = host(found), host(expected), host(exact)
        assert found.dtype == expected.dtype, f"{what} is {found.dtype}, the reference gives {expected.dtype}"
        scale = max(1.0, _largest(expected))
        if expected.dtype.kind in "fcV":
            wide = exact.astype(np.complex128 if expected.dtype.kind == "c" else np.float64)
            off = error(found.astype(wide.dtype) / scale, wide / scale, what)
            assert off <= TOLERANCE[expected.dtype.name], f"{what}: error {off:.2e}"
        else:
            assert found.shape == expected.shape and np.array_equal(found, expected), what
    else:
        assert found == expected, what


def _largest(array):
    if array.dtype.kind not in "fcV":
        return 1.0
    finite = np.abs(array[np.isfinite(array)])
    return float(np.max(finite, initial=0.0))
