"""Plots of a row for each thing: the rungs of a ladder, and minitorch beside its peers."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .plots_parts import (
    ALONE,
    LINE,
    MARGIN,
    NARROW,
    described,
    finished,
    heading,
    legend,
    rates,
    setting,
    sort_of,
)
from .plots_svg import SIZE, Canvas, Scale, cut, width_of, wrap
from .report_data import Result, Run, figure, percent, unique


def ladder(results: Any, kernel: str, *, threads: int | None = None, dtype: str | None = None,
           case: str | None = None, width: float = ALONE, alone: bool = True) -> str:
    """A bar for each rung with its idea, its GFLOP/s, its share of the machine's limit, and how much it adds.

    Of the case with most rungs where none is named. Below the rungs stand the others that ran the same case. The scale
    is logarithmic where the quickest is more than 30 times as fast as the slowest.
    """
    run = Run.of(results)
    rows = _climbed([r for r in run.results if r.kernel == kernel and threads in (None, r.threads)
                     and dtype in (None, r.dtype) and case in (None, r.case)])
    if not rows:
        return ""
    first, limit = rows[0], run.arithmetic(rows[0].threads, rows[0].dtype)
    stacked = width <= NARROW
    left, right = (MARGIN, width - MARGIN) if stacked else (round(0.44 * width), width - 134)
    speeds = [r.gflops for r in rows if r.gflops and r.seconds]
    scale = rates([*speeds, *([limit] if limit else [])] or [1.0], left, right, spread=30)
    canvas, body = Canvas(width), Canvas(width)
    top = heading(canvas, first, f"The ladder of {kernel}", alone, case=True) + LINE
    y, before = top + 10, None
    for i, row in enumerate(rows):
        if i and row.rung is None and rows[i - 1].rung is not None:
            body.line(MARGIN, y - 2, width - MARGIN, y - 2, "axis")
            y += 8
        y = _rung(body, row, before, scale, y, stacked, limit)
        before = row if row.rung is not None and row.trusted else before
    for tick in scale.ticks(4 if stacked else 5):
        canvas.line(scale(tick), top, scale(tick), y, "grid")
        canvas.text(scale(tick), top - 6, figure(tick), "muted", "start" if scale(tick) < left + 4 else "middle")
    canvas.parts += body.parts
    canvas.text(left, y + LINE, f"GFLOP/s{', logarithmic' if scale.log else ''}", "muted")
    if limit:
        canvas.text(scale(limit) + 2, y + LINE, f"the machine's limit: {figure(limit)}" if stacked else
                    f"limit {figure(limit)}", "", "end")
    said = "; ".join(f"{named(r)}: {_speed(r)}" for r in rows)
    return finished(canvas, y + LINE + MARGIN, f"The ladder of {kernel}, {described(first, case=True)}. {said}", alone)


def peers(results: Any, kernel: str, *, threads: int | None = None, dtype: str | None = None,
          width: float = ALONE, alone: bool = True) -> str:
    """How many times as fast as each other library minitorch is: a dot for the medians, a line for the quartiles."""
    run = Run.of(results)
    found = setting([r for r in run.results if r.kernel == kernel], threads, dtype)
    groups = [(case, *pair) for case in unique(r.case for r in found)
              if (pair := beside([r for r in found if r.case == case]))]
    if not groups:
        return ""
    stacked = width <= NARROW
    left, right = (MARGIN, width - 72) if stacked else (round(0.36 * width), width - 76)
    reach = 1.05 * max(2.0, *(edge for _, ours, theirs in groups for r in theirs for value in against(ours, r)
                              for edge in (value, 1 / value)))
    x = Scale(1 / reach, reach, left, right, log=True)
    canvas, body = Canvas(width), Canvas(width)
    top = heading(canvas, groups[0][1], f"{kernel}: minitorch beside its peers", alone)
    top = legend(canvas, [r for _, _, theirs in groups for r in theirs], top) + LINE
    y = top + 4
    for case, ours, theirs in groups:
        y = _group(body, case, ours, theirs, x, y, stacked)
    powers = [2.0**e for e in range(-40, 41) if 2.0**abs(e) <= reach]
    step = int(len(powers) * 48 / (right - left)) + 1  # so many units a figure, at least
    for tick in powers[len(powers) // 2 % step::step]:
        canvas.line(x(tick), top, x(tick), y, "axis" if tick == 1 else "grid")
        canvas.text(x(tick), top - 6, f"{tick:.0f}×" if tick >= 1 else f"1/{1 / tick:.0f}×", "muted", "middle")
    canvas.parts += body.parts
    canvas.text(left, y + LINE, "← slower", "muted")
    canvas.text(right, y + LINE, "minitorch is faster →", "muted", "end")
    said = "; ".join(f"{case}: " + ", ".join(f"{figure(against(ours, r)[0])} times as fast as {r.contestant}"
                                             for r in theirs) for case, ours, theirs in groups)
    return finished(canvas, y + LINE + MARGIN,
                    f"{kernel}, minitorch beside its peers, {described(groups[0][1])}. {said}", alone)


def beside(found: Sequence[Result]) -> tuple[Result, list[Result]] | None:
    """Of the results of one case: minitorch's quickest, of the trusted if there are any, and the peers'; or None."""
    ours = sorted((not r.trusted, r.seconds.median, i) for i, r in enumerate(found) if r.ours and r.seconds)
    theirs = [r for r in found if not r.ours and r.seconds]
    return (found[ours[0][2]], theirs) if ours and theirs else None


def against(ours: Result, theirs: Result) -> tuple[float, float, float]:
    """How many times as fast ours is: by the medians, and by the quartiles least and most favourable to it."""
    a, b = ours.seconds, theirs.seconds
    if a is None or b is None:
        raise ValueError(f"against: expected two results with times, got {ours.contestant} and {theirs.contestant}")
    return b.median / a.median, b.low / a.high, b.high / a.low


def named(r: Result) -> str:
    """A row's name in the ladder."""
    return r.contestant if r.rung is None else f"{r.rung}  {r.version or r.contestant}"


