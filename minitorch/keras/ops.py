"""`keras.ops`: functions of tensors, arrays and numbers, which work on the tensors of a graph of layers too.

Most are the core's under NumPy's names; `axis` and `keepdims` go through as they are.

>>> sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
tensor([4., 6.])
"""
from __future__ import annotations

import builtins
import functools
import inspect
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import absent_from
from ..nn import functional as F
from ..op import FUNCTIONS
from ..tensor import Tensor
from . import activations, backend, losses
from .backend import as_tensor, snake_case
from .layers.base import Layer
from .serialization import serialize
from .symbolic import KerasTensor, is_symbolic

_OF_ONE = [
    "abs", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "ceil", "cos", "cosh", "erf", "exp",
    "expm1", "floor", "isfinite", "isinf", "isnan", "log", "log10", "log1p", "log2", "logical_not", "negative",
    "reciprocal", "round", "rsqrt", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "all", "any", "amax",
    "amin", "argmax", "argmin", "count_nonzero", "max", "mean", "min", "prod", "sum", "cumsum", "cumprod", "flip",
    "moveaxis", "ones_like", "zeros_like", "full_like", "roll", "argsort", "squeeze", "swapaxes", "tile", "tril",
    "triu", "diag", "diagonal", "trace", "nan_to_num",
]
_OF_TWO = [
    "arctan2", "add", "divide", "true_divide", "equal", "floor_divide", "greater", "greater_equal", "less",
    "less_equal", "logical_and", "logical_or", "logical_xor", "matmul", "maximum", "minimum", "multiply",
    "not_equal", "subtract", "outer", "dot", "cross", "logaddexp",
]
_RENAMED = {"absolute": "abs", "power": "pow", "mod": "remainder", "take_along_axis": "take_along_dim",
            "expand_dims": "unsqueeze"}


class Operation(Layer):
    """A function of `keras.ops` as a step of a model, with its `options`."""

    def __init__(self, function: str, name: str | None = None, **options: Any):
        super().__init__(name=name or backend.unique_name(function))
        self.function, self.options = function, options

    def call(self, *args: Any, **keywords: Any) -> Any:
        return globals()[self.function](*args, **{**self.options, **keywords})

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, **serialize(self.options)}

    def serialized(self) -> dict[str, Any]:
        """As Keras has it: a class for each function."""
        kind = "".join(part.title() for part in self.function.split("_"))
        home = "nn" if self.function in _FROM_NN else "numpy"
        return {"module": f"keras.src.ops.{home}", "class_name": kind, "config": self.get_config(),
                "registered_name": kind}

    @staticmethod
    def of(class_name: str, config: dict[str, Any]) -> Operation:
        """The step that a file tells of. Raises TypeError for a function that there is not."""
        known = {name.replace("_", ""): name for name in _PUBLIC}
        function = known.get(snake_case(class_name).replace("_", ""))
        if function is None:
            raise TypeError(f"keras.ops has no function {snake_case(class_name)!r}")
        accepted = inspect.signature(globals()[function]).parameters
        anything = builtins.any(p.kind is p.VAR_KEYWORD for p in accepted.values())
        options = {key: value for key, value in config.items()
                   if key != "name" and value is not None and (anything or key in accepted)}
        return Operation(function, config.get("name"), **options)


Operation._takes = frozenset()  # whatever `call` takes is the function's own


def symbolic(function: Any) -> Any:
    """The function, which for tensors of a graph notes a step of the model."""
    @functools.wraps(function)
    def either(*args: Any, **keywords: Any) -> Any:
        if not is_symbolic(args, keywords):
            return function(*args, **keywords)
        bound = inspect.signature(function).bind(*args, **keywords)
        # what a step is made with, files have by name; its inputs, and an index, in the call
        positional, options, names = list(bound.args), dict(bound.kwargs), list(bound.arguments)
        while not is_symbolic(positional[-1]) and len(names) == len(positional) and names[-1] != "key":
            options[names.pop()] = positional.pop()
        return Operation(function.__name__, **options)(*positional)

    return either


