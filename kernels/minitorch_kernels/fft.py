"""Discrete Fourier transforms: complex to complex, and between real sequences and the half of their spectrum."""
from __future__ import annotations

from typing import Any

from .table import kernel


@kernel
def fft_c2c(xp, x, dims, scale, inverse):
    """scale Σ x[j] exp(∓2 pi i j k / n) along `dims`, plus for the inverse.

    >>> import numpy as np
    >>> fft_c2c(np, np.array([1, 2j]), (0,), 1.0, False)
    array([1.+2.j, 1.-2.j])
    """
    return _scaled(xp.fft.ifftn(x, axes=dims, norm="forward") if inverse else xp.fft.fftn(x, axes=dims), scale)


@kernel
def fft_r2c(xp, x, dim, scale, middle):
    """The first n // 2 + 1 elements of the transform of a real x; those that stand for two times `middle`."""
    return _weighted(xp, _scaled(xp.fft.rfft(x, axis=dim), scale), dim, x.shape[dim], middle)


@kernel
def fft_c2r(xp, x, dim, n, scale, middle):
    """The real sequence of `n` elements whose inverse transform begins with x (n // 2 + 1 elements); of these, those
    that stand for two are multiplied by `middle` first."""
    return _scaled(xp.fft.irfft(_weighted(xp, x, dim, n, middle), n, axis=dim, norm="forward"), scale)


def _weighted(xp: Any, x: Any, dim: int, n: int, middle: float) -> Any:
    """Half a spectrum with `middle` times the elements whose conjugates are left out: all but 0 and n / 2."""
    if middle == 1:
        return x
    k = xp.arange(x.shape[dim])
    weights = xp.where((k == 0) | (2 * k == n), 1.0, middle).astype("f" if x.dtype.char == "F" else "d")
    return x * weights.reshape([-1 if i == dim else 1 for i in range(x.ndim)])


def _scaled(y: Any, scale: float) -> Any:
    return y if scale == 1 else y * scale
