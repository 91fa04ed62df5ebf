"""What may spoil a measurement: how far its blocks spread, what else ran, at which clock; and flushing the caches."""
from __future__ import annotations

import contextlib
import glob
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ENOUGH = 0.05  # no more blocks are needed where the quartiles of each contestant lie this close (part of the median)
BOUND = 0.20  # quartiles farther apart than this are not trusted
DISTURBED = 0.25  # cores that other processes may take from those which are measured


def summary(times: Sequence[float]) -> dict[str, Any]:
    """Median, quartiles and number of blocks.

    >>> summary([3.0, 1.0, 2.0])
    {'median': 2.0, 'low': 1.5, 'high': 2.5, 'count': 3}
    """
    low, median, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else [times[0]] * 3
    return {"median": median, "low": low, "high": high, "count": len(times)}


def spread(times: Sequence[float]) -> float:
    """The distance of the quartiles, relative to the median."""
    found = summary(times)
    return (found["high"] - found["low"]) / found["median"]


def enough(figures: dict[str, list[float]], wanted: float = ENOUGH) -> bool:
    """Whether all contestants' blocks lie close enough together."""
    return all(spread(times) <= wanted for times in figures.values())


def doubts(times: Sequence[float], others: float | None, threads: int, cores: int, bound: float = BOUND) -> str | None:
    """Why a measurement is not to be trusted, or None. `others`: the cores that other processes kept busy.

    >>> doubts([1.0, 1.0, 1.01, 1.02], 0.0, 1, 2)
    >>> doubts([1.0, 1.5, 1.0, 2.0], 0.0, 1, 2)
    'spread 50 %: more than 20 %'
    >>> doubts([1.0, 1.0, 1.0, 1.0], 1.8, 1, 2)
    'other processes kept 1.8 of 2 cores busy'
    """
    found = []
    if (apart := spread(times)) > bound:
        found.append(f"spread {apart:.0%}: more than {bound:.0%}".replace("%", " %"))
    if others is not None and others > max(0, cores - threads) + DISTURBED:
        found.append(f"other processes kept {others:.1f} of {cores} cores busy")
    return "; ".join(found) or None


class Others:
    """Counts, from when it is made, the cores that other processes keep busy (Linux; elsewhere `cores` is None)."""

    def __init__(self) -> None:
        self._start = self._now()

    def _now(self) -> tuple[float, float, float] | None:
        """Seconds since some time; of all processes on all cores; of this process."""
        try:
            with open("/proc/stat") as file:
                ticks = [int(word) for word in file.readline().split()[1:]]
        except (OSError, ValueError):
            return None
        busy = sum(ticks[:3]) + sum(ticks[5:8])  # user, nice, system, interrupts, and what other machines stole
        return time.perf_counter(), busy / os.sysconf("SC_CLK_TCK"), time.process_time()

    def cores(self) -> float | None:
        now = self._now()
        if now is None or self._start is None:
            return None
        elapsed, all_busy, own = (b - a for a, b in zip(self._start, now))
        return max(0.0, (all_busy - own) / elapsed) if elapsed > 0.1 else 0.0  # ticks are too coarse for less


def conditions() -> dict[str, Any]:
    """Clock, memory and load, as they are now; None where the system does not say."""
    return {"memory_gib": _memory(), "clock_mhz": _clock(), "load": _load()}


def _memory() -> float | None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    return None


def _clock() -> int | None:
    """The mean of the cores' clock rates, MHz."""
    with contextlib.suppress(OSError, ValueError, statistics.StatisticsError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return round(statistics.mean(float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")))
    return None


def _load() -> list[float] | None:
    """The load averages of the last 1, 5 and 15 minutes."""
    with contextlib.suppress(OSError, AttributeError):
        return [round(x, 2) for x in os.getloadavg()]
    return None


def last_cache() -> int:
    """Bytes of the largest cache of the first core; 32 MiB where the system does not say."""
    sizes = [32 << 20] if not (found := list(_caches())) else found
    return max(sizes)


def _caches() -> Iterator[int]:
    for path in glob.glob("/sys/devices/system/cpu/cpu0/cache/index*/size"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            text = Path(path).read_text().strip()
            yield int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1]]


class Flush:
    """Calling it streams through more memory than the last-level cache holds, on all cores: data are cold then.

    Each core has caches of its own, which another's traffic need not empty. So each thread writes a part, which is
    larger than they are, and the one that calls takes part: it is its core that the next measurement begins on.
    """

    MOST = 1 << 30  # bytes

    def __init__(self, threads: int, size: int | None = None) -> None:
        size = min(self.MOST, size or 3 * last_cache() // 2)
        self.parts = [np.zeros(max(1, size // threads // 8)) for _ in range(threads)]
        self.pool = ThreadPoolExecutor(threads)

    def __call__(self) -> None:
        own, *others = self.parts
        jobs = [self.pool.submit(np.add, part, 1, part) for part in others]
        np.add(own, 1, own)
        for job in jobs:
            job.result()


@cache
def flush(threads: int) -> Flush:
    """The same one whenever so many threads are asked for: its memory is had once."""
    return Flush(threads)
