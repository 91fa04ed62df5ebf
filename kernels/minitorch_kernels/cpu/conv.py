"""Convolution in two dimensions without im2col: padded images in cache, and `gemm.product` over addresses in them.

Some images at a time are copied, with their zeros, into one plane for each channel (`spread`). With stride s, a plane is
split by the remainder of the place modulo s, which makes every convolution one of stride 1: a tap (kh, kw) of the
window only adds a constant to the address of an output's first input. The input gradient is the same product over the
planes of dy, once for each remainder of the input's place, with the taps that meet it. The weight gradient is
`gemm.dots` of the planes of dy and x. Windows of one place are plain products, and BLAS's.
"""
from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

import numpy as np

from .. import blas, memory, parallel
from . import gemm, planes

CACHE = 1 << 20  # bytes that the planes of one part may fill: half of an L2 cache
PARTS = 8  # parts wanted at least, so that several threads find work
NEAR = 2048  # places that `gemm.dots` finishes for all pairs of channels before it goes on
FEW = 12  # vectors of places that a part has at least, if there are so many
WIDE = math.lcm(gemm.VECTORS, gemm.THIN)
THIN = 2  # rows up to which tiles of one row are better than a tile that is mostly empty


def conv2d(x, w, b, stride, padding, dilation, groups):
    """y, as the reference `conv2d` says."""
    (batch, channels, *size), (outputs, per_group, *window) = x.shape, w.shape
    if _is_product(window, stride, padding, groups):
        y = blas.matmul(w.reshape(outputs, channels), _matrices(x)).reshape(batch, outputs, *size)
        return y if b is None else np.add(y, b.reshape(-1, 1, 1), out=y)
    layout, taps = planes.forward(tuple(window), tuple(size), tuple(stride), tuple(padding), tuple(dilation))
    out = planes.outputs(window, size, stride, padding, dilation)
    y = memory.empty((batch, outputs, *out), x.dtype)
    rows = _Rows(w, groups, outputs // groups, per_group * len(taps), per_group, len(taps))
    _correlate(x, layout, rows, (planes.Target(taps, out, 0, out[1], 1),), b, y)
    return y


def conv2d_dx(dy, w, x_shape, stride, padding, dilation, groups):
    """dx, as the reference `conv2d_dx` says."""
    outputs, per_group, *window = w.shape
    if _is_product(window, stride, padding, groups):
        return blas.matmul(w.reshape(outputs, per_group).T, _matrices(dy)).reshape(x_shape)
    dx = memory.empty(x_shape, dy.dtype)
    layout, targets = planes.backward(tuple(window), tuple(x_shape[2:]), tuple(stride), tuple(padding), tuple(dilation))
    area = window[0] * window[1]
    _correlate(dy, layout, _Rows(w, groups, per_group, area, outputs // groups, per_group * area), targets, None, dx)
    return dx


def conv2d_dw(dy, x, w_shape, stride, padding, dilation, groups):
    """dw, as the reference `conv2d_dw` says: each part sums its images, and the parts are added in a fixed order."""
    if not dy.size or not x.size:
        return np.zeros(w_shape, dy.dtype)
    if _is_product(w_shape[2:], stride, padding, groups):
        return _sum_of_products(_matrices(dy), _matrices(x).swapaxes(1, 2)).reshape(w_shape)
    (batch, channels, *size), (outputs, per_group, *window) = x.shape, w_shape
    layout, taps = planes.forward(tuple(window), tuple(size), tuple(stride), tuple(padding), tuple(dilation))
    rows, depth = outputs // groups, per_group * len(taps)
    ranges = parallel.chunks(batch, -(-batch // _ranges(batch * layout.area, outputs * depth)))
    group_cuts, row_cuts = _shares(groups, rows, gemm.LEFT, PARTS // len(ranges))
    cuts = list(product(range(len(ranges)), group_cuts, row_cuts))
    sums = np.zeros((len(ranges), outputs * depth), x.dtype)
    x, dy, plain = np.ascontiguousarray(x), np.ascontiguousarray(dy), layout.plain()

    def part(i):
        number, g, r = cuts[i]
        count, height, whole = g.stop - g.start, r.stop - r.start, ranges[number]
        bytes_each = (count * per_group * layout.phases + count * height) * layout.area * x.itemsize
        for images in _evenly(whole, CACHE // bytes_each):
            length = planes.length(layout, images.stop - images.start, x.dtype.char)
            inputs = planes.spread(x, slice(g.start * per_group, g.stop * per_group), images, layout)
            dys = planes.spread(dy, slice(g.start * rows + r.start, (g.stop - 1) * rows + r.stop), images, plain)
            gemm.dots(dys, height * length, planes.offsets(plain, planes.ORIGIN, height, length), height,
                      inputs, per_group * layout.phases * length, planes.offsets(layout, taps, per_group, length), depth, count,
                      length, NEAR, sums[number, (g.start * rows + r.start) * depth:])

    parallel.run(part, len(cuts), 2 * dy.size * depth)
    return sums.sum(0).reshape(w_shape)


def _correlate(x, layout, rows, targets, b, y):
    """Fill y (N, groups * rows, H, W): a part is some images, groups and blocks of rows."""
    if not y.size:
        return
    w, groups, count, _, per_group, _ = rows
    thin = count <= THIN
    height = 1 if thin else gemm.ROWS
    blocks, area = -(-count // height), y.shape[2] * y.shape[3]
    bias = np.zeros((groups, blocks * height), x.dtype)
    if b is not None:
        bias[:, :count] = b.reshape(groups, count)
    bytes_each = per_group * groups * layout.phases * layout.area * x.itemsize
    least = -(-FEW * gemm.lanes(x.dtype) // layout.area)
    chunks = list(_evenly(slice(0, len(x)), min(CACHE // bytes_each, max(-(-len(x) // PARTS), least))))
    group_cuts, block_cuts = _shares(groups, blocks, 4, PARTS // len(chunks))
    cuts = list(product(chunks, group_cuts, block_cuts))
    together = CACHE // (per_group * layout.phases * gemm.REGISTER) // WIDE * WIDE + WIDE
    packed = [_packed(rows, target.taps, height) for target in targets]
    x, bias, out = np.ascontiguousarray(x), bias.reshape(-1), y.reshape(-1)

    def part(i):
        images, g, block = cuts[i]
        number = images.stop - images.start
        length = planes.length(layout, number, x.dtype.char)
        inputs = planes.spread(x, slice(g.start * per_group, g.stop * per_group), images, layout)
        for target, a in zip(targets, packed):
            gemm.product(a, bias, g.start, g.stop, count, per_group * len(target.taps), block.start, block.stop, inputs,
                         per_group * layout.phases * length, planes.offsets(layout, target.taps, per_group, length),
                         *planes.vectors(layout, target, number, y.shape[1] * area, x.dtype.char), together,
                         out, images.start * y.shape[1] * area, area, target.step, thin)

    parallel.run(part, len(cuts), 2 * y.size * max(per_group * len(t.taps) for t in targets))


class _Rows(NamedTuple):
    """The weights as a matrix for each group, (rows, channels * taps), and the distances in w of its rows and channels."""

    w: np.ndarray
    groups: int
    rows: int
    row: int
    channels: int
    channel: int


def _packed(rows, taps, height):
    """The weights of these taps in the order in which `gemm.product` reads them."""
    w, groups, count, row, channels, channel = rows
    column = (np.arange(channels)[:, None] * channel + np.array([t[3] for t in taps], np.int64)).reshape(-1)
    packed = np.empty(groups * -(-count // height) * height * len(column), w.dtype)
    gemm.pack_rows(np.ascontiguousarray(w).reshape(-1), groups, w.size // groups, row, column, count, height, packed)
    return packed


def _is_product(window, stride, padding, groups):
    return groups == 1 and max(*window, *stride) == 1 and max(padding) == 0


def _matrices(x):
    """(N, C, H * W)"""
    return x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])


def _sum_of_products(a, b):
    """The sum over the batch of a[n] @ b[n], in an order that is the same for every number of threads."""
    ranges = parallel.chunks(len(a), -(-len(a) // PARTS))
    sums = np.empty((len(ranges), a.shape[1], b.shape[2]), a.dtype)

    def part(i):
        n = ranges[i]
        np.matmul(a[n.start], b[n.start], out=sums[i])
        for image in range(n.start + 1, n.stop):
            sums[i] += np.matmul(a[image], b[image])

    blas.run(part, len(ranges), 2 * a.size * b.shape[2])
    return sums.sum(0)


def _ranges(places, weights):
    """Into how many ranges of images the sum for dw is cut: each long, and all their sums together not large."""
    return max(1, min(PARTS, places // 1024, (1 << 21) // weights))


def _shares(groups, rows, tile, parts):
    """Slices of the groups, or of the rows of the only group in whole tiles, for so many parts: each copies the images anew."""
    if groups > 1:
        return parallel.chunks(groups, -(-groups // max(1, parts))), [slice(0, rows)]
    return [slice(0, 1)], parallel.chunks(rows, max(1, -(-rows // max(1, parts) // tile)) * tile)


def _evenly(images, most):
    """Slices of so many images at most, all about as long."""
    total = images.stop - images.start
    pieces = -(-total // max(1, most))
    return [slice(images.start + total * i // pieces, images.start + total * (i + 1) // pieces) for i in range(pieces)]
