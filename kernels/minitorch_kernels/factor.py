"""Factorisations of matrices that array modules lack."""
from __future__ import annotations

from typing import Any

from .table import kernel


@kernel
def lu(xp, x, pivot):
    """(packed, swaps, info, rows, back) of (..., m, n) matrices with x[rows] = L U and (L U)[back] = x.

    `packed` has L below and U on and above the diagonal, `swaps` are LAPACK's pivots, counted from 1, and `info` says
    where U's diagonal is zero first (0: nowhere). Golub and Van Loan, "Matrix Computations", 3.4: a column at a time.
    """
    packed = x.copy()
    m, n = x.shape[-2:]
    swaps = xp.zeros((*x.shape[:-2], min(m, n)), "int32")
    rows = xp.broadcast_to(xp.arange(m), (*x.shape[:-2], m)).copy()
    info = xp.zeros(x.shape[:-2], "int32")
    for i in range(min(m, n)):
        best = _size(xp, packed[..., i:, i]).argmax(-1) + i if pivot else xp.full(x.shape[:-2], i)
        swaps[..., i] = best + 1
        _swap(xp, packed, i, best)
        _swap(xp, rows[..., None], i, best)
        head = packed[..., i:i + 1, i:i + 1]
        info = xp.where((info == 0) & (head[..., 0, 0] == 0), i + 1, info).astype("int32")
        packed[..., i + 1:, i:i + 1] /= xp.where(head == 0, 1, head)
        packed[..., i + 1:, i + 1:] -= packed[..., i + 1:, i:i + 1] * packed[..., i:i + 1, i + 1:]
    return packed, swaps, info, rows, rows.argsort(-1)[..., None]


@kernel
def rows_after_swaps(xp, swaps, m):
    """The order of `m` rows after LAPACK's row exchanges, which count from 1."""
    rows = xp.broadcast_to(xp.arange(m), (*swaps.shape[:-1], m)).copy()
    for i in range(swaps.shape[-1]):
        _swap(xp, rows[..., None], i, xp.asarray(swaps[..., i].astype("int64") - 1))
    return rows


def _size(xp: Any, x: Any) -> Any:
    """What LAPACK looks for the largest of: |x|, of complex numbers the sum of the parts' sizes."""
    return xp.abs(x.real) + xp.abs(x.imag) if x.dtype.kind == "c" else xp.abs(x)


def _swap(xp: Any, x: Any, i: int, best: Any) -> None:
    """Exchange rows `i` and `best` of each matrix, in place."""
    top, at = x[..., i:i + 1, :].copy(), best[..., None, None]
    x[..., i:i + 1, :] = xp.take_along_axis(x, xp.broadcast_to(at, top.shape), -2)
    xp.put_along_axis(x, xp.broadcast_to(at, top.shape), top, -2)
