"""The Mersenne Twister compiled, and what is drawn most: dropout's masks, uniform and normal numbers in float32."""
from __future__ import annotations

import numpy as np

from ..box_muller import COS, HALF_PI, LN2_HIGH, LN2_LOW, LOG, QUADRANTS, SIN, SQRT_HALF
from .jit import in_order, jit
from .tasks import task

BLOCK = np.int64(624)  # words of the state
CHUNK = 2048  # numbers at a time: their words stay in the first-level cache
DIGITS = np.uint64(2**53 - 1)
GATHER = np.uint64(0x0102040810204080)  # times eight bytes of 0 or 1: the product's highest byte has them as its bits


@jit
def bernoulli(key, position, bound, out):
    """Fill `out` with u < bound / 2^53, u the lower 53 bits of two words each, the upper word first.

    `key` (624 words) and the returned position are the generator's state: the recurrence is that of
    `mt19937.Twister`, run for 624 words at a time in loops that vectorise.
    """
    words, bound = np.empty(2 * CHUNK, np.uint32), np.uint64(bound)
    pairs = words.view(np.uint64)
    for first in range(0, out.size, CHUNK):
        part = out[first:first + CHUNK]
        position = _draw(key, position, words[:2 * part.size])
        for j in range(part.size):
            part[j] = _number(pairs[j]) < bound
    return position


