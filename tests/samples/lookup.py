"""Elements by mask or by flat position, positions by value, counting and sets, rows of a table."""
import builtins
import itertools

import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register
from .index import at
from .shape import having

INTS = np.arange(12).reshape(3, 4)
MATRIX = np.zeros((3, 4))
HALF = INTS % 2 == 0
EDGES = np.array([1.0, 3.0, 3.0, 5.0])
HOLES = np.array([np.nan, 1.0, np.nan, 0.0, -0.0])
EMPTY = np.zeros(0, np.int64)


def functional(name):
    """The function of that name in minitorch.nn.functional."""
    def call(*args, **options):
        from minitorch.nn import functional

        return getattr(functional, name)(*args, **options)
    return call


# By mask


def _masked_select(x, mask):
    x, mask = np.broadcast_arrays(x, mask)
    return np.array([v for v, m in zip(x.reshape(-1), mask.reshape(-1)) if m], x.dtype)


register(OpCase("masked_select", _masked_select, [
    Sample(having((3, 4), HALF)), Sample(having((3, 1), HALF)), Sample(having((3, 4), HALF[:, :1])),
    Sample(having((4,), HALF[:1])),
    Sample(having((), np.array(True))), Sample(having((), np.array([True, False, True]))),
    Sample(having((3, 4), np.zeros((3, 4), bool))),
    Sample(having((0, 2), np.zeros((0, 2), bool))), Sample((INTS, HALF)), Sample((HALF, HALF))],
    errors=[BadInput((MATRIX, INTS), {}, RuntimeError, "expected BoolTensor for mask"),
            BadInput((MATRIX, np.zeros(3, bool)), {}, RuntimeError, "must match the size")]))


def _masked_scatter(x, mask, source):
    x, mask = np.broadcast_arrays(x, mask)
    rest = iter(source.reshape(-1))
    return np.array([next(rest) if m else v for v, m in zip(x.reshape(-1), mask.reshape(-1))],
        x.dtype).reshape(x.shape)


def masked(shape, mask, source):
    return Sample(lambda rng: (np.asarray(rng.standard_normal(shape)), mask,
        np.asarray(rng.standard_normal(source))))


register(OpCase("masked_scatter", _masked_scatter, [
    masked((3, 4), HALF, (2, 4)), masked((3, 4), np.array([[True], [False], [True]]), (9,)),
    masked((4,), HALF, (2, 3)),
    masked((), np.array(True), (1,)), masked((3,), np.zeros(3, bool), (0,)),
    masked((0, 2), np.zeros((0, 2), bool), (3,)), Sample((INTS, HALF, INTS + 20))],
    errors=[BadInput((MATRIX, HALF, np.zeros(2)), {}, RuntimeError,
        r"Number of elements of source \(2\) < number of ones in mask"),
            BadInput((MATRIX, INTS, MATRIX), {}, RuntimeError, "BoolTensor"),
            BadInput((MATRIX, HALF, INTS), {}, RuntimeError, "same dtypes")]))

# By position in the flattened tensor


def _put(x, index, source, accumulate=False):
    y = x.reshape(-1).copy()
    for i, v in zip(index.reshape(-1), source.reshape(-1)):
        y[i] = y[i] + v if accumulate else v
    return y.reshape(x.shape)


OUTSIDE = "out of range: tried to access index {} on a tensor of 12 elements"
register(OpCase("take", lambda x, index: np.array([x.reshape(-1)[i] for i in index.reshape(-1)],
    x.dtype).reshape(index.shape), [
    Sample(having((3, 4), at([0, 11], [-1, 0]))), Sample(having((3, 4), np.array(-12))),
    Sample(having((), at(0, -1, 0))),
    Sample(having((3,), np.zeros((0, 2), np.int64))), Sample(having((0,), EMPTY)), Sample((INTS, at(7)))],
    errors=[BadInput((MATRIX, at(0, 12)), {}, IndexError, OUTSIDE.format(12)),
        BadInput((MATRIX, at(-13)), {}, IndexError, OUTSIDE.format(-13)),
            BadInput((np.zeros(0), at(0)), {}, IndexError, "take"),
            BadInput((MATRIX, np.zeros(2)), {}, RuntimeError, "Expected a long tensor"),
            BadInput((MATRIX, at(0).astype(np.int32)), {}, RuntimeError, "Expected a long tensor")]))
