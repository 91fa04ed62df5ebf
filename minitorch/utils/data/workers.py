"""Workers that load batches ahead of the training loop: threads, or spawned processes.

Threads share the dataset's memory and leave Python's lock while NumPy, Pillow and the kernels run. Processes suit
datasets whose own Python code is the bottleneck. They are never forked: a forked child that enters the thread pool
of Numba or of a BLAS dies or hangs.
"""
from __future__ import annotations

import atexit
import contextlib
import copy
import pickle
import queue
import random
import signal
import threading
import time
import traceback
import weakref
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minitorch.quiet import listen
from minitorch.utils.data.dataset import Dataset
from minitorch.utils.data.randomness import numpy_seed, seed_thread

END = "the worker's stream has ended"


@dataclass
class WorkerInfo:
    """What `get_worker_info()` tells a worker about itself; `dataset` is the worker's own copy."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """The `WorkerInfo` of the calling worker, in a thread or a process of its own; None outside of workers."""
    return getattr(_local, "info", None)


class Task(NamedTuple):
    """One batch for `worker` to fetch; `number` counts the batches of a pass, `epoch` persistent workers' passes."""

    epoch: int
    number: int
    worker: int
    index: Any


class Result(NamedTuple):
    """A fetched batch, a `Failure`, or `END` of a worker's stream, and the worker's random state after it."""

    task: Task | None  # None: the worker could not start, or died
    value: Any
    rng_state: Any = None


class Failure:
    """An exception on its way from a worker to the loop that asked for the batch."""

    def __init__(self, error: BaseException, where: str = "", told: bool = False):
        if where and not told and isinstance(error, Exception):
            error = _retold(error, where)
        self.error: BaseException | None = error

    def reraise(self):
        """Raise the exception. Once only."""
        error, self.error = self.error, None
        try:
            raise error
        finally:
            del error  # the traceback refers to this frame: together they would keep the iterator alive

    def __reduce__(self):
        """Some exceptions cannot be pickled: their message goes in a RuntimeError."""
        try:
            pickle.loads(pickle.dumps(self.error))
            error = self.error
        except Exception:
            error = RuntimeError(str(self.error))
        return Failure, (error, "", True)


def _retold(error: Exception, where: str) -> Exception:
    """An exception of the same class whose message says where it was raised, with the traceback from there.

    A RuntimeError where that class takes no message alone, as PyTorch does.
    """
    kind = type(error)
    text = "".join(traceback.format_exception(kind, error, error.__traceback__))
    message = f"Caught {kind.__name__} {where}.\nOriginal {text}"
    try:
        retold = kind(_Verbatim(message)) if issubclass(kind, KeyError) else kind(message)
    except Exception:
        retold = RuntimeError(message)
    return retold.with_traceback(error.__traceback__)


class _Verbatim(str):
    """A message that prints as it is: a KeyError shows the `repr` of what it gets."""

    def __repr__(self) -> str:
        return str(self)


class ThreadWorkers:
    """Worker threads: `submit` hands a task to one of them, `receive` waits for the next result of any."""

    def __init__(self, job, init_fn, infos, rng_states):
        self._results = queue.SimpleQueue()
        self._tasks = [queue.SimpleQueue() for _ in infos]
        stop = threading.Event()
        self.close = weakref.finalize(self, _stop_threads, stop, self._tasks)
        self.threads = [
            threading.Thread(
                target=_serve_in_thread,
                args=(job, init_fn, info, state, stop, tasks.get, self._results.put),
                name=f"DataLoader worker {info.id}",
                daemon=True,
            )
            for info, state, tasks in zip(infos, rng_states, self._tasks)
        ]
        for thread in self.threads:
            _stop_of[thread] = self.close
            thread.start()

    def submit(self, worker, task):
        self._tasks[worker].put(task)

    def receive(self, timeout):
        return _next_result(self._results, timeout)


