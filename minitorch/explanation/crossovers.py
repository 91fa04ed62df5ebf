"""Where two versions of a kernel compete: both timed turn about over a sweep of sizes, beside what the code chooses.

The times are kept in the user's cache folder, with the machine, the date and the versions of what ran.
"""
from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

import numpy as np
from minitorch_kernels import keeping, parallel, table

from .source import constant, definition, file_of, relative

KEPT = "crossovers"  # the name in the cache folder
ROUNDS, BLOCK = 9, 2e-3  # how often each takes its turn at a size, and the seconds of one
NOISY = 0.2  # of the median: what times may spread by before a measurement says so


@dataclass(frozen=True)
class Contest:
    """Two ways to run a kernel, `slow_start` for small sizes and `challenger` for large ones, over a sweep of sizes."""

    kernel: str
    slow_start: str
    challenger: str
    sweep: str  # what a size is
    sizes: tuple[int, ...]
    arguments: Callable[[int, str], tuple]  # of a size and a dtype
    threshold: str = ""  # "module:NAME" of the constant in the code, where there is one
    work: str = ""  # what that constant counts

    @property
    def key(self) -> str:
        return f"{self.kernel}: {self.slow_start} or {self.challenger}, {self.sweep}"

    def in_code(self) -> str:
        """The threshold that the code uses, and where it stands."""
        if not self.threshold:
            return "a model of the costs of both decides"
        module, name = self.threshold.split(":")
        file = file_of(module) or ""
        return f"{name} = {constant(file, name):,} {self.work}, {relative(file)}:{definition(file, name).lineno}"


@dataclass(frozen=True)
class Measured:
    """The times of a contest: seconds of both at each size, and which of the two the code chooses there."""

    contest: Contest
    rows: tuple[tuple[int, float, float, bool], ...]  # size, slow_start's, challenger's, whether that is chosen
    where: dict[str, str]  # machine, date, versions

    @property
    def crossover(self) -> int | None:
        """The size from which on the challenger is faster at every size; None where it is not even at the last."""
        return _from_on([(size, challenger < slow) for size, slow, challenger, _ in self.rows])

    @property
    def chosen_from(self) -> int | None:
        """The size from which on the code chooses the challenger."""
        return _from_on([(size, chosen) for size, _, _, chosen in self.rows])

    def lines(self) -> list[str]:
        """The table, with what is faster and what is chosen, and the two crossovers below."""
        slow, fast = self.contest.slow_start, self.contest.challenger
        wide = max(len(slow), len(fast), 9)
        lines = [f"{self.contest.sweep:>24} {slow:>{wide}} {fast:>{wide}}   ratio  the code runs"]
        for size, a, b, chosen in self.rows:
            mark = "" if chosen == (b < a) or 0.9 < b / a < 1.1 else "  (the other is faster)"
            lines.append(f"{size:>24} {_seconds(a):>{wide}} {_seconds(b):>{wide}}  {b / a:6.2f}  "
                         f"{fast if chosen else slow}{mark}")
        measured, chosen_from = _said(self.crossover, self.contest), _said(self.chosen_from, self.contest)
        return [*lines, f"measured: {fast} is faster {measured}; the code takes it {chosen_from} "
                        f"({self.contest.in_code()})", ", ".join(f"{v}" for v in self.where.values())]


def contests(kernel: str) -> list[Contest]:
    """The contests between versions of `kernel`."""
    return [contest for contest in CONTESTS if contest.kernel == kernel]


def measure(contest: Contest, dtype: str = "float32", rounds: int = ROUNDS, block: float = BLOCK,
            sizes: tuple[int, ...] = ()) -> Measured:
    """Time both versions at each size, in turns, and keep the result. Raises ImportError where Numba is missing."""
    rows, spreads = zip(*[_row(contest, size, dtype, rounds, block) for size in sizes or contest.sizes])
    where = {"machine": f"{keeping.processor()}, {parallel.get_num_threads()} threads",
             "versions": ", ".join(f"{name} {_version(name)}" for name in ("python", "numpy", "numba")),
             "dtype": dtype, "date": date.today().isoformat()}
    if max(spreads) > NOISY:
        where["noise"] = f"noisy: the middle half of the times spreads by up to {max(spreads):.0%}"
    found = Measured(contest, rows, where)
    keeping.write(KEPT, {**keeping.read(KEPT), contest.key: {"rows": [list(row) for row in rows], "where": where}})
    return found


