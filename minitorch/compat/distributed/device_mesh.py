"""`torch.distributed.device_mesh` by name: processes in a grid, which takes several."""
from minitorch._absent import several
from minitorch.errors import absent_from

globals().update(several("torch.distributed.device_mesh", "DeviceMesh", "init_device_mesh"))
__getattr__ = absent_from("torch.distributed.device_mesh", lambda: globals())
