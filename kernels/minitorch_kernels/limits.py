"""This machine's measured limits: arithmetic in registers, and streaming bandwidth by the size of the data.

They are measured once (some three seconds for each number of threads) and kept. A roofline (Williams, Waterman and
Patterson, 2009) says from them how long a kernel needs at least: as long as its arithmetic, or as its traffic.
"""
from __future__ import annotations

import math
import os
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from . import keeping, parallel

SIZES = tuple(1 << n for n in range(17, 30, 2))  # bytes of data: 128 KiB to 512 MiB
QUIETER = 0.5  # threads fewer that are busy, to measure again
PATTERNS = ("write", "update", "read")  # results in fresh memory, over what was read, or hardly any
NAMES = [f"{size / 2**20:g} MiB" for size in SIZES]


class Limits(NamedTuple):
    """What some threads reach together."""

    flops: dict[str, float]  # by dtype: operations a second, a fused multiply-add counted as two
    bandwidth: dict[str, list[float]]  # by pattern of access: bytes a second for data of each of SIZES

    def seconds(self, flops: float, moved: float, pattern: str = "write", dtype: str = "float32") -> tuple[float, str]:
        """The least time for so many operations and bytes, and what sets it: arithmetic, cache or memory.

        >>> Limits({"float32": 1e11}, {"write": [1e10] * len(SIZES)}).seconds(1e9, 1e6)
        (0.01, 'arithmetic')
        """
        rate = self.rate(moved, pattern)
        moving, computing = moved / rate, flops / self.flops.get(dtype, self.flops["float32"])
        place = "cache" if rate > 1.5 * self.bandwidth[pattern][-1] else "memory"
        return max(moving, computing), "arithmetic" if computing > moving else place

    def rate(self, moved: float, pattern: str = "write") -> float:
        """Bytes a second for so many bytes, between the sizes that were measured."""
        held = moved * (0.6 if pattern == "update" else 1)  # of five numbers moved, two go where they came from
        logs = np.interp(math.log(max(held, 1)), np.log(SIZES), np.log(self.bandwidth[pattern]))
        return float(np.exp(logs))

    def results(self) -> dict[str, Any]:
        """GFLOP/s by dtype, and GB/s by pattern and MiB."""
        return {"GFLOP/s": {dtype: round(rate / 1e9, 1) for dtype, rate in self.flops.items()},
                "GB/s": {pattern: dict(zip(NAMES, (round(r / 1e9, 1) for r in rates)))
                         for pattern, rates in self.bandwidth.items()}}

    def __str__(self) -> str:
        found = self.results()
        rates = ", ".join(f"{rate} in {dtype}" for dtype, rate in found["GFLOP/s"].items())
        lines = [f"Measured limits: GFLOP/s {rates}; GB/s by the size of the data:"]
        lines += [f"  {pattern:7}" + ", ".join(f"{size} {rate}" for size, rate in rates.items())
                  for pattern, rates in found["GB/s"].items()]
        return "\n".join(lines)


def limits(threads: int | None = None) -> Limits:
    """The limits of so many threads (as many as kernels use, unless said): as kept, or else measured now.

    Raises ImportError where Numba is not installed.
    """
    return _limits(threads or parallel.get_num_threads())


@cache
def _limits(threads: int) -> Limits:
    kept = keeping.read("limits").get(_key(threads), {})
    try:
        found = _from(kept)
        return measure(threads) if _load() + QUIETER < kept["load"] else found
    except (KeyError, TypeError, ValueError):
        return measure(threads)


def measure(threads: int) -> Limits:
    """The limits of so many threads, measured now, where better than what is kept; a busy machine shows too little.

    So the machine's load is kept with them: `limits` measures again once there is less.
    """
    try:
        from .cpu import limits as measured
    except ImportError:
        raise ImportError("Numba is not installed, and measures this machine's limits: pip install numba") from None
    flops = {dtype: measured.arithmetic(threads, dtype) for dtype in ("float32", "float64")}
    bandwidth = {pattern: [measured.bandwidth(threads, size, pattern) for size in SIZES] for pattern in PATTERNS}
    kept, load = keeping.read("limits"), _load()
    try:
        before = _from(kept[_key(threads)])
        load = min(load, kept[_key(threads)]["load"])
        flops = {dtype: max(rate, before.flops[dtype]) for dtype, rate in flops.items()}
        bandwidth = {pattern: [max(pair) for pair in zip(rates, before.bandwidth[pattern], strict=True)]
                     for pattern, rates in bandwidth.items()}
    except (KeyError, TypeError, ValueError):
        pass  # nothing is kept, or something else
    keeping.write("limits", {**kept, _key(threads): {"flops": flops, "bandwidth": bandwidth, "load": load}})
    return Limits(flops, bandwidth)


def _key(threads: int) -> str:
    return f"{keeping.processor()}, {os.cpu_count()} cores, {threads} threads"


def _load() -> float:
    """How many threads the machine has been busy with for the last minute, about."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _from(values: dict[str, Any]) -> Limits:
    """Raises ValueError, KeyError or TypeError for what is not a machine's limits."""
    flops = {dtype: float(values["flops"][dtype]) for dtype in ("float32", "float64")}
    bandwidth = {pattern: [float(rate) for rate in values["bandwidth"][pattern]] for pattern in PATTERNS}
    if any(len(rates) != len(SIZES) for rates in bandwidth.values()):
        raise ValueError("limits: of other sizes")
    return Limits(flops, bandwidth)
