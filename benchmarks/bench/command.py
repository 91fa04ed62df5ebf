"""The command line of `minitorch bench`."""
from __future__ import annotations

import argparse
import json
import random
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from minitorch_kernels import limits, table

from . import cases, measure, noise, peers, terminal, turnabout
from .cases import Entry

FORMAT = "minitorch-bench/1"
EXAMPLES = """\
examples:
  minitorch bench                                       the fixed table: all kernels at the sizes of real models
  minitorch bench matmul --shape 512x512x512            one kernel, one shape
  minitorch bench conv2d --rung all --html conv.html    the ladder, from plain loops up, and a page of plots
  minitorch bench softmax --sweep --threads 1 2         over sizes, on one thread and on two
  minitorch bench adam attention --peers torch jax      kernels beside other libraries
  minitorch bench compare before.json after.json        did it become faster? verdicts that heed the noise

Every result is checked against a higher-precision reference on fresh random data before it is timed, and again after.
A time that is too noisy is marked with a question mark. How the table is read: benchmarks/README.md.
"""


def main(arguments: list[str]) -> int:
    """Run `minitorch bench` with these arguments; returns the exit status.

    Raises ValueError for a kernel, shape, version or rung that does not exist.
    """
    if arguments[:1] == ["compare"]:
        return _compare(arguments[1:])
    options = parse(arguments)
    if options.list:
        print(listing())
        return 0
    for path in (options.json, options.html, options.svg):
        if path and (not Path(path).resolve().parent.is_dir() or Path(path).is_dir()):
            raise ValueError(f"{path} cannot be written: " + (
                "it is a folder" if Path(path).is_dir() else "there is no folder for it"))
    run = Run(options, arguments)
    try:
        run()
    except KeyboardInterrupt:
        print(f"\nminitorch bench: interrupted after {len(run.results['results'])} results", file=sys.stderr)
        return 130
    finally:
        run.save()
    return int(run.failed or any((row["why"] or "").startswith("FAILED") for row in run.results["results"]))


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="minitorch bench", description="Measure kernels, their versions and other libraries, turn about.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"kernels or families: {', '.join(cases.families())}; --list shows all")
    parser.add_argument("--list", action="store_true", help="show kernels, what a shape of each means, and versions")
    what = parser.add_argument_group("what to measure")
    what.add_argument("--shape", nargs="+", type=shape, metavar="AxBxC", help="instead of the fixed table's shapes")
    what.add_argument("--sweep", nargs="*", type=_positive, metavar="SIZE", help="over sizes: a kernel's own, or these")
    what.add_argument("--dtype", nargs="+", choices=("float32", "float64"), default=["float32"])
    what.add_argument("--threads", nargs="+", type=_positive, metavar="N", help="(default: as minitorch uses)")
    what.add_argument("--version", nargs="+", metavar="VERSION",
                      help='minitorch\'s versions, "auto", "reference" or "all" (default: auto)')
    what.add_argument("--rung", nargs="+", metavar="RUNG", help='rungs of the ladder: names, numbers, or "all"')
    what.add_argument("--peers", nargs="*", choices=peers.PEERS, metavar="LIBRARY",
                      help=f"of {', '.join(peers.PEERS)} (default: torch, else numpy; both for products)")
    how = parser.add_argument_group("how")
    how.add_argument("--seconds", type=_from_zero, default=1.0,
                     help="for each block of the table (default: %(default)g)")
    how.add_argument("--spread", type=_from_zero, default=100 * noise.ENOUGH, metavar="PERCENT",
                     help="stop earlier where all quartiles lie this close (default: %(default)g)")
    how.add_argument("--no-cold", action="store_true", help="leave out the calls with flushed caches")
    how.add_argument("--seed", type=_seed, help="of the random data (default: another one each time)")
    how.add_argument("--limits", action="store_true", help="measure the machine's limits again; the better are kept")
    out = parser.add_argument_group("what to write")
    out.add_argument("--json", metavar="FILE", help="the results, for `minitorch bench compare` and scripts")
    out.add_argument("--html", metavar="FILE", help="one self-contained page with plots")
    out.add_argument("--svg", metavar="FILE", help="the ladder as a picture: of the first kernel, with --rung")
    options = parser.parse_args(arguments)
    if options.svg and not options.rung:
        parser.error("--svg draws a ladder: say with --rung which rungs, or all")
    return options


