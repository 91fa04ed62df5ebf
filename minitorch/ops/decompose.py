"""Decompositions of matrices: QR, eigenvalues, singular values, and the pseudo-inverse.

Gradients: Giles 2008 (QR, singular values), Walter and Lehmann 2010 (wide QR), Townsend 2016 (SVD), Golub and Pereyra
1973 (pseudo-inverse). They exist where the decomposition is unique up to signs: eigenvalues or singular values must
differ as soon as gradients of vectors are wanted.
"""
from __future__ import annotations

from typing import Any

from .. import return_types
from ..errors import GraphError
from ..op import composite, joint, op
from ..tensor import Tensor
from .arrange import tril
from .gather import into
from .linalg import _eye, _h, apply, lapack, linalg_solve_triangular, matrix, square

# QR


@op(method=False, function=False)
def linalg_qr(k, x, /, mode="reduced"):
    matrix("linalg.qr", x)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"linalg.qr: qr received unrecognized mode '{mode}' but expected one of 'reduced' "
                           "(default), 'r', or 'complete'")
    found = k.xp.linalg.qr(x, mode)
    y = list(found) if mode != "r" else [k.xp.zeros((0,), x.dtype), found]
    m, n = x.shape[-2:]

    def gradient(dy, needs):
        if mode == "r" or (mode == "complete" and m > n):
            raise GraphError("linalg.qr: The derivative is not implemented for mode='r' and for mode='complete' with "
                             "more rows than columns")
        return [_qr_dx(k, dy[0], dy[1], x, y[0], y[1])]

    return y, joint(gradient)


def qr_(A, mode="reduced", *, out=None):
    """(Q, R) with A = Q R, Q orthogonal, R upper triangular; `mode` "reduced", "complete" or "r" (R alone)."""
    q, r = linalg_qr(A, mode)
    return return_types.linalg_qr(q, r) if out is None else return_types.linalg_qr(into(out[0], q), into(out[1], r))


@composite
def qr(input, some=True, *, out=None):
    """(Q, R): `linalg.qr`, reduced where `some`."""
    return return_types.qr(*qr_(input, "reduced" if some else "complete", out=out))


# Eigenvalues


@op(method=False, function=False)
def linalg_eigh(k, x, /, uplo):
    square("linalg.eigh", x)
    y = list(lapack("linalg.eigh", lambda a: k.xp.linalg.eigh(a, uplo), x))

    def gradient(dy, needs):
        values, vectors = y
        inner = 0.0
        if dy[1] is not None:
            gaps = values[..., None, :] - values[..., :, None]
            turned = k.matmul(_h(vectors), dy[1])  # only its skew part turns the vectors
            inner = (turned - _h(turned)) * 0.5 / k.where(_eye(k, vectors) != 0, float("inf"), gaps)
        if dy[0] is not None:
            inner = inner + dy[0][..., None, :] * _eye(k, vectors)
        return [k.matmul(vectors, k.matmul(inner, _h(vectors)))]

    return y, joint(gradient)


def eigh(A, UPLO="L", *, out=None):
    """(eigenvalues, eigenvectors) of a symmetric or Hermitian matrix, ascending; one triangle is looked at.

    The vectors' gradients need eigenvalues that differ, and hold for what does not depend on the vectors' signs.
    """
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"linalg.eigh: Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    values, vectors = linalg_eigh(A, UPLO.upper())
    if out is not None:
        values, vectors = into(out[0], values), into(out[1], vectors)
    return return_types.linalg_eigh(values, vectors)


def eigvalsh(A, UPLO="L", *, out=None):
    """The eigenvalues of a symmetric or Hermitian matrix, ascending."""
    return into(out, eigh(A, UPLO).eigenvalues)


# Singular values


@op(method=False, function=False)
def linalg_svd(k, x, /, full):
    matrix("linalg.svd", x)
    y = list(lapack("linalg.svd", lambda a: k.xp.linalg.svd(a, full), x))
    size = min(x.shape[-2:])
    return y, joint(lambda dy, needs: [_svd_dx(k, dy, y, size)])


def svd_(A, full_matrices=True, *, driver=None, out=None):
    """(U, S, Vh) with A = U diag(S) Vh, S descending; without `full_matrices` only as many vectors as values.

    The vectors' gradients need singular values that differ, and hold for what does not depend on the vectors' signs.
    """
    found = linalg_svd(A, full_matrices)
    return return_types.linalg_svd(*(found if out is None else map(into, out, found)))


def svdvals(A, *, driver=None, out=None):
    """The singular values, descending."""
    return into(out, linalg_svd(A, False)[1])


@composite
def svd(input, some=True, compute_uv=True, *, out=None):
    """(U, S, V) with `input` = U diag(S) Vᴴ."""
    u, s, vh = linalg_svd(input, not some)
    if not compute_uv:
        u, vh = u.detach() * 0, vh.detach() * 0
    found = (u, s, vh.mH)
    return return_types.svd(*(found if out is None else map(into, out, found)))


# The pseudo-inverse


