"""Schedules in which the rate goes up and down."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, assign, attributes, one_a_group, only_optimizer


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine again and again: over `T_0` epochs, then each time over `T_mult` times as many (SGDR, 2017).

    `step(epoch)` also takes fractions of an epoch.
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise ValueError(f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        self.T_i: float = T_0  # the length of the present cycle, and the place in it
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (lr - self.eta_min) * height for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on by one epoch, or to `epoch`, which may be a fraction."""
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            if epoch < 0:
                raise ValueError(f"Expected non-negative epoch, but got {epoch}")
            self._place(epoch)
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())

    def _place(self, epoch: float) -> None:
        """Find the cycle that `epoch` lies in, and where in it."""
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n


class CyclicLR(LRScheduler):
    """Straight lines between `base_lr` and `max_lr`, up in `step_size_up` steps and down in `step_size_down`.

    `mode` "triangular" keeps the height, "triangular2" halves it every cycle, "exp_range" multiplies it by `gamma`
    every step; `scale_fn` replaces them, called with the number of the cycle or of the step (`scale_mode`). With
    `cycle_momentum` the momentum, or beta1, goes the other way. Smith, 2017.
    """

    _members = ("optimizer", "_scale_fn")

    def __init__(self, optimizer: Optimizer, base_lr: Any, max_lr: Any, step_size_up: int = 2000,
                 step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
                 scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle",
                 cycle_momentum: bool = True, base_momentum: Any = 0.8, max_momentum: Any = 0.9,
                 last_epoch: int = -1):
        only_optimizer(optimizer)
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"mode is invalid and scale_fn is None: expected triangular, triangular2 or exp_range, "
                             f"got {mode!r}")
        base_lrs = one_a_group("base_lr", optimizer, base_lr)
        self.max_lrs = one_a_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs):
                assign(group, lr)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self._scale_fn = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = "betas" in optimizer.defaults
            self.base_momentums, self.max_momentums = _start_momenta(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of cycle, or step, `x`."""
        if self._scale_fn is not None:
            return self._scale_fn(x)
        return {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        slope = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height = slope * self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums):
                _set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs)]

    def state_dict(self) -> dict[str, Any]:
        """A custom `scale_fn` is saved by its attributes, if it is an object."""
        saved = None if self._scale_fn is None else attributes(self._scale_fn)
        return {**super().state_dict(), "_scale_fn_custom": saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({name: v for name, v in state_dict.items() if name != "_scale_fn_custom"})
        if self._scale_fn is not None and state_dict["_scale_fn_custom"] is not None:
            self._scale_fn.__dict__.update(state_dict["_scale_fn_custom"])


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to `max_lr`, then far below the start, by step `total_steps`.

    `pct_start` is the share of the steps that the rise takes; `three_phase` comes down to the start first. The
    momentum, or beta1, goes the other way. Smith and Topin, "Super-convergence", 2018. Raises ValueError for a step
    beyond the last.
    """

    def __init__(self, optimizer: Optimizer, max_lr: Any, total_steps: int | None = None, epochs: int | None = None,
                 steps_per_epoch: int | None = None, pct_start: float = 0.3, anneal_strategy: str = "cos",
                 cycle_momentum: bool = True, base_momentum: Any = 0.85, max_momentum: Any = 0.95,
                 div_factor: float = 25.0, final_div_factor: float = 1e4, three_phase: bool = False,
                 last_epoch: int = -1):
        only_optimizer(optimizer)
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        self.total_steps = 1
        for name, value in ({"epochs": epochs, "steps_per_epoch": steps_per_epoch} if total_steps is None else
                            {"total_steps": total_steps}).items():
            if not isinstance(value, int) or value <= 0:
                raise ValueError(f"Expected positive integer {name}, but got {value}")
            self.total_steps *= value
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._anneal_func_type, self.cycle_momentum = anneal_strategy, cycle_momentum
        self._schedule_phases = _phases(pct_start * self.total_steps, self.total_steps - 1, three_phase)
        if last_epoch == -1:
            for group, highest in zip(optimizer.param_groups, one_a_group("max_lr", optimizer, max_lr)):
                group["initial_lr"] = highest / div_factor
                group["max_lr"] = highest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            self.use_beta1 = "betas" in optimizer.defaults
            _start_momenta(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"Tried to step {self.last_epoch} times. The specified number of total steps is "
                             f"{self.total_steps}")
        start = 0.0
        for phase in self._schedule_phases:
            end = phase["end_step"]
            if self.last_epoch <= end or phase is self._schedule_phases[-1]:
                break
            start = end
        lrs, momenta = ((phase["start_" + what], phase["end_" + what]) for what in ("lr", "momentum"))
        left = (end - self.last_epoch) / (end - start) if end != start else 0.0
        if self._anneal_func_type == "cos":
            left = (1 - math.cos(math.pi * left)) / 2
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                _set_momentum(group, _between(group, momenta, left))
        return [_between(group, lrs, left) for group in groups]


def _phases(rise: float, last: int, three: bool) -> list[dict[str, Any]]:
    """The phases of OneCycleLR, as PyTorch's state dicts have them: the last step of each, and from what to what rate
    and momentum it goes."""
    ends = [(rise - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum")]
    if three:
        ends += [(2 * rise - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                 (last, "initial_lr", "min_lr", "max_momentum", "max_momentum")]
    else:
        ends.append((last, "max_lr", "min_lr", "base_momentum", "max_momentum"))
    names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
    return [dict(zip(names, phase)) for phase in ends]


def _between(group: dict[str, Any], ends: tuple[str, str], left: float) -> float:
    start, end = (group[name] for name in ends)
    return end + (start - end) * left


def _start_momenta(optimizer: Optimizer, low: Any, high: Any, last_epoch: int) -> tuple[list[float], list[float]]:
    """The momenta to cycle between, a group each; at the start every group gets the higher one."""
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
    lows, highs = one_a_group("base_momentum", optimizer, low), one_a_group("max_momentum", optimizer, high)
    if last_epoch == -1:
        for group, lowest, highest in zip(optimizer.param_groups, lows, highs):
            _set_momentum(group, highest)
            group["base_momentum"], group["max_momentum"] = lowest, highest
    return lows, highs


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
