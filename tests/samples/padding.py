"""Padding, against NumPy's own, and columns of windows against loops over places."""
from __future__ import annotations

import itertools

import numpy as np

from . import BadInput, OpCase, Sample, arrays_like, register

MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padded(x, pad, mode="constant", value=0.0):
    widths = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[-2::-2], pad[::-2]))
    x = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths))]
    widths = [(max(a, 0), max(b, 0)) for a, b in widths]
    return np.pad(x, widths, constant_values=value) if mode == "constant" else np.pad(x, widths, MODES[mode])


def columns(x, kernel, dilation, padding, stride):
    """Every window of x (N, C, H, W), as a list of (place, window)."""
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    outs = [(n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(x.shape[2:], kernel, dilation, stride)]
    for at in itertools.product(*map(range, outs)):
        yield x.shape, tuple(slice(i * s, i * s + d * (k - 1) + 1, d) for i, s, d, k in zip(at, stride, dilation, kernel)), x


def both(*values):
    return [(v, v) if isinstance(v, int) else v for v in values]


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    if x.ndim == 3:
        return unfold(x[None], kernel_size, dilation, padding, stride)[0]
    found = [whole[(..., *place)].reshape(x.shape[0], -1)
             for _, place, whole in columns(x, *both(kernel_size, dilation, padding, stride))]
    return np.stack(found, -1)


def fold(c, output_size, kernel_size, dilation=1, padding=0, stride=1):
    if c.ndim == 2:
        return fold(c[None], output_size, kernel_size, dilation, padding, stride)[0]
    kernel, dilation, padding, stride = both(kernel_size, dilation, padding, stride)
    n, channels = c.shape[0], c.shape[1] // (kernel[0] * kernel[1])
    image = np.zeros((n, channels, *output_size))
    total = None
    for i, (shape, place, _) in enumerate(columns(image, kernel, dilation, padding, stride)):
        total = np.zeros(shape) if total is None else total
        total[(..., *place)] += c[:, :, i].reshape(n, channels, *kernel)
    (p, q), (h, w) = padding, output_size
    return total[:, :, p:p + h, q:q + w]


register(OpCase("pad", padded, [
    Sample(arrays_like((2, 3)), dict(pad=(1, 2)), name="last"),
    Sample(arrays_like((2, 3, 4)), dict(pad=(1, 0, 0, 2), value=1.5)),
    Sample(arrays_like((2, 4)), dict(pad=(-1, 2, 1, -1)), name="cut"),
    *[Sample(arrays_like(shape), dict(pad=sizes, mode=mode)) for mode in MODES for shape, sizes in (
        ((2, 3, 4), (3, 1)), ((3, 4), (0, 2)), ((1, 2, 4, 5), (1, 2, 3, 0)), ((1, 1, 3, 3, 4), (1, 2, 2, 1, 0, 2)))],
    Sample(arrays_like((1, 2, 3)), dict(pad=(5, 7), mode="replicate"), name="far"),
    Sample(arrays_like((1, 2, 6)), dict(pad=(-1, 2), mode="reflect"), name="cut and mirrored"),
    Sample(arrays_like((0, 2, 3)), dict(pad=(1, 1), mode="reflect"), name="empty batch"),
    Sample(arrays_like((1, 2, 3)), dict(pad=(0, 0), mode="circular"), name="nothing"),
], [
    BadInput((np.zeros((2, 3)), (1, 2, 3)), {}, RuntimeError, "pad: Padding length must be divisible by 2"),
    BadInput((np.zeros((2, 3)), (1,) * 6), {}, RuntimeError, "pad: Padding length should be"),
    BadInput((np.zeros((1, 2, 3)), (3, 0), "reflect"), {}, RuntimeError, "pad: Padding size should be less"),
    BadInput((np.zeros((1, 2, 3)), (4, 0), "circular"), {}, RuntimeError, "pad: Padding value causes wrapping"),
    BadInput((np.zeros((1, 2, 3)), (1, 1), "mirror"), {}, NotImplementedError, "pad: Unrecognised padding mode"),
    BadInput((np.zeros(3), (1, 1), "reflect"), {}, NotImplementedError, "pad: Only 2D"),
    BadInput((np.zeros((1, 2, 3)), (1, 1), "reflect", 2.0), {}, ValueError, "pad: .* value"),
], kernels=("pick_axis", "pick_axis_dx"), torch="nn.functional.pad"))

register(OpCase("nn.functional.unfold", unfold, [
    Sample(arrays_like((2, 3, 4, 5)), dict(kernel_size=2)),
    Sample(arrays_like((1, 2, 5, 6)), dict(kernel_size=(2, 3), dilation=(2, 1), padding=(1, 0), stride=(1, 2))),
    Sample(arrays_like((2, 4, 3)), dict(kernel_size=(3, 1), padding=1), name="unbatched"),
], [
    BadInput((np.zeros((2, 3)), 2), {}, RuntimeError, "unfold: expects"),
    BadInput((np.zeros((1, 2, 3, 3)), 4), {}, RuntimeError, "unfold: Given input with spatial size"),
    BadInput((np.zeros((1, 2, 3, 3)), 2), dict(stride=0), RuntimeError, "unfold: stride"),
], kernels=("im2col", "col2im"), torch="nn.functional.unfold"))

register(OpCase("fold", fold, [
    Sample(arrays_like((2, 12, 12)), dict(output_size=(4, 5), kernel_size=2)),
    Sample(arrays_like((1, 6, 18)), dict(output_size=(5, 6), kernel_size=(2, 3), padding=1, stride=(1, 2))),
    Sample(arrays_like((3, 4)), dict(output_size=(4, 4), kernel_size=(3, 1), dilation=(1, 2), stride=(1, 2)),
           name="unbatched"),
], [
    BadInput((np.zeros((2, 12, 11)), (4, 5), 2), {}, RuntimeError, "fold: Given output_size"),
    BadInput((np.zeros((2, 10, 12)), (4, 5), 2), {}, RuntimeError, "fold: Expected size of input's dimension 1"),
], torch="nn.functional.fold"))
