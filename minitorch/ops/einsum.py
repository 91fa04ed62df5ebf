"""Einstein's summation: products of tensors with named dimensions, summed over the names that the result lacks.

Every equation comes down to steps on one operand (diagonals, sums, an order of dimensions) and to contractions of two,
which are matrix products between the names that both have and the result has not. The gradient of a contraction is a
contraction of the same kind.
"""
from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

from .. import dtypes
from ..errors import DTypeError, ShapeError
from ..op import composite, op
from ..tensor import Tensor
from .elementwise import conjugate
from .shape import diagonal, permute, reshape, unsqueeze

_ELLIPSIS = 1000  # labels of the dimensions that "..." stands for: 1000 the last, 1001 the one before it, ...


@composite(method=False)
def einsum(equation, *operands):
    """The sum of products that `equation` describes, "ij,jk->ik"; without "->" the names that occur once, sorted.

    A name that is repeated in an operand takes its diagonal; "..." stands for dimensions that broadcast. The form
    einsum(x, [0, 1], y, [1, 2], [0, 2]) works too. Raises ShapeError where sizes of a name differ.

    >>> import minitorch as torch
    >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> torch.einsum("ij->ji", x), torch.einsum("ij,j", x, torch.tensor([1.0, 1.0]))
    (tensor([[1., 3.],
            [2., 4.]]), tensor([3., 7.]))
    """
    if isinstance(equation, Tensor):
        equation, operands = _from_lists((equation, *operands))
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError("einsum: must provide at least one operand")
    labels, result = _parsed(equation, tuple([x.ndim for x in operands]))
    sizes = _sizes(equation, labels, operands)
    terms = [_plain(x, names, sizes) for x, names in zip(operands, labels)]
    while len(terms) > 1:
        i, j = _cheapest([names for _, names in terms], result, sizes) if len(terms) > 2 else (0, 1)
        (b, right), (a, left) = terms.pop(j), terms.pop(i)
        needed = {*result, *(name for _, names in terms for name in names)}
        a, left = _summed(a, left, needed | {*right})
        b, right = _summed(b, right, needed | {*left})
        kept = tuple([n for n in left if n in needed]) + tuple([n for n in right if n in needed and n not in left])
        if not terms:
            kept = tuple([n for n in result if n in kept])
        if a._array.dtype != b._array.dtype and any(n in right and n not in kept for n in left):
            raise DTypeError(f"einsum: operands must have the same dtype, but got {a.dtype} and {b.dtype}")
        terms.insert(i, (contract(a, b, left, right, kept), kept))
    return _finished(*terms[0], result)


@op(method=False, function=False)
def contract(k, a, b, /, left, right, kept):
    """Σ a b, whose dimensions are named `left` and `right`, over the names that are not in `kept`.

    Each name of `left` is in `right` or `kept`, and each name of `right` in `left` or `kept`.
    """
    return (_contracted(k, a, b, left, right, kept),
            lambda dy: _either(k, dy, conjugate(b), kept, right, left),
            lambda dy: _either(k, dy, conjugate(a), kept, left, right))


def _either(k: Any, a: Any, b: Any, left: tuple, right: tuple, kept: tuple) -> Any:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return contract(a, b, left, right, kept)
    return _contracted(k, a, b, left, right, kept)


def _contracted(k: Any, a: Any, b: Any, left: tuple, right: tuple, kept: tuple) -> Any:
    order_a, order_b, groups, back = _plan(left, right, kept)
    batch, rows, inner, columns = groups
    a, b = dtypes.promote(a, b)
    a, b = a.transpose(order_a), b.transpose(order_b)
    if not inner:  # elementwise: BLAS gains nothing from sums of one product
        y = a.reshape(a.shape + (1,) * columns) * b.reshape(b.shape[:batch] + (1,) * rows + b.shape[batch:])
        return y.transpose(back)
    shape = a.shape[:batch + rows] + b.shape[batch + inner:]
    if (batch, rows, inner, columns) != (batch and 1, 1, 1, 1):
        lead = (prod(a.shape[:batch]),) if batch else ()
        size = prod(a.shape[batch + rows:])
        a = a.reshape(*lead, prod(a.shape[batch:batch + rows]), size)
        b = b.reshape(*lead, size, prod(b.shape[batch + inner:]))
    return k.matmul(a, b).reshape(shape).transpose(back)


@lru_cache(1024)
def _plan(left: tuple, right: tuple, kept: tuple) -> tuple:
    """Both operands' orders (batch, rows, inner | batch, inner, columns), the groups' lengths, the result's order."""
    batch = [n for n in left if n in right and n in kept]
    inner = [n for n in left if n in right and n not in kept]
    rows = [n for n in left if n not in right]
    columns = [n for n in right if n not in left]
    made = batch + rows + columns
    return (tuple([left.index(n) for n in batch + rows + inner]),
            tuple([right.index(n) for n in batch + inner + columns]),
            (len(batch), len(rows), len(inner), len(columns)), tuple([made.index(n) for n in kept]))


