"""What the source of a function says: where it stands, its lines, the names that it calls and what they mean.

All of it is read from the files, by Python's own parser: nothing is compiled, and nothing runs.
"""
from __future__ import annotations

import ast
import builtins
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

PACKAGES = ("minitorch", "minitorch_kernels")


class Source:
    """A function of Python: its node in its file's syntax tree, and the values of the names that it uses."""

    def __init__(self, function: Callable):
        self.function: Any = plain(function)
        self.code: CodeType = self.function.__code__
        self.node = _node(self.code)
        self.first_argument = self.code.co_varnames[:1]

    @property
    def location(self) -> str:
        """`minitorch/ops/softmax.py:11`: the file below the package's parent, and the line."""
        line = self.code.co_firstlineno if self.node is None else self.node.lineno
        return f"{relative(self.code.co_filename)}:{line}"

    @property
    def text(self) -> str:
        """The function's lines, dedented, with its decorators."""
        return "" if self.node is None else self.text_of(self.node)

    def text_of(self, node: ast.AST) -> str:
        """The lines of a node of this function: a definition whole, an expression from where it begins."""
        lines, _ = _parsed(self.code.co_filename)
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(d.lineno for d in decorators)])  # type: ignore[attr-defined]
        found = lines[first - 1:node.end_lineno]  # type: ignore[attr-defined]
        if isinstance(node, (ast.FunctionDef, ast.stmt)):
            return textwrap.dedent("\n".join(found))
        found[-1] = found[-1].encode()[:node.end_col_offset].decode()  # type: ignore[attr-defined]  # counted in bytes
        found[0] = found[0].encode()[node.col_offset:].decode()  # type: ignore[attr-defined]
        head, _, rest = "\n".join(found).partition("\n")
        return f"{head}\n{textwrap.indent(textwrap.dedent(rest), '    ')}" if rest else head

    def value(self, name: str) -> Any:
        """What `name` means within the function: a variable of an enclosing function or of the module, or None."""
        for free, cell in zip(self.code.co_freevars, self.function.__closure__ or ()):
            if free == name:
                try:
                    return cell.cell_contents
                except ValueError:  # not bound yet
                    return None
        space = self.function.__globals__
        return space[name] if name in space else getattr(builtins, name, None) or self._imported(name)

    def _imported(self, name: str) -> Any:
        """What an import within the function gives `name`, where that module is loaded already."""
        node, original = _imports(self.node).get(name, (None, ""))
        if node is None:
            return None
        package = self.function.__globals__.get("__package__") or ""
        base = package.rsplit(".", node.level - 1)[0] if node.level else ""
        return getattr(sys.modules.get(".".join(filter(None, [base, node.module]))), original, None)

    def evaluate(self, node: ast.AST) -> Any:
        """The value of an expression of constants and of the names that have one outside; None where it has none."""
        names = {n.id: self.value(n.id) for n in ast.walk(node) if isinstance(n, ast.Name)}
        if any(value is None for value in names.values()):
            return None
        try:
            return eval(compile(ast.Expression(node), "<source>", "eval"), {}, names)  # type: ignore[arg-type]
        except Exception:  # an expression of what only a call knows
            return None

    def functions(self, node: ast.AST | None = None) -> list[FunctionType]:
        """The functions of this project that `node` (the whole function) names, in order; those in tables too."""
        found: dict[int, FunctionType] = {}
        for n in ast.walk(node or self.node or ast.Module([], [])):
            value = self.value(n.id) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) else None
            for each in value.values() if isinstance(value, dict) and len(value) < 20 else [value]:
                if isinstance(each, FunctionType) and ours(each):
                    found.setdefault(id(each), each)
        return list(found.values())


def plain(function: Any) -> Any:
    """The function below its decorators; an op's body."""
    if hasattr(function, "op"):
        return function.op.body
    while hasattr(function, "__wrapped__") or hasattr(function, "func"):
        function = getattr(function, "__wrapped__", None) or function.func
    return getattr(function, "py_func", function)


def has_source(value: Any) -> bool:
    return isinstance(plain(value), FunctionType)


def ours(function: FunctionType) -> bool:
    return (function.__module__ or "").partition(".")[0] in PACKAGES


def relative(file: str) -> str:
    """`file` from the folder on that the package stands in."""
    path = Path(file)
    for name in PACKAGES:
        package = getattr(sys.modules.get(name), "__file__", None)
        if package and Path(package).parent in path.parents:
            return path.relative_to(Path(package).parent.parent).as_posix()
    return "/".join(path.parts[-3:])


