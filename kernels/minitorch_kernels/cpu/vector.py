"""Vector registers: their size, and LLVM instructions on them, for the intrinsics of the kernels beside."""
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
MANY = REGISTER == 64 or not _features.get("sse2")  # AVX-512 and NEON have 32 registers, SSE and AVX 16


def lanes(dtype: np.dtype | str) -> int:
    """How many numbers a vector register holds."""
    return REGISTER // np.dtype(dtype).itemsize


def empty(count: int, dtype: np.dtype) -> np.ndarray:
    """Flat memory that begins where a vector register may: a load across two cache lines costs two."""
    if count * np.dtype(dtype).itemsize >= memory.LARGE:
        return memory.empty((count,), dtype)
    return small(count, dtype)


def small(count: int, dtype: np.dtype) -> np.ndarray:
    """The same, never from the pool of buffers."""
    buffer = np.empty(count + lanes(dtype), dtype)
    skip = -buffer.ctypes.data % REGISTER // buffer.itemsize
    return buffer[skip:skip + count]


@intrinsic
def lanes_of(typingctx, array):
    """How many of the array's numbers a register holds, known to the compiler."""

    def codegen(context, builder, signature, arguments):
        return integer(vector_of(signature.args[0]).count)

    return types.int64(array), codegen


@intrinsic
def turn(typingctx, source, i, source_row, rows, columns, target, j, target_row):
    """target[j + column * target_row + row] = source[i + row * source_row + column], up to lanes each way."""

    def codegen(context, builder, signature, arguments):
        source, i, source_row, rows, columns, target, j, target_row = data(
            context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        count = vector.count
        lines = [builder.gep(source, [builder.add(i, builder.mul(source_row, integer(r)))]) for r in range(count)]
        places = [builder.gep(target, [builder.add(j, builder.mul(target_row, integer(c)))]) for c in range(count)]
        whole = builder.and_(*[builder.icmp_signed(">=", n, integer(count)) for n in (rows, columns)])
        with builder.if_else(whole) as (all_of_it, some_of_it):
            with all_of_it:
                square = _turned(builder, [load(builder, line, vector) for line in lines])
                for place, row in zip(places, square):
                    keep(builder, [row], place)
            with some_of_it:
                ends = [builder.select(builder.icmp_signed("<", integer(r), rows), columns, integer(0))
                        for r in range(count)]
                square = _turned(builder, [masked_load(builder, line, below(builder, end, vector), vector)
                                           for line, end in zip(lines, ends)])
                for c, (place, row) in enumerate(zip(places, square)):
                    end = builder.select(builder.icmp_signed("<", integer(c), columns), rows, integer(0))
                    masked_store(builder, row, place, below(builder, end, vector))
        return context.get_dummy_value()

    n = types.int64
    return types.void(source, n, n, n, n, target, n, n), codegen


def _turned(builder, square):
    """The columns of a square of numbers: a perfect shuffle of its rows, so often, transposes."""
    count = len(square)
    low = [n // 2 + n % 2 * count for n in range(count)]
    high = [n + count // 2 for n in low]
    for _ in range(count.bit_length() - 1):
        halves = zip(square[:count // 2], square[count // 2:])
        square = [shuffle(builder, a, b, order) for a, b in halves for order in (low, high)]
    return square


def data(context, builder, signature, arguments):
    """The arguments, with a pointer to its numbers for each array."""
    return [context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, arguments)]


def vector_of(array):
    """LLVM's type of a register full of the numbers of Numba's type `array`."""
    size = array.dtype.bitwidth // 8
    return ir.VectorType(ir.FloatType() if size == 4 else ir.DoubleType(), REGISTER // size)


def _size(vector):
    return 4 if vector.element == ir.FloatType() else 8


def integer(number):
    return ir.Constant(ir.IntType(64), number)


def add(builder, value, number):
    return builder.add(value, integer(number))


def get(builder, pointer, index, more=0):
    return builder.load(builder.gep(pointer, [add(builder, index, more)]))


def load(builder, pointer, vector):
    load = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    load.align = _size(vector)
    return load


def keep(builder, vectors, pointer):
    """Store vectors one after the other."""
    for i, value in enumerate(vectors):
        place = builder.gep(pointer, [integer(i * value.type.count)])
        builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=_size(value.type))


def splat(builder, scalar, vector):
    nothing = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
    return shuffle(builder, single, nothing, [0] * vector.count)


def shuffle(builder, a, b, order):
    """The lanes of a and, counted on, of b, in this order."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order))


def fma(builder, a, b, c):
    return _call(builder, "fmuladd", a.type, a.type, a, b, c)  # two instructions on a CPU without a fused one


def below(builder, last, vector):
    """The lanes below `last`."""
    kind = ir.VectorType(ir.IntType(32), vector.count)
    limit = splat(builder, builder.trunc(last, ir.IntType(32)), kind)
    return builder.icmp_signed("<", ir.Constant(kind, list(range(vector.count))), limit)


def from_below(builder, first, last, vector):
    """The lanes from `first` on and below `last`."""
    return builder.and_(builder.not_(below(builder, first, vector)), below(builder, last, vector))


def masked_load(builder, pointer, mask, vector):
    pointer, align = builder.bitcast(pointer, vector.as_pointer()), ir.Constant(ir.IntType(32), _size(vector))
    zeros = ir.Constant(vector, [0.0] * vector.count)
    return _call(builder, "masked.load", vector, vector, pointer, align, mask, zeros)


def masked_store(builder, value, pointer, mask):
    """Slow where it is a routine of the CPU, as on AMD's without AVX-512: `keep` or `keep_some` instead."""
    vector = value.type
    pointer, align = builder.bitcast(pointer, vector.as_pointer()), ir.Constant(ir.IntType(32), _size(vector))
    _call(builder, "masked.store", vector, ir.VoidType(), value, pointer, align, mask)


def keep_below(builder, value, pointer, count):
    """Store the lanes below `count`, all of them without a mask."""
    with builder.if_else(builder.icmp_signed(">=", count, integer(value.type.count))) as (all_of_it, some_of_it):
        with all_of_it:
            keep(builder, [value], pointer)
        with some_of_it:
            keep_some(builder, value, pointer, count)


def keep_some(builder, value, pointer, count):
    """Store the lanes below `count`, fewer than all: short registers without a mask, by halves, as its bits say."""
    if MANY:
        masked_store(builder, value, pointer, below(builder, count, value.type))
        return
    half = value.type.count // 2
    while half:
        bit = builder.and_(count, integer(half))
        first, second = (shuffle(builder, value, value, list(range(i, i + half))) for i in (0, half))
        there = builder.icmp_unsigned("!=", bit, integer(0))
        with builder.if_then(there):
            keep(builder, [first], pointer)
        value, pointer, half = builder.select(there, second, first), builder.gep(pointer, [bit]), half // 2


def _call(builder, name, vector, result, *arguments):
    """A call of LLVM's intrinsic `name` for vectors of this kind."""
    name = f"llvm.{name}.v{vector.count}f{8 * _size(vector)}" + ".p0" * name.startswith("masked")
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(result, [x.type for x in arguments]), name)
    return builder.call(function, arguments)


def prefetch(builder, pointer, write=False, near=False):
    """Bring the cache line at `pointer` into the L2 cache, or `near` and to be written into L1; any address will do."""
    place = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [place, *[ir.IntType(32)] * 3])
    function = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(builder.module, kind, "llvm.prefetch.p0")
    use, level, of_data = (ir.Constant(ir.IntType(32), n) for n in (int(write), 3 if write or near else 2, 1))
    builder.call(function, [builder.bitcast(pointer, place), use, level, of_data])


def at_least(builder, value, low):
    """The larger of two vectors, lane by lane; NaN in `value` stays."""
    return builder.select(builder.fcmp_ordered("<=", value, low), low, value)


@intrinsic
def ask(typingctx, array, i):
    """Bring the cache line of array[i] near; any place may be asked for."""

    def codegen(context, builder, signature, arguments):
        array, i = data(context, builder, signature, arguments)
        prefetch(builder, builder.gep(array, [i]))
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


def totals(builder, vectors):
    """The sum of each vector's lanes, as lanes of new vectors: two are folded at once, then two of those."""
    count, results = vectors[0].type.count, []
    for start in range(0, len(vectors), count):
        level, segment = vectors[start:start + count], count
        while segment > 1:
            segment //= 2
            low = [i for i in range(2 * count) if i // segment % 2 == 0]  # first halves of both's segments
            high = [i + segment for i in low]
            pairs = [(level[i], level[min(i + 1, len(level) - 1)]) for i in range(0, len(level), 2)]
            level = [builder.fadd(shuffle(builder, a, b, low), shuffle(builder, a, b, high))
                     for a, b in pairs]
        results += level
    return results


def hidden(builder, pointer):
    """`pointer`, of which the compiler knows nothing.

    In a loop it would make a pointer of its own for each row that is read, and increase all of them in each step.
    """
    return builder.asm(ir.FunctionType(pointer.type, [pointer.type]), "", "=r,0", [pointer], False)


def loop(builder, count, step, body, values):
    """`values = body(i, values)` for i from 0 below `count`; gives the last values."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    i = builder.phi(count.type)
    phis = [builder.phi(v.type) for v in values]
    builder.cbranch(builder.icmp_signed("<", i, count), inside, after)
    builder.position_at_end(inside)
    result, following = body(i, phis), add(builder, i, step)
    end = builder.block
    builder.branch(head)
    for phi, first, last in zip([i, *phis], [integer(0), *values], [following, *result]):
        phi.add_incoming(first, before)
        phi.add_incoming(last, end)
    builder.position_at_end(after)
    return phis


@jit
def aligned(buffer):
    """`buffer` from the first place on where a vector register may begin."""
    skip = -(buffer.ctypes.data // buffer.itemsize) % lanes_of(buffer)
    return buffer[skip:]
