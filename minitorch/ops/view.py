"""In-place changes of views: how what was written to a part of a tensor is recorded at the whole."""
from __future__ import annotations

from typing import Any

from ..device import kernels_of
from ..engine import Node
from ..op import op
from ..tensor import Tensor, edge_of


def written(base: Tensor, before: Any, path: tuple, part: Tensor) -> Node:
    """The node of `base` after `part` was written over the view of it that `path` leads to.

    `before` is the base's edge until then. The gradient of the base's old values is that of its new ones, with the
    overwritten region set to zero; the gradient of `part` is that region.
    """
    array = base._array
    return Node(overwrite.op, kernels_of(array), (before, edge_of(part) if part._requires_grad else None),
                list(overwrite.op.body(None, None, None, path)[1:]), array.shape, array.dtype)


@op(method=False, function=False)
def overwrite(k, base, part, /, path):
    """`base` with the view that `path` leads to replaced by `part`; the memory is written by the caller."""
    def dbase(dy):
        return view_cleared(dy, path) if isinstance(dy, Tensor) else view_cleared.op.body(k, dy, path)[0]

    def dpart(dy):
        return view_read(dy, path) if isinstance(dy, Tensor) else _read(dy, path)

    return base, dbase, dpart


@op(method=False, function=False)
def view_cleared(k, x, /, path):
    """A copy of `x` with zeros where `path` leads."""
    y = x.copy(order="C")
    _follow(y, path)[...] = 0
    return y, lambda dy: view_cleared(dy, path) if isinstance(dy, Tensor) else view_cleared.op.body(k, dy, path)[0]


@op(method=False, function=False)
def view_read(k, x, /, path):
    """A copy of the part of `x` to which `path` leads."""
    shape = x.shape

    def dx(dy):
        return view_spread(dy, path, shape) if isinstance(dy, Tensor) else \
            view_spread.op.body(k, dy, path, shape)[0]

    return _read(x, path), dx


@op(method=False, function=False)
def view_spread(k, x, /, path, shape):
    """Zeros of `shape`, with `x` where `path` leads: the adjoint of `view_read`."""
    y = k.xp.zeros(shape, x.dtype)
    _follow(y, path)[...] = x
    return y, lambda dy: view_read(dy, path) if isinstance(dy, Tensor) else _read(dy, path)


def _read(x: Any, path: tuple) -> Any:
    """A copy of what `path` leads to; `as_strided` counts in memory, which for a gradient is in the usual order."""
    strided = any([step.name == "as_strided" for step, _, _ in path])
    return _follow(kernels_of(x).xp.ascontiguousarray(x) if strided else x, path).copy()


def _follow(array: Any, path: tuple) -> Any:
    """The view of `array` that the recorded steps lead to."""
    k = kernels_of(array)
    for step, attributes, keywords in path:
        array = step.body(k, array, *attributes, **keywords)[0]
    return array
