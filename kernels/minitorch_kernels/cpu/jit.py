"""How this project compiles with Numba: one decorator for every CPU kernel."""
from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numba


def jit(function, called_from_python=True):
    """Compile on first call, without the GIL, cached on disk, keeping NaN and infinity.

    `fastmath=True` would let LLVM assume that no NaN exists; these three flags alone allow fused multiply-add and
    reassociated sums, which is what vectorising needs. A read-only install without a writable home has no place
    for the cache: Numba then raises when it decorates, and the kernel is compiled anew in each process instead.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"},
               "no_cfunc_wrapper": True, "no_cpython_wrapper": not called_from_python}  # each takes time to compile
    if os.environ.get("MINITORCH_NO_CACHE"):
        return numba.njit(function, **options)
    try:
        made = numba.njit(function, cache=True, **options)
    except RuntimeError:
        return numba.njit(function, **options)
    made._cache._cache_file._source_stamp = _stamp()
    return made


@cache
def _stamp():
    """How old a cached kernel may be: the age of all files here, for kernels use each other's helpers.

    Numba itself asks for the kernel's own file alone.
    """
    folder = Path(__file__).parent
    return tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.glob("*.py")))


def exactly(function):
    """Compile a helper that is inlined where it is called and computed in the order in which it is written.

    `jit` may reassociate: it makes (x - top) - log to x - (top + log), which loses all digits of a small difference.
    """
    return numba.njit(function, nogil=True, error_model="numpy", fastmath={"contract"}, forceinline=True)
