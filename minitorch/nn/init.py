"""Initialisers: they fill a tensor in place, from the same random numbers as PyTorch's, and return it.

Fan-in is the number of inputs that one output sums over, fan-out the number of outputs that one input reaches. Keeping
the variance of activations or of gradients the same from layer to layer gives the bounds of Glorot and Bengio 2010
("Xavier") and of He et al. 2015 ("Kaiming").
"""
from __future__ import annotations

import functools
import math
import warnings
from typing import Any

import numpy as np

from ..engine import no_grad
from ..errors import ShapeError, absent_from
from ..op import FUNCTIONS
from ..tensor import Tensor


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in [a, b)."""
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return tensor.normal_(mean, std, generator=generator)


@no_grad()
def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
                  generator: Any = None) -> Tensor:
    """Normal, cut to [a, b], by rejection: of normal numbers, or where few of those fit, of uniform ones."""
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn("mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
                      "The distribution of values may be incorrect.", stacklevel=3)
    if tensor.is_meta:
        return tensor
    below, above = ((1 + math.erf((bound - mean) / (std * math.sqrt(2)))) / 2 for bound in (a, b))
    if above - below > 0.3:
        tensor.normal_(mean, std, generator=generator)
        while (outside := (tensor < a) | (tensor > b)).any():
            tensor.copy_(FUNCTIONS["where"](outside, tensor.clone().normal_(mean, std, generator=generator), tensor))
        return tensor
    peak = ((max(a, min(mean, b)) - mean) / std) ** 2
    pending = FUNCTIONS["ones_like"](tensor).bool()
    while pending.any():
        candidates = FUNCTIONS["empty_like"](tensor).uniform_(a, b, generator=generator)
        tensor.copy_(FUNCTIONS["where"](pending, candidates, tensor))
        log_density = -0.5 * (((candidates - mean) / std).square() - peak)
        pending = pending & (FUNCTIONS["empty_like"](tensor).uniform_(generator=generator).log() > log_density)
    return tensor


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """`val` everywhere."""
    return tensor.fill_(val)


@no_grad()
def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return tensor.fill_(1)


@no_grad()
def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return tensor.fill_(0)


@no_grad()
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix. Raises ValueError unless there are two dimensions."""
    if tensor.ndim != 2:
        raise ValueError(f"eye_: Only tensors with 2 dimensions are supported, got shape {tuple(tensor.shape)}")
    return _fill(tensor, np.eye(*tensor.shape))


@no_grad()
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight (O, C, *kernel) that hands each channel on as it is, in each group."""
    if tensor.ndim not in (3, 4, 5):
        raise ValueError("dirac_: Only tensors with 3, 4, or 5 dimensions are supported, "
                         f"got shape {tuple(tensor.shape)}")
    if tensor.shape[0] % groups:
        raise ValueError(f"dirac_: dim 0 must be divisible by groups, got shape {tuple(tensor.shape)} and "
                         f"groups={groups}")
    outputs, channels, *kernel = tensor.shape
    per_group = outputs // groups
    values = np.zeros(tensor.shape)
    for group in range(groups):
        for i in range(min(per_group, channels)):
            centre = (group * per_group + i, i, *(n // 2 for n in kernel))
            values[centre] = 1
    return _fill(tensor, values)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform with the variance gain^2 2 / (fan_in + fan_out)."""
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with the variance gain^2 2 / (fan_in + fan_out)."""
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                     generator: Any = None) -> Tensor:
    """Uniform with the variance gain^2 / fan; `a` is the slope of leaky_relu.

    >>> from minitorch import empty
    >>> bool((kaiming_uniform_(empty(3, 600), nonlinearity="relu").abs() <= 0.1).all())
    True
    """
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
                    generator: Any = None) -> Tensor:
    """Normal with the variance gain^2 / fan; `a` is the slope of leaky_relu."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """Rows or columns, whichever are fewer, orthonormal times `gain`. Saxe, McClelland and Ganguli 2014."""
    if tensor.ndim < 2:
        raise ValueError("orthogonal_: Only tensors with 2 or more dimensions are supported, "
                         f"got shape {tuple(tensor.shape)}")
    if tensor.numel() == 0 or tensor.is_meta:
        return tensor
    rows = tensor.shape[0]
    random = FUNCTIONS["empty_like"](tensor).reshape(rows, -1).normal_(0, 1, generator=generator).cpu()._array
    wide = rows < random.shape[1]
    q, r = np.linalg.qr(random.T if wide else random)
    q = q * np.sign(np.diag(r))  # makes the decomposition unique, and so the distribution uniform
    return _fill(tensor, gain * (q.T if wide else q).reshape(tensor.shape))


@no_grad()
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """Normal, with the share `sparsity` of each column set to zero. Martens 2010."""
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: Only tensors with 2 dimensions are supported, got shape {tuple(tensor.shape)}")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    tensor.normal_(0, std, generator=generator)
    for column in range(columns):
        tensor[FUNCTIONS["randperm"](rows)[:zeros], column] = 0
    return tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a nonlinearity shrinks the standard deviation, inverted.

    >>> calculate_gain("relu") ** 2
    2.0000000000000004
    """
    if nonlinearity in ("linear", "sigmoid", *(f"conv{t}{nd}d" for t in ("", "_transpose") for nd in (1, 2, 3))):
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is not None and (isinstance(param, bool) or not isinstance(param, (int, float))):
            raise ValueError(f"calculate_gain: negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"calculate_gain: Unsupported nonlinearity {nonlinearity}")


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (outputs, inputs, *kernel). Raises ValueError below two dimensions."""
    shape = tensor._array.shape
    if len(shape) < 2:
        raise ShapeError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, "
                         f"got shape {shape}")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode.lower() == "fan_out"]


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    return calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))


def _fill(tensor: Tensor, values: np.ndarray) -> Tensor:
    return tensor.copy_(FUNCTIONS["from_numpy"](np.ascontiguousarray(values, tensor._array.dtype)))


def _old_name(function: Any) -> Any:
    """`function` under its name without the underscore, as PyTorch programs of 2017 have it."""
    new = function.__name__

    @functools.wraps(function)
    def old(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(f"`nn.init.{new[:-1]}` is now deprecated in favor of `nn.init.{new}`.", FutureWarning,
                      stacklevel=2)
        return function(*args, **kwargs)

    old.__name__ = old.__qualname__ = new[:-1]
    return old


uniform, normal, constant, eye, dirac, orthogonal, sparse = map(
    _old_name, (uniform_, normal_, constant_, eye_, dirac_, orthogonal_, sparse_))
xavier_uniform, xavier_normal, kaiming_uniform, kaiming_normal = map(
    _old_name, (xavier_uniform_, xavier_normal_, kaiming_uniform_, kaiming_normal_))

__getattr__ = absent_from(__name__, lambda: globals())
