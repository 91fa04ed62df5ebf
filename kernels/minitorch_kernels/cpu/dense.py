"""Dense matrix products at BLAS's speed: tiles of sums in vector registers, over packed strips of b.

y = a @ b is cut into strips of columns. A strip of b is copied, k after k, into memory without gaps ("packed"), so that
a tile reads it with whole vector loads; a is read where it lies, one number at a time, which meets each vector of
the strip. ROWS rows of a strip are summed in the nearest cache while k runs, and go to y once, with the epilogue
(Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008).

Transposed operands are read as they lie: only distances differ. Where packing b would cost more than packing a, the
transposed product is computed, y^T = b^T @ a^T, and turned on its way into y. A b with contiguous rows is not packed
at all where few rows of a would use the copy. Where one part alone uses a strip, its first tile packs it while it sums;
so it does in each part where a is transposed, for one round of large parts: there the copies of a cost most. A small b
is packed by each thread for itself, since memory that another core has written comes slower than that.
"""
from __future__ import annotations

import threading

import numpy as np
from numba import types
from numba.extending import intrinsic

from .. import memory, parallel
from . import vector
from .copies import span
from .jit import jit
from .planning import CHUNK, HEIGHTS, HERE, NEAR, OWN, PACKED, PANEL, PANEL_SIZE, PITCH, VECTORS, plan_for, readable
from .tasks import borrow, give_back, task
from .vector import (
    MANY,
    add,
    aligned,
    at_least,
    below,
    data,
    fma,
    hidden,
    integer,
    keep,
    keep_some,
    lanes_of,
    load,
    loop,
    masked_load,
    prefetch,
    splat,
    turn,
    vector_of,
)


def matmul(a, b):
    """a @ b for float32 or float64, both of at least two dimensions."""
    if b.ndim == 2 and a.ndim > 2 and a.flags.c_contiguous:  # one product instead of one for each matrix
        shape, a = a.shape[:-1], a.reshape(-1, a.shape[-1])
        return matmul(a, b).reshape(*shape, b.shape[-1])
    shape = ()
    if a.ndim > 2 or b.ndim > 2:
        shape = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = memory.empty((*shape, a.shape[-2], b.shape[-1]), a.dtype)
    if y.size:
        multiply(a, b, y)
    return y


def linear_relu(x, w, b):
    """The positive part of `linear`, as the reference says."""
    return linear(x, w, b, relu=True)


def linear(x, w, b, relu=False):
    """x wᵀ + b, as the reference `linear` says."""
    if x.ndim != 2:
        return linear(x.reshape(-1, x.shape[-1]), w, b, relu).reshape(*x.shape[:-1], len(w))
    y = memory.empty((len(x), len(w)), x.dtype)
    if y.size:
        multiply(x, w.T, y, b, relu)
    return y


def multiply(a, b, y, bias=None, relu=False):
    """y = a @ b + bias, y contiguous, and with `relu` nothing below zero."""
    threads = parallel.get_num_threads()
    plan = plan_for(a.shape, a.strides, b.shape, b.strides, y.shape, y.dtype.char, threads)
    if plan is None:
        a, b = [x if readable(x.strides, x.itemsize) else np.array(x, order="C") for x in (a, b)]
        return multiply(a, b, y, bias, relu)
    left, right = (_flat(b), _flat(a)) if plan.swapped else (_flat(a), _flat(b))
    flat, bias, floor = y.reshape(-1), plan.nothing if bias is None else _flat(bias, copied=True), plan.floors[relu]
    if plan.slim:
        task, numbers, parts, work = plan.slim
        task(parts, work, numbers, plan.left_at, plan.right_at, left, right, flat, bias, floor)
        return
    packed = _strips.take(plan.packed, y.dtype) if plan.packed else plan.nothing
    rooms = np.zeros(2 * threads, np.int64) if plan.own else _NO_ROOMS
    for numbers, pack_parts, pack_work, parts, work in plan.rounds:
        if pack_parts:
            _pack(pack_parts, pack_work, numbers, plan.right_at, right, packed)
        _product(parts, work, numbers, plan.left_at, plan.right_at, left, right, packed, flat, bias, floor, rooms)
    if plan.packed:
        _strips.keep(packed)


