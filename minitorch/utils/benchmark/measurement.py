"""What a `Timer` measured: times, their quartiles, and what was timed."""
from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

UNITS = {"ns": (1e-9, "nanosecond"), "us": (1e-6, "microsecond"), "ms": (1e-3, "millisecond"), "s": (1, "second")}
SUSPECT_IQR, GROSS_IQR = 0.1, 0.25  # of the median: what PyTorch warns from


@dataclass(repr=False, frozen=True)
class TaskSpec:
    """What is timed: the statement, its set-up, and the labels that `Compare` makes rows and columns of."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, or the statement where there is none."""
        if self.label is None and "\n" in self.stmt:
            sub_label = f" ({self.sub_label})" if self.sub_label else ""
            return f"stmt:{sub_label}\n{textwrap.indent(self.stmt, '  ')}"
        name = self.stmt if self.label is None else self.label
        return f"{name}: {self.sub_label}" if self.sub_label else name

    def setup_str(self) -> str:
        """The set-up as the repr shows it: nothing for `pass`."""
        if self.setup in ("", "pass"):
            return ""
        return f"setup:\n{textwrap.indent(self.setup, '  ')}" if "\n" in self.setup else f"setup: {self.setup}"

    def summarize(self) -> str:
        """Title, description and set-up, a paragraph each where they take several lines."""
        parts = [self.title, self.description or "", self.setup_str()]
        return "\n".join(f"{part}\n" if "\n" in part else part for part in parts if part)


SPEC_FIELDS = frozenset(field.name for field in fields(TaskSpec))


@dataclass(repr=False)
class Measurement:
    """Times in seconds of blocks of `number_per_run` runs of a statement, and the statistics of a single run.

    >>> m = Measurement(number_per_run=10, raw_times=[1e-4, 1.2e-4, 1.4e-4], task_spec=TaskSpec("x + y", "pass"))
    >>> f"{m.median:.1e} s, between quartiles {m.iqr:.0e} s", m.stmt
    ('1.2e-05 s, between quartiles 2e-06 s', 'x + y')
    """

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name in SPEC_FIELDS:
            return getattr(self.task_spec, name)
        raise AttributeError(f"'Measurement' object has no attribute {name!r}")

    @property
    def times(self) -> list[float]:
        """Seconds a run, one figure for each block."""
        return [time / self.number_per_run for time in self.raw_times]

    @property
    def median(self) -> float:
        """Seconds a run; -1 before anything was measured."""
        return self._quantile(0.5)

    @property
    def mean(self) -> float:
        """Seconds a run; -1 before anything was measured."""
        return float(np.mean(self.times)) if self.raw_times else -1.0

    @property
    def iqr(self) -> float:
        """Seconds between the first and the third quartile."""
        return self._quantile(0.75) - self._quantile(0.25)

    @property
    def significant_figures(self) -> int:
        """How many digits of the median can be trusted (1 to 4), by the spread of the middle half."""
        n = len(self.raw_times)
        middle = sorted(self.times)[n // 4:math.ceil(3 * n / 4)]
        confidence = max(1.645 * float(np.std(middle)) / math.sqrt(len(middle)), 25e-9)
        return min(max(math.floor(math.log10(self.median / confidence)), 1), 4)

    @property
    def has_warnings(self) -> bool:
        """Whether the quartiles lie further apart than a tenth of the median."""
        return bool(self.raw_times) and not self.meets_confidence()

    def meets_confidence(self, threshold: float = SUSPECT_IQR) -> bool:
        """Whether the quartiles lie closer than `threshold` times the median."""
        return self.iqr / self.median < threshold

    @property
    def title(self) -> str:
        """What was timed, in a line."""
        return self.task_spec.title

    @property
    def as_row_name(self) -> str:
        """The name of its row in a table of `Compare`."""
        return self.sub_label or self.stmt or "[Unknown]"

    def __repr__(self) -> str:
        n = len(self.raw_times)
        unit, scale = select_unit(self.median)
        lines = [object.__repr__(self), self.task_spec.summarize(),
                 f"  {'Median: ' if n > 1 else ''}{self.median / scale:.2f} {unit}"]
        if n >= 4:
            low, high = self._quantile(0.25) / scale, self._quantile(0.75) / scale
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit} ({low:.2f} to {high:.2f})")
        threads = f"{self.num_threads} thread{'s' if self.num_threads > 1 else ''}"
        lines.append(f"  {n} measurement{'s' if n > 1 else ''}, {self.number_per_run} runs "
                     f"{'per measurement,' if n > 1 else ','} {threads}")
        return "\n".join(lines + self._warning())

    def _quantile(self, q: float) -> float:
        return float(np.quantile(self.times, q)) if self.raw_times else -1.0

    def _warning(self) -> list[str]:
        if not self.has_warnings:
            return []
        cause = ("could indicate system fluctuation" if self.meets_confidence(GROSS_IQR)
                 else "suggests significant environmental influence")
        return [f"  WARNING: Interquartile range is {100 * self.iqr / self.median:.1f}% of the median measurement.",
                f"           This {cause}."]

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """One measurement for each task: the times of its replicates together."""
        groups: dict[TaskSpec, list[float]] = {}
        for measurement in measurements:
            groups.setdefault(measurement.task_spec, []).extend(measurement.times)
        return [Measurement(1, times, task) for task, times in groups.items()]


def select_unit(t: float) -> tuple[str, float]:
    """The unit in which `t` seconds are a number of one to three digits, and its length in seconds.

    >>> select_unit(2.5e-5)
    ('us', 1e-06)
    """
    thousands = math.log10(t) // 3 if t > 0 else 0
    unit = {-3: "ns", -2: "us", -1: "ms"}.get(int(thousands), "s")
    return unit, UNITS[unit][0]


def unit_to_english(u: str) -> str:
    """The name of a unit: 'us' is a 'microsecond'."""
    return UNITS[u][1]


def trim_sigfig(x: float, n: int) -> float:
    """`x` with its first `n` digits, rounded.

    >>> trim_sigfig(3.14159, 3)
    3.14
    """
    return float(f"{x:.{int(n) - 1}e}")


def ordered_unique(elements: Iterable[Any]) -> list[Any]:
    """Each element once, in the order in which they first come."""
    return list(dict.fromkeys(elements))


@contextmanager
def set_torch_threads(n: int) -> Iterator[None]:
    """Within the block kernels use `n` threads."""
    import minitorch

    before = minitorch.get_num_threads()
    minitorch.set_num_threads(n)
    try:
        yield
    finally:
        minitorch.set_num_threads(before)
