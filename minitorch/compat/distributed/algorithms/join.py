"""`torch.distributed.algorithms.join` by name: processes that run out of data at different times."""
from minitorch._absent import several
from minitorch.errors import absent_from

globals().update(several("torch.distributed.algorithms.join", "Join Joinable JoinHook"))
__getattr__ = absent_from("torch.distributed.algorithms.join", lambda: globals())
