"""The stand-in for CuPy refuses what CuPy refuses, computes what it computes, and is gone when its tests are done."""
from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def cp(device):
    import cupy

    if "standin" not in cupy.__file__:
        pytest.skip("CuPy itself is here, with a GPU")
    return cupy


REFUSED = {  # what CuPy 14.2 raises, as read in its sources or tried with what it does without a GPU
    "a host array in an operator": (lambda cp, x: x + np.ones(3), TypeError, "Unsupported type"),
    "a host array in a function": (lambda cp, x: cp.concatenate([x, np.ones(3)]), TypeError, "Unsupported type"),
    "a list in a ufunc": (lambda cp, x: cp.exp([1.0]), TypeError, "Unsupported type"),
    "becoming a host array": (lambda cp, x: np.asarray(x), TypeError, "Implicit conversion"),
    "writing into a host array": (lambda cp, x: np.ones(3).__setitem__(slice(None), x), TypeError, "Implicit"),
    "where= in a reduction": (lambda cp, x: cp.sum(x, where=True), TypeError, "unexpected keyword"),
    "initial= in a method": (lambda cp, x: x.max(initial=0), TypeError, "unexpected argument"),
    "accumulate of most ufuncs": (lambda cp, x: cp.maximum.accumulate(x), NotImplementedError, "not supported yet"),
    "reduce of most ufuncs": (lambda cp, x: cp.maximum.reduce(x), NotImplementedError, "not supported yet"),
    "atomics for int64": (lambda cp, x: cp.add.at(cp.zeros(3, int), cp.zeros(1, int), 1), TypeError, "only supports"),
    "products by atomics": (lambda cp, x: cp.multiply.at(x, cp.zeros(1, int), 1.0), NotImplementedError, "not supp"),
    "a cast to an int in place": (lambda cp, x: cp.arange(3).__iadd__(0.5), TypeError, "casting rule"),
    "a remainder of complex numbers": (lambda cp, x: cp.fmod(x.astype(complex), 2), TypeError, "Wrong type"),
    "text": (lambda cp, x: cp.array(["a"]), ValueError, "Unsupported dtype"),
    "an array as a count": (lambda cp, x: cp.repeat(x, cp.arange(3)), TypeError, "repeats"),
    "a name that CuPy has not": (lambda cp, x: cp.vectorised, AttributeError, "no attribute"),
    "sorting bfloat16": (lambda cp, x: cp.sort(x.astype(ml_dtypes.bfloat16)), TypeError, "bfloat16"),
    "more than one GPU's arrays": (lambda cp, x: x + on_second(cp), ValueError, "Peer access"),
    "setting from the other side": (lambda cp, x: x.set(cp.ones(3)), TypeError, "Only numpy"),
}


def on_second(cp):
    with cp.cuda.Device(1):
        return cp.ones(3)


@pytest.mark.parametrize("what", REFUSED)
def test_refuses(cp, what):
    call, error, text = REFUSED[what]
    with pytest.raises(error, match=text):
        call(cp, cp.arange(3.0))


def test_types_of_results(cp):
    """Promotion by the loops that CuPy has, with NumPy's rule that Python's numbers give way."""
    short = cp.ones(3, ml_dtypes.bfloat16)
    for found, expected in [
        (cp.exp(cp.ones(3, np.int8)), np.float16), (cp.ones(3, np.float32) * 2.5, np.float32),
        (cp.arange(3) + 1.5, np.float64), (cp.ones(3, np.int8) + 1.5, np.float64), (short + short, short.dtype),
        (cp.ones(3, np.float32) + np.float64(1), np.float64), (cp.ones(2, bool).sum(), np.int64),
        (cp.where(short > 0, short, short), np.float32), (short.sum(), short.dtype), (short.var(), np.float64),
    ]:
        assert found.dtype == expected
    assert type(cp.arange(4.0).sum()) is cp.ndarray and cp.arange(4.0).sum().shape == ()
    assert type(cp.allclose(short, short)) is cp.ndarray
    assert np.sum(cp.arange(4.0)).item() == 6 and type(np.exp(cp.ones(2))) is cp.ndarray  # NumPy hands over


def test_views_share_memory_and_indices_wrap(cp):
    x = cp.arange(12.0).reshape(3, 4)
    x.T[1] = 0
    assert x.base is not None and x[:, 1].tolist() == [0, 0, 0]
    assert cp.take(x, cp.asarray([3]), 0).tolist() == [[0, 0, 2, 3]]  # out of range: from the beginning again
    assert x[cp.asarray([5])].tolist() == [[8, 0, 10, 11]]
    assert cp.lib.stride_tricks.as_strided(x, (2,), (8,)).base is None  # CuPy's has none either
    assert not x.T.flags.c_contiguous and (x.T + 1).flags.c_contiguous
    assert np.isnan(cp.empty(5)[:].get()).all()  # fresh memory is garbage


