"""Interpolation, and pixels to channels and back."""
from __future__ import annotations

from itertools import product
from math import ceil, floor

import numpy as np

from . import BadInput, OpCase, Sample, arrays_like, register
from .pooling import adaptive_avg


def cubic(d, a):
    """Keys's kernel at distance d."""
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def line(n, m, scale, mode, align, antialias):
    """For each of m outputs along an axis of n: [(place, weight), ...]."""
    step = n / m if scale is None else 1 / scale
    if align:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
    found = []
    for i in range(m):
        if mode.startswith("nearest"):
            at = np.float32(i + (0.5 if mode == "nearest-exact" else 0)) * np.float32(step)  # PyTorch counts in float32
            found.append([(min(floor(at), n - 1), 1.0)])
        elif antialias:
            width = max(step, 1.0)
            centre, reach = (i + 0.5) * step, (2 if mode == "bicubic" else 1) * width
            places = range(max(floor(centre - reach + 0.5), 0), min(floor(centre + reach + 0.5), n))
            weights = [cubic((j + 0.5 - centre) / width, -0.5) if mode == "bicubic" else
                       max(0, 1 - abs(j + 0.5 - centre) / width) for j in places]
            found.append([(j, w / sum(weights)) for j, w in zip(places, weights)])
        else:
            at = i * step if align else (i + 0.5) * step - 0.5
            if mode == "bicubic":
                near = range(floor(at) - 1, floor(at) + 3)
                found.append([(min(max(j, 0), n - 1), cubic(at - j, -0.75)) for j in near])
            else:
                at = min(max(at, 0), n - 1)
                found.append([(floor(at), 1 - at + floor(at)), (ceil(at), at - floor(at))])
    return found


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None,
                antialias=False):
    nd = x.ndim - 2
    def each(value):
        return value if isinstance(value, (tuple, list)) else (value,) * nd

    scales = each(scale_factor)
    out = each(size) if size is not None else [floor(n * s) for n, s in zip(x.shape[2:], scales)]
    if mode == "area":
        return adaptive_avg(x, tuple(out))
    scales = (None,) * nd if recompute_scale_factor else scales
    lines = [line(n, m, s, mode, align_corners, antialias) for n, m, s in zip(x.shape[2:], out, scales)]
    y = np.zeros((*x.shape[:2], *out))
    for place in product(*map(range, out)):
        for taps in product(*(axis[i] for axis, i in zip(lines, place))):
            y[(..., *place)] += x[(..., *(j for j, _ in taps))] * np.prod([w for _, w in taps])
    return y


THREE, FOUR = np.zeros((1, 1, 4)), np.zeros((1, 1, 2, 3))
SCALES = ({"size": 7}, {"size": 3}, {"scale_factor": 1.7}, {"scale_factor": 0.6},
          {"scale_factor": 1.7, "recompute_scale_factor": True})
register(OpCase("interpolate", interpolate, [
    *[Sample(arrays_like((2, 1, 4)), {"mode": mode, **scale}) for mode in ("nearest", "nearest-exact", "linear", "area")
      for scale in SCALES],
    *[Sample(arrays_like((1, 2, 3, 4)), {"mode": mode, "size": (5, 2)}) for mode in ("nearest", "area")],
    *[Sample(arrays_like((1, 2, 3, 4)), {"mode": mode, **options}) for mode in ("bilinear", "bicubic") for options in (
        {"size": (5, 2)}, {"size": (2, 7), "align_corners": True}, {"scale_factor": (1.5, 0.5)}, {"size": 1},
        {"size": (1, 4), "align_corners": True}, {"scale_factor": 2.0, "align_corners": True})],
    *[Sample(arrays_like((1, 1, 6, 5)), {"mode": mode, "size": (3, 7), "antialias": True, "align_corners": align})
      for mode in ("bilinear", "bicubic") for align in (False, True)],
    Sample(arrays_like((1, 1, 9, 7)), {"mode": "bicubic", "scale_factor": 0.4, "antialias": True}),
    Sample(arrays_like((1, 1, 2, 3, 2)), {"mode": "trilinear", "size": (3, 2, 4)}),
    Sample(arrays_like((1, 1, 2, 3, 2)), {"mode": "trilinear", "scale_factor": 2.0, "align_corners": True}),
    Sample(arrays_like((1, 1, 2, 2, 3)), {"scale_factor": 2}), Sample(arrays_like((0, 1, 4)), {"size": 3}),
    Sample(arrays_like((1, 1, 1)), {"size": 3, "mode": "linear"}), Sample(arrays_like((1, 1, 4)), {"size": 4}),
    Sample(arrays_like((1, 1, 4)), {"size": 4, "mode": "linear"}, name="the same size"),
], torch="nn.functional.interpolate", grad_tol={"float16": 1e-1}, errors=[
    BadInput((THREE,), {}, ValueError, "either size or scale_factor"),
    BadInput((THREE,), {"size": 3, "scale_factor": 2.0}, ValueError, "only one of size or scale_factor"),
    BadInput((THREE,), {"size": (3, 3)}, ValueError, "same number of spatial dimensions"),
    BadInput((FOUR,), {"scale_factor": (2.0,)}, ValueError, "same number of spatial dimensions"),
    BadInput((THREE,), {"size": 0}, RuntimeError, "greater than 0"),
    BadInput((THREE,), {"scale_factor": -1.0}, RuntimeError, "greater than 0"),
    BadInput((np.zeros((1, 1, 0)),), {"size": 2}, RuntimeError, "greater than 0"),
    BadInput((THREE,), {"size": 3, "mode": "cubic"}, NotImplementedError, "for the modes"),
    BadInput((THREE[0],), {"size": 3}, NotImplementedError, "Only 3D, 4D and 5D"),
    BadInput((THREE,), {"size": 3, "mode": "bilinear"}, NotImplementedError, "bilinear mode needs 4D"),
    BadInput((THREE,), {"size": 3, "align_corners": True}, ValueError, "align_corners"),
    BadInput((THREE,), {"size": 3, "mode": "linear", "antialias": True}, ValueError, "Anti-alias"),
    BadInput((THREE,), {"size": 3, "recompute_scale_factor": True}, ValueError, "recompute_scale_factor"),
    BadInput((np.zeros((1, 1, 2), int),), {"size": 3, "mode": "linear"}, NotImplementedError, "floating type"),
]))
register(OpCase("upsample", interpolate, [
    Sample(arrays_like((1, 1, 4)), {"size": 7}),
    Sample(arrays_like((1, 1, 2, 3)), {"scale_factor": 2.0, "mode": "bilinear"})],
    torch="nn.functional.upsample"))
