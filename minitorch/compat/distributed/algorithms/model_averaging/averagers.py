"""`torch.distributed.algorithms.model_averaging.averagers` by name: the mean of the models of several processes."""
from minitorch._absent import several
from minitorch.errors import absent_from

globals().update(several("torch.distributed.algorithms.model_averaging.averagers",
                         "ModelAverager PeriodicModelAverager"))
__getattr__ = absent_from("torch.distributed.algorithms.model_averaging.averagers", lambda: globals())