def test_pool_counts(cp):
    pool = cp.cuda.MemoryPool()
    with cp.cuda.using_allocator(pool.malloc):
        x = cp.zeros(1000, np.uint8)
        y = cp.zeros(1, np.uint8)
    assert (pool.used_bytes(), pool.total_bytes()) == (1536, 1536)
    at = x.data.ptr
    del x
    assert (pool.used_bytes(), pool.free_bytes(), pool.n_free_blocks()) == (512, 1024, 1)
    with cp.cuda.using_allocator(pool.malloc):
        assert cp.zeros(900, np.uint8).data.ptr == at != y.data.ptr
    pool.set_limit(size=2048)
    with cp.cuda.using_allocator(pool.malloc), pytest.raises(cp.cuda.memory.OutOfMemoryError, match="Out of memory"):
        cp.zeros(5000, np.uint8)


def test_graph_runs_at_launch_alone(cp):
    x, stream = cp.ones(3), cp.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        y = x * 2
        x += y
        graph = stream.end_capture()
    assert x.tolist() == [1, 1, 1] and np.isnan(y.get()).all()
    graph.launch()
    assert x.tolist() == [3, 3, 3]
    graph.launch()
    assert x.tolist() == [9, 9, 9] and y.tolist() == [6, 6, 6]


def test_graph_does_not_keep_memory(cp):
    pool, stream = cp.cuda.MemoryPool(), cp.cuda.Stream()
    with stream, cp.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        y = cp.ones(3) + 1
        graph = stream.end_capture()
    del y
    pool.free_all_blocks()
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="IllegalAddress"):
        graph.launch()


FORBIDDEN = {
    "synchronize": lambda cp, x: cp.cuda.get_current_stream().synchronize(),
    "get": lambda cp, x: x.get(),
    "item": lambda cp, x: x.sum().item(),
    "asarray": lambda cp, x: cp.asarray(np.ones(3)),
    "set": lambda cp, x: x.set(np.ones(3)),
    "pinned memory": lambda cp, x: x.data.copy_from_host_async(cp.cuda.alloc_pinned_memory(24).ptr, 24),
    "cuBLAS": lambda cp, x: x @ x,
    "cuSOLVER": lambda cp, x: cp.linalg.inv(x[None]),
    "a mask": lambda cp, x: x[x > 0],
    "nonzero": lambda cp, x: cp.nonzero(x),
    "sort": lambda cp, x: cp.sort(x),
    "another graph": lambda cp, x: cp.cuda.get_current_stream().begin_capture(),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_forbidden_while_capturing(cp, what):
    x, stream = cp.ones(3), cp.cuda.Stream()
    with stream:
        stream.begin_capture()
        with pytest.raises(Exception, match="captur"):
            FORBIDDEN[what](cp, x)
        if what in ("synchronize", "nonzero", "sort"):
            with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="Invalidated"):
                stream.end_capture()
        else:
            stream.end_capture()


def test_kernel_that_writes_too_far(cp):
    """Behind an array lies a pattern, which kernels must leave as it is."""
    if not getattr(cp._emulation, "COMPILER", None):
        pytest.skip("no g++ to compile a kernel with")
    module = cp.RawModule(code='extern "C" __global__ void f(float* x, int n) { x[threadIdx.x + n] = 1; }')
    x = cp.zeros(5, np.float32)
    module.get_function("f")((1,), (5,), (x, np.int32(0)))
    assert x.tolist() == [1] * 5
    with pytest.raises(cp._emulation.EmulationError, match="outside of an array"):
        module.get_function("f")((1,), (5,), (x, np.int32(1)))
    for grid, block in (((1, 1 << 16), (1,)), ((1, 1, 1 << 16), (1,)), ((1,), (1025,)), ((1,), (1, 1, 65))):
        with pytest.raises(cp._emulation.EmulationError, match="no GPU has room"):
            module.get_function("f")(grid, block, (x, np.int32(0)))


def test_leaves_nothing_behind(run_python):
    """minitorch works before, with and after it, and afterwards knows of no GPU."""
    run_python(f"""
import importlib.util, sys
import numpy as np
import minitorch as mt
from minitorch_kernels.table import explain, use
spec = importlib.util.spec_from_file_location("of_gpu_tests", {str(Path(__file__).with_name("conftest.py"))!r})
conftest = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conftest)
devices = sys.modules["minitorch.device"]
before = mt.cuda.is_available(), explain("softmax", device="cuda"), set(devices.ARRAYS), set(devices.QUICK)
for _ in range(2):
    with conftest.StandIn():
        x = mt.ones(3, device="cuda:1", requires_grad=True)
        with use("reference"):
            x.softmax(0)[0].backward()
        assert mt.cuda.is_available() and "standin" in sys.modules["cupy"].__file__
    after = mt.cuda.is_available(), explain("softmax", device="cuda"), set(devices.ARRAYS), set(devices.QUICK)
    assert before == after
    assert not [name for name in sys.modules if name.startswith("cupy") and "standin" in str(sys.modules[name])]
    y = mt.ones(3, requires_grad=True)
    y.softmax(0)[0].backward()
    assert np.allclose(y.grad.numpy(), [2 / 9, -1 / 9, -1 / 9])
""")
