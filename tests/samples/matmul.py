"""Products of matrices and vectors, what is made of them, and Einstein's summation."""
import functools
import math

import numpy as np

from . import WIDE, BadInput, KernelCase, OpCase, Sample, arrays_like, register

INTS = np.array([[-7, 3, 0], [5, 2, -1]])
BYTES = np.array([[250, 3], [0, 100]], np.uint8)
WEIGHTS = np.array([1, -2, 3])
NAN = np.full((3, 2), np.nan)


def ones(*shapes):
    return tuple(np.ones(s) for s in shapes)


def like(*shapes, **options):
    """A sample of normal numbers in these shapes."""
    return Sample(arrays_like(*shapes), options)


def complex_case(name, reference, *shapes, **options):
    """A case of complex arrays in these shapes."""
    register(OpCase(name, reference, [Sample(
        lambda rng: tuple(rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in shapes), options)],
        variant="complex", dtypes=WIDE))


# Products


def product(a, b):
    """Every row times every column, summed."""
    rows, columns = (a if a.ndim > 1 else a[None]), (b if b.ndim > 1 else b[:, None])
    y = (rows[..., :, None, :] * np.swapaxes(columns, -1, -2)[..., None, :, :]).sum(-1, dtype=a.dtype)
    y = y if b.ndim > 1 else y[..., 0]
    return y if a.ndim > 1 else y[..., 0, :] if b.ndim > 1 else y[..., 0]


def mismatch(*shapes, match="cannot be multiplied", raises=RuntimeError, named=True, **options):
    return BadInput(ones(*shapes), options, raises, match, named)


MIXED = BadInput((np.ones((2, 3)), INTS.T), {}, RuntimeError, "same dtype, but got float32 and int64")
register(OpCase("matmul", product, [
    Sample(arrays_like((210, 200), (200, 205)), big=True, dtypes=WIDE),
    Sample(arrays_like((20, 40, 50), (20, 50, 30)), big=True, dtypes=WIDE),
    *(like(*shapes) for shapes in (
        ((5,), (5,)), ((3, 4), (4, 2)), ((3, 4), (4,)), ((4,), (4, 3)), ((2, 3, 4), (4, 2)),
        ((2, 3, 4), (4,)),
        ((4,), (2, 4, 3)), ((2, 3, 4), (2, 4, 2)), ((2, 1, 3, 4), (3, 4, 2)), ((3, 4), (2, 4, 1)),
        ((1, 3, 2), (5, 2, 3)), ((1, 1), (1, 1)), ((0, 3), (3, 2)), ((3, 0), (0, 2)), ((0,), (0,)),
        ((2, 3, 0), (0, 4)), ((0, 2, 3), (3, 2)), ((2, 2, 3), (3, 0)))),
    Sample((np.ones((1, 3000)), np.ones((3000, 1))), name="beyond float16's integers"),
    Sample((INTS, INTS.T)), Sample((INTS, WEIGHTS)), Sample((BYTES, BYTES)),
    Sample((np.array([[np.inf, 1.0]]), np.array([[0.0, 1.0], [2.0, np.nan]])), grad=False),
], errors=[mismatch((2, 3), (2, 3), match="2x3 and 2x3"), mismatch((3,), (2,), match="3 and 2"),
           mismatch((), (3,), match="at least 1D"), mismatch((2, 3, 4), (3, 4, 5), match="size of tensor a"),
           MIXED],
    kernels=("matmul",)))
complex_case("matmul", product, (2, 3, 4), (4, 2))


def operands(a, b, dtype):
    """A large product, for the versions that take parts of it: `a` is read down its columns."""
    return lambda rng: ((rng.standard_normal(a).astype(dtype).swapaxes(-1, -2),
                         rng.standard_normal(b).astype(dtype)), {})


register(KernelCase("matmul", [operands(a, b, dtype) for dtype in (np.float32, np.float64) for a, b in (
    ((200, 210), (200, 205)), ((20, 50, 40), (20, 50, 30)), ((300, 1), (300, 400)))]))


def linear(x, weight, bias=None):
    return product(x, np.swapaxes(weight, 0, 1)) + (0 if bias is None else bias)


