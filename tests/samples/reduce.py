"""Reductions (sums, products, moments, truth, norms), and what accumulates along a dimension."""
import math

import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, distinct, register

INTS = np.array([[-7, 3, 0], [5, 2, -1]])
BYTES = np.array([[250, 3], [0, 100]], np.uint8)
BOOLS = np.array([[True, False, True], [False, False, True]])
HOLES = np.array([[1.5, np.nan, -2.0], [np.nan, 0.5, np.nan]])
EDGES = np.array([[1.0, np.inf, 2.0], [-np.inf, 0.0, np.nan]])
ZEROS = np.array([[2.0, 0.0, 3.0], [0.0, -1.5, 0.0], [1.5, 2.5, -2.0]])
TWO_BY_THREE = np.ones((2, 3))

OUTSIDE = BadInput((TWO_BY_THREE,), {"dim": 2}, IndexError, r"Dimension out of range .*\[-2, 1\], but got 2")
TWICE = BadInput((TWO_BY_THREE,), {"dim": (0, -2)}, RuntimeError, "multiple times")
FRACTION = BadInput((TWO_BY_THREE,), {"dim": 0.5}, TypeError, "'dim' must be int")
BAD_DIM = [OUTSIDE, FRACTION]
BAD_DIMS = [OUTSIDE, FRACTION, TWICE]


def over(function):
    """The reference of a reduction, made of a function of an array, `axis` and `keepdims`."""
    def reference(x, dim=None, keepdim=False, dtype=None):
        if x.ndim == 0:
            return function(x.reshape(1), axis=0, keepdims=False)
        axis = None if dim in ((), []) else tuple(dim) if type(dim) is list else dim
        return function(x, axis=axis, keepdims=keepdim)
    return reference


def reductions(make=arrays_like, several=True, empty=True):
    """Samples of a reduction: of all, one or several dimensions, of scalars and of nothing."""
    chosen = [((3, 4), {}), ((3, 4), {"dim": 0}), ((2, 3, 4), {"dim": -2, "keepdim": True}),
              ((3, 1), {"dim": 1}),
              ((), {}), ((), {"dim": -1, "keepdim": True})]
    if several:
        chosen += [((2, 3, 4), {"dim": (0, -1)}), ((3, 2, 1), {"dim": [2, 0], "keepdim": True}),
                   ((2, 3), {"dim": ()})]
    if empty:
        chosen += [((0, 3), {}), ((0, 3), {"dim": 0}), ((2, 0), {"dim": 0, "keepdim": True})]
    return [Sample(make(shape), options) for shape, options in chosen]


def complex_values(*shape):
    return lambda rng: (rng.standard_normal(shape) + 1j * rng.standard_normal(shape),)


def complex_case(name, reference, *samples):
    samples = samples or [Sample(complex_values(2, 3)), Sample(complex_values(2, 3), {"dim": 1})]
    register(OpCase(name, reference, samples, variant="complex", dtypes=WIDE))


def size_of(x, axis):
    """How many elements a result is made of, as a NumPy number, which divides by zero."""
    axis = range(x.ndim) if axis is None else axis if type(axis) is tuple else (axis,)
    return np.float64(math.prod(x.shape[a] for a in axis))


def as_added(x):
    return x.astype(np.int64) if x.dtype.kind in "biu" else x


# Sums and products

total = over(lambda x, **options: np.sum(as_added(x), **options))
product = over(lambda x, **options: np.prod(as_added(x), **options))
average = over(lambda x, axis, keepdims: np.sum(x, axis=axis, keepdims=keepdims) / size_of(x, axis))
average_of_found = over(lambda x, **options: np.nansum(x, **options) / np.sum(~np.isnan(x), **options))
INTEGERS = [Sample((x,), options) for x, options in (
    (INTS, {}), (INTS, {"dim": 0}), (BYTES, {"dim": 1}), (BOOLS, {"dim": -1, "keepdim": True}),
    (np.zeros((0, 2), np.int32), {"dim": 0}))]

