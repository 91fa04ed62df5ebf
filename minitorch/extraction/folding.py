"""A function of the kernel table without what the script does not need: branches never taken, checks, arguments.

A reference is written for any array module, type and option. Here it is read as a syntax tree together with what is
known of its arguments (a constant, or an array's type and shape), and the conditions that follow from that are decided.
"""
from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import textwrap
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from minitorch_kernels import table

from .facts import SIMPLE, UNKNOWN, Array, is_simple
from .trees import Put, copied, named, pairs

FOLDED = (bool, str, type(None))  # constants that take the place of a name; numbers keep theirs


class Source:
    """A function as it was written: its tree, what its names mean, its comments by line."""

    def __init__(self, function: FunctionType):
        self.function = function = inspect.unwrap(function)  # type: ignore[assignment]
        lines = textwrap.dedent(inspect.getsource(function)).splitlines()
        tree: Any = ast.parse("\n".join(lines))
        self.tree = tree.body[0]
        self.comments = {i: line[line.index("  # ") + 2:] for i, line in enumerate(lines, 1)
                         if "  # " in line and "noqa" not in line and "type:" not in line}
        given: Any = self.tree.args
        self.params = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        names = [a.arg for a in (*given.posonlyargs, *given.args)]
        self.defaults: dict[str, Any] = dict(zip(names[len(names) - len(given.defaults):], given.defaults))
        self.defaults.update({a.arg: d for a, d in zip(given.kwonlyargs, given.kw_defaults) if d is not None})
        closure = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
        self.space = {**vars(builtins), **function.__globals__, **{k: c.cell_contents for k, c in closure.items()}}

    @property
    def takes_module(self) -> bool:
        return bool(self.params) and self.params[0] == "xp"


def function_of(value: Any) -> Any:
    """The Python function of the kernels' package behind a value, or None."""
    if isinstance(value, table.Kernel):
        return value.reference
    value = inspect.unwrap(value) if callable(value) else value
    if isinstance(value, FunctionType) and (value.__module__ or "").startswith(("minitorch_kernels", "minitorch.")):
        return value
    return None


