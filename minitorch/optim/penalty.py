"""Penalties on the size of parameters, to be added to a loss."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def l1_penalty(params: Iterable[Any], weight: float = 1.0) -> Any:
    """weight Σ|p|, which drives parameters to zero.

    >>> from minitorch import tensor
    >>> l1_penalty([tensor([1.0, -2.0])], 0.5)
    tensor(1.5000)
    """
    return sum(p.abs().sum() * weight for p in params)


def l2_penalty(params: Iterable[Any], weight: float = 1.0) -> Any:
    """weight / 2 Σp², whose gradient, weight p, is what an optimizer's `weight_decay` adds.

    >>> from minitorch import tensor
    >>> l2_penalty([tensor([1.0, -2.0])], 0.5)
    tensor(1.2500)
    """
    return sum((p * p).sum() * (weight / 2) for p in params)
