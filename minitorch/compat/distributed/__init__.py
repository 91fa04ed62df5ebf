"""`torch.distributed` for a world of one process: programs written for several run as they are, with one.

More processes than one are refused, by name, when the group is made.
"""
from __future__ import annotations

import copy
import importlib
import os
from enum import Enum
from typing import Any

from minitorch.errors import DistributedError, NoAttributeError
from minitorch.tensor import Tensor


class RedOpType(Enum):
    """How tensors are combined. Of one, each gives the tensor itself."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR, PREMUL_SUM = range(9)


class ReduceOp:
    """The ways to combine, as `ReduceOp.SUM`."""

    RedOpType = RedOpType
    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR, PREMUL_SUM = RedOpType


reduce_op = ReduceOp


class Backend(str):
    """The names of the ways to communicate."""

    UNDEFINED, GLOO, NCCL, MPI, UCC = "undefined", "gloo", "nccl", "mpi", "ucc"


class ProcessGroup:
    """The one process."""

    def __init__(self, backend: str):
        self.backend = backend

    def rank(self) -> int:
        return 0

    def size(self) -> int:
        return 1


class Work:
    """A communication that was done at once."""

    def wait(self, timeout: Any = None) -> bool:
        return True

    def is_completed(self) -> bool:
        return True


class group:
    """The group of all processes."""

    WORLD: ProcessGroup | None = None


GroupMember = group


def is_available() -> bool:
    """True: a world of one process can be set up."""
    return True


def is_initialized() -> bool:
    """Whether `init_process_group` has been called."""
    return group.WORLD is not None


def is_gloo_available() -> bool:
    """True: what gloo does among one process is done."""
    return True


def is_nccl_available() -> bool:
    """Whether there is a GPU, on which a world of one needs no NCCL."""
    from minitorch.cuda import is_available as cuda_is_available

    return cuda_is_available()


def is_mpi_available() -> bool:
    """False."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def init_process_group(backend: str | None = None, init_method: str | None = None, timeout: Any = None,
                       world_size: int = -1, rank: int = -1, store: Any = None, group_name: str = "",
                       pg_options: Any = None, device_id: Any = None) -> None:
    """Set up the world of one process; `world_size` and `rank` are 1 and 0, given or in WORLD_SIZE and RANK.

    Raises DistributedError for more processes, ValueError where neither is said.
    """
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    name = "gloo" if backend is None else backend.lower().split(",")[0].rpartition(":")[2]
    if name not in ("gloo", "nccl", "mpi"):
        raise ValueError(f"init_process_group: invalid backend {backend!r}; there are gloo, nccl")
    if name == "mpi" or (name == "nccl" and not is_nccl_available()):
        raise RuntimeError(f"Distributed package doesn't have {name.upper()} built in; use gloo")
    found = {}
    for variable, given in (("RANK", rank), ("WORLD_SIZE", world_size)):
        value = os.environ.get(variable) if given < 0 else given
        if value is None:
            raise ValueError("Error initializing torch.distributed using env:// rendezvous: environment variable "
                             f"{variable} expected, but not set")
        found[variable] = int(value)
    if found["WORLD_SIZE"] != 1:
        raise DistributedError(f"init_process_group: a world of {found['WORLD_SIZE']} processes is not there; "
                               "minitorch.distributed knows a world of one (world_size=1)")
    if found["RANK"] != 0:
        raise ValueError(f"init_process_group: rank {found['RANK']} is not in a world of one process")
    group.WORLD = ProcessGroup(name)


def destroy_process_group(group: Any = None) -> None:
    """End it."""
    _world()
    globals()["group"].WORLD = None


def _world() -> ProcessGroup:
    if group.WORLD is None:
        raise ValueError("Default process group has not been initialized, please make sure to call "
                         "init_process_group.")
    return group.WORLD


def get_rank(group: Any = None) -> int:
    """0. Raises ValueError before `init_process_group`, as all that follow do."""
    return _world().rank()


def get_world_size(group: Any = None) -> int:
    """1."""
    return _world().size()


def get_backend(group: Any = None) -> str:
    """The backend that was asked for."""
    return _world().backend


def get_process_group_ranks(group: Any = None) -> list[int]:
    """[0]."""
    return [_world().rank()]


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """LOCAL_RANK of the environment, else `fallback_rank`."""
    found = os.environ.get("LOCAL_RANK", fallback_rank)
    if found is None:
        raise RuntimeError("LOCAL_RANK is not in the environment. Consider passing fallback_rank")
    return int(found)


def new_group(ranks: Any = None, timeout: Any = None, backend: str | None = None, **options: Any) -> ProcessGroup:
    """A group of the one process."""
    if ranks is not None and list(ranks) != [0]:
        raise ValueError(f"new_group: expects ranks [0] in a world of one process, got {list(ranks)}")
    return ProcessGroup(backend or _world().backend)


def _done(async_op: bool) -> Work | None:
    return Work() if async_op else None


