"""Interpolation point by point, from the definitions; and rearrangements of pixels by loops."""
from __future__ import annotations

import itertools
import math

import numpy as np

from . import BadInput, OpCase, Sample, arrays_like, register


def cubic(d, a):
    d = abs(d)
    if d <= 1:
        return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1
    return a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a if d < 2 else 0.0


def taps(n, m, step, i, mode, align, antialias):
    """The inputs, and their weights, that output i of m takes from an axis of n."""
    if mode in ("nearest", "nearest-exact"):
        return [(min(math.floor((i + (0.5 if mode == "nearest-exact" else 0)) * step), n - 1), 1.0)]
    if antialias:
        stretch = max(step, 1.0)
        centre = (i + 0.5) * step
        reach = stretch * (2 if mode == "bicubic" else 1)
        first, last = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), n)
        found = [(j, cubic((j + 0.5 - centre) / stretch, -0.5) if mode == "bicubic" else
                  max(0.0, 1 - abs((j + 0.5 - centre) / stretch))) for j in range(first, last)]
        total = sum(w for _, w in found)
        return [(j, w / total) for j, w in found]
    at = i * (n - 1) / (m - 1) if align and m > 1 else 0.0 if align else (i + 0.5) * step - 0.5
    if mode == "bicubic":
        low = math.floor(at)
        return [(min(max(low + o, 0), n - 1), cubic(at - low - o, -0.75)) for o in (-1, 0, 1, 2)]
    at = min(max(at, 0), n - 1)
    low = math.floor(at)
    return [(low, 1 - (at - low)), (min(low + 1, n - 1), at - low)]


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None,
                antialias=False):
    nd = x.ndim - 2
    if size is None:
        factors = scale_factor if isinstance(scale_factor, tuple) else (scale_factor,) * nd
        size = [math.floor(n * f) for n, f in zip(x.shape[2:], factors)]
        steps = [n / m if recompute_scale_factor else 1 / f for n, m, f in zip(x.shape[2:], size, factors)]
    else:
        size = size if isinstance(size, tuple) else (size,) * nd
        steps = [n / m for n, m in zip(x.shape[2:], size)]
    if mode == "area":
        y = np.zeros((*x.shape[:2], *size))
        for at in np.ndindex(*size):
            cut = tuple(slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(at, x.shape[2:], size))
            y[(..., *at)] = x[(..., *cut)].mean(tuple(range(2, x.ndim)))
        return y
    y = np.zeros((*x.shape[:2], *size))
    for at in np.ndindex(*size):
        axes = [taps(n, m, s, i, mode, align_corners, antialias) for n, m, s, i in zip(x.shape[2:], size, steps, at)]
        for chosen in itertools.product(*axes):
            y[(..., *at)] += math.prod(w for _, w in chosen) * x[(..., *(j for j, _ in chosen))]
    return y


