"""Products with few rows or columns, where packing would cost more than summing: nothing is copied.

y = left @ right, `left` with few rows. Where both lie along k, a tile is some rows of `left` by some columns of
`right`, a vector of sums each, and both are read once with whole vector loads (`dots`). Where the rows of `right` lie
side by side, they are added up, so many at once, to sums that stay in the nearest cache (`lines`).
"""
from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import intrinsic

from .jit import jit
from .tasks import task
from .vector import (
    MANY,
    below,
    data,
    fma,
    integer,
    keep,
    load,
    loop,
    masked_load,
    splat,
    totals,
    vector_of,
)

MOST = 16  # rows of dots, at most: more are worth packing
MEET = 64  # the same where columns begin PAGE bytes apart: those of a packed product's tile would meet in one cache set
PAGE = 4096
FEW = 2  # rows of lines, at most
ACROSS = {1: 8, 2: 8, 4: 6} if MANY else {1: 8, 2: 4, 4: 2}  # columns of a tile of so many rows
ACROSS_1, ACROSS_2, ACROSS_4 = ACROSS.values()
COLUMNS = 48  # of a part of dots: whole tiles of each kind
LINES = 8  # rows that are added at once
SUMS = 64  # numbers, at least, that a tile leaves


def plan(rows, columns, depth, left_steps, right_steps, y_steps, batch, swapped, size):
    """The task for such a product, its numbers, parts and work; None where it is none for this file.

    Steps are the distances of rows and of columns, in numbers of `size` bytes. `swapped` says that rows of `left` are
    columns of the product.
    """
    most = MOST if right_steps[1] * size % PAGE else MEET
    if left_steps[1] == right_steps[0] == 1 and rows <= most:
        task, some, right_step = dots, COLUMNS, right_steps[1]
    elif right_steps[1] == 1 and rows <= FEW:
        task, some, right_step = lines, min(2048, max(512, columns // 4)), right_steps[0]
    else:
        return None
    parts = -(-columns // some)
    numbers = np.array([rows, columns, depth, *left_steps, right_step, *y_steps, parts, swapped, some])
    return task, numbers, parts * batch, 2 * rows * columns * depth * batch


@task
def dots(part, numbers, left_starts, right_starts, left, right, y, bias, floor):
    """y for COLUMNS columns of a matrix of the batch, where both operands lie along k."""
    rows, columns, depth, left_row, right_column, y_row, y_column, parts, swapped = (
        numbers[0], numbers[1], numbers[2], numbers[3], numbers[5], numbers[6], numbers[7], numbers[8], numbers[9])
    matrix, first = part // parts, part % parts * COLUMNS
    last = min(first + COLUMNS, columns)
    ia, ib, to = left_starts[matrix], right_starts[matrix], matrix * rows * columns
    sums = np.empty(SUMS, y.dtype)
    row = 0
    while row < rows:
        tall = 4 if rows - row >= 4 else 2 if rows - row >= 2 else 1
        across = ACROSS_1 if tall == 1 else ACROSS_2 if tall == 2 else ACROSS_4
        for column in range(first, last, across):
            some = last - column
            a, b = ia + row * left_row, ib + column * right_column
            if tall == 4:
                _dots_4(left, a, left_row, right, b, right_column, some, depth, sums)
            elif tall == 2:
                _dots_2(left, a, left_row, right, b, right_column, some, depth, sums)
            else:
                _dots_1(left, a, left_row, right, b, right_column, some, depth, sums)
            for r in range(tall):
                for c in range(min(across, some)):
                    total = sums[r * across + c]
                    if len(bias):
                        total += bias[row + r if swapped else column + c]
                    y[to + (row + r) * y_row + (column + c) * y_column] = floor[0] if total <= floor[0] else total
        row += tall


def _dots_of(tall):
    """The intrinsic for a tile of so many rows."""
    across = ACROSS[tall]

    @intrinsic
    def tile(typingctx, a, ia, a_row, b, ib, b_column, some, depth, sums):
        """sums[r, c] = the sum over k of a[ia + r * a_row + k] * b[ib + c * b_column + k].

        Columns from `some` on are the last one again: their sums mean nothing.
        """

        def codegen(context, builder, signature, arguments):
            a, ia, a_row, b, ib, b_column, some, depth, sums = data(context, builder, signature, arguments)
            vector = vector_of(signature.args[0])
            last = builder.sub(some, integer(1))
            columns = [builder.select(builder.icmp_signed("<", integer(c), some), integer(c), last)
                       for c in range(across)]
            left = [builder.gep(a, [builder.add(ia, builder.mul(a_row, integer(r)))]) for r in range(tall)]
            right = [builder.gep(b, [builder.add(ib, builder.mul(b_column, c))]) for c in columns]

            def added(values, get):
                ours, theirs = [get(line) for line in left], [get(line) for line in right]
                return [fma(builder, x, z, value) for value, (x, z) in
                        zip(values, [(x, z) for x in ours for z in theirs])]

            def body(k, values):
                return added(values, lambda line: load(builder, builder.gep(line, [k]), vector))

            whole = builder.and_(depth, integer(-vector.count))
            nothing = splat(builder, vector.element(0), vector)
            values = loop(builder, whole, vector.count, body, [nothing] * (tall * across))
            rest = below(builder, builder.sub(depth, whole), vector)
            values = added(values, lambda line: masked_load(builder, builder.gep(line, [whole]), rest, vector))
            keep(builder, totals(builder, values), sums)
            return context.get_dummy_value()

        n = types.int64
        return types.void(a, n, n, b, n, n, n, n, sums), codegen

    return tile


_dots_1, _dots_2, _dots_4 = (_dots_of(tall) for tall in ACROSS)


@task
def lines(part, numbers, left_starts, right_starts, left, right, y, bias, floor):
    """y for some columns of a matrix of the batch, where the rows of `right` lie side by side: these are added up."""
    rows, columns, depth, left_row, left_step, right_row, y_row, y_column, parts, swapped, some = (
        numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6], numbers[7], numbers[8],
        numbers[9], numbers[10])
    matrix, first = part // parts, part % parts * some
    count = min(some, columns - first)
    a, b, to = left_starts[matrix], right_starts[matrix] + first, matrix * rows * columns
    sums = np.empty(count, y.dtype)
    for row in range(rows):
        for j in range(count):
            sums[j] = bias[row if swapped else first + j] if len(bias) else y.dtype.type(0)
        whole = depth // LINES * LINES
        for k in range(0, whole, LINES):
            _add_lines(left, a + k * left_step, left_step, right, b + k * right_row, right_row, sums)
        for k in range(whole, depth):
            factor, line = left[a + k * left_step], right[b + k * right_row:b + k * right_row + count]
            for j in range(count):
                sums[j] += factor * line[j]
        for j in range(count):
            y[to + row * y_row + (first + j) * y_column] = floor[0] if sums[j] <= floor[0] else sums[j]
        a += left_row


@jit
def _add_lines(a, ia, step, b, ib, row, sums):
    """sums[j] += the sum over LINES k of a[ia + k * step] * b[ib + k * row + j]: the sums are read and written once."""
    n = len(sums)
    a0, a1, a2, a3 = a[ia], a[ia + step], a[ia + 2 * step], a[ia + 3 * step]
    a4, a5, a6, a7 = a[ia + 4 * step], a[ia + 5 * step], a[ia + 6 * step], a[ia + 7 * step]
    b0, b1, b2, b3 = _line(b, ib, n), _line(b, ib + row, n), _line(b, ib + 2 * row, n), _line(b, ib + 3 * row, n)
    ib += 4 * row
    b4, b5, b6, b7 = _line(b, ib, n), _line(b, ib + row, n), _line(b, ib + 2 * row, n), _line(b, ib + 3 * row, n)
    for j in range(n):
        sums[j] += (a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j]
                    + (a4 * b4[j] + a5 * b5[j] + a6 * b6[j] + a7 * b7[j]))


@jit
def _line(b, i, n):
    return b[i:i + n]
