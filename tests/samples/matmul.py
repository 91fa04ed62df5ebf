"""Products of matrices and vectors, what is made of them, and Einstein's summation."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, distinct, register

INTS = np.array([[-7, 3, 0], [5, 2, -1]])
BYTES = np.array([[250, 3], [0, 100]], np.uint8)


def ones(*shapes):
    return tuple(np.ones(s) for s in shapes)


def complex_values(*shapes):
    return lambda rng: tuple(rng.standard_normal(s) + 1j * rng.standard_normal(s) for s in shapes)


def complex_case(name, reference, *shapes, **options):
    register(OpCase(name, reference, [Sample(complex_values(*shapes), options)], variant="complex", dtypes=WIDE))


# Products


def product(a, b):
    """Rows times columns as one elementwise product and a sum."""
    rows, columns = (a if a.ndim > 1 else a[None]), (b if b.ndim > 1 else b[:, None])
    y = (rows[..., :, None, :] * np.swapaxes(columns, -1, -2)[..., None, :, :]).sum(-1, dtype=a.dtype)
    y = y if b.ndim > 1 else y[..., 0]
    return y if a.ndim > 1 else y[..., 0, :] if b.ndim > 1 else y[..., 0]


SHAPES = [((5,), (5,)), ((3, 4), (4, 2)), ((3, 4), (4,)), ((4,), (4, 3)), ((2, 3, 4), (4, 2)), ((2, 3, 4), (4,)),
          ((4,), (2, 4, 3)), ((2, 3, 4), (2, 4, 2)), ((2, 1, 3, 4), (3, 4, 2)), ((3, 4), (2, 4, 1)),
          ((1, 3, 2), (5, 2, 3)), ((1, 1), (1, 1)), ((0, 3), (3, 2)), ((3, 0), (0, 2)), ((0,), (0,)), ((2, 3, 0), (0, 4)),
          ((0, 2, 3), (3, 2)), ((2, 2, 3), (3, 0))]
register(OpCase("matmul", product, [
    Sample(arrays_like((210, 200), (200, 205), low=-1, high=1), big=True, dtypes=WIDE),
    Sample(arrays_like((20, 40, 50), (20, 50, 30), low=-1, high=1), big=True, dtypes=WIDE),
    *(Sample(arrays_like(*shapes)) for shapes in SHAPES),
    Sample((np.full((1, 3000), 1.0), np.full((3000, 1), 1.0)), name="beyond float16's integers"),
    Sample((INTS, INTS.T)), Sample((INTS, INTS[0])), Sample((BYTES, BYTES)),
    Sample((np.array([[np.inf, 1.0]]), np.array([[0.0, 1.0], [2.0, np.nan]])), grad=False),
], errors=[BadInput(ones((2, 3), (2, 3)), {}, RuntimeError, "2x3 and 2x3"), BadInput(ones((3,), (2,)), {}, RuntimeError, "3 and 2"),
           BadInput(ones((), (3,)), {}, RuntimeError, "at least 1D"),
           BadInput(ones((2, 3, 4), (3, 4, 5)), {}, RuntimeError, "size of tensor a"),
           BadInput((np.ones((2, 3)), INTS.T), {}, RuntimeError, "dtype")], kernels=("matmul",)))
for shapes in SHAPES[:6]:
    pass
