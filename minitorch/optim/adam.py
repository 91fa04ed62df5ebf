"""Adam and its relatives: steps scaled by running means of the gradient and of its square."""
from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .optimizer import Optimizer, advance, begin, checked, number, scalar


class Adam(Optimizer):
    """p -= lr m̂ / (√v̂ + eps), with m̂ and v̂ the bias-corrected running means of g and g².

    `amsgrad` divides by the largest v so far. `weight_decay` adds an L2 penalty's gradient, or shrinks p itself where
    `decoupled_weight_decay` is set, which makes it AdamW. Kingma and Ba, 2015; Reddi et al., 2018.

    >>> from minitorch import tensor
    >>> w = tensor([1.0, -1.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([ 0.5000, -0.5000])
    """

    def __init__(self, params: Any, lr: Any = 1e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None,
                 maximize: bool = False, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None, decoupled_weight_decay: bool = False):
        _check_tensors(lr, betas, bool(foreach) and not capturable)
        super().__init__(params, checked(
            lr=lr, betas=tuple(map(number, betas)), eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
            maximize=maximize, foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused,
            decoupled_weight_decay=decoupled_weight_decay))

    def _step_sparse(self, group: dict[str, Any], p: Tensor, grad: Any) -> None:
        raise RuntimeError("Adam does not support sparse gradients, please consider SparseAdam instead")

    def _step_group(self, group: dict[str, Any]) -> None:
        lr, (beta1, beta2) = number(group["lr"]), map(number, group["betas"])
        eps, weight_decay, decoupled = group["eps"], group["weight_decay"], group["decoupled_weight_decay"]
        amsgrad, maximize = group["amsgrad"], group["maximize"]
        for params, arrays, grads, k, memo in self._due_together(group):
            states = [self.state[p] for p in params]
            for p, state in zip(params, states):
                if not state:
                    begin(p, state, "exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if amsgrad else []))
            m, v, vmax = ([state[name]._array for state in states] if name != "max_exp_avg_sq" or amsgrad else None
                          for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"))
            k.adam_steps(arrays, grads, m, v, vmax, [advance(state) for state in states], lr, beta1, beta2, eps,
                         weight_decay, decoupled, amsgrad, maximize, memo=memo)


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: p is first multiplied by 1 - lr weight_decay.

    p -= lr (m̂ / (√v̂ + eps) + weight_decay p), with m̂ and v̂ as in Adam

    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """

    def __init__(self, params: Any, lr: Any = 1e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
                 foreach: bool | None = None, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
                         capturable=capturable, differentiable=differentiable, fused=fused,
                         decoupled_weight_decay=True)


class Adamax(Optimizer):
    """Adam with the infinity norm: p -= lr m̂ / u, u the decaying maximum of |g|. Kingma and Ba, 2015."""

    def __init__(self, params: Any, lr: Any = 2e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, foreach: bool | None = None, *, maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False):
        super().__init__(params, checked(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, foreach=foreach, maximize=maximize,
            differentiable=differentiable, capturable=capturable))

    def _step_group(self, group: dict[str, Any]) -> None:
        lr, (beta1, beta2) = number(group["lr"]), map(number, group["betas"])
        for p, a, g, k in self._due(group):
            state = self.state[p]
            if not state:
                begin(p, state, "exp_avg", "exp_inf")
            k.adamax_step(a, g, state["exp_avg"]._array, state["exp_inf"]._array, advance(state),
                          lr, beta1, beta2, group["eps"], group["weight_decay"], group["maximize"])


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, scheduled by `momentum_decay`. Dozat, 2016.

    p -= lr (μ' m / (1 - Πμ μ') + (1 - μ) g / (1 - Πμ)) / (√v̂ + eps), μ and μ' this step's momentum and the next's
    """

    def __init__(self, params: Any, lr: Any = 2e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
                 foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
                 differentiable: bool = False):
        super().__init__(params, checked(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay, maximize=maximize, foreach=foreach, capturable=capturable,
            differentiable=differentiable))

    def _step_group(self, group: dict[str, Any]) -> None:
        lr, (beta1, beta2) = number(group["lr"]), map(number, group["betas"])
        for p, a, g, k in self._due(group):
            state = self.state[p]
            if not state:
                begin(p, state, "exp_avg", "exp_avg_sq")
                state["mu_product"] = scalar(1)
            step, product = advance(state), state["mu_product"]._array
            mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (i * group["momentum_decay"])) for i in (step, step + 1))
            product *= mu
            k.nadam_step(a, g, state["exp_avg"]._array, state["exp_avg_sq"]._array, step, mu,
                         mu_next, product.item(), lr, beta1, beta2, group["eps"], group["weight_decay"],
                         group["decoupled_weight_decay"], group["maximize"])


class RAdam(Optimizer):
    """Adam that trusts its variance only once enough steps were seen. Liu et al., 2020.

    p -= lr r m̂ / (√v̂ + eps), with r rising to 1; lr m̂ while the variance of v̂ is not finite
    """

    def __init__(self, params: Any, lr: Any = 1e-3, betas: tuple[Any, Any] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, decoupled_weight_decay: bool = False, *, foreach: bool | None = None,
                 maximize: bool = False, capturable: bool = False, differentiable: bool = False):
        super().__init__(params, checked(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize, foreach=foreach,
            capturable=capturable, decoupled_weight_decay=decoupled_weight_decay, differentiable=differentiable))

    def _step_group(self, group: dict[str, Any]) -> None:
        lr, (beta1, beta2) = number(group["lr"]), map(number, group["betas"])
        for p, a, g, k in self._due(group):
            state = self.state[p]
            if not state:
                begin(p, state, "exp_avg", "exp_avg_sq")
            k.radam_step(a, g, state["exp_avg"]._array, state["exp_avg_sq"]._array, advance(state),
                         lr, beta1, beta2, group["eps"], group["weight_decay"], group["decoupled_weight_decay"],
                         group["maximize"])


def _check_tensors(lr: Any, betas: tuple[Any, Any], foreach: bool) -> None:
    """Raises ValueError for options as tensors where PyTorch does not take them."""
    if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
        raise ValueError(f"betas must be either both floats or both Tensors, got {betas}")
    for name, option in (("lr", lr), ("betas[0]", betas[0]), ("betas[1]", betas[1])):
        if isinstance(option, Tensor):
            if foreach:
                raise ValueError(f"{name} as a Tensor is not supported for capturable=False and foreach=True")
            if option.numel() != 1:
                raise ValueError(f"Tensor {name} must be 1-element, got shape {tuple(option.shape)}")
