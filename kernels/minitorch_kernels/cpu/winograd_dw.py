"""The weight gradient of 3x3 convolutions with stride 1 by Winograd's method, with winograd.py's matrices.

y = A^T [G w G^T * B^T x B] A is linear in w, so dw = G^T [sum over tiles of A dy A^T * B^T x B] G: tiles of
dy have tile^2 numbers, those of x (tile + 2)^2, and each of the (tile + 2)^2 places is a matrix product
(channels, tiles) @ (tiles, outputs), with 2.25 (tile 2) or 4 (tile 4) times fewer multiplications than the
direct sum. A block of tiles is transformed in the L2 cache and added to the sums of its range of images; each
range is transformed back once, and the ranges are added in order.

Error. With `terms` = tiles of a block + blocks of a range + ranges, each weight differs from the exact one by
at most

    (terms + ROUNDINGS) * eps / 2 * |G^T| [sum over tiles of |A| |dy| |A^T| * |B^T| |x| |B|] |G|

to first order; measured errors are 0.0002 to 0.02 of that. Where all numbers of dy and of x have one size,
the sum is 9 (tile 2) and 50 (tile 4) times that of the direct sum's bound, which has tile^2 as many terms.
Measured on normal numbers in float32, the root mean square is 0.4 to 2 (tile 2) and 0.8 to 4.2 (tile 4) times
that of the direct kernel, and 0.08 to 0.6 times that of PyTorch 2.13. NaN and infinity in dy or in x spread
to all nine weights of their channel. Finite numbers give finite ones while 4 |x|, 4 |dy| and 36 |dy| |x|
summed over tiles are below overflow (tile 4: 28, 66, 810).

Speed on one core with AVX-512 (197 GFLOP/s), float32, in GFLOP/s that a direct sum would need:

    N, C, H, O, padding      tile 2  tile 4  direct  PyTorch 2.13
    100, 64, 30, 128, 0         270     390     160     144
    64, 16, 32, 16, 1           145     190     115     105
    64, 32, 16, 32, 1           220     310     116     149
    64, 64, 8, 64, 1            234     385     162     158
    64, 64, 16, 64, 1           265     370     160     156
    32, 128, 28, 128, 1         275     352     163     162
    32, 256, 14, 256, 1         230     282     157

float64 is half as fast. The method loses with few channels (3, 8), and with few tiles for many weights: see
`worth_dw`.
"""
from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import memory
from . import planes, vector
from .jit import jit
from .tasks import borrow, give_back, task
from .vector import (
    MANY,
    data,
    fma,
    integer,
    keep,
    lanes_of,
    load,
    loop,
    prefetch,
    splat,
    turn,
    vector_of,
)
from .winograd import FAR, GAIN, NEAR, VECTORS, _flat, _read, _transform_of, _turn, matrices

ROUNDINGS = {2: 13, 4: 24}  # on the longest way from x or dy to dw, apart from the sums over tiles
HEIGHTS = (16, 8, 8, 6) if MANY else (8, 6)  # channels that meet a strip of 1, 2, ... vectors at once
RANGES = 8  # sums at most
LONG = 128  # tiles of a range, at least
# times in multiplications of a vector: a vector's transforms, adding one to the sums, a line beyond NEAR
IMAGES, WEIGHTS, SUM, SPILL = {2: 300, 4: 860}, {2: 570, 4: 1060}, 4, 19


def conv2d_dw(dy, x, w_shape, padding, tile):
    """dw (O, C, 3, 3), from dy (N, O, H', W') and x (N, C, H, W), by tiles of 2 or 4 squared of dy."""
    if not dy.size or not x.size:
        return np.zeros(w_shape, dy.dtype)
    plan = _plan(x.shape, dy.shape, padding, tile, x.dtype.char)
    sums = memory.empty((plan.ranges, *w_shape), x.dtype)
    room, rooms = planes.rooms(plan.size, x.dtype)
    _sum_part(plan.ranges, plan.work, plan.numbers, _flat(dy), _flat(x), sums.reshape(-1), room, rooms)
    return sums[0] if plan.ranges == 1 else sums.sum(0)


