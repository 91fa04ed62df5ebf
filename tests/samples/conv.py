"""Convolutions and their transposes in one to three dimensions, and the ops that are their gradients."""
from __future__ import annotations

from itertools import product

import numpy as np

from . import WIDE, BadInput, KernelCase, OpCase, Sample, arrays_like, register


def each(value, nd):
    """One number for each spatial dimension."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * nd


def taps(place, window, stride, dilation):
    """The slices of the padded input that the window at `place` sees."""
    return tuple(slice(i * s, i * s + d * (k - 1) + 1, d) for i, k, s, d in zip(place, window, stride, dilation))


def batched(x, nd):
    return x[None] if x.ndim == nd + 1 else x


def conv(x, w, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Window after window: the sum of its products with w."""
    nd, window = w.ndim - 2, w.shape[2:]
    stride, dilation = each(stride, nd), each(dilation, nd)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, window)]
        widths = [(t // 2, t - t // 2) for t in total]
    else:
        widths = [(p, p) for p in each(0 if padding == "valid" else padding, nd)]
    image = np.pad(batched(x, nd), [(0, 0), (0, 0), *widths])
    out = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(image.shape[2:], dilation, window, stride)]
    y = np.zeros((len(image), len(w), *out))
    inputs, outputs, axes = w.shape[1], len(w) // groups, tuple(range(1, nd + 2))
    for place in product(*map(range, out)):
        seen = image[(..., *taps(place, window, stride, dilation))]
        for g in range(groups):
            part, kernel = seen[:, g * inputs:(g + 1) * inputs], w[g * outputs:(g + 1) * outputs]
            y[(slice(None), slice(g * outputs, (g + 1) * outputs), *place)] = np.tensordot(part, kernel, (axes, axes))
    if bias is not None:
        y += bias.reshape(-1, *(1,) * nd)
    return y.reshape(y.shape[x.ndim == nd + 1:])


def conv_dx(dy, w, x_shape, stride, padding, dilation, groups):
    """Every window gets dy times w added to it."""
    image = np.zeros((*x_shape[:2], *(n + 2 * p for n, p in zip(x_shape[2:], padding))))
    inputs, outputs = w.shape[1], len(w) // groups
    for place in product(*map(range, dy.shape[2:])):
        for g in range(groups):
            seen = taps(place, w.shape[2:], stride, dilation)
            target = image[(slice(None), slice(g * inputs, (g + 1) * inputs), *seen)]
            part = dy[(slice(None), slice(g * outputs, (g + 1) * outputs), *place)]
            target += np.tensordot(part, w[g * outputs:(g + 1) * outputs], 1)
    return image[(..., *(slice(p, p + n) for n, p in zip(x_shape[2:], padding)))]


def conv_dw(dy, x, w_shape, stride, padding, dilation, groups):
    """Every window is added to dw, times dy."""
    image = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    dw = np.zeros(w_shape)
    inputs, outputs = w_shape[1], w_shape[0] // groups
    for place in product(*map(range, dy.shape[2:])):
        seen = image[(..., *taps(place, w_shape[2:], stride, dilation))]
        for g in range(groups):
            part = dy[(slice(None), slice(g * outputs, (g + 1) * outputs), *place)]
            dw[g * outputs:(g + 1) * outputs] += np.tensordot(part, seen[:, g * inputs:(g + 1) * inputs], (0, 0))
    return dw


def conv_transpose(x, w, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Every input spreads over a window of the output."""
    nd = w.ndim - 2
    stride, padding, extra, dilation = [each(v, nd) for v in (stride, padding, output_padding, dilation)]
    image = batched(x, nd)
    out = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1
           for n, s, p, d, k, e in zip(image.shape[2:], stride, padding, dilation, w.shape[2:], extra)]
    y = conv_dx(image, w, (len(image), w.shape[1] * groups, *out), stride, padding, dilation, groups)
    if bias is not None:
        y = y + bias.reshape(-1, *(1,) * nd)
    return y.reshape(y.shape[x.ndim == nd + 1:])


X, W = np.zeros((1, 3, 4, 4)), np.zeros((2, 3, 3, 3))  # what a bad option is given to
ODD = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}
register(OpCase("conv2d", conv, [
    Sample(arrays_like((2, 3, 5, 4), (4, 3, 3, 2), (4,)), ODD),
    Sample(arrays_like((1, 2, 3, 3), (2, 2, 3, 3))),
    Sample(arrays_like((2, 4, 4, 5), (6, 2, 2, 3), (6,)), {"padding": 1, "groups": 2}),
    Sample(arrays_like((2, 3, 4, 3), (6, 1, 3, 3), (6,)), {"padding": 1, "groups": 3}, name="depthwise"),
    Sample(arrays_like((3, 5, 6), (2, 3, 2, 2), (2,)), {"stride": 2}, name="unbatched"),
    Sample(arrays_like((2, 3, 2, 3), (4, 3, 1, 1), (4,)), name="1x1"),
    Sample(arrays_like((2, 3, 5, 5), (4, 3, 1, 1)), {"stride": 2, "padding": 1}, name="1x1 strided"),
    Sample(arrays_like((1, 1, 1, 1), (1, 1, 1, 1))), Sample(arrays_like((1, 1, 1, 1), (1, 1, 3, 3)), {"padding": 1}),
    Sample(arrays_like((1, 1, 7, 7), (1, 1, 2, 2)), {"stride": 4}, name="stride beyond the window"),
    Sample(arrays_like((1, 2, 4, 5), (2, 2, 2, 3), (2,)), {"padding": "same"}, name="same, even window"),
    Sample(arrays_like((1, 2, 4, 5), (2, 2, 3, 2)), {"padding": "same", "dilation": (2, 3)}, name="same, dilated"),
    Sample(arrays_like((1, 2, 4, 5), (2, 2, 3, 3)), {"padding": "valid"}, name="valid"),
    Sample(arrays_like((0, 3, 4, 4), (2, 3, 3, 3), (2,)), {"padding": 1}, name="no images"),
    Sample(lambda rng: (rng.standard_normal((2, 2, 4, 4)), rng.standard_normal((3, 2, 2, 2))),
           {"bias": lambda rng: rng.standard_normal(3)}, name="bias by name"),
    Sample(arrays_like((8, 8, 20, 21), (16, 8, 3, 3), (16,)), {"padding": 1}, big=True, dtypes=("float32",)),
    Sample(arrays_like((5, 12, 15, 14), (24, 4, 3, 2), (24,)), {"stride": 2, "padding": (1, 0), "groups": 3}, big=True,
           dtypes=WIDE),
], kernels=("conv2d", "conv2d_dx", "conv2d_dw"), torch="nn.functional.conv2d", errors=[
    BadInput((np.zeros((2, 3, 4, 4)), np.zeros((2, 4, 3, 3))), {}, RuntimeError, "expects 4 input channels"),
    BadInput((np.zeros((4, 4)), np.zeros((2, 4, 3, 3))), {}, RuntimeError, "input expects 3D .* or 4D"),
    BadInput((np.zeros((1, 4, 4, 4)), np.zeros((4, 3, 3))), {}, RuntimeError, "weight expects 4 dimensions"),
    BadInput((np.zeros((1, 3, 2, 2)), np.zeros((2, 3, 3, 3))), {}, RuntimeError, "Kernel size can't be greater"),
    BadInput((X, W, np.zeros(3)), {}, RuntimeError, r"bias expects shape \(2,\)"),
    BadInput((X, W), {"stride": 0}, RuntimeError, "stride expects"),
    BadInput((X, W), {"padding": -1}, RuntimeError, "padding expects"),
    BadInput((X, W), {"dilation": 0}, RuntimeError, "dilation expects"),
    BadInput((X, W), {"stride": (1, 2, 3)}, RuntimeError, "stride expects"),
    BadInput((np.zeros((1, 4, 4, 4)), np.zeros((3, 2, 3, 3))), {"groups": 2}, RuntimeError, "groups=2"),
    BadInput((np.zeros((1, 4, 4, 4)), np.zeros((3, 4, 3, 3))), {"groups": 0}, RuntimeError, "groups=0"),
    BadInput((np.zeros((1, 3, 4, 4)), np.zeros((2, 3, 3, 3), np.int64)), {}, RuntimeError, "one type"),
    BadInput((X, W), {"padding": "same", "stride": 2}, RuntimeError, "strided"),
    BadInput((X, W), {"padding": "full"}, RuntimeError, "Invalid padding"),
]))
register(OpCase("conv1d", conv, [
    Sample(arrays_like((2, 3, 7), (4, 3, 3), (4,)), {"stride": 2, "padding": 1, "dilation": 2}),
    Sample(arrays_like((4, 6), (6, 2, 2), (6,)), {"groups": 2}, name="unbatched"),
    Sample(arrays_like((1, 1, 1), (1, 1, 1))), Sample(arrays_like((2, 2, 5), (3, 2, 4)), {"padding": "same"}),
    Sample(arrays_like((0, 2, 5), (3, 2, 2)), name="no sequences"),
    Sample(arrays_like((1, 4, 600), (8, 4, 5), (8,)), {"padding": 2}, big=True, dtypes=WIDE),
], kernels=("conv2d", "conv2d_dx", "conv2d_dw"), torch="nn.functional.conv1d", errors=[
    BadInput((np.zeros((2, 3, 4, 4)), np.zeros((2, 3, 3))), {}, RuntimeError, "input expects 2D .* or 3D"),
    BadInput((np.zeros((2, 3, 4)), np.zeros((2, 2, 3))), {}, RuntimeError, "weight expects 2 input channels"),
    BadInput((np.zeros((2, 3, 4)), np.zeros((2, 3, 5))), {}, RuntimeError, "Kernel size can't be greater"),
]))
register(OpCase("conv3d", conv, [
    Sample(arrays_like((1, 2, 3, 4, 3), (2, 2, 2, 3, 2), (2,)),
           {"stride": (1, 2, 1), "padding": (1, 0, 1), "dilation": (2, 1, 1)}),
    Sample(arrays_like((2, 2, 2, 3, 2), (4, 1, 2, 2, 1)), {"groups": 2}),
    Sample(arrays_like((1, 3, 2, 3), (2, 1, 2, 2, 2)), {"padding": "same"}, name="unbatched, same"),
    Sample(arrays_like((0, 1, 2, 2, 2), (1, 1, 2, 2, 2), (1,)), name="no images"),
    Sample(arrays_like((1, 1, 1, 1, 1), (1, 1, 1, 1, 1))),
], kernels=("conv3d", "conv3d_dx", "conv3d_dw"), torch="nn.functional.conv3d", errors=[
    BadInput((np.zeros((2, 3, 4)), np.zeros((2, 3, 3, 3, 3))), {}, RuntimeError, "input expects 4D .* or 5D"),
]))
W_TRANSPOSED = np.zeros((3, 2, 3, 3))
register(OpCase("conv_transpose2d", conv_transpose, [
    Sample(arrays_like((2, 3, 3, 2), (3, 4, 3, 2), (4,)), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
    Sample(arrays_like((1, 4, 2, 3), (4, 2, 2, 3), (4,)), {"stride": 3, "output_padding": (2, 1), "groups": 2}),
    Sample(arrays_like((3, 2, 2), (3, 2, 2, 2)), {"stride": 2}, name="unbatched"),
    Sample(arrays_like((1, 1, 1, 1), (1, 1, 1, 1))),
    Sample(arrays_like((0, 2, 3, 3), (2, 3, 2, 2), (3,)), name="no images"),
    Sample(arrays_like((2, 2, 3, 3), (2, 3, 2, 2)), {"dilation": 3, "output_padding": 2}),
    Sample(arrays_like((3, 12, 9, 10), (12, 8, 3, 3), (8,)), {"stride": 2, "padding": 1, "output_padding": 1}, big=True,
           dtypes=WIDE),
], kernels=("conv2d", "conv2d_dx", "conv2d_dw"), torch="nn.functional.conv_transpose2d", errors=[
    BadInput((np.zeros((2, 3, 4, 4)), np.zeros((2, 3, 3, 3))), {}, RuntimeError, "expects 2 input channels"),
    BadInput((np.zeros((4, 4)), np.zeros((2, 4, 3, 3))), {}, RuntimeError, "input expects 3D .* or 4D"),
    BadInput((np.zeros((1, 3, 4, 4)), np.zeros((3, 2, 3))), {}, RuntimeError, "weight expects 4 dimensions"),
    BadInput((X, W_TRANSPOSED, np.zeros(3)), {}, RuntimeError, r"bias expects shape \(2,\)"),
    BadInput((X, W_TRANSPOSED), {"output_padding": 1}, RuntimeError, "output padding must"),
    BadInput((np.zeros((1, 3, 1, 1)), np.zeros((3, 2, 1, 1))), {"padding": 1}, RuntimeError, "would have size"),
    BadInput((X, W_TRANSPOSED), {"groups": 2}, RuntimeError, "groups=2"),
    BadInput((X, W_TRANSPOSED), {"stride": 0}, RuntimeError, "stride expects"),
]))
register(OpCase("conv_transpose1d", conv_transpose, [
    Sample(arrays_like((2, 3, 4), (3, 2, 3), (2,)), {"stride": 2, "padding": 1, "output_padding": 1}),
    Sample(arrays_like((4, 3), (4, 1, 2)), {"groups": 2, "dilation": 2}, name="unbatched"),
    Sample(arrays_like((0, 2, 3), (2, 1, 2))),
], torch="nn.functional.conv_transpose1d", errors=[
    BadInput((np.zeros((2, 3, 4, 4)), np.zeros((3, 2, 3))), {}, RuntimeError, "input expects 2D .* or 3D"),
]))
register(OpCase("conv_transpose3d", conv_transpose, [
    Sample(arrays_like((1, 2, 2, 3, 2), (2, 1, 2, 2, 3), (2,)),
           {"stride": (1, 2, 2), "padding": (0, 1, 0), "output_padding": (0, 0, 1), "groups": 2}),
    Sample(arrays_like((2, 1, 2, 2), (2, 2, 2, 2, 1)), {"dilation": (1, 2, 1)}, name="unbatched"),
], torch="nn.functional.conv_transpose3d", errors=[
    BadInput((np.zeros((2, 3, 4)), np.zeros((3, 2, 3, 3, 3))), {}, RuntimeError, "input expects 4D .* or 5D"),
]))

# The gradients, which are ops of their own: derivatives of every order run on them

for name, (size, window, out, stride, padding, dilation) in {
        "conv2d": ((5, 4), (3, 2), (3, 6), (2, 1), (1, 2), (1, 2)),
        "conv3d": ((3, 4, 2), (2, 2, 1), (2, 2, 4), (1, 2, 1), (0, 0, 1), (1, 1, 1))}.items():
    options = stride, padding, dilation
    register(OpCase(f"{name}_dx", conv_dx, [
        Sample(lambda rng, out=out, window=window, rest=((2, 3, *size), *options, 1): (
            rng.standard_normal((2, 4, *out)), rng.standard_normal((4, 3, *window)), *rest)),
        Sample(lambda rng, out=out, window=window, rest=((1, 4, *size), *options, 2): (
            rng.standard_normal((1, 2, *out)), rng.standard_normal((2, 2, *window)), *rest)),
    ], torch=None))
    register(OpCase(f"{name}_dw", conv_dw, [
        Sample(lambda rng, out=out, size=size, rest=((4, 3, *window), *options, 1): (
            rng.standard_normal((2, 4, *out)), rng.standard_normal((2, 3, *size)), *rest)),
        Sample(lambda rng, out=out, size=size, rest=((2, 2, *window), *options, 2): (
            rng.standard_normal((1, 2, *out)), rng.standard_normal((1, 4, *size)), *rest)),
    ], torch=None))

# Shapes for which Winograd's method is worth it

for (n, c, h, w), outputs, padding in (((4, 32, 17, 15), 48, 1), ((2, 64, 13, 11), 64, 0), ((8, 32, 14, 14), 33, 2)):
    for dtype in ("float32", "float64"):
        same, out = ((1, 1), (padding, padding), (1, 1), 1), (h + 2 * padding - 2, w + 2 * padding - 2)
        shapes = {"x": (n, c, h, w), "w": (outputs, c, 3, 3), "b": (outputs,), "dy": (n, outputs, *out)}

        def some(rng, names, shapes=shapes, dtype=dtype):
            return [rng.standard_normal(shapes[name]).astype(dtype) for name in names]

        register(KernelCase("conv2d", [lambda rng, some=some, same=same: ((*some(rng, ["x", "w", "b"]), *same), {})]))
        register(KernelCase("conv2d_relu", [lambda rng, some=some, same=same: (
            (*some(rng, ["x", "w", "b"]), *same), {})]))
        register(KernelCase("conv2d_dx", [lambda rng, some=some, same=same, shape=shapes["x"]: (
            (*some(rng, ["dy", "w"]), shape, *same), {})]))
        register(KernelCase("conv2d_dw", [lambda rng, some=some, same=same, shape=shapes["w"]: (
            (*some(rng, ["dy", "x"]), shape, *same), {})]))

for (n, c, size, outputs), (k, s, p, d) in (((2, 130, 5, 70), (4, 2, 1, 1)), ((1, 128, 6, 120), (3, 1, 2, 2)),
                                            ((3, 260, 2, 130), (2, 1, 0, 1))):
    for dtype in ("float32", "float64"):
        out = (size + 2 * p - d * (k - 1) - 1) // s + 1
        shapes, same = ((n, c, size, size), (outputs, c, k, k), (n, outputs, out, out)), ((s, s), (p, p), (d, d), 1)

        def one(rng, i, shapes=shapes, dtype=dtype):
            return rng.standard_normal(shapes[i]).astype(dtype)

        for name in ("conv2d", "conv2d_relu"):
            register(KernelCase(name, [lambda rng, one=one, same=same: (
                (one(rng, 0), one(rng, 1), one(rng, 1)[:, 0, 0, 0], *same), {})]))
        register(KernelCase("conv2d_dx", [lambda rng, one=one, same=same, shape=shapes[0]: (
            (one(rng, 2), one(rng, 1), shape, *same), {})]))
        register(KernelCase("conv2d_dw", [lambda rng, one=one, same=same, shape=shapes[1]: (
            (one(rng, 2), one(rng, 0), shape, *same), {})]))

for shapes, *rest in (
        (((2, 3, 9, 11), (10, 3, 3, 3), (10,)), (1, 1), (1, 1), (1, 1), 1),
        (((2, 40, 7, 7), (33, 40, 3, 3), None), (2, 2), (1, 1), (1, 1), 1),
        (((2, 8, 9, 9), (8, 1, 3, 3), (8,)), (2, 2), (1, 1), (1, 1), 8),
        (((2, 8, 5, 5), (6, 8, 1, 1), (6,)), (1, 1), (0, 0), (1, 1), 1),
        (((1, 6, 11, 8), (4, 3, 3, 2), (4,)), (3, 3), (2, 1), (2, 1), 2)):
    for dtype in ("float32", "float64"):
        register(KernelCase("conv2d_relu", [lambda rng, dtype=dtype, shapes=shapes, rest=rest: (
            (*(s and rng.standard_normal(s).astype(dtype) for s in shapes), *rest), {})]))
