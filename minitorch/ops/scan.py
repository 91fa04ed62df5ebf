"""Cumulative operations along one dimension, and differences."""
from __future__ import annotations

from typing import Any

from .. import return_types, shapes
from ..errors import DTypeError
from ..op import composite, joint, op
from .arithmetic import logaddexp
from .elementwise import conjugate, floating
from .extremes import _both
from .join import cat
from .reduce import _addable, _typed
from .shape import narrow


@op(inplace=True)
def cumsum(k, x, /, dim, *, dtype=None):
    """The sums of the elements up to each one along `dim`. Integers are added as int64.

    y[i] = x[0] + ... + x[i]

    >>> import minitorch as torch
    >>> torch.cumsum(torch.tensor([1, 2, 3]), 0)
    tensor([1, 3, 6])
    """
    at = shapes.axis("cumsum", x, dim)
    x = _addable(x, dtype)
    return _typed(k.cumsum(x, at), dtype) if x.ndim else x.copy(), lambda dy: _backwards(k, k.cumsum, dy, at)


@op(inplace=True)
def cumprod(k, x, /, dim, *, dtype=None):
    """The products of the elements up to each one along `dim`. The gradient is right where elements are zero.

    y[i] = x[0] · ... · x[i]
    """
    at = shapes.axis("cumprod", x, dim)
    x = _addable(x, dtype)
    return (_typed(k.xp.cumprod(x, at), dtype) if x.ndim else x.copy(),
            lambda dy: k.cumprod_dx(dy, conjugate(x), at) if dy.ndim else dy)


@op
def logcumsumexp(k, x, /, dim):
    """log Σ exp of the elements up to each one along `dim`, without overflow."""
    at = shapes.axis("logcumsumexp", x, dim)
    x = floating(x)
    if x.dtype.kind == "c" and x.ndim:
        y, before = x.copy(), (slice(None),) * at
        for i in range(1, x.shape[at]):
            y[(*before, i)] = logaddexp.op.body(k, y[(*before, i - 1)], x[(*before, i)])[0]
        return y, lambda dy: k.exp(x).conj() * _backwards(k, k.xp.cumsum, dy * k.exp(-y).conj(), at)
    y = k.logcumsumexp(x, at) if x.ndim else x.copy()
    return y, lambda dy: _logcumsumexp_dx(k, dy, x, y, at) if dy.ndim else dy


@op(method=False, function=False)
def cummax_(k, x, /, dim):
    return _running("cummax", k, x, dim, "maximum")


@op(method=False, function=False)
def cummin_(k, x, /, dim):
    return _running("cummin", k, x, dim, "minimum")


@composite
def cummax(input, dim, *, out=None):
    """(values, indices): the largest element up to each one along `dim`, of equal ones the last."""
    return _both(return_types.cummax, cummax_(input, dim), out)


@composite
def cummin(input, dim, *, out=None):
    """(values, indices): the smallest element up to each one along `dim`, of equal ones the last."""
    return _both(return_types.cummin, cummin_(input, dim), out)


@composite
def diff(input, n=1, dim=-1, prepend=None, append=None, *, out=None):
    """The differences between neighbours along `dim`, taken `n` times, with tensors joined on before or behind.

    >>> import minitorch as torch
    >>> torch.diff(torch.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if input.ndim == 0:
        raise DTypeError("diff: expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"diff: order must be non-negative but got {n}")
    at = shapes.axis("diff", input, dim)
    if n == 0:
        return input.clone() if out is None else out.resize_(input.shape).copy_(input)
    given = [x for x in (prepend, input, append) if x is not None]
    y = cat(given, dim=at) if len(given) > 1 else input
    for _ in range(n):
        size = max(y._array.shape[at] - 1, 0)
        later, earlier = (narrow(y, at, min(start, y._array.shape[at]), size) for start in (1, 0))
        y = later.logical_xor(earlier) if y._array.dtype.kind == "b" else later - earlier
    return y if out is None else out.resize_(y.shape).copy_(y)


def _backwards(k: Any, scan: Any, x: Any, at: int) -> Any:
    """The scan from the end to the beginning."""
    return k.xp.flip(scan(k.xp.flip(x, at), at), at) if x.ndim else x


def _logcumsumexp_dx(k: Any, dy: Any, x: Any, y: Any, at: int) -> Any:
    """exp(x[j]) Σ dy[i] exp(-y[i]) for i >= j, by logarithms, of positive and negative dy apart."""
    def part(size):
        there = size > 0
        log = k.where(there, k.log(k.where(there, size, 1.0)), -1e30)
        return k.exp(_backwards(k, k.logcumsumexp, log - y, at) + x)

    return part(dy) - part(-dy)


def _running(name: str, k: Any, x: Any, dim: int, function: str) -> tuple:
    at, shape = shapes.axis(name, x, dim), x.shape
    lines = x if shape else x.reshape(1)
    values = k.running(lines, at, function)
    place = k.xp.arange(lines.shape[at]).reshape([-1 if i == at else 1 for i in range(lines.ndim)])
    index = k.running(k.where((lines == values) | (lines != lines), place, 0), at, "maximum")

    def dx(dy, needs):
        return [k.gather_dx(dy[0], index, at, shape) if shape else dy[0]]

    return [values.reshape(shape), index.reshape(shape).copy()], joint(dx)
