"""`minitorch bench compare A.json B.json`: which kernels became faster or slower, as far as the noise lets one say.

The rule. The median of n blocks has a standard error of 0.926 IQR / sqrt(n), IQR being the distance of the quartiles:
that of a normal distribution's median, whose deviation is IQR / 1.349 (McGill, Tukey and Larsen, "Variations of box
plots", The American Statistician 32(1), 1978). Both medians' relative errors give the logarithm of their ratio an
interval of 95 %, by Student's t with Welch's degrees of freedom; quartiles know a deviation less well than all blocks
would, therefore half of n - 1 for each. (So it holds in 95 % of simulated runs of 5 blocks or more, be they normal,
skewed or heavy-tailed.)

Two runs of the same program differ by a few per cent in layout and clock rate, which no number of blocks shows
(Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013). So a verdict asks how the interval lies to
a zone of no interest (two one-sided tests: Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15(6), 1987),
3 % to either side: within it "same", beyond it "faster" or "slower", across its edge "cannot tell".
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .report_data import Result, Run, Spread, counted, duration, finite, load, unique

MARGIN = 0.03  # part of the time by which two runs of the same program may differ
BLOCKS = 5  # fewer say nothing about their spread
WORDS = ("faster", "slower", "same", "cannot tell")


class Change(NamedTuple):
    """A time in B over the time in A: the ratio of the medians, its interval of 95 %, and what that says."""

    ratio: float
    low: float
    high: float
    verdict: str


def main(path_a: str, path_b: str, *, margin: float = MARGIN, fail_on_slower: bool = False) -> int:
    """Print how the results of B compare with those of A; returns the exit status, 1 if asked and something is slower.

    Raises FileNotFoundError or ValueError, with one line that names the file, where it is not a run of
    `minitorch bench`.
    """
    if not 0 <= margin < 1:
        raise ValueError(f"compare: margin expects a part of the time, at least 0 and below 1, got {margin}")
    a, b = load(path_a), load(path_b)
    for line in warnings(a, b):
        print(f"warning: {line}")
    left, right = ({r.key: r for r in run.results} for run in (a, b))
    pairs = [(left[key], right[key]) for key in left if key in right]
    changes = [judge(old, new, margin) for old, new in pairs]
    print(f"A: {path_a}\nB: {path_b}\n"
          f"B / A: below 1, B is faster. Intervals of 95 %; within {100 * margin:g} % counts as the same.\n")
    for line in table(pairs, changes):
        print(line)
    for path, mine, other in ((path_a, left, right), (path_b, right, left)):
        if alone := [r for key, r in mine.items() if key not in other]:
            print(f"\nonly in {path}:", *(f"  {_words(r)}" for r in alone), sep="\n")
    print("\n" + "\n".join(summary(pairs, changes)))
    return int(fail_on_slower and any(c and c.verdict == "slower" for c in changes))


def judge(a: Result, b: Result, margin: float = MARGIN) -> Change | None:
    """How b's time compares with a's; None where one of them is not to be trusted, or was not timed."""
    if a.seconds is None or b.seconds is None or not (a.trusted and b.trusted):
        return None
    middle = math.log(b.seconds.median / a.seconds.median)
    if min(a.seconds.count, b.seconds.count) < BLOCKS:
        return Change(math.exp(middle), 0.0, math.inf, "cannot tell")
    reach = _reach(a.seconds, b.seconds)
    low, high, edge = middle - reach, middle + reach, math.log1p(margin)
    verdict = "faster" if high < -edge else "slower" if low > edge else \
        "same" if -edge <= low and high <= edge else "cannot tell"
    return Change(math.exp(middle), _power(low), _power(high), verdict)


def mean(pairs: Sequence[tuple[Result, Result]]) -> tuple[float, float, float] | None:
    """The geometric mean of the trusted ratios, and its interval of 95 % from the errors of these medians."""
    found = [(a.seconds, b.seconds) for a, b in pairs
             if a.trusted and b.trusted and a.seconds and b.seconds and min(a.seconds.count, b.seconds.count) >= BLOCKS]
    if not found:
        return None
    middle = math.fsum(math.log(b.median / a.median) for a, b in found) / len(found)
    reach = math.sqrt(math.fsum(_reach(a, b) ** 2 for a, b in found)) / len(found)
    return math.exp(middle), _power(middle - reach), _power(middle + reach)


def warnings(a: Run, b: Run) -> list[str]:
    """In what the circumstances of two runs differ that may matter more than the code."""
    found = []
    old, new = a.machine, b.machine
    if any(old.get(name) != new.get(name) for name in ("processor", "cores")):
        names = [f"{m.get('processor', 'unknown')}, {m.get('cores', '?')} cores" for m in (old, new)]
        found.append(f"two machines, whose figures do not compare: {names[0]} in A, {names[1]} in B")
    versions = [run.machine.get("versions") or {} for run in (a, b)]
    found += [f"{name} {versions[0].get(name, 'is missing')} in A, {versions[1].get(name, 'is missing')} in B"
              for name in unique([*versions[0], *versions[1]]) if versions[0].get(name) != versions[1].get(name)]
    threads = [sorted({r.threads for r in run.results}) for run in (a, b)]
    if threads[0] != threads[1]:
        found.append(f"numbers of threads: {_list(threads[0])} in A, {_list(threads[1])} in B")
    clocks = [clock for m in (old, new) if (clock := finite(m.get("clock_mhz")))]
    if len(clocks) == 2 and max(clocks) > 1.05 * min(clocks):
        found.append(f"the processor's clock: {clocks[0]:.0f} MHz in A, {clocks[1]:.0f} MHz in B")
    loads = [loads[0] for run in (a, b) if (loads := run.load())]
    if len(loads) == 2 and abs(loads[0] - loads[1]) > 0.5:
        found.append(f"the machine's load before the run: {loads[0]:.2f} in A, {loads[1]:.2f} in B")
    return found


def table(pairs: Sequence[tuple[Result, Result]], changes: Sequence[Change | None]) -> list[str]:
    """A line for each result that both have."""
    if not pairs:
        return ["No result is in both."]
    rows: list[tuple[str, ...]] = [("kernel", "case", "dtype", "threads", "contestant", "A", "B", "B / A",
                                    "interval", "verdict")]
    for (a, b), change in zip(pairs, changes):
        interval = f"{change.low:.3f} to {change.high:.3f}" if change and math.isfinite(change.high) else ""
        rows.append((a.kernel, a.case, a.dtype, str(a.threads), a.contestant, *(_time(r) for r in (a, b)),
                     f"{change.ratio:.3f}" if change else "", interval, _verdict(a, b, change)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    right = {3, 5, 6, 7, 8}
    lines = ["  ".join(cell.rjust(width) if i in right else cell.ljust(width)
                       for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * w for w in widths[:-1]) + "  -------", *lines[1:]]


def summary(pairs: Sequence[tuple[Result, Result]], changes: Sequence[Change | None]) -> list[str]:
    """How many of each verdict, and minitorch's mean ratio; that of the peers shows what the machine did meanwhile."""
    counts = [(word, sum(c is not None and c.verdict == word for c in changes)) for word in WORDS]
    counts.append(("without a verdict", sum(c is None for c in changes)))
    lines = [", ".join(f"{count} {word}" for word, count in counts if count) or "nothing to compare"]
    for name, ours in (("minitorch", True), ("its peers", False)):
        if found := mean([pair for pair in pairs if pair[0].ours is ours]):
            lines.append(f"{name}: geometric mean of B / A {found[0]:.3f} ({found[1]:.3f} to {found[2]:.3f})")
            if not ours and (found[1] > 1 + MARGIN or found[2] < 1 / (1 + MARGIN)):
                lines.append("the peers, whose code did not change with minitorch's, moved too: heed the machine first")
    return lines


