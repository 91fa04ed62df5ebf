"""Averaged stochastic gradient descent."""
from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, advance, begin, checked, number, scalar


class ASGD(Optimizer):
    """SGD at the falling rate lr / (1 + lambd lr step)^alpha; state "ax" is the parameters' mean from step `t0` on.

    p -= η (g + lambd p), η = lr / (1 + lambd lr step)^alpha

    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    """

    def __init__(self, params: Any, lr: Any = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
                 weight_decay: float = 0, foreach: bool | None = None, maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False):
        super().__init__(params, checked(
            lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, foreach=foreach, maximize=maximize,
            differentiable=differentiable, capturable=capturable))

    def _step_group(self, group: dict[str, Any]) -> None:
        lr, lambd = number(group["lr"]), group["lambd"]
        for p, a, g, k in self._due(group):
            state = self.state[p]
            if not state:
                begin(p, state)
                state["eta"], state["mu"] = scalar(lr), scalar(1)
                state["ax"] = Tensor._wrap(k.xp.zeros(a.shape, a.dtype))
            step, eta, mu = advance(state), state["eta"]._array, state["mu"]._array
            k.asgd_step(a, g, state["ax"]._array, eta.item(), mu.item(), lambd,
                        group["weight_decay"], group["maximize"])
            eta[...] = lr / (1 + lambd * lr * step) ** group["alpha"]
            mu[...] = 1 / max(1, step - group["t0"])
