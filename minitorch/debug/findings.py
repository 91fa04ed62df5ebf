"""What `lint` returns: findings, each with its reason and its remedy, worst first."""
from __future__ import annotations

import textwrap
from collections import Counter
from typing import NamedTuple

LEVELS = ("error", "warning", "note")


class Finding(NamedTuple):
    """One thing that is wrong ("error"), probably not meant ("warning"), or good to know ("note")."""

    level: str
    what: str  # one line
    where: str  # a module, parameter or source line, as far as it is known
    why: str
    fix: str

    def __str__(self) -> str:
        where = [f"         {self.where}"] if self.where else []
        return "\n".join([f"{self.level:8} {self.what}", *where, _wrapped(self.why, ""), _wrapped(self.fix, "-> ")])


class Findings(list):
    """A list of `Finding`s that prints as a report; empty, and so false, where nothing was found.

    >>> Findings([Finding("note", "a bias before batch norm", "conv1.bias", "It is subtracted again.", "bias=False")])
    lint: 1 note
    note     a bias before batch norm
             conv1.bias
             It is subtracted again.
             -> bias=False
    """

    def of(self, level: str) -> Findings:
        """Those of one level."""
        return Findings(finding for finding in self if finding.level == level)

    @property
    def errors(self) -> Findings:
        return self.of("error")

    @property
    def warnings(self) -> Findings:
        return self.of("warning")

    @property
    def notes(self) -> Findings:
        return self.of("note")

    def __repr__(self) -> str:
        if not self:
            return "lint: nothing found"
        counts = Counter(finding.level for finding in self)
        head = ", ".join(f"{counts[level]} {level}{'s' * (counts[level] > 1)}" for level in LEVELS if counts[level])
        return "\n".join([f"lint: {head}", *map(str, self)])

    __str__ = __repr__


def listed(names: list[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _wrapped(text: str, head: str) -> str:
    return textwrap.fill(text, 110, initial_indent=" " * 9 + head, subsequent_indent=" " * (9 + len(head)),
                         break_long_words=False, break_on_hyphens=False)
