"""Builds the libcublasLt that computes on the CPU (cublaslt.cpp), whose products the stand-in for CuPy can capture."""
from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
from cupy import _emulation, _launching
from minitorch_kernels import keeping

SOURCE = Path(__file__).with_name("cublaslt.cpp")


@cache
def build() -> str:
    """The path of the library, compiled if its source is new; without a compiler a path where there is none."""
    if _emulation.COMPILER is None:
        return str(SOURCE.with_suffix(".so"))
    text = SOURCE.read_bytes()
    path = keeping.folder() / "emulated" / f"cublaslt-{hashlib.sha256(text).hexdigest()[:16]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        subprocess.run([_emulation.COMPILER, "-O2", "-std=c++17", "-shared", "-fPIC", SOURCE, "-o", draft], check=True)
        draft.replace(path)
    library = ctypes.CDLL(str(path))
    library.emulated_recorder(_recorder(library))
    return str(path)


def _recorder(library):
    """What the library asks for each product: it becomes a launch like that of a kernel, run now or with its graph."""
    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    def record(stream, call):
        product = _Call(library, call)
        _launching.run("cublasLtMatmul", [_Output(product, 0), _Output(product, 1)], product)
        return 1

    _kept.append(record)  # the library has its address
    return record


class _Call:
    """One product, which can be run any number of times; the library's description of it goes with this object."""

    def __init__(self, library, address):
        self.library, self.address = library, ctypes.c_void_p(address)

    def __call__(self):
        self.library.emulated_run(self.address)

    def __del__(self):
        self.library.emulated_forget(self.address)


class _Output:
    """Memory that a product writes, in the place of an array that is a kernel's argument: a capture puts back what
    stood there."""

    alive = True

    def __init__(self, product, which):
        start = ctypes.c_void_p()
        size = product.library.emulated_output(product.address, which, ctypes.byref(start))
        place = (ctypes.c_char * size).from_address(start.value) if size else bytearray()
        self.bytes, self.device_id = np.frombuffer(place, np.uint8), _launching.local.device
        self.block = self._lease = self

    def check_alive(self, what):
        """The library has addresses alone."""

    check = check_alive

    def remembered(self):
        return self


_kept: list = []
