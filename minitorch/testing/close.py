"""`assert_close`: are two tensors, numbers, or containers of them, equal up to tolerances of their types?"""
from __future__ import annotations

import cmath
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..ops.values import array_from
from ..tensor import Tensor

# relative and absolute tolerance, PyTorch's; other types are compared exactly
TOLERANCES = {dtypes.float16: (1e-3, 1e-5), dtypes.bfloat16: (1.6e-2, 1e-5), dtypes.float32: (1.3e-6, 1e-5),
              dtypes.float64: (1e-7, 1e-7), dtypes.complex64: (1.3e-6, 1e-5), dtypes.complex128: (1e-7, 1e-7)}


def assert_close(actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None,
                 atol: float | None = None, equal_nan: bool = False, check_device: bool = True,
                 check_dtype: bool = True, check_layout: bool = True, check_stride: bool = False,
                 msg: str | Callable[[str], str] | None = None) -> None:
    """Raise AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere.

    Tensors, arrays, numbers, and sequences and mappings of them are compared part by part. The tolerances, to be
    given both or neither, follow the types; devices, types and layouts must agree unless told otherwise. `msg` takes
    the message's place, or makes another of it.

    >>> assert_close([1.0, 2.0], [1.0, 2.0 + 1e-9])
    >>> assert_close(1.0, 1.5)
    Traceback (most recent call last):
    AssertionError: Scalars are not close!
    <BLANKLINE>
    Expected 1.5 but got 1.0.
    Absolute difference: 0.5 (up to 1e-07 allowed)
    Relative difference: 0.3333333333333333 (up to 1e-07 allowed)
    """
    if (rtol is None) != (atol is None):
        raise ValueError("rtol and atol must both be specified or both be left out, but got "
                         f"rtol={rtol} and atol={atol}")
    checks = {"device": check_device, "dtype": check_dtype, "layout": check_layout, "stride": check_stride}
    problem = _compare(actual, expected, rtol, atol, equal_nan, checks, allow_subclasses, "")
    if problem is None:
        return
    raise AssertionError(problem if msg is None else msg(problem) if callable(msg) else msg)


def assert_allclose(actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None,
                    equal_nan: bool = True, msg: str = "") -> None:
    """`assert_close` as it was once called."""
    if not isinstance(actual, Tensor):
        actual = Tensor._wrap(array_from(actual))
    if not isinstance(expected, Tensor):
        expected = Tensor._wrap(array_from(expected)).to(actual.dtype)
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_device=True, check_dtype=False,
                 check_stride=False, msg=msg or None)


def _compare(a: Any, b: Any, rtol: Any, atol: Any, equal_nan: bool, checks: dict, subclasses: bool,
             where: str) -> str | None:
    """What differs, None where nothing does."""
    rest = (rtol, atol, equal_nan, checks, subclasses)
    at = f"\n\nThe failure occurred for item {where}" if where else ""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if set(a) != set(b):
            return (f"The keys of the mappings do not match:\nMissing keys in the actual mapping: "
                    f"{sorted(set(b) - set(a))}\nAdditional keys in the actual mapping: {sorted(set(a) - set(b))}{at}")
        parts = [(key, a[key], b[key]) for key in b]
    elif _is_sequence(a) and _is_sequence(b):
        if len(a) != len(b):
            return f"The length of the sequences mismatch: {len(a)} != {len(b)}{at}"
        parts = [(i, x, y) for i, (x, y) in enumerate(zip(a, b))]
    elif a is None or b is None:
        return None if a is b else f"None mismatch: {a} is not {b}{at}"
    elif isinstance(a, (bool, int, float, complex)) and isinstance(b, (bool, int, float, complex)):
        problem = _numbers(a, b, rtol, atol, equal_nan, checks)
        return problem and problem + at
    elif not subclasses and type(a) is not type(b):
        raise AssertionError(f"Except for scalars, type equality is required if allow_subclasses=False, but got "
                             f"{type(a)} and {type(b)} instead.")
    else:
        problem = _tensors(_tensor(a), _tensor(b), rtol, atol, equal_nan, checks)
        return problem and problem + at
    for key, x, y in parts:
        problem = _compare(x, y, *rest, f"{where}[{key}]")
        if problem is not None:
            return problem
    return None


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str)


