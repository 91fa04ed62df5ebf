"""Properties over random shapes, types and parameters, against NumPy and plain loops."""
from __future__ import annotations

import itertools
import operator

import numpy as np
import pytest

import minitorch as mt

pytest.importorskip("hypothesis", reason="Hypothesis is not installed")
from hypothesis import assume, given
from hypothesis import strategies as st

SIZES = st.integers(0, 4)
SHAPES = st.lists(SIZES, max_size=4).map(tuple)
FULL_SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
SEEDS = st.integers(0, 2 ** 32 - 1)
DTYPES = st.sampled_from(["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"])


def array(shape, dtype="float64", seed=0):
    """Small values without zeros, so that division and comparison are interesting and exact."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return np.asarray(rng.integers(0, 2, shape)).astype(bool)
    values = np.asarray(rng.integers(1, 9, shape))
    if not dtype.startswith("uint"):
        values = np.where(rng.integers(0, 2, shape), values, -values)
    return values.astype(dtype)


def same(y, expected):
    assert tuple(y.shape) == expected.shape
    np.testing.assert_allclose(y.detach().numpy().astype(np.float64), expected.astype(np.float64), rtol=1e-9, atol=1e-9)


@st.composite
def broadcastable(draw):
    """Two shapes that broadcast, either of them the shorter."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    pair = []
    for _ in range(2):
        kept = draw(st.integers(0, len(shape)))
        pair.append(tuple(1 if draw(st.booleans()) else n for n in shape[len(shape) - kept:]))
    return pair


@given(broadcastable(), SEEDS, st.sampled_from([operator.add, operator.sub, operator.mul, operator.truediv]))
def test_broadcasting(shapes, seed, operation):
    """Values are NumPy's; each gradient has its input's shape, and is the sum over where it was spread."""
    a, b = array(shapes[0], seed=seed), array(shapes[1], seed=seed + 1)
    x, y = mt.tensor(a).requires_grad_(), mt.tensor(b).requires_grad_()
    z = operation(x, y)
    same(z, np.asarray(operation(a, b)))
    w = array(z.shape, seed=seed + 2)
    z.backward(mt.tensor(w))
    da, db = {operator.add: (w, w), operator.sub: (w, -w), operator.mul: (w * b, w * a),
              operator.truediv: (w / b, -w * a / b ** 2)}[operation]
    same(x.grad, summed_to(da, a.shape))
    same(y.grad, summed_to(db, b.shape))


def summed_to(array, shape):
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    spread = tuple(i for i, n in enumerate(shape) if n == 1)
    return array.sum(axis=spread, keepdims=True) if spread else np.asarray(array)


@given(broadcastable(), DTYPES, DTYPES, st.sampled_from(["add", "mul", "sub", "div", "eq", "lt", "maximum", "pow"]))
def test_promotion_as_in_pytorch(torch, shapes, left, right, name):
    """Result types and values are PyTorch's, for tensors with and without dimensions and Python numbers."""
    a, b = array(shapes[0], left, 1), array(shapes[1], right, 2)
    if name == "pow":
        b = abs(b) if b.dtype.kind != "b" else b
    for second in (b, 2, 1.5, True):
        try:
            theirs = getattr(torch, name)(torch.tensor(a), torch.tensor(second) if second is b else second)
        except (RuntimeError, TypeError):
            continue
        ours = getattr(mt, name)(mt.tensor(a), mt.tensor(second) if second is b else second)
        assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
        found, expected = ours.numpy().astype(np.float64), theirs.to(torch.float64).numpy()
        narrow = "float16" in (ours.dtype.name, left, right)
        np.testing.assert_allclose(found, expected, rtol=5e-3 if narrow else 1e-5, atol=1e-3 if narrow else 1e-6)


