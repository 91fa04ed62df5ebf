"""Sums, moments, norms, extremes, order statistics, and cumulative operations."""
from functools import partial

import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, distinct, register

INTS = np.array([[3, -1, 4], [1, -5, 9]])
BOOLS = np.array([[True, False, True], [True, True, True]])
BYTES = np.array([[200, 100], [7, 0]], np.uint8)
NAN = np.array([[1.0, np.nan, 3.0], [np.nan, 5.0, -2.0]])
ZEROS = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 1.0], [1.5, -2.0, 3.0]])
TIES = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
BAD_DIM = BadInput((np.zeros((2, 3)),), {"dim": 2}, IndexError, "Dimension out of range")


def over(*, make=arrays_like, several=True, empty=True, scalar=True, **more):
    """Samples over all, one and several dimensions, kept or not, of a matrix, a cube, a scalar and nothing."""
    found = [Sample(make((3, 4)), more), Sample(make((3, 4)), {"dim": 0, **more}),
             Sample(make((2, 3, 2)), {"dim": -2, "keepdim": True, **more}), Sample(make((1, 1)), {"dim": 1, **more})]
    if several:
        found += [Sample(make((2, 3, 2)), {"dim": (0, 2), **more}),
                  Sample(make((2, 1, 3)), {"dim": (-1, 0), "keepdim": True, **more})]
    if empty:
        found += [Sample(make((0, 3)), {"dim": 0, **more}), Sample(make((2, 0)), {"dim": 0, **more})]
    if scalar:
        found += [Sample(make(()), more), Sample(make(()), {"dim": -1, **more})]
    return found


def axes(x, dim):
    """`dim` as NumPy takes it; a scalar has none."""
    dim = tuple(dim) if isinstance(dim, list) else dim
    return None if dim is None or dim == () else () if np.ndim(x) == 0 else dim


def numpy_like(function, **fixed):
    def reference(x, dim=None, keepdim=False, dtype=None):
        return function(x, axis=axes(x, dim), keepdims=keepdim, **fixed)
    return reference


register(OpCase("sum", numpy_like(np.sum), [
    *over(), Sample(arrays_like((2, 3)), {"dim": ()}), Sample((INTS,)), Sample((BOOLS,), {"dim": 1}), Sample((INTS,), {"dim": [0]}),
    Sample((np.full(3000, 10.0),), dtypes=("float16",)), Sample(arrays_like((400, 600)), {"dim": 1}, big=True, dtypes=WIDE),
    Sample(arrays_like((2, 3)), {"dtype": "float64"}), Sample((INTS,), {"dtype": "float32"}),
    Sample((INTS.astype(np.int32),), {"dim": 0}),
    Sample(lambda rng: (rng.standard_normal(3) + 1j * rng.standard_normal(3),), dtypes=WIDE),
], errors=[BAD_DIM, BadInput((np.zeros((2, 3)),), {"dim": (0, 0)}, RuntimeError, "multiple times"),
           BadInput((np.zeros((2, 3)),), {"dim": 1.5}, TypeError, "must be int")], tol={"float16": 2e-2}))
register(OpCase("sum", lambda x: np.array(int(x.astype(np.int64).sum())), [Sample((BYTES,))], variant="bytes", grad=False))
register(OpCase("nansum", numpy_like(np.nansum), [
    *over(), Sample((NAN,), {"dim": 0}), Sample((INTS,))], errors=[BAD_DIM]))
