"""Every fast version of every kernel against the kernel's reference, on the calls that the samples of ops make."""
from __future__ import annotations

import copy
from contextlib import contextmanager

import numpy as np
import pytest
import samples
from minitorch_kernels import table
from minitorch_kernels.elementwise import BINARY, PART, UNARY
from minitorch_kernels.table import explain, get, kernels, use

from minitorch.selfcheck import Trial, dtypes_of, error, gradients, host
from minitorch.tensor import Tensor

CASES = samples.load()
KEPT = 60  # different calls of a kernel that are kept for replay
VERSIONS = [pytest.param(name, version, id=f"{name}-{version.name}-{version.device}")
            for name in table.names() for version in get(name).versions
            if version.name != "python"]  # plain loops would take minutes on these calls: test_ladder.py has them

# A fast version and its reference round differently, and sums go in another order.
TOLERANCE = {"float64": 1e-10, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1, "complex64": 1e-4,
             "complex128": 1e-10}


@pytest.fixture(scope="session")
def calls():
    """The kernel calls that all samples make, forward and backward: kernel -> [(arguments, options)]."""
    found = {}
    with recording(found):
        for case in CASES:
            for sample in case.samples:
                for dtype in dtypes_of(case, sample):
                    _run(case, sample, dtype)
    for case in samples.KERNEL_CASES:
        for i, make in enumerate(case.samples):
            arguments, options = make(np.random.default_rng(i))
            kept = found.setdefault(case.name, {})
            kept["kernel case", len(kept)] = (arguments, options)
    return {name: list(kept.values()) for name, kept in found.items()}


def _run(case, sample, dtype):
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
            kind = _kind((arguments, sorted(options.items())))
            if kind not in kept and len(kept) < KEPT:
                kept[kind] = _copied((arguments, options))
            return bound(*arguments, **options)

        return run

    table.Kernel.bind = recorded
    table._rebind()
    try:
        yield
    finally:
        table.Kernel.bind = bind
        table._rebind()


def _kind(value):
    """What tells calls apart: shapes, dtypes and layouts of arrays, and the other arguments."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.flags.c_contiguous, value.dtype.kind
    if isinstance(value, (list, tuple)):
        return tuple(map(_kind, value))
    return type(value).__name__, repr(value)


def _copied(value):
    """A copy that keeps the layout in memory: contiguous arrays stay so, others stay what they are."""
    if isinstance(value, np.ndarray):
        if value.flags.c_contiguous:
            return value.copy()
        spaced = np.zeros((*value.shape[:-1], 2 * value.shape[-1]), value.dtype)[..., ::2] if value.ndim else value
        spaced[...] = value
        return spaced
    if isinstance(value, (list, tuple)):
        return type(value)(map(_copied, value))
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    return value


@pytest.mark.parametrize("name, version", VERSIONS)
def test_version(calls, name, version):
    """The version takes some call that the samples make, is then what runs, and gives what the reference gives."""
    move = _mover(version)
    accepted = 0
    with use(**{name: version.name}):
        for arguments, options in calls.get(name, []):
            arguments, options = move(arguments), move(options)
            if version.refuses(*arguments, **options) is not None:
                continue
            accepted += 1
            line = next(s for s in explain(name, *arguments, device=version.device, **options).splitlines()
                        if s.split()[0] == version.name)
            assert line.split()[1] == "runs", line
            _compare(name, version, arguments, options)
    assert accepted, f"no sample reaches {name}'s version {version.name!r}"


@pytest.mark.parametrize("name", [name for name in table.names() if get(name).versions])
def test_auto_takes_the_first(calls, name):
    """By default the first version that accepts runs, and what it runs gives what the reference gives."""
    entry = get(name)
    for arguments, options in calls.get(name, []):
        lines = [s.split(maxsplit=2) for s in explain(name, *arguments, **options).splitlines()[1:]]
        running = [line[0] for line in lines if line[1].startswith("runs")]
        accepting = [v.name for v in entry.versions if v.device == "cpu" and not v.missing()
                     and v.refuses(*arguments, **options) is None]
        assert running == [*accepting, "reference"][:1]


@pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in samples.KERNEL_CASES if c.reference])
@pytest.mark.parametrize("choice", ["reference", "auto"])
def test_what_a_kernel_writes(case, choice):
    """A kernel that works in place leaves in its arguments what the case says, and the others as they were."""
    for i, make in enumerate(case.samples):
        before, options = make(np.random.default_rng(i))
        after = copy.deepcopy(before)
        with use(choice):
            getattr(kernels(np), case.name)(*after, **options)
        wide = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in before]
        expected = {**dict(enumerate(wide)), **case.reference(*wide, **options)}
        for j, a in enumerate(after):
            if isinstance(a, np.ndarray):
                assert a.dtype == before[j].dtype
                assert error(a, expected[j], f"argument {j}") <= TOLERANCE[a.dtype.name], f"argument {j}: {before[2:]}"


def test_every_case_reaches_its_kernels():
    """The kernels that a case names are those that its samples run."""
    for case in CASES:
        if case.kernels:
            found = {}
            with recording(found):
                for sample in case.samples:
                    for dtype in dtypes_of(case, sample):
                        _run(case, sample, dtype)
            missing = set(case.kernels) - set(found)
            assert not missing, f"{case.id} does not reach {sorted(missing)}"


def _mover(version):
    """A function that carries arguments to the version's device; skips where that, or its package, is not there."""
    if version.missing():
        pytest.skip(version.missing())
    if version.device == "cpu":
        return lambda value: value
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    if not cupy.is_available():
        pytest.skip("no GPU")

    def move(value):
        if isinstance(value, np.ndarray):
            return cupy.asarray(value)
        if isinstance(value, (list, tuple)):
            return type(value)(map(move, value))
        return {k: move(v) for k, v in value.items()} if isinstance(value, dict) else value

    return move


