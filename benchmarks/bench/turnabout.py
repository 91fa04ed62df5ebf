"""What the benchmarks share: the machine, the threads, contestants that are measured turn about, and tables."""
from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from minitorch_kernels import keeping

BLOCK = 0.05  # seconds that the calls of one turn last at least: a clock's tick and a look at it are nothing beside
TURNS = 5  # at least
FEW = 3  # turns of what takes long


def frameworks() -> dict[str, ModuleType]:
    """minitorch, and PyTorch where it is installed, by name."""
    import minitorch

    try:
        import torch
    except ImportError:
        return {"minitorch": minitorch}
    return {"minitorch": minitorch, "torch": torch}


def set_threads(number: int) -> None:
    """Let both frameworks use so many threads."""
    for framework in frameworks().values():
        framework.set_num_threads(number)


def machine() -> dict[str, Any]:
    """What the figures were measured on and with."""
    import numba
    import numpy

    versions = {"python": platform.python_version(), "numpy": numpy.__version__, "numba": numba.__version__,
                **{name: framework.__version__ for name, framework in frameworks().items()}}
    return {"processor": keeping.processor(), "cores": cores(), "date": time.strftime("%Y-%m-%d"), "versions": versions}


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def block(function: Callable[[], Any], seconds: float = BLOCK, keep: Callable[[Any], Any] | None = None,
          single: bool = False) -> Callable[[], float]:
    """A measure of `function`: seconds a call, the mean over a block of calls that lasts `seconds` at least.

    A block begins when the other framework's threads have gone to sleep, and its first call, which wakes its own
    framework's, is not timed. `keep` is given the result of the block's last call. `single`, for what takes long: the
    block is one call, with none before it.
    """
    keep = keep or (lambda result: None)
    if single:
        def measure_one() -> float:
            rest()
            start = time.perf_counter()
            result = function()
            elapsed = time.perf_counter() - start
            keep(result)
            return elapsed

        return measure_one

    function()
    function()  # compilers that record a task do so in its first two calls
    count = 1

    def timed() -> float:
        start = time.perf_counter()
        for _ in range(count - 1):
            function()
        result = function()
        elapsed = time.perf_counter() - start
        keep(result)
        return elapsed

    def measure() -> float:
        nonlocal count
        keep(None)  # its memory is free again
        rest()
        function()
        while (elapsed := timed()) < 0.8 * seconds:
            count = math.ceil(count * min(10.0, seconds / max(elapsed, 1e-7)))
        return elapsed / count

    measure()  # finds the number of calls
    return measure


def rest(limit: float = 0.5) -> None:
    """Wait, so many seconds at most, until no thread of this process computes.

    After a call, the threads of BLAS (for 0.1 s), PyTorch and minitorch go on looking for work, on a core that the next
    contestant needs. Systems count a thread's time in steps of some milliseconds.
    """
    end = time.perf_counter() + limit
    while time.perf_counter() < end:
        before = time.process_time()
        time.sleep(0.02)
        if time.process_time() - before < 0.002:
            return


def take_turns(measures: dict[str, Callable[[], float]], seconds: float = 0, turns: int = TURNS,
               enough: Callable[[dict[str, list[float]]], bool] | None = None,
               slow: Collection[str] = ()) -> dict[str, list[float]]:
    """The figures of each measure, one a turn, for `seconds` and for so many `turns` at least.

    Every other turn goes backwards, so that what drifts (the clock rate, other programs) does not favour the first.
    It ends before the time is up where the figures are `enough`. Those named in `slow` take part in FEW turns.
    """
    figures: dict[str, list[float]] = {name: [] for name in measures}
    end, order, done = time.perf_counter() + seconds, list(measures), 0
    while order and (done < turns or (time.perf_counter() < end and not (enough and enough(figures)))):
        for name in order:
            figures[name].append(measures[name]())
        done += 1
        if done == FEW:
            order = [name for name in order if name not in slow]
        order.reverse()
    return figures


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """The ratio of the medians, and the quartiles of the ratios of single turns; to three digits."""
    low, _, high = statistics.quantiles([a / b for a, b in zip(ours, theirs)], n=4, method="inclusive")
    middle = statistics.median(ours) / statistics.median(theirs)
    middle, low, high = (float(f"{value:.3g}") for value in (middle, low, high))
    return {"ratio": middle, "quartiles": [low, high]}


def shown(ratio: dict[str, Any] | None) -> str:
    """A ratio with its spread, in some 17 characters; a very small one alone."""
    if ratio is None:
        return ""
    if ratio["ratio"] < 0.01:
        return f"{ratio['ratio']:.5f}"
    largest = max(ratio["ratio"], *ratio["quartiles"])
    digits = 2 if largest < 9.995 else 1 if largest < 99.95 else 0
    return "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(ratio["ratio"], *ratio["quartiles"], d=digits)


def duration(seconds: float | None) -> str:
    """
    >>> duration(0.00123), duration(12.3e-6), duration(None)
    ('1.23 ms', '12.3 us', '')
    """
    if seconds is None:
        return ""
    number, unit = (seconds * 1e3, "ms") if seconds >= 1e-3 else (seconds * 1e6, "us")
    return f"{number:.{max(0, 2 - len(str(int(number))) + 1)}f} {unit}"


def line(cells: Iterable[Any], widths: Sequence[int]) -> str:
    """A line of a table: figures to the right; to the left, in columns of negative width, texts.

    >>> line(["a", 1.5, "x"], [-3, 6, -2])
    'a       1.5  x'
    """
    return "  ".join(f"{cell!s:<{-width}}" if width < 0 else f"{cell!s:>{width}}"
                     for cell, width in zip(cells, widths)).rstrip()


def header(names: Sequence[str], widths: Sequence[int]) -> str:
    return line(names, widths) + "\n" + line(["-" * abs(width) for width in widths], widths)


def heading(facts: dict[str, Any]) -> str:
    """The machine in two lines, above a table."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return f"{facts['processor']}, {facts['cores']} cores, {facts['date']}\n{versions}"


def save(path: str | None, results: dict[str, Any]) -> None:
    """Write `results` as JSON, where a path is given."""
    if path:
        Path(path).write_text(json.dumps(results, indent=1) + "\n")


def resident() -> float:
    """This process's resident memory, MiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak() -> float:
    """The largest resident memory since this process's program began or `forget_peak`, MiB.

    Not getrusage's figure: that counts what the parent had when it started this process.
    """
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))


def forget_peak() -> None:
    """Let `peak` start from now, where the system allows that."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
