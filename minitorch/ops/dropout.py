"""Ops that draw random numbers in training: the dropouts and rrelu."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..device import device_of, kernels_of, move
from ..op import FUNCTIONS, composite, op
from ..tensor import Tensor
from .random import source_of


@op(method=False, function=False)
def scale_by_bits(k, x, bits, /, scale):
    """x scale where its bit is set, 0 elsewhere; eight elements a byte. The gradient keeps the bits."""
    def dx(dy):
        return scale_by_bits(dy, bits, scale) if isinstance(dy, Tensor) else k.dropout(dy, bits, scale)

    return k.dropout(x, bits, scale), dx


@op(method=False, function=False)
def drawn_dropout(k, x, /, source, p):
    """x / (1 - p), or 0 with probability p: drawn and multiplied by one kernel of the GPU, which keeps the choice."""
    number = np.float64 if x.dtype.char == "d" else np.float32
    keep = number(1 - p)
    scale = float(number(1 / float(keep)))
    y, bits = source.dropout(x, keep, scale)

    def dx(dy):
        return scale_by_bits(dy, Tensor._wrap(bits), scale) if isinstance(dy, Tensor) else k.dropout(dy, bits, scale)

    return y, dx


@op(method=False, function=False)
def masked_scale(k, x, mask, /, scale):
    """x scale where `mask`, which may be broadcast, is True, 0 elsewhere."""
    return k.masked_scale(x, mask, scale), lambda dy: k.masked_scale(dy, mask, scale)


@composite(inplace=True)
def dropout(input, p=0.5, train=True):
    """In training each element is 0 with probability p, and divided by 1 - p otherwise.

    y = x m / (1 - p), each m 0 with probability p, 1 otherwise

    Hinton et al., Improving neural networks by preventing co-adaptation of feature detectors, arXiv 1207.0580.
    Raises ValueError for p outside of [0, 1].
    """
    _check("dropout", p)
    array = input._array
    if not train or p == 0 or array.size == 0:
        return input
    if not array.flags.c_contiguous:  # PyTorch draws in the order of the memory
        order = sorted(range(array.ndim), key=lambda dim: -array.strides[dim])
        if order != list(range(array.ndim)):
            return dropout(input.permute(order), p).permute([order.index(dim) for dim in range(array.ndim)])
    if p < 1 and device_of(array).type == "cuda":
        return drawn_dropout(input, source_of(None, array), p)
    bits = np.zeros(-(-array.size // 8), np.uint8) if p == 1 else source_of(None).bernoulli_bits(1 - p, array.size)
    return scale_by_bits(input, Tensor._wrap(move(bits, device_of(array))), _scale(array, p))


@composite(inplace=True)
def feature_dropout(input, p=0.5, train=True):
    """`dropout` of whole channels, (N, C, ...): all elements of one are dropped or kept together."""
    _check("feature_dropout", p)
    shape = _channels("feature_dropout", input)
    if not train or p == 0 or input._array.size == 0:
        return input
    return masked_scale(input, _mask(input, p, shape), scale=_scale(input._array, p))


@composite(inplace=True)
def alpha_dropout(input, p=0.5, train=False):
    """Dropout to selu's value at -inf, scaled and shifted so that mean 0 and variance 1 stay.

    Klambauer et al., Self-Normalizing Neural Networks, arXiv 1706.02515.
    """
    return _alpha_dropped("alpha_dropout", input, p, train, input._array.shape)


@composite(inplace=True)
def feature_alpha_dropout(input, p=0.5, train=False):
    """`alpha_dropout` of whole channels, (N, C, ...)."""
    shape = _channels("feature_alpha_dropout", input) if train else ()
    return _alpha_dropped("feature_alpha_dropout", input, p, train, shape)


@composite
def rrelu(input, lower=0.125, upper=1 / 3, training=False, inplace=False, *, generator=None):
    """leaky_relu with a slope drawn between `lower` and `upper` for each element, or their mean outside of training.

    Xu et al., Empirical Evaluation of Rectified Activations in Convolutional Network, arXiv 1505.00853.
    """
    if lower > upper:
        raise RuntimeError("rrelu: Lower bound should be less than or equal to the upper bound, "
                           f"got {lower} and {upper}")
    if not training:
        slope = (lower + upper) / 2
        return input.leaky_relu_(slope) if inplace else FUNCTIONS["leaky_relu"](input, slope)
    array = input._array
    low, high = (float(array.dtype.type(bound)) for bound in (lower, upper))
    source, below = source_of(generator, array), array <= 0
    if isinstance(array, np.ndarray):  # only as many as there are places for
        slopes = np.ones(array.shape, array.dtype)
        slopes[below] = source.uniform(int(below.sum()), np.float64, low, high)
    else:
        slopes = kernels_of(array).where(below, source.uniform(array.shape, array.dtype, low, high), 1.0)
    slopes = Tensor._wrap(slopes)
    return input.mul_(slopes) if inplace else input * slopes


def _scale(array: Any, p: float) -> float:
    """1 / (1 - p), rounded where PyTorch rounds."""
    number = array.dtype.type
    return float(number(1) / number(1 - p)) if p < 1 else 0.0


def _alpha_dropped(name: str, x: Tensor, p: float, train: bool, shape: tuple[int, ...]) -> Tensor:
    _check(name, p)
    if not train or p == 0 or x._array.size == 0:
        return x
    if p == 1:
        return x * 0
    alpha = 1.7580993408473766  # selu's limit at -inf, negated
    a = 1 / math.sqrt((alpha * alpha * p + 1) * (1 - p))
    mask = _mask(x, p, shape)
    return masked_scale(x, mask, scale=a) + ((mask.to(x.dtype) - 1) * (alpha * a) + alpha * a * p)


def _mask(x: Tensor, p: float, shape: tuple[int, ...]) -> Tensor:
    """True with probability 1 - p."""
    if p == 1:
        return Tensor._wrap(np.zeros(shape, bool))
    return Tensor._wrap(source_of(None, x._array).bernoulli(1 - p, shape, np.dtype(bool)))


def _channels(name: str, x: Tensor) -> tuple[int, ...]:
    if x.ndim < 2:
        raise RuntimeError(f"{name}: Feature dropout requires at least 2 dimensions in the input, got {x.ndim}")
    return (*x._array.shape[:2], *(1,) * (x.ndim - 2))


def _check(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: dropout probability has to be between 0 and 1, but got {p}")
