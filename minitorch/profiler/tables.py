"""Tables of text: rows of plain numbers, columns that say how to write them."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Column(NamedTuple):
    """`show(row)` gives the text; a `width` of 0 takes what the others leave."""

    title: str
    width: int
    show: Callable[[Any], str]
    left: bool = False


class Table(list):
    """A list of rows, which prints as a table: of the first `limit` rows, and always of the last `ends`."""

    def __init__(self, rows: Iterable, columns: list[Column], limit: int | None = None, ends: int = 0,
                 width: int = 100):
        super().__init__(rows)
        self.columns, self.limit, self.ends, self.width = columns, limit, ends, width

    def __str__(self) -> str:
        rest = self.width - sum(column.width for column in self.columns)
        widths = [column.width or max(rest, 8) for column in self.columns]
        lines = [_line([column.title for column in self.columns], self.columns, widths)]
        lines += ["-" * self.width]
        written = [_line([column.show(row) for column in self.columns], self.columns, widths) for row in self]
        ends = len(self) - self.ends
        first = ends if self.limit is None else min(max(self.limit, 0), ends)
        left_out = [f"... {ends - first} more row{'s' * (ends - first > 1)}"] if first < ends else []
        return "\n".join([*lines, *written[:first], *left_out, *written[ends:]])

    __repr__ = __str__


def _line(cells: list[str], columns: list[Column], widths: list[int]) -> str:
    parts = []
    for cell, column, width in zip(cells, columns, widths):
        if len(cell) > width - 1:
            cell = cell[:width - 2] + "…"
        parts.append(f"{cell:<{width - 1}} " if column.left else f"{cell:>{width - 1}} ")
    return "".join(parts).rstrip()


def duration(seconds: float) -> str:
    """Three digits: '12.3 ms'; nothing for nothing.

    >>> duration(0.01234), duration(2.5e-06), duration(0)
    ('12.3 ms', '2.50 µs', '')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.9995 * size:
            return f"{_digits(seconds / size)} {unit}"
    return f"{seconds * 1e9:.0f} ns" if seconds > 0 else ""


def megabytes(n: float) -> str:
    """Bytes: '12.3 MB' of 2**20; nothing for nothing.

    >>> megabytes(3 << 20), megabytes(5000), megabytes(40)
    ('3.00 MB', '4.88 KB', '40 B')
    """
    for unit, size in (("GB", 2 ** 30), ("MB", 2 ** 20), ("KB", 2 ** 10)):
        if n >= 0.9995 * size:
            return f"{_digits(n / size)} {unit}"
    return f"{n:.0f} B" if n else ""


def count(n: float) -> str:
    """Three digits: '1.23 G'; nothing for nothing.

    >>> count(1_234_000), count(12)
    ('1.23 M', '12')
    """
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= 0.9995 * size:
            return f"{_digits(n / size)} {unit}"
    return f"{n:.0f}" if n else ""


def percent(share: float | None) -> str:
    """'12.3%', '123%'; nothing for None."""
    return "" if share is None else f"{100 * share:.0f}%" if share >= 0.9995 else f"{100 * share:.1f}%"


def _digits(x: float) -> str:
    return f"{x:.2f}" if x < 9.995 else f"{x:.1f}" if x < 99.95 else f"{x:.0f}"
