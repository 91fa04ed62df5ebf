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

from .jit import jit

_features = llvmlite.binding.get_host_cpu_features()
REGISTER = 64 if _features.get("avx512f") else 32 if _features.get("avx") else 16  # bytes
_MANY = REGISTER != 32  # AVX has 16 registers; AVX-512 and NEON have 32
ROWS, VECTORS = (8 if _MANY else 4), 3
LEFT, RIGHT = (4 if _MANY else 2), 6  # the tile of `dots`


def lanes(dtype: np.dtype) -> int:
    """How many numbers a vector register holds."""
    return REGISTER // np.dtype(dtype).itemsize


@intrinsic
def _tile(typingctx, a, ia, x, places, ip, offset, k, bias, ib, out):
    """out[ROWS, VECTORS, lanes] = bias[ib + row] + sum over k of a[ia + k, row] * x[places[ip + vector] + offset[k] + lane]."""

    def codegen(context, builder, signature, arguments):
        array = _arrays(context, builder, signature, arguments)
        (ap, size), (xp, _), (pp, _), (op, _), (bp, _), (yp, _) = (array(i) for i in (0, 2, 3, 5, 7, 9))
        count = arguments[6]
        element, vector = ap.type.pointee, ir.VectorType(ap.type.pointee, REGISTER // size)
        bases = [builder.gep(xp, [builder.load(builder.gep(pp, [_add(builder, arguments[4], v)]))]) for v in range(VECTORS)]
        start = [_splat(builder, builder.load(builder.gep(bp, [_add(builder, arguments[8], r)])), vector) for r in range(ROWS)]
        first = builder.gep(ap, [builder.mul(arguments[1], ir.Constant(ir.IntType(64), ROWS))])

        def body(i, sums):
            shift = builder.load(builder.gep(op, [i]))
            row = builder.gep(first, [builder.mul(i, ir.Constant(i.type, ROWS))])
            right = [_load(builder, builder.gep(base, [shift]), vector, size) for base in bases]
            result = []
            for r in range(ROWS):
                left = _splat(builder, builder.load(builder.gep(row, [_add(builder, ir.Constant(i.type, 0), r)])), vector)
                result += [_fma(builder, left, right[v], sums[r * VECTORS + v]) for v in range(VECTORS)]
            return result

        sums = _loop(builder, count, 1, body, [s for s in start for _ in range(VECTORS)])
        for i, value in enumerate(sums):
            place = builder.gep(yp, [ir.Constant(ir.IntType(64), i * (REGISTER // size))])
            builder.store(value, builder.bitcast(place, vector.as_pointer()), align=size)
        return context.get_dummy_value()

    return types.void(a, types.int64, x, places, types.int64, offset, types.int64, bias, types.int64, out), codegen


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
        for i, value in enumerate(sums):
            while value.type.count > 1:  # fold the halves onto each other
                half = value.type.count // 2
                low, high = ([ir.Constant(ir.IntType(32), j + s) for j in range(half)] for s in (0, half))
                undefined, kind = ir.Constant(value.type, ir.Undefined), ir.VectorType(ir.IntType(32), half)
                value = builder.fadd(builder.shuffle_vector(value, undefined, ir.Constant(kind, low)),
                                     builder.shuffle_vector(value, undefined, ir.Constant(kind, high)))
            total = builder.extract_element(value, ir.Constant(ir.IntType(32), 0))
            builder.store(total, builder.gep(yp, [ir.Constant(ir.IntType(64), i)]))
        return context.get_dummy_value()

    return types.void(a, rows, types.int64, x, columns, types.int64, types.int64, types.int64, out), codegen


@intrinsic
def _store(typingctx, source, i, target, j, count):
    """target[j : j + count] = source[i : i + count], for a count up to one vector."""

    def codegen(context, builder, signature, arguments):
        array = _arrays(context, builder, signature, arguments)
        (sp, size), (tp, _) = array(0), array(2)
        vector = ir.VectorType(sp.type.pointee, REGISTER // size)
        value = _load(builder, builder.gep(sp, [arguments[1]]), vector, size)
        number = ir.VectorType(ir.IntType(32), vector.count)
        limit = _splat(builder, builder.trunc(arguments[4], ir.IntType(32)), number)
        mask = builder.icmp_signed("<", ir.Constant(number, list(range(vector.count))), limit)
        place = builder.bitcast(builder.gep(tp, [arguments[3]]), vector.as_pointer())
        _call(builder, "masked.store", ir.VoidType(), value, place, ir.Constant(ir.IntType(32), size), mask)
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


def _call(builder, name, result, first, *rest):
    """A call of the LLVM intrinsic `name` for vectors of the kind of `first`."""
    kind = first.type
    name = f"llvm.{name}.v{kind.count}f{32 if kind.element == ir.FloatType() else 64}" + (".p0" if result == ir.VoidType() else "")
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(result, [x.type for x in (first, *rest)]), name)
    return builder.call(function, [first, *rest])


def _fma(builder, a, b, c):
    return _call(builder, "fmuladd", a.type, a, b, c)  # two instructions where the CPU has no fused one


def _load(builder, pointer, vector, align):
    load = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    load.align = align
    return load


def _splat(builder, scalar, vector):
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    order = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), order)


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
def product(a, rows, depth, block0, block1, bias, x, offset, places, vectors, first, pieces, together, y, y0, y_row, y_step):
    """Rows ROWS * block0 to ROWS * block1 of y, at the places of `vectors` vectors.

    a: packed by `pack_rows`. places[v] is the address in x of vector v. Its outputs go to y in pieces: pieces[p] for p from
    first[v] below first[v + 1] is (lane, number of lanes, address in y); y_row and y_step separate the rows and lanes in y.
    `together` vectors are finished for all rows before the next ones, so that their x stays in the L2 cache.
    """
    lane = REGISTER // y.itemsize
    out = np.empty((ROWS + 1) * VECTORS * lane, y.dtype)
    for v0 in range(0, vectors, together):
        for block in range(block0, block1):
            here = min(ROWS, rows - block * ROWS)
            for v in range(v0, min(v0 + together, vectors), VECTORS):
                _tile(a, block * depth, x, places, v, offset, depth, bias, block * ROWS, out)
                for p in range(first[v], first[min(v + VECTORS, vectors)]):
                    source, count, target = pieces[3 * p], pieces[3 * p + 1], pieces[3 * p + 2] + y0
                    target += block * ROWS * y_row
                    for r in range(here):
                        if y_step == 1:
                            _store(out, r * VECTORS * lane + source, y, target + r * y_row, count)
                        else:
                            for j in range(count):
                                y[target + r * y_row + j * y_step] = out[r * VECTORS * lane + source + j]


@jit
def dots(a, a_rows, m, x, offset, n, length, together, out):
    """out[i, j] += sum over `length` places of a[a_rows[i] + place] * x[offset[j] + place], for i < m and j < n.

    `length` is a multiple of the vector; both tables are filled up to whole tiles. `together` places are finished for all
    i and j before the next ones, so that they stay in the cache.
    """
    tile = np.empty(LEFT * RIGHT, out.dtype)
    for start in range(0, length, together):
        count = min(together, length - start)
        for j in range(0, n, RIGHT):
            for i in range(0, m, LEFT):
                _dots(a, a_rows, i, x, offset, j, start, count, tile)
                for r in range(min(LEFT, m - i)):
                    for c in range(min(RIGHT, n - j)):
                        out[(i + r) * n + j + c] += tile[r * RIGHT + c]


@jit
def pack_rows(w, base, row, column, rows, out, start):
    """out[start + block, k, r] = w[base + (block * ROWS + r) * row + column[k]]: the order in which `product` reads a."""
    depth = len(column)
    for block in range(-(-rows // ROWS)):
        for r in range(ROWS):
            i, to = block * ROWS + r, (start + block * depth) * ROWS + r
            if i < rows:
                for k in range(depth):
                    out[to + k * ROWS] = w[base + i * row + column[k]]
            else:
                for k in range(depth):
                    out[to + k * ROWS] = 0
