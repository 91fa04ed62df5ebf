"""Public PyTorch programs, unmodified, on PyTorch and on minitorch: how far do their losses lie apart?

    python tests/programs/compare.py --data DIR [NAME...]

Each program of catalogue.py is started twice with the same arguments and the same seed, once on PyTorch and once through
`minitorch run`. Compared are the values on which it calls `backward()`, step by step, and the numbers that it prints.
"""
from __future__ import annotations

import argparse
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from catalogue import PROGRAMS, REPOSITORIES, Program
from layout import Missing, lay_out

HERE = Path(__file__).resolve().parent
SIDES = {  # the command, and by how much the gradients are nudged: PyTorch against itself shows what rounding alone does
    "PyTorch": ([sys.executable], 0),
    "PyTorch, nudged": ([sys.executable], 1e-6),
    "minitorch": ([sys.executable, "-m", "minitorch", "run"], 0),
}
SMALLEST = 0.01  # a loss nearer to zero than this is compared as if it were this large
TIMES = re.compile(r"time|sec|\bms\b|/s\b|\d\s*m?s\b|elapsed|eta|fps|[Ss]peed|mfu|download|/tmp/", re.IGNORECASE)
NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")


@dataclass
class Outcome:
    """What one run of a program left: its losses, what it printed, the seconds it took, and its last words on failing."""

    losses: list[float]
    printed: str
    seconds: float
    failure: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="programs whose name contains this (default: all)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with MNIST/raw, cifar-10-batches-py, "
                        "tinyshakespeare.txt (default: data)")
    parser.add_argument("--from", dest="clones", type=Path, help="folder with clones, called OWNER+NAME")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "minitorch-programs",
                        help="where clones made here are kept")
    parser.add_argument("--keep", type=Path, help="keep the folders the programs ran in under this one")
    parser.add_argument("--timeout", type=float, default=600, help="seconds a run may take")
    options = parser.parse_args()
    print("| program | steps | losses differ by | PyTorch, nudged | printed numbers differ by | PyTorch s | minitorch s |")
    print("|---|---|---|---|---|---|---|")
    for program in PROGRAMS:
        if not options.names or any(name in title(program) for name in options.names):
            print(row(program, options), flush=True)


def title(program: Program) -> str:
    return program.name or f"{program.repository.partition('/')[2]} {program.path}"


def row(program: Program, options: argparse.Namespace) -> str:
    """The program's line of the table."""
    clone = fetched(program.repository, options)
    found = {}
    for side, (command, nudge) in SIDES.items():
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder) / "work"
            if options.keep:
                work = options.keep / re.sub(r"\W+", "_", title(program)) / side.replace(", ", "_")
                shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(clone, work, ignore=shutil.ignore_patterns(".git"))
            try:
                found[side] = outcome(program, command, nudge, work, options)
            except Missing as missing:
                return f"| {title(program)} | left out: {missing} ||||||"
        if found[side].failure:
            return f"| {title(program)} | {len(found[side].losses)} | {side} fails: {found[side].failure} |||||"
    theirs, nudged, ours = found.values()
    cells = [title(program), len(ours.losses), farthest(theirs.losses, ours.losses),
             farthest(theirs.losses, nudged.losses), printed_apart(theirs.printed, ours.printed),
             f"{theirs.seconds:.1f}", f"{ours.seconds:.1f}"]
    return "| " + " | ".join(map(str, cells)) + " |"


def fetched(repository: str, options: argparse.Namespace) -> Path:
    """The folder of the repository's clone, made where there is none."""
    folder = repository.replace("/", "+")
    if options.clones:
        return options.clones / folder
    clone = options.cache / folder
    if not clone.exists():
        git = ["git", "-c", "advice.detachedHead=false"]
        subprocess.run([*git, "clone", "--quiet", f"https://github.com/{repository}", str(clone)], check=True)
        subprocess.run([*git, "checkout", "--quiet", REPOSITORIES[repository]], cwd=clone, check=True)
    return clone


def outcome(program: Program, command: list[str], nudge: float, work: Path, options: argparse.Namespace) -> Outcome:
    """Run the program, and what must run before it, in its copy of the repository."""
    file = work / program.path
    folder = work / program.folder if program.folder else file.parent
    for place, source in program.data.items():
        lay_out(source, options.data, folder / place)
    path = [str(HERE / "standins"), str(work), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0",
                   "PYTHONUNBUFFERED": "1", "PATH": f"{HERE / 'standins'}{os.pathsep}{os.environ['PATH']}"}
    if "cifar10" in program.data.values():
        environment["TRUST_CIFAR"] = "1"
    losses = work / "losses.txt"
    for before in [*program.before, None]:
        watched = [str(HERE / "watch.py"), str(losses), str(program.steps), str(nudge),
                   str(folder / before if before else file)]
        arguments = [] if before else shlex.split(program.arguments)
        start = time.perf_counter()
        try:
            run = subprocess.run([*command, *watched, *arguments], cwd=folder, env=environment, text=True,
                                 capture_output=True, timeout=options.timeout, errors="replace")
        except subprocess.TimeoutExpired:
            return Outcome([], "", options.timeout, f"it takes more than {options.timeout:g} s")
        seconds = time.perf_counter() - start
        if options.keep:
            (work / "stdout.txt").write_text(run.stdout)
            (work / "stderr.txt").write_text(run.stderr)
        if run.returncode:
            last = (run.stderr.strip() or run.stdout.strip() or "no message").splitlines()[-1]
            return Outcome(read(losses), run.stdout, seconds, f"`{last[:150]}`".replace("|", "/"))
    return Outcome(read(losses), run.stdout, seconds)


def read(losses: Path) -> list[float]:
    return [float(line) for line in losses.read_text().split()] if losses.exists() else []


def farthest(theirs: list[float], ours: list[float]) -> str:
    """The largest relative difference of two rows of numbers, or that they are not equally long."""
    if len(theirs) != len(ours):
        return f"{len(theirs)} against {len(ours)} of them"
    return f"{max(map(apart, theirs, ours)):.0e}" if ours else "none"


def apart(one: float, other: float) -> float:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    return abs(one - other) / max(abs(one), SMALLEST)


def printed_apart(theirs: str, ours: str) -> str:
    """The same for the numbers in two texts, line by line; lines that speak of times are passed over."""
    texts = [[line for line in re.split(r"[\n\r]+", text) if line and not TIMES.search(line)] for text in (theirs, ours)]
    if len(texts[0]) != len(texts[1]):
        return f"{len(texts[0])} against {len(texts[1])} lines"
    largest, numbers, other_words = 0.0, 0, 0
    for one, other in zip(*texts, strict=True):
        found = [[float(number) for number in NUMBER.findall(line)] for line in (one, other)]
        if len(found[0]) != len(found[1]) or NUMBER.sub("#", one).split() != NUMBER.sub("#", other).split():
            other_words += 1
            continue
        numbers += len(found[0])
        largest = max([largest, *map(apart, *found)])
    words = f"; {other_words} lines have other words" if other_words else ""
    return (f"{largest:.0e} ({numbers})" if numbers else "none") + words


if __name__ == "__main__":
    main()
