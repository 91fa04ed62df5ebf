"""Indexing, gathering and scattering, masks, and sets."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, distinct, register

INTS = np.arange(12).reshape(3, 4)
FIVE = np.zeros(5)
MATRIX = np.zeros((3, 4))


def ints(*values):
    return np.array(values, np.int64)


def of(shape, *args, **options):
    return Sample(lambda rng: (rng.standard_normal(shape), *args), options)


# x[...]

KEYS = [0, -1, slice(1, 3), slice(None, None, 2), None, ..., (1, slice(None)), (..., 0), (None, 0, slice(1, None)), (slice(None), None, ..., -1),
        (0, 1), slice(5, 9)]
register(OpCase("slice", lambda x, key: x[key], [of((3, 4), key) for key in KEYS] + [of((2, 3, 2), (1, ..., 0)), of((), ...), of((0, 2), slice(0, 1))],
                errors=[BadInput((MATRIX, 3), {}, IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
                        BadInput((MATRIX, (0, -5)), {}, IndexError, "index -5 is out of bounds for dimension 1 with size 4"),
                        BadInput((MATRIX, (0, 0, 0)), {}, IndexError, "too many indices"),
                        BadInput((MATRIX, slice(None, None, -1)), {}, ValueError, "step")], torch=None))
INDICES = [[ints(0, 2, 2)], [None, ints(1, -1)], [ints(0, 1), ints(1, 1)], [ints([0], [1]), ints(0, 3)], [ints([0, 1], [2, 0])],
           [None, np.array([True, False, True, True])], [np.array([True, False, True])], [np.zeros(0, np.int64)]]


def keyed(indices):
    return tuple(slice(None) if i is None else i for i in indices)


def _added(dy, indices, shape):
    y = np.zeros(shape)
    np.add.at(y, keyed(indices), dy)
    return y


register(OpCase("index", lambda x, indices: x[keyed(indices)], [
    *[of((3, 4), indices) for indices in INDICES], of((2, 3, 4), [ints(0, 1), None, ints(1, 2)]), of((2, 3, 4), [None, ints(0, 1), ints(1, 2)]),
    of((3, 4), [np.arange(12).reshape(3, 4) % 3 == 0]), Sample((INTS, [ints(1)])),
    Sample(lambda rng: (rng.standard_normal((300, 200)), [rng.integers(0, 300, 500)]), big=True, dtypes=WIDE)],
    errors=[BadInput((MATRIX, [ints(7)]), {}, IndexError, "index 7 is out of bounds for dimension 0 with size 3"),
            BadInput((MATRIX, [None, ints(-5)]), {}, IndexError, "index -5 is out of bounds for dimension 1 with size 4"),
            BadInput((MATRIX, [np.array([True])]), {}, IndexError, "mask"),
            BadInput((MATRIX, [ints(0, 1), ints(0, 1, 2)]), {}, IndexError, "broadcast")], torch=None))
register(OpCase("index_dx", _added, [of((3, 4), [ints(0, 2, 2)], (3, 4)), of((2, 2), [ints(0, 1), None, ints(1, 1)], (2, 2, 3)),
                                     of((2,), [ints(0, 0), ints(1, 1)], (2, 3)), of((3, 2), [None, ints(1, 1)], (3, 4))], torch=None))


def read(x, *key):
    return x[key[0] if len(key) == 1 else key]


MIXED = [[0, 2], [True, False, True], True, False, (0, slice(None), ints(1, 0)), (ints(1, 0), 0), (0, ints(1, 0)), (ints(1, 0), None, 0), [[0, 1], [1, 0]],
         (..., ints(1, 0)), (slice(1, 3), ints(0, 1)), (np.array([True, False, True]), ints(0, 1)), ints(), range(2), np.array(1)]


def as_numpy(x, key):
    """NumPy's result for a key whose integers only select: they are applied first."""
    key = key if isinstance(key, tuple) else (key,) if not (isinstance(key, list) and isinstance(key[0], list)) else tuple(key)
    for at in [i for i, k in enumerate(key) if type(k) is int][::-1]:
        before = sum(1 for k in key[:at] if k is not None)
        x, key = x.take(key[at], before), key[:at] + key[at + 1:]
    return x[tuple(list(k) if isinstance(k, range) else k for k in key)]


