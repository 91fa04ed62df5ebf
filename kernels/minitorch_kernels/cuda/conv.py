"""Convolution on the GPU: operands packed for tensor cores, and which tiles of conv.cu and conv_dw.cu compute it.

A call is two launches: conv_pack.cu copies x and w with the channels of a pixel side by side (and rounds float32 to
TF32), and the product writes y in its usual order. dw needs a third, which adds the parts of its sum. Groups of few
channels, such as depthwise, go to conv_direct.cu, without copies. Everything is three-dimensional inside.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import gcd, prod
from typing import Any, NamedTuple

import cupy
import numpy as np
from cupy.cuda import runtime

from . import settings
from .build import Program, ctype

CTYPES = {"e": "half", "E": "bfloat16", "f": "float"}
TENSOR = tuple(CTYPES.values())
# Tiles of the result, and what part of the best rate they reach: small ones read more bytes for each product.
TILES = {(128, 128): 1.0, (64, 256): 1.0, (64, 64): 0.6}
EXACT = ((128, 128), (64, 64))
CHUNK, DEPTH, STAGES = 16, 64, 4  # bytes, as in conv.cuh
ALONE = 4 / 3  # times what a tile takes when another shares the multiprocessor and fills the gaps


def _ints(*names: str) -> list[tuple]:
    return [(name, np.int32) for name in names]


def _kind(char: str, tf32: bool, tile: tuple[int, int], along: bool) -> str:
    """The type of conv.cuh that computes such tiles."""
    m, n = tile
    if char == "f" and not tf32:
        return f"Exact<{m}, {n}, {str(along).lower()}>"
    w = _warp(tile)
    return f"Tensor<{CTYPES[char]}, {m}, {n}, {w}, {w}>"


def _warp(tile: tuple[int, int]) -> int:
    """A warp's part of a tile is square."""
    return 64 if prod(tile) > 4096 else 32


def _all_kinds(along: bool) -> tuple[str, ...]:
    return (*(_kind(char, True, tile, along) for char in CTYPES for tile in TILES),
            *(_kind("f", False, tile, along) for tile in EXACT))


forward = Program("conv.cu", {"conv": (_all_kinds(True),)})
weights = Program("conv_dw.cu", {"conv_dw": (_all_kinds(False),), "sum_parts": (TENSOR,)})
packing = Program("conv_pack.cu", {"pack": (TENSOR,)})
small = Program("conv_direct.cu", {"direct": (TENSOR, (1, 4), (False, True)), "direct_dw": (TENSOR,)})

_AXIS = np.dtype(_ints("out", "size", "window", "stride", "dilation", "shift", "skip", "reach"))
_CONV = np.dtype([("axes", _AXIS, 3), *_ints("images", "groups", "rows", "chunks", "turned", "relu", "width")])
_DIVISOR = np.dtype([("magic", np.uint32), ("shift", np.int32)])
_CONV_DW = np.dtype([("axes", _AXIS, 3), ("by", _DIVISOR, 3),
                     *_ints("images", "groups", "outputs", "dy_chunks", "chunks", "splits")])
_PARTS = np.dtype(_ints("splits", "outputs", "rows", "channels", "taps", "window", "pitch", "packed", "columns"))
_PACKING = np.dtype(_ints("batch", "channels", "packed") +
                    [(name, np.int32, 3) for name in ("source", "before", "size")])
_SPAN = np.dtype(_ints("source", "out", "window", "stride", "dilation", "padding"))
_DIRECT = np.dtype([("spans", _SPAN, 3),
                    *_ints("images", "groups", "outputs", "inputs", "by_output", "by_input", "relu")])


def conv(x: Any, w: Any, b: Any, stride: tuple, padding: tuple, dilation: tuple, groups: int) -> Any:
    """See `minitorch_kernels.conv.conv2d` and `conv3d`."""
    return _forward(x, w, b, stride, padding, dilation, groups, False)


