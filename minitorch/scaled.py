"""`_scaled_mm`: the product of float8 matrices with scales, computed in float32."""
from __future__ import annotations

from typing import Any

from . import dtypes
from .errors import ShapeError
from .tensor import Tensor


def _scaled_mm(self: Tensor, mat2: Tensor, scale_a: Tensor, scale_b: Tensor, bias: Tensor | None = None,
               scale_result: Tensor | None = None, out_dtype: Any = None, use_fast_accum: bool = False) -> Tensor:
    """(self scale_a) (mat2 scale_b) + bias for float8 matrices, as `out_dtype`, that of `self` unless said.

    The scales are one number each, or one a row of `self` and one a column of `mat2`. `use_fast_accum` is accepted:
    sums are float32. Raises ShapeError, or RuntimeError for other types.
    """
    for name, x in (("self", self), ("mat2", mat2)):
        if x.ndim != 2:
            raise ShapeError(f"_scaled_mm: {name} must be a matrix, got shape {tuple(x.shape)}")
        if x.dtype not in dtypes.FLOAT8:
            raise RuntimeError(f"_scaled_mm: {name} expects a float8 type, got {x.dtype}")
    if self.shape[1] != mat2.shape[0]:
        raise ShapeError(f"_scaled_mm: mat1 and mat2 shapes cannot be multiplied: {tuple(self.shape)} and "
                         f"{tuple(mat2.shape)}")
    for name, scale, rows in (("scale_a", scale_a, (self.shape[0], 1)), ("scale_b", scale_b, (1, mat2.shape[1]))):
        if scale.dtype is not dtypes.float32:
            raise RuntimeError(f"_scaled_mm: {name} must be a float (single-precision) tensor, got {scale.dtype}")
        if scale.numel() != 1 and tuple(scale.shape) != rows:
            raise ShapeError(f"_scaled_mm: {name} expects one element, or shape {rows}, got {tuple(scale.shape)}")
    y = (self.float() @ mat2.float()) * _column(scale_a) * _column(scale_b)
    if bias is not None:
        y = y + bias.float()
    wanted = self.dtype if out_dtype is None else dtypes.as_dtype(out_dtype)
    return (y if scale_result is None or wanted not in dtypes.FLOAT8 else y * scale_result).to(wanted)


def _column(scale: Tensor) -> Tensor:
    return scale.reshape(()) if scale.numel() == 1 else scale
