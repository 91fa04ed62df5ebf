"""Devices: where an array lies, the array module and the kernels that work there."""
from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np
from minitorch_kernels import kernels

from .errors import DeviceError, NoCudaError, NotStrided

cpu_kernels = kernels(np)

KINDS = ("cpu", "cuda", "meta", "mps", "xpu", "xla", "hpu", "ipu", "mtia", "hip", "vulkan")  # the first three work here
_defaults: list[device] = []  # the devices of `with device(...)`, and of `set_default_device` before them


class device:
    """`device("cpu")`, `device("cuda:1")`, `device("cuda", 1)`.

    >>> device("cuda:1").index
    1
    >>> device("gpu")
    Traceback (most recent call last):
    RuntimeError: device: expects one of cpu, cuda, cuda:N, got 'gpu'
    """

    __slots__ = ("index", "type")
    index: int | None
    type: str

    def __init__(self, type: Any = "cpu", index: int | None = None):
        if isinstance(type, device):
            type, index = type.type, type.index
        elif isinstance(type, int):
            type, index = "cuda", type
        name, _, number = str(type).partition(":")
        if name not in KINDS or (number and not number.isdigit()):
            raise RuntimeError(f"device: expects one of cpu, cuda, cuda:N, got {type!r}")
        self.type = name
        self.index = int(number) if number else index

    def __enter__(self) -> device:
        """Within the block tensors that are made without a device are made on this one."""
        _defaults.append(self)
        return self

    def __exit__(self, *exception: Any) -> None:
        _defaults.pop()

    def __call__(self, function: Any) -> Any:
        @functools.wraps(function)
        def call(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        return call

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self):
        return device, (self.type, self.index)


CPU, META = device("cpu"), device("meta")
_device = device


def get_default_device() -> device:
    """Where tensors are made for which no device is said."""
    return _defaults[-1] if _defaults else CPU


def set_default_device(device: Any) -> None:
    """Make tensors there from now on; None: on the CPU."""
    _defaults[:] = [] if device is None else [_device(device)]


def chosen() -> device | None:
    """The device that was set as default, None where none was."""
    return _defaults[-1] if _defaults else None


def device_of(array: Any) -> device:
    """The device that holds `array`."""
    if isinstance(array, (np.ndarray, np.generic)):
        return CPU
    if hasattr(array, "is_meta"):
        return META
    return device_of(array.veils) if hasattr(array, "veils") else device("cuda", array.device.id)


def kernels_of(array: Any) -> Any:
    """The kernels of the device that holds `array`."""
    if isinstance(array, (np.ndarray, np.generic)):
        return cpu_kernels
    if hasattr(array, "is_meta"):
        from .meta import meta_kernels

        return meta_kernels
    return kernels_of(array.veils) if hasattr(array, "veils") else kernels(cupy())


def common_kernels(name: str, arrays: list[Any]) -> Any:
    """The kernels for arrays that must share a device; 0-d CPU arrays go anywhere. Raises DeviceError."""
    found = [a for a in arrays if hasattr(a, "dtype") and hasattr(a, "shape")]
    placed = [a for a in found if a.shape != ()] or found
    where = {str(device_of(a)) for a in placed}
    if len(where) > 1:
        raise DeviceError(f"{name}: expected all tensors to be on the same device, but found at least two devices, "
                          + " and ".join(sorted(where)))
    if placed and hasattr(placed[0], "is_meta"):
        raise NotStrided(placed[0], f"{name}: meta tensors have no values")  # and run in their own way
    return kernels_of(placed[0]) if placed else cpu_kernels


def move(array: Any, where: device) -> Any:
    """`array` on the device `where`, itself if it is there already. Raises DeviceError without that device."""
    if hasattr(array, "is_meta") or where.type == "meta":
        from .meta import meta_array, moved

        return moved(array, where) if hasattr(array, "is_meta") else meta_array(array.shape, array.dtype)
    if where.type == "cpu":
        return array if isinstance(array, np.ndarray) else array.get()
    if where.type == "cuda":
        cp = cupy()
        with cp.cuda.Device(where.index or 0):
            return cp.asarray(array)
    raise DeviceError(f"to: there is no device {str(where)!r} here")


def array_module(where: device) -> Any:
    """numpy, or cupy with a usable GPU."""
    if where.type not in ("cpu", "cuda", "meta"):
        raise DeviceError(f"there is no device {str(where)!r} here")
    return cupy() if where.type == "cuda" else np


def cuda_used() -> bool:
    """Whether any CuPy array can exist: CuPy has been imported."""
    return "cupy" in sys.modules


def cupy() -> Any:
    """CuPy, imported now. Raises NoCudaError where it is not installed, or no GPU answers."""
    try:
        import cupy as cp
    except ImportError:
        raise NoCudaError("device 'cuda' needs CuPy, which is not installed: pip install cupy-cuda13x "
                           "(or cupy-cuda12x, after the driver's CUDA version)") from None
    if not cp.is_available():
        raise NoCudaError("device 'cuda': CuPy is installed, but finds no usable GPU and driver "
                          "(nvidia-smi shows whether the driver sees one)")
    return cp
