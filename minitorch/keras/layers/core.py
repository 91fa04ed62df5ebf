"""Layers without a window: Dense, Embedding, activations, dropout, shapes, masks."""
from __future__ import annotations

import math
from typing import Any

from ...errors import nearest
from ...nn import functional as F
from ...op import FUNCTIONS
from ...tensor import Tensor
from .. import activations, backend, constraints, initializers, regularizers
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


class Dense(Layer):
    """activation(x kernel + bias), kernel (inputs, units).

    >>> Dense(3, kernel_initializer="ones")([[1.0, 2.0]]).shape
    torch.Size([1, 3])
    """

    supports_masking = True

    def __init__(self, units: int, activation: Any = None, use_bias: bool = True,
                 kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
                 kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
                 kernel_constraint: Any = None, bias_constraint: Any = None, **keywords: Any):
        super().__init__(activity_regularizer=activity_regularizer, **keywords)
        self.kernel_constraint, self.bias_constraint = map(constraints.get, (kernel_constraint, bias_constraint))
        self.units, self.use_bias, self.activation = positive("Dense", "units", units), use_bias, \
            activations.get(activation)
        self.kernel_initializer, self.bias_initializer = map(initializers.get, (kernel_initializer, bias_initializer))
        self.kernel_regularizer, self.bias_regularizer = map(regularizers.get, (kernel_regularizer, bias_regularizer))

    def build(self, input_shape):
        if len(input_shape) < 2:
            raise ValueError(f'Input 0 of layer "{self.name}" is incompatible with the layer: expected min_ndim=2, '
                             f"found ndim={len(input_shape)}. Full shape received: {tuple(input_shape)}")
        self.kernel = self.add_weight((input_shape[-1], self.units), self.kernel_initializer,
                                      regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
                                      name="kernel")
        self.bias = self.add_weight((self.units,), self.bias_initializer, regularizer=self.bias_regularizer,
                                    constraint=self.bias_constraint, name="bias") if self.use_bias else None

    def _check(self, args):
        if args[0].shape[-1] != self.kernel.shape[0]:
            raise self._bad_input(f"axis -1 of input shape to have value {self.kernel.shape[0]}", args[0])

    def call(self, inputs):
        return self.activation(F.linear(inputs.to(self.kernel.dtype), self.kernel.t(), self.bias))


class Embedding(Layer):
    """Rows of a table (input_dim, output_dim), picked by integers; with `mask_zero` 0 means that there is nothing."""

    def __init__(self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform",
                 embeddings_regularizer: Any = None, mask_zero: bool = False, input_length: int | None = None,
                 **keywords: Any):
        if input_length is not None:
            keywords.setdefault("input_shape", (input_length,))
        super().__init__(**keywords)
        self.input_dim, self.output_dim, self.mask_zero = input_dim, output_dim, mask_zero
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)

    def build(self, input_shape):
        self.embeddings = self.add_weight((self.input_dim, self.output_dim), self.embeddings_initializer,
                                          regularizer=self.embeddings_regularizer, name="embeddings")

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


class Activation(Layer):
    """An activation function as a layer."""

    supports_masking = True

    def __init__(self, activation: Any, **keywords: Any):
        super().__init__(**keywords)
        self.activation = activations.get(activation)

    def call(self, inputs):
        return self.activation(inputs)


class ReLU(Layer):
    """`activations.relu`."""

    supports_masking = True

    def __init__(self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0,
                 **keywords: Any):
        super().__init__(**keywords)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def call(self, inputs):
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """x, below 0 negative_slope x."""

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **keywords: Any):
        negative_slope = keywords.pop("alpha", negative_slope)  # its name before Keras 3
        super().__init__(**keywords)
        self.negative_slope = negative_slope

    def call(self, inputs):
        return F.leaky_relu(inputs, self.negative_slope)


class ELU(Layer):
    """x, below 0 alpha (exp(x) - 1)."""

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **keywords: Any):
        super().__init__(**keywords)
        self.alpha = alpha

    def call(self, inputs):
        return F.elu(inputs, self.alpha)


