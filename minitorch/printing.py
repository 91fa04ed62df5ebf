"""How a tensor prints: as PyTorch prints it, character for character."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import dtypes
from .op import composite
from .tensor import Tensor


@dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000  # elements from which the middle is left out
    edgeitems: int = 3  # elements shown at each end of a dimension then
    linewidth: int = 80
    sci_mode: bool | None = None  # None: decided by the values


_PROFILES = {"default": _Options(), "short": _Options(precision=2, edgeitems=2), "full": _Options(threshold=math.inf)}
_options = _Options()


@composite(method=False)
def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """Digits after the point, elements from which tensors are summarised, elements shown at each end, width of a line.

    `profile` is one of default, short, full; `sci_mode` forces (True) or forbids (False) the form 1.0000e+00.
    """
    global _options
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"set_printoptions: profile expects default, short or full, got {profile!r}")
        _options = _PROFILES[profile]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options = replace(_options, sci_mode=sci_mode, **{name: v for name, v in given.items() if v is not None})


def tensor_repr(t: Tensor) -> str:
    """`repr(t)`.

    >>> from minitorch import tensor
    >>> tensor([[1.5, -2.0], [1000.0, float("inf")]], requires_grad=True)
    tensor([[   1.5000,   -2.0000],
            [1000.0000,       inf]], requires_grad=True)
    """
    kind = type(t).__name__
    prefix = "tensor(" if kind in ("Tensor", "Parameter") else f"{kind}("
    if t.is_meta:
        return _joined(prefix + "...", prefix, t)
    array = t._array if isinstance(t._array, np.ndarray) else t._array.get()
    text = prefix + (_array_text(array, len(prefix)) if array.size else "[]")
    return _joined(text, prefix, t)


def _joined(text: str, prefix: str, t: Tensor) -> str:
    """`text`, what is said after it, and the bracket."""
    last = len(text) - text.rfind("\n") + 1
    for suffix in _suffixes(t):
        if last + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * len(prefix) + suffix
            last = len(prefix) + len(suffix)
        else:
            text += ", " + suffix
            last += len(suffix) + 2
    return text + ")"


def _suffixes(t: Tensor) -> list[str]:
    found = []
    d, default = t.dtype, dtypes.get_default_dtype()
    if t.device.type != "cpu":
        found.append(f"device='{t.device}'")
    empty = t._array.size == 0
    if t.is_meta or (t.ndim != 1 if empty else not _options.edgeitems):
        found.append(f"size={tuple(t.shape)}")
    if empty or t.is_meta:
        if d is not default:
            found.append(f"dtype={d}")
    elif d not in (default, default.to_complex(), dtypes.int64, dtypes.bool):
        found.append(f"dtype={d}")
    if t.grad_fn is not None:
        found.append(f"grad_fn=<{t.grad_fn.name()}>")
    elif t.requires_grad:
        found.append("requires_grad=True")
    return found


def _array_text(array: np.ndarray, indent: int) -> str:
    if array.dtype.kind == "V" or array.dtype == np.float16:
        array = array.astype(np.float32)
    summarise = array.size > _options.threshold
    shown = _summary(array) if summarise else array
    parts = [shown.real, shown.imag] if array.dtype.kind == "c" else [shown]
    return _nested(array, indent, summarise, [_Form(part) for part in parts])


def _summary(array: np.ndarray) -> np.ndarray:
    """The elements that are shown of a summarised array."""
    edge = _options.edgeitems
    for axis, n in enumerate(array.shape):
        if n > 2 * edge:
            array = np.take(array, [*range(edge), *range(n - edge, n)], axis)
    return array


class _Form:
    """The one form for all elements of an array: whole numbers, fixed point or scientific, and its width."""

    def __init__(self, shown: np.ndarray):
        self.text: Callable[[Any], str] = str
        if shown.dtype.kind != "f":
            self.width = max([1, *map(len, map(str, shown.ravel().tolist()))])
            return
        values = shown[np.isfinite(shown) & (shown != 0)].astype(np.float64)
        whole, precision = bool((values == np.ceil(values)).all()), _options.precision
        if values.size and _scientific(np.abs(values), whole):
            self.text = lambda v: f"{v:.{precision}e}"
        elif whole:
            self.text = lambda v: f"{v:.0f}" + ("." if math.isfinite(v) else "")
        else:
            self.text = lambda v: f"{v:.{precision}f}"
        self.width = max([1, *(len(self.text(v)) for v in values.tolist())])

    def __call__(self, value: Any) -> str:
        return self.text(value).rjust(self.width)


def _scientific(sizes: np.ndarray, whole: bool) -> bool:
    if _options.sci_mode is not None:
        return _options.sci_mode
    low, high = float(sizes.min()), float(sizes.max())
    return high / low > 1000 or high > 1e8 or (not whole and low < 1e-4)


def _nested(array: np.ndarray, indent: int, summarise: bool, forms: Sequence[_Form]) -> str:
    if array.ndim == 0:
        return _element(array.item(), forms)
    if array.ndim == 1:
        return _row(array, indent, summarise, forms)
    edge, n = _options.edgeitems, array.shape[0]
    if summarise and n > 2 * edge:
        parts = [_nested(array[i], indent + 1, summarise, forms) for i in [*range(edge), *range(n - edge, n)]]
        parts.insert(edge, "...")
    else:
        parts = [_nested(part, indent + 1, summarise, forms) for part in array]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _row(array: np.ndarray, indent: int, summarise: bool, forms: Sequence[_Form]) -> str:
    edge = _options.edgeitems
    if summarise and not edge:
        texts = ["..."]
    elif summarise and array.size > 2 * edge:
        texts = [_element(v, forms) for v in [*array[:edge].tolist(), *array[-edge:].tolist()]]
        texts.insert(edge, " ...")
    else:
        texts = [_element(v, forms) for v in array.tolist()]
    length = sum(form.width for form in forms) + len(forms) + 1  # with ", " and the j of complex numbers
    per_line = max(1, (_options.linewidth - indent) // length)
    lines = [", ".join(texts[i:i + per_line]) for i in range(0, len(texts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _element(value: Any, forms: Sequence[_Form]) -> str:
    if len(forms) == 1:
        return forms[0](value)
    imaginary = forms[1](value.imag).lstrip()
    return forms[0](value.real) + ("" if imaginary[0] in "+-" else "+") + imaginary + "j"
