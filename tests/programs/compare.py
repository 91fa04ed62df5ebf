"""Public PyTorch programs, unmodified, on PyTorch and on minitorch: how far do their losses lie apart?

    python tests/programs/compare.py --data DIR [NAME...]

Each program of catalogue.py is started twice with the same arguments and the same seed, once on PyTorch and
once through `minitorch run`. Compared are the values on which it calls `backward()`, step by step, and the
numbers that it prints. Where the losses differ by more than 1e-5, two more comparisons tell rounding that
grows from a fault: both in float64 over the first 20 steps, and PyTorch with PyTorch whose gradients are off by
what float32 leaves uncertain in them.
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
SIDES = {"PyTorch": [sys.executable], "minitorch": [sys.executable, "-m", "minitorch", "run"]}
COLUMNS = ["program", "steps", "losses differ by", "in float64", "PyTorch by itself, nudged",
           "printed numbers differ by", "PyTorch s", "minitorch s"]
DOUBLE_STEPS = 20
ENOUGH = 1e-5  # losses that differ by less need no further look
SMALLEST = 0.01  # a number nearer to zero is compared as if it were this large
PASSED_OVER = re.compile(  # lines that tell of time and place, not of numbers learnt
    r"time|sec|\bms\b|/s\b|\d\s*m?s\b|elapsed|eta|fps|speed|mfu|download|/tmp/|^\d+\tTrain", re.IGNORECASE)
NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")


@dataclass
class Outcome:
    """What one run of a program left: its losses, what it printed, the seconds it took, why it failed."""

    losses: list[float]
    printed: str
    seconds: float
    failure: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="those with this in their name (default: all)")
    parser.add_argument("--data", type=Path, default=Path("data"),
                        help="folder with MNIST/raw, cifar-10-batches-py, tinyshakespeare.txt (default: data)")
    parser.add_argument("--from", dest="clones", type=Path, help="folder with clones, called OWNER+NAME")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "minitorch-programs",
                        help="where clones made here are kept")
    parser.add_argument("--keep", type=Path, help="keep the folders that the programs ran in, under this one")
    parser.add_argument("--timeout", type=float, default=600, help="seconds that a run may take")
    options = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for program in PROGRAMS:
        if not options.names or any(name in title(program) for name in options.names):
            print("| " + " | ".join(row(program, options)) + " |", flush=True)


def title(program: Program) -> str:
    return program.name or f"{program.repository.partition('/')[2]} {program.path}"


def row(program: Program, options: argparse.Namespace) -> list[str]:
    """The program's line of the table."""
    def run(side: str, how: str = "plain") -> Outcome:
        return outcome(program, side, how, options)

    try:
        theirs, ours = run("PyTorch"), run("minitorch")
    except Missing as missing:
        return [title(program), "0", f"left out: {missing}", *[""] * 5]
    for side, found in (("PyTorch", theirs), ("minitorch", ours)):
        if found.failure:
            return [title(program), str(len(found.losses)), f"{side} fails: {found.failure}", *[""] * 5]
    double = nudged = ""
    if not close(theirs.losses, ours.losses):
        double = losses_apart(run("PyTorch", "double"), run("minitorch", "double"))
        nudged = losses_apart(theirs, run("PyTorch", "nudged"))
    return [title(program), str(len(ours.losses)), losses_apart(theirs, ours), double, nudged,
            printed_apart(theirs.printed, ours.printed), f"{theirs.seconds:.1f}", f"{ours.seconds:.1f}"]


