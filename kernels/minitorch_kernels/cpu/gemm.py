"""The inner loops of matrix product and convolution: tiles of outputs held in vector registers.

`product` computes y[row, place] = bias[row] + sum over k of a[row, k] * x[offset[k] + place]. Where x is a
matrix, offset[k] is the start of its row k; where x is a stack of padded images, offset[k] is what one
channel and one place in the window add to an address, so that a convolution is a product without im2col's
copies (as in oneDNN's direct kernels; Georganas et al., 2018). A tile is ROWS rows by VECTORS vectors of
places: so many sums at once hide the latency of multiply-add, and each number loaded serves several of them.
`dots` is the product for sums over places instead.

LLVM vectorises no such tile by itself, so intrinsics write it out. Arrays are flat and contiguous.
"""
from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .jit import jit
from .vector import (
    MANY,
    add,
    at_least,
    below,
    data,
    fma,
    from_below,
    get,
    integer,
    keep,
    keep_below,
    keep_some,
    lanes_of,
    load,
    loop,
    masked_load,
    masked_store,
    shuffle,
    splat,
    totals,
    vector_of,
)

ROWS, VECTORS = (8 if MANY else 4), 3
LEFT, RIGHT = (4, 6) if MANY else (4, 3)  # the tile of `dots`


@jit
def product(a, bias, floor, g0, g1, rows, depth, block0, block1, x, x_group, offset, places, vectors, first, pieces,
            simple, together, y, y0, y_row, y_step):
    """For groups g0 to g1, and blocks of rows block0 to block1: y at the places of `vectors` vectors.

    a: packed by `pack_rows`, and bias filled up to whole blocks. No y is less than `floor`. places[v]: the address
    of vector v in the x of its group; those lie x_group apart, g0's first. The vector's outputs go to y in pieces:
    pieces[p], for p from first[v] below first[v + 1], is (lane, number of lanes, address after y0); y_row and y_step
    lie between rows and lanes in y. simple: each vector has one piece, which begins with its first lane.
    `together` vectors are finished for all rows before the next ones, so that their x stays in the L2 cache.
    """
    lane, blocks = lanes_of(y), -(-rows // ROWS)
    out = np.empty((ROWS * VECTORS + 1) * lane, y.dtype)
    for g in range(g0, g1):
        own = x[(g - g0) * x_group:]
        for v0 in range(0, vectors, together):
            for block in range(block0, block1):
                at, count = g * blocks + block, min(ROWS, rows - block * ROWS)
                left, b = at * ROWS * depth, at * ROWS
                to = y0 + (g * rows + block * ROWS) * y_row
                for v in range(v0, min(v0 + together, vectors), VECTORS):
                    if simple and count == ROWS and y_step == 1:
                        _direct_tile(a, left, own, places, v, offset, depth, bias, b, floor, pieces, v, y, to, y_row)
                        continue
                    _tile(a, left, own, places, v, offset, depth, bias, b, floor, pieces, 0, out, 0, 0)
                    for u in range(min(VECTORS, vectors - v)):
                        for p in range(first[v + u], first[v + u + 1]):
                            source, number = pieces[3 * p] + u * lane, pieces[3 * p + 1]
                            for r in range(count):
                                target = pieces[3 * p + 2] + to + r * y_row
                                put(out, r * VECTORS * lane + source, y, target, y_step, number)


@jit
def put(source, i, target, j, step, count):
    if step == 1:
        _move(source, i, target, j, count)
    elif step == 2:
        _move_to_2(source, i, target, j, count)
    else:
        for n in range(count):
            target[j + n * step] = source[i + n]


@jit
def dots(a, a_group, lines, rows, x, x_group, columns, depth, groups, length, together, out):
    """out[g, i, j] += the sum of a[g * a_group + lines[i] + place] * x[g * x_group + columns[j] + place].

    `length` places are whole vectors, and both tables are filled up to whole tiles. `together` places are
    finished for all i and j before the next ones, so that they stay in the L1 cache.
    """
    tile = np.empty(LEFT * RIGHT + lanes_of(out), out.dtype)
    for g in range(groups):
        left, right = a[g * a_group:], x[g * x_group:]
        for start in range(0, length, together):
            count = min(together, length - start)
            for j in range(0, depth, RIGHT):
                for i in range(0, rows, LEFT):
                    _dots(left, lines, i, right, columns, j, start, count, tile)
                    for r in range(min(LEFT, rows - i)):
                        for c in range(min(RIGHT, depth - j)):
                            out[(g * rows + i + r) * depth + j + c] += tile[r * RIGHT + c]


@jit
def pack_rows(w, groups, group, row, column, rows, height, block0, block1, out):
    """out[g, block, k, r] = w[g * group + (block * height + r) * row + column[k]], block0 <= block < block1.

    `product` reads a in this order. Rows beyond the last are zeros.
    """
    depth, blocks = len(column), -(-rows // height)
    for g in range(groups):
        for block in range(block0, block1):
            start, to = g * group + block * height * row, (g * blocks + block) * depth * height
            for k0 in range(0, depth, 16):  # some k at a time: what is read and written stays in the L1 cache
                k1 = min(k0 + 16, depth)
                for r in range(min(height, rows - block * height)):
                    for k in range(k0, k1):
                        out[to + k * height + r] = w[start + r * row + column[k]]
                for r in range(rows - block * height, height):
                    for k in range(k0, k1):
                        out[to + k * height + r] = 0


@jit
def spread(x, channels, size, c0, c1, n0, n1, step, phases, p0, p1, plane, length, out):
    """out[channel, phase, image, h, i, j] = x[image, channel, h * step + shift, ...], zero outside x.

    See planes.py; phases p0 to p1 are nine numbers each: what is added to (h, i, j) * step, and the first and last h,
    i and j inside x. A negative last step spreads rows out: zeros lie between numbers, `left` zeros before them, and
    `right` is how many numbers there are. Each row is written in whole vectors; what they write beyond it, the next
    row overwrites.
    """
    if step[2] == 1:
        _spread_dense(x, channels, size, c0, c1, n0, n1, step, phases, p0, p1, plane, length, out)
    else:
        _spread_apart(x, channels, size, c0, c1, n0, n1, step, phases, p0, p1, plane, length, out)


def _spread_of(dense):
    """`spread`, compiled for numbers that lie side by side, or not: in one function, each would slow the other down."""

    def spread(x, channels, size, c0, c1, n0, n1, step, phases, p0, p1, plane, length, out):
        lane, to = lanes_of(out), 0
        for channel in range(c0, c1):
            for p in range(9 * p0, 9 * p1, 9):
                left, right, target = phases[p + 7], phases[p + 8], to
                for image in range(n0, n1):
                    slab = (image * channels + channel) * size[0] + phases[p]
                    for h in range(plane[0]):
                        line = (slab + h * step[0]) * size[1] + phases[p + 1]
                        top, bottom = (phases[p + 5], phases[p + 6]) if phases[p + 3] <= h < phases[p + 4] else (0, 0)
                        for i in range(plane[1]):
                            source = (line + i * step[1]) * size[2] + phases[p + 2]
                            end = right if top <= i < bottom else 0
                            if dense:
                                for j in range(0, plane[2], lane):
                                    _window(x, source + j, left - j, end - j, out, target + j)
                            elif step[2] == 2:
                                for j in range(0, plane[2], lane):
                                    if 0 <= source + 2 * j <= len(x) - 2 * lane:
                                        _evens(x, source + 2 * j, left - j, end - j, out, target + j)
                                    else:
                                        _window_of_2(x, source + 2 * j, left - j, end - j, out, target + j)
                            elif step[2] == -2:
                                for j in range(0, left, lane):
                                    _window(x, 0, 0, 0, out, target + j)
                                for j in range(0, plane[2] - left, lane):
                                    _window_to_2(x, source + left + j // 2, end - j // 2, out, target + left + j)
                            else:
                                _row(x, source, step[2], left, end, out, target, plane[2])
                            target += plane[2]
                to += length
                for k in range(target, to):
                    out[k] = 0
        for k in range(to, len(out)):
            out[k] = 0

    return jit(spread)


@jit
def _row(x, source, step, left, right, out, target, width):
    """A row of `spread` where numbers lie further apart: number by number, each with zeros behind it."""
    if step > 0:
        for j in range(width):
            _window(x, source + j * step, left - j, min(1, right - j), out, target + j)
    else:
        for j in range(0, left, lanes_of(out)):
            _window(x, 0, 0, 0, out, target + j)
        for j in range((width - left - step - 1) // -step):
            _window(x, source + left + j, 0, min(1, right - j), out, target + left - j * step)


def _tile_of(direct):
    """The intrinsic for a tile of ROWS rows by VECTORS vectors, written to y at once or to a buffer."""
    rows, vectors = ROWS, VECTORS

    @intrinsic
    def tile(typingctx, a, ia, x, places, v, offset, k, bias, ib, floor, pieces, p, y, y0, y_row):
        """tile[row, i] = bias[ib + row] + sum of a[ia + k * rows + row] * x[places[v + i] + offset[k] + n] or `floor`.

        direct: piece p + i tells how many lanes of vector i go where in y; else the tile is y.
        """

        def codegen(context, builder, signature, arguments):
            a, ia, x, places, v, offset, k, bias, ib, floor, pieces, p, y, y0, y_row = data(
                context, builder, signature, arguments)
            vector = vector_of(signature.args[0])
            bases = [builder.gep(x, [get(builder, places, v, i)]) for i in range(vectors)]
            begin = [splat(builder, get(builder, bias, ib, r), vector) for r in range(rows)]
            start = builder.gep(a, [ia])

            def body(i, sums):
                shift, column = get(builder, offset, i), builder.gep(start, [builder.mul(i, integer(rows))])
                right = [load(builder, builder.gep(base, [shift]), vector) for base in bases]
                result = []
                for r in range(rows):
                    left = splat(builder, get(builder, column, integer(r)), vector)
                    result += [fma(builder, left, right[j], sums[r * vectors + j]) for j in range(vectors)]
                return result

            low = splat(builder, floor, vector)
            sums = loop(builder, k, 1, body, [s for s in begin for _ in range(vectors)])
            sums = [at_least(builder, total, low) for total in sums]
            if not direct:
                keep(builder, sums, y)
                return context.get_dummy_value()
            for i in range(vectors):
                piece = builder.mul(add(builder, p, i), integer(3))
                count = get(builder, pieces, piece, 1)
                place = builder.add(y0, get(builder, pieces, piece, 2))
                places_of = [builder.add(place, builder.mul(y_row, integer(r))) for r in range(rows)]
                whole = builder.icmp_signed(">=", count, integer(vector.count))
                with builder.if_else(whole) as (all_of_it, some_of_it):
                    with all_of_it:
                        for r, at in enumerate(places_of):
                            keep(builder, [sums[r * vectors + i]], builder.gep(y, [at]))
                    with some_of_it:
                        for r, at in enumerate(places_of):
                            keep_some(builder, sums[r * vectors + i], builder.gep(y, [at]), count)
            return context.get_dummy_value()

        n = types.int64
        return types.void(a, n, x, places, n, offset, n, bias, n, y.dtype, pieces, n, y, n, n), codegen

    return tile


_tile, _direct_tile = _tile_of(False), _tile_of(True)


@intrinsic
def _dots(typingctx, a, lines, il, x, columns, ic, start, count, out):
    """out[i, j] = sum of a[lines[il + i] + place] * x[columns[ic + j] + place], for `count` places."""

    def codegen(context, builder, signature, arguments):
        a, lines, il, x, columns, ic, start, count, out = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])

        def pointers(base, table, index, number):
            starts = [builder.add(get(builder, table, index, i), start) for i in range(number)]
            return [builder.gep(base, [s]) for s in starts]

        left, right = pointers(a, lines, il, LEFT), pointers(x, columns, ic, RIGHT)

        def body(i, sums):
            dy = [load(builder, builder.gep(p, [i]), vector) for p in left]
            result = list(sums)
            for j, p in enumerate(right):
                value = load(builder, builder.gep(p, [i]), vector)
                for r in range(LEFT):
                    result[r * RIGHT + j] = fma(builder, dy[r], value, sums[r * RIGHT + j])
            return result

        zero = ir.Constant(vector, [0.0] * vector.count)
        sums = loop(builder, count, vector.count, body, [zero] * (LEFT * RIGHT))
        keep(builder, totals(builder, sums), out)
        return context.get_dummy_value()

    n = types.int64
    return types.void(a, lines, n, x, columns, n, n, n, out), codegen


def _move_of(step):
    """The intrinsic that copies a vector to numbers that lie 1 or 2 apart."""

    @intrinsic
    def move(typingctx, source, i, target, j, count):
        """target[j + n * step] = source[i + n] for each n below `count`, at most one vector."""

        def codegen(context, builder, signature, arguments):
            source, i, target, j, count = data(context, builder, signature, arguments)
            vector, place = vector_of(signature.args[0]), builder.gep(target, [j])
            mask = below(builder, count, vector)
            value = masked_load(builder, builder.gep(source, [i]), mask, vector)
            if step == 1:
                keep_below(builder, value, place, count)
                return context.get_dummy_value()
            if not MANY:  # there, a store under a mask costs more than one of each number
                for n in range(vector.count):
                    with builder.if_then(builder.icmp_signed("<", integer(n), count)):
                        builder.store(builder.extract_element(value, integer(n)), builder.gep(place, [integer(2 * n)]))
                return context.get_dummy_value()
            bits = ir.VectorType(ir.IntType(1), vector.count)
            even = ir.Constant(bits, [n % 2 == 0 for n in range(vector.count)])
            for half in (0, vector.count // 2):
                spaced = shuffle(builder, value, value, [half + n // 2 for n in range(vector.count)])
                mask = below(builder, builder.mul(add(builder, count, -half), integer(2)), vector)
                place_of_half = builder.gep(place, [integer(2 * half)])
                masked_store(builder, spaced, place_of_half, builder.and_(mask, even))
            return context.get_dummy_value()

        return types.void(source, types.int64, target, types.int64, types.int64), codegen

    return move


def _window_of(step):
    """The intrinsic that reads a vector of numbers that lie 1 or 2 apart, with zeros outside a window."""

    @intrinsic
    def window(typingctx, source, i, first, last, target, j):
        """target[j + n] = source[i + n * step] for first <= n < last, and zero for the other lanes."""

        def codegen(context, builder, signature, arguments):
            source, i, first, last, target, j = data(context, builder, signature, arguments)
            vector, start = vector_of(signature.args[0]), builder.gep(source, [i])
            if step == 1:
                mask = from_below(builder, first, last, vector)
                value = masked_load(builder, start, mask, vector)
            else:  # two vectors, without the number after the last one, which may lie beyond the array
                first, last = builder.mul(first, integer(2)), add(builder, builder.mul(last, integer(2)), -1)
                halves = []
                for half in (0, vector.count):
                    begin, end = add(builder, first, -half), add(builder, last, -half)
                    mask = from_below(builder, begin, end, vector)
                    halves.append(masked_load(builder, builder.gep(start, [integer(half)]), mask, vector))
                value = shuffle(builder, *halves, [2 * n for n in range(vector.count)])
            keep(builder, [value], builder.gep(target, [j]))
            return context.get_dummy_value()

        n = types.int64
        return types.void(source, n, n, n, target, n), codegen

    return window


@intrinsic
def _evens(typingctx, source, i, first, last, target, j):
    """`_window_of_2` where both vectors lie in the array: their masks cost more than they."""

    def codegen(context, builder, signature, arguments):
        source, i, first, last, target, j = data(context, builder, signature, arguments)
        vector, start = vector_of(signature.args[0]), builder.gep(source, [i])
        halves = [load(builder, builder.gep(start, [integer(half)]), vector) for half in (0, vector.count)]
        value = shuffle(builder, *halves, [2 * n for n in range(vector.count)])
        zeros = ir.Constant(vector, [0.0] * vector.count)
        value = builder.select(from_below(builder, first, last, vector), value, zeros)
        keep(builder, [value], builder.gep(target, [j]))
        return context.get_dummy_value()

    n = types.int64
    return types.void(source, n, n, n, target, n), codegen


@intrinsic
def _window_to_2(typingctx, source, i, last, target, j):
    """target[j + 2 * n] = source[i + n] for n < last, and zero for the other lanes."""

    def codegen(context, builder, signature, arguments):
        source, i, last, target, j = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        half = vector.count // 2
        last = builder.select(builder.icmp_signed("<", last, integer(half)), last, integer(half))
        value = masked_load(builder, builder.gep(source, [i]), below(builder, last, vector), vector)
        spaced = shuffle(builder, value, value, [half if n % 2 else n // 2 for n in range(vector.count)])
        keep(builder, [spaced], builder.gep(target, [j]))
        return context.get_dummy_value()

    return types.void(source, types.int64, types.int64, target, types.int64), codegen


_spread_dense, _spread_apart = _spread_of(True), _spread_of(False)
_move, _move_to_2 = _move_of(1), _move_of(2)
_window, _window_of_2 = _window_of(1), _window_of(2)
