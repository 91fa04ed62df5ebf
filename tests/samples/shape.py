"""Views: the same memory in other shapes, orders, parts and strides."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register

INTS = np.arange(6).reshape(2, 3)
MATRIX = np.zeros((2, 3))
X = arrays_like((2, 3, 4))


def having(shape, *args):
    """Arguments: a normal array of `shape`, then `args`."""
    return lambda rng: (np.asarray(rng.standard_normal(shape)), *args)


def out_of_range(*args, **options):
    return BadInput((MATRIX, *args), options, IndexError, "Dimension out of range")


# The same elements in the same order

def numbers(args):
    """The integers of f(2, 3), f((2, 3)) and f([2, 3]) alike."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args


register(OpCase("reshape", lambda x, *size, shape=None: np.reshape(x,
    numbers(size) if shape is None else shape), [
    Sample(having((2, 3, 4), 4, -1)), Sample(having((2, 3), (3, 2))), Sample(having((2, 3), [-1])),
    Sample(having((), 1)),
    Sample(having((1, 1), ())), Sample(having((0, 3), 3, 0)), Sample(having((0, 3), -1)),
    Sample(having((0, 3), -1, 3)),
    Sample(having((2, 3)), {"shape": (6, 1)}), Sample((INTS, 3, 2)),
], torch="Tensor.reshape", errors=[
    BadInput((MATRIX, 5, -1), {}, RuntimeError, r"shape '\[5, -1\]' is invalid for input of size 6"),
    BadInput((MATRIX, 7), {}, RuntimeError, r"shape '\[7\]' is invalid for input of size 6"),
    BadInput((MATRIX, -1, -1), {}, RuntimeError, "only one dimension can be inferred"),
    BadInput((MATRIX, -2, 3), {}, RuntimeError, "invalid shape dimension -2"),
    BadInput((np.zeros((0, 3)), 0, -1), {}, RuntimeError, "unspecified dimension size -1 can be any value"),
    BadInput((MATRIX, 2.0, 3), {}, TypeError, "integer", named=False)]))

# A view of any layout can split dimensions and add some of size 1, but join only those that lie together.
register(OpCase("view", lambda x, *size: np.reshape(x, numbers(size)), [
    Sample(having((6,), 2, -1)), Sample(having((12,), (2, 3, 2))), Sample(having((2, 3), 1, 2, 1, 3)),
    Sample(having((), 1, 1)), Sample(having((1, 1), [])), Sample(having((0, 3), 3, 0, 2)),
    Sample((INTS, 2, 3)),
], errors=[
    BadInput((MATRIX, 7), {}, RuntimeError, r"shape '\[7\]' is invalid for input of size 6"),
    BadInput((MATRIX.T, 6), {}, RuntimeError, "not compatible with input tensor's size and stride")]))
register(OpCase("view", lambda x, *size: np.reshape(x, size), [
    Sample(having((2, 3, 4), 6, 4)), Sample(having((2, 3, 4), -1)), Sample(having((4, 3), 2, 6))],
    variant="joining",
    call=lambda x, *size: x.contiguous().view(*size)))


def _bytes(name):
    def call(x):
        import minitorch

        return x.contiguous().view(getattr(minitorch, name))
    return call


for name, sample in (("int32", np.array([[1.5, -2.0]], np.float32)), ("float32", np.array([7, -8], np.int32)),
                     ("int16", np.array([[1.5, -2.0]], np.float32)),
                     ("int64", np.array([[1, 2, 3, 4]], np.int32)),
                     ("uint8", np.array([True, False]))):
    register(OpCase("view", lambda x, name=name: x.view(name), [Sample((sample,))],
        variant=f"bytes as {name}",
                    grad=False, result=name, dtypes=("float32",), call=_bytes(name), errors=[
        BadInput((np.zeros(()),), {}, RuntimeError, "cannot be 0 to view"),
        BadInput((np.zeros((2, 3)),), {}, RuntimeError, "last dimension")] if name == "int64" else ()))
register(OpCase("view_as", lambda x, y: x.reshape(y.shape),
    [Sample(arrays_like((6,), (2, 3))), Sample(arrays_like((), (1,)))],
                view=True, constant=(1,), torch="Tensor.view_as", call=lambda x, y: x.view_as(y),
                errors=[BadInput((MATRIX, np.zeros(4)), {}, RuntimeError, "is invalid for input of size 6",
                    named=False)]))