register(OpCase("upsample_nearest", interpolate, [Sample(arrays_like((1, 1, 2, 3)), {"scale_factor": 2.0})],
                torch="nn.functional.upsample_nearest"))
register(OpCase("upsample_bilinear", lambda x, size: interpolate(x, size, mode="bilinear", align_corners=True), [
    Sample(arrays_like((1, 1, 2, 3)), {"size": (3, 5)})], torch="nn.functional.upsample_bilinear"))


def pixel_shuffle(x, r):
    *batch, c, h, w = x.shape
    y = np.zeros((*batch, c // (r * r), h * r, w * r))
    for k, i, j in np.ndindex(*y.shape[-3:]):
        y[..., k, i, j] = x[..., k * r * r + i % r * r + j % r, i // r, j // r]
    return y


def pixel_unshuffle(x, r):
    *batch, c, h, w = x.shape
    y = np.zeros((*batch, c * r * r, h // r, w // r))
    for k, i, j in np.ndindex(c, h, w):
        y[..., k * r * r + i % r * r + j % r, i // r, j // r] = x[..., k, i, j]
    return y


def channel_shuffle(x, groups):
    order = [g * (x.shape[1] // groups) + i for i in range(x.shape[1] // groups) for g in range(groups)]
    return x[:, order]


def given(shape, *rest):
    return lambda rng: (rng.standard_normal(shape), *rest)


register(OpCase("pixel_shuffle", pixel_shuffle, [
    Sample(given((2, 8, 2, 3), 2)), Sample(given((9, 1, 2), 3), name="unbatched"), Sample(given((1, 2, 4, 2, 1), 2)),
    Sample(given((1, 2, 3), 1)),
], torch="nn.functional.pixel_shuffle", view=True, errors=[
    BadInput((np.zeros((1, 3, 2, 2)), 2), {}, RuntimeError, "divisible by the square"),
    BadInput((np.zeros((2, 2)), 1), {}, RuntimeError, "shape"),
    BadInput((np.zeros((1, 4, 2, 2)), 0), {}, RuntimeError, "upscale_factor 0")]))
register(OpCase("pixel_unshuffle", pixel_unshuffle, [
    Sample(given((2, 2, 4, 6), 2)), Sample(given((1, 3, 6), 3), name="unbatched"),
], torch="nn.functional.pixel_unshuffle", view=True, errors=[
    BadInput((np.zeros((1, 1, 3, 2)), 2), {}, RuntimeError, "divisible by downscale_factor"),
    BadInput((np.zeros((1, 1, 2, 2)), 0), {}, RuntimeError, "downscale_factor 0")]))
for name, reference, shape in (("pixel_shuffle", pixel_shuffle, (0, 4, 2, 2)),
                               ("pixel_unshuffle", pixel_unshuffle, (0, 1, 2, 2))):  # PyTorch fails there
    register(OpCase(name, reference, [Sample(given(shape, 2))], variant="empty", torch=None, view=True))
register(OpCase("channel_shuffle", channel_shuffle, [
    Sample(given((2, 6, 3), 3)), Sample(given((1, 4, 2, 1), 2)), Sample(given((0, 4, 2), 2)),
    Sample(given((1, 3, 2), 1)),
], torch="nn.functional.channel_shuffle", view=True, errors=[
    BadInput((np.zeros((1, 3, 2)), 2), {}, RuntimeError, "divisible by groups"),
    BadInput((np.zeros((1, 3, 2)), 0), {}, RuntimeError, "0 groups"),
    BadInput((np.zeros((1, 3)), 3), {}, RuntimeError, "channels")]))


def between(n, m):
    """The weights of linear interpolation, from n places to m."""
    matrix = np.zeros((m, n))
    for i, at in enumerate(np.linspace(0, n - 1, m)):
        matrix[i, floor(at)] += 1 - at + floor(at)
        matrix[i, ceil(at)] += at - floor(at)
    return matrix


def banded(x, m, axis):
    from minitorch_kernels.resample import Band

    from minitorch.op import OPS

    return OPS["banded"].call(x, Band(between(x.shape[axis], m)), axis)


def resampled(x, m, axis):
    return np.moveaxis(np.tensordot(between(x.shape[axis], m), x, (1, axis)), 0, axis)


register(OpCase("banded", resampled, [
    Sample(lambda rng, shape=shape, m=m, axis=axis: (rng.standard_normal(shape), m, axis))
    for shape, m, axis in (((2, 5), 9, 1), ((2, 5), 3, 1), ((4, 2, 3), 7, 0), ((2, 1), 4, 1), ((0, 4), 6, 1))],
    call=banded))
