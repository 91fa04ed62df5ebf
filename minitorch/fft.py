"""Discrete Fourier transforms under PyTorch's names: `torch.fft`.

`fft` sums x[j] exp(-2 pi i j k / n), `ifft` inverts it; `rfft` gives the first half of a real sequence's spectrum,
which says all, and `irfft` inverts that; `hfft` and `ihfft` are the same for a spectrum that is real. `norm` says
where the factor 1 / n goes: "backward" (the default) to the inverse, "forward" to the other, "ortho" a square root to
both. A length (`n`, or `s` for several dimensions) cuts the input, or fills it up with zeros, first.

All take float32, float64 and their complex types; integers become the default type. RuntimeError is raised for
other types, lengths below 1 and dimensions named twice, IndexError for dimensions that the input does not have.
"""
from __future__ import annotations

import math
from typing import Any

from . import dtypes, shapes
from .errors import DimError, DTypeError, ShapeError
from .errors import absent_from as _absent_from
from .op import FUNCTIONS, OPS
from .ops.gather import into
from .tensor import Tensor

__all__ = ["fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn",
           "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn"]
__getattr__ = _absent_from(__name__, lambda: __all__)
_LAST_TWO = (-2, -1)


# Along one dimension

def fft(input, n=None, dim=-1, norm=None, *, out=None):
    """The spectrum of a complex or real sequence.

    >>> from minitorch import tensor
    >>> fft(tensor([0.0, 1.0, 0.0, 0.0]))
    tensor([ 1.+0.j,  0.-1.j, -1.+0.j,  0.+1.j])
    """
    return _complex("fft", input, _one(n), _only("fft", input, dim), norm, False, out)


def ifft(input, n=None, dim=-1, norm=None, *, out=None):
    """The sequence that has this spectrum."""
    return _complex("ifft", input, _one(n), _only("ifft", input, dim), norm, True, out)


def rfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The first n // 2 + 1 elements of a real sequence's spectrum; the others are their conjugates."""
    return _halved("rfft", input, _one(n), _only("rfft", input, dim), norm, False, out)


def irfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The real sequence of n elements, 2 (size - 1) unless said, that has this half of a spectrum.

    >>> from minitorch import tensor
    >>> irfft(rfft(tensor([1.0, 2.0, 3.0])), 3)
    tensor([1., 2., 3.])
    """
    return _real("irfft", input, _one(n), _only("irfft", input, dim), norm, True, out)


def hfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The real spectrum of n elements of a sequence that is its mirror image's conjugate, given by its first half."""
    return _real("hfft", input, _one(n), _only("hfft", input, dim), norm, False, out)


def ihfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The first half of the sequence that has this real spectrum."""
    return _halved("ihfft", input, _one(n), _only("ihfft", input, dim), norm, True, out)


# Along several dimensions

def fftn(input, s=None, dim=None, norm=None, *, out=None):
    """`fft` along each of `dim`: the last len(s), or all, unless said."""
    return _complex("fftn", input, s, dim, norm, False, out)


def ifftn(input, s=None, dim=None, norm=None, *, out=None):
    """`ifft` along each of `dim`."""
    return _complex("ifftn", input, s, dim, norm, True, out)


def rfftn(input, s=None, dim=None, norm=None, *, out=None):
    """`rfft` along the last of `dim`, `fft` along the others."""
    return _halved("rfftn", input, s, dim, norm, False, out)


def irfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `rfftn`: `ifft` along all but the last of `dim`, then `irfft`."""
    return _real("irfftn", input, s, dim, norm, True, out)


def hfftn(input, s=None, dim=None, norm=None, *, out=None):
    """`fft` along all but the last of `dim`, then `hfft`."""
    return _real("hfftn", input, s, dim, norm, False, out)


def ihfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `hfftn`: `ihfft` along the last of `dim`, `ifft` along the others."""
    return _halved("ihfftn", input, s, dim, norm, True, out)


def fft2(input, s=None, dim=_LAST_TWO, norm=None, *, out=None):
    """`fftn` along the last two dimensions."""
    return _complex("fft2", input, s, dim, norm, False, out)


def ifft2(input, s=None, dim=_LAST_TWO, norm=None, *, out=None):
    """`ifftn` along the last two dimensions."""
    return _complex("ifft2", input, s, dim, norm, True, out)


def rfft2(input, s=None, dim=_LAST_TWO, norm=None, *, out=None):
    """`rfftn` along the last two dimensions."""
    return _halved("rfft2", input, s, dim, norm, False, out)


def irfft2(input, s=None, dim=_LAST_TWO, norm=None, *, out=None):
    """`irfftn` along the last two dimensions."""
    return _real("irfft2", input, s, dim, norm, True, out)


def hfft2(input, s=None, dim=_LAST_TWO, norm=None, *, out=None):
    """`hfftn` along the last two dimensions."""
    return _real("hfft2", input, s, dim, norm, False, out)


def ihfft2(input, s=None, dim=_LAST_TWO, norm=None, *, out=None):
    """`ihfftn` along the last two dimensions."""
    return _halved("ihfft2", input, s, dim, norm, True, out)


# Frequencies

def fftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequencies of the elements of `fft`, in cycles a unit of `d`, the distance of samples.

    >>> fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return _frequencies("fftfreq", n, d, (0, (n + 1) // 2, -(n // 2), 0), out, dtype, device, requires_grad)


def rfftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequencies of the elements of `rfft`: none is negative."""
    return _frequencies("rfftfreq", n, d, (0, n // 2 + 1, 0, 0), out, dtype, device, requires_grad)


def fftshift(input, dim=None):
    """The spectrum with the frequency 0 in the middle of each of `dim` (all).

    >>> fftshift(fftfreq(4))
    tensor([-0.5000, -0.2500,  0.0000,  0.2500])
    """
    return _shifted("fftshift", input, dim, lambda n: n // 2)


def ifftshift(input, dim=None):
    """The inverse of `fftshift`."""
    return _shifted("ifftshift", input, dim, lambda n: (n + 1) // 2)


# The three kinds of transform

def _complex(name: str, x: Tensor, s: Any, dim: Any, norm: Any, inverse: bool, out: Tensor | None) -> Tensor:
    dims, sizes = _extent(name, x, s, dim)
    scale = _scale(name, norm, sizes, inverse)
    x = _resized(_as_complex(_float(name, x)), dims, sizes)
    return _into(name, out, OPS["fft_c2c"].call(x, dims, scale, inverse) if dims else x.clone())


def _halved(name: str, x: Tensor, s: Any, dim: Any, norm: Any, inverse: bool, out: Tensor | None) -> Tensor:
    """From a real sequence to half a complex one: along the last dimension, then whole along the others."""
    if x.is_complex():
        raise DTypeError(f"{name}: {name} expects a real input tensor, but got {x.dtype}")
    dims, sizes = _extent(name, x, s, dim, least=1)
    scale = _scale(name, norm, sizes, inverse)
    y = OPS["fft_r2c"].call(_resized(_float(name, x), dims, sizes), dims[-1], scale)
    if inverse:
        y = y.conj_physical()
    return _into(name, out, OPS["fft_c2c"].call(y, dims[:-1], 1.0, inverse) if dims[1:] else y)


def _real(name: str, x: Tensor, s: Any, dim: Any, norm: Any, inverse: bool, out: Tensor | None) -> Tensor:
    """From half a complex sequence to a real one: whole along all dimensions but the last, which comes then."""
    dims, sizes = _extent(name, x, s, dim, least=1, half=True)
    scale = _scale(name, norm, sizes, inverse)
    x = _resized(_as_complex(_float(name, x)), dims, (*sizes[:-1], sizes[-1] // 2 + 1))
    if dims[1:]:
        x = OPS["fft_c2c"].call(x, dims[:-1], 1.0, inverse)
    return _into(name, out, OPS["fft_c2r"].call(x if inverse else x.conj(), dims[-1], sizes[-1], scale))


def _one(n: int | None) -> Any:
    return None if n is None else (n,)


def _only(name: str, x: Tensor, dim: int) -> tuple[int, ...]:
    if x.ndim == 0:
        raise DimError(f"{name}: Dimension specified as {dim} but tensor has no dimensions")
    return (shapes.axis(name, x, dim),)


def _extent(name: str, x: Tensor, s: Any, dim: Any, least: int = 0, half: bool = False) -> tuple[tuple, tuple]:
    """The dimensions to transform and their sizes; of `half` a spectrum, the last one's size is that of the result."""
    shape = tuple(x._array.shape)
    sizes = None if s is None else (s,) if isinstance(s, int) else tuple(s)
    given = None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if sizes is not None and given is not None and len(sizes) != len(given):
        raise ShapeError(f"{name}: When given, dim and shape arguments must have the same length, got s={sizes} and "
                         f"dim={given}")
    if sizes is not None and len(sizes) > len(shape):
        raise ShapeError(f"{name}: Got shape with {len(sizes)} values but input tensor only has {len(shape)} "
                         "dimensions.")
    first = 0 if sizes is None else len(shape) - len(sizes)
    dims = tuple(range(first, len(shape))) if given is None else tuple([shapes.axis(name, x, d) for d in given])
    if len(set(dims)) != len(dims):
        raise ShapeError(f"{name}: FFT dims must be unique, got {given}")
    if len(dims) < least:
        raise ShapeError(f"{name}: {name} must transform at least one axis")
    found = [shape[d] if n == -1 else n for d, n in zip(dims, sizes or [-1] * len(dims))]
    if half and (sizes is None or sizes[-1] == -1):
        found[-1] = 2 * (found[-1] - 1)
    for n in found:
        if n < 1:
            raise ShapeError(f"{name}: Invalid number of data points ({n}) specified")
    return dims, tuple(found)


def _scale(name: str, norm: str | None, sizes: tuple[int, ...], inverse: bool) -> float:
    if norm not in (None, "backward", "forward", "ortho"):
        raise RuntimeError(f"{name}: Invalid normalization mode: {norm!r}; expected backward, forward or ortho")
    n = math.prod(sizes)
    if norm == "ortho":
        return 1 / math.sqrt(n)
    return 1 / n if inverse == (norm != "forward") else 1.0


def _float(name: str, x: Tensor) -> Tensor:
    if x.dtype in (dtypes.float16, dtypes.bfloat16):
        raise DTypeError(f"{name}: Unsupported dtype {x.dtype}; it takes float32, float64, complex64 and complex128")
    return x if x.is_floating_point() or x.is_complex() else x.to(dtypes.get_default_dtype())


def _as_complex(x: Tensor) -> Tensor:
    return x if x.is_complex() else x.to(x.dtype.to_complex())


def _resized(x: Tensor, dims: tuple[int, ...], sizes: tuple[int, ...]) -> Tensor:
    """`x` cut, or filled up with zeros, to these sizes."""
    for d, n in zip(dims, sizes):
        size = x._array.shape[d]
        if size > n:
            x = x.narrow(d, 0, n)
        elif size < n:
            x = FUNCTIONS["constant_pad"](x, [0, 0] * (x.ndim - 1 - d) + [0, n - size], 0.0)
    return x


def _into(name: str, out: Tensor | None, y: Tensor) -> Tensor:
    if out is not None and out.is_complex() != y.is_complex():
        raise DTypeError(f"{name}: {name} expects a {'complex' if y.is_complex() else 'floating point'} output tensor, "
                         f"but got {out.dtype}")
    return into(out, y)


def _frequencies(name: str, n: int, d: float, limits: tuple[int, ...], out: Tensor | None, dtype: Any, device: Any,
                 requires_grad: bool) -> Tensor:
    if n < 0:
        raise ShapeError(f"{name}: Trying to create tensor with negative dimension {n}")
    dtype = dtypes.as_dtype(dtype or (out.dtype if out is not None else dtypes.get_default_dtype()))
    if not dtype.is_floating_point:
        raise DTypeError(f"{name}: {name} requires a floating point dtype, got {dtype}")
    arange = FUNCTIONS["arange"]
    places = FUNCTIONS["cat"]([arange(a, b, dtype=dtype, device=device) for a, b in (limits[:2], limits[2:])])
    y = into(out, places * (1 / (n * d) if n * d else math.inf))
    return y.requires_grad_() if requires_grad else y


def _shifted(name: str, x: Tensor, dim: Any, by: Any) -> Tensor:
    dims = shapes.axes(name, x, dim)
    if not dims:
        raise ShapeError(f"{name}: `shifts` required, a scalar has no dimensions to shift")
    return x.roll([by(x._array.shape[d]) for d in dims], dims)
