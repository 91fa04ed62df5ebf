"""Arithmetic of two and three tensors beyond + - * /: interpolation, products of products, logarithms of sums."""
from __future__ import annotations

import math
from typing import Any

from .. import dtypes, return_types
from ..dtypes import promote
from ..errors import DTypeError
from ..inplace import write
from ..op import composite, joint, op
from ..tensor import Tensor
from .elementwise import conjugate, floating, floats, pow, refuse, zeros_of


@op(inplace=True)
def addcmul(k, x, tensor1, tensor2, /, *, value=1):
    """x + value tensor1 tensor2."""
    x, tensor1, tensor2 = _alike(x, tensor1, tensor2)
    value = int(value) if x.dtype.kind in "iu" else value
    return (k.add(x, k.mul(tensor1 * value if value != 1 else tensor1, tensor2)), lambda dy: dy,
            lambda dy: dy * conjugate(tensor2 * value), lambda dy: dy * conjugate(tensor1 * value))


@op(inplace=True)
def addcdiv(k, x, tensor1, tensor2, /, *, value=1):
    """x + value tensor1 / tensor2. Raises RuntimeError for integers."""
    x, tensor1, tensor2 = _alike(x, tensor1, tensor2)
    if x.dtype.kind in "biu":
        raise RuntimeError("addcdiv: Integer division with addcdiv is no longer supported; convert to float first")
    return (k.add(x, k.div(tensor1 * value if value != 1 else tensor1, tensor2)), lambda dy: dy,
            lambda dy: dy * conjugate(value / tensor2),
            lambda dy: -dy * conjugate(tensor1 * value / (tensor2 * tensor2)))


@op(inplace=True)
def lerp(k, x, end, weight, /):
    """x + weight (end - x), exact at weight 1. Raises DTypeError where the types differ."""
    for name, v in (("end", end), ("weight", weight)):
        if hasattr(v, "dtype") and v.dtype != x.dtype:
            raise DTypeError(f"lerp: expected dtype {x.dtype} for `{name}` but got dtype {v.dtype}")
    refuse("lerp", x, "biu")
    if not hasattr(weight, "dtype"):
        y = x + weight * (end - x) if abs(weight) < 0.5 else end - (end - x) * (1 - weight)
    else:
        y = k.where(k.abs(weight) < 0.5, x + weight * (end - x), end - (end - x) * (1 - weight))
    return (y, lambda dy: dy * conjugate(1 - weight), lambda dy: dy * conjugate(weight),
            lambda dy: dy * conjugate(end - x))


@op(inplace=True)
def atan2(k, a, b, /):
    """The angle of the point (b, a) to the x axis, in (-pi, pi]."""
    a, b = floats(a, b)
    return k.arctan2(a, b), lambda dy: dy * (b / (a * a + b * b)), lambda dy: dy * (-a / (a * a + b * b))


@op(inplace=True)
def hypot(k, a, b, /):
    """sqrt(a² + b²)."""
    a, b = promote(a, b)
    refuse("hypot", a, "biuc")
    y = k.hypot(a, b)
    return y, lambda dy: dy * (a / y), lambda dy: dy * (b / y)


@op
def logaddexp(k, a, b, /):
    """log(exp(a) + exp(b)), where exp alone would overflow."""
    a, b = promote(a, b)
    refuse("logaddexp", a, "biu")
    if a.dtype.kind == "c":
        first = a.real >= b.real
        large, small = k.where(first, a, b), k.where(first, b, a)
        y = k.where(a.real == -math.inf, b, large + k.log1p(k.exp(small - large)))
    else:
        y = k.logaddexp(a, b)
    return y, lambda dy: dy * conjugate(k.exp(a - y)), lambda dy: dy * conjugate(k.exp(b - y))


@op
def logaddexp2(k, a, b, /):
    """log2(2^a + 2^b), where 2^a alone would overflow."""
    a, b = promote(a, b)
    refuse("logaddexp2", a, "biuc")
    y = k.xp.logaddexp2(a, b)
    return y, lambda dy: dy * k.exp2(a - y), lambda dy: dy * k.exp2(b - y)


@op(inplace=True)
def xlogy(k, a, b, /):
    """a log(b), which is 0 where a is 0 (unless b is nan)."""
    a, b = floats(a, b)
    y = k.where((a == 0) & (b == b), 0, a * _log(k, b))
    return y, lambda dy: dy * k.where((a == 0) & (b <= 0), 0, _log(k, b)), lambda dy: dy * (a / b)


