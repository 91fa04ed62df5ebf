"""Indexing and views in place as PyTorch has them: the same programs on both, with values, gradients and errors."""
from __future__ import annotations

import numpy as np
import pytest

import minitorch as mt

MATRIX = np.array([[0.5, -1.0, 2.0, 0.25], [1.5, 0.75, -0.5, 3.0], [-2.0, 1.0, 0.1, -0.3]])


def from_both(torch, program, array=MATRIX):
    """What a program gives on PyTorch and here: its value and the gradient of its input, or the error's class."""
    found = []
    for lib in (torch, mt):
        x = lib.from_numpy(array.copy()).requires_grad_()
        try:
            y = program(lib, x)
            weights = lib.from_numpy(np.linspace(-1, 1, max(y.numel(), 1))[:y.numel()].reshape(tuple(y.shape)))
            (y * weights).sum().backward()
        except Exception as error:
            found.append(error)
        else:
            found.append((np.asarray(y.detach().numpy()), x.grad.numpy()))
    return found


def agree(theirs, ours):
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), f"PyTorch raises {type(theirs).__name__}: {theirs}; here: {ours!r}"
        return
    assert not isinstance(ours, Exception), ours
    for a, b in zip(theirs, ours):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


KEYS = [0, -1, slice(1, 3), slice(None, None, 2), None, ..., (0, 1), (slice(None), 1), (..., 0), (None, 0), True,
        (0, True), [0, 2], [True, False, True], [[0, 1], [1, 2]], [slice(0, 1), 0], (slice(None), [0, 3]),
        ([0, 1], [1, 1]), ([0, 1], None, [1, 0]), (0, slice(None), None), range(2), np.int64(1),
        (slice(None), np.int64(-1)), slice(10, 20), (slice(5, 2),), (0, [0, 1], None),
        5, (0, 9), (0, 0, 0), [7], [True, False], ([0, 1], [0, 1, 2]), 1.5, slice(None, None, -1)]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_reading(torch, key):
    agree(*from_both(torch, lambda lib, x: x[key] * 1))


# [7]: PyTorch raises IndexError, or with a gradient RuntimeError
@pytest.mark.parametrize("key", [k for k in KEYS if k != [7]], ids=repr)
def test_writing(torch, key):
    def program(lib, x):
        y = x * 1
        y[key] = x[key] * 2
        return y * y

    agree(*from_both(torch, program))


def test_an_integer_beside_index_arrays_only_selects(torch):
    """NumPy would count the integer as an index array, and put the arrays' dimension first."""
    cube = np.arange(24.0).reshape(2, 3, 4)
    agree(*from_both(torch, lambda lib, x: x[0, :, lib.tensor([1, 0, 3])] * 1, cube))
    agree(*from_both(torch, lambda lib, x: x[lib.tensor([1, 0]), :, lib.tensor([0, 2])] * 1, cube))


def row(lib, x):
    y = x * 1
    y[0].mul_(2)
    return y * y


def chain(lib, x):
    y = x * 1
    v = y[:, 1]
    w = v[1:]
    w.add_(x[0, 0])
    v.mul_(3)
    return lib.cat([(y * y).reshape(-1), v, w * w])


def transposed(lib, x):
    y = x * 1
    y.t()[0] = x[0, 0]
    y.transpose(0, 1).mul_(2)
    return y


def diagonal(lib, x):
    y = x * 1
    y.view(-1)[3] = x.sum()
    y[1:, 2] = y[0, 0]
    y.diagonal().mul_(2)
    return y * y


def through_squeezed(lib, x):
    y = x * 1
    y[:2, :2].unsqueeze(0)[0].squeeze().mul_(x[1:, 2:])
    return y * y.sum()


def augmented(lib, x):
    y = x * 1
    y[0:2] += 1
    y[0, 0] *= 5
    y[:, 1] -= x[:, 0]
    return y * y


def masked(lib, x):
    y = x * 1
    y[y > 0] = x[x > 0] * 3
    y[lib.tensor([0, 2]), 1] = 0.5
    return y * x


def overwritten_after_use(lib, x):
    y = x * 1
    w = y * y
    y[0] = 1.0
    return w


def overwritten_before_use(lib, x):
    y = x * 1
    w = y + 1
    y.view(-1).mul_(2)
    return w + y


def leaf(lib, x):
    x[0] = 1.0
    return x


def view_of_leaf(lib, x):
    x[0].mul_(2)
    return x


def expanded(lib, x):
    y = x * 1
    y.expand(2, 3, 4).mul_(2)
    return y


def incompatible_view(lib, x):
    return (x * 1).t().view(-1)


@pytest.mark.parametrize("program", [row, chain, transposed, diagonal, through_squeezed, augmented, masked,
                                     overwritten_after_use, overwritten_before_use, leaf, view_of_leaf, expanded,
                                     incompatible_view],
                         ids=lambda p: p.__name__)
def test_changes_of_views(torch, program):
    agree(*from_both(torch, program))


@pytest.mark.parametrize("cut", [lambda y: y.unbind(0), lambda y: y.split(2, 1), lambda y: y.chunk(3),
                                 lambda y: y.tensor_split(2)],
                         ids=["unbind", "split", "chunk", "tensor_split"])
def test_parts_write_to_the_whole(cut):
    """PyTorch refuses to change one of several views in place; here the change reaches the whole, gradient and all."""
    x = mt.tensor(MATRIX, requires_grad=True)
    y = x * 1
    first, second = cut(y)[:2]
    first.mul_(3)
    np.testing.assert_array_equal(cut(y)[0].detach().numpy(), cut(mt.tensor(MATRIX))[0].numpy() * 3)
    (y.sum() + second.sum()).backward()
    expected = np.ones_like(MATRIX)
    whole, part = mt.tensor(expected), mt.tensor(expected)
    cut(whole)[0].mul_(3)
    cut(part)[1].add_(1)
    np.testing.assert_array_equal(x.grad.numpy(), (whole + part - 1).numpy())


def test_index_tensors_may_change_before_backward():
    x, index = mt.tensor(MATRIX, requires_grad=True), mt.tensor([0, 0])
    y = x[index].sum()
    index.add_(1)
    y.backward()
    assert x.grad.sum(1).tolist() == [8.0, 0.0, 0.0]


@pytest.mark.parametrize("call", [lambda x: x.amax(1), lambda x: x.max(), lambda x: x.min(), lambda x: x.median(),
                                  lambda x: x.norm(float("inf")), lambda x: x.max(1).values, lambda x: x.amin((0, 1))],
                         ids=["amax", "max", "min", "median", "norm", "max-along", "amin"])
def test_ties_share_the_gradient(torch, call):
    """All forms but the one that names an index share it evenly."""
    ties = np.array([[1.0, 3.0, 3.0], [2.0, 1.0, 2.0], [3.0, 3.0, 1.0]])
    agree(*from_both(torch, lambda lib, x: call(x), ties))


def test_as_strided_stays_in_the_memory():
    x = mt.zeros(3, 4)
    for size, stride, start in (((2, 2), (40, 1), 0), ((13,), (1,), 0), ((2,), (1,), 11), ((2,), (1,), -1)):
        with pytest.raises(RuntimeError, match="as_strided"):
            x.as_strided(size, stride, start)
    with pytest.raises(RuntimeError, match="as_strided"):
        mt.zeros(0, 3).as_strided((2, 2), (1, 1))