register(OpCase("Tensor.__getitem__", lambda x, key: np.asarray(as_numpy(x, key)), [
    of((3, 4, 2) if isinstance(k, tuple) and any(i == slice(None) for i in k if isinstance(i, slice)) else (3, 4), k) for k in MIXED],
    errors=[BadInput((MATRIX, 1.5), {}, IndexError, "only integers", named=False),
            BadInput((MATRIX, np.array([1.5])), {}, IndexError, "must be long", named=False),
            BadInput((MATRIX, (ints(0), ints(0), ints(0))), {}, IndexError, "too many", named=False)], view=True, torch=None))


def assigned(x, key, value):
    y = x * 1
    y[key] = value
    return y


register(OpCase("Tensor.__setitem__", assigned, [
    Sample(arrays_like((3, 4), (4,)), name="row") if False else Sample(lambda rng, k=k, s=s: (rng.standard_normal((3, 4)), k, rng.standard_normal(s)))
    for k, s in ((0, (4,)), (slice(1, 3), (2, 4)), ((slice(None), 1), ()), ((slice(None), ints(0, 2)), (3, 1)), (ints(2, 0), (2, 4)),
                 (np.arange(12).reshape(3, 4) > 5, ()), ((ints(0, 1), ints(3, 3)), (1,)), (..., (1, 1, 4)), ((0, slice(None), None), (4, 1)))],
    call=assigned, torch=None, errors=[
        BadInput((MATRIX, 0, np.zeros(3)), {}, RuntimeError, "cannot be broadcast", named=False),
        BadInput((MATRIX, ints(0), ints(1)), {}, RuntimeError, "dtypes match", named=False),
        BadInput((MATRIX, 0, "a"), {}, TypeError, "can't assign", named=False),
        BadInput((MATRIX, 9, 1.0), {}, IndexError, "out of bounds", named=False)]))
register(OpCase("Tensor.__setitem__", assigned, [Sample((INTS, 0, 1.7)), Sample((INTS, (slice(None), 1), True)), Sample((MATRIX, ints(1), 2))],
                variant="numbers", grad=False, call=assigned, torch=None))


def put(x, values, indices, accumulate=False):
    y = x.copy()
    if accumulate:
        np.add.at(y, keyed(indices), values)
    else:
        y[keyed(indices)] = values
    return y


def put_tensor(x, indices, values, accumulate=False):
    return put(x, values, indices, accumulate)


register(OpCase("index_put", put_tensor, [
    Sample(lambda rng, i=i, s=s, a=a: (rng.standard_normal((3, 4)), i, rng.standard_normal(s)), {"accumulate": a})
    for i, s, a in (([ints(2, 0)], (2, 4), False), ([ints(2, 0)], (4,), True), ([ints(2, 2)], (2, 4), True), ([ints(1), ints(2)], (), False))] + [
    Sample((INTS, [ints(0, 0)], ints(5)), {"accumulate": True})],
    errors=[BadInput((MATRIX, [ints(0)], ints(1)), {}, RuntimeError, "dtypes match"), BadInput((MATRIX, [ints(3)], FIVE[0]), {}, IndexError, "out of bounds")
            if False else BadInput((MATRIX, [ints(3)], np.zeros(4)), {}, IndexError, "out of bounds")]))

# One index an element

SMALL = ints([0, 2, 1], [1, 1, 0])
BOUNDS = [BadInput((MATRIX, 1, ints([4])), {}, RuntimeError, "index 4 is out of bounds for dimension 1 with size 4"),
          BadInput((MATRIX, 1, ints([-1])), {}, RuntimeError, "index -1 is out of bounds"), BadInput((MATRIX, 1, ints(0)), {}, RuntimeError, "dimensions"),
          BadInput((MATRIX, 1, np.array([[0.0]])), {}, RuntimeError, "int64"), BadInput((MATRIX, 2, ints([0])), {}, IndexError, "Dimension out of range"),
          BadInput((MATRIX, 1, ints([0], [0], [0], [0])), {}, RuntimeError, "no larger")]


def gathered(x, dim, index):
    x, index_ = np.atleast_1d(x), np.atleast_1d(index)
    key = list(np.indices(index_.shape))
    key[dim] = index_
    return x[tuple(key)].reshape(index.shape)


register(OpCase("gather", gathered, [of((3, 4), 0, SMALL), of((3, 4), -1, SMALL), of((3, 4), 1, np.zeros((0, 2), np.int64)), of((5,), 0, ints(4, 4, 0)),
                                     of((2, 3, 2), 1, np.zeros((2, 5, 1), np.int64)), of((), 0, ints(0, 0)), of((3,), 0, np.array(2)), Sample((INTS, 1, SMALL)),
                                     of((3, 4), 1, SMALL.astype(np.int32))], errors=BOUNDS))


