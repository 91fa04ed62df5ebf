"""Symmetric and Hermitian matrices that need not be definite: A = L D Lᵀ, and systems solved with it.

Bunch and Kaufman 1977, "Some stable methods for calculating inertia and solving symmetric linear systems": D has
blocks of one or two rows, and rows are swapped so that no entry grows large. `pivots` counts from 1: k + 1 where row
k stayed, another row where it was swapped with that, twice minus that row where a block has two rows.
"""
from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from .. import return_types
from ..errors import LinAlgError, ShapeError
from ..op import op
from ..tensor import Tensor
from .gather import into
from .linalg import square
from .on_cpu import on_cpu

_ALPHA = (1 + sqrt(17)) / 8  # the ratio that keeps the growth of a block of one and of two rows alike


def ldl_factor_ex(A, *, hermitian=False, check_errors=False, out=None):
    """(LD, pivots, info): L below D in one matrix, of the lower triangle of `A`; info is the first row of D that is
    zero, counted from 1."""
    square("linalg.ldl_factor_ex", A._array)

    def factored(x):
        x = np.tril(x)
        flat, n = x.reshape(prod(x.shape[:-2]), *x.shape[-2:]), x.shape[-1]
        pivots = np.empty((len(flat), n), np.int32)
        info = np.array([_factor(a, p, hermitian) for a, p in zip(flat, pivots)], np.int32)
        return x, pivots.reshape(x.shape[:-1]), info.reshape(x.shape[:-2])

    found = list(map(Tensor._wrap, on_cpu(factored, A._array)))
    if check_errors and found[2].any():
        first = found[2].max().item()
        raise LinAlgError("linalg.ldl_factor: The factorization could not be completed because the input is singular: "
                          f"D[{first}, {first}] is zero")
    return return_types.linalg_ldl_factor_ex(*(found if out is None else map(into, out, found)))


def ldl_factor(A, *, hermitian=False, out=None):
    """(LD, pivots): `ldl_factor_ex`, which raises LinAlgError for a singular D.

    >>> import minitorch as torch
    >>> A = torch.tensor([[0.0, 2.0], [2.0, 1.0]])
    >>> torch.linalg.ldl_solve(*torch.linalg.ldl_factor(A), torch.tensor([[2.0], [3.0]]))
    tensor([[1.],
            [1.]])
    """
    found = ldl_factor_ex(A, hermitian=hermitian, check_errors=True)[:2]
    return return_types.linalg_ldl_factor(*(found if out is None else map(into, out, found)))


def ldl_solve(LD, pivots, B, *, hermitian=False, out=None):
    """X with A X = B for the (LD, pivots) of A. The gradient is that of B."""
    x = LD._array
    square("linalg.ldl_solve", x)
    if B.ndim < 2 or B.shape[-2] != x.shape[-1] or tuple(pivots.shape) != x.shape[:-1]:
        raise ShapeError(f"linalg.ldl_solve: LD of shape {tuple(x.shape)} needs pivots {x.shape[:-1]} and B "
                         f"(*, {x.shape[-1]}, k), got {tuple(pivots.shape)} and {tuple(B.shape)}")
    y = linalg_ldl_solve(B, x, pivots._array, hermitian)
    return y if out is None else into(out, y)


@op(method=False, function=False)
def linalg_ldl_solve(k, b, /, ld, pivots, hermitian):
    """The inverse of a symmetric (or Hermitian) matrix times b: its gradient is the inverse of the conjugate's."""
    def solved(b, ld, pivots):
        batch = np.broadcast_shapes(ld.shape[:-2], b.shape[:-2])
        count = prod(batch)
        y = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])), b.dtype)
        matrices = np.broadcast_to(ld, (*batch, *ld.shape[-2:])).reshape(count, *ld.shape[-2:])
        swaps = np.broadcast_to(pivots, (*batch, pivots.shape[-1])).reshape(count, pivots.shape[-1])
        for a, p, x in zip(matrices, swaps, y.reshape(count, *y.shape[-2:])):
            _solve(a, p, x, hermitian)
        return y

    y = on_cpu(solved, b, ld, pivots)
    conjugated = ld if hermitian else ld.conj()

    def dx(dy):
        if isinstance(dy, Tensor):
            return linalg_ldl_solve(dy, conjugated, pivots, hermitian)
        return linalg_ldl_solve.op.body(k, dy, conjugated, pivots, hermitian)[0]

    return y, dx


