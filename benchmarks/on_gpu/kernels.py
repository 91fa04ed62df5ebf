"""The kernels on the GPU beside PyTorch's, with their share of its rate or of the bandwidth of a copy.

The cases are those of `minitorch bench` (../bench/entries.py), at sizes that fill a GPU.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from bench import judge
from bench.cases import Case, Entry, Source, entries, label
from minitorch_kernels import costs, kernels

from . import contest

Row = dict[str, Any]


class Task(NamedTuple):
    """An entry at a shape, computed with a type; "tf32" is float32 that tensor cores may round."""

    kernel: str
    shape: tuple
    kind: str = "float32"
    place: int = 0  # among the entries of that kernel
    target: float | None = None
    last: bool = False  # also beside PyTorch's layout with the channels last


# Sections

SQUARES = [(4096, 4096, 4096), (8192, 8192, 8192)]
LINEAR = [(2048, 256, 1024), (64, 1000, 500), (16384, 4096, 4096)]
# (N, C, size, O, window, padding, stride) of ResNet-18 at 224 x 224, batch 64
RESNET18 = [(64, 3, 224, 64, 7, 3, 2), (64, 64, 56, 64, 3, 1, 1), (64, 64, 56, 128, 3, 1, 2),
            (64, 128, 28, 128, 3, 1, 1), (64, 128, 28, 256, 3, 1, 2), (64, 256, 14, 256, 3, 1, 1),
            (64, 256, 14, 512, 3, 1, 2), (64, 512, 7, 512, 3, 1, 1), (64, 64, 56, 128, 1, 0, 2),
            (64, 128, 28, 256, 1, 0, 2), (64, 256, 14, 512, 1, 0, 2)]
ROWS, MAPS, FLAT = (16384, 2048), (64, 64, 80, 80), (1 << 25,)  # 128 MiB and more of float32: twice the L2 cache
RECURRENT = (16, 64, 256, 512)  # batch, steps, inputs, units of LSTM and GRU
ATTENTION = [(8, 256, 8, 32), (4, 1024, 12, 64), (8, 2048, 16, 64)]


def products() -> list[Task]:
    return [*(Task("matmul", s, kind, place) for s in SQUARES[:1] for kind in ("float32", "tf32", "bfloat16")
              for place in range(4)),
            *(Task("matmul", SQUARES[1], kind) for kind in ("tf32", "bfloat16", "float16")),
            *(Task(kernel, s, kind) for s in LINEAR for kernel in ("linear", "linear_relu")
              for kind in ("float32", "bfloat16"))]


def convolutions() -> list[Task]:
    return [Task(kernel, s, kind, target=0.6, last=True) for s in RESNET18
            for kernel in ("conv2d", "conv2d_dx", "conv2d_dw") for kind in ("bfloat16", "tf32")]


def memory() -> list[Task]:
    """What is bound by memory: a share of the bandwidth of a copy is to be reached."""
    rows = ("softmax", "softmax_dx", "log_softmax", "layer_norm", "layer_norm_backward", "rms_norm",
            "rms_norm_backward", "cross_entropy")
    maps = ("batch_norm", "batch_norm_backward", "batch_norm_apply", "group_norm", "group_norm_backward", "max_pool")
    flat = ("add", "exp", "gelu", "gelu_dx", "relu_dx", "where")
    optimizers = [("sgd_steps", 0), ("adam_steps", 0), ("adam_steps", 2), ("adam_steps", 1)]  # SGD, Adam, AdamW, small
    return [*(Task(k, ROWS, kind, target=0.85) for k in rows for kind in ("float32", "bfloat16")),
            *(Task(k, MAPS, "float32", target=0.85) for k in maps), *(Task(k, FLAT) for k in flat),
            Task("dropout", FLAT), Task("dropout", FLAT, place=1),
            *(Task(k, FLAT if place != 1 else (), place=place, target=0.85 if place != 1 else None)
              for k, place in optimizers)]


def sequences() -> list[Task]:
    """Attention, and recurrent layers."""
    return [*(Task(kernel, s, kind) for s in ATTENTION for kernel in ("attention", "attention_backward")
              for kind in ("bfloat16", "float32")),
            *(Task(kernel, RECURRENT, place=place) for place in (1, 2)
              for kernel in ("recurrent", "recurrent_backward"))]


SECTIONS: dict[str, Callable[[], list[Task]]] = {"products": products, "convolutions": convolutions, "memory": memory,
                                                 "sequences": sequences}


def rows(section: str, tasks: list[Task], seconds: float) -> Iterator[Row]:
    """A row for each task, as it is done. An error is its row's, and the next task goes on."""
    copy = bandwidth() if section == "memory" else None
    if copy:
        yield {"title": "copy from device to device, 1 GiB", "section": section, "bytes/s": copy}
    for task in contest.within(tasks, seconds):
        try:
            yield {"section": section, **run(task, seconds / len(tasks) / 3, copy)}
        except Exception as error:
            yield {"section": section, "title": f"{task.kernel} {task.shape} {task.kind}", "verdict": "FAILED",
                   "notes": [f"{type(error).__name__}: {contest.first_line(error)}"]}


def run(task: Task, seconds: float, copy: float | None = None) -> Row:
    """Check a task, and time it."""
    entry = [e for e in entries() if e.kernel == task.kernel][task.place]
    case, torch = entry.make(*task.shape), contest.rival()
    given = arguments(task.kernel, task.place, task.shape)
    with precision(task.kind):
        ours = started("minitorch", case, entry, given, task.kind)
        runs = {contest.OURS: ours}
        if torch and (case.theirs or case.program):
            runs["torch"] = started("torch", case, entry, given, task.kind)
            if task.last:
                runs["torch, channels last"] = started("torch", case, entry, given, task.kind, last=True)
        made = ours()
        title = f"{task.kernel} {case.label or label(given)}, {task.kind}"
        error = contest.error(made, wanted(entry, case, given, task.kind))
        if not error <= tolerance(case, task.kind) and task.kernel != "dropout":  # which may draw other numbers
            return {"title": title, "error": error, "verdict": "WRONG"}
        row = contest.contest(title, runs, seconds, error=error)
    return row | rates(task, row, *cost(entry, case, given, made, task.kind), copy)


