"""Changes in place: the end of every `name_` method, of `out=` and of assignments to parts."""
from __future__ import annotations

from typing import Any

from .device import kernels_of
from .engine import Node, mode
from .errors import DTypeError, ShapeError
from .tensor import Tensor, edge_of, needs_grad, renew


def write(x: Tensor, y: Tensor, resize: bool = False) -> Tensor:
    """Give `x` the values and the history of `y`, in place: what every in-place operation ends with.

    Raises ShapeError or DTypeError, before anything is written, where `x` cannot hold them.
    """
    _check_fits(x, y, resize)
    if resize and x._array.shape != y._array.shape:
        x._array = kernels_of(x._array).xp.empty(y._array.shape, x._array.dtype)
    recorded = mode.grad and (y._requires_grad or needs_grad(x))
    if recorded and y._array.dtype != x._array.dtype:
        y = y.to(x.dtype)
    before = edge_of(x._base) if recorded and x._base is not None and x._base._requires_grad else None
    if recorded and isinstance(y._node, Node):
        _keep_old_values(y._node, x._array)
    x._array[...] = y._array
    x._bump()
    if not recorded:
        return x
    if x._base is not None:
        _write_through(x._base, before, x._path, y)
        renew(x)
    else:
        x._node, x._requires_grad = _history(x, y), True
    return x


def check_out(name: str, out: Tensor, inputs: Any, whole: bool = True) -> None:
    """Raise RuntimeError where the result's memory is used twice, or is partly (unless `whole` at all) an input's."""
    array, where = out._array, "refers to a single memory location. Please clone() the tensor before performing the"
    if array.size > 1 and any([s == 0 and n > 1 for n, s in zip(array.shape, array.strides)]):
        raise RuntimeError(f"{name}: unsupported operation: more than one element of the written-to tensor {where} "
                           "operation.")
    for x in inputs:
        if isinstance(x, Tensor) and (not whole if x is out else kernels_of(array).shares_memory(array, x._array) and
                                      not (whole and _same_place(array, x._array))):
            raise RuntimeError(f"{name}: unsupported operation: some elements of the input tensor and the written-to "
                               f"tensor refer to a single memory location. Please clone() the tensor first.")


def _same_place(a: Any, b: Any) -> bool:
    return a.shape == b.shape and a.strides == b.strides and _start(a) == _start(b)


def _start(array: Any) -> int:
    return array.ctypes.data if hasattr(array, "ctypes") else array.data.ptr


def _keep_old_values(node: Node, array: Any) -> None:
    """Give `node`, which computed what is about to be written over `array`, copies of what it keeps there."""
    share, copied = kernels_of(array).shares_memory, set()
    for function in node.functions():
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            value = cell.cell_contents
            if type(value) is type(array) and (share(value, array) or not array.size):
                cell.cell_contents = value.copy()
                copied.add(name)
    if copied:
        node.versions = [entry for entry in node.versions if entry[2] not in copied]


def _history(x: Tensor, y: Tensor) -> Any:
    """The node of `x` once its values are those of `y`."""
    if y._node is not None:
        return y._node
    if y._requires_grad:  # a leaf: its own edge would make `x` that leaf
        return y.clone()._node
    k = kernels_of(x._array)
    return Node(_Constant(), k, (), [], x._array.shape, x._array.dtype)  # constants: no gradient goes further


class _Constant:
    """Stands for an op in the history of a tensor that was overwritten by constants."""

    name = "copy_constant"

    def lift(self, node: Node) -> list:
        return []


def _write_through(base: Tensor, before: Any, path: tuple, part: Tensor) -> None:
    """Record at `base` that the part of it which `path` leads to was overwritten by `part`."""
    from .ops.view import written

    node = written(base, before, path, part)
    base._node, base._requires_grad = node, True


def _check_fits(x: Tensor, y: Tensor, resize: bool) -> None:
    if x._array.shape != y._array.shape and not resize:
        raise ShapeError(f"output with shape {list(x._array.shape)} doesn't match the broadcast shape "
                         f"{list(y._array.shape)}")
    if y._array.dtype != x._array.dtype and y.dtype.kind > x.dtype.kind:
        raise DTypeError(f"result type {y.dtype.name} can't be cast to the desired output type {x.dtype.name}")
    if not getattr(x._array.flags, "writeable", True):
        raise RuntimeError("in-place operation on a tensor whose memory is read-only (expanded, or from a read-only "
                           "NumPy array); clone() it first")
