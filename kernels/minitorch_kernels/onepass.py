"""Elementwise kernels in one pass over memory, written from their references.

For each operation of a reference NumPy reads and writes whole arrays. Run on symbols instead of arrays, the reference
says which operations these are: a chain (fused.py), which is compiled once, and kept on disk.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from .elementwise import CALLED, plain
from .layout import KINDS, reason
from .memory import empty
from .table import Kernel

if TYPE_CHECKING:
    from .fused import Chain


def one_pass(entry: Kernel, least: int = CALLED) -> None:
    """Enter versions of an elementwise kernel: for the CPU, where `least` elements are worth it, and for the GPU.

    The CPU's takes arrays of one shape, and numbers; the GPU's what `layout.lay` describes.
    Its reference may use operators, comparisons, and the functions of FUNCTIONS; a number may only be computed with.
    """
    def version(*operands: Any) -> np.ndarray:
        kinds = "".join(["a" if isinstance(x, np.ndarray) and x.ndim else "n" for x in operands])
        like = operands[kinds.index("a")]
        dtype, rows = like.dtype, like.size
        kernel, part, cost, constants = _made(entry.reference, kinds, dtype.char)
        out = empty(like.shape, dtype)
        given = [x if kind == "a" else dtype.type(x) for x, kind in zip(operands, kinds)]
        kernel(-(-rows // part), rows * cost, part, 1, rows, *given, *constants, out)
        return out

    entry.version("fused", "cpu", version, lambda *operands: _refuses(least, operands), backend="numba")
    entry.version("cuda", "cuda", f"minitorch_kernels.cuda.elementwise:{entry.name}", reason())


@cache
def written(reference: Callable, kinds: str, dtype: str) -> tuple[Chain, tuple[float, ...]]:
    """The chain of a reference's operations, and the numbers in it; `kinds` has a letter of KINDS for each argument.

    >>> chain, numbers = written(lambda xp, x: xp.maximum(x, 0) * 2, "a", "float32")
    >>> chain.lines, numbers
    ((('maximum', ('x0', 'x1')), ('mul', ('t0', 'x2'))), (0.0, 2.0))
    """
    from .fused import Chain

    lines: list[tuple[str, tuple[str, ...]]] = []
    constants: list[float] = []

    def reference_to(value: Any) -> str:
        if isinstance(value, _Symbol):
            return value.name
        if float(value) not in constants:
            constants.append(float(value))
        return f"x{len(kinds) + constants.index(float(value))}"

    def write(name: str, *operands: Any) -> _Symbol:
        lines.append((name, tuple([reference_to(x) for x in operands])))
        return _Symbol(f"t{len(lines) - 1}", write)

    xp = SimpleNamespace(**{name: _function(write, name) for name in FUNCTIONS})
    result = reference(xp, *[_Symbol(f"x{i}", write) for i in range(len(kinds))])
    indexed = tuple([KINDS[kind] for kind in kinds] + ["scalar"] * len(constants))
    return Chain(dtype, indexed, tuple(lines), (int(result.name[1:]),), (None,)), tuple(constants)


@cache
def _made(reference: Callable, kinds: str, letter: str) -> tuple[Callable, int, int, list]:
    """The kernel that a reference is written to, elements of a part, what one costs, and the numbers in it."""
    from .fused import PART, build  # here: importing it takes longer than the rest of this package's start

    dtype = np.dtype(letter)  # by its letter: the name takes longer than a call of the kernel
    chain, numbers = written(reference, kinds, dtype.name)
    return build(chain), PART, chain.cost(), [dtype.type(x) for x in numbers]


FUNCTIONS = ("where", "maximum", "minimum", "exp", "expm1", "log", "log1p", "tanh", "abs", "sign", "sqrt", "square")


class _Symbol:
    """A value of which only its name is known; what is done with it is written down."""

    def __init__(self, name: str, write: Callable):
        self.name, self.write = name, write

    def __bool__(self) -> bool:
        raise TypeError("one_pass: a reference may not branch on a value")

    def __neg__(self) -> _Symbol:
        return self.write("neg", self)


def _function(write: Callable, operation: str) -> Callable:
    return lambda *operands: write(operation, *operands)


def _operators(method: str, operation: str) -> None:
    setattr(_Symbol, f"__{method}__", lambda a, b: a.write(operation, a, b))
    if method in ("add", "sub", "mul", "truediv"):
        setattr(_Symbol, f"__r{method}__", lambda a, b: a.write(operation, b, a))


for _method, _operation in (("add", "add"), ("sub", "sub"), ("mul", "mul"), ("truediv", "div"), ("and", "and"),
                            ("or", "or"), ("gt", "greater"), ("ge", "greater_equal"), ("lt", "less"),
                            ("le", "less_equal"), ("eq", "equal"), ("ne", "not_equal")):
    _operators(_method, _operation)


def _refuses(least: int, operands: tuple) -> str | None:
    arrays = [x for x in operands if isinstance(x, np.ndarray) and x.ndim]
    if not arrays or prod(arrays[0].shape) < least:
        return f"fewer than {least} elements"
    first = arrays[0]
    if first.dtype.char not in "fd" or any([x.dtype is not first.dtype or x.shape != first.shape for x in arrays[1:]]):
        return "float32 and float64, arrays of one shape and dtype only"
    return None if all([plain(x) for x in arrays]) else "C-contiguous, writeable arrays only"