@functools.lru_cache(maxsize=1)
def arguments(kernel: str, place: int, shape: tuple) -> tuple:
    """A case's arrays, on the CPU; those of the last one are kept, for it comes with another type next."""
    entry = [e for e in entries() if e.kernel == kernel][place]
    return entry.make(*shape).arguments(Source(1))


def rates(task: Task, row: Row, flops: float, moved: float, copy: float | None) -> Row:
    """What it computes or moves in a second, and the share: of the copy's bandwidth, or of the rival's rate."""
    taken = row.get("seconds", {}).get(contest.OURS)
    if not taken:
        return {}
    share = moved / taken / copy if copy else 1 / row["ratio"] if "ratio" in row else None
    found: Row = {"bytes/s": moved / taken} if copy else {"flop/s": flops / taken}
    if share is not None:
        found["share"] = round(share, 3)
    if task.target and share is not None:
        found |= {"target": task.target, "verdict": "met" if share >= task.target else "missed"}
    return found


def started(framework: str, case: Case, entry: Entry, given: tuple, kind: str, last: bool = False) -> Callable[[], Any]:
    """A function without arguments that does the task on the GPU in that framework."""
    torch = __import__(framework)
    tensors = put(torch, given, kind, last)
    if case.program:
        torch.manual_seed(0)
        return case.program(torch, *tensors)
    if framework == "torch":
        theirs = functools.partial(case.theirs, torch, *tensors)
        with torch.device("cuda"):  # for the tensors whose shapes alone PyTorch reads: they are made once
            theirs()
        return theirs
    import cupy

    return functools.partial(getattr(kernels(cupy), entry.kernel), *bare(tensors))


def put(torch: Any, value: Any, kind: str, last: bool = False, depth: int = 0) -> Any:
    """`value` with a tensor on the GPU for each array, strides kept; floats in the type of `kind`, but for statistics,
    which are float32 and come in tuples of their own."""
    if isinstance(value, tuple):
        return tuple(put(torch, item, kind if depth == 0 else "float32", last, depth + 1) for item in value)
    if not isinstance(value, np.ndarray):
        return value
    turned = value.ndim == 2 and value.flags.f_contiguous and not value.flags.c_contiguous
    t = torch.from_numpy(np.ascontiguousarray(value.T if turned else value)).to("cuda")
    if value.dtype == np.float32 and kind in ("bfloat16", "float16"):
        t = t.to(getattr(torch, kind))
    if last and value.ndim == 4:
        t = t.contiguous(memory_format=torch.channels_last)
    return t.t() if turned else t


def bare(value: Any) -> Any:
    """The arrays of minitorch's tensors."""
    if isinstance(value, tuple):
        return tuple(map(bare, value))
    return value._array if hasattr(value, "_array") else value


def wanted(entry: Entry, case: Case, given: tuple, kind: str) -> Any:
    """The results by PyTorch in float32, of arguments rounded to `kind`; without it by NumPy on the CPU."""
    torch = contest.rival()
    with precision("float32"):
        if torch and (case.theirs or case.program):
            tensors = put(torch, given, kind)
            tensors = tuple(t.float() if torch.is_tensor(t) and t.is_floating_point() else t for t in tensors)
            if case.program:
                torch.manual_seed(0)
                return case.program(torch, *tensors)()
            with torch.device("cuda"):
                return case.theirs(torch, *tensors)
        return judge.expected(entry, case, given)[0]


def tolerance(case: Case, kind: str) -> float:
    return max(contest.TOLERANCES.get(kind, 0), case.tolerance)


def cost(entry: Entry, case: Case, given: tuple, made: Any, kind: str) -> tuple[float, float]:
    """The operations and bytes that the result needs."""
    size = 2 if kind in ("bfloat16", "float16") else 4
    if case.numbers is not None:
        return case.flops or 0, case.numbers * size
    results = None if case.changes else tuple(a.astype("float32") if a.itemsize == 2 else a
                                              for a in contest.arrays(made))
    found = costs.cost(entry.kernel, given, results)  # `given` is float32 still
    return case.flops or found.flops, found.moved * size / 4


class precision:
    """`with precision("tf32"):` both frameworks may use tensor cores for float32; else neither may."""

    def __init__(self, kind: str):
        self.allowed = kind == "tf32"

    def __enter__(self) -> None:
        self.before = [(place, place.allow_tf32) for place in places()]
        for place, _ in self.before:
            place.allow_tf32 = self.allowed

    def __exit__(self, *exception: Any) -> None:
        for place, before in self.before:
            place.allow_tf32 = before


def places() -> list[Any]:
    """What says in each framework whether float32 may be rounded to TF32: products, convolutions."""
    import minitorch

    return [place for torch in (minitorch, contest.rival()) if torch
            for place in (torch.backends.cuda.matmul, torch.backends.cudnn)]


def bandwidth(size: int = 1 << 30, turns: int = 10) -> float:
    """Bytes a second that a copy from device to device reads and writes."""
    import cupy

    a = cupy.zeros(size // 4, "float32")
    b = cupy.empty_like(a)
    measure = contest.block(lambda: cupy.copyto(b, a))
    return 2 * a.nbytes / min(measure() for _ in range(turns))
