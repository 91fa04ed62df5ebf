"""`tf.data.Dataset`: samples one after the other, mapped, shuffled and put into batches as they are asked for."""
from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..op import FUNCTIONS
from ..tensor import Tensor
from . import backend

AUTOTUNE = -1


class Dataset:
    """Iterates anew each time; every method gives another data set.

    >>> ds = Dataset.from_tensor_slices(np.arange(5)).map(lambda x: x * 2).batch(2)
    >>> [batch.tolist() for batch in ds], len(ds)
    ([[0, 2], [4, 6], [8]], 3)
    """

    def __init__(self, begin: Callable[[], Iterator[Any]], size: int | None):
        self._begin, self._size = begin, size

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """The rows of arrays, which may lie in tuples and dicts."""
        arrays = _structure(lambda x: x if isinstance(x, Tensor) else np.asarray(x), tensors)
        sizes = {len(a) for a in backend.flatten(arrays)}
        if len(sizes) != 1:
            raise ValueError(f"from_tensor_slices: the arrays have different lengths: {sorted(sizes)}")
        n = sizes.pop()
        return Dataset(lambda: (_structure(lambda a, i=i: _tensor(a[i]), arrays) for i in range(n)), n)

    @staticmethod
    def from_tensors(tensors: Any) -> Dataset:
        """One sample."""
        return Dataset(lambda: iter([_structure(_tensor, tensors)]), 1)

    @staticmethod
    def from_generator(generator: Callable[..., Any], output_types: Any = None, output_shapes: Any = None,
                       args: Any = (), output_signature: Any = None) -> Dataset:
        """What generator(*args) yields."""
        return Dataset(lambda: (_structure(_tensor, x) for x in generator(*args)), None)

    @staticmethod
    def range(*limits: int) -> Dataset:
        """Integers, as Python's range."""
        return Dataset(lambda: map(_tensor, range(*limits)), len(range(*limits)))

    @staticmethod
    def zip(*datasets: Any) -> Dataset:
        """Tuples of the samples of several data sets."""
        parts = datasets[0] if len(datasets) == 1 else datasets
        sizes = [part._size for part in parts]
        return Dataset(lambda: zip(*parts), None if None in sizes else min(sizes))

    def __iter__(self) -> Iterator[Any]:
        return self._begin()

    def __len__(self) -> int:
        if self._size is None:
            raise TypeError("The dataset length is unknown.")
        return self._size

    def cardinality(self) -> int:
        """The number of samples, -2 where it is not known."""
        return -2 if self._size is None else self._size

    def map(self, map_func: Callable[..., Any], num_parallel_calls: Any = None, deterministic: Any = None) -> Dataset:
        """map_func of each sample, whose members come as arguments."""
        return Dataset(lambda: (map_func(*x) if isinstance(x, tuple) else map_func(x) for x in self), self._size)

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """The samples for which the predicate holds."""
        return Dataset(lambda: (x for x in self if (predicate(*x) if isinstance(x, tuple) else predicate(x))), None)

    def batch(self, batch_size: int, drop_remainder: bool = False, num_parallel_calls: Any = None) -> Dataset:
        """So many samples stacked."""
        def begin() -> Iterator[Any]:
            samples = iter(self)
            while group := list(itertools.islice(samples, batch_size)):
                if len(group) == batch_size or not drop_remainder:
                    yield _stacked(group)

        n = self._size
        return Dataset(begin, None if n is None else n // batch_size if drop_remainder else -(-n // batch_size))

    def unbatch(self) -> Dataset:
        """The samples of the batches."""
        def begin() -> Iterator[Any]:
            for batch in self:
                for i in range(len(backend.flatten(batch)[0])):
                    yield _structure(operator.itemgetter(i), batch)

        return Dataset(begin, None)

    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True) -> Dataset:
        """In random order, drawn from the next `buffer_size` samples, anew each time."""
        from .layers.core import seeded

        generator = seeded(seed)

        def begin() -> Iterator[Any]:
            waiting: list[Any] = []
            for x in self:
                waiting.append(x)
                if len(waiting) >= buffer_size:
                    yield waiting.pop(int(FUNCTIONS["randint"](len(waiting), (), generator=generator)))
            for i in FUNCTIONS["randperm"](len(waiting), generator=generator).tolist():
                yield waiting[i]

        return Dataset(begin, self._size)

    def repeat(self, count: int | None = None) -> Dataset:
        """So many times, or for ever."""
        times = itertools.count() if count in (None, -1) else range(count)  # type: ignore[arg-type]
        known = None if self._size is None or count in (None, -1) else self._size * count  # type: ignore[operator]
        return Dataset(lambda: (x for _ in times for x in self), known)

    def take(self, count: int) -> Dataset:
        """The first samples."""
        return Dataset(lambda: itertools.islice(self, None if count < 0 else count),
                       None if self._size is None else self._size if count < 0 else min(self._size, count))

    def skip(self, count: int) -> Dataset:
        """Without the first samples."""
        return Dataset(lambda: itertools.islice(self, count, None),
                       None if self._size is None else max(self._size - count, 0))

    def concatenate(self, dataset: Dataset) -> Dataset:
        """And then another's samples."""
        sizes = (self._size, dataset._size)
        return Dataset(lambda: itertools.chain(self, dataset), None if None in sizes else sum(sizes))  # type: ignore[arg-type]

    def enumerate(self, start: int = 0) -> Dataset:
        """Pairs of numbers and samples."""
        return Dataset(lambda: enumerate(self, start), self._size)

    def window(self, size: int, shift: int | None = None, stride: int = 1, drop_remainder: bool = False) -> Dataset:
        """Data sets of `size` samples, each beginning `shift` later than the one before."""
        def begin() -> Iterator[Any]:
            samples = list(self)
            for i in range(0, len(samples), shift or size):
                part = samples[i:i + size * stride:stride]
                if len(part) == size or not drop_remainder:
                    yield Dataset(functools.partial(iter, part), len(part))

        return Dataset(begin, None)

    def flat_map(self, map_func: Callable[..., Any]) -> Dataset:
        """The samples of the data sets that map_func gives."""
        return Dataset(lambda: (y for x in self for y in (map_func(*x) if isinstance(x, tuple) else map_func(x))), None)

    def cache(self, filename: Any = "") -> Dataset:
        """The samples are kept in memory after the first time."""
        kept: list[Any] = []

        def begin() -> Iterator[Any]:
            if not kept:
                kept.extend(self)
            return iter(kept)

        return Dataset(begin, self._size)

    def prefetch(self, buffer_size: Any) -> Dataset:
        """The same: samples are made when they are asked for."""
        return self

    def with_options(self, options: Any) -> Dataset:
        """The same."""
        return self

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The samples as NumPy arrays."""
        return (_structure(backend.as_array, x) for x in self)


def _tensor(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        return x
    return backend.as_tensor(array, str(array.dtype) if array.dtype.kind == "f" else None)


def _structure(f: Any, x: Any) -> Any:
    """`f` of each member of tuples and dicts; a list is an array."""
    if isinstance(x, dict):
        return {key: _structure(f, value) for key, value in x.items()}
    return tuple(_structure(f, part) for part in x) if isinstance(x, tuple) else f(x)


def _stacked(samples: list[Any]) -> Any:
    first = samples[0]
    if isinstance(first, dict):
        return {key: _stacked([s[key] for s in samples]) for key in first}
    if isinstance(first, tuple):
        return tuple(_stacked(list(column)) for column in zip(*samples))
    return FUNCTIONS["stack"](samples) if isinstance(first, Tensor) else np.stack(samples)
