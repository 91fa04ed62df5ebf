"""Arithmetic and the elementwise functions of mathematics; those with a derivative of one line stand in tables."""
from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..dtypes import COMPLEX, promote
from ..errors import DTypeError
from ..op import op
from ..quiet import listen

listen()


# Arithmetic

@op(inplace=True)
def add(k, a, b, /, *, alpha=1):
    """a + alpha b.

    >>> from minitorch import tensor
    >>> add(tensor([1.0, 2.0]), tensor([10.0, 20.0]), alpha=2)
    tensor([21., 42.])
    """
    if alpha != 1:
        b = _scaled("add", a, b, alpha)
    a, b = promote(a, b)
    return k.add(a, b), lambda dy: dy, lambda dy: dy if alpha == 1 else dy * alpha


@op(inplace=True)
def sub(k, a, b, /, *, alpha=1):
    """a - alpha b. Raises DTypeError for bool."""
    if alpha != 1:
        b = _scaled("sub", a, b, alpha)
    return k.sub(*_no_bools("sub", a, b)), lambda dy: dy, lambda dy: -dy if alpha == 1 else dy * -alpha


@op
def rsub(k, a, b, /, *, alpha=1):
    """b - alpha a: what `1 - x` is."""
    if alpha != 1:
        a = _scaled("rsub", b, a, alpha)
    a, b = _no_bools("rsub", a, b)
    return k.sub(b, a), lambda dy: -dy if alpha == 1 else dy * -alpha, lambda dy: dy


@op(inplace=True)
def mul(k, a, b, /):
    """a · b."""
    a, b = promote(a, b)
    y = k.mul(a, b)
    if y.dtype.kind == "c":
        return y, lambda dy: k.mul(dy, conjugate(b)), lambda dy: k.mul(dy, conjugate(a))
    return y, lambda dy: k.mul(dy, b), lambda dy: k.mul(dy, a)


@op(inplace=True)
def div(k, a, b, /, *, rounding_mode=None):
    """a / b, rounded to an integer where `rounding_mode` is "trunc" or "floor". Integers divide into floats.

    >>> from minitorch import tensor
    >>> div(tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """
    if rounding_mode is None:
        a, b = floats(a, b)
        y = k.div(a, b)
    elif rounding_mode in ("trunc", "floor"):
        a, b = _divisible("div", a, b)
        y = (k.floor_div if rounding_mode == "floor" else k.trunc_div)(a, b)
    else:
        raise RuntimeError(f"div: rounding_mode expects None, 'trunc' or 'floor', got {rounding_mode!r}")
    return (y, lambda dy: k.div(dy, conjugate(b)) if rounding_mode is None else zeros_of(k, dy),
            lambda dy: k.mul(-dy, conjugate(a / b / b)) if rounding_mode is None else zeros_of(k, dy))


@op(inplace=True)
def floor_divide(k, a, b, /):
    """a / b rounded down. Raises RuntimeError where integers are divided by zero."""
    return k.floor_div(*_divisible("floor_divide", a, b))


@op(inplace=True)
def remainder(k, a, b, /):
    """a - b floor(a / b), which has the sign of b, as Python's %."""
    a, b = _divisible("remainder", a, b)
    return k.remainder(a, b), lambda dy: dy, lambda dy: -dy * k.floor(a / b)


@op(inplace=True)
def fmod(k, a, b, /):
    """a - b trunc(a / b), which has the sign of a, as C's fmod."""
    a, b = _divisible("fmod", a, b)
    return k.fmod(a, b), lambda dy: dy, lambda dy: -dy * k.trunc(a / b)


@op(inplace=True)
def pow(k, x, exponent, /):
    """x^exponent; either may be a number. Integers take no negative number as exponent."""
    n = exponent
    if type(n) is int and n < 0 and x.dtype.kind in "biu":
        raise RuntimeError(f"pow: Integers to negative integer powers are not allowed, got exponent {n}")
    x, exponent = promote(x, exponent)
    if _kind(x, exponent) in "biu":
        refuse("pow", x if hasattr(x, "dtype") else exponent, "b")
        y = k.int_pow(x, exponent)
    else:
        y = power(k, x, n) if type(n) in _NUMBERS else k.pow(x, exponent)
    return y, lambda dy: _power_dx(k, dy, x, exponent), lambda dy: _power_dn(k, dy, x, exponent, y)


