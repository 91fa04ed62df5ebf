"""What all schedules share: setting the "lr" of an optimizer's parameter groups, counting, saving."""
from __future__ import annotations

import types
import warnings
from collections.abc import Iterable
from typing import Any

from ...engine import whole
from ...errors import check_keywords
from ...tensor import Tensor
from ..optimizer import Optimizer, number


class LRScheduler:
    """The base: keeps `last_epoch`, the number of the step, and asks the subclass's `get_lr` for a rate a group.

    Resuming with `last_epoch` other than -1 needs "initial_lr" in every group; KeyError otherwise.

    >>> from minitorch import ones
    >>> from minitorch.optim import SGD, lr_scheduler
    >>> optimizer = SGD([ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    _is_initial = False
    _get_lr_called_within_step = False  # PyTorch's state dicts have it
    _members: tuple[str, ...] = ("optimizer",)  # what a state dict leaves out

    def __new__(cls, *args: Any, **keywords: Any) -> Any:
        if keywords:
            check_keywords(cls, keywords)
        return super().__new__(cls)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        self.optimizer = only_optimizer(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                               "last_epoch >= 0: load the optimizer's state first")
        self.base_lrs = [number(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "step" in cls.__dict__:
            cls.step = whole(cls.step)  # type: ignore[method-assign]

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        self._get_lr_called_within_step = False
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_last_lr(self) -> list[Any]:
        """The rates that the last step set, one a group."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """The rates that follow from the present ones; called by `step`."""
        raise NotImplementedError(f"{type(self).__name__}: a subclass of LRScheduler needs get_lr")

    def step(self, epoch: int | None = None) -> None:
        """Go to the next rate, or to that of `epoch`."""
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn("Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite "
                          "order: otherwise the first value of the learning rate schedule is skipped.", stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch()
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
        self._set(self.get_lr() if closed is None else closed())

    def _set(self, lrs: Iterable[Any]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs):
            assign(group, lr)
        self._last_lr = [copied(group["lr"]) for group in self.optimizer.param_groups]

    def _present(self, factor: float = 1.0) -> list[float]:
        """The groups' rates, times `factor`."""
        return [number(group["lr"]) * factor for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name not in self._members}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.__dict__.update(state_dict)


LRScheduler.step = whole(LRScheduler.step)  # type: ignore[method-assign]
class _LRScheduler(LRScheduler):
    """The base under its former name, which programs derive from; the schedules here are no subclasses of it."""


def only_optimizer(optimizer: Any) -> Optimizer:
    """`optimizer`, if it is one. Raises TypeError."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer


def one_a_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """An argument that may be given once, or in a list for the groups. Raises ValueError for another number."""
    groups = optimizer.param_groups
    if not isinstance(value, (list, tuple)):
        return [value] * len(groups)
    if len(value) != len(groups):
        raise ValueError(f"{name} must have the same length as optimizer.param_groups: "
                         f"expected {len(groups)} values, got {len(value)}")
    return list(value)


def assign(group: dict[str, Any], lr: Any) -> None:
    """Set the group's rate; where that is a tensor, its value."""
    if isinstance(group["lr"], Tensor):
        group["lr"]._array[...] = number(lr)
        group["lr"]._bump()
    else:
        group["lr"] = lr


def copied(lr: Any) -> Any:
    return Tensor._wrap(lr._array.copy()) if isinstance(lr, Tensor) else lr


def attributes(function: Any) -> dict[str, Any] | None:
    """What is saved of a callable: an object's attributes, of a plain function nothing."""
    return None if isinstance(function, types.FunctionType) else function.__dict__.copy()


def warn_of_epoch() -> None:
    warnings.warn("The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. "
                  "Please use `scheduler.step()` to step the scheduler.", stacklevel=3)
