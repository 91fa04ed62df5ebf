"""Which version of each kernel runs for arguments of given shapes, and why not the others."""
from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from minitorch_kernels import table

from ..tensor import Tensor
from . import lookup

_SHAPE = re.compile(r"(scalar|\d+(?:x\d+)*)(?::([a-z]+\d*))?")


@dataclass(frozen=True)
class Choice:
    """A call of a kernel: its arguments in brief, the version that took it, and what `table.explain` says of all."""

    kernel: str
    version: str
    arguments: str
    text: str

    def __str__(self) -> str:
        rungs = {v.name for v in table.get(self.kernel).versions if v.backend == "ladder"}  # run by choice alone
        lines = [line for line in self.text.split("\n")[1:] if line.split()[0] not in rungs - {self.version}]
        return "\n".join([f"{self.kernel}({self.arguments}) runs {self.version}", *(f"  {line}" for line in lines)])


def choices(name: str, shapes: list[str], dtype: str = "float32", device: str = "cpu",
            options: dict[str, Any] | None = None) -> list[Choice]:
    """The kernels that a call of `name` reaches, forward and backward, each once.

    `shapes` are those of its tensors in order: "8x3x32x32", "scalar", with a type where it is not `dtype`: "8:int64".
    `options` are its other arguments by name; an optimizer takes its parameters' shapes, a layer its options and the
    input's shape. Ops are run once, on random numbers (integers are 0), so a new kernel may have to be compiled; of a
    kernel only the predicates are asked. Raises ValueError where that is no call.

    >>> [(choice.kernel, choice.version) for choice in choices("matmul", ["8x8", "8x8"])]
    [('matmul', 'blas')]
    """
    options = options or {}
    kind, name, thing = lookup.find(name)
    arrays = arrays_of(shapes, dtype)
    if kind == "kernel":
        return [_of_kernel(thing, arrays, options, device)]
    found: list[Choice] = []

    def note(kernel, version, run, arguments, given):
        text = table.explain(kernel, *arguments, device=device, **given)
        found.append(Choice(kernel, version, _brief(arguments, given), text))
        return run(*arguments, **given)

    with table.watch(note):
        call(name, arrays, options, device)
    return list(dict.fromkeys(found))


def call(name: str, arrays: list[np.ndarray], options: dict[str, Any], device: str = "cpu") -> None:
    """Run what `name` means on these arrays, or tensors of them, forward and backward.

    Raises ValueError where that is no call.
    """
    kind, name, thing = lookup.find(name)
    try:
        if kind == "kernel":
            inspect.signature(thing.reference).bind(np, *arrays, **options)
            getattr(table.kernels(np), name)(*arrays, **options)
        else:
            _run(kind, thing, [_tensor(array, device) for array in arrays], options)
    except (TypeError, IndexError, AttributeError) as error:
        shapes = ", ".join("x".join(map(str, a.shape)) or "scalar" for a in arrays)
        raise ValueError(f"{name}: shapes {shapes} do not make a call: {error}; options go after --with") from None


def _of_kernel(entry: Any, arrays: list[np.ndarray], options: dict[str, Any], device: str) -> Choice:
    names = list(inspect.signature(entry.reference).parameters)[1:]
    try:
        given = inspect.signature(entry.reference).bind(np, *arrays, **options)
    except TypeError as error:
        raise ValueError(f"{entry.name}: expects {', '.join(names)}: {error}; options go after --with") from None
    arguments = given.args[1:]
    text = table.explain(entry.name, *arguments, device=device, **given.kwargs)
    version = next(line.split()[0] for line in text.split("\n")[1:] if line.split()[1].startswith("runs"))
    return Choice(entry.name, version, _brief(arguments, given.kwargs), text)


def _run(kind: str, thing: Any, tensors: list[Tensor], options: dict[str, Any]) -> None:
    """Forward and, where something depends on the tensors, backward; of an optimizer a step."""
    if kind == "optimizer":
        for t in tensors:
            t.grad = Tensor._wrap(t._array.copy())
        thing(tensors, **options).step()
        return
    if kind == "layer":
        parameters = inspect.signature(thing.__init__).parameters
        result = thing(**{key: value for key, value in options.items() if key in parameters})(*tensors)
    else:
        result = (thing.call if kind == "op" else thing)(*tensors, **options)
    for y in result if isinstance(result, (list, tuple)) else [result]:
        if isinstance(y, Tensor) and y.requires_grad:
            y.backward(Tensor._wrap(y._array.copy()), retain_graph=True)


def arrays_of(shapes: list[str], dtype: str) -> list[np.ndarray]:
    """Random numbers, or zeros as integers, of shapes as they are written for `choices`."""
    return [_array(shape, dtype) for shape in shapes]


def _array(text: str, dtype: str) -> np.ndarray:
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError(f"a shape is written 8x3x32x32, or 8:int64 with a type, not {text!r}")
    shape = () if match[1] == "scalar" else tuple(map(int, match[1].split("x")))
    from .. import dtypes

    name = match[2] or dtype
    try:
        kind = dtypes.as_dtype(getattr(dtypes, name, name)).numpy
    except TypeError as error:
        raise ValueError(str(error)) from None
    if kind.kind in "biu":
        return np.zeros(shape, kind)
    return np.asarray(np.random.default_rng(0).standard_normal(shape)).astype(kind)


def _tensor(array: np.ndarray, device: str) -> Tensor:
    t = Tensor._wrap(array)
    t = t if device == "cpu" else t.to(device)
    t.requires_grad = array.dtype.kind not in "biu"
    return t


def _brief(arguments: Any, options: dict[str, Any]) -> str:
    return ", ".join([*map(_short, arguments), *(f"{name}={_short(value)}" for name, value in options.items())])


def _short(value: Any) -> str:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return "x".join(map(str, value.shape)) or "scalar"
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value[:3])) + ", …" * (len(value) > 3) + "]"
    text = repr(value)
    return text if len(text) < 40 else f"{type(value).__name__}"