def _of_core(name: str, core: str, tensors: int) -> Any:
    def function(*args: Any, **keywords: Any) -> Any:
        args = tuple(keywords.pop(key) for key in ("x", "x1") if key in keywords) + args
        args += tuple(keywords.pop(key) for key in ("x2", "indices") if key in keywords)
        like = next((x.dtype for x in args[:tensors] if isinstance(x, Tensor)), None)
        args = (*[_number(x, like) for x in args[:tensors]], *args[tensors:])
        if name == "mean" and not args[0].is_floating_point():
            args = (args[0].to(backend.dtype_of(None)), *args[1:])
        return FUNCTIONS[core](*args, **keywords)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The core's `{core}`, of tensors, arrays and numbers."
    return symbolic(function)


def _number(x: Any, like: Any) -> Any:
    """A tensor of x; a number gets the type of the tensor beside it where that has room for it."""
    if isinstance(x, (int, float)) and like is not None and (like.is_floating_point or isinstance(x, int)):
        return as_tensor(x, like)
    return x if isinstance(x, Tensor) else as_tensor(x)


globals().update({name: _of_core(name, name, 1) for name in _OF_ONE})
globals().update({name: _of_core(name, name, 2) for name in _OF_TWO})
globals().update({name: _of_core(name, core, 1 if name in ("absolute", "expand_dims") else 2)
                  for name, core in _RENAMED.items()})

_FROM_NN = [
    "relu", "relu6", "sigmoid", "softmax", "log_softmax", "softplus", "softsign", "silu", "swish", "gelu", "elu",
    "selu", "leaky_relu", "hard_sigmoid", "mish", "one_hot", "top_k",
]
globals().update({name: symbolic(getattr(activations, name)) for name in _FROM_NN[:-2]})
globals().update({name: symbolic(getattr(losses, name)) for name in (
    "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")})


def convert_to_tensor(x: Any, dtype: Any = None) -> Tensor:
    """A tensor of a number, list or array."""
    return as_tensor(x, dtype)


def convert_to_numpy(x: Any) -> np.ndarray:
    """A NumPy array of a tensor, list or number."""
    return backend.as_array(x)


def is_tensor(x: Any) -> builtins.bool:
    """Whether x is a tensor."""
    return isinstance(x, (Tensor, KerasTensor))


def shape(x: Any) -> tuple:
    """The sizes; None in a graph where they are not known."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def stop_gradient(x: Any) -> Any:
    """x as a constant."""
    return _detached(x)


@symbolic
def _detached(variable: Any) -> Any:
    return variable.detach()


@symbolic
def cast(x: Any, dtype: Any) -> Any:
    """x in another type."""
    return as_tensor(x, "float64" if isinstance(x, float) else None).to(backend.dtype_of(dtype))


@symbolic
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """x1 where the condition holds, x2 elsewhere; with the condition alone, the places where it holds."""
    condition = as_tensor(condition)
    if x1 is None:
        return condition.nonzero(as_tuple=True)
    return FUNCTIONS["where"](condition.bool(), *[x if isinstance(x, (int, float)) else as_tensor(x, getattr(
        x, "dtype", None)) for x in (x1, x2)])


@symbolic
def reshape(x: Any, newshape: Any) -> Any:
    """x in another shape."""
    return as_tensor(x).reshape(tuple(-1 if n is None else int(n) for n in newshape))


@symbolic
def transpose(x: Any, axes: Any = None) -> Any:
    """The dimensions in the order `axes`, by default the last first."""
    x = as_tensor(x)
    return x.permute(tuple(range(x.ndim))[::-1] if axes is None else tuple(axes))


@symbolic
def get_item(x: Any, key: Any) -> Any:
    """x[key]."""
    return x[tuple(key) if isinstance(key, list) and builtins.any([isinstance(k, slice) for k in key]) else key]


@symbolic
def concatenate(xs: Any, axis: int = 0) -> Any:
    """Tensors one behind the other."""
    return FUNCTIONS["cat"]([as_tensor(x) for x in xs], axis)


@symbolic
def stack(x: Any, axis: int = 0) -> Any:
    """Tensors along a new dimension."""
    return FUNCTIONS["stack"]([as_tensor(part) for part in x], axis)


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list:
    """The parts along a dimension."""
    return list(as_tensor(x).unbind(axis))


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list:
    """As many equal parts, or the parts between the indices."""
    return list(FUNCTIONS["tensor_split"](as_tensor(x), indices_or_sections, axis))


@symbolic
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each value `repeats` times."""
    return FUNCTIONS["repeat_interleave"](as_tensor(x), repeats, dim=axis)