def conv2d_dw_of_table(dy, x, w_shape, stride, padding, dilation, groups):
    """`conv2d_dw` by the kernel's arguments, with the tile that is worth it."""
    return conv2d_dw(dy, x, tuple(w_shape), padding, worth_dw(x.shape, tuple(w_shape), padding, x.dtype.char))


@lru_cache(1024)
def worth_dw(x_shape, w_shape, padding, letter):
    """Which is fastest by what it costs to multiply and to transform: the direct sum (0), or tiles of 2 or 4.

    >>> worth_dw((64, 64, 16, 16), (64, 64, 3, 3), (1, 1), "f")
    4
    """
    (batch, channels, *size), outputs = x_shape, w_shape[0]
    out = [n + 2 * p - 2 for n, p in zip(size, padding)]
    if min(*x_shape, outputs, *out) < 1:
        return 0
    lane, bytes_of_one = vector.lanes(letter), np.dtype(letter).itemsize
    vectors = planes.up(channels, lane) // lane + planes.up(outputs, lane) // lane
    costs = {0: (11 * channels * outputs / lane + 2.7 * (channels + outputs)) * batch * prod(out) / GAIN}
    for tile in (2, 4):
        across, places = -(-out[1] // tile), (tile + 2) ** 2
        if across * places * vectors * lane * bytes_of_one <= FAR:
            plan = _plan(x_shape, (batch, outputs, *out), padding, tile, letter)
            pairs, tiles = channels * planes.up(outputs, lane) // lane, batch * -(-out[0] // tile) * across
            costs[tile] = tiles * (places * pairs + IMAGES[tile] * vectors)
            beyond = max(0, places * pairs * lane * bytes_of_one - NEAR) / memory.LINE
            sums = plan.blocks * (SUM * places * pairs + SPILL * beyond)
            costs[tile] += plan.ranges * (WEIGHTS[tile] * pairs + sums)
    return min(costs, key=costs.get)


class _Plan(NamedTuple):
    numbers: np.ndarray  # what the task needs
    ranges: int
    blocks: int  # of a range, at most
    work: int
    size: int  # numbers that a range has in memory


@lru_cache(256)
def _plan(x_shape, y_shape, padding, tile, letter):
    (batch, channels, *size), (_, outputs, *out) = x_shape, y_shape
    lane, bytes_of_one, places = vector.lanes(letter), np.dtype(letter).itemsize, (tile + 2) ** 2
    deep, whole, spare = planes.up(channels, lane), planes.up(outputs, lane), planes.up(max(HEIGHTS), lane)
    down, across = (-(-n // tile) for n in out)
    lines, sums = batch * down, places * (channels + spare) * whole
    ranges = 1 << min(RANGES, max(1, lines * across // LONG), lines).bit_length() - 1
    longest = -(-lines // ranges)
    cache = min(max(NEAR, sums * bytes_of_one) // 2, FAR)
    most = max(1, min(longest, cache // (places * (deep + whole) * bytes_of_one * across)))
    tall, wide = min(most, down) * tile, across * tile
    # a vector more for each plane: the product reads channels in whole tiles, and planes 4096 bytes apart
    # would share few lines of a cache
    x_plane, dy_plane = most * across * deep + spare, most * across * whole + spare
    ends = accumulate([places * x_plane, places * dy_plane, sums, (tall + 2) * (wide + 2) * lane,
                       ((tall + 2) * size[1] + lane) * lane, tile * wide * lane, 9 * lane])
    shapes = tile, batch, channels, *size, outputs, *out, *padding
    numbers = np.array([*shapes, most, ranges, x_plane, dy_plane, *ends], np.int64)
    work = 2 * places * lines * across * channels * outputs
    return _Plan(numbers, ranges, -(-longest // most), work, int(numbers[-1]))


@task
def _sum_part(part, numbers, dy, x, sums, room, rooms):
    """dw summed over a range of rows of tiles, which are counted through all images."""
    tile, batch, channels, outputs = numbers[0], numbers[1], numbers[2], numbers[5]
    out_h, out_w, most, ranges = numbers[6], numbers[7], numbers[10], numbers[11]
    v_plane, d_plane = numbers[12], numbers[13]
    lane, places, mine = lanes_of(x), (tile + 2) * (tile + 2), borrow(rooms)
    own = room[mine * numbers[20]:(mine + 1) * numbers[20]]
    v, d, m, patch, flat, patch_dy, taps = (
        own[:numbers[14]], own[numbers[14]:numbers[15]], own[numbers[15]:numbers[16]],
        own[numbers[16]:numbers[17]], own[numbers[17]:numbers[18]], own[numbers[18]:numbers[19]],
        own[numbers[19]:])
    deep, whole = (channels + lane - 1) // lane * lane, (outputs + lane - 1) // lane * lane
    down, across = (out_h + tile - 1) // tile, (out_w + tile - 1) // tile
    m[:], flat[:], patch_dy[:] = 0, 0, 0
    known = (-1, -1)
    line, stop = batch * down * part // ranges, batch * down * (part + 1) // ranges
    blocks = (stop - line + most - 1) // most
    for block in range(blocks, 0, -1):
        first, last = line, line + (stop - line) // block
        while line < last:
            end = min(last, (line // down + 1) * down)
            if known != (line % down, end - line):
                patch[:] = 0
                known = (line % down, end - line)
            image, top, tiles = line // down, line % down, (line - first) * across
            _read(numbers, x, image, top, end - line, flat, patch, v[tiles * deep:], deep, v_plane)
            _read_dy(numbers, dy, image, top, end - line, patch_dy, d[tiles * whole:], whole, d_plane)
            line = end
        _multiply(places, (last - first) * across, v, channels, deep, v_plane, d, whole, d_plane, m)
    _write(numbers, m, whole, taps, sums[part * 9 * channels * outputs:])
    give_back(rooms, mine)


@jit
def _read_dy(numbers, dy, image, first, rows, patch, d, whole, plane):
    """d[place, tile, output] = A dy A^T for `rows` rows of tiles of an image."""
    tile, outputs, out_h, out_w = numbers[0], numbers[5], numbers[6], numbers[7]
    lane, across = lanes_of(d), (out_w + tile - 1) // tile
    pitch, area = across * tile * lane, out_h * out_w
    for o in range(0, outputs, lane):
        for i in range(rows):
            top = (first + i) * tile
            lines, length = min(tile, out_h - top), out_w
            patch[lines * pitch:] = 0
            if across * tile == out_w:
                lines, length = 1, lines * out_w
            for r in range(lines):
                for j in range(0, length, lane):
                    source = (image * outputs + o) * area + (top + r) * out_w + j
                    _turn(dy, source, area, min(lane, outputs - o), min(lane, length - j), patch,
                          r * pitch + j * lane, lane)
            for j in range(across):
                source, target = j * tile * lane, (i * across + j) * whole + o
                if tile == 2:
                    _tile_2(patch, source, pitch, lane, d, target, 4 * plane, plane)
                else:
                    _tile_4(patch, source, pitch, lane, d, target, 6 * plane, plane)


@jit
def _multiply(places, tiles, v, channels, deep, v_plane, d, whole, d_plane, m):
    """m[strip, place, channel, output] += sum over tiles of v[place, tile, channel] * d[place, tile, output]."""
    lane = lanes_of(m)
    for p in range(places):
        to = 0
        for strip in range(0, whole, VECTORS * lane):
            vectors = min(VECTORS, (whole - strip) // lane)
            height, wide, j = HEIGHTS[vectors - 1], vectors * lane, p * d_plane + strip
            high = (channels + height - 1) // height * height
            for c in range(0, channels, height):
                i, k = p * v_plane + c, to + (p * high + c) * wide
                if vectors == VECTORS:
                    _product(v, i, deep, d, j, whole, tiles, m, k)
                elif vectors == 1:
                    _product_1(v, i, deep, d, j, whole, tiles, m, k)
                elif vectors == 2:
                    _product_2(v, i, deep, d, j, whole, tiles, m, k)
                else:
                    _product_3(v, i, deep, d, j, whole, tiles, m, k)
            to += places * high * wide


@jit
def _write(numbers, m, whole, taps, dw):
    """dw[output, channel] = G^T m G."""
    tile, channels, outputs = numbers[0], numbers[2], numbers[5]
    lane, to, places = lanes_of(m), 0, (tile + 2) * (tile + 2)
    for strip in range(0, whole, VECTORS * lane):
        vectors = min(VECTORS, (whole - strip) // lane)
        height, wide = HEIGHTS[vectors - 1], vectors * lane
        plane = (channels + height - 1) // height * height * wide
        for c in range(channels):
            for o in range(strip, min(strip + wide, outputs), lane):
                source = to + c * wide + o - strip
                if tile == 2:
                    _weights_2(m, source, 4 * plane, plane, taps, 0, 3 * lane, lane)
                else:
                    _weights_4(m, source, 6 * plane, plane, taps, 0, 3 * lane, lane)
                for k in range(0, 9, lane):
                    turn(taps, k * lane, lane, min(lane, 9 - k), min(lane, outputs - o), dw,
                         (o * channels + c) * 9 + k, 9 * channels)
        to += places * plane


def _product_of(vectors):
    """The intrinsic for a strip of so many vectors."""
    rows = HEIGHTS[vectors - 1]

    @intrinsic
    def product(typingctx, v, i, v_row, d, j, d_row, count, m, k):
        """m[k + (r, s)] += the sum over t below count of v[i + t * v_row + r] * d[j + t * d_row + s].

        Meanwhile what follows in m is brought near: it is needed next.
        """

        def codegen(context, builder, signature, arguments):
            v, i, v_row, d, j, d_row, count, m, k = data(context, builder, signature, arguments)
            vector = vector_of(signature.args[0])
            steps = [integer(s * vector.count) for s in range(rows * vectors)]
            target = builder.gep(m, [k])
            following = builder.gep(target, [integer(len(steps) * vector.count)])

            def body(t, sums):
                left = builder.gep(v, [builder.add(i, builder.mul(t, v_row))])
                line = builder.gep(d, [builder.add(j, builder.mul(t, d_row))])
                right = [load(builder, builder.gep(line, [step]), vector) for step in steps[:vectors]]
                if vectors == VECTORS:
                    prefetch(builder, builder.gep(following, [builder.mul(t, steps[1])]))
                result = []
                for r in range(rows):
                    one = splat(builder, builder.load(builder.gep(left, [integer(r)])), vector)
                    result += [fma(builder, one, right[s], sums[r * vectors + s]) for s in range(vectors)]
                return result

            zero = ir.Constant(vector, [0.0] * vector.count)
            total = loop(builder, count, 1, body, [zero] * len(steps))
            before = [load(builder, builder.gep(target, [step]), vector) for step in steps]
            keep(builder, [builder.fadd(a, b) for a, b in zip(before, total)], target)
            return context.get_dummy_value()

        n = types.int64
        return types.void(v, n, n, d, n, n, n, m, n), codegen

    return product


_product_1, _product_2, _product_3, _product = [_product_of(min(v, VECTORS)) for v in (1, 2, 3, 4)]
(_a_2, _g_2, _), (_a_4, _g_4, _) = matrices(2), matrices(4)
_tile_2, _tile_4, _weights_2, _weights_4 = [_transform_of(list(zip(*m))) for m in (_a_2, _a_4, _g_2, _g_4)]
