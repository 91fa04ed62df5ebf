"""Elements and slices picked and placed along one dimension: gather, scatter, index_select, index_add, ..."""
import numpy as np

from . import WIDE, BadInput, KernelCase, OpCase, Sample, distinct, register
from .index import at
from .shape import having

INTS = np.arange(12).reshape(3, 4)
MATRIX = np.zeros((3, 4))
SMALL = at([0, 2, 1], [1, 1, 0])  # for either dimension of a (3, 4)
ONCE = at([0, 1, 3], [2, 0, 1])  # names no place of a (3, 4) twice along dimension 1
EMPTY = np.zeros((0, 2), np.int64)


def _places(index, dim):
    """For each element of `index` its own place, and the place that it names."""
    for place in np.ndindex(index.shape):
        named = list(place)
        named[dim] = index[place]
        yield place, tuple(named)


# One index an element


def _gather(x, dim, index):
    wide, flat = np.atleast_1d(x), np.atleast_1d(index)
    y = np.zeros(flat.shape, x.dtype)
    for place, named in _places(flat, dim):
        y[place] = wide[named]
    return y.reshape(index.shape)


BOUNDS = [BadInput((MATRIX, 1, at([4])), {}, RuntimeError,
    "index 4 is out of bounds for dimension 1 with size 4"),
          BadInput((MATRIX, 1, at([-1])), {}, RuntimeError, "index -1 is out of bounds"),
          BadInput((MATRIX, 1, at(0)), {}, RuntimeError, "same number of dimensions"),
          BadInput((MATRIX, 1, np.array([[0.0]])), {}, RuntimeError, "Expected dtype int32/int64 for index"),
          BadInput((MATRIX, 2, at([0])), {}, IndexError, "Dimension out of range"),
          BadInput((MATRIX, 1, at([0], [0], [0], [0])), {}, RuntimeError,
              "Size does not match at dimension 0")]
register(OpCase("gather", _gather, [
    Sample(lambda rng: (rng.standard_normal((200, 100)), 1, rng.integers(0, 100, (200, 90))), big=True,
        dtypes=WIDE),
    Sample(having((3, 4), 0, SMALL)), Sample(having((3, 4), -1, SMALL)),
    Sample(having((3, 4), 1, at([3], [0], [3]))), Sample(having((3, 4), 1, EMPTY)),
    Sample(having((5,), 0, at(4, 4, 0))), Sample(having((2, 3, 2), 1, np.zeros((2, 5, 1), np.int64))),
    Sample(having((0, 2), 1, np.zeros((0, 1), np.int64))),
    Sample(having((), 0, at(0, 0))), Sample(having((3,), 0, np.array(2))),
    Sample(having((), -1, np.array(0))), Sample((INTS, 1, SMALL)),
    Sample(having((3, 4), 1, SMALL.astype(np.int32))),
    Sample(lambda rng: (rng.standard_normal((2, 3)) + 1j, 1, at([0, 0], [2, 1])), dtypes=WIDE)],
    errors=BOUNDS, kernels=("gather", "gather_dx")))


def _gather_dx(dy, index, dim, shape, once=False):
    y = np.zeros(shape, dy.dtype)
    for place, named in _places(index, dim):
        y[named] += dy[place]
    return y


register(OpCase("gather_dx", _gather_dx, [
    Sample(having((2, 3), SMALL, 0, (3, 4))), Sample(having((2, 3), SMALL, 1, (2, 3))),
    Sample(having((3,), at(0, 0, 0), 0, (2,))),
    Sample(having((2, 2), at([0, 2], [1, 0]), 1, (2, 3), True)),
    Sample(having((2, 2, 1), at([[1], [0]], [[1], [1]]), 1, (2, 2, 3))),
    Sample(having((0, 2), EMPTY, 0, (3, 4))),
    Sample(lambda rng: (rng.standard_normal(3) * 1j, at(1, 1, 0), 0, (2,)), dtypes=WIDE)]))
register(KernelCase("gather_dx", [lambda rng: ((np.array([3, 4, 5]), at(1, 1, 0), 0, (2,)), {})]))  # integers


