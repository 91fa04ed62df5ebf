"""A contest on the GPU: who takes part, whether all compute the same, and how long each takes by CUDA events."""
from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench import turnabout

BLOCK = 0.02  # seconds of calls between two events, about
TURNS = 7
OURS = "minitorch"

# Largest error relative to the largest number of the result, by what is computed with. Cases have float32's own.
TOLERANCES = {"tf32": 5e-3, "bfloat16": 3e-2, "float16": 5e-3}


def rival() -> Any:
    """PyTorch, where it is installed and finds a GPU; else None."""
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


def contest(title: str, runs: dict[str, Callable[[], Any]], seconds: float, **facts: Any) -> dict[str, Any]:
    """Time all runs turn about; a row with medians, spreads and the ratio to the fastest of the others.

    A run that cannot be started is named in the row's notes, with its error, and the others go on.
    """
    row: dict[str, Any] = {"title": title, **facts}
    notes = row.setdefault("notes", [])
    measures = {}
    for name, run in runs.items():
        try:
            measures[name] = block(run)
        except Exception as error:
            notes.append(f"{name}: {type(error).__name__}: {first_line(error)}")
    if OURS not in measures:
        return {**row, "verdict": "FAILED"}
    figures = turnabout.take_turns(measures, seconds, TURNS, enough=lambda _: True)
    row["seconds"] = {name: statistics.median(times) for name, times in figures.items()}
    row["spread"] = {name: spread(times) for name, times in figures.items()}
    others = {name: times for name, times in figures.items() if name != OURS}
    if others:
        best = min(others, key=lambda name: statistics.median(others[name]))
        row |= {"rival": best, **turnabout.ratio(figures[OURS], others[best])}
    return row


def block(function: Callable[[], Any]) -> Callable[[], float]:
    """A measure of `function`: seconds a call, over calls of about BLOCK seconds between two events.

    Both frameworks work on the default stream, so CuPy's events time them both. The calls are asynchronous: where the
    GPU waits for the host, that is in the figure, as it is in a program's time.
    """
    import cupy

    start, end = cupy.cuda.Event(), cupy.cuda.Event()

    def timed(count: int) -> float:
        start.record()
        for _ in range(count):
            function()
        end.record()
        end.synchronize()
        return cupy.cuda.get_elapsed_time(start, end) / 1e3 / count

    for _ in range(3):  # what compiles, or records, does so in its first calls
        function()
    count = max(1, min(1000, math.ceil(BLOCK / max(timed(2), 1e-6))))
    return lambda: timed(count)


def error(found: Any, wanted: Any) -> float:
    """The largest difference of the results that both have, relative to the largest number of each; inf where shapes
    differ, where there is nothing to compare, or where only one is finite. It is worked out on the GPU.
    """
    import cupy

    worst, pairs = 0.0, list(zip(arrays(found), arrays(wanted)))
    for a, b in pairs:
        if a.shape != b.shape:
            return math.inf
        a, b = a.astype("float64"), b.astype("float64")
        apart = cupy.where((a == b) | (cupy.isnan(a) & cupy.isnan(b)), 0, cupy.abs(a - b))
        size = cupy.where(cupy.isfinite(b), cupy.abs(b), 0)
        worst = max(worst, float(apart.max()) / (float(size.max()) or 1.0)) if a.size else worst
        if not math.isfinite(worst):
            return math.inf
    return worst if pairs else math.inf


def arrays(value: Any) -> list[Any]:
    """All arrays and tensors in `value` as CuPy's."""
    import cupy

    if isinstance(value, (tuple, list)):
        return [a for item in value for a in arrays(item)]
    if hasattr(value, "_array"):
        return [value._array]
    if hasattr(value, "detach"):  # CuPy knows no bfloat16 of PyTorch's
        value = value.detach()
        return [cupy.asarray(value.float() if value.is_floating_point() else value)]
    return [cupy.asarray(value)] if hasattr(value, "dtype") else []


def within(cases: list[Any], seconds: float) -> Iterator[Any]:
    """The cases, until the time is over; how many were left out is said."""
    end = time.perf_counter() + seconds
    for i, case in enumerate(cases):
        if time.perf_counter() > end:
            print(f"    the time is over: {len(cases) - i} of {len(cases)} left out", flush=True)
            return
        yield case


def spread(times: list[float]) -> float:
    """The distance of the quartiles, relative to the median."""
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    return round((high - low) / middle, 4) if middle else 0.0


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