@jit
def bernoulli_bits(key, position, bound, n, out):
    """The same for `n` numbers as bits, eight in a byte of `out`, the first one lowest."""
    words, flags, bound = np.empty(2 * CHUNK, np.uint32), np.empty(CHUNK, np.uint8), np.uint64(bound)
    pairs, eights = words.view(np.uint64), flags.view(np.uint64)
    for first in range(0, n, CHUNK):
        count = min(CHUNK, n - first)
        position = _draw(key, position, words[:2 * count])
        for j in range(count):
            flags[j] = _number(pairs[j]) < bound
        flags[count:] = 0
        part = out[first // 8:(first + count + 7) // 8]
        for j in range(part.size):
            part[j] = (eights[j] * GATHER) >> np.uint64(56)
    return position


@in_order
def uniform(key, position, low, scale, high, plain, out):
    """Fill `out`, float32, with u * scale + low as `rounding.affine` rounds it, and `low` where that is `high`.

    `plain`: the product or the sum is exact.
    """
    words = np.empty(CHUNK, np.uint32)
    for first in range(0, out.size, CHUNK):
        part = out[first:first + CHUNK]
        position = _draw(key, position, words[:part.size])
        for j in range(part.size):
            part[j] = _affine(_unit(words[j]), scale, low, plain)
            if part[j] == high:
                part[j] = low
    return position


def normal(key, position, mean, std, plain, out):
    """Fill `out`, float32 in whole blocks of 16, with what `box_muller.box_muller` makes of uniform numbers."""
    words = out.view(np.uint32)
    position = _draw(key, position, words)  # one after the other; the rest by all threads
    _box_muller(-(-out.size // CHUNK), 20 * out.size, words, mean, std, plain, out)
    return position


@task
def _box_muller(part, words, mean, std, plain, out):
    """A chunk of normal numbers in the place of their words."""
    words, out = words[part * CHUNK:(part + 1) * CHUNK], out[part * CHUNK:(part + 1) * CHUNK]
    half = out.size // 2
    radius = np.empty(half, np.float32)  # three allocations: of parts of one, LLVM cannot know that they do not overlap
    cosine, sine = np.empty(half, np.float32), np.empty(half, np.float32)
    _uniform_pairs(words, radius, cosine)
    _radius(radius)
    _sincos(cosine, sine)
    _normal_pairs(radius, cosine, sine, mean, std, plain, out)


@in_order
def _uniform_pairs(words, rest, angle):
    """1 - u and 2 pi u of the first and the last eight numbers of each block."""
    for block in range(words.size // 16):
        first, last = words[16 * block:16 * block + 8], words[16 * block + 8:16 * block + 16]
        rests, angles = rest[8 * block:8 * block + 8], angle[8 * block:8 * block + 8]
        for j in range(8):
            rests[j] = np.float32(1) - _unit(first[j])
            angles[j] = _unit(last[j]) * np.float32(2 * np.pi)


@in_order
def _normal_pairs(radius, cosine, sine, mean, std, plain, out):
    """Eight numbers of each block with the cosine, and then eight with the sine."""
    for block in range(out.size // 16):
        first, last = out[16 * block:16 * block + 8], out[16 * block + 8:16 * block + 16]
        at = slice(8 * block, 8 * block + 8)
        length, c, s = radius[at], cosine[at], sine[at]
        for j in range(8):
            first[j] = _affine(length[j] * c[j], std, mean, plain)
            last[j] = _affine(length[j] * s[j], std, mean, plain)


@in_order
def _unit(word):
    """A float32 in [0, 1): the lower 24 bits."""
    return np.float32(np.int32(word & np.uint32(2**24 - 1))) * np.float32(2.0**-24)


@in_order
def _affine(x, scale, shift, plain):
    if plain:
        return x * scale + shift
    return _fma(x, scale, shift)


@in_order
def _fma(a, b, c):
    """a * b + c in float32 by way of float64, where the product is exact."""
    return np.float32(np.float64(a) * np.float64(b) + np.float64(c))


@in_order
def _radius(x):
    """x becomes sqrt(-2 log x): the logarithm as in `box_muller`."""
    bits = x.view(np.int32)
    for i in range(x.size):
        e = (bits[i] - np.int32(SQRT_HALF)) >> np.int32(23)
        bits[i] -= e << np.int32(23)
        m, power = x[i] - np.float32(1), np.float32(e)
        square = m * m
        y = np.float32(m * LOG[0] + LOG[1])
        for c in LOG[2:]:
            y = _fma(y, m, c)
        y = _fma(y * m, square, power * np.float32(LN2_LOW)) - square * np.float32(0.5)
        x[i] = np.sqrt(_fma(power, LN2_HIGH, m + y) * np.float32(-2))


@in_order
def _sincos(angle, sine):
    """`angle` becomes its cosine, and `sine` its sine, as in `box_muller`."""
    cosines, sines = angle.view(np.int32), sine.view(np.int32)
    for i in range(angle.size):
        quadrant = (np.int32(angle[i] * np.float32(QUADRANTS)) + np.int32(1)) >> np.int32(1)
        x = angle[i]
        for part in HALF_PI:
            x = _fma(quadrant, -part, x)
        square = x * x
        c, s = np.float32(square * COS[0] + COS[1]), np.float32(square * SIN[0] + SIN[1])
        c, s = _fma(c, square, COS[2]), _fma(s, square, SIN[2])
        angle[i] = _fma(c * square, square, square * np.float32(-0.5)) + np.float32(1)
        sine[i] = _fma(s * square, x, x)
        swap = (sines[i] ^ cosines[i]) & -(quadrant & np.int32(1))
        sines[i] ^= swap ^ ((quadrant & np.int32(2)) << np.int32(30))
        cosines[i] ^= swap ^ (((quadrant + np.int32(1)) & np.int32(2)) << np.int32(30))


@jit
def _number(pair):
    """53 bits of two words as they lie in memory, where the first is the lower half."""
    return ((pair << np.uint64(32)) | (pair >> np.uint64(32))) & DIGITS


@jit
def _draw(key, position, words):
    """Fill `words` with the next ones."""
    i = np.int64(0)
    while i < words.size:
        if position == BLOCK:
            _twist(key)
            position = np.int64(0)
        count = min(BLOCK - position, words.size - i)
        fresh, state = words[i:i + count], key[position:position + count]
        for j in range(count):
            fresh[j] = _temper(state[j])
        position += count
        i += count
    return position


@jit
def _twist(key):
    for j in range(227):
        key[j] = key[j + 397] ^ _mixed(key[j], key[j + 1])
    for j in range(227, 623):
        key[j] = key[j - 227] ^ _mixed(key[j], key[j + 1])
    key[623] = key[396] ^ _mixed(key[623], key[0])


@jit
def _mixed(a, b):
    y = (a & np.uint32(0x80000000)) | (b & np.uint32(0x7FFFFFFF))
    return (y >> np.uint32(1)) ^ (np.uint32(0x9908B0DF) * (y & np.uint32(1)))


@jit
def _temper(y):
    y ^= y >> np.uint32(11)
    y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
    y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
    return y ^ (y >> np.uint32(18))
