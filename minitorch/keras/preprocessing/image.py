"""Images from files and as arrays."""
from ...errors import absent_from
from ..utils import array_to_img as array_to_img
from ..utils import img_to_array as img_to_array
from ..utils import load_img as load_img
from ..utils import save_img as save_img

__getattr__ = absent_from("keras.preprocessing.image", lambda: globals())
