"""Convolution in two dimensions without im2col: padded images in cache, `gemm.product` over addresses there.

Some images at a time are copied, with their zeros, into one plane for each channel (`gemm.spread`). With
stride s, a plane is split by the remainder of the place modulo s, which makes every convolution one of
stride 1: a tap (kh, kw) of the window only adds a constant to the address of an output's first input. The
input gradient is the same product over the planes of dy, once for each remainder of the input's place, with
the taps that meet it. The weight gradient is `gemm.dots` of the planes of dy and x. tall.py has both for
many channels and small images. Windows of one place are plain products, and BLAS's.

What follows from the shapes alone (cuts into parts, tables of addresses: planes.py) is a plan, and kept.
"""
from __future__ import annotations

from functools import lru_cache
from itertools import pairwise, product
from math import lcm
from typing import NamedTuple

import numpy as np

from .. import blas, memory, parallel
from . import gemm, planes, tall, vector

CACHE = 1 << 20  # bytes that the planes of one part may fill: half of an L2 cache
PARTS = 8  # parts at most, unless the cache wants more
WORTH = 1 << 20  # multiplications in a part, at least
FEW = 12  # vectors of places in a part, at least
LONG = 1024  # places over which a part sums dw, at least
WEIGHTS = 1 << 21  # numbers in the sums of all parts for dw, at most
NEAR = 2048  # places that `gemm.dots` finishes for all pairs of channels before it goes on
DEEP = 256  # products in a sum from which tall tiles are worth transposing y
FULL = 0.9  # the part of the vectors along rows that is used, above which they are better than tall tiles
THIN = 2  # rows up to which tiles of one row are better than a tile that is mostly empty


def conv2d(x, w, b, stride, padding, dilation, groups):
    """y, as the reference `conv2d` says."""
    outputs = len(w)
    if _is_product(w.shape, stride, padding, groups):
        y = blas.matmul(w.reshape(w.shape[:2]), _matrices(x)).reshape(len(x), outputs, *x.shape[2:])
        return y if b is None else np.add(y, b.reshape(-1, 1, 1), out=y)
    out = planes.outputs(w.shape[2:], x.shape[2:], stride, padding, dilation)
    y = memory.empty((len(x), outputs, *out), x.dtype)
    if y.size:
        _correlate(_plan(x.shape, w.shape, stride, padding, dilation, groups, x.dtype.char), x, w, b, y)
    return y


def conv2d_dx(dy, w, x_shape, stride, padding, dilation, groups):
    """dx, as the reference `conv2d_dx` says."""
    if _is_product(w.shape, stride, padding, groups):
        return blas.matmul(w.reshape(w.shape[:2]).T, _matrices(dy)).reshape(x_shape)
    dx = memory.empty(x_shape, dy.dtype)
    if dx.size:
        plan = _plan_dx(tuple(x_shape), w.shape, stride, padding, dilation, groups, dy.dtype.char)
        _correlate(plan, dy, w, None, dx)
    return dx


def conv2d_dw(dy, x, w_shape, stride, padding, dilation, groups):
    """dw, as the reference `conv2d_dw` says: each part sums its images, and the parts are added in order."""
    if not dy.size or not x.size:
        return np.zeros(w_shape, dy.dtype)
    if _is_product(w_shape, stride, padding, groups):
        return _sum_of_products(_matrices(dy), _matrices(x).swapaxes(1, 2)).reshape(w_shape)
    plan = _plan_dw(x.shape, tuple(w_shape), stride, padding, dilation, groups, x.dtype.char)
    if plan.tall:
        return _dw_tall(plan, dy, x).reshape(w_shape)
    layout, rows, per_group, depth = plan.layout, plan.rows, plan.per_group, plan.depth
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    sums = np.zeros((plan.ranges, groups * rows * depth), x.dtype)

    def part(i):
        number, g, r, chunks = plan.cuts[i]
        height, inputs = r.stop - r.start, slice(g.start * per_group, g.stop * per_group)
        outputs = slice(g.start * rows + r.start, (g.stop - 1) * rows + r.stop)
        for images in chunks:
            length, lines, columns = plan.tables[images.stop - images.start, height]
            xs = planes.spread(x, inputs, images, layout, length)
            dys = planes.spread(dy, outputs, images, plan.plain, length)
            gemm.dots(dys, height * length, lines, height, xs, per_group * layout.phases * length, columns,
                      depth, g.stop - g.start, length, NEAR, sums[number, outputs.start * depth:])

    parallel.run(part, len(plan.cuts), 2 * dy.size * depth)
    return sums.sum(0).reshape(w_shape)


class _Plan(NamedTuple):
    """For each group a product: `rows` of y, from `per_group` channels of x."""

    layout: planes.Layout
    targets: tuple[planes.Target, ...]
    groups: int
    rows: int
    row: int  # the distance of rows in w
    per_group: int
    columns: list[np.ndarray]  # for each target, where the weights of a row lie in w
    height: int  # of a block of rows: of tall tiles, of tiles, or 1
    cuts: list[tuple[slice, slice, slice]]  # parts: images, groups, blocks of rows
    tables: dict[int, tuple]  # for numbers of images: length of a plane, and tables for each target
    together: int
    work: int


