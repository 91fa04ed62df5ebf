"""Linear algebra under PyTorch's names: `torch.linalg`."""
from __future__ import annotations

from .errors import LinAlgError, absent_from
from .op import FUNCTIONS as _FUNCTIONS
from .ops.decompose import eigh, eigvalsh, pinv, svdvals
from .ops.decompose import qr_ as qr
from .ops.decompose import svd_ as svd
from .ops.factor import (
    eig,
    eigvals,
    householder_product,
    lu_factor,
    lu_factor_ex,
    solve_ex,
    tensorinv,
    tensorsolve,
)
from .ops.factor import linalg_lu as lu
from .ops.factor import linalg_lu_solve as lu_solve
from .ops.ldl import ldl_factor, ldl_factor_ex, ldl_solve
from .ops.linalg import cholesky_ex, inv_ex, solve, solve_triangular
from .ops.matrices import (
    cond,
    lstsq,
    matrix_norm,
    matrix_rank,
    multi_dot,
    norm,
    vander,
    vecdot,
    vector_norm,
)
from .tensor import Tensor as _Tensor

__all__ = ["LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh",
           "eigvals", "eigvalsh", "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex",
           "ldl_solve", "lstsq", "lu", "lu_factor", "lu_factor_ex",
           "lu_solve", "matmul", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm",
           "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd",
           "svdvals", "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm"]

cholesky, det, inv = _FUNCTIONS["cholesky"], _FUNCTIONS["det"], _FUNCTIONS["inverse"]
matmul, matrix_exp, matrix_power = _FUNCTIONS["matmul"], _FUNCTIONS["matrix_exp"], _FUNCTIONS["matrix_power"]
slogdet = _FUNCTIONS["slogdet"]


def cross(input: _Tensor, other: _Tensor, *, dim: int = -1, out: _Tensor | None = None) -> _Tensor:
    """The cross product along `dim`, of size 3."""
    return _FUNCTIONS["cross"](input, other, dim, out=out)


def diagonal(A: _Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> _Tensor:
    """The diagonals of matrices, as a view."""
    return _FUNCTIONS["diagonal"](A, offset, dim1, dim2)

__getattr__ = absent_from(__name__, lambda: globals())
