"""cupy.lib.stride_tricks."""
import numpy

from .._functions import namespace

globals().update(namespace("cupy.lib.stride_tricks", numpy.lib.stride_tricks))
