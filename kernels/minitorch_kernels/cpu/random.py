"""The Mersenne Twister compiled: dropout's masks are as many random words as a layer has values."""
from __future__ import annotations

import numpy as np

from .jit import jit

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
