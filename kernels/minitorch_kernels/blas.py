"""Products by NumPy's BLAS, spread over this project's own threads, with BLAS's threads switched off meanwhile.

OpenBLAS's threads keep spinning for some milliseconds after a product and take the cores from the kernels that follow.
So a product large enough for two threads is cut into blocks of rows or columns at fixed places (the same bits for every
number of threads), and each block is a product on one thread. Alternating a product and an elementwise kernel, on
2 cores (milliseconds, float32):

    m x k x n           OpenBLAS's own threads    blocks on our threads    one thread
    64 x 1000 x 500                       0.67                     0.56          0.72
    128 x 3072 x 768                      2.74                     2.51          4.41
    512 x 512 x 512                       1.26                     1.15          1.83

The user's own setting of OpenBLAS holds again afterwards. Where NumPy has another BLAS (MKL, Accelerate), or one that
offers no control, its products are left whole and to its own threads.
"""
from __future__ import annotations

import ctypes
import glob
import os
import sys
import threading
from collections.abc import Callable

import numpy as np

from . import memory, parallel

SMALL = 1 << 18  # multiplications up to which OpenBLAS itself stays on one thread
SPREAD = 1 << 23  # multiplications from which two threads beat one, the hand-over included
BLOCK = 1 << 25  # multiplications in a block, where there is work enough
BLOCKS = 16  # at most, since each block packs its operands anew


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`np.matmul` for float32 and float64; a large product writes into pooled memory and runs on several threads.

    >>> matmul(np.ones((2, 3)), np.ones((3, 1)))
    array([[3.],
           [3.]])
    """
    if a.size * b.shape[-1] <= SMALL or a.ndim == 1 or b.ndim == 1:
        return np.matmul(a, b)
    if b.ndim == 2 and a.ndim > 2 and a.flags.c_contiguous:  # one product instead of one for each matrix of the stack
        return matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    a, b = _readable(a), _readable(b)
    batch = a.shape[:-2] if a.shape[:-2] == b.shape[:-2] else np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = memory.empty((*batch, a.shape[-2], b.shape[-1]), a.dtype)
    if a.shape[-1] != b.shape[-2]:
        return np.matmul(a, b)  # raises NumPy's error
    run(*_blocks(a, b, out))
    return out


def run(part: Callable[[int], object], parts: int, work: float = float("inf")) -> None:
    """`parallel.run` for parts that call BLAS: each call runs on one thread, or the parts one after another."""
    if _set is None:
        for i in range(parts):
            part(i)
        return
    with one_thread:
        if parts == 1:
            part(0)
        else:
            parallel.run(part, parts, work)


class _OneThread:
    """`with one_thread:` BLAS stays on the calling thread. May be nested, and entered by several threads at once."""

    def __init__(self):
        self.depth, self.before, self.lock = 0, 1, threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            if self.depth == 0 and _set:
                self.before = _get()
                _set(1)
            self.depth += 1

    def __exit__(self, *exception: object) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0 and _set:
                _set(self.before)

    def after_fork(self) -> None:
        """In a forked child nobody is inside, whatever the parent's other threads were doing."""
        if self.depth and _set:
            _set(self.before)
        self.depth, self.lock = 0, threading.Lock()


def _blocks(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> tuple[Callable[[int], object], int]:
    """The product as a function of the block's number, and how many blocks there are."""
    work = out.size * a.shape[-1]
    if work < SPREAD or _set is None:
        return lambda i: np.matmul(a, b, out=out), 1
    count = min(max(work // BLOCK, 2), BLOCKS)
    if out.ndim > 2 and len(out) >= count:
        cuts = parallel.chunks(len(out), -(-len(out) // count))
        a, b = (np.broadcast_to(x, (*out.shape[:-2], *x.shape[-2:])) for x in (a, b))
        return lambda i: np.matmul(a[cuts[i]], b[cuts[i]], out=out[cuts[i]]), len(cuts)
    rows, columns = out.shape[-2:]
    side = max(rows, columns)
    cuts = parallel.chunks(side, -(-side // (16 * count)) * 16)  # 16: whole tiles of BLAS's inner kernel
    if columns >= rows:
        return lambda i: np.matmul(a, b[..., cuts[i]], out=out[..., cuts[i]]), len(cuts)
    return lambda i: np.matmul(a[..., cuts[i], :], b, out=out[..., cuts[i], :]), len(cuts)


def _readable(x: np.ndarray) -> np.ndarray:
    """`x` itself where BLAS can read its matrices, else a copy: NumPy's own loops are a hundred times slower."""
    row, column = x.strides[-2:]
    size = x.itemsize
    fits = (column == size and row % size == 0 and row >= size * x.shape[-1]
            or row == size and column % size == 0 and column >= size * x.shape[-2])
    return x if fits else np.ascontiguousarray(x)


def _control() -> tuple[Callable[[int], object] | None, Callable[[], int] | None]:
    """OpenBLAS's functions that set and get its number of threads, or (None, None)."""
    extension = getattr(sys.modules.get("numpy._core._multiarray_umath"), "__file__", None)
    beside = os.path.join(os.path.dirname(np.__file__), os.pardir, "numpy.libs", "*openblas*")
    for path in filter(None, [extension, *glob.glob(beside)]):  # the extension finds what it is linked with, not on Windows
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
            try:
                return (getattr(library, f"{prefix}openblas_set_num_threads{suffix}"),
                        getattr(library, f"{prefix}openblas_get_num_threads{suffix}"))
            except AttributeError:
                continue
    return None, None


_set, _get = _control()
one_thread = _OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=one_thread.after_fork)
