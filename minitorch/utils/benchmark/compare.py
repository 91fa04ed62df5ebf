"""`Compare`: a table of measurements, a row for each statement and number of threads, a column for each description."""
from __future__ import annotations

import enum
import math
from collections.abc import Iterable

from .measurement import Measurement, ordered_unique, select_unit, trim_sigfig, unit_to_english

BOLD, END = "\033[1m", "\033[0m"
BEST, GOOD, BAD, VERY_BAD = "\033[92m", "\033[34m", "\033[2m\033[91m", "\033[31m"

Cells = list["Measurement | None"]


class Colorize(enum.Enum):
    """Among which measurements the best one is sought."""

    NONE = "none"
    COLUMNWISE = "columnwise"
    ROWWISE = "rowwise"


class Compare:
    """Measurements side by side: one table for each label; replicates of a task are merged.

    Raises ValueError for anything but a `Measurement`.

    >>> from minitorch.utils.benchmark import Measurement, TaskSpec
    >>> tasks = [TaskSpec("x + y", "pass", label="add", description=size) for size in ("small", "large")]
    >>> Compare([Measurement(1, [1e-6 * n], task) for n, task in zip((2, 300), tasks)]).print()
    [------------ add ------------]
                 |  small  |  large
    1 threads: --------------------
          x + y  |   2.0   |  300.0
    <BLANKLINE>
    Times are in microseconds (us).
    <BLANKLINE>
    """

    def __init__(self, results: Iterable[Measurement]):
        self._results: list[Measurement] = []
        self._trim = self._warn = False
        self._colorize = Colorize.NONE
        self.extend_results(results)

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Take in more measurements."""
        results = list(results)
        for result in results:
            if not isinstance(result, Measurement):
                raise ValueError(f"Compare: expected Measurements, not {type(result).__name__}")
        self._results += results

    def trim_significant_figures(self) -> None:
        """Show no more digits than the measurements' spread allows."""
        self._trim = True

    def colorize(self, rowwise: bool = False) -> None:
        """Colour times by how they compare with the best of their column (or row)."""
        self._colorize = Colorize.ROWWISE if rowwise else Colorize.COLUMNWISE

    def highlight_warnings(self) -> None:
        """Mark the measurements whose quartiles lie far apart."""
        self._warn = True

    def print(self) -> None:
        """Print the tables."""
        print(str(self))

    def __str__(self) -> str:
        groups: dict[str | None, list[Measurement]] = {}
        for result in Measurement.merge(self._results):
            groups.setdefault(result.label, []).append(result)
        return "\n".join(_Table(group, self._colorize, self._trim, self._warn).text() for group in groups.values())


class _Table:
    """The measurements of one label."""

    def __init__(self, results: list[Measurement], colorize: Colorize, trim: bool, warn: bool):
        self.results, self.colorize, self.trim = results, colorize, trim
        self.warn = warn and any(r.has_warnings for r in results)
        self.unit, self.scale = select_unit(min(r.median for r in results))
        self.columns = ordered_unique(r.description for r in results)
        by_place = {(*_row(r), r.description): r for r in results}
        keys = sorted(ordered_unique(map(_row, results)), key=lambda key: (key[0], key[1] or ""))
        self.rows = {key: [by_place.get((*key, column)) for column in self.columns] for key in keys}

    def text(self) -> str:
        names = self._row_names()
        columns = [[row[i] for row in self.rows.values()] for i in range(len(self.columns))]
        texts = list(zip(names, *(self._column_texts(column) for column in columns)))
        heads = ["", *(str(column) if column is not None else "" for column in self.columns)]
        widths = [max(map(len, column)) for column in zip(heads, *texts)]
        lines = ["  |  ".join(head.center(width) for head, width in zip(heads, widths))]
        whole = len(lines[0])
        lines.insert(0, f"[{f' {self.results[0].label or str()} '.center(whole - 2, '-')}]")
        threads = None
        for key, cells in zip(self.rows, texts):
            if key[0] != threads:
                threads = key[0]
                lines.append(f"{threads} threads: ".ljust(whole, "-"))
            shown = [cells[0].ljust(widths[0])]
            shown += [self._coloured(cell.center(width), key, i)
                      for i, (cell, width) in enumerate(zip(cells[1:], widths[1:]))]
            lines.append("  |  ".join(shown))
        lines += ["", f"Times are in {unit_to_english(self.unit)}s ({self.unit}).", ""]
        if self.warn:
            lines.insert(-1, "(! XX%) Measurement has high variance, where XX is the IQR / median * 100.")
        return "\n".join(lines)

    def _row_names(self) -> list[str]:
        """The rows' names, with the environment before the first row of each where there are several."""
        environments = {r.env for r in self.results}
        width = max(len(str(env)) for env in environments) + 4 if len(environments) > 1 else 4
        names, before = [], None
        for threads, env, name in self.rows:
            new = len(environments) > 1 and (threads, env) != before
            names.append("  " + (f"({env})" if new else "").ljust(width) + name)
            before = threads, env
        return names

    def _column_texts(self, column: Cells) -> list[str]:
        """The numbers of a column, with one number of decimals for all."""
        there = [r for r in column if r is not None]
        digits = [math.ceil(math.log10(r.median / self.scale)) for r in there]
        decimals = min(max(r.significant_figures - d, 0) for r, d in zip(there, digits)) if self.trim else 1
        width = max(digits) + decimals + (decimals > 0)
        note = 7 if self.warn and any(r.has_warnings for r in there) else 0
        return [self._number(r, width, decimals, note) for r in column]

    def _number(self, r: Measurement | None, width: int, decimals: int, note: int) -> str:
        if r is None:
            return " " * (max(width, 2 + decimals if decimals else 1) + note)
        value = trim_sigfig(r.median / self.scale, r.significant_figures) if self.trim else r.median / self.scale
        warning = f" (! {100 * r.iqr / r.median:.0f}%)" if note and r.has_warnings else ""
        return f"{value:>{max(width, 0)}.{decimals}f}{warning:>{note}}"

    def _coloured(self, text: str, key: tuple, i: int) -> str:
        cell = self.rows[key][i]
        if cell is None or self.colorize is Colorize.NONE:
            return text
        rivals = self.rows[key] if self.colorize is Colorize.ROWWISE else \
            [row[i] for other, row in self.rows.items() if other[0] == key[0]]
        best = min(r.median for r in rivals if r is not None)
        if cell.median <= max(best * 1.01, best + 100e-9):
            return BEST + BOLD + text + END + END
        if cell.median <= best * 1.1:
            return GOOD + BOLD + text + END + END
        if cell.median >= best * 5:
            return VERY_BAD + BOLD + text + END + END
        return BAD + text + END + END if cell.median >= best * 2 else text


def _row(r: Measurement) -> tuple[int, str | None, str]:
    return r.num_threads, r.env, r.as_row_name
