"""Factorisations of matrices and what they solve: LU, Householder reflections, eigenvalues of any matrix.

Gradients: of LU by Walter and Lehmann 2010, of eigenvalues and eigenvectors by Boeddeker et al. 2017, "On the
computation of complex-valued gradients".
"""
from __future__ import annotations

from math import prod
from typing import Any

from .. import return_types, shapes
from ..device import kernels_of
from ..errors import LinAlgError, ShapeError
from ..op import FUNCTIONS, composite, joint, op
from ..tensor import Tensor
from .arrange import tril, triu
from .elementwise import conjugate, is_complex
from .gather import into
from .linalg import (
    _eye,
    _fits,
    _h,
    apply,
    lapack,
    linalg_inv,
    linalg_solve,
    linalg_solve_triangular,
    matrix,
    solve,
    solve_triangular,
    square,
)
from .matmul import matmul
from .shape import permute, reshape

# LU


@op(method=False, function=False)
def linalg_lu_packed(k, x, /, pivot=True):
    """[L below and U on and above the diagonal, the row swaps from 1, info, rows] with x[rows] = L U."""
    matrix("linalg.lu_factor", x)
    packed, swaps, info, rows, back = k.lu(x, pivot)
    y = [packed, swaps, info, rows]
    return y, joint(lambda dy, needs: [_lu_dx(k, dy[0], y[0], back)])


def _lu_dx(k: Any, dy: Any, y: Any, back: Any) -> Any:
    """The gradient of the square part; of more rows or columns that of L₂ = A₂ U⁻¹ or U₂ = L⁻¹ A₂ besides."""
    m, n = y.shape[-2:]
    size, more = min(m, n), None
    corner = y[..., :size, :size]
    lower, upper = apply(k, tril, corner, -1) + _eye(k, corner), apply(k, triu, corner)
    dl, du = apply(k, tril, dy[..., :size, :size], -1), apply(k, triu, dy[..., :size, :size])
    if m > n:
        more = _h(apply(k, linalg_solve_triangular, upper, _h(dy[..., n:, :]), True))
        du = du - k.matmul(_h(y[..., n:, :]), more)
    elif n > m:
        more = apply(k, linalg_solve_triangular, _h(lower), dy[..., m:], True, True)
        dl = dl - k.matmul(more, _h(y[..., m:]))
    inner = apply(k, tril, k.matmul(_h(lower), dl), -1) + apply(k, triu, k.matmul(du, _h(upper)))
    inner = apply(k, linalg_solve_triangular, _h(lower), inner, True, True)
    dx = _h(apply(k, linalg_solve_triangular, upper, _h(inner), True))
    if more is not None:
        dx = k.xp.concatenate([dx, more], axis=-2 if m > n else -1)
    return k.xp.take_along_axis(dx, k.xp.broadcast_to(back, tuple(dx.shape)), -2)


def lu_factor_ex(A, *, pivot=True, check_errors=False, out=None):
    """(LU, pivots, info): L and U in one matrix, the row swaps, and where U's diagonal is zero first (0: nowhere)."""
    packed, pivots, info, _ = linalg_lu_packed(A, pivot)
    if check_errors:
        _check_info("linalg.lu_factor", info)
    return return_types.linalg_lu_factor_ex(*_out(out, packed, pivots, info))


def lu_factor(A, *, pivot=True, out=None):
    """(LU, pivots): L and U in one matrix, and the row swaps. Raises LinAlgError for a singular matrix."""
    packed, pivots, _ = lu_factor_ex(A, pivot=pivot, check_errors=True)
    return return_types.linalg_lu_factor(*_out(out, packed, pivots))


