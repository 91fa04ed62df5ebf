"""Linear algebra: solving, decompositions, norms and functions of matrices."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register

INTS = np.arange(6).reshape(2, 3)
MATRIX, WRONG = np.zeros((2, 3)), np.zeros((4, 5))
MISMATCH = r"cannot be multiplied \(2x3 and 4x5\)"


def of(*shapes, **options):
    return Sample(arrays_like(*shapes), options)


register(OpCase("linalg.multi_dot", np.linalg.multi_dot, [
    Sample(lambda rng: (list(arrays_like((4, 2), (2, 5), (5, 3))(rng)),)),
    Sample(lambda rng: (list(arrays_like((4,), (4, 5), (5,))(rng)),))],
    errors=[BadInput(([MATRIX],), {}, RuntimeError, "at least 2")]))

# Linear systems. References are NumPy's, of inputs moved away from singular ones


def regular(*shape):
    """Matrices with a diagonal that dominates."""
    return lambda rng: (rng.standard_normal(shape) + 4 * np.eye(shape[-1]) * rng.choice([-1, 1], shape[-1]),)


def positive(*shape):
    return lambda rng: ((lambda a: a @ a.swapaxes(-1, -2) + np.eye(shape[-1]))(rng.standard_normal(shape)),)


def symmetric(*shape):
    def make(rng):
        a = rng.standard_normal(shape)
        return ((a + a.swapaxes(-1, -2)) / 2 + np.diag(np.arange(shape[-1]) * 3.0),)

    return make


def with_right(make, *shapes, **options):
    return Sample(lambda rng: (*make(rng), *arrays_like(*shapes)(rng)), options)


SQUARES = [Sample(regular(3, 3)), Sample(regular(2, 2, 2)), Sample(regular(1, 1)), Sample(regular(0, 3, 3)),
           Sample(regular(2, 0, 0))]
NOT_SQUARE = [BadInput((MATRIX,), {}, RuntimeError, "square"), BadInput((np.zeros(3),), {}, RuntimeError, "at least 2"),
              BadInput((np.ones((2, 2), int),), {}, RuntimeError, "floating point"),
              BadInput((np.ones((2, 2), np.float16),), {}, RuntimeError, "Low precision")]
SINGULAR = BadInput((np.ones((2, 2)),), {}, RuntimeError, "singular")
LOOSE = {"tol": {"float32": 1e-3}, "grad_tol": {"float32": 5e-3}}  # condition numbers of a few tens

for _name, _errors in (("linalg_inv", []), ("linalg.inv", [*NOT_SQUARE, SINGULAR]), ("inverse", [])):
    register(OpCase(_name, np.linalg.inv, SQUARES, dtypes=WIDE, errors=_errors, torch="inverse", **LOOSE))
for _name, _errors in (("linalg_det", []), ("linalg.det", NOT_SQUARE), ("det", [])):
    register(OpCase(_name, np.linalg.det, SQUARES, dtypes=WIDE, errors=_errors, torch="det", **LOOSE))
register(OpCase("det", np.linalg.det, [Sample((np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]]),))],
                variant="singular", second=False, dtypes=("float64",), torch=None))  # on some CPUs PyTorch gives zeros
for _name, _errors in (("linalg_slogdet", []), ("slogdet", []), ("linalg.slogdet", NOT_SQUARE)):
    register(OpCase(_name, lambda a: tuple(np.linalg.slogdet(a)), SQUARES, dtypes=WIDE, errors=_errors,
                    torch="slogdet", **LOOSE))
register(OpCase("logdet", lambda a: np.log(np.linalg.det(a)), [
    Sample(positive(3, 3)), Sample(positive(2, 2, 2)), Sample((-np.eye(3),), grad=False),
    Sample((np.zeros((2, 2)),), grad=False)], dtypes=WIDE, **LOOSE))


def solution(a, b, left=True):
    if b.ndim == 1 or b.shape == a.shape[:-1]:
        return np.linalg.solve(a, b[..., None])[..., 0]
    return np.linalg.solve(a, b) if left else np.linalg.solve(a.swapaxes(-1, -2), b.swapaxes(-1, -2)).swapaxes(-1, -2)


register(OpCase("linalg_solve", np.linalg.solve, [
    with_right(regular(3, 3), (3, 2)), with_right(regular(2, 3, 3), (3, 1))],
    dtypes=WIDE, torch="linalg.solve", **LOOSE))
register(OpCase("linalg.solve", solution, [
    with_right(regular(3, 3), (3,)), with_right(regular(2, 3, 3), (2, 3)), with_right(regular(3, 3), (4, 3, 2)),
    with_right(regular(3, 3), (2, 3), left=False), with_right(regular(2, 0, 0), (2, 0, 3))], dtypes=WIDE,
    errors=[BadInput((np.ones((2, 2)), np.ones(2)), {}, RuntimeError, "singular"),
            BadInput((np.eye(3), np.ones(2)), {}, RuntimeError, "Incompatible"),
            BadInput((MATRIX, np.ones(2)), {}, RuntimeError, "square"),
            BadInput((np.eye(2), np.ones(2, int)), {}, RuntimeError, "dtype")], **LOOSE))


def triangle(a, upper, unitriangular=False):
    a = np.triu(a) if upper else np.tril(a)
    eye = np.eye(a.shape[-1])
    return a * (1 - eye) + eye if unitriangular else a


def back(a, b, upper, left=True, unitriangular=False):
    a = triangle(a, upper, unitriangular)
    return np.linalg.solve(a, b) if left else np.linalg.solve(a.swapaxes(-1, -2), b.swapaxes(-1, -2)).swapaxes(-1, -2)


register(OpCase("linalg_solve_triangular", back, [
    with_right(regular(3, 3), (3, 2), upper=True)], dtypes=WIDE, torch=None, **LOOSE))
register(OpCase("linalg.solve_triangular", back, [
    with_right(regular(5, 5), (5, 2), upper=True), with_right(regular(3, 3), (3, 2), upper=False),
    with_right(regular(2, 3, 3), (1, 2, 3), upper=True, left=False),
    with_right(regular(3, 3), (3, 1), upper=False, unitriangular=True),
    with_right(regular(3, 3), (3, 1), upper=True, unitriangular=True)], dtypes=WIDE,
    errors=[BadInput((np.eye(3), np.ones((2, 2))), {"upper": True}, RuntimeError, "Incompatible")], **LOOSE))


def factor(a, upper=False):
    """Of the mean of the matrix and its transpose: what the gradient, which is symmetric, belongs to."""
    y = np.linalg.cholesky((a + a.swapaxes(-1, -2)) / 2)
    return y.swapaxes(-1, -2) if upper else y


POSITIVE = [Sample(positive(3, 3)), Sample(positive(2, 2, 2)), Sample(positive(1, 1)), Sample(positive(0, 2, 2))]


def balanced(function):
    """`function` of the mean of a matrix and its transpose, so that the derivative looks at both triangles."""
    return lambda a, *rest, **options: function((a + a.mT) / 2, *rest, **options)


def linalg(name):
    """`linalg.name`, found when called."""
    def call(*args, **options):
        import minitorch

        return getattr(minitorch.linalg, name)(*args, **options)
    return call


for _name in ("linalg_cholesky", "linalg.cholesky", "cholesky"):
    register(OpCase(_name, factor, [*POSITIVE, *([] if "_" in _name else [Sample(positive(3, 3), {"upper": True})])],
                    dtypes=WIDE, torch="linalg.cholesky", call=balanced(linalg("cholesky")), **LOOSE))
register(OpCase("linalg.cholesky", factor, [Sample((np.eye(2),))], variant="errors", dtypes=WIDE, grad=False, errors=[
    *NOT_SQUARE, BadInput((-np.eye(2),), {}, RuntimeError, "not positive-definite")]))
register(OpCase("cholesky_solve", lambda b, c, upper=False: np.linalg.solve(c.T @ c if upper else c @ c.T, b), [
    Sample(lambda rng: (rng.standard_normal((3, 2)), np.linalg.cholesky(positive(3, 3)(rng)[0]))),
    Sample(lambda rng: (rng.standard_normal((3, 2)), np.linalg.cholesky(positive(3, 3)(rng)[0]).T), {"upper": True},
           grad=False)],
    dtypes=WIDE, constant=(1,), **LOOSE))


def solved_by_ldl(b, a, hermitian=False):
    import minitorch

    return minitorch.linalg.ldl_solve(*minitorch.linalg.ldl_factor(a, hermitian=hermitian), b, hermitian=hermitian)


def indefinite(*shape):
    """Symmetric matrices whose diagonal of zeros asks for blocks of two rows, and one entry that asks for a swap."""
    def make(rng):
        a = symmetric(*shape)(rng)[0] * (1 - np.eye(shape[-1]))
        a[..., -1, 0] = a[..., 0, -1] = 5.0
        return a

    return make


register(OpCase("linalg_ldl_solve", lambda b, a, hermitian=False: np.linalg.solve(a, b), [
    Sample(lambda rng: (rng.standard_normal((3, 2)), symmetric(3, 3)(rng)[0])),
    Sample(lambda rng: (rng.standard_normal((4, 1)), indefinite(4, 4)(rng)), {"hermitian": True}),
    Sample(lambda rng: (rng.standard_normal((2, 2, 3)), indefinite(2, 2)(rng)), name="b is a batch"),
    Sample(lambda rng: (rng.standard_normal((2, 3)), indefinite(3, 2, 2)(rng)), name="a is a batch"),
    Sample(lambda rng: (rng.standard_normal((1, 0)), np.full((1, 1), -2.0)), name="no columns"),
    Sample(lambda rng: (rng.standard_normal((0, 3, 2)), np.zeros((0, 3, 3)))),
    Sample(lambda rng: (rng.standard_normal((2, 0, 2)), np.zeros((2, 0, 0)))),
    Sample(lambda rng: (rng.standard_normal((2, 2)) + 1j, indefinite(2, 2)(rng) + 1j), name="complex"),
    Sample(lambda rng: (rng.standard_normal((2, 2)) + 1j, indefinite(2, 2)(rng) + np.array([[1, -1j], [1j, 1]])),
           {"hermitian": True}, name="complex hermitian")],
    dtypes=WIDE, constant=(1,), torch=None, call=solved_by_ldl, **LOOSE))  # test_ldl.py compares with PyTorch
register(OpCase("cholesky_inverse", lambda c, upper=False: np.linalg.inv(c.T @ c if upper else c @ c.T), [
    Sample(lambda rng: (np.linalg.cholesky(positive(3, 3)(rng)[0]),), grad=False)], dtypes=WIDE, **LOOSE))
register(OpCase("linalg.cholesky_ex", lambda a: (np.linalg.cholesky(a), np.array(0, np.int32)), [
    Sample(positive(2, 2))], dtypes=WIDE, grad=False, **LOOSE))
register(OpCase("linalg.inv_ex", lambda a: (np.linalg.inv(a), np.array(0, np.int32)), [
    Sample(regular(2, 2))], dtypes=WIDE, **LOOSE))

# Decompositions: compared by what does not depend on the signs of vectors

RECTANGLES = [of((3, 3)), of((4, 2)), of((2, 4)), of((2, 4, 3)), of((1, 3))]


def through_qr(a):
    q, r = np.linalg.qr(a)
    return np.abs(q), np.abs(r)


def r_of_qr(a, mode):
    return np.abs(np.linalg.qr(a, mode)[1] if mode != "r" else np.linalg.qr(a, mode))


def signless(name, *args):
    def call(*xs, **options):
        return tuple(y.abs() for y in linalg(name)(*xs, *args, **options))
    return call


for _name in ("linalg_qr", "linalg.qr"):
    register(OpCase(_name, through_qr, RECTANGLES, dtypes=WIDE, call=signless("qr"), torch=None,
                    tol={"float32": 1e-3}, grad_tol={"float32": 2e-2, "float64": 1e-6}))
register(OpCase("linalg.qr", r_of_qr, [
    of((4, 2), mode="complete"), of((4, 2), mode="r"), of((2, 3), mode="r")], dtypes=WIDE, grad=False, variant="modes",
    torch=None, call=lambda a, mode: linalg("qr")(a, mode).R.abs()))
register(OpCase("qr", lambda a, some=True: np.abs(np.linalg.qr(a, "reduced" if some else "complete")[1]), [
    of((3, 2)), of((3, 2), some=False)], dtypes=WIDE, grad=False, call=lambda a, some=True: a.qr(some).R.abs(),
    torch=None))


def through_eigh(a):
    values, vectors = np.linalg.eigh((a + a.swapaxes(-1, -2)) / 2)
    return values, np.abs(vectors)


def signless_eigh(a):
    values, vectors = balanced(linalg("eigh"))(a)
    return values, vectors.abs()


SYMMETRIC = [Sample(symmetric(3, 3)), Sample(symmetric(2, 2, 2)), Sample(symmetric(1, 1))]
for _name in ("linalg_eigh", "linalg.eigh"):
    register(OpCase(_name, through_eigh, SYMMETRIC, dtypes=WIDE, call=signless_eigh, torch=None,
                    tol={"float32": 1e-3}, grad_tol={"float32": 1e-2}))
register(OpCase("linalg.eigvalsh", lambda a, UPLO="L": np.linalg.eigvalsh((a + a.swapaxes(-1, -2)) / 2), [
    *SYMMETRIC, Sample(symmetric(3, 3), {"UPLO": "U"})],
    call=balanced(linalg("eigvalsh")), dtypes=WIDE, torch=None, **LOOSE))
register(OpCase("linalg.eigvalsh", lambda a: np.linalg.eigvalsh(a), [Sample((np.eye(2),))], variant="errors",
                dtypes=WIDE, grad=False,
                errors=[BadInput((MATRIX,), {}, RuntimeError, "square", named=False),
                        BadInput((np.eye(2), "X"), {}, RuntimeError, "UPLO", named=False)]))


def through_svd(a):
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return np.abs(u), s, np.abs(vh)


for _name in ("linalg_svd", "linalg.svd"):
    register(OpCase(_name, through_svd, RECTANGLES, dtypes=WIDE, call=signless("svd", False), torch=None,
                    tol={"float32": 1e-3}, grad_tol={"float32": 5e-2, "float64": 1e-5}))
register(OpCase("svd", lambda a: np.linalg.svd(a, full_matrices=False)[1], [of((3, 2))], dtypes=WIDE,
                call=lambda a: a.svd().S, torch=None, **LOOSE))
register(OpCase("linalg.svdvals", lambda a: np.linalg.svd(a, compute_uv=False), RECTANGLES, dtypes=WIDE, **LOOSE))
LOW_RANK = np.array([[1.0, 2.0], [2.0, 4.0], [0.0, 0.0]])
for _name in ("linalg_pinv", "linalg.pinv", "pinverse"):
    register(OpCase(_name, lambda a: np.linalg.pinv(a), [*RECTANGLES, Sample((LOW_RANK,), grad=False)], dtypes=WIDE,
                    call=(lambda a: a.pinverse(1e-6)) if _name == "pinverse" else linalg("pinv"),
                    torch="linalg.pinv", tol={"float32": 2e-3},
                    grad_tol={"float32": 5e-2, "float64": 1e-6}))

# Norms and functions of matrices


def matrix_norm(a, ord="fro", dim=(-2, -1), keepdim=False):
    return np.linalg.norm(a, ord, dim, keepdim)


register(OpCase("linalg.matrix_norm", matrix_norm, [
    *[of((3, 4), ord=o) for o in ("fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf)],
    of((2, 3, 4), ord=1, dim=(0, 2), keepdim=True), of((2, 3, 4), ord="nuc", keepdim=True)], dtypes=WIDE, **LOOSE,
    errors=[BadInput((MATRIX,), {"ord": 3}, RuntimeError, "not supported"),
            BadInput((np.zeros(3),), {}, RuntimeError, "matrix"),
            BadInput((MATRIX,), {"dim": (0, 0)}, RuntimeError, "different")]))


def vector_norm(x, ord=2, dim=None, keepdim=False):
    return np.linalg.norm(x.reshape(-1) if dim is None else x, ord, dim, keepdim)


def either_norm(x, ord=None, dim=None, keepdim=False):
    return np.linalg.norm(x.reshape(-1) if ord is None and dim is None else x, ord, dim, keepdim)


register(OpCase("linalg.vector_norm", vector_norm, [
    of((3, 4)), of((3, 4), ord=1, dim=0), of((3, 4), ord=np.inf, dim=1, keepdim=True), of((3,), ord=3.5)], dtypes=WIDE))
register(OpCase("linalg.norm", either_norm, [
    of((3, 4)), of((2, 3, 4)), of((3, 4), ord=1), of((3,), ord=3), of((3, 4), ord=2, dim=1),
    of((3, 4), ord="nuc")], dtypes=WIDE, **LOOSE,
    errors=[BadInput((np.zeros((2, 2, 2)),), {"ord": 1}, RuntimeError, "1D or 2D")]))
register(OpCase("linalg.cond", lambda a, p=None: np.linalg.cond(a, p), [
    Sample(regular(3, 3), {"p": p}) for p in (None, -2, 1, "fro")], dtypes=WIDE, second=False, torch=None,
    tol={"float32": 1e-3}, grad_tol={"float32": 1e-2}))
register(OpCase("linalg.matrix_rank", lambda a: np.linalg.matrix_rank(a), [
    of((3, 4)), Sample((LOW_RANK,)), Sample((np.zeros((2, 2, 3)),))], dtypes=WIDE, grad=False))
register(OpCase("matrix_power", lambda a, n: np.linalg.matrix_power(a, n), [
    *[Sample(lambda rng, n=n: (*regular(3, 3)(rng), n)) for n in (1, 2, 3, 5, -1, -2)],
    Sample(lambda rng: (*regular(2, 2, 2)(rng), 0), grad=False)],
    dtypes=WIDE, tol={"float32": 1e-3}, grad_tol={"float32": 2e-2},
    errors=[BadInput((MATRIX, 2), {}, RuntimeError, "square")]))


def exponential(a):
    from scipy.linalg import expm

    return expm(a) if a.size else a


register(OpCase("matrix_exp", exponential, [
    of((3, 3)), of((2, 2, 2)), of((1, 1)), of((0, 2, 2)),
    Sample(lambda rng: (5 * rng.standard_normal((3, 3)),), grad=False)],
    dtypes=WIDE, tol={"float32": 1e-2}, grad_tol={"float32": 1e-2, "float64": 1e-6},
    errors=[BadInput((MATRIX,), {}, RuntimeError, "square")]))
register(OpCase("linalg.lstsq", lambda a, b: np.linalg.pinv(a) @ b, [
    of((4, 2), (4, 3)), of((2, 4), (2, 1)), of((4, 2), (4,))],
    dtypes=WIDE, call=lambda a, b: linalg("lstsq")(a, b).solution, torch=None,
    tol={"float32": 2e-3}, grad_tol={"float32": 5e-2, "float64": 1e-6}))
register(OpCase("linalg.vecdot", lambda a, b: (a * b).sum(-1), [of((2, 3), (3,))]))


def vander(x, N=None):
    return np.stack([np.vander(v, N, increasing=True) for v in np.atleast_2d(x)]).reshape(*x.shape, -1)


register(OpCase("linalg.vander", vander, [of((3,)), of((2, 3)), of((3,), N=2)]))
register(OpCase("linalg.cross", lambda a, b, dim=-1: np.cross(a, b, axis=dim), [
    of((2, 3), (2, 3)), of((3, 2), (3, 2), dim=0)]))
register(OpCase("linalg.diagonal", lambda a, offset=0: a.diagonal(offset, -2, -1), [
    of((2, 3, 4)), of((3, 4), offset=1)], view=True))

# Factorisations


def through_lu(a, pivot=True):
    import scipy.linalg

    return scipy.linalg.lu(a)[1:]


def packed(a):
    import scipy.linalg

    lu, swaps = scipy.linalg.lu_factor(a)
    return lu, (swaps + 1).astype(np.int32), np.zeros((), np.int32), scipy.linalg.lu(a)[0].argmax(0)


SHAPES = [of((3, 3)), of((4, 2)), of((2, 4)), of((1, 1))]
register(OpCase("linalg_lu_packed", packed, SHAPES, dtypes=WIDE, torch=None, **LOOSE))
register(OpCase("linalg.lu", through_lu, SHAPES, dtypes=WIDE, **LOOSE, torch=None,
                call=lambda a: __import__("minitorch").linalg.lu(a)[1:],
                errors=[BadInput((np.ones(3),), {}, RuntimeError, "at least 2")]))
register(OpCase("linalg.lu_factor", lambda a: packed(a)[:2], SHAPES, dtypes=WIDE, **LOOSE, errors=[
    BadInput((np.zeros((2, 2)),), {}, RuntimeError, "singular")]))
register(OpCase("linalg.lu_factor_ex", lambda a: packed(a)[:3], SHAPES, dtypes=WIDE, **LOOSE))
register(OpCase("linalg.solve_ex", lambda a, b: (np.linalg.solve(a, b), np.array(0, np.int32)), [
    with_right(regular(3, 3), (3, 2))], dtypes=WIDE, **LOOSE))


def eigenvalues_sum(a):
    """What does not depend on the eigenvalues' order."""
    return np.sort(np.linalg.eigvals(a).real)


