"""Pooling: the largest or mean element of windows, in one to three dimensions, and the ops that are its gradients."""
from __future__ import annotations

from itertools import product

import numpy as np

from . import BadInput, OpCase, Sample, distinct, register
from .conv import batched, each


def sliding(size, kernel, stride, padding, dilation, ceil_mode):
    """For each spatial axis a list of windows, each a list of the places on the axis that it holds."""
    axes = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation):
        steps = (n + 2 * p - d * (k - 1) - 1) / s
        count = int(np.ceil(steps) if ceil_mode else np.floor(steps)) + 1
        if ceil_mode and (count - 1) * s >= n + p:  # it would start beyond the image
            count -= 1
        starts = [i * s - p for i in range(count)]
        axes.append([[place for place in range(a, a + d * k, d) if 0 <= place < n] for a in starts])
    return axes


def adaptive(size, output_size):
    """The same for adaptive pooling."""
    return [[list(range(int(np.floor(i * n / m)), int(np.ceil((i + 1) * n / m)))) for i in range(m)]
            for n, m in zip(size, output_size)]


def reduced(x, axes, function):
    """`function(window, places)` for each window: a number, or several, for each plane; stacked along the last axis."""
    planes = x.reshape(-1, *x.shape[2:])
    shape = tuple(map(len, axes))
    found = [[[function(plane[np.ix_(*window)], window) for plane in planes] for window in product(*axes)]]
    result = np.array(found, float).reshape(*shape, *x.shape[:2], -1)
    return np.moveaxis(result, (len(shape), len(shape) + 1), (0, 1))


def largest(x, axes):
    """The largest of each window and its place in the plane."""
    size = x.shape[2:]

    def one(values, window):
        if not values.size:
            return -np.inf, -1
        at = np.unravel_index(np.argmax(values), values.shape)
        return values[at], np.ravel_multi_index([w[i] for w, i in zip(window, at)], size)

    if not x.size:
        shape = (*x.shape[:2], *map(len, axes))
        return np.zeros(shape), np.zeros(shape, np.int64)
    found = reduced(x, axes, one)
    return found[..., 0], found[..., 1].astype(np.int64)


def max_pool_indices(x, kernel, stride, padding, dilation, ceil_mode):
    return list(largest(x, sliding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)))


