"""In-place changes and views: their gradients, and the version counters that catch what backward still needed."""
from __future__ import annotations

import numpy as np
import pytest
from helpers import leaf

import minitorch as mt
from minitorch.autograd import grad
from minitorch.errors import GraphError


def matrix(requires_grad=True):
    return mt.arange(6, dtype=mt.float64).reshape(2, 3).detach().requires_grad_(requires_grad)


# Programs that run on both libraries; each returns (what is differentiated, leaves)


def changed_intermediate(lib, x, w):
    y = x * 2
    y.add_(w)
    y.mul_(x)
    return y


def changed_after_use(lib, x, w):
    y = x + 1
    z = y + w  # keeps nothing of y
    y.mul_(3)
    return z * y


def assigned_slice(lib, x, w):
    y = x * 1
    y[0] = w[1] * 5
    return y * y


def assigned_column(lib, x, w):
    y = x * 2
    for i in range(3):
        y[:, i] = w[:, i] * (i + 1) + y[:, 2 - i]
    return y * x


def assigned_scalar(lib, x, w):
    y = x * w
    y[1, 1:] = 7.0
    return y * y


def assigned_into_constant(lib, x, w):
    y = lib.zeros(2, 3, dtype=lib.float64)
    y[0] = x[1]
    y[1, ::2] = w[0, ::2] * x[0, ::2]
    return y * w


def assigned_broadcast(lib, x, w):
    y = x * 1
    y[:, 1:] = w[:, :1]
    return y * w


def assigned_mask(lib, x, w):
    y = x * 1
    y[x > 2] = 0.5
    y[lib.tensor([1, 0])] = y.clone() * w
    return y * y


def assigned_by_index(lib, x, w):
    y = x * 1
    y[lib.tensor([0, 1]), lib.tensor([2, 0])] = w[:, 1]
    return y * y


def changed_view(lib, x, w):
    y = x * 1
    v = y[1]
    v.mul_(w[0])
    return y * w


def changed_view_of_view(lib, x, w):
    y = x * 1
    v = y.t()[1:]
    u = v[:, 0]
    u.add_(w[0, 1:])
    v.mul_(2)
    return y * v.sum() + u.sum()


def changed_reshaped(lib, x, w):
    y = x * w
    v = y.view(6)
    v[::2].mul_(3)
    v[1] = v[2].clone() * v[3].clone()
    return y * y


def base_changed_under_view(lib, x, w):
    y = x * 1
    v = y[0]
    y.mul_(w)
    return v * x[1] + y.sum()


def base_replaced_under_view(lib, x, w):
    y = x * 1
    v = y.view(3, 2)
    y[0] = w[1]
    y.zero_()
    y.add_(w * 2)
    return v * v


def chain_of_changes(lib, x, w):
    y = x * 1
    a = y[:, 1:]
    b = a[0]
    for i in range(3):
        b.add_(w[0, 1:])
        a.mul_(w[:, i:i + 1])
        y.add_(1)
    return y * b.sum() + a.sum()


def unsqueezed_and_expanded(lib, x, w):
    y = x * 1
    y.unsqueeze(0)[0, 1].add_(w[1])
    y.squeeze().t()[0] *= 2
    return y.unsqueeze(1).expand(2, 2, 3) * w


def split_in_place(lib, x, w):
    y = x * 1
    y.transpose(0, 1)[2].mul_(w[:, 2])
    y.select(1, 0).copy_(w[:, 1])
    y.narrow(1, 1, 2).fill_(2.5)
    return y * w


def zeroed(lib, x, w):
    y = x * w
    z = y.clone()
    y.zero_()
    return y + z


def copied_into(lib, x, w):
    y = lib.zeros(2, 3, dtype=lib.float64)
    y.copy_(x)
    y.mul_(w)
    z = lib.empty(2, 2, 3, dtype=lib.float64)
    z[0].copy_(y)
    z[1].copy_(w)
    return z * z


def operators(lib, x, w):
    y = x * 1
    y += w
    y *= x
    y -= 1
    y /= w + 3
    return y


def a_slice_of_itself(lib, x, w):
    y = x * 1
    y[0] += y[1]
    y[:, 1:] *= y[:, :2].clone()
    return y * w


def detached_view(lib, x, w):
    y = x * 1
    y[0].detach().zero_()
    return y + w


