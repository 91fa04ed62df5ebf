"""What depends on order: the largest and smallest, the middle, the most frequent, ranks and sorting."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, distinct, register
from .reduce import BAD_DIM, BAD_DIMS, BOOLS, BYTES, HOLES, INTS, over, reductions

EDGES = np.array([[np.nan, 1.0, -np.inf, np.nan], [np.inf, 0.0, -0.0, np.inf]])
TIES = np.array([[1.0, 3.0, 1.0, 3.0, 1.0], [2.0, 2.0, 2.0, 2.0, 2.0]])
NOTHING = np.zeros((0, 3))
NO_CHOICE = BadInput((NOTHING,), {"dim": 0}, IndexError, "non-zero size")
NO_DIM = BadInput((NOTHING,), {}, RuntimeError, "numel")


def ordered(line, descending=False):
    """The indices that sort a list: equal elements keep their order, nan is the largest."""
    return sorted(range(len(line)), key=lambda i: (line[i] != line[i], line[i] if line[i] == line[i] else 0),
                  reverse=descending)


def picked(x, dim, choose):
    """Values and indices of the elements along `dim` whose indices choose(line), a list for a list, gives."""
    lines = np.moveaxis(np.atleast_1d(x), dim, -1)
    count = len(choose(list(range(lines.shape[-1]))))
    index = np.array([choose(lines[row].tolist()) for row in np.ndindex(lines.shape[:-1])], np.int64)
    index = index.reshape(*lines.shape[:-1], count)
    pair = [np.moveaxis(a, -1, dim) for a in (np.take_along_axis(lines, index, -1), index)]
    return [a.reshape(()) if x.ndim == 0 and count == 1 else a for a in pair]


def single(choose):
    """The reference that gives the value and index of the element along `dim` whose index choose(line) is."""
    def reference(x, dim=-1, keepdim=False):
        pair = picked(x, dim, lambda line: [choose(line)])
        return pair if keepdim or x.ndim == 0 else [a.squeeze(dim) for a in pair]
    return reference


# The largest and the smallest

ALL = [Sample(distinct((3, 4))), Sample(distinct(())), Sample(distinct((1, 1))), Sample((INTS,)),
       Sample((BYTES,)),
       Sample((EDGES,), grad=False, name="edges"), Sample((EDGES[1],), grad=False, name="infinite")]
ALONG = [*(Sample(distinct(shape), options) for shape, options in (
    ((5,), {"dim": 0}), ((3, 4), {"dim": 1}), ((2, 3, 4), {"dim": -2, "keepdim": True}), ((3, 1), {"dim": 1}),
    ((), {"dim": 0}), ((), {"dim": -1, "keepdim": True}), ((0, 3), {"dim": 1}))), Sample((INTS,), {"dim": 1}),
    Sample((BYTES,), {"dim": 0}), Sample((EDGES,), {"dim": 1}, grad=False)]
TIED = np.array([[1.0, 3.0, 3.0], [1.0, 1.0, 1.0]])
THIRDS = [1 / 3, 1 / 3, 1 / 3]


def mean_of(shares):
    """The sum of the elements' shares: winners that are equal, as in TIED, share the gradient so."""
    return lambda x, dim=None: np.asarray(np.sum(x * np.array(shares), dim))


def index_by(place):
    return lambda *args, **options: np.asarray(over(place)(*args, **options))


def with_index(pick, place):
    return lambda *args, **options: (over(pick)(*args, **options), index_by(place)(*args, **options))



for name, pick, shares in (("amax", np.max, [[0, 0.5, 0.5], THIRDS]), ("amin", np.min, [[1, 0, 0], THIRDS])):
    register(OpCase(name, over(pick), [
        *reductions(distinct, empty=False), Sample(distinct((0, 3)), {"dim": 1}),
        Sample(distinct((2, 0, 3)), {"dim": (0, -1)}),
        Sample((INTS,)), Sample((BYTES,), {"dim": 1}), Sample((BOOLS,), {"dim": (0, 1)}),
        Sample((EDGES,), {"dim": 1}, grad=False),
        Sample(distinct((40, 70), gap=1e-3), {"dim": 1}, big=True, dtypes=WIDE),
    ], errors=[*BAD_DIMS, NO_CHOICE, NO_DIM]))
    register(OpCase(name, mean_of(shares), [Sample((TIED,), {"dim": 1})], variant="ties", second=False))
