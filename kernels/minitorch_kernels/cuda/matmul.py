"""Products on the GPU by cublasLt: shapes, strides and dtypes are looked up in a table of prepared products.

A repeated product costs one look-up, the result's memory, and one call of the library. Transposed arguments are read
as they lie, and what is broadcast is read again for each matrix of the other; memory in another order is copied first.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..table import kernels
from . import settings
from .cublaslt import BGRADB, BIAS, DEFAULT, PLANS, RELU, CublasError, Matrix, Plan, Problem, workspace
from .lazily import cupy

ITEMSIZES = {"f": 4, "d": 8, "e": 2, "E": 2}


def matmul(a: Any, b: Any) -> Any:
    """See `minitorch_kernels.matmul.matmul`."""
    return _run(a, b, False, DEFAULT, None)


def linear(x: Any, w: Any, b: Any) -> Any:
    """See `minitorch_kernels.matmul.linear`."""
    return _run(x, w, True, DEFAULT if b is None else BIAS, b)


def linear_relu(x: Any, w: Any, b: Any) -> Any:
    """See `minitorch_kernels.matmul.linear_relu`."""
    return _run(x, w, True, RELU if b is None else RELU | BIAS, b)


def weight_gradients(dy: Any, x: Any) -> tuple[Any, Any]:
    """dyᵀ x and the column sums of dy, in one pass: the gradients of linear's weight and bias."""
    db = cupy.empty(dy.shape[1:], dy.dtype)
    return _run(dy.T, x, False, BGRADB, db), db


def of_addresses(rows: int, depth: int, columns: int, transposed: bool, dtype: Any, low: int) -> Callable:
    """A product on the current stream as a function of the addresses of a, b and the result, which have no gaps.

    a is (rows, depth), b (depth, columns), or (columns, depth) where `transposed`. `low` has the low bits of all
    addresses. For loops over small products, which make no array for each.
    """
    size, device, stream = dtype.itemsize, cupy.cuda.runtime.getDevice(), cupy.cuda.get_current_stream().ptr
    b_shape = (columns, depth) if transposed else (depth, columns)
    low = low & 255
    key = ((rows, depth), (depth * size, size), b_shape, (b_shape[1] * size, size), transposed, DEFAULT, dtype.char,
           low & -low, device, settings.tf32_products)
    plan: Any = (_prepared.get(key) or _prepare(key)).plan
    memory = workspace(device, stream)
    return lambda a, b, y: plan(b, a, y, memory, stream)


def _run(a: Any, b: Any, transposed: bool, epilogue: int, vector: Any) -> Any:
    """epilogue(a b), or epilogue(a bᵀ) where `transposed`. `vector` is the bias, or is given the bias's gradient."""
    device, left, right = cupy.cuda.runtime.getDevice(), a.data.ptr, b.data.ptr
    low = (left | right) & 255
    key = (a.shape, a.strides, b.shape, b.strides, transposed, epilogue, a.dtype.char, low & -low, device,
           settings.tf32_products)
    found = _prepared.get(key) or _prepare(key)
    if found.plan is None:
        return _otherwise(found, a, b, transposed, epilogue, vector)
    if vector is not None and (vector.data.ptr & 15 or not vector.flags.c_contiguous):
        vector = cupy.array(vector)
    y = cupy.empty(found.shape, a.dtype)
    stream = cupy.cuda.get_current_stream().ptr
    if vector is None:
        found.plan(right, left, y.data.ptr, workspace(device, stream), stream)
    else:
        found.plan.run_with(vector.data.ptr, 0, right, left, y.data.ptr, workspace(device, stream), stream)
    return y


class _Prepared(NamedTuple):
    """What is known of a product of given shapes and strides."""

    shape: tuple[int, ...]  # of the result
    plan: Plan | None = None
    copies: tuple[bool, bool] = (False, False)  # arguments that the library cannot read as they lie
    unfused: bool = False  # the library has no such epilogue for that product
    over: tuple[int, ...] = ()  # the batch dimensions


_prepared: dict[tuple, _Prepared] = {}


def _prepare(key: tuple) -> _Prepared:
    if len(_prepared) >= PLANS:
        _prepared.clear()
    made = _prepared[key] = _made(*key)
    return made


