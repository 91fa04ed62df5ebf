"""Memory for time: a part of a model keeps only its inputs in the forward pass, and is run again in backward."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from contextlib import contextmanager, nullcontext
from typing import Any

from .. import autograd
from ..autograd.graph import saved_tensors_hooks
from ..engine import enable_grad, mode
from ..ops.random import put_back, states
from ..tensor import Tensor
from ._pytree import tree_leaves, tree_map

__all__ = ["CheckpointError", "CheckpointFunction", "checkpoint", "checkpoint_sequential", "detach_variable",
           "get_device_states", "noop_context_fn", "set_checkpoint_debug_enabled", "set_device_states"]


class CheckpointError(RuntimeError):
    """The second run did not keep what the first one did."""


def noop_context_fn() -> tuple:
    """Contexts for the two runs that do nothing."""
    return nullcontext(), nullcontext()


def checkpoint(function: Callable, *args: Any, use_reentrant: bool | None = None,
               context_fn: Callable = noop_context_fn, determinism_check: str = "default", debug: bool = False,
               early_stop: bool = True, preserve_rng_state: bool = True, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)`, whose intermediate values are dropped, and computed again when backward needs them.

    Without `use_reentrant` all of autograd works as without the checkpoint. With it the second run is a backward pass
    within the backward pass: some input must require a gradient, and `autograd.grad` does not reach what `function`
    takes from outside. With `preserve_rng_state` both runs draw the same random numbers. `context_fn` returns two
    context managers, for the first and the second run. Raises CheckpointError where the second run differs.

    >>> import minitorch as torch
    >>> x = torch.tensor(2.0, requires_grad=True)
    >>> checkpoint(lambda x: (x * x) ** 2, x, use_reentrant=False).backward()
    >>> x.grad
    tensor(32.)
    """
    if use_reentrant is None:
        warnings.warn("torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. Starting in "
                      "PyTorch 2.9, calling checkpoint without use_reentrant will raise an exception. "
                      "use_reentrant=False is recommended.", stacklevel=2)
        use_reentrant = True
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve_rng_state, *args)
    forward, again = context_fn()
    if not mode.grad:
        with forward:
            return function(*args, **kwargs)
    run = _Frame(function, args, kwargs, again, preserve_rng_state, determinism_check)
    with forward, saved_tensors_hooks(run.pack, run.unpack):
        return function(*args, **kwargs)


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None,
                          **kwargs: Any) -> Any:
    """Run modules one after the other, in `segments` pieces, each but the last under a checkpoint."""
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant is None:
        warnings.warn("torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be passed "
                      "explicitly. use_reentrant=False is recommended.", stacklevel=2)
        use_reentrant = True
    parts = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def piece(start: int, end: int) -> Callable:
        def forward(x):
            for part in parts[start:end]:
                x = part(x)
            return x
        return forward

    size = len(parts) // segments
    start = 0
    for start in range(0, size * (segments - 1), size or 1):
        input = checkpoint(piece(start, start + size), input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return piece(size * (segments - 1), len(parts))(input)


def detach_variable(inputs: Iterable[Any]) -> tuple:
    """The tensors among `inputs` outside of the graph; they need gradients as before."""
    return tuple([_detached(x) for x in inputs])


@contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Any:
    """Accepted; the errors here say what differed without it."""
    yield


class CheckpointFunction(autograd.Function):
    """The reentrant way: its backward runs the function again with gradients, and goes back through that."""

    @staticmethod
    def forward(ctx, run_function, preserve_rng_state, *args):
        ctx.run_function, ctx.rng = run_function, states() if preserve_rng_state else None
        ctx.autocast = mode.autocast
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.others = [None if isinstance(a, Tensor) else a for a in args]
        ctx.save_for_backward(*[args[i] for i in ctx.places])
        if mode.saving is None and not any(n for n in ctx.needs_input_grad):
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=4)
        return run_function(*args)

    @staticmethod
    def backward(ctx, *grads):
        args = list(ctx.others)
        for i, t in zip(ctx.places, ctx.saved_tensors):
            args[i] = t
        args = detach_variable(args)
        with _replayed(ctx.rng, ctx.autocast), enable_grad():
            outputs = ctx.run_function(*args)
        flat = [outputs] if isinstance(outputs, Tensor) else outputs
        pairs = [(y, g) for y, g in zip(flat, grads) if isinstance(y, Tensor) and y.requires_grad]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        autograd.backward([y for y, _ in pairs], [g for _, g in pairs])
        return (None, None, *[a._grad if isinstance(a, Tensor) else None for a in args])


