"""Where the first NaN or infinity comes from, forward or backward.

Under `torch.autograd.detect_anomaly` the results of all ops are looked at, and the first that is not finite although
what it was made of is, is remembered; an error of backward then names it. `anomaly` raises there and then.
"""
from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import numpy as np

from .. import engine
from ..engine import Node, around_gradients, caller, mode, noting
from ..errors import GraphError
from ..nn.scopes import Scopes
from ..observing import around_ops, arrays_in, outputs_of
from .causes import cause
from .wording import first, kinds, numpy, op_name, place, values

KINDS = ("nan", "inf", "-inf")
KEPT = 20  # events that are remembered: the first may belong to a graph that is gone


class NonFiniteError(GraphError, FloatingPointError):
    """An op, or a gradient, that made a NaN or an infinity; the message names it."""


class anomaly:
    """Within `with`, raise NonFiniteError at the first NaN or infinity that an op makes, forward or backward.

    The message names the op, the source line, the module, the element, the ranges of the inputs and the likely cause.
    What is not finite because the program says so, as in `masked_fill(mask, -inf)`, is not made by an op, and may be
    passed on. `allow` names kinds that ops may make too, of "nan", "inf" and "-inf": `allow="-inf"` for log(mask).

    >>> import minitorch as mt
    >>> with anomaly():
    ...     y = mt.tensor([1.0, 0.0]).log()
    Traceback (most recent call last):
    minitorch.debug.nonfinite.NonFiniteError: forward: log made -inf at [1] of (2,) float32 (1 -inf)...
    """

    def __init__(self, allow: str | Iterable[str] = ()):
        self.allow = frozenset([allow] if isinstance(allow, str) else allow)
        if not self.allow <= set(KINDS):
            raise ValueError(f"anomaly: allow expects any of {', '.join(map(repr, KINDS))}, got "
                             f"{sorted(self.allow - set(KINDS))[0]!r}")

    def __enter__(self) -> anomaly:
        self._before = mode.anomaly, mode.check_nan, _here.watch
        _here.open = (*_here.open, self)
        self._scopes = Scopes().__enter__()
        self._watch = _here.watch = Watch(True, self.allow, self._scopes)
        self._watch.start()
        engine.detect_anomalies(True, True)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._watch.stop()
        self._scopes.__exit__()
        later = _here.open[_here.open.index(self) + 1:]
        _here.open = tuple([other for other in _here.open if other is not self])
        if later:  # it ends before one that was entered within it, as generators can
            later[0]._before = self._before
        else:
            *modes, _here.watch = self._before
            engine.detect_anomalies(*modes)


def follow(enabled: bool) -> None:
    """Let this thread's ops and gradients be looked at, or no longer: what `detect_anomaly` switches."""
    watch = _here.watch
    if enabled and watch is None:
        _here.watch = Watch()
        _here.watch.start()
    elif watch is not None and not enabled:
        watch.stop()
        _here.watch = None


def strictness() -> frozenset | None:
    """What `anomaly` allows, within it; None outside."""
    watch = _here.watch
    return watch.allow if watch is not None and watch.strict else None


class Event:
    """One array that is not finite although what it was made of is, or that came in so from outside."""

    def __init__(self, name: str, array: Any, kind: str, inputs: list[tuple[str, Any]], source: str, module: str,
                 why: str, backward: bool = False, came_in: str = ""):
        self.name, self.kind, self.backward, self.came_in = name, kind, backward, came_in
        self.inputs = [f"{given}: {values(a)}" for given, a in inputs]
        self.where = place(source, module)
        self.why = why
        array = numpy(array)
        self.index = first(_is(kind, array))
        self.result = f"{tuple(array.shape)} {array.dtype} ({kinds(array)})"
        self.node: Callable[[], Any] = lambda: None
        self.array: Callable[[], Any] = lambda: None

    def alive(self) -> bool:
        """Whether anything still holds what was computed: else it is of no graph that backward can be in."""
        return self.array() is not None or self.node() is not None

    def __str__(self) -> str:
        shown = self.kind.replace("nan", "NaN")
        at = f"{shown} at {list(self.index)}" if self.index else shown
        if self.came_in:
            head = f"forward: {self.name} was given {at} of its {self.came_in} {self.result}"
        elif self.backward:
            head = f"backward: the gradient of {self.name} has {at} of {self.result}"
        else:
            head = f"forward: {self.name} made {at} of {self.result}"
        lines = [head, self.where and f"    {self.where}", *[f"    {line}" for line in self.inputs],
                 self.why and f"    likely cause: {self.why}"]
        return "\n".join([line for line in lines if line])


