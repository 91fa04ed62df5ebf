"""Images read at arbitrary places, point by point and neighbour by neighbour."""
import itertools
import math

import numpy as np

from . import WIDE, BadInput, OpCase, Sample, register


def _affine_grid(theta, size, align_corners=None):
    n, nd = size[0], len(size) - 2
    y = np.zeros((n, *size[2:], nd))
    for b, *place in np.ndindex(n, *size[2:]):
        ends = [0.0 if m == 1 else 2 * i / (m - 1) - 1 if align_corners else (2 * i + 1) / m - 1 for i,
            m in zip(place, size[2:])]
        y[(b, *place)] = theta[b] @ [*reversed(ends), 1.0]
    return y


register(OpCase("affine_grid", _affine_grid, [
    Sample(lambda rng, size=size: (rng.standard_normal((size[0], len(size) - 2, len(size) - 1)), size),
        {"align_corners": align})
    for size in ((2, 1, 3, 4), (1, 2, 1, 2), (1, 1, 2, 3, 1)) for align in (False, True)],
    errors=[BadInput((np.zeros((2, 2, 2)), (2, 1, 3, 4)), {}, RuntimeError,
        "Expected a batch of affine matrices of shape 2x2x3"),
            BadInput((np.zeros((3, 2, 3)), (2, 1, 3, 4)), {}, RuntimeError, "affine matrices"),
            BadInput((np.zeros((2, 2, 3)), (2, 1, 3)), {}, NotImplementedError, "affine_grid")]))


def _inside(p, n, padding_mode, align):
    """A place moved inside an axis of n, as `padding_mode` says."""
    if padding_mode == "reflection":
        low, high = (0.0, n - 1.0) if align else (-0.5, n - 0.5)
        if high == low:
            return 0.0
        p = (p - low) % (2 * (high - low))
        p = low + min(p, 2 * (high - low) - p)
    return p if padding_mode == "zeros" else min(max(p, 0.0), n - 1.0)


def _cubic(d, a=-0.75):
    d = abs(d)
    return (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a


def _taps(p, n, mode, padding_mode, align):
    """The positions in an axis of n, and their weights, that make the value at p in [-1, 1]."""
    p = (p + 1) / 2 * (n - 1) if align else ((p + 1) * n - 1) / 2
    if mode == "bicubic":
        low = math.floor(p)
        return [(int(_inside(low + o, n, padding_mode, align)), _cubic(p - low - o)) for o in (-1, 0, 1, 2)]
    p = _inside(p, n, padding_mode, align)
    low = math.floor(p)
    return [(round(p), 1.0)] if mode == "nearest" else [(low, 1 - (p - low)), (low + 1, p - low)]


def _grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    y = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for b, *place in np.ndindex(grid.shape[:-1]):
        axes = [_taps(p, n, mode, padding_mode, align_corners) for p,
            n in zip(grid[(b, *place)][::-1], x.shape[2:])]
        for chosen in itertools.product(*axes):
            at = [i for i, _ in chosen]
            if all(0 <= i < n for i, n in zip(at, x.shape[2:])):
                y[(b, slice(None), *place)] += x[(b, slice(None), *at)] * math.prod([w for _, w in chosen])
    return y


def reading(size, out, reach=1.6):
    """An image of `size`, and places in it and around it: `reach` beyond 1 is outside."""
    return lambda rng: (rng.standard_normal(size), rng.uniform(-reach, reach, (size[0], *out, len(size) - 2)))


X, GRID = np.zeros((2, 1, 3, 4)), np.zeros((2, 5, 5, 2))
for padding_mode in ("zeros", "border", "reflection"):
    for align in (False, True):
        options = {"padding_mode": padding_mode, "align_corners": align}
        register(OpCase("grid_sample", _grid_sample, [
            *(Sample(reading((2, 2, 3, 4), (3, 2)), {"mode": mode, **options})
                for mode in ("bilinear", "nearest", "bicubic")),
            *(Sample(reading((1, 2, 2, 3, 2), (2, 1, 2)), {"mode": mode, **options})
                for mode in ("bilinear", "nearest")),
            Sample(reading((1, 1, 1, 3), (2, 2)), options),
            Sample(reading((1, 1, 2, 2), (1, 3), 4.0), options),
            Sample(reading((1, 2, 2, 2), (0, 3)), options),
        ], variant=f"{padding_mode}{' aligned' if align else ''}", dtypes=WIDE,
        errors=[] if padding_mode != "zeros" or align else [
            BadInput((X, GRID), {"mode": "linear"}, ValueError,
                "expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: 'linear'"),
            BadInput((X, GRID), {"padding_mode": "wrap"}, ValueError,
                "expected padding_mode to be .* but got: 'wrap'"),
            BadInput((X, GRID[:1]), {}, RuntimeError, "expected grid"),
            BadInput((X, np.zeros((2, 5, 5, 3))), {}, RuntimeError, "expected grid"),
            BadInput((X[0], GRID), {}, RuntimeError, "expected grid"),
            BadInput((np.zeros((2, 1, 0, 4)), GRID), {}, RuntimeError, "non-empty"),
            BadInput((np.zeros((1, 1, 2, 2, 2)), np.zeros((1, 1, 1, 1, 3))), {"mode": "bicubic"},
                RuntimeError, "4D input")]))
