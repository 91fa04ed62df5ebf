"""Events of a profile, their sums by name, and the table of these."""
from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable
from typing import Any

WIDTH = 12  # of a column of numbers


class Interval:
    """From `start` to `end`, in microseconds."""

    def __init__(self, start: float = 0.0, end: float = 0.0):
        self.start, self.end = start, end

    def elapsed_us(self) -> float:
        """The length."""
        return self.end - self.start


class _Figures:
    """What single events and their sums have in common; times are in microseconds, memory in bytes."""

    count: int
    cpu_time_total: float
    self_cpu_time_total: float
    cpu_memory_usage: int
    self_cpu_memory_usage: int
    flops: int
    device_time_total = self_device_time_total = cuda_time_total = self_cuda_time_total = 0.0
    device_memory_usage = self_device_memory_usage = cuda_memory_usage = self_cuda_memory_usage = 0
    device_time = cuda_time = 0.0
    node_id = -1
    use_device = None
    is_async = is_remote = is_legacy = False

    @property
    def cpu_time(self) -> float:
        """Of one call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    cpu_time_str = property(lambda self: format_time(self.cpu_time))
    cpu_time_total_str = property(lambda self: format_time(self.cpu_time_total))
    self_cpu_time_total_str = property(lambda self: format_time(self.self_cpu_time_total))


class FunctionEvent(_Figures):
    """One run of an op, of a node's gradient function, or of a `record_function` block."""

    count = 1

    def __init__(self, name: str, thread: int = 0, cpu_parent: FunctionEvent | None = None,
                 is_user_annotation: bool = False):
        self.name = self.key = self.trace_name = name
        self.thread, self.cpu_parent, self.is_user_annotation = thread, cpu_parent, is_user_annotation
        self.time_range = Interval()
        self.cpu_children: list[FunctionEvent] = []
        self.input_shapes: list = []
        self.stack: list[str] = []
        self.flops = self.self_cpu_memory_usage = 0
        self.op, self.module, self.phase = "", "", "forward"  # what runs, for which module, forward or backward
        self.forward: FunctionEvent | None = None  # of gradient functions: the op that made their node
        self.made = self.own = 0  # bytes; nanoseconds within that the profiler itself took
        if cpu_parent is not None:
            cpu_parent.cpu_children.append(self)

    def close(self) -> None:
        """Sum up, once it and all within it have ended."""
        within = self.cpu_children
        self.cpu_time_total = self.time_range.elapsed_us()
        self.self_cpu_time_total = self.cpu_time_total - sum(e.cpu_time_total for e in within)
        self.cpu_memory_usage = self.self_cpu_memory_usage if not self.is_user_annotation else 0
        inner = sum(e.cpu_memory_usage for e in within)
        self.cpu_memory_usage = max(self.cpu_memory_usage, inner)  # an op hands on what one within it has made
        self.self_cpu_memory_usage = self.cpu_memory_usage - inner

    @property
    def time(self) -> float:
        """Seconds, without what the profiler itself took."""
        return max(self.time_range.elapsed_us() * 1e-6 - self.own * 1e-9, 0.0)

    @property
    def self_time(self) -> float:
        """Without the events within it."""
        return max(self.time - sum([e.time for e in self.cpu_children]), 0.0)

    def __repr__(self) -> str:
        return f"<FunctionEvent name={self.name} cpu_time={self.cpu_time_total_str} thread={self.thread}>"


class FunctionEventAvg(_Figures):
    """All events of one name (and shapes, and callers, where these are told apart) together."""

    def __init__(self, like: FunctionEvent | None = None):
        self.key = self.name = like.key if like else "Total"
        self.input_shapes = like.input_shapes if like else []
        self.stack = like.stack if like else []
        self.is_user_annotation = like is not None and like.is_user_annotation
        self.cpu_parent = like.cpu_parent if like else None
        self.count = self.cpu_memory_usage = self.self_cpu_memory_usage = self.flops = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0

    def add(self, event: Any) -> FunctionEventAvg:
        """Add an event, or a sum of some."""
        self.count += event.count
        self.self_cpu_time_total += event.self_cpu_time_total
        self.self_cpu_memory_usage += event.self_cpu_memory_usage
        self.cpu_memory_usage += event.cpu_memory_usage
        self.cpu_time_total += event.cpu_time_total
        self.flops += event.flops
        return self

    __iadd__ = add

    def __repr__(self) -> str:
        return (f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
                f"cpu_time={self.cpu_time_str} count={self.count}>")