def power(k: Any, x: Any, n: float) -> Any:
    """x ** n for a number n, by products and roots where those do: the general function is slow."""
    return _POWERS[n](k, x) if n in _POWERS else k.pow(x, n)


_NUMBERS = (int, float)
_POWERS: dict[float, Callable] = {
    -2: lambda k, x: k.reciprocal(x * x), -1: lambda k, x: k.reciprocal(x), -0.5: lambda k, x: k.rsqrt(x),
    0.5: lambda k, x: k.sqrt(x), 1: lambda k, x: x * 1, 2: lambda k, x: k.mul(x, x), 3: lambda k, x: k.mul(x * x, x)}


def _power_dx(k: Any, dy: Any, x: Any, n: Any) -> Any:
    if type(n) in _NUMBERS:
        return zeros_of(k, dy) if n == 0 else dy if n == 1 else k.mul(dy, conjugate(n * power(k, x, n - 1)))
    return k.mul(dy, conjugate(k.where(n == 0, 0.0, n * k.pow(x, n - 1))))


def _power_dn(k: Any, dy: Any, x: Any, n: Any, y: Any) -> Any:
    """dy y log(x), but 0 where x is 0 and the power too."""
    if not hasattr(x, "dtype"):
        return k.mul(dy, y * math.log(x)) if x > 0 else k.mul(dy, k.where(n >= 0, 0.0, y * -math.inf))
    zero = (x == 0) & ((n.real if is_complex(n) else n) >= 0)
    return k.mul(dy, conjugate(k.where(zero, 0.0, y * k.log(k.where(zero, 1.0, x)))))


@op(inplace=True)
def neg(k, x, /):
    """-x. Raises DTypeError for bool."""
    if x.dtype.kind == "b":
        raise DTypeError("neg: Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
                         "invert a mask, use the `~` or `logical_not()` operator instead.")
    return k.neg(x), lambda dy: -dy


@op(inplace=True)
def abs(k, x, /):
    """|x|; the gradient at 0 is 0."""
    refuse("abs", x, "b")
    return k.abs(x), lambda dy: k.mul(dy, k.sgn(x))


@op(inplace=True)
def sign(k, x, /):
    """-1, 0 or 1."""
    refuse("sign", x, "c")
    return x.copy() if x.dtype.kind == "b" else k.sgn(x), lambda dy: zeros_of(k, dy)


@op(inplace=True)
def sgn(k, x, /):
    """x / |x|, and 0 for 0: the sign of complex numbers too."""
    y = x.copy() if x.dtype.kind == "b" else k.sgn(x)
    return y, lambda dy: (dy - (dy * conjugate(y)).real * y) / k.abs(x) if is_complex(x) else zeros_of(k, dy)


@op(inplace=True)
def square(k, x, /):
    """x²."""
    if x.dtype.kind == "b":
        x = x.astype("int64")
    return k.mul(x, x), lambda dy: k.mul(dy, 2 * conjugate(x))


@op(inplace=True)
def exp(k, x, /):
    """exp(x), e to the power of x."""
    y = k.exp(floating(x))
    return y, lambda dy: k.mul(dy, conjugate(y))


@op(inplace=True)
def log(k, x, /):
    """log(x), the natural logarithm."""
    x = floating(x)
    return k.log(x), lambda dy: k.div(dy, conjugate(x))


@op(inplace=True)
def sqrt(k, x, /):
    """√x, the square root."""
    y = k.sqrt(floating(x))
    return y, lambda dy: k.div(dy, 2 * conjugate(y))


