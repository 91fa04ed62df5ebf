"""Window functions of M samples: symmetric ones, or with `sym=False` one period of the window of M + 1.

Formulas: Harris 1978, "On the use of windows for harmonic analysis with the discrete Fourier transform". All take
`sym`, `dtype` (float32 or float64), `layout`, `device` and `requires_grad` by name, and raise ValueError for a negative
M, for other dtypes, and for parameters out of their range.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from operator import index
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import absent_from as _absent_from
from ..op import FUNCTIONS

__all__ = ["bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming",
           "hann", "kaiser", "nuttall"]
__getattr__ = _absent_from(__name__, lambda: __all__)


def _window(make: Callable) -> Callable:
    """`make(i, n, ...)`, the value at sample i of 0 to n, as the function that returns a window of M samples."""
    name = make.__name__

    @wraps(make)
    def window(M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
               requires_grad: bool = False, **parameters: Any) -> Any:
        d = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
        if index(M) < 0:
            raise ValueError(f"{name} requires non-negative window length, got M={M}")
        if d not in (dtypes.float32, dtypes.float64):
            raise ValueError(f"{name} expects float32 or float64 dtypes, got: {d}")
        if layout is not None and layout is not FUNCTIONS["empty"](0).layout:
            raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
        count = index(M)
        values = make(np.arange(count), max(count - 1 if sym else count, 0), sym=sym, **parameters)
        if count == 1:
            values = np.ones(1)
        return FUNCTIONS["tensor"](values, dtype=d, device=device, requires_grad=requires_grad)

    del window.__wrapped__  # type: ignore[attr-defined]  # its parameters are other ones
    return window


@_window
def exponential(i, n, *, center=None, tau=1.0, sym=True):
    """exp(-|i - center| / tau); `center` is the middle, n / 2, unless said, which only `sym=False` allows.

    >>> exponential(3)
    tensor([0.3679, 1.0000, 0.3679])
    """
    if tau <= 0:
        raise ValueError(f"exponential: Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError(f"exponential: Center must be None for symmetric windows, got {center}")
    return np.exp(-np.abs(i - (n / 2 if center is None else center)) / tau)


@_window
def cosine(i, n, *, sym=True):
    """sin(pi (i + 1/2) / (n + 1)): half a wave."""
    return np.sin(np.pi * (i + 0.5) / (n + 1))


@_window
def gaussian(i, n, *, std=1.0, sym=True):
    """exp(-((i - n / 2) / std)² / 2)."""
    if std <= 0:
        raise ValueError(f"gaussian: Standard deviation must be positive, got: {std} instead.")
    return np.exp(-((i - n / 2) / std) ** 2 / 2)


@_window
def kaiser(i, n, *, beta=12.0, sym=True):
    """I0(beta √(1 - (2 i / n - 1)²)) / I0(beta), with I0 the modified Bessel function."""
    if beta < 0:
        raise ValueError(f"kaiser: beta must be non-negative, got: {beta} instead.")
    return np.i0(beta * np.sqrt(np.maximum(1 - (2 * i / max(n, 1) - 1) ** 2, 0))) / np.i0(beta)


@_window
def general_cosine(i, n, *, a: Iterable, sym=True):
    """Σ (-1)^j a[j] cos(2 pi i j / n).

    >>> general_cosine(3, a=[0.5, 0.5])
    tensor([0., 1., 0.])
    """
    if not isinstance(a, (list, tuple)):
        raise TypeError(f"general_cosine: Coefficients must be a list/tuple, got {type(a).__name__}")
    if not a:
        raise ValueError("general_cosine: Coefficients cannot be empty")
    return _cosines(i, n, a)


@_window
def general_hamming(i, n, *, alpha=0.54, sym=True):
    """alpha - (1 - alpha) cos(2 pi i / n)."""
    return _cosines(i, n, (alpha, 1 - alpha))


@_window
def hamming(i, n, *, sym=True):
    """0.54 - 0.46 cos(2 pi i / n)."""
    return _cosines(i, n, (0.54, 0.46))


@_window
def hann(i, n, *, sym=True):
    """(1 - cos(2 pi i / n)) / 2."""
    return _cosines(i, n, (0.5, 0.5))


@_window
def blackman(i, n, *, sym=True):
    """0.42 - 0.5 cos(2 pi i / n) + 0.08 cos(4 pi i / n)."""
    return _cosines(i, n, (0.42, 0.5, 0.08))


@_window
def nuttall(i, n, *, sym=True):
    """Four cosines with continuous first derivative; Nuttall 1981, "Some windows with very good sidelobe behavior"."""
    return _cosines(i, n, (0.3635819, 0.4891775, 0.1365995, 0.0106411))


@_window
def bartlett(i, n, *, sym=True):
    """A triangle: 1 - |2 i / n - 1|."""
    return 1 - np.abs(2 * i / max(n, 1) - 1)


def _cosines(i: Any, n: int, weights: Iterable) -> Any:
    return sum((-1) ** j * w * np.cos(2 * np.pi * j * i / max(n, 1)) for j, w in enumerate(weights))