@op(method=False, function=False)
def linalg_pinv(k, x, /, atol, rtol, hermitian):
    matrix("linalg.pinv", x)
    if hermitian:
        s, u = k.xp.linalg.eigh(x)
        vh = _h(u)
    else:
        u, s, vh = k.xp.linalg.svd(x, False)
    sizes = abs(s)
    kept = sizes > _cutoff(k, sizes, x, atol, rtol)
    y = _h(vh) * k.where(kept, 1 / k.where(kept, s, 1), 0)[..., None, :] @ _h(u)
    return y, lambda dy: _pinv_dx(k, _h(dy), x, y)


def pinv(A, *, atol=None, rtol=None, hermitian=False, out=None):
    """The Moore-Penrose inverse: singular values up to max(atol, rtol times the largest) count as zero.

    Of a `hermitian` matrix only the lower triangle is looked at.
    """
    return into(out, linalg_pinv(A, atol, rtol, hermitian))


@composite
def pinverse(input, rcond=1e-15):
    """`linalg.pinv` with singular values below `rcond` times the largest as zero."""
    return linalg_pinv(input, None, rcond, False)


def _cutoff(k: Any, s: Any, x: Any, atol: Any, rtol: Any) -> Any:
    """The singular value up to which all count as zero, with a last dimension of one; tolerances may be tensors."""
    atol, rtol = (t._array[..., None] if isinstance(t, Tensor) else t for t in (atol, rtol))
    if rtol is None:
        rtol = max(x.shape[-2:]) * float(k.xp.finfo(x.dtype).eps)
        if atol is not None:
            rtol = k.where(atol > 0, 0.0, rtol)
    largest = s.max(axis=-1, keepdims=True) if s.shape[-1] else 0.0
    return k.xp.maximum(0.0 if atol is None else atol, rtol * largest)


def _qr_dx(k: Any, dq: Any, dr: Any, x: Any, q: Any, r: Any) -> Any:
    m, n = x.shape[-2:]
    if m >= n:
        return _tall_qr_dx(k, dq, dr, q, r)
    wide, dq_more = None, None
    if dr is not None:  # x = (left | right), r = (u | v), v = qᴴ right
        dv = dr[..., m:]
        wide, dq_more = k.matmul(q, dv), k.matmul(x[..., m:], _h(dv))
    dq = dq_more if dq is None else dq if dq_more is None else dq + dq_more
    left = _tall_qr_dx(k, dq, None if dr is None else dr[..., :m], q, r[..., :m])
    if wide is None:
        return k.xp.concatenate([left, x[..., m:] * 0.0], axis=-1)
    return k.xp.concatenate([left, wide], axis=-1)


def _tall_qr_dx(k: Any, dq: Any, dr: Any, q: Any, r: Any) -> Any:
    inner = 0.0
    if dr is not None:
        inner = k.matmul(r, _h(dr))
    if dq is not None:
        inner = inner - k.matmul(_h(dq), q)
    lower = apply(k, tril, inner, -1)
    whole = k.matmul(q, lower + _h(lower) + inner * _eye(k, r))
    if dq is not None:
        whole = whole + dq
    return _h(apply(k, linalg_solve_triangular, r, _h(whole), True))


def _svd_dx(k: Any, dy: list, y: list, size: int) -> Any:
    """U [(skew(Uᴴ dU) / E) S + S (skew(Vᴴ dV) / E) + dS] Vᴴ and the parts outside the spaces of U and V."""
    du, ds, dvh = dy
    u, s, vh = y[0][..., :size], y[1], y[2][..., :size, :]
    du = None if du is None else du[..., :size]
    dvh = None if dvh is None else dvh[..., :size, :]
    eye = _eye(k, s[..., None, :] * s[..., :, None])
    squares = s * s
    gaps = k.where(eye != 0, float("inf"), squares[..., None, :] - squares[..., :, None])
    inner, outside = 0.0, 0.0
    if du is not None:
        turned = k.matmul(_h(u), du)
        inner = inner + (turned - _h(turned)) / gaps * s[..., None, :]
        if u.shape[-2] > size:
            outside = outside + k.matmul((du - k.matmul(u, turned)) / s[..., None, :], vh)
    if dvh is not None:
        turned = k.matmul(vh, _h(dvh))
        inner = inner + s[..., :, None] * ((turned - _h(turned)) / gaps)
        if vh.shape[-1] > size:
            outside = outside + k.matmul(u, (dvh - k.matmul(_h(turned), vh)) / s[..., :, None])
    if ds is not None:
        inner = inner + ds[..., None, :] * eye
    return k.matmul(u, k.matmul(inner, vh)) + outside


def _pinv_dx(k: Any, dyh: Any, x: Any, y: Any) -> Any:
    yh = _h(y)
    if x.shape[-2] <= x.shape[-1]:
        inner = k.matmul(dyh, y)
        turned = k.matmul(inner, yh)
        return (-_h(k.matmul(y, inner)) + turned - k.matmul(k.matmul(x, y), turned)
                + k.matmul(k.matmul(yh, y), dyh - k.matmul(inner, x)))
    inner = k.matmul(y, dyh)
    turned = k.matmul(yh, inner)
    return (-_h(k.matmul(inner, y)) + k.matmul(k.matmul(dyh - k.matmul(x, inner), y), yh) + turned
            - k.matmul(k.matmul(turned, y), x))
