"""Complex tensors: their parts, and views of them as real ones."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import shapes
from ..op import composite, op
from ..tensor import Tensor
from .elementwise import floating, is_complex, zeros_of
from .gather import into_apart


@op(method=False, function=False)
def complex_(k, real, imag, /):
    """real + i imag, of two tensors of one floating type."""
    for part in (real, imag):
        if part.dtype.char not in "efd":
            raise RuntimeError("complex: Expected both inputs to be Half, Float or Double tensors but got "
                               f"{real.dtype} and {imag.dtype}")
    if real.dtype != imag.dtype:
        raise RuntimeError(f"complex: Expected object of scalar type {real.dtype} but got scalar type {imag.dtype} "
                           "for second argument")
    y = k.xp.empty(shapes.broadcast("complex", real.shape, imag.shape), "D" if real.dtype.char == "d" else "F")
    y.real, y.imag = real, imag
    return y, lambda dy: dy.real, lambda dy: dy.imag


@composite(method=False)
def complex(real, imag, *, out=None):
    """real + i imag, of two tensors of one floating type.

    >>> from minitorch import tensor
    >>> complex(tensor([1.0]), tensor([2.0]))
    tensor([1.+2.j])
    """
    return into_apart("complex", out, complex_(real, imag))


@composite(method=False)
def polar(abs, angle, *, out=None):
    """abs (cos(angle) + i sin(angle)), of two tensors."""
    for i, (name, x) in enumerate((("abs", abs), ("angle", angle)), 1):
        if not isinstance(x, Tensor):
            raise TypeError(f"polar(): argument {name!r} (position {i}) must be Tensor, not {type(x).__name__}")
    return complex(abs * angle.cos(), abs * angle.sin(), out=out)


@op(view=True)
def view_as_real(k, x, /):
    """A complex tensor as a real one with a last dimension of size 2, on the same memory."""
    if x.dtype.kind != "c":
        raise RuntimeError(f"view_as_real: is only supported for complex tensors, got {x.dtype}")
    return x[..., None].view(_part(x.dtype)), lambda dy: _joined(dy)


@op(view=True)
def view_as_complex(k, x, /):
    """A real tensor, whose last dimension has size 2, as a complex one, on the same memory where
    each pair lies together."""
    if x.dtype.char not in "fd" or x.ndim == 0 or x.shape[-1] != 2:
        raise RuntimeError("view_as_complex: Tensor must be float32 or float64 and have a last dimension of size 2, "
                           f"got {x.dtype} of shape {x.shape}")
    pairs = x if x.strides[-1] == x.itemsize else k.xp.ascontiguousarray(x)
    return pairs.view(_whole(x.dtype))[..., 0], lambda dy: _split(dy)


def _part(dtype: Any) -> Any:
    return np.dtype(f"f{dtype.itemsize // 2}")


def _whole(dtype: Any) -> Any:
    return np.dtype(f"c{dtype.itemsize * 2}")


def _joined(dy: Any) -> Any:
    if isinstance(dy, Tensor):
        return complex_(dy[..., 0], dy[..., 1])
    return np_like(dy).ascontiguousarray(dy).view(_whole(dy.dtype))[..., 0]


def _split(dy: Any) -> Any:
    if isinstance(dy, Tensor):
        return view_as_real(dy)
    return np_like(dy).ascontiguousarray(dy)[..., None].view(_part(dy.dtype))


def np_like(array: Any) -> Any:
    """The array module of `array`."""
    if isinstance(array, np.ndarray):
        return np
    from ..device import cupy

    return cupy()


@op(view=True, method=False)
def real(k, x, /):
    """The real part, a view; a real tensor as it is."""
    return x.real, lambda dy: dy


@op(view=True, method=False)
def imag(k, x, /):
    """The imaginary part, a view. Raises RuntimeError for real tensors."""
    if x.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return x.imag, lambda dy: dy * 1j


@op(view=True)
def conj(k, x, /):
    """The complex conjugate; a real tensor as it is."""
    return x.conj() if x.dtype.kind == "c" else x, lambda dy: dy.conj()


@op(inplace=True)
def conj_physical(k, x, /):
    """The complex conjugate in memory of its own."""
    return x.conj() if x.dtype.kind == "c" else x.copy(), lambda dy: dy.conj()


@op
def angle(k, x, /):
    """The angle of a complex number in radians; of a real one 0 or pi."""
    if x.dtype.kind in "biu":
        x = floating(x)
    y = k.xp.angle(x) if x.dtype.kind == "c" else k.where(x < 0, math.pi, k.where(x == x, 0, x))
    return y, lambda dy: _angle_dx(k, dy, x)


def _angle_dx(k: Any, dy: Any, x: Any) -> Any:
    return dy * 1j * x / (k.abs(x) * k.abs(x)) if is_complex(x) else zeros_of(k, dy)


@composite
def resolve_conj(input):
    """Itself: conjugates are not lazy here."""
    return input


@composite
def is_conj(input):
    """False: conjugates are not lazy here."""
    return False


Tensor.real = property(lambda self: real(self) if self.is_complex() else self)
Tensor.imag = property(imag)
Tensor.resolve_neg, Tensor.is_neg = Tensor.resolve_conj, Tensor.is_conj
