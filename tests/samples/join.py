"""Tensors joined along a dimension, and cut along one."""
import itertools

import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register

INTS = np.arange(6).reshape(2, 3)
BOOLS = INTS % 2 == 0
MATRIX = np.zeros((2, 3))
SCALAR = np.zeros(())


def listed(*shapes, **options):
    """A sample of one list of arrays."""
    return Sample(lambda rng: ([np.asarray(rng.standard_normal(s)) for s in shapes],), options)


def cutting(shape, *args, **options):
    """A sample of one array and how to cut it."""
    return Sample(lambda rng: (rng.standard_normal(shape), *args), options)


# Joined


def _cat(tensors, dim=0, axis=None):
    """Part by part, without the empty vectors that stand among arrays of more dimensions."""
    parts = [x for x in tensors if x.shape != (0,)] or tensors[:1]
    dim = dim if axis is None else axis
    y = np.zeros([sum(x.shape[i] for x in parts) if i == dim % parts[0].ndim else n for i,
        n in enumerate(parts[0].shape)],
                 np.result_type(*tensors))
    rows, end = np.moveaxis(y, dim, 0), 0
    for x in parts:
        rows[end:end + x.shape[dim]] = np.moveaxis(x, dim, 0)
        end += x.shape[dim]
    return y


CAT = [listed((2, 3), (1, 3)), listed((2, 3), (2, 0), (2, 1), dim=-1), listed((2, 1, 3), (2, 2, 3), dim=1),
    listed((3,), (0,), (1,)),
       listed((2, 3), (0,), dim=1), listed((0,), (2, 3)), listed((0,), (0,)), listed((0, 3), (0, 3)),
       listed((2,)),
       Sample(lambda rng: ((rng.standard_normal(2), rng.standard_normal(1)),)),
       Sample(([INTS, INTS],), {"dim": 1})]
register(OpCase("cat", _cat, [*CAT, listed((2, 2), (2, 1), axis=1), Sample(
    lambda rng: ([rng.standard_normal((300, 400)), rng.standard_normal((2, 400))],), big=True, dtypes=WIDE)],
    errors=[
    BadInput(([MATRIX, np.zeros((2, 2))],), {}, RuntimeError,
        "Sizes of tensors must match except in dimension 0"),
    BadInput(([MATRIX, np.zeros(3)],), {}, RuntimeError, "same number of dimensions: got 2 and 1"),
    BadInput(([np.zeros((2, 1)), np.zeros(2)],), {"dim": 1}, RuntimeError, "same number of dimensions"),
    BadInput(([SCALAR],), {}, RuntimeError,
        r"zero-dimensional tensor \(at position 0\) cannot be concatenated"),
    BadInput(([np.zeros(2), SCALAR],), {}, RuntimeError, r"zero-dimensional tensor \(at position 1\)"),
    BadInput(([MATRIX],), {"dim": 2}, IndexError, "Dimension out of range"),
    BadInput(([],), {}, ValueError, "non-empty list")]))
register(OpCase("cat", _cat, [  # what all promote to
    Sample(lambda rng: ([rng.standard_normal((1, 3)), INTS],)),
    Sample(lambda rng: ([BOOLS, rng.standard_normal((1, 3))],)),
    Sample(([INTS, BOOLS],)), Sample(([np.array([1], np.int8), np.array([300], np.int16)],))],
    variant="of several types"))
for name in ("concat", "concatenate"):
    register(OpCase(name, _cat, [CAT[0], CAT[1], listed((2, 2), (2, 1), axis=1)],
                    errors=[BadInput(([],), {}, ValueError, "cat: expected", named=False)]))
register(OpCase("stack", lambda tensors, dim=0: np.array([x.tolist() for x in tensors],
    tensors[0].dtype).reshape(
    len(tensors), *tensors[0].shape).transpose([*range(1, dim % (tensors[0].ndim + 1) + 1), 0,
                                                *range(dim % (tensors[0].ndim + 1) + 1,
                                                    tensors[0].ndim + 1)]), [
    *(listed((2, 3), (2, 3), (2, 3), dim=d) for d in (0, 1, 2, -1, -3)), listed((), ()),
    listed((0, 2), (0, 2), dim=1),
    listed((2,)), Sample(([INTS, INTS],), {"dim": -1}), Sample(([BOOLS, BOOLS],))], errors=[
    BadInput(([MATRIX, np.zeros((2, 2))],), {}, RuntimeError,
        r"equal size, but got \[2, 3\] at entry 0 and \[2, 2\] at entry 1"),
    BadInput(([MATRIX],), {"dim": 3}, IndexError, "Dimension out of range"),
    BadInput(([MATRIX],), {"dim": -4}, IndexError, "Dimension out of range"),
    BadInput(([],), {}, RuntimeError, "non-empty TensorList")]))
