"""Forward-mode differentiation: tensors with a tangent, within `dual_level()`.

A dual tensor is a view of its primal that is recorded like any other. `unpack_dual` finds a result's tangent by
differentiating the vector-Jacobian product for its vector (the reverse mode twice), so it costs about two backward
passes, and what ran under `no_grad` has no tangent.
"""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..engine import enable_grad
from ..errors import ShapeError
from ..op import FUNCTIONS
from ..tensor import Tensor

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns."""

    primal: Tensor
    tangent: Tensor | None


class _Level(threading.local):
    """The duals of the level that this thread is in; None outside."""

    duals: list[tuple[Tensor, Tensor]] | None = None


_level = _Level()


@contextmanager
def dual_level() -> Iterator[int]:
    """The block in which dual tensors live.

    >>> import minitorch as torch
    >>> with dual_level():
    ...     x = make_dual(torch.tensor(3.0), torch.tensor(1.0))
    ...     unpack_dual(x ** 2).tangent
    tensor(6.)
    """
    yield enter_dual_level()
    exit_dual_level()


def enter_dual_level() -> int:
    """Begin a level; returns its number, 0. Raises RuntimeError within another."""
    if _level.duals is not None:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _level.duals = []
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level: its duals have no tangent any more."""
    if _level.duals is None:
        raise RuntimeError("Trying to exit a forward AD level that was not entered")
    _level.duals = None


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """`tensor` with a tangent of its shape and type. Raises RuntimeError outside of a level, ShapeError where
    the tangent does not fit."""
    if _level.duals is None:
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, make sure to "
                           "enter_dual_level() first.")
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise ValueError(f"Expected primal to be floating point or complex, but got: {tensor.dtype}")
    if tuple(tensor.shape) != tuple(tangent.shape):
        raise ShapeError("make_dual: Trying to set a forward gradient that has a different size than that of the "
                         f"original Tensor: it has shape {tuple(tangent.shape)}, the tensor {tuple(tensor.shape)}")
    with enable_grad():
        dual = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
    if tangent.stride() != tensor.stride() or tangent.dtype is not tensor.dtype:
        tangent = FUNCTIONS["empty_like"](tensor).copy_(tangent)
    _level.duals.append((dual, tangent))
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """(primal, tangent); the tangent is None where no dual leads to `tensor`."""
    from . import grad

    duals = _level.duals
    if not duals or not tensor.requires_grad:
        return UnpackedDualTensor(tensor, None)
    for dual, own in duals:
        if dual is tensor:
            return UnpackedDualTensor(tensor.detach(), own)
    inputs = [dual for dual, _ in duals]
    with enable_grad():
        v = FUNCTIONS["zeros_like"](tensor).detach().requires_grad_()
        found: Any = grad(tensor, inputs, v, True, True, allow_unused=True)
    pairs = [(g, t) for g, (_, t) in zip(found, duals) if g is not None]
    if not pairs:
        return UnpackedDualTensor(tensor, None)
    pairs = [(g, t) for g, t in pairs if g.requires_grad]
    tangent = grad([g for g, _ in pairs], v, [t for _, t in pairs], True,
                   any(t.requires_grad for _, t in pairs))[0] if pairs else FUNCTIONS["zeros_like"](tensor).detach()
    return UnpackedDualTensor(tensor.detach(), tangent)