register(OpCase("reshape_as", lambda x, y: x.reshape(y.shape), [
    Sample(arrays_like((2, 6), (4, 3))), Sample(arrays_like((0, 2), (5, 0)))], view=True, constant=(1,),
    torch="Tensor.reshape_as", call=lambda x, y: x.reshape_as(y)))
register(OpCase("ravel", np.ravel, [Sample(arrays_like(s)) for s in ((2, 3), (), (0, 2))], view=True))


def _flatten(x, start_dim=0, end_dim=-1):
    first, last = start_dim % max(x.ndim, 1), end_dim % max(x.ndim, 1)
    return x.reshape((*x.shape[:first], int(np.prod(x.shape[first:last + 1])), *x.shape[last + 1:]))


register(OpCase("flatten", _flatten, [
    Sample(X), Sample(having((2, 3, 4), 1)), Sample(X, {"end_dim": 1}), Sample(having((2, 3, 4), -2, -1)),
    Sample(having(())),
    Sample(having((2, 0, 3), 1)), Sample(having((2, 3), 1, 1)), Sample((INTS,)),
], errors=[BadInput((MATRIX, 1, 0), {}, RuntimeError, "start_dim.* cannot come after end_dim"),
out_of_range(2),
           out_of_range(0, -3)]))
register(OpCase("unflatten", lambda x, dim, sizes: x.reshape(
    x.shape[:dim % x.ndim] + tuple(sizes) + x.shape[dim % x.ndim + 1:]), [
    Sample(having((6,), 0, (2, 3))), Sample(having((2, 6, 3), 1, [3, -1])),
    Sample(having((2, 6), -1, (1, 6))),
    Sample(having((2, 0), 1, (0, 3))), Sample((INTS, 1, (3, 1))),
], errors=[BadInput((MATRIX, 1, (2, 2)), {}, RuntimeError,
    "Provided sizes .* don't multiply up to the size of dim 1"),
           BadInput((MATRIX, 1, (2, -1)), {}, RuntimeError, "don't multiply up"), out_of_range(2, (1, 1)),
           BadInput((np.zeros(()), 0, (1,)), {}, RuntimeError, "unflatten")]))


def _squeeze(x, dim=None):
    dims = range(x.ndim) if dim is None else [d % max(x.ndim, 1)
        for d in ([dim] if isinstance(dim, int) else dim)]
    return x.reshape([n for i, n in enumerate(x.shape) if n != 1 or i not in dims])


register(OpCase("squeeze", _squeeze, [
    Sample(having((1, 3, 1))), Sample(having((1, 3, 1), 0)), Sample(having((1, 3, 1), -1)),
    Sample(having((1, 3, 1), 1)),
    Sample(having((1, 3, 1), (0, -1))), Sample(having((1, 3, 1), ())), Sample(having(())),
    Sample(having((), 0)),
    Sample(having((1, 0))), Sample((INTS[None],)),
], errors=[out_of_range(2), BadInput((MATRIX, (0, -2)), {}, RuntimeError, "dim 0 appears multiple times")]))
register(OpCase("unsqueeze", np.expand_dims, [
    *(Sample(having((2, 3), d)) for d in (0, 1, 2, -1, -3)), Sample(having((), 0)), Sample(having((), -1)),
    Sample(having((0,), 1)), Sample((INTS, 1)),
], errors=[out_of_range(3), out_of_range(-4)]))

# The same elements with the dimensions in another order

register(OpCase("transpose", lambda x, a, b: x.swapaxes(a, b) if x.ndim else x, [
    Sample(having((2, 3), 0, 1)), Sample(having((2, 3, 4), -1, 0)), Sample(having((2, 3), 1, -1)),
    Sample(having((), 0, -1)), Sample(having((0, 3), 0, 1)), Sample((INTS, 0, 1)),
], errors=[out_of_range(0, 2), out_of_range(-3, 0)]))
for name in ("swapaxes", "swapdims"):
    register(OpCase(name, lambda x, a, b: x.swapaxes(a, b),
        [Sample(having((2, 3, 4), 0, -1)), Sample(having((2, 3), 1, 1))],
                    view=True, errors=[BadInput((MATRIX, 0, 2), {}, IndexError, "Dimension out of range",
                        named=False)]))