def _factor(a: np.ndarray, pivots: np.ndarray, hermitian: bool) -> int:
    """Factor the lower triangle `a` in place; the first zero on D's diagonal, counted from 1, or 0."""
    n, k, info = len(a), 0, 0
    star = np.conj if hermitian else lambda x: x
    while k < n:
        two, swap = _pivot(a, k)
        if not two and a[swap, swap] == 0 and not np.abs(a[k:, k]).any():
            info, swap = info or k + 1, k
        else:
            last = k + two
            _swap(a, k, last, swap, star)
            below = slice(last + 1, n)
            if two:
                d = np.array([[a[k, k], star(a[k + 1, k])], [a[k + 1, k], a[k + 1, k + 1]]])
                x = a[below, k:k + 2].copy()
                w = np.linalg.solve(d.T, x.T).T
            else:
                x = a[below, k:k + 1].copy()
                w = x / a[k, k]
            a[below, below] -= np.tril(w @ star(x).T)
            a[below, k:last + 1] = w
            if hermitian:
                np.fill_diagonal(a[below, below], a[below, below].diagonal().real)
        pivots[k:k + 1 + two] = -(swap + 1) if two else swap + 1
        k += 1 + two
    return info


def _pivot(a: np.ndarray, k: int) -> tuple[int, int]:
    """Whether (0 or 1) a block of two rows is next, and the row to swap in."""
    n, here = len(a), _length(a[k, k])
    if k == n - 1:
        return 0, k
    column = _length(a[k + 1:, k])
    best = k + 1 + int(column.argmax())
    most = column[best - k - 1]
    if here >= _ALPHA * most:
        return 0, k
    row = max(_length(a[best, k:best]).max(), _length(a[best + 1:, best]).max(initial=0))
    if here >= _ALPHA * most * (most / row):
        return 0, k
    return (0, best) if _length(a[best, best]) >= _ALPHA * row else (1, best)


def _length(x: Any) -> Any:
    """|Re x| + |Im x|, by which LAPACK compares."""
    return np.abs(x.real) + np.abs(x.imag)


def _swap(a: np.ndarray, k: int, row: int, other: int, star: Any) -> None:
    """Rows and columns `row` and `other` of what is left of the matrix, of which only the lower triangle is there."""
    if row == other:
        return
    a[other + 1:, [row, other]] = a[other + 1:, [other, row]]
    between = star(a[row + 1:other, row].copy())
    a[row + 1:other, row] = star(a[other, row + 1:other])
    a[other, row + 1:other] = between
    a[other, row] = star(a[other, row])
    a[row, row], a[other, other] = a[other, other], a[row, row]
    if row > k:
        a[row, k], a[other, k] = a[other, k], a[row, k]


def _solve(a: np.ndarray, pivots: np.ndarray, x: np.ndarray, hermitian: bool) -> None:
    """The solution in the place of `x`."""
    star = np.conj if hermitian else lambda v: v
    n, blocks, k = len(a), [], 0
    while k < n:
        two = int(pivots[k] < 0)
        blocks.append((k, k + two, abs(int(pivots[k])) - 1))
        k += 1 + two
    for k, last, other in blocks:
        if other != last:
            x[[last, other]] = x[[other, last]]
        x[last + 1:] -= a[last + 1:, k:last + 1] @ x[k:last + 1]
        d = a[k:last + 1, k:last + 1]
        d = np.tril(d) + star(np.tril(d, -1)).T
        x[k:last + 1] = np.linalg.solve(d, x[k:last + 1]) if k < last else x[k] / d[0, 0]
    for k, last, other in blocks[::-1]:
        x[k:last + 1] -= star(a[last + 1:, k:last + 1]).T @ x[last + 1:]
        if other != last:
            x[[last, other]] = x[[other, last]]