@st.composite
def indexed(draw):
    """A shape and an index for it: integers, slices, None, ..., index arrays, masks."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    index, rest, dots, arrays = [], list(shape), False, draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    while rest and draw(st.integers(0, 4)):
        kind = draw(st.sampled_from(["int", "slice", "none", "dots", "array", "mask", "list"]))
        n = rest[0]
        if kind == "none":
            index.append(None)
        elif kind == "dots":
            if dots:
                continue
            dots = True
            index.append(...)
            del rest[:draw(st.integers(0, len(rest)))]
        elif kind == "mask":
            rest.pop(0)
            mask = np.zeros(n, bool)
            mask[draw(st.integers(0, n - 1))] = True
            index.append(mask)
        else:
            rest.pop(0)
            if kind == "int":
                index.append(draw(st.integers(-n, n - 1)))
            elif kind == "slice":
                edge = st.none() | st.integers(-n - 1, n + 1)
                index.append(slice(draw(edge), draw(edge), draw(st.none() | st.integers(1, 3))))
            elif kind == "list":
                index.append([draw(st.integers(-n, n - 1))])
            else:
                seed = draw(st.integers(0, 99))
                index.append(np.random.default_rng(seed).integers(-n, n, tuple(arrays)))
    return tuple(shape), tuple(index)


def fits(shape, index):
    try:
        return np.zeros(shape)[index] is not None
    except IndexError:
        return False


def as_tensors(index):
    return tuple(mt.tensor(i) if isinstance(i, np.ndarray) else i for i in index)


@given(indexed())
def test_indexing(case):
    shape, index = case
    assume(fits(shape, index))
    a = np.arange(float(np.prod(shape))).reshape(shape)
    x = mt.tensor(a).requires_grad_()
    y = x[as_tensors(index)]
    same(y, np.asarray(a[index]))
    w = array(y.shape, seed=1)
    y.backward(mt.tensor(w))
    expected = np.zeros(shape)
    np.add.at(expected, index, w)
    same(x.grad, expected)


@given(indexed(), st.booleans())
def test_assignment(case, scalar):
    shape, index = case
    assume(fits(shape, index))
    a = np.arange(float(np.prod(shape))).reshape(shape)
    places = a[index]
    assume(np.unique(places).size == np.asarray(places).size)  # of a place written twice either value may stay
    value = np.asarray(7.0) if scalar else array(np.shape(places), seed=3)
    x, v = mt.tensor(a).requires_grad_(), mt.tensor(value).requires_grad_()
    y = x * 1
    y[as_tensors(index)] = v
    expected = a.copy()
    expected[index] = value
    same(y, expected)
    w = array(shape, seed=4)
    y.backward(mt.tensor(w))
    kept = w.copy()
    kept[index] = 0
    same(x.grad, kept)
    same(v.grad, np.asarray(w[index].sum() if scalar else w[index]))


REDUCTIONS = {
    "sum": (np.sum, lambda a, y, w: w + 0 * a),
    "mean": (np.mean, lambda a, y, w: w / (a.size / w.size) + 0 * a),
    "amax": (np.max, lambda a, y, w: w * (a == y) / 1),
    "prod": (np.prod, lambda a, y, w: w * y / a),
    "logsumexp": (lambda a, axis, keepdims: np.log(np.sum(np.exp(a), axis=axis, keepdims=keepdims)),
                  lambda a, y, w: w * np.exp(a - y)),
}


@given(FULL_SHAPES, st.data(), st.sampled_from(sorted(REDUCTIONS)), st.booleans(), SEEDS)
def test_reductions(shape, data, name, keepdim, seed):
    function, gradient = REDUCTIONS[name]
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    if name == "prod":
        axes = axes[:1]
    a = (np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) + 1.0) / 7
    dims = [d - len(shape) if data.draw(st.booleans()) else d for d in axes]
    x = mt.tensor(a).requires_grad_()
    y = getattr(mt, name)(x, dims[0] if len(dims) == 1 else tuple(dims), keepdim=keepdim)
    same(y, np.asarray(function(a, axis=tuple(axes), keepdims=keepdim)))
    w = array(y.shape, seed=seed)
    y.backward(mt.tensor(w))
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    same(x.grad, np.broadcast_to(gradient(a, y.detach().numpy().reshape(kept), w.reshape(kept)), shape))


@given(SHAPES, st.data())
def test_reshape(shape, data):
    a = np.arange(float(np.prod(shape))).reshape(shape)
    factors = data.draw(st.permutations([*shape, 1]))
    target = list(factors)
    if a.size and data.draw(st.booleans()):
        target[data.draw(st.integers(0, len(target) - 1))] = -1
    x = mt.tensor(a).requires_grad_()
    y = x.reshape(*target)
    same(y, a.reshape(target))
    w = array(y.shape, seed=5)
    y.backward(mt.tensor(w))
    same(x.grad, w.reshape(shape))
    same(x.flatten(), a.reshape(-1))


@given(SHAPES, st.data())
def test_permute(shape, data):
    a = np.arange(float(np.prod(shape))).reshape(shape)
    axes = data.draw(st.permutations(range(len(shape))))
    x = mt.tensor(a).requires_grad_()
    y = x.permute(*axes) if axes else x.permute(())
    same(y, a.transpose(axes))
    w = array(y.shape, seed=6)
    y.backward(mt.tensor(w))
    same(x.grad, w.transpose(np.argsort(axes)) if axes else w)
    same(y.contiguous() * 1, a.transpose(axes))


@given(st.lists(FULL_SHAPES, min_size=1, max_size=1), st.data(), st.integers(1, 4))
def test_cat_split_stack(shapes, data, pieces):
    shape = shapes[0]
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = []
    for i in range(pieces):
        size = list(shape)
        size[axis] = data.draw(st.integers(0, 3))
        parts.append(array(tuple(size), seed=i))
    xs = [mt.tensor(p).requires_grad_() for p in parts]
    y = mt.cat(xs, axis)
    same(y, np.concatenate(parts, axis))
    w = array(y.shape, seed=9)
    y.backward(mt.tensor(w))
    edges = np.cumsum([p.shape[axis] for p in parts])[:-1]
    for x, g, piece in zip(xs, np.split(w, edges, axis), y.split([p.shape[axis] for p in parts], axis)):
        same(x.grad, g)
        same(piece, x.detach().numpy())
    same(mt.stack([mt.tensor(parts[0])] * 3, axis), np.stack([parts[0]] * 3, axis))


@st.composite
def convolutions(draw):
    groups = draw(st.integers(1, 2))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 2)))
    padding = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    size = [draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 7)) for k, p, d in zip(kernel, padding, dilation)]
    n, c, o = draw(st.integers(0, 2)), groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 3))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (n, c, *size), (o, c // groups, *kernel), options


def conv_loops(x, w, b, stride, padding, dilation, groups):
    """The definition, in loops."""
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    (n, _, *size), (o, cg, *kernel) = x.shape, w.shape
    out = [(s - d * (k - 1) - 1) // t + 1 for s, k, d, t in zip(size, kernel, dilation, stride)]
    y = np.zeros((n, o, *out))
    for i, j, p, q in itertools.product(range(o), range(cg), range(out[0]), range(out[1])):
        channel = i // (o // groups) * cg + j
        for u, v in itertools.product(range(kernel[0]), range(kernel[1])):
            row, column = p * stride[0] + u * dilation[0], q * stride[1] + v * dilation[1]
            y[:, i, p, q] += w[i, j, u, v] * x[:, channel, row, column]
    return y + b[:, None, None]


@given(convolutions(), SEEDS)
def test_conv2d(case, seed):
    shape, kernel, options = case
    rng = np.random.default_rng(seed)
    x, w, b = rng.standard_normal(shape), rng.standard_normal(kernel), rng.standard_normal(kernel[0])
    tensors = [mt.tensor(a).requires_grad_() for a in (x, w, b)]
    y = mt.nn.functional.conv2d(*tensors, **options)
    expected = conv_loops(x, w, b, **options)
    same(y, expected)
    narrow = mt.nn.functional.conv2d(*(mt.tensor(a.astype(np.float32)) for a in (x, w, b)), **options)
    np.testing.assert_allclose(narrow.numpy(), expected, rtol=1e-4, atol=1e-4)
    if expected.size:  # y is linear in each: the adjoint identities are exact
        dy = rng.standard_normal(expected.shape)
        y.backward(mt.tensor(dy))
        v = rng.standard_normal(shape), rng.standard_normal(kernel), rng.standard_normal(kernel[0])
        zero = np.zeros_like(b)
        for g, d, image in ((tensors[0].grad, v[0], conv_loops(v[0], w, zero, **options)),
                            (tensors[1].grad, v[1], conv_loops(x, v[1], zero, **options)),
                            (tensors[2].grad, v[2], expected * 0 + v[2][:, None, None])):
            np.testing.assert_allclose(np.sum(g.numpy() * d), np.sum(dy * image), rtol=1e-9, atol=1e-9)


@st.composite
def poolings(draw):
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 3)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = [draw(st.integers(max(1, k - 2 * p), 8)) for k, p in zip(kernel, padding)]
    return (draw(st.integers(1, 2)), draw(st.integers(1, 2)), *size), kernel, stride, padding, draw(st.booleans())


def windows(size, kernel, stride, padding, ceil_mode):
    """The windows along one dimension as (start, stop) in the unpadded input; PyTorch's rule for the last one."""
    span = size + 2 * padding - kernel
    count = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return [(i * stride - padding, i * stride - padding + kernel) for i in range(count)]


