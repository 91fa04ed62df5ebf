"""`torch.profiler`: what a program's time goes into, op by op, as a table or as a trace for a browser.

`recording.py` measures: while a profiler runs, the body of every op, every node's gradient functions, every step of an
optimizer and every `record_function` block is timed. `events.py` sums events up into tables. `sessions.py` holds
`profile` and its schedule. What a function made by `compile` replays are kernels, not ops: only blocks around it show.
"""
from ..autograd.profiler import record_function
from ..errors import absent_from
from .events import EventList, FunctionEvent, FunctionEventAvg
from .sessions import (
    ProfilerAction,
    ProfilerActivity,
    kineto_available,
    profile,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "ProfilerAction", "ProfilerActivity", "kineto_available",
           "profile", "record_function", "schedule", "supported_activities", "tensorboard_trace_handler"]

__getattr__ = absent_from(__name__, lambda: __all__)