def _take_along_dim(x, index, dim=None):
    if dim is None:
        return x.reshape(-1)[index.reshape(-1)]
    shape = list(np.broadcast_shapes(*([n for i, n in enumerate(a.shape) if i != dim % x.ndim]
        for a in (x, index))))
    wide = [np.broadcast_to(a, [*shape[:dim % x.ndim], a.shape[dim], *shape[dim % x.ndim:]])
        for a in (x, index)]
    return _gather(wide[0], dim, wide[1])


register(OpCase("take_along_dim", _take_along_dim, [
    Sample(having((3, 4), at([0, 2, 1, 1])), {"dim": 0}), Sample(having((2, 3), at([2], [0])), {"dim": 1}),
    Sample(having((1, 3), at([2], [0])), {"dim": -1}),
    Sample(having((3, 1), at([0, 2])), {"dim": 0}), Sample(having((2, 3), at([5, 0]))),
    Sample(having((2, 3), at(1))), Sample((INTS, at([1])), {"dim": 0})],
    errors=[BadInput((MATRIX, at(0)), {"dim": 0}, RuntimeError, "same number of dimensions"),
        BadInput((MATRIX, np.zeros(2)), {}, RuntimeError, "int64"),
            BadInput((MATRIX, at([0], [0])), {"dim": 1}, RuntimeError, "must match the size"),
            BadInput((MATRIX, at([0])), {"dim": 2}, IndexError, "Dimension")]))