register(OpCase("sum", total, [
    *reductions(), *INTEGERS, Sample((np.ones(3000),), name="beyond float16's integers"),
    Sample((EDGES,), {"dim": 0}, grad=False), Sample((INTS,), {"dtype": "float64"}),
    Sample((BYTES,), {"dim": 0, "dtype": "int32"}),
    Sample(arrays_like((2, 3)), {"dim": 1, "dtype": "float64"}),
    Sample(arrays_like((400, 301)), {"dim": 0}, big=True, dtypes=WIDE),
], errors=BAD_DIMS, kernels=("sum", "spread")))
register(OpCase("sum", lambda x, axis, keepdims: np.sum(x, axis, keepdims=keepdims), [
    Sample(arrays_like((2, 3)), {"axis": 1, "keepdims": True})], variant="numpy's names"))
complex_case("sum", total)
register(OpCase("nansum", over(lambda x, **options: np.nansum(as_added(x), **options)), [
    *reductions(), *INTEGERS, Sample((HOLES,)), Sample((HOLES,), {"dim": 1}),
    Sample((HOLES,), {"dim": 0, "keepdim": True}),
], errors=BAD_DIMS))
register(OpCase("mean", average, [
    *reductions(), Sample((np.full(3000, 100.0),), name="a sum beyond float16"),
    Sample((EDGES,), {"dim": 1}, grad=False),
    Sample((INTS,), {"dim": 1, "dtype": "float64"}), Sample(arrays_like((2, 3)), {"dtype": "float64"}),
    Sample(arrays_like((301, 400)), {"dim": 1}, big=True, dtypes=WIDE),
], errors=[*BAD_DIMS, BadInput((INTS,), {}, RuntimeError, "int64"),
           BadInput((BOOLS,), {}, RuntimeError, "bool")]))
complex_case("mean", average)
register(OpCase("nanmean", average_of_found, [
    *reductions(empty=False), Sample((HOLES,)), Sample((HOLES,), {"dim": 1}),
    Sample((HOLES[:, :2],), {"dim": (0, 1)}),
    Sample((HOLES[1:, ::2],), {"dim": 1}, grad=False, name="nothing but nan")],
    errors=[BadInput((INTS,), {}, RuntimeError, "int64")]))
register(OpCase("prod", product, [
    *reductions(several=False), *INTEGERS, Sample((ZEROS,)), Sample((ZEROS,), {"dim": 1}),
    Sample((ZEROS,), {"dim": 0, "keepdim": True}), Sample((ZEROS[2],)), Sample((ZEROS[:1],), {"dim": 1}),
    Sample((INTS,), {"dim": 1, "dtype": "float64"}),
    Sample(arrays_like((40, 70), low=0.8, high=1.2), {"dim": 1}, big=True, dtypes=WIDE),
], errors=[*BAD_DIM, BadInput((TWO_BY_THREE,), {"dim": (0, 1)}, TypeError, "'dim' must be int")],
    kernels=("prod_others", "spread")))
complex_case("prod", product)
register(OpCase("count_nonzero", over(lambda x, **options: np.asarray(np.count_nonzero(x, **options))), [
    Sample((ZEROS,)), Sample((ZEROS,), {"dim": 1}), Sample((INTS,), {"dim": (0, -1)}),
    Sample((BOOLS,), {"dim": 0}),
    Sample((HOLES,)), Sample((np.zeros((0, 3)),), {"dim": 0}), Sample((np.array(2.0),)),
    Sample((INTS,), {"dim": ()}),
], grad=False, errors=BAD_DIMS))

# Moments


def variance(x, dim=None, unbiased=None, keepdim=False, correction=None):
    if type(dim) is bool:
        dim, unbiased = None, dim
    less = (0 if unbiased is False else 1) if correction is None else correction

    def moment(x, axis, keepdims):
        d = x - np.sum(x, axis=axis, keepdims=True) / size_of(x, axis)
        degrees = max(size_of(x, axis) - less, np.float64(0))
        return np.sum(np.abs(d)**2, axis=axis, keepdims=keepdims) / degrees
    return over(moment)(x, dim, keepdim)


def deviation(*args, **options):
    return np.sqrt(variance(*args, **options))


def middle(x, dim=None, unbiased=None, keepdim=False, correction=None):
    """The mean, for the arguments of `variance`."""
    return average(x, None if type(dim) is bool else dim, keepdim)