def _only(name: str, what: str, rank: Any) -> None:
    _world()
    if rank not in (0, None):
        raise ValueError(f"{name}: {what} {rank} is not in a world of one process")


# Among one process a tensor that is combined or handed round stays what it is

def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Nobody to wait for."""
    _world()
    return _done(async_op)


monitored_barrier = barrier


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """`tensor` stays as it is."""
    _world()
    return _done(async_op)


def reduce(tensor: Tensor, dst: int | None = None, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False,
           group_dst: int | None = None) -> Work | None:
    """`tensor` stays as it is."""
    _only("reduce", "dst", dst)
    return _done(async_op)


def broadcast(tensor: Tensor, src: int | None = None, group: Any = None, async_op: bool = False,
              group_src: int | None = None) -> Work | None:
    """`tensor` stays as it is."""
    _only("broadcast", "src", src)
    return _done(async_op)


def all_gather(tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False) -> Work | None:
    """`tensor` into the one of the list."""
    _world()
    if len(tensor_list) != 1:
        raise ValueError(f"all_gather: tensor_list expects one tensor a process, 1, got {len(tensor_list)}")
    tensor_list[0].copy_(tensor)
    return _done(async_op)


def all_gather_into_tensor(output_tensor: Tensor, input_tensor: Tensor, group: Any = None,
                           async_op: bool = False) -> Work | None:
    """`input_tensor` into `output_tensor`."""
    _world()
    output_tensor.copy_(input_tensor.view(output_tensor.shape))
    return _done(async_op)


def gather(tensor: Tensor, gather_list: list[Tensor] | None = None, dst: int | None = None, group: Any = None,
           async_op: bool = False, group_dst: int | None = None) -> Work | None:
    """`tensor` into the one of the list."""
    _only("gather", "dst", dst)
    return all_gather(gather_list or [], tensor, group, async_op)


def scatter(tensor: Tensor, scatter_list: list[Tensor] | None = None, src: int | None = None, group: Any = None,
            async_op: bool = False, group_src: int | None = None) -> Work | None:
    """The one of the list into `tensor`."""
    _only("scatter", "src", src)
    if scatter_list is None or len(scatter_list) != 1:
        raise ValueError("scatter: scatter_list expects one tensor a process, 1")
    tensor.copy_(scatter_list[0])
    return _done(async_op)


def reduce_scatter(output: Tensor, input_list: list[Tensor], op: Any = ReduceOp.SUM, group: Any = None,
                   async_op: bool = False) -> Work | None:
    """The one of the list into `output`."""
    return scatter(output, input_list, 0, group, async_op)


def reduce_scatter_tensor(output: Tensor, input: Tensor, op: Any = ReduceOp.SUM, group: Any = None,
                          async_op: bool = False) -> Work | None:
    """`input` into `output`."""
    return all_gather_into_tensor(output, input, group, async_op)


def all_to_all(output_tensor_list: list[Tensor], input_tensor_list: list[Tensor], group: Any = None,
               async_op: bool = False) -> Work | None:
    """The one tensor into the one."""
    return scatter(output_tensor_list[0], input_tensor_list, 0, group, async_op)


def broadcast_object_list(object_list: list[Any], src: int | None = None, group: Any = None, device: Any = None,
                          group_src: int | None = None) -> None:
    """The objects stay."""
    _only("broadcast_object_list", "src", src)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """A copy of `obj` into the list."""
    _world()
    object_list[0] = copy.deepcopy(obj)


def gather_object(obj: Any, object_gather_list: list[Any] | None = None, dst: int | None = None, group: Any = None,
                  group_dst: int | None = None) -> None:
    """A copy of `obj` into the list."""
    _only("gather_object", "dst", dst)
    if object_gather_list is not None:
        all_gather_object(object_gather_list, obj)


def scatter_object_list(scatter_object_output_list: list[Any], scatter_object_input_list: list[Any] | None = None,
                        src: int | None = None, group: Any = None, group_src: int | None = None) -> None:
    """The one object into the output list."""
    _only("scatter_object_list", "src", src)
    all_gather_object(scatter_object_output_list, (scatter_object_input_list or [None])[0])


def _alone(tensor: Tensor, dst: int | None = None, group: Any = None, tag: int = 0, **options: Any) -> None:
    """Raises DistributedError: in a world of one process there is nobody to send to or receive from."""
    _world()
    raise DistributedError("send and recv: in a world of one process there is no other")


send = recv = isend = irecv = _alone


def __getattr__(name: str) -> Any:
    if name in ("nn", "tensor", "fsdp", "optim", "device_mesh", "algorithms"):
        return importlib.import_module(f"{__name__}.{name}")
    if name in ("DeviceMesh", "init_device_mesh"):
        return getattr(importlib.import_module(f"{__name__}.device_mesh"), name)
    raise NoAttributeError(f"module 'torch.distributed' has no attribute '{name}' (a world of one process is all "
                           "there is)", name, lambda: globals())
