"""What limits this machine, measured: multiply-adds in registers, and streams through caches and memory."""
from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from . import vector
from .jit import jit

SUMS = 12  # sums in registers at once: a fused multiply-add takes 4 cycles, and two begin in each
LASTING = 0.01  # seconds a measurement lasts
BEST_OF = 5


def arithmetic(threads: int, dtype: str = "float32") -> float:
    """Operations a second of so many threads, a fused multiply-add counted as two."""
    return _rate(threads, lambda: (_multiply_add, (np.array([0.5, 1], dtype),)), 2 * SUMS * vector.lanes(dtype))


def bandwidth(threads: int, size: int, pattern: str) -> float:
    """Bytes a second that so many threads move of `size` bytes in all; `pattern` is one of PATTERNS."""
    return max(stream(threads, size, *kernel) for kernel in PATTERNS[pattern])


def stream(threads: int, size: int, kernel: Callable, arrays: int, accesses: int) -> float:
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

    scalar = ir.FloatType() if factor == types.float32 else ir.DoubleType()

    def codegen(context, builder, signature, arguments):
        kind = ir.VectorType(scalar, vector.lanes(str(factor)))
        a, b = (vector.splat(builder, x, kind) for x in arguments[1:])
        starts = [builder.fadd(b, ir.Constant(kind, [float(i)] * kind.count)) for i in range(SUMS)]
        sums = vector.loop(builder, arguments[0], 1, lambda i, values: [vector.fma(builder, v, a, b) for v in values],
                           starts)
        total = sums[0]
        for value in sums[1:]:
            total = builder.fadd(total, value)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return factor(types.int64, factor, summand), codegen


@jit
def _multiply_add(rounds, ones):
    return _chains(np.int64(rounds), ones[0], ones[1])


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