def named_operations(lib, x, w):
    y = x * w
    index = lib.tensor([[0, 1, 0], [1, 1, 0]])
    y.clamp_min_(2.0).index_add_(0, lib.tensor([1, 1]), w).masked_fill_(index == 1, 0.25)
    y.mul_(w).scatter_add_(0, index, x).addmm_(w, w.t() @ w).pow_(2).lerp_(x, 0.3).addcmul_(x, w).div_(w)
    return y.t_().squeeze_(0).unsqueeze_(1)


PROGRAMS = [changed_intermediate, changed_after_use, assigned_slice, assigned_column, assigned_scalar,
            assigned_into_constant, assigned_broadcast, assigned_mask, assigned_by_index, changed_view,
            changed_view_of_view, changed_reshaped, base_changed_under_view, base_replaced_under_view,
            chain_of_changes, unsqueezed_and_expanded, split_in_place, zeroed, copied_into, operators,
            a_slice_of_itself, detached_view, named_operations]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_programs_as_in_pytorch(torch, program):
    """Values, first and second derivatives are PyTorch's."""
    start = np.random.default_rng(0).uniform(0.5, 3.5, (2, 2, 3))
    results = []
    for lib in (mt, torch):
        x, w = (lib.tensor(a.tolist(), dtype=lib.float64, requires_grad=True) for a in start)
        y = program(lib, x, w)
        first = lib.autograd.grad((y * y).sum(), [x, w], create_graph=True, allow_unused=True)
        found = [y, *first]
        again = sum((g * g).sum() for g in first if g is not None and g.requires_grad)
        if not isinstance(again, int):
            found += lib.autograd.grad(again, [x, w], allow_unused=True)
        results.append([None if f is None else np.array(f.detach().tolist()) for f in found])
    assert len(results[0]) == len(results[1])
    for ours, theirs in zip(*results):
        if ours is None or theirs is None:
            assert (ours is None and theirs is None) or not np.any(ours if theirs is None else theirs)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_programs_against_differences(program):
    """Backward agrees with differences: no PyTorch needed."""
    start = np.random.default_rng(0).uniform(0.5, 3.5, (2, 2, 3))
    if program in (assigned_mask, detached_view):
        pytest.skip("what is masked or detached is no function of the input alone")
    x, w = (mt.tensor(a.tolist(), dtype=mt.float64, requires_grad=True) for a in start)
    assert mt.autograd.gradcheck(lambda x, w: program(mt, x, w), [x, w])


# Leaves


def test_leaves_change_under_no_grad():
    x = leaf(1.0, 2.0)
    with mt.no_grad():
        x -= 0.5
        x[0] = 9
        x.mul_(2)
    assert x.tolist() == [18, 3] and x.requires_grad and x.is_leaf
    (x * x).sum().backward()
    assert x.grad.tolist() == [36, 6]


@pytest.mark.parametrize("change", [lambda x: x.add_(1), lambda x: x.__setitem__(0, 1.0), lambda x: x.zero_(),
                                    lambda x: x[0:1].add_(1), lambda x: x.view(2)[1:].mul_(2),
                                    lambda x: x.t().fill_(2), lambda x: x.copy_(mt.zeros(2))],
                         ids=["add_", "setitem", "zero_", "slice", "view", "t", "copy_"])
def test_leaves_that_require_grad_cannot_change(change):
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        change(x)
    assert x.tolist() == [1, 2] and x.is_leaf


def test_leaf_gets_history_by_assignment():
    y = mt.zeros(3, dtype=mt.float64)
    x = leaf(2.0)
    y[1] = x * 3
    assert y.requires_grad and not y.is_leaf
    y.sum().backward()
    assert x.grad.item() == 3


def test_data_changes_unnoticed():
    x = leaf(1.0, 2.0)
    y = x * x
    x.data.mul_(10)
    y.sum().backward()
    assert x.grad.tolist() == [20, 40]  # the values it has now: `data` is for those who know


def test_data_setter():
    x = leaf(1.0, 2.0)
    x.data = mt.tensor([5.0, 6.0, 7.0], dtype=mt.float64)
    assert x.tolist() == [5, 6, 7] and x.requires_grad


# Version counters


