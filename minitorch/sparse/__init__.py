"""Sparse tensors in coordinate form under PyTorch's names: `sparse.mm`, `sparse.sum`, `sparse.FloatTensor`, ..."""
from __future__ import annotations

from typing import Any

from .. import dtypes
from ..device import device as _device
from ..errors import NoAttributeError, ShapeError
from ..legacy import _WORDS
from ..op import FUNCTIONS
from ..tensor import Size, Tensor
from . import operations
from .coo import SparseTensor, from_dense, masked, sparse_coo_tensor
from .csr import SparseCSR, compressed, sparse_csr_tensor


def mm(mat1: Tensor, mat2: Tensor) -> Tensor:
    """The product of matrices of which at least one is sparse; sparse where both are.

    >>> a = sparse_coo_tensor([[0, 1], [1, 0]], [2.0, 3.0], (2, 2))
    >>> mm(a, FUNCTIONS["ones"](2, 1))
    tensor([[2.],
            [3.]])
    """
    for x in (mat1, mat2):
        if x.ndim != 2:
            raise ShapeError(f"sparse.mm: expects matrices, got shapes {tuple(mat1.shape)} and {tuple(mat2.shape)}")
    return FUNCTIONS["matmul"](mat1, mat2)


spmm = dsmm = mm


def smm(input: Tensor, mat2: Tensor) -> SparseTensor:
    """The product of a sparse and a dense matrix as a sparse one."""
    return from_dense(mm(input, mat2))


def hspmm(mat1: Tensor, mat2: Tensor) -> SparseTensor:
    """The same with rows as elements: one sparse and one dense dimension."""
    return from_dense(mm(mat1, mat2), 1)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta input + alpha mat1 mat2, with `mat1` sparse."""
    return beta * input + alpha * mm(mat1, mat2)


def sum(input: SparseTensor, dim: Any = None, dtype: Any = None) -> Tensor:
    """The sum of all elements, or over dimensions: dense where no sparse dimension is left."""
    y = input if dtype is None else input.to(dtype)
    return y.sum() if dim is None else y._sum_over([dim] if isinstance(dim, int) else list(dim))


def softmax(input: SparseTensor, dim: int, dtype: Any = None) -> SparseTensor:
    """Softmax along `dim` over the elements that are there; the others count as minus infinity."""
    return (input if dtype is None else input.to(dtype))._softmax(dim, False)


def log_softmax(input: SparseTensor, dim: int, dtype: Any = None) -> SparseTensor:
    """Its logarithm."""
    return (input if dtype is None else input.to(dtype))._softmax(dim, True)


class check_sparse_tensor_invariants:
    """Accepted around a block, and as a switch: indices are always checked here."""

    def __init__(self, enable: bool = True):
        pass

    @staticmethod
    def is_enabled() -> bool:
        return True

    @staticmethod
    def enable() -> None:
        """They are checked already."""

    disable = enable

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: Any) -> None:
        pass


def _legacy_type(word: str, dtype: dtypes.dtype) -> type:
    """The former constructor: of indices, values and a shape; of indices and values; or of sizes."""
    def make(cls, *args, device=None):
        where = None if device is None else _device(device)
        if args and isinstance(args[0], Tensor):
            return sparse_coo_tensor(*args, dtype=dtype, device=where)
        sizes = args[0] if args and isinstance(args[0], (tuple, list)) else args
        return sparse_coo_tensor(Size(sizes), dtype=dtype, device=where)

    kind = type("_SparseType", (type,), {
        "__call__": make,
        "__instancecheck__": lambda cls, x: isinstance(x, SparseTensor) and x.dtype is dtype})
    return kind(f"{word}Tensor", (), {"__module__": "torch.sparse", "dtype": dtype})


globals().update({f"{word}Tensor": _legacy_type(word, d) for word, d in _WORDS.items()})


def __getattr__(name: str) -> Any:
    raise NoAttributeError(f"module 'torch.sparse' has no attribute '{name}'", name, lambda: globals())


__all__ = ["SparseCSR", "SparseTensor", "addmm", "check_sparse_tensor_invariants", "compressed", "from_dense",
           "log_softmax", "masked", "mm", "softmax", "sparse_coo_tensor", "sparse_csr_tensor", "sum"]