def kept(contest: Contest) -> Measured | None:
    """What was measured before; None where nothing was, or where the file holds something else."""
    found: Any = keeping.read(KEPT).get(contest.key)
    try:
        rows = tuple((int(size), float(a), float(b), bool(chosen)) for size, a, b, chosen in found["rows"])
        where = {str(key): str(value) for key, value in found["where"].items()}
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    return Measured(contest, rows, where) if rows and all(a > 0 and b > 0 for _, a, b, _ in rows) else None


def text_for(kernels: tuple[str, ...]) -> list[str]:
    """For each contest of these kernels what was measured, or the threshold of the code and how to measure."""
    lines: list[str] = []
    for contest in (c for kernel in kernels for c in contests(kernel)):
        found, title = kept(contest), f"{contest.kernel}: {contest.slow_start} or {contest.challenger}"
        lines += [*[""] * bool(lines and found), title if found else f"{title} by {contest.sweep}: {contest.in_code()}"]
        lines += found.lines() if found else \
            [f"  not measured on this machine: minitorch explain k.{contest.kernel} --measure"]
    return lines


def _row(contest: Contest, size: int, dtype: str, rounds: int, block: float) -> tuple[tuple, float]:
    """The medians of both at a size and what the code chooses, and how far the middle half of the times spreads."""
    arguments = contest.arguments(size, dtype)
    sides = [(_run(contest.kernel, name), 1 if name == ONE else parallel.get_num_threads())
             for name in (contest.slow_start, contest.challenger)]
    calls = []
    for run, threads in sides:
        run(*arguments)  # compiled, and its memory touched
        calls.append(max(1, round(block / max(_time(run, arguments, 1, threads), 1e-7))))
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for kept_times, (run, threads), count in zip(times, sides, calls):
            kept_times.append(_time(run, arguments, count, threads))
    quarter = rounds // 4
    spread = max((sorted(t)[-1 - quarter] - sorted(t)[quarter]) / median(t) for t in times)
    return (size, median(times[0]), median(times[1]), _chosen(contest, arguments)), spread


def _run(kernel: str, name: str) -> Callable:
    """A version's function, which is not asked whether it would refuse."""
    entry = table.get(kernel)
    if name == "reference":
        return lambda *arguments: entry.reference(np, *arguments)
    if name == "winograd":
        return _winograd
    if name in (ONE, ALL):
        return entry.versions[0].load()
    return next(v for v in entry.versions if v.name == name and v.device == "cpu").load()


