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
_FROM_NN = [
    "relu", "relu6", "sigmoid", "softmax", "log_softmax", "softplus", "softsign", "silu", "swish", "gelu", "elu",
    "selu", "leaky_relu", "hard_sigmoid", "mish",
]


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
        home = "nn" if self.function in (*_FROM_NN, "one_hot") else "numpy"
        return {"module": f"keras.src.ops.{home}", "class_name": kind, "config": self.get_config(),
                "registered_name": kind}

    @staticmethod
    def of(class_name: str, config: dict[str, Any]) -> Operation:
        """The step that a file tells of. Raises TypeError for a function that there is not."""
        known = {name.replace("_", ""): name for name in __all__}
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


_TAKE_TWO = (*_OF_TWO, "power", "mod", "take_along_axis")
_MADE = {name: _of_core(name, _RENAMED.get(name, name), 2 if name in _TAKE_TWO else 1)
         for name in [*_OF_ONE, *_OF_TWO, *_RENAMED]}
_MADE.update((name, symbolic(getattr(activations, name))) for name in _FROM_NN)
_MADE.update((name, symbolic(getattr(losses, name))) for name in (
    "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"))


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
def get_item(x: Any, key: Any) -> Any:
    """x[key]."""
    return x[tuple(key) if isinstance(key, list) and builtins.any([isinstance(k, slice) for k in key]) else key]


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
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Any:
    """Indices as vectors with a 1; other indices than those of a class give zeros."""
    classes = FUNCTIONS["arange"](num_classes)
    hot = (as_tensor(x).long().unsqueeze(-1) == classes).to(backend.dtype_of(dtype))
    return hot if axis == -1 else hot.movedim(-1, axis)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """Numbers from `start` to before `stop`."""
    integers = builtins.all([v is None or isinstance(v, int) for v in (start, stop, step)])
    return as_tensor(np.arange(start, stop, step) if stop is not None else np.arange(start),
                     dtype or ("int32" if integers else None))


def shape(x: Any) -> tuple:
    """The sizes; None in a graph where they are not known."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def _named(name: str, function: Any) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__module__, function.__doc__ = __name__, f"`keras.ops.{name}`: as NumPy's where that has it, of tensors."
    return function


# functions of tensors: in a graph each is a step
_MADE.update((name, symbolic(_named(name, f))) for name, f in {
    "stop_gradient": lambda variable: variable.detach(),
    "reshape": lambda x, newshape: as_tensor(x).reshape(tuple(-1 if n is None else int(n) for n in newshape)),
    "transpose": lambda x, axes=None: as_tensor(x).permute(
        tuple(range(as_tensor(x).ndim))[::-1] if axes is None else tuple(axes)),
    "concatenate": lambda xs, axis=0: FUNCTIONS["cat"]([as_tensor(x) for x in xs], axis),
    "stack": lambda x, axis=0: FUNCTIONS["stack"]([as_tensor(part) for part in x], axis),
    "repeat": lambda x, repeats, axis=None: FUNCTIONS["repeat_interleave"](as_tensor(x), repeats, dim=axis),
    "clip": lambda x, x_min, x_max: as_tensor(x).clamp(x_min, x_max),
    "std": lambda x, axis=None, keepdims=False: FUNCTIONS["std"](as_tensor(x), axis, correction=0, keepdim=keepdims),
    "var": lambda x, axis=None, keepdims=False: FUNCTIONS["var"](as_tensor(x), axis, correction=0, keepdim=keepdims),
    "logsumexp": lambda x, axis=None, keepdims=False: FUNCTIONS["logsumexp"](
        as_tensor(x), tuple(range(as_tensor(x).ndim)) if axis is None else axis, keepdim=keepdims),
    "norm": lambda x, ord=None, axis=None, keepdims=False: FUNCTIONS["norm"](
        as_tensor(x), 2 if ord is None else ord, axis, keepdim=keepdims),
    "sort": lambda x, axis=-1: as_tensor(x).sort(axis)[0],
    "broadcast_to": lambda x, shape: as_tensor(x).broadcast_to(tuple(shape)),
    "einsum": lambda subscripts, *operands: FUNCTIONS["einsum"](subscripts, *[as_tensor(x) for x in operands]),
}.items())
# functions of values alone
_MADE.update((name, _named(name, f)) for name, f in {
    "convert_to_tensor": lambda x, dtype=None: as_tensor(x, dtype),
    "convert_to_numpy": lambda x: backend.as_array(x),
    "is_tensor": lambda x: isinstance(x, (Tensor, KerasTensor)),
    "unstack": lambda x, num=None, axis=0: list(as_tensor(x).unbind(axis)),
    "split": lambda x, indices_or_sections, axis=0: list(FUNCTIONS["tensor_split"](
        as_tensor(x), indices_or_sections, axis)),
    "top_k": lambda x, k, sorted=True: (lambda found: (found[0], found[1].to(dtypes.int32)))(as_tensor(x).topk(k)),
    "linspace": lambda start, stop, num=50, endpoint=True, dtype=None: as_tensor(
        np.linspace(start, stop, num, endpoint), dtype),
    "zeros": lambda shape, dtype=None: FUNCTIONS["zeros"](shape, dtype=backend.dtype_of(dtype)),
    "ones": lambda shape, dtype=None: FUNCTIONS["ones"](shape, dtype=backend.dtype_of(dtype)),
    "full": lambda shape, fill_value, dtype=None: FUNCTIONS["full"](
        tuple(shape), fill_value, dtype=backend.dtype_of(dtype)),
    "eye": lambda N, M=None, k=0, dtype=None: as_tensor(np.eye(N, M, k), dtype),
    "cond": lambda pred, true_fn, false_fn: true_fn() if builtins.bool(pred) else false_fn(),
}.items())
globals().update(_MADE)
__all__ = sorted([*_MADE, "cast", "where", "get_item", "take", "pad", "one_hot", "arange", "shape"])
__getattr__ = absent_from("keras.ops", lambda: __all__)
