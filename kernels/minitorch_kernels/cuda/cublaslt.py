"""NVIDIA's cublasLt, through ctypes: a product is prepared once for its shapes, and is one call from then on.

CuPy refuses its own calls of cuBLAS while a CUDA graph is captured, and leaves bias and ReLU to passes of their own.
A prepared product calls nothing but `cublasLtMatmul`, which can be captured.

The library sees column-major matrices: D = epilogue(op(A) op(B)), where op is nothing or the transpose. What is
row-major for us is its own transpose there, so for y = a b the library is asked for yᵀ = bᵀ aᵀ (`matmul.py`).
The numbers below are those of cublasLt.h, cublas_api.h and library_types.h.
"""
from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from ctypes import addressof, byref, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p, sizeof
from functools import cache
from typing import Any, NamedTuple

from .lazily import cupy

DEFAULT, RELU, BIAS, GELU, BGRADA, BGRADB = 1, 2, 4, 32, 256, 512  # epilogues; GELU is its tanh approximation
AUX, DRELU, DGELU, BGRAD = 128, 136, 192, 16  # AUX is added to RELU or GELU, BGRAD to DRELU or DGELU
TYPES = {"f": 0, "d": 1, "e": 2, "E": 14}  # cudaDataType_t, by the letters of NumPy's dtypes; E is bfloat16
PLANS = 4096  # that are kept; a program with so many shapes begins anew

_COMPUTE_32F, _COMPUTE_64F, _COMPUTE_TF32 = 68, 70, 77
_TRANSA, _TRANSB, _EPILOGUE, _VECTOR, _AUX, _AUX_LD, _AUX_STRIDE = 3, 4, 7, 8, 11, 12, 13  # of a product
_BATCH, _STRIDE = 5, 6  # attributes of a layout
_WORKSPACE, _REDUCTION, _ALIGNMENTS = 1, 3, (5, 6, 7, 8)  # preferences; alignments of A, B, C and D
_REDUCE_IN_COMPUTE_TYPE = 2
_STATUS = {1: "NOT_INITIALIZED", 3: "ALLOC_FAILED", 7: "INVALID_VALUE", 8: "ARCH_MISMATCH", 11: "MAPPING_ERROR",
           13: "EXECUTION_FAILED", 14: "INTERNAL_ERROR", 15: "NOT_SUPPORTED", 16: "LICENSE_ERROR"}
_NOT_SUPPORTED = 15
_POINTER_SIZE = c_size_t(sizeof(c_void_p))


class CublasError(RuntimeError):
    """The library refused a call."""

    def __init__(self, what: str, status: int):
        super().__init__(f"{what}: CUBLAS_STATUS_{_STATUS.get(status, status)}")


class Matrix(NamedTuple):
    """A stack of matrices as the library sees it, column-major: element (i, j) of matrix s lies at
    s * stride + i + j * ld."""

    rows: int
    columns: int
    ld: int
    stride: int = 0
    transposed: bool = False  # op


class Problem(NamedTuple):
    """What a product is prepared for. `vector` and `aux` of the epilogue are given when it runs."""

    letter: str  # of the dtype of all matrices
    a: Matrix
    b: Matrix
    d: Matrix
    batch: int = 1
    epilogue: int = DEFAULT
    alignment: int = 256  # bytes, of which all addresses are multiples
    tf32: bool = False  # whether float32 may be multiplied by tensor cores, with 10 bits of mantissa
    aux: int = 0  # leading dimension of the epilogue's second matrix, in its elements (bits for ReLU)