def _scatter(x, dim, index, src=None, value=None, reduce=None, include_self=True):
    """One element after the other; `mean` divides at the end."""
    given = value if src is None else src
    wide, index = np.atleast_1d(x), np.atleast_1d(index)
    given = np.broadcast_to(given, index.shape) if np.ndim(given) == 0 else given
    combine = {None: lambda a, b: b, "add": np.add, "sum": np.add, "mean": np.add, "multiply": np.multiply,
        "prod": np.multiply,
               "amax": np.maximum, "amin": np.minimum}[reduce]
    y, counts = wide.copy(), np.full(wide.shape, int(include_self))
    for place, named in _places(index, dim):
        y[named] = given[place] if counts[named] == 0 else combine(y[named], given[place])
        counts[named] += 1
    if reduce == "mean":
        y = (y / np.maximum(counts, 1) if x.dtype.kind == "f" else y // np.maximum(counts, 1)).astype(x.dtype)
    return y.reshape(x.shape)


def scattering(shape, dim, index, src, **options):
    return Sample(lambda rng: (np.asarray(rng.standard_normal(shape)), dim, index,
        np.asarray(rng.standard_normal(src))), options)


NO_SRC = [BadInput((MATRIX, 0, SMALL, np.zeros((1, 3))), {}, RuntimeError, "no larger than src"),
          BadInput((MATRIX, 0, SMALL, INTS), {}, RuntimeError,
              "Expected self.dtype to be equal to src.dtype"),
          BadInput((MATRIX, 0, at([0]), np.zeros(())), {}, RuntimeError, "src")]
register(OpCase("scatter", _scatter, [
    scattering((3, 4), 1, ONCE, (2, 3)), scattering((5,), 0, at(4, 1), (2,)), scattering((), 0, at(0), (1,)),
    scattering((), -1, np.array(0), ()),
    Sample(having((3, 4), 1, SMALL, 1.5)), Sample(having((3, 4), 0, SMALL), {"value": 2.0}),
    Sample(having((3, 4), 1, EMPTY, 1.0)),
    Sample(having((), 0, np.array(0), 2.0)), Sample((INTS, -1, SMALL, 7)), Sample((INTS, 1, ONCE, ONCE)),
    Sample(having((3, 4), 1, ONCE.astype(np.int32), 1.0))],
    errors=[*(BadInput((*b.arguments, 1.0), {}, b.raises, b.match) for b in BOUNDS), *NO_SRC,
            BadInput((MATRIX, 0, SMALL, 1.0), {"reduce": "sum"}, RuntimeError, "add or multiply"),
            BadInput((MATRIX, 0, SMALL), {}, TypeError, "'src' or 'value'")]))
register(OpCase("scatter", _scatter, [scattering((3, 4), -1, ONCE, (3, 5))], variant="of a part of src",
    torch=None))  # PyTorch's gradient fails
register(OpCase("scatter", _scatter, [
    *(Sample(having((3, 4), 1, SMALL, 2.0), {"reduce": r}) for r in ("add", "multiply")),
    scattering((3, 4), 0, SMALL, (2, 3), reduce="add"),
    Sample((INTS, 1, SMALL, 3), {"reduce": "multiply"})], variant="combined",
    torch=None))  # PyTorch has no gradient there
register(OpCase("scatter_add", lambda x, dim, index, src: _scatter(x, dim, index, src, reduce="add"), [
    scattering((3, 4), 1, SMALL, (2, 3)), scattering((3, 4), 0, SMALL, (2, 3)),
    scattering((2,), 0, at(1, 1, 1), (3,)), scattering((), 0, np.array(0), ()),
    scattering((3, 4), -1, EMPTY, (0, 2)), Sample((INTS, 1, SMALL, SMALL)),
    scattering((0, 2), 0, EMPTY, (0, 2))],
    errors=[*(BadInput((*b.arguments, np.zeros((5, 5))), {}, b.raises, b.match) for b in BOUNDS), *NO_SRC,
            BadInput((MATRIX, 0, SMALL, 2.0), {}, TypeError, "must be Tensor, not float")]))
register(OpCase("scatter_add", lambda x, dim, index, src: _scatter(x, dim, index, src, reduce="add"),
    [scattering((3, 4), 0, SMALL, (3, 5))],
                variant="of a part of src", torch=None))
for reduce in ("sum", "prod", "mean", "amax", "amin"):
    for include_self in (True, False):
        options = {"reduce": reduce, "include_self": include_self}
        register(OpCase("scatter_reduce", _scatter, [
            *(Sample(lambda rng, dim=dim: (distinct((3, 4))(rng)[0] + 0.02, dim, SMALL,
                *distinct((2, 3))(rng)), options) for dim in (0, 1)),
            Sample(having((3, 4), 1, EMPTY, np.zeros((0, 2))), options),
            Sample(lambda rng: (np.array(1.5), 0, np.array(0), np.array(-0.5)), options),
            Sample((np.array([7, 2, 9]), 0, at(0, 0, 2), np.array([-3, 4, 5])), options)],
            variant=reduce if include_self else f"{reduce} without self",
            errors=[] if reduce != "prod" else [
                *(BadInput((*b.arguments, np.zeros((5, 5)), "prod"), {}, b.raises, b.match)
                    for b in BOUNDS[:3]),
                *(BadInput((*b.arguments, "amax"), {}, b.raises, b.match) for b in NO_SRC),
                BadInput((MATRIX, 0, SMALL, MATRIX, "max"), {}, RuntimeError,
                    "sum, prod, mean, amax or amin")]))
register(OpCase("scatter_reduce", _scatter, [
    Sample((np.array([0.0, 2.0, 0.0, -1.0]), 0, at(0, 1, 1, 2, 3), np.array([3.0, 0.0, 4.0, 0.0, -2.0])),
        {"reduce": "prod"}),
    Sample((np.array([5.0, 6.0]), 0, at(0, 0, 0), np.array([0.0, -3.0, 2.0])),
        {"reduce": "prod", "include_self": False})], variant="zeros"))
register(OpCase("scatter_extreme", lambda x, src, index, dim, reduce,
    include_self: _scatter(x, dim, index, src, None, reduce, include_self), [
    Sample(lambda rng: (distinct((3, 4))(rng)[0] + 0.02, *distinct((2, 3))(rng), SMALL),
        {"dim": 1, "reduce": "amax", "include_self": True})]))

# One index a slice


def _slices(x, dim):
    """`x`, as a vector if a scalar, with `dim` in front: a view."""
    return np.moveaxis(x if x.ndim else x.reshape(1), dim, 0)


def _slice_by_slice(change, one_value=False):
    """`change(y, i, part, alpha)` for each index i and its slice of the source, or all of the source."""
    def reference(x, dim, index, source, alpha=1):
        y = x.copy()
        for number, i in enumerate(np.atleast_1d(index)):
            change(_slices(y, dim), i, source if one_value else _slices(source, dim)[number], alpha)
        return y
    return reference


def _adding(y, i, part, alpha):
    y[i] += np.asarray(alpha * part).astype(y.dtype)


def _copying(y, i, part, _):
    y[i] = part


NOT_SLICES = [BadInput((MATRIX, 0, at(3), 1), {}, IndexError,
    "index 3 is out of bounds for dimension 0 with size 3"),
              BadInput((MATRIX, 0, at([0]), 1), {}, IndexError, "Index is supposed to be a vector"),
              BadInput((MATRIX, 0, np.zeros(1), 1), {}, RuntimeError,
                  "Expected dtype int32 or int64 for index"),
              BadInput((MATRIX, 2, at(0), 1), {}, IndexError, "Dimension out of range")]
NOT_SOURCES = [*(BadInput((*b.arguments[:3], np.zeros((1, 4))), {}, b.raises, b.match) for b in NOT_SLICES),
               BadInput((MATRIX, 0, at(-1), np.zeros((1, 4))), {}, IndexError, "index -1 is out of bounds"),
               BadInput((MATRIX, 0, at(0), np.zeros((2, 4))), {}, RuntimeError,
                   r"source expects shape \[1, 4\].* got \[2, 4\]"),
               BadInput((MATRIX, 0, at(0), np.zeros(4)), {}, RuntimeError, r"source expects shape \[1, 4\]"),
               BadInput((MATRIX, 0, at(0), INTS[:1]), {}, RuntimeError, "expected to have the same dtype")]


def _index_select(x, dim, index):
    picked = [_slices(x, dim)[i] for i in np.atleast_1d(index)]
    y = np.array(picked, x.dtype).reshape(len(picked), *_slices(x, dim).shape[1:])
    return np.moveaxis(y, 0, dim) if x.ndim else y.reshape(())


register(OpCase("index_select", _index_select, [
    Sample(having((3, 4), 0, at(2, 0, 2))), Sample(having((2, 3, 4), -1, at(3))),
    Sample(having((3, 4), 1, at())), Sample(having((3, 4), 0, np.array(1))),
    Sample(having((), 0, at(0))), Sample(having((0, 2), 1, at(1, 0, 1))), Sample((INTS, 0, at(1, 1))),
    Sample(having((3,), 0, at(2).astype(np.int32))),
    Sample(lambda rng: (rng.standard_normal((300, 64)), 0, rng.integers(0, 300, 500)), big=True,
        dtypes=WIDE)],
    errors=[*(BadInput(b.arguments[:3], {}, b.raises, b.match) for b in NOT_SLICES),
        BadInput((MATRIX, 0, at(-1)), {}, IndexError, "index -1"),
            BadInput((np.zeros(()), 0, at(0, 0)), {}, RuntimeError, "scalar can have only 1 value, got 2")],
            kernels=("index_dx", "add_rows")))


def sliced(shape, dim, index, source, **options):
    return Sample(lambda rng: (np.asarray(rng.standard_normal(shape)), dim, index,
        np.asarray(rng.standard_normal(source))), options)


register(OpCase("index_add", _slice_by_slice(_adding), [
    sliced((3, 4), 0, at(2, 2), (2, 4)), sliced((3, 4), -1, at(1, 0, 1), (3, 3), alpha=2.5),
    sliced((3, 4), 1, at(), (3, 0)), sliced((2, 3), 0, np.array(1), (1, 3)),
    sliced((), 0, at(0), ()), sliced((2, 0), 0, at(1), (1, 0)),
    Sample((INTS, 0, at(1, 1), INTS[:2]), {"alpha": 2})], errors=NOT_SOURCES))
register(OpCase("index_copy", _slice_by_slice(_copying), [
    sliced((3, 4), 1, at(2, 0), (3, 2)), sliced((3, 4), 0, at(1), (1, 4)),
    sliced((3, 4), -2, np.array(2), (1, 4)), sliced((3,), 0, at(), (0,)),
    sliced((), 0, at(0), ()), Sample((INTS, 0, at(2, 1), INTS[:2]))], errors=NOT_SOURCES))
register(OpCase("index_fill", _slice_by_slice(_copying, one_value=True), [
    Sample(having((3, 4), 0, at(2, 0), 1.5)), Sample(having((3, 4), 1, at(3, -3), -2)),
    Sample(having((3, 4), -1, at(1, 1), np.array(2.0))),
    Sample(having((3, 4), 0, np.array(1), 0.5)), Sample(having((3,), 0, at(), 1.0)),
    Sample(having((), 0, at(0), 2.5)), Sample((INTS, 0, at(1), 7))],
    errors=[*NOT_SLICES, BadInput((MATRIX, 0, at(-4), 1.0), {}, IndexError, "index -4"),
            BadInput((MATRIX, 0, at(0), np.zeros(1)), {}, RuntimeError, "0-dimensional value")]))
