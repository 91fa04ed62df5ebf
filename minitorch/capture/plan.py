"""A recording as a Python function: straight-line calls on arrays, with nothing between them.

Steps whose results nobody needs are left out, what follows from constants alone is computed now, each array is let go
after its last use, so that the memory is that of an eager run, or less.
"""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from minitorch_kernels import memory

from ..device import cpu_kernels
from ..engine import Node, Output
from ..errors import GraphError
from ..tensor import Tensor, edge_of
from .arrays import Slot, Step, slots_in, uses
from .fuse import fuse, renamed

EFFECTS = {"grad", "whole", "draw", "set", "check"}


class Program:
    """The steps of a recording and what is wanted of them: forward, and for a graph that lives on, backward."""

    def __init__(self, template: Any, forward: list[Step], backward: list[Step],
                 grads: list[tuple[Any, Slot]], dys: list[Slot], tensors: list[Tensor],
                 outside: list[tuple[Tensor, Slot]]):
        names: dict[Slot, Slot] = {}
        forward, backward = renamed(forward, names), renamed(backward, names)
        self.grads = [(t, names.get(slot, slot)) for t, slot in grads]
        self.template, self.dys, self.args = template, dys, tensors
        for value in made(template):
            value.slot = names.get(value.slot, value.slot)
        self.outputs = [value.slot for value in made(template)]
        wanted = {slot for _, slot in self.grads}
        self.backward = needed(backward, wanted)
        used = {slot for step in self.backward for slot in uses(step)} | wanted
        self.forward = forward
        lasting = self._lasting()
        for slot in (*self.outputs, *(slot for step in (*forward, *self.backward) for slot in uses(step))):
            if slot.kind == "constant" and slot.storage in lasting:
                slot.kind = "copied"  # each replay takes a copy
        before = {slot for step in forward for slot in uses(step)}
        saved = {s for s in used - _defined(self.backward) - set(dys)
                 if s.kind != "constant" and (s.kind != "copied" or s in before)}
        self.forward = folded(needed(forward, {*self.outputs, *saved}), lasting)
        self.saved = sorted((s for s in saved if s.kind != "constant"), key=lambda s: s.number)
        self.forward = fuse(self.forward, {*self.outputs, *saved})
        self.backward = fuse(self.backward, wanted)
        kept = {slot.storage for slot in self.saved}
        self.kept = [t for t, slot in outside if slot.storage in kept]  # what backward needs as it is now

    def _lasting(self) -> set[int]:
        """The memory that is written to, or leaves the program."""
        steps = [*self.forward, *self.backward]
        slots = {*self.outputs, *(slot for _, slot in self.grads), *(s for step in steps for s in step.writes),
                *(step.args[1] for step in steps if step.kind == "grad" and step.args[1] is not None)}
        return {slot.storage for slot in slots}


def makes(step: Step) -> list[Slot]:
    """The slots that a step defines."""
    return list(slots_in(step.out))


def needed(steps: list[Step], wanted: set[Slot]) -> list[Step]:
    """The steps that have effects, or of which something is wanted by others."""
    wanted, kept = set(wanted), []
    for step in reversed(steps):
        if step.kind in EFFECTS or step.writes or any(slot in wanted for slot in makes(step)):
            kept.append(step)
            wanted.update(uses(step))
    return kept[::-1]


def folded(steps: list[Step], kept: set[int]) -> list[Step]:
    """Without the steps that follow from constants alone: their results become constants."""
    result = []
    for step in steps:
        slots, out = list(uses(step)), step.out
        if step.kind not in EFFECTS and not step.writes and isinstance(out, Slot) and slots and \
                all(s.kind == "constant" and s.storage not in kept for s in slots) and out.storage not in kept:
            out.source, out.kind = np.asarray(run(step)), "constant"
        else:
            result.append(step)
    return result


def run(step: Step) -> Any:
    """A step of constants, computed."""
    args, kwargs = _filled(step.args), _filled(step.kwargs)
    if step.kind == "method":
        return getattr(args[0], step.name)(*args[1:], **kwargs)
    return getattr(args[0], step.name) if step.kind == "attribute" else step.function(*args, **kwargs)


