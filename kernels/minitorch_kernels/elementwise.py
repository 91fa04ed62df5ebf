"""Elementwise kernels: the array module's own functions; on the CPU large results go into pooled buffers, in parts.

The most frequent ones are compiled for large arrays (`cpu/elementwise.py`), where Numba is installed.
"""
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from . import memory, parallel
from .layout import reason
from .table import kernel

# kernel: the array modules' name of it
UNARY = {"neg": "negative", "abs": "abs", "sign": "sign", "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log",
         "log2": "log2", "log10": "log10", "log1p": "log1p", "sqrt": "sqrt", "sin": "sin", "cos": "cos", "tan": "tan",
         "arcsin": "arcsin", "arccos": "arccos", "arctan": "arctan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
         "arcsinh": "arcsinh", "arccosh": "arccosh", "arctanh": "arctanh", "floor": "floor", "ceil": "ceil",
         "rint": "rint", "trunc": "trunc", "square": "square", "reciprocal": "reciprocal", "isnan": "isnan",
         "isinf": "isinf", "isfinite": "isfinite", "logical_not": "logical_not", "invert": "invert",
         "conj": "conjugate"}
BINARY = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "floor_div": "floor_divide",
          "remainder": "remainder", "fmod": "fmod", "pow": "power", "maximum": "maximum", "minimum": "minimum",
          "fmax": "fmax", "fmin": "fmin", "arctan2": "arctan2", "hypot": "hypot", "equal": "equal",
          "not_equal": "not_equal", "less": "less", "less_equal": "less_equal", "greater": "greater",
          "greater_equal": "greater_equal", "logical_and": "logical_and", "logical_or": "logical_or",
          "logical_xor": "logical_xor", "bitwise_and": "bitwise_and", "bitwise_or": "bitwise_or",
          "bitwise_xor": "bitwise_xor", "left_shift": "left_shift", "right_shift": "right_shift",
          "logaddexp": "logaddexp", "copysign": "copysign", "nextafter": "nextafter"}

COMPILED = {"add", "sub", "mul", "div", "maximum", "minimum", "exp", "expm1", "log", "log1p", "tanh"}  # in cpu/ too
ON_GPU = {"add", "sub", "mul", "div", "neg", "abs", "square", "sqrt", "reciprocal", "exp", "expm1", "log", "log1p",
          "tanh", "maximum", "minimum"}  # one launch of our own costs the host less than CuPy's dispatch
CALLED = 1 << 12  # elements from which a compiled loop is done before several of NumPy's, or a slow one
POOLED = 1 << 16  # elements from which it is done before a fast one, and a result comes from the pool
PART = 1 << 18  # elements a thread takes at a time: some MiB, a share of the last-level cache


@kernel
def where(xp, mask, a, b):
    """a where `mask` is True, b elsewhere."""
    return xp.where(mask, a, b)


@kernel
def unbroadcast(xp, x, shape):
    """The adjoint of broadcasting: `x` summed over the axes along which `shape` was spread to it."""
    extra = len(x.shape) - len(shape)
    spread = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(shape) if n == 1 and x.shape[extra + i] != 1)
    if spread:
        x = xp.sum(x, axis=spread, keepdims=True)
    return xp.reshape(x, shape)


@kernel
def add_into(xp, total, x):
    """total + x, written over `total`, for gradients that have several sources."""
    total += x
    return total


@kernel
def shares_memory(xp, a, b):
    """Whether two arrays may overlap."""
    return xp.may_share_memory(a, b)


def _unary(name: str) -> None:
    ufunc = getattr(np, UNARY[name])

    def pooled(x):
        if type(x) is not np.ndarray or x.size < CALLED:
            return ufunc(x)
        if name in COMPILED and x.dtype.char == "f" and (fast := compiled("elementwise")):
            return fast.unary(name, x if plain(x) else np.array(x, order="C"))
        if x.size < POOLED:
            return ufunc(x)
        out = memory.empty(x.shape, _result_dtype(ufunc, x.dtype))
        return spread(ufunc, out, x)

    _enter(name, UNARY[name], pooled)


def _binary(name: str) -> None:
    ufunc = getattr(np, BINARY[name])

    def pooled(a, b):
        large = a if type(a) is np.ndarray and a.size >= POOLED else b
        if type(large) is not np.ndarray or large.size < POOLED:
            return ufunc(a, b)
        shape, dtype = large.shape, large.dtype
        if name not in COMPILED or not _suits(b if large is a else a, large):
            shape = np.broadcast_shapes(getattr(a, "shape", ()), getattr(b, "shape", ()))
            dtype = _result_dtype(ufunc, *(getattr(x, "dtype", type(x)) for x in (a, b)))
        if name in COMPILED and dtype.char in "fd" and (fast := compiled("elementwise")):
            result = fast.binary(name, a, b, dtype, shape)
            if result is not None:
                return result
        out = memory.empty(shape, dtype)
        return spread(ufunc, out, a, b)

    _enter(name, BINARY[name], pooled)