class PReLU(Layer):
    """x, below 0 alpha x, alpha trained: one for each value of a sample, along `shared_axes` the same."""

    supports_masking = True

    def __init__(self, alpha_initializer: Any = "zeros", alpha_regularizer: Any = None, alpha_constraint: Any = None,
                 shared_axes: Any = None, **keywords: Any):
        super().__init__(**keywords)
        self.alpha_initializer, self.alpha_regularizer = alpha_initializer, alpha_regularizer
        self.alpha_constraint = alpha_constraint
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else list(shared_axes or [])

    def build(self, input_shape):
        shape = [1 if i in self.shared_axes else n for i, n in enumerate(input_shape)][1:]
        self.alpha = self.add_weight(shape, self.alpha_initializer, regularizer=self.alpha_regularizer,
                                     constraint=self.alpha_constraint, name="alpha")

    def call(self, inputs):
        return F.relu(inputs) - self.alpha * F.relu(-inputs)


class Softmax(Layer):
    """Softmax along `axis`."""

    supports_masking = True

    def __init__(self, axis: int = -1, **keywords: Any):
        super().__init__(**keywords)
        self.axis = axis

    def call(self, inputs):
        return F.softmax(inputs, dim=self.axis)


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


class SpatialDropout1D(Dropout):
    """Dropout of whole channels of (N, T, C)."""

    def __init__(self, rate: float, seed: int | None = None, **keywords: Any):
        super().__init__(rate, (None, 1, None), seed, **keywords)


class SpatialDropout2D(Dropout):
    """Dropout of whole channels of (N, H, W, C)."""

    def __init__(self, rate: float, seed: int | None = None, **keywords: Any):
        super().__init__(rate, (None, 1, 1, None), seed, **keywords)


class GaussianNoise(Layer):
    """In training, normal noise of standard deviation `stddev` is added."""

    supports_masking = True

    def __init__(self, stddev: float, seed: int | None = None, **keywords: Any):
        super().__init__(**keywords)
        self.stddev, self._generator = stddev, seeded(seed)

    def call(self, inputs, training=False):
        return inputs + self.stddev * FUNCTIONS["empty_like"](inputs).normal_(generator=self._generator) \
            if training else inputs


class GaussianDropout(GaussianNoise):
    """In training each value is multiplied by a normal number of mean 1 and variance rate / (1 - rate)."""

    def __init__(self, rate: float, seed: int | None = None, **keywords: Any):
        super().__init__(math.sqrt(rate / (1 - rate)), seed, **keywords)
        self.rate = rate

    def call(self, inputs, training=False):
        return inputs * (super().call(FUNCTIONS["ones_like"](inputs), training)) if training else inputs


class ActivityRegularization(Layer):
    """Adds l1 Σ|x| + l2 Σx², over the number of samples, to the loss."""

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **keywords: Any):
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **keywords)
        self.l1, self.l2 = l1, l2

    def call(self, inputs):
        return inputs


class Identity(Layer):
    """The input itself."""

    supports_masking = True

    def call(self, inputs):
        return inputs


class Flatten(Layer):
    """(N, ...) to (N, values)."""

    def call(self, inputs):
        return inputs.reshape(inputs.shape[0], math.prod(inputs.shape[1:]))


class Reshape(Layer):
    """(N, ...) to (N, *target_shape), where one size may be -1."""

    def __init__(self, target_shape: Any, **keywords: Any):
        super().__init__(**keywords)
        self.target_shape = tuple(target_shape)

    def call(self, inputs):
        return inputs.reshape(inputs.shape[0], *self.target_shape)


class Permute(Layer):
    """Dimensions in another order, counted from 1: the batch stays."""

    def __init__(self, dims: Any, **keywords: Any):
        super().__init__(**keywords)
        self.dims = tuple(dims)

    def call(self, inputs):
        return inputs.permute(0, *self.dims)


class RepeatVector(Layer):
    """(N, C) to (N, n, C)."""

    def __init__(self, n: int, **keywords: Any):
        super().__init__(**keywords)
        self.n = n

    def call(self, inputs):
        return inputs.unsqueeze(1).expand(-1, self.n, -1)


class Lambda(Layer):
    """A function as a layer."""

    def __init__(self, function: Any, output_shape: Any = None, mask: Any = None, arguments: dict | None = None,
                 **keywords: Any):
        super().__init__(**keywords)
        self.function, self._arguments = function, arguments or {}

    def call(self, *inputs):
        return self.function(*inputs, **self._arguments)


class Rescaling(Layer):
    """x scale + offset."""

    def __init__(self, scale: float, offset: float = 0.0, **keywords: Any):
        super().__init__(**keywords)
        self.scale, self.offset = scale, offset

    def call(self, inputs):
        return inputs.to(backend.dtype_of(self.dtype)) * self.scale + self.offset


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