def max_pool_nd(nd):
    def reference(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        kernel = each(kernel_size, nd)
        stride = kernel if stride is None else each(stride, nd)
        found = max_pool_indices(batched(x, nd), kernel, stride, each(padding, nd), each(dilation, nd), ceil_mode)
        found = [a.reshape(a.shape[x.ndim == nd + 1:]) for a in found]
        return found if return_indices else found[0]
    return reference


def averaged(size, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override):
    """The windows of average pooling, their number along each axis and their divisors: [(place, window, divisor)].

    The padding counts as part of a window, yet not what ceil_mode adds behind that.
    """
    axes = sliding(size, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    found = []
    for place, window in placed_windows(axes):
        count = np.prod([len(w) for w in window])
        if count_include_pad:
            count = np.prod([min(i * s - p + k, n + p) - (i * s - p)
                             for i, s, p, k, n in zip(place, stride, padding, kernel, size)])
        found.append((place, window, divisor_override or count))
    return tuple(map(len, axes)), found


def placed_windows(axes):
    """(place, window) for each window of all axes together."""
    return zip(product(*(range(len(axis)) for axis in axes)), product(*axes))


def cells(size, output_size):
    """What `averaged` gives, for adaptive pooling."""
    return output_size, [(place, window, np.prod([len(w) for w in window]))
                         for place, window in placed_windows(adaptive(size, output_size))]


def means(x, out, windows):
    y = np.zeros((*x.shape[:2], *out))
    for place, window, divisor in windows:
        values = x[np.ix_(range(len(x)), range(x.shape[1]), *window)]
        y[(..., *place)] = values.sum(tuple(range(2, x.ndim))) / divisor
    return y


def shares(dy, x_shape, windows):
    """The adjoint: each window's dy, divided among its elements."""
    dx = np.zeros(x_shape)
    for place, window, divisor in windows:
        share = dy[(..., *place)] / divisor
        dx[np.ix_(range(x_shape[0]), range(x_shape[1]), *window)] += share.reshape(*x_shape[:2], *[1] * len(window))
    return dx


def avg_pool(x, *options):
    return means(x, *averaged(x.shape[2:], *options))


def adaptive_avg(x, output_size):
    return means(x, *cells(x.shape[2:], output_size))


def avg_pool_nd(nd):
    def reference(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
                  divisor_override=None):
        kernel = each(kernel_size, nd)
        stride = kernel if stride is None else each(stride, nd)
        y = avg_pool(batched(x, nd), kernel, stride, each(padding, nd), ceil_mode, count_include_pad, divisor_override)
        return y.reshape(y.shape[x.ndim == nd + 1:])
    return reference


def sizes(output_size, x, nd):
    return [n if m is None else m for m, n in zip(each(output_size, nd), x.shape[-nd:])]


def adaptive_avg_nd(nd):
    def reference(x, output_size):
        y = adaptive_avg(batched(x, nd), sizes(output_size, x, nd))
        return y.reshape(y.shape[x.ndim == nd + 1:])
    return reference


def adaptive_max_nd(nd):
    def reference(x, output_size, return_indices=False):
        image = batched(x, nd)
        found = [a.reshape(a.shape[x.ndim == nd + 1:])
                 for a in largest(image, adaptive(image.shape[2:], sizes(output_size, x, nd)))]
        return found if return_indices else found[0]
    return reference


def placed(values, index, x_shape):
    """Each value added to its plane at the place that `index` names; -1 names none."""
    x = np.zeros((*x_shape[:2], int(np.prod(x_shape[2:]))))
    for at in np.ndindex(*values.shape):
        if index[at] >= 0:
            x[(*at[:2], index[at])] += values[at]
    return x.reshape(x_shape)


def unpool_nd(nd):
    def reference(x, indices, kernel_size, stride=None, padding=0, output_size=None):
        image, index = batched(x, nd), batched(indices, nd)
        kernel = each(kernel_size, nd)
        stride = kernel if stride is None else each(stride, nd)
        size = output_size or [(n - 1) * s - 2 * p + k
                               for n, s, p, k in zip(image.shape[2:], stride, each(padding, nd), kernel)]
        y = placed(image, index, (*image.shape[:2], *size[-nd:]))
        return y.reshape(y.shape[x.ndim == nd + 1:])
    return reference


def lp_pool_nd(nd):
    def reference(x, norm_type, kernel_size, stride=None, ceil_mode=False):
        kernel = each(kernel_size, nd)
        y = avg_pool_nd(nd)(x**norm_type, kernel_size, stride, 0, ceil_mode) * np.prod(kernel)
        return y ** (1 / norm_type)
    return reference


def normal(shape, *rest):
    """Arguments: an array and what is given."""
    return lambda rng: (rng.standard_normal(shape), *rest)


def separate(shape, *rest):
    """The same without ties."""
    return lambda rng: (*distinct(shape, gap=0.1 if np.prod(shape) < 1000 else 0.01)(rng), *rest)


# As users call them

WRONG = [BadInput((np.zeros((4,)), 2), {}, RuntimeError, "input expects"),
         BadInput((np.zeros((1, 1, 3, 3)), 4), {}, RuntimeError, "output size is too small"),
         BadInput((np.zeros((1, 2, 0, 3)), 2), {"padding": 1}, RuntimeError, "non-zero size"),
         BadInput((np.zeros((1, 1, 3, 3)), 2), {"padding": 2}, RuntimeError, "at most half"),
         BadInput((np.zeros((1, 1, 3, 3)), 2), {"padding": -1}, RuntimeError, "pad"),
         BadInput((np.zeros((1, 1, 3, 3)), 0), {}, RuntimeError, "at least 1"),
         BadInput((np.zeros((1, 1, 3, 3)), 2), {"stride": 0}, RuntimeError, "at least 1"),
         BadInput((np.zeros((1, 1, 3, 3)), (2, 2, 2)), {}, RuntimeError, "kernel_size expects")]
register(OpCase("max_pool2d", max_pool_nd(2), [
    Sample(separate((2, 3, 5, 6), 2)), Sample(separate((1, 2, 4, 4), 2, 2)),
    Sample(separate((2, 1, 5, 4), (3, 2)), {"stride": (2, 1), "padding": 1}),
    Sample(separate((1, 2, 6, 7), 2), {"stride": 3, "ceil_mode": True}),
    Sample(separate((1, 1, 5, 5), 3), {"stride": 2, "padding": 1, "ceil_mode": True}),
    Sample(separate((1, 2, 5, 6), 2), {"stride": 1, "dilation": (2, 3)}),
    Sample(separate((1, 1, 6, 6), 3), {"stride": 2, "dilation": 2, "padding": 1}),
    Sample(separate((2, 4, 4), 2), {"return_indices": True}, name="unbatched, indices"),
    Sample(separate((0, 2, 4, 4), 2), name="no images"),
    Sample(separate((1, 1, 1, 1), 1)),
    Sample((np.array([[[[np.nan, 1.0], [2.0, np.nan]], [[-np.inf, -np.inf], [-np.inf, -np.inf]]]]), 2), grad=False,
           name="NaN and -inf"),
    Sample((np.array([[[[1.0, 2.0, 2.0], [2.0, 1.0, 2.0]]]]), 2, 1), {"return_indices": True}, grad=False, name="ties"),
    Sample(separate((8, 8, 30, 33), 2), big=True, dtypes=("float32",)),
    Sample(separate((4, 8, 21, 22), 3), {"stride": 2, "padding": 1}, big=True,
           dtypes=("float32",)),
], kernels=("max_pool", "max_pool_dx"), torch="nn.functional.max_pool2d", errors=WRONG))
register(OpCase("max_pool1d", max_pool_nd(1), [
    Sample(separate((2, 3, 7), 3), {"stride": 2, "padding": 1, "return_indices": True}),
    Sample(separate((2, 7), 2), {"dilation": 3, "stride": 1}, name="unbatched"),
    Sample(separate((1, 2, 7), 2), {"ceil_mode": True}),
], kernels=("max_pool", "max_pool_dx"), torch="nn.functional.max_pool1d", errors=[
    BadInput((np.zeros((1, 1, 3, 3)), 2), {}, RuntimeError, "input expects")]))
register(OpCase("max_pool3d", max_pool_nd(3), [
    Sample(separate((1, 2, 3, 4, 5), (2, 2, 3)), {"stride": (1, 2, 2), "padding": (1, 0, 1)}),
    Sample(separate((1, 4, 3, 4), 2), {"ceil_mode": True, "return_indices": True}, name="unbatched"),
], kernels=("max_pool", "max_pool_dx"), torch="nn.functional.max_pool3d", errors=[
    BadInput((np.zeros((1, 3, 3)), 2), {}, RuntimeError, "input expects")]))
register(OpCase("avg_pool2d", avg_pool_nd(2), [
    Sample(normal((2, 3, 5, 6), 2)),
    Sample(normal((2, 1, 5, 4), (3, 2)), {"stride": (2, 1), "padding": 1}),
    Sample(normal((1, 2, 5, 6), 3), {"stride": 2, "padding": 1, "count_include_pad": False}),
    Sample(normal((1, 2, 6, 7), 3), {"stride": 2, "padding": 1, "ceil_mode": True}),
    Sample(normal((1, 2, 5, 5), 2), {"ceil_mode": True, "count_include_pad": False}),
    Sample(normal((1, 2, 5, 5), 2), {"stride": 1, "divisor_override": 3}),
    Sample(normal((2, 3, 4), (3, 4)), name="unbatched, one window"),
    Sample(normal((0, 2, 4, 4), 2), name="no images"),
    Sample(normal((1, 1, 7, 7), 2), {"stride": 5}, name="stride beyond the window"),
    Sample(normal((6, 16, 30, 33), 3), {"stride": 2, "padding": 1}, big=True, dtypes=("float32",)),
], kernels=("avg_pool", "avg_pool_dx"), torch="nn.functional.avg_pool2d", errors=[*WRONG, BadInput(
    (np.zeros((1, 1, 3, 3)), 2), {"divisor_override": 0}, RuntimeError, "divisor must be not zero")]))
register(OpCase("avg_pool1d", avg_pool_nd(1), [
    Sample(normal((2, 3, 7), 3), {"stride": 2, "padding": 1}),
    Sample(normal((2, 8), 3), {"ceil_mode": True, "count_include_pad": False}, name="unbatched"),
], kernels=("avg_pool", "avg_pool_dx"), torch="nn.functional.avg_pool1d", errors=[
    BadInput((np.zeros((1, 1, 3, 3)), 2), {}, RuntimeError, "input expects")]))
register(OpCase("avg_pool3d", avg_pool_nd(3), [
    Sample(normal((1, 2, 3, 4, 5), (2, 2, 3)), {"stride": (1, 2, 2), "padding": (1, 0, 1)}),
    Sample(normal((1, 4, 3, 4), 3), {"stride": 2, "padding": 1, "ceil_mode": True, "divisor_override": 5},
           name="unbatched"),
], kernels=("avg_pool", "avg_pool_dx"), torch="nn.functional.avg_pool3d", errors=[
    BadInput((np.zeros((1, 3, 3)), 2), {}, RuntimeError, "input expects")]))

ADAPTIVE_WRONG = [BadInput((np.zeros((3, 3)), 2), {}, RuntimeError, "input expects"),
                  BadInput((np.zeros((1, 1, 3, 3)), (2, 2, 2)), {}, RuntimeError, "output_size expects 2"),
                  BadInput((np.zeros((1, 1, 3, 3)), -1), {}, RuntimeError, "output_size"),
                  BadInput((np.zeros((1, 2, 3, 0)), 2), {}, RuntimeError, "non-zero size"),
                  BadInput((np.zeros((1, 2, 3, 3), np.int64), 2), {}, NotImplementedError, "floating type")]
register(OpCase("adaptive_avg_pool2d", adaptive_avg_nd(2), [
    Sample(normal((2, 3, 5, 7), (3, 4))), Sample(normal((2, 3, 4, 6), 2)),
    Sample(normal((2, 3, 4), (1, None)), name="unbatched"),
    Sample(normal((1, 2, 2, 3), (5, 4)), name="to a larger size"),
    Sample(normal((0, 2, 3, 3), 2), name="no images"),
    Sample(normal((8, 16, 25, 33), (7, 6)), big=True, dtypes=("float32",)),
    Sample(normal((8, 16, 32, 32), 1), big=True, dtypes=("float32",)),
], kernels=("adaptive_avg_pool", "adaptive_avg_pool_dx"), torch="nn.functional.adaptive_avg_pool2d",
    errors=ADAPTIVE_WRONG))
register(OpCase("adaptive_avg_pool1d", adaptive_avg_nd(1), [
    Sample(normal((2, 3, 7), 3)), Sample(normal((2, 6), 3), name="unbatched"),
], torch="nn.functional.adaptive_avg_pool1d"))
register(OpCase("adaptive_avg_pool3d", adaptive_avg_nd(3), [
    Sample(normal((1, 2, 3, 4, 5), (2, 3, 1))),
    Sample(normal((2, 3, 2, 3), (None, 1, 2)), name="unbatched"),
], torch="nn.functional.adaptive_avg_pool3d"))
register(OpCase("adaptive_max_pool2d", adaptive_max_nd(2), [
    Sample(separate((2, 3, 5, 7), (3, 4))),
    Sample(separate((2, 4, 6), 2), {"return_indices": True}, name="unbatched, indices"),
    Sample(separate((0, 2, 3, 3), 2), name="no images"),
    Sample(separate((1, 2, 2, 3), (5, 4)), name="to a larger size"),
    Sample((np.array([[[[np.nan, 1.0, -np.inf], [2.0, np.nan, -np.inf]]]]), (1, 2)), grad=False, name="NaN and -inf"),
    Sample(separate((6, 8, 25, 33), (7, 6)), big=True, dtypes=("float32",)),
], kernels=("adaptive_max_pool", "max_pool_dx"), torch="nn.functional.adaptive_max_pool2d", errors=ADAPTIVE_WRONG))
register(OpCase("adaptive_max_pool1d", adaptive_max_nd(1), [
    Sample(separate((2, 3, 7), 3), {"return_indices": True}),
], torch="nn.functional.adaptive_max_pool1d"))
register(OpCase("adaptive_max_pool3d", adaptive_max_nd(3), [
    Sample(separate((1, 2, 3, 4, 5), (2, 3, 1)), {"return_indices": True}),
], torch="nn.functional.adaptive_max_pool3d"))


def found(nd, *shape, **options):
    """Arguments for unpooling: what max pooling of an image of `shape` finds there."""
    def make(rng):
        x = rng.permutation(int(np.prod(shape))).reshape(shape) * 1.0
        values, places = max_pool_nd(nd)(x, options["kernel_size"], options.get("stride"), options.get("padding", 0),
                                         return_indices=True)
        return rng.standard_normal(values.shape), places
    return make


register(OpCase("max_unpool2d", unpool_nd(2), [
    Sample(found(2, 2, 3, 4, 6, kernel_size=2), {"kernel_size": 2}),
    Sample(found(2, 1, 2, 5, 5, kernel_size=2), {"kernel_size": 2, "output_size": (1, 2, 5, 5)}),
    Sample(found(2, 1, 5, 6, kernel_size=2, stride=(2, 3), padding=1),
           {"kernel_size": 2, "stride": (2, 3), "padding": 1, "output_size": (5, 6)}, name="unbatched"),
    Sample(found(2, 0, 2, 4, 4, kernel_size=2), {"kernel_size": 2}, name="no images"),
], torch="nn.functional.max_unpool2d", errors=[
    BadInput((np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 1), np.int64), 2), {}, RuntimeError, "shape of indices"),
    BadInput((np.zeros((1, 1, 2, 2)), np.full((1, 1, 2, 2), 16), 2), {}, RuntimeError, "invalid max index"),
    BadInput((np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 2, 2), np.int64), 2), {"output_size": (9, 9)}, ValueError,
             "output_size"),
]))
register(OpCase("max_unpool1d", unpool_nd(1), [
    Sample(found(1, 2, 3, 8, kernel_size=2), {"kernel_size": 2}),
    Sample(found(1, 3, 8, kernel_size=2), {"kernel_size": 2}, name="unbatched"),
], torch="nn.functional.max_unpool1d"))
register(OpCase("max_unpool3d", unpool_nd(3), [
    Sample(found(3, 1, 2, 2, 4, 4, kernel_size=2), {"kernel_size": 2}),
], torch="nn.functional.max_unpool3d"))
for nd, shape in ((1, (2, 3, 7)), (2, (1, 2, 5, 6)), (3, (1, 2, 3, 4, 4))):
    register(OpCase(f"lp_pool{nd}d", lp_pool_nd(nd), [
        Sample(lambda rng, s=shape: (rng.uniform(0.5, 2, s), 2.0, 2)),
        Sample(lambda rng, s=shape: (rng.uniform(0.5, 2, s[1:]), 3.0, 2), {"stride": 1}, name="unbatched"),
        Sample(lambda rng, s=shape: (rng.uniform(0.5, 2, s), 2.0, 2), {"ceil_mode": True}),
        Sample((-np.ones(shape), 3.0, 2), grad=False, name="a root of a negative number"),
    ], torch=f"nn.functional.lp_pool{nd}d"))

