"""Covariances, and counts of values in bins."""
from __future__ import annotations

from typing import Any

import numpy as np

from .. import return_types
from ..device import kernels_of
from ..errors import ShapeError
from ..op import composite
from ..tensor import Tensor
from .creation import linspace
from .gather import into
from .matmul import matmul


@composite
def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariance matrix of variables, the rows of `input`, over observations, its columns.

    `fweights` says how often each observation counts, `aweights` how much. `correction` 1 is Bessel's.

    >>> from minitorch import tensor
    >>> cov(tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.ndim > 2:
        raise ShapeError("cov: expected input to have two or fewer dimensions but got an input with "
                         f"{input.ndim} dimensions")
    if input._array.dtype.kind == "b":
        raise RuntimeError("cov: bool dtype is not supported for input")
    x = input if input.ndim == 2 else input.reshape(1, -1)
    n = x._array.shape[1]
    _check_weights("fweights", fweights, n, "iu", "integral")
    _check_weights("aweights", aweights, n, "f", "floating point")
    weights = [w for w in (fweights, aweights) if w is not None]
    weight = weights[0] * weights[1] if len(weights) == 2 else weights[0] if weights else None
    total = n if weight is None else weight.sum()
    effect = 1 if aweights is None or correction == 0 else (weight * aweights).sum() / total
    scale = total - correction * effect
    mean = (x if weight is None else x * weight).sum(1, keepdim=True) / total
    centred = x - mean
    y = matmul(centred, (centred if weight is None else centred * weight).mH)
    return (y / (scale.clamp(min=0) if isinstance(scale, Tensor) else max(scale, 0))).squeeze()


@composite
def corrcoef(input):
    """The matrix of Pearson's correlation coefficients of variables, the rows of `input`."""
    y = cov(input)
    if y.ndim == 0:
        return y / y
    deviation = y.diagonal().real.sqrt()
    y = y / deviation.unsqueeze(1) / deviation.unsqueeze(0)
    if not y.is_complex():
        return y.clamp(-1, 1)
    from .complex import complex

    return complex(y.real.clamp(-1, 1), y.imag.clamp(-1, 1))


@composite
def histogram(input, bins, *, range=None, weight=None, density=False, out=None):
    """(hist, bin_edges): how many values, or what weight of them, lie in each bin.

    `bins` is a number of equal bins between the limits `range` (the smallest and largest value) or the edges
    themselves. Each bin holds its left edge, the last one both. `density` makes the integral 1.

    >>> from minitorch import tensor
    >>> histogram(tensor([1.0, 2.0, 1.0]), 2, range=(0.0, 4.0)).hist
    tensor([2., 1.])
    """
    edges = [bins] if isinstance(bins, Tensor) else bins if isinstance(bins, (tuple, list)) else [bins]
    counts, edges = _counted("histogram", input.reshape(-1, 1), edges, range, weight, density)
    found = counts, edges[0]
    return return_types.histogram(*(found if out is None else map(into, out, found)))


@composite(method=False)
def histogramdd(input, bins, range=None, weight=None, density=False):
    """(hist, bin_edges): how many points, the last dimension of `input`, lie in each bin of their space.

    `bins` is a number for all dimensions, a list of numbers or one of edges; `range` lists two limits a dimension.
    """
    if input.ndim < 2:
        raise ShapeError(f"histogramdd: input tensor should have at least 2 dimensions, but got {input.ndim}")
    n = input._array.shape[-1]
    edges = [bins] * n if isinstance(bins, int) else list(bins)
    return return_types.histogramdd(*_counted("histogramdd", input.reshape(-1, n), edges, range, weight, density))


def _counted(name: str, points: Tensor, bins: list, limits: Any, weight: Tensor | None, density: bool) -> tuple:
    """The counts of (N, D) points and the edges of the bins in each dimension."""
    x = points._array
    k, n = kernels_of(x), x.shape[1]
    if x.dtype.kind != "f":
        raise NotImplementedError(f'"{name}" not implemented for {points.dtype!r}')
    if len(bins) != n:
        raise ShapeError(f"{name}: The size of bins must be equal to the innermost dimension of the input, {n}, got "
                         f"{len(bins)}")
    edges = [_edges(name, points[:, d], b, None if limits is None else limits[2 * d:2 * d + 2])
             for d, b in enumerate(bins)]
    flat: Any = 0
    inside, sizes = k.xp.ones(x.shape[0], bool), [e._array.size - 1 for e in edges]
    for d, (e, size) in enumerate(zip(edges, sizes)):
        e = e._array
        place = k.xp.searchsorted(e, x[:, d], "right") - 1
        place = k.where(x[:, d] == e[-1], size - 1, place)
        inside &= (place >= 0) & (place < size)
        flat = flat * size + place
    w = k.xp.ones(x.shape[0], x.dtype) if weight is None else weight._array.reshape(-1)
    if w.size != x.shape[0] or w.dtype != x.dtype:
        raise ShapeError(f"{name}: if weight tensor is provided it should have a weight for each point, of the "
                         f"input's dtype, got {w.size} of {w.dtype} for {x.shape[0]} of {x.dtype}")
    counts = k.xp.bincount(flat[inside], w[inside], int(np.prod(sizes))).astype(x.dtype).reshape(sizes)
    if density:
        counts = counts / counts.sum()
        for d, e in enumerate(edges):
            counts = counts / k.xp.diff(e._array).reshape([-1 if i == d else 1 for i in range(n)])
    return Tensor._wrap(counts.astype(x.dtype)), tuple(edges)


def _edges(name: str, x: Tensor, bins: Any, limits: Any) -> Tensor:
    if isinstance(bins, Tensor):
        if bins.ndim != 1 or bins.dtype != x.dtype:
            raise ShapeError(f"{name}: bins tensor should have one dimension and the input's dtype {x.dtype}, got "
                             f"{bins.dtype} of shape {list(bins.shape)}")
        return bins
    if bins < 1:
        raise RuntimeError(f"{name}: bins must be > 0, but got {bins} for dimension 0")
    if limits is not None:
        low, high = limits
    else:
        low, high = (x._array.min().item(), x._array.max().item()) if x._array.size else (0.0, 1.0)
    if not np.isfinite(low) or not np.isfinite(high) or low > high:
        raise RuntimeError(f"{name}: range [{low}, {high}] is not finite, or its min exceeds its max")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return linspace(low, high, bins + 1, dtype=x.dtype, device=x.device)


def _check_weights(name: str, w: Tensor | None, n: int, kinds: str, said: str) -> None:
    if w is None:
        return
    if w.ndim > 1:
        raise ShapeError(f"cov: expected {name} to have one or fewer dimensions but got {w.ndim} dimensions")
    if w._array.dtype.kind not in kinds:
        raise RuntimeError(f"cov: expected {name} to have {said} dtype but got {name} with {w.dtype} dtype")
    if w._array.size != n:
        raise ShapeError(f"cov: expected {name} to have the same numel as there are observations in the input, {n}, "
                         f"got {w._array.size}")
    if bool((w._array < 0).any()):
        raise RuntimeError(f"cov: {name} cannot be negative")
