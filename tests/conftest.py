"""What all tests share: where the packages lie in a checkout, Hypothesis's settings, PyTorch where it is installed."""
from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
for path in (ROOT, ROOT / "kernels", ROOT / "tests"):
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))

import minitorch  # noqa: E402
from minitorch import op, overrides  # noqa: E402
from minitorch.nn import functional  # noqa: E402
from minitorch.tensor import Tensor  # noqa: E402

TENSOR_DATA = vars(Tensor)["data"]

try:
    from hypothesis import HealthCheck, settings

    settings.register_profile("quick", derandomize=True, max_examples=40, deadline=None, database=None,
                              suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
    settings.load_profile("quick")
except ImportError:  # test_properties is skipped then
    pass


def pytest_collection_finish():
    """Garbage collections pass over the tests themselves, a million objects that live to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def torch():
    """PyTorch, as a reference; tests that ask for it are skipped without it."""
    return pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")


@pytest.fixture(scope="session")
def calls():
    """The kernel calls that the samples of ops make, on arrays of the CPU."""
    from kernel_calls import recorded_calls

    return recorded_calls()


@pytest.fixture(autouse=True)
def quick_calls():
    """Calls are quick again after a test, or its file, has defined a class with a `__torch_function__`."""
    _forget_overrides()  # what the import of a test's file did
    yield
    _forget_overrides()


def _forget_overrides():
    op.look_closely(False)
    if op.overriding is None:
        return
    op.overriding = None
    wrapper = overrides._overridable(len).__code__
    for place in (op.FUNCTIONS, vars(minitorch), vars(functional)):
        place.update({name: f.__wrapped__ for name, f in place.items() if getattr(f, "__code__", None) is wrapper})
    for name, f in list(vars(Tensor).items()):
        if getattr(f, "__code__", None) is wrapper:
            setattr(Tensor, name, f.__wrapped__)
    Tensor.data = TENSOR_DATA


@pytest.fixture
def subprocess_env():
    """The environment in which a fresh Python finds the packages of this checkout."""
    import os

    paths = [str(ROOT / "kernels"), str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}


@pytest.fixture
def run_python(subprocess_env):
    """Runs a program in a fresh Python and returns what it printed; fails where the program does."""
    import subprocess

    def run(program: str, **variables: str) -> str:
        done = subprocess.run([sys.executable, "-c", program], env={**subprocess_env, **variables}, text=True,
                              capture_output=True, timeout=120)
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    return run