@given(poolings(), SEEDS)
def test_max_pool(case, seed):
    shape, kernel, stride, padding, ceil_mode = case
    a = np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape).astype(float)
    x = mt.tensor(a).requires_grad_()
    y, index = mt.nn.functional.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode, return_indices=True)
    rows, columns = (windows(n, *p, ceil_mode) for n, *p in zip(shape[2:], kernel, stride, padding))
    expected = np.array([[[[plane[max(r0, 0):r1, max(c0, 0):c1].max() for c0, c1 in columns] for r0, r1 in rows]
                          for plane in image] for image in a])
    same(y, expected)
    assert np.array_equal(np.take_along_axis(a.reshape(*shape[:2], -1), index.numpy().reshape(*shape[:2], -1), 2),
                          expected.reshape(*shape[:2], -1))
    w = array(y.shape, seed=seed)
    y.backward(mt.tensor(w))
    dx = np.zeros((*shape[:2], shape[2] * shape[3]))
    for i, j in np.ndindex(*shape[:2]):
        np.add.at(dx[i, j], index.numpy()[i, j].reshape(-1), w[i, j].reshape(-1))
    same(x.grad, dx.reshape(shape))


@given(poolings(), SEEDS, st.booleans())
def test_avg_pool(case, seed, count_include_pad):
    shape, kernel, stride, padding, ceil_mode = case
    a = np.random.default_rng(seed).standard_normal(shape)
    x = mt.tensor(a).requires_grad_()
    y = mt.nn.functional.avg_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode,
                                    count_include_pad=count_include_pad)
    rows, columns = (windows(n, *p, ceil_mode) for n, *p in zip(shape[2:], kernel, stride, padding))
    expected, dx = np.zeros(y.shape), np.zeros(shape)
    w = array(y.shape, seed=seed)
    for (i, (r0, r1)), (j, (c0, c1)) in itertools.product(enumerate(rows), enumerate(columns)):
        inside = np.s_[:, :, max(r0, 0):r1, max(c0, 0):c1]
        padded = (min(r1, shape[2] + padding[0]) - r0) * (min(c1, shape[3] + padding[1]) - c0)
        count = padded if count_include_pad else a[inside][0, 0].size
        expected[:, :, i, j] = a[inside].sum((2, 3)) / count
        dx[inside] += w[:, :, i, j][:, :, None, None] / count
    same(y, expected)
    y.backward(mt.tensor(w))
    same(x.grad, dx)


