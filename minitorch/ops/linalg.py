"""Linear systems: inverse, determinant, solve, triangular solve, Cholesky. Stacks of matrices are done one by one.

Gradients are written with the same operations again, so that they can be differentiated too. Sources: Giles 2008,
"Collected matrix derivative results for forward and reverse mode algorithmic differentiation"; Murray 2016,
"Differentiation of the Cholesky decomposition".
"""
from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes, return_types, shapes
from ..errors import DTypeError, LinAlgError, ShapeError
from ..op import composite, joint, op
from ..tensor import Tensor
from .arrange import tril, triu
from .elementwise import conjugate
from .gather import into
from .shape import squeeze, transpose, unsqueeze

# Inverse and determinant


@op(method=False, function=False)
def linalg_inv(k, x, /):
    square("linalg.inv", x)
    y = lapack("linalg.inv", k.xp.linalg.inv, x)
    return y, lambda dy: -k.matmul(_h(y), k.matmul(dy, _h(y)))


@op(method=False, function=False)
def linalg_det(k, x, /):
    square("linalg.det", x)
    y = k.xp.asarray(k.xp.linalg.det(x))
    return y, lambda dy: _det_dx(k, dy, x, y)


@op(method=False, function=False)
def linalg_slogdet(k, x, /):
    square("linalg.slogdet", x)
    sign, size = k.xp.linalg.slogdet(x)
    return ([k.xp.asarray(sign), k.xp.asarray(size)],
            joint(lambda dy, needs: [dy[1][..., None, None] * _h(apply(k, linalg_inv, x))
                                     if dy[1] is not None else None]))


@composite
def inverse(input, *, out=None):
    """The inverse matrix. Raises LinAlgError where there is none.

    >>> import minitorch as torch
    >>> torch.inverse(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return into(out, linalg_inv(input))


@composite
def det(input, *, out=None):
    """The determinant of square matrices."""
    return into(out, linalg_det(input))


@composite
def slogdet(input, *, out=None):
    """(sign, logabsdet): the determinant's sign and the logarithm of its absolute value, without overflow."""
    sign, size = linalg_slogdet(input)
    return return_types.slogdet(sign, size) if out is None else \
        return_types.slogdet(into(out[0], sign), into(out[1], size))


@composite
def logdet(input):
    """The logarithm of the determinant: nan where that is negative, -inf where it is zero."""
    sign, size = linalg_slogdet(input)
    return size + sign.log()


# Solving


@op(method=False, function=False)
def linalg_solve(k, a, b, /):
    """a⁻¹ b for matrices."""
    y = lapack("linalg.solve", k.xp.linalg.solve, a, b)

    def gradients(dy, needs):
        db = apply(k, linalg_solve, _h(a), dy)
        return (-k.matmul(db, _h(y)) if needs[0] else None), db

    return y, joint(gradients)


@op(method=False, function=False)
def linalg_solve_triangular(k, a, b, /, upper, unitriangular=False):
    """a⁻¹ b, where only one triangle of `a` is looked at."""
    y = _substituted(k.xp, a, b, upper, unitriangular)

    def gradients(dy, needs):
        db = apply(k, linalg_solve_triangular, _h(a), dy, not upper, unitriangular)
        if not needs[0]:
            return None, db
        whole = -k.matmul(db, _h(y))
        return apply(k, triu if upper else tril, whole, int(unitriangular) * (1 if upper else -1)), db

    return y, joint(gradients)


def solve(A, B, *, left=True, out=None):
    """X with A X = B, or X A = B unless `left`. B may be a vector, or a stack of vectors of A's batch shape.

    Raises LinAlgError for a singular matrix, ShapeError where shapes do not fit.

    >>> from minitorch import linalg, tensor
    >>> linalg.solve(tensor([[2.0, 0.0], [0.0, 4.0]]), tensor([2.0, 4.0]))
    tensor([1., 1.])
    """
    square("linalg.solve", A)
    a, b = A._array.shape, B._array.shape
    vector = len(b) == 1 or (len(b) == len(a) - 1 and b == a[:-1])
    if vector and not left:
        raise ShapeError("linalg.solve: Vector broadcasting of the left hand side is not supported for left=False.")
    _fits("linalg.solve", A, B, left, vector)
    if left:
        y = linalg_solve(A, unsqueeze(B, -1) if vector else B)
        return into(out, squeeze(y, -1) if vector else y)
    return into(out, transpose(linalg_solve(transpose(A, -2, -1), transpose(B, -2, -1)), -2, -1))


