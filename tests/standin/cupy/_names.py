"""What CuPy 14.2 has: names, parameters and loops as recorded in names.txt, which the stand-in goes no further than."""
from __future__ import annotations

from pathlib import Path


def _read():
    modules, module = {}, None
    for line in (Path(__file__).parent.parent / "names.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            module = modules.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, kind, *words = line.split()
            module[name] = kind, words
    return modules


NAMES = _read()


def parameters(module, name):
    """The parameters that can be given by position, those that can be named, and whether there may be more of each."""
    words = NAMES[module][name][1]
    plain = [w for w in words if w not in ("*", "**", "|")]
    end = next((i for i, w in enumerate(words) if w in ("*", "|")), len(plain))
    return plain[:end], frozenset(plain), "*" in words, "**" in words


def loops(name, module="cupy"):
    """The loops of a ufunc: [(types of its arguments, types of its results)]."""
    return [tuple(loop.split(">")) for loop in NAMES[module][name][1]]
