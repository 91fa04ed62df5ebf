"""Modules of one kind in a row, the layers of a transformer: found, so that one function can be written for all."""
from __future__ import annotations

import re
from typing import Any

import numpy as np

from ..capture.arrays import Slot, Step, slots_in
from .simplify import uses

LEAST = 4  # steps of a block that are worth a function


class Roll:
    """Blocks `prefix.BASE`, `prefix.BASE+1`, ... that do the same to what the one before made.

    `forward[i]` and `backward[i]` are the steps of the i-th, `same[i]` leads from slots of the first to those of it.
    `x`, `y` are the input and the result of the first, `dy`, `dx` their gradients, `others` what all use besides.
    """

    def __init__(self, prefix: str, base: int, forward: list[list[Step]], backward: list[list[Step]]):
        self.prefix, self.base, self.forward, self.backward = prefix, base, forward, backward
        self.ids = {id(step) for steps in (*forward, *backward) for step in steps}
        self.same: list[dict[Slot, Slot]] = []
        self.x = self.y = self.dy = self.dx = Slot.__new__(Slot)
        self.others: list[Slot] = []
        self.name = self.kept = ""  # of the function, and of what it saves

    @property
    def own(self) -> str:
        """The prefix as parameters have it, without the name of the whole model."""
        return self.prefix.partition(".")[2]

    @property
    def result(self) -> Slot:
        """What the last block makes."""
        return self.same[-1][self.y]

    @property
    def gradient(self) -> Slot:
        """The gradient that the last block gets."""
        return self.same[-1][self.dy]


def rolls(forward: list[Step], backward: list[Step], paths: dict[int, str], called: dict[Slot, str],
          outputs: list[Slot]) -> list[Roll]:
    """All rows of blocks that can be written as one function, outermost ones."""
    found: list[Roll] = []
    prefixes = {m[1] for step in forward if (m := re.match(r"(.+?)\.\d+(\.|$)", paths.get(id(step), "")))}
    for prefix in sorted(prefixes):
        pattern = re.compile(re.escape(prefix) + r"\.(\d+)(\.|$)")
        ahead, back = (_blocks(steps, paths, pattern) for steps in (forward, backward))
        if ahead is None or back is None or len(ahead) != len(back) or len(ahead) < 2 or len(ahead[0]) < LEAST:
            continue
        for base in (0, 1):  # the first may differ: nothing needs the gradient of what it gets
            roll = Roll(prefix, base, ahead[base:], back[::-1][base:])
            if len(roll.forward) > 1 and _alike(roll, called) and _chained(roll, forward + backward, outputs, called):
                found.append(roll)
                break
    return found


def _blocks(steps: list[Step], paths: dict[int, str], pattern: Any) -> list[list[Step]] | None:
    """The steps of each block, if they follow one another without a gap."""
    numbers = [int(m[1]) if (m := pattern.match(paths.get(id(step), ""))) else -1 for step in steps]
    inside = [i for i, n in enumerate(numbers) if n >= 0]
    if not inside or inside[-1] - inside[0] + 1 != len(inside):
        return None
    order = list(dict.fromkeys(numbers[i] for i in inside))
    if order not in (list(range(len(order))), list(range(len(order)))[::-1]):
        return None
    blocks = [[steps[i] for i in inside if numbers[i] == n] for n in order]
    return blocks if [step for block in blocks for step in block] == steps[inside[0]:inside[-1] + 1] else None


def _alike(roll: Roll, called: dict[Slot, str]) -> bool:
    """Whether all blocks do the same, which fills `same`."""
    first = roll.forward[0] + roll.backward[0]
    made = {slot for step in first for slot in slots_in(step.out)}
    for i, (ahead, back) in enumerate(zip(roll.forward, roll.backward)):
        pairs: dict[Slot, Slot] = {}
        steps = ahead + back
        if len(steps) != len(first) or len(ahead) != len(roll.forward[0]):
            return False
        names = (f'p["{roll.own}.{roll.base}.', f'p["{roll.own}.{roll.base + i}.')
        for a, b in zip(first, steps):
            if (a.kind, a.name) != (b.kind, b.name) or not all(
                    _match(x, y, pairs, made, called, names) for x, y in
                    ((a.args, b.args), (a.kwargs, b.kwargs), (a.writes, b.writes))):
                return False
            known = isinstance(a.function, Slot) and (a.function in pairs or a.function.kind == "tensor")
            if a.kind == "give" and known and not _match(a.function, b.function, pairs, made, called, names):
                return False
            ours, theirs = list(slots_in(a.out)), list(slots_in(b.out))
            if [s.shape for s in ours] != [s.shape for s in theirs]:
                return False
            pairs.update(zip(ours, theirs))
        roll.same.append(pairs)
    return True


