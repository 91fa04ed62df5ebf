"""Threads for the CPU kernels: one pool of Python threads that runs serial, GIL-free kernels on parts of the work.

Numba's own parallel layers die in forked children or abort when two Python threads meet (numba docs, "Threading
layers"); a thread that sleeps on a lock between kernels can do neither, and does not spin against BLAS's threads.
The parts are cut by the size of the work alone, never by the number of threads, so that results are the same bits
whatever that number is.
"""
from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

SMALL = 200_000  # below so many operations the hand-over to a thread (about 30 us) costs more than it gains


def get_num_threads() -> int:
    """The number of threads that kernels use."""
    return _threads


def set_num_threads(n: int) -> None:
    """Let kernels use `n` threads from now on. Raises RuntimeError, as PyTorch does, where `n` is not positive."""
    global _threads
    if not isinstance(n, int) or n < 1:
        raise RuntimeError(f"set_num_threads: expects a positive integer, got {n!r}")
    _threads = n


def run(part: Callable[[int], None], parts: int, work: float = float("inf")) -> None:
    """Call `part(i)` for each i below `parts`, on several threads where `work` (operations in all) is worth it.

    An exception in any part is raised here, once all threads have stopped.

    >>> done = []
    >>> run(done.append, 3)
    >>> sorted(done)
    [0, 1, 2]
    """
    workers = min(_threads, parts)
    if workers <= 1 or work < SMALL or getattr(_inside, "pool", False):
        for i in range(parts):
            part(i)
        return
    ticket = count().__next__  # threads draw the parts one by one: uneven parts still end together

    def worker():
        _inside.pool = True  # a kernel inside a kernel stays on its thread: waiting for the pool would deadlock
        try:
            while (i := ticket()) < parts:
                part(i)
        finally:
            _inside.pool = False

    pending = [_executor().submit(worker) for _ in range(workers - 1)]
    try:
        worker()
    finally:
        errors = [e for e in (p.exception() for p in pending) if e]
    if errors:
        raise errors[0]


def chunks(total: int, size: int) -> list[slice]:
    """`total` items in slices of `size`, the last one shorter.

    >>> chunks(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(i, min(i + size, total)) for i in range(0, total, size)]


_inside = threading.local()
_lock = threading.Lock()
_pool: tuple[int, ThreadPoolExecutor] | None = None


def _default_threads() -> int:
    wanted = os.environ.get("MINITORCH_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _executor() -> ThreadPoolExecutor:
    global _pool
    from concurrent.futures import ThreadPoolExecutor  # at the first parallel kernel: importing it takes 5 ms

    with _lock:
        if _pool is None or _pool[0] < _threads - 1:
            _pool = (_threads, ThreadPoolExecutor(_threads, thread_name_prefix="minitorch"))
        return _pool[1]


def _after_fork() -> None:
    """A forked child has none of its parent's threads: it starts a pool, and a lock, of its own."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()
    _inside.pool = False


_threads = _default_threads()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
