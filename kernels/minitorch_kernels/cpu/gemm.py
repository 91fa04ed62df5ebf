"""The inner loops of matrix product and convolution: tiles of outputs held in vector registers.

`product` computes y[row, place] = bias[row] + sum over k of a[row, k] * x[offset[k] + place]. Where x is a matrix,
offset[k] is the start of its row k; where x is a stack of padded images, offset[k] is what one channel and one place in the
window add to an address, so that a convolution is a product without im2col's copies (as in oneDNN's direct
kernels; Georganas et al., 2018). A tile is ROWS rows by VECTORS vectors of places: so many accumulators hide the
latency of multiply-add, and each value loaded serves several of them.

LLVM vectorises no such tile by itself: two intrinsics write it out. All arrays are flat and contiguous.
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
_MANY = REGISTER != 32  # AVX has 16 registers; AVX-512 and NEON have 32
ROWS, VECTORS = (8 if _MANY else 4), 3
THIN = 8  # vectors of a tile with one row
LEFT, RIGHT = (4 if _MANY else 2), 6  # the tile of `dots`


def lanes(dtype: np.dtype) -> int:
    """How many numbers a vector register holds."""
    return REGISTER // np.dtype(dtype).itemsize


def empty(count: int, dtype: np.dtype) -> np.ndarray:
    """Flat memory that begins where a vector register may: a load across two cache lines costs two."""
    buffer = memory.empty((count + lanes(dtype),), dtype)
    skip = -buffer.ctypes.data % REGISTER // buffer.itemsize
    return buffer[skip:skip + count]


def _tile_of(rows, vectors):
    """The intrinsic for a tile of so many rows by so many vectors."""

    @intrinsic
    def tile(typingctx, a, ia, x, places, ip, offset, k, bias, ib, out):
        """out[row, v, lane] = bias[ib + row] + sum over k of a[ia + k * rows + row] * x[places[ip + v] + offset[k] + lane]."""

        def codegen(context, builder, signature, arguments):
            array = _arrays(context, builder, signature, arguments)
            (ap, size), (xp, _), (pp, _), (op, _), (bp, _), (yp, _) = (array(i) for i in (0, 2, 3, 5, 7, 9))
            vector = ir.VectorType(ap.type.pointee, REGISTER // size)
            bases = [builder.gep(xp, [builder.load(builder.gep(pp, [_add(builder, arguments[4], v)]))]) for v in range(vectors)]
            begin = [_splat(builder, builder.load(builder.gep(bp, [_add(builder, arguments[8], r)])), vector) for r in range(rows)]
            first = builder.gep(ap, [arguments[1]])

            def body(i, sums):
                shift = builder.load(builder.gep(op, [i]))
                left = builder.gep(first, [builder.mul(i, ir.Constant(i.type, rows))])
                right = [_load(builder, builder.gep(base, [shift]), vector, size) for base in bases]
                result = []
                for r in range(rows):
                    value = _splat(builder, builder.load(builder.gep(left, [ir.Constant(i.type, r)])), vector)
                    result += [_fma(builder, value, right[v], sums[r * vectors + v]) for v in range(vectors)]
                return result

            sums = _loop(builder, arguments[6], 1, body, [s for s in begin for _ in range(vectors)])
            _keep(builder, sums, yp, size)
            return context.get_dummy_value()

        return types.void(a, types.int64, x, places, types.int64, offset, types.int64, bias, types.int64, out), codegen

    return tile


_tile, _thin_tile = _tile_of(ROWS, VECTORS), _tile_of(1, THIN)


@intrinsic
def _dots(typingctx, a, rows, ir_, x, columns, ic, start, count, out):
    """out[LEFT, RIGHT] = sum over `count` places from `start` of a[rows[ir_ + i] + place] * x[columns[ic + j] + place]."""

    def codegen(context, builder, signature, arguments):
        array = _arrays(context, builder, signature, arguments)
        (ap, size), (rp, _), (xp, _), (cp, _), (yp, _) = (array(i) for i in (0, 1, 3, 4, 8))
        vector = ir.VectorType(ap.type.pointee, REGISTER // size)
        begin = arguments[6]

        def pointers(base, table, index, number):
            steps = [builder.load(builder.gep(table, [_add(builder, index, i)])) for i in range(number)]
            return [builder.gep(base, [builder.add(step, begin)]) for step in steps]

        left, right = pointers(ap, rp, arguments[2], LEFT), pointers(xp, cp, arguments[5], RIGHT)

        def body(i, sums):
            dy = [_load(builder, builder.gep(p, [i]), vector, size) for p in left]
            result = list(sums)
            for j, p in enumerate(right):
                value = _load(builder, builder.gep(p, [i]), vector, size)
                for r in range(LEFT):
                    result[r * RIGHT + j] = _fma(builder, dy[r], value, sums[r * RIGHT + j])
            return result

        zero = ir.Constant(vector, [0.0] * vector.count)
        sums = _loop(builder, arguments[7], vector.count, body, [zero] * (LEFT * RIGHT))
        _keep(builder, _totals(builder, sums), yp, size)
        return context.get_dummy_value()

    return types.void(a, rows, types.int64, x, columns, types.int64, types.int64, types.int64, out), codegen


@intrinsic
def move(typingctx, source, i, target, j, count):
    """target[j : j + count] = source[i : i + count], for a count up to one vector."""

    def codegen(context, builder, signature, arguments):
        array = _arrays(context, builder, signature, arguments)
        (sp, size), (tp, _) = array(0), array(2)
        vector = ir.VectorType(sp.type.pointee, REGISTER // size)
        number = ir.VectorType(ir.IntType(32), vector.count)
        order, limit = ir.Constant(number, list(range(vector.count))), builder.trunc(arguments[4], ir.IntType(32))
        mask = builder.icmp_signed("<", order, _splat(builder, limit, number))
        start, place = (builder.bitcast(builder.gep(p, [at]), vector.as_pointer()) for p, at in ((sp, arguments[1]), (tp, arguments[3])))
        align = ir.Constant(ir.IntType(32), size)
        value = _call(builder, "masked.load", vector, start, align, mask, ir.Constant(vector, ir.Undefined))
        _call(builder, "masked.store", vector, value, place, align, mask)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64, types.int64), codegen


def _arrays(context, builder, signature, arguments):
    """A function that gives, for the number of an argument, the array's data pointer and the bytes of an element."""
    def array(i):
        kind = signature.args[i]
        return context.make_array(kind)(context, builder, arguments[i]).data, kind.dtype.bitwidth // 8
    return array


