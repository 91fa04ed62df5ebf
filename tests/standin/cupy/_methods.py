"""The operators of cupy.ndarray, and those of its methods that are functions too."""
from __future__ import annotations

import numpy as np

from ._names import parameters
from ._ndarray import ndarray


def _operator(name, swapped):
    def method(self, other):
        import cupy

        if not isinstance(other, (ndarray, bool, int, float, complex, np.generic, np.ndarray)):
            return NotImplemented
        return getattr(cupy, name)(*((other, self) if swapped else (self, other)))

    return method


def _inplace(name):
    def method(self, other):
        import cupy

        return getattr(cupy, name)(self, other, self)

    return method


for _short, _name in {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
                      "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "floordiv": "floor_divide",
                      "mod": "remainder", "pow": "power", "lshift": "left_shift", "rshift": "right_shift",
                      "matmul": "matmul", "divmod": "divmod"}.items():
    setattr(ndarray, f"__{_short}__", _operator(_name, False))
    setattr(ndarray, f"__r{_short}__", _operator(_name, True))
    if _short not in ("matmul", "divmod"):
        setattr(ndarray, f"__i{_short}__", _inplace(_name))
for _short, _name in {"lt": "less", "le": "less_equal", "eq": "equal", "ne": "not_equal", "gt": "greater",
                      "ge": "greater_equal"}.items():
    setattr(ndarray, f"__{_short}__", _operator(_name, False))
for _short, _name in {"neg": "negative", "pos": "positive", "invert": "invert", "abs": "absolute"}.items():
    setattr(ndarray, f"__{_short}__", lambda self, name=_name: getattr(__import__("cupy"), name)(self))


def _method(name):
    positional, named, _, _ = parameters("cupy.ndarray", name)

    def method(self, *arguments, **options):
        import cupy

        if len(arguments) > len(positional) or not named.issuperset(options):
            raise TypeError(f"ndarray.{name}() got an unexpected argument among {(*arguments, *options)}")
        return getattr(cupy, name)(self, *arguments, **options)

    method.__name__ = name
    return method


for _name in ("all", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "clip", "compress", "conj",
              "conjugate", "cumprod", "cumsum", "diagonal", "dot", "max", "mean", "min", "nonzero", "prod", "ptp",
              "ravel", "repeat", "round", "searchsorted", "squeeze", "std", "sum", "swapaxes", "take", "trace", "var"):
    setattr(ndarray, _name, _method(_name))
