"""x[key] and x[key] = value, by integers, slices, None, Ellipsis, masks, lists and index tensors."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, register
from .shape import INTS, MATRIX, having

MASK = np.array([[True, False, True], [False, False, True]])
ROWS = np.array([False, True])
NONE = np.zeros(0, np.int64)


def at(*values):
    """An array of positions."""
    return np.array(values, np.int64)


def _read(x, key):
    return x[key]


def _two_steps(x, key):
    """NumPy's x[key], after integers and slices: in PyTorch an integer beside index arrays only selects."""
    key = key if isinstance(key, tuple) else (key,)
    key = [np.array(k, np.int64 if len(k) == 0 else None) if isinstance(k, (list, range)) else k for k in key]
    key = [k.astype(bool) if getattr(k, "dtype", None) == np.uint8 else k for k in key]
    key = [k.item() if getattr(k, "shape", None) == () else k for k in key]
    used = sum(k.ndim if getattr(k, "dtype", None) == np.bool_ else 1 for k in key if k is not None
        and k is not ... and type(k) is not bool)
    if not any(k is ... for k in key):
        key.append(...)
    first, then = [], []
    for k in key:
        if isinstance(k, np.ndarray):
            n = k.ndim if k.dtype == np.bool_ else 1
            first += [slice(None)] * n
            then.append(k)
        elif k is ...:
            first += [slice(None)] * (x.ndim - used)
            then += [slice(None)] * (x.ndim - used)
        elif type(k) is bool:  # a new dimension of size 1 or 0
            first.append(None)
            then.append(np.zeros(int(k), np.int64))
        else:
            first.append(k)
            then += [] if isinstance(k, int) else [slice(None)]
    return np.asarray(x[tuple(first)])[tuple(then)]


# Integers, slices, None and Ellipsis: a view

KEYS = [0, -1, slice(1, 2), slice(None, None, 2), slice(-1, None), slice(5, 9), slice(2, 1), None, ..., (),
    (1, slice(None)), (..., 0),
        (None, 0, slice(1, None)), (slice(None), None, ..., -1), (0, 1), (..., None), np.array(1),
        (slice(0, 2), np.array(-1))]
register(OpCase("slice", _two_steps, [
    *(Sample(having((2, 3), key)) for key in KEYS), Sample(having((2, 3, 2), (1, ..., 0))),
    Sample(having((2, 3, 2), (slice(1), 2, None, 0))),
    Sample(having((), ())), Sample(having((), ...)), Sample(having((), None)),
    Sample(having((0, 2), slice(0, 1))), Sample(having((0, 2), (..., 1))),
    Sample((INTS, (0, slice(1, None))))], call=_read, torch=_read, errors=[
    BadInput((MATRIX, 2), {}, IndexError, "index 2 is out of bounds for dimension 0 with size 2"),
    BadInput((MATRIX, (0, -4)), {}, IndexError, "index -4 is out of bounds for dimension 1 with size 3"),
    BadInput((MATRIX, (..., 3)), {}, IndexError, "index 3 is out of bounds for dimension 1"),
    BadInput((MATRIX, (0, 0, 0)), {}, IndexError, "too many indices for tensor of dimension 2"),
    BadInput((np.zeros(()), 0), {}, IndexError, "index|dimension"),
    BadInput((MATRIX, slice(None, None, -1)), {}, ValueError, "step must be greater than zero"),
    BadInput((MATRIX, (0, slice(None, None, 0))), {}, ValueError, "step")]))


def _placed(x, key, shape):
    y = np.zeros(shape)
    y[key] = x
    return y


register(OpCase("slice_dx", _placed, [
    Sample(having((2, 2), (slice(1, 3), slice(None, None, 2)), (4, 3))),
    Sample(having((3,), (1, ...), (2, 3))), Sample(having((), (1, 2), (2, 3))),
    Sample(having((0, 3), (slice(2, 1), ...), (2, 3))),
    Sample(lambda rng: (rng.standard_normal((1, 200)), (slice(3, 4),), (200, 200)),
                                                               big=True, dtypes=("float64",))]))

