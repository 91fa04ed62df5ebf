"""What has no form for many threads: computed on the CPU, wherever its arrays lie."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..device import CPU, device_of, move


def on_cpu(function: Callable, *arrays: Any) -> Any:
    """`function(*arrays)` of NumPy arrays; arrays of a GPU are copied from there, the results to where the first was.

    Algorithms whose steps wait for each other, such as factorisations with pivots, gain nothing from a GPU: these
    copies, which wait for it, are the honest price.
    """
    where = device_of(arrays[0])
    if where is CPU:
        return function(*arrays)
    found = function(*[move(a, CPU) for a in arrays])
    return [move(a, where) for a in found] if isinstance(found, (list, tuple)) else move(found, where)
