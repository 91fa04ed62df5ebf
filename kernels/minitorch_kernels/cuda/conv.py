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

import numpy as np

from . import settings
from .build import Program, ctype
from .lazily import cupy

CTYPES = {"e": "half", "E": "bfloat16", "f": "float"}
TENSOR = tuple(CTYPES.values())
# Tiles of the result, and what part of the best rate they reach: small ones read more bytes for each product.
TILES = {(128, 128): 1.0, (64, 256): 1.0, (64, 64): 0.6}
EXACT = ((128, 128), (64, 64))
CHUNK, DEPTH, STAGES = 16, 64, 4  # bytes, as in conv.cuh
NONE = np.int64(0)  # the address of no bias
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
    return _product(x, w, b, _plan((x.shape, w.shape, stride, padding, dilation, groups, x.dtype.char), "",
                                   settings.tf32_convolutions, cupy.cuda.runtime.getDevice()))


def conv_relu(x: Any, w: Any, b: Any, stride: tuple, padding: tuple, dilation: tuple, groups: int) -> Any:
    """See `minitorch_kernels.conv.conv2d_relu`."""
    return _product(x, w, b, _plan((x.shape, w.shape, stride, padding, dilation, groups, x.dtype.char), "relu",
                                   settings.tf32_convolutions, cupy.cuda.runtime.getDevice()))


def conv_dx(dy: Any, w: Any, x_shape: tuple, stride: tuple, padding: tuple, dilation: tuple, groups: int) -> Any:
    """See `minitorch_kernels.conv.conv2d_dx` and `conv3d_dx`."""
    return _product(dy, w, None, _plan((tuple(x_shape), w.shape, stride, padding, dilation, groups, dy.dtype.char),
                                       "dx", settings.tf32_convolutions, cupy.cuda.runtime.getDevice()))


def conv_dw(dy: Any, x: Any, w_shape: tuple, stride: tuple, padding: tuple, dilation: tuple, groups: int) -> Any:
    """See `minitorch_kernels.conv.conv2d_dw` and `conv3d_dw`."""
    plan = _plan((x.shape, tuple(w_shape), stride, padding, dilation, groups, x.dtype.char), "dw",
                 settings.tf32_convolutions, cupy.cuda.runtime.getDevice())
    dy, x, kept = cupy.ascontiguousarray(dy), cupy.ascontiguousarray(x), ctype(x)
    parts, dw = cupy.empty(plan.parts, np.float32), cupy.empty(plan.shape, x.dtype)
    if plan.packings:
        dy, x = _packed(dy, x, plan)
        weights.launch("conv_dw", plan.types, plan.grid, plan.block, (dy, x, parts, plan.struct), plan.shared)
    else:
        small.launch("direct_dw", plan.types, plan.grid, plan.block, (dy, x, parts, plan.struct))
    weights.launch("sum_parts", (kept,), plan.adding_grid, (256,), (parts, dw, *plan.adding))
    return dw


def _product(x: Any, w: Any, b: Any, plan: Plan) -> Any:
    """y, or dx, for which x is dy."""
    x, w = cupy.ascontiguousarray(x), cupy.ascontiguousarray(w)
    bias = NONE if b is None else cupy.ascontiguousarray(b)
    y = cupy.empty(plan.shape, x.dtype)
    if plan.packings:
        x, w = _packed(x, w, plan)
        forward.launch("conv", plan.types, plan.grid, plan.block, (x, w, bias, y, plan.struct), plan.shared)
    else:
        small.launch("direct", plan.types, plan.grid, plan.block, (x, w, bias, y, plan.struct))
    return y


def _packed(a: Any, b: Any, plan: Plan) -> tuple[Any, Any]:
    """Both operands of a product with the channels of a pixel side by side, by one launch."""
    (size_a, tiles_a, struct_a), (size_b, tiles_b, struct_b) = plan.packings
    to_a, to_b = cupy.empty(size_a, a.dtype), cupy.empty(size_b, b.dtype)
    packing.launch("pack", (ctype(a),), (tiles_a + tiles_b,), (256,),
                   (a, to_a, struct_a, np.int32(tiles_a), b, to_b, struct_b, plan.rounds))
    return to_a, to_b


class Axis(NamedTuple):
    """One dimension: of x, of y, and the window between them."""

    x: int
    y: int
    window: int
    stride: int
    padding: int
    dilation: int


class Job(NamedTuple):
    """What is asked for: `kind` is "" or "relu" (y of x), "dx" or "dw"."""

    kind: str
    images: int
    axes: tuple[Axis, ...]  # three
    groups: int
    inputs: int  # channels of a group: of what is read, which for dx is dy
    outputs: int  # and of what is written, which for dw is dy
    char: str
    itemsize: int
    tf32: bool
    device: int


class Plan(NamedTuple):
    """A prepared launch: how operands are packed, if they are; for dw also parts of the sum, and how to add them."""

    shape: tuple  # of the result
    types: tuple
    grid: tuple
    block: tuple
    struct: np.ndarray
    packings: tuple = ()
    rounds: np.bool_ = np.False_
    shared: int = 0
    parts: int = 0
    adding: tuple = ()
    adding_grid: tuple = ()


