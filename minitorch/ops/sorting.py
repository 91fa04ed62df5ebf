"""Sorting along a dimension; gradients go back through the permutation."""
from __future__ import annotations

from typing import Any

from .. import return_types, shapes
from ..errors import BoundsError
from ..inplace import check_out
from ..op import composite, joint, op
from .elementwise import refuse
from .extremes import _along, _both
from .reduce import count


@op(method=False, function=False)
def sort_(k, x, /, dim, descending):
    at = shapes.axis("sort", x, dim)
    return _arranged(k, x, at, _order("sort", k, x, at, descending) if x.ndim else k.xp.zeros(1, "int64"))


@composite
def sort(input, dim=-1, descending=False, stable=False, *, out=None):
    """(values, indices): the elements along `dim` in ascending or descending order; nan counts as the largest.

    The order of equal elements is kept, whether `stable` asks for it or not.

    >>> import minitorch as torch
    >>> torch.sort(torch.tensor([3, 1, 2])).values
    tensor([1, 2, 3])
    """
    return _both(return_types.sort, sort_(input, dim, descending), out)


@op
def argsort(k, x, /, dim=-1, descending=False, stable=False):
    """The indices that sort the elements along `dim`."""
    at = shapes.axis("argsort", x, dim)
    return _order("argsort", k, x, at, descending) if x.ndim else k.xp.zeros((), "int64")


@composite
def msort(input, *, out=None):
    """The values sorted along the first dimension."""
    y = sort(input, 0).values
    return y if out is None else out.resize_(y.shape).copy_(y)


@op(method=False, function=False)
def topk_(k, x, /, count, dim, largest, sorted):
    at = shapes.axis("topk", x, dim)
    n = x.shape[at] if x.ndim else 1
    if not 0 <= count <= n:
        raise RuntimeError(f"topk: selected index k out of range: k expects 0 to {n}, the size of dimension {at}, got "
                           f"{count}")
    if not x.ndim:
        return _arranged(k, x, 0, k.xp.zeros(1, "int64")[:count])
    refuse("topk", x, "c")
    return _arranged(k, x, at, k.top(x, count, at, largest))


@composite
def topk(input, k, dim=-1, largest=True, sorted=True, *, out=None):
    """(values, indices): the `k` largest or smallest elements along `dim`, in order. Raises RuntimeError for k > n."""
    return _both(return_types.topk, topk_(input, int(k), dim, largest, sorted), out)


@op(method=False, function=False)
def kthvalue_(k, x, /, rank, dim, keepdim):
    n = count(x.shape, shapes.axes("kthvalue", x, dim))
    if not 1 <= rank <= n:
        raise BoundsError(f"kthvalue: selected number k out of range for dimension {dim}: expects 1 to {n}, got {rank}")
    return _along("kthvalue", k, x, dim, keepdim,
                  lambda x, at: k.xp.argpartition(x, rank - 1, at)[(slice(None),) * at + (rank - 1,)])


@composite
def kthvalue(input, k, dim=-1, keepdim=False, *, out=None):
    """(values, indices): the `k`-th smallest element along `dim`, counted from 1."""
    if out is not None:
        check_out("kthvalue", out[0], (input,), whole=False)
    return _both(return_types.kthvalue, kthvalue_(input, int(k), dim, keepdim), out)


def _order(name: str, k: Any, x: Any, at: int, descending: bool) -> Any:
    """The indices that sort `x`, equal elements in their order, nan as the largest."""
    refuse(name, x, "c")
    return k.argsort(x, at, descending)


def _arranged(k: Any, x: Any, at: int, index: Any) -> tuple:
    """[values, indices] for elements picked along an axis, each at most once, and the gradient."""
    shape = x.shape
    if not shape:
        made, dtype = (() if index.size else (0,)), x.dtype
        return [x.reshape(1)[index].reshape(made), index.reshape(made)], joint(
            lambda dy, needs: [k.xp.zeros((), dtype=dtype) if made else dy[0].reshape(())])
    return [k.gather(x, index, at), k.xp.ascontiguousarray(index).copy()], joint(
        lambda dy, needs: [k.gather_dx(dy[0], index, at, shape, True)])
