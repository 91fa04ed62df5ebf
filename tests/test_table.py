"""The kernel table: choice of versions, explanations, and everything working without Numba."""
from __future__ import annotations

import numpy as np
import pytest
from minitorch_kernels import table
from minitorch_kernels.table import BACKENDS, explain, get, kernels, names, use


@pytest.fixture
def doubled():
    """A kernel of the test's own with two versions: `first` refuses negative numbers, `second` nothing."""
    entry = table.kernel(_reference("doubled"))
    entry.version("first", "cpu", lambda x: ("first", 2 * x), refuses=lambda x: "negative" if x < 0 else None)
    entry.version("second", "cpu", lambda x: ("second", 2 * x))
    yield entry
    del table._table["doubled"]
    table._rebind()


def _reference(name):
    def reference(xp, x):
        """Twice x."""
        return "reference", 2 * x

    reference.__name__ = name
    return reference


def test_first_that_accepts_runs(doubled):
    k = kernels(np)
    assert k.doubled(1) == ("first", 2)
    assert k.doubled(-1) == ("second", -2)


def test_reference_where_all_refuse(doubled):
    doubled.versions.pop()
    assert kernels(np).doubled(-1) == ("reference", -2)


def test_use_by_name(doubled):
    with use(doubled="second"):
        assert kernels(np).doubled(1) == ("second", 2)
        with use(doubled="reference"):
            assert kernels(np).doubled(1) == ("reference", 2)
        assert kernels(np).doubled(1) == ("second", 2)
    assert kernels(np).doubled(1) == ("first", 2)


def test_a_chosen_version_that_refuses_falls_back(doubled):
    with use(doubled="first"):
        assert kernels(np).doubled(-1) == ("reference", -2)
        assert "refuses: negative" in explain("doubled", -1)


def test_use_reference_and_back(doubled):
    with use("reference"):
        assert kernels(np).doubled(1) == ("reference", 2)
        with use("auto"):
            assert kernels(np).doubled(1) == ("first", 2)
    assert kernels(np).doubled(1) == ("first", 2)


def test_use_is_undone_after_an_exception(doubled):
    with pytest.raises(KeyError), use("reference"):
        raise KeyError
    assert kernels(np).doubled(1)[0] == "first"


def test_use_for_good(doubled):
    chosen = use(doubled="second")
    try:
        assert kernels(np).doubled(1)[0] == "second"
    finally:
        chosen.__exit__()
    assert kernels(np).doubled(1)[0] == "first"


def test_backend_names_choose_versions(doubled):
    doubled.versions[0].backend, doubled.versions[1].backend = "numba", "numpy"
    with use("numpy"):
        assert kernels(np).doubled(1)[0] == "second"
    with use("cuda"):
        assert kernels(np).doubled(1)[0] == "reference"


def test_explain_says_which_runs(doubled):
    lines = explain("doubled", 1).splitlines()
    assert lines[0] == "doubled on cpu: Twice x."
    assert [line.split(maxsplit=1) for line in lines[1:]] == [
        ["first", "runs"], ["second", "accepts, but an earlier one runs"], ["reference", "fallback"]]
    assert "refuses: negative" in explain("doubled", -1)
    with use("reference"):
        assert explain("doubled", 1).endswith('runs: use("reference")')


def test_explain_names_a_missing_package(doubled, monkeypatch):
    monkeypatch.setitem(BACKENDS, "first", "no_such_package")
    doubled.versions[0].backend = "first"
    assert "no_such_package is not installed" in explain("doubled", 1)
    table._rebind()
    assert kernels(np).doubled(1)[0] == "second"


def test_unknown_names():
    with pytest.raises(ValueError, match="did you mean 'maximum'"):
        get("maximun")
    with pytest.raises(ValueError, match=r"use: backend expects one of .*numba.*, got 'fast'"):
        use("fast")
    with pytest.raises(ValueError, match="use: exp has the versions auto, reference, pooled, cuda, not 'slow'"):
        use(exp="slow")
    with pytest.raises(AttributeError, match="no kernel is named 'nothing'"):
        getattr(kernels(np), "nothing")  # noqa: B009
    with pytest.raises(ValueError, match="defined twice"):
        table.kernel(_reference("exp"))


def test_every_kernel_is_documented():
    for name in names():
        assert get(name).__doc__, f"kernel {name} has no docstring"


def test_every_version_names_code_that_exists():
    for name in names():
        for version in get(name).versions:
            if version.device == "cpu" and not version.missing():
                assert callable(version.load()), f"{name}: {version.where}"


def test_predicates_take_anything():
    """A predicate answers; it does not raise: whatever the arguments are."""
    odd = [(np.zeros((2, 3), dtype),) * n for dtype in ("int8", "float16", "complex64", "bool") for n in (1, 2, 3)]
    for name in names():
        for version in get(name).versions:
            for arguments in odd:
                try:
                    answer = version.refuses(*arguments)
                except TypeError as error:  # another number of arguments
                    if "argument" not in str(error):
                        raise
                else:
                    assert answer is None or isinstance(answer, str)


WITHOUT_NUMBA = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numba", "llvmlite"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def test_everything_works_without_numba(run_python):
    """An import blocker stands for an installation without Numba: the references run, and explain says why."""
    assert run_python(WITHOUT_NUMBA + """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "numba" else find(name, *a)
from minitorch_kernels import table
for name in table.names():
    for version in table.get(name).versions:
        if version.backend == "numba":
            assert version.missing() == "numba is not installed"
            assert "numba is not installed" in table.explain(name, device=version.device)
from minitorch import selfcheck
ok = selfcheck.run(dtypes=("float32",))
assert "numba" not in sys.modules
print(ok)
""").splitlines()[-1] == "True"