MOMENTS = [*(Sample(arrays_like(shape), options) for shape, options in (
    ((3, 4), {}), ((3, 4), {"dim": 0}), ((2, 3, 4), {"dim": (0, -1)}),
    ((3, 2, 1), {"dim": [1, 2], "keepdim": True}),
    ((3, 4), {"dim": 1, "unbiased": False}), ((4, 3), {"dim": 0, "correction": 2}),
    ((2, 3), {"correction": 0, "keepdim": True}), ((4,), {"correction": 0.5}))),
    Sample(lambda rng: (rng.standard_normal(5), False)), Sample(lambda rng: (rng.standard_normal(5), True)),
    Sample(arrays_like((3, 4), low=7, high=9)), Sample((np.linspace(-200, 200, 7),),
                                                       name="a sum beyond float16"),
    Sample(arrays_like((301, 400)), {"dim": 1}, big=True, dtypes=WIDE)]
DEGENERATE = [Sample((x,), options, grad=False) for x, options in (
    (np.array([3.0]), {}), (np.array(3.0), {}), (np.zeros((0, 2)), {"dim": 0}),
    (np.zeros((2, 0)), {"dim": 0}),
    (np.array([1.0, 2.0]), {"correction": 3}), (np.array([2.0, 2.0]), {"correction": 2}),
    (EDGES, {"dim": 1}))]
BAD_MOMENTS = [OUTSIDE, TWICE, BadInput((INTS,), {}, RuntimeError, "floating point"),
               BadInput((np.ones(3),), {"unbiased": True, "correction": 1}, TypeError, "correction")]
for name, reference in (("var", variance), ("std", deviation)):
    register(OpCase(name, reference, [*MOMENTS, *DEGENERATE], errors=BAD_MOMENTS))
    complex_case(name, reference)
    register(OpCase(f"{name}_mean", lambda *args, spread=reference, **options: (
        spread(*args, **options), middle(*args, **options)), MOMENTS))

# Truth

for name, reference in (("all", over(np.all)), ("any", over(np.any))):
    register(OpCase(name, reference, [
        Sample((BOOLS,)), Sample((BOOLS,), {"dim": 1}), Sample((BOOLS,), {"dim": (0, -1), "keepdim": True}),
        Sample((ZEROS,), {"dim": 0}), Sample((HOLES,)), Sample((INTS,), {"dim": -1}),
        Sample((np.array(0.0),), {"dim": 0}),
        Sample((np.zeros((0, 3)),)), Sample((np.zeros((0, 3), bool),), {"dim": 0}),
        Sample((np.zeros((2, 0)),), {"dim": 0}),
    ], grad=False, errors=BAD_DIMS))
    register(OpCase(name, lambda *args, truth=reference, **options: truth(*args, **options).astype(np.uint8),
                    [Sample((BYTES,)), Sample((BYTES,), {"dim": 1})], variant="bytes", grad=False))

# Norms


def p_norm(x, p="fro", dim=None, keepdim=False, dtype=None):
    p = 2 if p in ("fro", None) else p

    def norm(x, axis, keepdims):
        size = np.abs(x)
        if abs(p) == math.inf:
            return (np.max if p > 0 else np.min)(size, axis=axis, keepdims=keepdims)
        if p == 0:
            return np.sum(size != 0, axis=axis, keepdims=keepdims, dtype=float)
        return np.sum(size**p, axis=axis, keepdims=keepdims)**(1 / np.float64(p))
    return over(norm)(x, dim, keepdim)


def sizes(shape):
    """Arrays whose magnitudes differ, of either sign."""
    n = math.prod(shape)
    return lambda rng: (((1 + rng.permutation(n)) * rng.choice([-0.1, 0.1], n)).reshape(shape),)


register(OpCase("norm", p_norm, [
    *reductions(sizes), *(Sample(sizes((3, 5)), {"p": p, "dim": 1}, name=f"p={p}")
                             for p in ("fro", 1, 1.5, 2, 3, 4.5, math.inf, -math.inf, -1, 0.5)),
    Sample(sizes((2, 3, 2)), {"p": 3, "dim": (0, -1), "keepdim": True}),
    Sample(sizes((2, 3, 2)), {"p": math.inf, "dim": (0, 1)}), Sample(sizes((7,)), {"p": None}),
    Sample((np.full(400, 30.0),), name="squares beyond float16"),
    Sample(arrays_like((2, 3)), {"dtype": "float64"}),
    Sample((EDGES,), {"dim": 1}, grad=False), Sample((EDGES,), {"p": math.inf, "dim": 1}, grad=False),
    Sample((np.zeros((2, 0)),), {"p": 1, "dim": 1}),
], errors=[*BAD_DIMS, BadInput((INTS,), {}, RuntimeError, "floating point or complex"),
           BadInput((TWO_BY_THREE,), {"p": "euclid"}, RuntimeError, "'fro' or 'nuc'"),
           *(BadInput((np.zeros((2, 0)),), {"p": p, "dim": 1}, RuntimeError, "norm of no elements")
             for p in (math.inf, -1))], kernels=("sum_squares",)))
