"""`spawn`: a function in several processes, whose errors are raised here."""
from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any


class ProcessException(Exception):
    """A process that failed."""

    def __init__(self, msg: str, error_index: int, pid: int):
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid


class ProcessRaisedException(ProcessException):
    """A process whose function raised; the message holds its traceback."""


class ProcessExitedException(ProcessException):
    """A process that ended by a signal or an exit code."""

    def __init__(self, msg: str, error_index: int, pid: int, exit_code: int, signal_name: str | None = None):
        super().__init__(msg, error_index, pid)
        self.exit_code, self.signal_name = exit_code, signal_name


class ProcessContext:
    """Running processes: `join()` waits for them."""

    def __init__(self, processes: list[Any], errors: list[Any]):
        self.processes, self._errors = processes, errors
        self._running = {process.sentinel: i for i, process in enumerate(processes)}

    def pids(self) -> list[int]:
        """The processes' numbers."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait until one more, or with no timeout any, has ended; True when all have.

        Where one failed, the others are ended and ProcessRaisedException or ProcessExitedException is raised.
        """
        if not self._running:
            return True
        ended = multiprocessing.connection.wait(list(self._running), timeout)
        failed = None
        for sentinel in ended:
            index = self._running.pop(sentinel)  # type: ignore[call-overload]
            self.processes[index].join()
            if self.processes[index].exitcode:
                failed = index
                break
        if failed is None:
            return not self._running
        for process in self.processes:
            if process.is_alive():
                process.terminate()
            process.join(grace_period)
        raise self._error(failed)

    def _error(self, index: int) -> ProcessException:
        process = self.processes[index]
        if self._errors[index].poll():
            return ProcessRaisedException(f"\n\n-- Process {index} terminated with the following error:\n"
                                          + self._errors[index].recv(), index, process.pid)
        if process.exitcode < 0:
            name = signal.Signals(-process.exitcode).name
            return ProcessExitedException(f"process {index} terminated with signal {name}", index, process.pid,
                                          process.exitcode, name)
        return ProcessExitedException(f"process {index} terminated with exit code {process.exitcode}", index,
                                      process.pid, process.exitcode)


SpawnContext = ProcessContext


def spawn(fn: Callable, args: tuple = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
          start_method: str = "spawn") -> ProcessContext | None:
    """Run `fn(i, *args)` in `nprocs` new processes, for i from 0; with `join` wait for them, else return the
    ProcessContext. Raises ProcessRaisedException with the traceback of a function that raised."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)


def start_processes(fn: Callable, args: tuple = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
                    start_method: str = "spawn") -> ProcessContext | None:
    """The same for any start method: spawn, fork, forkserver."""
    context: Any = multiprocessing.get_context(start_method)
    processes, errors = [], []
    for i in range(nprocs):
        here, there = context.Pipe(False)
        process = context.Process(target=_run, args=(fn, i, args, there), daemon=daemon)
        process.start()
        there.close()
        processes.append(process)
        errors.append(here)
    started = ProcessContext(processes, errors)
    if not join:
        return started
    while not started.join():
        pass
    return None


def _run(fn: Callable, i: int, args: tuple, errors: Any) -> None:
    try:
        fn(i, *args)
    except KeyboardInterrupt:
        pass  # the parent was interrupted too, and says so
    except Exception:
        errors.send(traceback.format_exc())
        sys.exit(1)
