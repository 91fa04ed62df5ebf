"""`Timer`: `timeit.Timer` with warm-up, a set number of threads, and as many replicates as a median needs."""
from __future__ import annotations

import enum
import sys
import textwrap
import timeit
from collections.abc import Callable
from statistics import median
from typing import Any

from .measurement import Measurement, TaskSpec, set_torch_threads

MOST_RUNS = 2 ** 31 - 1


def timer() -> float:
    """The time in seconds, once all work on a GPU is done."""
    cuda = sys.modules.get("minitorch.cuda")
    if cuda is not None and cuda.is_available():
        cuda.synchronize()
    return timeit.default_timer()


class Language(enum.Enum):
    """What a statement is written in."""

    PYTHON = 0
    CPP = 1


class Timer:
    """Times a statement, given as text; what it needs comes from `globals` or is made by `setup`.

    Raises ValueError where the statement is no text, NotImplementedError where it is C++.

    >>> t = Timer("x + x", setup="x = torch.ones(3)", label="add", num_threads=1)
    >>> m = t.timeit(10)
    >>> m.number_per_run, len(m.times), m.label
    (10, 1, 'add')
    """

    def __init__(self, stmt: str = "pass", setup: str = "pass", global_setup: str = "",
                 timer: Callable[[], float] = timer, globals: dict[str, Any] | None = None, label: str | None = None,
                 sub_label: str | None = None, description: str | None = None, env: str | None = None,
                 num_threads: int = 1, language: Language | str = Language.PYTHON):
        if not isinstance(stmt, str):
            raise ValueError(f"Timer: stmt must be a str, not {type(stmt).__name__}: wrap a function in 'f()' and "
                             "hand it over by globals={'f': f}")
        if language in (Language.CPP, "cpp", "c++"):
            raise NotImplementedError("Timer: C++ statements are not compiled here: time a Python statement")
        if language not in (Language.PYTHON, "py", "python"):
            raise ValueError(f"Timer: language must be 'python', not {language!r}")
        if global_setup:
            raise ValueError(f"Timer: global_setup is for C++ only; put {global_setup!r} into setup")
        import minitorch

        stmt, setup = _outdented(stmt), _outdented(setup)
        self._timer = timeit.Timer(stmt, setup, timer, {"torch": minitorch, **(globals or {})})
        self._task_spec = TaskSpec(stmt, setup, global_setup, label, sub_label, description, env, num_threads)

    def timeit(self, number: int = 1000000) -> Measurement:
        """Run the statement `number` times in one block, after a hundredth of that to warm up."""
        with set_torch_threads(self._task_spec.num_threads):
            self._seconds(max(number // 100, 2))
            return self._measured(number, [self._seconds(number)])

    def blocked_autorange(self, callback: Callable[[int, float], Any] | None = None,
                          min_run_time: float = 0.2) -> Measurement:
        """Time blocks of runs for `min_run_time` seconds; a block is so long that reading the clock does not count."""
        number = self._block_size(min_run_time)
        return self._blocks(number, lambda times: True, min_run_time, None, callback)

    def adaptive_autorange(self, threshold: float = 0.1, *, min_run_time: float = 0.01, max_run_time: float = 10.0,
                           callback: Callable[[int, float], Any] | None = None) -> Measurement:
        """Time blocks until their quartiles lie closer than `threshold` times the median, or for `max_run_time`."""
        number = self._block_size(0.05)

        def steady(times: list[float]) -> bool:
            return len(times) > 3 and self._measured(number, times).meets_confidence(threshold)

        return self._blocks(number, steady, min_run_time, max_run_time, callback)

    def repeat(self, repeat: int = -1, number: int = -1) -> None:
        """Not there, as in PyTorch: `blocked_autorange` repeats."""
        raise NotImplementedError("Timer.repeat: see Timer.blocked_autorange")

    def autorange(self, callback: Callable[[int, float], Any] | None = None) -> None:
        """Not there, as in PyTorch: `blocked_autorange` chooses the number of runs."""
        raise NotImplementedError("Timer.autorange: see Timer.blocked_autorange")

    def collect_callgrind(self, number: int = 100, *, repeats: int | None = None, collect_baseline: bool = True,
                          retain_out_file: bool = False) -> Any:
        """Not there: raises the OSError that PyTorch raises where Valgrind is not installed."""
        raise OSError("Timer.collect_callgrind: instructions are not counted here (there is no Valgrind wrapper); "
                      "Timer.blocked_autorange measures time")

    def _seconds(self, number: int) -> float:
        return max(self._timer.timeit(number), 1e-9)

    def _measured(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number, times, self._task_spec)

    def _block_size(self, min_run_time: float) -> int:
        """A power of ten of runs that takes a thousandth of the time at least, and 10,000 times the loop's overhead."""
        with set_torch_threads(self._task_spec.num_threads):
            overhead = median(self._seconds(0) for _ in range(5))
            number = 1
            while True:
                taken = self._seconds(number)
                long_enough = overhead / taken <= 1e-4 and taken >= min_run_time / 1000
                if long_enough or taken > min_run_time or number * 10 > MOST_RUNS:
                    return number
                number *= 10

    def _blocks(self, number: int, may_stop: Callable[[list[float]], bool], min_run_time: float,
                max_run_time: float | None, callback: Callable[[int, float], Any] | None) -> Measurement:
        times: list[float] = []
        total = 0.0
        with set_torch_threads(self._task_spec.num_threads):
            while not times or total < min_run_time or not may_stop(times):
                if max_run_time and total > max_run_time:
                    break
                times.append(self._seconds(number))
                total += times[-1]
                if callback:
                    callback(number, times[-1])
        return self._measured(number, times)


def _outdented(code: str) -> str:
    return textwrap.dedent(code).removeprefix("\n").rstrip()