register(OpCase("put", _put, [
    *(Sample(lambda rng, i=i, s=s: (rng.standard_normal((3, 4)), i, np.asarray(rng.standard_normal(s))),
        {"accumulate": a})
      for i, s, a in ((at([0, -1]), (2, 1), False), (at(5, -7, 5), (3,), True), (np.array(3), (), False),
          (EMPTY, (0,), False))),
    Sample(lambda rng: (np.asarray(rng.standard_normal()), at(0), rng.standard_normal(1))),
    Sample((INTS, at(0, 0), at(5, 6)), {"accumulate": True})],
    torch="Tensor.put", errors=[
        BadInput((MATRIX, at(12), np.zeros(1)), {}, IndexError, OUTSIDE.format(12)),
        BadInput((MATRIX, at(1), np.zeros(2)), {}, IndexError, "same number of elements"),
        BadInput((MATRIX, at(1), at(2)), {}, RuntimeError, "same dtype"),
        BadInput((MATRIX, np.zeros(1), np.zeros(1)), {}, RuntimeError, "long tensor")]))

# Positions


def _nonzero(x):
    places = [place for place in np.ndindex(x.shape) if x[place] != 0]
    return np.array(places, np.int64).reshape(len(places), x.ndim)


for name in ("nonzero", "argwhere"):
    register(OpCase(name, _nonzero,
        [Sample((x,)) for x in (INTS % 3, HALF, np.zeros((0, 2)), np.array(3), np.array(0.0), HOLES)],
        grad=False))
register(OpCase("nonzero", lambda x, as_tuple: list(_nonzero(np.atleast_1d(x)).T), [
    Sample((x,), {"as_tuple": True}) for x in (INTS % 3, np.array(2), np.zeros((2, 0)))],
    variant="as a tuple", grad=False))
register(OpCase("where", lambda mask: list(_nonzero(np.atleast_1d(mask)).T),
    [Sample((HALF,)), Sample((INTS % 3,))], variant="positions", grad=False))


def _searchsorted(edges, values, right=False, side=None, out_int32=False, sorter=None):
    """How many edges lie before each value."""
    edges = edges if sorter is None else np.take_along_axis(edges, sorter, -1)
    y = np.zeros(np.shape(values), np.int32 if out_int32 else np.int64)
    for place in np.ndindex(y.shape):
        row = edges if edges.ndim == 1 else edges[place[:-1]]
        v = np.asarray(values)[place]
        y[place] = sum(not (v <= e if right is False and side != "right" else v < e) for e in row)
    return y


ROWS = np.array([[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]])
register(OpCase("searchsorted", _searchsorted, [
    Sample((EDGES, np.array([[3.0, 0.0], [9.0, 5.0]]))), Sample((EDGES, EDGES), {"right": True}),
    Sample((EDGES, np.array(3.0)), {"side": "right"}),
    Sample((EDGES, EDGES), {"side": "left"}), Sample((EDGES, 3.0)),
    Sample((EDGES, np.array([3.0, np.inf, -np.inf])), {"out_int32": True}),
    Sample((ROWS, np.array([[2.0, 3.0, 9.0, 1.0], [6.0, 7.0, 0.0, 2.0]]))), Sample((ROWS, np.zeros((2, 0)))),
    Sample((np.zeros(0), EDGES)),
    Sample((np.array([5.0, 1.0, 3.0]), EDGES), {"sorter": at(1, 2, 0)}), Sample((at(1, 3), at(0, 1, 2, 4))),
    Sample((ROWS, ROWS), {"right": True})],
    grad=False, errors=[
        BadInput((MATRIX, np.zeros((2, 2))), {}, RuntimeError,
            "first N-1 dimensions of boundaries tensor and input value tensor must match"),
        BadInput((EDGES, EDGES), {"right": True, "side": "left"}, RuntimeError, "opposites"),
        BadInput((EDGES, EDGES), {"side": "up"}, RuntimeError,
            "side can only be 'left' or 'right' but got up"),
        BadInput((np.zeros(()), EDGES), {}, RuntimeError, "positive dimension")]))