def solve_triangular(A, B, *, upper, left=True, unitriangular=False, out=None):
    """X with A X = B, or X A = B unless `left`, for a triangular A; with `unitriangular` its diagonal counts as 1."""
    square("linalg.solve_triangular", A)
    _fits("linalg.solve_triangular", A, B, left, False)
    if left:
        return into(out, linalg_solve_triangular(A, B, upper, unitriangular))
    y = linalg_solve_triangular(transpose(A, -2, -1), transpose(B, -2, -1), not upper, unitriangular)
    return into(out, transpose(y, -2, -1))


# Cholesky


@op(method=False, function=False)
def linalg_cholesky(k, x, /):
    """The lower triangular L with L Lᴴ = x, of which the lower triangle is looked at."""
    square("linalg.cholesky", x)
    y = lapack("linalg.cholesky", k.xp.linalg.cholesky, x)

    def dx(dy):
        inner = apply(k, tril, k.matmul(_h(y), dy))
        inner = inner * (1 - 0.5 * _eye(k, y))
        left = apply(k, linalg_solve_triangular, _h(y), inner, True)
        whole = _h(apply(k, linalg_solve_triangular, _h(y), _h(left), True))
        return (whole + _h(whole)) * 0.5

    return y, dx


@composite
def cholesky(input, upper=False, *, out=None):
    """L with L Lᴴ = `input`, lower triangular, or with `upper` U = Lᴴ. Raises LinAlgError unless positive-definite.

    >>> import minitorch as torch
    >>> torch.cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    y = linalg_cholesky(input.mH if upper and input.ndim > 1 else input)
    return into(out, y.mH if upper else y)


@op(method=False, function=False)
def cholesky_solve_(k, b, factor, /, upper):
    """A⁻¹ b with A = L Lᴴ. The gradient of L is not cut to the triangle, as PyTorch's is not."""
    lower = _h(factor) if upper else factor
    y = _substituted(k.xp, _h(lower), _substituted(k.xp, lower, b, False, False), True, False)

    def gradients(dy, needs):
        db = apply(k, cholesky_solve_, dy, factor, upper)
        if not needs[1]:
            return db, None
        da = k.matmul(db, _h(y))
        da = -(da + _h(da))
        return db, k.matmul(factor, da) if upper else k.matmul(da, factor)

    return y, joint(gradients)


@composite
def cholesky_solve(input, L, upper=False, *, out=None):
    """X with A X = `input`, for A given by its Cholesky factor L."""
    square("cholesky_solve", L)
    _fits("cholesky_solve", L, input, True, False)
    return into(out, cholesky_solve_(input, L, upper))


@composite
def cholesky_inverse(L, upper=False, *, out=None):
    """The inverse of A, given by its Cholesky factor L."""
    square("cholesky_inverse", L)
    eye = Tensor._wrap(np.eye(L._array.shape[-1], dtype=L._array.dtype)) if isinstance(L._array, np.ndarray) else \
        Tensor._wrap(_eye_like(L._array))
    return cholesky_solve(eye, L, upper, out=out)


def cholesky_ex(A, *, upper=False, check_errors=False, out=None):
    """(L, info) as `cholesky`, with info 1 instead of an error where a matrix is not positive-definite."""
    return return_types.linalg_cholesky_ex(*_with_info(lambda: cholesky(A, upper), A, check_errors))


def inv_ex(A, *, check_errors=False, out=None):
    """(inverse, info) as `inv`, with info 1 instead of an error where a matrix is singular."""
    return return_types.linalg_inv_ex(*_with_info(lambda: inverse(A), A, check_errors))


# What the linear algebra families share


def matrix(name: str, x: Any) -> None:
    """Raise ShapeError unless `x` is a matrix or a stack of them, DTypeError unless its type is one of LAPACK's."""
    dtype = x.dtype if isinstance(x, Tensor) else dtypes.from_numpy(x.dtype)
    if x.ndim < 2:
        raise ShapeError(f"{name}: The input tensor A must have at least 2 dimensions, got shape {list(x.shape)}")
    if dtype not in (dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128):
        low = dtype.is_floating_point
        raise DTypeError(f"{name}: " + ("Low precision dtypes not supported" if low else
                                        "Expected a floating point or complex tensor as input") + f". Got {dtype}")