def pixel_shuffle(x, r):
    *batch, c, h, w = x.shape
    y = np.zeros((*batch, c // r ** 2, h * r, w * r))
    for k, i, j in np.ndindex(*y.shape[-3:]):
        y[..., k, i, j] = x[..., k * r * r + i % r * r + j % r, i // r, j // r]
    return y


def pixel_unshuffle(x, r):
    *batch, c, h, w = x.shape
    y = np.zeros((*batch, c * r ** 2, h // r, w // r))
    for k, i, j in np.ndindex(*x.shape[-3:]):
        y[..., k * r * r + i % r * r + j % r, i // r, j // r] = x[..., k, i, j]
    return y


def channel_shuffle(x, groups):
    c = x.shape[1]
    return x[:, [g * (c // groups) + i for i in range(c // groups) for g in range(groups)]]


LINE, IMAGE, VOLUME = arrays_like((2, 3, 5)), arrays_like((1, 2, 4, 5)), arrays_like((1, 2, 3, 2, 4))
register(OpCase("nn.functional.interpolate", interpolate, [
    Sample(LINE, dict(size=8)), Sample(LINE, dict(scale_factor=0.7)), Sample(LINE, dict(scale_factor=2.0)),
    Sample(IMAGE, dict(size=(7, 3))), Sample(IMAGE, dict(scale_factor=(2.0, 3.0))),
    Sample(VOLUME, dict(scale_factor=1.7)),
    Sample(IMAGE, dict(size=(7, 3), mode="nearest-exact")), Sample(LINE, dict(scale_factor=1.3, mode="nearest-exact")),
    Sample(LINE, dict(size=8, mode="linear")), Sample(LINE, dict(size=3, mode="linear", align_corners=True)),
    Sample(LINE, dict(size=1, mode="linear", align_corners=True)), Sample(LINE, dict(scale_factor=1.7, mode="linear")),
    Sample(LINE, dict(scale_factor=1.7, mode="linear", recompute_scale_factor=True)),
    Sample(IMAGE, dict(size=(7, 3), mode="bilinear")), Sample(IMAGE, dict(scale_factor=2.0, mode="bilinear")),
    Sample(IMAGE, dict(size=(6, 9), mode="bilinear", align_corners=True)),
    Sample(IMAGE, dict(size=(4, 5), mode="bilinear"), name="same size"),
    Sample(IMAGE, dict(size=(2, 3), mode="bilinear", antialias=True)),
    Sample(IMAGE, dict(size=(7, 3), mode="bicubic")), Sample(IMAGE, dict(scale_factor=1.5, mode="bicubic")),
    Sample(IMAGE, dict(size=(6, 9), mode="bicubic", align_corners=True)),
    Sample(IMAGE, dict(size=(2, 7), mode="bicubic", antialias=True)),
    Sample(VOLUME, dict(size=(2, 4, 3), mode="trilinear")),
    Sample(VOLUME, dict(size=(4, 4, 5), mode="trilinear", align_corners=True)),
    Sample(LINE, dict(size=3, mode="area")), Sample(IMAGE, dict(size=(3, 7), mode="area")),
    Sample(VOLUME, dict(size=(2, 1, 3), mode="area")), Sample(arrays_like((1, 1, 1, 1)), dict(size=3, mode="bilinear")),
    Sample(arrays_like((0, 1, 2)), dict(size=3, mode="linear"), name="empty batch"),
], [
    BadInput((np.zeros((1, 2, 3)),), {}, ValueError, "interpolate: either size or scale_factor"),
    BadInput((np.zeros((1, 2, 3)), 3, 2.0), {}, ValueError, "interpolate: only one of size or scale_factor"),
    BadInput((np.zeros((1, 2, 3)), 3), dict(align_corners=True), ValueError, "interpolate: align_corners"),
    BadInput((np.zeros((1, 2, 3)), 3), dict(mode="bilinear"), NotImplementedError, "interpolate: Got 3D input"),
    BadInput((np.zeros((1, 2, 3)), (3, 4)), {}, ValueError, "same number of spatial dimensions"),
    BadInput((np.zeros((1, 2, 3)), 0), {}, RuntimeError, "should be greater than 0"),
    BadInput((np.zeros((2, 3)), 3), {}, NotImplementedError, "interpolate: Input Error"),
    BadInput((np.zeros((1, 2, 3)), 3), dict(mode="linear", antialias=True), ValueError, "Anti-alias"),
    BadInput((np.zeros((1, 2, 3), np.int64), 3), dict(mode="linear"), RuntimeError, "interpolate: mode linear"),
], tol={"float16": 3e-2}, grad_tol={"float16": 1e-1}))  # weights, rounded to float16, multiply twice

register(OpCase("pixel_shuffle", pixel_shuffle, [
    Sample(lambda rng: (rng.standard_normal((2, 8, 2, 3)), 2)), Sample(lambda rng: (rng.standard_normal((9, 1, 2)), 3)),
    Sample((np.zeros((0, 4, 2, 2)), 2), grad=False, name="empty"),
], [BadInput((np.zeros((1, 3, 2, 2)), 2), {}, RuntimeError, "pixel_shuffle: expects its input's 'channel'")], view=True))
register(OpCase("pixel_unshuffle", pixel_unshuffle, [
    Sample(lambda rng: (rng.standard_normal((2, 2, 4, 6)), 2)), Sample(lambda rng: (rng.standard_normal((1, 3, 6)), 3)),
], [BadInput((np.zeros((1, 3, 3, 2)), 2), {}, RuntimeError, "pixel_unshuffle: expects height")], view=True))
register(OpCase("channel_shuffle", channel_shuffle, [
    Sample(lambda rng: (rng.standard_normal((2, 6, 2)), 2)), Sample(lambda rng: (rng.standard_normal((1, 6, 2, 2)), 3)),
], [BadInput((np.zeros((1, 3, 2, 2)), 2), {}, RuntimeError, "channel_shuffle: Number of channels")], view=True))


def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False):
    nd = x.ndim - 2
    y = np.zeros((x.shape[0], x.shape[1], *grid.shape[1:-1]))
    for n, *out in np.ndindex(*grid.shape[:-1]):
        at = [((g + 1) * (s - 1) / 2 if align_corners else ((g + 1) * s - 1) / 2)
              for g, s in zip(grid[(n, *out)][::-1], x.shape[2:])]
        if mode != "bicubic":
            at = [inside(p, s, padding_mode, align_corners) for p, s in zip(at, x.shape[2:])]
        if mode == "nearest":
            axes = [[(int(np.rint(p)), 1.0)] for p in at]
        elif mode == "bilinear":
            axes = [[(math.floor(p), 1 - (p - math.floor(p))), (math.floor(p) + 1, p - math.floor(p))] for p in at]
        else:
            axes = [[(inside(math.floor(p) + o, s, padding_mode, align_corners), cubic(p - math.floor(p) - o, -0.75))
                     for o in (-1, 0, 1, 2)] for p, s in zip(at, x.shape[2:])]
        for chosen in itertools.product(*axes):
            place = tuple(int(j) for j, _ in chosen)
            if all(0 <= j < s for j, s in zip(place, x.shape[2:])):
                y[(n, slice(None), *out)] += math.prod(w for _, w in chosen) * x[(n, slice(None), *place)]
    return y


def inside(p, n, padding_mode, align):
    if padding_mode == "zeros":
        return p
    if padding_mode == "reflection":
        low, high = (0.0, n - 1.0) if align else (-0.5, n - 0.5)
        while high > low and not low <= p <= high:
            p = 2 * low - p if p < low else 2 * high - p
        p = p if high > low else 0.0
    return min(max(p, 0), n - 1)


def affine_grid(theta, size, align_corners=False):
    nd = len(size) - 2
    grid = np.zeros((size[0], *size[2:], nd))
    for n, *at in np.ndindex(size[0], *size[2:]):
        place = [(2 * i / (m - 1) - 1 if m > 1 else 0.0) if align_corners else (2 * i + 1) / m - 1
                 for i, m in zip(at, size[2:])]
        grid[(n, *at)] = theta[n] @ np.array([*place[::-1], 1.0])
    return grid


def at_places(shape, grid):
    """An image, and places of which some lie outside; none within 0.02 of a pixel's or the edge's line."""
    def make(rng):
        g = rng.uniform(-1.4, 1.4, grid)
        for n in (*shape[2:], *(s - 1 for s in shape[2:])):
            off = (g + 1) * n
            g = np.where(abs(off - np.rint(off)) < 0.05, g + 0.06 / n, g)
        return rng.standard_normal(shape), g
    return make


register(OpCase("grid_sample", grid_sample, [
    *[Sample(at_places((2, 2, 4, 5), (2, 2, 3, 2)), dict(mode=mode, padding_mode=padding, align_corners=align))
      for mode, padding, align in (("bilinear", "zeros", False), ("bilinear", "border", True),
                                   ("bilinear", "reflection", False), ("bilinear", "reflection", True),
                                   ("bicubic", "zeros", False), ("bicubic", "border", True),
                                   ("bicubic", "reflection", False))],
    Sample(at_places((1, 2, 2, 3, 3), (1, 2, 2, 1, 3)), dict(padding_mode="border", align_corners=False)),
    Sample(at_places((2, 2, 4, 5), (2, 2, 3, 2)), dict(mode="nearest", align_corners=False), grad=False),
], [
    BadInput((np.zeros((1, 2, 3, 3)), np.zeros((1, 2, 2, 3))), {}, RuntimeError, "grid_sample: expected grid"),
    BadInput((np.zeros((1, 2, 3, 3)), np.zeros((1, 2, 2, 2))), dict(mode="cubic"), ValueError, "expected mode"),
    BadInput((np.zeros((1, 2, 3, 3)), np.zeros((1, 2, 2, 2))), dict(padding_mode="wrap"), ValueError, "padding_mode"),
], dtypes=("float64", "float32"), second=False, torch="nn.functional.grid_sample"))
register(OpCase("affine_grid", affine_grid, [
    Sample(arrays_like((2, 2, 3)), dict(size=(2, 1, 3, 4), align_corners=False)),
    Sample(arrays_like((1, 2, 3)), dict(size=(1, 1, 1, 4), align_corners=True)),
    Sample(arrays_like((1, 3, 4)), dict(size=(1, 1, 2, 2, 3), align_corners=True)),
], [BadInput((np.zeros((2, 2, 2)), (2, 1, 3, 4)), {}, RuntimeError, "affine_grid: Expected a batch")],
    torch="nn.functional.affine_grid"))
