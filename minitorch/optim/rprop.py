"""Resilient backpropagation, for whole batches."""
from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, advance, begin, checked, number


class Rprop(Optimizer):
    """Each number moves by a step of its own, which grows while its gradient keeps its sign and shrinks as it turns.

    p -= step sign(g), after step *= etas[1], or etas[0] where the sign of g has turned

    `etas` are the two factors, `step_sizes` the bounds. Riedmiller and Braun, 1993.
    """

    def __init__(self, params: Any, lr: Any = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
                 step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False,
                 foreach: bool | None = None, maximize: bool = False, differentiable: bool = False):
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, checked(
            lr=lr, etas=etas, step_sizes=step_sizes, foreach=foreach, maximize=maximize, differentiable=differentiable,
            capturable=capturable))

    def _step_group(self, group: dict[str, Any]) -> None:
        for p, a, g, k in self._due(group):
            state = self.state[p]
            if not state:
                begin(p, state, "prev", "step_size")
                state["step_size"]._array[...] = number(group["lr"])
            advance(state)
            k.rprop_step(a, g, state["prev"]._array, state["step_size"]._array, *group["etas"],
                         *group["step_sizes"], group["maximize"])
