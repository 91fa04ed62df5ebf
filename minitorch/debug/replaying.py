"""A recorded step run again, from its file alone: do the same numbers, or the same error, come out?"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

from .. import dtypes, engine
from ..engine import Node, around_gradients, noting, set_grad_enabled
from ..errors import CheckpointError
from ..observing import arrays_in
from ..op import OPS
from ..serialization import load
from ..tensor import Tensor, edge_of
from .lockstep import TOLERANCES, Choice, chosen
from .nonfinite import NonFiniteError, anomaly
from .packing import apart, mark, unpacked
from .steps import FORMAT
from .wording import indented, op_name, place, wrapped

GROWN = 10  # tolerances of a single op: rounding adds up along a step


def replay(path: Any, backend: Choice | None = None) -> Replay:
    """Run a step that `save_step` or `recorder` wrote, by its ops alone, forward and backward.

    `backend`: another choice of kernels than the one of the recording, as `use` takes it. The result is true where the
    recorded error comes again or, where there was none, all numbers agree up to rounding; it prints what happened,
    and has `error`, `first` (where the numbers part first), `exact` (whether all bits are the same), `tensors` and
    `gradients`. Nothing in the file is executed but ops of minitorch. Raises CheckpointError for any other file.
    """
    content = load(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"replay: {os.fspath(path)} is no recorded step; debug.save_step and debug.recorder "
                              "write them")
    unknown = sorted({step["op"] for step in content["steps"] if "op" in step} - OPS.keys())
    if unknown:
        raise CheckpointError(f"replay: {os.fspath(path)} has the op {unknown[0]!r}, which this minitorch has not")
    run = Replay(content, os.fspath(path), backend)
    with _surroundings(content, backend):
        run._go()
    return run


class Replay:
    """What a replay gave, beside what was recorded."""

    def __init__(self, content: dict[str, Any], path: str, backend: Choice | None):
        self.content, self.path, self.backend = content, path, backend
        self.expected: dict[str, Any] | None = content["error"]
        self.error: Exception | None = None  # what was raised now
        self.first = ""  # the first op whose numbers are others, and how
        self.compared = 0  # results and gradients
        self.exact = True
        self.steps = 0
        self.tensors: dict[int, Tensor] = {}  # by slot
        self._failed: int | None = None  # the number of the step that raised now
        self._nodes: dict[int, int] = {}  # number of a node: step
        self._gradients: dict[tuple[int, int], list[dict]] = {}  # marks, by step and input

    @property
    def gradients(self) -> dict[str, Tensor]:
        """The gradients of the tensors that have names in the recording, such as a model's parameters."""
        grads = {name: self.tensors[slot]._grad for slot, name in self.content["leaves"].items()
                 if name and slot in self.tensors}
        return {name: g for name, g in grads.items() if g is not None}

    @property
    def same_error(self) -> bool:
        """Whether the recorded error came again: its class, and its message's first line."""
        if self.expected is None or self.error is None:
            return self.expected is None and self.error is None
        then = self.expected["message"].split("\n")[0]
        return type(self.error).__name__ == self.expected["type"] and str(self.error).split("\n")[0] == then

    def __bool__(self) -> bool:
        return self.same_error and not self.first

    def graph(self) -> str:
        """The recorded ops, one a line, with their shapes and source lines."""
        return "\n".join(self._line(i, step) for i, step in enumerate(self.content["steps"]))

    def __repr__(self) -> str:
        c = self.content
        on = "" if self.backend is None else f" on {self.backend}"
        lines = [f"{self.path}: {self.steps} of {len(c['steps'])} steps replayed{on}"]
        lines.append("    " + self._numbers())
        lines += [f"    {line}" for line in self._errors()]
        lines += [f"    not repeated: {what}" for what in c["missing"][:5]]
        versions = ", ".join(f"{name} {version}" for name, version in c["versions"].items())
        return wrapped("\n".join([*lines, f"    recorded with {versions} on {c['machine']['system']}, "
                                  f"{c['machine']['threads']} threads"]))

    def _numbers(self) -> str:
        if self.first:
            more = "" if self.backend is None else "; rounding adds up along a step: bisect tells it from a fault"
            return f"the numbers part first in {self.first}{more}"
        if not self.compared:
            return "no numbers to compare"
        return f"all {self.compared} results and gradients are the same, " + ("bit for bit" if self.exact else
                                                                           "up to rounding")

    def _errors(self) -> Iterator[str]:
        then = self.expected
        if then is None and self.error is None:
            return
        if self.same_error:
            yield f"the same error came: {type(self.error).__name__}: {_first_line(self.error)}"
        elif self.error is not None:
            yield f"{'another' if then else 'an'} error came: {type(self.error).__name__}: {_first_line(self.error)}"
        if self.error is not None and self._failed is not None:
            yield f"in {self._name(self._failed)}"
        if then is not None and not self.same_error:
            yield f"recorded was {then['type']}: {then['message'].splitlines()[0] if then['message'] else ''}"
            if self.error is None and then["op"] is None:
                yield "it was raised by the program, between the ops, whose code is not in the file; its traceback:"
                yield indented(then["traceback"].rstrip(), " " * 8).lstrip(" ").replace("Traceback", "    Traceback", 1)
            elif self.error is None:
                yield f"it was raised in {then['op']} and did not come again: it depends on what is not repeated"

    def _line(self, i: int, step: dict[str, Any]) -> str:
        if "backward" in step:
            return f"{i:4} backward from {', '.join(f'%{slot}' for slot, _ in step['backward'])}"
        given = ", ".join(_shown(v) for v in step["inputs"])
        made = ", ".join(f"%{slot} {tuple(m['shape'])} {m['dtype']}" for slot, m in zip(step["out"], step["marks"]))
        where = place(step["source"], step["module"])
        return f"{i:4} {made or 'raised'} = {op_name(step['op'])}({given})" + (f"    {where}" if where else "")

    def _name(self, number: int) -> str:
        step = self.content["steps"][number]
        if "backward" in step:
            return "backward"
        where = place(step["source"], step["module"])
        return f"{op_name(step['op'])}, step {number}" + (f", {where}" if where else "")

    # Running

    def _go(self) -> None:
        for i, step in enumerate(self.content["steps"]):
            try:
                if "backward" in step:
                    self._differentiate(step)
                else:
                    self._call(i, step)
            except Exception as error:  # whatever an op raises is a result here
                self.error, self._failed = error, i
                return
            self.steps += 1

    def _tensor(self, slot: int) -> Tensor:
        if slot not in self.tensors:
            made = self.content["arrays"][slot]
            self.tensors[slot] = Tensor._wrap(made._array)
            if slot in self.content["leaves"] and made._array.dtype.kind in "fcV":
                self.tensors[slot].requires_grad = True
        return self.tensors[slot]

    def _call(self, number: int, step: dict[str, Any]) -> None:
        op = OPS[step["op"]]
        inputs = [self._input(v) for v in step["inputs"]]
        attributes, options = unpacked(step["attributes"], self._tensor), unpacked(step["options"], self._tensor)
        number_it = noting(lambda node: self._nodes.setdefault(node.number, number))
        with _autocast(step["autocast"]), set_grad_enabled(step["recorded"]), number_it:
            result = op.call(*([inputs] if op.variadic else inputs), *attributes, **options)
        outputs = result if isinstance(result, list) else [result]
        for i, (slot, y, then) in enumerate(zip(step["out"], outputs, step["marks"])):
            self.tensors[slot] = y
            self._compare(then, mark(y._array), number, "forward" + (f", result {i}" if i else ""))

    def _input(self, value: Any) -> Any:
        return self._tensor(value["array"]) if isinstance(value, dict) and "array" in value else \
            unpacked(value, self._tensor)

    def _differentiate(self, step: dict[str, Any]) -> None:
        self._gradients.clear()
        roots = [(edge_of(self._tensor(slot)), self._tensor(gradient)._array) for slot, gradient in step["backward"]]
        try:
            with around_gradients(self._gradient):
                engine.run(roots, keep=True)
        finally:
            for number, i, then in step["gradients"]:
                found = self._gradients.get((number, i))
                if found:
                    params = OPS[self.content["steps"][number]["op"]].params
                    name = f" for {params[i]}" if i < len(params) else ""
                    self._compare(then, found.pop(0), number, f"backward{name}")

    def _gradient(self, node: Node, function: Callable, i: int, arguments: tuple) -> Any:
        number = self._nodes.get(node.number, -1)
        found = function(*arguments)
        for position, dx in enumerate(found if isinstance(found, (list, tuple)) else [found], i):
            self._gradients.setdefault((number, position), []).extend(map(mark, arrays_in(dx)[:1]))  # it may change
        return found

    def _compare(self, then: dict[str, Any], now: dict[str, Any], number: int, where: str) -> None:
        if self.first:
            return
        self.compared += 1
        self.exact = self.exact and now["bits"] == then["bits"]
        difference = apart(then, now, GROWN * TOLERANCES.get(then["dtype"], 0.0))
        if difference:
            self.first = f"{self._name(number)}, {where}: {difference}"