register(OpCase("mean", numpy_like(np.mean), [
    *over(), Sample((INTS,), {"dtype": "float32"}), Sample((np.full(3000, 60.0),), dtypes=("float16",)),
    Sample(arrays_like((400, 600)), {"dim": 0}, big=True, dtypes=WIDE),
], errors=[BAD_DIM, BadInput((INTS,), {}, RuntimeError, "floating point")]))
register(OpCase("nanmean", numpy_like(np.nanmean), [
    Sample(arrays_like((3, 4))), Sample((NAN,), {"dim": 1}), Sample((NAN,), {"dim": (0, 1), "keepdim": True}),
], errors=[BadInput((INTS,), {}, RuntimeError, "floating point")]))
register(OpCase("prod", numpy_like(np.prod), [
    *over(several=False, make=partial(arrays_like, low=0.5, high=2)), Sample((ZEROS,)), Sample((ZEROS,), {"dim": 0}),
    Sample((ZEROS,), {"dim": 1, "keepdim": True}), Sample((INTS,), {"dim": 1}), Sample((BOOLS,)),
], errors=[BAD_DIM]))
register(OpCase("count_nonzero", lambda x, dim=None: np.count_nonzero(x, axis=axes(x, dim)), [
    Sample((ZEROS,)), Sample((INTS,), {"dim": 0}), Sample((BOOLS,), {"dim": (0, 1)}), Sample(arrays_like((0, 2)), {"dim": 1}),
], errors=[BAD_DIM], grad=False))


def moment(function, root=False):
    def reference(x, dim=None, unbiased=None, keepdim=False, correction=None):
        free = (0 if unbiased is False else 1) if correction is None else correction
        return function(x, axis=axes(x, dim), ddof=free, keepdims=keepdim)
    return reference


def mean_too(function):
    return lambda x, **options: (moment(function)(x, **options),
                                 np.mean(x, axis=axes(x, options.get("dim")), keepdims=options.get("keepdim", False)))


MOMENTS = [Sample(arrays_like((3, 4))), Sample(arrays_like((3, 4)), {"dim": 0}),
           Sample(arrays_like((3, 4)), {"dim": 1, "unbiased": False, "keepdim": True}),
           Sample(arrays_like((2, 3, 4)), {"dim": (0, -1), "correction": 2}),
           Sample(arrays_like((5,)), {"unbiased": False}),
           Sample(lambda rng: (rng.standard_normal((40, 3)) + 1e3,), {"dim": 0}, dtypes=WIDE),
           Sample(arrays_like((1, 3)), {"dim": 0}, grad=False), Sample(arrays_like((2, 0)), {"dim": 1}, grad=False)]
MOMENT_ERRORS = [BAD_DIM, BadInput((INTS,), {}, RuntimeError, "only support floating point")]
NEAR = {"float32": 2e-3}  # the mean of 1000 costs three digits
register(OpCase("var", moment(np.var), MOMENTS, errors=MOMENT_ERRORS, tol=NEAR))
register(OpCase("std", moment(np.std), MOMENTS, errors=MOMENT_ERRORS, tol=NEAR))
register(OpCase("var_mean", mean_too(np.var), MOMENTS, tol=NEAR))
register(OpCase("std_mean", mean_too(np.std), MOMENTS, tol=NEAR))

register(OpCase("all", numpy_like(np.all), [*over(), Sample((BOOLS,), {"dim": 1}), Sample((INTS,)), Sample((ZEROS,), {"dim": 0})],
                errors=[BAD_DIM], grad=False))
register(OpCase("any", numpy_like(np.any), [*over(), Sample((BOOLS,), {"dim": 0}), Sample((INTS,)), Sample((ZEROS,), {"dim": 1})],
                errors=[BAD_DIM], grad=False))


def p_norm(x, p=2, dim=None, keepdim=False):
    size, p = np.abs(x), 2 if p == "fro" else p
    options = {"axis": axes(x, dim), "keepdims": keepdim}
    if np.isinf(p):
        return size.max(**options) if p > 0 else size.min(**options)
    return (size != 0).sum(**options) * 1.0 if p == 0 else (size ** p).sum(**options) ** (1 / p)


def uneven(shape):
    """Values of which no two have the same size."""
    return lambda rng: tuple(x + 0.05 for x in distinct(shape, gap=0.2)(rng))


NORMS = [Sample(uneven((3, 4)), {"p": p, "dim": dim, "keepdim": keepdim})
         for p in (2, 1, 3, 0.5, -1, np.inf, -np.inf) for dim, keepdim in ((None, False), (0, False), ((0, 1), True))]
