"""Discrete Fourier transforms, one and several dimensions, all lengths and norms."""
import numpy as np

from . import WIDE, BadInput, OpCase, Sample, arrays_like, register


def complex_like(*shape):
    """Arguments for a Sample: one complex array."""
    return lambda rng: (rng.standard_normal(shape) + 1j * rng.standard_normal(shape),)


def matrix(n, sign):
    """exp(sign 2 pi i j k / n): the transform as a matrix, which shares nothing with a fast one."""
    return np.exp(sign * 2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n)


def dft(x, dims, sign, scale=1.0):
    """The sums themselves."""
    for d in dims:
        x = np.moveaxis(np.moveaxis(x, d, -1) @ matrix(x.shape[d], sign), -1, d)
    return x * scale


def half(x, dim, scale=1.0, middle=1.0, sign=-1):
    n = x.shape[dim]
    y = np.moveaxis(dft(x, (dim,), sign, scale), dim, -1)[..., :n // 2 + 1]
    return np.moveaxis(y * weights(n, middle), -1, dim)


def weights(n, middle):
    k = np.arange(n // 2 + 1)
    return np.where((k == 0) | (2 * k == n), 1.0, middle)


def whole(x, dim, n, scale=1.0, middle=1.0, sign=1):
    """The real sequence of half a spectrum: Re x[0] + Σ 2 Re x[k] e^..., and an element n / 2 once."""
    x = np.moveaxis(x, dim, -1) * weights(n, 2 * middle)
    return np.moveaxis((x @ matrix(n, sign)[:n // 2 + 1]).real * scale, -1, dim)


def c2c(x, dims, scale, inverse):
    return dft(x, dims, 1 if inverse else -1, scale)


TOLERANT = {"tol": {"float32": 2e-5}, "grad_tol": {"float32": 2e-5}}  # sums of up to 30 terms near 30

register(OpCase("fft_c2c", c2c, [
    Sample(complex_like(5), {"dims": (0,), "scale": 1.0, "inverse": False}),
    Sample(complex_like(3, 4), {"dims": (1, 0), "scale": 0.5, "inverse": True}),
    Sample(complex_like(2, 1, 3), {"dims": (1,), "scale": 1.0, "inverse": False}),
    Sample(complex_like(0, 3), {"dims": (1,), "scale": 1.0, "inverse": False})], dtypes=WIDE, torch=None, **TOLERANT))
register(OpCase("fft_r2c", half, [
    Sample(arrays_like((5,)), {"dim": 0}), Sample(arrays_like((3, 4)), {"dim": 0, "scale": 0.5, "middle": 2.0}),
    Sample(arrays_like((2, 6)), {"dim": 1, "middle": 0.5}), Sample(arrays_like((2, 1)), {"dim": 1}),
    Sample(arrays_like((0, 3)), {"dim": 1})], dtypes=WIDE, torch=None, **TOLERANT))
register(OpCase("fft_c2r", whole, [
    Sample(complex_like(3), {"dim": 0, "n": 5}), Sample(complex_like(3, 4), {"dim": 0, "n": 4, "scale": 0.5}),
    Sample(complex_like(2, 4), {"dim": 1, "n": 6, "middle": 0.5}), Sample(complex_like(2, 1), {"dim": 1, "n": 1}),
    Sample(complex_like(0, 2), {"dim": 1, "n": 3})], dtypes=WIDE, torch=None, **TOLERANT))


# The public functions

def extent(x, s, dim):
    dims = tuple(range(x.ndim - len(s) if s else 0, x.ndim)) if dim is None else tuple(d % x.ndim for d in dim)
    return dims, [x.shape[d] if n == -1 else n for d, n in zip(dims, s or [-1] * len(dims))]


def fitted(x, dims, sizes):
    """`x` cut or filled up with zeros."""
    for d, n in zip(dims, sizes):
        x = np.take(x, range(min(n, x.shape[d])), d)
        x = np.pad(x, [(0, n - x.shape[d] if i == d else 0) for i in range(x.ndim)])
    return x


def factor(norm, sizes, inverse):
    n = float(np.prod(sizes))
    return {"ortho": n ** -0.5, "forward": 1.0 if inverse else 1 / n}.get(norm, 1 / n if inverse else 1.0)


def from_any(inverse):
    def reference(x, s=None, dim=None, norm=None):
        dims, sizes = extent(x, s, dim)
        return dft(fitted(x, dims, sizes), dims, 1 if inverse else -1, factor(norm, sizes, inverse))
    return reference


def from_real(inverse):
    def reference(x, s=None, dim=None, norm=None):
        dims, sizes = extent(x, s, dim)
        sign = 1 if inverse else -1
        y = half(fitted(x, dims, sizes), dims[-1], factor(norm, sizes, inverse), sign=sign)
        return dft(y, dims[:-1], sign)
    return reference


def to_real(inverse):
    def reference(x, s=None, dim=None, norm=None):
        dims, sizes = extent(x, s, dim)
        if not s or s[-1] == -1:
            sizes[-1] = 2 * (sizes[-1] - 1)
        sign = 1 if inverse else -1
        x = fitted(x, dims, [*sizes[:-1], sizes[-1] // 2 + 1])
        return whole(dft(x, dims[:-1], sign), dims[-1], sizes[-1], factor(norm, sizes, inverse), sign=sign)
    return reference


def one(reference):
    def along(x, n=None, dim=-1, norm=None):
        return reference(x, None if n is None else (n,), (dim,), norm)
    return along


def two(reference):
    def last(x, s=None, dim=(-2, -1), norm=None):
        return reference(x, s, dim, norm)
    return last


KINDS = {"": (from_any, False), "i": (from_any, True), "r": (from_real, False), "ir": (to_real, True),
         "h": (to_real, False), "ih": (from_real, True)}
for _kind, (_make, _inverse) in KINDS.items():
    _like = (lambda *shape: arrays_like(shape)) if _make is from_real else complex_like
    _options = {"dtypes": WIDE, **TOLERANT}
    _bad = [BadInput((np.zeros((2, 3)),), {"norm": "z"}, RuntimeError, "normalization mode"),
            BadInput((np.zeros((2, 3)),), {"dim": 2}, IndexError, "out of range")]
    if _make is from_real:
        _bad.append(BadInput((np.zeros(3, np.complex128),), {}, RuntimeError, "real input"))
    register(OpCase(f"fft.{_kind}fft", one(_make(_inverse)), [
        Sample(_like(2, 5), {"n": 3}), Sample(_like(3, 2), {"dim": 0, "norm": "forward"}),
        Sample(_like(2, 2), {"norm": "backward", "n": 1}), Sample(arrays_like((3,)), {"n": 4, "norm": "ortho"})],
        errors=[*_bad, BadInput((np.array(1.0),), {}, IndexError, "no dimensions"),
                BadInput((np.zeros(3),), {"n": 0}, RuntimeError, r"data points \(0\)")], **_options))
    register(OpCase(f"fft.{_kind}fft2", two(_make(_inverse)), [
        Sample(_like(3, 3), {"s": (4, 2), "norm": "ortho"}), Sample(_like(2, 3, 2), {"dim": (0, 2)})],
        errors=[*_bad[:1], BadInput((np.zeros(3),), {}, IndexError, "out of range")], **_options))
    register(OpCase(f"fft.{_kind}fftn", _make(_inverse), [
        Sample(_like(2, 3, 2)), Sample(_like(2, 2, 3), {"s": (-1, 5)}),
        Sample(_like(2, 3, 2), {"dim": (2, 0), "s": (3, 2), "norm": "ortho"})],
        errors=[*_bad[:1],
                BadInput((np.zeros((2, 3)),), {"dim": (1, 1)}, RuntimeError, "unique"),
                BadInput((np.zeros((2, 3)),), {"s": (1, 1, 1)}, RuntimeError, "3 values"),
                BadInput((np.zeros((2, 3)),), {"s": (1,), "dim": (0, 1)}, RuntimeError, "same length")], **_options))

for _name, _reference in (("fftshift", np.fft.fftshift), ("ifftshift", np.fft.ifftshift)):
    register(OpCase(f"fft.{_name}", lambda x, dim=None, f=_reference: f(x, dim), [
        Sample(arrays_like((5,))), Sample(arrays_like((3, 4))), Sample(arrays_like((3, 4)), {"dim": (1,)}),
        Sample(arrays_like((2, 0)))],
        errors=[BadInput((np.zeros(3),), {"dim": (2,)}, IndexError, "out of range")]))
for _name, _reference in (("fftfreq", np.fft.fftfreq), ("rfftfreq", np.fft.rfftfreq)):
    register(OpCase(f"fft.{_name}", _reference, [
        Sample((n,), {"d": d}, grad=False) for n in (1, 4, 5) for d in (1.0, 0.25)], grad=False, result="float32",
        tol={"float32": 1e-6}))