register(OpCase("norm", p_norm, [Sample((np.array([[3.0, 0.0, -4.0]]),), {"p": 3})], variant="a zero element",
                second=False))  # it has a kink
register(OpCase("norm", p_norm, [Sample((ZEROS,), {"p": 0, "dim": 1}), Sample((ZEROS,), {"p": 0})],
                variant="p=0", constant=(0,)))
register(OpCase("norm", lambda x, p, dim=(-2, -1), keepdim=False: np.linalg.norm(x, p, dim, keepdim), [
    Sample(lambda rng: (rng.standard_normal((3, 4)), "nuc")),
    Sample(lambda rng: (rng.standard_normal((2, 3, 2)), "nuc"), {"dim": (0, 2), "keepdim": True})],
    variant="nuc", dtypes=WIDE))
complex_case("norm", p_norm, *(Sample(complex_values(2, 3), {"p": p, "dim": 1}, name=f"p={p}")
                               for p in (2, 1, 3, math.inf)))
register(OpCase("vector_norm", p_norm, [
    Sample(lambda rng, p=p, dim=dim: (*sizes((3, 4))(rng), p, dim, False)) for p, dim in (
        (2, None), (3, (0, 1)), (1, 0), (math.inf, (1,)))]))
register(OpCase("dist", lambda a, b, p=2: p_norm(a - b, p), [
    Sample(arrays_like((3, 4), (3, 4))), Sample(arrays_like((3, 1), (4,)), {"p": 1}),
    Sample(arrays_like((5,), ()), {"p": 3}), Sample(arrays_like((0,), (0,)))],
    errors=[BadInput((np.ones(2), np.ones(3)), {}, RuntimeError, "size of tensor", named=False)]))


def log_sum_exp(x, axis, keepdims):
    x = x.astype(float)
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)
    y = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return y if keepdims else np.squeeze(y, axis)


register(OpCase("logsumexp", over(log_sum_exp), [
    *(s for s in reductions() if s.options.get("dim", ()) != ()),  # where it is (), PyTorch's gradient fails
    Sample((np.array([[1000.0, 1001.0], [-1000.0, -1001.0]]),), {"dim": 1}, dtypes=WIDE),
    Sample((INTS,), {"dim": 1}), Sample((BOOLS,), {"dim": (0, 1)}),
    *(Sample((x,), {"dim": 1}, grad=False, name=name) for name, x in (
        ("some exp 0", np.array([[-np.inf, 1.0, 2.0]])), ("all exp 0", np.full((2, 3), -np.inf)),
        ("edges", EDGES))),
    Sample(arrays_like((301, 400)), {"dim": 1}, big=True, dtypes=WIDE)], errors=BAD_DIMS))

# What accumulates


def along(function):
    """The reference of a scan: `function` of the vectors along a dimension, or of a scalar's one element."""
    def reference(x, dim, dtype=None):
        y = np.apply_along_axis(function, dim, np.atleast_1d(x)) if x.size else as_added(x)
        return y.reshape(x.shape)
    return reference


def scans(make=arrays_like):
    return [Sample(make(shape), {"dim": dim}) for shape, dim in (
        ((5,), 0), ((3, 4), 1), ((2, 3, 4), -2), ((3, 1), -1), ((1, 4), 0), ((), 0))]


OF_NOTHING = [Sample(arrays_like((0, 3)), {"dim": 0}), Sample(arrays_like((2, 0)), {"dim": 0})]
SCANNED = [Sample((x,), {"dim": dim}) for x, dim in (
    (INTS, 0), (BYTES, 1), (BOOLS, -1), (np.array(3, np.int32), 0), (np.zeros((2, 0), np.int8), 1))]
