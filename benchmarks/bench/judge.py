"""What a result must be: the same call in higher precision, by an expression of NumPy or by the kernel's reference."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from minitorch_kernels import table

from .cases import Case, Entry
from .expressions import ARRAYS
from .peers import Peer

FINE = {"float32": 1.0, "float64": 1e-8}  # a case's tolerance is that of float32: this much of it is allowed
AFFORDABLE = 1 << 16  # numbers up to which float64 is judged in extended precision, which no BLAS computes


def expected(entry: Entry, case: Case, arguments: tuple) -> tuple[list[np.ndarray], str]:
    """The results for `arguments` in higher precision, and by what: an independent expression where there is one.

    float32 is judged by float64; float64 by extended precision where the machine has it and the work allows it,
    else by float64, whose own rounding the tolerance covers.
    """
    narrow = any(a.dtype == np.float32 for a in arrays(arguments))
    large = sum(a.size for a in arrays(arguments)) > AFFORDABLE
    wide = np.float64 if narrow or large else np.longdouble
    for dtype in dict.fromkeys((wide, np.float64)):
        given, name = widened(arguments, dtype), np.dtype(dtype).name
        for judge, run in (("NumPy", _expression), ("the reference", _reference)):
            try:
                return run(entry, case, given), f"{judge} in {name}"
            except (NotImplementedError, TypeError):
                continue  # no expression of it, or none in extended precision
    raise NotImplementedError(f"{entry.kernel}: nothing to judge it by")


def error(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """The largest difference of the results that both have, relative to the largest number of each.

    Infinite where shapes differ, where there is nothing to compare, or where only one is finite.

    >>> error([np.array([1.0, 2.0])], [np.array([1.0, 2.5])])
    0.2
    """
    if not found or not wanted:
        return np.inf
    worst = 0.0
    for a, b in zip(found, wanted):
        if a.shape != b.shape:
            return np.inf
        a, b = (x.astype(np.float64) if x.dtype.kind in "biu" else x for x in (a, b))
        with np.errstate(all="ignore"):
            apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.abs(a - b))
            size = np.abs(b)[np.isfinite(b)].max(initial=0)
        worst = max(worst, float(apart.max(initial=0) / (size or 1)))
        if np.isnan(worst) or not np.isfinite(apart).all():
            return np.inf
    return worst


def tolerance(case: Case, dtype: str) -> float:
    return case.tolerance * FINE[dtype]


def arrays(value: Any) -> list[np.ndarray]:
    """All arrays and tensors of any library within `value`, as NumPy's; None and plain numbers are left out."""
    if isinstance(value, (tuple, list)):
        return [a for item in value for a in arrays(item)]
    if isinstance(value, (np.ndarray, np.generic)):
        return [np.asarray(value)]
    if hasattr(value, "detach"):
        return [np.asarray(value.detach().numpy()).copy()]
    if hasattr(value, "__cuda_array_interface__"):
        return [value.get()]
    if hasattr(value, "dtype"):
        return [value.numpy() if hasattr(value, "numpy") else np.asarray(value)]
    return []


def widened(value: Any, dtype: Any) -> Any:
    """`value` with its arrays of floats in `dtype`, in memory of their own."""
    if isinstance(value, tuple):
        return tuple(widened(item, dtype) for item in value)
    if isinstance(value, np.ndarray):
        return value.astype(dtype) if value.dtype.kind == "f" else value.copy()
    return value


def _expression(entry: Entry, case: Case, arguments: tuple) -> list[np.ndarray]:
    task = entry.task or entry.kernel
    if task not in ARRAYS:
        raise NotImplementedError
    numpy = Peer()
    numpy.prepare()
    run = numpy.start(case, task, arguments)
    if run is None:
        raise NotImplementedError
    return arrays(run())


def _reference(entry: Entry, case: Case, arguments: tuple) -> list[np.ndarray]:
    if case.program is None:
        made = table.get(entry.kernel)(np, *arguments)
        return arrays(arguments if made is None else made)
    import minitorch

    if any(a.dtype == np.longdouble for a in arrays(arguments)):
        raise NotImplementedError  # no tensors of it
    with table.use("reference"):
        minitorch.manual_seed(0)
        return arrays(case.program(minitorch, *tensors(minitorch, arguments))())


def tensors(framework: Any, value: Any) -> Any:
    """`value` with a tensor, of its own memory but the same strides, for each array."""
    if isinstance(value, tuple):
        return tuple(tensors(framework, item) for item in value)
    return framework.from_numpy(value.copy(order="K")) if isinstance(value, np.ndarray) else value
