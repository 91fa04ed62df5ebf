"""Views, joins and cuts, and copies with the elements in other places."""
import itertools

import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register

INTS = np.arange(6).reshape(2, 3)
BOOLS = INTS % 2 == 0
MATRIX = np.zeros((2, 3))
BAD_DIM = BadInput((MATRIX,), {"dim": 2}, IndexError, "Dimension out of range")
CUBE, SQUARE, EMPTY, ONE, SCALAR = (arrays_like(s) for s in ((2, 3, 4), (3, 4), (0, 3), (1, 1), ()))


def each(*shapes, **options):
    """A sample for each shape, with the same options."""
    return [Sample(arrays_like(s), options) for s in shapes]


def method(name):
    """The method of the first argument, called with the rest."""
    return lambda x, *args, **options: getattr(x, name)(*args, **options)


def with_args(shape, /, *args, **options):
    return Sample(lambda rng: (rng.standard_normal(shape), *args), options)


def numbers(args):
    """The integers of f(2, 3), f((2, 3)) and f([2, 3])."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args


def packed(name):
    """The method, of a contiguous copy where the layout would matter."""
    return lambda x, *args, **options: getattr(x.contiguous(), name)(*args, **options)


# The same elements in the same order

for _name in ("reshape", "view"):
    register(OpCase(_name, lambda x, *size, shape=None: x.reshape(numbers(size) if shape is None else shape), [
        with_args((2, 6), 3, 4), with_args((2, 6), (4, -1)), with_args((2, 3), [-1]), with_args((0, 3), 3, 0), with_args((), 1, 1),
        with_args((1,), ()), Sample((INTS, 6)), *([with_args((2, 3), shape=(3, 2))] if _name == "reshape" else []),
    ], errors=[
        BadInput((MATRIX, 4), {}, RuntimeError, "invalid for input of size 6"),
        BadInput((MATRIX, -1, -1), {}, RuntimeError, "only one dimension"), BadInput((MATRIX, -2, 3), {}, RuntimeError, "invalid shape"),
        BadInput((np.zeros(0), -1, 0), {}, RuntimeError, "ambiguous"), BadInput((MATRIX, 4, -1), {}, RuntimeError, "invalid"),
    ], torch=f"Tensor.{_name}", call=packed("view") if _name == "view" else None))
register(OpCase("view", lambda x: x.view("uint8"), [Sample((np.array([[1, 258]], np.int32),))], variant="dtype", grad=False,
                call=lambda x: _bytes_of(x), torch=None))


def _bytes_of(x):
    import minitorch

    return x.contiguous().view(minitorch.uint8)


register(OpCase("flatten", lambda x, start_dim=0, end_dim=-1: x.reshape(
    *x.shape[:start_dim % max(x.ndim, 1)], int(np.prod(x.shape[start_dim % max(x.ndim, 1):end_dim % max(x.ndim, 1) + 1])),
    *x.shape[end_dim % max(x.ndim, 1) + 1:]), [
        *each((2, 3, 4), (3,), (0, 2), ()), *each((2, 3, 4), start_dim=1), *each((2, 3, 4), start_dim=-3, end_dim=1)],
    errors=[BadInput((MATRIX,), {"start_dim": 1, "end_dim": 0}, RuntimeError, "cannot come after"),
            BadInput((MATRIX,), {"start_dim": 2}, IndexError, "Dimension out of range")]))
register(OpCase("unflatten", lambda x, dim, sizes: x.reshape(*x.shape[:dim % x.ndim], *sizes, *x.shape[dim % x.ndim + 1:]), [
    *each((2, 6), dim=1, sizes=(3, 2)), *each((6, 1), dim=-1, sizes=[1, 1]), *each((0, 6), dim=0, sizes=(0, 2))],
    errors=[BadInput((MATRIX,), {"dim": 1, "sizes": (2, 2)}, RuntimeError, "multiply up")]))
register(OpCase("ravel", np.ravel, each((2, 3), (), (0, 2)), view=True))
register(OpCase("Tensor.view_as", lambda x, other: x.reshape(other.shape), [Sample(arrays_like((2, 3), (3, 2)))], view=True, constant=(1,),
                call=packed("view_as")))
register(OpCase("Tensor.reshape_as", lambda x, other: x.reshape(other.shape), [Sample(arrays_like((2, 3), (6,)))], view=True, constant=(1,)))
register(OpCase("squeeze", lambda x, dim=None: x.reshape([n for i, n in enumerate(x.shape) if n != 1 or (
    dim is not None and i not in [d % x.ndim for d in np.atleast_1d(dim)])]), [
        *each((1, 3, 1), (), (2, 0, 1)), *each((1, 3, 1), dim=0), *each((1, 3, 1), dim=-2), *each((1, 3, 1), dim=(0, 2))],
    errors=[BAD_DIM]))
register(OpCase("unsqueeze", np.expand_dims, [with_args((2, 3), d) for d in (0, -1, 1)] + [with_args((), 0), with_args((0,), 1)],
                errors=[BadInput((MATRIX, 4), {}, IndexError, "Dimension out of range")]))

# The same elements with the dimensions in another order

for _name in ("transpose", "swapaxes", "swapdims"):
    register(OpCase(_name, np.swapaxes, [with_args((2, 3, 4), 0, 2), with_args((2, 3, 4), -1, 1), with_args((0, 2), 0, 1)],
                    errors=[BadInput((MATRIX, 0, 2), {}, IndexError, "Dimension out of range", named=False)],
                    view=True, inplace=False))
register(OpCase("permute", lambda x, *dims: x.transpose(*dims), [
    with_args((2, 3, 4), 2, 0, 1), with_args((2, 3, 4), (0, -1, 1)), with_args((), ()), with_args((0, 2), [1, 0])],
    errors=[BadInput((MATRIX, 0), {}, RuntimeError, "expects 2 dimensions"), BadInput((MATRIX, 0, 0), {}, RuntimeError, "duplicate"),
            BadInput((MATRIX, 0, 3), {}, IndexError, "Dimension")], torch="Tensor.permute"))
for _name in ("movedim", "moveaxis"):
    register(OpCase(_name, np.moveaxis, [with_args((2, 3, 4), 0, -1), with_args((2, 3, 4), (0, 1), (-1, 0))], view=True))
register(OpCase("t", np.transpose, each((2, 3), (3,), ()), view=True, inplace=False,
                errors=[BadInput((np.zeros((1, 2, 3)),), {}, RuntimeError, "<= 2 dimensions")]))
register(OpCase("adjoint", lambda x: x.conj().swapaxes(-1, -2), [
    Sample(CUBE), Sample(lambda rng: (rng.standard_normal((2, 3)) + 1j,), dtypes=WIDE)], view=True, torch=None,
    errors=[BadInput((np.zeros(3),), {}, RuntimeError, "matrices")]))
for _name, _shapes in (("T", ((2, 3), (3,), ())), ("mT", ((2, 3), (4, 2, 3))), ("H", ((2, 3),)), ("mH", ((4, 2, 3),))):
    register(OpCase(f"Tensor.{_name}", lambda x, plain=_name == "T": x.T if plain else x.swapaxes(-1, -2), each(*_shapes),
                    view=True, call=lambda x, name=_name: getattr(x, name), torch=None))

# Elements repeated without a copy

register(OpCase("expand", lambda x, *size: np.broadcast_to(x, [
    m if n == -1 else n for n, m in zip(size, (0,) * (len(size) - x.ndim) + x.shape)]), [
        with_args((1, 3), 2, 3), with_args((3,), 2, -1), with_args((2, 3), 2, 3), with_args((), 2), with_args((2, 1), 0, 2, 3)],
    errors=[BadInput((MATRIX, 2, 4), {}, RuntimeError, "must match the existing size"), BadInput((MATRIX, 3), {}, RuntimeError, "greater"),
            BadInput((MATRIX, -1, 2, 3), {}, RuntimeError, "leading")], call=method("expand"), torch="Tensor.expand"))
register(OpCase("broadcast_to", np.broadcast_to, [with_args((1, 3), (2, 3)), with_args((), (0, 2)), with_args((3, 1), (2, 3, 2))],
                errors=[BadInput((MATRIX, (2, 4)), {}, RuntimeError, "must match the existing size")]))
register(OpCase("Tensor.expand_as", lambda x, y: np.broadcast_to(x, y.shape), [Sample(arrays_like((3, 1), (3, 2)))], view=True,
                constant=(1,)))
register(OpCase("broadcast_tensors", lambda *xs: tuple(np.broadcast_arrays(*xs)), [Sample(arrays_like((3, 1), (2,))), Sample(ONE)],
                view=True, errors=[BadInput((np.zeros(2), np.zeros(3)), {}, RuntimeError, "size of tensor")]))
register(OpCase("broadcast_shapes", lambda: np.array([3, 2]), [Sample(())], grad=False, torch=None,
                call=lambda: _as_tensor("broadcast_shapes", (3, 1), (2,))))


def _as_tensor(name, *args):
    import minitorch

    return minitorch.tensor(list(getattr(minitorch, name)(*args)))


# A part of the elements

register(OpCase("select", lambda x, dim, index: x.take(index, dim), [
    with_args((2, 3), 0, 1), with_args((2, 3), -1, -3), with_args((4,), 0, 2), with_args((2, 0), 0, 1)],
    errors=[BadInput((MATRIX, 0, 2), {}, IndexError, "index 2 out of range"), BadInput((MATRIX, 5, 0), {}, IndexError, "Dimension")]))
register(OpCase("narrow", lambda x, dim, start, length: x.take(range(start % (x.shape[dim] + 1), start % (x.shape[dim] + 1) + length), dim), [
    with_args((4, 3), 0, 1, 2), with_args((4, 3), -1, 0, 3), with_args((2, 3), 0, 2, 0)],
    errors=[BadInput((MATRIX, 0, 1, 2), {}, RuntimeError, "exceeds"), BadInput((MATRIX, 0, 5, 1), {}, IndexError, "out of range")]))
register(OpCase("diagonal", lambda x, offset=0, dim1=0, dim2=1: x.diagonal(offset, dim1, dim2), [
    *each((3, 4), (2, 3, 4), (0, 3)), *each((3, 4), offset=1), *each((2, 3, 4), offset=-1, dim1=-1, dim2=0)],
    errors=[BadInput((MATRIX,), {"dim1": 1}, RuntimeError, "identical")]))
register(OpCase("Tensor.unfold", lambda x, dim, size, step: np.lib.stride_tricks.sliding_window_view(x, size, dim % x.ndim).take(
    range(0, x.shape[dim] - size + 1, step), dim % x.ndim), [
        with_args((5,), 0, 3, 1), with_args((2, 5), 1, 2, 2), with_args((5, 2), -2, 2, 3), with_args((3, 2), 0, 3, 1)],
    view=True, errors=[BadInput((MATRIX, 1, 4, 1), {}, RuntimeError, "maximum size"), BadInput((MATRIX, 1, 2, 0), {}, RuntimeError, "step")]))
register(OpCase("as_strided", lambda x, size, stride, storage_offset=0: np.lib.stride_tricks.as_strided(
    x.reshape(-1)[storage_offset:], size, [s * x.itemsize for s in stride]).copy(), [
        with_args((3, 4), (2, 2), (4, 1)), with_args((3, 4), (3, 3), (1, 2)), with_args((5,), (2, 0), (1, 1)),
        with_args((5,), (2, 3), (1, 1), storage_offset=1)],
    call=packed("as_strided"),
    errors=[BadInput((MATRIX, (2, 4), (3, 1)), {}, RuntimeError, "leave memory"), BadInput((MATRIX, (2,), (3, 1)), {}, RuntimeError, "length")]))


def _diagonal_of(x, shape, offset, dim1, dim2):
    y = np.zeros(shape)
    view = y.diagonal(offset, dim1, dim2)
    view.flags.writeable = True
    view[...] = x
    return y


register(OpCase("on_diagonal", _diagonal_of, [with_args((3,), (3, 4), 0, 0, 1), with_args((4, 2), (2, 4, 3), -1, 2, 0)], torch=None))
register(OpCase("windows_dx", lambda x, shape, dim, size, step: np.stack(
    [sum(x[j, i - j * step] for j in range(len(x)) if 0 <= i - j * step < size) + np.zeros(()) for i in range(shape[0])]), [
        with_args((3, 3), (5,), 0, 3, 1), with_args((2, 2), (5,), 0, 2, 2)], torch=None))
register(OpCase("slice_dx", lambda x, key, shape: _placed(x, key, shape), [
    with_args((2, 2), (slice(1, 3), slice(None, None, 2)), (4, 3)), with_args((3,), (1, ...), (2, 3))], torch=None))


def _placed(x, key, shape):
    y = np.zeros(shape)
    y[key] = x
    return y


# Joined

PAIR = [Sample(lambda rng: ([rng.standard_normal((2, 3)), rng.standard_normal((1, 3))],)),
        Sample(lambda rng: ([rng.standard_normal((2, 3)), rng.standard_normal((2, 0)), rng.standard_normal((2, 1))],), {"dim": -1}),
        Sample(lambda rng: ([rng.standard_normal((2, 3)), np.zeros(0)],)), Sample(([INTS, INTS],), {"dim": 1}),
        Sample(lambda rng: ([rng.standard_normal(2)],)), Sample(lambda rng: ((rng.standard_normal(2), np.zeros(0)),)),
        Sample(lambda rng: ([rng.standard_normal((300, 400)), rng.standard_normal((2, 400))],), big=True, dtypes=WIDE)]


def concatenated(xs, dim=0):
    return np.concatenate([x for x in xs if x.shape != (0,) or xs[0].ndim == 1], dim)


CAT_ERRORS = [BadInput(([MATRIX, np.zeros((2, 2))],), {}, RuntimeError, "must match except"),
              BadInput(([MATRIX, np.zeros(3)],), {}, RuntimeError, "same number of dimensions"), BadInput(([],), {}, ValueError, "non-empty"),
              BadInput(([MATRIX],), {"dim": 2}, IndexError, "Dimension"), BadInput(([np.array(1.0)],), {}, RuntimeError, "zero-dim")]
for _name in ("cat", "concat", "concatenate"):
    register(OpCase(_name, concatenated, PAIR, errors=[*CAT_ERRORS] if _name == "cat" else []))
register(OpCase("cat", lambda xs: np.concatenate(xs), [Sample(([INTS, BOOLS],)), Sample(([INTS, np.ones((1, 3), np.float32)],), grad=False)],
                variant="promotion", grad=False, result=None))
register(OpCase("stack", lambda xs, dim=0: np.stack(xs, dim), [
    *[Sample(lambda rng: ([rng.standard_normal((2, 3)) for _ in range(3)],), {"dim": d}) for d in (0, 1, -1)],
    Sample(lambda rng: ([np.asarray(rng.standard_normal()), np.asarray(1.0)],)), Sample(([np.zeros((0, 2))],), {"dim": 1})],
    errors=[BadInput(([MATRIX, np.zeros((2, 2))],), {}, RuntimeError, "equal size"), BadInput(([],), {}, RuntimeError, "non-empty"),
            BadInput(([MATRIX],), {"dim": 3}, IndexError, "Dimension")]))
VECTORS = Sample(lambda rng: ([rng.standard_normal(3), rng.standard_normal(3)],))
MATRICES = Sample(lambda rng: ([rng.standard_normal((2, 3)), rng.standard_normal((2, 3))],))
for _name, _function in (("hstack", np.hstack), ("vstack", np.vstack), ("row_stack", np.vstack), ("dstack", np.dstack),
                         ("column_stack", np.column_stack)):
    register(OpCase(_name, _function, [VECTORS, MATRICES]))
for _name in ("atleast_1d", "atleast_2d", "atleast_3d"):
    register(OpCase(_name, getattr(np, _name), each((), (3,), (2, 3), (1, 2, 3)), view=True))
    register(OpCase(_name, getattr(np, _name), [Sample(arrays_like((), (3,)))], variant="several", view=True, grad=False))


def blocks(*xs):
    from scipy.linalg import block_diag

    return block_diag(*[np.atleast_2d(x) for x in xs])


register(OpCase("block_diag", blocks, [Sample(arrays_like((2, 3), (1, 2), (2,))), Sample(ONE)],
                errors=[BadInput((np.zeros((1, 1, 1)),), {}, RuntimeError, "2 or fewer")]))
register(OpCase("cartesian_prod", lambda *xs: np.array(list(itertools.product(*xs))).reshape(-1, len(xs)), [
    Sample(arrays_like((2,), (3,))), Sample(arrays_like((2,), (1,), (3,)))], errors=[BadInput((MATRIX,), {}, RuntimeError, "1D")]))
register(OpCase("combinations", lambda x, r=2, with_replacement=False: np.array(list(
    (itertools.combinations_with_replacement if with_replacement else itertools.combinations)(x, r))).reshape(-1, r), [
        *each((4,)), *each((3,), r=3), *each((2,), r=3), *each((3,), with_replacement=True)],
    errors=[BadInput((MATRIX,), {}, RuntimeError, "1D")]))

# Cut

register(OpCase("unbind", lambda x, dim=0: tuple(np.moveaxis(x, dim, 0)), [*each((2, 3), (3,), (1, 2)), *each((2, 3), dim=-1)],
                view=True, errors=[BAD_DIM, BadInput((np.array(1.0),), {}, IndexError, "no dimensions")]))


def cut(x, size, dim=0):
    stops = np.cumsum(size)[:-1] if isinstance(size, (list, tuple)) else range(size, x.shape[dim], size)
    return tuple(np.split(x, list(stops), dim))


register(OpCase("split", cut, [with_args((5, 2), 2), with_args((2, 5), [1, 0, 4], dim=1), with_args((4,), 9), with_args((4, 1), 4, dim=-2)],
                view=True, errors=[BadInput((MATRIX, [1, 2]), {}, RuntimeError, "sum exactly"), BadInput((MATRIX, 0), {}, RuntimeError, "can only be 0"),
                                   BadInput((np.array(1.0), 1), {}, RuntimeError, "1-dimensional")]))
register(OpCase("Tensor.split_with_sizes", cut, [with_args((5, 2), [3, 2])], view=True, call=method("split_with_sizes")))
register(OpCase("chunk", lambda x, chunks, dim=0: cut(x, -(-x.shape[dim] // chunks), dim), [
    with_args((5, 2), 2), with_args((2, 5), 3, dim=1), with_args((2,), 5)], view=True,
    errors=[BadInput((MATRIX, 0), {}, RuntimeError, "greater than 0")]))
register(OpCase("tensor_split", lambda x, n, dim=0: tuple(np.array_split(x, n, dim)), [
    with_args((5, 2), 2), with_args((2, 5), (1, 3), dim=1), with_args((2,), 3), with_args((4,), [1, 9])], view=True,
    errors=[BadInput((MATRIX, 0), {}, RuntimeError, "larger than 0")]))
for _name, _dim in (("hsplit", 1), ("vsplit", 0), ("dsplit", 2)):
    register(OpCase(_name, lambda x, n, dim=_dim: tuple(np.array_split(x, n, dim)), [with_args((2, 2, 4), 2), with_args((2, 3, 4), [1])],
                    view=True, errors=[BadInput((np.zeros((3, 3, 3)), 2), {}, RuntimeError, "not divisible"),
                                       BadInput((np.array(1.0), 2), {}, RuntimeError, "at least")]))

# Copies

for _name in ("repeat", "tile"):
    register(OpCase(_name, lambda x, *times: np.tile(x, numbers(times)), [
        with_args((2, 3), 2, 1, 2), with_args((2, 1), (1, 3)), with_args((), 3), with_args((2,), 0), with_args((2, 3), 1, 1),
        *([with_args((2, 3), 2)] if _name == "tile" else [])],
        errors=[BadInput((MATRIX, -1, 2), {}, RuntimeError, "negative"),
                *([BadInput((MATRIX, 2), {}, RuntimeError, "can not be smaller")] if _name == "repeat" else [])],
        call=method(_name), torch=f"Tensor.{_name}"))
register(OpCase("repeat_interleave", lambda x, repeats, dim=None: np.repeat(x, repeats, dim), [
    with_args((2, 3), 2), with_args((2, 3), 2, dim=-1), with_args((2, 3), np.array([2, 0, 1]), dim=1), with_args((2,), np.array([1, 3])),
    with_args((2,), 0, dim=0)],
    errors=[BadInput((MATRIX, -1), {}, RuntimeError, "non-negative"), BadInput((MATRIX, np.array([1, 2, 3])), {"dim": 0}, RuntimeError, "same size")]))
register(OpCase("repeat_interleave", lambda r: np.repeat(np.arange(3), r), [Sample((np.array([2, 0, 1]),))], variant="counts", grad=False))
register(OpCase("flip", lambda x, *dims: np.flip(x, dims[0] if len(dims) == 1 else dims), [
    with_args((2, 3), 0), with_args((2, 3), 0, -1), with_args((2, 3), (1,)), with_args((0, 2), 0)],
    errors=[BadInput((MATRIX, 2), {}, IndexError, "Dimension"), BadInput((MATRIX, 0, 0), {}, RuntimeError, "multiple times")],
    call=method("flip"), torch="Tensor.flip"))
register(OpCase("fliplr", np.fliplr, each((2, 3)), errors=[BadInput((np.zeros(2),), {}, RuntimeError, "2-d")]))
register(OpCase("flipud", np.flipud, each((2, 3), (3,))))
register(OpCase("roll", lambda x, shifts, dims=None: np.roll(x, shifts, dims), [
    with_args((2, 3), 1), with_args((2, 3), -4, dims=1), with_args((2, 3), (1, 2), dims=(0, 1)), with_args((0, 2), 1, dims=0),
    with_args((2, 3), 3, dims=1), with_args((), 1), with_args((4,), (1, 1), dims=(0, 0))],
    errors=[BadInput((MATRIX, (1, 2)), {"dims": 0}, RuntimeError, "must align"), BadInput((MATRIX, 1), {"dims": 2}, IndexError, "Dimension")]))
register(OpCase("rot90", lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims), [
    *[with_args((2, 3), k=k) for k in (0, 1, 2, 3, -1)], with_args((2, 3, 2), dims=(2, 1))],
    errors=[BadInput((MATRIX,), {"dims": (0, 0)}, RuntimeError, "different"), BadInput((np.zeros(2),), {}, RuntimeError, "total dims")]))
for _name, _function in (("tril", np.tril), ("triu", np.triu)):
    register(OpCase(_name, lambda x, diagonal=0, function=_function: function(x, diagonal), [
        *each((3, 4), (2, 3, 3), (0, 2)), *each((3, 4), diagonal=1), *each((3, 4), diagonal=-1), Sample((INTS,)), Sample((BOOLS,)),
        Sample((np.full((2, 2), np.inf),), grad=False)], errors=[BadInput((np.zeros(2),), {}, RuntimeError, "at least 2")]))
register(OpCase("diag", np.diag, [*each((3,), (3, 4), (1, 1)), *[with_args(s, d) for s in ((3,), (3, 4)) for d in (1, -1)]],
                errors=[BadInput((np.zeros((1, 1, 1)),), {}, RuntimeError, "1D or 2D")]))
register(OpCase("diagflat", lambda x, offset=0: np.diagflat(x, offset), [*each((2, 2), ()), *each((3,), offset=-1)]))
register(OpCase("diag_embed", lambda x, offset=0, dim1=-2, dim2=-1: _diagonal_of(x, _embedded(x, offset, dim1, dim2), offset, dim1, dim2), [
    *each((3,), (2, 3)), *each((2, 3), offset=1), *each((2, 3), offset=-1, dim1=0, dim2=2)],
    errors=[BadInput((MATRIX,), {"dim1": -1}, RuntimeError, "identical")]))


def _embedded(x, offset, dim1, dim2):
    n, rest = x.ndim + 1, list(x.shape[:-1])
    return tuple(x.shape[-1] + abs(offset) if i in (dim1 % n, dim2 % n) else rest.pop(0) for i in range(n))


register(OpCase("trace", np.trace, [*each((3, 4), (1, 1), (0, 2)), Sample((INTS,))], errors=[BadInput((np.zeros(2),), {}, RuntimeError, "matrix")]))
register(OpCase("constant_pad", lambda x, pad, value=0: _padded(x, pad, value), [
    with_args((2, 3), (1, 2)), with_args((2, 3), [1, -1, 0, 2], 5.0), with_args((2, 3), (-1, -1)), with_args((0, 2), (1, 1, 1, 1), 2.0),
    with_args((2,), ()), Sample((INTS, (1, 1), 7)), Sample((BOOLS, (1, 0), True)),
    Sample(lambda rng: (rng.standard_normal((300, 400)), (1, 1)), big=True, dtypes=WIDE)],
    errors=[BadInput((MATRIX, (1,)), {}, RuntimeError, "pairs"), BadInput((MATRIX, (-2, -2)), {}, RuntimeError, "negative output")],
    torch=lambda x, pad, value=0: __import__("torch").nn.functional.pad(x, pad, value=value)))


def _padded(x, pad, value):
    widths = [(0, 0)] * (x.ndim - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    cut = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths))]
    return np.pad(cut, [(max(a, 0), max(b, 0)) for a, b in widths], constant_values=value)
