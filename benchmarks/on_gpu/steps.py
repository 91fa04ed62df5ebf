"""Training steps on the GPU: the models of ../models.py and ResNet-18, eager and captured, beside PyTorch's ways."""
from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import models
import numpy as np
from bench import turnabout
from models import Entry, Program

from . import contest

STEPS = 3  # of the check
TOLERANCE = 2e-3  # of its losses, relative: the sums of a step are taken in another order
COMPILING = 40  # seconds that torch.compile takes for a model, about
SMALL = ("mlp", "tiny", "cnn44")  # what the GPU is done with before the next call has been made

Row = dict[str, Any]


class Task(NamedTuple):
    """A model, its batch cut to `batch` (None: whole), with `half` in bfloat16 by autocast."""

    name: str
    half: bool = False
    batch: int | None = None


def resnet18(torch: Any) -> Program:
    """ResNet-18 (He et al. 2016) on images of 224 x 224."""
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, before: int, after: int, stride: int):
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
            self.shortcut = nn.Identity() if stride == 1 and before == after else nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

        def forward(self, x: Any) -> Any:
            y = F.relu(self.bn1(self.conv1(x)))
            return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
    blocks = [Block(a, b, 1 if a == b else 2) for a, b in pairwise(widths)]
    net = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
                        *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    rng = np.random.default_rng(0)
    return Program(net, nn.CrossEntropyLoss(), optimizer, torch.from_numpy(models.normal(rng, 64, 3, 224, 224)),
                   torch.from_numpy(rng.integers(0, 1000, 64)))


ENTRIES: dict[str, Entry] = {**models.MODELS, "resnet18": Entry("ResNet-18, 224 x 224, batch 64, SGD momentum", 1.0,
                                                                resnet18)}


def tasks() -> list[Task]:
    return [*map(Task, ENTRIES), Task("gpt", half=True), Task("resnet18", half=True)]


def rows(todo: list[Task], seconds: float) -> Iterator[Row]:
    """For each model: eager and captured steps beside PyTorch's eager one, captured beside its graph of the step; and
    beside torch.compile, for as many as there is time to compile."""
    end, right = time.perf_counter() + seconds, []
    for task in contest.within(todo, seconds):
        try:
            problem = differs(task)
            if problem:
                yield {"section": "training", "title": titled(task), "verdict": "WRONG", "notes": [problem]}
                continue
            right.append(task)
            yield from timed(task, ways(), seconds / len(todo) / 4)
        except Exception as error:
            yield {"section": "training", "title": titled(task), "verdict": "FAILED",
                   "notes": [f"{type(error).__name__}: {contest.first_line(error)}"]}
    for task in right if contest.rival() else []:
        if end - time.perf_counter() > COMPILING:
            yield from timed(task, {"captured": captured, "torch.compile": torch_compiled}, 1)


def titled(task: Task) -> str:
    return ENTRIES[task.name].title + ", bfloat16" * task.half


def timed(task: Task, starts: dict[str, Callable], seconds: float) -> Iterator[Row]:
    """These ways to run the step, turn about, and the rows that compare two of them."""
    runs, notes = {}, []
    for name, start in starts.items():
        try:
            runs[name] = start(task)
        except Exception as error:
            notes.append(f"{name}: {type(error).__name__}: {contest.first_line(error)}")
    measures = {}
    for name, run in runs.items():
        try:
            measures[name] = contest.block(run)
        except Exception as error:
            notes.append(f"{name}: {type(error).__name__}: {contest.first_line(error)}")
    figures = turnabout.take_turns(measures, seconds, contest.TURNS, enough=lambda _: True)
    for ours, theirs, target in (("minitorch", "torch", 1.2 if task.name in SMALL else 1.0),
                                 ("captured", "torch", 0.4 if task.name in SMALL else None),
                                 ("captured", "torch.compile", None), ("captured", "torch graph", None)):
        if ours not in figures or (theirs not in figures and (theirs != "torch" or "torch.compile" in starts)):
            continue
        why = reasons(runs[ours])
        row: Row = {"section": "training", "title": f"{titled(task)}: {ours}", "notes": notes + why,
                    "seconds": {name: float(np.median(figures[name])) for name in (ours, theirs) if name in figures},
                    "spread": {name: contest.spread(figures[name]) for name in (ours, theirs) if name in figures}}
        if theirs in figures:
            row |= {"rival": theirs, **turnabout.ratio(figures[ours], figures[theirs])}
            if target and not why:
                row |= {"target": target, "verdict": "met" if row["ratio"] <= target else "missed"}
        notes = []
        yield row
    if notes:
        yield {"section": "training", "title": titled(task), "notes": notes, "verdict": "FAILED"}