def _match(a: Any, b: Any, pairs: dict[Slot, Slot], made: set[Slot], called: dict[Slot, str],
           names: tuple[str, str]) -> bool:
    if isinstance(a, Slot) and isinstance(b, Slot):
        if a in pairs:
            return pairs[a] is b
        if a in made or a.shape != b.shape or a.dtype != b.dtype or a.kind != b.kind:
            return False
        pairs[a] = b
        if a.kind == "tensor":
            own, other = called.get(a, ""), called.get(b, "")
            return (a is b and not own.startswith(names[0])) or \
                (own.startswith(names[0]) and own.replace(*names) == other)
        return a.kind != "constant" or np.shape(a.source) == np.shape(b.source)
    if type(a) is not type(b):
        return False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(_match(x, y, pairs, made, called, names) for x, y in zip(a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_match(a[k], b[k], pairs, made, called, names) for k in a)
    if isinstance(a, slice):
        return _match((a.start, a.stop, a.step), (b.start, b.stop, b.step), pairs, made, called, names)
    return a is b or bool(np.all(a == b))


def _chained(roll: Roll, steps: list[Step], outputs: list[Slot], called: dict[Slot, str]) -> bool:
    """Whether each block takes one value from the block before and hands one gradient back, and nothing else leaves."""
    made = [{slot for step in block for slot in slots_in(step.out)} for block in (roll.forward[0], roll.backward[0])]
    moving = {a for pairs in roll.same for a, b in pairs.items() if a is not b and a.kind in ("step", "dy")}
    outer = [a for a in moving if a not in made[0] | made[1]]
    made_in_backward = {slot for block in roll.backward for step in block for slot in slots_in(step.out)}
    gradients = [a for a in outer if any(p[a] in made_in_backward for p in roll.same)]
    values = [a for a in outer if a not in gradients]
    if len(values) != 1 or len(gradients) != 1:
        return False
    roll.x, roll.dy = values[0], gradients[0]
    last = len(roll.same) - 1
    y = [a for a in made[0] if roll.same[0].get(a) is roll.same[1][roll.x]]
    dx = [a for a in made[1] if roll.same[1].get(a) is roll.same[0][roll.dy]]
    if len(y) != 1 or len(dx) != 1:
        return False
    roll.y, roll.dx = y[0], dx[0]
    for i in range(last):
        if roll.same[i][roll.y] is not roll.same[i + 1][roll.x] or \
                roll.same[i + 1][roll.dx] is not roll.same[i][roll.dy]:
            return False
    leaving = {roll.result, roll.dx}
    everything = {slot for i in range(last + 1) for slot in roll.same[i].values()
                  if slot in _all_made(roll)} - leaving
    outside = {slot for step in steps if id(step) not in roll.ids for slot in uses(step)} | set(outputs)
    parameters = {step.out for block in roll.backward for step in block
                  if step.kind == "give" and isinstance(step.function, Slot) and step.function.kind == "tensor"}
    used = {a for step in roll.forward[0] + roll.backward[0] for a in uses(step)}
    roll.others = sorted((a for a in used if a not in made[0] | made[1] and a not in (roll.x, roll.dy)
                          and a.kind in ("step", "tensor") and not called.get(a, "").startswith("p[")),
                         key=lambda s: s.number)
    return not (everything & outside) - parameters and not any(
        slot in outside for slot in parameters & everything)


def _all_made(roll: Roll) -> set[Slot]:
    return {slot for block in (*roll.forward, *roll.backward) for step in block for slot in slots_in(step.out)}