register(OpCase("bucketize", lambda x, edges, **options: _searchsorted(edges, x, **options), [
    Sample((np.array([[3.0, 0.0]]), EDGES)), Sample((EDGES, EDGES), {"right": True}), Sample((3.5, EDGES)),
    Sample((at(0, 4), at(1, 4)), {"out_int32": True})],
    grad=False, errors=[BadInput((EDGES, MATRIX), {}, RuntimeError, "must be 1 dimension, but got dim")]))

# Counting and sets


def _bincount(x, weights=None, minlength=0):
    y = np.zeros(max(max(x.tolist(), default=-1) + 1, minlength), np.int64 if weights is None else np.float64)
    for i, number in enumerate(x):
        y[number] += 1 if weights is None else weights[i]
    return y


register(OpCase("bincount", _bincount, [
    Sample((at(1, 1, 4),)), Sample((at(1, 4),), {"minlength": 7}), Sample((at(1, 4), None, 2)),
    Sample((EMPTY,)), Sample((EMPTY,), {"minlength": 2}),
    Sample((at(0, 2, 2), np.array([0.5, 1.0, 2.0]))), Sample((at(0, 2, 2).astype(np.uint8),))], grad=False,
    dtypes=WIDE,
    errors=[BadInput((at(-1),), {}, RuntimeError, "1-d non-negative integral inputs"),
        BadInput((INTS,), {}, RuntimeError, "1-d non-negative"),
            BadInput((np.zeros(2),), {}, RuntimeError, "bincount"),
            BadInput((at(1), np.zeros(2)), {}, RuntimeError, "same length as input"),
            BadInput((at(1), None, -1), {}, RuntimeError, "minlength should be >= 0")]))
register(OpCase("bincount", lambda x, weights: _bincount(x, weights), [Sample((at(0, 2, 2), at(1, 2, 3)))],
    variant="integer weights",
                grad=False, dtypes=("float64",), result="float64"))


def _histc(x, bins=100, min=0, max=0):
    low, high = (min, max) if min != max else (x.min(initial=np.inf),
        x.max(initial=-np.inf)) if x.size else (0, 0)
    low, high = (low - 1, high + 1) if low == high else (low, high)
    y = np.zeros(bins)
    for v in x.reshape(-1):
        if low <= v <= high:
            y[bins - 1 if v == high else int((v - low) / (high - low) * bins)] += 1
    return y


register(OpCase("histc", _histc, [
    Sample(arrays_like((3, 7)), {"bins": 5}), Sample(arrays_like((20,)), {"bins": 4, "min": -1, "max": 1}),
    Sample((np.array([1.0, 2.0, 9.0]), 2, 0, 3)),
    Sample((np.ones(3), 4)), Sample((np.zeros(0), 3)), Sample((np.array([0.0, 1.0, 3.0]), 3, 0, 3)),
    Sample((np.array([np.nan, 1.0]), 3, 0, 3))],
    grad=False, dtypes=WIDE, errors=[
        BadInput((EDGES, 0), {}, RuntimeError, "bins must be > 0"),
        BadInput((EDGES, 3, 2, 1), {}, RuntimeError, "max larger than min"),
        BadInput((np.array([1.0, np.inf]), 3), {}, RuntimeError, "finite"),
        BadInput((INTS, 3), {}, NotImplementedError, "not implemented")]))