class EventList(list):
    """Events, or sums of them."""

    def __init__(self, events: Iterable = (), profile_memory: bool = False, with_flops: bool = False, **ignored: Any):
        super().__init__(events)
        self._profile_memory, self._with_flops = profile_memory, with_flops

    def key_averages(self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0,
                     group_by_overload_name: bool = False) -> EventList:
        """The sums by name, and by the shapes of the inputs or the innermost callers where that is asked for."""
        sums: dict[tuple, FunctionEventAvg] = {}
        for event in self:
            key = (event.key, event.is_user_annotation, str(event.input_shapes) if group_by_input_shapes else "",
                   *event.stack[:group_by_stack_n])
            if key not in sums:
                found = sums[key] = FunctionEventAvg(event)
                found.stack = event.stack[:group_by_stack_n]
                if not group_by_input_shapes:
                    found.input_shapes = []
            sums[key].add(event)
        return self._like(sums.values())

    def total_average(self) -> FunctionEventAvg:
        """All together."""
        total = FunctionEventAvg()
        for event in self:
            total.add(event)
        return total

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds in all."""
        return sum(event.self_cpu_time_total for event in self)

    def table(self, sort_by: str | None = None, row_limit: int = 100, max_src_column_width: int = 75,
              max_name_column_width: int | None = 55, max_shapes_column_width: int | None = 80,
              header: str | None = None, top_level_events_only: bool = False, time_unit: str | None = None) -> str:
        """A row for each event, the largest first by the attribute `sort_by` ("cpu_time_total", "count", ...)."""
        if not self:
            return ""
        events = self._like(e for e in self if not (top_level_events_only and e.cpu_parent is not None))
        if sort_by is not None:
            events.sort(key=lambda event: getattr(event, sort_by), reverse=True)
        total = self.self_cpu_time_total
        cut = max_name_column_width
        columns = [("Name", ">", lambda e: e.key if cut is None or len(e.key) < cut - 3 else e.key[:cut - 3] + "...",
                    max(len(e.key) for e in self) + 4 if cut is None else min(max(len(e.key) for e in self) + 4, cut)),
                   *((name, ">", show, WIDTH) for name, show in _times(total, time_unit))]
        if self._profile_memory:
            columns += [("CPU Mem", ">", lambda e: format_memory(e.cpu_memory_usage), WIDTH),
                        ("Self CPU Mem", ">", lambda e: format_memory(e.self_cpu_memory_usage), WIDTH)]
        columns.append(("# of Calls", ">", lambda e: str(e.count), WIDTH))
        if any(e.input_shapes for e in self):
            widest = max(len(str(e.input_shapes)) for e in self) + 4
            width = widest if max_shapes_column_width is None else min(widest, max_shapes_column_width)
            columns.append(("Input Shapes", ">", lambda e: str(e.input_shapes)[:width], width))
        if any(e.stack for e in self):
            columns.append(("Source Location", "<", lambda e: e.stack[0][-max_src_column_width:] if e.stack else "",
                            max_src_column_width))
        counted = [e.flops for e in self if e.flops > 0]
        if self._with_flops and counted:
            power = min(int(math.log10(min(counted)) / 3), 5)
            columns.append((f"Total {('', 'K', 'M', 'G', 'T', 'P')[power]}FLOPs", ">",
                            lambda e: f"{e.flops / 1000 ** power:.3f}" if e.flops > 0 else "--", WIDTH))
        return _drawn(columns, events[:row_limit] if row_limit >= 0 else events, header, top_level_events_only) + \
            f"Self CPU time total: {_in_unit(total, time_unit)}\n"

    def export_chrome_trace(self, path: str) -> None:
        """Write a file for chrome://tracing or Perfetto."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"schemaVersion": 1, "traceEvents": [op_event(e, os.getpid()) for e in self]}, file)

    def export_stacks(self, path: str, metric: str) -> None:
        """Write the callers' stacks with their times, a line each, for flame graphs. `metric`: self_cpu_time_total."""
        if metric not in ("self_cpu_time_total", "self_cuda_time_total", "self_xpu_time_total"):
            raise ValueError("metric should be one of: ['self_cpu_time_total', 'self_cuda_time_total', "
                             f"'self_xpu_time_total'], got {metric}")
        with open(path, "w", encoding="utf-8") as file:
            for event in self:
                time = int(getattr(event, metric, 0))
                if event.stack and time > 0:
                    lines = [line.replace(" ", "_").replace(";", "_") for line in reversed(event.stack)]
                    file.write(f"{';'.join(lines)} {time}\n")

    def _like(self, events: Iterable) -> EventList:
        return EventList(events, self._profile_memory, self._with_flops)

    def __str__(self) -> str:
        return self.table()


def op_event(event: Any, process: int) -> dict:
    """An event in the format of Chrome's traces."""
    return {"ph": "X", "cat": "user_annotation" if event.is_user_annotation else "cpu_op", "name": event.name,
            "pid": process, "tid": event.thread, "ts": event.time_range.start, "dur": event.cpu_time_total,
            "args": {"Input Dims": event.input_shapes} if event.input_shapes else {}}


def format_time(us: float) -> str:
    """Microseconds in the unit that suits them: '1.500ms'."""
    return _in_unit(us, "s" if us >= 1e6 else "ms" if us >= 1e3 else "us")


def format_memory(n: int) -> str:
    """Bytes in the unit that suits them: '4.00 KB'."""
    for unit, size in (("GB", 2 ** 30), ("MB", 2 ** 20), ("KB", 2 ** 10)):
        if abs(n) >= size:
            return f"{n / size:.2f} {unit}"
    return f"{n} B"


def _in_unit(us: float, unit: str | None) -> str:
    if unit is None:
        return format_time(us)
    return f"{us / {'us': 1, 'ms': 1e3, 's': 1e6}[unit]:.3f}{unit}"


def _times(total: float, unit: str | None) -> list[tuple[str, Callable]]:
    def share(us: float) -> str:
        return f"{100 * us / total if total else 0:.2f}%"

    return [("Self CPU %", lambda e: share(e.self_cpu_time_total)),
            ("Self CPU", lambda e: _in_unit(e.self_cpu_time_total, unit)),
            ("CPU total %", lambda e: share(e.cpu_time_total)),
            ("CPU total", lambda e: _in_unit(e.cpu_time_total, unit)),
            ("CPU time avg", lambda e: _in_unit(e.cpu_time, unit))]


def _drawn(columns: list, events: Iterable, header: str | None, top_level_events_only: bool) -> str:
    rule = "  ".join("-" * width for *_, width in columns) + "  "
    lines = ["=" * (len(rule) - 2), header] if header is not None else []
    if top_level_events_only:
        lines += ["=" * (len(rule) - 2), "This report only display top-level ops statistics"]
    lines += [rule, "".join(f"{name:{side}{width}}  " for name, side, _, width in columns), rule]
    lines += ["".join(f"{show(event):{side}{width}}  " for _, side, show, width in columns) for event in events]
    return "\n".join([*lines, rule, ""])