register(OpCase("aminmax", lambda x, **options: (over(np.min)(x, **options), over(np.max)(x, **options)), [
    Sample(distinct((3, 4))), Sample(distinct((2, 3, 2)), {"dim": -2, "keepdim": True}),
    Sample(distinct(()), {"dim": 0}),
    Sample((INTS,), {"dim": 0}), Sample((BOOLS,)), Sample((EDGES,), {"dim": 1}, grad=False)]))

for name, pick, place, pair, first, shares in (
        ("max", np.max, np.argmax, np.maximum, [1, 0], [[0, 0.5, 0.5], [0, 0, 0]]),
        ("min", np.min, np.argmin, np.minimum, [0, 0], [[0.25, 0, 0], [0.25, 0.25, 0.25]])):
    register(OpCase(name, lambda x, pick=pick: np.asarray(pick(x)), [*ALL, Sample((BOOLS,))],
                    errors=[NO_DIM, NO_CHOICE, *BAD_DIM]))
    register(OpCase(name, mean_of(shares), [Sample((TIED,))], variant="ties", second=False))
    register(OpCase(name, with_index(pick, place), [*ALONG, Sample((BOOLS,), {"dim": 1})], variant="along"))
    register(OpCase(name, lambda x, dim, at=first: (x[[0, 1], at], np.array(at)),
                    [Sample((TIED,), {"dim": 1})],
                    variant="first of equals", second=False))
    register(OpCase(name, pair, [
        Sample(lambda rng: (rng.standard_normal((3, 1)), 3 + rng.standard_normal(4))),
        Sample((INTS, INTS[::-1])),
        Sample((EDGES, EDGES[::-1]), grad=False)], variant="pair"))
    register(OpCase(f"arg{name}", index_by(place), [
        *(Sample(s.arguments, s.options) for s in ALONG), Sample(distinct((3, 4))),
        Sample(distinct((2, 3)), {"keepdim": True}),
        Sample((TIED,)), Sample((TIED,), {"dim": 1}), Sample((INTS,)), Sample((EDGES,))], grad=False,
        errors=[*BAD_DIM, NO_CHOICE, BadInput((NOTHING,), {}, IndexError, "numel"),
                BadInput((BOOLS,), {}, RuntimeError, "bool input")]))
    register(OpCase({"max": "largest_along", "min": "smallest_along"}[name], single(
        lambda line, pick={"max": -1, "min": 0}[name]: ordered(line)[pick]), [
            Sample(lambda rng: (*distinct((3, 4))(rng), 0, False)),
            Sample(lambda rng: (*distinct((3, 4))(rng), -1, True))]))

# The middle, the most frequent


