"""A batch cut up over devices, and put together again."""
from __future__ import annotations

from typing import Any

from ...op import FUNCTIONS
from ...tensor import Tensor


def scatter(inputs: Any, target_gpus: Any, dim: int = 0) -> Any:
    """`inputs` with its tensors cut along `dim`, a piece a device; other values go to all. A list, a piece each.

    Raises NoCudaError where a device is a GPU that is not there.
    """
    devices = list(target_gpus)
    if isinstance(inputs, Tensor):
        return tuple(piece.to(where) for piece, where in zip(inputs.chunk(len(devices), dim), devices))
    if isinstance(inputs, (tuple, list)) and inputs:
        pieces = zip(*[scatter(x, devices, dim) for x in inputs])
        make = type(inputs)
        return [make(*piece) if hasattr(inputs, "_fields") else make(piece) for piece in pieces]
    if isinstance(inputs, dict) and inputs:
        return [type(inputs)(piece) for piece in
                zip(*[[(name, x) for x in scatter(value, devices, dim)] for name, value in inputs.items()])]
    return [inputs for _ in devices]


def scatter_kwargs(inputs: tuple, kwargs: dict | None, target_gpus: Any, dim: int = 0) -> tuple[tuple, tuple]:
    """The same for arguments and keyword arguments, in two tuples of one length."""
    args = list(scatter(inputs, target_gpus, dim)) if inputs else []
    named = list(scatter(kwargs, target_gpus, dim)) if kwargs else []
    args += [() for _ in range(len(named) - len(args))]
    named += [{} for _ in range(len(args) - len(named))]
    return tuple(args), tuple(named)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """The devices' results, tensors or lists, tuples and dicts of them, joined along `dim` on one device."""
    first = outputs[0]
    where = "cpu" if target_device == -1 else target_device
    if isinstance(first, Tensor):
        moved = [(x.unsqueeze(0) if x.ndim == 0 else x).to(where) for x in outputs]
        return FUNCTIONS["cat"](moved, dim)
    if first is None:
        return None
    if isinstance(first, dict):
        return type(first)((name, gather([x[name] for x in outputs], where, dim)) for name in first)
    joined = [gather(x, where, dim) for x in zip(*outputs)]
    return type(first)(*joined) if hasattr(first, "_fields") else type(first)(joined)