class Plan:
    """A product that is ready to run on one device. Raises CublasError where the library cannot compute it."""

    def __init__(self, device: int, problem: Problem):
        self.library, self.problem = _library(), problem
        self.handle, self.workspace_size = _handle(device)
        self._owned: list[tuple[Any, c_void_p]] = []
        wide = problem.letter == "d"
        scalar = ctypes.c_double if wide else ctypes.c_float
        self._one, self._zero = scalar(1), scalar(0)
        compute = _COMPUTE_64F if wide else _COMPUTE_TF32 if problem.tf32 and problem.letter == "f" else _COMPUTE_32F
        self._what = self._new("cublasLtMatmulDesc", compute, TYPES["d" if wide else "f"])
        self._set("cublasLtMatmulDesc", self._what, _TRANSA, c_int32(problem.a.transposed))
        self._set("cublasLtMatmulDesc", self._what, _TRANSB, c_int32(problem.b.transposed))
        self._set("cublasLtMatmulDesc", self._what, _EPILOGUE, c_uint32(problem.epilogue))
        self._vector, self._aux, self._lock = c_void_p(), c_void_p(), threading.Lock()
        if problem.epilogue & (BIAS | BGRAD | BGRADA | BGRADB):
            self._point(_VECTOR, self._vector, min(problem.alignment, 16))  # no address yet, but how it is aligned
        if problem.epilogue & AUX:
            self._point(_AUX, self._aux, min(problem.alignment, 16))
            self._set("cublasLtMatmulDesc", self._what, _AUX_LD, c_int64(problem.aux))
            self._set("cublasLtMatmulDesc", self._what, _AUX_STRIDE, c_int64(problem.aux * problem.d.columns))
        layouts = [self._layout(matrix) for matrix in (problem.a, problem.b, problem.d)]
        self._algorithm = self._chosen(layouts)
        one, zero, algorithm = (c_void_p(addressof(x)) for x in (self._one, self._zero, self._algorithm))
        a, b, d = layouts
        self._fixed = (self.library.cublasLtMatmul, self.handle, self._what, one, a, b, zero, d, algorithm,
                       c_size_t(self.workspace_size))

    def __call__(self, a: int, b: int, d: int, workspace: int, stream: int) -> None:
        """Multiply the matrices at these addresses. The library reads and writes when the stream comes to it."""
        call, handle, what, one, a_layout, b_layout, zero, d_layout, algorithm, size = self._fixed
        status = call(handle, what, one, a, a_layout, b, b_layout, zero, d, d_layout, d, d_layout, algorithm,
                      workspace, size, stream)
        if status:
            raise CublasError(f"cublasLtMatmul of {self.problem}", status)

    def run_with(self, vector: int, aux: int, a: int, b: int, d: int, workspace: int, stream: int) -> None:
        """The same with the address of the epilogue's vector (a bias, or where its gradient goes) and second matrix.

        They are part of the library's description of the product, which no other thread may change meanwhile.
        """
        with self._lock:
            if self._vector.value != vector and vector:
                self._point(_VECTOR, self._vector, vector)
            if self._aux.value != aux and aux:
                self._point(_AUX, self._aux, aux)
            self(a, b, d, workspace, stream)

    def __del__(self) -> None:
        for destroy, thing in getattr(self, "_owned", ()):
            destroy(thing)

    def _point(self, attribute: int, kept: c_void_p, address: int) -> None:
        kept.value = address
        status = self.library.cublasLtMatmulDescSetAttribute(self._what, attribute, byref(kept), _POINTER_SIZE)
        self._done(f"cublasLtMatmulDescSetAttribute {attribute}", status)

    def _layout(self, matrix: Matrix) -> c_void_p:
        layout = self._new("cublasLtMatrixLayout", TYPES[self.problem.letter], c_uint64(matrix.rows),
                           c_uint64(matrix.columns), c_int64(matrix.ld))
        if self.problem.batch > 1:
            self._set("cublasLtMatrixLayout", layout, _BATCH, c_int32(self.problem.batch))
            self._set("cublasLtMatrixLayout", layout, _STRIDE, c_int64(matrix.stride))
        return layout

    def _chosen(self, layouts: list[c_void_p]) -> _Heuristic:
        """The library's first choice among its algorithms."""
        a, b, d = layouts
        wishes = self._new("cublasLtMatmulPreference")
        self._set("cublasLtMatmulPreference", wishes, _WORKSPACE, c_uint64(self.workspace_size))
        for which in _ALIGNMENTS:
            self._set("cublasLtMatmulPreference", wishes, which, c_uint32(self.problem.alignment))
        if self.problem.letter in "eE":  # partial sums are added in float32, too
            self._set("cublasLtMatmulPreference", wishes, _REDUCTION, c_uint32(_REDUCE_IN_COMPUTE_TYPE))
        found, count = _Heuristic(), c_int()
        status = self.library.cublasLtMatmulAlgoGetHeuristic(self.handle, self._what, a, b, d, d, wishes, 1,
                                                             byref(found), byref(count))
        if status or not count.value or found.state:
            raise CublasError(f"cublasLtMatmulAlgoGetHeuristic of {self.problem}",
                              status or found.state or _NOT_SUPPORTED)
        return found

    def _new(self, kind: str, *arguments: Any) -> c_void_p:
        thing = c_void_p()
        self._done(f"{kind}Create", getattr(self.library, f"{kind}Create")(byref(thing), *arguments))
        self._owned.append((getattr(self.library, f"{kind}Destroy"), thing))
        return thing

    def _set(self, kind: str, thing: c_void_p, attribute: int, value: Any) -> None:
        status = getattr(self.library, f"{kind}SetAttribute")(thing, attribute, byref(value), c_size_t(sizeof(value)))
        self._done(f"{kind}SetAttribute {attribute}", status)

    def _done(self, what: str, status: int) -> None:
        if status:
            raise CublasError(f"{what} for {self.problem}", status)


