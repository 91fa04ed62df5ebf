"""How the tools here speak of arrays, places and source lines."""
from __future__ import annotations

import linecache
import os
import textwrap
from typing import Any

import numpy as np

LINE = 100  # characters of a source line that are shown
WIDTH = 100  # of what is printed
# what the ops behind a function are called where a person reads it
_FUNCTIONS = {"cross_entropy_classes": "cross_entropy", "nll_loss_classes": "nll_loss", "squared_error": "mse_loss",
              "bernoulli_entropy": "binary_cross_entropy", "scale_by_bits": "dropout", "batch_norm_train": "batch_norm",
              "bernoulli_entropy_of_logits": "binary_cross_entropy_with_logits", "huber": "smooth_l1_loss"}


def place(source: str | None, module: str = "") -> str:
    """A source line "file:line" with the module that ran and the line's own text, as far as they are known."""
    if not source:
        return f"in {module}" if module else ""
    path, _, line = source.rpartition(":")
    text = linecache.getline(path, int(line)).strip()
    where = f"at {_short(path)}:{line}" + (f", in {module}" if module else "")
    text = text if len(text) <= LINE else text[:LINE - 4] + " ..."
    return where + (f":  {text}" if text else "")


def op_name(name: str) -> str:
    """The function that a program called, for the op that ran.

    >>> op_name("cross_entropy_classes"), op_name("exp")
    ('cross_entropy', 'exp')
    """
    return _FUNCTIONS.get(name, name)


def values(array: Any) -> str:
    """Shape, type and range of an array, and how much of it is finite.

    >>> values(np.array([1.0, 2.0, np.nan]))
    '(3,) float64, 1 to 2, 66.7 % finite (1 NaN)'
    """
    if not hasattr(array, "dtype"):
        return repr(array)
    array = numpy(array)
    head = f"{tuple(array.shape)} {array.dtype}"
    if not array.size:
        return f"{head}, empty"
    if array.dtype.kind not in "fcV":
        return f"{head}, {array.min()} to {array.max()}"
    wide = np.abs(array) if array.dtype.kind == "c" else array.astype(np.float64)
    good = np.isfinite(wide)
    span = f", {wide[good].min():.4g} to {wide[good].max():.4g}" if good.any() else ""
    if good.all():
        return f"{head}{span}, all finite"
    return f"{head}{span}, {100 * good.mean():.3g} % finite ({kinds(wide)})"


def kinds(array: Any) -> str:
    """How many elements are not finite, kind by kind.

    >>> kinds(np.array([0.0, np.inf, -np.inf, np.inf]))
    '2 inf, 1 -inf'
    """
    found = {"NaN": np.isnan(array), "inf": array == np.inf, "-inf": array == -np.inf}
    return ", ".join(f"{int(where.sum())} {name}" for name, where in found.items() if where.any())


def first(where: Any) -> tuple[int, ...]:
    """The index of the first True."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(where)), where.shape))


def numpy(array: Any) -> np.ndarray:
    """The array in the memory of the CPU."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


def wrapped(text: str) -> str:
    """Lines longer than WIDTH go on below, further in."""
    lines = []
    for line in text.split("\n"):
        inner = " " * (len(line) - len(line.lstrip()) + 4)
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=inner, break_long_words=False, drop_whitespace=True,
                               break_on_hyphens=False) if len(line) > WIDTH else [line]
    return "\n".join(lines)


def indented(text: str, by: str = "    ") -> str:
    return "\n".join(by + line for line in text.split("\n"))


def _short(path: str) -> str:
    """The path from the working directory, where that is shorter."""
    try:
        near = os.path.relpath(path)
    except ValueError:  # on another drive
        return path
    return near if len(near) < len(path) else path