def conv_relu(x: Any, w: Any, b: Any, stride: tuple, padding: tuple, dilation: tuple, groups: int) -> Any:
    """See `minitorch_kernels.conv.conv2d_relu`."""
    return _forward(x, w, b, stride, padding, dilation, groups, True)


def conv_dx(dy: Any, w: Any, x_shape: tuple, stride: tuple, padding: tuple, dilation: tuple, groups: int) -> Any:
    """See `minitorch_kernels.conv.conv2d_dx` and `conv3d_dx`."""
    axes = _axes(x_shape, w.shape, stride, padding, dilation)
    shape = (x_shape[0], w.shape[1] * groups, *x_shape[2:])
    return _product(dy, w, None, Job(shape, axes, groups, w.shape[0] // groups, w.shape[1], dy.dtype.char, True, False))


def conv_dw(dy: Any, x: Any, w_shape: tuple, stride: tuple, padding: tuple, dilation: tuple, groups: int) -> Any:
    """See `minitorch_kernels.conv.conv2d_dw` and `conv3d_dw`."""
    dy, x = cupy.ascontiguousarray(dy), cupy.ascontiguousarray(x)
    axes = _axes(x.shape, w_shape, stride, padding, dilation)
    job = Job(tuple(w_shape), axes, groups, w_shape[1], w_shape[0] // groups, x.dtype.char, False, False)
    device = runtime.getDevice()
    if job.is_small():
        plan = _plan_small_dw(job, len(x), device)
        parts = cupy.empty(plan.parts, np.float32)
        small.launch("direct_dw", (ctype(x),), plan.grid, (256,), (dy, x, parts, plan.struct))
    else:
        plan = _plan_dw(job, len(x), settings.tf32_convolutions, device)
        packed_dy, packed_x = _packed(dy, x, plan.packings, plan.rounds)
        parts = cupy.empty(plan.parts, np.float32)
        weights.launch("conv_dw", (plan.kind,), plan.grid, (plan.threads,), (packed_dy, packed_x, parts, plan.struct),
                       plan.shared)
    dw = cupy.empty(w_shape, x.dtype)
    weights.launch("sum_parts", (ctype(x),), (-(-dw.size // 256),), (256,),
                   (parts, dw, np.int64(dw.size), *plan.adding))
    return dw


class Axis(NamedTuple):
    """One dimension: of x, of y, and the window between them."""

    x: int
    y: int
    window: int
    stride: int
    padding: int
    dilation: int


class Job(NamedTuple):
    """What is asked for, as far as the choice of kernels depends on it: a key for prepared launches."""

    shape: tuple  # of the result
    axes: tuple[Axis, ...]  # three
    groups: int
    inputs: int  # channels of a group of what is read (dy for dx)
    outputs: int  # and of what is written (of dy for dw)
    char: str
    turned: bool  # dx
    relu: bool

    def is_small(self) -> bool:
        """Whether tiles of tensor cores would be nearly empty."""
        return self.groups > 1 and self.inputs * self.outputs <= 64


class Plan(NamedTuple):
    """A prepared launch; for dw also the parts of the sum, and the arguments of the kernel that adds them."""

    kind: str
    grid: tuple
    threads: int
    shared: int
    struct: np.ndarray
    packings: tuple
    rounds: np.bool_
    parts: int = 0
    adding: tuple = ()


def _forward(x: Any, w: Any, b: Any, stride: tuple, padding: tuple, dilation: tuple, groups: int, relu: bool) -> Any:
    axes = _axes(x.shape, w.shape, stride, padding, dilation)
    shape = (len(x), len(w), *(axis.y for axis in axes[5 - x.ndim:]))
    return _product(x, w, b, Job(shape, axes, groups, w.shape[1], len(w) // groups, x.dtype.char, False, relu))


def _product(x: Any, w: Any, b: Any, job: Job) -> Any:
    """y of x, or with `turned` dx of dy."""
    x, w = cupy.ascontiguousarray(x), cupy.ascontiguousarray(w)
    bias = np.int64(0) if b is None else cupy.ascontiguousarray(b)
    y = cupy.empty(job.shape, x.dtype)
    if job.is_small():
        types, grid, arguments = _plan_small(job)
        small.launch("direct", types, grid, (256,), (x, w, bias, y, *arguments))
        return y
    plan = _plan(job, settings.tf32_convolutions, runtime.getDevice())
    packed_x, packed_w = _packed(x, w, plan.packings, plan.rounds)
    forward.launch("conv", (plan.kind,), plan.grid, (plan.threads,), (packed_x, packed_w, bias, y, plan.struct),
                   plan.shared)
    return y


def _packed(a: Any, b: Any, packings: tuple, rounds: np.bool_) -> tuple[Any, Any]:
    """Both operands of a product with the channels of a pixel side by side, by one launch."""
    (size_a, tiles_a, struct_a), (size_b, tiles_b, struct_b) = packings
    to_a, to_b = cupy.empty(size_a, a.dtype), cupy.empty(size_b, b.dtype)
    packing.launch("pack", (ctype(a),), (tiles_a + tiles_b,), (256,),
                   (a, to_a, struct_a, np.int32(tiles_a), b, to_b, struct_b, rounds))
    return to_a, to_b


@lru_cache(1024)
def _axes(x_shape: tuple, w_shape: tuple, stride: tuple, padding: tuple, dilation: tuple) -> tuple[Axis, ...]:
    axes = [Axis(n, (n + 2 * p - d * (k - 1) - 1) // s + 1, k, s, p, d)
            for n, k, s, p, d in zip(x_shape[2:], w_shape[2:], stride, padding, dilation)]
    return (Axis(1, 1, 1, 1, 0, 1),) * (3 - len(axes)) + tuple(axes)


@lru_cache(1024)
def _plan(job: Job, tf32: bool, device: int) -> Plan:
    images, inputs, outputs, itemsize = job.shape[0], job.inputs, job.outputs, _itemsize(job.char)
    packed, pair = _channels(job)
    if job.turned:
        axes, before = zip(*map(_turned_axis, job.axes))
        of_x = _packing(job, images * job.groups, inputs, packed, [a.y for a in job.axes], before, [a[1] for a in axes])
        of_w = _packing(job, job.groups, inputs, packed, (1, 1, outputs * prod(a.window for a in job.axes)))
        phases = prod(a.stride for a in job.axes)
        places = images * prod(-(-a.x // a.stride) for a in job.axes)
    else:
        axes, window = _forward_axes(job.axes, pair)
        of_x = _packed_x(job, images, packed, pair, axes)
        of_w = _packing(job, outputs * job.groups, inputs, packed, [a.window for a in job.axes], size=window)
        phases, places = 1, images * prod(a.y for a in job.axes)
    tile, count = _choose(outputs, places, job.groups * phases, _tiles(job.char, tf32), device)
    (m, n), taps = tile, prod(a[2] for a in axes)
    shared = max(STAGES * (m + n) * DEPTH + 8 * taps, m * (n + 8) * itemsize + 8 * n + 4 * m)
    line = prod(job.shape[2:]) * itemsize if phases == 1 else 1
    width = next((size // itemsize for size in (16, 8) if line % size == 0), 1)
    struct = np.array([([*axes], images, job.groups, outputs, packed * pair * itemsize // CHUNK, job.turned, job.relu,
                        width)], _CONV)
    return Plan(_kind(job.char, tf32, tile, True), (count, 1, job.groups * phases), _threads(job, tf32, tile), shared,
                struct, (of_x, of_w), np.bool_(tf32 and job.char == "f"))


@lru_cache(1024)
def _plan_dw(job: Job, images: int, tf32: bool, device: int) -> Plan:
    inputs, outputs, itemsize = job.inputs, job.outputs, _itemsize(job.char)
    packed, pair = _channels(job)
    axes, window = _forward_axes(job.axes, pair)
    of_x = _packed_x(job, images, packed, pair, axes)
    out, of_dy_packed = [a.y for a in job.axes], _whole_chunks(outputs, itemsize)
    of_dy = _packing(job, images * job.groups, outputs, of_dy_packed, out)
    columns = prod(window) * packed

    def blocks(tile: tuple[int, int]) -> int:
        return -(-outputs // tile[0]) * -(-columns // tile[1])

    tile = min(_tiles(job.char, tf32), key=lambda tile: blocks(tile) * prod(tile) / TILES[tile])
    count, steps = blocks(tile), -(-images * prod(out) * itemsize // DEPTH)
    wanted = _multiprocessors(device) * (2 if prod(tile) > 4096 else 4) // (count * job.groups)
    splits = max(1, min(wanted, steps // 8))  # as many blocks as fit at once, but none without work
    struct = np.array([([*axes], [_divisor(n) for n in out], images, job.groups, outputs,
                        of_dy_packed * itemsize // CHUNK, packed * pair * itemsize // CHUNK, splits)], _CONV_DW)
    rows, columns = -(-outputs // tile[0]) * tile[0], -(-columns // tile[1]) * tile[1]  # whole tiles are written
    part = job.groups * rows * columns
    adding = np.array([(splits, outputs, rows, inputs, prod(job.shape[2:]), job.axes[2].window, window[2], packed,
                        columns)], _PARTS)
    return Plan(_kind(job.char, tf32, tile, False), (count, splits, job.groups), _threads(job, tf32, tile),
                STAGES * sum(tile) * DEPTH, struct, (of_dy, of_x), np.bool_(tf32 and job.char == "f"), splits * part,
                (np.int64(part), adding))


@lru_cache(1024)
def _plan_small(job: Job) -> tuple[tuple, tuple, tuple]:
    width, taps = 4, prod(a.window for a in job.axes)
    outs = [a.x if job.turned else a.y for a in job.axes]
    spans = [(a.y, a.x, *a[2:4], a.dilation, a.padding) if job.turned else (a.x, a.y, *a[2:4], a.dilation, a.padding)
             for a in job.axes]
    several = 1 if job.outputs == 1 else 4
    by = (taps, job.outputs * taps) if job.turned else (job.inputs * taps, taps)
    struct = np.array([(spans, job.shape[0], job.groups, job.outputs, job.inputs, *by, job.relu)], _DIRECT)
    threads = job.shape[0] * job.groups * -(-job.outputs // several) * prod(outs[:2]) * -(-outs[2] // width)
    return (CTYPES[job.char], several, job.turned), (-(-threads // 256),), (np.int64(threads), struct)


@lru_cache(1024)
def _plan_small_dw(job: Job, images: int, device: int) -> Plan:
    taps = prod(a.window for a in job.axes)
    spans = [(a.x, a.y, *a[2:4], a.dilation, a.padding) for a in job.axes]
    struct = np.array([(spans, images, job.groups, job.outputs, job.inputs, 0, 0, 0)], _DIRECT)
    part = job.groups * job.outputs * job.inputs * taps
    blocks = job.groups * job.outputs * job.inputs * -(-taps // 9)
    splits = max(1, min(images, 8 * _multiprocessors(device) // blocks))
    last = job.axes[2].window
    adding = np.array([(splits, job.outputs, job.outputs, job.inputs, taps, last, last, job.inputs, job.inputs * taps)],
                      _PARTS)
    return Plan("", (blocks, splits), 256, 0, struct, (), np.bool_(False), splits * part, (np.int64(part), adding))


def _channels(job: Job) -> tuple[int, int]:
    """How many channels a pixel is packed with, and how many pixels then make a chunk.

    Whole chunks; but up to four channels of 16 bits with an even stride go two pixels to a chunk, which is then a
    pixel of an image half as wide: so the first layer of a network does not multiply so many zeros.
    """
    last, itemsize = job.axes[2], _itemsize(job.char)
    if itemsize == 2 and job.inputs <= 4 and last.stride % 2 == 0 and last.dilation == 1 and not job.turned:
        return 4, 2
    return _whole_chunks(job.inputs, itemsize), 1


def _whole_chunks(channels: int, itemsize: int) -> int:
    each = CHUNK // itemsize
    return -(-channels // each) * each


def _forward_axes(axes: tuple[Axis, ...], pair: int) -> tuple[list[tuple], list[int]]:
    """The `Axis` of conv.cuh for each axis, and the window as w is packed; `pair` pixels of a line count as one."""
    found = []
    for i, a in enumerate(axes):
        many = pair if i == 2 else 1
        window, stride = -(-a.window // many), a.stride // many
        found.append((a.y, (a.y - 1) * stride + (window - 1) * a.dilation + 1, window, stride, a.dilation, 0, 1, 0))
    return found, [*(a.window for a in axes[:2]), found[2][2] * pair]


def _turned_axis(a: Axis) -> tuple[tuple, int]:
    """The `Axis` of conv.cuh for dx, and how much padding dy needs before it."""
    before = max(0, (a.dilation * (a.window - 1) - a.padding) // a.stride)
    after = max(0, (a.x - 1 + a.padding) // a.stride - (a.y - 1))
    common = gcd(a.stride, a.dilation)
    return (a.x, before + a.y + after, a.window, a.stride, a.dilation, a.padding + before * a.stride,
            a.stride // common, a.dilation // common), before


def _packed_x(job: Job, images: int, packed: int, pair: int, axes: list[tuple]) -> tuple:
    size = [*(a[1] for a in axes[:2]), axes[2][1] * pair]
    return _packing(job, images * job.groups, job.inputs, packed, [a.x for a in job.axes],
                    [a.padding for a in job.axes], size)


def _packing(job: Job, batch: int, channels: int, packed: int, source: Sequence, before: Sequence = (0, 0, 0),
             size: Sequence | None = None) -> tuple:
    """The packed array's size, its tiles of 64 pixels by 128 bytes at most, and the kernel's struct."""
    size = source if size is None else size
    rows = batch * prod(size)
    tiles = -(-rows // 64) * -(-packed * _itemsize(job.char) // 128)
    return rows * packed, tiles, np.array([(batch, channels, packed, source, before, size)], _PACKING)


def _choose(rows: int, columns: int, times: int, tiles: Iterable, device: int) -> tuple[tuple[int, int], int]:
    """The tile with which the busiest multiprocessor has the least to do, and how many of it there are."""
    def cost(tile: tuple[int, int]) -> tuple[float, int]:
        each = -(-blocks(tile) * times // _multiprocessors(device))
        return max(each, ALONE) * prod(tile) / TILES[tile], -prod(tile)

    def blocks(tile: tuple[int, int]) -> int:
        return -(-rows // tile[0]) * -(-columns // tile[1])

    best = min(tiles, key=cost)
    return best, blocks(best)


def _tiles(char: str, tf32: bool) -> Iterable[tuple[int, int]]:
    return EXACT if char == "f" and not tf32 else TILES


def _threads(job: Job, tf32: bool, tile: tuple[int, int]) -> int:
    return prod(tile) // (64 if job.char == "f" and not tf32 else _warp(tile) ** 2 // 32)


def _itemsize(char: str) -> int:
    return 4 if char == "f" else 2


def _divisor(d: int) -> tuple[int, int]:
    """n // d = n magic >> shift for n < 2³¹."""
    shift = 31 + (d - 1).bit_length()
    return -(-(1 << shift) // d), shift


@lru_cache(None)
def _multiprocessors(device: int) -> int:
    return runtime.getDeviceProperties(device)["multiProcessorCount"]
