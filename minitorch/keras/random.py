"""`keras.random`: random tensors, from minitorch's generator or from a seed of their own."""
from __future__ import annotations

from typing import Any

from ..errors import absent_from
from ..nn import functional as F
from ..op import FUNCTIONS
from ..ops.random import Generator
from ..tensor import Tensor
from .backend import as_tensor, dtype_of
from .initializers import RandomNormal, RandomUniform, TruncatedNormal


class SeedGenerator:
    """Seeds one after the other, for functions and layers that ask for one each time; without `seed` the program's."""

    def __init__(self, seed: int | None = None, name: str | None = None, **keywords: Any):
        self.initial_seed, self.generator = seed, None if seed is None else Generator().manual_seed(seed)

    def next(self) -> int:
        """A seed."""
        return int(FUNCTIONS["randint"](2 ** 31 - 1, (), generator=self.generator))


def _seed(seed: Any) -> int | None:
    return seed.next() if isinstance(seed, SeedGenerator) else seed


def _generator(seed: Any) -> Any:
    value = _seed(seed)
    return None if value is None else Generator().manual_seed(value)


def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Normal numbers."""
    return RandomNormal(mean, stddev, _seed(seed))(shape, dtype)


def truncated_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Normal numbers within two standard deviations."""
    return TruncatedNormal(mean, stddev, _seed(seed))(shape, dtype)


def uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Uniform numbers."""
    return RandomUniform(minval, maxval, _seed(seed))(shape, dtype)


def randint(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Integers from minval to before maxval."""
    return FUNCTIONS["randint"](minval, maxval, tuple(shape), generator=_generator(seed)).to(dtype_of(dtype))


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Indices (N, num_samples) drawn with the probabilities softmax(logits)."""
    return FUNCTIONS["multinomial"](F.softmax(as_tensor(logits), dim=-1), num_samples, True,
                                    generator=_generator(seed)).to(dtype_of(dtype))


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """x in another order along `axis`."""
    x = as_tensor(x)
    return x.index_select(axis, FUNCTIONS["randperm"](x.shape[axis], generator=_generator(seed)))


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Tensor:
    """Each value 0 with probability `rate`, the others by 1 / (1 - rate) larger."""
    from .layers.core import kept

    x = as_tensor(inputs)
    return x * kept(noise_shape or x.shape, rate, x, _generator(seed))


__getattr__ = absent_from("keras.random", lambda: globals())