def linalg_lu(A, *, pivot=True, out=None):
    """(P, L, U) with A = P L U; without `pivot` P is empty.

    >>> import minitorch as torch
    >>> torch.linalg.lu(torch.tensor([[1.0, 2.0], [2.0, 1.0]])).U
    tensor([[2.0000, 1.0000],
            [0.0000, 1.5000]])
    """
    packed, _, _, rows = linalg_lu_packed(A, pivot)
    lower, upper = _triangles(packed)
    p = _permutation(rows, A) if pivot else FUNCTIONS["empty"](0, dtype=A.dtype, device=A.device)
    return return_types.linalg_lu(*_out(out, p, lower, upper))


@composite
def lu(input, pivot=True, get_infos=False, *, out=None):
    """(LU, pivots), and with `get_infos` where U's diagonal is zero: `linalg.lu_factor`."""
    found = lu_factor_ex(input, pivot=pivot, check_errors=not get_infos)
    return tuple(_out(out, *(found if get_infos else found[:2])))


@composite(method=False)
def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True, *, out=None):
    """(P, L, U) of what `lu_factor` gives; empty tensors for what is not asked for."""
    if unpack_pivots and LU_pivots.dtype.name != "int32":
        raise RuntimeError("lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype, got "
                           f"{LU_pivots.dtype}")
    none = FUNCTIONS["empty"](0, dtype=LU_data.dtype, device=LU_data.device)
    p = _permutation(_rows_of(LU_pivots, LU_data._array.shape[-2]), LU_data) if unpack_pivots else none
    lower, upper = _triangles(LU_data) if unpack_data else (none, none)
    return return_types.lu_unpack(*_out(out, p, lower, upper))


def linalg_lu_solve(LU, pivots, B, *, left=True, adjoint=False, out=None):
    """X with A X = B (X A = B unless `left`; Aᴴ in the place of A with `adjoint`), for A given by `lu_factor`."""
    square("linalg.lu_solve", LU)
    _fits("linalg.lu_solve", LU, B, left, False)
    if not left:
        return into(out, linalg_lu_solve(LU, pivots, B.mH, adjoint=not adjoint).mH)
    rows = _rows_of(pivots, LU._array.shape[-1])
    p = _permutation(rows, LU)
    if adjoint:
        y = solve_triangular(LU.mH, B, upper=False)
        return into(out, matmul(p, solve_triangular(LU.mH, y, upper=True, unitriangular=True)))
    y = solve_triangular(LU, matmul(p.mT, B), upper=False, unitriangular=True)
    return into(out, solve_triangular(LU, y, upper=True))


@composite
def lu_solve(b, LU_data, LU_pivots, *, out=None):
    """X with A X = b, for A given by `lu_factor`."""
    return linalg_lu_solve(LU_data, LU_pivots, b, out=out)


def solve_ex(A, B, *, left=True, check_errors=False, out=None):
    """(result, info) as `linalg.solve`, with info not 0 in the place of an error where a matrix is singular."""
    info = linalg_lu_packed(A.detach())[2]
    if check_errors:
        _check_info("linalg.solve", info)
    singular = bool((info != 0).any())
    y = solve(A, B, left=left) if not singular else B * float("nan")
    return return_types.linalg_solve_ex(*_out(out, y, info))


def tensorsolve(A, B, dims=None, *, out=None):
    """X with tensordot(A, X, X.ndim) = B; `dims` of A are moved to its end first."""
    if dims is not None:
        moved = [shapes.axis("linalg.tensorsolve", A, d) for d in dims]
        A = permute(A, [d for d in range(A.ndim) if d not in moved] + moved)
    n, shape = B._array.size, A._array.shape[B.ndim:]
    if prod(shape) != n or A._array.size != n * n:
        raise ShapeError("linalg.tensorsolve: Expected self to satisfy the requirement prod(self.shape[other.ndim:]) "
                         f"== prod(self.shape[:other.ndim]), but got {list(A.shape)} and {list(B.shape)}")
    return into(out, reshape(solve(reshape(A, n, n), reshape(B, n)), shape))


