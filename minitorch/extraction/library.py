"""The functions of a script: the references of the kernels that it calls, and what those call in turn."""
from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from minitorch_kernels import table

from ..capture.arrays import Slot, Step, slots_in
from .facts import UNKNOWN, Array, alike, joined
from .folding import FOLDED, Folded, Source
from .layout import wrapped
from .pruning import live, loaded_in, overwritten
from .trees import Put
from .writing import docstring, written


class Library:
    """The functions for some steps, which are calls of kernels: `text` is their source, `call` writes a call."""

    def __init__(self, steps: list[Step], used: set[Slot], taken: set[str]):
        self.steps, self.used = steps, used
        self.entries = {_reference(step.name): step.name for step in steps}
        self._facts: dict[Any, dict[str, Any]] = {}
        self._folded: dict[Any, Folded] = {}
        self._inner: set[Any] = set()  # functions that others here call
        self._loose: set[Any] = set()  # functions that are called in a way whose arguments cannot be told apart
        for step in steps:
            self._join(_reference(step.name), self._of_step(step))
        self._settle()
        self._kept_results = {f: self._results(f) for f in self._folded}
        self._trim()
        self._merge()
        self._trim()
        self._names = self._named(taken)

    def __call__(self, function: Any) -> Source:
        return _source(function)

    def result(self, function: Any, facts: dict[str, Any]) -> Any:
        """The constant that a function returns for such arguments, or UNKNOWN."""
        source = self(function)
        if len(source.tree.body) > 2:
            return UNKNOWN
        body = Folded(source, facts, self).body
        one = body[0] if len(body) == 1 else None
        if isinstance(one, ast.Return) and isinstance(one.value, ast.Constant):
            return one.value.value
        return UNKNOWN

    # What is known of arguments

    def _bound(self, step: Step) -> dict[str, Any]:
        source = self(_reference(step.name))
        return {**dict(zip(source.params[1:], step.args)), **step.kwargs}

    def _of_step(self, step: Step) -> dict[str, Any]:
        source, given = self(_reference(step.name)), self._bound(step)
        return {p: _known(given[p]) if p in given else
                ast.literal_eval(source.defaults[p]) if p in source.defaults else UNKNOWN for p in source.params[1:]}

    def _join(self, function: Any, facts: dict[str, Any]) -> bool:
        """Take another call's arguments into account; whether that changed anything."""
        before = self._facts.get(function)
        if before is None:
            self._facts[function] = dict(facts)
            return True
        changed = False
        for p in before:
            now = joined(before[p], facts.get(p, UNKNOWN))
            changed = changed or not alike(now, before[p])
            before[p] = now
        return changed

    def _settle(self) -> None:
        """Fold all functions until what is known of their arguments changes no more."""
        pending = list(self._facts)
        while pending:
            function = pending.pop()
            self._folded[function] = folded = Folded(self(function), self._facts[function], self)
            for callee, facts in folded.calls:
                self._inner.add(callee)
                if not facts:
                    self._loose.add(callee)
                if self._join(callee, facts or dict.fromkeys(self(callee).params, UNKNOWN)):
                    pending.append(callee)

    # What is left out

    def _results(self, function: Any) -> list[int] | None:
        """Which of several results the script uses; None where a function has one, or where all count."""
        if function not in self.entries or function in self._inner:
            return None
        returns: list[Any] = [n for s in self._folded[function].body for n in ast.walk(s) if isinstance(n, ast.Return)]
        if not returns or not all(isinstance(r.value, ast.Tuple) and not any(
                isinstance(e, ast.Starred) for e in r.value.elts) for r in returns):
            return None
        calls = [step for step in self.steps if self.entries[function] == step.name]
        outs = [step.out if isinstance(step.out, (list, tuple)) else [step.out] for step in calls]
        if len({len(r.value.elts) for r in returns} | {len(out) for out in outs}) != 1:
            return None
        kept = [i for i in range(len(outs[0])) if any(isinstance(o[i], Slot) and o[i] in self.used for o in outs)]
        for r in returns:
            elements = [r.value.elts[i] for i in kept]
            r.value = elements[0] if len(kept) == 1 else ast.Tuple(elements, ast.Load())
        return kept

    def _trim(self) -> None:
        """Drop assignments that nobody reads and parameters that nobody uses, until all are used."""
        for _ in range(20):
            before = sum(len(ast.unparse(s)) for f in self._folded.values() for s in f.body)
            for function, folded in self._folded.items():
                folded.body = live(folded.body)
                loaded = loaded_in(folded.body)
                source = self(function)
                folded.params = source.params if function in self._loose else [
                    p for p in source.params if p in loaded and p != "xp"]
                folded.params = [p for p in folded.params if p != "xp" and not (
                    isinstance(self._facts[function].get(p, UNKNOWN), FOLDED) and overwritten(p, folded.body))]
            for folded in self._folded.values():
                for s in folded.body:
                    for node in ast.walk(s):
                        if hasattr(node, "bound"):
                            self._fill(node)
            if before == sum(len(ast.unparse(s)) for f in self._folded.values() for s in f.body):
                break

    def _fill(self, call: Any) -> None:
        """The arguments of a call that its function still has."""
        params, gap = self._folded[call.callee].params, False
        call.args, call.keywords = [], []
        for p in params:
            if p not in call.bound:
                gap = True
            elif gap:
                call.keywords.append(ast.keyword(p, call.bound[p]))
            else:
                call.args.append(call.bound[p])

    def _merge(self) -> None:
        """Put small helpers in the place of their calls, and the body of a function where it is all that another calls.
        """
        for _ in range(4):
            small = {f: folded for f, folded in self._folded.items() if f not in self.entries and _is_small(folded)}
            for folded in self._folded.values():
                folded.body = [_Inlining(small).visit(s) for s in folded.body]
        for entry in [f for f in self._folded if f in self.entries]:
            folded = self._folded[entry]
            one = folded.body[0] if len(folded.body) == 1 else None
            call: Any = one.value if isinstance(one, ast.Return) else None
            inner = getattr(call, "callee", None)
            if inner is not None and inner not in self.entries and [
                    a.id if isinstance(a, ast.Name) else None for a in call.args] == self._folded[inner].params:
                folded.body, folded.also = self._folded[inner].body, self._folded[inner].doc
                folded.comments = self(inner).comments
                folded.imports = {**self._folded[inner].imports, **folded.imports}
                folded.params = list(self._folded[inner].params)
                calls: list[Any] = [n for other in self._folded.values() for s in other.body for n in ast.walk(s)]
                for node in calls:
                    if getattr(node, "callee", None) is inner:
                        node.callee, node.func.function = entry, entry

    # Names

    def _named(self, taken: set[str]) -> dict[Any, str]:
        """A name for each function: its own, without underscores where nothing else is called that."""
        inside = {n.id for f in self._folded.values() for s in f.body for n in ast.walk(s)
                  if isinstance(n, ast.Name) and not hasattr(n, "function")}
        inside |= {p for f in self._folded.values() for p in f.params}
        names: dict[Any, str] = {f: name for f, name in self.entries.items() if name not in taken}
        for function in self.reached():
            if function in names:
                continue
            plain = function.__name__.lstrip("_")
            choices = [plain, f"{plain}_of", f"_{plain}", *(f"{plain}_{i}" for i in range(2, 99))]
            names[function] = next(c for c in choices if c not in taken | inside and c not in names.values())
        return names

    def reached(self) -> list[Any]:
        """All functions that are still called, a function after those that it calls."""
        order: list[Any] = []

        def visit(function):
            if function not in order and function in self._folded:
                for s in self._folded[function].body:
                    for node in ast.walk(s):
                        if hasattr(node, "function"):
                            visit(node.function)
                if function not in order:
                    order.append(function)

        for entry in self._in_pairs():
            visit(entry)
        return order

    def _in_pairs(self) -> Iterator[Any]:
        """The kernels in the order in which the script needs them, each before its gradients."""
        left = dict.fromkeys(_reference(step.name) for step in self.steps)
        while left:
            first = next(iter(left))
            name = self.entries[first]
            group = [f for f in left if f is first or re.fullmatch(
                re.escape(name) + r"_(dx|dw|backward|d\w+)", self.entries[f])]
            for f in group:
                del left[f]
            yield from group

    # Writing

    @property
    def names(self) -> set[str]:
        return set(self._names.values())

    def imports(self) -> dict[str, Any]:
        """What the functions need besides each other: name -> module, function or number."""
        loaded = set().union(*(loaded_in(self._folded[f].body) for f in self.reached())) if self._folded else set()
        found = {name: value for f in self.reached() for name, value in self._folded[f].imports.items()}
        return {name: value for name, value in found.items() if name in loaded}

    def text(self) -> list[str]:
        """The source of each function."""
        return [self._text(function) for function in self.reached()]

    def defaults(self, function: Any) -> dict[str, Any]:
        """The parameters of a kernel that are the same in all calls, from the last one back, and their values."""
        folded, found = self._folded[function], {}
        for p in reversed(folded.params):
            value = self._facts[function].get(p, UNKNOWN)
            if function in self.entries and not isinstance(value, Array) and value is not UNKNOWN and "shape" not in p:
                found[p] = value
            else:
                break
        return found

    def _text(self, function: Any) -> str:
        folded, own = self._folded[function], self.defaults(function)
        source = self(function)
        params = [f"{p}={own[p]!r}" if p in own else
                  f"{p}={ast.unparse(source.defaults[p])}" if p in source.defaults and function in self._inner and
                  all(q in source.defaults for q in folded.params[i:]) else p for i, p in enumerate(folded.params)]
        body = _Renaming(self._names).visit(ast.Module(copy.deepcopy(folded.body), []))
        lines = [f"def {self._names[function]}({', '.join(params)}):",
                 *docstring(folded.doc, folded.also, source, folded.params, self._kept_results[function] is not None,
                            any("is None" in ast.unparse(s) or "is not None" in ast.unparse(s) for s in folded.body)),
                 *written(ast.fix_missing_locations(body).body, 1, folded.comments)]
        return "\n".join(w for line in lines for w in wrapped(line))

    def call(self, step: Step, text: Callable[[Any], tuple[str, int]]) -> str:
        """A step as a call of its function."""
        function = _reference(step.name)
        given, own, args = self._bound(step), self.defaults(function), []
        by_name = False  # numbers are, and what comes after them
        for p in self._folded[function].params:
            if p in given and p not in own:
                by_name = by_name or not any(True for _ in slots_in(given[p]))
                args.append(f"{p}=" * by_name + text(given[p])[0])
        return f"{self._names[function]}({', '.join(args)})"

    def arguments(self, step: Step) -> dict[str, Any]:
        """The arguments that the function of a step still has, and numbers that were decided on."""
        params = self._folded[_reference(step.name)].params
        return {p: value for p, value in self._bound(step).items()
                if p in params or not any(True for _ in slots_in(value))}

    def result_names(self, step: Step) -> list[str]:
        """What the function calls its results, "" where that cannot be said."""
        for s in reversed(self._folded[_reference(step.name)].body):
            if isinstance(s, ast.Return) and isinstance(s.value, ast.Tuple):
                return [next((n.id for n in ast.walk(e) if isinstance(n, ast.Name) and n.id != "np" and
                              not hasattr(n, "function")), "") for e in s.value.elts]
        return []

    def outputs(self, step: Step) -> list[Any]:
        """The results of a step that its function still has."""
        outs = list(step.out) if isinstance(step.out, (list, tuple)) else [step.out]
        kept = self._kept_results[_reference(step.name)]
        return outs if kept is None else [outs[i] for i in kept]


