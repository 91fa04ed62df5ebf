"""What the plots share: which results they show, their heading and legend, grids, the finished SVG."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from minitorch.viz.page import colours

from .plots_svg import CSS, SIZE, Canvas, Scale, colour, cut, decades, from_zero, width_of
from .report_data import Result, counted, figure, unique

ALONE = 460  # units wide is a plot that is a file: its text is legible on a phone, and of a page's size in ...
SHOWN = 600  # ... so many pixels, as which it is shown where there is room
NARROW = 480  # units: below it, a row's words stand above its bar instead of beside it
MARGIN = 14
LINE = SIZE + 3  # from a line of text to the next
AXIS = 2 * LINE + 14  # height of an axis' figures and its name


def setting(found: Sequence[Result], threads: int | None, dtype: str | None) -> list[Result]:
    """The results of one dtype and number of threads: the given, else the first's."""
    for r in found:
        if threads in (None, r.threads) and dtype in (None, r.dtype):
            return [other for other in found if (other.threads, other.dtype) == (r.threads, r.dtype)]
    return []


def sort_of(r: Result) -> str:
    """The class of a result's marks."""
    return f"{colour(r.library)}{'' if r.trusted else ' noisy'}"


def heading(canvas: Canvas, r: Result, title: str, alone: bool, *, case: bool = False) -> float:
    """In a file of its own, what the plot shows; returns where the plot begins."""
    if not alone:
        return 6.0
    canvas.text(MARGIN, MARGIN + SIZE, title, "title")
    canvas.text(MARGIN, MARGIN + SIZE + LINE + 1, described(r, case=case), "muted")
    return MARGIN + SIZE + 2 * LINE + 2


def described(r: Result, *, case: bool = False) -> str:
    return ", ".join([*([r.case] if case else []), r.dtype, counted(r.threads, "thread")])


def legend(canvas: Canvas, found: Sequence[Result], top: float) -> float:
    """A library's sign and name, and how what is not trusted looks; returns where the plot begins."""
    entries = [(name, name, "fill") for name in unique(r.library for r in found)]
    entries += [("not trusted", "minitorch", "fill noisy neutral")] if not all(r.trusted for r in found) else []
    x, y = float(MARGIN), top + SIZE
    for name, library, kind in entries:
        shown = cut(name, canvas.width / 2)
        wide = width_of(shown) + 34
        if x > MARGIN and x + wide - 14 > canvas.width - MARGIN:
            x, y = float(MARGIN), y + LINE + 3
        canvas.symbol(x + 6, y - 4.5, library, kind)
        canvas.text(x + 17, y, shown)
        x += wide
    return y + 18


def rates(values: Sequence[float], start: float, end: float, spread: float) -> Scale:
    """A scale from zero; a logarithmic one where the largest value is more than `spread` times the smallest."""
    return decades(values, start, end) if max(values) > spread * min(values) else from_zero(values, start, end)


def grid(canvas: Canvas, x: Scale, y: Scale, names: tuple[str, str], ticks: Sequence[float] = ()) -> None:
    """The two axes: their lines, figures and names."""
    for value in y.ticks(6):
        canvas.line(x.start, y(value), x.end, y(value), "grid")
        canvas.text(x.start - 7, y(value) + 4.5, figure(value), "muted", "end")
    last = -1e9
    for value in ticks or x.ticks(6):
        canvas.line(x(value), y.start, x(value), y.end, "grid")
        if x(value) - last > width_of(figure(value)) + 8:  # sizes may lie close together
            canvas.text(x(value), y.start + LINE + 1, figure(value), "muted", "middle")
            last = x(value)
    canvas.line(x.start, y.start, x.end, y.start, "axis")
    canvas.text(x.end, y.start + 2 * LINE + 4, names[0], "muted", "end")
    canvas.text(MARGIN, y.end - 9, names[1], "muted")


def apart(places: Sequence[float], gap: float, top: float, bottom: float) -> list[float]:
    """`places` moved as little as needed so that neighbours are `gap` apart, and between top and bottom if they fit.

    >>> apart([50, 51, 90], 10, 0, 100)
    [50, 60, 90]
    >>> apart([95, 99], 10, 0, 100)
    [90, 100]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    found = list(places)
    for before, i in pairwise(order):
        found[i] = max(found[i], found[before] + gap)
    limit = bottom
    for i in reversed(order):
        found[i] = max(min(found[i], limit), top)
        limit = found[i] - gap
    return found


def known(found: Sequence[Result]) -> list[Result]:
    """Those that a sentence about a plot names: the trusted, or all where none is."""
    return [r for r in found if r.trusted] or list(found)


def swept(found: Sequence[Result]) -> dict[str, list[Result]]:
    """The results of each contestant, apart for the variants of a kernel: what their cases say besides sizes."""
    variants = {r: ", ".join(part for part in r.case.split(", ") if not any(c.isdigit() for c in part)) for r in found}
    several = len(set(variants.values())) > 1
    lines: dict[str, list[Result]] = {}
    for r in found:
        lines.setdefault(", ".join(filter(None, [r.contestant, variants[r] * several])), []).append(r)
    return lines


def finished(canvas: Canvas, height: float, label: str, alone: bool) -> str:
    style = colours() + "\n" + CSS if alone else ""
    return canvas.svg(height, label, style=style, shown=SHOWN)
