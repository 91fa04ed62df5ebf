"""`torch.distributed.tensor` by name: tensors of which each process holds a part."""
from minitorch.errors import absent_from

from .._several import several

globals().update(several("torch.distributed.tensor", "DTensor Placement Partial Replicate Shard", "distribute_module distribute_tensor"))
__getattr__ = absent_from("torch.distributed.tensor", lambda: globals())