def _compare(name, version, arguments, options):
    """Run the version and the reference on copies: same results, same effects on the arguments."""
    xp = np if version.device == "cpu" else pytest.importorskip("cupy")
    fast, slow = copy.deepcopy((arguments, options)), copy.deepcopy((arguments, options))
    with np.errstate(all="ignore"):
        wide = _widened(slow) if _narrow(slow) else None  # before the call: it may write
        expected = get(name).reference(xp, *slow[0], **slow[1])
        exact = get(name).reference(xp, *wide[0], **wide[1]) if wide else expected
        found = version.load()(*fast[0], **fast[1])
    _same(name, found, expected, exact)
    _same(f"{name}: arguments after it", fast[0], slow[0], wide[0] if wide else slow[0])


def _narrow(value):
    """Whether there are half-precision arrays: fast versions sum them in float32, NumPy does not."""
    if isinstance(value, (list, tuple)):
        return any(map(_narrow, value))
    if isinstance(value, dict):
        return any(map(_narrow, value.values()))
    return getattr(getattr(value, "dtype", None), "name", "") in ("float16", "bfloat16")


def _widened(value):
    """A copy with float64 in the place of half precision."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_widened, value))
    if isinstance(value, dict):
        return {k: _widened(v) for k, v in value.items()}
    return value.astype(np.float64) if _narrow(value) else copy.deepcopy(value)


def _same(what, found, expected, exact):
    """`found` has the dtype and shape of `expected`, the values of `exact`; what the reference leaves out is free."""
    if expected is None:
        return
    if isinstance(expected, (list, tuple)):
        assert isinstance(found, (list, tuple)) and len(found) == len(expected), what
        for i, (f, e, x) in enumerate(zip(found, expected, exact)):
            _same(f"{what}[{i}]", f, e, x)
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


@pytest.mark.parametrize("name", sorted([*UNARY, *BINARY]))
@pytest.mark.parametrize("layout", ["flat", "broadcast"])
def test_large_elementwise_results(name, layout):
    """Results that come from the pool, computed in parts by several threads, are NumPy's."""
    ufunc = getattr(np, (UNARY.get(name) or BINARY[name]))
    shape = (2 * PART + 77,) if layout == "flat" else (257, 301)
    rng = np.random.default_rng(0)
    integers = name.startswith("bitwise") or name in ("invert", "left_shift", "right_shift", "logical_not")
    operands = [rng.integers(0, 20, shape) if integers else rng.uniform(0.1, 0.9, shape).astype(np.float32)
                for _ in range(ufunc.nin)]
    if layout == "broadcast":
        operands[-1] = operands[-1].T.copy().T if ufunc.nin == 1 else operands[-1][:1]
    with np.errstate(all="ignore"):
        found, expected = getattr(kernels(np), name)(*operands), ufunc(*operands)
        assert found.dtype == expected.dtype and found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        if ufunc.nin == 2:  # a Python number on either side
            for pair in ((operands[0], 3), (3, operands[0])):
                found, expected = getattr(kernels(np), name)(*pair), ufunc(*pair)
                assert found.dtype == expected.dtype
                np.testing.assert_allclose(found, expected, rtol=1e-6)
