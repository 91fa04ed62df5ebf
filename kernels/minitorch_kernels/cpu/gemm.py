"""The inner loops of matrix product and convolution: tiles of outputs held in vector registers.

`product` computes y[row, place] = bias[row] + sum over k of a[row, k] * x[offset[k] + place]. Where x is a
matrix, offset[k] is the start of its row k; where x is a stack of padded images, offset[k] is what one
channel and one place in the window add to an address, so that a convolution is a product without im2col's
copies (as in oneDNN's direct kernels; Georganas et al., 2018). A tile is ROWS rows by VECTORS vectors of
places: so many sums at once hide the latency of multiply-add, and each number loaded serves several of them.
`dots` is the product for sums over places instead.

LLVM vectorises no such tile by itself, so intrinsics write it out; they and the kernels that they are
compiled into share a file because Numba's cache asks only whether the kernel's file has changed. Arrays are
flat and contiguous.
"""
from __future__ import annotations

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import memory
from .jit import jit

_features = llvmlite.binding.get_host_cpu_features()
REGISTER = 64 if _features.get("avx512f") else 32 if _features.get("avx") else 16  # bytes
_MANY = REGISTER == 64 or not _features.get("sse2")  # AVX-512 and NEON have 32 registers, SSE and AVX 16
ROWS, VECTORS = (8 if _MANY else 4), 3
THIN = 8  # vectors of a tile with one row
LEFT, RIGHT = (4 if _MANY else 2), 6  # the tile of `dots`


def lanes(dtype: np.dtype | str) -> int:
    """How many numbers a vector register holds."""
    return REGISTER // np.dtype(dtype).itemsize


def empty(count: int, dtype: np.dtype) -> np.ndarray:
    """Flat memory that begins where a vector register may: a load across two cache lines costs two."""
    buffer = memory.empty((count + lanes(dtype),), dtype)
    skip = -buffer.ctypes.data % REGISTER // buffer.itemsize
    return buffer[skip:skip + count]


