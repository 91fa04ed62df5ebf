"""Norms of vectors and matrices, and functions of matrices: powers, exponential, products, rank, condition."""
from __future__ import annotations

import math

import numpy as np

from .. import dtypes, return_types, shapes
from ..errors import DTypeError, LinAlgError, ShapeError
from ..op import composite
from ..tensor import Tensor
from .decompose import _cutoff, eigvalsh, pinv, svdvals
from .gather import into
from .linalg import _eye_like, inverse, matrix, square
from .matmul import matmul
from .reduce import vector_norm_
from .shape import movedim, reshape, squeeze, unsqueeze


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None):
    """(Σ |x|^ord)^(1/ord) over `dim`, or of all elements; ord inf is the largest, -inf the smallest magnitude."""
    x = x if dtype is None else x.to(dtype)
    return into(out, vector_norm_(x, ord, None if dim in ((), []) else dim, keepdim))


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, out=None):
    """The norm of matrices: "fro", "nuc" (sum of singular values), ±inf and ±1 (row and column sums), ±2 (spectral)."""
    A = A if dtype is None else A.to(dtype)
    if A.ndim < 2 or len(dim) != 2:
        raise ShapeError(f"linalg.matrix_norm: expects a matrix and two dims, got shape {list(A.shape)} and dim {dim}")
    rows, columns = (shapes.axis("linalg.matrix_norm", A, d) for d in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({rows}, {columns})")
    if ord == "fro":
        return into(out, vector_norm_(A, 2, (rows, columns), keepdim))
    if ord == "nuc" or ord in (2, -2):
        s = svdvals(movedim(A, (rows, columns), (-2, -1)))
        y = s.sum(-1) if ord == "nuc" else _largest(s, -1, False) if ord == 2 else s.amin(-1)
    elif ord in (1, -1, math.inf, -math.inf):
        across = rows if abs(ord) == 1 else columns
        sums = vector_norm_(A, 1, across, True)
        other = columns if across == rows else rows
        y = squeeze(_largest(sums, other, True) if ord > 0 else sums.amin(other, True), (rows, columns))
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    return into(out, reshape(y, shapes.kept(A._array.shape, (rows, columns))) if keepdim else y)


def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None, out=None):
    """A vector or matrix norm, by the number of dimensions; without `ord` the 2-norm of all elements."""
    if ord is None or isinstance(dim, int) or (len(dim) == 1 if dim is not None else A.ndim == 1):
        return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype, out=out)
    if dim is None and A.ndim != 2:
        raise ShapeError("linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                         f"{A.ndim}D.")
    return matrix_norm(A, ord, (0, 1) if dim is None else dim, keepdim, dtype=dtype, out=out)


def cond(A, p=None, *, out=None):
    """The condition number: by singular values (p None, 2 or -2), else norm(A, p) norm(A⁻¹, p); inf where singular."""
    matrix("linalg.cond", A)
    if A._array.size == 0:
        return into(out, A.sum((-2, -1)))
    if p is None or p in (2, -2):
        s = svdvals(A)
        return into(out, s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1])
    square("linalg.cond", A)
    try:
        return into(out, matrix_norm(A, p) * matrix_norm(inverse(A), p))
    except LinAlgError:
        return into(out, matrix_norm(A, p) * math.inf)


def matrix_rank(A, *, atol=None, rtol=None, tol=None, hermitian=False, out=None):
    """How many singular values are larger than max(atol, rtol times the largest)."""
    from ..device import kernels_of

    matrix("linalg.matrix_rank", A)
    s = (eigvalsh(A).abs() if hermitian else svdvals(A))._array
    k = kernels_of(s)
    cutoff = _cutoff(k, s, A._array, atol if tol is None else tol, rtol if tol is None else 0.0)
    return into(out, Tensor._wrap(k.xp.asarray((s > cutoff).sum(-1))))


@composite
def matrix_power(input, n, *, out=None):
    """The product of `n` times the matrix, by repeated squaring; of its inverse for n < 0, the unit matrix for 0."""
    square("linalg.matrix_power", input)
    if n == 0:
        eye = Tensor._wrap(_eye_like(input._array))
        return into(out, eye.expand(input._array.shape).clone())
    base, n = (inverse(input), -n) if n < 0 else (input, n)
    y = None
    while n:
        if n & 1:
            y = base if y is None else matmul(y, base)
        n >>= 1
        if n:
            base = matmul(base, base)
    return into(out, y.clone() if y is input else y)


@composite
def matrix_exp(input):
    """The matrix exponential, by Taylor's series of A / 2^s, of norm 1/2 at most, squared s times."""
    square("linalg.matrix_exp", input)
    array = input._array
    size = float(abs(array).sum(-2).max()) if array.size else 0.0
    squarings = max(0, math.ceil(math.log2(size)) + 1) if 0 < size < math.inf else 0
    x = input.to(WIDE.get(input.dtype)) * 0.5 ** squarings  # each squaring doubles the rounding error
    eye = Tensor._wrap(_eye_like(x._array))
    y = x / 15 + eye
    for i in range(14, 0, -1):  # the first term left out, (1/2)^16 / 16!, is below float64's precision
        y = matmul(x, y) / i + eye
    for _ in range(squarings):
        y = matmul(y, y)
    return y.to(input.dtype)


