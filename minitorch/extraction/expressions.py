"""Steps as Python: operators where NumPy has one, short forms, constants that can be said in a few words."""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..capture.arrays import Slot, Step

ATOM = 20
# NumPy's name: (operator, how tightly it binds)
OPERATORS = {"add": ("+", 15), "subtract": ("-", 15), "multiply": ("*", 16), "divide": ("/", 16),
             "true_divide": ("/", 16), "floor_divide": ("//", 16), "remainder": ("%", 16), "matmul": ("@", 16),
             "power": ("**", 18), "less": ("<", 10), "less_equal": ("<=", 10), "greater": (">", 10),
             "greater_equal": (">=", 10), "equal": ("==", 10), "not_equal": ("!=", 10), "bitwise_and": ("&", 13),
             "bitwise_xor": ("^", 12), "bitwise_or": ("|", 11)}
SIGNS = {"negative": "-", "invert": "~"}
METHODS = {"reshape", "astype", "sum", "swapaxes", "transpose", "copy", "squeeze"}  # shorter as methods
SHORT = 8  # elements of a constant that is written out

Text = tuple[str, int]  # Python, and how tightly it binds


def expression(step: Step, text: Callable[[Any], Text]) -> Text:
    """The value of a step; `text` gives the operands'. Raises LookupError for what NumPy alone cannot say."""
    args, kwargs = step.args, step.kwargs
    if step.kind == "give":
        return text(args[0])
    if step.kind == "kernel":
        return f"{step.name}({_arguments(args, kwargs, text)})", ATOM
    if step.kind == "item":
        return f"{_atom(text(args[0]))}[{_key(args[1], text)}]", ATOM
    if step.kind == "attribute":
        return f"{_atom(text(args[0]))}.{step.name}", ATOM
    if step.name in OPERATORS and len(args) == 2 and not kwargs:
        sign, binds = OPERATORS[step.name]
        left, right = text(args[0]), text(args[1])
        power = sign == "**" or binds == 10
        return f"{_in(left, binds + power)} {sign} {_in(right, binds + (not power or binds == 10))}", binds
    if step.name in SIGNS and len(args) == 1 and not kwargs:
        return SIGNS[step.name] + _in(text(args[0]), 17), 17
    if step.kind == "method" or (step.name in METHODS and isinstance(args[0], Slot)):
        return _method(step, text), ATOM
    return f"{_function(step)}({_arguments(args, kwargs, text)})", ATOM


def statement(step: Step, text: Callable[[Any], Text]) -> str:
    """A step that writes into memory."""
    if step.kind == "set":
        return f"{_atom(text(step.args[0]))}[{_key(step.args[1], text)}] = {text(step.args[2])[0]}"
    if step.kind == "ufunc" and len(step.args) == 2 and step.name in OPERATORS and step.writes[0] is step.args[0] and \
            set(step.kwargs) == {"out"}:
        return f"{text(step.args[0])[0]} {OPERATORS[step.name][0]}= {text(step.args[1])[0]}"
    if step.kind in ("ufunc", "call") and "out" in step.kwargs:
        return f"{_function(step)}({_arguments(step.args, step.kwargs, text)})"
    return expression(step, text)[0]


def literal(value: Any) -> str:
    """Python for what is no array of the recording. Raises LookupError for an object that has no short name."""
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return f"np.{np.dtype(value).name}" if np.dtype(value).name != "bool" else "bool"
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({_number(value.item())})"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, slice):
        return f"slice({', '.join(map(literal, (value.start, value.stop, value.step)))})"
    if value is Ellipsis:
        return "..."
    if type(value) in (int, bool, str, type(None)):
        return repr(value)
    if isinstance(value, type) and value in (int, float, bool):
        return value.__name__
    raise LookupError(f"{value!r} has no name in NumPy")


def constant(array: np.ndarray) -> str | None:
    """A short expression for a constant array, where there is one."""
    name, dtype = array.dtype.name, f", {literal(array.dtype)}"
    dtype = "" if name == "float64" else dtype
    if array.size and (array == array.flat[0]).all() and (array.ndim or name != "float64"):
        value = array.flat[0].item()
        if array.ndim == 0:
            return f"np.{name if name != 'bool' else 'bool_'}({_number(value)})"
        shape = literal(array.shape if array.ndim > 1 else array.shape[0])
        if value in (0, 1) and not np.signbit(float(value)):
            return f"np.{'ones' if value else 'zeros'}({shape}{dtype})"
        return f"np.full({shape}, {_number(value)}{dtype})"
    if array.ndim == 1 and array.size > 1 and array.dtype.kind == "i" and (np.diff(array) == 1).all():
        first, last = array[0].item(), array[-1].item() + 1
        return f"np.arange({last})" if first == 0 else f"np.arange({first}, {last})"
    if array.ndim == 2 and array.dtype.kind in "bif" and array.size > 1:
        for k in (0, -1, 1):
            if np.array_equal(array, np.tri(array.shape[0], array.shape[1], k)):
                return f"np.tri({array.shape[0]}, {array.shape[1]}, {k}{dtype})"
        if np.array_equal(array, np.eye(array.shape[0], array.shape[1])):
            return f"np.eye({array.shape[0]}, {array.shape[1]}, dtype={literal(array.dtype)})"
    if 0 < array.size <= SHORT and array.ndim <= 2 and array.dtype.kind in "bif":
        return f"np.array({_nested(array.tolist())}{dtype if array.dtype.kind != 'i' or name != 'int64' else ''})"
    return f"np.empty({literal(array.shape)}{dtype})" if not array.size else None


