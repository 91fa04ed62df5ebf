"""A tile of sums in vector registers: the innermost loop of the upper rungs of both ladders."""
from __future__ import annotations

from numba import types
from numba.extending import intrinsic

from ..cpu.vector import MANY, data, fma, get, integer, keep, load, loop, splat, vector_of

HEIGHT, VECTORS = (12, 2) if MANY else (6, 2)  # rows and vectors: 24 of 32 registers hold sums, or 12 of 16


@intrinsic
def tile(typingctx, a, rows, i, steps, k, depth, b, start, b_row, y, place, y_row):
    """y[place + r * y_row + j] += the sum over n of a[rows[i + r] + steps[k + n]] * b[start + n * b_row + j].

    For r below HEIGHT, j below two vectors of numbers, n below `depth`. Each n loads two vectors of b, and one number
    of a for each row; the sums, 24 vectors, stay in registers from the first n to the last.
    """

    def codegen(context, builder, signature, arguments):
        a, rows, i, steps, k, depth, b, start, b_row, y, place, y_row = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        across = [integer(v * vector.count) for v in range(VECTORS)]
        lines = [builder.gep(a, [get(builder, rows, i, r)]) for r in range(HEIGHT)]
        results = [builder.gep(y, [builder.add(place, builder.mul(y_row, integer(r)))]) for r in range(HEIGHT)]

        def body(n, sums):
            step, line = get(builder, steps, builder.add(k, n)), builder.add(start, builder.mul(n, b_row))
            right = [load(builder, builder.gep(b, [builder.add(line, v)]), vector) for v in across]
            left = [splat(builder, get(builder, line, step), vector) for line in lines]
            return [fma(builder, left[s // VECTORS], right[s % VECTORS], sums[s]) for s in range(HEIGHT * VECTORS)]

        sums = [load(builder, builder.gep(result, [v]), vector) for result in results for v in across]
        sums = loop(builder, depth, 1, body, sums)
        for r, result in enumerate(results):
            keep(builder, sums[r * VECTORS:(r + 1) * VECTORS], result)
        return context.get_dummy_value()

    n = types.int64
    return types.void(a, rows, n, steps, n, n, b, n, n, y, n, n), codegen
