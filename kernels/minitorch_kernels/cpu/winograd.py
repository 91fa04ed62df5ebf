"""Convolution with 3x3 windows and stride 1 by Winograd's method: 2.25 (tile 2) or 4 (tile 4) times fewer products.

tile^2 outputs are a polynomial product that is computed at tile + 2 points in each direction (POINTS and infinity):
y = A^T [G w G^T * B^T x B] A, with * place by place and summed over channels (Lavin and Gray, "Fast algorithms for
convolutional neural networks", 2016; the matrices are Toom and Cook's). So each of the (tile + 2)^2 places is a
matrix product (tiles, channels) @ (channels, outputs). A block of tiles is transformed into a buffer in the L2 cache,
multiplied, and transformed back there. Channels lie along the vectors: images are transposed on their way in and out.

Error. Each output differs from the exact one by at most

    (channels + ROUNDINGS) * eps / 2 * (|A^T| [sum over channels of |G| |w| |G^T| * |B^T| |x| |B|] |A| + |bias|)

to first order; measured errors are 0.002 to 0.05 of that. Where all numbers of x and of w have one size, it is 7
(tile 2) and 63 (tile 4) times the bound of the direct sum; Lavin and Gray's points 0, 1, -1, 2, -2 would give 256.
Measured on normal numbers in float32, 64 channels, the root mean square is 0.6 and 1.8 times that of a plain sum (with
their points 4.5 times). The bound follows the largest numbers that a tile reads: a small output beside a large one
has fewer right digits than a direct sum gives it. NaN and infinity spread to all outputs of each tile that reads them.
Finite numbers give finite ones while 28 |x|, and 564 |x| |w| summed over channels, are below overflow (tile 2: 4, 64).

Speed on one core with AVX-512 (197 GFLOP/s), float32, forward, in GFLOP/s that a direct sum would need:

    N, C, H, O, padding      tile 2  tile 4  direct  PyTorch 2.13
    100, 64, 30, 128, 0         262     386     152     102
    64, 16, 32, 16, 1           120     167     146      95
    64, 32, 16, 32, 1           202     300     163     143
    64, 64, 8, 64, 1            269     410     155     179
    64, 64, 16, 64, 1           244     356     162     155
    32, 128, 28, 128, 1         299     410     160     169
    32, 256, 14, 256, 1         272     318     162     187

The input gradient is about as fast, and float64 half. The method loses with few channels (3 -> 64, 8 -> 8), where the
transforms cost more than they save, and with few tiles for many weights (one image of 8x8, 256 -> 256): see `worth`.
"""
from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from math import prod

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import memory
from . import vector
from .jit import jit
from .tasks import task
from .vector import (
    MANY,
    aligned,
    at_least,
    data,
    fma,
    hidden,
    integer,
    keep,
    lanes_of,
    load,
    loop,
    prefetch,
    shuffle,
    splat,
    turn,
    vector_of,
)

POINTS = {2: (0, 1, -1), 4: (0, Fraction(5, 8), Fraction(-5, 8), Fraction(3, 2), Fraction(-3, 2))}  # p before -p
ROUNDINGS = {2: 13, 4: 21}  # on the longest way from a number of x or w to y, apart from the sum over channels
VECTORS = 4 if MANY else 2  # outputs of a strip
HEIGHTS = (12, 12, 8, 6) if MANY else (12, 6)  # tiles that meet a strip of 1, 2, ... vectors at once
NEAR, FAR = 1 << 20, 1 << 21  # bytes of a block's transformed tiles: half an L2 cache, or all if the weights fill it
PARTS = 32  # parts at most
IMAGES, WEIGHTS = {2: 240, 4: 800}, {2: 630, 4: 860}  # times of a vector's transforms, in multiplications of a vector
SPILL = 60  # the same for a cache line of weights beyond NEAR
GAIN = 1.1  # how much quicker than the direct sum is worth the larger error


def conv2d(x, w, b, padding, tile, floor=-math.inf):
    """y (N, O, H', W') of x (N, C, H, W), w (O, C, 3, 3) and b (O,) or None, by tiles of 2 or 4 squared.

    Nothing in y is less than `floor`.
    """
    return _convolve(x, w, b, len(w), padding, tile, False, floor)


