"""Attention block by block: some queries against some keys at a time, so that no L x S array exists.

FlashAttention-2's scheme (Dao 2023): a block of queries meets one block of keys after the other; its maximum,
its sum of exponentials and its weighted sum of values are corrected whenever the maximum rises. Backward computes
the weights again from q, k and lse.

All is computed turned: scores[key, query], with queries along the lanes of vectors. So maxima and sums need
nothing across lanes, and every product has one form, a tile of sums: numbers of one operand, as they lie in
memory, times vectors of the other. Only the block's own queries are turned, not k or v, which are copied row by
row: heads that were cut out of wider rows lie on a page of memory each.

Lanes beyond the last query hold anything: nothing crosses from lane to lane, and they are not written out.
"""
from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .. import memory
from .copies import transposed
from .jit import jit
from .strided import like, operand, starts
from .tasks import task
from .vector import (
    MANY,
    REGISTER,
    add,
    ask,
    data,
    fma,
    integer,
    keep,
    lanes,
    lanes_of,
    load,
    loop,
    splat,
    vector_of,
)

ROWS, VECTORS = (8 if MANY else 4), 2  # of a tile; the queries of a block are VECTORS vectors
KEYS = 128  # keys in a block
SPAN, PARTS = 8, 32  # blocks of queries in a part at least, and parts that are enough: each copies keys and values
AHEAD = 16  # rows that are asked for before they are copied: what a core waits for the L3 cache
TOGETHER = 1 << 20  # operations: small matrices share a part until it has so many