class Writer:
    """Writes Python: a function's lines, and the objects that they name."""

    def __init__(self, program: Program):
        self.program = program
        self.names: dict[str, Any] = {"new": object.__new__, "Tensor": Tensor, "asarray": np.asarray, "attach": attach}
        self.calls: dict[str, tuple[str, str]] = {}  # names in the closure: what kind of kernel, called what
        self._outputs = 0
        self.free: set[Slot] = set()  # operands of the present step whose memory can be written over
        self._known: dict[int, str] = {}
        self._lasting = program._lasting()  # where a NumPy scalar will not do

    def compile(self, head: str, lines: list[str]) -> Callable:
        """The function, with the objects in its closure, where they are found quickest."""
        body = "".join(f"        {line}\n" for line in lines) or "        pass\n"
        source = f"def make({', '.join(self.names)}):\n    def {head}:\n{body}    return {head.partition('(')[0]}\n"
        space: dict[str, Any] = {}
        exec(compile(source, "<minitorch.compile>", "exec"), space)
        made = space["make"](**self.names)
        made.source, made.calls = source, self.calls
        return made

    def name(self, value: Any) -> str:
        """The name of an object in the closure."""
        if id(value) not in self._known:
            self._known[id(value)] = f"k{len(self._known)}"
            self.names[f"k{len(self._known) - 1}"] = value
        return self._known[id(value)]

    def load(self, slots: Iterable[Slot]) -> Iterator[str]:
        """Lines that bring in what comes from outside."""
        for slot in sorted(set(slots), key=lambda s: s.number):
            if slot.kind == "copied":
                yield f"{slot} = {self.name(slot.source)}.copy()"
            elif slot.kind in ("tensor", "grad"):
                yield f"{slot} = {self.tensor(slot.source)}{'._grad' if slot.kind == 'grad' else ''}._array"

    def tensor(self, t: Tensor) -> str:
        """An argument, or a tensor that is known by now."""
        for i, given in enumerate(self.program.args):
            if given is t:
                return f"a{i}"
        return self.name(t)

    def steps(self, steps: list[Step], keep: set[Slot]) -> Iterator[str]:
        """Lines for the steps; what is not in `keep` is let go after its last use."""
        last: dict[Slot, int] = dict.fromkeys(keep, len(steps))
        for i, step in enumerate(steps):
            for slot in (*uses(step), *makes(step)):
                last[slot] = max(i, last.get(slot, i))
        ends: dict[int, int] = {}
        for slot, i in last.items():
            ends[slot.storage] = max(i, ends.get(slot.storage, i))
        for i, step in enumerate(steps):
            gone = sorted({s for s in (*uses(step), *makes(step)) if last[s] == i and s.kind in ("step", "dy")},
                          key=lambda s: s.number)
            self.free = {s for s in uses(step) if ends[s.storage] == i and s.kind == "step" and s.whole
                         and s.contiguous and s.storage not in self._lasting}
            yield from self.step(step)
            if gone:
                yield " = ".join(map(str, gone)) + " = None"

    def fused(self, step: Step) -> Iterator[str]:
        """A chain's kernel; a result goes over an operand that nobody needs any more, or into new memory."""
        fused, into, fresh = step.function, [], []
        storages = Counter(slot.storage for slot in uses(step))
        for slot in step.out:
            at = next((i for i, (x, kind) in enumerate(zip(step.args, fused.kinds)) if kind == "full" and
                       x in self.free and x.shape == slot.shape and x.dtype == slot.dtype and i not in into
                       and storages[x.storage] == 1), None)
            into.append(at)
            if at is None:
                fresh.append(str(slot))
                yield f"{slot} = {self.name(_allocator(slot))}({slot.shape}, {self.name(slot.dtype)})"
        kernel, sizes = fused.kernel(tuple(into))
        self.calls[self.name(kernel)] = "fused", " ".join(["fused", *(name for name, _ in fused.lines)])
        operands = [f"{x}.reshape(())[()]" if isinstance(x, Slot) and kind == "scalar" else
                    self.expression(x if isinstance(x, Slot) else fused.dtype.type(x))
                    for x, kind in zip(step.args, fused.kinds)]
        yield f"{self.name(kernel)}({', '.join([*map(str, sizes), *operands, *fresh])})"
        for slot, at in zip(step.out, into):
            if at is not None:
                yield f"{slot} = {step.args[at]}"

    def step(self, step: Step) -> Iterator[str]:
        if step.kind in ("kernel", "ufunc", "call"):
            self.calls[self.name(step.function)] = step.kind, step.name
        if step.kind == "grad":
            t, slot = step.args
            if slot is not None:
                yield f"g = new(Tensor); g._array = {slot}"
            yield f"{self.tensor(t)}._grad = {'None' if slot is None else 'g'}"
            return
        if step.kind == "whole":
            call = f"{self.name(step.function)}(*{self.name(step.args)}, **{self.name(step.kwargs)})"
            yield call if step.out is None else f"{step.out} = {call}._array"
            return
        if step.kind == "fused":
            yield from self.fused(step)
            return
        if step.over is not None and step.over in self.free:
            yield f"{step.out} = {self.call(step)[:-1]}, {step.over})"
            return
        if step.writes and step.kind == "ufunc":
            args = ", ".join(map(self.expression, (*step.args, *step.kwargs["out"])))
            yield f"{self.name(step.function)}({args}{self.keywords(step.kwargs, 'out')})"
            return
        call = self.call(step)
        target = self.target(step.out)
        yield f"{target} = {call}" if target.strip("_(), ") else call
        for slot in makes(step):
            if slot.shape == ():  # which NumPy's functions return as scalars
                yield f"{slot} = asarray({slot})"

    def call(self, step: Step) -> str:
        args = list(map(self.expression, step.args))
        if step.kind == "attribute":
            return f"{args[0]}.{step.name}"
        if step.kind == "item":
            return f"{args[0]}[{args[1]}]"
        if step.kind == "set":
            return f"{args[0]}[{args[1]}] = {args[2]}"
        if step.kind == "method" or (step.name == "reshape" and not step.kwargs):  # the method is the quicker one
            return f"{args[0]}.{step.name}({', '.join(args[1:])}{self.keywords(step.kwargs, first=len(args) < 2)})"
        return f"{self.name(step.function)}({', '.join(args)}{self.keywords(step.kwargs, first=not args)})"

    def keywords(self, kwargs: dict, without: str = "", first: bool = False) -> str:
        text = "".join(f", {key}={self.expression(v)}" for key, v in kwargs.items() if key != without)
        return text[2:] if first else text

    def expression(self, value: Any) -> str:
        """Python for an argument."""
        if isinstance(value, Slot):
            if value.kind == "constant":
                return self.name(value.source)
            return str(value)
        if not any(True for _ in slots_in(value)):
            return repr(value) if value is None or type(value) in (bool, int, str) else self.name(value)
        if isinstance(value, (tuple, list)):
            inside = ", ".join(map(self.expression, value))
            return f"[{inside}]" if isinstance(value, list) else f"({inside},)"
        if isinstance(value, slice):
            return f"slice({', '.join(map(self.expression, (value.start, value.stop, value.step)))})"
        return "{" + ", ".join(f"{k!r}: {self.expression(v)}" for k, v in value.items()) + "}"

    def target(self, out: Any) -> str:
        if isinstance(out, Slot):
            return str(out)
        return "_" if out is None else "(" + "".join(self.target(o) + ", " for o in out) + ")"

    def bumps(self, steps: list[Step]) -> Iterator[str]:
        """Lines that tell the version counters of tensors from outside that they were written to."""
        written = {slot.storage for step in steps for slot in step.writes}
        for t in {id(s.source): s.source for step in steps for s in uses(step)
                  if s.kind == "tensor" and s.storage in written}.values():
            yield f"{self.tensor(t)}._bump()"

    def result(self, template: Any) -> Iterator[str]:
        """Lines that make the tensors to be returned, and return them."""
        made: list[str] = []
        expression = self._result(template, made)
        yield from made
        yield f"return {expression}"

    def _result(self, value: Any, made: list[str]) -> str:
        if isinstance(value, Made):
            name = f"y{value.slot.number}"
            made.append(f"{name} = new(Tensor); {name}._array = {value.slot}" + f"; {name}._inference = True" *
                        value.inference)
            if value.requires_grad and self.program.dys:
                kept = any(slot.storage == value.slot.storage for slot in self.program.saved)
                made.append(f"attach({name}, graph, {self._outputs}, {kept})")
                self._outputs += 1
            elif value.requires_grad:
                made.append(f"{name}._requires_grad = True; {name}._node = {self.name(FINISHED)}")
            return name
        if isinstance(value, Known):
            return self.tensor(value.tensor) + "._grad" * value.grad
        if type(value) in (tuple, list):
            inside = "".join(self._result(v, made) + ", " for v in value)
            return f"[{inside}]" if type(value) is list else f"({inside})"
        if type(value) is dict:
            return "{" + ", ".join(f"{self.name(k)}: {self._result(v, made)}" for k, v in value.items()) + "}"
        return self.name(value)


