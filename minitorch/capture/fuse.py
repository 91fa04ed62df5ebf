"""Elementwise steps put together: a chain of them becomes one kernel, one pass over memory.

Going through the steps in order, a group collects elementwise steps over one shape and is put off, until a step comes
that needs one of its results or writes over one of its operands. A step that takes results of two groups joins them.
"""
from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from minitorch_kernels.fused import BOOLEAN, OPERATIONS, PART, Chain, build

from ..device import cpu_kernels
from .arrays import Slot, Step, slots_in, uses

SMALL = 4096  # elements below which a chain is not worth a kernel of its own
LARGE = 1 << 16  # elements from which a kernel, on several threads, beats even one of NumPy's functions
POINTERS = 8  # pairs of arrays that LLVM compares at most, to find out whether they overlap, before it vectorises

# NumPy's names of operations, where they are others than the kernels'
_OWN_NAMES = {"subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg",
              "absolute": "abs"}


def fuse(steps: list[Step], wanted: set[Slot]) -> list[Step]:
    """The steps, with chains of elementwise ones put together; `wanted` are needed by others afterwards."""
    steps = _with_epilogues(steps, wanted)
    after = _users(steps)
    open_groups: list[_Group] = []
    result: list[Step] = []

    def close(groups: Iterable[_Group]) -> None:
        for group in list(groups):
            open_groups.remove(group)
            result.extend(group.steps_out(after, wanted))

    for step in steps:
        used = set(uses(step))
        line = _Line.of(step)
        before = [group for group in open_groups if group.made & used]
        if line is None:
            written = {slot.storage for slot in step.writes}
            close(group for group in open_groups if step.kind == "whole" or group in before
                  or any(slot.storage in written for slot in group.used))
            result.append(step)
            continue
        group = _Group(line)
        for other in before:
            if not group.joins(other, after, wanted):
                close([other])
        open_groups[:] = [g for g in open_groups if g not in group.merged]
        open_groups.append(group)
    close(list(open_groups))
    return result


def _with_epilogues(steps: list[Step], wanted: set[Slot]) -> list[Step]:
    """A product and the activation of its result as one kernel, where nobody else needs what lies between."""
    after, made = _users(steps), {step.out: step for step in steps if isinstance(step.out, Slot)}
    joined: dict[int, Step | None] = {}
    for step in steps:
        before = made.get(step.args[0]) if step.kind == "kernel" and isinstance(step.args[0], Slot) else None
        if before is None or before.kind != "kernel" or before.out in wanted or step.writes:
            continue
        name = _EPILOGUES.get((before.name, step.name))
        if name and after[before.out] == {id(step)}:
            joined[id(before)] = Step("kernel", name, getattr(cpu_kernels, name), before.args, before.kwargs, step.out)
            joined[id(step)] = None
    return [s for s in (joined.get(id(step), step) for step in steps) if s is not None]


class _Line:
    """An elementwise step: the operation, its operands, how each is indexed, and the length of a row if one is."""

    def __init__(self, step: Step, name: str, operands: list[Any], kinds: list[str], row: int | None,
                 dtype: np.dtype):
        self.step, self.name, self.operands, self.kinds, self.row = step, name, operands, kinds, row
        self.dtype = dtype

    @staticmethod
    def of(step: Step) -> _Line | None:
        """The step as a line of a chain, if it can be one."""
        name, operands, out = _operation(step), _operands(step), step.out
        if name is None or step.writes or not isinstance(out, Slot) or not out.contiguous or \
                math.prod(out.shape) < SMALL:
            return None
        arrays = [(i, x) for i, x in enumerate(operands) if isinstance(x, Slot)]
        floats = {x.dtype for i, x in arrays if x.dtype.kind != "b" and i != _BITS.get(name)}
        if len(floats) != 1 or next(iter(floats)).char not in "fd" or \
                any((x.dtype.kind == "b") != (i == _MASKS.get(name)) for i, x in arrays) or \
                (out.dtype.kind != "b" if name in BOOLEAN else out.dtype not in floats):
            return None
        kinds, row = [], None
        for i, x in enumerate(operands):
            kind, n = ("bits", None) if i == _BITS.get(name) else _indexing(x, out.shape)
            if kind is None or (n is not None and row not in (None, n)):
                return None
            kinds.append(kind)
            row = n if n is not None else row
        if "full" not in kinds:
            return None
        return _Line(step, name, operands, kinds, row, floats.pop())