@given(st.lists(st.integers(0, 3), max_size=2), st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), SEEDS)
def test_matmul(batch, m, k, n, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((*batch, m, k)), rng.standard_normal((k, n))
    x, y = mt.tensor(a).requires_grad_(), mt.tensor(b).requires_grad_()
    z = x @ y
    same(z, a @ b)
    w = rng.standard_normal(z.shape)
    z.backward(mt.tensor(w))
    same(x.grad, w @ b.T)
    same(y.grad, (a.swapaxes(-1, -2) @ w).sum(tuple(range(len(batch)))))


@given(FULL_SHAPES, st.data(), SEEDS)
def test_sort_topk_gather(shape, data, seed):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    a = np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape).astype(float)
    x = mt.tensor(a).requires_grad_()
    down = data.draw(st.booleans())
    y, order = x.sort(axis, descending=down)
    expected = np.flip(np.sort(a, axis), axis) if down else np.sort(a, axis)
    same(y, expected)
    same(x.gather(axis, order), expected)
    k = data.draw(st.integers(0, shape[axis]))
    top, where = x.topk(k, axis)
    same(top, np.take(np.flip(np.sort(a, axis), axis), range(k), axis))
    w = array(top.shape, seed=seed)
    top.backward(mt.tensor(w))
    dx = np.zeros(shape)
    np.put_along_axis(dx, where.numpy(), w, axis)
    same(x.grad, dx)
