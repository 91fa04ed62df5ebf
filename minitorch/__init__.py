from . import ops
from .op import FUNCTIONS
from .tensor import Tensor
globals().update(FUNCTIONS)
