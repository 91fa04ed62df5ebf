"""Where older programs look for `pad_sequences`."""
from ...errors import absent_from
from . import sequence as sequence

__getattr__ = absent_from("keras.preprocessing", lambda: globals(), {
    "text": "Python's str.split and collections.Counter, with 'keras.utils.pad_sequences'",
    "image": "'keras.utils', which has load_img, img_to_array, array_to_img and save_img",
    "image_dataset_from_directory": "'torchvision.datasets.ImageFolder'"})
