"""A recording as single assignments: writes in place become new values, copies of what nobody changes disappear."""
from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..capture.arrays import Slot, Step, slots_in
from ..capture.fuse import replaced

VIEWS = {"reshape", "view", "ravel", "flatten", "swapaxes", "transpose", "squeeze", "T", "mT", "getitem", "asarray",
         "broadcast_to", "expand_dims", "moveaxis", "diagonal"}


class Aliases:
    """What slots are called otherwise: `views` that show all of another; `changed`, from the step on that wrote over
    them; `same`, copies of others.
    """

    def __init__(self) -> None:
        self.views: dict[Slot, Slot] = {}
        self.changed: dict[Slot, Slot] = {}
        self.same: dict[Slot, Slot] = {}

    def __call__(self, slot: Slot) -> Slot:
        """The slot that holds the values of `slot` at the end."""
        slot = self.views.get(slot, slot)
        return self.first(self.changed.get(slot, slot))

    def first(self, slot: Slot) -> Slot:
        """The slot that has the values of `slot` when it is made."""
        slot = self.views.get(slot, slot)
        while slot in self.same:
            slot = self.same[slot]
        return slot


def simplified(forward: list[Step], backward: list[Step], wanted: list[Slot], aliases: Aliases,
               outside: set[int]) -> tuple[list[Step], list[Step]]:
    """Both lists with nothing in them that does not lead to `wanted`, or to a change of memory in `outside`."""
    forward, backward = (_without_copies(steps, aliases.views, None) for steps in (forward, backward))
    forward, backward = _assigned(forward, backward, aliases.changed)
    written = _written(forward + backward)
    forward, backward = (_without_copies(steps, aliases.same, written) for steps in (forward, backward))
    steps = needed(forward + backward, set(map(aliases, wanted)), outside)
    chosen = {id(step) for step in steps}
    return [s for s in forward if id(s) in chosen], [s for s in backward if id(s) in chosen]


def uses(step: Step) -> list[Slot]:
    """The slots that a step reads."""
    return list(slots_in((step.args, step.kwargs)))


def needed(steps: list[Step], wanted: set[Slot], outside: set[int]) -> list[Step]:
    """The steps of which something is wanted, or that write to memory which is wanted or lies outside."""
    wanted, memory, kept = set(wanted), {slot.storage for slot in wanted} | outside, []
    for step in reversed(steps):
        written = any(slot.storage in memory for slot in step.writes)
        if written or any(slot in wanted for slot in slots_in(step.out)):
            kept.append(step)
            for slot in uses(step):
                wanted.add(slot)
                memory.add(slot.storage)
    return kept[::-1]


def _written(steps: list[Step]) -> set[int]:
    return {slot.storage for step in steps for slot in step.writes}


def _assigned(forward: list[Step], backward: list[Step], names: dict[Slot, Slot]) -> tuple[list[Step], list[Step]]:
    """`y += b` as `z = y + b` and `y[...] = b` as z = b, where no view shows the memory of y."""
    shared = Counter(slot.storage for step in forward + backward if step.kind != "give" for slot in slots_in(step.out))
    result: tuple[list[Step], list[Step]] = ([], [])
    for steps, done in zip((forward, backward), result):
        for step in steps:
            _rename(step, names)
            if len(step.writes) == 1 and step.writes[0].kind == "step" and step.writes[0].whole and \
                    shared[step.writes[0].storage] == 1 and _all_of_it(step):
                slot = step.writes[0]
                value = step.args[2] if step.kind == "set" else None
                if step.kind == "set":
                    if not (isinstance(value, Slot) and value.shape == slot.shape and value.dtype == slot.dtype):
                        done.append(step)
                        continue
                    fresh = value
                else:
                    fresh = slot.again()
                    done.append(Step(step.kind, step.name, step.function, step.args,
                                     {k: v for k, v in step.kwargs.items() if k != "out"}, fresh))
                names.update({old: fresh for old, now in names.items() if now is slot})
                names[slot] = fresh
                continue
            done.append(step)
    return result


def _all_of_it(step: Step) -> bool:
    """Whether a step writes every element of its target, in a way that an assignment can say."""
    if step.kind == "set":
        return step.args[1] is Ellipsis
    return step.kind == "ufunc" and set(step.kwargs) == {"out"} and \
        all(isinstance(x, (Slot, int, float)) for x in step.args)


def _rename(step: Step, names: dict[Slot, Slot]) -> None:
    step.args, step.kwargs, step.writes = (replaced(x, names) for x in (step.args, step.kwargs, step.writes))


def _without_copies(steps: list[Step], names: dict[Slot, Slot], written: set[int] | None) -> list[Step]:
    """Without the steps whose result is their operand again: views of all of it, or copies if neither is written to.

    `written` is None where just the views are to go.
    """
    kept = []
    for step in steps:
        _rename(step, names)
        out, source = step.out, step.args[0] if step.args else None
        if isinstance(out, Slot) and isinstance(source, Slot) and step.kind != "give" and not step.writes and \
                out.shape == source.shape and out.dtype == source.dtype and _same(step, source) and (
                    out.storage == source.storage if written is None else
                    out.storage not in written and source.storage not in written):
            names[out] = source
            names.update({old: source for old, now in names.items() if now is out})
        else:
            kept.append(step)
    return kept


def _same(step: Step, source: Slot) -> bool:
    if step.name in ("copy", "reshape", "astype", "ascontiguousarray", "asarray", "broadcast_to", "array", "real"):
        return True
    if step.name == "getitem":
        key: Any = step.args[1]
        return all(k is Ellipsis or k == slice(None) for k in (key if isinstance(key, tuple) else (key,))
                   if not isinstance(k, (Slot, np.ndarray))) and not any(True for _ in slots_in(key))
    return False
