"""Copies with the elements in other places: repeated, moved, masked, on diagonals, padded; and windows."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register
from .shape import INTS, MATRIX, having, numbers

BOOLS = INTS % 2 == 0
VECTOR = np.zeros(3)
SCALAR = np.zeros(())
BAD_DIM = BadInput((MATRIX, 2), {}, IndexError, "Dimension out of range")


def plain(*shapes, **options):
    return [Sample(arrays_like(s), options) for s in shapes]


# Repeated


def _repeat(x, *repeats_, repeats=None):
    """Element by element: y[i] = x[i mod n]."""
    times = numbers(repeats_) if repeats is None else repeats
    x = x.reshape((1,) * (len(times) - x.ndim) + x.shape)
    y = np.zeros([r * n for r, n in zip(times, x.shape)], x.dtype)
    for place in np.ndindex(y.shape):
        y[place] = x[tuple(i % n for i, n in zip(place, x.shape))]
    return y


REPEATED = [having((2, 3), 2, 1, 2), having((2, 1), (1, 3)), having((), 3), having((3,), 0),
    having((0, 2), 2, 2), having((2, 3), 1, 1),
            having((1, 1), [2, 2])]
register(OpCase("repeat", _repeat, [*map(Sample, REPEATED), Sample(having((2,)), {"repeats": (2, 2)}),
    Sample((INTS, 1, 2)),
                                    Sample((BOOLS, 2, 1))],
                torch="Tensor.repeat",
                errors=[BadInput((MATRIX, 2), {}, RuntimeError,
                    "can not be smaller than number of dimensions"),
                                               BadInput((MATRIX, -1, 1), {}, RuntimeError,
                                                   "negative dimension")]))
register(OpCase("tile", lambda x, *dims_, dims=None: _repeat(x,
    *(1,) * (x.ndim - len(numbers(dims_) if dims is None else dims)),
                                                             *(numbers(dims_) if dims is None else dims)), [
    *map(Sample, REPEATED), Sample(having((2, 3), 2)), Sample(having((2, 3)), {"dims": (2,)}),
    Sample((INTS, 2))],
    torch="Tensor.tile", errors=[BadInput((MATRIX, -1), {}, RuntimeError, "negative dimension")]))


def _repeat_interleave(x, repeats, dim=None, output_size=None):
    x, dim = (x.reshape(-1), 0) if dim is None else (x, dim)
    slices = np.moveaxis(x, dim, 0)
    times = np.broadcast_to(repeats, len(slices)) if np.size(repeats) == 1 else repeats
    chosen = [s for s, n in zip(slices, times) for _ in range(int(n))]
    return np.moveaxis(np.array(chosen, x.dtype).reshape(len(chosen), *slices.shape[1:]), 0, dim)


register(OpCase("repeat_interleave", _repeat_interleave, [
    Sample(having((2, 3), 2)), Sample(having((2, 3), 2), {"dim": -1}),
    Sample(having((2, 3), np.array([2, 0, 1])), {"dim": 1}),
    Sample(having((2, 3), np.array([1, 2])), {"dim": -2, "output_size": 3}),
    Sample(having((3,), np.array([1, 0, 3]))),
    Sample(having((2, 3), 0), {"dim": 0}), Sample(having((2, 2), np.array([2])), {"dim": 1}),
    Sample(having((2, 2), np.array(2)), {"dim": 1}),
    Sample(having((), 3)), Sample(having((0, 2), 2), {"dim": 1}),
    Sample((INTS, np.array([2, 1], np.int32)), {"dim": 0})],
    errors=[BadInput((MATRIX, -1), {"dim": 0}, RuntimeError, "non-negative"),
        BadInput((MATRIX, 2, 2), {}, IndexError, "Dimension"),
            BadInput((MATRIX, np.array([1, -2]), 0), {}, RuntimeError, "can not be negative"),
            BadInput((MATRIX, np.array([1, 2]), 1), {}, RuntimeError, "same size as input along dim"),
            BadInput((MATRIX, np.array([[1, 2]]), 0), {}, RuntimeError, "repeats must be"),
            BadInput((MATRIX, np.ones(2), 0), {}, RuntimeError, "repeats must be")]))
register(OpCase("repeat_interleave", lambda n: np.array([i for i, m in enumerate(n) for _ in range(m)],
    np.int64), [
    Sample((np.array([0, 2, 1]),)), Sample((np.array([0]),)), Sample((np.zeros(0, np.int64),))],
    variant="counts", grad=False,
    errors=[BadInput((np.zeros(2),), {}, RuntimeError, "repeats must be")]))

# Moved


def _flip(x, *dims_, dims=None):
    y = np.zeros_like(x)
    turned = [d % max(x.ndim, 1) for d in (numbers(dims_) if dims is None else dims)]
    for place in np.ndindex(x.shape):
        y[place] = x[tuple(n - 1 - i if d in turned else i for d, (i, n) in enumerate(zip(place, x.shape)))]
    return y


register(OpCase("flip", _flip, [
    Sample(having((2, 3), 0)), Sample(having((2, 3), -1)), Sample(having((2, 3), 0, -1)),
    Sample(having((2, 3, 2), (2, 0))),
    Sample(having((2, 3), [])), Sample(having((2, 3)), {"dims": [1]}), Sample(having((), 0)),
    Sample(having((), ())), Sample(having((0, 2), 1)),
    Sample((INTS, 0, 1)), Sample((BOOLS, 1))],
    torch="Tensor.flip",
    errors=[BAD_DIM, BadInput((MATRIX, 0, -2), {}, RuntimeError, "dim 0 appears multiple times")]))
register(OpCase("fliplr", lambda x: _flip(x, 1), plain((2, 3), (2, 3, 2), (1, 0)),
                errors=[BadInput((VECTOR,), {}, RuntimeError, "Input must be >= 2-d")]))
register(OpCase("flipud", lambda x: _flip(x, 0), plain((2, 3), (3,)),
    errors=[BadInput((SCALAR,), {}, RuntimeError, "Input must be >= 1-d")]))


def _roll(x, shifts, dims=None):
    if dims is None or dims == ():
        return _roll(x.reshape(-1), shifts, 0).reshape(x.shape)
    for shift, dim in zip(np.atleast_1d(shifts), np.atleast_1d(dims)):
        n = x.shape[dim]
        x = np.take(x, [(i - shift) % n for i in range(n)], dim) if n else x
    return x


register(OpCase("roll", _roll, [
    Sample(having((2, 3), 1)), Sample(having((2, 3), -4, 1)), Sample(having((2, 3), (1, -1), (0, -1))),
    Sample(having((4,), (1, 2), (0, 0))),
    Sample(having((2, 3), 3, dims := 1)), Sample(having((2, 3), 0, dims)), Sample(having((), 1)),
    Sample(having((0, 2), 1, 0)),
    Sample(having((0,), 1)), Sample((INTS, 2))],
    errors=[BadInput((MATRIX, (1, 2), 0), {}, RuntimeError, "shifts and dimensions must align"),
            BadInput((MATRIX, (1, 2)), {}, RuntimeError, "must align"),
            BadInput((MATRIX, 1, 2), {}, IndexError, "Dimension out of range")]))


def _rot90(x, k=1, dims=(0, 1)):
    """k times: the element at (i, j) goes to (n - 1 - j, i), n the second dimension's size."""
    x = np.moveaxis(x, dims, (0, 1))
    for _ in range(k % 4):
        y = np.zeros((x.shape[1], x.shape[0], *x.shape[2:]), x.dtype)
        for i, j in np.ndindex(x.shape[:2]):
            y[x.shape[1] - 1 - j, i] = x[i, j]
        x = y
    return np.moveaxis(x, (0, 1), dims)