register(OpCase("hstack", np.hstack, [listed((2, 1), (2, 3)), listed((3,), (2,)), listed((), (2,)),
    listed((2, 1, 2), (2, 2, 2))],
                errors=[BadInput(([MATRIX, np.zeros(2)],), {}, RuntimeError, "same number of dimensions",
                    named=False)]))
for name in ("vstack", "row_stack"):
    register(OpCase(name, np.vstack, [listed((2,), (3, 2)), listed((), ()), listed((1, 2, 3), (2, 2, 3))],
                    errors=[BadInput(([MATRIX, np.zeros(2)],), {}, RuntimeError, "must match except",
                        named=False)]))
register(OpCase("dstack", np.dstack, [listed((2,), (2,)), listed((2, 3), (2, 3)),
    listed((1, 2, 3), (1, 2, 1)), listed((), ())]))
register(OpCase("column_stack", np.column_stack, [listed((2,), (2, 2)), listed((), ()), listed((), (1, 2)),
    listed((2, 1), (2,))]))
for name, reference in (("atleast_1d", np.atleast_1d), ("atleast_2d", np.atleast_2d),
    ("atleast_3d", np.atleast_3d)):
    register(OpCase(name, reference, [Sample(arrays_like(s)) for s in ((), (3,), (2, 3), (1, 2, 3), (0,))],
        view=True))
    register(OpCase(name, lambda *xs, f=reference: [f(x) for x in xs],
        [Sample(arrays_like((), (2,), (2, 3)))],
                    variant="several", view=True))
    register(OpCase(name, lambda xs, f=reference: [f(x) for x in xs], [listed((), (2,))], variant="a list",
        view=True))


def _block_diag(*tensors):
    blocks = [np.atleast_2d(x) for x in tensors]
    y = np.zeros((sum(len(b) for b in blocks), sum(b.shape[1] for b in blocks)), np.result_type(*tensors))
    row = column = 0
    for b in blocks:
        y[row:row + b.shape[0], column:column + b.shape[1]] = b
        row, column = row + b.shape[0], column + b.shape[1]
    return y


register(OpCase("block_diag", _block_diag, [
    Sample(arrays_like((2, 3), (1, 2), (2,), ())), Sample(arrays_like((2, 2))),
    Sample(arrays_like((2, 0), (1, 1))), Sample((INTS, np.array(7)))],
    errors=[BadInput((MATRIX, np.zeros((1, 1, 1))), {}, RuntimeError,
        "2 or fewer dimensions. Input 1 has 3")]))
register(OpCase("block_diag", _block_diag, [Sample(arrays_like((0,), (2, 1)))], variant="of an empty vector",
                torch=None))  # whose rows PyTorch's gradient forgets
register(OpCase("cartesian_prod", lambda *xs: np.array(list(itertools.product(*xs)), xs[0].dtype).reshape(-1,
    len(xs)), [
    Sample(arrays_like((2,), (3,))), Sample(arrays_like((2,), (1,), (3,))), Sample(arrays_like((0,), (2,))),
    Sample((np.arange(2), np.arange(3)))],
    errors=[BadInput((MATRIX, np.zeros(2)), {}, RuntimeError, "Expect a 1D vector")]))
register(OpCase("cartesian_prod", lambda x: x, [Sample(arrays_like((3,)))], variant="of one", view=True))
register(OpCase("vander", np.vander, [
    Sample(arrays_like((3,))), Sample(arrays_like((3,)), dict(N=5, increasing=True)),
    Sample(arrays_like((2,)), dict(N=1)), Sample(arrays_like((3,)), dict(N=0)), Sample(arrays_like((0,))),
    Sample((np.arange(3),))],
    errors=[BadInput((MATRIX,), {}, RuntimeError, "one-dimensional"),
            BadInput((np.ones(2), -1), {}, RuntimeError, "non-negative")],
    torch=None))  # which writes over what its own gradient needs


def _combinations(x, r=2, with_replacement=False):
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    return np.array(list(choose(x, r)), x.dtype).reshape((-1, r) if r else 0)


register(OpCase("combinations", _combinations, [
    *(cutting((4,), r) for r in (1, 2, 3, 4)), cutting((2,), r=3), cutting((3,), with_replacement=True),
    cutting((0,)),
    Sample((np.arange(3),))], errors=[BadInput((MATRIX,), {}, RuntimeError, "Expect a 1D vector"),
                                      BadInput((np.zeros(3), -1), {}, RuntimeError, "non-negative number")]))
register(OpCase("combinations", _combinations, [cutting((3,), 0)], variant="of none", view=True))

# Cut


def _pieces(x, sizes, dim=0):
    stops = [0, *itertools.accumulate(sizes)]
    return [np.moveaxis(np.moveaxis(x, dim, 0)[a:b], 0, dim) for a, b in itertools.pairwise(stops)]


