"""Around every op: what a tool does with each body that runs."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..op import OPS, Op


class around_ops:
    """Within `with`, each op on this thread runs as `observer(op, body, k, arguments, options)`.

    The observer calls `body(k, *arguments, **options)` and returns what that gives. Afterwards each op has the very
    body that it had before.

    >>> import minitorch as mt
    >>> def show(op, body, k, arguments, options):
    ...     print(op.name, [a.shape for a in arguments])
    ...     return body(k, *arguments, **options)
    >>> with around_ops(show):
    ...     y = mt.ones(2, 3).exp()
    exp [(2, 3)]
    """

    def __init__(self, observer: Callable):
        self.observer: Callable | None = observer
        self.thread = threading.get_ident()
        self._bodies: dict[str, tuple[Callable, Callable]] = {}  # what an op ran before, and runs now

    def __enter__(self) -> around_ops:
        for name, op in OPS.items():
            before = op.running_body
            self._bodies[name] = before, self._observed(op, before)
            op.replace_body(self._bodies[name][1])
        return self

    def __exit__(self, *exception: Any) -> None:
        self.observer = None  # should another tool have put its body over ours, ours does nothing from now on
        for name, (before, ours) in self._bodies.items():
            if OPS[name].running_body is ours:
                OPS[name].replace_body(before)
        self._bodies.clear()

    def _observed(self, op: Op, body: Callable) -> Callable:
        def run(k, *arguments, **options):
            observer = self.observer
            if observer is None or threading.get_ident() != self.thread:
                return body(k, *arguments, **options)
            return observer(op, body, k, arguments, options)

        def put_beneath(other: Callable) -> None:
            """Let `other` be the op's body from now on: what the first autocast region does."""
            nonlocal body
            if hasattr(body, "put_beneath"):
                body.put_beneath(other)
            else:
                body = other
                self._bodies[op.name] = other, run

        run.put_beneath = put_beneath  # type: ignore[attr-defined]
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
