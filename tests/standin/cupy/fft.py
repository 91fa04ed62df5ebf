"""cupy.fft over NumPy's."""
import numpy

from ._functions import namespace

globals().update(namespace("cupy.fft", numpy.fft))
