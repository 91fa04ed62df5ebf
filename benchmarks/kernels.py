"""Every fast kernel at the sizes of real models: its rate, its share of this machine's limit, and PyTorch's rate.

    python benchmarks/kernels.py                      all families
    python benchmarks/kernels.py matmul conv --threads 1
    python benchmarks/kernels.py conv --only conv2d_dw

The entries are in cases.py, how the limits are measured is in minitorch_kernels/limits.py; README.md explains the table.
"""
from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import turnabout
from cases import CASES, FAMILIES, Case, Source
from minitorch_kernels import blas, kernels, table
from minitorch_kernels.limits import limits

BLOCK = 0.1  # seconds: on two threads it takes the system some milliseconds to spread them over the cores
WIDTHS = (-25, -52, -9, 8, 13, 6, -10, -7, 18, 6, -7)
HEAD = ("kernel", "arrays, or what is run", "version", "time", "rate", "share", "of", "rival", "times its rate",
        "target", "verdict")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="family", help=f"of {', '.join(FAMILIES)} (all of them)")
    parser.add_argument("--only", nargs="+", metavar="KERNEL", help="these kernels of the families")
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 1])
    parser.add_argument("--seconds", type=float, default=1, help="for each line of the table")
    parser.add_argument("--json", help="write the results there too")
    options = parser.parse_args()
    for name in options.families:
        if name not in FAMILIES:
            parser.error(f"no family is named {name!r}: choose from {', '.join(FAMILIES)}")
    chosen = [case for case in CASES if case.family in (options.families or FAMILIES)
              and case.kernel in (options.only or [case.kernel])]
    facts = turnabout.machine()
    print(turnabout.heading(facts))
    results: dict[str, Any] = {"machine": facts, "seconds": options.seconds, "limits": {}, "kernels": []}
    for threads in options.threads:
        with using(threads):
            found = limits(threads)
            results["limits"][threads] = found.results()
            print(f"\n{threads} thread{'s' * (threads > 1)}. {found}\n\n{turnabout.header(HEAD, WIDTHS)}")
            for case in chosen:
                results["kernels"].append(row := measured(case, threads, options.seconds))
                print(shown(row), flush=True)
    if missing := [name for name in fast() if name not in {case.kernel for case in CASES}]:
        print(f"\nfast kernels without an entry in cases.py: {', '.join(missing)}")
    turnabout.save(options.json, results)


@contextlib.contextmanager
def using(threads: int) -> Iterator[None]:
    """Both frameworks, and NumPy's BLAS when it is called directly, on so many threads."""
    turnabout.set_threads(threads)
    control = getattr(blas, "_control", None)
    before = control and control.get()
    if control:
        control.set(threads)
    try:
        yield
    finally:
        if control:
            control.set(before)


def fast() -> list[str]:
    """The kernels that have a version for the CPU which Numba compiles."""
    return [name for name in table.names() if any(v.backend == "numba" for v in table.get(name).versions)]


def measured(case: Case, threads: int, seconds: float) -> dict[str, Any]:
    row: dict[str, Any] = {"family": case.family, "kernel": case.kernel, "threads": threads, "target": case.target}
    try:
        chosen = {} if case.version == "auto" else {case.kernel: case.version}
        with table.use(**chosen):
            return {**row, **(beside(case, seconds, threads))}
    except Exception as error:  # the other lines of a long run are still worth having
        return {**row, "label": case.label, "verdict": f"FAILED: {type(error).__name__}: {error}"}


def beside(case: Case, seconds: float, threads: int) -> dict[str, Any]:
    """Minitorch's run of the case checked, then timed turn about with its rivals; all that a line of the table says."""
    modules = turnabout.frameworks()
    arguments = case.arguments(Source())
    runs, kept = contestants(case, arguments, modules)
    results = {who: arrays(run()) or arrays(arguments) for who, run in runs.items()}  # None: it changes its arguments
    judge = "PyTorch" if "PyTorch" in results else None
    expected = results[judge] if judge else reference(case)
    row: dict[str, Any] = {"label": case.label or label(arguments), "version": version(case, arguments)}
    if expected and (apart := difference(results["minitorch"], expected)) > case.tolerance:
        return {**row, "verdict": f"FAILED: differs by {apart:.1e}, allowed {case.tolerance:.0e}"}
    read, written = (sum(a.nbytes for a in found) for found in (arrays(arguments), results["minitorch"]))
    moved = read + written if case.moved is None else case.moved
    pattern = case.pattern or ("read" if written < read / 10 else "write")
    del results, expected
    measures = {who: turnabout.block(run, BLOCK) for who, run in runs.items()}
    figures = turnabout.take_turns(measures, seconds)
    del kept
    median = {who: statistics.median(times) for who, times in figures.items()}
    least, bound = limits(threads).seconds(case.flops, moved, pattern)
    ours = figures.pop("minitorch")
    row |= {"seconds": median, "bound": bound, "share": round(least / median["minitorch"], 3),
            "GFLOP/s": round(case.flops / median["minitorch"] / 1e9, 2),
            "GB/s": round(moved / median["minitorch"] / 1e9, 2)}
    if figures:
        rival = min(figures, key=lambda who: median[who])
        row |= {"against": rival, **turnabout.ratio(figures[rival], ours)}
        if case.target:
            row["verdict"] = "met" if row["ratio"] >= case.target else "missed"
    return row


