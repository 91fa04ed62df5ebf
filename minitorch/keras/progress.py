"""The bar that `fit`, `evaluate` and `predict` print."""
from __future__ import annotations

import sys
import time
from typing import Any

_WIDTH, _INTERVAL = 20, 0.05


class Bar:
    """Steps done of `target` (None: not known), seconds, and figures; verbose=2 prints one line at the end."""

    def __init__(self, target: int | None, verbose: int):
        self.target, self.verbose = target, verbose
        self._started, self._shown, self._length = time.monotonic(), 0.0, 0
        self._first_done = self._started

    def update(self, done: int, figures: dict[str, Any], last: bool = False) -> None:
        """Show that `done` steps are done."""
        now = time.monotonic()
        if done == 1:
            self._first_done = now
        if self.verbose == 0 or (not last and (self.verbose == 2 or now - self._shown < _INTERVAL)):
            return
        self._shown = now
        # the first step compiles: it does not count, unless it is the only one
        each = (now - self._first_done) / (done - 1) if done > 1 else now - self._started
        text = "".join(f" - {name}: {_number(value)}" for name, value in sorted(figures.items()))
        if self.verbose == 2:
            print(f"{done}/{self.target or done} - {now - self._started:.0f}s - {_per_step(each)}{text}", flush=True)
            return
        left = each * (self.target - done) if self.target and not last else now - self._started
        line = f"{self._counted(done)} {_clock(left)} {_per_step(each)}{text}"
        sys.stdout.write("\r" + line.ljust(self._length) + ("\n" if last else ""))
        sys.stdout.flush()
        self._length = len(line)

    def _counted(self, done: int) -> str:
        if not self.target:
            return f"{done:7d}/Unknown"
        full = _WIDTH * min(done, self.target) // self.target
        return f"{done:{len(str(self.target))}d}/{self.target} {'━' * full}{' ' * (_WIDTH - full)}"


def _number(value: Any) -> str:
    value = float(value)
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def _per_step(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.0f}s/step"
    return f"{seconds * 1e3:.0f}ms/step" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us/step"


def _clock(seconds: float) -> str:
    s = int(seconds)
    if s > 3600:
        return f"{s // 3600}:{s % 3600 // 60:02d}:{s % 60:02d}"
    return f"{s // 60}:{s % 60:02d}" if s > 60 else f"{s}s"