def _suits(x: Any, large: np.ndarray) -> bool:
    """Whether arithmetic with x leaves the shape and the dtype of `large`."""
    if large.dtype.char not in "fd":
        return False
    return type(x) in (int, float) or (type(x) is np.ndarray and x.dtype is large.dtype and x.shape == large.shape)


def spread(ufunc: Callable, out: np.ndarray, *operands: Any) -> np.ndarray:
    """`ufunc(*operands, out=)` into `out`, in parts where all operands are scalars or lie in memory as `out` does."""
    whole = [not isinstance(x, np.ndarray) or x.ndim == 0 for x in operands]
    if out.size < 2 * PART or not all(w or (x.shape == out.shape and x.flags.c_contiguous)
                                      for w, x in zip(whole, operands)):
        ufunc(*operands, out=out)
        return out
    flat = [x if w else x.reshape(-1) for w, x in zip(whole, operands)]
    target, parts = out.reshape(-1), parallel.chunks(out.size, PART)

    def part(i):
        ufunc(*(x if w else x[parts[i]] for w, x in zip(whole, flat)), out=target[parts[i]])

    parallel.run(part, len(parts))
    return out


@cache
def compiled(module: str) -> ModuleType | None:
    """The module of that name in `cpu`, where Numba is installed."""
    return import_module(f"minitorch_kernels.cpu.{module}") if find_spec("numba") else None


def plain(x: np.ndarray) -> bool:
    """Whether x lies in memory as compiled code wants it: a read-only array would be another type, compiled anew."""
    return x.flags.c_contiguous and x.flags.writeable


def _result_dtype(ufunc: np.ufunc, *dtypes: Any) -> np.dtype:
    return ufunc.resolve_dtypes((*(np.dtype(t) if t is bool else t for t in dtypes), None))[-1]


def _enter(name: str, theirs: str, pooled: Callable) -> None:
    def reference(xp, *operands):
        return getattr(xp, theirs)(*operands)

    reference.__name__, reference.__doc__ = name, f"Elementwise {theirs}."
    entry = kernel(reference)
    entry.version("pooled", "cpu", pooled, backend="numpy")
    if name in ON_GPU:
        entry.version("cuda", "cuda", f"minitorch_kernels.cuda.elementwise:{name}", reason())


for _name in UNARY:
    _unary(_name)
for _name in BINARY:
    _binary(_name)


def _no_line(total: Any, x: Any) -> str | None:
    if total.size < POOLED or total.shape != x.shape:
        return f"fewer than {POOLED} elements, or shapes that differ"
    if total.dtype.char not in "fd" or x.dtype != total.dtype:
        return "float32 and float64 only"
    return None if total.flags.c_contiguous and x.flags.c_contiguous else "C-contiguous arrays only"


def _not_chosen(mask: Any, a: Any, b: Any) -> str | None:
    if type(mask) is not np.ndarray or mask.size < CALLED or mask.dtype.char != "?" or not plain(mask):
        return f"fewer than {CALLED} elements, or a mask that does not lie in memory as they do"
    arrays = [x for x in (a, b) if isinstance(x, np.ndarray) and x.ndim]
    if not arrays or any(x.shape != mask.shape or x.dtype != arrays[0].dtype or not plain(x) for x in arrays):
        return "arrays of the mask's shape, of one dtype, and numbers only"
    if arrays[0].dtype.char not in "fd":
        return "float32 and float64 only"
    single = [x for x in (a, b) if not (isinstance(x, np.ndarray) and x.ndim)]
    same = all(type(x) in (int, float) or getattr(x, "dtype", None) == arrays[0].dtype for x in single)
    return None if same else "a number of another dtype"


def _no_pass(total: Any, x: Any) -> str | None:
    whole = total.dtype == x.dtype and total.shape == x.shape and total.flags.c_contiguous and x.flags.c_contiguous
    return None if whole and total.dtype.char in "fdeE" else "contiguous floats of one shape and dtype only"


where.version("numba", "cpu", "minitorch_kernels.cpu.elementwise:where", refuses=_not_chosen)
where.version("cuda", "cuda", "minitorch_kernels.cuda.elementwise:where", refuses=reason(mask=0))
add_into.version("numba", "cpu", "minitorch_kernels.cpu.elementwise:add_into", refuses=_no_line)
add_into.version("cuda", "cuda", "minitorch_kernels.cuda.elementwise:add_into", refuses=_no_pass)
