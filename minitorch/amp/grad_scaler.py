"""`GradScaler`: losses multiplied so that small gradients do not vanish in float16, and the way back."""
from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from ..device import alike, kernels_of
from ..engine import mode, whole
from ..tensor import Tensor


class OptState(Enum):
    """What has been done with an optimizer since the last update."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _decides(method: Callable) -> Callable:
    """Values decide what a method does: a compiled step calls it as it is."""
    called = whole(method)

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        return (called if self._enabled else method)(self, *args, **kwargs)

    return call


class GradScaler:
    """Scales losses by a factor that grows while gradients stay finite, and shrinks when they do not.

    `scale(loss).backward()`, `step(optimizer)`, `update()`: a step is left out where a gradient is infinite or NaN.
    For "cuda" without a GPU it warns and does nothing, as with `enabled=False`. Micikevicius et al. 2017, section 3.2.

    >>> import minitorch as torch
    >>> scaler = GradScaler("cpu", init_scale=4.0)
    >>> scaler.scale(torch.tensor(2.0))
    tensor(8.)
    """

    def __init__(self, device: str = "cuda", init_scale: float = 65536.0, growth_factor: float = 2.0,
                 backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True):
        self._device, self._enabled = device, enabled
        if enabled and device == "cuda":
            from ..cuda import is_available

            if not is_available():
                warnings.warn("torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                              stacklevel=2)
                self._enabled = False
        if self._enabled:
            if growth_factor <= 1.0:
                raise AssertionError(f"GradScaler: growth_factor must be > 1, got {growth_factor}")
            if backoff_factor >= 1.0:
                raise AssertionError(f"GradScaler: backoff_factor must be < 1, got {backoff_factor}")
        self._init_scale, self._growth_factor = init_scale, growth_factor
        self._backoff_factor, self._growth_interval = backoff_factor, growth_interval
        self._factor: float = init_scale
        self._growth_tracker = 0
        self._used = False  # whether `scale` has been called
        self._forget()

    def _forget(self) -> None:
        if "_live" not in self.__dict__:
            self._live = Tensor._wrap(np.array(self._factor, np.float32))  # the factor, for compiled steps to read
        self._live._array[...] = self._factor
        self._stages: dict[int, OptState] = defaultdict(lambda: OptState.READY)
        self._found: dict[int, list] = {}  # an optimizer: where and whether its gradients hold something infinite

    def scale(self, outputs: Any) -> Any:
        """A tensor, or a list, tuple or iterable of tensors, times the factor."""
        if not self._enabled:
            return outputs
        self._used = True
        if isinstance(outputs, Tensor):
            return outputs * (self._factor if mode.recorder is None else self._live)
        if isinstance(outputs, (list, tuple)):
            scaled = [self.scale(x) for x in outputs]
            return type(outputs)(*scaled) if hasattr(outputs, "_fields") else type(outputs)(scaled)
        if hasattr(outputs, "__iter__"):
            return map(self.scale, outputs)
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    @_decides
    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the factor, to clip them before `step`.

        Raises RuntimeError where that was done since the last `update`, ValueError for gradients in float16.
        """
        if not self._enabled:
            return
        self._check_used("unscale_")
        stage = self._stages[id(optimizer)]
        if stage is OptState.UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if stage is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        grads = [p._grad for group in optimizer.param_groups for p in group["params"] if p._grad is not None]
        arrays = [(grad._values() if grad.is_sparse else grad)._array for grad in grads]
        if any([array.dtype == np.float16 for array in arrays]):
            raise ValueError("Attempting to unscale FP16 gradients.")
        self._found[id(optimizer)] = [kernels_of(some[0]).unscale_grads(some, 1.0 / self._factor)
                                      for some in alike(arrays)]
        for grad in grads:
            if not grad.is_sparse:
                grad._bump()
        self._stages[id(optimizer)] = OptState.UNSCALED

    @_decides
    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)` on unscaled gradients, unless one of them is infinite or NaN."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._check_used("step")
        stage = self._stages[id(optimizer)]
        if stage is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if stage is OptState.READY:
            self.unscale_(optimizer)
        result = None if self._infinite(id(optimizer)) else optimizer.step(*args, **kwargs)
        self._stages[id(optimizer)] = OptState.STEPPED
        return result

    @_decides
    def update(self, new_scale: Any = None) -> None:
        """The factor for the next step: smaller where a gradient was infinite, larger after `growth_interval` steps
        without one; or `new_scale`."""
        if not self._enabled:
            return
        self._check_used("update")
        if new_scale is not None:
            self._factor = float(new_scale)
        else:
            if not self._found:
                raise AssertionError("No inf checks were recorded prior to update.")
            if any([self._infinite(optimizer) for optimizer in self._found]):
                self._factor *= self._backoff_factor
                self._growth_tracker = 0
            else:
                self._growth_tracker += 1
                if self._growth_tracker == self._growth_interval:
                    grown = self._factor * self._growth_factor
                    self._factor = grown if grown < 3.4e38 else self._factor  # it is a float32 in PyTorch
                    self._growth_tracker = 0
        self._forget()

    def _infinite(self, optimizer: int) -> bool:
        """Whether its gradients hold something infinite: on a GPU the one thing that a step waits for."""
        found = self._found[optimizer] = [any(map(bool, self._found[optimizer]))]
        return found[0]

    def _check_used(self, name: str) -> None:
        if not self._used:
            raise AssertionError(f"Attempted {name} but _scale is None.  This may indicate your script did not use "
                                 "scaler.scale(loss or outputs) earlier in the iteration.")

    # Its figures

    def get_scale(self) -> float:
        """The factor; 1 where it is disabled."""
        return self._factor if self._enabled else 1.0

    def is_enabled(self) -> bool:
        return self._enabled

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """The factor and its rules; empty where it is disabled."""
        if not self._enabled:
            return {}
        return {"scale": self._factor, "growth_factor": self._growth_factor, "backoff_factor": self._backoff_factor,
                "growth_interval": self._growth_interval, "_growth_tracker": self._growth_tracker}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave. Raises RuntimeError for that of a disabled scaler."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("The source state dict is empty, possibly because it was saved from a disabled "
                               "instance of GradScaler.")
        self._factor = self._init_scale = state_dict["scale"]
        self._live._array[...] = self._factor
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]

    def __getstate__(self) -> dict[str, Any]:
        if self._stages:
            raise RuntimeError("A GradScaler instance may only be pickled at the beginning of an iteration, or at the "
                               "end after scaler.update().")
        return {name: value for name, value in self.__dict__.items() if name not in ("_stages", "_found")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()