@lru_cache(1024)
def _parsed(equation: str, dims: tuple[int, ...]) -> tuple[tuple, tuple]:
    """The labels of each operand's dimensions, and those of the result."""
    text = equation.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    parts = inputs.split(",")
    if len(parts) != len(dims):
        raise RuntimeError(f"einsum: {equation!r} has {len(parts)} operands, but {len(dims)} were given")
    labels = tuple([_labels(equation, part, n) for part, n in zip(parts, dims)])
    if not arrow:
        every = [n for names in labels for n in names]
        dots = sorted({n for n in every if n >= _ELLIPSIS}, reverse=True)
        return labels, tuple(dots + sorted([n for n in set(every) if every.count(n) == 1 and n < _ELLIPSIS]))
    widest = max([n - _ELLIPSIS + 1 for names in labels for n in names if n >= _ELLIPSIS], default=0)
    result = _labels(equation, output, len(output.replace("...", "")) + (widest if "..." in output else 0))
    for n in result:
        if result.count(n) > 1:
            raise RuntimeError(f"einsum: output subscript {chr(n)} appears more than once in {equation!r}")
        if n < _ELLIPSIS and not any(n in names for names in labels):
            raise RuntimeError(f"einsum: output subscript {chr(n)} does not appear in the equation for any input "
                               f"operand in {equation!r}")
    return labels, result


def _labels(equation: str, part: str, dims: int) -> tuple[int, ...]:
    before, dots, after = part.partition("...")
    names = before + after
    if not all(c.isascii() and c.isalpha() for c in names):
        raise RuntimeError(f"einsum: invalid subscript in {equation!r}: subscripts must be in [a-zA-Z]")
    spread = dims - len(names)
    if spread < 0 or (spread and not dots):
        raise RuntimeError(f"einsum: the number of subscripts in {part!r} of {equation!r} does not match the number of "
                           f"dimensions {dims} of its operand")
    middle = [_ELLIPSIS + i for i in range(spread - 1, -1, -1)]
    return (*map(ord, before), *middle, *map(ord, after))


def _sizes(equation: str, labels: tuple, operands: tuple) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for names, x in zip(labels, operands):
        for name, n in zip(names, x._array.shape):
            known = sizes.get(name, 1)
            if known != n and 1 not in (known, n):
                what = "..." if name >= _ELLIPSIS else chr(name)
                raise ShapeError(f"einsum: operands do not broadcast with remapped shapes [original->remapped]: in "
                                 f"{equation!r} {what!r} has size {known} and size {n}")
            sizes[name] = known if n == 1 else n
    return sizes


def _plain(x: Tensor, names: tuple, sizes: dict[int, int]) -> tuple[Tensor, tuple]:
    """`x` with the diagonals of repeated names, and without the dimensions of size 1 that others spread."""
    at = 0
    while at < len(names):
        if names[at] in names[at + 1:]:
            other = names.index(names[at], at + 1)
            if x._array.shape[at] != x._array.shape[other]:
                raise ShapeError(f"einsum: subscript {chr(names[at])} is repeated for an operand but the sizes don't "
                                 f"match, {x.shape[other]} != {x.shape[at]}")
            x = diagonal(x, 0, at, other)
            names = (*names[:at], *names[at + 1:other], *names[other + 1:], names[at])
        else:
            at += 1
    shape = x._array.shape
    spread = [i for i, name in enumerate(names) if shape[i] == 1 != sizes[name]]
    if spread:
        x = reshape(x, [n for i, n in enumerate(shape) if i not in spread])
        names = tuple([name for i, name in enumerate(names) if i not in spread])
    return x, names


def _summed(x: Tensor, names: tuple, needed: set[int]) -> tuple[Tensor, tuple]:
    """`x` summed over the names that nothing needs any more."""
    lone = tuple([i for i, name in enumerate(names) if name not in needed])
    if not lone:
        return x, names
    return x.sum(lone), tuple([name for name in names if name in needed])


def _finished(x: Tensor, names: tuple, result: tuple) -> Tensor:
    """`x` with the dimensions of `result`, in its order."""
    x, names = _summed(x, names, {*result})
    for name in result:
        if name not in names:  # it had size 1 everywhere
            x, names = unsqueeze(x, x.ndim), (*names, name)
    order = tuple([names.index(name) for name in result])
    return permute(x, order) if order != tuple(range(len(order))) else x


def _cheapest(terms: list[tuple], result: tuple, sizes: dict[int, int]) -> tuple[int, int]:
    """The pair of terms whose contraction leaves the smallest intermediate result."""
    best: tuple = ()
    for i in range(len(terms)):
        for j in range(i + 1, len(terms)):
            others = {*result, *(n for m, names in enumerate(terms) if m not in (i, j) for n in names)}
            size = prod([sizes[n] for n in {*terms[i], *terms[j]} if n in others])
            if not best or size < best[0]:
                best = size, i, j
    return best[1], best[2]


def _from_lists(arguments: tuple) -> tuple[str, tuple]:
    """The form einsum(x, [0, 1], ..., [0]) as an equation."""
    def letters(numbers):
        return "".join(["..." if n is Ellipsis else chr(ord("A") + n if n < 26 else ord("a") + n - 26)
                        for n in numbers])

    output = "->" + letters(arguments[-1]) if len(arguments) % 2 else ""
    pairs = len(arguments) // 2
    return (",".join([letters(arguments[2 * i + 1]) for i in range(pairs)]) + output,
            tuple([arguments[2 * i] for i in range(pairs)]))
