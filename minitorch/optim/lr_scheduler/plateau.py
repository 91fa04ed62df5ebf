"""A schedule that follows a measured quantity."""
from __future__ import annotations

import math
from typing import Any

from ..optimizer import Optimizer, number
from .base import LRScheduler, assign, copied, one_a_group, only_optimizer, warn_of_epoch


class ReduceLROnPlateau(LRScheduler):
    """Times `factor` once `step(metric)` has seen no improvement for more than `patience` epochs.

    An improvement is one by more than `threshold`, as a share of the best ("rel") or as it is ("abs"); `mode` says
    whether less ("min") or more ("max") is better. After a reduction, `cooldown` epochs do not count.

    >>> from minitorch import ones
    >>> from minitorch.optim import SGD
    >>> optimizer = SGD([ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, patience=1)
    >>> for loss in (2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.1]
    """

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
                 threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0, min_lr: Any = 0,
                 eps: float = 1e-8):
        if factor >= 1.0:
            raise ValueError(f"Factor should be < 1.0, got {factor}.")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown! It is min or max")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown! It is rel or abs")
        self.optimizer = only_optimizer(optimizer)
        self.min_lrs = one_a_group("min_lr", optimizer, min_lr)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.last_epoch = 0
        self._reset()
        self._note()

    def _reset(self) -> None:
        """Forget what was measured."""
        self.best = self.mode_worse = math.inf if self.mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = 0

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take note of this epoch's metric, a number or a tensor of one."""
        current = float(number(metrics))
        if epoch is not None:
            warn_of_epoch()
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._note()

    @property
    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def _is_better(self, current: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        bar = self.best * (1 + sign * self.threshold) if self.threshold_mode == "rel" else \
            self.best + sign * self.threshold
        return current * sign > bar * sign

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(f"The number of param groups in the `optimizer` ({len(groups)}) differs from when "
                                   f"`ReduceLROnPlateau` was initialized ({len(self.min_lrs)}): change `min_lrs` too")
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs):
            lr = max(number(group["lr"]) * self.factor, least)
            if number(group["lr"]) - lr > self.eps:
                assign(group, lr)

    def _note(self) -> None:
        self._last_lr = [copied(group["lr"]) for group in self.optimizer.param_groups]
