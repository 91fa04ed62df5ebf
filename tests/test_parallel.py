"""The thread pool of the kernels: all parts run once, errors arrive, nothing hangs: nested, forked, many callers."""
from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
from minitorch_kernels import parallel
from minitorch_kernels.parallel import chunks, get_num_threads, run, set_num_threads


@pytest.fixture(autouse=True)
def three_threads():
    before = get_num_threads()
    set_num_threads(3)
    yield
    set_num_threads(before)


@pytest.mark.parametrize("parts", [0, 1, 2, 3, 100])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_part_runs_once(parts, threads):
    set_num_threads(threads)
    done = []
    run(done.append, parts)
    assert sorted(done) == list(range(parts))


def test_several_threads_take_part():
    seen, barrier = set(), threading.Barrier(3, timeout=10)

    def part(i):
        barrier.wait()  # passes only where three threads are here at once
        seen.add(threading.get_ident())

    run(part, 3)
    assert len(seen) == 3


def test_small_work_stays_on_the_caller_s_thread():
    seen = set()
    run(lambda i: seen.add(threading.get_ident()), 10, work=parallel.SMALL - 1)
    assert seen == {threading.get_ident()}


def test_nested_runs_finish():
    done = []
    run(lambda i: run(lambda j: done.append((i, j)), 5), 5)
    assert sorted(done) == [(i, j) for i in range(5) for j in range(5)]


@pytest.mark.parametrize("where", [0, 3, 9])
def test_an_exception_arrives_and_the_pool_lives_on(where):
    def part(i):
        time.sleep(0.001)
        if i == where:
            raise ZeroDivisionError(i)

    with pytest.raises(ZeroDivisionError, match=str(where)):
        run(part, 10)
    done = []
    run(done.append, 10)
    assert sorted(done) == list(range(10))
    with pytest.raises(ZeroDivisionError):
        run(lambda i: run(part, 10), 3)
    assert not getattr(parallel._inside, "pool", False)


def test_many_callers_at_once():
    results = {}

    def caller(n):
        for _ in range(20):
            total = np.zeros(64)
            run(lambda i, total=total: total.__setitem__(i, i * n), 64)
            results.setdefault(n, []).append(total.sum())

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not any(t.is_alive() for t in threads)
    assert all(set(results[n]) == {2016.0 * n} for n in range(6))


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", None])
def test_set_num_threads_rejects(bad):
    with pytest.raises(RuntimeError, match="set_num_threads: expects a positive integer"):
        set_num_threads(bad)
    assert get_num_threads() == 3


def test_threads_from_the_environment(run_python):
    program = "from minitorch_kernels.parallel import get_num_threads; print(get_num_threads())"
    assert run_python(program, MINITORCH_NUM_THREADS="7") == "7"
    assert run_python(program, MINITORCH_NUM_THREADS="", OMP_NUM_THREADS="5") == "5"
    assert int(run_python(program, MINITORCH_NUM_THREADS="none", OMP_NUM_THREADS="")) >= 1


def test_chunks():
    assert chunks(0, 4) == []
    assert [s.indices(9) for s in chunks(9, 4)] == [(0, 4, 1), (4, 8, 1), (8, 9, 1)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_computes(run_python):
    """A child forked after the pool has started, even from within a part, has a pool of its own."""
    assert run_python("""
import os, threading
from minitorch_kernels.parallel import run, set_num_threads
set_num_threads(4)
run(lambda i: None, 8)

def child():
    pid = os.fork()
    if pid == 0:
        done = []
        run(done.append, 100)
        run(lambda i: run(done.append, 2), 4)
        os._exit(0 if len(done) == 108 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

codes = [child()]
run(lambda i: codes.append(child()), 3)
print(codes)
""") == "[0, 0, 0, 0]"


def test_the_same_bits_for_every_number_of_threads():
    """Kernels cut their work by its size alone."""
    from minitorch.device import cpu_kernels as k

    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 700, 801)).astype(np.float32)
    results = []
    for n in (1, 2, 3):
        set_num_threads(n)
        results.append([k.mul(a, b), k.exp(a), k.matmul(a, b.T), k.softmax(a, 1)])
    for other in results[1:]:
        for x, y in zip(results[0], other):
            assert np.array_equal(x, y)
