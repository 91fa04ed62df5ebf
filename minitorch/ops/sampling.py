"""Reading images at arbitrary places: spatial transformers. Jaderberg et al. 2015."""
from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

from ..errors import ShapeError
from ..op import FUNCTIONS, composite


@composite(method=False)
def affine_grid(theta, size, align_corners=None):
    """The places (N, *out, 2 or 3) in [-1, 1] that affine maps theta (N, 2, 3) or (N, 3, 4) give to each output."""
    nd = len(size) - 2
    if nd not in (2, 3) or theta.ndim != 3 or tuple(theta.shape) != (size[0], nd, nd + 1):
        raise (ShapeError if nd in (2, 3) else NotImplementedError)(
            f"affine_grid: Expected a batch of affine matrices of shape {size[0]}x{nd}x{nd + 1} for size "
            f"{tuple(size)}. Got {tuple(theta.shape)}.")
    axes = []
    for n in size[2:]:
        line = FUNCTIONS["linspace"](-1, 1, n, dtype=theta.dtype, device=theta.device) if n > 1 else \
            FUNCTIONS["zeros"](n, dtype=theta.dtype, device=theta.device)
        axes.append(line if align_corners else line * ((n - 1) / n))
    grids = FUNCTIONS["meshgrid"](*axes, indexing="ij")
    base = FUNCTIONS["stack"]([*reversed(grids), FUNCTIONS["ones_like"](grids[0])], -1)
    return (base.reshape(1, -1, nd + 1) @ theta.transpose(1, 2)).reshape(size[0], *size[2:], nd)


@composite(method=False)
def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """input (N, C, *in) read at grid (N, *out, 2 or 3), whose last axis is (x, y) or (x, y, z) in [-1, 1].

    mode: bilinear, nearest, or bicubic (2D); padding_mode, for places outside: zeros, border, reflection.
    """
    nd = input.ndim - 2
    _check(input, grid, nd, mode, padding_mode)
    sizes = input._array.shape[2:]
    at = [_unnormalise(grid[..., nd - 1 - i], n, align_corners) for i, n in enumerate(sizes)]
    if mode == "bicubic":
        return _cubic(input, at, padding_mode, align_corners)
    at = [_inside(p, n, padding_mode, align_corners) for p, n in zip(at, sizes)]
    if mode == "nearest":
        return _read(input, [p.detach().round() for p in at])
    low = [p.detach().floor() for p in at]
    total = None
    for corner in product((0, 1), repeat=nd):
        weight = 1
        for c, p, i in zip(corner, at, low):
            weight = weight * (p - i if c else 1 - (p - i))
        part = _read(input, [i + c for i, c in zip(low, corner)]) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total


def _cubic(input: Any, at: list, padding_mode: str, align: bool | None) -> Any:
    """16 neighbours, weighted by the cubic convolution kernel; padding is applied to each neighbour's place."""
    sizes = input._array.shape[2:]
    low = [p.detach().floor() for p in at]
    weights = [_cubic_weights(p - i) for p, i in zip(at, low)]
    total = 0
    for row, column in product(range(4), repeat=2):
        places = [_inside(i + (o - 1), n, padding_mode, align) for i, o, n in zip(low, (row, column), sizes)]
        total = total + _read(input, places) * (weights[0][row] * weights[1][column]).unsqueeze(1)
    return total


def _cubic_weights(t: Any, a: float = -0.75) -> list:
    def near(d):
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d):
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _unnormalise(p: Any, n: int, align: bool | None) -> Any:
    """From [-1, 1] to places in an axis of n: -1 and 1 are the outer pixels' centres, or the image's edges."""
    return (p + 1) * ((n - 1) / 2) if align else ((p + 1) * n - 1) / 2


def _inside(p: Any, n: int, padding_mode: str, align: bool | None) -> Any:
    """Places moved inside, as `padding_mode` says."""
    if padding_mode == "zeros":
        return p
    if padding_mode == "reflection":
        low, span = (0.0, n - 1.0) if align else (-0.5, float(n))
        if span == 0:
            return p * 0
        off = (p - low).abs()
        flips = (off.detach() / span).floor()
        off = off - flips * span
        p = FUNCTIONS["where"](flips % 2 == 0, off + low, span - off + low)
    return p.clamp(0, n - 1)


def _read(x: Any, places: list) -> Any:
    """x (N, C, *in) at integer `places`, one tensor (N, *out) an axis; zero outside."""
    n, c, *sizes = x._array.shape
    out = places[0]._array.shape[1:]
    flat: Any = 0
    inside: Any = True
    for p, size in zip(places, sizes):
        inside = inside & (p >= 0) & (p < size)
        flat = flat * size + p.clamp(0, size - 1).nan_to_num().long()
    index = flat.reshape(n, 1, prod(out)).expand(n, c, prod(out))
    y = x.reshape(n, c, prod(sizes)).gather(2, index).reshape(n, c, *out)
    return y * inside.unsqueeze(1).to(x.dtype)


def _check(x: Any, grid: Any, nd: int, mode: str, padding_mode: str) -> None:
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(f"grid_sample: expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError("grid_sample: expected padding_mode to be 'zeros', 'border', or 'reflection', "
                         f"but got: '{padding_mode}'")
    if nd not in (2, 3) or grid.ndim != x.ndim or grid.shape[0] != x.shape[0] or grid.shape[-1] != nd:
        raise ShapeError(f"grid_sample: expected grid (N, *out, {nd}) for input of shape {tuple(x.shape)}, "
                         f"got {tuple(grid.shape)}")
    if mode == "bicubic" and nd != 2:
        raise ShapeError(f"grid_sample: bicubic interpolation only supports 4D input, got shape {tuple(x.shape)}")
    if 0 in x._array.shape[1:]:
        raise ShapeError(f"grid_sample: expected input to have non-empty spatial dimensions, got {tuple(x.shape)}")
