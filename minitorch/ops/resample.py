"""Changing the resolution of images: interpolation, and pixels to channels and back.

Interpolation is separable: along each axis every output value is a weighted sum of input values. Where one input
value is taken, axes are indexed; otherwise the weights are a matrix, out x in, in which all but a band is 0, and
gradients go back by its transpose.
"""
from __future__ import annotations

import math
from typing import Any

from minitorch_kernels.resample import antialiased, interpolation, nearest

from ..errors import ShapeError
from ..op import FUNCTIONS, composite, op
from ..tensor import Tensor
from .padding import pick_axis

_DIMS = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}


@composite(method=False)
def interpolate(input, size=None, scale_factor=None, mode="nearest", align_corners=None,
                recompute_scale_factor=None, antialias=False):
    """(N, C, *in) to (N, C, *size), or to floor(in * scale_factor).

    mode: nearest, nearest-exact, linear (3D), bilinear, bicubic (4D), trilinear (5D), area. With `align_corners` the
    corner pixels' centres stay in place, otherwise the image's corners do. `antialias` widens the kernels of bilinear
    and bicubic when the image shrinks, as Pillow does.

    >>> import minitorch as torch
    >>> interpolate(torch.tensor([[[0.0, 1.0]]]), size=4, mode="linear")
    tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    nd = input.ndim - 2
    _check(input, nd, mode, align_corners, antialias)
    out, scales = _sizes(input, nd, size, scale_factor, recompute_scale_factor)
    if min(out) < 1 or 0 in input._array.shape[1:]:
        raise ShapeError(f"interpolate: Input and output sizes should be greater than 0, but got input of shape "
                         f"{tuple(input.shape)} and output size {out}")
    if mode == "area":
        return FUNCTIONS[f"adaptive_avg_pool{nd}d"](input, out)
    x = input
    axes = list(enumerate(zip(input._array.shape[2:], out, scales), 2))
    for axis, (n, m, scale) in reversed(axes):  # rows are quicker to go along while there are few of them
        if mode.startswith("nearest"):
            if n != m or scale not in (None, 1.0):
                x = pick_axis(x, nearest(n, m, scale, mode == "nearest-exact"), axis)
        elif n != m or (not align_corners and scale not in (None, 1.0)):
            x = banded(x, antialiased(n, m, scale, mode, bool(align_corners)) if antialias else
                       interpolation(n, m, scale, mode == "bicubic", bool(align_corners)), axis)
    return x.clone() if x is input else x


@composite(method=False)
def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """`interpolate` under its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


@composite(method=False)
def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` by the nearest pixel."""
    return interpolate(input, size, scale_factor)


@composite(method=False)
def upsample_bilinear(input, size=None, scale_factor=None):
    """`interpolate` bilinearly, with the corners aligned."""
    return interpolate(input, size, scale_factor, "bilinear", True)


@composite(method=False)
def pixel_shuffle(input, upscale_factor):
    """(*, C r^2, H, W) to (*, C, H r, W r): channels become pixels. Shi et al. 2016."""
    r = upscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-3] % (r * r):
        raise ShapeError(f"pixel_shuffle: expects its input's 'channel' dimension to be divisible by the square of "
                         f"upscale_factor {r}, but input has shape {tuple(input.shape)}")
    *batch, c, h, w = input._array.shape
    x = input.reshape(math.prod(batch), c // (r * r), r, r, h, w)
    return x.permute(0, 1, 4, 2, 5, 3).reshape(*batch, c // (r * r), h * r, w * r)


@composite(method=False)
def pixel_unshuffle(input, downscale_factor):
    """(*, C, H r, W r) to (*, C r^2, H, W): pixels become channels."""
    r = downscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-1] % r or input.shape[-2] % r:
        raise ShapeError(f"pixel_unshuffle: expects height and width to be divisible by downscale_factor {r}, "
                         f"but input has shape {tuple(input.shape)}")
    *batch, c, h, w = input._array.shape
    x = input.reshape(math.prod(batch), c, h // r, r, w // r, r)
    return x.permute(0, 1, 3, 5, 2, 4).reshape(*batch, c * r * r, h // r, w // r)


@composite(method=False)
def channel_shuffle(input, groups):
    """The channels of (N, C, *size) dealt out: one of each group in turn. Zhang et al. 2018."""
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise ShapeError(f"channel_shuffle: Number of channels must be divisible by groups. Got input of shape "
                         f"{tuple(input.shape)} and {groups} groups.")
    n, c, *size = input._array.shape
    return input.reshape(n, groups, c // groups, *size).transpose(1, 2).reshape(n, c, *size)


@op(method=False, function=False)
def banded(k, x, /, band, axis):
    """x resampled along `axis` by the weights of a `Band`."""
    return k.banded(x, *band.arrays(x.dtype), axis), lambda dy: _banded(k, dy, band.adjoint, axis)


def _banded(k, x, band, axis):
    """The op where x is a tensor, for second derivatives, and the kernel where it is an array."""
    return banded(x, band, axis) if isinstance(x, Tensor) else k.banded(x, *band.arrays(x.dtype), axis)


def _sizes(x: Any, nd: int, size: Any, scale_factor: Any, recompute: bool | None) -> tuple[list[int], list]:
    """The output's size, and the scale of each axis where that is to be used instead of the sizes' ratio."""
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: only one of size or scale_factor should be defined" if size is not None else
                         "interpolate: either size or scale_factor should be defined")
    if size is not None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor is not meaningful with an explicit size.")
        return [int(n) for n in _each("size", size, nd, x)], [None] * nd
    factors = [float(f) for f in _each("scale_factor", scale_factor, nd, x)]
    out = [math.floor(n * f) for n, f in zip(x._array.shape[2:], factors)]
    return out, [None] * nd if recompute else factors


def _each(name: str, value: Any, nd: int, x: Any) -> tuple:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * nd
    if len(values) != nd:
        raise ValueError(f"interpolate: Input and output must have the same number of spatial dimensions, but got "
                         f"input with spatial dimensions of {list(x.shape[2:])} and {name} {value}")
    return values


def _check(x: Any, nd: int, mode: str, align_corners: bool | None, antialias: bool) -> None:
    if mode not in (*_DIMS, "nearest", "nearest-exact", "area") or not 1 <= nd <= 3:
        raise NotImplementedError("interpolate: Input Error: Only 3D, 4D and 5D input Tensors supported "
                                  f"(got {x.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | "
                                  f"area | nearest-exact (got {mode})")
    if mode not in _DIMS and align_corners is not None:
        raise ValueError("interpolate: align_corners option can only be set with the interpolating modes: linear | "
                         "bilinear | bicubic | trilinear")
    if _DIMS.get(mode, x.ndim) != x.ndim:
        raise NotImplementedError(f"interpolate: Got {x.ndim}D input, but {mode} mode needs {_DIMS[mode]}D input")
    if mode in _DIMS and not x.is_floating_point():
        raise NotImplementedError(f"interpolate: mode {mode} expects a floating type, got {x.dtype}")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError("interpolate: Anti-alias option is restricted to bilinear and bicubic modes and requires a "
                         "4-D tensor as input")
