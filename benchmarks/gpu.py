"""minitorch on a GPU beside PyTorch: the tests, the kernels and whole training steps, in less than eight minutes.

    python benchmarks/gpu.py                        everything; the table goes to results/gpu.json, too
    python benchmarks/gpu.py products sequences     some sections

Each section runs in a process of its own and has its share of the time, so what fails or hangs in one leaves the others
their figures. Nothing is timed before it has computed what PyTorch computes. See README.md for how time is taken.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import turnabout

HERE = Path(__file__).resolve().parent
SHARES = {"tests": 0.28, "products": 0.06, "convolutions": 0.16, "memory": 0.14, "sequences": 0.06, "training": 0.3}
START = 15  # seconds for a process to import both frameworks and wake the GPU, which are its section's own
WIDTHS = (-78, 9, 9, -20, 17, 10, 6, 8, -8)
HEAD = ("", "minitorch", "rival", "is", "ratio [quartiles]", "rate", "share", "error", "verdict")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"of {', '.join(SHARES)} (all of them)")
    parser.add_argument("--seconds", type=float, default=450, help="for everything")
    parser.add_argument("--json", default=str(HERE / "results" / "gpu.json"), help="where the results are written")
    parser.add_argument("--child", nargs=2, metavar=("SECTION", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in options.sections:
        if name not in SHARES:
            parser.error(f"no section is named {name!r}: choose from {', '.join(SHARES)}")
    problem = no_gpu()
    if problem:
        print(f"gpu.py: {problem}")
        return 1
    if options.child:
        section, file = options.child
        with open(file, "a", encoding="utf-8") as out:
            for row in rows(section, options.seconds):
                print(line(row), flush=True)
                print(json.dumps(row), file=out, flush=True)
        return 0
    facts = machine()
    print(f"{facts['gpu']}, driver {facts['driver']}\n{turnabout.heading(facts)}\n\n"
          f"{turnabout.header(HEAD, WIDTHS)}", flush=True)
    results: dict[str, Any] = {"machine": facts, "rows": []}
    for name, row in everything(options.sections or list(SHARES), options.seconds):
        results["rows"].append({"section": name, **row})
        turnabout.save(options.json, results)
    print(f"\n{summary(results['rows'])}")
    return 0


def everything(sections: list[str], seconds: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of all sections, each run by a process of its own; what a section leaves of its time is the next's."""
    total, start, until = sum(SHARES[name] for name in sections), time.perf_counter(), 0.0
    for name in sections:
        until += seconds * SHARES[name] / total
        left = max(START + 5.0, until - (time.perf_counter() - start))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows"
            file.touch()
            command = [sys.executable, __file__, "--child", name, str(file), "--seconds", str(left - START)]
            try:
                done = subprocess.run(command, timeout=left + START, stderr=subprocess.PIPE, text=True)
                problem = "" if done.returncode == 0 else last_line(done.stderr) or f"exit code {done.returncode}"
            except subprocess.TimeoutExpired:
                problem = f"took longer than {left + START:.0f} s"
            for text in file.read_text("utf-8").splitlines():
                yield name, json.loads(text)
        if problem:
            row = {"title": name, "verdict": "FAILED", "notes": [problem]}
            print(line(row), flush=True)
            yield name, row


def rows(section: str, seconds: float) -> Iterator[dict[str, Any]]:
    """The rows of one section, as they are done."""
    if section == "tests":
        yield from tests(sorted((HERE.parent / "tests" / "gpu").glob("test_*.py")), seconds)
        return
    from on_gpu import contest, kernels, steps

    torch = contest.rival()
    if torch:
        torch.backends.cudnn.benchmark = True  # the fastest of its algorithms, by trial
    if section == "training":
        yield from steps.rows(steps.tasks(), seconds)
    else:
        yield from kernels.rows(section, kernels.SECTIONS[section](), seconds)


def tests(files: list[Path], seconds: float) -> Iterator[dict[str, Any]]:
    """The tests that are marked gpu, all files at once, since they wait for compilers and not for the GPU.

    Each file has a process, which does not live on after an error on the GPU. What nvcc says is left out.
    """
    end = time.perf_counter() + seconds
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "--tb=line", "-p", "no:cacheprovider"]
    running = {file: subprocess.Popen([*command, str(file)], cwd=HERE.parent, text=True, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT) for file in files if file.name != "test_cubins.py"}
    for file, process in running.items():
        try:
            told = process.communicate(timeout=max(1.0, end - time.perf_counter()))[0]
        except subprocess.TimeoutExpired:
            process.kill()
            told = process.communicate()[0] + "\nthe time is over"
        verdict = {0: "passed", 5: "none"}.get(process.returncode, "FAILED")
        yield {"section": "tests", "title": f"{file.name}: {last_line(told)}", "verdict": verdict,
               "notes": [text for text in told.splitlines() if text.startswith(("FAILED", "ERROR"))]}


def no_gpu() -> str | None:
    """Why nothing can be measured here, or None."""
    try:
        import cupy
    except ImportError:
        return "CuPy is not installed: pip install cupy-cuda13x"
    return None if cupy.is_available() else "CuPy finds no GPU here, so there is nothing to measure"


def machine() -> dict[str, Any]:
    """What the figures are measured on and with."""
    import cupy

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    facts = turnabout.machine()
    facts["versions"]["cupy"] = cupy.__version__
    facts["versions"]["cuda"] = number(runtime.runtimeGetVersion())
    return {**facts, "gpu": properties["name"].decode(), "driver": number(runtime.driverGetVersion()),
            "multiprocessors": properties["multiProcessorCount"], "memory": properties["totalGlobalMem"]}


def number(version: int) -> str:
    """
    >>> number(13010)
    '13.1'
    """
    return f"{version // 1000}.{version % 1000 // 10}"


def line(row: dict[str, Any]) -> str:
    """A row of the table, and its notes below it."""
    seconds = row.get("seconds", {})
    rival = row.get("rival", "")
    ours = next((value for name, value in seconds.items() if name != rival), None)
    rate = f"{row['flop/s'] / 1e12:.1f} TF/s" if "flop/s" in row else \
        f"{row['bytes/s'] / 1e9:.0f} GB/s" if "bytes/s" in row else ""
    cells = [row["title"], turnabout.duration(ours), turnabout.duration(seconds.get(rival)), rival,
             turnabout.shown(row if "ratio" in row else None), rate, f"{row['share']:.2f}" if "share" in row else "",
             f"{row['error']:.0e}" if "error" in row else "", row.get("verdict", "")]
    return "\n".join([turnabout.line(cells, WIDTHS), *(f"    {note}" for note in row.get("notes", []))])


def summary(found: list[dict[str, Any]]) -> str:
    """How many rows met their targets, and what went wrong."""
    verdicts = [row.get("verdict") for row in found]
    parts = [f"{verdicts.count(word)} {word}" for word in ("met", "missed", "passed", "WRONG", "FAILED")
             if word in verdicts]
    return f"{len(found)} rows: {', '.join(parts)}"


def last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


if __name__ == "__main__":
    sys.exit(main())
