"""A profile as a file for chrome://tracing and ui.perfetto.dev: Google's Trace Event format.

Modules hold ops, which hold kernels, forward and backward; an arrow leads from an op to its gradient; a counter shows
the memory in use.
"""
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from .events import op_event
from .report import shapes_of
from .study import Span, Study


def trace(study: Study, metadata: dict[str, Any] | None = None) -> dict:
    """The trace as an object for JSON; times are microseconds. `metadata` is added to it."""
    process = os.getpid()
    events = [*_ops(study, process), *(_module(span, process) for span in study.modules), *_backward(study, process),
              *(_kernel(span, process) for span in study.kernels), *_arrows(study, process),
              *({"ph": "C", "name": "memory in use", "cat": "memory", "pid": process, "tid": study.main, "ts": time,
                 "args": {"bytes": total}} for time, total in study.memory_made.series())]
    depths = {"python_function": 0}  # what holds others comes before them, also where they begin and end together
    events.sort(key=lambda event: (event["ts"], -event.get("dur", 0), depths.get(event["cat"], 1), len(event["name"])))
    return {"schemaVersion": 1, "displayTimeUnit": "ms", **(metadata or {}),
            "traceEvents": [*_names(study, events, process), *events]}


def _ops(study: Study, process: int) -> Iterator[dict]:
    for event in study.events:
        found = op_event(event, process)
        if event.module:
            found["args"]["module"] = event.module
        if event.phase == "backward":
            found["args"]["phase"] = "backward"
        yield found


def _module(span: Span, process: int) -> dict:
    return {"ph": "X", "cat": "python_function", "name": f"nn.Module: {span.path}", "pid": process,
            "tid": span.thread, "ts": span.start, "dur": span.end - span.start, "args": {"type": span.name}}


def _backward(study: Study, process: int) -> Iterator[dict]:
    """Gradients that follow each other and belong to one module, as an event that holds them."""
    for thread in {event.thread for event in study.events}:
        open_now: list[tuple[str, Any, Any]] = []  # modules, outermost first: their first and last gradients
        around: Any = None
        for event in [e for e in study.events if e.thread == thread]:
            if event.cpu_parent is not None and not event.cpu_parent.is_user_annotation:
                continue
            names = event.module.split(".") if event.phase == "backward" and event.module else []
            paths = [".".join(names[:n]) for n in range(1, len(names) + 1)]
            same = 0
            while event.cpu_parent is around and same < min(len(paths), len(open_now)) and \
                    open_now[same][0] == paths[same]:
                same += 1
            yield from (_held(*module, process) for module in open_now[same:])
            open_now = [(path, first, event) for path, first, _ in open_now[:same]] + \
                [(path, event, event) for path in paths[same:]]
            around = event.cpu_parent
        yield from (_held(*module, process) for module in open_now)


def _held(path: str, first: Any, last: Any, process: int) -> dict:
    start, end = first.time_range.start, last.time_range.end
    return {"ph": "X", "cat": "python_function", "name": f"nn.Module: {path} (backward)", "pid": process,
            "tid": first.thread, "ts": start, "dur": end - start, "args": {}}


def _kernel(span: Span, process: int) -> dict:
    args: dict[str, Any] = {"version": span.version, "arrays": shapes_of(span.key)}
    if span.cost is not None:
        args |= {"flops": span.cost.flops, "bytes": span.cost.moved}
    return {"ph": "X", "cat": "kernel", "name": span.name, "pid": process, "tid": span.thread, "ts": span.start,
            "dur": span.end - span.start, "args": args}


def _arrows(study: Study, process: int) -> Iterator[dict]:
    """From each op to each of its gradient functions."""
    number = 0
    for event in study.events:
        if event.phase == "backward" and event.forward is not None:
            number += 1
            for kind, end in (("s", event.forward), ("f", event)):
                yield {"ph": kind, "id": number, "cat": "fwdbwd", "name": "fwdbwd", "pid": process,
                       "tid": end.thread, "ts": end.time_range.start, **({"bp": "e"} if kind == "f" else {})}


def _names(study: Study, events: list[dict], process: int) -> Iterator[dict]:
    def name(what: str, thread: int, text: str) -> dict:
        return {"ph": "M", "name": what, "pid": process, "tid": thread, "ts": 0, "args": {"name": text}}

    yield name("process_name", study.main, "minitorch")
    for thread in sorted({event["tid"] for event in events}):
        yield name("thread_name", thread, "main thread" if thread == study.main else f"thread {thread}")