register(OpCase("linear", linear, [
    *(like(*shapes) for shapes in (
        ((3, 4), (2, 4), (2,)), ((3, 4), (2, 4)), ((4,), (2, 4), (2,)), ((2, 3, 4), (5, 4), (5,)),
        ((2, 1, 3, 2), (1, 2), (1,)), ((0, 4), (2, 4), (2,)), ((3, 0), (2, 0), (2,)),
        ((2, 0, 4), (3, 4), (3,)),
        ((3, 4), (0, 4), (0,)), ((3, 4), (2, 4), (1,)))),
    Sample(lambda rng: (rng.standard_normal((3, 4)), rng.standard_normal((2, 4)), None)),
    Sample(arrays_like((70, 300), (200, 300), (200,)), big=True, dtypes=WIDE),
    Sample(arrays_like((5, 43, 67), (65, 67), (65,)), big=True, dtypes=WIDE),
    Sample(arrays_like((17, 150), (131, 150)), big=True, dtypes=WIDE),
    Sample(arrays_like((600, 31), (17, 31), (17,)), big=True, dtypes=WIDE),
    Sample((INTS, INTS, np.array([1, 2]))),
], errors=[mismatch((2, 3), (4, 2), match="in_features"), mismatch((), (4, 2), match="in_features"),
           mismatch((2, 3), (4, 3), (3,), match=r"bias expects shape \(4,\), got \(3,\)"),
           BadInput((np.ones((2, 3)), INTS), {}, RuntimeError, "same dtype"),
           BadInput((np.ones((2, 3)), np.ones((2, 3)), np.array([1, 2])), {}, RuntimeError, "same dtype")]))

WRONG = [mismatch((2, 3), (2, 3), match="2x3 and 2x3"), MIXED]
register(OpCase("mm", product, [like((3, 4), (4, 2)), like((1, 0), (0, 2)), Sample((INTS, INTS.T))],
                errors=[*WRONG, mismatch((3,), (3, 2), match=r"input expects 2 dimensions, got shape \[3\]"),
                        mismatch((2, 3), (3,), match="mat2 expects 2")]))
register(OpCase("bmm", product, [like((2, 3, 4), (2, 4, 5)), like((0, 3, 4), (0, 4, 5)),
                                 like((2, 1, 0), (2, 0, 1))],
                errors=[mismatch((2, 3, 4), (3, 4, 2), match="mat2 expects 2"),
                        mismatch((1, 3, 4), (2, 4, 2), match="mat2 expects 1"),
                        mismatch((2, 3, 4), (2, 3, 2)),
                        mismatch((3, 4), (2, 4, 2), match="input expects 3")]))
register(OpCase("mv", product, [like((3, 4), (4,)), like((2, 0), (0,)), Sample((INTS, WEIGHTS))],
                errors=[mismatch((2, 3), (2,)), mismatch((2, 3), (3, 1), match="vec expects 1 dimension,")]))
register(OpCase("dot", product, [like((4,), (4,)), like((0,), (0,)), like((1,), (1,)),
                                 Sample((WEIGHTS, WEIGHTS))],
                errors=[mismatch((2,), (3,)), mismatch((2, 2), (2,), match="input expects 1")]))
register(OpCase("vdot", product, [like((4,), (4,)), Sample((WEIGHTS, WEIGHTS))],
                errors=[mismatch((2,), (3,)), mismatch((2,), (2, 2), match="other expects 1")]))
complex_case("dot", product, (4,), (4,))
complex_case("vdot", lambda a, b: product(a.conj(), b), (4,), (4,))
register(OpCase("inner", lambda a, b: np.asarray(np.inner(a, b)), [
    like((4,), (4,)), like((2, 3), (4, 3)), like((2, 1, 3), (3,)), like((2, 3), ()), like((2, 0), (3, 0)),
    Sample((INTS, WEIGHTS))], errors=[mismatch((2, 3), (2,), match="last dimension must match")]))
for name in ("outer", "ger"):
    register(OpCase(name, np.outer, [like((3,), (2,)), like((0,), (2,)), Sample((WEIGHTS, WEIGHTS))]))
register(OpCase("outer", np.outer, [like((1,), (1,))], variant="errors", errors=[
    mismatch((2, 3), (2,), match="input expects 1"), mismatch((2,), (1, 2), match="vec2 expects 1")]))

# Added to something


def added(multiply):
    """beta x + alpha a b for one kind of product; with beta 0, x does not count."""
    def reference(x, a, b, beta=1, alpha=1):
        y = alpha * multiply(a, b)
        return y + (np.zeros_like(x) if beta == 0 else beta * x)
    return reference


def sums(product_shape, a, b, *broadcast):
    """Samples of x + a b: x of the product's shape, with each factor, and `broadcast` to that shape."""
    return [like(product_shape, a, b), like(product_shape, a, b, beta=0.5, alpha=-2),
            like(product_shape, a, b, beta=0),
            *(like(shape, a, b, alpha=0.5) for shape in broadcast)]