class _Frame:
    """One checkpoint: counts what the first run would have kept, and gets it all from the second."""

    def __init__(self, function: Callable, args: tuple, kwargs: dict, context: Any, preserve: bool, check: str):
        self.function, self.args, self.kwargs, self.context, self.check = function, args, kwargs, context, check
        self.rng, self.autocast = states() if preserve else None, mode.autocast
        self.count = 0
        self.forms: list[tuple] = []
        self.values: dict[int, Tensor] = {}
        for t in tree_leaves((args, kwargs)):
            if isinstance(t, Tensor):
                t._version_list()

    def pack(self, t: Tensor) -> int:
        self.forms.append((t._array.shape, t._array.dtype))
        self.count += 1
        return self.count - 1

    def unpack(self, number: int) -> Tensor:
        if number not in self.values:
            self._again()
        return self.values[number] if mode.grad else self.values.pop(number)

    def _again(self) -> None:
        found: list[Tensor] = []

        def keep(t):
            found.append(t)
            return t

        args, kwargs = tree_map(_detached, (self.args, self.kwargs))
        with _replayed(self.rng, self.autocast), enable_grad(), self.context, saved_tensors_hooks(keep, lambda t: t):
            self.function(*args, **kwargs)
        if len(found) != self.count:
            raise CheckpointError("torch.utils.checkpoint: A different number of tensors was saved during the original "
                                  f"forward and recomputation. Number of tensors saved during forward: {self.count}. "
                                  f"Number of tensors saved during recomputation: {len(found)}.")
        for i, (t, form) in enumerate(zip(found, self.forms)):
            if self.check != "none" and (t._array.shape, t._array.dtype) != form:
                raise CheckpointError("torch.utils.checkpoint: Recomputed values for the following tensors have "
                                      "different metadata than during the forward pass. tensor at position "
                                      f"{i}: saved {form}, recomputed {(t._array.shape, t._array.dtype)}")
        self.values = dict(enumerate(found))


def _detached(x: Any) -> Any:
    return x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x


def get_device_states(*args: Any) -> tuple[list[int], list[Tensor]]:
    """The numbers of the GPUs that the tensors in `args` lie on, and the states of their random numbers.

    >>> get_device_states(Tensor([1.0]))
    ([], [])
    """
    from .. import cuda

    found = {x.device.index or 0 for x in tree_leaves(args) if isinstance(x, Tensor) and x.device.type == "cuda"}
    devices = sorted(found)
    return devices, [cuda.get_rng_state(device) for device in devices]


def set_device_states(devices: Iterable[int], states: Iterable[Tensor], *, device_type: str | None = None) -> None:
    """Put the random numbers of GPUs back to what `get_device_states` found.

    >>> set_device_states([], [])
    """
    from .. import cuda

    for device, state in zip(devices, states, strict=False):
        cuda.set_rng_state(state, device)


@contextmanager
def _replayed(rng: list | None, autocast: Any) -> Any:
    """The random numbers and the autocasting of the first run; afterwards those of now."""
    now, cast, mode.autocast = states(), mode.autocast, autocast
    if rng is not None:
        put_back(rng)
    try:
        yield
    finally:
        mode.autocast = cast
        if rng is not None:
            put_back(now)
