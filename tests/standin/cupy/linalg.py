"""cupy.linalg over NumPy's."""
import numpy

from ._functions import namespace

globals().update(namespace("cupy.linalg", numpy.linalg))