TOO_WIDE = "cannot be broadcast|size of tensor"
register(OpCase("addmm", added(product), [
    *sums((3, 2), (3, 4), (4, 2), (2,), (3, 1), ()), like((3, 2), (3, 0), (0, 2)),
    like((0, 2), (0, 3), (3, 2)),
    Sample(lambda rng: (NAN, rng.standard_normal((3, 4)), rng.standard_normal((4, 2))), {"beta": 0},
           name="nan does not count"),
    Sample((INTS, INTS[:, :2], INTS), {"beta": 2, "alpha": 3}),
], errors=[mismatch((2, 3), (2, 3), (2, 3)), mismatch((3, 2), (2, 2), (2, 2), match=TOO_WIDE),
           mismatch((3, 2), (2, 2), (2, 2), match=TOO_WIDE, beta=0),
           mismatch((1, 2, 2), (2, 2), (2, 2), match=TOO_WIDE),
           mismatch((2,), (2,), (2, 2), match="mat1 expects 2"),
           BadInput((INTS, np.ones((2, 2)), np.ones((2, 3))), {}, RuntimeError, "same dtype")]))
register(OpCase("addmv", added(product), [*sums((3,), (3, 4), (4,), (), (1,)),
                                          Sample((WEIGHTS[:2], INTS, WEIGHTS))],
                errors=[mismatch((2,), (2, 3), (2,)), mismatch((3,), (2, 2), (2,), match=TOO_WIDE),
                        mismatch((2,), (2, 2), (2, 2), match="vec expects 1")]))
register(OpCase("addr", added(np.outer), [*sums((3, 2), (3,), (2,), (2,), (3, 1)),
                                          Sample((INTS, WEIGHTS[:2], WEIGHTS))],
                errors=[mismatch((3, 3), (2,), (2,), match=TOO_WIDE),
                        mismatch((2, 2), (2, 1), (2,), match="vec1 expects 1"),
                        BadInput((INTS, WEIGHTS[:2], WEIGHTS), {"alpha": 0.5}, RuntimeError,
                                 "alpha must not be a float")]))
register(OpCase("baddbmm", added(product), [*sums((2, 3, 2), (2, 3, 4), (2, 4, 2), (2,), (3, 2), (2, 1, 1))],
                errors=[
    mismatch((2, 3, 3), (2, 3, 4), (2, 3, 3)), mismatch((3, 2, 2), (1, 2, 2), (1, 2, 2), match=TOO_WIDE),
    mismatch((2, 2), (1, 2, 2), (2, 2), match="batch2 expects 3"),
    mismatch((2, 2), (1, 2, 2), (2, 2, 2), match="batch2")]))
register(OpCase("addbmm", added(lambda a, b: product(a, b).sum(0)), [
    *sums((3, 2), (4, 3, 2), (4, 2, 2), (2,), ()), like((3, 2), (0, 3, 2), (0, 2, 2))], errors=[
    mismatch((2, 2), (2, 2, 2), (3, 2, 2), match="batch1 and batch2"),
    mismatch((3, 2), (2, 2, 2), (2, 2, 2), match=TOO_WIDE),
    mismatch((2, 2), (2, 2), (2, 2, 2), match="batch1 expects 3")]))

# Made of products


def bilinear(a, b, weight, bias=0.0):
    return (a[..., None, :, None] * weight * b[..., None, None, :]).sum((-2, -1)) + bias


register(OpCase("bilinear", bilinear, [
    like((4, 3), (4, 2), (5, 3, 2), (5,)), like((4, 3), (4, 2), (1, 3, 2)), like((3,), (2,), (4, 3, 2), (4,)),
    like((2, 2, 3), (2, 2, 1), (3, 3, 1)), like((0, 3), (0, 2), (5, 3, 2), (5,))],
    errors=[mismatch((2, 3), (2, 4), (5, 3, 3), match="weight"),
            mismatch((2, 3), (3, 4), (5, 3, 4), match="batch")]))