# The ops below them

WINDOWS = [((2, 3, 5, 4), ((3, 2), (2, 1), (1, 1))), ((1, 2, 7), ((3,), (2,), (1,))),
           ((1, 2, 3, 4, 3), ((2, 2, 1), (1, 2, 1), (1, 0, 0)))]  # shapes, and kernel, stride, padding
register(OpCase("max_pool", lambda *a: max_pool_indices(*a)[0], [
    Sample(separate(shape, *options, (1,) * len(options[0]), ceil))
    for shape, options in WINDOWS for ceil in (False, True)], torch=None))
register(OpCase("max_pool_indices", max_pool_indices, [
    Sample(separate(shape, *options, (1,) * len(options[0]), False)) for shape, options in WINDOWS],
    torch=None))
register(OpCase("adaptive_max_pool_indices", lambda x, size: list(largest(x, adaptive(x.shape[2:], size))), [
    Sample(separate((2, 1, 4, 6), (3, 2)))], torch=None))
PLACES = np.array([[[[3, 3], [-1, 0]], [[1, 2], [5, 5]]]])
register(OpCase("max_pool_dx", placed, [
    Sample(normal((1, 2, 2, 2), PLACES, (1, 2, 2, 3))),
    Sample(normal((1, 2, 4), PLACES.reshape(1, 2, 4), (1, 2, 6))),
    Sample(normal((1, 2, 2, 1, 2), PLACES.reshape(1, 2, 2, 1, 2), (1, 2, 2, 1, 3))),
    Sample(normal((0, 2, 2, 2), np.zeros((0, 2, 2, 2), np.int64), (0, 2, 3, 3))),
], call=lambda dy, index, shape: _op("max_pool_dx")(dy, index._array, shape)))


