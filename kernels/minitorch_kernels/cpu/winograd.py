"""Convolution with 3x3 windows, stride 1, by Winograd's method: 2.25 (tile 2) or 4 (tile 4) times fewer products."""
from __future__ import annotations

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
from .vector import MANY, data, fma, integer, keep, lanes_of, load, loop, splat, turn, vector_of

VECTORS = 4 if MANY else 2  # of a strip of outputs
HEIGHTS = (12, 12, 8, 6) if MANY else (12, 6)  # tiles that meet a strip of 1, 2, ... vectors at once
CACHE = 1 << 20  # bytes that the transformed tiles of a block may fill: half of an L2 cache
POINTS = {2: (0, 1, -1), 4: (0, Fraction(5, 8), Fraction(-5, 8), Fraction(3, 2), Fraction(-3, 2))}


def conv2d(x, w, b, padding, tile):
    """y (N, O, H', W') of x (N, C, H, W), w (O, C, 3, 3) and b (O,) or None, in tiles of `tile` squared outputs."""
    return _convolve(x, w, b, len(w), padding, tile, False)


def conv2d_dx(dy, w, x_shape, padding, tile):
    """dx: the convolution of dy with w turned around, its input and output channels exchanged."""
    return _convolve(dy, w, None, x_shape[1], (2 - padding[0], 2 - padding[1]), tile, True)