def outcome(program: Program, side: str, how: str, options: argparse.Namespace) -> Outcome:
    """Run the program, and what must run before it, in a copy of its repository. Raises Missing."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) / "work"
        if options.keep:
            work = options.keep.resolve() / re.sub(r"\W+", "_", title(program)) / f"{side}-{how}"
            shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(clone(program.repository, options), work, ignore=shutil.ignore_patterns(".git"))
        folder = (work / program.path).parent
        for place, source in program.data.items():
            lay_out(source, options.data, folder / place)
        losses = work / "losses.txt"
        runs = [(folder / before, "") for before in program.before]
        runs.append((work / program.path, program.arguments))
        for file, arguments in runs:
            steps = min(program.steps, DOUBLE_STEPS) if how == "double" else program.steps
            command = [*SIDES[side], str(HERE / "watch.py"), how, str(steps), str(losses), str(file)]
            found = finished([*command, *shlex.split(arguments)], folder, surroundings(program, work),
                             options.timeout)
        found.losses = [float(line) for line in losses.read_text().split()] if losses.exists() else []
        if options.keep:
            (work / "printed.txt").write_text(found.printed)
        return found


def clone(repository: str, options: argparse.Namespace) -> Path:
    """The folder of the repository's clone, made where there is none."""
    folder = repository.replace("/", "+")
    if options.clones:
        return options.clones / folder
    made = options.cache / folder
    if not made.exists():
        for command in (["clone", f"https://github.com/{repository}", str(made)],
                        ["-C", str(made), "checkout", "--detach", REPOSITORIES[repository]]):
            subprocess.run(["git", *command], check=True, capture_output=True)
    return made


def surroundings(program: Program, work: Path) -> dict[str, str]:
    """The environment: the stand-ins can be found, sets have one order, figures go to files."""
    python = [str(HERE / "standins"), str(work), os.environ.get("PYTHONPATH", "")]
    return {**os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, python)),
            "PATH": f"{HERE / 'standins'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONHASHSEED": "0",
            "MPLBACKEND": "Agg",
            **({"TRUST_CIFAR": "1"} if "cifar10" in program.data.values() else {})}


def finished(command: list[str], folder: Path, environment: dict[str, str], timeout: float) -> Outcome:
    start = time.perf_counter()
    try:
        run = subprocess.run(command, cwd=folder, env=environment, timeout=timeout, capture_output=True,
                             text=True, errors="replace")
    except subprocess.TimeoutExpired:
        return Outcome([], "", timeout, f"it takes more than {timeout:g} s")
    last = (run.stderr.strip() or "no message").splitlines()[-1]
    failure = f"`{last[:150]}`".replace("|", "/") if run.returncode else ""
    return Outcome([], run.stdout, time.perf_counter() - start, failure)


def losses_apart(theirs: Outcome, ours: Outcome) -> str:
    if theirs.failure or ours.failure:
        return "does not run"
    if len(theirs.losses) != len(ours.losses):
        return f"{len(theirs.losses)} against {len(ours.losses)} of them"
    return f"{max(map(apart, theirs.losses, ours.losses)):.0e}" if ours.losses else "none"


def close(theirs: list[float], ours: list[float]) -> bool:
    return len(theirs) == len(ours) and all(apart(*pair) <= ENOUGH for pair in zip(theirs, ours, strict=True))


def apart(one: float, other: float) -> float:
    """The relative difference of two numbers."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    return abs(one - other) / max(abs(one), SMALLEST)


def printed_apart(theirs: str, ours: str) -> str:
    """The largest relative difference of the numbers in two texts, line by line, and how many there are."""
    texts = [[line for line in re.split(r"[\n\r]+", text) if line and not PASSED_OVER.search(line)]
             for text in (theirs, ours)]
    if len(texts[0]) != len(texts[1]):
        return f"{len(texts[0])} against {len(texts[1])} lines"
    def words(line: str) -> list[str]:
        return NUMBER.sub("#", line).split()

    largest, numbers, others = 0.0, 0, 0
    for one, other in zip(*texts, strict=True):
        if words(one) != words(other):
            others += 1
            continue
        values = [[float(number) for number in NUMBER.findall(line)] for line in (one, other)]
        numbers += len(values[0])
        largest = max([largest, *map(apart, *values)])
    worst = f"{largest:.0e} ({numbers})" if numbers else "none"
    return worst + (f"; {others} lines in other words" if others else "")


if __name__ == "__main__":
    main()