def _flat(x, copied=False):
    """The memory of x as it lies, from its first number on, or `copied` without gaps.

    It is never read-only: that is another type for Numba.
    """
    flags = x.flags
    if flags.writeable:
        if flags.c_contiguous:
            return x.reshape(-1)
        if flags.f_contiguous:
            return x.T.reshape(-1)
    if copied:
        return x.copy()
    reach = sum([(n - 1) * s for n, s in zip(x.shape, x.strides)]) // x.itemsize
    return span(x, x.dtype.str, 0, reach + 1)


class _Strips(threading.local):
    """Memory for packed strips that a thread keeps from one product to the next, where it is not much.

    Who takes it has it alone: a product that a finaliser begins meanwhile finds none, and has its own.
    """

    def __init__(self):
        self.free = {}

    def take(self, count, dtype):
        if count > CHUNK:
            return vector.empty(count, dtype)
        found = self.free.pop(dtype.char, None)
        return found if found is not None and len(found) >= count else vector.small(count, dtype)

    def keep(self, strips):
        if len(strips) <= CHUNK:
            self.free[strips.dtype.char] = strips


_strips = _Strips()
_NO_ROOMS = np.zeros(2, np.int64)


@task
def _pack(part, numbers, starts, x, out):
    """NEAR k of a strip of b: out[matrix, strip, k, j] = b[k, strip * wide + j], zeros beyond the last column."""
    columns, depth, row, step, g, s, some = (numbers[1], numbers[2], numbers[5], numbers[6], numbers[9], numbers[11],
                                             numbers[12])
    wide, cuts = VECTORS * lanes_of(out), (depth + NEAR - 1) // NEAR
    which, k = part // cuts, part % cuts * NEAR
    first = (s + which % some) * wide
    start = starts[g + which // some] + first * step + (numbers[19] + k) * row
    _pack_strip(x, start, row, step, min(wide, columns - first), min(NEAR, depth - k), out, (which * depth + k) * wide)


@jit
def _pack_strip(b, ib, row, step, count, depth, out, to):
    """out[k, j] = b[k * row + j * step] for j below `count`, and zeros up to a whole vector."""
    lane = lanes_of(out)
    wide = VECTORS * lane
    if step == 1 and count == wide:
        for k in range(depth):
            _copy_strip(b, ib + k * row, out, to + k * wide)
    elif row == 1:
        for k in range(0, depth, lane):
            for v in range(0, count, lane):
                turn(b, ib + v * step + k, step, min(lane, count - v), min(lane, depth - k), out,
                     to + k * wide + v, wide)
    else:
        for k in range(depth):
            for j in range(count):
                out[to + k * wide + j] = b[ib + k * row + j * step]
    whole = (count + lane - 1) // lane * lane
    for k in range(depth if count < whole else 0):
        for j in range(count, whole):
            out[to + k * wide + j] = 0


@jit
def _pack_all(strips, columns, depth, b, ib, row, step, out, to):
    """What the parts of `_pack` do for all strips of a matrix."""
    wide = VECTORS * lanes_of(out)
    for strip in range(strips):
        first = strip * wide
        _pack_strip(b, ib + first * step, row, step, min(wide, columns - first), depth, out, to + first * depth)


@task
def _product(part, numbers, left_starts, right_starts, left, right, packed, y, bias, floor, rooms):
    """y for some rows and strips of a matrix of the batch."""
    rows, columns, depth, left_row, left_step, right_row, right_step = (numbers[0], numbers[1], numbers[2], numbers[3],
                                                                        numbers[4], numbers[5], numbers[6])
    y_row, y_step, g, s, some = numbers[7], numbers[8], numbers[9], numbers[11], numbers[12]
    row_cut, row_parts, strip_cut, strip_parts, mode, swapped = (numbers[13], numbers[14], numbers[15], numbers[16],
                                                                 numbers[17], numbers[18])
    done, more = numbers[19], numbers[20]  # k that y has been summed over, and whether others follow
    lane, block = lanes_of(y), numbers[21]
    wide = VECTORS * lane
    matrix, rest = part // (row_parts * strip_parts), part % (row_parts * strip_parts)
    first, first_strip = rest % row_parts * row_cut, rest // row_parts * strip_cut
    last_strip = min(first_strip + strip_cut, some)
    start = left_starts[g + matrix] + done * left_step
    copied = left_step != 1 and last_strip - first_strip > 1
    a, a_panel, a_row, a_step = left, PANEL * left_row, left_row, left_step
    if copied:
        a, a_panel, a_row, a_step = np.empty((block + PANEL - 1) // PANEL * PANEL_SIZE, y.dtype), PANEL_SIZE, 1, PITCH
    own_b = aligned(np.empty((NEAR * wide if mode == HERE else 0) + lane, y.dtype))
    begin, room = aligned(np.zeros(wide + lane, y.dtype)), block * wide
    sums = aligned(np.empty((last_strip - first_strip) * room + lane, y.dtype))
    mine, packed_at = 0, 0
    if mode == OWN:  # rooms: which are taken, and then which are packed
        mine = borrow(rooms[:len(rooms) // 2])
        packed_at = mine * some * depth * wide
        if not rooms[len(rooms) // 2 + mine]:
            _pack_all(some, columns, depth, right, right_starts[g], right_row, right_step, packed, packed_at)
            rooms[len(rooms) // 2 + mine] = 1
    end = min(first + row_cut, rows)
    for i in range(first, end, block):
        height = min(block, end - i)
        for k in range(0, max(depth, 1), NEAR):
            some_depth, last = min(NEAR, depth - k), k + NEAR >= depth
            ia = start + i * left_row + k * left_step
            if copied:
                _copy_panels(left, ia, left_row, left_step, height, some_depth, a)
                ia = 0
            for strip in range(first_strip, last_strip):
                column, own = (s + strip) * wide, (strip - first_strip) * room
                count, b, b_row = min(wide, columns - column), right, right_row
                ib = as_it_lies = right_starts[g + matrix] + column * right_step + k * right_row
                at_once = mode == HERE and right_step == 1 and count == wide and height > HEIGHTS[-1]
                soon, ahead, ahead_row = right, ib + wide * right_step, right_row  # the next strip
                if mode in (PACKED, OWN):
                    b, ib, b_row = packed, packed_at + ((matrix * some + strip) * depth + k) * wide, wide
                    soon, ahead, ahead_row = packed, ib + depth * wide, wide
                elif mode == HERE:
                    if not at_once:
                        _pack_strip(right, ib, right_row, right_step, count, some_depth, own_b, 0)
                    b, ib, b_row = own_b, 0, wide
                before, from_, from_row, out, to, to_row, least = sums, own, wide, sums, own, wide, floor[1]
                place = (g + matrix) * rows * columns + i * y_row + column
                if k == 0:
                    before, from_, from_row = begin, 0, 0
                    if done and count == wide:
                        before, from_, from_row = y, place, y_row
                    elif done:
                        _copy_rows(y, place, y_row, height, count, sums, own)
                        before, from_, from_row = sums, own, wide
                    elif len(bias) and not swapped:
                        for j in range(count):
                            begin[j] = bias[column + j]
                straight = last and not swapped and count == wide
                if straight:
                    out, to, to_row = y, place, y_row
                if last and not swapped and not more:
                    least = floor[0]
                done_rows = 0
                if at_once:
                    _tile_pack(a, ia, a_row, a_step, height, right, as_it_lies, right_row, some_depth, before, from_,
                               from_row, out, to, to_row, least, own_b, 0, wide)
                    done_rows = HEIGHTS[-1]
                fresh = strip == first_strip and not copied and mode != HERE  # HERE a has few rows, which are near soon
                _tiles((count + lane - 1) // lane, a, ia, a_panel, a_row, a_step, done_rows, height, b, ib, b_row,
                       some_depth, before, from_, from_row, sums, own, straight, out, to, to_row, least, fresh, soon,
                       ahead, ahead_row)
        for strip in range(first_strip, last_strip):
            column, own = (s + strip) * wide, (strip - first_strip) * room
            count, to = min(wide, columns - column), (g + matrix) * rows * columns + i * y_row + column * y_step
            if swapped:
                if len(bias) or floor[0] > floor[1]:
                    _epilogue(sums, own, height, wide, bias, i, floor[0])
                for r in range(0, height, lane):
                    for c in range(0, count, lane):
                        turn(sums, own + r * wide + c, wide, min(lane, height - r), min(lane, count - c), y,
                             to + c * y_step + r, y_step)
            elif count < wide:
                for r in range(height):
                    for c in range(0, count, lane):
                        _copy(sums, own + r * wide + c, min(lane, count - c), y, to + r * y_row + c)
    if mode == OWN:
        give_back(rooms, mine)


@jit
def _copy_rows(y, place, y_row, height, count, sums, own):
    """The sums so far, which y holds, to where they are summed on."""
    lane = lanes_of(y)
    for r in range(height):
        for c in range(0, count, lane):
            _copy(y, place + r * y_row + c, min(lane, count - c), sums, own + r * VECTORS * lane + c)


@jit
def _copy_panels(a, ia, row, step, height, depth, out):
    """out[r // PANEL, k, r % PANEL] = a[ia + r * row + k * step]; rows from `height` on mean nothing."""
    lane = lanes_of(out)
    for k in range(depth):
        source, to = ia + k * step, k * PITCH
        for first in range(0, height, PANEL):
            count = min(PANEL, height - first)
            if row == 1:
                whole = count // lane * lane
                for r in range(0, whole, lane):  # without a mask, three times as fast
                    _copy(a, source + r, lane, out, to + r)
                if whole < count:
                    _copy(a, source + whole, count - whole, out, to + whole)
            else:
                for r in range(count):
                    out[to + r] = a[source + r * row]
            source += PANEL * row
            to += PANEL_SIZE


@jit
def _tiles(vectors, a, ia, a_panel, a_row, a_step, first_row, height, b, ib, b_row, depth, begin, start, begin_row,
           sums, own, straight, out, to, to_row, floor, fresh, soon, ahead, ahead_row):
    """All tiles of a strip from first_row on: whole ones to `out`, one that is not to `sums`, and its rows to `out`.

    Panels of PANEL rows of a lie a_panel apart. `fresh` says that these rows of a have not been read before;
    soon[ahead:] is the next strip.
    """
    lane = lanes_of(sums)
    wide, tall = VECTORS * lane, HEIGHTS[vectors - 1]
    for i in range(first_row, height, tall):
        target, place, row = (out, to + i * to_row, to_row) if i + tall <= height else (sums, own + i * wide, wide)
        at, first, left = ia + i // PANEL * a_panel + i % PANEL * a_row, start + i * begin_row, height - i
        line = ahead + i // tall % VECTORS * lane
        if MANY and vectors == VECTORS and fresh:
            _tile_first(a, at, a_row, a_step, left, b, ib, b_row, depth, begin, first, begin_row, target, place, row,
                        floor, soon, line, ahead_row)
        elif MANY and vectors == VECTORS and straight:
            _tile_out(a, at, a_row, a_step, left, b, ib, b_row, depth, begin, first, begin_row, target, place, row,
                      floor, soon, line, ahead_row)
        elif vectors == VECTORS:
            _tile(a, at, a_row, a_step, left, b, ib, b_row, depth, begin, first, begin_row, target, place, row, floor,
                  soon, line, ahead_row)
        elif vectors == 1:
            _tile_1(a, at, a_row, a_step, left, b, ib, b_row, depth, begin, first, begin_row, target, place, row, floor,
                    soon, line, ahead_row)
        elif vectors == 2:
            _tile_2(a, at, a_row, a_step, left, b, ib, b_row, depth, begin, first, begin_row, target, place, row, floor,
                    soon, line, ahead_row)
        else:
            _tile_3(a, at, a_row, a_step, left, b, ib, b_row, depth, begin, first, begin_row, target, place, row, floor,
                    soon, line, ahead_row)
    if straight:
        for r in range(first_row + (height - first_row) // tall * tall, height):
            for c in range(0, wide, lane):
                _copy(sums, own + r * wide + c, lane, out, to + r * to_row + c)


@jit
def _epilogue(sums, own, height, wide, bias, row, floor):
    """The bias and the activation of rows that are columns of y."""
    for r in range(height):
        _shift_strip(sums, own + r * wide, bias[row + r] if len(bias) else sums.dtype.type(0), floor)


def _tile_of(vectors, asks="b"):
    """The intrinsic for a tile of so many vectors, which asks for cache lines that are used soon while it sums.

    These are soon[ahead + k * ahead_row]; or with "a" the eight rows of a after its own; or with "out", besides, where
    the next tile's sums go: a line that is written to is read first. With "pack", b's rows are copied to there instead.
    Short registers ask for the lines of their own sums before the first k, and for nothing else: a step of k lasts six
    cycles there, in which the addresses alone would not fit.
    """
    rows = HEIGHTS[vectors - 1]
    asks = asks if MANY or asks == "pack" else None

    @intrinsic
    def tile(typingctx, a, ia, a_row, a_step, height, b, ib, b_row, depth, begin, start, begin_row, out, place,
             out_row, floor, soon, ahead, ahead_row):
        """out[r, j] = begin[r, j] + the sum over k of a[ia + r * a_row + k * a_step] * b[ib + k * b_row + j].

        Rows of `begin` and of `out` lie begin_row and out_row apart. Nothing is less than `floor`. Rows from `height`
        on are the last one again: their sums mean nothing.
        """

        def codegen(context, builder, signature, arguments):
            (a, ia, a_row, a_step, height, b, ib, b_row, depth, begin, start, begin_row, out, place, out_row,
             floor, soon, ahead, ahead_row) = data(context, builder, signature, arguments)
            vector = vector_of(signature.args[0])
            last, every = builder.sub(height, integer(1)), [integer(r) for r in range(rows)]
            inside = [builder.select(builder.icmp_signed("<", r, height), r, last) for r in every]
            below_first = [builder.mul(row, a_row) for row in inside]

            def vectors_at(array, at, distance, numbers):
                for row in numbers:
                    line = builder.gep(array, [builder.add(at, builder.mul(row, distance))])
                    for v in range(vectors):
                        yield builder.gep(line, [integer(v * vector.count)])

            strip, ahead = builder.gep(b, [ib]), builder.gep(soon, [ahead])
            next_rows, next_out = (builder.gep(array, [builder.add(at, builder.mul(row, integer(rows)))])
                                   for array, at, row in ((a, ia, a_row), (out, place, out_row)))
            sums = [load(builder, pointer, vector) for pointer in vectors_at(begin, start, begin_row, inside)]

            for row in inside if not MANY else []:
                line = builder.gep(out, [builder.add(place, builder.mul(row, out_row))])
                for end in (0, vectors * vector.count - 1):
                    prefetch(builder, builder.gep(line, [integer(end)]), write=True)

            def body(k, values):
                column, *sums = values
                line = builder.gep(strip, [builder.mul(k, b_row)])
                right = [load(builder, builder.gep(line, [integer(v * vector.count)]), vector) for v in range(vectors)]
                eighth, eights = builder.and_(k, integer(7)), builder.lshr(k, integer(3))
                if asks == "pack":
                    keep(builder, right, builder.gep(ahead, [builder.mul(k, ahead_row)]))
                elif asks == "a":
                    further = builder.mul(builder.mul(eights, integer(vector.count)), a_step)
                    prefetch(builder, builder.gep(next_rows, [builder.add(builder.mul(eighth, a_row), further)]))
                elif asks:
                    prefetch(builder, builder.gep(ahead, [builder.mul(k, ahead_row)]))
                if asks == "out":
                    further = builder.mul(builder.and_(eights, integer(vectors - 1)), integer(vector.count))
                    line = builder.gep(next_out, [builder.add(builder.mul(eighth, out_row), further)])
                    prefetch(builder, line, write=True)
                result = [hidden(builder, builder.gep(column, [a_step]))]
                for r in range(rows):
                    left = splat(builder, builder.load(builder.gep(column, [below_first[r]])), vector)
                    result += [fma(builder, left, right[v], sums[r * vectors + v]) for v in range(vectors)]
                return result

            _, *sums = loop(builder, depth, 1, body, [builder.gep(a, [ia]), *sums])
            low = splat(builder, floor, vector)
            for total, pointer in zip(sums, vectors_at(out, place, out_row, every)):
                keep(builder, [at_least(builder, total, low)], pointer)
            return context.get_dummy_value()

        n, number = types.int64, a.dtype
        return types.void(a, n, n, n, n, b, n, n, n, begin, n, n, out, n, n, number, soon, n, n), codegen

    return tile


_tile_1, _tile_2, _tile_3, _tile = [_tile_of(min(v, VECTORS)) for v in (1, 2, 3, 4)]
_tile_first, _tile_out, _tile_pack = _tile_of(VECTORS, "a"), _tile_of(VECTORS, "out"), _tile_of(VECTORS, "pack")


@intrinsic
def _copy(typingctx, source, i, count, target, j):
    """target[j + n] = source[i + n] for each n below `count`, at most one vector."""

    def codegen(context, builder, signature, arguments):
        source, i, count, target, j = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        source, target = builder.gep(source, [i]), builder.gep(target, [j])
        with builder.if_else(builder.icmp_signed(">=", count, integer(vector.count))) as (all_of_it, some_of_it):
            with all_of_it:
                keep(builder, [load(builder, source, vector)], target)
            with some_of_it:
                value = masked_load(builder, source, below(builder, count, vector), vector)
                keep_some(builder, value, target, count)
        return context.get_dummy_value()

    n = types.int64
    return types.void(source, n, n, target, n), codegen


@intrinsic
def _shift_strip(typingctx, sums, i, shift, floor):
    """sums[i + n] += shift for a whole strip, and then nothing is less than `floor`."""

    def codegen(context, builder, signature, arguments):
        sums, i, shift, floor = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        shift, floor = splat(builder, shift, vector), splat(builder, floor, vector)
        for v in range(VECTORS):
            place = builder.gep(sums, [add(builder, i, v * vector.count)])
            keep(builder, [at_least(builder, builder.fadd(load(builder, place, vector), shift), floor)], place)
        return context.get_dummy_value()

    return types.void(sums, types.int64, sums.dtype, sums.dtype), codegen


@intrinsic
def _copy_strip(typingctx, source, i, target, j):
    """target[j + n] = source[i + n] for a whole strip."""

    def codegen(context, builder, signature, arguments):
        source, i, target, j = data(context, builder, signature, arguments)
        vector, start = vector_of(signature.args[0]), builder.gep(source, [i])
        steps = [integer(v * vector.count) for v in range(VECTORS)]
        keep(builder, [load(builder, builder.gep(start, [step]), vector) for step in steps], builder.gep(target, [j]))
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64), codegen
