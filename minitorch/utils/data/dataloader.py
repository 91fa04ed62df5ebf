"""The DataLoader: batches of a dataset, in the order of a sampler, fetched here or ahead of time by workers."""
from __future__ import annotations

import itertools
import warnings
from typing import Generic, TypeVar

from minitorch.errors import check_keywords
from minitorch.utils.data.collate import default_collate, default_convert
from minitorch.utils.data.dataset import IterableDataset
from minitorch.utils.data.iterate import Iterator, Progress, SerialIterator, WorkerIterator
from minitorch.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from minitorch.utils.data.workers import get_worker_info  # noqa: F401

T_co = TypeVar("T_co", covariant=True)
_BaseDataLoaderIter = Iterator  # under their names in PyTorch libraries ask for them
_SingleProcessDataLoaderIter, _MultiProcessingDataLoaderIter = SerialIterator, WorkerIterator


class _DatasetKind:
    """What `DataLoader._dataset_kind` says."""

    Map, Iterable = 0, 1


class DataLoader(Generic[T_co]):
    """Iterate over `dataset` in batches.

    Shuffling draws what PyTorch draws, from the global generator or from `generator`. `num_workers` > 0 loads up to
    `prefetch_factor` batches a worker ahead of time: in threads, or with `multiprocessing_context="spawn"` in
    processes. Each worker has random generators of its own, also of `random` and `numpy.random`, seeded as PyTorch
    seeds them. Batches keep their order (unless `in_order` is False), and a worker's exception is raised where its
    batch is asked for.

    `state_dict()` tells where the current epoch stands; `load_state_dict()` lets the next iteration go on from there
    with the same batches. The global random state is the caller's to save and restore.

    Raises ValueError for arguments that exclude each other, RuntimeError where a worker process dies or a batch
    takes longer than `timeout` seconds.

    >>> list(DataLoader(range(5), batch_size=2))
    [tensor([0, 1]), tensor([2, 3]), tensor([4])]
    """

    _frozen = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")
    _initialized = False
    _reported_length = None  # of a stream, once `len` was asked for

    def __new__(cls, *args, **keywords):
        check_keywords(cls, keywords)
        return super().__new__(cls)

    def __init__(
        self,
        dataset,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler=None,
        batch_sampler=None,
        num_workers: int = 0,
        collate_fn=None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn=None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ):
        _check_worker_arguments(num_workers, timeout, prefetch_factor, persistent_workers)
        streams = isinstance(dataset, IterableDataset)
        if streams:
            _check_stream_arguments(shuffle, sampler, batch_sampler)
        _check_batch_arguments(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if sampler is None:
            if streams:
                sampler = _Endless()
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)

        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = _worker_context(multiprocessing_context, num_workers)
        self.generator = generator
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._progress: Progress | None = None  # of the latest iteration
        self._resume: dict | None = None  # a state for the next iteration to go on from
        self._iterator: WorkerIterator | None = None
        self._initialized = True

    def __setattr__(self, name, value):
        if self._initialized and name in self._frozen:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    def __iter__(self):
        state, self._resume = self._resume, None
        if self._iterator is not None:
            self._iterator.begin(self, state)
            return self._iterator
        iterator = WorkerIterator(self, state) if self.num_workers else SerialIterator(self, state)
        if self.persistent_workers:
            self._iterator = iterator
        return iterator

    def __len__(self):
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        length = len(self.dataset)
        if self.batch_size is not None:
            length = length // self.batch_size if self.drop_last else -(-length // self.batch_size)
        self._reported_length = length
        return length

    @property
    def _dataset_kind(self) -> int:
        return _DatasetKind.Iterable if isinstance(self.dataset, IterableDataset) else _DatasetKind.Map

    @property
    def _index_sampler(self):
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def state_dict(self) -> dict:
        """Where the current iteration stands: enough for `load_state_dict` to go on with the very next batch.

        A stream (IterableDataset) is fetched again up to that point, unless it has a `state_dict` of its own and no
        workers are used. Raises RuntimeError for `in_order=False`, where there is no such point.
        """
        if not self.in_order:
            raise RuntimeError("DataLoader.state_dict: needs in_order=True, got in_order=False")
        state = dict(self._resume or {})
        progress = self._progress
        if progress is not None and (self.persistent_workers or not progress.finished):
            state = progress.state()
        if self.generator is not None:
            state["generator"] = self.generator.get_state()
        if self._stream_has_state():
            state["dataset"] = self.dataset.state_dict()
        return state

    def load_state_dict(self, state: dict):
        """Let the next iteration go on where the one stood that `state` was taken of.

        Raises ValueError where that one had another number of workers, whose random draws could not be repeated.
        """
        if "workers" in state and len(state["workers"]) != self.num_workers:
            raise ValueError(
                f"DataLoader.load_state_dict: the state is of a loader with {len(state['workers'])} workers, "
                f"this one has {self.num_workers}"
            )
        if self.generator is not None and "generator" in state:
            self.generator.set_state(state["generator"])
        if self._stream_has_state() and "dataset" in state:
            self.dataset.load_state_dict(state["dataset"])
        going_on = "base_seed" in state
        self._resume = {key: state[key] for key in ("base_seed", "workers", "start", "position")} if going_on else None
        self._progress = None

    def _stream_has_state(self):
        return (
            isinstance(self.dataset, IterableDataset)
            and self.num_workers == 0
            and hasattr(self.dataset, "state_dict")
            and hasattr(self.dataset, "load_state_dict")
        )