class Watch:
    """What has been seen on one thread. A strict one raises at once, but for the kinds that it allows."""

    def __init__(self, strict: bool = False, allow: frozenset = frozenset(), scopes: Scopes | None = None):
        self.strict, self.allow, self.scopes = strict, allow, scopes
        self.events: list[Event] = []
        self.gradient: Event | None = None  # the first infinite gradient of this backward
        self.modules: weakref.WeakKeyDictionary[Node, str] = weakref.WeakKeyDictionary()
        self._pending: tuple[Any, Event] | None = None  # an op, and its event, until its node is made
        self._backward = False
        self._running = ExitStack()

    def start(self) -> None:
        for context in (around_ops(self._forward), noting(self._note), around_gradients(self._gradient)):
            self._running.enter_context(context)

    def stop(self) -> None:
        self._running.close()

    # Forward

    def _forward(self, op: Any, body: Callable, k: Any, arguments: tuple, options: dict) -> Any:
        result = body(k, *arguments, **options)
        self._pending = None
        if not self._backward:  # where ops compute gradients of gradients, those are looked at as such
            for y in outputs_of(result):
                kind = _made(y, [arguments, options], self.allow)
                if kind:
                    self._remember(op, y, kind, arguments, options)
                    break
        return result

    def _remember(self, op: Any, y: Any, kind: str, arguments: tuple, options: dict) -> None:
        given = list(zip(op.params if not op.variadic else [f"input {i}" for i in range(99)], arguments))
        given = [(name, a) for name, a in given if hasattr(a, "dtype") or isinstance(a, (int, float, complex))]
        came_in = next((name for name, a in given if kind == "nan" and _has("nan", a)), "")
        why = "" if came_in else cause(op.name, dict(given), y)
        event = Event(op_name(op.name), next(a for name, a in given if name == came_in) if came_in else y, kind, given,
                      caller(), self.scopes.path if self.scopes else "", why, came_in=came_in)
        if self.strict:
            raise NonFiniteError(str(event))
        if len(self.events) == KEPT:
            self.events = [e for e in self.events if e.alive()][:KEPT - 1]
        event.array = _weak(y)
        self.events.append(event)
        self._pending = op, event

    def _note(self, node: Node) -> None:
        if self.scopes is not None and self.scopes.path:
            self.modules[node] = self.scopes.path
        if self._pending is not None and self._pending[0] is node.op:
            self._pending[1].node = weakref.ref(node)
        self._pending = None

    # Backward

    def _gradient(self, node: Node, function: Callable, i: int, arguments: tuple) -> Any:
        before, self._backward = self._backward, True
        try:
            found = function(*arguments)
        finally:
            self._backward = before
        for position, dx in enumerate(found if isinstance(found, (list, tuple)) else [found], i):
            for array in arrays_in(dx):
                self._look(node, array, position, arguments[0])
        return found

    def _look(self, node: Node, dx: Any, position: int, dy: Any) -> None:
        """Raise where a gradient is NaN; remember, or raise, where it is infinite and what it was made of is not."""
        if not _has("nan", dx) or "nan" in self.allow:
            if (self.gradient is None or self.strict) and (kind := _made(dx, [dy], self.allow)):
                self.gradient = self._of_gradient(node, dx, kind, position, dy)
                if self.strict:
                    raise NonFiniteError(str(self.gradient))
            return
        event = self._of_gradient(node, dx, "nan", position, dy)
        lines = [f"Function '{node.name()}' returned nan values in its {position}th output.", str(event)]
        earlier = next((e for e in self.events if e.alive()), None)
        if earlier is not None:
            lines.append(f"The first value that was not finite: {earlier}")
        if self.gradient is not None and _has("inf", dy):
            lines.append(f"The first gradient that was not finite: {self.gradient}")
        self.gradient = None
        raise NonFiniteError("\n".join(lines))

    def _of_gradient(self, node: Node, dx: Any, kind: str, position: int, dy: Any) -> Event:
        saved = {name: value for name, value in node.saved().items() if hasattr(value, "dtype")} \
            if hasattr(node, "saved") else {}
        given = [("the gradient that it got", g) for g in arrays_in(dy)]
        kept = [(f"{name}, its {'result' if name == 'y' else 'input'}", value) for name, value in saved.items()
                if name == "y" or name in getattr(node.op, "params", ())]
        params = getattr(node.op, "params", ())
        name = op_name(node.op.name) + (f" for {params[position]}" if position < len(params) else "")
        why = cause(node.op.name, {**node.saved(), "dy": dy}, dx, backward=True)
        return Event(name, dx, kind, given + kept, node.source or "", self.modules.get(node, ""), why, backward=True)


def _made(y: Any, given: Any, allowed: frozenset) -> str:
    """The kind of what is not finite in `y`, where what it was made of does not explain it; else ""."""
    if not _is_float(y) or bool(np.isfinite(numpy(y)).all()):
        return ""
    leaves = _flat(given)
    explained = {"nan": any(isinstance(v, float) and v != v for v in leaves)}  # the program says NaN
    explained["inf"] = explained["-inf"] = not all(map(_finite, leaves))
    array = numpy(y)
    found = [kind for kind in KINDS if kind not in allowed and not explained[kind] and _is(kind, array).any()]
    return found[0] if found else ""


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [leaf for v in value for leaf in _flat(v)]
    return _flat(list(value.values())) if isinstance(value, dict) else [getattr(value, "_array", value)]


def _finite(value: Any) -> bool:
    if isinstance(value, (float, complex)):
        return bool(np.isfinite(value))
    return not _is_float(value) or bool(np.isfinite(numpy(value)).all())


def _is_float(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype") and getattr(value.dtype, "kind", "") in "fcV"


def _has(kind: str, value: Any) -> bool:
    """Whether there is a NaN in the array or number, or ("inf") an infinity of either sign."""
    return any(bool(np.isnan(numpy(a)).any() if kind == "nan" else np.isinf(numpy(a)).any())
               for a in _flat(value) if _is_float(a) or isinstance(a, float))


def _is(kind: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "c":
        return np.isnan(array) if kind == "nan" else np.isinf(array)
    return np.isnan(array) if kind == "nan" else array == float(kind)


def _weak(array: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(array)
    except TypeError:  # a scalar of NumPy
        return lambda: None


class _Here(threading.local):
    """What this thread does."""

    watch: Watch | None = None
    open: tuple[anomaly, ...] = ()  # outermost first


_here = _Here()
