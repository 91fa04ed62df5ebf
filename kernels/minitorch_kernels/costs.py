"""What a call of a kernel must do at least: its arithmetic, and the bytes that it moves; for a roofline.

Counted is what the result needs, not what a version does: a convolution costs its multiplications even where Winograd's
algorithm saves some, and each argument is read once and each result written once however often a kernel goes over it.
A fused multiply-add is two operations; exp, tanh, log, erf and their like are CURVED each: a polynomial, and what
prepares its argument.
"""
from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

CURVED = 20


class Cost(NamedTuple):
    """Of one call."""

    flops: float
    moved: float  # bytes
    pattern: str  # of access, as in limits.py: "write", "update" or "read"
    dtype: str  # in which it computes


def cost(name: str, arguments: tuple, result: Any) -> Cost:
    """What kernel `name` must do at least for `arguments`, given its `result` (None: it changes its arguments).

    >>> cost("matmul", (np.ones((2, 3)), np.ones((3, 4))), np.ones((2, 4)))
    Cost(flops=48, moved=208, pattern='write', dtype='float64')
    """
    taken, made = arrays(arguments), arrays(result)
    floats = [a for a in (*made, *taken) if a.dtype.kind in "fc"]
    dtype = "float64" if floats and str(floats[0].dtype) in ("float64", "complex128") else "float32"
    largest = max([a.size for a in (*taken, *made)], default=0)
    family = _OPERATIONS.get(name)
    flops = family(arguments, made) if callable(family) else (1 if family is None else family) * largest
    read, written = (sum([a.nbytes for a in found]) for found in (taken, made))
    if name.endswith(("_step", "_steps")):
        return Cost(flops, read + _changed(arguments), "update", dtype)
    if name in ("conv2d_dw", "conv3d_dw", "conv2d_dx", "conv3d_dx"):
        written = made[0].nbytes
    if name in _PICKED:
        x, index = arguments[:2]
        read = min(x.nbytes, x.itemsize * _PICKED[name](index, made)) + index.nbytes
    return Cost(flops, read + written, "read" if written < read / 10 else "write", dtype)


def arrays(value: Any) -> list[np.ndarray]:
    """All arrays within a value of tuples and lists."""
    if isinstance(value, (tuple, list)):
        return [a for item in value for a in arrays(item)]
    return [value] if hasattr(value, "nbytes") and hasattr(value, "dtype") else []


def _changed(arguments: tuple) -> int:
    """The bytes of a parameter, or of many, and of its moments, which a step writes back; not of the gradient."""
    return sum([a.nbytes for item in arguments for a in arrays(item)]) - sum([a.nbytes for a in arrays(arguments[1])])


def _product(arguments: tuple, made: list) -> float:
    return 2 * made[0].size * arguments[0].shape[-1]


def _convolution(arguments: tuple, made: list) -> float:
    return 2 * made[0].size * prod(arguments[1].shape[1:])


def _convolution_dx(arguments: tuple, made: list) -> float:
    return 2 * arguments[0].size * prod(arguments[1].shape[1:])


def _convolution_dw(arguments: tuple, made: list) -> float:
    return 2 * arguments[0].size * prod(arguments[2][1:])


def _additions(arguments: tuple, made: list) -> float:
    """One for each number that is added into the result, however large that is."""
    return arguments[0].size


def _attention(products: float, first: int = 0) -> Callable:
    """So many products of all queries with all keys, half of each where it is causal."""
    def flops(arguments: tuple, made: list) -> float:
        q, k, v, _, causal = arguments[first:first + 5]
        pairs = prod(q.shape[:-1]) * k.shape[-2]
        return products * pairs * (q.shape[-1] + v.shape[-1]) / (2 if causal else 1)

    return flops


def _recurrent(first: int, times: int) -> Callable:
    """One product for all inputs and one for each step's state."""
    def flops(arguments: tuple, made: list) -> float:
        x, weights = arguments[first], arrays(arguments[first + 3])
        return times * 2 * prod(x.shape[:-1]) * sum([w.size for w in weights])

    return flops


_CURVES = """
    arccos arccosh arcsin arcsinh arctan arctan2 arctanh cos cosh erf erfc exp exp2 expm1 log log10 log1p log2 logaddexp
    pow sin sinh tan tanh lgamma digamma erfinv
""".split()  # noqa: SIM905
# operations for each number of the largest array, or a function of the arguments and the results
_OPERATIONS: dict[str, float | Callable[[tuple, list], float]] = {
    **dict.fromkeys(("matmul", "linear", "linear_relu"), _product),
    **dict.fromkeys(("conv2d", "conv2d_relu", "conv3d"), _convolution),
    **dict.fromkeys(("conv2d_dx", "conv3d_dx"), _convolution_dx),
    **dict.fromkeys(("conv2d_dw", "conv3d_dw"), _convolution_dw),
    "attention": _attention(2), "attention_backward": _attention(5, first=1),
    "recurrent": _recurrent(0, 1), "recurrent_backward": _recurrent(3, 2),
    **dict.fromkeys(_CURVES, CURVED),
    "sigmoid": CURVED + 2, "silu": CURVED + 2, "silu_dx": CURVED + 6, "gelu": CURVED + 3, "gelu_dx": 2 * CURVED + 6,
    "elu": CURVED + 2, "mish": 2 * CURVED, "softplus": 2 * CURVED, "logsigmoid": 2 * CURVED, "sigmoid_dx": 3,
    "tanh_dx": 3, "softmax": CURVED + 4, "log_softmax": CURVED + 4, "logsumexp": CURVED + 3, "softmax_dx": 4,
    "log_softmax_dx": CURVED + 3, "cross_entropy": CURVED + 3, "cross_entropy_dx": CURVED + 5,
    "layer_norm": 8, "layer_norm_backward": 14, "rms_norm": 5, "rms_norm_backward": 11, "batch_norm": 7,
    "batch_norm_backward": 11, "batch_norm_apply": 2, "batch_norm_apply_backward": 6, "group_norm": 8,
    "group_norm_backward": 14, "dropout": 2, "sgd_step": 4, "sgd_steps": 4, "adam_step": 14, "adam_steps": 14,
    "adagrad_step": 6, "adagrad_steps": 6, "rmsprop_step": 7, "rmsprop_steps": 7, "adamax_step": 9,
    "adadelta_step": 14,
    **dict.fromkeys(("add_rows", "embedding_dw", "gather_dx", "index_dx", "pick_axis_dx", "max_pool_dx"), _additions),
    **dict.fromkeys(("gather", "pick_axis", "where", "nll_loss", "copy"), 0),
}
# the numbers that kernels read of their first argument, of which they pick some by the second
_PICKED: dict[str, Callable[[np.ndarray, list], int]] = {
    "gather": lambda index, made: made[0].size, "pick_axis": lambda index, made: made[0].size,
    "nll_loss": lambda index, made: index.size,
}
