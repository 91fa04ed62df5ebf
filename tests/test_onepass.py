"""Kernels written from their references: what is written; NaN, infinities and 0 as from the reference."""
import inspect

import numpy as np
import pytest
from minitorch_kernels import explain, get, kernels, names, use
from minitorch_kernels.elementwise import POOLED
from minitorch_kernels.onepass import one_pass, written
from minitorch_kernels.table import Kernel

pytest.importorskip("numba")
k = kernels(np)
WRITTEN = [name for name in names() if any(v.name == "fused" for v in get(name).versions)]
NUMBERS = {"slope": 0.1, "alpha": 1.3, "scale": 1.1, "input_scale": 0.7, "low": -0.5, "high": 0.75, "width": 0.4,
           "beta": 1.5, "threshold": 2.0, "delta": 0.6}


def arguments(name, x):
    """The array for each that the kernel takes, turned by one more place each, and numbers."""
    parameters = list(inspect.signature(get(name).reference).parameters)[1:]
    return [NUMBERS[p] if p in NUMBERS else np.roll(x, i) for i, p in enumerate(parameters)]


def said(name, given):
    """What `explain` says of the version that was written."""
    return next(line.split(maxsplit=1)[1] for line in explain(name, *given).splitlines() if line.startswith("fused"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", WRITTEN)
def test_special_numbers(name, dtype):
    special = np.asarray([0, -0.0, 1, -1, 3, -3, 0.4, -0.4, 40, -40, 1e-30, 1e30, np.inf, -np.inf, np.nan], dtype)
    given = arguments(name, np.resize(special, POOLED + 5))
    assert said(name, given) == "runs"
    found = getattr(k, name)(*given)
    with use("reference"), np.errstate(all="ignore"):
        expected = getattr(k, name)(*given)
    assert found.dtype == expected.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=2e-5 if dtype == np.float32 else 1e-13, atol=1e-37)


@pytest.mark.parametrize("name", ["hardswish_dx", "mish", "huber"])
def test_what_is_refused(name):
    x = np.ones((300, 300), np.float32)
    frozen = x.copy()
    frozen.flags.writeable = False
    for bad in (x[:9], x.T[::2], x.astype(np.int64), frozen):
        given = [bad if isinstance(a, np.ndarray) else a for a in arguments(name, x)]
        assert said(name, given).startswith("refuses")


def test_a_number_that_occurs_twice_is_one_operand():
    chain, numbers = written(lambda xp, x, a: xp.where(x > 2, x * a, 2 - x), "an", "float64")
    assert numbers == (2.0,) and chain.operands == ("full", "scalar", "scalar")
    assert [line[0] for line in chain.lines] == ["greater", "mul", "sub", "where"]


def test_many_numbers():
    def reference(xp, x):
        """A polynomial."""
        y = x * 0 + 12
        for i in range(11):
            y = y * x + i
        return y

    entry = Kernel(reference)
    one_pass(entry, least=1)
    x = np.linspace(-1, 1, 7)
    np.testing.assert_allclose(entry.versions[0].run(x), reference(np, x), rtol=1e-12)


def test_a_branch_on_a_value_is_refused():
    def reference(xp, x):
        """x."""
        return x if x > 0 else -x

    entry = Kernel(reference)
    one_pass(entry, least=1)
    with pytest.raises(TypeError, match="may not branch"):
        entry.versions[0].run(np.ones(3))


def test_several_threads_give_the_same_bits():
    from minitorch_kernels import parallel

    x, before = np.random.default_rng(0).standard_normal(300_001), parallel.get_num_threads()
    try:
        parallel.set_num_threads(1)
        once = k.mish(x)
        parallel.set_num_threads(3)
        np.testing.assert_array_equal(k.mish(x), once)
    finally:
        parallel.set_num_threads(before)
