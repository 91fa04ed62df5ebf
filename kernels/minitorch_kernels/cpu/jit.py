"""How this project compiles with Numba: one decorator for every CPU kernel."""
from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numba
from numba import types


def jit(function, called_from_python=True, fastmath=("contract", "reassoc", "nsz")):
    """Compile on first call, without the GIL, cached on disk, keeping NaN and infinity.

    `fastmath=True` would let LLVM assume that no NaN exists; these three flags alone allow fused multiply-add and
    reassociated sums, which is what vectorising needs. A read-only install without a writable home has no place
    for the cache: Numba then raises when it decorates, and the kernel is compiled anew in each process instead.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath),
               "no_cfunc_wrapper": True, "no_cpython_wrapper": not called_from_python}  # each takes time to compile
    if os.environ.get("MINITORCH_NO_CACHE"):
        return _for_types(numba.njit(function, **options))
    try:
        made = numba.njit(function, cache=True, **options)
    except RuntimeError:
        return _for_types(numba.njit(function, **options))
    made._cache._cache_file._source_stamp = _stamp(Path(function.__code__.co_filename).parent)
    return _for_types(made)


def _for_types(made):
    """Compile for an argument's type alone: Numba would compile a helper once more where it is called with a 0."""
    compile = made.compile
    made.compile = lambda signature: compile(tuple([_type_of(kind) for kind in signature]))
    return made


def _type_of(kind):
    """The type without the value that Numba knows."""
    if isinstance(kind, types.UniTuple):
        return types.UniTuple(types.unliteral(kind.dtype), kind.count)
    return types.unliteral(kind)


@cache
def _stamp(folder):
    """How old a cached kernel of `folder` may be: the age of all files here, for kernels use each other's helpers.

    Those of another folder of this package are as old as its files too. Numba itself asks for the kernel's own file.
    """
    here = Path(__file__).parent
    files = [path for place in sorted({here, folder if here.parent in folder.parents else here})
             for path in sorted(place.glob("*.py"))]
    return tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in files)


def in_order(function):
    """Compile on first call, cached, computing as written: no reassociation, no fused multiply-add."""
    return jit(function, fastmath=())


def exactly(function):
    """Compile a helper that is inlined where it is called and computed in the order in which it is written.

    `jit` may reassociate: it makes (x - top) - log to x - (top + log), which loses all digits of a small difference.
    """
    return numba.njit(function, nogil=True, error_model="numpy", fastmath={"contract"}, forceinline=True)
