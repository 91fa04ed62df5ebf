"""One pass of a DataLoader over its dataset: here, batch by batch, or with workers that fetch ahead."""
from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import Any

from minitorch.autograd.profiler import record_function
from minitorch.utils.data.collate import pin_memory
from minitorch.utils.data.dataset import IterableDataset
from minitorch.utils.data.fetch import Job
from minitorch.utils.data.sampler import BatchSampler, ResumableSampler, random_seed
from minitorch.utils.data.workers import END, Failure, ProcessWorkers, Task, ThreadWorkers, WorkerInfo


@dataclass
class Progress:
    """How far an iteration has come, and the random states that it began with."""

    base_seed: int
    workers: list  # the random state of each worker after the last of its batches that was handed out
    start: Any = None  # the sampler's record of where its pass began
    position: int = 0  # batches handed out
    finished: bool = False

    def state(self):
        return {
            "base_seed": self.base_seed,
            "workers": list(self.workers),
            "start": None if self.finished else self.start,
            "position": 0 if self.finished else self.position,
        }


class Iterator:
    """What iterating with and without workers has in common: seeds, indices and progress."""

    def __init__(self, loader, state):
        self._job = Job(loader.dataset, loader.batch_sampler is not None, loader.collate_fn, loader.drop_last)
        self._streams = isinstance(loader.dataset, IterableDataset)
        self._index_sampler = loader._index_sampler
        self._pin_memory = loader.pin_memory and _has_gpu()
        self._expected = loader._reported_length
        if state is None:
            state = {"base_seed": random_seed(loader.generator), "workers": [None] * loader.num_workers}
        self.begin(loader, state)

    def begin(self, loader, state):
        """Begin a pass over the dataset, or go on with the one that `state` tells of."""
        self._progress = Progress(**state)
        loader._progress = self._progress
        if self._progress.start is not None and _is_resumable(self._index_sampler):
            self._index_sampler.load_state_dict({"start": self._progress.start, "position": 0})
        self._indices = iter(self._index_sampler)
        for _ in range(self._progress.position):
            next(self._indices, None)

    def __iter__(self):
        return self

    def __len__(self):
        return len(self._index_sampler)

    def _next_index(self):
        index = next(self._indices)
        if self._progress.start is None and _is_resumable(self._index_sampler):
            self._progress.start = self._index_sampler.state_dict()["start"]
        return index

    def _hand_out(self, batch):
        self._progress.position += 1
        if self._expected is not None and self._progress.position == self._expected + 1:
            warnings.warn(
                f"DataLoader: len() has reported {self._expected} batches, but the {type(self._job.dataset).__name__} "
                "gives more; with several workers, each must produce its own share of the stream (get_worker_info)",
                stacklevel=3,
            )
        return pin_memory(batch) if self._pin_memory else batch


class SerialIterator(Iterator):
    """Fetches each batch when it is asked for."""

    def begin(self, loader, state):
        super().begin(loader, state)
        self._fetch = self._job.fetcher()
        if self._streams and not loader._stream_has_state():
            self._fetch_again(self._progress.position)

    def __next__(self):
        with record_function("enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__"):
            try:
                batch = self._fetch(self._next_index())
            except StopIteration:
                self._progress.finished = True
                raise
            return self._hand_out(batch)

    def _fetch_again(self, batches):
        """Go through a stream's first batches, and leave the global random state as it was."""
        import minitorch

        rng_state = minitorch.get_rng_state()
        for _ in range(batches):
            self._fetch(next(self._indices))
        minitorch.set_rng_state(rng_state)


class WorkerIterator(Iterator):
    """Lets workers fetch batches ahead of time, and hands them out in order."""

    _workers = None
    _epoch = 0

    def __init__(self, loader, state):
        self._timeout = loader.timeout
        self._in_order = loader.in_order
        self._persistent = loader.persistent_workers
        super().__init__(loader, state)

    def begin(self, loader, state):
        going_on = state is None  # with the workers of the pass before, as they are
        if going_on:
            state = {"base_seed": self._progress.base_seed, "workers": self._progress.workers}
        super().begin(loader, state)
        skipped = self._progress.position
        self._sent = self._done = 0 if self._streams else skipped
        self._to_discard = skipped if self._streams else 0
        if not going_on:
            self._workers = _start_workers(loader, self._job, self._progress, fresh=self._to_discard > 0)
        self._epoch += 1
        self._ready: dict[int, Any] = {}  # results that came before their turn
        self._running = set(range(loader.num_workers))
        self._turns = itertools.cycle(range(loader.num_workers))
        for _ in range(self._sent % loader.num_workers):
            next(self._turns)
        for _ in range(loader.prefetch_factor * loader.num_workers):
            self._send_task()

    def __next__(self):
        with record_function("enumerate(DataLoader)#_MultiProcessingDataLoaderIter.__next__"):
            for _ in range(self._to_discard):
                self._next_batch()
            self._to_discard = 0
            return self._hand_out(self._next_batch())

    def _next_batch(self):
        while self._done < self._sent:
            number = self._done if self._in_order else next(iter(self._ready), None)
            if number not in self._ready:
                self._receive()
                continue
            task, batch, rng_state = self._ready.pop(number)
            self._done += 1
            self._progress.workers[task.worker] = rng_state
            if batch is END:
                self._running.discard(task.worker)
            self._send_task()
            if isinstance(batch, Failure):
                batch.reraise()
            if batch is not END:
                return batch
        self._progress.finished = True
        if not self._persistent:
            self._workers.close()
        raise StopIteration

    def _send_task(self):
        """Give the next worker in turn another batch to fetch, if there is one."""
        if not self._running:
            return
        try:
            index = self._next_index()
        except StopIteration:
            return
        worker = next(worker for worker in self._turns if worker in self._running)
        self._workers.submit(worker, Task(self._epoch, self._sent, worker, index))
        self._sent += 1

    def _receive(self):
        result = self._workers.receive(self._timeout)
        if result.task.epoch == self._epoch:
            self._ready[result.task.number] = result
        else:  # of a pass that was left early
            self._progress.workers[result.task.worker] = result.rng_state


def _start_workers(loader, job, progress, fresh):
    """Workers with the random states of `progress`, or, if `fresh`, those which its seed gives."""
    count = loader.num_workers
    infos = [WorkerInfo(i, count, progress.base_seed + i, loader.dataset) for i in range(count)]
    rng_states = [None] * count if fresh else progress.workers
    if loader.multiprocessing_context is None:
        return ThreadWorkers(job, loader.worker_init_fn, infos, rng_states)
    for info in infos:
        info.dataset = None  # it travels with the job
    return ProcessWorkers(loader.multiprocessing_context, job, loader.worker_init_fn, infos, rng_states)


def _is_resumable(sampler):
    return isinstance(sampler, (BatchSampler, ResumableSampler))


def _has_gpu():
    import minitorch

    return minitorch.cuda.is_available()
