"""Datasets: a map from an index to a sample, or a stream of samples, and ways to combine them."""

import bisect
import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """A map from an index to a sample. Subclasses define `__getitem__` and, for most samplers, `__len__`.

    A subclass may also define `__getitems__(indices)`, which returns the samples of a whole batch at once;
    the DataLoader uses it unless a more derived class redefines `__getitem__`.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, index):
    ...         return index**2
    >>> Squares()[3]
    9
    """

    def __getitem__(self, index) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__")

    def __add__(self, other):
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """A stream of samples: subclasses define `__iter__`.

    With several workers every worker iterates its own (shallow) copy; `get_worker_info()` in `__iter__` tells it
    which share of the stream to produce.
    """

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")

    def __add__(self, other):
        return ChainDataset([self, other])


class Columns(Sequence):
    """A batch of samples held as columns: field j of sample i is `columns[j][i]`.

    `default_collate` takes the columns as they are, so a batch costs one indexing operation a field.
    """

    def __init__(self, columns, length):
        self.columns = columns
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.length))]
        if not -self.length <= index < self.length:
            raise IndexError(f"sample {index} of a batch of {self.length}")
        return tuple(column[index] for column in self.columns)


class TensorDataset(Dataset):
    """Samples are tuples of rows: sample i is `(tensors[0][i], tensors[1][i], ...)`.

    >>> import minitorch
    >>> TensorDataset(minitorch.tensor([[1, 2], [3, 4]]), minitorch.tensor([0, 1]))[1]
    (tensor([3, 4]), tensor(1))
    """

    def __init__(self, *tensors):
        lengths = [len(tensor) for tensor in tensors]
        if len(set(lengths)) > 1:
            raise AssertionError(f"TensorDataset: Size mismatch between tensors: expected equal lengths, got {lengths}")
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices):
        return Columns([tensor[indices] for tensor in self.tensors], len(indices))

    def __len__(self):
        return len(self.tensors[0])


class StackDataset(Dataset):
    """Several datasets side by side: a sample is a tuple of their samples, or a dict for keyword arguments.

    >>> StackDataset(image="ab", label=[0, 1])[1]
    {'image': 'b', 'label': 1}
    """

    def __init__(self, *args, **kwargs):
        if bool(args) == bool(kwargs):
            raise ValueError("StackDataset: expected datasets as positional or as keyword arguments, not both or none")
        self.datasets = kwargs or args
        lengths = [len(dataset) for dataset in self._members()]
        if len(set(lengths)) > 1:
            raise ValueError(f"StackDataset: expected datasets of equal length, got lengths {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index):
        return self._sample([dataset[index] for dataset in self._members()])

    def __getitems__(self, indices):
        fields = [fetch_samples(dataset, indices) for dataset in self._members()]
        return [self._sample(values) for values in zip(*fields)]

    def __len__(self):
        return self._length

    def _members(self):
        return self.datasets.values() if isinstance(self.datasets, dict) else self.datasets

    def _sample(self, values):
        return dict(zip(self.datasets, values)) if isinstance(self.datasets, dict) else tuple(values)


class ConcatDataset(Dataset):
    """One dataset after another.

    >>> ConcatDataset([range(3), range(10, 12)])[-1]
    11
    """

    def __init__(self, datasets):
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: expected at least one dataset, got none")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset: expected map-style datasets, got an IterableDataset; use ChainDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self):
        return self.cumulative_sizes[-1]

    def __getitem__(self, index):
        if index < 0:
            if -index > len(self):
                raise ValueError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
            index += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        if which == len(self.datasets):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - before]


class ChainDataset(IterableDataset):
    """One stream after another."""

    def __init__(self, datasets):
        self.datasets = datasets

    def __iter__(self):
        for dataset in self._streams():
            yield from dataset

    def __len__(self):
        return sum(len(dataset) for dataset in self._streams())

    def _streams(self):
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError(f"ChainDataset: expected IterableDatasets, got {type(dataset).__name__}")
            yield dataset


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`.

    >>> Subset("abcd", [3, 0])[0]
    'd'
    """

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index):
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices):
        return fetch_samples(self.dataset, [self.indices[i] for i in indices])

    def __len__(self):
        return len(self.indices)


def random_split(dataset, lengths, generator=None):
    """Split `dataset` at random into `Subset`s of the given lengths, or of fractions that sum to 1.

    Fractions are rounded down; samples left over go to the subsets in turn. The permutation is drawn from
    `generator` (the global one by default), as PyTorch draws it.

    Raises ValueError where the lengths do not add up to `len(dataset)`.

    >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
    [8, 2]
    """
    import minitorch

    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _lengths_of_fractions(lengths, len(dataset))
    if sum(lengths) != len(dataset):
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! "
            f"random_split: lengths {list(lengths)} sum to {sum(lengths)}, the dataset has {len(dataset)} samples"
        )
    indices = minitorch.randperm(len(dataset), generator=generator).tolist()
    ends = itertools.accumulate(lengths)
    return [Subset(dataset, indices[end - length : end]) for end, length in zip(ends, lengths)]


def _lengths_of_fractions(fractions, total):
    for i, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"random_split: Fraction at index {i} is not between 0 and 1, got {fraction}")
    lengths = [math.floor(total * fraction) for fraction in fractions]
    for i in range(total - sum(lengths)):
        lengths[i % len(lengths)] += 1
    for i, length in enumerate(lengths):
        if length == 0:
            warnings.warn(f"random_split: split {i} of {total} samples is empty", stacklevel=3)
    return lengths


def fetch_samples(dataset, indices):
    """The samples at `indices` as a sequence, by one call where the dataset offers it."""
    if _fetches_batches(dataset):
        return dataset.__getitems__(indices)
    return [dataset[index] for index in indices]


def _fetches_batches(dataset):
    """Whether `dataset.__getitems__` may stand for `__getitem__`.

    A class that redefines `__getitem__` only must not be bypassed by the `__getitems__` that it inherits.
    """
    if not callable(getattr(dataset, "__getitems__", None)):
        return False
    for cls in type(dataset).__mro__:
        if "__getitems__" in vars(cls):
            return True
        if "__getitem__" in vars(cls):
            return False
    return True
