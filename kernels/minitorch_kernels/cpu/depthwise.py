"""Convolution with one or two outputs a group, such as MobileNet's depthwise ones: vectors along the rows of an image.

A tile of `gemm.product` shares what it loads among several outputs; here there is nothing to share. So an image of
some groups at a time is copied with its zeros into the nearest cache (`gemm.spread`), and VECTORS vectors of outputs
are summed there over all taps and go to y at once. With stride 2, every place of a row is computed and every second
one kept, which costs less than to split rows; dy is spread out along its rows instead. The weight gradient sums
TAPS taps at a time over all places of such an image and of its dy, in vectors that are added up after the last image.
"""
from __future__ import annotations

from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from . import gemm, planes, vector
from .tasks import borrow, give_back, task
from .vector import (
    at_least,
    data,
    fma,
    get,
    integer,
    keep,
    keep_below,
    lanes_of,
    load,
    loop,
    shuffle,
    splat,
    vector_of,
)

ROWS = 2  # outputs of a group at most
VECTORS, TAPS = 8, 9
NEAR = 1 << 12  # numbers that the planes of the groups which are copied at once may have
WORTH = 1 << 17  # multiplications in a part, at least
PARTS = 8
SLACK = 1.15  # the length of a row in whole vectors to its own, at most
LINE = 5  # numbers that tell of a target: offsets, places, vectors, depth, where weights begin
MANY = 1 << 14  # numbers in the sums of all ranges for dw, at most


class Plan(NamedTuple):
    """A product for few rows of y, as a task takes it."""

    weights: np.ndarray | None  # where in w the weights lie, in the order in which they are read
    outputs: int
    layout: tuple
    parts: int
    cuts: np.ndarray  # for each part: number of the range; images, groups (first and last)
    tables: np.ndarray
    numbers: np.ndarray
    room: int
    ranges: int
    work: int


def correlate(plan, x, w, b, y, floor):
    """Fill y (N, groups * rows, *out), nothing less than `floor`."""
    bias = np.zeros(plan.outputs, x.dtype) if b is None else np.ascontiguousarray(b)
    packed = w.reshape(-1).take(plan.weights)
    room, rooms = planes.rooms(plan.room, x.dtype)
    _correlate_part(plan.parts, 2 * plan.work, plan.cuts, plan.numbers, *plan.layout, plan.tables,
                    np.ascontiguousarray(x).reshape(-1), packed, bias, floor, y.reshape(-1), room, rooms)


def weight_gradient(plan, dy, x, w_shape):
    """dw: each range of images has its sum, and the sums are added in order."""
    sums = np.empty((plan.ranges, prod(w_shape)), x.dtype)
    room, rooms = planes.rooms(plan.room, x.dtype)
    _sum_part(plan.parts, 2 * plan.work, plan.cuts, plan.numbers, *plan.layout, plan.tables, dy.reshape(-1),
              x.reshape(-1), sums.reshape(-1), room, rooms)
    return (sums[0] if plan.ranges == 1 else sums.sum(0)).reshape(w_shape)


def forward_plan(batch, groups, rows, per_group, geometry, letter):
    """The plan of `correlate` for y: outputs between those that the stride leaves are computed, and dropped."""
    window, size, stride, padding, dilation = geometry
    layout, taps = planes.forward(window, size, (1, 1, 1), padding, dilation)
    layout = _aligned(layout, letter)
    out = planes.outputs(*geometry)
    target = planes.Target(taps, out, 0, (out[1] * out[2], out[2], 1))
    return _product_plan(batch, size, layout, (target,), stride, groups, rows, per_group * len(taps), per_group,
                         len(taps), prod(out), letter)


def backward_plan(batch, groups, rows, per_group, geometry, letter):
    """The plan of `correlate` for dx: dy is spread out along the rows, and rows have their taps by remainder."""
    window, size, stride, padding, dilation = geometry
    layout, targets = planes.backward(window, size, (*stride[:2], 1), padding, dilation)
    layout = _aligned(layout, letter)
    if stride[2] > 1:
        layout = layout._replace(step=(1, 1, -stride[2]))
    taps = prod(window)
    return _product_plan(batch, planes.outputs(*geometry), layout, targets, (1, 1, 1), groups, rows, taps, per_group,
                         rows * taps, prod(size), letter)


