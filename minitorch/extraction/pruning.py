"""What is left of a function's body once the assignments that nobody reads are gone."""
from __future__ import annotations

import ast
from typing import Any

from .trees import Put


def loaded_in(body: list[Any]) -> set[str]:
    return {n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def live(body: list[Any]) -> list[Any]:
    """Without assignments to names that nobody reads, or that are another name for something."""
    while True:
        body = _returned(_without_second_names(body))
        for i, s in enumerate(body):  # values that are replaced before they are read
            if isinstance(s, ast.Assign):
                s.targets = [t for t in s.targets if not (isinstance(t, ast.Name) and overwritten(t.id, body[i + 1:]))]
        body = [s for s in body if not isinstance(s, ast.Assign) or s.targets]
        loaded = loaded_in(body)
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
        if stored.count(a) == 1 and stored.count(b.id) <= (b.id in loaded_in(body[:i])):
            return [*body[:i], *(Put(a, b).visit(t) for t in after)]
        if after and isinstance(after[0], ast.Assign) and isinstance(after[0].targets[0], ast.Name) and \
                after[0].targets[0].id == a and len(after[0].targets) == 1:
            after[0].value = Put(a, b).visit(after[0].value)
            return [*body[:i], *after]
    return body


def overwritten(name: str, body: list[Any]) -> bool:
    """Whether the first statement that mentions `name` gives it a value, without looking at it."""
    for s in body:
        if any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(s)):
            return isinstance(s, ast.Assign) and name not in loaded_in([s]) and any(
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
