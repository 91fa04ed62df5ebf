"""The functions of a script: the references of the kernels that it calls, and what those call in turn."""
from __future__ import annotations

import ast
import copy
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from minitorch_kernels import table

from ..capture.arrays import Slot, Step, slots_in
from .folding import FOLDED, UNKNOWN, Array, Folded, Put, Source, alike, joined
from .layout import wrapped


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
                folded.body = _live(folded.body)
                loaded = _loaded(folded.body)
                source = self(function)
                folded.params = source.params if function in self._loose else [
                    p for p in source.params if p in loaded and p != "xp"]
                folded.params = [p for p in folded.params if p != "xp" and not (
                    isinstance(self._facts[function].get(p, UNKNOWN), FOLDED) and _overwritten(p, folded.body))]
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
        loaded = set().union(*(_loaded(self._folded[f].body) for f in self.reached())) if self._folded else set()
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
                 *_docstring(folded.doc, folded.also, source, folded.params, self._kept_results[function] is not None),
                 *_lines(ast.fix_missing_locations(body).body, 1, folded.comments)]
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


def _loaded(body: list[Any]) -> set[str]:
    return {n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _live(body: list[Any]) -> list[Any]:
    """Without assignments to names that nobody reads, or that are another name for something."""
    while True:
        body = _returned(_without_second_names(body))
        for i, s in enumerate(body):  # values that are replaced before they are read
            if isinstance(s, ast.Assign):
                s.targets = [t for t in s.targets if not (isinstance(t, ast.Name) and _overwritten(t.id, body[i + 1:]))]
        body = [s for s in body if not isinstance(s, ast.Assign) or s.targets]
        loaded = _loaded(body)
        again = _kept(body, loaded)
        if len(ast.unparse(ast.Module(again, []))) == len(ast.unparse(ast.Module(body, []))):
            return again
        body = again


def _without_second_names(body: list[Any]) -> list[Any]:
    """`a = b` goes, and b stands for a, where neither is assigned to otherwise, or where a is made anew at once."""
    stored = [n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    for i, s in enumerate(body):
        if not (isinstance(s, ast.Assign) and len(s.targets) == 1 and isinstance(s.targets[0], ast.Name) and
                isinstance(s.value, ast.Name)):
            continue
        a, b = s.targets[0].id, s.value
        after = body[i + 1:]
        if stored.count(a) == 1 and stored.count(b.id) <= (b.id in _loaded(body[:i])):
            return [*body[:i], *(Put(a, b).visit(t) for t in after)]
        if after and isinstance(after[0], ast.Assign) and isinstance(after[0].targets[0], ast.Name) and \
                after[0].targets[0].id == a and len(after[0].targets) == 1:
            after[0].value = Put(a, b).visit(after[0].value)
            return [*body[:i], *after]
    return body


def _overwritten(name: str, body: list[Any]) -> bool:
    """Whether the first statement that mentions `name` gives it a value, without looking at it."""
    for s in body:
        if any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(s)):
            return isinstance(s, ast.Assign) and name not in _loaded([s]) and any(
                isinstance(n, ast.Name) and n.id == name for t in s.targets for n in _elements(t))
    return False


def _elements(target: Any) -> list[Any]:
    return [e for t in target.elts for e in _elements(t)] if isinstance(target, ast.Tuple) else [target]


def _returned(body: list[Any]) -> list[Any]:
    """`y = f(x)` and `return y` in one."""
    if len(body) > 1 and isinstance(body[-1], ast.Return) and isinstance(body[-1].value, ast.Name) and \
            isinstance(body[-2], ast.Assign) and len(body[-2].targets) == 1 and \
            isinstance(body[-2].targets[0], ast.Name) and body[-2].targets[0].id == body[-1].value.id:
        return [*body[:-2], ast.copy_location(ast.Return(body[-2].value), body[-2])]
    return body


def _kept(body: list[Any], loaded: set[str]) -> list[Any]:
    result = []
    for s in body:
        if isinstance(s, ast.Assign) and all(isinstance(t, (ast.Name, ast.Tuple)) for t in s.targets):
            s.targets = [t for t in s.targets if not isinstance(t, ast.Name) or t.id in loaded] or []
            if not s.targets:
                continue
            one = s.targets[0]
            if len(s.targets) == 1 and isinstance(one, ast.Tuple):
                if not {n.id for n in ast.walk(one) if isinstance(n, ast.Name)} & loaded and not any(
                        isinstance(n, (ast.Attribute, ast.Subscript)) for n in ast.walk(one)):
                    continue
                if isinstance(s.value, (ast.Tuple, ast.List)) and len(s.value.elts) == len(one.elts) and not any(
                        isinstance(e, ast.Starred) for e in (*one.elts, *s.value.elts)):
                    pairs = [(t, v) for t, v in zip(one.elts, s.value.elts)
                             if not isinstance(t, ast.Name) or t.id in loaded]
                    if len(pairs) < len(one.elts):
                        s.targets = [pairs[0][0] if len(pairs) == 1 else ast.Tuple([t for t, _ in pairs], ast.Store())]
                        s.value = pairs[0][1] if len(pairs) == 1 else ast.Tuple([v for _, v in pairs], ast.Load())
                else:
                    one.elts = [t if not isinstance(t, ast.Name) or t.id in loaded else ast.Name("_", ast.Store())
                                for t in one.elts]
        elif isinstance(s, (ast.If, ast.For, ast.While)):
            s.body, s.orelse = _kept(s.body, loaded), _kept(s.orelse, loaded)
            if not s.body and not s.orelse:
                continue
            s.body = s.body or [ast.Pass()]
        elif isinstance(s, ast.FunctionDef):
            if s.name not in loaded:
                continue
            s.body = _kept(s.body, loaded)
        result.append(s)
    return result


def _docstring(doc: str | None, also: str | None, source: Source, params: list[str], trimmed: bool) -> list[str]:
    """The docstring, without examples and sentences that speak of what is gone; `also` is of what it was made of."""
    gone = [p for p in source.params if p not in params and p != "xp"]
    paragraphs: list[str] = []
    for text in (doc, also):
        for n, paragraph in enumerate((text or "").split(">>>")[0].strip().split("\n\n")):
            if trimmed:
                paragraph = re.sub(r"[;:] (gives |returns )?\(.*?\)(?=[.,])", "", paragraph, flags=re.S)
            sentences = re.split(r"(?<=\.)\s+(?=[A-Z`])", paragraph.strip())
            left = [s for i, s in enumerate(sentences) if not _mentions(s, gone, i + n == 0)]
            if n == 0 and sentences[0] not in left:  # the summary, without the clause that speaks of it
                first, *clauses = sentences[0].rstrip(".").split(", ")
                left = [", ".join([first, *(c for c in clauses if "`" not in c)]) + ".", *left]
            if left and left[0]:
                prose = not any(line.startswith(" ") for line in paragraph.split("\n"))
                paragraphs.append(textwrap.fill(" ".join(left), 100) if prose else " ".join(left))
    if not paragraphs:
        return []
    lines = "\n\n".join(paragraphs).split("\n")
    if len(lines) == 1:
        return [f'    """{lines[0]}"""']
    return [f'    """{lines[0]}', *(f"    {line}".rstrip() for line in lines[1:]), '    """']


def _mentions(text: str, gone: list[str], summary: bool) -> bool:
    return "16" in text or any(f"`{p}`" in text or (not summary and len(p) > 4 and re.search(rf"\b{p}\b", text))
                               for p in gone)


def _lines(body: list[Any], depth: int, comments: dict[int, str]) -> Iterator[str]:
    """Statements as lines, with the comments that stood behind them."""
    for s in body:
        space = "    " * depth
        if isinstance(s, (ast.If, ast.For, ast.While, ast.FunctionDef, ast.With)):
            head: Any = copy.copy(s)
            head.body = [ast.Pass()]
            if hasattr(head, "orelse"):
                head.orelse = []
            yield space + _quotes(ast.unparse(head).split("\n")[0])
            yield from _lines(s.body, depth + 1, comments)
            otherwise = getattr(s, "orelse", None)
            if otherwise:
                yield space + "else:"
                yield from _lines(otherwise, depth + 1, comments)
            continue
        comment = comments.get(getattr(s, "end_lineno", 0) or 0, "")
        yield space + _quotes(_statement(s)) + (f"  {comment}" if comment else "")


def _statement(s: Any) -> str:
    """A statement, without brackets around tuples that are assigned or returned."""
    value: Any = getattr(s, "value", None)
    if isinstance(value, ast.Tuple) and len(value.elts) > 1 and isinstance(s, (ast.Return, ast.Assign)):
        bare = ", ".join(map(ast.unparse, value.elts))
        if isinstance(s, ast.Return):
            return f"return {bare}"
        if len(s.targets) == 1 and isinstance(s.targets[0], ast.Tuple):
            return f"{', '.join(map(ast.unparse, s.targets[0].elts))} = {bare}"
    if isinstance(s, ast.Assign) and len(s.targets) == 1 and isinstance(s.targets[0], ast.Tuple):
        return f"{', '.join(map(ast.unparse, s.targets[0].elts))} = {ast.unparse(value)}"
    return ast.unparse(s)


def _quotes(line: str) -> str:
    """As people write: double quotes, and one pair of brackets around a generator, none around a loop's targets."""
    line = re.sub(r"'([^'\"\\]*)'", r'"\1"', line)
    for inner in re.findall(r"\w\(\(((?:[^()]|\([^()]*\))* for (?:[^()]|\([^()]*\))*)\)\)", line):
        line = line.replace(f"(({inner}))", f"({inner})")
    return re.sub(r"^for \(([^()]*)\) in ", r"for \1 in ", line)