@pytest.mark.parametrize("name, make, change", [
    ("mul", lambda x, y: y * x, lambda y: y.add_(1)),
    ("exp", lambda x, y: (y * 2).exp(), None),
    ("mul", lambda x, y: y * x, lambda y: y[0:1].zero_()),
    ("mul", lambda x, y: y * x, lambda y: y.__setitem__(0, 5.0)),
    ("mul", lambda x, y: y[1:] * x[1:], lambda y: y.mul_(2)),
    ("mul", lambda x, y: y * x, lambda y: y.detach().mul_(2)),
    ("mul", lambda x, y: y * x, lambda y: y.view(2, 1).squeeze(1)[1:].fill_(0)),
    ("tanh", lambda x, y: y.tanh(), None),
    ("sin", lambda x, y: y.sin(), lambda y: y.neg_()),
    ("div", lambda x, y: x / y, lambda y: y.add_(1)),
    ("pow", lambda x, y: y ** 3, lambda y: y.add_(1)),
])
def test_overwriting_is_caught(name, make, change):
    """What a gradient function keeps, its input or its output, was changed: the error names operation and value."""
    x = leaf(1.0, 2.0)
    y = x * 3
    z = make(x, y)
    (change or (lambda _: z.add_(1)))(y)
    with pytest.raises(GraphError, match=f"(?s)modified by an inplace operation.*{name}.*'.*'.*version"):
        z.sum().backward()
    assert x.grad is None


@pytest.mark.parametrize("make", [lambda x, y: y + x, lambda x, y: y - x, lambda x, y: y * 3, lambda x, y: y.sum(),
                                  lambda x, y: y.reshape(2, 1), lambda x, y: mt.cat([y, x])])
def test_what_is_not_kept_may_be_overwritten(make):
    x = leaf(1.0, 2.0)
    y = x * 3
    z = make(x, y)
    y.zero_()
    z.sum().backward()


def test_only_the_gradient_that_is_needed_keeps():
    """In c * y, with c constant, dy needs c alone: y may change."""
    x, c = leaf(1.0, 2.0), mt.tensor([3.0, 4.0], dtype=mt.float64)
    y = x * 1
    z = c * y
    y.zero_()
    z.sum().backward()
    assert x.grad.tolist() == [3, 4]
    y = x * 1
    z = c * y
    c.zero_()
    with pytest.raises(GraphError, match="inplace"):
        z.sum().backward()


def test_a_caught_change_leaves_all_grads():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * 3
    loss = (h * h).sum() + (w * 2).sum()
    h.add_(1)
    with pytest.raises(GraphError):
        loss.backward()
    assert x.grad is None and w.grad is None


def test_the_version_is_visible():
    x = mt.zeros(3)
    assert x._version_list() == [0]
    x.add_(1)
    x[0] = 3
    v = x[1:]
    v.mul_(2)
    assert x._version_list() == [3] and v._version_list() is x._version_list()


def test_optimizer_steps_between_forward_and_backward_are_caught():
    w = leaf(1.0, 2.0)
    loss = (w * w).sum()
    with mt.no_grad():
        w -= 0.1
    with pytest.raises(GraphError, match="mul"):
        loss.backward()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam"])
def test_steps_of_optimizers_are_caught(name):
    w = leaf(1.0, 2.0)
    optimizer = getattr(mt.optim, name)([w], lr=0.1)
    (w * w).sum().backward()
    stale = (w * w).sum()
    optimizer.step()
    with pytest.raises(GraphError, match="mul"):
        stale.backward()


# Refusals


def test_shapes_and_types_must_fit():
    x = mt.zeros(2)
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        x.add_(mt.zeros(3, 2))
    with pytest.raises(RuntimeError, match="can't be cast"):
        mt.zeros(2, dtype=mt.int64).add_(0.5)
    i = mt.zeros(2, dtype=mt.int64)
    with pytest.raises(RuntimeError, match="can't be cast"):
        i /= 2
    assert x.tolist() == [0, 0] and i.tolist() == [0, 0]


def test_wider_operands_are_cast_down():
    x = mt.zeros(2)
    x.add_(mt.ones(2, dtype=mt.float64))
    assert x.dtype is mt.float32 and x.tolist() == [1, 1]


def test_expanded_tensors_are_read_only():
    x = mt.zeros(1, 3).expand(2, 3)
    with pytest.raises(RuntimeError, match=r"expanded|single memory location"):
        x.add_(1)
    x.clone().add_(1)


