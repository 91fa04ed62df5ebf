"""The little of TensorFlow's own names that programs around `tf.keras` use."""
from __future__ import annotations

import types
from typing import Any

from .. import autograd, convert, dtypes
from ..errors import absent_from
from ..ops.random import manual_seed
from ..tensor import Tensor
from . import activations, backend, ops
from . import layers as _layers  # noqa: F401  so that tf.keras.layers is there
from . import random as _random
from .layers.base import Variable as Variable

__version__ = "2.20.0+minitorch"
float16, float32, float64 = dtypes.float16, dtypes.float32, dtypes.float64
int32, int64, uint8, bool = dtypes.int32, dtypes.int64, dtypes.uint8, dtypes.bool
newaxis = None


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


def _reduction(name: str) -> Any:
    def reduction(input_tensor: Any, axis: Any = None, keepdims: Any = False) -> Any:
        return getattr(ops, name)(input_tensor, axis=axis, keepdims=keepdims)

    reduction.__doc__ = f"`keras.ops.{name}`."
    return reduction


convert_to_tensor, is_tensor = constant, ops.is_tensor
_RENAMED = {"concat": "concatenate", "clip_by_value": "clip", "range": "arange", "pow": "power", "fill": "full",
            "reverse": "flip"}
_REDUCED = ("mean", "sum", "max", "min", "prod", "all", "any")
_MATH = {name: getattr(ops, _RENAMED.get(name, name)) for name in [*ops.__all__, *_RENAMED] if name not in _REDUCED}
_MATH.update({f"reduce_{name}": _reduction(name) for name in _REDUCED})
globals().update(_MATH)
math = types.SimpleNamespace(**_MATH)
nn = types.SimpleNamespace(**{name: getattr(ops, name, None) or getattr(activations, name) for name in (
    "relu", "softmax", "log_softmax", "sigmoid", "tanh", "gelu", "elu", "selu", "leaky_relu", "relu6", "silu", "swish",
    "softplus")}, dropout=_random.dropout)
random = types.SimpleNamespace(set_seed=manual_seed, **{name: getattr(_random, name) for name in (
    "normal", "uniform", "truncated_normal", "shuffle", "categorical")})
config = types.SimpleNamespace(list_physical_devices=lambda device_type=None: [])  # no GPU that TensorFlow knows


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


def __getattr__(name: str) -> Any:
    if name == "keras":
        from minitorch import keras

        return keras
    return _absent(name)


_absent = absent_from("tensorflow", lambda: globals(), {
    "data": "the arrays, generators and torch.utils.data.DataLoaders that Model.fit takes"})