# Index arrays, lists and masks: a copy

register(OpCase("index", _two_steps, [
    # large ones first: the tests of kernels keep the first calls only
    Sample(lambda rng: (rng.standard_normal((300, 40)), rng.integers(-300, 300, 500)), big=True, dtypes=WIDE),
    Sample(lambda rng: (rng.standard_normal((40, 300)), (slice(None), rng.integers(0, 300, 500))), big=True,
        dtypes=("float32",)),
    Sample(lambda rng: (rng.standard_normal((200, 200)), rng.random((200, 200)) > 0.5), big=True,
        dtypes=("float64",)),
    *(Sample(having((2, 3), key)) for key in (
        at(0, 1, 1, -1), (slice(None), at(2, 0)), (at(0, 1), at(1, 1)), (at([0], [1]), at(0, -1)),
        at([0, 1], [1, 0]), (at(1), ...), NONE,
        (slice(None), NONE), (0, at(1, 1)), (at(1, 0), -1), (at(0, 1), None), (None, at(1)),
        (at(0, 1), None, at(2, 2)), (slice(1), at(0, 1)),
        (slice(None, None, 2), at(0, 1)), at(1).astype(np.int32), [0, 1, 1], [1], [], range(2), [True, False],
        (0, [2, 0]),
        ([0, 1], [2, 0]), (..., [0, -1]), MASK, ROWS, (slice(None), at(1, 0, 1) > 0), (ROWS, slice(1)),
        (0, at(1, 0, 1) > 0), (ROWS, at(2)),
        (ROWS, at(0, 1, 1) > 0), (ROWS, 1), (ROWS, None), np.zeros((2, 3), bool), np.zeros(2, np.uint8),
        ROWS.astype(np.uint8), True, False,
        (True, at(0, 1)), (0, True), (None, MASK), (np.array(1), at(0)))),
    *(Sample(having((2, 3, 4), key)) for key in (
        (at(0, 1), slice(None), at(1, 2)), (slice(None), at(0, 1), at(1, 2)), (at(0, 1), at(0, 2)),
        (slice(None), at(0, 1), slice(None, None, 2)),
        (0, slice(None), at(0, 3)), (at(1), 0, at(0, 3)), (MASK, at(1)), (MASK, slice(1, 3)),
        (slice(None), at([0], [2]), at(1, 2, 3)), (..., at(3, 3)))),
    Sample(having((0, 3), NONE)), Sample(having((0, 3), np.zeros(0, bool))), Sample(having((), True)),
    Sample(having((), np.array(False))),
    Sample((INTS, at(1, 0))), Sample((INTS, MASK)), Sample((MASK, (at(0), at(0)))),
], call=_read, view=True, torch=_read, kernels=("index_dx", "add_rows"), errors=[
    BadInput((MATRIX, at(2)), {}, IndexError, "index 2 is out of bounds for dimension 0 with size 2"),
    BadInput((MATRIX, (slice(None), at(0, -4))), {}, IndexError,
        "index -4 is out of bounds for dimension 1 with size 3"),
    BadInput((MATRIX, np.array([True])), {}, IndexError,
        r"shape of the mask \[1\] at index 0 does not match"),
    BadInput((MATRIX, (slice(None), ROWS)), {}, IndexError, r"shape of the mask \[2\]"),
    BadInput((MATRIX, (at(0, 1), at(0, 1, 2))), {}, IndexError,
        r"could not be broadcast together with shapes \[2\], \[3\]"),
    BadInput((MATRIX, (at(0), at(0), at(0))), {}, IndexError, "too many indices"),
    BadInput((MATRIX, (MASK, 0)), {}, IndexError, "too many indices"),
    BadInput((MATRIX, np.zeros(2)), {}, IndexError, "must be long, int, byte or bool"),
    BadInput((MATRIX, 1.5), {}, IndexError, "only integers"),
    BadInput((MATRIX, "a"), {}, TypeError, "invalid data type 'str'")]))


