"""Layers without a window: Dense, Embedding, activations, dropout, shapes, masks."""
from __future__ import annotations

import math
from typing import Any

from ...errors import nearest
from ...nn import functional as F
from ...op import FUNCTIONS
from ...tensor import Tensor
from .. import activations, backend
from ..serialization import constructor
from .base import Layer


class InputLayer(Layer):
    """The shape of the input, as the first member of a Sequential."""

    supports_masking = True

    def __init__(self, shape: Any = None, batch_size: int | None = None, dtype: Any = None, name: str | None = None,
                 input_shape: Any = None, batch_shape: Any = None):
        shape = input_shape if shape is None else shape
        if shape is None and batch_shape is None:
            raise ValueError("InputLayer: you must pass a `shape` argument")
        super().__init__(dtype=dtype, name=name, batch_input_shape=batch_shape or (batch_size, *shape))

    def get_config(self):
        return {"batch_shape": list(self._given_shape), "dtype": self.dtype, "name": self.name}

    def call(self, inputs):
        return inputs


class Dense(Layer, kernel="glorot_uniform", bias="zeros"):
    """activation(x kernel + bias), kernel (inputs, units).

    >>> Dense(3, kernel_initializer="ones")([[1.0, 2.0]]).shape
    torch.Size([1, 3])
    """

    supports_masking = True

    def __init__(self, units: int, activation: Any = None, use_bias: bool = True, **keywords: Any):
        super().__init__(**keywords)
        self.units, self.use_bias = positive("Dense", "units", units), use_bias
        self.activation = activations.get(activation)

    def build(self, input_shape):
        if len(input_shape) < 2:
            raise self._bad_input(f"min_ndim=2, found ndim={len(input_shape)}", input_shape)
        self._weight("kernel", (input_shape[-1], self.units))
        self._weight("bias", (self.units,), self.use_bias)

    def _check(self, args):
        if args[0].shape[-1] != self.kernel.shape[0]:
            raise self._bad_input(f"axis -1 of input shape to have value {self.kernel.shape[0]}", args[0].shape)

    def call(self, inputs):
        return self.activation(F.linear(inputs.to(self.kernel.dtype), self.kernel.t(), self.bias))


class Embedding(Layer, embeddings="uniform"):
    """Rows of a table (input_dim, output_dim), picked by integers; with `mask_zero` 0 means that there is nothing."""

    def __init__(self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform", *,
                 mask_zero: bool = False, input_length: int | None = None, **keywords: Any):
        if input_length is not None:
            keywords.setdefault("input_shape", (input_length,))
        super().__init__(embeddings_initializer=embeddings_initializer, **keywords)
        self.input_dim, self.output_dim, self.mask_zero = input_dim, output_dim, mask_zero

    def build(self, input_shape):
        self._weight("embeddings", (self.input_dim, self.output_dim))

    def call(self, inputs):
        return F.embedding(inputs.long(), self.embeddings)

    def compute_mask(self, inputs, previous_mask):
        return inputs != 0 if self.mask_zero else None


class Masking(Layer):
    """Steps whose values all are `mask_value` do not count: recurrent layers and losses leave them out."""

    def __init__(self, mask_value: float = 0.0, **keywords: Any):
        super().__init__(**keywords)
        self.mask_value = mask_value

    def call(self, inputs):
        return inputs * (inputs != self.mask_value).any(-1, keepdim=True)

    def compute_mask(self, inputs, previous_mask):
        return (inputs != self.mask_value).any(-1)


def _layer(name: str, call: Any, doc: str, /, masks: bool = True, start: Any = None, **defaults: Any) -> Any:
    """The layer call(self, inputs), whose attributes are its arguments: those of `defaults`, `...` for needed ones."""
    def init(self: Any, values: dict[str, Any]) -> None:
        Layer.__init__(self, **values.pop("keywords"))
        for key, value in values.items():
            setattr(self, key, value)
        if start is not None:
            start(self)

    return type(name, (Layer,), {"__init__": constructor(init, more=True, **defaults), "call": call, "__doc__": doc,
                                 "__module__": __name__, "supports_masking": masks})


def _tuples(name: str) -> Any:
    return lambda self: setattr(self, name, tuple(getattr(self, name)))


Activation = _layer("Activation", lambda self, inputs: self.activation(inputs), "An activation function as a layer.",
                    start=lambda self: setattr(self, "activation", activations.get(self.activation)), activation=...)
ReLU = _layer("ReLU", lambda self, inputs: activations.relu(
    inputs, self.negative_slope, self.max_value, self.threshold), "`activations.relu`.", max_value=None,
    negative_slope=0.0, threshold=0.0)
ELU = _layer("ELU", lambda self, inputs: F.elu(inputs, self.alpha), "x, below 0 alpha (exp(x) - 1).", alpha=1.0)
Softmax = _layer("Softmax", lambda self, inputs: F.softmax(inputs, dim=self.axis), "Softmax along `axis`.", axis=-1)
Identity = _layer("Identity", lambda self, inputs: inputs, "The input itself.")
Flatten = _layer("Flatten", lambda self, inputs: inputs.reshape(inputs.shape[0], math.prod(inputs.shape[1:])),
                 "(N, ...) to (N, values).", masks=False)
Reshape = _layer("Reshape", lambda self, inputs: inputs.reshape(inputs.shape[0], *self.target_shape),
                 "(N, ...) to (N, *target_shape), where one size may be -1.", masks=False,
                 start=_tuples("target_shape"), target_shape=...)
