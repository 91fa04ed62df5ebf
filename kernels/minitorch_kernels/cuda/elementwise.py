"""Elementwise kernels on the GPU, each a chain (chain.py) in one pass: `elementwise.NAME` for any kernel of that kind.

NAME is an operation of fused.py, or a kernel whose reference is written for `one_pass` (onepass.py).
"""
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from .. import table
from ..fused import OPERATIONS, Chain
from ..layout import KINDS, lay
from ..onepass import written
from .chain import MASKS, Kernel, build
from .lazily import cupy


def __getattr__(name: str) -> Callable:
    if name.startswith("__"):
        raise AttributeError(name)
    if name in OPERATIONS:
        return _pass(lambda kinds, dtype: (_one_line(name, kinds, dtype), ()), MASKS.get(name))
    return _pass(lambda kinds, dtype: written(table.get(name).reference, kinds, dtype))


def add_into(total: Any, x: Any) -> Any:
    """total + x, written over `total`."""
    build(Chain(total.dtype.name, ("full", "full"), (("add", ("x0", "x1")),), (0,), (0,)))(1, total.size, total, x)
    return total


def gelu(x: Any, approximate: str) -> Any:
    return (_gelu_tanh if approximate == "tanh" else _gelu)(x)


def gelu_dx(dy: Any, x: Any, approximate: str) -> Any:
    return (_gelu_tanh_dx if approximate == "tanh" else _gelu_dx)(dy, x)


def dropout(x: Any, bits: Any, scale: float) -> Any:
    """x scale where its bit is set; the bits are an array of another shape, which no other operand has."""
    kernel = build(_one_line("dropout", "abn", x.dtype.name))
    out = cupy.empty(x.shape, x.dtype)
    if x.size:
        kernel(1, x.size, x, bits, kernel.scalar(scale), out)
    return out


def _pass(write: Callable[[str, str], tuple[Chain, tuple[float, ...]]], mask: int | None = None) -> Callable:
    """The kernel of the chain that `write(kinds, dtype)` gives, for any operands that `lay` describes."""
    @cache
    def made(kinds: str, dtype: str) -> tuple[Kernel, tuple]:
        chain, constants = write(kinds, dtype)
        kernel = build(chain)
        return kernel, tuple(map(kernel.scalar, constants))

    def run(*operands: Any) -> Any:
        found: Any = lay(operands, mask)
        kinds, like, row = found
        kernel, numbers = made(kinds, like.dtype.name)
        out = cupy.empty(like.shape, like.dtype)
        if like.size:
            given = operands if "n" not in kinds else \
                [kernel.scalar(x) if kind == "n" else x for x, kind in zip(operands, kinds)]
            kernel(*((like.size // row, row) if row > 1 else (1, like.size)), *given, *numbers, out)
        return out

    run.made = made  # type: ignore[attr-defined]
    return run


def _one_line(operation: str, kinds: str, dtype: str) -> Chain:
    return Chain(dtype, tuple(map(KINDS.__getitem__, kinds)),
                 ((operation, tuple([f"x{i}" for i in range(len(kinds))])),), (0,), (None,))


_gelu, _gelu_dx, _gelu_tanh, _gelu_tanh_dx = map(__getattr__, ("gelu", "gelu_dx", "gelu_tanh", "gelu_tanh_dx"))