def tensorinv(A, ind=2, *, out=None):
    """The inverse of A as a map from its last dimensions to its first `ind`."""
    if ind <= 0:
        raise RuntimeError(f"linalg.tensorinv: Expected a strictly positive integer for 'ind', got {ind}")
    first, last = A._array.shape[:ind], A._array.shape[ind:]
    if prod(first) != prod(last):
        raise ShapeError("linalg.tensorinv: Expected self to satisfy the requirement prod(self.shape[ind:]) == "
                         f"prod(self.shape[:ind]), but got {prod(last)} != {prod(first)}")
    n = prod(first)
    return into(out, reshape(linalg_inv(reshape(A, n, n)), (*last, *first)))


@composite
def triangular_solve(b, A, upper=True, transpose=False, unitriangular=False, *, out=None):
    """(X, a copy of A) with A X = b for a triangular A: `linalg.solve_triangular`."""
    matrix("triangular_solve", A)
    y = solve_triangular(A.mT if transpose else A, b, upper=upper != transpose, unitriangular=unitriangular)
    return return_types.triangular_solve(*_out(out, y, A.clone()))


# Householder reflections


@composite(method=False)
def orgqr(input, tau, *, out=None):
    """The first columns of the product of the reflections I - tau v vᴴ, with v below the diagonal of `input`."""
    matrix("linalg.householder_product", input)
    if input._array.shape[-2] < input._array.shape[-1]:
        raise ShapeError("linalg.householder_product: input.shape[-2] must be greater than or equal to "
                         f"input.shape[-1], got {list(input.shape)}")
    return into(out, _reflected(input, tau, input._array.shape[-1]))


householder_product = orgqr


@composite
def geqrf(input, *, out=None):
    """(a, tau): R on and above the diagonal, below it the reflections whose product is Q."""
    matrix("geqrf", input)
    array = input._array
    h, tau = kernels_of(array).xp.linalg.qr(array, "raw")
    return return_types.geqrf(*_out(out, Tensor._wrap(h.swapaxes(-1, -2).copy()), Tensor._wrap(tau)))


@composite
def ormqr(input, tau, other, left=True, transpose=False, *, out=None):
    """Q other, or other Q unless `left`, for the whole Q of `geqrf`; its conjugate transpose with `transpose`."""
    matrix("ormqr", input)
    q = _reflected(input, tau, input._array.shape[-2])
    q = q.mH if transpose else q
    return into(out, matmul(q, other) if left else matmul(other, q))


def _reflected(x: Tensor, tau: Tensor, columns: int) -> Tensor:
    m, count = x._array.shape[-2], tau._array.shape[-1]
    if count > x._array.shape[-1] or tau._array.dtype != x._array.dtype or \
            tau._array.shape[:-1] != x._array.shape[:-2]:
        raise ShapeError("linalg.householder_product: expects at most one tau for each column, of the input's batch "
                         f"shape and dtype, got {tau.dtype} of shape {list(tau.shape)} for {x.dtype} of shape "
                         f"{list(x.shape)}")
    unit = FUNCTIONS["eye"](m, columns, dtype=x.dtype, device=x.device)
    y = unit.expand((*x._array.shape[:-2], m, columns))
    v = tril(x, -1) + FUNCTIONS["eye"](*x._array.shape[-2:], dtype=x.dtype, device=x.device)
    for i in range(count - 1, -1, -1):
        one = v[..., i:i + 1]
        y = y - tau[..., i:i + 1].unsqueeze(-1) * matmul(one, matmul(one.mH, y))
    return y.clone() if count == 0 else y


# Eigenvalues