class Folded(ast.NodeTransformer):
    """`source` with what is known of its arguments: `body`, and the `calls` that are left in it."""

    def __init__(self, source: Source, known: dict[str, Any], sources: Any):
        self.source, self.sources = source, sources
        self.known: dict[str, Any] = {k: v for k, v in known.items() if v is not UNKNOWN}
        self.known["xp"] = np
        self.local = {n.id for n in ast.walk(source.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        self.local |= set(source.params) | {a.arg for n in ast.walk(source.tree) if isinstance(n, ast.arguments)
                                            for a in n.args}
        self.calls: list[tuple[Any, dict[str, Any]]] = []
        self.imports: dict[str, Any] = {}
        self.doc, self.comments = ast.get_docstring(source.tree), source.comments
        self.also: str | None = None  # the docstring of a function whose body this has taken over
        self.params: list[str] = []
        body = copied(source.tree).body
        self.body = self.block(body[1:] if self.doc else body)

    # What is known

    def value(self, node: ast.AST) -> Any:
        """The value of an expression, or UNKNOWN."""
        for n in ast.walk(node):
            if isinstance(n, ast.Name) and n.id not in self.known and (n.id in self.local or
                                                                       n.id not in self.source.space):
                bound = {t.id for c in ast.walk(node) if isinstance(c, ast.comprehension)
                         for t in ast.walk(c.target) if isinstance(t, ast.Name)}
                if n.id not in bound:
                    return UNKNOWN
        try:
            value = eval(compile(ast.fix_missing_locations(ast.Expression(copied(node))), "<fold>", "eval"),
                         {**self.source.space, **self.known})
        except Exception:  # what is known did not suffice
            return UNKNOWN
        value = value.item() if isinstance(value, np.bool_) else value
        return value if is_simple(value) or isinstance(value, (Array, np.dtype)) else UNKNOWN

    def sampled(self, node: ast.AST) -> Any:
        """The type of the array that an expression makes, which it also makes of arrays with one element."""
        space = dict(self.source.space)
        for n in ast.walk(node):
            if isinstance(n, ast.Name) and (n.id in self.known or n.id in self.local):
                fact = self.known.get(n.id, UNKNOWN)
                if fact is UNKNOWN or (isinstance(fact, Array) and fact.key[1] is None):
                    return UNKNOWN
                space[n.id] = np.ones((1,) * (fact.key[2] or 0), fact.dtype) if isinstance(fact, Array) else fact
        try:
            with np.errstate(all="ignore"):
                made = eval(compile(ast.fix_missing_locations(ast.Expression(copied(node))), "<fold>", "eval"), space)
        except Exception:  # it needs more elements
            return UNKNOWN
        return Array(None, made.dtype, None, False) if isinstance(made, (np.ndarray, np.generic)) else UNKNOWN

    def fact(self, node: Any) -> Any:
        """What is known of the value of an expression, if only its type."""
        if isinstance(node, ast.Name) and node.id in self.known:
            return self.known[node.id]
        value = self.value(node)
        if value is UNKNOWN and isinstance(node, ast.Call) and getattr(
                self._callee(node.func), "__name__", "") == "widen":
            return self.fact(node.args[0])
        if value is UNKNOWN and isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Call)):
            value = self.sampled(node)
            if value is UNKNOWN and (not isinstance(node, ast.Call) or isinstance(node.func, ast.Attribute)):
                value = Array(None, None, None, False)  # whatever it is, it is not None
        return UNKNOWN if isinstance(value, np.dtype) else value

    # Statements

    def block(self, statements: list[Any]) -> list[Any]:
        return [s for statement in statements for s in self.statement(statement)]

    def statement(self, s: Any) -> list[Any]:
        if isinstance(s, ast.If):
            return self._if(s)
        if isinstance(s, (ast.Assert, ast.Pass)) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)):
            return []
        if isinstance(s, ast.ImportFrom):  # what it brings becomes a function of the script, too
            module = importlib.import_module("." * s.level + (s.module or ""), self.source.function.__globals__[
                "__package__"]) if s.level else importlib.import_module(s.module or "")
            for alias in s.names:
                self.source.space[alias.asname or alias.name] = getattr(module, alias.name)
            return []
        if isinstance(s, ast.Assign):
            return self._assign(s)
        if isinstance(s, (ast.For, ast.While)):
            return self._loop(s)
        if isinstance(s, ast.FunctionDef):
            before = dict(self.known)
            for a in (*s.args.posonlyargs, *s.args.args, *s.args.kwonlyargs):
                self.known.pop(a.arg, None)
            s.body = self.block(s.body)
            self.known = before
            return [s]
        made = self.visit(s)
        if isinstance(s, ast.AugAssign):
            self._forget([s])
        return [made]

    def _loop(self, s: Any) -> list[Any]:
        """What is None before a loop and stays so in it, is None; of all else that it assigns nothing is known."""
        stored = {n.id for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        hoped = {n for n in stored if n in self.known and self.known[n] is None}
        calls = list(self.calls)
        for name in stored - hoped:
            self.known.pop(name, None)
        if hoped:
            before = dict(self.known)
            trial = copied(s)
            trial.body = self.block(trial.body)
            if not all(n in self.known and self.known[n] is None for n in hoped):
                hoped = set()
            self.known = before
            self.calls = calls
        for name in stored - hoped:
            self.known.pop(name, None)
        if isinstance(s, ast.For):
            s.iter = self.visit(s.iter)
        else:
            s.test = self.visit(s.test)
        s.body = self.block(s.body)
        for name in stored - hoped:
            self.known.pop(name, None)
        return [s] if s.body else []

    def _if(self, s: ast.If) -> list[Any]:
        value = self.value(s.test)
        if value is not UNKNOWN and not isinstance(value, (Array, np.dtype)):
            return self.block(s.body if value else s.orelse)
        if all(isinstance(b, ast.Raise) for b in s.body):
            return self.block(s.orelse)  # a check of arguments
        s.test = self.visit(s.test)
        if isinstance(s.test, ast.Constant):
            return self.block(s.body if s.test.value else s.orelse)
        before = dict(self.known)
        s.body = self.block(s.body)
        self.known = before
        s.orelse = self.block(s.orelse)
        self._forget(s.body + s.orelse)
        if not s.body:
            s.body = [ast.Pass()]
        return [s] if s.orelse or not isinstance(s.body[0], ast.Pass) else []

    def _assign(self, s: ast.Assign) -> list[Any]:
        target, original = s.targets[0], copied(s.value)
        fresh = isinstance(s.value, ast.Call) and isinstance(s.value.func, ast.Name) and \
            _is_plain_class(self.source.space.get(s.value.func.id))
        values = {n: self.fact(v) for n, v in pairs(target, original)} if len(s.targets) == 1 else {}
        s.value = self.visit(s.value) if not fresh else ast.Call(ast.Name("SimpleNamespace", ast.Load()), [], [])
        if fresh:
            self.imports["SimpleNamespace"] = SimpleNamespace
        s.targets = [self.visit(t) if not isinstance(t, (ast.Name, ast.Tuple)) else t for t in s.targets]
        single = pairs(target, s.value) if len(s.targets) == 1 else []
        arrays = {}
        for name, value in single:
            if isinstance(value, ast.Name) and value.id in self.known:
                arrays[name] = self.known[value.id]
            elif isinstance(value, ast.Constant) and isinstance(value.value, SIMPLE):
                arrays[name] = value.value
        self._forget([s])
        for name, value in {**values, **arrays}.items():
            if value is not UNKNOWN:
                self.known[name] = value
        left = [(n, v) for n, v in single if not (isinstance(v, ast.Name) and v.id == n)]
        if single and len(left) < len(single):
            if not left:
                return []
            names: list[Any] = [ast.Name(n, ast.Store()) for n, _ in left]
            s.targets = [names[0] if len(left) == 1 else ast.Tuple(names, ast.Store())]
            s.value = left[0][1] if len(left) == 1 else ast.Tuple([v for _, v in left], ast.Load())
        return [s]

    def _forget(self, nodes: list[Any]) -> None:
        for node in nodes:
            for n in ast.walk(node):
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store):
                    self.known.pop(n.id, None)

    # Expressions

    def visit_Name(self, node: ast.Name) -> Any:
        if not isinstance(node.ctx, ast.Load):
            return node
        if node.id == "xp":
            return ast.Name("np", ast.Load())
        if node.id in self.known and isinstance(self.known[node.id], FOLDED):
            return ast.Constant(self.known[node.id])
        if node.id not in self.local and node.id in self.source.space and node.id not in vars(builtins):
            return self._global(node, self.source.space[node.id])
        return node

    def _global(self, node: ast.Name, value: Any) -> Any:
        function = function_of(value)
        if function is not None:
            self.calls.append((function, {}))
            return named(function)
        if isinstance(value, ModuleType) and value.__name__ == "numpy":
            return ast.Name("np", ast.Load())
        self.imports[node.id] = value
        return node

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id not in self.local:
            owner = self.source.space.get(node.value.id)
            if isinstance(owner, ModuleType) and owner.__name__.startswith("minitorch_kernels"):
                if node.attr == "empty":
                    return ast.parse("np.empty", mode="eval").body
                found = getattr(owner, node.attr, None)
                function = function_of(found)
                if function is not None:
                    self.calls.append((function, {}))
                    return named(function)
                if isinstance(found, SIMPLE):
                    return ast.Constant(found)
        return self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        node.operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not) and isinstance(node.operand, ast.Constant):
            return ast.Constant(not node.operand.value)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        value = self.value(node.test)
        if value is not UNKNOWN and not isinstance(value, (Array, np.dtype)):
            return self.visit(node.body if value else node.orelse)
        test, otherwise = node.test, self.visit(copied(node.orelse))
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is) and isinstance(node.body, ast.Constant) \
                and node.body.value is None and \
                ast.unparse(self.visit(copied(test.left))) == ast.unparse(otherwise):
            return otherwise  # None if g is None else g
        return self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        stop, left = isinstance(node.op, ast.Or), []
        for operand in node.values:
            value = self.value(operand)
            if value is UNKNOWN or isinstance(value, (Array, np.dtype)):
                left.append(self.visit(operand))
            elif bool(value) is stop:
                left.append(ast.Constant(value))
                break
        if not left:
            return ast.Constant(not stop)
        return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id not in self.local:
            container, key = self.source.space.get(node.value.id), self.value(node.slice)
            if isinstance(container, dict) and key is not UNKNOWN and key in container:
                function = function_of(container[key])
                if function is not None:
                    self.calls.append((function, {}))
                    return named(function)
        return self.generic_visit(node)

    def visit_ListComp(self, node: Any) -> Any:
        """Over a few written out things: those, where something becomes simpler by it."""
        one = node.generators[0]
        if len(node.generators) == 1 and not one.ifs and isinstance(one.iter, (ast.Tuple, ast.List)) and \
                isinstance(one.target, ast.Name):
            made, simpler, calls = [], False, list(self.calls)
            for item in one.iter.elts:
                put = Put(one.target.id, item).visit(copied(node.elt))
                folded = self.visit(put)
                simpler = simpler or isinstance(folded, (ast.Name, ast.Constant))
                made.append(folded)
            if simpler:
                return ast.List(made, ast.Load())
            self.calls = calls
        return self._comprehension(node)

    visit_GeneratorExp = visit_ListComp

    def _comprehension(self, node: Any) -> Any:
        names = {t.id for c in node.generators for t in ast.walk(c.target) if isinstance(t, ast.Name)}
        before = {n: self.known.pop(n) for n in names if n in self.known}
        node = self.generic_visit(node)
        self.known.update(before)
        return node

    def visit_Tuple(self, node: Any) -> Any:
        node = self.generic_visit(node)
        node.elts = [e for elt in node.elts for e in (elt.value.elts if isinstance(elt, ast.Starred) and
                                                      isinstance(elt.value, (ast.Tuple, ast.List)) else [elt])]
        return node

    visit_List = visit_Tuple

    def visit_Call(self, node: ast.Call) -> Any:
        function = self._callee(node.func)
        name = getattr(function, "__name__", "")
        if function is not None and function.__module__ == "minitorch_kernels.norm" and name in ("widen", "cast"):
            return self.visit(node.args[-1 if name == "widen" else 0])
        if function is None:
            if isinstance(node.func, ast.Name) and node.func.id == "tuple" and len(node.args) == 1:
                inner = self.visit(node.args[0])
                if isinstance(inner, ast.List):
                    return ast.Tuple(inner.elts, ast.Load())
                return ast.Call(node.func, [inner], [])
            return self.generic_visit(node)
        source = self.sources(function)
        without = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call)  # a bound kernel
        args = node.args[1:] if source.takes_module and node.args and not without else node.args
        params = source.params[1:] if source.takes_module else source.params
        if any(isinstance(a, ast.Starred) for a in args):
            folded = [a for arg in args for a in self._unstarred(arg)]
            if any(isinstance(a, ast.Starred) for a in folded):
                self.calls.append((function, {}))
                made: Any = ast.Call(named(function), [self.visit(a) for a in args], [])
                made.loose = function
                return made
            args = folded
        bound = {**dict(zip(params, args)), **{k.arg: k.value for k in node.keywords}}
        facts = {p: self.fact(bound[p]) if p in bound else self._default(source, p) for p in params}
        alone = self.sources.result(function, facts)
        if alone is not UNKNOWN:
            return ast.Constant(alone)
        self.calls.append((function, facts))
        bound = {p: self.visit(v) for p, v in bound.items()}
        made = ast.Call(named(function), [], [ast.keyword(p, v) for p, v in bound.items()])
        made.bound, made.callee = bound, function
        return made

    def _unstarred(self, arg: Any) -> list[Any]:
        if isinstance(arg, ast.Starred):
            inner = self.visit(copied(arg.value))
            return inner.elts if isinstance(inner, (ast.Tuple, ast.List)) else [arg]
        return [arg]

    def _default(self, source: Source, param: str) -> Any:
        return ast.literal_eval(source.defaults[param]) if param in source.defaults else UNKNOWN

    def _callee(self, func: Any) -> Any:
        """The function that is called, where it is one of the kernels' package."""
        if isinstance(func, ast.Name) and func.id not in self.local and func.id in self.source.space:
            return function_of(self.source.space[func.id])
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Call) and \
                isinstance(func.value.func, ast.Name) and func.value.func.id == "_bound":
            return table.get(func.attr).reference
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id not in self.local:
            owner = self.source.space.get(func.value.id)
            if isinstance(owner, ModuleType) and owner.__name__.startswith("minitorch_kernels") and \
                    func.attr != "empty":
                return function_of(getattr(owner, func.attr, None))
        if isinstance(func, ast.Subscript) and isinstance(func.value, ast.Name):
            container, key = self.source.space.get(func.value.id), self.value(func.slice)
            if isinstance(container, dict) and key is not UNKNOWN:
                return function_of(container.get(key))
        return None


def _is_plain_class(value: Any) -> bool:
    """A class that only holds attributes."""
    return isinstance(value, type) and value.__module__.startswith("minitorch_kernels") and \
        "__slots__" in vars(value) and "__init__" not in vars(value)