def _numpy_key(indices):
    return tuple(slice(None) if i is None else i for i in indices)


def _added(dy, indices, shape):
    y = np.zeros(shape)
    np.add.at(y, _numpy_key(indices), dy)
    return y


register(OpCase("index_dx", _added, [
    Sample(having((3, 4), [at(0, 2, 2)], (3, 4))),
    Sample(having((2, 2), [at(0, 1), None, at(1, 1)], (2, 2, 3))),
    Sample(having((2,), [at(0, 0), at(1, -1)], (2, 3))), Sample(having((3, 2), [None, at(1, 1)], (3, 4))),
    Sample(having((0, 4), [NONE], (3, 4))),
    Sample(having((2, 1, 3), [None, at([2]), at(0, 1, 1)], (2, 3, 2))), Sample(having((3,), [MASK], (2, 3))),
    Sample(having((2, 2), [None, at(1, 0, 1) > 0], (2, 3)))]))

# Written to


def _assigned(x, key, value):
    y = x * 1
    y[key] = value
    return y


def _assigned_reference(x, key, value):
    """Into a copy, at the positions that the same key finds in an array of positions."""
    y = x.copy()
    places = _two_steps(np.arange(x.size).reshape(x.shape), key)
    value = np.asarray(value)
    value = value.reshape(value.shape[max(value.ndim - places.ndim, 0):])  # without sizes of 1 in front
    y.reshape(-1)[places] = value
    return y


def _written(key, shape):
    return Sample(lambda rng: (rng.standard_normal((2, 3)), key, np.asarray(rng.standard_normal(shape))))


WRITES = [(0, (3,)), (0, ()), (slice(1, 2), (1, 3)), ((slice(None), 1), (2,)),
    ((slice(None), slice(None, None, 2)), (2, 1)), (..., (1, 2, 3)),
          ((0, 1), ()), ((0, 1), (1,)), ((None, 1), (1, 3)), ((1, slice(None), None), (3, 1)), ((), (3,)),
          (slice(5, 9), (0, 3)), (np.array(1), (3,)),
          (at(1, 0), (2, 3)), (at(1, 0), (3,)), (at(1), (1, 1, 1)), ((slice(None), at(2, 0)), (2, 1)),
          ((at(0, 1), at(1, 1)), (2,)),
          ((at([0], [1]), at(0, 2)), (2, 2)), ((0, at(0, 2)), (2,)), (([0, 1], None, [0, 1]), (2, 1)),
          (NONE, (0, 3)), (MASK, ()), (MASK, (3,)), (MASK, (1, 3)),
          (ROWS, (1, 3)), ((slice(None), at(1, 0, 0) > 0), (2, 1)), ((ROWS, at(0, 2)), (2,)),
          (np.zeros((2, 3), bool), (0,)), (True, (2, 3)), (True, (1, 2, 3))]
BAD_WRITES = [
    BadInput((MATRIX, 0, np.zeros(2)), {}, RuntimeError,
        r"shape \[2\] cannot be broadcast to indexing result of shape \[3\]"),
    BadInput((MATRIX, (slice(None), at(0, 1)), np.zeros((3, 2))), {}, RuntimeError,
        r"cannot be broadcast to indexing result of shape \[2, 2\]"),
    BadInput((MATRIX, MASK, np.zeros(2)), {}, RuntimeError, r"result of shape \[3\]"),
    BadInput((MATRIX, MASK, np.zeros((2, 2))), {}, RuntimeError, "broadcast"),
    BadInput((MATRIX, at(0), np.ones((1, 3), np.int64)), {}, RuntimeError,
        "source and destination dtypes match"),
    BadInput((MATRIX, 9, 1.0), {}, IndexError, "index 9 is out of bounds"),
    BadInput((MATRIX, at(9), 1.0), {}, IndexError, "index 9 is out of bounds"),
    BadInput((MATRIX, np.array([True]), 1.0), {}, IndexError, "shape of the mask"),
    BadInput((MATRIX, 0, "a"), {}, TypeError, "can't assign a str"),
    BadInput((MATRIX, 0, 1j), {}, RuntimeError, "cannot be converted")]