class Made:
    """In a template of what is returned: a tensor that is computed."""

    def __init__(self, slot: Slot, requires_grad: bool, inference: bool):
        self.slot, self.requires_grad, self.inference = slot, requires_grad, inference


class Known:
    """In a template of what is returned: an argument or another tensor from outside, or its gradient."""

    def __init__(self, tensor: Tensor, grad: bool = False):
        self.tensor, self.grad = tensor, grad


def write(program: Program) -> Callable:
    """The function of the argument tensors that replays the program."""
    writer = Writer(program)
    inside = {*(s for step in program.forward for s in uses(step)), *program.outputs, *program.saved}
    lines = [*writer.load(inside), *writer.steps(program.forward, {*program.outputs, *program.saved}),
             *writer.bumps(program.forward)]
    if program.dys:
        lines += [f"graph = leave(({', '.join([*map(str, program.saved), ''])}), "
                  f"[{', '.join(map(writer.tensor, (t for t, _ in program.grads)))}], "
                  f"[{', '.join(map(writer.tensor, program.kept))}])"]
        writer.names["leave"] = Graph(program).leave
    head = f"run({', '.join(f'a{i}' for i in range(len(program.args)))})"
    return writer.compile(head, [*lines, *writer.result(program.template)])


class Graph:
    """The recorded backward pass: what stands for an Op in the node that a compiled forward pass leaves."""

    name = "compiled"

    def __init__(self, program: Program):
        self.shapes = [(slot.shape, slot.dtype) for slot in program.dys]
        writer, outputs = Writer(program), [slot for _, slot in program.grads]
        lines = [f"({', '.join([*map(str, slots), ''])}) = {name}" for name, slots in
                 (("saved", program.saved), ("dys", program.dys)) if slots]
        used = {s for step in program.backward for s in uses(step)} | set(outputs)
        lines += ["saved = dys = None",
                  *writer.load(s for s in used - set(program.saved) if s.kind == "copied"),
                  *writer.steps(program.backward, {*outputs, *program.saved}),  # with retain_graph it runs again
                  f"return [{', '.join(map(writer.expression, outputs))}]"]
        self.backward = writer.compile("backward(saved, dys)", lines)

    def leave(self, saved: tuple, tensors: list[Tensor], kept: list[Tensor]) -> Node:
        """A node whose gradients are those of `tensors`, the inputs; the values of those in `kept` must stay."""
        shapes, backward = self.shapes, self.backward

        def gradients(dy, needs):
            given = dy if isinstance(dy, list) else [dy]
            return backward(saved, [np.zeros(*shape) if d is None else np.asarray(d, order="C")
                                    for d, shape in zip(given, shapes)])

        node = Node(self, cpu_kernels, tuple(map(edge_of, tensors)), gradients, *shapes[0])
        node.outputs = len(shapes) if len(shapes) > 1 else None
        node.versions = [(t._version_list(), t._version_list()[0], "an input") for t in kept]
        return node

    def lift(self, node: Node) -> Any:
        raise GraphError("compiled: the gradient of a compiled function cannot be differentiated again "
                         "(create_graph=True): call the function that was compiled")


