"""RMSprop: steps scaled by a running mean of the squared gradient."""
from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, advance, begin, checked, number


class RMSprop(Optimizer):
    """p -= lr g / (√v + eps), v the running mean of g², less the squared mean of g where `centered`.

    Hinton's lecture 6e, 2012; centred, and with momentum: Graves, "Generating sequences with recurrent neural
    networks", 2013.
    """

    def __init__(self, params: Any, lr: Any = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0,
                 momentum: float = 0, centered: bool = False, capturable: bool = False, foreach: bool | None = None,
                 maximize: bool = False, differentiable: bool = False):
        super().__init__(params, checked(
            lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered, weight_decay=weight_decay,
            capturable=capturable, foreach=foreach, maximize=maximize, differentiable=differentiable))

    def _step_group(self, group: dict[str, Any]) -> None:
        lr, momentum, centered = number(group["lr"]), group["momentum"], group["centered"]
        names = ["square_avg", *(["momentum_buffer"] if momentum > 0 else []), *(["grad_avg"] if centered else [])]
        for params, arrays, grads, k, memo in self._due_together(group):
            states = [self.state[p] for p in params]
            for p, state in zip(params, states):
                if not state:
                    begin(p, state, *names)
                advance(state)
            v, mean, buf = ([state[name]._array for state in states] if name in names else None
                            for name in ("square_avg", "grad_avg", "momentum_buffer"))
            k.rmsprop_steps(arrays, grads, v, mean, buf, lr, group["alpha"], group["eps"], group["weight_decay"],
                            momentum, centered, group["maximize"], memo=memo)
