"""Keras's initializers: objects that make the first values of a weight from its shape."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import absent_from
from ..nn import init
from ..op import FUNCTIONS
from ..ops.random import Generator
from ..tensor import Tensor
from .backend import dtype_of, snake_case
from .serialization import Configured, constructor, getter
from .serialization import serialize as serialize


class Initializer(Configured):
    """`initializer(shape, dtype)` gives a tensor; a `seed` makes it the same one each time.

    >>> Constant(2.0)((2,))
    tensor([2., 2.])
    """

    def __init__(self, seed: int | None = None):
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        generator = None if self.seed is None else Generator().manual_seed(self.seed)
        return self.fill(FUNCTIONS["empty"](tuple(shape), dtype=dtype_of(dtype)), generator)

    def fill(self, x: Tensor, generator: Any) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: an initializer defines __call__(shape, dtype)")


class VarianceScaling(Initializer):
    """Of variance scale / n, n the fan-in, the fan-out or their mean, for weights (*window, inputs, outputs).

    Raises ValueError for another `mode` or `distribution`.
    """

    def __init__(self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal",
                 seed: int | None = None):
        super().__init__(seed)
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"VarianceScaling: expected mode fan_in, fan_out or fan_avg, got {mode!r}")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError("VarianceScaling: expected distribution truncated_normal, untruncated_normal or uniform, "
                             f"got {distribution!r}")
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def fill(self, x, generator):
        fan_in, fan_out = _fans(x.shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        std = math.sqrt(self.scale / max(1.0, n))
        if self.distribution == "uniform":
            return init.uniform_(x, -math.sqrt(3) * std, math.sqrt(3) * std, generator)
        if self.distribution == "untruncated_normal":
            return init.normal_(x, 0.0, std, generator)
        std /= 0.87962566103423978  # the standard deviation of a normal variable cut at 2
        return init.trunc_normal_(x, 0.0, std, -2 * std, 2 * std, generator=generator)


def _fans(shape: Sequence[int]) -> tuple[float, float]:
    if len(shape) < 2:
        return (shape[0], shape[0]) if len(shape) else (1, 1)
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def _class(name: str, fill: Any, doc: str, **defaults: Any) -> type:
    """The initializer fill(x, generator, self), whose attributes are its arguments."""
    def start(self: Any, values: dict[str, Any]) -> None:
        self.__dict__.update({"seed": None, **values})

    return type(name, (Initializer,), {"__init__": constructor(start, **defaults), "__module__": __name__,
                                       "fill": lambda self, x, generator: fill(x, generator, self), "__doc__": doc})


def _scaled(name: str, scale: float, mode: str, distribution: str, doc: str) -> type:
    def start(self: Any, values: dict[str, Any]) -> None:
        VarianceScaling.__init__(self, scale, mode, distribution, **values)

    return type(name, (VarianceScaling,), {"__init__": constructor(start, seed=None), "__doc__": doc,
                                           "__module__": __name__})


Constant = _class("Constant", lambda x, g, self: x.fill_(self.value), "`value` everywhere.", value=0.0)
Zeros = _class("Zeros", lambda x, g, self: x.zero_(), "0 everywhere.")
Ones = _class("Ones", lambda x, g, self: x.fill_(1), "1 everywhere.")
Identity = _class("Identity", lambda x, g, self: init.eye_(x) * self.gain, "`gain` times the identity.", gain=1.0)
RandomNormal = _class("RandomNormal", lambda x, g, self: init.normal_(x, self.mean, self.stddev, g), "Normal.",
                      mean=0.0, stddev=0.05, seed=None)
TruncatedNormal = _class("TruncatedNormal", lambda x, g, self: init.trunc_normal_(
    x, self.mean, self.stddev, self.mean - 2 * self.stddev, self.mean + 2 * self.stddev, generator=g),
    "Normal, cut at two standard deviations.", mean=0.0, stddev=0.05, seed=None)
RandomUniform = _class("RandomUniform", lambda x, g, self: init.uniform_(x, self.minval, self.maxval, g),
                       "Uniform in [minval, maxval).", minval=-0.05, maxval=0.05, seed=None)
Orthogonal = _class("Orthogonal", lambda x, g, self: init.orthogonal_(
    x.reshape(-1, x.shape[-1]), self.gain, g).reshape(x.shape),
    "Rows or columns, whichever are fewer, orthonormal times `gain`.", gain=1.0, seed=None)
GlorotUniform = _scaled("GlorotUniform", 1.0, "fan_avg", "uniform", "Of variance 2 / (fan_in + fan_out), uniform.")
GlorotNormal = _scaled("GlorotNormal", 1.0, "fan_avg", "truncated_normal", "Of variance 2 / (fan_in + fan_out).")
HeUniform = _scaled("HeUniform", 2.0, "fan_in", "uniform", "Of variance 2 / fan_in, uniform.")
HeNormal = _scaled("HeNormal", 2.0, "fan_in", "truncated_normal", "Of variance 2 / fan_in.")
LecunUniform = _scaled("LecunUniform", 1.0, "fan_in", "uniform", "Of variance 1 / fan_in, uniform.")
LecunNormal = _scaled("LecunNormal", 1.0, "fan_in", "truncated_normal", "Of variance 1 / fan_in.")
_TABLE = {name: c for c in list(globals().values()) if isinstance(c, type) and issubclass(c, Initializer)
          and c is not Initializer for name in (c.__name__, snake_case(c.__name__))}
_TABLE.update(uniform=RandomUniform, normal=RandomNormal)
globals().update({name: c for name, c in _TABLE.items() if name.islower() and "_" in name})  # old spellings
get = getter("initializer", _TABLE)
__getattr__ = absent_from("keras.initializers", lambda: _TABLE)
