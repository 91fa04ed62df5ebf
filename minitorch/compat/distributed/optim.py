"""`torch.distributed.optim` by name: optimizers whose state is spread over processes."""
from minitorch.errors import absent_from

from ._several import several

globals().update(several("torch.distributed.optim", "DistributedOptimizer PostLocalSGDOptimizer ZeroRedundancyOptimizer"))
__getattr__ = absent_from("torch.distributed.optim", lambda: globals())