register(OpCase("norm", p_norm, [
    *NORMS, Sample(arrays_like((2, 3))), Sample(arrays_like((0, 3))), Sample(arrays_like(())), Sample(arrays_like((3,)), {"p": "fro"}),
    Sample(arrays_like((3, 2)), {"p": 0, "dim": 1}), Sample((np.full(500, 200.0),)),
], errors=[BAD_DIM, BadInput((INTS,), {}, RuntimeError, "floating point"), BadInput((TIES,), {"p": "abc"}, RuntimeError, "abc")]))
register(OpCase("vector_norm", p_norm, [Sample(arrays_like((3, 4)), {"p": 2, "dim": 1, "keepdim": False})], torch=None))
register(OpCase("dist", lambda a, b, p=2: p_norm(a - b, p), [
    Sample(arrays_like((2, 3), (2, 3))), Sample(arrays_like((3,), (2, 1)), {"p": 3}), Sample(arrays_like((4,), (4,)), {"p": 1})]))


def log_sum_exp(x, dim, keepdim=False):
    from scipy.special import logsumexp

    return logsumexp(x, axis=axes(x, dim), keepdims=keepdim) if x.ndim else x


INFINITE = np.array([[np.inf, 1.0], [-np.inf, -np.inf], [-np.inf, 2.0]])
register(OpCase("logsumexp", log_sum_exp, [
    Sample(arrays_like((3, 4)), {"dim": 0}), Sample(arrays_like((2, 3, 2)), {"dim": (0, -1), "keepdim": True}),
    Sample((np.array([[500.0, 501.0], [-700.0, -700.0]]),), {"dim": 1}, dtypes=WIDE), Sample((INFINITE,), {"dim": 1}, grad=False),
    Sample(arrays_like(()), {"dim": 0}), Sample((INFINITE[1:],), {"dim": 0}, grad=False), Sample((INTS,), {"dim": 1}),
], errors=[BAD_DIM]))

# Extremes and order statistics


def chosen(choose):
    """(values, indices) along `dim`, whose index `choose(line)` gives."""
    def reference(x, dim=-1, keepdim=False):
        if np.ndim(x) == 0:
            return x, np.array(0)
        lines = np.moveaxis(x, dim, -1)
        index = [choose(line) for line in lines.reshape(-1, x.shape[dim])]
        index = np.expand_dims(np.array(index, np.int64).reshape(lines.shape[:-1]), dim)
        values = np.take_along_axis(x, index, dim)
        return tuple(a if keepdim else a.squeeze(dim) for a in (values, index))
    return reference


