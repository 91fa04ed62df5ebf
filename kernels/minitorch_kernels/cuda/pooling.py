"""Pooling on the GPU: windows and grids for the kernels of pooling.cu."""
from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..pooling import pool_shape, position_dtype
from .build import FLOATS, Program, ctype
from .lazily import cupy

THREADS = 256  # of a block
BLOCKS = 2112  # about, at most: beyond 16 for each multiprocessor a thread serves several planes instead
POSITIONS = ("long long", "short")
WINDOWS = np.dtype([(name, np.int32, 3) for name in ("size", "out", "kernel", "stride", "padding", "dilation")] +
                   [(name, np.int32) for name in ("adaptive", "divisor", "padded")])
program = Program("pooling.cu", {
    **dict.fromkeys(("max_pool", "max_pool_dx"), (FLOATS, POSITIONS)),
    **dict.fromkeys(("avg_pool", "avg_pool_dx", "max_of_planes", "mean_of_planes"), (FLOATS,))})


def max_pool(x: Any, kernel: tuple, stride: tuple, padding: tuple, dilation: tuple, ceil_mode: bool,
             narrow: bool = False) -> tuple:
    size = x.shape[2:]
    out = pool_shape(size, kernel, stride, padding, dilation, ceil_mode)
    return _largest(x, _windows(size, out, kernel, stride, padding, dilation), out, position_dtype(size, narrow))


def adaptive_max_pool(x: Any, output_size: tuple) -> tuple:
    size, out = x.shape[2:], tuple(output_size)
    if prod(out) > 1:
        return _largest(x, _windows(size, out), out, np.dtype(np.int64))
    x = cupy.ascontiguousarray(x)
    planes = x.shape[0] * x.shape[1]
    y, index = [cupy.empty((*x.shape[:2], *out), dtype) for dtype in (x.dtype, np.int64)]
    program.launch("max_of_planes", (ctype(x),), (-(-planes // 4),), (32, 4),
                   (x, y, index, np.int32(planes), np.int32(prod(size))))
    return y, index


def max_pool_dx(dy: Any, index: Any, x_shape: tuple, windows: tuple) -> Any:
    dy, index = cupy.ascontiguousarray(dy), cupy.ascontiguousarray(index)
    geometry = _windows(tuple(x_shape[2:]), dy.shape[2:], *windows)
    dx = cupy.empty(x_shape, dy.dtype)
    return _launch("max_pool_dx", (ctype(dy), _position(index)), dx, geometry, dy, index, dx)


def avg_pool(x: Any, kernel: tuple, stride: tuple, padding: tuple, ceil_mode: bool, count_include_pad: bool,
             divisor_override: int | None) -> Any:
    size, one = x.shape[2:], (1,) * len(kernel)
    out = pool_shape(size, kernel, stride, padding, one, ceil_mode)
    if kernel == size and prod(out) == 1 and not any(padding):
        return _plane_means(x, out, divisor_override)
    return _means(x, _windows(size, out, kernel, stride, padding, one, divisor_override, count_include_pad), out)


def avg_pool_dx(dy: Any, x_shape: tuple, kernel: tuple, stride: tuple, padding: tuple, ceil_mode: bool,
                count_include_pad: bool, divisor_override: int | None) -> Any:
    one = (1,) * len(kernel)
    return _means_dx(dy, x_shape, _windows(tuple(x_shape[2:]), dy.shape[2:], kernel, stride, padding, one,
                                           divisor_override, count_include_pad))


def adaptive_avg_pool(x: Any, output_size: tuple) -> Any:
    out = tuple(output_size)
    return _plane_means(x, out, None) if prod(out) == 1 else _means(x, _windows(x.shape[2:], out), out)


def adaptive_avg_pool_dx(dy: Any, x_shape: tuple) -> Any:
    return _means_dx(dy, x_shape, _windows(tuple(x_shape[2:]), dy.shape[2:]))


def _largest(x: Any, geometry: Any, out: tuple, positions: Any) -> tuple:
    x = cupy.ascontiguousarray(x)
    y, index = cupy.empty((*x.shape[:2], *out), x.dtype), cupy.empty((*x.shape[:2], *out), positions)
    _launch("max_pool", (ctype(x), _position(index)), y, geometry, x, y, index)
    return y, index


def _means(x: Any, geometry: Any, out: tuple) -> Any:
    y = cupy.empty((*x.shape[:2], *out), x.dtype)
    return _launch("avg_pool", (ctype(x),), y, geometry, cupy.ascontiguousarray(x), y)


def _means_dx(dy: Any, x_shape: tuple, geometry: Any) -> Any:
    dx = cupy.empty(x_shape, dy.dtype)
    return _launch("avg_pool_dx", (ctype(dy),), dx, geometry, cupy.ascontiguousarray(dy), dx)


def _plane_means(x: Any, out: tuple, divisor: int | None) -> Any:
    x = cupy.ascontiguousarray(x)
    planes, n = x.shape[0] * x.shape[1], prod(x.shape[2:])
    y = cupy.empty((*x.shape[:2], *out), x.dtype)
    program.launch("mean_of_planes", (ctype(x),), (-(-planes // 4),), (32, 4),
                   (x, y, np.int32(planes), np.int32(n), np.int32(divisor or n)))
    return y


def _launch(name: str, types: tuple, result: Any, geometry: Any, *arrays: Any) -> Any:
    """Run a kernel with a thread for each place in the planes of `result`."""
    planes, grid, block = _grid(result.shape)
    program.launch(name, types, grid, block, (*arrays, planes, geometry))
    return result


@lru_cache(1024)
def _grid(shape: tuple) -> tuple[Any, tuple, tuple]:
    """The number of planes; blocks over (places in a plane, planes); threads over (columns, lines, planes)."""
    planes, lines, columns = shape[0] * shape[1], prod(shape[2:-1]), shape[-1]
    across = min(32, _power(columns))
    down = min(THREADS // across, _power(lines))
    deep = min(THREADS // (across * down), _power(planes), 64)
    blocks = -(-columns // across) * -(-lines // down)
    return np.int32(planes), (blocks, min(-(-planes // deep), max(1, BLOCKS // blocks))), (across, down, deep)


@lru_cache(1024)
def _windows(size: tuple, out: tuple, kernel: tuple = (), stride: tuple = (), padding: tuple = (), dilation: tuple = (),
             divisor: int | None = None, padded: bool = False) -> Any:
    """The struct of pooling.cu; without a `kernel` that of adaptive pooling."""
    lead = 3 - len(size)
    values = [(missing,) * lead + (tuple(given) or (missing,) * len(size)) for given, missing in
              zip((size, out, kernel, stride, padding, dilation), (1, 1, 1, 1, 0, 1))]
    return np.array((*values, not kernel, divisor or 0, padded), WINDOWS)


def _power(n: int) -> int:
    """The least power of two that is not below n."""
    return 1 << max(0, n - 1).bit_length()


def _position(index: Any) -> str:
    return "short" if index.itemsize == 2 else "long long"
