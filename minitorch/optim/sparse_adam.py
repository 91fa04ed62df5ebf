"""Adam for the tables of embeddings: rows that were not looked up stay as they are."""
from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, begin, checked, number


class SparseAdam(Optimizer):
    """Adam in which only the rows of a parameter that have a gradient move, and only their averages.

    For `Embedding(sparse=True)`. The gradient of a table is a dense array here, and a row of zeros in it counts as one
    that was not looked up. Kingma and Ba, 2015.

    >>> import minitorch as torch
    >>> table = torch.nn.Embedding(3, 2, sparse=True)
    >>> before, optimizer = table.weight.detach().clone(), SparseAdam(table.parameters())
    >>> table(torch.tensor([0, 2])).sum().backward()
    >>> optimizer.step()
    >>> (table.weight != before).any(dim=1)
    tensor([ True, False,  True])
    """

    def __init__(self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 maximize: bool = False):
        if number(lr) <= 0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if eps <= 0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        super().__init__(params, checked(lr=lr, betas=betas, eps=eps, maximize=maximize))

    def _step_group(self, group: dict[str, Any]) -> None:
        (beta1, beta2), lr, eps = group["betas"], number(group["lr"]), group["eps"]
        for p, a, g, k in self._due(group):
            state = self.state[p]
            if not state:
                begin(p, state, "exp_avg", "exp_avg_sq")
                state["step"] = 0
            state["step"] += 1
            rows = k.xp.flatnonzero((g != 0).reshape(g.shape[0], -1).any(1))
            dy = -g[rows] if group["maximize"] else g[rows]
            mean, square = state["exp_avg"]._array, state["exp_avg_sq"]._array
            mean[rows] += (1 - beta1) * (dy - mean[rows])
            square[rows] += (1 - beta2) * (dy * dy - square[rows])
            scale = (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
            a[rows] -= (lr * scale) * mean[rows] / (square[rows] ** 0.5 + eps)