register(OpCase("rot90", _rot90, [
    *(Sample(having((2, 3), k)) for k in (1, 2, 3, 4, -1, 0)), Sample(having((2, 3)), {"dims": (1, 0)}),
    Sample(having((2, 3, 2), 1, [1, 2])), Sample(having((2, 3, 2), 3, (-1, 0))), Sample(having((0, 2))),
    Sample((INTS,))],
    errors=[BadInput((VECTOR,), {}, RuntimeError, "total dims >= 2"),
        BadInput((MATRIX, 1, (0,)), {}, RuntimeError, "rotation dims"),
            BadInput((MATRIX, 1, (0, -2)), {}, RuntimeError, "rotation dims to be different"),
            BadInput((MATRIX, 1, (0, 2)), {}, IndexError, "Dimension out of range")]))

# Masked


def _masked(keep):
    def reference(x, diagonal=0):
        y = x.copy()
        for place in np.ndindex(x.shape):
            if not keep(place[-1] - place[-2], diagonal):
                y[place] = 0
        return y
    return reference


for name, keep in (("tril", lambda d, k: d <= k), ("triu", lambda d, k: d >= k)):
    register(OpCase(name, _masked(keep), [
        *plain((3, 4), (4, 3), (2, 3, 3), (0, 3), (1, 1)), *plain((3, 4), diagonal=1),
        *(Sample(having((3, 4), d)) for d in (-1, -9, 9)),
        Sample((INTS,)), Sample((BOOLS, 1)), Sample((np.full((2, 2), np.inf),), grad=False),
        Sample(lambda rng: (rng.standard_normal((2, 2)) + 1j,), dtypes=WIDE)],
        errors=[BadInput((VECTOR,), {}, RuntimeError, "must have at least 2 dimensions")]))

# Diagonals


def _diag_embed(x, offset=0, dim1=-2, dim2=-1):
    n = x.shape[-1] + abs(offset)
    y = np.zeros((*x.shape[:-1], n, n), x.dtype)
    for i in range(x.shape[-1]):
        y[..., i + max(-offset, 0), i + max(offset, 0)] = x[..., i]
    return np.moveaxis(y, (-2, -1), (dim1, dim2))


