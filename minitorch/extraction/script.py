"""The script: the functions that it needs, forward, backward, and a main that checks the numbers."""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import numpy as np

from ..capture.arrays import Slot, Step, slots_in
from .expressions import ATOM, Text, constant, expression, statement, text_of
from .layout import BODY, aligned, in_brackets, joined, unpacked, wrapped
from .library import Library
from .names import Names, chosen, identifier
from .rolling import Roll, rolls
from .simplify import Aliases, needed, simplified, uses
from .tape import Run

SHAPING = {"reshape", "swapaxes", "transpose", "squeeze", "expand_dims", "moveaxis"}
LONG = 84  # characters from which an expression is said in several lines
RESERVED = {"np", "p", "grads", "saved", "load", "forward", "backward", "loss_and_grads", "main", "math", "Path",
            "check_gradients", "inputs", "EXPECTED", "product", "prod", "SimpleNamespace"}


class Script:
    """A run as Python: `forward` and `backward` are the lines of these functions."""

    def __init__(self, run: Run, inputs: list[str], tensors: dict[int, str]):
        self.run, self.tape, self.inputs = run, run.tape, inputs
        self.steps: list[Step] = []
        self.library: Library
        self.final = Aliases()
        tape, outside = run.tape, set()
        for _, traced in tape.tensors.values():
            if traced.slot.dtype.kind == "f":
                outside.add(traced.slot.storage)
        outputs = [traced.slot for traced in run.outputs]
        grads = [traced.slot for _, traced in run.grads.values()]
        self.forward_steps, self.backward_steps = simplified(run.forward, run.backward, outputs + grads, self.final,
                                                             outside)
        self.outputs = [self.final(slot) for slot in outputs]
        for step in self.backward_steps:
            if isinstance(step.function, Slot):
                step.function = self.final(step.function)
        wanted = {*self.outputs, *map(self.final, grads)}
        self._count(wanted)
        _check(self.steps)
        for step in self.steps:  # without the arguments that no function looks at, and what led to them
            if step.kind == "kernel":
                step.args, step.kwargs = (), self.library.arguments(step)
        used = self._kernel_results()
        self.uses = Counter([*(slot for step in self.steps for slot in uses(step)), *wanted])
        chosen_steps = {id(step) for step in needed(self.steps, wanted, outside)}
        self.forward_steps = [s for s in self.forward_steps if id(s) in chosen_steps]
        self.backward_steps = [s for s in self.backward_steps if id(s) in chosen_steps]
        if len(chosen_steps) < len(self.steps) or used != self._kernel_results():
            self._count(wanted)
        self.written = {slot.storage for step in self.steps for slot in step.writes}
        self.names = Names(RESERVED | set(inputs) | self.library.names)
        self.makers = {slot: step for step in self.steps for slot in slots_in(step.out)}
        self.called: dict[Slot, str] = {}  # the names of slots
        self.unwritten: dict[Slot, str] = {}  # of values that have no line of their own, for their gradients
        self.constants: dict[str, np.ndarray] = {}
        self.parameters: dict[str, Any] = {}
        self.given_to = {slot: f"{_short(self.tape.paths.get(id(step), ''))}.{name}".lstrip(".")
                         for step in self.steps if step.kind == "kernel"
                         for name, slot in step.kwargs.items() if isinstance(slot, Slot)}
        self._name_outside(tensors)
        self.labels: dict[Slot, list[str]] = {}
        for slot, labels in tape.labels.items():
            own = self.labels.setdefault(self.final.first(slot), ["", "", ""])
            for i, label in enumerate(labels):
                own[i] = own[i] or label
        self.values = {self.final(slot) for slot in tape.values.values()}
        self.rolls = rolls(self.forward_steps, self.backward_steps, tape.paths, self.called, self.outputs)
        self.rolled = {i for roll in self.rolls for i in roll.ids}
        self.inside: list[Roll] = []  # whose function is being written
        self.template: tuple[str, str] | None = None  # the name of the block that it is written from, and its kind
        self.functions: list[str] = []  # of the modules that are repeated
        self.kept_by_rolls: list[str] = []
        self.passing = set(self._passing())
        self._name_values()
        self._name_gradients(self.backward_steps)
        self.forward_ids = {id(step) for step in self.forward_steps}
        self.read_backward = {slot for step in self.backward_steps for slot in uses(step)}
        self.inline: set[Slot] = {slot for slot in self.makers if self._inlined(slot)}
        self._direct = self._direct_targets()
        forward_made = {slot for step in self.forward_steps for slot in slots_in(step.out)}
        self.input_arrays = dict(zip(inputs, self._input_arrays()))
        given = {t.slot for t in self.input_arrays.values()}
        self.gradients = {key: self._gradient_name(tape.tensors[key][1].slot)[7:-2] for key in run.grads}
        self.forward_lines = list(self._written_lines(self.forward_steps, shapes=True))
        forward_made |= {slot for slot in self.called if slot.kind in ("constant", "copied")
                         and not self.called[slot].startswith("p[")}
        self.backward_lines = list(self._written_lines(self.backward_steps, shapes=False))
        outer = [step for step in self.backward_steps if id(step) not in self.rolled]
        kept = (forward_made | given) & {slot for step in outer for slot in self._reads(step)}
        self.saved = [self.called[slot] for slot in sorted(kept, key=lambda s: s.number)
                      if slot in self.called] + self.kept_by_rolls

    def _reads(self, step: Step) -> Iterator[Slot]:
        """The slots that the line of a step names."""
        for slot in uses(step):
            if slot in self.inline:
                yield from self._reads(self.makers[slot])
            else:
                yield slot

    def _count(self, wanted: set[Slot]) -> None:
        self.steps = self.forward_steps + self.backward_steps
        self.uses = Counter([*(slot for step in self.steps for slot in uses(step)), *wanted])
        kernels = [step for step in self.steps if step.kind == "kernel"]
        self.library = Library(kernels, set(self.uses), RESERVED | set(self.inputs))

    def _kernel_results(self) -> set[Slot]:
        """The results of kernels that something uses."""
        return {slot for step in self.steps if step.kind == "kernel" for slot in slots_in(step.out) if self.uses[slot]}

    # Names

    def _input_arrays(self) -> list[Any]:
        return [self.tape.tensors[id(t)][1] for t in self.run.inputs]

    def _name_outside(self, tensors: dict[int, str]) -> None:
        """Inputs by their arguments' names, all other tensors as p["name"]."""
        known, inputs = self.tape.tensors, {id(t): name for t, name in zip(self.run.inputs, self.inputs)}
        others = 0
        read = {slot for step in self.steps for slot in uses(step)} | set(self.outputs)
        for key, (_, traced) in known.items():
            if key in inputs:
                self.called[traced.slot] = inputs[key]
            elif traced.slot in read or key in self.run.grads:
                name = tensors.get(key)
                if name is None:
                    others += 1
                    name = f"tensor{others}"
                while name in self.parameters:
                    name += "_"
                self.called[traced.slot] = f'p["{name}"]'
                self.parameters[name] = self.tape.before[traced.slot.number]
        for i, traced in enumerate(self.run.dys):
            self.called[traced.slot] = f"dy{i}"

    def _name_values(self) -> None:
        for roll in self.rolls:
            label = self.labels.get(roll.result, ["", "", ""])[0]
            self.called[roll.result] = self.names.new(label or "x")
            outside = [step for step in self.steps if id(step) not in roll.ids]
            if roll.x in self.makers and not any(roll.x in uses(step) for step in outside):
                self.called[roll.x] = self.called[roll.result]  # one variable goes through all blocks
        for slot in self.outputs:
            if slot in self.makers and chosen(self.labels.get(slot, ["", "", ""]))[1]:
                self.called.setdefault(slot, self.names.new("loss" if slot.shape == () else "out"))
        self._name_results([step for step in self.forward_steps if id(step) not in self.rolled])
        for i, slot in enumerate(self.outputs):
            if not self.called[slot].startswith("p["):
                self.called[self.run.dys[i].slot] = f"d_{self.called[slot]}"
            else:
                self.called[self.run.dys[i].slot] = "d_out"

    def _passing(self) -> Iterator[Slot]:
        """Values that nobody named, which only show another in a new shape on the way to a third."""
        given: dict[Any, list[Step]] = {}  # the gradients that each value gets
        for step in self.backward_steps:
            if step.kind == "give":
                given.setdefault(step.function, []).append(step)
        for step in self.forward_steps:
            slot = step.out
            if step.name not in SHAPING or not isinstance(slot, Slot) or self.uses[slot] != 1 or slot in self.outputs:
                continue
            gives = given.get(slot, [])
            once = all(self.uses[g.out] == 1 and isinstance(getattr(self.makers.get(g.args[0]), "out", None), Slot)
                       for g in gives)
            if once and len(gives) < 2 and chosen(self.labels.get(slot, ["", "", ""]))[1]:
                yield slot

    def _name_results(self, steps: list[Step]) -> None:
        for step in steps:
            first = ""
            for slot, name in zip_longest(slots_in(step.out), self.library.result_names(step)
                                          if step.kind == "kernel" else []):
                if slot is None or slot in self.called or slot in self.passing:
                    continue
                if slot in self.values or slot in self.labels:
                    labels = self.labels.get(slot, ["", "", step.name])
                    labels = [*labels[:2], step.name if step.kind == "kernel" else labels[2]]
                    self.called[slot] = self.names.new(*chosen(labels))
                    first = first or self.called[slot]
                elif first and name:
                    self.called[slot] = self.names.new(f"{first}_{name}")

    def _name_gradients(self, steps: list[Step]) -> None:
        for step in steps:
            if step.kind == "give" and id(step) not in self.rolled and step.function not in self.passing:
                self.called[step.out] = self._gradient_name(step.function)
        for roll in self.rolls:
            self.called[roll.dx] = self._gradient_name(roll.x)

    def _gradient_name(self, value: Slot | None) -> str:
        value = None if value is None else self.final(value)
        name = None if value is None else self.called.get(value) or self.unwritten.get(value)
        if name is None:
            labels = self.labels.get(value) if value is not None else None
            name = self.names.new(*chosen(labels or ["", "", "t"]))
            if value is not None:
                self.unwritten[value] = name
        if value is not None and value.kind == "tensor":
            return f'grads["{name[3:-2]}"]' if name.startswith("p[") else f'grads["{name}"]'
        return f"d_{name}"

    # Lines

    def _inlined(self, slot: Slot) -> bool:
        """Whether a value is written where it is used: the only time, and nothing that it reads changes."""
        step = self.makers[slot]
        if self.uses[slot] != 1 or slot in self.called or step.writes or slot in self.outputs or \
                not isinstance(step.out, Slot) or slot.storage in self.written:
            return False
        if slot in self.read_backward and id(step) in self.forward_ids:
            return False
        return not any(s.storage in self.written for s in uses(step))

    def _direct_targets(self) -> dict[Slot, Slot]:
        """The results of kernels with several that are gradients as they are: slot -> the gradient's slot."""
        direct: dict[Slot, Slot] = {}
        for step in self.backward_steps:
            if step.kind == "give" and self.uses[step.args[0]] == 1:
                maker = self.makers.get(step.args[0])
                if maker is not None and not isinstance(maker.out, Slot):
                    direct[step.args[0]] = step.out
        return direct

    def text(self, value: Any, dtype: Any = None) -> Text:
        return text_of(value, self._slot_text, dtype)

    def _slot_text(self, slot: Slot) -> Text:
        if slot in self.inline:
            step = self.makers[slot]
            return self._expression(step)
        if slot in self.called:
            return self.called[slot], ATOM
        if slot.kind in ("constant", "copied") or slot not in self.makers:
            return self._constant(slot)
        maker = self.makers[slot]
        if maker in self.backward_steps and not isinstance(maker.out, Slot):
            self.called[slot] = self.names.new("dx")
        else:
            self.called[slot] = self.names.new(chosen(["", "", maker.name])[0], True)
        return self.called[slot], ATOM

    def _expression(self, step: Step) -> Text:
        try:
            return self._said(step)
        except LookupError as error:
            raise NotImplementedError(f"extract: {step.name} cannot be written in NumPy: {error}") from None

    def _said(self, step: Step) -> Text:
        if step.kind == "kernel":
            return self.library.call(step, self.text), ATOM
        out = step.out if isinstance(step.out, Slot) else None
        made = expression(step, lambda value: self.text(value, out.dtype if out is not None else None))
        return made

    def _constant(self, slot: Slot) -> Text:
        array = np.asarray(slot.source)
        if slot not in self.tape.drawn:
            short = constant(array)
            if short is not None:
                return short, ATOM
        for name, known in self.constants.items():
            if known is array or (known.shape == array.shape and known.dtype == array.dtype and
                                  np.array_equal(known, array)):
                return self.called.setdefault(slot, f'p["{name}"]'), ATOM
        path = self.tape.drawn.get(slot)
        base = self.given_to.get(slot, "constant") if path is None else f"{_short(path)}.random".lstrip(".")
        name, n = base, 2
        while name in self.constants or name in self.parameters:
            name, n = f"{base}{n}", n + 1
        self.constants[name] = array
        self.called[slot] = f'p["{name}"]'
        return self.called[slot], ATOM

    def _written_lines(self, steps: list[Step], shapes: bool) -> Iterator[str]:
        path: str | None = None
        block: list[tuple[str, str]] = []
        for step in steps:
            roll = next((roll for roll in self.rolls if id(step) in roll.ids), None)
            if roll is not None and roll not in self.inside:
                if step in (roll.forward[0][0], roll.backward[-1][0]):
                    yield from aligned(block)
                    block, path = [], None
                    yield from ["", *self._loop(roll, shapes), ""]
                continue
            if isinstance(step.out, Slot) and step.out in self.inline:
                continue
            lines = [*self._begun(step), *self._step_lines(step, shapes)]
            if not lines:
                continue
            now = self.tape.paths.get(id(step), "")
            if now != path:
                yield from aligned(block)
                block = []
                if path is not None:
                    yield ""
                yield from self._heading(now, shapes)
                path = now
            block += [(_generic(code, *self.template), comment) for code, comment in lines] if self.template else lines
        yield from aligned(block)

    def _loop(self, roll: Roll, forward: bool) -> Iterator[str]:
        """The calls of the function for a row of blocks; going forward, that function is written first."""
        n, x, dx = len(roll.forward), self.called[roll.result], self.called[roll.gradient]
        last = roll.own.rpartition(".")[2]
        numbers = f"{roll.base}, {roll.base + n}" if roll.base else str(n)
        if forward:
            kind = type(self.tape.scopes.kinds[f"{roll.prefix}.{roll.base}"]).__name__
            roll.name = self.names.new(identifier(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()))
            roll.kept = self.names.new(f"saved_{identifier(last)}")
            others = "".join(f", {self._slot_text(slot)[0]}" for slot in roll.others)
            self._write_functions(roll)
            self.kept_by_rolls.append(roll.kept)
            yield f"# {roll.own}.{roll.base} to {roll.own}.{roll.base + n - 1}"
            if self.called[roll.x] != x:
                yield f"{x} = {self.called[roll.x]}"
            yield f"{roll.kept} = {{}}"
            yield f"for i in range({numbers}):"
            call = f'{roll.name}(p, f"{roll.own}.{{i}}", {x}{others})'
            yield f"    {x}, {roll.kept}[i] = {call}  # {roll.result.shape}"
            return
        yield f"# {roll.own}.{roll.base + n - 1} to {roll.own}.{roll.base}"
        yield f"for i in reversed(range({numbers})):"
        yield f'    {dx} = {roll.name}_backward(p, f"{roll.own}.{{i}}", {roll.kept}[i], grads, {dx})'
        if self.called[roll.dx] != dx:
            yield f"{self.called[roll.dx]} = {dx}"

    def _write_functions(self, roll: Roll) -> None:
        """The two functions for a row of blocks: block 0, in which the parameters' names begin with `name`."""
        first = f"{roll.own}.{roll.base}"
        outer, outer_names, gone = dict(self.called), self.names, self.rolled
        self.names = Names(RESERVED | self.library.names | {"name", roll.name, "i"} |
                           {self._slot_text(slot)[0] for slot in roll.others})
        self.inside.append(roll)
        self.rolled = set()
        for slot in [roll.x, roll.dx, roll.y, roll.dy, *roll.same[0]]:
            if slot.kind in ("step", "dy") and slot not in roll.others:
                self.called.pop(slot, None)
        self.called[roll.x] = self.names.new("x")
        self._name_results(roll.forward[0])
        self.called.setdefault(roll.y, self.names.new("y"))
        self.called[roll.dy] = f"d_{self.called[roll.y]}"
        for step in roll.backward[0]:
            if step.kind == "give" and step.function not in self.passing:
                self.called[step.out] = self._gradient_name(step.function)
        inline, direct = self.inline, self._direct
        self.inline = {slot for slot in self.makers if self._inlined(slot)}
        self._direct = self._direct_targets()
        kind = type(self.tape.scopes.kinds[f"{roll.prefix}.{roll.base}"]).__name__
        before, self.template = self.template, (first, kind)
        ahead = list(self._written_lines(roll.forward[0], shapes=True))
        back = list(self._written_lines(roll.backward[0], shapes=False))
        made = {slot for step in roll.forward[0] for slot in slots_in(step.out)} | {roll.x, *roll.others}
        kept = sorted({slot for step in roll.backward[0] for slot in self._reads(step)} & made, key=lambda s: s.number)
        saved = [self.called[slot] for slot in kept if not self.called[slot].startswith("p[")]
        for slot, name in list(self.called.items()):
            if name.startswith(f'p["{first}.') and name[3:-2] in self.constants:
                for i, pairs in enumerate(roll.same, roll.base):
                    self.constants[name[3:-2].replace(f"{first}.", f"{roll.own}.{i}.", 1)] = pairs[slot].source
        y, dy = self.called[roll.y], self.called[roll.dy]
        others = "".join(f", {self._slot_text(slot)[0]}" for slot in roll.others)
        n, dx, self.template = len(roll.forward), self.called[roll.dx], before
        last = f"{roll.own}.{roll.base + n - 1}"
        text = _generic("\n".join(ahead), first, kind), _generic("\n".join(back), first, kind)
        self.functions.append(joined(
            f"def {roll.name}(p, name, {self.called[roll.x]}{others}):",
            f"{kind} for {first} to {last}: its result, and what backward needs.",
            [*text[0].split("\n"), "", *wrapped(f"saved = {in_brackets(saved)}", BODY), f"return {y}, saved"]))
        self.functions.append(joined(
            f"def {roll.name}_backward(p, name, saved, grads, {dy}):",
            "The gradient of its x; those of its parameters go into `grads`.",
            [*unpacked(saved), "", *text[1].split("\n"), f"return {dx}"]))
        self.inline, self._direct = inline, direct
        self.called, self.names, self.rolled = outer, outer_names, gone
        self.inside.pop()

    def _begun(self, step: Step) -> Iterator[tuple[str, str]]:
        """A constant that is written to gets a name before its first use."""
        for slot in uses(step):
            if slot in self.inline:
                yield from self._begun(self.makers[slot])
            elif slot.kind in ("constant", "copied") and slot.storage in self.written and slot not in self.called and \
                    slot not in self.makers:
                text = self._constant(slot)[0]
                self.called[slot] = self.names.new("filled")
                yield f"{self.called[slot]} = {text}" + ".copy()" * text.startswith("p["), ""

    def _heading(self, path: str, options: bool) -> Iterator[str]:
        module = self.tape.scopes.kinds.get(path)
        if module is None or "." not in path:
            return
        text = f"# {_short(path)}: {module!r}"
        fits = options and "\n" not in text and len(text) <= BODY
        yield text if fits else f"# {_short(path)}: {type(module).__name__}"

    def _step_lines(self, step: Step, shapes: bool) -> Iterator[tuple[str, str]]:
        if step.writes:
            yield statement(step, self.text), _note(step)
            return
        if step.kind == "give" and step.args[0] in self._direct:
            return
        outs = self.library.outputs(step) if step.kind == "kernel" else \
            [step.out] if isinstance(step.out, Slot) else list(step.out)
        for _ in range(8):
            text, binds = self._expression(step)
            children = [s for s in uses(step) if s in self.inline]
            if len(text) <= (LONG if binds == ATOM else LONG * 3 // 2) or not children:  # an operator can be broken at
                break
            largest = max(children, key=lambda s: len(self._slot_text(s)[0]))
            if len(self._slot_text(largest)[0]) < 24:
                break
            self.inline.discard(largest)
            yield from self._step_lines(self.makers[largest], shapes)
        targets = ", ".join(self._target(slot) for slot in outs)
        if targets == text:
            return
        shown = [slot for slot in outs if isinstance(slot, Slot)]
        comment = str(shown[0].shape) if shapes and shown else ""
        length = len(f"{targets} = {text}") + len(f"  # {comment}") * bool(comment)
        if length > BODY and self._expression(step)[1] < ATOM:
            text = f"({text})"  # so that it can be broken
        if len(targets) + len(text.partition("(")[0]) + 4 > BODY:
            targets = f"({targets})"
        yield f"{targets} = {text}", comment

    def _target(self, slot: Any) -> str:
        if not isinstance(slot, Slot) or not self.uses[slot]:
            return "_"
        slot = self._direct.get(slot, slot)
        return self._slot_text(slot)[0]


def _generic(text: str, prefix: str, kind: str) -> str:
    """The lines of the first block, called `prefix`, as those of the block called `name`."""
    text = text.replace(f'"{prefix}.', 'f"{name}.').replace(f"# {prefix}.", "# ")
    return re.sub(rf"^# {re.escape(prefix)}: .*$", f"# {kind}", text, flags=re.M)


def _check(steps: list[Step]) -> None:
    """Raise NotImplementedError for what plain NumPy in float32 or float64 cannot say."""
    for step in steps:
        for slot in (*uses(step), *slots_in(step.out)):
            if slot.dtype.char in "eEV" or slot.dtype.kind == "V":
                raise NotImplementedError(f"extract: {step.name} works on {slot.dtype}: float32 and float64 only")


def _short(path: str) -> str:
    return path.partition(".")[2]


def _note(step: Step) -> str:
    return "moves with each call" if any(slot.kind == "tensor" for slot in step.writes) else ""
