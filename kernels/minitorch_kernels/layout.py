"""How the operands of an elementwise kernel lie to its result, for the GPU: whole arrays, rows, columns, numbers."""
from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

NUMBERS = (float, int, bool)
KINDS = {"a": "full", "n": "scalar", "r": "row", "c": "column", "e": "element", "b": "bits"}


def lay(operands: tuple, mask: int | None = None) -> tuple[str, Any, int] | str:
    """A letter of KINDS for each operand, the one that is as large as the result, the length of a row (1: no rows).

    Or, as a text, why CUDA kernels leave them to CuPy. `mask` is the place of a bool operand.

    >>> lay((1.5, 2))
    'float16, bfloat16, float32 and float64 only'
    """
    like = _largest(operands)
    if like is None or like.dtype.char not in "fdeE":
        return "float16, bfloat16, float32 and float64 only"
    kinds, row, shape, char = "", 1, like.shape, like.dtype.char
    for i, x in enumerate(operands):
        if type(x) in NUMBERS:
            kinds += "n"
        elif x.dtype.char != (char if i != mask else "?"):
            return "arrays of one dtype only"
        elif isinstance(x, (np.ndarray, np.generic)):
            if x.ndim:
                return "arrays on the GPU, and numbers, only"
            kinds += "n"
        else:
            kind, n = along(x.shape, x.strides, x.itemsize, shape)
            if not kind or (n > 1 and n != row > 1):
                return "contiguous arrays, their rows, columns and single numbers only"
            kinds, row = kinds + kind, max(row, n)
    return kinds, like, row


def along(own: tuple[int, ...], strides: tuple[int, ...], itemsize: int, shape: tuple[int, ...]) -> tuple[str, int]:
    """The kind of an operand in a loop over `shape`, and the length of a row if it counts; ("", 1): none of them.

    >>> along((3,), (4,), 4, (2, 3)), along((2, 1), (4, 4), 4, (2, 3)), along((2, 3), (0, 0), 4, (2, 3))
    (('r', 3), ('c', 3), ('e', 1))
    """
    if own == shape and own and strides[-1] == itemsize and _dense(own, strides, itemsize):
        return "a", 1
    lead = len(shape) - len(own)
    steps = (0,) * lead + tuple([step if n > 1 else 0 for n, step in zip(own, strides)])
    if lead < 0 or any(n not in (1, m) for n, m in zip(own, shape[lead:])):
        return "", 1
    moving = [d for d, step in enumerate(steps) if step]
    if not moving:
        return "e", 1
    first, end = moving[0], moving[-1] + 1
    if not _dense(shape[first:end], steps[first:end], itemsize):
        return "", 1
    before, after = prod(shape[:first]), prod(shape[end:])
    if before > 1 < after:
        return "", 1
    return ("c", after) if after > 1 else ("r", prod(shape[first:])) if before > 1 else ("a", 1)


def reason(mask: int | None = None, arrays: int | None = None) -> Callable[..., str | None]:
    """The predicate of a version: what `lay` says of the first `arrays` arguments (None: all of them)."""
    def refuses(*operands: Any) -> str | None:
        found = lay(operands[:arrays], mask)
        return found if isinstance(found, str) else None

    return refuses


def _largest(operands: tuple) -> Any:
    """The array as large as the result that has no gaps and nothing repeated, if there is one."""
    like = None
    for x in operands:
        if type(x) in NUMBERS or isinstance(x, (np.ndarray, np.generic)) or x.dtype.char == "?":
            continue
        if like is None or x.size > like.size or (x.size == like.size and len(x.shape) >= len(like.shape) and
                                                  not _dense(like.shape, like.strides, like.itemsize)):
            like = x
    return like


def _dense(shape: tuple[int, ...], strides: tuple[int, ...], step: int) -> bool:
    """Whether the elements lie side by side, in order."""
    for n, own in zip(reversed(shape), reversed(strides)):
        if n > 1:
            if own != step:
                return False
            step *= n
    return True