def attention(q, k, v, mask, causal, scale):
    dtype = q.dtype
    q, k, v = _wide(q), _wide(k), _wide(v)
    lead, length, sources, depth, width = _sizes(q, k, v, mask)
    y, lse = like((*lead, length, width), q), np.empty((*lead, length), q.dtype)
    work, together = _work(length, sources, depth, width, causal)
    matrices, wide = lse.size // length, VECTORS * lanes(q.dtype)
    span = max(SPAN, -(-length // (wide * max(1, PARTS // matrices)))) * wide
    spans = -(-length // span)
    _forward(-(-matrices // together) * spans, matrices * work, *operand(q, lead), *operand(k, lead),
             *operand(v, lead), *_mask(mask, lead, length, q.dtype), *operand(y, lead), lse.reshape(-1),
             span, together, length, sources, depth, width, causal, float(scale))
    return y.astype(dtype, copy=False), lse


def attention_backward(dy, q, k, v, mask, causal, scale, y=None, lse=None, masked=False):
    dtype = q.dtype
    dy, q, k, v, y = _wide(dy), _wide(q), _wide(k), _wide(v), _wide(y)
    lead, length, sources, depth, width = _sizes(q, k, v, mask)
    dq, dk, dv = [like((*lead, *x.shape[-2:]), x) for x in (q, k, v)]
    work, together = _work(length, sources, depth, width, causal)
    matrices = lse.size // length
    operands = [part for x in (dy, q, k, v, y, dq, dk, dv) for part in operand(x, lead)]
    _backward(-(-matrices // together), 3 * matrices * work, *operands, *_mask(mask, lead, length, q.dtype),
              lse.reshape(-1), together, length, sources, depth, width, causal, float(scale))
    return *[d.astype(dtype, copy=False) for d in (dq, dk, dv)], None


def _wide(x):
    return x.astype(np.float32) if x.dtype.itemsize == 2 else x


def _sizes(q, k, v, mask):
    """The leading dimensions that all broadcast to, L, S, E and Ev."""
    lead = q.shape[:-2]
    if mask is not None or not lead == k.shape[:-2] == v.shape[:-2]:
        lead = np.broadcast_shapes(lead, k.shape[:-2], v.shape[:-2], () if mask is None else mask.shape[:-2])
    return lead, q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1]


def _work(length, sources, depth, width, causal):
    """The operations for one matrix, about, and how many matrices make a part."""
    work = length * sources * (2 * (depth + width) + 16) // (2 if causal else 1)
    return work, max(1, TOGETHER // work)


def _mask(mask, lead, length, dtype):
    """What is added to the scores: flat, the starts, and the distances of keys and queries; empty for None.

    The copy is turned like the scores and filled up to whole blocks of queries. What is broadcast is not
    repeated, save that a mask which is the same for all queries holds one block of them.
    """
    if mask is None:
        return np.empty(0, dtype), starts(lead, ()), 0, 0
    mask = mask.reshape((1,) * (2 - mask.ndim) + mask.shape)
    mask = mask[tuple([slice(0, 1) if s == 0 else slice(None) for s in mask.strides])].swapaxes(-1, -2)
    *outer, keys, queries = mask.shape
    if mask.dtype == bool:
        mask = np.where(mask, dtype.type(0), dtype.type(-math.inf))
    wide = VECTORS * lanes(dtype)
    own = queries > 1
    turned = memory.empty((*outer, keys, -(-length // wide) * wide if own else wide), dtype)
    turned[..., :queries if own else wide] = mask
    if own:
        turned[..., queries:] = 0
    steps = [s // turned.itemsize if n > 1 else 0 for n, s in zip(turned.shape, turned.strides)]
    return turned.reshape(-1), starts(lead, tuple(steps[:-2])), steps[-2], int(own)


@task
def _forward(part, q, q_at, q_row, k, k_at, k_row, v, v_at, v_row, mask, mask_at, mask_row, mask_step,
             y, y_at, y_row, lse, span, together, length, sources, depth, width, causal, scale):
    """y and lse of `span` queries, whole blocks, of each of `together` matrices."""
    lane = lanes_of(y)
    wide, deep, broad = VECTORS * lane, depth + -depth % lane, width + -width % lane
    spans = -(-length // span)
    first = part % spans * span
    stop = min(first + span, length)
    reach = min(sources, stop) if causal else sources
    keys, values = _buffer((reach + ROWS) * deep, y), _buffer((reach + ROWS) * broad, y)
    queries, sums = _zeros(deep * wide, y), _buffer((broad + ROWS) * wide, y)
    scores = _buffer(KEYS * wide, y)
    top, total, factor = _buffer(wide, y), _buffer(wide, y), _zeros(wide, y)
    if reach % ROWS or width % ROWS:  # tiles reach beyond what is copied
        _fill(keys, 0.0)
        _fill(values, 0.0)
    for n in range(part // spans * together, min((part // spans + 1) * together, len(q_at))):
        _copy(k[k_at[n]:], k_row, reach, depth, y.dtype.type(scale), keys, deep)
        _copy(v[v_at[n]:], v_row, reach, width, y.dtype.type(1), values, broad)
        for i in range(first, stop, wide):
            rows = min(wide, length - i)
            _ask_for(q, q_at[n], q_row, i + wide, min(i + 2 * wide, length), depth)
            transposed(q[q_at[n] + i * q_row:], q_row, rows, depth, queries, wide)
            _fill(top, -np.inf)
            _fill(total, 0.0)
            _fill(sums, 0.0)
            last = min(reach, i + wide) if causal else reach
            for j in range(0, last, KEYS):
                count = min(KEYS, last - j)
                _score(keys[j * deep:], deep, queries, depth, count, scores)
                _hide(mask, mask_at[n] + j * mask_row + i * mask_step, mask_row, causal, j - i, count, scores)
                if count % 2:  # keys are weighed by twos
                    _fill(scores[count * wide:(count + 1) * wide], -np.inf)
                _soften(scores, count, top, total, factor)
                for e in range(0, width, ROWS):
                    _corrected(values, j * broad + e, 1, broad, scores, 0, wide, count, factor,
                               sums, e * wide, wide)
            for c in range(rows):
                factor[c] = 1 / total[c] if total[c] != 0 else 0
                lse[n * length + i + c] = top[c] + math.log(total[c]) if total[c] != 0 else np.inf
            _scale(sums, width, factor)
            transposed(sums, wide, width, rows, y[y_at[n] + i * y_row:], y_row)


@task
def _backward(part, dy, dy_at, dy_row, q, q_at, q_row, k, k_at, k_row, v, v_at, v_row, y, y_at, y_row,
              dq, dq_at, dq_row, dk, dk_at, dk_row, dv, dv_at, dv_row, mask, mask_at, mask_row, mask_step,
              lse, together, length, sources, depth, width, causal, scale):
    """dq, dk and dv of `together` matrices: for a block of queries after the other, what it adds to each."""
    wide, one, scale = VECTORS * lanes_of(y), y.dtype.type(1), y.dtype.type(scale)
    deep, broad, high = depth + -depth % wide, width + -width % wide, sources + ROWS
    keys, dkeys = _buffer(high * deep, y), _buffer(high * deep, y)
    values, dvalues = _buffer(high * broad, y), _buffer(high * broad, y)
    q_turned, dq_turned = _zeros(deep * wide, y), _buffer((deep + ROWS) * wide, y)
    y_turned, dy_turned = _zeros(broad * wide, y), _zeros(broad * wide, y)
    q_block, dy_block = _zeros(wide * deep, y), _zeros(wide * broad, y)
    p, ds = _buffer(KEYS * wide, y), _buffer(KEYS * wide, y)
    level, mean = _buffer(wide, y), _buffer(wide, y)
    if sources % ROWS or depth % ROWS:  # tiles reach beyond what is copied
        _fill(keys, 0.0)
        _fill(values, 0.0)
    for n in range(part * together, min((part + 1) * together, len(q_at))):
        _copy(k[k_at[n]:], k_row, sources, depth, scale, keys, deep)
        _copy(v[v_at[n]:], v_row, sources, width, one, values, broad)
        _fill(dkeys, 0.0)
        _fill(dvalues, 0.0)
        for i in range(0, length, wide):
            rows = min(wide, length - i)
            after, end = i + wide, min(i + 2 * wide, length)
            _ask_for(q, q_at[n], q_row, after, end, depth)
            _ask_for(dy, dy_at[n], dy_row, after, end, width)
            _ask_for(y, y_at[n], y_row, after, end, width)
            own_q, own_dy = q[q_at[n] + i * q_row:], dy[dy_at[n] + i * dy_row:]
            transposed(own_q, q_row, rows, depth, q_turned, wide)
            transposed(own_dy, dy_row, rows, width, dy_turned, wide)
            transposed(y[y_at[n] + i * y_row:], y_row, rows, width, y_turned, wide)
            _copy(own_q, q_row, rows, depth, scale, q_block, deep)
            _copy(own_dy, dy_row, rows, width, one, dy_block, broad)
            _fill(level, np.inf)
            _fill(mean, 0.0)
            _fill(dq_turned, 0.0)
            for c in range(rows):
                level[c] = lse[n * length + i + c]
            _add_products(dy_turned, y_turned, width, mean)
            last = i + wide + -(i + wide) % ROWS if causal else sources  # whole tiles, which reach no other key
            last = min(sources, last)
            for j in range(0, last, KEYS):
                count = min(KEYS, last - j)
                _score(keys[j * deep:], deep, q_turned, depth, count, p)
                _hide(mask, mask_at[n] + j * mask_row + i * mask_step, mask_row, causal, j - i, count, p)
                _score(values[j * broad:], broad, dy_turned, width, count, ds)
                _differentiate(p, ds, count, level, mean)
                for e in range(0, depth, ROWS):
                    _added(keys, j * deep + e, 1, deep, ds, 0, wide, count, ds, dq_turned, e * wide, wide)
                _collect(ds, count, q_block, depth, deep, rows, dkeys[j * deep:])
                _collect(p, count, dy_block, width, broad, rows, dvalues[j * broad:])
            transposed(dq_turned, wide, depth, rows, dq[dq_at[n] + i * dq_row:], dq_row)
        _copy(dkeys, deep, sources, depth, one, dk[dk_at[n]:], dk_row)
        _copy(dvalues, broad, sources, width, one, dv[dv_at[n]:], dv_row)


@jit
def _ask_for(x, at, row, first, last, columns):
    """Bring rows near that are used next, while others are computed with."""
    for r in range(first, last):
        for c in range(0, columns, lanes_of(x)):
            ask(x, at + r * row + c)


@jit
def _buffer(count, like):
    """So many numbers, which begin where a vector register may."""
    space = np.empty(count + lanes_of(like), like.dtype)
    skip = -np.int64(space.ctypes.data) % REGISTER // space.itemsize
    return space[skip:skip + count]


@jit
def _zeros(count, like):
    """A buffer that is read beyond what is written.

    Nothing comes of that, but old memory is full of denormal numbers, which cost a hundred cycles each.
    """
    out = _buffer(count, like)
    _fill(out, 0.0)
    return out


@jit
def _score(x, row, block, depth, count, out):
    """out[j, query] = the product of row j of x and the query of the turned block."""
    wide = VECTORS * lanes_of(out)
    for j in range(0, count, ROWS):
        _fresh(x, j * row, row, 1, block, 0, wide, depth, out, out, j * wide, wide)


@jit
def _collect(weights, count, block, columns, row, rows, out):
    """out[j] += the sum over the queries of weights[j, query] * block[query]."""
    wide = VECTORS * lanes_of(out)
    for j in range(0, count, ROWS):
        for e in range(0, columns, wide):
            _added(weights, j * wide, wide, 1, block, e, row, rows, out, out, j * row + e, row)


@jit
def _hide(mask, at, row, causal, ahead, count, scores):
    """Add the mask, and hide the keys behind each query; the first key is `ahead` of the first query."""
    wide = VECTORS * lanes_of(scores)
    if mask.size:
        for j in range(count):
            target, bias = scores[j * wide:(j + 1) * wide], mask[at + j * row:at + j * row + wide]
            for c in range(len(target)):
                target[c] += bias[c]
    if causal:
        for j in range(max(0, 1 - ahead), count):
            _fill(scores[j * wide:j * wide + min(wide, j + ahead)], -np.inf)


@jit
def _copy(x, row, rows, columns, factor, out, out_row):
    """out[r, column] = x[r, column] * factor."""
    for r in range(rows):
        soon = min(r + AHEAD, rows - 1)
        _ask_for(x, 0, row, soon, soon + 1, columns)
        source, target = x[r * row:r * row + columns], out[r * out_row:r * out_row + columns]
        for c in range(len(target)):
            target[c] = source[c] * factor


@jit
def _fill(x, value):
    for c in range(len(x)):
        x[c] = value


@jit
def _scale(x, rows, factor):
    """x[r] *= factor, for each row of a turned block."""
    for r in range(rows):
        line = x[r * len(factor):(r + 1) * len(factor)]
        for c in range(len(line)):
            line[c] *= factor[c]


@jit
def _add_products(a, b, rows, total):
    """total += the sum of the rows of a * b."""
    for r in range(rows):
        left, right = a[r * len(total):(r + 1) * len(total)], b[r * len(total):(r + 1) * len(total)]
        for c in range(len(total)):
            total[c] += left[c] * right[c]


def _tile_of(begin):
    """The intrinsic for a tile of ROWS by VECTORS vectors; `begin` gives what each begins with."""

    @intrinsic
    def tile(typingctx, a, i, apart, step, b, j, b_row, depth, factor, out, to, out_row):
        """out[to + r * out_row + n] = begin + sum of a[i + r * apart + t * step] * b[j + t * b_row + n].

        The sum is over t below depth; r is below ROWS, n below a block's number of queries.
        """

        def codegen(context, builder, signature, arguments):
            a, i, apart, step, b, j, b_row, depth, factor, out, to, out_row = data(
                context, builder, signature, arguments)
            vector = vector_of(signature.args[0])
            lefts = [builder.gep(a, [builder.add(i, builder.mul(integer(r), apart))]) for r in range(ROWS)]
            right = builder.gep(b, [j])
            places = [builder.gep(out, [add(builder, builder.add(to, builder.mul(integer(r), out_row)),
                                            n * vector.count)]) for r in range(ROWS) for n in range(VECTORS)]
            factors = [builder.gep(factor, [integer(n * vector.count)]) for n in range(VECTORS)]
            sums = [begin(builder, place, factors[n % VECTORS], vector) for n, place in enumerate(places)]

            def body(t, sums):
                line, far = builder.gep(right, [builder.mul(t, b_row)]), builder.mul(t, step)
                numbers = [load(builder, builder.gep(line, [integer(n * vector.count)]), vector)
                           for n in range(VECTORS)]
                result = []
                for r, left in enumerate(lefts):
                    number = splat(builder, builder.load(builder.gep(left, [far])), vector)
                    result += [fma(builder, number, numbers[n], sums[r * VECTORS + n]) for n in range(VECTORS)]
                return result

            for value, place in zip(loop(builder, depth, 1, body, sums), places):
                keep(builder, [value], place)
            return context.get_dummy_value()

        n = types.int64
        return types.void(a, n, n, n, b, n, n, n, factor, out, n, n), codegen

    return tile


_fresh = _tile_of(lambda builder, place, factor, vector: ir.Constant(vector, [0.0] * vector.count))
_added = _tile_of(lambda builder, place, factor, vector: load(builder, place, vector))
_corrected = _tile_of(lambda builder, place, factor, vector: builder.fmul(load(builder, place, vector),
                                                                         load(builder, factor, vector)))


@intrinsic
def _soften(typingctx, scores, count, top, total, factor):
    """scores = exp(scores - top) with the maximum so far; `factor` corrects what was summed with the one before."""

    def codegen(context, builder, signature, arguments):
        scores, count, top, total, factor = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        low, zero = _constant(vector, -math.inf), _constant(vector, 0)
        before = _block(builder, top, integer(0), vector)

        def higher(j, tops):
            found = [load(builder, place, vector) for place in _places(builder, scores, j, vector)]
            return [builder.select(builder.fcmp_ordered(">", s, t), s, t) for s, t in zip(found, tops)]

        tops = loop(builder, count, 1, higher, before)
        bases = [builder.select(builder.fcmp_ordered("==", t, low), zero, t) for t in tops]  # -inf + inf would be NaN
        factors = _exp(builder, [builder.fsub(old, base) for old, base in zip(before, bases)], vector)
        sums = [builder.fmul(t, f) for t, f in zip(_block(builder, total, integer(0), vector), factors)]

        def weigh(j, sums):
            places = _places(builder, scores, j, vector) + _places(builder, scores, add(builder, j, 1), vector)
            found = _exp(builder, [builder.fsub(load(builder, place, vector), base)
                                   for place, base in zip(places, bases * 2)], vector)
            for place, e in zip(places, found):
                keep(builder, [e], place)
            return [builder.fadd(old, builder.fadd(a, b)) for old, a, b in zip(sums, found, found[VECTORS:])]

        keep(builder, loop(builder, count, 2, weigh, sums), total)
        keep(builder, tops, top)
        keep(builder, factors, factor)
        return context.get_dummy_value()

    return types.void(scores, types.int64, top, total, factor), codegen


@intrinsic
def _differentiate(typingctx, p, ds, count, level, mean):
    """p = exp(p - level), the weights, and ds = p (ds - mean), the gradient of the scores."""

    def codegen(context, builder, signature, arguments):
        p, ds, count, level, mean = data(context, builder, signature, arguments)
        vector = vector_of(signature.args[0])
        levels, means = (_block(builder, x, integer(0), vector) for x in (level, mean))

        def body(j, nothing):
            both = j, add(builder, j, 1)
            weights, slopes = ([place for row in both for place in _places(builder, x, row, vector)] for x in (p, ds))
            found = _exp(builder, [builder.fsub(load(builder, place, vector), base)
                                   for place, base in zip(weights, levels * 2)], vector)
            for e, weight, slope, middle in zip(found, weights, slopes, means * 2):
                keep(builder, [e], weight)
                keep(builder, [builder.fmul(e, builder.fsub(load(builder, slope, vector), middle))], slope)
            return []

        loop(builder, count, 2, body, [])
        return context.get_dummy_value()

    return types.void(p, ds, types.int64, level, mean), codegen


def _places(builder, block, j, vector):
    """Where the vectors of row j of a turned block lie."""
    start = builder.mul(j, integer(VECTORS * vector.count))
    return [builder.gep(block, [add(builder, start, n * vector.count)]) for n in range(VECTORS)]


def _block(builder, block, j, vector):
    return [load(builder, place, vector) for place in _places(builder, block, j, vector)]


def _exp(builder, xs, vector):
    """exp(x) = 2^k exp(r), |r| <= 0.35, of vectors of numbers not far above zero.

    float32 has the polynomial of degree 5 whose largest error is least (9e-8), float64 Taylor's series. All in all
    it is wrong by 2.5e-7 of itself at most in float32 and 5e-16 in float64, and besides, as ln 2 is rounded, by
    2e-9 and 3e-17 for each power of two.
    """
    single = vector.element == ir.FloatType()
    fraction, bias = (23, 127) if single else (52, 1023)
    series = ([1, 0.99999971, 0.49999149, 0.16667637, 0.04189806, 0.00829029] if single else
              [1 / math.factorial(n) for n in range(13)])
    bits = ir.VectorType(ir.IntType(32 if single else 64), vector.count)
    shift = _constant(vector, 1.5 * 2 ** fraction + bias)  # so large a sum is rounded to a whole number: k
    ts = [fma(builder, x, _constant(vector, 1 / math.log(2)), shift) for x in xs]
    ks = [builder.fsub(t, shift) for t in ts]
    rs = [fma(builder, k, _constant(vector, -math.log(2)), x) for k, x in zip(ks, xs)]
    ps = [_polynomial(builder, series, r, vector) for r in rs]
    exponents = [builder.shl(builder.bitcast(t, bits), ir.Constant(bits, [fraction] * vector.count)) for t in ts]
    powers = [builder.bitcast(exponent, vector) for exponent in exponents]
    low, zero = _constant(vector, (1.0001 - bias) * math.log(2)), _constant(vector, 0)
    return [builder.select(builder.fcmp_ordered("<", x, low), zero, builder.fmul(p, power))
            for x, p, power in zip(xs, ps, powers)]


def _polynomial(builder, series, x, vector):
    """The sum of series[n] x^n: terms by twos, which wait for nothing, then those by Horner's rule in x^2."""
    pairs = [fma(builder, _constant(vector, b), x, _constant(vector, a)) for a, b in zip(series[::2], series[1::2])]
    if len(series) % 2:
        pairs.append(_constant(vector, series[-1]))
    square, total = builder.fmul(x, x), pairs.pop()
    while pairs:
        total = fma(builder, total, square, pairs.pop())
    return total


def _constant(vector, number):
    return ir.Constant(vector, [float(number)] * vector.count)
