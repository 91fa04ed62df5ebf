"""This machine's measured limits: float32 arithmetic in registers, and streaming bandwidth by the size of the data."""
from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from minitorch_kernels.cpu import vector
from minitorch_kernels.cpu.jit import jit
from numba import types
from numba.extending import intrinsic

SUMS = 12  # sums in registers at once: a fused multiply-add takes 4 cycles, and two begin in each
SIZES = tuple(1 << n for n in range(17, 30, 2))  # bytes of data: 128 KiB to 512 MiB
LASTING = 0.01  # seconds a measurement lasts
BEST_OF = 5


class Limits(NamedTuple):
    """What some threads reach together."""

    flops: float  # float32 operations a second, a fused multiply-add counted as two
    bandwidth: dict[str, list[float]]  # by pattern of access: bytes a second for data of each of SIZES

    def seconds(self, flops: float, moved: float, pattern: str) -> tuple[float, str]:
        """The least time for so many operations and bytes, and what sets it: arithmetic, cache or memory."""
        rates = self.bandwidth[pattern]
        held = moved * (0.6 if pattern == "update" else 1)  # of five numbers moved, two go where they came from
        rate = float(np.exp(np.interp(math.log(max(held, 1)), np.log(SIZES), np.log(rates))))
        moving, computing = moved / rate, flops / self.flops
        place = "cache" if rate > 1.5 * rates[-1] else "memory"
        return max(moving, computing), "arithmetic" if computing > moving else place

    def results(self) -> dict[str, Any]:
        """GFLOP/s, and GB/s by pattern and MiB."""
        names = [f"{size / 2**20:g} MiB" for size in SIZES]
        return {"GFLOP/s": round(self.flops / 1e9, 1),
                "GB/s": {pattern: dict(zip(names, (round(r / 1e9, 1) for r in rates)))
                         for pattern, rates in self.bandwidth.items()}}

    def __str__(self) -> str:
        found = self.results()
        lines = [f"Measured limits: {found['GFLOP/s']} GFLOP/s in float32; GB/s by the size of the data:"]
        lines += [f"  {pattern:7}" + ", ".join(f"{size} {rate}" for size, rate in rates.items())
                  for pattern, rates in found["GB/s"].items()]
        return "\n".join(lines)


@cache
def limits(threads: int) -> Limits:
    """The limits of `threads` threads, measured now."""
    flops = _rate(threads, lambda: (_multiply_add, ()), 2 * SUMS * vector.lanes("float32"))
    bandwidth: dict[str, list[float]] = {pattern: [] for pattern in PATTERNS}
    for size in SIZES:
        for pattern, kernels in PATTERNS.items():
            bandwidth[pattern].append(max(_stream(threads, size, *kernel) for kernel in kernels))
    return Limits(flops, bandwidth)


def _stream(threads: int, size: int, kernel: Callable, arrays: int, accesses: int) -> float:
    """Bytes a second of `kernel` on so many arrays of `size` bytes in all, where each thread has its own."""
    length = max(size // (4 * threads * arrays), 1)
    return _rate(threads, lambda: (kernel, tuple(np.ones(length, np.float32) for _ in range(arrays))),
                 4 * accesses * length)


def _rate(threads: int, make: Callable[[], tuple[Callable, tuple]], amount: float) -> float:
    """What all threads do in a second, each running its own `function(rounds, *arguments)`; a round does `amount`."""
    work = [make() for _ in range(threads)]
    rounds, best = 1, 0.0
    with ThreadPoolExecutor(threads) as pool:
        def run() -> float:
            start = time.perf_counter()
            for job in [pool.submit(function, rounds, *arguments) for function, arguments in work]:
                job.result()
            return time.perf_counter() - start

        run()
        while (elapsed := run()) < LASTING:
            rounds = math.ceil(rounds * min(10, 1.2 * LASTING / elapsed))
        for _ in range(BEST_OF):
            best = max(best, threads * rounds * amount / run())
    return best


@intrinsic
def _chains(typingctx, rounds, factor, summand):
    """SUMS vectors of sums, each times `factor` plus `summand` in every round; a number that depends on them all."""

    def codegen(context, builder, signature, arguments):
        kind = ir.VectorType(ir.FloatType(), vector.lanes("float32"))
        a, b = (vector.splat(builder, x, kind) for x in arguments[1:])
        starts = [builder.fadd(b, ir.Constant(kind, [float(i)] * kind.count)) for i in range(SUMS)]
        sums = vector.loop(builder, arguments[0], 1, lambda i, values: [vector.fma(builder, v, a, b) for v in values],
                           starts)
        total = sums[0]
        for value in sums[1:]:
            total = builder.fadd(total, value)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(types.int64, types.float32, types.float32), codegen


@jit
def _multiply_add(rounds):
    return _chains(np.int64(rounds), np.float32(0.5), np.float32(1))


@jit
def _copy(rounds, y, x):
    for _ in range(rounds):
        for i in range(len(y)):
            y[i] = x[i]


@jit
def _triad(rounds, y, a, b):
    for r in range(rounds):
        factor = np.float32(r)
        for i in range(len(y)):
            y[i] = a[i] + factor * b[i]


@jit
def _update(rounds, y, x):
    for r in range(rounds):
        factor = np.float32(r)
        for i in range(len(y)):
            y[i] += factor * x[i]


@jit
def _read(rounds, x):
    total = np.float32(0)
    for r in range(rounds):
        factor = np.float32(r)
        for i in range(len(x)):
            total += factor * x[i]
    return total


# pattern: its kernels, with the number of their arrays and of accesses an element. A fresh result costs more than one
# that replaces what was read: the processor fetches each line before it writes into it.
PATTERNS = {"write": [(_copy, 2, 2), (_triad, 3, 3)], "update": [(_update, 2, 3)], "read": [(_read, 1, 1)]}
