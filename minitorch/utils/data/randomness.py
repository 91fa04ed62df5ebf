"""`random` and `numpy.random` in worker threads: each worker draws from generators of its own, as a process would.

Both modules keep one generator for the whole process. Once a worker thread asks for its own, their functions look
first whether the calling thread has one; all other threads draw from the shared generators as before. Functions
that a program took out of the modules earlier (`from random import randint`) stay with the shared ones.
"""
from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

_own = threading.local()
_lock = threading.Lock()
_NOT_BOUND = ("ranf", "sample", "seed")  # functions of numpy.random that use the shared generator unseen


def numpy_seed(base_seed: int, worker: int) -> np.ndarray:
    """The seed of `numpy.random` in a worker, the same as in PyTorch's: four 32-bit words."""
    words = [worker, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return np.random.SeedSequence(words).generate_state(4)


def seed_thread(base_seed: int, worker: int) -> None:
    """Give the calling thread its own `random` and `numpy.random`, seeded for the worker of that number."""
    with _lock:
        if not hasattr(random.random, "shared"):
            _divide(random, lambda name, f: getattr(f, "__self__", None) is random._inst)  # type: ignore[attr-defined]
            _divide(np.random, lambda name, f: getattr(f, "__self__", None) is np.random.mtrand._rand
                    or name in _NOT_BOUND)
    _own.__dict__.update({"random": random.Random(base_seed + worker),
                          "numpy.random": np.random.RandomState(numpy_seed(base_seed, worker))})


def _divide(module: ModuleType, uses_shared: Callable[[str, Any], bool]) -> None:
    for name, function in list(vars(module).items()):
        if callable(function) and uses_shared(name, function):
            setattr(module, name, _by_thread(module.__name__, name, function))


def _by_thread(module: str, name: str, shared: Callable) -> Callable:
    method = {"ranf": "random_sample", "sample": "random_sample"}.get(name, name) if module != "random" else name

    @functools.wraps(shared)
    def call(*args: Any, **kwargs: Any) -> Any:
        own = _own.__dict__.get(module)
        return (shared if own is None else getattr(own, method))(*args, **kwargs)

    call.__module__, call.__qualname__ = module, name  # so that it can be pickled by name
    call.shared = shared  # type: ignore[attr-defined]
    return call
