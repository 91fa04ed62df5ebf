"""Averages of a model's weights over training, plain or exponential, and what belongs to them.

Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
"""
from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from ..engine import no_grad
from ..nn import Module
from ..nn.normalization import _BatchNorm
from ..op import FUNCTIONS
from ..tensor import Tensor
from .lr_scheduler import LRScheduler
from .optimizer import Optimizer, number

__all__ = ["SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn",
           "get_swa_multi_avg_fn", "update_bn"]


class AveragedModel(Module):
    """A copy of `model`, in `module`, whose parameters are means of the model's at each `update_parameters`.

    `avg_fn(mean, value, count)` gives another mean than the plain one, `multi_avg_fn(means, values, count)` computes
    it in place for lists. Buffers are copied, or with `use_buffers` averaged too. Raises AssertionError for both.

    >>> from minitorch import nn
    >>> model = nn.Linear(1, 1)
    >>> averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    >>> for value in (0.0, 1.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item()
    0.10000000149011612
    """

    n_averaged: Tensor

    def __init__(self, model: Module, device: Any = None, avg_fn: Callable | None = None,
                 multi_avg_fn: Callable | None = None, use_buffers: bool = False) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", FUNCTIONS["tensor"](0, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the model's present parameters into the mean; the first ones are copied."""
        means, values = (list(chain(m.parameters(), m.buffers() if self.use_buffers else ()))
                         for m in (self.module, model))
        means, values = [m.detach() for m in means], [v.detach().to(m.device) for m, v in zip(means, values)]
        if not self.n_averaged:
            for mean, value in zip(means, values):
                mean.copy_(value)
        elif self.avg_fn is not None:
            for mean, value in zip(means, values):
                mean.copy_(self.avg_fn(mean, value, self.n_averaged))
        else:
            update = self.multi_avg_fn or get_swa_multi_avg_fn()
            for some_means, some_values in _by_dtype(means, values):
                update(some_means, some_values, self.n_averaged)
        if not self.use_buffers:
            for mean, value in zip(self.module.buffers(), model.buffers()):
                mean.detach().copy_(value)
        self.n_averaged += 1


def get_swa_avg_fn() -> Callable:
    """(mean, value, count) -> the mean over one value more."""
    @no_grad()
    def average(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return average


def get_ema_avg_fn(decay: float = 0.999) -> Callable:
    """(mean, value, count) -> decay mean + (1 - decay) value. Raises ValueError for a decay outside [0, 1]."""
    _check_decay(decay)

    @no_grad()
    def average(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        return decay * ema_param + (1 - decay) * current_param

    return average


def get_swa_multi_avg_fn() -> Callable:
    """`get_swa_avg_fn` for lists, in place."""
    @no_grad()
    def average(averaged_param_list: list, current_param_list: list, num_averaged: Any) -> None:
        for mean, value in zip(averaged_param_list, current_param_list):
            if mean.is_floating_point() or mean.is_complex():
                mean.lerp_(value, 1 / (number(num_averaged) + 1))
            else:
                mean.copy_(mean + (value - mean) / (num_averaged + 1))

    return average


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable:
    """`get_ema_avg_fn` for lists, in place."""
    _check_decay(decay)

    @no_grad()
    def average(ema_param_list: list, current_param_list: list, num_averaged: Any) -> None:
        for mean, value in zip(ema_param_list, current_param_list):
            if mean.is_floating_point() or mean.is_complex():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(mean * decay + value * (1 - decay))

    return average


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the batch norms' running statistics anew, as means over all batches of `loader`.

    A batch is a tensor, or a list whose first entry is the model's input.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    training, momenta = model.training, [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    for batch in loader:
        x = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(x if device is None else x.to(device))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """Goes from the present rates to `swa_lr`, one or one a group, in `anneal_epochs` steps, "cos" or "linear"."""

    def __init__(self, optimizer: Optimizer, swa_lr: Any, anneal_epochs: int = 10, anneal_strategy: str = "cos",
                 last_epoch: int = -1) -> None:
        groups = optimizer.param_groups
        rates = list(swa_lr) if isinstance(swa_lr, (list, tuple)) else [swa_lr] * len(groups)
        if len(rates) != len(groups):
            raise ValueError(f"swa_lr must have the same length as optimizer.param_groups: swa_lr has {len(rates)}, "
                             f"optimizer.param_groups has {len(groups)}")
        for group, rate in zip(groups, rates):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        step = max(self._step_count - 1, 0 if self.anneal_epochs else 1)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            lr, swa_lr = number(group["lr"]), group["swa_lr"]
            start = swa_lr if before == 1 else (lr - before * swa_lr) / (1 - before)
            rates.append(swa_lr * now + start * (1 - now))
        return rates

    def _share(self, step: int) -> float:
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2


def _by_dtype(means: list, values: list) -> Iterable[tuple[list, list]]:
    kinds: dict[Any, tuple[list, list]] = {}
    for mean, value in zip(means, values):
        some_means, some_values = kinds.setdefault(mean.dtype, ([], []))
        some_means.append(mean)
        some_values.append(value)
    return kinds.values()


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")
