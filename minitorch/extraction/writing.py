"""A folded function as text: its docstring, and its statements as people would write them."""
from __future__ import annotations

import ast
import copy
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from .folding import Source
from .layout import WIDTH


def docstring(doc: str | None, also: str | None, source: Source, params: list[str], trimmed: bool,
              optional: bool) -> list[str]:
    """The docstring, without examples and sentences that speak of what is gone; `also` is of what it was made of.

    `trimmed`: some results are gone, `optional`: some arguments may be None.
    """
    gone = [p for p in source.params if p not in params and p != "xp"]
    paragraphs: list[str] = []
    for text in (doc, also):
        text = re.sub(r"[:;,] [^.:;]*\bthis file\b", "", text or "")  # the script is another
        text = re.sub(r',? or, for "\w+",[^.,]*', "", text) if gone else text  # an option that was not taken
        if not optional:
            text = re.sub(r" \([^()]*\bNone\b[^()]*\)|,? or (are )?None\b|, each of which\s+may be\s+None", "", text)
        for n, paragraph in enumerate(text.split(">>>")[0].strip().split("\n\n")):
            if trimmed:
                paragraph = re.sub(r"[;:] (gives |returns )?\(.*?\)(?=[.,])", "", paragraph, flags=re.S)
            sentences = re.split(r"(?<=\.)\s+(?=[A-Z`])", paragraph.strip())
            left = [s for i, s in enumerate(sentences) if not _mentions(s, gone, i + n == 0)]
            if n == 0 and sentences[0] not in left:  # the summary, without the clause that speaks of it
                first, *clauses = sentences[0].rstrip(".").split(", ")
                left = [", ".join([first, *(c for c in clauses if "`" not in c)]) + ".", *left]
            if left and left[0]:
                prose = not any(line.startswith(" ") for line in paragraph.split("\n"))
                paragraphs.append(textwrap.fill(" ".join(left), WIDTH - 10) if prose else " ".join(left))
    if not paragraphs:
        return []
    lines = "\n\n".join(paragraphs).split("\n")
    if len(lines) == 1:
        return [f'    """{lines[0]}"""']
    return [f'    """{lines[0]}', *(f"    {line}".rstrip() for line in lines[1:]), '    """']


def _mentions(text: str, gone: list[str], summary: bool) -> bool:
    return "16" in text or any(f"`{p}`" in text or (not summary and len(p) > 4 and re.search(rf"\b{p}\b", text))
                               for p in gone)


def written(body: list[Any], depth: int, comments: dict[int, str]) -> Iterator[str]:
    """Statements as lines, with the comments that stood behind them."""
    for s in body:
        space = "    " * depth
        if isinstance(s, (ast.If, ast.For, ast.While, ast.FunctionDef, ast.With)):
            head: Any = copy.copy(s)
            head.body = [ast.Pass()]
            if hasattr(head, "orelse"):
                head.orelse = []
            yield space + _quotes(ast.unparse(head).split("\n")[0])
            yield from written(s.body, depth + 1, comments)
            otherwise = getattr(s, "orelse", None)
            if otherwise:
                yield space + "else:"
                yield from written(otherwise, depth + 1, comments)
            continue
        comment, line = comments.get(getattr(s, "end_lineno", 0) or 0, ""), space + _quotes(_statement(s))
        if comment and len(line) + len(comment) > WIDTH - 2:
            yield space + comment
            comment = ""
        yield line + (f"  {comment}" if comment else "")


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