@symbolic
def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """Values not below x_min and not above x_max."""
    return as_tensor(x).clamp(x_min, x_max)


@symbolic
def std(x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    """The standard deviation, over n."""
    return FUNCTIONS["std"](as_tensor(x), axis, correction=0, keepdim=keepdims)


@symbolic
def var(x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    """The variance, over n."""
    return FUNCTIONS["var"](as_tensor(x), axis, correction=0, keepdim=keepdims)


@symbolic
def logsumexp(x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    """log Σ exp(x)."""
    x = as_tensor(x)
    return FUNCTIONS["logsumexp"](x, tuple(range(x.ndim)) if axis is None else axis, keepdim=keepdims)


@symbolic
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    """The norm, of everything or along `axis`."""
    return FUNCTIONS["norm"](as_tensor(x), 2 if ord is None else ord, axis, keepdim=keepdims)


@symbolic
def sort(x: Any, axis: int = -1) -> Any:
    """The values in order."""
    return as_tensor(x).sort(axis)[0]


@symbolic
def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The values at these places along `axis`."""
    x, indices = as_tensor(x), as_tensor(indices).long()
    x = x.flatten() if axis is None else x
    d = (axis or 0) % builtins.max(x.ndim, 1)
    found = x.index_select(d, (indices % x.shape[d]).flatten())
    return found.reshape(*x.shape[:d], *indices.shape, *x.shape[d + 1:])


@symbolic
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Any:
    """x with more around: `pad_width` (before, after) for all dimensions or for each."""
    x = as_tensor(x)
    widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
    return F.pad(x, [n for pair in reversed(widths) for n in pair], mode, constant_values)


@symbolic
def broadcast_to(x: Any, shape: Any) -> Any:
    """x repeated to a shape."""
    return as_tensor(x).broadcast_to(tuple(shape))


@symbolic
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Any:
    """Indices as vectors with a 1; other indices than those of a class give zeros."""
    classes = FUNCTIONS["arange"](num_classes)
    hot = (as_tensor(x).long().unsqueeze(-1) == classes).to(backend.dtype_of(dtype))
    return hot if axis == -1 else hot.movedim(-1, axis)


@symbolic
def einsum(subscripts: str, *operands: Any) -> Any:
    """Products summed over the letters that the result does not have."""
    return FUNCTIONS["einsum"](subscripts, *[as_tensor(x) for x in operands])


def top_k(x: Any, k: int, sorted: Any = True) -> tuple:
    """The k largest values of each row, and their places."""
    values, places = as_tensor(x).topk(k)
    return values, places.to(dtypes.int32)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """Numbers from `start` to before `stop`."""
    return as_tensor(np.arange(start, stop, step) if stop is not None else np.arange(start), dtype or (
        "int32" if all_integers(start, stop, step) else None))


def all_integers(*values: Any) -> builtins.bool:
    """Whether no value is a fraction."""
    return builtins.all([v is None or isinstance(v, int) for v in values])


def linspace(start: Any, stop: Any, num: int = 50, endpoint: Any = True, dtype: Any = None) -> Tensor:
    """`num` numbers from start to stop."""
    return as_tensor(np.linspace(start, stop, num, endpoint), dtype)


def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """Zeros."""
    return FUNCTIONS["zeros"](shape, dtype=backend.dtype_of(dtype))


def ones(shape: Any, dtype: Any = None) -> Tensor:
    """Ones."""
    return FUNCTIONS["ones"](shape, dtype=backend.dtype_of(dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value everywhere."""
    return FUNCTIONS["full"](tuple(shape), fill_value, dtype=backend.dtype_of(dtype))


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on the k-th diagonal."""
    return as_tensor(np.eye(N, M, k), dtype)


def cond(pred: Any, true_fn: Any, false_fn: Any) -> Any:
    """One of two functions, called."""
    return true_fn() if builtins.bool(pred) else false_fn()


_PUBLIC = [name for name, f in list(globals().items()) if callable(f) and not name.startswith("_")
           and getattr(f, "__module__", "") in (__name__, activations.__name__, losses.__name__)
           and inspect.isfunction(f)]
__getattr__ = absent_from("keras.ops", lambda: _PUBLIC)
