"""Plots of two axes: the roofline, and the rate over the size."""
from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .plots_parts import (
    ALONE,
    AXIS,
    LINE,
    MARGIN,
    apart,
    described,
    finished,
    grid,
    heading,
    known,
    legend,
    rates,
    setting,
    sort_of,
    swept,
)
from .plots_svg import SIZE, Canvas, Scale, cut, decades, width_of
from .report_data import Result, Run, figure

LEFT = 62.0  # where the vertical axis stands


def roofline(results: Any, kernel: str, *, threads: int | None = None, dtype: str | None = None,
             width: float = ALONE, alone: bool = True) -> str:
    """GFLOP/s over arithmetic intensity (operations a byte), under this machine's measured ceilings.

    Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore architectures",
    Communications of the ACM 52(4), 2009. Memory and cache are the rates of the largest and the smallest data streamed.
    """
    run = Run.of(results)
    found = setting([r for r in run.results if r.kernel == kernel], threads, dtype)
    points = [r for r in found if r.rates("GFLOP/s") and r.intensity]
    if not points:
        return ""
    roof, streams = run.arithmetic(points[0].threads, points[0].dtype), run.bandwidth(points[0].threads)
    canvas = Canvas(width)
    top = legend(canvas, points, heading(canvas, points[0], f"The roofline of {kernel}", alone)) + LINE
    bottom = top + 0.6 * width
    ridges = [roof / rate for rate in streams] if roof and streams else []
    around = [*ridges, min(ridges) / 12] if ridges else []  # so that the slopes are seen
    speeds = [r.gflops or 0.0 for r in points]
    x = decades([*(r.intensity or 1.0 for r in points), *around], LEFT, width - MARGIN)
    y = decades([*speeds, *([1.4 * roof] if roof else [])], bottom, top)
    grid(canvas, x, y, ("operations a byte", "GFLOP/s"))
    if roof:
        canvas.line(x(min(ridges, default=x.low)), y(roof), x.end, y(roof), "roof")
        canvas.text(x.end, y(roof) - 8, f"arithmetic {figure(roof)} GFLOP/s", "halo", "end")
    for name, rate in zip(("memory", "cache"), streams or ()):
        _slope(canvas, x, y, rate, roof or y.high, f"{name} {figure(rate)} GB/s")
    for r in sorted(points, key=lambda r: r.trusted):
        with canvas.mark(r.sentence(), sort_of(r)):
            canvas.symbol(x(r.intensity or 1), y(r.gflops or 1), r.library)
    _numbers(canvas, [r for r in points if r.rung is not None], x, y)
    said = f"{len(points)} results between {figure(min(speeds))} and {figure(max(speeds))} GFLOP/s"
    ceiling = f", under an arithmetic limit of {figure(roof)}" if roof else ""
    return finished(canvas, bottom + AXIS, f"The roofline of {kernel}, {described(points[0])}: {said}{ceiling}", alone)


def sweep(results: Any, kernel: str, *, threads: int | None = None, dtype: str | None = None,
          width: float = ALONE, alone: bool = True) -> str:
    """The rate over the size: a line a contestant in the band of its quartiles; to what is not trusted it is dashed."""
    run = Run.of(results)
    found = setting([r for r in run.results if r.kernel == kernel and r.size and r.seconds], threads, dtype)
    bytes_bind = all(r.bound in ("memory", "cache") for r in found)
    unit = "GB/s" if bytes_bind or not any(r.gflops for r in found) else "GFLOP/s"
    lines = {name: sorted((r for r in line if r.rates(unit)), key=lambda r: r.size or 0)
             for name, line in swept(found).items()}
    lines = {name: line for name, line in lines.items() if len({r.size for r in line}) > 1}
    if not lines:
        return ""
    points = [r for line in lines.values() for r in line]
    speeds = [rate for r in points for rate in r.rates(unit) or ()]
    limit = run.arithmetic(points[0].threads, points[0].dtype) if unit == "GFLOP/s" else None
    canvas = Canvas(width)
    top = legend(canvas, points, heading(canvas, points[0], f"{kernel} over sizes", alone)) + LINE
    bottom = top + 0.56 * width
    room = min(max(width_of(name) for name in lines) + 30, 0.36 * width)
    sizes = sorted({r.size for r in points if r.size})
    x = Scale(sizes[0], sizes[-1], LEFT, width - room, log=True)
    y = rates([*speeds, *([limit] if limit else [])], bottom, top, spread=60)
    grid(canvas, x, y, ("size", unit + ", logarithmic" * y.log), sizes)
    if limit:
        canvas.line(LEFT, y(limit), x.end, y(limit), "limit")
        canvas.text(LEFT + 6, y(limit) - 7, f"the machine's limit: {figure(limit)}", "halo")
    for line in lines.values():
        _swept(canvas, line, x, y, unit)
    _ends(canvas, lines, x, y, unit)
    said = "; ".join(f"{name}: up to {figure(max((r.rates(unit) or (0.0,))[0] for r in known(line)))} {unit}"
                     for name, line in lines.items())
    return finished(canvas, bottom + AXIS, f"{kernel} over sizes, {described(points[0])}. {said}", alone)