def _made(a_shape: tuple, a_strides: tuple, b_shape: tuple, b_strides: tuple, transposed: bool, epilogue: int,
          letter: str, alignment: int, device: int, tf32: bool) -> _Prepared:
    itemsize = ITEMSIZES[letter]
    if transposed:
        b_shape, b_strides = b_shape[::-1], b_strides[::-1]
    a = _Stack.of((1, *a_shape), (0, *a_strides), itemsize) if len(a_shape) == 1 else \
        _Stack.of(a_shape, a_strides, itemsize)
    b = _Stack.of((*b_shape, 1), (*b_strides, 0), itemsize) if len(b_shape) == 1 else \
        _Stack.of(b_shape, b_strides, itemsize)
    if a.columns != b.rows:
        raise ValueError(f"matmul: shapes {a_shape} and {b_shape} do not fit: {a.columns} columns and {b.rows} rows")
    over = np.broadcast_shapes(a.over, b.over)
    shape = (*over, *(a_shape[-2:-1]), *(b_shape[-1:] if len(b_shape) > 1 else ()))
    if not math.prod(shape) or not a.columns:
        return _Prepared(shape)
    batch = math.prod(over)
    if math.prod(b.over) == 1 and (long := a.as_one()):
        a, b, over, batch = long, b._replace(over=(), steps=()), (), 1
    x, y = a.seen(over), b.seen(over)
    if x is None or y is None:
        return _Prepared(shape, copies=(x is None, y is None), over=over)
    d = Matrix(b.columns, a.rows, b.columns, b.columns * a.rows)
    try:
        problem = Problem(letter, y, x, d, batch, epilogue, alignment or 256, tf32)
        return _Prepared(shape, Plan(device, problem))
    except CublasError:
        if epilogue == DEFAULT:
            raise
        return _Prepared(shape, unfused=True)


def _otherwise(found: _Prepared, a: Any, b: Any, transposed: bool, epilogue: int, vector: Any) -> Any:
    """What is no single call of the library: arguments to copy first, an epilogue of its own, nothing to multiply."""
    if any(found.copies):
        a, b = (_in_order(x, found.over) if copy else x for x, copy in zip((a, b), found.copies))
        return _run(a, b, transposed, epilogue, vector)
    import cupy as module  # the table knows it by itself

    k = kernels(module)
    y = _run(a, b, transposed, DEFAULT, None) if found.unfused else cupy.zeros(found.shape, a.dtype)
    if epilogue & BGRADB:
        vector[...] = k.sum(a, (1,), False)
    if epilogue & BIAS:
        y = k.add(y, vector)
    return k.relu(y) if epilogue & RELU else y


def _in_order(x: Any, over: tuple[int, ...]) -> Any:
    """A copy without gaps; where that has been tried, with all that is broadcast written out."""
    return cupy.ascontiguousarray(x if not x.flags.c_contiguous else cupy.broadcast_to(x, (*over, *x.shape[-2:])))


class _Stack(NamedTuple):
    """Matrices in memory: the batch dimensions, and how many elements lie between neighbours in each dimension."""

    over: tuple[int, ...]
    steps: tuple[int, ...]
    rows: int
    columns: int
    down: int
    along: int
    whole: bool  # the strides are whole elements

    @classmethod
    def of(cls, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> _Stack:
        *steps, down, along = [s // itemsize for s in strides]
        *over, rows, columns = shape
        return cls(tuple(over), tuple(steps), rows, columns, down, along, not any(s % itemsize for s in strides))

    def as_one(self) -> _Stack | None:
        """All rows of the stack as one matrix's, where they lie at equal distances."""
        down = _step((*self.over, self.rows), (*self.steps, self.down))
        rows = math.prod(self.over) * self.rows
        return None if down is None else self._replace(over=(), steps=(), rows=rows, down=down)

    def seen(self, over: tuple[int, ...]) -> Matrix | None:
        """The stack's transposes as the library takes them, for the batch dimensions `over`; None if it cannot."""
        own = len(over) - len(self.over)
        steps = [0] * own + [0 if n == 1 else step for n, step in zip(self.over, self.steps)]
        stride = _step(over, steps)
        if stride is None or stride < 0 or not self.whole:
            return None
        rows, columns, down, along = self.rows, self.columns, self.down, self.along
        vector = columns == 1 and down == 1
        if (along == 1 or columns == 1) and (down >= columns or rows == 1) and not vector:
            return Matrix(columns, rows, columns if rows == 1 else down, stride)
        if (down == 1 or rows == 1) and (along >= rows or columns == 1):
            return Matrix(rows, columns, rows if columns == 1 else along, stride, transposed=True)
        return None


def _step(sizes: tuple[int, ...], steps: Any) -> int | None:
    """The distance between neighbours when all these dimensions are counted as one; None where it varies."""
    found, extent = None, 0
    for n, step in zip(reversed(sizes), reversed(steps)):
        if n != 1:
            if found is None:
                found = step
            elif step != extent:
                return None
            extent = step * n
    return found or 0
