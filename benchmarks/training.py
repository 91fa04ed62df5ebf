"""Training steps and inference of whole models in minitorch and PyTorch, turn about in this process; peak memory.

    python benchmarks/training.py                          all models (models.py), with 2 threads and with 1
    python benchmarks/training.py cnn52 gpt --threads 1    some models
    python benchmarks/training.py --profile gpt            where minitorch's training step spends its time

A ratio is minitorch's time, or memory, divided by PyTorch's: below 1 is better. See README.md.
"""
from __future__ import annotations

import argparse
import functools
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from bench import turnabout
from models import MODELS, Program, build

INFERENCE_TARGET, MEMORY_TARGET = 0.8, 1.0

# Before it is timed, minitorch's program must compute what PyTorch's does, from the same seed: initial parameters,
# outputs, gradients of the first step, losses of STEPS steps. In float64 the relative difference may be EXACT. In
# float32 it may be TIMES what PyTorch's own float32 differs from its float64 by, and LEAST: batch norm and deep ReLUs
# multiply rounding (PyTorch's third loss of ResNet-20 is off by 6e-4, its first gradients by 7e-3).
STEPS, EXACT, TIMES, LEAST = 5, 1e-6, 3, 1e-5  # minitorch.compile records two steps and replays from the third on

WIDTHS = (-62, 7, 9, 9, 9, 18, 18, 6, -12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="model", help=f"of {', '.join(MODELS)} (all of them)")
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 1])
    parser.add_argument("--seconds", type=float, default=20, help="for each line of the tables")
    parser.add_argument("--json", help="write the results there too")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory table out")
    parser.add_argument("--profile", metavar="MODEL", choices=MODELS)
    parser.add_argument("--memory-of", nargs=2, metavar=("MODEL", "CONTESTANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    for name in options.models:
        if name not in MODELS:
            parser.error(f"no model is named {name!r}: choose from {', '.join(MODELS)}")
    names = options.models or list(MODELS)
    if options.memory_of:
        print(json.dumps(memory(*options.memory_of, options.threads[0])))
        return
    facts = turnabout.machine()
    print(turnabout.heading(facts), end="\n\n")
    if options.profile:
        for threads in options.threads:
            profile(options.profile, threads, options.seconds)
        return
    results: dict[str, Any] = {"machine": facts, "seconds": options.seconds, "training": [], "inference": [],
                               "memory": []}
    turnabout.set_threads(options.threads[0])
    checked = {name: check(name) for name in names}
    for kind, measure in (("training", training), ("inference", inference)):
        print(head(kind))
        for name in names:
            for threads in options.threads:
                goal = MODELS[name].target if kind == "training" else INFERENCE_TARGET
                row = time_row(name, threads, checked[name], measure, goal, options.seconds)
                results[kind].append(row)
                print(time_line(row), flush=True)
        print()
    if not options.no_memory:
        print(head("memory"))
        for name in names:
            results["memory"].append(row := memory_row(name, checked[name], options.threads[0]))
            print(memory_line(row), flush=True)
    turnabout.save(options.json, results)


# Contestants

def contestants(name: str, compiled: bool = True) -> dict[str, Program]:
    """The program in each framework; minitorch's a second time, to be compiled, where it can compile.

    What the model needs and minitorch lacks raises AttributeError or NotImplementedError.
    """
    modules = turnabout.frameworks()
    programs = {framework: build(name, module) for framework, module in modules.items()}
    if compiled and hasattr(modules["minitorch"], "compile"):
        programs["compiled"] = build(name, modules["minitorch"])
    return programs


def framework_of(contestant: str) -> ModuleType:
    """Imports that framework alone: memory is measured without the other."""
    return importlib.import_module("torch" if contestant == "torch" else "minitorch")


def step_of(contestant: str, program: Program) -> Callable[[], Any]:
    """One training step; gives the loss."""
    step, inputs, target = program.step(), program.inputs, program.target
    if contestant == "compiled":
        step = framework_of(contestant).compile(step)
    return functools.partial(step, inputs, target)


def forward_of(contestant: str, program: Program) -> Callable[[], Any]:
    """The model's output without gradients."""
    model, inputs = program.model, program.inputs
    torch = framework_of(contestant)
    if contestant == "compiled":
        model = torch.compile(model)

    def forward(model, inputs):
        with torch.no_grad():
            return model(inputs)

    return functools.partial(forward, model, inputs)


def fallbacks(run: Any) -> list[str]:
    """Why a compiled step or model, the function or an argument of `run`, runs eagerly; nothing where it does not."""
    compiled = next((part for part in (run.func, *run.args) if hasattr(part, "explain")), None)
    return [] if compiled is None else [line for line in compiled.explain().splitlines() if line.startswith("eager")]


def training(name: str) -> dict[str, Callable]:
    return {who: step_of(who, program) for who, program in contestants(name).items()}


def inference(name: str) -> dict[str, Callable]:
    programs = contestants(name)
    for program in programs.values():
        program.model.eval()
    return {who: forward_of(who, program) for who, program in programs.items()}


# Checks

def check(name: str) -> str | None:
    """None where all contestants compute the same, else what differs or is missing."""
    try:
        single = {who: traits(who, program) for who, program in contestants(name).items()}
        double = {who: traits(who, in_float64(program)) for who, program in contestants(name).items()}
    except (AttributeError, NotImplementedError) as error:
        return f"not there: {error}"
    except Exception as error:  # the other models of a long run are still worth having
        return f"FAILED: {type(error).__name__}: {error}"
    judge = "torch" if "torch" in single else "minitorch"
    rounding: dict[str, float] = defaultdict(lambda: LEAST)  # by kind: the same for the gradients of all parameters
    for what in single[judge]:
        kind = what.split()[0]
        rounding[kind] = max(rounding[kind], TIMES * distance(single[judge][what], double[judge][what]))
    for who in single:
        if single[who].keys() != single[judge].keys():
            return f"FAILED: {who}: the names of the parameters are not PyTorch's"
        for what in single[judge]:
            for dtype, found, allowed in (("float32", single, rounding[what.split()[0]]), ("float64", double, EXACT)):
                if not (apart := distance(found[who][what], found[judge][what])) <= allowed:
                    return f"FAILED: {who}: {what} in {dtype}: relative difference {apart:.1e}, allowed {allowed:.1e}"
    return None


def traits(who: str, program: Program) -> dict[str, np.ndarray]:
    """What must agree of programs that started from one seed, by name."""
    model = program.model
    found = {f"initial {key}": p.detach().numpy().copy() for key, p in model.named_parameters()}
    model.eval()
    forward = forward_of(who, program)
    found["output in evaluation mode"] = [forward() for _ in range(STEPS)][-1].numpy().copy()
    model.train()
    framework_of(who).manual_seed(1)  # what dropout draws from
    step = step_of(who, program)
    losses = [step().item()]
    found |= {f"gradient of {key}": p.grad.numpy().copy() for key, p in model.named_parameters()}
    losses += [step().item() for _ in range(1, STEPS)]
    return {**found, f"loss in {STEPS} steps": np.array(losses)}


def in_float64(program: Program) -> Program:
    program.model.double()
    inputs, target = (x.double() if x.is_floating_point() else x for x in (program.inputs, program.target))
    return program._replace(inputs=inputs, target=target)


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The length of the difference, relative to that of `theirs`; inf where the shapes differ."""
    if ours.shape != theirs.shape:
        return np.inf
    apart = float(np.linalg.norm(ours.astype(np.float64) - theirs))
    return apart and apart / float(np.linalg.norm(theirs))


# Time

def time_row(name: str, threads: int, problem: str | None, contest: Callable, goal: float,
             seconds: float) -> dict[str, Any]:
    row: dict[str, Any] = {"model": name, "title": MODELS[name].title, "threads": threads, "target": goal}
    if problem:
        return {**row, "verdict": problem}
    turnabout.set_threads(threads)
    runs = contest(name)
    figures = turnabout.take_turns({who: turnabout.block(run) for who, run in runs.items()}, seconds)
    row["median"] = {who: statistics.median(times) for who, times in figures.items()}
    row["turns"] = len(figures["minitorch"])
    row["notes"] = fallbacks(runs["compiled"]) if "compiled" in runs else []
    if "torch" in figures:
        theirs = figures.pop("torch")
        row["ratios"] = {who: turnabout.ratio(times, theirs) for who, times in figures.items()}
        row["verdict"] = verdict({who: found["ratio"] for who, found in row["ratios"].items()
                                  if who != "compiled" or not row["notes"]}, goal)
    return row


def verdict(ratios: dict[str, float], goal: float) -> str:
    """Which of eager and compiled minitorch meets the target."""
    met = [who for who, value in ratios.items() if value <= goal]
    return "missed" if not met else "met" if "minitorch" in met else "met compiled"


def head(kind: str) -> str:
    title = {"training": "Training step", "inference": "Inference (eval, no_grad)",
             "memory": "Peak memory of training, MiB"}[kind]
    unit = "ratio" if kind == "memory" else "ratio [quartiles]"
    names = [title, "threads", "minitorch", "compiled", "PyTorch", unit, "compiled's", "target", "verdict"]
    return turnabout.header(names, WIDTHS)


def time_line(row: dict[str, Any]) -> str:
    start = [f"{row['model']}: {row['title']}", row["threads"]]
    median, ratios = row.get("median", {}), row.get("ratios", {})
    if not median:
        return turnabout.line(start, WIDTHS) + "  " + row["verdict"]
    cells = [turnabout.duration(median.get(who)) for who in ("minitorch", "compiled", "torch")]
    cells += [turnabout.shown(ratios.get(who)) for who in ("minitorch", "compiled")]
    written = turnabout.line([*start, *cells, row["target"], row.get("verdict", "")], WIDTHS)
    return "\n".join([written, *(f"    compiled runs {note}" for note in row["notes"])])


# Memory

def memory_row(name: str, problem: str | None, threads: int) -> dict[str, Any]:
    """Each contestant's memory, measured in a new process of its own."""
    row: dict[str, Any] = {"model": name, "title": MODELS[name].title, "threads": threads, "target": MEMORY_TARGET}
    if problem:
        return {**row, "verdict": problem}
    modules = turnabout.frameworks()
    row["memory"] = {}
    for who in (*modules, *(["compiled"] if hasattr(modules["minitorch"], "compile") else [])):
        child = subprocess.run([sys.executable, __file__, "--memory-of", name, who, "--threads", str(threads)],
                               capture_output=True, text=True)
        if child.returncode:
            return {**row, "verdict": f"FAILED: {who}: {child.stderr.strip().splitlines()[-1]}"}
        row["memory"][who] = json.loads(child.stdout)
    if "torch" in row["memory"]:
        row["ratios"] = {who: round(used["process"] / row["memory"]["torch"]["process"], 3)
                         for who, used in row["memory"].items() if who != "torch"}
        row["verdict"] = verdict(row["ratios"], MEMORY_TARGET)
    return row


def memory(name: str, who: str, threads: int) -> dict[str, float]:
    """MiB at the peak of training: of the whole process, and above what lay in memory before the first step."""
    framework = framework_of(who)
    if who != "torch":
        importlib.import_module("numba")  # minitorch imports it when it first computes, PyTorch its code at once
    framework.set_num_threads(threads)
    step = step_of(who, build(name, framework))
    before = turnabout.resident()
    turnabout.forget_peak()
    for _ in range(5):
        step()
    return {"steps": round(turnabout.peak() - before, 1), "process": round(turnabout.peak(), 1)}


def memory_line(row: dict[str, Any]) -> str:
    start = [f"{row['model']}: {row['title']}", row["threads"]]
    used, ratios = row.get("memory", {}), row.get("ratios", {})
    if not used or row.get("verdict", "").startswith("FAILED"):
        return turnabout.line(start, WIDTHS) + "  " + row["verdict"]
    growth = ", ".join(f"{'PyTorch' if who == 'torch' else who} {value['steps']:.0f}" for who, value in used.items())
    cells = [f"{used[who]['process']:.0f}" if who in used else "" for who in ("minitorch", "compiled", "torch")]
    cells += [f"{ratios[who]:.2f}" if who in ratios else "" for who in ("minitorch", "compiled")]
    cells += [row["target"], row.get("verdict", "")]
    return turnabout.line([*start, *cells], WIDTHS) + f"  (growth in the steps: {growth})"


# Profile

def profile(name: str, threads: int, seconds: float) -> None:
    """Where minitorch's eager training step spends its time: by op, by module and by kernel."""
    import minitorch

    turnabout.set_threads(threads)
    step = step_of("minitorch", build(name, minitorch))
    plain = turnabout.block(step)()
    step()
    with minitorch.profiler.profile() as measured:
        start, count = time.perf_counter(), 0
        while count < 3 or time.perf_counter() - start < seconds:
            step()
            count += 1
    print(f"{MODELS[name].title}: a step of minitorch with {threads} threads, {turnabout.duration(plain)}; "
          f"here {count} steps\n\n{measured.report()}\n\n{measured.kernels()}\n")


if __name__ == "__main__":
    main()
