"""Rules and messages for axes and shapes, which all ops share."""
from __future__ import annotations

from math import prod
from operator import index
from typing import Any

from .errors import DimError, ShapeError


def axis(op: str, x: Any, dim: int) -> int:
    """`dim` counted from the front. Raises DimError where `x` has no such dimension; a scalar has 0 and -1.

    >>> import numpy as np
    >>> axis("sum", np.zeros((2, 3)), -1)
    1
    """
    n = x.ndim
    if type(dim) is not int:
        dim = _integer(op, "dim", dim)
    if 0 <= dim < n:
        return dim
    if -n <= dim < 0:
        return dim + n
    if n == 0 and -1 <= dim <= 0:
        return 0
    raise DimError(f"{op}: Dimension out of range (expected to be in range of [{-max(n, 1)}, {max(n, 1) - 1}], "
                   f"but got {dim})")


def axes(op: str, x: Any, dim: Any) -> tuple[int, ...]:
    """The dimensions that `dim` (None: all; one; several) means, counted from the front; those of a scalar are ().

    Raises DimError for one that `x` does not have and RuntimeError for one named twice.
    """
    if dim is None:
        return tuple(range(x.ndim))
    if type(dim) is int or not isinstance(dim, (tuple, list)):
        only = axis(op, x, dim)
        return (only,) if x.ndim else ()
    found = tuple([axis(op, x, d) for d in dim])
    if len(set(found)) != len(found):
        raise RuntimeError(f"{op}: dim {_first_repeated(found)} appears multiple times in the list of dims")
    return found if x.ndim else ()


def kept(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with 1 at `dims`, as a reduction with keepdim leaves it.

    >>> kept((2, 3, 4), (0, 2))
    (1, 3, 1)
    """
    return tuple([1 if i in dims else n for i, n in enumerate(shape)])


def broadcast(op: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all shapes broadcast to. Raises ShapeError where two sizes differ and neither is 1.

    >>> broadcast("add", (3, 1), (4,))
    (3, 4)
    """
    result = list(shapes[0])
    for shape in shapes[1:]:
        if len(shape) > len(result):
            result = [1] * (len(shape) - len(result)) + result
        offset = len(result) - len(shape)
        for i, n in enumerate(shape, offset):
            if result[i] == 1:
                result[i] = n
            elif n != 1 and n != result[i]:
                raise ShapeError(f"{op}: The size of tensor a ({result[i]}) must match the size of tensor b ({n}) at "
                                 f"non-singleton dimension {i}: shapes " + ", ".join(str(tuple(s)) for s in shapes))
    return tuple(result)


def sizes(given: tuple | list) -> tuple[int, ...]:
    """The integers of `f(2, 3)`, `f((2, 3))` and `f([2, 3])` alike."""
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = given[0]
    for n in given:
        if type(n) is not int:
            return tuple([index(n) for n in given])
    return tuple(given)


def resolve(op: str, size: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """`size`, in which one -1 may stand for what is left over, as a new shape for elements of `shape`.

    Raises ShapeError where the number of elements differs.

    >>> resolve("reshape", (2, -1), (4, 3))
    (2, 6)
    """
    total = prod(shape)
    if -1 in size:
        at = size.index(-1)
        rest = prod(size[:at]) * prod(size[at + 1:])
        if min(size) >= -1 and size.count(-1) == 1:
            if rest == 0 and total == 0:
                raise ShapeError(f"{op}: cannot reshape tensor of 0 elements into shape {list(size)} because the "
                                 "unspecified dimension size -1 can be any value and is ambiguous")
            if rest and total % rest == 0:
                return (*size[:at], total // rest, *size[at + 1:])
        if size.count(-1) > 1:
            raise ShapeError(f"{op}: only one dimension can be inferred, got shape {list(size)}")
    elif prod(size) == total and (not size or min(size) >= 0):
        return size
    if size and min(size) < -1:
        raise ShapeError(f"{op}: invalid shape dimension {min(size)} in {list(size)}")
    raise ShapeError(f"{op}: shape '{list(size)}' is invalid for input of size {total}, of shape {tuple(shape)}")


def ntuple(op: str, argument: str, value: Any, n: int) -> tuple[int, ...]:
    """`value`, one integer for all or a sequence of `n`, as a tuple of `n`: kernel sizes, strides, paddings.

    >>> ntuple("conv2d", "stride", 2, 2)
    (2, 2)
    """
    if type(value) is int:
        return (value,) * n
    if not isinstance(value, (tuple, list)):
        return (_integer(op, argument, value),) * n
    if len(value) == 1:
        return (_integer(op, argument, value[0]),) * n
    if len(value) != n:
        raise ShapeError(f"{op}: {argument} expects one integer or {n}, got {list(value)}")
    return tuple([_integer(op, argument, v) for v in value])


def _integer(op: str, argument: str, value: Any) -> int:
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{op}(): argument {argument!r} must be int, not {type(value).__name__}") from None


def _first_repeated(found: tuple[int, ...]) -> int:
    return next(d for i, d in enumerate(found) if d in found[:i])
