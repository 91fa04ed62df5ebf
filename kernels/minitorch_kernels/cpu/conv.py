"""Convolution in two and three dimensions without im2col: padded images in cache, `gemm.product` over addresses there.

Some images at a time are copied, with their zeros, into one plane for each channel (`gemm.spread`). With
stride s, a plane is split by the remainder of the place modulo s, which makes every convolution one of
stride 1: a tap of the window only adds a constant to the address of an output's first input. The
input gradient is the same product over the planes of dy, once for each remainder of the input's place, with
the taps that meet it. The weight gradient is `gemm.dots` of the planes of dy and x. tall.py has both for
many channels and small images. Windows of one place are plain products.

What follows from the shapes alone (cuts into parts, tables of addresses: planes.py) is a plan, and kept: arrays of
whole numbers, from which each part of a task reads what is its own.
"""
from __future__ import annotations

import math
from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from .. import conv as reference
from .. import memory, parallel
from . import dense, depthwise, gemm, planes, tall, vector
from .tasks import borrow, give_back, task
from .vector import MANY, lanes_of

CACHE = 1 << (20 if MANY else 18)  # bytes that the planes of one part may fill: half of an L2 cache
PARTS = 8  # parts at most, unless the cache wants more
WORTH = 1 << 18  # multiplications in a part, at least
FEW = 12  # vectors of places in a part, at least
LONG = 1024  # places over which a part sums dw, at least
WEIGHTS = 1 << 21  # numbers in the sums of all parts for dw, at most
NEAR = 2048  # places that `gemm.dots` finishes for all pairs of channels before it goes on
DEEP = 256  # products in a sum from which tall tiles are worth transposing y
SPARE = 1.34  # rows of tall tiles for each real one, at most
FULL = 0.9  # the part of the vectors along rows that is used, above which they are better than tall tiles


def conv2d(x, w, b, stride, padding, dilation, groups, floor=-math.inf):
    """y, as the reference `conv2d` says, but nothing less than `floor`."""
    outputs = len(w)
    if _is_product(w.shape, stride, padding, groups):
        y = dense.matmul(w.reshape(w.shape[:2]), _matrices(x)).reshape(len(x), outputs, *x.shape[2:])
        if b is not None:
            np.add(y, b.reshape(-1, *[1] * len(stride)), out=y)
        return y if floor < 0 else np.maximum(y, 0, out=y)
    out = planes.outputs(w.shape[2:], x.shape[2:], stride, padding, dilation)
    y = memory.empty((len(x), outputs, *out), x.dtype)
    if y.size:
        _correlate(_plan(x.shape, w.shape, stride, padding, dilation, groups, x.dtype.char), x, w, b, y, floor)
    return y


def conv2d_relu(*arguments):
    """The positive part of `conv2d`."""
    return conv2d(*arguments, floor=0.0)


def conv2d_dx(dy, w, x_shape, stride, padding, dilation, groups):
    """dx, as the reference `conv2d_dx` says."""
    if _is_product(w.shape, stride, padding, groups):
        return dense.matmul(w.reshape(w.shape[:2]).T, _matrices(dy)).reshape(x_shape)
    dx = memory.empty(x_shape, dy.dtype)
    if dx.size:
        plan = _plan_dx(tuple(x_shape), w.shape, stride, padding, dilation, groups, dy.dtype.char)
        _correlate(plan, dy, w, None, dx, -math.inf)
    return dx


def conv2d_dw(dy, x, w_shape, stride, padding, dilation, groups):
    """dw, as the reference `conv2d_dw` says: each range of images has its sum, and the sums are added in order."""
    if not dy.size or not x.size:
        return np.zeros(w_shape, dy.dtype)
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    plan = _plan_dw(x.shape, tuple(w_shape), stride, padding, dilation, groups, x.dtype.char)
    dw = (depthwise.weight_gradient if type(plan) is depthwise.Plan else _weight_gradient)(plan, dy, x, w_shape)
    if not getattr(plan, "tall", 0) and not np.isfinite(dw).all():  # dy's zeros between rows have met infinity or NaN
        dw = reference.conv2d_dw(np, dy, x, w_shape, stride, padding, dilation, groups)
    return dw