def _slope(canvas: Canvas, x: Scale, y: Scale, rate: float, roof: float, name: str) -> None:
    """The ceiling of `rate` bytes a second, up to the roof, with its name along it where there is room."""
    start, end = max(x.low, y.low / rate), min(x.high, roof / rate)
    if end <= start:
        return
    (x1, y1), (x2, y2) = (x(start), y(start * rate)), (x(end), y(end * rate))
    canvas.line(x1, y1, x2, y2, "roof")
    turn = math.atan2(y2 - y1, x2 - x1)
    if math.hypot(x2 - x1, y2 - y1) > width_of(name) + 12:
        canvas.text((x1 + x2) / 2 + 8 * math.sin(turn), (y1 + y2) / 2 - 8 * math.cos(turn), name, "halo", "middle",
                    math.degrees(turn))


def _numbers(canvas: Canvas, rungs: Sequence[Result], x: Scale, y: Scale) -> None:
    """The rungs' numbers beside their points: of each case, the best of those that lie one over the other."""
    taken: list[tuple[float, float]] = []
    for r in sorted(rungs, key=lambda r: -(r.gflops or 0)):
        place = x(r.intensity or 1) + 9, y(r.gflops or 1) + 4.5
        if all(abs(place[0] - a) > 14 or abs(place[1] - b) > SIZE for a, b in taken):
            canvas.text(*place, str(r.rung), "halo")
            taken.append(place)


def _swept(canvas: Canvas, line: Sequence[Result], x: Scale, y: Scale, unit: str) -> None:
    """A contestant's band, line and points."""
    place = {r: (x(r.size or 1), *(y(rate) for rate in r.rates(unit) or ())) for r in line}
    for a, b in pairwise(line):
        (ax, ay, alow, ahigh), (bx, by, blow, bhigh) = place[a], place[b]
        if a.trusted and b.trusted:
            canvas.path([(ax, alow), (bx, blow), (bx, bhigh), (ax, ahigh)], f"band {sort_of(a)}", closed=True)
        canvas.line(ax, ay, bx, by, f"stem {sort_of(a if not a.trusted else b)}")
    for r in line:
        with canvas.mark(r.sentence(), sort_of(r)):
            canvas.symbol(place[r][0], place[r][1], r.library, size=4)


def _ends(canvas: Canvas, lines: dict[str, list[Result]], x: Scale, y: Scale, unit: str) -> None:
    """Each line's name at its right end; without "minitorch", which the colour says too, where that does not fit."""
    room = canvas.width - x.end - 24
    long = any(width_of(name) > room for name in lines)
    wanted = [y((line[-1].rates(unit) or (0.0,))[0]) for line in lines.values()]
    places = apart(wanted, LINE, y.end, y.start)
    for (name, line), place in zip(lines.items(), places):
        canvas.symbol(x.end + 13, place, line[-1].library, size=3)
        canvas.text(x.end + 20, place + 4.5, cut(name.removeprefix("minitorch ") if long else name, room))
