"""Keras's utilities: one-hot labels, seeds, padded sequences, data sets of batches."""
from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import absent_from
from ..ops.random import manual_seed
from .backend import as_array


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


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """x over its norm along `axis`."""
    x = as_array(x)
    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return x / np.expand_dims(norm, axis)


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


class PyDataset:
    """Data by batches: subclasses define `__len__` and `__getitem__(index)`, and maybe `on_epoch_end()`."""

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10):
        """All batches are made one after the other, whatever the arguments, which Keras makes them ahead by."""

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