def conv2d_dx(dy, w, x_shape, padding, tile):
    """dx: the convolution of dy with w turned around, its input and output channels exchanged."""
    return _convolve(dy, w, None, x_shape[1], (2 - padding[0], 2 - padding[1]), tile, True)


def conv2d_of_table(x, w, b, stride, padding, dilation, groups, floor=-math.inf):
    """`conv2d` by the kernel's arguments, with the tile that is worth it."""
    return conv2d(x, w, b, padding, worth(x.shape, w.shape, padding, x.dtype.char), floor)


def conv2d_relu_of_table(*arguments):
    """The positive part of `conv2d_of_table`."""
    return conv2d_of_table(*arguments, floor=0.0)


def conv2d_dx_of_table(dy, w, x_shape, stride, padding, dilation, groups):
    """`conv2d_dx` by the kernel's arguments, with the tile that is worth it."""
    turned, mirrored = (w.shape[1], w.shape[0], 3, 3), (2 - padding[0], 2 - padding[1])
    return conv2d_dx(dy, w, x_shape, padding, worth(dy.shape, turned, mirrored, dy.dtype.char))


@lru_cache(1024)
def worth(x_shape, w_shape, padding, letter):
    """Which is fastest by what it costs to multiply and to transform: the direct sum (0), or tiles of 2 or 4.

    For conv2d_dx: the shapes of dy and of w with its channels exchanged, and padding 2 - p.

    >>> worth((64, 64, 16, 16), (64, 64, 3, 3), (1, 1), "f"), worth((64, 3, 32, 32), (64, 3, 3, 3), (1, 1), "f")
    (4, 0)
    """
    (batch, channels, *size), outputs = x_shape, w_shape[0]
    out = [n + 2 * p - 2 for n, p in zip(size, padding)]
    lane, bytes_of_one = vector.lanes(letter), np.dtype(letter).itemsize
    places, deep, whole = batch * prod(out), _up(channels, lane), _up(outputs, lane)
    costs = {0: ((10 * channels * outputs / lane + channels + outputs) * places + 9 * channels * outputs) / GAIN}
    for tile in (2, 4):
        across, planes = -(-out[1] // tile), (tile + 2) ** 2
        tiles, u = batch * -(-out[0] // tile) * across, planes * channels * whole
        if across * planes * (deep + min(whole, VECTORS * lane)) * bytes_of_one <= FAR:
            costs[tile] = (tiles * (u + IMAGES[tile] * (deep + whole)) + WEIGHTS[tile] * channels * whole) / lane
            costs[tile] += SPILL * max(0, u * bytes_of_one - NEAR) / memory.LINE
    return min(costs, key=costs.get)


def _convolve(x, w, b, outputs, padding, tile, turned, floor=-math.inf):
    batch, channels, height, width = x.shape
    y = memory.empty((batch, outputs, height + 2 * padding[0] - 2, width + 2 * padding[1] - 2), x.dtype)
    if not y.size:
        return y
    numbers, parts, work, whole, planes = _plan(x.shape, y.shape, padding, tile, x.dtype.char)
    u, bias = vector.empty(planes * channels * whole, x.dtype), np.zeros(whole, x.dtype)
    if b is not None:
        bias[:outputs] = b
    output_row, channel_row = (9, 9 * outputs) if turned else (9 * channels, 9)
    _transform_weights(channels, 10 * len(u), numbers, _flat(w), output_row, channel_row, turned, u)
    _transform_tiles(parts, work, numbers, _flat(x), u, bias, floor, y.reshape(-1))
    return y


def _flat(x):
    """The numbers of x in order; not read-only, which is another type to Numba."""
    return (x if x.flags.c_contiguous and x.flags.writeable else np.array(x, order="C")).reshape(-1)


@lru_cache(256)
def _plan(x_shape, y_shape, padding, tile, letter):
    """The numbers that the tasks need; parts and work; outputs in whole vectors; places of a transformed tile."""
    (batch, channels, *size), (_, outputs, *out) = x_shape, y_shape
    lane, bytes_of_one, planes = vector.lanes(letter), np.dtype(letter).itemsize, (tile + 2) ** 2
    deep, whole = _up(channels, lane), _up(outputs, lane)
    wide = min(VECTORS * lane, whole)
    total, across = batch * -(-out[0] // tile), -(-out[1] // tile)
    cache = FAR if planes * channels * whole * bytes_of_one > FAR else NEAR
    most = max(1, min(total, cache // (planes * (deep + wide) * bytes_of_one * across)))
    height = HEIGHTS[wide // lane - 1]

    def cost(rows):  # tiles on the last of four threads, and on one: those that stay empty, and some for each block
        blocks, full = -(-total // rows), _up(rows * across, height) + height
        return _up(blocks, 4) * full + (blocks - 1) * full + _up((total - (blocks - 1) * rows) * across, height)

    rows = min(range(-(-most // 3), most + 1), key=cost)
    blocks = -(-total // rows)
    parts = min(PARTS, blocks)
    numbers = np.array([tile, batch, channels, *size, outputs, *out, *padding, rows, blocks, parts], np.int64)
    return numbers, parts, 2 * planes * total * across * channels * outputs, whole, planes


def _up(n, step):
    return -(-n // step) * step


@task
def _transform_weights(channel, numbers, w, output_row, channel_row, turned, u):
    """u[strip, place, channel, output] = G w[output, channel] G^T for one channel, w turned around or not."""
    tile, channels, outputs = numbers[0], numbers[2], numbers[5]
    lane = lanes_of(u)
    wide, whole, planes = VECTORS * lane, (outputs + lane - 1) // lane * lane, (tile + 2) * (tile + 2)
    taps = np.zeros(9 * lane, u.dtype)
    first, step = (8 * lane, -lane) if turned else (0, lane)
    for o in range(0, outputs, lane):
        source, strip = channel * channel_row + o * output_row, o // wide * wide
        for k in range(0, 9, lane):
            turn(w, source + k, output_row, min(lane, outputs - o), min(lane, 9 - k), taps, k * lane, lane)
        width = min(wide, whole - strip)
        target, plane = strip * planes * channels + channel * width + o - strip, channels * width
        if tile == 2:
            _weights_2(taps, first, 3 * step, step, u, target, 4 * plane, plane)
        else:
            _weights_4(taps, first, 3 * step, step, u, target, 6 * plane, plane)


@task
def _transform_tiles(part, numbers, x, u, bias, floor, y):
    """y for some blocks of rows of tiles, which are counted through all images."""
    least = y.dtype.type(floor)
    tile, batch, channels, width, outputs = numbers[0], numbers[1], numbers[2], numbers[4], numbers[5]
    out_h, out_w, rows, blocks, parts = numbers[6], numbers[7], numbers[10], numbers[11], numbers[12]
    lane, planes = lanes_of(y), (tile + 2) * (tile + 2)
    wide, deep = min(VECTORS * lane, len(bias)), (channels + lane - 1) // lane * lane
    down, across = (out_h + tile - 1) // tile, (out_w + tile - 1) // tile
    tall = min(rows, down) * tile
    v_plane = rows * across * deep + lane  # a vector more: planes 4096 bytes apart would share few lines of a cache
    m_plane = (rows * across + HEIGHTS[0]) * wide + lane
    v_end = planes * v_plane
    m_end = v_end + planes * m_plane
    patch_end = m_end + (tall + 2) * (across * tile + 2) * lane
    flat_end = patch_end + ((tall + 2) * width + lane) * lane
    room = aligned(np.empty(flat_end + (tall * out_w + tile + 1) * lane, y.dtype))
    v, m, patch, flat, out = (room[:v_end], room[v_end:m_end], room[m_end:patch_end], room[patch_end:flat_end],
                              room[flat_end:])
    flat[:] = 0  # lanes beyond the last channel
    known = (-1, -1)
    for block in range(blocks * part // parts, blocks * (part + 1) // parts):
        first, last = block * rows, min(block * rows + rows, batch * down)
        start = first
        while start < last:
            end = min(last, (start // down + 1) * down)
            if known != (start % down, end - start):
                patch[:] = 0
                known = (start % down, end - start)
            _read(numbers, x, start // down, start % down, end - start, flat, patch,
                  v[(start - first) * across * deep:], deep, v_plane)
            start = end
        for strip in range(0, outputs, wide):
            vectors = min(VECTORS, (len(bias) - strip) // lane)
            for p in range(planes):
                _multiply(vectors, v[p * v_plane:], deep, (last - first) * across,
                          u[strip * planes * channels + p * channels * vectors * lane:], channels, m[p * m_plane:])
            for o in range(0, vectors * lane, lane):
                start = first
                while start < last:
                    end = min(last, (start // down + 1) * down)
                    _write(numbers, m[(start - first) * across * vectors * lane + o:], vectors * lane, m_plane, bias,
                           strip + o, least, start // down, start % down, end - start, out, y)
                    start = end


@jit
def _read(numbers, x, image, first, rows, flat, patch, v, deep, plane):
    """v[place, tile, channel] = B^T x B for `rows` rows of tiles of an image.

    For a vector of channels at a time, the image's numbers are transposed, sixteen places at a time, into `flat`;
    those lines go to `patch`, between its zeros; and as soon as a row of tiles has its lines, it is transformed.
    """
    tile, channels, height, width, out_w, pad_h, pad_w = (numbers[0], numbers[2], numbers[3], numbers[4], numbers[7],
                                                          numbers[8], numbers[9])
    lane, across = lanes_of(v), (out_w + tile - 1) // tile
    pitch, top = (across * tile + 2) * lane, first * tile - pad_h
    low, high = max(top, 0), min(top + rows * tile + 2, height)
    left, begin = max(pad_w, 0) * lane, max(-pad_w, 0) * lane
    length = min(width * lane - begin, pitch - left)
    for c in range(0, channels, lane):
        base, some = ((image * channels + c) * height + low) * width, min(lane, channels - c)
        line, place = low, 0
        for i in range(rows):
            while line < min(high, top + (i + 1) * tile + 2):
                while place < (line + 1 - low) * width:
                    count = min(lane, (high - low) * width - place)
                    _turn(x, base + place, height * width, some, count, flat, place * lane, lane)
                    place += lane
                source, target = (line - low) * width * lane + begin, (line - top) * pitch + left
                for j in range(0, length, lane):
                    _copy(flat, source + j, patch, target + j)
                line += 1
            for j in range(across):
                source, target = i * tile * pitch + j * tile * lane, (i * across + j) * deep + c
                if tile == 2:
                    _tile_2(patch, source, pitch, lane, v, target, 4 * plane, plane)
                else:
                    _tile_4(patch, source, pitch, lane, v, target, 6 * plane, plane)


@jit
def _multiply(vectors, v, deep, count, u, channels, m):
    """m[tile, output] = the sum over channels of v[tile, channel] * u[channel, output], for a strip of outputs."""
    lane = lanes_of(v)
    wide, height = vectors * lane, HEIGHTS[vectors - 1]
    for t in range(0, count, height):
        ahead = channels * (wide + t // height % vectors * lane)
        if vectors == VECTORS:
            _product(v, t * deep, deep, count - t, u, channels, m, t * wide, ahead)
        elif vectors == 1:
            _product_1(v, t * deep, deep, count - t, u, channels, m, t * wide, ahead)
        elif vectors == 2:
            _product_2(v, t * deep, deep, count - t, u, channels, m, t * wide, ahead)
        else:
            _product_3(v, t * deep, deep, count - t, u, channels, m, t * wide, ahead)


@jit
def _write(numbers, m, wide, plane, bias, o, floor, image, first, rows, out, y):
    """A vector of outputs: y = A^T m A + bias, or the floor if it is less, for `rows` rows of tiles, transposed.

    A tile's columns beyond the image go where the next line begins, and are overwritten there: a line's tiles are
    written from right to left, and lines from top to bottom.
    """
    tile, outputs, out_h, out_w = numbers[0], numbers[5], numbers[6], numbers[7]
    lane, across = lanes_of(y), (out_w + tile - 1) // tile
    top, area, place = first * tile, out_h * out_w, 0
    base, some = (image * outputs + o) * area + top * out_w, min(lane, outputs - o)
    for i in range(rows):
        for j in range(across - 1, -1, -1):
            source, target = (i * across + j) * wide, (i * tile * out_w + j * tile) * lane
            if tile == 2:
                _outputs_2(m, source, 4 * plane, plane, out, target, out_w * lane, lane, bias, o, floor)
            else:
                _outputs_4(m, source, 6 * plane, plane, out, target, out_w * lane, lane, bias, o, floor)
        ready = min((i + 1) * tile, out_h - top) * out_w
        while place + lane <= ready or (i == rows - 1 and place < ready):
            _turn(out, place * lane, lane, min(lane, ready - place), some, y, base + place, area)
            place += lane


@jit
def _turn(source, i, source_row, rows, columns, target, j, target_row):
    """vector.turn, which takes half the time where no lane is masked."""
    if rows == lanes_of(source) and columns == lanes_of(source):
        _turn_whole(source, i, source_row, target, j, target_row)
    else:
        turn(source, i, source_row, rows, columns, target, j, target_row)


@intrinsic
def _turn_whole(typingctx, source, i, source_row, target, j, target_row):
    """target[j + column * target_row + row] = source[i + row * source_row + column], for whole vectors each way."""

    def codegen(context, builder, signature, arguments):
        source, i, source_row, target, j, target_row = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        count = vector.count
        low = [n // 2 + n % 2 * count for n in range(count)]
        high = [n + count // 2 for n in low]
        square = [load(builder, _at(builder, source, i, source_row, r), vector) for r in range(count)]
        for _ in range(count.bit_length() - 1):  # a perfect shuffle of rows, so often, transposes
            halves = zip(square[:count // 2], square[count // 2:])
            square = [shuffle(builder, a, b, order) for a, b in halves for order in (low, high)]
        for c in range(count):
            keep(builder, [square[c]], _at(builder, target, j, target_row, c))
        return context.get_dummy_value()

    n = types.int64
    return types.void(source, n, n, target, n, n), codegen


@intrinsic
def _copy(typingctx, source, i, target, j):
    """Copy a vector."""

    def codegen(context, builder, signature, arguments):
        source, i, target, j = data(context, builder, signature, arguments)
        keep(builder, [load(builder, builder.gep(source, [i]), vector_of(signature.args[0]))], builder.gep(target, [j]))
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64), codegen


def _product_of(vectors):
    """The intrinsic for a strip of so many vectors."""
    rows = HEIGHTS[vectors - 1]

    @intrinsic
    def product(typingctx, v, iv, row, count, u, depth, m, im, ahead):
        """m[im + (r, j)] = the sum over k of v[iv + r * row + k] * u[k, j], for a tile's height of r.

        Rows from `count` on are the last one again. At u[ahead] lies what will be needed soon.
        """

        def codegen(context, builder, signature, arguments):
            v, iv, row, count, u, depth, m, im, ahead = data(context, builder, signature, arguments)
            vector = vector_of(signature.args[0])
            below_first, last = [], builder.sub(count, integer(1))
            for r in range(rows):
                inside = builder.select(builder.icmp_signed("<", integer(r), count), integer(r), last)
                below_first.append(builder.mul(inside, row))

            def body(k, values):
                column, *sums = values
                line = builder.gep(u, [builder.mul(k, integer(vectors * vector.count))])
                right = [load(builder, builder.gep(line, [integer(j * vector.count)]), vector) for j in range(vectors)]
                if MANY and vectors == VECTORS:
                    prefetch(builder, _at(builder, u, ahead, k, vector.count))
                result = [hidden(builder, builder.gep(column, [integer(1)]))]
                for r in range(rows):
                    left = splat(builder, builder.load(builder.gep(column, [below_first[r]])), vector)
                    result += [fma(builder, left, right[j], sums[r * vectors + j]) for j in range(vectors)]
                return result

            zero = ir.Constant(vector, [0.0] * vector.count)
            _, *sums = loop(builder, depth, 1, body, [builder.gep(v, [iv]), *[zero] * (rows * vectors)])
            keep(builder, sums, builder.gep(m, [im]))
            return context.get_dummy_value()

        n = types.int64
        return types.void(v, n, n, n, u, n, m, n, n), codegen

    return product


def _transform_of(matrix, biased=False):
    """The intrinsic for target = matrix @ source @ matrix^T, in every lane; with `biased` + bias[k], or the floor."""
    inputs = len(matrix[0])

    def codegen(context, builder, signature, arguments):
        source, i, source_row, source_step, target, j, row, step, *more = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        start = load(builder, builder.gep(more[0], [more[1]]), vector) if biased else None
        low = splat(builder, more[2], vector) if biased else None
        half = []  # matrix @ source, column after column
        for c in range(inputs):
            first = builder.add(i, builder.mul(source_step, integer(c)))
            column = [load(builder, _at(builder, source, first, source_row, r), vector) for r in range(inputs)]
            half.append(_times(builder, matrix, column))
        for r in range(len(matrix)):
            first = builder.add(j, builder.mul(row, integer(r)))
            for c, value in enumerate(_times(builder, matrix, [column[r] for column in half], start)):
                value = at_least(builder, value, low) if biased else value
                keep(builder, [value], _at(builder, target, first, step, c))
        return context.get_dummy_value()

    n = types.int64
    if biased:
        @intrinsic
        def transform(typingctx, source, i, source_row, source_step, target, j, row, step, bias, k, floor):
            return types.void(source, n, n, n, target, n, n, n, bias, n, target.dtype), codegen
    else:
        @intrinsic
        def transform(typingctx, source, i, source_row, source_step, target, j, row, step):
            return types.void(source, n, n, n, target, n, n, n), codegen
    return transform


def _at(builder, array, first, distance, number):
    """The address of array[first + distance * number], the latter known to Python."""
    return builder.gep(array, [builder.add(first, builder.mul(distance, integer(number)))])


def _times(builder, matrix, vectors, start=None):
    """matrix @ vectors + start. What belongs to points p and -p differs in signs alone, and shares its even part."""
    if len(matrix) < len(matrix[0]):
        columns = _halves(zip(*matrix))
        return [_sum(builder, factors, _sums(builder, vectors), start) for factors in zip(*columns)]
    return _sums(builder, [_sum(builder, factors, vectors, start) for factors in _halves(matrix)])


def _halves(rows):
    """Half the sum and half the difference of rows 1 and 2, 3 and 4, ..., which belong to p and -p."""
    rows = list(rows)
    for i in range(1, len(rows) - 1, 2):
        pairs = list(zip(rows[i], rows[i + 1]))
        rows[i:i + 2] = [(p + q) / 2 for p, q in pairs], [(p - q) / 2 for p, q in pairs]
    return rows


def _sums(builder, vectors):
    """The sum and the difference of vectors 1 and 2, 3 and 4, ..."""
    vectors = list(vectors)
    for i in range(1, len(vectors) - 1, 2):
        a, b = vectors[i:i + 2]
        vectors[i:i + 2] = builder.fadd(a, b), builder.fsub(a, b)
    return vectors


def _sum(builder, factors, vectors, total):
    """The sum of factor * vector, and of `total` if it is not None; factors of 1 come first, and cost nothing."""
    for factor, value in sorted(zip(map(float, factors), vectors), key=lambda pair: pair[0] != 1):
        constant = ir.Constant(value.type, [factor] * value.type.count)
        if factor and total is None:
            total = value if factor == 1 else builder.fmul(value, constant)
        elif factor:
            total = builder.fadd(total, value) if factor == 1 else fma(builder, value, constant, total)
    return total


def matrices(tile):
    """A^T, G and B^T, as lists of rows of fractions.

    Column j of A^T, and row j of G, hold the powers of point j; row j of B^T the polynomial that is zero at all
    others, and G is divided by its value at point j. The last point is infinity.
    """
    points, size = [Fraction(p) for p in POINTS[tile]], tile + 2
    others = [[q for q in points if q != p] for p in points]
    a = [[p**i for p in points] + [Fraction(i == tile - 1)] for i in range(tile)]
    g = [[p**i / prod(p - q for q in roots) for i in range(3)] for p, roots in zip(points, others)]
    b = []
    for roots in [*others, points]:
        polynomial = [Fraction(1)]
        for root in roots:
            polynomial = [high - root * low for high, low in zip([0, *polynomial], [*polynomial, 0])]
        b.append(polynomial + [Fraction(0)] * (size - len(polynomial)))
    return a, [*g, [Fraction(i == 2) for i in range(3)]], b


_product_1, _product_2, _product_3, _product = [_product_of(min(v, VECTORS)) for v in (1, 2, 3, 4)]
(_a_2, _g_2, _b_2), (_a_4, _g_4, _b_4) = matrices(2), matrices(4)
_weights_2, _weights_4, _tile_2, _tile_4 = [_transform_of(matrix) for matrix in (_g_2, _g_4, _b_2, _b_4)]
_outputs_2, _outputs_4 = _transform_of(_a_2, True), _transform_of(_a_4, True)