def _compare(arguments: list[str]) -> int:
    """`minitorch bench compare`; its exit status."""
    from . import compare

    parser = _Parser(prog="minitorch bench compare",
                     description="Which kernels became faster or slower, as far as the noise lets one say.")
    parser.add_argument("a", metavar="A.json", help="what `minitorch bench --json` wrote before")
    parser.add_argument("b", metavar="B.json", help="and after")
    parser.add_argument("--margin", type=float, default=100 * compare.MARGIN, metavar="PERCENT",
                        help="a change as small as this counts as none (default: %(default)g)")
    parser.add_argument("--fail-on-slower", action="store_true", help="exit with 1 where something became slower")
    options = parser.parse_args(arguments)
    return compare.main(options.a, options.b, margin=options.margin / 100, fail_on_slower=options.fail_on_slower)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        """One line, without the usage, which is long."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def shape(text: str) -> tuple[int, ...]:
    """
    >>> shape("512x512")
    (512, 512)
    """
    try:
        found = tuple(int(word) for word in text.split("x"))
    except ValueError:
        found = (0,)
    if min(found) < 1:
        raise argparse.ArgumentTypeError(f"expects whole numbers with x between them, like 64x512, not {text!r}")
    return found


def _positive(text: str, least: int = 1) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expects a whole number from {least} on, not {text!r}")
    return int(text)


def _seed(text: str) -> int:
    return _positive(text, least=0)


def _from_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expects a number from 0 on, not {text!r}")
    return value


def listing() -> str:
    """All kernels with an entry by family: what the numbers of a shape are, and their versions."""
    lines, known = [], set()
    for family in cases.families():
        lines.append(family)
        for entry in cases.entries():
            if entry.family == family and not entry.variant and entry.kernel not in known:
                known.add(entry.kernel)
                versions = ", ".join(v.name for v in table.get(entry.kernel).versions if v.device == "cpu")
                lines.append(turnabout.line(["", entry.kernel, entry.form, versions], (-1, -26, -37, -30)))
    lines.append("and elementwise kernels without an entry of their own, such as arctan2, bessel_j0, expm1")
    return "\n".join(lines)


class Contest(NamedTuple):
    """What is measured together."""

    entry: Entry
    shape: tuple[int, ...]
    size: int | None  # in a sweep
    choices: list[measure.Choice]


class Run:
    """One run of the command: prints blocks as they come, and gathers their rows."""

    def __init__(self, options: argparse.Namespace, arguments: list[str]) -> None:
        import minitorch

        self.options = options
        self.entries = cases.find(options.names) if options.names else cases.entries()
        self.fixed = not (options.shape or options.sweep is not None or options.rung)
        self.failed = False
        self._check_names()
        self.contests = list(self._contests())
        self.threads = options.threads or [minitorch.get_num_threads()]
        self.seed = random.SystemRandom().randrange(1 << 31) if options.seed is None else options.seed
        asked = options.peers if options.peers is not None else ["torch", "numpy"]
        self.missing = {name: why for name in asked if (why := peers.missing(name))}
        machine = {**turnabout.machine(), **noise.conditions()}
        machine["versions"] |= {name: peers.PEERS[name].version() for name in asked if name not in self.missing}
        machine["date"] = time.strftime("%Y-%m-%d %H:%M")
        machine["command"] = shlex.join(["minitorch", "bench", *arguments])
        self.results: dict[str, Any] = {"format": FORMAT, "machine": machine, "seed": self.seed, "limits": {},
                                        "results": []}

    def __call__(self) -> None:
        """Measure everything."""
        print(terminal.heading(self.results["machine"], self.missing))
        cores = turnabout.cores()
        for threads in self.threads:
            if threads > cores:
                print(f"minitorch bench: --threads {threads} is more than the {cores} cores here: "
                      "threads will wait for each other", file=sys.stderr)
            if self.options.limits:
                limits.measure(min(threads, cores))
            found = self.results["limits"][str(threads)] = measure.limits(min(threads, cores)).results()
            print(f"\n{terminal.limits(threads, found)}")
            explained: set[str] = set()
            for dtype in self.options.dtype:
                for contest in self.contests:
                    self._contest(contest, dtype, threads, explained)
        if any((row["share"] or 0) > 1.02 and row["bound"] == "arithmetic" for row in self.results["results"]):
            print("\n" + terminal.wrapped("More than 100 % of the arithmetic: the limits were measured while the "
                                          "machine was busy; --limits measures them again."))
        if self.fixed and not self.options.names and (without := self._without()):
            print("\n" + terminal.wrapped(f"Fast kernels without an entry in entries.py: {', '.join(without)}."))

    def save(self) -> None:
        """Write what there is to the files that were asked for."""
        if not self.results["results"]:
            return
        if self.options.json:
            Path(self.options.json).write_text(json.dumps(self.results, indent=1) + "\n")
        if self.options.html:
            from . import report

            report.write(self.results, self.options.html)
        if self.options.svg:
            from . import plots

            picture = plots.ladder(self.results, next(r["kernel"] for r in self.results["results"]))
            Path(self.options.svg).write_text(picture, encoding="utf-8")

    def _contest(self, contest: Contest, dtype: str, threads: int, explained: set[str]) -> None:
        entry = contest.entry
        settings = self._settings(entry)
        try:
            rows, notes = measure.contest(entry, contest.shape, dtype, threads, contest.choices, settings, contest.size)
        except Exception as error:  # the others of a long run are still worth having
            self.failed = True
            print(f"\n{entry.kernel} {cases.written(contest.shape)}, {dtype}: FAILED: {type(error).__name__}: {error}")
            return
        self.results["results"] += rows
        print(f"\n{terminal.block(rows, notes)}", flush=True)
        if entry.kernel not in explained and (ideas := terminal.ideas(rows)):
            explained.add(entry.kernel)
            print(ideas)

    def _settings(self, entry: Entry) -> measure.Settings:
        options = self.options
        chosen = options.peers
        if chosen is None:  # products are BLAS's, whoever brings it; NumPy is there always
            chosen = ["torch", "numpy"] if entry.family == "matmul" or "torch" in self.missing else ["torch"]
        return measure.Settings(options.seconds, options.spread / 100, not options.no_cold, self.seed,
                                tuple(name for name in chosen if name not in self.missing), LAUNCHES)

    def _contests(self) -> Iterator[Contest]:
        for entry in self.entries:
            choices = self._choices(entry)
            if self.fixed:
                yield from (Contest(entry, shape, None, choices) for shape in entry.shapes())
            elif not entry.variant:
                for shape in self.options.shape or (self._ladder_shapes(entry) if self.options.sweep is None else ()):
                    cases.fits(entry, shape)
                    yield Contest(entry, shape, None, choices)
                if self.options.sweep is not None:
                    yield from (Contest(entry, entry.at(n), n, choices) for n in self.options.sweep or entry.sizes)

    def _ladder_shapes(self, entry: Entry) -> list[tuple[int, ...]]:
        """One that plain loops in Python finish, and one that lets the upper rungs show what they can."""
        sizes = entry.sizes
        return [entry.at(n) for n in (sizes[len(sizes) // 2 - 1], sizes[-2])] if sizes else []

    def _choices(self, entry: Entry) -> list[measure.Choice]:
        """minitorch's contestants: the versions and rungs asked for that this kernel has."""
        options = self.options
        names = options.version or (entry.versions if self.fixed else ("auto",))
        has = ["auto", *(v.name for v in table.get(entry.kernel).versions if v.device == "cpu"), "reference"]
        names = has if "all" in names else [name for name in names if name in has]
        chosen = [rung for rung in rungs(entry.kernel) if _asked(rung, options.rung)]
        return [*chosen, *(measure.Choice(name) for name in names if name not in [rung.version for rung in chosen])]

    def _check_names(self) -> None:
        """Raises ValueError for a version or rung that none of the kernels has."""
        kernels = sorted({entry.kernel for entry in self.entries})
        offered = sorted({v.name for name in kernels for v in table.get(name).versions if v.device == "cpu"})
        for name in self.options.version or ():
            if name not in ("auto", "reference", "all", *offered):
                raise ValueError(f"no version is named {name!r}: {', '.join(kernels)} "
                                 f"{'has' if len(kernels) == 1 else 'have'} {', '.join([*offered, 'reference'])}")
        ladder = [rung for name in kernels for rung in rungs(name)]
        for name in self.options.rung or ():
            if not any(_asked(rung, [name]) for rung in ladder):
                known = ", ".join(f"{rung.rung} {rung.version}" for rung in ladder)
                raise ValueError(f"no rung is named {name!r}: {', '.join(kernels)} "
                                 + (f"has {known}" if known else "has no ladder"))

    def _without(self) -> list[str]:
        known = {entry.kernel for entry in cases.entries()}
        return [name for name in table.names() if name not in known
                and any(v.backend == "numba" for v in table.get(name).versions)]


LAUNCHES: dict[tuple, float | None] = {}


def rungs(kernel: str) -> list[measure.Choice]:
    """The kernel's ladder, from the bottom up; empty where it has none."""
    from minitorch_kernels import ladder

    if kernel not in ladder.ladders():
        return []
    return [measure.Choice(rung.name, rung.number, rung.idea) for rung in ladder.ladder(kernel)]


def _asked(rung: measure.Choice, names: list[str] | None) -> bool:
    return any(name in ("all", rung.version, str(rung.rung)) for name in names or ())
