"""The `meta` device: tensors that have a shape and a type and no values, and take no memory.

A `MetaArray` stands in the place of such a tensor's array. An op of meta tensors runs on arrays of their shapes that
repeat one element, and only the shape and type of its result are kept; elementwise ops and products, which are most,
run on one element. Values are not there: whoever looks at them gets NotImplementedError. Unlike PyTorch's, meta
tensors are always contiguous, and a view of one shares nothing with it.

>>> import minitorch as torch
>>> layer = torch.nn.Linear(1000, 500, device="meta")
>>> layer(torch.empty(8, 1000, device="meta"))
tensor(..., device='meta', size=(8, 500), grad_fn=<AddmmBackward0>)
"""
from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from .engine import Node, mode
from .errors import LinAlgError, NotStrided

NO_DATA = "Cannot copy out of meta tensor; no data!"
_MOVED = " Please use torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving module from meta to a " \
    "different device."


class MetaArray:
    """What stands in the place of a meta tensor's array."""

    __slots__ = ("__weakref__", "dtype", "ndim", "shape", "size", "strides")
    base = None
    is_meta = True
    data = SimpleNamespace(ptr=0)
    flags = SimpleNamespace(c_contiguous=True, f_contiguous=False, writeable=True, owndata=True)

    def __init__(self, shape: tuple, dtype: Any):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.ndim, self.size = len(self.shape), math.prod(self.shape)
        steps = [self.dtype.itemsize]
        for n in self.shape[:0:-1]:
            steps.append(steps[-1] * max(n, 1))
        self.strides = tuple(steps[::-1]) if self.shape else ()

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def astype(self, dtype: Any, order: str = "C", copy: bool = True) -> MetaArray:
        return MetaArray(self.shape, dtype)

    def copy(self, order: str = "C") -> MetaArray:
        return MetaArray(self.shape, self.dtype)

    __copy__ = copy

    def __deepcopy__(self, memo: dict) -> MetaArray:
        return self.copy()

    def item(self) -> Any:
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> MetaArray:
        return MetaArray(np.broadcast_to(np.zeros((), self.dtype), self.shape)[key].shape, self.dtype)

    def __setitem__(self, key: Any, value: Any) -> None:
        """There is nothing to be written."""

    def __iadd__(self, other: Any) -> MetaArray:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("veils", "asked", "is_sparse"):
            raise AttributeError(name)
        raise NotStrided(self, NO_DATA)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotStrided(self, NO_DATA)

    def __reduce__(self) -> tuple:
        return MetaArray, (self.shape, self.dtype)

    def _run(self, name: str, args: tuple, kwargs: dict) -> Any:
        return run(name, args, kwargs)


def _refuse(self: MetaArray, *args: Any, **kwargs: Any) -> Any:
    raise NotStrided(self, NO_DATA)


_OPERATORS = ("add sub mul truediv floordiv mod pow matmul and or xor radd rsub rmul rtruediv rpow rmatmul lt le gt ge "
              "eq ne neg pos abs invert iter bool int float index contains array_ufunc array_function")
for _name in _OPERATORS.split():
    setattr(MetaArray, f"__{_name}__", _refuse)
MetaArray.__hash__ = object.__hash__  # type: ignore[method-assign]


def meta_array(shape: tuple, dtype: Any) -> MetaArray:
    """An array without values. From the first one on ops look at where their inputs lie."""
    from . import op

    op.look_closely()
    return MetaArray(shape, dtype)


def moved(array: MetaArray, where: Any) -> Any:
    """`array` on the device `where`. Raises NotImplementedError, but for meta itself."""
    if where.type != "meta":
        raise NotImplementedError(NO_DATA + _MOVED)
    return array


def run(name: str, args: tuple, kwargs: dict) -> Any:
    """The op or function `name` of these arguments, of which some are meta tensors: the shapes and types of results."""
    from .op import OPS, named

    made = OPS.get(name)
    leaves = _leaves((args, kwargs))
    if name in _BY_VALUES or (name.startswith("index") and any([_is_mask(x) for x in leaves])) or \
            (name == "one_hot" and -1 in (*args[1:2], kwargs.get("num_classes", -1))[:1]):
        raise NotImplementedError(f"{name}: the shape of its result depends on the values of a meta tensor. {NO_DATA}")
    if name == "to_copy" and len(args) > 2 and args[2] is not None:
        moved(args[0]._array, args[2])
        args = (*args[:2], None)
    with _no_grad():
        result = _quick(made, args, kwargs) if made else None
        if result is None:
            call = named(name)
            try:
                result = _called(call, args, kwargs, np.zeros)
            except LinAlgError:  # zeros are singular
                result = _called(call, args, kwargs, _units)
    inputs = [x for x in leaves if hasattr(x, "_array")]
    return _each(result, lambda y: _made(y, made or SimpleNamespace(name=name), inputs))


_BY_VALUES = frozenset(["argwhere", "bincount", "masked_select", "nonzero", "repeat_interleave", "unique",
                        "unique_consecutive", "unique_dim"])


def _is_mask(x: Any) -> bool:
    return getattr(getattr(x, "_array", x), "dtype", None) == np.bool_