def _log(k: Any, x: Any) -> Any:
    return k.log(x) if hasattr(x, "dtype") else math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


@op(inplace=True)
def logit(k, x, /, eps=None):
    """log(x / (1 - x)); with `eps`, x is first clamped into [eps, 1 - eps]."""
    x = floating(x)
    z = x if eps is None else k.minimum(k.maximum(x, eps), 1 - eps)
    return k.log(z / (1 - z)), lambda dy: dy / (x * (1 - x)) if eps is None else \
        k.where((x >= eps) & (x <= 1 - eps), dy / (x * (1 - x)), 0)


@op(inplace=True)
def copysign(k, a, b, /):
    """The magnitude of a with the sign of b."""
    a, b = floats(a, b)
    y = k.copysign(a, b)
    return y, lambda dy: dy * k.where(a == 0, 0, k.sign(a) * k.sign(y)), lambda dy: zeros_of(k, dy)


@op(inplace=True)
def nextafter(k, a, b, /):
    """The next number after a towards b."""
    a, b = promote(a, b)
    return k.nextafter(a, b), lambda dy: dy, lambda dy: zeros_of(k, dy)


@op(inplace=True)
def heaviside(k, x, values, /):
    """0 where x is negative, 1 where it is positive, `values` where it is 0."""
    if x.dtype != values.dtype:
        raise DTypeError("heaviside: is not yet implemented for tensors with different dtypes.")
    return k.where(x == 0, values, (x > 0).astype(x.dtype))


@op(inplace=True)
def ldexp(k, x, other, /):
    """x 2^other."""
    x, other = floats(x, other)
    return x * k.exp2(other), lambda dy: dy * k.exp2(other), lambda dy: dy * (x * k.exp2(other) * math.log(2))


@op(inplace=True)
def gcd(k, a, b, /):
    """The greatest common divisor of integers."""
    return k.xp.gcd(*_integers("gcd", a, b))


@op(inplace=True)
def lcm(k, a, b, /):
    """The least common multiple of integers."""
    return k.xp.lcm(*_integers("lcm", a, b))


@composite(inplace=True)
def float_power(input, exponent):
    """`pow` in float64 (complex128), whatever the types."""
    wide = [v.to(dtypes.complex128 if v.dtype.is_complex else dtypes.float64) if isinstance(v, Tensor) else
            v if isinstance(v, complex) else float(v) for v in (input, exponent)]
    return pow(*wide)


@op(inplace=True)
def deg2rad(k, x, /):
    """Degrees as radians: x pi / 180."""
    refuse("deg2rad", x, "c")
    return floating(x) * (math.pi / 180), lambda dy: dy * (math.pi / 180)


@op(inplace=True)
def rad2deg(k, x, /):
    """Radians as degrees: x 180 / pi."""
    refuse("rad2deg", x, "c")
    return floating(x) * (180 / math.pi), lambda dy: dy * (180 / math.pi)


@op(method=False, function=False)
def frexp_(k, x, /):
    refuse("frexp", x, "biuc")
    mantissa, exponent = k.xp.frexp(x)
    slope = k.xp.ldexp(k.xp.ones((), x.dtype), -exponent)
    return [mantissa, exponent.astype("int32")], joint(lambda dy, needs: [dy[0] * slope])


@composite
def frexp(input, *, out=None):
    """(mantissa, exponent): x = mantissa 2^exponent, with a mantissa in [0.5, 1) or 0.

    >>> from minitorch import tensor
    >>> frexp(tensor([3.0])).exponent
    tensor([2], dtype=torch.int32)
    """
    found = frexp_(input)
    if out is not None:
        found = [write(o, y, resize=True) for o, y in zip(out, found)]
    return return_types.frexp(*found)


def _alike(*arrays: Any) -> Any:
    """The arrays in their common type."""
    first = arrays[0].dtype
    if all(x.dtype is first for x in arrays):
        return arrays
    dtype = dtypes.to_numpy(dtypes.result_type(*arrays))
    return [x.astype(dtype, copy=False) for x in arrays]


def _integers(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    a, b = promote(a, b)
    refuse(name, a, "bfcV")
    return a, b
