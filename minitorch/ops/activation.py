"""Activation functions."""
from __future__ import annotations

from typing import Any

from minitorch_kernels.activation import SELU_ALPHA, SELU_SCALE

from .. import dtypes, shapes
from ..errors import DTypeError, ShapeError
from ..op import op
from .elementwise import conjugate, floating, refuse

# With a corner at zero

@op(inplace=True)
def relu(k, x, /):
    """max(x, 0). The gradient keeps y alone.

    >>> from minitorch import tensor
    >>> relu(tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if x.dtype.kind in "bc":
        raise DTypeError(f"relu: not supported for {dtypes.from_numpy(x.dtype)!r}")
    y = k.relu(x)
    return y, lambda dy: k.relu_dx(dy, y)


@op(inplace=True)
def relu6(k, x, /):
    """min(max(x, 0), 6)."""
    return _between("relu6", k, x, 0, 6)


@op(inplace=True)
def hardtanh(k, x, /, min_val=-1.0, max_val=1.0):
    """min(max(x, min_val), max_val). Raises ValueError where min_val > max_val."""
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val cannot be greater than max_val, got {min_val} and {max_val}")
    return _between("hardtanh", k, x, min_val, max_val)


def _between(name: str, k: Any, x: Any, low: float, high: float) -> tuple:
    refuse(name, x, "bc")
    if x.dtype.kind in "iuV":
        low, high = x.dtype.type(low), x.dtype.type(high)
    return k.hardtanh(x, low, high), lambda dy: k.hardtanh_dx(dy, x, low, high)


@op(inplace=True)
def leaky_relu(k, x, /, negative_slope=0.01):
    """max(x, 0) + negative_slope min(x, 0)."""
    refuse("leaky_relu", x, "biuc")
    return k.leaky_relu(x, negative_slope), lambda dy: k.leaky_relu_dx(dy, x, negative_slope)


@op
def prelu(k, x, weight, /):
    """max(x, 0) + weight min(x, 0); `weight` has one element, or one a channel (dimension 1)."""
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ShapeError(f"prelu: weight expects 1 or {channels} elements, one a channel, for x of shape {x.shape}, "
                         f"got shape {weight.shape}")
    if weight.dtype != x.dtype:
        raise DTypeError(f"prelu: Type promoting not supported. Got {x.dtype} and {weight.dtype}")
    shape = (-1,) + (1,) * (x.ndim - 2) if x.ndim > 1 else (1,) * x.ndim
    own = weight.shape

    def dweight(dy):
        spread = k.where(x > 0, 0, dy * x)
        return k.xp.reshape(k.unbroadcast(spread, _channel_shape(spread, own)), own)

    return (k.where(x > 0, x, k.xp.reshape(weight, shape) * x),
            lambda dy: k.where(x > 0, dy, dy * k.xp.reshape(weight, shape)), dweight)


def _channel_shape(x: Any, own: tuple[int, ...]) -> tuple[int, ...]:
    n = own[0] if own else 1
    return (1, n, *[1] * (x.ndim - 2)) if x.ndim > 1 else (1,) * x.ndim


@op(inplace=True)
def threshold(k, x, /, threshold, value):
    """x where x > threshold, else `value`."""
    return k.where(x <= threshold, x.dtype.type(value), x), lambda dy: k.where(x <= threshold, 0, dy)


@op
def hardshrink(k, x, /, lambd=0.5):
    """x where |x| > lambd, 0 elsewhere."""
    refuse("hardshrink", x, "biuc")
    return k.hardshrink(x, lambd), lambda dy: k.shrink_dx(dy, x, lambd)


@op
def softshrink(k, x, /, lambd=0.5):
    """sign(x) max(|x| - lambd, 0). Raises RuntimeError for a negative lambd."""
    refuse("softshrink", x, "biuc")
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambda must be greater or equal to 0, but found to be {lambd}.")
    return k.softshrink(x, lambd), lambda dy: k.shrink_dx(dy, x, lambd)


@op(inplace=True)
def hardsigmoid(k, x, /):
    """x / 6 + 1/2 within [0, 1]."""
    refuse("hardsigmoid", x, "biuc")
    return k.hardsigmoid(x), lambda dy: k.hardsigmoid_dx(dy, x)


@op(inplace=True)
def hardswish(k, x, /):
    """x hardsigmoid(x). Howard et al., Searching for MobileNetV3, arXiv 1905.02244."""
    refuse("hardswish", x, "biuc")
    return k.hardswish(x), lambda dy: k.hardswish_dx(dy, x)


# Smooth ones

@op(inplace=True)
def elu(k, x, /, alpha=1.0):
    """x where it is positive, else alpha (exp(x) - 1)."""
    refuse("elu", x, "biuc")
    return k.elu(x, alpha, 1.0, 1.0), lambda dy: k.elu_dx(dy, x, alpha, 1.0, 1.0)


@op(inplace=True)
def celu(k, x, /, alpha=1.0):
    """x where it is positive, else alpha (exp(x / alpha) - 1). Raises RuntimeError for alpha 0."""
    refuse("celu", x, "biuc")
    if alpha == 0:
        raise RuntimeError("celu: ZeroDivisionError: alpha cannot be 0")
    return k.elu(x, alpha, 1.0, 1 / alpha), lambda dy: k.elu_dx(dy, x, alpha, 1.0, 1 / alpha)


@op(inplace=True)
def selu(k, x, /):
    """scale elu(x), with constants that keep mean 0 and variance 1.

    Klambauer et al., Self-Normalizing Neural Networks, arXiv 1706.02515.
    """
    refuse("selu", x, "biuc")
    return k.elu(x, SELU_ALPHA, SELU_SCALE, 1.0), lambda dy: k.elu_dx(dy, x, SELU_ALPHA, SELU_SCALE, 1.0)


@op
def gelu(k, x, /, *, approximate="none"):
    """x Φ(x), with Φ(x) = (1 + erf(x / √2)) / 2; `approximate="tanh"` for the usual approximation.

    Hendrycks and Gimpel, Gaussian Error Linear Units, arXiv 1606.08415.
    """
    refuse("gelu", x, "biuc")
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu: approximate argument must be either none or tanh, got {approximate!r}")
    return k.gelu(x, approximate), lambda dy: k.gelu_dx(dy, x, approximate)


@op(inplace=True)
def silu(k, x, /):
    """x sigmoid(x), also called swish."""
    refuse("silu", x, "biu")
    return k.silu(x), lambda dy: k.silu_dx(dy, x)


@op(inplace=True)
def mish(k, x, /):
    """x tanh(softplus(x))."""
    refuse("mish", x, "biuc")
    return k.mish(x), lambda dy: k.mish_dx(dy, x)


@op
def softplus(k, x, /, beta=1.0, threshold=20.0):
    """log(1 + exp(beta x)) / beta; x itself where beta x is above `threshold`."""
    refuse("softplus", x, "biuc")
    return k.softplus(x, beta, threshold), lambda dy: k.softplus_dx(dy, x, beta, threshold)


@op
def logsigmoid(k, x, /):
    """log(1 / (1 + exp(-x)))."""
    refuse("logsigmoid", x, "biuc")
    return k.logsigmoid(x), lambda dy: k.logsigmoid_dx(dy, x)


@op
def softsign(k, x, /):
    """x / (1 + |x|)."""
    refuse("softsign", x, "b")
    x = floating(x)
    if x.dtype.kind == "c":  # d|x| = Re(conj(sgn x) dx)
        return x / (1 + k.abs(x)), lambda dy: (dy - k.sgn(x) * (conjugate(dy) * x).real /
                                               (1 + k.abs(x))) / (1 + k.abs(x))
    return x / (1 + k.abs(x)), lambda dy: dy / ((1 + k.abs(x)) * (1 + k.abs(x)))


@op
def tanhshrink(k, x, /):
    """x - tanh(x)."""
    refuse("tanhshrink", x, "b")
    x = floating(x)
    return x - k.tanh(x), lambda dy: dy * (k.tanh(x) * k.tanh(x))


@op
def glu(k, x, /, dim=-1):
    """a sigmoid(b), with a and b the halves of x along `dim`. Raises ShapeError for an odd size."""
    if x.ndim == 0:
        raise ShapeError("glu: does not support 0-dimensional tensors")
    axis = shapes.axis("glu", x, dim)
    if x.shape[axis] % 2:
        raise ShapeError(f"glu: Halving dimension must be even, but dimension {dim} is size {x.shape[axis]}")
    before, half = (slice(None),) * axis, x.shape[axis] // 2
    first, second = (*before, slice(None, half)), (*before, slice(half, None))

    def dx(dy):
        s = k.sigmoid(x[second])
        return k.xp.concatenate([dy * s, dy * x[first] * (s * (1 - s))], axis)

    return k.mul(x[first], k.sigmoid(x[second])), dx
