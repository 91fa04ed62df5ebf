"""`autocast`: products in 16 bits, losses in 32, without a change to the model."""
from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from .. import casting, dtypes
from ..device import device
from ..engine import mode
from ..op import OPS
from ..tensor import Tensor

_dtypes = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16}  # what a region has that names no dtype
_state: dict[str, Any] = {"cache": True}


class autocast:
    """Within the block, or the decorated function, products of matrices and convolutions run in `dtype`.

    What else runs in which type follows PyTorch's lists for the device (casting.py): losses and sums that need it in
    float32, the rest in the type of its arguments; of the recurrent layers GRU too runs in `dtype` here. It is for
    tensors on `device_type` alone. `dtype` is bfloat16 (the default on the CPU, which needs the package ml_dtypes) or
    float16 (the default on a GPU). With "cuda" and no GPU it warns and does nothing.

    >>> import minitorch as torch
    >>> x = torch.ones(2, 2)
    >>> with torch.autocast("cpu", dtype=torch.float16):
    ...     (x @ x).dtype, (x + x).dtype
    (torch.float16, torch.float32)
    """

    def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None):
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device(device_type).type
        if self.device not in _dtypes:
            raise RuntimeError(f"autocast: expects device_type cpu or cuda, got {device_type!r}")
        self.fast_dtype = _dtypes[self.device] if dtype is None else dtypes.as_dtype(dtype)
        self._enabled, self._cache_enabled = bool(enabled), _state["cache"] if cache_enabled is None else cache_enabled
        self._before: list[Any] = []
        if not enabled:
            return
        if self.device == "cuda" and not _cuda():
            warnings.warn("User provided device_type of 'cuda', but CUDA is not available. Disabling", stacklevel=3)
            self._enabled = False
        elif self.fast_dtype not in (dtypes.bfloat16, dtypes.float16):
            name = self.device.upper()
            warnings.warn(f"In {name} autocast, but the target dtype is not supported. Disabling autocast.\n{name} "
                          "Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.", stacklevel=3)
            self._enabled = False

    def __enter__(self) -> autocast:
        self._before.append(mode.autocast)
        if self.device == "cuda" and not self._enabled and not _cuda():
            return self  # without a GPU such a region changes nothing, not even one for the CPU around it
        _set(self.device, self.fast_dtype if self._enabled else None)
        return self

    def __exit__(self, *exception: Any) -> None:
        mode.autocast = self._before.pop()

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        return call


@functools.cache
def _install() -> None:
    casting.install(OPS)


def _set(kind: str, dtype: dtypes.dtype | None) -> None:
    """Let products on a kind of device run in a type from now on."""
    found = None if dtype is None else dtypes.to_numpy(dtype)
    if found is not None:
        _install()
    casts = (mode.autocast or casting.Casts())._replace(**{kind: found})
    mode.autocast = None if casts == (None, None) else casts


def _cuda() -> bool:
    from ..cuda import is_available

    return is_available()


# The switches

def is_autocast_available(device_type: str) -> bool:
    """Whether there is autocast for a kind of device: for "cpu" and "cuda"."""
    return device(device_type).type in _dtypes


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether products are cast on this kind of device."""
    return mode.autocast is not None and getattr(mode.autocast, device(device_type).type) is not None


def is_autocast_cpu_enabled() -> bool:
    """Whether products are cast on the CPU."""
    return is_autocast_enabled("cpu")


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Cast products on a kind of device, or not, from now on."""
    kind, wanted = ("cuda", device_type) if enabled is None else (device_type, enabled)
    if kind == "cpu" or _cuda():
        _set(kind, _dtypes[kind] if wanted else None)


def get_autocast_dtype(device_type: str) -> dtypes.dtype:
    """The type of products within this region, or else within one that names none."""
    found = getattr(mode.autocast or casting.Casts(), device_type)
    return _dtypes[device_type] if found is None else dtypes.from_numpy(found)


def set_autocast_dtype(device_type: str, dtype: dtypes.dtype) -> None:
    """Set it."""
    _dtypes[device_type] = dtypes.as_dtype(dtype)


get_autocast_cpu_dtype = functools.partial(get_autocast_dtype, "cpu")
get_autocast_gpu_dtype = functools.partial(get_autocast_dtype, "cuda")
set_autocast_cpu_dtype = functools.partial(set_autocast_dtype, "cpu")
set_autocast_gpu_dtype = functools.partial(set_autocast_dtype, "cuda")
set_autocast_cpu_enabled = functools.partial(set_autocast_enabled, "cpu")


def is_autocast_cache_enabled() -> bool:
    """What `set_autocast_cache_enabled` said; casts are not kept here, so that nothing depends on it."""
    return _state["cache"]


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Remember it."""
    _state["cache"] = enabled


def clear_autocast_cache() -> None:
    """Nothing: casts are not kept."""


def autocast_increment_nesting() -> int:
    """For programs that enter regions by hand: the depth, which nothing depends on."""
    _state["depth"] = _state.get("depth", 0) + 1
    return _state["depth"]


def autocast_decrement_nesting() -> int:
    """The other way."""
    _state["depth"] = _state.get("depth", 0) - 1
    return _state["depth"]


# For custom Functions

def custom_fwd(fwd: Callable | None = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """Decorates the forward of a Function: with `cast_inputs`, floating arguments come in that type and the body runs
    outside of autocast."""
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def call(*args, **kwargs):
        ctx = next((a for a in args if not isinstance(a, Tensor)), None)
        if hasattr(ctx, "save_for_backward"):
            ctx._dtype, ctx._fwd_used_autocast = get_autocast_dtype(device_type), is_autocast_enabled(device_type)
        if cast_inputs is None or not is_autocast_enabled(device_type):
            return fwd(*args, **kwargs)
        if hasattr(ctx, "save_for_backward"):
            ctx._fwd_used_autocast = False
        with autocast(device_type, enabled=False):
            return fwd(*[_cast(a, cast_inputs) for a in args],
                       **{name: _cast(a, cast_inputs) for name, a in kwargs.items()})

    return call


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Any:
    """Decorates the backward of a Function: it runs under the autocast that its forward ran under."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def call(ctx, *args):
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return bwd(ctx, *args)

    return call


def _cast(a: Any, dtype: Any) -> Any:
    """`a` with its floating tensors, float64 ones left out, as `dtype`."""
    if isinstance(a, Tensor):
        return a.to(dtype) if a.is_floating_point() and a.dtype is not dtypes.float64 else a
    if isinstance(a, dict):
        return {name: _cast(value, dtype) for name, value in a.items()}
    return type(a)(_cast(value, dtype) for value in a) if isinstance(a, (list, tuple)) else a
