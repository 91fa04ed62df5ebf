"""The collectives that gradients pass through, among one process: each returns what it was given."""
from __future__ import annotations

from typing import Any

from minitorch.errors import absent_from
from minitorch.tensor import Tensor

from . import ReduceOp, _only, _world


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None) -> Tensor:
    """The sum over all processes: a copy of `tensor`. Raises ValueError before `init_process_group`."""
    _world()
    return tensor.clone()


def reduce(tensor: Tensor, dst: int, op: Any = ReduceOp.SUM, group: Any = None) -> Tensor:
    """As `all_reduce`, for the process `dst`, which can only be 0."""
    _only("reduce", "dst", dst)
    return tensor.clone()


def broadcast(tensor: Tensor, src: int, group: Any = None) -> Tensor:
    """The tensor of the process `src`, which can only be 0: a copy of `tensor`."""
    _only("broadcast", "src", src)
    return tensor.clone()


def all_gather(tensor: Tensor, group: Any = None) -> tuple[Tensor, ...]:
    """The tensors of all processes: a tuple with a copy of `tensor`."""
    _world()
    return (tensor.clone(),)


def gather(tensor: Tensor, dst: int = 0, group: Any = None) -> tuple[Tensor, ...]:
    """As `all_gather`, for the process `dst`, which can only be 0."""
    _only("gather", "dst", dst)
    return (tensor.clone(),)


def scatter(tensors: list[Tensor], src: int = 0, group: Any = None) -> Tensor:
    """This process's tensor of the list that the process `src` holds: a copy of the only one."""
    _only("scatter", "src", src)
    return _single("scatter", "tensors", tensors).clone()


def reduce_scatter(output: Tensor, input_list: list[Tensor], op: Any = ReduceOp.SUM, group: Any = None) -> Tensor:
    """This process's part of the sums: a copy of the only one in `input_list`, in the shape of `output`."""
    _world()
    return _single("reduce_scatter", "input_list", input_list).reshape(output.shape).clone()


def all_to_all(output_tensor_list: list[Tensor], input_tensor_list: list[Tensor],
               group: Any = None) -> tuple[Tensor, ...]:
    """What every process has for this one: a tuple with a copy of the only input."""
    _world()
    return (_single("all_to_all", "input_tensor_list", input_tensor_list).clone(),)


def _single(function: str, argument: str, tensors: list[Tensor]) -> Tensor:
    if len(tensors) != 1:
        raise ValueError(f"{function}: {argument} expects one tensor a process, 1, got {len(tensors)}")
    return tensors[0]


__all__ = ["all_gather", "all_reduce", "all_to_all", "broadcast", "gather", "reduce", "reduce_scatter", "scatter"]
__getattr__ = absent_from("torch.distributed.nn", lambda: __all__)
