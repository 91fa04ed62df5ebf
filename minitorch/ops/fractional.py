"""Fractional max pooling: windows at random, growing steps. Graham 2014."""
from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..op import FUNCTIONS, composite
from ..shapes import ntuple
from ..tensor import Tensor


def _define(nd: int) -> None:
    def pool(input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None):
        """The largest value of each of `output_size` windows, or of input size times `output_ratio`."""
        name = f"fractional_max_pool{nd}d"
        if input.ndim not in (nd + 1, nd + 2):
            raise ShapeError(f"{name}: input expects {nd + 1}D or {nd + 2}D, got shape {tuple(input.shape)}")
        x = input if input.ndim == nd + 2 else input.unsqueeze(0)
        n, c, *size = x._array.shape
        kernel = ntuple(name, "kernel_size", kernel_size, nd)
        out = _size(name, nd, size, output_size, output_ratio)
        for wide, window, places in zip(size, kernel, out):
            if places + window - 1 > wide or places < 1:
                raise ShapeError(f"{name}: output size {out} and kernel {kernel} do not fit into input of shape "
                                 f"{tuple(input.shape)}")
        samples = FUNCTIONS["rand"](n, c, nd, dtype=x.dtype) if _random_samples is None else _random_samples[:n]
        index = _places(x._array, _starts(samples._array, size, kernel, out), kernel, size)
        y = x.reshape(n, c, prod(size)).gather(2, Tensor._wrap(index.reshape(n, c, prod(out)))).reshape(n, c, *out)
        result = y, Tensor._wrap(index)
        if input.ndim == nd + 1:
            result = tuple(t.squeeze(0) for t in result)
        return result if return_indices else result[0]

    pool.__name__ = f"fractional_max_pool{nd}d"
    composite(pool, method=False)


def _starts(samples: Any, size: list[int], kernel: tuple, out: tuple) -> list[np.ndarray]:
    """The first place of each window along each axis, (N, C, out)."""
    starts = []
    for axis, (wide, window, places) in enumerate(zip(size, kernel, out)):
        u = samples[..., _sample_of(axis, len(size)), None]
        step = u.dtype.type((wide - window) / (places - 1)) if places > 1 else u.dtype.type(0)
        at = ((np.arange(places, dtype=u.dtype) + u) * step).astype(np.int64) - (u * step).astype(np.int64)
        at[..., -1] = wide - window
        starts.append(at)
    return starts


def _sample_of(axis: int, nd: int) -> int:
    """Which random number belongs to an axis: PyTorch counts from the last one in 2D, from the first in 3D."""
    return nd - 1 - axis if nd == 2 else axis


def _places(x: Any, starts: list[np.ndarray], kernel: tuple, size: list[int]) -> np.ndarray:
    """The flat place of each window's maximum, (N, C, *out)."""
    nd = len(kernel)
    flat: Any = np.int64(0)
    for axis, (start, window) in enumerate(zip(starts, kernel)):
        at = start[..., None] + np.arange(window)  # (N, C, out, window), set apart into (N, C, *out, *kernel)
        shape = [*at.shape[:2], *(1,) * (2 * nd)]
        shape[2 + axis], shape[2 + nd + axis] = at.shape[2:]
        flat = flat * size[axis] + at.reshape(shape)
    n, c = x.shape[:2]
    out = [s.shape[2] for s in starts]
    flat = flat.reshape(n, c, prod(out), prod(kernel))
    values = np.take_along_axis(x.reshape(n, c, prod(size)), flat.reshape(n, c, prod(flat.shape[2:])), 2)
    values = values.reshape(flat.shape)
    best = np.take_along_axis(flat, values.argmax(-1)[..., None], -1)
    return best.reshape(n, c, *out)


def _size(name: str, nd: int, size: list[int], output_size: Any, output_ratio: Any) -> tuple[int, ...]:
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is not None:
        return ntuple(name, "output_size", output_size, nd)
    ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * nd
    if not all(0 < r < 1 for r in ratios):
        raise ValueError(f"{name}: output_ratio must be between 0 and 1 (got {output_ratio})")
    return tuple(int(n * r) for n, r in zip(size, ratios))


for _nd in (2, 3):
    _define(_nd)
