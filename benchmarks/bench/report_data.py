"""A run of `minitorch bench` as its JSON tells it: read, checked, and put into words and units for whoever shows it."""
from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

FORMAT = "minitorch-bench/1"


class Spread(NamedTuple):
    """Seconds a call: the median, the quartiles and the number of blocks that they come from."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Result:
    """What one contestant did with one case. What was not measured, or is not a finite number, is None."""

    kernel: str
    case: str
    dtype: str
    threads: int
    contestant: str
    library: str
    version: str | None
    rung: int | None
    idea: str | None
    size: float | None
    seconds: Spread | None
    cold: Spread | None
    launch: float | None
    gflops: float | None  # GFLOP/s
    gbs: float | None  # GB/s
    intensity: float | None  # floating-point operations a byte
    share: float | None  # 0..1 of the limit that binds
    bound: str | None
    error: float | None
    trusted: bool
    why: str | None
    against: str | None
    ratio: float | None
    quartiles: tuple[float, float] | None

    @property
    def key(self) -> tuple[str, str, str, int, str]:
        """What is the same result in another run."""
        return self.kernel, self.case, self.dtype, self.threads, self.contestant

    @property
    def ours(self) -> bool:
        return self.library == "minitorch"

    @property
    def missing(self) -> str:
        """What stands in the place of a speed: how long a call would have taken, or that there is none."""
        word, _, rest = (self.why or "").partition(": ")
        if word == "skipped":
            return rest.partition(" (")[0].replace("a call would take ", "") + " a call"
        return word if word == "refuses" else "failed"

    def rates(self, unit: str) -> tuple[float, float, float] | None:
        """The median and the slowest and fastest quartile in `unit`, "GFLOP/s" or "GB/s"; None without a figure."""
        median = self.gflops if unit == "GFLOP/s" else self.gbs
        if not median or not self.seconds:
            return None
        work = median * self.seconds.median
        return median, work / self.seconds.high, work / self.seconds.low

    def sentence(self) -> str:
        """All that a reader may want to know of it, a line for each thing."""
        lines = [f"{self.contestant}, {self.kernel} {self.case}",
                 f"{self.dtype}, {counted(self.threads, 'thread')}"]
        if self.seconds:
            lines.append(f"{duration(self.seconds.median)} "
                         f"({duration(self.seconds.low)} to {duration(self.seconds.high)}, "
                         f"{counted(self.seconds.count, 'block')})")
        rates = [f"{figure(value)} {unit}" for value, unit in ((self.gflops, "GFLOP/s"), (self.gbs, "GB/s")) if value]
        lines += [", ".join(rates)] if rates else []
        if self.share is not None:
            lines.append(f"{percent(self.share)} of the {self.bound or 'machine'} limit")
        lines += [self.idea] if self.idea else []
        return "\n".join([*lines, *([] if self.trusted else [f"Not trusted: {self.why}"])])


class Run(NamedTuple):
    """One file: the machine, its limits, the results."""

    machine: dict[str, Any]
    limits: dict[str, Any]
    results: list[Result]

    @classmethod
    def of(cls, found: Any, name: str = "results") -> Run:
        """Check `found`, what JSON holds, and take it apart. Raises ValueError that begins with `name`.

        >>> Run.of({"format": "minitorch-bench/1", "results": []}).results
        []
        >>> Run.of([], "a.json")
        Traceback (most recent call last):
        ValueError: a.json: expected the results of `minitorch bench`, got a list
        """
        if isinstance(found, Run):
            return found
        if not isinstance(found, dict):
            raise ValueError(f"{name}: expected the results of `minitorch bench`, got a {type(found).__name__}")
        if found.get("format") != FORMAT:
            raise ValueError(f"{name}: expected format {FORMAT!r}, got {found.get('format')!r}")
        entries = found.get("results")
        if not isinstance(entries, list):
            raise ValueError(f"{name}: expected a list of results, got {type(entries).__name__}")
        try:
            results = [_result(entry) for entry in entries]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{name}: a result is not as `minitorch bench` writes it: "
                             f"{type(error).__name__}: {error}") from error
        return cls(dict(found.get("machine") or {}), {str(k): v for k, v in (found.get("limits") or {}).items()},
                   results)

    def load(self) -> list[float]:
        """How many programs wanted to compute before the run: the averages of 1, 5 and 15 minutes."""
        found = self.machine.get("load")
        numbers = map(finite, found if isinstance(found, list) else [found])
        return [number for number in numbers if number is not None]

    def arithmetic(self, threads: int, dtype: str) -> float | None:
        """The measured GFLOP/s of so many threads."""
        return finite(self.limits.get(str(threads), {}).get("GFLOP/s", {}).get(dtype))

    def bandwidth(self, threads: int) -> tuple[float, float] | None:
        """GB/s of the largest and of the smallest data, memory and cache: of the quickest pattern of access."""
        patterns = [[finite(rate) or 0.0 for rate in rates.values()]
                    for rates in self.limits.get(str(threads), {}).get("GB/s", {}).values() if rates]
        if not patterns:
            return None
        memory, cache = max(rates[-1] for rates in patterns), max(rates[0] for rates in patterns)
        return (memory, cache) if memory > 0 and cache > 0 else None


def load(path: str) -> Run:
    """The run in a file of JSON. Raises FileNotFoundError, or ValueError that names the file and what is wrong."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path!r}") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    return Run.of(found, path)


