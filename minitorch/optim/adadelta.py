"""Adadelta: steps in the units of the parameter, without a rate to choose."""
from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, advance, begin, checked, number


class Adadelta(Optimizer):
    """p -= lr √(u + eps) / √(v + eps) g, v and u the running means of g² and of the squared updates. Zeiler, 2012."""

    def __init__(self, params: Any, lr: Any = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0,
                 foreach: bool | None = None, *, capturable: bool = False, maximize: bool = False,
                 differentiable: bool = False):
        if rho > 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        super().__init__(params, checked(
            lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize, capturable=capturable,
            foreach=foreach, differentiable=differentiable))

    def _step_group(self, group: dict[str, Any]) -> None:
        lr = number(group["lr"])
        for p, a, g, k in self._due(group):
            state = self.state[p]
            if not state:
                begin(p, state, "square_avg", "acc_delta")
            advance(state)
            k.adadelta_step(a, g, state["square_avg"]._array, state["acc_delta"]._array, lr,
                            group["rho"], group["eps"], group["weight_decay"], group["maximize"])