class _PlanDw(NamedTuple):
    layout: planes.Layout
    plain: planes.Layout
    rows: int
    per_group: int
    depth: int
    tall: bool
    ranges: int
    cuts: list[tuple[int, slice, slice, list[slice]]]  # parts: number of the sum, groups, rows, images
    tables: dict[tuple[int, int], tuple]  # for numbers of images and rows: length of a plane, tables


@lru_cache(256)
def _plan(x_shape, w_shape, stride, padding, dilation, groups, letter):
    (batch, _, *size), (outputs, per_group, *window) = x_shape, w_shape
    layout, taps = planes.forward(window, size, stride, padding, dilation)
    out = planes.outputs(window, size, stride, padding, dilation)
    target, rows = planes.Target(taps, out, 0, out[1], 1), outputs // groups
    return _product_plan(batch, layout, (target,), groups, rows, per_group * len(taps), per_group, len(taps),
                         out[0] * out[1], letter)


@lru_cache(256)
def _plan_dx(x_shape, w_shape, stride, padding, dilation, groups, letter):
    (batch, _, *size), (outputs, per_group, *window) = x_shape, w_shape
    layout, targets = planes.backward(window, size, stride, padding, dilation)
    taps = window[0] * window[1]
    return _product_plan(batch, layout, targets, groups, per_group, taps, outputs // groups, per_group * taps,
                         size[0] * size[1], letter)