def _nested(value: Any) -> str:
    return f"[{', '.join(map(_nested, value))}]" if isinstance(value, list) else _number(value)


def _number(value: Any) -> str:
    if isinstance(value, float) and value != value:
        return "np.nan"
    if value in (float("inf"), float("-inf")):
        return "np.inf" if value > 0 else "-np.inf"
    return repr(value)


def text_of(value: Any, slot: Callable[[Slot], Text], dtype: np.dtype | None = None) -> Text:
    """Python for an operand: a slot, a container of such, or a literal."""
    if isinstance(value, Slot):
        return slot(value)
    if isinstance(value, np.generic) and value.dtype.kind == "f" and value.dtype == dtype:
        value = value.item()  # NumPy gives a Python number the array's type
    if isinstance(value, (tuple, list)) and any(isinstance(v, (Slot, tuple, list)) for v in value):
        inside = ", ".join(text_of(v, slot)[0] for v in value)
        return (f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"), ATOM
    if isinstance(value, slice):
        parts = [text_of(v, slot)[0] for v in (value.start, value.stop, value.step)]
        return f"slice({', '.join(parts)})", ATOM
    made = literal(value)
    return made, 17 if made.startswith("-") else ATOM


def _key(key: Any, text: Callable[[Any], Text]) -> str:
    if isinstance(key, tuple):
        keys = list(key)
        while len(keys) > 1 and keys[-1] is Ellipsis and not all(type(k) is int for k in keys[:-1]):
            keys.pop()
        return ", ".join(_key(k, text) for k in keys) + "," * (len(keys) == 1 and len(key) == 1) or "()"
    if isinstance(key, slice):
        start, stop, step = ("" if v is None else text(v)[0] for v in (key.start, key.stop, key.step))
        return f"{start}:{stop}" + f":{step}" * bool(step)
    return text(key)[0]


def _method(step: Step, text: Callable[[Any], Text]) -> str:
    first, *rest = step.args
    kwargs = {k: v for k, v in step.kwargs.items() if not (step.name == "sum" and v in (None, False) and
                                                           type(v) in (bool, type(None)))}
    name, own = step.name, _atom(text(first))
    if name in ("swapaxes", "transpose") and isinstance(first, Slot) and len(first.shape) == 2:
        axes = rest[0] if len(rest) == 1 and isinstance(rest[0], (tuple, list)) else rest
        if not kwargs and [a % 2 for a in axes] in ([], [1, 0], [0, 1] if name == "swapaxes" else [1, 0]):
            return f"{own}.T"
    if name in ("reshape", "transpose") and len(rest) == 1 and isinstance(rest[0], (tuple, list)) and rest[0]:
        rest = list(rest[0])
    if name == "sum" and isinstance(kwargs.get("axis"), tuple) and len(kwargs["axis"]) == 1:
        kwargs["axis"] = kwargs["axis"][0]
    return f"{own}.{name}({_arguments(tuple(rest), kwargs, text)})"


def _function(step: Step) -> str:
    function = step.function
    if isinstance(function, np.ufunc):
        return f"np.{step.name}"
    if re.fullmatch(r"\w+\.(at|reduce|accumulate|outer|reduceat)", step.name):
        return f"np.{step.name}"
    module = (getattr(function, "__module__", "") or "").split(".")
    for path in (["numpy"], module):
        found: Any = np
        for part in (*path[1:], step.name):
            found = getattr(found, part, None)
        if found is not None and path[0] == "numpy" and not any(part.startswith("_") for part in path):
            return ".".join(["np", *path[1:], step.name])
    raise LookupError(f"{step.name} is no function of NumPy")


def _arguments(args: tuple, kwargs: dict, text: Callable[[Any], Text]) -> str:
    return ", ".join([*(text(a)[0] for a in args), *(f"{k}={text(v)[0]}" for k, v in kwargs.items())])


def _in(text: Text, binds: int) -> str:
    return f"({text[0]})" if text[1] < binds else text[0]


def _atom(text: Text) -> str:
    return _in(text, ATOM)
