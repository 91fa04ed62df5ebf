"""`torch.profiler`, and more: what a program's time and memory go into, as tables or as a trace for a browser.

    with profile() as p:
        ...
    print(p)                             # by op and by module, forward and backward, with the share of the roofline
    print(p.kernels())                   # by kernel, version and shapes
    p.export_chrome_trace("trace.json")  # for ui.perfetto.dev

`recording.py` measures: while a profiler runs, the body of every op, every node's gradient functions, every step of an
optimizer and every `record_function` block is an event. `study.py` adds to these the kernels, modules and memory, and
links each gradient to its forward op; `compiled.py` the kernels that a function made by `compile` replays. `report.py`
and `trace.py` show all this; `events.py` PyTorch's tables of it. `sessions.py` holds `profile` and its schedule. While
none runs, ops and kernels are bound as ever: nothing of this is called.
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