def _product_plan(batch, size, layout, targets, stride, groups, rows, row, per_group, channel, area, letter):
    lanes, length = vector.lanes(letter), planes.length(layout, 1, letter)
    tables, lines, weights = planes.Tables(), [], [np.zeros(0, np.int64)]
    for t in targets:
        column, begin = planes.columns(t.taps, per_group, channel), sum(map(len, weights))
        first = np.add.outer(np.arange(groups) * max(rows * row, per_group * channel), np.arange(rows) * row)
        weights.append(np.add.outer(first, column).reshape(-1))
        places, vectors = _vectors(layout, t, stride, lanes)
        lines += [tables.add(planes.offsets(layout, t.taps, per_group, length)), tables.add(places), vectors,
                  len(column), begin]
    work = batch * groups * rows * sum(per_group * len(t.taps) * prod(t.out) for t in targets)
    some = max(1, NEAR // (per_group * length))
    room = planes.up(some * per_group * length + layout.reach + lanes, lanes)
    cuts = _cuts(batch, groups, work)
    numbers = [groups * per_group, *size, groups, rows, per_group, length, some, room, layout.reach, area, stride[2],
               len(targets), *lines]
    of_x = layout.step, planes.array(_phase(layout, size)), layout.plane
    return Plan(np.concatenate(weights), groups * rows, of_x, len(cuts), planes.array(cuts), tables.array(),
                planes.array(numbers), room, 1, work)


def sum_plan(batch, groups, rows, per_group, geometry, letter):
    """The plan of `weight_gradient`: with strides, dy is spread out along the rows, and summed row by row."""
    window, size, stride, padding, dilation = geometry
    (layout, taps), out = planes.forward(window, size, (1, 1, 1), padding, dilation), planes.outputs(*geometry)
    layout = _aligned(layout, letter)
    lanes, length, depth = vector.lanes(letter), planes.length(layout, 1, letter), per_group * len(taps)
    of_dy, runs = layout.plain(), np.array([[0, 0, length]])
    if max(stride) > 1:
        wide = planes.up((out[2] - 1) * stride[2] + 1, lanes)
        of_dy = planes.Layout((1, 1, -stride[2] if stride[2] > 1 else 1), ((0,),) * 3, (0, 0, 0), (*out[:2], wide), 0)
        h, i = (a.reshape(-1) for a in np.meshgrid(*map(np.arange, out[:2]), indexing="ij"))
        x_row = (h * stride[0] * layout.plane[1] + i * stride[1]) * layout.plane[2]
        runs = np.stack([(h * out[1] + i) * wide, x_row, np.full_like(h, wide)], 1)
    tables, dy_length = planes.Tables(), planes.length(of_dy, 1, letter)
    tables.add(planes.offsets(layout, taps, per_group, length))
    at = tables.add(runs.reshape(-1))
    some = max(1, NEAR // (per_group * length + rows * dy_length))
    x_room = planes.up(some * per_group * length + layout.reach + 2 * lanes, lanes)
    dy_room = some * rows * dy_length + lanes
    room = x_room + dy_room + some * rows * planes.up(depth, TAPS) * lanes
    work = batch * groups * rows * depth * prod(out)
    cuts = _cuts(batch, groups, work, 1 + MANY // (groups * rows * depth))
    numbers = [groups * per_group, *size, groups, rows, per_group, length, some, room, layout.reach, *out, depth,
               x_room, dy_room, dy_length, at, len(runs)]
    both = layout.step, planes.array(_phase(layout, size)), layout.plane
    both += of_dy.step, planes.array(_phase(of_dy, out)), of_dy.plane
    return Plan(None, groups * rows, both, len(cuts), planes.array(cuts), tables.array(), planes.array(numbers), room,
                cuts[-1][0] + 1, work)


def _aligned(layout, letter):
    """The layout with rows of whole vectors, where that adds little: a store across two cache lines costs two."""
    depth, height, width = layout.plane
    wide = planes.up(width, vector.lanes(letter))
    if wide > SLACK * width:
        return layout
    return layout._replace(plane=(depth, height, wide), reach=layout.reach * wide // width + wide)


def _phase(layout, size):
    """What `gemm.spread` wants to know of the only phase."""
    if layout.step[2] > 0:
        return planes.phase(layout, size)
    return [*planes.phase(layout._replace(step=(1, 1, 1)), size)[:7], layout.pad[2], size[2]]


def _cuts(batch, groups, work, ranges=PARTS):
    """Parts of the images, and of the groups where that makes too few: number, first and last image and group."""
    parts = min(PARTS, max(1, work // WORTH))
    images = planes.evenly(batch, -(-batch // min(parts, ranges)))
    shares = planes.evenly(groups, -(-groups * len(images) // parts))
    return [[i, n.start, n.stop, g.start, g.stop] for (i, n), g in product(enumerate(images), shares)]


def _vectors(layout, target, stride, lanes):
    """For each vector of an image's outputs: its address in a plane, how many it gives, and their address in y."""
    (_, height, width), (slab, row, _) = layout.plane, target.apart
    some = -(-lanes // stride[2])  # outputs of a vector
    h, i, j = (a.reshape(-1) for a in np.meshgrid(*map(np.arange, target.out[:2]), np.arange(0, target.out[2], some),
                                                  indexing="ij"))
    place = (h * stride[0] * height + i * stride[1]) * width + j * stride[2]
    table = np.stack([place, np.minimum(target.out[2] - j, some), target.start + h * slab + i * row + j], 1)
    return np.pad(table, ((0, VECTORS - 1), (0, 0))).reshape(-1), len(place)


@task
def _correlate_part(part, cuts, numbers, step, phases, plane, tables, x, packed, bias, floor, y, room, rooms):
    """y for some images and groups."""
    n0, n1, g0, g1 = cuts[5 * part + 1], cuts[5 * part + 2], cuts[5 * part + 3], cuts[5 * part + 4]
    channels, size, groups, rows = numbers[0], (numbers[1], numbers[2], numbers[3]), numbers[4], numbers[5]
    per_group, length, some, places, reach = numbers[6], numbers[7], numbers[8], numbers[9], numbers[10]
    area, apart, targets = numbers[11], numbers[12], numbers[13]
    lane, mine, group = lanes_of(x), borrow(rooms), per_group * length
    begin, out, least = mine * places, np.empty(VECTORS * lane, x.dtype), x.dtype.type(floor)
    for first in range(g0, g1, some):
        last = min(first + some, g1)
        xs = room[begin:begin + (last - first) * group + reach + lane]
        for n in range(n0, n1):
            gemm.spread(x, channels, size, first * per_group, last * per_group, n, n + 1, step, phases, 0, 1, plane,
                        length, xs)
            for t in range(14, 14 + LINE * targets, LINE):
                offset, table, depth = numbers[t], numbers[t + 1], numbers[t + 3]
                end = table + 3 * numbers[t + 2]
                for o in range(first * rows, last * rows):
                    a, own, to = numbers[t + 4] + o * depth, (o // rows - first) * group, (n * groups * rows + o) * area
                    for v in range(table, end, 3 * VECTORS):
                        if apart == 1:
                            _tile(packed, a, xs, own, tables, v, offset, depth, bias, o, least, y, to)
                        elif apart == 2:
                            _tile_of_2(packed, a, xs, own, tables, v, offset, depth, bias, o, least, y, to)
                        else:
                            _whole_tile(packed, a, xs, own, tables, v, offset, depth, bias, o, least, out, 0)
                            for i in range(VECTORS):
                                for j in range(tables[v + 3 * i + 1]):
                                    y[to + tables[v + 3 * i + 2] + j] = out[i * lane + j * apart]
    give_back(rooms, mine)


@task
def _sum_part(part, cuts, numbers, step, phases, plane, dy_step, dy_phases, dy_plane, tables, dy, x, sums, room, rooms):
    """The sums of dw over a range of images, for some groups."""
    number, n0, n1, g0, g1 = (cuts[5 * part], cuts[5 * part + 1], cuts[5 * part + 2], cuts[5 * part + 3],
                              cuts[5 * part + 4])
    channels, size, groups, rows = numbers[0], (numbers[1], numbers[2], numbers[3]), numbers[4], numbers[5]
    per_group, length, some, places, reach = numbers[6], numbers[7], numbers[8], numbers[9], numbers[10]
    out, depth, x_room, dy_room, dy_length = ((numbers[11], numbers[12], numbers[13]), numbers[14], numbers[15],
                                              numbers[16], numbers[17])
    lane, mine, wide, group = lanes_of(x), borrow(rooms), (depth + TAPS - 1) // TAPS * TAPS, per_group * length
    begin = mine * places
    for first in range(g0, g1, some):
        last = min(first + some, g1)
        xs = room[begin:begin + (last - first) * group + reach + 2 * lane]
        dys = room[begin + x_room:begin + x_room + (last - first) * rows * dy_length]
        totals = room[begin + x_room + dy_room:begin + places]
        totals[:] = 0
        for n in range(n0, n1):
            gemm.spread(x, channels, size, first * per_group, last * per_group, n, n + 1, step, phases, 0, 1, plane,
                        length, xs)
            gemm.spread(dy, groups * rows, out, first * rows, last * rows, n, n + 1, dy_step, dy_phases, 0, 1, dy_plane,
                        dy_length, dys)
            for o in range((last - first) * rows):
                for j in range(0, wide, TAPS):
                    _dots(dys, o * dy_length, xs, o // rows * group, tables, j, numbers[18], numbers[19], totals,
                          (o * wide + j) * lane)
        for o in range((last - first) * rows):
            for j in range(depth):
                total = totals[(o * wide + j) * lane]
                for i in range(1, lane):
                    total += totals[(o * wide + j) * lane + i]
                sums[(number * groups * rows + first * rows + o) * depth + j] = total
    give_back(rooms, mine)


def _tile_of(step):
    """The intrinsic for VECTORS vectors, of which each first or second number goes to y; or all, side by side."""

    @intrinsic
    def tile(typingctx, a, ia, x, ix, tables, iv, offset, k, bias, ib, floor, y, y0):
        """bias[ib] + sum of a[ia + i] * x[ix + place + tables[offset + i]], i < k, for each place in tables[iv:].

        Nothing is less than the floor.
        """

        def codegen(context, builder, signature, arguments):
            a, ia, x, ix, tables, iv, offset, k, bias, ib, floor, y, y0 = data(context, builder, signature, arguments)
            vector, start, target = vector_of(signature.args[0]), builder.gep(x, [ix]), builder.gep(y, [y0])
            bases = [builder.gep(start, [get(builder, tables, iv, 3 * i)]) for i in range(VECTORS)]
            left, shifts = builder.gep(a, [ia]), builder.gep(tables, [offset])

            def body(i, sums):
                weight, shift = splat(builder, get(builder, left, i), vector), get(builder, shifts, i)
                return [fma(builder, weight, load(builder, builder.gep(base, [shift]), vector), total)
                        for base, total in zip(bases, sums)]

            first = splat(builder, get(builder, bias, ib), vector)
            low = splat(builder, floor, vector)
            sums = [at_least(builder, total, low) for total in loop(builder, k, 1, body, [first] * VECTORS)]
            if not step:
                keep(builder, sums, target)
                return context.get_dummy_value()
            for i, total in enumerate(sums):
                count, place = (get(builder, tables, iv, 3 * i + n) for n in (1, 2))
                total = shuffle(builder, total, total, [n * step % vector.count for n in range(vector.count)])
                keep_below(builder, total, builder.gep(target, [place]), count)
            return context.get_dummy_value()

        n = types.int64
        return types.void(a, n, x, n, tables, n, n, n, bias, n, y.dtype, y, n), codegen

    return tile


_tile, _tile_of_2, _whole_tile = _tile_of(1), _tile_of(2), _tile_of(0)


@intrinsic
def _dots(typingctx, a, ia, x, ix, tables, io, at, runs, out, to):
    """out[to + j * lanes + lane] += the sum of a[ia + place] * x[ix + other + tables[io + j]], for TAPS j.

    The places lie in `runs` runs: tables[at:] has for each the first place, the first other, and how many.
    """

    def codegen(context, builder, signature, arguments):
        a, ia, x, ix, tables, io, at, runs, out, to = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        dys, start, sums = builder.gep(a, [ia]), builder.gep(x, [ix]), builder.gep(out, [to])
        taps = [builder.gep(start, [get(builder, tables, io, j)]) for j in range(TAPS)]

        def run(r, sums):
            line = builder.add(at, builder.mul(r, integer(3)))
            left, other = builder.gep(dys, [get(builder, tables, line)]), get(builder, tables, line, 1)

            def body(i, sums):
                dy, place = load(builder, builder.gep(left, [i]), vector), builder.add(other, i)
                return [fma(builder, dy, load(builder, builder.gep(tap, [place]), vector), s)
                        for tap, s in zip(taps, sums)]

            return loop(builder, get(builder, tables, line, 2), vector.count, body, sums)

        before = [load(builder, builder.gep(sums, [integer(j * vector.count)]), vector) for j in range(TAPS)]
        keep(builder, loop(builder, runs, 1, run, before), sums)
        return context.get_dummy_value()

    n = types.int64
    return types.void(a, n, x, n, tables, n, n, n, out, n), codegen