@jit
def product(a, bias, g0, g1, rows, depth, block0, block1, x, x_group, offset, places, vectors, first, pieces,
            simple, together, y, y0, y_row, y_step, thin):
    """For groups g0 to g1, and blocks of rows block0 to block1: y at the places of `vectors` vectors.

    a: packed by `pack_rows`, and bias filled up to whole blocks. places[v]: the address of vector v in the x
    of its group; those lie x_group apart, g0's first. The vector's outputs go to y in pieces: pieces[p], for p
    from first[v] below first[v + 1], is (lane, number of lanes, address after y0); y_row and y_step lie between
    rows and lanes in y. simple: each vector has one piece, which begins with its first lane. `together` vectors
    are finished for all rows before the next ones, so that their x stays in the L2 cache. thin: blocks are
    single rows.
    """
    lane, height, wide = _lanes(y), (1 if thin else ROWS), (THIN if thin else VECTORS)
    blocks = -(-rows // height)
    out = np.empty((max(ROWS * VECTORS, THIN) + 1) * lane, y.dtype)
    for g in range(g0, g1):
        own = x[(g - g0) * x_group:]
        for v0 in range(0, vectors, together):
            for block in range(block0, block1):
                at, count = g * blocks + block, min(height, rows - block * height)
                left, b = at * height * depth, at * height
                to = y0 + (g * rows + block * height) * y_row
                for v in range(v0, min(v0 + together, vectors), wide):
                    if thin:
                        _thin_tile(a, left, own, places, v, offset, depth, bias, b, pieces, 0, out, 0, 0)
                    elif simple and count == ROWS and y_step == 1:
                        _direct_tile(a, left, own, places, v, offset, depth, bias, b, pieces, v, y, to, y_row)
                        continue
                    else:
                        _tile(a, left, own, places, v, offset, depth, bias, b, pieces, 0, out, 0, 0)
                    for u in range(min(wide, vectors - v)):
                        for p in range(first[v + u], first[v + u + 1]):
                            source, number = pieces[3 * p] + u * lane, pieces[3 * p + 1]
                            for r in range(count):
                                target = pieces[3 * p + 2] + to + r * y_row
                                _put(out, r * wide * lane + source, y, target, y_step, number)


@jit
def _put(source, i, target, j, step, count):
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
    tile = np.empty(LEFT * RIGHT + _lanes(out), out.dtype)
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
            to = (g * blocks + block) * depth * height
            for r in range(height):
                i = block * height + r
                if i < rows:
                    for k in range(depth):
                        out[to + k * height + r] = w[g * group + i * row + column[k]]
                else:
                    for k in range(depth):
                        out[to + k * height + r] = 0


@jit
def spread(x, channels, height, width, c0, c1, n0, n1, step, remainders_h, remainders_w, pad, plane, length,
           out):
    """out[channel, phase, image, i, j] = x[image, channel, i * step + remainder - pad, ...], zero outside x.

    See planes.py. Each row is written in whole vectors; what they write beyond it, the next row overwrites.
    """
    lane, to = _lanes(out), 0
    for channel in range(c0, c1):
        for rh in remainders_h:
            top, bottom = _inside(height, step[0], rh - pad[0], plane[0])
            for rw in remainders_w:
                left, right = _inside(width, step[1], rw - pad[1], plane[1])
                target = to
                for image in range(n0, n1):
                    line = (image * channels + channel) * height + rh - pad[0]
                    for i in range(plane[0]):
                        source = (line + i * step[0]) * width + rw - pad[1]
                        last = right if top <= i < bottom else 0
                        if step[1] == 1:
                            for j in range(0, plane[1], lane):
                                _window(x, source + j, left - j, last - j, out, target + j)
                        elif step[1] == 2:
                            for j in range(0, plane[1], lane):
                                _window_of_2(x, source + 2 * j, left - j, last - j, out, target + j)
                        else:  # number by number, each with zeros behind it
                            for j in range(plane[1]):
                                _window(x, source + j * step[1], left - j, min(1, last - j), out, target + j)
                        target += plane[1]
                to += length
                for k in range(target, to):
                    out[k] = 0
    for k in range(to, len(out)):
        out[k] = 0


@jit
def _inside(size, step, shift, count):
    """The range of i below `count` for which i * step + shift is a place in x."""
    first = min(max(0, -(shift // step)), count)
    return first, max(first, min(count, (size - 1 - shift) // step + 1))


@intrinsic
def _lanes(typingctx, array):
    """How many of the array's numbers a register holds, known to the compiler."""

    def codegen(context, builder, signature, arguments):
        return _int(_vector(signature.args[0]).count)

    return types.int64(array), codegen


def _tile_of(rows, vectors, direct):
    """The intrinsic for a tile of so many rows by so many vectors, written to y at once or to a buffer."""

    @intrinsic
    def tile(typingctx, a, ia, x, places, v, offset, k, bias, ib, pieces, p, y, y0, y_row):
        """tile[row, i] = bias[ib + row] + sum of a[ia + k * rows + row] * x[places[v + i] + offset[k] + lane].

        direct: piece p + i tells how many lanes of vector i go where in y; else the tile is y.
        """

        def codegen(context, builder, signature, arguments):
            a, ia, x, places, v, offset, k, bias, ib, pieces, p, y, y0, y_row = _data(
                context, builder, signature, arguments)
            vector = _vector(signature.args[0])
            bases = [builder.gep(x, [_get(builder, places, v, i)]) for i in range(vectors)]
            begin = [_splat(builder, _get(builder, bias, ib, r), vector) for r in range(rows)]
            start = builder.gep(a, [ia])

            def body(i, sums):
                shift, column = _get(builder, offset, i), builder.gep(start, [builder.mul(i, _int(rows))])
                right = [_load(builder, builder.gep(base, [shift]), vector) for base in bases]
                result = []
                for r in range(rows):
                    left = _splat(builder, _get(builder, column, _int(r)), vector)
                    result += [_fma(builder, left, right[j], sums[r * vectors + j]) for j in range(vectors)]
                return result

            sums = _loop(builder, k, 1, body, [s for s in begin for _ in range(vectors)])
            if not direct:
                _keep(builder, sums, y)
                return context.get_dummy_value()
            for i in range(vectors):
                piece = builder.mul(_add(builder, p, i), _int(3))
                mask = _below(builder, _get(builder, pieces, piece, 1), vector)
                place = builder.add(y0, _get(builder, pieces, piece, 2))
                for r in range(rows):
                    _masked_store(builder, sums[r * vectors + i], builder.gep(y, [place]), mask)
                    place = builder.add(place, y_row)
            return context.get_dummy_value()

        n = types.int64
        return types.void(a, n, x, places, n, offset, n, bias, n, pieces, n, y, n, n), codegen

    return tile


_tile, _direct_tile = _tile_of(ROWS, VECTORS, False), _tile_of(ROWS, VECTORS, True)
_thin_tile = _tile_of(1, THIN, False)


@intrinsic
def _dots(typingctx, a, lines, il, x, columns, ic, start, count, out):
    """out[i, j] = the sum of a[lines[il + i] + place] * x[columns[ic + j] + place], `count` places from `start`."""

    def codegen(context, builder, signature, arguments):
        a, lines, il, x, columns, ic, start, count, out = _data(context, builder, signature, arguments)
        vector = _vector(signature.args[0])

        def pointers(base, table, index, number):
            starts = [builder.add(_get(builder, table, index, i), start) for i in range(number)]
            return [builder.gep(base, [s]) for s in starts]

        left, right = pointers(a, lines, il, LEFT), pointers(x, columns, ic, RIGHT)

        def body(i, sums):
            dy = [_load(builder, builder.gep(p, [i]), vector) for p in left]
            result = list(sums)
            for j, p in enumerate(right):
                value = _load(builder, builder.gep(p, [i]), vector)
                for r in range(LEFT):
                    result[r * RIGHT + j] = _fma(builder, dy[r], value, sums[r * RIGHT + j])
            return result

        zero = ir.Constant(vector, [0.0] * vector.count)
        sums = _loop(builder, count, vector.count, body, [zero] * (LEFT * RIGHT))
        _keep(builder, _totals(builder, sums), out)
        return context.get_dummy_value()

    n = types.int64
    return types.void(a, lines, n, x, columns, n, n, n, out), codegen


def _move_of(step):
    """The intrinsic that copies a vector to numbers that lie 1 or 2 apart."""

    @intrinsic
    def move(typingctx, source, i, target, j, count):
        """target[j + n * step] = source[i + n] for each n below `count`, at most one vector."""

        def codegen(context, builder, signature, arguments):
            source, i, target, j, count = _data(context, builder, signature, arguments)
            vector, place = _vector(signature.args[0]), builder.gep(target, [j])
            mask = _below(builder, count, vector)
            value = _masked_load(builder, builder.gep(source, [i]), mask, vector)
            if step == 1:
                _masked_store(builder, value, place, mask)
                return context.get_dummy_value()
            bits = ir.VectorType(ir.IntType(1), vector.count)
            even = ir.Constant(bits, [n % 2 == 0 for n in range(vector.count)])
            for half in (0, vector.count // 2):
                spaced = _shuffle(builder, value, value, [half + n // 2 for n in range(vector.count)])
                mask = _below(builder, builder.mul(_add(builder, count, -half), _int(2)), vector)
                _masked_store(builder, spaced, builder.gep(place, [_int(2 * half)]), builder.and_(mask, even))
            return context.get_dummy_value()

        return types.void(source, types.int64, target, types.int64, types.int64), codegen

    return move


def _window_of(step):
    """The intrinsic that reads a vector of numbers that lie 1 or 2 apart, with zeros outside a window."""

    @intrinsic
    def window(typingctx, source, i, first, last, target, j):
        """target[j + n] = source[i + n * step] for first <= n < last, and zero for the other lanes."""

        def codegen(context, builder, signature, arguments):
            source, i, first, last, target, j = _data(context, builder, signature, arguments)
            vector, start = _vector(signature.args[0]), builder.gep(source, [i])
            if step == 1:
                mask = _from_below(builder, first, last, vector)
                value = _masked_load(builder, start, mask, vector)
            else:  # two vectors, without the number after the last one, which may lie beyond the array
                first, last = builder.mul(first, _int(2)), _add(builder, builder.mul(last, _int(2)), -1)
                halves = []
                for half in (0, vector.count):
                    begin, end = _add(builder, first, -half), _add(builder, last, -half)
                    mask = _from_below(builder, begin, end, vector)
                    halves.append(_masked_load(builder, builder.gep(start, [_int(half)]), mask, vector))
                value = _shuffle(builder, *halves, [2 * n for n in range(vector.count)])
            _keep(builder, [value], builder.gep(target, [j]))
            return context.get_dummy_value()

        n = types.int64
        return types.void(source, n, n, n, target, n), codegen

    return window


_move, _move_to_2 = _move_of(1), _move_of(2)
_window, _window_of_2 = _window_of(1), _window_of(2)


# What the intrinsics are built of


def _data(context, builder, signature, arguments):
    """The arguments, with a pointer to its numbers for each array."""
    return [context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, arguments)]


def _vector(array):
    """LLVM's type of a register full of the numbers of Numba's type `array`."""
    size = array.dtype.bitwidth // 8
    return ir.VectorType(ir.FloatType() if size == 4 else ir.DoubleType(), REGISTER // size)


def _size(vector):
    return 4 if vector.element == ir.FloatType() else 8


def _int(number):
    return ir.Constant(ir.IntType(64), number)


def _add(builder, value, number):
    return builder.add(value, _int(number))


def _get(builder, pointer, index, more=0):
    return builder.load(builder.gep(pointer, [_add(builder, index, more)]))


def _load(builder, pointer, vector):
    load = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    load.align = _size(vector)
    return load


def _keep(builder, vectors, pointer):
    """Store vectors one after the other."""
    for i, value in enumerate(vectors):
        place = builder.gep(pointer, [_int(i * value.type.count)])
        builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=_size(value.type))


def _splat(builder, scalar, vector):
    nothing = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
    return _shuffle(builder, single, nothing, [0] * vector.count)


def _shuffle(builder, a, b, order):
    """The lanes of a and, counted on, of b, in this order."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order))


def _fma(builder, a, b, c):
    return _call(builder, "fmuladd", a.type, a.type, a, b, c)  # two instructions on a CPU without a fused one


def _below(builder, last, vector):
    """The lanes below `last`."""
    kind = ir.VectorType(ir.IntType(32), vector.count)
    limit = _splat(builder, builder.trunc(last, ir.IntType(32)), kind)
    return builder.icmp_signed("<", ir.Constant(kind, list(range(vector.count))), limit)


def _from_below(builder, first, last, vector):
    """The lanes from `first` on and below `last`."""
    return builder.and_(builder.not_(_below(builder, first, vector)), _below(builder, last, vector))


def _masked_load(builder, pointer, mask, vector):
    pointer, align = builder.bitcast(pointer, vector.as_pointer()), ir.Constant(ir.IntType(32), _size(vector))
    zeros = ir.Constant(vector, [0.0] * vector.count)
    return _call(builder, "masked.load", vector, vector, pointer, align, mask, zeros)


def _masked_store(builder, value, pointer, mask):
    vector = value.type
    pointer, align = builder.bitcast(pointer, vector.as_pointer()), ir.Constant(ir.IntType(32), _size(vector))
    _call(builder, "masked.store", vector, ir.VoidType(), value, pointer, align, mask)


def _call(builder, name, vector, result, *arguments):
    """A call of LLVM's intrinsic `name` for vectors of this kind."""
    name = f"llvm.{name}.v{vector.count}f{8 * _size(vector)}" + ".p0" * name.startswith("masked")
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(result, [x.type for x in arguments]), name)
    return builder.call(function, arguments)


def _totals(builder, vectors):
    """The sum of each vector's lanes, as lanes of new vectors: two are folded at once, then two of those."""
    count, results = vectors[0].type.count, []
    for start in range(0, len(vectors), count):
        level, segment = vectors[start:start + count], count
        while segment > 1:
            segment //= 2
            low = [i for i in range(2 * count) if i // segment % 2 == 0]  # first halves of both's segments
            high = [i + segment for i in low]
            pairs = [(level[i], level[min(i + 1, len(level) - 1)]) for i in range(0, len(level), 2)]
            level = [builder.fadd(_shuffle(builder, a, b, low), _shuffle(builder, a, b, high))
                     for a, b in pairs]
        results += level
    return results


def _loop(builder, count, step, body, values):
    """`values = body(i, values)` for i from 0 below `count`; gives the last values."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(count.type)
    phis = [builder.phi(v.type) for v in values]
    builder.cbranch(builder.icmp_signed("<", i, count), inside, after)
    builder.position_at_end(inside)
    result, following = body(i, phis), _add(builder, i, step)
    end = builder.block
    builder.branch(head)
    for phi, first, last in zip([i, *phis], [_int(0), *values], [following, *result]):
        phi.add_incoming(first, before)
        phi.add_incoming(last, end)
    builder.position_at_end(after)
    return phis
