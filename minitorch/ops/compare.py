"""Comparisons, logic and bits: ops without a gradient."""
from __future__ import annotations

from collections.abc import Callable

from ..dtypes import promote
from ..errors import DTypeError
from ..op import composite, op
from ..tensor import Tensor
from .elementwise import refuse

COMPARISONS = {"eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
               "ge": "greater_equal"}
LOGIC = ("logical_and", "logical_or", "logical_xor")
BITS = ("bitwise_and", "bitwise_or", "bitwise_xor")
SHIFTS = {"bitwise_left_shift": "left_shift", "bitwise_right_shift": "right_shift"}
TESTS = ("isnan", "isinf", "isfinite")


def _comparison(name: str, kernel: str) -> None:
    def body(k, a, b, /):
        a, b = promote(a, b)
        if name not in ("eq", "ne"):
            refuse(name, a if hasattr(a, "dtype") else b, "c")
        return getattr(k, kernel)(a, b)

    _enter(name, body, f"Where a {kernel.replace('_', ' ')} b, as bool.")


def _logic(name: str) -> None:
    def body(k, a, b, /):
        return getattr(k, name)(a, b)

    _enter(name, body, f"{name} of what is not zero, as bool.")


def _bits(name: str, kernel: str) -> None:
    def body(k, a, b, /):
        a, b = promote(a, b)
        refuse(name, a if hasattr(a, "dtype") else b, "fcV")
        return getattr(k, kernel)(a, b)

    _enter(name, body, f"{name.replace('_', ' ')} of integers; of bools where that means something.")


def _enter(name: str, body: Callable, doc: str) -> None:
    body.__name__ = body.__qualname__ = name
    body.__doc__ = doc
    globals()[name] = op(body, inplace=True)


def _test(name: str) -> None:
    def body(k, x, /):
        return getattr(k, name)(x if x.dtype.kind in "fcV" else x.astype("f4"))

    body.__name__ = body.__qualname__ = name
    body.__doc__ = f"{name}, elementwise, as bool."
    globals()[name] = op(body)


for _name, _kernel in COMPARISONS.items():
    _comparison(_name, _kernel)
for _name in LOGIC:
    _logic(_name)
for _name in BITS:
    _bits(_name, _name)
for _name, _kernel in SHIFTS.items():
    _bits(_name, _kernel)
for _name in TESTS:
    _test(_name)


@op(inplace=True)
def logical_not(k, x, /):
    """True where x is zero."""
    return k.logical_not(x)


@op(inplace=True)
def bitwise_not(k, x, /):
    """Every bit the other way; of bools `not`."""
    refuse("bitwise_not", x, "fcV")
    return k.invert(x)


@op
def signbit(k, x, /):
    """Whether the sign is minus, of -0.0 too."""
    return k.xp.signbit(x)


@op
def isposinf(k, x, /):
    """Where x is inf."""
    return x == float("inf")


@op
def isneginf(k, x, /):
    """Where x is -inf."""
    return x == -float("inf")


@op
def isreal(k, x, /):
    """Where the imaginary part is zero."""
    return x.imag == 0 if x.dtype.kind == "c" else k.xp.ones(x.shape, bool)


@op
def isclose(k, a, b, /, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Where |a - b| <= atol + rtol |b|; infinities are close to themselves, nan to nan with `equal_nan`.

    Raises RuntimeError for two types, or a negative tolerance.
    """
    if a.dtype != b.dtype:
        raise DTypeError(f"isclose: {a.dtype} did not match {b.dtype}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"isclose: rtol and atol must be greater than or equal to zero, got {rtol} and {atol}")
    y = a == b
    if equal_nan:
        y = y | ((a != a) & (b != b))
    if a.dtype.kind not in "fcV":
        a, b = a.astype("f8"), b.astype("f8")
    return y | (k.isfinite(b) & (k.abs(a - b) <= atol + rtol * k.abs(b)))


@composite
def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether `isclose` is true everywhere, as a Python bool."""
    return bool(isclose(input, other, rtol, atol, equal_nan)._array.all())


@composite
def equal(input, other):
    """Whether shape and all elements are equal, as a Python bool."""
    if not isinstance(other, Tensor):
        raise TypeError(f"equal(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}")
    a, b = input._array, other._array
    return a.shape == b.shape and bool((a == b).all())