def _split(x, size, dim=0):
    n = x.shape[dim]
    sizes = size if isinstance(size, list) else [min(size, n - i) for i in range(0, n, size)] if n else [0]
    return _pieces(x, sizes, dim)


def _chunk(x, chunks, dim=0):
    n = x.shape[dim]
    return _split(x, -(-n // chunks), dim) if n else _pieces(x, [0] * chunks, dim)


def _tensor_split(x, wanted, dim=0):
    n = x.shape[dim]
    if isinstance(wanted, (list, tuple, np.ndarray)) and np.ndim(wanted):
        cuts = [0, *[int(i) for i in wanted], n]
        return [np.moveaxis(np.moveaxis(x, dim, 0)[a:b], 0, dim) for a, b in itertools.pairwise(cuts)]
    return _pieces(x, [n // wanted + (i < n % wanted) for i in range(int(wanted))], dim)


SCALAR_CUT = BadInput((SCALAR, 1), {}, RuntimeError, "1-dimensional")
BAD_DIM = BadInput((MATRIX, 1), {"dim": 2}, IndexError, "Dimension out of range")
register(OpCase("unbind", lambda x, dim=0: list(np.moveaxis(x, dim, 0)), [
    cutting((2, 3)), cutting((3,)), cutting((2, 3), -1), cutting((1, 2, 3), dim=2), cutting((2, 0)),
    Sample((INTS,))],
    view=True, errors=[BadInput((SCALAR,), {}, IndexError, "no dimensions"),
        BadInput((MATRIX, 2), {}, IndexError, "Dimension")]))
register(OpCase("unbind", lambda x: [], [cutting((0, 3))], variant="nothing", view=True, grad=False))
register(OpCase("split", _split, [
    cutting((5, 2), 2), cutting((2, 5), [1, 0, 4], dim=1), cutting((4,), 9), cutting((4, 1), 2, -2),
    cutting((0, 2), 3), cutting((0, 2), 0),
    Sample((INTS, 2), {"dim": -1})], view=True, errors=[
    SCALAR_CUT, BAD_DIM, BadInput((MATRIX, [1, 2]), {}, RuntimeError, "sum exactly to 2"),
    BadInput((MATRIX, [3, -1]), {}, RuntimeError, "split_sizes"),
    BadInput((MATRIX, 0), {}, RuntimeError, "can only be 0"),
    BadInput((MATRIX, -1), {}, RuntimeError, "split_size=-1")]))
register(OpCase("split", lambda x, split_size, dim: _split(x, split_size, dim),
    [cutting((2, 3), split_size=2, dim=1)],
                variant="by name", view=True, torch=None))
register(OpCase("Tensor.split_with_sizes", _split, [cutting((5,), [1, 4]), cutting((2, 3), [3, 0], dim=1)],
    view=True,
                errors=[BadInput((MATRIX, [1]), {}, RuntimeError, "sum exactly", named=False)]))
register(OpCase("chunk", _chunk, [
    cutting((5, 2), 2), cutting((2, 5), 3, dim=1), cutting((6,), 4), cutting((5,), 7), cutting((0,), 3),
    cutting((2, 4), 2, -1), Sample((INTS, 2))],
    view=True, errors=[SCALAR_CUT, BAD_DIM, BadInput((MATRIX, 0), {}, RuntimeError,
        "`chunks` to be greater than 0, got: 0")]))
register(OpCase("tensor_split", _tensor_split, [
    cutting((7,), 3), cutting((2, 3), 3), cutting((2, 7), (2, 4), dim=1), cutting((7,), [4, 2]),
    cutting((7,), (-2, 9)), cutting((3,), ()),
    cutting((5,), np.array([2, 3])), cutting((0, 2), 2), Sample((INTS, 2), {"dim": -1})], view=True,
    errors=[SCALAR_CUT, BAD_DIM, BadInput((MATRIX, 0), {}, RuntimeError,
        "number of sections must be larger than 0, got 0")]))
for name, reference, samples, small in (
        ("hsplit", lambda x, n: _tensor_split(x, n, min(x.ndim - 1, 1)),
            [cutting((4,), 2), cutting((2, 4), (1, 3)), cutting((2, 4, 1), 2)], ()),
        ("vsplit", _tensor_split, [cutting((4, 2), 2), cutting((4, 2), [1]), cutting((2, 1, 1), 2)], (2,)),
        ("dsplit", lambda x, n: _tensor_split(x, n, 2), [cutting((1, 2, 4), 2), cutting((1, 2, 4), (3,))],
            (2, 2))):
    register(OpCase(name, reference, samples, view=True, errors=[
        BadInput((np.zeros((3, 3, 3)), 2), {}, RuntimeError, "not divisible by the split_size 2"),
        BadInput((np.zeros(small), 1), {}, RuntimeError, "at least"),
        BadInput((np.zeros((3, 3, 3)), 0), {}, RuntimeError, "split_size 0")]))
