"""The buffer pool: buffers come back, live as long as any view of them, and go when asked to."""
from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from minitorch_kernels import memory
from minitorch_kernels.memory import LARGE, empty, empty_cache, stats


@pytest.fixture(autouse=True)
def nothing_idle():
    gc.collect()
    empty_cache()
    yield
    empty_cache()


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("shape, dtype", [((LARGE // 4,), "float32"), ((3, LARGE), "uint8"), ((LARGE, 1, 2), "float64"),
                                          ((LARGE,), "complex64"), ((LARGE,), "bool")])
def test_shape_dtype_and_layout(shape, dtype):
    a = empty(shape, dtype)
    assert a.shape == shape and a.dtype == dtype
    assert a.flags.c_contiguous and a.flags.writeable and a.flags.aligned
    a[...] = 1
    assert np.all(a == 1)


@pytest.mark.parametrize("shape", [(), (0,), (5, 0, 2), (3,), (LARGE // 4 - 1,)])
def test_small_arrays_are_left_to_malloc(shape):
    before = stats()
    assert empty(shape, np.float32).shape == shape
    assert stats() == before


def test_a_dead_array_s_buffer_is_used_again():
    a = empty((1024, 1024), np.float32)
    place = address(a)
    del a
    hits = stats()["hits"]
    b = empty((1 << 20,), np.int32)  # another shape of the same size
    assert address(b) == place and stats()["hits"] == hits + 1


def test_sizes_share_a_buffer_within_a_step():
    a = empty((1 << 20,), np.uint8)
    place = address(a)
    del a
    b = empty(((1 << 20) - 5000,), np.uint8)
    assert address(b) == place


@pytest.mark.parametrize("size", [LARGE, LARGE + 1, (1 << 20) - 1, (1 << 20) + 1, 3_333_333, 123_456_789])
def test_rounding_wastes_an_eighth_at_most(size):
    rounded = memory._rounded(size)
    assert size <= rounded <= size * 9 / 8 + 4096
    assert memory._rounded(rounded) == rounded


@pytest.mark.parametrize("view", [lambda a: a[3:5], lambda a: a.reshape(-1)[::7], lambda a: a.T,
                                  lambda a: a.view(np.int32), lambda a: np.broadcast_to(a, (2, *a.shape)), memoryview],
                         ids=["slice", "flat", "transpose", "dtype", "broadcast", "memoryview"])
def test_a_view_keeps_the_buffer(view):
    a = empty((512, 512), np.float32)
    a[...] = 7
    v = view(a)
    before = np.array(v)
    in_use = stats()["in_use_bytes"]
    del a
    assert stats()["in_use_bytes"] == in_use
    for other in [empty((512, 512), np.float32) for _ in range(3)]:
        other[...] = 0
    assert np.array_equal(np.array(v), before)
    del v
    gc.collect()
    assert stats()["in_use_bytes"] < in_use + 3 * (1 << 20)


def test_statistics_return_to_where_they_were():
    before = stats()["in_use_bytes"]
    arrays = [empty((n, 1 << 12), np.float64) for n in range(10, 40, 7)]
    assert stats()["in_use_bytes"] >= before + sum(a.nbytes for a in arrays)
    arrays.clear()
    assert stats()["in_use_bytes"] == before
    assert stats()["idle_bytes"] > 0


def test_empty_cache_gives_back_what_is_idle_and_only_that():
    kept = empty((1 << 20,), np.uint8)
    kept[...] = 9
    dead = empty((1 << 21,), np.uint8)
    size = dead.nbytes
    del dead
    assert empty_cache() == size
    assert stats()["idle_bytes"] == 0 and empty_cache() == 0
    assert np.all(kept == 9)


def test_the_limit(monkeypatch):
    monkeypatch.setattr(memory, "LIMIT", 3 << 20)
    arrays = [empty((1 << 20,), np.uint8) for _ in range(5)]
    arrays.clear()
    assert stats()["idle_bytes"] == 3 << 20


def test_the_limit_is_set_by_the_environment(run_python):
    program = ("from minitorch_kernels import memory; a = memory.empty((1 << 20,), 'u1'); del a; "
               "print(memory.stats()['idle_bytes'])")
    assert run_python(program, MINITORCH_POOL_LIMIT="1000") == "0"
    assert run_python(program, MINITORCH_POOL_LIMIT="2000000") == str(1 << 20)


def test_threads():
    """No two live arrays ever share memory, however many threads ask."""
    wrong, before = [], stats()["in_use_bytes"]

    def work(number):
        rng = np.random.default_rng(number)
        held = []
        for step in range(150):
            a = empty((int(rng.integers(LARGE, 2 * LARGE)),), np.uint8)
            a[::4096] = number
            held.append(a)
            if len(held) > 4:
                old = held.pop(int(rng.integers(len(held))))
                if not np.all(old[::4096] == number):
                    wrong.append((number, step))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    gc.collect()
    assert not wrong
    assert stats()["in_use_bytes"] == before


def test_a_cycle_collected_within_the_pool_does_not_deadlock():
    """The collector may run while the pool's lock is held, and end buffers there."""
    class Cycle:
        pass

    for _ in range(50):
        c = Cycle()
        c.me, c.array = c, empty((LARGE,), np.uint8)
    gc.collect()
    assert stats()["idle_bytes"] > 0
