"""Where the tests of this folder run: on a GPU if there is one, else on the stand-in for CuPy, else not, and why."""
from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from minitorch_kernels import table
from minitorch_kernels.cuda import cublaslt, lazily, settings

from minitorch import engine
from minitorch.cuda import memory

devices = importlib.import_module("minitorch.device")  # the module: minitorch.device is its class
HERE = Path(__file__).resolve().parent
STANDIN = HERE.parent / "standin"
LENT = ("cupy", "cupyx", "emulated_cublaslt")  # packages that are the stand-in's while it is there


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("gpu")
    items.sort(key=lambda item: item.path.name == "test_cubins.py")  # the last: it is prepared meanwhile


def pytest_collection_finish(session):
    files = {item.path.name for item in session.items}
    if "test_cubins.py" in files and len(files) > 1 and not session.config.option.collectonly:
        import test_cubins

        test_cubins.start(Path(tempfile.mkdtemp()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Kernels cannot be run on the CPU without a compiler: such tests are skipped, and say so."""
    try:
        return (yield)
    except RuntimeError as error:
        if "needs g++" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="module", autouse=True)
def device(request, all_bits):
    """The name of the device under test. For a module's tests the stand-in, where it is used, is all of CuPy."""
    if real_gpu():
        yield "cuda"
        return
    if importlib.util.find_spec("ml_dtypes") is None:
        pytest.skip("no GPU, and the stand-in for CuPy needs ml_dtypes, which is not installed")
    with StandIn():
        yield "cuda"


@pytest.fixture(scope="module")
def all_bits():
    """Convolutions of float32 count with all of its bits: as in PyTorch, they would be rounded to TF32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "tf32_convolutions", False)
        yield


def real_gpu():
    """Whether CuPy is installed and finds a GPU."""
    if importlib.util.find_spec("cupy") is None:
        return False
    try:
        return importlib.import_module("cupy").is_available()
    except Exception:  # whatever a broken installation raises
        return False


class StandIn:
    """Within `with` the stand-in is what `import cupy` gives; afterwards minitorch has never heard of it."""

    modules: ClassVar[dict] = {}  # the stand-in's, which stay the same from one time to the next

    def __enter__(self):
        self.before = {name: sys.modules.pop(name) for name in lent()}
        sys.modules.update(self.modules)
        sys.path.insert(0, str(STANDIN))
        importlib.invalidate_caches()
        if shutil.which("g++"):
            os.environ["MINITORCH_CUBLASLT"] = importlib.import_module("emulated_cublaslt").build()
        cublaslt._found.cache_clear()
        forget()
        return self

    def __exit__(self, *exception):
        os.environ.pop("MINITORCH_CUBLASLT", None)
        sys.path.remove(str(STANDIN))
        self.modules.update({name: sys.modules.pop(name) for name in lent()})
        sys.modules.update(self.before)
        importlib.invalidate_caches()
        forget()


def lent():
    return [name for name in sys.modules if name.partition(".")[0] in LENT]


def forget():
    """Takes CuPy, whichever it was, out of what minitorch remembers."""
    cp = devices._cupy
    if cp is not None:
        devices.ARRAYS.discard(cp.ndarray)
        devices.QUICK.pop(cp.ndarray, None)
        table._namespaces.pop(id(cp), None)
        cp.cuda.set_allocator(cp.get_default_memory_pool().malloc)
    devices._cupy = None
    devices.gpus.several, devices.gpus.capturing, engine.placing = False, None, None
    memory._default = None
    for kept in (memory._pools, memory._peaks, memory._retired, vars(lazily.cupy)):
        kept.clear()
    table._missing.cache_clear()
    table._rebind()