def location_of(value: Any) -> str:
    """Where a function or a class stands, "" for what is not written in Python."""
    for each in value.__mro__ if inspect.isclass(value) else ():  # one that a function made stands where its base does
        file = getattr(sys.modules.get(each.__module__), "__file__", None) or ""
        for node in _parsed(file)[1] if file.endswith(".py") else ():
            if isinstance(node, ast.ClassDef) and node.name == each.__name__:
                return f"{relative(file)}:{node.lineno}"
    return Source(value).location if has_source(value) else ""


def place_of(where: str | Callable) -> str:
    """Where a version's code stands; one named as "module:function" is looked up without importing its module."""
    if not isinstance(where, str):
        return location_of(where)
    module, name = where.split(":")
    file = file_of(module)
    if file is None:
        return module
    found = definition(file, name)
    return f"{relative(file)}:{found.lineno}" if found is not None else relative(file)


@cache
def file_of(module: str) -> str | None:
    """The file of a module of the kernels, which need not be imported."""
    package, _, rest = module.partition(".")
    base = Path(sys.modules[package].__file__ or "").parent
    path = base.joinpath(*rest.split(".")).with_suffix(".py")
    return str(path) if path.is_file() else None


def definition(file: str, name: str) -> Any:
    """The node that defines `name` at the top of a file: a function, or an assignment."""
    nodes = _parsed(file)[1]
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name and node.col_offset == 0:
            return node
    return next((n for n in nodes if isinstance(n, ast.Assign) and n.col_offset == 0 and name in
                 [getattr(each, "id", None) for target in n.targets for each in ast.walk(target)]), None)


def constant(file: str, name: str) -> Any:
    """The number that a module gives `name` at its top, read without importing it."""
    node = definition(file, name)
    value = eval(compile(ast.Expression(node.value), file, "eval"), {})
    names = [getattr(each, "id", None) for target in node.targets for each in getattr(target, "elts", [target])]
    return value[names.index(name)] if len(names) > 1 else value


def text_at(where: str | Callable) -> str:
    """The source of a version's function."""
    if not isinstance(where, str):
        return Source(where).text if has_source(where) else ""
    module, name = where.split(":")
    file = file_of(module)
    node = definition(file, name) if file else None
    return "\n".join(_parsed(file)[0][node.lineno - 1:node.end_lineno]) if file and node is not None else ""


def idea_at(where: str | Callable) -> str:
    """The first line of the docstring of a version's function, or of the function that it is made from by a call."""
    if isinstance(where, str):
        module, name = where.split(":")
        file = file_of(module)
        node = definition(file, name) if file else None
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made_from = [argument.id for argument in node.value.args if isinstance(argument, ast.Name)]
            return next(filter(None, (idea_at(f"{module}:{name}") for name in made_from)), "")
        doc = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
    else:
        doc = where.__doc__
    return (doc or "").strip().partition("\n")[0]


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes within a function, without those of the functions that are defined in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            yield child
            yield from own_nodes(child)


@cache
def _parsed(file: str) -> tuple[list[str], list[Any]]:
    """A file's lines, and what its syntax tree defines: functions, lambdas, classes and assigned names."""
    text = Path(file).read_text("utf-8")
    kinds = (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.Assign)
    return text.split("\n"), [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


@cache
def _imports(node: ast.AST | None) -> dict[str, tuple[ast.ImportFrom, str]]:
    """The names that imports within a function bind: the import, and the name there."""
    found: dict[str, tuple[ast.ImportFrom, str]] = {}
    for each in ast.walk(node) if node is not None else ():
        if isinstance(each, ast.ImportFrom):
            for alias in each.names:
                found.setdefault(alias.asname or alias.name, (each, alias.name))
    return found


@cache
def _node(code: CodeType) -> Any:
    """The definition, or the lambda, that was compiled to `code`."""
    try:
        nodes = _parsed(code.co_filename)[1]
    except (OSError, SyntaxError):
        return None  # typed at a prompt
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            if code.co_firstlineno in (node.lineno, *(d.lineno for d in node.decorator_list)):
                return node
        elif isinstance(node, ast.Lambda) and code.co_name == "<lambda>" and node.lineno == code.co_firstlineno and \
                _names(node) <= {*code.co_varnames, *code.co_freevars, *code.co_names, *code.co_cellvars}:
            return node
    return None


def _names(node: ast.Lambda) -> set[str]:
    names = {n.id for n in ast.walk(node.body) if isinstance(n, ast.Name)}
    return names | {a.arg for a in node.args.args} | {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