@op(method=False, function=False)
def linalg_eig(k, x, /):
    square("linalg.eig", x)
    if not k.isfinite(x).all():
        raise RuntimeError("linalg.eig: input tensor should not contain infs or NaNs.")
    wide = "complex128" if x.dtype.itemsize == 16 or x.dtype == "float64" else "complex64"
    y = [a.astype(wide) for a in lapack("linalg.eig", k.xp.linalg.eig, x)]
    real = x.dtype.kind == "f"

    def gradient(dy, needs):
        values, vectors = y
        inner = 0.0
        eye = _eye(k, vectors)
        if dy[1] is not None:
            turned = k.matmul(_h(vectors), dy[1])
            own = (turned * eye).sum(-1).real
            inner = turned - k.matmul(_h(vectors), vectors) * own[..., None, :]
            gaps = conjugate(values[..., None, :] - values[..., :, None])
            inner = inner / k.where(eye != 0, float("inf"), gaps)
            inner = inner * (1 - eye)
        if dy[0] is not None:
            inner = inner + dy[0][..., None, :] * eye
        dx = apply(k, linalg_solve, _h(vectors), k.matmul(inner, _h(vectors)))
        return [dx.real if real and is_complex(dx) else dx]

    return y, joint(gradient)


def eig(A, *, out=None):
    """(eigenvalues, eigenvectors) of a square matrix, complex. Of a symmetric one `linalg.eigh` knows more."""
    return return_types.linalg_eig(*_out(out, *linalg_eig(A)))


def eigvals(A, *, out=None):
    """The eigenvalues of a square matrix, complex."""
    return into(out, linalg_eig(A)[0])


# Approximations of low rank: Halko, Martinsson and Tropp 2009, algorithms 4.4 and 5.1


@composite(method=False)
def svd_lowrank(A, q=6, niter=2, M=None):
    """(U, S, V) with A - M about U diag(S) Vᴴ of rank `q`, by random projection and `niter` power iterations."""
    m, n = A._array.shape[-2:]
    q = 6 if q is None else q
    A = A if M is None else A - M.broadcast_to(A._array.shape)
    wide = m < n
    a = A.mH if wide else A
    basis = _basis(a, q, niter)
    u, s, vh = FUNCTIONS["svd"](matmul(basis.mH, a))
    u, v = matmul(basis, u), vh
    return (v, s, u) if wide else (u, s, v)


@composite(method=False)
def pca_lowrank(A, q=None, center=True, niter=2):
    """(U, S, V): the principal directions V of the rows of A, centred unless said otherwise. See `svd_lowrank`."""
    m, n = A._array.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


def _basis(a: Tensor, q: int, niter: int) -> Tensor:
    """Orthonormal columns that span nearly what `a` does."""
    from .decompose import qr_

    y = qr_(matmul(a, FUNCTIONS["randn"](a._array.shape[-1], q, dtype=a.dtype, device=a.device)))[0]
    for _ in range(niter):
        y = qr_(matmul(a, qr_(matmul(a.mH, y))[0]))[0]
    return y


# What they share


def _out(out: Any, *results: Tensor) -> Any:
    return results if out is None else [into(o, y) for o, y in zip(out, results)]


def _check_info(name: str, info: Tensor) -> None:
    bad = info._array.reshape(-1)
    if bad.any():
        at = int((bad != 0).argmax())
        where = f"(Batch element {at}): " if info.ndim else ""
        raise LinAlgError(f"{name}: {where}The factorization could not be completed because the input is singular: "
                          f"U[{bad[at]},{bad[at]}] is zero")


def _triangles(packed: Tensor) -> tuple[Tensor, Tensor]:
    m, n = packed._array.shape[-2:]
    size = min(m, n)
    unit = FUNCTIONS["eye"](m, size, dtype=packed.dtype, device=packed.device)
    return tril(packed[..., :size], -1) + unit, triu(packed[..., :size, :])


def _permutation(rows: Tensor, like: Tensor) -> Tensor:
    """The matrix P with P[rows[j], j] = 1."""
    k, m = kernels_of(rows._array), rows._array.shape[-1]
    return Tensor._wrap((rows._array[..., None, :] == k.xp.arange(m)[:, None]).astype(like._array.dtype))


def _rows_of(pivots: Tensor, m: int) -> Tensor:
    """The order of `m` rows after the swaps that LAPACK's pivots tell, from 1."""
    return Tensor._wrap(kernels_of(pivots._array).rows_after_swaps(pivots._array, m))