def _convolve(x, w, b, outputs, padding, tile, turned):
    batch, channels, *size = x.shape
    y = memory.empty((batch, outputs, *(n + 2 * p - 2 for n, p in zip(size, padding))), x.dtype)
    if not y.size:
        return y
    plan = _plan(x.shape, y.shape, padding, tile, x.dtype.char)
    numbers, parts, weights, work = plan
    u = vector.empty(weights, x.dtype)
    bias = np.zeros(-(-outputs // vector.lanes(x.dtype)) * vector.lanes(x.dtype), x.dtype)
    if b is not None:
        bias[:outputs] = b
    apart = (9, 9 * outputs) if turned else (9 * channels, 9)
    _transform_weights(channels, 400 * channels * len(bias), numbers, *apart, turned, _plain(w), u)
    _transform_tiles(parts, work, numbers, _plain(x), u, bias, y.reshape(-1))
    return y


def _plain(x):
    return (x if x.flags.c_contiguous and x.flags.writeable else np.array(x, order="C")).reshape(-1)


@lru_cache(256)
def _plan(x_shape, y_shape, padding, tile, letter):
    batch, channels, *size = x_shape
    _, outputs, *out = y_shape
    lane, itemsize = vector.lanes(letter), np.dtype(letter).itemsize
    down, across = (-(-n // tile) for n in out)
    deep, planes = -(-channels // lane) * lane, (tile + 2) ** 2
    wide = min(VECTORS * lane, -(-outputs // lane) * lane)
    most = max(1, CACHE // (planes * (deep + wide) * itemsize * across))
    height = HEIGHTS[wide // lane - 1]
    rows = min(range(max(1, most * 2 // 3), most + 1), key=lambda r: (-(-r * across // height) * height / (r * across), -r))
    rows = min(rows, batch * down)
    blocks = -(-batch * down // rows)
    parts = min(32, blocks)
    numbers = np.array([tile, batch, channels, *size, outputs, *out, *padding, rows, blocks, parts], np.int64)
    work = 2 * planes * batch * down * across * channels * outputs
    return numbers, parts, planes * channels * -(-outputs // lane) * lane, work


@task
def _transform_weights(channel, numbers, output_step, channel_step, turned, w, u):
    """u[strip, a, b, channel, output] = G w[output, channel] G^T."""
    tile, channels, outputs = numbers[0], numbers[2], numbers[5]
    lane = lanes_of(u)
    planes, wide = (tile + 2) * (tile + 2), VECTORS * lane
    taps = np.zeros(9 * lane, u.dtype)
    first, step = (8 * lane, -lane) if turned else (0, lane)
    whole = (outputs + lane - 1) // lane * lane
    for o in range(0, outputs, lane):
        turn(w, channel * channel_step + o * output_step, output_step, min(lane, outputs - o), 9, taps, 0, lane)
        strip = o // wide * wide
        width = min(wide, whole - strip)
        if 9 > lane:
            turn(w, channel * channel_step + o * output_step + lane, output_step, min(lane, outputs - o), 9 - lane, taps,
                 lane * lane, lane)
        at, plane = strip * planes * channels + channel * width + o - strip, channels * width
        if tile == 2:
            _weights_2(taps, first, 3 * step, step, u, at, 4 * plane, plane)
        else:
            _weights_4(taps, first, 3 * step, step, u, at, 6 * plane, plane)


@task
def _transform_tiles(part, numbers, x, u, bias, y):
    tile, batch, channels, outputs, out_h, out_w = (numbers[0], numbers[1], numbers[2], numbers[5], numbers[6],
                                                    numbers[7])
    rows, blocks, parts = numbers[10], numbers[11], numbers[12]
    width = numbers[4]
    lane = lanes_of(y)
    wide, planes = VECTORS * lane, (tile + 2) * (tile + 2)
    down, across = (out_h + tile - 1) // tile, (out_w + tile - 1) // tile
    deep, strip_wide = (channels + lane - 1) // lane * lane, min(wide, len(bias))
    v_plane, m_plane = rows * across * deep + lane, (rows * across + 11) * strip_wide + lane
    patch_rows = min(rows, down) * tile + 2
    patch_size, flat_size = patch_rows * (across * tile + 2) * lane, (patch_rows * width + lane) * lane
    out_size = (min(rows, down) * tile * out_w + tile) * lane
    room = _aligned(np.empty(planes * (v_plane + m_plane) + patch_size + flat_size + out_size + lane, y.dtype))
    v, room = room[:planes * v_plane], room[planes * v_plane:]
    m, room = room[:planes * m_plane], room[planes * m_plane:]
    patch, room = room[:patch_size], room[patch_size:]
    flat, out = room[:flat_size], room[flat_size:]
    flat[:] = 0
    for block in range(blocks * part // parts, blocks * (part + 1) // parts):
        first = block * rows
        last = min(first + rows, batch * down)
        start = first
        while start < last:
            end = min(last, (start // down + 1) * down)
            _read(numbers, x, start // down, start % down, end - start, patch, flat, v[(start - first) * across * deep:],
                  deep, v_plane)
            start = end
        for s in range(0, outputs, wide):
            vectors = min(VECTORS, (len(bias) - s) // lane)
            for p in range(planes):
                at = s * planes * channels + p * channels * vectors * lane
                _multiply(vectors, v, p * v_plane, deep, (last - first) * across, u, at, channels, m, p * m_plane)
            for o in range(0, vectors):
                start = first
                while start < last:
                    end = min(last, (start // down + 1) * down)
                    _write(numbers, m[(start - first) * across * vectors * lane + o * lane:], vectors * lane, m_plane, bias,
                           s + o * lane, out, start // down, start % down, end - start, y)
                    start = end


@jit
def _read(numbers, x, image, first, rows, patch, flat, v, deep, plane):
    """The transformed tiles of some rows of tiles of an image."""
    tile, channels, height, width, out_w, pad_h, pad_w = (numbers[0], numbers[2], numbers[3], numbers[4], numbers[7],
                                                          numbers[8], numbers[9])
    lane, across = lanes_of(v), (out_w + tile - 1) // tile
    pitch, top = (across * tile + 2) * lane, first * tile - pad_h
    lo, hi = max(top, 0), min(top + rows * tile + 2, height)
    left, begin = max(pad_w, 0) * lane, max(-pad_w, 0) * lane
    length = min(width * lane - begin, pitch - left)
    patch[:(rows * tile + 2) * pitch] = 0
    for c in range(0, channels, lane):
        base = ((image * channels + c) * height + lo) * width
        count = (hi - lo) * width
        for k in range(0, count, lane):
            turn(x, base + k, height * width, min(lane, channels - c), min(lane, count - k), flat, k * lane, lane)
        for i in range(lo, hi):
            to, source = (i - top) * pitch + left, (i - lo) * width * lane + begin
            for j in range(0, length, lane):
                _copy(flat, source + j, patch, to + j)
        for i in range(rows):
            for j in range(across):
                source, target = (i * tile) * pitch + j * tile * lane, (i * across + j) * deep + c
                if tile == 2:
                    _tile_2(patch, source, pitch, lane, v, target, 4 * plane, plane)
                else:
                    _tile_4(patch, source, pitch, lane, v, target, 6 * plane, plane)


@jit
def _write(numbers, m, wide, plane, bias, o, out, image, first, rows, y):
    tile, outputs, out_h, out_w = numbers[0], numbers[5], numbers[6], numbers[7]
    lane, across = lanes_of(y), (out_w + tile - 1) // tile
    for i in range(rows):
        for j in range(across - 1, -1, -1):
            source, target = (i * across + j) * wide, (i * tile * out_w + j * tile) * lane
            if tile == 2:
                _outputs_2(m, source, 4 * plane, plane, out, target, out_w * lane, lane, bias, o)
            else:
                _outputs_4(m, source, 6 * plane, plane, out, target, out_w * lane, lane, bias, o)
    top, area = first * tile, out_h * out_w
    base = ((image * outputs + o) * out_h + top) * out_w
    count = min(rows * tile, out_h - top) * out_w
    for k in range(0, count, lane):
        turn(out, k * lane, lane, min(lane, count - k), min(lane, outputs - o), y, base + k, area)


@jit
def _multiply(vectors, v, iv, deep, count, u, iu, channels, m, im):
    """m[tile] = v[tile] @ u for a strip of so many vectors."""
    wide, height = vectors * lanes_of(v), HEIGHTS[vectors - 1]
    for t in range(0, count, height):
        if vectors == VECTORS:
            _product(v, iv + t * deep, deep, count - t, u, iu, channels, m, im + t * wide)
        elif vectors == 1:
            _product_1(v, iv + t * deep, deep, count - t, u, iu, channels, m, im + t * wide)
        elif vectors == 2:
            _product_2(v, iv + t * deep, deep, count - t, u, iu, channels, m, im + t * wide)
        else:
            _product_3(v, iv + t * deep, deep, count - t, u, iu, channels, m, im + t * wide)


def _product_of(vectors):
    rows = HEIGHTS[vectors - 1]

    @intrinsic
    def product(typingctx, v, iv, row, count, u, iu, depth, m, im):
        """m[im + (r, j)] = the sum over k of v[iv + r * row + k] * u[iu + (k, j)], for `vectors` vectors of j.

        Rows from `count` on are the last one again.
        """

        def codegen(context, builder, signature, arguments):
            v, iv, row, count, u, iu, depth, m, im = data(context, builder, signature, arguments)
            vector = vector_of(signature.args[0])
            lines, last = [], builder.sub(count, integer(1))
            for r in range(rows):
                r = builder.select(builder.icmp_signed("<", integer(r), count), integer(r), last)
                lines.append(builder.gep(v, [builder.add(iv, builder.mul(r, row))]))
            strip = builder.gep(u, [iu])

            def body(k, sums):
                line = builder.gep(strip, [builder.mul(k, integer(vectors * vector.count))])
                right = [load(builder, builder.gep(line, [integer(j * vector.count)]), vector) for j in range(vectors)]
                result = []
                for r in range(rows):
                    left = splat(builder, builder.load(builder.gep(lines[r], [k])), vector)
                    result += [fma(builder, left, right[j], sums[r * vectors + j]) for j in range(vectors)]
                return result

            zero = ir.Constant(vector, [0.0] * vector.count)
            keep(builder, loop(builder, depth, 1, body, [zero] * (rows * vectors)), builder.gep(m, [im]))
            return context.get_dummy_value()

        n = types.int64
        return types.void(v, n, n, n, u, n, n, m, n), codegen

    return product


_product_1, _product_2, _product_3, _product = [_product_of(min(v, VECTORS)) for v in (1, 2, 3, 4)]


def _matrices(tile):
    """A^T, G and B^T for the points and infinity (Toom and Cook's scheme), as fractions."""
    points, size = [Fraction(p) for p in POINTS[tile]], tile + 2
    others = [[q for q in points if q != p] for p in points]
    scales = [prod(p - q for q in rest) for p, rest in zip(points, others)]
    at = [[p**i for p in points] + [Fraction(i == tile - 1)] for i in range(tile)]
    g = [[p**i / scale for i in range(3)] for p, scale in zip(points, scales)] + [[Fraction(i == 2) for i in range(3)]]
    bt = []
    for roots in [*others, points]:
        polynomial = [Fraction(1)]
        for root in roots:
            polynomial = [a - root * b for a, b in zip([Fraction(0), *polynomial], [*polynomial, Fraction(0)])]
        bt.append(polynomial + [Fraction(0)] * (size - len(polynomial)))
    return at, g, bt


def _transform_of(matrix, biased=False):
    """The intrinsic for matrix @ source @ matrix^T."""
    columns = len(matrix[0])

    def codegen(context, builder, signature, arguments):
        source, i, source_row, source_step, target, j, row, step, *more = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        start = load(builder, builder.gep(*more[:1], more[1:]), vector) if biased else None

        def address(array, first, row, step, r, c):
            place = builder.add(builder.mul(row, integer(r)), builder.mul(step, integer(c)))
            return builder.gep(array, [builder.add(first, place)])

        half = []  # matrix @ source, column after column
        for c in range(columns):
            column = [load(builder, address(source, i, source_row, source_step, r, c), vector) for r in range(columns)]
            half.append([_combined(builder, factors, column) for factors in matrix])
        for r in range(len(matrix)):
            row_of_half = [column[r] for column in half]
            for c, factors in enumerate(matrix):
                keep(builder, [_combined(builder, factors, row_of_half, start)], address(target, j, row, step, r, c))
        return context.get_dummy_value()

    n = types.int64
    if biased:
        @intrinsic
        def transform(typingctx, source, i, source_row, source_step, target, j, row, step, start, k):
            return types.void(source, n, n, n, target, n, n, n, start, n), codegen
    else:
        @intrinsic
        def transform(typingctx, source, i, source_row, source_step, target, j, row, step):
            return types.void(source, n, n, n, target, n, n, n), codegen
    return transform


def _combined(builder, factors, vectors, total=None):
    """The sum of factor * vector, and `total`."""
    for factor, value in sorted(zip(map(float, factors), vectors), key=lambda pair: pair[0] != 1):
        if factor == 0:
            continue
        constant = ir.Constant(value.type, [factor] * value.type.count)
        if total is None:
            total = value if factor == 1 else builder.fmul(value, constant)
        elif factor in (1, -1):
            total = (builder.fadd if factor == 1 else builder.fsub)(total, value)
        else:
            total = fma(builder, value, constant, total)
    return total


(_at_2, _g_2, _bt_2), (_at_4, _g_4, _bt_4) = _matrices(2), _matrices(4)
_outputs_2, _outputs_4 = _transform_of(_at_2, True), _transform_of(_at_4, True)
_weights_2, _weights_4, _tile_2, _tile_4 = map(_transform_of, (_g_2, _g_4, _bt_2, _bt_4))


@intrinsic
def _copy(typingctx, source, i, target, j):
    """One vector."""

    def codegen(context, builder, signature, arguments):
        source, i, target, j = data(context, builder, signature, arguments)
        keep(builder, [load(builder, builder.gep(source, [i]), vector_of(signature.args[0]))], builder.gep(target, [j]))
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64), codegen


@jit
def _aligned(buffer):
    """`buffer` from the first place on where a vector register may begin."""
    skip = -(buffer.ctypes.data // buffer.itemsize) % lanes_of(buffer)
    return buffer[skip:]
