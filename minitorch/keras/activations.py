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


def _of_core(name: str, core: Any) -> Any:
    def activation(x: Any) -> Tensor:
        return core(as_tensor(x))

    activation.__name__ = activation.__qualname__ = name
    activation.__doc__ = f"The core's `{core.__name__}`."
    return activation


_CORE = {name: _of_core(name, core) for name, core in {
    "sigmoid": FUNCTIONS["sigmoid"], "tanh": FUNCTIONS["tanh"], "exponential": FUNCTIONS["exp"],
    "hard_sigmoid": F.hardsigmoid, "selu": F.selu, "softplus": F.softplus, "softsign": F.softsign, "silu": F.silu,
    "mish": F.mish, "relu6": F.relu6}.items()}
_TABLE: dict[str, Any] = {**{f.__name__: f for f in (linear, relu, softmax, log_softmax, elu, leaky_relu, gelu)},
                          **_CORE, "swish": _CORE["silu"]}
globals().update(_TABLE)


def get(identifier: Any) -> Any:
    """The function of a name, or the function itself; None is `linear`. Raises ValueError for an unknown name."""
    return linear if identifier is None else lookup("activation function", from_data(identifier), _TABLE)


deserialize = get
__getattr__ = absent_from("keras.activations", lambda: _TABLE)