def scattered_sum(dy, index, dim, shape, once=False):
    y = np.zeros(shape)
    key = list(np.indices(index.shape))
    key[dim] = index
    np.add.at(y, tuple(key), dy)
    return y


register(OpCase("gather_dx", scattered_sum, [of((2, 3), SMALL, 0, (3, 4)), of((2, 3), SMALL, 1, (2, 3)), of((3,), ints(0, 0, 0), 0, (2,)),
                                             of((2, 2), ints([0, 2], [1, 0]), 1, (2, 3), True)], torch=None))
register(OpCase("take_along_dim", lambda x, index, dim=None: np.take_along_axis(x, index, dim) if dim is not None else x.reshape(-1)[index.reshape(-1)], [
    of((3, 4), ints([0, 2, 1, 1]), dim=0), of((2, 3), ints([2], [0]), dim=1), of((2, 3), ints([5, 0]))],
    errors=[BadInput((MATRIX, ints(0)), {"dim": 0}, RuntimeError, "same number of dimensions"), BadInput((MATRIX, np.zeros(2)), {}, RuntimeError, "int64")]))


def scattered(x, dim, index, src=None, value=None, reduce=None, include_self=True):
    given = value if src is None else src
    y = np.atleast_1d(x).copy()
    index = np.atleast_1d(index)
    given = np.broadcast_to(given, index.shape) if np.ndim(given) == 0 else given
    combine = {None: lambda a, b: b, "add": np.add, "sum": np.add, "multiply": np.multiply, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum,
               "mean": np.add}[reduce]
    counts = np.full(y.shape, int(include_self))
    for place in np.ndindex(index.shape):
        target = list(place)
        target[dim] = index[place]
        target = tuple(target)
        fresh = not include_self and counts[target] == 0
        y[target] = given[place] if fresh else combine(y[target], given[place])
        counts[target] += 1
    return (y / np.maximum(counts, 1) if reduce == "mean" else y).reshape(x.shape)


def source(shape, dim, index, src):
    return Sample(lambda rng: (rng.standard_normal(shape), dim, index, rng.standard_normal(src)))


ONCE = ints([0, 1, 3], [2, 0, 1])
register(OpCase("scatter", scattered, [
    source((3, 4), 1, ONCE, (2, 3)), source((5,), 0, ints(4, 1), (2,)), of((3, 4), 1, SMALL, 1.5), source((), 0, ints(0), (1,)),
    of((3, 4), 0, SMALL, value=2.0), of((3, 4), 1, np.zeros((0, 2), np.int64), 1.0), of((3, 4), 1, SMALL, 2.0, reduce="add"),
    of((3, 4), 1, SMALL, 2.0, reduce="multiply")], torch=lambda x, dim, index, src=None, **o: (
        __import__("torch").scatter(x.detach() if "reduce" in o else x, dim, index, o.pop("value") if src is None else src, **o)),
    errors=[*[BadInput((*b.arguments, 1.0), {}, b.raises, b.match) for b in BOUNDS], BadInput((MATRIX, 0, SMALL, INTS), {}, RuntimeError, "dtype"),
            BadInput((MATRIX, 0, SMALL, 1.0), {"reduce": "sum"}, RuntimeError, "add or multiply"), BadInput((MATRIX, 0, SMALL), {}, TypeError, "src"),
            BadInput((MATRIX, 0, SMALL, np.zeros((1, 3))), {}, RuntimeError, "no larger than src")]))
register(OpCase("scatter", scattered, [source((3, 4), -1, ONCE, (3, 5))], variant="wide", torch=None))  # PyTorch's gradient fails
register(OpCase("scatter_add", lambda x, dim, index, src: scattered(x, dim, index, src, reduce="add"), [
    source((3, 4), 1, SMALL, (2, 3)), source((3, 4), 0, SMALL, (2, 3)), source((2,), 0, ints(1, 1, 1), (3,)), Sample((INTS, 1, SMALL, SMALL)),
    source((), 0, np.array(0), ())], errors=[BadInput((*b.arguments, np.zeros((5, 5))), {}, b.raises, b.match) for b in BOUNDS[:2]]))
