"""Windows as columns, and columns summed into images."""
from __future__ import annotations

from itertools import product

import numpy as np

from . import BadInput, OpCase, Sample, arrays_like, register
from .conv import batched, each, taps


def windows(size, window, dilation, padding, stride):
    """For each window, in order, the slices of the padded image that it sees."""
    counts = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(size, window, dilation, padding, stride)]
    return [taps(place, window, stride, dilation) for place in product(*map(range, counts))]


def im2col(x, window, dilation, padding, stride):
    image = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    places = windows(x.shape[2:], window, dilation, padding, stride)
    y = np.zeros((len(x), x.shape[1] * int(np.prod(window)), len(places)))
    for i, place in enumerate(places):
        y[..., i] = image[(..., *place)].reshape(y.shape[:2])
    return y


def col2im(columns, size, window, dilation, padding, stride):
    n, rows, _ = columns.shape
    image = np.zeros((n, rows // int(np.prod(window)), *(m + 2 * p for m, p in zip(size, padding))))
    for i, place in enumerate(windows(size, window, dilation, padding, stride)):
        image[(..., *place)] += columns[..., i].reshape(*image.shape[:2], *window)
    return image[(..., *(slice(p, p + m) for m, p in zip(size, padding)))]


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    y = im2col(batched(x, 2), *(each(v, 2) for v in (kernel_size, dilation, padding, stride)))
    return y.reshape(y.shape[x.ndim == 3:])


def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    y = col2im(batched(x, 1), *(each(v, 2) for v in (output_size, kernel_size, dilation, padding, stride)))
    return y.reshape(y.shape[x.ndim == 2:])


register(OpCase("nn.functional.unfold", unfold, [
    Sample(arrays_like((2, 3, 4, 5)), {"kernel_size": (2, 3)}),
    Sample(arrays_like((1, 2, 5, 4)), {"kernel_size": 2, "dilation": (2, 1), "padding": (1, 2), "stride": (1, 2)}),
    Sample(arrays_like((2, 3, 3)), {"kernel_size": 2}, name="unbatched"),
    Sample(arrays_like((0, 1, 2, 2)), {"kernel_size": 2}, name="no images"),
    Sample(arrays_like((1, 1, 1, 1)), {"kernel_size": 1}),
], kernels=("im2col", "col2im"), errors=[
    BadInput((np.zeros((2, 3)), 2), {}, (RuntimeError, IndexError), "expects"),
    BadInput((np.zeros((1, 1, 2, 2)), 3), {}, RuntimeError, "too small"),
    BadInput((np.zeros((1, 1, 2, 2)), 0), {}, RuntimeError, "kernel_size expects"),
    BadInput((np.zeros((1, 1, 2, 2)), 1), {"stride": 0}, RuntimeError, "stride expects"),
    BadInput((np.zeros((1, 1, 2, 2)), (1, 1, 1)), {}, RuntimeError, "kernel_size expects"),
]))
register(OpCase("fold", fold, [
    Sample(arrays_like((2, 12, 9)), {"output_size": (4, 5), "kernel_size": (2, 3)}),
    Sample(arrays_like((1, 8, 15)), {"output_size": (5, 4), "kernel_size": 2, "dilation": (2, 1), "padding": (1, 1),
                                     "stride": (1, 2)}),
    Sample(arrays_like((4, 4)), {"output_size": 3, "kernel_size": 2}, name="unbatched"),
    Sample(arrays_like((0, 4, 1)), {"output_size": 2, "kernel_size": 2}, name="no columns"),
], torch="nn.functional.fold", kernels=("im2col", "col2im"), errors=[
    BadInput((np.zeros(4), 2, 2), {}, RuntimeError, "expects"),
    BadInput((np.zeros((1, 3, 1)), 2, 2), {}, RuntimeError, "divisible by the product of kernel_size"),
    BadInput((np.zeros((1, 4, 3)), 2, 2), {}, RuntimeError, "sliding blocks"),
    BadInput((np.zeros((1, 4, 1)), 1, 2), {}, RuntimeError, "sliding blocks"),
    BadInput((np.zeros((1, 4, 1)), 2, 2), {"stride": 0}, RuntimeError, "stride expects"),
]))
OPTIONS = (2, 3), (2, 1), (1, 0), (1, 2)
register(OpCase("im2col", im2col, [Sample(lambda rng: (rng.standard_normal((2, 3, 4, 5)), *OPTIONS))], torch=None))
register(OpCase("col2im", col2im, [
    Sample(lambda rng: (rng.standard_normal((2, 18, 8)), (4, 5), *OPTIONS))], torch=None))
