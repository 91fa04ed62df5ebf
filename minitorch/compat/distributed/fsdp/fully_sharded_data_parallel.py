"""`torch.distributed.fsdp` under the name of the file that PyTorch has it in."""
from minitorch.errors import absent_from

from . import *  # noqa: F403

__getattr__ = absent_from("torch.distributed.fsdp.fully_sharded_data_parallel", lambda: globals())
