"""The little of TensorFlow's own names that programs around `tf.keras` use."""
from __future__ import annotations

from typing import Any

from .. import autograd, dtypes
from ..errors import absent_from
from ..op import FUNCTIONS
from ..tensor import Tensor
from . import backend
from . import layers as _layers  # noqa: F401  so that tf.keras.layers is there
from .layers.base import Variable as Variable

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


def function(func: Any = None, **options: Any) -> Any:
    """The function itself: everything runs eagerly."""
    return func if func is not None else lambda f: f


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor of these values."""
    t = backend.as_tensor(value, dtype)
    return t if shape is None else t.reshape(tuple(shape))


convert_to_tensor = constant


def cast(x: Any, dtype: Any) -> Tensor:
    """x in another type."""
    return backend.as_tensor(x).to(backend.dtype_of(dtype))


def reduce_mean(x: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """The mean, of everything or along `axis`."""
    x = backend.as_tensor(x)
    return x.mean() if axis is None and not keepdims else x.mean(axis, keepdim=keepdims)


def reduce_sum(x: Any, axis: Any = None, keepdims: Any = False) -> Tensor:
    """The sum, of everything or along `axis`."""
    x = backend.as_tensor(x)
    return x.sum() if axis is None and not keepdims else x.sum(axis, keepdim=keepdims)


def argmax(x: Any, axis: Any = 0) -> Tensor:
    """Where the largest values are."""
    return backend.as_tensor(x).argmax(axis)


def square(x: Any) -> Tensor:
    """x²."""
    return backend.as_tensor(x).square()


def matmul(a: Any, b: Any) -> Tensor:
    """The matrix product."""
    return backend.as_tensor(a) @ backend.as_tensor(b)


def reshape(x: Any, shape: Any) -> Tensor:
    """x in another shape."""
    return backend.as_tensor(x).reshape(tuple(shape))


def expand_dims(x: Any, axis: int) -> Tensor:
    """x with a dimension of size 1 more."""
    return backend.as_tensor(x).unsqueeze(axis)


def concat(values: Any, axis: int) -> Tensor:
    """Tensors one behind the other."""
    return FUNCTIONS["cat"]([backend.as_tensor(v) for v in values], axis)


class random:
    """Random tensors."""

    @staticmethod
    def set_seed(seed: int) -> None:
        """Seed the numbers that are drawn from here on."""
        from ..ops.random import manual_seed

        manual_seed(seed)

    @staticmethod
    def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
        """Normal numbers."""
        from .initializers import RandomNormal

        return RandomNormal(mean, stddev, seed)(shape, dtype)

    @staticmethod
    def uniform(shape: Any, minval: float = 0, maxval: float = 1, dtype: Any = None, seed: Any = None) -> Tensor:
        """Uniform numbers."""
        from .initializers import RandomUniform

        return RandomUniform(minval, maxval, seed)(shape, dtype)


def __getattr__(name: str) -> Any:
    if name == "keras":
        from minitorch import keras

        return keras
    return _absent(name)


_absent = absent_from("tensorflow", lambda: globals())