def _called(call: Any, args: tuple, kwargs: dict, make: Any) -> Any:
    """The function of plain tensors that stand in for meta tensors."""
    def stand_in(x):
        return _stand_in(x, make=make)

    return call(*_each(args, stand_in), **{key: _each(x, stand_in) for key, x in kwargs.items()})


def _units(shape: tuple, dtype: Any) -> np.ndarray:
    """Unit matrices along the last two axes."""
    return np.broadcast_to(np.eye(*shape[-2:], dtype=dtype), shape).copy() if len(shape) > 1 else np.zeros(shape, dtype)


class _no_grad:
    def __enter__(self) -> None:
        self._before, mode.grad = mode.grad, False

    def __exit__(self, *exception: Any) -> None:
        mode.grad = self._before


class _Arrays:
    """The array functions that the engine needs for gradients without values."""

    xp: Any

    def __init__(self) -> None:
        self.xp = self

    @staticmethod
    def asarray(x: Any) -> Any:
        return x

    @staticmethod
    def add(a: MetaArray, b: Any) -> MetaArray:
        return a

    add_into = add

    @staticmethod
    def unbroadcast(x: MetaArray, shape: tuple) -> MetaArray:
        return MetaArray(shape, x.dtype)

    @staticmethod
    def shares_memory(a: Any, b: Any) -> bool:
        return False

    @staticmethod
    def zeros_like(x: MetaArray) -> MetaArray:
        return x.copy()

    ones_like = empty_like = zeros_like

    @staticmethod
    def empty(shape: tuple, dtype: Any) -> MetaArray:
        return MetaArray(shape, dtype)

    zeros = ones = empty

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotStrided(MetaArray((), np.float32), f"meta tensors: {name} needs values. {NO_DATA}")


meta_kernels = _Arrays()


def _made(y: Any, op: Any, inputs: list) -> Any:
    """The meta tensor of a result's shape and type, recorded where an input needs a gradient."""
    from .tensor import Tensor, edge_of

    if not isinstance(y, Tensor):
        return y
    t = Tensor._wrap(MetaArray(y._array.shape, y._array.dtype))
    if mode.grad and y._array.dtype.kind in "fcV" and any([x.requires_grad for x in inputs]):
        edges = [edge_of(x) if x.requires_grad else None for x in inputs]
        backward = [_gradient(x._array) for x in inputs]
        t._node = Node(op, meta_kernels, edges, backward, t._array.shape, t._array.dtype)  # type: ignore[arg-type]
        t._node.frees = False
        t._requires_grad = True
    return t


def _gradient(array: MetaArray) -> Any:
    return lambda dy: MetaArray(array.shape, array.dtype)


def _stand_in(x: Any, shape: tuple | None = None, make: Any = np.zeros) -> Any:
    """A plain tensor of the shape of `x` (or `shape`); what is no meta tensor as it is."""
    from .tensor import Tensor

    if type(x) is MetaArray:  # a target, or a mask, among the attributes
        return make(x.shape, x.dtype)
    if not isinstance(x, Tensor):
        return x
    if type(x._array) is not MetaArray:
        return x.detach()
    shape = x._array.shape if shape is None else shape
    try:
        array = make(shape, x._array.dtype)  # zeros take memory only where they are written to
    except MemoryError:
        array = np.broadcast_to(np.zeros((), x._array.dtype), shape)
    return Tensor._wrap(array)


_ELEMENTWISE = ("minitorch.ops.elementwise", "minitorch.ops.compare")


def _quick(op: Any, args: tuple, kwargs: dict) -> Any:
    """The result of `op` from smaller stand-ins, which say the same of its shape and type; None where none are
    known."""
    from .tensor import Tensor

    shapes = [x._array.shape for x in args if isinstance(x, Tensor)]
    if op.body.__module__ in _ELEMENTWISE and not kwargs:
        try:
            shape = np.broadcast_shapes(*shapes)
        except ValueError:
            return None
        y = op.call(*[_stand_in(x, (1,) * x._array.ndim, np.ones) if isinstance(x, Tensor) else x for x in args])
        fits = isinstance(y, Tensor) and y._array.shape == (1,) * len(shape)
        return Tensor._wrap(MetaArray(shape, y._array.dtype)) if fits else None
    if kwargs or len(shapes) < 2 or not all([len(s) > 1 for s in shapes[:2]]):
        return None
    (*rows, n), (*columns, last) = shapes[:2]
    if op.name in ("mm", "bmm", "matmul") and n == columns[-1] and rows[:-1] == columns[:-1]:
        shape = (*rows, last)
    elif op.name == "linear" and n == last and all([s == (columns[0],) for s in shapes[2:]]):
        shape = (*rows, columns[0])
    else:
        return None
    y = op.call(*[x if x is None else _stand_in(x, (1,) * x._array.ndim) for x in args])
    return Tensor._wrap(MetaArray(shape, y._array.dtype))


def _each(tree: Any, function: Any) -> Any:
    """`tree` with the results of `function` in the place of what its lists and tuples hold."""
    if isinstance(tree, (list, tuple)):
        parts = [_each(x, function) for x in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return function(tree)


def _leaves(tree: Any) -> list:
    found: list = []
    for x in tree.values() if isinstance(tree, dict) else tree:
        found.extend(_leaves(x) if isinstance(x, (list, tuple, dict)) else [x])
    return found