for _reduce in ("sum", "prod", "mean", "amax", "amin"):
    for _self in (True, False):
        register(OpCase("scatter_reduce", lambda x, dim, index, src, reduce=_reduce, include_self=True: scattered(
            x, dim, index, src, reduce=reduce, include_self=include_self), [
                Sample(lambda rng: (distinct((3, 4))(rng)[0] + 0.02, 0, SMALL, *distinct((2, 3))(rng)), {"reduce": _reduce, "include_self": _self}),
                Sample(lambda rng: (distinct((3, 4))(rng)[0] + 0.02, 1, SMALL, *distinct((2, 3))(rng)), {"reduce": _reduce, "include_self": _self})],
            variant=f"{_reduce}{'' if _self else '-alone'}"))
register(OpCase("scatter_reduce", lambda x, dim, index, src, reduce: scattered(x, dim, index, src, reduce=reduce), [
    Sample((np.array([0.0, 2.0, 0.0]), 0, ints(0, 1, 1, 2), np.array([3.0, 0.0, 4.0, 0.0])), {"reduce": "prod"})], variant="zeros",
    errors=[BadInput((MATRIX, 0, SMALL, MATRIX), {"reduce": "max"}, RuntimeError, "amax")]))
register(OpCase("scatter_extreme", lambda x, src, index, dim, reduce, include_self: scattered(x, dim, index, src, reduce=reduce), [
    Sample(lambda rng: (distinct((3, 4))(rng)[0] + 0.02, *distinct((2, 3))(rng), SMALL), {"dim": 1, "reduce": "amax", "include_self": True})], torch=None))

# One index a slice