class _Endless(Sampler):
    """Stands for the indices of a stream, which has none and ends by itself."""

    def __iter__(self):
        return itertools.repeat(None)


def _check_worker_arguments(num_workers, timeout, prefetch_factor, persistent_workers):
    if num_workers < 0:
        raise ValueError(f"DataLoader: num_workers option should be non-negative, got {num_workers}")
    if timeout < 0:
        raise ValueError(f"DataLoader: timeout option should be non-negative, got {timeout}")
    if prefetch_factor is not None and prefetch_factor <= 0:
        raise ValueError(f"DataLoader: prefetch_factor option should be positive, got {prefetch_factor}")
    if num_workers == 0:
        for name, value in {
            "timeout": timeout,
            "prefetch_factor": prefetch_factor,
            "persistent_workers": persistent_workers,
        }.items():
            if value:
                raise ValueError(f"DataLoader: {name} option needs num_workers > 0, got {name}={value}")


def _check_stream_arguments(shuffle, sampler, batch_sampler):
    for name, value in {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}.items():
        if value is not None:
            raise ValueError(f"DataLoader with IterableDataset: expected unspecified {name} option, got {name}={value}")


def _check_batch_arguments(batch_size, shuffle, sampler, batch_sampler, drop_last):
    if sampler is not None and shuffle:
        raise ValueError("DataLoader: sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError(
            "DataLoader: batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
        )
    if batch_size is None and drop_last:
        raise ValueError("DataLoader: batch_size=None option disables auto-batching and excludes drop_last")


def _worker_context(context, num_workers):
    """The multiprocessing context to start workers in; None for threads."""
    if context is None:
        return None
    import multiprocessing
    from multiprocessing.context import BaseContext

    if num_workers == 0:
        raise ValueError("DataLoader: multiprocessing_context can only be used with num_workers > 0, got num_workers=0")
    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(f"DataLoader: multiprocessing_context should be one of {methods}, got {context!r}")
        context = multiprocessing.get_context(context)
    if not isinstance(context, BaseContext):
        raise TypeError(
            "DataLoader: multiprocessing_context should be a context or the name of a start method, "
            f"got {type(context).__name__}"
        )
    if context.get_start_method() == "fork":
        warnings.warn(
            "DataLoader: forked workers would die in the thread pool of Numba or of the BLAS library, so threads "
            'are used instead; multiprocessing_context="spawn" gives processes',
            RuntimeWarning,
            stacklevel=3,
        )
        return None
    return context