def square(name: str, x: Any) -> None:
    """`matrix`, and ShapeError unless square."""
    matrix(name, x)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name}: A must be batches of square matrices, but they are {x.shape[-2]} by {x.shape[-1]} "
                         "matrices")


def lapack(name: str, function: Any, *arrays: Any) -> Any:
    """Call a function of the array module's linalg, whose errors become LinAlgError."""
    try:
        return function(*arrays)
    except np.linalg.LinAlgError as error:
        why = {"Singular matrix": "the input matrix is singular",
               "Matrix is not positive definite": "the input is not positive-definite"}.get(str(error), str(error))
        raise LinAlgError(f"{name}: could not be completed because {why}") from None


def apply(k: Any, function: Any, *arguments: Any) -> Any:
    """An op in a gradient function: on tensors itself, on arrays its body."""
    if any([isinstance(a, Tensor) for a in arguments]):
        return function(*arguments)
    return function.op.body(k, *arguments)[0]


def _h(x: Any) -> Any:
    """The conjugate transpose of matrices, arrays or tensors."""
    return conjugate(x).swapaxes(-1, -2)


def _det_dx(k: Any, dy: Any, x: Any, y: Any) -> Any:
    """dy times the cofactors: det(x) x⁻ᴴ, of singular matrices by the singular values."""
    if isinstance(y, Tensor) or (y != 0).all():
        return (dy * conjugate(y))[..., None, None] * _h(apply(k, linalg_inv, x))
    u, s, vh = k.xp.linalg.svd(x)
    sign = k.xp.linalg.det(u) * k.xp.linalg.det(vh)
    others = k.prod_others(s, s.ndim - 1) * conjugate(sign)[..., None]
    return dy[..., None, None] * ((u * others[..., None, :]) @ vh)


def _substituted(xp: Any, a: Any, b: Any, upper: bool, unit: bool) -> Any:
    """Substitution by halves: solve for one half of the rows, put it into the other half, and solve for that."""
    n = a.shape[-1]
    if n == 0:
        return xp.broadcast_to(b, np.broadcast_shapes(a.shape[:-2], b.shape[:-2]) + b.shape[-2:]).copy()
    if n == 1:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return xp.broadcast_to(b, batch + b.shape[-2:]).copy() if unit else b / a
    half = n // 2
    first, last = slice(0, half), slice(half, n)
    if upper:
        first, last = last, first
    x1 = _substituted(xp, a[..., first, first], b[..., first, :], upper, unit)
    x2 = _substituted(xp, a[..., last, last], b[..., last, :] - a[..., last, first] @ x1, upper, unit)
    return xp.concatenate([x2, x1] if upper else [x1, x2], -2)


def _fits(name: str, A: Tensor, B: Tensor, left: bool, vector: bool) -> None:
    a, b = A._array.shape, B._array.shape
    if A._array.dtype != B._array.dtype:
        raise DTypeError(f"{name}: Expected A and B to have the same dtype, but found {A.dtype} and {B.dtype}")
    if (len(b) < 2 and not vector) or b[-1 if vector or not left else -2] != a[-1]:
        raise ShapeError(f"{name}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
                         f"({list(a)} and {list(b)})")
    shapes.broadcast(name, a[:-2], b[:-1] if vector else b[:-2])


def _eye(k: Any, like: Any) -> Any:
    """The unit matrix of the size and type of matrices, arrays or tensors."""
    raw = like._array if isinstance(like, Tensor) else like
    return Tensor._wrap(_eye_like(raw)) if isinstance(like, Tensor) else _eye_like(raw)


def _eye_like(array: Any) -> Any:
    from ..device import kernels_of

    return kernels_of(array).xp.eye(array.shape[-1], dtype=array.dtype)


def _with_info(compute: Any, A: Tensor, check: bool) -> tuple[Tensor, Tensor]:
    info = np.zeros(A._array.shape[:-2], np.int32)
    try:
        return compute(), Tensor._wrap(info)
    except LinAlgError:
        if check:
            raise
        return A * float("nan"), Tensor._wrap(info + 1)
