"""The little of TensorFlow's own names that programs around `tf.keras` use."""
from __future__ import annotations

import types
from typing import Any

from .. import autograd, convert, dtypes
from ..errors import absent_from
from ..nn import functional as F
from ..ops.random import manual_seed
from ..tensor import Tensor
from . import activations, backend, ops
from . import layers as _layers  # noqa: F401  so that tf.keras.layers is there
from . import random as _random
from .layers.base import Variable as Variable
from .pipeline import AUTOTUNE, Dataset

__version__ = "2.20.0+minitorch"
float16, float32, float64 = dtypes.float16, dtypes.float32, dtypes.float64
int32, int64, uint8, bool = dtypes.int32, dtypes.int64, dtypes.uint8, dtypes.bool


class GradientTape:
    """`with GradientTape() as tape:` ... `tape.gradient(loss, variables)`: gradients, None where there is none.

    >>> v = Variable([3.0])
    >>> with GradientTape() as tape:
    ...     y = v * v
    >>> tape.gradient(y, v)
    tensor([6.])
    """

    def __init__(self, persistent: Any = False, watch_accessed_variables: Any = True):
        self._persistent, self._used = persistent, False

    def __enter__(self) -> GradientTape:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def watch(self, tensor: Tensor) -> None:
        """Let a tensor that is no variable get gradients."""
        tensor.requires_grad = True

    def gradient(self, target: Tensor, sources: Any) -> Any:
        """The gradients of the sum of `target`. Raises RuntimeError at the second time unless `persistent`."""
        if self._used and not self._persistent:
            raise RuntimeError("A non-persistent GradientTape can only be used to compute one set of gradients "
                               "(or jacobians)")
        self._used = True
        found = iter(autograd.grad(target.sum(), backend.flatten(sources), allow_unused=True,
                                   retain_graph=self._persistent or None))
        return backend.map_structure(lambda _: next(found), sources)


def when_lent() -> None:
    """A program imports tensorflow: there, tensors that gradients flow through hand over their values as well."""
    convert.refuses_graphs = False


def function(func: Any = None, **options: Any) -> Any:
    """The function itself: everything runs eagerly."""
    return func if func is not None else lambda f: f


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor of these values."""
    t = backend.as_tensor(value, dtype)
    return t if shape is None else t.reshape(tuple(shape))


convert_to_tensor = constant


def reduce(name: str) -> Any:
    """`keras.ops`'s function under TensorFlow's name."""
    def reduction(input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Any:
        return getattr(ops, name)(input_tensor, axis=axis, keepdims=keepdims)

    reduction.__doc__ = f"`keras.ops.{name}`."
    return reduction


globals().update({f"reduce_{name}": reduce(name) for name in ("mean", "sum", "max", "min", "prod", "all", "any")})
_OPS = [
    "abs", "add", "argmax", "argmin", "argsort", "cast", "clip", "convert_to_numpy", "cos", "cosh", "cumsum",
    "divide", "einsum", "equal", "exp", "expand_dims", "eye", "floor", "full", "greater", "greater_equal", "less",
    "less_equal", "linspace", "log", "logical_and", "logical_not", "logical_or", "matmul", "maximum", "minimum",
    "multiply", "negative", "not_equal", "one_hot", "ones", "ones_like", "pad", "repeat", "reshape", "round",
    "rsqrt", "sigmoid", "sign", "sin", "sinh", "sort", "split", "sqrt", "square", "squeeze", "stack",
    "stop_gradient", "subtract", "tan", "tanh", "tile", "top_k", "transpose", "unstack", "where", "zeros",
    "zeros_like",
]
_OTHER = {"concat": "concatenate", "clip_by_value": "clip", "gather": "take", "range": "arange", "pow": "power",
          "fill": "full", "cond": "cond", "norm": "norm", "reverse": "flip", "shape": "shape"}
globals().update({name: getattr(ops, name) for name in _OPS})
globals().update({name: getattr(ops, other) for name, other in _OTHER.items()})
newaxis = None


def gather(params: Any, indices: Any, axis: int = 0) -> Tensor:
    """The rows at these indices."""
    return ops.take(params, indices, axis)


def shape(input: Any) -> Tensor:
    """The sizes, as a tensor."""
    return ops.convert_to_tensor(ops.shape(input), "int32")


def one_hot(indices: Any, depth: int, on_value: Any = None, off_value: Any = None, axis: int = -1,
            dtype: Any = None) -> Tensor:
    """Indices as vectors with a 1."""
    return ops.one_hot(indices, depth, axis, dtype)


def is_tensor(x: Any) -> Any:
    """Whether x is a tensor."""
    return ops.is_tensor(x)


class math(types.SimpleNamespace):
    """`tf.math`."""


class nn(types.SimpleNamespace):
    """`tf.nn`."""

    relu, softmax, log_softmax, sigmoid, tanh, gelu, elu, selu, leaky_relu, relu6, silu, swish, softplus = (
        staticmethod(getattr(ops if name != "tanh" else activations, name)) for name in (
            "relu", "softmax", "log_softmax", "sigmoid", "tanh", "gelu", "elu", "selu", "leaky_relu", "relu6", "silu",
            "swish", "softplus"))

    @staticmethod
    def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1) -> Tensor:
        """A value for each row of logits, with one-hot labels."""
        return ops.categorical_crossentropy(labels, logits, from_logits=True, axis=axis)

    @staticmethod
    def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any) -> Tensor:
        """A value for each row of logits, with class indices."""
        return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)

    @staticmethod
    def sigmoid_cross_entropy_with_logits(labels: Any, logits: Any) -> Tensor:
        """A value for each logit."""
        return F.binary_cross_entropy_with_logits(backend.as_tensor(logits), backend.as_tensor(labels),
                                                  reduction="none")

    @staticmethod
    def dropout(x: Any, rate: float) -> Tensor:
        """Zeros with probability `rate`, the others larger."""
        return F.dropout(backend.as_tensor(x), rate)


for _name in [*_OPS, *_OTHER, *[name for name in list(globals()) if name.startswith("reduce_")]]:
    setattr(math, _name, staticmethod(globals()[_name]))


class data(types.SimpleNamespace):
    """`tf.data`."""

    Dataset, AUTOTUNE, experimental = Dataset, AUTOTUNE, types.SimpleNamespace(AUTOTUNE=AUTOTUNE)


class random(types.SimpleNamespace):
    """`tf.random`."""

    normal, uniform = staticmethod(_random.normal), staticmethod(_random.uniform)
    truncated_normal, shuffle = staticmethod(_random.truncated_normal), staticmethod(_random.shuffle)
    categorical = staticmethod(_random.categorical)

    @staticmethod
    def set_seed(seed: int) -> None:
        """Seed the numbers that are drawn from here on."""
        manual_seed(seed)


class config(types.SimpleNamespace):
    """`tf.config`: there are the processors that NumPy runs on."""

    @staticmethod
    def list_physical_devices(device_type: Any = None) -> list:
        """No GPU."""
        return []

    experimental = types.SimpleNamespace(list_physical_devices=list_physical_devices)


def __getattr__(name: str) -> Any:
    if name == "keras":
        from minitorch import keras

        return keras
    return _absent(name)


_absent = absent_from("tensorflow", lambda: globals())