register(OpCase("permute", lambda x, *dims_, dims=None: x.transpose(
    numbers(dims_) if dims is None else dims), [
    Sample(having((2, 3, 4), 2, 0, 1)), Sample(having((2, 3, 4), (1, 0, -1))),
    Sample(X, {"dims": [-1, 1, 0]}),
    Sample(having((), ())), Sample(having((3,), 0)), Sample(having((2, 0, 3), 1, 2, 0)), Sample((INTS, 1, 0)),
], torch="Tensor.permute", errors=[
    BadInput((MATRIX, 0), {}, RuntimeError, r"2 dimensions.* got \[0\]"),
    BadInput((MATRIX, 0, -2), {}, RuntimeError, "duplicate dims"), out_of_range(0, 2)]))
for name in ("movedim", "moveaxis"):
    register(OpCase(name, lambda x, a, b: np.moveaxis(x, a, b) if x.ndim else x, [
        Sample(having((2, 3, 4), 0, -1)), Sample(having((2, 3, 4), (0, 1), (2, 0))),
        Sample(having((2, 3, 4), (-1, 0), (0, 1))),
        Sample(having((2, 3), 1, 1)), Sample(having((), 0, 0)), Sample((INTS, 1, 0)),
    ], view=True, errors=[
        BadInput((MATRIX, 2, 0), {}, IndexError, "movedim: Dimension out of range", named=False),
        BadInput((MATRIX, (0, 1), (1,)), {}, RuntimeError, "source .* destination", named=False),
        BadInput((MATRIX, (0, 0), (0, 1)), {}, RuntimeError, "source", named=False),
        BadInput((MATRIX, (0, 1), (1, -1)), {}, RuntimeError, "destination", named=False)]))
register(OpCase("t", np.transpose,
    [Sample(arrays_like(s)) for s in ((2, 3), (3,), (), (0, 2))] + [Sample((INTS,))],
                view=True, errors=[BadInput((np.zeros((1, 2, 3)),), {}, RuntimeError, "<= 2 dimensions")]))
COMPLEX = Sample(lambda rng: (rng.standard_normal((2, 3)) + 1j,), dtypes=WIDE)
BATCH = [Sample(arrays_like(s)) for s in ((2, 3), (2, 3, 4), (0, 2), ())]
ONE_D = r"only supported on matrices.* Got 1-D"
register(OpCase("adjoint", lambda x: np.conj(x.swapaxes(-1, -2)) if x.ndim else x, [*BATCH, COMPLEX],
    view=True, torch=None,
                errors=[BadInput((np.zeros(3),), {}, RuntimeError, ONE_D)]))
for name, reference, samples, error in (
        ("T", np.transpose, [Sample(arrays_like(s)) for s in ((2, 3), (2,), (), (2, 3, 4))], None),
        ("mT", lambda x: x.swapaxes(-1, -2) if x.ndim else x, [*BATCH, COMPLEX], "mT"),
        ("H", lambda x: np.conj(x.T), [BATCH[0], BATCH[3], COMPLEX], "H"),
        ("mH", lambda x: np.conj(x.swapaxes(-1, -2)) if x.ndim else x, [*BATCH, COMPLEX], "adjoint")):
    register(OpCase(f"Tensor.{name}", reference, samples, view=True, call=lambda x,
        name=name: getattr(x, name),
                    errors=[BadInput((np.zeros(3),), {}, RuntimeError, f"{error}.*{ONE_D}", named=False)]
                        if error else ()))


# Elements repeated without a copy


def _expand(x, *size_, size=None):
    size = numbers(size_) if size is None else size
    new = len(size) - x.ndim
    return np.broadcast_to(x, [x.shape[i - new] if n == -1 else n for i, n in enumerate(size)])


EXPANDED = [Sample(having((3, 1), (3, 4))), Sample(having((3,), (2, 3))), Sample(having((3, 1), (2, -1, 4))),
            Sample(having((), (2, 2))), Sample(having((), ())), Sample(having((1,), (0,))),
            Sample(having((2, 3), (2, 3))),
            Sample(having((0, 1), (2, -1, 3))), Sample((INTS, (2, 2, 3)))]
MISFITS = [BadInput((MATRIX, (2, 4)), {}, RuntimeError,
    r"expanded size of the tensor \(4\) must match the existing size \(3\)"),
           BadInput((MATRIX, (3,)), {}, RuntimeError, "number of sizes provided"),
           BadInput((MATRIX, (-1, 2, 3)), {}, RuntimeError, "leading, non-existing dimension 0")]
register(OpCase("expand", _expand, [*EXPANDED, Sample(having((3, 1), 2, 3, 4)),
    Sample(having((3, 1)), {"size": (3, 2)})],
                torch="Tensor.expand", errors=MISFITS))