@op(inplace=True)
def tanh(k, x, /):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)), the hyperbolic tangent. The gradient keeps y alone."""
    y = k.tanh(floating(x))
    return y, lambda dy: k.tanh_dx(dy, y)


@op(inplace=True)
def sigmoid(k, x, /):
    """1 / (1 + exp(-x)). The gradient keeps y alone."""
    y = k.sigmoid(floating(x))
    return y, lambda dy: k.sigmoid_dx(dy, y)


# Functions of one argument: op, its kernel, the derivative from x

LN2, LN10 = math.log(2), math.log(10)

FROM_X: dict[str, tuple[str, Callable]] = {
    "log2": ("log2", lambda k, x: 1 / (x * LN2)),
    "log10": ("log10", lambda k, x: 1 / (x * LN10)),
    "log1p": ("log1p", lambda k, x: 1 / (x + 1)),
    "sin": ("sin", lambda k, x: k.cos(x)),
    "cos": ("cos", lambda k, x: -k.sin(x)),
    "sinh": ("sinh", lambda k, x: k.cosh(x)),
    "cosh": ("cosh", lambda k, x: k.sinh(x)),
    "asin": ("arcsin", lambda k, x: k.rsqrt(1 - x * x)),
    "acos": ("arccos", lambda k, x: -k.rsqrt(1 - x * x)),
    "atan": ("arctan", lambda k, x: 1 / (1 + x * x)),
    "asinh": ("arcsinh", lambda k, x: k.rsqrt(x * x + 1)),
    "acosh": ("arccosh", lambda k, x: k.rsqrt(x * x - 1)),
    "atanh": ("arctanh", lambda k, x: 1 / (1 - x * x)),
    "erf": ("erf", lambda k, x: 2 / math.sqrt(math.pi) * k.exp(-x * x)),
    "erfc": ("erfc", lambda k, x: -2 / math.sqrt(math.pi) * k.exp(-x * x)),
    "lgamma": ("lgamma", lambda k, x: k.digamma(x)),
    "digamma": ("digamma", lambda k, x: k.polygamma(x, 1)),
    "sinc": ("sinc", lambda k, x: k.sinc_slope(x)),
}

# ... and from y

FROM_Y: dict[str, tuple[str, Callable]] = {
    "exp2": ("exp2", lambda k, y: y * LN2),
    "expm1": ("expm1", lambda k, y: y + 1),
    "rsqrt": ("rsqrt", lambda k, y: -0.5 * y * y * y),
    "reciprocal": ("reciprocal", lambda k, y: -y * y),
    "tan": ("tan", lambda k, y: 1 + y * y),
    "erfinv": ("erfinv", lambda k, y: math.sqrt(math.pi) / 2 * k.exp(y * y)),
}


def _from_x(name: str, kernel: str, derivative: Callable) -> Callable:
    def body(k, x, /):
        x = floating(x)
        return getattr(k, kernel)(x), lambda dy: k.mul(dy, conjugate(derivative(k, x)))

    return _named(name, body)


def _from_y(name: str, kernel: str, derivative: Callable) -> Callable:
    def body(k, x, /):
        y = getattr(k, kernel)(floating(x))
        return y, lambda dy: k.mul(dy, conjugate(derivative(k, y)))

    return _named(name, body)


def _step(name: str) -> Callable:
    """Rounding, whose gradient is zero; integers stay as they are."""
    def body(k, x, /):
        refuse(name, x, "bc")
        return x.copy() if x.dtype.kind in "iu" else getattr(k, name)(x), lambda dy: zeros_of(k, dy)

    return _named(name, body)


def _named(name: str, body: Callable) -> Callable:
    body.__name__ = body.__qualname__ = name
    body.__doc__ = f"{name}(x), elementwise."
    return op(body, inplace=True)


for _name, (_kernel, _derivative) in FROM_X.items():
    globals()[_name] = _from_x(_name, _kernel, _derivative)
for _name, (_kernel, _derivative) in FROM_Y.items():
    globals()[_name] = _from_y(_name, _kernel, _derivative)
for _name in ("floor", "ceil", "trunc"):
    globals()[_name] = _step(_name)


@op(inplace=True)
def round(k, x, /, *, decimals=0):
    """x to the nearest integer, or to `decimals` places; halves go to the even neighbour."""
    refuse("round", x, "bc")
    if x.dtype.kind in "iu":
        y = x.copy()
    else:
        scale = 10.0 ** builtins.abs(decimals)
        y = k.rint(x) if decimals == 0 else k.rint(x * scale) / scale if decimals > 0 else k.rint(x / scale) * scale
    return y, lambda dy: zeros_of(k, dy)


@op(inplace=True)
def frac(k, x, /):
    """x - trunc(x)."""
    refuse("frac", x, "biuc")
    return x - k.trunc(x), lambda dy: dy


# What the elementwise families share

def default() -> Any:
    """NumPy's dtype for what integers become in a function of real numbers."""
    return dtypes.to_numpy(dtypes.get_default_dtype())