def _tensor(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return x.to_dense() if x.is_sparse else x
    if isinstance(x, (np.ndarray, np.generic, int, float, complex)):
        return Tensor._wrap(array_from(x))
    raise TypeError(f"assert_close: No comparison pair was able to handle inputs of type {type(x)}")


def _numbers(a: Any, b: Any, rtol: Any, atol: Any, equal_nan: bool, checks: dict) -> str | None:
    if checks["dtype"] and type(a) is not type(b):
        return f"The (d)types do not match: {type(a)} != {type(b)}."
    if rtol is None:
        rtol, atol = _tolerances(*(dtypes.as_dtype(type(x)) for x in (a, b)))
    if isinstance(a, bool) and isinstance(b, bool):
        return None if a is b else f"Booleans are not equal!\n\nExpected {b} but got {a}."
    difference = abs(a - b)
    if (equal_nan and cmath.isnan(a) and cmath.isnan(b)) or a == b or \
            (cmath.isfinite(difference) and difference <= atol + rtol * abs(b)):
        return None
    if rtol == atol == 0:
        return f"Scalars are not equal!\n\nExpected {b} but got {a}.\nAbsolute difference: {difference}\n" \
               f"Relative difference: {difference / abs(b) if b else float('inf')}"
    return (f"Scalars are not close!\n\nExpected {b} but got {a}.\n"
            f"Absolute difference: {difference} (up to {atol} allowed)\n"
            f"Relative difference: {difference / abs(b) if b else float('inf')} (up to {rtol} allowed)")


def _tensors(a: Tensor, b: Tensor, rtol: Any, atol: Any, equal_nan: bool, checks: dict) -> str | None:
    for what, name in (("device", "device"), ("dtype", "dtype"), ("layout", "layout")):
        if checks[what] and getattr(a, name) != getattr(b, name):
            return f"The values for attribute '{name}' do not match: {getattr(a, name)} != {getattr(b, name)}."
    if a.shape != b.shape:
        return f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}."
    if checks["stride"] and a.stride() != b.stride():
        return f"The values for attribute 'stride()' do not match: {a.stride()} != {b.stride()}."
    if rtol is None:
        rtol, atol = _tolerances(a.dtype, b.dtype)
    x, y = (_wide(t.detach().cpu()._array) for t in (a, b))
    with np.errstate(all="ignore"):
        difference = np.abs(x - y) if x.dtype.kind != "O" else np.abs((x - y).astype(float))
        close = (x == y) | (np.isfinite(difference) & (difference <= atol + rtol * np.abs(y)))
        if equal_nan and x.dtype.kind in "fc":
            close |= np.isnan(x) & np.isnan(y)
        if close.all():
            return None
        relative = np.where(difference == 0, 0.0, difference / np.abs(y))
    wrong, exact = ~close, rtol == atol == 0
    lines = [f"Tensor-likes are not {'equal' if exact else 'close'}!", ""] if x.ndim else \
        [f"Scalars are not {'equal' if exact else 'close'}!", "", f"Expected {y.item()} but got {x.item()}."]
    if x.ndim:
        lines.append(f"Mismatched elements: {wrong.sum()} / {x.size} ({wrong.mean():.1%})")
    for name, values, allowed in (("absolute", difference, atol), ("relative", relative, rtol)):
        hidden = np.where(wrong, values, -1.0)
        worst = np.unravel_index(int(np.argmax(np.where(np.isnan(hidden), np.inf, hidden))), x.shape)
        place = f" at index {tuple(map(int, worst))}" if x.ndim else ""
        name = f"Greatest {name}" if x.ndim else name.capitalize()
        limit = "" if exact else f" (up to {allowed} allowed)"
        lines.append(f"{name} difference: {values[worst].item()}{place}{limit}")
    return "\n".join(lines)


def _tolerances(*kinds: dtypes.dtype) -> tuple[float, float]:
    """The wider of the two types' tolerances."""
    found = [TOLERANCES.get(kind, (0.0, 0.0)) for kind in kinds]
    return max(r for r, _ in found), max(a for _, a in found)


def _wide(array: np.ndarray) -> Any:
    """In a type in which differences neither overflow nor wrap round."""
    if array.dtype.kind == "c":
        return array.astype(np.complex128)
    if array.dtype == np.uint64:
        return array.astype(object)
    return array.astype(np.int64 if array.dtype.kind in "biu" else np.float64)
