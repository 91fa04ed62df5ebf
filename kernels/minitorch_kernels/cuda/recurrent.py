"""Recurrent layers on the GPU: a step is a product by cublasLt and one kernel for its gates (recurrent.cu).

The weights' gradients are one product over all steps at the end, with the bias's in the same pass. What is kept for
backward are the gates, and the h and c that each step read. c and its gradient are float32 for numbers of 16 bits.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..recurrent import order
from .build import FLOATS, Program, ctype
from .lazily import cupy
from .matmul import matmul, of_addresses, weight_gradients

VALUES = {"tanh": 1, "relu": 1, "lstm": 5, "gru": 4}  # numbers a unit that are kept: the gates, and tanh(c) or s_n
THREADS = 128  # a block: a step has few elements, which are to reach many multiprocessors
KERNELS = ("rnn", "gru", "lstm", "rnn_backward", "gru_backward", "lstm_backward", "gather")
program = Program("recurrent.cu", dict.fromkeys(KERNELS, (FLOATS,)))


def recurrent(x: Any, h: Any, c: Any, w: Any, b: Any, p: Any, cell: str, sizes: tuple[int, ...], reverse: bool,
              keep: bool = True) -> tuple:
    """See `minitorch_kernels.recurrent.recurrent`."""
    x, w, b, p = [None if a is None else cupy.ascontiguousarray(a) for a in (x, w, b, p)]
    h, c = h.copy(order="C"), None if c is None else c.astype(_wide(x), order="C")
    n, width = h.shape
    size = width if p is None else p.shape[1]
    y, s = cupy.empty((len(x), width), x.dtype), cupy.empty((n, len(w)), x.dtype)
    full = cupy.empty((len(x), size), x.dtype) if p is not None else y
    values: Any = None
    before: Any = None
    cells = None
    if keep:
        before, values = cupy.empty_like(y), cupy.empty((len(x), VALUES[cell] * size), x.dtype)
        cells = None if c is None else cupy.empty((len(x), size), c.dtype)
    product = _steps_product(h, w, s, transposed=True)
    project = None if p is None else _steps_product(full, p, y, transposed=True)
    for start, rows in order(sizes, reverse):
        product(rows, 0, 0)
        if cell == "lstm":
            state = h if p is None else None
            _launch("lstm", rows, size, start, x, s, b, state, c, full, before, cells, values)
        elif cell == "gru":
            _launch("gru", rows, size, start, x, s, b, h, y, before, values)
        else:
            _launch("rnn", rows, size, start, np.bool_(cell == "relu"), x, s, b, h, y, before, values)
        if project is not None:
            if keep:
                before[start:start + rows] = h[:rows]
            project(rows, start, start)
            h[:rows] = y[start:start + rows]
    last = None if c is None else c.astype(x.dtype, copy=False)
    return y, h, last, (values, before, cells, full if p is not None else None) if keep else None


def recurrent_backward(dy: Any, dh: Any, dc: Any, x: Any, h: Any, c: Any, w: Any, b: Any, p: Any, cell: str,
                       sizes: tuple[int, ...], reverse: bool, weights: bool = True, saved: Any = None) -> tuple:
    """See `minitorch_kernels.recurrent.recurrent_backward`."""
    if saved is None or len(saved) != 4:  # what another version has kept lies in another order
        saved = recurrent(x, h, c, w, b, p, cell, sizes, reverse)[3]
    values, before, cells, full = saved
    w, p, dy = [None if a is None else cupy.ascontiguousarray(a) for a in (w, p, dy)]
    n, width = h.shape
    size, wide = len(w) // _gates(cell), _wide(x)
    past = cupy.zeros((n, width), wide) if dh is None else dh.astype(wide, order="C")
    if c is not None:
        dc = cupy.zeros(c.shape, wide) if dc is None else dc.astype(wide, order="C")
    dx, through = cupy.empty(x.shape, x.dtype), cupy.zeros((n, width), x.dtype)
    ds = cupy.empty(x.shape, x.dtype) if cell == "gru" else dx
    product = _steps_product(ds, w, through, transposed=False)
    if p is not None:
        made, unprojected = cupy.empty((len(x), width), x.dtype), cupy.empty((n, size), x.dtype)
        back = _steps_product(made, p, unprojected, transposed=False)
    for start, rows in order(sizes, not reverse):
        if p is not None:
            _gather(rows * width, start * width, dy, through, past, made[start:])
            back(rows, start, 0)
        if cell == "lstm":
            _launch("lstm_backward", rows, size, start, dy, through, past, None if p is None else unprojected, cells,
                    values, dc, dx)
        elif cell == "gru":
            _launch("gru_backward", rows, size, start, dy, through, past, before, values, dx, ds)
        else:
            _launch("rnn_backward", rows, size, start, np.bool_(cell == "relu"), dy, through, past, values, dx)
        product(rows, start, 0)
    dh = cupy.empty((n, width), x.dtype)
    _gather(dh.size, 0, None, through, past, dh)
    dw = db = dp = None
    if weights:
        dw, db = weight_gradients(ds, before) if b is not None else (matmul(ds.T, before), None)
        dp = None if p is None else matmul(made.T, full)
    return dx, dh, None if c is None else dc.astype(x.dtype, copy=False), dw, db, dp


def _gates(cell: str) -> int:
    return {"lstm": 4, "gru": 3}.get(cell, 1)


def _wide(x: Any) -> Any:
    """The dtype that sums over steps have."""
    return np.dtype(np.float32) if x.dtype.itemsize == 2 else x.dtype


def _steps_product(a: Any, w: Any, out: Any, transposed: bool) -> Callable[[int, int, int], None]:
    """A function (rows, i, j): out[j:j + rows] = a[i:i + rows] w, or wᵀ where `transposed`."""
    made: dict[int, Callable] = {}
    left, middle, right = a.data.ptr, w.data.ptr, out.data.ptr
    step, to = a.shape[1] * a.itemsize, out.shape[1] * out.itemsize

    def multiply(rows: int, i: int, j: int) -> None:
        product = made.get(rows)
        if product is None:
            low = left | middle | right | step | to
            product = made[rows] = of_addresses(rows, a.shape[1], out.shape[1], transposed, a.dtype, low)
        product(left + i * step, middle, right + j * to)

    return multiply


def _launch(name: str, rows: int, size: int, start: int, *arguments: Any) -> None:
    """One step's kernel: a thread for each unit of each of its rows."""
    kind = ctype(next(a for a in arguments[1:] if a is not None))
    program.launch(name, (kind,), (-(-rows * size // THREADS),), (THREADS,),
                   (np.int32(rows), np.int32(size), np.int64(start), *arguments))


def _gather(count: int, start: int, dy: Any, through: Any, past: Any, out: Any) -> None:
    program.launch("gather", (ctype(out),), (-(-count // THREADS),), (THREADS,),
                   (np.int64(count), np.int64(start), dy, through, past, out))
