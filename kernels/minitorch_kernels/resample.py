"""Resampling along an axis: each output is a weighted sum of neighbouring inputs."""
from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from .norm import cast, widen
from .table import kernel

LARGE = 1 << 14  # results from which a compiled loop is worth it


class Band:
    """A matrix of weights, out x in, whose rows are 0 but for a few neighbours: output i = weights[i] · x[start[i]:].

    >>> band = Band(np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0, 1]]))
    >>> band.start.tolist(), band.weights.tolist()
    ([0, 0, 1], [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    """

    def __init__(self, matrix: np.ndarray):
        self.matrix = matrix
        used = matrix != 0
        first, some = used.argmax(1), used.any(1)
        last = np.where(some, matrix.shape[1] - 1 - used[:, ::-1].argmax(1), first)
        width = int((last - first).max(initial=0)) + 1
        self.start = np.minimum(first, matrix.shape[1] - width)
        self.weights = np.take_along_axis(matrix, self.start[:, None] + np.arange(width), 1)
        self.single = self.weights.astype(np.float32)

    def arrays(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """What `banded` takes for arrays of `dtype`: start, and weights in the type in which it adds up."""
        return self.start, self.weights if dtype == np.float64 else self.single

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Band) and np.array_equal(self.matrix, other.matrix)

    def __hash__(self) -> int:
        return hash(self.matrix.shape)

    @cached_property
    def adjoint(self) -> Band:
        """The band of the transposed matrix, with which gradients go back."""
        return Band(np.ascontiguousarray(self.matrix.T))


@kernel
def banded(xp, x, start, weights, axis):
    """x resampled along `axis`: output i is the sum of a few neighbours, weights[i] · x[start[i]:].

    start (out,) and weights (out, width), in x's type. float16 and bfloat16 are added up in float32, that of their
    weights.
    """
    shape = [1] * x.ndim
    shape[axis] = -1
    y, wide = 0, widen(x)
    for j in range(weights.shape[1]):
        y = y + xp.take(wide, xp.asarray(start + j), axis) * xp.asarray(np.reshape(weights[:, j], shape))
    return cast(y, x.dtype)


def _not_plain(x: Any, start: np.ndarray, weights: np.ndarray, axis: int) -> str | None:
    if x.dtype.char not in "fd" or not x.flags.c_contiguous or not x.flags.writeable:
        return "contiguous float32 and float64 only"
    return f"fewer than {LARGE} results" if x.size // x.shape[axis] * len(start) < LARGE else None


banded.version("numba", "cpu", "minitorch_kernels.cpu.resample:banded", _not_plain)


@lru_cache(128)
def nearest(n: int, m: int, scale: float | None, exact: bool) -> np.ndarray:
    """The input place of each output: of its start, or with `exact` of its centre. In float32, as PyTorch rounds."""
    i = np.arange(m, dtype=np.float32) + np.float32(0.5 if exact else 0)
    return np.minimum(np.floor(i * np.float32(_step(n, m, scale))).astype(np.int64), n - 1)


@lru_cache(128)
def interpolation(n: int, m: int, scale: float | None, cubic: bool, align: bool) -> Band:
    """The weight of each of n inputs in each of m outputs."""
    at = np.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0.0) if align else \
        (np.arange(m) + 0.5) * _step(n, m, scale) - 0.5
    if not cubic:
        at = np.clip(at, 0, n - 1)
    left = np.floor(at).astype(np.int64)
    t = at - left
    w = np.zeros((m, n))
    for offset, weight in zip((-1, 0, 1, 2), _cubic_weights(t)) if cubic else ((0, 1 - t), (1, t)):
        np.add.at(w, (np.arange(m), np.clip(left + offset, 0, n - 1)), weight)
    return Band(w)


@lru_cache(128)
def antialiased(n: int, m: int, scale: float | None, mode: str, align: bool) -> Band:
    """Weights of a kernel as wide as an output pixel, normalised to sum 1."""
    step = ((n - 1) / (m - 1) if m > 1 else 0.0) if align else _step(n, m, scale)
    stretch = max(step, 1.0)
    centre = (np.arange(m) + 0.5)[:, None] * step
    reach = (2.0 if mode == "bicubic" else 1.0) * stretch
    i = np.arange(n)
    inside = (i >= np.maximum(np.floor(centre - reach + 0.5), 0)) & (i < np.minimum(np.floor(centre + reach + 0.5), n))
    d = np.abs((i + 0.5 - centre) / stretch)
    w = np.where(inside, _cubic(d, -0.5) if mode == "bicubic" else np.maximum(1 - d, 0), 0)
    return Band(w / w.sum(1, keepdims=True))


def _cubic_weights(t: np.ndarray) -> list[np.ndarray]:
    return [_cubic(np.abs(t - offset), -0.75) for offset in (-1, 0, 1, 2)]


def _cubic(d: np.ndarray, a: float) -> np.ndarray:
    """Keys's cubic convolution kernel (1981) at distance d >= 0."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _step(n: int, m: int, scale: float | None) -> float:
    """How far apart two outputs lie in the input."""
    return n / m if scale is None else 1 / scale
