"""The GPU's module: what it says and refuses without a GPU; with one, that a tensor goes there and back."""
import subprocess
import sys

import pytest

import minitorch as mt


def test_nothing_is_loaded_by_import():
    code = "import minitorch.cuda, sys; print('cupy' in sys.modules, minitorch.device('cuda').type)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False cuda\n"


@pytest.mark.skipif(mt.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu():
    assert mt.cuda.device_count() == 0 and mt.cuda.memory_allocated() == 0
    mt.cuda.manual_seed(1)
    mt.cuda.manual_seed_all(1)
    mt.cuda.empty_cache()
    for use in (lambda: mt.ones(2).to("cuda"), lambda: mt.zeros(2, device="cuda:1"), lambda: mt.cuda.current_device(),
                lambda: mt.nn.Linear(2, 2).cuda()):
        with pytest.raises(RuntimeError, match=r"'cuda'.*CuPy"):
            use()


@pytest.mark.skipif(not mt.cuda.is_available(), reason="no GPU, or CuPy is not installed")
def test_there_and_back():
    x = mt.arange(6.0).reshape(2, 3)
    y = x.to("cuda")
    assert y.is_cuda and mt.equal(y.cpu(), x)
    with pytest.raises(RuntimeError, match=r"cuda:0 and cpu|cpu and cuda:0"):
        x + y


@pytest.mark.skipif(mt.cuda.is_available(), reason="this machine has a GPU")
def test_graphs_without_a_gpu():
    assert not mt.cuda.is_current_stream_capturing()
    for make in (mt.cuda.CUDAGraph, mt.cuda.graph_pool_handle, mt.cuda.Stream, mt.ones(2).pin_memory):
        with pytest.raises(RuntimeError, match=r"'cuda'.*CuPy"):
            make()
    assert not mt.ones(2).is_pinned()