def lower_median(line):
    return int(np.flatnonzero(np.isnan(line))[0]) if np.isnan(line).any() else int(np.argsort(line)[(len(line) - 1) // 2])


def lower_nanmedian(line):
    return int(np.argsort(line)[max(np.sum(~np.isnan(line)) - 1, 0) // 2])


def most_frequent(line):
    values, counts = np.unique(line, return_counts=True)
    return int(np.flatnonzero(line == values[np.argmax(counts)])[-1])


ALONG = [Sample(distinct((3, 4)), {"dim": 0}), Sample(distinct((3, 5)), {"dim": -1, "keepdim": True}),
         Sample(distinct((2, 3, 2)), {"dim": 1}), Sample((INTS,), {"dim": 1}), Sample(distinct(()), {"dim": 0}),
         Sample(distinct((1, 1)), {"dim": 1}), Sample((np.zeros((0, 3)),), {"dim": 1}, grad=False)]
NO_ELEMENTS = [BadInput((np.zeros((0, 3)),), {"dim": 0}, IndexError, "non-zero size"), BAD_DIM]
EMPTY = [BadInput((np.zeros(0),), {}, RuntimeError, "numel"), *NO_ELEMENTS]
FULL = [Sample(distinct((3, 4))), Sample(distinct(())), Sample((INTS,)), Sample((NAN,), grad=False)]


for _name, _function in (("amax", np.max), ("amin", np.min)):
    register(OpCase(_name, numpy_like(_function), [
        *over(make=distinct, empty=False), Sample(distinct((2, 3)), {"dim": ()}), Sample((INTS,), {"dim": 1}), Sample((BOOLS,)),
        Sample((NAN,), {"dim": 0}, grad=False)], errors=EMPTY))
register(OpCase("aminmax", lambda x, dim=None, keepdim=False: tuple(
    f(x, axis=axes(x, dim), keepdims=keepdim) for f in (np.min, np.max)), [
        Sample(distinct((3, 4))), Sample(distinct((3, 4)), {"dim": 1, "keepdim": True}), Sample((INTS,), {"dim": 0})]))
for _name, _function, _choose in (("max", np.max, np.argmax), ("min", np.min, np.argmin)):
    register(OpCase(_name, _function, FULL, errors=EMPTY, variant="all"))
    register(OpCase(_name, chosen(_choose), [*ALONG, Sample((TIES,), {"dim": 1}, grad=False), Sample((NAN,), {"dim": 1}, grad=False)],
                    variant="along"))
    register(OpCase(_name, {"max": np.maximum, "min": np.minimum}[_name], [Sample(lambda rng: (distinct((3, 1))(rng)[0] + 0.03, *distinct((1, 4))(rng)))], variant="pair"))
    register(OpCase(f"arg{_name}", lambda x, dim=None, keepdim=False, choose=_choose: choose(
        np.atleast_1d(x) if np.ndim(x) == 0 else x, axis=None if np.ndim(x) == 0 else dim, keepdims=keepdim and np.ndim(x) > 0), [
            Sample(distinct((3, 4))), Sample(distinct((3, 4)), {"dim": 0}), Sample(distinct((2, 3, 2)), {"dim": -2, "keepdim": True}),
            Sample(distinct((2, 3)), {"keepdim": True}), Sample((INTS,), {"dim": 1}), Sample((NAN,), {"dim": 1}), Sample((TIES,)),
            Sample(distinct(()), {"dim": 0})],
        errors=[BadInput((np.zeros(0),), {}, IndexError, "numel"), *NO_ELEMENTS, BadInput((BOOLS,), {}, RuntimeError, "bool")],
        grad=False))
for _name, _choose in (("largest_along", np.argmax), ("smallest_along", np.argmin), ("median_along", lower_median),
                       ("nanmedian_along", lower_nanmedian), ("mode_along", most_frequent)):
    register(OpCase(_name, chosen(_choose), [Sample(distinct((3, 4)), {"dim": 0, "keepdim": False})], torch=None))
register(OpCase("median", lambda x: np.sort(x.reshape(-1))[(x.size - 1) // 2] if not np.isnan(x).any() else np.array(np.nan), [
    *FULL, Sample(distinct((5,)))], variant="all"))
register(OpCase("median", chosen(lower_median), [*ALONG, Sample((NAN,), {"dim": 1}, grad=False)], errors=NO_ELEMENTS, variant="along"))
register(OpCase("nanmedian", chosen(lower_nanmedian), [*ALONG, Sample((NAN,), {"dim": 1}, grad=False)]))
register(OpCase("mode", chosen(most_frequent), [*ALONG, Sample((TIES,), {"dim": 1}, grad=False),
                                                Sample((np.array([[1, 2, 2, 1, 3]]),), {"dim": 1})], errors=NO_ELEMENTS, torch=None))


def shares(function):
    def reference(x, q, dim=None, keepdim=False, interpolation="linear"):
        return function(x, q, axis=axes(x, dim), keepdims=keepdim, method=interpolation)
    return reference


QUANTILES = [Sample(lambda rng, q=q: (*distinct((3, 4))(rng), q), options) for q, options in (
    (0.3, {}), (0.0, {"dim": 0}), (1.0, {"dim": 1, "keepdim": True}), (0.6, {"dim": 1, "interpolation": "lower"}),
    (0.6, {"dim": 0, "interpolation": "higher"}), (0.6, {"interpolation": "nearest"}), (0.6, {"dim": 1, "interpolation": "midpoint"}))]
QUANTILES += [Sample(lambda rng: (*distinct((3, 4))(rng), np.array([0.1, 0.7])), {"dim": 1}),
              Sample((NAN, 0.4), {"dim": 1}, grad=False)]
QUANTILE_ERRORS = [BadInput((TIES, 1.5), {}, RuntimeError, "range"), BadInput((TIES, 0.5), {"interpolation": "no"}, RuntimeError, "no"),
                   BadInput((INTS, 0.5), {}, RuntimeError, "float or double")]
for _name, _function in (("quantile", np.quantile), ("nanquantile", np.nanquantile)):
    register(OpCase(_name, shares(_function), QUANTILES, errors=QUANTILE_ERRORS, dtypes=WIDE, constant=(1,),
                    torch=None if _name == "nanquantile" else ""))

# Cumulative

LINES = [Sample(arrays_like((3, 4)), {"dim": 0}), Sample(arrays_like((2, 3, 2)), {"dim": -2}), Sample(arrays_like((1,)), {"dim": 0}),
         Sample(arrays_like((0, 3)), {"dim": 0}), Sample(arrays_like(()), {"dim": 0})]


def along_axis(function):
    return lambda x, dim, dtype=None: function(np.atleast_1d(x), axis=dim).reshape(np.shape(x))


register(OpCase("cumsum", along_axis(np.cumsum), [*LINES, Sample((INTS,), {"dim": 1}), Sample((BOOLS,), {"dim": 0}),
                                                  Sample((np.full(3000, 10.0),), {"dim": 0}, dtypes=("float16",))], errors=[BAD_DIM]))
register(OpCase("cumprod", along_axis(np.cumprod), [
    *LINES, Sample((ZEROS,), {"dim": 0}), Sample((ZEROS,), {"dim": 1}), Sample((INTS,), {"dim": 1}),
    Sample(arrays_like((20, 2), low=0.7, high=1.3), {"dim": 0})], errors=[BAD_DIM]))
register(OpCase("logcumsumexp", along_axis(np.logaddexp.accumulate), [*LINES, Sample((np.array([500.0, 501.0, -600.0]),), {"dim": 0}, dtypes=WIDE)],
                errors=[BAD_DIM]))


def running(better):
    def reference(x, dim):
        lines = np.moveaxis(np.atleast_1d(x), dim, 0)
        values, index = lines.copy(), np.zeros(lines.shape, np.int64)
        for i in range(1, len(lines)):
            new = better(lines[i], values[i - 1]) | (lines[i] == values[i - 1]) | np.isnan(lines[i])
            values[i], index[i] = np.where(new, lines[i], values[i - 1]), np.where(new, i, index[i - 1])
        return tuple(np.moveaxis(a, 0, dim).reshape(np.shape(x)) for a in (values, index))
    return reference


RUNNING = [Sample(distinct((4, 3)), {"dim": 0}), Sample(distinct((2, 3, 2)), {"dim": -2}), Sample(distinct(()), {"dim": 0}),
           Sample((INTS,), {"dim": 1}), Sample((TIES,), {"dim": 1}, grad=False), Sample((np.zeros((0, 2)),), {"dim": 0}, grad=False)]
register(OpCase("cummax", running(np.greater), RUNNING, errors=[BAD_DIM]))
register(OpCase("cummin", running(np.less), RUNNING, errors=[BAD_DIM]))


def differences(x, n=1, dim=-1, prepend=None, append=None):
    return np.diff(np.concatenate([a for a in (prepend, x, append) if a is not None], dim), n, dim)


register(OpCase("diff", differences, [
    Sample(arrays_like((3, 4))), Sample(arrays_like((3, 4)), {"n": 2, "dim": 0}), Sample((INTS,)), Sample(arrays_like((1,))),
    Sample(arrays_like((2, 3)), {"prepend": np.ones((2, 1)), "append": np.zeros((2, 2))}), Sample(arrays_like((2, 3)), {"n": 0}),
], errors=[BAD_DIM, BadInput((np.array(1.0),), {}, RuntimeError, "one-dimensional")]))