def _climbed(found: Sequence[Result]) -> list[Result]:
    """The rungs of one case, dtype and number of threads, those with most rungs, from the lowest; then all others."""
    groups: dict[tuple, list[Result]] = {}
    for r in found:
        groups.setdefault((r.threads, r.dtype, r.case), []).append(r)
    most = max(groups.values(), key=lambda group: sum(r.rung is not None for r in group), default=[])
    if all(r.rung is None for r in most):
        return []
    return sorted(most, key=lambda r: (r.rung is None, r.rung or 0, not r.ours, -(r.gflops or 0)))


def _rung(canvas: Canvas, r: Result, before: Result | None, scale: Scale, y: float, stacked: bool,
          limit: float | None) -> float:
    """One row of the ladder, from `y` on; returns where the next begins."""
    right = canvas.width - MARGIN
    step = f"×{_factor(r.gflops / before.gflops)}" if (
        r.rung is not None and r.trusted and r.gflops and before and before.gflops) else ""
    share = percent(r.share) if r.share is not None and r.trusted else ""
    notes = " · ".join(filter(None, [share, step])) if r.trusted else "not trusted" if r.seconds else ""
    speed = f"{figure(r.gflops)} GFLOP/s" if r.gflops and r.seconds else r.missing
    figures = " · ".join(filter(None, [speed, notes]))
    name = cut(named(r), right - MARGIN - width_of(figures) - 8 if stacked else scale.start - MARGIN - 16, 1.08 * SIZE)
    idea = wrap(r.idea or "", right - MARGIN if stacked else scale.start - MARGIN - 16)
    with canvas.mark(r.sentence(), sort_of(r)):
        canvas.rectangle(0, y - 5, canvas.width, (len(idea) + 1) * LINE + (26 if stacked else 14), "hit")
        canvas.text(MARGIN, y + SIZE, name, "bold halo")
        for i, line in enumerate(idea, 1):
            canvas.text(MARGIN, y + SIZE + i * LINE, line, "muted halo")
        below = y + (len(idea) + 1) * LINE
        if stacked:
            canvas.text(right, y + SIZE, figures, "halo" if r.trusted else "halo muted", "end")
            _bar(canvas, r, scale, below + 4, 11, limit)
            return below + 26
        canvas.text(right, y + SIZE, speed, "bold halo" if r.trusted else "muted halo", "end")
        canvas.text(right, y + SIZE + LINE, notes, "muted halo", "end")
        _bar(canvas, r, scale, y + 3, 20, limit)
        return max(below, y + 2 * LINE) + 12


def _bar(canvas: Canvas, r: Result, scale: Scale, y: float, height: float, limit: float | None) -> None:
    """The bar with its quartiles, and the limit beside it."""
    if limit:
        canvas.line(scale(limit), y - 4, scale(limit), y + height + 4, "limit")
    found = r.rates("GFLOP/s")
    if not found:
        return
    rate, slow, quick = (scale(value) for value in found)
    middle = y + height / 2
    canvas.rectangle(scale.start, y, rate - scale.start, height, "fill", radius=2)
    if quick - slow > 3:
        canvas.line(slow, middle, quick, middle, "spread")
        for end in (slow, quick):
            canvas.line(end, middle - 3.5, end, middle + 3.5, "spread")


def _group(canvas: Canvas, case: str, ours: Result, theirs: Sequence[Result], x: Scale, y: float,
           stacked: bool) -> float:
    """The peers of one case; returns where the next begins."""
    lines = wrap(case, canvas.width - 2 * MARGIN if stacked else x.start - MARGIN - 16)
    for i, line in enumerate(lines):
        canvas.text(MARGIN, y + LINE + i * LINE, line)
    end = y + LINE * len(lines) + 4
    row = end + 4 if stacked else y
    for r in theirs:
        _dot(canvas, ours, r, x, row + 11)
        row += 22
    end = max(end, row) + 5
    canvas.line(MARGIN, end, canvas.width - MARGIN, end, "grid")
    return end + 4


def _dot(canvas: Canvas, ours: Result, theirs: Result, x: Scale, y: float) -> None:
    ratio, low, high = against(ours, theirs)
    trusted = ours.trusted and theirs.trusted
    told = [f"{ours.contestant} is {figure(ratio)} times as fast as {theirs.contestant} "
            f"(quartiles: {figure(low)} to {figure(high)})", "", ours.sentence(), "", theirs.sentence()]
    with canvas.mark("\n".join(told), sort_of(theirs) if trusted else f"{sort_of(theirs)} noisy"):
        canvas.rectangle(x.start, y - 11, canvas.width - x.start, 22, "hit")
        canvas.line(x(low), y, x(high), y, "stem")
        canvas.symbol(x(ratio), y, theirs.library)
        canvas.text(canvas.width - MARGIN, y + 4.5, _times(ratio) if trusted else f"({_times(ratio)})",
                    "bold" if trusted else "muted", "end")


def _speed(r: Result) -> str:
    if not (r.gflops and r.seconds):
        return r.missing
    return f"{figure(r.gflops)} GFLOP/s" if r.trusted else f"{figure(r.gflops)} GFLOP/s, not trusted"


def _times(ratio: float) -> str:
    return f"{_factor(ratio)}×"


def _factor(ratio: float) -> str:
    return f"{ratio:.2f}" if 0.1 <= ratio < 10 else figure(ratio)
