"""Every fast version of every kernel against the kernel's reference, on the calls that the samples of ops make."""
from __future__ import annotations

import copy

import numpy as np
import pytest
import samples
from kernel_calls import TOLERANCE, compare, recording, run_sample
from minitorch_kernels import table
from minitorch_kernels.elementwise import BINARY, PART, UNARY
from minitorch_kernels.table import explain, get, kernels, use

from minitorch.selfcheck import dtypes_of, error

CASES = samples.load()
VERSIONS = [pytest.param(name, version, id=f"{name}-{version.name}-{version.device}")
            for name in table.names() for version in get(name).versions if version.device == "cpu"
            and version.name != "python"]  # plain loops would take minutes on these calls: test_ladder.py has them


@pytest.mark.parametrize("name, version", VERSIONS)
def test_version(calls, name, version):
    """The version takes some call that the samples make, is then what runs, and gives what the reference gives."""
    if version.missing():
        pytest.skip(version.missing())
    accepted = 0
    with use(**{name: version.name}):
        for arguments, options in calls.get(name, []):
            if version.refuses(*arguments, **options) is not None:
                continue
            accepted += 1
            line = next(s for s in explain(name, *arguments, device=version.device, **options).splitlines()
                        if s.split()[0] == version.name)
            assert line.split()[1] == "runs", line
            compare(version, get(name), arguments, options)
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
                        run_sample(case, sample, dtype)
            missing = set(case.kernels) - set(found)
            assert not missing, f"{case.id} does not reach {sorted(missing)}"


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