register(OpCase("broadcast_to", _expand, EXPANDED, errors=MISFITS))
register(OpCase("expand_as", lambda x, y: np.broadcast_to(x, y.shape), [
    Sample(arrays_like((3, 1), (2, 3, 4))), Sample(arrays_like((), (0,)))], view=True, constant=(1,),
    torch="Tensor.expand_as", call=lambda x, y: x.expand_as(y)))
register(OpCase("broadcast_tensors", lambda *xs: np.broadcast_arrays(*xs), [
    Sample(arrays_like((3, 1), (2,), ())), Sample(arrays_like((2, 3))), Sample(arrays_like((0, 1), (3,))),
    Sample(lambda rng: (rng.standard_normal(2), INTS[:, :1]))], view=True,
    errors=[BadInput((MATRIX, np.zeros(2)), {}, RuntimeError, "must match the size")]))
register(OpCase("broadcast_shapes", np.broadcast_shapes, [
    Sample(((3, 1), (2,))), Sample(((3, 1), 2, (1, 1, 1))), Sample(((0,), (1,))), Sample(())], grad=False,
    dtypes=("float32",), errors=[BadInput(((3,), (2,)), {}, RuntimeError, "must match|broadcast")]))

# A part of the elements

register(OpCase("select", lambda x, dim, index: np.take(x, index, dim), [
    Sample(having((2, 3, 4), 1, 2)), Sample(having((2, 3, 4), -1, -4)), Sample(having((3,), 0, 0)),
    Sample(having((2, 0), 0, 1)), Sample((INTS, 1, -1))],
    errors=[BadInput((MATRIX, 1, 3), {}, IndexError,
        r"index 3 out of range for tensor of size \[2, 3\] at dimension 1"),
            BadInput((MATRIX, 0, -3), {}, IndexError, "index -3 out of range"), out_of_range(2, 0),
            BadInput((np.zeros(()), 0, 0), {}, IndexError, "cannot be applied to a 0-dim tensor")]))
register(OpCase("narrow", lambda x, dim, start, length: np.take(
    x, np.arange(length) + int(start) + x.shape[dim] * (start < 0), dim), [
    Sample(having((5, 2), 0, 1, 3)), Sample(having((2, 5), -1, -2, 2)), Sample(having((5,), 0, 5, 0)),
    Sample(having((5,), 0, 0, 5)), Sample(having((2, 0), 1, 0, 0)), Sample(having((5,), 0, np.array(1), 2)),
    Sample((INTS, 1, 1, 1))],
    errors=[BadInput((MATRIX, 1, 2, 2), {}, RuntimeError,
        r"start \(2\) \+ length \(2\) exceeds dimension size \(3\)"),
            BadInput((MATRIX, 1, -2, 3), {}, RuntimeError, r"start \(1\) \+ length \(3\) exceeds"),
            BadInput((MATRIX, 1, 0, -1), {}, RuntimeError, "length"),
            BadInput((MATRIX, 1, 4, 0), {}, IndexError, "start out of range"), out_of_range(2, 0, 1),
            BadInput((np.zeros(()), 0, 0, 1), {}, RuntimeError, "cannot be applied to a 0-dim tensor")]))


def _spots(shape, offset, a, b):
    """The row and the column of each element of a diagonal, in order."""
    return [(i, i + offset) for i in range(shape[a]) if 0 <= i + offset < shape[b]]


def _diagonal(x, offset=0, dim1=0, dim2=1):
    x = np.moveaxis(x, (dim1, dim2), (-2, -1))
    spots = _spots(x.shape, offset, -2, -1)
    return np.stack([x[..., i, j] for i, j in spots], -1) if spots else x[..., 0, :0]


def _on_diagonal(x, shape, offset, dim1, dim2):
    y = np.zeros(shape)
    moved = np.moveaxis(y, (dim1, dim2), (-2, -1))  # a view
    for n, (i, j) in enumerate(_spots(moved.shape, offset, -2, -1)):
        moved[..., i, j] = x[..., n]
    return y


register(OpCase("diagonal", _diagonal, [
    Sample(having((3, 4))), Sample(having((3, 4), 2)), Sample(having((3, 4), -2)),
    Sample(having((2, 3, 4), 0, -1, 0)),
    Sample(having((2, 3, 4)), {"offset": 1, "dim1": 1, "dim2": 2}), Sample(having((3, 4), 7)),
    Sample(having((3, 4), -5)),
    Sample(having((1, 1))), Sample(having((2, 0))), Sample((INTS, 1))],
    errors=[BadInput((MATRIX, 0, 1, -1), {}, RuntimeError, "diagonal dimensions cannot be identical"),
        out_of_range(0, 0, 2),
            BadInput((np.zeros(3),), {}, IndexError, "Dimension out of range")]))
