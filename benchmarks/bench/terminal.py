"""The table in the terminal: a heading, then a block for each contest, at most 100 columns wide."""
from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from . import turnabout

WIDTHS = (-22, 8, 4, 8, 8, 7, 5, 17, 5)


def heading(machine: dict[str, Any], missing: dict[str, str]) -> str:
    """The machine and its condition, and which libraries are not there."""
    lines = [turnabout.heading(machine)]
    load = machine.get("load")
    facts = [f"{machine['memory_gib']} GiB" * bool(machine.get("memory_gib")),
             f"{machine['clock_mhz']} MHz" * bool(machine.get("clock_mhz")),
             f"load {load[0]:.2f}" if load else ""]
    lines.append(", ".join(fact for fact in facts if fact))
    lines += [f"{name} takes no part: {why}" for name, why in missing.items()]
    return "\n".join(line for line in lines if line)


def block(rows: Sequence[dict[str, Any]], notes: Iterable[str] = ()) -> str:
    """The contestants of one contest, in the order given.

    A row that is not trusted has a question mark, and the reason stands below.
    """
    first = rows[0]
    timed = next((row for row in rows if row["seconds"]), first)
    bound, rival = timed["bound"], next((row["against"] for row in rows if row["against"]), None)
    unit = "GFLOP/s" if bound == "arithmetic" else "GB/s"
    threads = f"{first['threads']} thread{'s' * (first['threads'] > 1)}"
    lines = [f"{first['kernel']}: {first['case']}, {first['dtype']}, {threads}" + f"; {bound} binds" * bool(bound)]
    names = ["", "time", "+-", "cold", "launch", unit, "share", f"rate / {rival}'s" if rival else "", "error"]
    lines.append(turnabout.line(names, WIDTHS))
    lines += [_line(row, unit) for row in rows]
    lines += [wrapped(f"? {why}: {', '.join(names)}", "  ") for why, names in _doubts(rows).items()]
    lines += [f"  target {row['target']} of {row['against']}'s rate: {row['verdict']} by {row['contestant']}"
              for row in rows if row["verdict"]]
    lines += [f"  {note}" for note in notes]
    return "\n".join(lines)


def ideas(rows: Iterable[dict[str, Any]]) -> str:
    """What each rung of a ladder adds."""
    return "\n".join(wrapped(f"{row['rung']} {row['version']}: {row['idea']}", "  ") for row in rows if row["idea"])


def limits(threads: int, found: dict[str, Any]) -> str:
    """The machine's limits for so many threads, as the JSON has them, in one line."""
    computing = ", ".join(f"{rate:.0f} in {dtype}" for dtype, rate in found["GFLOP/s"].items())
    writing = found["GB/s"]["write"]
    (small, near), *_, (large, far) = writing.items()
    return (f"{threads} thread{'s' * (threads > 1)}, which reach GFLOP/s {computing}; "
            f"GB/s {near:.0f} in {small}, {far:.0f} in {large}")


def wrapped(text: str, indent: str = "") -> str:
    """`text` in lines that fit."""
    return textwrap.fill(text, 100, initial_indent=indent, subsequent_indent=indent and f"  {indent}")


def _line(row: dict[str, Any], unit: str) -> str:
    name = row["contestant"] if row["rung"] is None else f"{row['rung']} {row['version']}"
    if not row["seconds"]:
        return turnabout.line([f"  {name}"], WIDTHS[:1]).ljust(-WIDTHS[0]) + f"  {row['why']}"
    seconds, cold = row["seconds"], row["cold"]
    apart = (seconds["high"] - seconds["low"]) / seconds["median"]
    ratio = turnabout.shown(row if row["ratio"] is not None else None)
    return turnabout.line(
        [f"{' ' if row['trusted'] else '?'} {name}", turnabout.duration(seconds["median"]), f"{min(apart, 9.99):.0%}",
         turnabout.duration(cold and cold["median"]), turnabout.duration(row["launch"]), _rate(row[unit]),
         _share(row["share"]), ratio, f"{row['error']:.0e}"], WIDTHS)


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "<1%"


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.3f}"


def _doubts(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Each reason for not trusting a time, with those it is true of; how far each spreads stands in its line."""
    found: dict[str, list[str]] = {}
    doubtful = [row for row in rows if row["seconds"] and not row["trusted"]]
    for row in doubtful:
        for why in row["why"].split("; "):
            reason = "spread" + why.partition(":")[2] if why.startswith("spread") else why
            found.setdefault(reason, []).append(row["contestant"])
    timed = sum(bool(row["seconds"]) for row in rows)
    return {why: ["all"] if len(names) == timed > 1 else names for why, names in found.items()}
