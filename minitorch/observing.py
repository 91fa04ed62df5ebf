"""`around_ops`: what the profiler, the debugger and the counters do with each op that runs.

With `engine.noting`, which sees each new node, and `engine.around_gradients`, which sees each gradient, it is all that
a tool needs to follow a program. While no tool runs, ops and backward are as ever: none of this is called.
"""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from . import op as definitions


class around_ops:
    """Within `with`, each op on this thread, or `everywhere`, runs as `observer(op, body, k, arguments, options)`.

    The observer calls `body(k, *arguments, **options)` and returns what that gives. Of several the one that was entered
    last is outermost; they may end in any order.

    >>> import minitorch as mt
    >>> def show(op, body, k, arguments, options):
    ...     print(op.name, [a.shape for a in arguments])
    ...     return body(k, *arguments, **options)
    >>> with around_ops(show):
    ...     y = mt.ones(2, 3).exp()
    exp [(2, 3)]
    """

    def __init__(self, observer: Callable, everywhere: bool = False):
        self.observer, self.everywhere = observer, everywhere

    def __enter__(self) -> around_ops:
        self.thread = None if self.everywhere else threading.get_ident()
        _rebind(lambda before: (*before, self))
        return self

    def __exit__(self, *exception: Any) -> None:
        _rebind(lambda before: tuple([other for other in before if other is not self]))

    def __call__(self, op: definitions.Op, body: Callable) -> Callable:
        """What runs in the place of `body`."""
        thread, observer = self.thread, self.observer

        def run(k, *arguments, **options):
            if thread is None or threading.get_ident() == thread:
                return observer(op, body, k, arguments, options)
            return body(k, *arguments, **options)

        return run


def outputs_of(result: Any) -> list[Any]:
    """The arrays in what an op's body returned, without its gradient functions."""
    y = result[0] if type(result) is tuple else result
    return list(y) if type(y) is list else [y]


def arrays_in(value: Any) -> list[Any]:
    """The arrays in an argument, which may be a list of them."""
    if isinstance(value, (tuple, list)):
        return [array for v in value for array in arrays_in(v)]
    value = getattr(value, "_array", value)
    return [value] if hasattr(value, "shape") and hasattr(value, "dtype") else []


def _rebind(change: Callable[[tuple], tuple]) -> None:
    with _changing:
        definitions.wrappers = change(definitions.wrappers)
        for op in definitions.OPS.values():
            op.rebind()


_changing = threading.Lock()
