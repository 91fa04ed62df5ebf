"""Devices: where an array lies, the array module and the kernels that work there."""
from __future__ import annotations

import sys
from typing import Any

import numpy as np
from minitorch_kernels import kernels

from .errors import DeviceError, MissingError

cpu_kernels = kernels(np)


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

    def __init__(self, kind: Any = "cpu", index: int | None = None):
        if isinstance(kind, device):
            kind, index = kind.type, kind.index
        elif isinstance(kind, int):
            kind, index = "cuda", kind
        name, _, number = str(kind).partition(":")
        if name not in ("cpu", "cuda") or (number and not number.isdigit()):
            raise RuntimeError(f"device: expects one of cpu, cuda, cuda:N, got {kind!r}")
        self.type = name
        self.index = int(number) if number else index

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


CPU = device("cpu")


def device_of(array: Any) -> device:
    """The device that holds `array`."""
    return CPU if isinstance(array, np.ndarray) else device("cuda", array.device.id)


def kernels_of(array: Any) -> Any:
    """The kernels of the device that holds `array`."""
    return cpu_kernels if isinstance(array, np.ndarray) else kernels(cupy())


def common_kernels(name: str, arrays: list[Any]) -> Any:
    """The kernels for arrays that must share a device; 0-d CPU arrays go anywhere. Raises DeviceError."""
    found = [a for a in arrays if hasattr(a, "dtype") and hasattr(a, "shape")]
    placed = [a for a in found if a.shape != ()] or found
    where = {str(device_of(a)) for a in placed}
    if len(where) > 1:
        raise DeviceError(f"{name}: expected all tensors to be on the same device, but found at least two devices, "
                          + " and ".join(sorted(where)))
    return kernels_of(placed[0]) if placed else cpu_kernels


def move(array: Any, where: device) -> Any:
    """`array` on the device `where`, itself if it is there already. Raises DeviceError without that device."""
    if where.type == "cpu":
        return array if isinstance(array, np.ndarray) else array.get()
    if where.type == "cuda":
        cp = cupy()
        with cp.cuda.Device(where.index or 0):
            return cp.asarray(array)
    raise DeviceError(f"to: there is no device {str(where)!r} here")


def array_module(where: device) -> Any:
    """numpy, or cupy with a usable GPU."""
    return np if where.type == "cpu" else cupy()


def cuda_used() -> bool:
    """Whether any CuPy array can exist: CuPy has been imported."""
    return "cupy" in sys.modules


def cupy() -> Any:
    """CuPy, imported now. Raises MissingError where it is not installed, DeviceError where no GPU answers."""
    try:
        import cupy as cp
    except ImportError:
        raise MissingError("device 'cuda' needs CuPy, which is not installed: pip install cupy-cuda13x "
                           "(or cupy-cuda12x, after the driver's CUDA version)") from None
    if not cp.is_available():
        raise DeviceError("device 'cuda': CuPy is installed, but finds no usable GPU and driver "
                          "(nvidia-smi shows whether the driver sees one)")
    return cp
