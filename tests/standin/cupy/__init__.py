"""A stand-in for CuPy 14.2 on machines without a GPU, for tests: its names and refusals, NumPy's values.

Arrays lie in memory of their own that NumPy cannot reach by mistake; kernels of CUDA C are compiled for the CPU
(_emulation.py). What CuPy has and this has not raises AttributeError, which says so.
"""
from __future__ import annotations

import numpy as _numpy

from . import _functions, _memory, _methods, cuda
from ._emulation import RawKernel, RawModule
from ._names import NAMES
from ._ndarray import ndarray
from ._ufunc import ufunc

__version__ = "14.2.0"
globals().update({**_functions.namespace("cupy", _numpy), "ndarray": ndarray, "ufunc": ufunc})


def is_available():
    return True


def get_default_memory_pool():
    return _memory.default_pool


def get_default_pinned_memory_pool():
    return _memory.default_pinned_pool


def __getattr__(name):
    if name in ("linalg", "fft", "lib", "random"):
        import importlib

        return importlib.import_module(f"cupy.{name}")
    if name in NAMES["cupy"]:
        raise AttributeError(f"the stand-in for CuPy has no {name!r}, though CuPy has")
    raise AttributeError(f"module 'cupy' has no attribute {name!r}")