for bad in BAD_WRITES:
    bad.named = False
register(OpCase("Tensor.__setitem__", _assigned_reference, [_written(*w) for w in WRITES], call=_assigned,
    torch=_assigned, errors=BAD_WRITES))
register(OpCase("Tensor.__setitem__", _assigned_reference, [
    *(Sample((INTS, key, value)) for key, value in ((0, 7), ((slice(None), 1), True), (0, 1.7), (at(1, 1), 5),
        (MASK, -1), (0, at(4, 5, 6)), (MASK, at(7, 8, 9)))),
    *(Sample(lambda rng, k=key, v=value: (rng.standard_normal((2, 3)), k, v)) for key,
        value in ((0, 2), (at(1), 2.5), (MASK, True), (..., -1)))],
    variant="numbers", grad=False, call=_assigned, torch=_assigned))


def _into_constant(value, key, shape):
    from minitorch import zeros

    y = zeros(shape, dtype=value.dtype, device=value.device)
    y[key] = value
    return y


register(OpCase("Tensor.__setitem__", lambda value, key,
    shape: _assigned_reference(np.zeros(shape), key, value), [
    Sample(having((3,), 1, (2, 3))), Sample(having((2, 1), (slice(None), at(2, 0)), (2, 3))),
    Sample(having((3,), MASK, (2, 3))),
    Sample(having((), (0, 1), (2, 3)))], variant="into a constant", call=_into_constant))


def _put(x, indices, values, accumulate=False):
    y = x.copy()
    if accumulate:
        np.add.at(y, _numpy_key(indices), values)
    else:
        y[_numpy_key(indices)] = values
    return y


def _putting(shape, indices, values, accumulate=False):
    return Sample(lambda rng: (rng.standard_normal(shape), indices, np.asarray(rng.standard_normal(values))),
        {"accumulate": accumulate})


register(OpCase("index_put", _put, [
    _putting((3, 4), [at(2, 0)], (2, 4)), _putting((3, 4), [at(2, 0)], (4,), True),
    _putting((3, 4), [at(2, 2)], (2, 4), True),
    _putting((3, 4), (at(1), at(2)), ()), _putting((3, 4), (at(0, 0), at(-1, 3)), (2,), True),
    _putting((3, 4), (at([0], [1]), at(0, 1)), (2, 1)),
    _putting((2, 3), (MASK,), (3,)), _putting((2, 3), (MASK,), (), True), _putting((2, 3), (NONE,), (0, 3)),
    _putting((2, 3), (ROWS,), (1, 3), True),
    Sample((INTS, [at(0, 0)], np.array(5)), {"accumulate": True}), Sample((INTS, [at(1)], at(7, 8, 9)))],
    errors=[
    BadInput((MATRIX, [at(0)], at(1)), {}, RuntimeError, "source and destination dtypes match"),
    BadInput((MATRIX, [at(2)], np.zeros(3)), {}, IndexError,
        "index 2 is out of bounds for dimension 0 with size 2"),
    BadInput((MATRIX, [at(2)], np.zeros(3), True), {}, IndexError, "index 2 is out of bounds"),
    BadInput((MATRIX, [at(0, 1)], np.zeros((3, 3))), {}, RuntimeError,
        r"cannot be broadcast to indexing result of shape \[2, 3\]"),
    BadInput((MATRIX, [at(0)], np.zeros((1, 1, 3))), {}, RuntimeError,
        r"shape \[1, 1, 3\] cannot be broadcast"),
    BadInput((MATRIX, [at(0, 1)], np.zeros((3, 3)), True), {}, RuntimeError, "cannot be broadcast")]))
