"""How a dense matrix product is cut: into strips and parts, in which order, and which operand is packed.

It follows from shapes, strides and the number of threads alone, and is kept for the next product of that kind. The
constants are measured; `minitorch bench` repeats the comparison with other libraries.
"""
from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from .slim import plan as slim_plan
from .vector import MANY, lanes

VECTORS = 4 if MANY else 3  # of a strip
# Short registers: seven loads for twelve multiply-adds; tiles of 6 rows by 2 vectors take eight, and more for addresses
HEIGHTS = (12, 12, 8, 6) if MANY else (8, 4, 4)  # rows of a tile of 1, 2, ... vectors: as many sums as registers hold
# Short registers: a tile of 512 k takes its strip from the L2 cache in time, and begins and ends half as often
NEAR = 256 if MANY else 512  # k that are finished for some rows before the next ones
ROWS = 192 if MANY else 96  # rows that are summed at once: whole tiles of each height
MORE = 264 if MANY else 528  # the same, where a part packs strips and copies a, both read once for so many rows
TALL = 24  # rows that are whole tiles of each height
PANEL = MORE if MANY else 8  # rows that a part copies together, k after k: few, where a strip leaves little of L1
PITCH = PANEL + 8 if MANY else PANEL  # from one k to the next: an odd number of cache lines, in different sets, or none
PANEL_SIZE = NEAR * PITCH + 8  # from one panel to the next, which is no power of two either
FEW = 24  # rows of a up to which a b with contiguous rows is read as it lies
CHUNK = 1 << 18  # numbers of b that are packed at a time
TOGETHER = 4  # strips at least that use a block of a while it is near
SPREAD = 1 << 20  # multiplications worth a part
PARTS = 32  # parts at most
EVEN = 8  # parts at least, where the work is worth so many
PACKED, DIRECT, HERE, OWN = range(4)  # how b is read: packed before, as it lies, packed by each part, by each thread
LITTLE = 1 << 16  # numbers that stay in a thread's L2 cache: of b, to be packed by each for itself, or of a
OFTEN = 4  # times what packing b costs a thread that its rows must be worth, to do it for itself
FAR, NEXT = 64, 32  # what a number of a costs that a part copies, and one of b that it packs, in multiplications
LAST = 0.1  # of a part's time, threads wait for the last one
TURN, COPY = 0.3, 0.1  # what packing a number costs, with and without transposing, in time for 60 multiplications


class Plan(NamedTuple):
    """What follows from shapes and strides alone."""

    swapped: bool
    left_at: np.ndarray  # for each matrix of the batch, where it begins
    right_at: np.ndarray
    packed: int  # numbers of the packed strips
    own: bool  # whether each thread has packed strips of its own
    slim: tuple | None  # the task of a product with few rows or columns, its numbers, parts and work
    nothing: np.ndarray  # no numbers of the operands' type
    floors: tuple  # below which nothing lies at the end, and before it: of a product, and of its positive part
    rounds: list[tuple]  # numbers for the tasks; parts and work of packing; parts and work of the product