def floating(x: Any) -> Any:
    """`x`, or integers and bools as the default floating type."""
    return x if x.dtype.kind in "fcV" else x.astype(default())


def floats(a: Any, b: Any) -> tuple[Any, Any]:
    """`a` and `b` promoted to one type, and that a floating one."""
    a, b = promote(a, b)
    if _kind(a, b) in "biu":
        a, b = (x.astype(default()) if hasattr(x, "astype") else float(x) for x in (a, b))
    return a, b


def conjugate(x: Any) -> Any:
    """The complex conjugate of an array or a tensor; real ones as they are."""
    return x.conj() if is_complex(x) else x.conjugate() if type(x) is complex else x


def zeros_of(k: Any, dy: Any) -> Any:
    """The gradient of a step function."""
    return k.xp.zeros(dy.shape, dy.dtype)


def refuse(name: str, x: Any, kinds: str) -> None:
    """Raise NotImplementedError where `x` is of one of these kinds (NumPy's letters)."""
    if x.dtype.kind in kinds:
        raise NotImplementedError(f'"{name}" not implemented for {dtypes.from_numpy(x.dtype)!r}')


def is_complex(x: Any) -> bool:
    """Whether an array or a tensor is complex; numbers count as real."""
    return hasattr(x, "dtype") and x.dtype.kind in ("c", COMPLEX)


def _kind(a: Any, b: Any) -> str:
    """NumPy's letter for the type of two promoted operands, of which one may be a number."""
    return (a if hasattr(a, "dtype") else b).dtype.kind


def _no_bools(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """The operands of a subtraction, promoted. Raises DTypeError where one is bool."""
    left, right = promote(a, b)
    if _kind(left, right) in "biu" and "b" in [x.dtype.kind for x in (a, b) if hasattr(x, "dtype")]:
        raise DTypeError(f"{name}: Subtraction, the `-` operator, with a bool tensor is not supported. Use the `^` or "
                         "`logical_xor()` operator instead, or `~` or `logical_not()` to invert a mask.")
    return left, right


def _divisible(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """The operands of a rounded division, promoted. Raises where integers are divided by zero."""
    a, b = promote(a, b)
    kind = _kind(a, b)
    if kind in "bc":
        raise NotImplementedError(f'"{name}" not implemented for {"Bool" if kind == "b" else "complex numbers"}')
    if kind in "iu" and ((b == 0).any() if hasattr(b, "dtype") else b == 0):
        raise RuntimeError(f"{name}: ZeroDivisionError: integers divided by zero")
    return a, b


def _scaled(name: str, a: Any, b: Any, alpha: Any) -> Any:
    """alpha b, for the sum with a."""
    if isinstance(alpha, float | complex) and all(x.dtype.kind in "biu" if hasattr(x, "dtype") else
                                                  isinstance(x, int) for x in (a, b)):
        raise RuntimeError(f"{name}: For integral input tensors, argument alpha must not be a floating point number.")
    if not hasattr(b, "dtype"):
        return b * alpha
    left, right = promote(b, alpha)
    return left * right