WIDE = {dtypes.float32: dtypes.float64, dtypes.complex64: dtypes.complex128}


@composite(inplace=True)
def renorm(input, p, dim, maxnorm, *, out=None):
    """`input` with those slices along `dim` whose p-norm exceeds `maxnorm` scaled down to it.

    >>> from minitorch import tensor
    >>> renorm(tensor([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 1.0)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    at = shapes.axis("renorm", input, dim)
    if p <= 0 or maxnorm < 0:
        raise RuntimeError(f"renorm: expects a positive p and maxnorm >= 0, got {p} and {maxnorm}")
    if input.ndim < 2:
        raise ShapeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    norms = vector_norm_(input, p, tuple([d for d in range(input.ndim) if d != at]), True)
    scale = (maxnorm / (norms + 1e-7)).masked_fill(norms <= maxnorm, 1.0)
    return into(out, input * scale)


def multi_dot(tensors, *, out=None):
    """The product of several matrices, in the order that takes the fewest multiplications; the ends may be vectors.

    Cormen et al., "Introduction to Algorithms", 15.2: matrix-chain multiplication.
    """
    if len(tensors) < 2:
        raise ShapeError(f"linalg.multi_dot: expected at least 2 tensors but got {len(tensors)}")
    first, last = tensors[0].ndim == 1, tensors[-1].ndim == 1
    chain = list(tensors)
    chain[0] = unsqueeze(chain[0], 0) if first else chain[0]
    chain[-1] = unsqueeze(chain[-1], 1) if last else chain[-1]
    for i, x in enumerate(chain):
        if x.ndim != 2:
            raise ShapeError(f"linalg.multi_dot: tensor {i} must be 2D but got {x.ndim}D")
    sizes = [x._array.shape[0] for x in chain] + [chain[-1]._array.shape[1]]
    n = len(chain)
    cost, split = np.zeros((n, n)), np.zeros((n, n), int)
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            costs = [cost[i, m] + cost[m + 1, j] + sizes[i] * sizes[m + 1] * sizes[j + 1] for m in range(i, j)]
            split[i, j] = i + int(np.argmin(costs))
            cost[i, j] = min(costs)

    def product(i, j):
        return chain[i] if i == j else matmul(product(i, split[i, j]), product(split[i, j] + 1, j))

    y = product(0, n - 1)
    y = squeeze(y, 0) if first else y
    return into(out, squeeze(y, -1) if last else y)


def lstsq(A, B, rcond=None, *, driver=None):
    """(solution, residuals, rank, singular_values) of the least-squares problem min |A X - B|.

    Of several solutions the one of least norm. As in PyTorch, which has LAPACK's drivers to choose from, `residuals`
    are left empty by the default one, "gelsy", and where A has not full rank and more rows than columns.
    """
    matrix("linalg.lstsq", A)
    vector = B.ndim == A.ndim - 1
    b = unsqueeze(B, -1) if vector else B
    if b._array.shape[-2] != A._array.shape[-2]:
        raise ShapeError(f"linalg.lstsq: input.size(-2) should match other.size(-2), got {list(A.shape)} and "
                         f"{list(B.shape)}")
    if A._array.dtype != B._array.dtype:
        raise DTypeError(f"linalg.lstsq: Expected A and B to have the same dtype, got {A.dtype} and {B.dtype}")
    x = matmul(pinv(A, rtol=rcond), b)
    rank = matrix_rank(A, rtol=rcond)
    m, n = A._array.shape[-2:]
    full = driver not in (None, "gelsy") and m > n and (rank._array == n).all()
    none = (A.real if A.is_complex() else A).detach().reshape(-1)[:0].clone()
    residuals = (b - matmul(A, x)).abs().square().sum(-2) if full else none
    values = svdvals(A).detach() if driver in ("gelsd", "gelss") else none
    if driver == "gels":  # which takes full rank for granted
        rank = none.long()
    return return_types.linalg_lstsq(squeeze(x, -1) if vector else x, residuals, rank, values)


def _largest(x: Tensor, dim: int, keepdim: bool) -> Tensor:
    """The largest of non-negative numbers, 0 of none."""
    return x.amax(dim, keepdim) if x._array.shape[dim] else x.sum(dim, keepdim)


def vecdot(x, y, *, dim=-1, out=None):
    """Σ conj(x) y along `dim`."""
    return into(out, (x.conj() * y).sum(dim))


def vander(x, N=None):
    """The powers 0 ... N - 1 of each element along a new last dimension."""
    x = reshape(x, 1) if x.ndim == 0 else x
    n = x._array.shape[-1] if N is None else N
    ones = x.unsqueeze(-1) * 0 + 1
    if n <= 1:
        return ones[..., :n]
    return unsqueeze(x, -1).expand((*x._array.shape, n - 1)).cumprod(-1).constant_pad((1, 0), 1)
