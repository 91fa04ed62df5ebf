"""`Variable` under the module that it had."""
from . import Variable

__all__ = ["Variable"]