def taken(x, index):
    """The value of each plane at each place, 0 for place -1."""
    y = np.zeros(index.shape)
    for at in np.ndindex(*index.shape):
        if index[at] >= 0:
            y[at] = x[at[:2]].reshape(-1)[index[at]]
    return y


register(OpCase("max_unpick", taken, [
    Sample(normal((1, 2, 2, 3), PLACES)), Sample(normal((0, 2, 3), np.zeros((0, 2, 2), np.int64))),
], call=lambda x, index: _op("max_unpick")(x, index._array)))


def _op(name):
    from minitorch.op import OPS

    return OPS[name].call


MEANS = [(*WINDOWS[0], (False, True, None)), (*WINDOWS[0], (True, False, None)), (*WINDOWS[1], (True, True, None)),
         (*WINDOWS[2], (False, False, None)), (*WINDOWS[2], (True, True, 7))]
register(OpCase("avg_pool", avg_pool, [
    Sample(normal(shape, *options, *rest)) for shape, options, rest in MEANS],
    torch=None))


def pooled(shape, function, *options):
    """Arguments for the adjoint of a pooling: dy, x_shape and the options."""
    def make(rng):
        return (rng.standard_normal(function(np.zeros(shape), *options).shape), shape, *options)
    return make


register(OpCase("avg_pool_dx", lambda dy, x_shape, *o: shares(dy, x_shape, averaged(x_shape[2:], *o)[1]), [
    Sample(pooled(shape, avg_pool, *options, *rest)) for shape, options, rest in MEANS], torch=None))
CELLS = [((1, 2, 5), (3,)), ((1, 2, 4, 3), (3, 5)), ((1, 1, 3, 4, 2), (2, 2, 1)), ((2, 0, 4, 3), (2, 2))]
register(OpCase("adaptive_avg_pool", adaptive_avg, [
    Sample(normal(shape, out)) for shape, out in CELLS], torch=None))
register(OpCase("adaptive_avg_pool_dx", lambda dy, x_shape: shares(dy, x_shape, cells(x_shape[2:], dy.shape[2:])[1]), [
    Sample(normal((*shape[:2], *out), shape)) for shape, out in CELLS], torch=None))