register(OpCase("isin", lambda x, among, invert=False, assume_unique=False: np.array(
    [(v in np.asarray(among).reshape(-1).tolist()) != invert
        for v in np.asarray(x).reshape(-1).tolist()]).reshape(np.shape(x)).astype(bool), [
    Sample((INTS, at(1, 5))), Sample((at(2, 3), at(3)), {"invert": True}),
    Sample((EDGES, np.array([[3.0], [7.0]]))), Sample((INTS, 3)), Sample((3, INTS)),
    Sample((at(1, 2), EMPTY)), Sample((at(1, 2), at(2, 4)), {"assume_unique": True})], grad=False))


def _unique(x, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The different slices, in the order of their elements; each NaN differs from everything."""
    slices = [s.tolist() for s in (x.reshape(-1) if dim is None else np.moveaxis(x, dim, 0))]
    ordered = builtins.sorted(slices, key=lambda s: [(np.isnan(v), v) for v in np.ravel(s)])
    kept = [s for i, s in enumerate(ordered) if i == 0 or s != ordered[i - 1]]
    return _answer(x, slices, kept, dim, [kept.index(s) for s in slices] if return_inverse else None,
                   [slices.count(s) if s == s else 1 for s in kept] if return_counts else None)


def _unique_consecutive(x, return_inverse=False, return_counts=False, dim=None):
    slices = [s.tolist() for s in (x.reshape(-1) if dim is None else np.moveaxis(x, dim, 0))]
    kept, inverse, counts = [], [], []
    for i, s in enumerate(slices):
        if i == 0 or s != slices[i - 1]:
            kept.append(s)
            counts.append(0)
        counts[-1] += 1
        inverse.append(len(kept) - 1)
    return _answer(x, slices, kept, dim, inverse if return_inverse else None,
        counts if return_counts else None)


def _answer(x, slices, kept, dim, inverse, counts):
    values = np.array(kept, x.dtype).reshape(-1) if dim is None else np.moveaxis(
        np.array(kept, x.dtype).reshape(len(kept), *np.moveaxis(x, dim, 0).shape[1:]), 0, dim)
    rest = [] if inverse is None else [np.array(inverse, np.int64).reshape(x.shape if dim is None else -1)]
    return [values, *rest, *([] if counts is None else [np.array(counts, np.int64)])]


REPEATED = at([3, 1, 3], [3, 1, 3], [2, 1, 1])
ALL = {"return_inverse": True, "return_counts": True}
SETS = [Sample((REPEATED,)), Sample((REPEATED,), ALL), Sample((REPEATED,), {"dim": 0, **ALL}),
    Sample((REPEATED,), {"dim": -1, **ALL}),
        Sample((REPEATED,), {"return_counts": True}), Sample((HALF,), {"return_inverse": True}),
        Sample((EDGES,), ALL), Sample((EMPTY,), ALL), Sample((np.array(3.0),), ALL),
        Sample((np.zeros((0, 2)),)), Sample((np.zeros((0, 2)),), {"dim": 0}),
        Sample((np.array([np.nan, 1.0, np.nan]),), {"return_counts": True}),
        Sample((np.array([[2.0, 1.0], [-1.0, 5.0], [2.0, 1.0]]),), {"dim": 0})]
BAD_DIM = BadInput((MATRIX,), {"dim": 2}, IndexError, "Dimension out of range")
register(OpCase("unique", _unique, SETS, grad=False, errors=[
    BAD_DIM, BadInput((np.zeros((0, 2)),), {"dim": 1}, RuntimeError, "0 sized dimensions")]))
register(OpCase("unique_consecutive", _unique_consecutive, [*SETS, Sample((at(1, 1, 2, 1, 1),), ALL)],
    grad=False, errors=[BAD_DIM]))

# Rows of a table

WORDS = at([0, 2, 2], [1, 0, 2])
TABLE = np.array([[0.5, -1.0], [2.0, 0.25], [0.0, 0.0]])  # whose last row is the padding


def _table(padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False):
    """The reference's rows for these options, in which the derivative is the one that is promised."""
    def rows(index, weight):
        y = weight[index]
        if max_norm is not None:
            size = (np.abs(y) ** norm_type).sum(-1, keepdims=True) ** (1 / norm_type)
            y = np.where(size > max_norm, y * (max_norm / (size + 1e-7)), y)
        if scale_grad_by_freq:
            y = TABLE[index] + (y - TABLE[index]) / np.array([(index == i).sum()
                for i in index.reshape(-1)]).reshape(*index.shape, 1)
        return y if padding_idx is None else np.where((index == padding_idx % len(weight))[..., None], 0.0, y)
    return rows


register(OpCase("embedding", lambda index, weight: weight[index], [
    Sample(lambda rng: (WORDS, rng.standard_normal((3, 4)))),
    Sample(lambda rng: (np.array(1), rng.standard_normal((3, 1)))),
    Sample(lambda rng: (EMPTY, rng.standard_normal((3, 2)))),
    Sample(lambda rng: (WORDS.astype(np.int32), rng.standard_normal((3, 2)))),
    Sample(lambda rng: (rng.integers(0, 500, (20, 50)), rng.standard_normal((500, 96))), big=True,
        dtypes=WIDE)],
    call=functional("embedding"), torch="nn.functional.embedding", kernels=("embedding_dw", "add_rows"),
    errors=[
        BadInput((at(3), MATRIX), {}, IndexError, "index 3 is out of bounds for dimension 0 with size 3"),
        BadInput((at(-1), MATRIX), {}, IndexError, "index -1"),
        BadInput((np.zeros(1), MATRIX), {}, RuntimeError, "int64 or int32 indices"),
        BadInput((at(0), np.zeros(3)), {}, RuntimeError, "matrix"),
        BadInput((at(0), MATRIX, 3), {}, IndexError, "padding_idx must be within"),
        BadInput((at(0), MATRIX, -4), {}, IndexError, "padding_idx must be within")]))
for options in ({"padding_idx": 2}, {"padding_idx": -1}, {"scale_grad_by_freq": True},
    {"padding_idx": 2, "scale_grad_by_freq": True}):
    register(OpCase("embedding", lambda index, weight, o=options, **_: _table(**o)(index, weight),
        [Sample((WORDS, TABLE), options)],
                    variant=str(options), call=functional("embedding"), torch="nn.functional.embedding"))
for options in ({"max_norm": 1.0}, {"max_norm": 1.5,
    "norm_type": 1.0}):  # changes the table itself, here a copy
    register(OpCase("embedding", lambda index, weight, o=options, **_: _table(**o)(index, weight), [
        Sample(lambda rng: (at(0, 2, 0), rng.standard_normal((3, 4))), options)], variant=str(options),
        grad=False,
        call=lambda index, weight, **o: functional("embedding")(index, weight.clone(), **o)))


def _embedding_dw(dy, index, shape, padding_idx, by_frequency):
    y = np.zeros(shape)
    for place, row in np.ndenumerate(index):
        if row != padding_idx:
            y[row] += dy[place] / ((index == row).sum() if by_frequency else 1)
    return y


register(OpCase("embedding_dw", _embedding_dw, [
    Sample(having((2, 3, 4), WORDS, (3, 4), None, False)), Sample(having((2, 3, 4), WORDS, (4, 4), 2, True)),
    Sample(having((0, 4), EMPTY, (3, 4), None, False)),
    Sample(having((2, 3, 1), WORDS, (3, 1), 0, False)),
    Sample(having((4,), np.array(1), (3, 4), None, True))]))


def _bags(index, weight, offsets=None, mode="mean", per_sample_weights=None, include_last_offset=False,
    padding_idx=None):
    if offsets is None:
        bags = [range(i * index.shape[1], (i + 1) * index.shape[1]) for i in range(len(index))]
    else:
        stops = [*offsets, *([] if include_last_offset else [len(index)])]
        bags = [range(a, b) for a, b in itertools.pairwise(stops)]
    index, y = index.reshape(-1), np.zeros((len(bags), weight.shape[1]))
    scale = np.ones(len(index)) if per_sample_weights is None else per_sample_weights.reshape(-1)
    for row, bag in zip(y, bags):
        members = [scale[i] * weight[index[i]] for i in bag if padding_idx is None
            or index[i] != padding_idx % len(weight)]
        if members:
            row[:] = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](members, axis=0)
    return y


