"""Python's operators on tensors, and the further names of ops."""
from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

import numpy as np

from ..op import FUNCTIONS
from ..tensor import Tensor
from .elementwise import abs, add, div, mul, neg, pow, rsub, sub

_OPERANDS = (Tensor, int, float, complex, np.ndarray, np.generic)

# Arithmetic goes to the ops themselves: a small operation costs about a microsecond, one call more would show.

Tensor.__add__ = Tensor.__radd__ = add
Tensor.__mul__ = mul
Tensor.__sub__, Tensor.__rsub__, Tensor.__truediv__, Tensor.__pow__ = sub, rsub, div, pow
Tensor.__neg__, Tensor.__abs__ = neg, abs


def _checked(name: str, reflected: bool = False) -> Callable:
    """The op `name`, looked up at its first use; operands of other types are left to their own operators."""
    def operator(self, other):
        if not isinstance(other, _OPERANDS) and not hasattr(other, "__torch_function__"):
            return NotImplemented
        if not isinstance(self, Tensor):
            raise TypeError(f"descriptor {name!r} of Tensor objects doesn't apply to a {type(self).__name__} object")
        return FUNCTIONS[name](other, self) if reflected else FUNCTIONS[name](self, other)

    return operator


for _python, _name in {"floordiv": "floor_divide", "mod": "remainder", "matmul": "matmul", "and": "bitwise_and",
                       "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
                       "rshift": "bitwise_right_shift"}.items():
    setattr(Tensor, f"__{_python}__", _checked(_name))
    setattr(Tensor, f"__r{_python}__", _checked(_name, reflected=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Tensor, f"__{_name}__", _checked(_name))
for _python, _name in {"truediv": "div", "div": "div", "pow": "pow"}.items():
    setattr(Tensor, f"__r{_python}__", _checked(_name, reflected=True))
Tensor.__rmul__ = _checked("mul")  # the tensor first, as PyTorch records it; [0] * tensor(3) is the list's


def _invert(self):
    if self._array.dtype.kind not in "biu":
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return self.bitwise_not()


def _positive(self):
    if self._array.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return self


Tensor.__invert__, Tensor.__pos__ = _invert, _positive
FUNCTIONS["positive"] = Tensor.positive = _positive

for _python, _name in {"iadd": "add_", "isub": "sub_", "imul": "mul_", "itruediv": "div_", "imod": "remainder_",
                       "ifloordiv": "floor_divide_", "ipow": "pow_", "iand": "bitwise_and_", "ior": "bitwise_or_",
                       "ixor": "bitwise_xor_", "ilshift": "bitwise_left_shift_",
                       "irshift": "bitwise_right_shift_"}.items():
    setattr(Tensor, f"__{_python}__", getattr(Tensor, _name))


# What takes no numbers: how many of its first arguments must be tensors. Derivatives, which are written for arrays and
# tensors alike, reach the ops themselves by `OPS`.

_TENSORS_ONLY = {1: "eq ne lt le gt ge fmod copysign rsub",
                 2: "atan2 fmax fmin maximum minimum logical_and logical_or logical_xor gcd lcm ldexp nextafter hypot "
                    "logaddexp logaddexp2"}


def _of_tensors(function: Callable, count: int) -> Callable:
    @functools.wraps(function)
    def call(*args, **kwargs):
        for i, x in enumerate(args[:count]):
            if not isinstance(x, Tensor):
                raise TypeError(f"{function.__name__}(): argument '{('input', 'other')[i]}' (position {i + 1}) must be "
                                f"Tensor, not {type(x).__name__}")
        return function(*args, **kwargs)

    return call


for _n, _names in _TENSORS_ONLY.items():
    for _name in _names.split():
        FUNCTIONS[_name] = _of_tensors(FUNCTIONS[_name], _n)
        if hasattr(Tensor, _name):
            setattr(Tensor, _name, FUNCTIONS[_name])


# Second names

ALIASES = {"subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg",
           "absolute": "abs", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh",
           "arccosh": "acosh", "arctanh": "atanh", "arctan2": "atan2", "fix": "trunc", "clip": "clamp",
           "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "not_equal": "ne"}

for _new, _name in ALIASES.items():
    FUNCTIONS[_new] = FUNCTIONS[_name]
    for _suffix in ("", "_"):
        if hasattr(Tensor, _name + _suffix):
            setattr(Tensor, _new + _suffix, getattr(Tensor, _name + _suffix))


# In-place methods that are functions too

_IN_PLACE = """abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil
celu clamp clamp_max clamp_min clip conj_physical cos cosh deg2rad dropout erf erfc exp exp2 expm1 feature_dropout fill
fix floor frac gcd index_put lcm ldexp log log10 log1p log2 logit nan_to_num neg negative rad2deg reciprocal relu
round rsqrt selu sigmoid sin sinc sinh sqrt square tan tanh threshold trunc xlogy zero"""
for _name in _IN_PLACE.split():
    FUNCTIONS[_name + "_"] = getattr(Tensor, _name + "_")


# The order of arguments of PyTorch 0.4, in which many optimizers are written: add_(alpha, other)

def _scale_first(method: Callable, n: int, keyword: str) -> Callable:
    @functools.wraps(method)
    def call(self, *args, **kwargs):
        if len(args) == n + 1 and not isinstance(args[0], Tensor):
            warnings.warn(f"{method.__name__}({keyword}, ...) is deprecated; give {keyword}= as a keyword", UserWarning,
                          stacklevel=2)
            kwargs[keyword], args = args[0], args[1:]
        return method(self, *args, **kwargs)

    return call


for _name, _n, _keyword in (("add_", 1, "alpha"), ("sub_", 1, "alpha"), ("addcmul_", 2, "value"),
                            ("addcdiv_", 2, "value")):
    setattr(Tensor, _name, _scale_first(getattr(Tensor, _name), _n, _keyword))
    setattr(Tensor, _name[:-1], _scale_first(getattr(Tensor, _name[:-1]), _n, _keyword))
