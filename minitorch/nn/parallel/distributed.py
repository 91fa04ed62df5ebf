"""Data parallelism over processes, of which there is one: the module itself, once the group is set up."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..module import Module


class DistributedDataParallel(Module):
    """Runs `module` as it is, under the name `module` that checkpoints of such models have.

    Raises ValueError before `distributed.init_process_group`, RuntimeError for a module without parameters that need
    a gradient. Gradients of a world of one process need no averaging, so that all options are accepted.
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0,
                 broadcast_buffers: bool | None = None, init_sync: bool = True, process_group: Any = None,
                 bucket_cap_mb: float | None = None, find_unused_parameters: bool = False,
                 check_reduction: bool = False, gradient_as_bucket_view: bool = False, static_graph: bool = False,
                 **options: Any) -> None:
        from minitorch.distributed import get_world_size

        get_world_size()  # raises where no process group is there
        super().__init__()
        if not any(p.requires_grad for p in module.parameters()):
            raise RuntimeError("DistributedDataParallel is not needed when a module doesn't have any parameter that "
                               "requires a gradient.")
        self.module, self.dim = module, dim
        self.device_ids, self.output_device = device_ids, output_device
        self.broadcast_buffers, self.find_unused_parameters = broadcast_buffers, find_unused_parameters
        self.process_group = process_group

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block whose gradients are not averaged over processes."""
        yield

    def join(self, *args: Any, **options: Any) -> Any:
        """Accepted around a block: no other process can end earlier."""
        return self.no_sync()

    def register_comm_hook(self, state: object, hook: Any) -> None:
        """Nothing: no gradients are communicated."""
