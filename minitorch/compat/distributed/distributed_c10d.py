"""`torch.distributed` under the name of the file that PyTorch has it in."""
from __future__ import annotations

from minitorch.errors import absent_from

from . import *  # noqa: F403
from . import ProcessGroup, _world


def _get_default_group() -> ProcessGroup:
    """The group of all processes. Raises ValueError before `init_process_group`."""
    return _world()


__getattr__ = absent_from("torch.distributed.distributed_c10d", lambda: globals())