def _add(builder, value, number):
    return builder.add(value, ir.Constant(value.type, number))


def _call(builder, name, vector, *arguments):
    """A call of LLVM's intrinsic `name` for vectors of this kind."""
    memory = name.startswith("masked")
    full = f"llvm.{name}.v{vector.count}f{32 if vector.element == ir.FloatType() else 64}" + ".p0" * memory
    result = ir.VoidType() if name == "masked.store" else vector
    function = builder.module.globals.get(full)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(result, [x.type for x in arguments]), full)
    return builder.call(function, arguments)


def _fma(builder, a, b, c):
    return _call(builder, "fmuladd", a.type, a, b, c)  # two instructions where the CPU has no fused one


def _load(builder, pointer, vector, align):
    load = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    load.align = align
    return load


def _keep(builder, vectors, pointer, align):
    """Store vectors one after the other."""
    for i, value in enumerate(vectors):
        place = builder.gep(pointer, [ir.Constant(ir.IntType(64), i * value.type.count)])
        builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=align)


def _splat(builder, scalar, vector):
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    order = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), order)


def _totals(builder, vectors):
    """The sums of all lanes of each vector, as lanes of new vectors: two vectors are folded at once, then two of those."""
    lanes, results = vectors[0].type.count, []
    kind = ir.VectorType(ir.IntType(32), lanes)
    for start in range(0, len(vectors), lanes):
        level, segment = vectors[start:start + lanes], lanes
        while segment > 1:
            segment //= 2
            low = [i for i in range(2 * lanes) if i // segment % 2 == 0]  # the first half of each segment of both
            pairs = [(level[i], level[min(i + 1, len(level) - 1)]) for i in range(0, len(level), 2)]
            level = [builder.fadd(*(builder.shuffle_vector(a, b, ir.Constant(kind, [i + s for i in low])) for s in (0, segment)))
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
    for phi, first, last in zip([i, *phis], [ir.Constant(count.type, 0), *values], [following, *result]):
        phi.add_incoming(first, before)
        phi.add_incoming(last, end)
    builder.position_at_end(after)
    return phis


@jit
def product(a, bias, g0, g1, rows, depth, block0, block1, x, x_group, offset, places, vectors, first, pieces, together,
            y, y0, y_row, y_step, thin):
    """For groups g0 to g1, and blocks of rows block0 to block1: y at the places of `vectors` vectors.

    a: packed by `pack_rows`, and bias filled up to whole blocks. places[v]: the address of vector v in the x of its group; those lie
    x_group apart, g0's first. The vector's outputs go to y in pieces: pieces[p], for p from first[v] below first[v + 1], is
    (lane, number of lanes, address after y0); y_row and y_step lie between the rows and lanes in y. `together` vectors are
    finished for all rows before the next ones, so that their x stays in the L2 cache. thin: blocks are single rows.
    """
    lane, height, wide = REGISTER // y.itemsize, (1 if thin else ROWS), (THIN if thin else VECTORS)
    blocks = -(-rows // height)
    out = np.empty((max(ROWS * VECTORS, THIN) + 1) * lane, y.dtype)
    for g in range(g0, g1):
        here = x[(g - g0) * x_group:]
        for v0 in range(0, vectors, together):
            for block in range(block0, block1):
                at, count = g * blocks + block, min(height, rows - block * height)
                for v in range(v0, min(v0 + together, vectors), wide):
                    if thin:
                        _thin_tile(a, at * depth, here, places, v, offset, depth, bias, at, out)
                    else:
                        _tile(a, at * ROWS * depth, here, places, v, offset, depth, bias, at * ROWS, out)
                    for u in range(min(wide, vectors - v)):
                        for p in range(first[v + u], first[v + u + 1]):
                            source, target = pieces[3 * p] + u * lane, pieces[3 * p + 2] + y0
                            target += (g * rows + block * height) * y_row
                            for r in range(count):
                                if y_step == 1:
                                    move(out, r * wide * lane + source, y, target + r * y_row, pieces[3 * p + 1])
                                else:
                                    for j in range(pieces[3 * p + 1]):
                                        y[target + r * y_row + j * y_step] = out[r * wide * lane + source + j]


@jit
def dots(a, a_group, lines, rows, x, x_group, columns, depth, groups, length, together, out):
    """out[g, i, j] += sum over `length` places of a[g * a_group + lines[i] + place] * x[g * x_group + columns[j] + place].

    `length` is a multiple of the vector; both tables are filled up to whole tiles. `together` places are finished for all
    i and j before the next ones, so that they stay in the cache.
    """
    tile = np.empty(LEFT * RIGHT + REGISTER // out.itemsize, out.dtype)
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
def pack_rows(w, groups, group, row, column, rows, height, out):
    """out[g, block, k, r] = w[g * group + (block * height + r) * row + column[k]]: the order in which `product` reads a."""
    depth, to = len(column), 0
    for g in range(groups):
        for block in range(-(-rows // height)):
            for r in range(height):
                i = block * height + r
                for k in range(depth):
                    out[to + k * height + r] = w[g * group + i * row + column[k]] if i < rows else 0
            to += depth * height


@jit
def spread(x, channels, height, width, c0, c1, n0, n1, step, remainders_h, remainders_w, pad, plane, length, lanes, out):
    """out[channel, phase, image, i, j] = x[image, channel, i * step + remainder - pad, ...], zero outside x; see planes.py."""
    for k in range(len(out)):
        out[k] = 0
    to = 0
    for channel in range(c0, c1):
        for rh in remainders_h:
            top, bottom = _inside(height, step[0], rh - pad[0], plane[0])
            for rw in remainders_w:
                left, right = _inside(width, step[1], rw - pad[1], plane[1])
                for image in range(n0, n1):
                    line = (image * channels + channel) * height + rh - pad[0]
                    start = to + (image - n0) * plane[0] * plane[1]
                    for i in range(top, bottom):
                        source, target = (line + i * step[0]) * width + rw - pad[1], start + i * plane[1]
                        if step[1] == 1:
                            for j in range(left, right, lanes):
                                move(x, source + j, out, target + j, min(lanes, right - j))
                        else:
                            for j in range(left, right):
                                out[target + j] = x[source + j * step[1]]
                to += length


@jit
def _inside(size, step, shift, count):
    """The range of i below `count` for which i * step + shift is a place in x."""
    first = min(max(0, -(shift // step)), count)
    return first, max(first, min(count, (size - 1 - shift) // step + 1))
