"""Several transforms side by side, along one axis."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...ops.join import cat, stack
from ...tensor import Tensor
from .. import constraints
from ..utils import _sum_rightmost
from .base import Transform


class _SideBySide(Transform):
    transforms: list[Transform]
    dim: int

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(t.bijective for t in self.transforms)

    def _slices(self, x: Tensor) -> Sequence[Tensor]:
        raise NotImplementedError

    def _each(self, apply: Callable, *xs: Tensor) -> list[Tensor]:
        return [apply(t, *pieces) for t, *pieces in zip(self.transforms, *map(self._slices, xs))]


class CatTransform(_SideBySide):
    """Transforms of consecutive pieces of the given `lengths` (1 each) along `dim`."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, lengths: Sequence[int] | None = None,
                 cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = [t.with_cache(cache_size) for t in tseq], dim
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)

    def _arguments(self) -> tuple:
        return self.transforms, self.dim, self.lengths

    @property
    def event_dim(self) -> int:
        return max(t.event_dim for t in self.transforms)

    @property
    def length(self) -> int:
        """The size along `dim`."""
        return sum(self.lengths)

    def _slices(self, x: Tensor) -> Sequence[Tensor]:
        if not -x.ndim <= self.dim < x.ndim or x.shape[self.dim] != self.length:
            raise ValueError(f"CatTransform: expects size {self.length} along axis {self.dim}, got shape "
                             f"{tuple(x.shape)}")
        return x.split(self.lengths, self.dim)

    def _call(self, x: Tensor) -> Tensor:
        return cat(self._each(lambda t, piece: t(piece), x), self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        return cat(self._each(lambda t, piece: t.inv(piece), y), self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        def piece(t: Transform, a: Tensor, b: Tensor) -> Tensor:
            return _sum_rightmost(t.log_abs_det_jacobian(a, b), self.event_dim - t.event_dim)

        parts = self._each(piece, x, y)
        dim = (self.dim - x.ndim if self.dim >= 0 else self.dim) + self.event_dim
        return cat(parts, dim) if dim < 0 else sum(parts[1:], parts[0])

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)


class StackTransform(_SideBySide):
    """Transforms of the slices along `dim`."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = [t.with_cache(cache_size) for t in tseq], dim

    def _arguments(self) -> tuple:
        return self.transforms, self.dim

    def _slices(self, x: Tensor) -> Sequence[Tensor]:
        if not -x.ndim <= self.dim < x.ndim or x.shape[self.dim] != len(self.transforms):
            raise ValueError(f"StackTransform: expects size {len(self.transforms)} along axis {self.dim}, got shape "
                             f"{tuple(x.shape)}")
        return x.unbind(self.dim)

    def _call(self, x: Tensor) -> Tensor:
        return stack(self._each(lambda t, piece: t(piece), x), self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        return stack(self._each(lambda t, piece: t.inv(piece), y), self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return stack(self._each(lambda t, a, b: t.log_abs_det_jacobian(a, b), x, y), self.dim)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.stack([t.codomain for t in self.transforms], self.dim)
