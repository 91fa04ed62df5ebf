"""Adam for the tables of embeddings: rows that were not looked up stay as they are."""
from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, begin, checked, number


class SparseAdam(Optimizer):
    """Adam in which only the rows of a parameter that have a gradient move, and only their averages.

    For `Embedding(sparse=True)`: a row that was looked up has a gradient, be it zero. Raises RuntimeError for a dense
    gradient, ValueError for sparse and for complex parameters. Kingma and Ba, 2015.

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
        if not isinstance(params, Tensor):
            params = list(params)
            _check_kinds(params)
        super().__init__(params, checked(lr=lr, betas=betas, eps=eps, maximize=maximize))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for kept in self.state.values():
            if "step" in kept:  # a Python number here: a float32 tensor would round the powers of beta
                kept["step"] = int(kept["step"])

    def _step_group(self, group: dict[str, Any]) -> None:
        for _ in self._due(group):
            raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")

    def _step_sparse(self, group: dict[str, Any], p: Tensor, grad: Any) -> None:
        from ..sparse.rows import parts

        (beta1, beta2), state = group["betas"], self.state[p]
        if not state:
            begin(p, state, "exp_avg", "exp_avg_sq")
            state["step"] = 0
        state["step"] += 1
        places, g = parts(-grad if group["maximize"] else grad)
        mean, square = state["exp_avg"]._array, state["exp_avg_sq"]._array
        mean[places] += (1 - beta1) * (g - mean[places])
        square[places] += (1 - beta2) * (g * g - square[places])
        scale = (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
        p._array[places] -= (number(group["lr"]) * scale) * mean[places] / (square[places] ** 0.5 + group["eps"])


def _check_kinds(params: list[Any]) -> None:
    """Raises ValueError where some of the parameters (or of the groups of them) are sparse or complex."""
    sparse, complex_ = [], []
    for i, group in enumerate(params if params and isinstance(params[0], dict) else [{"params": params}]):
        if not isinstance(group["params"], Tensor):
            group["params"] = list(group["params"])  # an iterator runs once
        for j, p in enumerate([group["params"]] if isinstance(group["params"], Tensor) else group["params"]):
            p = p[1] if isinstance(p, tuple) else p
            if isinstance(p, Tensor):
                sparse += [[i, j]] if p.is_sparse else []
                complex_ += [[i, j]] if p.is_complex() else []
    if sparse:
        raise ValueError(f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors")
    if complex_:
        raise ValueError(f"Complex params at indices {complex_}: SparseAdam does not support complex parameters")
