"""Python's `multiprocessing` under PyTorch's name, with tensors in shared memory and `spawn`.

Tensors travel to other processes by value, except those after `share_memory_()`: these are the same memory everywhere.
"""
from __future__ import annotations

import multiprocessing as _multiprocessing
from multiprocessing import *  # noqa: F403  Process, Queue, Pool, Value, Lock, get_context, ...
from multiprocessing import reduction as _reduction
from typing import TYPE_CHECKING, Any

from ..errors import NoAttributeError
from ..nn.parameter import Buffer, Parameter
from ..tensor import Tensor
from .sharing import reduce_tensor
from .spawn import ProcessContext, ProcessExitedException, ProcessRaisedException, SpawnContext, spawn, start_processes

if TYPE_CHECKING:
    from multiprocessing import Process

for _kind in (Tensor, Parameter, Buffer):
    _reduction.ForkingPickler.register(_kind, reduce_tensor)

_strategy = "file_system"


def get_all_sharing_strategies() -> set[str]:
    """How shared memory can be handed over: by the name of a file."""
    return {"file_system", "file_descriptor"}


def get_sharing_strategy() -> str:
    """What was set."""
    return _strategy


def set_sharing_strategy(new_strategy: str) -> None:
    """Remember it: a file's name it is in any case. Raises AssertionError for an unknown one."""
    global _strategy
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(f"set_sharing_strategy: expects one of {sorted(get_all_sharing_strategies())}, "
                             f"got {new_strategy!r}")
    _strategy = new_strategy


def __getattr__(name: str) -> Any:
    if hasattr(_multiprocessing, name):
        return getattr(_multiprocessing, name)
    raise NoAttributeError(f"module 'torch.multiprocessing' has no attribute '{name}'", name, lambda: globals())
