"""Keras's utilities: one-hot labels, seeds, padded sequences, data sets of batches."""
from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import absent_from
from ..ops.random import manual_seed
from .backend import as_array
from .serialization import custom_object_scope as custom_object_scope
from .serialization import get_custom_objects as get_custom_objects
from .serialization import register_keras_serializable as register_keras_serializable


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Class indices as rows with a 1, float32. Raises IndexError for a class that there is not.

    >>> to_categorical([0, 2], 3)
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    x = as_array(x).astype(np.int64)
    if x.ndim > 1 and x.shape[-1] == 1:
        x = x.squeeze(-1)
    n = num_classes or int(x.max()) + 1
    return np.eye(n, dtype=np.float32)[x]


def set_random_seed(seed: int) -> None:
    """Seed the generators of Python, NumPy and minitorch."""
    random.seed(seed)
    np.random.seed(seed)
    manual_seed(seed)


def pad_sequences(sequences: Any, maxlen: int | None = None, dtype: Any = "int32", padding: str = "pre",
                  truncating: str = "pre", value: Any = 0.0) -> np.ndarray:
    """Sequences of different lengths as one array, filled with `value` ("pre": in front), cut to `maxlen`.

    >>> pad_sequences([[1], [2, 3]])
    array([[0, 1],
           [2, 3]], dtype=int32)
    """
    for name, where in (("padding", padding), ("truncating", truncating)):
        if where not in ("pre", "post"):
            raise ValueError(f"pad_sequences: expected {name} to be 'pre' or 'post', got {where!r}")
    length = max(map(len, sequences), default=0) if maxlen is None else maxlen
    shape = next((np.shape(s)[1:] for s in sequences if len(s)), ())
    result = np.full((len(sequences), length, *shape), value, dtype)
    for row, sequence in zip(result, sequences):
        kept = (sequence[-length:] if truncating == "pre" else sequence[:length]) if length else []
        if len(kept):
            row[slice(-len(kept), None) if padding == "pre" else slice(len(kept))] = kept
    return result


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = "float32") -> np.ndarray:
    """A Pillow image as (H, W, C)."""
    array = np.asarray(img, dtype)
    return array[..., None] if array.ndim == 2 else array


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """(H, W, C) as a Pillow image; with `scale` its values are spread over 0 to 255."""
    from PIL import Image

    x = as_array(x).astype("float32")
    if scale:
        x = x - x.min()
        x = x / max(float(x.max()), 1e-30) * 255
    return Image.fromarray(x[..., 0].astype("uint8") if x.shape[-1] == 1 else x.astype("uint8"))


def load_img(path: Any, color_mode: str = "rgb", target_size: Any = None, interpolation: str = "nearest") -> Any:
    """A Pillow image from a file, of size `target_size` (height, width) where given."""
    from PIL import Image

    image = Image.open(path).convert({"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}[color_mode])
    method = getattr(Image.Resampling, interpolation.upper())
    return image if target_size is None else image.resize(tuple(target_size)[::-1], method)


def save_img(path: Any, x: Any, data_format: str | None = None, file_format: Any = None, scale: bool = True) -> None:
    """Write (H, W, C) as a file of an image."""
    array_to_img(x, scale=scale).save(path, format=file_format)


class PyDataset:
    """Data by batches: subclasses define `__len__` and `__getitem__(index)`, and maybe `on_epoch_end()`."""

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10):
        """All batches are made one after the other, whatever the arguments."""

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}: a data set defines __len__()")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: a data set defines __getitem__(index)")

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


Sequence = PyDataset
__getattr__ = absent_from("keras.utils", lambda: globals())
