"""Padding layers: sizes stand as for `functional.pad`, (before, after) an axis, last axis first."""
from __future__ import annotations

from typing import Any

from ..shapes import ntuple
from ..tensor import Tensor
from . import functional as F
from .module import Module


class _Pad(Module):
    dimensions: int
    mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = ntuple(type(self).__name__, "padding", padding, 2 * self.dimensions)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPad(_Pad):
    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        nd = self.dimensions
        if input.ndim not in (nd + 1, nd + 2):
            raise ValueError(f"{type(self).__name__}: expected {nd + 1}D or {nd + 2}D input (got {input.ndim}D input)")
        return super().forward(input)


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


def _layer(name: str, base: type, nd: int, mode: str, doc: str) -> type:
    axes = ("W", "H, W", "D, H, W")[nd - 1]
    members = {"dimensions": nd, "mode": mode, "__doc__": f"{doc} (N, C, {axes}).", "__module__": __name__}
    return type(name, (base,), members)


ConstantPad1d, ConstantPad2d, ConstantPad3d = (
    _layer(f"ConstantPad{n}d", _ConstantPad, n, "constant", "A constant around") for n in (1, 2, 3))
ZeroPad1d, ZeroPad2d, ZeroPad3d = (
    _layer(f"ZeroPad{n}d", _ZeroPad, n, "constant", "Zeros around") for n in (1, 2, 3))
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = (
    _layer(f"ReflectionPad{n}d", _Pad, n, "reflect", "The image mirrored at its edge around") for n in (1, 2, 3))
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = (
    _layer(f"ReplicationPad{n}d", _Pad, n, "replicate", "The edge pixels repeated around") for n in (1, 2, 3))
CircularPad1d, CircularPad2d, CircularPad3d = (
    _layer(f"CircularPad{n}d", _CircularPad, n, "circular", "The image repeated around") for n in (1, 2, 3))
