"""Native tasks: every part runs once, on any number of threads, whoever else is using the pool."""
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from minitorch_kernels import parallel
from minitorch_kernels.cpu import tasks
from minitorch_kernels.cpu.tasks import borrow, give_back, task

ALWAYS = 1 << 40  # operations that are worth all threads
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()  # as they were before the first job


@task
def count_part(part, seen, amount):
    seen[part] += amount


@task
def sum_part(part, x, size, sums):
    for i in range(part * size, min((part + 1) * size, len(x))):
        sums[part] += x[i]


@task
def borrow_part(part, rooms, used, most):
    mine = borrow(rooms)
    used[mine] += 1
    for _ in range(2000):
        most[part] += used[mine] - 1
    used[mine] -= 1
    give_back(rooms, mine)


@pytest.fixture(params=[1, 2, 3, 5])
def threads(request):
    before = parallel.get_num_threads()
    parallel.set_num_threads(request.param)
    yield request.param
    parallel.set_num_threads(before)


@pytest.mark.parametrize("parts", [0, 1, 2, 3, 7, 1000])
def test_every_part_runs_once(threads, parts):
    seen = np.zeros(parts + 1, np.int64)
    for _ in range(50):
        count_part(parts, ALWAYS, seen, 2)
    assert (seen[:parts] == 100).all() and seen[parts] == 0


def test_a_function_in_a_function_is_refused():
    def inside(part, x):
        x[part] = 1

    with pytest.raises(ValueError, match="inside must stand in a module"):
        task(inside)


def test_workers_wake_from_their_sleep(threads):
    seen = np.zeros(64, np.int64)
    for n in range(1, 4):
        time.sleep(0.05)  # longer than a worker looks for work
        count_part(64, ALWAYS, seen, 1)
        assert (seen == n).all()


def forbidden(*arguments):
    raise PermissionError(1, "Operation not permitted")


def asleep():
    """The worker that sleeps, of a pool of two threads."""
    seen = np.zeros(4, np.int64)
    count_part(4, ALWAYS, seen, 1)
    deadline = time.monotonic() + 20
    while not tasks._sleepers and time.monotonic() < deadline:
        time.sleep(0.01)
    return tasks._sleepers[0][1]


@pytest.mark.skipif(len(CORES) < 2, reason="one core, or a system that does not say")
@pytest.mark.parametrize("allowed", [True, False])
def test_a_worker_wakes_on_another_core(monkeypatch, allowed):
    before = parallel.get_num_threads()
    parallel.set_num_threads(2)
    tasks._fresh()  # another test may have left a pool of more threads
    try:
        worker, seen = asleep(), np.zeros(4, np.int64)
        at_first = os.sched_getaffinity(worker)
        if not allowed:
            monkeypatch.setattr(os, "sched_setaffinity", forbidden)
        count_part(4, ALWAYS, seen, 1)
        assert (seen == 1).all() and os.sched_getaffinity(0) == CORES
        assert len(os.sched_getaffinity(worker)) == (len(CORES) - 1 if allowed else len(at_first))
    finally:
        parallel.set_num_threads(before)


def test_two_threads_take_part(threads):
    """Where there are workers, some part runs on one of them: sooner or later, for a worker is never waited for."""
    if threads == 1:
        return
    x, sums = np.ones(1 << 21), np.zeros(64)
    deadline = time.monotonic() + 20
    cpu, begin = time.thread_time(), time.process_time()
    while time.monotonic() < deadline:
        sum_part(64, ALWAYS, x, len(x) // 64, sums)
        others = (time.process_time() - begin) - (time.thread_time() - cpu)
        if others > 0.005:
            return
    raise AssertionError("no worker did anything in 20 seconds")


def test_small_work_stays_on_the_calling_thread(monkeypatch):
    monkeypatch.setattr(tasks, "_wake", lambda workers: pytest.fail("woke a worker"))
    seen = np.zeros(8, np.int64)
    count_part(8, tasks.SMALL - 1, seen, 1)
    count_part(1, ALWAYS, seen, 1)
    assert seen.tolist() == [2, 1, 1, 1, 1, 1, 1, 1]


def test_bits_do_not_depend_on_the_number_of_threads(threads):
    x = np.random.default_rng(0).standard_normal(100_003).astype(np.float32)
    sums, alone = np.zeros(13, np.float32), np.zeros(13, np.float32)
    sum_part(13, ALWAYS, x, 7_700, sums)
    sum_part(13, 0, x, 7_700, alone)
    assert np.array_equal(sums, alone)


def test_several_python_threads_share_the_pool(threads):
    seen = [np.zeros(31, np.int64) for _ in range(4)]

    def use(mine):
        for _ in range(500):
            count_part(31, ALWAYS, mine, 1)

    users = [threading.Thread(target=use, args=(s,)) for s in seen]
    for user in users:
        user.start()
    for user in users:
        user.join(60)
    assert all((s == 500).all() for s in seen)


def test_a_room_has_one_user_at_a_time(threads):
    rooms, used, most = np.zeros(threads, np.int64), np.zeros(threads, np.int64), np.zeros(40, np.int64)
    borrow_part(40, ALWAYS, rooms, used, most)
    assert not rooms.any() and not used.any() and not most.any()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_a_pool_of_its_own(threads):
    seen = np.zeros(16, np.int64)
    count_part(16, ALWAYS, seen, 1)  # the parent's workers are awake
    child = os.fork()
    if child == 0:
        count_part(16, ALWAYS, seen, 1)
        os._exit(0 if (seen == 2).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
    count_part(16, ALWAYS, seen, 1)
    assert (seen == 2).all()


def test_a_process_ends_while_workers_wait(tmp_path):
    program = ("import numpy as np\nfrom minitorch_kernels import kernels, parallel\nparallel.set_num_threads(3)\n"
               "a = np.ones((300, 300), 'f4')\nprint(kernels(np).matmul(a, a)[0, 0])\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "300.0", "")
