"""The ladders: matmul and conv2d from plain loops up to the fastest, one idea a rung.

>>> for rung in ladder("matmul")[:3]:
...     print(rung)
1 python: Three plain loops: the definition of the product, each step by the interpreter.
2 loops: The same three loops, compiled: types are known before, so a product is one instruction.
3 rows: Two loops exchanged: the innermost runs along rows of b and y, so one instruction does a vector of numbers.

A rung is a version of its kernel: `use(matmul="rows")` lets a whole network run on it, forward and backward.
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

from .. import table


class Rung(NamedTuple):
    """A step of a ladder; the first is number 1. `function` takes the kernel's arguments, `use` knows it by `name`."""

    number: int
    name: str
    idea: str
    function: Callable

    def __str__(self) -> str:
        return f"{self.number} {self.name}: {self.idea}"


def ladder(kernel: str, device: str = "cpu") -> list[Rung]:
    """The rungs of `kernel`, slowest first: what the table has for a device, from its last version to its first.

    The idea is the first line of the rung's docstring; for the table's own versions above the ladder, of their file's.
    Raises ValueError for a kernel without a ladder, ImportError where Numba is not installed.

    >>> [rung.name for rung in ladder("conv2d")][-4:]
    ['threads', 'numba', 'winograd', 'columns']
    >>> [rung.name for rung in ladder("matmul", "cuda")]
    ['loops', 'rows', 'blocked', 'tiled', 'pipelined', 'tensor', 'cublaslt']
    """
    if kernel not in ladders():
        raise ValueError(f"ladder: expects one of {', '.join(ladders())}, got {kernel!r}")
    versions = [version for version in table.get(kernel).versions if version.device == device]
    rungs = [(version.name, version.load(), version.backend == "ladder") for version in reversed(versions)]
    return [Rung(i, name, _idea(function if own else sys.modules[function.__module__]), function)
            for i, (name, function, own) in enumerate(rungs, 1)]


def ladders() -> list[str]:
    """The kernels that have a ladder.

    >>> ladders()
    ['conv2d', 'matmul']
    """
    return [name for name in table.names() if any(
        v.where == f"{__name__}.{name}:{v.name}" for v in table.get(name).versions)]


def _idea(explained: object) -> str:
    return (explained.__doc__ or "").strip().split("\n")[0]