register(OpCase("on_diagonal", _on_diagonal, [
    Sample(having((3,), (3, 4), 0, 0, 1)), Sample(having((2, 2), (3, 2, 2), 0, 0, 2)),
    Sample(having((2,), (4, 3), -2, 0, 1)),
    Sample(having((0,), (2, 3), 5, 0, 1))]))

# Other strides


def _unfold(x, dim, size, step):
    """Window after window; a scalar is a window itself."""
    if x.ndim == 0:
        return x.reshape(1)[:size]
    dim %= x.ndim
    windows = [np.take(x, range(i, i + size), dim) for i in range(0, x.shape[dim] - size + 1, step)]
    return np.moveaxis(np.stack(windows, dim), dim + 1, -1)


register(OpCase("unfold", _unfold, [
    Sample(having((5,), 0, 2, 1)), Sample(having((5,), 0, 2, 3)), Sample(having((2, 6, 3), 1, 3, 2)),
    Sample(having((2, 4), -1, 4, 1)),
    Sample(having((3,), 0, 1, 5)), Sample(having((3,), 0, 0, 1)), Sample(having((), 0, 1, 1)),
    Sample(having((0, 3), 1, 2, 1)),
    Sample((INTS, 1, 2, 1))],
    call=lambda x, *args: x.unfold(*args), view=True, torch="Tensor.unfold",
    errors=[BadInput((MATRIX, 1, 4, 1), {}, RuntimeError, "maximum size for tensor at dimension 1 is 3"),
            BadInput((MATRIX, 1, -1, 1), {}, RuntimeError, "size -1"), out_of_range(2, 1, 1),
            BadInput((MATRIX, 1, 2, 0), {}, RuntimeError, "step is 0 but must be > 0")]))


def _windows_dx(x, shape, dim, size, step):
    y = np.zeros(shape)
    x = np.moveaxis(x, -1, dim + 1)
    for i in range(x.shape[dim]):
        for j in range(size):
            y[(slice(None),) * dim + (i * step + j,)] += x[(slice(None),) * dim + (i, j)]
    return y


register(OpCase("windows_dx", _windows_dx, [
    Sample(having((4, 2), (5,), 0, 2, 1)), Sample(having((2, 2, 3, 3), (2, 6, 3), 1, 3, 2)),
    Sample(having((1, 1), (3,), 0, 1, 5)),
    Sample(having((4, 0), (3,), 0, 0, 1))]))


def _as_strided(x, size, stride, storage_offset=0):
    places = np.full(size, storage_offset)
    for i, (n, s) in enumerate(zip(size, stride)):
        places += (np.arange(n) * s).reshape([-1 if j == i else 1 for j in range(len(size))])
    return x.reshape(-1)[places]


register(OpCase("as_strided", _as_strided, [
    Sample(having((2, 3), (3, 2), (1, 3))), Sample(having((6,), (2, 2), (3, 1), 1)),
    Sample(having((5,), (3, 3), (1, 1))),
    Sample(having((4,), (2, 3), (0, 1))), Sample(having((3,), (), ())), Sample(having((3,), (0, 2), (1, 1))),
    Sample((INTS, (2,), (4,), 1))],
    call=lambda x, *args: x.contiguous().as_strided(*args), torch=lambda x,
    *args: x.contiguous().as_strided(*args),
    errors=[BadInput((MATRIX, (2, 2), (3, 3), 1), {}, RuntimeError, "memory of 6 elements"),
            BadInput((MATRIX, (2,), (1,), 5), {}, RuntimeError, "memory of 6 elements"),
            BadInput((MATRIX, (2, 2), (1,)), {}, RuntimeError, "mismatch in length of strides and shape"),
            BadInput((MATRIX, (2,), (-1,)), {}, RuntimeError, "negative")]))


def _resized(x, *size):
    y = np.zeros(int(np.prod(size)))
    y[:min(x.size, y.size)] = x.reshape(-1)[:y.size]
    return y.reshape(size)


register(OpCase("Tensor.resize_", _resized, [Sample(having((2, 3), 2, 2)), Sample(having((4,), 2, 2)),
    Sample(having((4,), 0, 3))],
                grad=False, call=lambda x, *size: x.clone().resize_(*size), torch=lambda x,
                *size: x.clone().resize_(*size),
                errors=[BadInput((MATRIX, -1), {}, RuntimeError, "negative")]))
