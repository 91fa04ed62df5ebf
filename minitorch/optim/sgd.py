"""Stochastic gradient descent, with momentum."""
from __future__ import annotations

from typing import Any

from ..device import beside
from ..tensor import Tensor
from .optimizer import Optimizer, checked, number


class SGD(Optimizer):
    """p -= lr g, or with momentum μ, b = μ b + (1 - dampening) g and p -= lr b (nesterov: p -= lr (g + μ b)).

    `weight_decay` adds weight_decay p to g, the gradient of an L2 penalty; `maximize` climbs. Sutskever et al.,
    "On the importance of initialization and momentum in deep learning", 2013.

    >>> from minitorch import tensor
    >>> w = tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> w.item()
    0.46...
    """

    takes_complex = True

    def __init__(self, params: Any, lr: Any = 1e-3, momentum: float = 0, dampening: float = 0,
                 weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False,
                 foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None):
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, checked(
            lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
            maximize=maximize, foreach=foreach, differentiable=differentiable, fused=fused))

    def _step_sparse(self, group: dict[str, Any], p: Tensor, grad: Any) -> None:
        from ..sparse.rows import parts

        if group["weight_decay"]:
            raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
        momentum, g = group["momentum"], -grad if group["maximize"] else grad
        if momentum:
            state = self.state[p]
            before = state.get("momentum_buffer")
            state["momentum_buffer"] = b = g.clone() if before is None else \
                (before * momentum).add(g, alpha=1 - group["dampening"])
            g = g.add(b, alpha=momentum) if group["nesterov"] else b
        places, values = parts(g)
        p._array[places] -= number(group["lr"]) * values

    def _step_group(self, group: dict[str, Any]) -> None:
        lr, momentum, dampening = number(group["lr"]), group["momentum"], group["dampening"]
        weight_decay, nesterov, maximize = number(group["weight_decay"]), group["nesterov"], group["maximize"]
        for params, arrays, grads, k, memo in self._due_together(group):
            bufs, first = None, None
            if momentum != 0:
                bufs, first = [], []
                for p, a in zip(params, arrays):
                    state = self.state[p]
                    first.append(state.get("momentum_buffer") is None)
                    if first[-1]:
                        state["momentum_buffer"] = Tensor._wrap(beside([a], k.xp.empty, a.shape, a.dtype))
                    bufs.append(state["momentum_buffer"]._array)
            k.sgd_steps(arrays, grads, bufs, lr, momentum, dampening, weight_decay, nesterov, maximize, first,
                        memo=memo)
