"""Window functions for spectra: n samples of one period, or `periodic=False` symmetric ones."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from .creation import factory


@factory
def hann_window(xp, window_length, periodic=True, *, dtype=None):
    """(1 - cos(2 pi i / n)) / 2."""
    return _window(xp, "hann_window", window_length, periodic, dtype, _cosines(xp, 0.5, 0.5))


@factory
def hamming_window(xp, window_length, periodic=True, alpha=0.54, beta=0.46, *, dtype=None):
    """alpha - beta cos(2 pi i / n)."""
    return _window(xp, "hamming_window", window_length, periodic, dtype, _cosines(xp, alpha, beta))


@factory
def blackman_window(xp, window_length, periodic=True, *, dtype=None):
    """0.42 - 0.5 cos(2 pi i / n) + 0.08 cos(4 pi i / n)."""
    return _window(xp, "blackman_window", window_length, periodic, dtype, _cosines(xp, 0.42, 0.5, 0.08))


@factory
def bartlett_window(xp, window_length, periodic=True, *, dtype=None):
    """A triangle: 1 - |2 i / n - 1|."""
    return _window(xp, "bartlett_window", window_length, periodic, dtype, lambda x: 1 - xp.abs(2 * x - 1))


@factory
def kaiser_window(xp, window_length, periodic=True, beta=12.0, *, dtype=None):
    """I0(beta sqrt(1 - (2 i / n - 1)²)) / I0(beta), with I0 the modified Bessel function."""
    return _window(xp, "kaiser_window", window_length, periodic, dtype,
                   lambda x: xp.i0(beta * xp.sqrt(xp.maximum(1 - (2 * x - 1) ** 2, 0))) / np.i0(beta))


def _cosines(xp: Any, *weights: float) -> Callable:
    def curve(x):
        return sum((-1) ** j * w * xp.cos(2 * math.pi * j * x) for j, w in enumerate(weights))
    return curve


def _window(xp: Any, name: str, length: int, periodic: bool, dtype: Any, curve: Callable) -> Any:
    """`curve` at i / n for i below `length`, where n is length, or length - 1 for a symmetric window."""
    if length < 0:
        raise RuntimeError(f"{name}: requires non-negative window_length, got window_length={length}")
    d = dtypes.get_default_dtype() if dtype is None else dtypes.from_numpy(dtype)
    if not d.is_floating_point:
        raise RuntimeError(f"{name}: expects floating point dtypes, got {d}")
    n = length if periodic else length - 1
    x = xp.arange(length) / max(n, 1)
    return (xp.ones(1) if length == 1 else curve(x)).astype(dtypes.to_numpy(d))