register(OpCase("tensordot", lambda a, b, dims=2: np.tensordot(a, b, dims), [
    like((2, 3, 4), (3, 4, 5)), like((2, 3), (3, 4), dims=1), like((2, 3), (4,), dims=0),
    like((2, 3), (2, 3), dims=2),
    like((2, 3, 4), (4, 5, 2), dims=([0, -1], [2, 0])), like((3, 2), (3, 4), dims=([0], [0])),
    like((2, 0), (0, 3), dims=1),
    Sample((INTS, INTS), {"dims": 2})],
    errors=[mismatch((2, 3), (2, 3), match="contracted dimensions need to match", dims=1),
            mismatch((2, 3), (2, 3), match="dims >= 0", dims=-1),
            mismatch((2, 3), (2, 3), match="dims=3", dims=3),
            mismatch((2, 3), (2, 3), match="contracted", dims=([0, 1], [0])),
            mismatch((2, 3), (2, 3), match="out of range", raises=IndexError, dims=([2], [0]))]))
register(OpCase("kron", np.kron, [
    like((2, 3), (3, 2)), like((3,), (2,)), like((2,), (2, 3)), like((2, 1, 2), (3,)), like((), (2,)),
    like((0, 2), (2, 2)),
    Sample((INTS, WEIGHTS))]))
register(OpCase("chain_matmul", lambda *matrices: functools.reduce(product, matrices), [
    like((2, 3), (3, 4)), like((2, 30), (30, 3), (3, 4)), like((3, 2), (2, 5), (5, 1), (1, 4)),
    like((2, 0), (0, 3), (3, 2))],
    errors=[mismatch((2, 3), (2, 3), named=False)]))


def distances(a, b, p=2.0):
    size = np.abs(a[..., :, None, :] - b[..., None, :, :])
    if p == 0:
        return (size != 0).sum(-1) * 1.0
    return size.max(-1) if p == math.inf else (size**p).sum(-1)**(1 / p)


register(OpCase("cdist", distances, [
    like((3, 4), (2, 4)), *(like((3, 2), (2, 2), p=p) for p in (1.0, 3.0, 1.5, math.inf)),
    like((2, 3, 2), (2, 1, 2)),
    like((2, 1, 3, 2), (4, 2, 2)), like((0, 2), (3, 2)), like((1, 1), (1, 1))],
    errors=[mismatch((2, 3), (2, 2), match="columns"), mismatch((3,), (2, 3), match="two dimensions"),
            mismatch((2, 3), (2, 3), match="non-negative p", p=-1.0)]))
register(OpCase("cdist", distances, [Sample((INTS * 1.0, INTS * 1.0), {"p": 0.0})], variant="p=0",
                constant=(0, 1)))
register(OpCase("euclidean_distance", distances, [
    like((3, 4), (2, 4)), like((2, 1, 3, 2), (4, 2, 2)), like((0, 2), (3, 2))], torch="cdist"))
register(OpCase("cdist", distances, [like((30, 3), (2, 3))], variant="product",
                errors=[mismatch((2, 3), (2, 3), match="compute_mode", raises=ValueError, compute_mode="fast")]))
register(OpCase("cross", lambda a, b, dim=0: np.cross(a, b, axis=dim), [
    like((3,), (3,)), like((3, 2), (3, 2)), like((2, 3), (2, 3), dim=1), like((2, 3, 2), (2, 3, 2), dim=-2),
    like((1, 3), (2, 3), dim=-1), like((0, 3), (0, 3), dim=1), Sample((INTS, INTS + 1), {"dim": 1})],
    errors=[mismatch((2, 2), (2, 2), match="no dimension of size 3"),
            mismatch((2, 3), (2, 3), match="length 3", dim=0),
            mismatch((2, 3), (2, 3), match="Dimension out of range", raises=IndexError, dim=2)]))

# Einstein's summation


def contracted(a, b, left, right, kept):
    return np.einsum(a, list(left), b, list(right), list(kept))


register(OpCase("contract", contracted, [
    Sample(lambda rng, a=a, b=b, names=names: (rng.standard_normal(a), rng.standard_normal(b), *names))
    for a, b, names in (
        ((2, 3), (3, 4), ((0, 1), (1, 2), (0, 2))), ((2, 3), (3, 4), ((0, 1), (1, 2), (2, 0))),
        ((5, 2, 3), (3, 5, 4), ((7, 0, 1), (1, 7, 2), (2, 7, 0))), ((2, 3), (2, 3), ((0, 1), (0, 1), ())),
        ((2, 3), (3, 2), ((0, 1), (1, 0), (1, 0))), ((2,), (3,), ((0,), (1,), (1, 0))),
        ((), (2,), ((), (0,), (0,))),
        ((2, 2, 3), (3, 2, 1), ((0, 1, 2), (2, 1, 3), (3, 0))), ((0, 3), (3, 2), ((0, 1), (1, 2), (0, 2))))]))


def equation(text, *shapes):
    return Sample(lambda rng: (text, *(np.asarray(rng.standard_normal(s)) for s in shapes)))


