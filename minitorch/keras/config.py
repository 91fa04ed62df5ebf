"""`keras.config`: the float type and the like."""
from ..errors import absent_from
from .backend import backend as backend
from .backend import epsilon as epsilon
from .backend import floatx as floatx
from .backend import image_data_format as image_data_format
from .backend import set_epsilon as set_epsilon
from .backend import set_floatx as set_floatx

__getattr__ = absent_from("keras.config", lambda: globals())