@lru_cache(1024)
def _source(function: Any) -> Source:
    return Source(function)


@lru_cache(1024)
def _reference(name: str) -> Any:
    return table.get(name).reference


def _known(value: Any) -> Any:
    """What is known of an argument."""
    if isinstance(value, Slot):
        return Array(value.shape, value.dtype, len(value.shape), 0 not in value.shape)
    if isinstance(value, np.ndarray):
        return Array(value.shape, value.dtype, value.ndim, 0 not in value.shape)
    if any(True for _ in slots_in(value)):
        return Array(None, None, None, False)
    if isinstance(value, list):
        return UNKNOWN
    return value if isinstance(value, (bool, int, float, str, tuple, type(None))) else UNKNOWN


def _is_small(folded: Folded) -> bool:
    """Whether a function is one short expression that needs each of its arguments once."""
    one: Any = folded.body[0] if len(folded.body) == 1 else None
    if not isinstance(one, ast.Return) or one.value is None or len(ast.unparse(one.value)) > 48:
        return False
    names = [n.id for n in ast.walk(one.value) if isinstance(n, ast.Name)]
    return all(names.count(p) <= 1 for p in folded.params) and not any(
        isinstance(n, (ast.Lambda, ast.comprehension)) for n in ast.walk(one.value))


class _Inlining(ast.NodeTransformer):
    """What small functions return in the place of their calls."""

    def __init__(self, small: dict[Any, Folded]):
        self.small = small

    def visit_Call(self, node: Any) -> Any:
        node = self.generic_visit(node)
        if hasattr(node, "bound"):
            node.bound = {p: self.visit(v) for p, v in node.bound.items()}
        folded = self.small.get(getattr(node, "callee", None))
        if folded is None or not all(p in node.bound for p in folded.params):
            return node
        value, holders = copy.deepcopy(folded.body[0].value), {}
        for i, p in enumerate(folded.params):  # in two steps: an argument may be called like another parameter
            holders[f"{p} {i}"] = node.bound[p]
            value = Put(p, ast.Name(f"{p} {i}", ast.Load())).visit(value)
        for name, argument in holders.items():
            value = Put(name, argument).visit(value)
        return value


class _Renaming(ast.NodeTransformer):
    """Functions under their names in the script."""

    def __init__(self, names: dict[Any, str]):
        self.names = names

    def visit_Name(self, node: Any) -> Any:
        return ast.Name(self.names[node.function], node.ctx) if hasattr(node, "function") else node
