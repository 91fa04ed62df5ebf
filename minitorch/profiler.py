"""`torch.profiler`: of it only the names for parts of a program, which cost nothing without a profiler."""
from .autograd.profiler import record_function
from .errors import absent_from

__all__ = ["record_function"]

__getattr__ = absent_from(__name__, lambda: __all__)
