"""Products by NumPy's BLAS, spread over this project's own threads, with BLAS's own threads off meanwhile.

After a product OpenBLAS's threads spin for some milliseconds and take the cores from the kernels that follow.
So a product that is worth two threads is cut into blocks at fixed places (the same bits for every number of
threads), and each block is a product on one thread. The user's setting of OpenBLAS holds again afterwards.
Where NumPy has a BLAS that offers no control (MKL, Accelerate), products are left whole, and to its own
threads.

A product and an elementwise kernel in turn, on 2 cores (milliseconds, float32, best of many):

    m x k x n           OpenBLAS's threads    blocks on our threads    one thread
    64 x 1000 x 500                   0.67                     0.56          0.72
    128 x 3072 x 768                  2.74                     2.51          4.41
    512 x 512 x 512                   1.26                     1.15          1.83
"""
from __future__ import annotations

import ctypes
import glob
import os
import sys
import threading
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from . import memory, parallel

SMALL = 1 << 18  # multiplications up to which OpenBLAS stays on one thread by itself
SPREAD = 1 << 23  # multiplications from which two threads beat one
BLOCK = 1 << 28  # multiplications in a block of a large product: each block packs its operands anew
MOST = 16  # blocks


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`np.matmul`; a large product writes into pooled memory and runs on several threads.

    Products of 16-bit floats are summed in float32.

    >>> matmul(np.ones((2, 3)), np.ones((3, 1)))
    array([[3.],
           [3.]])
    """
    letter = a.dtype.char
    if a.ndim < 2 or b.ndim < 2 or a.size * b.shape[-1] <= SMALL:
        if a.ndim == 2 == b.ndim and letter in "fd" and letter == b.dtype.char:
            return a.dot(b)  # the same, and half a microsecond quicker
        y = np.matmul(a, b)
        return y.astype(a.dtype) if letter == "E" == b.dtype.char else y  # NumPy's product of bfloat16 is float32
    if letter != b.dtype.char or letter not in "fdFD" or a.shape[-1] != b.shape[-2]:
        if a.dtype == b.dtype and letter in HALF:
            return matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
        return np.matmul(a, b)
    if b.ndim == 2 and a.ndim > 2 and a.flags.c_contiguous:  # one product instead of one for each matrix
        return matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    a, b = _readable(a), _readable(b)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = memory.empty((*batch, a.shape[-2], b.shape[-1]), a.dtype)
    _spread(a, b, out)
    return out


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """x wᵀ + b, the bias added in place."""
    y = matmul(x, w.T)
    if b is not None:
        y += b
    return y


def linear_relu(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """The positive part of x wᵀ + b, taken in place."""
    y = linear(x, w, b)
    return np.maximum(y, 0, out=y)


def run(part: Callable[[int], Any], parts: int, work: float = float("inf")) -> None:
    """`parallel.run` for parts that call BLAS: each part on one thread, or one part after the other."""
    if _control is None:
        for i in range(parts):
            part(i)
        return
    with one_thread:
        parallel.run(part, parts, work)


class _OneThread:
    """`with one_thread:` BLAS stays on the calling thread. May be nested, and entered by several threads."""

    def __init__(self) -> None:
        self.depth, self.before, self.lock = 0, 1, threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            if self.depth == 0 and _control:
                self.before = _control.get()
                _control.set(1)
            self.depth += 1

    def __exit__(self, *exception: object) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0 and _control:
                _control.set(self.before)

    def after_fork(self) -> None:
        """In a forked child nobody is inside, whatever the parent's other threads were doing."""
        if self.depth and _control:
            _control.set(self.before)
        self.depth, self.lock = 0, threading.Lock()


class _Control:
    """OpenBLAS's functions that set and get its number of threads, as `library` names them."""

    def __init__(self, library: ctypes.CDLL, prefix: str, suffix: str):
        self.set: Callable[[int], Any] = getattr(library, f"{prefix}openblas_set_num_threads{suffix}")
        self.get: Callable[[], int] = getattr(library, f"{prefix}openblas_get_num_threads{suffix}")


def _spread(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """out = a @ b, whole or in blocks."""
    work = out.size * a.shape[-1]
    if work < SPREAD or _control is None:
        with one_thread:
            np.matmul(a, b, out=out)
        return
    count = min(max(work // BLOCK, 2), MOST)
    if out.ndim > 2 and len(out) >= count:
        a, b = (np.broadcast_to(x, (*out.shape[:-2], *x.shape[-2:])) for x in (a, b))
        cuts = parallel.chunks(len(out), -(-len(out) // MOST))
        run(lambda i: np.matmul(a[cuts[i]], b[cuts[i]], out=out[cuts[i]]), len(cuts))
        return
    blocks = _grid(out.shape[-2], out.shape[-1], count)

    def part(i: int) -> None:
        rows, columns = blocks[i]
        np.matmul(a[..., rows, :], b[..., columns], out=out[..., rows, columns])

    run(part, len(blocks))


def _grid(rows: int, columns: int, count: int) -> list[tuple[slice, slice]]:
    """About `count` blocks of a matrix, as square as may be, in whole tiles of BLAS's inner kernel (16)."""
    down = across = 1
    while down * across < count:
        if rows * across >= columns * down:
            down *= 2
        else:
            across *= 2
    down, across = (-(-n // (16 * cuts)) * 16 for n, cuts in ((rows, down), (columns, across)))
    return list(product(parallel.chunks(rows, down), parallel.chunks(columns, across)))


def _readable(x: np.ndarray) -> np.ndarray:
    """`x` itself where BLAS can read its matrices, else a copy: NumPy's own loops are 100 times slower."""
    row, column = x.strides[-2:]
    size = x.itemsize
    by_rows = column == size and row % size == 0 and row >= size * x.shape[-1]
    by_columns = row == size and column % size == 0 and column >= size * x.shape[-2]
    return x if by_rows or by_columns else np.ascontiguousarray(x)


def _find() -> _Control | None:
    """The control of the OpenBLAS that NumPy is linked with."""
    extension = getattr(sys.modules.get("numpy._core._multiarray_umath"), "__file__", None)
    wheel = os.path.join(os.path.dirname(np.__file__), os.pardir, "numpy.libs", "*openblas*")
    for path in [extension, *glob.glob(wheel)]:  # the extension gives what it is linked with, save on Windows
        try:
            library = ctypes.CDLL(path) if path else None
        except OSError:
            continue
        for prefix, suffix in product(("scipy_", ""), ("64_", "")):
            if library and hasattr(library, f"{prefix}openblas_set_num_threads{suffix}"):
                return _Control(library, prefix, suffix)
    return None


HALF = "eE"  # the letters of float16 and of ml_dtypes' bfloat16
_control = _find()
one_thread = _OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=one_thread.after_fork)
