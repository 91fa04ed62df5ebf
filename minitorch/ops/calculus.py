"""Integrals by the trapezoidal rule and derivatives by differences, of sampled functions."""
from __future__ import annotations

from typing import Any

from .. import dtypes, shapes
from ..errors import ShapeError
from ..op import FUNCTIONS, composite
from ..tensor import Tensor
from .shape import narrow


@composite(method=False)
def trapezoid(y, x=None, *, dx=None, dim=-1):
    """The integral along `dim` by the trapezoidal rule, between points `x` or points `dx` (1) apart.

    >>> from minitorch import tensor
    >>> trapezoid(tensor([1.0, 2.0, 4.0]))
    tensor(4.5000)
    """
    at = shapes.axis("trapezoid", y, dim)
    if 0 in (y._array.shape[at], *_without(y._array.shape, at)):
        return y.sum(at)
    return _strips("trapezoid", y, x, dx, at).sum(at)


@composite(method=False)
def trapz(y, x=None, *, dx=None, dim=-1):
    """`trapezoid`."""
    return trapezoid(y, x, dx=dx, dim=dim)


@composite(method=False)
def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    """The integrals by the trapezoidal rule from the first point up to each other one."""
    at = shapes.axis("cumulative_trapezoid", y, dim)
    return _strips("cumulative_trapezoid", y, x, dx, at).cumsum(at)


@composite(method=False)
def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """The derivative along each of `dim` (all), by differences of second order, at the edges of order `edge_order`.

    `spacing` is a distance for all dimensions or a list of one each, or a list of tensors of coordinates. Returns a
    tuple of tensors. Fornberg 1988, "Generation of finite difference formulas on arbitrarily spaced grids".

    >>> from minitorch import tensor
    >>> gradient(tensor([1.0, 2.0, 4.0, 8.0]))
    (tensor([1.0000, 1.5000, 3.0000, 4.0000]),)
    """
    dims = shapes.axes("gradient", input, dim)
    spacing = 1 if spacing is None else spacing
    if not isinstance(spacing, (tuple, list)):
        spacing = [spacing] * len(dims)
    if edge_order not in (1, 2):
        raise RuntimeError(f"gradient: only supports edge_order=1 and edge_order=2, got {edge_order}")
    if len(spacing) != len(dims):
        raise ShapeError(f"gradient: expected spacing to be unspecified, a scalar, or a list of length {len(dims)}, "
                         f"got {len(spacing)}")
    for d in dims:
        if input._array.shape[d] < edge_order + 1:
            raise ShapeError("gradient: expected each dimension size to be at least edge_order+1, got "
                             f"{list(input.shape)}")
    if input._array.dtype.kind in "biu":
        input = input.to(dtypes.get_default_dtype())
    return tuple([_slope(input, d, step, edge_order) for d, step in zip(dims, spacing)])


def _slope(f: Tensor, d: int, spacing: Any, order: int) -> Tensor:
    """The derivative along `d`: in the middle (h₋² f₊ + (h₊² - h₋²) f - h₊² f₋) / (h₋ h₊ (h₋ + h₊))."""
    n = f._array.shape[d]
    if isinstance(spacing, Tensor) and spacing.ndim:
        if spacing.ndim != 1 or spacing._array.size != n:
            raise ShapeError(f"gradient: expected spacing of dimension {d} to be a vector of {n} coordinates, got "
                             f"shape {list(spacing.shape)}")
        h = spacing.diff().to(f.dtype).reshape([-1 if i == d else 1 for i in range(f.ndim)])
        left, right = narrow(h, d, 0, n - 2), narrow(h, d, 1, n - 2)
        ends = [[narrow(h, d, i, 1) for i in pair] for pair in ((0, 1), (n - 2, n - 3))] if n > 2 else \
            [[h, h], [h, h]]
    else:
        left = right = spacing
        ends = [[spacing] * 2] * 2
    inner = (narrow(f, d, 2, n - 2) * (left / (right * (left + right)))
             + narrow(f, d, 1, n - 2) * ((right - left) / (left * right))
             - narrow(f, d, 0, n - 2) * (right / (left * (left + right)))) if n > 2 else None
    first = _edge(f, d, (0, 1, 2), ends[0], order)
    last = -_edge(f, d, (n - 1, n - 2, n - 3), ends[1], order)
    return FUNCTIONS["cat"]([y for y in (first, inner, last) if y is not None], d)


def _edge(f: Tensor, d: int, places: tuple[int, int, int], steps: list, order: int) -> Tensor:
    """The derivative at the first of three places, away from which the distances `steps` lead."""
    a, b = (narrow(f, d, i, 1) for i in places[:2])
    if order == 1:
        return (b - a) / steps[0]
    g, h = steps
    c = narrow(f, d, places[2], 1)
    return b * ((g + h) / (g * h)) - a * ((2 * g + h) / (g * (g + h))) - c * (g / (h * (g + h)))


def _strips(name: str, y: Tensor, x: Any, dx: Any, at: int) -> Tensor:
    """The areas between neighbouring points."""
    n = y._array.shape[at]
    if x is not None and dx is not None:
        raise RuntimeError(f"{name}: expects x or dx, got both")
    if n == 0:
        return narrow(y, at, 0, 0)
    sums = narrow(y, at, 1, n - 1) + narrow(y, at, 0, n - 1)
    if x is None:
        return sums * ((1 if dx is None else dx) / 2)
    if x.ndim == 0:
        raise ShapeError(f"{name}: expects x to have at least one dimension")
    if x.ndim == 1 and y.ndim > 1:
        if x._array.size != n:
            raise ShapeError(f"{name}: There must be one `x` value for each sample point, got {x._array.size} of {n}")
        x = x.reshape([-1 if i == at else 1 for i in range(y.ndim)])
    elif x.ndim < y.ndim:
        x = x.reshape((1,) * (y.ndim - x.ndim) + tuple(x.shape))
    m = x._array.shape[at]
    return sums * (narrow(x, at, 1, m - 1) - narrow(x, at, 0, m - 1)) / 2


def _without(shape: tuple[int, ...], at: int) -> tuple[int, ...]:
    return shape[:at] + shape[at + 1:]
