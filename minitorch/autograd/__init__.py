"""Differentiation as functions: `backward`, `grad`, custom `Function`s, `gradcheck`."""
from __future__ import annotations

import importlib
from typing import Any

from .. import engine
from ..device import kernels_of
from ..engine import detect_anomalies, enable_grad, inference_mode, mode, no_grad, set_grad_enabled
from ..errors import DTypeError, GraphError, ShapeError, absent_from
from ..function import Function, FunctionCtx
from ..gradcheck import gradcheck, gradgradcheck
from ..tensor import Tensor, edge_of
from . import function

__all__ = ["Function", "FunctionCtx", "Variable", "backward", "detect_anomaly", "enable_grad", "function", "grad",
           "gradcheck", "gradgradcheck", "inference_mode", "no_grad", "set_detect_anomaly", "set_grad_enabled"]


def backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
             inputs: Any = None) -> None:
    """Accumulate d(tensors)/d(leaf) into `leaf.grad` for every leaf, or for `inputs` only.

    Raises GraphError where a tensor was not recorded, and ShapeError where its `grad_tensors` does not fit.
    """
    roots = _roots("backward", _many(tensors), grad_tensors, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        engine.run(roots, keep, create_graph)
        return
    wanted = _many(inputs)
    targets: dict[int, Any] = {id(edge_of(x)): None for x in wanted}
    engine.run(roots, keep, create_graph, targets)
    for x in wanted:
        found = targets[id(edge_of(x))]
        if found is not None:
            x._accumulate(found, False)


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
         create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None,
         is_grads_batched: bool = False, materialize_grads: bool = False) -> tuple[Tensor | None, ...]:
    """The gradients of the outputs' sum with respect to `inputs`; no `grad` attribute changes.

    `is_grads_batched`: the first axis of each of `grad_outputs` counts several of them, and that of each gradient too.
    With `create_graph` they can be differentiated again. Raises GraphError where an input was not used, unless
    `allow_unused` (then its gradient is None) or `materialize_grads` (then zeros).

    >>> from minitorch import tensor
    >>> x = tensor(3.0, requires_grad=True)
    >>> dx, = grad(x ** 3, x, create_graph=True)
    >>> grad(dx, x)
    (tensor(18.),)
    """
    wanted = _many(inputs)
    for i, x in enumerate(wanted):
        if not x.requires_grad:
            raise GraphError(f"grad: input {i} of shape {tuple(x.shape)} does not require grad: "
                             "one of the differentiated Tensors does not require grad")
    given = [] if grad_outputs is None else [w for w in _many(grad_outputs) if w is not None]
    if is_grads_batched or any(hasattr(w, "_level") for w in given):
        return _of_each(outputs, wanted, grad_outputs, create_graph, allow_unused, is_grads_batched, materialize_grads)
    roots = _roots("grad", _many(outputs), grad_outputs, create_graph)
    edges = [edge_of(x) for x in wanted]
    targets: dict[int, Any] = {id(edge): None for edge in edges}
    engine.run(roots, create_graph if retain_graph is None else retain_graph, create_graph, targets)
    result = []
    for i, (x, edge) in enumerate(zip(wanted, edges)):
        found = targets[id(edge)]
        if found is None and materialize_grads:
            found = kernels_of(x._array).xp.zeros_like(x._array)
        if found is None and not allow_unused:
            raise GraphError(f"grad: input {i}: One of the differentiated Tensors appears to not have been used in "
                             "the graph. Set allow_unused=True if this is the desired behavior.")
        result.append(found if found is None or isinstance(found, Tensor) else Tensor._wrap(found))
    return tuple(result)