def bag(index, table, offsets=None, **options):
    return Sample(lambda rng: (index, rng.standard_normal(table), *(() if offsets is None else (offsets,))),
        options)


FLAT = at(0, 2, 2, 1, 0)
for mode in ("sum", "mean", "max"):
    register(OpCase("nn.functional.embedding_bag", _bags, [
        bag(WORDS, (3, 4), mode=mode), bag(FLAT, (3, 4), at(0, 2), mode=mode),
        bag(FLAT, (3, 1), at(0, 0, 4, 5), mode=mode),
        bag(FLAT, (3, 4), at(0, 3, 5), mode=mode, include_last_offset=True),
        bag(EMPTY, (3, 2), at(0, 0), mode=mode),
        bag(WORDS, (3, 4), mode=mode, padding_idx=2),
        bag(FLAT, (3, 4), at(0, 1, 3), mode=mode, padding_idx=-1)], variant=mode,
        tol={"float16": 2e-2}))  # means are rounded twice
register(OpCase("nn.functional.embedding_bag", _bags, [
    Sample(lambda rng: (WORDS, rng.standard_normal((3, 4))),
        {"mode": "sum", "per_sample_weights": lambda rng: rng.standard_normal((2, 3))}),
    Sample(lambda rng: (FLAT, rng.standard_normal((3, 4)), at(0, 2)),
        {"mode": "sum", "padding_idx": 0, "per_sample_weights": lambda rng: rng.standard_normal(5)})],
    variant="weighted", errors=[
        BadInput((FLAT, MATRIX), {}, ValueError, "1D offsets"),
        BadInput((WORDS, MATRIX, at(0)), {}, ValueError, "offsets has to be None"),
        BadInput((FLAT, MATRIX, at(1, 2)), {}, RuntimeError, r"offsets\[0\] has to be 0"),
        BadInput((FLAT, MATRIX, at(0, 6)), {}, RuntimeError, "input's length 5"),
        BadInput((FLAT, MATRIX, at(0, 3, 2)), {}, RuntimeError, "not decrease"),
        BadInput((WORDS, MATRIX), {"mode": "prod"}, ValueError, "sum, mean or max"),
        BadInput((WORDS + 1, MATRIX), {}, RuntimeError, "index 3 is out of bounds", named=False),
        BadInput((np.zeros((1, 2)), MATRIX), {}, RuntimeError, "Long or Int"),
        BadInput((WORDS, np.zeros(3)), {}, RuntimeError, "2-D"),
        BadInput((WORDS, MATRIX), {"per_sample_weights": np.zeros((2, 3))}, NotImplementedError,
            "only supported for mode='sum'")]))


def _one_hot(x, num_classes=-1):
    y = np.zeros((*x.shape, int(x.max()) + 1 if num_classes == -1 else num_classes), np.int64)
    for place, number in np.ndenumerate(x):
        y[(*place, number)] = 1
    return y


register(OpCase("nn.functional.one_hot", _one_hot,
    [Sample((WORDS,)), Sample((WORDS, 5)), Sample((EMPTY, 3)), Sample((np.array(1), 2))], grad=False,
                errors=[BadInput((WORDS, 2), {}, RuntimeError, "smaller than num_classes"),
                    BadInput((at(-1),), {}, RuntimeError, "non-negative"),
                        BadInput((MATRIX,), {}, RuntimeError, "index tensor of type LongTensor"),
                        BadInput((EMPTY,), {}, RuntimeError, "Can not infer"),
                        BadInput((at(0), 0), {}, RuntimeError, "num_classes")]))
