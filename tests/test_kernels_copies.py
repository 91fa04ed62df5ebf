"""Copies of arrays that lie in any order."""
import numpy as np
import pytest
from minitorch_kernels import explain, kernels, parallel
from minitorch_kernels.copies import LARGE, crossed

pytest.importorskip("numba")
k = kernels(np)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_, np.complex64])
@pytest.mark.parametrize("index", [np.s_[:], np.s_[:, ::2], np.s_[::-1], np.s_[..., ::-1], np.s_[1:, :, 3:],
                                   np.s_[..., :1]])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_any_order(axes, index, dtype):
    x = (np.arange(70 * 41 * 37) % 251).reshape(70, 41, 37).astype(dtype).transpose(axes)[index]
    y = k.copy(x)
    assert y.dtype == x.dtype and y.flags.c_contiguous and not np.shares_memory(x, y)
    np.testing.assert_array_equal(y, x)


def test_the_same_for_any_number_of_threads():
    x = np.random.default_rng(0).standard_normal((301, 333)).T
    before = parallel.get_num_threads()
    try:
        for threads in (1, 2, 3):
            parallel.set_num_threads(threads)
            np.testing.assert_array_equal(k.copy(x), x)
    finally:
        parallel.set_num_threads(before)


@pytest.mark.parametrize("x, runs", [
    (np.zeros((300, 300)).T, "numba"), (np.zeros((300, 300)), "pooled"), (np.zeros((LARGE, 2)).T, "pooled"),
    (np.zeros((30, 40, 60)).transpose(1, 0, 2), "pooled"), (np.broadcast_to(np.zeros(300), (300, 300)), "pooled"),
    (np.broadcast_to(np.zeros((300, 1)), (300, 300)), "pooled"), (np.zeros((0, 300)).T, "pooled")])
def test_which_version(x, runs):
    lines = explain("copy", x).splitlines()
    assert next(line for line in lines if line.startswith(runs)).split(maxsplit=1)[1] == "runs"


def test_axes_made_one():
    assert crossed((2, 3, 4), (96, 32, 8), 8) is None
    assert crossed((4, 2, 3), (8, 96, 32), 8) == ([4, 6], [8, 32], 0)
    assert crossed((5,), (16,), 8) is None