def _of_each(outputs: Any, inputs: list[Tensor], weights: Any, create_graph: bool,
             allow_unused: bool | None, stacked: bool, materialize: bool) -> tuple[Tensor | None, ...]:
    """`grad` for each of a batch of weights, stacked along a first axis, or hidden by `vmap`."""
    from ..func import vmap

    given = _many(weights)
    mapped = [i for i, w in enumerate(given) if w is not None]
    unused: set[int] = set()

    def one(*tensors):
        each = list(given)
        for i, w in zip(mapped, tensors):
            each[i] = w
        found = grad(outputs, inputs, each, True, create_graph, allow_unused=allow_unused,
                     materialize_grads=materialize)
        unused.update(i for i, g in enumerate(found) if g is None)
        return tuple([g for g in found if g is not None])

    if stacked:
        found = vmap(one)(*[given[i] for i in mapped])
    else:
        first = next(w for w in given if hasattr(w, "_level"))
        found = first._mapped(one, tuple([given[i] for i in mapped]))
    rest = iter(found)
    return tuple([None if i in unused else next(rest) for i in range(len(inputs))])


class detect_anomaly:
    """Remember the source line of each recorded operation, and raise where a gradient becomes NaN.

    The error names the op and line whose gradient it is, the ranges of what it was made of, the likely cause and, where
    a value was not finite before that, the op that made the first. `minitorch.debug.anomaly` raises there and then.
    """

    def __init__(self, mode: bool = True, check_nan: bool = True):
        self._mode = mode, mode and check_nan

    def __enter__(self) -> None:
        self._before = mode.anomaly, mode.check_nan
        detect_anomalies(*self._mode)

    def __exit__(self, *exception: Any) -> None:
        detect_anomalies(*self._before)


class set_detect_anomaly(detect_anomaly):
    """`detect_anomaly` from now on or, in a `with`, until its end."""

    def __init__(self, mode: bool, check_nan: bool = True):
        super().__init__(mode, check_nan)
        super().__enter__()

    def __enter__(self) -> None:
        pass


class _VariableType(type):
    """Calling it makes a tensor; every tensor is an instance."""

    def __call__(cls, data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Tensor:
        t = data.detach()
        t.requires_grad = requires_grad
        return t

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, Tensor)


class Variable(metaclass=_VariableType):
    """A tensor: what PyTorch before 0.4 wrapped them in. `Variable(x, requires_grad=True)`."""


def _submodule(name: str) -> Any:
    if name in ("forward_ad", "functional", "graph", "profiler"):
        return importlib.import_module(f"{__name__}.{name}")
    return _absent(name)


_absent = absent_from(__name__, lambda: __all__)
__getattr__ = _submodule


def _many(tensors: Any) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _roots(name: str, outputs: list[Tensor], weights: Any, create_graph: bool) -> list[tuple[Any, Any]]:
    """The edges at which differentiation starts, with the gradient of each."""
    given = [None] * len(outputs) if weights is None else _many(weights)
    if len(given) != len(outputs):
        raise ShapeError(f"{name}: got {len(outputs)} tensors and {len(given)} gradients")
    roots = []
    for i, (y, weight) in enumerate(zip(outputs, given)):
        if not y.requires_grad:
            raise GraphError(f"{name}: element {i} of tensors does not require grad and does not have a grad_fn")
        if weight is None:
            if y._array.size != 1:
                raise GraphError(f"{name}: grad can be implicitly created only for scalar outputs; "
                                 f"element {i} has shape {tuple(y.shape)}")
            if y._array.dtype.kind == "c":
                raise DTypeError(f"{name}: grad can be implicitly created only for real scalar outputs but got "
                                 f"{y.dtype}")
            weight = kernels_of(y._array).xp.ones_like(y._array)
        else:
            weight = weight if isinstance(weight, Tensor) else Tensor._wrap(weight)
            if weight._array.shape != y._array.shape:
                raise ShapeError(f"{name}: Mismatch in shape: grad_output[{i}] has a shape of {weight.shape} and "
                                 f"output[{i}] has a shape of {y.shape}.")
            weight = weight if create_graph else weight._array
        if create_graph and not isinstance(weight, Tensor):
            weight = Tensor._wrap(weight)
        roots.append((edge_of(y), weight))
    return roots