register(OpCase("einsum", lambda *args: np.asarray(np.einsum(*args)), [*(equation(*args) for args in (
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ba", (2, 3)), ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii", (3, 3)), ("ii->i", (3, 3)), ("iij->ji", (2, 2, 3)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
    ("i,j->ji", (2,), (3,)), ("ij,ij->ij", (2, 3), (2, 3)), ("i,i", (4,), (4,)), (",i->i", (), (3,)),
    (" a b , b -> a ", (2, 3), (3,)), ("...ij,...jk->...ki", (2, 1, 3, 4), (5, 4, 2)), ("i...->...", (2, 3)),
    ("...,...", (2, 3), (3,)), ("b...d,hd->bh...", (2, 3, 4), (5, 4)), ("ij,jk->ik", (2, 1), (3, 4)),
    ("ij,ij->i", (2, 1), (1, 3)), ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), ("i,ij,j->", (2,), (2, 3), (3,)),
    ("ij,j,ik,k->i", (2, 3), (3,), (2, 4), (4,)), ("bhqd,bhkd->bhqk", (2, 1, 3, 2), (2, 1, 4, 2)),
    ("Ab,bA", (2, 3), (3, 2)),
    ("ij,jk->ik", (0, 3), (3, 2)), ("ij,jk->ik", (2, 0), (0, 3)), ("ijk,k->ij", (2, 1, 3), (3,)),
    ("ij,k->i", (2, 3), (4,)))),
    Sample(lambda rng: (rng.standard_normal((2, 3)), [0, 1], rng.standard_normal((3, 2)), [1, 2], [2, 0])),
    Sample(lambda rng: (rng.standard_normal((2, 3)), [1, 0]), name="implicit order"),
    Sample(("ij,jk", INTS, INTS.T)), Sample(("ij,ij->ij", INTS, INTS)),
    Sample(lambda rng: ("ij,ij->ij", INTS, rng.standard_normal((2, 3)))),
    Sample(lambda rng: ("ijk,kl->ijl", rng.standard_normal((20, 30, 40)), rng.standard_normal((40, 50))),
           big=True, dtypes=WIDE),
], view=True, errors=[BadInput((text, *ones(*shapes)), {}, raises, match) for text, shapes, raises, match in (
    ("ij,jk->ik", ((2, 3), (2, 3)), RuntimeError, "'j' has size 3 and size 2"),
    ("ij->ii", ((2, 3),), RuntimeError, "more than once"),
    ("ij->k", ((2, 3),), RuntimeError, "does not appear"),
    ("ii", ((2, 3),), RuntimeError, "'i' has size|repeated"), ("ii", ((1, 3),), RuntimeError, "repeated"),
    ("i", ((2, 3),), RuntimeError, "number of subscripts"),
    ("ij,jk", ((2, 3),), RuntimeError, "2 operands, but 1"),
    ("i1", ((2, 3),), RuntimeError, "a-zA-Z"), ("i.j->i", ((2, 3),), RuntimeError, "invalid|subscript"),
    ("ij", (), ValueError, "at least one operand"))] + [
        BadInput(("ij,j", INTS, np.ones(3)), {}, RuntimeError, "dtype")]))
register(OpCase("einsum", lambda text, x: np.einsum(text, x).copy(),
                [equation("ij->ij", (2, 3)), equation("ij->ji", (2, 3))], variant="permutations", view=True))
register(OpCase("einsum", lambda text, x, y=1.0: np.asarray((x * y).sum(0)), [
    equation("...->", (3,)), equation("...i->i", (2, 3)), equation("...i,i->i", (2, 3), (3,))],
    variant="dots that are summed"))
for name, text, *shapes in (("product", "ij,jk->ki", (2, 3), (3, 2)),
                            ("elementwise", "ij,ij->ij", (2, 3), (2, 3))):
    register(OpCase("einsum", np.einsum, [Sample(lambda rng, text=text, shapes=shapes: (
        text, *(rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in shapes)))],
        variant=f"complex {name}", dtypes=WIDE))

for shapes in (((70, 300), (200, 300), (200,)), ((5, 43, 67), (65, 67), (65,)), ((3, 4), (2, 4), (2,)),
               ((600, 31), (17, 31), None)):
    for dtype in ("float32", "float64"):
        register(KernelCase("linear_relu", [lambda rng, shapes=shapes, dtype=dtype: (tuple(
            s and rng.standard_normal(s).astype(dtype) for s in shapes), {})]))