@lru_cache(1024)
def _plan(call: tuple, kind: str, tf32: bool, device: int) -> Plan:
    """What serves x and w of these shapes."""
    x_shape, w_shape, stride, padding, dilation, groups, char = call
    axes = _axes(x_shape, w_shape, stride, padding, dilation)
    inputs, outputs = w_shape[1], w_shape[0] // groups
    y_shape = (x_shape[0], w_shape[0], *(a.y for a in axes[5 - len(x_shape):]))
    shape = {"dx": x_shape, "dw": w_shape}.get(kind, y_shape)
    if kind == "dx":
        inputs, outputs = outputs, inputs
    itemsize, tf32 = (4, tf32) if char == "f" else (2, False)
    job = Job(kind, x_shape[0], axes, groups, inputs, outputs, char, itemsize, tf32, device)
    if groups > 1 and inputs * outputs <= 64:  # tiles would be nearly empty
        return _small_dw(job, shape) if kind == "dw" else _small(job, shape)
    return _tiled_dw(job, shape) if kind == "dw" else _tiled(job, shape)


def _axes(x_shape: tuple, w_shape: tuple, stride: tuple, padding: tuple, dilation: tuple) -> tuple[Axis, ...]:
    axes = [Axis(n, (n + 2 * p - d * (k - 1) - 1) // s + 1, k, s, p, d)
            for n, k, s, p, d in zip(x_shape[2:], w_shape[2:], stride, padding, dilation)]
    return (Axis(1, 1, 1, 1, 0, 1),) * (3 - len(axes)) + tuple(axes)


def _tiled(job: Job, shape: tuple) -> Plan:
    images, inputs, outputs, groups, itemsize = job.images, job.inputs, job.outputs, job.groups, job.itemsize
    packed, pair = _channels(job)
    if job.kind == "dx":
        axes, before = zip(*map(_turned_axis, job.axes))
        of_x = _packing(job, images * groups, inputs, packed, [a.y for a in job.axes], before, [a[1] for a in axes])
        of_w = _packing(job, groups, inputs, packed, (1, 1, outputs * prod(a.window for a in job.axes)))
        phases = prod(a.stride for a in job.axes)
        places = images * prod(-(-a.x // a.stride) for a in job.axes)
    else:
        axes, window = _forward_axes(job.axes, pair)
        of_x = _packed_x(job, packed, pair, axes)
        of_w = _packing(job, outputs * groups, inputs, packed, [a.window for a in job.axes], size=window)
        phases, places = 1, images * prod(a.y for a in job.axes)
    tile, count = _choose(job, places, groups * phases)
    (m, n), taps = tile, prod(a[2] for a in axes)
    shared = max(STAGES * (m + n) * DEPTH + 8 * taps, m * (n + 8) * itemsize + 8 * n + 4 * m)
    line = prod(shape[2:]) * itemsize if phases == 1 else 1
    width = next((size // itemsize for size in (16, 8) if line % size == 0), 1)
    struct = np.array([([*axes], images, groups, outputs, packed * pair * itemsize // CHUNK, job.kind == "dx",
                        job.kind == "relu", width)], _CONV)
    return Plan(shape, (_kind(job.char, job.tf32, tile, True),), (count, 1, groups * phases), _block(job, tile), struct,
                (of_x, of_w), np.bool_(job.tf32), shared)


def _tiled_dw(job: Job, shape: tuple) -> Plan:
    images, inputs, outputs, groups, itemsize = job.images, job.inputs, job.outputs, job.groups, job.itemsize
    packed, pair = _channels(job)
    axes, window = _forward_axes(job.axes, pair)
    out, of_dy = [a.y for a in job.axes], _whole_chunks(outputs, itemsize)
    packings = (_packing(job, images * groups, outputs, of_dy, out), _packed_x(job, packed, pair, axes))
    columns = prod(window) * packed

    def blocks(tile: tuple[int, int]) -> int:
        return -(-outputs // tile[0]) * -(-columns // tile[1])

    tile = min(_tiles(job), key=lambda tile: blocks(tile) * prod(tile) / TILES[tile])
    count, steps = blocks(tile), -(-images * prod(out) * itemsize // DEPTH)
    wanted = _multiprocessors(job.device) * (2 if prod(tile) > 4096 else 4) // (count * groups)
    splits = max(1, min(wanted, steps // 8))  # as many blocks as fit at once, but none without work
    struct = np.array([([*axes], [_divisor(n) for n in out], images, groups, outputs, of_dy * itemsize // CHUNK,
                        packed * pair * itemsize // CHUNK, splits)], _CONV_DW)
    rows, columns = -(-outputs // tile[0]) * tile[0], -(-columns // tile[1]) * tile[1]  # whole tiles are written
    parts = (splits, outputs, rows, inputs, prod(shape[2:]), job.axes[2].window, window[2], packed, columns)
    return Plan(shape, (_kind(job.char, job.tf32, tile, False),), (count, splits, groups), _block(job, tile), struct,
                packings, np.bool_(job.tf32), STAGES * sum(tile) * DEPTH, splits * groups * rows * columns,
                *_adding(shape, groups * rows * columns, parts))


def _small(job: Job, shape: tuple) -> Plan:
    width, taps, turned = 4, prod(a.window for a in job.axes), job.kind == "dx"
    spans = [((a.y, a.x) if turned else (a.x, a.y)) + (a.window, a.stride, a.dilation, a.padding) for a in job.axes]
    several = 1 if job.outputs == 1 else 4
    by = (taps, job.outputs * taps) if turned else (job.inputs * taps, taps)
    struct = np.array([(spans, job.images, job.groups, job.outputs, job.inputs, *by, job.kind == "relu")], _DIRECT)
    threads = (job.images * job.groups * -(-job.outputs // several) * spans[0][1] * spans[1][1] *
               -(-spans[2][1] // width))
    return Plan(shape, (CTYPES[job.char], several, turned), (-(-threads // 256),), (256,), struct)


def _small_dw(job: Job, shape: tuple) -> Plan:
    taps, last = prod(a.window for a in job.axes), job.axes[2].window
    spans = [(a.x, a.y, a.window, a.stride, a.dilation, a.padding) for a in job.axes]
    struct = np.array([(spans, job.images, job.groups, job.outputs, job.inputs, 0, 0, 0)], _DIRECT)
    blocks = job.groups * job.outputs * job.inputs * -(-taps // 9)
    splits = max(1, min(job.images, 8 * _multiprocessors(job.device) // blocks))
    parts = (splits, job.outputs, job.outputs, job.inputs, taps, last, last, job.inputs, job.inputs * taps)
    adding, grid = _adding(shape, prod(shape), parts)
    return Plan(shape, (CTYPES[job.char],), (blocks, splits), (256,), struct, parts=splits * prod(shape),
                adding=adding, adding_grid=grid)


def _adding(shape: tuple, stride: int, parts: tuple) -> tuple[tuple, tuple]:
    """The arguments of the kernel that adds parts, and its grid."""
    return (np.int64(prod(shape)), np.int64(stride), np.array([parts], _PARTS)), (-(-prod(shape) // 256),)


def _channels(job: Job) -> tuple[int, int]:
    """How many channels a pixel is packed with, and how many pixels then make a chunk.

    Whole chunks; but up to four channels of 16 bits with an even stride go two pixels to a chunk, which is then a
    pixel of an image half as wide: so the first layer of a network does not multiply so many zeros.
    """
    last = job.axes[2]
    if job.itemsize == 2 and job.inputs <= 4 and last.stride % 2 == 0 and last.dilation == 1 and job.kind != "dx":
        return 4, 2
    return _whole_chunks(job.inputs, job.itemsize), 1


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


def _packed_x(job: Job, packed: int, pair: int, axes: list[tuple]) -> tuple:
    size = [*(a[1] for a in axes[:2]), axes[2][1] * pair]
    return _packing(job, job.images * job.groups, job.inputs, packed, [a.x for a in job.axes],
                    [a.padding for a in job.axes], size)


def _packing(job: Job, batch: int, channels: int, packed: int, source: Sequence, before: Sequence = (0, 0, 0),
             size: Sequence | None = None) -> tuple:
    """The packed array's size, its tiles of 64 pixels by 128 bytes at most, and the kernel's struct."""
    size = source if size is None else size
    rows = batch * prod(size)
    tiles = -(-rows // 64) * -(-packed * job.itemsize // 128)
    return rows * packed, tiles, np.array([(batch, channels, packed, source, before, size)], _PACKING)


def _choose(job: Job, columns: int, times: int) -> tuple[tuple[int, int], int]:
    """The tile with which the busiest multiprocessor has the least to do, and how many of it there are."""
    def cost(tile: tuple[int, int]) -> tuple[float, int]:
        each = -(-blocks(tile) * times // _multiprocessors(job.device))
        return max(each, ALONE) * prod(tile) / TILES[tile], -prod(tile)

    def blocks(tile: tuple[int, int]) -> int:
        return -(-job.outputs // tile[0]) * -(-columns // tile[1])

    best = min(_tiles(job), key=cost)
    return best, blocks(best)


def _tiles(job: Job) -> Iterable[tuple[int, int]]:
    return EXACT if job.char == "f" and not job.tf32 else TILES


def _block(job: Job, tile: tuple[int, int]) -> tuple[int]:
    return (prod(tile) // (64 if job.char == "f" and not job.tf32 else _warp(tile) ** 2 // 32),)


def _divisor(d: int) -> tuple[int, int]:
    """n // d = n magic >> shift for n < 2³¹."""
    shift = 31 + (d - 1).bit_length()
    return -(-(1 << shift) // d), shift


@lru_cache(None)
def _multiprocessors(device: int) -> int:
    return cupy.cuda.runtime.getDeviceProperties(device)["multiProcessorCount"]