register(OpCase("cumsum", along(lambda x: np.cumsum(as_added(x))), [
    *scans(), *OF_NOTHING, *SCANNED, Sample((np.ones(3000),), {"dim": 0}, name="beyond float16's integers"),
    Sample((EDGES,), {"dim": 0}, grad=False), Sample((INTS,), {"dim": 1, "dtype": "float64"}),
    Sample(arrays_like((300, 301)), {"dim": 0}, big=True, dtypes=WIDE),
], errors=BAD_DIM, kernels=("cumsum",)))
complex_case("cumsum", along(np.cumsum), Sample(complex_values(2, 3), {"dim": 1}))
register(OpCase("cumprod", along(lambda x: np.cumprod(as_added(x))), [
    *scans(), *OF_NOTHING, *SCANNED, *(Sample((ZEROS,), {"dim": dim}) for dim in (0, 1)),
    Sample((ZEROS[2],), {"dim": 0}),
    Sample(arrays_like((2, 20), low=0.8, high=1.2), {"dim": 1}, name="long enough to divide"),
    Sample((np.where(np.arange(20) == 7, 0.0, 1.1),), {"dim": 0}, name="long, with a zero"),
    Sample((INTS,), {"dim": 1, "dtype": "float64"}),
    Sample(arrays_like((40, 70), low=0.8, high=1.2), {"dim": 1}, big=True, dtypes=WIDE),
], errors=BAD_DIM, kernels=("cumprod_dx",)))
complex_case("cumprod", along(np.cumprod), Sample(complex_values(2, 3), {"dim": 1}),
             Sample(complex_values(18), {"dim": 0}))
register(OpCase("logcumsumexp", along(lambda x: [log_sum_exp(x[:i + 1], 0, False) for i in range(len(x))]), [
    *scans(), *OF_NOTHING, Sample((np.array([0.0, 1000.0, -1000.0, 999.0]),), {"dim": 0}, dtypes=WIDE),
    Sample((np.array([-np.inf, -np.inf, 1.0, -np.inf]),), {"dim": 0}, grad=False),
    Sample((np.array([1.0, np.inf, 2.0, np.nan]),), {"dim": 0}, grad=False)], errors=BAD_DIM))


def running(better):
    """The reference of cummax and cummin: values, and the index of the last of equal ones; nan stays."""
    def reference(x, dim):
        lines = np.moveaxis(np.atleast_1d(x), dim, -1)
        values, index = lines.copy(), np.zeros(lines.shape, np.int64)
        for row in np.ndindex(lines.shape[:-1]):
            best = 0
            for i, v in enumerate(lines[row]):
                if v != v or v == lines[row][best] or better(v, lines[row][best]):
                    best = i
                values[row][i], index[row][i] = lines[row][best], best
        return tuple(np.moveaxis(y, -1, dim).reshape(x.shape) for y in (values, index))
    return reference


for name, better in (("cummax", np.greater), ("cummin", np.less)):
    register(OpCase(name, running(better), [
        *scans(distinct), Sample((INTS,), {"dim": 1}), Sample((BYTES,), {"dim": 0}),
        Sample((BOOLS,), {"dim": 1}),
        Sample((np.array([1.0, 2.0, 2.0, -1.0, -1.0, 2.0]),), {"dim": 0}, grad=False, name="ties"),
        Sample((np.array([1.0, np.nan, 3.0, np.nan, -np.inf]),), {"dim": 0}, grad=False)], errors=BAD_DIM))
    # PyTorch returns the input itself, as a leaf, where there is nothing.
    register(OpCase(name, running(better), OF_NOTHING, variant="of nothing", torch=None))


def differences(x, n=1, dim=-1, prepend=None, append=None):
    return np.diff(np.concatenate([a for a in (prepend, x, append) if a is not None], dim), n, dim)


register(OpCase("diff", differences, [
    Sample(arrays_like((5,))), Sample(arrays_like((3, 4)), {"n": 2, "dim": 0}),
    Sample(arrays_like((2, 3)), {"n": 0}),
    Sample(arrays_like((2, 3)), {"n": 5}), Sample(arrays_like((2, 1))), Sample(arrays_like((0,))),
    Sample(arrays_like((2, 3)), {"prepend": lambda rng: rng.standard_normal((2, 1)),
                                 "append": np.ones((2, 2))}),
    Sample((INTS,)), Sample((BYTES,), {"dim": 0}), Sample((BOOLS,), {"dim": 1}),
], errors=[OUTSIDE, BadInput((np.array(1.0),), {}, RuntimeError, "at least one-dim"),
           BadInput((np.ones(3),), {"n": -1}, RuntimeError, "non-negative")]))