def _diag(x, diagonal=0):
    if x.ndim == 1:
        return _diag_embed(x, diagonal)
    return np.array([x[i, i + diagonal] for i in range(len(x)) if 0 <= i + diagonal < x.shape[1]], x.dtype)


register(OpCase("diag_embed", _diag_embed, [
    *plain((3,), (2, 3), (0,), (2, 0)), *plain((2, 3), offset=1), Sample(having((2, 2), -1, 0, -1)),
    Sample(having((2, 2), 1, 2, 0)),
    Sample((INTS, -2))],
    errors=[BadInput((MATRIX, 0, 1, -2), {}, RuntimeError, "diagonal dimensions cannot be identical"),
            BadInput((MATRIX, 0, 1, 3), {}, IndexError, "Dimension out of range"),
            BadInput((SCALAR,), {}, IndexError, "dimension")]))
register(OpCase("diag", _diag, [
    *plain((3,), (3, 4), (1, 1), (0,), (0, 2)),
    *(Sample(having(s, d)) for s in ((3,), (3, 4)) for d in (1, -1, -5)), Sample((INTS, 1))],
    errors=[BadInput((np.zeros((1, 1, 1)),), {}, RuntimeError, "1D or 2D tensors. Got 3D"),
        BadInput((SCALAR,), {}, RuntimeError, "Got 0D")]))
register(OpCase("diagflat", lambda x, offset=0: _diag_embed(x.reshape(-1), offset),
    [*plain((2, 2), (3,), (), (0, 2)), *plain((2,), offset=-1)]))
register(OpCase("trace", lambda x: np.sum([x[i, i] for i in range(min(x.shape))], dtype=x.dtype), [
    *plain((3, 4), (4, 3), (1, 1), (0, 3)), Sample((INTS,))],
    errors=[BadInput((VECTOR,), {}, RuntimeError, "expected a matrix"),
        BadInput((np.zeros((1, 1, 1)),), {}, RuntimeError, "with dim 3")]))

# Padded


def _padded(x, pad, value=0):
    """Each element in its new place, where that is inside."""
    n = len(pad) // 2
    widths = [(0, 0)] * (x.ndim - n) + [(pad[2 * i], pad[2 * i + 1]) for i in range(n - 1, -1, -1)]
    y = np.full([m + a + b for m, (a, b) in zip(x.shape, widths)], value, x.dtype)
    for place in np.ndindex(x.shape):
        target = tuple(i + a for i, (a, _) in zip(place, widths))
        if all(0 <= i < m for i, m in zip(target, y.shape)):
            y[target] = x[place]
    return y


def _torch_pad(x, pad, value=0):
    import torch

    return torch.nn.functional.pad(x, pad, value=value)


register(OpCase("constant_pad", _padded, [
    Sample(having((2, 3), (1, 2))), Sample(having((2, 3), [1, -1, 0, 2], 5.0)),
    Sample(having((2, 3), (-1, -1))), Sample(having((2, 3), (-3, 4), 1.5)),
    Sample(having((2, 3), (-1, -2))), Sample(having((0, 2), (1, 1, 1, 1), 2.0)), Sample(having((2,), ())),
    Sample(having((2, 1, 2), (0, 0, 1, 1))),
    Sample((INTS, (1, 1), 7)), Sample((BOOLS, (1, 0), True)),
    Sample(lambda rng: (rng.standard_normal((200, 90)), (1, 1)), big=True, dtypes=("float64",))],
    torch=_torch_pad,
    errors=[BadInput((MATRIX, (1,)), {}, RuntimeError, "pairs"),
        BadInput((MATRIX, (1,) * 6), {}, RuntimeError, "at most 2 dimensions"),
            BadInput((MATRIX, (-2, -2)), {}, RuntimeError, "negative output size")]))


# Windows for spectra


def _window(name, beta=None):
    def reference(n, periodic=True, **options):
        import scipy.signal.windows as windows

        shape = (name, options.get("beta", 12.0)) if name == "kaiser" else name
        if name == "hamming" and "alpha" in options:
            shape = ("general_cosine", [options["alpha"], options["beta"]])
        return windows.get_window(shape, n, fftbins=periodic) if n else np.zeros(0)
    return reference


for name in ("hann", "hamming", "blackman", "bartlett", "kaiser"):
    register(OpCase(f"{name}_window", _window(name), [
        *(Sample((n,)) for n in (0, 1, 2, 5, 8)), *(Sample((n, False)) for n in (1, 2, 5, 6)),
        Sample((4,), {"dtype": "float64"}),
        *([Sample((6,), {"beta": 4.0})] if name == "kaiser" else []),
        *([Sample((6,), {"alpha": 0.5, "beta": 0.4})] if name == "hamming" else [])], grad=False,
        dtypes=("float32",),
        errors=[BadInput((-1,), {}, RuntimeError, "non-negative window_length, got window_length=-1"),
                BadInput((3,), {"dtype": "int64"}, RuntimeError, "floating point")]))