def _product_plan(batch, layout, targets, groups, rows, row, per_group, channel, area, letter):
    """The plan of a product; rows and channels lie `row` and `channel` apart in w, channels `area` in y."""
    bytes_of_place = groups * per_group * layout.phases * np.dtype(letter).itemsize
    work = batch * groups * rows * sum(per_group * len(t.taps) * t.out[0] * t.out[1] for t in targets)
    parts, few = _parts(work), -(-FEW * vector.lanes(letter) // layout.area)
    most = min(CACHE // (bytes_of_place * layout.area), max(-(-batch // parts), few))
    chunks = _evenly(slice(0, batch), most)
    wide, height = tall.VECTORS * vector.lanes(letter), gemm.ROWS if rows > THIN else 1
    if groups == targets[0].step == 1 and per_group * len(targets[0].taps) >= DEEP and _fits(rows, wide):
        height = wide if _used(layout, targets[0].out, vector.lanes(letter)) < FULL else height
    blocks = -(-rows // height)
    cuts = list(product(chunks, *_shares(groups, blocks, max(1, 32 // height), parts // len(chunks))))
    tables = {}
    for images in {c.stop - c.start for c in chunks}:
        length, each = planes.length(layout, images, letter), []
        for t in targets:
            offsets, image = planes.offsets(layout, t.taps, per_group, length), groups * rows * area
            each.append((offsets, planes.places(layout, t.out, images)) if height == wide else
                        (offsets, *planes.vectors(layout, t, images, image, letter)))
        tables[images] = length, each
    tile = lcm(gemm.VECTORS, gemm.THIN)
    together = (1 + CACHE // (per_group * layout.phases * vector.REGISTER * tile)) * tile
    columns = [planes.columns(t.taps, per_group, channel) for t in targets]
    return _Plan(layout, targets, groups, rows, row, per_group, columns, height, cuts, tables, together, work)


@lru_cache(256)
def _plan_dw(x_shape, w_shape, stride, padding, dilation, groups, letter):
    (batch, _, *size), (outputs, per_group, *window) = x_shape, w_shape
    layout, taps = planes.forward(window, size, stride, padding, dilation)
    plain, rows, depth = layout.plain(), outputs // groups, per_group * len(taps)
    parts = _parts(batch * layout.area * outputs * depth)
    sums = max(1, min(parts, batch * layout.area // LONG, WEIGHTS // (outputs * depth)))
    ranges = _evenly(slice(0, batch), -(-batch // sums))
    wide, out = tall.VECTORS * vector.lanes(letter), planes.outputs(window, size, stride, padding, dilation)
    is_tall = groups == 1 and _fits(rows, wide)
    shares = _shares(groups, rows, wide if is_tall else gemm.LEFT, parts // len(ranges))
    cuts, tables = [], {}
    for (number, images), g, r in product(enumerate(ranges), *shares):
        height = r.stop - r.start
        lines = (g.stop - g.start) * (per_group * layout.phases + height)
        chunks = _evenly(images, CACHE // (lines * layout.area * np.dtype(letter).itemsize))
        cuts.append((number, g, r, chunks))
        for count in {c.stop - c.start for c in chunks}:
            length = planes.length(layout, count, letter)
            first = (planes.places(layout, out, count) if is_tall else
                     planes.offsets(plain, planes.ORIGIN, height, length))
            tables[count, height] = length, first, planes.offsets(layout, taps, per_group, length)
    return _PlanDw(layout, plain, rows, per_group, depth, is_tall, len(ranges), cuts, tables)


def _dw_tall(plan, dy, x):
    """dw (O, channels * taps), with O along the vectors."""
    (_, channels, *_), (_, outputs, height, width) = x.shape, dy.shape
    wide, depth = tall.VECTORS * vector.lanes(x.dtype), _round(plan.depth, tall.PLACES)
    blocks, area = -(-outputs // wide), height * width
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    sums = np.zeros((plan.ranges, blocks * depth * wide), x.dtype)

    def part(i):
        number, _, r, chunks = plan.cuts[i]
        first, last = r.start // wide, -(-r.stop // wide)
        for images in chunks:
            count = images.stop - images.start
            length, places, columns = plan.tables[count, r.stop - r.start]
            xs = planes.spread(x, slice(0, channels), images, plan.layout, length)
            out = sums[number, first * depth * wide:]
            tall.dots(dy.reshape(-1), images.start * outputs * area, outputs, first, last, count,
                      outputs * area, area, xs, places, columns, plan.depth, out)

    parallel.run(part, len(plan.cuts), 2 * dy.size * plan.depth)
    turned = sums.sum(0).reshape(blocks, depth, wide)[:, :plan.depth].swapaxes(1, 2)
    return turned.reshape(blocks * wide, plan.depth)[:outputs]


def _correlate(plan, x, w, b, y):
    """Fill y (N, groups * rows, H, W)."""
    layout, groups, rows, per_group, height = plan.layout, plan.groups, plan.rows, plan.per_group, plan.height
    blocks, area, outputs = -(-rows // height), y.shape[2] * y.shape[3], y.shape[1]
    bias = np.zeros((groups, blocks * height), x.dtype)
    if b is not None:
        bias[:, :rows] = b.reshape(groups, rows)
    w = np.ascontiguousarray(w).reshape(-1)
    packed = [_pack(w, groups, plan.row, column, rows, height, blocks) for column in plan.columns]
    x, bias, out = np.ascontiguousarray(x), bias.reshape(-1), y.reshape(-1)

    def part(i):
        images, g, block = plan.cuts[i]
        number, y0 = images.stop - images.start, images.start * outputs * area
        length, tables = plan.tables[number]
        xs = planes.spread(x, slice(g.start * per_group, g.stop * per_group), images, layout, length)
        if height > gemm.ROWS:
            tall.product(packed[0], bias, rows, len(plan.columns[0]), block.start, block.stop, xs, *tables[0],
                         number, area, out, y0, outputs * area, area)
            return
        for target, table, a, column in zip(plan.targets, tables, packed, plan.columns):
            gemm.product(a, bias, g.start, g.stop, rows, len(column), block.start, block.stop, xs,
                         per_group * layout.phases * length, *table, plan.together,
                         out, y0, area, target.step, height == 1)

    parallel.run(part, len(plan.cuts), 2 * plan.work)


def _pack(w, groups, row, column, rows, height, blocks):
    """The weights in the order in which `gemm.product` reads them."""
    packed = vector.empty(groups * blocks * height * len(column), w.dtype)
    cuts = parallel.chunks(blocks, -(-blocks // PARTS))

    def part(i):
        first, last = cuts[i].start, cuts[i].stop
        gemm.pack_rows(w, groups, len(w) // groups, row, column, rows, height, first, last, packed)

    parallel.run(part, len(cuts), len(w))
    return packed


def _is_product(w_shape, stride, padding, groups):
    return w_shape[2] * w_shape[3] * stride[0] * stride[1] * groups == 1 and not padding[0] and not padding[1]


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


def _fits(rows, wide):
    """Whether so many rows fill tall tiles well."""
    return rows % wide == 0 or rows > 4 * wide


def _used(layout, out, lanes):
    """The part of the places that are outputs, in vectors along a plane or along each row."""
    return max(out[0] * out[1] / layout.area, out[1] / _round(out[1], lanes))


def _parts(work):
    """How many parts so many multiplications are worth."""
    return min(PARTS, max(1, work // WORTH))


def _shares(groups, rows, tile, parts):
    """Slices of the groups, or of the only group's rows in whole tiles, for about so many parts.

    Parts that differ in rows alone copy the same images, so there are no more of them than wanted.
    """
    parts = max(1, parts)
    if groups > 1:
        return parallel.chunks(groups, -(-groups // parts)), [slice(0, rows)]
    return [slice(0, 1)], parallel.chunks(rows, max(1, -(-rows // parts // tile)) * tile)


def _round(n, step):
    return -(-n // step) * step


def _evenly(images, most):
    """Slices of so many images at most, all about as long."""
    total = images.stop - images.start
    cuts = -(-total // max(1, most))
    ends = [images.start + total * i // cuts for i in range(cuts + 1)]
    return [slice(*pair) for pair in pairwise(ends)]