def unique(values: Iterable[Any]) -> list[Any]:
    """Each once, in the order of their first appearance."""
    return list(dict.fromkeys(values))


def finite(value: Any) -> float | None:
    """A number that can be drawn, or None.

    >>> finite(3), finite(float("nan")), finite(None), finite("x")
    (3.0, None, None, None)
    """
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def figure(value: float) -> str:
    """Three digits, without an exponent where people would write none.

    >>> figure(1234.5), figure(12.34), figure(0.01234), figure(1.2e-7), figure(0)
    ('1,234', '12.3', '0.0123', '1.2e-07', '0')
    """
    if 1e3 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """
    >>> duration(0.00123), duration(12.3e-6), duration(2), duration(5e-9)
    ('1.23 ms', '12.3 µs', '2 s', '5 ns')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{figure(seconds / scale)} {unit}"
    return f"{figure(seconds * 1e9)} ns"


def percent(share: float) -> str:
    """
    >>> percent(0.874), percent(0.0312), percent(0.000042)
    ('87 %', '3.1 %', '< 0.01 %')
    """
    if share < 1e-4:
        return "< 0.01 %"
    return f"{100 * share:.{0 if share >= 0.1 else 1 if share >= 0.01 else 2}f} %"


def counted(number: int, thing: str) -> str:
    """
    >>> counted(1, "thread"), counted(2, "thread")
    ('1 thread', '2 threads')
    """
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _result(entry: dict[str, Any]) -> Result:
    flops, moved = finite(entry.get("flops")), finite(entry.get("moved"))
    quartiles = [finite(value) for value in entry.get("quartiles") or ()]
    seconds = _spread(entry.get("seconds"))
    size = finite(entry.get("size"))
    return Result(
        kernel=str(entry["kernel"]), case=str(entry["case"]), dtype=str(entry["dtype"]),
        threads=int(entry["threads"]), contestant=str(entry["contestant"]),
        library=str(entry.get("library") or entry["contestant"]), version=_text(entry.get("version")),
        rung=entry.get("rung"), idea=_text(entry.get("idea")), size=size if size and size > 0 else None,
        seconds=seconds, cold=_spread(entry.get("cold")), launch=finite(entry.get("launch")),
        gflops=_positive(entry.get("GFLOP/s")), gbs=_positive(entry.get("GB/s")),
        intensity=flops / moved if flops and moved and flops > 0 and moved > 0 else None,
        share=finite(entry.get("share")), bound=_text(entry.get("bound")), error=finite(entry.get("error")),
        trusted=bool(entry.get("trusted")) and seconds is not None,
        why=_text(entry.get("why")) or (None if entry.get("trusted") and seconds else "no reason is recorded"),
        against=_text(entry.get("against")), ratio=_positive(entry.get("ratio")),
        quartiles=(quartiles[0], quartiles[1]) if len(quartiles) == 2 and None not in quartiles else None)  # type: ignore[arg-type]


def _spread(found: dict[str, Any] | None) -> Spread | None:
    """Seconds, where they can have been measured: positive, and the quartiles around the median."""
    median = finite((found or {}).get("median"))
    if found is None or median is None or median <= 0:
        return None
    low, high = (finite(found.get(name)) or median for name in ("low", "high"))
    return Spread(median, min(low, median), max(high, median), int(found.get("count") or 1))


def _positive(value: Any) -> float | None:
    number = finite(value)
    return number if number is not None and number > 0 else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