def _weight_gradient(plan, dy, x, w_shape):
    sums = np.zeros((plan.ranges, plan.size), x.dtype)
    room, rooms = planes.rooms(plan.room, x.dtype)
    _sum_part(plan.parts, 2 * dy.size * plan.depth, plan.cuts, plan.chunks, plan.directory, plan.tables, plan.numbers,
              *plan.layout, dy.reshape(-1), x.reshape(-1), sums.reshape(-1), room, rooms)
    total = sums[0] if plan.ranges == 1 else sums.sum(0)
    if plan.tall:
        turned = total.reshape(-1, plan.whole, plan.tall)[:, :plan.depth].swapaxes(1, 2)
        total = turned.reshape(-1, plan.depth)[:w_shape[0]]
    return total.reshape(w_shape)


conv3d, conv3d_dx, conv3d_dw = conv2d, conv2d_dx, conv2d_dw


class _Plan(NamedTuple):
    """For each group a product: `rows` of y, from some channels of x."""

    groups: int
    rows: int
    row: int  # the distance of rows in w
    height: int  # of a block of rows: of tall tiles, or of tiles
    columns: list[np.ndarray]  # for each target, where the weights of a row lie in w
    layout: tuple  # of x, as `gemm.spread` takes it
    parts: int
    cuts: np.ndarray  # for each part: first and last image, group, block of rows, and a row of the directory
    directory: np.ndarray  # for a number of images: the length of a plane, and LINE numbers for each target
    tables: np.ndarray  # the tables of all rows of the directory, one after the other
    numbers: np.ndarray  # what is the same for all parts
    room: int  # numbers that the planes of a part fill
    work: int


class _PlanDw(NamedTuple):
    depth: int
    tall: int  # rows of a block where tall tiles are used, else 0
    whole: int  # depth, filled up to whole tiles
    ranges: int
    size: int  # of one range's sums
    layout: tuple
    parts: int
    cuts: np.ndarray  # for each part: number of the range, groups, rows, chunks (first and last of each)
    chunks: np.ndarray  # first and last image, and a row of the directory
    directory: np.ndarray  # the length of a plane, and where two tables begin
    tables: np.ndarray
    numbers: np.ndarray
    room: int


LINE = 9  # offsets, places, first, pieces (where they begin), vectors, simple, depth, where weights begin, step