register(OpCase("index_select", lambda x, dim, index: x.take(np.atleast_1d(index), dim), [
    of((3, 4), 0, ints(2, 0, 2)), of((2, 3, 4), -1, ints(3)), of((3, 4), 1, ints()), of((3, 4), 0, np.array(1)), Sample((INTS, 0, ints(1))),
    Sample(lambda rng: (rng.standard_normal((3000, 64)), 0, rng.integers(0, 3000, 500)), big=True, dtypes=WIDE)],
    errors=[BadInput((MATRIX, 0, ints(3)), {}, IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
            BadInput((MATRIX, 0, ints(-1)), {}, IndexError, "index -1"), BadInput((MATRIX, 0, ints([0])), {}, IndexError, "vector"),
            BadInput((MATRIX, 0, np.zeros(1)), {}, RuntimeError, "int")]))


def sliced(function):
    def reference(x, dim, index, source, alpha=1):
        y = np.moveaxis(x.copy(), dim, 0)
        function(y, index, alpha * np.moveaxis(source, dim, 0) if np.ndim(source) else source)
        return np.moveaxis(y, 0, dim)
    return reference


def overwrite(y, index, values):
    y[index] = values


SLICE_ERRORS = [BadInput((MATRIX, 0, ints(3), np.zeros((1, 4))), {}, IndexError, "out of bounds"),
                BadInput((MATRIX, 0, ints(0), np.zeros((2, 4))), {}, RuntimeError, "source expects shape")]
register(OpCase("index_add", sliced(np.add.at), [
    Sample(lambda rng: (rng.standard_normal((3, 4)), 0, ints(2, 2), rng.standard_normal((2, 4)))),
    Sample(lambda rng: (rng.standard_normal((3, 4)), -1, ints(1, 0, 1), rng.standard_normal((3, 3))), {"alpha": 2.5})], errors=SLICE_ERRORS))
register(OpCase("index_copy", sliced(overwrite), [
    Sample(lambda rng: (rng.standard_normal((3, 4)), 1, ints(2, 0), rng.standard_normal((3, 2))))], errors=SLICE_ERRORS))
register(OpCase("index_fill", sliced(overwrite), [of((3, 4), 0, ints(2, 0), 1.5), of((3, 4), 1, ints(3), np.array(2.0)), Sample((INTS, 0, ints(1), 7))],
                errors=[BadInput((MATRIX, 0, ints(3), 1.0), {}, IndexError, "out of bounds")], constant=()))

# By mask, by flat position

HALF = np.arange(12).reshape(3, 4) % 2 == 0
register(OpCase("masked_select", lambda x, mask: np.broadcast_arrays(x, mask)[0][np.broadcast_arrays(x, mask)[1]], [
    of((3, 4), HALF), of((3, 1), HALF), of((3, 4), HALF[:, :1]), of((), np.array(True)), of((0, 2), np.zeros((0, 2), bool)), Sample((INTS, HALF))],
    errors=[BadInput((MATRIX, INTS), {}, RuntimeError, "BoolTensor"), BadInput((MATRIX, np.zeros(3, bool)), {}, RuntimeError, "size of tensor")]))


def mask_filled(x, mask, src):
    y = np.broadcast_to(x, np.broadcast_shapes(x.shape, mask.shape)).copy()
    mask = np.broadcast_to(mask, y.shape)
    y[mask] = src.reshape(-1)[:mask.sum()]
    return y


register(OpCase("masked_scatter", mask_filled, [
    Sample(lambda rng: (rng.standard_normal((3, 4)), HALF, rng.standard_normal((2, 4)))),
    Sample(lambda rng: (rng.standard_normal((3, 4)), np.array([[True], [False], [True]]), rng.standard_normal(9)))],
    errors=[BadInput((MATRIX, HALF, np.zeros(2)), {}, RuntimeError, "Number of elements")]))
register(OpCase("take", lambda x, index: x.reshape(-1)[index], [of((3, 4), ints([0, 11], [-1, 5])), of((), ints(0)), of((3,), np.zeros((0, 2), np.int64))],
                errors=[BadInput((MATRIX, ints(12)), {}, IndexError, "tried to access index 12")]))
register(OpCase("put", lambda x, index, src, accumulate=False: put(x.reshape(-1), src.reshape(-1), [index.reshape(-1)], accumulate).reshape(x.shape), [
    Sample(lambda rng: (rng.standard_normal((3, 4)), ints([0, 11]), rng.standard_normal((1, 2)))),
    Sample(lambda rng: (rng.standard_normal((3, 4)), ints(5, 5), rng.standard_normal(2)), {"accumulate": True})],
    errors=[BadInput((MATRIX, ints(12), np.zeros(1)), {}, IndexError, "index 12"), BadInput((MATRIX, ints(1), np.zeros(2)), {}, RuntimeError, "same number")],
    torch="Tensor.put"))

# Positions, counting and sets

register(OpCase("nonzero", np.argwhere, [Sample((INTS % 3,)), Sample((HALF,)), Sample((np.zeros((0, 2)),)), Sample((np.array(3),))], grad=False))
register(OpCase("nonzero", lambda x, as_tuple: np.nonzero(np.atleast_1d(x)), [Sample((INTS % 3,), {"as_tuple": True}), Sample((np.array(2),), {"as_tuple": True})],
                variant="tuple", grad=False))
register(OpCase("argwhere", np.argwhere, [Sample((INTS % 3,))], grad=False))
register(OpCase("where", lambda mask: np.nonzero(mask), [Sample((HALF,))], variant="positions", grad=False))
EDGES = np.array([1.0, 3.0, 3.0, 5.0])
register(OpCase("searchsorted", lambda edges, x, right=False, side="left", out_int32=False: (np.searchsorted(
    edges, x, "right" if right else side) if edges.ndim == 1 else np.stack([np.searchsorted(e, v) for e, v in zip(edges, x)])).astype(
        np.int32 if out_int32 else np.int64), [
        Sample((EDGES, np.array([[3.0, 0.0], [9.0, 1.0]]))), Sample((EDGES, np.array([3.0])), {"right": True}), Sample((EDGES, np.array(3.0)), {"side": "right"}),
        Sample((EDGES, np.array([3.0])), {"out_int32": True}), Sample((np.sort(INTS * 1.5), np.array([[2.0, 3], [7, 0], [99, 5]])))], grad=False,
    errors=[BadInput((MATRIX, np.zeros((2, 2))), {}, RuntimeError, "boundaries"), BadInput((EDGES, EDGES), {"right": True, "side": "left"}, RuntimeError, "opposites")]))
register(OpCase("bucketize", lambda x, edges, right=False: np.searchsorted(edges, x, "right" if right else "left"), [
    Sample((np.array([[3.0, 0.0]]), EDGES)), Sample((np.array([3.0]), EDGES), {"right": True})], grad=False,
    errors=[BadInput((EDGES, MATRIX), {}, RuntimeError, "1 dimension")]))
register(OpCase("bincount", lambda x, weights=None, minlength=0: np.bincount(x, weights, minlength), [
    Sample((ints(1, 1, 4),)), Sample((ints(1, 4),), {"minlength": 7}), Sample((ints(),)), Sample((ints(0, 2, 2), np.array([0.5, 1.0, 2.0])))], grad=False,
    errors=[BadInput((ints(-1),), {}, RuntimeError, "non-negative"), BadInput((ints(1), np.zeros(2)), {}, RuntimeError, "same length")], dtypes=("float64",)))
register(OpCase("histc", lambda x, bins=100, min=0, max=0: np.histogram(x, bins, (min, max) if min != max else (x.min(), x.max()))[0] * 1.0, [
    Sample(arrays_like((3, 7)), {"bins": 5}), Sample(arrays_like((20,)), {"bins": 4, "min": -1, "max": 1})], grad=False, dtypes=WIDE))
register(OpCase("isin", np.isin, [Sample((INTS, ints(1, 5))), Sample((ints(2, 3), ints(3)), {"invert": True}), Sample((EDGES, np.array([3.0])))], grad=False))
REPEATED = ints([3, 1, 3], [3, 1, 3], [2, 1, 1])


def unique(x, return_inverse=False, return_counts=False, dim=None, sorted=True):
    found = np.unique(x, return_inverse=True, return_counts=True, axis=dim)
    wanted = (True, return_inverse, return_counts)
    shaped = (found[0], found[1].reshape(x.shape if dim is None else -1), found[2])
    return tuple(a for a, w in zip(shaped, wanted) if w)


register(OpCase("unique", unique, [Sample((REPEATED,)), Sample((REPEATED,), {"return_inverse": True, "return_counts": True}), Sample((HALF,)),
                                   Sample((REPEATED,), {"dim": 0, "return_counts": True}), Sample((EDGES,), {"return_inverse": True}),
                                   Sample((np.zeros((0, 2)),))], grad=False))
register(OpCase("unique_consecutive", lambda x: np.array([k for i, k in enumerate(x) if i == 0 or x[i - 1] != k], np.int64), [
    Sample((ints(1, 1, 2, 1, 1),)), Sample((ints(),))], grad=False))
register(OpCase("unique_consecutive", lambda x, **_: (np.array([[3, 1, 3], [2, 1, 1]]), ints(0, 0, 1), ints(2, 1)), [
    Sample((REPEATED,), {"dim": 0, "return_inverse": True, "return_counts": True})], variant="rows", grad=False))

# Rows of a table

WORDS = ints([0, 2, 2], [1, 0, 2])


def rows(weight, index, padding_idx, by_frequency):
    return weight[index]


register(OpCase("embedding", rows, [of((3, 4), WORDS, None, False), of((3, 1), ints(), None, False)], torch=None))
register(OpCase("embedding_dw", lambda dy, index, shape, padding_idx, by_frequency: _table(dy, index, shape, padding_idx, by_frequency), [
    of((2, 3, 4), WORDS, (3, 4), None, False), of((2, 3, 4), WORDS, (3, 4), 2, True)], torch=None))


def _table(dy, index, shape, padding_idx, by_frequency):
    table = np.zeros(shape)
    np.add.at(table, index, dy)
    if by_frequency:
        table /= np.maximum(np.bincount(index.reshape(-1), minlength=shape[0]), 1)[:, None]
    if padding_idx is not None:
        table[padding_idx] = 0
    return table


register(OpCase("nn.functional.embedding", lambda index, weight, padding_idx=None, max_norm=None: weight[index], [
    Sample(lambda rng: (WORDS, rng.standard_normal((3, 4)))), Sample(lambda rng: (WORDS, rng.standard_normal((3, 64))), big=True, dtypes=WIDE),
    Sample(lambda rng: (rng.integers(0, 500, (20, 50)), rng.standard_normal((500, 96))), big=True, dtypes=WIDE)],
    errors=[BadInput((ints(3), MATRIX), {}, IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
            BadInput((ints(-1), MATRIX), {}, IndexError, "index -1"), BadInput((np.zeros(1), MATRIX), {}, RuntimeError, "int64")]))
register(OpCase("nn.functional.one_hot", lambda x, num_classes=-1: np.eye(x.max() + 1 if num_classes == -1 else num_classes, dtype=np.int64)[x], [
    Sample((WORDS,)), Sample((WORDS, 5)), Sample((ints(), 3))], grad=False,
    errors=[BadInput((WORDS, 2), {}, RuntimeError, "smaller than num_classes"), BadInput((ints(-1),), {}, RuntimeError, "non-negative"),
            BadInput((MATRIX,), {}, RuntimeError, "LongTensor")]))