class ProcessWorkers:
    """Spawned worker processes with the interface of `ThreadWorkers`.

    Every worker has two pipes of its own, so that one which dies cannot leave a lock behind; a thread here empties
    them, so that no worker waits for the training loop.
    """

    def __init__(self, context, job, init_fn, infos, rng_states):
        payload = _pickle_job(job, init_fn)
        self._results = queue.SimpleQueue()
        self._tasks, readers, self.processes = [], {}, []
        for info, state in zip(infos, rng_states):
            task_reader, task_writer = context.Pipe(duplex=False)
            result_reader, result_writer = context.Pipe(duplex=False)
            process = context.Process(
                target=_serve_in_process, args=(info, state, task_reader, result_writer), daemon=True
            )
            process.start()
            task_reader.close()
            result_writer.close()
            self._tasks.append(task_writer)
            self.processes.append(process)
            readers[result_reader] = process
        stop_reader, stop_writer = context.Pipe(duplex=False)
        self.close = weakref.finalize(self, _close_all, [stop_writer, *self._tasks])
        threading.Thread(
            target=_empty_pipes, args=(readers, stop_reader, self._results.put), name="DataLoader reader", daemon=True
        ).start()
        for writer in self._tasks:
            _send_unless_dead(writer.send_bytes, payload)

    def submit(self, worker, task):
        _send_unless_dead(self._tasks[worker].send, task)

    def receive(self, timeout):
        return _next_result(self._results, timeout)


def _next_result(results, timeout):
    try:
        result = results.get(timeout=timeout or None)
    except queue.Empty:
        raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None
    if result.task is None:  # the batches of that worker will never come: whoever asks again must not wait
        results.put(Result(None, Failure(RuntimeError("DataLoader: a worker has exited; the pass cannot go on"))))
        result.value.reraise()
    return result


def _serve(job, init_fn, info, where, receive, send):
    """What every worker does: fetch batches until the tasks end (None)."""
    import minitorch

    _local.info = info
    failure = None
    try:
        if init_fn is not None:
            init_fn(info.id)
    except BaseException as error:
        failure = Failure(error, where)
    job.dataset = info.dataset  # which init_fn may have replaced
    epoch, fetch = None, None
    while (task := receive()) is not None:
        if failure is None:
            try:
                if task.epoch != epoch:
                    epoch, fetch = task.epoch, job.fetcher()
                value = fetch(task.index)
            except StopIteration:
                value = END
            except BaseException as error:
                value = Failure(error, where)
        else:
            value, failure = failure, None
        send(Result(task, value, minitorch.get_rng_state()))
        del value  # a batch must not outlive its use because its worker waits


def _seed(info, rng_state):
    """Seed this worker's random generator, or let it go on from `rng_state`."""
    import minitorch

    minitorch.manual_seed(info.seed)
    if rng_state is not None:
        minitorch.set_rng_state(rng_state)


# Threads


def _serve_in_thread(job, init_fn, info, rng_state, stop, receive, send):
    import minitorch

    def receive_unless_stopped():
        task = receive()
        return None if stop.is_set() else task

    listen()
    minitorch.default_generator.replace_in_this_thread(minitorch.Generator())
    _seed(info, rng_state)
    seed_thread(info.seed - info.id, info.id)
    info.dataset = _own_copy(job.dataset)
    _serve(copy.copy(job), init_fn, info, f"in DataLoader worker process {info.id}", receive_unless_stopped, send)


def _own_copy(dataset, memo=None):
    """A copy with attributes and transforms of its own, so that what one worker sets in them no other sees, as with
    processes. The data, which are not callable, stay shared.
    """
    if not isinstance(dataset, Dataset):
        return dataset
    memo = {} if memo is None else memo
    if id(dataset) in memo:
        return memo[id(dataset)]
    try:
        own = memo[id(dataset)] = copy.copy(dataset)
    except Exception:
        return dataset
    attributes = getattr(own, "__dict__", {})
    for name, value in list(attributes.items()):
        if isinstance(value, Dataset):
            attributes[name] = _own_copy(value, memo)
        elif isinstance(value, list) and any(isinstance(part, Dataset) for part in value):
            attributes[name] = [_own_copy(part, memo) for part in value]
        elif callable(value):
            with contextlib.suppress(Exception):  # what cannot be copied stays shared
                attributes[name] = copy.deepcopy(value, memo)
    return own


