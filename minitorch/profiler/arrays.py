"""The memory of a profile: which arrays an op has made, how long they live, and when most of it was in use."""
from __future__ import annotations

import weakref
from collections.abc import Iterator
from time import perf_counter_ns
from typing import Any

import numpy as np


def root(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory of `array`."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    """The NumPy arrays in what an op takes or returns."""
    if isinstance(value, np.ndarray):
        yield value
    elif type(value) in (tuple, list):
        for item in value:
            yield from arrays_in(item)


def owners(value: Any) -> set[int]:
    """The identities of the arrays that own the memory of these."""
    return {id(root(a)) for a in arrays_in(value)}


def made_by(result: Any, given: set[int]) -> list[np.ndarray]:
    """What owns the memory of what an op, or a gradient function, returned, but for that of its inputs."""
    return list({id(owner): owner for a in arrays_in(result) if id(owner := root(a)) not in given}.values())


class Allocation:
    """Memory that an event made; times in microseconds."""

    __slots__ = ("end", "event", "nbytes", "reference", "start")

    def __init__(self, nbytes: int, event: Any):
        self.start, self.end = perf_counter_ns() / 1000, float("inf")
        self.nbytes, self.event = nbytes, event
        self.reference: Any = None


class _Reference(weakref.ref):
    """Writes down when an array has died."""

    __slots__ = ("allocation", "key")
    allocation: Allocation
    key: int


class Memory:
    """The memory of all arrays made in a profile: the results of ops, what they keep for backward, and gradients.

    What a kernel needs for itself, and gives back before it returns, is not seen.
    """

    def __init__(self) -> None:
        self.all: list[Allocation] = []
        self._held: dict[int, _Reference] = {}

    def hold(self, owner: np.ndarray, event: Any) -> int:
        """Follow an array that owns memory until it dies, if it is a new one; the bytes that are new."""
        if id(owner) in self._held:
            return 0
        allocation = Allocation(owner.nbytes, event)
        reference = allocation.reference = _Reference(owner, self._gone)
        reference.allocation, reference.key = allocation, id(owner)
        self._held[id(owner)] = reference
        self.all.append(allocation)
        return allocation.nbytes

    def _gone(self, reference: Any) -> None:
        reference.allocation.end = perf_counter_ns() / 1000
        self._held.pop(reference.key, None)

    def stop(self) -> None:
        """Follow no array any more."""
        for allocation in self.all:
            allocation.reference = None
        self._held.clear()

    def series(self) -> list[tuple[float, int]]:
        """(time, bytes in use from then on) for each change."""
        changes = [(a.start, a.nbytes) for a in self.all] + \
            [(a.end, -a.nbytes) for a in self.all if a.end != float("inf")]
        found, total = [], 0
        for time, change in sorted(changes):  # of one moment what ends first
            total += change
            found.append((time, total))
        return found

    def peak(self) -> tuple[int, list[Allocation]]:
        """The largest number of bytes in use at once, and the memory that they were."""
        time, most = max(self.series(), key=lambda moment: moment[1], default=(0.0, 0))
        return most, [a for a in self.all if a.start <= time < a.end]