Permute = _layer("Permute", lambda self, inputs: inputs.permute(0, *self.dims),
                 "Dimensions in another order, counted from 1: the batch stays.", masks=False, start=_tuples("dims"),
                 dims=...)
RepeatVector = _layer("RepeatVector", lambda self, inputs: inputs.unsqueeze(1).expand(-1, self.n, -1),
                      "(N, C) to (N, n, C).", masks=False, n=...)
Rescaling = _layer("Rescaling", lambda self, inputs: inputs.to(
    backend.dtype_of(self.dtype)) * self.scale + self.offset, "x scale + offset.", masks=False, scale=..., offset=0.0)


class LeakyReLU(Layer):
    """x, below 0 negative_slope x."""

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **keywords: Any):
        negative_slope = keywords.pop("alpha", negative_slope)  # its name before Keras 3
        super().__init__(**keywords)
        self.negative_slope = negative_slope

    def call(self, inputs):
        return F.leaky_relu(inputs, self.negative_slope)


class PReLU(Layer, alpha="zeros"):
    """x, below 0 alpha x, alpha trained: one for each value of a sample, along `shared_axes` the same."""

    supports_masking = True

    def __init__(self, alpha_initializer: Any = "zeros", *, shared_axes: Any = None, **keywords: Any):
        super().__init__(alpha_initializer=alpha_initializer, **keywords)
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes or [])

    def build(self, input_shape):
        self._weight("alpha", [1 if i in self.shared_axes else n for i, n in enumerate(input_shape)][1:])

    def call(self, inputs):
        return F.relu(inputs) - self.alpha * F.relu(-inputs)


class Dropout(Layer):
    """In training each value is 0 with probability `rate`, and the others grow by 1 / (1 - rate).

    Sizes 1 in `noise_shape` share one decision. Raises ValueError for a rate outside [0, 1].
    """

    supports_masking = True

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **keywords: Any):
        super().__init__(**keywords)
        if not 0 <= rate <= 1:
            raise ValueError(f"Invalid value received for argument `rate`. Expected a float value between 0 and 1. "
                             f"Received: rate={rate}")
        self.rate, self.noise_shape, self.seed = rate, noise_shape, seed
        self._generator = seeded(seed)

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        if self.noise_shape is None and self._generator is None:
            return F.dropout(inputs, self.rate)
        shape = [n if m is None else m for n, m in zip(inputs.shape, self.noise_shape or inputs.shape)]
        return inputs * kept(shape, self.rate, inputs, self._generator)


def _spatial(name: str, shape: tuple, doc: str) -> Any:
    return type(name, (Dropout,), {"__doc__": doc, "__module__": __name__, "__init__": constructor(
        lambda self, v: Dropout.__init__(self, v["rate"], shape, v["seed"], **v["keywords"]), more=True, rate=...,
        seed=None)})


SpatialDropout1D = _spatial("SpatialDropout1D", (None, 1, None), "Dropout of whole channels of (N, T, C).")
SpatialDropout2D = _spatial("SpatialDropout2D", (None, 1, 1, None), "Dropout of whole channels of (N, H, W, C).")


class GaussianNoise(Layer):
    """In training, normal noise of standard deviation `stddev` is added."""

    supports_masking = True

    def __init__(self, stddev: float, seed: int | None = None, **keywords: Any):
        super().__init__(**keywords)
        self.stddev, self._generator = stddev, seeded(seed)

    def call(self, inputs, training=False):
        return inputs + self.stddev * FUNCTIONS["empty_like"](inputs).normal_(generator=self._generator) \
            if training else inputs


class Lambda(Layer):
    """A function as a layer."""

    def __init__(self, function: Any, output_shape: Any = None, mask: Any = None, arguments: dict | None = None,
                 **keywords: Any):
        super().__init__(**keywords)
        self.function, self._arguments = function, arguments or {}

    def call(self, *inputs):
        return self.function(*inputs, **self._arguments)


class TimeDistributed(Layer):
    """`layer` on each step of (N, T, ...)."""

    supports_masking = True

    def __init__(self, layer: Layer, **keywords: Any):
        super().__init__(**keywords)
        self.layer = layer

    def call(self, inputs):
        n, steps = inputs.shape[:2]
        y = self.layer(inputs.reshape(n * steps, *inputs.shape[2:]))
        return y.reshape(n, steps, *y.shape[1:])


def positive(layer: str, argument: str, value: Any) -> int:
    """`value`. Raises ValueError unless it is a positive integer."""
    if isinstance(value, bool) or int(value) != value or value <= 0:
        raise ValueError(f"{layer}: invalid value received for argument `{argument}`. Expected a positive integer, "
                         f"got {value}")
    return int(value)


def one_of(layer: str, argument: str, value: str, allowed: tuple[str, ...]) -> str:
    """`value`. Raises ValueError unless it is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{layer}: expected {argument} to be one of {', '.join(allowed)}, got {value!r}"
                         + nearest(str(value), allowed))
    return value


def seeded(seed: int | None) -> Any:
    """A generator of random numbers that begins at `seed`; None for that of the whole program."""
    from ...ops.random import Generator

    return None if seed is None else Generator().manual_seed(seed)


def kept(shape: Any, rate: float, like: Tensor, generator: Any = None) -> Tensor:
    """What dropout multiplies by: 0 or 1 / (1 - rate)."""
    if rate == 1:
        return like.new_zeros(shape)
    return (like.new_empty(shape).uniform_(generator=generator) >= rate).to(like.dtype) / (1 - rate)