class _Group:
    """Lines over one shape that wait to become a kernel."""

    def __init__(self, line: _Line):
        self.lines, self.row = [line], line.row
        self.shape = line.step.out.shape
        self.size = math.prod(self.shape)
        self.dtype = line.dtype
        self.merged: list[_Group] = []
        self._find()

    def _find(self) -> None:
        self.made = {line.step.out for line in self.lines}
        self.used = {x for line in self.lines for x in line.operands if isinstance(x, Slot)} - self.made

    def joins(self, other: _Group, after: dict[Slot, set[int]], wanted: set[Slot]) -> bool:
        """Take the other group's lines before one's own, if both make one kernel."""
        if other.shape != self.shape or other.dtype != self.dtype or (None not in (self.row, other.row) and \
                self.row != other.row):
            return False
        lines = other.lines + self.lines
        made = {line.step.out for line in lines}
        if any(kind != "full" for line in self.lines for x, kind in zip(line.operands, line.kinds)
               if isinstance(x, Slot) and x in other.made):
            return False
        arrays = len({x for line in lines for x, kind in zip(line.operands, line.kinds)
                      if isinstance(x, Slot) and kind in ("full", "row")} - made)
        stored = sum(1 for line in lines if _needed(line, lines, after, wanted))
        if stored * arrays + stored * (stored - 1) // 2 > POINTERS:
            return False
        self.lines, self.row = lines, self.row if self.row is not None else other.row
        self.merged.append(other)
        self._find()
        return True

    def steps_out(self, after: dict[Slot, set[int]], wanted: set[Slot]) -> list[Step]:
        """The group as one step; a single line stays what it was."""
        if len(self.lines) == 1 and not (self.lines[0].name in _BY_NUMPY and self.size >= LARGE):
            return [self.lines[0].step]
        results = [i for i, line in enumerate(self.lines) if _needed(line, self.lines, after, wanted)]
        operands: list[Any] = []
        kinds: list[str] = []
        numbers = {line.step.out: f"t{i}" for i, line in enumerate(self.lines)}
        lines = []
        for line in self.lines:
            references = []
            for x, kind in zip(line.operands, line.kinds):
                if isinstance(x, Slot) and x in numbers:
                    references.append(numbers[x])
                    continue
                at = next((i for i, o in enumerate(operands) if (o is x if isinstance(x, Slot) else _equal(o, x))
                           and kinds[i] == kind), len(operands))
                if at == len(operands):
                    operands.append(x)
                    kinds.append(kind)
                references.append(f"x{at}")
            lines.append((line.name, tuple(references)))
        rows, n = (self.size, 1) if self.row is None else (self.size // self.row, self.row)
        out = [self.lines[i].step.out for i in results]
        fused = Fused(self.dtype, tuple(kinds), tuple(lines), tuple(results), rows, n)
        return [Step("fused", "fused", fused, tuple(operands), {}, out)]


class Fused:
    """A chain and its size; which results go over which operands is known only once the memory is planned."""

    def __init__(self, dtype: np.dtype, kinds: tuple, lines: tuple, results: tuple, rows: int, n: int):
        self.dtype, self.kinds, self.lines, self.results, self.rows, self.n = dtype, kinds, lines, results, rows, n

    def kernel(self, into: tuple[int | None, ...]) -> tuple[Any, tuple[int, ...]]:
        """The kernel, and its first arguments: parts, work, rows a part, elements a row, rows."""
        chain = Chain(self.dtype.name, self.kinds, self.lines, self.results, into)
        size = max(8, PART // self.n // 8 * 8)
        parts = -(-self.rows // size)
        return build(chain), (parts, self.rows * self.n * chain.cost(), size, self.n, self.rows)


def renamed(steps: list[Step], names: dict[Slot, Slot]) -> list[Step]:
    """Steps that write over a fresh array of their own, as steps with a result: `y += b` becomes `z = y + b`.

    A reshape to the same shape goes: its result is the array itself.
    `names` collects what is called otherwise from then on.
    """
    slots = [slot for step in steps for slot in slots_in(step.out)
             if step.name != "reshape" or slot.shape != step.args[0].shape]
    shared = Counter(slot.storage for slot in slots)
    escaped: set[int] = set()  # memory that is a gradient by now
    result = []
    for step in steps:
        if step.kind != "whole":
            step.args, step.kwargs, step.writes = (replaced(x, names) for x in (step.args, step.kwargs, step.writes))
        if step.name == "reshape" and step.out.shape == step.args[0].shape:
            names[step.out] = step.args[0]
            continue
        if step.kind == "ufunc" and len(step.writes) == 1 and _operation(step) is not None:
            slot = step.writes[0]
            if slot.kind == "step" and slot.whole and slot.contiguous and shared[slot.storage] <= 1 and \
                    slot.storage not in escaped and math.prod(slot.shape) >= SMALL:
                fresh = slot.again()
                names.update({old: fresh for old, now in names.items() if now is slot})
                names[slot] = fresh
                step = Step("ufunc", step.name, step.function, step.args, {}, fresh)
                step.over = slot
        elif step.kind == "grad":
            escaped.update(slot.storage for slot in uses(step))
        result.append(step)
    return result


def replaced(value: Any, names: dict[Slot, Slot]) -> Any:
    """`value` with slots under their new names."""
    if isinstance(value, Slot):
        return names.get(value, value)
    if isinstance(value, (tuple, list)):
        return type(value)([replaced(v, names) for v in value])
    if isinstance(value, dict):
        return {key: replaced(v, names) for key, v in value.items()}
    if isinstance(value, slice):
        return slice(*(replaced(v, names) for v in (value.start, value.stop, value.step)))
    return value


def _operation(step: Step) -> str | None:
    """The name in OPERATIONS of what a step does, if it is there."""
    name = _OWN_NAMES.get(step.name, step.name)
    if name in ("gelu", "gelu_dx") and step.args[-1] == "tanh":
        name = name.replace("gelu", "gelu_tanh")
    if name not in OPERATIONS or (step.kind not in ("ufunc", "kernel") and (step.kind, name) not in _OTHERS) or \
            any(key != "out" for key in step.kwargs):
        return None
    return name if len(_operands(step)) == _ARITIES[name] else None


def _operands(step: Step) -> list[Any]:
    return [x for x in step.args if not isinstance(x, str)]


def _indexing(x: Any, shape: tuple[int, ...]) -> tuple[str | None, int | None]:
    """How an operand is indexed in a loop over `shape`, and the length of a row where that counts."""
    if not isinstance(x, Slot):
        return ("scalar" if isinstance(x, (int, float, np.floating)) else None), None
    if math.prod(x.shape) == 1:
        return "scalar", None
    if not x.contiguous or x.kind == "grad":
        return None, None
    if x.shape == shape:
        return "full", None
    padded = (1,) * (len(shape) - len(x.shape)) + x.shape
    for k in range(1, len(shape)):
        ones, rest = (1,) * k, (1,) * (len(shape) - k)
        if padded == ones + shape[k:]:
            return "row", math.prod(shape[k:])
        if padded == shape[:k] + rest:
            return "column", math.prod(shape[k:])
    return None, None


def _needed(line: _Line, lines: list[_Line], after: dict[Slot, set[int]], wanted: set[Slot]) -> bool:
    """Whether a line's result is used by others than these lines."""
    out = line.step.out
    return out in wanted or not after.get(out, set()) <= {id(other.step) for other in lines}


def _users(steps: list[Step]) -> dict[Slot, set[int]]:
    """The steps that use each slot."""
    users: dict[Slot, set[int]] = {}
    for step in steps:
        for slot in uses(step):
            users.setdefault(slot, set()).add(id(step))
    return users


def _equal(a: Any, b: Any) -> bool:
    return not isinstance(a, Slot) and type(a) is type(b) and a == b


_EPILOGUES = {("linear", "relu"): "linear_relu", ("conv2d", "relu"): "conv2d_relu"}
_BY_NUMPY = {"add", "sub", "mul", "div", "neg", "copy", "abs", "square", "sqrt", "reciprocal", "maximum", "minimum",
             "where", "relu"}
_OTHERS = {("call", "where"), ("method", "copy")}
_MASKS = {"where": 0, "masked_scale": 1}  # operations with a mask, and its place
_BITS = {"dropout": 1}  # with a mask of bits
_ARITIES = {name: 1 + max(int(n) for n in re.findall(r"{(\d)}", "".join(text))) for name, text in OPERATIONS.items()}