def lower_median(line):
    missing = [i for i, v in enumerate(line) if v != v]
    return missing[0] if missing else ordered(line)[(len(line) - 1) // 2]


def lower_nanmedian(line):
    return ordered(line)[max(sum(v == v for v in line) - 1, 0) // 2]


def most_frequent(line):
    best = max(sorted(set(line)), key=line.count)
    return len(line) - 1 - line[::-1].index(best)


def of_all(choose):
    return lambda x: single(choose)(x.reshape(-1), 0)[0]


for name, choose in (("median", lower_median), ("nanmedian", lower_nanmedian)):
    register(OpCase(name, of_all(choose), [*ALL, Sample(distinct((5,))),
                                           Sample((HOLES,), grad=False)]))
    register(OpCase(name, mean_of([[0.25, 0, 0], [0.25, 0.25, 0.25]]), [Sample((TIED,))], variant="ties",
                    second=False))
    register(OpCase(name, lambda x: np.array(np.nan), [Sample((np.zeros((0, 2)),), grad=False)],
                    variant="of nothing", errors=[BadInput((np.zeros(0, int),), {}, RuntimeError,
                                                           "no elements")]))
    register(OpCase(name, single(choose), [*ALONG, Sample((HOLES,), {"dim": 1}, grad=False),
                                           Sample((HOLES[:, 1:2],), {"dim": 0}, grad=False)], variant="along",
                    errors=[*BAD_DIM, NO_CHOICE]))
    register(OpCase(f"{name}_along", single(choose),
                    [Sample(lambda rng: (*distinct((3, 4))(rng), 0, False))]))
COMMON = [Sample((x,), {"dim": 1}, grad=False, name=name) for name, x in (
    ("counted", np.array([[1, 2, 2, 1, 3], [5, 5, 4, 4, 4]])), ("bytes", BYTES), ("bools", BOOLS),
    ("ties", TIES))]
register(OpCase("mode", single(most_frequent), [
    *(Sample(distinct(shape), options) for shape, options in (
        ((4,), {}), ((3, 4), {"dim": 0}), ((2, 3, 2), {"dim": -2, "keepdim": True}), ((), {}),
        ((0, 3), {"dim": 1}))),
    *COMMON], errors=[*BAD_DIM, NO_CHOICE]))
register(OpCase("mode_along", single(most_frequent),
                [Sample(lambda rng: (*distinct((3, 4))(rng), 0, False))]))


def shares(function):
    """The reference of a quantile, made of NumPy's."""
    def reference(x, q, dim=None, keepdim=False, interpolation="linear"):
        if x.ndim == 0:
            return np.asarray(function(x.reshape(1), q, axis=0, method=interpolation))
        return np.asarray(function(x, q, axis=dim, keepdims=keepdim, method=interpolation))
    return reference


QUANTILES = [Sample(lambda rng, s=shape, q=q: (*distinct(s)(rng), q), options) for shape, q, options in (
    ((3, 4), 0.3, {}), ((3, 4), 0.0, {"dim": 0}), ((3, 4), 1.0, {"dim": 1, "keepdim": True}),
    ((5,), 0.5, {"dim": -1}),
    ((2, 3, 4), 0.7, {"dim": -2, "keepdim": True}), ((3, 4), 0.4, {"keepdim": True}), ((), 0.5, {}),
    ((1, 1), 0.9, {"dim": 1}),
    *(((3, 7), 0.6, {"dim": 1, "interpolation": how}) for how in ("lower", "higher", "nearest", "midpoint")),
    ((3, 4), np.array([0.1, 0.7, 0.25]), {}), ((3, 4), np.array([0.1, 0.7]), {"dim": 0}),
    ((3, 4), np.array([0.1, 0.7]), {"dim": 1, "keepdim": True}), ((2, 3), np.array(0.2), {"dim": 1}),
    ((2, 3), np.zeros(0), {"dim": 1}))]
for name, function in (("quantile", np.quantile), ("nanquantile", np.nanquantile)):
    register(OpCase(name, shares(function), [
        *QUANTILES, Sample((HOLES, 0.4), {"dim": 1}, grad=False),
        Sample((HOLES, np.array([0.1, 0.9])), grad=False),
        Sample((TIES, 0.5), {"dim": 1}, grad=False)], dtypes=WIDE, constant=(1,), errors=[
            BadInput((TIES, 1.5), {}, RuntimeError, r"range \[0, 1\]"),
            BadInput((INTS, 0.5), {}, RuntimeError, "float or double"),
            BadInput((TIES, 0.5), {"interpolation": "cubic"}, RuntimeError, "interpolation"),
            BadInput((TIES, np.ones((1, 1))), {}, RuntimeError, "scalar or 1D"),
            BadInput((TIES, np.array([1])), {}, RuntimeError, "same dtype"),
            BadInput((NOTHING, 0.5), {}, RuntimeError, "non-empty"),
            BadInput((TIES, 0.5), {"dim": 2}, IndexError, "range")]))

# Sorting


def sort(x, dim=-1, descending=False, stable=False):
    return picked(x, dim, lambda line: ordered(line, descending))


def topk(x, k, dim=-1, largest=True, sorted=True):
    return picked(x, dim, lambda line: ordered(line, largest)[:k])


def kthvalue(x, k, dim=-1, keepdim=False):
    return single(lambda line: ordered(line)[k - 1])(x, dim, keepdim)


ORDERS = [*(Sample(distinct(shape), options) for shape, options in (
    ((5,), {}), ((3, 4), {"dim": 0}), ((2, 3, 2), {"dim": -2, "descending": True}), ((3, 1), {}), ((), {}),
    ((), {"dim": 0, "descending": True}), ((0, 3), {"dim": 0}), ((2, 0), {"dim": 0}))),
    *(Sample((x,), {"dim": 1, "stable": True, "descending": descending}, grad=False,
             name=f"{name},{descending}")
      for name, x in (("ints", INTS), ("bytes", BYTES), ("bools", BOOLS), ("ties", TIES), ("edges", EDGES))
      for descending in (False, True)),
    Sample(lambda rng: (rng.integers(0, 9, 70) * 0.5,), {"dim": 0, "stable": True, "descending": True},
           grad=False, name="many ties"),
    Sample(distinct((40, 300), gap=1e-3), {"dim": 1}, big=True, dtypes=WIDE)]
register(OpCase("sort", sort, ORDERS, errors=BAD_DIM))
register(OpCase("argsort", lambda x, **options: sort(x, **options)[1], ORDERS, grad=False, errors=BAD_DIM))
register(OpCase("msort", lambda x: sort(x, 0)[0], [
    Sample(distinct((4, 3))), Sample(distinct((1,))), Sample((INTS,)), Sample((EDGES,), grad=False),
    Sample(distinct((0, 2)))]))

FEW = [Sample((x, 2), {"dim": 1, "largest": largest}, name=f"{name},{largest}") for largest in (True, False)
       for name, x in (("ints", INTS), ("bytes", BYTES))]
register(OpCase("topk", topk, [
    *(Sample(lambda rng, shape=shape, k=k: (*distinct(shape)(rng), k), options) for shape, k, options in (
        ((5,), 2, {}), ((3, 4), 3, {"dim": 0}), ((2, 3, 2), 1, {"dim": -2, "largest": False}),
        ((3, 4), 0, {}),
        ((3, 1), 1, {}), ((), 1, {}), ((0, 3), 2, {}), ((33,), 3, {}), ((2, 40), 5, {"largest": False}),
        ((24, 2), 3, {"dim": 0, "sorted": True}))), *FEW,
    Sample((EDGES[:1], 3), {"dim": 1}, grad=False, name="nan is the largest"),
    Sample((np.where(np.arange(40) % 9 == 4, np.nan, np.arange(40) * 0.5)[None], 3),
           {"dim": 1, "largest": False}, grad=False, name="few, and nan"),
    Sample(lambda rng: (*distinct((30, 400), gap=1e-3)(rng), 7), {"dim": 1}, big=True, dtypes=WIDE),
], errors=[BadInput((np.ones((2, 3)), 1), {"dim": 2}, IndexError, "Dimension out of range"),
           BadInput((np.ones((2, 3)), 4), {}, RuntimeError, "out of range"),
           BadInput((np.ones((2, 3)), -1), {}, RuntimeError, "out of range")]))


def values(x, k, dim):
    """The values alone, of a tensor here and in PyTorch: which of equal elements come is open."""
    return x.topk(k, dim)[0]


register(OpCase("topk", lambda x, k, dim: topk(x, k, dim)[0], [
    Sample((TIES, 4), {"dim": 1}), Sample((np.repeat(np.arange(10.0), 4), 3), {"dim": 0})],
    variant="ties", grad=False, call=values, torch=values))
register(OpCase("kthvalue", kthvalue, [
    *(Sample(lambda rng, shape=shape, k=k: (*distinct(shape)(rng), k), options) for shape, k, options in (
        ((5,), 2, {}), ((3, 4), 3, {"dim": 0}), ((2, 3, 2), 1, {"dim": -2, "keepdim": True}),
        ((3, 1), 1, {"dim": 1}),
        ((), 1, {}), ((0, 3), 2, {}))), *(Sample((x, 2), {"dim": 1}) for x in (INTS, BYTES)),
    Sample((EDGES[:1], 3), grad=False), Sample(arrays_like((1, 1)), {"k": 1, "keepdim": True}),
], errors=[BadInput((np.ones((2, 3)), 1), {"dim": 2}, IndexError, "Dimension out of range"),
           BadInput((np.ones((2, 3)), 4), {}, (IndexError, RuntimeError), "out of range"),
           BadInput((np.ones((2, 3)), 0), {}, (IndexError, RuntimeError), "out of range"),
           BadInput((np.ones((2, 0)), 1), {"dim": 1}, (IndexError, RuntimeError), "out of range")]))
