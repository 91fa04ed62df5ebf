"""Fetching: from the indices that a sampler gave to a finished batch, the same in every kind of worker."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minitorch.utils.data.collate import default_collate
from minitorch.utils.data.dataset import Columns, IterableDataset, fetch_samples


@dataclass
class Job:
    """What to load and how; it is sent to the workers."""

    dataset: Any
    batched: bool  # indices come as lists, and samples are collated
    collate_fn: Callable
    drop_last: bool

    def fetcher(self):
        """A function from what the sampler gave to a batch; it raises StopIteration at a stream's end."""
        if isinstance(self.dataset, IterableDataset):
            return self._stream_fetcher()
        return self._map_fetcher

    def _map_fetcher(self, index):
        try:
            samples = fetch_samples(self.dataset, index) if self.batched else self.dataset[index]
            if isinstance(samples, Columns) and self.collate_fn is not default_collate:
                samples = list(samples)
            return self.collate_fn(samples)
        except StopIteration as error:  # must not look like the end of the epoch
            raise RuntimeError(f"DataLoader: fetching index {index} raised StopIteration") from error

    def _stream_fetcher(self):
        stream = iter(self.dataset)

        def fetch(index):
            if not self.batched:
                return self.collate_fn(next(stream))
            samples = list(itertools.islice(stream, len(index)))
            if not samples or (self.drop_last and len(samples) < len(index)):
                raise StopIteration
            return self.collate_fn(samples)

        return fetch
