"""Discrete Fourier transforms as ops: three, each the adjoint of another. `minitorch.fft` gives them their faces."""
from __future__ import annotations

from ..op import op


@op(method=False, function=False)
def fft_c2c(k, x, /, dims, scale, inverse):
    """The transform of complex x along `dims`, times `scale`."""
    return k.fft_c2c(x, dims, scale, inverse), lambda dy: k.fft_c2c(dy, dims, scale, not inverse)


@op(method=False, function=False)
def fft_r2c(k, x, /, dim, scale=1.0, middle=1.0):
    """Half the spectrum of real x; what stands for two conjugate elements is multiplied by `middle`."""
    n = x.shape[dim]
    return k.fft_r2c(x, dim, scale, middle), lambda dy: k.fft_c2r(dy, dim, n, scale, middle / 2)


@op(method=False, function=False)
def fft_c2r(k, x, /, dim, n, scale=1.0, middle=1.0):
    """The real sequence that half a spectrum belongs to (unscaled inverse); the adjoint of `fft_r2c`."""
    return k.fft_c2r(x, dim, n, scale, middle), lambda dy: k.fft_r2c(dy, dim, scale, middle * 2)
