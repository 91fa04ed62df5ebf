"""A run of `minitorch bench` that nobody measured, for the tests of the report and of the comparison."""
from __future__ import annotations

from typing import Any

import numpy as np

RUNGS = [
    ("loops", 0.0021, "Three plain Python loops: one product and one sum at a time, straight from the definition."),
    ("compiled", 1.1, "The same loops, compiled: no interpreter between two products."),
    ("reordered", 9.4, "The loops over k and j change places, so that the innermost runs along rows of memory."),
    ("vector", 18.0, "Sixteen columns at once in one register: the processor's vector instructions."),
    ("registers", 61.0, "A tile of 12x32 sums stays in registers while k goes by: two loads for 24 products."),
    ("blocked", 92.0, "Blocks of both operands that fit into the cache are used up before the next are fetched."),
    ("packed", 131.0, "Each block is first copied in the order in which the micro-kernel reads it."),
    ("threads", 240.0, "Every thread takes its own blocks of rows; the packed columns are shared."),
    ("numba", 291.0, "Edges have kernels of their own, and small products skip the packing."),
]
LIMITS = {"float32": 209.9, "float64": 104.2}
RATES = {"write": (103.8, 85.3, 51.8, 29.0, 18.1, 14.6), "update": (125.9, 97.4, 72.8, 41.8, 31.0, 23.8),
         "read": (96.0, 71.0, 52.0, 28.0, 18.3, 14.8)}
SIZES = ("0.125 MiB", "0.5 MiB", "2 MiB", "8 MiB", "128 MiB", "512 MiB")


def run(threads: tuple[int, ...] = (1, 2), dtypes: tuple[str, ...] = ("float32", "float64"), seed: int = 0,
        slower: float = 1.0, spread: float = 0.02) -> dict[str, Any]:
    """A ladder, a sweep and peers of matmul, and a softmax without either; `slower` times the time, with noise."""
    rng = np.random.default_rng(seed)
    results = []
    for n in threads:
        for dtype in dtypes:
            results += [entry(rng, n, dtype, slower, spread, **what) for what in _contests(n, dtype)]
    return {"format": "minitorch-bench/1", "machine": machine(), "limits": limits(threads), "results": results}


def machine() -> dict[str, Any]:
    return {"processor": "Intel(R) Xeon(R) Processor", "cores": 2, "memory_gib": 15.6, "clock_mhz": 2900,
            "load": [0.12, 0.2, 0.1],
            "date": "2026-11-22 21:30", "command": "minitorch bench matmul softmax --rung all --html report.html",
            "versions": {"python": "3.11.7", "numpy": "2.4.6", "numba": "0.68.1", "minitorch": "0.1.0",
                         "torch": "2.13.0+cpu"}}


def limits(threads: tuple[int, ...]) -> dict[str, Any]:
    return {str(n): {"GFLOP/s": {dtype: round(n * rate, 1) for dtype, rate in LIMITS.items()},
                     "GB/s": {pattern: dict(zip(SIZES, (round(n * rate, 1) for rate in rates)))
                              for pattern, rates in RATES.items()}} for n in threads}


def entry(rng: np.random.Generator, threads: int, dtype: str, slower: float = 1.0, spread: float = 0.02, *,
          kernel: str, case: str, contestant: str, library: str, gflops: float, flops: float, moved: float,
          count: int = 20, **facts: Any) -> dict[str, Any]:
    """A result that runs at `gflops`, as blocks with normal noise of so much `spread` would have it."""
    seconds = flops / gflops / 1e9 * slower
    blocks = seconds * np.exp(spread * rng.standard_normal(count))
    low, median, high = (float(q) for q in np.quantile(blocks, (0.25, 0.5, 0.75)))
    limit = threads * LIMITS[dtype] * 1e9
    rate = threads * RATES["write"][2] * 1e9
    return {"kernel": kernel, "case": case, "shapes": [], "dtype": dtype, "threads": threads, "size": None,
            "contestant": contestant, "library": library, "version": None, "rung": None, "idea": None,
            "seconds": {"median": median, "low": low, "high": high, "count": count},
            "cold": {"median": 1.3 * median, "low": 1.2 * low, "high": 1.5 * high, "count": count}, "launch": 4.1e-6,
            "flops": flops, "moved": moved, "GFLOP/s": flops / median / 1e9, "GB/s": moved / median / 1e9,
            "share": max(flops / limit, moved / rate) / median,
            "bound": "arithmetic" if flops / limit > moved / rate else "cache", "error": 3e-7, "tolerance": 1e-4,
            "trusted": True, "why": None, "against": None, "ratio": None, "quartiles": None, **facts}


def _contests(threads: int, dtype: str) -> list[dict[str, Any]]:
    scale = (1.0 if threads == 2 else 0.55) * (1.0 if dtype == "float32" else 0.5)
    wide = 4 if dtype == "float32" else 8
    found: list[dict[str, Any]] = []

    def matmul(n: int, contestant: str, library: str, gflops: float, **facts: Any) -> None:
        found.append(dict(kernel="matmul", case=f"{n}x{n} @ {n}x{n}", shapes=[[n, n], [n, n]], contestant=contestant,
                          library=library, gflops=gflops * scale, flops=2.0 * n**3, moved=3.0 * wide * n * n, **facts))

    for number, (name, rate, idea) in enumerate(RUNGS):
        noisy = dict(trusted=False, why="spread 34 %: more than 20 %") if name == "vector" and threads == 2 else {}
        matmul(512, f"minitorch {name}", "minitorch", rate, version=name, rung=number, idea=idea, **noisy)
    for n in (64, 128, 256, 512, 1024, 2048):
        lift = n / (n + 110)
        for contestant, library, rate in (("minitorch blas", "minitorch", 330), ("numpy", "numpy", 322),
                                          ("torch", "torch", 352), ("tinygrad", "tinygrad", 190)):
            noisy = library == "tinygrad" and n in (256, 2048)
            doubt = dict(trusted=False, why="spread 41 %: more than 20 %") if noisy else {}
            matmul(n, contestant, library, rate * lift, size=n, version="blas" if library == "minitorch" else None,
                   **doubt)
    for shape in ("64x1000", "8x12x256x256"):
        n = float(np.prod([int(part) for part in shape.split("x")]))
        for contestant, library, rate in (("minitorch numba", "minitorch", 82), ("torch", "torch", 61),
                                          ("numpy", "numpy", 9)):
            found.append(dict(kernel="softmax", case=f"{shape}, dim -1", contestant=contestant, library=library,
                              gflops=rate * scale, flops=24 * n, moved=2 * wide * n))
    if dtype == "float32":
        found[-1] |= dict(trusted=False, why="FAILED: differs by 3.1e-02, allowed 1.0e-04", seconds=None)
    return found