@lru_cache(1024)
def plan_for(a_shape, a_strides, b_shape, b_strides, y_shape, letter, threads):
    """The plan; None where an operand cannot be read as it lies."""
    size = np.dtype(letter).itemsize
    if not (readable(a_strides, size) and readable(b_strides, size)):
        return None
    nothing = np.empty(0, letter)
    floors = tuple(np.array([floor, -np.inf], letter) for floor in (-np.inf, 0))
    (m, depth), n, batch = a_shape[-2:], b_shape[-1], prod(y_shape[:-2])
    (a_row, a_step), (b_row, b_step) = ([s // size for s in strides[-2:]] for strides in (a_strides, b_strides))
    a_at, b_at = (_starts(shape[:-2], [s // size for s in strides[:-2]], y_shape[:-2])
                  for shape, strides in ((a_shape, a_strides), (b_shape, b_strides)))
    swapped = m > n
    slim = (slim_plan(n, m, depth, (b_step, b_row), (a_step, a_row), (1, n), batch, True, size) if swapped else
            slim_plan(m, n, depth, (a_row, a_step), (b_row, b_step), (n, 1), batch, False, size))
    if slim:
        return Plan(swapped, *((b_at, a_at) if swapped else (a_at, b_at)), 0, False, slim, nothing, floors, [])
    as_is = n * _cost(b_step, m) + m * (COPY if a_step != 1 else 0)
    turned = m * _cost(a_row, n) + m * n * TURN / max(depth, 1) + n * (COPY if b_row != 1 else 0)
    swapped = turned <= as_is
    left_at, right_at, (left_row, left_step), (right_row, right_step), (rows, columns), y_steps = (
        (b_at, a_at, (b_step, b_row), (a_step, a_row), (n, m), (1, n)) if swapped else
        (a_at, b_at, (a_row, a_step), (b_row, b_step), (m, n), (n, 1)))
    wide = VECTORS * lanes(letter)
    strips, deep, strided = -(-columns // wide), max(depth, 1), left_step != 1
    together = min(strips, max(TOGETHER, CHUNK // (wide * deep)))  # strips that are packed at a time
    cut = deep
    if not swapped and together * wide * deep > CHUNK:
        cut = max(1, CHUNK // (wide * together * NEAR)) * NEAR
    stack = 1 if together < strips else max(1, min(batch, CHUNK // (strips * wide * deep)))  # matrices at a time
    whole = HEIGHTS[-1] if columns % wide == 0 else TALL  # the height of tiles
    wanted = min(PARTS, max(1, batch * rows * columns * depth // SPREAD))
    row_cut, strip_cut = _cuts(rows, strips, wanted // batch, strided, whole)
    mode, block = PACKED, ROWS
    if right_step == 1 and rows <= FEW and columns % lanes(letter) == 0:
        mode = DIRECT
    elif rows <= min(row_cut, ROWS):  # no strip is packed twice
        mode = HERE
    elif right_step == 1 and not strided and deep <= NEAR and rows * deep <= LITTLE:  # the same, for all rows at once
        row_cut = block = _height(rows, 1, whole)
        mode, strip_cut = HERE, -(-strips // max(1, min(strips // TOGETHER, wanted // batch)))
    elif (batch == 1 and (together, cut) == (strips, deep) and strips * wide * deep <= LITTLE
          and rows > 60 * OFTEN * threads * (COPY if right_step == 1 else TURN)):
        mode = OWN  # what another core has written comes slower than it is packed
    elif strided and right_step == 1:
        mode, block = HERE, MORE
        row_cut, strip_cut = _cuts_alone(rows, strips, wide, batch, wanted, threads, whole)
    if mode != PACKED:
        together, stack, cut = strips, batch, deep
    rounds = []
    for g, s, k in product(range(0, batch, stack), range(0, strips, together), range(0, deep, cut)):
        matrices, some, count = min(stack, batch - g), min(together, strips - s), min(cut, depth - k)
        work = matrices * rows * min(some * wide, columns - s * wide) * count
        if mode == PACKED:
            row_cut, strip_cut = _cuts(rows, some, min(PARTS, max(1, work // SPREAD)) // matrices, strided, whole)
        row_parts, strip_parts = -(-rows // row_cut), -(-some // strip_cut)
        numbers = np.array([rows, columns, count, left_row, left_step, right_row, right_step, *y_steps, g, matrices, s,
                            some, row_cut, row_parts, strip_cut, strip_parts, mode, swapped, k, k + count < depth,
                            block])
        packing = matrices * some if mode == PACKED else 0
        parts = matrices * row_parts * strip_parts
        rounds.append((numbers, packing * -(-count // NEAR), packing * wide * count, parts, 2 * work))
    packed = {PACKED: stack, OWN: threads}.get(mode, 0) * together * wide * min(cut, deep)
    return Plan(swapped, left_at, right_at, packed, mode == OWN, None, nothing, floors, rounds)


def readable(strides, size):
    """Whether an operand runs forward through memory, by whole numbers of `size` bytes."""
    return min(strides) >= 0 and not any(step % size for step in strides)


def _cuts(rows, strips, parts, strided, whole):
    """Rows, a multiple of `whole`, and strips of a part.

    Where a is strided, a part copies its rows, and wants some strips to use them.
    """
    row_parts = max(1, min(-(-rows // (ROWS // 2 if strided else ROWS)), parts))
    strip_parts = max(1, min(strips // 4 if strided else strips, parts // row_parts))
    if row_parts * strip_parts < min(parts, EVEN):  # threads would wait for the last part
        most = max(row_parts, min(-(-rows // (2 * TALL)), min(parts, EVEN) // strip_parts))
        row_parts = min(range(most, most // 2, -2), key=lambda n: n * _height(rows, n, whole))  # the last is no shorter
    return _height(rows, row_parts, whole), -(-strips // strip_parts)


def _cuts_alone(rows, strips, wide, batch, most, threads, whole):
    """The cheapest rows, at most MORE, and strips of a part that copies its rows of a and packs its strips itself."""

    def cost(cuts):
        height, some = cuts
        part = height * some * wide + FAR * height + NEXT * some * wide
        return part * (-(-batch * -(-rows // height) * -(-strips // some) // threads) + LAST)

    least, most = -(-rows // MORE), most // batch
    return min(((_height(rows, r, whole), -(-strips // s)) for r in range(least, max(least, most) + 1)
                for s in range(1, max(1, most // r) + 1)), key=cost)


def _height(rows, parts, whole):
    """Rows of a part, a multiple of `whole`."""
    return -(-rows // (parts * whole)) * whole


def _cost(step, uses):
    """The cost of packing a number that is used so often: none where it need not be packed."""
    return (0 if uses <= FEW else COPY) if step == 1 else TURN


def _starts(shape, strides, batch):
    """For each matrix of the broadcast batch, where it begins."""
    at = np.zeros((), np.int64)
    for n, s in zip(shape, strides):
        at = at[..., None] + np.arange(n) * s
    return np.array(np.broadcast_to(at, batch), order="C").reshape(-1)
