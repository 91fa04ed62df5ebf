"""The profiler's older names, and names for parts of a program in a profile."""
from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any

from .. import engine
from ..errors import absent_from

__all__ = ["emit_itt", "emit_nvtx", "profile", "record_function"]


class record_function(ContextDecorator):
    """Names what runs within the block in a profile; without a running profiler it does nothing."""

    def __init__(self, name: str, args: str | None = None):
        self.name, self.args = name, args
        self._recording = self._event = None

    def _recreate_cm(self) -> record_function:
        return record_function(self.name, self.args)

    def __enter__(self) -> record_function:
        self._recording = engine.profiling
        if self._recording is not None:
            self._event = self._recording.enter(self.name, annotation=True)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._recording is not None:
            self._recording.leave(self._event)


class profile:
    """Measures the ops that run within the block, unless `enabled` is False; `torch.profiler.profile` has schedules.

    >>> import minitorch as torch
    >>> with torch.autograd.profiler.profile() as prof:
    ...     y = torch.ones(2).exp()
    >>> [event.name for event in prof.function_events]
    ['aten::exp']
    """

    def __init__(self, enabled: bool = True, *, use_cuda: bool = False, use_device: str | None = None,
                 record_shapes: bool = False, with_flops: bool = False, profile_memory: bool = False,
                 with_stack: bool = False, with_modules: bool = False, use_kineto: bool = False, use_cpu: bool = True,
                 **ignored: Any):
        self.enabled, self.entered = enabled, False
        self._options = {"shapes": record_shapes, "memory": profile_memory, "stack": with_stack, "flops": with_flops}
        self._recording: Any = None
        self.function_events: Any = None

    def __enter__(self) -> profile:
        if self.enabled:
            if self.entered:
                raise RuntimeError("Profiler context manager is not reentrant")
            from ..profiler.recording import Recording

            self.entered = True
            self._recording = Recording(**self._options)
            self._recording.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.enabled:
            self.function_events = self._recording.stop()

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0,
                     group_by_overload_name: bool = False) -> Any:
        """The events summed by name."""
        return self._events().key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def table(self, *args: Any, **kwargs: Any) -> str:
        """The events as a table, a row each."""
        return self._events().table(*args, **kwargs)

    def total_average(self) -> Any:
        """All events together."""
        return self._events().total_average()

    def export_chrome_trace(self, path: str) -> None:
        """Write the events for chrome://tracing or Perfetto."""
        self._events().export_chrome_trace(path)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write the callers' stacks with their times, for flame graphs."""
        self._events().export_stacks(path, metric)

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds in all."""
        return self._events().self_cpu_time_total

    def _events(self) -> Any:
        if self.function_events is None:
            raise RuntimeError("Profiler didn't finish running")
        return self.function_events

    def __str__(self) -> str:
        return str(self.function_events) if self.function_events is not None else "<unfinished torch.autograd.profile>"

    __repr__ = __str__


class emit_nvtx:
    """Marks every op for NVIDIA's profilers, which needs a GPU: on another machine only `enabled=False` works."""

    def __init__(self, enabled: bool = True, record_shapes: bool = False):
        self.enabled = enabled

    def __enter__(self) -> emit_nvtx:
        if self.enabled:
            raise RuntimeError(f"{type(self).__name__}: ops are not marked for other profilers; "
                               "torch.profiler.profile measures them, torch.cuda.nvtx.range marks a block")
        return self

    def __exit__(self, *exception: object) -> None:
        return None


class emit_itt(emit_nvtx):
    """The same for Intel's profilers."""


def __getattr__(name: str) -> Any:
    if name in ("EventList", "FunctionEvent", "FunctionEventAvg"):
        from ..profiler import events

        return getattr(events, name)
    return absent_from(__name__, lambda: __all__)(name)
