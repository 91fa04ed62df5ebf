"""Tools that find faults: where the first NaN came from, what is wrong with a training step, which kernel is to blame.

    with minitorch.debug.anomaly(): ...             raise at the op that makes a NaN or an infinity
    minitorch.debug.lint(model, loss, optimizer)    usual mistakes, each with its reason and its remedy
    minitorch.debug.bisect(fn, "numba", "reference")  the first op for which two backends give different numbers
    minitorch.debug.save_step(path, fn, *inputs)    a step as one file
    minitorch.debug.replay(path)                    runs it again, elsewhere, without the program

While none of them runs, nothing of this is loaded, and no op does more than ever.
"""
from __future__ import annotations

import importlib
from typing import Any

from ..errors import absent_from

_WHERE = {"anomaly": "nonfinite", "NonFiniteError": "nonfinite", "lint": "linter", "Finding": "findings",
          "Findings": "findings", "bisect": "lockstep", "Bisection": "lockstep", "save_step": "steps",
          "recorder": "steps", "replay": "replaying", "Replay": "replaying"}

__all__ = sorted(_WHERE)

_absent = absent_from(__name__, lambda: __all__)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        return _absent(name)
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
