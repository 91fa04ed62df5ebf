"""Resampling along an axis: each output is a weighted sum of neighbouring inputs."""
from __future__ import annotations

from functools import cached_property
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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Band) and np.array_equal(self.matrix, other.matrix)

    def __hash__(self) -> int:
        return hash(self.matrix.shape)

    @cached_property
    def adjoint(self) -> Band:
        """The band of the transposed matrix, with which gradients go back."""
        return Band(np.ascontiguousarray(self.matrix.T))


@kernel
def banded(xp, x, band, axis):
    """x with `axis` resampled: the sum over a band's width of weights times x at that place.

    float16 and bfloat16 are added up in float32.
    """
    shape = [1] * x.ndim
    shape[axis] = -1
    y, wide = 0, widen(x)
    for i, weights in enumerate(band.weights.T):
        places = xp.asarray(band.start + i)
        y = y + xp.take(wide, places, axis) * xp.asarray(weights.reshape(shape).astype(wide.dtype))
    return cast(y, x.dtype)


def _not_plain(x: Any, band: Band, axis: int) -> str | None:
    if x.dtype.char not in "fd" or not x.flags.c_contiguous or not x.flags.writeable:
        return "contiguous float32 and float64 only"
    return f"fewer than {LARGE} results" if x.size // x.shape[axis] * len(band.start) < LARGE else None


banded.version("numba", "cpu", "minitorch_kernels.cpu.resample:banded", _not_plain)
