"""The Mersenne Twister compiled: dropout's masks are as many random words as a layer has values."""
from __future__ import annotations

import numpy as np

from .jit import jit

BLOCK = np.int64(624)


@jit
def bernoulli(key, position, bound, out):
    """Fill `out` with u < bound / 2^53, u the lower 53 bits of two words each, the upper word first.

    `key` (624 words) and the returned position are the generator's state: the recurrence is that of
    `mt19937.Twister`, run for 624 words at a time in loops that vectorise.
    """
    high, low = np.uint32(bound >> 32), np.uint32(bound & 0xFFFFFFFF)
    whole = bound >> 53 != 0
    words = np.empty(2 * BLOCK, np.uint32)
    i = np.int64(0)
    kept = np.int64(0)  # words at the front of `words` that no number has used yet
    while i < out.size:
        if position == BLOCK:
            _twist(key)
            position = np.int64(0)
        fresh = min(BLOCK - position, 2 * (out.size - i) - kept)
        for j in range(fresh):
            words[kept + j] = _temper(key[position + j])
        position += fresh
        pairs = (kept + fresh) // 2
        for j in range(pairs):
            upper, lower = words[2 * j] & np.uint32(0x1FFFFF), words[2 * j + 1]
            out[i + j] = (upper < high) | ((upper == high) & (lower < low)) | whole
        i += pairs
        if kept + fresh > 2 * pairs:
            words[0] = words[2 * pairs]
            kept = np.int64(1)
        else:
            kept = np.int64(0)
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