def _reach(a: Spread, b: Spread) -> float:
    """Half the interval of 95 % about the logarithm of the ratio of two medians."""
    errors = [(0.926 * (s.high - s.low) / s.median) ** 2 / s.count for s in (a, b)]
    if not sum(errors):
        return 0.0
    freedom = sum(errors) ** 2 / sum(e**2 / (0.5 * (s.count - 1)) for e, s in zip(errors, (a, b)))
    return _student(freedom) * math.sqrt(sum(errors))


def _student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t (Abramowitz and Stegun, 26.7.5).

    >>> [round(_student(n), 2) for n in (2, 5, 1000)]
    [4.17, 2.57, 1.96]
    """
    z = 1.959964
    terms = (z, (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return sum(term / freedom**i for i, term in enumerate(terms))


def _power(exponent: float) -> float:
    return math.exp(min(exponent, 700.0))


def _verdict(a: Result, b: Result, change: Change | None) -> str:
    if change:
        few = min(s.count for r in (a, b) if (s := r.seconds)) < BLOCKS
        return f"cannot tell: fewer than {BLOCKS} blocks" if few else change.verdict
    doubts = {name: r.why for name, r in (("A", a), ("B", b)) if not r.trusted}
    if len(doubts) == 2 and a.why == b.why:
        return f"neither trusted: {a.why}"
    return "; ".join(f"{name} not trusted: {why}" for name, why in doubts.items())


def _time(r: Result) -> str:
    return duration(r.seconds.median) if r.seconds else "failed"


def _words(r: Result) -> str:
    return f"{r.kernel} {r.case}, {r.dtype}, {counted(r.threads, 'thread')}: {r.contestant}"


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"
