"""`profile`, and the schedule by which it measures some of a program's steps."""
from __future__ import annotations

import enum
import gzip
import json
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from .events import EventList
from .report import Report, kernel_table
from .study import Study
from .tables import Table
from .trace import trace


class ProfilerActivity(enum.Enum):
    """What runs on which device; what runs on a GPU is seen by the time its ops take on the CPU."""

    CPU = 0
    XPU = 1
    CUDA = 2
    MTIA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What a profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def kineto_available() -> bool:
    """Whether profiles can be made."""
    return True


def supported_activities() -> set[ProfilerActivity]:
    """What can be measured."""
    return {ProfilerActivity.CPU}


def schedule(*, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0,
             skip_first_wait: int = 0) -> Callable[[int], ProfilerAction]:
    """Which steps to record: after `skip_first`, in cycles of `wait` idle, `warmup` and `active` recorded steps.

    `repeat` is the number of cycles, 0 for no end; with `skip_first_wait` the first cycle does not wait. Raises
    AssertionError, as PyTorch does, for negative numbers and for no active step.

    >>> plan = schedule(wait=1, warmup=1, active=2, repeat=1)
    >>> [plan(step).name for step in range(5)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise AssertionError("Invalid profiler schedule arguments: wait, warmup, repeat and skip_first must not be "
                             f"negative and active positive, got {wait}, {warmup}, {repeat}, {skip_first}, {active}")

    def plan(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        cycle = wait + warmup + active
        step -= skip_first
        if step >= 0 and skip_first_wait:
            step += wait
        if step < 0 or (repeat and step >= repeat * cycle):
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < cycle - 1 else ProfilerAction.RECORD_AND_SAVE

    return plan


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None,
                              use_gzip: bool = False) -> Callable[[profile], None]:
    """For `on_trace_ready`: write each trace into the folder, as a file of its own that TensorBoard finds."""
    def handler(prof: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        ending = ".gz" if use_gzip else ""
        prof.export_chrome_trace(os.path.join(dir_name, f"{worker}.{time.time_ns()}.pt.trace.json{ending}"))

    return handler


class profile:
    """Measures what runs within the block; with a `schedule`, some steps of it, which `step()` ends.

    `print(p)` shows time and memory by op and by module, `report()` the same with a choice, `kernels()` the kernels,
    `export_chrome_trace(path)` writes all events with their times. The rest is PyTorch's: `events()`, `key_averages()`.
    Ops take some ten microseconds longer meanwhile, which is taken off their times. One profile runs at a time:
    another raises RuntimeError. What a function made by `compile` replays shows as kernels; one that is not recorded
    yet runs eagerly.

    `record_shapes`, `with_stack`, `profile_memory` and `with_flops` note more of each; memory is what an op's result
    takes. `on_trace_ready(prof)` is called when a recorded cycle, or the block, ends.

    >>> import minitorch as torch
    >>> with profile(record_shapes=True) as prof:
    ...     with torch.profiler.record_function("double"):
    ...         y = torch.ones(2, 3) * 2
    >>> [(event.key, event.count) for event in prof.key_averages()]
    [('double', 1), ('aten::mul', 1)]
    >>> [(row.name, row.calls, row.made) for row in prof.report(roofline=False).ops][:1]
    [('mul', 1, 24)]
    """

    def __init__(self, *, activities: Iterable[ProfilerActivity] | None = None,
                 schedule: Callable[[int], ProfilerAction] | None = None,
                 on_trace_ready: Callable[..., Any] | None = None, record_shapes: bool = False,
                 profile_memory: bool = False, with_stack: bool = False, with_flops: bool = False,
                 with_modules: bool = False, experimental_config: Any = None, execution_trace_observer: Any = None,
                 acc_events: bool = False, use_cuda: bool | None = None, custom_trace_id_callback: Any = None,
                 post_processing_timeout_s: float | None = None):
        self.activities = set(activities) if activities is not None else supported_activities()
        if not self.activities:
            raise AssertionError("No valid profiler activities found")
        self.schedule = schedule or (lambda step: ProfilerAction.RECORD)
        self.on_trace_ready, self.step_num = on_trace_ready, 0
        self.record_shapes, self.profile_memory = record_shapes, profile_memory
        self.with_stack, self.with_flops, self.with_modules = with_stack, with_flops, with_modules
        self._steps = schedule is not None
        self._recording: Study | None = None
        self._study: Study | None = None  # the last that has ended
        self._step_event: Any = None
        self._found: EventList | None = None
        self._metadata: dict[str, str] = {}
        self.current_action = ProfilerAction.NONE

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin, with the first step."""
        self.current_action = self.schedule(self.step_num)
        self._act()

    def step(self) -> None:
        """End a step: the next one begins."""
        before, self.step_num = self.current_action, self.step_num + 1
        self.current_action = self.schedule(self.step_num)
        if before is ProfilerAction.RECORD_AND_SAVE:
            self._end()
        self._end_step()
        self._act()

    def stop(self) -> None:
        """End."""
        if self._recording is not None:
            self._end()
        self.current_action = ProfilerAction.NONE

    def report(self, sort: str = "time", rows: int | None = 20, depth: int | None = None,
               roofline: bool = True) -> Report:
        """What the time and the memory went into, by op and by module; it prints as two tables.

        `sort`: time, forward, backward, calls, memory or name, for the ops, of which `rows` are shown (None: all);
        `depth`: so many levels of modules, by default as many as fit into 40 rows. The share of the machine's limits,
        a roofline, needs these measured, once in all, which takes some seconds: `roofline=False` leaves it out.
        Raises ValueError for another `sort`, AssertionError where nothing has been recorded yet.
        """
        return Report(self._recorded(), sort, rows, depth, roofline)

    def kernels(self, sort: str = "time", rows: int | None = 30, roofline: bool = True) -> Table:
        """Calls, time, GFLOP/s and GB/s of each kernel, by version and shapes, and the limit that binds it."""
        return kernel_table(self._recorded(), sort, rows, roofline)

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0,
                     group_by_overload_name: bool = False) -> EventList:
        """The events summed by name."""
        return self.events().key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def events(self) -> EventList:
        """Every event. Raises AssertionError where nothing has been recorded yet."""
        self._recorded()
        assert self._found is not None
        return self._found

    def export_chrome_trace(self, path: str) -> None:
        """Write the events for chrome://tracing or Perfetto; a path that ends in .gz is compressed."""
        opened: Any = gzip.open if str(path).endswith(".gz") else open
        with opened(path, "wt", encoding="utf-8") as file:
            json.dump(trace(self._recorded(), self._metadata), file)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write the callers' stacks with their times, for flame graphs."""
        self.events().export_stacks(path, metric)

    def add_metadata(self, key: str, value: str) -> None:
        """Add a text to the trace."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Add what a text of JSON holds to the trace."""
        self._metadata[key] = json.loads(value)

    def __str__(self) -> str:
        return "<profile: nothing has been recorded>" if self._study is None else str(self.report())

    def _recorded(self) -> Study:
        if self._study is None:
            raise AssertionError("profile: nothing has been recorded: Profiler must be initialized before getting "
                                 "profiler statistics, and a recorded step have ended")
        return self._study

    def _act(self) -> None:
        if self.current_action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE):
            if self._recording is None:
                self._recording = Study(shapes=self.record_shapes, memory=self.profile_memory, stack=self.with_stack,
                                        flops=self.with_flops)
                self._recording.start()
            if self._steps:
                self._step_event = self._recording.enter(f"ProfilerStep#{self.step_num}", (), True, "ProfilerStep*")

    def _end_step(self) -> None:
        if self._step_event is not None and self._recording is not None:
            self._recording.leave(self._step_event)
        self._step_event = None

    def _end(self) -> None:
        self._end_step()
        recording, self._recording = self._recording, None
        assert recording is not None
        self._found, self._study = recording.stop(), recording
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)
