"""Keras's activation functions, by name."""
from __future__ import annotations

from typing import Any

from ..errors import absent_from
from ..nn import functional as F
from ..op import FUNCTIONS
from ..tensor import Tensor
from .backend import as_tensor, lookup
from .serialization import deserialize as from_data
from .serialization import serialize as serialize


def linear(x: Any) -> Tensor:
    """x itself."""
    return as_tensor(x)


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """max(x, 0); below `threshold` negative_slope (x - threshold), at most `max_value`.

    >>> relu([-1.0, 0.5, 9.0], negative_slope=0.1, max_value=6.0)
    tensor([-0.1000,  0.5000,  6.0000])
    """
    x = as_tensor(x)
    if negative_slope or threshold:
        x = FUNCTIONS["where"](x >= threshold if threshold else x > 0, x, negative_slope * (x - threshold))
    else:
        x = F.relu(x)
    return x if max_value is None else x.clamp(max=max_value)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """exp(x) over its sum along `axis`."""
    return F.softmax(as_tensor(x), dim=axis)


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """The logarithm of softmax."""
    return F.log_softmax(as_tensor(x), dim=axis)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x, below 0 alpha (exp(x) - 1)."""
    return F.elu(as_tensor(x), alpha)


def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """x, below 0 negative_slope x."""
    return F.leaky_relu(as_tensor(x), negative_slope)


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """x Φ(x), or its approximation by tanh."""
    return F.gelu(as_tensor(x), approximate="tanh" if approximate else "none")


def hard_sigmoid(x: Any) -> Tensor:
    """clip(x / 6 + 1/2, 0, 1)."""
    return F.hardsigmoid(as_tensor(x))


def exponential(x: Any) -> Tensor:
    """exp(x)."""
    return as_tensor(x).exp()


def sigmoid(x: Any) -> Tensor:
    """1 / (1 + exp(-x))."""
    return as_tensor(x).sigmoid()


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent."""
    return as_tensor(x).tanh()


def selu(x: Any) -> Tensor:
    """The scaled exponential linear unit (Klambauer et al. 2017)."""
    return F.selu(as_tensor(x))


def softplus(x: Any) -> Tensor:
    """log(1 + exp(x))."""
    return F.softplus(as_tensor(x))


def softsign(x: Any) -> Tensor:
    """x / (1 + |x|)."""
    return F.softsign(as_tensor(x))


def silu(x: Any) -> Tensor:
    """x sigmoid(x)."""
    return F.silu(as_tensor(x))


def mish(x: Any) -> Tensor:
    """x tanh(softplus(x))."""
    return F.mish(as_tensor(x))


def relu6(x: Any) -> Tensor:
    """relu, at most 6."""
    return F.relu6(as_tensor(x))


swish = silu
_TABLE = {f.__name__: f for f in (linear, relu, softmax, log_softmax, elu, leaky_relu, gelu, hard_sigmoid, exponential,
                                  sigmoid, tanh, selu, softplus, softsign, silu, mish, relu6)}
_TABLE["swish"] = silu


def get(identifier: Any) -> Any:
    """The function of a name, or the function itself; None is `linear`. Raises ValueError for an unknown name."""
    return linear if identifier is None else lookup("activation function", from_data(identifier), _TABLE)


deserialize = get
__getattr__ = absent_from("keras.activations", lambda: _TABLE)
