"""`torch.distributed.tensor` by name: tensors of which each process holds a part.

How they are placed can be said, and no more.
"""
from __future__ import annotations

from dataclasses import dataclass

from minitorch._absent import several
from minitorch.errors import absent_from

globals().update(several("torch.distributed.tensor", "DTensor", "distribute_module distribute_tensor"))


class Placement:
    """Where the processes along one side of a grid have a tensor."""

    def is_shard(self, dim: int | None = None) -> bool:
        """Whether each has a part, cut along `dim` where given."""
        return isinstance(self, Shard) and dim in (None, self.dim)

    def is_replicate(self) -> bool:
        """Whether each has all of it."""
        return isinstance(self, Replicate)

    def is_partial(self, reduce_op: str | None = None) -> bool:
        """Whether each has a tensor of which the whole is to be made by `reduce_op`."""
        return isinstance(self, Partial) and reduce_op in (None, self.reduce_op)


@dataclass(frozen=True)
class Shard(Placement):
    """Each process has a part, cut along `dim`."""

    dim: int


@dataclass(frozen=True)
class Replicate(Placement):
    """Each process has all of it."""


@dataclass(frozen=True)
class Partial(Placement):
    """Each process has a tensor of the whole's shape; `reduce_op` over them makes it.

    >>> Partial("avg").is_partial(), Shard(1).is_shard(0)
    (True, False)
    """

    reduce_op: str = "sum"


__getattr__ = absent_from("torch.distributed.tensor", lambda: globals())
