"""Copies of arrays that lie in any order."""
import numpy as np
import pytest
from minitorch_kernels import explain, kernels, parallel
from minitorch_kernels.copies import LARGE, crossed, rows

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
    (np.zeros((30, 40, 60)).transpose(1, 0, 2), "rows"), (np.broadcast_to(np.zeros(300), (300, 300)), "rows"),
    (np.broadcast_to(np.zeros((300, 1)), (300, 300)), "rows"), (np.zeros((LARGE, 4))[:, :2], "pooled"),
    (np.zeros((0, 300)).T, "pooled")])
def test_which_version(x, runs):
    lines = explain("copy", x).splitlines()
    assert next(line for line in lines if line.startswith(runs)).split(maxsplit=1)[1] == "runs"


def test_axes_made_one():
    assert crossed((2, 3, 4), (96, 32, 8), 8) is None
    assert crossed((4, 2, 3), (8, 96, 32), 8) == ([4, 6], [8, 32], 0)
    assert crossed((5,), (16,), 8) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.bool_, np.complex64, np.complex128])
@pytest.mark.parametrize("shape", [(70, 41, 37), (3, 2, 5, 40, 70), (2, 3, 1, 20000)])
@pytest.mark.parametrize("index", [np.s_[:], np.s_[::-1], np.s_[..., ::-1], np.s_[:, ::-1, 1:], np.s_[:, 1:]])
@pytest.mark.parametrize("turned", ["neither", "source", "target", "both"])
def test_written_into_memory_in_any_order(dtype, shape, index, turned):
    """What lies beside the target stays as it was."""
    axes = (1, 0, *range(2, len(shape)))
    x = (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)
    x = (x.transpose(axes) if turned in ("source", "both") else x)[index]
    room = np.full([2 * n for n in x.shape], 1, dtype)
    want, middle = room.copy(), tuple(slice(n // 2, n // 2 + n) for n in x.shape)
    want[middle] = x[::-1] if turned == "target" else x
    k.copy_into(room[middle][::-1] if turned == "target" else room[middle], x)
    np.testing.assert_array_equal(room, want)


@pytest.mark.parametrize("key", [np.s_[:1], np.s_[:, :1], np.s_[:1, :1]])
def test_one_row_or_number_for_many(key):
    x, out = np.broadcast_to(np.arange(90000.0).reshape(300, 300)[key], (300, 300)), np.zeros((300, 300))
    np.testing.assert_array_equal(k.copy_into(out, x), x)


def test_rows_are_few_or_short():
    assert rows((300, 300), (4, 1200), (4, 1200), 4)[1].tolist() == [[1, 1, 1, 90000], [0, 0, 0, 1], [0, 0, 0, 1]]
    assert rows((300, 300), (1200, 4), (4, 1200), 4) is None
    assert rows((9000, 3), (20, 4), (12, 4), 4) is None
    assert rows((300, 300), (0, 4), (1200, 4), 4) is None