@lru_cache(256)
def _plan(x_shape, w_shape, stride, padding, dilation, groups, letter):
    batch, outputs, per_group = x_shape[0], *w_shape[:2]
    geometry = _in_three(w_shape, x_shape, stride, padding, dilation)
    if outputs // groups <= depthwise.ROWS:
        return depthwise.forward_plan(batch, groups, outputs // groups, per_group, geometry, letter)
    (layout, taps), out = planes.forward(*geometry), planes.outputs(*geometry)
    target, rows = planes.Target(taps, out, 0, (out[1] * out[2], out[2], 1)), outputs // groups
    return _product_plan(batch, geometry[1], layout, (target,), groups, rows, per_group * len(taps), per_group,
                         len(taps), prod(out), letter)


@lru_cache(256)
def _plan_dx(x_shape, w_shape, stride, padding, dilation, groups, letter):
    batch, outputs, per_group, taps = x_shape[0], *w_shape[:2], prod(w_shape[2:])
    geometry = _in_three(w_shape, x_shape, stride, padding, dilation)
    if per_group <= depthwise.ROWS:
        return depthwise.backward_plan(batch, groups, per_group, outputs // groups, geometry, letter)
    layout, targets = planes.backward(*geometry)
    return _product_plan(batch, planes.outputs(*geometry), layout, targets, groups, per_group, taps, outputs // groups,
                         per_group * taps, prod(geometry[1]), letter)


def _product_plan(batch, size, layout, targets, groups, rows, row, per_group, channel, area, letter):
    """The plan of a product over images of this size.

    Rows and channels lie `row` and `channel` apart in w, channels `area` in y.
    """
    bytes_of_place, lanes = groups * per_group * layout.phases * np.dtype(letter).itemsize, vector.lanes(letter)
    work = batch * groups * rows * sum(per_group * len(t.taps) * prod(t.out) for t in targets)
    parts, few = _parts(work), -(-FEW * lanes // layout.area)
    most = min(CACHE // (bytes_of_place * layout.area), max(-(-batch // parts), few))
    chunks = planes.evenly(batch, most)
    height, vectors, best = gemm.ROWS, 0, tall.vectors(rows, lanes)
    if (groups == len(targets) == 1 and per_group * len(targets[0].taps) >= DEEP and _fits(rows, best * lanes)
            and (_used(layout, targets[0].out, lanes) < FULL or (layout.phases > 1 and not MANY))):
        height, vectors = best * lanes, best
    blocks = -(-rows // height)
    cuts = list(product(chunks, *_shares(groups, blocks, max(1, 32 // height), parts // len(chunks))))
    columns = [planes.columns(t.taps, per_group, channel) for t in targets]
    starts = np.cumsum([0, *(groups * blocks * height * len(c) for c in columns)])
    tables, directory, image = planes.Tables(), {}, groups * rows * area
    for images in {c.stop - c.start for c in chunks}:
        length = planes.length(layout, images, letter)
        line = [length]
        for t, column, start in zip(targets, columns, starts):
            line.append(tables.add(planes.offsets(layout, t.taps, per_group, length)))
            if vectors:
                line += [tables.add(planes.places(layout, t.out, images)), 0, 0, 0, 0]
            else:
                places, count, first, pieces, simple = planes.vectors(layout, t, images, image, letter)
                line += [tables.add(places), tables.add(first), tables.add(pieces), count, simple]
            line += [len(column), start, t.apart[2]]
        directory[images] = line
    order = {images: i for i, images in enumerate(directory)}
    cuts = [[n.start, n.stop, g.start, g.stop, b.start, b.stop, order[n.stop - n.start]] for n, g, b in cuts]
    together = (1 + CACHE // (per_group * layout.phases * vector.REGISTER * gemm.VECTORS)) * gemm.VECTORS
    room = max((g1 - g0) * per_group * layout.phases * directory[n1 - n0][0] for n0, n1, g0, g1, *_ in cuts)
    room = planes.up(room + layout.reach + lanes, lanes)
    numbers = [groups * per_group, *size, rows, per_group, layout.phases, area, groups * rows, len(targets), together,
               vectors, layout.reach, room]
    return _Plan(groups, rows, row, height, columns, planes.spreading(layout, size), len(cuts), planes.array(cuts),
                 planes.array(list(directory.values())), tables.array(), planes.array(numbers), room, work)


@lru_cache(256)
def _plan_dw(x_shape, w_shape, stride, padding, dilation, groups, letter):
    (batch, channels), (outputs, per_group) = x_shape[:2], w_shape[:2]
    geometry = _in_three(w_shape, x_shape, stride, padding, dilation)
    if outputs // groups <= depthwise.ROWS:
        return depthwise.sum_plan(batch, groups, outputs // groups, per_group, geometry, letter)
    layout, taps = planes.forward(*geometry)
    plain, rows, depth = layout.plain(), outputs // groups, per_group * len(taps)
    out, lanes = planes.outputs(*geometry), vector.lanes(letter)
    parts = _parts(batch * layout.area * outputs * depth)
    sums = max(1, min(parts, batch * layout.area // LONG, WEIGHTS // (outputs * depth)))
    ranges = planes.evenly(batch, -(-batch // sums))
    vectors = tall.vectors(rows, lanes)
    wide, whole = vectors * lanes, planes.up(depth, tall.HEIGHTS[vectors - 1])
    is_tall = groups == 1 and _fits(rows, wide)
    shares = _shares(groups, rows, wide if is_tall else gemm.LEFT, parts // len(ranges))
    cuts, chunks, directory, tables, room = [], [], {}, planes.Tables(), 0
    for (number, images), g, r in product(enumerate(ranges), *shares):
        height = r.stop - r.start
        lines = (g.stop - g.start) * (per_group * layout.phases + height)
        begin = len(chunks)
        most = CACHE // (lines * layout.area * np.dtype(letter).itemsize)
        for some in planes.evenly(images.stop - images.start, most):
            key = some.stop - some.start, height
            length = planes.length(layout, key[0], letter)
            if key not in directory:
                first = (planes.places(layout, out, key[0]) if is_tall else
                         planes.offsets(plain, planes.ORIGIN, height, length))
                second = planes.offsets(layout, taps, per_group, length)
                directory[key] = len(directory), [length, tables.add(first), tables.add(second)]
            chunks.append([images.start + some.start, images.start + some.stop, directory[key][0]])
            of_x = planes.up((g.stop - g.start) * per_group * layout.phases * length + layout.reach + lanes, lanes)
            room = max(room, of_x + (g.stop - g.start) * height * length + lanes)
        cuts.append([number, g.start, g.stop, r.start, r.stop, begin, len(chunks)])
    blocks, room = -(-outputs // wide), planes.up(room, lanes)
    size_of_sums = blocks * wide * whole if is_tall else outputs * depth
    numbers = [channels, *geometry[1], outputs, *out, rows, per_group, layout.phases, depth, layout.reach, room,
               size_of_sums, vectors * is_tall, whole]
    lines, both = planes.array([line for _, line in directory.values()]), planes.spreading(layout, geometry[1], out)
    return _PlanDw(depth, wide if is_tall else 0, whole, len(ranges), size_of_sums, both, len(cuts), planes.array(cuts),
                   planes.array(chunks), lines, tables.array(), planes.array(numbers), room)


def _in_three(w_shape, x_shape, stride, padding, dilation):
    """The window and the images' size, stride, padding and dilation in three dimensions: without depth, it is 1."""
    more = 3 - len(stride)
    return ((1,) * more + tuple(w_shape[2:]), (1,) * more + tuple(x_shape[2:]), (1,) * more + tuple(stride),
            (0,) * more + tuple(padding), (1,) * more + tuple(dilation))


def _correlate(plan, x, w, b, y, floor):
    """Fill y (N, groups * rows, *out), nothing less than `floor`."""
    if type(plan) is depthwise.Plan:
        depthwise.correlate(plan, x, w, b, y, floor)
        return
    blocks = -(-plan.rows // plan.height)
    bias = np.zeros((plan.groups, blocks * plan.height), x.dtype)
    if b is not None:
        bias[:, :plan.rows] = b.reshape(plan.groups, plan.rows)
    w = np.ascontiguousarray(w).reshape(-1)
    step = blocks * plan.height * plan.groups
    packed, start, some = vector.empty(step * sum(map(len, plan.columns)), w.dtype), 0, -(-blocks // PARTS)
    for column in plan.columns:
        end = start + step * len(column)
        _pack_part(-(-blocks // some), 4 * w.size, some, w, plan.groups, plan.row, column, plan.rows, plan.height,
                   blocks, packed[start:end])
        start = end
    room, rooms = planes.rooms(plan.room, x.dtype)
    _correlate_part(plan.parts, 2 * plan.work, plan.cuts, plan.directory, plan.tables, plan.numbers, *plan.layout,
                    np.ascontiguousarray(x).reshape(-1), packed, bias.reshape(-1), floor, y.reshape(-1), room,
                    rooms)


@task
def _pack_part(part, some, w, groups, row, column, rows, height, blocks, out):
    """The weights of some blocks in the order in which `gemm.product` reads them."""
    gemm.pack_rows(w, groups, len(w) // groups, row, column, rows, height, part * some,
                   min((part + 1) * some, blocks), out)


@task
def _correlate_part(part, cuts, directory, tables, numbers, step, phases, plane, x, packed, bias, floor, y,
                    room, rooms):
    """y for some images, groups and blocks of rows."""
    n0, n1, g0, g1, block0, block1 = (cuts[7 * part], cuts[7 * part + 1], cuts[7 * part + 2], cuts[7 * part + 3],
                                      cuts[7 * part + 4], cuts[7 * part + 5])
    channels, size, rows, per_group, many = (numbers[0], (numbers[1], numbers[2], numbers[3]), numbers[4], numbers[5],
                                               numbers[6])
    area, outputs, targets, together, vectors, reach, all_places = (numbers[7], numbers[8], numbers[9], numbers[10],
                                                                        numbers[11], numbers[12], numbers[13])
    line = cuts[7 * part + 6] * (1 + LINE * targets)
    length, y0, least = directory[line], n0 * outputs * area, y.dtype.type(floor)
    mine = borrow(rooms)
    begin = mine * all_places
    xs = room[begin:begin + (g1 - g0) * per_group * many * length + reach + lanes_of(x)]
    gemm.spread(x, channels, size, g0 * per_group, g1 * per_group, n0, n1, step, phases, 0, many, plane, length, xs)
    for target in range(targets):
        at = line + 1 + LINE * target
        offset, places, depth, a = (tables[directory[at]:], tables[directory[at + 1]:], directory[at + 6],
                                    packed[directory[at + 7]:])
        if vectors:
            tall.product(vectors, a, bias, least, rows, depth, block0, block1, xs, offset, places, n1 - n0, area, y, y0,
                         outputs * area, area)
        else:
            first, pieces = tables[directory[at + 2]:], tables[directory[at + 3]:]
            gemm.product(a, bias, least, g0, g1, rows, depth, block0, block1, xs, per_group * many * length, offset,
                         places, directory[at + 4], first, pieces, directory[at + 5] != 0, together, y, y0, area,
                         directory[at + 8])
    give_back(rooms, mine)


@task
def _sum_part(part, cuts, chunks, directory, tables, numbers, step, phases, plane, dy, x, sums, room, rooms):
    """The sums of dw over a range of images, for some groups or rows."""
    number, g0, g1, r0, r1, first, last = (cuts[7 * part], cuts[7 * part + 1], cuts[7 * part + 2], cuts[7 * part + 3],
                                           cuts[7 * part + 4], cuts[7 * part + 5], cuts[7 * part + 6])
    channels, size, outputs, out = (numbers[0], (numbers[1], numbers[2], numbers[3]), numbers[4],
                                    (numbers[5], numbers[6], numbers[7]))
    rows, per_group, many, depth, reach, all_places, all_sums, vectors, whole = (
        numbers[8], numbers[9], numbers[10], numbers[11], numbers[12], numbers[13], numbers[14], numbers[15],
        numbers[16])
    lane, area, count = lanes_of(x), out[0] * out[1] * out[2], r1 - r0
    mine = borrow(rooms)
    for chunk in range(first, last):
        n0, n1, line = chunks[3 * chunk], chunks[3 * chunk + 1], 3 * chunks[3 * chunk + 2]
        length, one, other = directory[line], tables[directory[line + 1]:], tables[directory[line + 2]:]
        begin = mine * all_places
        end = begin + (g1 - g0) * per_group * many * length + reach + lane
        xs = room[begin:end]
        gemm.spread(x, channels, size, g0 * per_group, g1 * per_group, n0, n1, step, phases, 0, many, plane, length, xs)
        if vectors:
            wide, to = vectors * lane, sums[number * all_sums + r0 * whole:]
            tall.dots(vectors, dy, n0 * outputs * area, outputs, r0 // wide, (r1 + wide - 1) // wide, n1 - n0,
                      outputs * area, area, xs, one, other, depth, whole, to)
        else:
            begin = (end + lane - 1) // lane * lane
            dys = room[begin:begin + (g1 - g0) * count * length + lane]
            gemm.spread(dy, outputs, out, g0 * rows + r0, (g1 - 1) * rows + r1, n0, n1, (1, 1, 1), phases, many,
                        many + 1, plane, length, dys)
            gemm.dots(dys, count * length, one, count, xs, per_group * many * length, other, depth, g1 - g0, length,
                      NEAR, sums[number * all_sums + (g0 * rows + r0) * depth:])
    give_back(rooms, mine)


def _is_product(w_shape, stride, padding, groups):
    return prod(w_shape[2:]) * prod(stride) * groups == 1 and not any(padding)


def _matrices(x):
    """(N, C, places)"""
    return x.reshape(*x.shape[:2], prod(x.shape[2:]))


def _fits(rows, wide):
    """Whether so many rows fill tall tiles well."""
    return planes.up(rows, wide) <= SPARE * rows


def _used(layout, out, lanes):
    """The part of the places that are outputs, in vectors along a plane or along each row."""
    return max(prod(out) / layout.area, out[2] / planes.up(out[2], lanes))


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
