"""Calls of modules that have hooks: before and after forward, and around the gradients of a call."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..function import Function
from ..tensor import Handle, Tensor

MOMENTS = ("before", "after", "backward_pre", "backward")
everywhere: dict[str, OrderedDict] = {"before": OrderedDict(), "after": OrderedDict()}  # hooks on all modules


class Hook:
    """A hook that is called in another way than usual; those called as usual are kept as they are."""

    def __init__(self, function: Callable, with_kwargs: bool, always_call: bool):
        self.function, self.with_kwargs, self.always_call = function, with_kwargs, always_call

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def register(module: Any, moment: str, hook: Callable, prepend: bool = False, with_kwargs: bool = False,
             always_call: bool = False) -> Handle:
    """Add a hook to one module; the handle that is returned removes it."""
    hooks = of(module, moment)
    handle = Handle(hooks, Hook(hook, with_kwargs, always_call) if with_kwargs or always_call else hook)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def of(module: Any, moment: str) -> OrderedDict:
    """The hooks of one module at one moment, by number: programs look through them, and remove them, here."""
    if module._hooks is None:
        module._hooks = {key: OrderedDict() for key in MOMENTS}
    return module._hooks[moment]


def register_module_forward_pre_hook(hook: Callable) -> Handle:
    """`hook(module, args)` before the forward of every module."""
    return Handle(everywhere["before"], hook)


def register_module_forward_hook(hook: Callable, *, with_kwargs: bool = False, always_call: bool = False) -> Handle:
    """`hook(module, args, output)` after the forward of every module.

    `with_kwargs` it is `hook(module, args, kwargs, output)`.
    With `always_call` also where forward raised; the output is then None.
    """
    return Handle(everywhere["after"], Hook(hook, with_kwargs, always_call) if with_kwargs or always_call else hook)


def call(module: Any, args: tuple, kwargs: dict) -> Any:
    """Forward, with the hooks around it."""
    own = module._hooks or {}
    for hook in _hooks(own, "before"):
        args, kwargs = _before(hook, module, args, kwargs)
    around = None
    if own.get("backward") or own.get("backward_pre"):
        around = BackwardHooks(module, own, len(args))
        args = around.on_inputs(args)
    pending = _hooks(own, "after")
    try:
        output = module.forward(*args, **kwargs)
        if around is not None:
            output = around.on_outputs(output)
        while pending:
            hook = pending.pop(0)
            given = (args, kwargs, output) if _is(hook, "with_kwargs") else (args, output)
            result = hook(module, *given)
            output = output if result is None else result
    except BaseException:
        for hook in pending:
            if _is(hook, "always_call"):
                hook(module, *((args, kwargs, None) if hook.with_kwargs else (args, None)))
        raise
    return output


def _is(hook: Callable, how: str) -> bool:
    return type(hook) is Hook and getattr(hook, how)


def _before(hook: Callable, module: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    if _is(hook, "with_kwargs"):
        result = hook(module, args, kwargs)
        if result is not None and not (isinstance(result, tuple) and len(result) == 2):
            raise RuntimeError("forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                               f"but got {result}.")
        return (args, kwargs) if result is None else result
    result = hook(module, args)
    return (args if result is None else result if isinstance(result, tuple) else (result,)), kwargs


def _hooks(own: dict, moment: str) -> list[Any]:
    return [*everywhere[moment].values(), *own.get(moment, {}).values()]


class BackwardHooks:
    """Backward hooks of one call: identities around the module's inputs and outputs, which see their gradients.

    The hooks get a gradient an argument and an output, None for those that have none.
    """

    def __init__(self, module: Any, hooks: dict, arguments: int):
        self.module, self.hooks, self.arguments = module, hooks, arguments
        self.grad_output: tuple = ()
        self.inputs: list[int] = []  # positions of the arguments, then of the outputs, that have gradients
        self.outputs: list[int] = []

    def on_inputs(self, args: tuple) -> tuple:
        self.inputs = _differentiable(args)
        return tuple(_through(args, self.inputs, self._input_grads))

    def on_outputs(self, output: Any) -> Any:
        many = isinstance(output, (tuple, list))
        values = list(output) if many else [output]
        self.outputs, self.count = _differentiable(values), len(values)
        values = _through(values, self.outputs, self._output_grads)
        return type(output)(values) if many else values[0]

    def _output_grads(self, *grads: Tensor) -> tuple:
        given = _spread(grads, self.outputs, self.count)
        for hook in list(self.hooks["backward_pre"].values()):
            given = _replaced(hook(self.module, given), given)
        self.grad_output = given
        if not self.inputs:  # nothing comes after: the hooks see no input gradient
            for hook in list(self.hooks["backward"].values()):
                hook(self.module, (None,) * self.arguments, given)
        return tuple(given[i] for i in self.outputs)

    def _input_grads(self, *grads: Tensor) -> tuple:
        given = _spread(grads, self.inputs, self.arguments)
        for hook in list(self.hooks["backward"].values()):
            given = _replaced(hook(self.module, given, self.grad_output), given)
        return tuple(given[i] for i in self.inputs)


class _Passage(Function):
    """Its inputs as they are; `on_grads` stands in the way of their gradients."""

    @staticmethod
    def forward(ctx, on_grads, *xs):
        ctx.on_grads = on_grads
        return tuple(x.view_as(x) for x in xs)

    @staticmethod
    def backward(ctx, *dys):
        return (None, *ctx.on_grads(*dys))


def _through(values: Any, positions: list[int], on_grads: Callable) -> list:
    """`values`, those at `positions` passed through a node whose gradients `on_grads` sees."""
    values = list(values)
    if positions:
        for i, passed in zip(positions, _Passage.apply(on_grads, *(values[i] for i in positions))):
            passed._passed_on = True
            values[i] = passed
    return values


def _differentiable(values: Any) -> list[int]:
    return [i for i, v in enumerate(values) if isinstance(v, Tensor) and v._requires_grad]


def _spread(grads: tuple, positions: list[int], count: int) -> tuple:
    found: list = [None] * count
    for i, grad in zip(positions, grads):
        found[i] = grad
    return tuple(found)


def _replaced(result: Any, given: tuple) -> tuple:
    """What a hook returned in the place of `given`. Raises RuntimeError for another number of gradients."""
    if result is None:
        return given
    result = result if isinstance(result, tuple) else (result,)
    if len(result) != len(given):
        raise RuntimeError(f"Backward hook returned an invalid number of grad_input, got {len(result)}, but expected "
                           f"{len(given)}")
    return result
