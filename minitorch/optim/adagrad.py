"""Adagrad: steps that shrink as a number's gradients add up."""
from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, advance, begin, checked, number


class Adagrad(Optimizer):
    """p -= lr g / (√Σg² + eps), lr falling as 1 / (1 + step lr_decay). Duchi et al., 2011."""

    def __init__(self, params: Any, lr: Any = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
                 initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: bool | None = None, *,
                 maximize: bool = False, differentiable: bool = False, fused: bool | None = None):
        super().__init__(params, checked(
            lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, foreach=foreach, maximize=maximize,
            differentiable=differentiable, fused=fused))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As for all optimizers; the state starts here, not at the first step."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for p in group["params"]:
            begin(p, self.state[p], "sum")
            self.state[p]["sum"]._array[...] = group["initial_accumulator_value"]

    def share_memory(self) -> None:
        """Nothing to do: tensors of this framework are not shared between processes."""

    def _step_sparse(self, group: dict[str, Any], p: Tensor, grad: Any) -> None:
        from ..sparse.rows import parts

        if group["weight_decay"]:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        state = self.state[p]
        lr = number(group["lr"]) / (1 + (advance(state) - 1) * group["lr_decay"])
        places, g = parts(-grad if group["maximize"] else grad)
        total = state["sum"]._array
        total[places] += g * g
        p._array[places] -= lr * (g / (total[places] ** 0.5 + group["eps"]))

    def _step_group(self, group: dict[str, Any]) -> None:
        lr = number(group["lr"])
        for params, arrays, grads, k, memo in self._due_together(group):
            states = [self.state[p] for p in params]
            k.adagrad_steps(arrays, grads, [state["sum"]._array for state in states],
                            [advance(state) for state in states], lr, group["lr_decay"], group["eps"],
                            group["weight_decay"], group["maximize"], memo=memo)
