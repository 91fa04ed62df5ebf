"""RawModule and RawKernel of the stand-in: CUDA C compiled by g++ with cuda_on_cpu.h, launched on the CPU."""
from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import threading
from functools import cache
from pathlib import Path

import numpy as np
from minitorch_kernels import keeping

HEADERS = Path(__file__).resolve().parent.parent
FLAGS = ("-std=c++20", "-O1", "-w", "-fPIC", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE",
         "-ffp-contract=off")
COMPILER = shutil.which("g++")


class CompileException(Exception):
    """The source is no C++; the compiler's words."""


class EmulationError(RuntimeError):
    """A kernel did what a GPU would punish: a barrier that not all reach, a write outside of its arrays."""


class RawModule:
    """The kernels of one source; `name_expressions` are the instantiations that `get_function` can be asked for."""

    def __init__(self, code=None, *, path=None, options=(), backend="nvrtc", name_expressions=None,
                 enable_cooperative_groups=False):
        self.code, self.names = code, tuple(name_expressions or ())

    def get_function(self, name):
        """The kernel of that name."""
        names = self.names or (name,)
        return RawKernel(self.code, name, _names=names)


class RawKernel:
    """A kernel that is called with (grid, block, arguments)."""

    def __init__(self, code, name, options=(), backend="nvrtc", _names=None):
        names = _names or (name,)
        self.name = name
        self.max_dynamic_shared_size_bytes = 48 << 10
        self._launch = getattr(_library(code, names), f"launch_{names.index(name)}")
        self._launch.restype = ctypes.c_char_p

    def __call__(self, grid, block, args, *, shared_mem=0):
        from . import _launching  # what a launch is to the stand-in: run, or recorded in a graph

        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise EmulationError(f"{self.name}: {shared_mem} bytes of shared memory were not asked for")
        size, values = _fits(self.name, _three(grid), _three(block)), [_value(a) for a in args]
        _launching.run(self.name, args, lambda: self._run(*size, shared_mem, values))

    def _run(self, grid, block, shared, values):
        pointers = (ctypes.c_void_p * len(values))(*[v.ctypes.data for v in values])
        problem = self._launch(_Index(*grid), _Index(*block), ctypes.c_size_t(shared), pointers)
        if problem:
            raise EmulationError(f"{self.name}: {problem.decode()}")


class _Index(ctypes.Structure):
    _fields_ = [(axis, ctypes.c_uint) for axis in "xyz"]


def _three(size):
    if not isinstance(size, tuple) or not all(isinstance(n, (int, np.integer)) for n in size):
        raise TypeError(f"a grid or block is a tuple of ints, got {size!r}")
    return tuple(max(1, int(n)) for n in (*size, 1, 1)[:3])


def _fits(name, grid, block):
    """What the driver refuses with CUDA_ERROR_INVALID_VALUE."""
    if grid[0] >= 1 << 31 or max(grid[1:]) >= 1 << 16 or block[2] > 64 or np.prod(block) > 1024:
        raise EmulationError(f"{name}: no GPU has room for a grid of {grid} blocks of {block} threads")
    return grid, block


def _value(argument):
    """The argument as bytes in memory, typed as CuPy types it."""
    if argument is None:
        return np.zeros(1, np.int64)
    if hasattr(argument, "__cuda_array_interface__") or hasattr(argument, "ptr"):
        pointer = argument.data.ptr if hasattr(argument, "data") else argument.ptr
        return np.array([pointer], np.uint64)
    if isinstance(argument, np.ndarray):
        if argument.size != 1:
            raise TypeError(f"a numpy.ndarray of shape {argument.shape} is no kernel argument: only size one is")
        return np.ascontiguousarray(argument).reshape(1)
    if isinstance(argument, (np.generic, bool, int, float, complex)):
        return np.array([argument])
    raise TypeError(f"Unsupported type {type(argument)}")


@cache
def _library(code, names):
    """The compiled source, kept on disk from one run to the next."""
    if COMPILER is None:
        raise RuntimeError("the stand-in needs g++ to run CUDA kernels on the CPU")
    text, headers = _text(code, names), _headers()
    path = headers / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.so"
    if not path.exists():
        source = path.with_suffix(f".{os.getpid()}.cpp")
        source.write_text(text, "utf-8")
        try:
            _compile(path, "-shared", "-I", headers, "-I", HEADERS, "-include", "cuda_on_cpu.h", source)
        except CompileException as error:
            raise CompileException(f"{', '.join(names)}\n{error}") from None
        finally:
            source.unlink()
    return ctypes.CDLL(str(path))


@cache
def _headers():
    """The folder of the precompiled headers, which halve the time that a kernel takes, and of the kernels."""
    texts = b"".join([path.read_bytes() for path in sorted(HEADERS.glob("*.h"))])
    digest = hashlib.sha256(texts + " ".join(FLAGS).encode()).hexdigest()[:16]
    folder = keeping.folder() / "emulated" / digest
    with _one_at_a_time:
        if not (folder / "cuda_on_cpu.h.gch").exists():
            folder.mkdir(parents=True, exist_ok=True)
            _compile(folder / "cuda_on_cpu.h.gch", "-x", "c++-header", HEADERS / "cuda_on_cpu.h")
    return folder


_one_at_a_time = threading.Lock()


def _compile(path, *arguments):
    """Write `path`, whole or not at all."""
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    done = subprocess.run([COMPILER, *FLAGS, *arguments, "-o", draft], capture_output=True, text=True)
    if done.returncode:
        raise CompileException(done.stderr[:4000])
    draft.replace(path)


def _text(code, names):
    """The source, and a function for each kernel that launches it."""
    launchers = "".join(
        f'extern "C" const char* launch_{i}(Index grid, Index block, size_t shared, void** arguments) {{\n'
        f"    return emulated::launch({name}, grid, block, shared, arguments);\n}}\n" for i, name in enumerate(names))
    return f"#define MINITORCH_PTX\n{code.replace('extern __shared__', 'extern')}\n#line 1 \"launchers\"\n{launchers}"
