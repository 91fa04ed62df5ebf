"""Layers of several inputs: Add, Concatenate and the like."""
from __future__ import annotations

import functools
from typing import Any

from ...op import FUNCTIONS
from ..backend import snake_case
from .base import Layer


class Merge(Layer):
    """One result from a list of inputs whose shapes broadcast."""

    def _check(self, args):
        if not isinstance(args[0], (list, tuple)) or len(args[0]) < 1:
            raise ValueError(f"A `{type(self).__name__}` layer should be called on a list of at least 1 input, "
                             f"got {type(args[0]).__name__}")

    def call(self, inputs):
        return functools.reduce(self.merge, inputs)

    def merge(self, a: Any, b: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: a merging layer defines merge(a, b)")


def _class(name: str, doc: str, merge: Any, **more: Any) -> Any:
    return type(name, (Merge,), {"merge": lambda self, a, b: merge(a, b), "__doc__": doc,
                                  "__module__": __name__, **more})


Add = _class("Add", "The sum.", lambda a, b: a + b)
Subtract = _class("Subtract", "The first less the second.", lambda a, b: a - b)
Multiply = _class("Multiply", "The product.", lambda a, b: a * b)
Maximum = _class("Maximum", "The largest.", lambda a, b: FUNCTIONS["maximum"](a, b))
Average = _class("Average", "The mean.", lambda a, b: a + b, call=lambda self, inputs: Add.call(
    self, inputs) / len(inputs))
Minimum = _class("Minimum", "The smallest.", lambda a, b: FUNCTIONS["minimum"](a, b))


class Concatenate(Merge):
    """One behind the other along `axis`."""

    def __init__(self, axis: int = -1, **keywords: Any):
        super().__init__(**keywords)
        self.axis = axis

    def call(self, inputs):
        return FUNCTIONS["cat"](list(inputs), self.axis)


class Dot(Merge):
    """Products along an axis of each of two inputs (N, ...), normalised to cosines where asked."""

    def __init__(self, axes: int | tuple[int, int], normalize: bool = False, **keywords: Any):
        super().__init__(**keywords)
        self.axes, self.normalize = (axes, axes) if isinstance(axes, int) else tuple(axes), normalize

    def call(self, inputs):
        a, b = inputs
        i, j = self.axes[0] % a.ndim, self.axes[1] % b.ndim
        if self.normalize:
            a, b = (x / x.square().sum(d, keepdim=True).clamp(min=1e-12).sqrt() for x, d in ((a, i), (b, j)))
        a, b = a.movedim(i, -1), b.movedim(j, 1)
        y = a.reshape(a.shape[0], -1, a.shape[-1]) @ b.reshape(b.shape[0], b.shape[1], -1)
        shape = a.shape[0], *a.shape[1:-1], *b.shape[2:]
        return y.reshape(shape if len(shape) > 1 else (a.shape[0], 1))


def _function(kind: Any) -> Any:
    def merge(inputs: Any, **keywords: Any) -> Any:
        return kind(**keywords)(inputs)

    merge.__doc__ = f"`{kind.__name__}` of these inputs."
    return merge


globals().update({snake_case(kind.__name__): _function(kind) for kind in (
    Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot)})
