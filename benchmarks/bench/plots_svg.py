"""The parts of a plot in SVG: a canvas, scales with ticks, text that is measured and wrapped."""
from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

SIZE = 13  # of the text, in units of the drawing
COLOURS = ("minitorch", "numpy", "torch", "tinygrad", "jax", "cupy", "", "tensorflow")  # c1 to c8; c7 for all others

# Noisy results are hollow and dashed, in every plot.
CSS = f"""\
.plot{{display:block;width:100%;height:auto}}
.plot text{{font:{SIZE}px/1 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--text);
 font-variant-numeric:tabular-nums}}
.plot .muted{{fill:var(--muted)}}
.plot .bold{{font-weight:600}}
.plot .title{{font-weight:600;font-size:{SIZE + 2}px}}
.plot .halo{{paint-order:stroke;stroke:var(--bg);stroke-width:4px;stroke-linejoin:round}}
.plot .grid{{stroke:var(--line);stroke-width:1;fill:none}}
.plot .axis{{stroke:var(--strong);stroke-width:1;fill:none}}
.plot .limit{{stroke:var(--text);stroke-width:1.5;stroke-dasharray:5 3;fill:none}}
.plot .roof{{stroke:var(--text);stroke-width:2;fill:none}}
.plot .fill{{fill:var(--s);stroke:var(--s);stroke-width:1.5}}
.plot .noisy .fill,.plot .fill.noisy{{fill:var(--bg);stroke-dasharray:4 3}}
.plot .spread{{stroke:var(--text);stroke-width:1.5;fill:none}}
.plot .noisy .spread{{stroke:var(--strong);stroke-dasharray:2 2}}
.plot .stem{{stroke:var(--s);stroke-width:2.5;fill:none}}
.plot .noisy .stem,.plot .stem.noisy{{stroke-width:1.5;stroke-dasharray:3 3}}
.plot .band{{fill:var(--s);opacity:.18;stroke:none}}
.plot .neutral{{--s:var(--muted)}}
.plot .hit{{fill:transparent;stroke:none}}
""" + "".join(f".s{i}{{--s:var(--c{i})}}" for i in range(1, 9)) + "\n"


def colour(library: str) -> str:
    """The class that gives a library's marks its colour: the same in every plot."""
    return f"s{COLOURS.index(library) + 1 if library in COLOURS[:6] + COLOURS[7:] else 7}"


