"""Products with the channels of the output along the vectors, for many channels and small images.

`gemm.product` lays vectors along the rows of an image, and part of each is wasted on rows that are short. Here the
place varies from row to row of a tile, WIDE channels lie along it, and the places may be any: of a
convolution's outputs, with k running over channels and taps; or of its taps, with k running over outputs, which
gives the weight gradient. The price is that y is transposed on its way out, or dy on its way in.
"""
from __future__ import annotations

from numba import types
from numba.extending import intrinsic

from .jit import jit
from .vector import (
    MANY,
    below,
    data,
    fma,
    get,
    integer,
    keep,
    lanes_of,
    load,
    loop,
    masked_load,
    masked_store,
    shuffle,
    splat,
    vector_of,
)

PLACES, VECTORS = (6 if MANY else 3), 4
NEAR = 96  # k that are finished for all places before the next ones: 24 KiB of w, which stay in the L1 cache


@jit
def product(x, places, count, offset, depth, w, out):
    """out[place, channel] += sum over k of x[places[place] + offset[k]] * w[k, channel], for `count` places.

    w and out have VECTORS vectors of channels; places and out are filled up to whole tiles.
    """
    wide = VECTORS * lanes_of(x)
    for k in range(0, depth, NEAR):
        for place in range(0, count, PLACES):
            _tile(x, places, place, offset, k, min(NEAR, depth - k), w, k * wide, out, place * wide)


@jit
def turn(source, rows, source_row, columns, target, target_row):
    """target[column, row] = source[row, column]: a transposed copy, between rows that lie so far apart."""
    lane = lanes_of(source)
    for i in range(0, rows, lane):
        for j in range(0, columns, lane):
            _turn(source, i * source_row + j, source_row, min(lane, rows - i), min(lane, columns - j),
                  target, j * target_row + i, target_row)


@intrinsic
def _tile(typingctx, x, places, ip, offset, k, count, w, iw, out, io):
    """out[p, channel] += sum over i below `count` of x[places[ip + p] + offset[k + i]] * w[iw + i, channel]."""

    def codegen(context, builder, signature, arguments):
        x, places, ip, offset, k, count, w, iw, out, io = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        bases = [builder.gep(x, [get(builder, places, ip, p)]) for p in range(PLACES)]
        first, start = builder.gep(out, [io]), builder.gep(w, [iw])
        steps = [integer(v * vector.count) for v in range(PLACES * VECTORS)]

        def body(i, sums):
            shift = get(builder, offset, builder.add(i, k))
            line = builder.gep(start, [builder.mul(i, integer(VECTORS * vector.count))])
            right = [load(builder, builder.gep(line, [step]), vector) for step in steps[:VECTORS]]
            result = []
            for p in range(PLACES):
                left = splat(builder, builder.load(builder.gep(bases[p], [shift])), vector)
                result += [fma(builder, left, right[v], sums[p * VECTORS + v]) for v in range(VECTORS)]
            return result

        before = [load(builder, builder.gep(first, [step]), vector) for step in steps]
        keep(builder, loop(builder, count, 1, body, before), first)
        return context.get_dummy_value()

    n = types.int64
    return types.void(x, places, n, offset, n, n, w, n, out, n), codegen


@intrinsic
def _turn(typingctx, source, i, source_row, rows, columns, target, j, target_row):
    """target[j + column * target_row + row] = source[i + row * source_row + column], up to a vector by a vector."""

    def codegen(context, builder, signature, arguments):
        source, i, source_row, rows, columns, target, j, target_row = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        count = vector.count
        square = []
        for r in range(count):
            inside = builder.select(builder.icmp_signed("<", integer(r), rows), columns, integer(0))
            place = builder.gep(source, [builder.add(i, builder.mul(source_row, integer(r)))])
            square.append(masked_load(builder, place, below(builder, inside, vector), vector))
        low = [n // 2 + n % 2 * count for n in range(count)]
        high = [n + count // 2 for n in low]
        for _ in range(count.bit_length() - 1):  # a perfect shuffle of rows, so often, transposes
            halves = zip(square[:count // 2], square[count // 2:])
            square = [shuffle(builder, a, b, order) for a, b in halves for order in (low, high)]
        for c in range(count):
            inside = builder.select(builder.icmp_signed("<", integer(c), columns), rows, integer(0))
            place = builder.gep(target, [builder.add(j, builder.mul(target_row, integer(c)))])
            masked_store(builder, square[c], place, below(builder, inside, vector))
        return context.get_dummy_value()

    n = types.int64
    return types.void(source, n, n, n, n, target, n, n), codegen