def _stop_threads(stop, tasks):
    stop.set()
    for queue_of_tasks in tasks:
        queue_of_tasks.put(None)


def _stop_all_threads():
    """At exit: native code must not be running in a thread while the interpreter is taken down."""
    threads = list(_stop_of)
    for thread in threads:
        _stop_of[thread]()
    deadline = time.monotonic() + 5
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))


# Processes


def _serve_in_process(info, rng_state, tasks, results):
    import minitorch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it then closes the pipes
    where = f"in DataLoader worker process {info.id}"
    try:
        job, init_fn = pickle.loads(tasks.recv_bytes())
    except BaseException as error:
        _send(results, Result(None, Failure(error, where)))
        return
    info.dataset = job.dataset

    def receive():
        try:
            return tasks.recv()
        except (EOFError, OSError):  # the parent has closed the pipe, or is gone
            return None

    def send(result):
        try:
            _send(results, result)
        except OSError:
            pass
        except Exception as error:  # the batch cannot be pickled
            _send(results, Result(result.task, Failure(error, where)))

    minitorch.set_num_threads(1)
    _seed(info, rng_state)
    random.seed(info.seed)
    np.random.seed(numpy_seed(info.seed - info.id, info.id))
    _serve(job, init_fn, info, where, receive, send)


def _empty_pipes(readers, stop, put):
    """Move results from the pipes to a queue until `stop` is closed; then see the processes end."""
    from multiprocessing.connection import wait

    working = dict(readers)
    while stop not in (ready := wait([*working, stop])):
        for reader in ready:
            try:
                put(_receive(reader))
            except (EOFError, OSError):
                put(Result(None, Failure(_death(working.pop(reader)))))
            except Exception as error:  # a batch that can be pickled but not unpickled
                put(Result(None, Failure(error)))
    _close_all([*readers, stop])
    deadline = time.monotonic() + 5
    for process in readers.values():
        process.join(max(0, deadline - time.monotonic()))
        if process.is_alive():
            process.terminate()


def _death(process):
    process.join(5)
    message = f"DataLoader worker (pid {process.pid}) exited unexpectedly with exit code {process.exitcode}"
    if process.exitcode == 1:
        message += (
            "; its own error is printed above. A script that uses worker processes must keep its top level under "
            "`if __name__ == '__main__':`"
        )
    return RuntimeError(message)


def _pickle_job(job, init_fn):
    try:
        return pickle.dumps((job, init_fn), pickle.HIGHEST_PROTOCOL)
    except Exception:
        for name, part in {"dataset": job.dataset, "collate_fn": job.collate_fn, "worker_init_fn": init_fn}.items():
            try:
                pickle.dumps(part)
            except Exception as error:
                raise pickle.PicklingError(
                    f"DataLoader: {name} ({type(part).__name__}) cannot be sent to a worker process: {error}. Define "
                    "it, and what it holds, at the top level of a module, or leave multiprocessing_context out to "
                    "use worker threads"
                ) from error
        raise


def _send(connection, message):
    """Send `message` with the memory of its arrays out of band: they are copied into the pipe only."""
    buffers = []
    body = pickle.dumps(message, 5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    connection.send(([view.nbytes for view in views], body))
    for view in views:
        if view.nbytes:
            connection.send_bytes(view)


def _receive(connection):
    sizes, body = connection.recv()
    buffers = [bytearray(size) for size in sizes]
    for buffer in buffers:
        if buffer:
            connection.recv_bytes_into(buffer)
    return pickle.loads(body, buffers=buffers)


def _send_unless_dead(send, message):
    """Send to a process that may have died; the end of its pipe tells, and `_empty_pipes` reports it."""
    with contextlib.suppress(OSError):
        send(message)


def _close_all(connections):
    for connection in connections:
        connection.close()


_local = threading.local()
_stop_of: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # of each thread that still runs
atexit.register(_stop_all_threads)
