"""Modules as functions of their parameters and buffers."""
from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from ..op import FUNCTIONS
from ..tensor import Tensor


def functional_call(module: Any, parameter_and_buffer_dicts: Any, args: Any = None,
                    kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True, strict: bool = False) -> Any:
    """`module(*args, **kwargs)` with the tensors given by name in the place of its parameters and buffers.

    Several dictionaries count as one; `args` that is no tuple is the only argument. Raises ValueError where a name is
    in two of them, RuntimeError under `strict` for names that are missing or unknown.

    >>> from minitorch import nn, ones
    >>> functional_call(nn.Linear(2, 1), {"weight": ones(1, 2), "bias": ones(1)}, ones(1, 2))
    tensor([[3.]])
    """
    from ..nn.utils.stateless import call_with

    if isinstance(parameter_and_buffer_dicts, dict):
        tensors = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, Sequence):
        tensors = {}
        for each in parameter_and_buffer_dicts:
            if not isinstance(each, dict):
                raise ValueError("functional_call: expects all elements of parameter_and_buffer_dicts to be "
                                 f"dictionaries, got a {type(each).__name__}")
            twice = sorted(tensors.keys() & each.keys())
            if twice:
                raise ValueError(f"functional_call: {twice[0]} appears in multiple dictionaries; behavior of "
                                 "functional call is ambiguous")
            tensors.update(each)
    else:
        raise ValueError("functional_call: expects parameter_and_buffer_dicts to be a dict, or a list or tuple of "
                         f"dicts, got {type(parameter_and_buffer_dicts).__name__}")
    return call_with(module, tensors, args, kwargs, tie_weights, strict)


def stack_module_state(models: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers, by name, of several modules of one class, stacked along a new first axis.

    The parameters are leaves of their own. For an ensemble that `vmap` runs at once. Raises RuntimeError where the
    modules are none, differ in class, or are not all in the same mode.
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    return (_stacked([dict(m.named_parameters()) for m in models], True),
            _stacked([dict(m.named_buffers()) for m in models], False))


def _stacked(states: list[dict[str, Tensor]], leaves: bool) -> dict[str, Tensor]:
    result = {}
    for name, first in states[0].items():
        each = [state[name] for state in states]
        if any(t.requires_grad != first.requires_grad for t in each):
            raise RuntimeError(f"stack_module_state: expected {name} to have the same requires_grad in all models")
        stacked = FUNCTIONS["stack"]([t.detach() for t in each])
        result[name] = stacked.requires_grad_(first.requires_grad) if leaves else stacked
    return result


def functionalize(func: Callable, *, remove: str = "mutations") -> Callable:
    """`func` itself: its in-place changes are already recorded as new values, which is what this transform is for."""
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError("functionalize(f, remove='mutations'): valid options for removal are 'mutations' and "
                           f"'mutations_and_views', got {remove}")
    return func


def make_functional(model: Any, disable_autograd_tracking: bool = False) -> tuple[Callable, tuple]:
    """(f, parameters) of a module without buffers: `f(parameters, *args)` calls it. What `functorch` had."""
    f, parameters, _ = make_functional_with_buffers(model, disable_autograd_tracking)
    return (lambda params, *args, **kwargs: f(params, (), *args, **kwargs)), parameters


def make_functional_with_buffers(model: Any, disable_autograd_tracking: bool = False) -> tuple[Callable, tuple, tuple]:
    """(f, parameters, buffers) of a module: `f(parameters, buffers, *args)` calls it."""
    twin = copy.deepcopy(model)
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())

    def f(params, values, *args, **kwargs):
        return functional_call(twin, {**dict(zip(parameters, params)), **dict(zip(buffers, values))}, args, kwargs)

    given = tuple(p.detach() if disable_autograd_tracking else p for p in parameters.values())
    return f, given, tuple(buffers.values())