def separate(*shape):
    """Matrices whose eigenvalues lie apart, all real."""
    return lambda rng: (np.diag(np.arange(1.0, shape[-1] + 1) * 3) + 0.3 * rng.standard_normal(shape),)


def real_eigenvalues(a):
    import minitorch as mt

    return mt.linalg.eigvals(a).real.sort()[0]


def of_eigenvectors(a):
    """V diag(w²) V⁻¹, which is A²: by values and vectors, whatever their scale."""
    import minitorch as mt

    w, v = mt.linalg.eig(a)
    return mt.linalg.solve(v.mT, (v * (w * w).unsqueeze(-2)).mT).mT.real


register(OpCase("linalg_eig", lambda a: a @ a, [Sample(separate(3, 3)), Sample(separate(2, 2, 2))], dtypes=WIDE,
                torch=None, call=of_eigenvectors, second=False, **LOOSE))
register(OpCase("linalg.eigvals", eigenvalues_sum, [Sample(separate(3, 3))], dtypes=WIDE, torch=None,
                call=real_eigenvalues, second=False, **LOOSE,
                errors=[BadInput((MATRIX,), {}, RuntimeError, "linalg.eig: .*square", named=False)]))
register(OpCase("linalg.tensorinv", lambda a, ind=2: np.linalg.tensorinv(a, ind), [
    Sample(lambda rng: (regular(6, 6)(rng)[0].reshape(2, 3, 3, 2),)),
    Sample(lambda rng: (regular(6, 6)(rng)[0].reshape(6, 2, 3),), {"ind": 1})], dtypes=WIDE, **LOOSE,
    errors=[BadInput((np.ones((2, 3)),), {}, RuntimeError, "prod")]))
register(OpCase("linalg.tensorsolve", np.linalg.tensorsolve, [
    Sample(lambda rng: (regular(6, 6)(rng)[0].reshape(2, 3, 6), rng.standard_normal((2, 3))))], dtypes=WIDE, **LOOSE,
    errors=[BadInput((np.ones((2, 3)), np.ones(2)), {}, RuntimeError, "prod")]))


def reflected(a, tau):
    m = len(a)
    q = np.eye(m)
    for i in range(len(tau)):
        v = np.concatenate([np.zeros(i), [1.0], a[i + 1:, i]])
        q = q @ (np.eye(m) - tau[i] * np.outer(v, v))
    return q


register(OpCase("linalg.householder_product", lambda a, tau: reflected(a, tau)[:, :a.shape[1]], [
    of((4, 3), (3,)), of((3, 3), (2,)),
    Sample(arrays_like((3, 1), (0,)), grad=False)], dtypes=WIDE, **LOOSE,
    errors=[BadInput((MATRIX, np.ones(2)), {}, RuntimeError, "greater than or equal")]))
register(OpCase("ormqr", lambda a, tau, other: reflected(a, tau) @ other, [of((4, 3), (3,), (4, 2))], dtypes=WIDE,
                **LOOSE))
