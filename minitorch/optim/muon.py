"""Muon: momentum, made orthogonal. Jordan et al., "Muon: an optimizer for hidden layers", 2024."""
from __future__ import annotations

import math
from typing import Any

from ..engine import no_grad
from ..tensor import Tensor
from .optimizer import Optimizer, number


class Muon(Optimizer):
    """p -= lr ratio O(m), for matrices p only: m is the running mean of g, with `nesterov` mixed with g once more.

    O(m) has m's singular vectors and singular values near 1, by `ns_steps` Newton-Schulz steps in bfloat16. The ratio
    is sqrt(max(1, rows / columns)), with `adjust_lr_fn="match_rms_adamw"` 0.2 sqrt(max(rows, columns)). p is first
    multiplied by 1 - lr weight_decay. Raises ValueError for parameters that are no matrices.

    >>> from minitorch import eye
    >>> w = eye(2).requires_grad_()
    >>> optimizer = Muon([w], lr=0.5, weight_decay=0)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> bool((w < eye(2)).diagonal().all())
    True
    """

    def __init__(self, params: Any, lr: Any = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
                 nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
                 eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None):
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for name, value in (("Learning rate", lr), ("momentum", momentum), ("weight decay", weight_decay)):
            if not number(value) >= 0:
                raise ValueError(f"{name} should be >= 0 but is: {value}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        if ns_steps >= 100:
            raise ValueError(f"Number of steps must be less than 100 for computational efficiency, got {ns_steps}")
        if len(ns_coefficients) != 3:
            raise ValueError(f"Coefficients must be a tuple of exactly 3 values, got {ns_coefficients}")
        super().__init__(params, {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn})
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(f"Muon only supports 2D parameters whereas we found a parameter with size: "
                                     f"{tuple(p.shape)}")

    @no_grad()
    def _step_group(self, group: dict[str, Any]) -> None:
        lr, momentum = number(group["lr"]), group["momentum"]
        for p in group["params"]:
            if p.grad is None:
                continue
            state = self.state[p]
            if not state:
                state["momentum_buffer"] = p.grad.new_zeros(p.grad.shape)
            m = state["momentum_buffer"].lerp_(p.grad, 1 - momentum)
            update = _orthogonal(p.grad.lerp(m, momentum) if group["nesterov"] else m, group)
            p.mul_(1 - lr * group["weight_decay"])
            p.add_(update.to(p.dtype), alpha=-lr * _ratio(p.shape[0], p.shape[1], group["adjust_lr_fn"]))


def _orthogonal(m: Tensor, group: dict[str, Any]) -> Tensor:
    """X <- a X + (b A + c A²) X with A = X Xᵀ, from X = m / |m|: an odd polynomial of the singular values."""
    a, b, c = group["ns_coefficients"]
    x = m.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.t() if tall else x
    x = x / x.norm().clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = x @ x.t()
        x = x.addmm(gram.addmm(gram, gram, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x


def _ratio(rows: int, columns: int, how: str | None) -> float:
    return 0.2 * math.sqrt(max(rows, columns)) if how == "match_rms_adamw" else math.sqrt(max(1, rows / columns))