def workspace(device: int, stream: int) -> int:
    """The address of the memory that products on this stream of the current device may use for partial sums.

    Products on one stream run one after the other, and share it. It stays, and comes from no graph's pool: all graphs
    that were captured on the stream have its address.
    """
    found = _workspaces.get((device, stream))
    if found is None:
        found = _workspaces[device, stream] = cupy.get_default_memory_pool().malloc(_handle(device)[1])
    return found.ptr


def missing() -> str | None:
    """Why cublasLt cannot be called, or None."""
    return _found()[1]


class _Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t; an algorithm is its first member."""

    _fields_ = [("algorithm", c_uint64 * 8), ("workspace", c_size_t), ("state", c_int), ("waves", ctypes.c_float),
                ("reserved", c_int * 4)]


_workspaces: dict[tuple[int, int], Any] = {}


@cache
def _handle(device: int) -> tuple[c_void_p, int]:
    """The library's state on the current device, which is `device`, and the size of its workspaces.

    32 MiB are what NVIDIA recommends from Hopper on, 4 MiB before it.
    """
    handle = c_void_p()
    status = _library().cublasLtCreate(byref(handle))
    if status:
        raise CublasError(f"cublasLtCreate on device {device}", status)
    return handle, (32 if int(cupy.cuda.Device(device).compute_capability) >= 90 else 4) << 20


def _library() -> ctypes.CDLL:
    library, reason = _found()
    if library is None:
        raise RuntimeError(reason)
    return library


@cache
def _found() -> tuple[ctypes.CDLL | None, str | None]:
    """The library, or why there is none."""
    for path in _places():
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        library.cublasLtMatmul.argtypes = [c_void_p] * 14 + [c_size_t, c_void_p]  # plain ints pass quickest so
        return library, None
    return None, "cublasLt is not installed: pip install nvidia-cublas, or let CUDA_PATH name the CUDA toolkit"


def _places() -> Iterator[str]:
    """Where the library may lie: MINITORCH_CUBLASLT says so itself, else the loader knows it by name, or NVIDIA's
    wheels or the toolkit hold it."""
    if "MINITORCH_CUBLASLT" in os.environ:
        yield os.environ["MINITORCH_CUBLASLT"]
        return
    windows = sys.platform == "win32"
    names = [f"cublasLt64_{n}.dll" if windows else f"libcublasLt.so.{n}" for n in (13, 12)]
    yield from names
    wheels = importlib.util.find_spec("nvidia")
    roots = [os.path.join(folder, kind) for folder in (wheels and wheels.submodule_search_locations) or ()
             for kind in ("cu13", "cublas")]
    roots += [os.environ[name] for name in ("CUDA_PATH", "CUDA_HOME") if name in os.environ]
    for name in names:
        for root in roots:
            for folder in ("bin", "bin/x64", "bin/x86_64") if windows else ("lib", "lib64"):
                yield os.path.join(root, folder, name)
