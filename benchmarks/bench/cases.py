"""What can be measured: an entry a kernel, or variant of one, which makes a case of any shape.

A case is either a kernel of the table, called with arrays, beside an expression of PyTorch with the same arguments as
tensors; or a `program`, which is written once in PyTorch's API and run in both frameworks. Other libraries' expressions
of the same tasks are in peers.py. The shapes of the fixed table are those of the models in ../models.py.
"""
from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from minitorch_kernels import table

LENGTHS = tuple(1 << n for n in range(10, 25, 2))  # numbers in an array, in a sweep
WIDTHS = tuple(1 << n for n in range(6, 15, 2))  # of rows, in a sweep
IMAGES = (100, 64, 30, 30)  # CNN of seed 002 5.2, after its first convolution
LOGITS = (1024, 10_000)  # the recurrent model: batch x time, words

class Source:
    """Arrays of random numbers of one dtype, the same for the same seed."""

    def __init__(self, seed: int = 0, dtype: str = "float32") -> None:
        self.rng, self.dtype = np.random.default_rng(seed), np.dtype(dtype)

    def __call__(self, *shape: int) -> np.ndarray:
        """Standard normal numbers."""
        return self.rng.standard_normal(shape, self.dtype.type)

    def positive(self, *shape: int) -> np.ndarray:
        return np.abs(self(*shape)) + self.dtype.type(0.1)

    def inner(self, *shape: int) -> np.ndarray:
        """Between 0.1 and 0.9, where nearly every function is defined."""
        return (self.rng.random(shape, self.dtype.type) * self.dtype.type(0.8)) + self.dtype.type(0.1)

    def below(self, end: int, *shape: int) -> np.ndarray:
        return self.rng.integers(0, end, shape)


class Case(NamedTuple):
    """One call to measure."""

    arguments: Callable[[Source], tuple]
    theirs: Callable | None = None  # (torch, *arguments as tensors) -> what the kernel's first results must equal
    program: Callable | None = None  # (framework, *arguments as tensors) -> a function without arguments
    flops: float | None = None  # operations that the result needs; by default minitorch_kernels.costs says it
    numbers: float | None = None  # moved, where not each argument is read once and each result written once
    pattern: str = ""  # of access: "read", "write" or "update" (minitorch_kernels.limits)
    label: str = ""  # instead of the arrays' shapes
    changes: bool = False  # its arguments, so that no two calls are alike
    tolerance: float = 1e-4  # largest error in float32, relative to the largest number of the result


class Entry(NamedTuple):
    """A kernel, or a variant of one, at all shapes."""

    family: str
    kernel: str  # of the table; for a program, the one that does its work
    make: Callable[..., Case]  # of the numbers of a shape
    form: str  # what these numbers are
    fixed: list[tuple]  # the shapes of the fixed table
    at: Callable[[int], tuple]  # the shape of a size in a sweep
    sizes: tuple[int, ...]  # of a sweep
    least: tuple  # the smallest shape, whose time is the cost of launching
    versions: tuple[str, ...] = ("auto",)  # of minitorch, in the fixed table
    target: dict[tuple, float] | float | None = None  # the part of the rival's rate to reach
    task: str = ""  # its name in peers.py, by default the kernel's
    variant: bool = False  # in the fixed table alone: another layout or axis of an entry before it

    def shapes(self) -> list[tuple]:
        """The fixed table's, or one of middling size."""
        return self.fixed or [self.at(self.sizes[len(self.sizes) // 2])]

    def goal(self, shape: tuple) -> float | None:
        return self.target.get(shape) if isinstance(self.target, dict) else self.target


def find(names: Iterable[str]) -> list[Entry]:
    """The entries that names choose: families, kernels, or the beginnings of kernels' names ("adam").

    Raises ValueError, with the nearest name, where there is none, and for a kernel that no case can be made for.

    >>> [entry.kernel for entry in find(["rms_norm"])]
    ['rms_norm']
    """
    found: list[Entry] = []
    for name in names:
        chosen = ([e for e in entries() if e.kernel == name] or [e for e in entries() if e.family == name]
                  or [e for e in entries() if e.kernel.startswith(f"{name}_")])
        if not chosen:
            _known(name)
            chosen = [_plain(name)]
        found += [entry for entry in chosen if entry not in found]
    return found


def fits(entry: Entry, shape: tuple) -> None:
    """Raises ValueError where the entry has no case of that shape.

    >>> fits(find(["matmul"])[0], (64, 32))
    Traceback (most recent call last):
    ValueError: matmul takes a shape MxKxN, not 64x32
    """
    needed, _, more = entry.form.partition("[")
    least = needed.count("x") + 1
    if len(shape) != least and len(shape) != least + more.count("x") and "..." not in needed:
        raise ValueError(f"{entry.kernel} takes a shape {entry.form}, not {written(shape)}")
    entry.make(*shape)


def families() -> list[str]:
    return list(dict.fromkeys(entry.family for entry in entries()))


def entries() -> list[Entry]:
    """All of them, in the fixed table's order."""
    from .entries import ENTRIES

    return ENTRIES


def label(arguments: Iterable[Any]) -> str:
    """The shapes of arrays, and arguments that are texts.

    >>> label((np.ones((2, 3)), "tanh", 1.0, None))
    '2x3, tanh'
    """
    return ", ".join(a if isinstance(a, str) else written(a.shape) for a in arguments
                     if isinstance(a, (str, np.ndarray)))


def written(shape: tuple) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _known(name: str) -> None:
    """Raises ValueError, with the nearest name, where neither kernel nor family is named so."""
    known = [*table.names(), *families()]
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise ValueError(f"no kernel or family is named {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
                         + "; --list shows all")


def _plain(name: str) -> Entry:
    """An entry for an elementwise kernel that has none of its own: so many arrays of one shape.

    Raises ValueError for a kernel that needs more than that.
    """
    reference = table.get(name).reference
    function = getattr(np, name, None)
    parameters = list(inspect.signature(reference).parameters)[1:]
    if parameters == ["operands"]:
        count = function.nin if isinstance(function, np.ufunc) else 2
    else:
        count = len(parameters)
        if not set(parameters) <= {"x", "a", "b", "y", "dy", "z", "p", "s", "q"}:
            raise ValueError(f"{name} takes {', '.join(parameters)}, and no case makes these: add an entry to "
                             "benchmarks/bench/entries.py")
    try:
        table.get(name)(np, *(np.ones(1, np.float32) for _ in range(count)))
    except Exception as error:
        raise ValueError(f"{name} does not take plain arrays of floats ({error}): add an entry to "
                         "benchmarks/bench/entries.py") from None
    family = reference.__module__.rpartition(".")[2]
    return Entry(family, name, lambda *s: Case(lambda r: tuple(r.inner(*s) for _ in range(count))), "AxBx...", [],
                 lambda n: (n,), LENGTHS, (1,))