def test_overlapping_operands():
    x = mt.arange(6.0)
    x[1:] += x[:-1]
    assert x.tolist() == [0, 1, 3, 5, 7, 9]


def test_views_share_memory_both_ways():
    x = mt.arange(6.0)
    for v in (x.view(2, 3), x[1:4], x.reshape(3, 2).t(), x.unsqueeze(0), x.expand(2, 6), x.detach(), x[::2]):
        assert np.shares_memory(v.numpy(), x.numpy())
        assert v._version_list() is x._version_list()
    for c in (x.clone(), x + 0, x[mt.tensor([0, 1])], x[x > 2], x.contiguous() * 1):
        assert not np.shares_memory(c.numpy(), x.numpy())


def test_views_under_no_grad_stay_outside():
    x = leaf(1.0, 2.0)
    with mt.no_grad():
        v = x[0:1]
    v.add_(5)
    assert x.tolist() == [6, 2] and not v.requires_grad


def test_second_derivatives_through_assignment():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    y[1] = x[0] ** 3
    dx, = grad((y * y).sum(), x, create_graph=True)
    d2, = grad(dx.sum(), x)
    # y = (x0, x0^3, x2): sum of squares x0^2 + x0^6 + x2^2
    assert dx.tolist() == [2 + 6, 0, 6] and d2.tolist() == [2 + 30, 0, 2]


def test_a_view_of_a_constant_follows_its_base():
    """What is written into the base after the view was made reaches the view's gradient."""
    w = mt.ones(2, requires_grad=True)
    y = mt.zeros(3, 2)
    v, untouched = y[1], mt.zeros(2)[:1]
    y[1] = w * mt.tensor([2.0, 3.0])
    assert v.requires_grad and not untouched.requires_grad
    (v * v).sum().backward()
    assert w.grad.tolist() == [8.0, 18.0]


# In place, by methods that are no ops


def test_version_counts_changes():
    x = mt.zeros(3)
    view = x[1:]
    x.add_(1)
    view[0] = 2
    assert (x._version, view._version, mt.ones(2)._version) == (2, 2, 0)


def test_set_shows_other_memory():
    a, b = mt.zeros(2), mt.arange(6.0)
    a.set_(b)
    a[0] = 9
    assert b[0] == 9 and a.data_ptr() == b.data_ptr()
    assert a.set_(b, 1, (2, 2), (3, 1)).tolist() == [[1, 2], [4, 5]]
    assert mt.zeros(1).set_(b.untyped_storage(), 2, (2,)).tolist() == [2, 3]
    assert mt.zeros(1).set_(b.storage()).shape == (6,) and a.set_().shape == (0,)
    with pytest.raises(RuntimeError, match="type"):
        a.set_(mt.arange(3))


@pytest.mark.parametrize(("shape", "wrap"), [((3, 3), False), ((4, 3), True), ((9, 3), True), ((9, 3), False),
                                             ((2, 5), True), ((3, 3, 3), False), ((0, 2), False)])
def test_fill_diagonal(shape, wrap):
    expected = np.zeros(shape)
    if expected.size:
        np.fill_diagonal(expected, 5, wrap)
    assert (mt.zeros(shape).fill_diagonal_(5, wrap=wrap).numpy() == expected).all()


def test_fill_diagonal_cuts_gradients():
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = w * 2
    y.fill_diagonal_(0)
    y.sum().backward()
    assert w.grad.tolist() == [[0, 2], [2, 0]]
    for bad in (mt.zeros(3), mt.zeros(3, 3, 2), mt.zeros(2, 2, requires_grad=True)):
        with pytest.raises(RuntimeError, match="fill_diagonal_"):
            bad.fill_diagonal_(1)


def test_functions_of_each_element():
    x = mt.arange(4.0).view(2, 2).t()
    assert x.apply_(lambda v: v * v).tolist() == [[0, 4], [1, 9]]
    assert x.map_(mt.tensor([1.0, 2.0]), lambda a, b: a + b).tolist() == [[1, 6], [2, 11]]
    assert x.map2_(x, mt.ones(()), lambda a, b, c: a * b + c).tolist() == [[2, 37], [5, 122]]
    with pytest.raises(RuntimeError, match=r"apply_\(\) on Variable that requires grad"):
        leaf(1.0).apply_(abs)