@contextmanager
def _surroundings(content: dict[str, Any], backend: Choice | None) -> Iterator[None]:
    """The modes, random state and choice of kernels of the recording, or that choice."""
    from ..random import fork_rng, set_rng_state

    modes, before = content["modes"], dtypes.get_default_dtype()
    with ExitStack() as stack:
        stack.callback(dtypes.set_default_dtype, before)
        dtypes.set_default_dtype(getattr(dtypes, modes["default_dtype"]))
        stack.enter_context(fork_rng())
        set_rng_state(content["random"])
        stack.enter_context(chosen(content["use"] if backend is None else backend))
        if modes["anomaly"] is not None or (content["error"] or {}).get("type") == NonFiniteError.__name__:
            stack.enter_context(anomaly(modes["anomaly"] or ()) if modes["anomaly"] is not None
                                else _detecting())
        yield


def _autocast(dtype: str | None) -> Any:
    if dtype is None:
        return nullcontext()
    from .. import autocast

    return autocast("cpu", getattr(dtypes, dtype))


def _detecting() -> Any:
    from ..autograd import detect_anomaly

    return detect_anomaly()


def _first_line(error: Any) -> str:
    return str(error).split("\n")[0]


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "array" in value:
        return f"%{value['array']}"
    return "..." if isinstance(value, dict) else repr(value)


