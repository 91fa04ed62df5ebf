"""`minitorch explain` without a name: everything that can be explained, by family, a line each."""
from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

from minitorch_kernels import table

from ..op import OPS
from .lookup import every
from .source import plain
from .text import width, wrapped


def listing() -> str:
    """Ops and kernels by the file that they stand in, with their summaries; then functions, layers and optimizers."""
    known = every()
    parts = ["Explain one of these: minitorch explain NAME (a kernel that has an op's name: k.NAME)"]
    parts += list(_families("Ops", {name: plain(OPS[name].body) for name in known["op"]}))
    parts += list(_families("Kernels", {name: table.get(name).reference for name in known["kernel"]}))
    for kind, title in (("function", "Functions made of ops"), ("layer", "Layers: nn.NAME"),
                        ("optimizer", "Optimizers: optim.NAME")):
        parts.append(f"{title}\n{wrapped(', '.join(known[kind]), 2, '  ')}")
    return "\n\n".join(parts)


def show(text: str) -> None:
    """Print `text`, through the user's pager where a terminal is too small for it."""
    if sys.stdout.isatty() and text.count("\n") >= shutil.get_terminal_size().lines - 1:
        import pydoc

        pydoc.pager(text)
        return
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _families(title: str, functions: dict) -> Iterator[str]:
    modules: dict[str, list[str]] = {}
    for name, function in functions.items():
        modules.setdefault(function.__module__, []).append(name)
    for module in sorted(modules):
        about = (sys.modules[module].__doc__ or "").strip().partition("\n")[0]
        column = max(map(len, modules[module])) + 2
        lines = [_line(name, functions[name].__doc__, column) for name in modules[module]]
        yield "\n".join([f"{title}, {module.rpartition('.')[2]}: {about}", *lines])


def _line(name: str, doc: str | None, column: int) -> str:
    text = f"  {name:{column}}{(doc or '').strip().partition(chr(10))[0]}"
    return text if len(text) <= width() else text[:width() - 1].rstrip() + "…"