def contestants(case: Case, arguments: tuple, modules: dict[str, Any]) -> tuple[dict[str, Callable], Any]:
    """Functions without arguments by name; and what must live as long as they do."""
    if case.program:
        runs = {}
        for who, module in modules.items():
            module.manual_seed(0)
            runs["PyTorch" if who == "torch" else who] = case.program(module, *tensors(module, arguments))
        return runs, None
    kernel = getattr(kernels(np), case.kernel)
    runs = {"minitorch": lambda: kernel(*arguments)}
    if case.theirs and "torch" in modules:
        theirs, torch, given = case.theirs, modules["torch"], tensors(modules["torch"], arguments)
        runs["PyTorch"] = lambda: theirs(torch, *given)
    if case.kernel == "matmul":
        runs["NumPy"] = lambda: np.matmul(*arguments)
    return runs, arguments


def reference(case: Case) -> list[np.ndarray]:
    """What to compare with where PyTorch is missing."""
    if case.program:
        return []
    arguments = case.arguments(Source())
    return arrays(table.get(case.kernel)(np, *arguments)) or arrays(arguments)


def tensors(module: Any, value: Any) -> Any:
    """`value` with a tensor, of its own memory but the same strides, for each array."""
    if isinstance(value, tuple):
        return tuple(tensors(module, item) for item in value)
    return module.from_numpy(value.copy(order="K")) if isinstance(value, np.ndarray) else value


def arrays(value: Any) -> list[np.ndarray]:
    """All arrays and tensors within `value`, as arrays; None and plain numbers are left out."""
    if isinstance(value, (tuple, list)):
        return [a for item in value for a in arrays(item)]
    if isinstance(value, (np.ndarray, np.generic)):
        return [np.asarray(value)]
    return [value.detach().numpy().copy()] if hasattr(value, "detach") else []


def difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest difference of the results that both have, relative to the largest number of each."""
    apart = [0.0]
    for a, b in zip(ours, theirs):
        if a.shape != b.shape:
            return np.inf
        largest = np.abs(b).max(initial=0)
        apart.append(float(np.abs(a - b).max(initial=0) / (largest or 1)))
    return float(np.max(apart))


def label(arguments: tuple) -> str:
    """The shapes of arrays, and other arguments that are texts or whole numbers."""
    words = [a if isinstance(a, str) else "x".join(map(str, a.shape)) or "scalar"
             for a in arguments if isinstance(a, (str, np.ndarray))]
    return ", ".join(words)


def version(case: Case, arguments: tuple) -> str:
    """The version of the kernel that runs."""
    if case.program:
        return ""
    lines = table.explain(case.kernel, *arguments).splitlines()[1:]
    return next(line.split()[0] for line in lines if line.split(maxsplit=1)[1].startswith("runs"))


def shown(row: dict[str, Any]) -> str:
    start = [row["kernel"], row["label"], row.get("version", "")]
    if "seconds" not in row:
        return turnabout.line(start, WIDTHS) + "  " + row["verdict"]
    rate = f"{row['GFLOP/s']:.0f} GFLOP/s" if row["bound"] == "arithmetic" else f"{row['GB/s']:.0f} GB/s"
    return turnabout.line([*start, turnabout.duration(row["seconds"]["minitorch"]), rate, f"{row['share']:.0%}",
                           row["bound"], row.get("against", ""), turnabout.shown(row if "ratio" in row else None),
                           row["target"] or "", row.get("verdict", "")], WIDTHS)


if __name__ == "__main__":
    main()