def _winograd(x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """Winograd's method with its best tile, also where the direct sum is expected to be faster."""
    winograd = import_module("minitorch_kernels.cpu.winograd")
    return winograd.conv2d(x, w, b, padding, winograd.worth(x.shape, w.shape, padding, x.dtype.char) or 2)


def _chosen(contest: Contest, arguments: tuple) -> bool:
    """Whether the code takes the challenger: by the predicates, or by a threshold within the version that is pooled."""
    if contest.challenger == "pooled":
        module, name = contest.threshold.split(":")
        return bool(arguments[0].size >= getattr(import_module(module), name))
    if contest.challenger == ALL:
        parts, work, *_ = import_module(f"minitorch_kernels.cpu.{contest.kernel}")._cut(arguments[0].shape, 1)[1]
        return bool(parts > 1 and work >= import_module("minitorch_kernels.cpu.tasks").SMALL)
    versions = [v for v in table.get(contest.kernel).versions if v.name in (contest.slow_start, contest.challenger)]
    first = next((v.name for v in versions if v.refuses(*arguments) is None), "reference")
    return first == contest.challenger


def _time(run: Callable, arguments: tuple, count: int, threads: int) -> float:
    """Seconds of a call, on so many threads."""
    before = parallel.get_num_threads()
    parallel.set_num_threads(threads)
    try:
        run(*arguments)  # wakes the threads
        start = time.perf_counter()
        for _ in range(count):
            run(*arguments)
        return (time.perf_counter() - start) / count
    finally:
        parallel.set_num_threads(before)


def _from_on(rows: list[tuple[int, bool]]) -> int | None:
    found = None
    for size, wins in reversed(rows):
        if not wins:
            break
        found = size
    return found


def _said(size: int | None, contest: Contest) -> str:
    return "at no size here" if size is None else f"from {size} on"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def _version(package: str) -> str:
    try:
        return platform.python_version() if package == "python" else version(package)
    except PackageNotFoundError:
        return "not installed"


def _normal(dtype: str, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def _images(channels: int, dtype: str) -> tuple:
    x, w = _normal(dtype, (8, channels, 16, 16), (channels, channels, 3, 3))
    return x, w, None, (1, 1), (1, 1), (1, 1), 1


def _deep(places: int, dtype: str) -> tuple:
    x, w = _normal(dtype, (places // 4, 128, 4, 4), (128, 128, 3, 3))
    return x, w, None, (2, 2), (1, 1), (1, 1), 1


def _rows(numbers: int, dtype: str) -> tuple:
    return _normal(dtype, (numbers // 32, 32))[0], np.random.default_rng(0).integers(0, 1000, numbers // 32), 1000


ONE, ALL = "one thread", "all threads"
POWERS = tuple(1 << n for n in range(12, 21))
CONTESTS = (
    Contest("matmul", "blas", "numba", "n of (n, n) @ (n, n)", (8, 16, 32, 48, 64, 80, 96, 128, 192, 256),
            lambda n, dtype: tuple(_normal(dtype, (n, n), (n, n))),
            "minitorch_kernels.matmul:SMALL", "multiplications, n³"),
    Contest("linear", "blas", "numba", "n of (n, n), (n, n)", (8, 16, 32, 48, 64, 80, 96, 128, 192, 256),
            lambda n, dtype: (*_normal(dtype, (n, n), (n, n)), None),
            "minitorch_kernels.matmul:SMALL", "multiplications, n³"),
    Contest("conv2d", "numba", "winograd", "channels of 8 x 16x16", (4, 8, 16, 24, 32, 48, 64, 96), _images),
    Contest("conv2d", "columns", "numba", "places of 3x3, 128 ch.", (16, 64, 128, 256, 512, 1024, 2048), _deep,
            "minitorch_kernels.conv:FEW", "places"),
    Contest("sum", "wide", "numba", "elements", POWERS,
            lambda n, dtype: (*_normal(dtype, (n // 64, 64)), 1), "minitorch_kernels.reduce:LARGE", "elements"),
    Contest("cumsum", "wide", "numba", "elements", POWERS,
            lambda n, dtype: (*_normal(dtype, (n // 64, 64)), 1), "minitorch_kernels.reduce:LARGE",
            "elements, of which an eighth"),
    Contest("where", "reference", "numba", "elements", POWERS,
            lambda n, dtype: (_normal(dtype, (n,))[0] > 0, *_normal(dtype, (n,), (n,))),
            "minitorch_kernels.elementwise:CALLED", "elements"),
    Contest("add", "reference", "pooled", "elements", POWERS, lambda n, dtype: tuple(_normal(dtype, (n,), (n,))),
            "minitorch_kernels.elementwise:POOLED", "elements"),
    Contest("exp", "reference", "pooled", "elements", POWERS, lambda n, dtype: tuple(_normal(dtype, (n,))),
            "minitorch_kernels.elementwise:CALLED", "elements"),
    Contest("tanh", "reference", "pooled", "elements", POWERS, lambda n, dtype: tuple(_normal(dtype, (n,))),
            "minitorch_kernels.elementwise:CALLED", "elements"),
    Contest("sigmoid", "reference", "numba", "elements", POWERS, lambda n, dtype: tuple(_normal(dtype, (n,))),
            "minitorch_kernels.elementwise:CALLED", "elements"),
    Contest("silu", "reference", "numba", "elements", POWERS, lambda n, dtype: tuple(_normal(dtype, (n,))),
            "minitorch_kernels.elementwise:CALLED", "elements"),
    Contest("softmax", ONE, ALL, "numbers, in rows of 128", POWERS,
            lambda n, dtype: (*_normal(dtype, (n // 128, 128)), 1), "minitorch_kernels.cpu.tasks:SMALL",
            "operations, 16 a number, in two parts or more"),
    Contest("add_rows", "sorted", "numba", "numbers in rows of 32", POWERS, _rows),
)