# The ways to run a step

def ways() -> dict[str, Callable[[Task], Callable[[], Any]]]:
    """By name, functions that start one."""
    found: dict[str, Callable[[Task], Callable[[], Any]]] = {"minitorch": eager, "captured": captured}
    if contest.rival():
        found |= {"torch": functools.partial(eager, framework="torch"), "torch graph": torch_graph}
    return found


def eager(task: Task, framework: str = "minitorch") -> Callable[[], Any]:
    program = on_gpu(task, framework)
    return functools.partial(step_of(program, task, framework), program.inputs, program.target)


def captured(task: Task) -> Callable[[], Any]:
    import minitorch

    program = on_gpu(task, "minitorch")
    return functools.partial(minitorch.compile(step_of(program, task, "minitorch")), program.inputs, program.target)


def torch_compiled(task: Task) -> Callable[[], Any]:
    import torch

    program = on_gpu(task, "torch")
    program = program._replace(model=torch.compile(program.model))
    return functools.partial(step_of(program, task, "torch"), program.inputs, program.target)


def torch_graph(task: Task) -> Callable[[], Any]:
    """The whole step as a CUDA graph, as PyTorch's documentation has it, after three steps on another stream."""
    import torch

    program = on_gpu(task, "torch")
    for group in program.optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = True
    step = functools.partial(step_of(program, task, "torch"), program.inputs, program.target)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def reasons(run: Any) -> list[str]:
    """Why a compiled step runs eagerly; nothing where it does not."""
    function = getattr(run, "func", run)
    told = function.explain().splitlines() if hasattr(function, "explain") else []
    return [line for line in told if line.startswith("eager")]


def on_gpu(task: Task, framework: str) -> Program:
    """The program with its parameters, drawn on the CPU from one seed, and its batch on the GPU."""
    torch = importlib.import_module(framework)
    torch.manual_seed(0)
    program = ENTRIES[task.name].build(torch)
    program.model.to("cuda")
    inputs, target = (x[:task.batch].to("cuda") for x in (program.inputs, program.target))
    return program._replace(inputs=inputs, target=target)


def step_of(program: Program, task: Task, framework: str) -> Callable:
    if not task.half:
        return program.step()
    torch, model, loss = importlib.import_module(framework), program.model, program.loss

    def forward(x: Any) -> Any:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return model(x)

    return program._replace(model=forward, loss=lambda y, target: loss(y.float(), target)).step()


# The check

def differs(task: Task) -> str | None:
    """How the losses of the first steps differ from PyTorch's, of float32 without TF32 and without dropout; None where
    they agree. Without PyTorch on the GPU: from minitorch's own on the CPU."""
    from .kernels import precision

    plain = task._replace(half=False)
    with precision("float32"):
        ours = losses(on_gpu(plain, "minitorch"))
        if contest.rival():
            theirs = losses(on_gpu(plain, "torch"))
        else:
            import minitorch

            minitorch.manual_seed(0)
            program = ENTRIES[task.name].build(minitorch)
            theirs = losses(program._replace(inputs=program.inputs[:task.batch], target=program.target[:task.batch]))
    apart = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))
    return None if apart <= TOLERANCE else f"losses {ours} beside {theirs}"


def losses(program: Program) -> list[float]:
    for module in program.model.modules():
        if type(module).__name__ == "Dropout":
            module.p = 0.0
    step = program.step()
    return [step(program.inputs, program.target).item() for _ in range(STEPS)]