class Scale(NamedTuple):
    """Where a value lies on an axis from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        part = (math.log(value / self.low) / math.log(self.high / self.low) if self.log
                else (value - self.low) / (self.high - self.low))
        return self.start + part * (self.end - self.start)

    def ticks(self, most: int = 7) -> list[float]:
        """Round values on the axis, so many at most."""
        if not self.log:
            return _even(self.low, self.high, most)
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        if last - first < 2:
            found = [m * 10.0**e for e in range(first - 1, last + 1) for m in (1, 2, 5)]
            inside = [v for v in found if self.low * 0.999 <= v <= self.high * 1.001]
            return inside if len(inside) <= most else inside[::2]
        step = math.ceil((last - first + 1) / most)
        return [10.0**e for e in range(first, last + 1, step)]


def decades(values: Sequence[float], start: float, end: float) -> Scale:
    """A logarithmic scale over all of `values`, with some room on both sides."""
    low, high = min(values), max(values)
    room = max((high / low) ** 0.06, 1.25)
    return Scale(low / room, high * room, start, end, log=True)


def from_zero(values: Sequence[float], start: float, end: float) -> Scale:
    return Scale(0.0, max(values) * 1.06, start, end)


def _even(low: float, high: float, most: int) -> list[float]:
    raw = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= raw * 0.999)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def width_of(text: str, size: float = SIZE) -> float:
    """About how wide a sans-serif font sets `text`; rather too wide than too narrow.

    >>> width_of("iii") < width_of("abc") < width_of("MMM")
    True
    """
    return size * sum(0.4 if c in " ijl.,:;|!'()[]tfr·" else 1.0 if c in "mwMW@%—" else 0.85 if c in "<>=+~&×"
                      else 0.75 if c.isupper() else 1.05 if ord(c) > 0x2E80 else 0.62 for c in text)


def cut(text: str, room: float, size: float = SIZE) -> str:
    """As much of `text` as fits into `room`, with an ellipsis where that is not all.

    >>> cut("minitorch", 100), cut("minitorch", 50)
    ('minitorch', 'minit…')
    """
    if width_of(text, size) <= room:
        return text
    return next((text[:n] + "…" for n in range(len(text) - 1, 0, -1) if width_of(text[:n], size) + size <= room), "…")


def wrap(text: str, room: float, size: float = SIZE) -> list[str]:
    """Lines of `text` that fit into `room`; a word that is too long is cut.

    >>> wrap("tiles that stay in the cache", 90)
    ['tiles that', 'stay in the', 'cache']
    """
    lines: list[str] = []
    for word in text.split():
        while width_of(word, size) > room and len(word) > 1:
            cut = next((i for i in range(1, len(word)) if width_of(word[:i + 1], size) > room), len(word))
            lines.append(word[:cut])
            word = word[cut:]
        if lines and width_of(f"{lines[-1]} {word}", size) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


class Canvas:
    """SVG text, gathered shape by shape; y runs downwards."""

    def __init__(self, width: float):
        self.width = width
        self.parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        self.path([(x1, y1), (x2, y2)], kind)

    def path(self, points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False) -> None:
        steps = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self.parts.append(_tag("path", kind, d=f"M{steps}{'Z' if closed else ''}"))

    def rectangle(self, x: float, y: float, width: float, height: float, kind: str, radius: float = 0) -> None:
        self.parts.append(_tag("rect", kind, x=_n(x), y=_n(y), width=_n(max(width, 0.5)), height=_n(height),
                               rx=_n(radius)))

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start", turn: float = 0) -> None:
        turned = f"rotate({_n(turn)} {_n(x)} {_n(y)})" if turn else ""
        self.parts.append(_tag("text", kind, escape(text), x=_n(x), y=_n(y), text_anchor=anchor, transform=turned))

    def symbol(self, x: float, y: float, library: str, kind: str = "fill", size: float = 5) -> None:
        """A library's sign: it tells the libraries apart where colours do not."""
        kind, s = f"{kind} {colour(library)}", size
        number = int(colour(library)[1:])
        if number == 1:
            self.parts.append(_tag("circle", kind, cx=_n(x), cy=_n(y), r=_n(s)))
            return
        if number >= 7:
            turns, inner = (6, 0.45) if number == 7 else (4, 0.35)
            star = [(s * 1.3 * (1 if i % 2 == 0 else inner), math.pi * i / turns) for i in range(2 * turns)]
            self.path([(x + r * math.sin(a), y - r * math.cos(a)) for r, a in star], kind, closed=True)
            return
        corners, turn, scale = {2: (4, 45, 1.25), 3: (3, 0, 1.3), 4: (4, 0, 1.35), 5: (3, 180, 1.3),
                                6: (5, 0, 1.2)}[number]
        angles = [math.radians(turn + 360 * i / corners) for i in range(corners)]
        self.path([(x + s * scale * math.sin(a), y - s * scale * math.cos(a)) for a in angles], kind, closed=True)

    @contextmanager
    def mark(self, told: str, kind: str = "") -> Iterator[None]:
        """What is drawn within belongs together, and says `told` when asked."""
        self.parts.append(f'<g class="{f"mark {kind}".strip()}"><title>{escape(told)}</title>')
        yield
        self.parts.append("</g>")

    def svg(self, height: float, label: str, *, style: str = "", shown: float = 0) -> str:
        """The element; with `style` a file of its own, `shown` pixels wide."""
        body = "\n".join(self.parts)
        box = f"0 0 {_n(self.width)} {_n(height)}"
        if not style:
            return _tag("svg", "plot", f"\n{body}\n", viewBox=box, role="group", aria_label=label)
        ground = f'<rect width="{_n(self.width)}" height="{_n(height)}" rx="6" style="fill:var(--bg)"/>'
        return _tag("svg", "plot", f"\n<title>{escape(label)}</title>\n<style>{style}</style>\n{ground}\n{body}\n",
                    xmlns="http://www.w3.org/2000/svg", width=_n(shown), height=_n(shown * height / self.width),
                    viewBox=box, role="img", aria_label=label) + "\n"


def escape(text: str) -> str:
    """As the content of an element or of an attribute: without what XML cannot hold.

    >>> escape('a < "b"\\x00')
    'a &lt; &quot;b&quot;'
    """
    return html.escape("".join(c for c in text if c >= " " or c in "\n\t"))


def _tag(name: str, kind: str, inside: str = "", **attributes: str) -> str:
    """An element of class `kind`; attributes without a value are left out."""
    attributes = {"class": kind, **attributes}
    written = "".join(f' {key.replace("_", "-")}="{escape(value)}"' for key, value in attributes.items() if value)
    return f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
