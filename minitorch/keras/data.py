"""Batches (x, y, sample_weight) from what `fit` is given: arrays, generators, loaders, data sets."""
from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..op import FUNCTIONS
from ..tensor import Tensor
from . import backend
from .utils import PyDataset


class Batches:
    """An epoch's batches, anew at each iteration; `steps` is their number, None where it shows at the end.

    Raises ValueError where arrays differ in length, or y is given twice.
    """

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None, batch_size: int | None = None,
                 shuffle: bool = False, steps: int | None = None, class_weight: dict[int, float] | None = None):
        self._source, self._shuffle, self._class_weight = x, shuffle, class_weight
        self._arrays: Any = None
        self._endless: Any = None
        if _is_data(x):
            self._arrays = tuple(map(_arrays, (x, y, sample_weight)))
            counts = {len(a) for a in backend.flatten(self._arrays) if a is not None}
            if len(counts) > 1:
                raise ShapeError("Data cardinality is ambiguous. Make sure all arrays contain the same number of "
                                 f"samples. Got {sorted(counts)}")
            self._count, self._size = counts.pop(), batch_size or 32
            self.steps: int | None = math.ceil(self._count / self._size)
        else:
            if y is not None or sample_weight is not None:
                raise ValueError(f"`y` and `sample_weight` must come out of x where that is a {type(x).__name__}")
            self.steps = _length(x)
        self._limit = steps
        if steps is not None:
            self.steps = steps

    def __iter__(self) -> Iterator[tuple[Any, Any, Any]]:
        if self._arrays is not None:
            each = self._slices()
        elif hasattr(self._source, "__next__") or self._limit is not None:  # goes on where the last epoch ended
            self._endless = iter(self._source) if self._endless is None else self._endless
            each = map(three, self._endless)
        else:
            each = map(three, self._source)
        for x, y, weight in itertools.islice(each, self._limit):
            yield x, y, _with_classes(y, weight, self._class_weight)

    def epoch_end(self) -> None:
        if isinstance(self._source, PyDataset):
            self._source.on_epoch_end()

    def _slices(self) -> Iterator[tuple[Any, Any, Any]]:
        order = FUNCTIONS["randperm"](self._count).numpy() if self._shuffle else None
        while True:
            for i in range(0, self._count, self._size):
                rows: Any = slice(i, i + self._size) if order is None else order[i:i + self._size]
                yield tuple(backend.map_structure(lambda a, r=rows: None if a is None else a[r], part)
                            for part in self._arrays or ())  # type: ignore[misc]
            if self._limit is None:
                return


def _length(x: Any) -> int | None:
    """The number of batches, None where it shows at the end."""
    try:
        return len(x)
    except TypeError:
        return None


def split(arrays: tuple[Any, ...], share: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The first part and the last `share` of each array. Raises ValueError where one part is empty."""
    leaves = [a for a in backend.flatten(list(arrays)) if a is not None]
    if not all([isinstance(a, (np.ndarray, Tensor)) for a in leaves]):
        raise ValueError("`validation_split` is only supported for tensors or NumPy arrays, found "
                         f"{[type(a).__name__ for a in leaves]}")
    count = len(leaves[0])
    at = math.floor(count * (1 - share))
    if at in (0, count):
        raise ValueError(f"Training data contains {count} samples, which is not sufficient to split it into a "
                         f"validation and training set as specified by `validation_split={share}`.")

    def part(rows: slice) -> tuple[Any, ...]:
        return tuple(backend.map_structure(lambda a: None if a is None else a[rows], each) for each in arrays)

    return part(slice(0, at)), part(slice(at, None))


def _is_data(x: Any) -> bool:
    if isinstance(x, dict):
        return True
    if isinstance(x, (list, tuple)):
        return len(x) > 0
    return isinstance(x, (np.ndarray, Tensor)) or (hasattr(x, "__array__") and not hasattr(x, "__next__"))


def _arrays(x: Any) -> Any:
    """x with arrays in the place of lists of numbers; lists of arrays stand for several inputs."""
    if isinstance(x, dict):
        return {key: _arrays(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)) and all([hasattr(part, "shape") for part in x]) and np.ndim(x[0]):
        return [_arrays(part) for part in x]
    return x if x is None or isinstance(x, (np.ndarray, Tensor)) else np.asarray(x)


def three(batch: Any) -> tuple[Any, Any, Any]:
    """x, y and sample_weight of a batch x, (x,), (x, y) or (x, y, sample_weight). Raises ValueError for others."""
    if not isinstance(batch, (tuple, list)):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise ValueError(f"expected x, (x, y) or (x, y, sample_weight), got {len(batch)} members")
    return (*batch, *[None] * (3 - len(batch)))  # type: ignore[return-value]


def _with_classes(y: Any, weight: Any, class_weight: dict[int, float] | None) -> Any:
    if not class_weight:
        return weight
    labels = backend.as_array(y)
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] > 1 else labels[..., 0]
    by_class = np.array([class_weight.get(int(c), 1.0) for c in labels.ravel()], np.float32).reshape(labels.shape)
    return by_class if weight is None else by_class * backend.as_array(weight)
