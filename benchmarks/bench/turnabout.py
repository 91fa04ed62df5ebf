"""What the benchmarks share: the machine, the threads, contestants that are measured turn about, and tables."""
from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

BLOCK = 0.05  # seconds that the calls of one turn last at least: a clock's tick and a look at it are nothing beside
TURNS = 5  # at least


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
    return {"processor": processor(), "cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d"), "versions": versions}


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def block(function: Callable[[], Any], seconds: float = BLOCK) -> Callable[[], float]:
    """A measure of `function`: seconds a call, the mean over a block of calls that lasts `seconds` at least.

    A block begins when the other framework's threads have gone to sleep, and its first call, which wakes its own
    framework's, is not timed.
    """
    function()
    start = time.perf_counter()
    function()
    count = max(1, round(seconds / max(time.perf_counter() - start, 1e-7)))

    def measure() -> float:
        rest()
        function()
        start = time.perf_counter()
        for _ in range(count):
            function()
        return (time.perf_counter() - start) / count

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


def take_turns(measures: dict[str, Callable[[], float]], seconds: float = 0, turns: int = TURNS) -> dict[str, list]:
    """The figures of each measure, one a turn, for `seconds` and for so many `turns` at least.

    Every other turn goes backwards, so that what drifts (the clock rate, other programs) does not favour the first.
    """
    figures: dict[str, list] = {name: [] for name in measures}
    end, order = time.perf_counter() + seconds, list(measures)
    while len(figures[order[0]]) < turns or time.perf_counter() < end:
        for name in order:
            figures[name].append(measures[name]())
        order.reverse()
    return figures


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """The ratio of the medians, and the quartiles of the ratios of single turns."""
    low, _, high = statistics.quantiles([a / b for a, b in zip(ours, theirs)], n=4, method="inclusive")
    return {"ratio": round(statistics.median(ours) / statistics.median(theirs), 3),
            "quartiles": [round(low, 3), round(high, 3)]}


def shown(ratio: dict[str, Any] | None) -> str:
    """A ratio with its spread, in 18 characters."""
    return "" if ratio is None else "{:.2f} [{:.2f}, {:.2f}]".format(ratio["ratio"], *ratio["quartiles"])


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
