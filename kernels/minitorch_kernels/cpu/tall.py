"""Products with the channels of the output along the vectors, for many channels and small images.

`gemm.product` lays vectors along the rows of an image, and wastes part of each where rows are short. Here a
tile is PLACES places by VECTORS vectors of channels, and the places may be any: those of a convolution's
outputs, with k running over channels and taps; or those of its taps, with k running over outputs, which gives
the weight gradient. The price is that y is transposed on its way out, or dy on its way in.
"""
from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic

from .jit import jit
from .vector import (
    MANY,
    data,
    fma,
    get,
    hidden,
    integer,
    keep,
    lanes_of,
    load,
    loop,
    splat,
    turn,
    vector_of,
)

HEIGHTS = (9, 10, 8, 6) if MANY else (10, 6, 4)  # places of a tile of 1, 2, ... vectors: sums that registers hold
VECTORS = len(HEIGHTS)  # of channels in a tile, at most
COSTS = (1.2, 1.02, 1.01, 1) if MANY else (1.15, 1, 1)  # what a product costs there
PLACES = max(HEIGHTS)
NEAR = 384  # vectors of w that are finished for all places before the next ones: 24 KiB, which stay in the L1 cache
ROOM = 768  # places whose sums are kept until they are turned


def vectors(rows, lanes):
    """How many vectors of channels are best for so many rows."""
    return min(range(1, VECTORS + 1), key=lambda v: -(-rows // (v * lanes)) * v * COSTS[v - 1])


@jit
def product(vectors, a, bias, floor, rows, depth, block0, block1, x, offset, places, images, area, y, y0, image, y_row):
    """For blocks of rows block0 to block1: y at the `area` places of each of so many images.

    a: packed by `gemm.pack_rows` in blocks of so many vectors, and bias filled up to whole blocks. No y is less
    than `floor`. places: addresses in x, and some to fill a tile. y0: the first row of the first image in y; `image`
    and y_row lie between images and rows.
    """
    wide = vectors * lanes_of(y)
    out = np.empty((ROOM + PLACES) * wide, y.dtype)
    total = images * area
    some = max(1, ROOM // area) * area  # whole images, or parts of one
    for block in range(block0, block1):
        w, first = a[block * depth * wide:], y0 + block * wide * y_row
        for begin in range(0, total, some):
            for start in range(begin, min(begin + some, total), ROOM):
                end = min(start + ROOM, begin + some, total)
                for place in range(end - start):
                    for r in range(wide):
                        out[place * wide + r] = bias[block * wide + r]
                _sum(vectors, x, places, start, end - start, offset, depth, w, out)
                for i in range((end - start) * wide if floor == 0 else 0):
                    out[i] = floor if out[i] <= floor else out[i]
                place = start
                while place < end:
                    n = place // area
                    count = min((n + 1) * area, end) - place
                    _turned(out[(place - start) * wide:], count, wide, min(wide, rows - block * wide),
                            y[first + n * image + place - n * area:], y_row)
                    place += count


@jit
def dots(vectors, dy, dy0, rows, block0, block1, images, image, area, x, offset, columns, depth, whole, out):
    """out[block, j, row] += sum over places of dy[row, place] * x[columns[j] + offset[place]].

    dy0 is the first row of the first image in dy; `image` lies between images, `area` between rows. columns,
    and each block of out, are filled up to whole tiles: `whole` j.
    """
    wide, near = vectors * lanes_of(out), NEAR // vectors
    turned = np.zeros(near * wide, out.dtype)
    for block in range(block0, block1):
        first, count = dy0 + block * wide * area, min(wide, rows - block * wide)
        for begin in range(0, images * area, near):
            end = min(begin + near, images * area)
            place = begin
            while place < end:
                n, i = place // area, place % area
                some = min(area - i, end - place)
                _turned(dy[first + n * image + i:], count, area, some, turned[(place - begin) * wide:], wide)
                place += some
            _sum(vectors, x, columns, 0, depth, offset[begin:], end - begin, turned,
                 out[(block - block0) * whole * wide:])


@jit
def _sum(vectors, x, places, first, count, offset, depth, w, out):
    """out[place, row] += sum over k of x[places[first + place] + offset[k]] * w[k, row], for `count` places."""
    wide, height, near = vectors * lanes_of(out), HEIGHTS[vectors - 1], NEAR // vectors
    for k in range(0, depth, near):
        some = min(near, depth - k)
        for place in range(0, count, height):
            if vectors == 4:
                _tile_4(x, places, first + place, offset, k, some, w, k * wide, out, place * wide)
            elif vectors == 3:
                _tile_3(x, places, first + place, offset, k, some, w, k * wide, out, place * wide)
            elif vectors == 2:
                _tile_2(x, places, first + place, offset, k, some, w, k * wide, out, place * wide)
            else:
                _tile_1(x, places, first + place, offset, k, some, w, k * wide, out, place * wide)


@jit
def _turned(source, rows, source_row, columns, target, target_row):
    """target[column, row] = source[row, column]; rows lie so far apart."""
    lane = lanes_of(source)
    for i in range(0, rows, lane):
        for j in range(0, columns, lane):
            turn(source, i * source_row + j, source_row, min(lane, rows - i), min(lane, columns - j),
                  target, j * target_row + i, target_row)


def _tile_of(vectors):
    """The intrinsic for a tile of so many vectors of channels, and the places that go with it."""
    height = HEIGHTS[vectors - 1]

    @intrinsic
    def tile(typingctx, x, places, ip, offset, k, count, w, iw, out, io):
        """out[p, channel] += sum of x[places[ip + p] + offset[k + i]] * w[iw + i, channel] for i < count."""

        def codegen(context, builder, signature, arguments):
            x, places, ip, offset, k, count, w, iw, out, io = data(context, builder, signature, arguments)
            vector = vector_of(signature.args[0])
            bases = [builder.gep(x, [get(builder, places, ip, p)]) for p in range(height)]
            first, start = builder.gep(out, [io]), builder.gep(w, [iw])
            steps = [integer(v * vector.count) for v in range(height * vectors)]

            def body(i, values):
                at, *sums = values
                shift = builder.load(at)
                line = builder.gep(start, [builder.mul(i, integer(vectors * vector.count))])
                right = [load(builder, builder.gep(line, [step]), vector) for step in steps[:vectors]]
                result = [hidden(builder, builder.gep(at, [integer(1)])), *sums]
                for p in range(height):
                    left = splat(builder, builder.load(builder.gep(bases[p], [shift])), vector)
                    for v in range(vectors):
                        result[1 + p * vectors + v] = fma(builder, left, right[v], sums[p * vectors + v])
                return result

            before = [load(builder, builder.gep(first, [step]), vector) for step in steps]
            _, *sums = loop(builder, count, 1, body, [builder.gep(offset, [k]), *before])
            keep(builder, sums, first)
            return context.get_dummy_value()

        n = types.int64
        return types.void(x, places, n, offset, n, n, w, n, out, n), codegen

    return tile


_tile_1, _tile_2, _tile_3, _tile_4 = (_tile_of(min(v, VECTORS)) for v in (1, 2, 3, 4))