def attach(t: Tensor, node: Node, index: int, kept: bool) -> None:
    """Make `t` an output of the node; what the graph keeps must stay as it is."""
    a = t._array
    t._node = node if node.outputs is None else Output(node, index, a.shape, a.dtype)
    t._requires_grad = True
    if kept:
        t._counter = [0]
        node.versions.append((t._counter, 0, "y"))


class _Finished:
    """Stands for an Op in the node of a tensor whose graph a compiled step has consumed."""

    name = "compiled_step"


def made(template: Any) -> Iterator[Made]:
    """The tensors of a template that are computed, in order."""
    if isinstance(template, Made):
        yield template
    elif isinstance(template, (tuple, list)):
        for value in template:
            yield from made(value)
    elif isinstance(template, dict):
        for value in template.values():
            yield from made(value)


def _allocator(slot: Slot) -> Callable:
    return np.empty if math.prod(slot.shape) * slot.dtype.itemsize < memory.LARGE else memory.empty


def _filled(value: Any) -> Any:
    """Constants in the place of their slots."""
    if isinstance(value, Slot):
        return value.source
    if isinstance(value, (tuple, list)):
        return type(value)(map(_filled, value))
    if isinstance(value, dict):
        return {key: _filled(v) for key, v in value.items()}
    return slice(*map(_filled, (value.start, value.stop, value.step))) if isinstance(value, slice) else value


def _defined(steps: list[Step]) -> set[Slot]:
    return {slot for step in steps for slot in makes(step)}


FINISHED = Node(_Finished(), cpu_kernels, (), None, (), np.dtype(np.float32))
